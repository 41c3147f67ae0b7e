package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func showUser(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"user": ginauth.CurrentUser(c)}) }

// With Authenticate set, LoadUser in front could mark the request so that a guard behind it
// treats it as a request without a credential, and reads the cookie.
func TestBearerLoadUserAndAuthenticateLeaveTheCookieAlone(t *testing.T) {
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(*gin.Context) (*ginauth.User, error) { return nil, nil }
	})
	b.Engine.POST("/load-update", b.Auth.LoadUser(), func(c *gin.Context) {
		err := b.Auth.Update(c, func(u *ginauth.User) { u.Name = "changed" })
		c.String(http.StatusOK, "%v", err)
	})
	b.Engine.POST("/load-logout", b.Auth.LoadUser(), func(c *gin.Context) { c.String(http.StatusOK, "%v", b.Auth.Logout(c)) })
	b.Engine.GET("/load-bare", b.Auth.LoadUser(), b.Auth.RequireAuth(), showUser)
	b.IDP.SignInAs("grace")
	b.SignIn()
	cookies := b.CookieHeader()
	b.get(t, "/load-read", b.token("read")).admits(t)
	b.get(t, "/load-read", b.token("read"), "Cookie", cookies).admits(t)
	for _, path := range []string{"/load-read", "/load-bare"} {
		b.get(t, path, "nonsense", "Cookie", cookies).invalid(t)
		b.get(t, path, "nonsense").invalid(t)
	}
	if a := b.send(t, "POST", "/load-update", "nonsense", "Cookie", cookies); strings.Contains(a.text, "<nil>") || len(a.cookies) > 0 {
		t.Errorf("Update changed the session of the cookie: %s, cookies %d", a.text, len(a.cookies))
	}
	if a := b.send(t, "POST", "/load-logout", "nonsense", "Cookie", cookies); strings.Contains(a.text, "<nil>") || len(a.cookies) > 0 {
		t.Errorf("Logout ended the session of the cookie: %s, cookies %d", a.text, len(a.cookies))
	}
}

// A token without any scope of this API must not link another account to its user's.
func TestBearerATokenLinksNoAccount(t *testing.T) {
	var previous *ginauth.User
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error { previous = l.Previous; return nil }
	})
	token := b.token() // ada's, for a client without scopes
	b.IDP.SignInAs("grace")
	r, _ := http.NewRequest("POST", b.URL+"/login/demo", strings.NewReader("link=true"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.URL)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		return // refused
	}
	var cookies []string
	for _, c := range resp.Cookies() {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	at, err := http.DefaultTransport.RoundTrip(newRequest(t, "GET", resp.Header.Get("Location")))
	if err != nil {
		t.Fatal(err)
	}
	at.Body.Close()
	callback := newRequest(t, "GET", at.Header.Get("Location"))
	callback.Header.Set("Cookie", strings.Join(cookies, "; "))
	callback.Header.Set("Authorization", "Bearer "+token)
	back, err := http.DefaultTransport.RoundTrip(callback)
	if err != nil {
		t.Fatal(err)
	}
	back.Body.Close()
	if previous != nil {
		t.Errorf("%d: OnLogin was called to link grace's account to %s's, by a token without a scope", back.StatusCode, previous.Subject)
	} else {
		t.Errorf("/login accepted the token of a request to link: %d, then %d", resp.StatusCode, back.StatusCode)
	}
}

// A session links an account, also where tokens are accepted.
func TestBearerASessionLinksAnAccount(t *testing.T) {
	var previous *ginauth.User
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error { previous = l.Previous; return nil }
	})
	b.IDP.SignInAs("ada")
	b.SignIn()
	b.IDP.SignInAs("grace")
	b.Must(b.Browser.Submit(authtest.At(b.URL+"/"), b.URL+"/login/demo", url.Values{"link": {"true"}}))
	if previous == nil || previous.Subject != "ada" {
		t.Errorf("linked to %+v", previous)
	}
}

func newRequest(t *testing.T, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A failed branch of AnyOf admits nothing: a passed HasScope in it must not admit the token in
// the next branch, which has no HasScope.
func TestBearerABranchOfAnyOfThatRefusesAdmitsNoToken(t *testing.T) {
	b := newBearing(t, nil)
	scopedAdmin := func(u *ginauth.User) error {
		if err := ginauth.HasScope("read")(u); err != nil {
			return err
		}
		return ginauth.HasGroup("admin")(u)
	}
	b.Engine.GET("/any", b.Auth.RequireAuth(ginauth.AnyOf(scopedAdmin, ginauth.FromProvider("demo"))), showUser)
	b.Engine.GET("/any-of-any", b.Auth.RequireAuth(ginauth.AnyOf(ginauth.AnyOf(scopedAdmin), ginauth.FromProvider("demo"))), showUser)
	for _, path := range []string{"/any", "/any-of-any"} {
		if a := b.get(t, path, b.token("read")); a.user != nil || a.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
		if a := b.get(t, path, b.token("x")); a.user != nil || a.status != http.StatusForbidden {
			t.Errorf("%s without the scope: %d", path, a.status)
		}
		admin := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Edit: func(_, c map[string]any) { c["groups"] = []any{"admin"} }})
		b.get(t, path, admin).admits(t)
	}
}

// "Who the user is, and the Grant, stay as they are."
func TestBearerOnTokenCannotChangeTheGrant(t *testing.T) {
	for name, change := range map[string]func(g *ginauth.Grant){
		"another scope":   func(g *ginauth.Grant) { g.Scopes = append(g.Scopes, "write") },
		"a scope changed": func(g *ginauth.Grant) { g.Scopes[0] = "write" },
		"another client":  func(g *ginauth.Grant) { g.Client, g.Program = "robot", true },
		"no program":      func(g *ginauth.Grant) { g.Program = false },
		"another Grant":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Hooks.OnToken = func(_ *gin.Context, u *ginauth.User) error {
					if change == nil {
						u.Grant = &ginauth.Grant{Client: "robot", Program: true, Scopes: []string{"read", "write"}}
					} else {
						change(u.Grant)
					}
					return nil
				}
			})
			b.Engine.GET("/write", b.Auth.RequireAuth(ginauth.HasScope("write")), showUser)
			for _, token := range []string{b.token("read"), b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, ClientID: "other", Scopes: []string{"write"}})} {
				for _, path := range []string{"/write", "/job"} {
					if a := b.get(t, path, token); a.user != nil {
						t.Errorf("%s: %d %s", path, a.status, a.text)
					}
				}
			}
		})
	}
}

// "OnToken is called for the user of a verified access token, with the claims of the token".
func TestBearerOnTokenHasTheClaims(t *testing.T) {
	var got struct {
		ClientID string `json:"client_id"`
		Blocked  bool   `json:"blocked"`
	}
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnToken = func(_ *gin.Context, u *ginauth.User) error {
			if err := u.Claims(&got); err != nil {
				return err
			}
			if got.Blocked {
				return ginauth.ErrForbidden
			}
			return nil
		}
	})
	if a := b.get(t, "/read", b.with("blocked", true)); a.status != http.StatusForbidden || got.ClientID == "" {
		t.Errorf("%d; the hook got %+v", a.status, got)
	}
}

// The user that OnToken received is copied, like the result of Authenticate: the hook may share
// the values that it sets.
func TestBearerOnTokensUserIsCopied(t *testing.T) {
	shared := map[string]string{"plan": "free"}
	groups := []string{"staff"}
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnToken = func(_ *gin.Context, u *ginauth.User) error { u.Data, u.Groups = shared, groups; return nil }
	})
	token := b.token("read")
	b.get(t, "/read", token).admits(t)
	shared["plan"], groups[0] = "gold", "admin"
	if a := b.get(t, "/read", token); a.user == nil || a.user.Data["plan"] != "free" || a.user.Groups[0] != "staff" {
		t.Errorf("the remembered user has what the hook's map has by now: %s", a.text)
	}
}

// As in Authenticate, guards of another Auth inside OnToken must not run the handlers, whose own
// guard has not decided yet.
func TestBearerAGuardInsideOnTokenRunsNoHandler(t *testing.T) {
	var other *ginauth.Auth
	b := newBearing(t, func(s *sitetest.Site, o *ginauth.Options) {
		var err error
		other, err = ginauth.Mount(s.Engine.Group("/other"), ginauth.Options{BaseURL: s.URL, Keys: []string{sitetest.Key}, CookieName: "other", Logger: s.Logs.Logger(), Providers: []ginauth.Provider{sitetest.Client("demo", s.IDP)}})
		if err != nil {
			t.Fatal(err)
		}
		o.Hooks.OnToken = func(c *gin.Context, _ *ginauth.User) error { other.LoadUser()(c); return nil }
	})
	ran := 0
	b.Engine.GET("/secret", b.Auth.RequireAuth(ginauth.HasScope("secret")), func(c *gin.Context) { ran++; c.String(http.StatusOK, "the secret") })
	a := b.get(t, "/secret", b.token("read"))
	if ran > 0 || a.status != http.StatusForbidden || strings.Contains(a.text, "the secret") {
		t.Errorf("a token without the scope: the handler ran %d times, %d %s", ran, a.status, a.text)
	}
}

// An OnToken that writes a response, or aborts, admits no user.
func TestBearerAnOnTokenThatAnswersFails(t *testing.T) {
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnToken = func(c *gin.Context, _ *ginauth.User) error {
			c.String(http.StatusPaymentRequired, "pay first. ")
			return nil
		}
	})
	if a := b.get(t, "/read", b.token("read")); strings.Contains(a.text, `"user"`) {
		t.Errorf("the handler ran behind the response: %d %s", a.status, a.text)
	}
}

// Re-entrant: the hook calls the guard that calls it.
func TestBearerOnTokenReenteredEnds(t *testing.T) {
	var b *bearing
	calls := 0
	b = newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnToken = func(c *gin.Context, _ *ginauth.User) error {
			calls++
			return b.Auth.Update(c, func(*ginauth.User) {})
		}
	})
	if a := b.get(t, "/read", b.token("read")); calls != 1 || a.user != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("%d calls, %d %s", calls, a.status, a.text)
	}
}

// hang makes the introspection endpoint hang until release is called.
func (b *bearing) hang(t *testing.T) (entered *atomic.Int64, release func()) {
	gate, n := make(chan struct{}), new(atomic.Int64)
	b.IDP.Handle(authtest.Introspect, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		b.IDP.Default(authtest.Introspect).ServeHTTP(w, r)
	})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	return n, release
}

