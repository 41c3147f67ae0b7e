package browser

import (
	"testing"

	"github.com/ginauth/ginauth"
)

// Nothing here needs scripts. Firefox has no command to turn them off.
func TestWithoutScripts(t *testing.T) {
	off := func(t *testing.T) *tab {
		x := running(t, chromium).open(t)
		x.must("emulation.setScriptingEnabled", args{"enabled": false, "contexts": []string{x.context}}, nil)
		return x
	}
	t.Run("the example", func(t *testing.T) {
		base := startExample(t)
		x := off(t)
		x.get(base + "/profile")
		x.provider()
		x.click("Ada Lovelace")
		x.at(base+"/profile", "ada@example.com (verified)")
		x.click("Sign out")
		x.at(base+"/", "Nobody is signed in")
	})
	t.Run("form_post", func(t *testing.T) {
		s := newSite(t, places["https"], func(_ *site, o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" })
		x := off(t)
		x.get(s.URL + "/page/one")
		s.choose(x)
		x.at(s.idp.Issuer+"/choose", "Continue")
		x.click("Continue")
		x.at(s.URL+"/page/one", "Page one of Ada")
	})
}
