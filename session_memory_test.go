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
)

// show answers with all that a handler sees of the user, and then changes all
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

// remembering is a site whose pages change the user that they get, without a
// provider to ask.
func remembering(t testing.TB, change func(o *ginauth.Options)) *site {
	t.Helper()
	s := &site{t: t, URL: "http://localhost:1", engine: gin.New(), clock: &clock{}, logs: &logs{}}
	opts := ginauth.Options{BaseURL: s.URL, Keys: []string{testKey}, Logger: s.logs.Logger(), Providers: []ginauth.Provider{nowhere}, Now: s.clock.Now}
	if change != nil {
		change(&opts)
	}
	auth, err := ginauth.Mount(s.engine, opts)
	if err != nil {
		t.Fatal(err)
	}
	s.auth = auth
	s.engine.GET("/show", auth.RequireAuth(), show)
	s.engine.GET("/checked", auth.RequireAuth(func(u *ginauth.User) error {
		u.Groups[0], u.Data["plan"] = "owner", "everything"
		return nil
	}), show)
	s.engine.POST("/out", func(c *gin.Context) { _ = auth.Logout(c) })
	return s
}

// kept returns where the name of a session's user is kept, once a request has
// read it: the value is nil when nothing keeps it any more.
func (s *site) kept(cookies string) weak.Pointer[byte] {
	s.t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", cookies)
	c := gin.CreateTestContextOnly(httptest.NewRecorder(), s.engine)
	c.Request = r
	s.auth.LoadUser()(c)
	u := ginauth.CurrentUser(c)
	if u == nil {
		s.t.Fatal("the request has no user")
	}
	return weak.Make(unsafe.StringData(u.Name))
}

// collect frees what nothing refers to, pools included.
func collect() {
	for range 3 {
		runtime.GC()
	}
}

// visit sends a request with a Cookie header, and returns the status and the body.
func (s *site) visit(method, path, cookies string) (int, string) {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Cookie", cookies)
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func grace() *ginauth.User {
	return &ginauth.User{Subject: "grace", Name: "Grace Hopper", Email: "grace@example.com",
		Groups: []string{"navy", "staff"}, Data: map[string]string{"plan": "small"}, AuthTime: time.Unix(1_800_000_000, 0)}
}

// A session that is remembered is read by many requests. None may see what
// another one did to its user.
func TestWhatARequestDoesToItsUserStaysThere(t *testing.T) {
	s := remembering(t, nil)
	cookies := s.mint(grace())
	want := `grace Grace Hopper grace@example.com ["navy" "staff"] map[plan:small] 1800000000`
	for _, path := range []string{"/show", "/show", "/checked", "/checked", "/show"} {
		if status, body := s.visit("GET", path, cookies); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// remembered is how many sessions an Auth remembers at most.
const remembered = 1024

// More people than are remembered come in turns, twice each time: everybody
// gets their own session, from their own cookie.
func TestManyPeopleInTurns(t *testing.T) {
	s := remembering(t, nil)
	cookies := make([]string, 3*remembered)
	for i := range cookies {
		cookies[i] = s.mint(&ginauth.User{Subject: fmt.Sprint("person-", i), Name: fmt.Sprint("the name of person ", i)})
	}
	for _, times := range []int{2, 1} {
		for i, cookie := range cookies {
			for range times {
				if status, body := s.visit("GET", "/show", cookie); status != http.StatusOK || !strings.HasPrefix(body, fmt.Sprint("person-", i, " ")) {
					t.Fatalf("person %d: %d %s", i, status, body)
				}
			}
		}
	}
	var names []weak.Pointer[byte]
	for _, cookie := range cookies {
		names = append(names, s.kept(cookie))
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

// What is remembered does not outlive the session, nor its end.
func TestWhatIsOverIsForgotten(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *site, cookies string)
	}{
		{"signed out", func(s *site, cookies string) { s.visit("POST", "/out", cookies) }},
		{"signed out everywhere", func(s *site, _ string) {
			_ = s.auth.LogoutEverywhere(t.Context(), nowhere.Issuer+"#grace")
		}},
		{"idle for too long", func(s *site, _ string) { s.clock.Advance(25 * time.Hour) }},
		{"the clock was put back", func(s *site, _ string) { s.clock.Advance(-time.Hour) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := remembering(t, nil)
			cookies := s.mint(grace())
			name := s.kept(cookies)
			if collect(); name.Value() == nil {
				t.Fatal("a session that lives is not remembered")
			}
			tt.end(s, cookies)
			if status, _ := s.visit("GET", "/show", cookies); status != http.StatusUnauthorized {
				t.Errorf("a session that is over is answered with %d", status)
			}
			if collect(); name.Value() != nil {
				t.Error("still remembered")
			}
			runtime.KeepAlive(s)
		})
	}
	t.Run("signed out, and never seen again", func(t *testing.T) {
		s := remembering(t, nil)
		cookies := s.mint(grace())
		name := s.kept(cookies)
		s.visit("POST", "/out", cookies)
		if collect(); name.Value() != nil {
			t.Error("still remembered")
		}
		runtime.KeepAlive(s)
	})
}

// Two cookies of the name are two texts: what one of them is remembered as must
// not decide.
func TestARememberedSessionBesideAnother(t *testing.T) {
	s := remembering(t, nil)
	hers, his := s.mint(grace()), s.mint(&ginauth.User{Subject: "charles"})
	name, _, _ := strings.Cut(hers, "=")
	for _, cookies := range []string{hers, his} {
		s.visit("GET", "/show", cookies)
	}
	for cookies, want := range map[string]int{
		hers + "; " + his:                http.StatusUnauthorized, // which one is meant?
		hers + "; " + name + "=1garbage": http.StatusOK,
		name + "=; " + hers:              http.StatusOK,
		hers + "; " + name + "-2=x":      http.StatusOK,
	} {
		if status, _ := s.visit("GET", "/show", cookies); status != want {
			t.Errorf("%s: %d, want %d", cookies, status, want)
		}
	}
}

// A session that is sealed under an old key is so each time it is seen, until
// the browser has taken the new cookie.
func TestARememberedSessionUnderAnOldKey(t *testing.T) {
	old := remembering(t, nil)
	cookies := old.mint(grace())
	s := remembering(t, func(o *ginauth.Options) { o.Keys = []string{"a newer key for tests, of 32 bytes and more", testKey} })
	for range 3 {
		r := httptest.NewRequest("GET", "/show", nil)
		r.Header.Set("Cookie", cookies)
		w := httptest.NewRecorder()
		s.engine.ServeHTTP(w, r)
		if w.Code != http.StatusOK || len(w.Header()["Set-Cookie"]) != 1 {
			t.Errorf("%d, Set-Cookie %q", w.Code, w.Header()["Set-Cookie"])
		}
	}
}
