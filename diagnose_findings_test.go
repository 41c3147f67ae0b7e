package ginauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// finding is something that Diagnose has to say, and what it says of it: the
// whole list of problems and warnings, each as "op: reason; fix", in part.
type finding struct {
	name        string
	make        func(s *site, o *ginauth.Options)
	problems    []string
	warnings    []string
	unreachable bool
}

// closedPort is an address at which nobody listens.
const closedPort = "http://127.0.0.1:1"

func TestDiagnoseFindsProblemsOfAProvider(t *testing.T) {
	t.Parallel()
	broken := func(e authtest.Endpoint, f authtest.Fault) func(*site, *ginauth.Options) {
		return func(s *site, _ *ginauth.Options) { s.idp.Fail(e, f) }
	}
	metadata := func(name string, value any) func(*site, *ginauth.Options) {
		return func(s *site, _ *ginauth.Options) { edited(s, name, value) }
	}
	secret := func(f func(context.Context) (string, error)) func(*site, *ginauth.Options) {
		return func(_ *site, o *ginauth.Options) {
			o.Providers[0].ClientSecret, o.Providers[0].ClientSecretFunc = "", f
		}
	}
	runFindings(t, newTLSSite, []finding{
		{name: "down", make: broken(authtest.Discovery, authtest.Down), unreachable: true, problems: []string{"discovery: the provider answered with status 503"}},
		{name: "a page", make: broken(authtest.Discovery, authtest.HTML), unreachable: true, problems: []string{"discovery: the provider did not answer with JSON"}},
		{name: "not listening", make: func(_ *site, o *ginauth.Options) { o.Providers[0].Issuer = closedPort }, unreachable: true,
			problems: []string{"discovery: the provider cannot be reached: connection refused (127.0.0.1:1)"}},
		{name: "a certificate of nobody's", make: func(_ *site, o *ginauth.Options) { o.HTTPClient = nil }, unreachable: true,
			problems: []string{"discovery: the provider's certificate is not trusted"}},
		{name: "a panic", make: func(_ *site, o *ginauth.Options) {
			o.HTTPClient = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("a bug") })}
		}, unreachable: true,
			problems: []string{"discovery: the provider does not answer as it should"}},
		{name: "a panic while it is read", make: func(_ *site, o *ginauth.Options) {
			o.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: panickyBody{}, Request: r}, nil
			})}
		}, unreachable: true, problems: []string{"discovery: the provider does not answer as it should"}},
		{name: "another issuer", make: metadata("issuer", "https://other.example"), problems: []string{`discovery: the provider says that its issuer is "https://other.example"`}},
		{name: "a slash", make: func(s *site, _ *ginauth.Options) { edited(s, "issuer", s.idp.Issuer+"/") }, problems: []string{"the final / counts: set Issuer to"}},
		{name: "http", make: metadata("token_endpoint", "http://login.example/token"), problems: []string{"discovery: the provider's token_endpoint is not https"}},
		{name: "several things", make: func(s *site, _ *ginauth.Options) {
			s.idp.EditMetadata(func(m map[string]any) {
				m["jwks_uri"], m["id_token_signing_alg_values_supported"] = nil, []string{"HS256"}
				m["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt"}
			})
		}, problems: []string{"discovery: the provider's metadata has no jwks_uri", `signs ID tokens with ["HS256"] alone`, `token endpoint takes ["private_key_jwt"] alone`}},

		{name: "no token endpoint", make: metadata("token_endpoint", "https://127.0.0.1:1/token"), unreachable: true,
			problems: []string{"token endpoint: the provider cannot be reached: connection refused (127.0.0.1:1)"}},
		{name: "a token endpoint behind a proxy", make: broken(authtest.Token, authtest.Down), unreachable: true,
			problems: []string{"token endpoint: the provider answered with status 503"}},
		{name: "no userinfo endpoint", make: broken(authtest.Userinfo, authtest.Resetting), unreachable: true, problems: []string{"userinfo endpoint: the provider cannot be reached"}},
		{name: "one that is not asked", make: func(s *site, o *ginauth.Options) {
			s.idp.Fail(authtest.Userinfo, authtest.Resetting)
			o.Providers[0].Userinfo = "never"
		}},
		{name: "one that Profile takes the place of", make: func(s *site, o *ginauth.Options) {
			s.idp.Fail(authtest.Userinfo, authtest.Resetting)
			o.Providers[0].Profile = noProfile
		}},
		{name: "browsers alone get there", make: metadata("authorization_endpoint", "https://127.0.0.1:1/authorize"),
			warnings: []string{"authorization endpoint: the provider cannot be reached: connection refused (127.0.0.1:1)"}},

		{name: "no keys", make: broken(authtest.JWKS, authtest.ServerError), unreachable: true, problems: []string{"signing keys: the provider answered with status 500"}},
		{name: "none that fits", make: func(s *site, _ *ginauth.Options) {
			s.idp.EditJWKS(func([]map[string]any) []map[string]any {
				return []map[string]any{{"kty": "OKP", "crv": "Ed25519", "x": b64(make([]byte, 32))}, {"kty": "oct", "k": "c2VjcmV0"}}
			})
		}, problems: []string{"signing keys: none of the published keys fits an ID token that is signed with RS256; see that the provider publishes"}},

		{name: "a secret that is not made", make: secret(func(context.Context) (string, error) { return "", errors.New("no such file") }),
			problems: []string{"client secret: ClientSecretFunc gave no secret; look at what it returned: no such file"}},
		{name: "an empty secret", make: secret(func(context.Context) (string, error) { return "", nil }), problems: []string{"client secret: ClientSecretFunc gave no secret"}},
		{name: "a panic instead of a secret", make: secret(func(context.Context) (string, error) { panic("a bug") }),
			problems: []string{"client secret: ClientSecretFunc gave no secret; look at what it returned: panic: a bug"}},
		{name: "a secret", make: secret(func(context.Context) (string, error) { return "secret", nil })},
	})
}

