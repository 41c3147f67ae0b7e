package ginauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// offline is a site whose sign-ins give refresh tokens, and one of those.
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
	third, err := s.Auth.Refresh(t.Context(), "demo", &oauth2.Token{RefreshToken: second.RefreshToken}) // what a table keeps
	if err != nil || third.AccessToken == "" {
		t.Errorf("got %+v, %v", third, err)
	}
	// Used a second time, it takes all others with it.
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
	for waiting := 0; waiting < callers; runtime.Gosched() { // one that comes later asks anew
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

// stacks is what all goroutines are doing.
func stacks() string {
	b := make([]byte, 8<<20)
	return string(b[:runtime.Stack(b, true)])
}

// The provider has replaced the token by the time that the caller hangs up.
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
		kept     bool // the refresh token is good afterwards
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

// Tokens in memory are warned of in production, if any are kept.
func TestTokensInMemoryAreWarnedOf(t *testing.T) {
	apis := []ginauth.API{{URL: "https://api.corp.example/"}}
	for name, tt := range map[string]struct {
		change func(o *ginauth.Options)
		warned bool
	}{
		"with APIs":    {func(o *ginauth.Options) { o.Providers[0].APIs = apis }, true},
		"with Recheck": {func(o *ginauth.Options) { o.Providers[0].Recheck = time.Hour }, true},
		"without":      {func(*ginauth.Options) {}, false},
		"on loopback":  {func(o *ginauth.Options) { o.BaseURL, o.Providers[0].APIs = "http://localhost:8080", apis }, false},
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
