package ginauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ginauth/ginauth/internal/errid"
	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/weburl"
)

// longestLifetime is the longest lifetime of a cookie in browsers (RFC 6265bis, section 5.5).
const longestLifetime = 400 * 24 * time.Hour

// mistakes collects the mistakes in Options, to report all of them at once.
type mistakes []error

// add adds a mistake in a field ("Options.BaseURL"); what names the mistake in its
// id ("empty").
func (m *mistakes) add(field, what, reason, fix string) {
	*m = append(*m, &Error{Code: ErrInvalidOptions, ID: errid.Of(field, what), Op: field, Reason: reason, Fix: fix})
}

// check reports every mistake, and sets the derived fields of c.
func (c *config) check(mount string) error {
	var wrong mistakes
	c.resourceServer = len(c.Providers) > 0 && !slices.ContainsFunc(c.Providers, func(p Provider) bool { return !p.isResourceServer() })
	c.checkBaseURL(&wrong)
	c.checkMount(&wrong, mount)
	c.checkKeys(&wrong)
	c.checkPaths(&wrong)
	c.checkLifetimes(&wrong)
	c.checkNames(&wrong)
	c.checkOrigins(&wrong)
	c.checkCallbackPaths(&wrong)
	c.Providers = c.checkProviders(&wrong, c.Providers)
	c.checkPages(&wrong)
	c.checkStore(&wrong)
	c.checkTokens(&wrong)
	c.checkHTTPClient(&wrong)
	return errors.Join(wrong...)
}

// checkTokens checks that replicas that share Tokens also share Revocations, which ensure that
// a token is refreshed once.
func (c *config) checkTokens(wrong *mistakes) {
	_, ours := c.Tokens.(*memoryTokens)
	_, alone := c.Revocations.(*memoryRevocations)
	switch {
	case isNilPointer(c.Tokens):
		wrong.add("Options.Tokens", "nil", "is a nil pointer", "leave the option unset to keep tokens in the memory of this process")
	case !ours && alone:
		wrong.add("Options.Tokens", "revocations", "is set, but Revocations are in the memory of this process: two replicas could use one refresh token twice, which providers treat as theft",
			"set Options.Revocations as well: redisstate implements both")
	}
}

// checkHTTPClient rejects functions that dial TLS, since they may not verify certificates.
func (c *config) checkHTTPClient(wrong *mistakes) {
	if fetch.DialsTLS(c.HTTPClient) {
		wrong.add("Options.HTTPClient", "dial_tls", "has an http.Transport with DialTLSContext or DialTLS, so that the verification of certificates cannot be ensured",
			"set DialContext and TLSClientConfig instead; or put the transport into a RoundTripper of yours, which is then responsible for TLS")
	}
}

func isNilPointer(v any) bool {
	p := reflect.ValueOf(v)
	return p.Kind() == reflect.Pointer && p.IsNil()
}

func (c *config) checkBaseURL(wrong *mistakes) {
	add := func(what, reason, fix string) { wrong.add("Options.BaseURL", what, reason, fix) }
	c.baseUnknown = true
	if c.BaseURL == "" {
		add("empty", "is empty (is the environment variable set?)", `set the address at which browsers reach the application: "https://app.example.com", or "http://localhost:8080" in development`)
		return
	}
	u, err := url.Parse(c.BaseURL)
	if what, reason, fix := pasted(c.BaseURL); what != "" {
		add(what, reason, fix)
		return
	}
	if err != nil || !weburl.HasHost(u) || u.Scheme != "http" && u.Scheme != "https" {
		add("malformed", fmt.Sprintf("%q is not a valid URL", c.BaseURL), `use a URL with a scheme and an ASCII host: "https://app.example.com", or "http://localhost:8080" in development`)
		return
	}
	host := strings.ToLower(u.Hostname())
	c.loopback, c.secure, c.baseUnknown = weburl.IsLoopback(host), u.Scheme == "https", false
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		c.baseUnknown = true // "http://localhost:PORT" is meant
		add("unspecified", fmt.Sprintf("%q is a listen address, which browsers cannot open", c.BaseURL), `use "http://localhost:PORT"`)
	} else if !c.secure && !c.loopback {
		switch private := weburl.IsPrivate(host); {
		case private && c.InsecureHTTP:
			c.insecure = true
		case private:
			add("http", fmt.Sprintf("%q is http on a host that is not loopback: cookies and codes could be read in transit", c.BaseURL),
				"use https, or set Options.InsecureHTTP if everyone on this network is trusted to sign in as anyone")
		case c.InsecureHTTP:
			add("http_public", fmt.Sprintf("%q is http on a public host, for which Options.InsecureHTTP does not apply", c.BaseURL), "use https")
		default:
			add("http", fmt.Sprintf("%q is http on a host that is not loopback: cookies and codes could be read in transit", c.BaseURL), "use https")
		}
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(c.BaseURL, "#") ||
		strings.Contains(path, "//") || strings.Contains(path, "..") || strings.Contains(path+"/", "/./") || strings.ContainsAny(path, "%\\:*") {
		add("extra", fmt.Sprintf("%q has more than a scheme, a host and a plain path", u.Redacted()), "remove user, query, fragment, dot segments and escapes")
	}
	c.origin, c.prefix = weburl.Origin(u), path
}

