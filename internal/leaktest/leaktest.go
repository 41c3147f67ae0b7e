// Package leaktest searches, at the end of a test, for the secrets of the test's sign-ins: in every
// log, and in every page, header and URL of its browsers and providers. A secret in any place that
// may.go does not list is an error.
package leaktest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ginauth/ginauth/authtest"
)

// Watch has the browsers, providers, logs and secrets of one test.
type Watch struct {
	t testing.TB

	mu        sync.Mutex
	browsers  []*authtest.Browser
	providers []*authtest.Provider
	logs      []func() string
	secrets   *secrets
	origins   map[string]bool // of providers that are not in providers
	callbacks map[string]bool // paths of redirect URIs
}

var watches sync.Map // of *Watch, by testing.TB

// Of returns the watch of a test. It searches after the test and everything that it started have
// ended, so the first call has to come before anything is started.
func Of(t testing.TB) *Watch {
	if w, there := watches.Load(t); there {
		return w.(*Watch)
	}
	w, there := watches.LoadOrStore(t, newWatch(t))
	if !there {
		t.Cleanup(func() {
			watches.Delete(t)
			w.(*Watch).look()
		})
	}
	return w.(*Watch)
}

func newWatch(t testing.TB) *Watch {
	return &Watch{t: t, secrets: newSecrets(), origins: map[string]bool{}, callbacks: map[string]bool{}}
}

// Browser watches a browser and its clones.
func (w *Watch) Browser(b *authtest.Browser) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.browsers = append(w.browsers, b)
}

// Provider watches a provider.
func (w *Watch) Provider(p *authtest.Provider) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.providers = append(w.providers, p)
}

// Log watches a log, which is read at the end.
func (w *Watch) Log(text func() string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs = append(w.logs, text)
}

// Callback adds a path to which a test sends authorization responses, although it is in no
// authorization request.
func (w *Watch) Callback(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.callbacks[strings.TrimSuffix(path, "/")] = true
}

// Secret adds a secret that no sign-in creates, such as a key.
func (w *Watch) Secret(kind, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets.add(kind, value)
}

// look fails the test for each leaked secret.
func (w *Watch) look() {
	w.t.Helper()
	for _, found := range w.leaks() {
		w.t.Error(found)
	}
}

// leaks returns a description of each leak. It may be called only once.
func (w *Watch) leaks() (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var hops []authtest.Hop
	for _, b := range w.browsers {
		hops = append(hops, b.History()...)
	}
	for _, p := range w.providers {
		w.mintedBy(p)
	}
	for _, h := range hops {
		if to, err := url.Parse(h.Header.Get("Location")); err == nil && within(h.URL, "/login/") && to.Query().Has("client_id") {
			w.origins[to.Scheme+"://"+to.Host] = true
			if back, err := url.Parse(to.Query().Get("redirect_uri")); err == nil {
				w.callbacks[strings.TrimSuffix(back.Path, "/")] = true
			}
		}
	}
	for _, h := range hops {
		w.mintedOn(h)
	}
	find := func(place, text string, may ...string) {
		for _, s := range w.secrets.in(text, may) {
			if line := place + " has " + s; !slices.Contains(found, line) {
				found = append(found, line)
			}
		}
	}
	for _, text := range w.logs {
		find("the log", text())
	}
	for _, h := range hops {
		w.lookAtHop(h, find)
	}
	for _, p := range w.providers {
		lookAtProvider(p, find)
	}
	return found
}

// atProvider reports whether a URL belongs to one of the test's providers, or to a provider in an
// authorization request.
func (w *Watch) atProvider(u *url.URL) bool {
	return w.origins[u.Scheme+"://"+u.Host] || slices.ContainsFunc(w.providers, func(p *authtest.Provider) bool {
		return strings.HasPrefix(p.Issuer, u.Scheme+"://"+u.Host) && u.Host != ""
	})
}

