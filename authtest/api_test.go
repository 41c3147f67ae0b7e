package authtest_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/authtest"
)

const (
	ordersAPI = "https://orders.example.com"
	stockAPI  = "https://stock.example.com"
)

var twoAPIs = map[string][]string{ordersAPI: {"orders:read", "orders:write", "both"}, stockAPI: {"stock:read", "both"}}

// headerOf reads a JWT's header.
func headerOf(t *testing.T, compact string) map[string]any {
	t.Helper()
	header, err := decode(strings.Split(compact, ".")[0])
	if err != nil {
		t.Fatalf("%v in %q", err, compact)
	}
	return object(t, string(header))
}

// forItself asks for a token by the client credentials grant.
func forItself(t *testing.T, p *authtest.Provider, pairs ...string) (int, map[string]any) {
	t.Helper()
	return redeem(t, p, set(append([]string{"grant_type", "client_credentials"}, pairs...)...))
}

// Every grant gives a token for the API that its request names.
func TestAccessTokensForAnAPI(t *testing.T) {
	clock := newClock()
	p := start(t, authtest.Config{APIs: twoAPIs, Now: clock.now})
	p.AuthenticateWith("mfa")
	device := func(pairs ...string) map[string]any {
		p.SignInAs("ada")
		code, _, _ := waitingDevice(t, p, append([]string{"client_secret", p.ClientSecret}, pairs...)...)
		_, answer := poll(t, p, code, "client_secret", p.ClientSecret)
		return answer
	}
	_, itself := forItself(t, p, "scope", "orders:read")
	authorized := tokens(t, p, "ada", "resource", ordersAPI, "scope", "openid orders:read offline_access")
	_, refreshed := redeem(t, p, set("grant_type", "refresh_token", "refresh_token", authorized["refresh_token"].(string)))
	for name, test := range map[string]struct {
		answer map[string]any
		sub    string
		scopes string
	}{
		"authorization code, by its resource": {authorized, "ada", "orders:read"},
		"authorization code, by a scope":      {tokens(t, p, "ada", "scope", "openid orders:read"), "ada", "orders:read"},
		"refreshed":                           {refreshed, "ada", "orders:read"},
		"device, by its resource":             {device("resource", ordersAPI, "scope", "both"), "ada", "both"},
		"device, by a scope":                  {device("scope", "orders:write orders:read"), "ada", "orders:write orders:read"},
		"client credentials":                  {itself, p.ClientID, "orders:read"},
	} {
		compact, _ := test.answer["access_token"].(string)
		if compact == "" {
			t.Errorf("%s: %v", name, test.answer)
			continue
		}
		claims := claimsOf(t, compact)
		if headerOf(t, compact)["typ"] != "at+jwt" || claims["aud"] != ordersAPI || claims["sub"] != test.sub || claims["scope"] != test.scopes || claims["client_id"] != p.ClientID || claims["iss"] != p.Issuer {
			t.Errorf("%s: %v", name, claims)
		}
		if person := test.sub == "ada"; person != (claims["acr"] == "mfa") || person != (claims["auth_time"] == float64(clock.now().Unix())) || person != (claims["sid"] != nil) {
			t.Errorf("%s: how the person authenticated: %v", name, claims)
		}
		if status, _ := userinfo(t, p, compact); status != http.StatusUnauthorized {
			t.Errorf("%s: userinfo takes a token for another API: %d", name, status)
		}
	}
	if answer := tokens(t, p, "ada"); strings.Contains(answer["access_token"].(string), ".") {
		t.Error("a token without an API is a JWT")
	}
	if itself["refresh_token"] != nil || itself["id_token"] != nil {
		t.Errorf("a program has got %v", itself)
	}
}