// Random opaque tokens cost the sender nothing. They must not occupy all connections to the
// provider, which sign-ins need.
func TestBearerAFloodOfOpaqueTokensLeavesSignInsAlone(t *testing.T) {
	b := newBearing(t, introspecting)
	b.SignIn() // discovery and keys are cached
	entered, release := b.hang(t)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, "GET", b.URL+"/read", nil)
			r.Header.Set("Authorization", fmt.Sprintf("Bearer random-%d", i))
			if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
				resp.Body.Close()
			}
		})
	}
	until(t, func() bool { return b.arrived.Load() >= 200 })
	cancel() // the clients have disconnected; the introspections continue
	wg.Wait()
	if n := entered.Load(); n > 32 {
		t.Errorf("%d concurrent introspections for random tokens: only the 64 connections limit them", n)
	}
	started := time.Now()
	done := make(chan int, 1)
	go func() {
		other := b.NewBrowser()
		p, err := other.Get(b.URL + "/me")
		if err != nil {
			done <- 0
			return
		}
		done <- p.Status
	}()
	select {
	case status := <-done:
		if took := time.Since(started); took > 2*time.Second || status != http.StatusOK {
			t.Errorf("a sign-in during the flood: %d after %v", status, took)
		}
	case <-time.After(4 * time.Second):
		t.Error("a sign-in waits for the connections that random tokens hold")
		release()
		<-done
	}
}

// The result of an introspection for providers that SetProviders has replaced must not count for
// the new ones.
func TestBearerAnIntrospectionOfTheProvidersBeforeDoesNotCount(t *testing.T) {
	b := newBearing(t, introspecting)
	token := b.opaque(nil)
	entered, release := b.hang(t)
	first := make(chan answer, 1)
	go func() { first <- b.get(t, "/read", token) }()
	until(t, func() bool { return entered.Load() > 0 })
	p := sitetest.Client("demo", b.IDP)
	p.Audience, p.Introspect = "https://another.example/", true
	b.SetProviders(p)
	second := make(chan answer, 1)
	go func() { second <- b.get(t, "/read", token) }()
	until(t, func() bool { return entered.Load() == 2 })
	release()
	<-first
	(<-second).invalid(t)
	b.get(t, "/read", token).invalid(t) // nor is it cached for a minute
}

// The same for a rejection: it was for another audience.
func TestBearerARefusalOfTheProvidersBeforeDoesNotCount(t *testing.T) {
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Audience, o.Providers[0].Introspect = "https://mistyped.example/", true
	})
	token := b.opaque(nil)
	b.get(t, "/read", token).invalid(t)
	p := sitetest.Client("demo", b.IDP)
	p.Audience, p.Introspect = theAPI, true
	b.SetProviders(p)
	b.get(t, "/read", token).admits(t)
}

// Cached tokens are dropped with their providers.
func TestBearerCachedTokensEndWithTheirProvider(t *testing.T) {
	for name, change := range map[string]func(p *ginauth.Provider, other *authtest.Provider){
		"another audience":   func(p *ginauth.Provider, _ *authtest.Provider) { p.Audience = "https://another.example/" },
		"no audience":        func(p *ginauth.Provider, _ *authtest.Provider) { p.Audience, p.Introspect = "", false },
		"another issuer":     func(p *ginauth.Provider, o *authtest.Provider) { p.Issuer = o.Issuer },
		"no introspection":   func(p *ginauth.Provider, _ *authtest.Provider) { p.Introspect = false },
		"another name alone": nil,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearing(t, introspecting)
			other := sitetest.StartProvider(t, authtest.Config{ClientID: "other", ClientSecret: "another secret of 32 bytes or more"})
			jwt, opaque := b.token("read"), b.opaque(nil)
			b.get(t, "/read", jwt).admits(t)
			b.get(t, "/read", opaque).admits(t)
			p := sitetest.Client("demo", b.IDP)
			p.Audience, p.Introspect = theAPI, true
			if change == nil {
				p.Name = "renamed"
				b.SetProviders(p)
				if a := b.get(t, "/read", jwt); a.user == nil || a.user.Provider != "renamed" {
					t.Errorf("%d %s", a.status, a.text)
				}
				return
			}
			change(&p, other)
			b.SetProviders(p)
			if a := b.get(t, "/read", opaque); a.user != nil {
				t.Errorf("opaque: %d %s", a.status, a.text)
			}
			if a := b.get(t, "/read", jwt); a.user != nil && name != "no introspection" {
				t.Errorf("JWT: %d %s", a.status, a.text)
			}
		})
	}
}

// "once a token and minute": also if there are more than a few tokens.
func TestBearerManyOpaqueTokensAreAskedAboutOnceAMinute(t *testing.T) {
	b := newBearing(t, introspecting)
	const users = 200
	var tokens []string
	for range users {
		tokens = append(tokens, b.opaque(nil))
	}
	for range 5 {
		for _, token := range tokens {
			b.get(t, "/read", token).admits(t)
		}
	}
	if n := b.IDP.Count(authtest.Introspect); n > users {
		t.Errorf("%d questions about %d tokens", n, users)
	}
}

func TestBearerTokensThatAreRefusedHereAreAskedAboutOnceAMinute(t *testing.T) {
	t.Run("signed out everywhere", func(t *testing.T) {
		b := newBearing(t, introspecting)
		token := b.opaque(nil)
		id := b.get(t, "/read", token).user.ID()
		b.Clock.Advance(time.Second)
		if err := b.Auth.LogoutEverywhere(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		before := b.IDP.Count(authtest.Introspect)
		for range 20 {
			b.get(t, "/read", token).invalid(t)
		}
		if n := b.IDP.Count(authtest.Introspect) - before; n > 1 {
			t.Errorf("%d questions about a token that has ended", n)
		}
	})
	for name, refuse := range map[string]func(o *ginauth.Options, asked *int){
		"OnToken": func(o *ginauth.Options, asked *int) {
			o.Hooks.OnToken = func(*gin.Context, *ginauth.User) error { *asked++; return ginauth.ErrForbidden }
		},
		"VerifyClaims": func(o *ginauth.Options, asked *int) {
			o.Providers[0].VerifyClaims = func(map[string]any) error { *asked++; return errors.New("no") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			b := newBearing(t, func(s *sitetest.Site, o *ginauth.Options) { introspecting(s, o); refuse(o, &asked) })
			token := b.opaque(nil)
			for range 20 {
				if a := b.get(t, "/read", token); a.user != nil {
					t.Fatal(a.text)
				}
			}
			if n := b.IDP.Count(authtest.Introspect); n > 1 || asked != 1 {
				t.Errorf("%d questions to the provider, %d to the hook", n, asked)
			}
		})
	}
	t.Run("while OnToken takes its time", func(t *testing.T) {
		var hook atomic.Int64
		gate := make(chan struct{})
		b := newBearing(t, func(s *sitetest.Site, o *ginauth.Options) {
			introspecting(s, o)
			o.Hooks.OnToken = func(*gin.Context, *ginauth.User) error { hook.Add(1); <-gate; return nil }
		})
		token := b.opaque(nil)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { b.get(t, "/read", token).admits(t) })
		}
		until(t, func() bool { return hook.Load() > 0 && b.arrived.Load() == 10 })
		close(gate)
		wg.Wait()
		if n := b.IDP.Count(authtest.Introspect); n > 1 || hook.Load() > 1 {
			t.Errorf("%d questions to the provider, %d to OnToken", n, hook.Load())
		}
	})
}

// A provider whose clock is behind reports a token as active after its exp, by our clock and
// within the leeway: still one introspection a minute.
func TestBearerATokenAtItsEndIsAskedAboutOnce(t *testing.T) {
	b := newBearing(t, introspecting)
	b.IDP.Handle(authtest.Introspect, func(w http.ResponseWriter, _ *http.Request) {
		now := b.Clock.Now().Unix()
		writeTestJSON(w, map[string]any{"active": true, "sub": "ada", "client_id": "x", "scope": "read", "aud": theAPI, "iat": now - 600, "exp": now - 30})
	})
	for range 20 {
		b.get(t, "/read", "an-opaque-token").admits(t)
	}
	if n := b.IDP.Count(authtest.Introspect); n > 2 {
		t.Errorf("%d questions", n)
	}
}

func writeTestJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// "ID tokens, refresh tokens and logout tokens are refused everywhere": RFC 7662, 2.1, lets the
// endpoint introspect refresh tokens, and token_type_hint is only a hint. Ory Hydra sends
// token_use, and RFC 9449 defines token_type DPoP.
func TestBearerOpaqueTokensOfAnotherKindAreRefused(t *testing.T) {
	b := newBearing(t, introspecting)
	for name, value := range map[string]any{"token_use": "refresh_token", "token_type": "DPoP", "token_type ": nil, "nonce": "n"} {
		if value == nil {
			name, value = "token_type", "refresh_token"
		}
		b.get(t, "/read", b.opaque(func(c map[string]any) { c[name] = value })).invalid(t)
	}
	b.get(t, "/read", b.opaque(func(c map[string]any) { c["token_use"], c["token_type"] = "access_token", "bearer" })).admits(t)
}

// sub is optional in an introspection response. A token with a username is not the client's own.
func TestBearerAnIntrospectedPersonIsNoProgram(t *testing.T) {
	b := newBearing(t, introspecting)
	a := b.get(t, "/job", b.opaque(func(c map[string]any) { delete(c, "sub"); c["username"], c["client_id"] = "ada", "robot" }))
	if a.user != nil {
		t.Errorf("a user's token counts as the program's: %s", a.text)
	}
}

// The claims of one introspection must not be shared by the requests that waited for it:
// VerifyClaims may write to its map, as at a sign-in, and two writers crash the process.
func TestBearerClaimsOfAnIntrospectionAreNotShared(t *testing.T) {
	var mu sync.Mutex
	shared := 0
	b := newBearing(t, func(s *sitetest.Site, o *ginauth.Options) {
		introspecting(s, o)
		o.Providers[0].VerifyClaims = func(claims map[string]any) error {
			mu.Lock()
			defer mu.Unlock()
			if claims["seen"] != nil {
				shared++
			}
			claims["seen"] = true
			return nil
		}
	})
	token := b.opaque(nil)
	entered, release := b.hang(t)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { b.get(t, "/read", token).admits(t) })
	}
	until(t, func() bool { return entered.Load() > 0 })
	until(t, func() bool { return b.arrived.Load() == 5 })
	release()
	wg.Wait()
	if shared > 0 {
		t.Errorf("%d calls got a map that another one had written to", shared)
	}
}

