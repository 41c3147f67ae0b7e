package ginauth

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/rp"
)

const stateLimit = 512 // bytes

// callback answers /authorize/:provider and Provider.CallbackPath: it reads the authorization
// response and signs the user in. The state is consumed before any network request, so no
// response is used twice, and a sign-in that fails at any step leaves no session behind.
func (a *Auth) callback(c *gin.Context, g *registry, at *callbackPath) (err error) {
	response, mode, err := a.readResponse(c, at)
	if err != nil || response == nil { // a form was redirected to a GET
		return err
	}
	state, err := a.loginStates.take(c.Writer, c.Request, at, response.Get("state"))
	if a.alreadySignedIn(c, g, response, err) {
		a.goTo(c, a.cfg.AfterLogin)
		return nil
	}
	in := signIn{provider: at.provider(), state: state}
	defer func() { err = a.abandon(c, &in, err) }()
	if err != nil {
		return err
	}
	cl := at.client(state.provider)
	if in.provider = cl.provider.Name; mode != cl.provider.ResponseMode {
		return wrongMode(in.provider, mode)
	}

	began := a.cfg.Now()
	if err := cl.checkResponse(c.Request.Context(), response); err != nil {
		return err
	}
	id, err := cl.redeem(c.Request.Context(), state, response)
	in.took = max(0, a.cfg.Now().Sub(began))
	again := state.needsSecondRound(err)
	if err != nil && !again {
		return err
	}
	if g, cl, err = a.stillThere(c.Request.Context(), cl, state); err != nil {
		return err
	}
	if again {
		return a.secondRound(c, g, cl, state)
	}
	if err := cl.verifyClaims(id, response); err != nil {
		return err
	}
	if err := cl.checkScopes(state, id); err != nil {
		return err
	}
	user, err := newUser(cl, id, a.cfg.Now(), a.cfg.loopback)
	if err != nil {
		return err
	}
	in.user = User{Issuer: user.Issuer, Subject: user.Subject}

	sent := user.Groups // before OnLogin changes them
	login := &Login{User: user, Token: id.Token, ReturnTo: state.returnTo, Data: state.data}
	if cl.keepsTokens() { // OnLogin may change its copy
		token := *id.Token
		login.Token = &token
	}
	if login.Previous, err = a.linkedTo(c, g, state); err != nil {
		return err
	}
	told, err := a.renew(c, g, state, login, id)
	if err != nil {
		return err
	}
	if err := a.askOnLogin(c, &in, login); err != nil {
		return err
	}
	if login.NoSession && state.round > 0 {
		return noSessionForDemand(cl.provider.Name)
	}
	if err := checkNotCancelled(c.Request.Context()); err != nil {
		return err
	}
	begun := newSession(login.User, id, told)
	if cl.keepsTokens() {
		if err := a.keepTokens(c, g, cl, begun, login, newTokenRecord(cl, state, id, sent, a.cfg.Now())); err != nil {
			return err
		}
	}
	s, err := a.beginSession(c, g, cl, begun, login)
	if err != nil {
		return err
	}
	a.lastProvider.remember(c.Writer, c.Request, g, cl.provider.Name, s.browserOnly)
	a.logEvent(c, slog.LevelInfo, "ginauth: signed in", Event{Name: SignInSucceeded, Duration: in.took}, s)
	in.finished = true
	a.goTo(c, a.cfg.afterLogin(state, login))
	return nil
}

// signIn is the progress of a callback, for the log and the error page.
type signIn struct {
	provider string
	state    *loginState   // nil if none was found
	user     User          // Issuer and Subject, as verified
	took     time.Duration // spent waiting for the provider
	header   http.Header   // of the response before OnLogin was called; nil if it was not
	finished bool          // the response signs the user in
}

// abandon ends a sign-in that fails with err, and sets where to retry. Without an error it
// does nothing, except during a panic with http.ErrAbortHandler: gin.Recovery then sends the
// response headers.
func (a *Auth) abandon(c *gin.Context, in *signIn, err error) error {
	if in.finished {
		return nil
	}
	failed := a.undo(c) // finds a session that OnLogin started by the response's cookies
	in.restoreHeader(c.Writer.Header())
	if err == nil {
		return nil
	}
	err = cmp.Or(failed, err)
	if errors.Is(err, ErrUnknownProvider) { // it was removed meanwhile
		in.provider = ""
	}
	returnTo := ""
	if in.state != nil {
		returnTo = in.state.returnTo
		// The URL stays in the address bar, and users reload it.
		a.loginStates.failed.set(c.Writer, in.state.handle)
	}
	e := complete(err, Error{Code: ErrSessionError, ID: "login.failed", Op: "sign in", Provider: in.provider})
	if e.Code == ErrUnauthenticated || e.Code == ErrStepUpRequired { // from a hook: would cause a redirect loop
		e.Code = ErrIdentityRejected
	}
	e.user, e.took = a.hashUser(&in.user), in.took
	switch {
	case in.state.needsItsStart():
	case in.state == nil || in.state.round == 0 || e.Code == ErrIdentityRejected:
		e.retry = a.LoginURL(in.provider, returnTo)
	default:
		e.retry = a.cfg.absolute(returnTo) // the guard there asks again; a plain sign-in would end the session
	}
	return e
}

// restoreHeader restores the response headers from before OnLogin. It keeps the map, which
// others may hold.
func (in *signIn) restoreHeader(h http.Header) {
	if in.header != nil {
		clear(h)
		maps.Copy(h, in.header)
	}
}

// undo ends a session that SignIn started in this request.
func (a *Auth) undo(c *gin.Context) error {
	v := a.authenticated(c)
	if v == nil || !v.isNew {
		return nil
	}
	a.detach(c)
	return v.registry.sessions.end(c.Writer, c.Request, v.session())
}

