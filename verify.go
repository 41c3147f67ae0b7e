package ginauth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
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

// signingAlgs are the algorithms that an ID token may be signed with: public
// key ones, since a shared secret would make whoever can verify able to sign.
var signingAlgs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

const (
	leeway     = time.Minute // between the provider's clock and ours, both ways
	tokenLimit = 64 << 10    // bytes of a JWT
)

// expected is what an ID token must match.
type expected struct {
	attempt     *attempt
	code        string
	accessToken string
	clock       clockReading // the provider's, as the token answer had it
}

// verifyIDToken verifies an ID token as OpenID Connect Core 3.1.3.7 says and
// returns its claims. Signature, audience and expiry are go-oidc's; what it
// leaves to its caller is checked here: how the token is written, and every
// claim that it does not look at.
func (c *client) verifyIDToken(ctx context.Context, m *metadata, raw string, want expected) (map[string]any, error) {
	refuse := func(err error) error {
		reason, cause := inWords(err)
		if strings.Contains(reason, "this machine's clock") {
			reason += want.clock.skewed()
		}
		return &Error{Code: ErrIDTokenInvalid, Op: "verify ID token", Provider: c.provider.Name, Reason: reason, Fix: c.idTokenFix(reason), Err: cause}
	}
	claims, alg, err := c.openJWT(ctx, m, raw, jwtKind{typs: []string{"JWT"}, secret: c.provider.Quirks.HS256})
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, e.about("verify ID token", c.provider.Name)
		}
		return nil, refuse(err)
	}
	for _, check := range []func() error{
		func() error { return c.checkIssuer(claims) },
		func() error { return checkParty(claims, c.provider.ClientID) },
		func() error { return checkTimes(claims, c.cfg.Now(), want.attempt.created) },
		func() error { return c.checkNonce(claims, want.attempt) },
		func() error { return checkHashes(claims, alg, want) },
		func() error { return checkAuthentication(claims, c.cfg.Now(), want.attempt) },
		func() error { _, err := validSubject(claims["sub"]); return err },
		func() error { return notANumber(claims["sub"]) },
	} {
		if err := check(); err != nil {
			return nil, refuse(err)
		}
	}
	return claims, nil
}

// jwtKind is what openJWT must know of the kind of JWT it opens.
type jwtKind struct {
	typs    []string // one of these is its header's typ, where there is one
	forever bool     // it need not have an exp
	secret  bool     // it may be signed with the client secret (HS256)
}

// openJWT checks the form, the signature, the audience and the expiry of a
// JWT, and decodes its claims strictly.
func (c *client) openJWT(ctx context.Context, m *metadata, raw string, kind jwtKind) (claims map[string]any, alg string, err error) {
	if len(raw) > tokenLimit {
		return nil, "", errors.New("the token is longer than 64 KB")
	}
	token, err := jws.Split(raw)
	if err != nil {
		return nil, "", err
	}
	kid, alg, err := joseHeader(token.Header, kind.typs)
	if err != nil {
		return nil, "", err
	}
	keys, err := c.keysFor(ctx, m, kid, alg, kind)
	if err != nil {
		return nil, "", err
	}
	keys.token = token
	verifier := oidc.NewVerifier(c.provider.Issuer, keys, &oidc.Config{
		ClientID: c.provider.ClientID, SupportedSigningAlgs: []string{alg},
		// Ours is stricter: go-oidc lets Google's second spelling pass.
		SkipIssuerCheck: true,
		SkipExpiryCheck: kind.forever,
		Now:             func() time.Time { return c.cfg.Now().Add(-leeway) },
	})
	if _, err := verifier.Verify(ctx, raw); err != nil {
		return nil, "", explain(err, keys, c.cfg.Now())
	}
	claims, err = strictjson.Object(token.Payload)
	if err != nil {
		return nil, "", fmt.Errorf("the claims are not strict JSON: %w", err)
	}
	// RFC 7519 4.1.3: an array of texts. go-oidc takes a null in it for "".
	if list, _ := claims["aud"].([]any); len(strictjson.Strings(list)) != len(list) {
		return nil, "", errors.New("the token cannot be read: its claims have the wrong form: aud is no list of texts")
	}
	// go-oidc lets an nbf of the next five minutes pass, and null.
	if v, there := claims["nbf"]; there {
		if nbf, ok := strictjson.NumericDate(v); !ok || nbf.After(c.cfg.Now().Add(leeway)) {
			return nil, "", errors.New("nbf is no date, or ahead of this machine's clock")
		}
	}
	if c.provider.TokenIssuer != nil && !keys.used.mayIssue(claims) {
		return nil, "", errors.New("the token is signed with a key of another issuer")
	}
	return claims, alg, c.checkNames(claims)
}

