package ginauth_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

// The README's first program. Its provider is one that runs in this process,
// and Ada presses "Ada Lovelace" there.
func ExampleMount() {
	idp := startDemo()
	defer idp.Close()
	os.Setenv("OIDC_ISSUER", idp.Issuer)
	os.Setenv("OIDC_CLIENT_ID", idp.ClientID)
	os.Setenv("OIDC_CLIENT_SECRET", idp.ClientSecret)

	// README: func main() {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{providers.OIDC("corp", os.Getenv("OIDC_ISSUER"), os.Getenv("OIDC_CLIENT_ID"), os.Getenv("OIDC_CLIENT_SECRET"))},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		c.String(200, "Hello, %s!", ginauth.CurrentUser(c).Name)
	})
	// README: }

	ada := visit(app)
	defer ada.leave()
	fmt.Println(ada.signIn("/", "Ada Lovelace"))
	// Output: 200 Hello, Ada Lovelace!
}

// Checks say who may pass. A page that nobody may see who is not in the group
// answers 403; it never leads back to the login.
func ExampleAuth_RequireAuth() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{idp.Client("corp")},
	})
	if err != nil {
		log.Fatal(err)
	}
	ok := func(c *gin.Context) { c.String(http.StatusOK, "welcome") }

	app.GET("/staff", auth.RequireAuth(ginauth.HasGroup("staff", "admin")), ok)
	app.GET("/company", auth.RequireAuth(ginauth.VerifiedEmailDomain("example.com")), ok)
	app.GET("/either", auth.RequireAuth(ginauth.AnyOf(ginauth.HasGroup("admin"), ginauth.FromProvider("github"))), ok)
	notEve := func(u *ginauth.User) error { // your own, with a database behind it if need be
		if u.Subject == "eve" {
			return errors.New("eve was asked to leave")
		}
		return nil
	}
	app.GET("/own", auth.RequireAuth(notEve), ok)

	for _, name := range []string{"Grace Hopper", "Eve Newcomer"} {
		person := visit(app)
		person.signIn("/staff", name)
		fmt.Println(name)
		for _, path := range []string{"/staff", "/company", "/either", "/own"} {
			fmt.Println(" ", path, person.open(path))
		}
		person.leave()
	}
	// Output:
	// Grace Hopper
	//   /staff 200 welcome
	//   /company 200 welcome
	//   /either 403 No access (forbidden)
	//   /own 200 welcome
	// Eve Newcomer
	//   /staff 403 No access (forbidden)
	//   /company 403 No access (forbidden)
	//   /either 403 No access (forbidden)
	//   /own 403 No access (forbidden)
}

// A page for everybody that greets those who are signed in.
func ExampleAuth_LoadUser() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{idp.Client("corp")},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.LoadUser(), func(c *gin.Context) {
		if user := ginauth.CurrentUser(c); user != nil {
			c.String(http.StatusOK, "Welcome back, %s!", user.Name)
			return
		}
		c.String(http.StatusOK, "Welcome!")
	})

	grace := visit(app)
	defer grace.leave()
	fmt.Println(grace.open("/"))
	fmt.Println(grace.signIn("/login", "Grace Hopper"))
	// Output:
	// 200 Welcome!
	// 200 Welcome back, Grace Hopper!
}

// OnLogin is called once for each sign-in, before the session begins. Here it
// takes groups from a table, and refuses who is not in it.
func ExampleHooks() {
	idp := startDemo()
	defer idp.Close()
	roles := map[string][]string{ // a database's, by User.ID
		idp.Issuer + "#grace": {"editor", "admin"},
	}
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{idp.Client("corp")},
		Hooks: ginauth.Hooks{OnLogin: func(c *gin.Context, login *ginauth.Login) error {
			groups, known := roles[login.User.ID()]
			if !known {
				return errors.New("nobody has invited this account")
			}
			login.User.Groups = groups
			return nil
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/admin", auth.RequireAuth(ginauth.HasGroup("admin")), func(c *gin.Context) {
		c.String(http.StatusOK, "%v", ginauth.CurrentUser(c).Groups)
	})

	visitor := visit(app)
	defer visitor.leave()
	fmt.Println(visitor.signIn("/admin", "Grace Hopper"))
	fmt.Println(visitor.signIn("/login", "Zoë Ångström"))
	// Output:
	// 200 [editor admin]
	// 403 No access (identity_rejected)
}

// What the application wants to know at the next request it can keep in the
// session: a few short texts of its own.
func ExampleAuth_Update() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{idp.Client("corp")},
	})
	if err != nil {
		log.Fatal(err)
	}
	guarded := app.Group("/", auth.RequireAuth())
	guarded.GET("/project/:name", func(c *gin.Context) {
		err := auth.Update(c, func(u *ginauth.User) {
			u.Data = map[string]string{"project": c.Param("name")}
		})
		if err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		c.String(http.StatusOK, "switched")
	})
	guarded.GET("/", func(c *gin.Context) {
		c.String(http.StatusOK, "project: %q", ginauth.CurrentUser(c).Data["project"])
	})

	ada := visit(app)
	defer ada.leave()
	fmt.Println(ada.signIn("/", "Ada Lovelace"))
	fmt.Println(ada.open("/project/engine"))
	fmt.Println(ada.open("/"))
	// Output:
	// 200 project: ""
	// 200 switched
	// 200 project: "engine"
}

// Claims that are kept can be read as they were sent, into any type.
func ExampleClaims() {
	idp := startDemo()
	defer idp.Close()
	idp.AddPerson(authtest.Person{Subject: "joan", Name: "Joan Clarke", Claims: map[string]any{
		"address": map[string]any{"country": "GB"}, "cost_center": 4711,
	}})
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:    "http://localhost:8080",
		Providers:  []ginauth.Provider{idp.Client("corp")},
		KeepClaims: []string{"address", "cost_center"},
	})
	if err != nil {
		log.Fatal(err)
	}
	type extra struct {
		Address    struct{ Country string }
		CostCenter int `json:"cost_center"`
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		claims, err := ginauth.Claims[extra](c)
		if err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		c.String(http.StatusOK, "%s, %d", claims.Address.Country, claims.CostCenter)
	})

	joan := visit(app)
	defer joan.leave()
	fmt.Println(joan.signIn("/", "Joan Clarke"))
	// Output: 200 GB, 4711
}
