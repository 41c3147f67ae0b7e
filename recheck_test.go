package ginauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// recheckSite is a site that rechecks users every 15 minutes, with refresh tokens. A POST to
// /recheck rechecks immediately, and responds with the user.
func recheckSite(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) *sitetest.Site {
	t.Helper()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Scopes = []string{"openid", "profile", "email", "offline_access"}
		o.Providers[0].Recheck = 15 * time.Minute
		if change != nil {
			change(s, o)
		}
	})
	s.Engine.POST("/recheck", func(c *gin.Context) {
		if err := s.Auth.Recheck(c); err != nil {
			s.Auth.Fail(c, err)
			return
		}
		c.JSON(http.StatusOK, ginauth.CurrentUser(c))
	})
	return s
}

// becomes changes the user's claims at the provider.
func becomes(s *sitetest.Site, claims map[string]any) {
	edit := func(sent map[string]any) {
		for name, value := range claims {
			sitetest.Put(sent, name, value)
		}
	}
	s.IDP.EditIDToken(func(_, sent map[string]any) { edit(sent) })
	s.IDP.EditUserinfo(edit)
}

// wantTokenRequests checks the number of requests to the token endpoint.
func wantTokenRequests(t *testing.T, s *sitetest.Site, n int) {
	t.Helper()
	if got := s.IDP.Count(authtest.Token); got != n {
		t.Errorf("%d token requests, want %d\n%s", got, n, s.Logs)
	}
}

func recheckDue(s *sitetest.Site) { s.Clock.Advance(15*time.Minute + time.Second) }

func TestRecheckRenewsTheUser(t *testing.T) {
	for name, change := range map[string]func(s *sitetest.Site, o *ginauth.Options){
		"in a cookie": nil,
		"in a store":  func(_ *sitetest.Site, o *ginauth.Options) { o.Sessions = cookie.NewStore([]byte(sitetest.Key)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := recheckSite(t, func(s *sitetest.Site, o *ginauth.Options) {
				o.KeepClaims = []string{"department"}
				o.Providers[0].AuthParams = map[string]string{"max_age": "86400"}
				s.IDP.AuthenticateWith("mfa")
				if change != nil {
					change(s, o)
				}
			})
			var departments []string
			s.Guard("/set", func(c *gin.Context) {
				if err := s.Auth.Update(c, func(u *ginauth.User) { u.Data["cart"] = "3" }); err != nil {
					t.Error(err)
				}
			})
			s.Guard("/department", func(c *gin.Context) {
				claims, err := ginauth.Claims[struct{ Department string }](c)
				if err != nil {
					t.Error(err)
				}
				departments = append(departments, claims.Department)
			})
			becomes(s, map[string]any{"department": "engines"})
			s.SignIn()
			s.Get("/set")
			s.Get("/department")
			before := s.User()
			becomes(s, map[string]any{"department": "numbers", "name": "Ada King", "email": "king@example.com", "email_verified": false, "groups": []string{"staff"}, "acr": "other", "locale": nil})
			s.Clock.Advance(14 * time.Minute)
			if u := s.User(); u.Name != "Ada Lovelace" {
				t.Errorf("before its time: %+v", u)
			}
			wantTokenRequests(t, s, 1)
			recheckDue(s)
			u := s.User()
			s.Get("/department")
			wantTokenRequests(t, s, 2)
			if u == nil || u.Name != "Ada King" || u.Email != "king@example.com" || u.EmailVerified || !slices.Equal(u.Groups, []string{"staff"}) || u.Locale != "" || u.Username != "ada" {
				t.Errorf("the user is %+v", u)
			}
			if u.ID() != before.ID() || u.Provider != before.Provider || !u.AuthTime.Equal(before.AuthTime) || u.ACR != "mfa" || u.Data["cart"] != "3" {
				t.Errorf("what must stay is not there: %+v after %+v", u, before)
			}
			if !slices.Equal(departments, []string{"engines", "numbers"}) {
				t.Errorf("the departments are %q", departments)
			}
			if p := s.Open("/admin"); p.Status != http.StatusForbidden {
				t.Errorf("who was an admin gets %d", p.Status)
			}
			becomes(s, map[string]any{"groups": nil})
			s.Clock.Advance(14 * time.Minute)
			s.User()
			wantTokenRequests(t, s, 2)
			recheckDue(s)
			if u := s.User(); u == nil || len(u.Groups) != 0 {
				t.Errorf("without groups: %+v", u)
			}
			wantTokenRequests(t, s, 3)
		})
	}
}

