package ginauth

import (
	"cmp"
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
	maxAddress  = 8000      // bytes of a URL: servers accept 8 KB of request line
	passedLimit = 256       // bytes of a parameter that is passed on
	movedParam  = "moved=1" // the request was sent to BaseURL's host before
)

// chooseProvider answers /login: it lists the providers, or redirects to the only one.
func (a *Auth) chooseProvider(c *gin.Context, g *registry) error {
	if a.cfg.LoginPage != "" {
		if e := a.checkPageLoop(c, a.ownLoginPage("")); e != nil {
			return e
		}
		redirect(c, withReturn(a.loginPath(), a.cfg.orDefault(c.Query("return_to"), "")))
		return nil
	}
	switch len(g.order) {
	case 0:
		return &Error{Code: ErrUnknownProvider, ID: "provider.not_configured", Op: "begin sign-in", text: "choose.none", Reason: "no provider is configured, so no user can sign in", Fix: "set Options.Providers"}
	case 1:
		location := a.cfg.prefix + a.cfg.mount + "/login/" + g.order[0]
		if c.Request.URL.RawQuery != "" {
			location += "?" + c.Request.URL.RawQuery
		}
		redirect(c, location)
		return nil
	}
	a.writePage(c, http.StatusOK, a.choosePage(c.Request, g, a.cfg.orDefault(c.Query("return_to"), "")), "")
	return nil
}

// startLogin answers /login/:provider: it stores a login state in a cookie and redirects the
// browser to the provider.
func (a *Auth) startLogin(c *gin.Context, g *registry) error {
	cl, err := g.provider(c.Param("provider"))
	if err != nil {
		return err
	}
	if isBoosted(c.Request) {
		return a.answerBoosted(c, cl)
	}
	if err := checkNavigation(c.Request); err != nil {
		return err
	}
	if cl.isPage() {
		return a.openLoginPage(c, cl)
	}
	a.warnAboutScheme(c.Request)
	a.warnAboutPort(c.Request)
	if location, other := a.cfg.atBaseURL(c.Request); other {
		redirect(c, location)
		return nil
	}
	params, err := readParams(c.Request, cl.loginParams...)
	if err != nil {
		return complete(err, Error{Code: ErrBadRequest, ID: "request.unreadable", Op: "begin sign-in", Provider: cl.provider.Name})
	}
	own := a.cfg.isOwnPage(c.Request) && !isHandedOnByFirefox(c.Request.Header)
	if c.Request.Method == http.MethodPost && !own && params.Get("link") != "true" {
		return a.startLoginByGET(c, cl, params)
	}
	state := a.loginStates.create(c.Request, cl.provider.Name)
	state.returnTo = a.cfg.orDefault(requestedReturn(c, params), a.cfg.AfterLogin)
	if err := a.checkLoop(c, g, state); err != nil {
		return err
	}
	if err := cl.readThirdPartyLogin(params, state); err != nil {
		return err
	}
	d, err := a.readDemand(cl, params)
	if err != nil {
		return err
	}
	if d != nil && d.expired { // the tab was open for a long time: the page will ask again
		a.goTo(c, state.returnTo)
		return nil
	}
	if d != nil {
		if err := a.checkDemandLoop(c, state); err != nil {
			return err
		}
	}
	passed, err := cl.readLoginParams(params, state)
	if err != nil {
		return err
	}
	if c.Request.Method == http.MethodPost && params.Get("link") == "true" {
		if state.linkingOf, err = a.askToLink(c, g); err != nil {
			return err
		}
	}
	location, err := a.sendToProvider(c, g, cl, state, passed, d)
	if err != nil {
		return a.offerRetry(err, state, passed)
	}
	redirect(c, location)
	return nil
}

// sendToProvider stores a login state in a cookie and returns the authorization URL, with the
// parameters of the link and the requirements of a check.
func (a *Auth) sendToProvider(c *gin.Context, g *registry, cl *client, state *loginState, passed map[string]string, d *demanded) (location string, err error) {
	var demanded map[string]string
	if d != nil {
		demanded = d.apply(state, cl.provider.AuthParams)
		if err := a.addLoginHint(c, g, cl, d, demanded); err != nil {
			return "", err
		}
	}
	location, err = cl.authorizationURL(c.Request.Context(), state, passed, demanded)
	if err != nil {
		return "", err
	}
	if err := a.loginStates.save(c.Writer, c.Request, state); err != nil {
		return "", err
	}
	a.logEvent(c, slog.LevelDebug, "ginauth: sign-in started", Event{Name: SignInStarted, Provider: cl.provider.Name}, nil)
	return location, nil
}