// mintedBy collects the secrets that a provider issued or received.
func (w *Watch) mintedBy(p *authtest.Provider) {
	w.secrets.add(clientSecret, p.ClientSecret)
	for _, r := range p.Requests(authtest.Token) {
		w.secrets.add(code, r.Form.Get("code"))
		w.secrets.add(verifier, r.Form.Get("code_verifier"))
		w.secrets.add(clientSecret, r.Form.Get("client_secret"))
		w.secrets.answer(r.Answer)
	}
	for _, r := range p.Requests(authtest.Userinfo) {
		w.secrets.add(accessToken, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
	for _, r := range p.Requests(authtest.EndSession) {
		w.secrets.add(logoutState, r.Form.Get("state"))
		w.secrets.add(idToken, r.Form.Get("id_token_hint"))
	}
}

// mintedOn collects the secrets in one response to a browser.
func (w *Watch) mintedOn(h authtest.Hop) {
	to, err := url.Parse(h.Header.Get("Location"))
	if err != nil {
		to = &url.URL{}
	}
	q := to.Query()
	if w.atProvider(h.URL) {
		w.secrets.add(code, q.Get("code"))
		w.secrets.add(code, hidden(h.Body, "code"))
		return
	}
	for _, line := range h.Header["Set-Cookie"] {
		_, value, _ := strings.Cut(line, "=")
		value, _, _ = strings.Cut(value, ";")
		w.secrets.add(cookie, value)
	}
	if w.atProvider(to) {
		if within(h.URL, "/login/") || asksAgain(h.URL, to) {
			w.secrets.add(state, q.Get("state"))
		}
		w.secrets.add(nonce, q.Get("nonce"))
	}
}

// asksAgain reports whether a callback redirects to a second authorization request, with max_age=0,
// because the acr was insufficient.
func asksAgain(from, to *url.URL) bool {
	return within(from, "/authorize/") && to.Query().Has("client_id") && to.Query().Get("max_age") == "0"
}

// lookAtHop searches one request of a browser and its response, with the exceptions in may.go.
func (w *Watch) lookAtHop(h authtest.Hop, find func(place, text string, may ...string)) {
	where := h.Method + " " + h.URL.Path + ": "
	find(where+"the Referer", h.Request.Get("Referer"))
	if w.atProvider(h.URL) {
		find("the address of the provider's "+where, h.URL.String(), w.may(inAddress, h.URL)...)
		return
	}
	find(where+"the address", h.URL.String(), w.may(inAddress, h.URL)...)
	for name, values := range h.Header {
		text := strings.Join(values, "\n")
		switch name {
		case "Location", "Hx-Redirect":
			kinds := w.may(inLocation, h.URL)
			if to, err := url.Parse(text); err == nil && w.atProvider(to) && asksAgain(h.URL, to) {
				kinds = append(kinds, state, nonce)
			}
			find(where+name, text, kinds...)
		case "Set-Cookie":
			find(where+name, text, cookie)
		default:
			find(where+"the header "+name, text)
		}
	}
	var kinds []string
	if strings.HasPrefix(h.Header.Get("Content-Type"), "application/json") {
		kinds = w.may(inJSON, h.URL)
	}
	find(where+fmt.Sprintf("the page, with status %d,", h.Status), string(h.Body), kinds...)
}

// lookAtProvider searches the application's requests to a provider, with the exceptions in may.go.
func lookAtProvider(p *authtest.Provider, find func(place, text string, may ...string)) {
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.JWKS, authtest.Token, authtest.Userinfo} {
		for _, r := range p.Requests(e) {
			where := "a request to the " + string(e) + " endpoint: "
			inQuery := sent[e]
			if r.Method != http.MethodGet || e != authtest.Token { // a few providers require a GET
				inQuery = nil
			}
			find(where+"the address", r.URL.String(), inQuery...)
			find(where+"the body", string(r.Body), sent[e]...)
			for name, values := range r.Header {
				var kinds []string
				if name == "Authorization" {
					kinds = sent[e]
				}
				find(where+name, strings.Join(values, "\n"), kinds...)
			}
		}
	}
	for _, e := range []authtest.Endpoint{authtest.Authorize, authtest.EndSession} {
		for _, r := range p.Requests(e) {
			find("a request to the "+string(e)+" endpoint: the Referer", r.Header.Get("Referer"))
		}
	}
}
