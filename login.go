package ginauth

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/weburl"
)

const (
	passedLimit = 256       // bytes of a parameter that is passed on
	movedMark   = "moved=1" // says that a visit was put on BaseURL's host before
)

// choose shows the providers, or goes straight to the only one.
func (a *Auth) choose(c *gin.Context) error {
	if a.cfg.LoginPage != "" {
		redirect(c, withReturn(a.loginPath(), a.cfg.orDefault(c.Query("return_to"), "")))
		return nil
	}
	if len(a.order) == 1 {
		location := a.cfg.prefix + a.cfg.mount + "/login/" + a.order[0]
		if c.Request.URL.RawQuery != "" {
			location += "?" + c.Request.URL.RawQuery
		}
		redirect(c, location)
		return nil
	}
	a.page(c, http.StatusOK, a.chooser(c.Request, a.cfg.orDefault(c.Query("return_to"), "")), "")
	return nil
}

// begin starts a sign-in: an attempt in a cookie, and off to the provider.
func (a *Auth) begin(c *gin.Context) error {
	cl, err := a.client(c)
	if err != nil {
		return err
	}
	if isPrefetch(c.Request) {
		c.Status(http.StatusNoContent)
		return nil
	}
	if err := onlyNavigation(c.Request); err != nil {
		return err
	}
	a.mindScheme(c.Request)
	if home, moved := a.cfg.homeHost(c.Request); moved {
		redirect(c, home)
		return nil
	}
	params, err := readParams(c.Request)
	if err != nil {
		return asError(err, ErrBadRequest).about("begin sign-in", cl.provider.Name)
	}
	at := a.attempts.begin(c.Request, cl.provider.Name)
	at.returnTo = a.cfg.orDefault(params.Get("return_to"), a.cfg.AfterLogin)
	if err := a.looping(c.Writer, c.Request, at); err != nil {
		return err
	}
	if err := cl.thirdParty(params, at); err != nil {
		return err
	}
	passed, err := cl.pass(params, at)
	if err != nil {
		return err
	}
	if at.linkingOf, err = a.linking(c.Writer, c.Request, params); err != nil {
		return err
	}
	meta, err := cl.metadata(c.Request.Context())
	if err != nil {
		return err
	}
	at.print = meta.print
	location, err := cl.authorizeURL(meta, at, passed)
	if err != nil {
		return err
	}
	if err := a.attempts.save(c.Writer, c.Request, at); err != nil {
		return err
	}
	a.note(c, slog.LevelDebug, "ginauth: sign-in started", Event{Name: signInStarted, Provider: cl.provider.Name}, nil)
	redirect(c, location)
	return nil
}

// onlyNavigation refuses sign-ins that nobody asked for: an image, a frame or
// a fetch on some page must not start one (CVE-2015-9284).
func onlyNavigation(r *http.Request) error {
	switch dest := r.Header.Get("Sec-Fetch-Dest"); dest {
	case "", "document":
		return nil
	default:
		return &Error{Code: ErrCrossOrigin, Op: "begin sign-in", Reason: fmt.Sprintf("a sign-in was started by %q, not by opening a page", printable.Clip(dest)),
			Fix: "navigate to the login address; behind fetch, let the page do it"}
	}
}

// homeHost says where a visit belongs that came to another loopback name than
// BaseURL's: the attempt's cookie would stay behind on the wrong one. Without
// https BaseURL is a loopback name itself.
func (c *config) homeHost(r *http.Request) (location string, moved bool) {
	if c.secure || r.Method != http.MethodGet {
		return "", false
	}
	if !otherLoopback(r.Host, strings.TrimPrefix(c.origin, "http://")) {
		return "", false
	}
	// Once: a proxy that writes another Host would bring the visit back here.
	if strings.Contains(r.URL.RawQuery, movedMark) {
		return "", false
	}
	query := movedMark
	if r.URL.RawQuery != "" {
		query = r.URL.RawQuery + "&" + query
	}
	return c.url(r.URL.EscapedPath()) + "?" + query, true
}

