// Package after is the product of package before, with ginauth.
package after

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/test/moving/settings/product"
)

const (
	lasting = 30 * 24 * time.Hour // with "remember me"
	short   = 12 * time.Hour      // without
)

type site struct {
	db   *product.DB
	auth *ginauth.Auth
	mu   sync.Mutex // for the settings page
}

// New returns the application.
func New(install product.Install, db *product.DB) (http.Handler, error) {
	app := gin.New()
	s := &site{db: db}
	app.Use(s.loadUser, s.carryOver)
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:       install.BaseURL,
		InsecureHTTP:  true, // no effect on https: the administrator's address decides
		Keys:          strings.Fields(install.SessionKeys),
		Providers:     providers(db.Providers()),
		CallbackPaths: []string{"/api/oauth/callback", "/api/oauth/:provider/callback"}, // for providers that are added later
		LoginPage:     "/signin",
		Lifetime:      lasting,
		IdleTimeout:   lasting,
		HTTPClient:    install.Client,
		Hooks:         ginauth.Hooks{OnLogin: s.onLogin, OnLogout: s.onLogout},
	})
	if err != nil {
		return nil, err
	}
	s.auth = auth
	api := app.Group("/api")
	api.GET("/providers", s.buttons)
	api.POST("/session", s.signIn)
	api.DELETE("/session", s.signOut)
	api.GET("/oauth/:provider/start", func(c *gin.Context) { // links of the old version
		c.Redirect(http.StatusSeeOther, auth.LoginURL(c.Param("provider"), c.Query("next")))
	})
	api.POST("/oauth/:provider/link", auth.RequireAuth(), s.link)
	api.GET("/me", auth.RequireAuth(), s.me)
	api.PUT("/settings/providers", auth.RequireAuth(s.administrator), s.setProviders)
	app.NoRoute(s.page)
	return app, nil
}

// providers returns the product's own accounts, and the providers of the settings page.
func providers(rows []product.Provider) []ginauth.Provider {
	list := []ginauth.Provider{{
		Name: "password", Namespace: "https://product.example/accounts", // the prefix of User.ID: never change it
		LoginPage: "/signin",
	}}
	for _, row := range rows {
		p := ginauth.Provider{
			Name: row.Name, DisplayName: row.Title, ClientID: row.ClientID, ClientSecret: row.ClientSecret,
			AuthorizeURL: row.AuthorizeURL, TokenURL: row.TokenURL, UserinfoURL: row.UserinfoURL,
			Scopes: []string{"openid", "profile", "email"}, Issuer: row.Issuer,
			CallbackPath: "/api/oauth/callback", // the registered path
		}
		if row.Issuer == "" { // the userinfo endpoint identifies the user, as before
			p.Namespace = row.UserinfoURL
		}
		if row.OwnPath { // the settings page sets it for new providers
			p.CallbackPath = "/api/oauth/:provider/callback"
		}
		list = append(list, p)
	}
	return list
}

//go:embed index.html
var index []byte

// page serves the application in the browser, whose own router handles the path.
func (s *site) page(c *gin.Context) {
	if strings.HasPrefix(c.Request.URL.Path, "/api/") {
		c.JSON(http.StatusNotFound, gin.H{"error": "not_found"})
		return
	}
	c.Data(http.StatusOK, "text/html; charset=utf-8", index)
}

func (s *site) buttons(c *gin.Context) {
	list := []gin.H{}
	for _, p := range s.auth.Providers() {
		if p.LoginPage == "" {
			list = append(list, gin.H{"title": p.DisplayName, "url": s.auth.LoginURL(p.Name, c.Query("return_to"))})
		}
	}
	c.JSON(http.StatusOK, list)
}

