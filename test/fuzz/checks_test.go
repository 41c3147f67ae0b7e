package fuzz

import (
	"net/mail"
	"regexp"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
)

// oneAddress is the reference: a local part of RFC 5322's atom characters and
// dots, one @, and exactly the domain.
var oneAddress = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[Ee][Xx][Aa][Mm][Pp][Ll][Ee][.][Cc][Oo][Mm]$")

// FuzzEmailDomain: VerifiedEmailDomain admits exactly the addresses that the reference admits,
// net/mail parses the same domain from them, and an additional character before or after an
// address is rejected.
func FuzzEmailDomain(f *testing.F) {
	for _, email := range []string{"ada@example.com", "ADA@EXAMPLE.COM", "a@b@example.com", "ada@example.com@evil.example", "ada@evil.example@example.com", "ada@evilexample.com", "ada@example.com.evil", "ada@mail.example.com", "ada@example.com.", "ada@example.com\n",
		" ada@example.com", "ada@ example.com", "ada＠example.com", "ada\ufe6bexample.com", "ada@ex\u0430mple.com", "ada@EXAMPLE.\u212aOM", "ada@example\u3002com", `"a@example.com"@evil.example`, `"ada@evil.example"@example.com`, `"ada"@example.com`,
		"ada@[example.com]", "ada@example.com>", "<ada@example.com>", "Ada <ada@example.com>", "ada@example.com,eve@evil.example", "ada@example.com (evil)", "ada+tag@example.com", "a.d.a@example.com", ".ada@example.com", "a..da@example.com", "ada.@example.com",
		"@example.com", "ada@", "@", "", "example.com", "ada@example.com%00", "ada@example.com\x00", "ada@-example.com", "ada@example-.com", "ada@example..com", "ada@xn--exmple-cua.com", strings.Repeat("a", 242) + "@example.com", strings.Repeat("a", 243) + "@example.com"} {
		f.Add(email, true)
	}
	f.Add("ada@example.com", false)
	check := ginauth.VerifiedEmailDomain("example.com")
	admits := func(email string, verified bool) bool {
		return check(&ginauth.User{Email: email, EmailVerified: verified}) == nil
	}
	f.Fuzz(func(t *testing.T, email string, verified bool) {
		got, want := admits(email, verified), verified && len(email) <= 254 && oneAddress.MatchString(email)
		if got != want {
			t.Fatalf("%q, verified: %t: got %t, want %t", email, verified, got, want)
		}
		if !got {
			return
		}
		local, domain, _ := strings.Cut(email, "@")
		if a, err := mail.ParseAddress(email); err == nil && a.Address != email {
			t.Errorf("%q is %q to net/mail", email, a.Address)
		}
		for _, other := range []string{local + "@x" + domain, local + "@x." + domain, local + "@" + domain + "x", local + "@" + domain + ".x", email + ".", email + "\n", email + " ", email + "\x00", " @" + domain,
			email + "@" + domain, domain, "@" + domain, local + "@@" + domain, local + "@" + domain[1:], local + "@" + strings.Replace(domain, ".", "", 1), local + "@" + strings.Replace(domain, ".", "\u3002", 1), `"` + local + `"@` + domain} {
			if admits(other, true) {
				t.Errorf("%q is admitted, and so is %q", email, other)
			}
		}
		if admits(email, false) || ginauth.VerifiedEmailDomain("mail.example.com", "example.org", "com", "xexample.com")(&ginauth.User{Email: email, EmailVerified: true}) == nil {
			t.Errorf("%q is admitted unverified, or to another domain", email)
		}
	})
}
