// Package weburl classifies URLs as browsers do: whether they have a host, whether they stay on
// the machine, and whether users and secrets may be sent there.
package weburl

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// HasHost reports whether u has a host as browsers write it: in ASCII, with a valid port or none.
func HasHost(u *url.URL) bool {
	host, port := u.Hostname(), u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) || strings.HasSuffix(u.Host, ":") {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == "" // a zone could be any text
	}
	// https://url.spec.whatwg.org/#ends-in-a-number-checker: 2852039166 and
	// 0xa9.254.43518 are addresses, which browsers write as 169.254.169.254.
	last := strings.ToLower(strings.TrimSuffix(host, "."))
	last = last[strings.LastIndexByte(last, '.')+1:] // "" if the host is empty or a single dot
	if hex, is := strings.CutPrefix(last, "0x"); is && strings.Trim(hex, "0123456789abcdef") == "" || strings.Trim(last, "0123456789") == "" {
		return false
	}
	return !strings.Contains(host, "..") && strings.IndexFunc(host, func(r rune) bool {
		return r > 0x7f || !alphanumeric(byte(r)) && !strings.ContainsRune(".-_", r)
	}) < 0
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// Origin returns the origin of u as browsers write it: in lower case, without the default port.
func Origin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}

// OriginOf is Origin for an address as text. It returns "" if the address has no host.
func OriginOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return Origin(u)
	}
	return ""
}

// IsLoopback reports whether traffic to host never leaves the machine: loopback addresses,
// localhost and *.localhost. Browsers permit plain http there.
func IsLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// IsPrivate reports whether host is in a private network by its name: an address of RFC 1918,
// RFC 4193 (IPv6) or RFC 6598 (behind a carrier's NAT), a name of one label, or a name below
// .local (RFC 6762), .lan, .internal (reserved by ICANN in 2024) or .home.arpa (RFC 8375),
// which public DNS does not resolve. Link-local addresses are not included: browsers need a
// zone for those of IPv6.
func IsPrivate(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsPrivate() || carrierNAT.Contains(ip.Unmap())
	}
	for _, suffix := range [...]string{".local", ".lan", ".internal", ".home.arpa"} {
		if name, ok := strings.CutSuffix(host, suffix); ok && name != "" {
			return true
		}
	}
	return host != "" && !strings.Contains(host, ".")
}

// carrierNAT is the shared address space of RFC 6598, which overlay networks use too.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// Unfit returns why users and secrets must not be sent to the address of a provider, as the last
// word of an id ("not_https") and as text. Both are "" if the address is fit: https, or http on
// loopback, or http anywhere if httpOK is set.
func Unfit(address string, httpOK bool) (what, why string) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || strings.TrimSpace(address) != address || strings.ContainsAny(address, "\\ ") {
		return "not_an_address", "is not a valid URL"
	}
	segments := strings.Split(u.EscapedPath(), "/")
	switch {
	case u.User != nil:
		return "user", "contains a user name"
	case u.Fragment != "" || strings.HasSuffix(address, "#"):
		return "fragment", "has a fragment"
	case slices.Contains(segments, "..") || slices.Contains(segments, "."):
		return "dot_segments", "has dot segments in its path"
	case !HasHost(u):
		return "no_host", "has no host that a browser can open"
	case unroutable(u.Hostname()):
		return "unroutable", "is an unspecified, link-local or multicast address, which no provider can have"
	case u.Scheme == "https":
		return "", ""
	case u.Scheme == "http" && (httpOK || IsLoopback(u.Hostname())):
		return "", ""
	}
	return "not_https", "is not https"
}

// unroutable reports whether host is an unspecified (0.0.0.0), multicast or link-local address.
// Clouds serve the machine's credentials at a link-local address (169.254.169.254).
func unroutable(host string) bool {
	ip, _ := netip.ParseAddr(host) // for a name the zero Addr, for which all of these are false
	ip = ip.Unmap()
	return ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast()
}
