package mistakes

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMistakesInIDTokenAlg(t *testing.T) {
	var all []mistake
	for _, name := range []string{"none", "HS256", "HS512", "rs256", "RS256 ", "RS1", "RSA-OAEP", "ES256K", "Ed25519", "*", "RS256,ES256"} {
		all = append(all, onProvider("registered for "+name, func(p *ginauth.Provider) { p.IDTokenAlg = name }, "IDTokenAlg: ", fmt.Sprintf("%q is not a signature algorithm", name), "RS256, "))
	}
	reports(t, append(all,
		onProvider("an algorithm and a shared secret", func(p *ginauth.Provider) {
			p.Issuer, p.ClientSecret, p.Quirks.HS256, p.IDTokenAlg = "https://access.line.me", strings.Repeat("s", 32), true, "ES256"
		}, "IDTokenAlg: ", "Quirks.HS256", "drop one"),
		onPlain("an algorithm", func(p *ginauth.Provider) { p.IDTokenAlg = "RS256" }, "IDTokenAlg: ", "has no Issuer", "drop it, or set Issuer"),
	))
}

func TestMistakesInBaseURL(t *testing.T) {
	var all []mistake
	for _, m := range []struct{ name, value, cause, fix string }{
		{"empty", "", "is empty (is the environment variable set?)", `"https://app.example.com", or "http://localhost:8080" in development`},
		{"no scheme", "app.example.com", `"app.example.com" is not an address`, "with its scheme"},
		{"no scheme, with a port", "localhost:8080", "is not an address", "with its scheme"},
		{"no host", "https://", "is not an address", "with its scheme"},
		{"another scheme", "ftp://app.example.com", "is not an address", "with its scheme"},
		{"http on a public host", "http://app.example.com", "http on a host that is not loopback", "write https"},
		{"http in the local network", "http://192.168.1.5:8080", "http on a host that is not loopback", "write https"},
		{"a name that only begins like localhost", "http://localhost.example.com", "http on a host that is not loopback", "write https"},
		{"the address to listen on", "http://0.0.0.0:8080", "an address to listen on, not one that a browser can open", "http://localhost:PORT"},
		{"the address to listen on, IPv6", "http://[::]:8080", "an address to listen on", "http://localhost:PORT"},
		{"the port alone", ":8080", "is not an address", "with its scheme"},
		{"a port that does not exist", "https://app.example.com:99999", "is not an address", "with its scheme"},
		{"a colon without a port", "https://app.example.com:", "is not an address", "with its scheme"},
		{"a query", "https://app.example.com/?x=1", "more than scheme, host and a plain path", "leave user, query, fragment"},
		{"an empty query", "https://app.example.com/?", "more than scheme, host and a plain path", "leave user, query, fragment"},
		{"a fragment", "https://app.example.com/#/app", "more than scheme, host and a plain path", "leave user, query, fragment"},
		{"an empty fragment", "https://app.example.com/#", "more than scheme, host and a plain path", "leave user, query, fragment"},
		{"a user", "https://me:hunter2hunter2@app.example.com", "more than scheme, host and a plain path", "leave user, query, fragment"},
		{"dots", "https://app.example.com/a/../b", "more than scheme, host and a plain path", "dots and escapes"},
		{"escapes", "https://app.example.com/a%2fb", "more than scheme, host and a plain path", "dots and escapes"},
		{"a route's pattern", "https://app.example.com/:tenant", "more than scheme, host and a plain path", "dots and escapes"},
		{"a line break", "https://app.example.com\n", "begins or ends with white space", "trim it"},
		{"quotes", `"https://app.example.com"`, "begins or ends with a quotation mark", "leave the quotes out"},
		{"a variable that nobody filled in", "${BASE_URL}", "looks like a placeholder", "put your own value"},
		{"letters beyond ASCII", "https://bücher.example", "is not an address", "a host in ASCII"},
		{"one machine's name for its network card", "https://[fe80::1%25eth0]", "is not an address", "https://app.example.com"},
		{"a wildcard", "https://*.example.com", "is not an address", "a host in ASCII"},
	} {
		all = append(all, mistake{m.name, func(o *ginauth.Options) { o.BaseURL = m.value }, []string{"Options.BaseURL: ", m.cause, m.fix}})
	}
	reports(t, all)
	if err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.BaseURL = "https://me:hunter2hunter2@app.example.com" })); strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error repeats a password: %v", err)
	}
}

