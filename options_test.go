package ginauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestGoodOptionsMount(t *testing.T) {
	for name, change := range map[string]func(*ginauth.Options){
		"as they are":                     func(*ginauth.Options) {},
		"BaseURL with a slash":            func(o *ginauth.Options) { o.BaseURL += "/" },
		"BaseURL with a prefix":           func(o *ginauth.Options) { o.BaseURL += "/prefix/" },
		"BaseURL on loopback":             func(o *ginauth.Options) { o.BaseURL = "http://localhost:8080" },
		"BaseURL below localhost":         func(o *ginauth.Options) { o.BaseURL = "http://app.localhost:8080" },
		"BaseURL on 127.0.0.1":            func(o *ginauth.Options) { o.BaseURL = "http://127.0.0.1:8080" },
		"BaseURL on ::1":                  func(o *ginauth.Options) { o.BaseURL = "http://[::1]:8080" },
		"BaseURL in punycode":             func(o *ginauth.Options) { o.BaseURL = "https://xn--bcher-kva.example" },
		"a key in base64":                 func(o *ginauth.Options) { o.Keys = []string{"q83vEjRWeJCrze8SNFZ4kJq83vEjRWeJCrze8SNFZ4k="} },
		"five keys":                       func(o *ginauth.Options) { o.Keys = sitetest.FiveKeys() },
		"a secret with marks and letters": func(o *ginauth.Options) { o.Providers[0].ClientSecret = "a:b%c+d&é f~" },
		"plain OAuth 2.0":                 func(o *ginauth.Options) { o.Providers[0] = sitetest.PlainProvider() },
		"a public client":                 func(o *ginauth.Options) { o.Providers[0].ClientSecret, o.Providers[0].AuthMethod = "", "none" },
		"two clients of one provider": func(o *ginauth.Options) {
			other := sitetest.GoodProvider()
			other.Name, other.ClientID = "staff", "staff"
			o.Providers = append(o.Providers, other)
		},
		"a trusted origin":          func(o *ginauth.Options) { o.TrustedOrigins = []string{"https://admin.example.com:8443"} },
		"AfterLogout at the login":  func(o *ginauth.Options) { o.AfterLogout = "/login" },
		"a LoginPage of one's own":  func(o *ginauth.Options) { o.LoginPage = "/sign-in?from=app" },
		"a provider on a loopback":  func(o *ginauth.Options) { o.Providers[0].Issuer = "http://127.0.0.1:9000" },
		"an issuer with a slash":    func(o *ginauth.Options) { o.Providers[0].Issuer += "/" },
		"sessions of a minute":      func(o *ginauth.Options) { o.Lifetime = time.Minute },
		"endpoints with parameters": func(o *ginauth.Options) { o.Providers[0].AuthorizeURL = "https://login.example.com/a?tenant=1" },
	} {
		opts := sitetest.GoodOptions()
		change(&opts)
		if err := sitetest.MountError(opts); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestZeroOptionsAreRefused(t *testing.T) {
	err := sitetest.MountError(ginauth.Options{})
	sitetest.WantInvalid(t, err, "options.base_url.empty", "options.keys.empty")
	sitetest.WantNames(t, err.Error(), "openssl rand -hex 32")
}

// The provider of authtest.Demo signs in anyone as any user: it is for the developer's machine,
// and SetProviders also rejects it elsewhere.
func TestDemoIsForLoopbackAlone(t *testing.T) {
	demo := authtest.Demo("demo")
	for _, base := range []string{"http://localhost:8080", "http://127.0.0.1:8080/shop", "https://app.localhost:8443"} {
		if err := sitetest.MountError(ginauth.Options{BaseURL: base, Providers: []ginauth.Provider{demo}}); err != nil {
			t.Errorf("%s: %v", base, err)
		}
	}
	opts := sitetest.GoodOptions()
	for _, base := range []string{"https://app.example.com", "https://192.168.1.5", "http://app.internal"} {
		opts.BaseURL, opts.InsecureHTTP, opts.Providers = base, true, []ginauth.Provider{sitetest.GoodProvider(), demo}
		sitetest.WantInvalid(t, sitetest.MountError(opts), "provider.client_id.demo")
	}
	opts = sitetest.GoodOptions()
	opts.Logger = slog.New(slog.DiscardHandler)
	auth, err := ginauth.Mount(gin.New(), opts)
	if err != nil {
		t.Fatal(err)
	}
	sitetest.WantInvalid(t, auth.SetProviders([]ginauth.Provider{demo}), "provider.client_id.demo")
}

// For a browser, a provider on loopback is its own machine; since some setups need it, this is
// only a warning.
func TestLoopbackProviderOfAPublicApplicationIsWarnedAbout(t *testing.T) {
	const issuer, authorize = "http://127.0.0.1:9000", "https://login.example.com/authorize"
	for _, w := range []struct {
		base, issuer, authorize string
		warned                  bool
	}{
		{"https://app.example.com", issuer, "", true},
		{"https://app.example.com", issuer, "http://localhost:9000/authorize", true},
		{"https://app.example.com", issuer, authorize, false}, // the server reaches it under another name than browsers
		{"https://app.example.com", "https://login.example.com", "", false},
		{"http://localhost:8080", issuer, "", false},
	} {
		logs, opts := &sitetest.Logs{}, sitetest.GoodOptions()
		opts.BaseURL, opts.Logger = w.base, logs.Logger()
		opts.Providers[0].Issuer, opts.Providers[0].AuthorizeURL = w.issuer, w.authorize
		auth, err := ginauth.Mount(gin.New(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if lines := logs.Lines("WARN", "diagnose.loopback"); (len(lines) == 1) != w.warned {
			t.Errorf("%+v: %q", w, lines)
		}
		logs.Reset()
		opts.Providers[0].Name = "other"
		if err := auth.SetProviders(opts.Providers); err != nil {
			t.Fatal(err)
		}
		if lines := logs.Lines("WARN", "diagnose.loopback"); (len(lines) == 1) != w.warned {
			t.Errorf("SetProviders, %+v: %q", w, lines)
		}
	}
}

// Settings that depend on BaseURL are not reported as mistakes while BaseURL is invalid.
func TestNothingFollowsFromABaseURLThatIsMalformed(t *testing.T) {
	for base, id := range map[string]string{
		"localhost:8080": "malformed", "http//localhost:8080": "malformed", "http://": "malformed", `"http://localhost:8080"`: "quotes",
		"http://localhost:8080\n": "white_space", "http://0.0.0.0:8080": "unspecified", "$BASE_URL": "placeholder",
	} {
		demo := authtest.Demo("corp")
		test := sitetest.GoodProvider()
		test.Name, test.Issuer = "test", "http://login.internal"
		opts := ginauth.Options{BaseURL: base, Providers: []ginauth.Provider{demo, test}}
		sitetest.WantInvalid(t, sitetest.MountError(opts), "options.base_url."+id)
		opts.Keys = []string{"short"} // which is too short for any BaseURL
		sitetest.WantInvalid(t, sitetest.MountError(opts), "options.base_url."+id, "options.keys.key_short")
	}
}

func TestZeroProviderIsRefused(t *testing.T) {
	opts := sitetest.GoodOptions()
	opts.Providers = append(opts.Providers, ginauth.Provider{})
	err := sitetest.MountError(opts)
	sitetest.WantInvalid(t, err, "provider.name.malformed", "provider.client_id.empty", "provider.client_secret.empty", "provider.issuer.empty")
	if n := strings.Count(err.Error(), "Options.Providers[1]: "); n != 4 {
		t.Errorf("the provider is named %d times: %v", n, err)
	}
}

// All mistakes are reported at once, so that fixing them does not take ten starts.
func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	bad := sitetest.GoodProvider()
	bad.Name, bad.Issuer, bad.ClientSecret, bad.Scopes = "The Corp", "https://login.example.com/{tenant}", "", []string{"a b"}
	opts := ginauth.Options{
		BaseURL: "http://0.0.0.0:8080", Keys: []string{"changeme"}, CookieName: "a;b", Lifetime: time.Second,
		AfterLogin: "https://app.example.com/home", AfterLogout: "//evil.example", LoginPage: "sign-in",
		KeepClaims: []string{""}, TrustedOrigins: []string{"admin.example.com"},
		Providers: []ginauth.Provider{bad, sitetest.GoodProvider(), sitetest.GoodProvider()},
	}
	err := ginauthMount(gin.New().Group("/t/:tenant"), opts)
	sitetest.WantInvalid(t, err, "options.base_url.unspecified", "mount.path_parameters", "options.keys.key_placeholder",
		"options.after_login.not_a_path", "options.after_logout.not_a_path", "options.login_page.not_a_path", "options.lifetime.idle_timeout",
		"options.cookie_name.malformed", "options.keep_claims.empty_name", "options.trusted_origins.malformed",
		"provider.name.malformed", "provider.client_secret.empty", "provider.issuer.placeholder", "provider.scopes.malformed", "provider.name.duplicate")
	sitetest.WantNames(t, err.Error(), `provider "The Corp": Scopes`, `provider "corp": Name`)
	var one *ginauth.Error
	if !errors.As(err, &one) || one.Op == "" || one.Reason == "" || one.Fix == "" {
		t.Errorf("the first mistake has no op, reason and fix: %+v", one)
	}
}

func ginauthMount(router gin.IRouter, opts ginauth.Options) error {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	_, err := ginauth.Mount(router, opts)
	return err
}

// Changes of Options after Mount must not change who is admitted.
func TestOptionsAreCopied(t *testing.T) {
	var opts ginauth.Options
	httpClient := &http.Client{Timeout: 5 * time.Second}
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.HTTPClient = httpClient
		o.KeepClaims = []string{"locale"}
		o.TrustedOrigins = []string{"http://admin.localhost"}
		p := &o.Providers[0]
		p.Scopes = []string{"profile", "email", "groups"}
		p.AuthParams = map[string]string{"ui": "dark"}
		p.LoginParams = []string{"prompt"}
		p.ClaimPaths = map[string]string{"name": "name"}
		p.Quirks.Header = map[string]string{"X-App": "demo"}
		opts = *o
	})
	before := s.SignIn()
	httpClient.Timeout, httpClient.Transport = time.Nanosecond, sitetest.Failing{}
	p := &opts.Providers[0]
	opts.Keys[0], opts.KeepClaims[0], opts.TrustedOrigins[0] = "another key, also of 32 bytes or more", "zoneinfo", "https://evil.example"
	p.Scopes[0], p.LoginParams[0] = "admin", "max_age"
	p.AuthParams["ui"], p.AuthParams["more"] = "light", "1"
	p.ClaimPaths["name"], p.ClaimPaths["sub"] = "sub", "name"
	p.Quirks.Header["X-App"], p.Quirks.Header["Authorization"] = "evil", "none"
	p.Name, p.Issuer, p.ClientID, p.ClientSecret = "evil", "https://evil.example", "evil", "evil"
	opts.Providers[0] = ginauth.Provider{}

	if s.User() == nil {
		t.Error("the session of before is gone: was the key changed?")
	}
	after := s.SignIn()
	if before.URL.String() != after.URL.String() || s.User().Name == s.User().Subject {
		t.Errorf("the sign-in changed: %s, %+v", after.URL, s.User())
	}
	query := s.Must(s.Browser.Open(s.URL + "/login/demo?prompt=login&max_age=1")).Header.Get("Location")
	u, err := url.Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("scope") != "openid profile email groups" || q.Get("ui") != "dark" || q.Has("more") || q.Get("prompt") != "login" || q.Has("max_age") || q.Get("client_id") != s.IDP.ClientID {
		t.Errorf("the authorization request changed: %s", query)
	}
	if got := s.IDP.LastRequest("token").Header.Get("X-App"); got != "demo" {
		t.Errorf("the token request's header is %q", got)
	}
}

func TestARandomKeyIsMadeOnLoopbackAlone(t *testing.T) {
	var lines sitetest.Logs
	opts := sitetest.GoodOptions()
	opts.BaseURL, opts.Keys, opts.Logger = "http://localhost:8080", nil, lines.Logger()
	if err := sitetest.MountError(opts); err != nil {
		t.Fatal(err)
	}
	if warned := lines.Lines("WARN", "options.keys.generated"); len(warned) != 1 || !strings.Contains(warned[0], "Options.Keys") {
		t.Errorf("the log does not warn of it, once: %s", &lines)
	}
	opts.BaseURL = "https://app.example.com"
	sitetest.WantInvalid(t, sitetest.MountError(opts), "options.keys.empty")

	// Two processes generate two keys: neither opens the other's cookies.
	one, two := sitetest.New(t, withoutKeys), sitetest.New(t, withoutKeys)
	one.SignIn()
	two.SignIn()
	for _, c := range one.Browser.Cookies(one.URL) {
		if err := two.Browser.SetCookie(two.URL, c); err != nil {
			t.Fatal(err)
		}
	}
	if two.User() == nil {
		t.Error("a cookie of another application put an end to this one's session")
	}
}

// Mount warns about revocations in memory where there may be several replicas.
func TestRevocationsInMemoryAreWarnedAbout(t *testing.T) {
	for base, change := range map[string]func(o *ginauth.Options){
		"http://localhost:8080": nil, "https://intranet": func(o *ginauth.Options) { o.Revocations = &sitetest.BrokenRevocations{} },
	} {
		var lines sitetest.Logs
		opts := sitetest.GoodOptions()
		opts.BaseURL, opts.Logger = base, lines.Logger()
		if change != nil {
			change(&opts)
		}
		if err := sitetest.MountError(opts); err != nil || strings.Contains(lines.String(), "options.revocations.memory") {
			t.Errorf("%s: %v\n%s", base, err, &lines)
		}
	}
}

func withoutKeys(_ *sitetest.Site, o *ginauth.Options) { o.Keys = nil }

func TestMountSaysWhatToRegister(t *testing.T) {
	var lines sitetest.Logs
	opts := sitetest.GoodOptions()
	opts.BaseURL, opts.Logger = "https://APP.example.com:443/shop/", lines.Logger()
	opts.Providers = append(opts.Providers, sitetest.PlainProvider())
	if err := ginauthMount(gin.New().Group("/auth"), opts); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"provider=corp redirect_uri=https://app.example.com/shop/auth/authorize/corp\n",
		"provider=plain redirect_uri=https://app.example.com/shop/auth/authorize/plain\n",
		"Options.Revocations",
	} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("the log does not say %q: %s", want, &lines)
		}
	}
	if uris, memory := lines.Lines("INFO", "provider.redirect_uri"), lines.Lines("WARN", "options.revocations.memory"); len(uris) != 2 || len(memory) != 1 || !strings.Contains(memory[0], "Options.Revocations") {
		t.Errorf("the log has %q and %q", uris, memory)
	}
	if strings.Contains(lines.String(), "s3cr3t") || strings.Contains(lines.String(), sitetest.HexKey) {
		t.Errorf("the log has a secret: %s", &lines)
	}
}

