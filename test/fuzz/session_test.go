package fuzz

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// fuzzTime is the time at which the committed seeds were written.
var fuzzTime = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// fuzzSite is a guard without a server, a browser or requests to a provider.
func fuzzSite(t testing.TB) *sitetest.Site {
	t.Helper()
	s := &sitetest.Site{T: t, URL: "http://localhost:1", Engine: gin.New(), Clock: &sitetest.Clock{}, Logs: &sitetest.Logs{}}
	auth, err := ginauth.Mount(s.Engine, ginauth.Options{BaseURL: s.URL, Keys: []string{sitetest.Key}, Logger: s.Logs.Logger(), Providers: []ginauth.Provider{sitetest.Nowhere},
		Now: func() time.Time { return fuzzTime }, KeepClaims: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Auth = auth
	s.Guard("/who", func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		_ = u.Claims(&map[string]any{})
		_ = ginauth.HasClaim("x", "y")(u)
		_ = ginauth.VerifiedEmailDomain("example.com")(u)
		c.String(http.StatusOK, u.Provider+" "+u.ID())
	})
	return s
}

// with a Cookie header, who is it? A panic or a 500 fails the test.
func fuzzed(s *sitetest.Site, t *testing.T, cookies string) (who string, in bool) {
	t.Helper()
	r := httptest.NewRequest("GET", "/who", nil)
	r.Header.Set("Cookie", cookies)
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, r)
	if w.Code != http.StatusOK && w.Code != http.StatusUnauthorized {
		t.Fatalf("the response is %d %s", w.Code, w.Body)
	}
	return w.Body.String(), w.Code == http.StatusOK
}

// FuzzSessionRecord seals arbitrary bytes, as another version could have done. An invalid record
// signs no user in; a valid one signs in a user of a configured provider.
func FuzzSessionRecord(f *testing.F) {
	s := fuzzSite(f)
	box := sitetest.SessionBox(f, s)
	name, good := sitetest.RecordOf(f, box, s.Mint(&ginauth.User{Subject: "ada", Name: "Ada", Groups: []string{"admin"}, Data: map[string]string{"k": "v"}}))
	f.Add([]byte(good))
	f.Add([]byte(good[:len(good)-1]))
	f.Fuzz(func(t *testing.T, record []byte) {
		if len(record) > 2000 {
			return // more than a cookie holds
		}
		who, in := fuzzed(s, t, name+"=1"+box.Seal(record, name))
		if in && !strings.HasPrefix(who, sitetest.Nowhere.Name+" "+sitetest.Nowhere.Issuer+"#") {
			t.Errorf("%q is signed in", who)
		}
		if in && (len(record) == 0 || record[0] != 2 && record[0] != 3) {
			t.Errorf("a record of version %d is a session", record[0])
		}
	})
}

// FuzzSessionCookies makes Cookie headers of parts of real sessions: NAME is replaced by the
// cookie's name, WHOLE by a session, OTHER by another user's, FIRST and SECOND by the two
// cookies of a larger one. No user is signed in without a complete session, and the user does
// not depend on previous requests.
func FuzzSessionCookies(f *testing.F) {
	s := fuzzSite(f)
	name, whole, _ := strings.Cut(s.Mint(&ginauth.User{Subject: "ada"}), "=")
	first, second, _ := strings.Cut(s.Mint(&ginauth.User{Subject: "ada", Groups: sitetest.Groups(4000)}), "; ")
	first, second = strings.TrimPrefix(first, name+"="), strings.TrimPrefix(second, name+"-2=")
	_, other, _ := strings.Cut(s.Mint(&ginauth.User{Subject: "bob"}), "=")
	parts := strings.NewReplacer("NAME", name, "WHOLE", whole, "OTHER", other, "FIRST", first, "SECOND", second)
	f.Add("NAME=WHOLE")
	f.Add("NAME=OTHER; NAME=WHOLE")
	f.Add("NAME=WHOLE; NAME=")
	f.Add("NAME=WHOLE; NAME-2=SECOND")
	f.Add("NAME=FIRST; NAME-2=SECOND")
	f.Fuzz(func(t *testing.T, header string) {
		cookies := parts.Replace(header)
		who, in := fuzzed(s, t, cookies)
		if again, still := fuzzed(s, t, cookies); in && again != who || still != in {
			t.Errorf("%q is %q, and when it is remembered %q", header, who, again)
		}
		if again, still := fuzzed(fuzzSite(t), t, cookies); in && again != who || still != in {
			t.Errorf("%q is %q, and when nothing is remembered %q", header, who, again)
		}
		if in && !strings.Contains(cookies, whole) && !strings.Contains(cookies, whole[1:]) && !strings.Contains(cookies, other[1:]) && !(strings.Contains(cookies, first[1:]) && strings.Contains(cookies, second)) {
			t.Errorf("%q is a session", header)
		}
		if header == "NAME=WHOLE" && !in || header == "NAME=FIRST; NAME-2=SECOND" && !in {
			t.Errorf("%q is no session", header)
		}
	})
}
