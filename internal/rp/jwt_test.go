package rp_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

// tokenText makes the provider answer with this text as ID token.
func (p *provider) tokenText(raw string) { p.answer = map[string]any{"id_token": raw} }

// defaults returns the header and the claims of an ID token as JSON.
func (p *provider) defaults() (header, claims string) {
	return string(marshal(map[string]any{"alg": p.signer.alg, "kid": p.signer.kid})), string(marshal(p.idClaims()))
}

// A jwtCase is an ID token with a text of its own.
type jwtCase struct {
	name string
	raw  string
	id   string // "" for a token that passes
}

func tryJWTs(t *testing.T, p *provider, c *rp.Client, cases []jwtCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			p.tokenText(test.raw)
			_, err := p.signIn(c)
			if test.id != "" {
				wantError(t, err, rp.IDTokenInvalid, test.id)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFormOfAJWT(t *testing.T) {
	p := newProvider(t)
	good := p.idToken()
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	_, claims := p.defaults()
	long := func(length int) string {
		filler := length - len(p.signer.signText(`{"alg":"RS256"}`, strings.TrimSuffix(claims, "}")+`,"x":""}`))
		for n := filler * 3 / 4; ; n++ { // base64 makes four characters of three
			if raw := p.signer.signText(`{"alg":"RS256"}`, strings.TrimSuffix(claims, "}")+`,"x":"`+strings.Repeat("x", n)+`"}`); len(raw) >= length {
				return raw
			}
		}
	}
	limit := long(64<<10 - 3)
	if len(limit) > 64<<10 {
		t.Fatalf("the longest token has %d bytes", len(limit))
	}
	tryJWTs(t, p, p.client(), []jwtCase{
		{"as it should be", good, ""},
		{"as long as it may be", limit, ""},
		{"too long", long(64<<10 + 1), "jwt.too_long"},
		{"one part", header, "jwt.malformed"},
		{"two parts", header + "." + payload, "jwt.malformed"},
		{"four parts", good + "." + signature, "jwt.malformed"},
		{"encrypted", good + ".x.x", "jwt.malformed"},
		{"no signature", header + "." + payload + ".", "jwt.malformed"},
		{"padding", good + "=", "jwt.malformed"},
		{"a space before it", " " + good, "jwt.malformed"},
		{"JSON serialization", `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`, "jwt.malformed"},
		{"another payload", header + "." + b64([]byte(`{}`)) + "." + signature, "jwt.signature"},
		{"another signature", header + "." + payload + "." + b64(make([]byte, 256)), "jwt.signature"},
	})
}

// RFC 7515, section 4, and RFC 8725: a header that can be read in two ways, or asks
// for something unsupported, is no header.
func TestHeaderOfAJWT(t *testing.T) {
	p := newProvider(t)
	with := func(member string) string {
		header, claims := p.defaults()
		return p.signer.signText(strings.TrimSuffix(header, "}")+`,`+member+`}`, claims)
	}
	_, claims := p.defaults()
	cases := []jwtCase{
		{"typ JWT", with(`"typ":"JWT"`), ""},
		{"typ jwt", with(`"typ":"jwt"`), ""},
		{"typ application/jwt", with(`"typ":"application/JWT"`), ""},
		{"an unknown member", with(`"x5t":"x","iss":"y"`), ""},
		{"a key of its own", with(`"jwk":` + string(marshal(otherRSA().jwk())) + `,"jku":"https://evil.example/","x5u":"https://evil.example/"`), ""},
		{"no kid", p.signer.signText(`{"alg":"RS256"}`, claims), ""},
		{"not JSON", p.signer.signText(`{"alg":"RS256"`, claims), "jwt.header_json"},
		{"a list", p.signer.signText(`["RS256"]`, claims), "jwt.header_json"},
		{"two algs", with(`"alg":"RS256"`), "jwt.header_json"},
		{"crit", with(`"crit":["exp"],"exp":1`), "jwt.header_unsupported"},
		{"crit is null", with(`"crit":null`), "jwt.header_unsupported"},
		{"b64", with(`"b64":true`), "jwt.header_unsupported"},
		{"enc", with(`"enc":"A128GCM"`), "jwt.header_unsupported"},
		{"zip", with(`"zip":"DEF"`), "jwt.header_unsupported"},
		{"typ of an access token", with(`"typ":"at+jwt"`), "jwt.typ"},
		{"typ of a logout token", with(`"typ":"logout+jwt"`), "jwt.typ"},
		{"typ is empty", with(`"typ":""`), "jwt.typ"},
		{"typ is not text", with(`"typ":["JWT"]`), "jwt.typ"},
		{"typ is null", with(`"typ":null`), "jwt.typ"},
		{"kid is not text", p.signer.signText(`{"alg":"RS256","kid":1}`, claims), "jwt.kid"},
		{"kid is null", p.signer.signText(`{"alg":"RS256","kid":null}`, claims), "jwt.kid"},
	}
	for _, name := range []string{"alg", "typ", "kid", "crit", "b64", "cty", "enc", "zip", "jwk", "jku", "x5u", "x5c"} {
		cases = append(cases, jwtCase{strings.ToUpper(name), with(`"` + strings.ToUpper(name) + `":"x"`), "jwt.header_ambiguous"})
	}
	tryJWTs(t, p, p.client(), cases)
}

// RFC 8725, 2.1 and 3.1: the token does not choose what is done with a key.
func TestAlgorithmOfAJWT(t *testing.T) {
	p := newProvider(t)
	_, claims := p.defaults()
	rsaPublic := &p.signer.key.(*rsa.PrivateKey).PublicKey
	der := must(x509.MarshalPKIXPublicKey(rsaPublic))
	hmac := func(key []byte) *signer { return &signer{"rsa", "HS256", key} }
	header := func(alg string) string { return `{"alg":"` + alg + `","kid":"rsa"}` }
	withSecret := hmac([]byte(theSecret)).signText(header("HS256"), claims)
	confused := []jwtCase{
		{"none, without a signature", b64([]byte(header("none"))) + "." + b64([]byte(claims)) + ".", "jwt.malformed"},
		{"none, with a signature", p.signer.signText(header("none"), claims), "jwt.algorithm"},
		{"no alg", p.signer.signText(`{"kid":"rsa"}`, claims), "jwt.algorithm"},
		{"alg is not text", p.signer.signText(`{"alg":["RS256"],"kid":"rsa"}`, claims), "jwt.algorithm"},
		{"alg in small letters", p.signer.signText(header("rs256"), claims), "jwt.algorithm"},
		{"HS384", hmac([]byte(theSecret)).signText(header("HS384"), claims), "jwt.algorithm"},
		{"an encryption", p.signer.signText(header("RSA-OAEP"), claims), "jwt.algorithm"},
		{"RS256 that says PS256", p.signer.signText(header("PS256"), claims), "jwt.signature"},
		{"RS256 that says RS512", p.signer.signText(header("RS512"), claims), "jwt.signature"},
		{"RS256 that says ES256", p.signer.signText(header("ES256"), claims), "jwt.no_key"},
		{"RS256 that says EdDSA", p.signer.signText(header("EdDSA"), claims), "jwt.no_key"},
	}
	publicAsSecret := map[string][]byte{
		"the public key as PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"the public key as DER": der,
		"the modulus":           rsaPublic.N.Bytes(),
		"nothing":               {},
		"the client id":         []byte(theClient),
	}
	t.Run("without HS256", func(t *testing.T) {
		cases := append(confused, jwtCase{"HS256 with the secret", withSecret, "jwt.algorithm"})
		for name, key := range publicAsSecret {
			cases = append(cases, jwtCase{"HS256 with " + name, hmac(key).signText(header("HS256"), claims), "jwt.algorithm"})
		}
		tryJWTs(t, p, p.client(), cases)
	})
	t.Run("with HS256", func(t *testing.T) {
		cases := append(confused,
			jwtCase{"HS256 with the secret", withSecret, ""},
			jwtCase{"HS256 with part of the secret", hmac([]byte(theSecret[:32])).signText(header("HS256"), claims), "jwt.signature"},
			jwtCase{"RS256", p.idToken(), ""})
		for name, key := range publicAsSecret {
			cases = append(cases, jwtCase{"HS256 with " + name, hmac(key).signText(header("HS256"), claims), "jwt.signature"})
		}
		tryJWTs(t, p, p.client(func(cfg *rp.Config) { cfg.Quirks.HS256 = true }), cases)
	})
	t.Run("with HS256 and a short secret", func(t *testing.T) {
		// Core, 16.19: "the client_secret value MUST contain at least 32 octets".
		short := theSecret[:31]
		tryJWTs(t, p, p.client(func(cfg *rp.Config) { cfg.Quirks.HS256, cfg.ClientSecret = true, short }), []jwtCase{
			{"HS256", hmac([]byte(short)).signText(header("HS256"), claims), "jwt.signature"},
		})
	})
}

func TestHS256NeedsNoKeys(t *testing.T) {
	p := newProvider(t)
	p.signer = &signer{"", "HS256", []byte(theSecret)}
	p.doc = map[string]any{"id_token_signing_alg_values_supported": []string{"HS256"}}
	p.mustSignIn(p.client(func(cfg *rp.Config) { cfg.Quirks.HS256 = true }))
	if n := len(p.requests(pathKeys)); n != 0 {
		t.Errorf("%d requests for keys", n)
	}
}

func TestSignatureOfAJWT(t *testing.T) {
	p := newProvider(t)
	header, claims := p.defaults()
	p.keys = []any{rsaKey().jwk(), ecKey().jwk()}
	p.mustSignIn(p.client())
	tryJWTs(t, p, p.client(), []jwtCase{
		{"by a key that is not published", otherRSA().signText(header, claims), "jwt.signature"},
		{"by a key that is not published, without a kid", otherRSA().signText(`{"alg":"RS256"}`, claims), "jwt.signature"},
		{"with a kid that does not exist", p.signer.signText(`{"alg":"RS256","kid":"gone"}`, claims), "jwt.no_key"},
		{"with the kid of another key", p.signer.signText(`{"alg":"RS256","kid":"ec"}`, claims), "jwt.no_key"},
	})
}

func TestKeysThatCannotBeFetchedAreNoFaultOfTheToken(t *testing.T) {
	p := newProvider(t)
	p.on(pathKeys, answering(http.StatusInternalServerError, "text/plain", ""))
	_, err := p.signIn(p.client())
	if e := wantError(t, err, rp.ProviderUnavailable, "http.status"); e.Op != "signing keys" || e.Provider != "corp" || e.RetryAfter == 0 {
		t.Errorf("got %+v", e)
	}
}

func TestClaimsOfAJWT(t *testing.T) {
	p := newProvider(t)
	at := p.clock.unix
	c := p.client(func(cfg *rp.Config) { cfg.Names = []string{"email"} })
	const s = time.Second
	tryIDTokens(t, p, c, []idTokenCase{
		{"aud is another client", claims{"aud": "another"}, nil, "jwt.audience"},
		{"aud is almost this client", claims{"aud": strings.ToUpper(theClient)}, nil, "jwt.audience"},
		{"aud is missing", claims{"aud": absent}, nil, "jwt.audience"},
		{"aud is null", claims{"aud": nil}, nil, "jwt.audience"},
		{"aud is an empty list", claims{"aud": []string{}}, nil, "jwt.audience"},
		{"aud is a number", claims{"aud": 1}, nil, "jwt.claims_form"},
		{"aud has a null", claims{"aud": []any{theClient, nil}, "azp": theClient}, nil, "jwt.claims_form"},
		{"aud has a number", claims{"aud": []any{theClient, 1}, "azp": theClient}, nil, "jwt.claims_form"},
		{"exp is missing", claims{"exp": absent}, nil, "jwt.exp"},
		{"expired a minute ago", claims{"exp": at(-60 * s)}, nil, ""},
		{"expired more than a minute ago", claims{"exp": at(-61 * s)}, nil, "jwt.expired"},
		{"exp is no number", claims{"exp": "soon"}, nil, "jwt.claims_form"},
		{"nbf has passed", claims{"nbf": at(-s)}, nil, ""},
		{"nbf is a minute ahead", claims{"nbf": at(60 * s)}, nil, ""},
		{"nbf is more than a minute ahead", claims{"nbf": at(61 * s)}, nil, "jwt.nbf"},
		{"nbf is ten minutes ahead", claims{"nbf": at(600 * s)}, nil, "jwt.nbf"},
		{"nbf is null", claims{"nbf": nil}, nil, ""},
		{"nbf is text", claims{"nbf": json.RawMessage(`"1"`)}, nil, "jwt.nbf"},
		{"SUB beside sub", claims{"SUB": "eve"}, nil, "jwt.claims_ambiguous"},
		{"Nonce beside nonce", claims{"Nonce": "x"}, nil, "jwt.claims_ambiguous"},
		{"Email, which has a meaning here", claims{"Email": "eve@example.com"}, nil, "jwt.claims_ambiguous"},
		{"Name, which has none", claims{"Name": "Ann"}, nil, ""},
	})
	header, body := p.defaults()
	tryJWTs(t, p, c, []jwtCase{
		{"two subs", p.signer.signText(header, strings.TrimSuffix(body, "}")+`,"sub":"eve"}`), "jwt.claims_json"},
		{"not an object", p.signer.signText(header, `["ann"]`), "jwt.claims_json"},
	})
}

// TestNullClaims: a claim that is null is absent.
func TestNullClaims(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	for _, name := range []string{"c_hash", "s_hash", "at_hash", "azp", "auth_time", "nbf", "acr", "sid", "jti", "session_expiry", "email", "_claim_names"} {
		p.claims = map[string]any{name: nil}
		id, err := p.signIn(c)
		if err != nil {
			t.Errorf("%s: null: %v", name, err)
			continue
		}
		if v, there := id.Claims[name]; there {
			t.Errorf("%s: null is there as %v", name, v)
		}
	}
	for name, id := range map[string]string{"iss": "jwt.issuer_missing", "sub": "id_token.sub", "aud": "jwt.audience", "exp": "jwt.exp", "iat": "id_token.iat", "nonce": "id_token.nonce"} {
		p.claims = map[string]any{name: nil}
		_, err := p.signIn(c)
		wantError(t, err, rp.IDTokenInvalid, id)
	}
	for _, name := range []string{"exp", "nbf", "sid", "azp"} {
		if _, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, map[string]any{name: nil})); err != nil {
			t.Errorf("%s: null in a logout token: %v", name, err)
		}
	}
	for name, id := range map[string]string{"jti": "logout_token.jti", "iat": "logout_token.iat", "events": "logout_token.events", "nonce": "logout_token.nonce"} {
		_, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, map[string]any{name: nil}))
		wantError(t, err, rp.LogoutTokenInvalid, id)
	}
}