func TestMistakesInKeys(t *testing.T) {
	var all []mistake
	for _, m := range []struct {
		name  string
		keys  []string
		cause string
	}{
		{"none", nil, "is empty (is the environment variable set?)"},
		{"an empty one", []string{""}, "key 1 is empty (is the environment variable set?)"},
		{"a short one", []string{"only thirty-one bytes long, alas"[:31]}, "key 1 has 31 bytes; at least 32 are needed"},
		{"a short one in second place", []string{sitetest.HexKey, sitetest.HexKey[:20]}, "key 2 has 20 bytes"},
		{"one letter over and over", []string{strings.Repeat("a", 64)}, "key 1 repeats itself"},
		{"a few letters", []string{"abcabcaabbccabcabcaabbccabcabcaab"}, "key 1 repeats itself"},
		{"a short text over and over", []string{strings.Repeat("0123456789abcdef", 3)}, "key 1 repeats itself"},
		{"changeme", []string{"changeme-changeme-changeme-0123456"}, "key 1 looks like a placeholder"},
		{"replace-me", []string{"please Replace-Me with a long secret"}, "key 1 looks like a placeholder"},
		{"your-secret", []string{"YOUR-SECRET-KEY-OF-AT-LEAST-32-BYTES"}, "key 1 looks like a placeholder"},
		{"in angle brackets", []string{"<32 random bytes, the same everywhere>"}, "key 1 looks like a placeholder"},
		{"a variable that nobody filled in", []string{"${SESSION_KEY_OF_THE_APPLICATION_1}"}, "key 1 looks like a placeholder"},
		{"a variable without braces", []string{"$SESSION_KEY_OF_THE_APPLICATION_NUMBER_1"}, "key 1 looks like a placeholder"},
		{"quotes", []string{`"` + sitetest.HexKey + `"`}, "key 1 begins or ends with a quotation mark"},
		{"a line break", []string{sitetest.HexKey + "\n"}, "key 1 begins or ends with white space"},
		{"the same one twice", []string{sitetest.HexKey, sitetest.HexKey}, "key 2 is there twice"},
		{"six", append(sitetest.FiveKeys(), sitetest.HexKey), "has 6 keys; five are the most"},
		{"a provider's client secret", []string{"s3cr3t-of-corp-made-by-the-provider"}, "key 1 is a provider's client secret"},
	} {
		fix := "openssl rand -hex 32 (the same for every replica)"
		if m.name == "quotes" {
			fix = "env files keep them"
		}
		all = append(all, mistake{m.name, func(o *ginauth.Options) {
			o.Keys = m.keys
			o.Providers[0].ClientSecret = "s3cr3t-of-corp-made-by-the-provider"
		}, []string{"Options.Keys: ", m.cause, fix}})
	}
	reports(t, all)
}