// checkMount checks the path of the router group, which is part of the redirect URI: one fixed
// URL that is compared byte by byte.
func (c *config) checkMount(wrong *mistakes, mount string) {
	switch {
	case strings.ContainsAny(mount, ":*"):
		wrong.add("Mount", "path_parameters", fmt.Sprintf("the router group's path %q has parameters, but a redirect URI must be fixed", mount), "mount on a group with a fixed path")
	case (&url.URL{Path: mount}).EscapedPath() != mount:
		wrong.add("Mount", "path_escaped", fmt.Sprintf("the router group's path %q is not valid in a URL without escaping", mount), "mount on a group whose path consists of letters, digits and -._~")
	case c.prefix != "" && c.prefix == c.mount:
		c.log(context.Background(), slog.LevelWarn, "options.base_url.group_path", "BaseURL repeats the router group's path; its path is only for a prefix that a proxy strips",
			slog.String("base_url", c.BaseURL), slog.String("group", mount), slog.String("login", c.url(c.mount+"/login")))
	}
}

const makeKey = "generate a key: openssl rand -hex 32 (the same for every replica)"

func (c *config) checkKeys(wrong *mistakes) {
	add := func(what, reason string) { wrong.add("Options.Keys", what, reason, makeKey) }
	if len(c.Keys) == 0 && c.resourceServer { // nothing is sealed
		c.Keys = []string{rand.Text() + rand.Text()}
		return
	}
	if len(c.Keys) == 0 && c.loopback {
		c.Keys, c.keyMade = []string{rand.Text() + rand.Text()}, true
		c.log(context.Background(), slog.LevelWarn, "options.keys.generated", "Options.Keys is empty: "+keyMadeRemark+"; set Options.Keys (openssl rand -hex 32) to keep sessions")
		return
	}
	if len(c.Keys) == 0 && c.baseUnknown && c.BaseURL != "" { // it may be meant to be on loopback
		return
	}
	if len(c.Keys) == 0 {
		add("empty", "is empty (is the environment variable set?)")
	}
	if len(c.Keys) > 5 {
		add("too_many", fmt.Sprintf("has %d keys; the limit is five", len(c.Keys)))
	}
	for i, key := range c.Keys {
		if what, why := weakKey(key); what != "" {
			add("key_"+what, fmt.Sprintf("key %d %s", i+1, why))
		}
		if slices.Contains(c.Keys[:i], key) {
			add("key_duplicate", fmt.Sprintf("key %d is a duplicate", i+1))
		}
	}
}

// weakKey returns why a key is weak, as an id and a text, or "".
func weakKey(key string) (what, why string) {
	distinct := map[byte]bool{}
	for i := range len(key) {
		distinct[key[i]] = true
	}
	switch {
	case key == "":
		return "empty", "is empty (is the environment variable set?)"
	case placeholder(key):
		return "placeholder", "looks like a placeholder"
	case len(key) < 32:
		return "short", fmt.Sprintf("has %d bytes; the minimum is 32", len(key))
	case key != strings.TrimSpace(key):
		return "white_space", "begins or ends with white space, which would be part of the key"
	case strings.Trim(key, `"'`) != key:
		return "quotes", "begins or ends with a quotation mark, which would be part of the key: remove the quotes, which env files keep"
	case len(distinct) < 8 || repeats(key):
		return "repetitive", "is repetitive"
	}
	return "", ""
}

