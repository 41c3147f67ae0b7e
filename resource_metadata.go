package ginauth

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// resourceMetadata is the path of the metadata of a protected resource (RFC 9728, section
// 3.1).
const resourceMetadata = "/.well-known/oauth-protected-resource"

// registerMetadata registers the metadata routes if tokens are accepted: at the root of the
// application or, if that route exists already, for example of another Auth, below the group
// passed to Mount. Without a group, the application's own route is kept, since it may contain
// more.
func (a *Auth) registerMetadata(router gin.IRouter) {
	g := a.providers.Load()
	if !g.takesTokens() {
		return
	}
	up := strings.Repeat("/..", strings.Count(a.cfg.mount, "/"))
	a.metadataPath = resourceMetadata
	if !a.handleMetadata(router, up+resourceMetadata, resourceMetadata) && a.cfg.mount != "" {
		a.metadataPath = a.cfg.mount + resourceMetadata
		a.handleMetadata(router, resourceMetadata, a.metadataPath)
	}
	// Section 3.1: the path of a resource is appended to the well-known path.
	path := strings.TrimRight(strings.TrimPrefix(a.resource(g), a.cfg.url("")), "/")
	if path != "" && a.handleMetadata(router, up+resourceMetadata+path, resourceMetadata+path) {
		a.metadataPath = resourceMetadata + path
	}
}

func (a *Auth) handleMetadata(router gin.IRouter, below, path string) bool {
	if !handleIfFree(router, http.MethodGet, below, a.showMetadata) {
		return false
	}
	own := map[string]string{http.MethodGet: handlerName(a.showMetadata)}
	if handleIfFree(router, http.MethodHead, below, a.showMetadata) {
		own[http.MethodHead] = own[http.MethodGet]
	}
	a.ownRoutes[path] = own
	return true
}

// resource is the identifier of this application as a protected resource (section 1.2): the
// Audience of its tokens if that is an address of the application, else BaseURL.
func (a *Auth) resource(g *registry) string {
	base := a.cfg.url("")
	audience := g.tokens.issuers[0].provider.Audience
	for _, cl := range g.tokens.issuers {
		if cl.provider.Audience != audience {
			return base
		}
	}
	if rest, below := strings.CutPrefix(audience, base); below && (rest == "" || rest[0] == '/' && isPlainPath(rest)) {
		return audience
	}
	return base
}

// isPlainPath reports whether a path can be a route as it is: Gin cleans paths, decodes
// escapes, and gives : and * a meaning.
func isPlainPath(p string) bool {
	return !strings.ContainsAny(p, "?#:*%") && joined("/", p) == p
}

// metadataURL returns the URL of the metadata, or "" if it is not registered. It is below the
// path of BaseURL, which a proxy forwards here; RFC 9728, section 5.1, lets the challenge name
// any URL.
func (a *Auth) metadataURL() string {
	if a.metadataPath == "" {
		return ""
	}
	return a.cfg.url(a.metadataPath)
}

// showMetadata answers with the metadata (RFC 9728, section 2). All URLs are derived from
// BaseURL, since a request's Host can be forged.
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
	h.Set("Access-Control-Allow-Origin", "*") // public, and read by scripts of other origins
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	metadata := gin.H{"resource": a.resource(g), "authorization_servers": slices.Compact(issuers), "bearer_methods_supported": []string{"header"}}
	if scopes := a.scopes.list(); len(scopes) > 0 {
		metadata["scopes_supported"] = scopes
	}
	c.JSON(http.StatusOK, metadata)
}

// guardScopes are the scopes that the guards of an application require.
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

// scopesOf returns the scopes that the HasScope checks among checks require.
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
