package ginauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/strictjson"
)

const stateLimit = 512 // bytes

// callback takes the provider's answer: the steps of design and standard, in
// the order that lets nothing wrong reach the network.
func (a *Auth) callback(c *gin.Context) error {
	cl, err := a.client(c)
	if err != nil {
		return err
	}
	if isPrefetch(c.Request) {
		c.Status(http.StatusNoContent)
		return nil
	}
	params, onward, err := a.readCallback(c.Writer, c.Request, cl)
	if err != nil {
		return err
	}
	if onward != "" {
		redirect(c, onward)
		return nil
	}
	at, err := a.attempts.take(c.Writer, c.Request, cl.provider.Name, params.Get("state"))
	if a.late(c.Writer, c.Request, params, err) {
		a.goTo(c, a.cfg.AfterLogin)
		return nil
	}
	var got arrival
	if err == nil {
		got, err = a.finish(c.Writer, c.Request, cl, at, params, func(l *Login) error { return a.admit(c, l) })
	}
	if err != nil {
		if failed := a.undo(c); failed != nil { // OnLogin may have called SignIn
			err = failed
		}
		if at != nil {
			a.attempts.setFailed(c.Writer, at)
		}
		e := asError(err, ErrSessionError).about("sign in", cl.provider.Name)
		e.retry, e.user, e.took = a.LoginURL(cl.provider.Name, at.wanted()), got.user.hash(), got.took
		return e
	}
	a.loops.add(c.Writer, c.Request)
	a.last.remember(c.Writer, c.Request, cl.provider.Name)
	a.note(c, slog.LevelInfo, "ginauth: signed in", Event{Name: signInSucceeded, Duration: got.took}, got.session)
	a.goTo(c, got.returnTo)
	return nil
}

// readAnswer reads a provider's answer: readParams, and nothing that two
// programs could read in two ways. RFC 6749 3.1: "Request and response
// parameters MUST NOT be included more than once."
func readAnswer(r *http.Request) (url.Values, error) {
	params, err := readParams(r)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost && r.URL.RawQuery != "" {
		return nil, &Error{Code: ErrBadRequest, Reason: "the answer came in the form and in the address"}
	}
	for name, values := range params {
		for _, known := range []string{"state", "code", "iss", "error"} {
			if name == known && len(values) > 1 {
				return nil, &Error{Code: ErrBadRequest, Reason: fmt.Sprintf("the parameter %q is there twice", known)}
			}
			if name != known && (strings.EqualFold(name, known) || strings.HasPrefix(strings.ToLower(name), known+"[")) {
				return nil, &Error{Code: ErrBadRequest, Reason: fmt.Sprintf("a parameter is almost called %q", known)}
			}
		}
	}
	if len(params.Get("state")) > stateLimit {
		return nil, &Error{Code: ErrBadRequest, Reason: "the state is longer than any of ours"}
	}
	return params, nil
}

func (c *client) wrongMode(method, allow string) *Error {
	return &Error{Code: ErrMethodNotAllowed, Op: "read answer", Provider: c.provider.Name, allow: allow,
		Reason: "the answer came as " + method + ", which is not this provider's response mode", Fix: `set Provider.ResponseMode to what the provider uses: "query" or "form_post"`}
}

// readCallback reads the provider's answer where its response mode puts it,
// and only there. A form is carried over to a GET first: onward is its address.
func (a *Auth) readCallback(w http.ResponseWriter, r *http.Request, cl *client) (params url.Values, onward string, err error) {
	form := cl.provider.ResponseMode == "form_post"
	if r.Method == http.MethodPost && !form {
		return nil, "", cl.wrongMode(r.Method, http.MethodGet)
	}
	if r.Method == http.MethodGet && form {
		state, carried := r.URL.Query()["carried"]
		if !carried {
			return nil, "", cl.wrongMode(r.Method, http.MethodPost)
		}
		params, ok := a.carrier.take(w.Header(), r.Header, state[0])
		if !ok {
			params = url.Values{"state": state} // the attempt's diagnosis says more
		}
		return params, "", nil
	}
	if params, err = readAnswer(r); err != nil {
		return nil, "", asError(err, ErrBadRequest).about("read answer", cl.provider.Name)
	}
	if !form {
		return params, "", nil
	}
	onward = a.cfg.url(a.cfg.mount+"/authorize/"+cl.provider.Name) + "?carried=" + url.QueryEscape(params.Get("state")) + "#"
	return nil, onward, a.carrier.put(w.Header(), params)
}

