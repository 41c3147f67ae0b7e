package faults

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsRecheck(t *testing.T) {
	runFaults(t, []fault{
		{"I9_no_id_token", i9NoIDToken},
		{"I12_more_scopes", i12MoreScopes},
		{"I23_recheck_refused", i23RecheckRefused},
		{"I24_recheck_outage", i24RecheckOutage},
		{"I25_recheck_of_another", i25RecheckOfAnother},
	})
}

const recheck = 15 * time.Minute

// rechecked is calling with a Recheck of 15 minutes, and the events.
type rechecked struct {
	*calling
	mu     sync.Mutex
	events []ginauth.Event
}

func newRechecked(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) *rechecked {
	t.Helper()
	k := new(rechecked)
	k.calling = newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Recheck = recheck
		o.Hooks.OnEvent = func(_ context.Context, e ginauth.Event) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.events = append(k.events, e)
		}
		if change != nil {
			change(s, o)
		}
	})
	return k
}

// withoutRefreshToken is a change after which the profile decides whether the user still has
// access.
func withoutRefreshToken(_ *sitetest.Site, o *ginauth.Options) {
	o.Providers[0].Scopes = []string{"openid", "profile"}
}

// due advances the clock until a recheck is due.
func (k *rechecked) due() { k.Clock.Advance(recheck + time.Second) }

// with sends a fetch with a cookie, and returns the status.
func (k *calling) with(t *testing.T, cookie string) int {
	t.Helper()
	r, err := http.NewRequest("GET", k.URL+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// ended checks that the session has ended in all browsers, and by whom according to the log.
func (k *rechecked) ended(t *testing.T, by ginauth.EventBy, id string) {
	t.Helper()
	copied := k.CookieHeader()
	p := k.Ask("GET", "/me", sitetest.Fetch...)
	if p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), "login_url") {
		t.Errorf("the session gets %d %s\n%s", p.Status, p.Text(), k.Logs)
	}
	if k.CookieHeader() == copied {
		t.Error("the browser still has the cookie")
	}
	tokens := k.IDP.Count(authtest.Token)
	if status := k.with(t, copied); status != http.StatusUnauthorized {
		t.Errorf("a copy of the cookie gets %d", status)
	}
	k.asked(t, tokens)
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, e := range k.events {
		if e.Name == ginauth.SessionsRevoked {
			n++
			if e.By != by || e.Provider != "demo" || e.User == "" {
				t.Errorf("the event is %+v", e)
			}
		}
	}
	if n != 1 {
		t.Errorf("%d events in %+v", n, k.events)
	}
	sitetest.WantID(t, k.Logs.String(), id)
	if len(k.store.all()) != 0 {
		t.Error("the tokens are still there")
	}
}

func i9NoIDToken(t *testing.T) {
	for name, tt := range map[string]struct {
		userinfo func(k *rechecked)
		name     string
		groups   []string
	}{
		"the userinfo says all": {func(k *rechecked) {
			k.IDP.EditUserinfo(func(claims map[string]any) { claims["name"], claims["groups"] = "Ada King", []string{"staff"} })
		}, "Ada King", []string{"staff"}},
		"the userinfo says less": {func(k *rechecked) {
			k.IDP.EditUserinfo(func(claims map[string]any) {
				clear(claims)
				claims["sub"], claims["name"] = "ada", "Ada King"
			})
		}, "Ada King", []string{"admin", "staff"}},
		"the userinfo is down": {func(k *rechecked) { k.IDP.Fail(authtest.Userinfo, authtest.Down) }, "Ada Lovelace", []string{"admin", "staff"}},
		"the userinfo does not take the token": {func(k *rechecked) {
			k.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		}, "Ada Lovelace", []string{"admin", "staff"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := newRechecked(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].VerifyClaims = func(claims map[string]any) error {
					if claims["iss"] == nil {
						return ginauth.ErrForbidden // it was called with fewer claims than an ID token's
					}
					return nil
				}
				o.KeepClaims = []string{"preferred_username"}
			})
			tt.userinfo(k)
			k.IDP.Fail(authtest.Token, authtest.NoIDToken)
			k.due()
			u := k.User()
			if u == nil || u.Name != tt.name || u.Username != "ada" || !slices.Equal(u.Groups, tt.groups) {
				t.Errorf("the user is %+v, want %s in %q\n%s", u, tt.name, tt.groups, k.Logs)
			}
			k.asked(t, 2)
			k.signedIn(t, true)
			k.asked(t, 2)
		})
	}
	t.Run("the lifetime is what it was", func(t *testing.T) {
		k := newRechecked(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Lifetime, o.IdleTimeout = time.Hour, time.Hour })
		k.IDP.Fail(authtest.Token, authtest.NoIDToken)
		for range 3 {
			k.due()
			k.signedIn(t, true)
		}
		k.due()
		k.signedIn(t, false)
		k.asked(t, 4)
	})
}

