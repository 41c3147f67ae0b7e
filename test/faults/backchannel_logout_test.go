package faults

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsBackchannelLogout(t *testing.T) {
	runFaults(t, []fault{
		{"H8_back_channel_logout_by_sid_and_by_sub", h8BackChannelLogoutBySidAndBySub},
		{"H9_back_channel_with_a_bad_signature", h9BackChannelWithABadSignature},
		{"H10_back_channel_of_another_issuer_or_client", h10BackChannelOfAnotherIssuerOrClient},
		{"H11_back_channel_events", h11BackChannelEvents},
		{"H12_back_channel_with_a_nonce", h12BackChannelWithANonce},
		{"H13_back_channel_without_sub_and_sid", h13BackChannelWithoutSubAndSid},
		{"H14_back_channel_times", h14BackChannelTimes},
		{"H15_back_channel_replayed", h15BackChannelReplayed},
		{"H16_id_token_as_logout_token", h16IdTokenAsLogoutToken},
		{"H17_back_channel_request_form", h17BackChannelRequestForm},
		{"H18_back_channel_of_another_provider", h18BackChannelOfAnotherProvider},
		{"H19_new_login_after_logout_lives_and_old_ones_stay_dead", h19NewLoginAfterLogoutLivesAndOldOnesStayDead},
		{"H20_clocks_that_differ", h20ClocksThatDiffer},
		{"H21_revocation_store_down", h21RevocationStoreDown},
		{"H22_back_channel_needs_no_cookie", h22BackChannelNeedsNoCookie},
	})
}

func h8BackChannelLogoutBySidAndBySub(t *testing.T) {
	t.Parallel()
	for name, who := range map[string]func(s *sitetest.Site) map[string]any{
		"by sid":  func(s *sitetest.Site) map[string]any { return map[string]any{"sid": s.SID()} },
		"by sub":  func(s *sitetest.Site) map[string]any { return map[string]any{"sub": "ada"} },
		"by both": func(s *sitetest.Site) map[string]any { return map[string]any{"sub": "ada", "sid": s.SID()} },
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.NewLogout(t, nil)
			s.SignIn()
			first, claims := s.Browser, who(s)
			s.IDP.SignInAs("grace")
			s.Browser = s.NewBrowser()
			s.SignIn()
			p := s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(claims)))
			if p.Status != http.StatusOK || p.Header.Get("Cache-Control") != "no-store" || len(p.Body) != 0 {
				t.Errorf("the response is %d %s, Cache-Control %q\n%s", p.Status, p.Text(), p.Header.Get("Cache-Control"), s.Logs)
			}
			if s.UserOf(first) != nil {
				t.Error("ada is still signed in")
			}
			if s.User() == nil {
				t.Error("grace is signed out")
			}
			if p := s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "nobody"}))); p.Status != http.StatusOK {
				t.Errorf("a user that has left: %d", p.Status)
			}
		})
	}
}

func h9BackChannelWithABadSignature(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	other := sitetest.StartProvider(t, authtest.Config{ClientID: s.IDP.ClientID, Now: s.Clock.Now})
	claims := s.LogoutClaims(map[string]any{"sub": "ada"})
	good := s.IDP.Sign(sitetest.LogoutHeader, claims)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"alg none":      s.IDP.Sign(map[string]any{"alg": "none", "typ": "logout+jwt"}, claims),
		"HS256":         s.IDP.Sign(map[string]any{"alg": "HS256", "typ": "logout+jwt"}, claims),
		"another key":   other.Sign(sitetest.LogoutHeader, claims),
		"unknown kid":   s.IDP.Sign(map[string]any{"kid": "unknown", "typ": "logout+jwt"}, claims),
		"cut signature": good[:len(good)-8],
		"no signature":  parts[0] + "." + parts[1] + ".",
		"garbage":       "x",
		"empty":         "",
	} {
		t.Run(name, func(t *testing.T) { s.RefusesLogoutToken(t, s.BackChannel(token)) })
	}
}

// bad posts tokens with modified claims.
func bad(s *sitetest.Site, t *testing.T, changes map[string]func(claims map[string]any)) {
	t.Helper()
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			claims := s.LogoutClaims(map[string]any{"sub": "ada"})
			change(claims)
			s.RefusesLogoutToken(t, s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, claims)))
		})
	}
}

func set(name string, v any) func(map[string]any) {
	return func(claims map[string]any) { claims[name] = v }
}

func drop(name string) func(map[string]any) {
	return func(claims map[string]any) { delete(claims, name) }
}

