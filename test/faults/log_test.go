package faults

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsLog(t *testing.T) {
	runFaults(t, []fault{
		{"M4_no_secret_in_the_log", m4NoSecretInTheLog},
		{"M5_log_injection", m5LogInjection},
		{"M6_access_log_with_the_code", m6AccessLogWithTheCode},
		{"M7_gin_errors", m7GinErrors},
		{"M11_audit_events", m11AuditEvents},
	})
}

// minted collects the secrets of a test's browser and provider.
type minted struct {
	mu   sync.Mutex
	list []string
}

func (m *minted) add(secrets ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, secrets...)
}

// foundIn returns the secrets in a text: raw or encoded, complete or their first 16 characters.
func (m *minted) foundIn(text string) (found []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, secret := range m.list {
		if len(secret) < 12 {
			continue
		}
		for _, form := range []string{
			secret, secret[:min(len(secret), 16)], url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(secret))[:16], base64.RawURLEncoding.EncodeToString([]byte(secret))[:16],
		} {
			if strings.Contains(text, form) {
				found = append(found, form)
			}
		}
	}
	return found
}

func m4NoSecretInTheLog(t *testing.T) {
	t.Parallel()
	secrets := &minted{}
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Userinfo = "always"
		s.Engine.Use(func(c *gin.Context) {
			c.Next()
			for _, line := range c.Writer.Header()["Set-Cookie"] {
				_, value, _ := strings.Cut(line, "=")
				value, _, _ = strings.Cut(value, ";")
				secrets.add(value)
			}
		})
	})
	secrets.add(f.IDP.ClientSecret, sitetest.Key)
	f.IDP.EditToken(func(answer map[string]any) {
		answer["refresh_token"] = "refresh-token-which-nobody-may-see"
		for _, name := range []string{"access_token", "id_token", "refresh_token"} {
			if s, ok := answer[name].(string); ok {
				secrets.add(s)
				secrets.add(strings.Split(s, ".")...)
			}
		}
	})
	for range 2 {
		everyAnswer(f)
	}
	for _, fault := range []authtest.Fault{
		authtest.WrongNonce, authtest.WrongIssuer, authtest.WrongAudience, authtest.WrongSignature, authtest.Expired, authtest.NoIDToken,
		authtest.Down, authtest.HTML, authtest.Redirecting, authtest.Resetting,
	} {
		f.IDP.Fail(authtest.Token, fault)
		f.Finish(f.Begin("/login/demo"))
		f.IDP.Heal()
		f.IDP.Fail(authtest.Userinfo, authtest.Down)
		f.Finish(f.Begin("/login/demo"))
		f.IDP.Heal()
	}
	f.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) { // a provider that repeats the request
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"invalid_client","error_description":"you sent %s %s"}`, r.FormValue("code"), r.FormValue("code_verifier"))
	})
	f.Finish(f.Begin("/login/demo"))
	f.IDP.Handle(authtest.Token, nil)
	for _, e := range []authtest.Endpoint{authtest.Authorize, authtest.Token, authtest.Userinfo} {
		for _, r := range f.IDP.Requests(e) {
			for _, name := range []string{"state", "nonce", "code", "code_verifier", "client_secret"} {
				secrets.add(r.Form[name]...)
			}
			secrets.add(strings.TrimPrefix(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "Basic "))
		}
	}
	if len(secrets.list) < 200 {
		t.Errorf("only %d secrets were seen: the test proves little", len(secrets.list))
	}
	if found := secrets.foundIn(f.Logs.String()); found != nil {
		t.Errorf("the log has %q", found)
	}
	if n := strings.Count(f.Logs.String(), " code="); n < 20 {
		t.Errorf("only %d failures were logged", n)
	}
}

// rawLog is a slog.Handler without quoting, as some applications use.
type rawLog struct {
	mu      sync.Mutex
	records []string
}

func (l *rawLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *rawLog) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l *rawLog) WithGroup(string) slog.Handler { return l }

func (l *rawLog) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value.Any())
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, line)
	return nil
}

// since returns the records after the first n.
func (l *rawLog) since(n int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[n:]
}

func m5LogInjection(t *testing.T) {
	t.Parallel()
	log := &rawLog{}
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Logger = slog.New(log)
		s.IDP.EditMetadata(func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") })
	})
	const evil = "x\r\nlevel=INFO msg=\"all is well\"\x1b[2K\u202e\u2028\x00\u0085y"
	denied := func() *url.URL {
		return sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", "access_denied")
	}
	for name, do := range map[string]func() *authtest.Page{
		"provider name": func() *authtest.Page { return f.Open("/login/" + url.PathEscape(evil)) },
		"error":         func() *authtest.Page { return f.Finish(sitetest.With(denied(), "error", evil)) },
		"description":   func() *authtest.Page { return f.Finish(sitetest.With(denied(), "error_description", evil)) },
		"iss":           func() *authtest.Page { return f.Finish(sitetest.With(f.Begin("/login/demo"), "iss", evil)) },
		"state":         func() *authtest.Page { return f.Open("/authorize/demo?code=x&state=" + url.QueryEscape(evil)) },
		"parameter": func() *authtest.Page {
			return f.Open("/authorize/demo?state=x&CODE=" + url.QueryEscape(evil) + "&" + url.QueryEscape(evil))
		},
		"host":        func() *authtest.Page { return requestWith(f, "/login/nobody", "Host", "evil\u202e.example") },
		"request id":  func() *authtest.Page { return requestWith(f, "/login/nobody", "X-Request-ID", "id\u202e\x85") },
		"destination": func() *authtest.Page { return requestWith(f, "/login/demo", "Sec-Fetch-Dest", "im\u202e\x85age") },
		"address":     func() *authtest.Page { return requestWith(f, "/login/nobody", "X-Forwarded-For", "1.2.3.4\u202e") },
		"token error": func() *authtest.Page {
			f.IDP.EditToken(func(answer map[string]any) { clear(answer); answer["error"] = evil })
			defer f.IDP.EditToken(nil)
			return f.Finish(f.Begin("/login/demo"))
		},
		"token type": func() *authtest.Page {
			f.IDP.EditToken(func(answer map[string]any) { answer["token_type"] = evil })
			defer f.IDP.EditToken(nil)
			return f.Finish(f.Begin("/login/demo"))
		},
		"claims": func() *authtest.Page {
			f.IDP.EditIDToken(func(_, claims map[string]any) { claims["sub"] = evil })
			defer f.IDP.EditIDToken(nil)
			return f.Finish(f.Begin("/login/demo"))
		},
		"audience": func() *authtest.Page {
			f.IDP.EditIDToken(func(_, claims map[string]any) { claims["aud"] = evil })
			defer f.IDP.EditIDToken(nil)
			return f.Finish(f.Begin("/login/demo"))
		},
		"issuer of the token": func() *authtest.Page {
			f.IDP.EditIDToken(func(_, claims map[string]any) { claims["iss"] = evil })
			defer f.IDP.EditIDToken(nil)
			return f.Finish(f.Begin("/login/demo"))
		},
		"algorithm": func() *authtest.Page {
			f.IDP.EditIDToken(func(header, _ map[string]any) { header["kid"], header["typ"] = evil, evil })
			defer f.IDP.EditIDToken(nil)
			return f.Finish(f.Begin("/login/demo"))
		},
		"content type": func() *authtest.Page {
			f.IDP.Handle(authtest.Token, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/\u202eplain; x=\"\x85\"")
				fmt.Fprint(w, evil)
			})
			defer f.IDP.Handle(authtest.Token, nil)
			return f.Finish(f.Begin("/login/demo"))
		},
		"userinfo": func() *authtest.Page {
			f.IDP.EditUserinfo(func(claims map[string]any) { claims["sub"] = evil })
			defer f.IDP.EditUserinfo(nil)
			f.Redeploy(func(o *ginauth.Options) {
				o.Providers = []ginauth.Provider{sitetest.Client("demo", f.IDP)}
				o.Providers[0].Userinfo = "always"
			})
			return f.Finish(f.Begin("/login/demo"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(log.since(0))
			p := do()
			var failed []string
			for _, record := range log.since(before) {
				if strings.ContainsFunc(record, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
					t.Errorf("a record has what does not print: %q", record)
				}
				if strings.Contains(record, " code=") {
					failed = append(failed, record)
				}
			}
			if p.Status < 400 || len(failed) != 1 {
				t.Errorf("status %d, and %d records for one failure: %q", p.Status, len(failed), failed)
			}
		})
	}
}

// requestWith requests a path without a browser, with one header.
func requestWith(f *sitetest.Flow, path, name, value string) *authtest.Page {
	f.T.Helper()
	r, err := http.NewRequest("GET", f.URL+path, nil)
	if err != nil {
		f.T.Fatal(err)
	}
	if name == "Host" {
		r.Host = value
	} else {
		r.Header.Set(name, value)
	}
	return f.Must(f.Browser.Do(r))
}

// Gin's own logger writes URLs, including codes. This can be disabled, and the code is useless
// to readers of the log.
func m6AccessLogWithTheCode(t *testing.T) {
	t.Parallel()
	var open, quiet bytes.Buffer
	f := sitetest.NewFlow(t, func(s *sitetest.Site, _ *ginauth.Options) {
		s.Engine.Use(gin.LoggerWithConfig(gin.LoggerConfig{Output: &open}), gin.LoggerWithConfig(gin.LoggerConfig{Output: &quiet, SkipQueryString: true}))
	})
	callback := f.Begin("/login/demo")
	saved := f.LoginState()
	f.Lands(t, callback, "/")
	logged := regexp.MustCompile(`/authorize/demo\?[^"]+`).FindString(open.String())
	if logged != callback.RequestURI() {
		t.Fatalf("Gin logged %q; the test expects %q", logged, callback.RequestURI())
	}
	if strings.Contains(quiet.String(), callback.Query().Get("code")) || !strings.Contains(quiet.String(), "/authorize/demo") {
		t.Errorf("with SkipQueryString Gin logged:\n%s", quiet.String())
	}
	reader := f.NewBrowser()
	f.Browser = reader
	f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
	own := f.Begin("/login/demo")
	f.Refuses(t, sitetest.With(own, "code", callback.Query().Get("code")), sitetest.Closed{Code: ginauth.ErrCodeRejected, Tokens: 2})
	f.KeepCookie(saved) // even with the cookie
	f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 2})
}

