package authtest

import (
	"net/url"
	"strings"
)

// directive finds a directive of a content security policy.
func directive(policy, name string) (sources []string, ok bool) {
	for part := range strings.SplitSeq(policy, ";") {
		if words := strings.Fields(part); len(words) > 0 && strings.EqualFold(words[0], name) {
			return words[1:], true
		}
	}
	return nil, false
}

// matchesSource reports whether a page's source list admits a URL. It supports the source
// expressions 'self', *, schemes, and hosts with or without a scheme, with a port or :*; any
// other matches nothing.
func matchesSource(sources []string, page, u *url.URL) bool {
	for _, source := range sources {
		switch lower := strings.ToLower(source); {
		case lower == "'self'":
			if sameOrigin(page, u) {
				return true
			}
		case lower == "*", lower == u.Scheme+":":
			return true
		case strings.HasSuffix(lower, ":*"):
			host := strings.TrimSuffix(lower, ":*")
			if host == u.Scheme+"://"+u.Hostname() || host == u.Hostname() && page.Scheme == u.Scheme {
				return true
			}
		case strings.Contains(lower, "://"):
			if s, err := url.Parse(lower); err == nil && sameOrigin(s, u) {
				return true
			}
		case page.Scheme+"://"+lower == originOf(u):
			return true
		}
	}
	return false
}
