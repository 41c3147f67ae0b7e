package ginauth

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
)

// Options configures [Mount], which copies it: later changes have no effect. Paths are written
// as in the application's routes; the path of BaseURL is added where a browser needs it.
// Options print, and encode as JSON, without their secrets.
type Options struct {
	// BaseURL is the public URL of the application, as browsers see it:
	// "https://app.example.com", with a path if a proxy strips one. Required. All absolute
	// URLs are derived from it, and none from the Host or X-Forwarded headers, which any
	// client can forge. http is accepted only for loopback (localhost, *.localhost,
	// 127.0.0.0/8, ::1), unless InsecureHTTP is set.
	BaseURL string

	// InsecureHTTP permits an http BaseURL in a private network: a private address (RFC 1918,
	// RFC 4193, RFC 6598), a name without a dot, or one that ends in .local, .lan, .internal
	// or .home.arpa. Anyone on that network can read and use session cookies, codes and
	// passwords. It has no effect on an https BaseURL, so a product can leave it on and let
	// administrators choose the URL. Providers must still use https and not form_post, and
	// Keys are required. Mount logs a warning. Default: false; such a BaseURL is an error.
	InsecureHTTP bool

	// Providers are the identity providers to sign in with, and the issuers of accepted access
	// tokens. Without any, no user can sign in: Mount logs a warning, and /login responds with
	// 404. If an administrator configures them at run time, see [Auth.SetProviders].
	Providers []Provider

	// CallbackPaths lists callback paths to register in addition to those of Providers, for
	// providers that [Auth.SetProviders] adds later: Gin cannot add routes while it serves
	// requests. The format is that of [Provider.CallbackPath]. Default: none;
	// /authorize/:provider is always registered.
	CallbackPaths []string

	// Keys encrypt and authenticate the cookies: at most five secrets of at least 32 bytes,
	// used as written (openssl rand -hex 32). The first key seals; all keys open. To rotate,
	// put a new key first and remove the old one after Lifetime. All replicas need the same
	// keys. Required, except that a loopback BaseURL gets a random key and a warning, and that
	// a resource server without sign-in needs none.
	Keys []string `json:"-"`

	// Sessions stores the sessions: any gin-contrib/sessions store (memstore, Redis, gorm,
	// PostgreSQL, MongoDB, …). It needs no sessions.Sessions middleware and does not interfere
	// with one used by the application. Records are sealed, and open only with a cookie that
	// the store never sees. Default: no store; the session is in a sealed cookie.
	Sessions ginsessions.Store `json:"-"`

	// CookieName is the prefix of all cookie names. Default "ginauth".
	CookieName string

	// Lifetime is the absolute expiry of a session after the sign-in. Access tokens issued
	// longer ago are rejected, too. Default 7 days.
	Lifetime time.Duration

	// IdleTimeout is the idle expiry of a session: how long it lasts without a request.
	// Default 24 hours, at most Lifetime.
	IdleTimeout time.Duration

	// AfterLogin and AfterLogout are the paths to go to after signing in and out if the
	// request names no other. They include the path of the group passed to Mount. AfterLogout
	// must not be guarded, or the browser is redirected to sign in again. "/logout" is a
	// built-in page that confirms the sign-out. Default "/".
	AfterLogin, AfterLogout string

	// LoginPage is the path of the application's own page to choose a provider. The page is
	// called with the parameter return_to and must pass it on; otherwise every sign-in ends at
	// AfterLogin. Make each link with [Auth.LoginURL](provider.Name, c.Query("return_to"));
	// the path is validated when the sign-in begins. The page must not be guarded. Default: a
	// built-in page at /login, which redirects to the provider if there is only one.
	LoginPage string

	// Pages changes the template, texts and languages of the built-in pages.
	Pages Pages

	// KeepClaims names the claims that the session keeps unchanged, for [User.Claims] and
	// [HasClaim], which do not read the fields of User; "*" keeps all but the nonce. A session
	// has at most two cookies (5.6 KB). Default: none.
	KeepClaims []string

	// TrustedOrigins are origins, in addition to that of BaseURL, that may send unsafe
	// requests (POST, PUT, WebSocket upgrades, …) with the session cookie, and that return_to
	// may name: "https://admin.example.com". Default: none.
	TrustedOrigins []string

	// Hooks are functions of the application that ginauth calls. Default: none.
	Hooks Hooks `json:"-"`

	// Revocations stores revoked sessions and used states. Default: this process's memory,
	// which is lost at a restart and not shared between replicas. With several replicas, use
	// [Cached] with package redisstate.
	Revocations Revocations `json:"-"`

	// Tokens stores the provider's tokens of signed-in users, sealed and bound to their
	// sessions, for [Auth.Client] and [Provider.Recheck]. It is used only for providers with
	// [Provider.APIs] or Recheck. Replicas must share it together with Revocations, which
	// ensure that a token is refreshed once. Default: this process's memory; after a restart,
	// users are redirected to the provider and back when a handler or a recheck needs a token.
	Tokens Tokens `json:"-"`

	// HTTPClient sends the requests to providers, for a private certificate authority or a
	// proxy. It is cloned and restricted: no redirects, no cookies, a timeout of 10 seconds,
	// limited response sizes, and, if its Transport is an *http.Transport, TLS 1.2 or newer with
	// verified certificates. Mount rejects one with DialTLSContext. Default: a client that
	// honours HTTPS_PROXY.
	HTTPClient *http.Client `json:"-"`

	// Logger receives failures with their causes, and sign-ins and sign-outs with a keyed hash
	// of [User.ID]; it receives no secrets. The client address in it is the one that Gin
	// reports: see gin.Engine.SetTrustedProxies. Default [slog.Default].
	Logger *slog.Logger `json:"-"`

	// Now returns the current time. Default [time.Now].
	Now func() time.Time `json:"-"`
}

