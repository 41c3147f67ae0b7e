package mistakes

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMistakesInIDTokenAlg(t *testing.T) {
	var all []mistake
	for _, name := range []string{"none", "HS256", "HS512", "rs256", "RS256 ", "RS1", "RSA-OAEP", "ES256K", "Ed25519", "*", "RS256,ES256"} {
		all = append(all, onProvider("registered for "+name, func(p *ginauth.Provider) { p.IDTokenAlg = name }, "provider.id_token_alg.unknown", fmt.Sprintf("%q", name), "RS256"))
	}
	reports(t, append(all,
		onProvider("an algorithm and a shared secret", func(p *ginauth.Provider) {
			p.Issuer, p.ClientSecret, p.Quirks.HS256, p.IDTokenAlg = "https://access.line.me", strings.Repeat("s", 32), true, "ES256"
		}, "provider.id_token_alg.quirk", "Quirks.HS256"),
		onPlain("an algorithm", func(p *ginauth.Provider) { p.IDTokenAlg = "RS256" }, "provider.id_token_alg.openid_only", "Issuer"),
	))
}

func TestMistakesInPrivateKey(t *testing.T) {
	good := newKey(t, elliptic.P256())
	keyed := func(p *ginauth.Provider) { p.ClientSecret, p.PrivateKey = "", good }
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	var none *rsa.PrivateKey
	two := func(change func(p *ginauth.Provider)) func(o *ginauth.Options) {
		return func(o *ginauth.Options) {
			keyed(&o.Providers[0])
			other := ginauth.Provider{Name: "other", Issuer: "https://other.example", ClientID: "web", PrivateKey: good}
			change(&other)
			o.Providers = append(o.Providers, other)
		}
	}
	reports(t, []mistake{
		onProvider("a key and a secret", func(p *ginauth.Provider) { p.PrivateKey = good }, "provider.client_secret.unused"),
		onProvider("a key and an assertion of the platform", func(p *ginauth.Provider) { keyed(p); p.ClientSecretFunc = noSecret }, "provider.private_key.twice", "ClientSecretFunc"),
		onProvider("a key and another method", func(p *ginauth.Provider) { keyed(p); p.AuthMethod = "client_secret_post" }, "provider.private_key.unused", `"client_secret_post"`),
		onProvider("a key of a public client", func(p *ginauth.Provider) { keyed(p); p.AuthMethod = "none" }, "provider.private_key.unused", `"none"`),
		onProvider("no key", func(p *ginauth.Provider) { p.ClientSecret, p.AuthMethod = "", "private_key_jwt" }, "provider.private_key.empty", "ClientSecretFunc"),
		onProvider("a secret in place of a key", func(p *ginauth.Provider) { p.AuthMethod = "private_key_jwt" }, "provider.client_secret.unused"),
		onProvider("a nil key", func(p *ginauth.Provider) { keyed(p); p.PrivateKey = none }, "provider.private_key.unfit"),
		onProvider("a key that nothing was read into", func(p *ginauth.Provider) { keyed(p); p.PrivateKey = &rsa.PrivateKey{} }, "provider.private_key.unfit"),
		{"two keys that nothing was read into", two(func(p *ginauth.Provider) { p.PrivateKey = &rsa.PrivateKey{} }), "provider.private_key.unfit", []string{`provider "other"`}},
		{"a key that nothing was read into, and a good one", func(o *ginauth.Options) {
			two(func(*ginauth.Provider) {})(o)
			o.Providers[0].PrivateKey = &ecdsa.PrivateKey{}
		}, "provider.private_key.unfit", []string{`provider "corp"`}},
		onProvider("a short key", func(p *ginauth.Provider) { keyed(p); p.PrivateKey = short }, "provider.private_key.unfit", "1024"),
		onProvider("a key on another curve", func(p *ginauth.Provider) { keyed(p); p.PrivateKey = newKey(t, elliptic.P224()) }, "provider.private_key.unfit", "P-256"),
		onProvider("a kid without a key", func(p *ginauth.Provider) { p.KeyID = "key-1" }, "provider.key_id.unused"),
		onProvider("a kid of the platform's key", func(p *ginauth.Provider) {
			p.ClientSecret, p.ClientSecretFunc, p.AuthMethod, p.KeyID = "", noSecret, "private_key_jwt", "key-1"
		}, "provider.key_id.unused"),
		onProvider("a kid with a line break", func(p *ginauth.Provider) { keyed(p); p.KeyID = "key-1\n" }, "provider.key_id.white_space"),
		{"one key for two providers", two(func(*ginauth.Provider) {}), "provider.private_key.shared", []string{`provider "other"`, `"corp"`}},
	})
	for name, change := range map[string]func(o *ginauth.Options){
		"a key":          func(o *ginauth.Options) { keyed(&o.Providers[0]) },
		"a key, by name": func(o *ginauth.Options) { keyed(&o.Providers[0]); o.Providers[0].AuthMethod = "private_key_jwt" },
		"an assertion of the platform": func(o *ginauth.Options) {
			o.Providers[0].ClientSecret, o.Providers[0].ClientSecretFunc, o.Providers[0].AuthMethod = "", noSecret, "private_key_jwt"
		},
		"a key for each of two":         two(func(p *ginauth.Provider) { p.PrivateKey = newKey(t, elliptic.P256()) }),
		"a key, and a provider without": two(func(p *ginauth.Provider) { p.PrivateKey, p.ClientSecret = nil, "s3cr3t-of-other" }),
	} {
		if err := sitetest.MountError(sitetest.GoodOptionsWith(change)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMistakesInAPIs(t *testing.T) {
	api := func(name string, list []ginauth.API, id string, names ...string) mistake {
		return onProvider(name, func(p *ginauth.Provider) { p.APIs = list }, id, names...)
	}
	reports(t, []mistake{
		api("no URL", []ginauth.API{{}}, "provider.apis.empty"),
		api("no scheme", []ginauth.API{{URL: "api.example.com/"}}, "provider.apis.not_an_address"),
		api("http", []ginauth.API{{URL: "http://api.example.com/"}}, "provider.apis.not_https"),
		api("a user", []ginauth.API{{URL: "https://user:pass@api.example.com/"}}, "provider.apis.user"),
		api("a fragment", []ginauth.API{{URL: "https://api.example.com/#x"}}, "provider.apis.fragment"),
		api("dot segments", []ginauth.API{{URL: "https://api.example.com/a/../b/"}}, "provider.apis.dot_segments"),
		api("no slash at the end", []ginauth.API{{URL: "https://api.example.com/v1"}}, "provider.apis.no_prefix", `"https://api.example.com/v1"`),
		api("no path", []ginauth.API{{URL: "https://api.example.com"}}, "provider.apis.no_prefix"),
		api("a query", []ginauth.API{{URL: "https://api.example.com/?key=x"}}, "provider.apis.no_prefix"),
		api("twice", []ginauth.API{{URL: "https://api.example.com/"}, {URL: "https://API.example.com:443/"}}, "provider.apis.duplicate"),
		api("two scopes in one", []ginauth.API{{URL: "https://api.example.com/", Scopes: []string{"repo gist"}}}, "provider.apis.scope", "https://api.example.com/"),
		api("an empty scope", []ginauth.API{{URL: "https://api.example.com/", Scopes: []string{""}}}, "provider.apis.scope"),
		api("a relative resource", []ginauth.API{{URL: "https://api.example.com/", Resource: "/v1"}}, "provider.apis.resource"),
		api("a resource with a fragment", []ginauth.API{{URL: "https://api.example.com/", Resource: "https://api.example.com/#x"}}, "provider.apis.resource"),
	})
	for name, list := range map[string][]ginauth.API{
		"one":            {{URL: "https://api.example.com/"}},
		"on loopback":    {{URL: "http://127.0.0.1:8000/v1/"}},
		"one in another": {{URL: "https://api.example.com/"}, {URL: "https://api.example.com/v1/", Scopes: []string{"a", "b:c"}, Resource: "urn:example:api"}},
	} {
		if err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Providers[0].APIs = list })); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMistakesInRecheck(t *testing.T) {
	every := func(d time.Duration) func(p *ginauth.Provider) {
		return func(p *ginauth.Provider) { p.Recheck = d }
	}
	reports(t, []mistake{
		onProvider("a recheck at each request", every(time.Second), "provider.recheck.too_short", "1s"),
		onProvider("a bare number", every(15), "provider.recheck.too_short", "15*time.Minute"),
		onProvider("less than never", every(-time.Hour), "provider.recheck.too_short", "-1h"),
		onPlain("a recheck just under a minute", every(time.Minute-1), "provider.recheck.too_short"),
		{"a recheck of a page", func(o *ginauth.Options) {
			o.Providers = append(o.Providers, ginauth.Provider{Name: "page", Namespace: "https://app.example", LoginPage: "/password", Recheck: time.Hour})
		}, "provider.recheck.login_page", []string{`provider "page"`}},
	})
	if err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Providers[0].Recheck = time.Minute })); err != nil {
		t.Error(err)
	}
}

func newKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestMistakesInBaseURL(t *testing.T) {
	var all []mistake
	for _, m := range []struct{ name, value, what string }{
		{"empty", "", "empty"},
		{"no scheme", "app.example.com", "malformed"},
		{"no scheme, with a port", "localhost:8080", "malformed"},
		{"no host", "https://", "malformed"},
		{"another scheme", "ftp://app.example.com", "malformed"},
		{"http on a public host", "http://app.example.com", "http"},
		{"http in the local network", "http://192.168.1.5:8080", "http"},
		{"a name that only begins like localhost", "http://localhost.example.com", "http"},
		{"the address to listen on", "http://0.0.0.0:8080", "unspecified"},
		{"the address to listen on, IPv6", "http://[::]:8080", "unspecified"},
		{"the port alone", ":8080", "malformed"},
		{"a port that does not exist", "https://app.example.com:99999", "malformed"},
		{"a colon without a port", "https://app.example.com:", "malformed"},
		{"a query", "https://app.example.com/?x=1", "extra"},
		{"an empty query", "https://app.example.com/?", "extra"},
		{"a fragment", "https://app.example.com/#/app", "extra"},
		{"an empty fragment", "https://app.example.com/#", "extra"},
		{"a user", "https://me:hunter2hunter2@app.example.com", "extra"},
		{"dots", "https://app.example.com/a/../b", "extra"},
		{"escapes", "https://app.example.com/a%2fb", "extra"},
		{"a route's pattern", "https://app.example.com/:tenant", "extra"},
		{"a line break", "https://app.example.com\n", "white_space"},
		{"quotes", `"https://app.example.com"`, "quotes"},
		{"a variable that nobody filled in", "${BASE_URL}", "placeholder"},
		{"letters beyond ASCII", "https://bücher.example", "malformed"},
		{"one machine's name for its network card", "https://[fe80::1%25eth0]", "malformed"},
		{"a wildcard", "https://*.example.com", "malformed"},
	} {
		all = append(all, mistake{m.name, func(o *ginauth.Options) { o.BaseURL = m.value }, "options.base_url." + m.what, nil})
	}
	reports(t, all)
	if err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.BaseURL = "https://me:hunter2hunter2@app.example.com" })); strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error repeats a password: %v", err)
	}
}

