package ginauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/rp"
)

const stateLimit = 512 // bytes

// callback answers /authorize/:provider: it takes the provider's response, and
// signs the user in. The state is spent before anything reaches the network, so
// that no response is used twice, and a sign-in that fails at any step leaves no
// session behind.
func (a *Auth) callback(c *gin.Context) (err error) {
	cl, err := a.client(c)
	if err != nil {
		return err
	}
	response, err := a.readResponse(c, cl)
	if err != nil || response == nil { // a form was carried over to a GET
		return err
	}
	state, err := a.loginStates.take(c.Writer, c.Request, cl.provider.Name, response.Get("state"))
	if a.alreadySignedIn(c, response, err) {
		a.goTo(c, a.cfg.AfterLogin)
		return nil
	}
	in := signIn{provider: cl.provider.Name, state: state}
	defer func() { err = a.abandon(c, &in, err) }()
	if err != nil {
		return err
	}

	began := a.cfg.Now()
	if err := cl.checkResponse(c.Request.Context(), response); err != nil {
		return err
	}
	id, err := cl.redeem(c.Request.Context(), state, response)
	in.took = max(0, a.cfg.Now().Sub(began))
	if state.needsSecondRound(err) {
		return a.secondRound(c, cl, state)
	}
	if err != nil {
		return err
	}
	user, err := newUser(cl, id, a.cfg.Now(), a.cfg.loopback)
	if err != nil {
		return err
	}
	in.user = User{Issuer: user.Issuer, Subject: user.Subject}

	login := &Login{User: user, Token: id.Token, ReturnTo: state.returnTo}
	if login.Previous, err = a.linkedTo(c, state); err != nil {
		return err
	}
	before, err := a.renewedUser(c, state, user)
	if err != nil {
		return err
	}
	if before != nil {
		login.Renewal, user.Data = true, before.Data
	}
	if err := a.askOnLogin(c, login); err != nil {
		return err
	}
	if err := checkNotCancelled(c.Request.Context()); err != nil {
		return err
	}
	s, err := a.sessions.start(c.Writer, c.Request, newSession(login.User, id))
	if err != nil {
		return err
	}
	a.keepIDToken(c, cl, s, id.Token)
	a.loops.add(c.Writer, c.Request)
	a.lastProvider.remember(c.Writer, c.Request, cl.provider.Name)
	a.logEvent(c, slog.LevelInfo, "ginauth: signed in", Event{Name: SignInSucceeded, Duration: in.took}, s)
	a.goTo(c, a.cfg.afterLogin(state, login))
	return nil
}

// signIn is what a callback knows of the sign-in so far, for the log and the
// page of one that fails.
type signIn struct {
	provider string
	state    *loginState   // nil if none was found
	user     User          // Issuer and Subject, as verified
	took     time.Duration // spent waiting for the provider
}

// abandon ends a sign-in that fails with err, and says where to start again.
// Without an error it does nothing.
func (a *Auth) abandon(c *gin.Context, in *signIn, err error) error {
	if err == nil {
		return nil
	}
	if failed := a.undo(c); failed != nil { // OnLogin may have called SignIn
		err = failed
	}
	returnTo := ""
	if in.state != nil {
		returnTo = in.state.returnTo
		// The address stays in the address bar, and people reload it.
		a.loginStates.failed.set(c.Writer, in.state.handle)
	}
	e := complete(err, Error{Code: ErrSessionError, ID: "login.failed", Op: "sign in", Provider: in.provider})
	if e.Code == ErrUnauthenticated || e.Code == ErrStepUpRequired { // of a hook: the browser would be sent to sign in again, and again
		e.Code = ErrIdentityRejected
	}
	e.retry, e.user, e.took = a.LoginURL(in.provider, returnTo), a.hashUser(&in.user), in.took
	return e
}

// undo ends a session that SignIn began in this request.
func (a *Auth) undo(c *gin.Context) error {
	v := a.authenticated(c)
	if v == nil || !v.isNew {
		return nil
	}
	a.detach(c)
	return a.sessions.end(c.Writer, c.Request, v.session())
}

// readResponse reads the authorization response from where the provider's
// response mode puts it, and from nowhere else. A form is carried over to a GET;
// then readResponse has answered the request, and returns nil.
func (a *Auth) readResponse(c *gin.Context, cl *client) (url.Values, error) {
	form := cl.provider.ResponseMode == "form_post"
	switch {
	case c.Request.Method == http.MethodPost && !form:
		return nil, wrongMode(cl.provider.Name, http.MethodPost, http.MethodGet)
	case c.Request.Method == http.MethodGet && form:
		return a.carriedResponse(c, cl.provider.Name)
	}
	response, err := parseResponse(c.Request)
	if err != nil {
		return nil, complete(err, Error{Code: ErrBadRequest, ID: "response.unreadable", Op: "read answer", Provider: cl.provider.Name})
	}
	if form {
		return nil, a.carryResponse(c, cl.provider.Name, response)
	}
	return response, nil
}

