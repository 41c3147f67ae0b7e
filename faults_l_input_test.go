package ginauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
)

// l8Linear: no input is matched against a pattern that can run away, and none
// is so long or so twisted that it takes long.
func l8Linear(t *testing.T) {
	for _, f := range goFiles(t, func(f *goFile) bool { return path.Dir(f.path) == "." && !f.isTest() }) {
		for spec, name := range f.imports {
			if name == "regexp" {
				t.Errorf("%s imports regexp", f.at(spec))
			}
		}
	}
	s := newSite(t, nil)
	n := 16 << 10
	for name, text := range map[string]string{
		"escapes of escapes": "/" + strings.Repeat("%25", n/3), "escapes": "/" + strings.Repeat("%2e%2e%2f", n/9), "dots": strings.Repeat("/..", n/3),
		"slashes": strings.Repeat("/", n), "backslashes": strings.Repeat(`/\`, n/2), "letters": "/" + strings.Repeat("a", n),
		"half escapes": "/" + strings.Repeat("%", n), "not UTF-8": "/" + strings.Repeat("\xff", n), "brackets": "/" + strings.Repeat("[", n),
		"colons": strings.Repeat(":", n), "question marks": "/" + strings.Repeat("?", n),
	} {
		began := time.Now()
		for range 20 {
			for _, address := range []string{
				"/login?return_to=" + url.QueryEscape(text), "/login/demo?return_to=" + url.QueryEscape(text), "/login/demo?" + url.QueryEscape(text),
				"/authorize/demo?state=" + url.QueryEscape(text), "/authorize/demo?code=" + url.QueryEscape(text), "/logout?return_to=" + url.QueryEscape(text),
				"/login/demo?" + strings.Repeat("&", n), "/login/demo?" + strings.Repeat("a=1&", n/4), "/page/" + url.PathEscape(text),
			} {
				if w := s.serve(page(address)); w.Code >= 500 {
					t.Errorf("%s at %.30s: %d", name, address, w.Code)
				}
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: 180 requests took %v", name, took)
		}
	}
}

// l9JSON: every place that reads what a provider sends has the same limits.
func l9JSON(t *testing.T) {
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"m%d":0,`, i)
		}
		return "{" + strings.TrimSuffix(b.String(), ",") + "}"
	}
	hostile := map[string]string{
		"nested 33 deep":       strings.Repeat("[", 32) + strings.Repeat("]", 32), // in an object
		"nested 100,000 deep":  strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"nested without end":   strings.Repeat(`{"a":`, 50_000),
		"a number of 101":      strings.Repeat("9", 101),
		"an exponent":          "1e401",
		"2,001 members":        members(2001),
		"a million values":     "[" + strings.Repeat("0,", 250_000) + "0]",
		"the same name twice":  `{"a":1,"a":2}`,
		"a lone surrogate":     `"\ud800"`,
		"an end in the middle": `"abc`,
	}
	harmless := map[string]string{
		"nested 32 deep": strings.Repeat("[", 31) + strings.Repeat("]", 31), "a number of 100": strings.Repeat("9", 100), "2,000 members": members(1900),
	}
	codes := map[authtest.Endpoint][]ginauth.Code{
		authtest.Discovery: {ginauth.ErrProviderUnavailable}, authtest.JWKS: {ginauth.ErrProviderUnavailable},
		authtest.Token: {ginauth.ErrBadTokenResponse}, authtest.Userinfo: {ginauth.ErrUserinfoInvalid},
	}
	for e, allowed := range codes {
		with := func(t *testing.T, text string) (*site, *authtest.Page) {
			s := newSite(t, func(s *site, o *ginauth.Options) {
				o.Providers[0].Userinfo = "always"
				editAnswer(s, e, func(a *answer) { a.body = adding(`"hostile":` + text)(strings.TrimSpace(a.body)) })
			})
			return s, s.get("/login/demo")
		}
		for name, text := range hostile {
			t.Run(string(e)+": "+name, func(t *testing.T) {
				t.Parallel()
				s, p := with(t, text)
				s.wantError(p, allowed[0])
				if s.user() != nil {
					t.Error("somebody is signed in")
				}
			})
		}
		for name, text := range harmless {
			t.Run(string(e)+": "+name, func(t *testing.T) {
				t.Parallel()
				if s, p := with(t, text); s.user() == nil {
					t.Errorf("%d %s\n%s", p.Status, p.Text(), s.logs)
				}
			})
		}
	}
	for name, text := range hostile {
		if len(text) > 40_000 { // longer than a token may be
			continue
		}
		t.Run("ID token: "+name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site, _ *ginauth.Options) {
				s.idp.ReplaceIDToken(func(compact string) string {
					return s.idp.SignRaw([]byte(decoded(compact, 0)), []byte(adding(`"hostile":`+text)(decoded(compact, 1))))
				})
			})
			s.failsClosed(t, s.get("/login/demo"), closed{code: ginauth.ErrIDTokenInvalid, tokens: 1})
		})
	}
}

