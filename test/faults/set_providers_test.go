package faults

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsSetProviders(t *testing.T) {
	runFaults(t, []fault{
		{"S16_one_bad_entry", s16OneBadEntry},
		{"S16_two_at_once", s16TwoAtOnce},
		{"S17_removed_provider", s17RemovedProvider},
		{"S17_removed_during_a_request", s17RemovedDuringARequest},
		{"S18_removed_before_the_answer", s18RemovedBeforeTheAnswer},
		{"S18_removed_while_the_token_endpoint_answers", s18RemovedDuringTheExchange},
		{"S18_replaced_while_the_token_endpoint_answers", s18ReplacedDuringTheExchange},
		{"S19_same_name", s19SameName},
		{"S19_sign_out_in_progress", s19SignOutInProgress},
		{"S21_outage_of_one_change_of_another", s21Outage},
		{"S22_shared_namespace", s22SharedNamespace},
	})
}

func s16OneBadEntry(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	f.SignIn()
	bad := sitetest.GoodProvider()
	bad.Name, bad.ClientID = "Two words", ""
	key := sitetest.GoodProvider()
	key.ClientSecret = sitetest.Key
	callback := f.Begin("/login/demo")
	for _, test := range []struct {
		list []ginauth.Provider
		says []string
	}{
		{[]ginauth.Provider{sitetest.Client("demo", f.IDP), sitetest.GoodProvider(), bad}, []string{"provider.name.malformed", "provider.client_id.empty"}},
		{[]ginauth.Provider{bad, {}}, []string{"provider.name.malformed", "provider.client_id.empty", "provider.name.malformed", "provider.client_id.empty", "provider.client_secret.empty", "provider.issuer.empty"}},
		{[]ginauth.Provider{sitetest.GoodProvider(), sitetest.GoodProvider()}, []string{"provider.name.duplicate"}},
		{[]ginauth.Provider{key}, []string{"options.keys.key_client_secret"}},
	} {
		err := f.Auth.SetProviders(test.list)
		sitetest.WantInvalid(t, err, test.says...)
	}
	if list := f.Auth.Providers(); len(list) != 1 || list[0].Name != "demo" {
		t.Errorf("the providers are %v", list)
	}
	if f.User() == nil {
		t.Error("the session has ended")
	}
	f.Lands(t, callback, "/")
}

var loginLink = regexp.MustCompile(`/login/([a-z0-9]+)`)

func s16TwoAtOnce(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	demo := sitetest.Client("demo", f.IDP)
	lists := [][]ginauth.Provider{{demo, sitetest.Offline("a1"), sitetest.Offline("a2")}, {demo, sitetest.Offline("b1"), sitetest.Offline("b2")}}
	f.SetProviders(lists[0]...)
	f.Guard("/update", func(c *gin.Context) {
		if err := f.Auth.Update(c, func(u *ginauth.User) { u.Data["seen"] = "yes" }); err != nil {
			t.Error(err)
		}
		c.String(http.StatusOK, ginauth.CurrentUser(c).Subject)
	})
	f.SignIn()
	done := make(chan struct{})
	var swaps sync.WaitGroup
	for i := range 2 {
		swaps.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					f.SetProviders(lists[i]...)
				}
			}
		})
	}
	for range 60 {
		var names []string
		for _, m := range loginLink.FindAllStringSubmatch(f.Open("/login").Text(), -1) {
			names = append(names, m[1])
		}
		if slices.Sort(names); !slices.Equal(names, []string{"a1", "a2", "demo"}) && !slices.Equal(names, []string{"b1", "b2", "demo"}) {
			t.Fatalf("a page lists %q", names)
		}
		if p := f.Ask("POST", "/update", sitetest.Fetch...); p.Status != http.StatusOK || p.Text() != "ada" {
			t.Fatalf("a request got %d %s", p.Status, p.Text())
		}
	}
	close(done)
	swaps.Wait()
}

// stores are the places where sessions can be stored.
var stores = map[string]func() ginsessions.Store{
	"in a cookie": func() ginsessions.Store { return nil },
	"in a store":  func() ginsessions.Store { return memstore.NewStore(sitetest.StoreHashKey) },
}

