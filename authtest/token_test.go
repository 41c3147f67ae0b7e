package authtest_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/ginauth/ginauth/authtest"
)

func TestTokenEndpointRefuses(t *testing.T) {
	clock := newClock()
	p := start(t, authtest.Config{Now: clock.now})
	for _, test := range []struct {
		name   string
		ask    []string      // changes to the authorization request
		wait   time.Duration // before the code is redeemed
		redeem []string      // changes to the token request
		code   string
	}{
		{"", nil, 0, nil, ""},
		{"a code at its last second", nil, time.Minute, nil, ""},
		{"without PKCE", []string{"code_challenge", "-", "code_challenge_method", "-"}, 0, []string{"code_verifier", "-"}, ""},
		{"an expired code", nil, time.Minute + time.Second, nil, "invalid_grant"},
		{"no code", nil, 0, []string{"code", "-"}, "invalid_grant"},
		{"another code", nil, 0, []string{"code", "another"}, "invalid_grant"},
		{"another redirect URI", nil, 0, []string{"redirect_uri", callback + "/"}, "invalid_grant"},
		{"no redirect URI", nil, 0, []string{"redirect_uri", "-"}, "invalid_grant"},
		{"another verifier", nil, 0, []string{"code_verifier", verifier + "x"}, "invalid_grant"},
		{"no verifier", nil, 0, []string{"code_verifier", "-"}, "invalid_grant"},
		{"a verifier that is too short", []string{"code_challenge", challengeOf("short")}, 0, []string{"code_verifier", "short"}, "invalid_grant"},
		{"a verifier without a challenge", []string{"code_challenge", "-", "code_challenge_method", "-"}, 0, nil, "invalid_grant"},
		{"another grant type", nil, 0, []string{"grant_type", "password"}, "unsupported_grant_type"},
		{"no grant type", nil, 0, []string{"grant_type", "-"}, "invalid_request"},
		{"another client id in the body", nil, 0, []string{"client_id", "other"}, "invalid_request"},
		{"the secret in the body too", nil, 0, []string{"client_secret", p.ClientSecret}, "invalid_request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code := codeFor(t, p, "ada", test.ask...)
			clock.add(test.wait)
			status, answer := redeem(t, p, redemption(code, test.redeem...))
			if test.code == "" && (status != http.StatusOK || answer["access_token"] == nil) {
				t.Errorf("%d %v", status, answer)
			}
			if test.code != "" && (status != http.StatusBadRequest || answer["error"] != test.code || answer["access_token"] != nil) {
				t.Errorf("%d %v", status, answer)
			}
		})
	}
}

