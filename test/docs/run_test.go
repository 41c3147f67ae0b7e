package docs

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/doctest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// docs are the programs of the pages, running.
type docs struct {
	*doctest.Built
	pages map[string]*doctest.Page
	env   []string // of the README's first program
	idp   *authtest.Provider
}

// program returns the first program of a page that contains a text.
func program(t testing.TB, pages map[string]*doctest.Page, page, text string) *doctest.Program {
	t.Helper()
	for _, p := range pages[page].Programs {
		if strings.Contains(p.Files["main.go"], text) {
			return p
		}
	}
	t.Fatalf("docs/%s.md has no program with %q", page, text)
	return nil
}

// The programs in docs do what the pages describe. The pages' consoles are run unchanged; this
// test performs the steps that need a browser.
func TestDocsRun(t *testing.T) {
	visits := []struct {
		page, program string // a text in the program
		visit         func(t *testing.T, d *docVisit)
	}{
		{"first-sign-in", "Hello, %s!", firstSignIn},
		{"first-sign-in", "welcome.Execute", firstButtons},
		{"api-and-spa", "dist := os.DirFS", singlePage},
		{"api-and-spa", "func cors", otherOrigin},
		{"roles", "ginauth.AnyOf", rolesOfTheProvider},
		{"roles", "func (m *members)", rolesOfTheDatabase},
		{"roles", "\"/beta\"", rolesTakenAway},
		{"roles", "the person who invited you", rolesRefused},
		{"step-up", "ginauth.MaxAge", steppingUp},
		{"step-up", "\"/transfer\"", steppingUpInHandlers},
		{"tokens", "func standIn", callingAPIs},
		{"tokens", "demo.Recheck", rechecked},
		{"linking", "db.unlink(", linking},
		{"linking", "\"via\"", linkingRecently},
		{"coming-from-oauth2-proxy", "httputil.ReverseProxy", passedOn},
	}
	d := &docs{pages: map[string]*doctest.Page{}}
	var wanted []*doctest.Program
	want := func(p *doctest.Program) *doctest.Program {
		if !slices.Contains(wanted, p) {
			wanted = append(wanted, p)
		}
		return p
	}
	var screens []*doctest.Program
	for _, page := range doctest.ReadAll(t, ".") {
		d.pages[page.Name] = page
		for _, p := range page.Programs {
			if len(p.Screen) > 0 {
				if p.Module != "" {
					t.Errorf("%s: a console cannot be tried in module %s", p.Name, p.Module)
				}
				screens = append(screens, want(p))
			}
		}
	}
	visited := map[int]*doctest.Program{}
	for i, v := range visits {
		visited[i] = want(program(t, d.pages, v.page, v.program))
	}
	d.Built = doctest.Build(t, ".", wanted)
	idp := sitetest.StartProvider(t, authtest.Config{})
	d.idp = idp
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = r.Header.Write(w) }))
	t.Cleanup(upstream.Close)
	d.env = []string{"UPSTREAM=" + upstream.URL, "OIDC_ISSUER=" + idp.Issuer, "OIDC_CLIENT_ID=" + idp.ClientID, "OIDC_CLIENT_SECRET=" + idp.ClientSecret}
	for _, p := range screens {
		t.Run("console of "+p.Name, func(t *testing.T) { d.Play(t, p, d.env...) })
	}
	for i, v := range visits {
		t.Run(v.page+": "+v.program, func(t *testing.T) { v.visit(t, d.start(t, visited[i])) })
	}
}

// docVisit is a user with a browser, at a program of a page.
type docVisit struct {
	t       *testing.T
	URL     string
	out     func() string      // what the program printed
	idp     *authtest.Provider // of programs that take it from the environment
	browser *authtest.Browser
	page    *authtest.Page // the current page
}

func (d *docs) start(t *testing.T, p *doctest.Program) *docVisit {
	t.Helper()
	running := d.Start(t, p, d.env...)
	if err := running.Listens(); err != nil {
		t.Fatal(err)
	}
	browser := authtest.NewBrowser()
	t.Cleanup(browser.Close)
	return &docVisit{t: t, URL: running.URL, out: running.Out, idp: d.idp, browser: browser}
}

// choose presses the button with that name.
func (v *docVisit) choose(name string) string { return v.saw(v.browser.SubmitForm(v.page, name, nil)) }

var errorPage = regexp.MustCompile(`(?s)<h1>(.*?)</h1>.*<footer>(\w+)`)

