// Command classic is the example of ginauth, as it is written without it: on
// gin-contrib/sessions and gothic. It shows the same pages, from the same
// templates, and keeps the same of a user. It is there to be measured, and
// not to be copied.
//
// ADDR is where it listens, OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET
// the provider, PAGES where the example's files are.
package main

import (
	"encoding/json"
	"html/template"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"
	"github.com/markbates/goth"
	"github.com/markbates/goth/gothic"
	"github.com/markbates/goth/providers/openidConnect"
)

// user has what the example's pages show.
type user struct {
	Provider, Issuer, Subject, Name, Username, Email, Picture string
	EmailVerified                                             bool
	Groups                                                    []string
	AuthTime                                                  time.Time
	Claims                                                    map[string]any
}

// ID is what the example's page shows as the key to store.
func (u *user) ID() string { return u.Issuer + "#" + u.Subject }

func main() {
	log.SetFlags(0)
	log.SetPrefix("classic: ")
	gin.SetMode(gin.ReleaseMode)
	addr, issuer := os.Getenv("ADDR"), os.Getenv("OIDC_ISSUER")
	key := []byte("keys of 32 bytes: for measuring.")
	gothic.Store = gorilla.NewCookieStore(key, key)
	provider, err := openidConnect.New(os.Getenv("OIDC_CLIENT_ID"), os.Getenv("OIDC_CLIENT_SECRET"), "http://"+addr+"/authorize/oidc",
		issuer+"/.well-known/openid-configuration", "profile", "email")
	if err != nil {
		log.Fatal(err)
	}
	provider.SetName("oidc")
	goth.UseProviders(provider)

	app := gin.New()
	pages := os.Getenv("PAGES")
	app.SetHTMLTemplate(template.Must(template.ParseFiles(filepath.Join(pages, "pages.html"))))
	app.Use(gin.LoggerWithConfig(gin.LoggerConfig{SkipQueryString: true}), gin.Recovery(), headers, sessions.Sessions("session", cookie.NewStore(key, key)))
	app.StaticFile("/style.css", filepath.Join(pages, "style.css"))
	app.GET("/login/:provider", begin)
	app.GET("/authorize/:provider", finish)
	app.GET("/", func(c *gin.Context) { show(c, "home", gin.H{"User": current(c), "Login": "/login/oidc"}) })
	app.GET("/profile", guard, func(c *gin.Context) {
		u := current(c)
		text, _ := json.MarshalIndent(u.Claims, "", "  ")
		show(c, "profile", gin.H{"User": u, "Claims": string(text)})
	})
	log.Fatal(app.Run(addr))
}

// headers are the example's.
func headers(c *gin.Context) {
	c.Header("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src https: http://127.0.0.1:*; form-action 'self' https: http://127.0.0.1:*; base-uri 'none'; frame-ancestors 'none'")
	c.Header("Referrer-Policy", "same-origin")
	c.Header("X-Content-Type-Options", "nosniff")
}

// current is who is signed in, or nil.
func current(c *gin.Context) *user {
	if v, ok := c.Get("user"); ok {
		return v.(*user)
	}
	text, _ := sessions.Default(c).Get("user").([]byte)
	u := new(user)
	if json.Unmarshal(text, u) != nil || time.Since(u.AuthTime) > 7*24*time.Hour {
		return nil
	}
	c.Set("user", u)
	return u
}

func guard(c *gin.Context) {
	if current(c) == nil {
		c.AbortWithStatus(http.StatusUnauthorized)
	}
}

func show(c *gin.Context, page string, data gin.H) { c.HTML(http.StatusOK, page, data) }

func begin(c *gin.Context) {
	s := sessions.Default(c)
	s.Set("return", c.Query("return_to"))
	if err := s.Save(); err != nil {
		_ = c.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	gothic.BeginAuthHandler(c.Writer, gothic.GetContextWithProvider(c.Request, c.Param("provider")))
}

func finish(c *gin.Context) {
	found, err := gothic.CompleteUserAuth(c.Writer, gothic.GetContextWithProvider(c.Request, c.Param("provider")))
	if err != nil {
		_ = c.AbortWithError(http.StatusBadRequest, err)
		return
	}
	text, err := json.Marshal(userOf(found))
	if err != nil {
		_ = c.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	s := sessions.Default(c)
	next, _ := s.Get("return").(string)
	s.Delete("return")
	s.Set("user", text)
	if err := s.Save(); err != nil {
		_ = c.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	c.Redirect(http.StatusSeeOther, next)
}

func userOf(found goth.User) *user {
	u := &user{Provider: found.Provider, Subject: found.UserID, Name: found.Name, Username: found.NickName, Email: found.Email,
		Picture: found.AvatarURL, AuthTime: time.Now(), Claims: found.RawData}
	u.Issuer, _ = found.RawData["iss"].(string)
	u.EmailVerified, _ = found.RawData["email_verified"].(bool)
	groups, _ := found.RawData["groups"].([]any)
	for _, group := range groups {
		name, _ := group.(string)
		u.Groups = append(u.Groups, name)
	}
	return u
}
