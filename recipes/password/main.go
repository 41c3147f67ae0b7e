// Command password offers sign-in with a name and a password beside a provider: see
// docs/local-accounts.md. Open http://localhost:8080 and sign in as ada, with the
// password "correct horse battery".
package main

import (
	"errors"
	"html/template"
	"log"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func main() {
	demo, err := authtest.Start(authtest.Config{}) // stands in for Google, say
	if err != nil {
		log.Fatal(err)
	}
	app, err := application(ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{demo.Client("demo")},
	}, time.Now)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(app.Run("localhost:8080"))
}

func application(opts ginauth.Options, now func() time.Time) (*gin.Engine, error) {
	app := gin.New()
	if err := app.SetTrustedProxies(nil); err != nil { // or list yours: the limit is per ClientIP
		return nil, err
	}
	opts.Providers = append(opts.Providers, ginauth.Provider{
		Name: "password", DisplayName: "your password",
		Namespace: "https://app.example.com/accounts", // the prefix of User.ID: never change it
		LoginPage: "/password",
	})
	auth, err := ginauth.Mount(app, opts)
	if err != nil {
		return nil, err
	}
	s := &site{auth: auth, accounts: &accounts{byName: map[string]account{}}, attempts: newAttempts(now)}
	s.accounts.set("1", "ada", "correct horse battery")
	app.GET("/password", s.show)
	app.POST("/password", s.signIn)
	app.GET("/", auth.RequireAuth(), s.home)
	app.POST("/change-password", auth.RequireAuth(ginauth.FromProvider("password")), s.changePassword)
	return app, nil
}

type site struct {
	auth     *ginauth.Auth
	accounts *accounts
	attempts *attempts
}

// show serves the page. Its form has no action, so that the browser posts it to the page's own
// URL, which contains return_to.
func (s *site) show(c *gin.Context) { s.page(c, http.StatusOK, "") }

// signIn handles the form.
func (s *site) signIn(c *gin.Context) {
	name, password := c.PostForm("name"), c.PostForm("password")
	if !s.mayTry(c, name) {
		c.Header("Retry-After", "12")
		s.page(c, http.StatusTooManyRequests, "Too many tries. Wait a little.")
		return
	}
	found, ok := s.accounts.check(name, password)
	if !ok { // the same message for an unknown name
		s.page(c, http.StatusUnauthorized, "The name or the password is wrong.")
		return
	}
	if s.begin(c, found, c.PostForm("remember") == "yes") {
		c.Redirect(http.StatusSeeOther, s.auth.ReturnTo(c))
	}
}

// mayTry reports whether the request's address may try a password for a name. The name is in
// lower case, as in accounts: otherwise each combination of case would have a separate limit.
func (s *site) mayTry(c *gin.Context, name string) bool {
	return s.attempts.allow("address "+c.ClientIP()) && s.attempts.allow("name "+strings.ToLower(name))
}

// begin signs an account in. The cookie ends with the browser session unless the user asked to
// be remembered.
func (s *site) begin(c *gin.Context, found account, remember bool) bool {
	user := &ginauth.User{Provider: "password", Subject: found.ID, Name: found.Name, Username: found.Name}
	err := s.auth.SignIn(c, user, &ginauth.SessionLimits{BrowserOnly: !remember})
	if err == nil {
		return true
	}
	status := http.StatusInternalServerError
	if e, ok := errors.AsType[*ginauth.Error](err); ok {
		status = e.Status() // 403 for a form from another site
	}
	log.Print(err)
	s.page(c, status, "You could not be signed in.")
	return false
}

func (s *site) home(c *gin.Context) {
	render(c, http.StatusOK, homePage, gin.H{"User": ginauth.CurrentUser(c), "Auth": s.auth})
}

// changePassword ends all sessions of the account, in every browser: an attacker who knew the
// old password is signed out. This browser gets a new session.
func (s *site) changePassword(c *gin.Context) {
	user := ginauth.CurrentUser(c)
	if !s.mayTry(c, user.Username) {
		c.String(http.StatusTooManyRequests, "Too many tries. Wait a little.")
		return
	}
	found, ok := s.accounts.check(user.Username, c.PostForm("old"))
	if !ok || utf8.RuneCountInString(c.PostForm("new")) < 12 {
		c.String(http.StatusBadRequest, "The old password is wrong, or the new one is shorter than 12 characters.")
		return
	}
	s.accounts.set(found.ID, found.Name, c.PostForm("new"))
	if err := s.auth.LogoutEverywhere(c, user.ID()); err != nil {
		log.Print(err)
		c.String(http.StatusServiceUnavailable, "The password is changed, but older sessions may still be open. Try again.")
		return
	}
	if s.begin(c, found, false) {
		c.Redirect(http.StatusSeeOther, s.auth.ReturnTo(c))
	}
}

func (s *site) page(c *gin.Context, status int, problem string) {
	c.Header("Cache-Control", "no-store")
	render(c, status, signInPage, gin.H{"Problem": problem, "Name": c.PostForm("name")})
}

func render(c *gin.Context, status int, t *template.Template, data gin.H) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Header("X-Frame-Options", "DENY") // a page that framed this one could trick users into typing a password into it
	c.Status(status)
	if err := t.Execute(c.Writer, data); err != nil {
		log.Print(err)
	}
}

var signInPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><title>Sign in</title>
<h1>Sign in</h1>
{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
<form method="post">
	<p><label>Name <input name="name" value="{{.Name}}" autocomplete="username" required></label></p>
	<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
	<p><label><input name="remember" type="checkbox" value="yes"> Remember me on this device</label></p>
	<button>Sign in</button>
</form></html>`))

var homePage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><title>Home</title>
<h1>Hello, {{.User.Name}}!</h1>
{{if eq .User.Provider "password"}}<form method="post" action="/change-password">
	<p><label>Old password <input name="old" type="password" autocomplete="current-password" required></label></p>
	<p><label>New password <input name="new" type="password" autocomplete="new-password" minlength="12" required></label></p>
	<button>Change password</button>
</form>{{end}}
<form method="post" action="{{.Auth.LogoutURL ""}}"><button>Sign out</button></form></html>`))