// saw returns the text of a page, or the title and code of a built-in page.
func (v *docVisit) saw(page *authtest.Page, err error) string {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	v.page = page
	if m := errorPage.FindStringSubmatch(page.Text()); m != nil {
		return fmt.Sprintf("%d %s (%s)", page.Status, html.UnescapeString(m[1]), m[2])
	}
	return fmt.Sprintf("%d %s", page.Status, page.Text())
}

// sees fails the test unless the result is what the page of docs describes.
func (v *docVisit) sees(got string, want ...string) {
	v.t.Helper()
	for _, text := range want {
		if !strings.Contains(got, text) {
			v.t.Errorf("at %s: %q, want %q", v.page.URL, got, text)
		}
	}
}

// printed fails the test unless the program printed the text that the page shows.
func (v *docVisit) printed(page string) {
	v.t.Helper()
	blocks, err := doctest.Blocks(sitetest.File(v.t, "docs/"+page+".md"))
	if err != nil {
		v.t.Fatal(err)
	}
	for _, b := range blocks {
		if b.Language != "text" {
			continue
		}
		if err := doctest.Shows(v.out(), strings.Split(strings.TrimSpace(b.Text), "\n")); err != nil {
			v.t.Errorf("docs/%s.md:%d: %v", page, b.Line, err)
		}
	}
}

// opens visits a page of the program.
func (v *docVisit) opens(path string) string { return v.saw(v.browser.Get(v.URL + path)) }

// says fails the test unless a page of docs has a text, ignoring line breaks.
func docSays(t *testing.T, page, text string) {
	t.Helper()
	if !strings.Contains(strings.Join(strings.Fields(sitetest.File(t, "docs/"+page+".md")), " "), text) {
		t.Errorf("docs/%s.md does not say %q", page, text)
	}
}

func firstSignIn(t *testing.T, v *docVisit) {
	v.sees(v.opens("/"), "Ada Lovelace")
	if strings.HasPrefix(v.page.URL.String(), v.URL) {
		t.Errorf("%s is not the provider's page", v.page.URL)
	}
	v.sees(v.choose("Ada Lovelace"), "200 Hello, Ada Lovelace!")
}

func firstButtons(t *testing.T, v *docVisit) {
	v.sees(v.opens("/welcome"), "Sign in")
	v.sees(v.saw(v.browser.ClickLink(v.page, "Sign in")), "Ada Lovelace")
	v.sees(v.choose("Ada Lovelace"), "You are Ada Lovelace.")
	v.sees(v.choose("Sign out"), "Sign in")
	if v.page.URL.Path != "/welcome" {
		t.Errorf("signing out ended at %s", v.page.URL)
	}
}

var ports = regexp.MustCompile(`:[0-9]{4,5}`)

func (v *docVisit) fetches(from, method, path string, header http.Header) string {
	return v.saw(v.browser.Fetch(authtest.At(from), method, v.URL+path, header, ""))
}

func singlePage(t *testing.T, v *docVisit) {
	v.sees(v.opens("/cart?step=2"), `200 <!doctype html>`)
	v.sees(v.opens("/session.js"), "export async function api")
	v.sees(v.opens("/api/nothing"), `404 {"error":"not_found"}`)
	v.sees(v.opens("/api"), `404 {"error":"not_found"}`)
	v.sees(v.opens("/apis"), `200 <!doctype html>`)
	v.sees(v.fetches(v.URL, "GET", "/api/me", nil), "401", `"error":"unauthenticated"`, `"login_url":"/login"`)
	v.opens("/login?return_to=/cart%3Fstep=2") // as session.js writes it
	if v.page.URL.RequestURI() != "/cart?step=2" {
		t.Errorf("signing in ended at %s", v.page.URL)
	}
	v.sees(v.fetches(v.URL, "GET", "/api/me", nil), `"name":"Ada Lovelace"`)
	v.sees(v.fetches(v.URL, "POST", "/api/orders", nil), `201 {"owner":"http`, `#ada"}`)
	v.sees(v.fetches("https://evil.example/", "POST", "/api/orders", nil), "401", `"error":"unauthenticated"`) // browsers omit the cookie
	v.sees(v.fetches("http://localhost:5173/", "POST", "/api/orders", nil), "403", `"error":"cross_origin"`)
	v.sees(v.fetches(v.URL, "POST", "/logout", nil), `200 {"redirect_to":"http`)
	v.sees(v.fetches(v.URL, "GET", "/api/me", nil), "401")
}

