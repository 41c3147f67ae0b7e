package ginauth_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// A resource server only accepts access tokens: it has no login routes, no cookies and no
// keys. The provider needs an Issuer and an Audience, and no ClientID.
func ExampleMount_resourceServer() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL: "https://api.example.com",
		Providers: []ginauth.Provider{{
			Name:     "corp",
			Issuer:   idp.Issuer, // "https://login.corp.example"
			Audience: "https://api.example.com",
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/reports", auth.RequireAuth(ginauth.HasScope("reports:read")), func(c *gin.Context) {
		c.String(http.StatusOK, "the reports of %s", ginauth.CurrentUser(c).Subject)
	})

	fmt.Println(call(app, "/reports", authtest.Bearer(idp, "https://api.example.com", "ada", "reports:read")))
	fmt.Println(call(app, "/reports", nil))
	// Output:
	// 200 the reports of ada
	// 401 Bearer scope="reports:read", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"
}

// A guard with HasScope admits users with a session, and access tokens with that scope. A
// guard without it admits no access token.
func ExampleHasScope() {
	idp := startDemo()
	defer idp.Close()
	const api = "https://app.example.com/api"
	corp := idp.Client("corp")
	corp.Audience = api
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{corp}})
	if err != nil {
		log.Fatal(err)
	}
	hello := func(c *gin.Context) { c.String(http.StatusOK, "Hello, %s!", ginauth.CurrentUser(c).Subject) }
	app.GET("/reports", auth.RequireAuth(ginauth.HasScope("reports:read")), hello)
	app.GET("/settings", auth.RequireAuth(), hello)

	read := authtest.Bearer(idp, api, "ada", "reports:read")
	fmt.Println("token:", call(app, "/reports", read).status)
	fmt.Println("token without the scope:", call(app, "/reports", authtest.Bearer(idp, api, "ada", "profile")).status)
	fmt.Println("token, guard without HasScope:", call(app, "/settings", read).status)

	ada := visit(app)
	defer ada.leave()
	fmt.Println("session:", ada.signIn("/reports", "Ada Lovelace"))
	// Output:
	// token: 200
	// token without the scope: 403
	// token, guard without HasScope: 403
	// session: 200 Hello, ada!
}

// A program signs in as itself, without a user, by the client credentials grant. IsClient
// admits it, here beside users.
func ExampleIsClient() {
	idp := startDemo()
	defer idp.Close()
	const api = "https://api.example.com"
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   api,
		Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: api}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/reports", auth.RequireAuth(ginauth.AnyOf(ginauth.HasScope("reports:read"), ginauth.IsClient("nightly-report"))), func(c *gin.Context) {
		c.String(http.StatusOK, "program: %t", ginauth.CurrentUser(c).Grant.Program)
	})

	for _, client := range []string{"nightly-report", "another-program"} {
		token := idp.AccessToken(authtest.AccessToken{Audience: api, ClientID: client, Scopes: []string{"reports:read"}})
		fmt.Println(client, call(app, "/reports", http.Header{"Authorization": {"Bearer " + token}}))
	}
	fmt.Println("ada", call(app, "/reports", authtest.Bearer(idp, api, "ada", "reports:read")))
	// Output:
	// nightly-report 200 program: true
	// another-program 403 Bearer error="insufficient_scope", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"
	// ada 200 program: false
}

// OnToken adds groups from a database to the user of an access token, as OnLogin does for a
// session. The result is cached for a minute.
func ExampleHooks_onToken() {
	idp := startDemo()
	defer idp.Close()
	const api = "https://api.example.com"
	roles := map[string][]string{idp.Issuer + "#ada": {"editor"}} // a table, by User.ID
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   api,
		Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: api}},
		Hooks: ginauth.Hooks{OnToken: func(c *gin.Context, user *ginauth.User) error {
			groups, known := roles[user.ID()]
			if !known {
				return ginauth.ErrForbidden
			}
			user.Groups = groups
			return nil
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/drafts", auth.RequireAuth(ginauth.HasScope("drafts"), ginauth.HasGroup("editor")), func(c *gin.Context) {
		c.String(http.StatusOK, "the drafts")
	})

	fmt.Println(call(app, "/drafts", authtest.Bearer(idp, api, "ada", "drafts")))
	fmt.Println(call(app, "/drafts", authtest.Bearer(idp, api, "eve", "drafts")).status)
	// Output:
	// 200 the drafts
	// 403
}

// CurrentUser returns the user in handlers behind a guard. Functions that receive a
// context.Context get the user from c.Request.Context().
func ExampleCurrentUser() {
	idp := startDemo()
	defer idp.Close()
	greeting := func(ctx context.Context) string { return "Hello, " + ginauth.CurrentUser(ctx).Name + "!" }
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{idp.Client("corp")}})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		user := ginauth.CurrentUser(c)
		email, verified := user.VerifiedEmail()
		c.String(http.StatusOK, "%s Your address is %s (verified: %t).", greeting(c.Request.Context()), email, verified)
	})

	ada := visit(app)
	defer ada.leave()
	fmt.Println(ada.signIn("/", "Ada Lovelace"))
	// Output: 200 Hello, Ada Lovelace! Your address is ada@example.com (verified: true).
}

