package ginauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// finding is a situation, and the complete list of problems and warnings that Diagnose must
// report for it.
type finding struct {
	name        string
	make        func(s *sitetest.Site, o *ginauth.Options)
	problems    []said
	warnings    []said
	unreachable bool
}

// said is one report of Diagnose: the Op and ID of the error, and settings and values that its
// text names.
type said struct {
	op, id string
	names  []string
}

// closedPort is an address without a listener.
const closedPort = "http://127.0.0.1:1"

func TestDiagnoseFindsProblemsOfAProvider(t *testing.T) {
	t.Parallel()
	broken := func(e authtest.Endpoint, f authtest.Fault) func(*sitetest.Site, *ginauth.Options) {
		return func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(e, f) }
	}
	metadata := func(name string, value any) func(*sitetest.Site, *ginauth.Options) {
		return func(s *sitetest.Site, _ *ginauth.Options) { edited(s, name, value) }
	}
	secret := func(f func(context.Context) (string, error)) func(*sitetest.Site, *ginauth.Options) {
		return func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].ClientSecret, o.Providers[0].ClientSecretFunc = "", f
		}
	}
	runFindings(t, sitetest.NewTLS, []finding{
		{name: "down", make: broken(authtest.Discovery, authtest.Down), unreachable: true, problems: []said{{"discovery", "http.status", []string{"503"}}}},
		{name: "a page", make: broken(authtest.Discovery, authtest.HTML), unreachable: true, problems: []said{{"discovery", "http.media_type", nil}}},
		{name: "not listening", make: func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Issuer = closedPort }, unreachable: true,
			problems: []said{{"discovery", "http.network", []string{"connection refused (127.0.0.1:1)"}}}},
		{name: "a certificate of nobody's", make: func(_ *sitetest.Site, o *ginauth.Options) { o.HTTPClient = nil }, unreachable: true,
			problems: []said{{"discovery", "http.certificate", nil}}},
		{name: "a panic", make: func(_ *sitetest.Site, o *ginauth.Options) {
			o.HTTPClient = &http.Client{Transport: sitetest.RoundTripper(func(*http.Request) (*http.Response, error) { panic("a bug") })}
		}, unreachable: true,
			problems: []said{{"discovery", "http.unusable", nil}}},
		{name: "a panic while it is read", make: func(_ *sitetest.Site, o *ginauth.Options) {
			o.HTTPClient = &http.Client{Transport: sitetest.RoundTripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: panickyBody{}, Request: r}, nil
			})}
		}, unreachable: true, problems: []said{{"discovery", "http.unusable", nil}}},
		{name: "another issuer", make: metadata("issuer", "https://other.example"), problems: []said{{"discovery", "discovery.issuer_mismatch", []string{`"https://other.example"`}}}},
		{name: "a slash", make: func(s *sitetest.Site, _ *ginauth.Options) { edited(s, "issuer", s.IDP.Issuer+"/") }, problems: []said{{"discovery", "discovery.issuer_mismatch", []string{"final /"}}}},
		{name: "http", make: metadata("token_endpoint", "http://login.example/token"), problems: []said{{"discovery", "discovery.endpoint_invalid", []string{"token_endpoint is not https"}}}},
		{name: "several things", make: func(s *sitetest.Site, _ *ginauth.Options) {
			s.IDP.EditMetadata(func(m map[string]any) {
				m["jwks_uri"], m["id_token_signing_alg_values_supported"] = nil, []string{"HS256"}
				m["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt"}
			})
		}, problems: []said{{"discovery", "discovery.endpoint_missing", []string{"jwks_uri"}}, {"discovery", "discovery.algorithms", []string{`["HS256"]`}}, {"discovery", "discovery.auth_method", []string{`["private_key_jwt"]`}}}},

		{name: "no token endpoint", make: metadata("token_endpoint", "https://127.0.0.1:1/token"), unreachable: true,
			problems: []said{{"token endpoint", "http.network", []string{"connection refused (127.0.0.1:1)"}}}},
		{name: "a token endpoint behind a proxy", make: broken(authtest.Token, authtest.Down), unreachable: true,
			problems: []said{{"token endpoint", "http.status", []string{"503"}}}},
		{name: "no userinfo endpoint", make: broken(authtest.Userinfo, authtest.Resetting), unreachable: true, problems: []said{{"userinfo endpoint", "http.network", nil}}},
		{name: "one that is not asked", make: func(s *sitetest.Site, o *ginauth.Options) {
			s.IDP.Fail(authtest.Userinfo, authtest.Resetting)
			o.Providers[0].Userinfo = "never"
		}},
		{name: "one that Profile takes the place of", make: func(s *sitetest.Site, o *ginauth.Options) {
			s.IDP.Fail(authtest.Userinfo, authtest.Resetting)
			o.Providers[0].Profile = sitetest.NoProfile
		}},
		{name: "browsers alone get there", make: metadata("authorization_endpoint", "https://127.0.0.1:1/authorize"),
			warnings: []said{{"authorization endpoint", "http.network", []string{"connection refused (127.0.0.1:1)"}}}},

		{name: "no keys", make: broken(authtest.JWKS, authtest.ServerError), unreachable: true, problems: []said{{"signing keys", "http.status", []string{"500"}}}},
		{name: "none that fits", make: func(s *sitetest.Site, _ *ginauth.Options) {
			s.IDP.EditJWKS(func([]map[string]any) []map[string]any {
				return []map[string]any{{"kty": "OKP", "crv": "Ed25519", "x": sitetest.Base64(make([]byte, 32))}, {"kty": "oct", "k": "c2VjcmV0"}}
			})
		}, problems: []said{{"signing keys", "diagnose.keys", []string{"RS256", "jwks_uri"}}}},

		{name: "a secret that is not made", make: secret(func(context.Context) (string, error) { return "", errors.New("no such file") }),
			problems: []said{{"client secret", "token.client_secret_func", []string{"ClientSecretFunc", ": no such file"}}}},
		{name: "an empty secret", make: secret(func(context.Context) (string, error) { return "", nil }), problems: []said{{"client secret", "token.client_secret_func", []string{"ClientSecretFunc"}}}},
		{name: "a panic instead of a secret", make: secret(func(context.Context) (string, error) { panic("a bug") }),
			problems: []said{{"client secret", "token.client_secret_func", []string{"ClientSecretFunc", ": panic: a bug"}}}},
		{name: "a secret", make: secret(func(context.Context) (string, error) { return "secret", nil })},
	})
}

