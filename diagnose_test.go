package ginauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
)

func TestDiagnosisOfAHealthyProvider(t *testing.T) {
	t.Parallel()
	s := newTLSSite(t, func(_ *site, o *ginauth.Options) { o.CookieName = "app" })
	d := s.auth.Diagnose(t.Context())
	if len(d.Problems)+len(d.Warnings) != 0 || len(d.Providers) != 1 {
		t.Fatalf("%s", d)
	}
	p := d.Providers[0]
	for name, got := range map[string][2]string{
		"BaseURL": {d.BaseURL, s.URL}, "Name": {p.Name, "demo"}, "Issuer": {p.Issuer, s.idp.Issuer},
		"RedirectURI":           {p.RedirectURI, s.URL + "/authorize/demo"},
		"PostLogoutRedirectURI": {p.PostLogoutRedirectURI, s.URL + "/logout/return"},
		"BackChannelLogoutURI":  {p.BackChannelLogoutURI, s.URL + "/logout/demo/backchannel"},
		"FrontChannelLogoutURI": {p.FrontChannelLogoutURI, s.URL + "/logout/demo/frontchannel"},
		"AuthMethod":            {p.AuthMethod, "client_secret_basic"}, "ResponseMode": {p.ResponseMode, "query"}, "PKCE": {p.PKCE, "S256"},
		"Scopes": {strings.Join(p.Scopes, " "), "openid profile email"}, "Algorithms": {fmt.Sprint(p.Algorithms), "[RS256]"}, "Keys": {fmt.Sprint(p.Keys), "map[RS256:1]"},
		"Endpoints": {fmt.Sprint(p.Endpoints), fmt.Sprint(map[string]string{
			"authorization_endpoint": s.idp.URL(authtest.Authorize), "token_endpoint": s.idp.URL(authtest.Token), "jwks_uri": s.idp.URL(authtest.JWKS),
			"userinfo_endpoint": s.idp.URL(authtest.Userinfo), "end_session_endpoint": s.idp.URL(authtest.EndSession)})},
		"Offered": {fmt.Sprint(p.Offered), "map[authorization_response_iss_parameter_supported:[true] code_challenge_methods_supported:[S256] " +
			"id_token_signing_alg_values_supported:[RS256] response_modes_supported:[query form_post] response_types_supported:[code] " +
			"scopes_supported:[openid profile email groups] token_endpoint_auth_methods_supported:[client_secret_basic client_secret_post none]]"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %q, want %q", name, got[0], got[1])
		}
	}
	if !p.Reachable || !p.RequiresIss || p.ClockTolerance == 0 || p.ClockTolerance > 5*time.Second || p.ClockAhead.Abs() > 5*time.Second {
		t.Errorf("Reachable %v, RequiresIss %v, ClockAhead %v ± %v", p.Reachable, p.RequiresIss, p.ClockAhead, p.ClockTolerance)
	}
}

// The addresses to register are those that come up when people sign in and out.
func TestDiagnosisNamesTheAddressesInUse(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := s.auth.Diagnose(t.Context()).Providers[0]
	s.signIn()
	if got := s.idp.LastRequest(authtest.Authorize).Form.Get("redirect_uri"); got != p.RedirectURI {
		t.Errorf("RedirectURI is %q, and %q was sent", p.RedirectURI, got)
	}
	s.must(s.browser.Submit(s.get("/"), s.URL+"/logout", nil))
	if got := s.idp.LastRequest(authtest.EndSession).Form.Get("post_logout_redirect_uri"); got != p.PostLogoutRedirectURI {
		t.Errorf("PostLogoutRedirectURI is %q, and %q was sent", p.PostLogoutRedirectURI, got)
	}
	for address, methods := range map[string]string{p.BackChannelLogoutURI: "POST", p.FrontChannelLogoutURI: "GET"} {
		if page := s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "DELETE", address, nil, "")); page.Header.Get("Allow") != methods {
			t.Errorf("%s answered %d, for %q", address, page.Status, page.Header.Get("Allow"))
		}
	}
}

func TestDiagnosisOfWhatIsNotToRegister(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(s *site, p *ginauth.Provider)
		want   bool
	}{
		"local": {func(_ *site, p *ginauth.Provider) { p.Logout.Local = true }, false},
		"an address of its own": {func(_ *site, p *ginauth.Provider) {
			p.Logout.URL = "https://x.example/out?to={post_logout_redirect_uri}"
		}, true},
		"one that does not come back": {func(_ *site, p *ginauth.Provider) { p.Logout.URL = "https://x.example/out" }, false},
		"no end-session endpoint":     {func(s *site, _ *ginauth.Provider) { edited(s, "end_session_endpoint", nil) }, false},
		"a provider that is down":     {func(s *site, _ *ginauth.Provider) { s.idp.Fail(authtest.Discovery, authtest.Down) }, true},
		"one that is down, and local": {func(s *site, p *ginauth.Provider) {
			s.idp.Fail(authtest.Discovery, authtest.Down)
			p.Logout.Local = true
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(s *site, o *ginauth.Options) { c.change(s, &o.Providers[0]) })
			p := s.auth.Diagnose(t.Context()).Providers[0]
			if (p.PostLogoutRedirectURI != "") != c.want || p.RedirectURI == "" || p.BackChannelLogoutURI == "" || p.FrontChannelLogoutURI == "" {
				t.Errorf("%+v", p)
			}
		})
	}
}

