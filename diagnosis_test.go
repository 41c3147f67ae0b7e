package ginauth_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// diagnosis is a cause of state_invalid: how to produce it, and what the log
// and, on loopback, the page say about it. No two say the same.
type diagnosis struct {
	name        string
	answer      func(f *flow) (callback *url.URL)
	reason, fix string
}

const otherKey = "the key of another replica, 32 bytes and more"

func diagnoses() []diagnosis {
	return []diagnosis{
		{"no cookie at all", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.browser = f.newBrowser()
			return callback
		}, "the browser sent no cookie at all: cookies are blocked, or the sign-in was begun in another browser", "see whether cookies are blocked, or a proxy drops Set-Cookie"},
		{"cookies but none of ours", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.browser = f.newBrowser()
			f.keep(&http.Cookie{Name: "theme", Value: "dark", Path: "/"})
			f.keep(&http.Cookie{Name: "ginauth-AAAAAA-a-BBBBBBBB", Value: "another application's", Path: "/"})
			return callback
		}, "the browser sent cookies, but none of this sign-in", "see whether cookies are blocked, or a proxy drops Set-Cookie"},
		{"other attempts under way", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.browser = f.newBrowser()
			f.begin("/login/demo")
			return callback
		}, "the browser has other sign-ins under way, but not this one", "start again"},
		{"other key", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.redeploy(func(o *ginauth.Options) { o.Keys = []string{otherKey} })
			return callback
		}, "the attempt's cookie was sealed under another key", "give every replica the same Options.Keys and BaseURL, and keep the old key in second place"},
		{"other key, and no cookie", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.redeploy(func(o *ginauth.Options) { o.Keys = []string{otherKey} })
			f.browser = f.newBrowser()
			return callback
		}, "the answer's state was not made with our keys: they differ between replicas or changed, or somebody made it up", "give every replica the same Options.Keys and BaseURL, and keep the old key in second place"},
		{"altered", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			c := f.attempt()
			c.Value = c.Value[:len(c.Value)-4] + "AAAA"
			f.keep(c)
			return callback
		}, "the attempt's cookie was altered or cut on its way", "look for a proxy or an extension that changes cookies"},
		{"expired", func(f *flow) *url.URL {
			f.browser.Now = time.Now // it keeps the cookie
			callback := f.begin("/login/demo")
			f.clock.Advance(11 * time.Minute)
			return callback
		}, "the sign-in took longer than 10 minutes", "start again"},
		{"expired, and the browser dropped the cookie", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.clock.Advance(25 * time.Hour)
			if f.attempts() != nil {
				f.t.Error("the cookie is there: the test is about its absence")
			}
			return callback
		}, "the sign-in took longer than 10 minutes", "start again"},
		{"begun by a clock that is ahead", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			f.redeploy(func(o *ginauth.Options) { o.Now = func() time.Time { return f.clock.Now().Add(-5 * time.Minute) } })
			return callback
		}, "ahead of this machine's clock: the clocks of replicas differ", "set their clocks (NTP)"},
		{"used", func(f *flow) *url.URL {
			f.idp.DenyConsent(true)
			callback := f.begin("/login/demo")
			c := f.attempt()
			f.finish(callback)
			f.keep(c)
			return callback
		}, "this answer was used already", "do not open an answer's address twice"},
		{"used, and opened again", func(f *flow) *url.URL {
			f.idp.DenyConsent(true)
			callback := f.begin("/login/demo")
			f.finish(callback)
			return callback
		}, "this answer was used already", "do not open an answer's address twice"},
		{"other provider", func(f *flow) *url.URL {
			return at(f.begin("/login/demo"), "/authorize/other")
		}, "the answer to a sign-in with one provider came to the callback of another", "check the redirect URIs registered at the providers"},
		{"another secret", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			return with(callback, "state", callback.Query().Get("state")[:9]+madeUp[9:])
		}, "the answer's state is not the one that was sent", "start again"},
		{"no state of ours", func(f *flow) *url.URL {
			return with(f.begin("/login/demo"), "state", "xyz")
		}, "the answer's state is not one of ours", "begin at /login"},
		{"no state", func(f *flow) *url.URL {
			return without(f.begin("/login/demo"), "state")
		}, "there is no state: this is not a provider's answer", "begin at /login"},
		{"the other loopback name", func(f *flow) *url.URL {
			callback := f.begin("/login/demo")
			callback.Host = "127.0.0.1:" + callback.Port()
			return callback
		}, "the answer came to http://127.0.0.1:", "register this redirect URI at the provider, exactly, and no other loopback name's: http://localhost:"},
	}
}

