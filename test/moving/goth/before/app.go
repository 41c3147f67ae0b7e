// Package before is a notebook with HTMX, with sign-ins through goth and with sessions of
// gin-contrib.
package before

import (
	"crypto/rand"
	"crypto/subtle"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"
	"github.com/markbates/goth"
	"github.com/markbates/goth/gothic"
	"github.com/markbates/goth/providers/openidConnect"

	"github.com/ginauth/ginauth/test/moving/goth/notebook"
)

type site struct {
	settings notebook.Settings
	db       *notebook.DB
}

// New returns the application.
func New(settings notebook.Settings, db *notebook.DB) (http.Handler, error) {
	secure := strings.HasPrefix(settings.BaseURL, "https://")
	trips := gorilla.NewCookieStore([]byte(settings.SessionSecret))
	trips.Options = &gorilla.Options{Path: "/", MaxAge: 600, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode}
	gothic.Store = trips
	for _, c := range settings.Clients {
		p, err := openidConnect.New(c.ID, c.Secret, settings.BaseURL+"/auth/"+c.Name+"/callback",
			c.Issuer+"/.well-known/openid-configuration", "openid", "profile", "email")
		if err != nil {
			return nil, err
		}
		p.SetName(c.Name)
		goth.UseProviders(p)
	}

	app := gin.New()
	store := cookie.NewStore([]byte(settings.SessionSecret))
	store.Options(sessions.Options{Path: "/", MaxAge: 30 * 24 * 3600, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode})
	app.Use(sessions.Sessions("notebook", store))
	s := &site{settings, db}
	app.GET("/", s.home)
	app.POST("/language", s.setLanguage)
	app.GET("/login", s.choose)
	app.GET("/auth/:provider", s.begin)
	app.GET("/auth/:provider/callback", s.callback)
	app.POST("/logout", s.checkToken, s.logout)
	notes := app.Group("/notes", s.signedIn)
	notes.GET("", s.notes)
	notes.POST("", s.checkToken, s.add)
	notes.DELETE("/:id", s.checkToken, s.remove)
	return app, nil
}

// choose serves the page to choose a provider.
func (s *site) choose(c *gin.Context) {
	session := sessions.Default(c)
	session.Set("next", safe(c.Query("next")))
	if err := session.Save(); err != nil {
		c.String(http.StatusInternalServerError, "the session could not be saved")
		return
	}
	if len(s.settings.Clients) == 1 {
		c.Redirect(http.StatusFound, "/auth/"+s.settings.Clients[0].Name)
		return
	}
	s.render(c, "choose", gin.H{"Clients": s.settings.Clients})
}

func (s *site) begin(c *gin.Context) {
	gothic.BeginAuthHandler(c.Writer, gothic.GetContextWithProvider(c.Request, c.Param("provider")))
}

func (s *site) callback(c *gin.Context) {
	user, err := gothic.CompleteUserAuth(c.Writer, gothic.GetContextWithProvider(c.Request, c.Param("provider")))
	if err != nil {
		log.Print(err)
		c.String(http.StatusBadRequest, "The sign-in failed. Please try again.")
		return
	}
	person := s.db.SignIn(notebook.Person{Provider: user.Provider, Subject: user.UserID, Name: user.Name, Email: user.Email})
	session := sessions.Default(c)
	next, _ := session.Get("next").(string)
	session.Delete("next")
	session.Set("person", person.ID)
	if err := session.Save(); err != nil {
		c.String(http.StatusInternalServerError, "the session could not be saved")
		return
	}
	c.Redirect(http.StatusFound, safe(next))
}

func (s *site) logout(c *gin.Context) {
	session := sessions.Default(c)
	session.Delete("person")
	session.Delete("token")
	if err := session.Save(); err != nil {
		c.String(http.StatusInternalServerError, "the session could not be saved")
		return
	}
	c.Redirect(http.StatusFound, "/")
}

