package ginauth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/rp"
)

// startDataLimit is the maximum size of the names and values of Start.Data in bytes. A login
// state of that size takes about 1.7 KB, so that a browser has room for three.
const startDataLimit = 1 << 10

// Start describes a sign-in for [Auth.BeginLogin].
type Start struct {
	// Provider is the Name of the provider. It may be "" if there is only one. For a provider
	// with a LoginPage only ReturnTo may be set; other fields are [ErrBadRequest].
	Provider string

	// ReturnTo is the path of the application to go to afterwards. Default, also for an
	// invalid path: [Options.AfterLogin].
	ReturnTo string

	// Params are additional parameters of the authorization request: login_hint, prompt,
	// max_age, …, not limited by [Provider.LoginParams]. The protocol's own parameters and the
	// names in [Provider.AuthParams] are [ErrBadRequest]. max_age and acr_values are checked
	// in the ID token; without [Provider.Issuer] they are ErrBadRequest.
	Params map[string]string

	// Data is passed to [Hooks.OnLogin] as [Login.Data]: an invitation, a plan, a tenant. It
	// is sealed: the browser can neither read nor change it. Names and values may have any
	// bytes, at most 1 KB in total.
	Data map[string]string

	// Link asks to link the new account to the current user: see [Login.Previous]. The request
	// must be a POST from a page of this origin and must not have an access token. The
	// callback must find the same session, or [Hooks.Authenticate] must identify the same user
	// there.
	Link bool
}

// BeginLogin starts a sign-in from a handler: it sets the login cookie and returns the URL to
// redirect to, with 303. Call it before the response is written.
//
// OnLogin can rely on the origin of start.Data: a link to /login/NAME cannot set it. It does
// not prove who the user is or what they want, since a link can lead any user to the handler.
// Decide in OnLogin whether the user that signed in is entitled to it. To link accounts, set
// Link rather than an id in Data.
//
// It fails with [ErrUnknownProvider]; with [ErrBadRequest] if start is invalid, for a
// prefetch, or if Link is set and the user was identified by an access token; with
// [ErrCrossOrigin] if an unsafe request comes from another origin, if the request is neither a
// page load nor from a script of this origin or of [Options.TrustedOrigins], or if Link is set
// and the request is not a POST of this origin; with [ErrUnauthenticated] if Link is set and
// no user is signed in; with [ErrLoginLoop] as /login does; with [ErrSessionError] if the
// response is already written or the data does not fit into a cookie; and with provider errors
// if its metadata cannot be fetched. No cookie is set then.
func (a *Auth) BeginLogin(c *gin.Context, start Start) (location string, err error) {
	defer func() { err = during(SignInFailed, err) }()
	if err := a.mayBegin(c); err != nil {
		return "", err
	}
	g := a.registryOf(c)
	cl, err := g.startedAt(start.Provider)
	if err != nil {
		return "", err
	}
	if err := cl.checkStart(start); err != nil {
		return "", err
	}
	if cl.isPage() {
		return cl.pageURL(a.cfg.orDefault(start.ReturnTo, "")), nil
	}
	a.warnAboutScheme(c.Request)
	a.warnAboutPort(c.Request)
	state := a.loginStates.create(c.Request, cl.provider.Name)
	state.returnTo, state.data = a.cfg.orDefault(start.ReturnTo, a.cfg.AfterLogin), start.Data
	if err := a.checkLoop(c, g, state); err != nil {
		return "", err
	}
	if err := cl.expect(state, start.Params); err != nil {
		return "", err
	}
	if start.Link {
		if state.linkingOf, err = a.askToLink(c, g); err != nil {
			return "", err
		}
	}
	keepPrivate(c)
	return a.sendToProvider(c, g, cl, state, start.Params, nil)
}

// mayBegin rejects requests that must not begin a sign-in even if a handler calls BeginLogin:
// above all those that the user did not initiate.
func (a *Auth) mayBegin(c *gin.Context) error {
	const op = "begin sign-in"
	r := c.Request
	switch {
	case a.isAsking(c):
		return reentered(op)
	case a.cfg.isCrossOrigin(r):
		return crossOriginError(op)
	case isPrefetch(r):
		return prefetchError(op)
	case c.Writer.Written():
		return a.answerWritten(c, op, "call BeginLogin before writing the response")
	case r.Header.Get("Sec-Fetch-Dest") == "empty" && (a.cfg.isOwnPage(r) || slices.Contains(a.cfg.TrustedOrigins, r.Header.Get("Origin"))):
		return nil // a script of the page, which navigates to the returned URL
	}
	return checkNavigation(r)
}

