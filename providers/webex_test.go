package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestWebexIssuers(t *testing.T) {
	for _, tt := range []struct {
		iss any
		ok  bool
	}{
		{"https://idbroker.webex.com/idb", true},
		{"https://idbroker-b-us.webex.com/idb", true},
		{"https://idbroker-eu.webex.com/idb", true},
		{"https://webexapis.com/v1", false},
		{"https://idbrokereu.webex.com/idb", false},
		{"https://idbroker.webex.com/idb/", false},
		{"http://idbroker.webex.com/idb", false},
		{"https://idbroker.evil.example/idb", false},
		{"https://idbroker-evil.example/.webex.com/idb", false},
		{"https://idbroker-x@evil.example#.webex.com/idb", false},
		{"https://idbroker-x.evil.webex.com/idb", false},
		{"https://idbroker", false},
		{nil, false},
	} {
		s := newStandIn(t, "webex")
		s.claims["iss"] = tt.iss
		a := s.app(s.provider())
		if !tt.ok {
			a.refuses(ginauth.ErrIDTokenInvalid, "jwt.issuer_not_admitted")
		} else if u := a.signIn(); u.Issuer != tt.iss {
			t.Errorf("%v: signed in as %+v", tt.iss, u)
		}
	}
}

func TestWebexAddresses(t *testing.T) {
	for _, tt := range []struct {
		flag     string
		verified bool
	}{{`"true"`, true}, {`true`, true}, {`"false"`, false}, {`"TRUE"`, false}, {`1`, false}, {`null`, false}} {
		s := newStandIn(t, "webex")
		s.answers["userinfo.json"] = []byte(`{"sub":"314937d6-b1b8-4905-a58a-3244917f853a","email":"petra@kvarnbygd.example","email_verified":` + tt.flag + `}`)
		if u := s.app(s.provider()).signIn(); u.EmailVerified != tt.verified || u.Email == "" {
			t.Errorf("%s: signed in as %+v", tt.flag, u)
		}
	}
}
