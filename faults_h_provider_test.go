package ginauth_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// faultsHProvider are the rows of area H that need a provider: its own
// sign-out, and its word that somebody is signed out.
func faultsHProvider() []fault {
	return []fault{
		{"H3_parameters_of_the_redirect_to_the_provider", testLogoutRedirect},
		{"H4_return_from_the_provider_with_a_wrong_state", testLogoutReturn},
		{"H8_back_channel_logout_by_sid_and_by_sub", testBackChannel},
		{"H9_back_channel_with_a_bad_signature", testBackChannelSignature},
		{"H10_back_channel_of_another_issuer_or_client", testBackChannelParty},
		{"H11_back_channel_events", testBackChannelEvents},
		{"H12_back_channel_with_a_nonce", testBackChannelNonce},
		{"H13_back_channel_without_sub_and_sid", testBackChannelWho},
		{"H14_back_channel_times", testBackChannelTimes},
		{"H15_back_channel_replayed", testBackChannelReplay},
		{"H16_id_token_as_logout_token", testBackChannelIDToken},
		{"H17_back_channel_request_form", testBackChannelForm},
		{"H18_back_channel_of_another_provider", testBackChannelOtherProvider},
		{"H19_new_login_after_logout_lives_and_old_ones_stay_dead", testBackChannelThenLogin},
		{"H20_clocks_that_differ", testBackChannelClocks},
		{"H21_revocation_store_down", testBackChannelStoreDown},
		{"H22_back_channel_needs_no_cookie", testBackChannelNoCookie},
		{"H23_front_channel", testFrontChannel},
		{"H24_random_front_channel_sids", testFrontChannelFlood},
		{"H26_post_logout_redirect_uri_of_the_request", testLogoutForeignReturn},
	}
}

// claimsFor are those of a good logout token.
func (s *site) claimsFor(who map[string]any) map[string]any {
	now := s.clock.Now()
	claims := map[string]any{
		"iss": s.idp.Issuer, "aud": s.idp.ClientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": fmt.Sprint(now.UnixNano()),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	maps.Copy(claims, who)
	return claims
}

var logoutTyp = map[string]any{"typ": "logout+jwt"}

// backChannel posts a logout token as a provider does: from nowhere, with no
// cookie.
func (s *site) backChannel(token string) *authtest.Page {
	s.t.Helper()
	return s.backChannelTo("demo", url.Values{"logout_token": {token}}.Encode(), "application/x-www-form-urlencoded")
}

func (s *site) backChannelTo(provider, body, contentType string) *authtest.Page {
	s.t.Helper()
	req, err := http.NewRequest("POST", s.URL+"/logout/"+provider+"/backchannel", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	return s.must(s.newBrowser().Do(req))
}

// sid is the provider's session id of the browser's sign-in.
func (s *site) sid() string {
	s.t.Helper()
	p := s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/claims", nil, ""))
	var claims struct{ SID string }
	if err := json.Unmarshal(p.Body, &claims); err != nil || claims.SID == "" {
		s.t.Fatalf("no sid: %s", p.Text())
	}
	return claims.SID
}

// newLogoutSite is a site whose sessions know their sid.
func newLogoutSite(t *testing.T, change func(s *site, o *ginauth.Options)) *site {
	t.Helper()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.KeepClaims = []string{"sid"}
		if change != nil {
			change(s, o)
		}
	})
	s.engine.GET("/claims", s.auth.RequireAuth(), s.serveClaims)
	return s
}

// refused asserts the one answer to a bad logout token, and that it did
// nothing.
func (s *site) refused(t *testing.T, p *authtest.Page) {
	t.Helper()
	if p.Status != http.StatusBadRequest || !strings.Contains(p.Text(), `"error":"invalid_request"`) {
		t.Errorf("answered %d %s; want 400 invalid_request", p.Status, p.Text())
	}
	wantHeaders(t, p)
	if s.user() == nil {
		t.Errorf("somebody was signed out\n%s", s.logs)
	}
}

