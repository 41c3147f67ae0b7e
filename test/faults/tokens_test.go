package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsTokens(t *testing.T) {
	runFaults(t, []fault{
		{"I1_many_requests_at_an_expiry", i1ManyRequestsAtAnExpiry},
		{"I1_many_apis", i1ManyAPIs},
		{"I2_many_replicas_at_an_expiry", i2ManyReplicasAtAnExpiry},
		{"I3_browser_hangs_up", i3BrowserHangsUp},
		{"I4_store_fails_after_the_rotation", i4StoreFailsAfterTheRotation},
		{"I4_keys_out_of_reach", i4KeysOutOfReach},
		{"I4_store_is_back_before_the_token_expires", i4StoreIsBackBeforeTheTokenExpires},
		{"I5_invalid_grant", i5InvalidGrant},
		{"I5_invalid_grant_for_one_api", i5InvalidGrantForOneAPI},
		{"I6_outage", i6Outage},
		{"I6_answer_to_one_user", i6AnswerToOneUser},
		{"I7_id_token_of_another", i7IDTokenOfAnother},
		{"I7_refresh_token_of_the_sign_in_before", i7RefreshTokenOfTheSignInBefore},
		{"I8_not_rotated", i8NotRotated},
		{"I10_expires_at_once", i10ExpiresAtOnce},
		{"I11_session_ended", i11SessionEnded},
		{"I11_kept_client", i11KeptClient},
		{"I11_another_session_meanwhile", i11AnotherSessionMeanwhile},
		{"I13_holder_crashes", i13HolderCrashes},
		{"I13_panic_at_a_refresh", i13PanicAtARefresh},
		{"I13_slow_discovery", i13SlowDiscovery},
		{"I14_at_rest", i14AtRest},
		{"I15_sign_out", i15SignOut},
		{"I15_refreshed_meanwhile", i15RefreshedMeanwhile},
		{"I15_unsaved_tokens", i15UnsavedTokens},
		{"I15_revocation_fails", i15RevocationFails},
		{"I16_address_of_no_api", i16AddressOfNoAPI},
		{"I16_address_in_the_log", i16AddressInTheLog},
		{"I16_requests_that_are_none", i16RequestsThatAreNone},
		{"I17_redirect_elsewhere", i17RedirectElsewhere},
		{"I17_redirect_back", i17RedirectBack},
		{"I18_api_refuses_the_token", i18APIRefusesTheToken},
		{"I19_store_fails", i19StoreFails},
		{"I19_store_fails_after_the_claim", i19StoreFailsAfterTheClaim},
		{"I19_store_loses_the_record_meanwhile", i19StoreLosesTheRecordMeanwhile},
		{"I19_store_hangs", i19StoreHangs},
		{"I20_signed_out_meanwhile", i20SignedOutMeanwhile},
		{"I20_context_of_a_handler_that_has_ended", i20ContextOfAHandlerThatHasEnded},
		{"I21_record_that_does_not_open", i21RecordThatDoesNotOpen},
		{"I21_tokens_of_another_provider", i21TokensOfAnotherProvider},
		{"I22_store_rolled_back", i22StoreRolledBack},
		{"I26_shared_tokens_and_revocations_in_memory", i26SharedTokensAndRevocationsInMemory},
		{"I27_fewer_scopes", i27FewerScopes},
		{"I27_two_apis_with_scopes", i27TwoAPIsWithScopes},
		{"I27_refused_after_the_trip", i27RefusedAfterTheTrip},
		{"I27_scopes_by_other_names", i27ScopesByOtherNames},
		{"I27_no_scope_in_the_answer", i27NoScopeInTheAnswer},
	})
}

// tokenStore is a shared store that tests inspect and make fail.
type tokenStore struct {
	mu     sync.Mutex
	values map[ginauth.RevocationKey][]byte
	fail   func(op string) error // error of an operation; nil if it succeeds
	ttl    time.Duration         // of the last value
}

func (s *tokenStore) Load(_ context.Context, key ginauth.RevocationKey) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("load"); err != nil {
		return nil, err
	}
	return s.values[key], nil
}

func (s *tokenStore) Swap(_ context.Context, key ginauth.RevocationKey, old, next []byte, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("swap"); err != nil {
		return false, err
	}
	if string(s.values[key]) != string(old) {
		return false, nil
	}
	if next == nil {
		delete(s.values, key)
		return true, nil
	}
	s.values[key], s.ttl = next, ttl
	return true, nil
}

func (s *tokenStore) failing(op string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(op)
}

// all returns the values.
func (s *tokenStore) all() map[ginauth.RevocationKey][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[ginauth.RevocationKey][]byte{}
	for key, value := range s.values {
		all[key] = value
	}
	return all
}

func (s *tokenStore) set(values map[ginauth.RevocationKey][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values = values
}

// kept returns the lifetime of the last value.
func (s *tokenStore) kept() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ttl
}

func (s *tokenStore) breaks(fail func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// calling is a site whose handler at /call calls an API: the provider's userinfo, which
// validates its access tokens.
type calling struct {
	*sitetest.Site
	store    *tokenStore
	shared   ginauth.Revocations
	provider ginauth.Provider
}

// revocations count as shared, although they are in memory: Mount must not recognize them as its
// own.
type revocations struct{ ginauth.Revocations }

func newCalling(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) *calling {
	t.Helper()
	k := &calling{store: &tokenStore{values: map[ginauth.RevocationKey][]byte{}}}
	k.Site = sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Scopes = []string{"openid", "profile", "offline_access"}
		o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/"}}
		k.shared = revocations{ginauth.NewMemoryRevocations(s.Clock.Now)}
		o.Tokens, o.Revocations = k.store, k.shared
		if change != nil {
			change(s, o)
		}
		k.provider = o.Providers[0]
	})
	k.serve(k.Site)
	k.SignIn()
	return k
}

// serve adds the handlers.
func (k *calling) serve(s *sitetest.Site) {
	s.Engine.GET("/call", s.Auth.RequireAuth(), func(c *gin.Context) {
		address := s.IDP.URL(authtest.Userinfo)
		if to := c.Query("to"); to != "" {
			address = to
		}
		resp, err := s.Auth.Client(c).Get(address)
		if err != nil {
			s.Auth.Fail(c, err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			s.T.Error(err)
		}
		c.Data(resp.StatusCode, "text/plain", body)
	})
}

// call calls the API, as a fetch, and returns the response.
func (k *calling) call(header ...string) *authtest.Page {
	return k.Ask("GET", "/call", sitetest.Plus(sitetest.Fetch, header...)...)
}

// works checks that the API call succeeds, with that many token requests so far.
func (k *calling) works(t *testing.T, tokens int) {
	t.Helper()
	if p := k.call(); p.Status != http.StatusOK || !strings.Contains(p.Text(), `"sub":"ada"`) {
		t.Errorf("the call ended in %d %s", p.Status, p.Text())
	}
	k.asked(t, tokens)
}

// refused checks how a call fails, with that many token requests so far.
func (k *calling) refused(t *testing.T, code ginauth.Code, tokens int) {
	t.Helper()
	k.WantError(k.call(), code)
	k.asked(t, tokens)
}

func (k *calling) asked(t *testing.T, tokens int) {
	t.Helper()
	if n := k.IDP.Count(authtest.Token); n != tokens {
		t.Errorf("%d token requests, want %d", n, tokens)
	}
}

// expire advances the clock past the access token's expiry.
func (k *calling) expire() { k.Clock.Advance(61 * time.Minute) }

// signedIn reports whether the session is still valid.
func (k *calling) signedIn(t *testing.T, want bool) {
	t.Helper()
	if u := k.User(); (u != nil) != want {
		t.Errorf("signed in as %+v, want %t", u, want)
	}
}

// at calls the API at a replica, with the browser's session, and returns the status.
func (k *calling) at(t *testing.T, s *sitetest.Site) int {
	r, err := http.NewRequest("GET", s.URL+"/call", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", k.CookieHeader())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// replica starts another process of the application.
func (k *calling) replica() *sitetest.Site {
	s := k.Replica(func(o *ginauth.Options) {
		o.Providers, o.Tokens, o.Revocations = []ginauth.Provider{k.provider}, k.store, k.shared
	})
	k.serve(s)
	return s
}

func i1ManyRequestsAtAnExpiry(t *testing.T) {
	k := newCalling(t, nil)
	k.works(t, 1)
	k.expire()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if status := k.at(t, k.Site); status != http.StatusOK {
				t.Errorf("status %d", status)
			}
		})
	}
	all.Wait()
	k.asked(t, 2)
	k.works(t, 2)
}

