package faults

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsAuthorize(t *testing.T) {
	runFaults(t, []fault{
		{"A1_state_is_ours_and_random", a1StateIsOursAndRandom},
		{"A2_injected_protocol_parameters", a2InjectedProtocolParameters},
		{"A3_passed_on_only_what_is_listed", a3PassedOnOnlyWhatIsListed},
		{"A4_pkce_is_fresh_and_s256", a4PkceIsFreshAndS256},
		{"A5_pkce_never_plain", a5PkceNeverPlain},
		{"A6_nonce_is_fresh", a6NonceIsFresh},
		{"A7_scopes", a7Scopes},
		{"A8_post_is_answered_with_303", a8PostIsAnsweredWith303},
		{"A13_endpoint_with_parameters", a13EndpointWithParameters},
		{"A17_max_age_and_acr_values", a17MaxAgeAndAcrValues},
		{"A18_address_longer_than_8_kb", a18AddressLongerThan8Kb},
	})
}

func a13EndpointWithParameters(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP.EditMetadata(func(m map[string]any) {
			m["authorization_endpoint"] = s.IDP.URL(authtest.Authorize) + "?tenant=1&state=EVIL&redirect_uri=EVIL&nonce=EVIL&scope=EVIL&client_id=EVIL" +
				"&response_type=EVIL&code_challenge=EVIL&code_challenge_method=EVIL&request=EVIL&request_uri=EVIL&response_mode=EVIL&state=EVIL2&prompt=none&p=q"
		})
		o.Providers[0].AuthParams = map[string]string{"prompt": "login"}
	})
	location, params := request(s, t, "")
	if strings.Contains(location, "EVIL") || params.Get("tenant") != "1" || params.Get("p") != "q" || params.Get("prompt") != "login" {
		t.Errorf("the endpoint's own parameters became %s", location)
	}
	s.SignIn()
	for _, endpoint := range []string{"#frag", "?tenant=1#state=x", "#"} {
		s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) {
			s.IDP.EditMetadata(func(m map[string]any) { m["authorization_endpoint"] = s.IDP.URL(authtest.Authorize) + endpoint })
		})
		s.FailsClosed(t, s.Open("/login/demo"), sitetest.Closed{Code: ginauth.ErrProviderMisconfigured})
		if err := s.Auth.Warm(t.Context()); !sitetest.HasID(err, "discovery.endpoint_invalid") || !strings.Contains(err.Error(), "authorization_endpoint") || !strings.Contains(err.Error(), "fragment") {
			t.Errorf("Warm returned %v", err)
		}
		p := sitetest.Offline("demo")
		p.AuthorizeURL += endpoint
		sitetest.WantInvalid(t, sitetest.MountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{p}}), "provider.authorize_url.fragment")
	}
}

