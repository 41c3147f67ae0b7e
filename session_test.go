package ginauth_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// sessionName is the name of a session's cookie, or of its second one.
var sessionName = regexp.MustCompile(`^(__Host-)?ginauth-[A-Za-z0-9_-]{6}(-2)?$`)

// sessionCookies are the browser's cookies that hold its session, the first
// one first.
func (s *site) sessionCookies() (list []*http.Cookie) {
	for _, c := range s.browser.Cookies(s.URL) {
		if sessionName.MatchString(c.Name) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *http.Cookie) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (s *site) sessionCookie() *http.Cookie {
	s.t.Helper()
	list := s.sessionCookies()
	if len(list) == 0 {
		s.t.Fatal("the browser has no session cookie")
	}
	return list[0]
}

// cookieLine is the session as a thief would send it.
func (s *site) cookieLine() string {
	var pairs []string
	for _, c := range s.sessionCookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

// stolen says who somebody without a browser is who sends this Cookie header.
func (s *site) stolen(line string) string {
	s.t.Helper()
	r, err := http.NewRequest("GET", s.URL+"/who", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Cookie", line)
	transport := http.DefaultTransport
	if s.tls {
		transport = s.idp.HTTPClient().Transport
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	who, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		s.t.Fatal(err)
	case response.StatusCode == http.StatusOK:
		return string(who)
	case response.StatusCode != http.StatusUnauthorized:
		s.t.Errorf("a stolen session is answered with %d %s\n%s", response.StatusCode, who, s.logs)
	}
	return ""
}

// sessionSite has a few more routes: who, which says who is signed in, and
// update, which does what change says at the time.
func sessionSite(t *testing.T, options func(s *site, o *ginauth.Options)) (s *site, update func(change func(*ginauth.User)) (*authtest.Page, error)) {
	t.Helper()
	s = newSite(t, options)
	s.guarded("/who", who)
	var change func(*ginauth.User)
	var err error
	s.guarded("/update", func(c *gin.Context) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		err = s.auth.Update(c, change)
		c.JSON(http.StatusOK, ginauth.CurrentUser(c.Request.Context()))
	})
	return s, func(f func(*ginauth.User)) (*authtest.Page, error) {
		change = f
		return s.ask("POST", "/update", fetches...), err
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s, update := sessionSite(t, func(_ *site, o *ginauth.Options) { o.KeepClaims = []string{"locale"} })
	var claims map[string]any
	s.guarded("/claims", func(c *gin.Context) { _ = ginauth.CurrentUser(c).Claims(&claims) })
	s.signIn()
	before, old := s.user(), s.cookieLine()
	p, err := update(func(u *ginauth.User) {
		u.Groups = append(u.Groups, "editors")
		u.Data = map[string]string{"id": "42"}
		u.Name, u.Email = "The Countess", "new@example.com"
		u.Provider, u.Issuer, u.Subject = "other", "https://evil.example", "root"
	})
	if err != nil || !strings.Contains(p.Text(), `"editors"`) || !strings.Contains(p.Text(), `"sub":"ada"`) {
		t.Errorf("in the request itself: %v %s", err, p.Text())
	}
	after := s.user()
	if after.ID() != before.ID() || after.Provider != "demo" {
		t.Errorf("Update made ada %+v", after)
	}
	if !slices.Equal(after.Groups, []string{"admin", "staff", "editors"}) || !maps.Equal(after.Data, map[string]string{"id": "42"}) ||
		after.Name != "The Countess" || after.Email != "new@example.com" {
		t.Errorf("Update lost something: %+v", after)
	}
	if s.ask("GET", "/claims"); claims["locale"] != "en-GB" || len(claims) != 1 {
		t.Errorf("Update changed the claims: %v", claims)
	}
	if s.stolen(old) != "ada" {
		t.Error("the session got another id: a request under way at the same time would be signed out")
	}
	if p := s.must(s.browser.Fetch(pageOf(s), "POST", s.URL+"/logout", nil, "")); p.Status != http.StatusOK || s.stolen(old) != "" {
		t.Error("signing out did not end the copy from before Update")
	}
}

func TestUpdateRefuses(t *testing.T) {
	t.Parallel()
	s, update := sessionSite(t, nil)
	var late, nobody error
	s.guarded("/late", func(c *gin.Context) {
		c.String(http.StatusOK, "written")
		late = s.auth.Update(c, func(u *ginauth.User) { u.Name = "late" })
	})
	s.engine.GET("/nobody", func(c *gin.Context) { nobody = s.auth.Update(c, func(u *ginauth.User) { u.Name = "x" }) })
	s.ask("GET", "/nobody")
	if !errors.Is(nobody, ginauth.ErrUnauthenticated) || !strings.Contains(nobody.Error(), "RequireAuth") {
		t.Errorf("nobody is signed in: %v", nobody)
	}
	s.asUser(&ginauth.User{Subject: "ada", Name: "Ada", Data: map[string]string{"k": "v"}})
	if s.ask("GET", "/late"); !errors.Is(late, ginauth.ErrSessionError) {
		t.Errorf("after the answer was written: %v", late)
	}
	p, err := update(func(u *ginauth.User) {
		u.Name = "changed"
		u.Data["k"], u.Data["more"] = "changed", strings.Repeat("x", 6000)
	})
	if !errors.Is(err, ginauth.ErrSessionError) || !strings.Contains(err.Error(), "data more (6.0 KB)") || !strings.Contains(err.Error(), "two cookies hold") {
		t.Errorf("too large: %v", err)
	}
	if strings.Contains(p.Text(), "changed") || len(p.Header.Values("Set-Cookie")) > 0 {
		t.Errorf("what could not be kept changed this request: %s %v", p.Text(), p.Header)
	}
	_, err = update(func(u *ginauth.User) {
		u.Name, u.Data["k"] = "changed", "changed"
		panic("in the application")
	})
	if err == nil || err.Error() != "panic: in the application" {
		t.Errorf("a panic of the application's own: %v", err)
	}
	if u := s.user(); u == nil || u.Name != "Ada" || u.Data["k"] != "v" || len(u.Data) != 1 {
		t.Errorf("the session changed: %+v", u)
	}
}

// What is meant by SignIn: a new session, here and now.
func TestSignInByTheApplication(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	var err error
	var during string
	to := &ginauth.User{Provider: "demo", Subject: "grace"}
	s.engine.GET("/as", func(c *gin.Context) {
		if c.Query("late") != "" {
			c.String(http.StatusOK, "written")
		}
		if err = s.auth.SignIn(c, to); err != nil || c.Query("late") != "" {
			return
		}
		if err = s.auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"by": "ada"} }); err != nil {
			return
		}
		during = ginauth.CurrentUser(c).Subject + " and " + ginauth.CurrentUser(c.Request.Context()).Subject
	})
	s.as("ada")
	old := s.cookieLine()
	s.ask("GET", "/as")
	if err != nil || during != "grace and grace" {
		t.Errorf("during the request: %q, %v", during, err)
	}
	u := s.user()
	if u == nil || u.Subject != "grace" || u.Issuer != s.idp.Issuer || u.Data["by"] != "ada" || u.AuthTime.IsZero() {
		t.Errorf("signed in is %+v", u)
	}
	if s.stolen(old) != "" {
		t.Error("the session that was replaced lives on")
	}
	if s.idp.Count(authtest.Discovery) != 0 {
		t.Error("a provider was asked")
	}
	for name, tt := range map[string]struct {
		path string
		user ginauth.User
		code ginauth.Code
	}{
		"a provider that is not configured":    {"/as", ginauth.User{Provider: "other", Subject: "x"}, ginauth.ErrUnknownProvider},
		"no subject":                           {"/as", ginauth.User{Provider: "demo"}, ginauth.ErrIdentityRejected},
		"an issuer that is not the provider's": {"/as", ginauth.User{Provider: "demo", Subject: "x", Issuer: "https://evil.example"}, ginauth.ErrIdentityRejected},
		"after the answer was written":         {"/as?late=1", ginauth.User{Provider: "demo", Subject: "x"}, ginauth.ErrSessionError},
		"too much":                             {"/as", ginauth.User{Provider: "demo", Subject: "x", Name: strings.Repeat("n", 9000)}, ginauth.ErrSessionError},
	} {
		to = &tt.user
		if p := s.ask("GET", tt.path); !errors.Is(err, tt.code) || len(p.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %v, want %s; %v", name, err, tt.code, p.Header)
		}
	}
}