// edited puts a value into the metadata; nil takes one out.
func edited(s *site, name string, value any) {
	s.idp.EditMetadata(func(m map[string]any) { put(m, name, value) })
}

// A plain OAuth 2.0 provider has no metadata, keys or clock to speak of, and no
// way to say that somebody signed out.
func TestDiagnosisOfPlainOAuth(t *testing.T) {
	t.Parallel()
	s := plainSite(t, "", func(s *site, p *ginauth.Provider) { p.TokenURL += "?api_key=s3cr3t"; s.clock.Advance(time.Hour) })
	s.idp.Fail(authtest.Discovery, authtest.Down)
	d := s.auth.Diagnose(t.Context())
	p := d.Providers[0]
	if len(d.Problems) != 0 || !p.Reachable || p.PostLogoutRedirectURI+p.BackChannelLogoutURI+p.FrontChannelLogoutURI != "" ||
		p.Offered != nil || p.Keys != nil || p.Algorithms != nil || len(p.Endpoints) != 3 || p.AuthMethod != "client_secret_basic" {
		t.Errorf("%s\n%+v", d, p)
	}
	if s.idp.Count(authtest.Discovery)+s.idp.Count(authtest.JWKS) != 0 {
		t.Error("it was asked for metadata or keys")
	}
	if !strings.Contains(d.String(), "plain OAuth 2.0") || strings.Contains(d.String(), "s3cr3t") || p.Endpoints["token_endpoint"] != s.idp.URL(authtest.Token) {
		t.Errorf("%s", d)
	}
}

// What Diagnose sends is for anybody to read: no secret, no code, no cookie.
func TestDiagnoseSendsNoSecrets(t *testing.T) {
	t.Parallel()
	for name, site := range map[string]*site{
		"OpenID Connect": newSite(t, func(_ *site, o *ginauth.Options) {
			o.Providers[0].Quirks.Header = map[string]string{"X-Api-Key": "s3cr3t"}
		}),
		"plain OAuth 2.0": plainSite(t, "", func(_ *site, p *ginauth.Provider) {
			p.Quirks.Header = map[string]string{"X-Api-Key": "s3cr3t"}
			p.AuthorizeURL, p.TokenURL, p.UserinfoURL = p.AuthorizeURL+"?key=s3cr3t", p.TokenURL+"?key=s3cr3t", p.UserinfoURL+"?key=s3cr3t"
		}),
	} {
		site.auth.Diagnose(t.Context())
		asked := map[authtest.Endpoint]string{}
		for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Authorize, authtest.Token, authtest.Userinfo, authtest.JWKS, authtest.EndSession} {
			for _, r := range site.idp.Requests(e) {
				asked[e] += r.Method
				names := slices.DeleteFunc(slices.Sorted(maps.Keys(r.Header)), func(name string) bool {
					return slices.Contains([]string{"Accept", "Accept-Encoding", "User-Agent"}, name)
				})
				if len(r.Body) > 0 || r.URL.RawQuery != "" || len(names) > 0 {
					t.Errorf("%s: %s %s has a body of %d bytes and the headers %v", name, r.Method, r.URL, len(r.Body), names)
				}
			}
		}
		want := "map[authorize:HEAD discovery:GET jwks:GET token:HEAD userinfo:HEAD]"
		if name != "OpenID Connect" {
			want = "map[authorize:HEAD token:HEAD userinfo:HEAD]"
		}
		if fmt.Sprint(asked) != want {
			t.Errorf("%s: %v, want %s", name, asked, want)
		}
	}
}

