// Package leaktest looks, at the end of a test, for the secrets that the test's
// sign-ins made: in every log, and in every page, header and address that its
// browsers and providers saw. None of them may be where it has no business.
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

// Watch is what one test has made and shown.
type Watch struct {
	t testing.TB

	mu        sync.Mutex
	browsers  []*authtest.Browser
	providers []*authtest.Provider
	logs      []func() string
	secrets   *secrets
	origins   map[string]bool // of providers that are not known
}

var watches sync.Map // of *Watch, by testing.TB

// Of returns the watch of a test. It looks when the test and everything it
// started is over, so the first call has to come before they are started.
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
	return &Watch{t: t, secrets: newSecrets(), origins: map[string]bool{}}
}

// Browser watches a browser, with its clones.
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

// Secret names a secret that no sign-in makes: a key, say.
func (w *Watch) Secret(kind, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets.add(kind, value)
}

// look fails the test for each secret that is where it must not be.
func (w *Watch) look() {
	w.t.Helper()
	for _, found := range w.leaks() {
		w.t.Error(found)
	}
}

// leaks says what was found where. It may be called once.
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

// atProvider says whether an address is one of the test's providers', or where
// a sign-in was sent to.
func (w *Watch) atProvider(u *url.URL) bool {
	return w.origins[u.Scheme+"://"+u.Host] || slices.ContainsFunc(w.providers, func(p *authtest.Provider) bool {
		return strings.HasPrefix(p.Issuer, u.Scheme+"://"+u.Host) && u.Host != ""
	})
}

// mintedBy collects what a provider issued and what it was sent.
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

// mintedOn collects what a browser was given on one stage of its way.
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

// asksAgain reports whether a callback leads to a second authorization request, with
// max_age=0, after an answer with too little an acr.
func asksAgain(from, to *url.URL) bool {
	return within(from, "/authorize/") && to.Query().Has("client_id") && to.Query().Get("max_age") == "0"
}

// lookAtHop holds one request of a browser, and its answer, against what may
// be where: see may.go.
func (w *Watch) lookAtHop(h authtest.Hop, find func(place, text string, may ...string)) {
	where := h.Method + " " + h.URL.Path + ": "
	find(where+"the Referer", h.Request.Get("Referer"))
	if w.atProvider(h.URL) {
		find("the address of the provider's "+where, h.URL.String(), may(inAddress, h.URL)...)
		return
	}
	find(where+"the address", h.URL.String(), may(inAddress, h.URL)...)
	for name, values := range h.Header {
		text := strings.Join(values, "\n")
		switch name {
		case "Location", "Hx-Redirect":
			kinds := may(inLocation, h.URL)
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
		kinds = may(inJSON, h.URL)
	}
	find(where+fmt.Sprintf("the page, with status %d,", h.Status), string(h.Body), kinds...)
}

// lookAtProvider holds what the application sent to a provider against what
// may be where.
func lookAtProvider(p *authtest.Provider, find func(place, text string, may ...string)) {
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.JWKS, authtest.Token, authtest.Userinfo} {
		for _, r := range p.Requests(e) {
			where := "a request to the " + string(e) + " endpoint: "
			inQuery := sent[e]
			if r.Method != http.MethodGet || e != authtest.Token { // a few providers take nothing but a GET
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