// The result of one request's recheck is reused by another without a query: by a second tab with
// the old cookie, or by the same tab if the response was lost.
func TestRecheckOutcomeIsTakenByOthers(t *testing.T) {
	s := recheckSite(t, nil)
	s.Guard("/set", func(c *gin.Context) {
		if err := s.Auth.Update(c, func(u *ginauth.User) { u.Data["cart"] = c.Query("cart") }); err != nil {
			t.Error(err)
		}
	})
	s.SignIn()
	s.Get("/set?cart=three")
	old := s.CookieHeader()
	s.Get("/set?cart=four")
	becomes(s, map[string]any{"name": "Ada King"})
	recheckDue(s)
	s.User()
	wantTokenRequests(t, s, 2)
	s.Clock.Advance(10 * time.Minute)
	p := getWith(t, s, s.URL, old)
	if !strings.Contains(p.body, "Ada King") || !strings.Contains(p.body, `"cart":"three"`) || !strings.Contains(p.cookies, "ginauth") {
		t.Errorf("the second tab gets %s with %q", p.body, p.cookies)
	}
	wantTokenRequests(t, s, 2)
	s.Clock.Advance(6 * time.Minute)
	getWith(t, s, s.URL, old) // by now the result is outdated, too
	wantTokenRequests(t, s, 3)
}

type answer struct {
	status        int
	body, cookies string
}

// getWith requests /me with a cookie, without a browser.
func getWith(t *testing.T, s *sitetest.Site, base, cookie string) answer {
	t.Helper()
	r, err := http.NewRequest("GET", base+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	defer resp.Body.Close()
	var body strings.Builder
	if err := resp.Write(&body); err != nil {
		t.Error(err)
	}
	return answer{resp.StatusCode, body.String(), strings.Join(resp.Header["Set-Cookie"], "\n")}
}

// sharedTokens is a store for several replicas.
type sharedTokens struct {
	mu     sync.Mutex
	values map[ginauth.RevocationKey]string
}

func (s *sharedTokens) Load(_ context.Context, key ginauth.RevocationKey) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, there := s.values[key]; there {
		return []byte(v), nil
	}
	return nil, nil
}

func (s *sharedTokens) Swap(_ context.Context, key ginauth.RevocationKey, old, next []byte, _ time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values[key] != string(old) {
		return false, nil
	}
	if s.values[key] = string(next); next == nil {
		delete(s.values, key)
	}
	return true, nil
}

type sharedRevocations struct{ ginauth.Revocations }

// twoReplicas is a site with a signed-in user, and another replica of it.
func twoReplicas(t *testing.T, hook func(context.Context, *ginauth.Login) error) (s, other *sitetest.Site) {
	t.Helper()
	tokens := &sharedTokens{values: map[ginauth.RevocationKey]string{}}
	var shared ginauth.Revocations
	var list []ginauth.Provider
	s = recheckSite(t, func(s *sitetest.Site, o *ginauth.Options) {
		shared = sharedRevocations{ginauth.NewMemoryRevocations(s.Clock.Now)}
		o.Tokens, o.Revocations, o.Hooks.OnRecheck = tokens, shared, hook
		list = o.Providers
	})
	other = s.Replica(func(o *ginauth.Options) {
		o.Providers, o.Tokens, o.Revocations, o.Hooks.OnRecheck = list, tokens, shared, hook
	})
	s.SignIn()
	return s, other
}