func TestMistakesInKeys(t *testing.T) {
	var all []mistake
	for _, m := range []struct {
		name string
		keys []string
		what string
		key  string // the index of the key
	}{
		{"none", nil, "empty", ""},
		{"an empty one", []string{""}, "key_empty", "key 1"},
		{"a short one", []string{"only thirty-one bytes long, alas"[:31]}, "key_short", "key 1 has 31"},
		{"a short one in second place", []string{sitetest.HexKey, sitetest.HexKey[:20]}, "key_short", "key 2 has 20"},
		{"one letter over and over", []string{strings.Repeat("a", 64)}, "key_repetitive", "key 1"},
		{"a few letters", []string{"abcabcaabbccabcabcaabbccabcabcaab"}, "key_repetitive", "key 1"},
		{"a short text over and over", []string{strings.Repeat("0123456789abcdef", 3)}, "key_repetitive", "key 1"},
		{"changeme", []string{"changeme-changeme-changeme-0123456"}, "key_placeholder", "key 1"},
		{"replace-me", []string{"please Replace-Me with a long secret"}, "key_placeholder", "key 1"},
		{"your-secret", []string{"YOUR-SECRET-KEY-OF-AT-LEAST-32-BYTES"}, "key_placeholder", "key 1"},
		{"in angle brackets", []string{"<32 random bytes, the same everywhere>"}, "key_placeholder", "key 1"},
		{"a variable that nobody filled in", []string{"${SESSION_KEY_OF_THE_APPLICATION_1}"}, "key_placeholder", "key 1"},
		{"a variable without braces", []string{"$SESSION_KEY_OF_THE_APPLICATION_NUMBER_1"}, "key_placeholder", "key 1"},
		{"quotes", []string{`"` + sitetest.HexKey + `"`}, "key_quotes", "key 1"},
		{"a line break", []string{sitetest.HexKey + "\n"}, "key_white_space", "key 1"},
		{"the same one twice", []string{sitetest.HexKey, sitetest.HexKey}, "key_duplicate", "key 2"},
		{"six", append(sitetest.FiveKeys(), sitetest.HexKey), "too_many", "6"},
		{"a provider's client secret", []string{"s3cr3t-of-corp-made-by-the-provider"}, "key_client_secret", "key 1"},
	} {
		all = append(all, mistake{m.name, func(o *ginauth.Options) {
			o.Keys = m.keys
			o.Providers[0].ClientSecret = "s3cr3t-of-corp-made-by-the-provider"
		}, "options.keys." + m.what, []string{m.key, "openssl rand -hex 32"}})
	}
	reports(t, all)
}