func (s *site) signIn(c *gin.Context) {
	var form struct {
		Name, Password string
		Remember       bool
	}
	if err := c.ShouldBindJSON(&form); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": "bad_request"})
		return
	}
	account, ok := s.db.Check(form.Name, form.Password)
	if !ok {
		c.JSON(http.StatusUnauthorized, gin.H{"error": "wrong_password"})
		return
	}
	if err := s.auth.SignIn(c, user(account), limits(form.Remember)); err != nil {
		s.auth.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, gin.H{"url": s.auth.ReturnTo(c)})
}

// user returns the user of an account with a password.
func user(a product.Account) *ginauth.User {
	return &ginauth.User{Provider: "password", Subject: a.ID, Name: a.Name, Data: map[string]string{"account": a.ID}}
}

// limits are those of a session without "remember me".
func limits(remember bool) *ginauth.SessionLimits {
	if remember {
		return nil
	}
	return &ginauth.SessionLimits{Lifetime: short, IdleTimeout: short, BrowserOnly: true}
}

func (s *site) signOut(c *gin.Context) {
	if err := s.auth.Logout(c); err != nil {
		s.auth.Fail(c, err)
		return
	}
	c.Status(http.StatusNoContent)
}

// onLogin finds the account of a provider's user, or links the user to the account that
// requested it.
func (s *site) onLogin(c *gin.Context, login *ginauth.Login) error {
	id := ""
	if login.Previous != nil {
		id = login.Previous.Data["account"]
	}
	account, err := s.db.Linked(product.Link{Provider: login.User.Provider, Subject: login.User.Subject}, login.User.Name, id)
	login.User.Data["account"] = account
	return err
}

// link begins a sign-in that links a provider's account to the account of this session.
func (s *site) link(c *gin.Context) {
	location, err := s.auth.BeginLogin(c, ginauth.Start{Provider: c.Param("provider"), ReturnTo: "/account", Link: true})
	if err != nil {
		s.auth.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, gin.H{"url": location})
}

// administrator is a ginauth.Check.
func (s *site) administrator(u *ginauth.User) error {
	if account, ok := s.db.Account(u.Data["account"]); !ok || !account.Admin {
		return ginauth.ErrForbidden
	}
	return nil
}

func (s *site) me(c *gin.Context) {
	account, _ := s.db.Account(ginauth.CurrentUser(c).Data["account"])
	c.JSON(http.StatusOK, account)
}

func (s *site) setProviders(c *gin.Context) {
	var list []product.Provider
	if err := c.ShouldBindJSON(&list); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
		return
	}
	s.mu.Lock() // so that the table matches the list in use
	defer s.mu.Unlock()
	if err := s.auth.SetProviders(providers(list)); err != nil {
		c.JSON(http.StatusUnprocessableEntity, gin.H{"error": err.Error()}) // nothing has changed
		return
	}
	s.db.SetProviders(list)
	c.JSON(http.StatusOK, list)
}

// loadUser runs before all routes, including those of Mount, like carryOver.
func (s *site) loadUser(c *gin.Context) { s.auth.LoadUser()(c) }

// carryOver converts an old session into one of ginauth's. Its row stays until the user signs
// out, because an open page sends several requests at once. Remove this, with the table, when the
// last old session has expired.
func (s *site) carryOver(c *gin.Context) {
	id, err := c.Cookie("session")
	if err != nil || ginauth.CurrentUser(c) != nil {
		return
	}
	sum := sha256.Sum256([]byte(id))
	row := hex.EncodeToString(sum[:])
	old, ok := s.db.Session(row)
	account, known := s.db.Account(old.Account)
	if !ok || !known || !old.Remember && time.Since(old.Created) > short || time.Since(old.Created) > lasting {
		return
	}
	u := user(account)
	u.AuthTime, u.Data["before"] = old.Created, row
	if s.auth.SignIn(c, u, limits(old.Remember)) != nil {
		return // a form from another site, for example: the guard responds
	}
	http.SetCookie(c.Writer, &http.Cookie{Name: "session", Path: "/", MaxAge: -1})
}

// onLogout ends the old session, too.
func (s *site) onLogout(c *gin.Context, u *ginauth.User) { s.db.EndSession(u.Data["before"]) }
