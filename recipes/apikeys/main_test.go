package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

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

type setting struct {
	address string
	clock   *clock
	idp     *authtest.Provider
	keys    *keys
	folder  string // that contains the database
}

func start(t *testing.T) *setting {
	t.Helper()
	gin.SetMode(gin.TestMode)
	s := &setting{clock: &clock{at: time.Now()}, folder: t.TempDir()}
	var err error
	if s.idp, err = authtest.Start(authtest.Config{Now: s.clock.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.idp.Close)
	if s.keys, err = openKeys(filepath.Join(s.folder, "keys.db"), s.clock.now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.keys.db.Close() })
	server := httptest.NewUnstartedServer(nil)
	s.address = "http://" + strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	demo := s.idp.Client("demo")
	demo.Audience = s.address
	app, err := application(ginauth.Options{BaseURL: s.address, Providers: []ginauth.Provider{demo}, Now: s.clock.now, Logger: slog.New(slog.DiscardHandler)}, s.keys)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = app
	server.Start()
	t.Cleanup(server.Close)
	return s
}

// opens opens the keys page in a browser that is signed in as subject.
func (s *setting) opens(t *testing.T, b *authtest.Browser, subject string) *authtest.Page {
	t.Helper()
	s.idp.SignInAs(subject)
	p, err := b.Get(s.address + "/keys")
	if err != nil || p.Status != http.StatusOK || p.URL.Path != "/keys" {
		t.Fatalf("%v: %s", err, p.Text())
	}
	return p
}

var (
	shownKey = regexp.MustCompile(`shop_[A-Za-z0-9_-]{43}`)
	aNewKey  = url.Values{"name": {"nightly report"}, "scope": {"orders:read"}, "days": {"7"}}
)

// makes creates a key on the page.
func (s *setting) makes(t *testing.T, b *authtest.Browser, subject string) string {
	t.Helper()
	p, err := b.SubmitForm(s.opens(t, b, subject), "Create key", aNewKey)
	if err != nil || p.Status != http.StatusOK {
		t.Fatalf("%v: %s", err, p.Text())
	}
	return shownKey.FindString(p.Text())
}

// ask sends a request with an Authorization header.
func (s *setting) ask(t *testing.T, method, path, authorization string) (*http.Response, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body map[string]any
	json.NewDecoder(response.Body).Decode(&body)
	return response, body
}

func (s *setting) status(t *testing.T, path, authorization string) int {
	t.Helper()
	response, _ := s.ask(t, http.MethodGet, path, authorization)
	return response.StatusCode
}

