// Package after is the board of package before, with ginauth's sessions for browsers. Programs
// keep their tokens and keys.
package after

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

type site struct {
	settings board.Settings
	db       *board.DB
	auth     *ginauth.Auth
}

// New returns the application.
func New(settings board.Settings, db *board.DB) (http.Handler, error) {
	corp := providers.OIDC("corp", settings.Issuer, settings.ClientID, settings.ClientSecret)
	corp.CallbackPath = "/callback" // the registered path
	app := gin.New()
	s := &site{settings: settings, db: db}
	app.Use(s.loadUser, s.carryOver)
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   settings.BaseURL,
		Keys:      strings.Fields(settings.SessionKeys),
		Providers: []ginauth.Provider{corp},
		Hooks:     ginauth.Hooks{OnLogin: s.onLogin, Authenticate: s.authenticate},
	})
	if err != nil {
		return nil, err
	}
	s.auth = auth
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

// onLogin finds the person in the board's own table.
func (s *site) onLogin(c *gin.Context, login *ginauth.Login) error {
	login.User.Data["person"] = s.db.SignIn(login.User.Subject, login.User.Name).ID
	return nil
}

// authenticate is for programs: with a token of the board, or an API key.
func (s *site) authenticate(c *gin.Context) (*ginauth.User, error) {
	var p board.Person
	var ok bool
	if token, sent := strings.CutPrefix(c.GetHeader("Authorization"), "Bearer "); sent {
		p, _, ok = s.settings.Token(s.db, token)
	} else if key := c.GetHeader("X-API-Key"); key != "" {
		p, ok = s.db.KeyOf(key)
	} else {
		return nil, nil // a browser: the session counts
	}
	if !ok {
		return nil, ginauth.ErrInvalidToken
	}
	return user(p), nil
}

func user(p board.Person) *ginauth.User {
	return &ginauth.User{Provider: "corp", Subject: p.Subject, Name: p.Name, Data: map[string]string{"person": p.ID}}
}

// loadUser runs before all routes, including those of Mount, like carryOver.
func (s *site) loadUser(c *gin.Context) { s.auth.LoadUser()(c) }

// carryOver converts an old session into one of ginauth's, once. Remove it a day after the
// change, when the last old session has expired.
func (s *site) carryOver(c *gin.Context) {
	token, err := c.Cookie("token")
	if err != nil || ginauth.CurrentUser(c) != nil || c.GetHeader("X-API-Key") != "" {
		return
	}
	p, made, ok := s.settings.Token(s.db, token)
	if !ok {
		return
	}
	u := user(p)
	u.AuthTime = made
	if s.auth.SignIn(c, u, nil) != nil {
		return // a form from another site, for example: the guard responds
	}
	http.SetCookie(c.Writer, &http.Cookie{Name: "token", Path: "/", MaxAge: -1})
}

// person returns the signed-in user's row in the board's own table.
func (s *site) person(c *gin.Context) board.Person {
	p, _ := s.db.Person(ginauth.CurrentUser(c).Data["person"])
	return p
}

func (s *site) home(c *gin.Context) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	if err := home.Execute(c.Writer, gin.H{"User": ginauth.CurrentUser(c), "Auth": s.auth}); err != nil {
		log.Print(err)
	}
}

var home = template.Must(template.New("").Parse(`<!doctype html><h1>Hello, {{.User.Name}}!</h1>
<form method="post" action="{{.Auth.LogoutURL ""}}"><button>Sign out</button></form>`))

func (s *site) socket(c *gin.Context) {
	socket, err := websocket.Accept(c.Writer, c.Request, nil)
	if err != nil {
		return
	}
	board.Talk(s.auth.SessionContext(c), socket, s.person(c))
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
