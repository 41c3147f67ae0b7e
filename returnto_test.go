package ginauth_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/urltest"
)

// hostilePaths are return paths that lead somewhere else by somebody's
// reading: browsers, proxies, path.Clean, or a server that decodes once more.
var hostilePaths = map[string][]string{
	"another site": {"https://evil.example", "http://evil.example/x", "//evil.example", "///evil.example", "////evil.example", `/\evil.example`,
		`\\evil.example`, `/\/evil.example`, `\/evil.example`, "https:evil.example", "http:///evil.example", "javascript:alert(1)",
		"data:text/html,x", "//", "//?x", "//#x", "//@evil.example", "//:80", "//user@evil.example/x", "HTTPS://evil.example"},
	"white space and control characters": {"/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "/\v/evil.example", "/\x00/evil.example",
		"/ /evil.example", "/\x7f/evil.example", "/\u00a0/evil.example", "/\u2028/evil.example", "/\u0085/evil.example", "/\u3000/evil.example",
		" /x", "\t//evil.example", "/x\r\nSet-Cookie: a=b", "/x?a=\r\nb", "/x#\x00", "/x y"},
	"dot segments": {`/./\evil.example`, `/x/../\evil.example`, "/..//evil.example", "/.//evil.example", "/%2e%2e//evil.example", "/x/..//evil.example",
		"/x/%2e%2e//evil.example", "/x%2fy/..//evil.example", "/x%2fy/%2e%2e//evil.example", "/x%2fy/.%2e/%2E.//evil.example", "/../elsewhere",
		"/..", "/.", "/x/%252e%252e//evil.example"},
	"encoded twice and more": {"/%2f%2fevil.example", "/%2fevil.example", "/%5cevil.example", "/%09/evil.example", "/%00", "/%252f%252fevil.example", "/%255cevil.example",
		"/%25252f%25252fevil.example", "/%2525252f%2525252fevil.example", "/%252525252f%252525252fevil.example", "/%252f%252fevil.example%25zz",
		"/%255cevil.example/100%25"},
	"no path": {"@evil.example", ".evil.example", ":80@evil.example", "evil.example", "?x", "#x", "x/y", "*", "/%zz", "/x#%zz"},
}

// ownPaths lead to routes of ginauth, mounted at the root.
var ownPaths = []string{"/login", "/login/demo", "/login/", "/login/demo/", "/LOGIN/demo", "/Login", "/%6cogin/demo", "/%256cogin/demo", "/login%2fdemo",
	"/login/demo?return_to=/x", "/authorize/demo?code=c&state=s", "/authorize/demo/", "/AUTHORIZE/demo", "/logout", "/logout/", "/logout?x", "/logout#x",
	"/log%6Fut", "/logout/demo/backchannel", "/logout/return", "/./logout", "/x/../logout", "/x%2fy/../logout", "/x/%2e%2e/login/demo", "//logout", "/logout/."}

// goodPaths are what applications have, and how they are written.
var goodPaths = map[string]string{
	"/":                         "/",
	"/search?q=a%20b&x=%2F#top": "/search?q=a%20b&x=%2F#top",
	"/files/a%2Fb":              "/files/a%2Fb",
	"/ünï":                      "/%C3%BCn%C3%AF",
	"/日本?q=日本#日":                "/%E6%97%A5%E6%9C%AC?q=%E6%97%A5%E6%9C%AC#%E6%97%A5",
	"/a//b":                     "/a//b",
	"/a/":                       "/a/",
	"/100%25":                   "/100%25",
	"/100%25zz":                 "/100%25zz",
	"/a%20b/c+d":                "/a%20b/c+d",
	"/x?next=https://a.example": "/x?next=https://a.example",
	"/x?a=1&a=2&b":              "/x?a=1&a=2&b",
	"/.well-known/x":            "/.well-known/x",
	"/a/..b/...":                "/a/..b/...",
	"/loginpage":                "/loginpage",
	"/x/login/demo":             "/x/login/demo",
	"/a:b@c":                    "/a:b@c",
	"/x?a=%5c&b=%09":            "/x?a=%5c&b=%09",
	`/x?a=\b&c=\\d`:             "/x?a=%5Cb&c=%5C%5Cd",
	`/?\/evil.example?\#x`:      "/?%5C/evil.example?%5C#x",
	"/#/route?x=1":              "/#/route?x=1",
	"/문서/한국어?검색=회의록#둘째":              "/%EB%AC%B8%EC%84%9C/%ED%95%9C%EA%B5%AD%EC%96%B4?%EA%B2%80%EC%83%89=%ED%9A%8C%EC%9D%98%EB%A1%9D#%EB%91%98%EC%A7%B8",
	"/%ED%95%9C%EA%B5%AD%EC%96%B4/일": "/%ED%95%9C%EA%B5%AD%EC%96%B4/%EC%9D%BC",
	"/ページ/カード":                       "/%E3%83%9A%E3%83%BC%E3%82%B8/%E3%82%AB%E3%83%BC%E3%83%89",
	"/?next=%2Fa%2Fb%3Fc%3Dd":        "/?next=%2Fa%2Fb%3Fc%3Dd",
	"/?q=%252F":                      "/?q=%252F",
	"/search?q=c%2B%2B+and+go":       "/search?q=c%2B%2B+and+go",
	"/c++/a+b":                       "/c++/a+b",
	"/@ada/posts;v=1/a,b":            "/@ada/posts;v=1/a,b",
	"/a;jsessionid=1?b;c":            "/a;jsessionid=1?b;c",
	"/mail/ada@example.com":          "/mail/ada@example.com",
	"/a//b//":                        "/a//b//",
	"/~ada/!'()*$&=":                 "/~ada/!'()*$&=",
	"/x?a[0]=1&b={2}|3^`":            "/x?a[0]=1&b={2}|3^`",
	"/x#a=%2Fb&c=/d?e":               "/x#a=%2Fb&c=/d?e",
	"/files/a%2Fb|c^d":               "/files/a%2Fb%7Cc%5Ed", // a browser sends some of these as they are
	"/files/%2f{id}\"<`>":            "/files/%2f%7Bid%7D%22%3C%60%3E",
	"/x?a=1#b%2Fc{d}#e":              "/x?a=1#b%2Fc%7Bd%7D%23e",
	"/x?#":                           "/x",
}

