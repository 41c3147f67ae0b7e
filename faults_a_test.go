package ginauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func faultsA() []fault {
	return []fault{
		{"A1_state_is_ours_and_random", faultA1},
		{"A2_injected_protocol_parameters", faultA2},
		{"A3_passed_on_only_what_is_listed", faultA3},
		{"A4_pkce_is_fresh_and_s256", faultA4},
		{"A5_pkce_never_plain", faultA5},
		{"A6_nonce_is_fresh", faultA6},
		{"A7_scopes", faultA7},
		{"A8_post_is_answered_with_303", faultA8},
		{"A9_unknown_provider", faultA9},
		{"A10_only_a_visit_begins", faultA10},
		{"A11_linking_needs_the_own_page", faultA11},
		{"A12_abandoned_sign_in", faultA12},
		{"A13_endpoint_with_parameters", faultA13},
		{"A14_largest_attempt_fits", faultA14},
		{"A15_third_party_initiated", faultA15},
		{"A16_one_provider_down", faultA16},
		{"A17_max_age_and_acr_values", faultA17},
		{"A18_address_longer_than_8_kb", faultA18},
		{"A19_two_tabs", faultA19},
		{"A20_many_starts", faultA20},
	}
}

// request begins a sign-in and returns the authorization request that the
// browser is sent to the provider with.
func (s *site) request(t testing.TB, query string) (location string, params url.Values) {
	t.Helper()
	return authorization(t, s.open("/login/demo"+query))
}

// authorization reads the authorization request that a page redirects to, and
// holds that every parameter is there once.
func authorization(t testing.TB, p *authtest.Page) (location string, params url.Values) {
	t.Helper()
	location = p.Header.Get("Location")
	u, err := url.Parse(location)
	if p.Status != http.StatusSeeOther || err != nil {
		t.Fatalf("beginning answered %d with Location %q: %.300s", p.Status, location, p.Text())
	}
	params, err = url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range params {
		if len(values) != 1 {
			t.Errorf("%s is there %d times in %s", name, len(values), location)
		}
	}
	return location, params
}

var stateForm = regexp.MustCompile(`^[A-Za-z0-9_-]{8}\.[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{16}$`)

func faultA1(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers = []ginauth.Provider{offline("demo")} })
	_, params := s.request(t, "?state=EVIL")
	if state := params.Get("state"); !stateForm.MatchString(state) || strings.Contains(state, "EVIL") {
		t.Errorf("the state is %q", state)
	}
	const starts = 10_000
	seen := map[string]bool{}
	for range starts {
		w := httptest.NewRecorder()
		s.engine.ServeHTTP(w, httptest.NewRequest("GET", "/login/demo", nil))
		u, err := url.Parse(w.Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		parts := strings.Split(q.Get("state"), ".")
		for _, random := range []string{parts[0], parts[1], q.Get("nonce"), q.Get("code_challenge")} {
			seen[random] = true
		}
	}
	if len(seen) != 4*starts {
		t.Errorf("%d starts gave %d random values, want %d", starts, len(seen), 4*starts)
	}
}

// injected are an attacker's values for everything that an authorization
// request may have.
func injected() url.Values {
	values := url.Values{}
	for _, name := range []string{
		"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
		"request", "request_uri", "registration", "claims", "client_secret", "resource", "audience", "id_token_hint", "code_verifier",
		"code", "login_hint", "max_age", "acr_values", "display", "tenant", "hd", "provider", "callback",
	} {
		values.Set(name, "EVIL-"+name)
	}
	return values
}