func h10BackChannelOfAnotherIssuerOrClient(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	bad(s, t, map[string]func(map[string]any){
		"other issuer": set("iss", "https://evil.example"), "issuer with a slash": set("iss", s.IDP.Issuer+"/"), "no issuer": drop("iss"),
		"other audience": set("aud", "other"), "audiences without us": set("aud", []any{"a", "b"}), "no audience": drop("aud"),
		"our audience and a null": set("aud", []any{s.IDP.ClientID, nil}),
	})
}

func h11BackChannelEvents(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	const event = "http://schemas.openid.net/event/backchannel-logout"
	bad(s, t, map[string]func(map[string]any){
		"missing": drop("events"), "other member": set("events", map[string]any{"http://example.com/event": map[string]any{}}),
		"member is no object": set("events", map[string]any{event: true}), "array": set("events", []any{event}), "text": set("events", event),
	})
	claims := s.LogoutClaims(map[string]any{"sub": "ada"})
	claims["events"].(map[string]any)["http://example.com/more"] = map[string]any{"a": 1}
	if p := s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, claims)); p.Status != http.StatusOK || s.User() != nil {
		t.Errorf("with an extra member: %d %s", p.Status, p.Text())
	}
}

func h12BackChannelWithANonce(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	bad(s, t, map[string]func(map[string]any){"nonce": set("nonce", "n"), "null": set("nonce", nil), "empty": set("nonce", "")})
}

func h13BackChannelWithoutSubAndSid(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	bad(s, t, map[string]func(map[string]any){
		"neither": drop("sub"), "sub is a number": set("sub", 1), "sub is empty": set("sub", ""), "sid is an object": set("sid", map[string]any{}),
	})
}

func h14BackChannelTimes(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	now := s.Clock.Now()
	bad(s, t, map[string]func(map[string]any){
		"no iat": drop("iat"), "iat ahead": set("iat", now.Add(2*time.Minute).Unix()), "iat old": set("iat", now.Add(-6*time.Minute).Unix()), "iat is text": set("iat", "1"),
		"expired": set("exp", now.Add(-2*time.Minute).Unix()), "exp is text": set("exp", fmt.Sprint(now.Add(time.Hour).Unix())),
		"nbf ahead": set("nbf", now.Add(2*time.Minute).Unix()),
		"no jti":    drop("jti"), "jti is a number": set("jti", 1), "jti is empty": set("jti", ""),
	})
}

func h15BackChannelReplayed(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	token := s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "ada"}))
	s.BackChannel(token)
	s.Clock.Advance(2 * time.Second)
	s.SignIn()
	if p := s.BackChannel(token); p.Status != http.StatusOK {
		t.Errorf("the second time: %d %s", p.Status, p.Text())
	}
	if s.User() == nil {
		t.Error("the replayed token ended a session that began after it")
	}
}

func h16IdTokenAsLogoutToken(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	now := s.Clock.Now()
	idToken := map[string]any{"iss": s.IDP.Issuer, "aud": s.IDP.ClientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "sub": "ada", "jti": "j", "nonce": "n"}
	s.RefusesLogoutToken(t, s.BackChannel(s.IDP.Sign(map[string]any{"typ": "JWT"}, idToken)))
	claims := s.LogoutClaims(map[string]any{"sub": "ada"})
	for _, typ := range []any{"at+jwt", "secevent+jwt", "logout", "", 1} {
		s.RefusesLogoutToken(t, s.BackChannel(s.IDP.Sign(map[string]any{"typ": typ}, claims)))
	}
	// The typ of Keycloak and others, and no typ, which RFC 7519 allows.
	if p := s.BackChannel(s.IDP.Sign(map[string]any{"typ": "JWT"}, claims)); p.Status != http.StatusOK {
		t.Errorf("typ JWT: %d %s", p.Status, p.Text())
	}
}

func h17BackChannelRequestForm(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	token := s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "ada"}))
	const form = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, body, contentType string
		status                  int
	}{
		{"JSON", `{"logout_token":"` + token + `"}`, "application/json", 415},
		{"multipart", "logout_token=" + token, "multipart/form-data; boundary=x", 415},
		{"missing", "a=b", form, 400},
		{"twice", "logout_token=" + token + "&logout_token=" + token, form, 400},
		{"too large", "logout_token=" + token + "&x=" + strings.Repeat("x", 65<<10), form, 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if p := s.BackChannelTo("demo", tt.body, tt.contentType); p.Status != tt.status || s.User() == nil {
				t.Errorf("the response is %d %s, want %d and no user signed out", p.Status, p.Text(), tt.status)
			}
		})
	}
	req, _ := http.NewRequest("GET", s.URL+"/logout/demo/backchannel?logout_token="+token, nil)
	if p := s.Must(s.NewBrowser().Do(req)); p.Status != 405 || p.Header.Get("Allow") != "POST" || s.User() == nil {
		t.Errorf("GET: %d, Allow %q", p.Status, p.Header.Get("Allow"))
	}
	if p := s.BackChannelTo("nope", "logout_token="+token, form); p.Status != 404 {
		t.Errorf("unknown provider: %d", p.Status)
	}
}

