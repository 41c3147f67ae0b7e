package ginauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"html"
	"html/template"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// An OpenID Connect provider needs its issuer and the client's credentials; its metadata
// supplies everything else.
func ExampleProvider() {
	idp := startDemo()
	defer idp.Close()
	corp := ginauth.Provider{
		Name:         "corp",
		Issuer:       idp.Issuer, // "https://login.corp.example"
		ClientID:     idp.ClientID,
		ClientSecret: idp.ClientSecret,
	}
	fmt.Println(whoSignsIn(corp, "Zoë Ångström"))
	// Output: 200 {"sub":"zoe","name":"Zoë Ångström","email":"zoe@example.com","verified":true}
}

// A handler calls the provider's API as the signed-in user.
func ExampleAuth_Client() {
	idp := startDemo()
	defer idp.Close()
	corp := idp.Client("corp")
	corp.APIs = []ginauth.API{{URL: idp.Issuer + "/"}} // "https://api.corp.example/"
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{corp}})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		resp, err := auth.Client(c).Get(idp.URL(authtest.Userinfo)) // "https://api.corp.example/me"
		if err != nil {
			auth.Fail(c, err)
			return
		}
		defer resp.Body.Close()
		var me struct{ Name string }
		if err := json.NewDecoder(resp.Body).Decode(&me); err != nil {
			auth.Fail(c, err)
			return
		}
		c.String(http.StatusOK, "the API says: %s", me.Name)
	})
	v := visit(app)
	defer v.leave()
	fmt.Println(v.signIn("/", "Zoë Ångström"))
	// Output: 200 the API says: Zoë Ångström
}

// Only some pages need the calendar. The user connects it by a link, and the provider asks for
// consent if necessary.
func ExampleAuth_Token() {
	idp := startDemo()
	defer idp.Close()
	calendar := idp.Issuer + "/calendar/events" // "https://www.googleapis.com/calendar/v3/…"
	corp := idp.Client("corp")
	corp.APIs = []ginauth.API{{URL: idp.Issuer + "/calendar/", Scopes: []string{"calendar"}}}
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{corp}})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/calendar/connect", auth.RequireAuth(), func(c *gin.Context) {
		if _, err := auth.Token(c, calendar); err != nil {
			auth.Fail(c, err) // asks for consent, and returns here
			return
		}
		c.Redirect(http.StatusSeeOther, "/calendar")
	})
	app.GET("/calendar", auth.RequireAuth(), func(c *gin.Context) {
		_, err := auth.Token(c, calendar)
		c.String(http.StatusOK, "connected: %t", !errors.Is(err, ginauth.ErrStepUpRequired))
	})
	v := visit(app)
	defer v.leave()
	fmt.Println(v.signIn("/calendar", "Ada Lovelace"))
	fmt.Println(v.signIn("/calendar/connect", "Ada Lovelace"))
	// Output:
	// 200 connected: false
	// 200 connected: true
}

// A handler changes the user's roles at the provider, and then refreshes the session.
func ExampleAuth_Recheck() {
	idp := startDemo()
	defer idp.Close()
	corp := idp.Client("corp")
	corp.Recheck = time.Hour // and at any time by Auth.Recheck
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{corp}})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/promote", auth.RequireAuth(), func(c *gin.Context) {
		idp.EditUserinfo(func(claims map[string]any) { claims["groups"] = []string{"admin"} }) // the provider's API
		if err := auth.Recheck(c); err != nil {
			auth.Fail(c, err)
			return
		}
		c.String(http.StatusOK, "groups are %q", ginauth.CurrentUser(c).Groups)
	})
	v := visit(app)
	defer v.leave()
	fmt.Println(v.signIn("/promote", "Zoë Ångström"))
	// Output: 200 groups are ["admin"]
}

// The client authenticates with a private key instead of a secret: no secret leaves the
// application.
func ExampleProvider_privateKey() {
	// Created with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out
	// client.pem
	file := privateKeyFile() // os.ReadFile("client.pem")

	block, _ := pem.Decode(file)
	if block == nil {
		log.Fatal("client.pem has no PEM block")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}
	idp := startDemoFor(key.(crypto.Signer))
	defer idp.Close()
	corp := ginauth.Provider{
		Name:       "corp",
		Issuer:     idp.Issuer, // "https://login.corp.example"
		ClientID:   idp.ClientID,
		PrivateKey: key.(crypto.Signer),
	}
	fmt.Println(whoSignsIn(corp, "Zoë Ångström"))
	// Output: 200 {"sub":"zoe","name":"Zoë Ångström","email":"zoe@example.com","verified":true}
}

