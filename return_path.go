package ginauth

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/gin-gonic/gin"
)

const (
	returnToLimit = 2048 // bytes
	decodeRounds  = 4    // levels of percent-encoding that are decoded
)

// cleanPath validates and normalizes a path of this application, with query and fragment; ok
// is false for everything that any program could interpret as another site. It covers the
// known open redirects: //evil, /\evil, /%2fevil, /..//evil, and each after tabs, which
// browsers ignore.
func cleanPath(raw string) (clean string, ok bool) {
	if len(raw) > returnToLimit || !strings.HasPrefix(raw, "/") || strings.HasPrefix(raw, "//") {
		return "", false
	}
	address, fragment, _ := strings.Cut(raw, "#")
	path, _, _ := strings.Cut(address, "?")
	if strings.IndexFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }) >= 0 || strings.Contains(path+fragment, `\`) {
		return "", false
	}
	u, err := url.Parse(escapeOdd(raw))
	if err != nil {
		return "", false
	}
	if _, ok := decodedPath(u.EscapedPath()); !ok {
		return "", false
	}
	clean = u.EscapedPath()
	if u.RawQuery != "" {
		clean += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		clean += "#" + u.EscapedFragment()
	}
	return clean, len(clean) <= returnToLimit // escaping makes it longer
}

// escapeOdd percent-encodes non-ASCII characters, as browsers do, and, outside the query, the
// characters that net/url would encode: if it finds one of them unescaped, it no longer
// distinguishes an escaped slash from a slash. A backslash in a query, which browsers keep, is
// encoded, too.
func escapeOdd(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	query, fragment := false, false
	for i := range len(s) {
		c := s[i]
		odd := !query && strings.IndexByte("\"<>^`{|}", c) >= 0 || c == '\\' // only a query may have one: programs other than browsers may treat it as a slash
		if c >= 0x80 || odd || fragment && c == '#' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
		fragment = fragment || c == '#'
		query = !fragment && (query || c == '?')
	}
	return b.String()
}

// sentPath returns the path of a request as it was sent. EscapedPath would unescape slashes if
// the path also has a character that should have been escaped.
func sentPath(u *url.URL) string {
	if p, _ := url.PathUnescape(u.RawPath); p == u.Path {
		return u.RawPath
	}
	return u.EscapedPath()
}

// decodedPath decodes a path repeatedly, and rejects it if it is dangerous at any step: a
// server or proxy may stop at any of them.
func decodedPath(p string) (decoded string, ok bool) {
	for range decodeRounds + 1 {
		if !isSafePath(p) {
			return "", false
		}
		next := decodeOnce(p)
		if next == p {
			return p, true
		}
		p = next
	}
	return "", false
}

// decodeOnce decodes percent-encoding once. An invalid % is kept, and the rest is decoded, as
// lenient servers do.
func decodeOnce(p string) string {
	if !strings.Contains(p, "%") {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if c, err := strconv.ParseUint(p[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

// isSafePath reports whether every program interprets a path as the same path: it has no
// control characters or exotic spaces, no backslash, no // at its beginning, and no dot
// segments. Browsers resolve dot segments before a request, so no page's path has them; other
// programs decode first, and arrive at another path (/x%2fy/../logout).
func isSafePath(p string) bool {
	if strings.HasPrefix(p, "//") || strings.IndexFunc(p, func(r rune) bool {
		return r == '\\' || unicode.IsControl(r) || r != ' ' && unicode.IsSpace(r)
	}) >= 0 {
		return false
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// returnPath validates a path to go to after signing in or out: cleanPath except for ginauth's
// own routes, which would cause loops and forced sign-outs.
func (c *config) returnPath(raw string) (string, bool) {
	clean, ok := cleanPath(raw)
	if !ok {
		return "", false
	}
	u, err := url.Parse(clean)
	if err != nil {
		return "", false
	}
	decoded, ok := decodedPath(u.EscapedPath())
	return clean, ok && !c.ownRoute(decoded)
}

// ownRoute reports whether a path may be a route of ginauth. It ignores case, repeated slashes
// and dot segments, and includes all paths below a route, except below a callback path of the
// application.
func (c *config) ownRoute(p string) bool {
	whole := strings.ToLower(path.Clean(p))
	rest, below := strings.CutPrefix(whole+"/", strings.ToLower(c.mount))
	for _, route := range []string{"/login/", "/authorize/", "/logout/"} {
		if below && strings.HasPrefix(rest, route) {
			return true
		}
	}
	return c.isCallback(whole)
}

// orDefault returns the requested path if it is valid, else fallback. A URL of one of
// TrustedOrigins is valid, too. If BaseURL's origin is one of them, its URLs are not valid,
// because ownRoute checks only paths and would not recognize the routes of ginauth.
func (c *config) orDefault(raw, fallback string) string {
	for _, origin := range c.TrustedOrigins {
		if rest, ok := strings.CutPrefix(raw, origin); ok && origin != c.origin {
			if clean, ok := cleanPath(cmp.Or(rest, "/")); ok { // it begins with a slash, so the host and the port have ended
				return origin + clean
			}
		}
	}
	if clean, ok := c.returnPath(raw); ok {
		return clean
	}
	return fallback
}

// loginReturnPath returns the path to return to after signing in, for a rejected request: that
// of the request if it was a page load or a link that HTMX boosted, that of the page for another
// request of HTMX, and otherwise "".
func (c *config) loginReturnPath(r *http.Request) string {
	kind := kindOf(r)
	if isBoosted(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		kind = pageRequest
	}
	switch kind {
	case pageRequest:
		return c.orDefault(sentPath(r.URL)+"?"+r.URL.RawQuery, "") // cleanPath removes an empty query
	case htmxRequest:
		rest, ok := strings.CutPrefix(r.Header.Get("HX-Current-URL"), c.origin+c.prefix)
		if ok {
			return c.orDefault(rest, "")
		}
	}
	return ""
}

// withReturn adds a return path to a URL, which may already have a query and a fragment.
func withReturn(address, returnTo string) string {
	if returnTo == "" {
		return address
	}
	return withParam(address, "return_to", returnTo)
}

// withParam adds a parameter to a URL.
func withParam(address, name, value string) string {
	address, fragment, found := strings.Cut(address, "#")
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	address += separator + name + "=" + url.QueryEscape(value)
	if found {
		address += "#" + fragment
	}
	return address
}

// requestedReturn returns the return_to of a request: the field of a form, or else the parameter
// of the URL that the form is sent to, as LoginURL and LogoutURL set it.
func requestedReturn(c *gin.Context, params url.Values) string {
	if field := params.Get("return_to"); field != "" || c.Request.Method != http.MethodPost {
		return field
	}
	return c.Query("return_to")
}
