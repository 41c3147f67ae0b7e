// Command prometheus is the README's first program with metrics: see
// docs/observability.md.
package main

import (
	"log"
	"os"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	app, err := application(ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{providers.OIDC("corp", os.Getenv("OIDC_ISSUER"), os.Getenv("OIDC_CLIENT_ID"), os.Getenv("OIDC_CLIENT_SECRET"))},
	}, prometheus.NewRegistry())
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(app.Run("localhost:8080"))
}

func application(opts ginauth.Options, registry *prometheus.Registry) (*gin.Engine, error) {
	app := gin.New()
	opts.Hooks.OnEvent = count(registry)
	auth, err := ginauth.Mount(app, opts)
	if err != nil {
		return nil, err
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		c.String(200, "Hello, %s!", ginauth.CurrentUser(c).Name)
	})
	app.GET("/metrics", gin.WrapH(promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
	return app, nil
}