// answerBoosted answers a sign-in form that HTMX submitted (hx-boost) with the URL of the same
// sign-in as a GET, to which HTMX navigates. To link an account, the browser itself must send
// the POST.
func (a *Auth) answerBoosted(c *gin.Context, cl *client) error {
	params, err := readParams(c.Request, cl.loginParams...)
	if err != nil {
		return complete(err, Error{Code: ErrBadRequest, ID: "request.unreadable", Op: "begin sign-in", Provider: cl.provider.Name})
	}
	if params.Get("link") == "true" {
		return &Error{Code: ErrCrossOrigin, ID: "login.link_boosted", Op: "link account", Reason: "the form to link an account was submitted by HTMX, not by the browser",
			Fix: `set hx-boost="false" on the form`}
	}
	query, err := a.formAsQuery(c, cl, params)
	if err != nil {
		return err
	}
	a.navigate(c, query)
	return nil
}

// formAsQuery returns the query of a GET that begins the same sign-in as a form.
func (a *Auth) formAsQuery(c *gin.Context, cl *client, params url.Values) (string, error) {
	if returnTo := requestedReturn(c, params); returnTo != "" {
		params.Set("return_to", returnTo)
	}
	query := params.Encode()
	if len(a.LoginURL(cl.provider.Name, "")+"?"+query) > maxAddress {
		return "", &Error{Code: ErrBadRequest, ID: "login.form_too_large", Op: "begin sign-in", Provider: cl.provider.Name, status: http.StatusRequestEntityTooLarge,
			Reason: "the form does not fit into a URL of 8 KB", Fix: "send fewer fields, or link to the login URL"}
	}
	return query, nil
}

// isOwnPage reports whether a page of BaseURL's origin, or a program, sent a request. For a
// page of another site the browser may have omitted SameSite=Lax cookies.
func (c *config) isOwnPage(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		return origin == "" || origin == c.origin
	}
	return false
}

// startLoginByGET redirects a form post that may be from another site to a GET with the same
// parameters (OpenID Connect Core, 4, lets other sites start sign-ins by POST). Such a POST
// has no login state cookies, so their limit could not be enforced: a page that posts
// repeatedly would fill the Cookie header until the server in front rejects every request of
// this browser.
func (a *Auth) startLoginByGET(c *gin.Context, cl *client, params url.Values) error {
	query, err := a.formAsQuery(c, cl, params)
	if err != nil {
		return err
	}
	redirect(c, a.LoginURL(cl.provider.Name, "")+"?"+query)
	return nil
}

// checkNavigation rejects sign-ins without a user action: an image, a frame or a fetch of
// another page must not start one (CVE-2015-9284).
func checkNavigation(r *http.Request) error {
	dest, is := navigation(r)
	if is {
		return nil
	}
	return &Error{Code: ErrCrossOrigin, ID: "login.not_navigation", Op: "begin sign-in", Reason: fmt.Sprintf("the sign-in was requested as %q, not as a navigation", dest),
		Fix: "navigate to the login URL; after a fetch, let the page navigate"}
}

// navigation reports whether a request is a page load according to its Sec-Fetch headers, and
// its destination.
func navigation(r *http.Request) (dest string, is bool) {
	dest = r.Header.Get("Sec-Fetch-Dest")
	return printable.Clip(dest), dest == "" || dest == "document" || isNavigation(r.Header)
}

// atBaseURL returns the URL of a request at BaseURL's host if the request came to another
// loopback name, for which the login state cookie would be set.
func (c *config) atBaseURL(r *http.Request) (location string, other bool) {
	if c.secure || r.Method != http.MethodGet {
		return "", false
	}
	if !otherLoopback(r.Host, strings.TrimPrefix(c.origin, "http://")) {
		return "", false
	}
	// Only once: behind a proxy that rewrites Host, the redirected request arrives here again.
	if strings.Contains(r.URL.RawQuery, movedParam) {
		return "", false
	}
	query := movedParam
	if r.URL.RawQuery != "" {
		query = r.URL.RawQuery + "&" + query
	}
	return c.url(r.URL.EscapedPath()) + "?" + query, true
}

// otherLoopback reports whether host is another loopback name than base, with the same port. On
// another port there may be another server, or the port is forwarded.
func otherLoopback(host, base string) bool {
	here, there := &url.URL{Host: host}, &url.URL{Host: base}
	return !strings.EqualFold(host, base) && weburl.IsLoopback(here.Hostname()) && weburl.IsLoopback(there.Hostname()) && here.Port() == there.Port()
}

