package ginauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// faultsBForm: answers that a form brings (OAuth 2.0 Form Post Response Mode).
func faultsBForm() []fault {
	return []fault{
		{"B18_wrong_response_mode", testWrongMode},
		{"B19_form_post_media_types", testMediaTypes},
		{"B36_form_too_large", testFormTooLarge},
		{"B39_name_from_the_form", testUserFromForm},
		{"B40_form_post_from_another_site", testFormPost},
		{"B44_body_that_never_ends", testEndlessBody},
	}
}

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

func testWrongMode(t *testing.T) {
	t.Parallel()
	t.Run("POST to a query provider", func(t *testing.T) {
		f := newFlow(t, nil)
		callback := f.begin("/login/demo?return_to=/page/b18")
		p := f.post(callback.Query())
		f.refused(t, p, callback, closed{code: ginauth.ErrMethodNotAllowed})
		if p.Header.Get("Allow") != "GET" {
			t.Errorf("Allow is %q", p.Header.Get("Allow"))
		}
		f.lands(t, callback, "/page/b18")
	})
	t.Run("GET to a form_post provider", func(t *testing.T) {
		f := newFlow(t, formPost)
		form := f.answerForm("/login/demo?return_to=/page/b18")
		callback, _ := url.Parse(f.URL + "/authorize/demo?" + form.Encode())
		p := f.refuses(t, callback, closed{code: ginauth.ErrMethodNotAllowed})
		if p.Header.Get("Allow") != "POST" {
			t.Errorf("Allow is %q", p.Header.Get("Allow"))
		}
		f.landed(t, f.post(form), "/page/b18")
	})
	t.Run("state in query and body", func(t *testing.T) {
		f := newFlow(t, formPost)
		form := f.answerForm("/login/demo?return_to=/page/b18")
		for _, query := range []string{"state=" + form.Get("state"), form.Encode(), "carried=" + form.Get("state"), "x"} {
			p := f.must(f.browser.Submit(authtest.At(f.idp.Issuer), f.URL+"/authorize/demo?"+query, form))
			f.failsClosed(t, p, closed{code: ginauth.ErrBadRequest, hide: hidden(form)})
		}
		f.landed(t, f.post(form), "/page/b18")
	})
	t.Run("a code in the query of the second step", func(t *testing.T) {
		f := newFlow(t, formPost)
		form := f.answerForm("/login/demo")
		callback, _ := url.Parse(f.URL + "/authorize/demo?carried=" + form.Get("state") + "&" + form.Encode())
		f.refuses(t, callback, closed{code: ginauth.ErrBadRequest})
	})
}

func testMediaTypes(t *testing.T) {
	t.Parallel()
	f := newFlow(t, formPost)
	form := f.answerForm("/login/demo?return_to=/page/b19")
	for _, media := range []string{
		"multipart/form-data; boundary=x", "application/json", "text/plain", "", "application/x-www-form-urlencoded2", "form", "application/x-www-form-urlencoded;;=", "\x80",
	} {
		r, _ := http.NewRequest("POST", f.URL+"/authorize/demo", strings.NewReader(form.Encode()))
		if media != "" {
			r.Header.Set("Content-Type", media)
		}
		f.failsClosed(t, f.must(f.browser.Do(r)), closed{code: ginauth.ErrBadRequest, status: http.StatusUnsupportedMediaType, hide: hidden(form)})
	}
	f.landed(t, f.post(form), "/page/b19")
}

func testFormTooLarge(t *testing.T) {
	t.Parallel()
	f := newFlow(t, formPost)
	form := f.answerForm("/login/demo?return_to=/page/b36")
	for _, tc := range []struct {
		name, key, value string
		status           int
	}{
		{"a body over 64 KB", "x", strings.Repeat("a", 64<<10), 413},
		{"a state over 512 bytes", "state", strings.Repeat("a", 513), 400},
		{"more than fits an address", "code", strings.Repeat("a", 6000), 413},
		{"51 parameters", "x", "", 400},
	} {
		changed := url.Values{}
		for name, values := range form {
			changed[name] = values
		}
		changed.Set(tc.key, tc.value)
		for i := len(changed); tc.value == "" && i < 51; i++ {
			changed.Set(fmt.Sprintf("p%d", i), "x")
		}
		t.Run(tc.name, func(t *testing.T) {
			p := f.post(changed)
			f.failsClosed(t, p, closed{code: ginauth.ErrBadRequest, status: tc.status, hide: hidden(form)})
			if len(p.Hops) != 1 || len(p.Header["Set-Cookie"]) != 0 {
				t.Errorf("it was carried on: %d hops, %q", len(p.Hops), p.Header["Set-Cookie"])
			}
		})
	}
	form.Set("error_description", strings.Repeat("chatty ", 2000))
	form.Set("session_state", strings.Repeat("a", 20000))
	f.landed(t, f.post(form), "/page/b36")
}