func testLogoutRedirect(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	page := s.get("/logout")
	s.browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.idp.Issuer) }
	p := s.must(s.browser.SubmitForm(page, "Sign out", url.Values{"state": {"EVIL"}, "post_logout_redirect_uri": {"https://evil.example"}, "client_id": {"evil"}}))
	s.browser.StopAt = nil
	if s.user() != nil {
		t.Error("still signed in while on the way to the provider")
	}
	to, err := url.Parse(p.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	q := to.Query()
	if p.Status != http.StatusSeeOther || !strings.HasPrefix(to.String(), s.idp.URL(authtest.EndSession)) || len(q) != 4 || strings.Count(q.Get("id_token_hint"), ".") != 2 ||
		q.Get("client_id") != s.idp.ClientID || q.Get("post_logout_redirect_uri") != s.URL+"/logout/return" || len(q.Get("state")) < 22 || q.Get("state") == "EVIL" {
		t.Errorf("%d to %s", p.Status, to)
	}
	back := s.must(s.browser.Follow(p))
	if got := back.URL.String(); got != s.URL+"/#" && got != s.URL+"/" {
		t.Errorf("came back to %s: %s", got, back.Text())
	}
	if s.hasCookie("-l") {
		t.Error("the logout's cookie is still there")
	}
}

func testLogoutReturn(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"wrong": "?state=WRONG", "missing": "", "twice": "?state=a&state=b", "with a target": "?state=x&return_to=https://evil.example&post_logout_redirect_uri=https://evil.example",
	} {
		s := newLogoutSite(t, nil)
		s.signIn()
		s.browser.StopAt = func(next *url.URL) bool { return next.Path == "/logout/return" }
		s.must(s.browser.SubmitForm(s.get("/logout?return_to=/page/after"), "Sign out", nil))
		s.browser.StopAt = nil
		p := s.open("/logout/return" + query)
		if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != s.URL+"/#" {
			t.Errorf("%s: %d to %q, want the default page", name, p.Status, got)
		}
		if s.user() != nil {
			t.Errorf("%s: signed in again", name)
		}
	}
	s := newLogoutSite(t, nil)
	s.signIn()
	if p := s.must(s.browser.SubmitForm(s.get("/logout?return_to=/?after"), "Sign out", nil)); p.URL.RawQuery != "after" {
		t.Errorf("a good state led to %s", p.URL)
	}
}

func testLogoutForeignReturn(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, func(s *site, o *ginauth.Options) { o.Providers[0].Logout.Local = true })
	s.signIn()
	p := s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", url.Values{
		"return_to": {"https://evil.example/"}, "post_logout_redirect_uri": {"https://evil.example/"}}))
	if p.URL.Host == "evil.example" || p.Status != http.StatusOK || s.user() != nil {
		t.Errorf("ended at %s", p.URL)
	}
	if s.idp.Count(authtest.EndSession) != 0 {
		t.Error("a local sign-out went to the provider")
	}
}

func testBackChannel(t *testing.T) {
	t.Parallel()
	for name, who := range map[string]func(s *site) map[string]any{
		"by sid":  func(s *site) map[string]any { return map[string]any{"sid": s.sid()} },
		"by sub":  func(s *site) map[string]any { return map[string]any{"sub": "ada"} },
		"by both": func(s *site) map[string]any { return map[string]any{"sub": "ada", "sid": s.sid()} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newLogoutSite(t, nil)
			s.signIn()
			first, claims := s.browser, who(s)
			s.idp.SignInAs("grace")
			s.browser = s.newBrowser()
			s.signIn()
			p := s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(claims)))
			if p.Status != http.StatusOK || p.Header.Get("Cache-Control") != "no-store" || len(p.Body) != 0 {
				t.Errorf("answered %d %s, Cache-Control %q\n%s", p.Status, p.Text(), p.Header.Get("Cache-Control"), s.logs)
			}
			if s.userOf(first) != nil {
				t.Error("ada is still signed in")
			}
			if s.user() == nil {
				t.Error("grace is signed out")
			}
			if p := s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "nobody"}))); p.Status != http.StatusOK {
				t.Errorf("somebody already gone: %d", p.Status)
			}
		})
	}
}

func testBackChannelSignature(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	other := startIDP(t, authtest.Config{ClientID: s.idp.ClientID, Now: s.clock.Now})
	claims := s.claimsFor(map[string]any{"sub": "ada"})
	good := s.idp.Sign(logoutTyp, claims)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"alg none":      s.idp.Sign(map[string]any{"alg": "none", "typ": "logout+jwt"}, claims),
		"HS256":         s.idp.Sign(map[string]any{"alg": "HS256", "typ": "logout+jwt"}, claims),
		"another key":   other.Sign(logoutTyp, claims),
		"unknown kid":   s.idp.Sign(map[string]any{"kid": "unknown", "typ": "logout+jwt"}, claims),
		"cut signature": good[:len(good)-8],
		"no signature":  parts[0] + "." + parts[1] + ".",
		"garbage":       "x",
		"empty":         "",
	} {
		t.Run(name, func(t *testing.T) { s.refused(t, s.backChannel(token)) })
	}
}

