package browser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// A service worker that hands every request on makes navigations look like fetches,
// whose destination is empty. People sign in and out as without it. In Firefox, their
// mode is not navigate but same-origin, as that of a script's fetch can be.
func TestBehindAServiceWorker(t *testing.T) {
	s := newSite(t, places["http"], func(s *site, _ *ginauth.Options) {
		s.more = func(app *gin.Engine) {
			app.GET("/worker.js", func(c *gin.Context) {
				c.Data(http.StatusOK, "text/javascript", []byte(`self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("fetch", e => e.respondWith(fetch(e.request)));`))
			})
			app.GET("/start", func(c *gin.Context) {
				c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(`<!doctype html><html lang="en"><title>Start</title><main><h1>Waiting</h1></main>
<script>navigator.serviceWorker.register("/worker.js").then(() => navigator.serviceWorker.ready).then(() => { document.querySelector("h1").textContent = "Ready" })</script>`))
			})
		}
	})
	x := running(t, chromium).open(t)
	x.get(s.URL + "/start")
	x.at(s.URL+"/start", "Ready")
	s.signIn(x, "/page/one")
	if r := s.got("GET", "/page/one")[0]; r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") == "document" {
		t.Errorf("the worker does not hand navigations on: %v", r.Header)
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
}
