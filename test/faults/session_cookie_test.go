package faults

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsSessionCookie(t *testing.T) {
	runFaults(t, []fault{
		{"F3_plaintext_in_cookies", f3PlaintextInCookies},
		{"F4_cookie_attributes", f4CookieAttributes},
		{"F6_altered_cookies", f6AlteredCookies},
		{"F9_two_sessions_at_once", f9TwoSessionsAtOnce},
		{"F10_names_that_look_like_ours", f10NamesThatLookLikeOurs},
		{"F11_parts", f11Parts},
		{"F12_session_too_large", f12SessionTooLarge},
		{"F20_cookie_of_another_application", f20CookieOfAnotherApplication},
		{"F26_many_cookies", f26ManyCookies},
		{"S36_from_http_to_https_and_back", s36FromHttpToHttpsAndBack},
	})
}

// A request with an altered cookie is unauthenticated: no error, no panic.
func f6AlteredCookies(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	line := s.Mint(&ginauth.User{Subject: "ada"})
	grace := s.Mint(&ginauth.User{Subject: "grace"})
	if s.Stolen(line) != "ada" || s.Stolen(grace) != "grace" {
		t.Fatal("the cookies are no sessions")
	}
	name, value, _ := strings.Cut(line, "=")
	_, other, _ := strings.Cut(grace, "=")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	refuse := func(what, value string) {
		if who := s.Stolen(name + "=" + value); who != "" {
			t.Errorf("%s: %q is signed in", what, who)
		}
	}
	for i := range value {
		bit := alphabet[strings.IndexByte(alphabet, value[i])^1<<(i%6)]
		refuse(fmt.Sprintf("byte %d changed", i), value[:i]+string(bit)+value[i+1:])
	}
	for i := 7; i < len(value); i += 7 {
		refuse(fmt.Sprintf("cut to %d", i), value[:i])
		refuse(fmt.Sprintf("begun at %d", i+1), value[i+1:])
		if mixed := value[:i+1] + other[i+1:]; mixed != other { // they begin with the name of the same key
			refuse(fmt.Sprintf("ada up to %d, then grace", i), mixed)
		}
	}
	for _, what := range []string{"=", "==", "A", "AAAA", ".", "%00", "\"", "\x80", "ü"} {
		refuse("with "+what, value+what)
	}
	for _, value := range []string{"", "1", "2", "3", "null", "undefined", "{}", strings.Repeat("A", 5000), "1" + strings.Repeat("/", 400)} {
		refuse("nonsense", value)
	}
	wrong := s.Replica(func(o *ginauth.Options) { o.Keys = []string{"another key for tests, also longer than 32 bytes"} })
	if wrong.Stolen(line) != "" || s.Stolen(wrong.Mint(&ginauth.User{Subject: "ada"})) != "" {
		t.Error("a session under another key is alive")
	}
	if strings.Contains(s.Logs.String(), " code=") {
		t.Errorf("a request that anyone can send was logged as a failure: %.500s", s.Logs)
	}
}

// Of several cookies with the name, only those that can be opened count; two sessions are
// ambiguous.
func f9TwoSessionsAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	ada, grace := s.Mint(&ginauth.User{Subject: "ada"}), s.Mint(&ginauth.User{Subject: "grace"})
	name, value, _ := strings.Cut(ada, "=")
	forged := name + "=1" + strings.Repeat("A", len(value)-1)
	for _, tt := range []struct {
		name, line, want string
		cleared          bool
	}{
		{"forged before valid", forged + "; " + ada, "ada", false},
		{"forged behind valid", ada + "; " + forged, "ada", false},
		{"empty before valid", name + "=; " + ada, "ada", false},
		{"three forged before valid", strings.Repeat(forged+"; ", 3) + ada, "ada", false},
		{"the same twice", ada + "; " + ada, "ada", false},
		{"two people", ada + "; " + grace, "", true},
		{"two people the other way round", grace + "; " + ada, "", true},
		{"two people among forged ones", forged + "; " + grace + "; " + forged + "; " + ada, "", true},
		{"a flood of forged ones", strings.Repeat(forged+"; ", 30), "", false},
	} {
		p := s.AskAs(s.NewBrowser(), "GET", "/who", "Cookie", tt.line)
		if who := p.Text(); p.Status == http.StatusOK != (tt.want != "") || tt.want != "" && who != tt.want {
			t.Errorf("%s: %d %q, want %q", tt.name, p.Status, who, tt.want)
		}
		expired := name + "=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
		if got := p.Header.Values("Set-Cookie"); tt.cleared && !slices.Equal(got, []string{expired}) || !tt.cleared && len(got) > 0 {
			t.Errorf("%s: cookies %q", tt.name, got)
		}
	}
}

