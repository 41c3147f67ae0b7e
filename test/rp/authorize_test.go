package rp

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestLoginParamsArePassedOn(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
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
			"a link":      func() (*authtest.Page, error) { return s.Browser.Get(s.URL + "/login/demo?" + tt.query.Encode()) },
			"the chooser": func() (*authtest.Page, error) { return s.Browser.Get(s.URL + "/login?" + tt.query.Encode()) },
			"a form":      func() (*authtest.Page, error) { return s.Browser.Submit(home, s.URL+"/login/demo", tt.query) },
			"another session": func() (*authtest.Page, error) {
				s.Browser = s.NewBrowser()
				return s.Browser.Get(s.URL + "/login/demo?" + tt.query.Encode())
			},
		} {
			if p := s.Must(visit()); p.Status != http.StatusOK || s.User() == nil {
				t.Errorf("%s by %s: the sign-in ended at %s with %d: %s", tt.name, way, p.URL, p.Status, p.Text())
			}
			asked := s.IDP.LastRequest(authtest.Authorize).Form
			for param, want := range tt.want {
				if asked.Get(param) != want || asked.Has(param) != (want != "") || len(asked[param]) > 1 {
					t.Errorf("%s by %s: %s is sent as %q, want %q", tt.name, way, param, asked[param], want)
				}
			}
		}
	}
}

// TestAuthParamsWin: a link to /login cannot override the application's AuthParams, even if a
// preset lists the parameter in LoginParams.
func TestAuthParamsWin(t *testing.T) {
	always := map[string]string{"prompt": "login", "hd": "corp.example", "login_hint": "@corp.example", "max_age": "300", "acr_values": "urn:gold", "own": ""}
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].AuthParams = always
		o.Providers[0].LoginParams = []string{"prompt", "hd", "max_age", "acr_values", "own", "ui_locales"}
	})
	const query = "?prompt=none&hd=evil.example&login_hint=eve&max_age=999999&acr_values=urn:tin&own=eve&ui_locales=de"
	for _, more := range []string{"", "&iss=" + url.QueryEscape(s.IDP.Issuer)} { // with which another site begins a sign-in
		s.Browser = s.NewBrowser()
		_, params := sitetest.Authorization(t, s.Open("/login/demo"+query+more))
		for name, want := range always {
			if got := params[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s is sent as %q, want %q", name, got, want)
			}
		}
		if params.Get("ui_locales") != "de" {
			t.Errorf("ui_locales is sent as %q", params["ui_locales"])
		}
	}
	s.Browser = s.NewBrowser()
	s.IDP.EditIDToken(func(_, c map[string]any) { c["acr"], c["auth_time"] = "urn:tin", c["iat"] })
	s.RefusesSignIn(t, "/login/demo"+query, ginauth.ErrIDTokenInvalid, "id_token.acr", 1)
	s.IDP.EditIDToken(func(_, c map[string]any) { c["acr"], c["auth_time"] = "urn:gold", s.Clock.Now().Add(-time.Hour).Unix() })
	s.RefusesSignIn(t, "/login/demo"+query, ginauth.ErrIDTokenInvalid, "id_token.max_age", 2)
	s.IDP.EditIDToken(func(_, c map[string]any) { c["acr"], c["auth_time"] = "urn:gold", c["iat"] })
	s.AcceptsSignIn(t, "/login/demo"+query)
}

// The parameters of a POST are those of its form, and of a GET those of its query: additions to
// a URL do not affect a form. The exception is return_to, which can only be a path of the
// application: LoginURL writes it into the URL of a form.
func TestParametersComeFromOnePlace(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].LoginParams = []string{"login_hint"} })
	if p := s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/login/demo?return_to=/page/query&login_hint=query", url.Values{"x": {"y"}})); p.URL.Path != "/page/query" {
		t.Errorf("the query of a POST led to %s", p.URL)
	}
	if asked := s.IDP.LastRequest(authtest.Authorize).Form; asked.Has("login_hint") {
		t.Errorf("the query of a POST was passed on: %q", asked)
	}
	request, _ := http.NewRequest("GET", s.URL+"/login/demo", strings.NewReader("return_to=/page/body&login_hint=body"))
	request.Header.Set("Content-Type", sitetest.FormType)
	if _, params := sitetest.Authorization(t, s.Must(s.Browser.Do(request))); params.Has("login_hint") {
		t.Errorf("the body of a GET was passed on: %q", params)
	}
}