// A scope in the provider's response is not a permission in the application.
func i12MoreScopes(t *testing.T) {
	k := newRechecked(t, nil)
	before := k.User()
	k.IDP.EditToken(func(answer map[string]any) { answer["scope"] = "openid profile offline_access admin root" })
	k.due()
	u := k.User()
	if u == nil || !slices.Equal(u.Groups, before.Groups) || u.Subject != before.Subject || !u.AuthTime.Equal(before.AuthTime) {
		t.Errorf("the user is %+v after %+v", u, before)
	}
	k.asked(t, 2)
}

func i23RecheckRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(s *sitetest.Site, o *ginauth.Options)
		refuse func(k *rechecked)
		by     ginauth.EventBy
		id     string
	}{
		"invalid_grant": {nil, func(k *rechecked) { k.IDP.RevokeRefreshTokens() }, ginauth.ByProvider, "recheck.token_ended"},
		"invalid_grant, as an API call has found": {nil, func(k *rechecked) {
			k.IDP.RevokeRefreshTokens()
			k.Clock.Advance(11 * time.Second)
			if p := k.call(); p.Status != http.StatusUnauthorized {
				k.T.Errorf("the call ended in %d", p.Status)
			}
			k.IDP.Fail(authtest.Token, authtest.Down) // it is not queried again
		}, ginauth.ByProvider, "recheck.token_ended"},
		"profile 401": {withoutRefreshToken, refuseProfile, ginauth.ByProvider, "recheck.profile_refused"},
		"profile 401, of a token of unknown life": {func(s *sitetest.Site, o *ginauth.Options) {
			withoutRefreshToken(s, o)
			s.IDP.EditToken(func(answer map[string]any) { delete(answer, "expires_in") })
		}, refuseProfile, ginauth.ByProvider, "recheck.profile_refused"},
		"profile 401, at a plain OAuth 2.0 provider": {plainRecheck, refuseProfile, ginauth.ByProvider, "recheck.profile_refused"},
		"profile 401, in Provider.Profile": {func(s *sitetest.Site, o *ginauth.Options) {
			plainRecheck(s, o)
			o.Providers[0].Profile = readProfile(s)
			o.Providers[0].UserinfoURL = ""
		}, refuseProfile, ginauth.ByProvider, "recheck.profile_refused"},
		"Provider.Profile": {func(s *sitetest.Site, o *ginauth.Options) {
			plainRecheck(s, o)
			read := readProfile(s)
			o.Providers[0].Profile = func(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error) {
				claims, err := read(ctx, client, token)
				if claims["name"] == "Ada of elsewhere" {
					err = ginauth.ErrForbidden
				}
				return claims, err
			}
			o.Providers[0].UserinfoURL = ""
		}, func(k *rechecked) {
			k.IDP.EditUserinfo(func(claims map[string]any) { claims["name"] = "Ada of elsewhere" })
		}, ginauth.ByProvider, "profile.refused"},
		"Provider.VerifyClaims": {func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].VerifyClaims = func(claims map[string]any) error {
				if claims["name"] == "Ada of elsewhere" {
					return errors.New("of elsewhere")
				}
				return nil
			}
		}, func(k *rechecked) {
			k.IDP.EditIDToken(func(_, claims map[string]any) { claims["name"] = "Ada of elsewhere" })
		}, ginauth.ByApplication, "claims.rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRechecked(t, tt.change)
			k.due()
			k.signedIn(t, true) // and the provider was queried
			tt.refuse(k)
			k.due()
			k.ended(t, tt.by, tt.id)
		})
	}
	t.Run("a page goes to the sign-in", func(t *testing.T) {
		k := newRechecked(t, nil)
		k.IDP.RevokeRefreshTokens()
		k.due()
		if p := k.Open("/me"); p.Status != http.StatusSeeOther || !strings.HasPrefix(p.Header.Get("Location"), "/login?") {
			t.Errorf("the page is %d to %s", p.Status, p.Header.Get("Location"))
		}
	})
	t.Run("LoadUser goes on without a user", func(t *testing.T) {
		k := newRechecked(t, nil)
		k.IDP.RevokeRefreshTokens()
		k.due()
		if p := k.Get("/"); p.Status != http.StatusOK || p.Text() != "home" {
			t.Errorf("the page is %d %s", p.Status, p.Text())
		}
	})
	t.Run("the session cannot be ended", func(t *testing.T) {
		var down atomic.Bool
		k := newRechecked(t, func(s *sitetest.Site, o *ginauth.Options) {
			o.Revocations = &unwritable{o.Revocations, &down}
		})
		k.IDP.RevokeRefreshTokens()
		k.due()
		down.Store(true)
		copied := k.CookieHeader()
		for range 2 { // the copy is not admitted either, and the provider is queried once
			if status := k.with(t, copied); status != http.StatusServiceUnavailable {
				t.Errorf("status %d", status)
			}
		}
		k.asked(t, 2)
		down.Store(false)
		for range 2 {
			if status := k.with(t, copied); status != http.StatusUnauthorized {
				t.Errorf("afterwards: status %d", status)
			}
		}
	})
	// Another replica was rejected a moment before, and has ended the session.
	t.Run("by another replica", func(t *testing.T) {
		k := newRechecked(t, nil)
		id := k.User().ID()
		var once sync.Once
		k.store.breaks(func(string) error {
			once.Do(func() {
				if err := k.Auth.LogoutEverywhere(t.Context(), id); err != nil {
					t.Error(err)
				}
				clear(k.store.values)
			})
			return nil
		})
		k.due()
		k.WantError(k.Ask("GET", "/me", sitetest.Fetch...), ginauth.ErrUnauthenticated)
		k.asked(t, 1)
	})
	// The provider has not rejected the user: the user is redirected to it, and the session
	// stays.
	for name, tt := range map[string]struct {
		change func(s *sitetest.Site, o *ginauth.Options)
		lose   func(k *rechecked)
		id     string
	}{
		"the access token has expired": {withoutRefreshToken, func(k *rechecked) { k.Clock.Advance(time.Hour) }, "recheck.token_expired"},
		"the access token expires just now, and is refused": {withoutRefreshToken, func(k *rechecked) {
			refuseProfile(k)
			k.Clock.Advance(43*time.Minute + 30*time.Second)
		}, "recheck.person_required"},
		"the tokens are lost": {nil, func(k *rechecked) { k.store.set(map[ginauth.RevocationKey][]byte{}) }, "refresh.lost"},
		"the provider wants the person": {nil, func(k *rechecked) {
			k.IDP.Handle(authtest.Token, sitetest.AnswerWith(400, "application/json", `{"error":"interaction_required"}`))
		}, "refresh.consent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRechecked(t, tt.change)
			k.Clock.Advance(time.Minute)
			tt.lose(k)
			k.due()
			tokens := 0
			for i := range 2 { // it is not queried again either
				p := k.Ask("GET", "/me", sitetest.Fetch...)
				k.WantError(p, ginauth.ErrStepUpRequired)
				if !strings.Contains(p.Text(), "demand=") {
					t.Errorf("the response is %s", p.Text())
				}
				if i == 0 {
					tokens = k.IDP.Count(authtest.Token)
				}
				k.asked(t, tokens)
			}
			sitetest.WantID(t, k.Logs.String(), tt.id)
			if p := k.Get("/"); p.Text() != "home" {
				t.Errorf("LoadUser has %s", p.Text())
			}
			k.IDP.Handle(authtest.Token, nil)
			k.IDP.Handle(authtest.Userinfo, nil)
			if p := k.Get("/page/x"); p.Status != http.StatusOK || p.URL.Path != "/page/x" { // redirected to the provider and back
				t.Errorf("the page is %d at %s\n%s", p.Status, p.URL, k.Logs)
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			for _, e := range k.events {
				if e.Name == ginauth.SessionsRevoked {
					t.Errorf("the session was ended: %+v", e)
				}
			}
		})
	}
}