func otherOrigin(t *testing.T, v *docVisit) {
	const spa = "http://localhost:5173/"
	preflight := http.Header{"Access-Control-Request-Method": {"DELETE"}}
	v.sees(v.fetches(spa, "OPTIONS", "/api/orders", preflight), "204")
	if got := v.page.Header.Get("Access-Control-Allow-Methods"); !strings.Contains(got, "DELETE") {
		t.Errorf("the preflight allows %q", got)
	}
	v.browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), spa) }
	v.opens("/login?return_to=" + spa)
	if got := v.page.Header.Get("Location"); got != spa+"#" {
		t.Errorf("signing in led to %q", got)
	}
	v.sees(v.fetches(spa, "POST", "/api/orders", nil), `201 {"owner":"http`, `#ada"}`)
	if h := v.page.Header; h.Get("Access-Control-Allow-Origin")+"/" != spa || h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("the browser would not show this response to the page: %v", h)
	}
	v.sees(v.fetches("http://localhost:5174/", "POST", "/api/orders", nil), "403", `"error":"cross_origin"`)
}

// another is another user with a browser, who signs in at the same program.
func (v *docVisit) another(name string) *docVisit {
	browser := authtest.NewBrowser()
	v.t.Cleanup(browser.Close)
	other := &docVisit{t: v.t, URL: v.URL, out: v.out, browser: browser}
	other.opens("/login")
	other.choose(name)
	return other
}

func rolesOfTheProvider(t *testing.T, v *docVisit) {
	for name, want := range map[string]string{
		"Ada Lovelace": "200 200 200 200 403 200",
		"Grace Hopper": "200 200 403 200 403 403",
		"Zoë Ångström": "200 403 403 200 200 200",
		"Eve Newcomer": "200 403 403 403 403 403",
	} {
		p := v.another(name)
		var got []string
		for _, path := range []string{"/", "/staff", "/admin", "/company", "/sweden", "/either"} {
			got = append(got, strings.Fields(p.opens(path))[0])
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s sees %s, want %s", name, got, want)
		}
	}
	v.printed("roles")
}

func steppingUp(t *testing.T, v *docVisit) {
	ada := v.another("Ada Lovelace")
	ada.sees(ada.opens("/"), `acr "pwd"`)
	for visit, asked := range []bool{true, false} { // the provider, which responds without a prompt
		ada.sees(ada.opens("/payout"), "200 Hello, Ada Lovelace!")
		if got := len(ada.page.Hops) > 1; got != asked {
			t.Errorf("visit %d of /payout led through %v", visit+1, ada.page.Hops)
		}
	}
	ada.opens("/keys")
	ada.sees(ada.choose("Ada Lovelace"), `200 Hello, Ada Lovelace! acr "mfa"`)
	ada.sees(ada.opens("/"), `acr "mfa"`)
}

func steppingUpInHandlers(_ *testing.T, v *docVisit) {
	ada := v.another("Ada Lovelace")
	transfer := func(amount string) string {
		return ada.saw(ada.browser.Submit(ada.page, "/transfer", url.Values{"amount": {amount}}))
	}
	ada.opens("/transfer")
	ada.sees(transfer("999"), "200 transferred 999")
	ada.sees(ada.opens("/"), `acr "pwd"`)
	ada.opens("/transfer")
	ada.sees(transfer("1000"), "401", "step_up_required")
	ada.clicks("Sign in")
	ada.sees(ada.choose("Ada Lovelace"), `200 Hello, Ada Lovelace! acr "mfa"`)
	ada.opens("/transfer")
	ada.sees(transfer("1000"), "200 transferred 1000")
	ada.sees(ada.opens("/"), `acr "mfa"`)
	ada.sees(ada.opens("/archive"), `200 Hello, Ada Lovelace! acr "mfa"`)
}

func callingAPIs(t *testing.T, v *docVisit) {
	for provider, list := range map[string]string{"github": "ada/analytical-engine", "google": "Tea with Mr Babbage"} {
		person := &docVisit{t: t, URL: v.URL, browser: authtest.NewBrowser()}
		t.Cleanup(person.browser.Close)
		person.opens("/")
		person.sees(person.clicks("Sign in with "+provider), "Ada Lovelace")
		person.sees(person.choose("Ada Lovelace"), "Ada Lovelace") // the redirect for the scope
		person.sees(person.choose("Ada Lovelace"), "200", list)
		person.sees(person.opens("/"), "200", list)
	}
}

func rechecked(_ *testing.T, v *docVisit) {
	ada := v.another("Ada Lovelace")
	ada.sees(ada.opens("/"), "200", `"groups":["admin","staff","billing"]`)
}

