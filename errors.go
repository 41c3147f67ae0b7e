package ginauth

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Code is a stable name for what went wrong: it stands in JSON answers, on
// error pages and in the log. A Code is an error itself, so that
// errors.Is(err, ginauth.ErrStateInvalid) works.
type Code string

// Error returns the code.
func (c Code) Error() string { return string(c) }

// The codes, each with the status of its answer. docs/errors.md says of each
// what can cause it, and what to do.
const (
	ErrInvalidOptions        Code = "invalid_options"        // returned by Mount, never sent
	ErrUnknownProvider       Code = "unknown_provider"       // 404: no provider of that name
	ErrMethodNotAllowed      Code = "method_not_allowed"     // 405
	ErrBadRequest            Code = "bad_request"            // 400, 413 or 415: malformed, duplicate, oversize or contradictory parameters
	ErrStateInvalid          Code = "state_invalid"          // 400: the answer belongs to no login attempt of this browser
	ErrIssuerMismatch        Code = "issuer_mismatch"        // 400: RFC 9207 iss wrong, or missing though announced
	ErrProviderDenied        Code = "provider_denied"        // 403: the person or the provider said no
	ErrProviderError         Code = "provider_error"         // 502: any other error answer of the provider
	ErrCodeRejected          Code = "code_rejected"          // 400: the token endpoint said invalid_grant
	ErrProviderMisconfigured Code = "provider_misconfigured" // 502: client or metadata do not fit the provider
	ErrProviderUnavailable   Code = "provider_unavailable"   // 502: the provider does not answer as it should
	ErrProviderTimeout       Code = "provider_timeout"       // 504: the provider does not answer in time
	ErrBadTokenResponse      Code = "bad_token_response"     // 502: the token answer is not usable
	ErrIDTokenInvalid        Code = "id_token_invalid"       // 403: a check of the ID token failed
	ErrUserinfoInvalid       Code = "userinfo_invalid"       // 403: the userinfo is not about the person of the ID token
	ErrIdentityRejected      Code = "identity_rejected"      // 403: a rule of the application, or OnLogin, said no
	ErrSessionError          Code = "session_error"          // 500: the session could not be made
	ErrStoreUnavailable      Code = "store_unavailable"      // 503: revocations could not be read or written
	ErrLoginLoop             Code = "login_loop"             // 508: signed in again and again, and the session cookie does not come back
	ErrUnauthenticated       Code = "unauthenticated"        // 401, or 303 to the login: nobody is signed in
	ErrForbidden             Code = "forbidden"              // 403: a Check said no
	ErrCrossOrigin           Code = "cross_origin"           // 403: an unsafe request from another origin
	ErrLogoutTokenInvalid    Code = "logout_token_invalid"   // 400: a back-channel logout token that is none
)

// section is where a code is explained in the repository, or "" for one that is
// the application's own.
func (c Code) section() string {
	if statuses[c] == 0 {
		return ""
	}
	return "docs/errors.md#" + string(c)
}

// docs is the address of its section.
func (c Code) docs() string {
	if section := c.section(); section != "" {
		return "https://github.com/ginauth/ginauth/blob/main/" + section
	}
	return ""
}

// statuses are what the codes are answered with.
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
	ErrForbidden:             http.StatusForbidden,
	ErrLogoutTokenInvalid:    http.StatusBadRequest,
	ErrCrossOrigin:           http.StatusForbidden,
}

// Error is every failure of this package. Browsers and API clients are told
// the Code and, in words of this package, what to do; the log gets Reason, Fix
// and Err as well. No field ever holds a token, a code, a state or a cookie.
type Error struct {
	Code     Code   `json:"code"`
	ID       string `json:"id,omitempty"`       // stable id of the reason: "id_token.nonce"; an anchor in docs/errors.md
	Op       string `json:"op,omitempty"`       // what was being done: "exchange code"
	Provider string `json:"provider,omitempty"` // Provider.Name, or ""
	Reason   string `json:"reason,omitempty"`   // what is wrong, for a developer
	Fix      string `json:"fix,omitempty"`      // what to do about it, for a developer
	Err      error  `json:"-"`                  // the cause; for the log alone

	status     int           // where the Code has several
	retryAfter time.Duration // sent as Retry-After
	allow      string        // sent as Allow
	retry      string        // path that "Try again" leads to, or ""
	user       string        // hash of whom it is about, or "": for the event
	took       time.Duration // of it the provider: for the event
}

// Error tells all of it, in one line.
func (e *Error) Error() string {
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
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ginauth.ErrStateInvalid) true for an Error of that Code.
func (e *Error) Is(target error) bool { return target == error(e.Code) }

// Status returns the HTTP status that the error is answered with.
func (e *Error) Status() int {
	if e.status != 0 {
		return e.status
	}
	return cmp.Or(statuses[e.Code], http.StatusInternalServerError)
}

// about returns e with op and provider filled in where they were left open. It
// is a copy: e may be one that several requests wait for, as with discovery.
func (e *Error) about(op, provider string) *Error {
	told := *e
	told.Op, told.Provider = cmp.Or(e.Op, op), cmp.Or(e.Provider, provider)
	return &told
}

// asError returns err as an *Error; one that is none yet gets code.
func asError(err error, code Code) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if r, ok := errors.AsType[refusal](err); ok {
		return &Error{Code: code, Reason: string(r)}
	}
	return &Error{Code: code, Err: err}
}
