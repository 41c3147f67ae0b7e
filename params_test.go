package ginauth_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// formType is what a page's form says that it is.
const formType = "application/x-www-form-urlencoded"

func TestLoginParamsArePassedOn(t *testing.T) {
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].LoginParams = []string{"login_hint", "prompt", "ui_locales"}
		o.Providers[0].AuthParams = map[string]string{"prompt": "select_account", "audience": "api"}
	})
	home := authtest.At(s.URL + "/")
	for _, tt := range []struct {
		name  string
		query url.Values
		want  map[string]string // "": not sent
	}{
		{"nothing", nil, map[string]string{"prompt": "select_account", "audience": "api", "login_hint": "", "ui_locales": ""}},
		{"in place of what is always sent", url.Values{"prompt": {"none"}}, map[string]string{"prompt": "select_account", "audience": "api"}},
		{"an address of an e-mail", url.Values{"login_hint": {"ada+test@example.com"}}, map[string]string{"login_hint": "ada+test@example.com", "prompt": "select_account"}},
		{"characters that mean something", url.Values{"login_hint": {"ä&state=x=y #%00 +\"<"}}, map[string]string{"login_hint": "ä&state=x=y #%00 +\"<"}},
		{"several words", url.Values{"ui_locales": {"de-CH de en"}}, map[string]string{"ui_locales": "de-CH de en"}},
		{"256 bytes", url.Values{"login_hint": {strings.Repeat("x", 256)}}, map[string]string{"login_hint": strings.Repeat("x", 256)}},
		{"beside what is not listed", url.Values{"audience": {"evil"}, "hd": {"evil"}, "ui_locales": {"de"}}, map[string]string{"audience": "api", "hd": "", "ui_locales": "de"}},
	} {
		for way, visit := range map[string]func() (*authtest.Page, error){
			"a link":      func() (*authtest.Page, error) { return s.browser.Get(s.URL + "/login/demo?" + tt.query.Encode()) },
			"the chooser": func() (*authtest.Page, error) { return s.browser.Get(s.URL + "/login?" + tt.query.Encode()) },
			"a form":      func() (*authtest.Page, error) { return s.browser.Submit(home, s.URL+"/login/demo", tt.query) },
			"another session": func() (*authtest.Page, error) {
				s.browser = s.newBrowser()
				return s.browser.Get(s.URL + "/login/demo?" + tt.query.Encode())
			},
		} {
			if p := s.must(visit()); p.Status != http.StatusOK || s.user() == nil {
				t.Errorf("%s by %s: the sign-in ended at %s with %d: %s", tt.name, way, p.URL, p.Status, p.Text())
			}
			asked := s.idp.LastRequest(authtest.Authorize).Form
			for param, want := range tt.want {
				if asked.Get(param) != want || asked.Has(param) != (want != "") || len(asked[param]) > 1 {
					t.Errorf("%s by %s: %s is sent as %q, want %q", tt.name, way, param, asked[param], want)
				}
			}
		}
	}
}

// TestAuthParamsWin: what the application always asks for, a link to /login
// cannot ask otherwise, though a preset names it in LoginParams.
func TestAuthParamsWin(t *testing.T) {
	always := map[string]string{"prompt": "login", "hd": "corp.example", "login_hint": "@corp.example", "max_age": "300", "acr_values": "urn:gold", "own": ""}
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].AuthParams = always
		o.Providers[0].LoginParams = []string{"prompt", "hd", "max_age", "acr_values", "own", "ui_locales"}
	})
	const query = "?prompt=none&hd=evil.example&login_hint=eve&max_age=999999&acr_values=urn:tin&own=eve&ui_locales=de"
	for _, more := range []string{"", "&iss=" + url.QueryEscape(s.idp.Issuer)} { // by which another site begins a sign-in
		s.browser = s.newBrowser()
		_, params := authorization(t, s.open("/login/demo"+query+more))
		for name, want := range always {
			if got := params[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s is sent as %q, want %q", name, got, want)
			}
		}
		if params.Get("ui_locales") != "de" {
			t.Errorf("ui_locales is sent as %q", params["ui_locales"])
		}
	}
	s.browser = s.newBrowser()
	s.idp.EditIDToken(func(_, c map[string]any) { c["acr"], c["auth_time"] = "urn:tin", c["iat"] })
	s.refuses(t, "/login/demo"+query, ginauth.ErrIDTokenInvalid, "acr is none of those asked for", 1)
	s.idp.EditIDToken(func(_, c map[string]any) { c["acr"], c["auth_time"] = "urn:gold", s.clock.Now().Add(-time.Hour).Unix() })
	s.refuses(t, "/login/demo"+query, ginauth.ErrIDTokenInvalid, "longer ago than max_age", 2)
	s.idp.EditIDToken(func(_, c map[string]any) { c["acr"], c["auth_time"] = "urn:gold", c["iat"] })
	s.accepts(t, "/login/demo"+query)
}

// The parameters of a POST are its form's, and of a GET its query's: who can add to
// an address cannot add to a form. return_to, which can only lead to a path of the
// application, is the exception: LoginURL writes it into the address of a form.
func TestParametersComeFromOnePlace(t *testing.T) {
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].LoginParams = []string{"login_hint"} })
	if p := s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/login/demo?return_to=/page/query&login_hint=query", url.Values{"x": {"y"}})); p.URL.Path != "/page/query" {
		t.Errorf("the query of a POST led to %s", p.URL)
	}
	if asked := s.idp.LastRequest(authtest.Authorize).Form; asked.Has("login_hint") {
		t.Errorf("the query of a POST was passed on: %q", asked)
	}
	request, _ := http.NewRequest("GET", s.URL+"/login/demo", strings.NewReader("return_to=/page/body&login_hint=body"))
	request.Header.Set("Content-Type", formType)
	if _, params := authorization(t, s.must(s.browser.Do(request))); params.Has("login_hint") {
		t.Errorf("the body of a GET was passed on: %q", params)
	}
}

