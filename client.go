package ginauth

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/strictjson"
)

const urlLimit = 8 << 10 // bytes of an authorization URL that servers take

// client is the live form of a Provider.
type client struct {
	provider    Provider
	cfg         *config
	http        *http.Client
	redirectURI string
	names       []string // of claims that mean something to us

	flight singleflight.Group
	meta   atomic.Pointer[metadata]
	failed atomic.Pointer[failure]
}

func newClient(p Provider, cfg *config, h *http.Client) *client {
	c := &client{provider: p, cfg: cfg, http: h, names: claimNames(&p)}
	c.redirectURI = c.uri("/authorize/", "")
	if !c.discovers() {
		m, err := c.assemble(nil)
		if err != nil { // cannot be: check has seen every address
			c.failed.Store(newFailure(err, cfg.Now(), 100*365*24*time.Hour))
		}
		c.meta.Store(m)
	}
	return c
}

// uri is the public address of a route that has the provider's name in it.
func (c *client) uri(before, after string) string {
	return c.cfg.url(c.cfg.mount + before + c.provider.Name + after)
}

// namespace is what stands before the # of User.ID.
func (c *client) namespace(claims map[string]any) string {
	if c.provider.Issuer == "" {
		return c.provider.Namespace
	}
	if iss, ok := claims["iss"].(string); ok {
		return iss // verified; differs from Issuer only where TokenIssuer said so
	}
	return c.provider.Issuer
}

// emailVerified asks the Provider's rule, which sees the claims as sent, or
// else the standard claim, which must be true itself. As sent, that one speaks
// of the email sent beside it, and of no address that ClaimPaths found elsewhere.
func (c *client) emailVerified(sent, claims map[string]any) bool {
	if c.provider.EmailVerified != nil {
		return c.provider.EmailVerified(sent)
	}
	if _, mapped := c.provider.ClaimPaths["email_verified"]; !mapped && text(sent, "email") != text(claims, "email") {
		return false
	}
	return claims["email_verified"] == true
}

// authorizeURL is where the browser is sent: RFC 6749 4.1.1, with PKCE
// (RFC 7636) and the nonce of OpenID Connect. passed are the LoginParams of
// this request.
func (c *client) authorizeURL(m *metadata, a *attempt, passed map[string]string) (string, error) {
	p, start := &c.provider, m.start
	if len(passed) > 0 || start == "" {
		start = c.startURL(m.authorize, passed)
	}
	b := append(make([]byte, 0, len(start)+256), start...)
	b = a.appendQuery(b, c.sendsNonce(), !p.Quirks.DisablePKCE)
	if p.Quirks.AuthorizeFragment != "" {
		b = append(append(b, '#'), p.Quirks.AuthorizeFragment...)
	}
	if len(b) <= urlLimit {
		return string(b), nil
	}
	return "", &Error{Code: ErrBadRequest, Op: "authorization URL", Provider: p.Name, Reason: "the authorization URL is longer than 8 KB",
		Fix: "shorten Scopes, AuthParams or what is passed to /login"}
}

// sendsNonce says whether there will be an ID token to tie to the attempt.
func (c *client) sendsNonce() bool { return c.provider.Issuer != "" && !c.provider.Quirks.DisableNonce }

// startURL is the part of the authorization URL that every attempt shares which
// passes on the same parameters.
func (c *client) startURL(endpoint *url.URL, passed map[string]string) string {
	p := &c.provider
	q := endpoint.Query()
	for name, value := range passed {
		q.Set(name, value)
	}
	for name, value := range p.AuthParams { // whatever the request says
		q.Set(name, value)
	}
	for _, name := range protocolParams { // what an endpoint's own query says does not count
		q.Del(name)
	}
	q.Set("response_type", "code")
	q.Set(p.Quirks.ClientIDParam, p.ClientID)
	if len(p.Scopes) > 0 {
		q.Set("scope", strings.Join(p.Scopes, p.Quirks.ScopeSeparator))
	}
	if p.ResponseMode == "form_post" {
		q.Set("response_mode", "form_post")
	}
	if p.Quirks.EditAuthorize != nil {
		p.Quirks.EditAuthorize(q)
	}
	q.Set("redirect_uri", c.redirectURI)
	q.Del("state") // each attempt has its own of these, whatever EditAuthorize says
	if c.sendsNonce() {
		q.Del("nonce")
	}
	if !p.Quirks.DisablePKCE {
		q.Del("code_challenge")
		q.Del("code_challenge_method")
	}
	u := *endpoint
	// %20, which every server reads as a space; Apple does not read +.
	u.RawQuery, u.Fragment = strings.ReplaceAll(q.Encode(), "+", "%20"), ""
	return u.String()
}

// path is where a claim is in what the provider sends.
func (c *client) path(claim string) string {
	if path, there := c.provider.ClaimPaths[claim]; there {
		return path
	}
	return claim
}

// mapped returns the claims under their standard names, as ClaimPaths says.
func (c *client) mapped(sent map[string]any) map[string]any {
	if len(c.provider.ClaimPaths) == 0 {
		return sent
	}
	claims := maps.Clone(sent)
	for claim, path := range c.provider.ClaimPaths {
		if v, ok := strictjson.Lookup(sent, path); ok {
			claims[claim] = v
		} else {
			delete(claims, claim)
		}
	}
	return claims
}

// unreachable turns what package fetch says into an Error.
func (c *client) unreachable(op string, err error) *Error {
	e := &Error{Code: ErrProviderUnavailable, Op: op, Provider: c.provider.Name, Err: err, retryAfter: retryMost,
		Reason: "the provider does not answer as it should"}
	f, ok := errors.AsType[*fetch.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || ok && f.Kind == fetch.Timeout:
		e.Code, e.Reason = ErrProviderTimeout, "the provider did not answer in time"
	case ok && f.Kind == fetch.TLS && strings.Contains(f.Detail, "does not speak TLS"):
		e.Reason = "there is no https at the provider's address"
		e.Fix = "write http, which is for loopback and development alone, or the port that speaks https"
	case ok && f.Kind == fetch.TLS:
		e.Reason, e.Fix = untrusted(f.Detail)
	case ok && f.Kind == fetch.Redirect:
		e.Reason, e.Fix = "the provider answered with a redirect, which is not followed", "set the final address in Provider"
	case ok && f.Kind == fetch.ContentType:
		e.Reason = "the provider did not answer with JSON: it " + f.Detail
		e.Fix = "check Issuer and the endpoints; is a login page or a proxy in between?"
	case ok && f.Kind == fetch.Status && f.Status == http.StatusNotFound:
		e.Reason, e.Fix = "there is nothing at the provider's address", "check Issuer and the endpoints"
	case ok && f.Kind == fetch.Network:
		e.Reason, e.Fix = "the provider cannot be reached: "+f.Detail, "is it running, and is the address right?"
	}
	if ok && f.Host != "" {
		e.Reason += " (" + f.Host + ")"
	}
	return e
}
