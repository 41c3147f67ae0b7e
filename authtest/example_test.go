package authtest_test

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// A complete sign-in: the application redirects to the provider, Ada signs in there and
// returns.
func Example() {
	provider, err := authtest.Start(authtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer provider.Close()

	app := gin.New()
	server := httptest.NewServer(app)
	defer server.Close()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   server.URL,
		Providers: []ginauth.Provider{provider.Client("demo")},
		Keys:      []string{"32 bytes or more, of no use elsewhere"},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/me", auth.RequireAuth(), func(c *gin.Context) {
		c.String(http.StatusOK, "Hello, %s!", ginauth.CurrentUser(c).Name)
	})

	browser := authtest.NewBrowser()
	page, err := browser.Get(server.URL + "/me")
	if err != nil {
		log.Fatal(err)
	}
	page, err = browser.SubmitForm(page, "Ada Lovelace", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.Status, page.Text())
	// Output: 200 Hello, Ada Lovelace!
}

// A test of a handler for a signed-in user. No provider is needed.
func ExampleSignIn() {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "https://app.example.com",
		Providers: []ginauth.Provider{{Name: "corp", Issuer: "https://id.example.com", ClientID: "app", ClientSecret: "secret"}},
		Keys:      []string{"32 bytes or more, of no use elsewhere"},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/admin", auth.RequireAuth(ginauth.HasGroup("admin")), func(c *gin.Context) {
		c.String(http.StatusOK, "Hello, %s!", ginauth.CurrentUser(c).Name)
	})

	for _, group := range []string{"staff", "admin"} {
		browser := authtest.NewBrowser()
		user := &ginauth.User{Provider: "corp", Subject: "1", Name: "Grace Hopper", Groups: []string{group}}
		if err := authtest.SignIn(auth, browser, user); err != nil {
			log.Fatal(err)
		}
		request := httptest.NewRequest(http.MethodGet, "https://app.example.com/admin", nil)
		for _, cookie := range browser.Cookies(request.URL.String()) {
			request.AddCookie(cookie)
		}
		answer := httptest.NewRecorder()
		app.ServeHTTP(answer, request)
		fmt.Println(group, answer.Code)
	}
	// Output:
	// staff 403
	// admin 200
}

// A provider on a loopback port, for one test. Here it is unavailable while a user signs in,
// and the application answers with 502.
func ExampleStart() {
	provider, err := authtest.Start(authtest.Config{People: []authtest.Person{{Subject: "7", Name: "Joan Clarke"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer provider.Close()
	provider.SignInAs("7") // without the page to choose a user

	app := gin.New()
	server := httptest.NewServer(app)
	defer server.Close()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   server.URL,
		Providers: []ginauth.Provider{provider.Client("corp")},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/me", auth.RequireAuth(), func(c *gin.Context) {
		c.String(http.StatusOK, "Hello, %s!", ginauth.CurrentUser(c).Name)
	})

	for _, fault := range []authtest.Fault{authtest.Down, ""} {
		provider.Fail(authtest.Token, fault)
		page, err := authtest.NewBrowser().Get(server.URL + "/me")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(page.Status)
	}
	fmt.Println("token requests:", provider.Count(authtest.Token))
	// Output:
	// 502
	// 200
	// token requests: 2
}

// A test of an API: the request has an access token for a user, with one scope.
func ExampleBearer() {
	provider, err := authtest.Start(authtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer provider.Close()
	const api = "https://api.example.com"
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   api,
		Providers: []ginauth.Provider{{Name: "corp", Issuer: provider.Issuer, Audience: api}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/orders", auth.RequireAuth(ginauth.HasScope("orders:read")), func(c *gin.Context) {
		c.String(http.StatusOK, "the orders of %s", ginauth.CurrentUser(c).Subject)
	})

	for _, scope := range []string{"orders:read", "profile"} {
		request := httptest.NewRequest(http.MethodGet, api+"/orders", nil)
		request.Header = authtest.Bearer(provider, api, "ada", scope)
		answer := httptest.NewRecorder()
		app.ServeHTTP(answer, request)
		fmt.Println(scope, answer.Code)
	}
	// Output:
	// orders:read 200
	// profile 403
}

// An expired access token of a client without a user, for a test of error responses.
func ExampleProvider_AccessToken() {
	provider, err := authtest.Start(authtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer provider.Close()
	const api = "https://api.example.com"
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   api,
		Providers: []ginauth.Provider{{Name: "corp", Issuer: provider.Issuer, Audience: api}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/report", auth.RequireAuth(ginauth.IsClient("nightly")), func(c *gin.Context) { c.String(http.StatusOK, "the report") })

	for _, fault := range []authtest.Fault{"", authtest.Expired} {
		token := provider.AccessToken(authtest.AccessToken{Audience: api, ClientID: "nightly", Fault: fault})
		request := httptest.NewRequest(http.MethodGet, api+"/report", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		app.ServeHTTP(answer, request)
		fmt.Println(answer.Code)
	}
	// Output:
	// 200
	// 401
}

// Open does not follow the redirect of a guard, Follow does, and Get would have at once.
func ExampleBrowser_Open() {
	provider, err := authtest.Start(authtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer provider.Close()
	provider.SignInAs("ada")

	app := gin.New()
	server := httptest.NewServer(app)
	defer server.Close()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   server.URL,
		Providers: []ginauth.Provider{provider.Client("demo")},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/me", auth.RequireAuth(), func(c *gin.Context) {
		c.String(http.StatusOK, "Hello, %s!", ginauth.CurrentUser(c).Name)
	})

	browser := authtest.NewBrowser()
	page, err := browser.Open(server.URL + "/me")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.Status, page.Header.Get("Location"))
	page, err = browser.Follow(page)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.Status, page.Text())
	// Output:
	// 303 /login?return_to=%2Fme
	// 200 Hello, Ada Lovelace!
}

// A browser keeps cookies and sends the headers of a browser: a form on another site cannot
// sign the user out.
func ExampleNewBrowser() {
	app := gin.New()
	server := httptest.NewServer(app)
	defer server.Close()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL: "http://localhost:8080",
		Providers: []ginauth.Provider{{
			Name: "corp", Issuer: "https://id.example.com", ClientID: "app", ClientSecret: "secret",
			Logout: ginauth.ProviderLogout{Local: true}, // no provider runs in this test
		}},
		AfterLogout: "/logout", // the built-in page that confirms the sign-out
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	browser := authtest.NewBrowser()
	browser.Resolve("localhost", server.Listener.Addr().String()) // BaseURL's host is the test server
	if err := authtest.SignIn(auth, browser, &ginauth.User{Provider: "corp", Subject: "1"}); err != nil {
		log.Fatal(err)
	}

	for _, origin := range []string{"https://evil.example/", "http://localhost:8080/"} {
		page, err := browser.Submit(authtest.At(origin), auth.LogoutURL(""), nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(origin, page.Status)
	}
	// Output:
	// https://evil.example/ 403
	// http://localhost:8080/ 200
}