// TestUnusedClaimSources: nothing here uses aggregated and distributed claims
// (OpenID Connect Core 1.0, section 5.6.2).
func TestUnusedClaimSources(t *testing.T) {
	p := newProvider(t)
	for _, claims := range []map[string]any{
		{"_claim_names": map[string]any{"groups": "src1"}},
		{"_claim_names": map[string]any{"groups": ""}, "_claim_sources": map[string]any{}},
		{"_claim_names": []string{"groups"}, "_claim_sources": 1},
		{"_claim_names": 1},
		{"_claim_sources": 1},
	} {
		p.claims = claims
		if _, err := p.signIn(p.client()); err != nil {
			t.Errorf("%v: %v", claims, err)
		}
	}
}

// TestVariantsAreNamed: a claim almost called as another is named, and so is the way
// out.
func TestVariantsAreNamed(t *testing.T) {
	p := newProvider(t)
	names := func(more ...string) func(*rp.Config) {
		return func(cfg *rp.Config) {
			cfg.Names, cfg.Complete = append(more, "email"), func(map[string]any) bool { return false }
		}
	}
	p.claims = map[string]any{"email": "ann@example.com", "Email": "ann@work.example"}
	_, err := p.signIn(p.client(names()))
	e := wantError(t, err, rp.IDTokenInvalid, "jwt.claims_ambiguous")
	if !strings.Contains(e.Reason, `"Email"`) || !strings.Contains(e.Reason, `"email"`) || !strings.Contains(e.Fix, "ClaimPaths") || !strings.Contains(e.Fix, `"Email"`) {
		t.Errorf("the error is %v", e)
	}
	p.mustSignIn(p.client(names("Email"))) // as the way out has it

	p.claims, p.info = nil, p.claims
	_, err = p.signIn(p.client(names()))
	if e := wantError(t, err, rp.UserinfoInvalid, "jwt.claims_ambiguous"); !strings.Contains(e.Reason, `"Email"`) {
		t.Errorf("the error is %v", e)
	}

	p.claims = map[string]any{"SUB": "eve"}
	_, err = p.signIn(p.client())
	if e := wantError(t, err, rp.IDTokenInvalid, "jwt.claims_ambiguous"); strings.Contains(e.Fix, "ClaimPaths") {
		t.Errorf("a claim of the protocol gets another meaning: %v", e)
	}
	p.claims = nil
	p.answer = map[string]any{"Access_Token": "x"}
	_, err = p.signIn(p.client())
	if e := wantError(t, err, rp.BadTokenResponse, "token.ambiguous"); !strings.Contains(e.Reason, `"Access_Token"`) {
		t.Errorf("the error is %v", e)
	}
}

