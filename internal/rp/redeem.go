package rp

import (
	"context"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// Identity is the verified result of a sign-in.
type Identity struct {
	Issuer string         // Config.Namespace for plain OAuth 2.0
	SID    string         // session ID at the provider, for logout tokens; empty for plain OAuth 2.0
	Claims map[string]any // as the provider sent them
	Token  *oauth2.Token

	Incomplete bool // set by Identify: missing claims are unknown, not absent

	ACR           string    // of the ID token, or empty
	AuthTime      time.Time // of the ID token; zero if absent
	IssuedAt      time.Time // of the ID token; zero for plain OAuth 2.0
	SessionExpiry time.Time // when the provider's own session ends (IPSIE SL1); zero if absent
}

// Redeem exchanges the code of a response that CheckResponse has accepted, once, and verifies who
// signed in: RFC 6749, section 4.1.3; OpenID Connect Core 1.0, sections 3.1.3 and 5.3. For plain
// OAuth 2.0 the profile identifies the user. With an error, the Identity is nil.
func (c *Client) Redeem(ctx context.Context, r Request, response url.Values) (*Identity, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	// Before the code is sent: another token endpoint could abuse it.
	if err := c.checkFingerprint(m, r.Fingerprint); err != nil {
		return nil, err
	}
	// RFC 6749, 4.1.2: "The client MUST NOT use the authorization code more than once." The
	// server "SHOULD revoke (when possible) all tokens previously issued based on that
	// authorization code". So there is no retry: a second request could revoke the tokens of the
	// first.
	answer, clock, err := c.exchange(ctx, m, c.codeGrant(r, response))
	if err != nil {
		return nil, err
	}
	id := &Identity{Issuer: c.cfg.Namespace, Token: c.tokenOf(answer)}
	// Plain OAuth 2.0 has no ID token. The access token is known to be for this client because of
	// the code, which came with our state and PKCE challenge and was redeemed with our client
	// authentication.
	if !c.openID() {
		if id.Claims, err = c.profile(ctx, m, id.Token); err != nil {
			return nil, err
		}
		return id, nil
	}
	// OpenID Connect Core, 3.1.3.5: the ID token is validated before the access token is
	// used: at_hash, if present, shows that the two belong together (3.1.3.8).
	raw, _ := answer["id_token"].(string)
	id.Claims, err = c.verifyIDToken(ctx, m, raw, expected{request: r, code: response.Get("code"), accessToken: id.Token.AccessToken, clock: clock})
	if err != nil {
		return nil, err
	}
	id.read()
	if err := c.addUserinfo(ctx, m, id); err != nil {
		return nil, err
	}
	return id, nil
}

// read fills in the fields that come from protocol claims of the ID token, before userinfo is
// merged. 5.7: "The sub (subject) and iss (issuer) Claims from the ID Token, used together, are
// the only Claims that an RP can rely upon as a stable identifier for the End-User".
func (id *Identity) read() {
	id.Issuer, _ = id.Claims["iss"].(string) // verified; it differs from Config.Issuer only with TokenIssuer
	// Back-Channel Logout 1.0, 2.4: sid "represents a Session of a User Agent or device for a
	// logged-in End-User at an RP". A logout token names it again.
	id.SID, _ = id.Claims["sid"].(string)
	id.ACR, _ = id.Claims["acr"].(string)
	id.AuthTime, _ = strictjson.NumericDate(id.Claims["auth_time"])
	id.IssuedAt, _ = strictjson.NumericDate(id.Claims["iat"])
	id.SessionExpiry, _ = strictjson.NumericDate(id.Claims["session_expiry"])
}

// CheckProvider rejects a sign-in that began with another provider or client. Redeem makes the same
// check before it sends the code: this is for a Client that has replaced the one that redeemed it.
func (c *Client) CheckProvider(ctx context.Context, r Request) error {
	m, err := c.metadata(ctx)
	if err != nil {
		return err
	}
	return c.checkFingerprint(m, r.Fingerprint)
}

// checkFingerprint: RFC 9700, 4.4.2, requires the client to store the issuer to which it sent the
// authorization request, and to compare it when the response arrives. A token endpoint that
// changed in between must not get the code either.
func (c *Client) checkFingerprint(m *metadata, began Fingerprint) error {
	switch {
	case began.Theirs != m.fingerprint.Theirs:
		return &Error{Code: IssuerMismatch, ID: "response.provider_changed", Op: "redeem code", Provider: c.cfg.Name,
			Reason: "the provider's issuer or token endpoint changed during the sign-in", Fix: "start again"}
	case began.Ours != m.fingerprint.Ours:
		return &Error{Code: StateInvalid, ID: "response.client_changed", Op: "match state", Provider: c.cfg.Name,
			Reason: "the client ID or redirect URI changed during the sign-in", Fix: "start again"}
	}
	return nil
}