// Endpoints that respond to HEAD with another status than 200 exist, too.
func TestDiagnoseTakesAnyAnswerForOne(t *testing.T) {
	t.Parallel()
	var list []finding
	for _, status := range []int{204, 302, 307, 400, 401, 403, 404, 405, 500, 501} {
		list = append(list, finding{name: fmt.Sprint(status), make: func(s *sitetest.Site, _ *ginauth.Options) {
			for _, e := range []authtest.Endpoint{authtest.Token, authtest.Userinfo, authtest.Authorize} {
				s.IDP.Handle(e, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", s.IDP.EvilURL())
					w.WriteHeader(status)
				})
			}
		}})
	}
	for _, status := range []int{502, 503, 504} {
		list = append(list, finding{name: fmt.Sprint(status), unreachable: true, make: func(s *sitetest.Site, _ *ginauth.Options) {
			for _, e := range []authtest.Endpoint{authtest.Token, authtest.Authorize} {
				s.IDP.Handle(e, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			}
		}, problems: []said{{"token endpoint", "http.status", []string{fmt.Sprintf("127.0.0.1:PORT: responded with %d %s", status, http.StatusText(status))}}},
			warnings: []said{{"authorization endpoint", "http.status", []string{fmt.Sprint(status)}}}})
	}
	runFindings(t, sitetest.NewTLS, list)
}

func TestDiagnoseComparesClocks(t *testing.T) {
	t.Parallel()
	var list []finding
	for _, c := range []struct {
		header          string        // of the responses
		ahead           time.Duration // our clock
		problem, remark string        // in which direction the provider's clock differs
	}{
		{ahead: 5 * time.Second},
		{ahead: 30 * time.Second, remark: "behind"},
		{ahead: 5 * time.Minute, problem: "behind"},
		{ahead: -5 * time.Minute, problem: "ahead"},
		{ahead: -30 * time.Second, remark: "ahead"},
		{ahead: -time.Hour, problem: "ahead"},
		{ahead: time.Hour, header: "none"},
		{header: "an hour in a cache"},
		{header: "an hour old", problem: "behind"},
	} {
		f := finding{name: fmt.Sprint(c.ahead, c.header), make: func(s *sitetest.Site, _ *ginauth.Options) {
			s.Clock.Advance(c.ahead)
			dated := func(e authtest.Endpoint) {
				s.IDP.Handle(e, func(w http.ResponseWriter, r *http.Request) {
					if c.header != "" {
						w.Header()["Date"] = nil
					}
					if strings.HasPrefix(c.header, "an hour") {
						w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
					}
					if c.header == "an hour in a cache" {
						w.Header().Set("Age", "3600")
					}
					s.IDP.Default(e).ServeHTTP(w, r)
				})
			}
			for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.Userinfo, authtest.Authorize} {
				dated(e)
			}
		}}
		if c.problem != "" {
			f.problems = []said{{"clock", "diagnose.clock", []string{c.problem, "+/- ", "1m", "(NTP)"}}}
		}
		if c.remark != "" {
			f.warnings = []said{{"clock", "diagnose.clock", []string{c.remark, "+/- "}}}
		}
		list = append(list, f)
	}
	runFindings(t, sitetest.NewTLS, list)
}