func i2ManyReplicasAtAnExpiry(t *testing.T) {
	k := newCalling(t, nil)
	replicas := []*sitetest.Site{k.Site, k.replica(), k.replica()}
	for i := range 5 {
		k.expire()
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				if status := k.at(t, replicas[i%len(replicas)]); status != http.StatusOK {
					t.Errorf("status %d", status)
				}
			})
		}
		all.Wait()
		k.asked(t, i+2)
	}
	k.signedIn(t, true)
}

// The provider has replaced the refresh token when the browser disconnects.
func i3BrowserHangsUp(t *testing.T) {
	k := newCalling(t, nil)
	k.expire()
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan struct{})
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		k.IDP.Default(authtest.Token).ServeHTTP(w, r)
		close(answered)
	})
	r, err := http.NewRequestWithContext(ctx, "GET", k.URL+"/call", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", k.CookieHeader())
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
		t.Error("the request was not given up")
	}
	<-answered
	k.IDP.Handle(authtest.Token, nil)
	k.works(t, 2)
}

func i4StoreFailsAfterTheRotation(t *testing.T) {
	k := newCalling(t, nil)
	k.expire()
	k.store.breaks(func(op string) error {
		if op == "swap" {
			return errors.New("read-only")
		}
		return nil
	})
	k.works(t, 2) // with the new token
	k.works(t, 2)
	before := k.store.all()
	k.expire()
	k.works(t, 3) // not with the refresh token that the store still has
	k.store.breaks(nil)
	k.expire()
	k.works(t, 4)
	for key, value := range k.store.all() {
		if string(before[key]) == string(value) {
			t.Error("the store still has the used refresh token")
		}
	}
	if status := k.at(t, k.replica()); status != http.StatusOK {
		t.Errorf("another replica: %d", status)
	}
	k.asked(t, 4)
}

// The replica that could not store the tokens does so at its next request, before they expire:
// otherwise another replica would use the used refresh token once the claim has ended.
func i4StoreIsBackBeforeTheTokenExpires(t *testing.T) {
	k := newCalling(t, nil)
	k.expire()
	k.store.breaks(func(op string) error {
		if op == "swap" {
			return errors.New("read-only")
		}
		return nil
	})
	k.works(t, 2)
	k.store.breaks(nil)
	k.works(t, 2)
	if status := k.at(t, k.replica()); status != http.StatusOK { // it waits for the tokens
		t.Errorf("another replica: %d", status)
	}
	k.asked(t, 2)
}

func i5InvalidGrant(t *testing.T) {
	k := newCalling(t, nil)
	k.expire()
	k.IDP.RevokeRefreshTokens()
	k.refused(t, ginauth.ErrStepUpRequired, 2)
	k.refused(t, ginauth.ErrStepUpRequired, 2) // it is not queried again
	k.signedIn(t, true)
	p := k.Get("/call") // a page load is redirected to the provider and back
	if p.Status != http.StatusOK || p.URL.Path != "/call" {
		t.Errorf("the page is %d at %s", p.Status, p.URL)
	}
	k.works(t, 3)

	t.Run("another replica was faster", func(t *testing.T) {
		k := newCalling(t, nil)
		other := k.replica()
		k.expire()
		k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
			k.IDP.Handle(authtest.Token, nil)
			k.Clock.Advance(16 * time.Second) // the process was frozen
			if status := k.at(t, other); status != http.StatusOK {
				t.Errorf("the other: %d", status)
			}
			k.IDP.Default(authtest.Token).ServeHTTP(w, r)
		})
		// The provider treats the second use as theft, and revokes the other's tokens, too. The
		// API rejects them; then one redirect is needed.
		if p := k.call(); p.Status != http.StatusUnauthorized {
			t.Errorf("the call ended in %d %s", p.Status, p.Text())
		}
		k.asked(t, 3)
		k.Clock.Advance(11 * time.Second)
		k.refused(t, ginauth.ErrStepUpRequired, 4)
		k.signedIn(t, true)
	})
}

func i6Outage(t *testing.T) {
	for name, fail := range map[string]func(k *calling){
		"5xx":    func(k *calling) { k.IDP.Fail(authtest.Token, authtest.ServerError) },
		"a page": func(k *calling) { k.IDP.Fail(authtest.Token, authtest.HTML) },
		"the words on one": func(k *calling) {
			k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "invalid_grant", 502) })
		},
		"invalid_client": func(k *calling) {
			k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(401)
				_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newCalling(t, nil)
			fail(k)
			k.Clock.Advance(59*time.Minute + 30*time.Second) // it is due for a refresh, and still valid
			k.works(t, 2)
			k.works(t, 2) // the provider is not queried
			k.Clock.Advance(6 * time.Second)
			k.works(t, 3)
			k.Clock.Advance(time.Minute)
			if p := k.call(); p.Status < 500 {
				t.Errorf("the call ended in %d %s", p.Status, p.Text())
			}
			k.signedIn(t, true)
			k.IDP.Fail(authtest.Token, "")
			k.IDP.Handle(authtest.Token, nil)
			k.Clock.Advance(6 * time.Second)
			k.works(t, 5)
		})
	}
}

func i7IDTokenOfAnother(t *testing.T) {
	for name, edit := range map[string]func(claims map[string]any){
		"another sub":       func(claims map[string]any) { claims["sub"] = "eve" },
		"another iss":       func(claims map[string]any) { claims["iss"] = "https://other.example" },
		"another aud":       func(claims map[string]any) { claims["aud"] = "other" },
		"an older iat":      func(claims map[string]any) { claims["iat"] = claims["iat"].(int64) - 7200 },
		"another nonce":     func(claims map[string]any) { claims["nonce"] = "other" },
		"another auth_time": func(claims map[string]any) { claims["auth_time"] = claims["iat"].(int64) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newCalling(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].AuthParams = map[string]string{"max_age": "3600"}
			})
			k.expire()
			k.IDP.EditIDToken(func(_, claims map[string]any) { edit(claims) })
			k.refused(t, ginauth.ErrIDTokenInvalid, 2)
			k.signedIn(t, false)
		})
	}
}

