// Package oauthcode normalizes the error codes of authorization responses (RFC 6749, section
// 4.1.2.1), including those that providers send instead.
package oauthcode

import "strings"

// AccessDenied is the standard's code for "no": "The resource owner or
// authorization server denied the request."
const AccessDenied = "access_denied"

// denials are codes that mean AccessDenied, as providers spell it.
var denials = map[string]bool{
	// LinkedIn, on the page to sign in and on the page to consent; Apple the latter.
	// https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow
	// https://developer.apple.com/documentation/signinwithapple/incorporating-sign-in-with-apple-into-other-platforms
	"user_cancelled_login":     true,
	"user_cancelled_authorize": true,

	// WorkOS, if the person rejects the account that they are shown.
	// https://workos.com/docs/sso/login-flows
	"signin_consent_denied": true,

	// Ory Hydra, if the pages that it is told to use name no code.
	// https://github.com/ory/hydra, flow/consent_types.go
	"consent_request_denied": true,
	"login_request_denied":   true,
	"request_denied":         true,

	// Facebook's dialogs, with error_code in place of error, and the message "User
	// canceled the Dialog flow".
	"4201": true,

	// The first drafts of OAuth 2.0, and what is copied from them.
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

// Canonical returns the standard's spelling of a code: AccessDenied for
// everything by which a provider says that the person cancelled or was refused,
// and another code in lower case. LINE documents its codes in capitals, and Ory
// Hydra sends words with spaces between them.
func Canonical(code string) string {
	code = strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(code))
	if denials[strings.ReplaceAll(code, "canceled", "cancelled")] {
		return AccessDenied
	}
	return code
}
