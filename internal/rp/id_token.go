package rp

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/jws"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// expected is what an ID token must match.
type expected struct {
	request     Request
	code        string
	accessToken string
	clock       clockReading // of the token response
}

// protocolClaims are the claims about the ID token itself. RFC 7519, 4: "all claims that are not
// understood by implementations MUST be ignored". These and Config.Names are understood; a variant
// of one in another case is rejected (checkNames).
var protocolClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "azp", "at_hash", "c_hash", "s_hash",
	"auth_time", "acr", "amr", "sid", "typ", "events",
}

// ProtocolClaim reports whether a claim is about the ID token itself, so that it is never taken
// from userinfo.
func ProtocolClaim(name string) bool { return slices.Contains(protocolClaims, name) }

// verifyIDToken verifies an ID token according to OpenID Connect Core 1.0, section 3.1.3.7, and
// returns its claims.
//
// (6) permits TLS server validation in place of checking the signature of a token from the token
// endpoint. The signature is checked anyway: proxies terminate TLS, but only the provider has the
// keys. (1) is about encryption, which is not supported: openJWT rejects encrypted tokens.
func (c *Client) verifyIDToken(ctx context.Context, m *metadata, raw string, want expected) (map[string]any, error) {
	claims, alg, err := c.openJWT(ctx, m, raw, expectedJWT{
		typs: []string{"JWT"}, audience: c.cfg.ClientID, algs: m.idTokenAlgs, secret: c.cfg.Quirks.HS256,
	})
	if err == nil {
		err = c.checkIDToken(claims, alg, want)
	}
	if err == nil {
		return claims, nil
	}
	told := c.about(err, IDTokenInvalid, "verify ID token")
	if told.clock {
		told.Reason += want.clock.compare()
	}
	return nil, told
}

// checkIDToken makes the checks of an ID token that go beyond those of a JWT. The numbers in the
// comments below are those of the steps in 3.1.3.7. The nonce comes before the checks that depend
// on the request: their errors would mislead if the token is from another sign-in.
func (c *Client) checkIDToken(claims map[string]any, alg string, want expected) error {
	if err := c.checkIssuer(claims); err != nil {
		return err
	}
	if err := checkParty(claims, c.cfg.ClientID); err != nil {
		return err
	}
	if err := checkTimes(claims, c.cfg.Now(), want.request.Started); err != nil {
		return err
	}
	if err := c.checkNonce(claims, want.request.Nonce); err != nil {
		return err
	}
	if err := checkHashes(claims, alg, want); err != nil {
		return err
	}
	if err := checkAuthentication(claims, c.cfg.Now(), want.request); err != nil {
		return err
	}
	return checkSubject(claims["sub"])
}

// checkParty checks that the token was issued to this client. go-oidc checks step 3.1.3.7 (3):
// "The ID Token MUST be rejected if the ID Token does not list the Client as a valid audience".
// (4), (5): several audiences are accepted if azp is this client. Without azp, one of the
// "additional audiences not trusted by the Client" of (3) could have obtained the token and passed
// it on.
func checkParty(claims map[string]any, clientID string) error {
	const fix = "check ClientID, and the audiences that the provider adds to ID tokens"
	// (5): "when an azp (authorized party) Claim is present, the Client SHOULD verify that
	// its client_id is the Claim Value." Also with a single audience: Google's Android apps get
	// tokens with the server's client ID as aud and their own as azp.
	azp, there := claims["azp"]
	if there && azp != clientID {
		return fault("id_token.azp", "the token's azp is another client", fix, nil)
	}
	if list, _ := claims["aud"].([]any); len(list) > 1 && !there {
		return fault("id_token.audiences", "the token has several audiences but no azp", fix, nil)
	}
	// RFC 8725, 3.12: the rules for JWTs of several kinds "MUST be written such that they
	// are mutually exclusive, rejecting JWTs of the wrong kind". A logout token has the same
	// issuer, audience and keys, but an events claim, which ID tokens never have.
	if _, there := claims["events"]; there {
		return fault("id_token.events", "the token is a logout token or a security event, not an ID token", "report this to the provider: it sent another token in place of the ID token", nil)
	}
	return nil
}

