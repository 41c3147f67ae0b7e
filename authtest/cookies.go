package authtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// jar holds the cookies of a browser. The browser's lock guards it.
type jar struct {
	cookies map[cookieKey]*cookie
	serial  int
	refused []string
}

// cookieKey identifies a cookie: a new one replaces the cookie with the same key (RFC 6265bis,
// 5.7).
type cookieKey struct {
	name, domain, path string
	hostOnly           bool
}

// visit describes how a request began, as far as cookies depend on it.
type visit struct {
	url      *url.URL
	sameSite bool // begun by the user, or by a page of the same site
	topLevel bool // changes the page that the user sees
	safe     bool // GET or HEAD
}

// typedVisit returns the visit of a URL that the user typed.
func typedVisit(u *url.URL) visit { return visit{url: u, sameSite: true, topLevel: true, safe: true} }

func (j *jar) clone() jar {
	copied := jar{cookies: map[cookieKey]*cookie{}, serial: j.serial, refused: slices.Clone(j.refused)}
	for key, c := range j.cookies {
		twin := *c
		copied.cookies[key] = &twin
	}
	return copied
}

// sent returns the cookies of a request, in the order in which they are sent.
func (j *jar) sent(v visit, now time.Time) []*cookie {
	var sent []*cookie
	host, path := strings.ToLower(v.url.Hostname()), pathOf(v.url)
	for key, c := range j.cookies {
		if c.expired(now) {
			delete(j.cookies, key)
			continue
		}
		here := host == c.domain || !c.hostOnly && domainMatches(host, c.domain)
		if here && pathMatches(path, c.path) && (!c.secure || isTrustworthy(v.url)) && c.goesWith(v) {
			sent = append(sent, c)
		}
	}
	slices.SortFunc(sent, func(a, b *cookie) int {
		return cmp.Or(cmp.Compare(len(b.path), len(a.path)), cmp.Compare(a.created, b.created))
	})
	for _, c := range sent {
		c.used = j.next()
	}
	return sent
}

// goesWith applies the SameSite rule. Chromium sends cookies without the attribute with a
// cross-site POST for their first two minutes. That exception is omitted: nothing should depend
// on it, and other browsers do not have it.
func (c *cookie) goesWith(v visit) bool {
	switch c.sameSite {
	case http.SameSiteNoneMode:
		return true
	case http.SameSiteStrictMode:
		return v.sameSite
	}
	return v.sameSite || v.topLevel && v.safe
}

// set stores a cookie, replaces one, or deletes it if c has expired. The error says why a
// browser would reject it.
func (j *jar) set(c *cookie, v visit, now time.Time) error {
	if err := j.check(c, v); err != nil {
		j.refused = append(j.refused, c.name+": "+err.Error())
		return err
	}
	key := cookieKey{c.name, c.domain, c.path, c.hostOnly}
	old := j.cookies[key]
	if c.expired(now) {
		delete(j.cookies, key)
		return nil
	}
	c.created, c.used = j.next(), j.serial
	if old != nil {
		c.created = old.created
	}
	j.cookies[key] = c
	j.evict(registrable(c.domain))
	return nil
}

func (j *jar) next() int {
	j.serial++
	return j.serial
}

