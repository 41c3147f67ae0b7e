package browser

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// A page tells the browser to load its links before anybody clicks. Firefox knows no
// speculation rules.
func TestSpeculativeLoads(t *testing.T) {
	for action, purpose := range map[string]string{"prefetch": "prefetch", "prerender": "prefetch;prerender"} {
		for name, link := range map[string]string{"a sign-in": "/login/demo?return_to=/page/one", "a guarded page": "/page/one"} {
			t.Run(action+" of "+name, func(t *testing.T) {
				s := newSite(t, places["https"], func(s *site, _ *ginauth.Options) {
					s.more = func(app *gin.Engine) {
						app.GET("/links", func(c *gin.Context) {
							c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(`<!doctype html><html lang="en"><title>Links</title><main><h1>Links</h1><a href="`+link+`">Sign in</a></main>
<script type="speculationrules">{"`+action+`": [{"urls": ["`+link+`"], "eagerness": "immediate"}]}</script>`))
						})
					}
				})
				x := running(t, chromium).open(t)
				x.get(s.URL + "/links")
				path := link
				if path != "/page/one" {
					path = "/login/demo"
				}
				x.until(func(page) bool {
					early := s.got("GET", path)
					return len(early) > 0 && early[0].Header.Get("Sec-Purpose") == purpose
				}, "a request before the click")
				x.click("Sign in")
				s.choose(x)
				x.at(s.URL+"/page/one", "Page one of Ada Lovelace")
			})
		}
	}
}
