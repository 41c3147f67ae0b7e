package ginauth

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
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
	a.showsMetadata = true
	below := strings.Repeat("/..", strings.Count(a.cfg.mount, "/")) + resourceMetadata
	own := map[string]string{}
	for _, method := range []string{"GET", "HEAD"} {
		if handleIfFree(router, method, below, a.showMetadata) {
			own[method] = handlerName(a.showMetadata)
		}
	}
	a.ownRoutes[resourceMetadata] = own
}

// showMetadata answers with the metadata (RFC 9728, section 2). All addresses are made from
// BaseURL: what a request says of its host, anybody can write.
func (a *Auth) showMetadata(c *gin.Context) {
	g := a.providers.Load()
	if !a.mounted.Load() || !g.takesTokens() {
		a.notFound(c)
		return
	}
	var issuers []string
	for _, cl := range g.tokens.issuers {
		issuers = append(issuers, cl.provider.Issuer)
	}
	slices.Sort(issuers)
	h := c.Writer.Header()
	h.Set("Access-Control-Allow-Origin", "*") // programs in browsers read it, and it is the same for all
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	metadata := gin.H{"resource": a.cfg.url(""), "authorization_servers": slices.Compact(issuers), "bearer_methods_supported": []string{"header"}}
	if scopes := a.scopes.list(); len(scopes) > 0 {
		metadata["scopes_supported"] = scopes
	}
	c.JSON(http.StatusOK, metadata)
}

// guardScopes are the scopes that the guards of an application want.
type guardScopes struct {
	mu  sync.Mutex
	all []string
}

func (g *guardScopes) add(scopes []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = union(g.all, scopes)
}

func (g *guardScopes) list() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(slices.Values(g.all))
}

// scopesOf returns the scopes that the HasScope checks among checks want.
func scopesOf(checks []Check) (scopes []string) {
	for _, check := range checks {
		if code(check) != code(HasScope("0")) {
			continue
		}
		if e, ok := check(&User{Grant: &Grant{}}).(*Error); ok {
			scopes = union(scopes, strings.Fields(e.scope))
		}
	}
	return scopes
}
