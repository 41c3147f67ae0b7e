package ginauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFrontChannelOfNobody(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, `{"id":7}`, nil)
	s.WantErrorStatus(s.Must(s.Browser.Frame(sitetest.HomePage(s), s.URL+"/logout/nobody/frontchannel?iss=a&sid=b")), ginauth.ErrUnknownProvider, http.StatusNotFound)
	p := s.Frame(s.Browser, s.URL, "?iss=a&sid=b")
	if csp := p.Header.Get("Content-Security-Policy"); p.Status != http.StatusOK || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("a provider without an issuer: %d, %q", p.Status, csp)
	}
}

// A front-channel request ends only a session of its own provider, and only if the session has
// that sid.
func TestFrontChannelOfAnotherProvider(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, sitetest.Client("other", sitetest.StartProvider(t, authtest.Config{Now: s.Clock.Now})))
	})
	s.SignIn()
	named := "?iss=" + url.QueryEscape(s.IDP.Issuer) + "&sid=" + url.QueryEscape(s.SID())
	s.Must(s.Browser.Frame(sitetest.HomePage(s), s.URL+"/logout/other/frontchannel"+named))
	if s.User() == nil {
		t.Error("another provider ended the session")
	}
	s.Browser = s.NewBrowser()
	s.As("ada") // without a sid
	s.Frame(s.Browser, s.URL, "?iss="+url.QueryEscape(s.IDP.Issuer)+"&sid=")
	if s.User() == nil {
		t.Error("an empty sid ended a session that has none")
	}
}

// A front-channel request without a signed-in user gets a page, and OnLogout is not called:
// there is no user.
func TestFrontChannelSaysSoToNobody(t *testing.T) {
	t.Parallel()
	out := 0
	s := sitetest.NewLogout(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(*gin.Context, *ginauth.User) { out++ }
	})
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, httptest.NewRequest("GET", s.URL+"/logout/demo/frontchannel?iss=x&sid=y", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<title>") || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("the response is %d, %v: %s", w.Code, w.Header(), w.Body)
	}
	if out != 0 || strings.Contains(s.Logs.String(), "signed_out") {
		t.Errorf("OnLogout ran %d times\n%s", out, s.Logs)
	}
}