func TestIssuerOfAJWT(t *testing.T) {
	p := newProvider(t)
	tryIDTokens(t, p, p.client(), []idTokenCase{
		{"another", claims{"iss": "https://evil.example"}, nil, "jwt.issuer"},
		{"with a path", claims{"iss": p.URL + "/tenant"}, nil, "jwt.issuer"},
		{"with a slash", claims{"iss": p.URL + "/"}, nil, "jwt.issuer"},
		{"in capitals", claims{"iss": strings.ToUpper(p.URL)}, nil, "jwt.issuer"},
		{"empty", claims{"iss": ""}, nil, "jwt.issuer"},
		{"null", claims{"iss": nil}, nil, "jwt.issuer_missing"},
		{"missing", claims{"iss": absent}, nil, "jwt.issuer_missing"},
		{"not text", claims{"iss": 1}, nil, "jwt.claims_form"},
	})
}

// The fix names the issuer to write where only the final slash is wrong.
func TestIssuerThatDiffersByASlash(t *testing.T) {
	fix := func(issuer string) string {
		t.Helper()
		p := newProvider(t)
		p.claims = claims{"iss": issuer}
		if issuer == "/" {
			p.claims = claims{"iss": p.URL + "/"}
		}
		_, err := p.signIn(p.client())
		return strings.ReplaceAll(wantError(t, err, rp.IDTokenInvalid, "jwt.issuer").Fix, p.URL, "URL")
	}
	if slash, other := fix("/"), fix("https://evil.example/"); slash == other || !strings.Contains(slash, `"URL/"`) {
		t.Errorf("got %q and %q", slash, other)
	}
	p := newProvider(t)
	p.doc = map[string]any{"issuer": p.URL + "/"}
	_, err := p.signIn(p.client(func(cfg *rp.Config) { cfg.Issuer += "/" }))
	if e := wantError(t, err, rp.IDTokenInvalid, "jwt.issuer"); !strings.Contains(e.Fix, `"`+p.URL+`"`) {
		t.Errorf("got %q", e.Fix)
	}
}