// panicky are the functions that an application gives us. boom is called in
// each of them.
func panicky(boom func()) map[string]func(o *ginauth.Options) {
	provider := func(change func(p *ginauth.Provider)) func(o *ginauth.Options) {
		return func(o *ginauth.Options) { change(&o.Providers[0]) }
	}
	return map[string]func(o *ginauth.Options){
		"OnLogin": func(o *ginauth.Options) {
			o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { boom(); return nil }
		},
		"ClientSecretFunc": provider(func(p *ginauth.Provider) {
			secret := p.ClientSecret
			p.ClientSecret, p.ClientSecretFunc = "", func(context.Context) (string, error) { boom(); return secret, nil }
		}),
		"EmailVerified": provider(func(p *ginauth.Provider) {
			p.EmailVerified = func(map[string]any) bool { boom(); return true }
		}),
		"VerifyClaims": provider(func(p *ginauth.Provider) {
			p.VerifyClaims = func(map[string]any) error { boom(); return nil }
		}),
		"TokenIssuer": provider(func(p *ginauth.Provider) {
			issuer := p.Issuer
			p.TokenIssuer = func(map[string]any) (string, error) { boom(); return issuer, nil }
		}),
		"EditAuthorize": provider(func(p *ginauth.Provider) { p.Quirks.EditAuthorize = func(url.Values) { boom() } }),
		"EditToken":     provider(func(p *ginauth.Provider) { p.Quirks.EditToken = func(url.Values, url.Values) { boom() } }),
		"NormalizeToken": provider(func(p *ginauth.Provider) {
			p.Quirks.NormalizeToken = func(_ http.Header, body []byte) ([]byte, error) { boom(); return body, nil }
		}),
		"Profile": provider(func(p *ginauth.Provider) {
			*p = ginauth.Provider{Name: p.Name, ClientID: p.ClientID, ClientSecret: p.ClientSecret, Namespace: p.Issuer,
				AuthorizeURL: p.Issuer + "/authorize", TokenURL: p.Issuer + "/token",
				Profile: func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
					boom()
					return map[string]any{"sub": "ada"}, nil
				}}
		}),
	}
}

// l10Panics: a function of the application that panics fails its request, and
// the next one finds everything as it was.
func l10Panics(t *testing.T) {
	for name := range panicky(nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calm := false
			s := newSite(t, func(_ *site, o *ginauth.Options) {
				panicky(func() {
					if !calm {
						panic(errors.New("a panic in " + name))
					}
				})[name](o)
			})
			for range 2 {
				p := s.get("/login/demo")
				s.wantError(p, ginauth.ErrSessionError)
				if s.user() != nil || s.ran.Load() != 0 {
					t.Error("somebody is signed in")
				}
				if strings.Contains(p.Text(), "a panic in") || !strings.Contains(s.logs.String(), "panic: a panic in "+name) {
					t.Errorf("the page tells of the panic, or the log does not: %s\n%s", p.Text(), s.logs)
				}
			}
			calm = true
			s.signIn()
		})
	}
	for name, check := range map[string]ginauth.Check{
		"a check":            func(*ginauth.User) error { panic("a check") },
		"a check with nil":   nil,
		"one of two":         ginauth.AnyOf(func(*ginauth.User) error { panic("one of two") }),
		"a nil error inside": func(*ginauth.User) error { var e *ginauth.Error; return e },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.signIn()
			ran := false
			s.engine.GET("/checked", s.auth.RequireAuth(check), func(*gin.Context) { ran = true })
			s.wantError(s.open("/checked"), ginauth.ErrForbidden)
			if ran || s.user() == nil {
				t.Errorf("the handler ran: %v; signed in: %v", ran, s.user())
			}
		})
	}
}

// l12Clock: machines are suspended, and clocks set by hand.
func l12Clock(t *testing.T) {
	const day = 24 * time.Hour
	t.Run("what is spent is forgotten in time", clockPutBack)
	for _, jump := range []time.Duration{day, -day, 10 * day, -10 * day} {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.signIn()
			copied := s.browser.Clone()
			pending := s.begin("/login/demo")
			out := s.browser.Clone()
			s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
			s.clock.Advance(jump)
			s.wantError(s.must(out.Click(authtest.At(s.idp.Issuer), pending.String())), ginauth.ErrStateInvalid)
			if s.userOf(copied) != nil {
				t.Error("who signed out is signed in")
			}
			s.signIn()
			there := s.browser.Clone()
			s.clock.Advance(-jump)
			if s.userOf(copied) != nil {
				t.Error("who signed out is signed in when the clock is right again")
			}
			if jump > 0 && s.userOf(there) != nil {
				t.Error("a session from the future is taken")
			}
			s.signIn()
		})
	}
}