func i8NotRotated(t *testing.T) {
	k := newCalling(t, nil)
	k.IDP.RotateRefreshTokens(false)
	for i := range 3 {
		k.expire()
		k.works(t, i+2)
	}
}

func i10ExpiresAtOnce(t *testing.T) {
	for name, life := range map[string]any{"0": 0, "absent": nil} {
		t.Run("expires_in "+name, func(t *testing.T) {
			k := newCalling(t, func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditToken(func(answer map[string]any) { sitetest.Put(answer, "expires_in", life) })
			})
			k.works(t, 1) // its expiry is unknown: the API will reject it
			k.expire()
			k.works(t, 2)
			k.works(t, 2)
		})
	}
	t.Run("an API that refuses each", func(t *testing.T) {
		k := newCalling(t, nil)
		k.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		k.Clock.Advance(11 * time.Second)
		for range 5 {
			if p := k.call(); p.Status != http.StatusUnauthorized {
				t.Errorf("the call ended in %d %s", p.Status, p.Text())
			}
		}
		k.asked(t, 2)
		k.Clock.Advance(11 * time.Second)
		k.call()
		k.asked(t, 3)
	})
	t.Run("without a refresh token", func(t *testing.T) { // no redirect loop
		k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].Scopes = []string{"openid", "profile"}
			s.IDP.EditToken(func(answer map[string]any) { answer["expires_in"] = 1 })
		})
		k.Clock.Advance(2 * time.Second)
		k.WantError(k.Get("/call"), ginauth.ErrProviderError)
		k.signedIn(t, true)
	})
}

func i11SessionEnded(t *testing.T) {
	k := newCalling(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Lifetime, o.IdleTimeout = 2*time.Hour, 2*time.Hour })
	if k.store.ttl > 2*time.Hour {
		t.Errorf("the tokens are kept for %v", k.store.ttl)
	}
	k.Clock.Advance(121 * time.Minute)
	k.refused(t, ginauth.ErrUnauthenticated, 1)
}

// The refreshing process dies: another takes over when its claim has ended.
func i13HolderCrashes(t *testing.T) {
	k := newCalling(t, nil)
	other := k.replica()
	k.expire()
	dying, dead := make(chan struct{}), make(chan struct{})
	var once sync.Once
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		first := false
		once.Do(func() { first = true })
		if first {
			close(dying)
			<-dead
			panic(http.ErrAbortHandler)
		}
		k.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
	var all sync.WaitGroup
	all.Go(func() { k.at(t, k.Site) })
	<-dying
	if status := k.at(t, other); status != http.StatusGatewayTimeout { // after five seconds
		t.Errorf("while the claim lasts: %d", status)
	}
	k.asked(t, 2)
	k.Clock.Advance(16 * time.Second)
	if status := k.at(t, other); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
	k.asked(t, 3)
	close(dead)
	all.Wait()
	k.signedIn(t, true)
}

func i14AtRest(t *testing.T) {
	k := newCalling(t, nil)
	k.works(t, 1)
	answer := string(k.IDP.LastRequest(authtest.Token).Answer)
	for key, value := range k.store.all() {
		for _, member := range []string{"access_token", "refresh_token"} {
			_, rest, _ := strings.Cut(answer, `"`+member+`":"`)
			token, _, _ := strings.Cut(rest, `"`)
			if len(token) < 20 || strings.Contains(string(value), token) || strings.Contains(k.CookieHeader(), token) || strings.Contains(k.Logs.String(), token) {
				t.Errorf("the %s %q is to be read in the store, a cookie or the log", member, token)
			}
		}
		if strings.Contains(k.CookieHeader(), string(key[:])) {
			t.Error("the cookie reveals the key of the tokens")
		}
	}
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Tokens, o.Revocations = k.store, revocations{ginauth.NewMemoryRevocations(s.Clock.Now)}
		o.Providers[0].Scopes = []string{"openid", "offline_access"}
	})
	before := len(k.store.all())
	s.SignIn()
	if len(k.store.all()) != before {
		t.Error("tokens are kept of a provider without APIs")
	}
}

func i15SignOut(t *testing.T) {
	for name, out := range map[string]func(k *calling){
		"by the form": func(k *calling) { k.Must(k.Browser.Submit(authtest.At(k.URL+"/"), k.URL+"/logout", nil)) },
		"by a handler": func(k *calling) {
			k.Ask("POST", "/leave", sitetest.Fetch...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCalling(t, nil)
			k.Engine.POST("/leave", func(c *gin.Context) {
				if err := k.Auth.Logout(c); err != nil {
					t.Error(err)
				}
			})
			revoked := make(chan string, 1)
			release := make(chan struct{})
			k.IDP.Handle(authtest.Revoke, func(w http.ResponseWriter, r *http.Request) {
				<-release // the browser does not wait for it
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				revoked <- r.PostForm.Get("token_type_hint") + " " + r.PostForm.Get("token")
				k.IDP.Default(authtest.Revoke).ServeHTTP(w, r)
			})
			token := k.refreshToken(t)
			out(k)
			close(release)
			if got := <-revoked; got != "refresh_token "+token {
				t.Errorf("revoked %q, want %q", got, token)
			}
			if len(k.store.all()) != 0 { // they are deleted first, and the browser waits for neither step
				t.Error("the tokens are still there")
			}
			k.signedIn(t, false)
		})
	}
}

