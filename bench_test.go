package ginauth_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkRequireAuth is a request of a signed-in user through Gin, to a
// handler that reads the user; "no guard" is what Gin itself costs. Every
// request is a new one: a session remembered on the last would flatter.
func BenchmarkRequireAuth(b *testing.B) {
	for _, bench := range []struct {
		name   string
		user   ginauth.User
		path   string
		cookie bool
	}{
		{"no guard", ginauth.User{}, "/open", true},
		{"signed in", ginauth.User{Name: "Ada Lovelace", Email: "ada@example.com", Groups: []string{"admin", "staff"}}, "/guarded", true},
		{"two cookies", ginauth.User{Groups: groupsOf(4000)}, "/guarded", true},
		{"nobody", ginauth.User{}, "/guarded", false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := &site{t: b, URL: "https://app.example.com", engine: gin.New()}
			auth, err := ginauth.Mount(s.engine, ginauth.Options{BaseURL: s.URL, Keys: []string{testKey}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
				Providers: []ginauth.Provider{nowhere}})
			if err != nil {
				b.Fatal(err)
			}
			s.auth = auth
			found := 0
			s.engine.GET("/open", func(c *gin.Context) { found++ })
			s.engine.GET("/guarded", auth.RequireAuth(), func(c *gin.Context) {
				if ginauth.CurrentUser(c) != nil {
					found++
				}
			})
			bench.user.Subject = "248289761001"
			template, err := http.NewRequest("GET", s.URL+bench.path, nil)
			if err != nil {
				b.Fatal(err)
			}
			if bench.cookie {
				template.Header.Set("Cookie", "theme=dark; "+s.mint(&bench.user)+"; consent=1")
			}
			w, r := &discard{header: http.Header{}}, new(http.Request)
			b.ReportAllocs()
			for b.Loop() {
				*r = *template
				clear(w.header)
				s.engine.ServeHTTP(w, r)
			}
			if want := b.N; bench.cookie && found != want || !bench.cookie && found != 0 {
				b.Fatalf("%d of %d requests reached the handler", found, b.N)
			}
		})
	}
}
