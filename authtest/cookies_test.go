package authtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/authtest"
)

func TestWhichCookiesAreKept(t *testing.T) {
	const (
		app   = "https://app.example.com/dir/page"
		plain = "http://app.example.com/dir/page"
		local = "http://localhost/dir/page"
	)
	big := strings.Repeat("v", 4095)
	for _, test := range []struct {
		name, url, line string
		sentTo          string // where it is looked for
		want            string // the Cookie header there
	}{
		{"plain", app, "a=1", app, "a=1"},
		{"quotes stay", app, `a="1 2"`, app, `a="1 2"`},
		{"blanks do not", app, " a = 1 2 ; Path=/", app, "a=1 2"},
		{"an equals sign in the value", app, "a=b=c", app, "a=b=c"},
		{"no name", app, "justvalue", app, ""},
		{"as large as can be", app, "a=" + big, app, "a=" + big},
		{"too large", app, "ab=" + big, app, ""},
		{"default path", app, "a=1", "https://app.example.com/dir/other", "a=1"},
		{"default path elsewhere", app, "a=1", "https://app.example.com/other", ""},
		{"path", app, "a=1; path=/x", "https://app.example.com/x/y", "a=1"},
		{"path is no mere prefix", app, "a=1; path=/x", "https://app.example.com/xy", ""},
		{"path that is none", app, "a=1; path=x", "https://app.example.com/dir/z", "a=1"},
		{"an overlong attribute is ignored", app, "a=1; path=/" + strings.Repeat("x", 1024), app, "a=1"},
		{"host only", app, "a=1; path=/", "https://www.example.com/", ""},
		{"domain", app, "a=1; path=/; domain=.Example.com", "https://www.example.com/", "a=1"},
		{"domain and the domain itself", app, "a=1; path=/; domain=example.com", "https://example.com/", "a=1"},
		{"another's domain", app, "a=1; domain=www.example.com", "https://www.example.com/", ""},
		{"another site's domain", app, "a=1; domain=example.org", "https://evil.example.org/", ""},
		{"a public suffix", app, "a=1; domain=com", app, ""},
		{"localhost for itself", local, "a=1; domain=localhost; path=/", local, "a=1"},
		{"localhost for itself, not below", local, "a=1; domain=localhost; path=/", "http://app.localhost/", ""},
		{"an address for itself", "http://127.0.0.1/", "a=1; domain=127.0.0.1", "http://127.0.0.1/", "a=1"},
		{"part of an address", "http://127.0.0.1/", "a=1; domain=0.1", "http://127.0.0.1/", ""},
		{"Secure", app, "a=1; secure", app, "a=1"},
		{"Secure stays off http", app, "a=1; secure", plain, ""},
		{"Secure from http", plain, "a=1; secure", app, ""},
		{"Secure from http on loopback", local, "a=1; secure", local, "a=1"},
		{"without Secure https and http share", app, "a=1", plain, "a=1"},
		{"ports share", "http://localhost/", "a=1", "https://localhost/", "a=1"},
		{"Max-Age", app, "a=1; max-age=1", app, "a=1"},
		{"Max-Age 0", app, "a=1; max-age=0", app, ""},
		{"Max-Age below 0", app, "a=1; max-age=-99999999999999999999", app, ""},
		{"Max-Age over all bounds", app, "a=1; max-age=99999999999999999999", app, "a=1"},
		{"Max-Age that is no number", app, "a=1; max-age=0x", app, "a=1"},
		{"Expires", app, "a=1; expires=Thu, 01 Jan 2099 00:00:00 GMT", app, "a=1"},
		{"Expires in the past", app, "a=1; expires=Thu, 01-Jan-1970 00:00:00 GMT", app, ""},
		{"Expires that is no time", app, "a=1; expires=0", app, "a=1"},
		{"Max-Age wins over Expires", app, "a=1; max-age=10; expires=Thu, 01 Jan 1970 00:00:00 GMT", app, "a=1"},
		{"SameSite=None without Secure", app, "a=1; samesite=none", app, ""},
		{"SameSite=None with it", app, "a=1; samesite=none; secure", app, "a=1"},
		{"SameSite that is none", app, "a=1; samesite=maybe", app, "a=1"},
		{"__Host-", app, "__Host-a=1; secure; path=/", app, "__Host-a=1"},
		{"__Host- in another case", app, "__hOST-a=1; path=/", app, ""},
		{"__Host- without Secure", app, "__Host-a=1; path=/", app, ""},
		{"__Host- without Path", "https://app.example.com/dir/", "__Host-a=1; secure", "https://app.example.com/dir/", ""},
		{"__Host- with Domain", app, "__Host-a=1; secure; path=/; domain=app.example.com", app, ""},
		{"__Host- on http loopback", local, "__Host-a=1; secure; path=/", local, ""},
		{"__Host- on https loopback", "https://localhost/", "__Host-a=1; secure; path=/", "https://localhost/", "__Host-a=1"},
		{"__Secure-", app, "__Secure-a=1; secure; domain=example.com", app, "__Secure-a=1"},
		{"__Secure- without Secure", app, "__Secure-a=1", app, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.set(t, test.url, test.line)
			p, err := w.browser.Get(w.url(test.sentTo))
			if got := hear(t, p, err).get("Cookie"); got != test.want {
				t.Errorf("sent %q, want %q; refused %q", got, test.want, w.browser.RefusedCookies())
			}
		})
	}
}