// Names that some parsers treat as ours, which a sibling subdomain can set, with the attacker's
// own session in them.
func f10NamesThatLookLikeOurs(t *testing.T) {
	t.Parallel()
	s := sitetest.NewTLS(t, nil)
	s.Guard("/who", sitetest.WriteSubject)
	eve, ada := s.Mint(&ginauth.User{Subject: "eve"}), s.Mint(&ginauth.User{Subject: "ada"})
	name, value, _ := strings.Cut(eve, "=")
	if s.Stolen(eve) != "eve" || !strings.HasPrefix(name, "__Host-") {
		t.Fatalf("%q is no session", eve)
	}
	for _, planted := range []string{
		"\u2000" + eve, "\u00a0" + eve, "\u3000" + eve, "\ufeff" + eve, "\x85" + eve,
		strings.ToLower(name) + "=" + value, strings.ToUpper(name) + "=" + value, "__host-" + strings.TrimPrefix(eve, "__Host-"),
		strings.TrimPrefix(eve, "__Host-"), "__Secure-" + strings.TrimPrefix(eve, "__Host-"),
		"$Version=1," + eve, "$Version=\"1\", " + eve, "x=\"1; " + eve + "\"", "=" + eve, name + " =" + value, name + "\t=" + value,
		name + "%3D" + value, name + "[]=" + value, name + "-1=" + value, name + "x=" + value, "x" + eve, name, name + ":" + value,
	} {
		if who := s.Stolen(planted); who != "" {
			t.Errorf("%.30q is a session of %q", planted, who)
		}
		for _, line := range []string{planted + "; " + ada, ada + "; " + planted} {
			if who := s.Stolen(line); who != "ada" {
				t.Errorf("beside %.30q ada is %q", planted, who)
			}
		}
	}
}

// A session in two cookies, and all changes to them.
func f11Parts(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	large := func(subject string) (first, second string) {
		first, second, ok := strings.Cut(s.Mint(&ginauth.User{Subject: subject, Groups: sitetest.Groups(4000)}), "; ")
		if !ok {
			t.Fatal("the session fits into one cookie")
		}
		return first, second
	}
	a1, a2 := large("ada")
	g1, g2 := large("grace")
	small := s.Mint(&ginauth.User{Subject: "zoe"})
	name, _, _ := strings.Cut(a1, "=")
	_, rest, _ := strings.Cut(a2, "=")
	many := func(n int, part string) (line string) {
		for i := range n {
			line += fmt.Sprintf("; %s-%d=%s", name, i+2, part)
		}
		return line
	}
	for _, tt := range []struct{ name, line, want string }{
		{"both", a1 + "; " + a2, "ada"},
		{"both, in the other order", a2 + "; " + a1, "ada"},
		{"the second missing", a1, ""},
		{"the first missing", a2, ""},
		{"the first twice", a1 + "; " + a1 + "; " + a2, "ada"},
		{"the second twice", a1 + "; " + a2 + "; " + a2, "ada"},
		{"the first of one and the second of another", a1 + "; " + g2, ""},
		{"the other way round", g1 + "; " + a2, ""},
		{"the second of another beside ours", a1 + "; " + g2 + "; " + a2, "ada"},
		{"two whole people", a1 + "; " + a2 + "; " + g1 + "; " + g2, ""},
		{"a stale second beside a small session", small + "; " + a2, "zoe"},
		{"the second cut", a1 + "; " + a2[:len(a2)-5], ""},
		{"the second with more behind it", a1 + "; " + a2 + "AAAA", ""},
		{"the second empty", a1 + "; " + name + "-2=", ""},
		{"the first marked as whole", strings.Replace(a1, "=2", "=1", 1) + "; " + a2, ""},
		{"the first with a mark of no version", strings.Replace(a1, "=2", "=9", 1) + "; " + a2, ""},
		{"a small session marked as a part", strings.Replace(small, "=1", "=2", 1), ""},
		{"a small session cut into two by somebody else", strings.Replace(small, "=1", "=2", 1) + "; " + name + "-2=", "zoe"},
		{"everything in the first", a1 + rest, ""},
		{"everything in the first, marked whole, beyond any browser's limit", strings.Replace(a1, "=2", "=1", 1) + rest, "ada"},
		{"fifty parts", a1 + many(50, rest), "ada"},
		{"fifty parts and no first", strings.TrimPrefix(many(50, rest), "; "), ""},
		{"fifty seconds", a1 + strings.Repeat("; "+name+"-2=AAAA", 50) + "; " + a2, ""},
		{"parts as others number them", a1 + "; " + name + ".0=" + rest + "; " + name + ".1=" + rest + "; " + name + "-1=" + rest, ""},
		{"parts of other names", a1 + "; " + name + ".foo=" + rest + "; " + name + "-foo=" + rest + "; " + name + "-22=" + rest, ""},
	} {
		if who := s.Stolen(tt.line); who != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, who, tt.want)
		}
	}
	// A stale part is deleted when the session is written next.
	s.Clock.Advance(3 * 60 * 60 * 1e9)
	p := s.AskAs(s.NewBrowser(), "GET", "/who", "Cookie", small+"; "+a2)
	if got := strings.Join(p.Header.Values("Set-Cookie"), "\n"); !strings.Contains(got, name+"-2=; Path=/; Max-Age=0") || !strings.Contains(got, name+"=1") {
		t.Errorf("the stale part was not expired: %q", got)
	}
}