func rolesOfTheDatabase(_ *testing.T, v *docVisit) {
	ada, zoe := v.another("Ada Lovelace"), v.another("Zoë Ångström")
	ada.sees(ada.opens("/"), "Hello, Ada Lovelace of [admin editor]!")
	ada.sees(ada.opens("/admin"), "200 The admins' page")
	if zoe.page.Status != http.StatusForbidden || !strings.Contains(zoe.page.Text(), "identity_rejected") {
		zoe.sees(zoe.page.Text(), "identity_rejected")
	}
	zoe.sees(zoe.opens("/"), "Ada Lovelace") // still the sign-in page
}

func rolesTakenAway(_ *testing.T, v *docVisit) {
	ada, grace := v.another("Ada Lovelace"), v.another("Grace Hopper")
	provider := grace.page.Hops[0].URL // the page on which she pressed her name
	issuer := provider.Scheme + "://" + provider.Host
	grace.sees(grace.opens("/admin"), "403")
	ada.sees(ada.saw(ada.browser.Submit(ada.page, "/beta", nil)), "Hello, Ada Lovelace of [admin editor beta]!")
	ada.sees(ada.saw(ada.browser.Submit(ada.page, "/members", url.Values{"id": {issuer + "#grace"}, "role": {"admin"}})), "200 The admins' page")
	grace.sees(grace.opens("/"), "Ada Lovelace") // signed out, and prompted to choose a user
	grace.sees(grace.choose("Grace Hopper"), "Hello, Grace Hopper of [admin]!")
	grace.saw(grace.browser.Submit(grace.page, "/members", url.Values{"id": {issuer + "#grace"}}))
	grace.opens("/")
	grace.sees(grace.choose("Grace Hopper"), "Hello, Grace Hopper of []!")
	grace.sees(grace.opens("/admin"), "403")
}

func rolesRefused(_ *testing.T, v *docVisit) {
	zoe := v.another("Zoë Ångström")
	zoe.sees(zoe.saw(zoe.page, nil), "403 Ask the person who invited you.")
}

func (v *docVisit) presses(button string) string {
	return v.saw(v.browser.SubmitForm(v.page, button, nil))
}

func (v *docVisit) clicks(link string) string { return v.saw(v.browser.ClickLink(v.page, link)) }

func linking(t *testing.T, v *docVisit) {
	v.sees(v.opens("/"), "Continue with corp", "Continue with forum")
	v.clicks("Continue with corp")
	v.sees(v.presses("Ada Lovelace"), "Ada Lovelace has account 1")
	v.sees(v.presses("Link forum"), "forum") // the provider's page
	v.sees(v.presses("Zoë Ångström"), "Zoë Ångström has account 1", "#ada", "#zoe")

	other := &docVisit{t: t, URL: v.URL, browser: authtest.NewBrowser()}
	t.Cleanup(other.browser.Close)
	other.opens("/")
	other.clicks("Continue with forum")
	other.sees(other.presses("Grace Hopper"), "Grace Hopper has account 2")
	other.presses("Link corp")
	other.sees(other.presses("Ada Lovelace"), "403", "identity_rejected") // is linked to account 1
	other.sees(other.opens("/"), "Grace Hopper has account 2")
	if strings.Contains(other.page.Text(), "#ada") {
		t.Error("a rejected account was linked")
	}
	other.saw(other.browser.Submit(authtest.At("https://evil.example/"), v.URL+"/login/corp", url.Values{"link": {"true"}}))
	other.sees(other.page.Text(), "cross_origin")

	forms := v.page.Forms() // those of the rows come first, in no order
	if len(forms) < 2 {
		t.Fatal(v.page.Text())
	}
	ada := forms[0].Fields.Get("id")
	if !strings.HasSuffix(ada, "#ada") {
		ada = forms[1].Fields.Get("id")
	}
	unlink := func(id string) string { return v.saw(v.browser.Submit(v.page, "/unlink", url.Values{"id": {id}})) }
	v.sees(unlink("https://somebody.example/#else"), "400 That is not yours")
	v.opens("/")
	v.sees(unlink(ada), "Zoë Ångström has account 1")
	if strings.Contains(v.page.Text(), "#ada") {
		t.Error("what was unlinked is still there")
	}
	v.sees(v.presses("Unlink"), "400 That is not yours, or the last one.")
	v.opens("/")
	v.presses("Sign out")
	v.opens("/welcome")
	v.clicks("Continue with corp")
	v.sees(v.presses("Ada Lovelace"), "Ada Lovelace has account 3") // a new user
}