func TestThePathThatIsThereTwiceIsWarnedOf(t *testing.T) {
	var lines sitetest.Logs
	opts := sitetest.GoodOptions()
	opts.BaseURL, opts.Logger = "https://app.example.com/auth", lines.Logger()
	if err := ginauthMount(gin.New().Group("/auth"), opts); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(lines.String(), "https://app.example.com/auth/auth/login") {
		t.Errorf("the log has no warning about the doubled path: %s", &lines)
	}
}

// A field that is added to Options must be hidden from JSON, or be listed here as safe to log.
func TestJSONHasOnlyWhatIsPlainInOptions(t *testing.T) {
	plain := []string{"BaseURL", "InsecureHTTP", "Providers", "CookieName", "Lifetime", "IdleTimeout", "AfterLogin", "AfterLogout", "LoginPage", "Pages",
		"Texts", "KeepClaims", "TrustedOrigins", "CallbackPaths"}
	for _, of := range []reflect.Type{reflect.TypeFor[ginauth.Options](), reflect.TypeFor[ginauth.Pages]()} {
		for i := range of.NumField() {
			field := of.Field(i)
			if hidden := field.Tag.Get("json") == "-"; hidden == slices.Contains(plain, field.Name) {
				t.Errorf("%s.%s: hidden is %v", of.Name(), field.Name, hidden)
			}
		}
	}
}