// Any number of other applications' cookies is ignored.
func f26ManyCookies(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	line := s.Mint(&ginauth.User{Subject: "ada"})
	others := func(n, size int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "other%d=%s; ", i, strings.Repeat("x", size))
		}
		return text.String()
	}
	for name, header := range map[string]string{
		"sixty others before":    others(60, 100) + line,
		"sixty others behind":    line + "; " + others(60, 100),
		"thousands of others":    others(5000, 100) + line,
		"garbage between":        ";;; =; ==; a; \"; " + line + " ; ,",
		"eight lines of a proxy": others(8, 8000) + line,
	} {
		if who := s.Stolen(header); who != "ada" {
			t.Errorf("%s: %q", name, who)
		}
	}
	p := s.AskAs(s.NewBrowser(), "GET", "/who", "Cookie", others(300, 8000)+line)
	if p.Status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("more than a server accepts: %d, want 431", p.Status)
	}
}

// A session that does not fit is rejected, and the log names its large parts.
func f12SessionTooLarge(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.KeepClaims = []string{"*"}
		s.IDP.EditIDToken(func(_, claims map[string]any) {
			claims["permissions"], claims["groups"] = strings.Repeat("p", 5000), sitetest.Groups(1200)
		})
	})
	p := s.Finish(s.Begin("/login/demo"))
	s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrSessionError, Tokens: 1, Hide: []string{"pppppppppppp"}})
	if got := s.Logs.String(); !strings.Contains(got, "claim permissions (5.0 KB)") || !strings.Contains(got, "groups (1.2 KB)") || !strings.Contains(got, "id=session.too_large ") || !strings.Contains(got, "KeepClaims") {
		t.Errorf("the log does not name what is too large: %s", got)
	}
	if got := s.SessionCookies(); len(got) > 0 {
		t.Errorf("cookies were set: %v", got)
	}
}

// No data of a user or a token can be read from a cookie, under any layers of base64.
func f3PlaintextInCookies(t *testing.T) {
	t.Parallel()
	var tokens []string
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.KeepClaims = []string{"*"}
		s.IDP.EditToken(func(answer map[string]any) {
			for _, name := range []string{"access_token", "id_token"} {
				tokens = append(tokens, answer[name].(string))
			}
		})
	})
	p := s.SignIn()
	secrets := append(tokens, "ada@example.com", "Ada Lovelace", "Lovelace", s.IDP.Issuer, "en-GB")
	cookies := 0
	for _, hop := range p.Hops {
		for _, line := range hop.Header.Values("Set-Cookie") {
			_, value, _ := strings.Cut(line, "=")
			value, _, _ = strings.Cut(value, ";")
			if !strings.HasPrefix(hop.URL.String(), s.URL) || value == "" {
				continue
			}
			cookies++
			for _, text := range readings(value, 3) {
				for _, secret := range secrets {
					if strings.Contains(text, secret[:min(len(secret), 40)]) {
						t.Errorf("a cookie has %q", secret)
					}
				}
			}
		}
	}
	if cookies < 2 || len(tokens) != 2 {
		t.Errorf("saw %d cookies and %d tokens", cookies, len(tokens))
	}
}

