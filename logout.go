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

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/seal"
	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	logoutWait     = 2 * time.Second // for a provider's metadata: signing out does not wait for a provider
	logoutLife     = 10 * time.Minute
	logoutTokenAge = 5 * time.Minute // a logout token older than that is a replay
)

// logoutEvent is the member of events that makes a JWT a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

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
	returnTo := a.cfg.orDefault(params.Get("return_to"), a.cfg.AfterLogout)
	s, err := a.leave(c, byUser)
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
func (a *Auth) leave(c *gin.Context, by string) (*session, error) {
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
	for _, name := range a.attempts.all(r) {
		a.attempts.jar.Expire(w.Header(), name)
	}
	a.loops.reset(w, r)
	return a.sessions.leave(w, r)
}

// left tells the log and the application that a session has ended.
func (a *Auth) left(c *gin.Context, s *session, by string) {
	a.note(c, slog.LevelInfo, "ginauth: signed out", Event{Name: signedOut, By: by}, s)
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
	returnTo, _ := a.logouts.take(c.Writer, c.Request, c.Query("state"))
	a.goTo(c, a.cfg.orDefault(returnTo, a.cfg.AfterLogout))
	return nil
}

// logoutReturn is where the providers' own sign-outs come back to.
func (c *config) logoutReturn() string { return c.url(c.mount + "/logout/return") }

// logouts remembers, in the browser, where a sign-out at a provider comes back
// to.
type logouts struct {
	box  *seal.Box
	jar  cookie.Jar
	name string
	now  func() time.Time
}

// save seals the return path together with the state that must come back.
func (k *logouts) save(w http.ResponseWriter, state, returnTo string) {
	b := wire.AppendTime(wire.AppendString(nil, state), k.now())
	k.jar.Set(w.Header(), k.name, k.box.Seal(wire.AppendString(b, returnTo), k.name), logoutLife)
}

// take returns where the sign-out with that state was to come back to.
func (k *logouts) take(w http.ResponseWriter, r *http.Request, state string) (returnTo string, ok bool) {
	for _, value := range cookie.Values(r.Header, k.name, copiesMost) {
		plain, _, err := k.box.Open(value, k.name)
		if err != nil {
			continue
		}
		k.jar.Expire(w.Header(), k.name)
		rd := wire.NewReader(plain)
		sealed, at, path := rd.String(), rd.Time(), rd.String()
		if rd.OK() && k.now().Sub(at) <= logoutLife && subtle.ConstantTimeCompare([]byte(sealed), []byte(state)) == 1 {
			return path, true
		}
	}
	return "", false
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