func TestResourcesAreRefused(t *testing.T) {
	p := start(t, authtest.Config{APIs: twoAPIs})
	code := func(pairs ...string) string { return codeFor(t, p, "ada", pairs...) }
	granted := redemption(code("resource", ordersAPI, "scope", "both"), "resource", stockAPI)
	several := redemption(code("scope", "both"))
	several["resource"] = []string{ordersAPI, stockAPI}
	for name, ask := range map[string]func() (int, map[string]any){
		"at the token endpoint": func() (int, map[string]any) {
			return redeem(t, p, redemption(code(), "resource", "https://other.example"))
		},
		"that was not granted": func() (int, map[string]any) { return redeem(t, p, granted) },
		"that are two":         func() (int, map[string]any) { return redeem(t, p, several) },
		"that two APIs share":  func() (int, map[string]any) { return redeem(t, p, redemption(code("scope", "both"))) },
		"of a program":         func() (int, map[string]any) { return forItself(t, p, "resource", "https://other.example") },
		"of a program, absent": func() (int, map[string]any) { return forItself(t, p) },
	} {
		if status, answer := ask(); status != http.StatusBadRequest || answer["error"] != "invalid_target" {
			t.Errorf("resource %s: %d %v", name, status, answer)
		}
	}
	if answer := authorize(t, p, authorization(p, "resource", "https://other.example")); answer.Get("error") != "invalid_target" {
		t.Errorf("at the authorization endpoint: %v", answer)
	}
	for _, scope := range []string{"openid", "orders:read offline_access", "everything"} {
		if status, answer := forItself(t, p, "scope", scope); status != http.StatusBadRequest || answer["error"] != "invalid_scope" {
			t.Errorf("%s of a program: %d %v", scope, status, answer)
		}
	}
	public := start(t, authtest.Config{Public: true, APIs: twoAPIs})
	if status, answer := poll(t, public, "", "grant_type", "client_credentials", "scope", "orders:read"); status != http.StatusBadRequest || answer["error"] != "unauthorized_client" {
		t.Errorf("a public client: %d %v", status, answer)
	}
}

// Without APIs nothing is changed by a resource, as at providers that know nothing of it.
func TestResourceWithoutAPIs(t *testing.T) {
	p := start(t, authtest.Config{})
	answer := tokens(t, p, "ada", "resource", "https://api.example.com")
	if status, _ := userinfo(t, p, answer["access_token"].(string)); status != http.StatusOK {
		t.Errorf("userinfo: %d", status)
	}
}

func TestAPIsInTheMetadata(t *testing.T) {
	p := start(t, authtest.Config{APIs: twoAPIs})
	_, body := get(t, p, p.URL(authtest.Discovery))
	var metadata struct {
		Device string   `json:"device_authorization_endpoint"`
		Scopes []string `json:"scopes_supported"`
		Grants []string `json:"grant_types_supported"`
	}
	if err := json.Unmarshal([]byte(body), &metadata); err != nil {
		t.Fatal(err)
	}
	want := []string{"openid", "profile", "email", "groups", "offline_access", "both", "orders:read", "orders:write", "stock:read"}
	if !reflect.DeepEqual(metadata.Scopes, want) || metadata.Device != p.URL(authtest.DeviceAuthorization) || len(metadata.Grants) != 4 {
		t.Errorf("%+v", metadata)
	}
}

func TestFaultsOfAPITokens(t *testing.T) {
	clock := newClock()
	p := start(t, authtest.Config{APIs: twoAPIs, Now: clock.now})
	for fault, wrong := range map[authtest.Fault]func(claims map[string]any) bool{
		authtest.WrongIssuer:   func(claims map[string]any) bool { return claims["iss"] != p.Issuer },
		authtest.WrongAudience: func(claims map[string]any) bool { return claims["aud"] != ordersAPI },
		authtest.Expired:       func(claims map[string]any) bool { return claims["exp"].(float64) < float64(clock.now().Unix()) },
		authtest.NoIDToken:     func(claims map[string]any) bool { return claims["aud"] == ordersAPI }, // of ID tokens alone
	} {
		p.Fail(authtest.Token, fault)
		if _, answer := forItself(t, p, "resource", ordersAPI); answer["access_token"] == nil || !wrong(claimsOf(t, answer["access_token"])) {
			t.Errorf("%s: %v", fault, answer)
		}
	}
	p.Heal()
	p.EditToken(func(answer map[string]any) { answer["expires_in"] = 1 })
	if _, answer := forItself(t, p, "resource", ordersAPI); answer["expires_in"] != 1.0 {
		t.Errorf("%v", answer)
	}
}