// refreshToken returns that of the last token response.
func (k *calling) refreshToken(t *testing.T) string {
	_, rest, _ := strings.Cut(string(k.IDP.LastRequest(authtest.Token).Answer), `"refresh_token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	if token == "" {
		t.Fatal("there was no refresh token")
	}
	return token
}

// A provider that does not revoke is logged, and delays nothing.
func i15RevocationFails(t *testing.T) {
	k := newCalling(t, nil)
	k.IDP.Handle(authtest.Revoke, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	k.Must(k.Browser.Submit(authtest.At(k.URL+"/"), k.URL+"/logout", nil))
	k.signedIn(t, false)
	for start := time.Now(); len(k.Logs.Lines("WARN", "refresh.not_revoked")) == 0; runtime.Gosched() {
		if time.Since(start) > 30*time.Second {
			t.Fatal("the log does not say it")
		}
	}
}

func i16AddressOfNoAPI(t *testing.T) {
	var hits atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer elsewhere.Close()
	k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/v1/"}}
	})
	_, host, _ := strings.Cut(k.IDP.Issuer, "://")
	for name, address := range map[string]string{
		"another server":      elsewhere.URL,
		"another port":        "http://127.0.0.1:1/v1/x",
		"another path":        k.IDP.Issuer + "/v2/x",
		"a longer name":       k.IDP.Issuer + "/v10/x",
		"upwards":             k.IDP.Issuer + "/v1/../admin",
		"upwards, encoded":    k.IDP.Issuer + "/v1/%2e%2E/admin",
		"upwards at the end":  k.IDP.Issuer + "/v1/..",
		"a backslash":         k.IDP.Issuer + "/v1/%5c..%5cadmin",
		"an encoded slash":    k.IDP.Issuer + "/v1/x%2f..%2F..%2fadmin",
		"encoded twice":       k.IDP.Issuer + "/v1/%252e%252e/admin",
		"with a parameter":    k.IDP.Issuer + "/v1/..;a=b/admin",
		"with one, encoded":   k.IDP.Issuer + "/v1/%2e%2e%3b/admin",
		"a control character": k.IDP.Issuer + "/v1/..%09/admin",
		"a user":              "http://user:pass@" + host + "/v1/x",
		"https":               "https://" + host + "/v1/x",
		"as a user":           "http://" + host + "@" + strings.TrimPrefix(elsewhere.URL, "http://") + "/v1/x",
	} {
		t.Run(name, func(t *testing.T) {
			hits.Store(0)
			p := k.call0(address)
			if p.Status != http.StatusInternalServerError || hits.Load() != 0 {
				t.Errorf("the call ended in %d %s, with %d requests", p.Status, p.Text(), hits.Load())
			}
		})
	}
	for _, path := range []string{"/v1/x", "/v1/", "/v1", "/v1/100%25/a%2Fb", "/v1/a;b/..c"} {
		if p := k.call0(k.IDP.Issuer + path); p.Status != http.StatusNotFound { // the server's own response
			t.Errorf("the API's own address %s: %d %s", path, p.Status, p.Text())
		}
	}
}

// The URL is in the log, and may contain a secret.
func i16AddressInTheLog(t *testing.T) {
	k := newCalling(t, nil)
	for _, address := range []string{"https://api.example/x?X-Amz-Signature=s3cret", "https://ada:s3cret@api.example/", "https://ada:s3cret@api.example:port/"} {
		if p := k.call0(address); p.Status != http.StatusInternalServerError || strings.Contains(p.Text()+k.Logs.String(), "s3cret") {
			t.Errorf("%s: %d %s", address, p.Status, p.Text())
		}
	}
}

// Requests that an http client never sends, but other programs might.
func i16RequestsThatAreNone(t *testing.T) {
	k := newCalling(t, nil)
	var ours http.RoundTripper
	k.Engine.GET("/transport", k.Auth.RequireAuth(), func(c *gin.Context) { ours = k.Auth.Client(c.Request.Context()).Transport })
	k.Get("/transport")
	own, err := url.Parse(k.IDP.URL(authtest.Userinfo))
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := ours.RoundTrip(&http.Request{Method: "GET", URL: own}); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("without a header: %v", err)
	} else {
		_ = answer.Body.Close()
	}
	for name, r := range map[string]*http.Request{
		"no URL": {Method: "GET", Header: http.Header{}}, "another host": {Method: "GET", URL: own, Host: "other.example", Header: http.Header{}},
	} {
		if answer, err := ours.RoundTrip(r); !errors.Is(err, ginauth.ErrInvalidOptions) {
			t.Errorf("%s: %v %v", name, answer, err)
		}
	}
}

// call0 calls an address.
func (k *calling) call0(address string) *authtest.Page {
	return k.Ask("GET", "/call?to="+url.QueryEscape(address), sitetest.Fetch...)
}

func i17RedirectElsewhere(t *testing.T) {
	var got atomic.Value
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store("came " + r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, "elsewhere")
	}))
	defer elsewhere.Close()
	k := newCalling(t, nil)
	for _, to := range []string{elsewhere.URL + "/", strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1) + "/x"} {
		got.Store("")
		k.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
		if p := k.call(); p.Status != http.StatusOK || p.Text() != "elsewhere" || got.Load() != "came " {
			t.Errorf("%d %s; the other server got %q", p.Status, p.Text(), got.Load())
		}
	}
}

// A 401 from a server to which the API redirects does not invalidate the token.
func i17RedirectBack(t *testing.T) {
	var api *httptest.Server
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, api.URL+"/v1/transfer?to=mallory", http.StatusTemporaryRedirect)
	}))
	defer elsewhere.Close()
	var got atomic.Value
	api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/file":
			http.Redirect(w, r, "/v1/moved", http.StatusFound)
		case "/v1/moved":
			got.Store(r.Header.Get("Authorization"))
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/v1/transfer":
			_, _ = io.WriteString(w, "came with "+r.Header.Get("Authorization"))
		}
	}))
	defer api.Close()
	k := newCalling(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].APIs = []ginauth.API{{URL: api.URL + "/v1/"}}
	})
	if p := k.call0(api.URL + "/v1/file"); p.Status != http.StatusOK || p.Text() != "came with " {
		t.Errorf("%d %s", p.Status, p.Text())
	}
	if token, _ := got.Load().(string); !strings.HasPrefix(token, "Bearer ") {
		t.Errorf("within the API the redirect has the token %q", token)
	}
}

func i18APIRefusesTheToken(t *testing.T) {
	var seen []string
	refuses := func(k *calling, challenge string) {
		seen = nil
		refused := k.accessToken(t)
		k.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			seen = append(seen, r.Method+" "+string(body))
			if r.Header.Get("Authorization") == "Bearer "+refused {
				if challenge != "" {
					w.Header().Set("WWW-Authenticate", challenge)
				}
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = io.WriteString(w, "good")
		})
	}
	for name, tt := range map[string]struct {
		challenge string
		body      io.Reader
		text      string // of the response; "" for the 401
		seen      int
		tokens    int
	}{
		"invalid_token":                 {`Bearer error="invalid_token"`, nil, "good", 2, 2},
		"a bare 401":                    {"", nil, "good", 2, 2},
		"a body that can be sent again": {`Bearer error="invalid_token"`, strings.NewReader("hello"), "good", 2, 2},
		"a body that cannot":            {`Bearer error="invalid_token"`, io.MultiReader(strings.NewReader("hello")), "", 1, 2},
		"more proof is wanted":          {`Bearer error="insufficient_user_authentication"`, nil, "", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCalling(t, nil)
			method := "GET"
			if tt.body != nil {
				method = "POST"
			}
			status, text := 0, ""
			k.Engine.GET("/once", k.Auth.RequireAuth(), func(c *gin.Context) {
				r, err := http.NewRequestWithContext(c, method, k.IDP.URL(authtest.Userinfo), tt.body)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := k.Auth.Client(c.Request.Context()).Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				status, text = resp.StatusCode, string(body)
			})
			refuses(k, tt.challenge)
			k.Clock.Advance(11 * time.Second)
			k.Ask("GET", "/once", sitetest.Fetch...)
			if want := map[bool]int{true: 200, false: 401}[tt.text != ""]; status != want || text != tt.text || len(seen) != tt.seen {
				t.Errorf("%d %q after %q", status, text, seen)
			}
			if tt.body != nil && seen[len(seen)-1] != "POST hello" {
				t.Errorf("the API got %q", seen)
			}
			k.asked(t, tt.tokens)
		})
	}
	t.Run("another replica has refreshed it", func(t *testing.T) {
		k := newCalling(t, nil)
		other := k.replica()
		k.works(t, 1)
		k.Clock.Advance(11 * time.Second)
		refuses(k, "")
		if status := k.at(t, other); status != http.StatusOK {
			t.Errorf("the other: %d", status)
		}
		k.asked(t, 2)
		if p := k.call(); p.Text() != "good" {
			t.Errorf("%d %s", p.Status, p.Text())
		}
		k.asked(t, 2)
	})
}

func (k *calling) accessToken(t *testing.T) string {
	_, rest, _ := strings.Cut(string(k.IDP.LastRequest(authtest.Token).Answer), `"access_token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	if token == "" {
		t.Fatal("there was no access token")
	}
	return token
}

