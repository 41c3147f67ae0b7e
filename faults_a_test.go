package ginauth_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/ginauth/ginauth/authtest"
)

// authorization reads the authorization request that a page redirects to, and
// holds that every parameter is there once.
func authorization(t testing.TB, p *authtest.Page) (location string, params url.Values) {
	t.Helper()
	location = p.Header.Get("Location")
	u, err := url.Parse(location)
	if p.Status != http.StatusSeeOther || err != nil {
		t.Fatalf("beginning answered %d with Location %q: %.300s", p.Status, location, p.Text())
	}
	params, err = url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range params {
		if len(values) != 1 {
			t.Errorf("%s is there %d times in %s", name, len(values), location)
		}
	}
	return location, params
}

var stateForm = regexp.MustCompile(`^[A-Za-z0-9_-]{8}\.[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{16}$`)

func mustURL(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