func TestUnreadableParametersAreRefused(t *testing.T) {
	s := sitetest.New(t, nil)
	for _, tt := range []struct {
		name, query string
		status      int
	}{
		{"a percent sign alone", "return_to=%zz", 400},
		{"a percent sign alone in what is not read", "x=%zz", 303},
		{"a semicolon in what is not read", "x=a;b", 303},
		{"a semicolon before what is read", "x=a;return_to=/x", 400},
		{"half an escape", "return_to=%2", 400},
		{"a semicolon", "return_to=/x;y=1", 400},
		{"50 parameters", strings.Repeat("a=b&", 50) + "a=b", 400},
		{"16 KB", "a=" + strings.Repeat("b", 16<<10), 413},
		{"just less than 16 KB", "a=" + strings.Repeat("b", 16<<10-2), 303},
		{"49 parameters", strings.Repeat("a=b&", 48) + "a=b", 303},
		{"nothing", "&&&", 303},
	} {
		s.Browser = s.NewBrowser()
		if p := s.Open("/login/demo?" + tt.query); p.Status != tt.status {
			t.Errorf("%s: %d, want %d: %s", tt.name, p.Status, tt.status, p.Text())
		} else if tt.status != 303 {
			s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrBadRequest, Status: tt.status})
			if s.HasCookie("-a-") {
				t.Errorf("%s: an attempt was begun", tt.name)
			}
		}
	}
	for _, tt := range []struct {
		name, media, body string
		status            int
	}{
		{"a form", sitetest.FormType, "return_to=/x", 303},
		{"a form with its charset", sitetest.FormType + "; charset=UTF-8", "return_to=/x", 303},
		{"an empty form", sitetest.FormType, "", 303},
		{"JSON", "application/json", `{"return_to":"/x"}`, 415},
		{"a form in parts", "multipart/form-data; boundary=x", "--x--", 415},
		{"text", "text/plain", "return_to=/x", 415},
		{"no type", "", "return_to=/x", 415},
		{"a broken type", sitetest.FormType + "; charset", "return_to=/x", 415},
		{"64 KB", sitetest.FormType, "a=" + strings.Repeat("b", 64<<10), 413},
		{"just less than 64 KB", sitetest.FormType, "a=" + strings.Repeat("b", 64<<10-2), 303},
		{"a broken form", sitetest.FormType, "return_to=%zz", 400}, {"a broken parameter that is not read", sitetest.FormType, "a=%zz&b=c;d&%", 303},
	} {
		request, _ := http.NewRequest("POST", s.URL+"/login/demo", strings.NewReader(tt.body))
		request.Header.Set("Content-Type", tt.media)
		request.Header.Set("Accept", "text/html")
		s.Browser = s.NewBrowser()
		if p := s.Must(s.Browser.Do(request)); p.Status != tt.status {
			t.Errorf("%s: %d, want %d: %s", tt.name, p.Status, tt.status, p.Text())
		} else if tt.status != 303 {
			s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrBadRequest, Status: tt.status})
		}
	}
}

// An authorization request has no empty parameters.
func TestAuthorizationRequestsHaveNothingEmpty(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.Plain(s, o)
		o.Providers[0].Scopes = nil
	})
	start := f.Open("/login/demo").Header.Get("Location")
	u, err := url.Parse(start)
	if err != nil || u.Query().Get("client_id") == "" {
		t.Fatalf("%q: %v", start, err)
	}
	for name, values := range u.Query() {
		if values[0] == "" {
			t.Errorf("%s is empty", name)
		}
	}
	if strings.HasSuffix(start, "#") {
		t.Errorf("%s has an empty fragment", start)
	}
}

// If ginauth sends no nonce and no challenge, EditAuthorize may add them.
func TestEditAuthorizeWithItsOwnNonce(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.Plain(s, o)
		o.Providers[0].Quirks.DisablePKCE = true
		o.Providers[0].Quirks.EditAuthorize = func(q url.Values) {
			q.Set("nonce", "mine")
			q.Set("code_challenge", "mine")
			q.Set("code_challenge_method", "plain")
		}
	})
	u, err := url.Parse(f.Open("/login/demo").Header.Get("Location"))
	if q := u.Query(); err != nil || q.Get("nonce") != "mine" || q.Get("code_challenge") != "mine" || q.Get("code_challenge_method") != "plain" {
		t.Errorf("sent %v, %v", q, err)
	}
}