func TestReplicasRecheckOnce(t *testing.T) {
	var hooks atomic.Int64
	s, other := twoReplicas(t, func(context.Context, *ginauth.Login) error { hooks.Add(1); return nil })
	old := s.CookieHeader()
	for i := range 3 {
		recheckDue(s)
		var all sync.WaitGroup
		for j := range 40 {
			at := []string{s.URL, other.URL}[j%2]
			all.Go(func() {
				if got := getWith(t, s, at, old); got.status != http.StatusOK {
					t.Errorf("status %d", got.status)
				}
			})
		}
		all.Wait()
		wantTokenRequests(t, s, i+2)
		if n := hooks.Load(); n != int64(i+1) {
			t.Errorf("OnRecheck was called %d times", n)
		}
	}
}

// While one request rechecks, the session's other requests continue for a while without waiting;
// later they wait.
func TestOthersGoOnWhileOneRechecks(t *testing.T) {
	for name, tt := range map[string]struct {
		overdue bool
		at      authtest.Endpoint // the endpoint that is slow
	}{"a moment": {false, authtest.Token}, "later": {true, authtest.Token}, "later, for the profile": {true, authtest.Userinfo}} {
		t.Run(name, func(t *testing.T) {
			s, other := twoReplicas(t, nil)
			old := s.CookieHeader()
			becomes(s, map[string]any{"name": "Ada King"})
			s.IDP.Fail(authtest.Token, authtest.NoIDToken)
			if recheckDue(s); tt.overdue {
				s.Clock.Advance(31 * time.Second)
			}
			arrived, release := make(chan struct{}), make(chan struct{})
			s.IDP.Handle(tt.at, func(w http.ResponseWriter, r *http.Request) {
				close(arrived)
				<-release
				s.IDP.Default(tt.at).ServeHTTP(w, r)
			})
			var all sync.WaitGroup
			ask := func(at, want string) {
				all.Go(func() {
					if got := getWith(t, s, at, old); got.status != http.StatusOK || !strings.Contains(got.body, want) {
						t.Errorf("%d %s, want %s", got.status, got.body, want)
					}
				})
			}
			ask(s.URL, "Ada King")
			<-arrived
			if !tt.overdue {
				for _, at := range []string{s.URL, other.URL} {
					if got := getWith(t, s, at, old); got.status != http.StatusOK || !strings.Contains(got.body, "Ada Lovelace") {
						t.Errorf("%d %s", got.status, got.body)
					}
				}
				close(release)
				all.Wait()
				wantTokenRequests(t, s, 2)
				return
			}
			ask(s.URL, "Ada King")
			ask(other.URL, "Ada King")
			for waiting := 0; waiting < 3; runtime.Gosched() { // the first rechecks, and the other two wait
				waiting = strings.Count(stacks(), "ginauth.(*tokenKeeper).recheck(")
			}
			close(release)
			all.Wait()
			wantTokenRequests(t, s, 2)
		})
	}
}

// OnRecheck has the claims also where no other hook reads them.
func TestOnRecheckAloneReadsClaims(t *testing.T) {
	t.Parallel()
	var asked int
	var err error
	s := recheckSite(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnRecheck = func(_ context.Context, login *ginauth.Login) error {
			asked++
			err = readsClaims(login)
			return nil
		}
	})
	s.SignIn()
	recheckDue(s)
	if s.User() == nil || asked != 1 || err != nil {
		t.Errorf("%d questions, %v\n%s", asked, err, s.Logs)
	}
}

