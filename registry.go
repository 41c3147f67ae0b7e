package ginauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"

	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/rp"
	"github.com/ginauth/ginauth/internal/weburl"
)

// registry is a list of providers and everything that depends on it. It is immutable;
// SetProviders replaces it. A request loads it once and uses the same list throughout; a
// callback loads it again before the session starts: see stillThere.
type registry struct {
	auth      *Auth
	clients   map[string]*client       // by Provider.Name
	order     []string                 // of the providers to sign in with, as configured
	all       []string                 // of all providers, as configured
	callbacks map[string]*callbackPath // by their paths, as withName returns them
	sessions  *sessions                // of users of these providers, with a cache of opened sessions
	tokens    tokenSources             // the providers whose access tokens are accepted
	bearers   *bearerCache             // verified access tokens; nil if none are accepted

	introspections *introspections // of opaque tokens; nil if none are accepted
	rechecks       bool            // a provider has Recheck; if none has, requests skip the rest
}

// SetProviders replaces all providers, for applications whose administrators configure them at
// run time. It makes the same checks as [Mount]; after an error nothing has changed, and
// errors.Is(err, [ErrInvalidOptions]) is true. It makes no network requests: a provider's
// metadata is fetched at its first use (see [Auth.Warm]). Cached metadata and keys of a
// provider with the same issuer and endpoints are kept, so that its sign-ins continue while it
// is down.
//
// Requests in progress keep the previous providers, except that no session starts with a
// provider that has been removed: such a sign-in fails with [ErrUnknownProvider], and
// [Hooks.OnLogin] is not called. Sign-ins in progress continue if the provider's name, issuer,
// token endpoint, client and redirect URI are unchanged; sessions continue if its name, its
// issuer or Namespace, and Admits are. Sessions of a removed provider are rejected; if the
// provider returns before they expire, they are valid again.
//
// Routes are registered only by Mount: a new CallbackPath must be in [Options.CallbackPaths],
// the metadata route exists only if a provider had an Audience at Mount, and a resource server
// cannot become an application with sign-in.
//
// Call it in every replica before a page shows the new provider's button. Anyone who controls
// the list of providers can sign in as any user.
func (a *Auth) SetProviders(providers []Provider) error {
	a.replacing.Lock()
	defer a.replacing.Unlock()
	var wrong mistakes
	list := a.cfg.checkProviders(&wrong, providers)
	if i := slices.IndexFunc(list, func(p Provider) bool { return !p.isResourceServer() }); a.cfg.resourceServer && i >= 0 {
		wrong.add("Options.Providers", "resource_server", fmt.Sprintf("had no sign-in provider when Mount registered its routes, but %q is one", printable.Clip(list[i].Name)), "pass a sign-in provider to Mount, or remove its ClientID")
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	before := a.providers.Load()
	g := a.newRegistry(list, before)
	a.providers.Store(g)
	a.cfg.log(context.Background(), slog.LevelInfo, "options.providers.replaced", "providers replaced", slog.Any("providers", g.order))
	a.announce(g, before)
	return nil
}

// announce logs what must be registered at the providers, unless it was logged before.
func (a *Auth) announce(g, before *registry) {
	said := func(name string) bool {
		old := before.clients[name]
		return old != nil && old.redirectURI == g.clients[name].redirectURI
	}
	ctx := context.Background()
	var names []string
	for _, cl := range g.parties() {
		if !said(cl.provider.Name) && !cl.provider.isResourceServer() {
			names = append(names, cl.provider.Name)
		}
	}
	for _, name := range names {
		a.cfg.log(ctx, slog.LevelInfo, "provider.redirect_uri", "register exactly this redirect URI at the provider", slog.String("provider", name), slog.String("redirect_uri", g.clients[name].redirectURI))
		if at := g.clients[name].provider.onLoopback(); at != "" && !a.cfg.loopback {
			a.cfg.log(ctx, slog.LevelWarn, "diagnose.loopback", "the provider is on loopback, but BaseURL is not: browsers of other machines cannot reach it; set the provider's public address,"+
				" and do not use a test provider, which signs in anyone", slog.String("provider", name), slog.String("address", at), slog.String("base_url", a.cfg.BaseURL))
		}
	}
	switch {
	case !g.takesTokens() || before.takesTokens():
	case a.metadataPath == "":
		a.cfg.log(ctx, slog.LevelWarn, "provider.resource_metadata_missing", "access tokens are accepted, but no provider had an Audience when Mount registered its routes, so clients cannot discover the metadata; set Audience for one of Options.Providers")
	default:
		a.cfg.log(ctx, slog.LevelInfo, "provider.resource_metadata", "access tokens are accepted by guards with HasScope or IsClient; clients find the metadata at this URL", slog.String("resource_metadata", a.metadataURL()))
	}
	if names = slices.DeleteFunc(names, func(name string) bool { return !g.clients[name].rp.Returns() }); len(names) > 0 {
		a.cfg.log(ctx, slog.LevelInfo, "provider.post_logout_redirect_uri", "register exactly this post-logout redirect URI where the provider asks for one",
			slog.Any("providers", names), slog.String("post_logout_redirect_uri", a.cfg.logoutReturn()))
	}
	if len(g.all) == 0 {
		a.cfg.log(ctx, slog.LevelWarn, "options.providers.empty", "Options.Providers "+noProvidersRemark)
	}
}

// onLoopback returns the configured URL to which browsers are redirected if it is on loopback,
// or "".
func (p *Provider) onLoopback() string {
	address := cmp.Or(p.AuthorizeURL, p.Issuer)
	if u, err := url.Parse(address); err == nil && weburl.IsLoopback(u.Hostname()) {
		return address
	}
	return ""
}

// remind logs warnings about settings that work but may be unintended: http in a private
// network, and revocations, tokens and sessions in memory.
func (a *Auth) remind() {
	ctx := context.Background()
	if a.cfg.insecure {
		a.cfg.log(ctx, slog.LevelWarn, "options.insecure_http.used", "Options.InsecureHTTP: "+insecureRemark+"; use https in BaseURL", slog.String("base_url", a.cfg.BaseURL))
	}
	if a.revokesInMemory() && !a.cfg.loopback && !a.cfg.resourceServer {
		a.cfg.log(ctx, slog.LevelWarn, "options.revocations.memory", memoryRemark+"; set Options.Revocations to share them")
	}
	if a.keepsTokensInMemory() && !a.cfg.loopback {
		a.cfg.log(ctx, slog.LevelWarn, "options.tokens.memory", tokensRemark+"; set Options.Tokens to share them")
	}
	if h := &a.cfg.Hooks; a.providers.Load().rechecks && h.OnLogin != nil && h.OnRecheck == nil {
		a.cfg.log(ctx, slog.LevelWarn, "options.hooks.on_recheck", "Hooks.OnLogin is set and a provider has Recheck: changes that OnLogin makes to a user, such as groups, are lost at the first recheck; set Hooks.OnRecheck to repeat them")
	}
	if h := &a.cfg.Hooks; a.providers.Load().rechecks && h.OnLogin == nil && h.OnRecheck != nil {
		a.cfg.log(ctx, slog.LevelWarn, "options.hooks.on_login", "Hooks.OnRecheck is set but OnLogin is not: rejected users can sign in again, and changes to a user are missing until the first recheck; set Hooks.OnLogin to call the same function")
	}
	if keptInMemory(a.cfg.Sessions) && !a.cfg.loopback {
		a.cfg.log(ctx, slog.LevelWarn, "options.sessions.memstore", "Options.Sessions "+memstoreRemark+"; "+memstoreFix)
	}
}

// newRegistry returns the registry of checked providers. It reuses the data that the previous
// registry has cached about them, and makes no network requests.
func (a *Auth) newRegistry(list []Provider, before *registry) *registry {
	var known []*rp.Client
	for _, cl := range before.parties() {
		known = append(known, cl.rp)
	}
	g := &registry{auth: a, clients: map[string]*client{}, callbacks: map[string]*callbackPath{}}
	paths, sharing := make([]string, len(list)), map[string]int{}
	for i := range list {
		if list[i].LoginPage != "" || list[i].isResourceServer() { // it receives no authorization responses
			continue
		}
		paths[i] = withName(a.cfg.callbackPattern(&list[i]), list[i].Name)
		sharing[paths[i]]++
	}
	from := map[string]*issuers{}
	for i, p := range list {
		cl := newClient(p, a.cfg, a.http, sharing[paths[i]] > 1, known)
		g.clients[p.Name], from[p.Name] = cl, cl.issuers
		g.all = append(g.all, p.Name)
		g.rechecks = g.rechecks || p.Recheck > 0
		g.tokens.add(cl)
		if p.isResourceServer() {
			continue
		}
		if g.order = append(g.order, p.Name); cl.isPage() {
			continue
		}
		at := g.callbacks[paths[i]]
		if at == nil {
			at = &callbackPath{uri: cl.redirectURI}
			g.callbacks[paths[i]] = at
		}
		at.clients = append(at.clients, cl)
	}
	if g.takesTokens() {
		g.bearers, g.introspections = newBearerCache(), newIntrospections(g.tokens.introspect)
	}
	g.sessions = a.newSessions(from)
	return g
}

// newSessions returns the sessions of users from these issuers, by Provider.Name.
func (a *Auth) newSessions(from map[string]*issuers) *sessions {
	k := &sessions{cfg: a.cfg, issuers: from, cache: newSessionCache(), tokens: a.tokens}
	box, jar, name := a.sessionBox, a.loginStates.jar, a.cfg.cookieName()
	if a.cfg.Sessions == nil {
		k.backend = &cookieBackend{box: box, unseal: k.opener(box), jar: jar, name: name, second: name + "-2"}
	} else {
		k.backend = &storeBackend{store: a.cfg.Sessions, box: box, unseal: k.opener(box), jar: jar, name: name}
	}
	return k
}

// parties returns the providers that have a relying party, in order: all except pages of the
// application.
func (g *registry) parties() []*client {
	list := make([]*client, 0, len(g.all))
	for _, name := range g.all {
		if cl := g.clients[name]; !cl.isPage() {
			list = append(list, cl)
		}
	}
	return list
}

// client returns the provider of that name, which has a relying party.
func (g *registry) client(name string) (*client, error) {
	cl, err := g.provider(name)
	if err == nil && cl.isPage() {
		return nil, &Error{Code: ErrUnknownProvider, ID: "provider.page", Provider: name, Reason: "this provider is a page of the application and has no callback",
			Fix: "call Auth.SignIn in the handler of Provider.LoginPage"}
	}
	return cl, err
}

// provider returns the provider of that name.
func (g *registry) provider(name string) (*client, error) {
	cl := g.clients[name]
	switch {
	case cl != nil && cl.provider.isResourceServer():
		return nil, &Error{Code: ErrUnknownProvider, ID: "provider.resource_server", Provider: name, Reason: "the provider has no ClientID: it is only for access tokens", Fix: "set ClientID to let users sign in with it"}
	case cl != nil:
		return cl, nil
	}
	return nil, &Error{Code: ErrUnknownProvider, ID: "provider.unknown", Reason: fmt.Sprintf("unknown provider %q; the configured providers are %q", printable.Clip(name), g.order),
		Fix: "use a Name from Options.Providers"}
}
