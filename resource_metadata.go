package ginauth

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
)

// resourceMetadata is the path of the metadata of a protected resource (RFC 9728, section
// 3.1). It is at the root of the application, also if Mount was given a group.
const resourceMetadata = "/.well-known/oauth-protected-resource"

// resourceMetadataURL is where a client finds out which providers' tokens are accepted.
func (c *config) resourceMetadataURL() string { return c.url(resourceMetadata) }

// registerMetadata adds the route of the metadata, if tokens are accepted. A route of the
// application's at that path is left alone: it may say more.
func (a *Auth) registerMetadata(router gin.IRouter) {
	if !a.providers.Load().takesTokens() {
		return
	}
	up := strings.Repeat("/..", strings.Count(a.cfg.mount, "/"))
	_ = contain.Do(func() error {
		router.GET(up+resourceMetadata, a.showMetadata)
		return nil
	})
}

// showMetadata answers with the metadata (RFC 9728, section 2). All addresses are made from
// BaseURL: what a request says of its host, anybody can write.
func (a *Auth) showMetadata(c *gin.Context) {
	if !a.mounted.Load() {
		a.notFound(c)
		return
	}
	issuers := []string{}
	for _, cl := range a.providers.Load().tokens.issuers {
		issuers = append(issuers, cl.provider.Issuer)
	}
	h := c.Writer.Header()
	h.Set("Access-Control-Allow-Origin", "*") // programs in browsers read it, and it is the same for all
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	c.JSON(http.StatusOK, gin.H{
		"resource":                 a.cfg.url(""),
		"authorization_servers":    issuers,
		"bearer_methods_supported": []string{"header"},
	})
}
