// Package urltest compares return paths with the URL standard of browsers
// (https://url.spec.whatwg.org) as implemented by Node.js: every path that ginauth admits has to
// stay on the application's origin, avoid ginauth's own routes, and keep its meaning. The program
// in directory node runs Node on any number of strings; testdata/whatwg.tsv has its results for a
// few thousand, for machines without Node.
package urltest

import (
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// Site is an application with ginauth, used without a network.
type Site struct {
	Origin, Prefix string // of BaseURL
	Mount          string // the path of the router group
	engine         *gin.Engine
	cookie         string // of a signed-in user
	routers        []*router
}

// Written is how a site uses a return path.
type Written struct {
	Path     string // the admitted path; "" if the site rejected it
	Location string // the target of the redirect after a sign-out
	Field    string // of the form to sign out
	Link     string // to a provider, on the login page
}

// elsewhere is where a site redirects if it rejects the return path.
const elsewhere = "/the-default"

// Sites returns two sites: one whose BaseURL has a path that a proxy strips, with routes below a
// group; and one without either.
func Sites() ([]*Site, error) {
	gin.SetMode(gin.TestMode)
	sites := []*Site{
		{Origin: "https://app.example.com:8443", Prefix: "/base", Mount: "/Desk"},
		{Origin: "https://app.example.com"},
	}
	for _, s := range sites {
		s.engine = gin.New()
		const idp = "https://idp.example"
		provider := ginauth.Provider{Name: "one", Issuer: idp, ClientID: "an-id", ClientSecret: "a client's secret",
			AuthorizeURL: idp + "/authorize", TokenURL: idp + "/token", JWKSURL: idp + "/keys"}
		second := provider
		second.Name, second.ClientID = "two", "another-id"
		auth, err := ginauth.Mount(s.engine.Group(s.Mount), ginauth.Options{
			BaseURL: s.Origin + s.Prefix, Keys: []string{"a key for tests, which is 32 bytes and more"}, AfterLogout: elsewhere,
			Providers: []ginauth.Provider{provider, second}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return nil, err
		}
		s.routers = routers(s.engine)
		if s.cookie, err = signIn(auth); err != nil {
			return nil, err
		}
	}
	return sites, nil
}

// signIn returns the Cookie header of a signed-in user.
func signIn(auth *ginauth.Auth) (string, error) {
	out := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(out)
	c.Request = httptest.NewRequest(http.MethodGet, "/", nil)
	if err := auth.SignIn(c, &ginauth.User{Provider: "one", Subject: "ada"}, nil); err != nil {
		return "", err
	}
	pair, _, _ := strings.Cut(out.Header().Get("Set-Cookie"), ";")
	return pair, nil
}

// Write passes the return path raw to the site, and returns all the places where the site uses it.
func (s *Site) Write(raw string) (w Written, err error) {
	query := "return_to=" + url.QueryEscape(raw)
	out, err := s.ask("POST", "/logout", "", query)
	if err != nil {
		return w, err
	}
	w.Location = out.Header().Get("Location")
	path, ok := strings.CutPrefix(w.Location, s.Origin+s.Prefix)
	if !ok || path == "" {
		return w, fmt.Errorf("the sign-out redirects to %q, which does not begin with %s", w.Location, s.Origin+s.Prefix)
	}
	if w.Path = strings.TrimSuffix(path, "#"); w.Path == elsewhere {
		w.Path = ""
		return w, nil
	}
	if out, err = s.ask("GET", "/logout", query, ""); err != nil {
		return w, err
	}
	if w.Field, err = attribute(out, `name="return_to" value="`); err != nil {
		return w, err
	}
	if out, err = s.ask("GET", "/login", query, ""); err != nil {
		return w, err
	}
	w.Link, err = attribute(out, `<a class="action provider" href="`)
	return w, err
}

func (s *Site) ask(method, path, query, form string) (*httptest.ResponseRecorder, error) {
	out := httptest.NewRecorder()
	r, err := http.NewRequest(method, s.Origin+s.Mount+path, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html")
	if method == http.MethodGet { // the page to sign out is for signed-in users
		r.Header.Set("Cookie", s.cookie)
	}
	s.engine.ServeHTTP(out, r)
	if out.Code >= 400 {
		return nil, fmt.Errorf("%s %s answered %d: %s", method, path, out.Code, out.Body)
	}
	return out, nil
}

// attribute parses an attribute in a page as a browser does: the value ends at the quote, and then
// its character references are decoded.
func attribute(page *httptest.ResponseRecorder, before string) (string, error) {
	_, rest, found := strings.Cut(page.Body.String(), before)
	value, _, closed := strings.Cut(rest, `"`)
	if !found || !closed {
		return "", errors.New("the page does not contain " + before)
	}
	return html.UnescapeString(value), nil
}

// router is a Gin engine with a site's routes, whose handlers only record the route.
type router struct {
	engine *gin.Engine
	hit    string // the route of the last request
}

// routers returns an engine for each combination of Gin's settings.
func routers(mounted *gin.Engine) []*router {
	var all []*router
	for bits := range 1 << 5 {
		r := &router{engine: gin.New()}
		r.engine.RedirectTrailingSlash = bits&1 != 0
		r.engine.RedirectFixedPath = bits&2 != 0
		r.engine.UseRawPath = bits&4 != 0
		r.engine.RemoveExtraSlash = bits&8 != 0
		r.engine.UnescapePathValues = bits&16 != 0
		for _, route := range mounted.Routes() {
			if route.Method == http.MethodGet {
				r.engine.GET(route.Path, func(c *gin.Context) { r.hit = c.FullPath() })
			}
		}
		all = append(all, r)
	}
	return all
}

// Own returns the route of ginauth that a request for path reaches with any combination of Gin's
// settings, or "". path is escaped and without the path of BaseURL.
func (s *Site) Own(path string) string {
	for _, r := range s.routers {
		r.hit = ""
		for target, most := path, 0; most < 5; most++ {
			u, err := url.ParseRequestURI(target)
			if err != nil {
				break
			}
			out := httptest.NewRecorder()
			r.engine.ServeHTTP(out, &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1})
			if r.hit != "" {
				return r.hit
			}
			target = out.Header().Get("Location")
		}
	}
	return ""
}
