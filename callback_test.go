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

// TestStateInvalidDiagnosisInJSON: programs are told the same.
func TestStateInvalidDiagnosisInJSON(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	p := f.must(f.newBrowser().Fetch(authtest.At(f.URL), "GET", f.URL+"/authorize/demo?state=xyz&code=abc", http.Header{"Accept": {"application/json"}}, ""))
	var answer struct{ Error, Message, Reason, Fix, RequestID string }
	if err := json.Unmarshal(p.Body, &answer); err != nil || answer.Error != "state_invalid" || !strings.Contains(answer.Reason, "not one of ours") || !strings.Contains(answer.Fix, "begin at /login") {
		t.Errorf("%v: %s", err, p.Text())
	}
	f.failsClosed(t, p, closed{code: ginauth.ErrStateInvalid})
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
		for _, query := range []string{"state=xyz&code=abc", "state=" + madeUp + "&code=abc", "code=abc"} {
			r, _ := http.NewRequest("GET", f.URL+"/authorize/demo?"+query, nil)
			r.Header.Set("Accept", accept)
			p := f.must(f.browser.Do(r))
			f.failsClosed(t, p, closed{code: ginauth.ErrStateInvalid, tokens: 1})
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
		{"access_denied", ginauth.ErrProviderDenied, "nothing, if the person cancelled", "", "INFO"},
		{"login_required", ginauth.ErrProviderDenied, "without prompt=none", "", "INFO"},
		{"consent_required", ginauth.ErrProviderDenied, "without prompt=none", "", "INFO"},
		{"interaction_required", ginauth.ErrProviderDenied, "without prompt=none", "", "INFO"},
		{"account_selection_required", ginauth.ErrProviderDenied, "without prompt=none", "", "INFO"},
		{"redirect_uri_mismatch", ginauth.ErrProviderMisconfigured, "exactly: " + f.URL + "/authorize/demo", "", "ERROR"},
		{"server_error", ginauth.ErrProviderError, "", "5", "ERROR"},
		{"temporarily_unavailable", ginauth.ErrProviderError, "", "5", "ERROR"},
		{"invalid_scope", ginauth.ErrProviderError, "Provider.Scopes", "", "ERROR"},
		{"invalid_request", ginauth.ErrProviderError, f.URL + "/authorize/demo", "", "ERROR"},
		{"unauthorized_client", ginauth.ErrProviderError, f.URL + "/authorize/demo", "", "ERROR"},
		{"unsupported_response_type", ginauth.ErrProviderError, f.URL + "/authorize/demo", "", "ERROR"},
		{"request_not_supported", ginauth.ErrProviderError, "", "", "ERROR"},
		{"ACCESS_DENIED", ginauth.ErrProviderDenied, "nothing, if the person cancelled", "", "INFO"}, // LINE
		{"LOGIN_REQUIRED", ginauth.ErrProviderDenied, "without prompt=none", "", "INFO"},
		{"user_cancelled_login", ginauth.ErrProviderDenied, "nothing, if the person cancelled", "", "INFO"},
		{"consent request denied", ginauth.ErrProviderDenied, "nothing, if the person cancelled", "", "INFO"},
		{"access_denied ", ginauth.ErrProviderError, "", "", "ERROR"},
		{"", ginauth.ErrProviderError, "", "", "ERROR"},
	} {
		t.Run(fmt.Sprintf("%q", tc.sent), func(t *testing.T) {
			before := len(f.logs.String())
			p := f.refuses(t, with(without(f.begin("/login/demo"), "code"), "error", tc.sent), closed{code: tc.code})
			log := f.logs.String()[before:]
			if !strings.Contains(log, "level="+tc.level) || !strings.Contains(log, "provider answered") || !strings.Contains(log, tc.fix) || !strings.Contains(log, "fix=") {
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

// A panic in OnLogin is a refusal too: the session that it began before ends.
func TestOnLoginThatSignsInAndPanics(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			if err := s.auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "somebody"}); err != nil {
				t.Error(err)
			}
			panic("a bug")
		}
	})
	s.failsClosed(t, s.get("/login/demo"), closed{code: ginauth.ErrSessionError, tokens: 1})
}
