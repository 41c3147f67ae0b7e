package ginauth_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/seal"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// The provider can read the state. The state may record that a sign-in was begun at another host
// name, but not which one: internal names are easy to guess.
func TestTheStateDoesNotNameTheHost(t *testing.T) {
	idp := sitetest.StartProvider(t, authtest.Config{})
	engine := gin.New()
	if _, err := ginauth.Mount(engine, ginauth.Options{BaseURL: "http://localhost:8080", Keys: []string{sitetest.Key}, Logger: (&sitetest.Logs{}).Logger(), Providers: []ginauth.Provider{sitetest.Client("demo", idp)}}); err != nil {
		t.Fatal(err)
	}
	facts := map[string]bool{}
	for i := range 5 {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequest("GET", fmt.Sprintf("http://billing-%d.internal:8080/login/demo", i), nil))
		to, err := url.Parse(w.Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		state := to.Query().Get("state")
		note, err := base64.RawURLEncoding.DecodeString(state[len(state)-16:])
		if err != nil {
			t.Fatal(err)
		}
		facts[string(note[4:8])] = true // after the time, and before the authentication tag
	}
	if len(facts) != 1 {
		t.Errorf("five host names make %d notes", len(facts))
	}
}

func TestSignInsBegunByAnotherSiteDoNotFillTheHeader(t *testing.T) {
	s := sitetest.New(t, nil)
	s.Browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.IDP.Issuer) }
	for range 6 {
		s.Must(s.Browser.Click(authtest.At("https://evil.example/"), s.URL+"/login/demo?return_to=/"+strings.Repeat("a", 2000)))
	}
	size := 0
	for _, c := range s.Browser.Cookies(s.URL) {
		size += len(c.Name) + len(c.Value) + 3
	}
	if size > 6<<10 || size < 1000 {
		t.Errorf("the cookies have %d bytes", size)
	}
	s.Browser.StopAt = nil
	s.SignIn()
}

// openAttempt returns the record of a callback's attempt, the name of its cookie, and the box
// that seals such records.
func openAttempt(s *sitetest.Site, callback *url.URL) (record, name string, box *seal.Box) {
	s.T.Helper()
	handle, _, _ := strings.Cut(callback.Query().Get("state"), ".")
	box, err := seal.New([]string{sitetest.Key}, s.URL, "attempt")
	if err != nil {
		s.T.Fatal(err)
	}
	for _, c := range s.Browser.Cookies(s.URL) {
		if strings.HasSuffix(c.Name, handle) {
			plain, _, err := box.Open(c.Value, c.Name)
			if err != nil {
				s.T.Fatal(err)
			}
			return string(plain), c.Name, box
		}
	}
	s.T.Fatal("the browser has no cookie of the attempt")
	return "", "", nil
}

// withCookies sends a request without a page, with only these cookies.
func withCookies(s *sitetest.Site, method, address, cookies string) *http.Response {
	s.T.Helper()
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	r.Header.Set("Cookie", cookies)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.T.Fatal(err)
	}
	answer.Body.Close()
	return answer
}

// An attempt that another version of this program sealed is rejected, even if the key is right:
// fields that it lacks must not be treated as empty.
func TestAttemptOfAnotherForm(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	callback := s.Begin("/login/demo")
	good, name, box := openAttempt(s, callback)
	come := func(record string) int {
		return withCookies(s, "GET", callback.String(), name+"="+box.Seal([]byte(record), name)).StatusCode
	}
	for form, record := range map[string]string{
		"another version": string(good[0]+1) + good[1:], "cut": good[:len(good)-1], "longer": good + "\x00", "nothing": "",
	} {
		if status := come(record); status != http.StatusBadRequest {
			t.Errorf("%s: %d", form, status)
		}
	}
	if !strings.Contains(s.Logs.String(), "id=state.other_version") {
		t.Errorf("the log does not say that the version is another one:\n%s", s.Logs)
	}
	if status := come(good); status != http.StatusSeeOther {
		t.Errorf("the attempt itself, sealed again: %d", status)
	}
}

// Of many attempts in one request only a few are opened: a header has room for more than a
// server should have to decrypt.
func TestFewAttemptsAreOpened(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	record, name, box := openAttempt(s, s.Begin("/login/demo"))
	var pairs []string
	for i := range 50 {
		other := fmt.Sprintf("%s%02d", name[:len(name)-2], i)
		pairs = append(pairs, other+"="+box.Seal([]byte(record), other))
	}
	answer := withCookies(s, "POST", s.URL+"/logout", strings.Join(pairs, "; "))
	if n := len(answer.Header.Values("Set-Cookie")); n != 40 {
		t.Errorf("%d attempts were taken back, want 40", n)
	}
}

