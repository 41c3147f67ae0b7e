package authtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/authtest"
)

const (
	callback = "https://app.example.com/authorize/demo?kept=1"
	verifier = "a-verifier-of-the-43-characters-that-it-must-have"
)

func start(t *testing.T, config authtest.Config) *authtest.Provider {
	t.Helper()
	p, err := authtest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// clock is one that stands still until it is moved.
type clock struct{ at time.Time }

func newClock() *clock               { return &clock{time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)} }
func (c *clock) now() time.Time      { return c.at }
func (c *clock) add(d time.Duration) { c.at = c.at.Add(d) }
func challengeOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
func set(pairs ...string) url.Values  { return merge(nil, pairs...) }
func decode(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

// merge lays pairs of name and value over values; the value "-" removes a name.
func merge(values url.Values, pairs ...string) url.Values {
	merged := maps.Clone(values)
	if merged == nil {
		merged = url.Values{}
	}
	for i := 0; i < len(pairs); i += 2 {
		merged.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "-" {
			merged.Del(pairs[i])
		}
	}
	return merged
}

// authorization is a request as a careful client makes it.
func authorization(p *authtest.Provider, pairs ...string) url.Values {
	return merge(url.Values{
		"client_id": {p.ClientID}, "response_type": {"code"}, "redirect_uri": {callback},
		"scope": {"openid profile email"}, "state": {"a state"}, "nonce": {"a-nonce"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}, pairs...)
}

// client is the provider's, without redirects.
func client(p *authtest.Provider) *http.Client {
	c := *p.HTTPClient()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

func get(t *testing.T, p *authtest.Provider, address string) (*http.Response, string) {
	t.Helper()
	response, err := client(p).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	return response, read(t, response)
}

func read(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// authorize asks the authorization endpoint and returns the parameters that it
// sends the browser back with.
func authorize(t *testing.T, p *authtest.Provider, params url.Values) url.Values {
	t.Helper()
	response, body := get(t, p, p.URL(authtest.Authorize)+"?"+params.Encode())
	location := response.Header.Get("Location")
	if response.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, callback+"&") {
		t.Fatalf("status %d to %q: %s", response.StatusCode, location, body)
	}
	answer, err := url.ParseQuery(strings.TrimPrefix(location, callback+"&"))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func codeFor(t *testing.T, p *authtest.Provider, subject string, pairs ...string) string {
	t.Helper()
	p.SignInAs(subject)
	answer := authorize(t, p, authorization(p, pairs...))
	if answer.Get("code") == "" {
		t.Fatalf("no code in %v", answer)
	}
	return answer.Get("code")
}

// redemption is the token request that goes with authorization.
func redemption(code string, pairs ...string) url.Values {
	return merge(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
	}, pairs...)
}

// redeem asks the token endpoint with the client's secret in the header.
func redeem(t *testing.T, p *authtest.Provider, form url.Values) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, p.URL(authtest.Token), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !form.Has("client_assertion") || form.Get("client_secret") == "in two ways" {
		request.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.ClientSecret))
	}
	return send(t, p, request)
}

func send(t *testing.T, p *authtest.Provider, request *http.Request) (int, map[string]any) {
	t.Helper()
	response, err := client(p).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, object(t, read(t, response))
}

// tokens signs in and returns the token endpoint's answer.
func tokens(t *testing.T, p *authtest.Provider, subject string, pairs ...string) map[string]any {
	t.Helper()
	status, answer := redeem(t, p, redemption(codeFor(t, p, subject, pairs...)))
	if status != http.StatusOK {
		t.Fatalf("token endpoint: %d %v", status, answer)
	}
	return answer
}

func object(t *testing.T, body string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return v
}

// claimsOf reads a JWT's claims without a look at its signature.
func claimsOf(t *testing.T, compact any) map[string]any {
	t.Helper()
	parts := strings.Split(compact.(string), ".")
	payload, err := decode(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return object(t, string(payload))
}

func userinfo(t *testing.T, p *authtest.Provider, accessToken string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, p.URL(authtest.Userinfo), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+accessToken)
	return send(t, p, request)
}
