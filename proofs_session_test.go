package ginauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// Two sessions in one request are nobody's, however often one of them is there:
// which is meant cannot be told. One that is there twice is one.
func TestTwoSessionsInOneRequest(t *testing.T) {
	t.Parallel()
	inStore := storeSite(t, memstore.NewStore([]byte("the store's secret")))
	inCookie := newFlow(t, nil)
	inCookie.guarded("/who", who)
	for home, f := range map[string]*flow{"a cookie": inCookie, "a store": inStore} {
		line := func() string {
			f.browser = f.newBrowser()
			f.signIn()
			var pairs []string
			for _, c := range append(f.ours(""), f.ours("-b")...) {
				pairs = append(pairs, c.Name+"="+c.Value)
			}
			return strings.Join(pairs, "; ")
		}
		first, second := line(), line()
		if got := f.stolen(first + "; " + first); got != "ada" {
			t.Errorf("in %s: one session that is there twice is %q", home, got)
		}
		// This clears them where they are in a store.
		if got := f.stolen(first + "; " + second + "; " + second); got != "" {
			t.Errorf("in %s: two sessions, one of them twice, are %q", home, got)
		}
	}
}

// A session of a provider that was taken out is none, for linking too.
func TestLinkingToASessionOfAProviderThatIsGone(t *testing.T) {
	t.Parallel()
	s, _, _ := linkingSite(t)
	other := s.replica(func(o *ginauth.Options) { o.Providers = []ginauth.Provider{client("other", s.idp)} })
	r, err := http.NewRequest("POST", other.URL+"/login/other", strings.NewReader(linkForm.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", s.cookieLine())
	r.Header.Set("Origin", s.URL)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("answered %d %s", answer.StatusCode, answer.Header.Get("Location"))
	}
}

// A plain OAuth 2.0 provider has no issuer, and an empty one does not name it.
func TestAnEmptyIssBeginsNoSignIn(t *testing.T) {
	t.Parallel()
	s := plainSite(t, `{"id":7}`, nil)
	s.wantError(s.open("/login/demo?iss="), ginauth.ErrBadRequest)
}

// HasClaim without values asks for something to be there: an empty list is
// nothing.
func TestHasClaimOfAnEmptyList(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.KeepClaims = []string{"roles"} })
	s.engine.GET("/roles", s.auth.RequireAuth(ginauth.HasClaim("roles")), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	for status, roles := range map[int][]string{http.StatusForbidden: {}, http.StatusNoContent: {"a"}} {
		s.idp.EditIDToken(func(_, claims map[string]any) { claims["roles"] = roles })
		s.browser = s.newBrowser()
		s.signIn()
		if p := s.ask("GET", "/roles"); p.Status != status {
			t.Errorf("with roles %q: %d, want %d", roles, p.Status, status)
		}
	}
}

// An answer that varies by something else already varies by the cookie too, or
// a cache would give it to others.
func TestVaryIsAddedToTheApplicationsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.engine.GET("/varied", func(c *gin.Context) { c.Header("Vary", "Origin") }, s.auth.RequireAuth(), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	s.as("ada")
	if got := strings.Join(s.ask("GET", "/varied").Header.Values("Vary"), ", "); !strings.Contains(got, "Origin") || !strings.Contains(got, "Cookie") {
		t.Errorf("Vary is %q", got)
	}
}