func TestOnRecheck(t *testing.T) {
	secret := errors.New("left the company")
	for name, tt := range map[string]struct {
		hook  func(login *ginauth.Login) error
		user  bool // the session continues
		id    string
		check func(t *testing.T, u *ginauth.User)
	}{
		"adds groups and data": {func(login *ginauth.Login) error {
			login.User.Groups = append(login.User.Groups, "billing")
			login.User.Data["seen"] = "yes"
			return nil
		}, true, "", func(t *testing.T, u *ginauth.User) {
			if !slices.Equal(u.Groups, []string{"admin", "staff", "billing"}) || u.Data["seen"] != "yes" || u.Data["from"] != "OnLogin" {
				t.Errorf("the user is %+v", u)
			}
		}},
		"is another person": {func(login *ginauth.Login) error {
			*login.User = ginauth.User{Provider: "x", Issuer: "y", Subject: "eve", AuthTime: time.Unix(1, 0), ACR: "mfa", Name: "Eve"}
			return nil
		}, true, "", func(t *testing.T, u *ginauth.User) {
			if u.Subject != "ada" || u.Provider != "demo" || u.Issuer == "y" || u.ACR == "mfa" || u.AuthTime.Unix() == 1 || u.Name != "Eve" {
				t.Errorf("the user is %+v", u)
			}
		}},
		"refuses":             {func(*ginauth.Login) error { return secret }, false, "hook.on_recheck_refused", nil},
		"refuses by a code":   {func(*ginauth.Login) error { return ginauth.ErrForbidden }, false, "hook.on_recheck_refused", nil},
		"has no user for it":  {func(*ginauth.Login) error { return ginauth.ErrUnauthenticated }, false, "hook.on_recheck_refused", nil},
		"wants another trip":  {func(login *ginauth.Login) error { return ginauth.MaxAge(time.Minute)(login.User) }, false, "check.other_user", nil},
		"cannot decide":       {func(*ginauth.Login) error { return ginauth.ErrStoreUnavailable }, true, "recheck.put_off", nil},
		"cannot ask":          {func(*ginauth.Login) error { return &ginauth.Error{Code: ginauth.ErrProviderUnavailable} }, true, "recheck.put_off", nil},
		"times out":           {func(*ginauth.Login) error { return context.DeadlineExceeded }, true, "recheck.put_off", nil},
		"panics":              {func(*ginauth.Login) error { panic(secret) }, true, "recheck.put_off", nil},
		"forgets the user":    {func(login *ginauth.Login) error { login.User = nil; return nil }, true, "recheck.put_off", nil},
		"changes nothing":     {func(*ginauth.Login) error { return nil }, true, "", nil},
		"reads all claims":    {func(login *ginauth.Login) error { return readsClaims(login) }, true, "", nil},
		"has an access token": {func(login *ginauth.Login) error { return hasToken(login) }, true, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			var by []ginauth.EventBy
			s := recheckSite(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
					login.User.Data["from"] = "OnLogin"
					login.User.Groups = append(login.User.Groups, "of OnLogin")
					return nil
				}
				o.Hooks.OnRecheck = func(_ context.Context, login *ginauth.Login) error {
					asked++
					return tt.hook(login)
				}
				o.Hooks.OnEvent = func(_ context.Context, e ginauth.Event) {
					if e.Name == ginauth.SessionsRevoked {
						by = append(by, e.By)
					}
				}
			})
			s.SignIn()
			recheckDue(s)
			u := s.User()
			if (u != nil) != tt.user || asked != 1 {
				t.Fatalf("the user is %+v after %d questions\n%s", u, asked, s.Logs)
			}
			if tt.id != "" {
				sitetest.WantID(t, s.Logs.String(), tt.id)
			}
			if !tt.user && !slices.Equal(by, []ginauth.EventBy{ginauth.ByApplication}) {
				t.Errorf("the session was ended by %q", by)
			}
			if tt.check != nil {
				tt.check(t, u)
			}
			if tt.id == "recheck.put_off" {
				s.User()
				s.Clock.Advance(29 * time.Second)
				s.User()
				if asked != 1 {
					t.Errorf("called %d times", asked)
				}
				s.Clock.Advance(3 * time.Second)
				s.User()
				if asked != 2 {
					t.Errorf("called %d times", asked)
				}
				wantTokenRequests(t, s, 3)
			}
		})
	}
}