func TestMistakesInTheOtherOptions(t *testing.T) {
	reports(t, []mistake{
		{"a cookie name with a dash", func(o *ginauth.Options) { o.CookieName = "my-app" }, "options.cookie_name.malformed", []string{`"my-app"`}},
		{"a cookie name with a semicolon", func(o *ginauth.Options) { o.CookieName = "a; Domain=example.com" }, "options.cookie_name.malformed", []string{`"a; Domain=example.com"`}},
		{"a long cookie name", func(o *ginauth.Options) { o.CookieName = strings.Repeat("a", 33) }, "options.cookie_name.malformed", []string{"32"}},
		{"AfterLogin elsewhere", func(o *ginauth.Options) { o.AfterLogin = "https://evil.example/" }, "options.after_login.not_a_path", []string{`"/home"`}},
		{"AfterLogin without a slash", func(o *ginauth.Options) { o.AfterLogin = "home" }, "options.after_login.not_a_path", []string{`"/home"`}},
		{"AfterLogin at the login", func(o *ginauth.Options) { o.AfterLogin = "/login" }, "options.after_login.own_route", []string{`"/home"`}},
		{"AfterLogin at a provider", func(o *ginauth.Options) { o.AfterLogin = "/login/corp?x=1" }, "options.after_login.own_route", []string{`"/home"`}},
		{"AfterLogout elsewhere", func(o *ginauth.Options) { o.AfterLogout = "//evil.example" }, "options.after_logout.not_a_path", []string{`"//evil.example"`}},
		{"AfterLogout elsewhere by a backslash", func(o *ginauth.Options) { o.AfterLogout = `/\evil.example` }, "options.after_logout.not_a_path", []string{`"/\\evil.example"`}},
		{"LoginPage elsewhere", func(o *ginauth.Options) { o.LoginPage = "https://login.example.com" }, "options.login_page.not_a_path", []string{`"https://login.example.com"`}},
		{"Lifetime in nanoseconds", func(o *ginauth.Options) { o.Lifetime = 3600 }, "options.lifetime.idle_timeout", []string{"3.6µs", "12*time.Hour"}},
		{"Lifetime below zero", func(o *ginauth.Options) { o.Lifetime, o.IdleTimeout = -time.Hour, time.Hour }, "options.lifetime.idle_timeout", []string{"Lifetime -1h0m0s"}},
		{"IdleTimeout below zero", func(o *ginauth.Options) { o.IdleTimeout = -time.Hour }, "options.lifetime.idle_timeout", []string{"IdleTimeout -1h0m0s"}},
		{"IdleTimeout above Lifetime", func(o *ginauth.Options) { o.Lifetime, o.IdleTimeout = time.Hour, 2*time.Hour }, "options.lifetime.idle_timeout", []string{"IdleTimeout 2h0m0s"}},
		{"Lifetime of years", func(o *ginauth.Options) { o.Lifetime = 401 * 24 * time.Hour }, "options.lifetime.too_long", []string{"400 days"}},
		{"an empty claim to keep", func(o *ginauth.Options) { o.KeepClaims = []string{"department", ""} }, "options.keep_claims.empty_name", []string{`"*"`}},
		{"a trusted host", func(o *ginauth.Options) { o.TrustedOrigins = []string{"admin.example.com"} }, "options.trusted_origins.malformed", []string{`"admin.example.com"`, "https://admin.example.com"}},
		{"a trusted page", func(o *ginauth.Options) { o.TrustedOrigins = []string{"https://admin.example.com/"} }, "options.trusted_origins.malformed", []string{`"https://admin.example.com/"`}},
		{"a trusted origin in capitals", func(o *ginauth.Options) { o.TrustedOrigins = []string{"https://Admin.example.com"} }, "options.trusted_origins.malformed", []string{`"https://Admin.example.com"`}},
		{"a trusted origin with its default port", func(o *ginauth.Options) { o.TrustedOrigins = []string{"https://admin.example.com:443"} }, "options.trusted_origins.malformed", []string{`"https://admin.example.com:443"`}},
		{"everybody trusted", func(o *ginauth.Options) { o.TrustedOrigins = []string{"*"} }, "options.trusted_origins.malformed", []string{`"*"`}},
		{"null trusted", func(o *ginauth.Options) { o.TrustedOrigins = []string{"null"} }, "options.trusted_origins.malformed", []string{`"null"`}},
		{"a trusted origin over ftp", func(o *ginauth.Options) { o.TrustedOrigins = []string{"ftp://localhost"} }, "options.trusted_origins.malformed", []string{`"ftp://localhost"`}},
		{"a trusted origin on http", func(o *ginauth.Options) { o.TrustedOrigins = []string{"http://admin.example.com"} }, "options.trusted_origins.http", []string{`"http://admin.example.com"`}},
	})
}

// onProvider is a mistake in the only provider of goodOptions.
func onProvider(name string, change func(p *ginauth.Provider), id string, names ...string) mistake {
	return mistake{name, func(o *ginauth.Options) { change(&o.Providers[0]) }, id, append([]string{`provider "corp"`}, names...)}
}

// onPlain is a mistake in a plain OAuth 2.0 provider.
func onPlain(name string, change func(p *ginauth.Provider), id string, names ...string) mistake {
	return mistake{name, func(o *ginauth.Options) {
		o.Providers[0] = sitetest.PlainProvider()
		change(&o.Providers[0])
	}, id, append([]string{`provider "plain"`}, names...)}
}

func noIssuer(map[string]any) (string, error) { return "", nil }

func noSecret(context.Context) (string, error) { return "", nil }

func TestMistakesInTheClient(t *testing.T) {
	reports(t, []mistake{
		onProvider("no client id", func(p *ginauth.Provider) { p.ClientID = "" }, "provider.client_id.empty"),
		onProvider("a client id with a line break", func(p *ginauth.Provider) { p.ClientID += "\n" }, "provider.client_id.white_space"),
		onProvider("a client id in quotes", func(p *ginauth.Provider) { p.ClientID = "'web'" }, "provider.client_id.quotes"),
		onProvider("a client id in curly quotes", func(p *ginauth.Provider) { p.ClientID = "“web”" }, "provider.client_id.quotes"),
		onProvider("a client id that instructions gave", func(p *ginauth.Provider) { p.ClientID = "YOUR_CLIENT_ID" }, "provider.client_id.placeholder"),
		onProvider("a client id that no shell filled in", func(p *ginauth.Provider) { p.ClientID = "$OIDC_CLIENT_ID" }, "provider.client_id.placeholder"),
		onProvider("a client id with a zero-width space", func(p *ginauth.Provider) { p.ClientID = "we\u200bb" }, "provider.client_id.invisible"),
		onProvider("no secret", func(p *ginauth.Provider) { p.ClientSecret = "" }, "provider.client_secret.empty", `"none"`, "AuthMethod"),
		onProvider("a secret with a line break", func(p *ginauth.Provider) { p.ClientSecret += "\r\n" }, "provider.client_secret.white_space"),
		onProvider("a secret on two lines", func(p *ginauth.Provider) { p.ClientSecret = "first-half\nsecond-half" }, "provider.client_secret.invisible"),
		onProvider("a secret after a space", func(p *ginauth.Provider) { p.ClientSecret = " " + p.ClientSecret }, "provider.client_secret.white_space"),
		onProvider("a secret in quotes", func(p *ginauth.Provider) { p.ClientSecret = `"` + p.ClientSecret + `"` }, "provider.client_secret.quotes"),
		onProvider("a secret that instructions gave", func(p *ginauth.Provider) { p.ClientSecret = "<client-secret>" }, "provider.client_secret.placeholder"),
		onProvider("a secret that a template gave", func(p *ginauth.Provider) { p.ClientSecret = "{{ .Values.secret }}" }, "provider.client_secret.placeholder"),
		onProvider("a secret and none", func(p *ginauth.Provider) { p.AuthMethod = "none" }, "provider.client_secret.unused", `"none"`, "AuthMethod"),
		onProvider("two secrets", func(p *ginauth.Provider) { p.ClientSecretFunc = noSecret }, "provider.client_secret.twice", "ClientSecretFunc"),
		onProvider("a public client without PKCE", func(p *ginauth.Provider) { p.ClientSecret, p.AuthMethod, p.Quirks.DisablePKCE = "", "none", true }, "provider.quirks.disable_pkce.public_client", "PKCE"),
		onProvider("an unknown method", func(p *ginauth.Provider) { p.AuthMethod = "basic" }, "provider.auth_method.unknown", `"basic"`, `"client_secret_basic"`),
	})
}

