package stores_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/redisstate"
)

// site is one application as its users see it: an address, behind which a
// proxy gives each request to the next of two replicas. They share their keys
// and a Redis, and nothing else.
type site struct {
	t        testing.TB
	URL      string
	idp      *authtest.Provider
	browser  *authtest.Browser
	redis    *redisServer
	inStore  bool // sessions are in Redis, not in sealed cookies
	replicas [2]atomic.Pointer[httptest.Server]
	next     atomic.Int64
	only     atomic.Int64 // 1 or 2: the proxy knows this replica alone
}

// eachHome runs a test with sessions in Redis and in sealed cookies: the
// revocations are in Redis either way.
func eachHome(t *testing.T, test func(t *testing.T, s *site)) {
	for _, inStore := range []bool{true, false} {
		name := map[bool]string{true: "sessions in Redis", false: "sealed cookies"}[inStore]
		t.Run(name, func(t *testing.T) { test(t, newSite(t, inStore)) })
	}
}

func newSite(t testing.TB, inStore bool) *site {
	t.Helper()
	s := &site{t: t, redis: newRedis(t), inStore: inStore}
	s.idp = must[*authtest.Provider](t)(authtest.Start(authtest.Config{}))
	t.Cleanup(s.idp.Close)
	s.idp.SignInAs("ada")
	front := httptest.NewServer(s.proxy())
	t.Cleanup(front.Close)
	s.URL = strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	for i := range s.replicas {
		s.start(i)
		t.Cleanup(func() { s.stop(i) })
	}
	s.browser = s.newBrowser()
	return s
}

func (s *site) newBrowser() *authtest.Browser {
	b := authtest.NewBrowser()
	s.t.Cleanup(b.Close)
	return b
}

// proxy goes round, past a replica that is not there.
func (s *site) proxy() http.Handler {
	pick := func() *httptest.Server {
		if only := s.only.Load(); only > 0 {
			return s.replicas[only-1].Load()
		}
		for range s.replicas {
			if r := s.replicas[s.next.Add(1)%int64(len(s.replicas))].Load(); r != nil {
				return r
			}
		}
		return nil
	}
	return &httputil.ReverseProxy{
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Rewrite: func(r *httputil.ProxyRequest) {
			replica := pick()
			if replica == nil {
				s.t.Error("the proxy has no replica to ask")
				return
			}
			target, _ := url.Parse(replica.URL)
			r.SetURL(target)
			r.SetXForwarded()
		},
	}
}

// start starts a replica as a process would start: with the configuration
// alone.
func (s *site) start(i int) {
	s.t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.redis.Addr, DialTimeout: time.Second, ReadTimeout: 5 * time.Second, MaxRetries: 1})
	opts := ginauth.Options{
		BaseURL: s.URL, Keys: []string{"the key that all replicas of the tests share"}, Providers: []ginauth.Provider{s.idp.Client("demo")},
		Revocations: redisstate.New(client, "app:"), Logger: slog.New(slog.DiscardHandler),
	}
	if s.inStore {
		opts.Sessions = redisStore(s.t, s.redis.Addr, "app:session:", -1)
	}
	engine := gin.New()
	engine.Use(func(c *gin.Context) { c.Header("X-Replica", fmt.Sprint(i+1)) })
	auth := must[*ginauth.Auth](s.t)(ginauth.Mount(engine, opts))
	engine.GET("/", auth.LoadUser(), func(c *gin.Context) {
		if u := ginauth.CurrentUser(c); u != nil {
			c.String(http.StatusOK, "hello, %s", u.Name)
			return
		}
		c.String(http.StatusOK, "hello, whoever you are")
	})
	engine.GET("/me", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, ginauth.CurrentUser(c).Subject) })
	server := httptest.NewServer(engine)
	server.Config.RegisterOnShutdown(func() { client.Close() })
	s.replicas[i].Store(server)
}

// stop kills a replica.
func (s *site) stop(i int) {
	if server := s.replicas[i].Swap(nil); server != nil {
		server.CloseClientConnections()
		server.Close()
	}
}

// at makes the proxy send everything to one replica, 0 to both in turn.
func (s *site) at(replica int) *site {
	s.only.Store(int64(replica))
	return s
}

