package authtest

import (
	"maps"
	"time"
)

// idToken creates the ID token of a grant, with the fault and the changes that a test has set.
func (p *Provider) idToken(g *grant, accessToken string) string {
	signing, fault, edits := p.currentKey(), p.fault(Token), p.edited()
	now := p.now()
	claims := map[string]any{}
	if !p.config.ThinIDToken {
		claims = g.person.identity(g.scopes)
	}
	hash := digestOf(hashOf(signing.alg), []byte(accessToken))
	maps.Copy(claims, map[string]any{
		"iss": p.Issuer, "sub": g.person.Subject, "aud": p.ClientID,
		"iat": now.Unix(), "exp": now.Add(p.config.IDTokenTTL).Unix(),
		"at_hash": encode(hash[:len(hash)/2]),
		"sid":     g.session.sid,
	})
	putString(claims, "nonce", g.nonce)
	how := p.howToAuthenticate()
	if !how.ignores(ACR) {
		putString(claims, "acr", g.session.acr)
		if len(g.session.amr) > 0 {
			claims["amr"] = g.session.amr
		}
	}
	if g.withTime && !how.ignores(AuthTime) {
		claims["auth_time"] = g.session.since.Unix()
	}
	header := map[string]any{"alg": signing.alg, "kid": signing.id, "typ": "JWT"}
	spoil(claims, fault, now)
	if edits.idToken != nil {
		edits.idToken(header, claims)
	}
	if fault == WrongSignature {
		signing = p.stranger(signing)
	}
	compact := p.signWith(signing, mustJSON(header), mustJSON(claims))
	if edits.replaceIDToken != nil {
		compact = edits.replaceIDToken(compact)
	}
	return compact
}

func spoil(claims map[string]any, fault Fault, now time.Time) {
	switch fault {
	case WrongNonce:
		claims["nonce"] = "another-nonce"
	case WrongIssuer:
		claims["iss"] = "https://another-issuer.example"
	case WrongAudience:
		claims["aud"] = "another-client"
	case Expired:
		claims["iat"] = now.Add(-3 * time.Hour).Unix()
		claims["exp"] = now.Add(-2 * time.Hour).Unix()
	}
}

// stranger returns a key like k that this provider never publishes.
func (p *Provider) stranger(k key) key {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.strange.signer == nil {
		p.strange, _ = takeKey(k.alg) // the algorithm was checked by Start
	}
	return p.strange
}