func TestUnreadableParametersAreRefused(t *testing.T) {
	s := newSite(t, nil)
	for _, tt := range []struct {
		name, query string
		status      int
	}{
		{"a percent sign alone", "x=%zz", 400},
		{"half an escape", "return_to=%2", 400},
		{"a semicolon", "return_to=/x;y=1", 400},
		{"50 parameters", strings.Repeat("a=b&", 50) + "a=b", 400},
		{"16 KB", "a=" + strings.Repeat("b", 16<<10), 413},
		{"just less than 16 KB", "a=" + strings.Repeat("b", 16<<10-2), 303},
		{"49 parameters", strings.Repeat("a=b&", 48) + "a=b", 303},
		{"nothing", "&&&", 303},
	} {
		s.browser = s.newBrowser()
		if p := s.open("/login/demo?" + tt.query); p.Status != tt.status {
			t.Errorf("%s: %d, want %d: %s", tt.name, p.Status, tt.status, p.Text())
		} else if tt.status != 303 {
			s.failsClosed(t, p, closed{code: ginauth.ErrBadRequest, status: tt.status})
			if s.hasCookie("-a-") {
				t.Errorf("%s: an attempt was begun", tt.name)
			}
		}
	}
	for _, tt := range []struct {
		name, media, body string
		status            int
	}{
		{"a form", formType, "return_to=/x", 303},
		{"a form with its charset", formType + "; charset=UTF-8", "return_to=/x", 303},
		{"an empty form", formType, "", 303},
		{"JSON", "application/json", `{"return_to":"/x"}`, 415},
		{"a form in parts", "multipart/form-data; boundary=x", "--x--", 415},
		{"text", "text/plain", "return_to=/x", 415},
		{"no type", "", "return_to=/x", 415},
		{"a broken type", formType + "; charset", "return_to=/x", 415},
		{"64 KB", formType, "a=" + strings.Repeat("b", 64<<10), 413},
		{"just less than 64 KB", formType, "a=" + strings.Repeat("b", 64<<10-2), 303},
		{"a broken form", formType, "return_to=%zz", 400}, {"a broken parameter that is not read", formType, "a=%zz&b=c;d&%", 303},
	} {
		request, _ := http.NewRequest("POST", s.URL+"/login/demo", strings.NewReader(tt.body))
		request.Header.Set("Content-Type", tt.media)
		request.Header.Set("Accept", "text/html")
		s.browser = s.newBrowser()
		if p := s.must(s.browser.Do(request)); p.Status != tt.status {
			t.Errorf("%s: %d, want %d: %s", tt.name, p.Status, tt.status, p.Text())
		} else if tt.status != 303 {
			s.failsClosed(t, p, closed{code: ginauth.ErrBadRequest, status: tt.status})
		}
	}
}

// FuzzReadParams: whatever a request brings to the login and the callback, it
// is read in one way or refused: no answer is a failure of ours, nothing is
// sent twice, and nothing but what may be passed on is.
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
		{true, "", formType, "return_to=/x&login_hint=a&link=true"},
		{true, "login_hint=q", formType + "; charset=utf-8", "login_hint=f"},
		{true, "", "application/json", "{}"},
		{true, "", formType, "code=c&state=" + madeUp},
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
				t.Errorf("%s answered %d: %s", path, w.Code, w.Body)
			}
			if location := w.Header().Get("Location"); w.Code == 303 && !strings.HasPrefix(location, "https://app.example.com/authorize/form?carried=") {
				t.Errorf("%s redirects to %q", path, location)
			}
			if w.Code != 303 && w.Header()["Set-Cookie"] != nil {
				t.Errorf("%s refuses, and sets %q", path, w.Header()["Set-Cookie"])
			}
		}
	})
}

var fuzzedParams = []string{"login_hint", "prompt", "max_age", "acr_values"}

func fuzzedEngine(t testing.TB) http.Handler {
	t.Helper()
	demo, form := offline("demo"), offline("form")
	demo.LoginParams, form.ResponseMode = fuzzedParams, "form_post"
	engine := gin.New()
	_, err := ginauth.Mount(engine, ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{testKey}, Providers: []ginauth.Provider{demo, form}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// checkBegun holds an answer of /login/demo to what it may be.
func checkBegun(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	cookies := len(w.Header()["Set-Cookie"])
	if w.Code != http.StatusSeeOther {
		if !slices.Contains([]int{400, 401, 403, 413, 415}, w.Code) || cookies != 0 {
			t.Errorf("/login/demo answered %d with %d cookies: %s", w.Code, cookies, w.Body)
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
		case name == "state" && !stateForm.MatchString(values[0]), (name == "nonce" || name == "code_challenge") && len(values[0]) != 43:
			t.Errorf("%s is sent as %q", name, values)
		case slices.Contains(fuzzedParams, name) && (len(values[0]) > 256 || strings.ContainsFunc(values[0], unicode.IsControl)):
			t.Errorf("%s was passed on as %q", name, values)
		case !fixed && !slices.Contains([]string{"state", "nonce", "code_challenge"}, name) && !slices.Contains(fuzzedParams, name):
			t.Errorf("%s is sent, which is nobody's", name)
		}
	}
	for _, name := range []string{"client_id", "response_type", "scope", "redirect_uri", "state", "nonce", "code_challenge", "code_challenge_method"} {
		if !params.Has(name) {
			t.Errorf("%s is not sent", name)
		}
	}
}
