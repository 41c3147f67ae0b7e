//go:build !race

// Under the race detector these numbers would say nothing.

package stores_test

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
	gincookie "github.com/gin-contrib/sessions/cookie"
	gingorm "github.com/gin-contrib/sessions/gorm"
	"github.com/gin-contrib/sessions/memstore"
	ginpostgres "github.com/gin-contrib/sessions/postgres"
	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/redisstate"
)

// somebody is a user as a provider for employees describes them.
func somebody() *ginauth.User {
	return &ginauth.User{
		Provider: "corp", Subject: "00u1a2b3c4d5e6f7g8h9", Name: "Ada King, Countess of Lovelace", Username: "ada.lovelace",
		Email: "ada.lovelace@analytical-engines.example", EmailVerified: true, Locale: "en-GB",
		Picture: "https://lh3.example.com/a/ACg8ocJq3Xw0Vt0p1Zb6n4KfXo3yq2s9m8LwQf7uE5r4T1y2=s96-c",
		Groups:  []string{"employees", "engineering", "engineering-leads", "vpn-users", "on-call"},
		Data:    map[string]string{"user_id": "3f0c6f0e-8d0b-4b5e-9f0e-2a5f8a1d9c77"},
	}
}

// guarded is an application with one protected route, and the Cookie header of
// somebody who is signed in.
func guarded(t testing.TB, store ginsessions.Store, revocations ginauth.Revocations) (app http.Handler, cookies string, set int) {
	t.Helper()
	engine := gin.New()
	auth := must[*ginauth.Auth](t)(ginauth.Mount(engine, ginauth.Options{
		BaseURL: "https://app.example.com", Keys: []string{"the key of an application that is measured"}, Sessions: store, Revocations: revocations,
		Providers: []ginauth.Provider{{Name: "corp", Issuer: "https://login.example.com", ClientID: "app", ClientSecret: "secret"}},
		Logger:    slog.New(slog.DiscardHandler),
	}))
	engine.GET("/me", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, ginauth.CurrentUser(c).Email) })
	engine.POST("/in", func(c *gin.Context) {
		if err := auth.SignIn(c, somebody(), nil); err != nil {
			t.Fatal(err)
		}
	})
	cookies, set = enter(engine)
	return engine, cookies, set
}

// bare is what an application without ginauth does for itself with
// gin-contrib's middleware: it reads the same user, whom nothing protects.
func bare(t testing.TB, store ginsessions.Store) (app http.Handler, cookies string) {
	t.Helper()
	engine := gin.New()
	engine.Use(ginsessions.Sessions("session", store))
	engine.GET("/me", func(c *gin.Context) {
		text, _ := ginsessions.Default(c).Get("user").(string)
		u := new(ginauth.User)
		if err := json.Unmarshal([]byte(text), u); err != nil {
			c.AbortWithStatus(http.StatusUnauthorized)
			return
		}
		c.String(http.StatusOK, u.Email)
	})
	engine.POST("/in", func(c *gin.Context) {
		text := must[[]byte](t)(json.Marshal(somebody()))
		s := ginsessions.Default(c)
		s.Set("user", string(text))
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
	})
	cookies, _ = enter(engine)
	return engine, cookies
}

// enter signs in, and returns the cookies and the size of their Set-Cookie
// lines.
func enter(app http.Handler) (cookies string, set int) {
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("POST", "/in", nil))
	var pairs []string
	for _, line := range w.Header()["Set-Cookie"] {
		set += len("Set-Cookie: ") + len(line) + len("\r\n")
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, "; "), set
}

func ask(t testing.TB, app http.Handler, cookies string) {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/me", nil)
	r.Header.Set("Cookie", cookies)
	app.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Body.String() != somebody().Email {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

// TestSizes prints what a sign-in of somebody costs, in bytes.
func TestSizes(t *testing.T) {
	db, pool := openGorm(t)
	post, _ := openPostgres(t)
	redis, memcached := openRedis(-1)(t), openMemcached(t)
	text := must[[]byte](t)(json.Marshal(somebody()))
	t.Logf("the user is %d bytes of JSON", len(text))
	for _, home := range []struct {
		name  string
		store ginsessions.Store
		dump  func() string
	}{
		{"sealed cookie", nil, nil},
		{"gin-contrib cookie, signed", gincookie.NewStore(storeKey), nil},
		{"gin-contrib cookie, signed and encrypted", gincookie.NewStore(storeKey, storeKey[:32]), nil},
		{"memstore", memstore.NewStore(storeKey), nil},
		{"Redis", redis.Store, redis.Dump},
		{"memcached", memcached.Store, memcached.Dump},
		{"SQLite, gorm", gingorm.NewStore(db, false, storeKey), func() string { return dumpTable(t, pool, "sessions") }},
		{"PostgreSQL", must[ginpostgres.Store](t)(ginpostgres.NewStore(post, storeKey)), func() string { return dumpTable(t, post, "http_sessions") }},
	} {
		app, cookies, set := guarded(t, home.store, nil)
		ask(t, app, cookies)
		kept := 0
		if home.dump != nil {
			kept = len(home.dump())
		}
		t.Logf("%-42s Set-Cookie %4d   Cookie %4d   in the store %4d", home.name, set, len(cookies), kept)
	}
}

// BenchmarkGuard asks for a protected page, and BenchmarkBare for an
// unprotected one that reads the same user by hand.
func BenchmarkGuard(b *testing.B) {
	shared := redisstate.New(redis.NewClient(&redis.Options{Addr: address(b, "GINAUTH_REDIS")}), rand.Text())
	measure := func(name string, store func() ginsessions.Store, revocations ginauth.Revocations) {
		b.Run(name, func(b *testing.B) {
			app, cookies, _ := guarded(b, store(), revocations)
			askMany(b, app, cookies)
		})
	}
	none := func() ginsessions.Store { return nil }
	measure("sealed cookie", none, nil)
	measure("memstore", memory, nil)
	measure("Redis", redisOf(b), nil)
	measure("sealed cookie, redisstate", none, shared)
	measure("Redis, redisstate", redisOf(b), shared)
}

func BenchmarkBare(b *testing.B) {
	for name, store := range map[string]func() ginsessions.Store{"memstore": memory, "Redis": redisOf(b)} {
		b.Run(name, func(b *testing.B) {
			app, cookies := bare(b, store())
			askMany(b, app, cookies)
		})
	}
}

func memory() ginsessions.Store { return memstore.NewStore(storeKey) }

func redisOf(b *testing.B) func() ginsessions.Store {
	return func() ginsessions.Store { return redisStore(b, address(b, "GINAUTH_REDIS"), rand.Text(), -1) }
}

func askMany(b *testing.B, app http.Handler, cookies string) {
	b.ReportAllocs()
	for b.Loop() {
		ask(b, app, cookies)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
