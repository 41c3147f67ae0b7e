package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	jose "github.com/go-jose/go-jose/v4"

	"github.com/ginauth/ginauth/internal/jws"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// SigningAlgs returns the algorithms that are accepted for a provider's signatures.
func SigningAlgs() []string { return slices.Clone(signingAlgs) }

// signingAlgs are the accepted signature algorithms, all with a public key: with a shared
// secret, every verifier can sign. none is missing, although Core, section 2, allows it in
// the code flow: anyone can write such a token. RFC 8725, 3.1: "Libraries MUST enable the
// caller to specify a supported set of algorithms and MUST NOT use any other algorithms
// when performing cryptographic operations."
var signingAlgs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// tokenLimit is the maximum size of a JWT in bytes. Anyone can send a logout token.
const tokenLimit = 64 << 10

const clockFix = "synchronize this machine's clock (NTP)"

// expectedJWT holds the requirements for one kind of JWT, independent of its subject.
type expectedJWT struct {
	typs     []string // accepted values of typ in the header, which may be absent
	audience string
	algs     []string // accepted signature algorithms
	noExpiry bool     // exp is optional; if present, it is checked
	secret   bool     // HS256 with the client secret is accepted
	from     source
}

// openJWT checks the form, signature, audience and times of a JWT, and decodes its claims
// strictly. go-oidc verifies; the checks that it leaves to its caller are here: the form of
// the token, and the claims that it does not read. The error is an *Error without Code and
// Op, or with both if the keys could not be fetched.
func (c *Client) openJWT(ctx context.Context, m *metadata, raw string, want expectedJWT) (claims map[string]any, alg string, err error) {
	if len(raw) > tokenLimit {
		return nil, "", fault("jwt.too_long", "the token is longer than 64 KB", "reduce the claims that the provider puts into the token", nil)
	}
	token, err := jws.Split(raw)
	if err != nil {
		return nil, "", fault("jwt.malformed", err.Error(), "check the provider's log", nil)
	}
	// RFC 8725, 3.3: "All cryptographic operations used in the JWT MUST be validated and
	// the entire JWT MUST be rejected if any of them fail to validate." The header names the
	// operations, so it is read first; unsupported ones are rejected.
	header, err := readHeader(token.Header, want.typs)
	if err != nil {
		return nil, "", err
	}
	alg = header.alg
	keys, err := c.keysFor(ctx, m, header.kid, alg, want)
	if err != nil {
		return nil, "", err
	}
	keys.token = token
	// RFC 8725, 3.9: "if the audience value is not present or not associated with the
	// recipient, it MUST reject the JWT"; RFC 7519, 4.1.4: from exp on, the token "MUST NOT
	// be accepted for processing". go-oidc checks both, by a clock set back by the leeway.
	verifier := oidc.NewVerifier(c.cfg.Issuer, keys, &oidc.Config{
		ClientID: want.audience, SupportedSigningAlgs: []string{alg},
		SkipIssuerCheck: true, // checkIssuer is stricter: go-oidc accepts Google's second spelling
		SkipExpiryCheck: want.noExpiry,
		Now:             func() time.Time { return c.cfg.Now().Add(-Leeway) },
	})
	_, err = verifier.Verify(ctx, raw)
	claims = keys.claims
	if err := c.checkNames(claims); err != nil { // go-oidc may have taken AUD for aud
		return nil, "", err
	}
	if err != nil {
		return nil, "", explain(err, keys, c.cfg.Now())
	}
	if v, there := claims["exp"]; there && want.noExpiry {
		if err := checkExpiry(v, c.cfg.Now()); err != nil {
			return nil, "", err
		}
	}
	// RFC 7519, 4.1.3: aud is an array of strings. go-oidc reads a null in it as "".
	if list, _ := claims["aud"].([]any); len(strictjson.Strings(list)) != len(list) {
		return nil, "", fault("jwt.claims_form", "the token has a claim of the wrong type: aud is not a list of strings", wrongFormFix, nil)
	}
	// RFC 7519, 4.1.5: "the JWT MUST NOT be accepted for processing" before nbf.
	// go-oidc accepts an nbf up to five minutes in the future.
	if v, there := claims["nbf"]; there {
		if nbf, ok := strictjson.NumericDate(v); !ok || nbf.After(c.cfg.Now().Add(Leeway)) {
			return nil, "", notYetValid(nil)
		}
	}
	if !keys.used.mayIssue(claims) { // always true without TokenIssuer, since the keys then have no issuer
		return nil, "", fault("jwt.key_issuer", "the token is signed with the key of another issuer",
			"report this to the provider: it must sign each issuer's tokens with that issuer's key", nil)
	}
	return claims, alg, nil
}

const wrongFormFix = "check whether a claim mapping at the provider changes the type of a protocol claim (iss, sub, aud, exp, …)"