func i19StoreFails(t *testing.T) {
	for _, op := range []string{"load", "swap"} {
		t.Run(op, func(t *testing.T) {
			k := newCalling(t, nil)
			down := func(of string) error {
				if of == op {
					return errors.New("the store is down")
				}
				return nil
			}
			k.store.breaks(down)
			k.works(t, 1) // from memory
			if op == "swap" {
				k.Browser = k.NewBrowser()
				k.WantError(k.Get("/login/demo"), ginauth.ErrStoreUnavailable)
				k.signedIn(t, false)
				return
			}
			k.expire()
			k.refused(t, ginauth.ErrStoreUnavailable, 1)
			k.signedIn(t, true)
			k.store.breaks(nil)
			k.works(t, 2)
		})
	}
	t.Run("panics", func(t *testing.T) {
		k := newCalling(t, nil)
		k.expire()
		k.store.breaks(func(string) error { panic("the store is down") })
		k.refused(t, ginauth.ErrStoreUnavailable, 1)
		k.store.breaks(nil)
		k.works(t, 2)
	})
}

// handlerContext is a context that must not be used after its handler has returned, like Gin's,
// which then belongs to another request.
type handlerContext struct {
	context.Context
	ended, misused *atomic.Bool
}

func (h handlerContext) Value(key any) any {
	if h.ended.Load() {
		h.misused.Store(true)
	}
	return h.Context.Value(key)
}

// A refresh continues after its client has disconnected, and does not use the handler's context.
func i20ContextOfAHandlerThatHasEnded(t *testing.T) {
	for name, use := range map[string]func(k *calling, ctx context.Context){
		"Token": func(k *calling, ctx context.Context) { _, _ = k.Auth.Token(ctx, k.IDP.URL(authtest.Userinfo)) },
		"Client": func(k *calling, ctx context.Context) {
			r, err := http.NewRequestWithContext(ctx, "GET", k.IDP.URL(authtest.Userinfo), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if resp, err := k.Auth.Client(ctx).Do(r); err == nil {
				_ = resp.Body.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCalling(t, nil)
			var ended, misused atomic.Bool
			hang, done := make(chan struct{}), make(chan struct{})
			asked := make(chan struct{}, 9)
			answer := k.IDP.Default(authtest.Token)
			k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				<-hang
				answer.ServeHTTP(w, r)
			})
			k.Engine.GET("/own", k.Auth.RequireAuth(), func(c *gin.Context) {
				ctx, leave := context.WithCancel(c.Request.Context())
				go func() { <-asked; leave() }()
				use(k, handlerContext{ctx, &ended, &misused})
				ended.Store(true)
				close(done)
			})
			k.expire()
			before := k.store.all()
			k.Get("/own")
			<-done
			close(hang)
			until(t, func() bool { return !maps.EqualFunc(before, k.store.all(), bytes.Equal) })
			if misused.Load() {
				t.Error("the context was used after its handler had returned")
			}
		})
	}
}

func i20SignedOutMeanwhile(t *testing.T) {
	k := newCalling(t, nil)
	k.expire()
	revoked := make(chan string, 1)
	k.IDP.Handle(authtest.Revoke, func(w http.ResponseWriter, r *http.Request) {
		revoked <- r.PostFormValue("token")
		k.IDP.Default(authtest.Revoke).ServeHTTP(w, r)
	})
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		if err := k.Auth.LogoutEverywhere(t.Context(), k.User().ID()); err != nil {
			t.Error(err)
		}
		k.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
	k.refused(t, ginauth.ErrUnauthenticated, 2)
	if got := <-revoked; got != k.refreshToken(t) {
		t.Errorf("revoked %q", got)
	}
	if len(k.store.all()) != 0 {
		t.Error("the tokens of an ended session are kept")
	}
}

func i21RecordThatDoesNotOpen(t *testing.T) {
	for name, change := range map[string]func(k *calling, values map[ginauth.RevocationKey][]byte){
		"gone": func(_ *calling, values map[ginauth.RevocationKey][]byte) { clear(values) },
		"cut": func(_ *calling, values map[ginauth.RevocationKey][]byte) {
			for key, v := range values {
				values[key] = v[:len(v)-4]
			}
		},
		"altered": func(_ *calling, values map[ginauth.RevocationKey][]byte) {
			for key, v := range values {
				v = append([]byte(nil), v...)
				v[len(v)/2] ^= 1
				values[key] = v
			}
		},
		"of another session": func(k *calling, values map[ginauth.RevocationKey][]byte) {
			k.Browser = k.NewBrowser()
			k.IDP.SignInAs("grace")
			k.SignIn() // its tokens replace the other session's
			var keys []ginauth.RevocationKey
			all := k.store.all()
			for key := range all {
				keys = append(keys, key)
			}
			values[keys[0]], values[keys[1]] = all[keys[1]], all[keys[0]]
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCalling(t, nil)
			k.Clock.Advance(11 * time.Second)
			values := k.store.all()
			change(k, values)
			k.Clock.Advance(11 * time.Second)
			k.store.set(values)
			tokens := k.IDP.Count(authtest.Token)
			other := k.replica() // with an empty memory
			if status := k.at(t, other); status != http.StatusUnauthorized {
				t.Errorf("status %d", status)
			}
			k.asked(t, tokens)
			k.signedIn(t, true)
			k.expire()
			if p := k.Get("/call"); p.Status != http.StatusOK { // a redirect gets new ones
				t.Errorf("%d %s", p.Status, p.Text())
			}
		})
	}
	t.Run("lost at once", func(t *testing.T) { // no redirect loop
		k := newCalling(t, nil)
		k.store.set(map[ginauth.RevocationKey][]byte{})
		if status := k.at(t, k.replica()); status != http.StatusServiceUnavailable {
			t.Errorf("status %d", status)
		}
	})
}

// A failover has lost the last value: the store has a used refresh token.
func i22StoreRolledBack(t *testing.T) {
	k := newCalling(t, nil)
	before := k.store.all()
	k.expire()
	k.works(t, 2)
	k.store.set(before)
	k.expire()
	k.refused(t, ginauth.ErrStepUpRequired, 3)
	k.refused(t, ginauth.ErrStepUpRequired, 3)
	k.signedIn(t, true)
	if p := k.Get("/call"); p.Status != http.StatusOK {
		t.Errorf("%d %s", p.Status, p.Text())
	}
}

func i26SharedTokensAndRevocationsInMemory(t *testing.T) {
	store := &tokenStore{values: map[ginauth.RevocationKey][]byte{}}
	sitetest.WantInvalid(t, sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Tokens = store })), "options.tokens.revocations")
	var none *tokenStore
	sitetest.WantInvalid(t, sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) {
		o.Tokens, o.Revocations = none, revocations{ginauth.NewMemoryRevocations(nil)}
	})), "options.tokens.nil")
	if err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) {
		o.Tokens, o.Revocations = store, revocations{ginauth.NewMemoryRevocations(nil)}
	})); err != nil {
		t.Error(err)
	}
}

