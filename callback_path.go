package ginauth

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/printable"
)

const (
	nameParam         = ":provider" // in a path, stands for Provider.Name
	callbackPathLimit = 255         // bytes of a CallbackPath
)

// callbackPath is the path at which the responses of one or several providers arrive. On a
// shared path only the login state decides which provider a response belongs to, never the
// request.
type callbackPath struct {
	uri     string // of the first one: "https://app.example.com/auth/callback"
	clients []*client
}

// provider returns the name of the only provider, or "" if several share the path.
func (at *callbackPath) provider() string {
	if len(at.clients) == 1 {
		return at.clients[0].provider.Name
	}
	return ""
}

// client returns the provider of that name, or nil if its responses arrive elsewhere.
func (at *callbackPath) client(name string) *client {
	for _, cl := range at.clients {
		if cl.provider.Name == name {
			return cl
		}
	}
	return nil
}

// expects reports whether responses of that mode arrive here.
func (at *callbackPath) expects(mode string) bool {
	return slices.ContainsFunc(at.clients, func(cl *client) bool { return cl.provider.ResponseMode == mode })
}

// callbackAt returns the step for a callback path. pattern is the full path of its route.
func (a *Auth) callbackAt(pattern string) step {
	return func(c *gin.Context, g *registry) error {
		name := c.Param("provider")
		at := g.callbacks[withName(pattern, name)]
		if at != nil {
			return a.callback(c, g, at)
		}
		cl, err := g.client(name)
		if err != nil {
			return err
		}
		return &Error{Code: ErrUnknownProvider, ID: "provider.other_path", Op: "read response", Reason: fmt.Sprintf("responses of provider %q belong to another callback path", cl.provider.Name),
			Fix: "register exactly this redirect URI at the provider: " + cl.redirectURI}
	}
}

// withName returns the path of a pattern for the name of a provider, without a trailing slash:
// both spellings are registered.
func withName(pattern, name string) string {
	return strings.TrimSuffix(strings.Replace(pattern, nameParam, name, 1), "/")
}

// callbackPattern returns the pattern of a provider's callback path: a path of the
// application.
func (c *config) callbackPattern(p *Provider) string {
	if p.CallbackPath == "" {
		return c.mount + "/authorize/" + nameParam
	}
	return p.CallbackPath
}

// registerCallbacks registers the routes of Provider.CallbackPath and Options.CallbackPaths,
// each with and without a trailing slash: Gin would otherwise answer the other spelling with a
// 301 whose URL has the code. The paths begin at the root of the application, even if router is
// a group: Gin joins paths as path.Join does, so that "/.." leads out of the group.
func (a *Auth) registerCallbacks(router gin.IRouter) (errs []error) {
	up := strings.Repeat("/..", strings.Count(a.cfg.mount, "/"))
	for _, pattern := range a.cfg.callbackPaths {
		run := a.callbackAt(pattern)
		handler := a.handler(map[string]step{"GET": run, "POST": run}, SignInFailed)
		err := contain.Do(func() error {
			a.route(router, up+pattern, handler)
			a.route(router, up+pattern+"/", handler)
			return nil
		})
		if p, panicked := err.(*contain.Panic); panicked {
			errs = append(errs, &Error{Code: ErrInvalidOptions, ID: "mount.callback_exists", Op: "Mount", Reason: fmt.Sprintf("conflicting route for the callback path %q: %v", pattern, p.Value),
				Fix: "remove the application's handler from that path: ginauth registers it"})
		}
	}
	return errs
}

// checkCallbackPaths checks Options.CallbackPaths, and collects the paths to register, because
// Gin cannot add routes while serving.
func (c *config) checkCallbackPaths(wrong *mistakes) {
	for _, pattern := range c.CallbackPaths {
		c.checkCallbackPath(func(what, reason, fix string) { wrong.add("Options.CallbackPaths", what, reason, fix) }, pattern, nameParam)
	}
	list := c.CallbackPaths
	for i := range c.Providers {
		if p := c.Providers[i].CallbackPath; p != "" {
			list = append(slices.Clip(list), p)
		}
	}
	for _, pattern := range list {
		if pattern = strings.TrimSuffix(pattern, "/"); unfitPath(pattern) == "" && !slices.Contains(c.callbackPaths, pattern) {
			c.callbackPaths = append(c.callbackPaths, pattern)
		}
	}
}