func faultA2(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].LoginParams = []string{"prompt"}
		o.Providers[0].AuthParams = map[string]string{"audience": "https://api.example"}
	})
	evil := injected()
	evil.Set("prompt", "login")
	s.browser.StopAt = func(*url.URL) bool { return true }
	for name, p := range map[string]*authtest.Page{
		"GET":  s.open("/login/demo?" + evil.Encode()),
		"POST": s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/login/demo", evil)),
	} {
		location, params := authorization(t, p)
		if strings.Contains(location, "EVIL") {
			t.Errorf("%s: an injected value is in %s", name, location)
		}
		for param, want := range map[string]string{
			"client_id": s.idp.ClientID, "redirect_uri": s.URL + "/authorize/demo", "response_type": "code", "scope": "openid profile email",
			"code_challenge_method": "S256", "audience": "https://api.example", "prompt": "login",
		} {
			if params.Get(param) != want {
				t.Errorf("%s: %s is %q, want %q", name, param, params.Get(param), want)
			}
		}
		if len(params) != 10 {
			t.Errorf("%s: there are other parameters than ours: %v", name, params)
		}
	}
	s.browser.StopAt = nil
	if p := s.get("/login/demo?" + evil.Encode()); s.user() == nil {
		t.Errorf("the sign-in ended at %s with %d", p.URL, p.Status)
	}
	edited := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].Quirks.EditAuthorize = func(params url.Values) {
			for _, name := range []string{"state", "nonce", "redirect_uri", "code_challenge", "code_challenge_method"} {
				params[name] = []string{"EVIL", "EVIL"}
			}
		}
	})
	if location, _ := edited.request(t, ""); strings.Contains(location, "EVIL") {
		t.Errorf("EditAuthorize replaced what it must not: %s", location)
	}
	for _, name := range []string{"state", "nonce", "redirect_uri", "client_id", "code_challenge", "request_uri", ""} {
		says(t, mountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{testKey},
			Providers: []ginauth.Provider{{Name: "demo", Issuer: "https://idp.example", ClientID: "c", ClientSecret: "s", LoginParams: []string{name}}}}), fmt.Sprintf("%q", name))
		says(t, mountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{testKey},
			Providers: []ginauth.Provider{{Name: "demo", Issuer: "https://idp.example", ClientID: "c", ClientSecret: "s", AuthParams: map[string]string{name: "x"}}}}), fmt.Sprintf("%q", name))
	}
}

func faultA3(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].LoginParams = []string{"login_hint", "prompt"} })
	_, params := s.request(t, "?ui_locales=de&LOGIN_HINT=x&login_hint[]=y&login_hint="+strings.Repeat("a", 256))
	if params.Has("ui_locales") || params.Has("LOGIN_HINT") || params.Has("login_hint[]") || params.Get("login_hint") != strings.Repeat("a", 256) {
		t.Errorf("passed on: %v", params)
	}
	s.browser = s.newBrowser()
	for name, hint := range map[string]string{
		"257 bytes": strings.Repeat("a", 257), "257 bytes of other letters": strings.Repeat("ü", 129), "a line break": "hint-of-a\nSet-Cookie:x=y", "NUL": "hint-of-a\x00bcd",
		"ESC": "hint-of-a\x1b[31m", "DEL": "hint-of-a\x7f", "a C1 control": "hint-of-a\u009b31m",
	} {
		t.Run(name, func(t *testing.T) {
			s.failsClosed(t, s.open("/login/demo?login_hint="+url.QueryEscape(hint)), closed{code: ginauth.ErrBadRequest, hide: []string{hint}})
		})
	}
	s.failsClosed(t, s.open("/login/demo?login_hint=a&login_hint=b"), closed{code: ginauth.ErrBadRequest})
	if s.hasCookie("-a-") || s.idp.Count(authtest.Authorize) != 0 {
		t.Error("a refused start left an attempt, or reached the provider")
	}
}

func faultA4(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	seen := map[string]bool{}
	for range 3 {
		callback := s.begin("/login/demo")
		p := s.finish(callback)
		asked, redeemed := s.idp.LastRequest(authtest.Authorize).Form, s.idp.LastRequest(authtest.Token).Form
		verifier := redeemed.Get("code_verifier")
		if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") != "" {
			t.Errorf("the verifier has %d characters, or others than it may: %q", len(verifier), verifier)
		}
		sum := sha256.Sum256([]byte(verifier))
		if asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
			t.Errorf("challenge %q of method %q is not that of the verifier", asked.Get("code_challenge"), asked.Get("code_challenge_method"))
		}
		seen[verifier] = true
		s.keepsSecrets(t, p, verifier)
		for _, hop := range p.Hops {
			if strings.Contains(fmt.Sprint(hop.URL, hop.Request, hop.Header), verifier) {
				t.Errorf("the verifier passed through the browser: %s", hop.URL)
			}
		}
		if strings.Contains(callback.String(), verifier) {
			t.Error("the verifier is in the callback's address")
		}
	}
	if len(seen) != 3 {
		t.Errorf("3 sign-ins had %d verifiers", len(seen))
	}
}