// Gin's logger prints c.Errors, private ones included.
func m7GinErrors(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	kept := ""
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Engine.Use(func(c *gin.Context) {
			c.Next()
			mu.Lock()
			defer mu.Unlock()
			kept += c.Errors.String() + fmt.Sprint(c.Keys)
		})
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { return errors.New("the reason that is for the log alone") }
	})
	f.IDP.EditToken(func(answer map[string]any) { answer["refresh_token"] = "the-refresh-token-of-ada" })
	callback := f.Begin("/login/demo")
	f.Refuses(t, sitetest.With(sitetest.Without(callback, "code"), "error", "access_denied"), sitetest.Closed{Code: ginauth.ErrProviderDenied})
	p := f.Finish(f.Begin("/login/demo"))
	f.WantError(p, ginauth.ErrIdentityRejected)
	everyAnswer(sitetest.NewFlow(t, nil))
	for _, secret := range []string{callback.Query().Get("code"), callback.Query().Get("state"), "the-refresh-token", "the reason that is", "request failed"} {
		if strings.Contains(kept, secret) {
			t.Errorf("Gin has the error %q: %s", secret, kept)
		}
	}
}

func m11AuditEvents(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	f.SignIn()
	who := sitetest.HashOf(f.User().ID())
	from := authtest.At(f.URL + "/")
	f.Must(f.Browser.Submit(from, f.URL+"/logout", url.Values{}))
	f.Must(f.Browser.Submit(from, f.URL+"/logout", url.Values{})) // without a session
	f.Open("/authorize/demo?state=xyz&code=abc")
	f.Engine.POST("/become", func(c *gin.Context) { _ = f.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada"}, nil) })
	f.Must(f.Browser.Fetch(from, "POST", f.URL+"/become", nil, ""))

	log := f.Logs.String()
	session := regexp.MustCompile(` event=sign_in_succeeded provider=demo user=` + who + ` session=([0-9a-f]{16}) request_id=[A-Z2-7]{16} client_ip=(127\.0\.0\.1|::1) duration=[0-9.]+[mµ]?s\n`).FindStringSubmatch(log)
	if session == nil {
		t.Fatalf("the sign-in was not logged:\n%s", log)
	}
	for what, pattern := range map[string]string{
		"the sign-out, once":            `(?s)^[^§]* event=signed_out provider=demo user=` + who + ` session=` + session[1] + ` by=user request_id=[A-Z2-7]{16} client_ip=[0-9.:]+\n`,
		"the failure":                   ` event=sign_in_failed code=state_invalid provider=demo request_id=[A-Z2-7]{16} client_ip=[0-9.:]+ op="match state" `,
		"the application's own signing": ` event=sign_in_by_application provider=demo user=` + who + ` session=[0-9a-f]{16} request_id=[A-Z2-7]{16} client_ip=`,
	} {
		if !regexp.MustCompile(pattern).MatchString(log) {
			t.Errorf("the log lacks %s:\n%s", what, log)
		}
	}
	if strings.Count(log, " event=signed_out ") != 1 || strings.Count(log, " event=sign_in_succeeded ") != 1 {
		t.Errorf("events were logged twice:\n%s", log)
	}
	for _, personal := range []string{"ada@example.com", "Ada", "Lovelace"} {
		if strings.Contains(log, personal) {
			t.Errorf("the log has %q:\n%s", personal, log)
		}
	}
}