// groupsOf makes n bytes of groups.
func groupsOf(n int) (groups []string) {
	for i := range n / 20 {
		groups = append(groups, fmt.Sprintf("group number %06d", i))
	}
	return groups
}

// One cookie, or two, and back to one: the second must go, or it would be
// taken for a part of a session that it is none of.
func TestSessionSize(t *testing.T) {
	t.Parallel()
	s, update := sessionSite(t, nil)
	s.asUser(&ginauth.User{Subject: "ada", Name: "Ada"})
	for i, tt := range []struct{ bytes, cookies int }{{0, 1}, {4000, 2}, {5000, 2}, {100, 1}, {3000, 2}, {0, 1}} {
		if _, err := update(func(u *ginauth.User) { u.Groups = groupsOf(tt.bytes) }); err != nil {
			t.Fatalf("step %d, %d bytes of groups: %v", i, tt.bytes, err)
		}
		list := s.sessionCookies()
		if len(list) != tt.cookies {
			t.Errorf("step %d, %d bytes of groups: %d cookies, want %d", i, tt.bytes, len(list), tt.cookies)
		}
		for _, c := range list {
			if size := len(c.Name) + len(c.Value); size > 3800 {
				t.Errorf("step %d: a cookie of %d bytes", i, size)
			}
		}
		if u := s.user(); u == nil || !slices.Equal(u.Groups, groupsOf(tt.bytes)) {
			t.Fatalf("step %d: the session is lost or cut: %+v", i, u)
		}
	}
	if refused := s.browser.RefusedCookies(); len(refused) > 0 {
		t.Errorf("the browser refused %q", refused)
	}
	// In one answer, too.
	s.guarded("/both", func(c *gin.Context) {
		for _, n := range []int{5000, 0} {
			if err := s.auth.Update(c, func(u *ginauth.User) { u.Groups = groupsOf(n) }); err != nil {
				t.Error(err)
			}
		}
	})
	if s.ask("GET", "/both"); len(s.sessionCookies()) != 1 || s.user() == nil {
		t.Errorf("after growing and shrinking in one request: %v", s.sessionCookies())
	}
}

