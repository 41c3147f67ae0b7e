package mistakes

import (
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// mistakesAtProviders are mistakes in what is said of a provider.
func mistakesAtProviders() []commonMistake {
	return []commonMistake{
		{"the issuer is the discovery address", discoveryAddress},
		{"the issuer lacks its slash", told{
			change: func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Issuer += "/" },
			make:   starts, code: ginauth.ErrProviderMisconfigured, level: "ERROR",
			cause: `the provider says that its issuer is "{issuer}", not "{issuer}/"`, fix: `the final / counts: set Issuer to "{issuer}"`,
		}.run},
		{"the tokens' issuer lacks its slash", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditIDToken(func(_, claims map[string]any) { claims["iss"] = s.IDP.Issuer + "/" })
			},
			make: comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			cause: `the token's issuer is "{issuer}/", not "{issuer}": only the final / differs`, fix: `set Issuer to "{issuer}/"`,
		}.run},
		{"a tenant left open", atMount(issuedBy("https://login.microsoftonline.com/{tenant}/v2.0"), `"https://login.microsoftonline.com/{tenant}/v2.0" has a placeholder in it`, "put your own tenant or domain in its place (for Microsoft, use providers.Microsoft)")},
		{"Microsoft's common endpoint", microsoftsCommon},
		{"a provider of many tenants", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditMetadata(func(m map[string]any) { m["issuer"] = "https://login.example.com/{tenantid}/v2.0" })
			},
			make: starts, code: ginauth.ErrProviderMisconfigured, level: "ERROR",
			cause: `its issuer is "https://login.example.com/{tenantid}/v2.0"`, fix: "the provider issues tokens for many tenants: put the id of yours into Issuer",
		}.run},
		{"a provider with another address for containers", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditMetadata(func(m map[string]any) { m["issuer"] = "https://login.example.com/realms/x" })
			},
			make: starts, code: ginauth.ErrProviderMisconfigured, level: "ERROR",
			cause: `its issuer is "https://login.example.com/realms/x", not "{issuer}"`,
			fix:   `set Issuer to "https://login.example.com/realms/x" if it can be reached there; if it has another address inside your network (containers), set AuthorizeURL, TokenURL, UserinfoURL, JWKSURL and Logout.EndSessionURL by hand as well`,
		}.run},
		{"no scope openid", noOpenID},
		{"no ID token", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Token, authtest.NoIDToken) },
			make:   comesBack, code: ginauth.ErrBadTokenResponse, level: "ERROR",
			cause: "there is no id_token in the token answer", fix: "register the client for OpenID Connect at the provider, with the scope openid; if the provider is plain OAuth 2.0, leave Issuer empty",
		}.run},
		{"no client id", atMount(func(o *ginauth.Options) { o.Providers[0].ClientID = "" }, `provider "corp": ClientID: is empty (is the environment variable set?)`, "paste its client id")},
		{"a client id with a space", atMount(func(o *ginauth.Options) { o.Providers[0].ClientID += " " }, "ClientID: begins or ends with white space", "trim it")},
		{"a client secret in quotes", atMount(func(o *ginauth.Options) { o.Providers[0].ClientSecret = `"s3cr3t-of-corp"` }, "ClientSecret: begins or ends with a quotation mark", "leave the quotes out: env files keep them")},
		{"a client secret with a line break", atMount(func(o *ginauth.Options) { o.Providers[0].ClientSecret += "\n" }, "ClientSecret: begins or ends with white space", "files and shells like to add a line break")},
		{"a wrong client secret", told{
			change: func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].ClientSecret = "the-secret-of-the-test-environment"
			},
			make: comesBack, code: ginauth.ErrProviderMisconfigured, level: "ERROR",
			cause: `the token endpoint answered "invalid_client"`, fix: "check ClientID and ClientSecret, and the environment variables that they come from: the secret's value (not its id)",
		}.run},
		{"ID tokens signed with HS256", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditIDToken(func(header, _ map[string]any) { header["alg"] = "HS256" })
			},
			make: comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			cause: `the token is signed with algorithm "HS256"; expected one of`, fix: "set the client's signing algorithm at the provider to RS256 or ES256",
		}.run},
		{"ID tokens for another client", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Token, authtest.WrongAudience) },
			make:   comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			cause: "the token's audience is another client", fix: "check ClientID",
		}.run},
		{"ID tokens of another environment", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Token, authtest.WrongSignature) },
			make:   comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			cause: "the signature is wrong", fix: "check Issuer and JWKSURL: the keys must be those of the provider that signs",
		}.run},
		{"a clock that is ahead", told{
			change: clockOff(3 * time.Hour), make: comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			cause: "by this machine's clock, which is 3h0m", fix: "set this machine's clock (NTP)",
		}.run},
		{"a clock that is behind", told{
			change: clockOff(-8*time.Minute - 30*time.Second), make: comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			cause: "ahead of this machine's clock, which is 8m", fix: "set this machine's clock (NTP)",
		}.run},
		{"whose clock is ahead", whoseClock},
		{"a private certificate authority", told{
			change: privateCA, make: starts, code: ginauth.ErrProviderUnavailable, level: "ERROR",
			cause: "the provider's certificate is not trusted: certificate signed by unknown authority", fix: "for a private certificate authority, pass Options.HTTPClient with its RootCAs",
		}.run},
		{"discovery answers with a page", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Discovery, authtest.HTML) },
			make:   starts, code: ginauth.ErrProviderUnavailable, level: "ERROR",
			cause: "the provider did not answer with JSON: it answered text/html, not JSON", fix: "check Issuer and the endpoints; is a login page or a proxy in between?",
		}.run},
		{"discovery finds nothing", told{
			change: func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Issuer += "/realms/nowhere" },
			make:   starts, code: ginauth.ErrProviderUnavailable, level: "ERROR",
			cause: "there is nothing at the provider's address", fix: "check Issuer and the endpoints",
		}.run},
		{"an unknown provider", told{
			make: func(f *sitetest.Flow) string { return f.URL + "/login/gogle" }, code: ginauth.ErrUnknownProvider, level: "INFO",
			cause: `no provider is called "gogle"; there are ["demo"]`, fix: "use a Name of Options.Providers",
		}.run},
	}
}