// checkTimes checks the times of the token. A NumericDate is a number, which may have a fraction
// (RFC 7519, section 2). 3.1.3.7 (10): "The iat Claim can be used to reject tokens that were
// issued too far away from the current time": a token from before the sign-in cannot be its
// result. go-oidc checks (9): the current time is before exp.
func checkTimes(claims map[string]any, now, started time.Time) error {
	form := func(id, reason string) error { return fault(id, reason, wrongFormFix, nil) }
	byClock := func(id, reason string) error {
		e := fault(id, reason, clockFix, nil)
		e.clock = true
		return e
	}
	// Section 2: exp is REQUIRED, and "Its value is a JSON number". go-oidc also accepts a string,
	// and converts a number beyond an int64 by way of a float64.
	if _, ok := strictjson.NumericDate(claims["exp"]); !ok {
		return form("id_token.exp", "exp is missing or not a date")
	}
	// Section 2: iat is REQUIRED as well. (10) continues: "limiting the amount of time that
	// nonces need to be stored to prevent attacks. The acceptable range is Client
	// specific." Here it begins with the sign-in, when the nonce was created.
	iat, ok := strictjson.NumericDate(claims["iat"])
	switch {
	case !ok:
		return form("id_token.iat", "iat is missing or not a date")
	case iat.After(now.Add(Leeway)):
		return byClock("id_token.iat_future", fmt.Sprintf("the token was issued %v in the future by this machine's clock", iat.Sub(now).Round(time.Second)))
	case iat.Before(started.Add(-Leeway)):
		return byClock("id_token.iat_past", fmt.Sprintf("the token was issued %v before the sign-in began by this machine's clock", started.Sub(iat).Round(time.Second)))
	}
	// IPSIE SL1: our session ends with the provider's.
	if v, there := claims["session_expiry"]; there {
		if end, _ := strictjson.NumericDate(v); !end.After(now) {
			return byClock("id_token.session_expiry", "session_expiry is not a date, or in the past by this machine's clock")
		}
	}
	return nil
}

// checkNonce: 3.1.3.7 (11): "If a nonce value was sent in the Authentication
// Request, a nonce Claim MUST be present and its value checked to verify that it
// is the same value as the one that was sent". It binds the token to this browser.
func (c *Client) checkNonce(claims map[string]any, want string) error {
	if c.cfg.Quirks.DisableNonce {
		return nil
	}
	// An empty want would equal a missing nonce. The comparison takes constant time (16.12,
	// timing attacks).
	got, _ := claims["nonce"].(string)
	if want == "" || subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return fault("id_token.nonce", "the nonce does not match",
			"start again; set Quirks.DisableNonce only for a provider that is known not to return the nonce", nil)
	}
	return nil
}

// checkHashes: 3.1.3.6 and 3.3.2.11: at_hash, c_hash and s_hash are optional, but must match if
// present: they bind access token, code and state to the ID token. 16.11: "The c_hash in the ID
// Token enables Clients to prevent Authorization Code substitution. The at_hash in the ID Token
// enables Clients to prevent Access Token substitution." s_hash is from FAPI, for the state.
func checkHashes(claims map[string]any, alg string, want expected) error {
	for _, h := range []struct{ id, claim, of string }{
		{"id_token.at_hash", "at_hash", want.accessToken}, {"id_token.c_hash", "c_hash", want.code}, {"id_token.s_hash", "s_hash", want.request.State},
	} {
		v, there := claims[h.claim]
		if !there || h.of == "" { // a refresh has neither code nor state
			continue
		}
		if got, _ := v.(string); subtle.ConstantTimeCompare([]byte(got), []byte(halfHash(alg, h.of))) != 1 {
			return fault(h.id, h.claim+" does not match", "start again; if it persists, the provider mixes responses of several sign-ins", nil)
		}
	}
	return nil
}

