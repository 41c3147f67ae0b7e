package rp_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/rp"
)

// saying makes the token endpoint return an error with this description.
func (p *provider) saying(status int, code, description string) {
	p.on(pathToken, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": code, "error_description": description})
	})
}

// cause returns the text of an error's cause, after checking that it is safe to log.
func cause(t *testing.T, e *rp.Error) string {
	t.Helper()
	if e.Cause == nil {
		t.Fatalf("%v has no cause", e)
	}
	text := e.Cause.Error()
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) || len(text) > 1500 {
		t.Errorf("the cause is not fit for a log: %q", text)
	}
	return text
}

// TestTokenEndpointsWords: the provider's description is logged.
func TestTokenEndpointsWords(t *testing.T) {
	p := newProvider(t)
	for _, tt := range []struct {
		status      int
		code        string
		description string
		want        rp.Code
		id          string
	}{
		{400, "invalid_grant", "Code not valid", rp.CodeRejected, "token.invalid_grant"},
		{401, "invalid_client", "Invalid client or Invalid client credentials", rp.ProviderMisconfigured, "token.invalid_client"},
		{400, "invalid_request", "can not get encryption KEK", rp.ProviderError, "token.error"},
		{500, "unknown_error", "For more on this error consult the server log.", rp.ProviderError, "token.error"},
		{503, "temporarily_unavailable", "try later", rp.ProviderUnavailable, "token.unavailable"},
	} {
		p.saying(tt.status, tt.code, tt.description)
		_, err := p.signIn(p.client())
		e := wantError(t, err, tt.want, tt.id)
		if text := cause(t, e); !strings.Contains(text, `"`+tt.description+`"`) {
			t.Errorf("%s: the cause is %s", tt.code, text)
		}
		if host := strings.TrimPrefix(p.URL, "http://"); !strings.Contains(e.Reason, host) || !strings.Contains(e.Reason, strconv.Itoa(tt.status)) {
			t.Errorf("%s: the reason lacks status and host: %s", tt.code, e.Reason)
		}
	}
	p.saying(400, "invalid_grant", "")
	_, err := p.signIn(p.client())
	if e := wantError(t, err, rp.CodeRejected, "token.invalid_grant"); e.Cause != nil {
		t.Errorf("a cause without a description: %v", e.Cause)
	}
}

