package ginauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// carried is the browser's one cookie that carries an answer.
func (f *flow) carried() *http.Cookie {
	f.t.Helper()
	all := f.ours("-f")
	if len(all) != 1 {
		f.t.Fatalf("the browser has %d cookies that carry an answer, want 1", len(all))
	}
	return all[0]
}

func TestFormPostCarriesOnce(t *testing.T) {
	t.Parallel()
	f := newFlow(t, formPost)
	form := f.answerForm("/login/demo?return_to=/page/form")
	attempt := f.attempt()
	second := f.postOnly(form)
	carried := f.carried()
	if strings.Contains(carried.Value, form.Get("code")) || second.Status != http.StatusSeeOther || strings.Contains(second.Header.Get("Location"), form.Get("code")) {
		t.Errorf("the code shows: %d %v", second.Status, second.Header)
	}
	if f.idp.Count(authtest.Token) != 0 || f.user() != nil {
		t.Error("the POST alone signed in")
	}
	f.landed(t, f.must(f.browser.Follow(second)), "/page/form")
	if f.ours("-f") != nil {
		t.Error("the carried answer outlived its use")
	}

	f.browser = f.newBrowser() // somebody who kept all the cookies
	f.keep(attempt)
	f.keep(carried)
	f.failsClosed(t, f.must(f.browser.Follow(second)), closed{code: ginauth.ErrStateInvalid, tokens: 1, hide: hidden(form)})
	f.keep(attempt)
	f.failsClosed(t, f.post(form), closed{code: ginauth.ErrStateInvalid, tokens: 1, hide: hidden(form)})
}

func TestFormPostCarriesForAMinute(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		after time.Duration
		lost  bool
	}{{59 * time.Second, false}, {61 * time.Second, true}, {-59 * time.Second, false}, {-62 * time.Second, true}} {
		t.Run(tc.after.String(), func(t *testing.T) {
			f := newFlow(t, formPost)
			f.browser.Now = time.Now // one that ignores Max-Age
			start := f.open("/login/demo?return_to=/page/form")
			f.clock.Advance(time.Minute / 2) // so that the attempt itself is neither over nor from the future
			f.browser.StopAt = func(next *url.URL) bool { return strings.Contains(next.RawQuery, "carried=") }
			second := f.must(f.browser.Follow(start))
			f.browser.StopAt = nil
			carried := f.carried()
			if carried.MaxAge > 60 {
				t.Errorf("the cookie lives for %d seconds", carried.MaxAge)
			}
			f.clock.Advance(tc.after)
			p := f.must(f.browser.Follow(second))
			if !tc.lost {
				f.landed(t, p, "/page/form")
				return
			}
			f.failsClosed(t, p, closed{code: ginauth.ErrBadRequest})
			if !strings.Contains(f.logs.String(), "older than a minute") {
				t.Errorf("the log does not say why:\n%s", f.logs)
			}
		})
	}
}

// TestFormPostSlots: a few cookies serve all answers; each opens in its own
// place alone, and for its own state.
func TestFormPostSlots(t *testing.T) {
	t.Parallel()
	t.Run("wrong slot", func(t *testing.T) {
		f := newFlow(t, formPost)
		form := f.answerForm("/login/demo")
		second := f.postOnly(form)
		moved := *f.carried()
		f.browser.RemoveCookie(f.URL, moved.Name)
		base := moved.Name[:len(moved.Name)-1]
		for n := range 4 {
			if name := fmt.Sprint(base, n); name != moved.Name {
				f.keep(&http.Cookie{Name: name, Value: moved.Value, Path: "/"})
			}
		}
		f.failsClosed(t, f.must(f.browser.Follow(second)), closed{code: ginauth.ErrBadRequest, hide: hidden(form)})
	})
	t.Run("two answers in one slot", func(t *testing.T) {
		f := newFlow(t, formPost)
		first, second := f.sameSlot()
		one, two := f.postOnly(first), f.postOnly(second)
		f.failsClosed(t, f.must(f.browser.Follow(one)), closed{code: ginauth.ErrBadRequest, hide: append(hidden(first), hidden(second)...)})
		f.must(f.browser.Follow(two))
		if f.user() == nil || f.idp.Count(authtest.Token) != 1 {
			t.Errorf("the other one was lost as well:\n%s", f.logs)
		}
	})
	t.Run("many answers leave few cookies", func(t *testing.T) {
		f := newFlow(t, formPost)
		form := f.answerForm("/login/demo?return_to=/page/form")
		for i := range 40 { // some page that makes the browser post
			f.postOnly(url.Values{"state": {string(rune('A'+i%26)) + strings.Repeat("A", 51)}, "code": {"x"}})
		}
		if n := len(f.ours("-f")); n > 4 {
			t.Errorf("%d cookies carry answers", n)
		}
		f.landed(t, f.post(form), "/page/form")
	})
}

