// Package oauthcode normalizes the error codes of authorization responses (RFC 6749, section
// 4.1.2.1), including non-standard codes of providers.
package oauthcode

import "strings"

// AccessDenied is the standard code for a denial: "The resource owner or
// authorization server denied the request."
const AccessDenied = "access_denied"

// denials are non-standard codes that mean AccessDenied.
var denials = map[string]bool{
	// LinkedIn, on the sign-in page and on the consent page. Apple sends the second.
	// https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow
	// https://developer.apple.com/documentation/signinwithapple/incorporating-sign-in-with-apple-into-other-platforms
	"user_cancelled_login":     true,
	"user_cancelled_authorize": true,

	// WorkOS, if the user rejects the account that is shown.
	// https://workos.com/docs/sso/login-flows
	"signin_consent_denied": true,

	// Ory Hydra, if its configured login and consent pages reject without a code.
	// https://github.com/ory/hydra, flow/consent_types.go
	"consent_request_denied": true,
	"login_request_denied":   true,
	"request_denied":         true,

	// Facebook's dialogs, with error_code in place of error, and the message "User
	// canceled the Dialog flow".
	"4201": true,

	// The first drafts of OAuth 2.0, and providers that implement them.
	// https://datatracker.ietf.org/doc/html/draft-hammer-oauth2-00#section-3.5.1.1.2
	"user_denied": true,

	// Synonyms that have no other meaning.
	"authorization_denied": true,
	"consent_denied":       true,
	"login_cancelled":      true,
	"user_cancelled":       true,
	"user_cancel":          true,
	"cancelled":            true,
	"cancel":               true,
	"denied":               true,
}

// Canonical returns the standard spelling of a code: AccessDenied for all codes that mean that the
// user canceled or was refused, and any other code in lower case with underscores. LINE documents
// its codes in upper case, and Ory Hydra sends words with spaces between them.
func Canonical(code string) string {
	code = strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(code))
	if denials[strings.ReplaceAll(code, "canceled", "cancelled")] {
		return AccessDenied
	}
	return code
}
