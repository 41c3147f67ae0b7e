// Package own is the board of package before, with ginauth for the sign-in at the provider and for
// the guard. Its sessions remain JWTs, which other services may read.
package own

import (
	"html/template"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
	"github.com/ginauth/ginauth/test/moving/jwt/board"
)

const life = 24 * time.Hour // of a session

type site struct {
	settings board.Settings
	db       *board.DB
}

// New returns the application.
func New(settings board.Settings, db *board.DB) (http.Handler, error) {
	corp := providers.OIDC("corp", settings.Issuer, settings.ClientID, settings.ClientSecret)
	corp.CallbackPath = "/callback" // the registered path
	app := gin.New()
	s := &site{settings: settings, db: db}
	auth, err := ginauth.Mount(app.Group("/sso"), ginauth.Options{
		BaseURL:   settings.BaseURL,
		Keys:      strings.Fields(settings.SessionKeys),
		Providers: []ginauth.Provider{corp},
		Hooks:     ginauth.Hooks{OnLogin: s.onLogin, Authenticate: s.authenticate},
	})
	if err != nil {
		return nil, err
	}
	app.GET("/login", func(c *gin.Context) { c.Redirect(http.StatusSeeOther, auth.LoginURL("corp", c.Query("next"))) })
	app.POST("/logout", auth.RequireAuth(), s.logout)
	app.GET("/", auth.RequireAuth(), s.home)
	app.GET("/ws", auth.RequireAuth(), s.socket)
	api := app.Group("/api", auth.RequireAuth())
	api.GET("/me", s.me)
	api.GET("/posts", s.posts)
	api.POST("/posts", s.post)
	api.POST("/keys", s.newKey)
	api.POST("/tokens", s.newToken)
	return app, nil
}

// onLogin begins a session of the board, without one of ginauth's.
func (s *site) onLogin(c *gin.Context, login *ginauth.Login) error {
	token, err := s.settings.NewToken(s.db.SignIn(login.User.Subject, login.User.Name), life)
	if err != nil {
		return err
	}
	s.setCookie(c, token, int(life.Seconds()))
	login.NoSession = true
	return nil
}

func (s *site) setCookie(c *gin.Context, token string, age int) {
	http.SetCookie(c.Writer, &http.Cookie{Name: "token", Value: token, Path: "/", MaxAge: age, HttpOnly: true,
		Secure: strings.HasPrefix(s.settings.BaseURL, "https://"), SameSite: http.SameSiteLaxMode})
}

// authenticate reads the board's own credentials: a token of a program, an API key, a session.
func (s *site) authenticate(c *gin.Context) (*ginauth.User, error) {
	var p board.Person
	var ok bool
	if token, sent := strings.CutPrefix(c.GetHeader("Authorization"), "Bearer "); sent {
		p, _, ok = s.settings.Token(s.db, token)
	} else if key := c.GetHeader("X-API-Key"); key != "" {
		p, ok = s.db.KeyOf(key)
	} else if token, err := c.Cookie("token"); err != nil {
		return nil, nil
	} else if p, _, ok = s.settings.Token(s.db, token); !ok {
		return nil, nil // expired: the guard redirects to the sign-in
	}
	if !ok {
		return nil, ginauth.ErrInvalidToken
	}
	return &ginauth.User{Provider: "corp", Subject: p.Subject, Name: p.Name, Data: map[string]string{"person": p.ID}}, nil
}

func (s *site) logout(c *gin.Context) {
	s.setCookie(c, "", -1)
	c.Redirect(http.StatusSeeOther, "/")
}

// person returns the signed-in user's row in the board's own table.
func (s *site) person(c *gin.Context) board.Person {
	p, _ := s.db.Person(ginauth.CurrentUser(c).Data["person"])
	return p
}

func (s *site) home(c *gin.Context) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	if err := home.Execute(c.Writer, ginauth.CurrentUser(c)); err != nil {
		log.Print(err)
	}
}

var home = template.Must(template.New("").Parse(`<!doctype html><h1>Hello, {{.Name}}!</h1>
<form method="post" action="/logout"><button>Sign out</button></form>`))

func (s *site) socket(c *gin.Context) {
	socket, err := websocket.Accept(c.Writer, c.Request, nil)
	if err != nil {
		return
	}
	board.Talk(c.Request.Context(), socket, s.person(c))
}

func (s *site) me(c *gin.Context) { c.JSON(http.StatusOK, s.person(c)) }

func (s *site) posts(c *gin.Context) { c.JSON(http.StatusOK, s.db.Posts()) }

func (s *site) post(c *gin.Context) {
	s.db.Post(c.PostForm("text"))
	c.Status(http.StatusCreated)
}

func (s *site) newKey(c *gin.Context) {
	c.JSON(http.StatusCreated, gin.H{"key": s.db.NewKey(s.person(c).ID)})
}

// newToken is for programs.
func (s *site) newToken(c *gin.Context) {
	token, err := s.settings.NewToken(s.person(c), 90*24*time.Hour)
	if err != nil {
		c.Status(http.StatusInternalServerError)
		return
	}
	c.JSON(http.StatusCreated, gin.H{"token": token})
}
