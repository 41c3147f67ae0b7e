package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/leaktest"
)

// start serves the example with its built-in provider.
func start(t *testing.T) (base string, browser *authtest.Browser) {
	t.Helper()
	watch := leaktest.Of(t)
	server := httptest.NewUnstartedServer(nil)
	base = "http://" + publicHost("localhost:0", server.Listener.Addr().String())
	list, closeDemo, err := allProviders(base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeDemo)
	app, _, err := newApp(base, list)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = app
	server.Start()
	t.Cleanup(server.Close)
	browser = authtest.NewBrowser()
	watch.Browser(browser)
	t.Cleanup(browser.Close)
	return base, browser
}

// must returns a function that fails the test unless a page came with that
// status and has texts.
func must(t *testing.T) func(p *authtest.Page, err error) func(status int, texts ...string) *authtest.Page {
	return func(p *authtest.Page, err error) func(int, ...string) *authtest.Page {
		return func(status int, texts ...string) *authtest.Page {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			if p.Status != status {
				t.Errorf("%s: status %d, want %d", p.URL, p.Status, status)
			}
			for _, text := range texts {
				if !strings.Contains(p.Text(), text) {
					t.Errorf("%s does not say %q:\n%s", p.URL, text, p.Text())
				}
			}
			return p
		}
	}
}

func TestExample(t *testing.T) {
	base, b := start(t)
	page := must(t)

	home := page(b.Get(base))(http.StatusOK, "Nobody is signed in")
	people := page(b.ClickLink(home, "Sign in"))(http.StatusOK, "Grace Hopper", "the ginauth example")
	home = page(b.SubmitForm(people, "Grace Hopper", nil))(http.StatusOK, "Hello, Grace Hopper!")
	if home.URL.Path != "/" {
		t.Errorf("landed on %s", home.URL)
	}

	profile := page(b.ClickLink(home, "Profile"))(http.StatusOK, "grace@example.com (verified)", "/avatar/grace.svg", "&#34;preferred_username&#34;: &#34;grace&#34;")
	for _, p := range []*authtest.Page{home, profile} {
		if csp := p.Header.Get("Content-Security-Policy"); csp != policy {
			t.Errorf("%s: Content-Security-Policy is %q", p.URL, csp)
		}
	}
	refused := page(b.ClickLink(profile, "Admin"))(http.StatusForbidden, "Only the group", "Grace Hopper is not in it")
	if csp := refused.Header.Get("Content-Security-Policy"); csp != policy {
		t.Errorf("403: Content-Security-Policy is %q", csp)
	}

	page(b.SubmitForm(refused, "Sign out", nil))(http.StatusOK, "Nobody is signed in")
	people = page(b.Get(base+"/admin"))(http.StatusOK, "Ada Lovelace")
	admin := page(b.SubmitForm(people, "Ada Lovelace", nil))(http.StatusOK, "You see this page because")
	if admin.URL.Path != "/admin" {
		t.Errorf("landed on %s, not on the page that was asked for", admin.URL)
	}
}

func TestProvidersOfTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"GOOGLE_CLIENT_ID": "g", "GOOGLE_CLIENT_SECRET": "s", "GITHUB_CLIENT_ID": "h", "GITHUB_CLIENT_SECRET": "s",
		"OIDC_ISSUER": "https://login.corp.example", "OIDC_CLIENT_ID": "c", "OIDC_CLIENT_SECRET": "s",
	} {
		t.Setenv(name, value)
	}
	base, b := start(t)
	must(t)(b.Get(base+"/login"))(http.StatusOK, "Demo provider", "Google", "GitHub", "oidc")
}

func TestHalfAProviderOfTheEnvironment(t *testing.T) {
	t.Setenv("GITHUB_CLIENT_ID", "h")
	_, _, err := allProviders("http://localhost:8080")
	if e, ok := errors.AsType[*ginauth.Error](err); !ok || e.ID != "providers.env.client_secret_missing" || !strings.Contains(e.Reason, "GITHUB_CLIENT_SECRET") {
		t.Errorf("got %v", err)
	}
}

// Where others can reach it, nobody signs in without a password.
func TestTheBuiltInProviderStaysOnLoopback(t *testing.T) {
	for base, want := range map[string]int{
		"http://localhost:8080": 1, "http://127.0.0.1:8080": 1, "https://app.example.com": 0, "https://localhost.example.com": 0,
	} {
		list, closeDemo, err := allProviders(base)
		if err != nil {
			t.Fatal(err)
		}
		closeDemo()
		if len(list) != want {
			t.Errorf("%s: %d providers, want %d", base, len(list), want)
		}
	}
	if _, _, err := newApp("https://app.example.com", []ginauth.Provider{}); err == nil {
		t.Error("the example started without any provider")
	}
}

// A panic about a broken connection, as from httputil.ReverseProxy, and any other panic are
// logged without the cookies and the query of the request.
func TestPanicsLogNoSecret(t *testing.T) {
	var log strings.Builder
	before := gin.DefaultErrorWriter
	gin.DefaultErrorWriter = &log
	t.Cleanup(func() { gin.DefaultErrorWriter = before })
	logger := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(logger) })
	app, _, err := newApp("http://localhost:8080", nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, reason := range map[string]any{"/aborted": http.ErrAbortHandler, "/reset": syscall.ECONNRESET, "/broken": "a mistake"} {
		app.GET(path, func(*gin.Context) { panic(reason) })
		r := httptest.NewRequest("GET", path+"?code=s3cr3t", nil)
		r.Header.Set("Cookie", "ginauth=s3cr3t")
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		if path == "/broken" && w.Code != http.StatusInternalServerError {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	if got := log.String(); !strings.Contains(got, "a mistake") || strings.Contains(got, "s3cr3t") {
		t.Errorf("the log is %s", got)
	}
}