// A panic in a function of the application that a token reaches must not crash the request:
// anyone can send a token.
func TestBearerAPanicOnTheWayOfATokenIsContained(t *testing.T) {
	for name, set := range map[string]func(p *ginauth.Provider){
		"TokenIssuer": func(p *ginauth.Provider) {
			issuer := p.Issuer
			p.TokenIssuer = func(claims map[string]any) (string, error) { _ = claims["tid"].(string); return issuer, nil }
			p.Admits = []string{issuer}
		},
		"VerifyClaims":  func(p *ginauth.Provider) { p.VerifyClaims = func(map[string]any) error { panic("x") } },
		"EmailVerified": func(p *ginauth.Provider) { p.EmailVerified = func(map[string]any) bool { panic("x") } },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) { set(&o.Providers[0]) })
			r := newRequest(t, "GET", b.URL+"/read")
			r.Header.Set("Authorization", "Bearer "+b.with("email", "a@example.com"))
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatalf("the connection was dropped: %v", err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode < 400 || !strings.Contains(string(body), `"error"`) {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
}

// Two APIs of one issuer: a token for the second is accepted, too.
func TestBearerTwoAudiencesOfOneIssuer(t *testing.T) {
	b := newBearing(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, ginauth.Provider{Name: "second", Issuer: s.IDP.Issuer, Audience: "https://second.example/"})
	})
	b.get(t, "/read", b.token("read")).admits(t)
	b.get(t, "/read", b.with("aud", "https://second.example/")).admits(t)
}

// The provider's clock is ahead by less than the leeway: a sign-out after the token was used
// must revoke it.
func TestBearerLogoutEverywhereEndsTokensOfAClockAhead(t *testing.T) {
	b := newBearing(t, nil)
	token := b.with("iat", b.Clock.Now().Add(40*time.Second).Unix())
	a := b.get(t, "/read", token)
	a.admits(t)
	b.Clock.Advance(10 * time.Second)
	if err := b.Auth.LogoutEverywhere(t.Context(), a.user.ID()); err != nil {
		t.Fatal(err)
	}
	b.get(t, "/read", token).invalid(t)
}

// An application without Audience signs a user out everywhere; an API with the same Revocations
// accepts tokens for Lifetime, so the mark must be kept as long.
func TestBearerLogoutEverywhereOfAnotherReplicaLastsAsLongAsATokenDoes(t *testing.T) {
	var store ginauth.Revocations
	web := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		store = ginauth.NewMemoryRevocations(s.Clock.Now)
		o.Revocations = store
	})
	engine := gin.New()
	api, err := ginauth.Mount(engine, ginauth.Options{BaseURL: web.URL, Now: web.Clock.Now, Logger: web.Logs.Logger(), Revocations: store,
		Providers: []ginauth.Provider{{Name: "corp", Issuer: web.IDP.Issuer, Audience: theAPI}}})
	if err != nil {
		t.Fatal(err)
	}
	engine.GET("/read", api.RequireAuth(ginauth.HasScope("read")), showUser)
	token := web.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Life: 100 * time.Hour})
	ask := func() int {
		r := httptest.NewRequest("GET", "/read", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, r)
		return w.Code
	}
	if got := ask(); got != http.StatusOK {
		t.Fatal(got)
	}
	web.Clock.Advance(time.Second)
	if err := web.Auth.LogoutEverywhere(t.Context(), web.IDP.Issuer+"#ada"); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != http.StatusUnauthorized {
		t.Errorf("at once: %d", got)
	}
	web.Clock.Advance(25 * time.Hour) // IdleTimeout is 24 hours
	if got := ask(); got != http.StatusUnauthorized {
		t.Errorf("a day later the token is good again: %d", got)
	}
}

// An impossible auth_time (in milliseconds, for example) is unknown: iat, which every refresh
// renews, must not replace it for MaxAge.
func TestBearerAnAuthTimeToComeIsNotFresh(t *testing.T) {
	b := newBearing(t, nil)
	b.Engine.GET("/recent", b.Auth.RequireAuth(ginauth.HasScope("read"), ginauth.MaxAge(time.Minute)), showUser)
	b.get(t, "/recent", b.with("auth_time", b.Clock.Now().UnixMilli())).is(t, http.StatusUnauthorized, ginauth.ErrStepUpRequired, `Bearer error="insufficient_user_authentication"`)
	b.get(t, "/recent", b.with("auth_time", nil)).is(t, http.StatusUnauthorized, ginauth.ErrStepUpRequired, `Bearer error="insufficient_user_authentication"`)
	b.get(t, "/recent", b.with("auth_time", b.Clock.Now().Unix())).admits(t)
}

// "has a token on a guard without HasScope and IsClient: 403": also if the guard requires a
// step-up. Otherwise a client would learn this only after its user has authenticated again.
func TestBearerABareGuardWithMaxAgeSaysThatNoTokenGetsIn(t *testing.T) {
	b := newBearing(t, nil)
	b.Engine.GET("/recent", b.Auth.RequireAuth(ginauth.MaxAge(time.Minute)), showUser)
	b.get(t, "/recent", b.token("read")).is(t, http.StatusForbidden, ginauth.ErrInsufficientScope, `Bearer error="insufficient_scope"`)
}

// The challenge names the metadata only if it is served: Gin cannot add routes while it serves.
func TestBearerMetadataIsWhereTheChallengeSays(t *testing.T) {
	b := newBearing(t, nil)
	_, rest, _ := strings.Cut(b.get(t, "/read", "nonsense").challenge, `resource_metadata="`)
	address, _, _ := strings.Cut(rest, `"`)
	for _, method := range []string{"GET", "HEAD"} {
		resp, err := http.DefaultTransport.RoundTrip(newRequest(t, method, address))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %d", method, address, resp.StatusCode)
		}
	}

	late := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Audience = "" })
	p := sitetest.Client("demo", late.IDP)
	p.Audience = theAPI
	late.SetProviders(p)
	late.get(t, "/read", late.token("read")).admits(t)
	if a := late.get(t, "/read", "nonsense"); strings.Contains(a.challenge, "resource_metadata") || len(late.Logs.Lines("WARN", "provider.resource_metadata_missing")) != 1 {
		t.Errorf("challenge %q\n%s", a.challenge, late.Logs)
	}
}

// RequireAuth on the whole engine must not block the metadata, just as it does not block the
// login.
func TestBearerAGuardOfTheEngineLeavesTheMetadataOpen(t *testing.T) {
	var auth *ginauth.Auth
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Engine.Use(func(c *gin.Context) { auth.RequireAuth()(c) })
		o.Providers[0].Audience = theAPI
	})
	auth = s.Auth
	if p := s.Get("/login"); p.Status != http.StatusOK {
		t.Errorf("/login: %d", p.Status)
	}
	r := newRequest(t, "GET", s.URL+"/.well-known/oauth-protected-resource")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the metadata: %d", resp.StatusCode)
	}
}

// With a path in BaseURL, the metadata is below it, where a proxy that strips the path brings
// requests here. RFC 9728, 5.1, lets the challenge name any address.
func TestBearerMetadataOfAResourceWithAPath(t *testing.T) {
	idp := sitetest.StartProvider(t, authtest.Config{})
	engine := gin.New()
	auth, err := ginauth.Mount(engine, ginauth.Options{BaseURL: "https://api.example/v1", Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: theAPI}}})
	if err != nil {
		t.Fatal(err)
	}
	engine.GET("/read", auth.RequireAuth(ginauth.HasScope("read", "list")), showUser)
	w := httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequest("GET", "/read", nil))
	if got, want := w.Header().Get("WWW-Authenticate"), `Bearer scope="read list", resource_metadata="https://api.example/v1/.well-known/oauth-protected-resource"`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	w = httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/oauth-protected-resource", nil))
	if want := `"resource":"https://api.example/v1","scopes_supported":["list","read"]`; w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// LoadUser behind a guard that has admitted a token keeps the user: a handler behind RequireAuth
// always has a user.
func TestBearerLoadUserBehindAGuardKeepsTheUser(t *testing.T) {
	b := newBearing(t, nil)
	b.Engine.GET("/read-load", b.Auth.RequireAuth(ginauth.HasScope("read")), b.Auth.LoadUser(), showUser)
	b.get(t, "/read-load", b.token("read")).admits(t)
}

func TestBearerLoadUserOfAnotherAuthKeepsTheUser(t *testing.T) {
	var other *ginauth.Auth
	b := newBearing(t, func(s *sitetest.Site, _ *ginauth.Options) {
		idp := sitetest.StartProvider(t, authtest.Config{})
		var err error
		other, err = ginauth.Mount(s.Engine.Group("/other"), ginauth.Options{BaseURL: s.URL, Keys: []string{sitetest.Key}, CookieName: "other", Logger: s.Logs.Logger(),
			Providers: []ginauth.Provider{{Name: "partners", Issuer: idp.Issuer, Audience: "https://partners.example/"}}})
		if err != nil {
			t.Fatal(err)
		}
	})
	b.Engine.GET("/read-other", b.Auth.RequireAuth(ginauth.HasScope("read")), other.LoadUser(), showUser)
	b.get(t, "/read-other", b.token("read")).admits(t)
}

// "has a bad token: 401 invalid_token".
func TestBearerABadTokenIsAlways401(t *testing.T) {
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].VerifyClaims = func(c map[string]any) error {
			if c["bad"] != nil {
				return errors.New("no")
			}
			return nil
		}
	})
	for name, token := range map[string]string{
		"sub is a number": b.with("sub", 7), "sub is too long": b.with("sub", strings.Repeat("a", 300)), "sub has a line break": b.with("sub", "a\nb"),
		"no sub and no client": b.edited(func(_, c map[string]any) { delete(c, "sub"); delete(c, "client_id") }),
		"VerifyClaims":         b.with("bad", true),
	} {
		t.Run(name, func(t *testing.T) { b.get(t, "/read", token).invalid(t) })
	}
}

// Every 400 and 401 for a token has a challenge (RFC 6750, 3; RFC 9110, 11.6.1).
func TestBearerEveryRefusalHasAChallenge(t *testing.T) {
	b := newBearing(t, nil)
	b.get(t, "/read?access_token="+b.token("read"), "").is(t, http.StatusBadRequest, ginauth.ErrBadRequest, `Bearer error="invalid_request"`)
	b.Engine.GET("/unauthenticated", b.Auth.RequireAuth(ginauth.HasScope("read"), func(*ginauth.User) error { return ginauth.ErrUnauthenticated }), showUser)
	if a := b.get(t, "/unauthenticated", b.token("read")); a.status == http.StatusUnauthorized && a.challenge == "" {
		t.Errorf("401 without a challenge: %s", a.text)
	}
}

