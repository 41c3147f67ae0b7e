package authtest_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/ginauth/ginauth/authtest"
)

func TestWhoAsked(t *testing.T) {
	const (
		app     = "https://app.example.com/page"
		sibling = "https://www.example.com/page"
		evil    = "https://evil.example.org/page"
	)
	w := newWorld(t)
	b := w.browser
	at := func(address string) *authtest.Page { return authtest.At(w.url(address)) }
	origin := func(address string) string { return strings.TrimSuffix(w.url(address), "/page") }
	through := func(first string, pairs ...string) string { return w.url(first, append(pairs, "to", w.url(app))...) }
	type visit func() (*authtest.Page, error)
	for _, test := range []struct {
		name  string
		visit visit
		fetch string // Sec-Fetch-Site, Mode, Dest and User
		from  string // Origin
	}{
		{"typed", func() (*authtest.Page, error) { return b.Get(w.url(app)) }, "none navigate document ?1", ""},
		{"typed, by way of another site", func() (*authtest.Page, error) { return b.Get(through(evil)) }, "none navigate document ?1", ""},
		{"a link of its own", func() (*authtest.Page, error) { return b.Click(at(app), "/x") }, "same-origin navigate document ?1", ""},
		{"a link of a sibling", func() (*authtest.Page, error) { return b.Click(at(sibling), w.url(app)) }, "same-site navigate document ?1", ""},
		{"a link of another site", func() (*authtest.Page, error) { return b.Click(at(evil), w.url(app)) }, "cross-site navigate document ?1", ""},
		{"a link of its own, by way of a sibling", func() (*authtest.Page, error) { return b.Click(at(app), through(sibling)) }, "same-site navigate document ?1", ""},
		{"a link of its own, by way of another site", func() (*authtest.Page, error) { return b.Click(at(app), through(evil)) }, "cross-site navigate document ?1", ""},
		{"a form of its own", func() (*authtest.Page, error) { return b.Submit(at(app), "/x", nil) }, "same-origin navigate document ?1", origin(app)},
		{"a form of another site", func() (*authtest.Page, error) { return b.Submit(at(evil), w.url(app), nil) }, "cross-site navigate document ?1", origin(evil)},
		{"a form that 307 takes elsewhere", func() (*authtest.Page, error) {
			return b.Submit(at(evil), through(sibling, "status", "307"), nil)
		}, "cross-site navigate document ?1", "null"},
		{"a form that 307 brings back", func() (*authtest.Page, error) {
			return b.Submit(at(app), through(sibling, "status", "307"), nil)
		}, "same-site navigate document ?1", "null"},
		{"a form that 303 makes a GET", func() (*authtest.Page, error) {
			return b.Submit(at(evil), through(evil, "status", "303"), nil)
		}, "cross-site navigate document ?1", ""},
		{"a form under no-referrer", func() (*authtest.Page, error) {
			p := at(app)
			p.Header.Set("Referrer-Policy", "no-referrer")
			return b.Submit(p, "/x", nil)
		}, "same-origin navigate document ?1", "null"},
		{"a form under same-origin to another site", func() (*authtest.Page, error) {
			p := at(evil)
			p.Header.Set("Referrer-Policy", "same-origin")
			return b.Submit(p, w.url(app), nil)
		}, "cross-site navigate document ?1", "null"},
		{"a form under same-origin to itself", func() (*authtest.Page, error) {
			p := at(app)
			p.Header.Set("Referrer-Policy", "same-origin")
			return b.Submit(p, "/x", nil)
		}, "same-origin navigate document ?1", origin(app)},
		{"a frame", func() (*authtest.Page, error) { return b.Frame(at(evil), w.url(app)) }, "cross-site navigate iframe", ""},
		{"a script of its own reads", func() (*authtest.Page, error) { return b.Fetch(at(app), "GET", "/x", nil, "") }, "same-origin cors empty", ""},
		{"a script of its own writes", func() (*authtest.Page, error) { return b.Fetch(at(app), "PUT", "/x", nil, "x") }, "same-origin cors empty", origin(app)},
		{"a script of another site reads", func() (*authtest.Page, error) { return b.Fetch(at(evil), "GET", w.url(app), nil, "") }, "cross-site cors empty", origin(evil)},
		{"an image of another site", func() (*authtest.Page, error) {
			return b.Fetch(at(evil), "GET", w.url(app), http.Header{"sec-fetch-mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, "")
		}, "cross-site no-cors image", ""},
		{"a careless form of a script of another site", func() (*authtest.Page, error) {
			return b.Fetch(at(evil), "POST", w.url(app), http.Header{"Sec-Fetch-Mode": {"no-cors"}}, "x=y")
		}, "cross-site no-cors empty", origin(evil)},
		{"from https to http", func() (*authtest.Page, error) {
			return b.Submit(at(app), w.url("http://localhost/"), nil)
		}, "cross-site navigate document ?1", "null"},
		{"a target that is not trustworthy", func() (*authtest.Page, error) { return b.Get(w.url("http://app.example.com/")) }, "", ""},
		{"a loopback target", func() (*authtest.Page, error) { return b.Get(w.url("http://app.localhost/")) }, "none navigate document ?1", ""},
		{"two names on loopback", func() (*authtest.Page, error) {
			return b.Click(at("http://idp.localhost/"), w.url("http://app.localhost/"))
		}, "cross-site navigate document ?1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := test.visit()
			h := hear(t, p, err)
			fetch := strings.TrimSpace(strings.Join([]string{h.get("Sec-Fetch-Site"), h.get("Sec-Fetch-Mode"), h.get("Sec-Fetch-Dest"), h.get("Sec-Fetch-User")}, " "))
			if fetch != test.fetch || h.get("Origin") != test.from {
				t.Errorf("Sec-Fetch %q, Origin %q; want %q, %q", fetch, h.get("Origin"), test.fetch, test.from)
			}
		})
	}
}

func TestOldBrowser(t *testing.T) {
	w := newWorld(t)
	w.browser.NoFetchMetadata = true
	w.browser.Header = http.Header{"accept-language": {"sv"}}
	for _, b := range []*authtest.Browser{w.browser, w.browser.Clone()} {
		p, err := b.Submit(authtest.At(w.url("https://evil.example.org/")), w.url("https://app.example.com/"), nil)
		h := hear(t, p, err)
		for name := range h.Header {
			if strings.HasPrefix(name, "Sec-") {
				t.Errorf("sends %s", name)
			}
		}
		if h.get("Origin") == "" || h.get("Accept-Language") != "sv" || !strings.Contains(h.get("Accept"), "text/html") {
			t.Errorf("headers %v", h.Header)
		}
	}
}

func TestReferer(t *testing.T) {
	const (
		full   = "https://app.example.com/page?q=1"
		other  = "https://evil.example.org/"
		plain  = "http://app.example.com/"
		origin = "https://app.example.com/"
	)
	for _, test := range []struct {
		policy           string
		same, away, down string // to its own origin, to another, and to plain http
	}{
		{"", full, origin, ""},
		{"nonsense", full, origin, ""},
		{"no-referrer", "", "", ""},
		{"no-referrer-when-downgrade", full, full, ""},
		{"same-origin", full, "", ""},
		{"origin", origin, origin, origin},
		{"strict-origin", origin, origin, ""},
		{"origin-when-cross-origin", full, origin, origin},
		{"strict-origin-when-cross-origin", full, origin, ""},
		{"unsafe-url", full, full, full},
		{"no-referrer, unsafe-url, nonsense", full, full, full},
	} {
		t.Run("policy "+test.policy, func(t *testing.T) {
			w := newWorld(t)
			page := authtest.At(w.url(full) + "#fragment")
			page.Header.Set("Referrer-Policy", test.policy)
			for target, want := range map[string]string{origin: test.same, other: test.away, plain: test.down} {
				if want != "" {
					want = w.url(want)
				}
				p, err := w.browser.Click(page, w.url(target))
				if got := hear(t, p, err).get("Referer"); got != want {
					t.Errorf("to %s: %q, want %q", target, got, want)
				}
			}
		})
	}
}

func TestRefererFollowsThePolicyOfRedirects(t *testing.T) {
	w := newWorld(t)
	app := w.url("https://app.example.com/")
	p, err := w.browser.Click(authtest.At(app+"page"), w.url("https://app.example.com/", "to", app, "header", "Referrer-Policy: no-referrer"))
	if h := hear(t, p, err); h.get("Referer") != "" {
		t.Errorf("Referer %q", h.get("Referer"))
	}
	if p, err := w.browser.Get(w.url("https://evil.example.org/", "to", app)); hear(t, p, err).get("Referer") != "" {
		t.Error("an address that was typed has a Referer")
	}
}

func TestRedirectMethods(t *testing.T) {
	w := newWorld(t)
	page, target := authtest.At(w.url("https://app.example.com/")), w.url("https://app.example.com/end")
	for _, test := range []struct{ status, method, want string }{
		{"301", "POST", "GET"}, {"302", "POST", "GET"}, {"303", "POST", "GET"}, {"307", "POST", "POST"}, {"308", "POST", "POST"},
		{"301", "PUT", "PUT"}, {"302", "PUT", "PUT"}, {"303", "PUT", "GET"}, {"303", "GET", "GET"}, {"307", "GET", "GET"},
	} {
		header := http.Header{"Content-Type": {"text/plain"}, "X-Own": {"kept"}}
		p, err := w.browser.Fetch(page, test.method, w.url("https://app.example.com/", "to", target, "status", test.status), header, "body")
		h := hear(t, p, err)
		wantBody, wantType := "body", "text/plain"
		if test.want == "GET" && test.method != "GET" {
			wantBody, wantType = "", ""
		}
		if h.Method != test.want || h.Body != wantBody || h.get("Content-Type") != wantType || h.get("X-Own") != "kept" {
			t.Errorf("%s after %s: %s with %q, %v", test.method, test.status, h.Method, h.Body, h.Header)
		}
	}
	p, err := w.browser.Get(w.url("https://app.example.com/", "to", target, "status", "304"))
	if err != nil || p.Status != 304 || len(p.Hops) != 1 {
		t.Errorf("304 with Location: %v, %v", p, err)
	}
	p, err = w.browser.Get(w.url("https://app.example.com/", "to", "", "status", "302"))
	if err != nil || p.Status != 302 {
		t.Errorf("302 without Location: %v, %v", p, err)
	}
}

func TestRedirectTargets(t *testing.T) {
	for _, test := range []struct{ location, want string }{
		{"/b?c=d", "https://app.example.com/b?c=d#f"},
		{"b", "https://app.example.com/a/b#f"},
		{"../b", "https://app.example.com/b#f"},
		{"?c", "https://app.example.com/a/x?c#f"},
		{"/b#g", "https://app.example.com/b#g"},
		{"/b#", "https://app.example.com/b"},
		{"//evil.example.org/b", "https://evil.example.org/b#f"},
		{"///evil.example.org/b", "https://evil.example.org/b#f"},
		{`/\evil.example.org/b`, "https://evil.example.org/b#f"},
		{`\\evil.example.org/b`, "https://evil.example.org/b#f"},
		{`/\/evil.example.org/b`, "https://evil.example.org/b#f"},
		{"/\t/evil.example.org/b", "https://evil.example.org/b#f"},
		{"https:b", "https://app.example.com/a/b#f"},
		{"http:evil.example.org", "http://evil.example.org/#f"},
		{"http:///evil.example.org", "http://evil.example.org/#f"},
		{"HTTPS://EVIL.example.org", "https://evil.example.org/#f"},
		{`/b?x=\\y`, `https://app.example.com/b?x=\\y#f`},
		{"javascript:alert(1)", ""},
		{"data:text/html,x", ""},
		{"https://", ""},
		{"/%zz", ""},
	} {
		w := newWorld(t)
		var next *url.URL
		w.browser.StopAt = func(u *url.URL) bool { next = u; return true }
		_, err := w.browser.Get(w.url("https://app.example.com/a/x", "to", test.location) + "#f")
		got := ""
		if next != nil {
			got = strings.Replace(next.String(), w.https, "", 1)
		}
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%q leads to %q, want %q (%v)", test.location, got, test.want, err)
		}
	}
}

