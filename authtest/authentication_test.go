package authtest_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/ginauth/ginauth/authtest"
)

// A provider with a single sign-on asks its people again if a request wants more than
// their session has, unless it ignores what is wanted.
func TestSingleSignOn(t *testing.T) {
	for _, tt := range []struct {
		name    string
		ignores []authtest.Ignorable
		pairs   []string
		asks    bool
		proof   string // acr, amr and how old auth_time is
	}{
		{"nothing more", nil, nil, false, "pwd [pwd] absent"},
		{"young enough", nil, []string{"max_age", "3600"}, false, "pwd [pwd] 1h0m0s"},
		{"too old", nil, []string{"max_age", "3599"}, true, "otp [otp] 0s"},
		{"max_age ignored", []authtest.Ignorable{authtest.MaxAge}, []string{"max_age", "3599"}, false, "pwd [pwd] absent"},
		{"auth_time left out", []authtest.Ignorable{authtest.AuthTime}, []string{"max_age", "0"}, true, "otp [otp] absent"},
		{"prompt=login", nil, []string{"prompt", "login"}, true, "otp [otp] absent"},
		{"prompt ignored", []authtest.Ignorable{authtest.Prompt}, []string{"prompt", "login"}, false, "pwd [pwd] absent"},
		{"the acr that the session has", nil, []string{"acr_values", "mfa pwd"}, false, "pwd [pwd] absent"},
		{"another acr", nil, []string{"acr_values", "mfa hwk"}, true, "mfa [otp] absent"},
		{"acr_values ignored", []authtest.Ignorable{authtest.ACRValues}, []string{"acr_values", "mfa"}, false, "pwd [pwd] absent"},
		{"acr_values ignored by a single sign-on", []authtest.Ignorable{authtest.ACRValuesSignOn}, []string{"acr_values", "mfa"}, false, "pwd [pwd] absent"},
		{"and not by who authenticates", []authtest.Ignorable{authtest.ACRValuesSignOn}, []string{"acr_values", "mfa", "max_age", "0"}, true, "mfa [otp] 0s"},
		{"acr left out", []authtest.Ignorable{authtest.ACR}, nil, false, "<nil> <nil> absent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := newClock()
			p := start(t, authtest.Config{Now: clock.now})
			p.SingleSignOn(true)
			p.AuthenticateWith("pwd", "pwd")
			p.SignInAs("grace")
			b := authtest.NewBrowser()
			b.StopAt = stopAtApp
			ask := func(pairs ...string) url.Values {
				t.Helper()
				page, err := b.Get(p.URL(authtest.Authorize) + "?" + authorization(p, pairs...).Encode())
				if err != nil {
					t.Fatal(err)
				}
				location, err := url.Parse(page.Header.Get("Location"))
				if err != nil {
					t.Fatal(err)
				}
				return location.Query()
			}
			ask()
			clock.add(time.Hour)
			p.AuthenticateWith("otp", "otp")
			p.Ignore(tt.ignores...)
			if len(tt.pairs) == 0 || tt.pairs[0] != "prompt" {
				if silent := ask(append([]string{"prompt", "none"}, tt.pairs...)...); silent.Has("code") == tt.asks || tt.asks && silent.Get("error") != "login_required" {
					t.Errorf("with prompt=none: %v", silent)
				}
			}
			_, tokens := redeem(t, p, redemption(ask(tt.pairs...).Get("code")))
			claims := claimsOf(t, tokens["id_token"])
			age := "absent"
			if at, there := claims["auth_time"].(float64); there {
				age = clock.now().Sub(time.Unix(int64(at), 0)).String()
			}
			if got := fmt.Sprint(claims["acr"], " ", claims["amr"], " ", age); got != tt.proof {
				t.Errorf("the ID token has %s, want %s", got, tt.proof)
			}
		})
	}
}

// Without a single sign-on everybody authenticates at each sign-in.
func TestWithoutSingleSignOn(t *testing.T) {
	clock := newClock()
	p := start(t, authtest.Config{Now: clock.now})
	if claims := claimsOf(t, tokens(t, p, "ada")["id_token"]); claims["acr"] != nil || claims["amr"] != nil {
		t.Errorf("acr %v and amr %v out of nowhere", claims["acr"], claims["amr"])
	}
	p.AuthenticateWith("pwd", "pwd")
	if claims := claimsOf(t, tokens(t, p, "ada", "acr_values", "mfa")["id_token"]); claims["acr"] != "mfa" {
		t.Errorf("acr %v", claims["acr"])
	}
}