func faultA5(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(map[string]any){
		"no methods":    func(m map[string]any) { delete(m, "code_challenge_methods_supported") },
		"plain alone":   func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} },
		"an empty list": func(m map[string]any) { m["code_challenge_methods_supported"] = []string{} },
		"no list":       func(m map[string]any) { m["code_challenge_methods_supported"] = "plain" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(s *site, _ *ginauth.Options) { s.idp.EditMetadata(edit) })
			_, params := s.request(t, "?code_challenge_method=plain")
			if params.Get("code_challenge_method") != "S256" || len(params.Get("code_challenge")) != 43 || params.Get("state") == "" || params.Get("nonce") == "" {
				t.Errorf("asked with %v", params)
			}
			s.signIn()
		})
	}
}

func faultA6(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	seen := map[string]bool{}
	for range 3 {
		s.signIn()
		asked, verifier := s.idp.LastRequest(authtest.Authorize).Form, s.idp.LastRequest(authtest.Token).Form.Get("code_verifier")
		nonce := asked.Get("nonce")
		if raw, err := base64.RawURLEncoding.DecodeString(nonce); err != nil || len(raw) < 16 {
			t.Errorf("the nonce %q has %d bytes, %v", nonce, len(raw), err)
		}
		if strings.Contains(asked.Get("state"), nonce) || nonce == verifier || nonce == asked.Get("code_challenge") {
			t.Errorf("the nonce is the state's or the verifier's")
		}
		seen[nonce] = true
	}
	if len(seen) != 3 {
		t.Errorf("3 sign-ins had %d nonces", len(seen))
	}
	s = newSite(t, nil)
	s.idp.Fail(authtest.Token, authtest.WrongNonce)
	s.failsClosed(t, s.get("/login/demo"), closed{code: ginauth.ErrIDTokenInvalid, tokens: 1})
}

func faultA7(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scopes []string
		want   string
	}{
		{nil, "openid profile email"},
		{[]string{}, "openid"},
		{[]string{"profile"}, "openid profile"},
		{[]string{"email", "openid"}, "openid email"},
		{[]string{"openid", "openid", "email", "email", "openid"}, "openid email"},
	} {
		s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Scopes = tt.scopes })
		location, params := s.request(t, "")
		if params.Get("scope") != tt.want || strings.Contains(location, "+") {
			t.Errorf("Scopes %q are asked for as %q, want %q: %s", tt.scopes, params.Get("scope"), tt.want, location)
		}
	}
	for _, scope := range []string{"email profile", " ", "", "a\tb", "a\nb", "a\x00b", `a"b`, `a\b`, "é", "a\x7f"} {
		says(t, mountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{testKey},
			Providers: []ginauth.Provider{{Name: "demo", Issuer: "https://idp.example", ClientID: "c", ClientSecret: "s", Scopes: []string{"profile", scope}}}}), "Scopes", fmt.Sprintf("%q", scope))
	}
}

func faultA8(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	form := url.Values{"return_to": {"/page/one"}, "password": {"a secret of another form"}}
	s.browser.StopAt = func(*url.URL) bool { return true }
	home := authtest.At(s.URL + "/")
	if location, _ := authorization(t, s.must(s.browser.Submit(home, s.URL+"/login/demo", form))); strings.Contains(location, "secret") {
		t.Errorf("the form is in %s", location)
	}
	s.browser.StopAt = nil
	if p := s.must(s.browser.Submit(home, s.URL+"/login/demo", form)); p.URL.Path != "/page/one" || s.user() == nil {
		t.Errorf("the sign-in ended at %s with %d", p.URL, p.Status)
	}
	if r := s.idp.LastRequest(authtest.Authorize); r.Method != http.MethodGet || len(r.Body) != 0 {
		t.Errorf("the provider got a %s with %d bytes", r.Method, len(r.Body))
	}
	for _, p := range []*authtest.Page{s.open("/login"), s.open("/login/demo")} {
		if p.Status != http.StatusSeeOther {
			t.Errorf("%s answered %d, want 303", p.URL, p.Status)
		}
		wantHeaders(t, p)
	}
}