// mayIssue says whether a key that names an issuer is for this token's. One set
// of keys serves all of Microsoft's tenants: the key that signs for personal
// accounts must not do so for an organization (Storm-0558, 2023). {tenantid}
// stands for the token's own.
// https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#validate-the-signing-key-issuer
func (k *signingKey) mayIssue(claims map[string]any) bool {
	tenant, _ := claims["tid"].(string)
	return k.issuer == "" || strings.ReplaceAll(k.issuer, "{tenantid}", tenant) == claims["iss"]
}

// keysFor returns what may have signed a token with this header. HS256 is
// verified with the client secret alone, and only where that is allowed: a
// public key used as a secret would let anybody sign (RFC 8725, 3.1).
func (c *client) keysFor(ctx context.Context, m *metadata, kid, alg string, kind jwtKind) (*candidates, error) {
	if kind.secret && alg == string(jose.HS256) {
		return &candidates{keys: []*signingKey{{JSONWebKey: jose.JSONWebKey{Key: []byte(c.provider.ClientSecret)}}}, alg: alg}, nil
	}
	if !slices.Contains(m.algs, alg) {
		return nil, fmt.Errorf("the token is signed with algorithm %.20q; expected one of %q", alg, m.algs)
	}
	found, err := m.keys.find(ctx, kid, alg)
	if err != nil {
		return nil, c.unreachable("signing keys", err)
	}
	keys := &candidates{keys: found, alg: alg}
	if kid == "" {
		keys.renew = func(ctx context.Context) []*signingKey { return m.keys.renew(ctx, alg) }
	}
	return keys, nil
}

// candidates are the keys that may have signed one token: go-oidc's KeySet.
// go-oidc has read the token with go-jose by then; only the signature is left.
type candidates struct {
	token *jws.Token
	keys  []*signingKey
	alg   string
	renew func(context.Context) []*signingKey // nil if the token names its key
	used  *signingKey                         // that it was verified with
}

// VerifySignature implements oidc.KeySet.
func (k *candidates) VerifySignature(ctx context.Context, _ string) ([]byte, error) {
	if !k.try() && k.renew != nil {
		k.keys = k.renew(ctx)
		k.try()
	}
	if k.used == nil {
		return nil, fmt.Errorf("none of %d keys fits", len(k.keys))
	}
	return k.token.Payload, nil
}

func (k *candidates) try() bool {
	for _, key := range k.keys {
		if k.token.Verify(k.alg, key.Key) {
			k.used = key
			return true
		}
	}
	return false
}

// explain says what go-oidc's refusal means. It quotes the token, which
// anybody may have sent: a log line is as much as that gets.
func explain(err error, keys *candidates, now time.Time) error {
	quoted := errors.New(printable.Clip(err.Error()))
	if keys.used == nil {
		if len(keys.keys) == 0 {
			return fmt.Errorf("the signature cannot be verified: the provider publishes no key for it: %w", quoted)
		}
		return fmt.Errorf("the signature is wrong: %w", quoted)
	}
	if expired, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return fmt.Errorf("the token expired %v ago by this machine's clock", now.Sub(expired.Expiry).Round(time.Second))
	}
	switch text := err.Error(); { // go-oidc has no types for these
	case strings.HasPrefix(text, "oidc: expected audience"):
		return fmt.Errorf("the token's audience is another client: %w", quoted)
	case strings.HasPrefix(text, "oidc: current time"):
		return fmt.Errorf("nbf is no date, or ahead of this machine's clock: %w", quoted)
	}
	return fmt.Errorf("the token cannot be read: its claims have the wrong form: %w", quoted)
}

// checkNames refuses claims that differ from a name of ours in case alone, or
// from where a path begins: Go's decoders, and the next program's, would take
// them for it.
func (c *client) checkNames(claims map[string]any) error {
	if err := strictjson.CheckCase(claims, c.names...); err != nil {
		return fmt.Errorf("the claims are ambiguous: %w", err)
	}
	return nil
}

// claimNames are the names that a Provider gives a meaning to.
func claimNames(p *Provider) []string {
	names := slices.Concat(protocolClaims, identityClaims, sortedKeys(p.ClaimPaths))
	for _, path := range append(slices.Collect(maps.Values(p.ClaimPaths)), p.GroupsClaim) {
		head, _, _ := strings.Cut(path, ".")
		names = append(names, head)
	}
	return names
}

