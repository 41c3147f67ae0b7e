package ginauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// Sessions of the previous version do not record which users were admitted when they began: all
// stay valid. Once renewed they record it, and end with the next change.
func TestAdmitsKeepsSessionsOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/session_v2/sessions.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []goldenSession
	if err := json.Unmarshal(text, &list); err != nil || len(list) == 0 {
		t.Fatal(len(list), err)
	}
	for _, golden := range list {
		t.Run(golden.Name, func(t *testing.T) {
			t.Parallel()
			var store *oneRecord
			admits := func(text string) func(*ginauth.Options) {
				return func(o *ginauth.Options) {
					for i := range o.Providers {
						o.Providers[i].Admits = []string{text}
						if o.Providers[i].TokenIssuer != nil && o.Providers[i].Name == golden.User.Provider {
							o.Providers[i].Admits = []string{golden.User.Issuer, text}
						}
					}
					store, _ = o.Sessions.(*oneRecord)
				}
			}
			a := newGoldenApp(t, golden, admits("hd=example.com"))
			if a.me() == nil {
				t.Fatal("the upgrade signs out")
			}
			a.now = a.now.Add(3 * time.Hour)
			if a.me() == nil {
				t.Fatal("its renewal signs out")
			}
			renewed := golden
			renewed.Cookies = a.cookies
			if store != nil {
				renewed.Stored = store.text
			}
			later := func(change ...func(*ginauth.Options)) bool {
				b := newGoldenApp(t, renewed, change...)
				b.now = a.now
				return b.me() != nil
			}
			for text, lives := range map[string]bool{"hd=example.com": true, "hd=other.example": golden.User.Provider == "tenants"} {
				if later(admits(text)) != lives {
					t.Errorf("with %s, is valid: want %v", text, lives)
				}
			}
			if later() != (golden.User.Provider == "tenants") {
				t.Error("the session is valid without the list under which it began")
			}
			gone := func(o *ginauth.Options) {
				for i := range o.Providers {
					o.Providers[i].Admits = []string{"https://other.example"}
				}
			}
			if later(gone) {
				t.Error("the session is valid although its user is not admitted")
			}
		})
	}
}

// The order of the values in Admits is irrelevant.
func TestAdmitsInAnyOrder(t *testing.T) {
	t.Parallel()
	before := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Admits = []string{"b", "a"} })
	for _, tt := range []struct {
		admits []string
		lives  bool
	}{{[]string{"a", "b"}, true}, {[]string{"b", "a"}, true}, {[]string{"ab"}, false}, {[]string{"a", "b", ""}, false}, {[]string{"a,b"}, false}, {[]string{"a"}, false}, {nil, false}} {
		cookie := before.Mint(&ginauth.User{Subject: "ada"})
		after := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.BaseURL, o.Providers[0].Issuer = before.URL, before.IDP.Issuer
			o.Providers[0].Admits = tt.admits
		})
		p := after.Ask("GET", "/me", append([]string{"Cookie", cookie}, sitetest.Fetch...)...)
		if (p.Status == 200) != tt.lives {
			t.Errorf("%q: %d, is valid: want %v", tt.admits, p.Status, tt.lives)
		}
	}
}

// Marks of sign-outs are kept for the Lifetime that was configured at the time; a longer one
// that is configured later must not make sessions outlive them.
func TestALongerLifetimeLaterOn(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Lifetime, o.IdleTimeout = time.Hour, time.Hour })
	later := gin.New()
	auth, err := ginauth.Mount(later, ginauth.Options{BaseURL: s.URL, Keys: []string{sitetest.Key}, Logger: s.Logs.Logger(), Now: s.Clock.Now,
		Providers: []ginauth.Provider{sitetest.Client("demo", s.IDP)}})
	if err != nil {
		t.Fatal(err)
	}
	later.GET("/me", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, "in") })
	s.SignIn()
	for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		r := httptest.NewRequest("GET", s.URL+"/me", nil)
		r.Header.Set("Cookie", s.CookieHeader())
		w := httptest.NewRecorder()
		if later.ServeHTTP(w, r); w.Code != want {
			t.Errorf("the status is %d, want %d", w.Code, want)
		}
		s.Clock.Advance(61 * time.Minute)
	}
}

// If the clock is set back, and the session is written again in the meantime, it is not valid
// more than a minute before it began.
func TestASessionIsNoneBeforeItBegan(t *testing.T) {
	t.Parallel()
	s := remembering(t, nil)
	s.Engine.POST("/update", s.Auth.RequireAuth(), func(c *gin.Context) {
		if err := s.Auth.Update(c, func(u *ginauth.User) { u.Name = "Grace" }); err != nil {
			t.Error(err)
		}
	})
	cookies := s.Mint(grace())
	s.Clock.Advance(-50 * time.Second)
	r := httptest.NewRequest("POST", s.URL+"/update", nil)
	r.Header.Set("Cookie", cookies)
	r.Header.Set("Origin", s.URL)
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, r)
	pair, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	if w.Code != http.StatusOK || !shown(s, pair) {
		t.Fatalf("the response to the update is %d, %q", w.Code, pair)
	}
	s.Clock.Advance(-50 * time.Second)
	if shown(s, pair) {
		t.Error("the session counts 100 seconds before it began")
	}
}

// A response without a body that renews the session's cookie is not cacheable either, even if
// the handler allows it.
func TestRenewalsBesideAnEmptyAnswer(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Engine.GET("/quiet", s.Auth.RequireAuth(), func(c *gin.Context) {
		c.Header("Cache-Control", "public, max-age=60")
		c.Status(http.StatusNoContent)
	})
	s.As("ada")
	s.Clock.Advance(3 * time.Hour)
	p := s.Ask("GET", "/quiet")
	if p.Status != http.StatusNoContent || p.Header.Get("Set-Cookie") == "" || !strings.Contains(p.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("the response is %d with %v", p.Status, p.Header)
	}
}

// session_expiry ends a session if it is in an ID token, not if it is in a profile.
func TestSessionExpiryOfAProfile(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, `{"id":7,"session_expiry":1}`, nil)
	if u := s.AcceptsSignIn(t, "/login/demo"); u.Subject != "7" {
		t.Errorf("%+v", u)
	}
}