// encoding/json cannot encode functions: with one set, encoding would fail.
func TestJSONOfOptionsWithEverythingSet(t *testing.T) {
	o := sitetest.GoodOptions()
	o.Sessions = memstore.NewStore([]byte("store-s3cr3t"))
	o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { return nil }
	o.HTTPClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	o.Logger, o.Now, o.Pages.Template = slog.Default(), (&sitetest.Clock{}).Now, template.New("t")
	o.Providers[0].VerifyClaims = func(map[string]any) error { return nil }
	o.Providers[0].Quirks.Header = map[string]string{"X-Api-Key": "header-s3cr3t"}
	text, err := json.Marshal(o)
	if err != nil || !json.Valid(text) {
		t.Fatalf("%v: %s", err, text)
	}
	if strings.Contains(string(text), "s3cr3t") || strings.Contains(string(text), sitetest.HexKey) || !strings.Contains(string(text), o.BaseURL) {
		t.Errorf("JSON: %s", text)
	}
}

// An Auth has no Format method: the secrets are two pointers away, and fmt follows only one.
func TestAnAuthPrintsNoSecretsWhereverItIs(t *testing.T) {
	o := sitetest.GoodOptions()
	o.Logger = slog.New(slog.DiscardHandler)
	auth, err := ginauth.Mount(gin.New(), o)
	if err != nil {
		t.Fatal(err)
	}
	value := reflect.ValueOf(auth)
	for name, v := range map[string]any{
		"pointer": auth, "field": struct{ Auth *ginauth.Auth }{auth}, "hidden field": struct{ auth *ginauth.Auth }{auth}, "any": struct{ Auth any }{auth},
		"hidden any": struct{ auth any }{auth}, "list": []*ginauth.Auth{auth}, "map": map[string]*ginauth.Auth{"a": auth},
		"reflect": value, "what it points to": value.Elem(), "copy": value.Elem().Interface(), "copies": []any{value.Elem().Interface()},
		"hidden copy": struct{ auth any }{value.Elem().Interface()},
	} {
		text := ""
		for _, verb := range "vsqdxt" {
			for _, flag := range []string{"", "+", "#"} {
				text += fmt.Sprintf("%"+flag+string(verb)+"\n", v)
			}
		}
		for _, secret := range []string{o.Keys[0], o.Providers[0].ClientSecret} {
			for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]")} {
				if strings.Contains(text, form) {
					t.Errorf("%s prints %q", name, form)
				}
			}
		}
	}
}
