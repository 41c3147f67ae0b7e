package ginauth

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Code is a stable name for an error. It appears in JSON responses, on error pages and in the
// log. A Code is itself an error, so that errors.Is(err, ginauth.ErrStateInvalid) works, and
// hooks and checks may return one, alone or wrapped.
type Code string

// Error returns the code.
func (c Code) Error() string { return string(c) }

// The codes, each with the HTTP status of its response. docs/errors.md lists the causes of
// each and their fixes.
const (
	ErrInvalidOptions        Code = "invalid_options"        // returned by Mount and SetProviders; 500 if a handler uses a feature that the options do not enable
	ErrUnknownProvider       Code = "unknown_provider"       // 404: no provider has that name
	ErrMethodNotAllowed      Code = "method_not_allowed"     // 405
	ErrBadRequest            Code = "bad_request"            // 400, 413 or 415: malformed, duplicate, too large or contradictory parameters; or the request has no session
	ErrStateInvalid          Code = "state_invalid"          // 400: the state is missing, used, expired or of another browser (RFC 6749, section 10.12)
	ErrIssuerMismatch        Code = "issuer_mismatch"        // 400: iss (RFC 9207) does not match, or is missing although announced
	ErrProviderDenied        Code = "provider_denied"        // 403: the user or the provider denied access
	ErrProviderError         Code = "provider_error"         // 502: any other error response of the provider
	ErrCodeRejected          Code = "code_rejected"          // 400: the token endpoint returned invalid_grant
	ErrProviderMisconfigured Code = "provider_misconfigured" // 502: the configuration or the metadata does not match the provider
	ErrProviderUnavailable   Code = "provider_unavailable"   // 502: the provider does not respond, or its response is invalid
	ErrProviderTimeout       Code = "provider_timeout"       // 504: the provider does not respond in time
	ErrBadTokenResponse      Code = "bad_token_response"     // 502: the token response is invalid
	ErrIDTokenInvalid        Code = "id_token_invalid"       // 403: a check of the ID token failed
	ErrUserinfoInvalid       Code = "userinfo_invalid"       // 403: the userinfo subject is not that of the ID token
	ErrIdentityRejected      Code = "identity_rejected"      // 403: rejected by Provider.VerifyClaims or Hooks.OnLogin, or the identity is invalid
	ErrSessionError          Code = "session_error"          // 500: the session could not be written, or a function was called at the wrong time
	ErrStoreUnavailable      Code = "store_unavailable"      // 503: Options.Revocations, Options.Sessions or Options.Tokens failed
	ErrLoginLoop             Code = "login_loop"             // 508: the browser signs in repeatedly without sending the session cookie back
	ErrUnauthenticated       Code = "unauthenticated"        // 401, or 303 to /login: no user is signed in
	ErrInvalidToken          Code = "invalid_token"          // 401: the access token, or a credential of Hooks.Authenticate, is invalid, expired or revoked
	ErrForbidden             Code = "forbidden"              // 403: a Check rejected the user
	ErrInsufficientScope     Code = "insufficient_scope"     // 403: the access token does not permit this request (RFC 6750, section 3.1)
	ErrStepUpRequired        Code = "step_up_required"       // 401, or 303 to the provider: see MaxAge and ACR
	ErrCrossOrigin           Code = "cross_origin"           // 403: an unsafe request from another origin
	ErrLogoutTokenInvalid    Code = "logout_token_invalid"   // 400: the back-channel logout token is invalid
)

// statuses maps codes to HTTP statuses.
var statuses = map[Code]int{
	ErrInvalidOptions:        http.StatusInternalServerError,
	ErrUnknownProvider:       http.StatusNotFound,
	ErrMethodNotAllowed:      http.StatusMethodNotAllowed,
	ErrBadRequest:            http.StatusBadRequest,
	ErrStateInvalid:          http.StatusBadRequest,
	ErrIssuerMismatch:        http.StatusBadRequest,
	ErrProviderDenied:        http.StatusForbidden,
	ErrProviderError:         http.StatusBadGateway,
	ErrCodeRejected:          http.StatusBadRequest,
	ErrProviderMisconfigured: http.StatusBadGateway,
	ErrProviderUnavailable:   http.StatusBadGateway,
	ErrProviderTimeout:       http.StatusGatewayTimeout,
	ErrBadTokenResponse:      http.StatusBadGateway,
	ErrIDTokenInvalid:        http.StatusForbidden,
	ErrUserinfoInvalid:       http.StatusForbidden,
	ErrIdentityRejected:      http.StatusForbidden,
	ErrSessionError:          http.StatusInternalServerError,
	ErrStoreUnavailable:      http.StatusServiceUnavailable,
	ErrLoginLoop:             http.StatusLoopDetected,
	ErrUnauthenticated:       http.StatusUnauthorized,
	ErrInvalidToken:          http.StatusUnauthorized,
	ErrForbidden:             http.StatusForbidden,
	ErrInsufficientScope:     http.StatusForbidden,
	ErrStepUpRequired:        http.StatusUnauthorized,
	ErrLogoutTokenInvalid:    http.StatusBadRequest,
	ErrCrossOrigin:           http.StatusForbidden,
}

