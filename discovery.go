package ginauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/weburl"
)

const (
	wellKnown     = ".well-known/openid-configuration"
	metadataAge   = 24 * time.Hour  // then it is discovered again, behind the sign-ins
	metadataLimit = 1 << 20         // bytes of a discovery document
	retryMost     = 5 * time.Second // the longest that a failed discovery is remembered
)

// metadata is what there is to know about a provider's endpoints, written down
// or discovered. It never changes; newer metadata replaces it.
type metadata struct {
	issuer      string // as discovered
	authorize   *url.URL
	start       string // of an authorization URL that passes nothing on; "" if it has to be made each time
	print       fingerprint
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

// discovers says whether anything is left to discover.
func (c *client) discovers() bool {
	p := &c.provider
	return p.Issuer != "" && (p.AuthorizeURL == "" || p.TokenURL == "" || p.JWKSURL == "")
}

// known returns what there is without asking anybody: metadata, or why there
// is none, or neither. due says that it is time to ask.
func (c *client) known() (m *metadata, err error, due bool) {
	m, now := c.meta.Load(), c.cfg.Now()
	if m != nil && (!c.discovers() || now.Sub(m.fetched) < metadataAge) {
		return m, nil, false
	}
	f := c.failed.Load()
	if f == nil || !f.holds(now) {
		return m, nil, true
	}
	if m != nil {
		return m, nil, false
	}
	return nil, f.err, false
}

// metadata returns the provider's endpoints. The first caller discovers them,
// others wait for the same answer; what was discovered once outlives an outage.
func (c *client) metadata(ctx context.Context) (*metadata, error) {
	m, err, due := c.known()
	if !due {
		return m, err
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
		return nil, c.unreachable("discovery", context.Cause(ctx))
	}
}

// discover asks for the metadata and remembers the outcome, whichever it is.
func (c *client) discover(ctx context.Context) (*metadata, error) {
	if m, err, due := c.known(); !due { // an answer came between looking and waiting for one
		return m, err
	}
	m, err := contain.Call(func() (*metadata, error) { return c.fetchMetadata(ctx) })
	if err == nil {
		c.meta.Store(m)
		c.failed.Store(nil)
		return m, nil
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		err = c.unreachable("discovery", err)
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
	doc, _, err := c.fetchDocument(ctx)
	if err != nil {
		return nil, err
	}
	issuer, err := c.checkMetadata(doc)
	if err != nil {
		return nil, err
	}
	m, err := c.assemble(doc)
	if err != nil {
		return nil, err
	}
	m.issuer, m.fetched = issuer, c.cfg.Now()
	return m, nil
}

// fetchDocument asks for the discovery document, and looks at nothing in it.
func (c *client) fetchDocument(ctx context.Context) (map[string]any, http.Header, error) {
	doc, header, err := fetch.JSON(ctx, c.http, fetch.Request{
		Op: "discovery", URL: strings.TrimSuffix(c.provider.Issuer, "/") + "/" + wellKnown, Limit: metadataLimit,
	})
	if err != nil {
		return nil, header, c.unreachable("discovery", err)
	}
	return doc, header, nil
}

// checkMetadata: 4.3: "The issuer value returned MUST be identical to the
// Issuer URL that was used as the prefix", or the answer could be somebody
// else's. Where TokenIssuer says which issuers there are, it must at least
// stay the same.
func (c *client) checkMetadata(doc map[string]any) (issuer string, err error) {
	issuer, _ = doc["issuer"].(string)
	want := c.provider.Issuer
	if c.provider.TokenIssuer != nil {
		want = issuer
		if m := c.meta.Load(); m != nil {
			want = m.issuer
		}
	}
	if issuer == "" || issuer != want {
		return "", c.wrongIssuer(issuer, want)
	}
	return issuer, nil
}

func (c *client) wrongIssuer(got, want string) error {
	said := printable.Clip(got)
	e := c.misconfigured("discovery", fmt.Sprintf("the provider says that its issuer is %q, not %q", said, want),
		fmt.Sprintf("if you trust that address, set Issuer to %q", said))
	theirs, err := url.Parse(got)
	ours, _ := url.Parse(want)
	switch {
	case got == "":
		e.Reason, e.Fix = "the provider's metadata has no issuer", "check Issuer: what answers there is no OpenID provider"
	case strings.TrimSuffix(got, "/") == strings.TrimSuffix(want, "/"):
		e.Fix = fmt.Sprintf("the final / counts: set Issuer to %q", said)
	case strings.ContainsAny(got, "{}"):
		e.Fix = "the provider issues tokens for many tenants: put the id of yours into Issuer, or use a preset that knows which tenants to admit"
	case err == nil && theirs.Host != "" && ours.Host != theirs.Host:
		e.Fix = fmt.Sprintf("set Issuer to %q if it can be reached there; if it has another address inside your network (containers), set AuthorizeURL, TokenURL, UserinfoURL and JWKSURL by hand as well", said)
	}
	return e
}

func (c *client) misconfigured(op, reason, fix string) *Error {
	return &Error{Code: ErrProviderMisconfigured, Op: op, Provider: c.provider.Name, Reason: reason, Fix: fix}
}

// assemble puts together what is written down and what doc, the discovery
// document, says; what is written down wins. It returns all that is wrong.
func (c *client) assemble(doc map[string]any) (*metadata, error) {
	p := &c.provider
	m := &metadata{tokenURL: p.TokenURL, userinfoURL: p.UserinfoURL, endSession: p.Logout.EndSessionURL, algs: signingAlgs, authMethod: p.AuthMethod}
	authorize, jwks := p.AuthorizeURL, p.JWKSURL
	var wrong []error
	for _, e := range []struct {
		into     *string
		name     string
		required bool
	}{
		{&authorize, "authorization_endpoint", true}, {&m.tokenURL, "token_endpoint", true},
		{&jwks, "jwks_uri", p.Issuer != ""}, {&m.userinfoURL, "userinfo_endpoint", false},
		{&m.endSession, "end_session_endpoint", false},
	} {
		wrong = append(wrong, c.endpoint(doc, e.name, e.into, e.required))
	}
	wrong = append(wrong, c.chooseAlgs(m, doc), c.chooseAuthMethod(m, doc))
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	var err error
	if m.authorize, err = url.Parse(authorize); err != nil { // cannot be: it was looked at before
		return nil, c.misconfigured("discovery", "authorization_endpoint is not an address", "")
	}
	if c.provider.Quirks.EditAuthorize == nil { // which may say something else each time
		m.start = c.startURL(m.authorize, nil)
	}
	m.print = c.fingerprint(m.tokenURL)
	m.keys = c.keySet(jwks)
	m.issParam = doc["authorization_response_iss_parameter_supported"] == true
	return m, nil
}

// keySet returns the key set at an address: the one in use where it is the
// same, since newer metadata is no reason to forget keys.
func (c *client) keySet(address string) *keySet {
	if c.provider.Issuer == "" {
		return nil
	}
	if m := c.meta.Load(); m != nil && m.keys.url == address {
		return m.keys
	}
	return newKeySet(address, c.provider.Name, c.http, c.cfg.Now)
}

// endpoint fills in an address that was not written down.
func (c *client) endpoint(doc map[string]any, name string, into *string, required bool) error {
	if *into != "" {
		return nil
	}
	v := doc[name]
	if v == nil && !required {
		return nil
	}
	address, ok := v.(string)
	if !ok {
		return c.misconfigured("discovery", "the provider's metadata has no "+name, "set it by hand in Provider, or check Issuer")
	}
	if why := c.unfitEndpoint(address); why != "" {
		return c.misconfigured("discovery", fmt.Sprintf("the provider's %s %s", name, why), "the provider must be set up to name https addresses")
	}
	*into = address
	return nil
}

// unfitEndpoint is unfitURL for what a provider names itself. An issuer that
// was written down with http may name http addresses: on loopback, and at its
// very own host while BaseURL is on loopback. One with https may not: it could
// send secrets to whatever listens on this machine.
func (c *client) unfitEndpoint(address string) string {
	issuer, err := url.Parse(c.provider.Issuer)
	u, wrong := url.Parse(address)
	if err != nil || wrong != nil {
		return "is not an address"
	}
	if u.Scheme == "http" && issuer.Scheme != "http" {
		return "is not https"
	}
	return weburl.Unfit(address, c.cfg.loopback && u.Host == issuer.Host)
}

// chooseAlgs: ours, narrowed by the metadata and never widened by it. Metadata
// that offers only what we refuse (none, HS256) must not fall back to RS256.
func (c *client) chooseAlgs(m *metadata, doc map[string]any) error {
	offered := strictjson.Strings(doc["id_token_signing_alg_values_supported"])
	if len(offered) == 0 {
		return nil
	}
	m.algs = slices.DeleteFunc(slices.Clone(signingAlgs), func(alg string) bool { return !slices.Contains(offered, alg) })
	if len(m.algs) == 0 && !c.provider.Quirks.HS256 {
		return c.misconfigured("discovery", "the provider signs ID tokens with "+printable.Clip(fmt.Sprintf("%q", offered))+" alone",
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
	offered := strictjson.Strings(doc["token_endpoint_auth_methods_supported"])
	if len(offered) == 0 || slices.Contains(offered, "client_secret_basic") {
		return nil
	}
	m.authMethod = "client_secret_post"
	if slices.Contains(offered, "client_secret_post") {
		return nil
	}
	return c.misconfigured("discovery", "the provider's token endpoint takes "+printable.Clip(fmt.Sprintf("%q", offered))+" alone",
		`set AuthMethod by hand: "none" for a public client`)
}