// checkExpiry checks an optional exp, which go-oidc does not.
func checkExpiry(exp any, now time.Time) error {
	at, ok := strictjson.NumericDate(exp)
	switch {
	case !ok:
		return fault("jwt.exp", "exp is not a date", wrongFormFix, nil)
	case at.Before(now.Add(-Leeway)):
		return expired(now, at)
	}
	return nil
}

func expired(now, at time.Time) *Error {
	e := fault("jwt.expired", fmt.Sprintf("the token expired %v ago by this machine's clock", now.Sub(at).Round(time.Second)), clockFix, nil)
	e.clock = true
	return e
}

func notYetValid(cause error) *Error {
	e := fault("jwt.nbf", "nbf is not a date, or in the future by this machine's clock", clockFix, cause)
	e.clock = true
	return e
}

var headerNames = strictjson.NewNames("alg", "typ", "kid", "crit", "b64", "cty", "enc", "zip", "jwk", "jku", "x5u", "x5c")

// readHeader checks the header of a JWT before anything else is read: that it is unambiguous
// (RFC 8725), and that the token has one of these types.
func readHeader(data []byte, typs []string) (h jwtHeader, err error) {
	bad := func(id, reason string, cause error) error {
		return fault(id, reason, "have the provider sign plain JWTs (RFC 7519) for this client", cause)
	}
	// RFC 7515, 4: "JWS parsers MUST either reject JWSs with duplicate Header Parameter
	// names or use a JSON parser that returns only the lexically last duplicate member
	// name". With two algs, one program would accept the token and another reject it.
	header, err := strictjson.Object(data)
	if err != nil {
		return h, bad("jwt.header_json", "the token's header is not strict JSON", err)
	}
	if err := headerNames.Check(header); err != nil {
		return h, bad("jwt.header_ambiguous", "the token's header is ambiguous: "+err.Error(), nil)
	}
	// RFC 7515, 4.1.11, of crit: "If any of the listed extension Header Parameters are not
	// understood and supported by the recipient, then the JWS is invalid." No extension is
	// supported. b64 (RFC 7797) changes what is signed, and enc and zip belong to encrypted
	// tokens: these are rejected even if crit does not list them.
	//
	// jwk, jku, x5u and x5c would let a token name its own key. They are ignored. Core,
	// section 2: "references to keys used are communicated in advance".
	for _, name := range []string{"crit", "b64", "enc", "zip"} {
		if _, there := header[name]; there {
			return h, bad("jwt.header_unsupported", fmt.Sprintf("the token's header has %q, which is not supported", name), nil)
		}
	}
	// RFC 8725, 3.11, explicit typing: tokens of another kind are rejected, such as access
	// tokens (at+jwt, RFC 9068), which have the same issuer and keys. RFC 7515, 4.1.9: "treat
	// it as if "application/" were prepended to any "typ" value not containing a '/'"; RFC
	// 7519, 5.1: "media type names are not case sensitive".
	if t, there := header["typ"]; there {
		s, _ := t.(string)
		h.typ = strings.TrimPrefix(strings.ToLower(s), "application/")
		if !slices.ContainsFunc(typs, func(typ string) bool { return strings.EqualFold(h.typ, typ) }) {
			return h, bad("jwt.typ", fmt.Sprintf("the token is of another type: its typ is not one of %q", typs), nil)
		}
	}
	// RFC 7515, 4.1.4: the kid "MUST be a case-sensitive string".
	if v, there := header["kid"]; there {
		if h.kid, there = v.(string); !there {
			return h, bad("jwt.kid", "the kid in the token's header is not a string", nil)
		}
	}
	h.alg, _ = header["alg"].(string)
	return h, nil
}

// jwtHeader holds the parameters of a JWT's header that are used.
type jwtHeader struct {
	kid, alg string
	typ      string // in lower case, without "application/"; "" without one
}

// mayIssue reports whether the key belongs to the token's issuer, if the key names one. RFC
// 8725, 3.8: "the application MUST validate that the cryptographic keys used for the
// cryptographic operations in the JWT belong to the issuer. If they do not, the application
// MUST reject the JWT." Microsoft publishes one key set for all tenants: the key for personal
// accounts must not sign for an organization (Storm-0558, 2023). {tenantid} stands for the
// token's own tenant.
// https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#validate-the-signing-key-issuer
func (k *signingKey) mayIssue(claims map[string]any) bool {
	tenant, _ := claims["tid"].(string)
	return k.issuer == "" || strings.ReplaceAll(k.issuer, "{tenantid}", tenant) == claims["iss"]
}