// checkIssuer: 3.1.3.7 (2): "The Issuer Identifier […] MUST exactly match the
// value of the iss (issuer) Claim."
func (c *client) checkIssuer(claims map[string]any) error {
	want := c.provider.Issuer
	if c.provider.TokenIssuer != nil {
		var err error
		if want, err = c.provider.TokenIssuer(claims); err != nil || want == "" {
			if err == nil {
				err = errors.New("TokenIssuer returned none")
			}
			return fmt.Errorf("the token's issuer is not one of those admitted: %w", err)
		}
	}
	iss, _ := claims["iss"].(string)
	if iss == want && !strings.Contains(iss, "#") {
		return nil
	}
	reason := fmt.Sprintf("the token's issuer is %.200q, not %q", claims["iss"], want)
	if want == c.provider.Issuer && strings.TrimSuffix(iss, "/") == strings.TrimSuffix(want, "/") {
		reason += onlySlash
	}
	return errors.New(reason)
}

// checkParty: 3.1.3.7 (3)-(5). go-oidc has seen that the client is among the
// audiences; several are fine if the token says that it was made for us.
func checkParty(claims map[string]any, clientID string) error {
	azp, there := claims["azp"]
	if there && azp != clientID {
		return errors.New("the token's azp is another client")
	}
	if list, _ := claims["aud"].([]any); len(list) > 1 && !there {
		return errors.New("the token has several audiences and no azp")
	}
	if _, there := claims["events"]; there {
		return errors.New("the token is a logout token or a security event, not an ID token")
	}
	return nil
}

// checkTimes: NumericDate as RFC 7519 has it, which may be fractional and is
// never a text. A token from before the attempt cannot be its answer.
func checkTimes(claims map[string]any, now, started time.Time) error {
	if _, ok := strictjson.NumericDate(claims["exp"]); !ok {
		return errors.New("exp is missing or no date")
	}
	iat, ok := strictjson.NumericDate(claims["iat"])
	switch {
	case !ok:
		return errors.New("iat is missing or no date")
	case iat.After(now.Add(leeway)):
		return fmt.Errorf("the token was issued %v ahead of this machine's clock", iat.Sub(now).Round(time.Second))
	case iat.Before(started.Add(-leeway)):
		return fmt.Errorf("the token was issued %v before this sign-in began, by this machine's clock", started.Sub(iat).Round(time.Second))
	}
	// IPSIE SL1: when the provider's own session ends, and ours with it.
	if v, there := claims["session_expiry"]; there {
		if end, _ := strictjson.NumericDate(v); !end.After(now) {
			return errors.New("session_expiry is no date, or past by this machine's clock")
		}
	}
	return nil
}

// checkNonce: 3.1.3.7 (11). It ties the token to this attempt, and so to this
// browser.
func (c *client) checkNonce(claims map[string]any, a *attempt) error {
	got, _ := claims["nonce"].(string)
	if c.provider.Quirks.DisableNonce {
		return nil
	}
	if subtle.ConstantTimeCompare([]byte(got), []byte(a.nonce())) != 1 {
		return errors.New("the nonce is not this sign-in's")
	}
	return nil
}

// checkHashes: 3.1.3.6 and 3.3.2.11: at_hash, c_hash and s_hash are optional,
// and must be right where they are there.
func checkHashes(claims map[string]any, alg string, want expected) error {
	for _, h := range []struct{ claim, of string }{
		{"at_hash", want.accessToken}, {"c_hash", want.code}, {"s_hash", want.attempt.state()},
	} {
		v, there := claims[h.claim]
		if !there {
			continue
		}
		if got, _ := v.(string); subtle.ConstantTimeCompare([]byte(got), []byte(halfHash(alg, h.of))) != 1 {
			return errors.New(h.claim + " does not fit")
		}
	}
	return nil
}

// halfHash is the left half of the hash that belongs to the algorithm.
func halfHash(alg, s string) string {
	sum := jws.Sum(alg, []byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// checkAuthentication: 3.1.3.7 (12) and (13): what was asked for by max_age
// and acr_values must have happened; a provider may ignore the request.
func checkAuthentication(claims map[string]any, now time.Time, a *attempt) error {
	v, there := claims["auth_time"]
	at, ok := strictjson.NumericDate(v)
	switch {
	case there && !ok:
		return errors.New("auth_time is no date")
	case at.After(now.Add(leeway)):
		return errors.New("auth_time is ahead of this machine's clock")
	case a.maxAge >= 0 && !there:
		return errors.New("max_age was asked for, and auth_time is missing")
	case a.maxAge >= 0 && now.Sub(at) > time.Duration(a.maxAge)*time.Second+leeway:
		return errors.New("the person proved who they are longer ago than max_age allows")
	}
	if acr, _ := claims["acr"].(string); a.acr != "" && !slices.Contains(strings.Fields(a.acr), acr) {
		return errors.New("acr is none of those asked for")
	}
	return nil
}

// notANumber: a plain profile's id may be a number, an ID token's sub may not.
func notANumber(sub any) error {
	if _, ok := sub.(string); !ok {
		return errors.New("sub is no text")
	}
	return nil
}
