package rp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

const event = "http://schemas.openid.net/event/backchannel-logout"

func TestLogoutToken(t *testing.T) {
	p := newProvider(t)
	got, err := p.client().VerifyLogoutToken(t.Context(), p.logoutToken(nil, nil))
	want := rp.LogoutToken{Issuer: p.URL, Subject: theSubject, SID: "s1d", IssuedAt: p.clock.Now()}
	if err != nil || *got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

// The checks of OpenID Connect Back-Channel Logout 1.0, 2.6, with values on both sides of each limit.
func TestLogoutTokens(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	at := p.clock.unix
	const s = time.Second
	for _, test := range []struct {
		name           string
		header, claims claims
		id             string
	}{
		{"without sub", nil, claims{"sub": absent}, ""},
		{"without sid", nil, claims{"sid": absent}, ""},
		{"without either", nil, claims{"sub": absent, "sid": absent}, "logout_token.sub_and_sid_missing"},
		{"sub is empty", nil, claims{"sub": ""}, "logout_token.sub"},
		{"sub is null", nil, claims{"sub": nil}, ""},
		{"sid is empty", nil, claims{"sid": ""}, "logout_token.sid"},
		{"sid is not text", nil, claims{"sid": 1}, "logout_token.sid"},
		{"sid is null and there is no sub", nil, claims{"sid": nil, "sub": absent}, "logout_token.sub_and_sid_missing"},

		{"typ JWT", claims{"typ": "JWT"}, nil, ""},
		{"no typ", claims{"typ": absent}, nil, ""},
		{"typ application/logout+jwt", claims{"typ": "application/logout+jwt"}, nil, ""},
		{"typ of another event", claims{"typ": "secevent+jwt"}, nil, "jwt.typ"},
		{"typ of an access token", claims{"typ": "at+jwt"}, nil, "jwt.typ"},

		{"an ID token", claims{"typ": "JWT"}, claims{"nonce": theNonce, "events": absent, "jti": absent}, "logout_token.events"},
		{"events is missing", nil, claims{"events": absent}, "logout_token.events"},
		{"events is a list", nil, claims{"events": []string{event}}, "logout_token.events"},
		{"another event", nil, claims{"events": claims{"https://schemas.example/other": claims{}}}, "logout_token.events"},
		{"the event and another", nil, claims{"events": claims{event: claims{}, "https://schemas.example/other": claims{}}}, ""},
		{"the event with members", nil, claims{"events": claims{event: claims{"x": 1}}}, ""},
		{"the event is text", nil, claims{"events": claims{event: "{}"}}, "logout_token.events"},
		{"the event is null", nil, claims{"events": claims{event: nil}}, "logout_token.events"},
		{"a nonce", nil, claims{"nonce": "x"}, "logout_token.nonce"},
		{"a nonce that is null", nil, claims{"nonce": nil}, "logout_token.nonce"},
		{"jti is missing", nil, claims{"jti": absent}, "logout_token.jti"},
		{"jti is empty", nil, claims{"jti": ""}, "logout_token.jti"},
		{"jti is not text", nil, claims{"jti": 1}, "logout_token.jti"},

		{"iat is a minute ahead", nil, claims{"iat": at(60 * s)}, ""},
		{"iat is more than a minute ahead", nil, claims{"iat": at(61 * s)}, "logout_token.iat_future"},
		{"iat is five minutes ago", nil, claims{"iat": at(-300 * s)}, ""},
		{"iat is more than five minutes ago", nil, claims{"iat": at(-301 * s)}, "logout_token.iat_past"},
		{"iat is missing", nil, claims{"iat": absent}, "logout_token.iat"},
		{"iat is text", nil, claims{"iat": json.RawMessage(`"1772366400"`)}, "logout_token.iat"},
		{"expired a minute ago", nil, claims{"exp": at(-60 * s)}, ""},
		{"expired more than a minute ago", nil, claims{"exp": at(-61 * s)}, "jwt.expired"},
		{"exp is missing", nil, claims{"exp": absent}, ""},
		{"exp is text", nil, claims{"exp": json.RawMessage(`"1800000000"`)}, "jwt.exp"},
		{"nbf is ahead", nil, claims{"nbf": at(61 * s)}, "jwt.nbf"},

		{"another audience", nil, claims{"aud": "another"}, "jwt.audience"},
		{"this client among others", nil, claims{"aud": []string{"another", theClient}}, ""},
		{"another issuer", nil, claims{"iss": "https://evil.example"}, "jwt.issuer"},
		{"no issuer", nil, claims{"iss": absent}, "jwt.issuer_missing"},
		{"an unknown key", claims{"kid": "gone"}, nil, "jwt.no_key"},
		{"none", claims{"alg": "none"}, nil, "jwt.algorithm"},
		{"crit", claims{"crit": []string{"exp"}}, nil, "jwt.header_unsupported"},
		{"SID beside sid", nil, claims{"SID": "x"}, "jwt.claims_ambiguous"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(test.header, test.claims))
			if test.id != "" {
				wantError(t, err, rp.LogoutTokenInvalid, test.id)
				if got != nil {
					t.Errorf("with the error came %+v", got)
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLogoutTokenTimes(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	at := func(d time.Duration) int64 { return p.clock.Now().Add(d).Unix() }
	for _, tt := range []struct {
		name   string
		claims map[string]any
		id     string // of the error; "" if the token is valid
	}{
		{"a good one", nil, ""},
		{"without exp, as Ory Hydra sends them", map[string]any{"exp": absent}, ""},
		{"without exp, nearly 5 minutes old", map[string]any{"exp": absent, "iat": at(-290 * time.Second)}, ""},
		{"without exp, older than 5 minutes", map[string]any{"exp": absent, "iat": at(-310 * time.Second)}, "logout_token.iat_past"},
		{"without exp and iat", map[string]any{"exp": absent, "iat": absent}, "logout_token.iat"},
		{"without iat", map[string]any{"iat": absent}, "logout_token.iat"},
		{"iat in text", map[string]any{"iat": "1700000000"}, "logout_token.iat"},
		{"iat ahead", map[string]any{"iat": at(2 * time.Minute)}, "logout_token.iat_future"},
		{"expired", map[string]any{"exp": at(-2 * time.Minute)}, "jwt.expired"},
		{"expired less than the leeway ago", map[string]any{"exp": at(-30 * time.Second)}, ""},
		{"exp in the year 10000", map[string]any{"exp": 253402300800}, "jwt.exp"},
		{"exp in text", map[string]any{"exp": "1700000000"}, "jwt.exp"},
		{"exp of 0", map[string]any{"exp": 0}, "jwt.expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, tt.claims))
			if tt.id != "" {
				wantError(t, err, rp.LogoutTokenInvalid, tt.id)
				return
			}
			if err != nil || got.Subject != theSubject || got.IssuedAt.Before(p.clock.Now().Add(-5*time.Minute)) {
				t.Errorf("the token: %+v, %v", got, err)
			}
		})
	}
}

func TestLogoutTokenWithoutSignature(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	good := p.logoutToken(nil, nil)
	for raw, id := range map[string]string{
		"":                                    "jwt.malformed",
		"x":                                   "jwt.malformed",
		good[:strings.LastIndex(good, ".")+1]: "jwt.malformed",
		strings.Repeat("x", 64<<10+1):         "jwt.too_long",
		otherRSA().as("rsa", "RS256").sign(claims{"alg": "RS256", "kid": "rsa"}, claims{"iss": p.URL, "aud": theClient}): "jwt.signature",
	} {
		_, err := c.VerifyLogoutToken(t.Context(), raw)
		wantError(t, err, rp.LogoutTokenInvalid, id)
	}
}

// HS256 is only for ID tokens from the token endpoint: anyone can send a logout token, and everyone
// who knows the client secret could sign users out.
func TestLogoutTokensAreNotSignedWithTheSecret(t *testing.T) {
	p := newProvider(t)
	p.signer = &signer{"", "HS256", []byte(theSecret)}
	c := p.client(func(cfg *rp.Config) { cfg.Quirks.HS256 = true })
	_, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(claims{"kid": absent}, nil))
	wantError(t, err, rp.LogoutTokenInvalid, "jwt.algorithm")
}

func TestLogoutTokenOfOneOfSeveralIssuers(t *testing.T) {
	p := newProvider(t)
	const tenant = "https://tenants.example/a"
	c := p.client(func(cfg *rp.Config) {
		cfg.TokenIssuer = func(map[string]any) (string, error) { return tenant, nil }
	})
	got, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, claims{"iss": tenant}))
	if err != nil || got.Issuer != tenant {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, nil))
	wantError(t, err, rp.LogoutTokenInvalid, "jwt.issuer")
}

func TestLogoutTokensWithoutAProvider(t *testing.T) {
	p := newProvider(t)
	raw := p.logoutToken(nil, nil)
	_, err := p.client(p.plain).VerifyLogoutToken(t.Context(), raw)
	wantError(t, err, rp.LogoutTokenInvalid, "logout_token.plain")

	p.on(pathKeys, answering(http.StatusServiceUnavailable, "text/plain", ""))
	_, err = p.client().VerifyLogoutToken(t.Context(), raw)
	wantError(t, err, rp.ProviderUnavailable, "http.status")

	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/plain", ""))
	_, err = p.client().VerifyLogoutToken(t.Context(), raw)
	wantError(t, err, rp.ProviderUnavailable, "http.status")
}
