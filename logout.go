package ginauth

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/wire"
)

const (
	logoutLife    = 10 * time.Minute
	logoutVersion = 1
)

// confirmLogout shows a button: a GET, which any page can cause, signs nobody
// out.
func (a *Auth) confirmLogout(c *gin.Context) error {
	p, formTo := a.signOutPage(c.Writer, c.Request, a.cfg.orDefault(c.Query("return_to"), ""))
	a.page(c, http.StatusOK, p, formTo)
	return nil
}

// logout ends the session here first, and then sends the browser on to sign
// out at the provider too.
func (a *Auth) logout(c *gin.Context) error {
	if a.cfg.foreign(c.Request) {
		return &Error{Code: ErrCrossOrigin, Op: "sign out", Reason: "a request to sign out came from another origin", Fix: "send a POST to /logout with a form of your own page"}
	}
	params, _ := readParams(c.Request) // who sends what cannot be read is signed out all the same
	returnTo := a.cfg.orDefault(cmp.Or(params.Get("return_to"), c.Query("return_to")), a.cfg.AfterLogout)
	s, err := a.leave(c, ByUser)
	if err != nil {
		return err
	}
	next := a.afterLogout(c.Writer, c.Request, s, returnTo)
	there := cmp.Or(next, a.cfg.url(returnTo))
	switch kind := askerOf(c.Request); {
	case kind == asksAPI:
		c.JSON(http.StatusOK, gin.H{"redirect_to": there})
	case kind == asksHTMX:
		c.Header("HX-Redirect", there)
		c.Status(http.StatusNoContent)
	case next != "":
		redirect(c, next)
	default:
		a.goTo(c, returnTo)
	}
	return nil
}

// leave is Logout, and tells which session it was, or nil.
func (a *Auth) leave(c *gin.Context, by EventBy) (*session, error) {
	if c.Writer.Written() {
		return nil, &Error{Code: ErrSessionError, Op: "sign out", Reason: "the answer is written already", Fix: "call Logout before writing"}
	}
	private(c)
	s, err := a.signOut(c.Writer, c.Request)
	a.forget(c)
	if err != nil || s == nil {
		return nil, err
	}
	a.left(c, s, by)
	return s, nil
}

// signOut ends the session of a request: every copy of it, the record, and
// the attempts under way. It returns the session, or nil; that nobody was
// signed in is no failure.
func (a *Auth) signOut(w http.ResponseWriter, r *http.Request) (*session, error) {
	a.loginStates.expireAll(w, r)
	a.loops.expire(w, r) // the browser had a session: it is in no loop
	return a.sessions.leave(w, r)
}

// left tells the log and the application that a session has ended.
func (a *Auth) left(c *gin.Context, s *session, by EventBy) {
	a.note(c, slog.LevelInfo, "ginauth: signed out", Event{Name: SignedOut, By: by}, s)
	if a.cfg.Hooks.OnLogout != nil {
		a.cfg.Hooks.OnLogout(c, s.user)
	}
}

// afterLogout is where the browser goes once its session s, or nil, has ended:
// to the provider, to sign out there too and come back to returnTo; "" if there
// is nothing to do there.
func (a *Auth) afterLogout(w http.ResponseWriter, r *http.Request, s *session, returnTo string) string {
	if s != nil {
		state := rand.Text()
		next := a.clients[s.user.Provider].endSessionURL(r.Context(), s.hint, state, a.cfg.logoutReturn())
		if next != "" {
			a.logouts.save(w, state, returnTo)
			return next
		}
	}
	return ""
}

// loggedOut is where the provider's sign-out comes back to. Everything is
// over by then; the state only says where to go.
func (a *Auth) loggedOut(c *gin.Context) error {
	returnTo := a.logouts.take(c.Writer, c.Request, c.Query("state"))
	a.goTo(c, a.cfg.orDefault(returnTo, a.cfg.AfterLogout))
	return nil
}

// logoutReturn is where the providers' own sign-outs come back to.
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