// A key is shown once. Afterwards it appears neither on the page nor in the database.
func TestAKeyIsShownOnce(t *testing.T) {
	s, b := start(t), authtest.NewBrowser()
	raw := s.makes(t, b, "ada")
	if raw == "" {
		t.Fatal("the page shows no key")
	}
	p := s.opens(t, b, "ada")
	if strings.Contains(p.Text(), raw) || !strings.Contains(p.Text(), raw[:shownChars]) || !strings.Contains(p.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("%v %s", p.Header, p.Text())
	}
	files, err := filepath.Glob(filepath.Join(s.folder, "keys.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%q %v", files, err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil || bytes.Contains(content, []byte(raw[shownChars:])) {
			t.Errorf("%s has the key, or %v", name, err)
		}
	}
	if other := s.makes(t, b, "ada"); other == raw || other[:shownChars] == raw[:shownChars] {
		t.Errorf("two keys are the same: %s", other[:shownChars])
	}
}

// Keys, access tokens and sessions work on the same routes, for the same user.
func TestWhatAKeyPermits(t *testing.T) {
	s, b := start(t), authtest.NewBrowser()
	raw := s.makes(t, b, "ada")
	token := authtest.Bearer(s.idp, s.address, "ada", "orders:read").Get("Authorization")
	for name, authorization := range map[string]string{"a key": "Bearer " + raw, "in lower case": "bearer  " + raw, "a token": token} {
		if response, body := s.ask(t, "GET", "/orders", authorization); response.StatusCode != http.StatusOK || body["of"] != "ada" {
			t.Errorf("%s: %s %v", name, response.Status, body)
		}
		response, _ := s.ask(t, "POST", "/orders", authorization)
		if got := response.Header.Get("WWW-Authenticate"); response.StatusCode != http.StatusForbidden || !strings.HasPrefix(got, `Bearer error="insufficient_scope", scope="orders:write"`) {
			t.Errorf("%s that may only read: %s %s", name, response.Status, got)
		}
		for _, path := range []string{"/keys", "/keys/revoke"} {
			response, _ := s.ask(t, "POST", path, authorization)
			if response.StatusCode != http.StatusForbidden {
				t.Errorf("%s at %s: %s", name, path, response.Status)
			}
		}
		if got := s.status(t, "/keys", authorization); got != http.StatusForbidden {
			t.Errorf("%s at /keys: %d", name, got)
		}
	}
	p, err := b.Fetch(authtest.At(s.address+"/keys"), "POST", s.address+"/orders", nil, "")
	if err != nil || p.Status != http.StatusCreated {
		t.Errorf("a session: %v %d", err, p.Status)
	}
	// The session is ignored if the request also has an invalid key.
	p, err = b.Fetch(authtest.At(s.address+"/keys"), "GET", s.address+"/orders", http.Header{"Authorization": {"Bearer " + keyPrefix + strings.Repeat("x", 43)}}, "")
	if err != nil || p.Status != http.StatusUnauthorized {
		t.Errorf("a bad key beside a session: %v %d", err, p.Status)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	s, b := start(t), authtest.NewBrowser()
	raw := s.makes(t, b, "ada")
	last := "A"
	if raw[keyLength-2:keyLength-1] == last {
		last = "B"
	}
	for name, bad := range map[string]string{
		"unknown":   keyPrefix + strings.Repeat("x", 43),
		"changed":   raw[:keyLength-2] + last + raw[keyLength-1:],
		"cut off":   raw[:keyLength-1],
		"longer":    raw + "A",
		"the shown": raw[:shownChars],
		"a prefix":  keyPrefix,
		"no key":    "guess",
	} {
		response, _ := s.ask(t, "GET", "/orders", "Bearer "+bad)
		if got := response.Header.Get("WWW-Authenticate"); response.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(got, `Bearer error="invalid_token"`) {
			t.Errorf("%s: %s %s", name, response.Status, got)
		}
	}
	s.clock.advance(7*24*time.Hour - time.Second)
	if got := s.status(t, "/orders", "Bearer "+raw); got != http.StatusOK {
		t.Errorf("in its last second: %d", got)
	}
	s.clock.advance(time.Second)
	if got := s.status(t, "/orders", "Bearer "+raw); got != http.StatusUnauthorized {
		t.Errorf("expired: %d", got)
	}
	s.keys.db.Close()
	if got := s.status(t, "/orders", "Bearer "+raw); got != http.StatusServiceUnavailable {
		t.Errorf("without a database: %d", got)
	}
}

func TestARevokedKeyIsRefusedAtOnce(t *testing.T) {
	s, b, other := start(t), authtest.NewBrowser(), authtest.NewBrowser()
	raw := s.makes(t, b, "ada")
	s.makes(t, other, "grace")
	p, err := other.Submit(s.opens(t, other, "grace"), s.address+"/keys/revoke", url.Values{"key": {raw[:shownChars]}})
	if err != nil || p.Status != http.StatusOK || s.status(t, "/orders", "Bearer "+raw) != http.StatusOK {
		t.Errorf("another user revoked the key: %v %d", err, p.Status)
	}
	if p, err = b.SubmitForm(s.opens(t, b, "ada"), "Revoke nightly report", nil); err != nil || strings.Contains(p.Text(), raw[:shownChars]) {
		t.Errorf("%v %s", err, p.Text())
	}
	if got := s.status(t, "/orders", "Bearer "+raw); got != http.StatusUnauthorized {
		t.Errorf("revoked: %d", got)
	}
}

func TestTheLastUseIsWrittenOnceAMinute(t *testing.T) {
	s, b := start(t), authtest.NewBrowser()
	raw := s.makes(t, b, "ada")
	used := func() time.Time {
		all, err := s.keys.of(context.Background(), &ginauth.User{Issuer: s.idp.Issuer, Subject: "ada"})
		if err != nil || len(all) != 1 {
			t.Fatalf("%v %v", all, err)
		}
		return all[0].LastUsed
	}
	if !used().IsZero() {
		t.Errorf("used at %v", used())
	}
	first := s.clock.now().Truncate(time.Second)
	for _, step := range []struct {
		wait time.Duration
		want time.Time
	}{{0, first}, {59 * time.Second, first}, {time.Second, first.Add(time.Minute)}} {
		s.clock.advance(step.wait)
		if got := s.status(t, "/orders", "Bearer "+raw); got != http.StatusOK || !used().Equal(step.want) {
			t.Errorf("%d, used at %v, want %v", got, used(), step.want)
		}
	}
}

// The page requires a sign-in within the last ten minutes, and accepts only its own forms.
func TestThePageIsGuarded(t *testing.T) {
	s, b := start(t), authtest.NewBrowser()
	s.makes(t, b, "ada")
	p, err := b.Submit(authtest.At("https://evil.example/"), s.address+"/keys", aNewKey)
	if err != nil || p.Status == http.StatusOK {
		t.Errorf("a form from another site: %v %d", err, p.Status)
	}
	p, err = b.Submit(authtest.At("http://localhost:9999/"), s.address+"/keys", aNewKey) // with the cookie: ports are one site
	if err != nil || p.Status != http.StatusForbidden {
		t.Errorf("a form from another origin: %v %d", err, p.Status)
	}
	s.clock.advance(11 * time.Minute)
	asked := s.idp.Count(authtest.Authorize)
	p, err = b.Fetch(authtest.At(s.address+"/keys"), "POST", s.address+"/keys", nil, aNewKey.Encode())
	if err != nil || p.Status != http.StatusUnauthorized {
		t.Errorf("after eleven minutes: %v %d", err, p.Status)
	}
	p = s.opens(t, b, "ada")
	if form := s.idp.LastRequest(authtest.Authorize).Form; s.idp.Count(authtest.Authorize) != asked+1 || form.Get("max_age") == "" {
		t.Errorf("the user did not have to authenticate again: %v", form)
	}
	if n := strings.Count(p.Text(), "Revoke nightly report"); n != 1 {
		t.Errorf("there are %d keys: %s", n, p.Text())
	}
}

func TestFormsThatAreRefused(t *testing.T) {
	s, b := start(t), authtest.NewBrowser()
	p := s.opens(t, b, "ada")
	for name, form := range map[string]url.Values{
		"no name":       {"name": {" "}, "scope": {"orders:read"}, "days": {"7"}},
		"a long name":   {"name": {strings.Repeat("x", 101)}, "scope": {"orders:read"}, "days": {"7"}},
		"no scope":      {"name": {"x"}, "days": {"7"}},
		"another scope": {"name": {"x"}, "scope": {"orders:read", "admin"}, "days": {"7"}},
		"another life":  {"name": {"x"}, "scope": {"orders:read"}, "days": {"36500"}},
		"no life":       {"name": {"x"}, "scope": {"orders:read"}},
	} {
		if answer, err := b.Submit(p, s.address+"/keys", form); err != nil || answer.Status != http.StatusBadRequest || shownKey.MatchString(answer.Text()) {
			t.Errorf("%s: %v %d", name, err, answer.Status)
		}
	}
	page, err := b.Submit(p, s.address+"/keys", url.Values{"name": {"<script>alert(1)</script>"}, "scope": {"orders:write"}, "days": {"90"}})
	if err != nil || strings.Contains(page.Text(), "<script>") || !strings.Contains(page.Text(), "&lt;script&gt;") {
		t.Errorf("%v %s", err, page.Text())
	}
	var all sync.WaitGroup
	for n := range keysEach + 5 {
		all.Go(func() {
			owner := &ginauth.User{Provider: "demo", Issuer: s.idp.Issuer, Subject: "ada"}
			_, err := s.keys.create(t.Context(), owner, fmt.Sprint(n), scopes, time.Hour)
			if err != nil && err != errTooMany {
				t.Log(err)
			}
		})
	}
	all.Wait()
	if rows, err := s.keys.of(t.Context(), &ginauth.User{Issuer: s.idp.Issuer, Subject: "ada"}); err != nil || len(rows) != keysEach {
		t.Errorf("%d keys, %v", len(rows), err)
	}
	if page, err = b.Submit(p, s.address+"/keys", aNewKey); err != nil || page.Status != http.StatusConflict {
		t.Errorf("one too many: %v %d", err, page.Status)
	}
}

// The cost of a valid, an unknown and an expired key.
func BenchmarkKeys(b *testing.B) {
	gin.SetMode(gin.TestMode)
	k := &clock{at: time.Now()}
	all, err := openKeys(filepath.Join(b.TempDir(), "keys.db"), k.now)
	if err != nil {
		b.Fatal(err)
	}
	defer all.db.Close()
	owner := &ginauth.User{Provider: "demo", Issuer: "https://idp.example", Subject: "ada"}
	good, err1 := all.create(b.Context(), owner, "good", scopes, time.Hour)
	late, err2 := all.create(b.Context(), owner, "late", scopes, 0)
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	for name, raw := range map[string]string{"good": good, "expired": late, "unknown": keyPrefix + strings.Repeat("x", 43)} {
		b.Run(name, func(b *testing.B) {
			c, _ := gin.CreateTestContext(httptest.NewRecorder())
			c.Request = httptest.NewRequest("GET", "/orders", nil)
			c.Request.Header.Set("Authorization", "Bearer "+raw)
			for b.Loop() {
				if user, err := all.authenticate(c); (user != nil) != (name == "good") || (err == nil) != (name == "good") {
					b.Fatal(user, err)
				}
			}
		})
	}
}
