package ginauth_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

const hexKey = "6c1f0d7a93e25b48c0ffa1d2e3b4958677a8b9cadbecfd0e1f20314253647586"

// goodOptions are without a mistake, for a public address. The tests below put
// one in.
func goodOptions() ginauth.Options {
	return ginauth.Options{
		BaseURL: "https://app.example.com", Keys: []string{hexKey},
		Providers: []ginauth.Provider{goodProvider()},
	}
}

func goodProvider() ginauth.Provider {
	return ginauth.Provider{Name: "corp", Issuer: "https://login.example.com", ClientID: "web", ClientSecret: "s3cr3t-of-corp"}
}

func plainProvider() ginauth.Provider {
	return ginauth.Provider{
		Name: "plain", ClientID: "web", ClientSecret: "s3cr3t-of-plain", Namespace: "https://plain.example",
		AuthorizeURL: "https://plain.example/authorize", TokenURL: "https://plain.example/token", UserinfoURL: "https://plain.example/me",
	}
}

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
		"five keys":                       func(o *ginauth.Options) { o.Keys = fiveKeys() },
		"a secret with marks and letters": func(o *ginauth.Options) { o.Providers[0].ClientSecret = "a:b%c+d&é f~" },
		"plain OAuth 2.0":                 func(o *ginauth.Options) { o.Providers[0] = plainProvider() },
		"a public client":                 func(o *ginauth.Options) { o.Providers[0].ClientSecret, o.Providers[0].AuthMethod = "", "none" },
		"two clients of one provider": func(o *ginauth.Options) {
			other := goodProvider()
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
		opts := goodOptions()
		change(&opts)
		if err := mountError(opts); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func fiveKeys() (keys []string) {
	for i := range 5 {
		keys = append(keys, fmt.Sprint(i, hexKey))
	}
	return keys
}

func TestZeroOptionsAreRefused(t *testing.T) {
	err := mountError(ginauth.Options{})
	says(t, err, "Options.BaseURL: is empty", "Options.Keys", "openssl rand -hex 32", "Options.Providers", "add one")
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("%d mistakes, want three: %v", n, err)
	}
}

func TestZeroProviderIsRefused(t *testing.T) {
	opts := goodOptions()
	opts.Providers = append(opts.Providers, ginauth.Provider{})
	says(t, mountError(opts), "Options.Providers[1]: Name", "Options.Providers[1]: ClientID", "Options.Providers[1]: ClientSecret",
		"Options.Providers[1]: Issuer", "set Issuer (OpenID Connect)")
}

// Who fixes one mistake to be told of the next runs the program ten times.
func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	bad := goodProvider()
	bad.Name, bad.Issuer, bad.ClientSecret, bad.Scopes = "Corp", "https://login.example.com/{tenant}", "", []string{"a b"}
	opts := ginauth.Options{
		BaseURL: "http://0.0.0.0:8080", Keys: []string{"changeme"}, CookieName: "a;b", Lifetime: time.Second,
		AfterLogin: "https://app.example.com/home", AfterLogout: "//evil.example", LoginPage: "sign-in",
		KeepClaims: []string{""}, TrustedOrigins: []string{"admin.example.com"},
		Providers: []ginauth.Provider{bad, goodProvider(), goodProvider()},
	}
	err := ginauthMount(gin.New().Group("/t/:tenant"), opts)
	says(t, err, "Options.BaseURL", "Options.Keys", "Options.CookieName", "Options.Lifetime", "Options.AfterLogin:", "Options.AfterLogout",
		"Options.LoginPage", "Options.KeepClaims", "Options.TrustedOrigins", "Mount: the router group's path",
		`provider "Corp": Name`, `provider "Corp": Issuer`, `provider "Corp": ClientSecret`, `provider "Corp": Scopes`, `provider "corp": Name: is there twice`)
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

func goodOptionsWith(change func(*ginauth.Options)) ginauth.Options {
	o := goodOptions()
	change(&o)
	return o
}

