package ginauth_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// closed is what a refusal must look like.
type closed struct {
	code   ginauth.Code
	status int               // 0: the code's own
	tokens int               // requests to the token endpoint so far
	was    string            // subject who was signed in before, and still is
	hide   []string          // secrets that must not show, beside those that the provider saw
	quiet  map[string]string // headers that differ, by name
}

// failsClosed asserts that a refusal refused: the answer, its headers, that
// nobody was signed in and nothing of the application ran, that no secret is on
// the page or in the log, and that the code went to the token endpoint no more
// often than it may.
func (s *site) failsClosed(t testing.TB, p *authtest.Page, want closed) {
	t.Helper()
	ran := s.ran.Load()
	if want.status == 0 {
		want.status = (&ginauth.Error{Code: want.code}).Status()
	}
	if p.Status != want.status || !strings.Contains(p.Text(), string(want.code)) && len(p.Body) > 0 {
		t.Errorf("%s answered %d %.600s; want %d %s\n%s", p.URL.Path, p.Status, p.Text(), want.status, want.code, s.logs)
	}
	wantHeaders(t, p)
	referrer := "no-referrer"
	if v, there := want.quiet["Referrer-Policy"]; there {
		referrer = v
	}
	if got := p.Header.Get("Referrer-Policy"); got != referrer {
		t.Errorf("Referrer-Policy is %q, want %q", got, referrer)
	}
	if got := s.idp.Count(authtest.Token); got != want.tokens {
		t.Errorf("the token endpoint was asked %d times, want %d", got, want.tokens)
	}
	s.keepsSecrets(t, p, want.hide...)
	subject := ""
	if u := s.user(); u != nil {
		subject = u.Subject
	}
	if subject != want.was {
		t.Errorf("%q is signed in, want %q", subject, want.was)
	}
	if want.was == "" && s.ran.Load() != ran {
		t.Error("a protected handler ran")
	}
}

// keepsSecrets asserts that no secret of the sign-ins so far stands on the
// page, in its headers, or in the log: raw, percent-encoded, in base64, or in
// part.
func (s *site) keepsSecrets(t testing.TB, p *authtest.Page, more ...string) {
	t.Helper()
	secrets := append([]string{s.idp.ClientSecret, testKey}, more...)
	for _, e := range []authtest.Endpoint{authtest.Authorize, authtest.Token, authtest.Userinfo} {
		for _, r := range s.idp.Requests(e) {
			for _, name := range []string{"state", "nonce", "code", "code_verifier", "client_secret"} {
				secrets = append(secrets, r.Form[name]...)
			}
			secrets = append(secrets, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		}
	}
	header := ""
	for name, values := range p.Header {
		if name != "Set-Cookie" {
			header += name + ": " + strings.Join(values, " ") + "\n"
		}
	}
	for _, secret := range secrets {
		if len(secret) < 12 {
			continue
		}
		for _, form := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), secret[:min(len(secret), 16)]} {
			for where, text := range map[string]string{"the page": p.Text(), "its headers": header, "the log": s.logs.String()} {
				if strings.Contains(text, form) {
					t.Errorf("%s has the secret %.16q…", where, secret)
				}
			}
		}
	}
}

// hasCookie says whether the browser holds a cookie of ours whose name has
// part in it: "-a-" for attempts.
func (s *site) hasCookie(part string) bool {
	return slices.ContainsFunc(s.browser.Cookies(s.URL), func(c *http.Cookie) bool {
		return strings.Contains(c.Name, "ginauth-") && strings.Contains(c.Name, part)
	})
}
