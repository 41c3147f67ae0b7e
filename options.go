package ginauth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
)

// Options is what Mount needs to know. It is copied: changing it afterwards
// changes nothing. Paths in it are the application's own, as its routes are
// written; the path of BaseURL is put before them where a browser needs it.
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
	Keys []string

	// Sessions keeps the sessions: any gin-contrib/sessions store (memstore,
	// Redis, gorm, PostgreSQL, MongoDB, …), used directly: no
	// sessions.Sessions middleware is needed, and one that the application
	// uses for its own data is not disturbed. What the store gets is sealed,
	// and opens only with a cookie that it does not see. Default: a sealed
	// cookie, which needs no store.
	Sessions ginsessions.Store

	// CookieName is how the names of all our cookies begin. Default "ginauth".
	CookieName string

	// Lifetime is how long a session lasts, however busy. Default 7 days.
	Lifetime time.Duration

	// IdleTimeout is how long a session lasts without a request. Default 24
	// hours, at most Lifetime.
	IdleTimeout time.Duration

	// AfterLogin and AfterLogout are the paths to go to when nobody said
	// where. Default "/".
	AfterLogin, AfterLogout string

	// LoginPage is the path of the application's own page to choose a
	// provider on. Default: a built-in one at /login, which goes straight to
	// the provider if there is only one.
	LoginPage string

	// KeepClaims names the claims that stay in the session beside the User's
	// own fields, for User.Claims and HasClaim; "*" keeps all. Mind the size:
	// a session is at most two cookies.
	KeepClaims []string

	// TrustedOrigins may send unsafe requests (POST, PUT, WebSocket upgrades,
	// …) with the session cookie, beside BaseURL's: "https://admin.example.com".
	TrustedOrigins []string

	// Hooks are functions of the application's that a sign-in calls.
	Hooks Hooks

	// Revocations remembers what was signed out. Default: this process's
	// memory, which is lost at a restart and not shared between replicas.
	Revocations Revocations

	// HTTPClient talks to providers: for a private certificate authority or a
	// proxy. It is cloned and hardened: no redirects, no cookies, 10 seconds,
	// bounded answers. Default: one of our own, which honours HTTPS_PROXY.
	HTTPClient *http.Client

	// Logger gets failures with their causes, and no secrets. Default
	// slog.Default().
	Logger *slog.Logger

	// Now is the clock. Default time.Now.
	Now func() time.Time
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

// MarshalJSON writes the Options without their secrets.
func (o Options) MarshalJSON() ([]byte, error) { return json.Marshal(o.redacted()) }

// config is Options, checked and frozen, with what follows from them.
type config struct {
	Options
	origin   string // of BaseURL: "https://app.example.com"
	prefix   string // of BaseURL: "" or "/prefix"
	mount    string // of the router group: "" or "/group"
	loopback bool   // BaseURL is on loopback
	secure   bool   // BaseURL is https
	trusted  http.CrossOriginProtection
}

// url returns the public address of a path of the application.
func (c *config) url(path string) string { return c.origin + c.prefix + path }

// audience tells two applications apart that share keys or a host.
func (c *config) audience() string { return c.url(c.mount) }

// mistakes collects what is wrong with Options, to report all of it at once.
type mistakes []error

func (m *mistakes) add(where, reason, fix string) {
	*m = append(*m, &Error{Code: InvalidOptions, Op: where, Reason: reason, Fix: fix})
}

// newConfig checks opts and fills in the defaults.
func newConfig(opts Options, mount string) (*config, error) {
	var wrong mistakes
	c := &config{Options: opts, mount: strings.TrimRight(mount, "/")}
	c.defaults()
	c.checkBaseURL(&wrong)
	c.checkKeys(&wrong)
	c.checkPaths(&wrong)
	c.checkCookie(&wrong)
	for _, origin := range append([]string{c.origin}, opts.TrustedOrigins...) {
		if err := c.trusted.AddTrustedOrigin(origin); err != nil && c.origin != "" {
			wrong.add("Options.TrustedOrigins", fmt.Sprintf("%q is not an origin", origin), `write scheme and host alone: "https://admin.example.com"`)
		}
	}
	c.checkProviders(&wrong)
	if strings.ContainsAny(mount, ":*") {
		wrong.add("Mount", fmt.Sprintf("the router group's path %q has parameters, but a redirect URI must be one fixed address", mount), "mount on a group with a fixed path")
	}
	return c, errors.Join(wrong...)
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
		c.Revocations = newMemoryRevocations(c.Now)
	}
	c.Keys, c.KeepClaims = slices.Clone(c.Keys), slices.Clone(c.KeepClaims)
	c.TrustedOrigins = slices.Clone(c.TrustedOrigins)
}

func (c *config) checkBaseURL(wrong *mistakes) {
	add := func(reason, fix string) { wrong.add("Options.BaseURL", reason, fix) }
	if c.BaseURL == "" {
		add("is empty", `write the address at which browsers reach the application: "https://app.example.com", or "http://localhost:8080" in development`)
		return
	}
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		add(fmt.Sprintf("%q is not an address", c.BaseURL), `write it with its scheme: "https://app.example.com"`)
		return
	}
	host := strings.ToLower(u.Hostname())
	c.loopback, c.secure = isLoopback(host), u.Scheme == "https"
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		add(fmt.Sprintf("%q is an address to listen on, not one that a browser can open", c.BaseURL), `write "http://localhost:PORT"`)
	} else if !c.secure && !c.loopback {
		add(fmt.Sprintf("%q is http on a host that is not loopback: cookies and codes could be read on the way", c.BaseURL), "write https")
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(path, "//") ||
		strings.Contains(path, "..") || strings.ContainsAny(path, "%\\") {
		add(fmt.Sprintf("%q has more than scheme, host and a plain path", c.BaseURL), "leave user, query, fragment, dots and escapes out")
	}
	c.origin, c.prefix = originOf(u), path
}

