package authtest

import (
	"net/http"
	"net/url"
)

// edits are a test's changes to the provider's responses. They run on the server's goroutines.
type edits struct {
	metadata       func(map[string]any)
	jwks           func([]map[string]any) []map[string]any
	idToken        func(header, claims map[string]any)
	replaceIDToken func(string) string
	token          func(map[string]any)
	userinfo       func(map[string]any)
	answer         func(url.Values)
}

func (p *Provider) edit(change func(*edits)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.edits)
}

func (p *Provider) edited() edits {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.edits
}

// EditMetadata lets f change the discovery document before it is sent. Like the other Edit
// methods, it replaces the function of an earlier call, and nil removes it; f must be safe for
// concurrent use.
func (p *Provider) EditMetadata(f func(metadata map[string]any)) {
	p.edit(func(e *edits) { e.metadata = f })
}

// EditJWKS lets f change or replace the published keys.
func (p *Provider) EditJWKS(f func(keys []map[string]any) []map[string]any) {
	p.edit(func(e *edits) { e.jwks = f })
}

// EditIDToken lets f change an ID token's header and claims before they are signed. See
// [Provider.Sign] for alg.
func (p *Provider) EditIDToken(f func(header, claims map[string]any)) {
	p.edit(func(e *edits) { e.idToken = f })
}

// ReplaceIDToken lets f replace the signed ID token, in compact form, in the token response.
func (p *Provider) ReplaceIDToken(f func(compact string) string) {
	p.edit(func(e *edits) { e.replaceIDToken = f })
}

// EditToken lets f change the token response.
func (p *Provider) EditToken(f func(answer map[string]any)) {
	p.edit(func(e *edits) { e.token = f })
}

// EditUserinfo lets f change the userinfo response.
func (p *Provider) EditUserinfo(f func(claims map[string]any)) {
	p.edit(func(e *edits) { e.userinfo = f })
}

// EditAnswer lets f change the parameters of authorization responses, including error
// responses.
func (p *Provider) EditAnswer(f func(answer url.Values)) {
	p.edit(func(e *edits) { e.answer = f })
}

// Handle replaces the handler of an endpoint by h; nil restores it. Requests are still
// recorded. A handler that changes only some responses calls [Provider.Default] for the
// others.
func (p *Provider) Handle(e Endpoint, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers[e] = h
}

// Default returns the built-in handler of an endpoint, for handlers passed to Handle.
func (p *Provider) Default(e Endpoint) http.Handler {
	switch e {
	case Discovery:
		return http.HandlerFunc(p.serveDiscovery)
	case Authorize:
		return http.HandlerFunc(p.serveAuthorize)
	case Token:
		return http.HandlerFunc(p.serveToken)
	case Userinfo:
		return http.HandlerFunc(p.serveUserinfo)
	case JWKS:
		return http.HandlerFunc(p.serveJWKS)
	case EndSession:
		return http.HandlerFunc(p.serveEndSession)
	case Revoke:
		return http.HandlerFunc(p.serveRevoke)
	case Introspect:
		return http.HandlerFunc(p.serveIntrospect)
	case DeviceAuthorization:
		return http.HandlerFunc(p.serveDeviceAuthorization)
	}
	return http.NotFoundHandler()
}

// SignInAs makes the authorization endpoint respond at once as if the user with this subject
// had been chosen, and allows devices as soon as they ask; "" shows the page again. It panics
// if no user has the subject.
func (p *Provider) SignInAs(subject string) {
	if _, ok := p.person(subject); !ok && subject != "" {
		panic("authtest: no person has the subject " + subject + " to sign in as")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signInAs = subject
}

// DenyConsent makes the authorization endpoint respond with error=access_denied, as if the
// user had refused; devices receive the same error.
func (p *Provider) DenyConsent(deny bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deny = deny
}

// IgnorePKCE makes the token endpoint accept any code_verifier, like providers without PKCE.
func (p *Provider) IgnorePKCE(ignore bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ignorePKCE = ignore
}
