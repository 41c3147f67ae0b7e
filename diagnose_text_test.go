package ginauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/memstore"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

var updateText = flag.Bool("update-diagnosis", false, "write testdata/diagnosis")

// The exact text in a terminal, as in testdata/diagnosis.
func TestDiagnosisAsText(t *testing.T) {
	t.Parallel()
	healthy := sitetest.NewTLS(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP.EditMetadata(func(m map[string]any) {
			m["backchannel_logout_supported"], m["frontchannel_logout_supported"] = true, false
		})
	})
	compareText(t, "healthy.txt", healthy, healthy.Auth.Diagnose(t.Context()).String())

	sick := sitetest.NewTLS(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Clock.Advance(10 * time.Minute)
		s.IDP.EditMetadata(func(m map[string]any) {
			m["code_challenge_methods_supported"], m["token_endpoint"] = []string{"plain"}, "https://127.0.0.1:1/token"
		})
		o.Sessions, o.Lifetime, o.IdleTimeout = memstore.NewStore([]byte(sitetest.Key)), 8*time.Hour, 90*time.Minute
		o.Revocations = &sitetest.FaultyRevocations{ReadErr: errors.New("dial tcp: connection refused")}
		plain := sitetest.PlainProvider()
		plain.AuthorizeURL, plain.TokenURL, plain.UserinfoURL = s.IDP.URL(authtest.Authorize), s.IDP.URL(authtest.Token), s.IDP.URL(authtest.Userinfo)
		plain.ClientSecret, plain.ClientSecretFunc = "", func(context.Context) (string, error) { return "", errors.New("open key.p8: no such file") }
		slashed := sitetest.Client("slashed", s.IDP)
		slashed.Issuer += "/"
		o.Providers = append(o.Providers, plain, slashed)
	})
	compareText(t, "sick.txt", sick, sick.Auth.Diagnose(t.Context()).String())
}

// stateOf returns what a diagnosis says about the provider demo, without the number of problems.
func stateOf(t *testing.T, text string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^provider demo: ([a-z ]+)[,(]`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no line of the provider in\n%s", text)
	}
	return m[1]
}

// TestStatesOfAProvider: a provider whose responses are invalid is not called silent, and one
// behind a proxy that waits in vain is.
func TestStatesOfAProvider(t *testing.T) {
	t.Parallel()
	state := func(t *testing.T, change func(s *sitetest.Site)) string {
		s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { change(s) })
		return stateOf(t, s.Auth.Diagnose(t.Context()).String())
	}
	well := state(t, func(*sitetest.Site) {})
	silent := state(t, func(s *sitetest.Site) { s.IDP.Fail(authtest.Discovery, authtest.Resetting) })
	invalid := state(t, func(s *sitetest.Site) { s.IDP.Handle(authtest.Discovery, http.NotFound) })
	if well == silent || silent == invalid || invalid == well {
		t.Fatalf("two states have one name: %q, %q, %q", well, silent, invalid)
	}
	for _, tt := range []struct {
		name   string
		change func(s *sitetest.Site)
		want   string
	}{
		{"a page in place of the metadata", func(s *sitetest.Site) { s.IDP.Fail(authtest.Discovery, authtest.HTML) }, invalid},
		{"a proxy in front of one that is down", func(s *sitetest.Site) { s.IDP.Fail(authtest.Discovery, authtest.Down) }, silent},
		{"a page, and an endpoint that is down", func(s *sitetest.Site) {
			s.IDP.Fail(authtest.JWKS, authtest.HTML)
			s.IDP.Fail(authtest.Token, authtest.Down)
		}, silent},
		{"a proxy that reaches none", func(s *sitetest.Site) {
			s.IDP.Handle(authtest.Discovery, sitetest.AnswerWith(http.StatusBadGateway, "", ""))
		}, silent},
		{"a proxy that waits in vain", func(s *sitetest.Site) {
			s.IDP.Handle(authtest.Discovery, sitetest.AnswerWith(http.StatusGatewayTimeout, "", ""))
		}, silent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := state(t, tt.change); got != tt.want {
				t.Errorf("it %s; want %s", got, tt.want)
			}
		})
	}
}

// TestWordsOfADiagnosis: the text about a provider does not claim more than was found.
func TestWordsOfADiagnosis(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(s *sitetest.Site, p *ginauth.Provider)
		has    []string
		not    []string
	}{
		{"metadata that is not taken", func(s *sitetest.Site, _ *ginauth.Provider) {
			edited(s, "token_endpoint_auth_methods_supported", []string{"private_key_jwt"})
		}, []string{"(offered: RS256)"}, []string{"none (offered"}},
		{"a sign-out here alone", func(_ *sitetest.Site, p *ginauth.Provider) { p.Logout.Local = true }, []string{"Logout.Local"}, nil},
		{"a sign-out at an address of the provider's own", func(s *sitetest.Site, p *ginauth.Provider) { p.Logout.URL = s.IDP.Issuer + "/bye" },
			[]string{"Logout.URL"}, []string{"id_token_hint"}},
		{"a sign-out that sends no ID token", func(_ *sitetest.Site, p *ginauth.Provider) { p.Logout.NoIDTokenHint = true },
			[]string{"without id_token_hint"}, nil},
		{"a sign-out", func(*sitetest.Site, *ginauth.Provider) {}, []string{"id_token_hint"}, []string{"without id_token_hint", "Logout."}},
		{"a public client that the metadata does not offer", func(s *sitetest.Site, p *ginauth.Provider) {
			p.AuthMethod, p.ClientSecret = "none", ""
			edited(s, "token_endpoint_auth_methods_supported", []string{"client_secret_basic"})
		}, []string{`AuthMethod "none"`, "public clients"}, []string{"remove AuthMethod"}},
		{"a method that the metadata does not offer", func(s *sitetest.Site, p *ginauth.Provider) {
			p.AuthMethod = "client_secret_post"
			edited(s, "token_endpoint_auth_methods_supported", []string{"client_secret_basic"})
		}, []string{"remove AuthMethod"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { tt.change(s, &o.Providers[0]) })
			text := s.Auth.Diagnose(t.Context()).String()
			for _, part := range tt.has {
				if !strings.Contains(text, part) {
					t.Errorf("no %q in\n%s", part, text)
				}
			}
			for _, part := range tt.not {
				if strings.Contains(text, part) {
					t.Errorf("%q in\n%s", part, text)
				}
			}
		})
	}
}

// A provider that does not respond has no status. Nor has a diagnosis that was read from JSON,
// which lacks the causes of errors.
func TestDiagnosisOfAProviderThatIsSilent(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.HTTPClient = &http.Client{Transport: sitetest.RoundTripper(func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded })}
	})
	d, read := s.Auth.Diagnose(t.Context()), &ginauth.Diagnosis{}
	if len(d.Problems) != 1 || !sitetest.HasID(d.Problems[0], "http.timeout") {
		t.Errorf("the problems are %v", d.Problems)
	}
	if err := json.Unmarshal([]byte(sitetest.JSON(d)), read); err != nil {
		t.Fatal(err)
	}
	down := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Discovery, authtest.Resetting) })
	want := stateOf(t, down.Auth.Diagnose(t.Context()).String())
	for _, d := range []*ginauth.Diagnosis{d, read} {
		if text := d.String(); stateOf(t, text) != want {
			t.Error(text)
		}
	}
}

// docs/diagnose.md shows the text of a diagnosis.
func TestDocsShowADiagnosis(t *testing.T) {
	page, err := os.ReadFile("docs/diagnose.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := strings.NewReplacer("https://app.localhost:8080", "https://app.example.com", "https://127.0.0.1:9000", "https://login.example.com", "HASHED", "MVCWQA")
	healthy, err := os.ReadFile("testdata/diagnosis/healthy.txt")
	if want := texts.Replace(string(healthy)); err != nil || !strings.Contains(string(page), "```text\n"+want+"```\n") {
		t.Errorf("docs/diagnose.md does not have\n%s", want)
	}
	sick, err := os.ReadFile("testdata/diagnosis/sick.txt")
	_, problem, _ := strings.Cut(texts.Replace(string(sick)), "PROBLEM slashed")
	problem, _, _ = strings.Cut(problem, "\n\n")
	if err != nil || !strings.Contains(string(page), "PROBLEM slashed"+problem+"\n```") {
		t.Errorf("docs/diagnose.md does not have %s", problem)
	}
}

