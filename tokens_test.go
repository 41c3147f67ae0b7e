package ginauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// offline returns a site whose sign-ins return refresh tokens, and one such token.
func offline(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) (*sitetest.Site, *oauth2.Token) {
	t.Helper()
	var token *oauth2.Token
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Scopes = []string{"openid", "profile", "offline_access"}
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			token = login.Token
			return nil
		}
		if change != nil {
			change(s, o)
		}
	})
	s.SignIn()
	if token == nil || token.RefreshToken == "" {
		t.Fatalf("the sign-in gave %+v", token)
	}
	return s, token
}

func TestRefresh(t *testing.T) {
	s, first := offline(t, nil)
	second, err := s.Auth.Refresh(t.Context(), "demo", first)
	if err != nil {
		t.Fatal(err)
	}
	if second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken || second.RefreshToken == "" || second.Expiry.Before(s.Clock.Now()) {
		t.Errorf("got %+v after %+v", second, first)
	}
	third, err := s.Auth.Refresh(t.Context(), "demo", &oauth2.Token{RefreshToken: second.RefreshToken}) // as stored in a table
	if err != nil || third.AccessToken == "" {
		t.Errorf("got %+v, %v", third, err)
	}
	// A second use revokes all other tokens, too.
	for _, old := range []*oauth2.Token{second, third} {
		if got, err := s.Auth.Refresh(t.Context(), "demo", old); got != nil || !errors.Is(err, ginauth.ErrStepUpRequired) || !sitetest.HasID(err, "refresh.invalid_grant") {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if u := s.User(); u == nil || u.Subject != "ada" {
		t.Errorf("the session is of %+v", u)
	}
}

// A refresh token that is not rotated stays in the result.
func TestRefreshWithoutRotation(t *testing.T) {
	s, token := offline(t, nil)
	s.IDP.EditToken(func(answer map[string]any) { delete(answer, "refresh_token") })
	if got, err := s.Auth.Refresh(t.Context(), "demo", token); err != nil || got.RefreshToken != token.RefreshToken {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRefreshIsShared(t *testing.T) {
	s, token := offline(t, nil)
	before := s.IDP.Count(authtest.Token)
	arrived, release := make(chan struct{}), make(chan struct{})
	s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		s.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
	const callers = 50
	results := make([]*oauth2.Token, callers)
	var all sync.WaitGroup
	ask := func(i int) {
		defer all.Done()
		got, err := s.Auth.Refresh(t.Context(), "demo", token)
		if err != nil {
			t.Error(err)
			return
		}
		results[i] = got
	}
	all.Add(callers)
	go ask(0)
	<-arrived
	for i := 1; i < callers; i++ {
		go ask(i)
	}
	for waiting := 0; waiting < callers; runtime.Gosched() { // a later one would send another request
		waiting = strings.Count(stacks(), "singleflight.(*Group).Do(")
	}
	close(release)
	all.Wait()
	if n := s.IDP.Count(authtest.Token) - before; n != 1 {
		t.Errorf("%d requests", n)
	}
	seen := map[*oauth2.Token]bool{}
	for _, got := range results {
		if got == nil || got.AccessToken != results[0].AccessToken {
			t.Fatalf("got %+v beside %+v", got, results[0])
		}
		if seen[got] {
			t.Error("two callers have one token to change")
		}
		seen[got] = true
	}
}

// stacks returns the stacks of all goroutines.
func stacks() string {
	b := make([]byte, 8<<20)
	return string(b[:runtime.Stack(b, true)])
}

// The provider has already replaced the token when the caller cancels.
func TestRefreshGoesOnWithoutTheCaller(t *testing.T) {
	s, token := offline(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		s.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
	if got, err := s.Auth.Refresh(ctx, "demo", token); err != nil || got.RefreshToken == token.RefreshToken {
		t.Errorf("got %+v, %v", got, err)
	}
	before := s.IDP.Count(authtest.Token)
	if got, err := s.Auth.Refresh(ctx, "demo", token); got != nil || !errors.Is(err, context.Canceled) || s.IDP.Count(authtest.Token) != before {
		t.Errorf("after the end: %+v, %v", got, err)
	}
}

func TestRefreshFails(t *testing.T) {
	for name, tt := range map[string]struct {
		change   func(s *sitetest.Site, o *ginauth.Options)
		fail     func(s *sitetest.Site)
		provider string
		token    *oauth2.Token
		code     ginauth.Code
		id       string
		kept     bool // the refresh token is valid afterwards
	}{
		"an unknown provider": {provider: "other", code: ginauth.ErrUnknownProvider, id: "provider.unknown", kept: true},
		"a page": {provider: "page", change: func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers = append(o.Providers, ginauth.Provider{Name: "page", Namespace: "https://app.example", LoginPage: "/password"})
		}, code: ginauth.ErrUnknownProvider, id: "provider.page", kept: true},
		"no refresh token": {token: &oauth2.Token{AccessToken: "x"}, code: ginauth.ErrStepUpRequired, id: "refresh.no_token", kept: true},
		"an invented one":  {token: &oauth2.Token{RefreshToken: "x"}, code: ginauth.ErrStepUpRequired, id: "refresh.invalid_grant", kept: true},
		"the provider fails": {fail: func(s *sitetest.Site) { s.IDP.Fail(authtest.Token, authtest.ServerError) },
			code: ginauth.ErrProviderUnavailable, id: "http.status", kept: true},
		"the provider answers with a page": {fail: func(s *sitetest.Site) { s.IDP.Fail(authtest.Token, authtest.HTML) },
			code: ginauth.ErrBadTokenResponse, id: "token.media_type", kept: true},
		"an ID token of another key": {fail: func(s *sitetest.Site) { s.IDP.Fail(authtest.Token, authtest.WrongSignature) },
			code: ginauth.ErrIDTokenInvalid, id: "jwt.signature"},
		"another client secret": {change: func(s *sitetest.Site, o *ginauth.Options) {
			asked := false
			o.Providers[0].ClientSecret, o.Providers[0].ClientSecretFunc = "", func(context.Context) (string, error) {
				if asked {
					return "", errors.New("the vault is sealed")
				}
				asked = true
				return s.IDP.ClientSecret, nil
			}
		}, code: ginauth.ErrProviderMisconfigured, id: "token.client_secret_func"},
		"a function that panics": {change: func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].Quirks.EditToken = func(_, callback url.Values) {
				if callback == nil {
					panic("no callback")
				}
			}
		}, code: ginauth.ErrSessionError, id: "hook.panicked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, token := offline(t, tt.change)
			if tt.fail != nil {
				tt.fail(s)
			}
			asked := tt.token
			if asked == nil {
				asked = token
			}
			provider := tt.provider
			if provider == "" {
				provider = "demo"
			}
			got, err := s.Auth.Refresh(t.Context(), provider, asked)
			if got != nil || !errors.Is(err, tt.code) || !sitetest.HasID(err, tt.id) {
				t.Errorf("got %+v, %v; want %s, %s", got, err, tt.code, tt.id)
			}
			s.IDP.Fail(authtest.Token, "")
			if tt.kept {
				if _, err := s.Auth.Refresh(t.Context(), "demo", token); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			}
		})
	}
	s, _ := offline(t, nil)
	if _, err := s.Auth.Refresh(t.Context(), "demo", nil); !sitetest.HasID(err, "refresh.no_token") {
		t.Errorf("without a token: %v", err)
	}
}

// offlineTokens is a Tokens that is not used.
type offlineTokens struct{ ginauth.Tokens }

// In production, Mount warns about tokens in memory, if any are kept.
func TestTokensInMemoryAreWarnedOf(t *testing.T) {
	apis := []ginauth.API{{URL: "https://api.corp.example/"}}
	for name, tt := range map[string]struct {
		change func(o *ginauth.Options)
		warned bool
	}{
		"with APIs":    {func(o *ginauth.Options) { o.Providers[0].APIs = apis }, true},
		"with Recheck": {func(o *ginauth.Options) { o.Providers[0].Recheck = time.Hour }, true},
		"in a store": {func(o *ginauth.Options) {
			o.Tokens, o.Revocations, o.Providers[0].APIs = new(offlineTokens), new(sitetest.RevocationMap), apis
		}, false},
		"without":     {func(*ginauth.Options) {}, false},
		"on loopback": {func(o *ginauth.Options) { o.BaseURL, o.Providers[0].APIs = "http://localhost:8080", apis }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var lines sitetest.Logs
			opts := sitetest.GoodOptions()
			opts.Logger = lines.Logger()
			tt.change(&opts)
			auth, err := ginauth.Mount(gin.New(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(lines.Lines("WARN", "options.tokens.memory")); (got == 1) != tt.warned || got > 1 {
				t.Errorf("%d warnings: %s", got, &lines)
			}
			said := false
			for _, e := range auth.Diagnose(t.Context()).Warnings {
				said = said || e.ID == "options.tokens.memory"
			}
			if said != tt.warned {
				t.Errorf("Diagnose warns: %t, want %t", said, tt.warned)
			}
		})
	}
}

// A handler passes every error of the client to Fail: the response shows the cause, and that the
// user is signed in.
func TestErrorsOfTheClient(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(slow.Close)
	for name, tt := range map[string]struct {
		address func(s *sitetest.Site) string
		change  func(o *ginauth.Options)
		before  func(s *sitetest.Site)
		status  int
		id      string
		retry   bool // the page offers to try again
		title   string
	}{
		"the API is down": {address: func(*sitetest.Site) string { return closed.URL + "/x" }, status: 502, id: "api.unreachable", retry: true, title: "title.request"},
		"the API is slow": {address: func(*sitetest.Site) string { return slow.URL + "/x" }, change: func(o *ginauth.Options) {
			o.HTTPClient = &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: time.Second}}
		}, status: 504, id: "api.unreachable", retry: true, title: "title.request"},
		"an unknown API":      {address: func(*sitetest.Site) string { return "https://elsewhere.example/x?secret=1" }, status: 500, id: "api.address", title: "title.request"},
		"a path that goes up": {address: func(s *sitetest.Site) string { return s.IDP.Issuer + "/a/..%2Fb" }, status: 500, id: "api.address", title: "title.request"},
		"the provider is down": {address: func(s *sitetest.Site) string { return s.IDP.Issuer + "/x" }, before: func(s *sitetest.Site) {
			s.Clock.Advance(61 * time.Minute)
			s.IDP.Fail(authtest.Token, authtest.ServerError)
		}, status: 502, id: "http.status", retry: true, title: "title.request"},
		"consent is denied": {address: func(s *sitetest.Site) string { return s.IDP.Issuer + "/scoped/x" }, before: func(s *sitetest.Site) {
			s.IDP.EditToken(func(answer map[string]any) { answer["scope"] = "openid" })
		}, status: 403, id: "refresh.scopes_denied", retry: true, title: "title.access"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := offline(t, func(s *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/"}, {URL: s.IDP.Issuer + "/scoped/", Scopes: []string{"groups"}}, {URL: closed.URL + "/"}, {URL: slow.URL + "/"}}
				if tt.change != nil {
					tt.change(o)
				}
			})
			s.Engine.GET("/call", s.Auth.RequireAuth(), func(c *gin.Context) {
				resp, err := s.Auth.Client(c).Get(tt.address(s))
				if err == nil {
					resp.Body.Close()
					t.Errorf("the call ended in %d", resp.StatusCode)
				}
				s.Auth.Fail(c, err)
			})
			if tt.before != nil {
				tt.before(s)
			}
			p := s.Get("/call")
			if p.Status != tt.status || !strings.Contains(s.Logs.String(), "id="+tt.id) {
				t.Errorf("%d, want %d and %s\n%s", p.Status, tt.status, tt.id, s.Logs)
			}
			if strings.Contains(s.Logs.String(), "secret") {
				t.Errorf("the query is in the log: %s", s.Logs)
			}
			text := p.Text()
			if strings.Contains(text, ">"+sitetest.Sentence(t, ginauth.Code("again"))+"</a>") != tt.retry || !strings.Contains(text, "<h1>"+sitetest.Sentence(t, ginauth.Code(tt.title))) {
				t.Errorf("the page is %s", text)
			}
			if s.User() == nil {
				t.Error("the session has ended")
			}
		})
	}
}

