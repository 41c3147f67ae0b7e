package ginauth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

// Where sign-out goes to the provider, the start names the address to register for
// the way back: once, since it is the same at all providers.
func TestPostLogoutURIIsAnnounced(t *testing.T) {
	t.Parallel()
	discovered := ginauth.Provider{Name: "discovered", Issuer: "https://id.example.com", ClientID: "c", ClientSecret: "s"}
	local := discovered
	local.Name, local.ClientID, local.Logout.Local = "local", "l", true
	written := discovered
	written.Name, written.ClientID = "written", "w"
	written.AuthorizeURL, written.TokenURL, written.JWKSURL = "https://id.example.com/a", "https://id.example.com/t", "https://id.example.com/k"
	ended := written
	ended.Name, ended.ClientID, ended.Logout.EndSessionURL = "ended", "e", "https://id.example.com/end"
	away := written
	away.Name, away.ClientID, away.Logout.URL = "away", "a", "https://id.example.com/logout?to={post_logout_redirect_uri}"
	noReturn := written
	noReturn.Name, noReturn.ClientID, noReturn.Logout.URL = "no-return", "n", "https://id.example.com/logout"
	for _, tt := range []struct {
		providers []ginauth.Provider
		want      []string // of the providers that are named
	}{
		{[]ginauth.Provider{discovered}, []string{"discovered"}},
		{[]ginauth.Provider{ended}, []string{"ended"}},
		{[]ginauth.Provider{away}, []string{"away"}},
		{[]ginauth.Provider{local, discovered, written, ended, away, noReturn, providers.GitHub("c", "s")}, []string{"discovered", "ended", "away"}},
		{[]ginauth.Provider{local}, nil},
		{[]ginauth.Provider{written}, nil},
		{[]ginauth.Provider{noReturn}, nil},
		{[]ginauth.Provider{providers.GitHub("c", "s")}, nil},
	} {
		l := &logs{}
		_, err := ginauth.Mount(gin.New().Group("/auth"), ginauth.Options{BaseURL: "https://app.example.com/x", Keys: []string{testKey}, Providers: tt.providers, Logger: l.Logger()})
		if err != nil {
			t.Fatal(err)
		}
		lines := slices.DeleteFunc(strings.Split(l.String(), "\n"), func(line string) bool { return !strings.Contains(line, "post_logout_redirect_uri=") })
		if len(lines) != min(1, len(tt.want)) {
			t.Errorf("%v: %d lines: %q", tt.want, len(lines), lines)
			continue
		}
		if len(lines) == 1 && !strings.Contains(lines[0], `providers="[`+strings.Join(tt.want, " ")+`]" post_logout_redirect_uri=https://app.example.com/x/auth/logout/return`) &&
			!strings.Contains(lines[0], `providers=[`+strings.Join(tt.want, " ")+`] post_logout_redirect_uri=https://app.example.com/x/auth/logout/return`) {
			t.Errorf("%v: %s", tt.want, lines[0])
		}
	}
}

// What is announced is where the provider is asked to come back to.
func TestAnnouncedPostLogoutURIIsUsed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.signIn()
	s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
	sent := s.idp.LastRequest(authtest.EndSession).Form.Get("post_logout_redirect_uri")
	if sent == "" || !strings.Contains(s.logs.String(), "post_logout_redirect_uri="+sent+"\n") {
		t.Errorf("the provider was sent %q; the log has:\n%s", sent, s.logs)
	}
}
