package rp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ginauth/ginauth/internal/jws"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// UnverifiedToken is a well-formed JWT that is not verified. Its claims only select the keys
// to verify it with.
type UnverifiedToken struct {
	raw      *jws.Token
	claims   map[string]any
	iat, exp time.Time // once the times are checked
}

// ParseAccessToken parses an access token in the form of a JWT. For an opaque token it returns
// ErrNotJWT.
func ParseAccessToken(raw string) (*UnverifiedToken, error) {
	if strings.Count(raw, ".") != 2 {
		return nil, ErrNotJWT
	}
	if len(raw) > tokenLimit {
		return nil, accessTokenFault("jwt.too_long", "the token is longer than 64 KB", "reduce the claims that the provider puts into the token")
	}
	token, err := jws.Split(raw)
	if err != nil {
		return nil, ErrNotJWT
	}
	t := &UnverifiedToken{raw: token}
	if t.claims, err = strictjson.Object(token.Payload); err != nil {
		return nil, invalidToken(fault("jwt.claims_json", "the claims are not strict JSON", wrongFormFix, err))
	}
	dropNulls(t.claims)
	return t, nil
}

// ErrNotJWT means that a token does not have the form of a JWT.
var ErrNotJWT = accessTokenFault("jwt.malformed", "the token is not a JWT", "send a JWT access token (RFC 9068) of the provider; for opaque tokens, set Provider.Introspect")

func accessTokenFault(id, reason, fix string) *Error {
	return invalidToken(fault(id, reason, fix, nil))
}

// invalidToken completes the error of a check.
func invalidToken(e *Error) *Error {
	e.Code, e.Op = InvalidToken, "verify access token"
	return e
}

// IssuedBy reports whether the token names this provider as its issuer.
func (c *Client) IssuedBy(t *UnverifiedToken) bool { return c.checkIssuer(t.claims) == nil }

// IsFor reports whether the token names an audience.
func (t *UnverifiedToken) IsFor(audience string) bool { return t.checkAudience(audience) == nil }

// AccessToken is a verified access token.
type AccessToken struct {
	Raw             []byte // as it was sent
	Issuer, Subject string // Subject is "" without sub
	ClientID        string // the client that it was issued to
	Program         bool   // issued to the client itself, without a user (RFC 6749, section 4.4)
	Scopes          []string
	SID, ACR        string
	IssuedAt        time.Time
	Expiry          time.Time
	AuthTime        time.Time // zero if the provider did not say
	Claims          map[string]any
}

// Clone returns a copy that can be changed.
func (t *AccessToken) Clone() *AccessToken {
	c := *t
	c.Scopes, c.Claims = slices.Clone(t.Scopes), copyJSON(t.Claims).(map[string]any)
	return &c
}

// copyJSON copies a value that was decoded from JSON.
func copyJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for name, member := range v {
			c[name] = copyJSON(member)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i := range v {
			c[i] = copyJSON(v[i])
		}
		return c
	}
	return v
}

// VerifyAccessToken verifies an access token that was issued for Config.Audience (RFC 9068,
// section 4). Anyone can send a token: until its signature is verified its claims are not
// trusted, and only the keys are fetched. Everything that can be rejected without the keys is
// checked first.
func (c *Client) VerifyAccessToken(ctx context.Context, t *UnverifiedToken) (*AccessToken, error) {
	now := c.cfg.Now()
	header, err := c.accessHeaders.read(t.raw.Header)
	if err != nil {
		return nil, c.about(err, InvalidToken, "verify access token")
	}
	if err := c.checkAccessToken(t, header.typ, now); err != nil {
		return nil, c.about(err, InvalidToken, "verify access token")
	}
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := c.keysFor(ctx, m, header.kid, header.alg, expectedJWT{algs: m.algs, from: fromAnyone})
	if err != nil {
		return nil, c.about(err, InvalidToken, "verify access token")
	}
	// A key may have been replaced under the same kid, or have none, and a resource server has
	// no sign-ins that would notice. Since anyone can send a token with a wrong signature, such
	// a token causes a request for the keys only if they are older than accessKeysAge.
	keys.token = t.raw
	if keys.used = keys.verifies(keys.keys); keys.used == nil && !fresh(keys.seen.fetched, now, accessKeysAge) {
		keys.refetch(ctx)
	}
	if keys.used == nil {
		return nil, c.about(keys.unverified(), InvalidToken, "verify access token")
	}
	if !keys.used.mayIssue(t.claims) {
		return nil, c.about(fault("jwt.key_issuer", "the token is signed with the key of another issuer",
			"report this to the provider: it must sign each issuer's tokens with that issuer's key", nil), InvalidToken, "verify access token")
	}
	c.accessHeaders.keep(t.raw.Header, header)
	return t.read(t.raw.Compact), nil
}