// Endpoints that have other things to say to a HEAD than 200 are there.
func TestDiagnoseTakesAnyAnswerForOne(t *testing.T) {
	t.Parallel()
	var list []finding
	for _, status := range []int{204, 302, 307, 400, 401, 403, 404, 405, 500, 501} {
		list = append(list, finding{name: fmt.Sprint(status), make: func(s *site, _ *ginauth.Options) {
			for _, e := range []authtest.Endpoint{authtest.Token, authtest.Userinfo, authtest.Authorize} {
				s.idp.Handle(e, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", s.idp.EvilURL())
					w.WriteHeader(status)
				})
			}
		}})
	}
	for _, status := range []int{502, 503, 504} {
		list = append(list, finding{name: fmt.Sprint(status), unreachable: true, make: func(s *site, _ *ginauth.Options) {
			for _, e := range []authtest.Endpoint{authtest.Token, authtest.Authorize} {
				s.idp.Handle(e, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			}
		}, problems: []string{fmt.Sprintf("token endpoint: 127.0.0.1:PORT: answered %d %s", status, http.StatusText(status))}, warnings: []string{"authorization endpoint: the provider answered"}})
	}
	runFindings(t, newTLSSite, list)
}

func TestDiagnoseComparesClocks(t *testing.T) {
	t.Parallel()
	var list []finding
	for _, c := range []struct {
		header          string        // of the answers
		ahead           time.Duration // our clock
		problem, remark string
	}{
		{ahead: 5 * time.Second},
		{ahead: 30 * time.Second, remark: "behind this machine's, give or take "},
		{ahead: 5 * time.Minute, problem: "demo: clock: the provider's clock is "},
		{ahead: -5 * time.Minute, problem: ": ID tokens are refused from 1m on; set this machine's clock (NTP)"},
		{ahead: -30 * time.Second, remark: "ahead of this machine's, give or take "},
		{ahead: -time.Hour, problem: "ahead of this machine's, give or take "},
		{ahead: time.Hour, header: "none"},
		{header: "an hour in a cache"},
		{header: "an hour old", problem: "behind this machine's"},
	} {
		f := finding{name: fmt.Sprint(c.ahead, c.header), make: func(s *site, _ *ginauth.Options) {
			s.clock.Advance(c.ahead)
			dated := func(e authtest.Endpoint) {
				s.idp.Handle(e, func(w http.ResponseWriter, r *http.Request) {
					if c.header != "" {
						w.Header()["Date"] = nil
					}
					if strings.HasPrefix(c.header, "an hour") {
						w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
					}
					if c.header == "an hour in a cache" {
						w.Header().Set("Age", "3600")
					}
					s.idp.Default(e).ServeHTTP(w, r)
				})
			}
			for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.Userinfo, authtest.Authorize} {
				dated(e)
			}
		}}
		if c.problem != "" {
			f.problems = []string{c.problem}
		}
		if c.remark != "" {
			f.warnings = []string{c.remark}
		}
		list = append(list, f)
	}
	runFindings(t, newTLSSite, list)
}

