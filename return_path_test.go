package ginauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
	"github.com/ginauth/ginauth/internal/urltest"
)

// Return paths that other programs could parse differently are replaced by AfterLogin, each for
// its own reason.
func TestReturnPathsWithOddCharacters(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	for _, path := range []string{"/a\x7fb", `/a\b`, "/a?x=\x7f", "/a#\x7f", "/a#\\", "/page/%5c%5cevil", "/page/..%2f..%2f%2fevil.example"} {
		if got := s.Returned(t, sitetest.ReturnTo(path)); got != "/" {
			t.Errorf("%q leads to %q", path, got)
		}
	}
}

// The limit applies to the value as sent, too, not only to the result.
func TestReturnPathAtTheLimit(t *testing.T) {
	t.Parallel()
	admit := sitetest.ReturnPaths(t, "")
	path := "/" + strings.Repeat("a", 2047)
	for raw, want := range map[string]string{path: path, path[:2046] + "?#": path[:2046], path[:2047] + "?#": ""} {
		if got := admit(raw); got != want {
			t.Errorf("a path of %d bytes was admitted as one of %d, want %d", len(raw), len(got), len(want))
		}
	}
}

// A path in the application's options is checked as strictly as one from a browser.
func TestHostilePathsInOptions(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/a/../b", "/%2fevil.example", "/a/%252e%252e/b"} {
		err := sitetest.MountError(ginauth.Options{
			BaseURL: "https://app.example.com", Keys: []string{sitetest.Key}, AfterLogout: path, Providers: []ginauth.Provider{sitetest.Offline("demo")},
		})
		sitetest.WantInvalid(t, err, "options.after_logout.not_a_path")
	}
}

// The parser above, on which the fuzzer relies, matches that of Node.
func TestTheReadingOfURLsIsThatOfNode(t *testing.T) {
	list, err := urltest.Expectations()
	if err != nil {
		t.Fatal(err)
	}
	base, _ := url.Parse("https://app.example.com:8443/base/Desk/logout")
	read := 0
	for _, e := range list {
		if strings.Trim(e.Raw, asWritten) != "" || !strings.HasPrefix(e.Raw, "/") {
			continue
		}
		read++
		origin, resolved := sitetest.WHATWG(base, e.Raw)
		if home := origin == "https://app.example.com:8443"; !home && e.Leads != "away" || home && resolved != e.Leads {
			t.Errorf("%q is read as %q on %s; Node says %s", e.Raw, resolved, origin, e.Leads)
		}
	}
	if read < 500 {
		t.Errorf("only %d strings were read", read)
	}
}

// asWritten has the characters of paths that both parsers leave unchanged, or a few that they do
// not.
const asWritten = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/\\%?#\t\n\r"

func TestReturnPathsAreRefusedBelowAGroup(t *testing.T) {
	admit := sitetest.ReturnPaths(t, "/Auth")
	for _, raw := range sitetest.OwnPaths {
		if out := admit("/auth" + raw); out != "" && !strings.HasPrefix(raw, "//") {
			t.Errorf("/auth%s was admitted as %q", raw, out)
		}
	}
	for _, raw := range []string{"/login", "/logout", "/authorize/demo", "/auth", "/authx/login"} {
		if out := admit(raw); out != raw {
			t.Errorf("%s, which is not ours below a group, became %q", raw, out)
		}
	}
}

func TestReturnPathsHaveALimit(t *testing.T) {
	admit := sitetest.ReturnPaths(t, "")
	for _, tt := range []struct {
		name, raw string
		admitted  bool
	}{
		{"2048 bytes are admitted", "/" + strings.Repeat("a", 2047), true},
		{"2049 bytes are not", "/" + strings.Repeat("a", 2048), false},
		{"what is encoded counts as it is written", "/" + strings.Repeat("ü", 341), true},
		{"even if it is short before", "/" + strings.Repeat("ü", 342), false},
	} {
		if out := admit(tt.raw); (out != "") != tt.admitted {
			t.Errorf("%s: got %s", tt.name, fmt.Sprintf("%.40q", out))
		}
	}
}

// A return path that OnLogin sets is checked like any other.
func TestOnLoginSaysWhereToGo(t *testing.T) {
	to := ""
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.AfterLogin = "/page/after"
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			if login.ReturnTo != "/page/asked" {
				t.Errorf("OnLogin got %q", login.ReturnTo)
			}
			login.ReturnTo = to
			return nil
		}
	})
	for hook, want := range map[string]string{
		"/page/asked": "/page/asked", "/page/welcome?x=1": "/page/welcome?x=1",
		"": "/page/after", "//evil.example/": "/page/after", "https://evil.example/": "/page/after", "/logout": "/page/after",
	} {
		to = hook
		s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/logout", nil, ""))
		if p := s.Must(s.Browser.Get(s.URL + "/login/demo?return_to=/page/asked")); p.URL.String() != s.URL+want || p.Status != http.StatusOK {
			t.Errorf("OnLogin set %q, and the browser was redirected to %s with %d", hook, p.URL, p.Status)
		}
	}
}

// The application's own pages are written into headers in every redirect, in the form in which
// browsers write addresses.
func TestPagesAreWrittenAsAddresses(t *testing.T) {
	const page, written = "/page/ü{b}?#", "/page/%C3%BC%7Bb%7D"
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.AfterLogin, o.AfterLogout, o.LoginPage = page, page, page
	})
	callback := f.Begin("/login/demo")
	attempt := f.LoginState()
	for what, p := range map[string]*authtest.Page{
		"the callback":       f.Exactly("GET", callback.RequestURI(), "Cookie", attempt.Name+"="+attempt.Value),
		"signing out":        f.Exactly("POST", "/logout", "Origin", f.URL, "Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate"),
		"the way to sign in": f.Exactly("GET", "/login"),
	} {
		if got := p.Header.Get("Location"); strings.TrimSuffix(strings.TrimPrefix(got, f.URL), "#") != written {
			t.Errorf("%s leads to %q with %d", what, got, p.Status)
		}
	}
}

// A page with a backslash in its query is returned to.
func TestReturnToAQueryWithABackslash(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	p := s.Get(`/page/x?path=C:\Temp&y=\\`)
	if q := p.URL.Query(); p.Status != http.StatusOK || p.URL.Path != "/page/x" || q.Get("path") != `C:\Temp` || q.Get("y") != `\\` {
		t.Errorf("ended at %s with %d", p.URL, p.Status)
	}
	for _, raw := range []string{`/\evil.example?x`, `/x\?y`, `/x#\`, `/x#?\`, `/x?\#\`} {
		s := sitetest.New(t, nil)
		if p := s.Get("/login/demo?return_to=" + url.QueryEscape(raw)); p.URL.Path != "/" {
			t.Errorf("%q led to %s", raw, p.URL)
		}
	}
}