func s17RemovedProvider(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Sessions = store() })
			f.SignIn()
			if f.User() == nil { // so that it is cached
				t.Fatal("no user is signed in")
			}
			copied := f.CookieHeader()
			f.SetProviders(sitetest.Offline("other"))
			p := f.Ask("GET", "/me", sitetest.Fetch...)
			if p.Status != http.StatusUnauthorized || len(p.Header["Set-Cookie"]) > 0 {
				t.Errorf("a session of a removed provider gets %d and the cookies %q", p.Status, p.Header["Set-Cookie"])
			}
			if p := f.Ask("GET", "/", sitetest.Navigation...); p.Text() != "home" {
				t.Errorf("LoadUser found a user: %s", p.Text())
			}
			f.WantError(f.Open("/login/demo"), ginauth.ErrUnknownProvider)
			f.WantError(f.Ask("POST", "/logout/demo/backchannel"), ginauth.ErrUnknownProvider)
			f.SetProviders(sitetest.Offline("other"), sitetest.Client("demo", f.IDP))
			if f.User() == nil {
				t.Error("the session is not there again with its provider")
			}

			// A sign-out takes effect, although the provider was removed.
			f.SetProviders(sitetest.Offline("other"))
			if p := f.Ask("POST", "/logout", sitetest.Plus(sitetest.Navigation, "Sec-Fetch-Site", "same-origin")...); p.Status != http.StatusSeeOther {
				t.Errorf("signing out gets %d %s", p.Status, p.Text())
			}
			f.SetProviders(sitetest.Client("demo", f.IDP))
			for _, line := range []string{copied, f.CookieHeader()} {
				if p := f.AskAs(f.NewBrowser(), "GET", "/me", "Cookie", line); p.Status != http.StatusUnauthorized {
					t.Errorf("a copy of the session gets %d", p.Status)
				}
			}
		})
	}
}

// swappingMarks calls swap while a session is loaded, once.
type swappingMarks struct {
	ginauth.Revocations
	swap func()
}

func (m *swappingMarks) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) ([4]time.Time, error) {
	if swap := m.swap; swap != nil {
		m.swap = nil
		swap()
	}
	return m.Revocations.Watermarks(ctx, keys)
}

func s17RemovedDuringARequest(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			marks := &swappingMarks{}
			f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
				marks.Revocations = ginauth.NewMemoryRevocations(s.Clock.Now)
				o.Revocations, o.Sessions = marks, store()
			})
			demo := sitetest.Client("demo", f.IDP)
			for path, do := range map[string]func(*gin.Context) error{
				"/update": func(c *gin.Context) error {
					return f.Auth.Update(c, func(u *ginauth.User) { u.Data["seen"] = "yes" })
				},
				"/signout": func(c *gin.Context) error { return f.Auth.Logout(c) },
				"/session": func(c *gin.Context) error {
					if info, ok := f.Auth.Session(c); !ok || info.Provider != "demo" {
						return errors.New("there is no session")
					}
					return nil
				},
			} {
				f.Guard(path, func(c *gin.Context) {
					f.SetProviders(sitetest.Offline("other"))
					if err := do(c); err != nil {
						t.Errorf("%s: %v", path, err)
					}
					c.Status(http.StatusNoContent)
				})
			}
			for _, path := range []string{"/me", "/update", "/session", "/signout"} {
				f.SetProviders(demo)
				f.SignIn()
				if path == "/me" { // between finding the session and rewriting it
					f.Clock.Advance(3 * time.Hour)
					marks.swap = func() { f.SetProviders(sitetest.Offline("other")) }
				}
				p := f.Ask("POST", path, sitetest.Fetch...)
				if p.Status != http.StatusOK && p.Status != http.StatusNoContent {
					t.Errorf("%s gets %d %s", path, p.Status, p.Text())
				}
				if path == "/me" && len(p.Header["Set-Cookie"]) == 0 {
					t.Error("the session was not renewed: the test does not show what it should")
				}
				if f.User() != nil {
					t.Errorf("%s: the session of a removed provider is admitted afterwards", path)
				}
				f.SetProviders(demo)
				if got, want := f.User() != nil, path != "/signout"; got != want {
					t.Errorf("%s: the session is there again: %v, want %v", path, got, want)
				}
			}
		})
	}
}