// An issuer with a # in it could make the ID of a user of another issuer.
func TestIssuerWithAFragment(t *testing.T) {
	p := newProvider(t)
	p.claims = claims{"iss": p.URL + "#eve"}
	c := p.client(func(cfg *rp.Config) {
		cfg.TokenIssuer = func(claims map[string]any) (string, error) { return p.URL + "#eve", nil }
	})
	_, err := p.signIn(c)
	wantError(t, err, rp.IDTokenInvalid, "jwt.issuer")
}

func TestTokenIssuerSaysWhichIssuersThereAre(t *testing.T) {
	p := newProvider(t)
	refused := errors.New("not one of ours")
	c := p.client(func(cfg *rp.Config) {
		cfg.TokenIssuer = func(claims map[string]any) (string, error) {
			switch claims["tid"] {
			case "a", "b":
				return "https://tenants.example/" + claims["tid"].(string), nil
			case "empty":
				return "", nil
			case "no address":
				return "https://%zz/", nil
			}
			return "https://tenants.example/c", refused
		}
	})
	tryIDTokens(t, p, c, []idTokenCase{
		{"one", claims{"tid": "a", "iss": "https://tenants.example/a"}, nil, ""},
		{"another", claims{"tid": "b", "iss": "https://tenants.example/b"}, nil, ""},
		{"of another tenant", claims{"tid": "a", "iss": "https://tenants.example/b"}, nil, "jwt.issuer"},
		{"the configured one", claims{"tid": "a"}, nil, "jwt.issuer"},
		{"with a slash", claims{"tid": "a", "iss": "https://tenants.example/a/"}, nil, "jwt.issuer"},
		{"not an address", claims{"tid": "no address", "iss": "https://tenants.example/a"}, nil, "jwt.issuer"},
		{"missing", claims{"tid": "a", "iss": absent}, nil, "jwt.issuer_missing"},
		{"refused", claims{"tid": "c", "iss": "https://tenants.example/c"}, nil, "jwt.issuer_not_admitted"},
		{"not known", claims{"tid": "empty", "iss": ""}, nil, "jwt.issuer_not_admitted"},
	})
	p.claims = claims{"tid": "c"}
	if _, err := p.signIn(c); !errors.Is(err, refused) {
		t.Errorf("the cause is not that of TokenIssuer: %v", err)
	}
	p.claims = claims{"tid": "empty"}
	_, err := p.signIn(c)
	if e := wantError(t, err, rp.IDTokenInvalid, "jwt.issuer_not_admitted"); e.Cause == nil {
		t.Error("the error has no cause")
	}
	p.claims = claims{"tid": "a", "iss": "https://tenants.example/a"}
	if id := p.mustSignIn(c); id.Issuer != "https://tenants.example/a" {
		t.Errorf("the issuer is %q", id.Issuer)
	}
}

