package ginauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func faultsE() []fault {
	return []fault{
		{"E1_userinfo_about_somebody_else", e1OtherSubject},
		{"E2_signed_userinfo", e2SignedUserinfo},
		{"E3_userinfo_that_fails", e3UserinfoFails},
		{"E4_id_token_wins", e4IDTokenWins},
		{"E5_access_token_in_the_header_alone", e5Request},
		{"E6_email_verified", e6EmailVerified},
		{"E7_unverified_email", e7UnverifiedEmail},
		{"E8_email_is_no_identity", e8EmailIsNoIdentity},
		{"E9_odd_addresses", e9OddAddresses},
		{"E10_profile_without_an_id", e10NoID},
		{"E11_large_ids_are_exact", e11LargeID},
		{"E12_names_change_hands", e12Renamed},
		{"E13_ids_do_not_collide", e13Collisions},
		{"E14_same_sub_at_two_issuers", e14TwoIssuers},
		{"E15_hooks_that_fail", e15Hooks},
		{"E16_changing_the_user_changes_nothing", e16Mutation},
		{"E17_hostile_names_and_pictures", e17Hostile},
		{"E18_groups", e18Groups},
		{"E19_tokens_are_not_taken_from_browsers", e19Tokens},
		{"E20_nobody_is_nil", e20Nobody},
	}
}

// always asks the userinfo endpoint at every sign-in.
func always(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" }

// plain makes the provider a plain OAuth 2.0 one, whose profile is the userinfo.
func plain(s *site, o *ginauth.Options) {
	o.Providers = []ginauth.Provider{{
		Name: "demo", Namespace: "https://idp.example", ClientID: s.idp.ClientID, ClientSecret: s.idp.ClientSecret, Scopes: []string{"profile", "email"},
		AuthorizeURL: s.idp.URL(authtest.Authorize), TokenURL: s.idp.URL(authtest.Token), UserinfoURL: s.idp.URL(authtest.Userinfo),
		ClaimPaths: map[string]string{"sub": "id"},
	}}
}

func e1OtherSubject(t *testing.T) {
	for name, sub := range map[string]any{"missing": nil, "another": "eve", "empty": "", "in upper case": "ADA", "a number": 7, "null": json.RawMessage("null")} {
		for _, mode := range []string{"always", "missing"} {
			t.Run(name+", asked "+mode, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = mode })
				s.idp.EditIDToken(func(_, c map[string]any) { delete(c, "email") })
				s.idp.EditUserinfo(func(c map[string]any) { put(c, "sub", sub) })
				s.refuses(t, "/login/demo", ginauth.ErrUserinfoInvalid, "its sub is not the ID token's", 1)
			})
		}
	}
}

func e2SignedUserinfo(t *testing.T) {
	sign := func(s *site, header, change claims) string {
		c := claims{"iss": s.idp.Issuer, "aud": s.idp.ClientID, "sub": "ada", "nickname": "Countess"}
		for name, value := range change {
			put(c, name, value)
		}
		return s.idp.Sign(header, c)
	}
	past := time.Now().Add(-time.Hour).Unix()
	for _, tt := range []struct {
		name   string
		reason string
		token  func(s *site) string
	}{
		{"good", "", func(s *site) string { return sign(s, nil, nil) }},
		{"with an expiry", "", func(s *site) string { return sign(s, nil, claims{"exp": time.Now().Add(time.Hour).Unix()}) }},
		{"another issuer", "jwt.issuer", func(s *site) string { return sign(s, nil, claims{"iss": "https://evil.example"}) }},
		{"no issuer", "jwt.issuer", func(s *site) string { return sign(s, nil, claims{"iss": nil}) }},
		{"another audience", "audience is another client", func(s *site) string { return sign(s, nil, claims{"aud": "other"}) }},
		{"no audience", "audience is another client", func(s *site) string { return sign(s, nil, claims{"aud": nil}) }},
		{"expired", "the token expired", func(s *site) string { return sign(s, nil, claims{"exp": past}) }},
		{"an expiry that is a text", "jwt.exp", func(s *site) string { return sign(s, nil, claims{"exp": fmt.Sprint(time.Now().Add(time.Hour).Unix())}) }},
		{"another subject", "its sub is not", func(s *site) string { return sign(s, nil, claims{"sub": "eve"}) }},
		{"no subject", "its sub is not", func(s *site) string { return sign(s, nil, claims{"sub": nil}) }},
		{"alg none", "compact serialization", func(s *site) string { return sign(s, claims{"alg": "none"}, nil) }},
		{"HS256 with the client secret", wrongAlg, func(s *site) string { return sign(s, claims{"alg": "HS256"}, nil) }},
		{"another key", wrongSig, func(s *site) string {
			return signed(strangerKey(), claims{"alg": "RS256", "kid": s.idp.KeyID()}, decoded(sign(s, nil, nil), 1))
		}},
		{"a kid that nobody published", "publishes no key", func(s *site) string { return sign(s, claims{"kid": "x"}, nil) }},
		{"a logout token", "another kind", func(s *site) string { return sign(s, claims{"typ": "logout+jwt"}, nil) }},
		{"two sub", oddClaims, func(s *site) string {
			return s.idp.SignRaw([]byte(`{"alg":"RS256","kid":"`+s.idp.KeyID()+`"}`), []byte(adding(`"sub":"eve"`)(decoded(sign(s, nil, nil), 1))))
		}},
		{"no JWT at all", "compact serialization", func(*site) string { return `{"sub":"ada"}` }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site, o *ginauth.Options) { always(s, o); o.KeepClaims = []string{"nickname"} })
			s.idp.Handle(authtest.Userinfo, func(w http.ResponseWriter, r *http.Request) {
				answers(200, "application/jwt", tt.token(s))(w, r)
			})
			if tt.name == "good" || tt.name == "with an expiry" {
				s.accepts(t, "/login/demo")
				return
			}
			s.refuses(t, "/login/demo", ginauth.ErrUserinfoInvalid, tt.reason, 1)
		})
	}
}