// stillThere returns the current registry and the provider in it: SetProviders may have
// removed or replaced the provider during the requests to it, and the session must start with
// the current one.
func (a *Auth) stillThere(ctx context.Context, asked *client, state *loginState) (*registry, *client, error) {
	g := a.providers.Load()
	cl, err := g.client(asked.provider.Name)
	if err != nil || cl == asked {
		return g, cl, err
	}
	return g, cl, fromRP(cl.rp.CheckProvider(ctx, state.request()))
}

// readResponse reads the authorization response from the place that the provider's response
// mode requires, and returns that mode. A cross-site form post is redirected to a GET; then
// readResponse has answered the request and returns nil.
func (a *Auth) readResponse(c *gin.Context, at *callbackPath) (response url.Values, mode string, err error) {
	post, form := c.Request.Method == http.MethodPost, at.expects("form_post")
	switch {
	case post && !form:
		return nil, "", wrongMode(at.provider(), "form_post")
	case !post && form && c.Request.URL.Query().Has("carried"):
		return a.carriedResponse(c), "form_post", nil
	case !post && !at.expects("query"):
		return nil, "", wrongMode(at.provider(), "query")
	}
	response, err = parseResponse(c.Request)
	if err != nil {
		return nil, "", complete(err, Error{Code: ErrBadRequest, ID: "response.unreadable", Op: "read response", Provider: at.provider()})
	}
	if post {
		return nil, "", a.carryResponse(c, at, response)
	}
	return response, "query", nil
}

// wrongMode returns the error for a response in another mode than the provider's.
func wrongMode(provider, mode string) *Error {
	method, allow := http.MethodGet, http.MethodPost
	if mode == "form_post" {
		method, allow = allow, method
	}
	return &Error{Code: ErrMethodNotAllowed, ID: "response.mode", Op: "read response", Provider: provider, allow: allow,
		Reason: "the response arrived as " + method + ", which is not the provider's response mode", Fix: `set Provider.ResponseMode to the mode that the provider uses: "query" or "form_post"`}
}

// parseResponse reads the parameters of a response and rejects ambiguous ones. RFC 6749, 3.1:
// "Request and response parameters MUST NOT be included more than once."
func parseResponse(r *http.Request) (url.Values, error) {
	params, err := readParams(r, rp.ResponseParams[:]...)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost && r.URL.RawQuery != "" {
		return nil, &Error{Code: ErrBadRequest, ID: "response.form_and_query", Reason: "the response has both form and query parameters",
			Fix: "have the provider use one of the two; if it sends no query, check the registered redirect URI for a query"}
	}
	if err := rp.CheckParams(params); err != nil {
		return nil, fromRP(err)
	}
	if len(params.Get("state")) > stateLimit {
		return nil, &Error{Code: ErrBadRequest, ID: "state.too_long", Reason: "the state parameter is too long",
			Fix: "start the sign-in at /login"}
	}
	return params, nil
}

// alreadySignedIn handles the back button, a reload and a second tab: a signed-in user is
// redirected to the application, and the well-formed response without a login state is
// ignored.
func (a *Auth) alreadySignedIn(c *gin.Context, g *registry, response url.Values, err error) bool {
	if !errors.Is(err, ErrStateInvalid) || len(response.Get("state")) != stateLength || response.Get("error") != "" {
		return false
	}
	s, _ := g.sessions.load(c.Writer, c.Request, a.cfg.Now())
	return s != nil
}

// linkedTo returns the user that asked to link an account, identified again by the request of
// the callback, or nil if this sign-in links none.
func (a *Auth) linkedTo(c *gin.Context, g *registry, state *loginState) (*User, error) {
	if state.linkingOf == "" {
		return nil, nil
	}
	user, of, _, err := a.linkingUser(c, g)
	if err != nil {
		return nil, err
	}
	if of != state.linkingOf {
		return nil, stateInvalid("login.link_session_ended", "the user who asked to link an account is no longer signed in", "sign in and link again; a credential that identifies the user must be sent by the browser automatically")
	}
	return user, nil
}

// checkNotCancelled fails if the browser has disconnected.
func checkNotCancelled(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &Error{Code: ErrSessionError, ID: "request.cancelled", Op: "sign in", Reason: "the browser closed the connection", Fix: "ignore this: the user closed the tab and can start again", Err: context.Cause(ctx)}
}

// beginSession starts the session of a sign-in. With Login.NoSession it leaves the browser's
// session unchanged, and the returned session has no id and is not stored.
func (a *Auth) beginSession(c *gin.Context, g *registry, cl *client, s *session, login *Login) (*session, error) {
	if login.NoSession {
		return s, g.sessions.checkTakenBack(c.Request.Context(), *s)
	}
	s, err := g.sessions.start(c.Writer, c.Request, s, login.Limits)
	if err != nil {
		return nil, err
	}
	a.keepIDToken(c, g, cl, s, login.Token)
	a.loops.add(c.Writer, c.Request) // without a session, no cookie can be missing
	return s, nil
}

// newSession returns the session of a verified user with the data of the ID token. told
// reports whether AuthTime is the provider's.
func newSession(user *User, id *rp.Identity, told bool) *session {
	return &session{user: user.clone(), issued: id.IssuedAt, sid: id.SID, until: id.SessionExpiry, authTime: told}
}

// afterLogin returns the URL that the browser goes to next. /login validated the return path;
// a path set by OnLogin is validated here.
func (c *config) afterLogin(state *loginState, login *Login) string {
	if login.ReturnTo == state.returnTo {
		return state.returnTo
	}
	return c.orDefault(login.ReturnTo, c.AfterLogin)
}