// bad posts tokens whose claims are changed from good ones.
func (s *site) bad(t *testing.T, changes map[string]func(claims map[string]any)) {
	t.Helper()
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			claims := s.claimsFor(map[string]any{"sub": "ada"})
			change(claims)
			s.refused(t, s.backChannel(s.idp.Sign(logoutTyp, claims)))
		})
	}
}

func set(name string, v any) func(map[string]any) {
	return func(claims map[string]any) { claims[name] = v }
}

func drop(name string) func(map[string]any) {
	return func(claims map[string]any) { delete(claims, name) }
}

func testBackChannelParty(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	s.bad(t, map[string]func(map[string]any){
		"other issuer": set("iss", "https://evil.example"), "issuer with a slash": set("iss", s.idp.Issuer+"/"), "no issuer": drop("iss"),
		"other audience": set("aud", "other"), "audiences without us": set("aud", []any{"a", "b"}), "no audience": drop("aud"),
		"our audience and a null": set("aud", []any{s.idp.ClientID, nil}),
	})
}

func testBackChannelEvents(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	const event = "http://schemas.openid.net/event/backchannel-logout"
	s.bad(t, map[string]func(map[string]any){
		"missing": drop("events"), "other member": set("events", map[string]any{"http://example.com/event": map[string]any{}}),
		"member is no object": set("events", map[string]any{event: true}), "array": set("events", []any{event}), "text": set("events", event),
	})
	claims := s.claimsFor(map[string]any{"sub": "ada"})
	claims["events"].(map[string]any)["http://example.com/more"] = map[string]any{"a": 1}
	if p := s.backChannel(s.idp.Sign(logoutTyp, claims)); p.Status != http.StatusOK || s.user() != nil {
		t.Errorf("with an extra member: %d %s", p.Status, p.Text())
	}
}

func testBackChannelNonce(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	s.bad(t, map[string]func(map[string]any){"nonce": set("nonce", "n"), "null": set("nonce", nil), "empty": set("nonce", "")})
}

func testBackChannelWho(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	s.bad(t, map[string]func(map[string]any){
		"neither": drop("sub"), "sub is a number": set("sub", 1), "sub is empty": set("sub", ""), "sid is an object": set("sid", map[string]any{}),
	})
}

func testBackChannelTimes(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	now := s.clock.Now()
	s.bad(t, map[string]func(map[string]any){
		"no iat": drop("iat"), "iat ahead": set("iat", now.Add(2*time.Minute).Unix()), "iat old": set("iat", now.Add(-6*time.Minute).Unix()), "iat is text": set("iat", "1"),
		"expired": set("exp", now.Add(-2*time.Minute).Unix()), "exp is text": set("exp", fmt.Sprint(now.Add(time.Hour).Unix())),
		"nbf ahead": set("nbf", now.Add(2*time.Minute).Unix()),
		"no jti":    drop("jti"), "jti is a number": set("jti", 1), "jti is empty": set("jti", ""),
	})
}

func testBackChannelReplay(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	token := s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "ada"}))
	s.backChannel(token)
	s.clock.Advance(2 * time.Second)
	s.signIn()
	if p := s.backChannel(token); p.Status != http.StatusOK {
		t.Errorf("the second time: %d %s", p.Status, p.Text())
	}
	if s.user() == nil {
		t.Error("the replayed token ended a session that began after it")
	}
}

func testBackChannelIDToken(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	now := s.clock.Now()
	idToken := map[string]any{"iss": s.idp.Issuer, "aud": s.idp.ClientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "sub": "ada", "jti": "j", "nonce": "n"}
	s.refused(t, s.backChannel(s.idp.Sign(map[string]any{"typ": "JWT"}, idToken)))
	claims := s.claimsFor(map[string]any{"sub": "ada"})
	for _, typ := range []any{"at+jwt", "secevent+jwt", "logout", "", 1} {
		s.refused(t, s.backChannel(s.idp.Sign(map[string]any{"typ": typ}, claims)))
	}
	// What Keycloak and others send, and no typ at all, which RFC 7519 allows.
	if p := s.backChannel(s.idp.Sign(map[string]any{"typ": "JWT"}, claims)); p.Status != http.StatusOK {
		t.Errorf("typ JWT: %d %s", p.Status, p.Text())
	}
}

