package faults

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsInput(t *testing.T) {
	runFaults(t, []fault{
		{"L4_cookie_names_are_ours_to_choose", l4CookieNamesAreOursToChoose},
		{"L7_ten_thousand_cookies", l7TenThousandCookies},
		{"L8_long_and_twisted_input", l8LongAndTwistedInput},
		{"L9_hostile_json", l9HostileJson},
		{"L14_one_answer_for_all_states", l14OneAnswerForAllStates},
		{"L14_one_answer_for_all_signatures", l14OneAnswerForAllSignatures},
	})
}

// l8Linear: no input is matched by a pattern with superlinear cost, and no length or form of an
// input takes long.
func l8LongAndTwistedInput(t *testing.T) {
	for _, f := range sitetest.GoFiles(t, ".") {
		for _, spec := range f.Imports {
			if spec.Path.Value == `"regexp"` {
				t.Errorf("%s imports regexp", f.At(spec))
			}
		}
	}
	s := sitetest.New(t, nil)
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
				if w := s.Serve(sitetest.PageRequest(address)); w.Code >= 500 {
					t.Errorf("%s at %.30s: %d", name, address, w.Code)
				}
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: 180 requests took %v", name, took)
		}
	}
}

// l9JSON: every parser of a provider's responses has the same limits.
func l9HostileJson(t *testing.T) {
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
		with := func(t *testing.T, text string) (*sitetest.Site, *authtest.Page) {
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].Userinfo = "always"
				sitetest.EditAnswer(s, e, func(a *sitetest.Answer) { a.Body = sitetest.Adding(`"hostile":` + text)(strings.TrimSpace(a.Body)) })
			})
			return s, s.Get("/login/demo")
		}
		for name, text := range hostile {
			t.Run(string(e)+": "+name, func(t *testing.T) {
				t.Parallel()
				s, p := with(t, text)
				s.WantError(p, allowed[0])
				if s.User() != nil {
					t.Error("a user is signed in")
				}
			})
		}
		for name, text := range harmless {
			t.Run(string(e)+": "+name, func(t *testing.T) {
				t.Parallel()
				if s, p := with(t, text); s.User() == nil {
					t.Errorf("%d %s\n%s", p.Status, p.Text(), s.Logs)
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
			s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.ReplaceIDToken(func(compact string) string {
					return s.IDP.SignRaw([]byte(sitetest.JWTPart(compact, 0)), []byte(sitetest.Adding(`"hostile":`+text)(sitetest.JWTPart(compact, 1))))
				})
			})
			s.FailsClosed(t, s.Get("/login/demo"), sitetest.Closed{Code: ginauth.ErrIDTokenInvalid, Tokens: 1})
		})
	}
}

// clockPutBack: entries that are kept for minutes are not kept for the day by which a clock was
// set back.
func clockPutBack(t *testing.T) {
	var c sitetest.Clock
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

// outward is a response without the parts that always differ: random values, and the return
// path, which comes only from the browser's own cookie.
func outward(p *authtest.Page) string {
	text := regexp.MustCompile(`nonce(-|=")[A-Z2-7]+|request [A-Z2-7]+|"request_id":"[^"]*"|\?return_to=[^"]*`).ReplaceAllString(p.Text(), "")
	policy := regexp.MustCompile(`nonce-[A-Z2-7]+`).ReplaceAllString(p.Header.Get("Content-Security-Policy"), "")
	return fmt.Sprint(p.Status, policy, p.Header.Get("Cache-Control"), p.Header.Get("Location"), "\n", text)
}

// same asserts that responses are indistinguishable.
func same(t *testing.T, answers map[string]*authtest.Page) {
	t.Helper()
	first, like := "", ""
	for name, p := range answers {
		if first == "" {
			first, like = outward(p), name
		} else if got := outward(p); got != first {
			t.Errorf("%q and %q get different responses: %s", name, like, difference(got, first))
		}
	}
}

// difference returns the position at which two texts begin to differ.
func difference(a, b string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%.100q and %.100q", a[i:], b[i:])
		}
	}
	return fmt.Sprintf("%d and %d bytes", len(a), len(b))
}

