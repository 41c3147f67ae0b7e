package ginauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/strictjson"
)

const (
	metadataAge   = 24 * time.Hour  // then it is discovered again, behind the sign-ins
	metadataLimit = 1 << 20         // bytes of a discovery document
	retryMost     = 5 * time.Second // the longest that a failed discovery is remembered
	urlLimit      = 8 << 10         // bytes of an authorization URL that servers take
)

// client is the live form of a Provider.
type client struct {
	provider    Provider
	cfg         *config
	http        *http.Client
	redirectURI string

	flight singleflight.Group
	meta   atomic.Pointer[metadata]
	failed atomic.Pointer[failure]
}

// metadata is what there is to know about a provider's endpoints, written down
// or discovered. It never changes; newer metadata replaces it.
type metadata struct {
	authorize   *url.URL
	tokenURL    string
	userinfoURL string
	endSession  string // "" if there is none
	authMethod  string
	algs        []string // for ID tokens
	issParam    bool     // RFC 9207: iss is announced, so it must come
	keys        *keySet
	fetched     time.Time
}

// failure is a discovery that did not work, remembered for a moment so that
// a provider in trouble is not flooded.
type failure struct {
	err   error
	until time.Time
	wait  time.Duration
}

func newFailure(err error, now time.Time, wait time.Duration) *failure {
	return &failure{err: err, until: now.Add(wait), wait: wait}
}

// holds says whether the moment is not over. One that would last longer than
// was meant is over: the clock was put back.
func (f *failure) holds(now time.Time) bool {
	left := f.until.Sub(now)
	return 0 < left && left <= f.wait
}

func newClient(p Provider, cfg *config, h *http.Client) *client {
	c := &client{provider: p, cfg: cfg, http: h, redirectURI: cfg.url(cfg.mount + "/authorize/" + p.Name)}
	if !c.discovers() {
		m, err := c.assemble(nil)
		if err != nil { // cannot be: check has seen every address
			c.failed.Store(newFailure(err, cfg.Now(), 100*365*24*time.Hour))
		}
		c.meta.Store(m)
	}
	return c
}

// discovers says whether anything is left to discover.
func (c *client) discovers() bool {
	p := &c.provider
	return p.Issuer != "" && (p.AuthorizeURL == "" || p.TokenURL == "" || p.JWKSURL == "")
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
// else the standard claim, which must be true itself.
func (c *client) emailVerified(sent, claims map[string]any) bool {
	if c.provider.EmailVerified != nil {
		return c.provider.EmailVerified(sent)
	}
	return claims["email_verified"] == true
}

// metadata returns the provider's endpoints. The first caller discovers them,
// others wait for the same answer; what was discovered once outlives an outage.
func (c *client) metadata(ctx context.Context) (*metadata, error) {
	m, now := c.meta.Load(), c.cfg.Now()
	if m != nil && (!c.discovers() || now.Sub(m.fetched) < metadataAge) {
		return m, nil
	}
	if f := c.failed.Load(); f != nil && f.holds(now) {
		if m != nil {
			return m, nil
		}
		return nil, f.err
	}
	// Not on this request's context: others wait for the same answer.
	done := c.flight.DoChan("discover", func() (any, error) { return c.discover(context.WithoutCancel(ctx)) })
	if m != nil {
		return m, nil
	}
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*metadata), nil
	case <-ctx.Done():
		return nil, &Error{Code: ProviderTimeout, Op: "discovery", Provider: c.provider.Name, Err: context.Cause(ctx)}
	}
}

// discover asks for the metadata and remembers the outcome, whichever it is.
func (c *client) discover(ctx context.Context) (*metadata, error) {
	m, err := c.fetchMetadata(ctx)
	if err == nil {
		c.meta.Store(m)
		c.failed.Store(nil)
		return m, nil
	}
	wait := time.Second
	if before := c.failed.Load(); before != nil {
		wait = min(2*before.wait, retryMost)
	}
	c.failed.Store(newFailure(err, c.cfg.Now(), wait))
	if c.meta.Load() != nil { // nobody waits for this one: say it here
		c.cfg.Logger.Warn("ginauth: metadata could not be renewed; what is known stays in use", "provider", c.provider.Name, "error", err)
	}
	return nil, err
}

