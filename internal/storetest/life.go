package storetest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// keepsAll signs in, changes the session, and checks what later requests find in it.
func keepsAll(t *testing.T, h Home) {
	a := startApp(t, h, false, func(_ *app, o *ginauth.Options) { o.KeepClaims = []string{"shoe", "email"} })
	a.idp.AddPerson(authtest.Person{
		Subject: "p1", Name: "Zoë Ångström 李", Username: "zoë", Email: "zoe@example.com", EmailVerified: true, Locale: "sv-SE",
		Groups: []string{"staff", "a,b", ""}, Claims: map[string]any{"shoe": 38.5, "nope": "not kept"},
	})
	a.signIn(a.browser, "p1")
	want := &ginauth.User{
		Provider: "demo", Issuer: a.idp.Issuer, Subject: "p1", Name: "Zoë Ångström 李", Username: "zoë", Email: "zoe@example.com",
		EmailVerified: true, Locale: "sv-SE", Groups: []string{"staff", "a,b", ""},
	}
	if got := a.user(a.browser); got.AuthTime.IsZero() || !same(got, want) {
		t.Errorf("the user is %+v, want %+v", got, want)
	}
	if p := a.fetch(a.browser, "GET", "/claims"); p.Text() != `{"email":"zoe@example.com","shoe":38.5}` {
		t.Errorf("the claims are %s", p.Text())
	}
	for _, note := range []string{"one", "two"} {
		if p := a.fetch(a.browser, "POST", "/note?note="+note); p.Status != http.StatusOK {
			t.Fatalf("Update answered %d: %s", p.Status, p.Text())
		}
		want.Data = map[string]string{"note": note}
		if got := a.user(a.browser); !same(got, want) {
			t.Errorf("after Update, the user is %+v, want %+v", got, want)
		}
	}
	a.wants(a.newBrowser(), "", "in another browser")
}

func same(a, b *ginauth.User) bool {
	x, y := *a, *b
	x.AuthTime, y.AuthTime, x.Picture, y.Picture = time.Time{}, time.Time{}, "", ""
	return reflect.DeepEqual(x, y)
}

// rotatesKeys puts a new key before the old one, and then drops the old one.
func rotatesKeys(t *testing.T, h Home) {
	a := newApp(t, h)
	a.signIn(a.browser, "ada")
	idler := a.newBrowser()
	a.signIn(idler, "grace")
	before := a.browser.Clone()
	restart := func(keys ...string) {
		a.opts.Keys = keys
		a.mount(nil)
	}
	restart(secondKey, firstKey)
	if p := a.fetch(a.browser, "GET", "/me"); p.Status != http.StatusOK || len(p.Header["Set-Cookie"]) == 0 {
		t.Errorf("with the old key second: %d, and %d cookies; want the session, sealed anew", p.Status, len(p.Header["Set-Cookie"]))
	}
	if p := a.fetch(a.browser, "GET", "/me"); p.Status != http.StatusOK || len(p.Header["Set-Cookie"]) != 0 {
		t.Errorf("then: %d, and %d cookies; want an unchanged session", p.Status, len(p.Header["Set-Cookie"]))
	}
	restart(secondKey)
	a.wants(a.browser, "ada", "without the old key")
	a.wants(idler, "", "without the old key, sealed under it")
	if h.Open == nil {
		a.wants(before, "", "without the old key, with the cookie from before")
	}
	restart(secondKey, firstKey) // a replica that is restarted later
	a.wants(idler, "grace", "with the old key back")
	restart("a key that has nothing to do with the others")
	a.wants(a.browser, "", "under other keys")
	a.signIn(a.browser, "ada")
}

// ends sets the clock forward: ginauth enforces the lifetimes, whatever the store and the browser do.
func ends(t *testing.T, h Home) {
	a := newApp(t, h)
	patient := a.newBrowser()
	patient.Now = func() time.Time { return time.Now() } // its clock does not advance, so that it keeps expired cookies
	a.signIn(patient, "ada")
	a.clock.Advance(idle / 20)
	if p := a.fetch(patient, "GET", "/me"); p.Status != http.StatusOK || len(p.Header["Set-Cookie"]) != 0 {
		t.Errorf("after a twentieth of IdleTimeout: %d and %d cookies", p.Status, len(p.Header["Set-Cookie"]))
	}
	stale := patient.Clone()
	for range 3 {
		a.clock.Advance(idle - 2*time.Minute)
		a.wants(patient, "ada", "just before IdleTimeout")
	}
	if h.Open == nil {
		a.wants(stale, "", "with the cookie of an hour ago")
	}
	lazy := patient.Clone()
	a.clock.Advance(idle + time.Minute)
	a.wants(patient, "", "after IdleTimeout")
	a.wants(lazy, "", "after IdleTimeout, again")

	a.signIn(patient, "ada")
	for spent := time.Duration(0); spent < lifetime-20*time.Minute; spent += 20 * time.Minute {
		a.clock.Advance(20 * time.Minute)
		a.wants(patient, "ada", "while busy")
	}
	a.clock.Advance(21 * time.Minute)
	a.wants(patient, "", "after Lifetime, however busy")
}

