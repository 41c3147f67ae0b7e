package authtest_test

import (
	"bytes"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/authtest"
)

func TestStart(t *testing.T) {
	for _, test := range []struct {
		name   string
		config authtest.Config
		issuer string // its beginning; "" if Start must refuse
	}{
		{"zero value", authtest.Config{}, "http://127.0.0.1:"},
		{"a name of its own", authtest.Config{Addr: "idp.localhost:0"}, "http://idp.localhost:"},
		{"localhost", authtest.Config{Addr: "localhost:0"}, "http://localhost:"},
		{"TLS", authtest.Config{TLS: true}, "https://127.0.0.1:"},
		{"TLS under a name", authtest.Config{TLS: true, Addr: "a.idp.localhost:0"}, "https://a.idp.localhost:"},
		{"all addresses are refused", authtest.Config{Addr: ":0"}, ""},
		{"an address others can reach is refused", authtest.Config{Addr: "0.0.0.0:0"}, ""},
		{"a name others can reach is refused", authtest.Config{Addr: "example.com:0"}, ""},
		{"no port is refused", authtest.Config{Addr: "127.0.0.1"}, ""},
		{"an unknown algorithm is refused", authtest.Config{SigningAlg: "HS256"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := authtest.Start(test.config)
			if test.issuer == "" {
				if err == nil {
					p.Close()
					t.Fatal("started")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if !strings.HasPrefix(p.Issuer, test.issuer) {
				t.Errorf("issuer %q", p.Issuer)
			}
			if p.ClientID != "demo-client" || len(p.ClientSecret) < 32 {
				t.Errorf("client %q with a secret of %d", p.ClientID, len(p.ClientSecret))
			}
			if _, body := get(t, p, p.URL(authtest.Discovery)); object(t, body)["issuer"] != p.Issuer {
				t.Errorf("metadata %s", body)
			}
		})
	}
}

func TestCloseEndsEverything(t *testing.T) {
	p := start(t, authtest.Config{})
	p.Fail(authtest.Discovery, authtest.Hanging)
	answered := make(chan error)
	go func() {
		_, err := p.HTTPClient().Get(p.URL(authtest.Discovery))
		answered <- err
	}()
	for p.Count(authtest.Discovery) == 0 {
		runtime.Gosched()
	}
	p.Close()
	p.Close() // twice is once
	if err := <-answered; err == nil {
		t.Error("the hanging request was answered")
	}
	if _, err := p.HTTPClient().Get(p.URL(authtest.JWKS)); err == nil {
		t.Error("a closed provider answers")
	}
}

func TestDiscovery(t *testing.T) {
	p := start(t, authtest.Config{SigningAlg: "ES256"})
	_, body := get(t, p, p.URL(authtest.Discovery))
	metadata := object(t, body)
	for name, want := range map[string]string{
		"issuer":                 p.Issuer,
		"authorization_endpoint": p.Issuer + "/authorize",
		"token_endpoint":         p.Issuer + "/token",
		"userinfo_endpoint":      p.Issuer + "/userinfo",
		"jwks_uri":               p.Issuer + "/jwks",
		"end_session_endpoint":   p.Issuer + "/end_session",
	} {
		if metadata[name] != want {
			t.Errorf("%s is %v", name, metadata[name])
		}
	}
	for name, want := range map[string][]any{
		"code_challenge_methods_supported":      {"S256"},
		"response_types_supported":              {"code"},
		"response_modes_supported":              {"query", "form_post"},
		"subject_types_supported":               {"public"},
		"id_token_signing_alg_values_supported": {"ES256"},
		"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post", "none"},
	} {
		if got, _ := metadata[name].([]any); !slices.Equal(got, want) {
			t.Errorf("%s is %v", name, metadata[name])
		}
	}
	if metadata["authorization_response_iss_parameter_supported"] != true {
		t.Error("does not say that it sends iss")
	}
}

func TestMethods(t *testing.T) {
	p := start(t, authtest.Config{})
	for endpoint, allow := range map[authtest.Endpoint]string{
		authtest.Discovery:  "GET HEAD",
		authtest.JWKS:       "GET HEAD",
		authtest.Authorize:  "GET POST",
		authtest.Token:      "POST",
		authtest.Userinfo:   "GET POST",
		authtest.EndSession: "GET POST",
	} {
		request, _ := http.NewRequest(http.MethodDelete, p.URL(endpoint), nil)
		response, err := p.HTTPClient().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		read(t, response)
		if got := strings.Join(response.Header.Values("Allow"), " "); response.StatusCode != http.StatusMethodNotAllowed || got != allow {
			t.Errorf("%s: %d, Allow %q", endpoint, response.StatusCode, got)
		}
	}
}

func TestRequests(t *testing.T) {
	p := start(t, authtest.Config{})
	if got := p.LastRequest(authtest.Token); got.Method != "" || p.Count(authtest.Token) != 0 {
		t.Fatalf("%+v before any request", got)
	}
	answer := tokens(t, p, "ada")
	if p.Count(authtest.Authorize) != 1 || p.Count(authtest.Token) != 1 || p.Count(authtest.Userinfo) != 0 {
		t.Errorf("counted %d, %d, %d", p.Count(authtest.Authorize), p.Count(authtest.Token), p.Count(authtest.Userinfo))
	}
	if got := p.LastRequest(authtest.Authorize).Form.Get("nonce"); got != "a-nonce" {
		t.Errorf("nonce %q", got)
	}
	got := p.LastRequest(authtest.Token)
	if got.Method != http.MethodPost || got.Form.Get("code_verifier") != verifier || got.URL.RawQuery != "" ||
		!strings.Contains(string(got.Body), "code_verifier=") || got.Header.Get("Authorization") == "" || "http://"+got.Host != p.Issuer {
		t.Errorf("token request %+v", got)
	}
	if !strings.Contains(string(got.Answer), answer["access_token"].(string)) || len(p.LastRequest(authtest.Authorize).Answer) > 1000 {
		t.Errorf("the token endpoint's answer is remembered as %q", got.Answer)
	}
	userinfo(t, p, answer["access_token"].(string))
	userinfo(t, p, "another")
	if all := p.Requests(authtest.Userinfo); len(all) != 2 || all[1].Header.Get("Authorization") != "Bearer another" {
		t.Errorf("userinfo requests %+v", all)
	}
	get(t, p, p.EvilURL())
	if p.EvilRequests() != 1 {
		t.Errorf("%d evil requests", p.EvilRequests())
	}
	p.Reset()
	if p.Count(authtest.Token) != 0 || len(p.Requests(authtest.Userinfo)) != 0 || p.EvilRequests() != 0 {
		t.Error("Reset forgot less than all")
	}
}

func TestLongAnswersAreNotRemembered(t *testing.T) {
	p := start(t, authtest.Config{})
	p.Handle(authtest.Userinfo, func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 30_000))
			w.(http.Flusher).Flush()
		}
	})
	if _, page := get(t, p, p.URL(authtest.Userinfo)); len(page) != 90_000 {
		t.Errorf("%d bytes were sent", len(page))
	}
	p.Close() // which waits for the answer to end
	if got := len(p.LastRequest(authtest.Userinfo).Answer); got != 64<<10 {
		t.Errorf("%d bytes are remembered", got)
	}
}

func TestOldRequestsAreForgotten(t *testing.T) {
	p := start(t, authtest.Config{})
	for range 1001 {
		get(t, p, p.URL(authtest.JWKS))
	}
	if p.Count(authtest.JWKS) != 1001 || len(p.Requests(authtest.JWKS)) != 1000 {
		t.Errorf("counted %d, remembered %d", p.Count(authtest.JWKS), len(p.Requests(authtest.JWKS)))
	}
}

func TestBodyTooLarge(t *testing.T) {
	p := start(t, authtest.Config{})
	response, err := p.HTTPClient().Post(p.URL(authtest.Token), "application/x-www-form-urlencoded", strings.NewReader(strings.Repeat("a", 2<<20)))
	if err != nil {
		t.Fatal(err)
	}
	if read(t, response); response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
}
