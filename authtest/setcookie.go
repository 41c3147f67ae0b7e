package authtest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxCookieSize      = 4096 // name and value together
	maxAttributeSize   = 1024
	maxCookiesPerSite  = 180
	maxCookieLifeInSec = 400 * 24 * 60 * 60
)

// cookie is a cookie in the jar.
type cookie struct {
	name, value  string
	domain, path string
	hostOnly     bool
	secure       bool
	httpOnly     bool
	sameSite     http.SameSite // 0 if the attribute is absent, which means Lax
	persistent   bool
	expires      time.Time // if persistent
	created      int       // a serial number: older cookies are sent first
	used         int       // likewise: the least recently used cookie is evicted first
}

// parseSetCookie parses a Set-Cookie header as browsers do (RFC 6265bis, 5.6), which is more
// lenient than net/http.
func parseSetCookie(line string, now time.Time) *cookie {
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, found := strings.Cut(pair, "=")
	if !found {
		name, value = "", pair
	}
	c := &cookie{name: trimBlanks(name), value: trimBlanks(value)}
	maxAge := false
	for attribute := range strings.SplitSeq(attributes, ";") {
		key, value, _ := strings.Cut(attribute, "=")
		value = trimBlanks(value)
		if len(value) > maxAttributeSize {
			continue
		}
		switch strings.ToLower(trimBlanks(key)) {
		case "expires":
			if at, err := parseCookieTime(value); err == nil && !maxAge {
				c.expire(at, now)
			}
		case "max-age":
			if seconds, ok := parseMaxAge(value); ok {
				maxAge = true
				c.expire(now.Add(time.Duration(seconds)*time.Second), now)
			}
		case "domain":
			c.domain = strings.ToLower(strings.TrimPrefix(value, "."))
		case "path":
			c.path = value
		case "secure":
			c.secure = true
		case "httponly":
			c.httpOnly = true
		case "samesite":
			c.sameSite = parseSameSite(value)
		}
	}
	return c
}

// fromHTTP converts a cookie of a test.
func fromHTTP(h *http.Cookie, now time.Time) *cookie {
	c := &cookie{name: h.Name, value: h.Value, domain: strings.ToLower(strings.TrimPrefix(h.Domain, ".")), path: h.Path,
		secure: h.Secure, httpOnly: h.HttpOnly, sameSite: max(0, h.SameSite)}
	if h.Quoted {
		c.value = `"` + h.Value + `"`
	}
	if c.sameSite == http.SameSiteDefaultMode {
		c.sameSite = 0
	}
	if !h.Expires.IsZero() {
		c.expire(h.Expires, now)
	}
	if h.MaxAge != 0 {
		c.expire(now.Add(time.Duration(min(h.MaxAge, maxCookieLifeInSec))*time.Second), now)
	}
	return c
}

func (c *cookie) toHTTP() *http.Cookie {
	h := &http.Cookie{Name: c.name, Value: c.value, Path: c.path, Secure: c.secure, HttpOnly: c.httpOnly, SameSite: c.sameSite}
	if n := len(c.value); n > 1 && c.value[0] == '"' && c.value[n-1] == '"' {
		h.Value, h.Quoted = c.value[1:n-1], true
	}
	if !c.hostOnly {
		h.Domain = c.domain
	}
	if c.persistent {
		h.Expires = c.expires
	}
	return h
}

// expire sets the expiry of the cookie, at most 400 days from now.
func (c *cookie) expire(at, now time.Time) {
	c.persistent, c.expires = true, at
	if limit := now.Add(maxCookieLifeInSec * time.Second); at.After(limit) {
		c.expires = limit
	}
}

func (c *cookie) expired(now time.Time) bool { return c.persistent && !c.expires.After(now) }

func parseMaxAge(s string) (seconds int, ok bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if strings.HasPrefix(s, "-") || err == nil && n == 0 {
		return -1, true
	}
	if err != nil || n > maxCookieLifeInSec {
		n = maxCookieLifeInSec
	}
	return n, true
}

func parseCookieTime(s string) (time.Time, error) {
	if at, err := http.ParseTime(s); err == nil {
		return at, nil
	}
	return time.Parse("Mon, 02-Jan-2006 15:04:05 MST", s)
}

func parseSameSite(s string) http.SameSite {
	switch strings.ToLower(s) {
	case "strict":
		return http.SameSiteStrictMode
	case "lax":
		return http.SameSiteLaxMode
	case "none":
		return http.SameSiteNoneMode
	}
	return 0
}

func trimBlanks(s string) string { return strings.Trim(s, " \t") }

// domainMatches: RFC 6265bis, 5.1.3.
func domainMatches(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain) && registrable(host) != host
}

// pathMatches: RFC 6265bis, 5.1.4.
func pathMatches(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix) && (strings.HasSuffix(prefix, "/") || path[len(prefix)] == '/')
}

func pathOf(u *url.URL) string {
	if path := u.EscapedPath(); strings.HasPrefix(path, "/") {
		return path
	}
	return "/"
}

func defaultPath(u *url.URL) string {
	path := pathOf(u)
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