func a17MaxAgeAndAcrValues(t *testing.T) {
	t.Parallel()
	demands := func(t *testing.T, change func(*ginauth.Provider)) *sitetest.Site {
		return sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { change(&o.Providers[0]) })
	}
	may := func(p *ginauth.Provider) { p.LoginParams = []string{"max_age", "acr_values"} }
	always := func(p *ginauth.Provider) {
		p.AuthParams = map[string]string{"max_age": "300", "acr_values": "urn:gold urn:silver"}
	}
	both := func(p *ginauth.Provider) { may(p); always(p) }
	claim := func(name string, value any) func(_, claims map[string]any) {
		return func(_, claims map[string]any) {
			claims["acr"], claims["auth_time"] = "urn:silver", claims["iat"]
			switch v := value.(type) {
			case nil:
				delete(claims, name)
			case func() int64: // when the token is issued, not when the test begins
				claims[name] = v()
			default:
				claims[name] = v
			}
		}
	}
	ago := func(d time.Duration) func() int64 {
		return func() int64 { return time.Now().Add(-d).Unix() }
	}
	const asked = "?max_age=300&acr_values=urn:gold+urn:silver"
	for _, tt := range []struct {
		name   string
		change func(*ginauth.Provider)
		query  string
		edit   func(header, claims map[string]any)
		ok     bool
	}{
		{"answered", may, asked, claim("acr", "urn:gold"), true},
		{"half a minute too old, which clocks may differ by", may, asked, claim("auth_time", ago(330*time.Second)), true},
		{"too old", may, asked, claim("auth_time", ago(370*time.Second)), false},
		{"without auth_time", may, asked, claim("auth_time", nil), false},
		{"auth_time in the future", may, asked, claim("auth_time", ago(-2*time.Minute)), false},
		{"auth_time as a text", may, asked, claim("auth_time", strconv.FormatInt(ago(0)(), 10)), false},
		{"max_age of zero", may, "?max_age=0", claim("auth_time", ago(70*time.Second)), false},
		{"without acr", may, asked, claim("acr", nil), false},
		{"another acr", may, asked, claim("acr", "urn:bronze"), false},
		{"both acr in one text", may, asked, claim("acr", "urn:gold urn:silver"), false},
		{"not asked for", may, "", claim("auth_time", ago(24*time.Hour)), true},
		{"asked for, but not to be passed on", func(*ginauth.Provider) {}, asked, claim("auth_time", ago(24*time.Hour)), true},
		{"always asked for and answered", always, "", claim("acr", "urn:gold"), true},
		{"always asked for, too old", always, "", claim("auth_time", ago(370*time.Second)), false},
		{"always asked for, without auth_time", always, "", claim("auth_time", nil), false},
		{"always asked for, another acr", always, "", claim("acr", "urn:bronze"), false},
		{"always asked for, and less by the request", both, "?max_age=9999", claim("auth_time", ago(370*time.Second)), false},
		{"always asked for, and another acr by the request", both, "?acr_values=urn:bronze", claim("acr", "urn:bronze"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := demands(t, tt.change)
			s.IDP.EditIDToken(tt.edit)
			p := s.Get("/login/demo" + tt.query)
			if tt.ok {
				if s.User() == nil {
					t.Errorf("rejected: %d %s\n%s", p.Status, p.Text(), s.Logs)
				}
				return
			}
			s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrIDTokenInvalid, Tokens: 1})
		})
	}
	for _, v := range []string{"", "-1", "1h", "1.5", "+5", "99999999999"} {
		p := sitetest.Offline("demo")
		p.AuthParams = map[string]string{"max_age": v}
		sitetest.WantInvalid(t, sitetest.MountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{p}}), "provider.auth_params.max_age")
	}
	s := demands(t, may)
	for _, query := range []string{"?max_age=", "?max_age=-1", "?max_age=1.5", "?max_age=x", "?max_age=99999999999", "?max_age=1&max_age=2", "?max_age=%2B5", "?max_age=0x10"} {
		s.FailsClosed(t, s.Open("/login/demo"+query), sitetest.Closed{Code: ginauth.ErrBadRequest})
	}
}

// request begins a sign-in and returns the authorization request.
func request(s *sitetest.Site, t testing.TB, query string) (location string, params url.Values) {
	t.Helper()
	return sitetest.Authorization(t, s.Open("/login/demo"+query))
}