func TestDiagnoseComparesWhatIsOffered(t *testing.T) {
	t.Parallel()
	provider := func(change func(p *ginauth.Provider), name string, offered ...string) func(*sitetest.Site, *ginauth.Options) {
		return func(s *sitetest.Site, o *ginauth.Options) {
			change(&o.Providers[0])
			edited(s, name, offered)
		}
	}
	as := func(*ginauth.Provider) {}
	runFindings(t, sitetest.NewTLS, []finding{
		{name: "plain PKCE", make: provider(as, "code_challenge_methods_supported", "plain"),
			warnings: []said{{"metadata", "diagnose.pkce_not_offered", []string{"S256", "Quirks.DisablePKCE"}}}},
		{name: "nothing said of PKCE", make: provider(as, "code_challenge_methods_supported")},
		{name: "PKCE left out", make: provider(func(p *ginauth.Provider) { p.Quirks.DisablePKCE = true }, "code_challenge_methods_supported", "S256"),
			warnings: []said{{"metadata", "diagnose.pkce_disabled", []string{"S256", "Quirks.DisablePKCE"}}}},
		{name: "PKCE left out where it is not offered", make: provider(func(p *ginauth.Provider) { p.Quirks.DisablePKCE = true }, "code_challenge_methods_supported", "plain")},
		{name: "another way to authenticate", make: provider(func(p *ginauth.Provider) { p.AuthMethod = "client_secret_post" }, "token_endpoint_auth_methods_supported", "client_secret_basic"),
			warnings: []said{{"metadata", "diagnose.auth_method", []string{`AuthMethod "client_secret_post"`}}}},
		{name: "another response mode", make: provider(func(p *ginauth.Provider) { p.ResponseMode = "form_post" }, "response_modes_supported", "query"),
			warnings: []said{{"metadata", "diagnose.response_mode", []string{`ResponseMode "form_post"`}}}},
		{name: "another flow", make: provider(as, "response_types_supported", "id_token"),
			warnings: []said{{"metadata", "diagnose.response_type", nil}}},
		{name: "a scope that is not there", make: provider(func(p *ginauth.Provider) { p.Scopes = []string{"email", "payroll"} }, "scopes_supported", "openid", "email"),
			warnings: []said{{"metadata", "diagnose.scope", []string{`"payroll"`, "Scopes"}}}},
	})
}