func i27FewerScopes(t *testing.T) {
	scoped := func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/", Scopes: []string{"groups"}}}
	}
	t.Run("consent is missing", func(t *testing.T) {
		k := newCalling(t, scoped)
		p := k.call()
		k.WantError(p, ginauth.ErrStepUpRequired)
		if !strings.Contains(p.Text(), `"scope":"groups"`) || !strings.Contains(p.Text(), "login_url") {
			t.Errorf("the response is %s", p.Text())
		}
		if p := k.Get("/call"); p.Status != http.StatusOK || !strings.Contains(p.Text(), `"groups"`) {
			t.Errorf("the page is %d %s", p.Status, p.Text())
		}
		asked := k.IDP.LastRequest(authtest.Authorize).Form.Get("scope")
		if asked != "openid profile offline_access groups" {
			t.Errorf("requested %q", asked)
		}
		if got := k.IDP.LastRequest(authtest.Token).Form.Get("scope"); got != "groups" {
			t.Errorf("the access token is for %q", got)
		}
		tokens := k.IDP.Count(authtest.Token)
		k.works(t, tokens)
	})
	t.Run("refused there", func(t *testing.T) {
		k := newCalling(t, scoped)
		k.IDP.EditToken(func(answer map[string]any) { answer["scope"] = "openid profile offline_access" })
		k.WantError(k.Get("/call"), ginauth.ErrProviderDenied)
		k.signedIn(t, true)
	})
	t.Run("the person says no", func(t *testing.T) {
		k := newCalling(t, scoped)
		k.IDP.DenyConsent(true)
		k.WantError(k.Get("/call"), ginauth.ErrProviderDenied)
		k.signedIn(t, true)
	})
	t.Run("without a refresh token", func(t *testing.T) { // like GitHub: one token for all
		k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
			scoped(s, o)
			o.Providers[0].Scopes = []string{"openid", "profile"}
		})
		k.refused(t, ginauth.ErrStepUpRequired, 1)
		if p := k.Get("/call"); p.Status != http.StatusOK || !strings.Contains(p.Text(), `"groups"`) {
			t.Errorf("the page is %d %s", p.Status, p.Text())
		}
		k.works(t, 2)
	})
}

// opens opens a page, which may redirect to the provider and back, and returns the number of
// redirects.
func (k *calling) opens(t *testing.T, path string) (p *authtest.Page, trips int) {
	t.Helper()
	before := k.IDP.Count(authtest.Authorize)
	p, err := k.Browser.Get(k.URL + path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return p, k.IDP.Count(authtest.Authorize) - before
}

// refreshesAnswer sets the token endpoint's response to every refresh.
func (k *calling) refreshesAnswer(status int, body string) {
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("grant_type") != "refresh_token" {
			k.IDP.Default(authtest.Token).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// A page that calls two APIs with separate scopes requests those of both.
func i27TwoAPIsWithScopes(t *testing.T) {
	for _, offline := range []string{"offline_access", "email"} {
		t.Run(offline, func(t *testing.T) {
			k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].Scopes = []string{"openid", "profile", offline}
				o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/", Scopes: []string{"groups"}}, {URL: s.IDP.Issuer + "/v2/", Scopes: []string{"phone"}}}
			})
			k.Engine.GET("/both", k.Auth.RequireAuth(), func(c *gin.Context) {
				for _, address := range []string{k.IDP.URL(authtest.Userinfo), k.IDP.Issuer + "/v2/x"} {
					answer, err := k.Auth.Client(c).Get(address)
					if err != nil {
						k.Auth.Fail(c, err)
						return
					}
					_ = answer.Body.Close()
				}
				c.String(http.StatusOK, "both")
			})
			if p, trips := k.opens(t, "/both"); p.Status != http.StatusOK || p.Text() != "both" || trips > 2 {
				t.Errorf("%d %s after %d redirects", p.Status, p.Text(), trips)
			}
		})
	}
}

// A provider that rejects the scopes after the redirect that requested them is not queried
// again.
func i27RefusedAfterTheTrip(t *testing.T) {
	for name, api := range map[string]ginauth.API{"scopes": {Scopes: []string{"groups"}}, "resource": {Resource: "https://api.example/"}} {
		for _, code := range []string{"invalid_grant", "invalid_scope", "invalid_target", "consent_required"} {
			for _, slow := range []time.Duration{0, 11 * time.Second} {
				t.Run(name+" "+code+" "+slow.String(), func(t *testing.T) {
					t.Parallel()
					k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
						o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/", Scopes: api.Scopes, Resource: api.Resource}}
					})
					k.Engine.GET("/slow", k.Auth.RequireAuth(), func(c *gin.Context) {
						k.Clock.Advance(slow)
						_, err := k.Auth.Client(c).Get(k.IDP.URL(authtest.Userinfo))
						k.Auth.Fail(c, err)
					})
					k.refreshesAnswer(http.StatusBadRequest, `{"error":"`+code+`"}`)
					p, trips := k.opens(t, "/slow")
					if k.WantError(p, ginauth.ErrProviderDenied); trips != 1 {
						t.Errorf("%d redirects", trips)
					}
					k.signedIn(t, true)
				})
			}
		}
	}
}

// invalid_grant for the token of one API does not affect the others.
func i5InvalidGrantForOneAPI(t *testing.T) {
	k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/"}, {URL: s.IDP.Issuer + "/v2/", Scopes: []string{"groups"}}}
	})
	k.WantError(k.call0(k.IDP.Issuer+"/v2/x"), ginauth.ErrStepUpRequired)
	k.expire()
	k.works(t, 3)
}

// RFC 6749, 5.1: a token response without scope has the requested scopes.
func i27NoScopeInTheAnswer(t *testing.T) {
	for name, scopes := range map[string][]string{"of every sign-in": {"openid", "profile", "groups"}, "of the trip": {"openid", "profile"}} {
		t.Run(name, func(t *testing.T) {
			k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].Scopes, o.Providers[0].APIs = scopes, []ginauth.API{{URL: s.IDP.Issuer + "/", Scopes: []string{"groups"}}}
				s.IDP.EditToken(func(answer map[string]any) { delete(answer, "scope") })
			})
			if p, trips := k.opens(t, "/call"); p.Status != http.StatusOK || trips != 3-len(scopes) {
				t.Errorf("%d %s after %d redirects", p.Status, p.Text(), trips)
			}
		})
	}
}

// A provider that replaces another in SetProviders gets none of its tokens.
func i21TokensOfAnotherProvider(t *testing.T) {
	k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
		apis := o.Providers[0].APIs
		sitetest.Plain(s, o)
		p := &o.Providers[0]
		p.APIs, p.Scopes, p.ClaimPaths = apis, []string{"profile", "offline_access"}, map[string]string{"sub": "sub"}
	})
	k.works(t, 1)
	other := sitetest.StartProvider(t, authtest.Config{ClientID: "other"})
	p := k.provider
	p.AuthorizeURL, p.TokenURL, p.UserinfoURL = other.URL(authtest.Authorize), other.URL(authtest.Token), other.URL(authtest.Userinfo)
	p.ClientID, p.ClientSecret = "other", other.Client("x").ClientSecret
	p.APIs = []ginauth.API{{URL: other.Issuer + "/"}}
	if err := k.Auth.SetProviders([]ginauth.Provider{p}); err != nil {
		t.Fatal(err)
	}
	for _, later := range []func(){func() {}, k.expire} {
		later()
		k.WantError(k.call0(other.URL(authtest.Userinfo)), ginauth.ErrStepUpRequired)
	}
	k.Must(k.Browser.Submit(authtest.At(k.URL+"/"), k.URL+"/logout", nil))
	for _, e := range []authtest.Endpoint{authtest.Userinfo, authtest.Token, authtest.Revoke} {
		if n := other.Count(e); n != 0 {
			t.Errorf("%d requests to %s", n, e)
		}
	}
}

