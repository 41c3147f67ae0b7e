package ginauth

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/weburl"
)

// frontChannel answers GET /logout/:provider/frontchannel, which the provider's page opens in a
// frame. The response is always the same empty page: it must not reveal whether a session
// ended.
func (a *Auth) frontChannel(c *gin.Context, g *registry) error {
	cl, err := g.client(c.Param("provider"))
	if err != nil {
		return err
	}
	s, err := endFrameSession(c, g, cl)
	if err != nil {
		return err
	}
	if s != nil {
		a.idTokenHints.expire(c.Writer, c.Request)
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

// endFrameSession ends the session of this browser if iss and sid match it (OpenID Connect
// Front-Channel Logout 1.0, section 2), and returns it, or nil. Browsers send no SameSite=Lax
// cookies in cross-site frames, so a frame on a provider's page at another site has no effect.
func endFrameSession(c *gin.Context, g *registry, cl *client) (*session, error) {
	q := c.Request.URL.Query()
	if len(q["iss"]) != 1 || len(q["sid"]) != 1 {
		return nil, nil
	}
	o, err := g.sessions.open(c.Writer, c.Request, g.auth.cfg.Now())
	if o == nil {
		return nil, err
	}
	s := o.copy()
	if s.sid == "" || s.user.Provider != cl.provider.Name || q.Get("iss") != s.user.Issuer || q.Get("sid") != s.sid {
		return nil, nil
	}
	g.sessions.cache.drop(o)
	if s.tokens != nil {
		g.auth.tokens.drop(context.WithoutCancel(c.Request.Context()), s)
	}
	return s, g.sessions.end(c.Writer, c.Request, s)
}