// keysFor returns the keys that may have signed a token with this header. HS256 is verified
// with the client secret only, and only if want allows it. RFC 8725, 2.1, describes the
// attack: the algorithm is changed from RS256 to HS256, and a library uses the public key,
// which everyone knows, as the secret. Package jws cannot confuse them: it verifies HS256 with
// a []byte, and every other algorithm with a public key.
func (c *Client) keysFor(ctx context.Context, m *metadata, kid, alg string, want expectedJWT) (*candidates, error) {
	// Core, 3.1.3.7 (8): with HS256, "the octets of the UTF-8 representation of the
	// client_secret" are the key. 16.19: it "MUST contain at least 32 octets", which
	// package jws checks.
	if want.secret && alg == string(jose.HS256) {
		return &candidates{keys: []*signingKey{{JSONWebKey: jose.JSONWebKey{Key: []byte(c.cfg.ClientSecret)}}}, alg: alg}, nil
	}
	if !slices.Contains(want.algs, alg) {
		fix := "set the client's signing algorithm at the provider to RS256 or ES256"
		if slices.Equal(want.algs, []string{c.cfg.IDTokenAlg}) {
			fix = "compare Provider.IDTokenAlg with the signing algorithm registered for the client at the provider"
		}
		return nil, fault("jwt.algorithm", fmt.Sprintf("the token is signed with algorithm %.20q; expected one of %q", alg, want.algs), fix, nil)
	}
	// If the keys cannot be fetched, the token is not at fault: the error is the provider's.
	keys := &candidates{set: m.keys, seen: m.keys.held.Load(), kid: kid, alg: alg, from: want.from}
	var err error
	if keys.keys, err = m.keys.find(ctx, kid, alg, want.from); err != nil {
		return nil, c.unreachable("signing keys", err)
	}
	return keys, nil
}

// candidates implements go-oidc's KeySet with the keys that may have signed one token.
// go-oidc calls it after it has parsed the token with go-jose.
type candidates struct {
	token    *jws.Token
	kid, alg string
	from     source
	keys     []*signingKey
	set      *keySet        // source of the keys; nil for a shared secret
	seen     *heldKeys      // content of set when the token arrived
	used     *signingKey    // key that verified the signature; nil before
	claims   map[string]any // claims of the verified token
	notJSON  error          // why its payload cannot be decoded
}

// VerifySignature implements oidc.KeySet. It returns the claims without nulls, which go-oidc
// rejects and this package treats as absent, and without _claim_names and _claim_sources,
// which go-oidc reads and this package does not use.
func (k *candidates) VerifySignature(ctx context.Context, _ string) ([]byte, error) {
	if !k.signed(ctx) {
		return nil, fmt.Errorf("none of %d keys matches", len(k.keys))
	}
	// RFC 7519, 4: "JWT parsers MUST either reject JWTs with duplicate Claim Names or use a JSON
	// parser that returns only the lexically last duplicate member name". go-oidc does the
	// latter; later programs may do neither.
	if k.claims, k.notJSON = strictjson.Object(k.token.Payload); k.notJSON != nil {
		return nil, k.notJSON
	}
	sent := len(k.claims)
	dropNulls(k.claims)
	if len(k.claims) == sent && k.claims["_claim_names"] == nil && k.claims["_claim_sources"] == nil {
		return k.token.Payload, nil
	}
	// Core, 5.6: "Support for Aggregated Claims and Distributed Claims is OPTIONAL." Microsoft
	// sends _claim_names if a user is in too many groups for the token.
	checked := maps.Clone(k.claims)
	delete(checked, "_claim_names")
	delete(checked, "_claim_sources")
	return json.Marshal(checked)
}

// signed reports whether one of the keys has signed the token.
func (k *candidates) signed(ctx context.Context) bool {
	if k.used = k.verifies(k.keys); k.used == nil {
		k.refetch(ctx)
	}
	return k.used != nil
}

// dropNulls deletes claims that are null, which count as absent. Core, section 2: "Claims
// with no value SHOULD be entirely omitted from the JWT Claims Set and not represented by
// e.g. a JSON null value"; some providers write null. nonce and events stay: a logout token
// must not have a nonce, and an ID token must not have events.
func dropNulls(claims map[string]any) {
	maps.DeleteFunc(claims, func(name string, v any) bool { return v == nil && name != "nonce" && name != "events" })
}

// verifies returns the first key that verifies the signature, or nil.
func (k *candidates) verifies(keys []*signingKey) *signingKey {
	for _, key := range keys {
		if k.token.Verify(k.alg, key.Key) {
			return key
		}
	}
	return nil
}

