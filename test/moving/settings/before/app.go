// Package before is a product that others install: a single-page application with passwords,
// and with providers that an administrator enters. OAuth and sessions are written by hand.
package before

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/test/moving/settings/product"
)

const (
	lasting = 30 * 24 * time.Hour // with "remember me"
	short   = 12 * time.Hour      // without
)

type site struct {
	install product.Install
	db      *product.DB
	secure  bool

	mu    sync.Mutex
	trips map[string]trip // by state
}

// trip is a sign-in in progress.
type trip struct {
	provider, verifier, next string
	link                     string // the account to link to
	expires                  time.Time
}

// New returns the application.
func New(install product.Install, db *product.DB) (http.Handler, error) {
	app := gin.New()
	s := &site{install: install, db: db, secure: strings.HasPrefix(install.BaseURL, "https://"), trips: map[string]trip{}}
	api := app.Group("/api", s.sameOrigin)
	api.GET("/providers", s.buttons)
	api.POST("/session", s.signIn)
	api.DELETE("/session", s.signOut)
	api.GET("/oauth/:provider/start", s.start)
	api.GET("/oauth/callback", s.callback)
	api.POST("/oauth/:provider/link", s.signedIn, s.link)
	api.GET("/me", s.signedIn, s.me)
	api.PUT("/settings/providers", s.signedIn, s.administrator, s.setProviders)
	app.NoRoute(s.page)
	return app, nil
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

// sameOrigin rejects requests from other sites.
func (s *site) sameOrigin(c *gin.Context) {
	origin := c.GetHeader("Origin")
	if c.Request.Method != http.MethodGet && origin != "" && origin != s.install.BaseURL {
		c.AbortWithStatusJSON(http.StatusForbidden, gin.H{"error": "cross_origin"})
	}
}

func (s *site) buttons(c *gin.Context) {
	list := []gin.H{}
	for _, p := range s.db.Providers() {
		list = append(list, gin.H{"title": p.Title, "url": "/api/oauth/" + p.Name + "/start"})
	}
	c.JSON(http.StatusOK, list)
}

func (s *site) signIn(c *gin.Context) {
	var form struct {
		Name, Password, Next string
		Remember             bool
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
	s.begin(c, account.ID, form.Remember)
	c.JSON(http.StatusOK, gin.H{"url": safe(form.Next)})
}

// begin starts a session.
func (s *site) begin(c *gin.Context, account string, remember bool) {
	if old, err := c.Cookie("session"); err == nil {
		s.db.EndSession(hash(old))
	}
	id := rand.Text()
	s.db.SetSession(hash(id), product.Session{Account: account, Remember: remember, Created: time.Now()})
	age := 0
	if remember {
		age = int(lasting.Seconds())
	}
	s.setCookie(c, "session", id, age)
}

func (s *site) setCookie(c *gin.Context, name, value string, age int) {
	http.SetCookie(c.Writer, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode})
}

func (s *site) signOut(c *gin.Context) {
	if id, err := c.Cookie("session"); err == nil {
		s.db.EndSession(hash(id))
	}
	s.setCookie(c, "session", "", -1)
	c.Status(http.StatusNoContent)
}

// account returns the signed-in account.
func (s *site) account(c *gin.Context) (product.Account, bool) {
	id, err := c.Cookie("session")
	if err != nil {
		return product.Account{}, false
	}
	session, ok := s.db.Session(hash(id))
	life := short
	if session.Remember {
		life = lasting
	}
	if !ok || time.Since(session.Created) > life {
		return product.Account{}, false
	}
	return s.db.Account(session.Account)
}

// signedIn is the guard.
func (s *site) signedIn(c *gin.Context) {
	account, ok := s.account(c)
	if !ok {
		c.AbortWithStatusJSON(http.StatusUnauthorized, gin.H{"error": "unauthenticated"})
		return
	}
	c.Set("account", account)
	c.Header("Cache-Control", "no-store")
}

func (s *site) administrator(c *gin.Context) {
	if !c.MustGet("account").(product.Account).Admin {
		c.AbortWithStatusJSON(http.StatusForbidden, gin.H{"error": "forbidden"})
	}
}

func (s *site) me(c *gin.Context) {
	c.JSON(http.StatusOK, c.MustGet("account"))
}

// config returns the client configuration for a provider.
func (s *site) config(name string) (oauth2.Config, product.Provider, bool) {
	for _, p := range s.db.Providers() {
		if p.Name == name {
			return oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, RedirectURL: s.install.BaseURL + "/api/oauth/callback",
				Endpoint: oauth2.Endpoint{AuthURL: p.AuthorizeURL, TokenURL: p.TokenURL}, Scopes: []string{"openid", "profile", "email"}}, p, true
		}
	}
	return oauth2.Config{}, product.Provider{}, false
}