func linkingRecently(t *testing.T, v *docVisit) {
	v.opens("/")
	v.clicks("Continue with corp")
	v.sees(v.presses("Ada Lovelace"), "Ada Lovelace has account 1")
	v.clicks("Link another account")
	v.sees(v.presses("Ada Lovelace"), "200", "<h1>Link another account</h1>") // the provider has prompted again
	v.presses("Link forum")
	v.sees(v.presses("Grace Hopper"), "Grace Hopper has account 1", "#ada", "#grace")

	v.saw(v.browser.Submit(v.page, "/login/corp", url.Values{"link": {"true"}}))
	v.sees(v.presses("Zoë Ångström"), "403", "identity_rejected")
	v.sees(v.opens("/"), "Grace Hopper has account 1")
	if strings.Contains(v.page.Text(), "#zoe") {
		t.Error("an account was linked past the guard")
	}
}

// passedOn is a signed-in user that pretends to be another user to the upstream program.
func passedOn(t *testing.T, v *docVisit) {
	v.sees(v.opens("/orders"), "X-Forwarded-User: ada", "X-Forwarded-Groups: admin,staff", "X-Forwarded-Email: ada@example.com")
	if err := v.browser.SetCookie(v.URL, &http.Cookie{Name: "cart", Value: "full", Path: "/"}); err != nil {
		t.Fatal(err)
	}
	claims := http.Header{"Accept-Language": {"de"}}
	for _, name := range []string{"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
		"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Access-Token", "X_Auth_Request_Email", "X_forwarded_user", "Remote-User", "Remote_User",
		"X-Remote-User", "X-User", "X-Authenticated-Email", "X-Groups", "X-Webauth-User", "Authorization"} {
		claims[name] = []string{"boss"}
	}
	v.sees(v.fetches(v.URL, "GET", "/orders", claims), "X-Forwarded-User: ada", "Accept-Language: de", "Cookie: cart=full", "X-Forwarded-For: 127.0.0.1")
	if text := v.page.Text(); strings.Contains(text, "boss") || strings.Contains(text, "ginauth") {
		t.Errorf("the upstream program gets %s", text)
	}
	v.sees(v.saw(v.browser.Submit(v.page, "/oauth2/logout", nil)), sitetest.Sentence(t, "signed_out.title"))
	// Values that users can enter into a profile are not forwarded as verified.
	v.idp.AddPerson(authtest.Person{Subject: "mallory", Username: "mallory", Email: "boss@example.com",
		Groups: []string{"staff,admin", " admin", "admin ", "admin\t", "domain users", "readers"}})
	v.idp.SignInAs("mallory")
	t.Cleanup(func() { v.idp.SignInAs("ada") })
	v.sees(v.opens("/orders"), "X-Forwarded-User: mallory", "X-Forwarded-Groups: domain users,readers\r\n")
	if text := v.page.Text(); strings.Contains(text, "boss") || strings.Contains(text, "Email") {
		t.Errorf("the upstream program gets %s", text)
	}
}

// The mistakes in docs/first-sign-in.md have the results that the page shows.
func TestDocsFirstMistakes(t *testing.T) {
	site := func() *sitetest.Site {
		return sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Hooks.OnError = func(_ *gin.Context, e *ginauth.Error) {
				docSays(t, "first-sign-in", "`"+string(e.Code)+"`")
				docSays(t, "first-sign-in", e.Reason)
				docSays(t, "first-sign-in", "**Fix:** "+ports.ReplaceAllString(e.Fix, ":8080"))
			}
		})
	}
	wrongSecret := site()
	wrongSecret.IDP.Handle(authtest.Token, func(w http.ResponseWriter, _ *http.Request) { // as GitHub does
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"error": "incorrect_client_credentials"}`)
	})
	wrongSecret.WantError(wrongSecret.Get("/login/demo"), ginauth.ErrProviderMisconfigured)

	otherHost := site()
	begun := otherHost.Raw(t, "GET /login/demo HTTP/1.1\r\nHost: my-machine:"+sitetest.MustURL(t, otherHost.URL).Port()+"\r\n"+sitetest.AskPage)
	state := sitetest.MustURL(t, begun.Header.Get("Location")).Query().Get("state")
	otherHost.WantError(otherHost.Get("/authorize/demo?code=abc&state="+state), ginauth.ErrStateInvalid)
}