// A client with a key authenticates by what it signs, and in no other way.
func TestClientKey(t *testing.T) {
	clock := newClock()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, strange, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, authtest.Config{Now: clock.now, ClientKey: key, ClientSecret: "none"})
	if client := p.Client("demo"); client.ClientSecret != "" || client.PrivateKey == nil {
		t.Errorf("the client has %v and the secret %q", client.PrivateKey, client.ClientSecret)
	}
	sign := func(key crypto.Signer, claims map[string]any) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: cryptosigner.Opaque(key)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]any{"iss": p.ClientID, "sub": p.ClientID, "aud": p.Issuer, "jti": rand.Text(), "exp": clock.now().Add(time.Minute).Unix()}
		maps.Copy(all, claims)
		payload, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := token.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	used := sign(key, map[string]any{"jti": "once"})
	const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	for _, test := range []struct {
		name      string
		typ       string
		assertion string
		more      []string
		refused   bool
	}{
		{"good", jwtBearer, used, nil, false},
		{"good, without a client_id", jwtBearer, sign(key, nil), []string{"client_id", "-"}, false},
		{"used before", jwtBearer, used, nil, true},
		{"another key", jwtBearer, sign(strange, nil), nil, true},
		{"another issuer", jwtBearer, sign(key, map[string]any{"iss": "other"}), nil, true},
		{"another subject", jwtBearer, sign(key, map[string]any{"sub": "other"}), nil, true},
		{"the token endpoint as audience", jwtBearer, sign(key, map[string]any{"aud": p.URL(authtest.Token)}), nil, true},
		{"a list of audiences", jwtBearer, sign(key, map[string]any{"aud": []string{p.Issuer}}), nil, true},
		{"past", jwtBearer, sign(key, map[string]any{"exp": clock.now().Unix()}), nil, true},
		{"too long", jwtBearer, sign(key, map[string]any{"exp": clock.now().Add(6 * time.Minute).Unix()}), nil, true},
		{"from the future", jwtBearer, sign(key, map[string]any{"iat": clock.now().Add(2 * time.Minute).Unix()}), nil, true},
		{"without a jti", jwtBearer, sign(key, map[string]any{"jti": ""}), nil, true},
		{"another type", "jwt", sign(key, nil), nil, true},
		{"a secret beside it", jwtBearer, sign(key, nil), []string{"client_secret", "none"}, true},
		{"Basic beside it", jwtBearer, sign(key, nil), []string{"client_secret", "in two ways"}, true},
		{"another client_id", jwtBearer, sign(key, nil), []string{"client_id", "other"}, true},
		{"not a JWT", jwtBearer, "none", nil, true},
		{"a secret in its place", "-", "-", []string{"client_secret", "none"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := append([]string{"client_id", p.ClientID, "client_assertion_type", test.typ, "client_assertion", test.assertion}, test.more...)
			status, answer := redeem(t, p, redemption(codeFor(t, p, "ada"), change...))
			if test.refused && (status < 400 || answer["error"] != "invalid_client" && answer["error"] != "invalid_request") || !test.refused && status != http.StatusOK {
				t.Errorf("%d %v", status, answer)
			}
		})
	}
}

func TestCodeIsUsedOnce(t *testing.T) {
	p := start(t, authtest.Config{})
	code := codeFor(t, p, "ada")
	_, first := redeem(t, p, redemption(code))
	accessToken := first["access_token"].(string)
	if status, _ := userinfo(t, p, accessToken); status != http.StatusOK {
		t.Fatalf("userinfo: %d", status)
	}
	if status, second := redeem(t, p, redemption(code)); status != http.StatusBadRequest || second["error"] != "invalid_grant" {
		t.Errorf("second use: %d %v", status, second)
	}
	if status, _ := userinfo(t, p, accessToken); status != http.StatusUnauthorized {
		t.Errorf("after the second use the first one's token still works: %d", status)
	}
	code = codeFor(t, p, "ada")
	redeem(t, p, redemption(code, "code_verifier", "-"))
	if _, answer := redeem(t, p, redemption(code)); answer["error"] != "invalid_grant" {
		t.Errorf("after a failed attempt: %v", answer)
	}
}

func TestIgnorePKCE(t *testing.T) {
	p := start(t, authtest.Config{})
	p.IgnorePKCE(true)
	if status, answer := redeem(t, p, redemption(codeFor(t, p, "ada"), "code_verifier", "stolen")); status != http.StatusOK {
		t.Errorf("%d %v", status, answer)
	}
}

