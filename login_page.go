package ginauth

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// ReturnTo returns the absolute URL that the request's return_to parameter names, in its form
// or else its query, if that is a path of the application that is safe to redirect to, or a
// URL of [Options.TrustedOrigins]; otherwise that of [Options.AfterLogin]. Handlers of a
// [Provider.LoginPage] redirect there after calling [Auth.SignIn].
func (a *Auth) ReturnTo(c *gin.Context) string {
	raw := ""
	if c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead {
		raw = c.PostForm("return_to")
	}
	if raw == "" {
		raw = c.Query("return_to")
	}
	return a.cfg.absolute(a.cfg.orDefault(raw, a.cfg.AfterLogin))
}

// isPage reports whether a provider is a sign-in page of the application. Such a provider has
// no relying party.
func (c *client) isPage() bool { return c.provider.LoginPage != "" }

// pageURL returns the absolute URL of a provider's page, so that a browser on another loopback
// name changes to that of BaseURL, for which the session cookie is set.
func (c *client) pageURL(returnTo string) string {
	return withReturn(c.cfg.url(c.provider.LoginPage), returnTo)
}

// openLoginPage answers /login/:provider for a sign-in page of the application.
func (a *Auth) openLoginPage(c *gin.Context, cl *client) error {
	params, err := readParams(c.Request, cl.loginParams...)
	if err != nil {
		return complete(err, Error{Code: ErrBadRequest, ID: "request.unreadable", Op: "begin sign-in", Provider: cl.provider.Name})
	}
	if c.Request.Method == http.MethodPost && params.Get("link") == "true" {
		return &Error{Code: ErrBadRequest, ID: "login.link_page", Op: "link account", Provider: cl.provider.Name, Reason: "the provider is a page of the application, which must link accounts itself",
			Fix: "link in the handler of that page: CurrentUser is the user to link to"}
	}
	returnTo := a.cfg.orDefault(requestedReturn(c, params), "")
	d, err := a.readDemand(cl, params)
	switch {
	case err != nil:
		return err
	case d == nil:
		path, _, _ := strings.Cut(requestedReturn(c, params), "?") // the same in every round of a loop; it is only compared
		page := loginPage{option: fmt.Sprintf("the LoginPage of provider %q", cl.provider.Name), provider: cl.provider.Name, purpose: path, most: maxPageOfRounds + 1}
		if returnTo != "" { // set by a guard, whose redirect makes a round longer by one
			page.most = maxPageOfRounds
		}
		if e := a.checkPageLoop(c, page); e != nil {
			return e
		}
		redirect(c, cl.pageURL(returnTo))
		return nil
	case d.expired: // the tab was open for a long time: the page will ask again
		a.goTo(c, cmp.Or(returnTo, a.cfg.AfterLogin))
		return nil
	}
	return a.openLoginPageAgain(c, cl, returnTo)
}

// openLoginPageAgain redirects a signed-in user to the page to authenticate again. A page that
// redirects signed-in users back at once would cause a redirect loop.
func (a *Auth) openLoginPageAgain(c *gin.Context, cl *client, returnTo string) error {
	if n, _ := a.loops.count(c.Request); n >= maxLoopLogins {
		return &Error{Code: ErrLoginLoop, ID: "login.page_loop", Op: "authenticate again", Provider: cl.provider.Name, text: string(ErrSessionError),
			Reason: fmt.Sprintf("the page was opened %d times within %d seconds with prompt=login and did not sign in a user", n, loopWindow/time.Second),
			Fix:    "ask for the password again when the page gets prompt=login, even if CurrentUser returns a user, then call SignIn"}
	}
	a.loops.add(c.Writer, c.Request)
	redirect(c, withParam(cl.pageURL(returnTo), "prompt", "login"))
	return nil
}

// A page that redirects without signing the user in, to a guarded page or to the sign-in that
// led to it, causes a redirect loop, which browsers abort before it is reported. Such a round
// takes less than a second and is always for the same page. A user needs longer, or opens
// other pages in other tabs.
const (
	maxPageRounds   = 6           // each of two redirects: that of the guard or of /login, and that of the page
	maxPageOfRounds = 3           // each of four redirects, through /login and /login/:provider
	pageRoundTime   = time.Second // the longest time between two rounds of a loop
)

// loginPage is a sign-in page of the application.
type loginPage struct {
	option   string // its name in the log
	provider string // Provider.Name, or ""
	purpose  string // where the browser came from, the same in every round of a loop
	most     int    // maximum number of rounds in a row
}

