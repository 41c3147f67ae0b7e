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

// Options is what Mount needs to know. It is copied: changing it afterwards
// changes nothing. Paths in it are the application's own, as its routes are
// written; the path of BaseURL is put before them where a browser needs it.
// Options print without their secrets, and JSON has none of them either.
type Options struct {
	// BaseURL is the address at which browsers reach the application:
	// "https://app.example.com", with a path if a proxy strips one. Required.
	// Everything absolute is made from it, nothing from the Host or
	// X-Forwarded headers of a request, which anybody can write. http is for
	// loopback alone (localhost, *.localhost, 127.0.0.0/8, ::1).
	BaseURL string

	// Providers to sign in with. Required: at least one.
	Providers []Provider

	// Keys seal the cookies: secrets of at least 32 bytes, used as written
	// (openssl rand -hex 32). The first one seals, all of them open, at most
	// five; to change it, put a new one before it and drop the old one after
	// Lifetime. Every replica needs the same. Required, except that a
	// loopback BaseURL gets a random one and a warning.
	Keys []string `json:"-"`

	// Sessions keeps the sessions: any gin-contrib/sessions store (memstore,
	// Redis, gorm, PostgreSQL, MongoDB, …), used directly: no
	// sessions.Sessions middleware is needed, and one that the application
	// uses for its own data is not disturbed. What the store gets is sealed,
	// and opens only with a cookie that it does not see. Default: a sealed
	// cookie, which needs no store.
	Sessions ginsessions.Store `json:"-"`

	// CookieName is how the names of all our cookies begin. Default "ginauth".
	CookieName string

	// Lifetime is how long a session lasts, however busy. Default 7 days.
	Lifetime time.Duration

	// IdleTimeout is how long a session lasts without a request. Default 24
	// hours, at most Lifetime.
	IdleTimeout time.Duration

	// AfterLogin and AfterLogout are the paths to go to when nobody said
	// where, as the application's routes are written: the path of a group that
	// Mount is given is a part of them. Where a guard is in front of
	// AfterLogout, who signs out is sent to sign in again; "/logout" is a page
	// without. Default "/".
	AfterLogin, AfterLogout string

	// LoginPage is the path of the application's own page to choose a
	// provider on. Default: a built-in one at /login, which goes straight to
	// the provider if there is only one.
	LoginPage string

	// Pages changes the built-in pages: their template, sentences, languages.
	Pages Pages

	// KeepClaims names the claims that stay in the session as they were sent,
	// for User.Claims and HasClaim, which does not look at the User's own
	// fields; "*" keeps all but the nonce, which was the sign-in's. Mind the
	// size: a session is at most two cookies.
	KeepClaims []string

	// TrustedOrigins may send unsafe requests (POST, PUT, WebSocket upgrades,
	// …) with the session cookie, beside BaseURL's: "https://admin.example.com".
	TrustedOrigins []string

	// Hooks are functions of the application's that a sign-in calls.
	Hooks Hooks `json:"-"`

	// Revocations remembers what was signed out. Default: this process's
	// memory, which is lost at a restart and not shared between replicas.
	Revocations Revocations `json:"-"`

	// HTTPClient talks to providers: for a private certificate authority or a
	// proxy. It is cloned and hardened: no redirects, no cookies, 10 seconds,
	// bounded answers. Default: one of our own, which honours HTTPS_PROXY.
	HTTPClient *http.Client `json:"-"`

	// Logger gets failures with their causes, and who signed in and out, by a
	// hash of User.ID; no secrets. The client's address is what Gin says it is:
	// see its SetTrustedProxies. Default slog.Default().
	Logger *slog.Logger `json:"-"`

	// Now is the clock. Default time.Now.
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
	origin   string // of BaseURL: "https://app.example.com"
	prefix   string // of BaseURL: "" or "/prefix"
	mount    string // of the router group: "" or "/group"
	loopback bool   // BaseURL is on loopback
	secure   bool   // BaseURL is https
	keyMade  bool   // Keys was empty
	trusted  http.CrossOriginProtection
	pages    *pages
}

// url returns the public address of a path of the application.
func (c *config) url(path string) string { return c.origin + c.prefix + path }

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
	c.Keys, c.KeepClaims = slices.Clone(c.Keys), slices.Clone(c.KeepClaims)
	c.TrustedOrigins = slices.Clone(c.TrustedOrigins)
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
