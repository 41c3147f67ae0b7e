package rp

import (
	"context"
	"net/http"

	"github.com/ginauth/ginauth/internal/fetch"
)

// Revoke has the provider revoke a refresh token (RFC 7009), and with it the access tokens
// that it gave. It does nothing if the provider has no revocation endpoint.
func (c *Client) Revoke(ctx context.Context, refreshToken string) error {
	const op = "revoke token"
	m, err := c.metadata(ctx)
	if err != nil || m.revocation == "" {
		return err
	}
	auth, err := c.authenticate(ctx, m)
	if err != nil {
		return err
	}
	// RFC 7009, 2.1: "The client also includes its authentication credentials as described in
	// Section 2.3. of [RFC6749]." Quirks are about the token endpoint.
	req, err := c.request(ctx, op, m.revocation, param("token", refreshToken)+"&token_type_hint=refresh_token", auth, nil)
	if err != nil {
		return err
	}
	got, err := c.send(req)
	if err != nil {
		return c.unreachable(op, err)
	}
	// 2.2: "The authorization server responds with HTTP status code 200 if the token has been
	// revoked successfully or if the client submitted an invalid token."
	if got.status != http.StatusOK {
		return c.unreachable(op, fetch.StatusError("revocation endpoint", req.URL.Host, got.status)).saying(c.wordsOf(got))
	}
	return nil
}
