package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

const right = "correct horse battery"

// clock is advanced by the test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (k *clock) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at
}

func (k *clock) advance(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at = k.at.Add(d)
}

func start(t *testing.T) (address string, k *clock, idp *authtest.Provider) {
	t.Helper()
	gin.SetMode(gin.TestMode)
	k = &clock{at: time.Now()}
	idp, err := authtest.Start(authtest.Config{Now: k.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	idp.SignInAs("grace")
	server := httptest.NewUnstartedServer(nil)
	address = "http://" + strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	app, err := application(ginauth.Options{BaseURL: address, Providers: []ginauth.Provider{idp.Client("demo")}, Now: k.now, Logger: slog.New(slog.DiscardHandler)}, k.now)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = app
	server.Start()
	t.Cleanup(server.Close)
	return address, k, idp
}

func must(t *testing.T, p *authtest.Page, err error) *authtest.Page {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// try fills in the form at a path.
func try(t *testing.T, b *authtest.Browser, address, name, password string, more ...string) *authtest.Page {
	t.Helper()
	p, err := b.Get(address)
	p = must(t, p, err)
	form := url.Values{"name": {name}, "password": {password}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	p, err = b.SubmitForm(p, "Sign in", form)
	return must(t, p, err)
}

func hello(t *testing.T, b *authtest.Browser, address string) string {
	t.Helper()
	p, err := b.Fetch(authtest.At(address+"/"), "GET", address+"/", nil, "")
	if p = must(t, p, err); p.Status != http.StatusOK {
		return ""
	}
	_, rest, _ := strings.Cut(p.Text(), "Hello, ")
	name, _, _ := strings.Cut(rest, "!")
	return name
}

func TestThePasswordSignsIn(t *testing.T) {
	address, _, _ := start(t)
	b := authtest.NewBrowser()
	p, err := b.Get(address + "/?a=b") // guarded: redirects to the chooser
	p = must(t, p, err)
	p, err = b.ClickLink(p, "Sign in with your password")
	p = must(t, p, err)
	if p.URL.Path != "/password" || p.URL.Query().Get("return_to") != "/?a=b" {
		t.Fatalf("the button leads to %s", p.URL)
	}
	if p = try(t, b, p.URL.String(), "Ada", right); p.URL.RequestURI() != "/?a=b" || !strings.Contains(p.Text(), "Hello, ada!") {
		t.Errorf("came to %s: %s", p.URL, p.Text())
	}
	for _, c := range b.Cookies(address) {
		if !c.Expires.IsZero() && !strings.HasSuffix(c.Name, "-n") { // the -n cookie counts redirects, for ten seconds
			t.Errorf("the cookie %s outlives the browser", c.Name)
		}
	}
	b = authtest.NewBrowser()
	try(t, b, address+"/password?return_to=//evil.example", "ada", right, "remember", "yes")
	lasting := 0
	for _, c := range b.Cookies(address) {
		if !c.Expires.IsZero() {
			lasting++
		}
	}
	if hello(t, b, address) != "ada" || lasting == 0 {
		t.Errorf("remembered, with %d lasting cookies", lasting)
	}
	if last := b.History(); strings.Contains(last[len(last)-1].URL.String(), "evil") {
		t.Errorf("sent to %s", last[len(last)-1].URL)
	}
}

func TestAProviderStandsBesideIt(t *testing.T) {
	address, _, _ := start(t)
	b := authtest.NewBrowser()
	p, err := b.Get(address + "/login/demo")
	if p = must(t, p, err); hello(t, b, address) != "Grace Hopper" {
		t.Errorf("came to %s: %s", p.URL, p.Text())
	}
}

func TestWrongPasswordsAndFormsOfOtherSites(t *testing.T) {
	address, k, _ := start(t)
	b := authtest.NewBrowser()
	answers := map[string]bool{}
	for _, wrong := range [][2]string{{"ada", "wrong"}, {"ada", ""}, {"eve", right}, {"", ""}} {
		p := try(t, b, address+"/password", wrong[0], wrong[1])
		k.advance(time.Minute)
		if p.Status != http.StatusUnauthorized || hello(t, b, address) != "" {
			t.Errorf("%q: %d", wrong, p.Status)
		}
		answers[strings.Replace(p.Text(), wrong[0], "", 1)] = true
	}
	if len(answers) != 1 {
		t.Errorf("the responses distinguish a wrong name from a wrong password: %v", answers)
	}
	p, err := b.Submit(authtest.At("https://evil.example/"), address+"/password", url.Values{"name": {"ada"}, "password": {right}})
	if p = must(t, p, err); p.Status != http.StatusForbidden || hello(t, b, address) != "" {
		t.Errorf("a form from another site: %d", p.Status)
	}
}

func TestTriesAreLimited(t *testing.T) {
	address, k, _ := start(t)
	b := authtest.NewBrowser()
	for _, name := range []string{"ada", "Ada", "aDa", "adA", "ADA"} { // one account: combinations of case share the five attempts
		try(t, b, address+"/password", name, "wrong")
		b = authtest.NewBrowser()
	}
	k.advance(time.Second) // the address may try again after twelve, and so may the name
	if p := try(t, b, address+"/password", "ada", right); p.Status != http.StatusTooManyRequests || p.Header.Get("Retry-After") == "" {
		t.Errorf("the sixth try: %d", p.Status)
	}
	k.advance(13 * time.Second)
	if try(t, b, address+"/password", "ada", right); hello(t, b, address) != "ada" {
		t.Error("not signed in after a pause")
	}
	a := newAttempts(k.now)
	for n := range 100_000 {
		a.allow(strings.Repeat("x", n%7) + time.Duration(n).String()) // bounded for any keys
	}
}

func TestANewPasswordEndsOtherSessions(t *testing.T) {
	address, k, _ := start(t)
	b, stolen := authtest.NewBrowser(), authtest.NewBrowser()
	try(t, stolen, address+"/password", "ada", right)
	p := try(t, b, address+"/password", "ada", right)
	k.advance(time.Minute)
	change := func(old, new string) *authtest.Page {
		answer, err := b.SubmitForm(p, "Change password", url.Values{"old": {old}, "new": {new}})
		return must(t, answer, err)
	}
	for _, wrong := range [][2]string{{"wrong", "a long new password"}, {right, "short"}, {right, "ééééééé"}} { // the last has 14 bytes
		if answer := change(wrong[0], wrong[1]); answer.Status != http.StatusBadRequest || hello(t, stolen, address) != "ada" {
			t.Errorf("%q: %d", wrong, answer.Status)
		}
		k.advance(time.Minute)
	}
	if answer := change(right, "a long new password"); answer.Status != http.StatusOK || hello(t, b, address) != "ada" {
		t.Errorf("changed: %d %s", answer.Status, answer.Text())
	}
	if who := hello(t, stolen, address); who != "" {
		t.Errorf("the other browser is still signed in as %s", who)
	}
	k.advance(time.Minute)
	fresh := authtest.NewBrowser()
	if try(t, fresh, address+"/password", "ada", right); hello(t, fresh, address) != "" {
		t.Error("the old password still works")
	}
	if try(t, fresh, address+"/password", "ada", "a long new password"); hello(t, fresh, address) != "ada" {
		t.Error("the new password does not work")
	}
}
