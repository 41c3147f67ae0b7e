package ginauth_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

func faultsF() []fault {
	return []fault{
		{"F1_fixation", faultFixation},
		{"F3_plaintext_in_cookies", faultPlaintext},
		{"F4_cookie_attributes", faultCookieAttributes},
		{"F5_http_base_url", faultHTTP},
		{"F6_altered_cookies", faultAlteredCookies},
		{"F7_key_rotation", faultKeyRotation},
		{"F8_weak_keys", faultWeakKeys},
		{"F9_two_sessions_at_once", faultTwoSessions},
		{"F10_names_that_look_like_ours", faultCookieNames},
		{"F11_parts", faultParts},
		{"F12_session_too_large", faultSessionTooLarge},
		{"F13_lifetimes", faultLifetimes},
		{"F13_sliding", faultSliding},
		{"F15_cookie_sent_again_after_sign_out", faultReplayAfterLogout},
		{"F16_saved_by_a_request_under_way", faultResurrection},
		{"F17_revocations_fail", faultRevocationsFail},
		{"F20_cookie_of_another_application", faultOtherApplication},
		{"F21_a_hundred_requests_at_once", faultParallelSliding},
		{"F22_protected_pages_are_not_stored", faultStoredPages},
		{"F24_session_of_the_provider_ends", faultProviderExpiry},
		{"F25_unknown_records", faultUnknownRecords},
		{"F26_many_cookies", faultManyCookies},
	}
}

// An attacker's session in the victim's browser does not become the victim's.
func faultFixation(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	attacker := s.newBrowser()
	victim := s.browser
	s.browser = attacker
	s.as("eve")
	planted, line := s.sessionCookie(), s.cookieLine()
	s.browser = victim
	if err := victim.SetCookie(s.URL, planted); err != nil {
		t.Fatal(err)
	}
	s.signIn()
	if u := s.user(); u.Subject != "ada" {
		t.Errorf("the victim is %s", u.Subject)
	}
	if s.sessionCookie().Value == planted.Value {
		t.Error("the session kept its id")
	}
	if who := s.stolen(line); who != "" {
		t.Errorf("with the planted cookie one is %q", who)
	}
	if got := s.userOf(attacker); got != nil {
		t.Errorf("the attacker is %q", got.Subject)
	}
}

// Nothing of a person or a token can be read off a cookie, under whatever
// layers of base64.
func faultPlaintext(t *testing.T) {
	t.Parallel()
	var tokens []string
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.KeepClaims = []string{"*"}
		s.idp.EditToken(func(answer map[string]any) {
			for _, name := range []string{"access_token", "id_token"} {
				tokens = append(tokens, answer[name].(string))
			}
		})
	})
	p := s.signIn()
	secrets := append(tokens, "ada@example.com", "Ada Lovelace", "Lovelace", s.idp.Issuer, "en-GB")
	cookies := 0
	for _, hop := range p.Hops {
		for _, line := range hop.Header.Values("Set-Cookie") {
			_, value, _ := strings.Cut(line, "=")
			value, _, _ = strings.Cut(value, ";")
			if !strings.HasPrefix(hop.URL.String(), s.URL) || value == "" {
				continue
			}
			cookies++
			for _, text := range readings(value, 3) {
				for _, secret := range secrets {
					if strings.Contains(text, secret[:min(len(secret), 40)]) {
						t.Errorf("a cookie has %q", secret)
					}
				}
			}
		}
	}
	if cookies < 2 || len(tokens) != 2 {
		t.Errorf("saw %d cookies and %d tokens", cookies, len(tokens))
	}
}

// readings are a text, and what it is in base64, at every offset and alphabet.
func readings(text string, depth int) []string {
	list := []string{text}
	if depth == 0 {
		return list
	}
	for offset := range min(4, len(text)) {
		for _, e := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
			n := (len(text) - offset) / 4 * 4
			if plain, _ := e.DecodeString(text[offset : offset+n]); len(plain) > 8 {
				list = append(list, readings(string(plain), depth-1)...)
			}
		}
	}
	return list
}

func faultCookieAttributes(t *testing.T) {
	t.Parallel()
	want := regexp.MustCompile(`^__Host-ginauth-[\w-]{6}=1[\w-]{100,}; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax$`)
	s := newTLSSite(t, nil)
	p := s.finish(s.begin("/login/demo"))
	var session []string
	for _, line := range p.Hops[0].Header.Values("Set-Cookie") {
		if name, _, _ := strings.Cut(line, "="); !strings.Contains(name, "-a-") && !strings.HasSuffix(name, "-n") && !strings.HasSuffix(name, "-h") {
			session = append(session, line)
		}
	}
	if len(session) != 1 || !want.MatchString(session[0]) {
		t.Errorf("the session's cookie is %q", session)
	}
	if got := s.browser.RefusedCookies(); len(got) > 0 {
		t.Errorf("the browser refused %q", got)
	}
}

func faultHTTP(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := s.finish(s.begin("/login/demo"))
	found := false
	for _, line := range p.Hops[0].Header.Values("Set-Cookie") {
		found = found || regexp.MustCompile(`^ginauth-[\w-]{6}=1[\w-]+; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax$`).MatchString(line)
	}
	if !found {
		t.Errorf("on http://localhost: %q", p.Hops[0].Header.Values("Set-Cookie"))
	}
	for _, base := range []string{"http://app.example.com", "http://10.0.0.1", "http://localhost.example.com", "http://127.0.0.1.example.com", "http://[fe80::1]"} {
		says(t, mountError(ginauth.Options{BaseURL: base, Keys: []string{testKey}, Providers: []ginauth.Provider{client("demo", s.idp)}}), "https", base)
	}
}