// checkCallbackOf checks the callback path of a provider. c.callbackPaths must already have the
// paths of all routes.
func (c *config) checkCallbackOf(add addMistake, p *Provider) {
	if p.CallbackPath == "" {
		return
	}
	fit := true
	c.checkCallbackPath(func(what, reason, fix string) {
		fit = false
		add("CallbackPath", what, reason, fix)
	}, p.CallbackPath, p.Name)
	at := withName(p.CallbackPath, p.Name)
	if fit && !slices.ContainsFunc(c.callbackPaths, func(pattern string) bool { return matches(pattern, at) }) {
		add("CallbackPath", "no_route", fmt.Sprintf("%q has no route, and Gin cannot add routes while serving", printable.Clip(p.CallbackPath)),
			"add it to Options.CallbackPaths, which Mount registers: \"/auth/:provider/callback\" covers providers of any name")
	}
}

// checkCallbackPath checks the callback path of a provider of that name.
func (c *config) checkCallbackPath(add func(what, reason, fix string), pattern, name string) {
	const fix = `use a separate path such as "/auth/google/callback", or "/auth/:provider/callback"`
	at, text := withName(pattern, name), printable.Clip(pattern)
	if why := unfitPath(strings.TrimSuffix(pattern, "/")); why != "" {
		add("malformed", fmt.Sprintf("%q %s", text, why), fix)
		return
	}
	if len(pattern) > callbackPathLimit {
		add("too_long", fmt.Sprintf("has %d bytes; the limit is %d", len(pattern), callbackPathLimit), fix)
	}
	if below, ok := strings.CutPrefix(at, c.mount); ok && slices.ContainsFunc(ownPaths, func(own string) bool { return matches(own, below) }) {
		add("own_route", fmt.Sprintf("%q is another route of ginauth", text), fix+", or mount on a group")
	}
	type page struct{ option, path string }
	pages := []page{{"AfterLogin", c.AfterLogin}, {"AfterLogout", c.AfterLogout}, {"LoginPage", c.LoginPage}}
	for _, p := range c.Providers {
		pages = append(pages, page{fmt.Sprintf("Providers: the LoginPage of %q", p.Name), p.LoginPage})
	}
	for _, page := range pages {
		if page.path == "" {
			continue
		}
		if u, err := url.Parse(page.path); err == nil && matches(strings.ToLower(withName(pattern, nameParam)), strings.ToLower(strings.TrimSuffix(u.Path, "/"))) {
			add("page", fmt.Sprintf("%q is Options.%s, a page of the application", text, page.option), fix)
		}
	}
}

// ownPaths are the routes of handleAll, below the group.
var ownPaths = []string{
	"/login", "/login/:provider", "/authorize/:provider", "/logout", "/logout/redirect", "/logout/return",
	"/logout/:provider/backchannel", "/logout/:provider/frontchannel",
}

// unfitPath returns why a path cannot be a callback path, or "". A redirect URI is compared to
// the byte, and must mean the same to the provider, the browser, proxies and Gin: so it has no
// escapes and nothing that any of them resolves.
func unfitPath(p string) string {
	fixed := 0
	for part := range strings.SplitSeq(strings.TrimPrefix(p, "/"), "/") {
		if part == nameParam {
			continue
		}
		fixed++
		if part == "" || part == "." || part == ".." || strings.Trim(part, base64url+".~") != "" {
			return "is not a valid redirect URI path: it must begin with /, and each segment must be :provider or consist of letters, digits and -._~"
		}
	}
	switch {
	case !strings.HasPrefix(p, "/"):
		return "is not a path, because it does not begin with /"
	case fixed == 0:
		return "would match every path of the application: it needs a fixed segment"
	case strings.Count(p, nameParam) > 1:
		return "contains :provider twice"
	}
	return ""
}

// matches reports whether a pattern matches a path: a segment that begins with a colon matches
// any segment, also an empty one, as in Gin.
func matches(pattern, p string) bool {
	parts, others := strings.Split(pattern, "/"), strings.Split(p, "/")
	return slices.EqualFunc(parts, others, func(part, other string) bool {
		return part == other || strings.HasPrefix(part, ":")
	})
}

// isCallback reports whether a path, in lower case, is a callback path.
func (c *config) isCallback(p string) bool {
	return slices.ContainsFunc(c.callbackPaths, func(pattern string) bool { return matches(strings.ToLower(pattern), p) })
}
