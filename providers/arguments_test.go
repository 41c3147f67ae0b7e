package providers_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

// addresses are those of a Provider that an argument may be part of.
func addresses(p ginauth.Provider) []string {
	return []string{p.Issuer, p.AuthorizeURL, p.TokenURL, p.UserinfoURL, p.JWKSURL, p.Logout.EndSessionURL, p.Logout.URL, p.Namespace, p.ResponseIssuer}
}

// hostile is written around what an argument should be: hosts, ports and paths
// that are another's, or the same in another spelling.
func hostile(example string) []string {
	first, rest, _ := strings.Cut(example, ".")
	return []string{
		example + ".", "." + example, example + "..", example + ".evil.example", "evil.example." + example, first + ".." + rest,
		strings.ToUpper(example), example + ":443@evil.example", "user:" + example + "@evil.example", example + ":", example + ":0", example + ":99999", example + ":0x1bb", example + ":443:443",
		"[::1]", "[::ffff:169.254.169.254]", "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "127.1", "0", "0.0.0.0", "224.0.0.1", "metadata", "xn--", "-" + example, example + "-",
		first + "。" + rest, first + "．" + rest, "ⓔvil.example", "evıl.example", "ev\u00adil.example", "\u202e" + example, "a\u200b" + example,
		example + "/..", example + "/../..", example + "/%2e%2e", example + ";x", example + "&x=y", example + "#", example + "%00", example + "\x00", example + "\r\nHost: evil.example", example + "\t",
		example + "%2f", example + "%40evil.example", "..%2f" + example, "....", "~", "-", "_", "'", `"`, "$(x)", "`x`", "*", "+", "=", "!", "|", "^", "[]", "(" + example + ")",
		"{client_id}", "{state}", "{post_logout_redirect_uri}", "%7btenant%7d", "common", "AnyTenant",
	}
}

// An accepted argument changes the host or the path segment that the example has in its
// place, and nothing else.
func TestArgumentsStayInTheirPlace(t *testing.T) {
	for _, p := range providers.Catalogue() {
		for _, a := range p.Args {
			if a.Free {
				continue
			}
			usual := addresses(made(p))
			for _, value := range hostile(a.Example) {
				other := madeWith(p, map[string]string{a.Name: value})
				if mount(other) != nil {
					continue
				}
				for i, address := range addresses(other) {
					if address != "" && !inPlace(usual[i], address, a.Example, value) {
						t.Errorf("%s: with the %s %q, %s became %s", p.Name, a.Name, value, usual[i], address)
					}
				}
			}
		}
	}
}

// inPlace says whether an address is the usual one with the value for the
// example, as one that reads addresses sees it.
func inPlace(usual, address, example, value string) bool {
	was, err := url.Parse(usual)
	if err != nil {
		return false
	}
	is, err := url.Parse(address)
	return err == nil && is.User == nil && is.Fragment == "" && is.Scheme == "https" && value == strings.Trim(value, ".") &&
		(is.Host == was.Host || is.Host == strings.ReplaceAll(was.Host, example, value) && is.Host == strings.ToLower(is.Host)) &&
		(is.EscapedPath() == was.EscapedPath() || is.EscapedPath() == strings.ReplaceAll(was.EscapedPath(), example, value)) &&
		(is.RawQuery == was.RawQuery || is.RawQuery == strings.ReplaceAll(was.RawQuery, example, value))
}

// others are values for arguments that cannot be just anything.
var others = map[string]string{"region": "eu-west-3", "pool": "eu-west-3_ZzZzZzZzZ"}

// sameIDs are arguments of which every value leads to the same people: the
// policies of a tenant are its pages for them.
var sameIDs = map[string]bool{"azure-ad-b2c policy": true}

// Users of another host, tenant or realm have another User.ID: another server assigned
// their subjects.
func TestArgumentsThatChangeWhoPeopleAreChangeTheIssuer(t *testing.T) {
	for _, p := range providers.Catalogue() {
		for _, a := range p.Args {
			value := "other-" + a.Example
			if others[a.Name] != "" {
				value = others[a.Name]
			}
			usual, other := made(p), madeWith(p, map[string]string{a.Name: value})
			if other.Err != nil || a.Free {
				continue
			}
			moved := slices.ContainsFunc([][2]string{{usual.AuthorizeURL, other.AuthorizeURL}, {usual.TokenURL, other.TokenURL}, {usual.UserinfoURL, other.UserinfoURL}, {usual.JWKSURL, other.JWKSURL}},
				func(pair [2]string) bool { return pair[0] != pair[1] })
			if moved && !sameIDs[p.Name+" "+a.Name] && usual.Issuer == other.Issuer && usual.Namespace == other.Namespace {
				t.Errorf("%s: with another %s people are asked for elsewhere, and have the same ids", p.Name, a.Name)
			}
		}
	}
}

// Two presets give the same User.ID only if they are forms of one provider:
// else a number here and the same number there would be one person.
func TestPresetsShareNobody(t *testing.T) {
	families := map[string]string{}
	for _, p := range providers.Catalogue() {
		made := made(p)
		namespace := strings.TrimSuffix(made.Namespace+made.Issuer, "/")
		family, _, _ := strings.Cut(p.Name, "-")
		if is, there := families[namespace]; there && is != family && !strings.Contains(namespace, "kvarnbygd") {
			t.Errorf("%s and %s have the same ids: %s", p.Name, is, namespace)
		}
		families[namespace] = family
	}
}
