package mistakes

import (
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// mistakesAtProviders are mistakes in the configuration of a provider.
func mistakesAtProviders() []commonMistake {
	return []commonMistake{
		{"the issuer is the discovery address", discoveryAddress},
		{"the issuer lacks its slash", told{
			change: func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Issuer += "/" },
			make:   starts, code: ginauth.ErrProviderMisconfigured, level: "ERROR",
			id: "discovery.issuer_mismatch", names: []string{`"{issuer}/"`, `set Issuer to "{issuer}"`},
		}.run},
		{"the tokens' issuer lacks its slash", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditIDToken(func(_, claims map[string]any) { claims["iss"] = s.IDP.Issuer + "/" })
			},
			make: comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			id: "jwt.issuer", names: []string{`set Issuer to "{issuer}/"`},
		}.run},
		{"a tenant left open", atMount(issuedBy("https://login.microsoftonline.com/{tenant}/v2.0"), "provider.issuer.placeholder", `"https://login.microsoftonline.com/{tenant}/v2.0"`, "providers.Microsoft")},
		{"Microsoft's common endpoint", microsoftsCommon},
		{"a provider of many tenants", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditMetadata(func(m map[string]any) { m["issuer"] = "https://login.example.com/{tenantid}/v2.0" })
			},
			make: starts, code: ginauth.ErrProviderMisconfigured, level: "ERROR",
			id: "discovery.issuer_mismatch", names: []string{`"https://login.example.com/{tenantid}/v2.0"`, "many tenants"},
		}.run},
		{"a provider with another address for containers", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditMetadata(func(m map[string]any) { m["issuer"] = "https://login.example.com/realms/x" })
			},
			make: starts, code: ginauth.ErrProviderMisconfigured, level: "ERROR",
			id:    "discovery.issuer_mismatch",
			names: []string{`set Issuer to "https://login.example.com/realms/x"`, `"{issuer}"`, "AuthorizeURL", "TokenURL", "UserinfoURL", "JWKSURL", "Logout.EndSessionURL"},
		}.run},
		{"no scope openid", noOpenID},
		{"no ID token", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Token, authtest.NoIDToken) },
			make:   comesBack, code: ginauth.ErrBadTokenResponse, level: "ERROR",
			id: "token.no_id_token", names: []string{"openid", "Issuer"},
		}.run},
		{"no client id", atMount(func(o *ginauth.Options) { o.Providers[0].ClientID = "" }, "provider.client_id.empty", `provider "corp"`)},
		{"a client id with a space", atMount(func(o *ginauth.Options) { o.Providers[0].ClientID += " " }, "provider.client_id.white_space")},
		{"a client secret in quotes", atMount(func(o *ginauth.Options) { o.Providers[0].ClientSecret = `"s3cr3t-of-corp"` }, "provider.client_secret.quotes")},
		{"a client secret with a line break", atMount(func(o *ginauth.Options) { o.Providers[0].ClientSecret += "\n" }, "provider.client_secret.white_space")},
		{"a wrong client secret", told{
			change: func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].ClientSecret = "the-secret-of-the-test-environment"
			},
			make: comesBack, code: ginauth.ErrProviderMisconfigured, level: "ERROR",
			id: "token.invalid_client", names: []string{`"invalid_client"`, "ClientID", "ClientSecret"},
		}.run},
		{"ID tokens signed with HS256", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditIDToken(func(header, _ map[string]any) { header["alg"] = "HS256" })
			},
			make: comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			id: "jwt.algorithm", names: []string{`"HS256"`, "RS256 or ES256"},
		}.run},
		{"ID tokens for another client", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Token, authtest.WrongAudience) },
			make:   comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			id: "jwt.audience", names: []string{"ClientID"},
		}.run},
		{"ID tokens of another environment", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Token, authtest.WrongSignature) },
			make:   comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			id: "jwt.signature", names: []string{"Issuer", "JWKSURL"},
		}.run},
		{"a clock that is ahead", told{
			change: clockOff(3 * time.Hour), make: comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			id: "jwt.expired", names: []string{"3h0m", "(NTP)"},
		}.run},
		{"a clock that is behind", told{
			change: clockOff(-8*time.Minute - 30*time.Second), make: comesBack, code: ginauth.ErrIDTokenInvalid, level: "WARN",
			id: "id_token.iat_future", names: []string{"8m", "(NTP)"},
		}.run},
		{"whose clock is ahead", whoseClock},
		{"a private certificate authority", told{
			change: privateCA, make: starts, code: ginauth.ErrProviderUnavailable, level: "ERROR",
			id: "http.certificate", names: []string{"Options.HTTPClient", "RootCAs"},
		}.run},
		{"discovery answers with a page", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Discovery, authtest.HTML) },
			make:   starts, code: ginauth.ErrProviderUnavailable, level: "ERROR",
			id: "http.media_type", names: []string{"text/html", "Issuer"},
		}.run},
		{"discovery finds nothing", told{
			change: func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Issuer += "/realms/nowhere" },
			make:   starts, code: ginauth.ErrProviderUnavailable, level: "ERROR",
			id: "http.not_found", names: []string{"Issuer"},
		}.run},
		{"an unknown provider", told{
			make: func(f *sitetest.Flow) string { return f.URL + "/login/gogle" }, code: ginauth.ErrUnknownProvider, level: "INFO",
			id: "provider.unknown", names: []string{`"gogle"`, `["demo"]`, "Options.Providers"},
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
	want := " provider=demo issuer=" + s.IDP.Issuer + "\n"
	if lines := s.Logs.Lines("INFO", "provider.issuer.discovery_address"); len(lines) != 1 || !strings.Contains(lines[0], "Issuer") || !strings.Contains(lines[0], want) {
		t.Errorf("the log lacks %q:\n%s", want, s.Logs)
	}
	if s = sitetest.New(t, nil); strings.Contains(s.Logs.String(), "issuer="+s.IDP.Issuer) {
		t.Errorf("an issuer is taken for something else:\n%s", s.Logs)
	}
}

func microsoftsCommon(t *testing.T) {
	for _, tenant := range []string{"common", "organizations", "consumers"} {
		issuer := "https://login.microsoftonline.com/" + tenant + "/v2.0"
		atMount(issuedBy(issuer), "provider.issuer.many_tenants", `provider "corp": Issuer: "`+issuer+`"`, "providers.Microsoft")(t)
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
	}, "provider.userinfo_url.no_profile", "Issuer")(t)
}

// clockOff sets the application's clock to another time than the provider's.
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
		if by == -50*time.Second { // too small to be the cause
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