func TestDiagnoseLooksAtOptions(t *testing.T) {
	t.Parallel()
	http1 := said{"Options.BaseURL", "options.base_url.http", []string{"https"}}
	runFindings(t, sitetest.New, []finding{
		{name: "http", make: func(*sitetest.Site, *ginauth.Options) {}, warnings: []said{http1}},
		{name: "a random key", make: func(_ *sitetest.Site, o *ginauth.Options) { o.Keys = nil },
			warnings: []said{http1, {"Options.Keys", "options.keys.generated", []string{"openssl rand -hex 32"}}}},
	})
	public := func(_ *sitetest.Site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" }
	machine := said{"authorization endpoint", "diagnose.loopback", []string{"127.0.0.1"}}
	memory := said{"Options.Revocations", "options.revocations.memory", nil}
	runFindings(t, sitetest.NewTLS, []finding{
		{name: "revocations in memory", make: public, warnings: []said{memory, machine}},
		{name: "sessions in memory", make: func(s *sitetest.Site, o *ginauth.Options) {
			public(s, o)
			o.Sessions, o.Revocations = memstore.NewStore([]byte(sitetest.Key)), &sitetest.BrokenRevocations{}
		}, warnings: []said{{"Options.Sessions", "options.sessions.memstore", nil}, machine}},
	})
}

func TestDiagnoseTriesTheStores(t *testing.T) {
	t.Parallel()
	revocations := func(r ginauth.Revocations) func(*sitetest.Site, *ginauth.Options) {
		return func(_ *sitetest.Site, o *ginauth.Options) { o.Revocations = r }
	}
	store := func(st ginsessions.Store) func(*sitetest.Site, *ginauth.Options) {
		return func(_ *sitetest.Site, o *ginauth.Options) { o.Sessions = st }
	}
	working := memstore.NewStore([]byte(sitetest.Key))
	deaf := &sitetest.DeafStore{Store: working}
	deaf.Deaf.Store(true)
	failing := &sitetest.DeafStore{Store: working, Fails: errors.New("i/o timeout")}
	failing.Deaf.Store(true)
	runFindings(t, sitetest.NewTLS, []finding{
		{name: "revocations fail", make: revocations(&sitetest.FaultyRevocations{ReadErr: sitetest.ErrBroken}), problems: []said{{"read revocations", "store.revocations_failed", []string{"Options.Revocations", ": the revocation store is down"}}}},
		{name: "revocations panic", make: revocations(panickyRevocations{}), problems: []said{{"read revocations", "store.revocations_failed", []string{"Options.Revocations", ": panic: a bug"}}}},
		{name: "revocations work", make: revocations(&sitetest.BrokenRevocations{})},
		{name: "a store that works", make: store(working)},
		{name: "a store that cannot be read", make: store(failing), problems: []said{{"read session", "store.sessions_failed", []string{"Options.Sessions", ": i/o timeout"}}}},
		{name: "a store that cannot be written", make: store(&fullStore{Store: working, err: errors.New("i/o timeout")}), problems: []said{{"write session", "store.sessions_failed", []string{"Options.Sessions"}}}},
		{name: "a store that forgets", make: store(deaf), problems: []said{{"try session store", "store.sessions_failed", []string{"Options.Sessions", "lost"}}}},
	})
}

// The record that Diagnose writes into a store is not a session, and is deleted afterwards.
func TestDiagnoseLeavesNothingInAStore(t *testing.T) {
	t.Parallel()
	spy := &countingStore{Store: memstore.NewStore([]byte(sitetest.Key))}
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Sessions = spy })
	s.SignIn()
	saved := spy.saved
	if d := s.Auth.Diagnose(t.Context()); len(d.Problems) != 0 {
		t.Errorf("%s", d)
	}
	if spy.saved != saved+1 || spy.deleted != 1 {
		t.Errorf("%d records were written and %d deleted, want one and one", spy.saved-saved, spy.deleted)
	}
	if s.User() == nil {
		t.Error("the signed-in user is signed out")
	}
	for _, line := range spy.lines {
		name, value, _ := strings.Cut(line, "=")
		value, _, _ = strings.Cut(value, ";")
		thief := s.NewBrowser()
		if err := thief.SetCookie(s.URL, &http.Cookie{Name: name, Value: value, Path: "/"}); err != nil {
			t.Fatal(err)
		}
		if s.UserOf(thief) != nil {
			t.Errorf("%s is a session", line)
		}
	}
}

type countingStore struct {
	ginsessions.Store
	saved, deleted int
	lines          []string
}

func (c *countingStore) Save(r *http.Request, w http.ResponseWriter, s *gorilla.Session) error {
	if s.Options.MaxAge < 0 {
		c.deleted++
	} else {
		c.saved++
	}
	err := c.Store.Save(r, w, s)
	c.lines = append(c.lines, w.Header().Values("Set-Cookie")...)
	return err
}

type panickyBody struct{ io.ReadCloser }

func (panickyBody) Read([]byte) (int, error) { panic("a bug") }

func (panickyBody) Close() error { return nil }

// LINE signs with the client's secret, and publishes no keys for it.
func TestDiagnoseOfASharedSecret(t *testing.T) {
	t.Parallel()
	const issuer = "https://access.line.me"
	canned := sitetest.RoundTripper(func(r *http.Request) (*http.Response, error) {
		body := `{"keys": []}`
		if strings.Contains(r.URL.Path, "well-known") {
			body = fmt.Sprintf(`{"issuer": %q, "authorization_endpoint": %q, "token_endpoint": %q, "jwks_uri": %q}`, issuer, issuer+"/a", issuer+"/t", issuer+"/k")
		}
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	for _, shared := range []bool{true, false} {
		o := sitetest.GoodOptions()
		o.Logger = (&sitetest.Logs{}).Logger()
		o.HTTPClient = &http.Client{Transport: canned}
		o.Providers = []ginauth.Provider{{Name: "line", Issuer: issuer, ClientID: "id", ClientSecret: strings.Repeat("0123456789abcdef", 2), Quirks: ginauth.Quirks{HS256: shared}}}
		auth, err := ginauth.Mount(gin.New(), o)
		if err != nil {
			t.Fatal(err)
		}
		if d := auth.Diagnose(t.Context()); (len(d.Problems) == 0) != shared {
			t.Errorf("HS256 %v: %s", shared, d)
		}
	}
}

// runFindings asserts that Diagnose reports exactly what each finding wants, in an otherwise
// healthy site.
func runFindings(t *testing.T, start func(testing.TB, func(*sitetest.Site, *ginauth.Options)) *sitetest.Site, findings []finding) {
	t.Helper()
	for _, f := range findings {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, f.make)
			d := s.Auth.Diagnose(t.Context())
			saysAll(t, "problems", s, d.Problems, f.problems)
			saysAll(t, "warnings", s, d.Warnings, f.warnings)
			if d.Providers[0].Reachable == f.unreachable {
				t.Errorf("Reachable is %v\n%s", d.Providers[0].Reachable, d)
			}
			if s.IDP.EvilRequests() != 0 {
				t.Error("a redirect was followed")
			}
		})
	}
}