// SignIn rejects users of a provider without a client.
func TestBearerSignInKnowsNoResourceServer(t *testing.T) {
	b := newBearing(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, ginauth.Provider{Name: "partners", Issuer: "https://partners.example", Audience: theAPI})
	})
	b.Engine.POST("/signin", func(c *gin.Context) {
		c.String(http.StatusOK, "%v", b.Auth.SignIn(c, &ginauth.User{Provider: "partners", Subject: "eve"}, nil))
	})
	if a := b.send(t, "POST", "/signin", ""); len(a.cookies) > 0 {
		t.Errorf("a session of a provider without sign-ins: %s", a.text)
	}
	engine := gin.New()
	auth, err := ginauth.Mount(engine, ginauth.Options{BaseURL: b.URL, Providers: []ginauth.Provider{{Name: "partners", Issuer: "https://partners.example", Audience: theAPI}}})
	if err != nil {
		t.Fatal(err)
	}
	engine.POST("/signin", func(c *gin.Context) {
		c.String(http.StatusOK, "%v", auth.SignIn(c, &ginauth.User{Provider: "partners", Subject: "eve"}, nil))
	})
	w := httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequest("POST", "/signin", nil))
	if len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("an application of resource servers alone began a session that no guard reads: %s", w.Body)
	}
}

// "With a token, the cookie is neither read, renewed nor cleared": on our own routes too.
func TestBearerOurOwnRoutesLeaveTheCookieAloneBesideAToken(t *testing.T) {
	b := newBearing(t, nil)
	b.SignIn()
	cookies := b.CookieHeader()
	with, without := b.get(t, "/logout", b.token("read"), "Cookie", cookies), b.get(t, "/logout", b.token("read"))
	if with.status != http.StatusBadRequest || without.status != with.status || len(with.cookies) > 0 {
		t.Errorf("GET /logout shows whether the cookie is a session's: %s, and %s", with.text, without.text)
	}
}

// Providers may repeat a rejected token in their error.
func TestBearerTheProvidersWordsBringNoTokenIntoTheLog(t *testing.T) {
	b := newBearing(t, introspecting)
	const token = "a-very-secret-opaque-token-0123456789"
	for _, status := range []int{400, 401, 500} {
		b.IDP.Handle(authtest.Introspect, func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+r.Form.Get("token")+`"`)
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error":"invalid_request","error_description":"\"evil: token %s"}`, r.Form.Get("token"))
		})
		a := b.get(t, "/read", token)
		if a.status != http.StatusServiceUnavailable || strings.Contains(a.text, token) || strings.Contains(a.challenge, "evil") {
			t.Errorf("%d %s %q", a.status, a.text, a.challenge)
		}
		b.Clock.Advance(10 * time.Second)
	}
	if strings.Contains(b.Logs.String(), token) {
		t.Error("the token is in the log")
	}
}

// A sub that is not a string makes the token malformed; it is not a program's. Otherwise users'
// tokens of a client would count as the client's own.
func TestBearerASubThatIsNoTextMakesNoProgram(t *testing.T) {
	b := newBearing(t, nil)
	for _, sub := range []any{7, true, []any{"ada"}, map[string]any{"id": "ada"}} {
		a := b.get(t, "/job", b.edited(func(_, c map[string]any) { c["sub"], c["client_id"] = sub, "robot" }))
		if a.user != nil {
			t.Errorf("sub %v: %s", sub, a.text)
		}
	}
}

// A future auth_time within the range of dates.
func TestBearerAnAuthTimeOfTomorrowIsNotFresh(t *testing.T) {
	b := newBearing(t, nil)
	b.Engine.GET("/recent", b.Auth.RequireAuth(ginauth.HasScope("read"), ginauth.MaxAge(time.Minute)), showUser)
	b.get(t, "/recent", b.with("auth_time", b.Clock.Now().Add(24*time.Hour).Unix())).is(t, http.StatusUnauthorized, ginauth.ErrStepUpRequired, `Bearer error="insufficient_user_authentication"`)
}

// The same mark of a sign-out, if tokens are accepted only since SetProviders.
func TestBearerLogoutEverywhereBeforeTokensWereTakenCounts(t *testing.T) {
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Audience = "" })
	token := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Life: 100 * time.Hour})
	b.Clock.Advance(time.Second)
	if err := b.Auth.LogoutEverywhere(t.Context(), b.IDP.Issuer+"#ada"); err != nil {
		t.Fatal(err)
	}
	p := sitetest.Client("demo", b.IDP)
	p.Audience = theAPI
	b.SetProviders(p)
	b.Clock.Advance(25 * time.Hour)
	b.get(t, "/read", token).is(t, http.StatusUnauthorized, ginauth.ErrInvalidToken, `Bearer error="invalid_token"`)
}

// A provider that fails briefly is queried again soon.
func TestBearerATransientFailureIsForgotten(t *testing.T) {
	b := newBearing(t, introspecting)
	token := b.opaque(nil)
	b.IDP.Fail(authtest.Introspect, authtest.ServerError)
	for range 10 {
		if a := b.get(t, "/read", token); a.status != http.StatusServiceUnavailable || a.challenge != "" {
			t.Errorf("%d %q", a.status, a.challenge)
		}
	}
	if n := b.IDP.Count(authtest.Introspect); n != 1 {
		t.Errorf("%d questions", n)
	}
	b.IDP.Fail(authtest.Introspect, "")
	b.Clock.Advance(6 * time.Second)
	b.get(t, "/read", token).admits(t)
}

// A token sent as a cookie, and a cookie sent as a token, are rejected, although they share a
// cache.
func TestBearerCookiesAndTokensAreNotMixedUp(t *testing.T) {
	b := newBearing(t, introspecting)
	b.SignIn()
	cookie := b.SessionCookie()
	token, jwt := b.opaque(nil), b.token("read")
	for range 2 {
		b.get(t, "/read", token).admits(t)
		b.get(t, "/read", jwt).admits(t)
		if a := b.get(t, "/read", "", "Cookie", b.CookieHeader()); a.status != http.StatusOK {
			t.Errorf("%d", a.status)
		}
		for _, text := range []string{token, jwt} {
			if a := b.get(t, "/read", "", "Cookie", cookie.Name+"="+text); a.user != nil {
				t.Error("a token in the cookie is a session")
			}
		}
		if a := b.get(t, "/read", cookie.Value); a.user != nil || a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
			t.Errorf("the cookie as a token: %d", a.status)
		}
	}
}

// Header forms on the wire.
func TestBearerHeaderForms(t *testing.T) {
	b := newBearing(t, nil)
	b.SignIn()
	good, cookies := b.token("read"), b.CookieHeader()
	for name, tt := range map[string]struct {
		lines    string
		admitted bool // as ada, by the token
	}{
		"lower case name":        {"authorization: Bearer " + good, true},
		"trailing spaces":        {"Authorization: Bearer " + good + "   ", true},
		"trailing tab":           {"Authorization: Bearer " + good + "\t", true},
		"tab":                    {"Authorization: Bearer\t" + good, false},
		"NBSP in front":          {"Authorization: \u00a0Bearer " + good, false},
		"em space":               {"Authorization: Bearer\u2003" + good, false},
		"NUL":                    {"Authorization: Bearer " + good + "\x00", false},
		"folded":                 {"Authorization: Bearer\r\n " + good, true}, // net/http unfolds it
		"a list":                 {"Authorization: Bearer " + good + ", Basic eDp5", false},
		"a list, Basic first":    {"Authorization: Basic eDp5, Bearer " + good, false},
		"two lines":              {"Authorization: Bearer x\r\nAuthorization: Bearer " + good, false},
		"an empty line beside":   {"Authorization:\r\nAuthorization: Bearer " + good, false},
		"Proxy-Authorization":    {"Proxy-Authorization: Bearer " + good, false},
		"quoted":                 {`Authorization: Bearer "` + good + `"`, false},
		"padding behind":         {"Authorization: Bearer " + good + "=", false},
		"a dot behind":           {"Authorization: Bearer " + good + ".", false},
		"long":                   {"Authorization: Bearer " + strings.Repeat("a", 70<<10), false},
		"Bearer without a space": {"Authorization: Bearer" + good, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := b.Raw(t, "GET /read HTTP/1.1\r\nHost: "+strings.TrimPrefix(b.URL, "http://")+"\r\nConnection: close\r\n"+tt.lines+"\r\n\r\n")
			if got := p.Status == http.StatusOK; got != tt.admitted {
				t.Errorf("%d %s", p.Status, p.Text())
			}
			if strings.Contains(strings.ToLower(tt.lines), "bearer ") && !strings.HasPrefix(tt.lines, "Proxy") && !strings.HasPrefix(tt.lines, "Authorization: Basic") && !tt.admitted {
				p := b.Raw(t, "GET /read HTTP/1.1\r\nHost: "+strings.TrimPrefix(b.URL, "http://")+"\r\nCookie: "+cookies+"\r\nConnection: close\r\n"+tt.lines+"\r\n\r\n")
				if p.Status == http.StatusOK || p.Status == http.StatusSeeOther {
					t.Errorf("beside a cookie: %d", p.Status)
				}
			}
		})
	}
}

// Requests with a token are never redirected, in any form.
func TestBearerNoRedirectForAToken(t *testing.T) {
	b := newBearing(t, nil)
	b.SignIn()
	cookies := b.CookieHeader()
	for name, header := range map[string][]string{
		"navigation": sitetest.Navigation, "old page": sitetest.OldPage, "HTMX": {"HX-Request", "true"}, "boosted": {"HX-Request", "true", "HX-Boosted", "true"},
		"WebSocket": sitetest.Upgrade, "prefetch": {"Sec-Purpose", "prefetch"}, "a form": append([]string{"Content-Type", "application/x-www-form-urlencoded"}, sitetest.Navigation...),
	} {
		for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS"} {
			for _, token := range []string{"nonsense", b.token("x"), b.with("exp", 1)} {
				for _, path := range []string{"/read", "/bare", "/job", "/fresh", "/either"} {
					a := b.send(t, method, path, token, append([]string{"Cookie", cookies}, header...)...)
					if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden || len(a.cookies) > 0 {
						t.Errorf("%s %s %s: %d, cookies %d", name, method, path, a.status, len(a.cookies))
					}
				}
			}
		}
	}
}

// Guards, nested and in a row, and what handlers do to the user between them.
func TestBearerNestedGuards(t *testing.T) {
	b := newBearing(t, nil)
	read, bare := b.Auth.RequireAuth(ginauth.HasScope("read")), b.Auth.RequireAuth()
	forge := func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		u.Grant = nil
		c.Next()
	}
	more := func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		u.Grant.Scopes, u.Grant.Program, u.Grant.Client = append(u.Grant.Scopes, "write"), true, "robot"
		c.Next()
	}
	b.Engine.GET("/n1", read, bare, showUser)
	b.Engine.GET("/n2", bare, read, showUser)
	b.Engine.GET("/n3", read, forge, bare, showUser)
	b.Engine.GET("/n4", read, more, b.Auth.RequireAuth(ginauth.HasScope("write")), showUser)
	b.Engine.GET("/n5", read, more, b.Auth.RequireAuth(ginauth.IsClient("robot")), showUser)
	b.Engine.GET("/n6", read, forge, b.Auth.RequireAuth(ginauth.HasGroup("admin")), showUser)
	var kept *ginauth.User
	keep := func(u *ginauth.User) error { kept = u; return ginauth.HasScope("read")(u) }
	stale := func(*ginauth.User) error { return ginauth.HasScope("read")(kept) }
	b.Engine.GET("/keep", b.Auth.RequireAuth(keep), showUser)
	b.Engine.GET("/n7", b.Auth.RequireAuth(stale), showUser)
	for i, check := range []ginauth.Check{
		func(u *ginauth.User) error { u.Grant = nil; return ginauth.HasScope("write")(u) },
		func(u *ginauth.User) error {
			u.Grant = &ginauth.Grant{Scopes: []string{"write"}}
			return ginauth.HasScope("write")(u)
		},
		func(u *ginauth.User) error { *u = ginauth.User{}; return nil },
		func(u *ginauth.User) error { c := *u; c.Grant = nil; return ginauth.HasScope("write")(&c) },
		func(u *ginauth.User) error { return ginauth.HasScope("write")(&ginauth.User{}) },
		func(u *ginauth.User) error {
			if ginauth.HasScope("write")(u) == nil {
				return errors.New("blocked")
			}
			return nil
		},
		ginauth.AnyOf(ginauth.FromProvider("demo"), ginauth.MaxAge(time.Minute)),
		ginauth.AnyOf(ginauth.FromProvider("demo"), ginauth.HasScope("write")),
		ginauth.AnyOf(ginauth.HasScope("write"), ginauth.FromProvider("demo")),
	} {
		path := fmt.Sprint("/forged-", i)
		b.Engine.GET(path, b.Auth.RequireAuth(check), showUser)
		if a := b.get(t, path, b.token("read")); a.user != nil || a.status == http.StatusOK {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
	b.get(t, "/keep", b.token("read")).admits(t)
	for _, path := range []string{"/n1", "/n2", "/n3", "/n4", "/n5", "/n6", "/n7"} {
		if a := b.get(t, path, b.token("read")); a.user != nil || a.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
}

// HasScope in a handler, for Fail.
func TestBearerHasScopeInAHandler(t *testing.T) {
	b := newBearing(t, nil)
	b.Engine.GET("/more", b.Auth.RequireAuth(ginauth.HasScope("read")), func(c *gin.Context) {
		if err := ginauth.HasScope("write")(ginauth.CurrentUser(c)); err != nil {
			b.Auth.Fail(c, err)
			return
		}
		showUser(c)
	})
	b.get(t, "/more", b.token("read")).is(t, http.StatusForbidden, ginauth.ErrInsufficientScope, `Bearer error="insufficient_scope", scope="write"`)
	b.get(t, "/more", b.token("read", "write")).admits(t)
}

// Users of Authenticate, with a Grant and without.
func TestBearerAuthenticateAndGrants(t *testing.T) {
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
			u := &ginauth.User{Provider: "demo", Subject: "ada"}
			switch c.GetHeader("X-Key") {
			case "full":
				return u, nil
			case "read":
				u.Grant = &ginauth.Grant{Client: "key", Scopes: []string{"read"}}
				return u, nil
			case "none":
				u.Grant = &ginauth.Grant{}
				return u, nil
			}
			return nil, nil
		}
	})
	for key, want := range map[string]string{"full": "/read /both /bare /own", "read": "/read /own", "none": ""} {
		for _, path := range []string{"/read", "/both", "/bare", "/own", "/job", "/fresh", "/load"} {
			a := b.get(t, path, "", "X-Key", key)
			admitted := a.user != nil
			if expected := strings.Contains(want+" ", path+" ") || path == "/load" && key == "full"; admitted != expected {
				t.Errorf("%s at %s: %d %s", key, path, a.status, a.text)
			}
			if a.status >= 300 && a.status < 400 {
				t.Errorf("%s at %s: %d", key, path, a.status)
			}
		}
	}
	b.get(t, "/read", "nonsense").invalid(t)
	b.get(t, "/read", b.token("read")).admits(t)
}

// A token of one provider is rejected as a token of another, also if the other signs it.
func TestBearerTokensOfTwoProviders(t *testing.T) {
	other := sitetest.StartProvider(t, authtest.Config{})
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, ginauth.Provider{Name: "partners", Issuer: other.Issuer, Audience: "https://partners.example/"})
	})
	forged := func(p *authtest.Provider, iss, aud string) string {
		return p.AccessToken(authtest.AccessToken{Audience: aud, Subject: "ada", Scopes: []string{"read"}, Edit: func(_, c map[string]any) { c["iss"] = iss }})
	}
	b.get(t, "/read", forged(b.IDP, b.IDP.Issuer, theAPI)).admits(t)
	b.get(t, "/read", forged(other, other.Issuer, "https://partners.example/")).admits(t)
	for _, token := range []string{
		forged(other, b.IDP.Issuer, theAPI), forged(b.IDP, other.Issuer, "https://partners.example/"), forged(other, other.Issuer, theAPI), forged(b.IDP, b.IDP.Issuer, "https://partners.example/"),
		forged(b.IDP, b.IDP.Issuer+"/", theAPI), forged(b.IDP, b.IDP.Issuer+"#", theAPI),
	} {
		b.get(t, "/read", token).invalid(t)
	}
}

// WebSockets: a token needs no Origin, a cookie does.
func TestBearerWebSocketsOfOtherOrigins(t *testing.T) {
	b := newBearing(t, nil)
	b.SignIn()
	header := sitetest.Plus(sitetest.Upgrade, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	b.get(t, "/read", b.token("read"), header...).admits(t)
	if a := b.get(t, "/read", "", append(header, "Cookie", b.CookieHeader())...); a.status != http.StatusForbidden {
		t.Errorf("a cookie: %d", a.status)
	}
	for _, lines := range [][]string{{"Authorization", "Bearer nonsense"}, {"Authorization", "Basic eDp5"}, {"Authorization", "Basic eDp5", "Authorization", "Bearer x"}} {
		if a := b.get(t, "/read", "", append(append(header, "Cookie", b.CookieHeader()), lines...)...); a.status < 400 {
			t.Errorf("a cookie beside %q: %d", lines, a.status)
		}
	}
}

// Text from a token is written into a header only in valid form.
func TestBearerTheChallengeIsWellFormed(t *testing.T) {
	b := newBearing(t, nil)
	b.Engine.GET("/own-error", b.Auth.RequireAuth(ginauth.HasScope("read"), func(u *ginauth.User) error {
		return &ginauth.Error{Code: ginauth.ErrInsufficientScope, ID: "bearer.\"\r\nX: y", Reason: u.Name}
	}), showUser)
	token := b.with("scope", "read \"\r\nX-Evil: 1")
	for _, path := range []string{"/own-error"} {
		a := b.get(t, path, token)
		if a.status != http.StatusForbidden || strings.ContainsAny(a.challenge, "\r\n\\") || strings.Count(a.challenge, `"`)%2 != 0 || strings.Contains(a.challenge, "é") {
			t.Errorf("%s: %d %q", path, a.status, a.challenge)
		}
	}
}