func h18BackChannelOfAnotherProvider(t *testing.T) {
	t.Parallel()
	var other *authtest.Provider
	s := sitetest.NewLogout(t, func(s *sitetest.Site, o *ginauth.Options) {
		other = sitetest.StartProvider(t, authtest.Config{Addr: "other.localhost:0", ClientID: s.IDP.ClientID, Now: s.Clock.Now})
		o.HTTPClient = other.HTTPClient()
		o.Providers = append(o.Providers, sitetest.Client("other", other))
	})
	s.SignIn()
	claims := s.LogoutClaims(map[string]any{"sub": "ada"})
	p := s.BackChannelTo("other", "logout_token="+s.IDP.Sign(sitetest.LogoutHeader, claims), "application/x-www-form-urlencoded")
	s.RefusesLogoutToken(t, p)
	claims["iss"] = other.Issuer
	if p := s.BackChannelTo("other", "logout_token="+other.Sign(sitetest.LogoutHeader, claims), "application/x-www-form-urlencoded"); p.Status != 200 || s.User() == nil {
		t.Errorf("the same subject at another issuer: %d, signed in %v", p.Status, s.User() != nil)
	}
}

func h19NewLoginAfterLogoutLivesAndOldOnesStayDead(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	var old []*authtest.Browser
	for range 3 {
		s.Browser = s.NewBrowser()
		s.SignIn()
		old = append(old, s.Browser)
	}
	s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "ada"})))
	s.Clock.Advance(2 * time.Second)
	s.Browser = s.NewBrowser()
	s.SignIn()
	for i, b := range old {
		if s.UserOf(b) != nil {
			t.Errorf("old session %d is valid again", i)
		}
	}
	if s.User() == nil {
		t.Error("the new session was revoked")
	}
}

// The provider's clock differs from ours: only the order by the provider's clock counts.
func h20ClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		after time.Duration // of the logout token, by the provider's clock
		alive bool
	}{
		{"a second after the ID token", time.Second, false},
		{"the same second", 0, false},
		{"a second before the ID token", -time.Second, true},
	} {
		for _, skew := range []time.Duration{-40 * time.Second, 0, 40 * time.Second} {
			s := sitetest.NewLogout(t, nil)
			var issued time.Time
			s.IDP.EditIDToken(func(_, claims map[string]any) {
				issued = s.Clock.Now().Add(skew).Truncate(time.Second)
				claims["iat"] = issued.Unix()
			})
			s.SignIn()
			claims := s.LogoutClaims(map[string]any{"sub": "ada", "iat": issued.Add(tt.after).Unix()})
			if p := s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, claims)); p.Status != http.StatusOK {
				t.Fatalf("%s, skew %v: %d %s", tt.name, skew, p.Status, p.Text())
			}
			if alive := s.User() != nil; alive != tt.alive {
				t.Errorf("%s, the provider's clock off by %v: signed in %v, want %v", tt.name, skew, alive, tt.alive)
			}
		}
	}
}

func h21RevocationStoreDown(t *testing.T) {
	t.Parallel()
	store := &sitetest.BrokenRevocations{}
	s := sitetest.NewLogout(t, func(s *sitetest.Site, o *ginauth.Options) { o.Revocations = store })
	s.SignIn()
	store.Broken.Store(true)
	p := s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "ada"})))
	if p.Status != http.StatusServiceUnavailable || p.Header.Get("Retry-After") == "" {
		t.Errorf("the response is %d, Retry-After %q; want 503 so that the provider tries again", p.Status, p.Header.Get("Retry-After"))
	}
	if p := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", nil, "")); p.Status != http.StatusServiceUnavailable {
		t.Errorf("a request while it is down: %d", p.Status)
	}
	store.Broken.Store(false)
	if s.User() == nil {
		t.Error("not signed in once it is back")
	}
}

func h22BackChannelNeedsNoCookie(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	p := s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "ada"})))
	if p.Status != http.StatusOK || len(p.Header.Values("Set-Cookie")) != 0 {
		t.Errorf("the response is %d with cookies %q", p.Status, p.Header.Values("Set-Cookie"))
	}
	claims := s.LogoutClaims(map[string]any{"sub": "ada"})
	req, _ := http.NewRequest("POST", s.URL+"/logout/demo/backchannel", strings.NewReader("logout_token="+s.IDP.Sign(sitetest.LogoutHeader, claims)))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if p := s.Must(s.NewBrowser().Do(req)); p.Status != http.StatusOK {
		t.Errorf("cross-site: %d", p.Status)
	}
}