func TestSameSite(t *testing.T) {
	const (
		app     = "https://app.example.com/"
		sibling = "https://www.example.com/"
		insecur = "http://www.example.com/"
		evil    = "https://evil.example.org/"
		all     = "strict lax silent none"
		relaxed = "lax silent none"
	)
	w := newWorld(t)
	b := w.browser
	w.set(t, app, "strict=1; SameSite=Strict", "lax=1; SameSite=Lax", "silent=1", "none=1; SameSite=None; Secure")
	target := w.url(app)
	at := func(address string) *authtest.Page { return authtest.At(w.url(address)) }
	type visit func() (*authtest.Page, error)
	click := func(from string) visit { return func() (*authtest.Page, error) { return b.Click(at(from), target) } }
	submit := func(from string) visit {
		return func() (*authtest.Page, error) { return b.Submit(at(from), target, nil) }
	}
	frame := func(from string) visit { return func() (*authtest.Page, error) { return b.Frame(at(from), target) } }
	fetch := func(from string) visit {
		return func() (*authtest.Page, error) { return b.Fetch(at(from), "GET", target, nil, "") }
	}
	through := func(first string, pairs ...string) string {
		return w.url(first, append(pairs, "to", target)...)
	}
	for _, test := range []struct {
		name  string
		visit visit
		want  string
	}{
		{"typed", func() (*authtest.Page, error) { return b.Get(target) }, all},
		{"typed, by way of another site", func() (*authtest.Page, error) { return b.Get(through(evil)) }, all},
		{"a link of its own", click(app), all},
		{"a link of a sibling", click(sibling), all},
		{"a link of a sibling over http", click(insecur), relaxed},
		{"a link of another site", click(evil), relaxed},
		{"a link of its own, by way of another site", func() (*authtest.Page, error) { return b.Click(at(app), through(evil)) }, all},
		{"a form of its own", submit(app), all},
		{"a form of another site", submit(evil), "none"},
		{"a form of another site that 303 makes a GET", func() (*authtest.Page, error) {
			return b.Submit(at(evil), through(evil, "status", "303"), nil)
		}, relaxed},
		{"a form of another site that 307 leaves a POST", func() (*authtest.Page, error) {
			return b.Submit(at(evil), through(evil, "status", "307"), nil)
		}, "none"},
		{"a frame of its own", frame(app), all},
		{"a frame on another site", frame(evil), "none"},
		{"a script of its own", fetch(app), all},
		{"a script of a sibling", fetch(sibling), all},
		{"a script of another site", fetch(evil), "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := test.visit()
			got := strings.ReplaceAll(strings.ReplaceAll(hear(t, p, err).get("Cookie"), "=1", ""), ";", "")
			if got != test.want {
				t.Errorf("sent %q, want %q", got, test.want)
			}
		})
	}
}

func TestSameSiteWhenSet(t *testing.T) {
	const lines = "https://app.example.com/"
	for _, test := range []struct {
		name  string
		visit func(b *authtest.Browser, evil *authtest.Page, target string) (*authtest.Page, error)
		want  string
	}{
		{"a cross-site frame", func(b *authtest.Browser, evil *authtest.Page, target string) (*authtest.Page, error) {
			return b.Frame(evil, target)
		}, "none=1"},
		{"a cross-site script", func(b *authtest.Browser, evil *authtest.Page, target string) (*authtest.Page, error) {
			return b.Fetch(evil, "POST", target, nil, "")
		}, "none=1"},
		{"a cross-site form", func(b *authtest.Browser, evil *authtest.Page, target string) (*authtest.Page, error) {
			return b.Submit(evil, target, nil)
		}, "lax=1; none=1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			target := w.url(lines, "set", "lax=1; SameSite=Lax", "set", "none=1; SameSite=None; Secure")
			if _, err := test.visit(w.browser, authtest.At(w.url("https://evil.example.org/")), target); err != nil {
				t.Fatal(err)
			}
			p, err := w.browser.Get(w.url(lines))
			if got := hear(t, p, err).get("Cookie"); got != test.want {
				t.Errorf("kept %q, want %q", got, test.want)
			}
		})
	}
}

