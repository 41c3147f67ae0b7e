package rp

import (
	"context"
	"fmt"
	"time"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// logoutTokenAge is the maximum age of a logout token. An older token is a replay or was stuck in a
// queue, and could end sessions that have begun since.
const logoutTokenAge = 5 * time.Minute

const logoutTokenFix = "have the provider send valid logout tokens (OpenID Connect Back-Channel Logout 1.0, section 2.4)"

// logoutEvent is the member of events that makes a JWT a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// LogoutToken is a verified logout token. Subject or SID may be empty, but not both.
type LogoutToken struct {
	Issuer, Subject, SID string
	IssuedAt             time.Time
}

// VerifyLogoutToken verifies a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6).
// Anyone can send one: before its signature is verified, it is not trusted, and causes no request
// except for metadata and keys.
func (c *Client) VerifyLogoutToken(ctx context.Context, raw string) (*LogoutToken, error) {
	// 2.6: "If any of the validation steps fails, reject the Logout Token and return an HTTP
	// 400 Bad Request error." LogoutTokenInvalid leads to that. Other failures have other codes,
	// so that the provider tries again.
	const op = "verify logout token"
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	if m.keys == nil {
		return nil, c.about(fault("logout_token.plain", "a plain OAuth 2.0 provider sends no logout tokens", "set Issuer if the provider supports OpenID Connect", nil), LogoutTokenInvalid, op)
	}
	// 2.4 recommends the typ logout+jwt; Keycloak and others send JWT. An ID token passes with
	// neither: it has a nonce and no events. 2.4 requires an exp, which Ory Hydra and older
	// versions of Keycloak omit: iat must be recent anyway.
	//
	// 2.6: the signature and alg are validated "in the same way" as those of ID tokens,
	// and "an alg with the value none MUST NOT be used for Logout Tokens". HS256 is rejected even
	// with Quirks.HS256: everyone who knows the secret could sign users out.
	claims, _, err := c.openJWT(ctx, m, raw, expectedJWT{typs: []string{"logout+jwt", "JWT"}, audience: c.cfg.ClientID, algs: m.idTokenAlgs, noExpiry: true, from: fromAnyone})
	if err == nil {
		err = c.checkIssuer(claims)
	}
	var issued time.Time
	if err == nil {
		issued, err = checkLogoutClaims(claims, c.cfg.Now())
	}
	if err != nil {
		return nil, c.about(err, LogoutTokenInvalid, op)
	}
	token := &LogoutToken{IssuedAt: issued}
	token.Issuer, _ = claims["iss"].(string) // verified; it differs from Config.Issuer only with TokenIssuer
	token.Subject, _ = claims["sub"].(string)
	token.SID, _ = claims["sid"].(string)
	return token, nil
}

// checkLogoutClaims checks the claims that section 2.4 requires. A jti is required but not
// remembered. 2.6: "Optionally verify that another Logout Token with the same jti value has not
// been recently received": repeating a token has no effect, since it sets the same watermark to
// the same time.
func checkLogoutClaims(claims map[string]any, now time.Time) (issued time.Time, err error) {
	bad := func(id, reason string) (time.Time, error) {
		return time.Time{}, fault(id, reason, logoutTokenFix, nil)
	}
	// 2.4, of events: "This declares that the JWT is a Logout Token. The corresponding
	// member value MUST be a JSON object".
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return bad("logout_token.events", "the token is not a logout token: its events claim lacks the logout event")
	}
	// 2.4: "A nonce Claim MUST NOT be present. Its use is prohibited to make a Logout Token
	// syntactically invalid if used in a forged Authentication Response in place of an ID
	// Token." Conversely, an ID token with a nonce cannot pass as a logout token.
	if _, there := claims["nonce"]; there {
		return bad("logout_token.nonce", "the token has a nonce and may be an ID token")
	}
	if jti, _ := claims["jti"].(string); jti == "" {
		return bad("logout_token.jti", "jti is missing")
	}
	for _, c := range []struct{ id, name string }{{"logout_token.sub", "sub"}, {"logout_token.sid", "sid"}} {
		if v, there := claims[c.name]; there {
			if s, _ := v.(string); s == "" {
				return bad(c.id, c.name+" is not a string")
			}
		}
	}
	// 2.4: "A Logout Token MUST contain either a sub or a sid Claim, and MAY contain both. If
	// a sid Claim is not present, the intent is that all sessions at the RP for the End-User
	// identified by the iss and sub Claims be logged out." The caller does that.
	if claims["sub"] == nil && claims["sid"] == nil {
		return bad("logout_token.sub_and_sid_missing", "the token has neither sub nor sid")
	}
	return checkLogoutTime(claims["iat"], now)
}

// checkLogoutTime checks the iat of a logout token, which limits how long it can be replayed, since
// exp is not required here. There is no sign-in to compare it with, so its age is checked.
func checkLogoutTime(iat any, now time.Time) (issued time.Time, err error) {
	byClock := func(id, reason string) (time.Time, error) {
		e := fault(id, reason, clockFix, nil)
		e.clock = true
		return time.Time{}, e
	}
	issued, ok := strictjson.NumericDate(iat)
	switch {
	case !ok:
		return time.Time{}, fault("logout_token.iat", "iat is missing or not a date", logoutTokenFix, nil)
	case issued.After(now.Add(Leeway)):
		return byClock("logout_token.iat_future", fmt.Sprintf("the token was issued %v in the future by this machine's clock", issued.Sub(now).Round(time.Second)))
	case now.Sub(issued) > logoutTokenAge:
		return byClock("logout_token.iat_past", fmt.Sprintf("the token was issued %v ago by this machine's clock; the limit is 5 minutes", now.Sub(issued).Round(time.Second)))
	}
	return issued, nil
}
