package ginauth_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// diagnosis is a cause of state_invalid: how to produce it, and what the log
// and, on loopback, the page say about it.
type diagnosis struct {
	name        string
	answer      func(f *flow) (callback *url.URL)
	reason, fix string
}

func diagnoses() []diagnosis {
	return []diagnosis{
		{"no cookie at all", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.browser = f.newBrowser()
			return callback
		}, "no cookie at all", "at the host of BaseURL"},
		{"cookies but none of ours", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.browser = f.newBrowser()
			f.keep(&http.Cookie{Name: "theme", Value: "dark", Path: "/"})
			f.keep(&http.Cookie{Name: "ginauth-AAAAAA-a-BBBBBBBB", Value: "another application's", Path: "/"})
			return callback
		}, "sent cookies, but none of a sign-in", "at the host of BaseURL"},
		{"other attempts under way", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.browser = f.newBrowser()
			f.begin("/login/demo")
			return callback
		}, "has sign-ins under way, but not this one", "start again"},
		{"other key", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.redeploy(func(o *ginauth.Options) { o.Keys = []string{"the key of another replica, 32 bytes and more"} })
			return callback
		}, "sealed under another key", "give every replica the same Options.Keys"},
		{"altered", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			c := f.attempt()
			c.Value = c.Value[:len(c.Value)-4] + "AAAA"
			f.keep(c)
			return callback
		}, "altered or cut on its way", "look for a proxy"},
		{"expired", func(f *flow) *url.URL {
			f.browser.Now = time.Now
			callback := f.begin("/login/demo")
			f.clock.Advance(11 * time.Minute)
			return callback
		}, "took longer than 10 minutes", "start again"},
		{"used", func(f *flow) *url.URL {
			f.idp.DenyConsent(true)
			callback := f.begin("/login/demo")
			c := f.attempt()
			f.finish(callback)
			f.keep(c)
			return callback
		}, "this answer was used already", "do not open an answer's address twice"},
		{"other provider", func(f *flow) *url.URL {
			return at(f.begin("/login/demo"), "/authorize/other")
		}, "came to the callback of another", "check the redirect URIs"},
		{"another secret", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			return with(callback, "state", callback.Query().Get("state")[:9]+strings.Repeat("A", 43))
		}, "not the one that was sent", "start again"},
		{"no state of ours", func(f *flow) *url.URL {
			return with(f.begin("/login/demo"), "state", "xyz")
		}, "not one of ours", "begin at /login"},
	}
}

// TestStateInvalidDiagnosis: one code for all causes; the log tells them apart,
// and so does the page where only developers see it.
func TestStateInvalidDiagnosis(t *testing.T) {
	t.Parallel()
	for _, d := range diagnoses() {
		t.Run(d.name, func(t *testing.T) {
			f, _ := withTwo(t, nil)
			callback := d.answer(f)
			before := len(f.logs.String())
			p := f.refuses(t, callback, closed{code: ginauth.StateInvalid})
			for where, text := range map[string]string{"the log": f.logs.String()[before:], "the page": html.UnescapeString(p.Text())} {
				if !strings.Contains(text, d.reason) || !strings.Contains(text, d.fix) {
					t.Errorf("%s does not say %q and %q:\n%s", where, d.reason, d.fix, text)
				}
			}
			for _, other := range diagnoses() {
				if other.reason != d.reason && strings.Contains(f.logs.String()[before:], other.reason) {
					t.Errorf("the log says %q as well", other.reason)
				}
			}
		})
	}
}

// TestStateInvalidDiagnosisInJSON: programs are told the same.
func TestStateInvalidDiagnosisInJSON(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	p := f.must(f.newBrowser().Fetch(authtest.At(f.URL), "GET", f.URL+"/authorize/demo?state=xyz&code=abc", http.Header{"Accept": {"application/json"}}, ""))
	var answer struct{ Error, Message, Reason, Fix, RequestID string }
	if err := json.Unmarshal(p.Body, &answer); err != nil || answer.Error != "state_invalid" || !strings.Contains(answer.Reason, "not one of ours") || !strings.Contains(answer.Fix, "begin at /login") {
		t.Errorf("%v: %s", err, p.Text())
	}
	f.failsClosed(t, p, closed{code: ginauth.StateInvalid})
}