// startedAt returns the provider of that name, or the only provider if name is empty.
func (g *registry) startedAt(name string) (*client, error) {
	if name == "" && len(g.order) == 1 {
		name = g.order[0]
	}
	return g.provider(name)
}

// checkStart checks the Data and Params of a Start, and whether its provider supports them.
func (c *client) checkStart(start Start) error {
	if c.isPage() && (len(start.Data) > 0 || len(start.Params) > 0 || start.Link) {
		return &Error{Code: ErrBadRequest, ID: "login.start_page", Op: "begin sign-in", Provider: c.provider.Name, Reason: "the provider is a page of the application, to which Start.Data, Start.Params and Start.Link are not passed",
			Fix: "pass them to the page yourself, and link accounts there"}
	}
	size := 0
	for name, value := range start.Data {
		size += len(name) + len(value)
	}
	if size > startDataLimit {
		return &Error{Code: ErrBadRequest, ID: "login.start_data", Op: "begin sign-in", Provider: c.provider.Name, Reason: fmt.Sprintf("Start.Data has %d bytes; the limit is %d", size, startDataLimit),
			Fix: "store the data in the application, and put its id into Start.Data"}
	}
	for _, name := range sortedKeys(start.Params) {
		what := ""
		switch _, configured := c.provider.AuthParams[name]; {
		case rp.ProtocolParam(name) || name == c.provider.Quirks.ClientIDParam:
			what = "which is a protocol parameter"
		case configured: // AuthParams take precedence, as they do over LoginParams
			what = "which is also in Provider.AuthParams"
		case c.provider.Issuer == "" && slices.Contains(unverifiable, name):
			what = "which cannot be verified without an Issuer, because there is no ID token"
		case name == "":
			what = "which is not a parameter name"
		case strings.ContainsFunc(start.Params[name], unicode.IsControl):
			what = "whose value has control characters"
		default:
			continue
		}
		return &Error{Code: ErrBadRequest, ID: "login.start_params", Op: "begin sign-in", Provider: c.provider.Name, Reason: fmt.Sprintf("Start.Params has %q, %s", printable.Clip(name), what),
			Fix: "remove the parameter, or correct its value"}
	}
	return nil
}

// askToLink returns the key of the user who asks to link another account, for the login state.
// Only a POST from a page of this origin is accepted: an attacker's page could otherwise link
// the attacker's account to the user's.
func (a *Auth) askToLink(c *gin.Context, g *registry) (of string, err error) {
	r := c.Request
	site := r.Header.Get("Sec-Fetch-Site")
	own := site == "same-origin" || site == "" && r.Header.Get("Origin") == a.cfg.origin
	if r.Method != http.MethodPost || !own {
		return "", &Error{Code: ErrCrossOrigin, ID: "login.link_cross_origin", Op: "link account", Reason: "the request to link an account was not a same-origin POST",
			Fix: "submit a form from a page of the application"}
	}
	user, of, identified, err := a.linkingUser(c, g)
	switch {
	case err != nil:
	case identified && isHandedOnByFirefox(r.Header):
		// A SameSite session cookie would prove that the form is from this site; the credential
		// of Hooks.Authenticate does not.
		err = &Error{Code: ErrCrossOrigin, ID: "login.link_worker", Op: "link account", Reason: "the origin of the form to link an account is unknown: Firefox omits it behind a service worker",
			Fix: `let the browser handle navigations in the service worker: if (e.request.mode === "navigate") return`}
	case user == nil:
		err = &Error{Code: ErrUnauthenticated, ID: "login.link_unauthenticated", Op: "link account", Reason: "no user is signed in to link the account to",
			Fix: "show the form to signed-in users only; the session may have ended in the meantime"}
	}
	return of, err
}

// linkingUser returns the user of a request that links another account, and a unique key of
// that user: the session id or, if Hooks.Authenticate identified the user, a hash of Issuer and
// Subject, which is never a session id.
func (a *Auth) linkingUser(c *gin.Context, g *registry) (user *User, of string, identified bool, err error) {
	if g.takesTokens() && g.hasToken(c.Request) { // linking would turn the token into a session, regardless of its scopes
		return nil, "", false, noSession("link account")
	}
	v, err := a.identifiedBy(c, "link account")
	if err != nil {
		return nil, "", false, err
	}
	if v != nil && v.opened.user.Grant != nil {
		return nil, "", false, noSession("link account")
	}
	if v != nil {
		u := v.opened.user.clone()
		person := revocationKey(0, u.Issuer, u.Subject)
		return u, "user " + string(person[:]), true, nil
	}
	s, err := g.sessions.load(c.Writer, c.Request, a.cfg.Now())
	if s == nil || err != nil {
		return nil, "", false, err
	}
	return s.user.clone(), s.id, false, nil
}