func saysAll(t *testing.T, kind string, s *sitetest.Site, got []*ginauth.Error, want []said) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d %s, want %d: %v", len(got), kind, len(want), got)
		return
	}
	for i, e := range got {
		_, port, _ := strings.Cut(strings.TrimPrefix(s.IDP.Issuer, "https://"), ":")
		text := strings.ReplaceAll(e.Error(), ":"+port, ":PORT")
		if e.Op != want[i].op || e.ID != want[i].id {
			t.Errorf("%s: %s, %s, want %v: %q", kind, e.Op, e.ID, want[i], text)
		}
		sitetest.WantNames(t, text, want[i].names...)
		if e.Provider != "demo" && !strings.HasPrefix(e.Op, "Options.") && e.Code != ginauth.ErrStoreUnavailable || e.Code == "" || e.Reason == "" {
			t.Errorf("%s: %+v", kind, e)
		}
	}
}

func TestDiagnosisOfAHealthyProvider(t *testing.T) {
	t.Parallel()
	s := sitetest.NewTLS(t, func(_ *sitetest.Site, o *ginauth.Options) { o.CookieName = "app" })
	d := s.Auth.Diagnose(t.Context())
	if len(d.Problems)+len(d.Warnings) != 0 || len(d.Providers) != 1 {
		t.Fatalf("%s", d)
	}
	p := d.Providers[0]
	for name, got := range map[string][2]string{
		"BaseURL": {d.BaseURL, s.URL}, "Name": {p.Name, "demo"}, "Issuer": {p.Issuer, s.IDP.Issuer},
		"RedirectURI":           {p.RedirectURI, s.URL + "/authorize/demo"},
		"PostLogoutRedirectURI": {p.PostLogoutRedirectURI, s.URL + "/logout/return"},
		"BackChannelLogoutURI":  {p.BackChannelLogoutURI, s.URL + "/logout/demo/backchannel"},
		"FrontChannelLogoutURI": {p.FrontChannelLogoutURI, s.URL + "/logout/demo/frontchannel"},
		"AuthMethod":            {p.AuthMethod, "client_secret_basic"}, "ResponseMode": {p.ResponseMode, "query"}, "PKCE": {p.PKCE, "S256"},
		"Scopes": {strings.Join(p.Scopes, " "), "openid profile email"}, "Algorithms": {fmt.Sprint(p.Algorithms), "[RS256]"}, "Keys": {fmt.Sprint(p.Keys), "map[RS256:1]"},
		"Endpoints": {fmt.Sprint(p.Endpoints), fmt.Sprint(map[string]string{
			"authorization_endpoint": s.IDP.URL(authtest.Authorize), "token_endpoint": s.IDP.URL(authtest.Token), "jwks_uri": s.IDP.URL(authtest.JWKS),
			"userinfo_endpoint": s.IDP.URL(authtest.Userinfo), "end_session_endpoint": s.IDP.URL(authtest.EndSession)})},
		"Offered": {fmt.Sprint(p.Offered), "map[authorization_response_iss_parameter_supported:[true] code_challenge_methods_supported:[S256] " +
			"id_token_signing_alg_values_supported:[RS256] response_modes_supported:[query form_post] response_types_supported:[code] " +
			"scopes_supported:[openid profile email groups offline_access] token_endpoint_auth_methods_supported:[client_secret_basic client_secret_post none]]"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %q, want %q", name, got[0], got[1])
		}
	}
	if !p.Reachable || !p.RequiresIss || p.ClockTolerance == 0 || p.ClockTolerance > 5*time.Second || p.ClockAhead.Abs() > 5*time.Second {
		t.Errorf("Reachable %v, RequiresIss %v, ClockAhead %v ± %v", p.Reachable, p.RequiresIss, p.ClockAhead, p.ClockTolerance)
	}
}