// duringTheExchange signs in, and runs swap while the token endpoint responds.
func duringTheExchange(f *sitetest.Flow, swap func()) (landed *authtest.Page) {
	f.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		swap()
		f.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
	callback := f.Begin("/login/demo?return_to=/page/x")
	return f.Finish(callback)
}

// s18RemovedBeforeTheAnswer: on a separate path, and on one that the other provider still uses.
func s18RemovedBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for path, code := range map[string]ginauth.Code{"": ginauth.ErrUnknownProvider, "/cb": ginauth.ErrStateInvalid} {
		f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers = append(o.Providers, sitetest.Offline("other"))
			atCallback(o, path)
		})
		callback := f.Begin("/login/demo?return_to=/page/x")
		other := sitetest.Offline("other")
		other.CallbackPath = path
		f.SetProviders(other, sitetest.Offline("third"))
		f.Refuses(t, callback, sitetest.Closed{Code: code})
		f.SetProviders(sitetest.Client("demo", f.IDP))
		if spent := len(f.LoginStates()) == 0; spent != (path != "") {
			t.Errorf("%q: the login state is used: %v", path, spent)
		}
	}
}

func s18RemovedDuringTheExchange(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	p := duringTheExchange(f, func() { f.SetProviders(sitetest.Offline("other"), sitetest.Offline("another")) })
	f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrUnknownProvider, Tokens: 1})
	if f.Logins.Load() != 0 || len(f.SessionCookies()) > 0 || len(f.LoginStates()) > 0 {
		t.Errorf("OnLogin ran %d times, and there are %d session cookies and %d login states", f.Logins.Load(), len(f.SessionCookies()), len(f.LoginStates()))
	}
	if !strings.Contains(p.Text(), "/login?return_to=%2Fpage%2Fx") {
		t.Errorf("the page does not lead to the choice of providers: %s", p.Text())
	}
}

// s18ReplacedDuringTheExchange: a sign-in must meet the conditions of the provider that is
// configured when its session begins.
func s18ReplacedDuringTheExchange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(f *sitetest.Flow, p *ginauth.Provider)
		code   ginauth.Code
	}{
		"nothing":        {func(*sitetest.Flow, *ginauth.Provider) {}, ""},
		"another button": {func(_ *sitetest.Flow, p *ginauth.Provider) { p.DisplayName = "Demo" }, ""},
		"another client": {func(_ *sitetest.Flow, p *ginauth.Provider) { p.ClientID = "other" }, ginauth.ErrStateInvalid},
		"another issuer": {func(f *sitetest.Flow, p *ginauth.Provider) {
			p.Issuer = sitetest.StartProvider(f.T, authtest.Config{}).Issuer
		}, ginauth.ErrIssuerMismatch},
		"another token endpoint": {func(f *sitetest.Flow, p *ginauth.Provider) { p.TokenURL = f.IDP.Issuer + "/other" }, ginauth.ErrIssuerMismatch},
		"a rule that refuses": {func(_ *sitetest.Flow, p *ginauth.Provider) {
			p.VerifyClaims = func(map[string]any) error { return sitetest.ErrRefused }
		}, ginauth.ErrIdentityRejected},
		"a list of issuers": {func(_ *sitetest.Flow, p *ginauth.Provider) {
			p.TokenIssuer, p.Admits = func(map[string]any) (string, error) { return p.Issuer, nil }, []string{"https://other.example"}
		}, ginauth.ErrIdentityRejected},
	} {
		t.Run(name, func(t *testing.T) {
			f := sitetest.NewFlow(t, nil)
			p := duringTheExchange(f, func() {
				changed := sitetest.Client("demo", f.IDP)
				test.change(f, &changed)
				f.SetProviders(changed)
			})
			if test.code == "" {
				f.WantLanded(t, p, "/page/x")
				return
			}
			f.FailsClosed(t, p, sitetest.Closed{Code: test.code, Tokens: 1})
			if f.Logins.Load() != 0 {
				t.Error("OnLogin ran")
			}
		})
	}
}

