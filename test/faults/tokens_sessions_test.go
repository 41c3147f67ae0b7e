package faults

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
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

// The effects of the user's other sessions, redirects to the provider, hooks and SetProviders on
// tokens.
func TestFaultsTokensSessions(t *testing.T) {
	runFaults(t, []fault{
		{"I1_everything_at_once", i1EverythingAtOnce},
		{"I1_set_providers_meanwhile", i1SetProvidersMeanwhile},
		{"I7_refresh_token_of_another_person", i7RefreshTokenOfAnotherPerson},
		{"I10_access_token_of_a_second", i10AccessTokenOfASecond},
		{"I11_two_tabs", i11TwoTabs},
		{"I11_slow_refresh", i11SlowRefresh},
		{"I11_page_of_a_second_tab", i11PageOfASecondTab},
		{"I11_kept_client_after_a_failed_look", i11KeptClientAfterAFailedLook},
		{"I11_kept_client_of_the_session_before", i11KeptClientOfTheSessionBefore},
		{"I14_hook_wipes_the_token", i14HookWipesTheToken},
		{"I15_hook_panics_at_the_sign_out", i15HookPanicsAtTheSignOut},
		{"I16_nil_and_zero", i16NilAndZero},
		{"I21_provider_replaced_meanwhile", i21ProviderReplacedMeanwhile},
		{"I21_store_cuts_values", i21StoreCutsValues},
		{"I23_recheck_that_wants_the_person", i23RecheckThatWantsThePerson},
		{"I24_answer_to_one_user", i24AnswerToOneUser},
		{"I27_recheck_before_the_call", i27RecheckBeforeTheCall},
		{"I27_two_default_scopes", i27TwoDefaultScopes},
		{"I27_scopes_of_another_api", i27ScopesOfAnotherAPI},
		{"I27_scopes_of_an_earlier_configuration", i27ScopesOfAnEarlierConfiguration},
	})
}

// withV2 is a change that adds an API at /v2/ with a separate scope.
func withV2(s *sitetest.Site, o *ginauth.Options) {
	o.Providers[0].APIs = append(o.Providers[0].APIs, ginauth.API{URL: s.IDP.Issuer + "/v2/", Scopes: []string{"groups"}})
}

// tripURL calls the API at /v2/, and returns the URL where the user consents to its scope.
func (k *calling) tripURL(t *testing.T) string {
	t.Helper()
	p := k.call0(k.IDP.Issuer + "/v2/x")
	_, rest, ok := strings.Cut(p.Text(), `"login_url":"`)
	if !ok {
		t.Fatalf("there is no redirect: %d %s", p.Status, p.Text())
	}
	trip, _, _ := strings.Cut(strings.ReplaceAll(rest, `\u0026`, "&"), `"`)
	return trip
}