func TestMistakesInTheOtherOptions(t *testing.T) {
	reports(t, []mistake{
		{"no providers", func(o *ginauth.Options) { o.Providers = nil }, []string{"Options.Providers: ", "is empty", "providers.Google(clientID, clientSecret)"}},
		{"a cookie name with a dash", func(o *ginauth.Options) { o.CookieName = "my-app" }, []string{"Options.CookieName: ", `"my-app"`, "dots and underscores"}},
		{"a cookie name with a semicolon", func(o *ginauth.Options) { o.CookieName = "a; Domain=example.com" }, []string{"Options.CookieName: ", "letters, digits"}},
		{"a long cookie name", func(o *ginauth.Options) { o.CookieName = strings.Repeat("a", 33) }, []string{"Options.CookieName: ", "at most 32"}},
		{"AfterLogin elsewhere", func(o *ginauth.Options) { o.AfterLogin = "https://evil.example/" }, []string{"Options.AfterLogin: ", "not a path of the application", `"/home"`}},
		{"AfterLogin without a slash", func(o *ginauth.Options) { o.AfterLogin = "home" }, []string{"Options.AfterLogin: ", "not a path of the application", `"/home"`}},
		{"AfterLogin at the login", func(o *ginauth.Options) { o.AfterLogin = "/login" }, []string{"Options.AfterLogin: ", "sent to sign in again", `"/home"`}},
		{"AfterLogin at a provider", func(o *ginauth.Options) { o.AfterLogin = "/login/corp?x=1" }, []string{"Options.AfterLogin: ", "sent to sign in again", `"/home"`}},
		{"AfterLogout elsewhere", func(o *ginauth.Options) { o.AfterLogout = "//evil.example" }, []string{"Options.AfterLogout: ", "not a path of the application"}},
		{"AfterLogout elsewhere by a backslash", func(o *ginauth.Options) { o.AfterLogout = `/\evil.example` }, []string{"Options.AfterLogout: ", "not a path of the application"}},
		{"LoginPage elsewhere", func(o *ginauth.Options) { o.LoginPage = "https://login.example.com" }, []string{"Options.LoginPage: ", "not a path of the application"}},
		{"Lifetime in nanoseconds", func(o *ginauth.Options) { o.Lifetime = 3600 }, []string{"Options.Lifetime: ", "3.6µs", "12*time.Hour"}},
		{"Lifetime below zero", func(o *ginauth.Options) { o.Lifetime, o.IdleTimeout = -time.Hour, time.Hour }, []string{"Options.Lifetime: ", "a minute or more"}},
		{"IdleTimeout below zero", func(o *ginauth.Options) { o.IdleTimeout = -time.Hour }, []string{"IdleTimeout -1h0m0s", "a minute or more"}},
		{"IdleTimeout above Lifetime", func(o *ginauth.Options) { o.Lifetime, o.IdleTimeout = time.Hour, 2*time.Hour }, []string{"IdleTimeout 2h0m0s", "at most Lifetime"}},
		{"Lifetime of years", func(o *ginauth.Options) { o.Lifetime = 401 * 24 * time.Hour }, []string{"Options.Lifetime: ", "longer than browsers keep a cookie", "at most 400 days"}},
		{"an empty claim to keep", func(o *ginauth.Options) { o.KeepClaims = []string{"department", ""} }, []string{"Options.KeepClaims: ", "an empty name", `"*" keeps all`}},
		{"a trusted host", func(o *ginauth.Options) { o.TrustedOrigins = []string{"admin.example.com"} }, []string{"Options.TrustedOrigins: ", `"admin.example.com" is not an origin`, "https://admin.example.com"}},
		{"a trusted page", func(o *ginauth.Options) { o.TrustedOrigins = []string{"https://admin.example.com/"} }, []string{"Options.TrustedOrigins: ", "scheme and host alone"}},
		{"a trusted origin in capitals", func(o *ginauth.Options) { o.TrustedOrigins = []string{"https://Admin.example.com"} }, []string{"Options.TrustedOrigins: ", "lower case"}},
		{"a trusted origin with its default port", func(o *ginauth.Options) { o.TrustedOrigins = []string{"https://admin.example.com:443"} }, []string{"Options.TrustedOrigins: ", "as browsers write it"}},
		{"everybody trusted", func(o *ginauth.Options) { o.TrustedOrigins = []string{"*"} }, []string{"Options.TrustedOrigins: ", `"*" is not an origin`}},
		{"null trusted", func(o *ginauth.Options) { o.TrustedOrigins = []string{"null"} }, []string{"Options.TrustedOrigins: ", `"null" is not an origin`}},
		{"a trusted origin over ftp", func(o *ginauth.Options) { o.TrustedOrigins = []string{"ftp://localhost"} }, []string{"Options.TrustedOrigins: ", "as browsers write it"}},
		{"a trusted origin on http", func(o *ginauth.Options) { o.TrustedOrigins = []string{"http://admin.example.com"} }, []string{"Options.TrustedOrigins: ", "is not https", "write https"}},
	})
}

// onProvider is a mistake in the one provider of goodOptions.
func onProvider(name string, change func(p *ginauth.Provider), says ...string) mistake {
	return mistake{name, func(o *ginauth.Options) { change(&o.Providers[0]) }, append([]string{`provider "corp": `}, says...)}
}

