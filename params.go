package ginauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/ginauth/ginauth/internal/printable"
)

const codeLimit = 4096 // bytes

// checkAnswer checks what came back with a state that matched: who it is from
// (RFC 9207), whether it is a refusal, and that the code can be one.
func (c *client) checkAnswer(ctx context.Context, params url.Values) error {
	if c.provider.ResponseMode == "form_post" && len(params) == 1 {
		return &Error{Code: ErrBadRequest, Op: "check answer", Provider: c.provider.Name, Reason: "the provider's form did not come along to this page: the cookie that carries it is gone, or older than a minute",
			Fix: "start again"}
	}
	m, err := c.metadata(ctx)
	if err != nil {
		return err
	}
	iss, there := params["iss"]
	want := c.provider.ResponseIssuer
	switch {
	case there && want != "" && iss[0] != want:
		return &Error{Code: ErrIssuerMismatch, Op: "check answer", Provider: c.provider.Name, Reason: fmt.Sprintf("the answer is from %q, not from %q", printable.Clip(iss[0]), want),
			Fix: "if that is the provider's own address, set Provider.ResponseIssuer to it"}
	case !there && m.issParam:
		return &Error{Code: ErrIssuerMismatch, Op: "check answer", Provider: c.provider.Name, Reason: "the answer has no iss, which the provider's metadata announces"}
	}
	code, hasCode := params["code"]
	refusal, refused := params["error"]
	switch {
	case hasCode && refused:
		return &Error{Code: ErrBadRequest, Op: "check answer", Provider: c.provider.Name, Reason: "the answer has both a code and an error"}
	case refused:
		return c.refusal(refusal[0], params.Get("error_description"))
	case !hasCode:
		return &Error{Code: ErrBadRequest, Op: "check answer", Provider: c.provider.Name, Reason: "the answer has neither a code nor an error"}
	case code[0] == "" || len(code[0]) > codeLimit || strings.IndexFunc(code[0], func(r rune) bool { return r <= ' ' || r > '~' }) >= 0:
		return &Error{Code: ErrBadRequest, Op: "check answer", Provider: c.provider.Name, Reason: "the code has characters or a length that no code has"}
	}
	if c.provider.VerifyCallback != nil {
		if err := c.provider.VerifyCallback(maps.Clone(params)); err != nil {
			return &Error{Code: ErrProviderError, Op: "check answer", Provider: c.provider.Name, Reason: "Provider.VerifyCallback refused the answer", Err: err}
		}
	}
	return nil
}

// refusal says what an error answer means (RFC 6749 4.1.2.1, OpenID Connect
// Core 3.1.2.6). What the provider wrote beside it goes to the log, quoted.
func (c *client) refusal(code, description string) error {
	e := &Error{Code: ErrProviderError, Op: "authorize", Provider: c.provider.Name, Reason: "the provider answered " + strconv.Quote(printable.Clip(code))}
	if description != "" {
		e.Err = errors.New("the provider's description: " + strconv.QuoteToASCII(printable.Clip(description)))
	}
	switch code {
	case "access_denied":
		e.Code, e.Fix = ErrProviderDenied, "nothing, if the person cancelled; if they did not, look at the provider for who may use this client"
	case "login_required", "consent_required", "interaction_required", "account_selection_required":
		e.Code, e.Fix = ErrProviderDenied, "begin the sign-in without prompt=none, so that the provider may ask the person"
	case "redirect_uri_mismatch":
		e.Code, e.Fix = ErrProviderMisconfigured, "register this redirect URI at the provider, exactly: "+c.redirectURI
	case "temporarily_unavailable", "server_error":
		e.retryAfter = retryMost
	case "invalid_scope":
		e.Fix = "check Provider.Scopes against what the client may ask for at the provider"
	case "unauthorized_client", "invalid_request", "unsupported_response_type":
		e.Fix = "check the client's registration at the provider: flow (authorization code) and redirect URI " + c.redirectURI
	}
	return e
}
