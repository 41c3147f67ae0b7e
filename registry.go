package ginauth

import (
	"fmt"

	"github.com/ginauth/ginauth/internal/printable"
)

// registry is a list of providers and all that depends on it. It never changes:
// other providers are another registry. A request loads the one in use once, and
// sees the same list from its beginning to its end.
type registry struct {
	auth     *Auth
	clients  map[string]*client // by Provider.Name
	order    []string           // of the providers, as configured
	sessions *sessions          // of users of these providers, with the memory of opened ones
}

// newRegistry returns the registry of checked providers. Nothing in it talks to a
// provider yet.
func (a *Auth) newRegistry(list []Provider) *registry {
	g := &registry{auth: a, clients: map[string]*client{}}
	from := map[string]*issuers{}
	for _, p := range list {
		cl := newClient(p, a.cfg, a.http)
		g.clients[p.Name], from[p.Name] = cl, cl.issuers()
		g.order = append(g.order, p.Name)
	}
	g.sessions = a.newSessions(from)
	return g
}

// newSessions returns the sessions of users from these issuers, by Provider.Name.
func (a *Auth) newSessions(from map[string]*issuers) *sessions {
	k := &sessions{cfg: a.cfg, issuers: from, cache: newSessionCache()}
	box, jar, name := a.sessionBox, a.loginStates.jar, a.cfg.cookieName()
	if a.cfg.Sessions == nil {
		k.backend = &cookieBackend{box: box, unseal: k.opener(box), jar: jar, name: name, second: name + "-2"}
	} else {
		k.backend = &storeBackend{store: a.cfg.Sessions, box: box, unseal: k.opener(box), jar: jar, name: name}
	}
	return k
}

// parties returns the providers that have a relying party, in order: all that are no
// pages of the application.
func (g *registry) parties() []*client {
	list := make([]*client, 0, len(g.order))
	for _, name := range g.order {
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
		return nil, &Error{Code: ErrUnknownProvider, ID: "provider.page", Provider: name, Reason: "the provider is a page of the application: nothing answers here for it",
			Fix: "sign people in with Auth.SignIn, in the handler of Provider.LoginPage"}
	}
	return cl, err
}

// provider returns the provider of that name.
func (g *registry) provider(name string) (*client, error) {
	if cl := g.clients[name]; cl != nil {
		return cl, nil
	}
	return nil, &Error{Code: ErrUnknownProvider, ID: "provider.unknown", Reason: fmt.Sprintf("no provider is called %q; there are %q", printable.Clip(name), g.order),
		Fix: "use a Name of Options.Providers"}
}