func e3UserinfoFails(t *testing.T) {
	for name, set := range map[string]func(idp *authtest.Provider){
		"401": func(idp *authtest.Provider) {
			idp.Handle(authtest.Userinfo, answers(401, "application/json", `{"sub":"ada","email":"evil@example.com","error":"invalid_token"}`))
		},
		"403": func(idp *authtest.Provider) {
			idp.Handle(authtest.Userinfo, answers(403, "application/json", `{"sub":"ada","name":"Evil"}`))
		},
		"201": func(idp *authtest.Provider) {
			idp.Handle(authtest.Userinfo, answers(201, "application/json", `{"sub":"ada","name":"Evil"}`))
		},
		"500":                func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.ServerError) },
		"503":                func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.Down) },
		"a redirect":         func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.Redirecting) },
		"a page":             func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.HTML) },
		"a reset":            func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.Resetting) },
		"gzip that inflates": func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.Oversized) },
		"JSON without a type": func(idp *authtest.Provider) {
			idp.Handle(authtest.Userinfo, answers(200, "", `{"sub":"ada","name":"Evil"}`))
		},
	} {
		for _, mode := range []string{"always", "missing"} {
			t.Run(name+", asked "+mode, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = mode })
				s.idp.EditIDToken(func(_, c map[string]any) { delete(c, "name"); delete(c, "email") })
				set(s.idp)
				if mode == "always" {
					s.refuses(t, "/login/demo", ginauth.ErrProviderUnavailable, "userinfo", 1)
				} else if u := s.accepts(t, "/login/demo"); u.Name != "" || u.Email != "" || u.Username != "ada" {
					t.Errorf("got %+v", u)
				} else if !strings.Contains(s.logs.String(), "userinfo could not be read") {
					t.Errorf("the log says nothing:\n%s", s.logs)
				}
				if n := s.idp.EvilRequests(); n != 0 {
					t.Errorf("the redirect was followed %d times", n)
				}
			})
		}
	}
	for _, body := range []string{"{}", `{"error":"invalid_token"}`, `{"sub":"ada","sub":"eve"}`, `{"sub":"ada","SUB":"eve"}`, "[]", "", "null"} {
		t.Run("200 with "+body, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, always)
			s.idp.Handle(authtest.Userinfo, answers(200, "application/json", body))
			s.refuses(t, "/login/demo", ginauth.ErrUserinfoInvalid, "userinfo", 1)
		})
	}
}

func e4IDTokenWins(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) { always(s, o); o.KeepClaims = []string{"*"} })
	s.idp.EditIDToken(func(_, c map[string]any) { c["email_verified"] = false; delete(c, "groups") })
	s.idp.EditUserinfo(func(c map[string]any) {
		for name, value := range (claims{
			"iss": "https://evil.example", "aud": "other", "exp": 1, "iat": 1, "nonce": "x", "azp": "other", "auth_time": 1, "acr": "high", "amr": []string{"mfa"},
			"sid": "x", "email_verified": true, "name": "Evil", "email": "evil@example.com", "groups": []string{"from-userinfo"},
		}) {
			c[name] = value
		}
	})
	u := s.accepts(t, "/login/demo")
	if u.Issuer != s.idp.Issuer || u.Name != "Ada Lovelace" || u.Email != "ada@example.com" || u.EmailVerified || u.AuthTime.Year() < 2000 {
		t.Errorf("got %+v", u)
	}
	if len(u.Groups) != 1 || u.Groups[0] != "from-userinfo" {
		t.Errorf("what the ID token lacks was not taken: %v", u.Groups)
	}
}

