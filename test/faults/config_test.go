package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
	"github.com/ginauth/ginauth/providers"
)

func TestFaultsConfig(t *testing.T) {
	runFaults(t, []fault{
		{"F5_http_base_url", f5HttpBaseUrl},
		{"F8_weak_keys", f8WeakKeys},
		{"K3_issuers_that_are_none", k3IssuersThatAreNone},
		{"K6_providers_in_each_others_way", k6ProvidersInEachOthersWay},
		{"K13_client_secret_empty_or_with_a_line_break", k13ClientSecretEmptyOrWithALineBreak},
		{"K14_arguments_of_presets", k14ArgumentsOfPresets},
		{"K15_secrets_are_not_printed", TestOptionsAndProvidersPrintNoSecrets},
		{"N8_base_url", n8BaseUrl},
		{"S35_plain_http_in_a_private_network", s35PlainHttpInAPrivateNetwork},
		{"S38_names_that_differ_in_case", s38NamesThatDifferInCase},
		{"O7_mistakes_are_errors_of_mount", o7MistakesAreErrorsOfMount},
	})
}

func f5HttpBaseUrl(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	p := s.Finish(s.Begin("/login/demo"))
	found := false
	for _, line := range p.Hops[0].Header.Values("Set-Cookie") {
		found = found || regexp.MustCompile(`^ginauth-[\w-]{6}=1[\w-]+; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax$`).MatchString(line)
	}
	if !found {
		t.Errorf("on http://localhost: %q", p.Hops[0].Header.Values("Set-Cookie"))
	}
	for _, base := range []string{"http://app.example.com", "http://10.0.0.1", "http://localhost.example.com", "http://127.0.0.1.example.com", "http://[fe80::1]"} {
		err := sitetest.MountError(ginauth.Options{BaseURL: base, Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{sitetest.Client("demo", s.IDP)}})
		sitetest.WantInvalidIn(t, err, "options.base_url")
		sitetest.WantNames(t, err.Error(), base, "https")
	}
}

func f8WeakKeys(t *testing.T) {
	t.Parallel()
	const good = "8f2b61c09d7e4a35f1046cbe92d87a53"
	for name, tt := range map[string]struct {
		keys []string
		id   string
		key  string // the index of the key
	}{
		"none":              {nil, "options.keys.empty", ""},
		"an empty one":      {[]string{""}, "options.keys.key_empty", "key 1"},
		"31 bytes":          {[]string{good[:31]}, "options.keys.key_short", "key 1 has 31"},
		"one byte repeated": {[]string{strings.Repeat("q", 40)}, "options.keys.key_repetitive", "key 1"},
		"a placeholder":     {[]string{"changeme-" + good}, "options.keys.key_placeholder", "key 1"},
		"twice the same":    {[]string{good, sitetest.Key, good}, "options.keys.key_duplicate", "key 3"},
		"the second weak":   {[]string{good, "short"}, "options.keys.key_short", "key 2 has 5"},
		"six":               {[]string{good + "1", good + "2", good + "3", good + "4", good + "5", good + "6"}, "options.keys.too_many", "6 keys"},
	} {
		err := sitetest.MountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: tt.keys,
			Providers: []ginauth.Provider{{Name: "demo", Issuer: "https://id.example.com", ClientID: "c", ClientSecret: "s"}}})
		sitetest.WantInvalid(t, err, tt.id)
		sitetest.WantNames(t, err.Error(), tt.key, "openssl rand -hex 32")
		for _, key := range tt.keys {
			if len(key) > 8 && strings.Contains(err.Error(), key) {
				t.Errorf("%s: the error tells the key", name)
			}
		}
	}
	if err := sitetest.MountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{good},
		Providers: []ginauth.Provider{{Name: "demo", Issuer: "https://id.example.com", ClientID: "c", ClientSecret: "s"}}}); err != nil {
		t.Errorf("a good key: %v", err)
	}
}

