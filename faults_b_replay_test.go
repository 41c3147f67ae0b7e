package ginauth_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// faultsBReplay: an answer counts once, for ten minutes, with the very cookie
// that was set for it.
func faultsBReplay() []fault {
	return []fault{
		{"B21_back_button", testBackButton},
		{"B22_state_replay", testStateReplay},
		{"B23_simultaneous_callbacks", testSimultaneous},
		{"B24_attempt_expired", testAttemptExpired},
		{"B24_attempt_from_the_future", testAttemptFromTheFuture},
		{"B25_altered_attempt_cookie", testAlteredCookie},
		{"B26_renamed_attempt_cookie", testRenamedCookie},
		{"B27_cookies_in_each_others_place", testConfusedCookies},
	}
}

func testBackButton(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(_ *site, o *ginauth.Options) { o.AfterLogin = "/page/home" })
	callback := f.begin("/login/demo?return_to=/page/b21")
	f.lands(t, callback, "/page/b21")
	for range 3 {
		f.lands(t, callback, "/page/home")
	}
	if n := f.idp.Count(authtest.Token); n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
	if n := f.logins.Load(); n != 1 {
		t.Errorf("OnLogin was called %d times", n)
	}
	f.browser.RemoveCookie(f.URL, f.sessionCookie().Name)
	f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid, tokens: 1})
}

func testStateReplay(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo")
	saved := f.attempt()
	f.lands(t, callback, "/")
	if f.attempts() != nil {
		t.Error("the attempt's cookie outlived its use")
	}

	f.browser = f.newBrowser() // the attacker's, with the victim's cookie
	f.keep(saved)
	f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid, tokens: 1})
	if !strings.Contains(f.logs.String(), "used already") {
		t.Errorf("the log does not say why:\n%s", f.logs)
	}
	if f.attempts() != nil {
		t.Error("the attempt's cookie was left there")
	}
	// A code that is still good does not help: the state is spent.
	f.browser = f.newBrowser()
	fresh := f.begin("/login/demo").Query().Get("code")
	f.browser = f.newBrowser()
	f.keep(saved)
	f.refuses(t, with(callback, "code", fresh), closed{code: ginauth.ErrStateInvalid, tokens: 1})
}

// testSimultaneous: a double click, or a browser that asks twice.
func testSimultaneous(t *testing.T) {
	f := newFlow(t, nil)
	for round := range 100 {
		f.browser = authtest.NewBrowser()
		callback := f.begin("/login/demo?return_to=/page/b23")
		saved := f.attempt()
		before := f.idp.Count(authtest.Token)
		var pages [2]*authtest.Page
		var ready, done sync.WaitGroup
		ready.Add(len(pages))
		for i := range pages {
			done.Go(func() {
				ready.Done()
				ready.Wait()
				pages[i] = f.carrying(callback.String(), saved)
			})
		}
		done.Wait()
		f.browser.Close()
		if n := f.idp.Count(authtest.Token) - before; n != 1 {
			t.Fatalf("round %d: %d token requests, want 1", round, n)
		}
		won := 0
		for _, p := range pages {
			switch {
			case p.Status == http.StatusSeeOther && strings.HasSuffix(p.Header.Get("Location"), "/page/b23#"):
				won++
			case p.Status != http.StatusBadRequest || slices.ContainsFunc(p.Header["Set-Cookie"], beginsSession):
				t.Errorf("round %d: the loser got %d %s", round, p.Status, p.Header)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d sessions, want 1", round, won)
		}
	}
	if n := f.logins.Load(); n != 100 {
		t.Errorf("OnLogin was called %d times", n)
	}
}

// beginsSession says whether a Set-Cookie line is a session's: its value begins
// with a mark. So may that of the hint that a sign-in failed.
func beginsSession(line string) bool {
	name, value, _ := strings.Cut(line, "=")
	return strings.HasPrefix(value, "1") && !strings.HasSuffix(name, "-u")
}

func testAttemptExpired(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	f.browser.Now = time.Now // one that ignores Max-Age
	late := f.open("/login/demo")
	f.clock.Advance(10*time.Minute + time.Second)
	cookie := f.attempt()
	p := f.must(f.browser.Follow(late))
	f.failsClosed(t, p, closed{code: ginauth.ErrStateInvalid})
	if f.attempts() != nil {
		t.Error("the attempt's cookie was left there")
	}
	f.clock.Advance(-time.Minute)
	f.keep(cookie) // turning the clock back does not bring it to life
	callback := p.URL
	f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid})

	// A little less is in time, and a browser that honours Max-Age agrees.
	f.browser = f.newBrowser()
	slow := f.open("/login/demo?return_to=/page/b24")
	f.clock.Advance(10*time.Minute - 30*time.Second)
	f.landed(t, f.must(f.browser.Follow(slow)), "/page/b24")
	f.browser = f.newBrowser()
	gone := f.open("/login/demo")
	f.clock.Advance(10*time.Minute + time.Second)
	f.failsClosed(t, f.must(f.browser.Follow(gone)), closed{code: ginauth.ErrStateInvalid, tokens: 1})
}