func faultKeyRotation(t *testing.T) {
	t.Parallel()
	const newKey = "another key for tests, also longer than 32 bytes"
	s, _ := sessionSite(t, nil)
	s.as("ada")
	line := s.cookieLine()
	both := s.replica(func(o *ginauth.Options) { o.Keys = []string{newKey, testKey} })
	after := s.replica(func(o *ginauth.Options) { o.Keys = []string{newKey} })
	if after.stolen(line) != "" {
		t.Error("a session under a key that is gone is alive")
	}
	p := both.askAs(both.newBrowser(), "GET", "/who", "Cookie", line)
	resealed, _, _ := strings.Cut(p.Header.Get("Set-Cookie"), ";")
	if p.Text() != "ada" || resealed == "" {
		t.Fatalf("under the second key: %d %q, cookie %q", p.Status, p.Text(), resealed)
	}
	if after.stolen(resealed) != "ada" {
		t.Error("the session was not sealed again under the new key")
	}
	if p := after.askAs(after.newBrowser(), "GET", "/who", "Cookie", resealed); len(p.Header.Values("Set-Cookie")) > 0 {
		t.Error("and is sealed again with every request")
	}
	if s.stolen(resealed) != "" || s.stolen(line) != "ada" {
		t.Error("the old replica opens what it cannot, or not what it can")
	}
}

func faultWeakKeys(t *testing.T) {
	t.Parallel()
	const good = "8f2b61c09d7e4a35f1046cbe92d87a53"
	for name, tt := range map[string]struct {
		keys []string
		says string
	}{
		"none":              {nil, "is empty"},
		"an empty one":      {[]string{""}, "key 1 is empty"},
		"31 bytes":          {[]string{good[:31]}, "key 1 has 31 bytes"},
		"one byte repeated": {[]string{strings.Repeat("q", 40)}, "repeats itself"},
		"a placeholder":     {[]string{"changeme-" + good}, "looks like a placeholder"},
		"twice the same":    {[]string{good, testKey, good}, "key 3 is there twice"},
		"the second weak":   {[]string{good, "short"}, "key 2 has 5 bytes"},
		"six":               {[]string{good + "1", good + "2", good + "3", good + "4", good + "5", good + "6"}, "five are the most"},
	} {
		err := mountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: tt.keys,
			Providers: []ginauth.Provider{{Name: "demo", Issuer: "https://id.example.com", ClientID: "c", ClientSecret: "s"}}})
		says(t, err, "Options.Keys", tt.says, "openssl rand -hex 32")
		for _, key := range tt.keys {
			if len(key) > 8 && strings.Contains(err.Error(), key) {
				t.Errorf("%s: the error tells the key", name)
			}
		}
	}
	if err := mountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{good},
		Providers: []ginauth.Provider{{Name: "demo", Issuer: "https://id.example.com", ClientID: "c", ClientSecret: "s"}}}); err != nil {
		t.Errorf("a good key: %v", err)
	}
}

// The same keys and names, but another address: another application.
func faultOtherApplication(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	s.as("ada")
	c := s.sessionCookie()
	for _, other := range []string{"http://localhost:9", "https://app.example.com", s.URL + "/prefix"} {
		r := s.replica(func(o *ginauth.Options) { o.BaseURL = other })
		line := r.mint(&ginauth.User{Subject: "grace"})
		name, value, _ := strings.Cut(line, "=")
		if !sessionName.MatchString(name) || name == c.Name {
			t.Fatalf("%s: its cookie is called %q, ours %q", other, name, c.Name)
		}
		if who := r.stolen(name + "=" + c.Value); who != "" {
			t.Errorf("%s takes our session for its own: %q", other, who)
		}
		if who := r.stolen(line); who != "grace" {
			t.Errorf("%s does not take its own session: %q", other, who)
		}
		if who := s.stolen(c.Name + "=" + value); who != "" {
			t.Errorf("the session of %s is one of ours: %q", other, who)
		}
	}
	attempt := s.begin("/login/demo")
	for _, a := range s.browser.Cookies(s.URL) {
		if strings.Contains(a.Name, "-a-") && s.stolen(c.Name+"=1"+a.Value) != "" {
			t.Errorf("the attempt of %s is a session", attempt)
		}
	}
}

func faultStoredPages(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.guarded("/own", func(c *gin.Context) {
		c.Header("Cache-Control", "public, max-age=60")
		c.Header("Vary", "Accept")
		c.String(http.StatusOK, "a picture for everybody")
	})
	s.as("ada")
	for path, want := range map[string]string{"/me": "private, no-store Cookie", "/": "private, no-store Cookie", "/own": "public, max-age=60 Accept"} {
		p := s.open(path)
		if got := fmt.Sprint(p.Header.Get("Cache-Control"), " ", strings.Join(p.Header.Values("Vary"), ",")); got != want || p.Status != http.StatusOK {
			t.Errorf("%s: %d, Cache-Control and Vary are %q, want %q", path, p.Status, got, want)
		}
	}
}