func TestMistakesInTheHTTPClient(t *testing.T) {
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, io.ErrUnexpectedEOF }
	with := func(transport http.RoundTripper) func(o *ginauth.Options) {
		return func(o *ginauth.Options) { o.HTTPClient = &http.Client{Transport: transport} }
	}
	old := &http.Transport{}
	//lint:ignore SA1019 deprecated, and still called
	old.DialTLS = func(string, string) (net.Conn, error) { return nil, io.ErrUnexpectedEOF }
	reports(t, []mistake{
		{"a function that dials TLS", with(&http.Transport{DialTLSContext: dial}), "options.http_client.dial_tls", []string{"DialTLSContext", "RoundTripper"}},
		{"the deprecated one", with(old), "options.http_client.dial_tls", nil},
	})
	for name, transport := range map[string]http.RoundTripper{
		"none": nil, "one that dials": &http.Transport{DialContext: dial}, "a RoundTripper around it": struct{ http.RoundTripper }{&http.Transport{DialTLSContext: dial}},
	} {
		if err := sitetest.MountError(sitetest.GoodOptionsWith(with(transport))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMistakesInAddresses(t *testing.T) {
	var all []mistake
	for _, m := range []struct{ name, value, what string }{
		{"not an address", "login.example.com", "not_an_address"},
		{"no host", "https:///realm", "not_an_address"},
		{"http", "http://login.example.com", "not_https"},
		{"javascript", "javascript:alert(1)", "not_an_address"},
		{"javascript with a host", "javascript://login.example.com/%0aalert(1)", "not_https"},
		{"data", "data:text/html,hello", "not_an_address"},
		{"a file", "file:///etc/passwd", "not_an_address"},
		{"a file with a host", "file://login.example.com/etc/passwd", "not_https"},
		{"a user", "https://me:hunter2hunter2@login.example.com", "user"},
		{"a fragment", "https://login.example.com/#x", "fragment"},
		{"an empty fragment", "https://login.example.com/#", "fragment"},
		{"dot segments", "https://login.example.com/../evil/v2.0", "dot_segments"},
		{"a backslash", `https://login.example.com\evil`, "not_an_address"},
		{"a space inside", "https://login.example.com/my realm", "not_an_address"},
		{"a space behind", "https://login.example.com ", "white_space"},
		{"a line break", "https://login.example.com\n", "white_space"},
		{"quotes", `"https://login.example.com"`, "quotes"},
		{"a tenant left open", "https://login.example.com/{tenant}/v2.0", "placeholder"},
		{"a realm left open", "https://login.example.com/realms/<realm>", "placeholder"},
		{"a domain left open", "https://YOUR_DOMAIN.example.com", "placeholder"},
		{"where clouds give credentials away", "https://169.254.169.254/latest", "unroutable"},
		{"the same in IPv6", "https://[::ffff:169.254.169.254]/latest", "unroutable"},
		{"the same as one number", "https://2852039166/latest", "no_host"},
		{"the same in hexadecimal", "https://0xA9.254.43518/latest", "no_host"},
		{"the same, half in hexadecimal", "https://169.254.0xa9fe./latest", "no_host"},
		{"link-local", "https://[fe80::1]/", "unroutable"},
		{"the address to listen on", "http://0.0.0.0:8080", "unroutable"},
		{"a port that does not exist", "https://login.example.com:70000", "no_host"},
	} {
		for field, tt := range map[string]struct {
			id  string
			set func(p *ginauth.Provider)
		}{
			"Issuer":       {"issuer", func(p *ginauth.Provider) { p.Issuer = m.value }},
			"AuthorizeURL": {"authorize_url", func(p *ginauth.Provider) { p.AuthorizeURL = m.value }},
			"TokenURL":     {"token_url", func(p *ginauth.Provider) { p.TokenURL = m.value }},
			"UserinfoURL":  {"userinfo_url", func(p *ginauth.Provider) { p.UserinfoURL = m.value }},
			"JWKSURL":      {"jwks_url", func(p *ginauth.Provider) { p.JWKSURL = m.value }},

			"Logout.EndSessionURL": {"logout.end_session_url", func(p *ginauth.Provider) { p.Logout.EndSessionURL = m.value }},
			"Logout.URL":           {"logout.url", func(p *ginauth.Provider) { p.Logout.URL = m.value }},
		} {
			all = append(all, onProvider(field+": "+m.name, tt.set, "provider."+tt.id+"."+m.what))
		}
	}
	all = append(all,
		onProvider("an issuer with a query", func(p *ginauth.Provider) { p.Issuer += "?tenant=1" }, "provider.issuer.query", "?"),
		onProvider("an issuer with an empty query", func(p *ginauth.Provider) { p.Issuer += "?" }, "provider.issuer.query", "?"),
		onProvider("a sign-out with a placeholder of another program", func(p *ginauth.Provider) {
			p.Logout.URL = "https://login.example.com/out?client={client_id}&hint={id_token_hint}"
		}, "provider.logout.url.placeholder", "hint="),
		onProvider("a sign-out over http", func(p *ginauth.Provider) {
			p.Logout.URL = "http://login.example.com/out?to={post_logout_redirect_uri}&state={state}"
		}, "provider.logout.url.not_https"),
	)
	reports(t, all)
	err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Providers[0].Issuer = "https://me:hunter2hunter2@login.example.com" }))
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error repeats a password: %v", err)
	}
}

