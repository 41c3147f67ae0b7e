package ginauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/weburl"
)

// backChannel answers POST /logout/:provider/backchannel: the provider says that
// a session, or a user, is signed out (OpenID Connect Back-Channel Logout 1.0,
// sections 2.5 to 2.8).
func (a *Auth) backChannel(c *gin.Context) error {
	cl, err := a.client(c)
	if err != nil {
		return err
	}
	params, err := readParams(c.Request)
	if err != nil {
		return complete(err, Error{Code: ErrBadRequest, ID: "request.unreadable", Op: "back-channel logout", Provider: cl.provider.Name})
	}
	if len(params["logout_token"]) != 1 {
		return &Error{Code: ErrLogoutTokenInvalid, ID: "logout_token.not_one", Op: "back-channel logout", Provider: cl.provider.Name, Reason: "there is not exactly one logout_token"}
	}
	user, err := a.revokeByToken(c.Request.Context(), cl, params.Get("logout_token"))
	if err != nil {
		return err
	}
	a.logEvent(c, slog.LevelInfo, "ginauth: sessions revoked", Event{Name: SessionsRevoked, By: ByProvider, Provider: cl.provider.Name, User: a.hashUser(user)}, nil)
	c.Status(http.StatusOK) // whatever stood there before
	c.Writer.WriteHeaderNow()
	return nil
}

// revokeByToken revokes what a logout token names, and returns the user, of whom
// only Issuer and Subject are known. It does not stop halfway if the provider
// hangs up.
func (a *Auth) revokeByToken(ctx context.Context, c *client, raw string) (*User, error) {
	end, err := c.logoutToken(ctx, raw)
	for _, key := range end.keys {
		err = errors.Join(err, a.cfg.revoke(context.WithoutCancel(ctx), key, end.at))
	}
	return end.user, err
}

// frontChannel answers GET /logout/:provider/frontchannel, which the provider's
// page opens in a frame. The answer is always the same empty page: the frame must
// not learn whether a session ended.
func (a *Auth) frontChannel(c *gin.Context) error {
	cl, err := a.client(c)
	if err != nil {
		return err
	}
	s, err := a.endFrameSession(c, cl)
	if err != nil {
		return err
	}
	if s != nil {
		a.logSignOut(c, s, ByProvider)
	}
	ancestors := weburl.OriginOf(cl.provider.Issuer)
	if ancestors == "" {
		ancestors = "'none'"
	}
	c.Header("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors "+ancestors)
	c.Data(http.StatusOK, "text/html; charset=utf-8", []byte("<!doctype html><title>Signed out</title>"))
	return nil
}

// endFrameSession ends the session of this browser if iss and sid are its own
// (OpenID Connect Front-Channel Logout 1.0, section 2), and returns it, or nil.
// A frame on the provider's site gets no SameSite=Lax cookie, so that there
// nothing happens.
func (a *Auth) endFrameSession(c *gin.Context, cl *client) (*session, error) {
	q := c.Request.URL.Query()
	if len(q["iss"]) != 1 || len(q["sid"]) != 1 {
		return nil, nil
	}
	o, err := a.sessions.open(c.Writer, c.Request, a.cfg.Now())
	if o == nil {
		return nil, err
	}
	s := o.copy()
	if s.sid == "" || s.user.Provider != cl.provider.Name || q.Get("iss") != s.user.Issuer || q.Get("sid") != s.sid {
		return nil, nil
	}
	a.sessions.cache.drop(o)
	return s, a.sessions.end(c.Writer, c.Request, s)
}