func TestCookiesReplaceOneAnother(t *testing.T) {
	w := newWorld(t)
	w.set(t, "https://app.example.com/", "a=1; path=/", "b=1; path=/", "a=2; path=/", "b=host; path=/x", "a=domain; path=/; domain=example.com")
	p, err := w.browser.Get(w.url("https://app.example.com/x"))
	if got := hear(t, p, err).get("Cookie"); got != "b=host; a=2; b=1; a=domain" {
		t.Errorf("sent %q", got)
	}
	w.set(t, "https://app.example.com/", "a=gone; path=/; max-age=0")
	p, err = w.browser.Get(w.url("https://app.example.com/"))
	if got := hear(t, p, err).get("Cookie"); got != "b=1; a=domain" {
		t.Errorf("after one was deleted: %q", got)
	}
}

func TestSecureCookiesAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.set(t, "https://app.example.com/", "a=1; path=/; secure", "b=1; path=/x; secure")
	w.set(t, "http://www.example.com/", "a=evil; path=/; domain=example.com")
	w.set(t, "http://app.example.com/", "a=evil; path=/", "a=evil; path=/x", "b=2; path=/")
	p, err := w.browser.Get(w.url("https://app.example.com/"))
	if got := hear(t, p, err).get("Cookie"); got != "a=1; b=2" {
		t.Errorf("sent %q", got)
	}
	if got := len(w.browser.RefusedCookies()); got != 3 {
		t.Errorf("refused %q", w.browser.RefusedCookies())
	}
}

func TestCookiesExpire(t *testing.T) {
	w, clock := newWorld(t), newClock()
	w.browser.Now = clock.now
	w.set(t, "https://app.example.com/", "short=1; max-age=60", "long=1; max-age=99999999", "session=1")
	sent := func() string {
		t.Helper()
		p, err := w.browser.Get(w.url("https://app.example.com/"))
		return hear(t, p, err).get("Cookie")
	}
	clock.add(time.Minute - time.Second)
	if got := sent(); got != "short=1; long=1; session=1" {
		t.Errorf("before: %q", got)
	}
	clock.add(time.Second)
	if got := sent(); got != "long=1; session=1" {
		t.Errorf("after: %q", got)
	}
	clock.add(400 * 24 * time.Hour)
	if got := sent(); got != "session=1" {
		t.Errorf("after 400 days: %q", got)
	}
}

func TestCookieLimit(t *testing.T) {
	w := newWorld(t)
	app := w.url("https://app.example.com/")
	for n := range 200 {
		if err := w.browser.SetCookie(app, &http.Cookie{Name: fmt.Sprint("c", n), Value: "x"}); err != nil {
			t.Fatal(err)
		}
		if n == 100 {
			w.browser.Cookies(app) // uses them all, in their order
		}
	}
	kept := w.browser.Cookies(app)
	if len(kept) != 180 || kept[0].Name != "c20" || kept[179].Name != "c199" {
		t.Errorf("%d kept, from %s", len(kept), kept[0].Name)
	}
}

func TestCookiesByHand(t *testing.T) {
	w := newWorld(t)
	app := w.url("https://app.example.com/")
	w.set(t, "https://app.example.com/", `__Host-a="1"; path=/; secure; httponly; samesite=lax; max-age=60`, "d=1; domain=example.com; SameSite=Strict")
	before := w.browser.Cookies(app)
	if len(before) != 2 {
		t.Fatalf("%v", before)
	}
	twin := w.browser.Clone()
	for _, c := range before {
		if !w.browser.RemoveCookie(app, c.Name) || w.browser.RemoveCookie(app, c.Name) {
			t.Errorf("%s removed not exactly once", c.Name)
		}
	}
	if left := w.browser.Cookies(app); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	for _, c := range before {
		if err := w.browser.SetCookie(app, c); err != nil {
			t.Error(err)
		}
	}
	after := w.browser.Cookies(app)
	if fmt.Sprint(after) != fmt.Sprint(before) || fmt.Sprint(twin.Cookies(app)) != fmt.Sprint(before) {
		t.Errorf("%v\nput back as %v\ncloned as %v", before, after, twin.Cookies(app))
	}
	if err := w.browser.SetCookie(app, &http.Cookie{Name: "__Host-b", Value: "x"}); err == nil || !strings.Contains(err.Error(), "prefix") {
		t.Errorf("a refused cookie: %v", err)
	}
	if err := w.browser.SetCookie(app, &http.Cookie{Name: "d", Domain: "example.com", MaxAge: -1}); err != nil || len(w.browser.Cookies(app)) != 1 {
		t.Errorf("deleted by hand: %v, %v", err, w.browser.Cookies(app))
	}
	if err := w.browser.SetCookie(app, &http.Cookie{Name: "c", Value: "a\x01"}); err == nil {
		t.Error("control characters were taken")
	}
	if err := w.browser.SetCookie("mailto:x", before[0]); err == nil || w.browser.Cookies("mailto:x") != nil || w.browser.RemoveCookie("mailto:x", "d") {
		t.Error("an address that leads to no page has cookies")
	}
}
