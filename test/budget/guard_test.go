package budget

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
	"github.com/ginauth/ginauth/internal/wire"
)

// discard is a ResponseWriter without a cost.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header { return d.header }

func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

func (d *discard) WriteHeader(status int) { d.status = status }

// realistic is a user with typical claims.
func realistic() *ginauth.User {
	return &ginauth.User{
		Provider: sitetest.Nowhere.Name, Subject: "113824957301846529371", Name: "Ada Lovelace", Email: "ada.lovelace@example.com", EmailVerified: true,
		Picture: "https://lh3.example.com/a/" + strings.Repeat("ACg8ocJ", 9) + "=s9",
		Groups:  []string{"employees", "engineering", "admin", "vpn-users", "on-call"},
	}
}

// benchmark is an application with nine routes, and requests to one of them. Every request is a
// new value: results cached in the previous one would distort the measurement.
type benchmark struct {
	engine   *gin.Engine
	site     *sitetest.Site
	template *http.Request
	turns    []string // Cookie headers that requests send in turn, instead of the template's
	sent     int
	found    int
}

// newBenchmark returns a benchmark whose requests have these cookies between others.
func newBenchmark(t testing.TB, path string, cookies func(s *sitetest.Site) string, change func(o *ginauth.Options)) *benchmark {
	t.Helper()
	b := &benchmark{engine: gin.New()}
	b.site = &sitetest.Site{T: t, URL: "https://app.example.com", Engine: b.engine}
	opts := ginauth.Options{BaseURL: b.site.URL, Keys: []string{"the newest key, which seals all the cookies", sitetest.Key},
		Logger: slog.New(slog.DiscardHandler), Providers: []ginauth.Provider{sitetest.Nowhere}}
	if change != nil {
		change(&opts)
	}
	auth, err := ginauth.Mount(b.engine, opts)
	if err != nil {
		t.Fatal(err)
	}
	b.site.Auth = auth
	static := realistic()
	b.engine.GET("/open", func(*gin.Context) { b.found++ })
	b.engine.GET("/floor", func(c *gin.Context) { c.Set(ginauth.UserKey, static) }, b.read)
	b.engine.GET("/guarded", auth.RequireAuth(), b.read)
	b.engine.GET("/checked", auth.RequireAuth(ginauth.HasGroup("admin")), b.read)
	b.engine.GET("/proved", auth.RequireAuth(ginauth.MaxAge(24*time.Hour), ginauth.ACR("mfa")), b.read)
	b.engine.GET("/loaded", auth.LoadUser(), b.read)
	b.engine.GET("/both", auth.LoadUser(), auth.RequireAuth(), b.read)
	b.template, err = http.NewRequest("GET", b.site.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.template.Header.Set("Cookie", "theme=dark; _ga=GA1.2.1234567890.1234567890; "+cookies(b.site))
	return b
}

// identifying sets an Authenticate that returns u, and never an error.
func identifying(u *ginauth.User) func(o *ginauth.Options) {
	return func(o *ginauth.Options) {
		o.Hooks.Authenticate = func(*gin.Context) (*ginauth.User, error) { return u, nil }
	}
}

// read is a handler that reads the signed-in user.
func (b *benchmark) read(c *gin.Context) {
	if u := ginauth.CurrentUser(c); u != nil && u.Subject == "113824957301846529371" && len(u.Groups) >= 5 {
		b.found++
	}
}

// request serves one.
func (b *benchmark) request(w *discard, r *http.Request) {
	*r = *b.template
	if len(b.turns) > 0 {
		r.Header["Cookie"][0] = b.turns[b.sent%len(b.turns)]
		b.sent++
	}
	clear(w.header)
	b.engine.ServeHTTP(w, r)
}

func (b *benchmark) run(tb *testing.B) {
	w, r := &discard{header: http.Header{}}, new(http.Request)
	tb.ReportAllocs()
	for tb.Loop() {
		b.request(w, r)
	}
	if b.found != tb.N {
		tb.Fatalf("%d of %d requests reached the handler with its user", b.found, tb.N)
	}
}

// signedIn returns the Cookie header of the realistic user with additional data.
func signedIn(change func(u *ginauth.User)) func(s *sitetest.Site) string {
	return func(s *sitetest.Site) string {
		u := realistic()
		if change != nil {
			change(u)
		}
		return s.Mint(u)
	}
}

// proved is signedIn with a second factor.
var proved = signedIn(func(u *ginauth.User) { u.ACR = "mfa" })

// attempting is signedIn with five sign-ins in progress.
func attempting(s *sitetest.Site) string {
	session := s.Mint(realistic())
	name, _, _ := strings.Cut(session, "=")
	var others strings.Builder
	for _, handle := range []string{"AAAAAAAA", "BBBBBBBB", "CCCCCCCC", "DDDDDDDD", "EEEEEEEE"} {
		others.WriteString(name + "-a-" + handle + "=" + strings.Repeat("x", 420) + "; ")
	}
	return others.String() + session
}

// BenchmarkRequireAuth is a request of a signed-in user through Gin, to a handler that reads the
// user. "no guard" is the cost of Gin alone, "floor" its cost with a constant user, and "limit"
// the additional minimum for any sealed cookie.
func BenchmarkRequireAuth(b *testing.B) {
	grown := func(kb int) func(s *sitetest.Site) string {
		return signedIn(func(u *ginauth.User) { u.Groups = append(u.Groups, sitetest.Groups(kb*1000)...) })
	}
	for _, bench := range []struct {
		name, path string
		cookies    func(s *sitetest.Site) string
	}{
		{"no guard", "/open", signedIn(nil)},
		{"floor", "/floor", signedIn(nil)},
		{"signed in", "/guarded", signedIn(nil)},
		{"a Check", "/checked", signedIn(nil)},
		{"MaxAge and ACR", "/proved", proved},
		{"LoadUser", "/loaded", signedIn(nil)},
		{"five sign-ins under way", "/guarded", attempting},
		{"1 KB more in groups", "/guarded", grown(1)},
		{"2 KB more in groups", "/guarded", grown(2)},
		{"4 KB more in groups, two cookies", "/guarded", grown(4)},
		{"2 KB more in a text", "/guarded", signedIn(func(u *ginauth.User) { u.Name = strings.Repeat("n", 2000) })},
		{"4 KB more in a text, two cookies", "/guarded", signedIn(func(u *ginauth.User) { u.Name = strings.Repeat("n", 4000) })},
		{"1 KB more in data", "/guarded", signedIn(func(u *ginauth.User) {
			u.Data = map[string]string{"a": strings.Repeat("x", 500), "b": strings.Repeat("y", 500)}
		})},
	} {
		b.Run(bench.name, func(b *testing.B) { newBenchmark(b, bench.path, bench.cookies, nil).run(b) })
	}
	b.Run("an Authenticate that knows nobody", func(b *testing.B) { newBenchmark(b, "/guarded", signedIn(nil), identifying(nil)).run(b) })
	b.Run("a user of Authenticate", func(b *testing.B) { newBenchmark(b, "/guarded", signedIn(nil), identifying(realistic())).run(b) })
	b.Run("limit", benchmarkLimit)
	b.Run("nobody", func(b *testing.B) {
		bench := newBenchmark(b, "/guarded", func(*sitetest.Site) string { return "" }, nil)
		w, r := &discard{header: http.Header{}}, new(http.Request)
		b.ReportAllocs()
		for b.Loop() {
			bench.request(w, r)
		}
	})
}

// benchmarkLimit only reads a sealed cookie: without a choice of keys, lifetime, revocation or
// rejection.
func benchmarkLimit(b *testing.B) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	u := realistic()
	var plain []byte
	for _, text := range []string{u.Provider, u.Subject, u.Name, u.Email, u.Picture} {
		plain = wire.AppendString(plain, text)
	}
	plain = wire.AppendStrings(plain, u.Groups)
	nonce := make([]byte, gcm.NonceSize())
	sealed := base64.RawURLEncoding.EncodeToString(gcm.Seal(nonce, nonce, plain, nil))
	header := http.Header{"Cookie": {"theme=dark; _ga=GA1.2.1234567890.1234567890; __Host-ginauth-ABCDEF=" + sealed}}
	b.ReportAllocs()
	for b.Loop() {
		_, text, _ := strings.Cut(header["Cookie"][0], "__Host-ginauth-ABCDEF=")
		buf := make([]byte, base64.RawURLEncoding.DecodedLen(len(text)))
		if _, err := base64.RawURLEncoding.Decode(buf, []byte(text)); err != nil {
			b.Fatal(err)
		}
		open, err := gcm.Open(buf[12:12], buf[:12], buf[12:], nil)
		if err != nil {
			b.Fatal(err)
		}
		r, got := wire.NewReader(string(open)), new(ginauth.User)
		for _, text := range [...]*string{&got.Provider, &got.Subject, &got.Name, &got.Email, &got.Picture} {
			*text = r.String()
		}
		if got.Groups = r.Strings(nil); !r.OK() || len(got.Groups) != 5 {
			b.Fatal("not the user")
		}
	}
}

// A typical user must not exceed this length of a Set-Cookie line.
func TestSizeOfASessionCookie(t *testing.T) {
	t.Parallel()
	b := newBenchmark(t, "/guarded", signedIn(nil), nil)
	recorder := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(recorder)
	c.Request = httptest.NewRequest("GET", "/", nil)
	err := b.site.Auth.SignIn(c, &ginauth.User{Provider: sitetest.Nowhere.Name, Subject: "110169484474386276334", Name: "Ada Lovelace", Email: "ada.lovelace@example.com", EmailVerified: true,
		Picture: "https://lh3.example.com/a/ACg8ocJq3Xw0Vt0p1Zb6n4KfXo3yq2s9m8LwQf7uE5r4T1y2Hd6Gk3Pz0b=s96-cc0",
		Groups:  []string{"employee", "engineering", "release-manager", "on-call", "admin"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if size := len("Set-Cookie: \r\n") + len(recorder.Header().Get("Set-Cookie")); size > 480 {
		t.Errorf("it has %d bytes", size)
	}
}