// A submitted form cannot be forwarded: the user gets a page that asks for consent.
func TestConsentBeforeAForm(t *testing.T) {
	s, _ := offline(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/", Scopes: []string{"groups"}}}
	})
	s.Engine.POST("/send", s.Auth.RequireAuth(), func(c *gin.Context) {
		_, err := s.Auth.Token(c, s.IDP.Issuer+"/x")
		s.Auth.Fail(c, err)
	})
	p := s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/send", nil))
	if p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), sitetest.Sentence(t, ginauth.Code("consent.title"))) ||
		!strings.Contains(p.Text(), ">"+sitetest.Sentence(t, ginauth.Code("continue"))+"</a>") {
		t.Errorf("%d %s", p.Status, p.Text())
	}
}

// The reason for the redirect is in the log and in the handler's error: a token that lacks
// scopes has not expired.
func TestWhyAPersonIsSentToTheProvider(t *testing.T) {
	for name, tt := range map[string]struct {
		scopes []string
		before func(s *sitetest.Site)
		path   string
		id     string
	}{
		"scopes are missing, with a refresh token":    {scopes: []string{"openid", "offline_access"}, path: "/scoped/x", id: "refresh.consent"},
		"scopes are missing, without one":             {scopes: []string{"openid"}, path: "/scoped/x", id: "refresh.scopes_missing"},
		"the token has ended":                         {scopes: []string{"openid"}, before: func(s *sitetest.Site) { s.Clock.Advance(61 * time.Minute) }, path: "/x", id: "refresh.no_token"},
		"the refresh token has ended":                 {scopes: []string{"openid", "offline_access"}, before: func(s *sitetest.Site) { s.Clock.Advance(61 * time.Minute); s.IDP.RevokeRefreshTokens() }, path: "/x", id: "refresh.invalid_grant"},
		"the token has ended, and scopes are missing": {scopes: []string{"openid"}, before: func(s *sitetest.Site) { s.Clock.Advance(61 * time.Minute) }, path: "/scoped/x", id: "refresh.no_token"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].Scopes = tt.scopes
				o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/"}, {URL: s.IDP.Issuer + "/scoped/", Scopes: []string{"groups"}}}
			})
			s.SignIn()
			if tt.before != nil {
				tt.before(s)
			}
			var got error
			s.Engine.GET("/token", s.Auth.RequireAuth(), func(c *gin.Context) { _, got = s.Auth.Token(c, s.IDP.Issuer+tt.path) })
			s.Get("/token")
			if !errors.Is(got, ginauth.ErrStepUpRequired) || !sitetest.HasID(got, tt.id) {
				t.Errorf("got %v, want %s", got, tt.id)
			}
		})
	}
}