// The texts are tested with the other mistakes: see TestMistakesInAddresses.
func k3IssuersThatAreNone(t *testing.T) {
	for name, issuer := range map[string]string{
		"http": "http://login.example.com", "query": "https://login.example.com?x=1", "empty query": "https://login.example.com?",
		"fragment": "https://login.example.com#x", "user": "https://me@login.example.com", "empty": "", "spaces": "https://login.example.com  ",
	} {
		opts := sitetest.GoodOptions()
		opts.Providers[0].Issuer = issuer
		err := sitetest.MountError(opts)
		if sitetest.WantInvalidIn(t, err, "provider.issuer"); !strings.Contains(err.Error(), `provider "corp"`) {
			t.Errorf("%s: the provider is not named: %v", name, err)
		}
	}
	for address, what := range map[string]string{
		"http://login.example.com/out?to={post_logout_redirect_uri}": "not_https", "https://login.example.com/out#{state}": "fragment",
		"https://me@login.example.com/out": "user", "javascript:alert(1)": "not_an_address", "//login.example.com/out": "not_https",
		"https://{tenant}.example.com/out": "placeholder", " https://login.example.com/out": "white_space",
	} {
		opts := sitetest.GoodOptions()
		opts.Providers[0].Logout.URL = address
		sitetest.WantInvalid(t, sitetest.MountError(opts), "provider.logout.url."+what)
	}
}

// The texts are tested with the other mistakes: see TestMistakesInNames.
func k6ProvidersInEachOthersWay(t *testing.T) {
	for _, name := range []string{"", "/", "..", "a b", "ä", "a/b", strings.Repeat("x", 33), "A."} {
		opts := sitetest.GoodOptions()
		opts.Providers[0].Name = name
		sitetest.WantInvalid(t, sitetest.MountError(opts), "provider.name.malformed")
	}
	two := sitetest.GoodOptions()
	two.Providers = append(two.Providers, sitetest.GoodProvider())
	sitetest.WantInvalid(t, sitetest.MountError(two), "provider.name.duplicate")
	two.Providers[1].Name = "cORP"
	sitetest.WantInvalid(t, sitetest.MountError(two), "provider.name.case", "provider.client_id.duplicate")
	two.Providers[1].Name = "other"
	sitetest.WantInvalid(t, sitetest.MountError(two), "provider.client_id.duplicate")
	two.Providers[1].ClientID = "other"
	if err := sitetest.MountError(two); err != nil {
		t.Error(err)
	}
}

// privateHosts are hosts for which InsecureHTTP permits http; publicHosts are others.
var (
	privateHosts = []string{"10.0.0.1", "10.255.255.255:8080", "172.16.0.1", "172.31.255.254", "192.168.1.5:8080", "100.64.0.1", "100.127.255.254", "[fc00::1]", "[fd12:3456:789a::1]:8080",
		"[::ffff:10.0.0.1]", "nas", "NAS", "intranet:8080", "intranet.", "app.internal", "APP.Internal", "app.internal.", "printer.local", "Printer.LOCAL:8080", "router.lan", "a.b.lan", "media.home.arpa"}
	publicHosts = []string{"app.example.com", "203.0.113.5", "8.8.8.8", "172.15.255.255", "172.32.0.1", "192.169.0.1", "11.0.0.1", "100.63.255.255", "100.128.0.1", "[2001:db8::1]", "[fe80::1]",
		"[fec0::1]", "[::ffff:8.8.8.8]", "[64:ff9b::a00:1]", "[2002:a00:1::]", "169.254.169.254", "10.0.0.1.example.com", "10.0.0.1.nip.io", "app.internal.example.com", "evil-internal.com", "evil.notlocal",
		"app.locals", "home.arpa", "arpa.home", "xn--app.internal.xn--p1ai", ".local", ".internal"}
)