// replica is another process of the same application, at an address of its
// own: what one seals, the other may be sent.
func (s *site) replica(change func(o *ginauth.Options)) *site {
	s.t.Helper()
	r := &site{t: s.t, engine: gin.New(), idp: s.idp, clock: s.clock, logs: s.logs}
	opts := ginauth.Options{BaseURL: s.URL, Keys: []string{testKey}, Logger: s.logs.Logger(), Now: s.clock.Now,
		Providers: []ginauth.Provider{client("demo", s.idp)}}
	change(&opts)
	var err error
	if r.auth, err = ginauth.Mount(r.engine, opts); err != nil {
		s.t.Fatal(err)
	}
	r.routes()
	r.guarded("/who", who)
	server := httptest.NewServer(r.engine)
	s.t.Cleanup(server.Close)
	r.URL, r.browser = server.URL, r.newBrowser()
	return r
}

func who(c *gin.Context) { c.String(http.StatusOK, ginauth.CurrentUser(c).Subject) }

// mint makes a session, and returns the Cookie header that it is sent with.
func (s *site) mint(u *ginauth.User) string {
	s.t.Helper()
	recorder := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(recorder)
	c.Request = httptest.NewRequest("GET", "/", nil)
	if u.Provider == "" {
		u.Provider = "demo"
	}
	if err := s.auth.SignIn(c, u); err != nil {
		s.t.Fatal(err)
	}
	var pairs []string
	for _, line := range recorder.Header().Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, "; ")
}
