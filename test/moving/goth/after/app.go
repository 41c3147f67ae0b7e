// Package after is the notebook of package before, with ginauth.
package after

import (
	"html/template"
	"log"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
	"github.com/ginauth/ginauth/test/moving/goth/notebook"
)

type site struct {
	db   *notebook.DB
	auth *ginauth.Auth
}

// New returns the application.
func New(settings notebook.Settings, db *notebook.DB) (http.Handler, error) {
	app := gin.New()
	store := cookie.NewStore([]byte(settings.SessionSecret))
	store.Options(sessions.Options{Path: "/", MaxAge: 30 * 24 * 3600, HttpOnly: true, Secure: strings.HasPrefix(settings.BaseURL, "https://"), SameSite: http.SameSiteLaxMode})
	app.Use(sessions.Sessions("notebook", store))
	s := &site{db: db}
	app.Use(s.loadUser, s.carryOver)
	var list []ginauth.Provider
	for _, client := range settings.Clients {
		p := providers.OIDC(client.Name, client.Issuer, client.ID, client.Secret)
		p.DisplayName = client.Title
		p.CallbackPath = "/auth/:provider/callback" // the registered path
		list = append(list, p)
	}
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   settings.BaseURL,
		Keys:      strings.Fields(settings.SessionKeys),
		Providers: list,
		Hooks:     ginauth.Hooks{OnLogin: s.signIn},
	})
	if err != nil {
		return nil, err
	}
	s.auth = auth
	app.GET("/", auth.LoadUser(), s.home)
	app.POST("/language", s.setLanguage)
	app.GET("/auth/:provider", func(c *gin.Context) { // links of the old version
		c.Redirect(http.StatusSeeOther, auth.LoginURL(c.Param("provider"), ""))
	})
	notes := app.Group("/notes", auth.RequireAuth())
	notes.GET("", s.notes)
	notes.POST("", s.add)
	notes.DELETE("/:id", s.remove)
	return app, nil
}

// signIn is Hooks.OnLogin: it finds the person by the old key, and stores the new one.
func (s *site) signIn(c *gin.Context, login *ginauth.Login) error {
	u := login.User
	person := s.db.SignIn(notebook.Person{Provider: u.Provider, Subject: u.Subject, Login: u.ID(), Name: u.Name, Email: u.Email})
	u.Data["person"] = strconv.Itoa(person.ID)
	return nil
}

// loadUser runs before all routes, including those of Mount, like carryOver.
func (s *site) loadUser(c *gin.Context) { s.auth.LoadUser()(c) }

// carryOver converts an old session into one of ginauth's, once. Remove it when the last old
// session has expired.
func (s *site) carryOver(c *gin.Context) {
	session := sessions.Default(c)
	id, _ := session.Get("person").(int)
	person, known := s.db.Person(id)
	if !known || ginauth.CurrentUser(c) != nil {
		return
	}
	user := &ginauth.User{Provider: person.Provider, Subject: person.Subject, Name: person.Name, Email: person.Email,
		AuthTime: person.LastLogin, Data: map[string]string{"person": strconv.Itoa(person.ID)}}
	if s.auth.SignIn(c, user, nil) != nil {
		return // a form from another site, for example: the guard responds
	}
	session.Delete("person")
	_ = session.Save()
}

// person returns the signed-in user's row in the application's own table.
func (s *site) person(c *gin.Context) int {
	id, _ := strconv.Atoi(ginauth.CurrentUser(c).Data["person"])
	return id
}

func (s *site) home(c *gin.Context) {
	s.render(c, "home", gin.H{"User": ginauth.CurrentUser(c), "Auth": s.auth, "Language": sessions.Default(c).Get("language")})
}

// setLanguage also works for visitors that are not signed in.
func (s *site) setLanguage(c *gin.Context) {
	session := sessions.Default(c)
	session.Set("language", c.PostForm("language"))
	_ = session.Save()
	c.Redirect(http.StatusSeeOther, "/")
}

func (s *site) notes(c *gin.Context) {
	s.render(c, "notes", gin.H{"Notes": s.db.Notes(s.person(c))})
}

func (s *site) add(c *gin.Context) {
	s.render(c, "note", s.db.Add(s.person(c), c.PostForm("text")))
}

func (s *site) remove(c *gin.Context) {
	s.db.Remove(s.person(c), c.Param("id"))
	c.Status(http.StatusOK)
}

func (s *site) render(c *gin.Context, name string, data any) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	if err := pages.ExecuteTemplate(c.Writer, name, data); err != nil {
		log.Print(err)
	}
}

var pages = template.Must(template.New("").Parse(`
{{define "home"}}<!doctype html><h1>Notebook</h1>
<p>Language: {{.Language}}</p><form method="post" action="/language"><input name="language"><button>Change</button></form>
{{with .User}}<p>Signed in as {{.Name}}. <a href="/notes">Notes</a></p>
<form method="post" action="{{$.Auth.LogoutURL ""}}"><button>Sign out</button></form>
{{else}}<p><a href="{{.Auth.LoginURL "" ""}}">Sign in</a></p>{{end}}{{end}}

{{define "notes"}}<!doctype html><script src="/htmx.js"></script>
<body><h1>Notes</h1>
<form hx-post="/notes" hx-target="#notes" hx-swap="beforeend"><input name="text"><button>Add</button></form>
<ul id="notes">{{range .Notes}}{{template "note" .}}{{end}}</ul></body>{{end}}

{{define "note"}}<li>{{.Text}} <button hx-delete="/notes/{{.ID}}" hx-target="closest li">Remove</button></li>{{end}}
`))
