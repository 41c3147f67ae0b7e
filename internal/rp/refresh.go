package rp

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// RefreshRequest requests another access token (RFC 6749, section 6).
type RefreshRequest struct {
	RefreshToken string
	Scopes       []string // default: the granted scopes
	Resource     string   // RFC 8707, section 2.2; default: the provider's choice
	Earlier      Earlier
}

// Earlier has the claims of earlier ID tokens of the sign-in, with which the ID token of a refresh
// is compared (OpenID Connect Core 1.0, section 12.2). Zero values are unknown and not compared.
type Earlier struct {
	Issuer, Subject string
	Nonce           [sha256.Size]byte // the hash of the nonce; zero if unknown
	AuthTime        time.Time
	IssuedAt        time.Time // of the latest ID token
}

// Refreshed is the result of a refresh.
type Refreshed struct {
	Token  *oauth2.Token  // with the refresh token to use next
	Claims map[string]any // of its ID token; nil without one
}

// Refresh sends a refresh token, once. The error code StepUpRequired means that the refresh
// token is no longer valid, or does not cover the request: the user must return to the provider.
// After any other error the refresh token may or may not have been spent. If the error comes
// with a Refreshed, the keys for the ID token could not be fetched; the Refreshed then has only
// the refresh token to use next.
func (c *Client) Refresh(ctx context.Context, r RefreshRequest) (*Refreshed, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	// A refresh token may be valid for one request only: it is not sent as long as there are no
	// keys to verify the response.
	if c.openID() && !c.cfg.Quirks.HS256 {
		if err := m.keys.known(ctx); err != nil {
			return nil, c.unreachable("signing keys", err)
		}
	}
	answer, clock, err := c.exchange(ctx, m, c.refreshGrant(r))
	if err != nil {
		return nil, err
	}
	got := &Refreshed{Token: c.tokenOf(answer)}
	// RFC 6749, 6: the server "MAY issue a new refresh token, in which case the client MUST
	// discard the old refresh token".
	if got.Token.RefreshToken == "" {
		got.Token.RefreshToken = r.RefreshToken
	}
	// Core, 12.2: the response "might not contain an id_token".
	raw, _ := answer["id_token"].(string)
	if raw == "" || !c.openID() {
		return got, nil
	}
	got.Claims, err = c.verifyRefreshed(ctx, m, raw, got.Token.AccessToken, r.Earlier, clock)
	if e, ok := err.(*Error); ok && e.outage { // the keys could not be fetched
		return &Refreshed{Token: &oauth2.Token{RefreshToken: got.Token.RefreshToken}}, err
	}
	if err != nil {
		return nil, err
	}
	return got, nil
}

// refreshGrant is the grant of a refresh token.
func (c *Client) refreshGrant(r RefreshRequest) grant {
	form := "grant_type=refresh_token&" + param("refresh_token", r.RefreshToken)
	if len(r.Scopes) > 0 {
		form += "&" + param("scope", strings.Join(r.Scopes, c.cfg.Quirks.ScopeSeparator))
	}
	if r.Resource != "" {
		form += "&" + param("resource", r.Resource)
	}
	return grant{op: "refresh token", form: form, refusal: refreshRefusal}
}

// refreshRefusal returns the Error for an error code that requires the user to act, or nil.
func refreshRefusal(code string) *Error {
	switch code {
	// RFC 6749, 5.2: the refresh token "is invalid, expired, revoked, […] or was issued to
	// another client". GitHub and Slack have their own codes.
	case "invalid_grant", "bad_refresh_token", "invalid_refresh_token":
		return &Error{Code: StepUpRequired, ID: "refresh.invalid_grant", Reason: "the provider rejected the refresh token (" + quotedErrorCode(code) + ")",
			Fix: "ask the user to sign in again: the token has expired, was revoked, or was used twice"}
	// 6: the scope "MUST NOT include any scope not originally granted by the resource
	// owner". RFC 8707, 2: invalid_target. The others are from OpenID Connect Core, 3.1.2.6.
	case "invalid_scope", "invalid_target", "consent_required", "interaction_required", "login_required":
		return &Error{Code: StepUpRequired, ID: "refresh.consent", Reason: "the provider requires user interaction for this access token (" + quotedErrorCode(code) + ")",
			Fix: "redirect the user to the provider for consent"}
	}
	return nil
}

// verifyRefreshed verifies the ID token of a refresh, and that it belongs to the same sign-in.
func (c *Client) verifyRefreshed(ctx context.Context, m *metadata, raw, accessToken string, earlier Earlier, clock clockReading) (map[string]any, error) {
	claims, alg, err := c.openJWT(ctx, m, raw, expectedJWT{
		typs: []string{"JWT"}, audience: c.cfg.ClientID, algs: m.idTokenAlgs, secret: c.cfg.Quirks.HS256,
	})
	if err == nil {
		err = c.checkRefreshed(claims, alg, accessToken, earlier)
	}
	if err == nil {
		return claims, nil
	}
	told := c.about(err, IDTokenInvalid, "verify ID token")
	if told.clock {
		told.Reason += clock.compare()
	}
	return nil, told
}

func (c *Client) checkRefreshed(claims map[string]any, alg, accessToken string, earlier Earlier) error {
	if err := c.checkIssuer(claims); err != nil {
		return err
	}
	if err := checkParty(claims, c.cfg.ClientID); err != nil {
		return err
	}
	// Core, 12.2: iat "MUST represent the time that the new ID Token is issued". Earlier.check
	// compares it with that of the previous token.
	if err := checkTimes(claims, c.cfg.Now(), time.Time{}); err != nil {
		return err
	}
	if err := checkHashes(claims, alg, expected{accessToken: accessToken}); err != nil {
		return err
	}
	if err := checkSubject(claims["sub"]); err != nil {
		return err
	}
	return earlier.check(claims)
}

// check compares an ID token with the earlier ones. Section 12.2: "its iss Claim Value MUST be the
// same", and so must be sub, and auth_time if it is present.
func (e *Earlier) check(claims map[string]any) error {
	const fix = "ask the user to sign in again; if it persists, report to the provider that it mixes up sessions"
	iat, _ := strictjson.NumericDate(claims["iat"])
	authTime, told := strictjson.NumericDate(claims["auth_time"])
	nonce, _ := claims["nonce"].(string)
	sum := sha256.Sum256([]byte(nonce))
	switch {
	case e.Issuer != "" && claims["iss"] != e.Issuer:
		return fault("refresh.issuer", "the ID token of the refresh has a different issuer than that of the sign-in", fix, nil)
	case e.Subject != "" && claims["sub"] != e.Subject:
		return fault("refresh.subject", "the ID token of the refresh belongs to a different user", fix, nil)
	case iat.Before(e.IssuedAt.Add(-Leeway)):
		return fault("refresh.iat", "the ID token of the refresh is older than the previous one", fix, nil)
	case told && authTime.Unix() != 0 && !e.AuthTime.IsZero() && !authTime.Equal(e.AuthTime):
		return fault("refresh.auth_time", "the ID token of the refresh has a different auth_time", fix, nil)
	// "It SHOULD NOT have a nonce Claim, even when the ID Token issued at the time of the
	// original authentication contained nonce; however, if it is present, its value MUST be
	// the same".
	case claims["nonce"] != nil && e.Nonce != [sha256.Size]byte{} && subtle.ConstantTimeCompare(sum[:], e.Nonce[:]) != 1:
		return fault("refresh.nonce", "the ID token of the refresh has a different nonce than that of the sign-in", fix, nil)
	}
	return nil
}
