package ginauth

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
)

// ReturnTo returns the absolute address that the request's return_to parameter names,
// of its form or else of its address, if that is a path of the application to which it
// is safe to redirect, or an address of [Options.TrustedOrigins]; otherwise that of [Options.AfterLogin]. It is for the handler
// of a [Provider.LoginPage], which redirects there behind [Auth.SignIn].
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

// isPage reports whether a provider is a sign-in page of the application. It has no
// relying party then.
func (c *client) isPage() bool { return c.provider.LoginPage != "" }

// pageURL is the absolute address of a provider's page: a browser that is on another
// loopback name than BaseURL's comes to that one, where its session will be.
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
		return &Error{Code: ErrBadRequest, ID: "login.link_page", Op: "link account", Provider: cl.provider.Name, Reason: "the provider is a page of the application, which has to link accounts itself",
			Fix: "link in the handler of that page: CurrentUser is the user to link to"}
	}
	returnTo := a.cfg.orDefault(requestedReturn(c, params), "")
	d, err := a.readDemand(cl, params)
	switch {
	case err != nil:
		return err
	case d == nil:
		redirect(c, cl.pageURL(returnTo))
		return nil
	case d.expired: // a tab that was left open: the page will ask again
		a.goTo(c, cmp.Or(returnTo, a.cfg.AfterLogin))
		return nil
	}
	return a.openLoginPageAgain(c, cl, returnTo)
}

// openLoginPageAgain sends a user who is signed in to the page, to authenticate again.
// A page that sends such users back at once would send them round and round.
func (a *Auth) openLoginPageAgain(c *gin.Context, cl *client, returnTo string) error {
	if n, _ := a.loops.count(c.Request); n >= maxLoopLogins {
		return &Error{Code: ErrLoginLoop, ID: "login.page_loop", Op: "authenticate again", Provider: cl.provider.Name,
			Reason: fmt.Sprintf("the page was opened %d times within %d seconds, with prompt=login, and did not sign a user in", n, loopWindow/time.Second),
			Fix:    "with prompt=login, let the page ask for the password again, also if CurrentUser returns a user, and call SignIn"}
	}
	a.loops.add(c.Writer, c.Request)
	redirect(c, withParam(cl.pageURL(returnTo), "prompt", "login"))
	return nil
}

// loginPageOf says which LoginPage a request asks for, or returns "".
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

// checkPage checks a Provider with a LoginPage. A field that would do nothing is
// a mistake: it was meant to do something.
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
			add(name, "login_page", "is for an OAuth client, and LoginPage makes this provider a page of the application", "drop one of the two")
		}
	}
	clean, ok := cleanPath(p.LoginPage)
	if !ok {
		add("LoginPage", "not_a_path", "is not a path of the application", `write one that begins with a single /, such as "/password"`)
		return
	}
	p.LoginPage = clean // it goes into a header
}

// checkLoginPage checks a provider that is a page against our own routes, and the pages
// against the other providers.
func (c *config) checkLoginPage(p *Provider, add addMistake, others []Provider) {
	if _, ok := cleanPath(p.LoginPage); ok && c.orDefault(p.LoginPage, "") == "" {
		add("LoginPage", "own_route", "is a ginauth route: users would loop back to it", `write the path of a page of the application, such as "/password"`)
	}
	for i := range others {
		page, q := p, &others[i]
		if page.LoginPage == "" {
			page, q = q, page
		}
		if page.LoginPage != "" && q.LoginPage == "" && page.Namespace != "" &&
			(page.Namespace == q.Issuer || page.Namespace == q.Namespace || slices.Contains(q.Admits, page.Namespace)) {
			add("Namespace", "client_namespace", fmt.Sprintf("of provider %q, which is a page of the application, is where users of provider %q come from: the page could sign in as any of them", page.Name, q.Name),
				"give the page a Namespace of its own, such as the application's address")
		}
	}
}