// onPlain is a mistake in a plain OAuth 2.0 provider.
func onPlain(name string, change func(p *ginauth.Provider), says ...string) mistake {
	return mistake{name, func(o *ginauth.Options) {
		o.Providers[0] = sitetest.PlainProvider()
		change(&o.Providers[0])
	}, append([]string{`provider "plain": `}, says...)}
}

func noIssuer(map[string]any) (string, error) { return "", nil }

func noSecret(context.Context) (string, error) { return "", nil }

func TestMistakesInTheClient(t *testing.T) {
	reports(t, []mistake{
		onProvider("no client id", func(p *ginauth.Provider) { p.ClientID = "" }, "ClientID: ", "is empty (is the environment variable set?)", "paste its client id"),
		onProvider("a client id with a line break", func(p *ginauth.Provider) { p.ClientID += "\n" }, "ClientID: ", "white space", "trim it"),
		onProvider("a client id in quotes", func(p *ginauth.Provider) { p.ClientID = "'web'" }, "ClientID: ", "quotation mark", "leave the quotes out"),
		onProvider("a client id in curly quotes", func(p *ginauth.Provider) { p.ClientID = "“web”" }, "ClientID: ", "quotation mark", "leave the quotes out"),
		onProvider("a client id that instructions gave", func(p *ginauth.Provider) { p.ClientID = "YOUR_CLIENT_ID" }, "ClientID: ", "placeholder", "put your own value"),
		onProvider("a client id that no shell filled in", func(p *ginauth.Provider) { p.ClientID = "$OIDC_CLIENT_ID" }, "ClientID: ", "placeholder", "variable is filled in"),
		onProvider("a client id with a zero-width space", func(p *ginauth.Provider) { p.ClientID = "we\u200bb" }, "ClientID: ", "cannot be seen", "copy it once more"),
		onProvider("no secret", func(p *ginauth.Provider) { p.ClientSecret = "" }, "ClientSecret: ", "is empty (is the environment variable set?)", `AuthMethod "none" for a public client`),
		onProvider("a secret with a line break", func(p *ginauth.Provider) { p.ClientSecret += "\r\n" }, "ClientSecret: ", "white space", "line break"),
		onProvider("a secret on two lines", func(p *ginauth.Provider) { p.ClientSecret = "first-half\nsecond-half" }, "ClientSecret: ", "line break", "on one line"),
		onProvider("a secret after a space", func(p *ginauth.Provider) { p.ClientSecret = " " + p.ClientSecret }, "ClientSecret: ", "white space"),
		onProvider("a secret in quotes", func(p *ginauth.Provider) { p.ClientSecret = `"` + p.ClientSecret + `"` }, "ClientSecret: ", "quotation mark", "env files keep them"),
		onProvider("a secret that instructions gave", func(p *ginauth.Provider) { p.ClientSecret = "<client-secret>" }, "ClientSecret: ", "placeholder"),
		onProvider("a secret that a template gave", func(p *ginauth.Provider) { p.ClientSecret = "{{ .Values.secret }}" }, "ClientSecret: ", "placeholder"),
		onProvider("a secret and none", func(p *ginauth.Provider) { p.AuthMethod = "none" }, "ClientSecret: ", `AuthMethod "none" sends no secret`, "drop one"),
		onProvider("two secrets", func(p *ginauth.Provider) { p.ClientSecretFunc = noSecret }, "ClientSecret: ", "so is ClientSecretFunc", "drop one"),
		onProvider("a public client without PKCE", func(p *ginauth.Provider) { p.ClientSecret, p.AuthMethod, p.Quirks.DisablePKCE = "", "none", true }, "Quirks.DisablePKCE: ", "without any protection", "leave PKCE on"),
		onProvider("an unknown method", func(p *ginauth.Provider) { p.AuthMethod = "basic" }, "AuthMethod: ", `"basic" is not known`, `"client_secret_basic"`),
	})
}

