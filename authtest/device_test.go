package authtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/authtest"
)

// askForCode asks the device authorization endpoint.
func askForCode(t *testing.T, p *authtest.Provider, pairs ...string) (int, map[string]any) {
	t.Helper()
	form := merge(url.Values{"client_id": {p.ClientID}, "scope": {"openid"}}, pairs...)
	request, err := http.NewRequest(http.MethodPost, p.URL(authtest.DeviceAuthorization), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(t, p, request)
}

// waitingDevice is what a device got that is about to wait.
func waitingDevice(t *testing.T, p *authtest.Provider, pairs ...string) (code, userCode, page string) {
	t.Helper()
	status, answer := askForCode(t, p, pairs...)
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, answer)
	}
	return answer["device_code"].(string), answer["user_code"].(string), answer["verification_uri_complete"].(string)
}

// poll asks the token endpoint whether the person has allowed the device.
func poll(t *testing.T, p *authtest.Provider, code string, pairs ...string) (int, map[string]any) {
	t.Helper()
	form := merge(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code}, "client_id": {p.ClientID}}, pairs...)
	request, err := http.NewRequest(http.MethodPost, p.URL(authtest.Token), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(t, p, request)
}

// refuses reports an answer of the token endpoint that is not the error.
func refuses(t *testing.T, p *authtest.Provider, code, want string) {
	t.Helper()
	if status, answer := poll(t, p, code); status != http.StatusBadRequest || answer["error"] != want || answer["access_token"] != nil {
		t.Errorf("%d %v, want %s", status, answer, want)
	}
}

func publicProvider(t *testing.T, clock *clock) *authtest.Provider {
	t.Helper()
	return start(t, authtest.Config{Public: true, Now: clock.now})
}

func TestDeviceIsAllowedOnThePage(t *testing.T) {
	clock := newClock()
	p, b := publicProvider(t, clock), authtest.NewBrowser()
	_, answer := askForCode(t, p, "scope", "openid profile offline_access")
	if answer["expires_in"] != 600.0 || answer["interval"] != 5.0 || answer["verification_uri"] != p.Issuer+"/device" {
		t.Errorf("%v", answer)
	}
	code, userCode := answer["device_code"].(string), answer["user_code"].(string)
	refuses(t, p, code, "authorization_pending")
	page, err := b.Get(p.Issuer + "/device")
	if err != nil {
		t.Fatal(err)
	}
	page, err = b.SubmitForm(page, "Continue", set("user_code", " "+strings.ToLower(strings.Replace(userCode, "-", " ", 1))))
	if err != nil || !strings.Contains(page.Text(), userCode) || !strings.Contains(page.Text(), "<code>offline_access</code>") {
		t.Fatalf("%v: %s", err, page.Text())
	}
	clock.add(5 * time.Second)
	refuses(t, p, code, "authorization_pending") // to see the code allows nothing
	page, err = b.SubmitForm(page, "Allow as Grace Hopper", nil)
	if err != nil || !strings.Contains(page.Text(), `id="allowed"`) {
		t.Fatalf("%v: %s", err, page.Text())
	}
	clock.add(5 * time.Second)
	status, tokens := poll(t, p, code)
	if status != http.StatusOK || claimsOf(t, tokens["id_token"])["sub"] != "grace" || tokens["refresh_token"] == nil || tokens["scope"] != "openid profile offline_access" {
		t.Fatalf("%d %v", status, tokens)
	}
	if status, claims := userinfo(t, p, tokens["access_token"].(string)); status != http.StatusOK || claims["sub"] != "grace" {
		t.Errorf("%d %v", status, claims)
	}
	clock.add(5 * time.Second)
	refuses(t, p, code, "invalid_grant") // once
}