// fetchMetadata: OpenID Connect Discovery 1.0, section 4.
func (c *client) fetchMetadata(ctx context.Context) (*metadata, error) {
	p := &c.provider
	doc, _, err := fetch.JSON(ctx, c.http, fetch.Request{
		Op: "discovery", URL: strings.TrimSuffix(p.Issuer, "/") + "/.well-known/openid-configuration", Limit: metadataLimit,
	})
	if err != nil {
		return nil, c.unreachable("discovery", err)
	}
	// 4.3: "The issuer value returned MUST be identical to the Issuer URL that
	// was used as the prefix", or the answer could be somebody else's.
	if got, _ := doc["issuer"].(string); got != p.Issuer && p.TokenIssuer == nil {
		return nil, c.wrongIssuer(got)
	}
	m, err := c.assemble(doc)
	if err != nil {
		return nil, err
	}
	m.fetched = c.cfg.Now()
	return m, nil
}

func (c *client) wrongIssuer(got string) error {
	e := c.misconfigured("discovery", fmt.Sprintf("the provider says that its issuer is %q, not %q", got, c.provider.Issuer),
		"if you trust that address, set Issuer to exactly what the provider says")
	if u, err := url.Parse(got); err == nil && u.Host != "" {
		mine, _ := url.Parse(c.provider.Issuer)
		if mine.Host != u.Host {
			e.Fix = "if the provider has another address inside your network (containers), set Issuer to what it says, and AuthorizeURL, TokenURL, UserinfoURL and JWKSURL by hand"
		}
	}
	return e
}

func (c *client) misconfigured(op, reason, fix string) *Error {
	return &Error{Code: ProviderMisconfigured, Op: op, Provider: c.provider.Name, Reason: reason, Fix: fix}
}

// assemble puts together what is written down and what doc, the discovery
// document, says; what is written down wins.
func (c *client) assemble(doc map[string]any) (*metadata, error) {
	p := &c.provider
	m := &metadata{tokenURL: p.TokenURL, userinfoURL: p.UserinfoURL, endSession: p.EndSessionURL, algs: signingAlgs, authMethod: p.AuthMethod}
	authorize, jwks := p.AuthorizeURL, p.JWKSURL
	for _, e := range []struct {
		into     *string
		name     string
		required bool
	}{
		{&authorize, "authorization_endpoint", true}, {&m.tokenURL, "token_endpoint", true},
		{&jwks, "jwks_uri", p.Issuer != ""}, {&m.userinfoURL, "userinfo_endpoint", false},
		{&m.endSession, "end_session_endpoint", false},
	} {
		if err := c.endpoint(doc, e.name, e.into, e.required); err != nil {
			return nil, err
		}
	}
	var err error
	if m.authorize, err = url.Parse(authorize); err != nil {
		return nil, c.misconfigured("discovery", "authorization_endpoint is not an address", "")
	}
	if p.Issuer != "" {
		m.keys = newKeySet(jwks, p.Name, c.http, c.cfg.Now)
	}
	m.issParam = doc["authorization_response_iss_parameter_supported"] == true
	return m, errors.Join(c.chooseAlgs(m, doc), c.chooseAuthMethod(m, doc))
}

// endpoint fills in an address that was not written down.
func (c *client) endpoint(doc map[string]any, name string, into *string, required bool) error {
	if *into != "" || doc == nil {
		return nil
	}
	v, there := doc[name]
	if !there && !required {
		return nil
	}
	address, ok := v.(string)
	if !ok {
		return c.misconfigured("discovery", "the provider's metadata has no "+name, "set it by hand in Provider, or check Issuer")
	}
	if why := unfitURL(address, c.sameHTTPHost(address)); why != "" {
		return c.misconfigured("discovery", fmt.Sprintf("the provider's %s %s", name, why), "the provider must be set up to name https addresses")
	}
	*into = address
	return nil
}

// sameHTTPHost admits http endpoints of an issuer that was itself written down
// with http, which a loopback BaseURL allows: at that very host.
func (c *client) sameHTTPHost(address string) bool {
	issuer, _ := url.Parse(c.provider.Issuer)
	u, err := url.Parse(address)
	return err == nil && c.cfg.loopback && issuer.Scheme == "http" && u.Host == issuer.Host
}

