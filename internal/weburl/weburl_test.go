package weburl_test

import (
	"net/url"
	"testing"

	"github.com/ginauth/ginauth/internal/weburl"
)

// The hosts are set directly, since url.Parse refuses some of them.
func TestHasHost(t *testing.T) {
	for host, want := range map[string]bool{
		"app.example.com": true, "APP-1.example_2.com.": true, "localhost:8443": true, "127.0.0.1:80": true, "[::1]:8443": true,

		// Names that only look like numbers.
		"example.de": true, "cafe": true, "bad.cafe": true, "example.0xyz": true, "0x7f.example": true, "1.example": true,
		// Numbers, which browsers read as IPv4 addresses.
		"2852039166": false, "127.1": false, "127.1.": false, "0x7f000001": false, "0xA9.254.43518": false, "1.0x": false,

		"": false, ".": false, ":443": false, "a..example": false, "[fe80::1%25eth0]": false,
		"example.com:": false, "example.com:0": false, "example.com:65536": false, "example.com:65535": true,
		"a/b": false, "a:b": false, "a;b": false, "a@b": false, "a[b": false, "a^b": false, "a`b": false, "a{b": false, "a~b": false, "a b": false, "a\x7fb": false,
		// The last byte of the code points of š, Ł and İ is the ASCII code of a letter or a digit.
		"\u0161.example": false, "\u0141.example": false, "\u0130.example": false, "ü.example": false, "a。example": false,
	} {
		if got := weburl.HasHost(&url.URL{Scheme: "https", Host: host}); got != want {
			t.Errorf("HasHost(%q) is %v", host, got)
		}
	}
}

func TestOriginOf(t *testing.T) {
	for address, want := range map[string]string{
		"https://App.Example.com/path?q#f": "https://app.example.com", "https://example.com:443": "https://example.com", "http://example.com:80/": "http://example.com",
		"https://example.com:80": "https://example.com:80", "http://example.com:443": "http://example.com:443", "https://[::1]:443/": "https://[::1]",
		"https://example.com:8443": "https://example.com:8443",
		"":                         "", "/path": "", "example.com": "", "https:example.com": "", "https://a b": "", ":": "", "%zz": "",
	} {
		if got := weburl.OriginOf(address); got != want {
			t.Errorf("OriginOf(%q) is %q, want %q", address, got, want)
		}
	}
}

func TestIsPrivate(t *testing.T) {
	for host, want := range map[string]bool{
		"10.1.2.3": true, "192.168.0.1": true, "::ffff:172.16.0.1": true, "fd00::1": true, "100.64.0.1": true, "::ffff:100.127.255.254": true,
		"intranet": true, "Intranet.": true, "nas.local": true, "app.lan": true, "app.internal.": true, "app.home.arpa": true,
		"": false, ".": false, ".local": false, "8.8.8.8": false, "100.128.0.1": false, "2001:db8::1": false, "169.254.1.1": false,
		"app.example.com": false, "local.example.com": false, "home.arpa": false,
	} {
		if got := weburl.IsPrivate(host); got != want {
			t.Errorf("IsPrivate(%q) is %v", host, got)
		}
	}
}

func TestUnfit(t *testing.T) {
	for address, want := range map[string]string{
		"https://login.example.com/realm": "", "https://login.example.com/.well-known/a..b/...": "", "http://localhost:8080": "",
		"http://login.example.com": "not_https", "ftp://login.example.com": "not_https", "ftp://localhost": "not_https",

		"": "not_an_address", "login.example.com": "not_an_address", "https:login.example.com": "not_an_address", "mailto:ann@example.com": "not_an_address",
		"https:///realm": "not_an_address", `https://login.example.com\evil`: "not_an_address", "https://login.example.com/my realm": "not_an_address",
		// White space that url.Parse accepts.
		"https://login.example.com/\u00a0": "not_an_address", "https://login.example.com/realm\u3000": "not_an_address", "https://login.example.com/\u0085": "not_an_address",

		"https://me@login.example.com": "user", "https://login.example.com/#": "fragment", "https://login.example.com/#a": "fragment",
		"https://login.example.com/a/../b": "dot_segments", "https://login.example.com/a/./b": "dot_segments", "https://login.example.com/..": "dot_segments", "https://login.example.com/.": "dot_segments",
		"https://ü.example": "no_host", "https://127.1": "no_host", "https://.": "no_host",
		"https://169.254.169.254": "unroutable", "https://[::ffff:169.254.169.254]": "unroutable", "https://[fe80::1]": "unroutable",
		"https://0.0.0.0": "unroutable", "https://[::]": "unroutable", "https://224.0.0.1": "unroutable", "https://[ff02::1]": "unroutable", "https://[ff0e::1]": "unroutable",
	} {
		if got, why := weburl.Unfit(address, false); got != want || (why == "") != (want == "") {
			t.Errorf("Unfit(%q) is %q, %q; want %q", address, got, why, want)
		}
	}
	if got, _ := weburl.Unfit("http://login.example.com", true); got != "" {
		t.Errorf("http is %q where it is allowed", got)
	}
}
