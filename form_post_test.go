package ginauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// deadlineWriter is a connection that records its read deadline.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (w *deadlineWriter) SetReadDeadline(until time.Time) error {
	w.until = until
	return nil
}

// Under gin's Run there is no other limit for a body that never ends.
func TestBodiesAreNotWaitedForEver(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" })
	for _, path := range []string{"/login/demo", "/authorize/demo", "/logout", "/logout/demo/backchannel"} {
		r := httptest.NewRequest("POST", s.URL+path, strings.NewReader("a=b"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
		s.Engine.ServeHTTP(w, r)
		if left := time.Until(w.until); left < time.Second || left > 10*time.Second {
			t.Errorf("POST %s: the body is read for %v, want 10s at most", path, left)
		}
	}
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest("GET", s.URL+"/login/demo", http.NoBody)
	r.Body = http.NoBody
	s.Engine.ServeHTTP(w, r)
	if !w.until.IsZero() {
		t.Error("a GET without a body got a deadline")
	}
}

// carried returns the browser's only cookie that contains a response.
func carried(f *sitetest.Flow) *http.Cookie {
	f.T.Helper()
	all := f.OwnCookies("-f")
	if len(all) != 1 {
		f.T.Fatalf("the browser has %d cookies with a response, want 1", len(all))
	}
	return all[0]
}

func TestFormPostCarriesOnce(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, sitetest.FormPost)
	form := f.AnswerForm("/login/demo?return_to=/page/form")
	attempt := f.LoginState()
	second := f.PostOnly(form)
	carried := carried(f)
	if strings.Contains(carried.Value, form.Get("code")) || second.Status != http.StatusSeeOther || strings.Contains(second.Header.Get("Location"), form.Get("code")) {
		t.Errorf("the code shows: %d %v", second.Status, second.Header)
	}
	if f.IDP.Count(authtest.Token) != 0 || f.User() != nil {
		t.Error("the POST alone signed in")
	}
	f.WantLanded(t, f.Must(f.Browser.Follow(second)), "/page/form")
	if f.OwnCookies("-f") != nil {
		t.Error("the response's cookie outlived its use")
	}

	f.Browser = f.NewBrowser() // a browser that kept all cookies
	f.KeepCookie(attempt)
	f.KeepCookie(carried)
	f.FailsClosed(t, f.Must(f.Browser.Follow(second)), sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1, Hide: sitetest.Secrets(form)})
	f.KeepCookie(attempt)
	f.FailsClosed(t, f.Post(form), sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1, Hide: sitetest.Secrets(form)})
}

func TestFormPostCarriesForAMinute(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		after time.Duration
		lost  bool
	}{{59 * time.Second, false}, {61 * time.Second, true}, {-59 * time.Second, false}, {-62 * time.Second, true}} {
		t.Run(tc.after.String(), func(t *testing.T) {
			f := sitetest.NewFlow(t, sitetest.FormPost)
			f.Browser.Now = time.Now // one that ignores Max-Age
			start := f.Open("/login/demo?return_to=/page/form")
			f.Clock.Advance(time.Minute / 2) // so that the attempt itself is neither expired nor from the future
			f.Browser.StopAt = func(next *url.URL) bool { return strings.Contains(next.RawQuery, "carried=") }
			second := f.Must(f.Browser.Follow(start))
			f.Browser.StopAt = nil
			carried := carried(f)
			if carried.MaxAge > 60 {
				t.Errorf("the cookie lasts %d seconds", carried.MaxAge)
			}
			f.Clock.Advance(tc.after)
			p := f.Must(f.Browser.Follow(second))
			if !tc.lost {
				f.WantLanded(t, p, "/page/form")
				return
			}
			f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrBadRequest})
			if !strings.Contains(f.Logs.String(), "id=form_post.lost ") {
				t.Errorf("the log does not say why:\n%s", f.Logs)
			}
		})
	}
}