// late forgives the back button, a reload and a second tab: who is signed in
// already goes home, and the answer is not looked at.
func (a *Auth) late(w http.ResponseWriter, r *http.Request, params url.Values, why error) bool {
	if !errors.Is(why, ErrStateInvalid) || len(params.Get("state")) != stateLength || params.Get("error") != "" {
		return false
	}
	s, _ := a.sessions.load(w, r, a.cfg.Now())
	return s != nil
}

// arrival is what a provider's answer came to. Of one that failed, it is as far
// as it came.
type arrival struct {
	took     time.Duration // of it the provider
	user     User          // of whom only Issuer and Subject are known
	session  *session
	returnTo string
}

// finish checks the answer, redeems the code, asks admit, and signs the person
// in.
func (a *Auth) finish(w http.ResponseWriter, r *http.Request, cl *client, at *attempt, params url.Values, admit func(*Login) error) (got arrival, err error) {
	ctx := r.Context()
	began := a.cfg.Now()
	if err := cl.checkAnswer(ctx, params); err != nil {
		return got, err
	}
	claims, token, err := cl.redeem(ctx, at, params.Get("code"), params)
	got.took = max(0, a.cfg.Now().Sub(began))
	if err != nil {
		return got, err
	}
	login := &Login{Token: token, ReturnTo: at.returnTo}
	if login.User, err = newUser(cl, claims, a.cfg.Now(), a.cfg.loopback); err != nil {
		return got, err
	}
	got.user = User{Issuer: login.User.Issuer, Subject: login.User.Subject} // whatever OnLogin makes of it
	if at.linkingOf != "" {
		if login.Previous, err = a.linkedTo(w, r, at.linkingOf); err != nil {
			return got, err
		}
	}
	if err := admit(login); err != nil {
		return got, err
	}
	if ctx.Err() != nil { // who hung up gets no session
		return got, &Error{Code: ErrSessionError, Op: "sign in", Reason: "the browser went away", Err: context.Cause(ctx)}
	}
	s := &session{user: login.User.clone(), issued: issuedAt(claims), sid: text(claims, "sid")}
	if cl.provider.Issuer != "" {
		s.until, _ = strictjson.NumericDate(claims["session_expiry"])
	}
	if cl.provider.Logout.IDTokenHint {
		s.hint, _ = token.Extra("id_token").(string)
	}
	if got.returnTo = at.returnTo; login.ReturnTo != at.returnTo { // which /login admitted, or AfterLogin
		got.returnTo = a.cfg.orDefault(login.ReturnTo, a.cfg.AfterLogin)
	}
	got.session, err = a.sessions.begin(w, r, s)
	return got, err
}

// issuedAt is the ID token's iat; zero where there is none.
func issuedAt(claims map[string]any) time.Time {
	at, _ := strictjson.NumericDate(claims["iat"])
	return at
}

// linkedTo returns who asked to link, if they are still signed in.
func (a *Auth) linkedTo(w http.ResponseWriter, r *http.Request, id string) (*User, error) {
	s, err := a.sessions.load(w, r, a.cfg.Now())
	if err != nil {
		return nil, err
	}
	if s == nil || s.id != id {
		return nil, stateInvalid("the session that asked to link an account has ended meanwhile", "sign in and link again")
	}
	return s.user.clone(), nil
}

// admit asks OnLogin, and holds it to what it may change.
func (a *Auth) admit(c *gin.Context, login *Login) error {
	hook := a.cfg.Hooks.OnLogin
	if hook == nil {
		return nil
	}
	login.User.writable()
	verified := *login.User
	if err := hook(c, login); err != nil {
		e := asError(err, ErrIdentityRejected)
		return e.about("OnLogin", verified.Provider)
	}
	if c.Writer.Written() || login.User == nil {
		return &Error{Code: ErrSessionError, Op: "OnLogin", Provider: verified.Provider, Reason: "OnLogin answered the request itself, or dropped the user: nobody is signed in",
			Fix: "return an error to refuse, and set login.ReturnTo to go elsewhere"}
	}
	login.User.sameAs(&verified)
	return nil
}

// undo ends a session that SignIn began in this request.
func (a *Auth) undo(c *gin.Context) error {
	v := a.visited(c)
	if v == nil || !v.begun {
		return nil
	}
	a.forget(c)
	return a.sessions.end(c.Writer, c.Request, v.session())
}
