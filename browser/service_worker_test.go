package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// newWorkerSite starts an application with a service worker that hands every request on, except
// for the icon's: Firefox complains if the page is left while it loads. Its page /start installs
// the worker.
func newWorkerSite(t *testing.T) *site {
	t.Helper()
	return newSite(t, places["http"], func(s *site, _ *ginauth.Options) {
		s.more = func(app *gin.Engine) {
			app.GET("/worker.js", func(c *gin.Context) {
				c.Data(http.StatusOK, "text/javascript", []byte(`self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("fetch", e => e.request.url.endsWith("/favicon.ico") || e.respondWith(fetch(e.request)));`))
			})
			app.GET("/start", func(c *gin.Context) {
				c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(`<!doctype html><html lang="en"><title>Start</title><main><h1>Waiting</h1></main>
<script>navigator.serviceWorker.register("/worker.js").then(() => navigator.serviceWorker.ready).then(() => { document.querySelector("h1").textContent = "Ready" })</script>`))
			})
		}
	})
}

// installWorker opens the page that installs the service worker.
func (s *site) installWorker(x *tab) {
	x.t.Helper()
	x.get(s.URL + "/start")
	x.at(s.URL+"/start", "Ready")
}

// A service worker that hands every request on makes navigations look like fetches,
// whose destination is empty. People sign in and out as without it. In Firefox, their
// mode is not navigate but same-origin, as that of a script's fetch can be.
func TestBehindAServiceWorker(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		s := newWorkerSite(t)
		x := b.open(t)
		s.installWorker(x)
		s.signIn(x, "/page/one")
		mode := "same-origin"
		if b.chrome {
			mode = "navigate"
		}
		if r := s.got("GET", "/page/one")[0]; r.Header.Get("Sec-Fetch-Mode") != mode || r.Header.Get("Sec-Fetch-Dest") != "empty" {
			t.Errorf("the worker does not hand navigations on as is known: %v", r.Header)
		}
		x.click("Send")
		x.at(s.URL+"/page/form", "Sent by Ada Lovelace")
		x.click("Sign out")
		x.at(s.URL+"/", "Home of nobody")
		if hint := s.idp.LastRequest("end_session").Form.Get("id_token_hint"); s.idp.Count("end_session") != 1 || strings.Count(hint, ".") != 2 {
			t.Errorf("the provider was asked %d times to end its session, with the hint %q", s.idp.Count("end_session"), hint)
		}
		x.get(s.URL + "/login/demo")
		s.choose(x)
		x.at(s.URL+"/", "Home of Ada Lovelace")
	})
}

// In Firefox, the form of another site comes as if from a page of the application, but
// without cookies. The sign-ins that it begins do not pile up, and it ends no session.
func TestFormsOfAnotherSiteBehindAServiceWorker(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		s := newWorkerSite(t)
		evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<!doctype html><form method="post" action="%s/login/demo"><button>Win</button></form>
<form method="post" action="%[1]s/logout"><button>Sign out</button></form>`, s.URL)
		}))
		defer evil.Close()
		x := b.open(t)
		s.installWorker(x)
		const times = 8
		for range times {
			x.get(evil.URL + "/")
			x.click("Win")
			x.at(s.idp.Issuer+"/authorize", "Ada Lovelace")
		}
		posts, gets := s.got("POST", "/login/demo"), s.got("GET", "/login/demo")
		if len(posts) != times || len(gets) != times {
			t.Fatalf("%d forms and %d addresses were asked for", len(posts), len(gets))
		}
		if site := posts[0].Header.Get("Sec-Fetch-Site"); len(posts[times-1].Cookies()) != 0 || (site == "same-origin") == b.chrome {
			t.Errorf("the form came from %s with the cookies %v", site, posts[times-1].Cookies())
		}
		if n := len(gets[times-1].Cookies()); n == 0 || n > 5 {
			t.Errorf("after %d forms the browser has %d cookies", times-1, n)
		}
		s.choose(x)
		x.at(s.URL+"/", "Home of Ada Lovelace")
		x.get(evil.URL + "/")
		x.click("Sign out")
		x.get(s.URL + "/")
		x.at(s.URL+"/", "Home of Ada Lovelace")
		if n := s.idp.Count("end_session"); n != 0 {
			t.Errorf("the provider was asked %d times to end its session", n)
		}
	})
}

// A script that makes its requests look like Firefox's navigations behind a service
// worker learns nothing by it: the browser follows no redirect to the provider, and
// shows none.
func TestScriptsLearnNothingFromNavigations(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		s := newSite(t, places["http"], nil)
		x := b.open(t)
		s.signIn(x, "/page/one")
		authorized := s.idp.Count("authorize")
		for _, tt := range [][2]string{{"a sign-in", `"/login/demo", {`}, {"a sign-out", `"/logout", {method: "POST", `}} {
			name, request := tt[0], tt[1]
			// In this order: the first sign-out goes on to the provider, and ends the session.
			for _, tt := range [][2]string{{"follow", "failed"}, {"manual", "opaqueredirect"}} {
				redirect, want := tt[0], tt[1]
				var got string
				x.run(`fetch(`+request+`mode: "same-origin", headers: {Accept: "text/html"}, redirect: "`+redirect+`"})
					.then(async r => r.type + (r.url.includes("?") ? r.url : "") + (r.headers.get("Location") || "") + await r.text(), () => "failed")`, &got)
				if got != want {
					t.Errorf("%s, redirect %s: the script sees %q, want %q", name, redirect, got, want)
				}
			}
		}
		if posts := s.got("POST", "/logout"); len(posts) != 2 || posts[0].Header.Get("Sec-Fetch-Mode") != "same-origin" || posts[0].Header.Get("Sec-Fetch-Dest") != "empty" {
			t.Errorf("the script's requests are not like navigations: %d", len(posts))
		}
		if n := s.idp.Count("authorize") + s.idp.Count("end_session"); n != authorized {
			t.Errorf("the provider was asked %d times", n-authorized)
		}
		var seen []string
		x.run(`performance.getEntriesByType("resource").map(e => e.name)`, &seen)
		for _, address := range seen {
			if strings.Contains(address, "?") {
				t.Errorf("the page's own records have %s", address)
			}
		}
		x.until(func(page) bool { return x.forgive("/authorize?") }, "a complaint about the redirect to the provider")
		x.until(func(page) bool { return x.forgive("/end_session?") }, "a complaint about that of the sign-out")
	})
}
