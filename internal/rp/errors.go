package rp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/fetch"
)

// Code is the kind of failure of an Error. The texts are those of the error codes of package
// ginauth, except for the last two.
type Code string

// The codes.
const (
	BadRequest            Code = "bad_request"
	IssuerMismatch        Code = "issuer_mismatch"
	StateInvalid          Code = "state_invalid"
	ProviderDenied        Code = "provider_denied"
	ProviderError         Code = "provider_error"
	CodeRejected          Code = "code_rejected"
	ProviderMisconfigured Code = "provider_misconfigured"
	ProviderUnavailable   Code = "provider_unavailable"
	ProviderTimeout       Code = "provider_timeout"
	BadTokenResponse      Code = "bad_token_response"
	IDTokenInvalid        Code = "id_token_invalid"
	UserinfoInvalid       Code = "userinfo_invalid"
	StepUpRequired        Code = "step_up_required"
	IdentityRejected      Code = "identity_rejected"
	LogoutTokenInvalid    Code = "logout_token_invalid"
	InvalidToken          Code = "invalid_token"
)

// Error is the error of every method of Client, alone or joined with others by errors.Join. Text
// that a provider or a browser sent is only in Cause, or clipped and quoted in the other fields.
type Error struct {
	Code     Code
	ID       string // of the reason, stable: "id_token.nonce"
	Provider string // Config.Name
	Op       string // the operation that failed: "redeem code"
	Reason   string // what is wrong, for developers
	Fix      string // how to fix it, for developers
	Cause    error  // only logged

	// RetryAfter is how long to wait before trying again; 0 if that is unknown.
	RetryAfter time.Duration

	// outage is set if the provider was unavailable: no connection, or a response with an
	// unexpected status or media type.
	outage bool

	// unauthorized is set if the provider rejected the access token for the profile.
	unauthorized bool

	// said is set if Config.Profile returned the error.
	said bool

	// Refused is set by Identify if the provider or Config.Profile rejected the user, as
	// opposed to an outage.
	Refused bool

	// clock is set if the reason compares the provider's clock with ours: the
	// token response may show which of the two is wrong.
	clock bool
}