var (
	cookieHash = regexp.MustCompile(`ginauth-[A-Z2-7]{6}`)
	tolerated  = regexp.MustCompile(`\+/- \d+s`)
	tenMinutes = regexp.MustCompile(`\b(9m5\ds|10m\ds)\b`)
)

func compareText(t *testing.T, name string, s *sitetest.Site, got string) {
	t.Helper()
	for from, to := range map[string]string{s.URL: "https://app.localhost:8080", s.IDP.Issuer: "https://127.0.0.1:9000", strings.TrimPrefix(s.IDP.Issuer, "https://"): "127.0.0.1:9000"} {
		got = strings.ReplaceAll(got, from, to)
	}
	got = cookieHash.ReplaceAllString(got, "ginauth-HASHED")
	got = tolerated.ReplaceAllString(tenMinutes.ReplaceAllString(got, "10m"), "+/- 1s") // on a busy machine
	name = filepath.Join("testdata", "diagnosis", name)
	if *updateText {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || got != string(want) {
		t.Errorf("%v; %s:\n%s\ngot:\n%s", err, name, want, got)
	}
}

// A terminal interprets control sequences: text from a provider must be one line of plain text.
func TestDiagnosisPrintsNoCommandsOfAProvider(t *testing.T) {
	t.Parallel()
	const clears = "\x1b[2J\r\nall is well\u202e"
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP.EditMetadata(func(m map[string]any) {
			m["scopes_supported"] = []string{"openid", clears, strings.Repeat("x", 1000)}
			m["userinfo_endpoint"] = s.IDP.URL(authtest.Userinfo) + "/\u202e"
		})
		other := sitetest.Client("other", sitetest.StartProvider(t, authtest.Config{}))
		other.ClientSecret, other.ClientSecretFunc = "", func(context.Context) (string, error) { return "", errors.New(clears) }
		o.Providers = append(o.Providers, other)
	})
	text := s.Auth.Diagnose(t.Context()).String()
	for i, line := range strings.Split(text, "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) || strings.HasPrefix(line, "all is well") || len(line) > 500 {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
	if !strings.Contains(text, "?[2J??all is well?") {
		t.Errorf("%s", text)
	}
	many := make([]string, 1000)
	for i := range many {
		many[i] = http.StatusText(200)
	}
	edited(s, "scopes_supported", many)
	if n := len(s.Auth.Diagnose(t.Context()).Providers[0].Offered["scopes_supported"]); n != 50 {
		t.Errorf("%d scopes", n)
	}
}