// returned signs in with that query behind /login/demo and says which path the
// callback sends the browser to.
func (s *site) returned(t testing.TB, query string) string {
	t.Helper()
	callback := s.begin("/login/demo" + query)
	p := s.must(s.browser.Open(callback.String()))
	location, ok := strings.CutPrefix(p.Header.Get("Location"), s.URL)
	if p.Status != http.StatusSeeOther || !ok {
		t.Errorf("%q: the callback answered %d with Location %q, which is not on %s", query, p.Status, p.Header.Get("Location"), s.URL)
	}
	return strings.TrimSuffix(location, "#")
}

func returnTo(path string) string { return "?return_to=" + url.QueryEscape(path) }

// raw sends a request as it is written, which clients would tidy up.
func (s *site) raw(t testing.TB, request string) *authtest.Page {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(request, " ")
	target, _, _ := strings.Cut(line, " ")
	return &authtest.Page{Status: resp.StatusCode, URL: &url.URL{Path: target}, Header: resp.Header, Body: body}
}

// addr is where the site's server listens.
func (s *site) addr() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	return "127.0.0.1:" + u.Port()
}

// whatwg resolves a reference against a base as browsers do (WHATWG URL, the
// states that a special scheme goes through), and returns origin and path.
func whatwg(base *url.URL, ref string) (origin, resolved string) {
	ref = strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' })
	ref = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(ref)
	ref, _, _ = strings.Cut(ref, "#")
	ref, _, _ = strings.Cut(ref, "?")
	ref = strings.ReplaceAll(ref, `\`, "/")
	scheme, rest, found := strings.Cut(ref, ":")
	if found && strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.") == "" && !strings.HasPrefix(scheme, "/") {
		return strings.ToLower(scheme) + ":" + rest, ""
	}
	if strings.HasPrefix(ref, "//") {
		host, _, _ := strings.Cut(strings.TrimLeft(ref, "/"), "/")
		return base.Scheme + "://" + host, ""
	}
	var kept []string
	segments := strings.Split(strings.TrimPrefix(ref, "/"), "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
			if last {
				kept = append(kept, "")
			}
		case ".":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return base.Scheme + "://" + base.Host, "/" + strings.Join(kept, "/")
}

// The reading above, which the fuzzer relies on, is that of Node.
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
		origin, resolved := whatwg(base, e.Raw)
		if home := origin == "https://app.example.com:8443"; !home && e.Leads != "away" || home && resolved != e.Leads {
			t.Errorf("%q is read as %q on %s; Node says %s", e.Raw, resolved, origin, e.Leads)
		}
	}
	if read < 500 {
		t.Errorf("only %d strings were read", read)
	}
}

// asWritten is what neither reading writes in another way.
const asWritten = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/\\%?#\t\n\r"

// chooser is an application with a login page of its own, whose redirects show
// which return paths are admitted without a trip to a provider.
func chooser(t testing.TB, mount string) (admit func(raw string) string) {
	t.Helper()
	engine := gin.New()
	_, err := ginauth.Mount(engine.Group(mount), ginauth.Options{
		BaseURL: "https://app.example.com/base", Keys: []string{testKey}, LoginPage: "/signin", Logger: new(logs).Logger(),
		Providers: []ginauth.Provider{offline("demo")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(raw string) string {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", mount+"/login", nil)
		r.URL.RawQuery = "return_to=" + url.QueryEscape(raw)
		engine.ServeHTTP(w, r)
		location, err := url.Parse(w.Header().Get("Location"))
		if err != nil || w.Code != http.StatusSeeOther || location.Path != "/base/signin" || location.Host != "" {
			t.Fatalf("%q: /login answered %d with Location %q", raw, w.Code, w.Header().Get("Location"))
		}
		return location.Query().Get("return_to")
	}
}

// offline is a provider that has nothing to discover.
func offline(name string) ginauth.Provider {
	const idp = "https://idp.example"
	return ginauth.Provider{Name: name, Issuer: idp, ClientID: "id-of-" + name, ClientSecret: "a client's secret",
		AuthorizeURL: idp + "/authorize", TokenURL: idp + "/token", JWKSURL: idp + "/keys"}
}

// staysHome fails the test unless an admitted path is one, by every reading.
func staysHome(t testing.TB, raw, out string, admit func(string) string) {
	t.Helper()
	if again := admit(out); again != out {
		t.Errorf("%q was admitted as %q, which itself becomes %q", raw, out, again)
	}
	if i := strings.IndexFunc(out, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }); i >= 0 || out[0] != '/' {
		t.Errorf("%q was admitted as %q, which is no plain path", raw, out)
	}
	base, _ := url.Parse("https://app.example.com/base/")
	origin, resolved := whatwg(base, out)
	if origin != "https://app.example.com" {
		t.Errorf("%q was admitted as %q, which a browser takes to %s", raw, out, origin)
	}
	u, err := url.Parse(out)
	if err != nil {
		t.Fatalf("%q was admitted as %q: %v", raw, out, err)
	}
	if to := base.ResolveReference(u); to.Host != base.Host || to.Scheme != base.Scheme || to.User != nil {
		t.Errorf("%q was admitted as %q, which resolves to %s", raw, out, to)
	}
	if glued, err := url.Parse("https://app.example.com/base" + out); err != nil || glued.Host != base.Host || !strings.HasPrefix(path.Clean(glued.Path)+"/", "/base/") {
		t.Errorf("%q was admitted as %q, which behind the address is %v, %v", raw, out, glued, err)
	}
	for decoded := resolved; ; {
		for _, reading := range []string{decoded, path.Clean(decoded), strings.ToLower(path.Clean(decoded))} {
			if strings.HasPrefix(reading, "//") || strings.Contains(reading, `\`) {
				t.Errorf("%q was admitted as %q, which somebody reads as %q", raw, out, reading)
			}
			first, _, _ := strings.Cut(strings.TrimPrefix(reading, "/"), "/")
			if slices.Contains([]string{"login", "authorize", "logout"}, first) {
				t.Errorf("%q was admitted as %q, which somebody reads as our own %q", raw, out, reading)
			}
		}
		next, err := url.PathUnescape(decoded)
		if err != nil || next == decoded {
			return
		}
		decoded = next
	}
}

// FuzzReturnTo: whatever is admitted as a return path stays on this site, by
// every reading of it, and is admitted again as it is.
func FuzzReturnTo(f *testing.F) {
	for _, list := range hostilePaths {
		for _, raw := range list {
			f.Add(raw)
		}
	}
	for _, raw := range ownPaths {
		f.Add(raw)
	}
	for raw := range goodPaths {
		f.Add(raw)
	}
	admit := chooser(f, "")
	f.Fuzz(func(t *testing.T, raw string) {
		if out := admit(raw); out != "" {
			staysHome(t, raw, out, admit)
		}
	})
}

func TestReturnPathsAreRefusedBelowAGroup(t *testing.T) {
	admit := chooser(t, "/Auth")
	for _, raw := range ownPaths {
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
	admit := chooser(t, "")
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

// What OnLogin makes of the return path is looked at as any other.
func TestOnLoginSaysWhereToGo(t *testing.T) {
	to := ""
	s := newSite(t, func(s *site, o *ginauth.Options) {
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
		s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/logout", nil, ""))
		if p := s.must(s.browser.Get(s.URL + "/login/demo?return_to=/page/asked")); p.URL.String() != s.URL+want || p.Status != http.StatusOK {
			t.Errorf("OnLogin said %q, and the browser went to %s with %d", hook, p.URL, p.Status)
		}
	}
}

// The application's own pages go into headers, and are written as browsers
// write addresses, whoever leads there.
func TestPagesAreWrittenAsAddresses(t *testing.T) {
	const page, written = "/page/ü{b}?#", "/page/%C3%BC%7Bb%7D"
	f := newFlow(t, func(_ *site, o *ginauth.Options) { o.AfterLogin, o.AfterLogout, o.LoginPage = page, page, page })
	callback := f.begin("/login/demo")
	attempt := f.attempt()
	for what, p := range map[string]*authtest.Page{
		"the callback":       f.exactly("GET", callback.RequestURI(), "Cookie", attempt.Name+"="+attempt.Value),
		"signing out":        f.exactly("POST", "/logout", "Origin", f.URL, "Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate"),
		"the way to sign in": f.exactly("GET", "/login"),
	} {
		if got := p.Header.Get("Location"); strings.TrimSuffix(strings.TrimPrefix(got, f.URL), "#") != written {
			t.Errorf("%s leads to %q with %d", what, got, p.Status)
		}
	}
}