func TestMistakesInAddresses(t *testing.T) {
	var all []mistake
	for _, m := range []struct{ name, value, cause, fix string }{
		{"not an address", "login.example.com", "is not an address", "write an https address"},
		{"no host", "https:///realm", "is not an address", "write an https address"},
		{"http", "http://login.example.com", "is not https", "write an https address"},
		{"javascript", "javascript:alert(1)", "is not an address", "write an https address"},
		{"javascript with a host", "javascript://login.example.com/%0aalert(1)", "is not https", "write an https address"},
		{"data", "data:text/html,hello", "is not an address", "write an https address"},
		{"a file", "file:///etc/passwd", "is not an address", "write an https address"},
		{"a file with a host", "file://login.example.com/etc/passwd", "is not https", "write an https address"},
		{"a user", "https://me:hunter2hunter2@login.example.com", "has a user name in it", "write an https address"},
		{"a fragment", "https://login.example.com/#x", "has a fragment", "write an https address"},
		{"an empty fragment", "https://login.example.com/#", "has a fragment", "write an https address"},
		{"dot segments", "https://login.example.com/../evil/v2.0", "has dot segments", "write an https address"},
		{"a backslash", `https://login.example.com\evil`, "is not an address", "write an https address"},
		{"a space inside", "https://login.example.com/my realm", "is not an address", "write an https address"},
		{"a space behind", "https://login.example.com ", "white space", "trim it"},
		{"a line break", "https://login.example.com\n", "white space", "trim it"},
		{"quotes", `"https://login.example.com"`, "quotation mark", "leave the quotes out"},
		{"a tenant left open", "https://login.example.com/{tenant}/v2.0", "has a placeholder in it", "put your own tenant or domain"},
		{"a realm left open", "https://login.example.com/realms/<realm>", "has a placeholder in it", "put your own tenant or domain"},
		{"a domain left open", "https://YOUR_DOMAIN.example.com", "has a placeholder in it", "put your own tenant or domain"},
		{"where clouds give credentials away", "https://169.254.169.254/latest", "no provider can be", "write an https address"},
		{"the same in IPv6", "https://[::ffff:169.254.169.254]/latest", "no provider can be", "write an https address"},
		{"the same as one number", "https://2852039166/latest", "no host that a browser could open", "write an https address"},
		{"the same in hexadecimal", "https://0xA9.254.43518/latest", "no host that a browser could open", "write an https address"},
		{"the same, half in hexadecimal", "https://169.254.0xa9fe./latest", "no host that a browser could open", "write an https address"},
		{"link-local", "https://[fe80::1]/", "no provider can be", "write an https address"},
		{"the address to listen on", "http://0.0.0.0:8080", "no provider can be", "write an https address"},
		{"a port that does not exist", "https://login.example.com:70000", "has no host that a browser could open", "write an https address"},
	} {
		for field, set := range map[string]func(p *ginauth.Provider){
			"Issuer":       func(p *ginauth.Provider) { p.Issuer = m.value },
			"AuthorizeURL": func(p *ginauth.Provider) { p.AuthorizeURL = m.value },
			"TokenURL":     func(p *ginauth.Provider) { p.TokenURL = m.value },
			"UserinfoURL":  func(p *ginauth.Provider) { p.UserinfoURL = m.value },
			"JWKSURL":      func(p *ginauth.Provider) { p.JWKSURL = m.value },

			"Logout.EndSessionURL": func(p *ginauth.Provider) { p.Logout.EndSessionURL = m.value },
		} {
			all = append(all, onProvider(field+": "+m.name, set, field+": ", m.cause, m.fix))
		}
	}
	all = append(all,
		onProvider("an issuer with a query", func(p *ginauth.Provider) { p.Issuer += "?tenant=1" }, "Issuer: ", "has a query", "scheme, host and path"),
		onProvider("an issuer with an empty query", func(p *ginauth.Provider) { p.Issuer += "?" }, "Issuer: ", "has a query", "scheme, host and path"),
	)
	reports(t, all)
	err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Providers[0].Issuer = "https://me:hunter2hunter2@login.example.com" }))
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error repeats a password: %v", err)
	}
}