// Users and programs with one subject, with sessions and tokens: a sign-out everywhere ends all.
func TestBearerOneSubjectEverywhere(t *testing.T) {
	b := newBearing(t, introspecting)
	b.SignIn()
	session := b.CookieHeader()
	jwt, opaque := b.token("read"), b.opaque(nil)
	program := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, ClientID: "ada", Scopes: []string{"read"}})
	if a := b.get(t, "/read", program); a.user != nil {
		t.Errorf("a program called ada is ada: %s", a.text)
	}
	if a := b.get(t, "/either", program); a.user != nil {
		t.Errorf("a program called ada is ada: %s", a.text)
	}
	b.get(t, "/read", jwt).admits(t)
	b.get(t, "/read", opaque).admits(t)
	b.Clock.Advance(2 * time.Second)
	if err := b.Auth.LogoutEverywhere(t.Context(), b.IDP.Issuer+"#ada"); err != nil {
		t.Fatal(err)
	}
	b.get(t, "/read", jwt).invalid(t)
	b.get(t, "/read", opaque).invalid(t)
	if a := b.get(t, "/read", "", "Cookie", session); a.user != nil {
		t.Error("the session continues")
	}
	b.Clock.Advance(61 * time.Second) // the leeway for clocks that differ
	b.get(t, "/read", b.token("read")).admits(t)
}

// A copy of the context, in a goroutine.
func TestBearerACopiedContextHasTheUser(t *testing.T) {
	b := newBearing(t, nil)
	got := make(chan string, 100)
	b.Engine.GET("/copy", b.Auth.RequireAuth(ginauth.HasScope("read")), func(c *gin.Context) {
		cp := c.Copy()
		go func() {
			u := ginauth.CurrentUser(cp)
			if ginauth.HasScope("write")(u) == nil {
				got <- "write"
			}
			u.Grant.Scopes = append(u.Grant.Scopes, "write")
			got <- u.Subject
		}()
		c.Status(http.StatusNoContent)
	})
	token := b.token("read")
	for range 50 {
		b.get(t, "/copy", token)
		if who := <-got; who != "ada" {
			t.Fatal(who)
		}
	}
}