const accessKeysAge = 30 * time.Second

// accessHeaders caches the headers of verified access tokens: a provider writes one for each of
// its keys. It saves a tenth of the time that a token takes in addition to its signature.
type accessHeaders struct {
	known atomic.Pointer[[]knownHeader] // replaced, never changed
}

type knownHeader struct {
	text string
	jwtHeader
}

const headersKept = 8

// read checks the header of an access token.
func (a *accessHeaders) read(data []byte) (jwtHeader, error) {
	if known := a.known.Load(); known != nil {
		for i := range *known {
			if h := &(*known)[i]; h.text == string(data) {
				return h.jwtHeader, nil
			}
		}
	}
	// RFC 9068, 4: "The resource server MUST verify that the "typ" header value is "at+jwt" or
	// "application/at+jwt" and reject tokens carrying any other value." Keycloak, Microsoft,
	// Okta and others write JWT, or nothing: those are distinguished from ID tokens by their
	// claims.
	return readHeader(data, []string{"at+jwt", "JWT"})
}

// keep adds the header of a verified token, and drops the oldest if there are too many. Of two
// that are added at the same time, one may be lost.
func (a *accessHeaders) keep(data []byte, h jwtHeader) {
	var known []knownHeader
	if p := a.known.Load(); p != nil {
		known = *p
	}
	if slices.ContainsFunc(known, func(k knownHeader) bool { return k.text == string(data) }) {
		return
	}
	known = append(slices.Clone(known[max(0, len(known)-headersKept+1):]), knownHeader{string(data), h})
	a.known.Store(&known)
}

// checkAccessToken checks the claims of a token whose header has this typ.
func (c *Client) checkAccessToken(t *UnverifiedToken, typ string, now time.Time) error {
	if err := c.checkNames(t.claims); err != nil {
		return err
	}
	if err := c.checkIssuer(t.claims); err != nil {
		return err
	}
	if err := t.checkKind(typ); err != nil {
		return err
	}
	if err := t.checkParties(); err != nil {
		return err
	}
	if err := t.checkAudience(c.cfg.Audience); err != nil {
		return err
	}
	return t.checkAccessTimes(now)
}

// checkKind rejects tokens of another kind. RFC 8725, 3.12: the rules for JWTs of several
// kinds "MUST be written such that they are mutually exclusive". A token of type at+jwt
// declares its kind. Any other is rejected if it has a claim that only ID tokens or logout
// tokens have: ID tokens pass through the browser and the client.
func (t *UnverifiedToken) checkKind(headerTyp string) error {
	const fix = "send the access token, not the ID token or another token"
	if headerTyp != "at+jwt" {
		for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash", "events"} {
			if _, there := t.claims[name]; there {
				return fault("access_token.kind", "the token is not an access token: it has "+name, fix, nil)
			}
		}
		// Keycloak writes the kind into the payload: Bearer, ID, Refresh, Offline, Logout.
		if v, there := t.claims["typ"]; there {
			if typ, _ := v.(string); !strings.EqualFold(typ, "Bearer") && !strings.EqualFold(typ, "at+jwt") {
				return fault("access_token.kind", fmt.Sprintf("the token is not an access token: its typ claim is %.20q", typ), fix, nil)
			}
		}
	}
	// Cognito writes access or id, and Hydra access_token or refresh_token into responses.
	if v, there := t.claims["token_use"]; there && v != "access" && v != "access_token" {
		return fault("access_token.kind", "the token is not an access token: its token_use claim is not access", fix, nil)
	}
	// RFC 9449, 7.1, and RFC 8705, 3: the sender of a bound token must prove possession of its
	// key. That is not implemented, so a stolen token would be accepted.
	if _, there := t.claims["cnf"]; there {
		return fault("access_token.bound", "the token is bound to a key (cnf), and proof of possession is not supported", "have the provider issue bearer tokens for this API", nil)
	}
	return nil
}