func TestDeviceIsRefused(t *testing.T) {
	clock := newClock()
	p, b := publicProvider(t, clock), authtest.NewBrowser()
	t.Run("by the person", func(t *testing.T) {
		code, _, link := waitingDevice(t, p)
		page, err := b.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		if page, err = b.SubmitForm(page, "Cancel", nil); err != nil || !strings.Contains(page.Text(), `id="denied"`) {
			t.Fatalf("%v: %s", err, page.Text())
		}
		refuses(t, p, code, "access_denied")
		if page, err = b.Get(link); err != nil || !strings.Contains(page.Text(), `role="alert"`) || !strings.Contains(page.Text(), `name="user_code"`) {
			t.Errorf("%v: %s", err, page.Text())
		}
	})
	t.Run("by DenyConsent", func(t *testing.T) {
		defer p.DenyConsent(false)
		p.DenyConsent(true)
		code, _, _ := waitingDevice(t, p)
		refuses(t, p, code, "access_denied")
	})
	t.Run("too late", func(t *testing.T) {
		code, _, link := waitingDevice(t, p)
		clock.add(10 * time.Minute)
		refuses(t, p, code, "authorization_pending")
		clock.add(time.Second)
		if page, err := b.Get(link); err != nil || !strings.Contains(page.Text(), `role="alert"`) || !strings.Contains(page.Text(), `name="user_code"`) {
			t.Errorf("%v: %s", err, page.Text())
		}
		refuses(t, p, code, "expired_token")
	})
	t.Run("with an unknown code", func(t *testing.T) { refuses(t, p, "made-up", "invalid_grant") })
	t.Run("by another site's form", func(t *testing.T) {
		code, userCode, _ := waitingDevice(t, p)
		page, err := b.Submit(authtest.At("https://evil.example/"), p.Issuer+"/device", set("user_code", userCode, "person", "ada"))
		if err != nil || page.Status != http.StatusForbidden {
			t.Errorf("%v %d", err, page.Status)
		}
		refuses(t, p, code, "authorization_pending")
	})
	t.Run("as nobody", func(t *testing.T) {
		code, userCode, _ := waitingDevice(t, p)
		page, err := b.Submit(authtest.At(p.Issuer+"/device"), p.Issuer+"/device", set("user_code", userCode, "person", "mallory"))
		if err != nil || !strings.Contains(page.Text(), userCode) {
			t.Errorf("%v %s", err, page.Text())
		}
		refuses(t, p, code, "authorization_pending")
	})
}

// A device that asks again too soon has to wait for five seconds more from then on.
func TestDeviceSlowsDown(t *testing.T) {
	clock := newClock()
	p := publicProvider(t, clock)
	code, _, _ := waitingDevice(t, p)
	refuses(t, p, code, "authorization_pending")
	clock.add(3 * time.Second)
	refuses(t, p, code, "slow_down")
	clock.add(5 * time.Second)
	refuses(t, p, code, "slow_down") // the interval is ten seconds by now
	clock.add(15 * time.Second)
	refuses(t, p, code, "authorization_pending")
	p.SignInAs("ada")
	clock.add(14 * time.Second) // of fifteen: what a timer may be off
	if status, answer := poll(t, p, code); status != http.StatusOK || claimsOf(t, answer["id_token"])["sub"] != "ada" {
		t.Errorf("%d %v", status, answer)
	}
}

func TestDeviceAuthorizationRefuses(t *testing.T) {
	const api = "https://api.example.com"
	apis := map[string][]string{api: {"orders:read"}}
	public := start(t, authtest.Config{Public: true, APIs: apis})
	secret := start(t, authtest.Config{APIs: apis})
	for _, test := range []struct {
		name   string
		p      *authtest.Provider
		pairs  []string
		status int
		code   any
	}{
		{"", public, nil, 200, nil},
		{"an API", public, []string{"resource", api, "scope", "orders:read"}, 200, nil},
		{"another client", public, []string{"client_id", "other"}, 401, "invalid_client"},
		{"no client", public, []string{"client_id", "-"}, 401, "invalid_client"},
		{"a client without its secret", secret, nil, 401, "invalid_client"},
		{"a client with its secret", secret, []string{"client_secret", secret.ClientSecret}, 200, nil},
		{"another scope", public, []string{"scope", "openid everything"}, 400, "invalid_scope"},
		{"another resource", public, []string{"resource", "https://other.example"}, 400, "invalid_target"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if status, answer := askForCode(t, test.p, test.pairs...); status != test.status || answer["error"] != test.code {
				t.Errorf("%d %v", status, answer)
			}
		})
	}
	public.Fail(authtest.DeviceAuthorization, authtest.Down)
	if response, _ := client(public).PostForm(public.URL(authtest.DeviceAuthorization), nil); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("down: %d", response.StatusCode)
	}
	if n := public.Count(authtest.DeviceAuthorization); n != 7 {
		t.Errorf("%d requests remembered", n)
	}
}