func s19SameName(t *testing.T) {
	t.Parallel()
	openID := func(s *sitetest.Site) ginauth.Provider { return sitetest.Client("demo", s.IDP) }
	plain := func(s *sitetest.Site) ginauth.Provider {
		var o ginauth.Options
		sitetest.Plain(s, &o)
		o.Providers[0].ClaimPaths = nil
		return o.Providers[0]
	}
	for name, test := range map[string]struct {
		provider func(*sitetest.Site) ginauth.Provider
		change   func(f *sitetest.Flow, p *ginauth.Provider)
		dead     bool         // the session
		code     ginauth.Code // of the sign-in in progress
	}{
		"as it was":        {openID, func(*sitetest.Flow, *ginauth.Provider) {}, false, ""},
		"plain, as it was": {plain, func(*sitetest.Flow, *ginauth.Provider) {}, false, ""},
		"another issuer": {openID, func(f *sitetest.Flow, p *ginauth.Provider) {
			*p = sitetest.Client("demo", sitetest.StartProvider(f.T, authtest.Config{}))
		}, true, ginauth.ErrIssuerMismatch},
		"another Namespace":     {plain, func(_ *sitetest.Flow, p *ginauth.Provider) { p.Namespace = "https://other.example" }, true, ginauth.ErrIssuerMismatch},
		"another client":        {openID, func(_ *sitetest.Flow, p *ginauth.Provider) { p.ClientID = "other" }, false, ginauth.ErrStateInvalid},
		"another plain client":  {plain, func(_ *sitetest.Flow, p *ginauth.Provider) { p.ClientID = "other" }, false, ginauth.ErrStateInvalid},
		"other users":           {openID, func(_ *sitetest.Flow, p *ginauth.Provider) { p.Admits = []string{"hd=example.com"} }, true, ""},
		"another token address": {openID, func(f *sitetest.Flow, p *ginauth.Provider) { p.TokenURL = f.IDP.Issuer + "/other" }, false, ginauth.ErrIssuerMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) { o.Providers = []ginauth.Provider{test.provider(s)} })
			f.SignIn()
			tokens := f.IDP.Count(authtest.Token)
			callback := f.Begin("/login/demo?return_to=/page/x")
			p := test.provider(f.Site)
			test.change(f, &p)
			f.SetProviders(p)
			was := ""
			if !test.dead {
				was = "ada"
			}
			if u := f.User(); (u == nil) != test.dead {
				t.Errorf("signed in: %v, want revoked: %v", u, test.dead)
			}
			if test.code == "" {
				f.Lands(t, callback, "/page/x")
			} else {
				f.Refuses(t, callback, sitetest.Closed{Code: test.code, Tokens: tokens, Was: was})
			}

			// Once the provider is restored, so is the session: it was never revoked.
			f.SetProviders(test.provider(f.Site))
			if test.code != "" && f.User() == nil {
				t.Error("the session is not there again")
			}
		})
	}
}

// s19SignOutInProgress: the ID token of a session is sent only to its own provider, even if
// another has its name when a script makes the browser sign out there.
func s19SignOutInProgress(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) { o.AfterLogout = "/logout" })
	other := sitetest.StartProvider(t, authtest.Config{})
	for name, test := range map[string]struct {
		by   ginauth.Provider
		goes bool
	}{
		"as it was": {sitetest.Client("demo", f.IDP), true}, "another provider": {sitetest.Client("demo", other), false}, "nobody": {sitetest.Offline("other"), false},
	} {
		f.SetProviders(sitetest.Client("demo", f.IDP))
		f.SignIn()
		p := f.Ask("POST", "/logout", sitetest.Fetch...)
		_, address, _ := strings.Cut(p.Text(), `"redirect_to":"`+f.URL)
		address, _, _ = strings.Cut(address, `"`)
		if !strings.HasPrefix(address, "/logout/redirect?") {
			t.Fatalf("%s: signing out gets %s", name, p.Text())
		}
		f.SetProviders(test.by)
		p = f.Open(address)
		to := p.Header.Get("Location")
		if goes := strings.HasPrefix(to, f.IDP.Issuer) && strings.Contains(to, "id_token_hint="); goes != test.goes {
			t.Errorf("%s: the browser is sent to %s", name, to)
		}
		if strings.HasPrefix(to, other.Issuer) {
			t.Errorf("%s: the browser is sent to the other provider", name)
		}
	}
}

