package ginauth

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/weburl"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	logoutLife    = 10 * time.Minute
	logoutVersion = 1
)

// confirmLogout answers GET /logout with a button. A GET does not sign out: any
// page can cause one.
func (a *Auth) confirmLogout(c *gin.Context) error {
	returnTo := a.cfg.orDefault(c.Query("return_to"), "")
	s, err := a.sessions.load(c.Writer, c.Request, a.cfg.Now())
	if s == nil && err == nil {
		a.writePage(c, http.StatusOK, a.signedOutPage(c.Request, returnTo), "")
		return nil
	}
	formTo := ""
	if s != nil { // the form's redirect may go on to the provider, which CSP must admit
		formTo = weburl.OriginOf(a.clients[s.user.Provider].rp.EndSessionEndpoint(c.Request.Context()))
	}
	a.writePage(c, http.StatusOK, a.signOutPage(c.Request, returnTo), formTo)
	return nil
}

// logout answers POST /logout: it ends the session here, and then sends the
// browser to the provider, to sign out there too.
func (a *Auth) logout(c *gin.Context) error {
	if a.cfg.isCrossOrigin(c.Request) {
		return &Error{Code: ErrCrossOrigin, ID: "logout.cross_origin", Op: "sign out", Reason: "a request to sign out came from another origin", Fix: "send a POST to /logout with a form of your own page"}
	}
	params, _ := readParams(c.Request, "return_to") // a form that cannot be read signs out all the same
	returnTo := a.cfg.orDefault(requestedReturn(c, params), a.cfg.AfterLogout)
	s, err := a.signOut(c, ByUser)
	if err != nil {
		return err
	}
	next := a.providerLogout(c, s, returnTo)
	location := cmp.Or(next, a.cfg.url(returnTo))
	switch kind := kindOf(c.Request); {
	case kind == apiRequest:
		c.JSON(http.StatusOK, gin.H{"redirect_to": location})
	case kind == htmxRequest:
		c.Header("HX-Redirect", location)
		c.Status(http.StatusNoContent)
	case next != "":
		redirect(c, next)
	default:
		a.goTo(c, returnTo)
	}
	return nil
}

// signOut ends the session of a request: every copy of it, the record, and the
// sign-ins under way. It returns the session, or nil if there was none, which is
// not an error.
func (a *Auth) signOut(c *gin.Context, by EventBy) (*session, error) {
	if c.Writer.Written() {
		return nil, &Error{Code: ErrSessionError, ID: "session.answer_written", Op: "sign out", Reason: "the answer is written already", Fix: "call Logout before writing"}
	}
	keepPrivate(c)
	a.loginStates.expireAll(c.Writer, c.Request)
	a.loops.expire(c.Writer, c.Request) // the browser had a session: it is in no loop
	s, err := a.sessions.endAll(c.Writer, c.Request)
	a.detach(c)
	if err != nil || s == nil {
		return nil, err
	}
	a.logSignOut(c, s, by)
	return s, nil
}

// logSignOut tells the log and the application that a session has ended.
func (a *Auth) logSignOut(c *gin.Context, s *session, by EventBy) {
	a.logEvent(c, slog.LevelInfo, "ginauth: signed out", Event{Name: SignedOut, By: by}, s)
	if a.cfg.Hooks.OnLogout != nil {
		a.cfg.Hooks.OnLogout(c, s.user)
	}
}

// providerLogout returns where the browser signs out at the provider of a session
// that has ended, to come back to returnTo. It is "" without a session, or if
// there is nothing to do at the provider.
func (a *Auth) providerLogout(c *gin.Context, s *session, returnTo string) string {
	if s == nil {
		return ""
	}
	state := rand.Text()
	next := a.clients[s.user.Provider].endSessionURL(c.Request.Context(), s.hint, state, a.cfg.logoutReturn())
	if next != "" {
		a.logouts.save(c.Writer, state, returnTo)
	}
	return next
}

// afterProviderLogout answers GET /logout/return, where the provider's sign-out
// comes back to. The session has ended before; the state only says where to go.
func (a *Auth) afterProviderLogout(c *gin.Context) error {
	returnTo := a.logouts.take(c.Writer, c.Request, c.Query("state"))
	a.goTo(c, a.cfg.orDefault(returnTo, a.cfg.AfterLogout))
	return nil
}

// logoutReturn returns the post_logout_redirect_uri of all providers.
func (c *config) logoutReturn() string { return c.url(c.mount + "/logout/return") }

// logouts keeps, in the browser, where to go when the sign-out at a provider
// comes back.
type logouts struct {
	sealedCookie
	name string
}

// save seals the return path together with the state that must come back.
func (k *logouts) save(w http.ResponseWriter, state, returnTo string) {
	contents := wire.AppendTime(k.contents(), k.now())
	k.set(w.Header(), k.name, wire.AppendString(wire.AppendString(contents, state), returnTo))
}

// take returns the return path of the sign-out with that state, or "".
func (k *logouts) take(w http.ResponseWriter, r *http.Request, state string) string {
	var sealed, returnTo string
	ok := k.sealedCookie.take(w.Header(), r.Header, k.name, func(r *wire.Reader) bool {
		sealed, returnTo = r.String(), r.String()
		return subtle.ConstantTimeCompare([]byte(sealed), []byte(state)) == 1
	})
	if !ok {
		return ""
	}
	return returnTo
}
