package faults

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsLoginStateCookie(t *testing.T) {
	runFaults(t, []fault{
		{"B21_back_button", b21BackButton},
		{"B22_state_replay", b22StateReplay},
		{"B23_simultaneous_callbacks", b23SimultaneousCallbacks},
		{"B24_attempt_expired", b24AttemptExpired},
		{"B24_attempt_from_the_future", b24AttemptFromTheFuture},
		{"B25_altered_attempt_cookie", b25AlteredAttemptCookie},
		{"B26_renamed_attempt_cookie", b26RenamedAttemptCookie},
		{"B27_cookies_in_each_others_place", b27CookiesInEachOthersPlace},
	})
}

func b21BackButton(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) { o.AfterLogin = "/page/home" })
	callback := f.Begin("/login/demo?return_to=/page/b21")
	f.Lands(t, callback, "/page/b21")
	for range 3 {
		f.Lands(t, callback, "/page/home")
	}
	if n := f.IDP.Count(authtest.Token); n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
	if n := f.Logins.Load(); n != 1 {
		t.Errorf("OnLogin was called %d times", n)
	}
	f.Browser.RemoveCookie(f.URL, f.OnlySession().Name)
	f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
}

func b22StateReplay(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo")
	saved := f.LoginState()
	f.Lands(t, callback, "/")
	if f.LoginStates() != nil {
		t.Error("the attempt's cookie outlived its use")
	}

	f.Browser = f.NewBrowser() // the attacker's browser, with the victim's cookie
	f.KeepCookie(saved)
	f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
	if !strings.Contains(f.Logs.String(), "id=state.used ") {
		t.Errorf("the log does not say why:\n%s", f.Logs)
	}
	if f.LoginStates() != nil {
		t.Error("the attempt's cookie remains")
	}
	// A code that is still valid does not help: the state is used.
	f.Browser = f.NewBrowser()
	fresh := f.Begin("/login/demo").Query().Get("code")
	f.Browser = f.NewBrowser()
	f.KeepCookie(saved)
	f.Refuses(t, sitetest.With(callback, "code", fresh), sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
}

// A double click, or a browser that sends the request twice.
func b23SimultaneousCallbacks(t *testing.T) {
	f := sitetest.NewFlow(t, nil)
	for round := range 100 {
		f.Browser = authtest.NewBrowser()
		callback := f.Begin("/login/demo?return_to=/page/b23")
		saved := f.LoginState()
		before := f.IDP.Count(authtest.Token)
		var pages [2]*authtest.Page
		var ready, done sync.WaitGroup
		ready.Add(len(pages))
		for i := range pages {
			done.Go(func() {
				ready.Done()
				ready.Wait()
				pages[i] = carrying(f, callback.String(), saved)
			})
		}
		done.Wait()
		f.Browser.Close()
		if n := f.IDP.Count(authtest.Token) - before; n != 1 {
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
	if n := f.Logins.Load(); n != 100 {
		t.Errorf("OnLogin was called %d times", n)
	}
}

func b24AttemptExpired(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	f.Browser.Now = time.Now // one that ignores Max-Age
	late := f.Open("/login/demo")
	f.Clock.Advance(10*time.Minute + time.Second)
	cookie := f.LoginState()
	p := f.Must(f.Browser.Follow(late))
	f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	if f.LoginStates() != nil {
		t.Error("the attempt's cookie remains")
	}
	f.Clock.Advance(-time.Minute)
	f.KeepCookie(cookie) // setting the clock back does not make it valid again
	callback := p.URL
	f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})

	// A little less is in time, and a browser that honours Max-Age agrees.
	f.Browser = f.NewBrowser()
	slow := f.Open("/login/demo?return_to=/page/b24")
	f.Clock.Advance(10*time.Minute - 30*time.Second)
	f.WantLanded(t, f.Must(f.Browser.Follow(slow)), "/page/b24")
	f.Browser = f.NewBrowser()
	gone := f.Open("/login/demo")
	f.Clock.Advance(10*time.Minute + time.Second)
	f.FailsClosed(t, f.Must(f.Browser.Follow(gone)), sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
}

func b24AttemptFromTheFuture(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	f.Browser.Now = time.Now
	callback := f.Begin("/login/demo")
	f.Clock.Advance(-62 * time.Second)
	f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	if f.LoginStates() != nil {
		t.Error("the attempt's cookie remains")
	}
	// Replicas' clocks may differ by less.
	f.Clock.Advance(62 * time.Second)
	callback = f.Begin("/login/demo?return_to=/page/b24")
	f.Clock.Advance(-55 * time.Second)
	f.Lands(t, callback, "/page/b24")
}

func b25AlteredAttemptCookie(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo")
	cookie := f.LoginState()
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
		p := carrying(f, callback.String(), &http.Cookie{Name: cookie.Name, Value: value})
		f.WantError(p, ginauth.ErrStateInvalid)
		if len(p.Header["Set-Cookie"]) != 0 { // another replica may have the key
			t.Fatalf("a cookie that does not open was touched: %q", p.Header["Set-Cookie"])
		}
	}
	p := carrying(f, callback.String(), &http.Cookie{Name: cookie.Name, Value: v[1:]})
	f.Browser = f.NewBrowser()
	f.WantRefused(t, p, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	if p := carrying(f, callback.String(), cookie); p.Status != http.StatusSeeOther {
		t.Errorf("the cookie as it was got %d: %s", p.Status, p.Text())
	}
}

// A cookie's name is sealed into it.
func b26RenamedAttemptCookie(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	first := f.Begin("/login/demo")
	one := f.LoginState()
	second := f.Begin("/login/demo?return_to=/page/b26")
	for _, c := range f.LoginStates() {
		if c.Name == one.Name {
			continue
		}
		renamed := *c
		renamed.Value = one.Value
		f.KeepCookie(&renamed)
		f.Refuses(t, second, sitetest.Closed{Code: ginauth.ErrStateInvalid})
		f.KeepCookie(c)
		renamed = *one
		renamed.Value = c.Value
		f.KeepCookie(&renamed)
		f.Refuses(t, first, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	}
	f.Lands(t, second, "/page/b26")

	// Under another handle the state would be different, and unused.
	f.Browser = f.NewBrowser()
	third := f.Begin("/login/demo")
	c := f.LoginState()
	handle, secret, _ := strings.Cut(third.Query().Get("state"), ".")
	renamed := *c
	renamed.Name = strings.TrimSuffix(c.Name, handle) + "AAAAAAAA"
	f.KeepCookie(&renamed)
	f.Refuses(t, sitetest.With(third, "state", "AAAAAAAA."+secret), sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
	f.Lands(t, third, "/")
}

// A value that is sealed for one purpose cannot be opened for another, under any name.
func b27CookiesInEachOthersPlace(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		form := sitetest.Client("form", sitetest.StartProvider(t, authtest.Config{}))
		form.ResponseMode = "form_post"
		o.Providers = append(o.Providers, form)
	})
	f.SignIn()
	session := f.OnlySession()
	f.Browser = f.NewBrowser()
	callback := f.Begin("/login/demo")
	attempt := f.LoginState()
	posted := f.Must(f.Browser.Submit(authtest.At(f.IDP.Issuer), f.URL+"/authorize/form", callback.Query()))
	if len(posted.Hops) == 0 {
		t.Fatal("the form was not sent")
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
		t.Fatalf("no response was passed on: %v", posted.Hops)
	}
	for _, c := range []*http.Cookie{attempt, carried} {
		for _, value := range []string{c.Value, "1" + c.Value, "2" + c.Value} {
			p := carrying(f, f.URL+"/me", &http.Cookie{Name: session.Name, Value: value})
			if p.Status != http.StatusSeeOther || !strings.Contains(p.Header.Get("Location"), "/login") {
				t.Errorf("%s in the session's place got %d: %s", c.Name, p.Status, p.Text())
			}
		}
	}
	f.Browser = f.NewBrowser()
	for _, value := range []string{session.Value, session.Value[1:], carried.Value} {
		p := carrying(f, callback.String(), &http.Cookie{Name: attempt.Name, Value: value})
		f.WantRefused(t, p, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
	}
	for _, value := range []string{session.Value[1:], attempt.Value} {
		p := carrying(f, f.URL+"/authorize/form?carried="+callback.Query().Get("state"), &http.Cookie{Name: carried.Name, Value: value})
		f.WantRefused(t, p, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
	}
}
