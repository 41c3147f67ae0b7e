package ginauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/weburl"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	logoutLife    = 10 * time.Minute
	logoutVersion = 3
)

// confirmLogout answers GET /logout with a button. A GET does not sign out, since any page can
// cause one.
func (a *Auth) confirmLogout(c *gin.Context, g *registry) error {
	returnTo := a.cfg.orDefault(c.Query("return_to"), "")
	if g.takesTokens() && g.hasToken(c.Request) { // the session cookie is ignored then
		return noSession("sign out")
	}
	s, err := g.sessions.load(c.Writer, c.Request, a.cfg.Now())
	if s == nil && err == nil {
		a.writePage(c, http.StatusOK, a.signedOutPage(c.Request, returnTo), "")
		return nil
	}
	// The form's redirect may continue to the provider, and from there to another origin,
	// which CSP must allow.
	formTo := weburl.OriginOf(returnTo)
	if s != nil {
		formTo = strings.TrimSpace(g.clients[s.user.Provider].endSessionOrigin(c.Request.Context()) + " " + formTo)
	}
	a.writePage(c, http.StatusOK, a.signOutPage(c.Request, returnTo), formTo)
	return nil
}

// logout answers POST /logout: it ends the session here, and then redirects the browser to the
// provider to sign out there.
func (a *Auth) logout(c *gin.Context, g *registry) error {
	if a.cfg.isCrossOrigin(c.Request) {
		return &Error{Code: ErrCrossOrigin, ID: "logout.cross_origin", Op: "sign out", Reason: "the sign-out request is cross-origin", Fix: "send a POST to /logout from a form on a page of the application"}
	}
	if g.takesTokens() && g.hasToken(c.Request) { // as above
		return noSession("sign out")
	}
	params, _ := readParams(c.Request, "return_to") // a malformed form also signs out
	returnTo := a.cfg.orDefault(requestedReturn(c, params), a.cfg.AfterLogout)
	a.idTokenHints.expire(c.Writer, c.Request)
	s, err := a.signOut(c, g, ByUser)
	if err != nil {
		return err
	}
	next := a.providerLogout(c, g, s, returnTo)
	location := cmp.Or(next, a.cfg.absolute(returnTo))
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

// signOut ends the session of a request: all copies of it, its record, and sign-ins in
// progress. It returns the session, or nil without one, which is not an error.
func (a *Auth) signOut(c *gin.Context, g *registry, by EventBy) (*session, error) {
	if c.Writer.Written() {
		return nil, a.answerWritten(c, "sign out", "call Logout before writing the response")
	}
	keepPrivate(c)
	a.loginStates.expireAll(c.Writer, c.Request)
	a.loops.expire(c.Writer, c.Request) // the browser had a session, so it is not in a loop
	s, err := g.sessions.endAll(c.Writer, c.Request)
	a.detach(c)
	if err != nil || s == nil {
		return nil, err
	}
	if s.tokens != nil {
		ctx, cl := context.WithoutCancel(c.Request.Context()), g.clients[s.user.Provider]
		go func() { cl.revokeLater(a.tokens.drop(ctx, s)) }()
	}
	a.logSignOut(c, s, by)
	return s, nil
}

// logSignOut logs the end of a session and calls OnLogout.
func (a *Auth) logSignOut(c *gin.Context, s *session, by EventBy) {
	a.logEvent(c, slog.LevelInfo, "ginauth: signed out", Event{Name: SignedOut, By: by}, s)
	if a.cfg.Hooks.OnLogout != nil && !a.isRunning(c.Request.Context(), "OnLogout") { // OnLogout may call Logout
		defer a.running(c, "OnLogout")()
		a.cfg.Hooks.OnLogout(c, s.user)
	}
}

// providerLogout returns the URL at which the browser signs out at the provider of an ended
// session, and from which it comes back to returnTo. It returns "" without a session, or if
// there is no sign-out at the provider.
func (a *Auth) providerLogout(c *gin.Context, g *registry, s *session, returnTo string) string {
	if s == nil {
		return ""
	}
	cl := g.clients[s.user.Provider]
	pending := pendingLogout{state: rand.Text(), returnTo: returnTo}
	hint := cmp.Or(a.idTokenHints.find(c.Request.Header, s.id), s.hint)
	if kind := kindOf(c.Request); hint != "" && (kind == apiRequest || kind == htmxRequest) {
		if cl.endSessionURL(c.Request.Context(), "", pending.state) == "" {
			return ""
		}
		// A script must not receive a URL with the ID token, which identifies the user and is
		// a credential for some APIs. It receives a URL of ginauth, which adds the token.
		a.idTokenHints.save(c.Writer.Header(), s, hint)
		pending.provider, pending.issuer, pending.sessionID = s.user.Provider, cl.namespace(), s.id
		a.logouts.save(c.Writer, pending)
		return a.cfg.url(a.cfg.mount + "/logout/redirect?state=" + pending.state)
	}
	next := cl.endSessionURL(c.Request.Context(), hint, pending.state)
	if next != "" {
		a.logouts.save(c.Writer, pending)
	}
	return next
}

// redirectToLogout answers GET /logout/redirect: after a script has signed out, it redirects
// the browser to the provider, once.
func (a *Auth) redirectToLogout(c *gin.Context, g *registry) error {
	if dest, is := navigation(c.Request); !is { // a fetch could read the final URL
		return &Error{Code: ErrCrossOrigin, ID: "logout.not_navigation", Op: "sign out", Reason: fmt.Sprintf("the provider sign-out was requested as %q, not as a navigation", dest),
			Fix: "navigate to the URL in redirect_to"}
	}
	pending := a.logouts.take(c.Writer, c.Request, c.Query("state"))
	a.idTokenHints.expire(c.Writer, c.Request)
	cl := g.clients[pending.provider]
	if cl == nil || cl.namespace() != pending.issuer { // the sign-out is unknown or was continued before, or another provider has that name now
		a.goTo(c, a.cfg.orDefault(pending.returnTo, a.cfg.AfterLogout))
		return nil
	}
	next := cl.endSessionURL(c.Request.Context(), a.idTokenHints.find(c.Request.Header, pending.sessionID), pending.state)
	if next == "" {
		a.goTo(c, a.cfg.orDefault(pending.returnTo, a.cfg.AfterLogout))
		return nil
	}
	a.logouts.save(c.Writer, pendingLogout{state: pending.state, returnTo: pending.returnTo})
	redirect(c, next)
	return nil
}

// afterProviderLogout answers GET /logout/return, to which the provider redirects after its
// sign-out. The session has already ended; the state only identifies the return path.
func (a *Auth) afterProviderLogout(c *gin.Context, _ *registry) error {
	pending := a.logouts.take(c.Writer, c.Request, c.Query("state"))
	a.goTo(c, a.cfg.orDefault(pending.returnTo, a.cfg.AfterLogout))
	return nil
}

// logoutReturn returns the post_logout_redirect_uri of all providers.
func (c *config) logoutReturn() string { return c.url(c.mount + "/logout/return") }

// pendingLogout is a sign-out at a provider that is in progress.
type pendingLogout struct {
	state     string // state of the request to the provider, which must come back
	returnTo  string
	provider  string // to which the browser must still be redirected, or ""
	issuer    string // or Namespace, of that provider
	sessionID string // of the session whose ID token is the hint
}

// logouts stores a pending sign-out at a provider in a cookie.
type logouts struct {
	sealedCookie
	name string
}

func (k *logouts) save(w http.ResponseWriter, pending pendingLogout) {
	contents := wire.AppendTime(k.contents(), k.now())
	for _, text := range []string{pending.state, pending.returnTo, pending.provider, pending.issuer, pending.sessionID} {
		contents = wire.AppendString(contents, text)
	}
	k.set(w.Header(), k.name, contents)
}

// take returns the pending sign-out with that state and deletes its cookie. Without one it
// returns the zero value.
func (k *logouts) take(w http.ResponseWriter, r *http.Request, state string) pendingLogout {
	var pending pendingLogout
	ok := k.sealedCookie.take(w.Header(), r.Header, k.name, func(r *wire.Reader) bool {
		for _, text := range []*string{&pending.state, &pending.returnTo, &pending.provider, &pending.issuer, &pending.sessionID} {
			*text = r.String()
		}
		return subtle.ConstantTimeCompare([]byte(pending.state), []byte(state)) == 1
	})
	if !ok {
		return pendingLogout{}
	}
	return pending
}