// TestTokenEndpointsWordsWithoutAnError: without an error code, the other descriptions are logged.
func TestTokenEndpointsWordsWithoutAnError(t *testing.T) {
	p := newProvider(t)
	for _, tt := range []struct {
		status int
		body   string
		want   rp.Code
		id     string
	}{
		{401, `{}`, rp.BadTokenResponse, "token.status"},
		{400, `{"error": {"code": 100}}`, rp.BadTokenResponse, "token.status"},
		{503, `<h1>down</h1>`, rp.ProviderUnavailable, "http.status"},
	} {
		p.on(pathToken, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="clients of `+theCode+`"`)
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.body))
		})
		_, err := p.signIn(p.client())
		if text := cause(t, wantError(t, err, tt.want, tt.id)); !strings.Contains(text, "Basic realm=") || strings.Contains(text, theCode) || strings.Contains(text, `: ""`) {
			t.Errorf("%d: the cause is %s", tt.status, text)
		}
	}
	p.on(pathToken, answering(400, "application/json", `{"error_description": "this client is disabled"}`))
	_, err := p.signIn(p.client())
	if text := cause(t, wantError(t, err, rp.BadTokenResponse, "token.status")); !strings.Contains(text, "this client is disabled") {
		t.Errorf("the cause is %s", text)
	}
}

// TestWordsAreFitForALog: a provider, or an attacker in its place, may send any text.
func TestWordsAreFitForALog(t *testing.T) {
	p := newProvider(t)
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(theClient) + ":" + url.QueryEscape(theSecret)))
	for method, credentials := range map[string]string{"client_secret_basic": basic, "client_secret_post": theSecret} {
		c := p.client(func(cfg *rp.Config) {
			cfg.AuthMethod = method
			cfg.Quirks.Header = map[string]string{"Api-Key": "k3y-of-the-header"}
		})
		for _, secret := range []string{
			theCode, theProof, theSecret, theSecret[:len(theSecret)-2], "k3y-of-the-header", theProof[8:24],
			base64.StdEncoding.EncodeToString([]byte(theSecret)), base64.RawURLEncoding.EncodeToString([]byte(theCode)), credentials,
		} {
			for _, description := range []string{secret, "code " + secret + " not found", strings.Repeat("x", 190) + secret, url.QueryEscape("<" + secret + ">")} {
				p.saying(400, "invalid_grant", description)
				_, err := p.signIn(c)
				text := cause(t, wantError(t, err, rp.CodeRejected, "token.invalid_grant"))
				if plain := strings.TrimRight(secret, "="); strings.Contains(text, plain) || strings.Contains(text, plain[:8]) {
					t.Errorf("%s: of %q, the cause has %s", method, description, text)
				}
			}
		}
	}
	for _, description := range []string{"a\r\nlevel=ERROR msg=\"forged\"", "\x1b[2J", "\u202egnp.exe", strings.Repeat("long ", 1000), strings.Repeat("\u00e4", 5000)} {
		p.saying(400, "invalid_grant", description)
		_, err := p.signIn(p.client())
		_ = cause(t, wantError(t, err, rp.CodeRejected, "token.invalid_grant"))
	}
}

// Descriptions are logged without the secrets that were sent, but with public parameters.
func TestDescriptionsKeepWhatIsPublic(t *testing.T) {
	public := []string{"authorization_code", theRedirect, theClient, "openid profile"}
	description := strings.Join(append(public, theCode, theSecret, theProof), " | ")
	for name, edit := range map[string]func(*rp.Config){
		"post":           func(cfg *rp.Config) { cfg.AuthMethod = "client_secret_post" },
		"basic":          func(*rp.Config) {},
		"in the address": func(cfg *rp.Config) { cfg.AuthMethod, cfg.Quirks.TokenMethod = "client_secret_post", http.MethodGet },
		"another name":   func(cfg *rp.Config) { cfg.AuthMethod, cfg.Quirks.ClientIDParam = "client_secret_post", "appid" },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.on(pathToken, answering(400, "application/json", `{"error":"invalid_grant","error_description":"`+description+`"}`))
			_, err := p.signIn(p.client(edit, func(cfg *rp.Config) {
				cfg.Quirks.EditToken = func(form, _ url.Values) { form.Set("scope", "openid profile") }
			}))
			e := wantError(t, err, rp.CodeRejected, "token.invalid_grant")
			for _, text := range public {
				if e.Cause == nil || !strings.Contains(e.Cause.Error(), text) {
					t.Errorf("%q is missing: %v", text, e.Cause)
				}
			}
		})
	}
}

// The type of a client assertion is public too.
func TestDescriptionsKeepTheTypeOfAnAssertion(t *testing.T) {
	const urn = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	p := newProvider(t)
	p.saying(401, "invalid_client", "unknown client_assertion_type "+urn)
	_, err := p.signIn(p.client(asserting(clientKeys(t)["ES256"])))
	if text := cause(t, wantError(t, err, rp.ProviderMisconfigured, "token.invalid_client")); !strings.Contains(text, urn) {
		t.Errorf("the cause is %s", text)
	}
}

// The end of a long description is not searched for secrets, so it is not logged, even if removing
// secrets makes the rest short.
func TestEndOfALongDescription(t *testing.T) {
	p := newProvider(t)
	secret := strings.Repeat("0123456789", 20)
	p.saying(400, "invalid_grant", strings.Repeat(secret, 10)+" the end")
	_, err := p.signIn(p.client(func(cfg *rp.Config) { cfg.ClientSecret = secret }))
	if text := cause(t, wantError(t, err, rp.CodeRejected, "token.invalid_grant")); strings.Contains(text, "end") || !strings.Contains(text, "[removed]") {
		t.Errorf("the cause is %s", text)
	}
}

// TestUserinfosWords: the description of the userinfo endpoint is logged, with status and host.
func TestUserinfosWords(t *testing.T) {
	p := newProvider(t)
	host := strings.TrimPrefix(p.URL, "http://")
	for _, tt := range []struct {
		status          int
		challenge, body string
		want            []string // in the cause
	}{
		{403, `Bearer realm="demo", error="access_denied", error_description="Lightweight access token not allowed for userinfo endpoint"`, "", []string{"Lightweight access token not allowed"}},
		{401, "", `{"error": "invalid_token", "error_description": "user session not found"}`, []string{"invalid_token", "user session not found"}},
		{401, `Bearer token="` + theAccess + `"`, `{"error": "` + theAccess + `"}`, []string{"[removed]"}},
		{500, "", "<h1>oops</h1>", nil},
		{429, "", `{"error": {"message": "slow down"}}`, nil},
	} {
		p.on(pathUserinfo, func(w http.ResponseWriter, _ *http.Request) {
			if tt.challenge != "" {
				w.Header().Set("WWW-Authenticate", tt.challenge)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.body))
		})
		_, err := p.signIn(p.client(always))
		e := wantError(t, err, rp.ProviderUnavailable, "http.status")
		text := cause(t, e)
		for _, want := range append(tt.want, host, http.StatusText(tt.status)) {
			if !strings.Contains(text, want) {
				t.Errorf("%d: the cause lacks %q: %s", tt.status, want, text)
			}
		}
		if !strings.Contains(e.Reason, host) || e.Fix == "" {
			t.Errorf("%d: %v", tt.status, e)
		}
	}
}

// TestWordsOfTheAuthorizationEndpoint: the description is logged without the state, a secret.
func TestWordsOfTheAuthorizationEndpoint(t *testing.T) {
	p := newProvider(t)
	err := p.client().CheckResponse(t.Context(), url.Values{"state": {theState}, "error": {"server_error"}, "error_description": {"of " + theState + ": the directory is down"}})
	if text := cause(t, wantError(t, err, rp.ProviderError, "response.unavailable")); strings.Contains(text, theState) || !strings.Contains(text, "the directory is down") {
		t.Errorf("the cause is %s", text)
	}
	err = p.client().CheckResponse(t.Context(), url.Values{"state": {theState}, "error": {theState}})
	if e := wantError(t, err, rp.ProviderError, "response.error"); strings.Contains(e.Error(), theState) {
		t.Errorf("the error contains the state: %v", e)
	}
}