// Nothing that Diagnose sees, good or bad, changes how people sign in.
func TestDiagnoseDisturbsNoSignIn(t *testing.T) {
	t.Parallel()
	t.Run("what it learns is not kept", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.auth.Diagnose(t.Context())
		s.signIn()
		if n, keys := s.idp.Count(authtest.Discovery), s.idp.Count(authtest.JWKS); n != 2 || keys != 2 {
			t.Errorf("%d discoveries and %d requests for keys, want two and two", n, keys)
		}
	})
	t.Run("worse metadata replaces none", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.signIn()
		edited(s, "token_endpoint", s.idp.EvilURL())
		if got := s.auth.Diagnose(t.Context()).Providers[0].Endpoints["token_endpoint"]; got != s.idp.EvilURL() {
			t.Errorf("the token endpoint is %q: not asked anew", got)
		}
		s.signIn()
	})
	t.Run("a failed discovery is not held against the provider", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.Fail(authtest.Discovery, authtest.Down)
		if d := s.auth.Diagnose(t.Context()); len(d.Problems) != 1 {
			t.Errorf("%s", d)
		}
		s.idp.Heal()
		s.signIn() // at once
	})
	t.Run("worse keys replace none, and a failure starts no cool-down", func(t *testing.T) {
		t.Parallel()
		for _, fault := range []authtest.Fault{"", authtest.Down} {
			s := newSite(t, nil)
			s.signIn()
			s.idp.EditJWKS(func([]map[string]any) []map[string]any { return nil })
			s.idp.Fail(authtest.JWKS, fault)
			if d := s.auth.Diagnose(t.Context()); len(d.Problems) != 1 {
				t.Errorf("%s", d)
			}
			s.signIn()
			s.idp.Heal()
			s.idp.EditJWKS(nil)
			s.idp.RotateKey()
			s.signIn()
		}
	})
	t.Run("and a cool-down does not keep it from asking", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.Fail(authtest.Discovery, authtest.Down)
		s.wantErrorStatus(s.get("/login/demo"), ginauth.ErrProviderUnavailable, http.StatusBadGateway)
		s.idp.Heal()
		if d := s.auth.Diagnose(t.Context()); len(d.Problems) != 0 {
			t.Errorf("%s", d)
		}
	})
}

// Providers are examined side by side, and one that hangs spoils nothing for
// the others.
func TestDiagnoseAsksAllProvidersAtOnce(t *testing.T) {
	t.Parallel()
	var second *authtest.Provider
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		second = startIDP(t, authtest.Config{})
		o.Providers = append(o.Providers, client("second", second))
		o.HTTPClient = quick(5 * time.Second)
	})
	var both sync.WaitGroup
	both.Add(2)
	for _, idp := range []*authtest.Provider{s.idp, second} {
		idp.Handle(authtest.Discovery, func(w http.ResponseWriter, r *http.Request) {
			both.Done()
			both.Wait() // one after the other, this would never end
			idp.Default(authtest.Discovery).ServeHTTP(w, r)
		})
	}
	if d := s.auth.Diagnose(t.Context()); len(d.Problems) != 0 {
		t.Errorf("%s", d)
	}
}

func TestDiagnoseWithADeadProvider(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		s.idp.Fail(authtest.Discovery, authtest.Hanging)
		o.Providers = append(o.Providers, client("second", startIDP(t, authtest.Config{})))
		o.HTTPClient = quick(3 * time.Second)
	})
	d := s.auth.Diagnose(t.Context())
	if len(d.Problems) != 1 || d.Problems[0].Code != ginauth.ErrProviderTimeout || d.Problems[0].Provider != "demo" {
		t.Errorf("%s", d)
	}
	if dead, well := d.Providers[0], d.Providers[1]; dead.Reachable || !well.Reachable || len(well.Endpoints) != 5 || dead.RedirectURI == "" {
		t.Errorf("%s", d)
	}
}