func s35PlainHttpInAPrivateNetwork(t *testing.T) {
	t.Parallel()
	mount := func(base string, change func(o *ginauth.Options)) (*sitetest.Logs, error) {
		logs := &sitetest.Logs{}
		opts := sitetest.GoodOptions()
		opts.BaseURL, opts.Logger, opts.InsecureHTTP = base, logs.Logger(), true
		if change != nil {
			change(&opts)
		}
		err := sitetest.MountError(opts)
		return logs, err
	}
	for _, host := range privateHosts {
		log, err := mount("http://"+host, nil)
		if err != nil || len(log.Lines("WARN", "options.insecure_http.used")) != 1 || strings.Count(log.String(), "InsecureHTTP") != 1 {
			t.Errorf("%s: %v; the log: %s", host, err, log)
		}
		_, err = mount("http://"+host, func(o *ginauth.Options) { o.InsecureHTTP = false })
		sitetest.WantInvalid(t, err, "options.base_url.http")
		sitetest.WantNames(t, err.Error(), "Options.InsecureHTTP")
	}
	for _, host := range publicHosts {
		if _, err := mount("http://"+host, nil); !errors.Is(err, ginauth.ErrInvalidOptions) || !strings.Contains(err.Error(), "Options.BaseURL") {
			t.Errorf("http://%s is taken: %v", host, err)
		}
		if _, err := mount("http://"+host, func(o *ginauth.Options) { o.InsecureHTTP = false }); strings.Contains(fmt.Sprint(err), "InsecureHTTP") {
			t.Errorf("http://%s: the error offers what would not help: %v", host, err)
		}
	}
	_, err := mount("http://203.0.113.5", nil)
	sitetest.WantInvalid(t, err, "options.base_url.http_public")
	for name, tt := range map[string]struct {
		change func(o *ginauth.Options)
		id     string
	}{
		"form_post":                   {func(o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" }, "provider.response_mode.form_post_http"},
		"an issuer on http":           {func(o *ginauth.Options) { o.Providers[0].Issuer = "http://login.internal" }, "provider.issuer.not_https"},
		"an endpoint on http":         {func(o *ginauth.Options) { o.Providers[0].TokenURL = "http://10.0.0.2/token" }, "provider.token_url.not_https"},
		"no keys":                     {func(o *ginauth.Options) { o.Keys = nil }, "options.keys.empty"},
		"a trusted origin on http":    {func(o *ginauth.Options) { o.TrustedOrigins = []string{"http://front.internal"} }, "options.trusted_origins.http"},
		"an address to listen on":     {func(o *ginauth.Options) { o.BaseURL = "http://0.0.0.0:8080" }, "options.base_url.unspecified"},
		"a password in the address":   {func(o *ginauth.Options) { o.BaseURL = "http://me:pass@app.internal" }, "options.base_url.extra"},
		"a number that is an address": {func(o *ginauth.Options) { o.BaseURL = "http://2130706433" }, "options.base_url.malformed"},
	} {
		_, err := mount("http://app.internal", tt.change)
		if t.Log(name); err == nil {
			t.Errorf("%s is taken", name)
			continue
		}
		sitetest.WantInvalid(t, err, tt.id)
	}
	// With https, and on loopback, nothing changes: neither the cookies nor the log.
	for _, base := range []string{"https://app.internal", "https://app.example.com", "http://localhost:8080"} {
		with, err := mount(base, func(o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" })
		if log := with.String(); err != nil || strings.Contains(log, "InsecureHTTP") || strings.Contains(log, "insecure_http") {
			t.Errorf("%s: %v; the log: %s", base, err, with)
		}
	}
	s35AnswersAreThoseOfProduction(t)
}

// The defaults for a developer's machine do not apply.
func s35AnswersAreThoseOfProduction(t *testing.T) {
	engine := gin.New()
	auth, err := ginauth.Mount(engine, sitetest.GoodOptionsWith(func(o *ginauth.Options) {
		o.BaseURL, o.InsecureHTTP, o.Logger = "http://app.internal", true, slog.New(slog.DiscardHandler)
		o.Providers, o.HTTPClient = []ginauth.Provider{sitetest.Offline("demo")}, &http.Client{Transport: sitetest.Failing{}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if d := auth.Diagnose(t.Context()); !slices.ContainsFunc(d.Warnings, func(e *ginauth.Error) bool { return e.ID == "options.insecure_http.used" }) {
		t.Errorf("Diagnose warns of %v", d.Warnings)
	}
	engine.POST("/guarded", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, "done") })
	ask := func(method, target string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, r)
		return w
	}
	if w := ask("GET", "http://app.internal/authorize/demo?state=x&code=y"); w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "reason") || strings.Contains(w.Body.String(), "docs/errors.md") {
		t.Errorf("the response to an error is %s", w.Body)
	}
	if w := ask("GET", "http://localhost/login/demo", "Sec-Fetch-Dest", "document"); strings.Contains(w.Header().Get("Location"), "app.internal/login") {
		t.Error("a visit at another name is redirected to BaseURL, as on loopback")
	}
	session := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(session)
	c.Request = httptest.NewRequest("POST", "http://app.internal/", nil)
	if err := auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada"}, nil); err != nil {
		t.Fatal(err)
	}
	cookies := session.Result().Cookies()
	if len(cookies) != 1 || cookies[0].Secure || strings.HasPrefix(cookies[0].Name, "__") || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("the session's cookies are %v", cookies)
	}
	cookie := cookies[0].Name + "=" + cookies[0].Value
	// Browsers send no Fetch Metadata to such a host, so Origin decides.
	for origin, want := range map[string]int{"http://app.internal": 200, "": 200, "https://app.internal": 403, "http://app.internal:8080": 403, "http://evil.internal": 403, "http://internal": 403, "null": 403, "http://APP.internal": 403} {
		header := []string{"Cookie", cookie}
		if origin != "" {
			header = append(header, "Origin", origin)
		}
		if w := ask("POST", "http://app.internal/guarded", header...); w.Code != want {
			t.Errorf("a POST from %q gets %d, want %d", origin, w.Code, want)
		}
	}
}

// Names are compared exactly: in routes, in the cookies of sign-ins and in sessions.
func s38NamesThatDifferInCase(t *testing.T) {
	t.Parallel()
	two := sitetest.GoodOptions()
	two.Providers[0].Name = "GitHub"
	for _, other := range []string{"github", "GITHUB", "Github"} {
		p := sitetest.GoodProvider()
		p.Name, p.ClientID = other, "other"
		two.Providers = append(two.Providers[:1], p)
		sitetest.WantInvalid(t, sitetest.MountError(two), "provider.name.case")
	}
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Name = "GitHub" })
	for _, path := range []string{"/login/GITHUB", "/login/github", "/authorize/github?state=" + sitetest.MadeUpState + "&code=x", "/logout/github/frontchannel"} {
		f.WantError(f.Open(path), ginauth.ErrUnknownProvider)
	}
	callback := f.Begin("/login/GitHub")
	if callback.Path != "/authorize/GitHub" {
		t.Errorf("the callback is %s", callback.Path)
	}
	f.FailsClosed(t, f.Finish(sitetest.AtPath(callback, "/authorize/github")), sitetest.Closed{Code: ginauth.ErrUnknownProvider})
	if f.Lands(t, callback, "/"); f.User().Provider != "GitHub" {
		t.Errorf("signed in as %+v", f.User())
	}
}

