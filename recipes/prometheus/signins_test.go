package main

import (
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/prometheus/client_golang/prometheus"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	m.Run()
}

// scrape signs Ada in and out, fails once, and returns what Prometheus gets.
func scrape(t *testing.T) string {
	t.Helper()
	idp, err := authtest.Start(authtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	idp.SignInAs("ada")
	server := httptest.NewUnstartedServer(nil)
	address := "http://localhost" + strings.TrimLeft(server.Listener.Addr().String(), "0123456789.")
	app, err := application(ginauth.Options{
		BaseURL: address, Providers: []ginauth.Provider{idp.Client("corp")}, AfterLogout: "/logout", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = app
	server.Start()
	t.Cleanup(server.Close)
	browser := authtest.NewBrowser()
	t.Cleanup(browser.Close)
	get := func(path string) string {
		page, err := browser.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		return page.Text()
	}
	if hello := get("/"); hello != "Hello, Ada Lovelace!" {
		t.Fatalf("the sign-in ended with %s", hello)
	}
	if _, err := browser.Submit(authtest.At(address+"/"), address+"/logout", nil); err != nil {
		t.Fatal(err)
	}
	get("/authorize/corp?state=x&code=y")
	return get("/metrics")
}

func TestSignInsAreCounted(t *testing.T) {
	text := scrape(t)
	for _, want := range []string{
		`ginauth_events_total{by="",code="",event="sign_in_started",provider="corp"} 1`,
		`ginauth_events_total{by="",code="",event="sign_in_succeeded",provider="corp"} 1`,
		`ginauth_events_total{by="user",code="",event="signed_out",provider="corp"} 1`,
		`ginauth_events_total{by="",code="state_invalid",event="sign_in_failed",provider="corp"} 1`,
		`ginauth_provider_seconds_count{provider="corp"} 1`,
		`ginauth_provider_seconds_bucket{provider="corp",le="10"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the metrics lack %s:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "\nginauth_events_total{"); n != 4 {
		t.Errorf("%d counters, want 4:\n%s", n, text)
	}
}

// The queries on the page use existing metrics, labels and values.
func TestQueriesOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```promql\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Fatal("the page has no queries: this test checks nothing")
	}
	text := scrape(t)
	for _, block := range blocks {
		names := regexp.MustCompile(`ginauth_[a-z_]+`).FindAllString(block[1], -1)
		if len(names) == 0 {
			t.Errorf("a query uses no ginauth metric: %s", block[1])
		}
		for _, name := range names {
			if !strings.Contains(text, "\n"+name+"{") {
				t.Errorf("there is no metric %s", name)
			}
		}
		for _, m := range regexp.MustCompile(`event="([a-z_]+)"`).FindAllStringSubmatch(block[1], -1) {
			if !strings.Contains(string(page), "| `"+m[1]+"` |") {
				t.Errorf("the page's table has no event %s", m[1])
			}
		}
	}
}