func readsClaims(login *ginauth.Login) error {
	var claims struct {
		Iss string
		Sid string
	}
	if err := login.User.Claims(&claims); err != nil || claims.Iss == "" || claims.Sid == "" {
		return errors.New("there are no claims")
	}
	return nil
}

func hasToken(login *ginauth.Login) error {
	t := login.Token
	if t == nil || t.AccessToken == "" || t.RefreshToken != "" || !login.Renewal || login.Previous != nil {
		return errors.New("the token is not what it should be")
	}
	return nil
}

// A failure for one user does not postpone the rechecks of others.
func TestOnRecheckThatFailsPutsOffOneSession(t *testing.T) {
	asked := map[string]int{}
	s := recheckSite(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnRecheck = func(_ context.Context, login *ginauth.Login) error {
			if asked[login.User.Subject]++; login.User.Subject == "ada" {
				panic("no")
			}
			return nil
		}
	})
	s.SignIn()
	grace := s.NewBrowser()
	s.IDP.SignInAs("grace")
	s.Must(grace.Get(s.URL + "/login/demo"))
	recheckDue(s)
	s.User()
	s.UserOf(grace)
	if asked["ada"] != 1 || asked["grace"] != 1 {
		t.Errorf("asked %v", asked)
	}
}

// Without a refresh token and a profile, no recheck is possible: the session is short.
func TestSessionsThatCannotBeRecheckedAreShort(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(o *ginauth.Options)
		short  bool
	}{
		"nothing to ask": {func(o *ginauth.Options) {
			o.Providers[0].Userinfo, o.Providers[0].Scopes = "never", []string{"openid"}
		}, true},
		"a refresh token": {func(o *ginauth.Options) { o.Providers[0].Userinfo = "never" }, false},
		"a profile":       {func(o *ginauth.Options) { o.Providers[0].Scopes = []string{"openid"} }, false},
		"no Recheck": {func(o *ginauth.Options) {
			p := &o.Providers[0]
			p.Recheck, p.Userinfo, p.Scopes, p.APIs = 0, "never", []string{"openid"}, []ginauth.API{{URL: "https://api.example.com/"}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := recheckSite(t, func(_ *sitetest.Site, o *ginauth.Options) { tt.change(o) })
			s.SignIn()
			recheckDue(s)
			if u := s.User(); (u == nil) != tt.short {
				t.Errorf("the user is %+v\n%s", u, s.Logs)
			}
		})
	}
}

// Sessions without tokens are not rechecked: those of SignIn, and those from before Recheck was
// set.
func TestSessionsWithoutTokensAreNotRechecked(t *testing.T) {
	s := recheckSite(t, nil)
	s.As("ada")
	recheckDue(s)
	if u := s.User(); u == nil {
		t.Error("the session of SignIn has ended")
	}
	s = recheckSite(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Recheck = 0 })
	s.SignIn()
	p := sitetest.Client("demo", s.IDP)
	p.Recheck = time.Minute
	s.SetProviders(p)
	recheckDue(s)
	if u := s.User(); u == nil {
		t.Error("the session from before has ended")
	}
	wantTokenRequests(t, s, 1)
}