// testUserFromForm: Apple's form has an unsigned "user" beside the code, in
// which anybody can write any address.
func testUserFromForm(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(s *site, o *ginauth.Options) {
		formPost(s, o)
		o.KeepClaims = []string{"*"}
	})
	for _, user := range []string{
		`{"name":{"firstName":"Victor","lastName":"Victim"},"email":"victim@example.com"}`, `{"sub":"eve","email":"victim@example.com","email_verified":true}`,
		`not JSON victim@example.com`, strings.Repeat(`victim@example.com `, 3000), "",
	} {
		form := f.answerForm("/login/demo?return_to=/page/b39")
		form.Set("user", user)
		f.landed(t, f.post(form), "/page/b39")
		if u := f.user(); u.Subject != "ada" || u.Email != "ada@example.com" || u.Name != "Ada Lovelace" || strings.Contains(format(u), "ictim") {
			t.Errorf("%.40s: signed in as %+v", user, u)
		}
	}
}

// testFormPost: the POST comes from another site, so no Lax cookie comes with
// it; and the cookie of the attempt is Lax all the same.
func testFormPost(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, func(*site, *ginauth.Options)) *flow{"http on loopback": newFlow, "https": newTLSFlow} {
		t.Run(name, func(t *testing.T) {
			f := start(t, formPost)
			p := f.get("/page/b40?x=1")
			f.landed(t, p, "/page/b40?x=1")
			methods := []string{}
			for _, hop := range p.Hops {
				if strings.HasPrefix(hop.URL.Path, "/authorize/demo") {
					methods = append(methods, hop.Method)
					if hop.Method == "POST" && (hop.Request.Get("Cookie") != "" || hop.Request.Get("Sec-Fetch-Site") != "cross-site" || hop.Status != http.StatusSeeOther) {
						t.Errorf("the POST was not what it should be: %v, answered %d", hop.Request, hop.Status)
					}
				}
				for _, line := range hop.Header["Set-Cookie"] {
					if strings.Contains(line, "ginauth") && (!strings.Contains(line, "SameSite=Lax") || !strings.Contains(line, "HttpOnly")) {
						t.Errorf("a cookie has other attributes: %s", line)
					}
				}
			}
			if fmt.Sprint(methods) != "[POST GET]" {
				t.Errorf("the callback was asked with %v", methods)
			}
			if f.attempts() != nil || f.ours("-f") != nil {
				t.Errorf("cookies of the sign-in are left: %v %v", f.attempts(), f.ours("-f"))
			}
			token := f.idp.LastRequest(authtest.Token).Form
			if len(token.Get("code_verifier")) != 43 || f.idp.LastRequest(authtest.Authorize).Form.Get("code_challenge_method") != "S256" {
				t.Errorf("PKCE was not used: %v", token)
			}
			f.keepsSecrets(t, p)
		})
	}
}

// hurried is a connection on which time runs faster: what may take ten seconds
// to arrive has a third of one.
type hurried struct{ http.ResponseWriter }

func (h hurried) SetReadDeadline(until time.Time) error {
	return http.NewResponseController(h.ResponseWriter).SetReadDeadline(time.Now().Add(time.Until(until) / 30))
}

// testEndlessBody: what a body lacks is not waited for longer than the server
// reads, and what is too much is not read.
func testEndlessBody(t *testing.T) {
	t.Parallel()
	f := newFlow(t, formPost)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.engine.ServeHTTP(hurried{w}, r)
	}))
	server.Config.ErrorLog = f.logsAsErrorLog()
	server.Start()
	t.Cleanup(server.Close)
	form := f.answerForm("/login/demo").Encode()
	head := "POST /authorize/demo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(form), form)
	for _, tc := range []struct {
		name, body string
		close      bool
		status     string
	}{
		{"shorter than it says, and the sender waits", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(form)+10, form), false, "400"},
		{"shorter than it says, and the sender leaves", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(form)+10, form), true, "400"},
		{"chunks without an end", "Transfer-Encoding: chunked\r\n\r\n" + chunk, false, "400"},
		{"a broken chunk", "Transfer-Encoding: chunked\r\n\r\n" + chunk + "zz\r\n", false, "400"},
		{"chunks over the limit, without an end", "Transfer-Encoding: chunked\r\n\r\n" + chunk + strings.Repeat("400\r\n"+strings.Repeat("a", 1024)+"\r\n", 65), false, "413"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			line := tcp(t, server.URL, head+tc.body, tc.close)
			if !strings.HasPrefix(line, "HTTP/1.1 "+tc.status) {
				t.Errorf("got %q, want %s", line, tc.status)
			}
		})
	}
	if f.idp.Count(authtest.Token) != 0 {
		t.Error("the token endpoint was asked")
	}
}
