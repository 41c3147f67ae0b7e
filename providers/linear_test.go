package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestLinearRefuses(t *testing.T) {
	for _, tt := range []struct{ name, answer, reason string }{
		{"a suspended member", `{"data":{"viewer":{"id":"b4f77f99","name":"Petra","active":false}}}`, "suspended"},
		{"a state that is no flag", `{"data":{"viewer":{"id":"b4f77f99","name":"Petra","active":"true"}}}`, "suspended"},
		{"a state that is not said", `{"data":{"viewer":{"id":"b4f77f99","name":"Petra"}}}`, "suspended"},
		{"errors under status 200", `{"errors":[{"message":"Authentication required"}],"data":null}`, "no usable subject"},
		{"an id that is not the viewer's", `{"id":"b4f77f99","sub":"b4f77f99","data":{"viewer":{"displayName":"petra","active":true}}}`, "no usable subject"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStandIn(t, "linear")
			s.answers["viewer.json"] = []byte(tt.answer)
			s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, tt.reason)
		})
	}
}

func TestLinearThatDoesNotAnswer(t *testing.T) {
	s := newStandIn(t, "linear")
	s.status["viewer.json"] = 500
	s.app(s.provider()).refuses(ginauth.ErrProviderUnavailable, "500")
}