// A hundred providers are not a hundred connections at once.
func TestDiagnoseAsksSixteenProvidersAtATime(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		s.idp.Fail(authtest.Discovery, authtest.Hanging)
		for i := range 20 {
			p := client(fmt.Sprint("p", i), s.idp)
			p.ClientID = fmt.Sprint(i)
			o.Providers = append(o.Providers, p)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if d := s.auth.Diagnose(ctx); len(d.Problems) != 21 || s.idp.Count(authtest.Discovery) > 16 {
		t.Errorf("%d problems; %d were asked", len(d.Problems), s.idp.Count(authtest.Discovery))
	}
}

type hangingRevocations struct {
	ginauth.Revocations
	until chan struct{}
}

func (h hangingRevocations) Watermarks(context.Context, [4]ginauth.RevocationKey) (marks [4]time.Time, err error) {
	<-h.until
	return marks, nil
}

type hangingStore struct {
	ginsessions.Store
	until chan struct{}
}

func (h hangingStore) New(r *http.Request, name string) (*gorilla.Session, error) {
	<-h.until
	return h.Store.New(r, name)
}

// Whatever hangs, a store of the application's that looks at no context too,
// Diagnose ends with its context.
func TestDiagnoseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	s := newSite(t, func(s *site, o *ginauth.Options) {
		s.idp.Fail(authtest.Discovery, authtest.Hanging)
		o.Providers[0].ClientSecret = ""
		o.Providers[0].ClientSecretFunc = func(context.Context) (string, error) { <-never; return "secret", nil }
		o.Revocations = hangingRevocations{marks.NewRevocations[ginauth.RevocationKey](s.clock.Now, 10), never}
		o.Sessions = hangingStore{memstore.NewStore([]byte(testKey)), never}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	d := s.auth.Diagnose(ctx)
	var codes []ginauth.Code
	for _, e := range d.Problems {
		codes = append(codes, e.Code)
		if !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("%v", e)
		}
	}
	if want := []ginauth.Code{ginauth.ErrStoreUnavailable, ginauth.ErrStoreUnavailable, ginauth.ErrProviderTimeout, ginauth.ErrProviderMisconfigured}; !slices.Equal(codes, want) {
		t.Errorf("%v, want %v\n%s", codes, want, d)
	}
}

func fits(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok
}

// The cookies of a Diagnosis are those that browsers get, with their attributes.
func TestDiagnosisNamesAllCookies(t *testing.T) {
	t.Parallel()
	second := startIDP(t, authtest.Config{})
	for name, change := range map[string]func(*ginauth.Options){
		"cookie": func(*ginauth.Options) {},
		"store":  func(o *ginauth.Options) { o.Sessions = memstore.NewStore([]byte(testKey)) },
		"form":   func(o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" },
		"short":  func(o *ginauth.Options) { o.Lifetime = time.Hour },
		"two":    func(o *ginauth.Options) { o.Providers = append(o.Providers, client("second", second)) },
	} {
		for _, start := range []func(testing.TB, func(*site, *ginauth.Options)) *site{newSite, newTLSSite} {
			s := start(t, func(_ *site, o *ginauth.Options) { change(o) })
			d := s.auth.Diagnose(t.Context())
			s.idp.DenyConsent(true)
			s.get("/login/demo")
			s.idp.DenyConsent(false)
			s.signIn()
			s.must(s.browser.Submit(s.get("/"), s.URL+"/logout", nil))
			seen := map[string]bool{}
			for _, hop := range s.browser.History() {
				for _, line := range hop.Header.Values("Set-Cookie") {
					c, err := http.ParseSetCookie(line)
					if err != nil || !strings.Contains(c.Name, "ginauth-") || c.MaxAge < 0 {
						continue
					}
					i := 0
					for i < len(d.Cookies) && !fits(d.Cookies[i].Name, c.Name) {
						i++
					}
					if i == len(d.Cookies) {
						t.Errorf("%s: %s is not in %v", name, c.Name, d.Cookies)
						continue
					}
					seen[d.Cookies[i].Name] = true
					c.Name, c.Value = "n", ""
					c.MaxAge, c.Expires = 0, time.Time{} // stores say both
					if known := d.Cookies[i]; c.String() != "n=; "+known.Attributes || !strings.Contains(line, fmt.Sprintf("Max-Age=%.0f;", known.Life.Seconds())) {
						t.Errorf("%s: %s, want %+v", name, line, known)
					}
				}
			}
			for _, known := range d.Cookies {
				if !seen[known.Name] && !strings.HasSuffix(known.Name, "-2") {
					t.Errorf("%s: %s was never set", name, known.Name)
				}
			}
		}
	}
}

// The clock is where Diagnosis says, give or take what it says.
func TestDiagnosisOfTheClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, 20 * time.Millisecond, -7300 * time.Millisecond, 90 * time.Minute} {
		s := newSite(t, func(s *site, _ *ginauth.Options) { s.clock.Advance(off) })
		p := s.auth.Diagnose(t.Context()).Providers[0]
		if wrong := (p.ClockAhead + off).Abs(); wrong > p.ClockTolerance+100*time.Millisecond || p.ClockTolerance < 500*time.Millisecond {
			t.Errorf("%v off: %v, give or take %v", off, p.ClockAhead, p.ClockTolerance)
		}
	}
}

func TestDiagnosisAsJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Providers[0].ClientSecretFunc = func(context.Context) (string, error) { return "", errors.New("the cause, which is for the log") }
		o.Providers[0].ClientSecret = ""
	})
	text, err := json.Marshal(s.auth.Diagnose(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"base_url":"` + s.URL + `"`, `"problems":[{"code":"provider_misconfigured","id":"token.client_secret_func","op":"client secret","provider":"demo","reason":"`,
		`"warnings":[{"code":"invalid_options","id":"options.base_url.http","op":"Options.BaseURL","reason":"is http`, `"redirect_uri":"` + s.URL + `/authorize/demo"`, `"reachable":true`, `"cookies":[{"name":"ginauth-`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(string(text), "the cause") || strings.Contains(string(text), "null") {
		t.Errorf("%s", text)
	}
	healthy := newTLSSite(t, nil)
	if text, _ := json.Marshal(healthy.auth.Diagnose(t.Context())); !strings.Contains(string(text), `"problems":[],"warnings":[]`) {
		t.Errorf("%s", text)
	}
}
