package ginauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// brokenRevocations keeps revocations in a map, fails while told to, and
// counts.
type brokenRevocations struct {
	broken  atomic.Bool
	revoked atomic.Int64
	inner   revocationMap
}

var errBroken = errors.New("the revocation store is down")

func (b *brokenRevocations) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	if b.broken.Load() {
		return errBroken
	}
	b.revoked.Add(1)
	return b.inner.Revoke(ctx, key, at, ttl)
}

func (b *brokenRevocations) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) ([4]time.Time, error) {
	if b.broken.Load() {
		return [4]time.Time{}, errBroken
	}
	return b.inner.Watermarks(ctx, keys)
}

func (b *brokenRevocations) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	if b.broken.Load() {
		return false, errBroken
	}
	return b.inner.Once(ctx, key, ttl)
}

func (s *site) serveClaims(c *gin.Context) {
	claims, err := ginauth.Claims[map[string]any](c)
	if err != nil {
		c.String(http.StatusInternalServerError, err.Error())
		return
	}
	c.JSON(http.StatusOK, claims)
}

func TestProviderLogout(t *testing.T) {
	post := func(s *site) *authtest.Page {
		return s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
	}
	t.Run("the ID token goes along if the provider wants it", func(t *testing.T) {
		s := newSite(t, nil)
		s.signIn()
		p := post(s)
		r := s.idp.LastRequest(authtest.EndSession)
		if hint := r.Form.Get("id_token_hint"); strings.Count(hint, ".") != 2 || r.Form.Get("client_id") != s.idp.ClientID {
			t.Errorf("end_session got %v", r.Form)
		}
		if p.URL.Path != "/" || s.user() != nil {
			t.Errorf("ended at %s", p.URL)
		}
	})
	t.Run("a provider that is down does not keep anybody signed in", func(t *testing.T) {
		s := newSite(t, nil)
		s.signIn()
		s.idp.Fail(authtest.Discovery, authtest.Down)
		s.clock.Advance(25 * time.Hour / 2)
		if p := post(s); s.user() != nil || p.Status >= 500 {
			t.Errorf("%s answered %d", p.URL, p.Status)
		}
	})
	t.Run("a provider never heard of since the start does not either", func(t *testing.T) {
		s := newSite(t, nil)
		s.idp.Fail(authtest.Discovery, authtest.Down)
		if err := authtest.SignIn(s.auth, s.browser, &ginauth.User{Provider: "demo", Subject: "ada"}); err != nil {
			t.Fatal(err)
		}
		if s.user() == nil {
			t.Fatal("not signed in")
		}
		if p := post(s); s.user() != nil || p.Status != http.StatusOK || p.URL.Path != "/" {
			t.Errorf("%s answered %d", p.URL, p.Status)
		}
	})
	t.Run("a provider without the endpoint", func(t *testing.T) {
		s := newSite(t, func(s *site, o *ginauth.Options) {
			s.idp.EditMetadata(func(m map[string]any) { delete(m, "end_session_endpoint") })
		})
		s.signIn()
		if p := post(s); s.user() != nil || p.URL.Path != "/" || s.hasCookie("-l") {
			t.Errorf("%s answered %d", p.URL, p.Status)
		}
	})
	t.Run("one of another form, by template", func(t *testing.T) {
		s := newSite(t, func(s *site, o *ginauth.Options) {
			o.Providers[0].Logout.URL = s.idp.URL(authtest.EndSession) + "?client={client_id}&returnTo={post_logout_redirect_uri}&state={state}"
		})
		s.signIn()
		s.browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.idp.Issuer) }
		to, _ := url.Parse(post(s).Header.Get("Location"))
		if q := to.Query(); q.Get("client") != s.idp.ClientID || q.Get("returnTo") != s.URL+"/logout/return" || q.Get("state") == "" {
			t.Errorf("went to %s", to)
		}
	})
	t.Run("fetch gets the address instead of a redirect", func(t *testing.T) {
		s := newSite(t, nil)
		s.signIn()
		p := s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/logout", nil, ""))
		if p.Status != http.StatusOK || !strings.Contains(p.Text(), `"redirect_to":"`+s.URL+"/logout/redirect?state=") || s.user() != nil {
			t.Errorf("%d %s", p.Status, p.Text())
		}
	})
	t.Run("a browser that was on the page can post the form to the provider", func(t *testing.T) {
		s := newSite(t, nil)
		s.signIn()
		page := s.get("/logout")
		if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' "+s.idp.Issuer) {
			t.Errorf("Content-Security-Policy %q", csp)
		}
		if p := s.must(s.browser.SubmitForm(page, "Sign out", nil)); p.URL.Path != "/" || s.idp.Count(authtest.EndSession) != 1 {
			t.Errorf("ended at %s", p.URL)
		}
	})
}

