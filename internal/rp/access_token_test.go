package rp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

const theAudience = "https://api.example"

// accessToken returns a signed access token with edits applied.
func (p *provider) accessToken(header, edits map[string]any) string {
	return p.signer.sign(edit(map[string]any{"alg": p.signer.alg, "kid": p.signer.kid, "typ": "at+jwt"}, header), edit(p.accessClaims(), edits))
}

func (p *provider) accessClaims() map[string]any {
	now := p.clock.Now().Unix()
	return map[string]any{
		"iss": p.URL, "sub": theSubject, "aud": theAudience, "client_id": "cli", "scope": "read write", "iat": now, "exp": now + 300, "jti": "1",
	}
}

// forTokens makes a Config one that accepts access tokens.
func forTokens(cfg *rp.Config) { cfg.Audience = theAudience }

// withIntrospection makes a provider one that is asked about opaque tokens.
func (p *provider) withIntrospection(cfg *rp.Config) {
	p.doc = claims{"introspection_endpoint": p.URL + pathIntrospect}
	cfg.Audience, cfg.Introspect = theAudience, true
}

const pathIntrospect = "/introspect"

// verify parses and verifies an access token.
func verify(t *testing.T, c *rp.Client, raw string) (*rp.AccessToken, error) {
	token, err := rp.ParseAccessToken(raw)
	if err != nil {
		return nil, err
	}
	return c.VerifyAccessToken(t.Context(), token)
}