// otherLoopback says whether a host is another loopback name than home, with
// the same port: another port is another server, or a forwarded one.
func otherLoopback(host, home string) bool {
	here, there := &url.URL{Host: host}, &url.URL{Host: home}
	return !strings.EqualFold(host, home) && weburl.IsLoopback(here.Hostname()) && weburl.IsLoopback(there.Hostname()) && here.Port() == there.Port()
}

// thirdParty reads what another site sends along when it begins a sign-in
// (OpenID Connect Core, section 4): an iss, which must be the provider's, and
// where to go afterwards, which must be here.
func (c *client) thirdParty(params url.Values, a *attempt) error {
	iss, there := params["iss"]
	if !there {
		return nil
	}
	if len(iss) > 1 || iss[0] != c.provider.Issuer || iss[0] == "" {
		return &Error{Code: ErrBadRequest, Op: "begin sign-in", Provider: c.provider.Name, Reason: fmt.Sprintf("iss is %q, not this provider's issuer", printable.Clip(iss[0])),
			Fix: "send the sign-in to the provider with that issuer"}
	}
	if target, ok := strings.CutPrefix(params.Get("target_link_uri"), c.cfg.origin+c.cfg.prefix); ok {
		a.returnTo = c.cfg.orDefault(target, a.returnTo)
	}
	return nil
}

// pass picks the parameters that the provider lets a request pass on, and
// remembers in the attempt what the ID token must answer to.
func (c *client) pass(params url.Values, a *attempt) (map[string]string, error) {
	var passed map[string]string
	names := c.provider.LoginParams
	if params.Has("iss") && !slices.Contains(names, "login_hint") { // third-party-initiated
		names = append(slices.Clone(names), "login_hint")
	}
	for _, name := range names {
		values, there := params[name]
		if !there {
			continue
		}
		v := values[0]
		if len(values) > 1 || len(v) > passedLimit || strings.ContainsFunc(v, unicode.IsControl) {
			return nil, &Error{Code: ErrBadRequest, Op: "begin sign-in", Provider: c.provider.Name,
				Reason: fmt.Sprintf("the parameter %q is there twice, longer than %d bytes, or has control characters", name, passedLimit)}
		}
		if passed == nil {
			passed = map[string]string{}
		}
		passed[name] = v
	}
	a.acr, _ = c.asks("acr_values", passed)
	if v, there := c.asks("max_age", passed); there {
		var ok bool
		if a.maxAge, ok = seconds(v); !ok {
			return nil, &Error{Code: ErrBadRequest, Op: "begin sign-in", Provider: c.provider.Name, Reason: "max_age is not a number of seconds"}
		}
	}
	return passed, nil
}

// asks returns what an authorization request asks for.
func (c *client) asks(name string, passed map[string]string) (value string, there bool) {
	if value, there = passed[name]; !there {
		value, there = c.provider.AuthParams[name]
	}
	return value, there
}