// A sealed value has one encoding: another one was not made with our keys, even if it decodes to
// the same bytes.
func TestSecretInAnotherSpelling(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	callback := s.Begin("/login/demo")
	state := callback.Query().Get("state")
	begun, err := base64.RawURLEncoding.DecodeString(state[53:])
	if err != nil {
		t.Fatal(err)
	}
	stamps, err := seal.NewStamps([]string{sitetest.Key}, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	stamp := stamps.Make([seal.FactSize]byte(begun), [seal.SubjectSize]byte{})
	s.Browser = s.NewBrowser()
	for last, id := range map[string]string{"A": "state.no_cookies", "B": "state.not_authentic"} {
		wantStateError(s, callback, state[:9]+strings.Repeat("A", 42)+last+"."+base64.RawURLEncoding.EncodeToString(stamp[:]), id)
	}
}

// An expired attempt makes room for a new one, and its cookie is removed.
func TestAttemptsThatAreOverGo(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	old := s.Open("/login/demo").Header.Get("Set-Cookie")
	pair, _, _ := strings.Cut(old, ";")
	name, _, _ := strings.Cut(pair, "=")
	for after, expired := range map[time.Duration]bool{5 * time.Minute: false, 11 * time.Minute: true} {
		s.Clock.Advance(after)
		s.Browser = s.NewBrowser() // a browser that keeps cookies longer than it should
		p := s.Ask("GET", "/login/demo", "Cookie", pair)
		s.Clock.Advance(-after)
		lines := strings.Join(p.Header.Values("Set-Cookie"), "\n")
		if got := strings.Contains(lines, name+"=;"); got != expired || p.Status != http.StatusSeeOther {
			t.Errorf("after %v: %d, taken back: %v\n%s", after, p.Status, got, lines)
		}
	}
}

// If the parameters of the sign-in do not fit into a cookie, the browser is not redirected to
// the provider with an attempt that would be lost.
func TestAnAttemptTooLargeForACookie(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].AuthParams = map[string]string{"acr_values": strings.Repeat("x", 4000)}
	})
	s.WantError(s.Open("/login/demo"), ginauth.ErrSessionError)
	if n := s.IDP.Count(authtest.Authorize); n != 0 {
		t.Errorf("the provider got %d authorization requests", n)
	}
}

// tabOrders are orders in which to finish five sign-ins.
var tabOrders = [][]int{
	{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}, {3, 1, 4, 0, 2}, {1, 4, 2, 3, 0}, {4, 0, 3, 1, 2},
}

func TestFiveTabsFinishInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, order := range tabOrders {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			f := sitetest.NewFlow(t, nil)
			tabs := make([]*url.URL, len(order))
			for i := range tabs {
				tabs[i] = f.Begin(fmt.Sprintf("/login/demo?return_to=/page/tab-%d", i))
			}
			if n := len(f.LoginStates()); n != len(tabs) {
				t.Fatalf("%d attempts are under way, want %d", n, len(tabs))
			}
			for done, i := range order {
				f.Lands(t, tabs[i], fmt.Sprintf("/page/tab-%d", i))
				if n := len(f.LoginStates()); n != len(tabs)-done-1 {
					t.Errorf("%d attempts remain after %d sign-ins", n, done+1)
				}
			}
			if n := f.IDP.Count(authtest.Token); n != len(tabs) {
				t.Errorf("%d codes were redeemed, want %d", n, len(tabs))
			}
			for _, i := range order { // and all of them again, as with the back button
				f.Lands(t, tabs[i], "/")
			}
			if n := f.IDP.Count(authtest.Token); n != len(tabs) {
				t.Errorf("%d codes were redeemed in the end", n)
			}
		})
	}
}

func TestFiveTabsOfAFormPostProvider(t *testing.T) {
	t.Parallel()
	for _, order := range tabOrders {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			f := sitetest.NewFlow(t, sitetest.FormPost)
			tabs := make([]url.Values, len(order))
			for i := range tabs {
				tabs[i] = f.AnswerForm(fmt.Sprintf("/login/demo?return_to=/page/tab-%d", i))
			}
			for _, i := range order {
				f.WantLanded(t, f.Post(tabs[i]), fmt.Sprintf("/page/tab-%d", i))
			}
			if f.LoginStates() != nil || f.OwnCookies("-f") != nil {
				t.Error("cookies of the sign-ins remain")
			}
		})
	}
}