func e5Request(t *testing.T) {
	t.Parallel()
	s := newSite(t, always)
	s.accepts(t, "/login/demo")
	r := s.idp.LastRequest(authtest.Userinfo)
	if r.Method != "GET" || r.URL.RawQuery != "" || len(r.Body) > 0 || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || len(r.Header["Authorization"]) != 1 {
		t.Errorf("asked with %s %s %v %q", r.Method, r.URL, r.Header, r.Body)
	}
	s.idp.Fail(authtest.Userinfo, authtest.Redirecting307)
	s.browser = s.newBrowser()
	s.refuses(t, "/login/demo", ginauth.ErrProviderUnavailable, "redirect", 2)
	if n := s.idp.EvilRequests(); n != 0 {
		t.Errorf("the token was taken elsewhere %d times", n)
	}
}

func e6EmailVerified(t *testing.T) {
	lenient := func(_ *site, o *ginauth.Options) {
		o.Providers[0].EmailVerified = func(c map[string]any) bool { return c["email_verified"] == true || c["email_verified"] == "true" }
	}
	for _, tt := range []struct {
		value         any
		want, lenient bool
	}{
		{true, true, true}, {"true", false, true}, {"True", false, false}, {1, false, false}, {"1", false, false}, {"false", false, false},
		{false, false, false}, {json.RawMessage("null"), false, false}, {nil, false, false}, {[]bool{true}, false, false}, {claims{"value": true}, false, false},
	} {
		t.Run(fmt.Sprintf("%v", tt.value), func(t *testing.T) {
			t.Parallel()
			for i, change := range []func(*site, *ginauth.Options){nil, lenient} {
				s := newSite(t, change)
				s.idp.EditIDToken(func(_, c map[string]any) { put(c, "email_verified", tt.value) })
				s.idp.EditUserinfo(func(c map[string]any) { put(c, "email_verified", tt.value) })
				want := []bool{tt.want, tt.lenient}[i]
				u := s.accepts(t, "/login/demo")
				if u.EmailVerified != want {
					t.Errorf("verified is %t", u.EmailVerified)
				}
				if email, ok := u.VerifiedEmail(); ok != want || (email == "") == want {
					t.Errorf("VerifiedEmail says %q, %t", email, ok)
				}
			}
		})
	}
	t.Run("without an address nothing is verified", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(_ *site, o *ginauth.Options) {
			o.Providers[0].EmailVerified = func(map[string]any) bool { return true }
		})
		s.idp.EditIDToken(func(_, c map[string]any) { delete(c, "email") })
		s.idp.EditUserinfo(func(c map[string]any) { delete(c, "email") })
		if u := s.accepts(t, "/login/demo"); u.EmailVerified || u.Email != "" {
			t.Errorf("got %+v", u)
		}
	})
}

// corpOnly admits addresses of one domain at the door.
func corpOnly(_ *site, o *ginauth.Options) {
	check := ginauth.VerifiedEmailDomain("corp.com")
	o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error { return check(login.User) }
}

func e7UnverifiedEmail(t *testing.T) {
	t.Parallel()
	s := newSite(t, corpOnly)
	s.engine.GET("/corp", s.auth.RequireAuth(ginauth.VerifiedEmailDomain("corp.com")), func(c *gin.Context) { c.String(200, "in") })
	s.idp.EditIDToken(func(_, c map[string]any) { c["email"], c["email_verified"] = "ada@corp.com", false })
	s.refuses(t, "/login/demo", ginauth.ErrIdentityRejected, "no e-mail address that the provider verified", 1)
	s.idp.EditIDToken(func(_, c map[string]any) { c["email"] = "ada@corp.com" })
	s.accepts(t, "/login/demo")
	if p := s.get("/corp"); p.Text() != "in" {
		t.Errorf("the guard says %s", p.Text())
	}
	if email, ok := (&ginauth.User{Email: "ada@corp.com"}).VerifiedEmail(); email != "" || ok {
		t.Errorf("VerifiedEmail says %q, %t", email, ok)
	}
}

// e8EmailIsNoIdentity: a tenant's administrator may write any address into an
// account. Without the provider's own word for it, it is not verified, and who
// somebody is never depends on it.
func e8EmailIsNoIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].EmailVerified = func(c map[string]any) bool { return c["xms_edov"] == true || c["xms_edov"] == "1" }
	})
	ids := map[string]bool{}
	for _, tt := range []struct {
		sub      string
		edov     any
		verified bool
	}{{"attacker", nil, false}, {"attacker", false, false}, {"victim", true, true}} {
		s.browser = s.newBrowser()
		s.idp.EditIDToken(func(_, c map[string]any) {
			c["sub"], c["email"], c["email_verified"] = tt.sub, "victim@corp.com", true
			put(c, "xms_edov", tt.edov)
		})
		s.idp.EditUserinfo(func(c map[string]any) { c["sub"] = tt.sub })
		u := s.accepts(t, "/login/demo")
		ids[u.ID()] = true
		if u.EmailVerified != tt.verified || u.Email != "victim@corp.com" {
			t.Errorf("%s: got %+v", tt.sub, u)
		}
	}
	if len(ids) != 2 {
		t.Errorf("the ids are %v", ids)
	}
}