// TestStateInvalidDiagnosis: one code for all causes; the log tells them apart,
// and so does the page where only developers see it.
func TestStateInvalidDiagnosis(t *testing.T) {
	t.Parallel()
	for _, d := range diagnoses() {
		t.Run(d.name, func(t *testing.T) {
			f, _ := withTwo(t, nil)
			callback := d.answer(f)
			before := len(f.logs.String())
			p := f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid})
			wantDiagnosis(t, d, f.logs.String()[before:], html.UnescapeString(p.Text()))
		})
	}
}

func wantDiagnosis(t *testing.T, d diagnosis, log, page string) {
	t.Helper()
	for where, text := range map[string]string{"the log": log, "the page": page} {
		if !strings.Contains(text, d.reason) || !strings.Contains(text, d.fix) {
			t.Errorf("%s does not say %q and %q:\n%s", where, d.reason, d.fix, text)
		}
	}
	id := regexp.MustCompile(` id=(state\.[a-z_]+) `).FindStringSubmatch(log)
	if id == nil || !strings.Contains(page, "docs/errors.md#"+id[1]+"<") {
		t.Errorf("the page does not say where to find what errors.md says:\n%s", page)
	}
	for _, other := range diagnoses() {
		if other.reason != d.reason && strings.Contains(log, other.reason) {
			t.Errorf("the log says %q as well", other.reason)
		}
	}
}

// Off loopback the log alone says it. Neither host nor scheme of a request
// decides anything there, and both are told apart all the same.
func TestStateInvalidWhereTheBrowserStrayed(t *testing.T) {
	t.Parallel()
	const host, proxied, direct = "begun at another host name than BaseURL's", "began over http, as the proxy in front says", "without TLS, and no proxy said that there was any"
	for _, tt := range []struct {
		name, host  string // of the request that began it; "" for BaseURL's
		proto, back string // X-Forwarded-Proto of begin and callback, "" for none
		want, fix   string
	}{
		{"www in front", "www.app.example.com", "https", "https", host, "open the application at https://app.example.com, and send visits to other names there"},
		{"the host in capitals", "APP.EXAMPLE.COM", "https", "https", "no cookie at all", "a proxy drops Set-Cookie"},
		{"a proxy on http", "", "http", "https", proxied, "have the proxy send people to https"},
		{"a proxy on http, and www", "www.app.example.com", "http", "https", proxied, "have the proxy send people to https"},
		{"past the proxy", "", "", "https", direct, "open the application at https://app.example.com"},
		{"no proxy that says anything", "", "", "", "no cookie at all", "or the browser is on http all along, where it keeps no Secure cookie"},
		{"nothing wrong at all", "", "https", "https", "no cookie at all", "a proxy drops Set-Cookie"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, func(s *site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
			begin := func(proto, host, path string) *authtest.Page {
				header := "Host: " + host + "\r\n"
				if proto != "" {
					header += "X-Forwarded-Proto: " + proto + "\r\n"
				}
				return s.raw(t, "GET "+path+" HTTP/1.1\r\n"+header+askPage)
			}
			if tt.host == "" {
				tt.host = "app.example.com"
			}
			u := mustURL(t, begin(tt.proto, tt.host, "/login/demo").Header.Get("Location"))
			s.logs.Reset()
			p := begin(tt.back, "app.example.com", "/authorize/demo?code=abc&state="+u.Query().Get("state"))
			if log := s.logs.String(); p.Status != http.StatusBadRequest || !strings.Contains(log, tt.want) || !strings.Contains(log, tt.fix) {
				t.Errorf("got %d; the log lacks %q or %q:\n%s", p.Status, tt.want, tt.fix, log)
			}
			for _, other := range []string{host, proxied, direct, "no cookie at all", "on http all along"} {
				if other != tt.want && !strings.Contains(tt.fix, other) && strings.Contains(s.logs.String(), other) {
					t.Errorf("the log says %q as well:\n%s", other, s.logs)
				}
			}
			if strings.Contains(p.Text(), "host name") || strings.Contains(p.Text(), "Secure") {
				t.Errorf("people are told: %s", p.Text())
			}
		})
	}
}