// JWTs that are not access tokens.
func TestBearerOtherKindsOfJWT(t *testing.T) {
	b := newBearing(t, nil)
	now := b.Clock.Now().Unix()
	base := func(more map[string]any) map[string]any {
		c := map[string]any{"iss": b.IDP.Issuer, "sub": "ada", "aud": theAPI, "iat": now, "exp": now + 600, "client_id": "x", "scope": "read"}
		for k, v := range more {
			c[k] = v
		}
		return c
	}
	b.get(t, "/read", b.IDP.Sign(map[string]any{"typ": "JWT"}, base(nil))).admits(t)
	b.get(t, "/read", b.IDP.Sign(map[string]any{"typ": "at+jwt"}, base(map[string]any{"nonce": "n"}))).admits(t) // its typ identifies it
	for name, token := range map[string]string{
		"an ID token for both":     b.IDP.Sign(map[string]any{"typ": "JWT"}, base(map[string]any{"aud": []any{b.IDP.ClientID, theAPI}, "nonce": "n"})),
		"userinfo":                 b.IDP.Sign(map[string]any{"typ": "JWT"}, map[string]any{"iss": b.IDP.Issuer, "sub": "ada", "aud": theAPI, "scope": "read"}),
		"introspection response":   b.IDP.Sign(map[string]any{"typ": "token-introspection+jwt"}, base(nil)),
		"a request object":         b.IDP.Sign(map[string]any{"typ": "oauth-authz-req+jwt"}, base(nil)),
		"a client assertion":       b.IDP.Sign(map[string]any{"typ": "JWT"}, base(map[string]any{"iss": "x"})),
		"a DPoP proof":             b.IDP.Sign(map[string]any{"typ": "dpop+jwt"}, base(nil)),
		"a logout token, typ JWT":  b.IDP.Sign(map[string]any{"typ": "JWT"}, base(map[string]any{"events": map[string]any{}})),
		"Keycloak's refresh token": b.IDP.Sign(map[string]any{"typ": "JWT"}, base(map[string]any{"typ": "Refresh"})),
		"a null nonce":             b.IDP.Sign(map[string]any{"typ": "JWT"}, base(map[string]any{"nonce": nil})),
		"typ text with NUL":        b.IDP.Sign(map[string]any{"typ": "at+jwt\x00"}, base(nil)),
		"typ in a list":            b.IDP.Sign(map[string]any{"typ": []any{"at+jwt"}}, base(nil)),
		"two parts changed":        "e30.e30.AA",
		"encrypted":                "e30.AA.AA.AA.AA",
	} {
		t.Run(name, func(t *testing.T) { b.get(t, "/read", token).invalid(t) })
	}
}

// A key that the provider has withdrawn after a leak verifies nothing after an hour, when keys
// are fetched again: not even a token that was accepted before.
func TestBearerAWithdrawnKeyEndsRememberedTokens(t *testing.T) {
	b := newBearing(t, nil)
	long := func() string {
		return b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Life: 100 * time.Hour})
	}
	seen, unseen := long(), long()
	b.get(t, "/read", seen).admits(t)
	b.IDP.RotateKey()
	b.IDP.EditJWKS(func(keys []map[string]any) []map[string]any { return keys[len(keys)-1:] })
	b.Clock.Advance(2 * time.Hour)
	b.get(t, "/read", long()).admits(t)
	b.get(t, "/read", unseen).invalid(t)
	b.get(t, "/read", seen).invalid(t)
}

// Keys that are replaced under one kid, or have none, are found without a sign-in: a service
// that only validates tokens has no sign-ins.
func TestBearerReplacedKeysAreFoundWithoutASignIn(t *testing.T) {
	for name, kid := range map[string]string{"the same kid": "same", "no kid": ""} {
		t.Run(name, func(t *testing.T) {
			var clock sitetest.Clock
			idp := sitetest.StartProvider(t, authtest.Config{Now: clock.Now})
			idp.EditJWKS(func(keys []map[string]any) []map[string]any {
				last := keys[len(keys)-1]
				if last["kid"] = kid; kid == "" {
					delete(last, "kid")
				}
				return []map[string]any{last}
			})
			engine := gin.New()
			auth, err := ginauth.Mount(engine, ginauth.Options{BaseURL: "http://localhost", Now: clock.Now, Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: theAPI}}})
			if err != nil {
				t.Fatal(err)
			}
			engine.GET("/read", auth.RequireAuth(ginauth.HasScope("read")), showUser)
			ask := func() int {
				token := idp.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Edit: func(h, _ map[string]any) {
					if h["kid"] = kid; kid == "" {
						delete(h, "kid")
					}
				}})
				r := httptest.NewRequest("GET", "/read", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				engine.ServeHTTP(w, r)
				return w.Code
			}
			if got := ask(); got != http.StatusOK {
				t.Fatal(got)
			}
			idp.RotateKey()
			clock.Advance(time.Minute)
			if got := ask(); got != http.StatusOK {
				t.Errorf("a minute after the rotation: %d", got)
			}
			clock.Advance(30 * time.Minute)
			if got := ask(); got != http.StatusOK {
				t.Errorf("half an hour after it: %d", got)
			}
		})
	}
}

// Two Auths at one address each have their own metadata, which their challenges name.
func TestBearerTheMetadataOfTwoAuths(t *testing.T) {
	engine := gin.New()
	for _, name := range []string{"one", "two"} {
		auth, err := ginauth.Mount(engine.Group("/"+name), ginauth.Options{BaseURL: "http://localhost", CookieName: name, Providers: []ginauth.Provider{{Name: name, Issuer: "https://" + name + ".example", Audience: theAPI}}})
		if err != nil {
			t.Fatal(err)
		}
		engine.GET("/read/"+name, auth.RequireAuth(ginauth.HasScope("read")), showUser)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	for _, name := range []string{"one", "two"} {
		_, rest, _ := strings.Cut(get("/read/"+name).Header().Get("WWW-Authenticate"), `resource_metadata="`)
		address, _, _ := strings.Cut(rest, `"`)
		if w := get(strings.TrimPrefix(address, "http://localhost")); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), name+".example") {
			t.Errorf("%s: %q has %d %s", name, address, w.Code, w.Body)
		}
	}
}

// An OnToken that aborts does not leave an empty 200.
func TestBearerAnOnTokenThatAbortsIsNoSuccess(t *testing.T) {
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnToken = func(c *gin.Context, _ *ginauth.User) error { c.Abort(); return nil }
	})
	if a := b.get(t, "/read", b.token("read")); a.status < 400 {
		t.Errorf("%d %q", a.status, a.text)
	}
}

// Nor does BeginLogin accept a token, or a Grant of Authenticate, as the user that links an
// account.
func TestBearerBeginLoginLinksNoAccountToAToken(t *testing.T) {
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
			if c.GetHeader("X-Key") == "" {
				return nil, nil
			}
			return &ginauth.User{Provider: "demo", Subject: "ada", Grant: &ginauth.Grant{}}, nil
		}
	})
	b.Engine.POST("/begin", func(c *gin.Context) {
		_, err := b.Auth.BeginLogin(c, ginauth.Start{Provider: "demo", Link: true})
		c.String(http.StatusOK, "%v", err)
	})
	header := []string{"Origin", b.URL, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	for name, more := range map[string][]string{"a token": {"Authorization", "Bearer " + b.token()}, "a key with an empty Grant": {"X-Key", "1"}} {
		if a := b.send(t, "POST", "/begin", "", append(header, more...)...); a.text == "<nil>" {
			t.Errorf("%s: a sign-in that links began", name)
		}
	}
}

// Requests during SetProviders, for the race detector.
func TestBearerSetProvidersDuringRequests(t *testing.T) {
	b := newBearing(t, introspecting)
	jwt, opaque := b.token("read"), b.opaque(nil)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				for _, token := range []string{jwt, opaque, "nonsense", fmt.Sprint("random-", i)} {
					if a := b.get(t, "/read", token); a.status != 200 && a.status != 401 {
						t.Errorf("%d %s", a.status, a.text)
					}
				}
			}
		})
	}
	for i := range 30 {
		p := sitetest.Client("demo", b.IDP)
		p.Audience, p.Introspect = []string{theAPI, "https://another.example/", ""}[i%3], i%3 == 0
		b.SetProviders(p)
		at := b.arrived.Load()
		until(t, func() bool { return b.arrived.Load() > at+4 })
	}
	close(stop)
	wg.Wait()
}

// Many different tokens, rejected or not, use little memory.
func TestBearerMemoryIsBounded(t *testing.T) {
	b := newBearing(t, introspecting)
	b.IDP.Handle(authtest.Introspect, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		now := b.Clock.Now().Unix()
		writeTestJSON(w, map[string]any{"active": strings.HasPrefix(r.Form.Get("token"), "good"), "sub": "ada", "client_id": "x", "scope": "read", "aud": theAPI, "iat": now, "exp": now + 600})
	})
	pad := strings.Repeat("x", 4000)
	use := func(n int) {
		for i := range n {
			r := httptest.NewRequest("GET", "/read", nil)
			r.Header.Set("Authorization", fmt.Sprintf("Bearer %s-%d-%s", []string{"good", "bad"}[i%2], i, pad))
			b.Engine.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	use(5000)
	before := heap()
	use(10000) // the provider of the test remembers its requests, too
	if after := heap(); after > before+50<<20 {
		t.Errorf("from %d to %d MB", before>>20, after>>20)
	}
}

// A provider that took long to fail is not queried for a while, either: counted from its
// failure, not from the request.
func TestBearerASlowFailureIsRemembered(t *testing.T) {
	b := newBearing(t, introspecting)
	gate, entered := make(chan struct{}), new(atomic.Int64)
	b.IDP.Handle(authtest.Introspect, func(w http.ResponseWriter, _ *http.Request) {
		entered.Add(1)
		<-gate
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	first := make(chan answer, 1)
	go func() { first <- b.get(t, "/read", "an-opaque-token") }()
	until(t, func() bool { return entered.Load() > 0 })
	b.Clock.Advance(9 * time.Second)
	close(gate)
	if a := <-first; a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.status, a.text)
	}
	for range 5 {
		b.get(t, "/read", "an-opaque-token")
	}
	if n := entered.Load(); n > 1 {
		t.Errorf("%d questions to a provider that is down", n)
	}
}

// A provider that is down is not queried for each of many tokens.
func TestBearerAProviderThatIsDownIsLeftAlone(t *testing.T) {
	b := newBearing(t, introspecting)
	b.get(t, "/read", b.opaque(nil)).admits(t)
	before := b.IDP.Count(authtest.Introspect)
	b.IDP.Fail(authtest.Introspect, authtest.Down)
	for i := range 50 {
		b.get(t, "/read", fmt.Sprint("random-", i))
	}
	if n := b.IDP.Count(authtest.Introspect) - before; n > 10 {
		t.Errorf("%d introspections at a provider that responds with 503", n)
	}
}

// A JWT is verified once an hour, since its key may be withdrawn; a refusal, and a user whom
// OnToken has seen, last a minute; and a failure is not remembered at all.
func TestBearerHowLongAResultLasts(t *testing.T) {
	var asked int
	var answer error
	ask := func() error { asked++; return answer }
	verify := func(_ *sitetest.Site, o *ginauth.Options) {
		o.Lifetime = 12 * time.Hour
		o.Providers[0].VerifyClaims = func(map[string]any) error { return ask() }
	}
	onToken := func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnToken = func(*gin.Context, *ginauth.User) error { return ask() }
	}
	for name, test := range map[string]struct {
		change func(*sitetest.Site, *ginauth.Options)
		first  error
		status int
		within time.Duration // in which nothing is called again
		after  time.Duration // when it is
	}{
		"a user":                 {verify, nil, http.StatusOK, 59 * time.Minute, 2 * time.Minute},
		"a refused user":         {verify, errors.New("no"), http.StatusUnauthorized, 59 * time.Second, 2 * time.Second},
		"a user of OnToken":      {onToken, nil, http.StatusOK, 59 * time.Second, 2 * time.Second},
		"one that it refuses":    {onToken, ginauth.ErrForbidden, http.StatusForbidden, 59 * time.Second, 2 * time.Second},
		"an OnToken that failed": {onToken, errors.New("the database is down"), http.StatusServiceUnavailable, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearing(t, test.change)
			asked, answer = 0, test.first
			token := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Life: 3 * time.Hour})
			if a := b.get(t, "/read", token); a.status != test.status || asked != 1 {
				t.Fatalf("%d %s, %d calls", a.status, a.text, asked)
			}
			if b.Clock.Advance(test.within); test.within > 0 {
				if a := b.get(t, "/read", token); a.status != test.status || asked != 1 {
					t.Errorf("after %v: %d %s, %d calls", test.within, a.status, a.text, asked)
				}
			}
			answer = nil
			b.Clock.Advance(test.after)
			b.get(t, "/read", token).admits(t)
			if asked != 2 {
				t.Errorf("%d calls", asked)
			}
		})
	}
}