func s21Outage(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	f.SignIn()
	f.IDP.Fail(authtest.Discovery, authtest.Down)
	f.IDP.Fail(authtest.JWKS, authtest.Down)
	demo, other := sitetest.Client("demo", f.IDP), sitetest.Offline("other")
	for _, change := range []func(){
		func() { other.ClientSecret = "another secret" }, // another provider is changed
		func() { demo.DisplayName = "Demo" },             // or this one,
		func() { demo.Userinfo = "always" },
		func() { demo.Name = "renamed" }, // in a field other than its address
	} {
		change()
		f.SetProviders(other, demo)
		f.Browser = f.NewBrowser() // without counted redirects
		f.Lands(t, f.Begin("/login/"+demo.Name+"?return_to=/page/x"), "/page/x")
		if err := f.Auth.Warm(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := f.IDP.Count(authtest.Discovery) + f.IDP.Count(authtest.JWKS); n != 2 {
		t.Errorf("%d requests for metadata and keys, want one for each", n)
	}
}

// tenants is a provider that issues ID tokens as several, which Admits lists.
func tenants(admits ...string) ginauth.Provider {
	return ginauth.Provider{Name: "second", Issuer: "https://idp.example", ClientID: "other", ClientSecret: "a client's secret", Admits: admits,
		TokenIssuer: func(map[string]any) (string, error) { return "", errors.New("not asked") }}
}

func s22SharedNamespace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(p *ginauth.Provider)
		id     string
	}{
		"another client of the same": {func(p *ginauth.Provider) { p.ClientID = "other" }, ""},
		"another Namespace": {func(p *ginauth.Provider) {
			p.Namespace, p.TokenURL = "https://other.example", "https://other.example/token"
		}, ""},
		"another authorization endpoint": {func(p *ginauth.Provider) { p.AuthorizeURL = "https://other.example/authorize" }, "provider.namespace.shared"},
		"another token endpoint":         {func(p *ginauth.Provider) { p.TokenURL = "https://other.example/token" }, "provider.namespace.shared"},
		"another profile":                {func(p *ginauth.Provider) { p.UserinfoURL = "https://other.example/me" }, "provider.namespace.shared"},
		"a profile of its own":           {func(p *ginauth.Provider) { p.UserinfoURL, p.Profile = "", sitetest.NoProfile }, "provider.namespace.shared"},
		"the issuer of another": {func(p *ginauth.Provider) {
			*p = ginauth.Provider{Name: "second", Issuer: p.Namespace, ClientID: "other", ClientSecret: "a client's secret"}
		}, "provider.issuer.namespace"},
		"an issuer that another admits": {func(p *ginauth.Provider) { *p = tenants(p.Namespace) }, "provider.admits.namespace"},
		"no issuer that another admits": {func(p *ginauth.Provider) { *p = tenants("https://tenant.example") }, ""},
		"a rule that another notes": {func(p *ginauth.Provider) {
			*p = tenants(p.Namespace)
			p.TokenIssuer = nil // so that Admits may have any values
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := sitetest.PlainProvider(), sitetest.PlainProvider()
			second.Name, second.ClientID = "second", "second-client"
			test.change(&second)
			s := sitetest.New(t, nil)
			for _, list := range [][]ginauth.Provider{{first, second}, {second, first}} {
				mounted := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Providers = list }))
				replaced := s.Auth.SetProviders(list)
				for how, err := range map[string]error{"Mount": mounted, "SetProviders": replaced} {
					want := test.id
					if want == "provider.issuer.namespace" && list[0].Issuer != "" { // the error is for the second of the two
						want = "provider.namespace.issuer"
					}
					if want == "provider.admits.namespace" && list[0].Issuer != "" {
						want = "provider.namespace.admitted"
					}
					e, _ := errors.AsType[*ginauth.Error](err)
					if want == "" && err != nil || want != "" && (e == nil || e.ID != want) {
						t.Errorf("%s: %v, want %q", how, err, want)
					}
				}
			}
		})
	}
}
