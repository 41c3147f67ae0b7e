// Command opentelemetry is the README's first program with traces and metrics:
// see docs/observability.md.
package main

import (
	"log"
	"os"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
)

func main() {
	app, err := application(ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{providers.OIDC("corp", os.Getenv("OIDC_ISSUER"), os.Getenv("OIDC_CLIENT_ID"), os.Getenv("OIDC_CLIENT_SECRET"))},
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(app.Run("localhost:8080"))
}

func application(opts ginauth.Options) (*gin.Engine, error) {
	app := gin.New()
	app.Use(otelgin.Middleware("shop")) // before Mount, so that its routes have spans too
	onEvent, err := observe()
	if err != nil {
		return nil, err
	}
	opts.Hooks.OnEvent = onEvent
	opts.HTTPClient = tracedClient()
	auth, err := ginauth.Mount(app, opts)
	if err != nil {
		return nil, err
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		c.String(200, "Hello, %s!", ginauth.CurrentUser(c).Name)
	})
	return app, nil
}