// refetch fetches the provider's keys again, unless they were fetched since the token
// arrived, and looks for one that verifies the token. A provider may replace a key under the
// same kid (a development server that restarts), or publish keys without a kid.
func (k *candidates) refetch(ctx context.Context) {
	if k.set == nil {
		return
	}
	if k.set.held.Load() == k.seen {
		// The error is dropped: "the signature is invalid by all known keys" tells more than
		// an outage of jwks_uri.
		_ = k.set.refresh(ctx, k.from, func(h *heldKeys) bool { return k.verifies(h.match(k.kid, k.alg, false)) != nil })
	}
	k.keys = k.set.held.Load().match(k.kid, k.alg, false)
	k.used = k.verifies(k.keys)
}

// unverified returns the error for a token that no key verifies.
func (k *candidates) unverified() *Error {
	const fix = "check Issuer and JWKSURL: the keys must belong to the environment that signs the tokens (not a test environment, for example)"
	if k.set != nil {
		if e := k.set.held.Load().passedOver(k.kid, k.alg); e != nil {
			return e
		}
	}
	if len(k.keys) == 0 {
		return fault("jwt.no_key", "the signature cannot be verified: the provider publishes no matching key", fix, nil)
	}
	return fault("jwt.signature", "the signature is invalid", fix, nil)
}

// explain converts an error of go-oidc. Its text quotes the token, which may be an attacker's,
// so it is clipped and becomes the cause.
//
// The signature comes first: the claims of a token that is not verified mean nothing.
func explain(err error, keys *candidates, now time.Time) *Error {
	quoted := errors.New(printable.Clip(err.Error()))
	switch {
	case keys.used == nil:
		e := keys.unverified()
		e.Cause = quoted
		return e
	case keys.notJSON != nil:
		return fault("jwt.claims_json", "the claims are not strict JSON", wrongFormFix, keys.notJSON)
	}
	if e, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		if e.Expiry.IsZero() { // go-oidc returns the same error for a missing exp
			return fault("jwt.exp", "exp is missing", wrongFormFix, nil)
		}
		return expired(now, e.Expiry)
	}
	switch text := err.Error(); { // go-oidc 3.21 has no types for these
	case strings.HasPrefix(text, "oidc: expected audience"):
		return fault("jwt.audience", "the token's audience is another client", "check ClientID: it and the token belong to different applications", quoted)
	case strings.HasPrefix(text, "oidc: current time"):
		return notYetValid(quoted)
	}
	return fault("jwt.claims_form", "the token has a claim of the wrong type", wrongFormFix, quoted)
}

// checkNames rejects claims whose name differs only in case from a protocol claim, a profile
// claim, or the beginning of a configured claim path: encoding/json, here or in the next
// program, reads them as that claim.
func (c *Client) checkNames(claims map[string]any) error {
	if err := c.names.Check(claims); err != nil {
		fix := "have the provider send only one of the two"
		if e, ok := errors.AsType[*strictjson.CaseError](err); ok && !ProtocolClaim(e.Name) {
			fix += fmt.Sprintf("; if both are intended, map this one to another name: ClaimPaths[\"other_name\"] = %q", printable.Clip(e.Member))
		}
		return fault("jwt.claims_ambiguous", "the claims are ambiguous: "+err.Error(), fix, nil)
	}
	return nil
}

// checkIssuer: OpenID Connect Core, 3.1.3.7 (2): "The Issuer Identifier […] MUST
// exactly match the value of the iss (issuer) Claim." 16.15: "OpenID Connect treats the
// path component of any Issuer URI as being part of the Issuer Identifier": a final slash
// makes it a different issuer, with different users.
func (c *Client) checkIssuer(claims map[string]any) error {
	want := c.cfg.Issuer
	if c.cfg.TokenIssuer != nil {
		var err error
		if want, err = c.cfg.TokenIssuer(claims); err != nil || want == "" {
			if err == nil {
				err = errors.New("TokenIssuer returned no issuer")
			}
			return fault("jwt.issuer_not_admitted", "the token's issuer is not admitted", "admit the issuer in the provider's configuration if it should be", err)
		}
	}
	iss, _ := claims["iss"].(string)
	// User.ID is the issuer, # and the subject: an issuer with a # could produce the id of
	// another issuer's user.
	if iss == want && !strings.Contains(iss, "#") {
		return nil
	}
	if _, there := claims["iss"]; !there {
		return fault("jwt.issuer_missing", fmt.Sprintf("the token has no iss; expected %q", want), "have the provider issue OpenID Connect tokens for this client", nil)
	}
	reason, fix := fmt.Sprintf("the token's issuer is %q, not %q", printable.Clip(iss), want), issuerFix(iss, want)
	switch {
	case c.cfg.TokenIssuer != nil:
		fix = "return that issuer from TokenIssuer for the claims of its tokens if it should be admitted"
	case strings.TrimSuffix(iss, "/") == strings.TrimSuffix(want, "/"):
		reason += ": they differ only in the final /"
	}
	return fault("jwt.issuer", reason, fix, nil)
}