// RFC 8725, 3.8: one set of keys may serve several issuers, each key its own.
func TestKeysOfSeveralIssuers(t *testing.T) {
	p := newProvider(t)
	own := func(issuer string) map[string]any { return edit(rsaKey().jwk(), map[string]any{"issuer": issuer}) }
	admitAll := func(cfg *rp.Config) {
		cfg.TokenIssuer = func(claims map[string]any) (string, error) { return claims["iss"].(string), nil }
	}
	for _, test := range []struct {
		name, of, iss, tid, id string
	}{
		{"its own", "https://tenants.example/a", "https://tenants.example/a", "a", ""},
		{"another", "https://tenants.example/personal", "https://tenants.example/a", "a", "jwt.key_issuer"},
		{"that of each tenant", "https://tenants.example/{tenantid}", "https://tenants.example/a", "a", ""},
		{"that of another tenant", "https://tenants.example/{tenantid}", "https://tenants.example/a", "b", "jwt.key_issuer"},
		{"that of no tenant", "https://tenants.example/{tenantid}", "https://tenants.example/a", "", "jwt.key_issuer"},
		{"none", "", "https://tenants.example/a", "a", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.keys = []any{own(test.of)}
			tryIDTokens(t, p, p.client(admitAll), []idTokenCase{{"token", claims{"iss": test.iss, "tid": test.tid}, nil, test.id}})
		})
	}
	t.Run("without TokenIssuer", func(t *testing.T) {
		p.keys, p.claims = []any{own("https://tenants.example/a")}, nil
		p.mustSignIn(p.client())
	})
}