// clientClaims are the claims with the client that a token was issued to. RFC 9068, 2.2:
// client_id. azp is Keycloak's and Auth0's, cid Okta's, appid Microsoft's.
var clientClaims = []string{"client_id", "azp", "cid", "appid"}

// ofPeople lists claims that only tokens of users have. typ is Keycloak's, whose programs have a
// sub.
var ofPeople = []string{"sid", "auth_time", "acr", "amr", "username", "preferred_username", "email", "name", "typ"}

// checkParties: RFC 9068, 2.2, requires sub and client_id. Without both, tokens of users and of
// programs cannot be distinguished: in a program's token, sub is the client id at Spring, which
// writes no client_id by default, and is omitted by Duende.
func (t *UnverifiedToken) checkParties() error {
	if !slices.ContainsFunc(clientClaims, func(name string) bool { s, _ := t.claims[name].(string); return s != "" }) {
		return fault("access_token.client", "the token does not identify its client: client_id is missing", "have the provider put client_id into access tokens (Spring: with an OAuth2TokenCustomizer)", nil)
	}
	if v, there := t.claims["sub"]; there {
		if sub, _ := v.(string); sub == "" {
			return fault("access_token.sub", "sub is not a string", wrongFormFix, nil)
		}
		return nil
	}
	// Without the client scope basic, Keycloak omits sub from users' tokens.
	if i := slices.IndexFunc(ofPeople, func(name string) bool { _, has := t.claims[name]; return has }); i >= 0 {
		return fault("access_token.sub", "the token does not identify its user: it has "+ofPeople[i]+", but no sub", "have the provider put sub into access tokens (Keycloak: the client scope basic)", nil)
	}
	return nil
}

// checkAudience: RFC 9068, 4: "The resource server MUST validate that the "aud" claim contains
// a resource indicator value corresponding to an identifier the resource server expects for
// itself."
func (t *UnverifiedToken) checkAudience(audience string) error {
	if t.claims["aud"] == audience {
		return nil
	}
	var all []string
	switch aud := t.claims["aud"].(type) {
	case string:
		all = []string{aud}
	case []any:
		if all = strictjson.Strings(aud); len(all) != len(aud) {
			return fault("jwt.claims_form", "the token has a claim of the wrong type: aud is not a list of strings", wrongFormFix, nil)
		}
	}
	if slices.Contains(all, audience) || t.hasScopeOf(audience) {
		return nil
	}
	return fault("access_token.audience", fmt.Sprintf("the token is for the audience %.200q, but Provider.Audience is %q", all, audience),
		"have the client request a token for this API (by scope or resource; Auth0: the audience parameter; Keycloak: an audience mapper), or correct Provider.Audience", nil)
}

// hasScopeOf replaces the check of aud for access tokens of Cognito, which have no aud unless
// the client requests a resource, as programs cannot. It reports whether the token has a scope
// of this resource server. "Amazon Cognito renders custom scopes in the format
// resourceServerIdentifier/ScopeName", and a ScopeName has no slash.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ResourceServerScopeType.html
func (t *UnverifiedToken) hasScopeOf(audience string) bool {
	if _, there := t.claims["aud"]; there || t.claims["token_use"] != "access" {
		return false
	}
	return slices.ContainsFunc(scopesOf(t.claims), func(scope string) bool {
		i := strings.LastIndexByte(scope, '/')
		return i >= 0 && scope[:i] == audience
	})
}

// checkAccessTimes: RFC 9068, 2.2, requires exp and iat. Revocations are compared with iat.
func (t *UnverifiedToken) checkAccessTimes(now time.Time) error {
	var ok bool
	switch t.exp, ok = strictjson.NumericDate(t.claims["exp"]); {
	case !ok:
		return fault("jwt.exp", "exp is missing or not a date", wrongFormFix, nil)
	case t.exp.Before(now.Add(-Leeway)):
		return expired(now, t.exp)
	}
	if v, there := t.claims["nbf"]; there {
		if nbf, ok := strictjson.NumericDate(v); !ok || nbf.After(now.Add(Leeway)) {
			return notYetValid(nil)
		}
	}
	return t.checkIssuedAt(now)
}