// A kept client cannot call the API after the session has ended.
func i11KeptClient(t *testing.T) {
	for name, end := range map[string]func(*calling){
		"signed out":            func(k *calling) { k.Must(k.Browser.Submit(authtest.At(k.URL+"/"), k.URL+"/logout", nil)) },
		"signed out everywhere": func(k *calling) { _ = k.Auth.LogoutEverywhere(context.Background(), k.User().ID()) },
		"expired":               func(k *calling) { k.Clock.Advance(31 * time.Minute) },
		"the provider is gone":  func(k *calling) { _ = k.Auth.SetProviders(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			k := newCalling(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Lifetime, o.IdleTimeout = 30*time.Minute, 30*time.Minute })
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
			for range 3 {
				if err := call(); err != nil {
					t.Fatal(err)
				}
				k.Clock.Advance(6 * time.Second)
			}
			end(k)
			k.Clock.Advance(6 * time.Second)
			before := k.IDP.Count(authtest.Userinfo)
			if err := call(); !errors.Is(err, ginauth.ErrUnauthenticated) || k.IDP.Count(authtest.Userinfo) != before {
				t.Errorf("after the end: %v, and %d calls", err, k.IDP.Count(authtest.Userinfo)-before)
			}
		})
	}
}

// The provider's response for one user does not affect others.
func i6AnswerToOneUser(t *testing.T) {
	for _, code := range []string{"access_denied", "user_disabled", "invalid_request"} {
		t.Run(code, func(t *testing.T) {
			k := newCalling(t, nil)
			ada, hers := k.Browser, k.refreshToken(t)
			k.Browser = k.NewBrowser()
			k.IDP.SignInAs("grace")
			k.SignIn()
			grace := k.Browser
			k.expire()
			k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
				if r.PostFormValue("refresh_token") != hers {
					k.IDP.Default(authtest.Token).ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"error":"`+code+`"}`)
			})
			if k.Browser = ada; k.call().Status == http.StatusOK {
				t.Error("ada's call succeeded")
			}
			if k.Browser = grace; k.call().Status != http.StatusOK {
				t.Error("grace's did not")
			}
		})
	}
}

// A store that fails at the claim has no effect while the token is valid.
func i19StoreFailsAfterTheClaim(t *testing.T) {
	k := newCalling(t, nil)
	k.works(t, 1)
	k.Clock.Advance(59*time.Minute + 30*time.Second)
	var loads atomic.Int64
	k.store.breaks(func(op string) error {
		if op == "load" && loads.Add(1) == 2 {
			return errors.New("a moment")
		}
		return nil
	})
	k.works(t, 1)
}

// If a function of the Provider panics, the claim is released.
func i13PanicAtARefresh(t *testing.T) {
	var panics atomic.Bool
	k := newCalling(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Quirks.NormalizeToken = func(_ http.Header, body []byte) ([]byte, error) {
			if panics.CompareAndSwap(true, false) {
				panic("once")
			}
			return body, nil
		}
	})
	k.IDP.RotateRefreshTokens(false)
	k.expire()
	panics.Store(true)
	k.WantError(k.call(), ginauth.ErrSessionError)
	k.works(t, 3)
}

// The keys are unavailable when the ID token of a refresh must be verified: the provider has
// already replaced the refresh token.
func i4KeysOutOfReach(t *testing.T) {
	k := newCalling(t, nil)
	k.works(t, 1)
	k.Clock.Advance(59*time.Minute + 40*time.Second)
	k.IDP.RotateKey()
	k.IDP.Fail(authtest.JWKS, authtest.ServerError)
	k.works(t, 2) // with the token that is still valid
	k.IDP.Fail(authtest.JWKS, "")
	k.Clock.Advance(2 * time.Minute)
	k.works(t, 3)
}

// A replica that must fetch the provider's metadata first does not block the others.
func i13SlowDiscovery(t *testing.T) {
	k := newCalling(t, nil)
	fresh := k.replica()
	k.expire()
	asked, answer := make(chan bool), make(chan bool)
	k.IDP.Handle(authtest.Discovery, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-answer
		k.IDP.Default(authtest.Discovery).ServeHTTP(w, r)
	})
	var first sync.WaitGroup
	first.Go(func() { k.at(t, fresh) })
	<-asked
	k.works(t, 2)
	close(answer)
	first.Wait()
	k.asked(t, 2)
}

// revoked receives the revoked refresh tokens.
func (k *calling) revoked() <-chan string {
	revoked := make(chan string, 4)
	k.IDP.Handle(authtest.Revoke, func(_ http.ResponseWriter, r *http.Request) { revoked <- r.PostFormValue("token") })
	return revoked
}

func (k *calling) signsOut() { k.Must(k.Browser.Submit(authtest.At(k.URL+"/"), k.URL+"/logout", nil)) }

// A refresh that stores its tokens during a sign-out of the session loses them nevertheless.
func i15RefreshedMeanwhile(t *testing.T) {
	k := newCalling(t, nil)
	before := k.store.all()
	k.expire()
	k.works(t, 2)
	after, newest, revoked := k.store.all(), k.refreshToken(t), k.revoked()
	k.store.set(before)
	var once sync.Once
	k.store.breaks(func(op string) error {
		if op == "swap" {
			once.Do(func() { k.store.values = after }) // the store is locked here
		}
		return nil
	})
	k.signsOut()
	if got := <-revoked; got != newest || len(k.store.all()) != 0 {
		t.Errorf("%d records remain, and %q was revoked, want %q", len(k.store.all()), got, newest)
	}
}

// Tokens that could not be stored are the ones to revoke.
func i15UnsavedTokens(t *testing.T) {
	k := newCalling(t, nil)
	k.expire()
	var failed atomic.Bool
	k.store.breaks(func(op string) error {
		if op == "swap" && failed.CompareAndSwap(false, true) {
			return errors.New("a moment")
		}
		return nil
	})
	k.works(t, 2)
	newest, revoked := k.refreshToken(t), k.revoked()
	k.signsOut()
	if got := <-revoked; got != newest {
		t.Errorf("%q was revoked, want %q", got, newest)
	}
}

// A store that never responds times out after three seconds.
func i19StoreHangs(t *testing.T) {
	k := newCalling(t, nil)
	hangs := make(chan bool)
	t.Cleanup(func() { close(hangs) })
	stuck := k.Replica(func(o *ginauth.Options) {
		o.Providers, o.Tokens, o.Revocations = []ginauth.Provider{k.provider}, hangingTokens{k.store, hangs}, k.shared
	})
	k.serve(stuck)
	if status := k.at(t, stuck); status != http.StatusServiceUnavailable {
		t.Errorf("the call ended in %d", status)
	}
	r, err := http.NewRequest("POST", stuck.URL+"/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", k.CookieHeader())
	r.Header.Set("Origin", k.URL)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if k.signedIn(t, false); answer.StatusCode >= 400 {
		t.Errorf("the sign-out ended in %d", answer.StatusCode)
	}
}

// hangingTokens is a store whose reads never end.
type hangingTokens struct {
	ginauth.Tokens
	until chan bool
}

func (h hangingTokens) Load(context.Context, ginauth.RevocationKey) ([]byte, error) {
	<-h.until
	return nil, nil
}

// Each of many APIs has a separate token, which is requested once.
func i1ManyAPIs(t *testing.T) {
	const apis = 40
	k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
		for i := range apis {
			scope := fmt.Sprint("s", i)
			o.Providers[0].Scopes = append(o.Providers[0].Scopes, scope)
			o.Providers[0].APIs = append(o.Providers[0].APIs, ginauth.API{URL: fmt.Sprintf("%s/%d/", s.IDP.Issuer, i), Scopes: []string{scope}})
		}
	})
	for range 2 {
		for i := range apis {
			if p := k.call0(fmt.Sprintf("%s/%d/", k.IDP.Issuer, i)); p.Status != http.StatusNotFound { // no handler there
				t.Fatalf("%d %s", p.Status, p.Text())
			}
		}
		k.asked(t, 1+apis)
	}
}

// A sign-in replaces the session while a token of the previous one is being refreshed: the
// refresh token continues in the new session, whichever ends first, and nothing is revoked,
// since that could revoke the user's whole grant.
func i11AnotherSessionMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		rotates bool // the provider replaces refresh tokens
		gives   bool // the sign-in returns a refresh token, too
		early   bool // the refresh ends before the new session begins
	}{
		{name: "the session is first, no rotation"},
		{name: "the session is first", rotates: true},
		{name: "the refresh is first", rotates: true, early: true},
		{name: "the trip brings a refresh token", rotates: true, gives: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
				s.IDP.RotateRefreshTokens(tt.rotates)
				o.Providers[0].APIs = append(o.Providers[0].APIs, ginauth.API{URL: s.IDP.Issuer + "/v2/", Scopes: []string{"groups"}})
			})
			k.IDP.Handle(authtest.Revoke, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%q is revoked", r.PostFormValue("token")) })
			_, rest, _ := strings.Cut(k.call0(k.IDP.Issuer+"/v2/x").Text(), `"login_url":"`)
			trip, _, _ := strings.Cut(strings.ReplaceAll(rest, `\u0026`, "&"), `"`)
			k.Clock.Advance(59*time.Minute + 40*time.Second)

			asked, goOn, refreshed := make(chan bool), make(chan bool), make(chan bool)
			answer := sync.OnceFunc(func() { close(goOn) })
			k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
				if r.PostFormValue("grant_type") == "refresh_token" {
					close(asked)
					<-goOn
					k.IDP.Default(authtest.Token).ServeHTTP(w, r)
					return
				}
				if tt.early {
					answer()
					<-refreshed
				}
				loads := 0
				k.store.breaks(func(op string) error {
					if op == "load" {
						loads++
					}
					if loads > 2 || op == "swap" && tt.gives { // the previous one is marked, or about to be
						answer()
					}
					return nil
				})
				k.answersWithout(w, r, !tt.gives)
			})
			go func() {
				k.at(t, k.Site)
				close(refreshed)
			}()
			<-asked
			if p := k.Get(trip); p.URL.Path != "/" {
				t.Fatalf("the sign-in ended in %d %s", p.Status, p.Text())
			}
			answer()
			<-refreshed
			k.store.breaks(nil)
			k.IDP.Handle(authtest.Token, nil)
			k.expire()
			k.works(t, k.IDP.Count(authtest.Token)+1)
		})
	}
}