// readThirdPartyLogin reads the parameters of a sign-in that another site initiates (OpenID
// Connect Core, section 4): iss, which must be the provider's issuer, and target_link_uri, which
// is ignored unless it is a URL of this application.
func (c *client) readThirdPartyLogin(params url.Values, l *loginState) error {
	iss, there := params["iss"]
	if !there {
		return nil
	}
	if len(iss) > 1 || iss[0] != c.provider.Issuer || iss[0] == "" {
		return &Error{Code: ErrBadRequest, ID: "login.issuer", Op: "begin sign-in", Provider: c.provider.Name, Reason: fmt.Sprintf("iss is %q, which is not this provider's issuer", printable.Clip(iss[0])),
			Fix: "start the sign-in with the provider that has this issuer"}
	}
	if target, ok := strings.CutPrefix(params.Get("target_link_uri"), c.cfg.origin+c.cfg.prefix); ok {
		l.returnTo = c.cfg.orDefault(target, l.returnTo)
	}
	return nil
}

// readLoginParams returns the parameters of a login link that are passed on to the authorization
// request (Provider.LoginParams), and stores in the login state what the ID token must satisfy.
func (c *client) readLoginParams(params url.Values, l *loginState) (map[string]string, error) {
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
			return nil, &Error{Code: ErrBadRequest, ID: "login.parameter", Op: "begin sign-in", Provider: c.provider.Name,
				Reason: fmt.Sprintf("the parameter %q is repeated, longer than %d bytes, or contains control characters", name, passedLimit), Fix: "correct the link or the form that starts the sign-in"}
		}
		if passed == nil {
			passed = map[string]string{}
		}
		passed[name] = v
	}
	return passed, c.expect(l, passed)
}

// expect stores in the login state what the ID token must satisfy.
func (c *client) expect(l *loginState, params map[string]string) error {
	l.acr, _ = c.requested("acr_values", params)
	v, there := c.requested("max_age", params)
	if !there {
		return nil
	}
	var ok bool
	if l.maxAge, ok = seconds(v); !ok {
		return &Error{Code: ErrBadRequest, ID: "login.max_age", Op: "begin sign-in", Provider: c.provider.Name, Reason: "max_age is not a number of seconds",
			Fix: "use a number of seconds, such as 3600"}
	}
	return nil
}

// offerRetry adds the URL that restarts the sign-in to the error of an unavailable provider.
func (a *Auth) offerRetry(err error, state *loginState, passed map[string]string) error {
	e := complete(err, Error{Code: ErrSessionError, ID: "login.failed", Op: "begin sign-in", Provider: state.provider})
	if state.needsItsStart() {
		return e
	}
	if state.round > 0 {
		e.retry = a.cfg.absolute(state.returnTo) // as abandon does
		return e
	}
	e.retry = a.LoginURL(state.provider, state.returnTo)
	for _, name := range sortedKeys(passed) {
		e.retry = withParam(e.retry, name, passed[name])
	}
	return e
}

