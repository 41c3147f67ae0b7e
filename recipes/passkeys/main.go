// Command passkeys offers sign-in with a passkey beside a provider: see docs/local-accounts.md.
// Open the URL that it prints, create an account, and sign in.
package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

func main() {
	demo, err := authtest.Start(authtest.Config{}) // stands in for Google, say
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "localhost:8080"))
	if err != nil {
		log.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	app, err := application(ginauth.Options{
		BaseURL:   "http://localhost:" + port,
		Providers: []ginauth.Provider{demo.Client("demo")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("open http://localhost:%s\n", port)
	log.Fatal(app.RunListener(listener))
}

func application(opts ginauth.Options) (*gin.Engine, error) {
	app := gin.New()
	opts.Providers = append(opts.Providers, ginauth.Provider{
		Name: "passkey", DisplayName: "a passkey",
		Namespace: "https://app.example.com/accounts", // the prefix of User.ID: never change it
		LoginPage: "/passkey",
	})
	auth, err := ginauth.Mount(app, opts)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(opts.BaseURL)
	if err != nil {
		return nil, err
	}
	keys, err := webauthn.New(&webauthn.Config{
		RPID: base.Hostname(), RPDisplayName: "Passkeys", RPOrigins: []string{base.Scheme + "://" + base.Host},
	})
	if err != nil {
		return nil, err
	}
	s := &site{auth: auth, keys: keys, secure: base.Scheme == "https",
		accounts: &accounts{byID: map[string]account{}}, ceremonies: &ceremonies{byID: map[string]ceremony{}}}
	app.GET("/passkey", s.page)
	app.POST("/passkey/sign-in", s.beginSignIn)
	app.POST("/passkey/sign-in/finish", s.finishSignIn)
	app.POST("/passkey/register", s.beginRegistration)
	app.POST("/passkey/register/finish", s.finishRegistration)
	app.GET("/", auth.RequireAuth(), s.home)
	return app, nil
}

type site struct {
	auth       *ginauth.Auth
	keys       *webauthn.WebAuthn
	secure     bool
	accounts   *accounts
	ceremonies *ceremonies
}

// beginSignIn sends a challenge. The user enters no name: the passkey contains the user handle.
func (s *site) beginSignIn(c *gin.Context) {
	options, data, err := s.keys.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.send(c, options.Response, data, nil)
}

// finishSignIn verifies the response, signs the account in and returns the URL to open next.
func (s *site) finishSignIn(c *gin.Context) {
	begun, ok := s.begun(c)
	if !ok || begun.account != nil {
		s.refuse(c, errors.New("no sign-in has begun"))
		return
	}
	user, key, err := s.keys.FinishPasskeyLogin(s.accounts.find, begun.data, c.Request)
	if err != nil {
		s.refuse(c, err)
		return
	}
	if key.Authenticator.CloneWarning { // the counter decreased: the passkey may have been copied
		s.refuse(c, errors.New("the passkey may have been copied"))
		return
	}
	found := user.(*account)
	s.accounts.keep(found, key)
	s.signIn(c, found)
}

// beginRegistration creates an account, which is stored once it has a passkey.
func (s *site) beginRegistration(c *gin.Context) {
	name := strings.TrimSpace(c.PostForm("name"))
	if name == "" || len(name) > 64 {
		s.refuse(c, errors.New("the name is empty or too long"))
		return
	}
	made := newAccount(name)
	options, data, err := s.keys.BeginRegistration(made, webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
		ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
	}))
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.send(c, options.Response, data, made)
}

func (s *site) finishRegistration(c *gin.Context) {
	begun, ok := s.begun(c)
	if !ok || begun.account == nil {
		s.refuse(c, errors.New("no registration has begun"))
		return
	}
	key, err := s.keys.FinishRegistration(begun.account, begun.data, c.Request)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.accounts.keep(begun.account, key)
	s.signIn(c, begun.account)
}

// signIn begins the session. The response contains the URL that the script opens.
func (s *site) signIn(c *gin.Context, found *account) {
	user := &ginauth.User{Provider: "passkey", Subject: hex.EncodeToString(found.ID), Name: found.Name}
	if err := s.auth.SignIn(c, user, nil); err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, gin.H{"url": s.auth.ReturnTo(c)})
}

// cookie holds the id of the ceremony. It is Strict: cross-site requests do not send it.
const cookie = "ceremony"

func (s *site) setCookie(c *gin.Context, value string, maxAge int) {
	http.SetCookie(c.Writer, &http.Cookie{Name: cookie, Value: value, Path: "/passkey", MaxAge: maxAge, HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteStrictMode})
}

// send responds with the options of a ceremony.
func (s *site) send(c *gin.Context, options any, data *webauthn.SessionData, of *account) {
	id, err := s.ceremonies.begin(data, of)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.setCookie(c, id, int(ceremonyLife.Seconds()))
	c.JSON(http.StatusOK, options)
}

// begun takes the ceremony that this browser began.
func (s *site) begun(c *gin.Context) (ceremony, bool) {
	id, _ := c.Cookie(cookie)
	s.setCookie(c, "", -1)
	return s.ceremonies.take(id)
}

// refuse logs err and sends the browser a generic error.
func (s *site) refuse(c *gin.Context, err error) {
	log.Print(err)
	status := http.StatusBadRequest
	if e, ok := errors.AsType[*ginauth.Error](err); ok {
		status = e.Status()
	}
	c.AbortWithStatusJSON(status, gin.H{"error": "That did not work."})
}

func (s *site) page(c *gin.Context) { render(c, signInPage, nil) }

func (s *site) home(c *gin.Context) {
	render(c, homePage, gin.H{"User": ginauth.CurrentUser(c), "Auth": s.auth})
}

func render(c *gin.Context, t *template.Template, data gin.H) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Header("X-Frame-Options", "DENY")
	c.Status(http.StatusOK)
	if err := t.Execute(c.Writer, data); err != nil {
		log.Print(err)
	}
}

var signInPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><title>Sign in</title><link rel="icon" href="data:,">
<h1>Sign in</h1>
<p><button onclick="ceremony('sign-in', 'get')">Sign in with a passkey</button></p>
<p><label>Name <input id="name" autocomplete="username"></label>
<button onclick="ceremony('register', 'create')">Make an account</button></p>
<p role="alert" id="problem"></p>
<script>
async function ceremony(what, verb) {
	try {
		const name = new URLSearchParams({name: document.getElementById("name").value})
		const options = await ask("/passkey/" + what, name)
		const publicKey = verb == "get" ? PublicKeyCredential.parseRequestOptionsFromJSON(options)
			: PublicKeyCredential.parseCreationOptionsFromJSON(options)
		const credential = await navigator.credentials[verb]({publicKey})
		const answer = await ask("/passkey/" + what + "/finish" + location.search, JSON.stringify(credential))
		location.href = answer.url
	} catch (problem) {
		document.getElementById("problem").textContent = problem.message
	}
}
async function ask(url, body) {
	const response = await fetch(url, {method: "POST", body})
	const answer = await response.json()
	if (!response.ok) throw new Error(answer.error)
	return answer
}
</script></html>`))

var homePage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><title>Home</title><link rel="icon" href="data:,">
<h1>Hello, {{.User.Name}}!</h1>
<p>Signed in with {{.User.Provider}}.</p>
<form method="post" action="{{.Auth.LogoutURL ""}}"><button>Sign out</button></form></html>`))