func (t *UnverifiedToken) checkIssuedAt(now time.Time) error {
	var ok bool
	switch t.iat, ok = strictjson.NumericDate(t.claims["iat"]); {
	case !ok:
		return fault("access_token.iat", "iat is missing or not a date", wrongFormFix, nil)
	case t.iat.After(now.Add(Leeway)):
		e := fault("access_token.iat_future", fmt.Sprintf("the token was issued %v in the future by this machine's clock", t.iat.Sub(now).Round(time.Second)), clockFix, nil)
		e.clock = true
		return e
	}
	return nil
}

// read builds an AccessToken from claims that are verified and checked.
func (u *UnverifiedToken) read(raw []byte) *AccessToken {
	claims := u.claims
	text := func(names ...string) string {
		for _, name := range names {
			if s, _ := claims[name].(string); s != "" {
				return s
			}
		}
		return ""
	}
	t := &AccessToken{Raw: raw, Claims: claims, Issuer: text("iss"), Subject: text("sub"), SID: text("sid"), ACR: text("acr"), Scopes: scopesOf(claims), ClientID: text(clientClaims...), IssuedAt: u.iat, Expiry: u.exp}
	if at, _ := strictjson.NumericDate(claims["auth_time"]); at.Unix() > 0 { // 0 is unknown
		t.AuthTime = at
	}
	username := text("preferred_username")
	for _, name := range []string{"sid", "session_state", "auth_time"} {
		if claims[name] != nil { // a user has signed in, whose name may look like that of a service account
			username = ""
		}
	}
	t.Program = t.isProgram(text("idtyp"), claims["gty"]) || t.isServiceAccount(text("typ"), text("jti"), username)
	// The sub of Okta's access tokens is the login name, which can be reassigned. uid is the sub
	// of the user's ID tokens, and is only in users' tokens.
	if uid := text("uid"); uid != "" && text("cid") != "" && strings.HasPrefix(text("jti"), "AT.") {
		t.Subject, t.Claims = uid, maps.Clone(claims)
		t.Claims["sub"] = uid
	}
	return t
}

// isProgram reports whether the token was issued to the client itself, without a user. RFC 9068,
// 2.2: for a grant without a user, "the value of "sub" SHOULD correspond to an identifier the
// authorization server uses to indicate the client application". RFC 9700, 4.15, warns of a
// client that chooses its id so that it looks like a user's.
func (t *AccessToken) isProgram(idtyp string, gty any) bool {
	switch {
	case t.Subject == "", t.Subject == t.ClientID: // Duende; oidc-provider, Okta, Spring
		return true
	// https://learn.microsoft.com/en-us/entra/identity-platform/claims-validation#validate-the-actor
	// "the application must ensure that the token was issued directly for the application by
	// validating the idtyp optional claim".
	case idtyp == "app": // Microsoft
		return true
	case t.Subject == t.ClientID+"@clients": // Auth0
		return true
	}
	// Auth0 writes client-credentials or client_credentials, Kinde and FusionAuth a list of the
	// grants that led to the token.
	if all := strictjson.Strings(gty); len(all) == 1 {
		gty = all[0]
	}
	return gty == "client-credentials" || gty == "client_credentials"
}

// isServiceAccount is isProgram for Keycloak, where each program has an account. It is
// recognized by its user name, in lower case, if the client has the scope profile; by the claim
// clientAddress, if the client has the scope service_account; or by the grant, which newer
// versions write into jti: "trrtcc:…". At other providers users choose their user names.
// https://github.com/keycloak/keycloak/blob/main/services/src/main/java/org/keycloak/protocol/oidc/encode/DefaultTokenContextEncoderProvider.java
func (t *AccessToken) isServiceAccount(typ, jti, username string) bool {
	if typ != "Bearer" {
		return false
	}
	context, _, found := strings.Cut(jti, ":")
	_, address := t.Claims["clientAddress"]
	return address || strings.EqualFold(username, "service-account-"+t.ClientID) || found && len(context) == 6 && strings.HasSuffix(context, "cc")
}

// scopesOf returns the scopes of a token. RFC 9068, 2.2.3: scope is that of RFC 8693, 4.2, "a
// JSON string containing a space-separated list of scopes". Spring and Duende write a list.
// scp is Microsoft's, a string, and Okta's, a list.
func scopesOf(claims map[string]any) []string {
	for _, name := range []string{"scope", "scp"} {
		switch v := claims[name].(type) {
		case string:
			return strings.Fields(v)
		case []any:
			return strictjson.Strings(v)
		}
	}
	return nil
}