func testAttemptFromTheFuture(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	f.browser.Now = time.Now
	callback := f.begin("/login/demo")
	f.clock.Advance(-62 * time.Second)
	f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid})
	if f.attempts() != nil {
		t.Error("the attempt's cookie was left there")
	}
	// Replicas' clocks may differ by less.
	f.clock.Advance(62 * time.Second)
	callback = f.begin("/login/demo?return_to=/page/b24")
	f.clock.Advance(-55 * time.Second)
	f.lands(t, callback, "/page/b24")
}

func testAlteredCookie(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo")
	cookie := f.attempt()
	v := cookie.Value
	values := []string{
		"", v[:1], v[:20], v[:len(v)/2], v[:len(v)-1], v[1:], v + "A", v + "AAAA", v + "=", v + v, "A" + v, v + "%00", v + "!", v + "." + v,
		"%", "not base64!", "{}", strings.Repeat("A", 5000), v + strings.Repeat("A", 5000), strings.ToLower(v),
	}
	for i := range v {
		values = append(values, v[:i]+string(v[i]^1)+v[i+1:], v[:i]+"A"+v[i+1:])
	}
	for _, value := range values {
		if value == v {
			continue
		}
		p := f.carrying(callback.String(), &http.Cookie{Name: cookie.Name, Value: value})
		f.wantError(p, ginauth.ErrStateInvalid)
		if len(p.Header["Set-Cookie"]) != 0 { // it may be another replica's, which has the key
			t.Fatalf("a cookie that does not open was touched: %q", p.Header["Set-Cookie"])
		}
	}
	p := f.carrying(callback.String(), &http.Cookie{Name: cookie.Name, Value: v[1:]})
	f.browser = f.newBrowser()
	f.refused(t, p, callback, closed{code: ginauth.ErrStateInvalid})
	if p := f.carrying(callback.String(), cookie); p.Status != http.StatusSeeOther {
		t.Errorf("the cookie as it was got %d: %s", p.Status, p.Text())
	}
}

// testRenamedCookie: a cookie's name is sealed into it.
func testRenamedCookie(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	first := f.begin("/login/demo")
	one := f.attempt()
	second := f.begin("/login/demo?return_to=/page/b26")
	for _, c := range f.attempts() {
		if c.Name == one.Name {
			continue
		}
		renamed := *c
		renamed.Value = one.Value
		f.keep(&renamed)
		f.refuses(t, second, closed{code: ginauth.ErrStateInvalid})
		f.keep(c)
		renamed = *one
		renamed.Value = c.Value
		f.keep(&renamed)
		f.refuses(t, first, closed{code: ginauth.ErrStateInvalid})
	}
	f.lands(t, second, "/page/b26")

	// Under another handle the state would be another one, not spent yet.
	f.browser = f.newBrowser()
	third := f.begin("/login/demo")
	c := f.attempt()
	handle, secret, _ := strings.Cut(third.Query().Get("state"), ".")
	renamed := *c
	renamed.Name = strings.TrimSuffix(c.Name, handle) + "AAAAAAAA"
	f.keep(&renamed)
	f.refuses(t, with(third, "state", "AAAAAAAA."+secret), closed{code: ginauth.ErrStateInvalid, tokens: 1})
	f.lands(t, third, "/")
}

// testConfusedCookies: what is sealed for one purpose does not open for
// another, wherever it is put.
func testConfusedCookies(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(s *site, o *ginauth.Options) {
		form := client("form", startIDP(t, authtest.Config{}))
		form.ResponseMode = "form_post"
		o.Providers = append(o.Providers, form)
	})
	f.signIn()
	session := f.sessionCookie()
	f.browser = f.newBrowser()
	callback := f.begin("/login/demo")
	attempt := f.attempt()
	posted := f.must(f.browser.Submit(authtest.At(f.idp.Issuer), f.URL+"/authorize/form", callback.Query()))
	if len(posted.Hops) == 0 {
		t.Fatal("the form went nowhere")
	}
	var carried *http.Cookie
	for _, hop := range posted.Hops {
		for _, line := range hop.Header["Set-Cookie"] {
			if c, err := http.ParseSetCookie(line); err == nil && strings.Contains(c.Name, "-f") && c.Value != "" {
				carried = c
			}
		}
	}
	if carried == nil {
		t.Fatalf("no answer was carried: %v", posted.Hops)
	}
	for _, c := range []*http.Cookie{attempt, carried} {
		for _, value := range []string{c.Value, "1" + c.Value, "2" + c.Value} {
			p := f.carrying(f.URL+"/me", &http.Cookie{Name: session.Name, Value: value})
			if p.Status != http.StatusSeeOther || !strings.Contains(p.Header.Get("Location"), "/login") {
				t.Errorf("%s in the session's place got %d: %s", c.Name, p.Status, p.Text())
			}
		}
	}
	f.browser = f.newBrowser()
	for _, value := range []string{session.Value, session.Value[1:], carried.Value} {
		p := f.carrying(callback.String(), &http.Cookie{Name: attempt.Name, Value: value})
		f.refused(t, p, callback, closed{code: ginauth.ErrStateInvalid, tokens: 1})
	}
	for _, value := range []string{session.Value[1:], attempt.Value} {
		p := f.carrying(f.URL+"/authorize/form?carried="+callback.Query().Get("state"), &http.Cookie{Name: carried.Name, Value: value})
		f.refused(t, p, callback, closed{code: ginauth.ErrStateInvalid, tokens: 1})
	}
}