// me asks who is signed in: a subject, "" for nobody, or a status.
func (s *site) me(b *authtest.Browser) string {
	s.t.Helper()
	p := s.page(b.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", nil, ""))
	switch p.Status {
	case http.StatusOK:
		return p.Text()
	case http.StatusUnauthorized:
		return ""
	}
	return fmt.Sprint(p.Status)
}

func (s *site) page(p *authtest.Page, err error) *authtest.Page {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// everywhere asks both replicas, a few times.
func (s *site) everywhere(b *authtest.Browser, want, when string) {
	s.t.Helper()
	before := s.only.Load()
	defer s.only.Store(before)
	for i := range 4 {
		if got := s.at(1 + i%2).me(b); got != want {
			s.t.Errorf("%s, replica %d says %q; want %q", when, 1+i%2, got, want)
		}
	}
}

func (s *site) signIn(b *authtest.Browser) {
	s.t.Helper()
	p := s.page(b.Get(s.URL + "/login/demo"))
	if p.Status != http.StatusOK || p.Text() != "hello, Ada Lovelace" {
		s.t.Fatalf("the sign-in ended at %s with %d: %s", p.URL.Path, p.Status, p.Text())
	}
}

func (s *site) signOut(b *authtest.Browser) *authtest.Page {
	s.t.Helper()
	b.StopAt = func(next *url.URL) bool { return !strings.HasPrefix(next.String(), s.URL) }
	defer func() { b.StopAt = nil }()
	return s.page(b.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
}

func TestReplicasShareSignIns(t *testing.T) {
	eachHome(t, func(t *testing.T, s *site) {
		s.signIn(s.browser) // with the requests of it at one and the other
		s.everywhere(s.browser, "ada", "after a sign-in at both")
		seen := map[string]int{}
		for range 20 {
			p := s.page(s.browser.Get(s.URL + "/"))
			seen[p.Header.Get("X-Replica")+p.Text()]++
		}
		if seen["1hello, Ada Lovelace"] == 0 || seen["2hello, Ada Lovelace"] == 0 || len(seen) != 2 {
			t.Errorf("the replicas said %v", seen)
		}
		for replica := 1; replica <= 2; replica++ {
			b := s.newBrowser()
			s.at(replica).signIn(b)
			s.everywhere(b, "ada", fmt.Sprintf("after a sign-in at replica %d", replica))
		}
	})
}

func TestReplicasShareSignOuts(t *testing.T) {
	eachHome(t, func(t *testing.T, s *site) {
		for replica := 1; replica <= 2; replica++ {
			s.signIn(s.browser)
			thief, other := s.browser.Clone(), s.newBrowser()
			s.signIn(other)
			s.everywhere(thief, "ada", "before the sign-out")
			s.at(replica).signOut(s.browser)
			s.everywhere(thief, "", "at once after the sign-out, with the cookies from before")
			s.everywhere(s.browser, "", "at once after the sign-out")
			s.everywhere(other, "ada", "in another browser")
			s.at(0)
		}
	})
}

func TestReplicasShareBackChannelLogout(t *testing.T) {
	eachHome(t, func(t *testing.T, s *site) {
		sid := "the provider's session 1"
		s.idp.EditIDToken(func(_, claims map[string]any) { claims["sid"] = sid })
		s.signIn(s.browser)
		sid = "the provider's session 2"
		second := s.newBrowser()
		s.signIn(second)

		s.at(1).backChannel(map[string]any{"sid": "the provider's session 1"})
		s.everywhere(s.browser, "", "after a back-channel logout of its session at replica 1")
		s.everywhere(second, "ada", "after a back-channel logout of another session")
		s.at(2).backChannel(map[string]any{"sub": "ada"})
		s.everywhere(second, "", "after a back-channel logout of the person at replica 2")
	})
}

// backChannel sends what a provider sends when somebody signs out there.
func (s *site) backChannel(about map[string]any) {
	s.t.Helper()
	claims := map[string]any{
		"iss": s.idp.Issuer, "aud": s.idp.ClientID, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": fmt.Sprint(time.Now().UnixNano()),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	for name, value := range about {
		claims[name] = value
	}
	form := url.Values{"logout_token": {s.idp.Sign(map[string]any{"typ": "logout+jwt"}, claims)}}
	response := must[*http.Response](s.t)(http.PostForm(s.URL+"/logout/demo/backchannel", form))
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		s.t.Errorf("the logout token of %v got %s", about, response.Status)
	}
}

func TestASignInSurvivesItsReplica(t *testing.T) {
	eachHome(t, func(t *testing.T, s *site) {
		s.browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.URL+"/authorize/") }
		begun := s.page(s.at(1).browser.Get(s.URL + "/login/demo"))
		s.browser.StopAt = nil
		replay := s.browser.Clone()
		s.stop(0)
		if p := s.page(s.at(2).browser.Follow(begun)); p.Text() != "hello, Ada Lovelace" {
			t.Fatalf("finishing at the other replica ended with %d: %s", p.Status, p.Text())
		}
		s.start(0)
		s.at(1)
		if p := s.page(replay.Follow(begun)); p.Status != http.StatusBadRequest || !strings.Contains(p.Text(), string(ginauth.ErrStateInvalid)) {
			t.Errorf("the same answer of the provider, at the first replica again, got %d: %.300s", p.Status, p.Text())
		}
		s.everywhere(replay, "", "in the browser that came second")
		s.everywhere(s.browser, "ada", "in the browser that came first")
	})
}

