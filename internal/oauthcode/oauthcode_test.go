package oauthcode_test

import (
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/oauthcode"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		"access_denied", "user_cancelled_login", "user_cancelled_authorize", "signin_consent_denied", "consent request denied", "login request denied", "request_denied",
		"user_denied", "authorization_denied", "consent_denied", "login_cancelled", "user_cancelled", "user_cancel", "cancelled", "cancel", "denied", "4201",
		"user_canceled_login", "user_canceled_authorize", "user_canceled", "canceled", "access-denied", "Access Denied",
	} {
		for _, spelled := range []string{code, strings.ToUpper(code), strings.ToUpper(code[:1]) + code[1:]} {
			if got := oauthcode.Canonical(spelled); got != oauthcode.AccessDenied {
				t.Errorf("%q is %q, want %q", spelled, got, oauthcode.AccessDenied)
			}
		}
	}
	for code, want := range map[string]string{
		"LOGIN_REQUIRED": "login_required", "consent_required": "consent_required", "server_error": "server_error", "Temporarily_Unavailable": "temporarily_unavailable",
		"": "", "invalid_scope": "invalid_scope", "unauthorized_client": "unauthorized_client", "access_denied_by_policy_engine": "access_denied_by_policy_engine",
		"cancelled_subscription": "cancelled_subscription", "not_denied": "not_denied", "user_cancelled_": "user_cancelled_", "\u212a": "k",
	} {
		if got := oauthcode.Canonical(code); got != want {
			t.Errorf("%q is %q, want %q", code, got, want)
		}
	}
}