func TestLogoutEverywhere(t *testing.T) {
	s := newSite(t, nil)
	var all []*authtest.Browser
	for range 3 {
		s.browser = s.newBrowser()
		s.signIn()
		all = append(all, s.browser)
	}
	id := s.user().ID()
	s.idp.SignInAs("grace")
	grace := s.newBrowser()
	s.browser = grace
	s.signIn()
	if err := s.auth.LogoutEverywhere(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for i, b := range all {
		if s.userOf(b) != nil {
			t.Errorf("session %d lives", i)
		}
	}
	if s.userOf(grace) == nil {
		t.Error("somebody else was signed out")
	}
	s.clock.Advance(time.Second)
	s.idp.SignInAs("ada")
	s.browser = s.newBrowser()
	s.signIn()
	for _, wrong := range []string{"", "ada", "#ada", s.idp.Issuer + "#"} {
		if err := s.auth.LogoutEverywhere(t.Context(), wrong); !errors.Is(err, ginauth.ErrBadRequest) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// The provider's clock may be ahead of ours or behind: that must neither save
// a stolen session nor end the new one.
func TestLogoutEverywhereWithClocksThatDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-50 * time.Second, 50 * time.Second} {
		s := newSite(t, nil)
		s.idp.EditIDToken(func(_, claims map[string]any) { claims["iat"] = s.clock.Now().Add(skew).Unix() })
		s.signIn()
		stolen := s.browser
		if err := s.auth.LogoutEverywhere(t.Context(), s.user().ID()); err != nil {
			t.Fatal(err)
		}
		if s.userOf(stolen) != nil {
			t.Errorf("skew %v: the session lives", skew)
		}
		s.clock.Advance(time.Second)
		s.browser = s.newBrowser()
		s.signIn()
	}
}

func TestSessionInfo(t *testing.T) {
	s := newSite(t, nil)
	var info ginauth.SessionInfo
	var ok bool
	s.engine.GET("/session", s.auth.LoadUser(), func(c *gin.Context) { info, ok = s.auth.Session(c) })
	s.get("/session")
	if ok {
		t.Error("there is a session before the sign-in")
	}
	s.signIn()
	began := s.clock.Now()
	s.clock.Advance(3 * time.Hour)
	s.get("/session")
	near := func(a, b time.Time) bool { return a.Sub(b).Abs() < 2*time.Second }
	if !ok || info.Provider != "demo" || !near(info.Created, began) || !near(info.LastSeen, s.clock.Now()) ||
		!near(info.IdleExpiry, s.clock.Now().Add(24*time.Hour)) || !near(info.AbsoluteExpiry, began.Add(7*24*time.Hour)) {
		t.Errorf("%+v, %v", info, ok)
	}
}

func TestThirdPartyInitiatedLogin(t *testing.T) {
	iss := func(s *site) string { return "iss=" + url.QueryEscape(s.idp.Issuer) }
	t.Run("from the provider's own page, to where it says", func(t *testing.T) {
		s := newSite(t, nil)
		p := s.must(s.browser.Click(authtest.At(s.idp.Issuer), s.URL+"/login/demo?"+iss(s)+"&login_hint=ada&target_link_uri="+url.QueryEscape(s.URL+"/page/target?x=1")))
		if p.URL.Path != "/page/target" || p.URL.RawQuery != "x=1" {
			t.Errorf("landed on %s: %s", p.URL, p.Text())
		}
		if got := s.idp.LastRequest(authtest.Authorize).Form.Get("login_hint"); got != "ada" {
			t.Errorf("login_hint is %q", got)
		}
	})
	t.Run("by POST", func(t *testing.T) {
		s := newSite(t, nil)
		p := s.must(s.browser.Submit(authtest.At(s.idp.Issuer), s.URL+"/login/demo", url.Values{"iss": {s.idp.Issuer}, "target_link_uri": {s.URL + "/page/target"}}))
		if p.URL.Path != "/page/target" || s.user() == nil {
			t.Errorf("landed on %s: %s", p.URL, p.Text())
		}
	})
	t.Run("to another site it goes to the default page", func(t *testing.T) {
		s := newSite(t, nil)
		for _, target := range []string{"https://evil.example/", s.URL + ".evil.example/", s.URL + "//evil.example", s.URL + "@evil.example/", "//evil.example", "/page/x"} {
			p := s.get("/login/demo?" + iss(s) + "&target_link_uri=" + url.QueryEscape(target))
			if p.URL.Path != "/" || !strings.HasPrefix(p.URL.String(), s.URL+"/") {
				t.Errorf("%q led to %s", target, p.URL)
			}
		}
	})
}

// Somebody whose account was stolen signs out everywhere and in again, at once:
// within the second, and even within the millisecond.
func TestSignInRightAfterLogoutEverywhere(t *testing.T) {
	s := newSite(t, nil)
	s.signIn()
	for range 5 {
		if err := s.auth.LogoutEverywhere(t.Context(), s.user().ID()); err != nil {
			t.Fatal(err)
		}
		if s.user() != nil {
			t.Fatal("still signed in")
		}
		s.signIn()
	}
}

// A sign-in that the provider has taken back before it is finished makes no
// session, and says so: a session that is dead from the start would send the
// browser round and round.
func TestSignInThatTheProviderTookBack(t *testing.T) {
	s := newLogoutSite(t, nil)
	callback := s.begin("/login/demo")
	s.idp.EditIDToken(func(_, claims map[string]any) { claims["iat"] = s.clock.Now().Add(-2 * time.Second).Unix() })
	s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "ada"})))
	s.failsClosed(t, s.finish(callback), closed{code: ginauth.ErrIDTokenInvalid, tokens: 1})
	s.idp.EditIDToken(nil)
	s.clock.Advance(2 * time.Second)
	s.signIn()
}