// answersWithout responds to a token request, optionally without a refresh token.
func (k *calling) answersWithout(w http.ResponseWriter, r *http.Request, none bool) {
	rec := httptest.NewRecorder()
	k.IDP.Default(authtest.Token).ServeHTTP(rec, r)
	var answer map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		k.T.Error(err)
	}
	if none {
		delete(answer, "refresh_token")
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		k.T.Error(err)
	}
}

// The store is emptied during the token request: the session and its new tokens stay valid.
func i19StoreLosesTheRecordMeanwhile(t *testing.T) {
	k := newCalling(t, nil)
	k.IDP.Handle(authtest.Revoke, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%q is revoked", r.PostFormValue("token")) })
	k.expire()
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		k.store.set(map[ginauth.RevocationKey][]byte{})
		k.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
	k.works(t, 2)
	k.IDP.Handle(authtest.Token, nil)
	k.expire()
	k.works(t, 3)
}

// Providers may return other names for scopes than the requested ones.
func i27ScopesByOtherNames(t *testing.T) {
	for name, tt := range map[string]struct {
		asked, granted string
		includes       func(string) []string
		denied         bool
	}{
		"another case":              {asked: "Mail.Read", granted: "mail.read"},
		"with its address":          {asked: "https://graph.example/Mail.Read", granted: "Mail.Read"},
		"without its address":       {asked: "mail.read", granted: "https://graph.example/Mail.Read"},
		"all that was consented":    {asked: "https://graph.example/.default", granted: "Mail.Read"},
		"those of the sign-in":      {asked: "openid profile offline_access groups", granted: "groups"},
		"commas":                    {asked: "repo gist", granted: "gist,repo"},
		"a larger one":              {asked: "user:email", granted: "admin", includes: hierarchy},
		"a smaller one":             {asked: "admin", granted: "user:email", includes: hierarchy, denied: true},
		"another one":               {asked: "mail.write", granted: "mail.read", denied: true},
		"one with it in it":         {asked: "mail", granted: "mail.read email", denied: true},
		"one of two":                {asked: "mail.read groups", granted: "groups", denied: true},
		"a part that is no address": {asked: "mail/read", granted: "files/read", denied: true},
	} {
		for _, offline := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, offline %t", name, offline), func(t *testing.T) {
				k := newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
					if !offline {
						o.Providers[0].Scopes = []string{"openid", "profile"}
					}
					o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/", Scopes: strings.Fields(tt.asked)}}
					o.Providers[0].Quirks.IncludedScopes = tt.includes
					s.IDP.EditToken(func(answer map[string]any) { answer["scope"] = tt.granted })
					s.IDP.Handle(authtest.Userinfo, func(http.ResponseWriter, *http.Request) {})
				})
				p, trips := k.opens(t, "/call")
				switch {
				case tt.denied:
					k.WantError(p, ginauth.ErrProviderDenied)
				case p.Status != http.StatusOK || trips > 1:
					t.Errorf("%d %s after %d redirects", p.Status, p.Text(), trips)
				}
			})
		}
	}
}

// hierarchy includes user:email in user, and user in admin.
func hierarchy(scope string) []string {
	return map[string][]string{"admin": {"user"}, "user": {"user:email"}}[scope]
}

// A step-up returns no refresh token: the previous one continues, and its ID tokens have the
// nonce and the auth_time of the sign-in that issued it.
func i7RefreshTokenOfTheSignInBefore(t *testing.T) {
	k := newCalling(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].AuthParams = map[string]string{"max_age": "86400"} // so that ID tokens have auth_time
	})
	k.Engine.GET("/payout", k.Auth.RequireAuth(ginauth.MaxAge(5*time.Minute)), func(c *gin.Context) {})
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		k.answersWithout(w, r, r.PostFormValue("grant_type") != "refresh_token")
	})
	for range 2 {
		k.Clock.Advance(10 * time.Minute)
		if p, trips := k.opens(t, "/payout"); p.Status != http.StatusOK || trips != 1 {
			t.Fatalf("%d %s after %d redirects", p.Status, p.Text(), trips)
		}
		k.expire()
		k.works(t, k.IDP.Count(authtest.Token)+1)
	}
}