// chooseAlgs: ours, narrowed by the metadata and never widened by it. Metadata
// that offers only what we refuse (none, HS256) must not fall back to RS256.
func (c *client) chooseAlgs(m *metadata, doc map[string]any) error {
	offered := stringList(doc["id_token_signing_alg_values_supported"])
	if len(offered) == 0 || c.provider.Issuer == "" {
		return nil
	}
	m.algs = slices.DeleteFunc(slices.Clone(signingAlgs), func(alg string) bool { return !slices.Contains(offered, alg) })
	if len(m.algs) == 0 {
		return c.misconfigured("discovery", fmt.Sprintf("the provider signs ID tokens with %q alone", offered),
			"set the client's signing algorithm at the provider to RS256 or ES256")
	}
	return nil
}

// chooseAuthMethod: OpenID Connect Discovery 1.0, section 3: "If omitted, the
// default is client_secret_basic".
func (c *client) chooseAuthMethod(m *metadata, doc map[string]any) error {
	if m.authMethod != "" {
		return nil
	}
	m.authMethod = "client_secret_basic"
	offered := stringList(doc["token_endpoint_auth_methods_supported"])
	if len(offered) == 0 || slices.Contains(offered, "client_secret_basic") {
		return nil
	}
	m.authMethod = "client_secret_post"
	if slices.Contains(offered, "client_secret_post") {
		return nil
	}
	return c.misconfigured("discovery", fmt.Sprintf("the provider's token endpoint takes %q alone", offered),
		`set AuthMethod by hand: "none" for a public client`)
}

// stringList returns the texts of a list.
func stringList(v any) (list []string) {
	items, _ := v.([]any)
	for _, item := range items {
		if s, ok := item.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

// authorizeURL is where the browser is sent: RFC 6749 4.1.1, with PKCE
// (RFC 7636) and the nonce of OpenID Connect. passed are the LoginParams of
// this request.
func (c *client) authorizeURL(m *metadata, a *attempt, passed map[string]string) (string, error) {
	p := &c.provider
	q := m.authorize.Query()
	for name, value := range p.AuthParams {
		q.Set(name, value)
	}
	for name, value := range passed {
		q.Set(name, value)
	}
	for _, name := range protocolParams { // what an endpoint's own query says does not count
		q.Del(name)
	}
	q.Set("response_type", "code")
	q.Set(p.ClientIDParam, p.ClientID)
	if len(p.Scopes) > 0 {
		q.Set("scope", strings.Join(p.Scopes, p.ScopeSeparator))
	}
	if p.ResponseMode == "form_post" {
		q.Set("response_mode", "form_post")
	}
	if p.EditAuthorize != nil {
		p.EditAuthorize(q)
	}
	q.Set("redirect_uri", c.redirectURI)
	q.Set("state", a.state())
	if p.Issuer != "" && !p.DisableNonce {
		q.Set("nonce", a.nonce())
	}
	if !p.DisablePKCE {
		q.Set("code_challenge", oauth2.S256ChallengeFromVerifier(a.verifier()))
		q.Set("code_challenge_method", "S256")
	}
	u := *m.authorize
	// %20, which every server reads as a space; Apple does not read +.
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	if s := u.String(); len(s) <= urlLimit {
		return s, nil
	}
	return "", &Error{Code: BadRequest, Op: "authorization URL", Provider: p.Name, Reason: "the authorization URL is longer than 8 KB",
		Fix: "shorten Scopes, AuthParams or what is passed to /login"}
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
	e := &Error{Code: ProviderUnavailable, Op: op, Provider: c.provider.Name, Err: err, retryAfter: retryMost,
		Reason: "the provider does not answer as it should"}
	f, ok := errors.AsType[*fetch.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || ok && f.Kind == fetch.Timeout:
		e.Code, e.Reason = ProviderTimeout, "the provider did not answer in time"
	case ok && f.Kind == fetch.TLS:
		e.Reason = "the provider's certificate is not trusted"
		e.Fix = "for a private certificate authority, pass Options.HTTPClient with its RootCAs"
	case ok && f.Kind == fetch.Redirect:
		e.Reason, e.Fix = "the provider answered with a redirect, which is not followed", "set the final address in Provider"
	case ok && f.Kind == fetch.ContentType:
		e.Reason = "the provider did not answer with JSON"
		e.Fix = "check the address (a login page or a proxy in between?)"
	case ok && f.Kind == fetch.Status && f.Status == http.StatusNotFound:
		e.Reason, e.Fix = "there is nothing at the provider's address", "check Issuer and the endpoints"
	}
	return e
}