// TestFormPostSlots: a few cookies serve all responses; each opens only under its own name, and
// for its own state.
func TestFormPostSlots(t *testing.T) {
	t.Parallel()
	t.Run("wrong slot", func(t *testing.T) {
		f := sitetest.NewFlow(t, sitetest.FormPost)
		form := f.AnswerForm("/login/demo")
		second := f.PostOnly(form)
		moved := *carried(f)
		f.Browser.RemoveCookie(f.URL, moved.Name)
		base := moved.Name[:len(moved.Name)-1]
		for n := range 4 {
			if name := fmt.Sprint(base, n); name != moved.Name {
				f.KeepCookie(&http.Cookie{Name: name, Value: moved.Value, Path: "/"})
			}
		}
		f.FailsClosed(t, f.Must(f.Browser.Follow(second)), sitetest.Closed{Code: ginauth.ErrBadRequest, Hide: sitetest.Secrets(form)})
	})
	t.Run("two answers in one slot", func(t *testing.T) {
		f := sitetest.NewFlow(t, sitetest.FormPost)
		first, second := sameSlot(f)
		one, two := f.PostOnly(first), f.PostOnly(second)
		f.FailsClosed(t, f.Must(f.Browser.Follow(one)), sitetest.Closed{Code: ginauth.ErrBadRequest, Hide: append(sitetest.Secrets(first), sitetest.Secrets(second)...)})
		f.Must(f.Browser.Follow(two))
		if f.User() == nil || f.IDP.Count(authtest.Token) != 1 {
			t.Errorf("the other one was lost as well:\n%s", f.Logs)
		}
	})
	t.Run("many answers leave few cookies", func(t *testing.T) {
		f := sitetest.NewFlow(t, sitetest.FormPost)
		form := f.AnswerForm("/login/demo?return_to=/page/form")
		for i := range 40 { // a page that makes the browser post
			f.PostOnly(url.Values{"state": {string(rune('A'+i%26)) + strings.Repeat("A", 51)}, "code": {"x"}})
		}
		if n := len(f.OwnCookies("-f")); n > 4 {
			t.Errorf("%d cookies contain responses", n)
		}
		f.WantLanded(t, f.Post(form), "/page/form")
	})
}

// sameSlot begins sign-ins until two of them share a cookie.
func sameSlot(f *sitetest.Flow) (first, second url.Values) {
	f.T.Helper()
	bySlot := map[string]url.Values{}
	for range 5 { // of four slots
		form := f.AnswerForm("/login/demo")
		f.PostOnly(form)
		name := carried(f).Name
		f.Browser.RemoveCookie(f.URL, name)
		if other := bySlot[name]; other != nil {
			return other, form
		}
		bySlot[name] = form
	}
	f.T.Fatal("five responses used five slots")
	return nil, nil
}

func TestFormPostProviderSwap(t *testing.T) {
	t.Parallel()
	f, other := sitetest.NewFlowWithTwo(t, func(o *ginauth.Options) {
		o.Providers[0].ResponseMode, o.Providers[1].ResponseMode = "form_post", "form_post"
	})
	form := f.AnswerForm("/login/demo")
	p := f.Must(f.Browser.Submit(authtest.At(f.IDP.Issuer), f.URL+"/authorize/other", form))
	f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStateInvalid, Hide: sitetest.Secrets(form)})

	form = f.AnswerForm("/login/demo")
	second := f.PostOnly(form)
	crossed := strings.Replace(second.Header.Get("Location"), "/authorize/demo", "/authorize/other", 1)
	f.FailsClosed(t, f.Must(f.Browser.Get(crossed)), sitetest.Closed{Code: ginauth.ErrStateInvalid, Hide: sitetest.Secrets(form)})
	if other.Count(authtest.Token) != 0 {
		t.Error("the other token endpoint was called")
	}
}