// newPublicFlow is a flow whose BaseURL is not loopback.
func newPublicFlow(t testing.TB, change func(s *site, o *ginauth.Options)) *flow {
	t.Helper()
	return newTLSFlow(t, func(s *site, o *ginauth.Options) {
		server := httptest.NewUnstartedServer(s.engine)
		cert, err := authtest.Certificate("app.example.com")
		if err != nil {
			t.Fatal(err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		server.StartTLS()
		t.Cleanup(server.Close)
		_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
		s.browser.Resolve("app.example.com", "127.0.0.1")
		s.URL = "https://app.example.com:" + port
		o.BaseURL = s.URL
		if change != nil {
			change(s, o)
		}
	})
}

// TestPublicPagesTellNoReason: what helps a developer helps an attacker too.
func TestPublicPagesTellNoReason(t *testing.T) {
	t.Parallel()
	f := newPublicFlow(t, nil)
	f.signIn()
	f.browser.RemoveCookie(f.URL, f.sessionCookie().Name)
	for _, accept := range []string{"text/html", "application/json"} {
		for _, query := range []string{"state=xyz&code=abc", "state=AAAAAAAA." + strings.Repeat("A", 43) + "&code=abc", "code=abc"} {
			r, _ := http.NewRequest("GET", f.URL+"/authorize/demo?"+query, nil)
			r.Header.Set("Accept", accept)
			p := f.must(f.browser.Do(r))
			f.failsClosed(t, p, closed{code: ginauth.StateInvalid, tokens: 1})
			text := html.UnescapeString(p.Text())
			for _, word := range []string{"not one of ours", "cookie", "BaseURL", "reason", "fix", "docs", "developers"} {
				if strings.Contains(text, word) {
					t.Errorf("the answer says %q: %s", word, text)
				}
			}
		}
	}
	if !strings.Contains(f.logs.String(), "not one of ours") {
		t.Error("the log does not say why")
	}
}

// TestErrorAnswers: what each error code of the provider becomes.
func TestErrorAnswers(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	for _, tc := range []struct {
		sent  string
		code  ginauth.Code
		fix   string
		retry string
		level string
	}{
		{"access_denied", ginauth.ProviderDenied, "nothing, if the person cancelled", "", "INFO"},
		{"login_required", ginauth.ProviderDenied, "without prompt=none", "", "INFO"},
		{"consent_required", ginauth.ProviderDenied, "without prompt=none", "", "INFO"},
		{"interaction_required", ginauth.ProviderDenied, "without prompt=none", "", "INFO"},
		{"account_selection_required", ginauth.ProviderDenied, "without prompt=none", "", "INFO"},
		{"redirect_uri_mismatch", ginauth.ProviderMisconfigured, "exactly: " + f.URL + "/authorize/demo", "", "ERROR"},
		{"server_error", ginauth.ProviderError, "", "5", "ERROR"},
		{"temporarily_unavailable", ginauth.ProviderError, "", "5", "ERROR"},
		{"invalid_scope", ginauth.ProviderError, "Provider.Scopes", "", "ERROR"},
		{"invalid_request", ginauth.ProviderError, f.URL + "/authorize/demo", "", "ERROR"},
		{"unauthorized_client", ginauth.ProviderError, f.URL + "/authorize/demo", "", "ERROR"},
		{"unsupported_response_type", ginauth.ProviderError, f.URL + "/authorize/demo", "", "ERROR"},
		{"request_not_supported", ginauth.ProviderError, "", "", "ERROR"},
		{"ACCESS_DENIED", ginauth.ProviderError, "", "", "ERROR"},
		{"access_denied ", ginauth.ProviderError, "", "", "ERROR"},
		{"", ginauth.ProviderError, "", "", "ERROR"},
	} {
		t.Run(fmt.Sprintf("%q", tc.sent), func(t *testing.T) {
			before := len(f.logs.String())
			p := f.refuses(t, with(without(f.begin("/login/demo"), "code"), "error", tc.sent), closed{code: tc.code})
			log := f.logs.String()[before:]
			if !strings.Contains(log, "level="+tc.level) || !strings.Contains(log, "provider answered") || !strings.Contains(log, tc.fix) || tc.fix == "" && strings.Contains(log, "fix=") {
				t.Errorf("the log says:\n%s", log)
			}
			if got := p.Header.Get("Retry-After"); got != tc.retry {
				t.Errorf("Retry-After is %q, want %q", got, tc.retry)
			}
			if f.attempts() != nil {
				t.Error("the attempt was not used up")
			}
		})
	}
}

// TestTryAgainKeepsTheReturnPath: the page's first action begins anew, and
// leads to where the sign-in that failed was going.
func TestTryAgainKeepsTheReturnPath(t *testing.T) {
	t.Parallel()
	const asked = "/page/deep?x=1&y=%2F"
	for name, tc := range map[string]struct {
		fail func(f *flow, callback *url.URL) *authtest.Page
		want string
	}{
		"denied": {func(f *flow, callback *url.URL) *authtest.Page {
			return f.finish(with(without(callback, "code"), "error", "access_denied"))
		}, asked},
		"bad code":     {func(f *flow, callback *url.URL) *authtest.Page { return f.finish(with(callback, "code", "wrong")) }, asked},
		"wrong issuer": {func(f *flow, callback *url.URL) *authtest.Page { return f.finish(with(callback, "iss", "wrong")) }, asked},
		"provider down": {func(f *flow, callback *url.URL) *authtest.Page {
			f.idp.Fail(authtest.Token, authtest.Down)
			defer f.idp.Heal()
			return f.finish(callback)
		}, asked},
		"refused by OnLogin": {func(f *flow, callback *url.URL) *authtest.Page {
			f.redeploy(func(o *ginauth.Options) {
				first := true
				o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error {
					if first {
						first = false
						return errors.New("not yet")
					}
					return nil
				}
			})
			return f.finish(callback)
		}, asked},
		"expired": {func(f *flow, callback *url.URL) *authtest.Page {
			c := f.attempt()
			c.MaxAge, c.Expires = 0, time.Time{}
			f.clock.Advance(11 * time.Minute)
			f.keep(c)
			return f.finish(callback)
		}, asked},
		"used": {func(f *flow, callback *url.URL) *authtest.Page {
			c := f.attempt()
			f.finish(with(callback, "iss", "wrong"))
			f.keep(c)
			return f.finish(callback)
		}, asked},
		"unknown state": {func(f *flow, callback *url.URL) *authtest.Page { return f.finish(with(callback, "state", "x")) }, "/"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFlow(t, nil)
			p := tc.fail(f, f.begin("/login/demo?return_to="+url.QueryEscape(asked)))
			if p.Status < 400 || f.user() != nil {
				t.Fatalf("nothing failed: %d %s", p.Status, p.URL)
			}
			again := f.must(f.browser.ClickLink(p, "Try again"))
			f.landed(t, again, tc.want)
		})
	}
}

// TestTryAgainIsNotSharedBetweenRequests: one failed discovery is many
// requests' error; the return path of one must not show on another's page.
func TestTryAgainIsNotSharedBetweenRequests(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	mine := f.begin("/login/demo?return_to=/page/mine")
	secret := f.begin("/login/demo?return_to=/page/secret-of-another")
	f.redeploy(func(*ginauth.Options) {})
	f.idp.Fail(authtest.Discovery, authtest.Down)
	one, two := f.finish(secret), f.finish(mine)
	if !strings.Contains(one.Text(), "secret-of-another") || !strings.Contains(two.Text(), "mine") || strings.Contains(two.Text(), "secret") {
		t.Errorf("the pages lead to the wrong places:\n%s\n%s", one.Text(), two.Text())
	}
	bare := f.get("/login/demo")
	if strings.Contains(bare.Text(), "secret") || strings.Contains(bare.Text(), "mine") {
		t.Errorf("a path is left over:\n%s", bare.Text())
	}
}