func TestAccessToken(t *testing.T) {
	p := newProvider(t)
	raw := p.accessToken(nil, claims{"sid": "s1d", "acr": "mfa", "auth_time": p.clock.unix(-time.Hour)})
	got, err := verify(t, p.client(forTokens), raw)
	if err != nil {
		t.Fatal(err)
	}
	got.Claims = nil
	now := p.clock.Now()
	want := &rp.AccessToken{
		Raw: []byte(raw), Issuer: p.URL, Subject: theSubject, ClientID: "cli", Scopes: []string{"read", "write"}, SID: "s1d", ACR: "mfa",
		IssuedAt: now, Expiry: now.Add(5 * time.Minute), AuthTime: now.Add(-time.Hour),
	}
	for _, at := range []*time.Time{&got.IssuedAt, &got.Expiry, &got.AuthTime} {
		*at = at.UTC()
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// 0 is how some providers write that the time is unknown.
func TestAuthTimeOfAnAccessToken(t *testing.T) {
	p := newProvider(t)
	c := p.client(forTokens)
	for _, at := range []any{0, -1, "noon", nil} {
		got, err := verify(t, c, p.accessToken(nil, claims{"auth_time": at}))
		if err != nil || !got.AuthTime.IsZero() {
			t.Errorf("auth_time %v: %+v, %v", at, got, err)
		}
	}
}

// Some providers publish the keys of several issuers, and name the issuer in each key.
func TestAccessTokenOfAnotherKeysIssuer(t *testing.T) {
	p := newProvider(t)
	const ours, theirs = "https://tenants.example/a", "https://tenants.example/b"
	c := p.client(forTokens, func(cfg *rp.Config) {
		cfg.TokenIssuer = func(claims map[string]any) (string, error) { return claims["iss"].(string), nil }
	})
	p.keys = []any{edit(rsaKey().jwk(), claims{"issuer": ours})}
	if _, err := verify(t, c, p.accessToken(nil, claims{"iss": ours})); err != nil {
		t.Error(err)
	}
	_, err := verify(t, c, p.accessToken(nil, claims{"iss": theirs}))
	wantError(t, err, rp.InvalidToken, "jwt.key_issuer")
}

// Anyone can send a token. The first one may have a wrong signature, metadata or keys may be
// missing, and valid tokens cause no request even if the keys are old.
func TestKeysForAccessTokens(t *testing.T) {
	p := newProvider(t)
	forged := func() string {
		return otherRSA().sign(claims{"alg": p.signer.alg, "kid": p.signer.kid, "typ": "at+jwt"}, p.accessClaims())
	}
	c := p.client(forTokens)
	_, err := verify(t, c, forged())
	wantError(t, err, rp.InvalidToken, "jwt.signature")
	asked := func() int { return len(p.requests(pathKeys)) }
	before := asked()
	_, err = verify(t, c, forged())
	wantError(t, err, rp.InvalidToken, "jwt.signature")
	p.clock.add(31 * time.Second)
	if _, err := verify(t, c, p.accessToken(nil, nil)); err != nil {
		t.Error(err)
	}
	if n := asked() - before; n != 0 {
		t.Errorf("%d requests for keys", n)
	}
	_, err = verify(t, c, forged())
	wantError(t, err, rp.InvalidToken, "jwt.signature")
	if n := asked() - before; n != 1 {
		t.Errorf("%d requests for keys that are older than 30 s", n)
	}

	p.on(pathKeys, answering(http.StatusServiceUnavailable, "text/html", ""))
	c = p.client(forTokens)
	_, err = verify(t, c, forged())
	wantError(t, err, rp.ProviderUnavailable, "http.status")
	p.on(pathKeys, nil)
	p.clock.add(31 * time.Second)
	_, err = verify(t, c, forged()) // the first for which there are keys
	wantError(t, err, rp.InvalidToken, "jwt.signature")

	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/html", ""))
	_, err = verify(t, p.client(forTokens), p.accessToken(nil, nil))
	wantError(t, err, rp.ProviderUnavailable, "http.status")
}

// Headers of verified tokens are cached: a header is accepted if it was before, and each header
// has its own result.
func TestAccessTokenHeaders(t *testing.T) {
	p := newProvider(t)
	c := p.client(forTokens)
	for range 2 {
		for i := range 20 { // more than are cached
			header := claims{"typ": "JWT", "x": i}
			if _, err := verify(t, c, p.accessToken(header, nil)); err != nil {
				t.Fatalf("header %d: %v", i, err)
			}
			_, err := verify(t, c, p.accessToken(header, claims{"nonce": "n"}))
			wantError(t, err, rp.InvalidToken, "access_token.kind")
			_, err = verify(t, c, p.accessToken(claims{"typ": "logout+jwt", "x": i}, nil))
			wantError(t, err, rp.InvalidToken, "jwt.typ")
		}
	}
}

// The checks of RFC 9068, section 4, and the rule for tokens whose typ does not say what they
// are, with what just passes beside what just does not.
func TestAccessTokens(t *testing.T) {
	p := newProvider(t)
	c := p.client(forTokens)
	at := p.clock.unix
	const s = time.Second
	untyped := claims{"typ": "JWT"}
	for _, test := range []struct {
		name           string
		header, claims claims
		id             string
	}{
		{"typ application/at+jwt", claims{"typ": "application/at+jwt"}, nil, ""},
		{"typ AT+JWT", claims{"typ": "AT+JWT"}, nil, ""},
		{"typ JWT", untyped, nil, ""},
		{"no typ", claims{"typ": absent}, nil, ""},
		{"typ of a logout token", claims{"typ": "logout+jwt"}, nil, "jwt.typ"},
		{"typ of a DPoP proof", claims{"typ": "dpop+jwt"}, nil, "jwt.typ"},
		{"typ is not text", claims{"typ": 1}, nil, "jwt.typ"},

		{"a nonce, and no typ", claims{"typ": absent}, claims{"nonce": "n"}, "access_token.kind"},
		{"a nonce", untyped, claims{"nonce": "n"}, "access_token.kind"},
		{"at_hash", untyped, claims{"at_hash": "h"}, "access_token.kind"},
		{"c_hash", untyped, claims{"c_hash": "h"}, "access_token.kind"},
		{"s_hash", untyped, claims{"s_hash": "h"}, "access_token.kind"},
		{"events", untyped, claims{"events": claims{event: claims{}}}, "access_token.kind"},
		{"the nonce of a typed access token", nil, claims{"nonce": "n"}, ""},
		{"Keycloak's Bearer", untyped, claims{"typ": "Bearer"}, ""},
		{"its typ, only in the claims", untyped, claims{"typ": "at+jwt"}, ""},
		{"Keycloak's ID", untyped, claims{"typ": "ID"}, "access_token.kind"},
		{"Keycloak's Refresh", untyped, claims{"typ": "Refresh"}, "access_token.kind"},
		{"Keycloak's Offline", untyped, claims{"typ": "Offline"}, "access_token.kind"},
		{"Keycloak's Logout", untyped, claims{"typ": "Logout"}, "access_token.kind"},
		{"a payload typ that is not text", untyped, claims{"typ": claims{}}, "access_token.kind"},
		{"bound to a key", nil, claims{"cnf": claims{"jkt": "k"}}, "access_token.bound"},
		{"bound to a certificate", nil, claims{"cnf": claims{"x5t#S256": "k"}}, "access_token.bound"},
		{"cnf is null", nil, claims{"cnf": nil}, ""},

		{"no aud", nil, claims{"aud": absent}, "access_token.audience"},
		{"another aud", nil, claims{"aud": theClient}, "access_token.audience"},
		{"one of several audiences", nil, claims{"aud": []string{"account", theAudience}}, ""},
		{"none of several audiences", nil, claims{"aud": []string{"account", theAudience + "/"}}, "access_token.audience"},
		{"part of aud", nil, claims{"aud": theAudience + ".evil.example"}, "access_token.audience"},
		{"aud in another case", nil, claims{"aud": strings.ToUpper(theAudience)}, "access_token.audience"},
		{"an aud that is not text", nil, claims{"aud": []any{theAudience, 1}}, "jwt.claims_form"},

		{"sub is empty", nil, claims{"sub": ""}, "access_token.sub"},
		{"sub is a number", nil, claims{"sub": 7}, "access_token.sub"},
		{"sub is null", nil, claims{"sub": nil}, ""},

		{"no iss", nil, claims{"iss": absent}, "jwt.issuer_missing"},
		{"another iss", nil, claims{"iss": "https://other.example"}, "jwt.issuer"},
		{"no exp", nil, claims{"exp": absent}, "jwt.exp"},
		{"exp is not a date", nil, claims{"exp": "soon"}, "jwt.exp"},
		{"ended as long ago as is let pass", nil, claims{"exp": at(-time.Minute)}, ""},
		{"ended longer ago", nil, claims{"exp": at(-time.Minute - s)}, "jwt.expired"},
		{"begins in a moment", nil, claims{"nbf": at(time.Minute)}, ""},
		{"begins later", nil, claims{"nbf": at(time.Minute + s)}, "jwt.nbf"},
		{"nbf is not a date", nil, claims{"nbf": "soon"}, "jwt.nbf"},
		{"no iat", nil, claims{"iat": absent}, "access_token.iat"},
		{"iat is not a date", nil, claims{"iat": "then"}, "access_token.iat"},
		{"issued in a moment", nil, claims{"iat": at(time.Minute)}, ""},
		{"issued later", nil, claims{"iat": at(time.Minute + s)}, "access_token.iat_future"},

		{"a claim in another case", nil, claims{"Sub": "eve"}, "jwt.claims_ambiguous"},
		{"another kind of key", claims{"alg": "ES256"}, nil, "jwt.no_key"},
		{"a secret as key", claims{"alg": "HS256"}, nil, "jwt.algorithm"},
		{"none", claims{"alg": "none"}, nil, "jwt.algorithm"},
		{"a key that is not there", claims{"kid": "other"}, nil, "jwt.no_key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := verify(t, c, p.accessToken(test.header, test.claims))
			if test.id == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, rp.InvalidToken, test.id)
		})
	}

	good := p.accessToken(nil, nil)
	parts := strings.Split(good, ".")
	header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, p.signer.alg, p.signer.kid)
	for _, test := range []struct{ name, token, id string }{
		{"opaque", "opaque", "jwt.malformed"},
		{"opaque, and longer than 64 KB", strings.Repeat("x", 65<<10), "jwt.malformed"},
		{"five parts", good + ".x.y", "jwt.malformed"},
		{"not base64url", parts[0] + "." + parts[1] + ".+/+/", "jwt.malformed"},
		{"another token's signature", parts[0] + "." + parts[1] + "." + strings.Split(p.accessToken(nil, claims{"jti": "2"}), ".")[2], "jwt.signature"},
		{"another provider's signature", otherRSA().sign(claims{"alg": p.signer.alg, "kid": p.signer.kid, "typ": "at+jwt"}, p.accessClaims()), "jwt.signature"},
		{"longer than 64 KB", p.accessToken(nil, claims{"x": strings.Repeat("x", 64<<10)}), "jwt.too_long"},
		{"claims that are no object", p.signer.signText(header, `[]`), "jwt.claims_json"},
		{"a claim that is there twice", p.signer.signText(header, `{"sub":"a","sub":"b"}`), "jwt.claims_json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := verify(t, c, test.token)
			wantError(t, err, rp.InvalidToken, test.id)
		})
	}
}