// Containers in development reach each other by names that no certificate is
// made for. That must be written by hand, and on a loopback BaseURL.
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
		onProvider("a namespace beside an issuer", func(p *ginauth.Provider) { p.Namespace = p.Issuer }, "Namespace: ", "is for plain OAuth 2.0", "drop Namespace"),
		onProvider("a profile that is never asked", func(p *ginauth.Provider) { p.Profile, p.Userinfo = sitetest.NoProfile, "never" }, "Profile: ", "it is not asked", "drop one"),
		onProvider("two profiles beside an issuer", func(p *ginauth.Provider) {
			p.Profile, p.UserinfoURL = sitetest.NoProfile, "https://login.example.com/me"
		}, "UserinfoURL: ", "so is Profile", "drop one"),
		onProvider("a shared secret", func(p *ginauth.Provider) { p.Quirks.HS256 = true }, "Quirks.HS256: ", `["https://access.line.me"] alone`, "RS256 or ES256"),
		onProvider("a shared secret at almost LINE", func(p *ginauth.Provider) { p.Quirks.HS256, p.Issuer = true, "https://access.line.me/" }, "Quirks.HS256: ", "alone"),
		onProvider("a short shared secret", func(p *ginauth.Provider) { p.Quirks.HS256, p.Issuer = true, "https://access.line.me" }, "Quirks.HS256: ", "32 bytes", "channel secret"),
		onProvider("a mapped sub beside an issuer", func(p *ginauth.Provider) { p.ClaimPaths = map[string]string{"sub": "oid"} }, "ClaimPaths: ", `"sub" is the ID token's own claim`, "drop it"),
		onProvider("userinfo always, and nowhere", func(p *ginauth.Provider) {
			p.Userinfo, p.AuthorizeURL, p.TokenURL, p.JWKSURL = "always", "https://login.example.com/a", "https://login.example.com/t", "https://login.example.com/j"
		}, "UserinfoURL: ", `Userinfo is "always"`, "set it"),
		onPlain("neither issuer nor endpoints", func(p *ginauth.Provider) { *p = ginauth.Provider{Name: "plain", ClientID: "web", ClientSecret: "s"} }, "Issuer: ", "so are the endpoints", "set Issuer (OpenID Connect), or AuthorizeURL"),
		onPlain("no namespace", func(p *ginauth.Provider) { p.Namespace = "" }, "Namespace: ", "what makes User.ID unique", `"https://plain.example"`),
		onPlain("a namespace with a #", func(p *ginauth.Provider) { p.Namespace += "#1" }, "Namespace: ", "has a #", "write the provider's address"),
		onPlain("no place for codes", func(p *ginauth.Provider) { p.TokenURL = "" }, "TokenURL: ", "is empty", "set it"),
		onPlain("no place to sign in", func(p *ginauth.Provider) { p.AuthorizeURL = "" }, "AuthorizeURL: ", "is empty", "set it"),
		onPlain("no profile", func(p *ginauth.Provider) { p.UserinfoURL = "" }, "UserinfoURL: ", "nothing says who signed in", "address of the profile"),
		onPlain("two profiles", func(p *ginauth.Provider) { p.Profile = sitetest.NoProfile }, "UserinfoURL: ", "so is Profile", "drop one"),
		onPlain("openid, and nothing says who it is", func(p *ginauth.Provider) { p.Scopes, p.UserinfoURL = []string{"openid"}, "" }, "UserinfoURL: ", "nothing says who signed in", "or set Issuer"),
		onPlain("openid, and no namespace", func(p *ginauth.Provider) { p.Scopes, p.Namespace = []string{"openid"}, "" }, "Namespace: ", "what makes User.ID unique"),
		onPlain("a max_age", func(p *ginauth.Provider) { p.AuthParams = map[string]string{"max_age": "60"} }, "AuthParams: ", "ask for max_age", "no ID token says", "drop it, or set Issuer"),
		onPlain("acr_values", func(p *ginauth.Provider) { p.AuthParams = map[string]string{"acr_values": "gold"} }, "AuthParams: ", "ask for acr_values", "no ID token says"),
		onPlain("a max_age of links", func(p *ginauth.Provider) { p.LoginParams = []string{"max_age"} }, "LoginParams: ", "ask for max_age", "no ID token says"),
		onPlain("acr_values of links", func(p *ginauth.Provider) { p.LoginParams = []string{"acr_values"} }, "LoginParams: ", "ask for acr_values", "no ID token says"),
		onPlain("keys", func(p *ginauth.Provider) { p.JWKSURL = "https://plain.example/keys" }, "JWKSURL: ", "has no Issuer", "drop it, or set Issuer"),
		onPlain("a userinfo mode", func(p *ginauth.Provider) { p.Userinfo = "always" }, "Userinfo: ", "has no Issuer", "drop it, or set Issuer"),
		onPlain("a token's issuer", func(p *ginauth.Provider) { p.TokenIssuer = noIssuer }, "TokenIssuer: ", "has no Issuer", "drop it, or set Issuer"),
		onPlain("a nonce", func(p *ginauth.Provider) { p.Quirks.DisableNonce = true }, "Quirks.DisableNonce: ", "has no Issuer", "drop it, or set Issuer"),
		onPlain("a shared secret", func(p *ginauth.Provider) { p.Quirks.HS256 = true }, "Quirks.HS256: ", "has no Issuer", "drop it, or set Issuer"),
	})
}

