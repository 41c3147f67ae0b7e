package authtest_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// A whole login: the application redirects to the provider, Ada signs in there
// and comes back.
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

// A test of a handler, for a user who is signed in already. No provider runs,
// and none is asked.
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