// A token that was accepted is verified again if the clock is set back to a time before it was
// issued.
func TestBearerWhenTheClockIsSetBack(t *testing.T) {
	b := newBearing(t, nil)
	token := b.token("read")
	b.get(t, "/read", token).admits(t)
	b.Clock.Advance(-2 * time.Hour)
	b.get(t, "/read", token).invalid(t)
}

// MaxAge is about when the user authenticated, not about when the token was issued, unless only
// that is known.
func TestBearerAuthTime(t *testing.T) {
	b := newBearing(t, nil)
	now := b.Clock.Now().Truncate(time.Second)
	for name, test := range map[string]struct {
		authTime any
		want     time.Time
	}{"an hour ago": {now.Add(-time.Hour).Unix(), now.Add(-time.Hour)}, "unknown": {nil, now}} {
		a := b.get(t, "/read", b.edited(func(_, claims map[string]any) {
			claims["iat"] = now.Unix()
			if test.authTime != nil {
				claims["auth_time"] = test.authTime
			}
		}))
		if a.admits(t); a.user == nil || !a.user.AuthTime.Equal(test.want) {
			t.Errorf("%s: %+v", name, a.user)
		}
	}
	old := b.edited(func(_, claims map[string]any) { claims["auth_time"], claims["acr"] = now.Add(-time.Hour).Unix(), "mfa" })
	if a := b.get(t, "/fresh", old); a.status != http.StatusUnauthorized || a.user != nil {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// What cannot be a token (RFC 6750, 2.1) is not sent to the provider.
func TestBearerIntrospectsOnlyTokens(t *testing.T) {
	b := newBearing(t, introspecting)
	for _, token := range []string{"caf\u00e9", "a,b", "a=b", "="} {
		b.get(t, "/read", token).is(t, http.StatusBadRequest, ginauth.ErrBadRequest, "Bearer error=")
	}
	if n := b.IDP.Count(authtest.Introspect); n != 0 {
		t.Errorf("%d introspections", n)
	}
}

// OnToken is blamed for a response only if it wrote one, and its own errors keep their IDs.
func TestBearerWhatOnTokenDid(t *testing.T) {
	var answer error
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnToken = func(*gin.Context, *ginauth.User) error { return answer }
	})
	guard := b.Auth.RequireAuth(ginauth.HasScope("read"))
	b.Engine.GET("/written", func(c *gin.Context) { c.Writer.WriteHeaderNow() }, guard, showUser)
	b.Engine.GET("/aborted", func(c *gin.Context) {
		c.Abort()
		guard(c)
		showUser(c)
	})
	for _, path := range []string{"/written", "/aborted"} {
		b.get(t, path, b.token("read")).admits(t)
	}
	for id, err := range map[string]error{
		"hook.on_token_refused": ginauth.ErrForbidden, "shop.closed": &ginauth.Error{Code: ginauth.ErrForbidden, ID: "shop.closed", Reason: "closed"},
	} {
		answer = err
		if a := b.get(t, "/read", b.token("read", id)); a.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", id, a.status, a.text)
		}
		sitetest.WantID(t, b.Logs.String(), id)
	}
}

