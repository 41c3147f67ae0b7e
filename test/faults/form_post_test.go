package faults

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsFormPost(t *testing.T) {
	runFaults(t, []fault{
		{"B18_wrong_response_mode", b18WrongResponseMode},
		{"B19_form_post_media_types", b19FormPostMediaTypes},
		{"B36_form_too_large", b36FormTooLarge},
		{"B39_name_from_the_form", b39NameFromTheForm},
		{"B40_form_post_from_another_site", b40FormPostFromAnotherSite},
		{"B44_body_that_never_ends", b44BodyThatNeverEnds},
	})
}

func b18WrongResponseMode(t *testing.T) {
	t.Parallel()
	t.Run("POST to a query provider", func(t *testing.T) {
		f := sitetest.NewFlow(t, nil)
		callback := f.Begin("/login/demo?return_to=/page/b18")
		p := f.Post(callback.Query())
		f.WantRefused(t, p, callback, sitetest.Closed{Code: ginauth.ErrMethodNotAllowed})
		if p.Header.Get("Allow") != "GET" {
			t.Errorf("Allow is %q", p.Header.Get("Allow"))
		}
		f.Lands(t, callback, "/page/b18")
	})
	t.Run("GET to a form_post provider", func(t *testing.T) {
		f := sitetest.NewFlow(t, sitetest.FormPost)
		form := f.AnswerForm("/login/demo?return_to=/page/b18")
		callback, _ := url.Parse(f.URL + "/authorize/demo?" + form.Encode())
		p := f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrMethodNotAllowed})
		if p.Header.Get("Allow") != "POST" {
			t.Errorf("Allow is %q", p.Header.Get("Allow"))
		}
		f.WantLanded(t, f.Post(form), "/page/b18")
	})
	t.Run("state in query and body", func(t *testing.T) {
		f := sitetest.NewFlow(t, sitetest.FormPost)
		form := f.AnswerForm("/login/demo?return_to=/page/b18")
		for _, query := range []string{"state=" + form.Get("state"), form.Encode(), "carried=" + form.Get("state"), "x"} {
			p := f.Must(f.Browser.Submit(authtest.At(f.IDP.Issuer), f.URL+"/authorize/demo?"+query, form))
			f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrBadRequest, Hide: sitetest.Secrets(form)})
		}
		f.WantLanded(t, f.Post(form), "/page/b18")
	})
	t.Run("a code in the query of the second step", func(t *testing.T) {
		f := sitetest.NewFlow(t, sitetest.FormPost)
		form := f.AnswerForm("/login/demo")
		callback, _ := url.Parse(f.URL + "/authorize/demo?carried=" + form.Get("state") + "&" + form.Encode())
		f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrBadRequest})
	})
}

func b19FormPostMediaTypes(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, sitetest.FormPost)
	form := f.AnswerForm("/login/demo?return_to=/page/b19")
	for _, media := range []string{
		"multipart/form-data; boundary=x", "application/json", "text/plain", "", "application/x-www-form-urlencoded2", "form", "application/x-www-form-urlencoded;;=", "\x80",
	} {
		r, _ := http.NewRequest("POST", f.URL+"/authorize/demo", strings.NewReader(form.Encode()))
		if media != "" {
			r.Header.Set("Content-Type", media)
		}
		f.FailsClosed(t, f.Must(f.Browser.Do(r)), sitetest.Closed{Code: ginauth.ErrBadRequest, Status: http.StatusUnsupportedMediaType, Hide: sitetest.Secrets(form)})
	}
	f.WantLanded(t, f.Post(form), "/page/b19")
}

func b36FormTooLarge(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, sitetest.FormPost)
	form := f.AnswerForm("/login/demo?return_to=/page/b36")
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
			p := f.Post(changed)
			f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrBadRequest, Status: tc.status, Hide: sitetest.Secrets(form)})
			if len(p.Hops) != 1 || len(p.Header["Set-Cookie"]) != 0 {
				t.Errorf("it was carried on: %d hops, %q", len(p.Hops), p.Header["Set-Cookie"])
			}
		})
	}
	form.Set("error_description", strings.Repeat("chatty ", 2000))
	form.Set("session_state", strings.Repeat("a", 20000))
	f.WantLanded(t, f.Post(form), "/page/b36")
}