// originOf returns the origin as browsers write it: lower case, no default port.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}

// originAt is originOf for a text; "" for one that is no address.
func originAt(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return originOf(u)
	}
	return ""
}

// isLoopback: what never leaves the machine, and what browsers treat so.
func isLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func (c *config) checkKeys(wrong *mistakes) {
	add := func(reason string) {
		wrong.add("Options.Keys", reason, "make one with: openssl rand -hex 32 (the same for every replica)")
	}
	if len(c.Keys) == 0 && c.loopback {
		c.Keys = []string{rand.Text() + rand.Text()}
		c.Logger.Warn("ginauth: Options.Keys is empty: a random key was made, which is fine for development; sign-ins end with this process")
		return
	}
	if len(c.Keys) == 0 {
		add("is empty (is the environment variable set?)")
	}
	if len(c.Keys) > 5 {
		add(fmt.Sprintf("has %d keys; five are the most", len(c.Keys)))
	}
	for i, key := range c.Keys {
		if why := weakKey(key); why != "" {
			add(fmt.Sprintf("key %d %s", i+1, why))
		}
		if slices.Contains(c.Keys[:i], key) {
			add(fmt.Sprintf("key %d is there twice", i+1))
		}
	}
}

// weakKey says what is wrong with a key, or "".
func weakKey(key string) string {
	distinct := map[byte]bool{}
	for i := range len(key) {
		distinct[key[i]] = true
	}
	lower := strings.ToLower(key)
	switch {
	case len(key) < 32:
		return fmt.Sprintf("has %d bytes; at least 32 are needed", len(key))
	case key != strings.TrimSpace(key):
		return "begins or ends with white space, which would be part of it"
	case strings.Trim(key, `"'`) != key:
		return "begins or ends with a quotation mark, which would be part of it (env files keep them)"
	case len(distinct) < 8:
		return "repeats a few characters"
	case strings.Contains(lower, "changeme") || strings.Contains(lower, "change-me") || strings.Contains(lower, "your-secret") || strings.Contains(lower, "your_secret"):
		return "looks like a placeholder"
	}
	return ""
}

func (c *config) checkPaths(wrong *mistakes) {
	for _, p := range []struct{ name, value string }{
		{"AfterLogin", c.AfterLogin}, {"AfterLogout", c.AfterLogout}, {"LoginPage", c.LoginPage},
	} {
		if _, ok := cleanPath(p.value); !ok && (p.value != "" || p.name != "LoginPage") {
			wrong.add("Options."+p.name, fmt.Sprintf("%q is not a path of the application", p.value), `write one that begins with a single /, such as "/home"`)
		}
	}
	if c.Lifetime < time.Minute || c.IdleTimeout < time.Minute || c.IdleTimeout > c.Lifetime {
		wrong.add("Options.Lifetime", fmt.Sprintf("Lifetime %v and IdleTimeout %v do not fit together", c.Lifetime, c.IdleTimeout),
			"both must be a minute or more, and IdleTimeout at most Lifetime")
	}
}

func (c *config) checkCookie(wrong *mistakes) {
	ok := len(c.CookieName) <= 32
	for i := range len(c.CookieName) {
		ok = ok && (alphanumeric(c.CookieName[i]) || strings.IndexByte("_.", c.CookieName[i]) >= 0)
	}
	if !ok {
		wrong.add("Options.CookieName", fmt.Sprintf("%q cannot begin a cookie's name", c.CookieName), "use at most 32 letters, digits, dots and underscores")
	}
}

// checkProviders checks each provider and that no two are in each other's way.
func (c *config) checkProviders(wrong *mistakes) {
	if len(c.Providers) == 0 {
		wrong.add("Options.Providers", "is empty", "add one: providers.Google(clientID, clientSecret), or a Provider with an Issuer")
	}
	list := make([]Provider, 0, len(c.Providers))
	names, clients := map[string]bool{}, map[string]string{}
	for _, p := range c.Providers {
		p.check(wrong, c.loopback)
		if names[p.Name] {
			wrong.add(p.where("Name"), "is there twice", "give every provider a name of its own")
		}
		names[p.Name] = true
		id := p.Issuer + p.Namespace + " " + p.ClientID
		if other := clients[id]; other != "" && other != p.Name {
			wrong.add(p.where("ClientID"), fmt.Sprintf("is the same client at the same issuer as provider %q", other), "drop one of them")
		}
		clients[id] = p.Name
		list = append(list, p.normalized())
	}
	c.Providers = list
}

// names returns a map's keys for a message, sorted.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// cookieName is how the names of our cookies begin. A short hash of the
// address keeps two applications on one host apart; __Host- keeps sibling
// domains and paths out (RFC 6265bis, section 4.1.3.2).
func (c *config) cookieName() string {
	sum := sha256.Sum256([]byte(c.audience()))
	name := c.CookieName + "-" + base64.RawURLEncoding.EncodeToString(sum[:])[:6]
	if c.secure {
		name = "__Host-" + name
	}
	return name
}