func TestClientAuthentication(t *testing.T) {
	odd := authtest.Config{ClientID: "id: %+é", ClientSecret: "s: %+&é secret"}
	basic := func(id, secret string) func(*http.Request, url.Values) {
		return func(r *http.Request, _ url.Values) { r.SetBasicAuth(id, secret) }
	}
	post := func(id, secret string) func(*http.Request, url.Values) {
		return func(_ *http.Request, form url.Values) { form.Set("client_id", id); form.Set("client_secret", secret) }
	}
	for _, test := range []struct {
		name   string
		config authtest.Config
		prove  func(*http.Request, url.Values)
		status int
		code   any
	}{
		{"basic", odd, basic(url.QueryEscape(odd.ClientID), url.QueryEscape(odd.ClientSecret)), 200, nil},
		{"basic without form encoding", odd, basic(odd.ClientID, odd.ClientSecret), 401, "invalid_client"},
		{"basic with a wrong secret", odd, basic(url.QueryEscape(odd.ClientID), "wrong"), 401, "invalid_client"},
		{"post", odd, post(odd.ClientID, odd.ClientSecret), 200, nil},
		{"post with a wrong secret", odd, post(odd.ClientID, "wrong"), 401, "invalid_client"},
		{"post with another id", odd, post("other", odd.ClientSecret), 401, "invalid_client"},
		{"no secret", odd, func(_ *http.Request, form url.Values) { form.Set("client_id", odd.ClientID) }, 401, "invalid_client"},
		{"nothing", odd, func(*http.Request, url.Values) {}, 401, "invalid_client"},
		{"another scheme", odd, func(r *http.Request, _ url.Values) { r.Header.Set("Authorization", "Bearer x") }, 401, "invalid_client"},
		{"public", authtest.Config{Public: true}, func(_ *http.Request, form url.Values) { form.Set("client_id", "demo-client") }, 200, nil},
		{"public with a secret", authtest.Config{Public: true}, post("demo-client", "any"), 401, "invalid_client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, test.config)
			form := redemption(codeFor(t, p, "ada"))
			request, _ := http.NewRequest(http.MethodPost, p.URL(authtest.Token), nil)
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			test.prove(request, form)
			body := strings.NewReader(form.Encode())
			request.Body, request.ContentLength = http.NoBody, int64(body.Len())
			request.Body = readCloser{body}
			response, err := client(p).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			answer := object(t, read(t, response))
			if response.StatusCode != test.status || answer["error"] != test.code {
				t.Errorf("%d %v", response.StatusCode, answer)
			}
			if response.Header.Get("Cache-Control") != "no-store" {
				t.Error("may be cached")
			}
			tried := request.Header.Get("Authorization") != ""
			if told := response.Header.Get("WWW-Authenticate") != ""; told != (tried && test.status == 401) {
				t.Errorf("WWW-Authenticate %q", response.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func TestTokenRequestForm(t *testing.T) {
	p := start(t, authtest.Config{})
	request, _ := http.NewRequest(http.MethodPost, p.URL(authtest.Token), strings.NewReader(`{"code":"x"}`))
	request.Header.Set("Content-Type", "application/json")
	if status, answer := send(t, p, request); status != 400 || answer["error"] != "invalid_request" {
		t.Errorf("JSON: %d %v", status, answer)
	}
	twice := redemption(codeFor(t, p, "ada"))
	twice.Add("code", "another")
	if status, answer := redeem(t, p, twice); status != 400 || answer["error"] != "invalid_request" {
		t.Errorf("code twice: %d %v", status, answer)
	}
	if status, answer := redeem(t, p, redemption(codeFor(t, p, "ada", "scope", "profile"))); status != 200 || answer["id_token"] != nil || answer["scope"] != "profile" {
		t.Errorf("without openid: %d %v", status, answer)
	}
}

func TestClaimsFollowScopes(t *testing.T) {
	person := authtest.Person{Subject: "p", Name: "Per", Username: "pelle", Email: "p@example.com", EmailVerified: true, Locale: "sv",
		Picture: "https://example.com/p.png", Groups: []string{"g"}, Claims: map[string]any{"tenant": "t", "locale": nil, "sub": "no", "iss": "no"}}
	for _, test := range []struct {
		scope string
		want  map[string]any
	}{
		{"openid", map[string]any{}},
		{"openid email", map[string]any{"email": "p@example.com", "email_verified": true}},
		{"openid groups", map[string]any{"groups": []any{"g"}}},
		{"openid profile", map[string]any{"name": "Per", "preferred_username": "pelle", "picture": "https://example.com/p.png", "groups": []any{"g"}}},
	} {
		for _, thin := range []bool{false, true} {
			p := start(t, authtest.Config{People: []authtest.Person{person}, ThinIDToken: thin})
			answer := tokens(t, p, "p", "scope", test.scope)
			_, info := userinfo(t, p, answer["access_token"].(string))
			inToken := claimsOf(t, answer["id_token"])
			if inToken["iss"] != p.Issuer || inToken["sub"] != "p" || info["sub"] != "p" {
				t.Errorf("iss and sub: %v, %v", inToken, info)
			}
			for _, protocol := range []string{"iss", "sub", "aud", "iat", "exp", "nonce", "at_hash", "sid"} {
				if inToken[protocol] == nil {
					t.Errorf("%s is missing", protocol)
				}
				delete(inToken, protocol)
			}
			delete(info, "sub")
			delete(info, "iss")
			test.want["tenant"] = "t"
			if !reflect.DeepEqual(info, test.want) {
				t.Errorf("%s: userinfo %v", test.scope, info)
			}
			if thin && len(inToken) > 0 || !thin && !reflect.DeepEqual(inToken, test.want) {
				t.Errorf("%s, thin %v: ID token %v", test.scope, thin, inToken)
			}
		}
	}
}

func TestIDTokenTimes(t *testing.T) {
	clock := newClock()
	p := start(t, authtest.Config{Now: clock.now, IDTokenTTL: time.Minute})
	code := codeFor(t, p, "ada", "max_age", "100")
	clock.add(5 * time.Second)
	_, answer := redeem(t, p, redemption(code))
	claims := claimsOf(t, answer["id_token"])
	now := float64(clock.now().Unix())
	if claims["iat"] != now || claims["exp"] != now+60 || claims["auth_time"] != now-5 {
		t.Errorf("%v at %v", claims, now)
	}
	if claims := claimsOf(t, tokens(t, p, "ada")["id_token"]); claims["auth_time"] != nil {
		t.Errorf("auth_time without max_age")
	}
	accessToken := tokens(t, p, "ada")["access_token"].(string)
	clock.add(time.Hour)
	if status, _ := userinfo(t, p, accessToken); status != http.StatusOK {
		t.Errorf("an access token in its last second: %d", status)
	}
	clock.add(time.Second)
	if status, _ := userinfo(t, p, accessToken); status != http.StatusUnauthorized {
		t.Errorf("an expired access token: %d", status)
	}
}

func TestUserinfoNeedsBearer(t *testing.T) {
	p := start(t, authtest.Config{})
	accessToken := tokens(t, p, "ada")["access_token"].(string)
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Basic " + accessToken, accessToken} {
		request, _ := http.NewRequest(http.MethodGet, p.URL(authtest.Userinfo)+"?access_token="+accessToken, nil)
		request.Header.Set("Authorization", authorization)
		response, err := p.HTTPClient().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		read(t, response)
		if response.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(response.Header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%q: %d", authorization, response.StatusCode)
		}
	}
}

func TestHintsOfEveryAlgorithm(t *testing.T) {
	for _, alg := range []string{"RS512", "PS256", "ES256", "EdDSA"} {
		p, other := start(t, authtest.Config{SigningAlg: alg}), start(t, authtest.Config{SigningAlg: alg})
		hint := tokens(t, p, "ada")["id_token"].(string)
		forged := other.Sign(nil, claimsOf(t, hint))
		short := hint[:strings.LastIndex(hint, ".")+5]
		for compact, want := range map[string]int{hint: http.StatusOK, forged: http.StatusBadRequest, short: http.StatusBadRequest} {
			if response, _ := get(t, p, p.URL(authtest.EndSession)+"?id_token_hint="+compact); response.StatusCode != want {
				t.Errorf("%s: %d, want %d", alg, response.StatusCode, want)
			}
		}
	}
}

func TestEndSession(t *testing.T) {
	const back = "https://app.example.com/logout/return?x=1"
	p := start(t, authtest.Config{PostLogoutRedirectURIs: []string{back}})
	other := start(t, authtest.Config{})
	hint := tokens(t, p, "ada")["id_token"].(string)
	foreign := tokens(t, other, "ada")["id_token"].(string)
	p.RotateKey()
	for _, test := range []struct {
		name     string
		query    url.Values
		status   int
		location string
	}{
		{"nothing asked", nil, 200, ""},
		{"by client id", set("client_id", p.ClientID, "post_logout_redirect_uri", back, "state", "a b"), 303, back + "&state=a+b"},
		{"by a hint from before the key was rotated", set("id_token_hint", hint, "post_logout_redirect_uri", back), 303, back},
		{"by neither", set("post_logout_redirect_uri", back), 400, ""},
		{"another client", set("client_id", "other", "post_logout_redirect_uri", back), 400, ""},
		{"an unregistered address", set("client_id", p.ClientID, "post_logout_redirect_uri", "https://evil.example/"), 400, ""},
		{"another provider's token", set("id_token_hint", foreign, "post_logout_redirect_uri", back), 400, ""},
		{"a changed token", set("id_token_hint", hint[:len(hint)-8]+"AAAAAAAA", "post_logout_redirect_uri", back), 400, ""},
		{"no token at all", set("id_token_hint", "x.y", "post_logout_redirect_uri", back), 400, ""},
		{"hint and id differ", set("id_token_hint", hint, "client_id", "other", "post_logout_redirect_uri", back), 400, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, _ := get(t, p, p.URL(authtest.EndSession)+"?"+test.query.Encode())
			if response.StatusCode != test.status || response.Header.Get("Location") != test.location {
				t.Errorf("%d to %q", response.StatusCode, response.Header.Get("Location"))
			}
		})
	}
}

// A refresh token comes where offline_access is asked for, is replaced at each use, and
// ends with all that followed from it once it is used again.
func TestRefreshTokens(t *testing.T) {
	p := start(t, authtest.Config{})
	if _, answer := redeem(t, p, redemption(codeFor(t, p, "ada"))); answer["refresh_token"] != nil {
		t.Errorf("one that was not asked for: %v", answer)
	}
	use := func(token any, more ...string) (int, map[string]any) {
		text, _ := token.(string)
		return redeem(t, p, redemption("", append([]string{"grant_type", "refresh_token", "refresh_token", text, "code", "-", "code_verifier", "-", "redirect_uri", "-"}, more...)...))
	}
	code := codeFor(t, p, "ada", "scope", "openid email offline_access")
	_, first := redeem(t, p, redemption(code))
	status, second := use(first["refresh_token"], "scope", "openid")
	if status != http.StatusOK || second["id_token"] == nil || second["access_token"] == first["access_token"] || second["refresh_token"] == first["refresh_token"] || second["scope"] != "openid" {
		t.Fatalf("%d %v", status, second)
	}
	if status, claims := userinfo(t, p, second["access_token"].(string)); status != http.StatusOK || claims["sub"] != "ada" || claims["email"] != nil {
		t.Errorf("the narrowed token: %d %v", status, claims)
	}
	if status, answer := use(second["refresh_token"], "scope", "openid groups"); status != http.StatusBadRequest || answer["error"] != "invalid_scope" {
		t.Errorf("a scope that was not granted: %d %v", status, answer)
	}
	_, third := use(second["refresh_token"])
	if third["scope"] != "openid email offline_access" {
		t.Errorf("after the narrowed one: %v", third)
	}
	for what, token := range map[string]any{"made up": "made-up", "none": ""} {
		if status, answer := use(token); status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
			t.Errorf("%s: %d %v", what, status, answer)
		}
	}
	if status, _ := use(first["refresh_token"]); status != http.StatusBadRequest {
		t.Errorf("a second use: %d", status)
	}
	if status, _ := use(third["refresh_token"]); status != http.StatusBadRequest {
		t.Error("the family goes on after a second use")
	}
	if status, _ := userinfo(t, p, third["access_token"].(string)); status != http.StatusUnauthorized {
		t.Error("its access token goes on after a second use")
	}
	code = codeFor(t, p, "ada", "scope", "openid offline_access")
	_, first = redeem(t, p, redemption(code))
	redeem(t, p, redemption(code)) // a code's second use
	if status, _ := use(first["refresh_token"]); status != http.StatusBadRequest {
		t.Error("the refresh token outlives its code's second use")
	}
	_, first = redeem(t, p, redemption(codeFor(t, p, "ada", "scope", "openid offline_access")))
	if status, _ := use(first["refresh_token"], "client_id", "other"); status == http.StatusOK {
		t.Error("another client may use it")
	}
}
