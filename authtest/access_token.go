package authtest

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// AccessToken describes an access token for an application's API, for [Provider.AccessToken].
type AccessToken struct {
	// Audience is the aud of the token: ginauth's Provider.Audience. Default: none.
	Audience string

	// Subject is the user's subject. Default: none; the token is the client's own (client
	// credentials grant).
	Subject string

	// ClientID is the client that the token was issued to. Default: the provider's client.
	ClientID string

	// Scopes are the granted scopes. Default: none.
	Scopes []string

	// Opaque makes the token a random string that the introspection endpoint accepts (RFC
	// 7662). Default: false; the token is a JWT (RFC 9068).
	Opaque bool

	// Typ is the typ of the JWT header; "none" omits it, as some providers do. Default
	// "at+jwt".
	Typ string

	// Life is how long the token is valid. Default one hour.
	Life time.Duration

	// Edit changes the header and claims of the JWT or, for an opaque token, the claims of the
	// introspection response. Default: none.
	Edit func(header, claims map[string]any)

	// Fault makes the token invalid: [WrongIssuer], [WrongAudience], [WrongSignature] or
	// [Expired]. Default: none.
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

// RevokeAccessToken revokes an opaque access token. A JWT stays valid until it expires.
func (p *Provider) RevokeAccessToken(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.opaque, token)
}

// Bearer returns the headers of a request with a new access token for a user and an API: the
// Authorization header.
func Bearer(p *Provider, audience, subject string, scopes ...string) http.Header {
	token := p.AccessToken(AccessToken{Audience: audience, Subject: subject, Scopes: scopes})
	return http.Header{"Authorization": {"Bearer " + token}}
}

// serveIntrospect is the introspection endpoint (RFC 7662) for the opaque tokens of
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
	answer := map[string]any{"active": false} // 2.2: without other members
	if exp, _ := claims["exp"].(int64); known && (claims["exp"] == nil || exp > p.now().Unix()) {
		answer = map[string]any{"active": true, "token_type": "Bearer"}
		maps.Copy(answer, claims)
	}
	writeJSON(w, http.StatusOK, answer)
}
