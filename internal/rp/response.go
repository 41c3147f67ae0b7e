package rp

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ginauth/ginauth/internal/oauthcode"
	"github.com/ginauth/ginauth/internal/printable"
)

// CodeLimit is the maximum length of an authorization code, in bytes. RFC 6749, 4.1.2: "The client
// should avoid making assumptions about code value sizes." The codes of Azure AD B2C have more
// than 2,600 bytes.
const CodeLimit = 4096

// ResponseParams are the parameters of an authorization response on which decisions depend.
var ResponseParams = [...]string{"state", "code", "iss", "error"}

// CheckParams rejects a response that two programs could interpret in two ways. RFC 6749, 3.1:
// "Request and response parameters MUST NOT be included more than once." Otherwise a proxy in
// front of the application could check one of two codes, and ginauth redeem the other.
//
// Look-alike names are rejected for the same reason: some programs ignore case, and PHP and Rails
// read code[] as a list called code. All other parameters pass (4.1.2): "The client MUST ignore
// unrecognized response parameters."
func CheckParams(response url.Values) error {
	for name, values := range response {
		for _, known := range ResponseParams {
			if name == known && len(values) > 1 {
				return &Error{Code: BadRequest, ID: "response.duplicate", Reason: fmt.Sprintf("duplicate parameter %q", known), Fix: "start again"}
			}
			if name != known && (strings.EqualFold(name, known) || strings.HasPrefix(strings.ToLower(name), known+"[")) {
				return &Error{Code: BadRequest, ID: "response.ambiguous", Reason: fmt.Sprintf("a parameter name resembles %q", known), Fix: "start again"}
			}
		}
	}
	return nil
}

// CheckResponse checks an authorization response whose state the caller has matched: that it is
// from this provider, is not an error response, and has a code of valid form. Its only request is
// discovery.
func (c *Client) CheckResponse(ctx context.Context, response url.Values) error {
	m, err := c.metadata(ctx)
	if err != nil {
		return err
	}
	// Before anything else, even before an error response is trusted. RFC 9207, 2.4: "For
	// error responses, clients MUST NOT assume that the error originates from the
	// intended authorization server."
	if err := c.checkResponseIssuer(m, response); err != nil {
		return c.about(err, IssuerMismatch, "check response")
	}
	// RFC 6749, 3.1: "Parameters sent without a value MUST be treated as if they
	// were omitted".
	code, refusal := response.Get("code"), response.Get("error")
	if code == "" && !response.Has("error") {
		refusal = response.Get("error_code") // Facebook's dialogs send only this parameter
	}
	refused := refusal != "" || code == "" && response.Has("error")
	bad := func(id, reason string) error {
		return &Error{Code: BadRequest, ID: id, Op: "check response", Provider: c.cfg.Name, Reason: reason, Fix: "start again"}
	}
	switch {
	case code != "" && refused:
		return bad("response.code_and_error", "the response has both a code and an error")
	case refused:
		return c.refusal(refusal, response)
	case code == "" && c.cfg.Quirks.SilentRefusal:
		return &Error{Code: ProviderDenied, ID: "response.access_denied", Op: "authorize", Provider: c.cfg.Name, Reason: "the provider returned only the state",
			Fix: "ignore this: this provider reports a cancellation this way"}
	case code == "":
		return bad("response.empty", "the response has neither a code nor an error")
	case len(code) > CodeLimit || !visible(code):
		return bad("response.code", "the code has invalid characters or is too long")
	}
	// The application's own check comes last, so that it can rely on the checks above. It gets a
	// copy, so that its changes do not affect the code that is redeemed.
	if c.cfg.VerifyCallback != nil {
		if err := c.cfg.VerifyCallback(copyOf(response)); err != nil {
			return &Error{Code: ProviderError, ID: "response.verify_callback", Op: "check response", Provider: c.cfg.Name, Reason: "Provider.VerifyCallback rejected the response",
				Fix: "start again; if it persists, check why VerifyCallback fails (often the client secret)", Cause: err}
		}
	}
	return nil
}

// copyOf returns a copy of a response that shares nothing with it.
func copyOf(response url.Values) url.Values { return url.Values(http.Header(response).Clone()) }

