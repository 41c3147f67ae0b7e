package authtest

import (
	"net/http"
	"net/url"
	"strings"
)

const defaultReferrerPolicy = "strict-origin-when-cross-origin"

var referrerPolicies = map[string]bool{
	"no-referrer": true, "no-referrer-when-downgrade": true, "same-origin": true, "origin": true, "strict-origin": true,
	"origin-when-cross-origin": true, "strict-origin-when-cross-origin": true, "unsafe-url": true,
}

// referrerPolicy returns the last policy in the header that browsers support, or otherwise if
// there is none.
func referrerPolicy(header http.Header, otherwise string) string {
	for token := range strings.SplitSeq(strings.Join(header.Values("Referrer-Policy"), ","), ",") {
		if token = strings.ToLower(strings.TrimSpace(token)); referrerPolicies[token] {
			otherwise = token
		}
	}
	return otherwise
}

// referer returns the Referer header of a request from one page to another URL, or "" (W3C
// Referrer Policy, 8.3).
func referer(from, to *url.URL, policy string) string {
	whole := *from
	whole.Fragment, whole.RawFragment, whole.User = "", "", nil
	full, origin := whole.String(), originOf(from)+"/"
	elsewhere := !sameOrigin(from, to)
	downgrade := isTrustworthy(from) && !isTrustworthy(to)
	switch {
	case policy == "unsafe-url":
		return full
	case policy == "origin", policy == "origin-when-cross-origin" && elsewhere:
		return origin
	case policy == "origin-when-cross-origin":
		return full
	case policy == "no-referrer", policy == "same-origin" && elsewhere, downgrade && policy != "same-origin":
		return ""
	case policy == "strict-origin", policy == "strict-origin-when-cross-origin" && elsewhere:
		return origin
	}
	return full
}

// hidesOrigin reports whether the Origin header of a POST that is a navigation
// reads "null" under the policy (Fetch, 3.2).
func hidesOrigin(from, to *url.URL, policy string) bool {
	switch policy {
	case "no-referrer":
		return true
	case "same-origin":
		return !sameOrigin(from, to)
	case "no-referrer-when-downgrade", "strict-origin", "strict-origin-when-cross-origin":
		return from.Scheme == "https" && to.Scheme != "https"
	}
	return false
}