// TestTabsOfSeveralPeople: the user that finishes last is signed in; a tab in which the sign-in
// fails does not affect the others.
func TestTabsOfSeveralPeople(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	people := []string{"ada", "grace", "zoe"}
	tabs := make([]*url.URL, len(people))
	for i, who := range people {
		f.IDP.SignInAs(who)
		tabs[i] = f.Begin("/login/demo?return_to=/page/" + who)
	}
	for _, i := range []int{1, 2} {
		f.Lands(t, tabs[i], "/page/"+people[i])
		if u := f.User(); u.Subject != people[i] {
			t.Errorf("%q is signed in, want %q", u.Subject, people[i])
		}
	}
	f.Refuses(t, sitetest.With(tabs[0], "code", "not-a-code-of-the-provider"), sitetest.Closed{Code: ginauth.ErrCodeRejected, Tokens: 3, Was: "zoe"})
}

func TestSixthTabPushesOutTheFirst(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	tabs := make([]*url.URL, 6)
	for i := range tabs {
		tabs[i] = f.Begin(fmt.Sprintf("/login/demo?return_to=/page/tab-%d", i))
		f.Clock.Advance(1e9)
	}
	f.Refuses(t, tabs[0], sitetest.Closed{Code: ginauth.ErrStateInvalid})
	for i, tab := range tabs[1:] {
		f.Lands(t, tab, fmt.Sprintf("/page/tab-%d", i+1))
	}
	f.Lands(t, tabs[0], "/") // the user is already signed in, as intended
}

// TestAnswerOpenedAgain: a browser that opens a response's URL again after the sign-in causes no
// harm, and a signed-in user sees no error.
func TestAnswerOpenedAgain(t *testing.T) {
	t.Parallel()
	prefetch := http.Header{"Sec-Purpose": {"prefetch"}}
	for name, again := range map[string]func(f *sitetest.Flow, landing *authtest.Page, callback string) *authtest.Page{
		"back button": func(f *sitetest.Flow, landing *authtest.Page, callback string) *authtest.Page {
			return f.Must(f.Browser.Click(landing, callback))
		},
		"reload, or a bookmark": func(f *sitetest.Flow, _ *authtest.Page, callback string) *authtest.Page {
			return f.Must(f.Browser.Get(callback))
		},
		"the provider's page sends the browser again": func(f *sitetest.Flow, _ *authtest.Page, callback string) *authtest.Page {
			return f.Must(f.Browser.Click(authtest.At(f.IDP.Issuer), callback))
		},
		"a browser without Fetch Metadata": func(f *sitetest.Flow, _ *authtest.Page, callback string) *authtest.Page {
			old := f.Browser.Clone()
			old.NoFetchMetadata = true
			return f.Must(old.Get(callback))
		},
		"prefetch": func(f *sitetest.Flow, landing *authtest.Page, callback string) *authtest.Page {
			return f.Must(f.Browser.Fetch(landing, "GET", callback, prefetch, ""))
		},
	} {
		for _, mode := range []string{"query", "form_post"} {
			t.Run(name+" with "+mode, func(t *testing.T) {
				f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].ResponseMode = mode })
				landing := f.Get("/page/tabs")
				f.WantLanded(t, landing, "/page/tabs")
				session := f.OnlySession().Value
				callback := ""
				for _, hop := range landing.Hops {
					if hop.Method == "GET" && strings.HasPrefix(hop.URL.Path, "/authorize/demo") {
						callback = hop.URL.String()
					}
				}
				p := again(f, landing, callback)
				if p.Status >= 300 && name != "prefetch" || strings.Contains(p.Text(), "state_invalid") || f.User() == nil {
					t.Errorf("got %d at %s: %s", p.Status, p.URL, p.Text())
				}
				if name == "prefetch" && p.Status != http.StatusServiceUnavailable {
					t.Errorf("the prefetch got %d", p.Status)
				}
				if f.OnlySession().Value != session || f.IDP.Count(authtest.Token) != 1 || f.Logins.Load() != 1 {
					t.Error("it was a second sign-in")
				}
				if strings.Contains(f.Logs.String(), " code=") {
					t.Errorf("it was logged as a failure:\n%s", f.Logs)
				}
			})
		}
	}
}

// TestPrefetchedAnswer: a prefetch of the callback uses up nothing.
func TestPrefetchedAnswer(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch", "X-Moz": "prefetch"} {
		t.Run(name, func(t *testing.T) {
			f := sitetest.NewFlow(t, nil)
			callback := f.Begin("/login/demo?return_to=/page/prefetched")
			p := f.Must(f.Browser.Fetch(authtest.At(f.IDP.Issuer), "GET", callback.String(), http.Header{name: {value}}, ""))
			if p.Status != http.StatusServiceUnavailable || len(p.Header["Set-Cookie"]) != 0 || f.IDP.Count(authtest.Token) != 0 {
				t.Errorf("the prefetch got %d %v", p.Status, p.Header)
			}
			sitetest.WantHeaders(t, p)
			f.Lands(t, callback, "/page/prefetched")
		})
	}
}