// Error is the type of every error of this package. Browsers and API clients receive the Code
// and a sentence for users; the log also has ID, Reason, Fix and Err. No field contains a
// token, a code, a state or a cookie.
type Error struct {
	Code     Code   `json:"code"`
	ID       string `json:"id,omitempty"`       // stable id of the reason: "id_token.nonce"; an anchor in docs/errors.md
	Op       string `json:"op,omitempty"`       // the operation that failed: "exchange code"
	Provider string `json:"provider,omitempty"` // Provider.Name, or ""

	// Event is what failed, for [Hooks.OnError]: [SignInFailed], [SignOutFailed] or
	// [RequestRefused]. It is the name of the event that reports the error; unauthenticated
	// requests, which have no event, have RequestRefused. It is "" in errors returned by
	// functions of this package.
	Event EventName `json:"event,omitempty"`

	Reason string `json:"reason,omitempty"` // what is wrong, for developers
	Fix    string `json:"fix,omitempty"`    // how to fix it, for developers
	Err    error  `json:"-"`                // the cause; only logged

	status     int           // if not that of the Code
	retryAfter time.Duration // sent as Retry-After
	allow      string        // sent as Allow
	retry      string        // path that "Try again" leads to, or ""
	text       string        // key of the sentence for users; "" for that of Code
	user       string        // hash of the User.ID, or "": for the event
	took       time.Duration // spent waiting for the provider: for the event
	demand     *demand       // of a Check, with ErrStepUpRequired
	scope      string        // of HasScope, with ErrInsufficientScope: space-separated
	opened     *opened       // the session that the demand is about, if its user is not the request's
	endedBy    EventBy       // who rejected a recheck; "" for other errors
	during     EventName     // the event that Fail reports: see during
}