// The token contains its scopes, as in golang.org/x/oauth2.
func TestTokenHasItsScopes(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Scopes = []string{"openid", "groups"}
		o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/"}}
	})
	s.SignIn()
	var got *oauth2.Token
	s.Engine.GET("/token", s.Auth.RequireAuth(), func(c *gin.Context) { got, _ = s.Auth.Token(c, s.IDP.Issuer+"/x") })
	s.Get("/token")
	if got == nil || got.Extra("scope") != "openid groups" || got.RefreshToken != "" {
		t.Errorf("got %+v", got)
	}
}

// A sign-out that cannot reach the store logs it: the tokens stay in the store.
func TestSignOutWhileTheTokensAreOutOfReach(t *testing.T) {
	store := &failingTokens{}
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/"}}
		o.Tokens, o.Revocations = store, sharedMarks{ginauth.NewMemoryRevocations(nil)}
	})
	s.SignIn()
	store.fail.Store(true)
	s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
	if s.User() != nil {
		t.Error("the session is still there")
	}
	for len(s.Logs.Lines("WARN", "store.tokens_left")) == 0 { // it runs in the background
		runtime.Gosched()
	}
}

// failingTokens is a store in memory that fails on demand.
type failingTokens struct {
	mu     sync.Mutex
	values map[ginauth.RevocationKey][]byte
	fail   atomic.Bool
}

// sharedMarks are revocations in memory that Mount does not recognize as such.
type sharedMarks struct{ ginauth.Revocations }

func (f *failingTokens) Load(_ context.Context, key ginauth.RevocationKey) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail.Load() {
		return nil, errors.New("gone")
	}
	return f.values[key], nil
}

func (f *failingTokens) Swap(_ context.Context, key ginauth.RevocationKey, _, next []byte, _ time.Duration) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail.Load() {
		return false, errors.New("gone")
	}
	if f.values == nil {
		f.values = map[ginauth.RevocationKey][]byte{}
	}
	f.values[key] = next
	return true, nil
}
