package rp

import (
	"cmp"
	"context"
	"crypto"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// Config configures a Client. The caller has validated it and filled in the
// defaults, and must not modify it afterwards.
type Config struct {
	Name             string // for Error.Provider
	Issuer           string // empty for plain OAuth 2.0
	Namespace        string // identifies a plain OAuth 2.0 provider
	ClientID         string
	RedirectURI      string
	ClientSecret     string
	ClientSecretFunc func(context.Context) (string, error)
	AuthMethod       string        // of RFC 7591, section 2; default: from metadata
	PrivateKey       crypto.Signer // signs client assertions, with AuthMethod PrivateKeyJWT; else ClientSecretFunc makes them
	KeyID            string        // of PrivateKey; default: its thumbprint (RFC 7638)
	IDTokenAlg       string        // the only algorithm of ID and logout tokens; default: ours and the metadata's

	AuthorizeURL, TokenURL, UserinfoURL, JWKSURL, EndSessionURL string // default: discovered

	LogoutURL   string // template; takes precedence over EndSessionURL
	LogoutLocal bool   // sign-outs do not involve the provider: there is no EndSessionURL
	Development bool   // endpoints at the issuer's host may use http

	// SharedRedirect is set if other providers also respond to RedirectURI. Then an iss is
	// refused if there is no expected iss to compare it with.
	SharedRedirect bool

	Scopes         []string
	Resources      []string          // of all APIs (RFC 8707)
	Audience       string            // aud of access tokens for this application; if empty, all are rejected
	Introspect     bool              // opaque access tokens are introspected (RFC 7662)
	AuthParams     map[string]string // take precedence over the params of AuthorizationURL
	ResponseMode   string            // "query" or "form_post"
	ResponseIssuer string            // expected iss of authorization responses (RFC 9207)
	Userinfo       string            // "missing", "always" or "never"

	Names    []string                         // claims that must not occur in another case, in addition to protocolClaims
	Pairs    [][2]string                      // paths of an e-mail address or phone number and of its verified flag: merged together or not at all
	Complete func(claims map[string]any) bool // reports whether the userinfo endpoint can be skipped

	Profile        func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error)
	VerifyCallback func(url.Values) error
	TokenIssuer    func(claims map[string]any) (string, error)
	Quirks         Quirks

	HTTP *http.Client
	Now  func() time.Time
	Warn func(id, msg string, err error) // reports a failure that does not fail the request; id is its stable id
}

// Quirks adapts requests and checks to providers that deviate from the standards.
// Its fields are those of ginauth.Quirks, so that one converts to the other.
type Quirks struct {
	HS256, DisablePKCE, DisableNonce, SilentRefusal               bool
	Header                                                        map[string]string
	ClientIDParam, ScopeSeparator, AuthorizeFragment, TokenMethod string
	IncludedScopes                                                func(string) []string
	EditAuthorize                                                 func(url.Values)
	EditToken                                                     func(form, callback url.Values)
	NormalizeToken                                                func(http.Header, []byte) ([]byte, error)
}

// Leeway is how far the provider's clock may be ahead of ours or behind it. RFC 7519, 4.1.4:
// "Implementers MAY provide for some small leeway, usually no more than a few minutes, to account
// for clock skew." All checks use the same leeway, so that a wrong clock fails all of them or
// none.
const Leeway = time.Minute

// Client is the relying party of one provider. It is safe for concurrent use.
type Client struct {
	cfg Config

	flight singleflight.Group
	meta   atomic.Pointer[metadata]
	failed atomic.Pointer[failure]
	silent *atomic.Bool // the provider did not respond to the last request

	names         *strictjson.Names // protocolClaims and Config.Names
	accessHeaders accessHeaders
}

// New returns a Client. It makes no request. If a client in before has the same issuer and
// endpoints, the new one takes over its metadata and keys, so that it needs no request for them
// and works even if the provider is down.
func New(cfg Config, before ...*Client) *Client {
	c := &Client{cfg: cfg, names: strictjson.NewNames(slices.Concat(protocolClaims, cfg.Names)...), silent: new(atomic.Bool)}
	known := &metadata{}
	i := slices.IndexFunc(before, func(b *Client) bool { return b.cfg.endpoints() == cfg.endpoints() })
	if i >= 0 {
		c.silent = before[i].silent
		known = cmp.Or(before[i].meta.Load(), known)
	}
	watched := *cfg.HTTP
	watched.Transport = watcher{cfg.HTTP.Transport, c.silent}
	c.cfg.HTTP = &watched
	switch {
	// Without discovery, the configured endpoints are the final metadata: a document, which the
	// provider may not have, is never requested.
	case !c.discovers():
		if err := c.adopt(known); err != nil { // impossible: the caller has validated every address
			c.failed.Store(newFailure(err, cfg.Now(), 100*365*24*time.Hour))
		}
	// A document that does not fit this configuration is fetched again, which reports the problem.
	case known.doc != nil:
		_ = c.adopt(known)
	}
	if i < 0 || !before[i].cfg.SharedRedirect { // otherwise the earlier client warned, or discovery will
		c.warnAboutMixUp(c.meta.Load())
	}
	return c
}

// endpoints returns a key that is equal for two configurations if they can share the provider's
// metadata and keys.
func (c *Config) endpoints() [8]string {
	return [...]string{c.Issuer, c.Namespace, c.AuthorizeURL, c.TokenURL, c.UserinfoURL, c.JWKSURL, c.EndSessionURL, fmt.Sprint(c.TokenIssuer != nil)}
}

// adopt makes c use the document and the keys of known, interpreted by its own configuration.
func (c *Client) adopt(known *metadata) error {
	c.meta.Store(known) // where keySet finds the keys
	m, err := c.assemble(known.doc)
	if err != nil {
		c.meta.Store(nil)
		return err
	}
	m.issuer, m.doc, m.fetched = known.issuer, known.doc, known.fetched
	c.meta.Store(m)
	return nil
}

// Discover fetches the provider's metadata unless it is cached.
func (c *Client) Discover(ctx context.Context) error {
	_, err := c.metadata(ctx)
	return err
}

// Returns reports whether the provider may redirect back here after a sign-out. A provider that is
// not discovered yet may have an end-session endpoint.
func (c *Client) Returns() bool { return c.returns(c.meta.Load()) }

// isResourceServer reports whether there is no client ID: no user can sign in here, and only
// access tokens are verified.
func (c *Client) isResourceServer() bool { return c.cfg.ClientID == "" }

// openID reports whether the provider supports OpenID Connect, so that token responses have an ID
// token. Core, 3.1.2.1: "OpenID Connect requests MUST contain the openid scope value": with an
// Issuer, the caller has made sure of that.
func (c *Client) openID() bool { return c.cfg.Issuer != "" }

// sendsNonce reports whether a nonce binds the ID token to the authorization request. Core,
// 3.1.2.1: "String value used to associate a Client session with an ID Token, and to mitigate
// replay attacks." It is OPTIONAL for the code flow, but sent unless Quirks.DisableNonce is set:
// PKCE protects the code, the nonce protects the ID token.
func (c *Client) sendsNonce() bool { return c.openID() && !c.cfg.Quirks.DisableNonce }
