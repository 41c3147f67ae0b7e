package bench_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/redisstate"
)

// setting has the differences from ginauth's defaults.
type setting struct {
	hooks    bool
	loadUser bool
	keys     bool // Authenticate, which returns no user
	acr      bool // the user has an acr
	proves   bool // the guard has MaxAge and ACR
	shared   bool // revocations in Redis, followed
	asked    bool // revocations in Redis, read at each request
	attempts int  // number of sign-ins in progress
	more     int  // KB in the session in addition to the user
	first    bool // more browsers take turns than the session cache holds
	store    func() ginsessions.Store
}

// corp is a provider that gets no requests.
func corp() ginauth.Provider {
	return ginauth.Provider{
		Name: "corp", Issuer: issuer, ClientID: clientID, ClientSecret: "secret",
		AuthorizeURL: issuer + "/authorize", TokenURL: issuer + "/token", JWKSURL: issuer + "/jwks",
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// adaUser returns ada as a User of ginauth.
func adaUser() *ginauth.User {
	u := ada()
	return &ginauth.User{Provider: "corp", Subject: u.ID, Name: u.Name, Email: u.Email, EmailVerified: true, Picture: u.Picture, Groups: u.Roles}
}

// welcome is the handler behind RequireAuth.
func welcome(c *gin.Context) {
	u := ginauth.CurrentUser(c)
	if u == nil {
		c.Status(http.StatusUnauthorized)
		return
	}
	answer(c, u.Subject, len(u.Groups))
}

func ours(s setting) func() app {
	return func() app {
		opts := ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{key}, Providers: []ginauth.Provider{corp()}, Logger: quiet()}
		if s.store != nil {
			opts.Sessions = s.store()
		}
		if s.shared || s.asked {
			store := redisstate.New(redis.NewClient(&redis.Options{Addr: redisAddress()}), rand.Text())
			if opts.Revocations = store; s.shared {
				opts.Revocations = ginauth.Cached(store)
			}
		}
		if s.hooks {
			opts.Logger = slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug}))
			opts.Hooks = ginauth.Hooks{
				OnLogin:  func(*gin.Context, *ginauth.Login) error { return nil },
				OnLogout: func(*gin.Context, *ginauth.User) {},
				OnError:  func(*gin.Context, *ginauth.Error) {},
			}
		}
		if s.keys {
			opts.Hooks.Authenticate = func(*gin.Context) (*ginauth.User, error) { return nil, nil }
		}
		engine := gin.New()
		auth := must(ginauth.Mount(engine, opts))
		user := adaUser()
		for i := range s.more {
			if user.Data == nil {
				user.Data = map[string]string{}
			}
			user.Data[fmt.Sprint("note", i)] = strings.Repeat("0123456789", 100)
		}
		guard := auth.RequireAuth()
		if s.acr {
			user.ACR = "mfa"
		}
		if s.proves {
			guard = auth.RequireAuth(ginauth.MaxAge(24*time.Hour), ginauth.ACR("mfa"))
		}
		if s.loadUser {
			guard = auth.LoadUser()
		}
		a := app{handler: routes(engine, welcome, guard)}
		a.cookies, a.set = signInOurs(auth, user)
		a.another = func() string { cookies, _ := signInOurs(auth, user); return cookies }
		for i := 0; s.first && i < 1<<14; i++ {
			cookies, _ := signInOurs(auth, user)
			a.turns = append(a.turns, others+cookies)
		}
		for range s.attempts {
			attempt, _ := cookiesOf(engine, httptest.NewRequest("GET", "https://app.example.com/login/corp", nil))
			a.cookies = attempt + "; " + a.cookies
		}
		return a
	}
}

func signInOurs(auth *ginauth.Auth, user *ginauth.User) (cookies string, set int) {
	return signIn(func(c *gin.Context) {
		if err := auth.SignIn(c, user, nil); err != nil {
			panic(err)
		}
	})
}
