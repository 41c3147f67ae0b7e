package ginauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// tabOrders are orders to finish five sign-ins in.
var tabOrders = [][]int{
	{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}, {3, 1, 4, 0, 2}, {1, 4, 2, 3, 0}, {4, 0, 3, 1, 2},
}

func TestFiveTabsFinishInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, order := range tabOrders {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			f := newFlow(t, nil)
			tabs := make([]*url.URL, len(order))
			for i := range tabs {
				tabs[i] = f.begin(fmt.Sprintf("/login/demo?return_to=/page/tab-%d", i))
			}
			if n := len(f.attempts()); n != len(tabs) {
				t.Fatalf("%d attempts are under way, want %d", n, len(tabs))
			}
			for done, i := range order {
				f.lands(t, tabs[i], fmt.Sprintf("/page/tab-%d", i))
				if n := len(f.attempts()); n != len(tabs)-done-1 {
					t.Errorf("%d attempts are left after %d sign-ins", n, done+1)
				}
			}
			if n := f.idp.Count(authtest.Token); n != len(tabs) {
				t.Errorf("%d codes were redeemed, want %d", n, len(tabs))
			}
			for _, i := range order { // and all of them again: back buttons
				f.lands(t, tabs[i], "/")
			}
			if n := f.idp.Count(authtest.Token); n != len(tabs) {
				t.Errorf("%d codes were redeemed in the end", n)
			}
		})
	}
}

func TestFiveTabsOfAFormPostProvider(t *testing.T) {
	t.Parallel()
	for _, order := range tabOrders {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			f := newFlow(t, formPost)
			tabs := make([]url.Values, len(order))
			for i := range tabs {
				tabs[i] = f.answerForm(fmt.Sprintf("/login/demo?return_to=/page/tab-%d", i))
			}
			for _, i := range order {
				f.landed(t, f.post(tabs[i]), fmt.Sprintf("/page/tab-%d", i))
			}
			if f.attempts() != nil || f.ours("-f") != nil {
				t.Error("cookies of the sign-ins are left")
			}
		})
	}
}

// TestTabsOfSeveralPeople: whoever finishes last is signed in; a tab in which
// the sign-in fails takes nothing from the others.
func TestTabsOfSeveralPeople(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	people := []string{"ada", "grace", "zoe"}
	tabs := make([]*url.URL, len(people))
	for i, who := range people {
		f.idp.SignInAs(who)
		tabs[i] = f.begin("/login/demo?return_to=/page/" + who)
	}
	for _, i := range []int{1, 2} {
		f.lands(t, tabs[i], "/page/"+people[i])
		if u := f.user(); u.Subject != people[i] {
			t.Errorf("%q is signed in, want %q", u.Subject, people[i])
		}
	}
	f.refuses(t, with(tabs[0], "code", "not-a-code-of-the-provider"), closed{code: ginauth.ErrCodeRejected, tokens: 3, was: "zoe"})
}

func TestSixthTabPushesOutTheFirst(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	tabs := make([]*url.URL, 6)
	for i := range tabs {
		tabs[i] = f.begin(fmt.Sprintf("/login/demo?return_to=/page/tab-%d", i))
		f.clock.Advance(1e9)
	}
	f.refuses(t, tabs[0], closed{code: ginauth.ErrStateInvalid})
	for i, tab := range tabs[1:] {
		f.lands(t, tab, fmt.Sprintf("/page/tab-%d", i+1))
	}
	f.lands(t, tabs[0], "/") // signed in by now, which is what the person wanted
}

// TestAnswerOpenedAgain: what browsers do with an answer's address after the
// sign-in must do no harm, and show whoever is signed in no error.
func TestAnswerOpenedAgain(t *testing.T) {
	t.Parallel()
	prefetch := http.Header{"Sec-Purpose": {"prefetch"}}
	for name, again := range map[string]func(f *flow, landing *authtest.Page, callback string) *authtest.Page{
		"back button": func(f *flow, landing *authtest.Page, callback string) *authtest.Page {
			return f.must(f.browser.Click(landing, callback))
		},
		"reload, or a bookmark": func(f *flow, _ *authtest.Page, callback string) *authtest.Page {
			return f.must(f.browser.Get(callback))
		},
		"the provider's page sends the browser again": func(f *flow, _ *authtest.Page, callback string) *authtest.Page {
			return f.must(f.browser.Click(authtest.At(f.idp.Issuer), callback))
		},
		"a browser without Fetch Metadata": func(f *flow, _ *authtest.Page, callback string) *authtest.Page {
			old := f.browser.Clone()
			old.NoFetchMetadata = true
			return f.must(old.Get(callback))
		},
		"prefetch": func(f *flow, landing *authtest.Page, callback string) *authtest.Page {
			return f.must(f.browser.Fetch(landing, "GET", callback, prefetch, ""))
		},
	} {
		for _, mode := range []string{"query", "form_post"} {
			t.Run(name+" with "+mode, func(t *testing.T) {
				f := newFlow(t, func(_ *site, o *ginauth.Options) { o.Providers[0].ResponseMode = mode })
				landing := f.get("/page/tabs")
				f.landed(t, landing, "/page/tabs")
				session := f.sessionCookie().Value
				callback := ""
				for _, hop := range landing.Hops {
					if hop.Method == "GET" && strings.HasPrefix(hop.URL.Path, "/authorize/demo") {
						callback = hop.URL.String()
					}
				}
				p := again(f, landing, callback)
				if p.Status >= 300 && name != "prefetch" || strings.Contains(p.Text(), "state_invalid") || f.user() == nil {
					t.Errorf("got %d at %s: %s", p.Status, p.URL, p.Text())
				}
				if name == "prefetch" && p.Status != http.StatusServiceUnavailable {
					t.Errorf("the prefetch got %d", p.Status)
				}
				if f.sessionCookie().Value != session || f.idp.Count(authtest.Token) != 1 || f.logins.Load() != 1 {
					t.Error("it was a second sign-in")
				}
				if strings.Contains(f.logs.String(), "request failed") {
					t.Errorf("it was logged as a failure:\n%s", f.logs)
				}
			})
		}
	}
}

// TestPrefetchedAnswer: a prefetch before anybody came uses nothing up.
func TestPrefetchedAnswer(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch", "X-Moz": "prefetch"} {
		t.Run(name, func(t *testing.T) {
			f := newFlow(t, nil)
			callback := f.begin("/login/demo?return_to=/page/prefetched")
			p := f.must(f.browser.Fetch(authtest.At(f.idp.Issuer), "GET", callback.String(), http.Header{name: {value}}, ""))
			if p.Status != http.StatusServiceUnavailable || len(p.Header["Set-Cookie"]) != 0 || f.idp.Count(authtest.Token) != 0 {
				t.Errorf("the prefetch got %d %v", p.Status, p.Header)
			}
			wantHeaders(t, p)
			f.lands(t, callback, "/page/prefetched")
		})
	}
}
