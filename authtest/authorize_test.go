package authtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/authtest"
)

func TestAuthorizeAnswers(t *testing.T) {
	p := start(t, authtest.Config{RedirectURIs: []string{callback}})
	for _, test := range []struct {
		name  string
		pairs []string
		code  string // the error's; "" for success
	}{
		{"a careful request", nil, ""},
		{"without openid", []string{"scope", "profile"}, ""},
		{"without PKCE", []string{"code_challenge", "-", "code_challenge_method", "-"}, ""},
		{"unknown scopes and parameters", []string{"scope", "openid more", "ui_locales", "sv"}, ""},
		{"no response type", []string{"response_type", "-"}, "invalid_request"},
		{"another response type", []string{"response_type", "token"}, "unsupported_response_type"},
		{"several response types", []string{"response_type", "code id_token"}, "unsupported_response_type"},
		{"fragment response mode", []string{"response_mode", "fragment"}, "invalid_request"},
		{"plain PKCE", []string{"code_challenge_method", "plain"}, "invalid_request"},
		{"PKCE without a method, which means plain", []string{"code_challenge_method", "-"}, "invalid_request"},
		{"PKCE without a challenge", []string{"code_challenge", "-"}, "invalid_request"},
		{"a challenge of the wrong length", []string{"code_challenge", "short"}, "invalid_request"},
		{"a request object", []string{"request", "x.y.z"}, "request_not_supported"},
		{"a request URI", []string{"request_uri", "https://example.com"}, "request_uri_not_supported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.SignInAs("ada")
			answer := authorize(t, p, authorization(p, test.pairs...))
			if answer.Get("error") != test.code || answer.Has("code") == (test.code != "") {
				t.Errorf("answer %v", answer)
			}
			if answer.Get("state") != "a state" || answer.Get("iss") != p.Issuer {
				t.Errorf("state and iss in %v", answer)
			}
		})
	}
	twice := authorization(p)
	twice.Add("state", "another")
	if answer := authorize(t, p, twice); answer.Get("error") != "invalid_request" {
		t.Errorf("state twice: %v", answer)
	}
	if answer := authorize(t, p, authorization(p, "state", "-")); answer.Has("state") {
		t.Errorf("a state out of nowhere: %v", answer)
	}
}

func TestAuthorizeNeverRedirectsTheUnknown(t *testing.T) {
	p := start(t, authtest.Config{RedirectURIs: []string{callback, "https://app.example.com/two"}})
	open := start(t, authtest.Config{})
	for _, test := range []struct {
		name     string
		provider *authtest.Provider
		pairs    []string
	}{
		{"no client", p, []string{"client_id", "-"}},
		{"another client", p, []string{"client_id", "other"}},
		{"no redirect URI", p, []string{"redirect_uri", "-"}},
		{"an unregistered redirect URI", p, []string{"redirect_uri", "https://evil.example/"}},
		{"almost a registered one", p, []string{"redirect_uri", "https://app.example.com/two/"}},
		{"a relative one where any will do", open, []string{"redirect_uri", "/callback"}},
		{"a script where any will do", open, []string{"redirect_uri", "javascript:alert(1)"}},
		{"a fragment where any will do", open, []string{"redirect_uri", "https://app.example.com/#"}},
		{"no host where any will do", open, []string{"redirect_uri", "https:///x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.provider.SignInAs("ada")
			response, body := get(t, test.provider, test.provider.URL(authtest.Authorize)+"?"+authorization(test.provider, test.pairs...).Encode())
			if response.StatusCode != http.StatusBadRequest || response.Header.Get("Location") != "" || !strings.Contains(body, "<title>") {
				t.Errorf("%d to %q: %s", response.StatusCode, response.Header.Get("Location"), body)
			}
		})
	}
	twice := authorization(p)
	twice.Add("redirect_uri", "https://app.example.com/two")
	if response, _ := get(t, p, p.URL(authtest.Authorize)+"?"+twice.Encode()); response.StatusCode != http.StatusBadRequest {
		t.Errorf("two redirect URIs: %d", response.StatusCode)
	}
}

func TestAuthorizeByPost(t *testing.T) {
	p := start(t, authtest.Config{})
	p.SignInAs("ada")
	response, err := client(p).PostForm(p.URL(authtest.Authorize), authorization(p))
	if err != nil {
		t.Fatal(err)
	}
	read(t, response)
	if location := response.Header.Get("Location"); !strings.Contains(location, "code=") {
		t.Errorf("location %q", location)
	}
}