func TestOpenAndFollow(t *testing.T) {
	w := newWorld(t)
	b := w.browser
	end := w.url("https://app.example.com/end", "set", "c=3")
	middle := w.url("https://evil.example.org/middle", "set", "b=2", "to", end)
	p, err := b.Open(w.url("https://app.example.com/", "set", "a=1", "to", middle))
	if err != nil || p.Status != 302 || p.Header.Get("Location") != middle || len(p.Hops) != 1 {
		t.Fatalf("opened %+v, %v", p, err)
	}
	b.StopAt = func(next *url.URL) bool { return next.Path == "/end" }
	p, err = b.Follow(p)
	if err != nil || p.URL.Path != "/middle" || len(p.Hops) != 2 {
		t.Fatalf("followed to %+v, %v", p, err)
	}
	p, err = b.Follow(p)
	if h := hear(t, p, err); h.get("Sec-Fetch-Site") != "none" || h.get("Cookie") != "a=1" || len(p.Hops) != 3 {
		t.Errorf("the end was asked %+v", h)
	}
	if hop := p.Hops[1]; hop.Method != "GET" || hop.Status != 302 || hop.URL.Path != "/middle" || hop.Header.Get("Set-Cookie") != "b=2" || hop.Request.Get("Sec-Fetch-Mode") != "navigate" {
		t.Errorf("hop %+v", hop)
	}
	if _, err := b.Follow(p); err == nil {
		t.Error("followed a page that does not redirect")
	}
	if _, err := b.Get(w.url("https://app.example.com/loop")); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("a loop: %v", err)
	}
}