func e9OddAddresses(t *testing.T) {
	for _, tt := range []struct {
		email string
		good  bool
	}{
		{"a@evil.com@corp.com", false}, {"v@corp.com\n", false}, {"v\uff20corp.com", false}, {"v\ufe6bcorp.com", false}, {"v@corp.com.", false},
		{`"a@corp.com"@evil.com`, false}, {`"a"@corp.com`, false}, {"v@evilcorp.com", false}, {"v@corp.com.evil", false}, {"v@c\u043erp.com", false},
		{"v@mail.corp.com", false}, {"@corp.com", false}, {"v@", false}, {"corp.com", false}, {"v @corp.com", false}, {" v@corp.com", false}, {"v@corp.com ", false},
		{"Ada <v@corp.com>", false}, {"v@corp.com,w@evil.com", false}, {"v(x)@corp.com", false}, {"v@[127.0.0.1]", false}, {"v@corp.com\t", false},
		{"v@\u212aorp.com", false}, {"v@corp\u3002com", false}, {strings.Repeat("v", 250) + "@corp.com", false},
		{"V@CORP.COM", true}, {"v+w@Corp.com", true}, {"o'neil@corp.com", true},
	} {
		t.Run(fmt.Sprintf("%.40q", tt.email), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, corpOnly)
			s.idp.EditIDToken(func(_, c map[string]any) { c["email"], c["email_verified"] = tt.email, true })
			if tt.good {
				s.accepts(t, "/login/demo")
				return
			}
			s.refuses(t, "/login/demo", ginauth.ErrIdentityRejected, "the e-mail address is not at any of", 1)
		})
	}
	for _, email := range []string{"v@di\u017fk.example", "v@dis\u212a.example", "v@dis%6b.example"} { // Unicode folds both into ASCII letters
		if ginauth.VerifiedEmailDomain("disk.example")(&ginauth.User{Email: email, EmailVerified: true}) == nil {
			t.Errorf("%q is at disk.example", email)
		}
	}
}

func e10NoID(t *testing.T) {
	for _, profile := range []string{`{}`, `{"id":null}`, `{"id":0}`, `{"id":""}`, `{"id":false}`, `{"id":[1]}`, `{"id":{}}`, `{"id":1.5}`, `{"id":-0}`, `{"ID":1}`,
		`{"id":1,"id":2}`, `{"id":1,"Id":2}`, `{"id":"a\u0000"}`, `{"id":"` + strings.Repeat("a", 256) + `"}`, `[]`} {
		t.Run(fmt.Sprintf("%.30s", profile), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, plain)
			s.idp.Handle(authtest.Userinfo, answers(200, "application/json", profile))
			s.refuses(t, "/login/demo", ginauth.ErrIdentityRejected, "", 1)
		})
	}
	t.Run("an error is nobody", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, plain)
		s.idp.Handle(authtest.Userinfo, answers(403, "application/json", `{"id":7,"message":"rate limit"}`))
		s.refuses(t, "/login/demo", ginauth.ErrProviderUnavailable, "", 1)
	})
}

func e11LargeID(t *testing.T) {
	for _, id := range []string{"9007199254740993", "18446744073709551617", "1", "-5"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, plain)
			s.idp.Handle(authtest.Userinfo, answers(200, "application/json", `{"id":`+id+`}`))
			if u := s.accepts(t, "/login/demo"); u.Subject != id || u.ID() != "https://idp.example#"+id {
				t.Errorf("the id is %q", u.ID())
			}
		})
	}
}

func e12Renamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		plain(s, o)
		o.Providers[0].ClaimPaths["preferred_username"] = "login"
	})
	sign := func(profile string) *ginauth.User {
		s.browser = s.newBrowser()
		s.idp.Handle(authtest.Userinfo, answers(200, "application/json", profile))
		return s.accepts(t, "/login/demo")
	}
	first, renamed, recycled := sign(`{"id":7,"login":"ada"}`), sign(`{"id":7,"login":"countess"}`), sign(`{"id":8,"login":"ada"}`)
	if first.ID() != renamed.ID() || first.ID() == recycled.ID() || recycled.Username != "ada" {
		t.Errorf("the ids are %q, %q, %q", first.ID(), renamed.ID(), recycled.ID())
	}
}

var errRefused = errors.New("this one may not come in")