// Kubernetes mounts a token for the provider into the pod and replaces it before it expires.
// The provider trusts the signing keys of the cluster.
func ExampleProvider_workloadIdentity() {
	corp := ginauth.Provider{
		Name:       "corp",
		Issuer:     "https://login.corp.example",
		ClientID:   "shop",
		AuthMethod: "private_key_jwt",
		ClientSecretFunc: func(context.Context) (string, error) {
			token, err := os.ReadFile("/var/run/secrets/tokens/login")
			return strings.TrimSpace(string(token)), err
		},
	}
	fmt.Println(corp)
	// Output: Providermap[ClientID:shop Issuer:https://login.corp.example Name:corp]
}

// A plain OAuth 2.0 provider needs its endpoints, the paths of the profile fields, and a
// namespace for the ids of its users.
func ExampleProvider_plainOAuth2() {
	idp := startDemo()
	defer idp.Close()
	idp.Handle(authtest.Userinfo, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"data": {"id": 90071992547409931, "display_name": "Mary Somerville", "contact": {"mail": "mary@example.org"}}}`)
	})
	forum := ginauth.Provider{
		Name:         "forum",
		ClientID:     idp.ClientID,
		ClientSecret: idp.ClientSecret,
		AuthorizeURL: idp.URL(authtest.Authorize), // "https://forum.example/oauth/authorize"
		TokenURL:     idp.URL(authtest.Token),     // "https://forum.example/oauth/token"
		UserinfoURL:  idp.URL(authtest.Userinfo),  // "https://forum.example/api/me"
		Namespace:    "https://forum.example",
		Scopes:       []string{"identity", "mail"},
		ClaimPaths: map[string]string{
			"sub":   "data.id", // the stable id, never a user name
			"name":  "data.display_name",
			"email": "data.contact.mail",
		},
	}
	fmt.Println(whoSignsIn(forum, "Grace Hopper"))
	// Output: 200 {"sub":"90071992547409931","name":"Mary Somerville","email":"mary@example.org","verified":false}
}

// An application keeps the redirect URI that it has registered. Remove the application's own
// handler from that path.
func ExampleProvider_callbackPath() {
	idp := startDemo()
	defer idp.Close()
	corp := idp.Client("corp")
	corp.CallbackPath = "/auth/:provider/callback"
	fmt.Print(whoSignsIn(corp, "Ada Lovelace"))
	fmt.Println(idp.LastRequest(authtest.Token).Form.Get("redirect_uri"))
	// Output:
	// 200 {"sub":"ada","name":"Ada Lovelace","email":"ada@example.com","verified":true}
	// http://localhost:8080/auth/corp/callback
}

// The session must keep a claim that is checked. Here, as with Google, hd is the organization
// that manages the account.
func ExampleHasClaim() {
	idp := startDemo()
	defer idp.Close()
	idp.AddPerson(authtest.Person{Subject: "1", Name: "Employee", Claims: map[string]any{"hd": "example.com"}})
	idp.AddPerson(authtest.Person{Subject: "2", Name: "Visitor"})
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:    "http://localhost:8080",
		Providers:  []ginauth.Provider{idp.Client("corp")},
		KeepClaims: []string{"hd"},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.RequireAuth(ginauth.HasClaim("hd", "example.com")), func(c *gin.Context) {
		c.String(http.StatusOK, "Hello, %s!", ginauth.CurrentUser(c).Name)
	})

	visitor := visit(app)
	defer visitor.leave()
	fmt.Println(visitor.signIn("/", "Employee"))
	fmt.Println(visitor.signIn("/login", "Visitor"))
	// Output:
	// 200 Hello, Employee!
	// 403 Access denied (forbidden)
}

// The address to put behind a "Sign in" button.
func ExampleAuth_LoginURL() {
	app := gin.New()
	auth, err := ginauth.Mount(app.Group("/auth"), ginauth.Options{
		BaseURL:   "https://shop.example.com",
		Keys:      []string{"use what openssl rand -hex 32 prints"},
		Providers: []ginauth.Provider{{Name: "corp", Issuer: "https://login.corp.example", ClientID: "shop", ClientSecret: "secret"}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(auth.LoginURL("corp", "/cart?step=2"))
	fmt.Println(auth.LoginURL("", "")) // the page to choose a provider, then Options.AfterLogin
	// Output:
	// https://shop.example.com/auth/login/corp?return_to=%2Fcart%3Fstep%3D2
	// https://shop.example.com/auth/login
}

// The application's own page to choose a provider, at Options.LoginPage. It is called with
// return_to, which the links pass on.
func ExampleAuth_Providers() {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "https://shop.example.com",
		Keys:      []string{"use what openssl rand -hex 32 prints"},
		Providers: []ginauth.Provider{{Name: "corp", DisplayName: "The Corp", Issuer: "https://login.corp.example", ClientID: "shop", ClientSecret: "secret"}},
		LoginPage: "/welcome",
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	page := template.Must(template.New("").Parse(`{{range .Auth.Providers}}<a href="{{$.Auth.LoginURL .Name $.ReturnTo}}">{{.DisplayName}}</a>{{end}}`))
	app.GET("/welcome", func(c *gin.Context) {
		c.Status(http.StatusOK)
		_ = page.Execute(c.Writer, gin.H{"Auth": auth, "ReturnTo": c.Query("return_to")})
	})

	answer := httptest.NewRecorder()
	app.ServeHTTP(answer, httptest.NewRequest("GET", "/welcome?return_to=/cart", nil))
	fmt.Println(answer.Body)
	// Output:
	// <a href="https://shop.example.com/login/corp?return_to=%2Fcart">The Corp</a>
}

// A button to sign out is a form that posts to this address.
func ExampleAuth_LogoutURL() {
	app := gin.New()
	auth, err := ginauth.Mount(app.Group("/auth"), ginauth.Options{
		BaseURL:   "https://shop.example.com",
		Keys:      []string{"use what openssl rand -hex 32 prints"},
		Providers: []ginauth.Provider{{Name: "corp", Issuer: "https://login.corp.example", ClientID: "shop", ClientSecret: "secret"}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	page := template.Must(template.New("").Parse(`<form method="post" action="{{.LogoutURL "/bye"}}"><button>Sign out</button></form>`))
	if err := page.Execute(os.Stdout, auth); err != nil {
		log.Fatal(err)
	}
	// Output:
	// <form method="post" action="https://shop.example.com/auth/logout?return_to=%2Fbye"><button>Sign out</button></form>
}

// A signed-in user links a second account: a form posts link=true to /login/github, and
// OnLogin receives both users.
func ExampleLogin() {
	corp, github := startDemo(), startDemo() // stands in for GitHub
	defer corp.Close()
	defer github.Close()
	accounts := map[string]string{corp.Issuer + "#ada": "account 7"} // a database's, by User.ID

	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{corp.Client("corp"), github.Client("github")},
		Hooks: ginauth.Hooks{OnLogin: func(c *gin.Context, login *ginauth.Login) error {
			if login.Previous != nil {
				accounts[login.User.ID()] = accounts[login.Previous.ID()]
			}
			login.User.Data = map[string]string{"account": accounts[login.User.ID()]}
			return nil
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		user := ginauth.CurrentUser(c)
		c.String(http.StatusOK, "%s of %s has %s", user.Name, user.Provider, user.Data["account"])
	})

	ada := visit(app)
	defer ada.leave()
	fmt.Println(ada.signIn("/login/corp", "Ada Lovelace"))
	ada.submit("/login/github", url.Values{"link": {"true"}})
	fmt.Println(ada.choose("Grace Hopper")) // her name there
	// Output:
	// 200 Ada Lovelace of corp has account 7
	// 200 Grace Hopper of github has account 7
}

// An invited user opens a link. The invitation passes through the sign-in, sealed, and OnLogin
// decides whether the user that signed in may use it.
func ExampleAuth_BeginLogin() {
	corp := startDemo()
	defer corp.Close()
	invited := map[string]string{"7f3a": "ada@example.com"} // a database's, by the invitation's id

	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{corp.Client("corp")},
		Hooks: ginauth.Hooks{OnLogin: func(c *gin.Context, login *ginauth.Login) error {
			email, verified := login.User.VerifiedEmail()
			if id := login.Data["invitation"]; verified && invited[id] == email {
				login.User.Data["team"] = "engines"
			}
			return nil
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/invitations/:id", func(c *gin.Context) {
		location, err := auth.BeginLogin(c, ginauth.Start{
			Params: map[string]string{"login_hint": invited[c.Param("id")]},
			Data:   map[string]string{"invitation": c.Param("id")},
		})
		if err != nil {
			c.String(http.StatusBadRequest, "This cannot be opened.")
			return
		}
		c.Redirect(http.StatusSeeOther, location)
	})
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		user := ginauth.CurrentUser(c)
		c.String(http.StatusOK, "%s is in the team %q", user.Name, user.Data["team"])
	})

	ada, grace := visit(app), visit(app)
	defer ada.leave()
	defer grace.leave()
	fmt.Println(ada.signIn("/invitations/7f3a", "Ada Lovelace"))
	fmt.Println(grace.signIn("/invitations/7f3a", "Grace Hopper")) // who has found the link
	// Output:
	// 200 Ada Lovelace is in the team "engines"
	// 200 Grace Hopper is in the team ""
}

// An application with its own sessions uses only the sign-in, and writes its own cookie.
func ExampleLogin_noSession() {
	corp := startDemo()
	defer corp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{corp.Client("corp")},
		Hooks: ginauth.Hooks{OnLogin: func(c *gin.Context, login *ginauth.Login) error {
			login.NoSession = true
			c.SetSameSite(http.SameSiteLaxMode)
			c.SetCookie("own", "session of "+login.User.Subject, 3600, "/", "", false, true) // not sent if the sign-in fails
			return nil
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.LoadUser(), func(c *gin.Context) {
		own, _ := c.Cookie("own")
		c.String(http.StatusOK, "the application's: %s; ginauth's: %v", own, ginauth.CurrentUser(c))
	})
	ada := visit(app)
	defer ada.leave()
	fmt.Println(ada.signIn("/login/corp", "Ada Lovelace"))
	// Output: 200 the application's: session of ada; ginauth's: <nil>
}

// A password form as a provider, beside or instead of others.
func ExampleAuth_SignIn() {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL: "http://localhost:8080",
		Providers: []ginauth.Provider{
			{Name: "password", Namespace: "https://app.example.com/accounts", LoginPage: "/password"},
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/password", func(c *gin.Context) {
		c.String(http.StatusOK, "a form that posts to %s", c.Request.URL)
	})
	app.POST("/password", func(c *gin.Context) {
		if c.PostForm("password") != "a good one" { // recipes/password has how to check one
			c.String(http.StatusUnauthorized, "wrong")
			return
		}
		user := &ginauth.User{Provider: "password", Subject: "42", Name: c.PostForm("name")}
		limits := &ginauth.SessionLimits{BrowserOnly: c.PostForm("remember") == ""}
		if err := auth.SignIn(c, user, limits); err != nil {
			c.String(http.StatusForbidden, "not signed in")
			return
		}
		c.Redirect(http.StatusSeeOther, auth.ReturnTo(c))
	})
	app.GET("/reports", auth.RequireAuth(), func(c *gin.Context) {
		user := ginauth.CurrentUser(c)
		c.String(http.StatusOK, "Hello, %s, who is %s!", user.Name, user.ID())
	})

	grace := visit(app)
	defer grace.leave()
	fmt.Println(grace.open("/reports"))
	fmt.Println(grace.submit("/password?return_to=%2Freports", url.Values{"name": {"Grace"}, "password": {"a good one"}}))
	// Output:
	// 200 a form that posts to /password?return_to=%2Freports
	// 200 Hello, Grace, who is https://app.example.com/accounts#42!
}

// A test of a handler for a signed-in user, without a provider.
func ExampleAuth_SignIn_inTests() {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{{Name: "corp", Issuer: "https://login.corp.example", ClientID: "app", ClientSecret: "secret"}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/admin", auth.RequireAuth(ginauth.HasGroup("admin")), func(c *gin.Context) {
		c.String(http.StatusOK, "Hello, %s!", ginauth.CurrentUser(c).Name)
	})

	server := httptest.NewServer(app)
	defer server.Close()
	browser := authtest.NewBrowser()
	browser.Resolve("localhost", server.Listener.Addr().String()) // the address of BaseURL, for this browser
	grace := &ginauth.User{Provider: "corp", Subject: "1", Name: "Grace Hopper", Groups: []string{"admin"}}
	if err := authtest.SignIn(auth, browser, grace); err != nil {
		log.Fatal(err)
	}
	page, err := browser.Get("http://localhost:8080/admin")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.Status, page.Text())
	// Output: 200 Hello, Grace Hopper!
}

// whoSignsIn runs an application with one provider, signs in there, and returns the user.
func whoSignsIn(provider ginauth.Provider, name string) string {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{provider}})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		c.PureJSON(http.StatusOK, struct {
			Sub      string `json:"sub"`
			Name     string `json:"name"`
			Email    string `json:"email"`
			Verified bool   `json:"verified"`
		}{u.Subject, u.Name, u.Email, u.EmailVerified})
	})
	visitor := visit(app)
	defer visitor.leave()
	return visitor.signIn("/", name)
}

// startDemo starts a test provider, and silences ginauth's log.
func startDemo() *authtest.Provider { return startDemoFor(nil) }

// privateKeyFile returns a private key as openssl writes it.
func privateKeyFile() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		log.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// startDemoFor starts a provider for a client with a key, or without one.
func startDemoFor(key crypto.Signer) *authtest.Provider {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	log.SetOutput(os.Stderr) // which SetDefault has redirected
	idp, err := authtest.Start(authtest.Config{ClientKey: key})
	if err != nil {
		log.Fatal(err)
	}
	return idp
}

// visitor is a user with a browser, in which the application is at http://localhost:8080.
type visitor struct {
	server  *httptest.Server
	browser *authtest.Browser
	page    *authtest.Page // the current page
}

func visit(app http.Handler) *visitor {
	v := &visitor{server: httptest.NewServer(app), browser: authtest.NewBrowser()}
	v.browser.Resolve("localhost", v.server.Listener.Addr().String())
	return v
}

func (v *visitor) leave() {
	v.browser.Close()
	v.server.Close()
}

// signIn opens a page that redirects to the provider, and chooses the user with that name
// there.
func (v *visitor) signIn(path, name string) string {
	v.open(path)
	return v.choose(name)
}

func (v *visitor) choose(name string) string { return v.saw(v.browser.SubmitForm(v.page, name, nil)) }

func (v *visitor) open(path string) string {
	return v.saw(v.browser.Get("http://localhost:8080" + path))
}

// submit posts a form of the current page.
func (v *visitor) submit(action string, form url.Values) string {
	return v.saw(v.browser.Submit(v.page, action, form))
}

var errorPage = regexp.MustCompile(`(?s)<h1>(.*?)</h1>.*<footer>(\w+)`)

// saw returns the status and text of a page, or the title and code of a built-in error page.
func (v *visitor) saw(page *authtest.Page, err error) string {
	if err != nil {
		log.Fatal(err)
	}
	v.page = page
	if m := errorPage.FindStringSubmatch(page.Text()); m != nil {
		return fmt.Sprintf("%d %s (%s)", page.Status, html.UnescapeString(m[1]), m[2])
	}
	return fmt.Sprintf("%d %s", page.Status, page.Text())
}

// A complete program with a demo provider that runs in this process. A browser signs in there
// as Ada Lovelace.
func ExampleMount() {
	// README: func main() {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{authtest.Demo("corp")}, // signs people in without an account anywhere
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		c.String(200, "Hello, %s!", ginauth.CurrentUser(c).Name)
	})
	// README: }

	ada := visit(app)
	defer ada.leave()
	fmt.Println(ada.signIn("/", "Ada Lovelace"))
	// Output: 200 Hello, Ada Lovelace!
}

// Checks decide which users are admitted. A user that fails a check gets 403 and is not
// redirected to the login.
func ExampleAuth_RequireAuth() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{idp.Client("corp")},
	})
	if err != nil {
		log.Fatal(err)
	}
	ok := func(c *gin.Context) { c.String(http.StatusOK, "welcome") }

	app.GET("/staff", auth.RequireAuth(ginauth.HasGroup("staff", "admin")), ok)
	app.GET("/company", auth.RequireAuth(ginauth.VerifiedEmailDomain("example.com")), ok)
	app.GET("/either", auth.RequireAuth(ginauth.AnyOf(ginauth.HasGroup("admin"), ginauth.FromProvider("github"))), ok)
	notEve := func(u *ginauth.User) error { // your own, with a database behind it if need be
		if u.Subject == "eve" {
			return errors.New("eve was asked to leave")
		}
		return nil
	}
	app.GET("/own", auth.RequireAuth(notEve), ok)

	for _, name := range []string{"Grace Hopper", "Eve Newcomer"} {
		person := visit(app)
		person.signIn("/staff", name)
		fmt.Println(name)
		for _, path := range []string{"/staff", "/company", "/either", "/own"} {
			fmt.Println(" ", path, person.open(path))
		}
		person.leave()
	}
	// Output:
	// Grace Hopper
	//   /staff 200 welcome
	//   /company 200 welcome
	//   /either 403 Access denied (forbidden)
	//   /own 200 welcome
	// Eve Newcomer
	//   /staff 403 Access denied (forbidden)
	//   /company 403 Access denied (forbidden)
	//   /either 403 Access denied (forbidden)
	//   /own 403 Access denied (forbidden)
}

// A public page that greets signed-in users.
func ExampleAuth_LoadUser() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{idp.Client("corp")},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.LoadUser(), func(c *gin.Context) {
		if user := ginauth.CurrentUser(c); user != nil {
			c.String(http.StatusOK, "Welcome back, %s!", user.Name)
			return
		}
		c.String(http.StatusOK, "Welcome!")
	})

	grace := visit(app)
	defer grace.leave()
	fmt.Println(grace.open("/"))
	fmt.Println(grace.signIn("/login", "Grace Hopper"))
	// Output:
	// 200 Welcome!
	// 200 Welcome back, Grace Hopper!
}

// OnLogin is called once for each sign-in, before the session starts. Here it reads groups
// from a table, and rejects users that are not in it.
func ExampleHooks() {
	idp := startDemo()
	defer idp.Close()
	roles := map[string][]string{ // a database's, by User.ID
		idp.Issuer + "#grace": {"editor", "admin"},
	}
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{idp.Client("corp")},
		Hooks: ginauth.Hooks{OnLogin: func(c *gin.Context, login *ginauth.Login) error {
			groups, known := roles[login.User.ID()]
			if !known {
				return errors.New("nobody has invited this account")
			}
			login.User.Groups = groups
			return nil
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/admin", auth.RequireAuth(ginauth.HasGroup("admin")), func(c *gin.Context) {
		c.String(http.StatusOK, "%v", ginauth.CurrentUser(c).Groups)
	})

	visitor := visit(app)
	defer visitor.leave()
	fmt.Println(visitor.signIn("/admin", "Grace Hopper"))
	fmt.Println(visitor.signIn("/login", "Zoë Ångström"))
	// Output:
	// 200 [editor admin]
	// 403 Access denied (identity_rejected)
}

// API keys in addition to sessions. The table has only a hash of each key, so a leaked copy
// grants no access.
func ExampleHooks_authenticate() {
	keys := map[[32]byte]ginauth.User{
		sha256.Sum256([]byte("key-of-the-backup-job")): {Provider: "corp", Subject: "backup", Name: "The backup job"},
	}
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "https://shop.example.com",
		Keys:      []string{"use what openssl rand -hex 32 prints"},
		Providers: []ginauth.Provider{{Name: "corp", Issuer: "https://login.corp.example", ClientID: "shop", ClientSecret: "secret"}},
		Logger:    slog.New(slog.DiscardHandler),
		Hooks: ginauth.Hooks{Authenticate: func(c *gin.Context) (*ginauth.User, error) {
			scheme, key, _ := strings.Cut(c.GetHeader("Authorization"), " ")
			if !strings.EqualFold(scheme, "Bearer") {
				return nil, nil // a browser: the session counts
			}
			if robot, known := keys[sha256.Sum256([]byte(strings.TrimSpace(key)))]; known {
				return &robot, nil
			}
			return nil, ginauth.ErrInvalidToken
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app.POST("/api/backups", auth.RequireAuth(), func(c *gin.Context) {
		c.String(http.StatusCreated, "started by %s", ginauth.CurrentUser(c).Name)
	})

	for _, key := range []string{"key-of-the-backup-job", "guessed"} {
		request := httptest.NewRequest("POST", "https://shop.example.com/api/backups", nil)
		request.Header.Set("Authorization", "Bearer "+key)
		answer := httptest.NewRecorder()
		app.ServeHTTP(answer, request)
		fmt.Printf("%d %q\n", answer.Code, answer.Header().Get("WWW-Authenticate"))
	}
	// Output:
	// 201 ""
	// 401 "Bearer error=\"invalid_token\""
}

// The session stores a few short strings of the application.
func ExampleAuth_Update() {
	idp := startDemo()
	defer idp.Close()
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{idp.Client("corp")},
	})
	if err != nil {
		log.Fatal(err)
	}
	guarded := app.Group("/", auth.RequireAuth())
	guarded.GET("/project/:name", func(c *gin.Context) {
		err := auth.Update(c, func(u *ginauth.User) {
			u.Data = map[string]string{"project": c.Param("name")}
		})
		if err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		c.String(http.StatusOK, "switched")
	})
	guarded.GET("/", func(c *gin.Context) {
		c.String(http.StatusOK, "project: %q", ginauth.CurrentUser(c).Data["project"])
	})

	ada := visit(app)
	defer ada.leave()
	fmt.Println(ada.signIn("/", "Ada Lovelace"))
	fmt.Println(ada.open("/project/engine"))
	fmt.Println(ada.open("/"))
	// Output:
	// 200 project: ""
	// 200 switched
	// 200 project: "engine"
}

// An administrator configures providers while the application runs. If one is invalid, nothing
// changes.
func ExampleAuth_SetProviders() {
	app := gin.New()
	corp := ginauth.Provider{Name: "corp", Issuer: "https://login.corp.example", ClientID: "web", ClientSecret: "the client's secret"}
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:   "http://localhost:8080",
		Providers: []ginauth.Provider{corp},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	partner := ginauth.Provider{Name: "partner", Issuer: "https://id.partner.example", ClientID: "app", ClientSecret: "another secret"}
	if err := auth.SetProviders([]ginauth.Provider{corp, partner}); err != nil {
		log.Fatal(err)
	}
	err = auth.SetProviders([]ginauth.Provider{{Name: "partner", Issuer: "id.partner.example", ClientID: "app", ClientSecret: "another secret"}})
	fmt.Println(errors.Is(err, ginauth.ErrInvalidOptions))
	for _, p := range auth.Providers() {
		fmt.Println(p.Name, auth.LoginURL(p.Name, ""))
	}
	// Output:
	// true
	// corp http://localhost:8080/login/corp
	// partner http://localhost:8080/login/partner
}

// Kept claims can be decoded, as they were sent, into any type.
func ExampleClaims() {
	idp := startDemo()
	defer idp.Close()
	idp.AddPerson(authtest.Person{Subject: "joan", Name: "Joan Clarke", Claims: map[string]any{
		"address": map[string]any{"country": "GB"}, "cost_center": 4711,
	}})
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL:    "http://localhost:8080",
		Providers:  []ginauth.Provider{idp.Client("corp")},
		KeepClaims: []string{"address", "cost_center"},
	})
	if err != nil {
		log.Fatal(err)
	}
	type extra struct {
		Address    struct{ Country string }
		CostCenter int `json:"cost_center"`
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		claims, err := ginauth.Claims[extra](c)
		if err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		c.String(http.StatusOK, "%s, %d", claims.Address.Country, claims.CostCenter)
	})

	joan := visit(app)
	defer joan.leave()
	fmt.Println(joan.signIn("/", "Joan Clarke"))
	// Output: 200 GB, 4711
}