func TestMistakesInRequests(t *testing.T) {
	reports(t, []mistake{
		onProvider("scopes in one text", func(p *ginauth.Provider) { p.Scopes = []string{"profile email"} }, "Scopes: ", `"profile email" is not one scope`, `[]string{"profile", "email"}`),
		onProvider("an empty scope", func(p *ginauth.Provider) { p.Scopes = []string{""} }, "Scopes: ", "is not one scope"),
		onProvider("a client id called as the code is", func(p *ginauth.Provider) { p.Quirks.ClientIDParam = "code" }, "Quirks.ClientIDParam: ", `"code" is the protocol's name`, "leave it empty"),
		onProvider("a client id called as the secret is", func(p *ginauth.Provider) { p.Quirks.ClientIDParam = "client_secret" }, "Quirks.ClientIDParam: ", `"client_secret" is the protocol's name`, "leave it empty"),
		onProvider("a protocol parameter", func(p *ginauth.Provider) { p.AuthParams = map[string]string{"state": "fixed"} }, "AuthParams: ", `"state" is the protocol's own`, "leave it out"),
		onProvider("redirect_uri for everybody", func(p *ginauth.Provider) { p.LoginParams = []string{"redirect_uri"} }, "LoginParams: ", `"redirect_uri" is the protocol's own`, "leave it out"),
		onProvider("the client's id by its other name", func(p *ginauth.Provider) { p.Quirks.ClientIDParam, p.LoginParams = "appid", []string{"appid"} }, "LoginParams: ", `"appid" is the protocol's own`),
		onProvider("an unknown response mode", func(p *ginauth.Provider) { p.ResponseMode = "fragment" }, "ResponseMode: ", `"fragment" is not known`, `"form_post"`),
		onProvider("a max_age in words", func(p *ginauth.Provider) { p.AuthParams = map[string]string{"max_age": "1h"} }, "AuthParams: ", `max_age of "1h"`, "a number of seconds"),
		onProvider("an unknown userinfo mode", func(p *ginauth.Provider) { p.Userinfo = "sometimes" }, "Userinfo: ", `"sometimes" is not known`, `"always"`),
		onProvider("an unknown way to ask for tokens", func(p *ginauth.Provider) { p.Quirks.TokenMethod = "get" }, "Quirks.TokenMethod: ", `"get" is not known`, `use "POST"`),
		onProvider("a fragment with its sign", func(p *ginauth.Provider) { p.Quirks.AuthorizeFragment = "#redirect" }, "Quirks.AuthorizeFragment: ", "more than letters", "without it"),
		onProvider("a header on two lines", func(p *ginauth.Provider) { p.Quirks.Header = map[string]string{"X-Key": "a\r\nX-Evil: 1"} }, "Quirks.Header: ", `"X-Key" has a line break`, "on one line"),
		onProvider("a header without a name", func(p *ginauth.Provider) { p.Quirks.Header = map[string]string{"": "a"} }, "Quirks.Header: ", "is not a header's name"),
		onProvider("a header's name with a colon", func(p *ginauth.Provider) { p.Quirks.Header = map[string]string{"X-Key:": "a"} }, "Quirks.Header: ", "is not a header's name", "letters, digits and -"),
		onProvider("a path with a hole", func(p *ginauth.Provider) { p.ClaimPaths = map[string]string{"picture": "picture..url"} }, "ClaimPaths: ", `"picture..url" for "picture" is not a path`, "dots between"),
		onProvider("an empty path", func(p *ginauth.Provider) { p.ClaimPaths = map[string]string{"picture": ""} }, "ClaimPaths: ", "is not a path"),
		onProvider("a groups path that ends in a dot", func(p *ginauth.Provider) { p.ClaimPaths = map[string]string{"groups": "realm_access."} }, "ClaimPaths: ", `for "groups" is not a path`, `"realm_access.roles"`),
	})
}