// The addresses to register are those that are used when users sign in and out.
func TestDiagnosisNamesTheAddressesInUse(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	p := s.Auth.Diagnose(t.Context()).Providers[0]
	s.SignIn()
	if got := s.IDP.LastRequest(authtest.Authorize).Form.Get("redirect_uri"); got != p.RedirectURI {
		t.Errorf("RedirectURI is %q, and %q was sent", p.RedirectURI, got)
	}
	s.Must(s.Browser.Submit(s.Get("/"), s.URL+"/logout", nil))
	if got := s.IDP.LastRequest(authtest.EndSession).Form.Get("post_logout_redirect_uri"); got != p.PostLogoutRedirectURI {
		t.Errorf("PostLogoutRedirectURI is %q, and %q was sent", p.PostLogoutRedirectURI, got)
	}
	for address, methods := range map[string]string{p.BackChannelLogoutURI: "POST", p.FrontChannelLogoutURI: "GET"} {
		if page := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "DELETE", address, nil, "")); page.Header.Get("Allow") != methods {
			t.Errorf("%s answered %d, for %q", address, page.Status, page.Header.Get("Allow"))
		}
	}
}

func TestDiagnosisOfWhatIsNotToRegister(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(s *sitetest.Site, p *ginauth.Provider)
		want   bool
	}{
		"local": {func(_ *sitetest.Site, p *ginauth.Provider) { p.Logout.Local = true }, false},
		"an address of its own": {func(_ *sitetest.Site, p *ginauth.Provider) {
			p.Logout.URL = "https://x.example/out?to={post_logout_redirect_uri}"
		}, true},
		"one that does not come back": {func(_ *sitetest.Site, p *ginauth.Provider) { p.Logout.URL = "https://x.example/out" }, false},
		"no end-session endpoint":     {func(s *sitetest.Site, _ *ginauth.Provider) { edited(s, "end_session_endpoint", nil) }, false},
		"a provider that is down":     {func(s *sitetest.Site, _ *ginauth.Provider) { s.IDP.Fail(authtest.Discovery, authtest.Down) }, true},
		"one that is down, and local": {func(s *sitetest.Site, p *ginauth.Provider) {
			s.IDP.Fail(authtest.Discovery, authtest.Down)
			p.Logout.Local = true
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { c.change(s, &o.Providers[0]) })
			p := s.Auth.Diagnose(t.Context()).Providers[0]
			if (p.PostLogoutRedirectURI != "") != c.want || p.RedirectURI == "" || p.BackChannelLogoutURI == "" || p.FrontChannelLogoutURI == "" {
				t.Errorf("%+v", p)
			}
		})
	}
}

// edited sets a value in the metadata; nil removes it.
func edited(s *sitetest.Site, name string, value any) {
	s.IDP.EditMetadata(func(m map[string]any) { sitetest.Put(m, name, value) })
}

// A plain OAuth 2.0 provider has no metadata, keys or checked clock, and cannot report
// sign-outs.
func TestDiagnosisOfPlainOAuth(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, "", func(s *sitetest.Site, p *ginauth.Provider) {
		p.TokenURL += "?api_key=s3cr3t"
		s.Clock.Advance(time.Hour)
	})
	s.IDP.Fail(authtest.Discovery, authtest.Down)
	d := s.Auth.Diagnose(t.Context())
	p := d.Providers[0]
	if len(d.Problems) != 0 || !p.Reachable || p.PostLogoutRedirectURI+p.BackChannelLogoutURI+p.FrontChannelLogoutURI != "" ||
		p.Offered != nil || p.Keys != nil || p.Algorithms != nil || len(p.Endpoints) != 3 || p.AuthMethod != "client_secret_basic" {
		t.Errorf("%s\n%+v", d, p)
	}
	if s.IDP.Count(authtest.Discovery)+s.IDP.Count(authtest.JWKS) != 0 {
		t.Error("metadata or keys were requested")
	}
	if !strings.Contains(d.String(), "plain OAuth 2.0") || strings.Contains(d.String(), "s3cr3t") || p.Endpoints["token_endpoint"] != s.IDP.URL(authtest.Token) {
		t.Errorf("%s", d)
	}
}

// Anyone may read the requests of Diagnose: they have no secret, no code and no cookie.
func TestDiagnoseSendsNoSecrets(t *testing.T) {
	t.Parallel()
	for name, site := range map[string]*sitetest.Site{
		"OpenID Connect": sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].Quirks.Header = map[string]string{"X-Api-Key": "s3cr3t"}
		}),
		"plain OAuth 2.0": sitetest.NewPlain(t, "", func(_ *sitetest.Site, p *ginauth.Provider) {
			p.Quirks.Header = map[string]string{"X-Api-Key": "s3cr3t"}
			p.AuthorizeURL, p.TokenURL, p.UserinfoURL = p.AuthorizeURL+"?key=s3cr3t", p.TokenURL+"?key=s3cr3t", p.UserinfoURL+"?key=s3cr3t"
		}),
	} {
		site.Auth.Diagnose(t.Context())
		asked := map[authtest.Endpoint]string{}
		for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Authorize, authtest.Token, authtest.Userinfo, authtest.JWKS, authtest.EndSession} {
			for _, r := range site.IDP.Requests(e) {
				asked[e] += r.Method
				names := slices.DeleteFunc(slices.Sorted(maps.Keys(r.Header)), func(name string) bool {
					return slices.Contains([]string{"Accept", "Accept-Encoding", "User-Agent"}, name)
				})
				if len(r.Body) > 0 || r.URL.RawQuery != "" || len(names) > 0 {
					t.Errorf("%s: %s %s has a body of %d bytes and the headers %v", name, r.Method, r.URL, len(r.Body), names)
				}
			}
		}
		want := "map[authorize:OPTIONS discovery:GET jwks:GET token:HEAD userinfo:HEAD]"
		if name != "OpenID Connect" {
			want = "map[authorize:OPTIONS token:HEAD userinfo:HEAD]"
		}
		if fmt.Sprint(asked) != want {
			t.Errorf("%s: %v, want %s", name, asked, want)
		}
	}
}

