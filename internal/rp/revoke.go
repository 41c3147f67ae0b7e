package rp

import (
	"context"
	"net/http"

	"github.com/ginauth/ginauth/internal/fetch"
)

// Revoke revokes a refresh token at the provider (RFC 7009). Providers should then also revoke the
// access tokens of the same grant (2.1). Revoke does nothing if there is no revocation endpoint.
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
	// Section 2.3. of [RFC6749]." Quirks.EditToken and TokenMethod apply only to the token endpoint.
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