func issuedBy(issuer string) func(o *ginauth.Options) {
	return func(o *ginauth.Options) { o.Providers[0].Issuer = issuer }
}

func discoveryAddress(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Issuer += "/.well-known/openid-configuration"
	})
	s.SignIn()
	for _, want := range []string{"Issuer is the address of the discovery document", "set it to that", "provider=demo issuer=" + s.IDP.Issuer + "\n"} {
		if !strings.Contains(s.Logs.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, s.Logs)
		}
	}
	if s = sitetest.New(t, nil); strings.Contains(s.Logs.String(), "discovery document") {
		t.Errorf("an issuer is taken for something else:\n%s", s.Logs)
	}
}

func microsoftsCommon(t *testing.T) {
	for _, tenant := range []string{"common", "organizations", "consumers"} {
		issuer := "https://login.microsoftonline.com/" + tenant + "/v2.0"
		atMount(issuedBy(issuer), `provider "corp": Issuer: "`+issuer+`" issues tokens in the name of each person's own tenant`, "use providers.Microsoft with the tenants that you admit, or put the id of yours into Issuer")(t)
	}
	for name, change := range map[string]func(o *ginauth.Options){
		"a tenant":                  issuedBy("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"),
		"another provider's common": issuedBy("https://login.example.com/common/v2.0"),
		"who knows tenants": func(o *ginauth.Options) {
			issuedBy("https://login.microsoftonline.com/common/v2.0")(o)
			o.Providers[0].TokenIssuer = noIssuer
		},
	} {
		if err := sitetest.MountError(sitetest.GoodOptionsWith(change)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func noOpenID(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Scopes = []string{"email"} })
	s.SignIn()
	if got := s.IDP.LastRequest(authtest.Authorize).Form.Get("scope"); got != "openid email" {
		t.Errorf("the scopes are %q", got)
	}
	atMount(func(o *ginauth.Options) {
		o.Providers[0] = sitetest.PlainProvider()
		o.Providers[0].Scopes, o.Providers[0].UserinfoURL = []string{"openid"}, ""
	}, "UserinfoURL: is empty, so nothing says who signed in", "or set Issuer if the provider speaks OpenID Connect")(t)
}

// clockOff puts the application's clock elsewhere than the provider's.
func clockOff(by time.Duration) func(s *sitetest.Site, o *ginauth.Options) {
	return func(s *sitetest.Site, o *ginauth.Options) {
		off := &sitetest.Clock{}
		off.Advance(by)
		o.Now = off.Now
	}
}

func whoseClock(t *testing.T) {
	for by, want := range map[time.Duration]string{3 * time.Hour: "ahead of the provider's", -time.Hour: "behind the provider's", -50 * time.Second: ""} {
		s := sitetest.New(t, clockOff(by))
		if by == -50*time.Second { // too little to blame
			s.IDP.EditIDToken(func(_, claims map[string]any) { claims["iat"] = time.Now().Add(time.Hour).Unix() })
		}
		s.WantError(s.Get("/login/demo"), ginauth.ErrIDTokenInvalid)
		if log := s.Logs.String(); !strings.Contains(log, want) || want == "" && strings.Contains(log, "the provider's\"") {
			t.Errorf("with a clock that is %v ahead the log lacks %q:\n%s", by, want, log)
		}
	}
}

func privateCA(s *sitetest.Site, o *ginauth.Options) {
	s.IDP = sitetest.StartProvider(s.T, authtest.Config{Now: s.Clock.Now, TLS: true})
	o.Providers, o.HTTPClient = []ginauth.Provider{sitetest.Client("demo", s.IDP)}, nil
}