func TestRecheckNow(t *testing.T) {
	ask := func(s *sitetest.Site) *authtest.Page { return s.Ask("POST", "/recheck", sitetest.Fetch...) }
	t.Run("renews the user", func(t *testing.T) {
		s := recheckSite(t, nil)
		s.SignIn()
		becomes(s, map[string]any{"name": "Ada King"})
		if p := ask(s); p.Status != http.StatusOK || !strings.Contains(p.Text(), "Ada King") {
			t.Errorf("%d %s", p.Status, p.Text())
		}
		if u := s.User(); u == nil || u.Name != "Ada King" {
			t.Errorf("afterwards: %+v", u)
		}
		wantTokenRequests(t, s, 2)
		ask(s)
		wantTokenRequests(t, s, 3)
		s.Clock.Advance(14 * time.Minute) // the interval began again
		s.User()
		wantTokenRequests(t, s, 3)
	})
	t.Run("with APIs alone", func(t *testing.T) {
		s := recheckSite(t, func(s *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].Recheck, o.Providers[0].APIs = 0, []ginauth.API{{URL: s.IDP.Issuer + "/"}}
			other := sitetest.Client("other", s.IDP) // which makes the guard check sessions for a recheck
			other.ClientID, other.Recheck = "another", time.Minute
			o.Providers = append(o.Providers, other)
		})
		s.Get("/login/demo")
		if p := ask(s); p.Status != http.StatusOK {
			t.Errorf("%d %s", p.Status, p.Text())
		}
		wantTokenRequests(t, s, 2)
		recheckDue(s)
		s.User()
		wantTokenRequests(t, s, 2)
	})
	t.Run("refused", func(t *testing.T) {
		s := recheckSite(t, nil)
		s.SignIn()
		var got error
		var user *ginauth.User
		s.Engine.GET("/now", s.Auth.RequireAuth(), func(c *gin.Context) {
			got, user = s.Auth.Recheck(c), ginauth.CurrentUser(c)
		})
		s.IDP.RevokeRefreshTokens()
		s.Clock.Advance(2 * time.Minute)
		copied := s.CookieHeader()
		p := s.Ask("GET", "/now", sitetest.Fetch...)
		if !strings.Contains(strings.Join(p.Header["Set-Cookie"], "\n"), "Path=/logout") { // removes the ID token for the sign-out
			t.Errorf("the cookies are %q", p.Header["Set-Cookie"])
		}
		if !errors.Is(got, ginauth.ErrUnauthenticated) || !sitetest.HasID(got, "recheck.token_ended") || user != nil {
			t.Errorf("%v, and the user is %+v", got, user)
		}
		if s.CookieHeader() == copied || s.User() != nil || getWith(t, s, s.URL, copied).status != http.StatusUnauthorized {
			t.Error("the session is still there")
		}
	})
	for name, tt := range map[string]struct {
		change func(s *sitetest.Site, o *ginauth.Options)
		before func(s *sitetest.Site)
		header []string
		code   ginauth.Code
		user   bool // is still signed in
	}{
		"nobody is signed in": {before: func(s *sitetest.Site) { s.Browser = s.NewBrowser() }, code: ginauth.ErrUnauthenticated},
		"another origin":      {header: []string{"Origin", "https://evil.example"}, code: ginauth.ErrCrossOrigin, user: true},
		"a credential": {change: func(s *sitetest.Site, o *ginauth.Options) {
			o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
				if c.GetHeader("X-Key") == "" {
					return nil, nil
				}
				return &ginauth.User{Provider: "demo", Subject: "robot"}, nil
			}
		}, header: []string{"X-Key", "1"}, code: ginauth.ErrBadRequest, user: true},
		"no tokens are kept": {change: func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Recheck = 0 }, code: ginauth.ErrInvalidOptions, user: true},
		"the provider is down": {before: func(s *sitetest.Site) { s.IDP.Fail(authtest.Token, authtest.Down) },
			code: ginauth.ErrProviderUnavailable, user: true},
		"OnRecheck cannot decide": {change: func(_ *sitetest.Site, o *ginauth.Options) {
			o.Hooks.OnRecheck = func(context.Context, *ginauth.Login) error { return ginauth.ErrStoreUnavailable }
		}, code: ginauth.ErrStoreUnavailable, user: true},
		"the access token has expired": {change: func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].Scopes, o.Providers[0].Recheck = []string{"openid", "profile"}, 2*time.Hour
		}, before: func(s *sitetest.Site) { s.Clock.Advance(61 * time.Minute) }, code: ginauth.ErrStepUpRequired, user: true},
		"a session of SignIn": {before: func(s *sitetest.Site) { s.As("grace") }, code: ginauth.ErrStepUpRequired, user: true},
		"another person": {before: func(s *sitetest.Site) {
			s.Clock.Advance(2 * time.Minute)
			becomes(s, map[string]any{"sub": "eve"})
		}, code: ginauth.ErrUnauthenticated},
		"refused within the first minute": {before: func(s *sitetest.Site) { s.IDP.RevokeRefreshTokens() }, code: ginauth.ErrIdentityRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := recheckSite(t, tt.change)
			s.SignIn()
			if tt.before != nil {
				tt.before(s)
			}
			header := sitetest.Fetch
			if tt.header != nil {
				header = tt.header
			}
			s.WantError(s.Ask("POST", "/recheck", header...), tt.code)
			if u := s.User(); (u != nil) != tt.user {
				t.Errorf("the user is %+v\n%s", u, s.Logs)
			}
		})
	}
	t.Run("the answer is written", func(t *testing.T) {
		s := recheckSite(t, nil)
		s.SignIn()
		s.Engine.GET("/late", s.Auth.RequireAuth(), func(c *gin.Context) {
			c.String(http.StatusOK, "written")
			if err := s.Auth.Recheck(c); !sitetest.HasID(err, "session.answer_written") {
				t.Errorf("got %v", err)
			}
		})
		s.Get("/late")
		wantTokenRequests(t, s, 1)
	})
	// A page that rechecks at each load must not redirect the user to the provider repeatedly.
	t.Run("a moment after a sign-in that leaves nothing to ask", func(t *testing.T) {
		s := recheckSite(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].Userinfo, o.Providers[0].Scopes = "never", []string{"openid"}
		})
		s.SignIn()
		if p := ask(s); p.Status != http.StatusOK {
			t.Errorf("%d %s", p.Status, p.Text())
		}
		s.Clock.Advance(11 * time.Second)
		s.WantError(ask(s), ginauth.ErrStepUpRequired)
	})
}

