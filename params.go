package ginauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/weburl"
)

// Limits of what a request to our own routes may bring.
const (
	queryLimit  = 16 << 10 // bytes
	formLimit   = 64 << 10 // bytes
	paramsMost  = 50
	stateLimit  = 512       // bytes
	codeLimit   = 4096      // bytes
	passedLimit = 256       // bytes of a parameter that is passed on
	movedMark   = "moved=1" // says that a visit was put on BaseURL's host before
)

// readParams reads the query of a GET, or the form of a POST; never both.
// What Go's parsers would drop or guess at is refused.
func readParams(r *http.Request) (url.Values, error) {
	raw, limit := r.URL.RawQuery, queryLimit
	if r.Method == http.MethodPost {
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/x-www-form-urlencoded" {
			return nil, &Error{Code: ErrBadRequest, Reason: "the request's body is not a form", status: http.StatusUnsupportedMediaType}
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, formLimit+1))
		if err != nil {
			return nil, &Error{Code: ErrBadRequest, Reason: "the request's body could not be read", Err: err}
		}
		raw, limit = string(body), formLimit
	}
	if len(raw) > limit {
		return nil, &Error{Code: ErrBadRequest, Reason: fmt.Sprintf("the parameters are longer than %d KB", limit>>10), status: http.StatusRequestEntityTooLarge}
	}
	if strings.Count(raw, "&") >= paramsMost {
		return nil, &Error{Code: ErrBadRequest, Reason: fmt.Sprintf("there are more than %d parameters", paramsMost)}
	}
	params, err := url.ParseQuery(raw)
	if err != nil { // its text quotes what was sent
		return nil, &Error{Code: ErrBadRequest, Reason: "the parameters are malformed"}
	}
	return params, nil
}

// readAnswer reads a provider's answer: readParams, and nothing that two
// programs could read in two ways. RFC 6749 3.1: "Request and response
// parameters MUST NOT be included more than once."
func readAnswer(r *http.Request) (url.Values, error) {
	params, err := readParams(r)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost && r.URL.RawQuery != "" {
		return nil, &Error{Code: ErrBadRequest, Reason: "the answer came in the form and in the address"}
	}
	for name, values := range params {
		for _, known := range []string{"state", "code", "iss", "error"} {
			if name == known && len(values) > 1 {
				return nil, &Error{Code: ErrBadRequest, Reason: fmt.Sprintf("the parameter %q is there twice", known)}
			}
			if name != known && (strings.EqualFold(name, known) || strings.HasPrefix(strings.ToLower(name), known+"[")) {
				return nil, &Error{Code: ErrBadRequest, Reason: fmt.Sprintf("a parameter is almost called %q", known)}
			}
		}
	}
	if len(params.Get("state")) > stateLimit {
		return nil, &Error{Code: ErrBadRequest, Reason: "the state is longer than any of ours"}
	}
	return params, nil
}

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

// thirdParty reads what another site sends along when it begins a sign-in
// (OpenID Connect Core, section 4): an iss, which must be the provider's, and
// where to go afterwards, which must be here.
func (c *client) thirdParty(params url.Values, a *attempt) error {
	iss, there := params["iss"]
	if !there {
		return nil
	}
	if len(iss) > 1 || iss[0] != c.provider.Issuer || iss[0] == "" {
		return &Error{Code: ErrBadRequest, Op: "begin sign-in", Provider: c.provider.Name, Reason: fmt.Sprintf("iss is %q, not this provider's issuer", printable.Clip(iss[0])),
			Fix: "send the sign-in to the provider with that issuer"}
	}
	if target, ok := strings.CutPrefix(params.Get("target_link_uri"), c.cfg.origin+c.cfg.prefix); ok {
		a.returnTo = c.cfg.orDefault(target, a.returnTo)
	}
	return nil
}

// pass picks the parameters that the provider lets a request pass on, and
// remembers in the attempt what the ID token must answer to.
func (c *client) pass(params url.Values, a *attempt) (map[string]string, error) {
	var passed map[string]string
	names := c.provider.LoginParams
	if params.Has("iss") && !slices.Contains(names, "login_hint") { // third-party-initiated
		names = append(slices.Clone(names), "login_hint")
	}
	for _, name := range names {
		values, there := params[name]
		if !there {
			continue
		}
		v := values[0]
		if len(values) > 1 || len(v) > passedLimit || strings.ContainsFunc(v, unicode.IsControl) {
			return nil, &Error{Code: ErrBadRequest, Op: "begin sign-in", Provider: c.provider.Name,
				Reason: fmt.Sprintf("the parameter %q is there twice, longer than %d bytes, or has control characters", name, passedLimit)}
		}
		if passed == nil {
			passed = map[string]string{}
		}
		passed[name] = v
	}
	a.acr, _ = c.asks("acr_values", passed)
	if v, there := c.asks("max_age", passed); there {
		var ok bool
		if a.maxAge, ok = seconds(v); !ok {
			return nil, &Error{Code: ErrBadRequest, Op: "begin sign-in", Provider: c.provider.Name, Reason: "max_age is not a number of seconds"}
		}
	}
	return passed, nil
}

// asks returns what an authorization request asks for.
func (c *client) asks(name string, passed map[string]string) (value string, there bool) {
	if value, there = passed[name]; !there {
		value, there = c.provider.AuthParams[name]
	}
	return value, there
}

// seconds reads a max_age.
func seconds(text string) (n int, ok bool) {
	v, err := strconv.ParseUint(text, 10, 31)
	return int(v), err == nil
}

// issuedAt is the ID token's iat; zero where there is none.
func issuedAt(claims map[string]any) time.Time {
	at, _ := strictjson.NumericDate(claims["iat"])
	return at
}

// onlyNavigation refuses sign-ins that nobody asked for: an image, a frame or
// a fetch on some page must not start one (CVE-2015-9284).
func onlyNavigation(r *http.Request) error {
	switch dest := r.Header.Get("Sec-Fetch-Dest"); dest {
	case "", "document":
		return nil
	default:
		return &Error{Code: ErrCrossOrigin, Op: "begin sign-in", Reason: fmt.Sprintf("a sign-in was started by %q, not by opening a page", printable.Clip(dest)),
			Fix: "navigate to the login address; behind fetch, let the page do it"}
	}
}

// homeHost says where a visit belongs that came to another loopback name than
// BaseURL's: the attempt's cookie would stay behind on the wrong one. Without
// https BaseURL is a loopback name itself.
func (c *config) homeHost(r *http.Request) (location string, moved bool) {
	if c.secure || r.Method != http.MethodGet {
		return "", false
	}
	if !otherLoopback(r.Host, strings.TrimPrefix(c.origin, "http://")) {
		return "", false
	}
	// Once: a proxy that writes another Host would bring the visit back here.
	if strings.Contains(r.URL.RawQuery, movedMark) {
		return "", false
	}
	query := movedMark
	if r.URL.RawQuery != "" {
		query = r.URL.RawQuery + "&" + query
	}
	return c.url(r.URL.EscapedPath()) + "?" + query, true
}

// otherLoopback says whether a host is another loopback name than home, with
// the same port: another port is another server, or a forwarded one.
func otherLoopback(host, home string) bool {
	here, there := &url.URL{Host: host}, &url.URL{Host: home}
	return !strings.EqualFold(host, home) && weburl.IsLoopback(here.Hostname()) && weburl.IsLoopback(there.Hostname()) && here.Port() == there.Port()
}
