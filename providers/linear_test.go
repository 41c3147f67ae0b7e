package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestLinearRefuses(t *testing.T) {
	for _, tt := range []struct{ name, answer, id, part string }{
		{"a suspended member", `{"data":{"viewer":{"id":"b4f77f99","name":"Petra","active":false}}}`, "claims.rejected", "suspended"},
		{"a state that is no flag", `{"data":{"viewer":{"id":"b4f77f99","name":"Petra","active":"true"}}}`, "claims.rejected", "suspended"},
		{"a state that is not said", `{"data":{"viewer":{"id":"b4f77f99","name":"Petra"}}}`, "claims.rejected", "suspended"},
		{"errors under status 200", `{"errors":[{"message":"Authentication required"}],"data":null}`, "claims.sub", ""},
		{"an id that is not the viewer's", `{"id":"b4f77f99","sub":"b4f77f99","data":{"viewer":{"displayName":"petra","active":true}}}`, "claims.sub", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStandIn(t, "linear")
			s.answers["viewer.json"] = []byte(tt.answer)
			s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, tt.id, tt.part)
		})
	}
}

func TestLinearThatDoesNotAnswer(t *testing.T) {
	s := newStandIn(t, "linear")
	s.status["viewer.json"] = 500
	s.app(s.provider()).refuses(ginauth.ErrProviderUnavailable, "http.status", "500")
}