// The result of a recheck is not applied if the session has ended or the provider was replaced
// in the meantime.
func TestRecheckOfWhatHasChangedMeanwhile(t *testing.T) {
	t.Run("a sign-out", func(t *testing.T) {
		revoked := make(chan string, 1)
		s := recheckSite(t, nil)
		s.SignIn()
		id := s.User().ID()
		recheckDue(s)
		s.IDP.Handle(authtest.Revoke, func(w http.ResponseWriter, r *http.Request) {
			s.IDP.Default(authtest.Revoke).ServeHTTP(w, r)
			revoked <- r.PostForm.Get("token")
		})
		s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
			if err := s.Auth.LogoutEverywhere(t.Context(), id); err != nil {
				t.Error(err)
			}
			s.IDP.Default(authtest.Token).ServeHTTP(w, r)
		})
		if u := s.User(); u != nil {
			t.Errorf("the user is %+v", u)
		}
		if token := <-revoked; !strings.Contains(string(s.IDP.LastRequest(authtest.Token).Answer), token) {
			t.Errorf("revoked %q", token)
		}
	})
	t.Run("a sign-out while OnRecheck decides", func(t *testing.T) {
		var s *sitetest.Site
		s = recheckSite(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Hooks.OnRecheck = func(ctx context.Context, login *ginauth.Login) error {
				return s.Auth.LogoutEverywhere(ctx, login.User.ID())
			}
		})
		s.SignIn()
		recheckDue(s)
		if u := s.User(); u != nil {
			t.Errorf("the user is %+v", u)
		}
	})
	t.Run("other providers", func(t *testing.T) {
		var s *sitetest.Site
		var p ginauth.Provider
		s = recheckSite(t, func(_ *sitetest.Site, o *ginauth.Options) { p = o.Providers[0] })
		s.SignIn()
		recheckDue(s)
		becomes(s, map[string]any{"name": "Ada King"})
		s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
			p.VerifyClaims = func(map[string]any) error { return errors.New("no more") }
			s.SetProviders(p)
			s.IDP.Default(authtest.Token).ServeHTTP(w, r)
		})
		if u := s.User(); u == nil || u.Name != "Ada Lovelace" {
			t.Errorf("the user is %+v", u)
		}
		s.IDP.Handle(authtest.Token, nil)
		if u := s.User(); u != nil { // the new rule was applied
			t.Errorf("the user is %+v", u)
		}
		wantTokenRequests(t, s, 3)
	})
}

