package ginauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// A user without groups: two lists made by appending to Groups do not share memory.
func TestGroupsAreAppendedToTwice(t *testing.T) {
	t.Parallel()
	s := remembering(t, nil)
	s.Engine.GET("/groups", s.Auth.RequireAuth(), func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		one, two := append(u.Groups, "guest"), append(u.Groups, "admin")
		c.String(http.StatusOK, "%t %q %q", u.Groups == nil, one, two)
	})
	for want, groups := range map[string][]string{
		`true ["guest"] ["admin"]`:                                nil,
		`false ["navy" "staff" "guest"] ["navy" "staff" "admin"]`: {"navy", "staff"},
	} {
		if got := send(s, "GET", "/groups", s.Mint(&ginauth.User{Subject: "grace", Groups: groups})).Body.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// show responds with everything that a handler sees of the user, and then changes everything
// that it can.
func show(c *gin.Context) {
	u := ginauth.CurrentUser(c)
	c.String(http.StatusOK, "%s %s %s %q %v %v", u.Subject, u.Name, u.Email, u.Groups, u.Data, u.AuthTime.Unix())
	u.Name, u.Email, u.AuthTime = "Mallory", "mallory@evil.example", time.Time{}
	slices.Reverse(u.Groups)
	for i := range u.Groups {
		u.Groups[i] = "owner"
	}
	u.Groups = append(u.Groups, "root")
	if u.Data != nil {
		u.Data["plan"] = "everything"
	}
}

// remembering is a site whose pages change the user that they get, without requests to a
// provider.
func remembering(t testing.TB, change func(o *ginauth.Options)) *sitetest.Site {
	t.Helper()
	s := &sitetest.Site{T: t, URL: "http://localhost:1", Engine: gin.New(), Clock: &sitetest.Clock{}, Logs: &sitetest.Logs{}}
	opts := ginauth.Options{BaseURL: s.URL, Keys: []string{sitetest.Key}, Logger: s.Logs.Logger(), Providers: []ginauth.Provider{sitetest.Nowhere}, Now: s.Clock.Now}
	if change != nil {
		change(&opts)
	}
	auth, err := ginauth.Mount(s.Engine, opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Auth = auth
	s.Engine.GET("/show", auth.RequireAuth(), show)
	s.Engine.GET("/checked", auth.RequireAuth(func(u *ginauth.User) error {
		u.Groups[0], u.Data["plan"] = "owner", "everything"
		return nil
	}), show)
	s.Engine.POST("/out", func(c *gin.Context) { _ = auth.Logout(c) })
	return s
}

// keptName returns a weak pointer to the name of a session's user, after a request has read it:
// its value is nil when nothing refers to the name.
func keptName(s *sitetest.Site, cookies string) weak.Pointer[byte] {
	s.T.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", cookies)
	c := gin.CreateTestContextOnly(httptest.NewRecorder(), s.Engine)
	c.Request = r
	s.Auth.LoadUser()(c)
	u := ginauth.CurrentUser(c)
	if u == nil {
		s.T.Fatal("the request has no user")
	}
	return weak.Make(unsafe.StringData(u.Name))
}

// collect frees unreferenced memory, including pools.
func collect() {
	for range 3 {
		runtime.GC()
	}
}

// visitWith sends a request with a Cookie header, and returns the status and the body.
func visitWith(s *sitetest.Site, method, path, cookies string) (int, string) {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Cookie", cookies)
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func grace() *ginauth.User {
	return &ginauth.User{Subject: "grace", Name: "Grace Hopper", Email: "grace@example.com",
		Groups: []string{"navy", "staff"}, Data: map[string]string{"plan": "small"}, AuthTime: time.Unix(1_700_000_000, 0)}
}

// Many requests read a cached session. None may see changes that another made to its user.
func TestWhatARequestDoesToItsUserStaysThere(t *testing.T) {
	s := remembering(t, nil)
	cookies := s.Mint(grace())
	want := `grace Grace Hopper grace@example.com ["navy" "staff"] map[plan:small] 1700000000`
	for _, path := range []string{"/show", "/show", "/checked", "/checked", "/show"} {
		if status, body := visitWith(s, "GET", path, cookies); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// remembered is the maximum number of cached sessions of an Auth.
const remembered = 1024

// More users than the cache holds send requests in turns, two each time: each gets their own
// session, from their own cookie.
func TestManyPeopleInTurns(t *testing.T) {
	s := remembering(t, nil)
	cookies := make([]string, 3*remembered)
	for i := range cookies {
		cookies[i] = s.Mint(&ginauth.User{Subject: fmt.Sprint("person-", i), Name: fmt.Sprint("the name of person ", i)})
	}
	for _, times := range []int{2, 1} {
		for i, cookie := range cookies {
			for range times {
				if status, body := visitWith(s, "GET", "/show", cookie); status != http.StatusOK || !strings.HasPrefix(body, fmt.Sprint("person-", i, " ")) {
					t.Fatalf("user %d: %d %s", i, status, body)
				}
			}
		}
	}
	var names []weak.Pointer[byte]
	for _, cookie := range cookies {
		names = append(names, keptName(s, cookie))
	}
	collect()
	n := 0
	for _, name := range names {
		if name.Value() != nil {
			n++
		}
	}
	if n > remembered || n < remembered/2 {
		t.Errorf("%d sessions are remembered, of %d", n, remembered)
	}
	runtime.KeepAlive(s)
}

// A cache entry does not outlive its session, whether that expires or is signed out.
func TestWhatIsOverIsForgotten(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *sitetest.Site, cookies string)
	}{
		{"signed out", func(s *sitetest.Site, cookies string) { visitWith(s, "POST", "/out", cookies) }},
		{"signed out everywhere", func(s *sitetest.Site, _ string) {
			_ = s.Auth.LogoutEverywhere(t.Context(), sitetest.Nowhere.Issuer+"#grace")
		}},
		{"idle for too long", func(s *sitetest.Site, _ string) { s.Clock.Advance(25 * time.Hour) }},
		{"the clock was put back", func(s *sitetest.Site, _ string) { s.Clock.Advance(-time.Hour) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := remembering(t, nil)
			cookies := s.Mint(grace())
			name := keptName(s, cookies)
			if collect(); name.Value() == nil {
				t.Fatal("a valid session is not cached")
			}
			tt.end(s, cookies)
			if status, _ := visitWith(s, "GET", "/show", cookies); status != http.StatusUnauthorized {
				t.Errorf("the response to an ended session is %d", status)
			}
			if collect(); name.Value() != nil {
				t.Error("still remembered")
			}
			runtime.KeepAlive(s)
		})
	}
	t.Run("signed out, and never seen again", func(t *testing.T) {
		s := remembering(t, nil)
		cookies := s.Mint(grace())
		name := keptName(s, cookies)
		visitWith(s, "POST", "/out", cookies)
		if collect(); name.Value() != nil {
			t.Error("still remembered")
		}
		runtime.KeepAlive(s)
	})
}

// Two cookies with the same name are ambiguous: a cache entry for one of them must not decide.
func TestARememberedSessionBesideAnother(t *testing.T) {
	s := remembering(t, nil)
	hers, his := s.Mint(grace()), s.Mint(&ginauth.User{Subject: "charles"})
	name, _, _ := strings.Cut(hers, "=")
	for _, cookies := range []string{hers, his} {
		visitWith(s, "GET", "/show", cookies)
	}
	for cookies, want := range map[string]int{
		hers + "; " + his:                http.StatusUnauthorized, // which one is meant?
		hers + "; " + name + "=1garbage": http.StatusOK,
		name + "=; " + hers:              http.StatusOK,
		hers + "; " + name + "-2=x":      http.StatusOK,
	} {
		if status, _ := visitWith(s, "GET", "/show", cookies); status != want {
			t.Errorf("%s: %d, want %d", cookies, status, want)
		}
	}
}

// A session that is sealed under an old key is renewed at each request until the browser has
// stored the new cookie.
func TestARememberedSessionUnderAnOldKey(t *testing.T) {
	old := remembering(t, nil)
	cookies := old.Mint(grace())
	s := remembering(t, func(o *ginauth.Options) {
		o.Keys = []string{"a newer key for tests, of 32 bytes and more", sitetest.Key}
	})
	for range 3 {
		r := httptest.NewRequest("GET", "/show", nil)
		r.Header.Set("Cookie", cookies)
		w := httptest.NewRecorder()
		s.Engine.ServeHTTP(w, r)
		if w.Code != http.StatusOK || len(w.Header()["Set-Cookie"]) != 1 {
			t.Errorf("%d, Set-Cookie %q", w.Code, w.Header()["Set-Cookie"])
		}
	}
}