func wrongMode(provider, method, allow string) *Error {
	return &Error{Code: ErrMethodNotAllowed, ID: "response.mode", Op: "read answer", Provider: provider, allow: allow,
		Reason: "the answer came as " + method + ", which is not this provider's response mode", Fix: `set Provider.ResponseMode to what the provider uses: "query" or "form_post"`}
}

// parseResponse reads the parameters of a response, and refuses those that two
// programs could read in two ways. RFC 6749, 3.1: "Request and response
// parameters MUST NOT be included more than once."
func parseResponse(r *http.Request) (url.Values, error) {
	params, err := readParams(r, rp.ResponseParams[:]...)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost && r.URL.RawQuery != "" {
		return nil, &Error{Code: ErrBadRequest, ID: "response.form_and_query", Reason: "the answer came in the form and in the address",
			Fix: "have the provider send one of the two; if it sends no query, look at what is registered as redirect URI"}
	}
	if err := rp.CheckParams(params); err != nil {
		return nil, fromRP(err)
	}
	if len(params.Get("state")) > stateLimit {
		return nil, &Error{Code: ErrBadRequest, ID: "state.too_long", Reason: "the state is longer than any of ours",
			Fix: "sign-ins must begin at /login"}
	}
	return params, nil
}

// alreadySignedIn forgives the back button, a reload and a second tab: a user
// who is signed in goes on to the application, and the response, which has the
// form of one but no login state, is not looked at.
func (a *Auth) alreadySignedIn(c *gin.Context, response url.Values, err error) bool {
	if !errors.Is(err, ErrStateInvalid) || len(response.Get("state")) != stateLength || response.Get("error") != "" {
		return false
	}
	s, _ := a.sessions.load(c.Writer, c.Request, a.cfg.Now())
	return s != nil
}

// linkedTo returns the user that asked to link an account, who must still be
// signed in, or nil if this sign-in links none.
func (a *Auth) linkedTo(c *gin.Context, state *loginState) (*User, error) {
	if state.linkingOf == "" {
		return nil, nil
	}
	s, err := a.sessions.load(c.Writer, c.Request, a.cfg.Now())
	if err != nil {
		return nil, err
	}
	if s == nil || s.id != state.linkingOf {
		return nil, stateInvalid("login.link_session_ended", "the session that asked to link an account has ended meanwhile", "sign in and link again")
	}
	return s.user.clone(), nil
}

// askOnLogin asks Hooks.OnLogin, and holds it to what it may change.
func (a *Auth) askOnLogin(c *gin.Context, login *Login) error {
	hook := a.cfg.Hooks.OnLogin
	if hook == nil {
		return nil
	}
	login.User.writable()
	verified := *login.User
	err := protect(func() error {
		if err := hook(c, login); err != nil {
			return complete(err, Error{Code: ErrIdentityRejected, ID: "hook.on_login_refused", Op: "OnLogin", Provider: verified.Provider, Fix: "nothing, if this account may not sign in; else see what the hook returned"})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if c.Writer.Written() || login.User == nil {
		return &Error{Code: ErrSessionError, ID: "hook.on_login_answered", Op: "OnLogin", Provider: verified.Provider, Reason: "OnLogin answered the request itself, or set User to nil: no user is signed in",
			Fix: "return an error to refuse, and set login.ReturnTo to go elsewhere"}
	}
	login.User.sameAs(&verified)
	return nil
}

// checkNotCancelled refuses a session to a browser that has hung up.
func checkNotCancelled(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &Error{Code: ErrSessionError, ID: "request.cancelled", Op: "sign in", Reason: "the browser went away", Fix: "nothing: the person closed the tab, and may start again", Err: context.Cause(ctx)}
}

// newSession returns the session of a verified user, as far as the ID token says
// something about it.
func newSession(user *User, id *rp.Identity) *session {
	s := &session{user: user.clone(), issued: id.IssuedAt, sid: id.SID, until: id.SessionExpiry}
	s.authTime = !id.AuthTime.IsZero() && user.AuthTime.Equal(id.AuthTime)
	return s
}

// afterLogin returns where the browser goes next. What /login admitted is not
// asked again; what OnLogin wrote is.
func (c *config) afterLogin(state *loginState, login *Login) string {
	if login.ReturnTo == state.returnTo {
		return state.returnTo
	}
	return c.orDefault(login.ReturnTo, c.AfterLogin)
}