func TestSignInsOutliveARestart(t *testing.T) {
	eachHome(t, func(t *testing.T, s *site) {
		s.signIn(s.browser)
		leaver := s.newBrowser()
		s.signIn(leaver)
		thief := leaver.Clone()
		s.signOut(leaver)
		for i := range s.replicas {
			s.stop(i)
			s.everywhereBut(i, "ada")
			s.start(i)
		}
		s.everywhere(s.browser, "ada", "after both were restarted")
		s.everywhere(thief, "", "after both were restarted, with the cookies from before a sign-out")
	})
}

// everywhereBut asks the replica that is still there.
func (s *site) everywhereBut(stopped int, want string) {
	s.t.Helper()
	for range 3 {
		if got := s.at(0).me(s.browser); got != want {
			s.t.Errorf("with replica %d stopped, the other says %q", stopped+1, got)
		}
	}
}

func TestNobodyGetsInWithoutRedis(t *testing.T) {
	eachHome(t, func(t *testing.T, s *site) {
		s.signIn(s.browser)
		leaver := s.newBrowser()
		s.signIn(leaver)
		thief, late := leaver.Clone(), s.newBrowser()
		s.signOut(leaver)
		s.signIn(late)

		s.redis.Stop()
		s.everywhere(s.browser, "503", "without Redis, somebody signed in")
		s.everywhere(s.newBrowser(), "", "without Redis, somebody without a cookie")
		if got := s.me(thief); got != "503" {
			t.Errorf("without Redis, somebody signed out: %q", got)
		}
		p := s.page(s.browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", nil, ""))
		if p.Header.Get("Retry-After") == "" || !strings.Contains(p.Text(), string(ginauth.ErrStoreUnavailable)) {
			t.Errorf("without Redis: %v %s", p.Header, p.Text())
		}
		if p := s.page(s.browser.Get(s.URL + "/")); p.Status != http.StatusOK || p.Text() != "hello, whoever you are" {
			t.Errorf("without Redis, LoadUser: %d %s", p.Status, p.Text())
		}
		if p := s.page(s.newBrowser().Get(s.URL + "/login/demo")); p.Status != http.StatusServiceUnavailable {
			t.Errorf("without Redis, a sign-in ended with %d: %.200s", p.Status, p.Text())
		}
		if p := s.signOut(late); p.Status != http.StatusServiceUnavailable {
			t.Errorf("without Redis, a sign-out ended with %d: that it did not happen must be said", p.Status)
		}

		s.redis.Start()
		s.everywhere(s.browser, "ada", "with Redis back")
		s.everywhere(thief, "", "with Redis back, with the cookies from before a sign-out")
		s.signIn(leaver)
		s.everywhere(leaver, "ada", "with Redis back, after a new sign-in")
		s.signOut(s.browser)
		s.everywhere(s.browser, "", "with Redis back, after a sign-out")
	})
}