// Error implements error.
func (e *Error) Error() string {
	text := cmp.Or(e.Reason, string(e.Code))
	for _, part := range []string{e.Op, e.Provider} {
		if part != "" {
			text = part + ": " + text
		}
	}
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	if e.Cause != nil {
		text += ": " + fmt.Sprint(e.Cause)
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// fault returns an Error of a check, which knows the reason and the fix. The caller of the check
// knows the operation (see about).
func fault(id, reason, fix string, cause error) *Error {
	return &Error{ID: id, Reason: reason, Fix: fix, Cause: cause}
}

// about returns a copy of err with Code, Op and Provider filled in where they are empty: a copy,
// since several requests may wait for the same error. An err of another type becomes the cause of
// a new Error with that code.
func (c *Client) about(err error, code Code, op string) *Error {
	// Not errors.AsType: an Error that another error wraps is not ours. A function of the
	// application may return the Error of another Client.
	e, ok := err.(*Error)
	if !ok {
		return &Error{Code: code, ID: "provider.failed", Op: op, Provider: c.cfg.Name, Cause: err,
			Reason: "a request to the provider failed", Fix: "see error= for the cause"}
	}
	told := *e
	told.Code, told.Op, told.Provider = cmp.Or(e.Code, code), cmp.Or(e.Op, op), cmp.Or(e.Provider, c.cfg.Name)
	return &told
}

func (c *Client) misconfigured(op, id, reason, fix string) *Error {
	return &Error{Code: ProviderMisconfigured, ID: id, Op: op, Provider: c.cfg.Name, Reason: reason, Fix: fix}
}

// unreachable turns an error of package fetch or the context into an Error. Each kind has its own
// ID, since the remedies for a firewall, a certificate and a login page in between differ.
// RetryAfter is the longest time for which a failure is remembered.
func (c *Client) unreachable(op string, err error) *Error {
	e := &Error{Code: ProviderUnavailable, ID: "http.unusable", Op: op, Provider: c.cfg.Name, Cause: err, RetryAfter: longestRetry, outage: true,
		Reason: "the provider's response is invalid", Fix: "check what responds at this address: the provider or a proxy"}
	f, ok := errors.AsType[*fetch.Error](err)
	// The default fix stays where only the provider can solve the problem.
	switch {
	case errors.Is(err, context.DeadlineExceeded) || ok && f.Kind() == fetch.Timeout:
		e.Code, e.ID, e.Reason = ProviderTimeout, "http.timeout", "the provider did not respond in time"
		e.Fix = "try again; if it persists, check that the provider is up and that no firewall or proxy (HTTPS_PROXY) drops the connection"
	case ok && f.Kind() == fetch.TLS:
		e.ID, e.Reason, e.Fix = certificate(f)
	// No standard lets these endpoints redirect, and the request contains secrets.
	case ok && f.Kind() == fetch.Redirect:
		e.ID, e.Reason, e.Fix = "http.redirect", "the provider responded with a redirect, which is not followed", "set the final address in Provider"
	// Mostly an HTML page with status 200: JSON in it could come from anyone.
	case ok && f.Kind() == fetch.ContentType:
		e.ID, e.Reason = "http.media_type", "the provider's response is not JSON: it "+f.Detail
		e.Fix = "check Issuer and the endpoints, and whether a login page or a proxy responds instead"
	case ok && f.Kind() == fetch.TooLarge:
		e.ID, e.Reason = "http.too_large", "the provider's response exceeds the size limit"
	case ok && f.Kind() == fetch.Status && f.Status == http.StatusNotFound:
		e.ID, e.Reason, e.Fix = "http.not_found", "the provider's address was not found (404)", "check Issuer and the endpoints"
	case ok && f.Kind() == fetch.Status:
		e.ID, e.Reason, e.Fix = "http.status", fmt.Sprintf("the provider responded with status %d", f.Status), "check the provider's log"
	case ok && f.Kind() == fetch.Network:
		e.ID, e.Reason, e.Fix = "http.network", "the provider is unreachable: "+f.Detail, "check that the provider is running and that the address is right"
	}
	if ok && f.Host != "" {
		e.Reason += " (" + f.Host + ")"
	}
	return e
}

// certificate explains why a connection is not trusted. Core, 3.1.3.7 (6) lets TLS vouch for the
// issuer, and 5.3.4: "The Client MUST verify that the OP that responded was the intended OP
// through a TLS server certificate check". No option disables it.
func certificate(f *fetch.Error) (id, reason, fix string) {
	reason = "the provider's certificate is not trusted: " + strings.TrimPrefix(f.Detail, "tls: ")
	switch f.ID {
	case fetch.NotTLS:
		return "http.no_tls", "the provider's address does not support https",
			"use http (only for loopback and development), or the port that serves https"
	case fetch.CertificateHost:
		return "http.certificate_host", reason, "use the host name of the certificate in Issuer and the endpoints"
	case fetch.CertificateExpired:
		return "http.certificate_expired", reason, "have the provider's certificate renewed, and check this machine's clock"
	}
	return "http.certificate", reason, "set Options.HTTPClient with RootCAs for a private certificate authority"
}

// clockReading is the provider's clock in a response, and ours when it arrived.
type clockReading struct {
	date string // the Date header
	came time.Time
}

// compare returns the end of a reason that says which clock is ahead, or "" if they differ by
// no more than Leeway. A rejected ID token proves nothing about the clocks; the Date of the
// response that contained it does (RFC 9110, 6.6.1).
func (r clockReading) compare() string {
	theirs, err := http.ParseTime(r.date)
	if err != nil {
		return ""
	}
	skew := theirs.Sub(r.came)
	const text = ", which is %v %s the provider's"
	switch by := skew.Abs().Round(time.Second); {
	case skew > Leeway:
		return fmt.Sprintf(text, by, "behind")
	case skew < -Leeway:
		return fmt.Sprintf(text, by, "ahead of")
	}
	return ""
}