// TestFormPostLoginCSRF: the attacker's page posts the attacker's response.
func TestFormPostLoginCSRF(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, sitetest.FormPost)
	victim := f.Browser
	f.Browser = f.NewBrowser()
	attack := f.AnswerForm("/login/demo")
	f.Browser = victim
	own := f.AnswerForm("/login/demo?return_to=/page/mine")
	p := f.Must(f.Browser.Submit(authtest.At("https://evil.example/"), f.URL+"/authorize/demo", attack))
	f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStateInvalid, Hide: sitetest.Secrets(attack)})
	f.WantLanded(t, f.Post(own), "/page/mine")
	f.IDP.SignInAs("grace")
	f.Browser = f.NewBrowser()
	attack = f.AnswerForm("/login/demo")
	f.Browser = victim
	p = f.Must(f.Browser.Submit(authtest.At("https://evil.example/"), f.URL+"/authorize/demo", attack))
	if p.Status != http.StatusOK || f.User().Subject != "ada" || f.IDP.Count(authtest.Token) != 1 {
		t.Errorf("landed at %s with %d as %v", p.URL, p.Status, f.User())
	}
}

func TestFormPostErrors(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, sitetest.FormPost)
	f.IDP.DenyConsent(true)
	form := f.AnswerForm("/login/demo")
	form.Set("error_description", "<b>no</b> "+strings.Repeat("and no ", 2000))
	p := f.Post(form)
	f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrProviderDenied, Hide: sitetest.Secrets(form)})
	if strings.Contains(p.Text(), "and no") || !strings.Contains(f.Logs.String(), "<b>no</b> and no") {
		t.Error("the description is on the page, or not in the log")
	}
	for name, change := range map[string]func(form url.Values){
		"no state":    func(form url.Values) { form.Del("state") },
		"empty state": func(form url.Values) { form.Set("state", "") },
		"other state": func(form url.Values) { form.Set("state", form.Get("state")[:51]+"!") },
	} {
		form := f.AnswerForm("/login/demo")
		change(form)
		p := f.Post(form)
		f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStateInvalid, Hide: sitetest.Secrets(form)})
		if strings.Contains(p.Text(), "provider_denied") {
			t.Errorf("%s: the provider's message got through", name)
		}
	}
	f.IDP.DenyConsent(false)
	form = f.AnswerForm("/login/demo")
	form.Set("iss", "https://evil.example")
	f.FailsClosed(t, f.Post(form), sitetest.Closed{Code: ginauth.ErrIssuerMismatch, Hide: sitetest.Secrets(form)})
}

// Another site can make a browser post responses without following the redirect: the remaining
// cookies stay below 4 KB for any posts.
func TestFormsOfAnotherSiteDoNotFillTheHeader(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, sitetest.FormPost)
	evil := authtest.At("https://evil.example/")
	post := func(first rune, size int) {
		f.Browser.StopAt = func(*url.URL) bool { return true }
		defer func() { f.Browser.StopAt = nil }()
		form := url.Values{"state": {string(first) + strings.Repeat("A", 51)}, "code": {strings.Repeat("c", size)}}
		if p := f.Must(f.Browser.Submit(evil, f.URL+"/authorize/demo", form)); p.Status != http.StatusSeeOther {
			t.Errorf("a code of %d results in %d", size, p.Status)
		}
		total := 0
		for _, c := range f.OwnCookies("-f") {
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
	form := f.AnswerForm("/login/demo?return_to=/page/form")
	f.WantLanded(t, f.Post(form), "/page/form")
}

// A response that is too large for its cookie is passed in the URL, sealed: valid once, for a
// minute, only in its own browser.
func TestLargeFormPost(t *testing.T) {
	t.Parallel()
	large := func(f *sitetest.Flow) (form url.Values, second *authtest.Page) {
		form = f.AnswerForm("/login/demo?return_to=/page/form")
		form.Set("user", strings.Repeat("u", 1000))
		second = f.PostOnly(form)
		if f.OwnCookies("-f") != nil || !strings.Contains(second.Header.Get("Location"), "&response=") {
			t.Fatalf("carried by %v to %s", f.OwnCookies("-f"), second.Header.Get("Location"))
		}
		for _, secret := range append(sitetest.Secrets(form)[:1], "uuuu") {
			if strings.Contains(second.Header.Get("Location"), secret) {
				t.Errorf("%q shows in %s", secret, second.Header.Get("Location"))
			}
		}
		return form, second
	}
	f := sitetest.NewFlow(t, sitetest.FormPost)
	form, second := large(f)
	attempt := f.LoginState()
	f.WantLanded(t, f.Must(f.Browser.Follow(second)), "/page/form")
	f.Browser = f.NewBrowser()
	f.KeepCookie(attempt)
	f.FailsClosed(t, f.Must(f.Browser.Follow(second)), sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1, Hide: sitetest.Secrets(form)})

	f = sitetest.NewFlow(t, sitetest.FormPost)
	form, second = large(f)
	other := f.NewBrowser()
	f.Browser, other = other, f.Browser
	f.FailsClosed(t, f.Must(f.Browser.Follow(second)), sitetest.Closed{Code: ginauth.ErrStateInvalid, Hide: sitetest.Secrets(form)})
	f.Browser = other
	for name, change := range map[string]func(string) string{
		"altered":          func(s string) string { return strings.Replace(s, "&response=", "&response=A", 1) },
		"of another state": func(s string) string { return strings.Replace(s, "?carried=", "?carried=A", 1) },
		"left out":         func(s string) string { s, _, _ = strings.Cut(s, "&response="); return s },
	} {
		p := f.Must(f.Browser.Get(change(second.Header.Get("Location"))))
		if p.Status != http.StatusBadRequest || f.IDP.Count(authtest.Token) != 0 || f.User() != nil {
			t.Errorf("%s: %d", name, p.Status)
		}
		_, second = large(f)
	}
	f.Clock.Advance(62 * time.Second)
	f.FailsClosed(t, f.Must(f.Browser.Follow(second)), sitetest.Closed{Code: ginauth.ErrBadRequest})
}