// refusesLarge lets the provider send a claim that the home has no room for.
func refusesLarge(t *testing.T, h Home) {
	a := startApp(t, h, false, func(_ *app, o *ginauth.Options) { o.KeepClaims = []string{"essay", "poem"} })
	size := h.TooLarge
	if size == 0 {
		size = 40_000
	}
	text := strings.Repeat(rand.Text(), size/26+1)[:size]
	a.idp.AddPerson(authtest.Person{Subject: "author", Name: "An Author", Claims: map[string]any{"essay": text, "poem": text[:99]}})
	if h.TooLarge == 0 {
		a.signIn(a.browser, "author")
		if p := a.fetch(a.browser, "GET", "/claims"); !strings.Contains(p.Text(), text) {
			t.Error("the claim is not whole")
		}
		return
	}
	p := a.tryToSignIn(a.browser, "author")
	if p.Status != http.StatusInternalServerError || !strings.Contains(p.Text(), "session_error") || p.URL.Path != "/authorize/demo" {
		t.Errorf("the sign-in ended at %s with %d: %s", p.URL.Path, p.Status, p.Text())
	}
	for _, word := range []string{h.Limit, "claim essay (", "KeepClaims"} {
		if !strings.Contains(a.log.String(), word) {
			t.Errorf("the log does not say %q:\n%s", word, a.log)
		}
	}
	if strings.Contains(a.log.String(), text[:26]) {
		t.Error("the log contains the claim")
	}
	a.wants(a.browser, "", "afterwards")
	if got := a.sized(a.browser); got > 0 {
		t.Errorf("the browser got cookies of %d bytes", got)
	}
	a.signIn(a.browser, "ada")
	long := strings.Repeat("n", size)
	if p := a.fetch(a.browser, "POST", "/note?note="+url.QueryEscape(long)); p.Status != http.StatusInternalServerError || !strings.Contains(p.Text(), "data note (") {
		t.Errorf("an Update that is too large answered %d %.300s", p.Status, p.Text())
	}
	if u := a.user(a.browser); u == nil || u.Data != nil {
		t.Errorf("after an Update that was too large, the user is %+v", u)
	}
}

// sized returns the size of a browser's session cookies.
func (a *app) sized(b *authtest.Browser) (bytes int) {
	for _, c := range a.cookies(b) {
		bytes += len(c.Name) + 1 + len(c.Value)
	}
	return bytes
}

// needsItsProvider restarts the application without the provider, or with another one of the same
// name.
func needsItsProvider(t *testing.T, h Home) {
	a := newApp(t, h)
	a.signIn(a.browser, "ada")
	demo := a.opts.Providers[0]
	other, moved := demo, demo
	other.Name, other.ClientID = "other", "another-client"
	moved.Issuer = "http://127.0.0.1:1"
	for _, p := range []ginauth.Provider{other, moved} {
		a.opts.Providers = []ginauth.Provider{p}
		a.mount(nil)
		a.wants(a.browser, "", "with the provider "+p.Name+" at "+p.Issuer)
	}
	a.opts.Providers = []ginauth.Provider{other, demo}
	a.mount(nil)
	a.wants(a.browser, "ada", "with the provider back")
}

// setsAttributes checks the Set-Cookie headers of a sign-in, of later requests and of a sign-out over
// https.
func setsAttributes(t *testing.T, h Home) {
	a := startApp(t, h, true, nil)
	a.signIn(a.browser, "ada")
	seen := map[string]bool{}
	login, err := a.newBrowser().Get(a.URL + "/login/demo")
	a.check(err)
	a.clock.Advance(idle / 2)
	for _, p := range []*authtest.Page{login, a.fetch(a.browser, "GET", "/me"), a.fetch(a.browser, "POST", "/note?note=x"), a.signOut(a.browser)} {
		for _, hop := range p.Hops {
			for _, line := range hop.Header["Set-Cookie"] {
				if !strings.HasPrefix(hop.URL.String(), a.URL) {
					continue // the provider's own
				}
				name, rest, _ := strings.Cut(line, "=")
				value, _, _ := strings.Cut(rest, ";")
				seen[name] = seen[name] || value != ""
				a.wantAttributes(line, value == "")
			}
		}
	}
	if len(seen) < 2 {
		t.Errorf("only %v were set, so the test checks nothing", seen)
	}
	if refused := a.browser.RefusedCookies(); len(refused) > 0 {
		t.Errorf("the browser refused %v", refused)
	}
}

func (a *app) wantAttributes(line string, deleted bool) {
	a.t.Helper()
	if strings.HasPrefix(line, "__Secure-ginauth-") { // the ID token, which only the sign-out needs
		line = strings.Replace(strings.Replace(line, "__Secure-", "__Host-", 1), "; Path=/logout;", "; Path=/;", 1)
	}
	lower := strings.ToLower(line)
	for _, want := range []string{"; secure", "; httponly", "; samesite=lax", "; path=/"} {
		if !strings.Contains(lower+";", want+";") {
			a.t.Errorf("%s lacks %s", line, want)
		}
	}
	if !strings.HasPrefix(line, "__Host-ginauth-") || strings.Contains(lower, "; domain") {
		a.t.Errorf("%s: want a __Host- name, and no Domain", line)
	}
	_, age, _ := strings.Cut(lower, "; max-age=")
	age, _, _ = strings.Cut(age, ";")
	if positive := age != "" && age != "0" && !strings.HasPrefix(age, "-"); positive == deleted {
		a.t.Errorf("%s: Max-Age is %q", line, age)
	}
}