// readings are a text, and its encodings in base64, for every offset and alphabet.
func readings(text string, depth int) []string {
	list := []string{text}
	if depth == 0 {
		return list
	}
	for offset := range min(4, len(text)) {
		for _, e := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
			n := (len(text) - offset) / 4 * 4
			if plain, _ := e.DecodeString(text[offset : offset+n]); len(plain) > 8 {
				list = append(list, readings(string(plain), depth-1)...)
			}
		}
	}
	return list
}

func f4CookieAttributes(t *testing.T) {
	t.Parallel()
	want := regexp.MustCompile(`^__Host-ginauth-[\w-]{6}=1[\w-]{100,}; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax$`)
	s := sitetest.NewTLS(t, nil)
	p := s.Finish(s.Begin("/login/demo"))
	var session []string
	for _, line := range p.Hops[0].Header.Values("Set-Cookie") {
		if name, _, _ := strings.Cut(line, "="); !strings.Contains(name, "-a-") && !strings.HasSuffix(name, "-n") && !strings.HasSuffix(name, "-h") {
			session = append(session, line)
		}
	}
	if len(session) != 1 || !want.MatchString(session[0]) {
		t.Errorf("the session's cookie is %q", session)
	}
	if got := s.Browser.RefusedCookies(); len(got) > 0 {
		t.Errorf("the browser rejected %q", got)
	}
}

// The same keys and names, but another address: another application.
func f20CookieOfAnotherApplication(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	s.As("ada")
	c := s.SessionCookie()
	for _, other := range []string{"http://localhost:9", "https://app.example.com", s.URL + "/prefix"} {
		r := s.Replica(func(o *ginauth.Options) { o.BaseURL = other })
		line := r.Mint(&ginauth.User{Subject: "grace"})
		name, value, _ := strings.Cut(line, "=")
		if !sitetest.SessionName.MatchString(name) || name == c.Name {
			t.Fatalf("%s: its cookie is called %q, ours %q", other, name, c.Name)
		}
		if who := r.Stolen(name + "=" + c.Value); who != "" {
			t.Errorf("%s accepts our session: %q", other, who)
		}
		if who := r.Stolen(line); who != "grace" {
			t.Errorf("%s does not take its own session: %q", other, who)
		}
		if who := s.Stolen(c.Name + "=" + value); who != "" {
			t.Errorf("the session of %s is one of ours: %q", other, who)
		}
	}
	attempt := s.Begin("/login/demo")
	for _, a := range s.Browser.Cookies(s.URL) {
		if strings.Contains(a.Name, "-a-") && s.Stolen(c.Name+"=1"+a.Value) != "" {
			t.Errorf("the attempt of %s is a session", attempt)
		}
	}
}

// An administrator changes the address: the cookies of the other scheme count as another
// application's, and are neither read nor cleared.
func s36FromHttpToHttpsAndBack(t *testing.T) {
	t.Parallel()
	jar := map[string]string{} // like a browser that sends both, the worst case
	now := &sitetest.Clock{}
	at := func(base, path string) string {
		engine := gin.New()
		auth, err := ginauth.Mount(engine, ginauth.Options{BaseURL: base, InsecureHTTP: true, Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{sitetest.Offline("demo")},
			Logger: new(sitetest.Logs).Logger(), Now: now.Now})
		if err != nil {
			t.Fatal(err)
		}
		engine.GET("/sign-in", func(c *gin.Context) {
			if err := auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: base}, nil); err != nil {
				t.Error(err)
			}
		})
		engine.GET("/who", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, ginauth.CurrentUser(c).Subject) })
		r := httptest.NewRequest("GET", base+path, nil)
		for name, value := range jar {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			if c.MaxAge < 0 {
				t.Errorf("%s%s clears %s", base, path, c.Name)
			}
			if strings.HasPrefix(c.Name, "__Host-") != strings.HasPrefix(base, "https") {
				t.Errorf("%s%s sets %s", base, path, c.Name)
			}
			jar[c.Name] = c.Value
		}
		if w.Code != http.StatusOK {
			return ""
		}
		return w.Body.String()
	}
	const plain, safe = "http://app.internal", "https://app.internal"
	at(plain, "/sign-in")
	if who := at(plain, "/who"); who != plain {
		t.Fatalf("over http, %q is signed in", who)
	}
	if who := at(safe, "/who"); who != "" {
		t.Errorf("a cookie from http signs %q in over https", who)
	}
	at(safe, "/login/demo")
	at(safe, "/sign-in")
	now.Advance(10 * time.Hour) // so that both are renewed
	for range 2 {
		for _, base := range []string{safe, plain} {
			if who := at(base, "/who"); who != base {
				t.Errorf("at %s, %q is signed in", base, who)
			}
		}
	}
}