// A code has the same limit in both response modes.
func TestCodesAreAsLongInFormsAsInQueries(t *testing.T) {
	t.Parallel()
	for length, fits := range map[int]bool{2600: true, 4096: true, 4097: false} {
		for name, options := range map[string]func(*sitetest.Site, *ginauth.Options){"query": nil, "form_post": sitetest.FormPost} {
			for _, characters := range []string{"c", "/+=~"} {
				f := sitetest.NewFlow(t, options)
				f.IDP.EditAnswer(func(answer url.Values) {
					answer.Set("code", strings.Repeat(characters, length)[:length])
					if name == "form_post" {
						answer.Set("user", strings.Repeat(`"`, 1024))
					}
				})
				f.Get("/login/demo?return_to=/page/form")
				if asked := f.IDP.Count(authtest.Token) == 1; asked != fits {
					t.Errorf("a code of %d characters of %q in a %s: redeemed %v", length, characters, name, asked)
				}
				if code := f.IDP.LastRequest(authtest.Token).Form.Get("code"); fits && len(code) != length {
					t.Errorf("a code of %d characters of %q in a %s arrived as %d", length, characters, name, len(code))
				}
			}
		}
	}
}

// Responses of four concurrent sign-ins do not interfere.
func TestFormPostUsesAllSlots(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, sitetest.FormPost)
	for _, first := range "ABCD" {
		f.PostOnly(url.Values{"state": {string(first) + strings.Repeat("A", 51)}, "code": {"x"}})
	}
	if n := len(f.OwnCookies("-f")); n != 4 {
		t.Errorf("%d cookies contain four responses", n)
	}
}

// A duplicate field of a form_post response is not passed on: it is ambiguous which of the two
// is meant.
func TestFieldsThatAreThereTwiceAreNotCarried(t *testing.T) {
	t.Parallel()
	got := make(chan url.Values, 1)
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.FormPost(s, o)
		o.Providers[0].Quirks.EditToken = func(_, answer url.Values) { got <- answer }
	})
	form := f.AnswerForm("/login/demo")
	form["user"], form["device_id"] = []string{"ada", "eve"}, []string{"one"}
	f.Post(form)
	if answer := <-got; answer.Has("user") || answer.Get("device_id") != "one" {
		t.Errorf("carried over were %v", answer)
	}
}