func TestSubmitAndDo(t *testing.T) {
	w := newWorld(t)
	page := authtest.At(w.url("https://app.example.com/a/"))
	p, err := w.browser.Submit(page, "b", set("x", "1 2"))
	if h := hear(t, p, err); h.Method != "POST" || h.URI != "/a/b" || h.Body != "x=1+2" || h.get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("submitted %+v", h)
	}
	w.set(t, "https://app.example.com/", "a=1; SameSite=Strict")
	request, err := http.NewRequest(http.MethodPatch, w.url("https://app.example.com/", "set", "b=2"), strings.NewReader("raw"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Cookie", "own=1")
	p, err = w.browser.Do(request)
	if h := hear(t, p, err); h.Method != "PATCH" || h.Body != "raw" || strings.Join(h.Header["Cookie"], "|") != "own=1|a=1" || h.get("Sec-Fetch-Site") != "" {
		t.Errorf("sent %+v", h)
	}
	if request.Header.Get("Cookie") != "own=1" || len(w.browser.Cookies(w.url("https://app.example.com/"))) != 2 {
		t.Error("the request was changed, or its answer's cookie lost")
	}
	redirect, _ := http.NewRequest(http.MethodGet, w.url("https://app.example.com/", "to", "/x"), nil)
	if p, err := w.browser.Do(redirect); err != nil || p.Status != 302 {
		t.Errorf("Do followed a redirect: %v, %v", p, err)
	}
}

func TestReach(t *testing.T) {
	w := newWorld(t)
	b := w.browser
	for _, address := range []string{"https://nowhere.example/", "http://192.0.2.1/", "ftp://localhost/", "mailto:x", "", "http://"} {
		if _, err := b.Get(address); err == nil {
			t.Errorf("%q was visited", address)
		}
	}
	b.Resolve("mapped.example", "192.0.2.1:80")
	if _, err := b.Get("http://mapped.example/"); err == nil {
		t.Error("Resolve led away from this machine")
	}
	b.Resolve("Mapped.example", "localhost"+w.http)
	if p, err := b.Get("http://mapped.example/x"); hear(t, p, err).Host != "mapped.example" {
		t.Error("Resolve changed the host")
	}
	strange := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	strange.Config.ErrorLog = log.New(io.Discard, "", 0)
	strange.StartTLS()
	defer strange.Close()
	if _, err := b.Get(strange.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of unknown origin: %v", err)
	}
	b.Trust(strange.Certificate())
	for _, browser := range []*authtest.Browser{b, b.Clone()} {
		p, err := browser.Get(strange.URL)
		hear(t, p, err)
		browser.Close()
	}
	for _, try := range []func() (*authtest.Page, error){
		func() (*authtest.Page, error) { return b.Click(authtest.At(strange.URL), "javascript:x") },
		func() (*authtest.Page, error) { return b.Submit(authtest.At(strange.URL), "javascript:x", nil) },
		func() (*authtest.Page, error) { return b.Frame(authtest.At(strange.URL), "javascript:x") },
		func() (*authtest.Page, error) {
			return b.Fetch(authtest.At(strange.URL), "GET", "javascript:x", nil, "")
		},
		func() (*authtest.Page, error) { return b.Fetch(authtest.At(strange.URL), "BAD METHOD", "/", nil, "") },
	} {
		if p, err := try(); err == nil {
			t.Errorf("went to %s", p.URL)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a page without an address")
		}
	}()
	authtest.At("nowhere")
}

func TestEndlessPage(t *testing.T) {
	p := start(t, authtest.Config{})
	p.Fail(authtest.Discovery, authtest.Endless)
	if _, err := authtest.NewBrowser().Get(p.URL(authtest.Discovery)); err == nil || !strings.Contains(err.Error(), "endless") {
		t.Errorf("an endless page: %v", err)
	}
	p.Fail(authtest.Discovery, authtest.Resetting)
	if _, err := authtest.NewBrowser().Get(p.URL(authtest.Discovery)); err == nil {
		t.Error("a reset connection shows a page")
	}
}

func TestHistory(t *testing.T) {
	w := newWorld(t)
	from := w.url("https://www.example.com/", "to", w.url("https://app.example.com/page"))
	if _, err := w.browser.Get(from); err != nil {
		t.Fatal(err)
	}
	p, err := w.browser.Clone().Submit(authtest.At(from), w.url("https://app.example.com/form"), url.Values{"a": {"b"}})
	if err != nil {
		t.Fatal(err)
	}
	var went []string
	history := w.browser.History()
	for _, h := range history {
		went = append(went, fmt.Sprint(h.Method, " ", h.URL.Path, " ", h.Status))
	}
	if got := strings.Join(went, ", "); got != "GET / 302, GET /page 200, POST /form 200" {
		t.Fatalf("the browser and its clone went %s", got)
	}
	if last := history[2]; !bytes.Equal(last.Body, p.Body) || len(last.Body) == 0 || last.Request.Get("Sec-Fetch-Site") != "same-site" || last.Header.Get("Content-Type") == "" {
		t.Errorf("the last request was remembered as %+v", last)
	}
	for range 1000 {
		if _, err := w.browser.Open(from); err != nil {
			t.Fatal(err)
		}
	}
	if history = w.browser.History(); len(history) != 1000 || history[0].Status != 302 {
		t.Errorf("%d requests are remembered, the first with status %d", len(history), history[0].Status)
	}
}

func TestBrowserIsSafeForConcurrentUse(t *testing.T) {
	w := newWorld(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			app := w.url("https://app.example.com/", "set", "a=1", "to", "/x")
			if _, err := w.browser.Get(app); err != nil {
				t.Error(err)
			}
			w.browser.Clone().Resolve("x.example", "127.0.0.1")
			w.browser.Cookies(app)
			w.browser.RemoveCookie(app, "a")
		})
	}
	group.Wait()
}
