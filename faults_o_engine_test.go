package ginauth_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// exactly sends a request whose path is not touched on its way.
func (s *site) exactly(method, path string, header ...string) *authtest.Page {
	s.t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	u.Opaque = path
	if strings.HasPrefix(path, "//") { // which would be taken for a host
		u.Opaque = "//" + u.Host + path
	}
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatalf("%s %q: %v", method, path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("%s %q: %v", method, path, err)
	}
	return &authtest.Page{Status: response.StatusCode, URL: &url.URL{Path: path}, Header: response.Header, Body: body}
}

// nowhere is a Provider that nobody asks.
var nowhere = ginauth.Provider{Name: "demo", Issuer: "https://id.example.com", ClientID: "c0ffee", ClientSecret: "9a8b7c6d5e4f"}

// A second Mount in one place fails, and harms the first one not; in another
// place both live.
func TestMountTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	opts := ginauth.Options{BaseURL: s.URL, Keys: []string{testKey}, Providers: []ginauth.Provider{client("demo", s.idp)}, Logger: s.logs.Logger(), Now: s.clock.Now}
	_, err := ginauth.Mount(s.engine, opts)
	says(t, err, "Mount", "router.Group")
	s.signIn()
	second, err := ginauth.Mount(s.engine.Group("/staff"), opts)
	if err != nil {
		t.Fatal(err)
	}
	s.engine.GET("/staff/room", second.RequireAuth(), s.both)
	s.engine.GET("/staff/both", s.auth.RequireAuth(), second.RequireAuth(), s.both)
	if p := s.ask("GET", "/staff/room", navigates...); p.Header.Get("Location") != "/staff/login?return_to=%2Fstaff%2Froom" {
		t.Errorf("a session of the first one counts for the second: %d %v", p.Status, p.Header)
	}
	if p := s.ask("GET", "/staff/both", fetches...); p.Status != http.StatusUnauthorized {
		t.Errorf("a session of the first one counts for both: %d", p.Status)
	}
	s.idp.SignInAs("grace")
	if p := s.get("/staff/room"); p.Text() != "grace, grace" {
		t.Errorf("signing in at the second ended at %s with %d %s", p.URL, p.Status, p.Text())
	}
	if u := s.user(); u == nil || u.Subject != "ada" {
		t.Errorf("and made the first one's user %+v", u)
	}
	if p := s.ask("GET", "/staff/both", fetches...); p.Text() != "grace, grace" {
		t.Errorf("behind both guards: %d %q, want the inner one's user", p.Status, p.Text())
	}
}

func TestGuardWithoutMount(t *testing.T) {
	t.Parallel()
	for name, guard := range map[string]func(a *ginauth.Auth) gin.HandlerFunc{
		"RequireAuth": func(a *ginauth.Auth) gin.HandlerFunc { return a.RequireAuth() },
		"LoadUser":    func(a *ginauth.Auth) gin.HandlerFunc { return a.LoadUser() },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "Mount") {
					t.Errorf("%s of a nil *Auth: %v, want a panic at once that speaks of Mount", name, r)
				}
			}()
			guard(nil)
		}()
	}
}
