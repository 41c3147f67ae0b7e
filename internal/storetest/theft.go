package storetest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

type (
	storedSession = gorilla.Session
	storedOptions = gorilla.Options
)

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// flipped changes the highest bit of the character at i: decoders ignore the low bits of the last
// character.
func flipped(text string, i int) string {
	n := strings.IndexByte(letters, text[i])
	return text[:i] + string(letters[(n+32)%len(letters)]) + text[i+1:]
}

// refusesForgeries alters single characters of every cookie, truncates the cookies, and mixes those
// of two users.
func refusesForgeries(t *testing.T, h Home) {
	a := newApp(t, h)
	a.signIn(a.browser, "ada")
	other := a.newBrowser()
	a.signIn(other, "grace")
	mine, theirs := a.sessionCookies(a.browser), a.sessionCookies(other)
	if p := a.with(mine...); p.Status != http.StatusOK {
		t.Fatalf("the unchanged cookies got %d", p.Status)
	}
	for i, c := range mine {
		forged := []string{"", "x", c.Value + c.Value, c.Value + "A", c.Value[:len(c.Value)-1], c.Value[1:], theirs[i].Value}
		for n := 0; n < len(c.Value); n += 1 + len(c.Value)/64 {
			forged = append(forged, flipped(c.Value, n), c.Value[:n])
		}
		for _, value := range forged {
			set := append([]*http.Cookie{}, mine...)
			set[i] = &http.Cookie{Name: c.Name, Value: value}
			if p := a.with(set...); p.Status != http.StatusUnauthorized && (len(mine) > 1 || value != theirs[i].Value) {
				t.Errorf("%s=%.60s… got %d: %s", c.Name, value, p.Status, p.Text())
			}
		}
	}
	for i := range mine {
		if len(mine) > 1 {
			if p := a.with(mine[i]); p.Status != http.StatusUnauthorized {
				t.Errorf("%s alone got %d", mine[i].Name, p.Status)
			}
		}
	}
	a.wants(a.browser, "ada", "after the forgeries")
}

// isNotFixed plants an attacker's cookies in the browser of a user who then signs in (ASVS 7.2.4):
// they must not give access to that user's session.
func isNotFixed(t *testing.T, h Home) {
	a := newApp(t, h)
	attacker := a.newBrowser()
	a.signIn(attacker, "eve")
	planted := a.sessionCookies(attacker)
	if h.Open != nil {
		id := a.anonymousID(planted)
		a.plantAndSignIn(t, []*http.Cookie{id}, "an anonymous id")
		if binding := bindingOf(planted); binding != nil {
			a.plantAndSignIn(t, []*http.Cookie{id, binding}, "an anonymous id with a binding")
		}
	}
	a.plantAndSignIn(t, planted, "the attacker's own session")
}

// anonymousID returns a cookie of the store with a session id that the attacker knows, and whose
// record has no user.
func (a *app) anonymousID(like []*http.Cookie) *http.Cookie {
	a.t.Helper()
	name := strings.TrimSuffix(like[0].Name, "-b")
	r, w := httptest.NewRequest("GET", a.URL, nil), httptest.NewRecorder()
	s, err := a.kept.Store.New(r, name)
	a.check(err)
	s.Values["cart"] = "3 apples"
	s.Options = &storedOptions{Path: "/", MaxAge: 3600}
	a.check(a.kept.Store.Save(r, w, s))
	return w.Result().Cookies()[0]
}

func bindingOf(cookies []*http.Cookie) *http.Cookie {
	for _, c := range cookies {
		if strings.HasSuffix(c.Name, "-b") {
			return c
		}
	}
	return nil
}