// tokenRefused responds to a token request with an error.
func tokenRefused(w http.ResponseWriter, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"error":"`+code+`"}`)
}

// spied counts how often each refresh token is sent to the provider.
type spied struct {
	k         *calling
	withholds atomic.Bool // sign-ins return no refresh token

	mu   sync.Mutex
	sent map[string]int
	// Called before the provider responds to a request with a refresh token, or a code.
	refresh, code func()
}

func (k *calling) spy() *spied {
	s := &spied{k: k, sent: map[string]int{}}
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		refreshes := r.PostFormValue("grant_type") == "refresh_token"
		s.mu.Lock()
		before := s.code
		if refreshes {
			before = s.refresh
			s.sent[r.PostFormValue("refresh_token")]++
		}
		s.mu.Unlock()
		if before != nil {
			before()
		}
		if refreshes {
			k.IDP.Default(authtest.Token).ServeHTTP(w, r)
			return
		}
		k.answersWithout(w, r, s.withholds.Load())
	})
	return s
}

// before sets the function to call before the response to a request.
func (s *spied) before(refresh, code func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh, s.code = refresh, code
}

// forget resets the counts.
func (s *spied) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sent)
}

// all returns the refresh tokens that were sent, and how often.
func (s *spied) all() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]int{}
	for token, n := range s.sent {
		all[token] = n
	}
	return all
}

// twice reports refresh tokens that were sent more than once.
func (s *spied) twice(t *testing.T) {
	t.Helper()
	for token, n := range s.all() {
		if n > 1 {
			t.Errorf("the refresh token %.6s… was sent %d times", token, n)
		}
	}
}

// underWay starts a call whose refresh waits at the provider until finish is called, which
// returns the status of the call.
func (s *spied) underWay(t *testing.T, code func()) (finish func() int) {
	t.Helper()
	asked, goOn, ended := make(chan bool), make(chan bool), make(chan int, 1)
	answer := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(answer)
	s.before(sync.OnceFunc(func() {
		close(asked)
		<-goOn
	}), code)
	go func() { ended <- s.k.at(t, s.k.Site) }()
	select {
	case <-asked:
	case status := <-ended:
		t.Fatalf("the call refreshes no token: %d", status)
	}
	return func() int {
		answer()
		status := <-ended
		s.before(nil, nil)
		return status
	}
}

// meanwhile calls a function just before the n-th operation of a kind.
func (s *tokenStore) meanwhile(n int, of string, do func()) {
	s.breaks(func(op string) error {
		if op != of {
			return nil
		}
		if n--; n == 0 {
			s.fail = nil
			s.mu.Unlock() // the operation holds the lock
			defer s.mu.Lock()
			do()
		}
		return nil
	})
}

// Pages, calls and rechecks at two replicas, with a provider that alternates between success and
// failure: no refresh token is sent after the provider has replaced it, and the session stays.
func i1EverythingAtOnce(t *testing.T) {
	k := newRechecked(t, func(s *sitetest.Site, o *ginauth.Options) {
		withV2(s, o)
		o.Providers[0].Recheck = time.Minute
	})
	k.Engine.GET("/force", k.Auth.RequireAuth(), func(c *gin.Context) {
		if err := k.Auth.Recheck(c); err != nil {
			k.Auth.Fail(c, err)
		}
	})
	var kept atomic.Pointer[http.Client]
	k.Engine.GET("/keep", k.Auth.RequireAuth(), func(c *gin.Context) { kept.Store(k.Auth.Client(c.Request.Context())) })
	k.Get("/keep")
	var mode, spent atomic.Int64
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() % 4 {
		case 1:
			tokenRefused(w, "login_required")
			return
		case 2:
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answer := httptest.NewRecorder()
		k.IDP.Default(authtest.Token).ServeHTTP(answer, r)
		if strings.Contains(answer.Body.String(), "invalid_grant") {
			spent.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
	cookie, other := k.CookieHeader(), k.replica()
	for range 8 {
		mode.Add(1)
		k.Clock.Advance(61 * time.Minute)
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				address := k.URL + []string{"/call", "/force", "/me", "/call?to=" + k.IDP.Issuer + "/v2/x"}[i%4]
				if i%8 == 0 {
					address = other.URL + "/call"
				}
				r, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Cookie", cookie)
				answer, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = answer.Body.Close()
				if i == 5 {
					if answer, err := kept.Load().Get(k.IDP.URL(authtest.Userinfo)); err == nil {
						_ = answer.Body.Close()
					}
				}
			})
		}
		all.Wait()
	}
	k.IDP.Handle(authtest.Token, nil)
	k.expire()
	if status := k.with(t, cookie); status != http.StatusOK || spent.Load() > 0 {
		t.Errorf("the session gets %d, after %d refresh tokens that had been replaced", status, spent.Load())
	}
}

// Repeated SetProviders with the same provider: its tokens stay, and are refreshed once.
func i1SetProvidersMeanwhile(t *testing.T) {
	k := newCalling(t, withV2)
	for i := range 5 {
		k.expire()
		var all sync.WaitGroup
		all.Go(func() {
			for range 20 {
				if err := k.Auth.SetProviders([]ginauth.Provider{k.provider}); err != nil {
					t.Error(err)
				}
			}
		})
		for range 20 {
			all.Go(func() {
				if status := k.at(t, k.Site); status != http.StatusOK {
					t.Errorf("status %d", status)
				}
			})
		}
		all.Wait()
		k.asked(t, i+2)
	}
}

// OnLogin sets Renewal for an ordinary sign-in: the new session gets no refresh token of the
// previous session, whose user may be different.
func i7RefreshTokenOfAnotherPerson(t *testing.T) {
	for _, person := range []string{"grace", "ada"} {
		t.Run(person, func(t *testing.T) {
			k := newCalling(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
					l.Renewal = true
					return nil
				}
			})
			before, spy := k.refreshToken(t), k.spy()
			spy.withholds.Store(true)
			k.IDP.SignInAs(person)
			k.Get("/login/demo")
			if u := k.User(); u == nil || u.Subject != person {
				t.Fatalf("signed in as %+v", u)
			}
			k.expire()
			k.WantError(k.call(), ginauth.ErrStepUpRequired)
			if n := spy.all()[before]; n != 0 {
				t.Errorf("the refresh token of the session before was sent %d times", n)
			}
			k.signedIn(t, true)
		})
	}
}

// The access token of a sign-in expires while the page is generated: the page does not redirect
// to the provider again.
func i10AccessTokenOfASecond(t *testing.T) {
	k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
		withV2(s, o)
		s.IDP.EditToken(func(answer map[string]any) { answer["expires_in"] = 1 })
	})
	k.Engine.GET("/page", k.Auth.RequireAuth(), func(c *gin.Context) {
		k.Clock.Advance(2 * time.Second)
		_, err := k.Auth.Client(c).Get(k.IDP.Issuer + "/v2/x")
		k.Auth.Fail(c, err)
	})
	k.refreshesAnswer(http.StatusBadRequest, `{"error":"invalid_scope"}`)
	p, trips := k.opens(t, "/page")
	if k.WantError(p, ginauth.ErrProviderDenied); trips != 1 {
		t.Errorf("%d redirects", trips)
	}
	k.signedIn(t, true)
}

// Two tabs finish sign-ins concurrently, which return no refresh token: that of the previous
// session continues in one of them.
func i11TwoTabs(t *testing.T) {
	k := newCalling(t, withV2)
	spy, trip := k.spy(), k.tripURL(t)
	spy.withholds.Store(true)
	spy.forget()
	first, second := k.Begin(trip), k.Begin(trip)
	tabs := []*authtest.Browser{k.Browser, k.Browser.Clone()}
	finish := func(tab int, callback string) {
		p, err := tabs[tab].Click(authtest.At(k.IDP.Issuer+"/authorize"), callback)
		if err != nil || p.Status != http.StatusOK || k.UserOf(tabs[tab]) == nil {
			t.Errorf("tab %d has no session: %v %v\n%s", tab, p, err, k.Logs)
		}
	}
	// The first has read the tokens of the previous session, and is about to take them over.
	k.store.meanwhile(2, "load", func() { finish(1, second.String()) })
	finish(0, first.String())
	k.expire()
	for i := range 4 {
		switch p := k.AskAs(tabs[i%2], "GET", "/call", sitetest.Fetch...); {
		case i%2 == 0:
			k.WantError(p, ginauth.ErrStepUpRequired)
		case p.Status != http.StatusOK:
			t.Errorf("the tab with the refresh token got %d %s", p.Status, p.Text())
		}
	}
	spy.twice(t)
	if n := len(spy.all()); n != 1 {
		t.Errorf("%d refresh tokens were sent", n)
	}
}

// A refresh ends long after a sign-in without a refresh token: the session has the refresh token
// of that refresh.
func i11SlowRefresh(t *testing.T) {
	k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
		withV2(s, o)
		o.Lifetime, o.IdleTimeout = 4*time.Hour, 4*time.Hour
	})
	spy, trip := k.spy(), k.tripURL(t)
	spy.withholds.Store(true)
	spy.forget()
	k.Clock.Advance(59*time.Minute + 40*time.Second)
	u := k.Begin(trip)
	finish := spy.underWay(t, nil)
	if p := k.Finish(u); p.Status != http.StatusOK {
		t.Errorf("the sign-in ended in %d %s", p.Status, p.Text())
	}
	finish()
	if ttl := k.store.kept(); ttl < 4*time.Hour-time.Minute {
		t.Errorf("the tokens are kept for %v", ttl)
	}
	for range 2 {
		k.expire()
		k.works(t, k.IDP.Count(authtest.Token)+1)
	}
	spy.twice(t)
}

// A page waits for a refresh while another tab finishes a sign-in, which ends the page's
// session: the page continues with the new session.
func i11PageOfASecondTab(t *testing.T) {
	k := newCalling(t, withV2)
	trip := k.tripURL(t)
	k.Clock.Advance(59*time.Minute + 40*time.Second)
	u := k.Begin(trip)
	tab := k.Browser.Clone()
	asked, goOn, ended := make(chan bool), make(chan bool), make(chan bool)
	answer := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(answer)
	ask := sync.OnceFunc(func() { close(asked) })
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("grant_type") == "refresh_token" {
			ask()
			<-goOn
		}
		k.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
	var p *authtest.Page
	var err error
	go func() {
		defer close(ended)
		p, err = tab.Get(k.URL + "/call")
	}()
	<-asked
	if p := k.Finish(u); p.Status != http.StatusOK {
		t.Errorf("the sign-in ended in %d %s", p.Status, p.Text())
	}
	answer()
	<-ended
	if err != nil || p.Status != http.StatusOK || p.URL.Path != "/call" {
		t.Errorf("the second tab has %v %v", p, err)
	}
}

// The check for sign-outs fails: a kept client sends no token, and checks again with the next
// request.
func i11KeptClientAfterAFailedLook(t *testing.T) {
	k, marks := newTroubled(t, nil)
	var kept *http.Client
	k.Engine.GET("/keep", k.Auth.RequireAuth(), func(c *gin.Context) { kept = k.Auth.Client(c.Request.Context()) })
	k.Get("/keep")
	call := func() error {
		answer, err := kept.Get(k.IDP.URL(authtest.Userinfo))
		if err == nil {
			_ = answer.Body.Close()
		}
		return err
	}
	k.Clock.Advance(6 * time.Second)
	if err := call(); err != nil {
		t.Fatal(err)
	}
	if err := k.Auth.LogoutEverywhere(t.Context(), k.User().ID()); err != nil {
		t.Fatal(err)
	}
	k.Clock.Advance(6 * time.Second)
	before := k.IDP.Count(authtest.Userinfo)
	marks.watermarks.set(func() error { return errors.New("a moment") })
	if err := call(); !errors.Is(err, ginauth.ErrStoreUnavailable) {
		t.Errorf("while it fails: %v", err)
	}
	marks.watermarks.set(nil)
	if err := call(); !errors.Is(err, ginauth.ErrUnauthenticated) {
		t.Errorf("after it has failed: %v", err)
	}
	if n := k.IDP.Count(authtest.Userinfo) - before; n != 0 {
		t.Errorf("%d calls after the sign-out", n)
	}
}

// A new sign-in ends the session of a kept client, and the new session has its tokens: the
// validity of the new session does not make the old one valid.
func i11KeptClientOfTheSessionBefore(t *testing.T) {
	k := newCalling(t, withV2)
	var kept []*http.Client
	k.Engine.GET("/keep", k.Auth.RequireAuth(), func(c *gin.Context) { kept = append(kept, k.Auth.Client(c.Request.Context())) })
	k.Get("/keep")
	k.spy().withholds.Store(true)
	k.Get(k.tripURL(t))
	k.Get("/keep")
	k.Clock.Advance(6 * time.Second)
	for i, client := range []*http.Client{kept[1], kept[0]} {
		answer, err := client.Get(k.IDP.URL(authtest.Userinfo))
		if err == nil {
			_ = answer.Body.Close()
		}
		if ended := errors.Is(err, ginauth.ErrUnauthenticated); ended != (i == 1) || err != nil && !ended {
			t.Errorf("client %d: %v", i, err)
		}
	}
}

// OnLogin clears the token that it received, to keep it out of logs: the session keeps its own
// copy.
func i14HookWipesTheToken(t *testing.T) {
	k := newCalling(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			l.Token.RefreshToken, l.Token.AccessToken = "", ""
			return nil
		}
	})
	k.works(t, 1)
	k.expire()
	k.works(t, 2)
}

// OnLogout panics: the tokens are still dropped and revoked.
func i15HookPanicsAtTheSignOut(t *testing.T) {
	k := newCalling(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(*gin.Context, *ginauth.User) { panic("a mistake") }
	})
	_, _ = k.Browser.Submit(authtest.At(k.URL+"/"), k.URL+"/logout", nil) // the connection is closed
	sitetest.Eventually(t, func() bool { return len(k.store.all()) == 0 && k.IDP.Count(authtest.Revoke) == 1 })
	k.signedIn(t, false)
}

// Contexts without a request, and nil arguments, cause errors, not panics.
func i16NilAndZero(t *testing.T) {
	k := newCalling(t, nil)
	var none context.Context
	var noGin *gin.Context
	made, _ := gin.CreateTestContext(httptest.NewRecorder())
	for name, ctx := range map[string]context.Context{
		"no request": t.Context(), "nil": none, "nil of Gin": noGin, "an empty one of Gin": new(gin.Context), "one of Gin without a request": made,
	} {
		t.Run(name, func(t *testing.T) {
			client := k.Auth.Client(ctx)
			if answer, err := client.Get(k.IDP.URL(authtest.Userinfo)); !errors.Is(err, ginauth.ErrUnauthenticated) {
				t.Errorf("Client: %v %v", answer, err)
			}
			if token, err := k.Auth.Token(ctx, k.IDP.URL(authtest.Userinfo)); !errors.Is(err, ginauth.ErrUnauthenticated) {
				t.Errorf("Token: %v %v", token, err)
			}
			client.CloseIdleConnections()
		})
	}
	if token, err := k.Auth.Token(t.Context(), "://\x00"); !sitetest.HasID(err, "api.address") {
		t.Errorf("Token of no address: %v %v", token, err)
	}
	if token, err := k.Auth.Refresh(t.Context(), "demo", nil); !sitetest.HasID(err, "refresh.no_token") {
		t.Errorf("Refresh of no token: %v %v", token, err)
	}
	if token, err := k.Auth.Refresh(t.Context(), "", nil); !errors.Is(err, ginauth.ErrUnknownProvider) {
		t.Errorf("Refresh of no provider: %v %v", token, err)
	}
	if n := k.IDP.Count(authtest.Userinfo); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// A refresh is in progress when SetProviders replaces the provider: no request waits for its
// token to send it to an API of the new provider.
func i21ProviderReplacedMeanwhile(t *testing.T) {
	k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
		apis := o.Providers[0].APIs
		sitetest.Plain(s, o)
		p := &o.Providers[0]
		p.APIs, p.Scopes, p.ClaimPaths = apis, []string{"profile", "offline_access"}, map[string]string{"sub": "sub"}
	})
	var hits atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer api.Close()
	k.expire()
	finish := k.spy().underWay(t, nil)
	other := sitetest.StartProvider(t, authtest.Config{ClientID: "other"})
	p := k.provider
	p.AuthorizeURL, p.TokenURL, p.UserinfoURL = other.URL(authtest.Authorize), other.URL(authtest.Token), other.URL(authtest.Userinfo)
	p.ClientID, p.ClientSecret = "other", other.Client("x").ClientSecret
	p.APIs = []ginauth.API{{URL: api.URL + "/"}}
	if err := k.Auth.SetProviders([]ginauth.Provider{p}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan bool)
	var page *authtest.Page
	go func() {
		defer close(ended)
		page = k.call0(api.URL + "/x")
	}()
	select {
	case <-ended:
	case <-time.After(3 * time.Second): // it waits for the other refresh
	}
	finish()
	<-ended
	if k.WantError(page, ginauth.ErrStepUpRequired); hits.Load() != 0 {
		t.Errorf("the API of the new provider was called %d times", hits.Load())
	}
}

// cutting is a store that truncates values to 255 bytes.
type cutting struct{ ginauth.Tokens }

func (s cutting) Load(ctx context.Context, key ginauth.RevocationKey) ([]byte, error) {
	value, err := s.Tokens.Load(ctx, key)
	return value[:min(255, len(value))], err
}

// With a store that truncates values, pages do not redirect to the provider repeatedly.
func i21StoreCutsValues(t *testing.T) {
	k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
		withV2(s, o)
		o.Providers[0].Scopes = append(o.Providers[0].Scopes, "groups")
		o.Tokens = cutting{o.Tokens}
	})
	k.Engine.GET("/page", k.Auth.RequireAuth(), func(c *gin.Context) {
		_, err := k.Auth.Client(c).Get(k.IDP.Issuer + "/v2/x")
		k.Auth.Fail(c, err)
	})
	for range 2 {
		p, trips := k.opens(t, "/page")
		if k.WantError(p, ginauth.ErrStoreUnavailable); trips > 1 {
			t.Errorf("%d redirects", trips)
		}
		sitetest.WantID(t, k.Logs.String(), "store.tokens_lost")
		k.signedIn(t, true)
		k.Clock.Advance(11 * time.Second)
	}
}

// A page that rechecks, with a provider that requires user interaction each time, redirects
// there once.
func i23RecheckThatWantsThePerson(t *testing.T) {
	for _, code := range []string{"login_required", "interaction_required", "consent_required", "invalid_scope"} {
		t.Run(code, func(t *testing.T) {
			k := newCalling(t, nil)
			k.Engine.GET("/page", k.Auth.RequireAuth(), func(c *gin.Context) { k.Auth.Fail(c, k.Auth.Recheck(c)) })
			k.refreshesAnswer(http.StatusBadRequest, `{"error":"`+code+`"}`)
			p, trips := k.opens(t, "/page")
			if k.WantError(p, ginauth.ErrProviderDenied); trips != 1 {
				t.Errorf("%d redirects", trips)
			}
			k.signedIn(t, true)
		})
	}
}

// The provider's response for one user does not prevent rechecks of others.
func i24AnswerToOneUser(t *testing.T) {
	for _, code := range []string{"access_denied", "user_disabled", "invalid_request"} {
		t.Run(code, func(t *testing.T) {
			k := newRechecked(t, nil)
			ada, hers := k.Browser, k.refreshToken(t)
			k.Browser = k.NewBrowser()
			k.IDP.SignInAs("grace")
			k.SignIn()
			k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
				if r.PostFormValue("refresh_token") == hers {
					tokenRefused(w, code)
					return
				}
				tokenRefused(w, "invalid_grant") // grace has lost her account
			})
			k.due()
			if k.UserOf(ada) == nil {
				t.Error("ada is signed out")
			}
			k.signedIn(t, false)
		})
	}
}

// A page that rechecks before it calls an API whose scopes the provider rejects redirects there
// once.
func i27RecheckBeforeTheCall(t *testing.T) {
	k := newCalling(t, withV2)
	k.Engine.GET("/page", k.Auth.RequireAuth(), func(c *gin.Context) {
		err := k.Auth.Recheck(c)
		if err == nil {
			_, err = k.Auth.Client(c).Get(k.IDP.Issuer + "/v2/x")
		}
		k.Auth.Fail(c, err)
	})
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("scope") == "groups" {
			tokenRefused(w, "invalid_scope")
			return
		}
		k.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
	p, trips := k.opens(t, "/page")
	if k.WantError(p, ginauth.ErrProviderDenied); trips != 1 {
		t.Errorf("%d redirects", trips)
	}
	k.signedIn(t, true)
}

// Two APIs with the scope for all scopes of one API: consent for one does not count for the
// other.
func i27TwoDefaultScopes(t *testing.T) {
	k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].APIs = append(o.Providers[0].APIs,
			ginauth.API{URL: s.IDP.Issuer + "/v2/", Scopes: []string{"api://a/.default"}}, ginauth.API{URL: s.IDP.Issuer + "/v3/", Scopes: []string{"api://b/.default"}})
	})
	k.Engine.GET("/both", k.Auth.RequireAuth(), func(c *gin.Context) {
		for _, address := range []string{k.IDP.Issuer + "/v2/x", k.IDP.Issuer + "/v3/x"} {
			answer, err := k.Auth.Client(c).Get(address)
			if err != nil {
				k.Auth.Fail(c, err)
				return
			}
			_ = answer.Body.Close()
		}
		c.String(http.StatusOK, "both")
	})
	var mu sync.Mutex
	var consented []string
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.PostFormValue("grant_type") != "refresh_token" {
			consented = append(consented, strings.Fields(k.IDP.LastRequest(authtest.Authorize).Form.Get("scope"))...)
		} else if scope := r.PostFormValue("scope"); scope != "" {
			if !slices.Contains(consented, scope) {
				tokenRefused(w, "consent_required")
				return
			}
			r.PostForm.Del("scope") // the provider does not support it
			r.Form.Del("scope")
		}
		k.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
	if p, trips := k.opens(t, "/both"); p.Status != http.StatusOK || p.Text() != "both" || trips > 2 {
		t.Errorf("%d %s after %d redirects", p.Status, p.Text(), trips)
	}
}

// Without a refresh token, the access token of the sign-in is not sent to an API if the name of
// its scope is shared with another API or ambiguous.
func i27ScopesOfAnotherAPI(t *testing.T) {
	for name, tt := range map[string]struct{ granted, wanted string }{
		"all scopes of an API":      {"openid profile", "api://payroll/.default"},
		"the same name at another":  {"openid profile https://graph.example/User.Read", "https://payroll.example/User.Read"},
		"the same name in capitals": {"openid profile https://graph.example/user.read", "https://payroll.example/User.Read"},
		"the same name alone":       {"openid profile User.Read", "https://payroll.example/User.Read"},
	} {
		t.Run(name, func(t *testing.T) {
			var hits atomic.Int64
			api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
			defer api.Close()
			k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].Scopes = []string{"openid", "profile"}
				o.Providers[0].APIs = append(o.Providers[0].APIs, ginauth.API{URL: api.URL + "/", Scopes: []string{tt.wanted}})
				s.IDP.EditToken(func(answer map[string]any) { answer["scope"] = tt.granted })
			})
			if k.WantError(k.call0(api.URL+"/x"), ginauth.ErrStepUpRequired); hits.Load() != 0 {
				t.Errorf("the API was called %d times", hits.Load())
			}
		})
	}
}

// A redirect does not request scopes of an earlier one that no API needs now.
func i27ScopesOfAnEarlierConfiguration(t *testing.T) {
	k := newCalling(t, withV2)
	k.Get(k.tripURL(t))
	p := k.provider
	p.APIs = []ginauth.API{{URL: k.IDP.Issuer + "/v2/", Scopes: []string{"phone"}}}
	if err := k.Auth.SetProviders([]ginauth.Provider{p}); err != nil {
		t.Fatal(err)
	}
	k.Get(k.tripURL(t))
	if asked := k.IDP.LastRequest(authtest.Authorize).Form.Get("scope"); asked != "openid profile offline_access phone" {
		t.Errorf("requested %q", asked)
	}
}