func a1StateIsOursAndRandom(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers = []ginauth.Provider{sitetest.Offline("demo")} })
	_, params := request(s, t, "?state=EVIL")
	if state := params.Get("state"); !sitetest.StateForm.MatchString(state) || strings.Contains(state, "EVIL") {
		t.Errorf("the state is %q", state)
	}
	const starts = 10_000
	seen := map[string]bool{}
	for range starts {
		w := httptest.NewRecorder()
		s.Engine.ServeHTTP(w, httptest.NewRequest("GET", "/login/demo", nil))
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

// injected has an attacker's values for every parameter of an authorization request.
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

func a2InjectedProtocolParameters(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].LoginParams = []string{"prompt"}
		o.Providers[0].AuthParams = map[string]string{"audience": "https://api.example"}
	})
	evil := injected()
	evil.Set("prompt", "login")
	s.Browser.StopAt = func(*url.URL) bool { return true }
	for name, p := range map[string]*authtest.Page{
		"GET":  s.Open("/login/demo?" + evil.Encode()),
		"POST": s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/login/demo", evil)),
	} {
		location, params := sitetest.Authorization(t, p)
		if strings.Contains(location, "EVIL") {
			t.Errorf("%s: an injected value is in %s", name, location)
		}
		for param, want := range map[string]string{
			"client_id": s.IDP.ClientID, "redirect_uri": s.URL + "/authorize/demo", "response_type": "code", "scope": "openid profile email",
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
	s.Browser.StopAt = nil
	if p := s.Get("/login/demo?" + evil.Encode()); s.User() == nil {
		t.Errorf("the sign-in ended at %s with %d", p.URL, p.Status)
	}
	edited := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Quirks.EditAuthorize = func(params url.Values) {
			for _, name := range []string{"state", "nonce", "redirect_uri", "code_challenge", "code_challenge_method"} {
				params[name] = []string{"EVIL", "EVIL"}
			}
		}
	})
	if location, _ := request(edited, t, ""); strings.Contains(location, "EVIL") {
		t.Errorf("EditAuthorize replaced what it must not: %s", location)
	}
	for _, name := range []string{"state", "nonce", "redirect_uri", "client_id", "code_challenge", "request_uri", ""} {
		for id, p := range map[string]ginauth.Provider{
			"provider.login_params.protocol_parameter": {Name: "demo", Issuer: "https://idp.example", ClientID: "c", ClientSecret: "s", LoginParams: []string{name}},
			"provider.auth_params.protocol_parameter":  {Name: "demo", Issuer: "https://idp.example", ClientID: "c", ClientSecret: "s", AuthParams: map[string]string{name: "x"}},
		} {
			err := sitetest.MountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{p}})
			sitetest.WantInvalid(t, err, id)
			sitetest.WantNames(t, err.Error(), fmt.Sprintf("%q", name))
		}
	}
}

func a3PassedOnOnlyWhatIsListed(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].LoginParams = []string{"login_hint", "prompt"}
	})
	_, params := request(s, t, "?ui_locales=de&LOGIN_HINT=x&login_hint[]=y&login_hint="+strings.Repeat("a", 256))
	if params.Has("ui_locales") || params.Has("LOGIN_HINT") || params.Has("login_hint[]") || params.Get("login_hint") != strings.Repeat("a", 256) {
		t.Errorf("passed on: %v", params)
	}
	s.Browser = s.NewBrowser()
	for name, hint := range map[string]string{
		"257 bytes": strings.Repeat("a", 257), "257 bytes of other letters": strings.Repeat("ü", 129), "a line break": "hint-of-a\nSet-Cookie:x=y", "NUL": "hint-of-a\x00bcd",
		"ESC": "hint-of-a\x1b[31m", "DEL": "hint-of-a\x7f", "a C1 control": "hint-of-a\u009b31m",
	} {
		t.Run(name, func(t *testing.T) {
			s.FailsClosed(t, s.Open("/login/demo?login_hint="+url.QueryEscape(hint)), sitetest.Closed{Code: ginauth.ErrBadRequest, Hide: []string{hint}})
		})
	}
	s.FailsClosed(t, s.Open("/login/demo?login_hint=a&login_hint=b"), sitetest.Closed{Code: ginauth.ErrBadRequest})
	if s.HasCookie("-a-") || s.IDP.Count(authtest.Authorize) != 0 {
		t.Error("a rejected start left an attempt, or reached the provider")
	}
}

func a4PkceIsFreshAndS256(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	seen := map[string]bool{}
	for range 3 {
		callback := s.Begin("/login/demo")
		p := s.Finish(callback)
		asked, redeemed := s.IDP.LastRequest(authtest.Authorize).Form, s.IDP.LastRequest(authtest.Token).Form
		verifier := redeemed.Get("code_verifier")
		if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") != "" {
			t.Errorf("the verifier has %d characters, or others than it may: %q", len(verifier), verifier)
		}
		sum := sha256.Sum256([]byte(verifier))
		if asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
			t.Errorf("challenge %q of method %q is not that of the verifier", asked.Get("code_challenge"), asked.Get("code_challenge_method"))
		}
		seen[verifier] = true
		s.KeepsSecrets(t, p, verifier)
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