func (a *app) plantAndSignIn(t *testing.T, planted []*http.Cookie, what string) {
	t.Helper()
	victim := a.newBrowser()
	for _, c := range planted {
		a.check(victim.SetCookie(a.URL, &http.Cookie{Name: c.Name, Value: c.Value, Path: "/"}))
	}
	a.signIn(victim, "ada")
	for _, c := range planted {
		for _, now := range a.sessionCookies(victim) {
			if now.Name == c.Name && now.Value == c.Value {
				t.Errorf("with %s planted, %s still has the planted value after the sign-in", what, c.Name)
			}
		}
	}
	if u := a.userIn(a.with(planted...)); u != nil && u.Subject != "eve" {
		t.Errorf("with %s planted, the attacker is %s", what, u.Subject)
	}
	if a.kept.Store == nil {
		return
	}
	// The attacker's id must not work with either binding.
	for _, binding := range []*http.Cookie{bindingOf(planted), bindingOf(a.sessionCookies(victim))} {
		if binding == nil {
			continue
		}
		mixed := []*http.Cookie{planted[0], binding}
		if u := a.userIn(a.with(mixed...)); u != nil && u.Subject != "eve" {
			t.Errorf("with %s planted, the id that the attacker knows is %s", what, u.Subject)
		}
	}
	if _, s := a.record(victim); s.ID != "" {
		r := httptest.NewRequest("GET", a.URL, nil)
		r.AddCookie(&http.Cookie{Name: planted[0].Name, Value: planted[0].Value})
		if before, err := a.kept.Store.New(r, s.Name()); err == nil && before.ID == s.ID {
			t.Errorf("with %s planted, the session's id is the one from before the sign-in", what)
		}
	}
}

// refusesCopies tests an attacker who can write to the store and copies another user's record to the
// attacker's own id.
func refusesCopies(t *testing.T, h Home) {
	a := newApp(t, h)
	a.signIn(a.browser, "ada")
	thief := a.newBrowser()
	a.signIn(thief, "eve")
	_, theirs := a.record(a.browser)
	r, mine := a.record(thief)
	for key, value := range theirs.Values {
		mine.Values[key] = value
	}
	w := httptest.NewRecorder()
	mine.Options = &storedOptions{Path: "/", MaxAge: 3600}
	a.check(a.kept.Store.Save(r, w, mine))
	for _, c := range w.Result().Cookies() { // for stores that keep the record in the cookie
		a.check(thief.SetCookie(a.URL, &http.Cookie{Name: c.Name, Value: c.Value, Path: "/"}))
	}
	_, copied := a.record(thief)
	if fmt.Sprint(copied.Values) != fmt.Sprint(theirs.Values) {
		t.Fatal("the record was not copied: the test shows nothing")
	}
	a.wants(thief, "", "with a copied record")
	a.wants(a.browser, "ada", "after the copy")
}

// refusesDamage edits a record in the store.
func refusesDamage(t *testing.T, h Home) {
	a := newApp(t, h)
	a.signIn(a.browser, "ada")
	r, s := a.record(a.browser)
	var text string
	for _, value := range s.Values {
		text = value.(string)
	}
	for _, damaged := range []any{"", "x", flipped(text, len(text)/2), text[:len(text)-1], text + "A", 7, true, []byte(text)} {
		for key := range s.Values {
			s.Values[key] = damaged
		}
		w := httptest.NewRecorder()
		s.Options = &storedOptions{Path: "/", MaxAge: 3600}
		a.check(a.kept.Store.Save(r, w, s))
		cookies := append(w.Result().Cookies(), bindingOf(a.sessionCookies(a.browser)))
		if u := a.userIn(a.with(cookies...)); u != nil {
			t.Errorf("with the record %.40v, the user is %s", damaged, u.Subject)
		}
	}
	// A user with such a record can sign in again.
	a.signIn(a.browser, "ada")
	if a.kept.Spoil == nil {
		return
	}
	for _, text := range []string{"x", `{"ginauth":"x"}`, strings.Repeat("\x7f", 300), strings.Repeat("QUFB", 400)} {
		a.kept.Spoil(text)
		// Some stores report a truncated record as a broken connection.
		if p := a.fetch(a.browser, "GET", "/me"); p.Status != http.StatusUnauthorized {
			a.wantUnavailable(p)
		}
		a.clock.Advance(10 * time.Second) // otherwise it looks like a redirect loop
		a.signIn(a.browser, "ada")
	}
}

