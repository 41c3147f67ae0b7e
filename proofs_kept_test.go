package ginauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
)

// A claim that is to be kept and is not there is not there afterwards either.
func TestAbsentClaimIsNotKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.KeepClaims = []string{"email", "absent"} })
	s.engine.GET("/claims", s.auth.RequireAuth(), func(c *gin.Context) {
		claims := map[string]any{}
		if err := ginauth.CurrentUser(c).Claims(&claims); err != nil {
			t.Error(err)
		}
		c.JSON(http.StatusOK, claims)
	})
	s.signIn()
	if got := s.get("/claims").Text(); !strings.Contains(got, `"email"`) || strings.Contains(got, "absent") {
		t.Errorf("kept: %s", got)
	}
}

// What makes a session too large is named: what is large, or else the largest.
func TestWhatMakesASessionTooLarge(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	many := map[string]string{}
	for i := range 400 {
		many[fmt.Sprintf("k%03d", i)] = strings.Repeat("x", 80)
	}
	for want, data := range map[string]map[string]string{"data big (20.0 KB)": {"big": strings.Repeat("x", 20_000)}, "(0.1 KB)": many} {
		s.logs.Reset()
		err := authtest.SignIn(s.auth, s.newBrowser(), &ginauth.User{Provider: "demo", Subject: "ada", Data: data})
		if got := fmt.Sprint(err); !strings.Contains(got, want) || strings.Count(got, " KB)") != 1 {
			t.Errorf("got %s, want %s alone", got, want)
		}
	}
}

// Where there is no room for a mark, sessions that began until it was written are
// dead, or until those were that had to go; and never later ones, which would end
// the sign-in that made it.
func TestRevokingWithoutRoom(t *testing.T) {
	t.Parallel()
	first := time.Now()
	second := first.Add(time.Second)
	for limit, want := range map[int]time.Time{0: second, 1: first} {
		now := first
		r := marks.NewRevocations[ginauth.RevocationKey](func() time.Time { return now }, limit)
		for i, at := range []time.Time{first, second} {
			now = at
			if err := r.Revoke(t.Context(), ginauth.RevocationKey{byte(i + 1)}, at.Add(time.Hour), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		marks, err := r.Watermarks(t.Context(), [4]ginauth.RevocationKey{{9}, {9}, {9}, {9}})
		if err != nil || !marks[0].Equal(want) || !marks[1].IsZero() || !marks[2].IsZero() || !marks[3].IsZero() {
			t.Errorf("room for %d: the marks are %v, want %v: %v", limit, marks, want, err)
		}
	}
}

// A guard in front of everything lets our own routes answer, whatever the method.
func TestOptionsOfOwnRoutesBehindTheGuard(t *testing.T) {
	t.Parallel()
	var auth *ginauth.Auth
	var err error
	engine := gin.New()
	engine.Use(func(c *gin.Context) { auth.RequireAuth()(c) })
	auth, err = ginauth.Mount(engine, ginauth.Options{
		BaseURL: "https://app.example.com", Keys: []string{testKey}, Logger: new(logs).Logger(), Providers: []ginauth.Provider{offline("demo")},
	})
	if err != nil {
		t.Fatal(err)
	}
	engine.OPTIONS("/other", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	for path, want := range map[string]int{"/login": http.StatusMethodNotAllowed, "/other": http.StatusUnauthorized} {
		if got := statusOf(engine, "OPTIONS", path); got != want {
			t.Errorf("OPTIONS %s: %d, want %d", path, got, want)
		}
	}
}

func statusOf(h http.Handler, method, path string) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code
}
