package ginauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"
)

// backChannel answers POST /logout/:provider/backchannel: the provider reports that a session
// or a user is signed out (OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8).
func (a *Auth) backChannel(c *gin.Context, g *registry) error {
	cl, err := g.client(c.Param("provider"))
	if err != nil {
		return err
	}
	params, err := readParams(c.Request, "logout_token")
	if err != nil {
		return complete(err, Error{Code: ErrBadRequest, ID: "request.unreadable", Op: "back-channel logout", Provider: cl.provider.Name})
	}
	if len(params["logout_token"]) != 1 {
		return &Error{Code: ErrLogoutTokenInvalid, ID: "logout_token.parameter", Op: "back-channel logout", Provider: cl.provider.Name, Reason: "the request does not have exactly one logout_token",
			Fix: "have the provider send one logout_token (OpenID Connect Back-Channel Logout 1.0, section 2.5)"}
	}
	user, err := a.revokeByToken(c.Request.Context(), cl, params.Get("logout_token"))
	if err != nil {
		return err
	}
	a.logEvent(c, slog.LevelInfo, "ginauth: sessions revoked", Event{Name: SessionsRevoked, By: ByProvider, Provider: cl.provider.Name, User: a.hashUser(user)}, nil)
	c.Status(http.StatusOK) // overrides a status set earlier
	c.Writer.WriteHeaderNow()
	return nil
}

// revokeByToken revokes the sessions of a logout token, and returns the user with only Issuer
// and Subject. It continues if the provider disconnects.
func (a *Auth) revokeByToken(ctx context.Context, c *client, raw string) (*User, error) {
	target, err := c.verifyLogoutToken(ctx, raw)
	for _, key := range target.keys {
		err = errors.Join(err, a.cfg.revoke(context.WithoutCancel(ctx), key, target.issued, a.cfg.personMarkLife()))
	}
	return target.user, err
}