// sameSlot begins sign-ins until two of them share a cookie.
func (f *flow) sameSlot() (first, second url.Values) {
	f.t.Helper()
	bySlot := map[string]url.Values{}
	for range 5 { // of four slots
		form := f.answerForm("/login/demo")
		f.postOnly(form)
		name := f.carried().Name
		f.browser.RemoveCookie(f.URL, name)
		if other := bySlot[name]; other != nil {
			return other, form
		}
		bySlot[name] = form
	}
	f.t.Fatal("five answers went to five slots")
	return nil, nil
}

func TestFormPostProviderSwap(t *testing.T) {
	t.Parallel()
	f, other := withTwo(t, func(o *ginauth.Options) {
		o.Providers[0].ResponseMode, o.Providers[1].ResponseMode = "form_post", "form_post"
	})
	form := f.answerForm("/login/demo")
	p := f.must(f.browser.Submit(authtest.At(f.idp.Issuer), f.URL+"/authorize/other", form))
	f.failsClosed(t, p, closed{code: ginauth.ErrStateInvalid, hide: hidden(form)})

	form = f.answerForm("/login/demo")
	second := f.postOnly(form)
	crossed := strings.Replace(second.Header.Get("Location"), "/authorize/demo", "/authorize/other", 1)
	f.failsClosed(t, f.must(f.browser.Get(crossed)), closed{code: ginauth.ErrStateInvalid, hide: hidden(form)})
	if other.Count(authtest.Token) != 0 {
		t.Error("the other token endpoint was asked")
	}
}

// TestFormPostLoginCSRF: the attacker's page posts the attacker's answer.
func TestFormPostLoginCSRF(t *testing.T) {
	t.Parallel()
	f := newFlow(t, formPost)
	victim := f.browser
	f.browser = f.newBrowser()
	attack := f.answerForm("/login/demo")
	f.browser = victim
	own := f.answerForm("/login/demo?return_to=/page/mine")
	p := f.must(f.browser.Submit(authtest.At("https://evil.example/"), f.URL+"/authorize/demo", attack))
	f.failsClosed(t, p, closed{code: ginauth.ErrStateInvalid, hide: hidden(attack)})
	f.landed(t, f.post(own), "/page/mine")
	f.idp.SignInAs("grace")
	f.browser = f.newBrowser()
	attack = f.answerForm("/login/demo")
	f.browser = victim
	p = f.must(f.browser.Submit(authtest.At("https://evil.example/"), f.URL+"/authorize/demo", attack))
	if p.Status != http.StatusOK || f.user().Subject != "ada" || f.idp.Count(authtest.Token) != 1 {
		t.Errorf("landed at %s with %d as %v", p.URL, p.Status, f.user())
	}
}

func TestFormPostErrors(t *testing.T) {
	t.Parallel()
	f := newFlow(t, formPost)
	f.idp.DenyConsent(true)
	form := f.answerForm("/login/demo")
	form.Set("error_description", "<b>no</b> "+strings.Repeat("and no ", 2000))
	p := f.post(form)
	f.failsClosed(t, p, closed{code: ginauth.ErrProviderDenied, hide: hidden(form)})
	if strings.Contains(p.Text(), "and no") || !strings.Contains(f.logs.String(), "<b>no</b> and no") {
		t.Error("the description is on the page, or not in the log")
	}
	for name, change := range map[string]func(form url.Values){
		"no state":    func(form url.Values) { form.Del("state") },
		"empty state": func(form url.Values) { form.Set("state", "") },
		"other state": func(form url.Values) { form.Set("state", form.Get("state")[:51]+"!") },
	} {
		form := f.answerForm("/login/demo")
		change(form)
		p := f.post(form)
		f.failsClosed(t, p, closed{code: ginauth.ErrStateInvalid, hide: hidden(form)})
		if strings.Contains(p.Text(), "provider_denied") {
			t.Errorf("%s: the provider's message got through", name)
		}
	}
	f.idp.DenyConsent(false)
	form = f.answerForm("/login/demo")
	form.Set("iss", "https://evil.example")
	f.failsClosed(t, f.post(form), closed{code: ginauth.ErrIssuerMismatch, hide: hidden(form)})
}

