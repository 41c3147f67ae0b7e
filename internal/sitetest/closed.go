package sitetest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	pagetexts "github.com/ginauth/ginauth/internal/page"
)

// Closed describes a refusal: see FailsClosed.
type Closed struct {
	Code   ginauth.Code
	Status int      // 0 for the default of the code
	Tokens int      // number of requests to the token endpoint so far
	Was    string   // the subject that was signed in before and must still be
	Hide   []string // secrets that must not leak, in addition to those that the provider saw
}

// FailsClosed asserts that a refusal fails closed (FC in the catalogue of faults): status and code;
// the headers of every response; no new identity; no call of a protected handler; no secret on the
// page, in its headers or in the log; and the expected number of requests to the token endpoint.
func (s *Site) FailsClosed(t testing.TB, p *authtest.Page, want Closed) {
	t.Helper()
	ran := s.Ran.Load()
	if want.Status == 0 {
		want.Status = (&ginauth.Error{Code: want.Code}).Status()
	}
	if p.Status != want.Status || !strings.Contains(p.Text(), string(want.Code)) && len(p.Body) > 0 {
		t.Errorf("%s answered %d %.600s; want %d %s\n%s", p.URL.Path, p.Status, p.Text(), want.Status, want.Code, s.Logs)
	}
	WantHeaders(t, p)
	if got := p.Header.Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("Referrer-Policy is %q, want no-referrer", got)
	}
	if got := s.IDP.Count(authtest.Token); got != want.Tokens {
		t.Errorf("the token endpoint got %d requests, want %d", got, want.Tokens)
	}
	s.KeepsSecrets(t, p, want.Hide...)
	subject := ""
	if u := s.User(); u != nil {
		subject = u.Subject
	}
	if subject != want.Was {
		t.Errorf("%q is signed in, want %q", subject, want.Was)
	}
	if want.Was == "" && s.Ran.Load() != ran {
		t.Error("a protected handler ran")
	}
}

// KeepsSecrets asserts that the page, its headers and the log contain no secret of the sign-ins so
// far and none of more: raw, percent-encoded, in base64, or in part.
func (s *Site) KeepsSecrets(t testing.TB, p *authtest.Page, more ...string) {
	t.Helper()
	secrets := append([]string{s.IDP.ClientSecret, Key}, more...)
	for _, e := range []authtest.Endpoint{authtest.Authorize, authtest.Token, authtest.Userinfo} {
		for _, r := range s.IDP.Requests(e) {
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
			for where, text := range map[string]string{"the page": p.Text(), "its headers": header, "the log": s.Logs.String()} {
				if strings.Contains(text, form) {
					t.Errorf("%s contains the secret %.16q…", where, secret)
				}
			}
		}
	}
}

// HasCookie reports whether the browser holds a ginauth cookie whose name
// contains part: "-a-" for login states.
func (s *Site) HasCookie(part string) bool {
	return slices.ContainsFunc(s.Browser.Cookies(s.URL), func(c *http.Cookie) bool {
		return strings.Contains(c.Name, "ginauth-") && strings.Contains(c.Name, part)
	})
}

// WantError asserts that a page is an error response with a code, its status and the headers of every
// response.
func (s *Site) WantError(p *authtest.Page, code ginauth.Code) {
	s.T.Helper()
	want := (&ginauth.Error{Code: code}).Status()
	s.WantErrorStatus(p, code, want)
}

// WantErrorStatus is WantError for a code with another status.
func (s *Site) WantErrorStatus(p *authtest.Page, code ginauth.Code, status int) {
	s.T.Helper()
	if p.Status != status || !strings.Contains(p.Text(), string(code)) {
		s.T.Errorf("%s answered %d %.600s; want %d %s\n%s", p.URL, p.Status, p.Text(), status, code, s.Logs)
	}
	WantHeaders(s.T, p)
}

// WantHeaders asserts the headers that every response of a ginauth route has.
func WantHeaders(t testing.TB, p *authtest.Page) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff",
	} {
		if got := p.Header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", p.URL, name, got, want)
		}
	}
	csp := p.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s: Content-Security-Policy %q lacks %q", p.URL, csp, want)
		}
	}
	sources, _, _ := strings.Cut(csp, "form-action") // form-action may have the provider's origin, for sign-outs
	if strings.Contains(csp, "unsafe") || strings.Contains(sources, "http") {
		t.Errorf("%s: Content-Security-Policy %q is not strict", p.URL, csp)
	}
}

// Sentence returns the English text of a code, or of another key, in pages and JSON responses.
func Sentence(t testing.TB, code ginauth.Code) string {
	t.Helper()
	texts, err := pagetexts.NewTexts(nil)
	if err != nil {
		t.Fatal(err)
	}
	return texts.Get("en", string(code))
}

// RefusesSignIn signs in at path, and asserts that the sign-in fails closed with the code, that the
// log has the error's ID (unless id is ""), that there were that many token requests, and that the
// login state is spent.
func (s *Site) RefusesSignIn(t testing.TB, path string, code ginauth.Code, id string, tokens int, hide ...string) *authtest.Page {
	t.Helper()
	p := s.Get(path)
	s.FailsClosed(t, p, Closed{Code: code, Tokens: tokens, Hide: hide})
	if s.HasCookie("-a-") {
		t.Error("the login cookie was not deleted")
	}
	if id != "" {
		WantID(t, s.Logs.String(), id)
	}
	return p
}

// WantID asserts that a log has an error with this ID.
func WantID(t testing.TB, log, id string) {
	t.Helper()
	if !strings.Contains(log, " id="+id+" ") {
		t.Errorf("the log has no error %s:\n%s", id, log)
	}
}

// AcceptsSignIn asserts that a sign-in at path works. It complements the test of a refusal, to show
// that the check does not refuse everything.
func (s *Site) AcceptsSignIn(t testing.TB, path string) *ginauth.User {
	t.Helper()
	p := s.Get(path)
	u := s.User()
	if p.Status != http.StatusOK || u == nil {
		t.Fatalf("the sign-in ended at %s with status %d: %.600s\n%s", p.URL, p.Status, p.Text(), s.Logs)
	}
	return u
}