// Containers in development reach each other under names without certificates. This must be
// configured explicitly, and needs a loopback BaseURL.
func TestHTTPIsForDevelopment(t *testing.T) {
	for _, c := range []struct {
		base, issuer string
		ok           bool
	}{
		{"http://localhost:8080", "http://keycloak:8080/realms/demo", true},
		{"https://app.localhost:8443", "http://keycloak:8080/realms/demo", true},
		{"https://app.example.com", "http://keycloak:8080/realms/demo", false},
		{"https://app.example.com", "http://127.0.0.1:8080", true},
		{"http://localhost:8080", "http://169.254.169.254", false},
	} {
		opts := sitetest.GoodOptions()
		opts.BaseURL, opts.Providers[0].Issuer = c.base, c.issuer
		if err := sitetest.MountError(opts); (err == nil) != c.ok {
			t.Errorf("%s at %s: %v", c.issuer, c.base, err)
		}
	}
}

func TestMistakesInTheKindOfProvider(t *testing.T) {
	reports(t, []mistake{
		onProvider("a namespace beside an issuer", func(p *ginauth.Provider) { p.Namespace = p.Issuer }, "provider.namespace.unused", "Issuer"),
		onProvider("a profile that is never asked", func(p *ginauth.Provider) { p.Profile, p.Userinfo = sitetest.NoProfile, "never" }, "provider.profile.unused", `"never"`),
		onProvider("two profiles beside an issuer", func(p *ginauth.Provider) {
			p.Profile, p.UserinfoURL = sitetest.NoProfile, "https://login.example.com/me"
		}, "provider.userinfo_url.unused", "Profile"),
		onProvider("a shared secret", func(p *ginauth.Provider) { p.Quirks.HS256 = true }, "provider.quirks.hs256.issuer", `"https://access.line.me"`, "RS256", "ES256"),
		onProvider("a shared secret at almost LINE", func(p *ginauth.Provider) { p.Quirks.HS256, p.Issuer = true, "https://access.line.me/" }, "provider.quirks.hs256.issuer"),
		onProvider("a short shared secret", func(p *ginauth.Provider) { p.Quirks.HS256, p.Issuer = true, "https://access.line.me" }, "provider.quirks.hs256.short_secret", "32 bytes"),
		onProvider("a mapped sub beside an issuer", func(p *ginauth.Provider) { p.ClaimPaths = map[string]string{"sub": "oid"} }, "provider.claim_paths.protocol_claim", `"sub"`),
		onProvider("userinfo always, and nowhere", func(p *ginauth.Provider) {
			p.Userinfo, p.AuthorizeURL, p.TokenURL, p.JWKSURL = "always", "https://login.example.com/a", "https://login.example.com/t", "https://login.example.com/j"
		}, "provider.userinfo_url.empty", `"always"`, "Userinfo"),
		onPlain("neither issuer nor endpoints", func(p *ginauth.Provider) { *p = ginauth.Provider{Name: "plain", ClientID: "web", ClientSecret: "s"} }, "provider.issuer.empty", "AuthorizeURL"),
		onPlain("no namespace", func(p *ginauth.Provider) { p.Namespace = "" }, "provider.namespace.empty", "User.ID", `"https://plain.example"`),
		onPlain("a namespace with a #", func(p *ginauth.Provider) { p.Namespace += "#1" }, "provider.namespace.malformed"),
		onPlain("no place for codes", func(p *ginauth.Provider) { p.TokenURL = "" }, "provider.token_url.empty"),
		onPlain("no place to sign in", func(p *ginauth.Provider) { p.AuthorizeURL = "" }, "provider.authorize_url.empty"),
		onPlain("no profile", func(p *ginauth.Provider) { p.UserinfoURL = "" }, "provider.userinfo_url.no_profile"),
		onPlain("two profiles", func(p *ginauth.Provider) { p.Profile = sitetest.NoProfile }, "provider.userinfo_url.unused", "Profile"),
		onPlain("openid, and nothing says who it is", func(p *ginauth.Provider) { p.Scopes, p.UserinfoURL = []string{"openid"}, "" }, "provider.userinfo_url.no_profile", "Issuer"),
		onPlain("openid, and no namespace", func(p *ginauth.Provider) { p.Scopes, p.Namespace = []string{"openid"}, "" }, "provider.namespace.empty", "User.ID"),
		onPlain("a max_age", func(p *ginauth.Provider) { p.AuthParams = map[string]string{"max_age": "60"} }, "provider.auth_params.unverified", "max_age", "Issuer"),
		onPlain("acr_values", func(p *ginauth.Provider) { p.AuthParams = map[string]string{"acr_values": "gold"} }, "provider.auth_params.unverified", "acr_values"),
		onPlain("a max_age of links", func(p *ginauth.Provider) { p.LoginParams = []string{"max_age"} }, "provider.login_params.unverified", "max_age"),
		onPlain("acr_values of links", func(p *ginauth.Provider) { p.LoginParams = []string{"acr_values"} }, "provider.login_params.unverified", "acr_values"),
		onPlain("keys", func(p *ginauth.Provider) { p.JWKSURL = "https://plain.example/keys" }, "provider.jwks_url.openid_only", "Issuer"),
		onPlain("a userinfo mode", func(p *ginauth.Provider) { p.Userinfo = "always" }, "provider.userinfo.openid_only", "Issuer"),
		onPlain("a token's issuer", func(p *ginauth.Provider) { p.TokenIssuer = noIssuer }, "provider.token_issuer.openid_only", "Issuer"),
		onPlain("a nonce", func(p *ginauth.Provider) { p.Quirks.DisableNonce = true }, "provider.quirks.disable_nonce.openid_only", "Issuer"),
		onPlain("a shared secret", func(p *ginauth.Provider) { p.Quirks.HS256 = true }, "provider.quirks.hs256.openid_only", "Issuer"),
	})
}