func TestMistakesInNames(t *testing.T) {
	var all []mistake
	for _, name := range []string{"a/b", "..", ".", "a b", "bücher", "a?b", "a%2fb", ":id", "*", strings.Repeat("a", 33), "corp\n"} {
		all = append(all, mistake{"called " + name, func(o *ginauth.Options) { o.Providers[0].Name = name }, []string{"Name: ", "cannot stand in a route", "1 to 32 of A-Z, a-z, 0-9, _ and -"}})
	}
	reports(t, append(all,
		mistake{"called nothing", func(o *ginauth.Options) { o.Providers[0].Name = "" }, []string{"Options.Providers[0]: Name: ", "cannot stand in a route"}},
		mistake{"two of one name", func(o *ginauth.Options) {
			other := sitetest.GoodProvider()
			other.ClientID = "other"
			o.Providers = append(o.Providers, other)
		}, []string{`provider "corp": Name: `, "is there twice", "a name of its own"}},
		mistake{"two names that differ in case", func(o *ginauth.Options) {
			other := sitetest.GoodProvider()
			other.Name, other.ClientID = "Corp", "other"
			o.Providers = append(o.Providers, other)
		}, []string{`provider "Corp": Name: `, `differs from "corp" in case alone`, "a name of its own"}},
		mistake{"one client under two names", func(o *ginauth.Options) {
			other := sitetest.GoodProvider()
			other.Name = "staff"
			o.Providers = append(o.Providers, other)
		}, []string{`provider "staff": ClientID: `, `the same client at the same issuer as provider "corp"`, "drop one"}},
		mistake{"one client under two names, by the discovery address", func(o *ginauth.Options) {
			other := sitetest.GoodProvider()
			other.Name, other.Issuer = "staff", other.Issuer+"/.well-known/openid-configuration"
			o.Providers = append(o.Providers, other)
		}, []string{`provider "staff": ClientID: `, `the same client at the same issuer as provider "corp"`}},
		mistake{"one plain client under two names", func(o *ginauth.Options) {
			other := sitetest.PlainProvider()
			other.Name = "again"
			o.Providers = append(o.Providers, sitetest.PlainProvider(), other)
		}, []string{`provider "again": ClientID: `, `the same client at the same issuer as provider "plain"`}},
	))
}

// mistake is something written wrong into Options, and what the error has to
// name: the field, the cause, and what to write instead.
type mistake struct {
	name string
	make func(o *ginauth.Options)
	says []string
}

// reports mounts each mistake alone and asserts that exactly it is reported.
func reports(t *testing.T, mistakes []mistake) {
	t.Helper()
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			opts := sitetest.GoodOptions()
			m.make(&opts)
			err := sitetest.MountError(opts)
			sitetest.WantInvalid(t, err, m.says...)
			for _, line := range strings.Split(fmt.Sprint(err), "\n") {
				if !strings.HasPrefix(line, "ginauth: ") || !strings.Contains(line, "; ") {
					t.Errorf("%q is not a cause and what to write instead", line)
				}
			}
			if lines := strings.Count(fmt.Sprint(err), "\n") + 1; lines != 1 {
				t.Errorf("one mistake was reported %d times: %v", lines, err)
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
