package rp

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

// WellKnown is the path of the discovery document below the issuer. OpenID Connect
// Discovery 1.0, 4: it is "formed by concatenating the string
// /.well-known/openid-configuration to the Issuer".
const WellKnown = ".well-known/openid-configuration"

const (
	metadataAge   = 24 * time.Hour  // then it is fetched again, while sign-ins use the old metadata
	metadataLimit = 1 << 20         // bytes of a discovery document
	longestRetry  = 5 * time.Second // the longest time for which a failed discovery is remembered
)

// metadata has a provider's endpoints and capabilities, configured or discovered. It is immutable;
// newer metadata replaces it.
type metadata struct {
	issuer        string // as discovered
	authorize     *url.URL
	prefix        string // of authorization URLs without parameters of the request; "" if each is built separately
	fingerprint   Fingerprint
	tokenURL      string
	userinfoURL   string
	endSession    string // "" if the provider has none
	revocation    string // "" if the provider has none
	introspection string // "" if the provider has none
	authMethod    string
	assertionAlg  string         // of client assertions; "" if the client makes none
	algs          []string       // the provider's signature algorithms that we accept
	idTokenAlgs   []string       // those for ID tokens and logout tokens
	issParam      bool           // the metadata announces iss, so every response must have it (RFC 9207)
	keys          *keySet        // nil for plain OAuth 2.0
	ignored       []*Error       // invalid endpoints that sign-ins do not need
	doc           map[string]any // the members of the discovery document that assemble reads; nil without one
	fetched       time.Time
}

// failure is a failed request. It is remembered for a few seconds, so that a failing provider is
// not flooded with requests.
type failure struct {
	err   error
	until time.Time
	wait  time.Duration
}

func newFailure(err error, now time.Time, wait time.Duration) *failure {
	return &failure{err: err, until: now.Add(wait), wait: wait}
}

// active reports whether the failure is still remembered. If more than wait is left, the clock has
// been set back, and the failure is forgotten.
func (f *failure) active(now time.Time) bool {
	left := f.until.Sub(now)
	return 0 < left && left <= f.wait
}

// discovers reports whether the configuration leaves endpoints to be discovered.
func (c *Client) discovers() bool {
	return c.openID() && (c.cfg.AuthorizeURL == "" || c.cfg.TokenURL == "" || c.cfg.JWKSURL == "")
}

// cached returns the metadata, or the remembered failure, without a request. due reports whether
// the metadata should be fetched.
func (c *Client) cached() (m *metadata, err error, due bool) {
	m, now := c.meta.Load(), c.cfg.Now()
	if m != nil && (!c.discovers() || fresh(m.fetched, now, metadataAge)) {
		return m, nil, false
	}
	f := c.failed.Load()
	if f == nil || !f.active(now) {
		return m, nil, true
	}
	if m != nil {
		return m, nil, false
	}
	return nil, f.err, false
}

// fresh reports whether data that was fetched at a time is younger than life. A negative age means
// that the clock has been set back: then the data is not fresh, since it would be used for longer
// than life.
func fresh(fetched, now time.Time, life time.Duration) bool {
	age := now.Sub(fetched)
	return 0 <= age && age < life
}