func TestMistakesInRequests(t *testing.T) {
	reports(t, []mistake{
		onProvider("scopes in one text", func(p *ginauth.Provider) { p.Scopes = []string{"profile email"} }, "provider.scopes.malformed", `"profile email"`, `[]string{"profile", "email"}`),
		onProvider("an empty scope", func(p *ginauth.Provider) { p.Scopes = []string{""} }, "provider.scopes.malformed"),
		onProvider("a client id called as the code is", func(p *ginauth.Provider) { p.Quirks.ClientIDParam = "code" }, "provider.quirks.client_id_param.protocol_parameter", `"code"`),
		onProvider("a client id called as the secret is", func(p *ginauth.Provider) { p.Quirks.ClientIDParam = "client_secret" }, "provider.quirks.client_id_param.protocol_parameter", `"client_secret"`),
		onProvider("a protocol parameter", func(p *ginauth.Provider) { p.AuthParams = map[string]string{"state": "fixed"} }, "provider.auth_params.protocol_parameter", `"state"`),
		onProvider("redirect_uri for everybody", func(p *ginauth.Provider) { p.LoginParams = []string{"redirect_uri"} }, "provider.login_params.protocol_parameter", `"redirect_uri"`),
		onProvider("the client's id by its other name", func(p *ginauth.Provider) { p.Quirks.ClientIDParam, p.LoginParams = "appid", []string{"appid"} }, "provider.login_params.protocol_parameter", `"appid"`),
		onProvider("an unknown response mode", func(p *ginauth.Provider) { p.ResponseMode = "fragment" }, "provider.response_mode.unknown", `"fragment"`, `"form_post"`),
		onProvider("a max_age in words", func(p *ginauth.Provider) { p.AuthParams = map[string]string{"max_age": "1h"} }, "provider.auth_params.max_age", `"1h"`, "max_age"),
		onProvider("an unknown userinfo mode", func(p *ginauth.Provider) { p.Userinfo = "sometimes" }, "provider.userinfo.unknown", `"sometimes"`, `"always"`),
		onProvider("an unknown way to ask for tokens", func(p *ginauth.Provider) { p.Quirks.TokenMethod = "get" }, "provider.quirks.token_method.unknown", `"get"`, `"POST"`),
		onProvider("a fragment with its sign", func(p *ginauth.Provider) { p.Quirks.AuthorizeFragment = "#redirect" }, "provider.quirks.authorize_fragment.malformed", `"#redirect"`),
		onProvider("a header on two lines", func(p *ginauth.Provider) { p.Quirks.Header = map[string]string{"X-Key": "a\r\nX-Evil: 1"} }, "provider.quirks.header.value", `"X-Key"`),
		onProvider("a header without a name", func(p *ginauth.Provider) { p.Quirks.Header = map[string]string{"": "a"} }, "provider.quirks.header.name"),
		onProvider("a header's name with a colon", func(p *ginauth.Provider) { p.Quirks.Header = map[string]string{"X-Key:": "a"} }, "provider.quirks.header.name"),
		onProvider("a path with a hole", func(p *ginauth.Provider) { p.ClaimPaths = map[string]string{"picture": "picture..url"} }, "provider.claim_paths.malformed", `"picture..url"`, `"picture"`),
		onProvider("an empty path", func(p *ginauth.Provider) { p.ClaimPaths = map[string]string{"picture": ""} }, "provider.claim_paths.malformed"),
		onProvider("a groups path that ends in a dot", func(p *ginauth.Provider) { p.ClaimPaths = map[string]string{"groups": "realm_access."} }, "provider.claim_paths.malformed", `"groups"`, `"realm_access.roles"`),
	})
}

