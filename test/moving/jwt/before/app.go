// Package before is a board with an API and WebSockets: x/oauth2 and go-oidc by hand, JWTs as
// sessions and as tokens of programs, and API keys.
package before

import (
	"context"
	"crypto/rand"
	"errors"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/test/moving/jwt/board"
)

const life = 24 * time.Hour // of a session

type site struct {
	settings board.Settings
	db       *board.DB
	secure   bool
	config   oauth2.Config
	verifier *oidc.IDTokenVerifier
}

// New returns the application.
func New(settings board.Settings, db *board.DB) (http.Handler, error) {
	provider, err := oidc.NewProvider(context.Background(), settings.Issuer)
	if err != nil {
		return nil, err
	}
	s := &site{settings: settings, db: db, secure: strings.HasPrefix(settings.BaseURL, "https://"),
		config: oauth2.Config{ClientID: settings.ClientID, ClientSecret: settings.ClientSecret, Endpoint: provider.Endpoint(),
			RedirectURL: settings.BaseURL + "/callback", Scopes: []string{oidc.ScopeOpenID, "profile", "email"}},
		verifier: provider.Verifier(&oidc.Config{ClientID: settings.ClientID})}
	app := gin.New()
	app.GET("/login", s.login)
	app.GET("/callback", s.callback)
	app.POST("/logout", s.logout)
	app.GET("/", s.signedIn, s.home)
	app.GET("/ws", s.signedIn, s.socket)
	api := app.Group("/api", s.signedIn)
	api.GET("/me", s.me)
	api.GET("/posts", s.posts)
	api.POST("/posts", s.post)
	api.POST("/keys", s.newKey)
	api.POST("/tokens", s.newToken)
	return app, nil
}

func (s *site) setCookie(c *gin.Context, name, value string, age int) {
	http.SetCookie(c.Writer, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode})
}

func (s *site) login(c *gin.Context) {
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	s.setCookie(c, "oauth_state", state, 600)
	s.setCookie(c, "oauth_nonce", nonce, 600)
	s.setCookie(c, "oauth_verifier", verifier, 600)
	s.setCookie(c, "oauth_next", url.QueryEscape(safe(c.Query("next"))), 600)
	c.Redirect(http.StatusFound, s.config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
}

func (s *site) callback(c *gin.Context) {
	subject, name, err := s.redeem(c)
	for _, cookie := range []string{"oauth_state", "oauth_nonce", "oauth_verifier", "oauth_next"} {
		s.setCookie(c, cookie, "", -1)
	}
	if err != nil {
		log.Print(err)
		c.String(http.StatusBadRequest, "The sign-in failed. Please try again.")
		return
	}
	token, err := s.settings.NewToken(s.db.SignIn(subject, name), life)
	if err != nil {
		log.Print(err)
		c.String(http.StatusInternalServerError, "The sign-in failed.")
		return
	}
	s.setCookie(c, "token", token, int(life.Seconds()))
	next, _ := c.Cookie("oauth_next")
	c.Redirect(http.StatusFound, safe(next))
}

// redeem verifies the response of the provider.
func (s *site) redeem(c *gin.Context) (subject, name string, err error) {
	state, err := c.Cookie("oauth_state")
	if err != nil || state == "" || state != c.Query("state") {
		return "", "", errors.New("the state does not match")
	}
	if problem := c.Query("error"); problem != "" {
		return "", "", errors.New("the provider says " + problem)
	}
	verifier, _ := c.Cookie("oauth_verifier")
	token, err := s.config.Exchange(c.Request.Context(), c.Query("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return "", "", err
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", "", errors.New("there is no ID token")
	}
	id, err := s.verifier.Verify(c.Request.Context(), raw)
	if err != nil {
		return "", "", err
	}
	if nonce, _ := c.Cookie("oauth_nonce"); nonce == "" || id.Nonce != nonce {
		return "", "", errors.New("the nonce does not match")
	}
	var claims struct{ Name string }
	if err := id.Claims(&claims); err != nil {
		return "", "", err
	}
	return id.Subject, claims.Name, nil
}

func (s *site) logout(c *gin.Context) {
	s.setCookie(c, "token", "", -1)
	c.Redirect(http.StatusFound, "/")
}

// safe returns an address of this site, or "/".
func safe(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

// person identifies the sender of a request by API key, a program's token or session.
func (s *site) person(c *gin.Context) (board.Person, bool) {
	if key := c.GetHeader("X-API-Key"); key != "" {
		return s.db.KeyOf(key)
	}
	token, sent := strings.CutPrefix(c.GetHeader("Authorization"), "Bearer ")
	if !sent {
		token, _ = c.Cookie("token")
	}
	p, _, ok := s.settings.Token(s.db, token)
	return p, ok
}

// signedIn is the guard.
func (s *site) signedIn(c *gin.Context) {
	person, ok := s.person(c)
	switch {
	case ok:
		c.Set("person", person)
	case strings.HasPrefix(c.Request.URL.Path, "/api/") || c.GetHeader("Upgrade") != "":
		c.AbortWithStatusJSON(http.StatusUnauthorized, gin.H{"error": "unauthenticated"})
	default:
		c.Redirect(http.StatusFound, "/login?next="+url.QueryEscape(c.Request.RequestURI))
		c.Abort()
	}
}

func (s *site) home(c *gin.Context) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	if err := home.Execute(c.Writer, c.MustGet("person")); err != nil {
		log.Print(err)
	}
}

var home = template.Must(template.New("").Parse(`<!doctype html><h1>Hello, {{.Name}}!</h1>
<form method="post" action="/logout"><button>Sign out</button></form>`))

func (s *site) socket(c *gin.Context) {
	socket, err := websocket.Accept(c.Writer, c.Request, nil) // which compares Origin and Host
	if err != nil {
		return
	}
	board.Talk(c.Request.Context(), socket, c.MustGet("person").(board.Person))
}

func (s *site) me(c *gin.Context) { c.JSON(http.StatusOK, c.MustGet("person")) }

func (s *site) posts(c *gin.Context) { c.JSON(http.StatusOK, s.db.Posts()) }

func (s *site) post(c *gin.Context) {
	s.db.Post(c.PostForm("text"))
	c.Status(http.StatusCreated)
}

func (s *site) newKey(c *gin.Context) {
	c.JSON(http.StatusCreated, gin.H{"key": s.db.NewKey(c.MustGet("person").(board.Person).ID)})
}

// newToken is for programs.
func (s *site) newToken(c *gin.Context) {
	token, err := s.settings.NewToken(c.MustGet("person").(board.Person), 90*24*time.Hour)
	if err != nil {
		c.Status(http.StatusInternalServerError)
		return
	}
	c.JSON(http.StatusCreated, gin.H{"token": token})
}
