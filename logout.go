package ginauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/weburl"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	logoutWait     = 2 * time.Second // for a provider's metadata: signing out does not wait for a provider
	logoutLife     = 10 * time.Minute
	logoutVersion  = 1
	logoutTokenAge = 5 * time.Minute // a logout token older than that is a replay
)

// logoutEvent is the member of events that makes a JWT a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// confirmLogout answers GET /logout with a button: a GET, which any page can
// cause, signs nobody out.
func (a *Auth) confirmLogout(c *gin.Context) error {
	returnTo := a.cfg.orDefault(c.Query("return_to"), "")
	s, err := a.sessions.load(c.Writer, c.Request, a.cfg.Now())
	if s == nil && err == nil {
		a.writePage(c, http.StatusOK, a.signedOutPage(c.Request, returnTo), "")
		return nil
	}
	formTo := ""
	if s != nil { // the form's redirect may go on to the provider, which CSP must admit
		formTo = weburl.OriginOf(a.clients[s.user.Provider].endSessionURL(c.Request.Context(), "", "", ""))
	}
	a.writePage(c, http.StatusOK, a.signOutPage(c.Request, returnTo), formTo)
	return nil
}

// logout answers POST /logout: it ends the session here, and then sends the
// browser to the provider, to sign out there too.
func (a *Auth) logout(c *gin.Context) error {
	if a.cfg.isCrossOrigin(c.Request) {
		return &Error{Code: ErrCrossOrigin, Op: "sign out", Reason: "a request to sign out came from another origin", Fix: "send a POST to /logout with a form of your own page"}
	}
	params, _ := readParams(c.Request) // a form that cannot be read signs out all the same
	returnTo := a.cfg.orDefault(params.Get("return_to"), a.cfg.AfterLogout)
	s, err := a.signOut(c, byUser)
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
func (a *Auth) signOut(c *gin.Context, by string) (*session, error) {
	if c.Writer.Written() {
		return nil, &Error{Code: ErrSessionError, Op: "sign out", Reason: "the answer is written already", Fix: "call Logout before writing"}
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
func (a *Auth) logSignOut(c *gin.Context, s *session, by string) {
	a.logEvent(c, slog.LevelInfo, "ginauth: signed out", Event{Name: signedOut, By: by}, s)
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

// endSessionURL is where a browser signs out at the provider (OpenID Connect
// RP-Initiated Logout 1.0, section 2), or "" where there is nothing to go to.
// The provider may be down: what is not known in a moment is not waited for.
func (c *client) endSessionURL(ctx context.Context, hint, state, returnURI string) string {
	p := &c.provider
	if p.Logout.Local {
		return ""
	}
	if p.Logout.URL != "" {
		return strings.NewReplacer("{client_id}", url.QueryEscape(p.ClientID), "{state}", url.QueryEscape(state),
			"{post_logout_redirect_uri}", url.QueryEscape(returnURI)).Replace(p.Logout.URL)
	}
	ctx, cancel := context.WithTimeout(ctx, logoutWait)
	defer cancel()
	m, err := c.metadata(ctx)
	if err != nil || m.endSession == "" {
		return ""
	}
	u, err := url.Parse(m.endSession)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("client_id", p.ClientID)
	q.Set("post_logout_redirect_uri", returnURI)
	q.Set("state", state)
	if hint != "" {
		q.Set("id_token_hint", hint)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// ending is what a logout token says: which sessions end, and when it was made.
type ending struct {
	keys []RevocationKey
	at   time.Time
	user *User // of whom only Issuer and Subject are known, and no Subject if the token has no sub
}

// logoutToken verifies a logout token and says what it ends: OpenID Connect
// Back-Channel Logout 1.0, section 2.6.
func (c *client) logoutToken(ctx context.Context, raw string) (end ending, err error) {
	refuse := func(reason string, err error) error {
		return &Error{Code: ErrLogoutTokenInvalid, Op: "verify logout token", Provider: c.provider.Name, Reason: reason, Err: err}
	}
	m, err := c.metadata(ctx)
	if err != nil {
		return end, err
	}
	if m.keys == nil {
		return end, refuse("a plain OAuth 2.0 provider sends no logout tokens", nil)
	}
	// The standard recommends typ logout+jwt; Keycloak and others say JWT. An
	// ID token cannot pass either way: it has a nonce and no events.
	claims, _, err := c.openJWT(ctx, m, raw, jwtKind{typs: []string{"logout+jwt", "JWT"}})
	if err == nil {
		err = c.checkIssuer(claims)
	}
	if err == nil {
		end.at, err = checkLogoutClaims(claims, c.cfg.Now())
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return end, e.about("verify logout token", c.provider.Name)
	}
	if err != nil {
		return end, refuse(inWords(err))
	}
	issuer := c.namespace(claims)
	sid, hasSID := claims["sid"].(string)
	sub, _ := claims["sub"].(string)
	end.user = &User{Issuer: issuer, Subject: sub}
	if hasSID { // the session of that sid, and those that never had one: of sub "", which nobody has, there are none
		end.keys = []RevocationKey{revocationKey(providerSession, issuer, sid), revocationKey(providerNoSession, issuer, sub)}
	} else {
		end.keys = []RevocationKey{revocationKey(providerUser, issuer, sub)}
	}
	return end, nil
}

// checkLogoutClaims: 2.4 and 2.6. A jti is required and not remembered: a
// second time the token raises the same watermark to the same height.
func checkLogoutClaims(claims map[string]any, now time.Time) (at time.Time, err error) {
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return at, errors.New("the token is no logout token: events lacks its member")
	}
	if _, there := claims["nonce"]; there {
		return at, errors.New("the token has a nonce: it may be an ID token")
	}
	if jti, _ := claims["jti"].(string); jti == "" {
		return at, errors.New("jti is missing")
	}
	for _, name := range []string{"sub", "sid"} {
		if v, there := claims[name]; there {
			if s, _ := v.(string); s == "" {
				return at, errors.New(name + " is no text")
			}
		}
	}
	if claims["sub"] == nil && claims["sid"] == nil {
		return at, errors.New("the token has neither sub nor sid")
	}
	at, _ = strictjson.NumericDate(claims["iat"]) // the year 1 if it is none
	if at.After(now.Add(leeway)) || now.Sub(at) > logoutTokenAge {
		return at, errors.New("iat is missing, ahead of this machine's clock, or older than 5 minutes")
	}
	if _, ok := strictjson.NumericDate(claims["exp"]); !ok {
		return at, errors.New("exp is no date")
	}
	return at, nil
}