// A page with a sensitive action requires that the user authenticated recently. Ten minutes
// after the sign-in, the browser is redirected to the provider and back.
func ExampleMaxAge() {
	var elapsed time.Duration
	clock := func() time.Time { return time.Now().Add(elapsed) }
	idp, err := authtest.Start(authtest.Config{Now: clock})
	if err != nil {
		log.Fatal(err)
	}
	defer idp.Close()
	idp.SingleSignOn(true) // like most providers, it remembers its users
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{idp.Client("corp")}, Now: clock, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/payout", auth.RequireAuth(ginauth.MaxAge(5*time.Minute)), func(c *gin.Context) {
		c.String(http.StatusOK, "the payout form")
	})

	ada := visit(app)
	defer ada.leave()
	fmt.Println(ada.signIn("/payout", "Ada Lovelace"))
	elapsed = 10 * time.Minute
	ada.open("/payout")
	fmt.Println("asked by the provider:", ada.page.URL.Host != "localhost:8080")
	fmt.Println(ada.choose("Ada Lovelace"))
	// Output:
	// 200 the payout form
	// asked by the provider: true
	// 200 the payout form
}

// A page that requires a second factor. The value is defined by the provider.
func ExampleACR() {
	idp := startDemo()
	defer idp.Close()
	idp.AuthenticateWith("password") // what a sign-in is without acr_values
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{idp.Client("corp")}})
	if err != nil {
		log.Fatal(err)
	}
	show := func(c *gin.Context) { c.String(http.StatusOK, ginauth.CurrentUser(c).ACR) }
	app.GET("/", auth.RequireAuth(), show)
	app.GET("/payout", auth.RequireAuth(ginauth.ACR("mfa")), show)

	ada := visit(app)
	defer ada.leave()
	fmt.Println(ada.signIn("/", "Ada Lovelace"))
	fmt.Println(ada.signIn("/payout", "Ada Lovelace"))
	// Output:
	// 200 password
	// 200 mfa
}

// AnyOf admits users that pass one of several checks.
func ExampleAnyOf() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{idp.Client("corp")}})
	if err != nil {
		log.Fatal(err)
	}
	owner := func(u *ginauth.User) error { // of a project, in a database
		if u.Subject != "zoe" {
			return errors.New("not the owner")
		}
		return nil
	}
	app.GET("/project", auth.RequireAuth(ginauth.AnyOf(ginauth.HasGroup("admin"), owner)), func(c *gin.Context) {
		c.String(http.StatusOK, "the project")
	})

	for _, name := range []string{"Ada Lovelace", "Zoë Ångström", "Grace Hopper"} {
		person := visit(app)
		fmt.Println(name, person.signIn("/project", name))
		person.leave()
	}
	// Output:
	// Ada Lovelace 200 the project
	// Zoë Ångström 200 the project
	// Grace Hopper 403 Access denied (forbidden)
}

// A handler that signs the user out, for example after the account was deleted.
func ExampleAuth_Logout() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{idp.Client("corp")}})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.LoadUser(), func(c *gin.Context) {
		c.String(http.StatusOK, "signed in: %t", ginauth.CurrentUser(c) != nil)
	})
	app.POST("/account/delete", auth.RequireAuth(), func(c *gin.Context) {
		if err := auth.Logout(c); err != nil { // delete the account after this
			auth.Fail(c, err)
			return
		}
		c.Redirect(http.StatusSeeOther, "/")
	})

	ada := visit(app)
	defer ada.leave()
	ada.signIn("/login", "Ada Lovelace")
	fmt.Println(ada.open("/"))
	fmt.Println(ada.submit("/account/delete", nil))
	// Output:
	// 200 signed in: true
	// 200 signed in: false
}

// An administrator revokes all sessions of a user by the stored User.ID.
func ExampleAuth_LogoutEverywhere() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{idp.Client("corp")}})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.LoadUser(), func(c *gin.Context) {
		c.String(http.StatusOK, "signed in: %t", ginauth.CurrentUser(c) != nil)
	})

	laptop, phone := visit(app), visit(app)
	defer laptop.leave()
	defer phone.leave()
	laptop.signIn("/login", "Ada Lovelace")
	phone.signIn("/login", "Ada Lovelace")
	if err := auth.LogoutEverywhere(context.Background(), idp.Issuer+"#ada"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(laptop.open("/"))
	fmt.Println(phone.open("/"))
	// Output:
	// 200 signed in: false
	// 200 signed in: false
}

// The session's times, for an account page.
func ExampleAuth_Session() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{idp.Client("corp")}})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/account", auth.RequireAuth(), func(c *gin.Context) {
		session, _ := auth.Session(c)
		c.String(http.StatusOK, "signed in with %s; the session expires after %v", session.Provider, session.AbsoluteExpiry.Sub(session.Created).Round(time.Hour))
	})

	ada := visit(app)
	defer ada.leave()
	fmt.Println(ada.signIn("/account", "Ada Lovelace"))
	// Output: 200 signed in with corp; the session expires after 168h0m0s
}

