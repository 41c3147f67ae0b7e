package authtest

import (
	"net/url"
	"slices"
	"strings"
)

// oauthError is an error of the token endpoint (RFC 6749, section 5.2).
type oauthError struct{ code, description string }

func invalidGrant(description string) *oauthError { return &oauthError{"invalid_grant", description} }

// knowsAll reports whether the provider knows every resource of a request. Without Config.APIs
// the parameter has no meaning here, as at most providers.
func (p *Provider) knowsAll(resources []string) bool {
	return p.config.APIs == nil || !slices.ContainsFunc(resources, func(r string) bool { return p.config.APIs[r] == nil })
}

// audience returns the API that an access token is for: the resource that the token request
// names, else the one that the authorization request named (RFC 8707, section 2.2), else the
// API that has one of the scopes. It is "" for a token of the provider's own endpoints.
func (p *Provider) audience(form url.Values, g *grant) (string, *oauthError) {
	if p.config.APIs == nil {
		return "", nil
	}
	asked := form["resource"]
	if len(asked) == 0 {
		asked = g.resources
	}
	if !p.knowsAll(asked) || len(g.resources) > 0 && slices.ContainsFunc(asked, func(r string) bool { return !slices.Contains(g.resources, r) }) {
		return "", &oauthError{"invalid_target", "resource is not an API of this provider, or was not granted"}
	}
	if len(asked) == 0 {
		asked = p.apisOf(g.scopes)
	}
	switch len(asked) {
	case 0:
		return "", nil
	case 1:
		return asked[0], nil
	}
	return "", &oauthError{"invalid_target", "an access token is for one API; request one resource"}
}

// apisOf returns the APIs that have one of scopes.
func (p *Provider) apisOf(scopes []string) []string {
	var apis []string
	for api, its := range p.config.APIs {
		if slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(its, s) }) {
			apis = append(apis, api)
		}
	}
	return apis
}

// ownScopes are the scopes of the provider itself.
var ownScopes = []string{"openid", "profile", "email", "groups", "offline_access"}

// scopesSupported returns the scopes of the provider and of its APIs.
func (p *Provider) scopesSupported() []string {
	all := slices.Clone(ownScopes)
	for _, its := range p.config.APIs {
		all = append(all, its...)
	}
	slices.Sort(all[len(ownScopes):])
	return slices.Compact(all)
}

// supports reports whether every scope of a request is one of the provider or of its APIs.
func (p *Provider) supports(scopes []string) bool {
	all := p.scopesSupported()
	return !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(all, s) })
}

// apiToken signs the access token of a grant for an API (RFC 9068): its scopes are those of the
// API, and it has the same claims about the authentication as an ID token.
func (p *Provider) apiToken(g *grant) string {
	its := p.config.APIs[g.audience]
	t := AccessToken{Audience: g.audience, Subject: g.person.Subject, Life: tokenLife}
	for _, scope := range g.scopes {
		if slices.Contains(its, scope) {
			t.Scopes = append(t.Scopes, scope)
		}
	}
	if fault := p.fault(Token); slices.Contains(accessTokenFaults, fault) {
		t.Fault = fault
	}
	how := p.howToAuthenticate()
	t.Edit = func(_, claims map[string]any) {
		putString(claims, "sid", g.session.sid)
		if !how.ignores(ACR) {
			putString(claims, "acr", g.session.acr)
		}
		if !how.ignores(AuthTime) && !g.session.since.IsZero() {
			claims["auth_time"] = g.session.since.Unix()
		}
	}
	return p.AccessToken(t)
}

// clientCredentials issues a token to the client itself (RFC 6749, section 4.4). A public client
// has no credentials.
func (p *Provider) clientCredentials(form url.Values) (*grant, string, *oauthError) {
	g := &grant{scopes: strings.Fields(form.Get("scope"))}
	if p.config.Public {
		return nil, "", &oauthError{"unauthorized_client", "a public client cannot use client_credentials"}
	}
	if !p.supports(g.scopes) || slices.ContainsFunc(g.scopes, func(s string) bool { return slices.Contains(ownScopes, s) }) {
		return nil, "", &oauthError{"invalid_scope", "client_credentials can only request API scopes"}
	}
	audience, problem := p.audience(form, g)
	if problem == nil && audience == "" {
		problem = &oauthError{"invalid_target", "request the API by resource or by one of its scopes"}
	}
	g.audience = audience
	return g, "", problem
}
