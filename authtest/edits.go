package authtest

import (
	"net/http"
	"net/url"
)

// edits are the changes that a test makes to what the provider says. They run
// on the server's goroutines.
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

// EditMetadata lets f change the discovery document before it is sent. Like the
// other Edit methods, it replaces the function of an earlier call, and nil
// takes that away; f must be safe for concurrent use.
func (p *Provider) EditMetadata(f func(metadata map[string]any)) {
	p.edit(func(e *edits) { e.metadata = f })
}

// EditJWKS lets f change or replace the published keys.
func (p *Provider) EditJWKS(f func(keys []map[string]any) []map[string]any) {
	p.edit(func(e *edits) { e.jwks = f })
}

// EditIDToken lets f change an ID token's header and claims before they are
// signed. What alg does in the header is said at [Provider.Sign].
func (p *Provider) EditIDToken(f func(header, claims map[string]any)) {
	p.edit(func(e *edits) { e.idToken = f })
}

// ReplaceIDToken lets f return what the token endpoint sends instead of the
// signed ID token in compact form that it is given.
func (p *Provider) ReplaceIDToken(f func(compact string) string) {
	p.edit(func(e *edits) { e.replaceIDToken = f })
}

// EditToken lets f change the token endpoint's answer.
func (p *Provider) EditToken(f func(answer map[string]any)) {
	p.edit(func(e *edits) { e.token = f })
}

// EditUserinfo lets f change the userinfo answer.
func (p *Provider) EditUserinfo(f func(claims map[string]any)) {
	p.edit(func(e *edits) { e.userinfo = f })
}

// EditAnswer lets f change the parameters of the authorization endpoint's
// answers, those with an error included.
func (p *Provider) EditAnswer(f func(answer url.Values)) {
	p.edit(func(e *edits) { e.answer = f })
}

// Handle lets h answer an endpoint's requests, which are remembered as before;
// nil gives the endpoint back. A handler that changes only some of the answers
// leaves the others to [Provider.Default].
func (p *Provider) Handle(e Endpoint, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers[e] = h
}

// Default is an endpoint's own handler, for a handler given to Handle to call.
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

// SignInAs makes the authorization endpoint answer at once, as if the person
// had been chosen, and allows devices as soon as they ask; "" shows the pages again. It
// panics if there is no such person.
func (p *Provider) SignInAs(subject string) {
	if _, ok := p.person(subject); !ok && subject != "" {
		panic("authtest: no person has the subject " + subject + " to sign in as")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signInAs = subject
}

// DenyConsent makes the authorization endpoint answer that the person refused:
// error=access_denied. Devices are told the same.
func (p *Provider) DenyConsent(deny bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deny = deny
}

// IgnorePKCE makes the token endpoint redeem codes whatever the code_verifier
// is, as providers do that know nothing of PKCE.
func (p *Provider) IgnorePKCE(ignore bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ignorePKCE = ignore
}