// seconds reads a max_age.
func seconds(text string) (n int, ok bool) {
	v, err := strconv.ParseUint(text, 10, 31)
	return int(v), err == nil
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

// mindScheme warns, once in the life of a process, that a sign-in begins over
// another scheme than BaseURL's. Once, since anybody can send the header.
func (a *Auth) mindScheme(r *http.Request) {
	came := schemeOf(r)
	if came == unsaid || (came == overHTTPS) == a.cfg.secure || !a.minded.CompareAndSwap(false, true) {
		return
	}
	if came == overHTTPS {
		a.cfg.Logger.Warn("ginauth: a sign-in began over https, but BaseURL is http: providers will be asked to send people back to http, and most refuse that;"+
			" set Options.BaseURL to the https address that browsers use", "base_url", a.cfg.BaseURL)
		return
	}
	a.cfg.Logger.Warn("ginauth: a sign-in began over http, as the proxy in front says, but BaseURL is https: a browser keeps no Secure cookie from http, and the sign-in will end with state_invalid;"+
		" have the proxy send people to https, or, if it does, have it write X-Forwarded-Proto as the browser asked", "base_url", a.cfg.BaseURL)
}

// A browser that signs in so often within so short a time, and still has no
// session, is sent round and round by machines. A round is five redirects and
// those inside the provider, and browsers give up after 20, some after 16: a
// third round would end on their error page, which says nothing.
const (
	loopMost   = 2
	loopWindow = 10 * time.Second
)

// loops counts the sign-ins of a browser in a cookie of its own, which says how
// many there were and when the first one was. Whoever forges it is shown a page
// that explains a loop, or is not.
type loops struct {
	jar    cookie.Jar
	cookie string
	now    func() time.Time
}

// count returns how many sign-ins the window has so far, and when it began.
func (k *loops) count(r *http.Request) (n int, since time.Time) {
	now := k.now()
	for _, value := range cookie.Values(r.Header, k.cookie, 1) {
		count, began, _ := strings.Cut(value, ".")
		n, _ := strconv.Atoi(count)
		ms, _ := strconv.ParseInt(began, 10, 64)
		at := time.UnixMilli(ms)
		if !at.After(now) && now.Sub(at) < loopWindow {
			return n, at
		}
	}
	return 0, now
}

// add counts a sign-in.
func (k *loops) add(w http.ResponseWriter, r *http.Request) {
	n, since := k.count(r)
	k.jar.Set(w.Header(), k.cookie, strconv.Itoa(n+1)+"."+strconv.FormatInt(since.UnixMilli(), 10), loopWindow)
}

// reset forgets the sign-ins of a browser that signs out: it had a session.
func (k *loops) reset(w http.ResponseWriter, r *http.Request) {
	if len(cookie.Values(r.Header, k.cookie, 1)) > 0 {
		k.jar.Expire(w.Header(), k.cookie)
	}
}

// looping refuses a sign-in of a browser that had enough of them and has no
// session to show for it, and says why the session does not come back. A
// session that was revoked does come back: that is no loop.
func (a *Auth) looping(w http.ResponseWriter, r *http.Request, at *attempt) error {
	n, _ := a.loops.count(r)
	if n < loopMost {
		return nil
	}
	if s, err := a.sessions.open(w, r, a.cfg.Now()); s != nil || err != nil {
		return nil // what is wrong with the store, the sign-in itself will say
	}
	e := &Error{Code: ErrLoginLoop, Op: "begin sign-in", Provider: at.provider, retry: a.LoginURL(at.provider, at.returnTo)}
	ids, some := a.sessions.home.ids(w, r)
	why := ""
	switch {
	case len(ids) > 0:
		why, e.Fix = "its session cookie opens, but the session is not there or over", "give every replica the same session store, and clocks that agree"
	case some:
		why = "its session cookie does not open, or came without the other one that belongs to it"
		e.Fix = "give every replica the same Options.Keys and Options.BaseURL; if they have, look in the browser's developer tools for a cookie that is refused"
	default:
		why = "it sends other cookies of ours, but never the one of the session"
		e.Fix = "look at the answer of /authorize in the browser's developer tools: they say why a cookie is refused; a proxy that cuts long header lines, or keeps one Set-Cookie line of several, does it too"
	}
	e.Reason = fmt.Sprintf("this browser signed in %d times within %d seconds, and is sent to sign in again: %s", n, loopWindow/time.Second, why)
	return e
}

// lastLife is how long a browser remembers the provider it was used with.
const lastLife = 365 * 24 * time.Hour

// lastUsed remembers, in a cookie of its own, which provider a browser signed
// in with. It is a hint for the chooser: not sealed, and never trusted.
type lastUsed struct {
	jar     cookie.Jar
	cookie  string
	clients map[string]*client
}

// name returns the provider of the last time, or "".
func (k *lastUsed) name(r *http.Request) string {
	for _, value := range cookie.Values(r.Header, k.cookie, 1) {
		if k.clients[value] != nil {
			return value
		}
	}
	return ""
}

// remember is of use where there is something to choose.
func (k *lastUsed) remember(w http.ResponseWriter, r *http.Request, provider string) {
	if len(k.clients) > 1 && k.name(r) != provider {
		k.jar.Set(w.Header(), k.cookie, provider, lastLife)
	}
}