// isIllegible searches all stored data for the user's data and tokens.
func isIllegible(t *testing.T, h Home) {
	a := newApp(t, h)
	a.opts.KeepClaims = []string{"*"}
	a.mount(nil)
	// No short texts: a few thousand random characters may contain "ada" by chance.
	secrets := []string{"Ada Lovelace", "Lovelace", "ada@example.com", "example.com", "admin", "en-GB", a.idp.Issuer, "demo-client", firstKey}
	before := ""
	if a.kept.Dump != nil {
		before = a.kept.Dump()
	}
	a.signIn(a.browser, "ada")
	kept := map[string]string{"a cookie": ""}
	for _, c := range a.sessionCookies(a.browser) {
		kept["a cookie"] += c.Name + "=" + c.Value + "\n"
	}
	if a.kept.Dump != nil {
		kept["the store"] = a.kept.Dump()
		if len(kept["the store"]) < len(before)+300 {
			t.Fatalf("the dump has %d bytes, and had %d before the sign-in, so the test checks nothing", len(kept["the store"]), len(before))
		}
	}
	for _, r := range a.idp.Requests(authtest.Token) {
		secrets = append(secrets, r.Form.Get("code"), r.Form.Get("code_verifier"))
	}
	issued := a.issued.list()
	if len(issued) < 2 {
		t.Fatal("no tokens were issued, so the test checks nothing")
	}
	secrets = append(secrets, issued...)
	for where, text := range kept {
		text = strings.ReplaceAll(text, a.URL, "")
		for _, layer := range layers(text, 5) {
			for _, secret := range secrets {
				if len(secret) > 4 && strings.Contains(layer, secret) {
					t.Errorf("%s contains %q: %.200q", where, secret, layer)
				}
			}
		}
	}
}

var encoded = regexp.MustCompile(`[A-Za-z0-9+/_=-]{12,}`)

// layers returns a text and all texts that are encoded in it, up to a depth.
func layers(text string, depth int) []string {
	all := []string{text}
	if depth == 0 {
		return all
	}
	for _, run := range encoded.FindAllString(text, -1) {
		for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if plain, err := coding.DecodeString(strings.TrimRight(run, "=")); err == nil {
				all = append(all, layers(string(plain), depth-1)...)
			}
		}
	}
	return all
}

// diesAtLogout keeps all cookies, signs out, and sends them again.
func diesAtLogout(t *testing.T, h Home) {
	a := newApp(t, h)
	a.signIn(a.browser, "ada")
	thief := a.browser.Clone()
	old := a.sessionCookies(a.browser)
	a.wants(thief, "ada", "before the sign-out")
	a.signOut(a.browser)
	a.wants(a.browser, "", "after the sign-out")
	a.wants(thief, "", "after the sign-out, with the cookies from before")
	if left := a.cookies(a.browser); len(left) > 0 {
		t.Errorf("the browser still has %v", left)
	}
	a.signIn(a.browser, "ada")
	a.wants(thief, "", "after the next sign-in, with the cookies from before the sign-out")
	for _, c := range old {
		for _, now := range a.sessionCookies(a.browser) {
			if p := a.with(c, now); p.Status != http.StatusUnauthorized && c.Name != now.Name && len(old) > 1 {
				t.Errorf("%s from before the sign-out together with the new %s got %d", c.Name, now.Name, p.Status)
			}
		}
	}
}

// refusesTwo sends the session cookies of two users in one request, which is rejected as ambiguous.
func refusesTwo(t *testing.T, h Home) {
	a := newApp(t, h)
	a.signIn(a.browser, "ada")
	other := a.newBrowser()
	a.signIn(other, "eve")
	both := append(a.sessionCookies(a.browser), a.sessionCookies(other)...)
	p := a.with(both...)
	if p.Status != http.StatusUnauthorized {
		t.Errorf("two sessions at once got %d: %s", p.Status, p.Text())
	}
	if len(p.Header["Set-Cookie"]) == 0 {
		t.Error("neither was cleared")
	}
	// A forged cookie before the genuine one is ignored.
	b := a.newBrowser()
	a.signIn(b, "grace")
	for _, c := range a.sessionCookies(b) {
		set := append([]*http.Cookie{{Name: c.Name, Value: "forged"}}, a.sessionCookies(b)...)
		if u := a.userIn(a.with(set...)); u == nil || u.Subject != "grace" {
			t.Errorf("with a forged %s before it, the session is %+v", c.Name, u)
		}
	}
}

// isReplaced signs a second user in while the first is still signed in.
func isReplaced(t *testing.T, h Home) {
	a := startApp(t, h, false, func(_ *app, o *ginauth.Options) { o.KeepClaims = []string{"email"} })
	a.signIn(a.browser, "ada")
	before := a.browser.Clone()
	a.signIn(a.browser, "grace")
	a.wants(before, "", "after another user's sign-in, with the cookies from before")
	a.wants(a.browser, "grace", "afterwards")
	if p := a.fetch(a.browser, "GET", "/claims"); !strings.Contains(p.Text(), "grace@example.com") || strings.Contains(p.Text(), "ada") {
		t.Errorf("the claims are %s", p.Text())
	}
	a.signOut(a.browser)
	a.wants(a.browser, "", "after the sign-out of the second")
}