// leave begins a sign-in, and returns the authorization URL.
func (s *site) leave(c *gin.Context, t trip) (string, bool) {
	config, _, ok := s.config(t.provider)
	if !ok {
		return "", false
	}
	state := rand.Text()
	t.verifier, t.expires = oauth2.GenerateVerifier(), time.Now().Add(10*time.Minute)
	s.mu.Lock()
	for old, t := range s.trips {
		if time.Now().After(t.expires) {
			delete(s.trips, old)
		}
	}
	s.trips[state] = t
	s.mu.Unlock()
	s.setCookie(c, "oauth_state", state, 600)
	return config.AuthCodeURL(state, oauth2.S256ChallengeOption(t.verifier)), true
}

func (s *site) start(c *gin.Context) {
	location, ok := s.leave(c, trip{provider: c.Param("provider"), next: safe(c.Query("next"))})
	if !ok {
		c.String(http.StatusNotFound, "there is no such provider")
		return
	}
	c.Redirect(http.StatusFound, location)
}

// link begins a sign-in that links a provider's account to the account of this session.
func (s *site) link(c *gin.Context) {
	location, ok := s.leave(c, trip{provider: c.Param("provider"), next: "/account", link: c.MustGet("account").(product.Account).ID})
	if !ok {
		c.JSON(http.StatusNotFound, gin.H{"error": "unknown_provider"})
		return
	}
	c.JSON(http.StatusOK, gin.H{"url": location})
}

func (s *site) callback(c *gin.Context) {
	state, err := c.Cookie("oauth_state")
	s.setCookie(c, "oauth_state", "", -1)
	s.mu.Lock()
	t, known := s.trips[state]
	delete(s.trips, state)
	s.mu.Unlock()
	if err != nil || !known || state != c.Query("state") || time.Now().After(t.expires) {
		c.String(http.StatusBadRequest, "this sign-in has expired, please try again")
		return
	}
	subject, name, err := s.redeem(c, t)
	if err != nil {
		log.Print(err)
		c.String(http.StatusBadGateway, "the provider could not be asked")
		return
	}
	if t.link != "" {
		if account, ok := s.account(c); !ok || account.ID != t.link {
			c.String(http.StatusForbidden, "you are not signed in any more")
			return
		}
	}
	account, err := s.db.Linked(product.Link{Provider: t.provider, Subject: subject}, name, t.link)
	if err != nil {
		c.String(http.StatusForbidden, err.Error())
		return
	}
	s.begin(c, account, true)
	c.Redirect(http.StatusFound, t.next)
}

// redeem exchanges the code and reads the user from the provider.
func (s *site) redeem(c *gin.Context, t trip) (subject, name string, err error) {
	config, provider, ok := s.config(t.provider)
	if !ok || c.Query("error") != "" {
		return "", "", fmt.Errorf("provider %q says %q", t.provider, c.Query("error"))
	}
	ctx := c.Request.Context()
	if s.install.Client != nil {
		ctx = context.WithValue(ctx, oauth2.HTTPClient, s.install.Client)
	}
	token, err := config.Exchange(ctx, c.Query("code"), oauth2.VerifierOption(t.verifier))
	if err != nil {
		return "", "", err
	}
	response, err := config.Client(ctx, token).Get(provider.UserinfoURL)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	var profile struct{ Sub, Name string }
	if err := json.NewDecoder(response.Body).Decode(&profile); err != nil {
		return "", "", err
	}
	if response.StatusCode != http.StatusOK || profile.Sub == "" {
		return "", "", errors.New("the profile has no sub")
	}
	return profile.Sub, profile.Name, nil
}

func (s *site) setProviders(c *gin.Context) {
	var list []product.Provider
	if err := c.ShouldBindJSON(&list); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
		return
	}
	names := map[string]bool{}
	for _, p := range list {
		for _, address := range []string{p.AuthorizeURL, p.TokenURL, p.UserinfoURL} {
			if u, err := url.Parse(address); err != nil || u.Scheme != "https" {
				c.JSON(http.StatusUnprocessableEntity, gin.H{"error": address + " is not an https address"})
				return
			}
		}
		if p.Name == "" || p.ClientID == "" || names[p.Name] {
			c.JSON(http.StatusUnprocessableEntity, gin.H{"error": "a provider has no name, the name of another, or no client"})
			return
		}
		names[p.Name] = true
	}
	s.db.SetProviders(list)
	c.JSON(http.StatusOK, list)
}

// safe returns an address of this site, or "/".
func safe(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func hash(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}