// The results of Diagnose do not affect sign-ins.
func TestDiagnoseDisturbsNoSignIn(t *testing.T) {
	t.Parallel()
	t.Run("what it learns is not kept", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.Auth.Diagnose(t.Context())
		s.SignIn()
		if n, keys := s.IDP.Count(authtest.Discovery), s.IDP.Count(authtest.JWKS); n != 2 || keys != 2 {
			t.Errorf("%d discoveries and %d requests for keys, want two and two", n, keys)
		}
	})
	t.Run("worse metadata replaces none", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.SignIn()
		edited(s, "token_endpoint", s.IDP.EvilURL())
		if got := s.Auth.Diagnose(t.Context()).Providers[0].Endpoints["token_endpoint"]; got != s.IDP.EvilURL() {
			t.Errorf("the token endpoint is %q: it was not queried again", got)
		}
		s.SignIn()
	})
	t.Run("a failed discovery is not held against the provider", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.Fail(authtest.Discovery, authtest.Down)
		if d := s.Auth.Diagnose(t.Context()); len(d.Problems) != 1 {
			t.Errorf("%s", d)
		}
		s.IDP.Heal()
		s.SignIn() // at once
	})
	t.Run("worse keys replace none, and a failure starts no cool-down", func(t *testing.T) {
		t.Parallel()
		for _, fault := range []authtest.Fault{"", authtest.Down} {
			s := sitetest.New(t, nil)
			s.SignIn()
			s.IDP.EditJWKS(func([]map[string]any) []map[string]any { return nil })
			s.IDP.Fail(authtest.JWKS, fault)
			if d := s.Auth.Diagnose(t.Context()); len(d.Problems) != 1 {
				t.Errorf("%s", d)
			}
			s.SignIn()
			s.IDP.Heal()
			s.IDP.EditJWKS(nil)
			s.IDP.RotateKey()
			s.SignIn()
		}
	})
	t.Run("and a cool-down does not keep it from asking", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.Fail(authtest.Discovery, authtest.Down)
		s.WantErrorStatus(s.Get("/login/demo"), ginauth.ErrProviderUnavailable, http.StatusBadGateway)
		s.IDP.Heal()
		if d := s.Auth.Diagnose(t.Context()); len(d.Problems) != 0 {
			t.Errorf("%s", d)
		}
	})
}

// Providers are examined concurrently, and one that hangs does not affect the others.
func TestDiagnoseAsksAllProvidersAtOnce(t *testing.T) {
	t.Parallel()
	var second *authtest.Provider
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		second = sitetest.StartProvider(t, authtest.Config{})
		o.Providers = append(o.Providers, sitetest.Client("second", second))
		o.HTTPClient = sitetest.QuickClient(5 * time.Second)
	})
	var both sync.WaitGroup
	both.Add(2)
	for _, idp := range []*authtest.Provider{s.IDP, second} {
		idp.Handle(authtest.Discovery, func(w http.ResponseWriter, r *http.Request) {
			both.Done()
			both.Wait() // sequentially, this would never end
			idp.Default(authtest.Discovery).ServeHTTP(w, r)
		})
	}
	if d := s.Auth.Diagnose(t.Context()); len(d.Problems) != 0 {
		t.Errorf("%s", d)
	}
}

func TestDiagnoseWithADeadProvider(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP.Fail(authtest.Discovery, authtest.Hanging)
		o.Providers = append(o.Providers, sitetest.Client("second", sitetest.StartProvider(t, authtest.Config{})))
		o.HTTPClient = sitetest.QuickClient(3 * time.Second)
	})
	d := s.Auth.Diagnose(t.Context())
	if len(d.Problems) != 1 || d.Problems[0].Code != ginauth.ErrProviderTimeout || d.Problems[0].Provider != "demo" {
		t.Errorf("%s", d)
	}
	if dead, well := d.Providers[0], d.Providers[1]; dead.Reachable || !well.Reachable || len(well.Endpoints) != 5 || dead.RedirectURI == "" {
		t.Errorf("%s", d)
	}
}