// Another site can make a browser post answers, and keep it from following: what
// is left in the browser stays below 4 KB, whatever it posts.
func TestFormsOfAnotherSiteDoNotFillTheHeader(t *testing.T) {
	t.Parallel()
	f := newFlow(t, formPost)
	evil := authtest.At("https://evil.example/")
	post := func(first rune, size int) {
		f.browser.StopAt = func(*url.URL) bool { return true }
		defer func() { f.browser.StopAt = nil }()
		form := url.Values{"state": {string(first) + strings.Repeat("A", 51)}, "code": {strings.Repeat("c", size)}}
		if p := f.must(f.browser.Submit(evil, f.URL+"/authorize/demo", form)); p.Status != http.StatusSeeOther {
			t.Errorf("a code of %d is answered %d", size, p.Status)
		}
		total := 0
		for _, c := range f.ours("-f") {
			total += len(c.Name) + len(c.Value) + len("=; ")
		}
		if total > 4<<10 {
			t.Errorf("after a code of %d the cookies have %d bytes", size, total)
		}
	}
	for _, sizes := range [][]int{{2500, 2500, 2500, 2500}, {500, 500, 500, 500}, {2500, 500, 500, 500}, {500, 500, 500, 2500}, {570, 550, 530, 510}, {2500, 10, 2500, 10}} {
		for i, size := range sizes {
			post(rune('A'+i), size)
		}
	}
	form := f.answerForm("/login/demo?return_to=/page/form")
	f.landed(t, f.post(form), "/page/form")
}

// A response that is too large for its cookie is carried in the address, sealed:
// once, for a minute, in its own browser alone.
func TestLargeFormPost(t *testing.T) {
	t.Parallel()
	large := func(f *flow) (form url.Values, second *authtest.Page) {
		form = f.answerForm("/login/demo?return_to=/page/form")
		form.Set("user", strings.Repeat("u", 1000))
		second = f.postOnly(form)
		if f.ours("-f") != nil || !strings.Contains(second.Header.Get("Location"), "&response=") {
			t.Fatalf("carried by %v to %s", f.ours("-f"), second.Header.Get("Location"))
		}
		for _, secret := range append(hidden(form)[:1], "uuuu") {
			if strings.Contains(second.Header.Get("Location"), secret) {
				t.Errorf("%q shows in %s", secret, second.Header.Get("Location"))
			}
		}
		return form, second
	}
	f := newFlow(t, formPost)
	form, second := large(f)
	attempt := f.attempt()
	f.landed(t, f.must(f.browser.Follow(second)), "/page/form")
	f.browser = f.newBrowser()
	f.keep(attempt)
	f.failsClosed(t, f.must(f.browser.Follow(second)), closed{code: ginauth.ErrStateInvalid, tokens: 1, hide: hidden(form)})

	f = newFlow(t, formPost)
	form, second = large(f)
	other := f.newBrowser()
	f.browser, other = other, f.browser
	f.failsClosed(t, f.must(f.browser.Follow(second)), closed{code: ginauth.ErrStateInvalid, hide: hidden(form)})
	f.browser = other
	for name, change := range map[string]func(string) string{
		"altered":          func(s string) string { return strings.Replace(s, "&response=", "&response=A", 1) },
		"of another state": func(s string) string { return strings.Replace(s, "?carried=", "?carried=A", 1) },
		"left out":         func(s string) string { s, _, _ = strings.Cut(s, "&response="); return s },
	} {
		p := f.must(f.browser.Get(change(second.Header.Get("Location"))))
		if p.Status != http.StatusBadRequest || f.idp.Count(authtest.Token) != 0 || f.user() != nil {
			t.Errorf("%s: %d", name, p.Status)
		}
		_, second = large(f)
	}
	f.clock.Advance(62 * time.Second)
	f.failsClosed(t, f.must(f.browser.Follow(second)), closed{code: ginauth.ErrBadRequest})
}

// A code has the same limit however it comes.
func TestCodesAreAsLongInFormsAsInQueries(t *testing.T) {
	t.Parallel()
	for length, fits := range map[int]bool{2600: true, 4096: true, 4097: false} {
		for name, options := range map[string]func(*site, *ginauth.Options){"query": nil, "form_post": formPost} {
			f := newFlow(t, options)
			f.idp.EditAnswer(func(answer url.Values) { answer.Set("code", strings.Repeat("c", length)) })
			f.get("/login/demo?return_to=/page/form")
			if asked := f.idp.Count(authtest.Token) == 1; asked != fits {
				t.Errorf("a code of %d characters in a %s: redeemed %v", length, name, asked)
			}
		}
	}
}