// plainRecheck is a change to a plain OAuth 2.0 provider, without refresh tokens.
func plainRecheck(s *sitetest.Site, o *ginauth.Options) {
	sitetest.Plain(s, o)
	o.Providers[0].ClaimPaths, o.Providers[0].Recheck = nil, recheck
}

func refuseProfile(k *rechecked) {
	k.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
}

// readProfile is a Provider.Profile whose errors have no status.
func readProfile(s *sitetest.Site) func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
	return func(_ context.Context, client *http.Client, _ *oauth2.Token) (claims map[string]any, err error) {
		resp, err := client.Get(s.IDP.URL(authtest.Userinfo))
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		return claims, json.NewDecoder(resp.Body).Decode(&claims)
	}
}

// unwritable are revocations that cannot be written while down is set.
type unwritable struct {
	ginauth.Revocations
	down *atomic.Bool
}

func (u *unwritable) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	if u.down.Load() {
		return errors.New("read-only")
	}
	return u.Revocations.Revoke(ctx, key, at, ttl)
}

func i24RecheckOutage(t *testing.T) {
	type outage struct {
		change func(s *sitetest.Site, o *ginauth.Options)
		fail   func(k *rechecked)
		asked  func(k *rechecked) int
	}
	tokens := func(k *rechecked) int { return k.IDP.Count(authtest.Token) }
	profiles := func(k *rechecked) int { return k.IDP.Count(authtest.Userinfo) }
	token := func(f authtest.Fault) outage {
		return outage{nil, func(k *rechecked) { k.IDP.Fail(authtest.Token, f) }, tokens}
	}
	profile := func(f authtest.Fault) outage {
		return outage{withoutRefreshToken, func(k *rechecked) { k.IDP.Fail(authtest.Userinfo, f) }, profiles}
	}
	var loads atomic.Int64
	for name, tt := range map[string]outage{
		"5xx": token(authtest.ServerError), "a page": token(authtest.HTML), "no connection": token(authtest.Resetting),
		"time-out": {func(_ *sitetest.Site, o *ginauth.Options) {
			o.HTTPClient = sitetest.QuickClient(sitetest.OutageTimeout)
		},
			func(k *rechecked) { k.IDP.Fail(authtest.Token, authtest.Hanging) }, tokens},
		"invalid_client": {nil, func(k *rechecked) {
			k.IDP.Handle(authtest.Token, sitetest.AnswerWith(401, "application/json", `{"error":"invalid_client"}`))
		}, tokens},
		"5xx of the profile": profile(authtest.Down), "a page for the profile": profile(authtest.HTML),
		"403 of the profile": {withoutRefreshToken, func(k *rechecked) {
			k.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(403, "application/json", `{}`))
		}, profiles},
		"a profile that cannot be read": {withoutRefreshToken, func(k *rechecked) {
			k.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(200, "application/json", `{"sub":"ada","sub":"ada"}`))
		}, profiles},
		"the store cannot be read": {nil, func(k *rechecked) {
			k.store.breaks(func(op string) error { loads.Add(1); return errors.New("down") })
		}, func(*rechecked) int { return int(loads.Load()) }},
		"a function that panics": {func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].Quirks.EditToken = func(_, callback url.Values) {
				if callback == nil {
					loads.Add(1)
					panic("no callback")
				}
			}
		}, func(*rechecked) {}, func(*rechecked) int { return int(loads.Load()) }},
	} {
		t.Run(name, func(t *testing.T) {
			k := newRechecked(t, tt.change)
			tt.fail(k)
			k.due()
			before := tt.asked(k)
			k.signedIn(t, true)
			once := tt.asked(k)
			if once == before {
				t.Error("no request was sent")
			}
			k.Clock.Advance(29 * time.Second)
			k.signedIn(t, true)
			if n := tt.asked(k); n != once {
				t.Errorf("called again: %d times", n-once)
			}
			k.Clock.Advance(2 * time.Second)
			k.signedIn(t, true)
			if n := tt.asked(k); n == once {
				t.Error("not queried again after 30 seconds")
			}
			if n := len(k.Logs.Lines("WARN", "recheck.put_off")); n != 1 {
				t.Errorf("%d lines within a minute\n%s", n, k.Logs)
			}
			k.Clock.Advance(31 * time.Second)
			k.signedIn(t, true)
			if n := len(k.Logs.Lines("WARN", "recheck.put_off")); n != 2 {
				t.Errorf("%d lines after a minute\n%s", n, k.Logs)
			}
			k.IDP.Heal()
			k.IDP.Handle(authtest.Token, nil)
			k.IDP.Handle(authtest.Userinfo, nil)
			k.store.breaks(nil)
			k.Clock.Advance(31 * time.Second)
			k.signedIn(t, true)
			k.mu.Lock()
			defer k.mu.Unlock()
			for _, e := range k.events {
				if e.Name == ginauth.SessionsRevoked || e.Name == ginauth.RequestRefused {
					t.Errorf("there was %+v", e)
				}
			}
		})
	}
}

