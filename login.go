package ginauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// nobody is what a guard says of a request without a session. One that stands
// in front of the page to sign in on would send people there for ever.
func (a *Auth) nobody(r *http.Request) *Error {
	if page, err := url.Parse(a.cfg.LoginPage); err == nil && a.cfg.LoginPage != "" && r.URL.Path == page.Path {
		return &Error{Code: ErrSessionError, Op: "guard", Reason: "RequireAuth stands in front of Options.LoginPage itself, so nobody can get there to sign in",
			Fix: "take RequireAuth off that route, or register it outside the guarded group"}
	}
	return &Error{Code: ErrUnauthenticated, Op: "guard"}
}

// linking returns the id of the session that asks to link another account. It
// takes a POST that a page of ours sent: an attacker's page cannot.
func (a *Auth) linking(w http.ResponseWriter, r *http.Request, params url.Values) (string, error) {
	if r.Method != http.MethodPost || params.Get("link") != "true" {
		return "", nil
	}
	proof := r.Header.Get("Sec-Fetch-Site") == "same-origin" || r.Header.Get("Origin") == a.cfg.origin
	if !proof {
		return "", &Error{Code: ErrCrossOrigin, Op: "link account", Reason: "the request to link an account did not come from a page of this origin",
			Fix: "send link=true with a form of your own page"}
	}
	s, err := a.sessions.load(w, r, a.cfg.Now())
	if err != nil {
		return "", err
	}
	if s == nil {
		return "", &Error{Code: ErrUnauthenticated, Op: "link account", Reason: "nobody is signed in to link to"}
	}
	return s.id, nil
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

func (c *client) wrongMode(method, allow string) *Error {
	return &Error{Code: ErrMethodNotAllowed, Op: "read answer", Provider: c.provider.Name, allow: allow,
		Reason: "the answer came as " + method + ", which is not this provider's response mode", Fix: `set Provider.ResponseMode to what the provider uses: "query" or "form_post"`}
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
	s := &session{user: login.User.clone()}
	if cl.provider.Issuer != "" {
		// Of an ID token alone: in the profile of a plain OAuth 2.0 provider these
		// are members like any other, and sid would let a link sign people out.
		s.issued, s.sid = issuedAt(claims), text(claims, "sid")
		s.until, _ = strictjson.NumericDate(claims["session_expiry"])
	}
	if cl.provider.LogoutHint {
		s.hint, _ = token.Extra("id_token").(string)
	}
	if got.returnTo = at.returnTo; login.ReturnTo != at.returnTo { // which /login admitted, or AfterLogin
		got.returnTo = a.cfg.orDefault(login.ReturnTo, a.cfg.AfterLogin)
	}
	got.session, err = a.sessions.begin(w, r, s)
	return got, err
}
