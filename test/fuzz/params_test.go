package fuzz

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// FuzzReadParams: any parameters of a request to the login and the callback are parsed
// unambiguously or rejected: no response is a 500, no parameter is sent twice, and only allowed
// parameters are passed on.
func FuzzReadParams(f *testing.F) {
	for _, seed := range []struct {
		post              bool
		query, form, body string
	}{
		{false, "", "", ""},
		{false, "return_to=/x&login_hint=a", "", ""},
		{false, "login_hint=a&login_hint=b", "", ""},
		{false, "state=x&state=y&nonce=z&redirect_uri=https://evil.example", "", ""},
		{false, "max_age=300&acr_values=a%20b", "", ""},
		{false, "max_age=-1", "", ""},
		{false, "a;b=c&%zz", "", ""},
		{false, "login_hint=%00%0d%0a", "", ""},
		{false, "code=c&state=s&iss=i&error=e", "", ""},
		{false, "STATE=x&code[]=y", "", ""},
		{false, "carried=x", "", ""},
		{true, "", sitetest.FormType, "return_to=/x&login_hint=a&link=true"},
		{true, "login_hint=q", sitetest.FormType + "; charset=utf-8", "login_hint=f"},
		{true, "", "application/json", "{}"},
		{true, "", sitetest.FormType, "code=c&state=" + sitetest.MadeUpState},
	} {
		f.Add(seed.post, seed.query, seed.form, seed.body)
	}
	engine := fuzzedEngine(f)
	f.Fuzz(func(t *testing.T, post bool, query, form, body string) {
		ask := func(path string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", path, nil)
			if post {
				r = httptest.NewRequest("POST", path, strings.NewReader(body))
				r.Header.Set("Content-Type", form)
			}
			r.URL.RawQuery = query
			w := httptest.NewRecorder()
			engine.ServeHTTP(w, r)
			return w
		}
		w := ask("/login/demo")
		checkBegun(t, w)
		for path, may := range map[string][]int{"/authorize/demo": {400, 405, 413, 415}, "/authorize/form": {303, 400, 405, 413, 415}} {
			w := ask(path)
			if !slices.Contains(may, w.Code) {
				t.Errorf("%s responded %d: %s", path, w.Code, w.Body)
			}
			if location := w.Header().Get("Location"); w.Code == 303 && !strings.HasPrefix(location, "https://app.example.com/authorize/form?carried=") {
				t.Errorf("%s redirects to %q", path, location)
			}
			if w.Code != 303 && w.Header()["Set-Cookie"] != nil {
				t.Errorf("%s rejects the request, and sets %q", path, w.Header()["Set-Cookie"])
			}
		}
	})
}

var fuzzedParams = []string{"login_hint", "prompt", "max_age", "acr_values"}

func fuzzedEngine(t testing.TB) http.Handler {
	t.Helper()
	demo, form := sitetest.Offline("demo"), sitetest.Offline("form")
	demo.LoginParams, form.ResponseMode = fuzzedParams, "form_post"
	engine := gin.New()
	_, err := ginauth.Mount(engine, ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{demo, form}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// checkBegun checks a response of /login/demo.
func checkBegun(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	cookies := len(w.Header()["Set-Cookie"])
	if w.Code != http.StatusSeeOther {
		if !slices.Contains([]int{400, 401, 403, 413, 415}, w.Code) || cookies != 0 {
			t.Errorf("/login/demo responded %d with %d cookies: %s", w.Code, cookies, w.Body)
		}
		return
	}
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil || u.Scheme+"://"+u.Host+u.Path != "https://idp.example/authorize" || cookies != 1 {
		t.Fatalf("/login/demo redirects to %q with %d cookies", w.Header().Get("Location"), cookies)
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatalf("the authorization request cannot be read: %v", err)
	}
	ours := map[string]string{"client_id": "id-of-demo", "response_type": "code", "scope": "openid profile email",
		"redirect_uri": "https://app.example.com/authorize/demo", "code_challenge_method": "S256"}
	for name, values := range params {
		switch want, fixed := ours[name]; {
		case len(values) != 1, fixed && values[0] != want:
			t.Errorf("%s is sent as %q", name, values)
		case name == "state" && !sitetest.StateForm.MatchString(values[0]), (name == "nonce" || name == "code_challenge") && len(values[0]) != 43:
			t.Errorf("%s is sent as %q", name, values)
		case slices.Contains(fuzzedParams, name) && (len(values[0]) > 256 || strings.ContainsFunc(values[0], unicode.IsControl)):
			t.Errorf("%s was passed on as %q", name, values)
		case !fixed && !slices.Contains([]string{"state", "nonce", "code_challenge"}, name) && !slices.Contains(fuzzedParams, name):
			t.Errorf("%s is sent, which belongs to no session", name)
		}
	}
	for _, name := range []string{"client_id", "response_type", "scope", "redirect_uri", "state", "nonce", "code_challenge", "code_challenge_method"} {
		if !params.Has(name) {
			t.Errorf("%s is not sent", name)
		}
	}
}
