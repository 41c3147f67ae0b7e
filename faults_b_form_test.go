package ginauth_test

import (
	"net/http"
	"net/url"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// formPost makes "demo" a provider that answers with a form.
func formPost(_ *site, o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" }

// answerForm signs in at the provider and stops at the page whose form posts
// the answer: it returns the fields. The browser's attempt is open then.
func (f *flow) answerForm(path string) url.Values {
	f.t.Helper()
	start := f.open(path)
	r, err := http.NewRequest("GET", start.Header.Get("Location"), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	forms := f.must(f.newBrowser().Do(r)).Forms()
	if len(forms) != 1 || forms[0].Method != "POST" {
		f.t.Fatalf("the provider answered with %d forms", len(forms))
	}
	return forms[0].Fields
}

// post sends the answer's form as the provider's page does, and follows.
func (f *flow) post(form url.Values) *authtest.Page {
	f.t.Helper()
	return f.must(f.browser.Submit(authtest.At(f.idp.Issuer+"/authorize"), f.URL+"/authorize/demo", form))
}

// postOnly is post without going on to the GET.
func (f *flow) postOnly(form url.Values) *authtest.Page {
	f.t.Helper()
	f.browser.StopAt = func(*url.URL) bool { return true }
	defer func() { f.browser.StopAt = nil }()
	return f.post(form)
}

// hidden is what of a form must not show.
func hidden(form url.Values) []string { return []string{form.Get("code"), form.Get("state")} }