// halfHash: 3.1.3.6: "Its value is the base64url encoding of the left-most half of the
// hash of the octets of the ASCII representation of the access_token value, where the
// hash algorithm used is the hash algorithm used in the alg Header Parameter of the ID
// Token's JOSE Header."
func halfHash(alg, s string) string {
	sum := jws.Sum(alg, []byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// checkAuthentication: 3.1.3.7 (12) and (13): the authentication must satisfy the requested max_age
// and acr_values, which a provider may ignore.
func checkAuthentication(claims map[string]any, now time.Time, r Request) error {
	const fix = "check whether the provider supports max_age and acr_values for this client, and do not request them otherwise"
	// 3.1.2.1: "When max_age is used, the ID Token returned MUST include an auth_time Claim
	// Value." (13): the client should "request re-authentication if it determines too much
	// time has elapsed since the last End-User authentication". Here that is an error, since
	// this sign-in has just requested it.
	v, there := claims["auth_time"]
	at, ok := strictjson.NumericDate(v)
	if at.Unix() == 0 { // the number 0: for anything but a NumericDate, at is the zero time, in year 1
		there = false // some providers send 0 if the time is unknown
	}
	switch {
	case there && !ok:
		return fault("id_token.auth_time", "auth_time is not a date", wrongFormFix, nil)
	case at.After(now.Add(Leeway)):
		e := fault("id_token.auth_time_future", "auth_time is in the future by this machine's clock", clockFix, nil)
		e.clock = true
		return e
	case r.MaxAge >= 0 && !there:
		return fault("id_token.max_age_ignored", "max_age was requested, but auth_time is missing", fix, nil)
	case r.MaxAge >= 0 && now.Sub(at) > time.Duration(r.MaxAge)*time.Second+Leeway:
		e := fault("id_token.max_age", "the user authenticated longer ago than max_age allows by this machine's clock", fix, nil)
		e.clock = true // by the provider's clock, the authentication may be recent
		return e
	}
	// (12): "If the acr Claim was requested, the Client SHOULD check that the asserted Claim
	// Value is appropriate." Providers may ignore acr_values: without this check, a password
	// would suffice where a second factor was requested.
	if acr, _ := claims["acr"].(string); r.ACRValues != "" && !slices.Contains(strings.Fields(r.ACRValues), acr) {
		return fault("id_token.acr", "acr is not one of the requested values", fix, nil)
	}
	return nil
}

const subjectFix = "report this to the provider: it must identify the user by a stable string"

// checkSubject: section 2: "The sub value is a case-sensitive string". Unlike the id of a profile
// it must not be a number: 1 and "1" must not be the same user.
func checkSubject(sub any) error {
	if _, err := ValidSubject(sub); err != nil {
		return fault(err.(*subjectError).id, err.Error(), subjectFix, nil)
	}
	if _, ok := sub.(string); !ok {
		return fault("id_token.sub", "sub is not a string", subjectFix, nil)
	}
	return nil
}

// subjectError says why a subject cannot identify a user.
type subjectError struct{ id, reason string }

// Error implements error.
func (e *subjectError) Error() string { return e.reason }

// ValidSubject returns a subject, or an error if it cannot identify a user. OpenID Connect Core,
// section 2: sub "MUST NOT exceed 255 ASCII characters in length". The same limit applies to the
// ids of plain OAuth 2.0 profiles, which may also be numbers. The number 0 and "" are rejected:
// broken profiles contain them.
func ValidSubject(v any) (string, error) {
	s, ok := strictjson.String(v)
	switch {
	case !ok || s == "" || v == json.Number("0"):
		return "", &subjectError{"id_token.sub", "sub is missing, empty, zero or not a string"}
	case len(s) > 255:
		return "", &subjectError{"id_token.sub_too_long", "sub is longer than 255 characters"}
	}
	// Printable ASCII: subjects go into logs, and no two of them may look alike.
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return "", &subjectError{"id_token.sub_characters", "sub has characters that are not printable ASCII"}
		}
	}
	return s, nil
}
