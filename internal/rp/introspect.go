package rp

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// Introspect queries the provider about an opaque access token (RFC 7662). Anyone can send a
// token: the caller must limit repeated queries.
func (c *Client) Introspect(ctx context.Context, token string) (*AccessToken, error) {
	const op = "introspect token"
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	if m.introspection == "" {
		return nil, c.noIntrospection(op)
	}
	// 2.1: "the authorization server MUST require some form of authorization to access this
	// endpoint".
	auth, err := c.authenticate(ctx, m)
	if err != nil {
		return nil, err
	}
	req, err := c.request(ctx, op, m.introspection, param("token", token)+"&token_type_hint=access_token", auth, nil)
	if err != nil {
		return nil, err
	}
	got, err := c.send(req)
	if err != nil {
		return nil, c.unreachable(op, err)
	}
	if got.status != http.StatusOK {
		return nil, c.unreachable(op, fetch.StatusError("introspection endpoint", req.URL.Host, got.status)).saying(c.wordsOf(got))
	}
	claims, err := strictjson.Object([]byte(got.body))
	if err != nil {
		return nil, &Error{Code: ProviderUnavailable, ID: "introspection.json", Op: op, Provider: c.cfg.Name, Cause: err, RetryAfter: longestRetry,
			Reason: "the introspection response is not a JSON object", Fix: "check what responds at the introspection endpoint"}
	}
	t := &UnverifiedToken{claims: claims}
	if err := c.checkIntrospected(t); err != nil {
		return nil, c.about(err, InvalidToken, op)
	}
	if claims["iss"] == nil { // 2.2: OPTIONAL; the response came from the provider itself
		claims["iss"] = c.cfg.Issuer
	}
	return t.read([]byte(token)), nil
}

func (c *Client) noIntrospection(op string) *Error {
	return c.misconfigured(op, "introspection.endpoint", "the provider's metadata has no introspection_endpoint",
		"leave Provider.Introspect false, and have the provider issue JWT access tokens (RFC 9068)")
}

// checkIntrospected checks a response of section 2.2.
func (c *Client) checkIntrospected(t *UnverifiedToken) error {
	claims := t.claims
	// "active: REQUIRED. Boolean indicator of whether or not the presented token is currently
	// active." Anything but true means inactive.
	if claims["active"] != true {
		return fault("introspection.inactive", "the token is inactive according to the provider", "get a new token, if it has expired or was revoked; otherwise check that it is a token of this provider", nil)
	}
	dropNulls(claims)
	if err := c.checkNames(claims); err != nil {
		return err
	}
	if claims["iss"] != nil {
		if err := c.checkIssuer(claims); err != nil {
			return err
		}
	}
	if err := t.checkKind(""); err != nil {
		return err
	}
	if err := checkTokenType(claims); err != nil {
		return err
	}
	if err := t.checkParties(); err != nil {
		return err
	}
	if err := t.checkAudience(c.cfg.Audience); err != nil {
		return err
	}
	if claims["exp"] == nil { // 2.2: OPTIONAL; the token is introspected again within a minute
		return t.checkIssuedAt(c.cfg.Now())
	}
	return t.checkAccessTimes(c.cfg.Now())
}

// checkTokenType rejects tokens other than bearer tokens, such as refresh tokens: the server may
// ignore the token_type_hint of 2.1. 2.2: token_type is a "Type of the token as defined in Section
// 5.1 of OAuth 2.0".
func checkTokenType(claims map[string]any) error {
	v, there := claims["token_type"]
	if s, _ := v.(string); there && !strings.EqualFold(s, "bearer") && s != "access_token" {
		return fault("access_token.kind", fmt.Sprintf("the token is not an access token: its token_type is %.20q", fmt.Sprint(v)), "send the access token", nil)
	}
	return nil
}
