package sitetest

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// HostilePaths are return paths that lead to another site in some interpretation: of browsers,
// proxies, path.Clean, or a server that decodes once more.
var HostilePaths = map[string][]string{
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

// OwnPaths lead to routes of ginauth when it is mounted at the root.
var OwnPaths = []string{"/login", "/login/demo", "/login/", "/login/demo/", "/LOGIN/demo", "/Login", "/%6cogin/demo", "/%256cogin/demo", "/login%2fdemo",
	"/login/demo?return_to=/x", "/authorize/demo?code=c&state=s", "/authorize/demo/", "/AUTHORIZE/demo", "/logout", "/logout/", "/logout?x", "/logout#x",
	"/log%6Fut", "/logout/demo/backchannel", "/logout/return", "/./logout", "/x/../logout", "/x%2fy/../logout", "/x/%2e%2e/login/demo", "//logout", "/logout/."}

// GoodPaths are paths of applications, and their form in Location.
var GoodPaths = map[string]string{
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
	"/files/a%2Fb|c^d":               "/files/a%2Fb%7Cc%5Ed", // browsers send some of these unencoded
	"/files/%2f{id}\"<`>":            "/files/%2f%7Bid%7D%22%3C%60%3E",
	"/x?a=1#b%2Fc{d}#e":              "/x?a=1#b%2Fc%7Bd%7D%23e",
	"/x?#":                           "/x",
}

// Returned signs in at /login/demo with a query, and returns the path to which the callback
// redirects.
func (s *Site) Returned(t testing.TB, query string) string {
	t.Helper()
	callback := s.Begin("/login/demo" + query)
	p := s.Must(s.Browser.Open(callback.String()))
	location, ok := strings.CutPrefix(p.Header.Get("Location"), s.URL)
	if p.Status != http.StatusSeeOther || !ok {
		t.Errorf("%q: the callback answered %d with Location %q, which is not on %s", query, p.Status, p.Header.Get("Location"), s.URL)
	}
	return strings.TrimSuffix(location, "#")
}

// ReturnTo returns the query of a login with a return path.
func ReturnTo(path string) string { return "?return_to=" + url.QueryEscape(path) }

// WHATWG resolves a reference against a base as browsers do, and returns origin and path (WHATWG URL,
// the states for special schemes).
func WHATWG(base *url.URL, ref string) (origin, resolved string) {
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

// ReturnPaths returns a function that returns the admitted form of a return path, or "". It mounts an
// application with a LoginPage, whose redirects show that without a provider.
func ReturnPaths(t testing.TB, mount string) (admit func(raw string) string) {
	t.Helper()
	engine := gin.New()
	_, err := ginauth.Mount(engine.Group(mount), ginauth.Options{
		BaseURL: "https://app.example.com/base", Keys: []string{Key}, LoginPage: "/signin", Logger: new(Logs).Logger(),
		Providers: []ginauth.Provider{Offline("demo")},
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

// StaysHome asserts that an admitted path stays on this site in every interpretation.
func StaysHome(t testing.TB, raw, out string, admit func(string) string) {
	t.Helper()
	if again := admit(out); again != out {
		t.Errorf("%q was admitted as %q, which itself becomes %q", raw, out, again)
	}
	if i := strings.IndexFunc(out, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }); i >= 0 || out[0] != '/' {
		t.Errorf("%q was admitted as %q, which is not a plain path", raw, out)
	}
	base, _ := url.Parse("https://app.example.com/base/")
	origin, resolved := WHATWG(base, out)
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
		t.Errorf("%q was admitted as %q, which appended to the origin is %v, %v", raw, out, glued, err)
	}
	for decoded := resolved; ; {
		for _, reading := range []string{decoded, path.Clean(decoded), strings.ToLower(path.Clean(decoded))} {
			if strings.HasPrefix(reading, "//") || strings.Contains(reading, `\`) {
				t.Errorf("%q was admitted as %q, which may be interpreted as %q", raw, out, reading)
			}
			first, _, _ := strings.Cut(strings.TrimPrefix(reading, "/"), "/")
			if slices.Contains([]string{"login", "authorize", "logout"}, first) {
				t.Errorf("%q was admitted as %q, which may be interpreted as ginauth's %q", raw, out, reading)
			}
		}
		next, err := url.PathUnescape(decoded)
		if err != nil || next == decoded {
			return
		}
		decoded = next
	}
}