func a5PkceNeverPlain(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(map[string]any){
		"no methods":    func(m map[string]any) { delete(m, "code_challenge_methods_supported") },
		"plain alone":   func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} },
		"an empty list": func(m map[string]any) { m["code_challenge_methods_supported"] = []string{} },
		"no list":       func(m map[string]any) { m["code_challenge_methods_supported"] = "plain" },
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.EditMetadata(edit) })
			_, params := request(s, t, "?code_challenge_method=plain")
			if params.Get("code_challenge_method") != "S256" || len(params.Get("code_challenge")) != 43 || params.Get("state") == "" || params.Get("nonce") == "" {
				t.Errorf("requested with %v", params)
			}
			s.SignIn()
		})
	}
}

func a6NonceIsFresh(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	seen := map[string]bool{}
	for range 3 {
		s.SignIn()
		asked, verifier := s.IDP.LastRequest(authtest.Authorize).Form, s.IDP.LastRequest(authtest.Token).Form.Get("code_verifier")
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
	s = sitetest.New(t, nil)
	s.IDP.Fail(authtest.Token, authtest.WrongNonce)
	s.FailsClosed(t, s.Get("/login/demo"), sitetest.Closed{Code: ginauth.ErrIDTokenInvalid, Tokens: 1})
}

func a7Scopes(t *testing.T) {
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
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Scopes = tt.scopes })
		location, params := request(s, t, "")
		if params.Get("scope") != tt.want || strings.Contains(location, "+") {
			t.Errorf("Scopes %q are requested as %q, want %q: %s", tt.scopes, params.Get("scope"), tt.want, location)
		}
	}
	for _, scope := range []string{"email profile", " ", "", "a\tb", "a\nb", "a\x00b", `a"b`, `a\b`, "é", "a\x7f"} {
		err := sitetest.MountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{sitetest.Key},
			Providers: []ginauth.Provider{{Name: "demo", Issuer: "https://idp.example", ClientID: "c", ClientSecret: "s", Scopes: []string{"profile", scope}}}})
		sitetest.WantInvalid(t, err, "provider.scopes.malformed")
		sitetest.WantNames(t, err.Error(), fmt.Sprintf("%q", scope))
	}
}

func a8PostIsAnsweredWith303(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	form := url.Values{"return_to": {"/page/one"}, "password": {"a secret of another form"}}
	s.Browser.StopAt = func(*url.URL) bool { return true }
	home := authtest.At(s.URL + "/")
	if location, _ := sitetest.Authorization(t, s.Must(s.Browser.Submit(home, s.URL+"/login/demo", form))); strings.Contains(location, "secret") {
		t.Errorf("the form is in %s", location)
	}
	s.Browser.StopAt = nil
	if p := s.Must(s.Browser.Submit(home, s.URL+"/login/demo", form)); p.URL.Path != "/page/one" || s.User() == nil {
		t.Errorf("the sign-in ended at %s with %d", p.URL, p.Status)
	}
	if r := s.IDP.LastRequest(authtest.Authorize); r.Method != http.MethodGet || len(r.Body) != 0 {
		t.Errorf("the provider got a %s with %d bytes", r.Method, len(r.Body))
	}
	for _, p := range []*authtest.Page{s.Open("/login"), s.Open("/login/demo")} {
		if p.Status != http.StatusSeeOther {
			t.Errorf("%s responded %d, want 303", p.URL, p.Status)
		}
		sitetest.WantHeaders(t, p)
	}
}

// a18AddressLongerThan8Kb lets users pass on parameters that are too long for a URL.
func a18AddressLongerThan8Kb(t *testing.T) {
	t.Parallel()
	var names []string
	query := url.Values{}
	for i := range 40 {
		names = append(names, fmt.Sprintf("p%d", i))
		query.Set(names[i], strings.Repeat("a", 256))
	}
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].LoginParams = names })
	p := s.Open("/login/demo?" + query.Encode())
	s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrBadRequest})
	if p.Header.Get("Location") != "" || s.HasCookie("-a-") || s.IDP.Count(authtest.Authorize) != 0 {
		t.Error("an attempt was begun")
	}
	for _, name := range names[20:] {
		query.Del(name)
	}
	location, params := request(s, t, "?"+query.Encode())
	if len(location) > 8<<10 || slices.ContainsFunc(names[:20], func(name string) bool { return len(params.Get(name)) != 256 }) {
		t.Errorf("an address of %d bytes lacks something", len(location))
	}
}