// redacted is the printable form of Options, without secrets.
func (o Options) redacted() map[string]any {
	return map[string]any{
		"BaseURL": o.BaseURL, "Providers": o.Providers, "CookieName": o.CookieName,
		"Keys": fmt.Sprintf("[%d redacted]", len(o.Keys)),
	}
}

// Format prints the Options without their secrets, for every verb.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "Options%v", o.redacted()) }

// config holds validated Options and values derived from them. It is immutable.
type config struct {
	Options
	origin      string // of BaseURL: "https://app.example.com"
	prefix      string // of BaseURL: "" or "/prefix"
	mount       string // of the router group: "" or "/group"
	loopback    bool   // BaseURL is on loopback
	insecure    bool   // BaseURL is http, and InsecureHTTP permits it
	secure      bool   // BaseURL is https
	baseUnknown bool   // BaseURL is missing or invalid, so checks that depend on it are lenient
	keyMade     bool   // Keys was empty

	resourceServer bool // no provider has a client: only access tokens are accepted

	callbackPaths []string // all registered patterns except /authorize/:provider
	pages         *pageRenderer
	onRevoked     func(RevocationKey) // after each revocation in this process
}

// url returns the public URL of a path of the application.
func (c *config) url(path string) string { return c.origin + c.prefix + path }

// absolute returns the URL of a return path, which may be on one of TrustedOrigins.
func (c *config) absolute(returnTo string) string {
	if strings.HasPrefix(returnTo, "/") {
		return c.url(returnTo)
	}
	return returnTo
}

// audience distinguishes applications that share keys or a host.
func (c *config) audience() string { return c.url(c.mount) }

// newConfig checks opts and fills in the defaults.
func newConfig(opts Options, mount string) (*config, error) {
	c := &config{Options: opts, mount: strings.TrimRight(mount, "/")}
	c.defaults()
	return c, c.check(mount)
}

func (c *config) defaults() {
	if c.CookieName == "" {
		c.CookieName = "ginauth"
	}
	if c.Lifetime == 0 {
		c.Lifetime = 7 * 24 * time.Hour
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = min(24*time.Hour, c.Lifetime)
	}
	if c.AfterLogin == "" {
		c.AfterLogin = "/"
	}
	if c.AfterLogout == "" {
		c.AfterLogout = "/"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Revocations == nil {
		c.Revocations = newMemoryRevocations(c.Now, memoryLimit)
	}
	if c.Tokens == nil {
		c.Tokens = newMemoryTokens(c.Now)
	}
	c.Keys, c.KeepClaims = slices.Clone(c.Keys), slices.Clone(c.KeepClaims)
	c.TrustedOrigins, c.CallbackPaths = slices.Clone(c.TrustedOrigins), slices.Clone(c.CallbackPaths)
}

// sortedKeys returns a map's keys, sorted.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// cookieName returns the prefix of all cookie names. A short hash of BaseURL separates
// applications on one host; __Host- prevents sibling domains and paths from setting the
// cookies (RFC 6265bis, section 4.1.3.2).
func (c *config) cookieName() string {
	sum := sha256.Sum256([]byte(c.audience()))
	name := c.CookieName + "-" + base32.StdEncoding.EncodeToString(sum[:])[:6]
	if c.secure {
		name = "__Host-" + name
	}
	return name
}
