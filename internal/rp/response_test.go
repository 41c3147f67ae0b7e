package rp_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/rp"
)

// RFC 6749, 3.1: "Request and response parameters MUST NOT be included more than
// once."
func TestCheckParams(t *testing.T) {
	for _, test := range []struct {
		name, query, id string
	}{
		{"a response", "state=s&code=c&iss=i", ""},
		{"a refusal", "state=s&error=e&error_description=d&error_uri=u", ""},
		{"nothing", "", ""},
		{"another parameter twice", "state=s&code=c&session_state=1&session_state=2&scope=a&scope=b", ""},
		{"names that only begin alike", "state=s&code=c&session_state=x&code_x=y&codes=z&issuer=i&error_codes[]=1", ""},
		{"two states", "state=s&state=s&code=c", "response.duplicate"},
		{"two codes", "state=s&code=c&code=d", "response.duplicate"},
		{"two issuers", "state=s&code=c&iss=i&iss=j", "response.duplicate"},
		{"two errors", "state=s&error=e&error=f", "response.duplicate"},
		{"two empty codes", "state=s&code=&code=", "response.duplicate"},
		{"State", "state=s&State=s&code=c", "response.ambiguous"},
		{"CODE alone", "state=s&CODE=c", "response.ambiguous"},
		{"Iss", "state=s&code=c&Iss=i", "response.ambiguous"},
		{"ERROR", "state=s&code=c&ERROR=e", "response.ambiguous"},
		{"ſtate, which is equal to it without case", "state=s&code=c&%C5%BFtate=s", "response.ambiguous"},
		{"code as a list", "state=s&code[]=c", "response.ambiguous"},
		{"code as the first of a list", "state=s&code=c&code[0]=d", "response.ambiguous"},
		{"Code as a list", "state=s&Code[a]=c", "response.ambiguous"},
		{"state as a list", "state[]=s&code=c", "response.ambiguous"},
	} {
		t.Run(test.name, func(t *testing.T) {
			params, err := url.ParseQuery(test.query)
			if err != nil {
				t.Fatal(err)
			}
			err = rp.CheckParams(params)
			if test.id != "" {
				wantError(t, err, rp.BadRequest, test.id)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// respond passes a response to a Client of a new provider, and checks that its only request is
// discovery.
func (p *provider) respond(c *rp.Client, response url.Values) error {
	p.t.Helper()
	err := c.CheckResponse(p.t.Context(), response)
	for _, path := range []string{pathToken, pathKeys, pathUserinfo} {
		if n := len(p.requests(path)); n != 0 {
			p.t.Errorf("%d requests for %s", n, path)
		}
	}
	return err
}

func TestCodeOfAResponse(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	for _, test := range []struct {
		name     string
		response url.Values
		id       string
	}{
		{"a code", url.Values{"code": {theCode}}, ""},
		{"all characters that a code may have", url.Values{"code": {"!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~"}}, ""},
		{"as long as a code may be", url.Values{"code": {strings.Repeat("c", rp.CodeLimit)}}, ""},
		{"longer", url.Values{"code": {strings.Repeat("c", rp.CodeLimit+1)}}, "response.code"},
		{"empty", url.Values{"code": {""}}, "response.empty"},
		{"a space", url.Values{"code": {"c c"}}, "response.code"},
		{"a line break", url.Values{"code": {"c\r\n"}}, "response.code"},
		{"a NUL", url.Values{"code": {"c\x00"}}, "response.code"},
		{"a DEL", url.Values{"code": {"c\x7f"}}, "response.code"},
		{"not ASCII", url.Values{"code": {"ç"}}, "response.code"},
		{"not UTF-8", url.Values{"code": {"\xff"}}, "response.code"},
		{"neither code nor error", url.Values{"state": {theState}}, "response.empty"},
		{"nothing", nil, "response.empty"},
		{"both", url.Values{"code": {theCode}, "error": {"access_denied"}}, "response.code_and_error"},
		{"both, the error empty", url.Values{"code": {theCode}, "error": {""}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := p.respond(c, test.response)
			if test.id == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := wantError(t, err, rp.BadRequest, test.id); e.Provider != "corp" || e.Op == "" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

// TestEmptyParameters: RFC 6749, 3.1: "Parameters sent without a value MUST be
// treated as if they were omitted from the request."
func TestEmptyParameters(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	check := func(code, refusal string) error {
		r := response()
		r.Set("code", code)
		r.Set("error", refusal)
		return c.CheckResponse(t.Context(), r)
	}
	if err := check(theCode, ""); err != nil {
		t.Errorf("an empty error with a code: %v", err)
	}
	wantError(t, check("", "access_denied"), rp.ProviderDenied, "response.access_denied")
	wantError(t, check("", ""), rp.ProviderError, "response.error")
	wantError(t, c.CheckResponse(t.Context(), url.Values{"state": {theState}, "code": {""}}), rp.BadRequest, "response.empty")
	wantError(t, check(theCode, "access_denied"), rp.BadRequest, "response.code_and_error")
}

// RFC 9207: an iss that is present or announced must be the expected one.
func TestIssuerOfAResponse(t *testing.T) {
	const other = "https://evil.example"
	for _, test := range []struct {
		name      string
		iss       any // text, or nil for none
		want      string
		announced any
		id        string
	}{
		{"the provider's", "own", "own", true, ""},
		{"the provider's, not announced", "own", "own", false, ""},
		{"none, not announced", nil, "own", false, ""},
		{"none, and the metadata is silent", nil, "own", nil, ""},
		{"none, and the metadata says so as text", nil, "own", "true", ""},
		{"another", other, "own", true, "response.issuer"},
		{"another, not announced", other, "own", nil, "response.issuer"},
		{"empty", "", "own", nil, "response.issuer"},
		{"with a slash", "own/", "own", nil, "response.issuer"},
		{"none, though announced", nil, "own", true, "response.issuer_missing"},
		{"none, though announced, and any would do", nil, "", true, "response.issuer_missing"},
		{"any, where it is not known which", other, "", true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.doc = map[string]any{"authorization_response_iss_parameter_supported": test.announced}
			own := strings.NewReplacer("own", p.URL)
			c := p.client(func(cfg *rp.Config) { cfg.ResponseIssuer = own.Replace(test.want) })
			for _, response := range []url.Values{
				{"code": {theCode}}, {"error": {"access_denied"}}, {}, {"code": {theCode}, "error": {"x"}}, {"code": {""}},
			} {
				if iss, ok := test.iss.(string); ok {
					response.Set("iss", own.Replace(iss))
				}
				err := p.respond(c, response)
				if test.id != "" { // whatever else is in the response
					wantError(t, err, rp.IssuerMismatch, test.id)
				} else if e, ok := err.(*rp.Error); ok && e.Code == rp.IssuerMismatch {
					t.Error(err)
				}
			}
		})
	}
}

// If several providers share a redirect URI, an iss that cannot be compared may be that of another
// provider.
func TestIssuerOfAResponseAtASharedAddress(t *testing.T) {
	const other = "https://evil.example"
	for _, test := range []struct {
		name      string
		iss       any // text, or nil for none
		want      string
		announced bool
		id        string
	}{
		{"the provider's", other, other, false, ""},
		{"another", other, "https://own.example", false, "response.issuer"},
		{"any, where it is not known which", other, "", false, "response.issuer_unknown"},
		{"any, though announced", other, "", true, "response.issuer_unknown"},
		{"an empty one", "", "", false, "response.issuer_unknown"},
		{"none", nil, "", false, ""},
		{"none, though announced", nil, "", true, "response.issuer_missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.doc = map[string]any{"authorization_response_iss_parameter_supported": test.announced}
			c := p.client(func(cfg *rp.Config) { cfg.ResponseIssuer, cfg.SharedRedirect = test.want, true })
			for _, response := range []url.Values{{"code": {theCode}}, {"error": {"access_denied"}}} {
				if iss, ok := test.iss.(string); ok {
					response.Set("iss", iss)
				}
				err := p.respond(c, response)
				if test.id != "" {
					wantError(t, err, rp.IssuerMismatch, test.id)
				} else if e, ok := err.(*rp.Error); ok && e.Code == rp.IssuerMismatch {
					t.Error(err)
				}
			}
		})
	}
}

// A provider that shares its redirect URI and does not announce iss cannot be distinguished from the
// others. There is a warning as soon as that is known.
func TestWarningAboutASharedAddress(t *testing.T) {
	shared := func(cfg *rp.Config) { cfg.SharedRedirect = true }
	promise := claims{"authorization_response_iss_parameter_supported": true}
	count := func(p *provider) (n int) {
		for _, w := range p.warnings() {
			if w.id == "diagnose.callback_shared" {
				wantError(t, w.err, rp.ProviderMisconfigured, "diagnose.callback_shared")
				n++
			}
		}
		return n
	}
	t.Run("without discovery", func(t *testing.T) {
		p := newProvider(t)
		p.client(p.plain)
		p.client(p.plainEndpoints)
		if n := count(p); n != 0 {
			t.Errorf("%d warnings without a shared redirect URI", n)
		}
		c := p.client(p.plain, shared)
		p.client(p.plainEndpoints, shared)
		if n := count(p); n != 2 {
			t.Errorf("%d warnings", n)
		}
		wantFindings(t, c.Diagnose(t.Context()), "", "diagnose.callback_shared diagnose.loopback")
	})
	t.Run("after discovery", func(t *testing.T) {
		p := newProvider(t)
		c := p.client(shared)
		if n := count(p); n != 0 {
			t.Errorf("%d warnings before discovery", n)
		}
		p.mustSignIn(c)
		p.mustSignIn(c)
		if n := count(p); n != 1 {
			t.Errorf("%d warnings", n)
		}
		wantFindings(t, p.diagnose(shared), "", "diagnose.callback_shared")
		rp.New(p.config(shared), c)
		if n := count(p); n != 1 {
			t.Errorf("%d warnings: the warning is repeated", n)
		}
		rp.New(p.config(shared), rp.New(p.config(), c))
		if n := count(p); n != 2 {
			t.Errorf("%d warnings about a redirect URI that is now shared", n)
		}
	})
	t.Run("of one that promises", func(t *testing.T) {
		p := newProvider(t)
		p.doc = promise
		p.client(shared).Discover(t.Context())
		if n := count(p); n != 0 {
			t.Errorf("%d warnings", n)
		}
		wantFindings(t, p.diagnose(shared), "", "")
	})
}

// TestErrorWithoutIssuer: if the metadata announces iss, and an error response lacks it, the reason
// contains the error code.
func TestErrorWithoutIssuer(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"authorization_response_iss_parameter_supported": true}
	c := p.client()
	err := c.CheckResponse(t.Context(), url.Values{"state": {theState}, "error": {"access_denied"}, "error_description": {"the person said no"}})
	e := wantError(t, err, rp.IssuerMismatch, "response.issuer_missing")
	if !strings.Contains(e.Reason, `"access_denied"`) || e.Cause == nil || !strings.Contains(e.Cause.Error(), "the person said no") {
		t.Errorf("the error is %v", e)
	}
	if !strings.Contains(e.Fix, "Exclude Issuer From Authentication Response") {
		t.Errorf("the fix does not have Keycloak's setting: %v", e)
	}
	if e := wantError(t, c.CheckResponse(t.Context(), response()), rp.IssuerMismatch, "response.issuer_missing"); e.Cause != nil || strings.Contains(e.Reason, "error") {
		t.Errorf("the error is %v", e)
	}
}

func TestRefusals(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	for _, test := range []struct {
		error string
		code  rp.Code
		id    string
	}{
		{"access_denied", rp.ProviderDenied, "response.access_denied"},
		{"login_required", rp.ProviderDenied, "response.interaction_required"},
		{"unmet_authentication_requirements", rp.ProviderDenied, "response.requirements_unmet"},
		{"consent_required", rp.ProviderDenied, "response.interaction_required"},
		{"interaction_required", rp.ProviderDenied, "response.interaction_required"},
		{"account_selection_required", rp.ProviderDenied, "response.interaction_required"},
		{"redirect_uri_mismatch", rp.ProviderMisconfigured, "response.redirect_uri_mismatch"},
		{"invalid_scope", rp.ProviderError, "response.invalid_scope"},
		{"unauthorized_client", rp.ProviderError, "response.invalid_request"},
		{"invalid_request", rp.ProviderError, "response.invalid_request"},
		{"unsupported_response_type", rp.ProviderError, "response.invalid_request"},
		{"server_error", rp.ProviderError, "response.unavailable"},
		{"temporarily_unavailable", rp.ProviderError, "response.unavailable"},
		{"request_not_supported", rp.ProviderError, "response.error"},
		{"", rp.ProviderError, "response.error"},
		{"ACCESS_DENIED", rp.ProviderDenied, "response.access_denied"}, // as some providers send it
		{"<script>", rp.ProviderError, "response.error"},
	} {
		t.Run(test.error, func(t *testing.T) {
			e := wantError(t, p.respond(c, url.Values{"error": {test.error}}), test.code, test.id)
			if e.Provider != "corp" || e.Op == "" || e.Fix == "" || e.Cause != nil {
				t.Errorf("got %+v", e)
			}
			if again := test.error == "server_error" || test.error == "temporarily_unavailable"; (e.RetryAfter != 0) != again {
				t.Errorf("RetryAfter is %v", e.RetryAfter)
			}
		})
	}
}

// Anyone can make a link with an error: the code is quoted and clipped, and the description is only
// logged.
func TestTextOfARefusal(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	e := wantError(t, p.respond(c, url.Values{
		"error":             {"x\r\n\x1b[31m" + strings.Repeat("y", 10_000)},
		"error_description": {"café\r\n\x1b[31m" + strings.Repeat("z", 10_000)},
	}), rp.ProviderError, "response.error")
	if text := e.Error(); len(text) > 1500 || strings.ContainsAny(text, "\r\n\x1b") || strings.Contains(e.Cause.Error(), "é") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
	if strings.Contains(e.Reason+e.Fix, "caf") || !strings.Contains(e.Cause.Error(), "caf") {
		t.Errorf("the description is not only in the cause: %+v", e)
	}
	// If the redirect URI is not registered, the fix contains it.
	for _, code := range []string{"redirect_uri_mismatch", "invalid_request"} {
		if e, _ := p.respond(c, url.Values{"error": {code}}).(*rp.Error); !strings.Contains(e.Fix, theRedirect) {
			t.Errorf("%s: %q", code, e.Fix)
		}
	}
}

// Facebook's dialogs use other names for the parameters error and error_description.
func TestErrorCodeOfAResponse(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	cancelled := url.Values{"state": {theState}, "error_code": {"4201"}, "error_message": {"User canceled the Dialog flow"}}
	if e := wantError(t, p.respond(c, cancelled), rp.ProviderDenied, "response.access_denied"); !strings.Contains(e.Error(), "User canceled") {
		t.Errorf("the provider's description is missing: %v", e)
	}
	wantError(t, p.respond(c, url.Values{"error_code": {"1349048"}}), rp.ProviderError, "response.error")
	wantError(t, p.respond(c, url.Values{"error_code": {""}}), rp.BadRequest, "response.empty")
	wantError(t, p.respond(c, url.Values{"error": {""}, "error_code": {"4201"}}), rp.ProviderError, "response.error")
	wantError(t, p.respond(c, url.Values{"error": {"invalid_scope"}, "error_code": {"4201"}}), rp.ProviderError, "response.invalid_scope")
	if err := p.respond(c, url.Values{"code": {theCode}, "error_code": {"4201"}}); err != nil {
		t.Errorf("a code with an error_code: %v", err)
	}
}

// WeChat returns only the state if the user refuses.
func TestSilentRefusal(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(cfg *rp.Config) { cfg.Quirks.SilentRefusal = true })
	wantError(t, p.respond(c, url.Values{"state": {theState}}), rp.ProviderDenied, "response.access_denied")
	wantError(t, p.respond(c, url.Values{"code": {"not a code"}}), rp.BadRequest, "response.code")
	wantError(t, p.respond(c, url.Values{"error": {"invalid_scope"}}), rp.ProviderError, "response.invalid_scope")
	if err := p.respond(c, response()); err != nil {
		t.Error(err)
	}
}

func TestVerifyCallback(t *testing.T) {
	p := newProvider(t)
	refused := errors.New("the signature of the answer is wrong")
	var calls []url.Values
	c := p.client(func(cfg *rp.Config) {
		cfg.VerifyCallback = func(response url.Values) error {
			calls = append(calls, response)
			if response.Get("hmac") != "right" {
				return refused
			}
			response["code"][0] = "another"
			response.Set("state", "another")
			return nil
		}
	})
	good := url.Values{"code": {theCode}, "state": {theState}, "hmac": {"right"}}
	if err := p.respond(c, good); err != nil || good.Get("code") != theCode || good.Get("state") != theState {
		t.Errorf("got %v, and the response is %v", err, good)
	}
	e := wantError(t, p.respond(c, url.Values{"code": {theCode}, "hmac": {"wrong"}}), rp.ProviderError, "response.verify_callback")
	if !errors.Is(e, refused) {
		t.Errorf("its error is not the cause: %v", e)
	}
	// It is not called for responses that are rejected anyway.
	for _, response := range []url.Values{{"code": {"c c"}}, {"error": {"access_denied"}}, {"code": {theCode}, "iss": {"https://evil.example"}}} {
		_ = p.respond(c, response)
	}
	if len(calls) != 2 {
		t.Errorf("called %d times", len(calls))
	}
}

func TestCheckResponseWithoutMetadata(t *testing.T) {
	p := newProvider(t)
	p.on(pathDiscovery, answering(503, "text/plain", ""))
	wantError(t, p.respond(p.client(), response()), rp.ProviderUnavailable, "http.status")
}