// metadata returns the provider's metadata. The first caller fetches it, and concurrent callers
// wait for the same response. Once fetched, it stays in use during an outage.
func (c *Client) metadata(ctx context.Context) (*metadata, error) {
	m, err, due := c.cached()
	if !due {
		return m, err
	}
	// Not with the context of this request: others wait for the same response. If one user closes
	// the browser, their sign-ins must not fail.
	done := c.flight.DoChan("discover", func() (any, error) { return c.discover(context.WithoutCancel(ctx)) })
	// Metadata that is a day old is most likely still correct: no request waits for the
	// refresh.
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

// discover fetches the metadata and remembers the outcome.
func (c *Client) discover(ctx context.Context) (*metadata, error) {
	if m, err, due := c.cached(); !due { // another call finished after the caller had checked
		return m, err
	}
	// This goroutine belongs to no request: a panic of the application's transport would end the
	// process.
	m, err := contain.Call(func() (*metadata, error) { return c.fetchMetadata(ctx) })
	if err == nil {
		c.meta.Store(m)
		c.failed.Store(nil)
		c.warnAboutMixUp(m)
		return m, nil
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		err = c.unreachable("discovery", err)
	}
	// A failure is remembered for one second, then two, four, and at most five. During an outage
	// each process makes a dozen requests a minute, however many sign-ins there are, and notices
	// the end of the outage within seconds.
	wait := time.Second
	if before := c.failed.Load(); before != nil {
		wait = min(2*before.wait, longestRetry)
	}
	c.failed.Store(newFailure(err, c.cfg.Now(), wait))
	if c.meta.Load() != nil { // no request waits for this failure
		c.cfg.Warn("discovery.not_renewed", "refreshing the metadata failed; the cached metadata stays in use", err)
	}
	return nil, err
}

// fetchMetadata fetches, checks and reads the discovery document (OpenID Connect
// Discovery 1.0, section 4).
func (c *Client) fetchMetadata(ctx context.Context) (*metadata, error) {
	doc, _, err := c.fetchDocument(ctx)
	if err != nil {
		return nil, err
	}
	// The issuer is checked first. 4.3: "If any of the validation procedures defined in this
	// specification fail, any operations requiring the information that failed to
	// correctly validate MUST be aborted and the information that failed to validate MUST
	// NOT be used."
	issuer, err := c.checkIssuerOf(doc)
	if err != nil {
		return nil, err
	}
	m, err := c.assemble(doc)
	if err != nil {
		return nil, err
	}
	for _, e := range m.ignored {
		c.cfg.Warn("discovery.endpoint_ignored", "the provider's metadata has an invalid endpoint, which is ignored", e)
	}
	m.issuer, m.doc, m.fetched = issuer, partOf(doc), c.cfg.Now()
	return m, nil
}

// fetchDocument fetches the discovery document, unchecked. 4.1: "If the Issuer value
// contains a path component, any terminating / MUST be removed before appending
// /.well-known/openid-configuration." 4.2: the response has status 200 and "the
// application/json content type", which package fetch checks.
func (c *Client) fetchDocument(ctx context.Context) (map[string]any, http.Header, error) {
	doc, header, err := fetch.JSON(ctx, c.cfg.HTTP, fetch.Request{
		Op: "discovery", URL: strings.TrimSuffix(c.cfg.Issuer, "/") + "/" + WellKnown, Limit: metadataLimit,
	})
	if err != nil {
		e := c.unreachable("discovery", err)
		if e.ID == "http.not_found" {
			e.Fix = "check Issuer and the endpoints: the metadata must be at Issuer + /" + WellKnown + "; if the provider publishes it elsewhere, set " + byHand + " explicitly"
		}
		return nil, header, e
	}
	return doc, header, nil
}

// checkIssuerOf: Discovery 1.0, 4.3: "The issuer value returned MUST be identical to the Issuer URL
// that was used as the prefix to /.well-known/openid-configuration". Otherwise the document could
// be another provider's. With TokenIssuer, which decides on the issuers of tokens, the value must
// stay the same.
func (c *Client) checkIssuerOf(doc map[string]any) (issuer string, err error) {
	// 4.3 continues: "This MUST also be identical to the iss Claim value in ID Tokens issued
	// from this Issuer": checkIssuer also compares that with the configuration.
	issuer, _ = doc["issuer"].(string)
	want := c.cfg.Issuer
	if c.cfg.TokenIssuer != nil {
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

// wrongIssuer returns the error for metadata of another issuer. Its fix depends on how the two
// differ.
func (c *Client) wrongIssuer(got, want string) *Error {
	if got == "" {
		return c.misconfigured("discovery", "discovery.issuer_missing", "the provider's metadata has no issuer", "check Issuer: the address is not that of an OpenID provider")
	}
	return c.misconfigured("discovery", "discovery.issuer_mismatch", fmt.Sprintf("the issuer in the provider's metadata is %q, not %q", printable.Clip(got), want), issuerFix(got, want))
}

// byHand are the fields that replace metadata.
const byHand = "AuthorizeURL, TokenURL, UserinfoURL, JWKSURL and Logout.EndSessionURL"

// issuerFix says what to do about an issuer that is not the configured one.
func issuerFix(got, want string) string {
	said := printable.Clip(got)
	theirs, err := url.Parse(got)
	ours, wrong := url.Parse(want)
	switch {
	case strings.TrimSuffix(got, "/") == strings.TrimSuffix(want, "/"):
		return fmt.Sprintf("set Issuer to %q: the final / is significant", said)
	case strings.ContainsAny(got, "{}"):
		return "put your tenant ID into Issuer, or use a preset that lists the tenants to admit: the provider issues tokens for many tenants"
	case err != nil || wrong != nil || theirs.Host == "":
		return "configure the provider's public URL at the provider: its issuer is not a URL"
	case theirs.Scheme == "http" && ours.Scheme == "https" && samePath(theirs, ours) && (theirs.Hostname() == ours.Hostname() || !weburl.IsLoopback(theirs.Hostname())):
		// An Issuer with http would be rejected, or secrets would be sent in the clear.
		return fmt.Sprintf("configure the provider's public https URL at the provider (Keycloak: --proxy-headers=xforwarded behind a proxy that sends X-Forwarded-Proto, or --hostname=%s)", weburl.Origin(ours))
	case theirs.Host != ours.Host:
		return fmt.Sprintf("set Issuer to %q if the provider is reachable there; if it has another address inside your network (containers), also set %s", said, byHand)
	case !samePath(theirs, ours):
		// There may be no metadata at the other path, or metadata with this issuer.
		return fmt.Sprintf("set Issuer to %q; if its metadata is not below that path, also set %s", said, byHand)
	}
	return fmt.Sprintf("set Issuer to %q if you trust that address", said)
}

func samePath(a, b *url.URL) bool {
	return strings.TrimSuffix(a.EscapedPath(), "/") == strings.TrimSuffix(b.EscapedPath(), "/")
}

// documentMembers are the members that assemble reads. They are kept for a later Client with
// another configuration. A whole document may be as large as a megabyte.
var documentMembers = []string{
	"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint", "revocation_endpoint", "introspection_endpoint",
	"id_token_signing_alg_values_supported", "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported", "authorization_response_iss_parameter_supported",
}

func partOf(doc map[string]any) map[string]any {
	part := map[string]any{}
	for _, name := range documentMembers {
		part[name] = doc[name] // nil means absent
	}
	return part
}

// assemble combines the configuration, which takes precedence, with the discovery document doc. It
// returns all errors joined, so that a developer sees them all at once.
//
// Section 3 requires authorization_endpoint, token_endpoint (except for the implicit flow, which is
// not used) and jwks_uri; userinfo_endpoint is RECOMMENDED.
func (c *Client) assemble(doc map[string]any) (*metadata, error) {
	m := &metadata{
		tokenURL: c.cfg.TokenURL, userinfoURL: c.cfg.UserinfoURL, endSession: c.cfg.EndSessionURL,
		algs: signingAlgs, authMethod: c.cfg.AuthMethod,
	}
	authorize, jwks := c.cfg.AuthorizeURL, c.cfg.JWKSURL
	var wrong []error
	// A resource server needs only the keys. Kubernetes, for example, has no other endpoint: its
	// authorization_endpoint is a URN.
	resourceServer := c.isResourceServer()
	for _, e := range []struct {
		into     *string
		name     string
		required bool
	}{
		{&authorize, "authorization_endpoint", true}, {&m.tokenURL, "token_endpoint", true}, {&jwks, "jwks_uri", c.openID()},
	} {
		if resourceServer && e.into != &jwks {
			continue
		}
		if err := c.endpoint(doc, e.name, e.into, e.required); err != nil {
			wrong = append(wrong, err)
		}
	}
	// The access token is sent to the userinfo endpoint, so that an invalid one is an error. An
	// invalid endpoint that is not used, or only for a sign-out, is treated as absent.
	const unused = "ignore this: the endpoint is not used"
	if err := c.endpoint(doc, "userinfo_endpoint", &m.userinfoURL, false); err != nil && c.asksUserinfo() {
		wrong = append(wrong, err)
	} else if err != nil {
		m.ignore(err, unused)
	}
	if err := c.endpoint(doc, "end_session_endpoint", &m.endSession, false); err != nil && (c.cfg.LogoutLocal || c.cfg.LogoutURL != "") {
		m.ignore(err, unused)
	} else if err != nil {
		m.ignore(err, "have the provider publish an https URL, or set Provider.Logout.EndSessionURL; until then, a sign-out ends only the session here")
	}
	// RFC 8414, 2. It is used only by a sign-out, which does not wait for it.
	if err := c.endpoint(doc, "revocation_endpoint", &m.revocation, false); err != nil {
		m.ignore(err, "have the provider publish an https URL; until then, refresh tokens are not revoked at a sign-out")
	}
	// RFC 7662 and RFC 8414, 2.
	if err := c.endpoint(doc, "introspection_endpoint", &m.introspection, false); err != nil {
		m.ignore(err, "have the provider publish an https URL; until then, Provider.Introspect fails")
	}
	// In section 3, id_token_signing_alg_values_supported is REQUIRED and the authentication
	// methods are OPTIONAL. Here both may be missing and have a default.
	wrong = append(wrong, c.chooseAlgs(m, doc))
	if !resourceServer {
		wrong = append(wrong, c.chooseAuthMethod(m, doc), c.chooseAssertionAlg(m, doc))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	var err error
	if m.authorize, err = url.Parse(authorize); err != nil { // impossible: endpoint has parsed it
		return nil, c.misconfigured("discovery", "discovery.endpoint_invalid", "authorization_endpoint is not a valid URL", "set AuthorizeURL")
	}
	if c.cfg.Quirks.EditAuthorize == nil { // its result may differ each time
		m.prefix = c.authorizationPrefix(m.authorize, nil, nil, nil)
	}
	m.fingerprint = c.fingerprint(m.tokenURL)
	m.keys = c.keySet(jwks)
	// RFC 9207, 3: "If omitted, the default value is false." 2.4: "clients MUST retain state
	// about whether each authorization server supports the iss parameter": issParam.
	m.issParam = doc["authorization_response_iss_parameter_supported"] == true
	return m, nil
}

// keySet returns the key set at an address. If the address is that of the current key set, it
// returns that one: newer metadata is no reason to discard keys.
func (c *Client) keySet(address string) *keySet {
	if !c.openID() {
		return nil
	}
	if m := c.meta.Load(); m != nil && m.keys != nil && m.keys.url == address {
		return m.keys
	}
	return newKeySet(address, c.cfg.HTTP, c.cfg.Now, c.cfg.TokenIssuer != nil)
}

// asksUserinfo reports whether sign-ins may query the userinfo endpoint.
func (c *Client) asksUserinfo() bool { return c.cfg.Userinfo != "never" && c.cfg.Profile == nil }

// ignore records the error of an endpoint that sign-ins do not need.
func (m *metadata) ignore(err *Error, fix string) {
	err.Fix = fix
	m.ignored = append(m.ignored, err)
}

// endpoint reads an address from the metadata unless it is configured. 4.2: "Claims with zero
// elements MUST be omitted from the response." Some servers send null, which also means absent.
func (c *Client) endpoint(doc map[string]any, name string, into *string, required bool) *Error {
	if *into != "" {
		return nil
	}
	v := doc[name]
	if v == nil && !required {
		return nil
	}
	address, ok := v.(string)
	if !ok {
		reason := "the provider's metadata has no " + name
		if v != nil {
			reason += " that is a string"
		}
		return c.misconfigured("discovery", "discovery.endpoint_missing", reason, "set it in Provider, or check Issuer")
	}
	if why := c.unfitEndpoint(address); why != "" {
		return c.misconfigured("discovery", "discovery.endpoint_invalid", fmt.Sprintf("the provider's %s %s", name, why), "configure the provider to publish https URLs")
	}
	*into = address
	return nil
}

// unfitEndpoint is weburl.Unfit for an address in the metadata. Section 3 says of each endpoint:
// "This URL MUST use the https scheme". RFC 6749, 3.2, says why: "requests to the token endpoint
// result in the transmission of clear-text credentials (in the HTTP request and response)". The
// metadata of an issuer that is configured with http may contain http addresses: on loopback, and
// in development at the issuer's host. That of an https issuer may not: otherwise it could direct
// secrets to any server on this machine.
func (c *Client) unfitEndpoint(address string) string {
	issuer, err := url.Parse(c.cfg.Issuer)
	u, wrong := url.Parse(address)
	if err != nil || wrong != nil {
		return "is not a valid URL"
	}
	if u.Scheme == "http" && issuer.Scheme != "http" {
		return "is not https"
	}
	_, why := weburl.Unfit(address, c.cfg.Development && u.Host == issuer.Host)
	return why
}

// chooseAlgs restricts our signature algorithms to those in the metadata, and those of ID and
// logout tokens to the one that is registered for this client. Neither adds any. Metadata that
// lists only algorithms that we reject (none, HS256) is an error, without a fallback to RS256.
// Section 3: "The value none MAY be supported", among others for the code flow: signingAlgs never
// contains it.
func (c *Client) chooseAlgs(m *metadata, doc map[string]any) error {
	offered := strictjson.Strings(doc["id_token_signing_alg_values_supported"])
	if len(offered) > 0 {
		m.algs = slices.DeleteFunc(slices.Clone(signingAlgs), func(alg string) bool { return !slices.Contains(offered, alg) })
	}
	if len(m.algs) == 0 && !c.cfg.Quirks.HS256 {
		return c.misconfigured("discovery", "discovery.algorithms", "the provider signs ID tokens only with "+printable.Clip(fmt.Sprintf("%q", offered)),
			"set the client's signing algorithm at the provider to RS256 or ES256")
	}
	m.idTokenAlgs = m.algs
	if registered := c.cfg.IDTokenAlg; registered != "" {
		m.idTokenAlgs = slices.DeleteFunc(slices.Clone(m.algs), func(alg string) bool { return alg != registered })
	}
	if len(m.idTokenAlgs) == 0 && !c.cfg.Quirks.HS256 {
		return c.misconfigured("discovery", "discovery.id_token_alg", fmt.Sprintf("the provider signs ID tokens with %s, but Provider.IDTokenAlg is %q",
			printable.Clip(fmt.Sprintf("%q", offered)), c.cfg.IDTokenAlg), "set IDTokenAlg to the algorithm registered for the client, or remove it")
	}
	return nil
}

// chooseAuthMethod chooses the authentication method. Discovery 1.0, section 3, of
// token_endpoint_auth_methods_supported: "If omitted, the default is client_secret_basic". Methods
// are never tried out, since that would spend the code.
func (c *Client) chooseAuthMethod(m *metadata, doc map[string]any) error {
	if m.authMethod != "" {
		return nil
	}
	// RFC 6749, 2.3.1: "The authorization server MUST support the HTTP Basic authentication
	// scheme for authenticating clients that were issued a client password." So it is preferred.
	// The names are from RFC 7591, 2.
	m.authMethod = "client_secret_basic"
	offered := strictjson.Strings(doc["token_endpoint_auth_methods_supported"])
	if len(offered) == 0 || slices.Contains(offered, "client_secret_basic") {
		return nil
	}
	m.authMethod = "client_secret_post"
	if slices.Contains(offered, "client_secret_post") {
		return nil
	}
	return c.misconfigured("discovery", "discovery.auth_method", "the provider's token endpoint accepts only "+printable.Clip(fmt.Sprintf("%q", offered)),
		`set PrivateKey in place of ClientSecret for "private_key_jwt"; set AuthMethod "none" and no ClientSecret for a public client; otherwise allow client_secret_basic for this client at the provider`)
}