// ownLoginPage returns Options.LoginPage as a redirect target of the guarded page at that path,
// or of /login.
func (a *Auth) ownLoginPage(guarded string) loginPage {
	return loginPage{option: "Options.LoginPage", purpose: guarded, most: maxPageRounds}
}

// checkPageLoop counts redirects to a sign-in page of the application, and fails in a redirect
// loop.
func (a *Auth) checkPageLoop(c *gin.Context, page loginPage) *Error {
	sum := sha256.Sum256([]byte(page.provider + " " + page.purpose))
	purpose := hex.EncodeToString(sum[:4])
	n := a.loops.rounds(c.Request, purpose, pageRoundTime)
	if n < page.most {
		a.loops.addRound(c.Writer, c.Request, purpose, n+1)
		return nil
	}
	return &Error{Code: ErrLoginLoop, ID: "login.page_redirects", Op: "begin sign-in", Provider: page.provider, text: string(ErrSessionError),
		Reason: fmt.Sprintf("the browser was redirected to %s %d times in a row, each less than a second after the previous one: the page redirects back to a guarded page or to the login page without signing in a user", page.option, n),
		Fix:    "render the page; redirect only after SignIn, and to Auth.LoginURL only with the name of another provider"}
}

// rounds returns the number of consecutive redirects for this purpose, each within apart of
// the previous one.
func (k *loops) rounds(r *http.Request, purpose string, apart time.Duration) int {
	fields := strings.Split(k.value(r), ".")
	if len(fields) != 5 || fields[4] != purpose {
		return 0
	}
	n, _, recent := k.within(fields[2], fields[3], apart)
	if !recent {
		return 0
	}
	return n
}

// addRound counts a redirect, and keeps the count of sign-ins.
func (k *loops) addRound(w http.ResponseWriter, r *http.Request, purpose string, n int) {
	logins, since := k.count(r)
	k.set(w, counted(logins, since)+"."+counted(n, k.now())+"."+purpose)
}

// loginPageOf returns the LoginPage that a request is for, or "".
func (g *registry) loginPageOf(r *http.Request) string {
	is := func(page string) bool {
		u, err := url.Parse(page)
		return page != "" && err == nil && u.Path == r.URL.Path
	}
	if is(g.auth.cfg.LoginPage) {
		return "Options.LoginPage"
	}
	for _, name := range g.order {
		if is(g.clients[name].provider.LoginPage) {
			return fmt.Sprintf("the LoginPage of provider %q", name)
		}
	}
	return ""
}

// pageFields are the fields of a Provider with a LoginPage.
var pageFields = []string{"Name", "DisplayName", "Color", "Icon", "Namespace", "LoginPage", "Err"}

// checkPage checks a Provider with a LoginPage. A field without effect is a mistake, since an
// effect was intended.
func (p *Provider) checkPage(add addMistake) {
	if p.Err != nil {
		addArgumentMistakes(add, p.Err)
		return
	}
	p.checkNamespace(add)
	v := reflect.ValueOf(*p)
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		empty := field.IsZero() || (field.Kind() == reflect.Slice || field.Kind() == reflect.Map) && field.Len() == 0
		if !empty && !slices.Contains(pageFields, name) {
			add(name, "login_page", "is for an OAuth client, but LoginPage makes this provider a page of the application", "remove one of the two")
		}
	}
	clean, ok := cleanPath(p.LoginPage)
	if !ok {
		add("LoginPage", "not_a_path", "is not a path of the application", `use a path that begins with a single /, such as "/password"`)
		return
	}
	p.LoginPage = clean // it goes into a header
}

// checkLoginPage checks a provider that is a page for conflicts with ginauth's routes and the
// other providers.
func (c *config) checkLoginPage(p *Provider, add addMistake, others []Provider) {
	if _, ok := cleanPath(p.LoginPage); ok && c.orDefault(p.LoginPage, "") == "" {
		add("LoginPage", "own_route", "is a ginauth route: users would loop back to it", `use the path of a page of the application, such as "/password"`)
	}
	for i := range others {
		page, q := p, &others[i]
		if page.LoginPage == "" {
			page, q = q, page
		}
		if page.LoginPage != "" && q.LoginPage == "" && page.Namespace != "" &&
			(page.Namespace == q.Issuer || page.Namespace == q.Namespace || slices.Contains(q.Admits, page.Namespace)) {
			add("Namespace", "client_namespace", fmt.Sprintf("of provider %q, a page of the application, is the namespace of provider %q: the page could sign in as any of its users", page.Name, q.Name),
				"give the page a separate Namespace, such as the application's address")
		}
	}
}