func i25RecheckOfAnother(t *testing.T) {
	token := func(edit func(claims map[string]any)) func(k *rechecked) {
		return func(k *rechecked) { k.IDP.EditIDToken(func(_, claims map[string]any) { edit(claims) }) }
	}
	another := func(k *rechecked) { k.IDP.EditUserinfo(func(claims map[string]any) { claims["sub"] = "eve" }) }
	for name, tt := range map[string]struct {
		change func(s *sitetest.Site, o *ginauth.Options)
		lie    func(k *rechecked)
		id     string
	}{
		"another sub":   {nil, token(func(claims map[string]any) { claims["sub"] = "eve" }), "refresh.subject"},
		"another iss":   {nil, token(func(claims map[string]any) { claims["iss"] = "https://other.example" }), "jwt.issuer"},
		"another aud":   {nil, token(func(claims map[string]any) { claims["aud"] = "other" }), "jwt.audience"},
		"an older iat":  {nil, token(func(claims map[string]any) { claims["iat"] = claims["iat"].(int64) - 7200 }), "refresh.iat"},
		"another nonce": {nil, token(func(claims map[string]any) { claims["nonce"] = "other" }), "refresh.nonce"},
		"another sub in the userinfo": {func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" },
			another, "userinfo.another_person"},
		"another sub in the userinfo, without an ID token": {nil, func(k *rechecked) {
			another(k)
			k.IDP.Fail(authtest.Token, authtest.NoIDToken)
		}, "userinfo.another_person"},
		"another sub in the userinfo, without a refresh token": {withoutRefreshToken, another, "userinfo.another_person"},
		"another profile, at a plain OAuth 2.0 provider":       {plainRecheck, another, "recheck.another_person"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRechecked(t, tt.change)
			tt.lie(k)
			k.due()
			k.ended(t, ginauth.ByProvider, tt.id)
			if !strings.Contains(k.Logs.String(), "code=id_token_invalid") {
				t.Errorf("the log does not say so:\n%s", k.Logs)
			}
		})
	}
}
