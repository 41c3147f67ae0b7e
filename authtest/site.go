package authtest

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// originOf returns a URL's origin, as in the Origin header.
func originOf(u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && !(u.Scheme == "http" && port == "80") && !(u.Scheme == "https" && port == "443") {
		host += ":" + port
	}
	return u.Scheme + "://" + host
}

func sameOrigin(a, b *url.URL) bool { return originOf(a) == originOf(b) }

// siteOf returns the scheme and the registrable domain.
func siteOf(u *url.URL) string { return u.Scheme + "://" + registrable(u.Hostname()) }

func sameSite(a, b *url.URL) bool { return siteOf(a) == siteOf(b) }

// registrable returns the registrable domain: the last two labels, without a list of the public
// suffixes that are longer. An IP address is returned unchanged.
func registrable(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if net.ParseIP(host) != nil {
		return host
	}
	labels := strings.Split(host, ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}

// isTrustworthy reports whether a browser treats the URL as secure: https, or
// loopback (W3C Secure Contexts, 3.1).
func isTrustworthy(u *url.URL) bool { return u.Scheme == "https" || isLoopback(u.Hostname()) }

// resolveURL resolves a reference as browsers do (WHATWG URL) and not as in RFC 3986: tabs and
// newlines are removed, a backslash is a slash, and two or more slashes begin a host. base is
// nil for a URL that the user types.
func resolveURL(base *url.URL, ref string) (*url.URL, error) {
	ref = strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' })
	ref = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(ref)
	path, rest := ref, ""
	if i := strings.IndexAny(ref, "?#"); i >= 0 {
		path, rest = ref[:i], ref[i:]
	}
	path = strings.ReplaceAll(path, `\`, "/")
	scheme, after, found := strings.Cut(path, ":")
	scheme = strings.ToLower(scheme)
	switch {
	case found && (scheme == "http" || scheme == "https"):
		if base != nil && base.Scheme == scheme && !strings.HasPrefix(after, "/") {
			path = after // "https:x" on an https page is the relative "x"
		} else {
			path = scheme + "://" + strings.TrimLeft(after, "/")
		}
	case strings.HasPrefix(path, "//") && base != nil:
		path = base.Scheme + "://" + strings.TrimLeft(path, "/")
	}
	u, err := url.Parse(path + rest)
	if err != nil {
		return nil, fmt.Errorf("authtest: %w", err)
	}
	if base == nil {
		base = u
	}
	u = base.ResolveReference(u)
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("authtest: %q does not lead to a page", ref)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}