func TestDenyConsent(t *testing.T) {
	p := start(t, authtest.Config{})
	p.SignInAs("ada")
	p.DenyConsent(true)
	if answer := authorize(t, p, authorization(p)); answer.Get("error") != "access_denied" || answer.Get("iss") != p.Issuer {
		t.Errorf("answer %v", answer)
	}
	p.DenyConsent(false)
	codeFor(t, p, "ada")
}

func TestSignInAsNobody(t *testing.T) {
	p := start(t, authtest.Config{})
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	p.SignInAs("nobody-of-this-name")
}

func TestPeoplePage(t *testing.T) {
	hostile := authtest.Person{Subject: `"><script>x</script>`, Name: "<b>Bold</b>", Email: "b@example.com", Groups: []string{"<i>"}, Picture: "https://elsewhere.example/p.png"}
	p := start(t, authtest.Config{People: append(authtest.DemoPeople(), hostile), ClientName: "My <App>"})
	response, body := get(t, p, p.URL(authtest.Authorize)+"?"+authorization(p, "login_hint", "hint@example.com").Encode())
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d", response.StatusCode)
	}
	for _, want := range []string{"Ada Lovelace", "ada@example.com", "admin, staff", "Zoë Ångström", "eve@example.net (not verified)", "My &lt;App&gt;",
		"demo provider for development", "hint@example.com", "Cancel", `name="viewport"`, "prefers-color-scheme: dark", `src="/avatar/ada.svg"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "<b>Bold", "<i>", "elsewhere.example", "https://app.example.com/authorize/demo?", "javascript:"} {
		if strings.Contains(body, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if policy := response.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("policy %q", policy)
	}
}

func TestAvatar(t *testing.T) {
	p := start(t, authtest.Config{People: []authtest.Person{{Subject: "a/b c", Name: "åsa <b> öst"}}})
	answer := tokens(t, p, "a/b c")
	picture := claimsOf(t, answer["id_token"])["picture"].(string)
	response, body := get(t, p, picture)
	if response.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(body, ">ÅÖ<") {
		t.Errorf("%s: %s", picture, body)
	}
	if _, body := get(t, p, p.Issuer+"/avatar/unknown.svg"); !strings.Contains(body, ">U<") {
		t.Errorf("somebody unknown: %s", body)
	}
}

func TestSessionAtProvider(t *testing.T) {
	clock := newClock()
	p := start(t, authtest.Config{Now: clock.now})
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
	if answer := ask("prompt", "none"); answer.Get("error") != "login_required" {
		t.Fatalf("before anybody signed in: %v", answer)
	}
	p.SignInAs("grace")
	sid := func(answer url.Values) any {
		t.Helper()
		_, tokens := redeem(t, p, redemption(answer.Get("code")))
		return claimsOf(t, tokens["id_token"])["sid"]
	}
	first := sid(ask())
	p.SignInAs("")
	clock.add(time.Hour)
	if again := sid(ask("prompt", "none")); first == nil || again != first {
		t.Errorf("sid %v, then %v", first, again)
	}
	if answer := ask("prompt", "none", "max_age", "3599"); answer.Get("error") != "login_required" {
		t.Errorf("a session that is too old: %v", answer)
	}
	if answer := ask("prompt", "none", "max_age", "3600"); !answer.Has("code") {
		t.Errorf("a session that is just young enough: %v", answer)
	}
	if page, err := b.Get(p.URL(authtest.Authorize) + "?" + authorization(p).Encode()); err != nil || !strings.Contains(page.Text(), "Grace Hopper") {
		t.Errorf("without prompt=none the page is missing: %v", err)
	}
	if _, err := b.Get(p.URL(authtest.EndSession)); err != nil {
		t.Fatal(err)
	}
	if answer := ask("prompt", "none"); answer.Get("error") != "login_required" {
		t.Errorf("after the end of the session: %v", answer)
	}
}

// The page about a redirect URI that is not registered has both, to be compared.
func TestTheRedirectURIThatIsNotRegisteredIsShown(t *testing.T) {
	const registered, sent = "http://localhost:8080/authorize/corp", "http://localhost:8080/authorize/other"
	p := start(t, authtest.Config{RedirectURIs: []string{registered}})
	b := authtest.NewBrowser()
	t.Cleanup(b.Close)
	page, err := b.Get(p.URL(authtest.Authorize) + "?client_id=" + p.ClientID + "&redirect_uri=" + sent)
	if err != nil {
		t.Fatal(err)
	}
	if text := page.Text(); page.Status != http.StatusBadRequest || !strings.Contains(text, registered) || !strings.Contains(text, sent) {
		t.Errorf("%d %s", page.Status, text)
	}
}
