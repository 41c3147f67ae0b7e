package authtest

import (
	"encoding/json"
	"net/url"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// assertionAlgs are the algorithms of client assertions that the token endpoint accepts.
var assertionAlgs = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// assertionLife is the maximum time for which an assertion may be valid.
const assertionLife = 5 * time.Minute

// assertion is the claims of a client assertion (RFC 7523, section 3).
type assertion struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	// Audience must be the issuer, as a single string. A list could also name another provider.
	Audience any     `json:"aud"`
	ID       string  `json:"jti"`
	Expiry   float64 `json:"exp"`
	IssuedAt float64 `json:"iat"`
}

// asserts checks the client assertion of a form, and returns what is wrong with it. Each
// assertion is accepted once.
func (p *Provider) asserts(form url.Values) (problem string) {
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return "client_assertion_type is not jwt-bearer"
	}
	token, err := jose.ParseSignedCompact(form.Get("client_assertion"), assertionAlgs)
	if err != nil || len(token.Signatures) != 1 {
		return "client_assertion is not a signed JWT"
	}
	payload, err := token.Verify(p.config.ClientKey.Public())
	if err != nil {
		return "client_assertion is not signed by the client's key"
	}
	var claims assertion
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "the claims of client_assertion are not JSON"
	}
	now := float64(p.now().Unix())
	switch {
	case claims.Issuer != p.ClientID || claims.Subject != p.ClientID:
		return "iss and sub are not the client_id"
	case form.Has("client_id") && form.Get("client_id") != p.ClientID:
		return "the client_id in the body differs"
	case claims.Audience != p.Issuer:
		return "aud is not the issuer as a single string"
	case claims.Expiry <= now || claims.Expiry > now+assertionLife.Seconds():
		return "exp is in the past or too far in the future"
	case claims.IssuedAt > now+60:
		return "iat is in the future"
	case claims.ID == "":
		return "jti is missing"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, expires := range p.assertions {
		if expires.Before(p.now()) {
			delete(p.assertions, id)
		}
	}
	if _, seen := p.assertions[claims.ID]; seen {
		return "the assertion was already used"
	}
	p.assertions[claims.ID] = time.Unix(int64(claims.Expiry)+1, 0)
	return ""
}