// Localhost is another loopback name only for those who are on one themselves.
func TestLocalhostIsNoOtherNameOfAPublicHost(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
	at := func(host, path string) *authtest.Page {
		return s.raw(t, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nX-Forwarded-Proto: https\r\n"+askPage)
	}
	u := mustURL(t, at("app.example.com", "/login/demo").Header.Get("Location"))
	s.logs.Reset()
	at("localhost", "/authorize/demo?code=abc&state="+u.Query().Get("state"))
	if log := s.logs.String(); strings.Contains(log, "the answer came to") || !strings.Contains(log, "no cookie at all") {
		t.Errorf("the log says:\n%s", log)
	}
}

// On an http BaseURL cookies are not Secure, so no scheme is a reason.
func TestASchemeIsNoReasonOnAnHTTPBaseURL(t *testing.T) {
	t.Parallel()
	for _, proto := range [][2]string{{"http", ""}, {"http", "http"}, {"", "https"}, {"https", "https"}} {
		s := newSite(t, nil)
		header := func(proto string) string {
			if proto == "" {
				return "Host: " + mustURL(t, s.URL).Host + "\r\n"
			}
			return "Host: " + mustURL(t, s.URL).Host + "\r\nX-Forwarded-Proto: " + proto + "\r\n"
		}
		u := mustURL(t, s.raw(t, "GET /login/demo HTTP/1.1\r\n"+header(proto[0])+askPage).Header.Get("Location"))
		s.logs.Reset()
		s.raw(t, "GET /authorize/demo?code=abc&state="+u.Query().Get("state")+" HTTP/1.1\r\n"+header(proto[1])+askPage)
		if log := s.logs.String(); strings.Contains(log, "Secure") || !strings.Contains(log, "no cookie at all") {
			t.Errorf("%q: the log says:\n%s", proto, log)
		}
	}
}

// On an https BaseURL too, the other loopback name is one.
func TestTheOtherLoopbackNameOnHTTPS(t *testing.T) {
	t.Parallel()
	s := newTLSSite(t, nil)
	callback := s.begin("/login/demo")
	callback.Host = "localhost:" + callback.Port()
	r := httptest.NewRequest("GET", callback.String(), nil)
	r.Header.Set("Accept", "text/html")
	s.engine.ServeHTTP(httptest.NewRecorder(), r)
	if log := s.logs.String(); !strings.Contains(log, "the answer came to https://localhost:"+callback.Port()+", and BaseURL is "+s.URL) {
		t.Errorf("the log says:\n%s", log)
	}
}

// A proxy that writes another Host writes it both times: that is no reason, and
// hides one. One that says which the browser asked shows it.
func TestAProxyThatWritesTheHostIsNoReason(t *testing.T) {
	t.Parallel()
	for _, hosts := range [][2]string{{"backend:8080", "backend:8080"}, {"10.0.0.5:8080", "10.0.0.6:8080"}} {
		s := newSite(t, func(s *site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
		u := mustURL(t, s.raw(t, "GET /login/demo HTTP/1.1\r\nHost: "+hosts[0]+"\r\n"+askPage).Header.Get("Location"))
		s.raw(t, "GET /authorize/demo?code=abc&state="+u.Query().Get("state")+" HTTP/1.1\r\nHost: "+hosts[1]+"\r\n"+askPage)
		if log := s.logs.String(); strings.Contains(log, "than BaseURL's") || !strings.Contains(log, "no cookie at all: cookies are blocked, or the sign-in was begun in another browser or on another host name") {
			t.Errorf("%q: the log says:\n%s", hosts, log)
		}
	}
}

// The hint that an attempt has failed is one, of the last attempt: nothing
// hangs on it, a sign-in that works leaves none, and forging it signs nobody in
// or out.
func TestTheHintOfAFailedAttempt(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	f.signIn()
	if f.ours("-u") != nil {
		t.Error("a sign-in that worked left a hint of one that failed")
	}
	f.browser = f.newBrowser()
	f.idp.DenyConsent(true)
	f.finish(f.begin("/login/demo"))
	if hints := f.ours("-u"); len(hints) != 1 || len(hints[0].Value) != 8 {
		t.Fatalf("the hints are %v", hints)
	}
	f.idp.DenyConsent(false)
	callback := f.begin("/login/demo?return_to=/page/x")
	hint := f.ours("-u")[0]
	hint.Value = callback.Query().Get("state")[:8]
	f.keep(hint)
	f.lands(t, callback, "/page/x")
	f.clock.Advance(10 * time.Minute)
	if f.ours("-u") != nil {
		t.Error("the hint stays longer than an attempt could")
	}
}