// The name, which Apple sends only with the first sign-in, is not lost.
func TestRecheckKeepsTheNameFromTheCallback(t *testing.T) {
	s := recheckSite(t, func(s *sitetest.Site, o *ginauth.Options) {
		becomes(s, map[string]any{"name": nil})
		o.Providers[0].Userinfo = "never"
		o.Providers[0].NameFromCallback = func(callback url.Values) string {
			if callback == nil {
				t.Error("called without a callback")
			}
			return "Ada of the callback"
		}
	})
	s.SignIn()
	recheckDue(s)
	if u := s.User(); u == nil || u.Name != "Ada of the callback" {
		t.Errorf("the user is %+v", u)
	}
	wantTokenRequests(t, s, 2)
}

// A renewed session that does not fit into its cookies must not continue with the old groups.
func TestRecheckThatMakesTheSessionTooLarge(t *testing.T) {
	s := recheckSite(t, nil)
	s.SignIn()
	var many []string
	for i := range 2000 {
		many = append(many, strings.Repeat("g", 8)+string(rune('a'+i%26)))
	}
	becomes(s, map[string]any{"groups": many})
	recheckDue(s)
	s.WantError(s.Ask("GET", "/me", sitetest.Fetch...), ginauth.ErrSessionError)
}

// Setting only one of the two hooks is probably a mistake, and Mount warns about it.
func TestOneOfOnLoginAndOnRecheckIsWarnedOf(t *testing.T) {
	onLogin := func(*gin.Context, *ginauth.Login) error { return nil }
	onRecheck := func(context.Context, *ginauth.Login) error { return nil }
	for name, tt := range map[string]struct {
		change func(o *ginauth.Options)
		warned string // id
	}{
		"OnLogin alone":   {func(o *ginauth.Options) { o.Providers[0].Recheck, o.Hooks.OnLogin = time.Hour, onLogin }, "options.hooks.on_recheck"},
		"OnRecheck alone": {func(o *ginauth.Options) { o.Providers[0].Recheck, o.Hooks.OnRecheck = time.Hour, onRecheck }, "options.hooks.on_login"},
		"both": {func(o *ginauth.Options) {
			o.Providers[0].Recheck, o.Hooks.OnLogin, o.Hooks.OnRecheck = time.Hour, onLogin, onRecheck
		}, ""},
		"neither":                   {func(o *ginauth.Options) { o.Providers[0].Recheck = time.Hour }, ""},
		"no Recheck":                {func(o *ginauth.Options) { o.Hooks.OnLogin = onLogin }, ""},
		"no Recheck, and OnRecheck": {func(o *ginauth.Options) { o.Hooks.OnRecheck = onRecheck }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var lines sitetest.Logs
			opts := sitetest.GoodOptionsWith(tt.change)
			opts.Logger = lines.Logger()
			if _, err := ginauth.Mount(gin.New(), opts); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"options.hooks.on_recheck", "options.hooks.on_login"} {
				want := 0
				if id == tt.warned {
					want = 1
				}
				if got := len(lines.Lines("WARN", id)); got != want {
					t.Errorf("%d warnings %s, want %d: %s", got, id, want, &lines)
				}
			}
		})
	}
}