func faultA9(t *testing.T) {
	t.Parallel()
	public := newSite(t, func(s *site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
	local := newSite(t, nil)
	for _, name := range []string{"nope", "DEMO", "Demo", "demo%00", "%00", "%0d%0aSet-Cookie:x", "%2e%2e", "%2e", "..", "%20demo", "%3cscript%3ealert(1)", "d%e9mo", "%ff", strings.Repeat("a", 5000)} {
		for _, route := range []string{"/login/", "/authorize/"} {
			for _, s := range []*site{public, local} {
				for _, method := range []string{"GET", "POST"} {
					p := s.raw(t, method+" "+route+name+"?state=s HTTP/1.1\r\nHost: "+s.addr()+"\r\nContent-Length: 0\r\n"+askPage)
					s.failsClosed(t, p, closed{code: ginauth.ErrUnknownProvider})
					plain, _ := url.PathUnescape(name)
					if s == public && (strings.Contains(p.Text(), plain) && len(plain) > 2 || strings.Contains(p.Text(), "demo")) || strings.Contains(p.Text(), "<script") {
						t.Errorf("%s%s: the page has the name, or the providers': %s", route, name, p.Text())
					}
					if p.Header["Set-Cookie"] != nil {
						t.Errorf("%s%s sets %q", route, name, p.Header["Set-Cookie"])
					}
				}
			}
		}
	}
	for _, s := range []*site{public, local} {
		if text := s.logs.String(); strings.Contains(text, "\nSet-Cookie") || strings.Contains(text, "\x00") || strings.Contains(text, "\r") {
			t.Error("a provider's name breaks the log's lines")
		}
		if n := s.idp.Count(authtest.Discovery); n != 0 {
			t.Errorf("the provider was asked %d times", n)
		}
	}
}

func faultA10(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	evil := authtest.At("https://evil.example/")
	for _, from := range []*authtest.Page{evil, authtest.At(s.URL + "/")} {
		for _, dest := range []string{"image", "iframe", "frame", "script", "empty", "style", "object", "embed", "audio", "worker", "manifest"} {
			for _, method := range []string{"GET", "POST"} {
				header := http.Header{"Sec-Fetch-Dest": {dest}, "Sec-Fetch-Mode": {"no-cors"}, "Content-Type": {"application/x-www-form-urlencoded"}}
				s.failsClosed(t, s.must(s.browser.Fetch(from, method, s.URL+"/login/demo", header, "")), closed{code: ginauth.ErrCrossOrigin})
			}
		}
		s.failsClosed(t, s.must(s.browser.Frame(from, s.URL+"/login/demo")), closed{code: ginauth.ErrCrossOrigin})
		s.failsClosed(t, s.must(s.browser.Frame(from, s.URL+"/login")), closed{code: ginauth.ErrCrossOrigin})
	}
	for _, prefetch := range []http.Header{{"Sec-Purpose": {"prefetch"}}, {"Sec-Purpose": {"prefetch;prerender"}}, {"Purpose": {"Prefetch"}}, {"X-Moz": {"prefetch"}}} {
		p := s.must(s.browser.Do(&http.Request{Method: "GET", URL: mustURL(t, s.URL+"/login/demo"), Header: prefetch}))
		if p.Status != http.StatusServiceUnavailable || len(p.Body) != 0 || len(p.Header["Set-Cookie"]) != 0 {
			t.Errorf("%v: %d %s", prefetch, p.Status, p.Text())
		}
		wantHeaders(t, p)
	}
	for _, method := range []string{"HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"} {
		p := s.must(s.browser.Do(&http.Request{Method: method, URL: mustURL(t, s.URL+"/login/demo"), Header: http.Header{}}))
		s.failsClosed(t, p, closed{code: ginauth.ErrMethodNotAllowed})
		if got := p.Header.Get("Allow"); got != "GET, POST" {
			t.Errorf("%s: Allow is %q", method, got)
		}
	}
	if s.hasCookie("-a-") || len(s.browser.RefusedCookies()) > 0 || s.idp.Count(authtest.Discovery) != 0 || s.idp.Count(authtest.Authorize) != 0 {
		t.Error("something that is no visit began an attempt, or asked the provider")
	}
}

func mustURL(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// faultA18 lets people pass on more than an address can bear.
func faultA18(t *testing.T) {
	t.Parallel()
	var names []string
	query := url.Values{}
	for i := range 40 {
		names = append(names, fmt.Sprintf("p%d", i))
		query.Set(names[i], strings.Repeat("a", 256))
	}
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].LoginParams = names })
	p := s.open("/login/demo?" + query.Encode())
	s.failsClosed(t, p, closed{code: ginauth.ErrBadRequest})
	if p.Header.Get("Location") != "" || s.hasCookie("-a-") || s.idp.Count(authtest.Authorize) != 0 {
		t.Error("an attempt was begun all the same")
	}
	for _, name := range names[20:] {
		query.Del(name)
	}
	location, params := s.request(t, "?"+query.Encode())
	if len(location) > 8<<10 || slices.ContainsFunc(names[:20], func(name string) bool { return len(params.Get(name)) != 256 }) {
		t.Errorf("an address of %d bytes lacks something", len(location))
	}
}