// clockPutBack: what is remembered for minutes is not kept for the day that a
// clock was put back by.
func clockPutBack(t *testing.T) {
	var c clock
	r := marks.NewRevocations[ginauth.RevocationKey](c.Now, 2*64) // two in each of its 64 parts
	spend := func(nth byte) error {
		for part := range byte(64) {
			if first, err := r.Once(t.Context(), ginauth.RevocationKey{part, nth}, time.Minute); err != nil || !first {
				return fmt.Errorf("part %d: %v, %w", part, first, err)
			}
		}
		return nil
	}
	for nth, jump := range []time.Duration{-24 * time.Hour, 5 * time.Minute, 0} {
		if err := spend(byte(nth)); err != nil {
			t.Error(err)
		}
		c.Advance(jump)
	}
}

// outward is an answer without what is different in each: what is random, and
// the return path, which only the browser's own cookie can tell.
func outward(p *authtest.Page) string {
	text := regexp.MustCompile(`nonce(-|=")[A-Z2-7]+|request [A-Z2-7]+|"request_id":"[^"]*"|\?return_to=[^"]*`).ReplaceAllString(p.Text(), "")
	policy := regexp.MustCompile(`nonce-[A-Z2-7]+`).ReplaceAllString(p.Header.Get("Content-Security-Policy"), "")
	return fmt.Sprint(p.Status, policy, p.Header.Get("Cache-Control"), p.Header.Get("Location"), "\n", text)
}

// same asserts that answers cannot be told apart.
func same(t *testing.T, answers map[string]*authtest.Page) {
	t.Helper()
	first, like := "", ""
	for name, p := range answers {
		if first == "" {
			first, like = outward(p), name
		} else if got := outward(p); got != first {
			t.Errorf("%q and %q are answered differently: %s", name, like, difference(got, first))
		}
	}
}

// difference is where two texts begin to differ.
func difference(a, b string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%.100q and %.100q", a[i:], b[i:])
		}
	}
	return fmt.Sprintf("%d and %d bytes", len(a), len(b))
}

// l14States: from outside nobody can tell why a state is not taken.
func l14States(t *testing.T) {
	f := newPublicFlow(t, nil)
	callback := f.begin("/login/demo")
	spent := f.begin("/login/demo")
	before := f.browser.Clone()
	before.Now = f.clock.Now
	f.finish(spent)
	answer := func(b *authtest.Browser, u *url.URL) *authtest.Page {
		return f.must(b.Click(authtest.At(f.idp.Issuer), u.String()))
	}
	state := callback.Query().Get("state")
	stranger := f.newBrowser()
	stranger.Resolve("app.example.com", "127.0.0.1")
	answers := map[string]*authtest.Page{
		"unknown":          answer(before, with(callback, "state", madeUp)),
		"wrong secret":     answer(before, with(callback, "state", state[:9]+madeUp[9:])),
		"another browser":  answer(stranger, callback),
		"used already":     answer(before, spent),
		"none":             answer(before, without(callback, "state")),
		"not one of ours":  answer(before, with(callback, "state", "xyz")),
		"without a cookie": answer(stranger, with(callback, "state", state)),
	}
	f.clock.Advance(11 * time.Minute)
	for _, c := range before.Cookies(f.URL) {
		_ = stranger.SetCookie(f.URL, c)
	}
	answers["expired"] = answer(before, callback)
	same(t, answers)
	for name, p := range answers {
		if p.Status != http.StatusBadRequest || !strings.Contains(p.Text(), "state_invalid") {
			t.Errorf("%s: %d %s", name, p.Status, p.Text())
		}
	}
}

// l14Signatures: nor why a token is not.
func l14Signatures(t *testing.T) {
	answers := map[string]*authtest.Page{}
	for name, edit := range map[string]func(idp *authtest.Provider){
		"unknown key":   func(idp *authtest.Provider) { idp.EditIDToken(func(h, _ map[string]any) { h["kid"] = "unknown" }) },
		"wrong key":     func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.WrongSignature) },
		"wrong issuer":  func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.WrongIssuer) },
		"wrong nonce":   func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.WrongNonce) },
		"expired":       func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.Expired) },
		"another alg":   func(idp *authtest.Provider) { idp.EditIDToken(func(h, _ map[string]any) { h["alg"] = "HS256" }) },
		"other subject": func(idp *authtest.Provider) { idp.EditIDToken(func(_, c map[string]any) { c["sub"] = "" }) },
	} {
		f := newPublicFlow(t, nil)
		edit(f.idp)
		p := f.get("/login/demo")
		f.wantError(p, ginauth.ErrIDTokenInvalid)
		p.Body = []byte(strings.ReplaceAll(p.Text(), f.URL, ""))
		answers[name] = p
	}
	same(t, answers)
}