// repeats reports whether a text is a repetition of a shorter text.
func repeats(s string) bool {
	for period := 1; period <= len(s)/2; period++ {
		if strings.HasPrefix(s, s[period:]) {
			return true
		}
	}
	return false
}

// pasted detects remains of shells, files and web pages in a value, and returns them as an id
// and a text, or "". The text does not contain the value, which may be a secret.
func pasted(s string) (what, reason, fix string) {
	switch {
	case s != strings.TrimSpace(s):
		return "white_space", "begins or ends with white space", "trim the value: files and shells often add a line break"
	case strings.Trim(s, "\"'`“”‘’") != s:
		return "quotes", "begins or ends with a quotation mark", "remove the quotes: env files keep them as part of the value"
	case strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
	}):
		return "invisible", "contains a line break or an invisible character", "copy the value again, on one line"
	case placeholder(s):
		return "placeholder", "looks like a placeholder", "replace it with your own value, and check that the variable is set before the program reads it"
	}
	return "", "", ""
}

// placeholder recognizes placeholders of instructions, and variables that a shell or a
// template should have replaced.
func placeholder(s string) bool {
	lower := strings.ToLower(s)
	for _, sign := range []string{"changeme", "change-me", "change_me", "replaceme", "replace-me", "replace_me", "your-secret", "your_secret", "xxxxxxxx"} {
		if strings.Contains(lower, sign) {
			return true
		}
	}
	for _, around := range [][2]string{{"<", ">"}, {"${", "}"}, {"{{", "}}"}, {"$(", ")"}, {"your-", ""}, {"your_", ""}} {
		if strings.HasPrefix(lower, around[0]) && strings.HasSuffix(lower, around[1]) {
			return true
		}
	}
	name, dollar := strings.CutPrefix(s, "$")
	return dollar && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// checkPaths checks the paths of the application's pages, and normalizes them, since they are
// sent in headers.
func (c *config) checkPaths(wrong *mistakes) {
	for _, p := range []struct {
		name  string
		value *string
	}{{"AfterLogin", &c.AfterLogin}, {"AfterLogout", &c.AfterLogout}, {"LoginPage", &c.LoginPage}} {
		clean, ok := cleanPath(*p.value)
		if !ok && (*p.value != "" || p.name != "LoginPage") {
			wrong.add("Options."+p.name, "not_a_path", fmt.Sprintf("%q is not a path of the application", *p.value), `use a path that begins with a single /, such as "/home"`)
			continue
		}
		*p.value = clean
	}
	if _, ok := cleanPath(c.AfterLogin); ok && c.orDefault(c.AfterLogin, "") == "" {
		wrong.add("Options.AfterLogin", "own_route", fmt.Sprintf("%q is a ginauth route: users would loop back to the login page", c.AfterLogin), `use a page of the application, such as "/home"`)
	}
}

func (c *config) checkLifetimes(wrong *mistakes) {
	if c.Lifetime < time.Minute || c.IdleTimeout < time.Minute || c.IdleTimeout > c.Lifetime {
		wrong.add("Options.Lifetime", "idle_timeout", fmt.Sprintf("Lifetime %v and IdleTimeout %v are not a valid combination", c.Lifetime, c.IdleTimeout),
			"set both to a minute or more, and IdleTimeout to at most Lifetime (a bare number is nanoseconds: write 12*time.Hour)")
	}
	if c.Lifetime > longestLifetime {
		wrong.add("Options.Lifetime", "too_long", fmt.Sprintf("%v is longer than browsers keep cookies", c.Lifetime), "set at most 400 days")
	}
}

// checkNames checks CookieName and KeepClaims.
func (c *config) checkNames(wrong *mistakes) {
	ok := len(c.CookieName) <= 32
	for i := range len(c.CookieName) {
		ok = ok && (alphanumeric(c.CookieName[i]) || strings.IndexByte("_.", c.CookieName[i]) >= 0)
	}
	if !ok {
		wrong.add("Options.CookieName", "malformed", fmt.Sprintf("%q is not a valid cookie name prefix", c.CookieName), "use at most 32 letters, digits, dots and underscores")
	}
	if slices.Contains(c.KeepClaims, "") {
		wrong.add("Options.KeepClaims", "empty_name", "contains an empty name", `use the claim names of the provider, such as "department"; "*" keeps all claims`)
	}
}

// checkOrigins checks TrustedOrigins. Anyone on the network path can impersonate an http origin.
func (c *config) checkOrigins(wrong *mistakes) {
	for _, origin := range c.TrustedOrigins {
		u, err := url.Parse(origin)
		if err != nil || !weburl.HasHost(u) || u.Scheme != "https" && u.Scheme != "http" || weburl.Origin(u) != origin {
			wrong.add("Options.TrustedOrigins", "malformed", fmt.Sprintf("%q is not an origin in the form that browsers send", origin), `use only scheme and host, in lower case: "https://admin.example.com"`)
		} else if u.Scheme != "https" && !weburl.IsLoopback(u.Hostname()) {
			wrong.add("Options.TrustedOrigins", "http", fmt.Sprintf("%q is not https: anyone on the network path could send requests from it", origin), "use https")
		}
	}
}

// checkProviders checks each provider and conflicts between them. It returns copies with the
// defaults filled in.
func (c *config) checkProviders(wrong *mistakes, providers []Provider) []Provider {
	list := make([]Provider, 0, len(providers))
	names, clients := map[string]string{}, map[string]string{} // names by their lower case
	for i, p := range providers {
		called := fmt.Sprintf("provider %q", printable.Clip(p.Name))
		if p.Name == "" {
			called = fmt.Sprintf("Options.Providers[%d]", i)
		}
		add := func(field, what, reason, fix string) {
			*wrong = append(*wrong, &Error{Code: ErrInvalidOptions, ID: errid.Of("Provider."+field, what), Op: called + ": " + field, Reason: reason, Fix: fix})
		}
		written := p.Issuer
		p.check(add, c.loopback || c.baseUnknown)
		if c.insecure && p.ResponseMode == "form_post" {
			// The provider's page is https: browsers warn users about its form, and send no
			// cookies with it.
			add("ResponseMode", "form_post_http", `is "form_post", but BaseURL is http: browsers warn users about forms sent from https to http`, `use "query", or https in BaseURL`)
		}
		if p.Issuer != written {
			c.log(context.Background(), slog.LevelInfo, "provider.issuer.discovery_address", "Issuer is the address of the discovery document, not the issuer; remove the /.well-known/ part",
				slog.String("provider", printable.Clip(p.Name)), slog.String("issuer", shown(p.Issuer)))
		}
		folded := strings.ToLower(p.Name)
		if other, there := names[folded]; there && p.Name == other && p.Name != "" {
			add("Name", "duplicate", "is used twice", "give every provider a unique name")
		} else if there && p.Name != other {
			add("Name", "case", fmt.Sprintf("differs from %q only in case", printable.Clip(other)), "give every provider a unique name: users and servers confuse such addresses")
		}
		names[folded] = p.Name
		id := p.Issuer + p.Namespace + " " + p.ClientID
		if other, there := clients[id]; there && other != p.Name && p.ClientID != "" {
			add("ClientID", "duplicate", fmt.Sprintf("is the same client at the same issuer as provider %q", other), "remove one of them")
		}
		clients[id] = p.Name
		p.checkNamesake(add, list)
		p.checkSharedKey(add, list)
		c.checkCallbackOf(add, &p)
		c.checkLoginPage(&p, add, list)
		list = append(list, p.normalized())
	}
	checkAudiences(wrong, list)
	for i, key := range c.Keys {
		if slices.ContainsFunc(list, func(p Provider) bool { return key != "" && p.ClientSecret == key }) {
			wrong.add("Options.Keys", "key_client_secret", fmt.Sprintf("key %d is a provider's client secret", i+1), makeKey)
		}
	}
	return list
}