// The text of the library's error quotes the token. It is the cause, clipped.
func TestErrorsQuoteLittleOfAToken(t *testing.T) {
	p := newProvider(t)
	p.claims = claims{"aud": []string{strings.Repeat("x", 10_000)}}
	_, err := p.signIn(p.client())
	if e := wantError(t, err, rp.IDTokenInvalid, "jwt.audience"); len(e.Error()) > 1000 || e.Cause == nil {
		t.Errorf("%d bytes: %.300s", len(e.Error()), e)
	}
	p.claims = claims{"iss": strings.Repeat("x", 10_000)}
	_, err = p.signIn(p.client())
	if e := wantError(t, err, rp.IDTokenInvalid, "jwt.issuer"); len(e.Error()) > 1000 {
		t.Errorf("%d bytes: %.300s", len(e.Error()), e)
	}
	p.claims, p.header = nil, claims{"alg": strings.Repeat("x", 10_000)}
	_, err = p.signIn(p.client())
	if e := wantError(t, err, rp.IDTokenInvalid, "jwt.algorithm"); len(e.Error()) > 1000 {
		t.Errorf("%d bytes: %.300s", len(e.Error()), e)
	}
}

func TestSignInThatIsCanceledWhileKeysAreFetched(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	r := p.begin(c)
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	p.on(pathKeys, func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	})
	_, err := c.Redeem(ctx, r, response())
	wantError(t, err, rp.ProviderUnavailable, "http.unusable")
}