func TestDiagnoseComparesWhatIsOffered(t *testing.T) {
	t.Parallel()
	provider := func(change func(p *ginauth.Provider), name string, offered ...string) func(*site, *ginauth.Options) {
		return func(s *site, o *ginauth.Options) {
			change(&o.Providers[0])
			edited(s, name, offered)
		}
	}
	as := func(*ginauth.Provider) {}
	runFindings(t, newTLSSite, []finding{
		{name: "plain PKCE", make: provider(as, "code_challenge_methods_supported", "plain"),
			warnings: []string{"metadata: the provider does not offer PKCE with S256, which is sent all the same; if sign-ins fail at the provider, set Quirks.DisablePKCE"}},
		{name: "nothing said of PKCE", make: provider(as, "code_challenge_methods_supported")},
		{name: "PKCE left out", make: provider(func(p *ginauth.Provider) { p.Quirks.DisablePKCE = true }, "code_challenge_methods_supported", "S256"),
			warnings: []string{"metadata: the provider offers PKCE with S256, and Quirks.DisablePKCE leaves it out; drop Quirks.DisablePKCE"}},
		{name: "PKCE left out where it is not offered", make: provider(func(p *ginauth.Provider) { p.Quirks.DisablePKCE = true }, "code_challenge_methods_supported", "plain")},
		{name: "another way to authenticate", make: provider(func(p *ginauth.Provider) { p.AuthMethod = "client_secret_post" }, "token_endpoint_auth_methods_supported", "client_secret_basic"),
			warnings: []string{`metadata: the provider does not offer the AuthMethod "client_secret_post"; drop AuthMethod`}},
		{name: "another response mode", make: provider(func(p *ginauth.Provider) { p.ResponseMode = "form_post" }, "response_modes_supported", "query"),
			warnings: []string{`metadata: the provider does not offer the ResponseMode "form_post"; set another`}},
		{name: "another flow", make: provider(as, "response_types_supported", "id_token"),
			warnings: []string{"metadata: the provider does not offer the response type code, which is the one in use; allow"}},
		{name: "a scope that is not there", make: provider(func(p *ginauth.Provider) { p.Scopes = []string{"email", "payroll"} }, "scopes_supported", "openid", "email"),
			warnings: []string{`metadata: the provider does not offer the scope "payroll"; drop it`}},
	})
}