// The texts are tested with the other mistakes: see TestMistakesInTheClient.
func k13ClientSecretEmptyOrWithALineBreak(t *testing.T) {
	for _, secret := range []string{"", "s3cr3t-of-corp\n", "s3cr3t-of-corp\r\n", " s3cr3t-of-corp", `"s3cr3t-of-corp"`} {
		opts := sitetest.GoodOptions()
		opts.Providers[0].ClientSecret = secret
		err := sitetest.MountError(opts)
		sitetest.WantInvalidIn(t, err, "provider.client_secret")
		sitetest.WantNames(t, err.Error(), `provider "corp"`)
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

// k14Arguments: the arguments of a preset must not change its host, nor fall back to wider
// access. All presets are tested with them.
func k14ArgumentsOfPresets(t *testing.T) {
	for _, domain := range []string{"", "../evil", "a/b", "?x", "corp.example?", "me@evil.example", "corp example", "https://corp.example", "..", "*"} {
		opts := sitetest.GoodOptions()
		opts.Providers = []ginauth.Provider{providers.GoogleWorkspace(domain, "web", "s3cr3t-of-corp")}
		err := sitetest.MountError(opts)
		id := "provider.domain.not_a_host"
		if domain == "" {
			id = "provider.domain.empty"
		}
		sitetest.WantInvalid(t, err, id)
		sitetest.WantNames(t, err.Error(), `provider "google-workspace"`)
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

func n8BaseUrl(t *testing.T) {
	t.Parallel()
	for _, base := range []string{
		"", " ", "app.example.com", "app.example.com:443", "//app.example.com", "/app", "https://", "https:///app", "https:app.example.com", "ftp://app.example.com",
		"http://app.example.com", "http://192.168.1.5:8080", "http://10.0.0.1", "http://0.0.0.0:8080", "https://0.0.0.0", "http://[::]:8080", "http://localhost.example.com",
		"http://127.0.0.1.example.com", "http://2130706433", "http://notlocalhost",
		"https://app.example.com/..", "https://app.example.com/a/../b", "https://app.example.com/%2e%2e/b", "https://app.example.com//a", "https://app.example.com/a//b",
		"https://app.example.com?x=1", "https://app.example.com/?", "https://app.example.com#x", "https://app.example.com/#", "https://user@app.example.com",
		"https://user:pass@app.example.com", "https://app.example.com\n", " https://app.example.com", "https://app.example.com /x", `https://app.example.com\x`, "https://app.example.com/a b",
		"https://app.example.com:", "https://app.example.com:0", "https://app.example.com:65536", "https://app.example.com:x", "https://äpp.example.com", "https://*.example.com",
		"https://app..example.com", "https://app.example.com/ü", "https://app.example.com/:id", "https://app.example.com/*any", "https://app.example.com/./a",
	} {
		err := sitetest.MountError(ginauth.Options{BaseURL: base, Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{sitetest.Offline("demo")}})
		if err == nil {
			t.Errorf("BaseURL %q was taken", base)
			continue
		}
		sitetest.WantInvalidIn(t, err, "options.base_url")
		if strings.Contains(err.Error(), "pass@") {
			t.Errorf("the error has the password: %v", err)
		}
	}
	for _, base := range []string{"https://app.example.com", "https://app.example.com/", "https://app.example.com:8443/a/b-c_d.e~f/", "https://203.0.113.5", "https://[2001:db8::1]:8443",
		"http://localhost:8080", "http://app.localhost", "http://127.0.0.1:1/app", "http://127.9.9.9", "http://[::1]:8080", "https://localhost", "https://intranet"} {
		if err := sitetest.MountError(ginauth.Options{BaseURL: base, Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{sitetest.Offline("demo")}}); err != nil {
			t.Errorf("BaseURL %q was rejected: %v", base, err)
		}
	}
}

// A route of the application at one of ginauth's paths is an error with a fix, and then no route
// of the failed Mount responds.
func o7MistakesAreErrorsOfMount(t *testing.T) {
	t.Parallel()
	opts := ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{sitetest.Nowhere}, Logger: (&sitetest.Logs{}).Logger()}
	if _, err := ginauth.Mount(nil, opts); err == nil {
		t.Error("a nil router is taken")
	}
	sitetest.WantInvalid(t, sitetest.MountError(ginauth.Options{Providers: []ginauth.Provider{{}}}), "options.base_url.empty", "options.keys.empty",
		"provider.name.malformed", "provider.client_id.empty", "provider.client_secret.empty", "provider.issuer.empty")
	app := func(c *gin.Context) { c.String(http.StatusOK, "the application") }
	for _, path := range []string{"/login", "/login/:provider", "/login/:name", "/login/*any", "/authorize/:provider", "/authorize/:provider/", "/authorize/*any", "/logout", "/*spa"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			engine := gin.New()
			engine.RedirectTrailingSlash = false
			engine.Handle(method, path, app)
			auth, err := ginauth.Mount(engine, opts)
			if auth != nil {
				t.Errorf("%s %s: there is an Auth", method, path)
			}
			sitetest.WantInvalid(t, err, "mount.route_exists")
			sitetest.WantNames(t, err.Error(), "router.Group")
			for _, p := range []string{"/login", "/login/demo", "/authorize/demo", "/authorize/demo/", "/logout"} {
				w := httptest.NewRecorder()
				engine.ServeHTTP(w, httptest.NewRequest("GET", p, nil))
				if w.Body.String() != "the application" && w.Code != http.StatusNotFound || len(w.Header().Values("Set-Cookie")) > 0 {
					t.Errorf("after a failed Mount beside %s, %s responds %d %q", path, p, w.Code, w.Body)
				}
			}
		}
	}
}

// printed returns v in all formats in which a program may print it, intentionally or not.
func printed(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%08.3f"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	fmt.Fprintln(&b, v)
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(text)
	slog.New(slog.NewTextHandler(&b, nil)).Info("options", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("options", "v", v)
	fmt.Fprint(&b, errors.Join(fmt.Errorf("wrapped: %v", v)))
	return b.String()
}

func TestOptionsAndProvidersPrintNoSecrets(t *testing.T) {
	p := sitetest.GoodProvider()
	p.Quirks.Header = map[string]string{"X-Api-Key": "header-s3cr3t"}
	p.AuthParams = map[string]string{"api_key": "param-s3cr3t"}
	o := sitetest.GoodOptions()
	o.Keys = append(o.Keys, "the second key, which is 32 bytes long")
	o.Providers = []ginauth.Provider{p, sitetest.PlainProvider()}
	auth, err := ginauth.Mount(gin.New(), sitetest.GoodOptionsWith(func(g *ginauth.Options) { *g = o; g.Logger = slog.New(slog.DiscardHandler) }))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"s3cr3t", sitetest.HexKey, "second key"}
	for _, secret := range secrets { // as %x and %d print them
		secrets = append(secrets, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]"))
	}
	for name, v := range map[string]any{
		"Options": o, "*Options": &o, "Provider": p, "*Provider": &p, "[]Provider": o.Providers, "[]*Provider": []*ginauth.Provider{&p},
		"struct": struct{ Auth ginauth.Options }{o}, "map": map[string]any{"auth": &o}, "Auth": auth,
	} {
		text := printed(t, v)
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				i := strings.Index(text, secret)
				t.Errorf("%s prints %q: …%.200s", name, secret, text[max(0, i-100):])
			}
		}
		if name != "Auth" && !strings.Contains(text, "login.example.com") {
			t.Errorf("%s does not print the issuer: %.400s", name, text)
		}
	}
}
