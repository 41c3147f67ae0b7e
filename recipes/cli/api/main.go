// Command api is an API that a command line tool calls: see docs/cli.md. It has a provider
// of its own, so that nothing needs an account.
package main

import (
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

const base = "http://localhost:8080"

func main() {
	idp, err := authtest.Start(authtest.Config{ // your provider
		ClientID: "orders-tool", ClientName: "The orders tool", Public: true,
		APIs: map[string][]string{base: {"orders:read"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app, err := application(base, idp.Issuer)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(app.Run("localhost:8080"))
}

// application only validates tokens: it has no sign-in of its own. Add ClientID and
// ClientSecret, and users sign in with a browser on the same routes.
func application(base, issuer string) (*gin.Engine, error) {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   base,
		Providers: []ginauth.Provider{{Name: "corp", Issuer: issuer, Audience: base}},
	})
	if err != nil {
		return nil, err
	}
	app.GET("/orders", auth.RequireAuth(ginauth.HasScope("orders:read")), func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{"of": ginauth.CurrentUser(c).Subject, "orders": []string{"tea", "ink"}})
	})
	return app, nil
}