// What a program does with its Options after Mount must not change who gets in.
func TestOptionsAreCopied(t *testing.T) {
	var opts ginauth.Options
	httpClient := &http.Client{Timeout: 5 * time.Second}
	s := newSite(t, func(s *site, o *ginauth.Options) {
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
	before := s.signIn()
	httpClient.Timeout, httpClient.Transport = time.Nanosecond, failing{}
	p := &opts.Providers[0]
	opts.Keys[0], opts.KeepClaims[0], opts.TrustedOrigins[0] = "another key, also of 32 bytes or more", "zoneinfo", "https://evil.example"
	p.Scopes[0], p.LoginParams[0] = "admin", "max_age"
	p.AuthParams["ui"], p.AuthParams["more"] = "light", "1"
	p.ClaimPaths["name"], p.ClaimPaths["sub"] = "sub", "name"
	p.Quirks.Header["X-App"], p.Quirks.Header["Authorization"] = "evil", "none"
	p.Name, p.Issuer, p.ClientID, p.ClientSecret = "evil", "https://evil.example", "evil", "evil"
	opts.Providers[0] = ginauth.Provider{}

	if s.user() == nil {
		t.Error("the session of before is gone: was the key changed?")
	}
	after := s.signIn()
	if before.URL.String() != after.URL.String() || s.user().Name == s.user().Subject {
		t.Errorf("the sign-in changed: %s, %+v", after.URL, s.user())
	}
	query := s.must(s.browser.Open(s.URL + "/login/demo?prompt=login&max_age=1")).Header.Get("Location")
	u, err := url.Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("scope") != "openid profile email groups" || q.Get("ui") != "dark" || q.Has("more") || q.Get("prompt") != "login" || q.Has("max_age") || q.Get("client_id") != s.idp.ClientID {
		t.Errorf("the authorization request changed: %s", query)
	}
	if got := s.idp.LastRequest("token").Header.Get("X-App"); got != "demo" {
		t.Errorf("the token request's header became %q", got)
	}
}

// failing is a transport that no request may use.
type failing struct{}

func (failing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("this transport is not to be used")
}

func TestARandomKeyIsMadeOnLoopbackAlone(t *testing.T) {
	var lines logs
	opts := goodOptions()
	opts.BaseURL, opts.Keys, opts.Logger = "http://localhost:8080", nil, lines.Logger()
	if err := mountError(opts); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"level=WARN", "Options.Keys", "random key"} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("the log does not say %q: %s", want, &lines)
		}
	}
	opts.BaseURL = "https://app.example.com"
	says(t, mountError(opts), "Options.Keys", "openssl rand -hex 32")

	// Two processes make two keys: neither opens what the other sealed.
	one, two := newSite(t, withoutKeys), newSite(t, withoutKeys)
	one.signIn()
	two.signIn()
	for _, c := range one.browser.Cookies(one.URL) {
		if err := two.browser.SetCookie(two.URL, c); err != nil {
			t.Fatal(err)
		}
	}
	if two.user() == nil {
		t.Error("a cookie of another application put an end to this one's session")
	}
}

func withoutKeys(_ *site, o *ginauth.Options) { o.Keys = nil }

func TestMountSaysWhatToRegister(t *testing.T) {
	var lines logs
	opts := goodOptions()
	opts.BaseURL, opts.Logger = "https://APP.example.com:443/shop/", lines.Logger()
	opts.Providers = append(opts.Providers, plainProvider())
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
	if strings.Contains(lines.String(), "s3cr3t") || strings.Contains(lines.String(), hexKey) {
		t.Errorf("the log has a secret: %s", &lines)
	}
}

func TestThePathThatIsThereTwiceIsWarnedOf(t *testing.T) {
	var lines logs
	opts := goodOptions()
	opts.BaseURL, opts.Logger = "https://app.example.com/auth", lines.Logger()
	if err := ginauthMount(gin.New().Group("/auth"), opts); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(lines.String(), "https://app.example.com/auth/auth/login") {
		t.Errorf("nothing is said of the doubled path: %s", &lines)
	}
}