// A hundred providers do not cause a hundred concurrent connections.
func TestDiagnoseAsksSixteenProvidersAtATime(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP.Fail(authtest.Discovery, authtest.Hanging)
		for i := range 20 {
			p := sitetest.Client(fmt.Sprint("p", i), s.IDP)
			p.ClientID = fmt.Sprint(i)
			o.Providers = append(o.Providers, p)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if d := s.Auth.Diagnose(ctx); len(d.Problems) != 21 || s.IDP.Count(authtest.Discovery) > 16 {
		t.Errorf("%d problems; %d were queried", len(d.Problems), s.IDP.Count(authtest.Discovery))
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

// If anything hangs, even a store of the application that ignores the context, Diagnose ends
// with its context.
func TestDiagnoseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP.Fail(authtest.Discovery, authtest.Hanging)
		o.Providers[0].ClientSecret = ""
		o.Providers[0].ClientSecretFunc = func(context.Context) (string, error) { <-never; return "secret", nil }
		o.Revocations = hangingRevocations{marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 10), never}
		o.Sessions = hangingStore{memstore.NewStore([]byte(sitetest.Key)), never}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	d := s.Auth.Diagnose(ctx)
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
	second := sitetest.StartProvider(t, authtest.Config{})
	for name, change := range map[string]func(*ginauth.Options){
		"cookie": func(*ginauth.Options) {},
		"store":  func(o *ginauth.Options) { o.Sessions = memstore.NewStore([]byte(sitetest.Key)) },
		"form":   func(o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" },
		"short":  func(o *ginauth.Options) { o.Lifetime = time.Hour },
		"two":    func(o *ginauth.Options) { o.Providers = append(o.Providers, sitetest.Client("second", second)) },
	} {
		for _, start := range []func(testing.TB, func(*sitetest.Site, *ginauth.Options)) *sitetest.Site{sitetest.New, sitetest.NewTLS} {
			s := start(t, func(_ *sitetest.Site, o *ginauth.Options) { change(o) })
			d := s.Auth.Diagnose(t.Context())
			s.IDP.DenyConsent(true)
			s.Get("/login/demo")
			s.IDP.DenyConsent(false)
			s.SignIn()
			s.Must(s.Browser.Submit(s.Get("/"), s.URL+"/logout", nil))
			seen := map[string]bool{}
			for _, hop := range s.Browser.History() {
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
					c.MaxAge, c.Expires = 0, time.Time{} // stores set both
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

// The clock differs by the reported time, within the reported accuracy.
func TestDiagnosisOfTheClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, 20 * time.Millisecond, -7300 * time.Millisecond, 90 * time.Minute} {
		s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.Clock.Advance(off) })
		p := s.Auth.Diagnose(t.Context()).Providers[0]
		if wrong := (p.ClockAhead + off).Abs(); wrong > p.ClockTolerance+100*time.Millisecond || p.ClockTolerance < 500*time.Millisecond {
			t.Errorf("%v off: %v, +/- %v", off, p.ClockAhead, p.ClockTolerance)
		}
	}
}

func TestDiagnosisAsJSON(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].ClientSecretFunc = func(context.Context) (string, error) { return "", errors.New("the cause, which is for the log") }
		o.Providers[0].ClientSecret = ""
	})
	text, err := json.Marshal(s.Auth.Diagnose(t.Context()))
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
	healthy := sitetest.NewTLS(t, nil)
	if text, _ := json.Marshal(healthy.Auth.Diagnose(t.Context())); !strings.Contains(string(text), `"problems":[],"warnings":[]`) {
		t.Errorf("%s", text)
	}
}

// The query of an address may contain a secret.
func TestDiagnosisDropsTheAddressesOfErrors(t *testing.T) {
	idp := sitetest.StartProvider(t, authtest.Config{})
	p := sitetest.Client("demo", idp)
	p.ClientSecret = ""
	p.ClientSecretFunc = func(context.Context) (string, error) {
		return "", fmt.Errorf("vault: %w", &url.Error{Op: "Get", URL: "http://vault/v1?token=hvs.SECRET", Err: context.DeadlineExceeded})
	}
	auth, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: "http://localhost:8080", Keys: []string{sitetest.Key}, Logger: (&sitetest.Logs{}).Logger(), Providers: []ginauth.Provider{p}})
	if err != nil {
		t.Fatal(err)
	}
	if text := auth.Diagnose(t.Context()).String(); strings.Contains(text, "SECRET") || !strings.Contains(text, context.DeadlineExceeded.Error()) {
		t.Error(text)
	}
}