// requested returns the value of a parameter of the authorization request: that of the
// login link, or of Provider.AuthParams.
func (c *client) requested(name string, passed map[string]string) (value string, there bool) {
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

// warnAboutScheme warns, once per process, if a sign-in begins over another scheme than
// BaseURL's: the headers that schemeOf reads can be forged.
func (a *Auth) warnAboutScheme(r *http.Request) {
	scheme := schemeOf(r)
	if scheme == unknownScheme || (scheme == overHTTPS) == a.cfg.secure || !a.schemeWarned.CompareAndSwap(false, true) {
		return
	}
	if scheme == overHTTPS {
		a.cfg.log(r.Context(), slog.LevelWarn, "login.over_https", "a sign-in began over https, but BaseURL is http: providers will be asked to redirect to http, which most reject;"+
			" set Options.BaseURL to the https address that browsers use", slog.String("base_url", a.cfg.BaseURL))
		return
	}
	a.cfg.log(r.Context(), slog.LevelWarn, "login.over_http", "a sign-in began over http according to the proxy, but BaseURL is https: browsers reject Secure cookies over http, so the sign-in will end with state_invalid;"+
		" redirect http to https at the proxy; if it does so already, correct its X-Forwarded-Proto header", slog.String("base_url", a.cfg.BaseURL))
}

// warnAboutPort warns, once per process, if a sign-in begins on another loopback port than
// BaseURL's. The provider will redirect to that of BaseURL, where this program may not listen.
func (a *Auth) warnAboutPort(r *http.Request) {
	host, base := hostOf(r), strings.TrimPrefix(a.cfg.origin, "http://")
	if !a.cfg.loopback || a.cfg.secure || host == base {
		return
	}
	here, there := &url.URL{Host: host}, &url.URL{Host: base}
	if !weburl.IsLoopback(here.Hostname()) || cmp.Or(here.Port(), "80") == cmp.Or(there.Port(), "80") || !a.portWarned.CompareAndSwap(false, true) {
		return
	}
	a.cfg.log(r.Context(), slog.LevelWarn, "login.other_port", "a sign-in began on a different port than BaseURL, to which the provider will redirect; set Options.BaseURL to the address that browsers open;"+
		" behind a proxy that rewrites Host, configure it to preserve the original Host", slog.String("opened", printable.Clip(host)), slog.String("base_url", a.cfg.BaseURL))
}

// A browser that signs in more often within the window and still has no session is in a
// redirect loop. A round takes five redirects and those inside the provider, and browsers give
// up after 20, some after 16: a third round would end on the browser's error page, which
// explains nothing.
const (
	maxLoopLogins = 2
	loopWindow    = 10 * time.Second
)

// loops counts the sign-ins of a browser in a cookie: their number and the time of the first
// one, followed by the number of consecutive redirects for one purpose, to a sign-in page of
// the application or, by a demand, to a provider, and the time of the last one.
type loops struct {
	hintCookie
	now func() time.Time
}

// count returns the number of sign-ins in the window, and when it began.
func (k *loops) count(r *http.Request) (n int, since time.Time) {
	logins, rest, found := strings.Cut(k.value(r), ".")
	if !found { // as for most browsers; parsing an empty number would allocate an error
		return 0, k.now()
	}
	began, _, _ := strings.Cut(rest, ".")
	n, since, recent := k.within(logins, began, loopWindow)
	if !recent {
		return 0, k.now()
	}
	return n, since
}

// within reads a number and a time, and reports whether that is less than window ago.
func (k *loops) within(count, since string, window time.Duration) (n int, at time.Time, recent bool) {
	n, _ = strconv.Atoi(count)
	ms, _ := strconv.ParseInt(since, 10, 64)
	at = time.UnixMilli(ms)
	now := k.now()
	return n, at, !at.After(now) && now.Sub(at) < window
}

// add counts a sign-in. It resets the count of redirects to a sign-in page, but not that of
// demands, since a demand leads to a sign-in.
func (k *loops) add(w http.ResponseWriter, r *http.Request) {
	n, since := k.count(r)
	value := counted(n+1, since)
	if fields := strings.Split(k.value(r), "."); len(fields) == 5 && strings.HasPrefix(fields[4], demandPurpose) {
		value += "." + strings.Join(fields[2:], ".")
	}
	k.set(w, value)
}

func counted(n int, at time.Time) string {
	return strconv.Itoa(n) + "." + strconv.FormatInt(at.UnixMilli(), 10)
}

// checkLoop rejects a sign-in of a browser that has signed in too often without a session
// cookie coming back, and returns why. A revoked session does come back, so it is not a loop.
func (a *Auth) checkLoop(c *gin.Context, g *registry, state *loginState) error {
	n, _ := a.loops.count(c.Request)
	if n < maxLoopLogins {
		return nil
	}
	if s, err := g.sessions.open(c.Writer, c.Request, a.cfg.Now()); s != nil || err != nil {
		return nil // the sign-in itself will report the error of the store
	}
	ids, found := g.sessions.backend.ids(c.Writer, c.Request)
	var id, why, fix string
	switch {
	case len(ids) > 0:
		id = "login.loop_session_gone"
		why, fix = "the session cookie is valid, but the session does not exist or has ended", "give every replica the same session store, and synchronize their clocks"
	case found:
		id = "login.loop_cookie_unreadable"
		why = "the session cookie cannot be decrypted, or its second cookie is missing"
		fix = a.cfg.keysFix() + "; if they are, look for a rejected cookie in the browser's developer tools"
	default:
		id = "login.loop_cookie_missing"
		why = "the browser sends other ginauth cookies, but not the session cookie"
		fix = "check the response of /authorize in the browser's developer tools, which show why a cookie is rejected; also check for a proxy that truncates long headers or keeps only one Set-Cookie header"
	}
	e := &Error{Code: ErrLoginLoop, ID: id, Op: "begin sign-in", Provider: state.provider, Fix: fix,
		Reason: fmt.Sprintf("the browser signed in %d times within %d seconds and still has no session: %s", n, loopWindow/time.Second, why)}
	if !state.needsItsStart() {
		e.retry = a.LoginURL(state.provider, state.returnTo)
	}
	return e
}

// lastProviderLife is how long a browser stores the provider used last.
const lastProviderLife = 365 * 24 * time.Hour

// lastProvider stores which provider a browser signed in with, for the page that lists them.
type lastProvider struct{ hintCookie }

// of returns the provider that the browser of a request used last, or "".
func (k *lastProvider) of(r *http.Request, g *registry) string {
	name := k.value(r)
	if g.clients[name] == nil {
		return ""
	}
	return name
}

// remember stores the provider if there is more than one, and only until the browser is closed
// if the session's cookie ends then, too.
func (k *lastProvider) remember(w http.ResponseWriter, r *http.Request, g *registry, provider string, browserOnly bool) {
	life := k.life
	if browserOnly {
		life = cookie.UntilClosed
	}
	if len(g.order) > 1 && k.of(r, g) != provider {
		k.setFor(w, provider, life)
	}
}
