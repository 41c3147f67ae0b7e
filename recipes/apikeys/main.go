// Command apikeys accepts the application's own API keys beside sessions and access tokens:
// see docs/api-keys.md. Open http://localhost:8080/keys.
package main

import (
	"errors"
	"html/template"
	"log"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func main() {
	const base = "http://localhost:8080"
	idp, err := authtest.Start(authtest.Config{}) // your provider
	if err != nil {
		log.Fatal(err)
	}
	demo := idp.Client("demo")
	demo.Audience = base                                    // the provider's access tokens are accepted, too
	demo.AuthParams = map[string]string{"max_age": "86400"} // so that the ID token has auth_time, which MaxAge checks
	all, err := openKeys("keys.db", time.Now)
	if err != nil {
		log.Fatal(err)
	}
	app, err := application(ginauth.Options{BaseURL: base, Providers: []ginauth.Provider{demo}}, all)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(app.Run("localhost:8080"))
}

func application(opts ginauth.Options, all *keys) (*gin.Engine, error) {
	opts.Hooks.Authenticate = all.authenticate
	app := gin.New()
	auth, err := ginauth.Mount(app, opts)
	if err != nil {
		return nil, err
	}
	app.GET("/orders", auth.RequireAuth(ginauth.HasScope("orders:read")), func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{"of": ginauth.CurrentUser(c).Subject, "orders": []string{"tea", "ink"}})
	})
	app.POST("/orders", auth.RequireAuth(ginauth.HasScope("orders:write")), func(c *gin.Context) {
		c.JSON(http.StatusCreated, gin.H{"of": ginauth.CurrentUser(c).Subject})
	})
	// No HasScope: keys cannot be created with a key or a token.
	page := app.Group("/keys", auth.RequireAuth(ginauth.MaxAge(10*time.Minute)))
	s := &site{all}
	page.GET("", func(c *gin.Context) { s.show(c, http.StatusOK, "", "") })
	page.POST("", s.create)
	page.POST("/revoke", s.revoke)
	return app, nil
}

type site struct{ keys *keys }

var (
	scopes = []string{"orders:read", "orders:write"}
	days   = []int{7, 30, 90}
)

// create makes a key. Only the response to this form shows it.
func (s *site) create(c *gin.Context) {
	name, asked := strings.TrimSpace(c.PostForm("name")), c.PostFormArray("scope")
	life, _ := strconv.Atoi(c.PostForm("days"))
	unknown := slices.ContainsFunc(asked, func(scope string) bool { return !slices.Contains(scopes, scope) })
	if name == "" || len(name) > 100 || len(asked) == 0 || unknown || !slices.Contains(days, life) {
		s.show(c, http.StatusBadRequest, "", "A key needs a name and at least one permission.")
		return
	}
	raw, err := s.keys.create(c.Request.Context(), ginauth.CurrentUser(c), name, asked, time.Duration(life)*24*time.Hour)
	switch {
	case errors.Is(err, errTooMany):
		s.show(c, http.StatusConflict, "", "You have too many keys. Revoke one first.")
	case err != nil:
		s.fail(c, err)
	default:
		s.show(c, http.StatusOK, raw, "")
	}
}

func (s *site) revoke(c *gin.Context) {
	if err := s.keys.revoke(c.Request.Context(), ginauth.CurrentUser(c), c.PostForm("key")); err != nil {
		s.fail(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/keys")
}

func (s *site) fail(c *gin.Context, err error) {
	log.Print(err)
	c.String(http.StatusServiceUnavailable, "The keys cannot be reached right now. Try again.")
}

func (s *site) show(c *gin.Context, status int, raw, problem string) {
	all, err := s.keys.of(c.Request.Context(), ginauth.CurrentUser(c))
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Header("X-Frame-Options", "DENY") // a page that framed this one could trick users into clicking on Revoke
	c.Status(status)
	if err := keysPage.Execute(c.Writer, gin.H{"Keys": all, "New": raw, "Problem": problem, "Scopes": scopes, "Days": days}); err != nil {
		log.Print(err)
	}
}

var keysPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><title>API keys</title>
<h1>API keys</h1>
{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
{{with .New}}<p role="status">Copy your key now, it is not shown again: <code>{{.}}</code></p>{{end}}
<table>
<tr><th>Name<th>Key<th>Permissions<th>Created<th>Expires<th>Last used<td></tr>
{{range .Keys}}<tr><td>{{.Name}}<td><code>{{.Shown}}…</code><td>{{range .Scopes}}{{.}} {{end}}
	<td>{{.Created.UTC.Format "2 Jan 2006"}}<td>{{.Expires.UTC.Format "2 Jan 2006"}}
	<td>{{if .LastUsed.IsZero}}never{{else}}{{.LastUsed.UTC.Format "2 Jan 2006 15:04"}}{{end}}
	<td><form method="post" action="/keys/revoke"><button name="key" value="{{.Shown}}">Revoke {{.Name}}</button></form></tr>
{{end}}</table>
<form method="post" action="/keys">
	<p><label>Name <input name="name" maxlength="100" required></label></p>
	<p>{{range .Scopes}}<label><input name="scope" type="checkbox" value="{{.}}"> {{.}}</label> {{end}}</p>
	<p><label>Days until it expires <select name="days">{{range .Days}}<option>{{.}}</option>{{end}}</select></label></p>
	<button>Create key</button>
</form></html>`))
