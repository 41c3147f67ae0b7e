package authtest

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// AccessToken is an access token for an application's own API, as [Provider.AccessToken]
// issues it.
type AccessToken struct {
	// Audience is the API that it is for: ginauth's Provider.Audience. Default: none.
	Audience string

	// Subject is whose it is. Default: the client's own, by the client credentials grant.
	Subject string

	// ClientID is whom it was issued to. Default: the provider's client.
	ClientID string

	// Scopes are what it permits.
	Scopes []string

	// Opaque makes it a random text, which the introspection endpoint knows. Default: a JWT
	// (RFC 9068).
	Opaque bool

	// Typ is the typ of a JWT's header; "none" leaves it out, as some providers do. Default
	// "at+jwt".
	Typ string

	// Life is for how long it is valid. Default one hour.
	Life time.Duration

	// Edit has the last word on header and claims; of an opaque token, on what the introspection
	// endpoint answers in claims. Default: nothing is changed.
	Edit func(header, claims map[string]any)

	// Fault is [WrongIssuer], [WrongAudience], [WrongSignature] or [Expired]. Default: none.
	Fault Fault
}

// AccessToken issues an access token.
func (p *Provider) AccessToken(t AccessToken) string {
	now, signing := p.now(), p.currentKey()
	orString(&t.ClientID, p.ClientID)
	orString(&t.Typ, "at+jwt")
	if t.Life == 0 {
		t.Life = time.Hour
	}
	claims := map[string]any{
		"iss": p.Issuer, "sub": t.Subject, "client_id": t.ClientID, "scope": strings.Join(t.Scopes, " "),
		"iat": now.Unix(), "exp": now.Add(t.Life).Unix(), "jti": randomString(16),
	}
	if t.Subject == "" { // RFC 9068, 2.2
		claims["sub"] = t.ClientID
	}
	putString(claims, "aud", t.Audience)
	header := map[string]any{"alg": signing.alg, "kid": signing.id, "typ": t.Typ}
	if t.Typ == "none" {
		delete(header, "typ")
	}
	spoil(claims, t.Fault, now)
	if t.Edit != nil {
		t.Edit(header, claims)
	}
	if t.Opaque {
		token := randomString(32)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.opaque[token] = claims
		return token
	}
	if t.Fault == WrongSignature {
		signing = p.stranger(signing)
	}
	return p.signWith(signing, mustJSON(header), mustJSON(claims))
}

// RevokeAccessToken ends an opaque access token.
func (p *Provider) RevokeAccessToken(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.opaque, token)
}

// Bearer returns the header of a request with an access token of somebody for an API.
func Bearer(p *Provider, audience, subject string, scopes ...string) http.Header {
	token := p.AccessToken(AccessToken{Audience: audience, Subject: subject, Scopes: scopes})
	return http.Header{"Authorization": {"Bearer " + token}}
}

// serveIntrospect is the introspection endpoint (RFC 7662). It knows the opaque tokens of
// AccessToken.
func (p *Provider) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodPost) {
		return
	}
	form, ok := p.authenticatedForm(w, r)
	if !ok {
		return
	}
	p.mu.Lock()
	claims, known := p.opaque[form.Get("token")]
	p.mu.Unlock()
	answer := map[string]any{"active": false} // 2.2: and nothing else
	if exp, _ := claims["exp"].(int64); known && (claims["exp"] == nil || exp > p.now().Unix()) {
		answer = map[string]any{"active": true, "token_type": "Bearer"}
		maps.Copy(answer, claims)
	}
	writeJSON(w, http.StatusOK, answer)
}