// safe returns the path of an address, if it is on this site.
func safe(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

// person returns the signed-in person.
func (s *site) person(c *gin.Context) (notebook.Person, bool) {
	id, _ := sessions.Default(c).Get("person").(int)
	return s.db.Person(id)
}

// signedIn is the guard.
func (s *site) signedIn(c *gin.Context) {
	if person, ok := s.person(c); ok {
		c.Set("person", person)
		c.Header("Cache-Control", "no-store")
		return
	}
	login := "/login?next=" + url.QueryEscape(c.Request.RequestURI)
	switch {
	case c.GetHeader("HX-Request") != "":
		if page, err := url.Parse(c.GetHeader("HX-Current-URL")); err == nil {
			login = "/login?next=" + url.QueryEscape(page.RequestURI())
		}
		c.Header("HX-Redirect", login)
		c.AbortWithStatus(http.StatusUnauthorized)
	case c.Request.Method == http.MethodGet:
		c.Redirect(http.StatusFound, login)
		c.Abort()
	default:
		c.AbortWithStatus(http.StatusUnauthorized)
	}
}

// token returns the CSRF token that forms and HTMX send.
func token(c *gin.Context) string {
	session := sessions.Default(c)
	if text, ok := session.Get("token").(string); ok {
		return text
	}
	text := rand.Text()
	session.Set("token", text)
	_ = session.Save()
	return text
}

func (s *site) checkToken(c *gin.Context) {
	sent := c.GetHeader("X-CSRF-Token")
	if sent == "" {
		sent = c.PostForm("token")
	}
	want, _ := sessions.Default(c).Get("token").(string)
	if want == "" || subtle.ConstantTimeCompare([]byte(sent), []byte(want)) != 1 {
		c.AbortWithStatus(http.StatusForbidden)
	}
}

func (s *site) home(c *gin.Context) {
	person, ok := s.person(c)
	s.render(c, "home", gin.H{"Person": person, "SignedIn": ok, "Language": sessions.Default(c).Get("language"), "Token": token(c)})
}

// setLanguage also works for visitors that are not signed in.
func (s *site) setLanguage(c *gin.Context) {
	session := sessions.Default(c)
	session.Set("language", c.PostForm("language"))
	_ = session.Save()
	c.Redirect(http.StatusSeeOther, "/")
}

func (s *site) notes(c *gin.Context) {
	person := c.MustGet("person").(notebook.Person)
	s.render(c, "notes", gin.H{"Notes": s.db.Notes(person.ID), "Token": token(c)})
}

func (s *site) add(c *gin.Context) {
	s.render(c, "note", s.db.Add(c.MustGet("person").(notebook.Person).ID, c.PostForm("text")))
}

func (s *site) remove(c *gin.Context) {
	s.db.Remove(c.MustGet("person").(notebook.Person).ID, c.Param("id"))
	c.Status(http.StatusOK)
}

func (s *site) render(c *gin.Context, name string, data any) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	if err := pages.ExecuteTemplate(c.Writer, name, data); err != nil {
		log.Print(err)
	}
}

var pages = template.Must(template.New("").Parse(`
{{define "choose"}}<!doctype html><h1>Sign in</h1>
{{range .Clients}}<p><a href="/auth/{{.Name}}">Sign in with {{.Title}}</a></p>{{end}}{{end}}

{{define "home"}}<!doctype html><h1>Notebook</h1>
<p>Language: {{.Language}}</p><form method="post" action="/language"><input name="language"><button>Change</button></form>
{{if .SignedIn}}<p>Signed in as {{.Person.Name}}. <a href="/notes">Notes</a></p>
<form method="post" action="/logout"><input type="hidden" name="token" value="{{.Token}}"><button>Sign out</button></form>
{{else}}<p><a href="/login">Sign in</a></p>{{end}}{{end}}

{{define "notes"}}<!doctype html><script src="/htmx.js"></script>
<body hx-headers='{"X-CSRF-Token": "{{.Token}}"}'><h1>Notes</h1>
<form hx-post="/notes" hx-target="#notes" hx-swap="beforeend"><input name="text"><button>Add</button></form>
<ul id="notes">{{range .Notes}}{{template "note" .}}{{end}}</ul></body>{{end}}

{{define "note"}}<li>{{.Text}} <button hx-delete="/notes/{{.ID}}" hx-target="closest li">Remove</button></li>{{end}}
`))