// Apple's form has an unsigned "user" beside the code, in which anyone can write any address.
func b39NameFromTheForm(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.FormPost(s, o)
		o.KeepClaims = []string{"*"}
	})
	for _, user := range []string{
		`{"name":{"firstName":"Victor","lastName":"Victim"},"email":"victim@example.com"}`, `{"sub":"eve","email":"victim@example.com","email_verified":true}`,
		`not JSON victim@example.com`, strings.Repeat(`victim@example.com `, 3000), "",
	} {
		form := f.AnswerForm("/login/demo?return_to=/page/b39")
		form.Set("user", user)
		f.WantLanded(t, f.Post(form), "/page/b39")
		if u := f.User(); u.Subject != "ada" || u.Email != "ada@example.com" || u.Name != "Ada Lovelace" || strings.Contains(format(u), "ictim") {
			t.Errorf("%.40s: signed in as %+v", user, u)
		}
	}
}

// The POST comes from another site, so it has no Lax cookies; the cookie of the attempt is Lax
// nevertheless.
func b40FormPostFromAnotherSite(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, func(*sitetest.Site, *ginauth.Options)) *sitetest.Flow{"http on loopback": sitetest.NewFlow, "https": sitetest.NewTLSFlow} {
		t.Run(name, func(t *testing.T) {
			f := start(t, sitetest.FormPost)
			p := f.Get("/page/b40?x=1")
			f.WantLanded(t, p, "/page/b40?x=1")
			methods := []string{}
			for _, hop := range p.Hops {
				if strings.HasPrefix(hop.URL.Path, "/authorize/demo") {
					methods = append(methods, hop.Method)
					if hop.Method == "POST" && (hop.Request.Get("Cookie") != "" || hop.Request.Get("Sec-Fetch-Site") != "cross-site" || hop.Status != http.StatusSeeOther) {
						t.Errorf("the POST was not what it should be: %v, responded %d", hop.Request, hop.Status)
					}
				}
				for _, line := range hop.Header["Set-Cookie"] {
					if strings.Contains(line, "ginauth") && (!strings.Contains(line, "SameSite=Lax") || !strings.Contains(line, "HttpOnly")) {
						t.Errorf("a cookie has other attributes: %s", line)
					}
				}
			}
			if fmt.Sprint(methods) != "[POST GET]" {
				t.Errorf("the callback got %v", methods)
			}
			if f.LoginStates() != nil || f.OwnCookies("-f") != nil {
				t.Errorf("cookies of the sign-in remain: %v %v", f.LoginStates(), f.OwnCookies("-f"))
			}
			token := f.IDP.LastRequest(authtest.Token).Form
			if len(token.Get("code_verifier")) != 43 || f.IDP.LastRequest(authtest.Authorize).Form.Get("code_challenge_method") != "S256" {
				t.Errorf("PKCE was not used: %v", token)
			}
			f.KeepsSecrets(t, p)
		})
	}
}

// hurried is a connection with shorter deadlines: a third of a second instead of ten seconds.
type hurried struct{ http.ResponseWriter }

func (h hurried) SetReadDeadline(until time.Time) error {
	return http.NewResponseController(h.ResponseWriter).SetReadDeadline(time.Now().Add(time.Until(until) / 30))
}

// An incomplete body does not block longer than the server's read timeout, and excess bytes are
// not read.
func b44BodyThatNeverEnds(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, sitetest.FormPost)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.Engine.ServeHTTP(hurried{w}, r)
	}))
	server.Config.ErrorLog = logsAsErrorLog(f)
	server.Start()
	t.Cleanup(server.Close)
	form := f.AnswerForm("/login/demo").Encode()
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
	if f.IDP.Count(authtest.Token) != 0 {
		t.Error("the token endpoint was called")
	}
}

// logsAsErrorLog is for servers that a test starts itself.
func logsAsErrorLog(f *sitetest.Flow) *log.Logger {
	return slog.NewLogLogger(f.Logs.Logger().Handler(), slog.LevelError)
}

func format(v any) string { return fmt.Sprintf("%+v", v) }