func testBackChannelForm(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	token := s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "ada"}))
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
			if p := s.backChannelTo("demo", tt.body, tt.contentType); p.Status != tt.status || s.user() == nil {
				t.Errorf("answered %d %s, want %d and nobody signed out", p.Status, p.Text(), tt.status)
			}
		})
	}
	req, _ := http.NewRequest("GET", s.URL+"/logout/demo/backchannel?logout_token="+token, nil)
	if p := s.must(s.newBrowser().Do(req)); p.Status != 405 || p.Header.Get("Allow") != "POST" || s.user() == nil {
		t.Errorf("GET: %d, Allow %q", p.Status, p.Header.Get("Allow"))
	}
	if p := s.backChannelTo("nope", "logout_token="+token, form); p.Status != 404 {
		t.Errorf("unknown provider: %d", p.Status)
	}
}

func testBackChannelOtherProvider(t *testing.T) {
	t.Parallel()
	var other *authtest.Provider
	s := newLogoutSite(t, func(s *site, o *ginauth.Options) {
		other = startIDP(t, authtest.Config{Addr: "other.localhost:0", ClientID: s.idp.ClientID, Now: s.clock.Now})
		o.HTTPClient = other.HTTPClient()
		o.Providers = append(o.Providers, client("other", other))
	})
	s.signIn()
	claims := s.claimsFor(map[string]any{"sub": "ada"})
	p := s.backChannelTo("other", "logout_token="+s.idp.Sign(logoutTyp, claims), "application/x-www-form-urlencoded")
	s.refused(t, p)
	claims["iss"] = other.Issuer
	if p := s.backChannelTo("other", "logout_token="+other.Sign(logoutTyp, claims), "application/x-www-form-urlencoded"); p.Status != 200 || s.user() == nil {
		t.Errorf("the same subject at another issuer: %d, signed in %v", p.Status, s.user() != nil)
	}
}

func testBackChannelThenLogin(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	var old []*authtest.Browser
	for range 3 {
		s.browser = s.newBrowser()
		s.signIn()
		old = append(old, s.browser)
	}
	s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "ada"})))
	s.clock.Advance(2 * time.Second)
	s.browser = s.newBrowser()
	s.signIn()
	for i, b := range old {
		if s.userOf(b) != nil {
			t.Errorf("old session %d lives again", i)
		}
	}
	if s.user() == nil {
		t.Error("the new session is dead")
	}
}

// The provider's clock is not ours: what counts is which came first by its own.
func testBackChannelClocks(t *testing.T) {
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
			s := newLogoutSite(t, nil)
			var issued time.Time
			s.idp.EditIDToken(func(_, claims map[string]any) {
				issued = s.clock.Now().Add(skew).Truncate(time.Second)
				claims["iat"] = issued.Unix()
			})
			s.signIn()
			claims := s.claimsFor(map[string]any{"sub": "ada", "iat": issued.Add(tt.after).Unix()})
			if p := s.backChannel(s.idp.Sign(logoutTyp, claims)); p.Status != http.StatusOK {
				t.Fatalf("%s, skew %v: %d %s", tt.name, skew, p.Status, p.Text())
			}
			if alive := s.user() != nil; alive != tt.alive {
				t.Errorf("%s, the provider's clock off by %v: signed in %v, want %v", tt.name, skew, alive, tt.alive)
			}
		}
	}
}

func testBackChannelStoreDown(t *testing.T) {
	t.Parallel()
	store := &brokenRevocations{}
	s := newLogoutSite(t, func(s *site, o *ginauth.Options) { o.Revocations = store })
	s.signIn()
	store.broken.Store(true)
	p := s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "ada"})))
	if p.Status != http.StatusServiceUnavailable || p.Header.Get("Retry-After") == "" {
		t.Errorf("answered %d, Retry-After %q; want 503 so that the provider tries again", p.Status, p.Header.Get("Retry-After"))
	}
	if p := s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", nil, "")); p.Status != http.StatusServiceUnavailable {
		t.Errorf("a request while it is down: %d", p.Status)
	}
	store.broken.Store(false)
	if s.user() == nil {
		t.Error("not signed in once it is back")
	}
}

func testBackChannelNoCookie(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, nil)
	s.signIn()
	p := s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "ada"})))
	if p.Status != http.StatusOK || len(p.Header.Values("Set-Cookie")) != 0 {
		t.Errorf("answered %d with cookies %q", p.Status, p.Header.Values("Set-Cookie"))
	}
	claims := s.claimsFor(map[string]any{"sub": "ada"})
	req, _ := http.NewRequest("POST", s.URL+"/logout/demo/backchannel", strings.NewReader("logout_token="+s.idp.Sign(logoutTyp, claims)))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if p := s.must(s.newBrowser().Do(req)); p.Status != http.StatusOK {
		t.Errorf("cross-site: %d", p.Status)
	}
}
