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
	LogoutLocal bool   // sign-outs stay here: there is no EndSessionURL
	Development bool   // the issuer's own host may use http for its endpoints

	// SharedRedirect says that responses of other providers come to RedirectURI too, so
	// that an iss is refused that there is nothing to compare with.
	SharedRedirect bool

	Scopes         []string
	Resources      []string          // of all APIs (RFC 8707)
	Audience       string            // aud of access tokens for this application; none are accepted if it is empty
	Introspect     bool              // the provider is asked about opaque ones (RFC 7662)
	AuthParams     map[string]string // take precedence over the params of AuthorizationURL
	ResponseMode   string            // "query" or "form_post"
	ResponseIssuer string            // expected iss of authorization responses (RFC 9207)
	Userinfo       string            // "missing", "always" or "never"

	Names    []string                         // claims that must not occur in another case, beside the protocol's
	Pairs    [][2]string                      // paths of an address and of its verified flag: merged together or not at all
	Complete func(claims map[string]any) bool // reports whether the userinfo endpoint can be skipped

	Profile        func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error)
	VerifyCallback func(url.Values) error
	TokenIssuer    func(claims map[string]any) (string, error)
	Quirks         Quirks

	HTTP *http.Client
	Now  func() time.Time
	Warn func(id, msg string, err error) // reports a failure that fails no request; id names what follows from it
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

// Leeway is how far the provider's clock and ours may be apart, both ways. RFC 7519,
// 4.1.4: "Implementers MAY provide for some small leeway, usually no more than a few
// minutes, to account for clock skew." Everything that compares the two uses it, so
// that a clock is wrong for all checks or for none.
const Leeway = time.Minute

// Client is the relying party of one provider. It is safe for concurrent use.
type Client struct {
	cfg Config

	flight singleflight.Group
	meta   atomic.Pointer[metadata]
	failed atomic.Pointer[failure]
	silent *atomic.Bool // the provider did not answer the last request

	accessHeaders  accessHeaders
	lowerCaseNames bool // all of cfg.Names are in lower case
}

// New returns a Client. It makes no request. If a client of before has the same
// issuer and endpoints, the new one knows what that one knows, its metadata and keys:
// the provider need not be asked for them again, and may be down.
func New(cfg Config, before ...*Client) *Client {
	cfg.Names = slices.Concat(protocolClaims, cfg.Names)
	c := &Client{cfg: cfg, silent: new(atomic.Bool), lowerCaseNames: !slices.ContainsFunc(cfg.Names, strictjson.HasCase)}
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
	// Without anything to discover, the metadata is what is configured, for good: such a
	// provider is never asked for a document that it may not have.
	case !c.discovers():
		if err := c.adopt(known); err != nil { // unreachable after the caller's validation, which has seen every address
			c.failed.Store(newFailure(err, cfg.Now(), 100*365*24*time.Hour))
		}
	// A document that does not fit this configuration is fetched anew: what is wrong with
	// it is said then.
	case known.doc != nil:
		_ = c.adopt(known)
	}
	if i < 0 || !before[i].cfg.SharedRedirect { // else it has been said, or will be of what is discovered
		c.warnAboutMixUp(c.meta.Load())
	}
	return c
}

// endpoints are what tells whether two configurations are about the same provider, as
// far as its metadata and its keys are concerned.
func (c *Config) endpoints() [8]string {
	return [...]string{c.Issuer, c.Namespace, c.AuthorizeURL, c.TokenURL, c.UserinfoURL, c.JWKSURL, c.EndSessionURL, fmt.Sprint(c.TokenIssuer != nil)}
}

// adopt makes c use the document and the keys of known, as its own configuration reads
// them.
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

// Returns reports whether a sign-out at the provider may come back to an address of
// ours. A provider that is not discovered yet may have an end-session endpoint.
func (c *Client) Returns() bool { return c.returns(c.meta.Load()) }

// isResourceServer reports whether there is no client: no user can sign in, and access tokens
// are verified.
func (c *Client) isResourceServer() bool { return c.cfg.ClientID == "" }

// openID reports whether the provider speaks OpenID Connect: whether there will
// be an ID token. Core, 3.1.2.1: "OpenID Connect requests MUST contain the openid scope
// value", which the caller has seen to where there is an Issuer.
func (c *Client) openID() bool { return c.cfg.Issuer != "" }

// sendsNonce reports whether a nonce ties the ID token to the authorization
// request. Core, 3.1.2.1: "String value used to associate a Client session with an ID
// Token, and to mitigate replay attacks." It is OPTIONAL for the code flow, and always sent
// here: PKCE protects the code, the nonce what came of it.
func (c *Client) sendsNonce() bool { return c.openID() && !c.cfg.Quirks.DisableNonce }