func TestMistakesInNames(t *testing.T) {
	var all []mistake
	for _, name := range []string{"a/b", "..", ".", "a b", "bücher", "a?b", "a%2fb", ":id", "*", strings.Repeat("a", 33), "corp\n"} {
		all = append(all, mistake{"called " + name, func(o *ginauth.Options) { o.Providers[0].Name = name }, "provider.name.malformed", []string{"A-Z, a-z, 0-9, _ and -"}})
	}
	reports(t, append(all,
		mistake{"called nothing", func(o *ginauth.Options) { o.Providers[0].Name = "" }, "provider.name.malformed", []string{"Options.Providers[0]"}},
		mistake{"two of one name", func(o *ginauth.Options) {
			other := sitetest.GoodProvider()
			other.ClientID = "other"
			o.Providers = append(o.Providers, other)
		}, "provider.name.duplicate", []string{`provider "corp"`}},
		mistake{"two names that differ in case", func(o *ginauth.Options) {
			other := sitetest.GoodProvider()
			other.Name, other.ClientID = "Corp", "other"
			o.Providers = append(o.Providers, other)
		}, "provider.name.case", []string{`provider "Corp"`, `"corp"`}},
		mistake{"one client under two names", func(o *ginauth.Options) {
			other := sitetest.GoodProvider()
			other.Name = "staff"
			o.Providers = append(o.Providers, other)
		}, "provider.client_id.duplicate", []string{`provider "staff"`, `"corp"`}},
		mistake{"one client under two names, by the discovery address", func(o *ginauth.Options) {
			other := sitetest.GoodProvider()
			other.Name, other.Issuer = "staff", other.Issuer+"/.well-known/openid-configuration"
			o.Providers = append(o.Providers, other)
		}, "provider.client_id.duplicate", []string{`provider "staff"`, `"corp"`}},
		mistake{"one plain client under two names", func(o *ginauth.Options) {
			other := sitetest.PlainProvider()
			other.Name = "again"
			o.Providers = append(o.Providers, sitetest.PlainProvider(), other)
		}, "provider.client_id.duplicate", []string{`provider "again"`, `"plain"`}},
	))
}

// mistake is a wrong value in Options, and the ID of the error, which consists of the field and
// the cause.
type mistake struct {
	name  string
	make  func(o *ginauth.Options)
	id    string
	names []string // settings and values that the error must name
}

// reports mounts each mistake separately and asserts that exactly this one is reported.
func reports(t *testing.T, mistakes []mistake) {
	t.Helper()
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			opts := sitetest.GoodOptions()
			m.make(&opts)
			err := sitetest.MountError(opts)
			sitetest.WantInvalid(t, err, m.id)
			sitetest.WantNames(t, err.Error(), m.names...)
			if text := err.Error(); !strings.HasPrefix(text, "ginauth: ") || strings.Contains(text, "\n") {
				t.Errorf("%q is not one error", text)
			}
			for _, secret := range append([]string{sitetest.HexKey}, secretsOf(opts)...) {
				if len(secret) > 8 && strings.Contains(fmt.Sprint(err), strings.TrimSpace(secret)) {
					t.Errorf("the error repeats a secret: %v", err)
				}
			}
		})
	}
}

func secretsOf(o ginauth.Options) (secrets []string) {
	secrets = append(secrets, o.Keys...)
	for _, p := range o.Providers {
		secrets = append(secrets, p.ClientSecret)
	}
	return secrets
}

func TestMistakesInAudience(t *testing.T) {
	with := func(aud string) func(p *ginauth.Provider) { return func(p *ginauth.Provider) { p.Audience = aud } }
	second := func(change func(p *ginauth.Provider)) func(o *ginauth.Options) {
		return func(o *ginauth.Options) {
			other := ginauth.Provider{Name: "other", Issuer: o.Providers[0].Issuer, ClientID: "api", ClientSecret: "another secret, of this client"}
			change(&other)
			o.Providers = append(o.Providers, other)
		}
	}
	server := func(change func(p *ginauth.Provider)) func(p *ginauth.Provider) {
		return func(p *ginauth.Provider) {
			*p = ginauth.Provider{Name: "corp", Issuer: p.Issuer, Audience: "https://api.example/"}
			change(p)
		}
	}
	reports(t, []mistake{
		onProvider("the client's own id", func(p *ginauth.Provider) { p.Audience = p.ClientID }, "provider.audience.client_id"),
		onProvider("white space", with(" https://api.example/"), "provider.audience.white_space"),
		onProvider("questions without an audience", func(p *ginauth.Provider) { p.Introspect = true }, "provider.introspect.audience"),
		onPlain("an audience", with("https://api.example/"), "provider.audience.openid_only", "Authenticate"),
		{"the id of another client of the issuer", func(o *ginauth.Options) {
			o.Providers[0].Audience = "api"
			second(func(*ginauth.Provider) {})(o)
		}, "provider.audience.client_id", []string{`"other"`}},
		{"two that are asked", func(o *ginauth.Options) {
			o.Providers[0].Audience, o.Providers[0].Introspect = "https://api.example/", true
			second(func(p *ginauth.Provider) { p.Audience, p.Introspect = "https://other.example/", true })(o)
		}, "provider.introspect.twice", []string{`"corp"`}},
		onProvider("a secret without a client", server(func(p *ginauth.Provider) { p.ClientSecret = "the secret of no client" }), "provider.client_secret.no_client"),
		onProvider("questions without a client", server(func(p *ginauth.Provider) { p.Introspect = true }), "provider.introspect.no_client"),
		onProvider("APIs without a client", server(func(p *ginauth.Provider) { p.APIs = []ginauth.API{{URL: "https://api.example/"}} }), "provider.apis.no_client"),
		onProvider("Recheck without a client", server(func(p *ginauth.Provider) { p.Recheck = time.Hour }), "provider.recheck.no_client"),
		onProvider("a callback path without a client", server(func(p *ginauth.Provider) { p.CallbackPath = "/cb" }), "provider.callback_path.no_client"),
	})
}