// What is in WWW-Authenticate, and that it is only in responses that are about a bearer token.
func TestBearerChallenges(t *testing.T) {
	keys := func(c *gin.Context) (*ginauth.User, error) {
		if c.GetHeader("X-API-Key") != "" {
			return nil, ginauth.ErrInvalidToken
		}
		return nil, nil
	}
	tokens := func(*ginauth.Options) {}
	for name, test := range map[string]struct {
		change func(*ginauth.Options)
		guard  []ginauth.Check
		answer error // of the handler
		bearer string
		header []string
		status int
		want   string // with META for the address of the metadata
	}{
		"MaxAge alone": {tokens, []ginauth.Check{ginauth.HasScope("read"), ginauth.MaxAge(time.Minute)}, nil, "old", nil, 401, `Bearer error="insufficient_user_authentication", max_age="60", resource_metadata="META"`},
		"ACR alone":    {tokens, []ginauth.Check{ginauth.HasScope("read"), ginauth.ACR("mfa")}, nil, "good", nil, 401, `Bearer error="insufficient_user_authentication", acr_values="mfa", resource_metadata="META"`},
		"an ACR that does not fit into a quoted string": {tokens, []ginauth.Check{ginauth.HasScope("read"), ginauth.ACR("a\"b\\c")}, nil, "good", nil, 401,
			`Bearer error="insufficient_user_authentication", acr_values="a?b?c", resource_metadata="META"`},
		"a demand of the handler's own":     {tokens, []ginauth.Check{ginauth.HasScope("read")}, ginauth.ErrStepUpRequired, "good", nil, 403, ""},
		"a bad request of the handler's":    {tokens, []ginauth.Check{ginauth.HasScope("read")}, ginauth.ErrBadRequest, "good", nil, 400, ""},
		"an error with an ID like ours":     {tokens, []ginauth.Check{ginauth.HasScope("read")}, &ginauth.Error{Code: ginauth.ErrForbidden, ID: "bearer.closed", Reason: "closed"}, "good", nil, 403, ""},
		"an audience that came at run time": {func(o *ginauth.Options) { o.Providers[0].Audience = "" }, nil, nil, "", nil, 401, "Bearer"},
		"a key, and no token":               {func(o *ginauth.Options) { o.Hooks.Authenticate = keys }, nil, nil, "", []string{"X-API-Key", "x"}, 401, ""},
		"only keys, and a token": {func(o *ginauth.Options) { o.Hooks.Authenticate, o.Providers[0].Audience = keys, "" }, nil, nil, "nonsense", nil, 401,
			`Bearer error="invalid_token"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) { test.change(o) })
			b.Engine.GET("/here", b.Auth.RequireAuth(test.guard...), func(c *gin.Context) {
				if test.answer != nil {
					b.Auth.Fail(c, test.answer)
				}
			})
			if test.want == "Bearer" {
				p := sitetest.Client("demo", b.IDP)
				p.Audience = theAPI
				if err := b.Auth.SetProviders([]ginauth.Provider{p}); err != nil {
					t.Fatal(err)
				}
			}
			token := test.bearer
			switch token {
			case "good":
				token = b.token("read")
			case "old":
				token = b.edited(func(_, claims map[string]any) { claims["auth_time"] = b.Clock.Now().Add(-time.Hour).Unix() })
			}
			a := b.get(t, "/here", token, test.header...)
			want := strings.ReplaceAll(test.want, "META", b.URL+"/.well-known/oauth-protected-resource")
			if a.status != test.status || a.challenge != want {
				t.Errorf("%d, challenge %q; want %d, %q", a.status, a.challenge, test.status, want)
			}
		})
	}

	// A session's demands are not those of a token, whatever Authorization says.
	for name, accepts := range map[string]bool{"no tokens": false, "tokens": true} {
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			if accepts {
				o.Providers[0].Audience = theAPI
			}
		})
		s.Engine.GET("/here", s.Auth.RequireAuth(ginauth.ACR("mfa")), showUser)
		s.SignIn()
		var header []string
		if !accepts {
			header = []string{"Authorization", "Bearer of-another-program"}
		}
		if p := s.Ask("GET", "/here", header...); p.Status == http.StatusOK || p.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d, challenge %q", name, p.Status, p.Header.Get("WWW-Authenticate"))
		}
	}
}

// RFC 7662, 2.2: exp is OPTIONAL. Such a token is introspected once a minute, too.
func TestBearerIntrospectedWithoutExp(t *testing.T) {
	b := newBearing(t, introspecting)
	token := b.opaque(func(claims map[string]any) { delete(claims, "exp") })
	for range 3 {
		b.get(t, "/read", token).admits(t)
		b.Clock.Advance(19 * time.Second)
	}
	if n := b.IDP.Count(authtest.Introspect); n != 1 {
		t.Errorf("%d introspections in a minute", n)
	}
	b.Clock.Advance(5 * time.Second)
	b.get(t, "/read", token).admits(t)
	if n := b.IDP.Count(authtest.Introspect); n != 2 {
		t.Errorf("%d introspections after a minute", n)
	}
}

// The API is not a gateway: 503, whatever fails at the provider. A panic is named.
func TestBearerTheProviderOrAFunctionFails(t *testing.T) {
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.HTTPClient = &http.Client{Transport: sitetest.RoundTripper(func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded })}
	})
	b.get(t, "/read", b.token("read")).is(t, http.StatusServiceUnavailable, ginauth.ErrProviderTimeout, "")
	b = newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].VerifyClaims = func(map[string]any) error { panic("a function") }
	})
	if a := b.get(t, "/read", b.token("read")); a.status != http.StatusInternalServerError || a.user != nil {
		t.Errorf("%d %s", a.status, a.text)
	}
	sitetest.WantID(t, b.Logs.String(), "hook.panicked")
}

// awaited is a context that tells when it is waited for.
type awaited struct {
	context.Context
	n *atomic.Int64
}

// Done implements context.Context.
func (a awaited) Done() <-chan struct{} {
	a.n.Add(1)
	return a.Context.Done()
}

// Requests that wait for the OnToken of another one share its result, unless that one's client has
// left, which may be why it failed.
func TestBearerRequestsThatWaitForAnother(t *testing.T) {
	for name, leaves := range map[string]bool{"a failure is shared": false, "a client that leaves": true} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			entered, gate := make(chan struct{}), make(chan struct{})
			b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Hooks.OnToken = func(c *gin.Context, _ *ginauth.User) error {
					if calls.Add(1) > 1 {
						return nil
					}
					close(entered)
					select {
					case <-gate:
						return errors.New("the database is down")
					case <-c.Request.Context().Done():
						return c.Request.Context().Err()
					}
				}
			})
			token := b.token("read")
			ask := func(ctx context.Context) int {
				r := httptest.NewRequestWithContext(ctx, "GET", b.URL+"/read", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				b.Engine.ServeHTTP(w, r)
				return w.Code
			}
			first, leave := context.WithCancel(t.Context())
			defer leave()
			var wg sync.WaitGroup
			wg.Go(func() { ask(first) })
			<-entered
			waiting, status := new(atomic.Int64), make([]int, 3)
			for i := range status {
				wg.Go(func() { status[i] = ask(awaited{t.Context(), waiting}) })
			}
			until(t, func() bool { return waiting.Load() >= 3 })
			want, n := http.StatusServiceUnavailable, int64(1)
			if leaves {
				want, n = http.StatusOK, 2
				leave()
			} else {
				close(gate)
			}
			wg.Wait()
			if !slices.Equal(status, []int{want, want, want}) || calls.Load() != n {
				t.Errorf("%d, after %d calls; want %d after %d", status, calls.Load(), want, n)
			}
		})
	}
}

// held is a context that stops a request when it is about to call OnToken, which looks for a call
// of it in progress.
type held struct {
	context.Context
	reached, release chan struct{}
	once             *sync.Once
}

// Value implements context.Context.
func (h held) Value(key any) any {
	if fmt.Sprintf("%T", key) == "ginauth.runningHook" {
		h.once.Do(func() { close(h.reached); <-h.release })
	}
	return h.Context.Value(key)
}

// A request that finds no result, and gets its turn after another has made one, uses that.
func TestBearerAResultThatCameMeanwhile(t *testing.T) {
	var calls atomic.Int64
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnToken = func(*gin.Context, *ginauth.User) error { calls.Add(1); return nil }
	})
	token := b.token("read")
	h := held{t.Context(), make(chan struct{}), make(chan struct{}), new(sync.Once)}
	var status int
	var wg sync.WaitGroup
	wg.Go(func() {
		r := httptest.NewRequestWithContext(h, "GET", b.URL+"/read", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		b.Engine.ServeHTTP(w, r)
		status = w.Code
	})
	<-h.reached
	b.get(t, "/read", token).admits(t)
	close(h.release)
	wg.Wait()
	if status != http.StatusOK || calls.Load() != 1 {
		t.Errorf("%d after %d calls", status, calls.Load())
	}
}

// Without its revocations a token is not accepted, even if it was before.
func TestBearerTheRevocationsFail(t *testing.T) {
	store := new(sitetest.BrokenRevocations)
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Revocations = store })
	token := b.token("read")
	b.get(t, "/read", token).admits(t)
	store.Broken.Store(true)
	for _, token := range []string{token, b.token("read", "write")} {
		if a := b.get(t, "/read", token); a.status != http.StatusServiceUnavailable || a.user != nil || !strings.Contains(a.text, string(ginauth.ErrStoreUnavailable)) {
			t.Errorf("%d %s", a.status, a.text)
		}
	}
	store.Broken.Store(false)
	b.get(t, "/read", token).admits(t)
}

// LoadUser makes no request to the provider for a token that it does not accept.
func TestBearerLoadUserIntrospectsNothing(t *testing.T) {
	b := newBearing(t, introspecting)
	if a := b.get(t, "/load", b.opaque(nil)); a.status != http.StatusOK || a.user != nil {
		t.Errorf("%d %s", a.status, a.text)
	}
	if n := b.IDP.Count(authtest.Introspect); n != 0 {
		t.Errorf("%d introspections", n)
	}
}

// A check that fails inside AnyOf takes back only what a HasScope in it admitted.
func TestBearerAnyOfTakesBackItsOwnAdmission(t *testing.T) {
	b := newBearing(t, nil)
	refuse := func(*ginauth.User) error { return errors.New("no") }
	scopeAndNo := func(u *ginauth.User) error {
		_ = ginauth.HasScope("read")(u)
		return errors.New("no")
	}
	demo := ginauth.FromProvider("demo")
	b.Engine.GET("/admitted-before", b.Auth.RequireAuth(ginauth.HasScope("read"), ginauth.AnyOf(refuse, demo)), showUser)
	b.Engine.GET("/taken-back", b.Auth.RequireAuth(ginauth.AnyOf(scopeAndNo, demo)), showUser)
	b.get(t, "/admitted-before", b.token("read")).admits(t)
	if a := b.get(t, "/taken-back", b.token("read")); a.status != http.StatusForbidden || a.user != nil {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// Each malformed request has an error of its own.
func TestBearerMalformedRequests(t *testing.T) {
	for id, test := range map[string]struct {
		path  string
		lines []string
	}{
		"bearer.several":   {"/read", []string{"Bearer a", "Bearer b"}},
		"bearer.query":     {"/read?access_token=a", nil},
		"bearer.too_long":  {"/read", []string{"Bearer " + strings.Repeat("a", 64<<10)}},
		"bearer.malformed": {"/read", []string{"Bearer a b"}},
	} {
		b := newBearing(t, nil)
		r := httptest.NewRequest("GET", b.URL+test.path, nil)
		r.Header["Authorization"] = test.lines
		w := httptest.NewRecorder()
		b.Engine.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", id, w.Code, w.Body)
		}
		sitetest.WantID(t, b.Logs.String(), id)
	}
}

// An application that accepts no tokens ignores the header, also where a handler changes the
// session.
func TestBearerIsIgnoredWhereNoTokensAreAccepted(t *testing.T) {
	s := sitetest.New(t, nil)
	s.Engine.POST("/update", s.Auth.RequireAuth(), func(c *gin.Context) {
		if err := s.Auth.Update(c, func(u *ginauth.User) { u.Name = "Changed" }); err != nil {
			s.Auth.Fail(c, err)
			return
		}
		c.String(http.StatusOK, ginauth.CurrentUser(c).Name)
	})
	s.SignIn()
	if p := s.Ask("POST", "/update", "Authorization", "Bearer of-another-program", "Sec-Fetch-Site", "same-origin"); p.Status != http.StatusOK || p.Text() != "Changed" {
		t.Errorf("%d %s", p.Status, p.Text())
	}
}

// The pause after an outage is for unknown tokens: one that was accepted before is queried, so
// that a token at which the provider fails keeps no user out.
func TestBearerAnOutageDoesNotDelayAcceptedTokens(t *testing.T) {
	b := newBearing(t, introspecting)
	accepted, refused, unknown := b.opaque(nil), b.opaque(func(claims map[string]any) { claims["active"] = false }), b.opaque(nil)
	b.get(t, "/read", accepted).admits(t)
	b.get(t, "/read", refused).invalid(t)
	b.Clock.Advance(61 * time.Second)
	b.IDP.Fail(authtest.Introspect, authtest.Down)
	b.get(t, "/read", "random")
	b.IDP.Fail(authtest.Introspect, "")
	b.get(t, "/read", accepted).admits(t)
	for name, token := range map[string]string{"unknown": unknown, "refused": refused} {
		if a := b.get(t, "/read", token); a.status != http.StatusServiceUnavailable {
			t.Errorf("an %s token during the pause: %d %s", name, a.status, a.text)
		}
	}
}

// Diagnose and Warm report a missing introspection endpoint, like every request with an opaque
// token.
func TestBearerDiagnoseFindsAMissingIntrospectionEndpoint(t *testing.T) {
	b := newBearing(t, introspecting)
	b.IDP.EditMetadata(func(m map[string]any) { delete(m, "introspection_endpoint") })
	d := b.Auth.Diagnose(t.Context())
	a := b.get(t, "/read", "an-opaque-token")
	if len(d.Problems) == 0 && !strings.Contains(fmt.Sprint(d), "introspection") {
		t.Errorf("Diagnose finds no problem, but an opaque token gets %d %s", a.status, a.text)
	}
}

// RFC 7662, 2.1: POST. Quirks.TokenMethod is about the token endpoint.
func TestBearerIntrospectionPutsNoTokenIntoAnAddress(t *testing.T) {
	b := newBearing(t, func(s *sitetest.Site, o *ginauth.Options) {
		introspecting(s, o)
		o.Providers[0].Quirks.TokenMethod = "GET"
	})
	var address, method string
	b.IDP.Handle(authtest.Introspect, func(w http.ResponseWriter, r *http.Request) {
		address, method = r.URL.String(), r.Method
		writeTestJSON(w, map[string]any{"active": false})
	})
	b.get(t, "/read", "an-opaque-token").invalid(t)
	if strings.Contains(address, "opaque") || method != "POST" {
		t.Errorf("%s %s", method, address)
	}
}

// The cost of a header with many words is linear in its length.
func TestBearerALongHeaderCostsLittle(t *testing.T) {
	b := newBearing(t, nil)
	long := strings.Repeat("a ", 450<<10)
	for name, line := range map[string]string{"Basic": "Basic " + long, "Bearer": "Bearer " + long} {
		n := testing.Benchmark(func(tb *testing.B) {
			tb.ReportAllocs()
			for tb.Loop() {
				r := httptest.NewRequest("GET", "/read", nil)
				r.Header["Authorization"] = []string{line}
				b.Engine.ServeHTTP(httptest.NewRecorder(), r)
			}
		}).AllocedBytesPerOp()
		if n > 2<<20 {
			t.Errorf("%s: a request with a header of 900 KB allocates %d MB", name, n>>20)
		}
	}
}

// A session has no Grant: a user with one must not get full access through a session.
func TestBearerSignInLosesNoGrant(t *testing.T) {
	b := newBearing(t, nil)
	b.Engine.POST("/signin", func(c *gin.Context) {
		err := b.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada", Grant: &ginauth.Grant{Client: "key", Scopes: []string{"read"}}}, nil)
		c.String(http.StatusOK, "%v", err)
	})
	a := b.send(t, "POST", "/signin", "")
	if len(a.cookies) == 0 {
		return // refused
	}
	cookie, _, _ := strings.Cut(a.cookies[0], ";")
	if a := b.get(t, "/both", "", "Cookie", cookie); a.user != nil {
		t.Errorf("a user who may read is admitted to what wants write: %s", a.text)
	}
}

// HasScope takes single scopes: no token has the scope "read write", which is two.
func TestBearerHasScopeRefusesWhatIsNoScope(t *testing.T) {
	for _, scope := range []string{"read write", "read,write\n", `a"b`} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("HasScope(%q) is a check that rejects every token", scope)
				}
			}()
			ginauth.HasScope(scope)
		}()
	}
}