func TestDiagnoseLooksAtOptions(t *testing.T) {
	t.Parallel()
	http1 := "Options.BaseURL: is http: cookies are neither Secure nor __Host-, which is for development alone; write https"
	runFindings(t, newSite, []finding{
		{name: "http", make: func(*site, *ginauth.Options) {}, warnings: []string{http1}},
		{name: "a random key", make: func(_ *site, o *ginauth.Options) { o.Keys = nil },
			warnings: []string{http1, "Options.Keys: is empty: a random key was made, which is fine for development; sign-ins end with this process, and no other replica can finish them; make one with: openssl rand -hex 32"}},
	})
	public := func(_ *site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" }
	machine := "authorization endpoint: is at 127.0.0.1, which to people's browsers is their own machine; write the address"
	memory := "Options.Revocations: sign-outs are remembered in this process's memory: lost at a restart, and not shared between replicas; with several replicas, set"
	runFindings(t, newTLSSite, []finding{
		{name: "revocations in memory", make: public, warnings: []string{memory, machine}},
		{name: "sessions in memory", make: func(s *site, o *ginauth.Options) {
			public(s, o)
			o.Sessions, o.Revocations = memstore.NewStore([]byte(testKey)), &brokenRevocations{}
		}, warnings: []string{"Options.Sessions: is a memstore, which keeps sessions in this process's memory: lost at a restart, and not shared between replicas; leave the option out", machine}},
	})
}

func TestDiagnoseTriesTheStores(t *testing.T) {
	t.Parallel()
	revocations := func(r ginauth.Revocations) func(*site, *ginauth.Options) {
		return func(_ *site, o *ginauth.Options) { o.Revocations = r }
	}
	store := func(st ginsessions.Store) func(*site, *ginauth.Options) {
		return func(_ *site, o *ginauth.Options) { o.Sessions = st }
	}
	working := memstore.NewStore([]byte(testKey))
	deaf := &deafStore{Store: working}
	deaf.deaf.Store(true)
	failing := &deafStore{Store: working, fails: errors.New("i/o timeout")}
	failing.deaf.Store(true)
	runFindings(t, newTLSSite, []finding{
		{name: "revocations fail", make: revocations(&faultyRevocations{readErr: errBroken}), problems: []string{"read revocations: Options.Revocations failed; look at the store behind it: the revocation store is down"}},
		{name: "revocations panic", make: revocations(panickyRevocations{}), problems: []string{"read revocations: Options.Revocations failed; look at the store behind it: panic: a bug"}},
		{name: "revocations work", make: revocations(&brokenRevocations{})},
		{name: "a store that works", make: store(working)},
		{name: "a store that cannot be read", make: store(failing), problems: []string{"read session: Options.Sessions failed; look at the store behind it: i/o timeout"}},
		{name: "a store that cannot be written", make: store(&fullStore{Store: working, err: errors.New("i/o timeout")}), problems: []string{"write session: Options.Sessions failed"}},
		{name: "a store that forgets", make: store(deaf), problems: []string{"try session store: Options.Sessions failed; look at the store behind it: the store has lost what it was given a moment ago"}},
	})
}

// What Diagnose keeps in a store for a moment is no session, and gone afterwards.
func TestDiagnoseLeavesNothingInAStore(t *testing.T) {
	t.Parallel()
	spy := &countingStore{Store: memstore.NewStore([]byte(testKey))}
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Sessions = spy })
	s.signIn()
	saved := spy.saved
	if d := s.auth.Diagnose(t.Context()); len(d.Problems) != 0 {
		t.Errorf("%s", d)
	}
	if spy.saved != saved+1 || spy.deleted != 1 {
		t.Errorf("%d records were written and %d deleted, want one and one", spy.saved-saved, spy.deleted)
	}
	if s.user() == nil {
		t.Error("who was signed in is not any more")
	}
	for _, line := range spy.lines {
		name, value, _ := strings.Cut(line, "=")
		value, _, _ = strings.Cut(value, ";")
		thief := s.newBrowser()
		if err := thief.SetCookie(s.URL, &http.Cookie{Name: name, Value: value, Path: "/"}); err != nil {
			t.Fatal(err)
		}
		if s.userOf(thief) != nil {
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
func (panickyBody) Close() error             { return nil }

// LINE signs with the client's secret, and has no keys for it.
func TestDiagnoseOfASharedSecret(t *testing.T) {
	t.Parallel()
	const issuer = "https://access.line.me"
	canned := roundTripper(func(r *http.Request) (*http.Response, error) {
		body := `{"keys": []}`
		if strings.Contains(r.URL.Path, "well-known") {
			body = fmt.Sprintf(`{"issuer": %q, "authorization_endpoint": %q, "token_endpoint": %q, "jwks_uri": %q}`, issuer, issuer+"/a", issuer+"/t", issuer+"/k")
		}
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	for _, shared := range []bool{true, false} {
		o := goodOptions()
		o.Logger = (&logs{}).Logger()
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

// runFindings asserts that Diagnose says exactly what each finding wants, in a
// site that is healthy otherwise.
func runFindings(t *testing.T, start func(testing.TB, func(*site, *ginauth.Options)) *site, findings []finding) {
	t.Helper()
	for _, f := range findings {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, f.make)
			d := s.auth.Diagnose(t.Context())
			saysAll(t, "problems", s, d.Problems, f.problems)
			saysAll(t, "warnings", s, d.Warnings, f.warnings)
			if d.Providers[0].Reachable == f.unreachable {
				t.Errorf("Reachable is %v\n%s", d.Providers[0].Reachable, d)
			}
			if s.idp.EvilRequests() != 0 {
				t.Error("a redirect was followed")
			}
		})
	}
}

func saysAll(t *testing.T, kind string, s *site, got []*ginauth.Error, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d %s, want %d: %v", len(got), kind, len(want), got)
		return
	}
	for i, e := range got {
		_, port, _ := strings.Cut(strings.TrimPrefix(s.idp.Issuer, "https://"), ":")
		text := strings.ReplaceAll(e.Error(), ":"+port, ":PORT")
		if !strings.Contains(text, want[i]) {
			t.Errorf("%s: %q, want %q", kind, text, want[i])
		}
		if e.Provider != "demo" && !strings.HasPrefix(e.Op, "Options.") && e.Code != ginauth.ErrStoreUnavailable || e.Code == "" || e.Reason == "" {
			t.Errorf("%s: %+v", kind, e)
		}
	}
}