// check completes domain and path and applies the rules of RFC 6265bis, 5.7.
func (j *jar) check(c *cookie, v visit) error {
	if err := c.settle(v.url); err != nil {
		return err
	}
	switch {
	case c.name == "":
		return errors.New("it has no name")
	case strings.ContainsFunc(c.name+c.value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return errors.New("it has control characters")
	case len(c.name)+len(c.value) > maxCookieSize:
		return fmt.Errorf("name and value have %d bytes, more than %d", len(c.name)+len(c.value), maxCookieSize)
	case c.secure && !isTrustworthy(v.url):
		return errors.New("it is Secure but was set over plain http")
	case c.sameSite == http.SameSiteNoneMode && !c.secure:
		return errors.New("it is SameSite=None without Secure")
	case c.sameSite != http.SameSiteNoneMode && !v.sameSite && !v.topLevel:
		return errors.New("it is not SameSite=None and was set by a cross-site request that is not a navigation")
	case !c.secure && !isTrustworthy(v.url) && j.shadowsSecure(c):
		return errors.New("it would shadow a Secure cookie")
	}
	return c.checkPrefix(v.url)
}

func (c *cookie) settle(u *url.URL) error {
	host := strings.ToLower(u.Hostname())
	if c.domain != "" && c.domain != host {
		switch {
		case net.ParseIP(host) != nil || !strings.HasSuffix(host, "."+c.domain):
			return fmt.Errorf("%s may not set it for %s", host, c.domain)
		case !strings.Contains(c.domain, "."):
			return fmt.Errorf("%s is a public suffix", c.domain)
		}
	}
	// If a public suffix or an IP address sets Domain to itself, the cookie is host-only.
	c.hostOnly = c.domain == "" || net.ParseIP(host) != nil || !strings.Contains(c.domain, ".")
	if c.domain == "" {
		c.domain = host
	}
	if !strings.HasPrefix(c.path, "/") {
		c.path = defaultPath(u)
	}
	return nil
}

// checkPrefix applies the rules of the name prefixes. They need https: unlike Secure cookies,
// cookies with a prefix are rejected from http://localhost, as in Chromium.
func (c *cookie) checkPrefix(u *url.URL) error {
	name := strings.ToLower(c.name)
	secure := c.secure && u.Scheme == "https"
	switch {
	case strings.HasPrefix(name, "__secure-") && !secure:
		return errors.New("its prefix needs Secure, and https")
	case strings.HasPrefix(name, "__host-") && !(secure && c.hostOnly && c.path == "/"):
		return errors.New("its prefix needs Secure, https, Path=/ and no Domain")
	}
	return nil
}

// shadowsSecure reports whether a server could mistake c for an existing Secure cookie.
func (j *jar) shadowsSecure(c *cookie) bool {
	for _, old := range j.cookies {
		near := domainMatches(old.domain, c.domain) || domainMatches(c.domain, old.domain)
		if old.secure && old.name == c.name && near && pathMatches(c.path, old.path) {
			return true
		}
	}
	return false
}

// evict deletes the least recently used cookie of a domain if it has more than the limit.
func (j *jar) evict(domain string) {
	var all []cookieKey
	for key := range j.cookies {
		if registrable(key.domain) == domain {
			all = append(all, key)
		}
	}
	if len(all) <= maxCookiesPerSite {
		return
	}
	oldest := slices.MinFunc(all, func(a, b cookieKey) int { return cmp.Compare(j.cookies[a].used, j.cookies[b].used) })
	delete(j.cookies, oldest)
}

// Cookies returns the cookies that a navigation to the URL would send, with the attributes
// with which they were set, so that SetCookie can restore them.
func (b *Browser) Cookies(rawURL string) []*http.Cookie {
	u, err := resolveURL(nil, rawURL)
	if err != nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var cookies []*http.Cookie
	for _, c := range b.jar.sent(typedVisit(u), b.now()) {
		cookies = append(cookies, c.toHTTP())
	}
	return cookies
}

// SetCookie stores a cookie as if a response of the URL had set it. It returns an error with
// the reason if a browser would reject the cookie.
func (b *Browser) SetCookie(rawURL string, c *http.Cookie) error {
	u, err := resolveURL(nil, rawURL)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.jar.set(fromHTTP(c, b.now()), typedVisit(u), b.now()); err != nil {
		return fmt.Errorf("authtest: cookie %q rejected: %w", c.Name, err)
	}
	return nil
}

// RemoveCookie deletes the cookies of this name that a navigation to the URL would send, and
// reports whether there were any.
func (b *Browser) RemoveCookie(rawURL, name string) bool {
	u, err := resolveURL(nil, rawURL)
	if err != nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.jar.cookies)
	for _, c := range b.jar.sent(typedVisit(u), b.now()) {
		maps.DeleteFunc(b.jar.cookies, func(_ cookieKey, other *cookie) bool { return other == c && c.name == name })
	}
	return len(b.jar.cookies) < before
}

// RefusedCookies lists the cookies that the browser rejected, with reasons: see it if a test
// misses a cookie.
func (b *Browser) RefusedCookies() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.jar.refused)
}