// Who is a program is told by each provider in its own way.
func TestProgramsAreTold(t *testing.T) {
	p := newProvider(t)
	c := p.client(forTokens)
	for name, test := range map[string]struct {
		claims  claims
		program bool
		client  string
	}{
		"a person":                        {nil, false, "cli"},
		"RFC 9068, 2.2":                   {claims{"sub": "cli"}, true, "cli"},
		"no sub":                          {claims{"sub": absent}, true, "cli"},
		"Microsoft's person":              {claims{"client_id": absent, "appid": "app", "idtyp": "user"}, false, "app"},
		"Microsoft's program":             {claims{"client_id": absent, "appid": "app", "idtyp": "app"}, true, "app"},
		"Auth0's program":                 {claims{"client_id": absent, "azp": "app", "sub": "app@clients", "gty": "client-credentials"}, true, "app"},
		"Auth0's program, without gty":    {claims{"client_id": absent, "azp": "app", "sub": "app@clients"}, true, "app"},
		"Okta's person":                   {claims{"client_id": absent, "cid": "app"}, false, "app"},
		"Okta's program":                  {claims{"client_id": absent, "cid": "app", "sub": "app"}, true, "app"},
		"Auth0's program, by RFC 6749":    {claims{"gty": "client_credentials"}, true, "cli"},
		"Kinde's program":                 {claims{"gty": []string{"client_credentials"}}, true, "cli"},
		"FusionAuth's person":             {claims{"gty": []string{"authorization_code", "refresh_token"}}, false, "cli"},
		"Keycloak's program":              {claims{"typ": "Bearer", "client_id": "App", "preferred_username": "service-account-app"}, true, "App"},
		"Keycloak's, by its address":      {claims{"typ": "Bearer", "clientAddress": "127.0.0.1"}, true, "cli"},
		"Keycloak's, by its grant":        {claims{"typ": "Bearer", "jti": "trrtcc:5f0c"}, true, "cli"},
		"Keycloak's person":               {claims{"typ": "Bearer", "jti": "onrtac:5f0c", "preferred_username": "ann"}, false, "cli"},
		"a person who is called like one": {claims{"client_id": "app", "preferred_username": "service-account-app"}, false, "app"},
		"a person called like Keycloak's": {claims{"typ": "Bearer", "client_id": "app", "preferred_username": "service-account-app", "sid": "s1d"}, false, "app"},
		"the same, of an older version":   {claims{"typ": "Bearer", "client_id": "app", "preferred_username": "service-account-app", "session_state": "s1d"}, false, "app"},
		"the same, with auth_time alone":  {claims{"typ": "Bearer", "client_id": "app", "preferred_username": "service-account-app", "auth_time": p.clock.unix(-time.Hour)}, false, "app"},
		"a jti that ends like a grant":    {claims{"typ": "Bearer", "jti": "trrtcc"}, false, "cli"},
		"a jti with a longer beginning":   {claims{"typ": "Bearer", "jti": "xtrrtcc:5f0c"}, false, "cli"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := verify(t, c, p.accessToken(nil, test.claims))
			if err != nil || got.Program != test.program || got.ClientID != test.client {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// Without the two, it cannot be told whether there is a person.
func TestAnAccessTokenNamesItsParties(t *testing.T) {
	p := newProvider(t)
	c := p.client(forTokens)
	for name, test := range map[string]struct {
		claims claims
		id     string
	}{
		"no client":                   {claims{"client_id": absent}, "access_token.client"},
		"a client that is no text":    {claims{"client_id": 7}, "access_token.client"},
		"an empty client":             {claims{"client_id": ""}, "access_token.client"},
		"a sub that is no text":       {claims{"sub": 7}, "access_token.sub"},
		"an empty sub":                {claims{"sub": ""}, "access_token.sub"},
		"no sub, and a session":       {claims{"sub": absent, "sid": "s"}, "access_token.sub"},
		"no sub, and a user name":     {claims{"sub": absent, "preferred_username": "ann"}, "access_token.sub"},
		"no sub, and Keycloak's kind": {claims{"sub": absent, "typ": "Bearer"}, "access_token.sub"},
		"a kind of Cognito's":         {claims{"token_use": "id"}, "access_token.kind"},
	} {
		t.Run(name, func(t *testing.T) {
			header := claims{"typ": "JWT"}
			_, err := verify(t, c, p.accessToken(header, test.claims))
			wantError(t, err, rp.InvalidToken, test.id)
		})
	}
}

// The sub of Okta's access tokens is what the person signs in with.
func TestSubjectOfOkta(t *testing.T) {
	p := newProvider(t)
	c := p.client(forTokens)
	for name, test := range map[string]struct {
		claims claims
		want   string
	}{
		"Okta's":                {claims{"client_id": absent, "cid": "app", "uid": "00u1", "sub": "ann@kvarnbygd.example", "jti": "AT.1"}, "00u1"},
		"not Okta's":            {claims{"uid": "00u1", "cid": "app"}, "ann"},
		"its jti, and no cid":   {claims{"uid": "00u1", "jti": "AT.1"}, "ann"},
		"Okta's, without a uid": {claims{"cid": "app", "jti": "AT.1"}, "ann"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := verify(t, c, p.accessToken(nil, test.claims))
			if err != nil || got.Subject != test.want || got.Claims["sub"] != test.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestScopesOfAnAccessToken(t *testing.T) {
	p := newProvider(t)
	c := p.client(forTokens)
	for name, test := range map[string]struct {
		claims claims
		want   []string
	}{
		"scope":                   {nil, []string{"read", "write"}},
		"scp as text":             {claims{"scope": absent, "scp": "read write"}, []string{"read", "write"}},
		"scp as a list":           {claims{"scope": absent, "scp": []string{"read", "write"}}, []string{"read", "write"}},
		"scope as a list":         {claims{"scope": []any{"read", 7, "write"}}, []string{"read", "write"}},
		"scope wins":              {claims{"scope": "read", "scp": "write"}, []string{"read"}},
		"none":                    {claims{"scope": absent}, nil},
		"a scope that is no text": {claims{"scope": 7}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := verify(t, c, p.accessToken(nil, test.claims))
			if err != nil || !reflect.DeepEqual(got.Scopes, test.want) {
				t.Errorf("%q, %v", got.Scopes, err)
			}
		})
	}
}

// A resource server knows no client, and needs nothing of the metadata but the keys.
func TestResourceServer(t *testing.T) {
	p := newProvider(t)
	p.doc = claims{"authorization_endpoint": "urn:kubernetes:programmatic_authorization", "token_endpoint": absent, "token_endpoint_auth_methods_supported": []string{"tls_client_auth"}}
	server := func(cfg *rp.Config) {
		cfg.ClientID, cfg.ClientSecret, cfg.RedirectURI, cfg.Audience = "", "", "", theAudience
	}
	c := p.client(server)
	if _, err := verify(t, c, p.accessToken(nil, nil)); err != nil {
		t.Error(err)
	}
	wantFindings(t, c.Diagnose(t.Context()), "", "")
	for path := range p.asked {
		if path != pathDiscovery && path != pathKeys {
			t.Errorf("%s was asked", path)
		}
	}
}

// The provider is asked about an opaque token as RFC 7662 has it, with the client's
// authentication.
func TestIntrospect(t *testing.T) {
	p := newProvider(t)
	c := p.client(p.withIntrospection)
	answer := edit(p.accessClaims(), claims{"active": true, "iss": absent})
	p.on(pathIntrospect, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, answer) })
	got, err := c.Introspect(t.Context(), "opaque")
	if err != nil || got.Issuer != p.URL || got.Subject != theSubject || got.ClientID != "cli" || len(got.Scopes) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	asked := p.requests(pathIntrospect)[0]
	if asked.form.Get("token") != "opaque" || asked.form.Get("token_type_hint") != "access_token" || asked.authorization == "" {
		t.Errorf("the request is %+v", asked)
	}
}

// A client that takes over the metadata of another needs no request for the endpoints.
func TestEndpointsOfTokensAreTakenOver(t *testing.T) {
	p := newProvider(t)
	p.doc = claims{"introspection_endpoint": p.URL + pathIntrospect, "revocation_endpoint": p.URL + pathRevoke}
	answer := edit(p.accessClaims(), claims{"active": true})
	p.on(pathIntrospect, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, answer) })
	p.on(pathRevoke, answering(http.StatusOK, "text/plain", ""))
	before := p.client(forTokens)
	if err := before.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/html", ""))
	c := rp.New(p.config(forTokens, func(cfg *rp.Config) { cfg.Introspect = true }), before)
	if _, err := c.Introspect(t.Context(), "opaque"); err != nil {
		t.Error(err)
	}
	if err := c.Revoke(t.Context(), theRefresh); err != nil || len(p.requests(pathRevoke)) != 1 {
		t.Errorf("%d requests, %v", len(p.requests(pathRevoke)), err)
	}
}

// What an introspection endpoint may answer, with what just passes beside what just does not.
func TestIntrospections(t *testing.T) {
	p := newProvider(t)
	c := p.client(p.withIntrospection)
	for _, test := range []struct {
		name   string
		claims claims
		id     string
	}{
		{"active", nil, ""},
		{"inactive", claims{"active": false}, "introspection.inactive"},
		{"active is text", claims{"active": "true"}, "introspection.inactive"},
		{"active is missing", claims{"active": absent}, "introspection.inactive"},
		{"another aud", claims{"aud": "other"}, "access_token.audience"},
		{"no aud", claims{"aud": absent}, "access_token.audience"},
		{"another iss", claims{"iss": "https://other.example"}, "jwt.issuer"},
		{"no exp", claims{"exp": absent}, ""},
		{"no iat and no exp", claims{"exp": absent, "iat": absent}, "access_token.iat"},
		{"expired", claims{"exp": p.clock.unix(-time.Hour)}, "jwt.expired"},
		{"bound to a key", claims{"cnf": claims{"jkt": "k"}}, "access_token.bound"},
		{"an ID token's nonce", claims{"nonce": "n"}, "access_token.kind"},
		{"token_type Bearer", claims{"token_type": "Bearer"}, ""},
		{"token_type of RFC 8693", claims{"token_type": "access_token"}, ""},
		{"members that are null", claims{"cnf": nil, "token_use": nil, "nbf": nil, "username": nil}, ""},
		{"token_type DPoP", claims{"token_type": "DPoP"}, "access_token.kind"},
		{"token_type of a refresh token", claims{"token_type": "refresh_token"}, "access_token.kind"},
		{"token_type is not text", claims{"token_type": 1}, "access_token.kind"},
		{"Hydra's access token", claims{"token_use": "access_token"}, ""},
		{"Hydra's refresh token", claims{"token_use": "refresh_token"}, "access_token.kind"},
		{"a person without a sub", claims{"sub": absent, "username": "ann"}, "access_token.sub"},
		{"a program without a sub", claims{"sub": absent}, ""},
		{"a claim in another case", claims{"Sub": "eve"}, "jwt.claims_ambiguous"},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := edit(edit(p.accessClaims(), claims{"active": true}), test.claims)
			p.on(pathIntrospect, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, answer) })
			_, err := c.Introspect(t.Context(), "opaque")
			if test.id == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, rp.InvalidToken, test.id)
		})
	}
	const sts = "http://sts.example/adfs/services/trust"
	answer := edit(p.accessClaims(), claims{"active": true, "iss": sts})
	p.on(pathIntrospect, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, answer) })
	other := p.client(p.withIntrospection, func(cfg *rp.Config) {
		cfg.TokenIssuer = func(map[string]any) (string, error) { return sts, nil }
	})
	if got, err := other.Introspect(t.Context(), "opaque"); err != nil || got.Issuer != sts {
		t.Errorf("with TokenIssuer: %+v, %v", got, err)
	}
	down := p.client(p.withIntrospection, func(cfg *rp.Config) {
		cfg.ClientSecret, cfg.ClientSecretFunc = "", func(context.Context) (string, error) { return "", errors.New("no key") }
	})
	if _, err := down.Introspect(t.Context(), "opaque"); err == nil {
		t.Error("the token was introspected without the client's authentication")
	}
	p.on(pathIntrospect, answering(http.StatusOK, "application/token-introspection+jwt", "a.b.c"))
	_, err := c.Introspect(t.Context(), "opaque")
	wantError(t, err, rp.ProviderUnavailable, "introspection.json")
	p.on(pathIntrospect, answering(http.StatusUnauthorized, "application/json", `{"error":"invalid_client"}`))
	_, err = c.Introspect(t.Context(), "opaque")
	wantError(t, err, rp.ProviderUnavailable, "http.status")

	p.doc = nil
	lacking := p.client(forTokens, func(cfg *rp.Config) { cfg.Introspect = true })
	_, err = lacking.Introspect(t.Context(), "opaque")
	wantError(t, err, rp.ProviderMisconfigured, "introspection.endpoint")
	wantFindings(t, lacking.Diagnose(t.Context()), "introspection.endpoint", "diagnose.loopback")

	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/html", ""))
	_, err = p.client(p.withIntrospection).Introspect(t.Context(), "opaque")
	wantError(t, err, rp.ProviderUnavailable, "http.status")
}
