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

// Options configures [Mount], which copies it: later changes have no effect. Paths
// are written as the application's routes are; the path of BaseURL is prepended
// where a browser needs it. Options print, and encode as JSON, without their secrets.
type Options struct {
	// BaseURL is the address at which browsers reach the application:
	// "https://app.example.com", with a path if a proxy strips one. Required. All
	// absolute addresses are made from it, and none from the Host or X-Forwarded
	// headers of a request, which anybody can write. http is accepted for loopback
	// only (localhost, *.localhost, 127.0.0.0/8, ::1), unless InsecureHTTP is set.
	BaseURL string

	// InsecureHTTP permits an http BaseURL in a private network: a private address (RFC
	// 1918, RFC 4193, RFC 6598), a name without a dot, or one that ends in .local, .lan,
	// .internal or .home.arpa. Anybody on that network can read and use session cookies,
	// codes and passwords. It has no effect on an https BaseURL, so that a product can
	// leave it on and let its administrators choose the address. Providers must be https
	// all the same, and no form_post; Keys are required. Mount logs a warning. Default:
	// false, and such a BaseURL is an error.
	InsecureHTTP bool

	// Providers are the providers to sign in with. Without any, no user can sign in, which
	// Mount warns about: /login is a 404 then that says so. See [Auth.SetProviders] for an
	// application whose administrator enters them.
	Providers []Provider

	// CallbackPaths lists callback paths to register in addition to those of Providers,
	// for providers that [Auth.SetProviders] adds later: Gin cannot add routes while it
	// serves requests. They are written as in [Provider.CallbackPath]. Default: none;
	// /authorize/:provider is always there.
	CallbackPaths []string

	// Keys seal the cookies: at most five secrets of at least 32 bytes, used as
	// written (openssl rand -hex 32). The first one seals, all of them open. To
	// rotate, put a new one first and remove the old one after Lifetime. Every
	// replica needs the same. Required, except that a loopback BaseURL gets a random
	// key and a warning.
	Keys []string `json:"-"`

	// Sessions keeps the sessions: any gin-contrib/sessions store (memstore, Redis,
	// gorm, PostgreSQL, MongoDB, …). It needs no sessions.Sessions middleware, and
	// does not disturb one that the application uses for its own data. What the store
	// receives is sealed, and can be opened only with a cookie that it never sees.
	// Default: a sealed cookie, which needs no store.
	Sessions ginsessions.Store `json:"-"`

	// CookieName is the beginning of the names of all cookies. Default "ginauth".
	CookieName string

	// Lifetime is how long a session lasts at most. Default 7 days.
	Lifetime time.Duration

	// IdleTimeout is how long a session lasts without a request. Default 24 hours,
	// at most Lifetime.
	IdleTimeout time.Duration

	// AfterLogin and AfterLogout are the paths to go to after signing in and out if
	// no other path was asked for. They include the path of a group that Mount is
	// given. AfterLogout should not be guarded: the browser would be sent to sign in
	// again. "/logout" is a page that says "you are signed out". Default "/".
	AfterLogin, AfterLogout string

	// LoginPage is the path of the application's own page to choose a provider on. It
	// is called with the parameter return_to, and must pass it on: otherwise everybody
	// ends at AfterLogin. Make each link with
	// [Auth.LoginURL](provider.Name, c.Query("return_to")); the path is checked when
	// the sign-in begins. The page must not be guarded. Default: a built-in page at
	// /login, which redirects to the provider if there is only one.
	LoginPage string

	// Pages changes the built-in pages: their template, sentences and languages.
	Pages Pages

	// KeepClaims names the claims that the session keeps as they were sent, for
	// [User.Claims] and [HasClaim], neither of which looks at the fields of User; "*"
	// keeps all but the nonce. Mind the size: a session has at most two cookies.
	KeepClaims []string

	// TrustedOrigins are origins beside BaseURL's that may send unsafe requests
	// (POST, PUT, WebSocket upgrades, …) with the session cookie, and that return_to may
	// name: "https://admin.example.com".
	TrustedOrigins []string

	// Hooks are functions of the application that this package calls.
	Hooks Hooks `json:"-"`

	// Revocations remembers what was signed out. Default: this process's memory,
	// which is lost at a restart and not shared between replicas. With several, use
	// [Cached] around package redisstate.
	Revocations Revocations `json:"-"`

	// Tokens keeps the provider's tokens of signed-in users, sealed and bound to their
	// sessions, for [Auth.Client] and [Provider.Recheck]. Nothing is kept of the users of a
	// provider with neither [Provider.APIs] nor Recheck. Share one between replicas, and
	// with it Revocations, which see to it that a token is refreshed once. Default: this
	// process's memory; after a restart a user is sent to the provider, and back, when a
	// handler or a recheck needs a token.
	Tokens Tokens `json:"-"`

	// HTTPClient sends the requests to providers, for a private certificate authority
	// or a proxy. It is cloned and hardened: no redirects, no cookies, a timeout of
	// 10 seconds, limited responses. Default: a client that honours HTTPS_PROXY.
	HTTPClient *http.Client `json:"-"`

	// Logger receives failures with their causes, and sign-ins and sign-outs with a
	// keyed hash of [User.ID]; no secrets. The client's address in it is what Gin reports:
	// see SetTrustedProxies there. Default [slog.Default].
	Logger *slog.Logger `json:"-"`

	// Now is the clock. Default [time.Now].
	Now func() time.Time `json:"-"`
}

// redacted is how Options print: they hold secrets.
func (o Options) redacted() map[string]any {
	return map[string]any{
		"BaseURL": o.BaseURL, "Providers": o.Providers, "CookieName": o.CookieName,
		"Keys": fmt.Sprintf("[%d redacted]", len(o.Keys)),
	}
}

// Format prints the Options without their secrets, whatever the verb.
func (o Options) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "Options%v", o.redacted()) }

// config is Options, checked and frozen, with what follows from them.
type config struct {
	Options
	origin      string // of BaseURL: "https://app.example.com"
	prefix      string // of BaseURL: "" or "/prefix"
	mount       string // of the router group: "" or "/group"
	loopback    bool   // BaseURL is on loopback
	insecure    bool   // BaseURL is http, and InsecureHTTP permits it
	secure      bool   // BaseURL is https
	baseUnknown bool   // BaseURL is missing, or cannot be read: nothing follows from it
	keyMade     bool   // Keys was empty

	resourceServer bool // no provider has a client: there are access tokens, and nothing else

	callbackPaths []string // the patterns of all that are registered but /authorize/:provider
	pages         *pageRenderer
}

// url returns the public address of a path of the application.
func (c *config) url(path string) string { return c.origin + c.prefix + path }

// absolute is the address of a return path, which may be one of TrustedOrigins.
func (c *config) absolute(returnTo string) string {
	if strings.HasPrefix(returnTo, "/") {
		return c.url(returnTo)
	}
	return returnTo
}

// audience tells two applications apart that share keys or a host.
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

// cookieName is how the names of our cookies begin. A short hash of the
// address keeps two applications on one host apart; __Host- keeps sibling
// domains and paths out (RFC 6265bis, section 4.1.3.2).
func (c *config) cookieName() string {
	sum := sha256.Sum256([]byte(c.audience()))
	name := c.CookieName + "-" + base32.StdEncoding.EncodeToString(sum[:])[:6]
	if c.secure {
		name = "__Host-" + name
	}
	return name
}