// l14States: responses do not reveal why a state is rejected.
func l14OneAnswerForAllStates(t *testing.T) {
	f := sitetest.NewPublicFlow(t, nil)
	callback := f.Begin("/login/demo")
	spent := f.Begin("/login/demo")
	before := f.Browser.Clone()
	before.Now = f.Clock.Now
	f.Finish(spent)
	answer := func(b *authtest.Browser, u *url.URL) *authtest.Page {
		return f.Must(b.Click(authtest.At(f.IDP.Issuer), u.String()))
	}
	state := callback.Query().Get("state")
	stranger := f.NewBrowser()
	stranger.Resolve("app.example.com", "127.0.0.1")
	answers := map[string]*authtest.Page{
		"unknown":          answer(before, sitetest.With(callback, "state", sitetest.MadeUpState)),
		"wrong secret":     answer(before, sitetest.With(callback, "state", state[:9]+sitetest.MadeUpState[9:])),
		"another browser":  answer(stranger, callback),
		"used already":     answer(before, spent),
		"none":             answer(before, sitetest.Without(callback, "state")),
		"not one of ours":  answer(before, sitetest.With(callback, "state", "xyz")),
		"without a cookie": answer(stranger, sitetest.With(callback, "state", state)),
	}
	f.Clock.Advance(11 * time.Minute)
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

// l14Signatures: nor why a token is rejected.
func l14OneAnswerForAllSignatures(t *testing.T) {
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
		f := sitetest.NewPublicFlow(t, nil)
		edit(f.IDP)
		p := f.Get("/login/demo")
		f.WantError(p, ginauth.ErrIDTokenInvalid)
		p.Body = []byte(strings.ReplaceAll(p.Text(), f.URL, ""))
		answers[name] = p
	}
	same(t, answers)
}

// l4Names: a request can choose neither which cookie is written, nor a state.
func l4CookieNamesAreOursToChoose(t *testing.T) {
	s := sitetest.New(t, nil)
	seen := map[string]bool{}
	for range 50 {
		w := s.Serve(sitetest.PageRequest("/login/demo?state=AAAAAAAA.BBBB&handle=AAAAAAAA"))
		location, err := url.Parse(w.Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		cookies := w.Result().Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%d cookies", len(cookies))
		}
		state := location.Query().Get("state")
		handle, _, _ := strings.Cut(state, ".")
		if !strings.HasSuffix(cookies[0].Name, "-a-"+handle) || len(handle) != 8 || seen[handle] || strings.Contains(state, "AAAAAAAA") {
			t.Errorf("state %s in cookie %s", state, cookies[0].Name)
		}
		seen[handle] = true
	}
}

// l7TenThousandCookies is not parallel, since it counts allocations.
func l7TenThousandCookies(t *testing.T) {
	s := sitetest.New(t, nil)
	s.Begin("/login/demo")
	callback := s.Begin("/login/demo")
	own := s.Browser.Cookies(s.URL)
	handle, _, _ := strings.Cut(callback.Query().Get("state"), ".")
	attempt := own[slices.IndexFunc(own, func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, "-a-"+handle) })]
	prefix, _, _ := strings.Cut(attempt.Name, "-a-")
	many := func(name func(i int) string, value string) string {
		var b strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&b, "%s=%s; ", name(i), value)
		}
		return b.String()
	}
	junk := strings.Repeat("A", 60)
	for name, header := range map[string]string{
		"of others":           many(func(i int) string { return fmt.Sprint("c", i) }, "0123456789"),
		"called as attempts":  many(func(i int) string { return fmt.Sprintf("%s-a-%08d", prefix, i) }, junk),
		"called as one":       many(func(int) string { return attempt.Name }, junk),
		"true ones, repeated": many(func(int) string { return attempt.Name }, attempt.Value),
		"called as sessions":  many(func(int) string { return prefix }, "1"+junk),
		"halves of sessions":  many(func(i int) string { return prefix + []string{"", "-2"}[i%2] }, "2"+junk),
		"without a name":      strings.Repeat("; =;", 50_000),
	} {
		for _, path := range []string{"/", "/me", "/login/demo", callback.RequestURI(), "/logout"} {
			request := func(cookies string) {
				r := sitetest.PageRequest(path)
				if path == "/logout" {
					r = httptest.NewRequest("POST", path, nil)
				}
				r.Header.Set("Cookie", cookies)
				if w := s.Serve(r); w.Code >= 500 {
					t.Errorf("%s, %s: %d", name, path, w.Code)
				}
			}
			usual := testing.AllocsPerRun(5, func() { request(prefix + "=1" + junk) })
			if got := testing.AllocsPerRun(5, func() { request(header) }); got > usual+1000 {
				t.Errorf("10,000 cookies %s at %s: %.0f allocations, usually %.0f", name, path, got, usual)
			}
		}
	}
	s.SignIn()
	real := s.Browser.Cookies(s.URL)
	i := slices.IndexFunc(real, func(c *http.Cookie) bool { return c.Name == prefix })
	header := http.Header{"Cookie": {many(func(i int) string { return fmt.Sprint("c", i) }, "0123456789") + prefix + "=" + real[i].Value}}
	if p := s.Must(s.NewBrowser().Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", header, "")); p.Status != http.StatusOK {
		t.Errorf("among 10,000 others our cookie is not found: %d", p.Status)
	}
}