// A handler returns an error of this package as a guard would: here it redirects a user who
// is not signed in.
func ExampleAuth_Fail() {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{{Name: "corp", Issuer: "https://login.corp.example", ClientID: "shop", ClientSecret: "secret"}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/documents/:id", auth.LoadUser(), func(c *gin.Context) {
		if public := c.Param("id") == "1"; !public && ginauth.CurrentUser(c) == nil {
			auth.Fail(c, ginauth.ErrUnauthenticated)
			return
		}
		c.String(http.StatusOK, "document %s", c.Param("id"))
	})

	for _, path := range []string{"/documents/1", "/documents/2"} {
		answer := httptest.NewRecorder()
		app.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		fmt.Println(path, answer.Code)
	}
	// Output:
	// /documents/1 200
	// /documents/2 401
}

// A nightly job renews the token that a sign-in stored. It stores the result before using it.
func ExampleAuth_Refresh() {
	idp := startDemo()
	defer idp.Close()
	corp := idp.Client("corp")
	corp.Scopes = []string{"openid", "offline_access"} // or providers.Offline(corp)
	stored := map[string]*oauth2.Token{}               // a table, by User.ID
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{corp},
		Hooks: ginauth.Hooks{OnLogin: func(c *gin.Context, login *ginauth.Login) error {
			stored[login.User.ID()] = login.Token
			return nil
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, "welcome") })
	ada := visit(app)
	defer ada.leave()
	ada.signIn("/", "Ada Lovelace")

	for id, old := range stored { // the job; lock the row first
		token, err := auth.Refresh(context.Background(), "corp", old)
		if errors.Is(err, ginauth.ErrStepUpRequired) {
			delete(stored, id) // the user must sign in again
			continue
		}
		if token != nil {
			stored[id] = token
		}
		if err != nil {
			log.Print(err) // retry later
			continue
		}
		fmt.Println("new access token:", token.AccessToken != old.AccessToken)
	}
	// Output: new access token: true
}

// Diagnose checks every provider and store, and lists what to register. The provider of this
// program is down.
func ExampleAuth_Diagnose() {
	idp := startDemo()
	idp.Close() // it no longer responds
	auth, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{idp.Client("corp")}})
	if err != nil {
		log.Fatal(err)
	}
	diagnosis := auth.Diagnose(context.Background()) // fmt.Print(diagnosis) prints all of it
	for _, problem := range diagnosis.Problems {
		fmt.Println(problem.Provider, problem.Code)
	}
	for _, provider := range diagnosis.Providers {
		fmt.Println("register", provider.RedirectURI)
	}
	// Output:
	// corp provider_unavailable
	// register http://localhost:8080/authorize/corp
}

// A readiness probe.
func ExampleAuth_Warm() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{idp.Client("corp")}})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/ready", func(c *gin.Context) {
		if err := auth.Warm(c.Request.Context()); err != nil {
			c.String(http.StatusServiceUnavailable, "not ready")
			return
		}
		c.String(http.StatusOK, "ready")
	})

	fmt.Println(call(app, "/ready", nil))
	// Output: 200 ready
}

// Two Mounts in one process share revocations. With several replicas, wrap a shared store:
// ginauth.Cached(redisstate.New(client, "myapp:")).
func ExampleNewMemoryRevocations() {
	revocations := ginauth.NewMemoryRevocations(nil)
	for _, host := range []string{"https://shop.example.com", "https://admin.example.com"} {
		_, err := ginauth.Mount(gin.New(), ginauth.Options{
			BaseURL:     host,
			Keys:        []string{"use what openssl rand -hex 32 prints"},
			Providers:   []ginauth.Provider{{Name: "corp", Issuer: "https://login.corp.example", ClientID: "shop", ClientSecret: "secret"}},
			Revocations: revocations,
			Logger:      slog.New(slog.DiscardHandler),
		})
		fmt.Println(host, err)
	}
	// Output:
	// https://shop.example.com <nil>
	// https://admin.example.com <nil>
}

// Replicas share one store, and answer from memory. store is of package redisstate, which
// implements both interfaces:
//
//	store := redisstate.New(client, "myapp:")
func ExampleCached() {
	var store interface {
		ginauth.Followed
		ginauth.Tokens
	}
	options := ginauth.Options{
		BaseURL:     "https://app.example.com",
		Revocations: ginauth.Cached(store),
		Tokens:      store,
	}
	_ = options
}

// response is the response to an API client.
type response struct {
	status int
	text   string // the body or, of an error, the challenge
}

func (r response) String() string { return fmt.Sprint(r.status, " ", r.text) }

// call sends a request as an API client does, without cookies.
func call(app http.Handler, path string, header http.Header) response {
	request, recorder := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
	for name, lines := range header {
		request.Header[name] = lines
	}
	app.ServeHTTP(recorder, request)
	r := response{recorder.Code, recorder.Body.String()}
	if r.status >= http.StatusBadRequest {
		r.text = recorder.Header().Get("WWW-Authenticate")
	}
	return r
}