// visible reports whether s consists of visible ASCII characters, like codes and bearer tokens
// (VSCHAR in RFC 6749, appendix A.11, without the space; RFC 6750, section 2.1).
func visible(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// checkResponseIssuer protects against mix-up attacks (RFC 9700, section 4.4). RFC 9207, 2.4: "If
// the value does not match the expected issuer identifier, clients MUST reject the authorization
// response and MUST NOT proceed with the authorization grant." The same holds for a response
// without an iss if the metadata announces it.
func (c *Client) checkResponseIssuer(m *metadata, response url.Values) error {
	iss, there := response["iss"]
	want := c.cfg.ResponseIssuer
	// RFC 9207, 2.4: "This comparison MUST use simple string comparison", and: "Clients MUST
	// reject authorization responses without the iss parameter from authorization servers that
	// do support the parameter according to the client's configuration." An unannounced iss is
	// compared as well.
	switch {
	case there && want != "" && iss[0] != want:
		return fault("response.issuer", fmt.Sprintf("the response is from %q, not from %q", printable.Clip(iss[0]), want),
			"set Provider.ResponseIssuer to that address if it is the provider's", nil)
	// Nothing shows that the code is this provider's. If other providers share the callback path,
	// it may be theirs (RFC 9700, 4.4.1), and this provider's token endpoint would get it with the
	// verifier.
	case there && want == "" && c.cfg.SharedRedirect:
		return fault("response.issuer_unknown", fmt.Sprintf("the response is from %q, which cannot be compared: this provider has no configured iss, and it shares its callback path with others", printable.Clip(iss[0])),
			"give this provider a separate CallbackPath, or set Provider.ResponseIssuer if that is its iss", nil)
	case !there && m.issParam:
		reason, sent := "the response lacks the iss parameter that the provider's metadata announces", secrets{response.Get("state")}
		if code := response.Get("error"); code != "" {
			reason += "; its error is " + sent.quote(code)
		}
		return fault("response.issuer_missing", reason, `have the provider send iss (Keycloak: turn off "Exclude Issuer From Authentication Response" for this client), or correct its metadata`,
			sent.describe(response.Get("error_description")))
	}
	return nil
}

// unannounced returns a warning if other providers share the redirect URI, and this metadata does
// not announce an iss, which would distinguish their responses.
//
// RFC 9700, 2.1: "When an OAuth client can interact with more than one authorization
// server, a defense against mix-up attacks (see Section 4.4) is REQUIRED." It is the iss
// parameter, or distinct redirect URIs.
func (c *Client) unannounced(m *metadata) *Error {
	if m == nil || m.issParam || !c.cfg.SharedRedirect {
		return nil
	}
	return c.misconfigured("callback", "diagnose.callback_shared", "the provider shares its callback path with others and does not announce the iss parameter (RFC 9207): a dishonest one of them can obtain codes intended for this provider",
		"give it a separate CallbackPath, and register that redirect URI at the provider")
}

// warnAboutMixUp logs the warning of unannounced.
func (c *Client) warnAboutMixUp(m *metadata) {
	if e := c.unannounced(m); e != nil {
		c.cfg.Warn(e.ID, "a callback path is shared without mix-up protection", e)
	}
}

// refusal returns the Error for an error response (RFC 6749, section 4.1.2.1; OpenID Connect Core
// 1.0, section 3.1.2.6). The provider's description goes into the cause, quoted: anyone who can
// make a user follow a link can forge it, with any characters.
func (c *Client) refusal(code string, response url.Values) error {
	sent := secrets{response.Get("state")}
	e := &Error{Code: ProviderError, ID: "response.error", Op: "authorize", Provider: c.cfg.Name, Reason: "the provider returned the error " + sent.quote(code),
		Fix: "check the provider's log", Cause: sent.describe(cmp.Or(response.Get("error_description"), response.Get("error_message")))}
	switch oauthcode.Canonical(code) {
	case oauthcode.AccessDenied:
		e.Code, e.ID, e.Fix = ProviderDenied, "response.access_denied", "ignore this if the user canceled; otherwise check at the provider who may use this client"
	// Unmet Authentication Requirements 1.0, 2: the provider "is unable to meet the
	// requirements of the Relying Party for the authentication of the End-User".
	case "unmet_authentication_requirements":
		e.Code, e.ID, e.Fix = ProviderDenied, "response.requirements_unmet", "check at the provider whether the user can meet the requested acr_values and max_age"
	// 3.1.2.6: they "MAY be returned when the prompt parameter value in the
	// Authentication Request is none".
	case "login_required", "consent_required", "interaction_required", "account_selection_required":
		e.Code, e.ID, e.Fix = ProviderDenied, "response.interaction_required", "start the sign-in without prompt=none, so that the provider can interact with the user"
	case "redirect_uri_mismatch":
		e.Code, e.ID, e.Fix = ProviderMisconfigured, "response.redirect_uri_mismatch", "register exactly this redirect URI at the provider: "+c.cfg.RedirectURI
	// 4.1.2.1: these codes exist "because a 500 Internal Server Error HTTP status code
	// cannot be returned to the client via an HTTP redirect".
	case "temporarily_unavailable", "server_error":
		e.ID, e.RetryAfter, e.Fix = "response.unavailable", longestRetry, "try again later: the provider reports an internal problem"
	case "invalid_scope":
		e.ID, e.Fix = "response.invalid_scope", "compare Provider.Scopes with the scopes allowed for the client at the provider"
	case "unauthorized_client", "invalid_request", "unsupported_response_type":
		e.ID, e.Fix = "response.invalid_request", "check the client's registration at the provider: authorization code flow, and redirect URI "+c.cfg.RedirectURI
	}
	return e
}