// Error formats the error on one line.
func (e *Error) Error() string {
	if e == nil { // a nil *Error in a non-nil error interface
		return "ginauth: nil *Error"
	}
	var b strings.Builder
	b.WriteString("ginauth: ")
	for _, part := range []string{e.Provider, e.Op} {
		if part != "" {
			b.WriteString(part)
			b.WriteString(": ")
		}
	}
	if e.Reason == "" {
		b.WriteString(string(e.Code))
	} else {
		b.WriteString(e.Reason)
	}
	if e.Fix != "" {
		b.WriteString("; ")
		b.WriteString(e.Fix)
	}
	if e.Err != nil {
		b.WriteString(": ")
		fmt.Fprint(&b, e.Err) // fmt handles a nil pointer
	}
	return b.String()
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// Is reports whether target is the [Code] of e, for [errors.Is].
func (e *Error) Is(target error) bool { return e != nil && target == error(e.Code) }

// Status returns the HTTP status of the response: that of its Code, or 500 if the Code is not
// defined by this package.
func (e *Error) Status() int {
	if e.status != 0 {
		return e.status
	}
	return cmp.Or(statuses[e.Code], http.StatusInternalServerError)
}

// errorPages maps the first word of an ID, of an error or of another line in the log, to the
// page of docs/ that explains it. A few IDs are on another page than the rest of their area,
// since they have another code; those are listed in full. Each page has an anchor for each of
// its IDs.
var errorPages = map[string]string{
	"access_token": requestsPage, "authorize": requestsPage, "bearer": requestsPage, "check": requestsPage, "claims": requestsPage, "form_post": requestsPage,
	"guard": requestsPage, "hook": requestsPage, "introspection": requestsPage, "login": requestsPage, "logout": requestsPage, "logout_token": requestsPage,
	"profile": requestsPage, "provider": requestsPage, "request": requestsPage, "session": requestsPage, "store": requestsPage,
	"api": signInsPage, "diagnose": signInsPage, "discovery": signInsPage, "http": signInsPage, "id_token": signInsPage, "jwt": signInsPage,
	"recheck": signInsPage, "refresh": signInsPage, "response": signInsPage, "state": signInsPage, "token": signInsPage, "userinfo": signInsPage,
	"mount": setupPage, "options": setupPage, "page": setupPage, "providers": setupPage,

	"claims.groups_elsewhere": signInsPage, "profile.json": signInsPage, "introspection.endpoint": signInsPage, "introspection.json": signInsPage, "login.link_session_ended": signInsPage,
	"provider.failed": signInsPage, "session.signed_out_before": signInsPage,
	"recheck.failed": requestsPage, "recheck.nothing_to_ask": requestsPage, "recheck.person_required": requestsPage, "recheck.token_expired": requestsPage,
	"refresh.consent": requestsPage, "refresh.invalid_grant": requestsPage, "refresh.lost": requestsPage, "refresh.no_token": requestsPage, "refresh.scopes_missing": requestsPage,
	"response.ambiguous": requestsPage, "response.code": requestsPage, "response.code_and_error": requestsPage, "response.duplicate": requestsPage,
	"response.empty": requestsPage, "response.form_and_query": requestsPage, "response.mode": requestsPage, "response.unreadable": requestsPage,
	"state.too_large": requestsPage, "state.too_long": requestsPage,
	"api.address": setupPage, "recheck.no_tokens": setupPage,
}

const (
	signInsPage  = "docs/errors.md"          // sign-ins, and the responses of providers
	requestsPage = "docs/errors-requests.md" // guarded requests, sessions, and functions of the application
	setupPage    = "docs/errors-setup.md"    // Options, and lines in the log
)

// signInCodes are the codes with a section on signInsPage. ErrInvalidOptions has one on
// setupPage, every other code on requestsPage.
var signInCodes = []Code{
	ErrStateInvalid, ErrProviderDenied, ErrCodeRejected, ErrProviderError, ErrProviderMisconfigured, ErrProviderUnavailable, ErrProviderTimeout,
	ErrBadTokenResponse, ErrIssuerMismatch, ErrIDTokenInvalid, ErrUserinfoInvalid,
}

// section returns the page and anchor in the repository that explain the error: its ID, or its
// Code if the ID is not of this package. It returns "" if the Code is not, either.
func (e *Error) section() string {
	area, _, _ := strings.Cut(e.ID, ".")
	setting := e.Code == ErrInvalidOptions && (area == "options" || area == "provider") // these ids are derived from the name of the setting, and have no anchors
	switch page := cmp.Or(errorPages[e.ID], errorPages[area]); {
	case statuses[e.Code] == 0:
		return ""
	case page != "" && !setting:
		return page + "#" + e.ID
	case e.Code == ErrInvalidOptions:
		return setupPage + "#" + string(e.Code)
	case slices.Contains(signInCodes, e.Code):
		return signInsPage + "#" + string(e.Code)
	}
	return requestsPage + "#" + string(e.Code)
}

// docs returns the URL of the section, or "".
func (e *Error) docs() string {
	if section := e.section(); section != "" {
		return "https://github.com/ginauth/ginauth/blob/main/" + section
	}
	return ""
}

// complete returns a copy of err as an *Error, with missing ID, Op and Provider taken from
// rest. It is a copy since several requests may share one error. An err of another type
// becomes the cause of rest; a Code in it becomes the code.
func complete(err error, rest Error) *Error {
	if e, _ := errors.AsType[*Error](err); e != nil {
		c := *e
		c.ID, c.Op, c.Provider = cmp.Or(e.ID, rest.ID), cmp.Or(e.Op, rest.Op), cmp.Or(e.Provider, rest.Provider)
		return &c
	}
	if code, ok := errors.AsType[Code](err); ok { // as a hook returns one: alone, or wrapped
		rest.Code = code
	}
	if r, ok := errors.AsType[refusal](err); ok {
		rest.ID, rest.Reason, rest.Fix = r.id, r.reason, r.fix
		return &rest
	}
	rest.Err = err
	return &rest
}

// during sets the event that Fail reports for err.
func during(event EventName, err error) error {
	if err == nil {
		return nil
	}
	e := complete(err, Error{Code: ErrSessionError, ID: "request.failed"})
	e.during = event
	return e
}

// retryAfter is the Retry-After of store failures.
const retryAfter = 5 * time.Second
