// Command example is a Gin application with sign-in. It needs only Go: an identity provider with
// a few demo users runs in the same process.
//
//	go run ./example
//	go run ./example -check   # queries the providers, reports problems, and exits
//
// Environment variables add real providers, each with the redirect URI that is printed at
// startup: those of docs/providers.md, and any OpenID provider.
//
//	GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET
//	GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET
//	CORP_ISSUER, CORP_CLIENT_ID, CORP_CLIENT_SECRET
//
// ADDR is the address to listen on (default localhost:8080), BASE_URL the one that browsers use
// (default http://ADDR), SESSION_KEYS the secrets that seal the cookies, separated by commas,
// REDIS_ADDR the Redis through which replicas share sign-outs.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
	"github.com/ginauth/ginauth/redisstate"
)

//go:embed pages.html style.css
var files embed.FS

func main() {
	justCheck := flag.Bool("check", false, "check the providers, print problems and what to register, and exit, with status 1 if there are problems")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	do := run
	if *justCheck {
		slog.SetLogLoggerLevel(slog.LevelError) // check prints the rest
		do = func(ctx context.Context) error { return check(ctx, os.Stdout) }
	}
	if err := do(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	listener, err := net.Listen("tcp", address())
	if err != nil {
		return fmt.Errorf("%w\nIf another program listens there, choose another port: ADDR=localhost:8081 go run ./example", err)
	}
	base := publicBase(listener.Addr().String())
	list, closeDemo, err := allProviders(base)
	if err != nil {
		return err
	}
	defer closeDemo()
	app, _, err := newApp(base, list)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: app, ReadHeaderTimeout: 10 * time.Second}
	closed := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		closed <- server.Shutdown(patience)
	})
	fmt.Printf("\nopen %s\n\n", base)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-closed
}

// newApp builds the application: this is the part to copy.
func newApp(base string, list []ginauth.Provider) (*gin.Engine, *ginauth.Auth, error) {
	gin.SetMode(gin.ReleaseMode)
	app := gin.New()
	app.SetHTMLTemplate(template.Must(template.ParseFS(files, "pages.html")))
	// Do not log the query, which may contain a code, nor cookies: gin.Recovery would log both.
	app.Use(gin.LoggerWithConfig(gin.LoggerConfig{SkipQueryString: true}), gin.CustomRecoveryWithWriter(nil, panicked), headers)

	site := new(site)
	opts := ginauth.Options{
		BaseURL:    base,
		Providers:  list,
		KeepClaims: []string{"*"}, // so that /profile can show them; most applications keep none
		Hooks:      ginauth.Hooks{OnError: site.forbidden},
	}
	if keys := os.Getenv("SESSION_KEYS"); keys != "" {
		opts.Keys = strings.Split(keys, ",")
	}
	if addr := os.Getenv("REDIS_ADDR"); addr != "" { // several replicas share sign-outs
		opts.Revocations = ginauth.Cached(redisstate.New(redis.NewClient(&redis.Options{Addr: addr}), "example:"))
	}
	// Mount adds /login, /authorize and /logout.
	auth, err := ginauth.Mount(app, opts)
	if err != nil {
		return nil, nil, err
	}
	site.auth = auth
	app.StaticFileFS("/style.css", "style.css", http.FS(files))

	// A public page, which shows the signed-in user if there is one.
	app.GET("/", auth.LoadUser(), func(c *gin.Context) {
		site.show(c, http.StatusOK, "home", gin.H{})
	})
	// A page for signed-in users; others are redirected to the login, and return here.
	app.GET("/profile", auth.RequireAuth(), site.profile)
	// A page for one group; others get 403.
	app.GET("/admin", auth.RequireAuth(ginauth.HasGroup("admin")), func(c *gin.Context) {
		site.show(c, http.StatusOK, "admin", gin.H{})
	})
	return app, auth, nil
}

// site shows the pages.
type site struct {
	auth *ginauth.Auth // set before the first request
}

func (s *site) profile(c *gin.Context) {
	claims, err := ginauth.Claims[map[string]any](c)
	if err != nil {
		_ = c.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	text, _ := json.MarshalIndent(claims, "", "  ")
	s.show(c, http.StatusOK, "profile", gin.H{"Claims": string(text)})
}

// forbidden is the application's page for users that a check rejects. It writes nothing for
// other failures, which get the built-in page.
func (s *site) forbidden(c *gin.Context, e *ginauth.Error) {
	if e.Code == ginauth.ErrForbidden {
		c.Header("Content-Security-Policy", policy) // replaces the stricter one of built-in responses
		s.show(c, e.Status(), "forbidden", gin.H{})
	}
}

// show renders a page, which takes the URLs of sign-in and sign-out from Auth.
func (s *site) show(c *gin.Context, status int, page string, data gin.H) {
	data["Auth"], data["User"] = s.auth, ginauth.CurrentUser(c)
	c.HTML(status, page, data)
}

// policy lets pages load the application's style and icon and users' pictures, and lets the
// sign-out form redirect to the provider. Name your provider in place of https: and of
// http://127.0.0.1:*, which is for the built-in one.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' https: http://127.0.0.1:*; form-action 'self' https: http://127.0.0.1:*; base-uri 'none'; frame-ancestors 'none'"

func headers(c *gin.Context) {
	c.Header("Content-Security-Policy", policy)
	c.Header("Referrer-Policy", "same-origin")
	c.Header("X-Content-Type-Options", "nosniff")
}

// allProviders returns the providers of the environment and, if only this machine can reach the
// application, the built-in one, which asks for no password.
func allProviders(base string) (list []ginauth.Provider, closeDemo func(), err error) {
	closeDemo = func() {}
	if u, err := url.Parse(base); err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()) {
		demo, err := authtest.Start(authtest.Config{ClientName: "the ginauth example"})
		if err != nil {
			return nil, nil, err
		}
		p := demo.Client("demo")
		p.DisplayName = "Demo provider"
		list, closeDemo = append(list, p), demo.Close
		slog.Info("a demo provider has started; it asks for no password", "issuer", demo.Issuer)
	}
	real, err := providers.FromEnv()
	if err != nil {
		closeDemo()
		return nil, nil, err
	}
	return append(list, real...), closeDemo, nil
}
