package sitetest

import (
	"net/http"
	"net/url"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// FormPost makes "demo" a provider with response_mode form_post.
func FormPost(_ *Site, o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" }

// AnswerForm signs in at the provider and stops at the page whose form posts the authorization
// response. It returns the fields of the form. The sign-in is still in progress.
func (f *Flow) AnswerForm(path string) url.Values {
	f.T.Helper()
	start := f.Open(path)
	r, err := http.NewRequest("GET", start.Header.Get("Location"), nil)
	if err != nil {
		f.T.Fatal(err)
	}
	forms := f.Must(f.NewBrowser().Do(r)).Forms()
	if len(forms) != 1 || forms[0].Method != "POST" {
		f.T.Fatalf("the provider's page has %d forms", len(forms))
	}
	return forms[0].Fields
}

// Post submits the form as the provider's page does, and follows redirects.
func (f *Flow) Post(form url.Values) *authtest.Page {
	f.T.Helper()
	return f.Must(f.Browser.Submit(authtest.At(f.IDP.Issuer+"/authorize"), f.URL+"/authorize/demo", form))
}

// PostOnly is Post without following the redirect to the GET.
func (f *Flow) PostOnly(form url.Values) *authtest.Page {
	f.T.Helper()
	f.Browser.StopAt = func(*url.URL) bool { return true }
	defer func() { f.Browser.StopAt = nil }()
	return f.Post(form)
}

// Secrets returns the fields of a form that must not leak.
func Secrets(form url.Values) []string { return []string{form.Get("code"), form.Get("state")} }

// FormType is the media type of an HTML form.
const FormType = "application/x-www-form-urlencoded"
