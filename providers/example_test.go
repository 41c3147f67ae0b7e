package providers_test

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

const id, secret = "client-of-tests", "a secret of the tests"

// Three ways to configure a provider.
func Example() {
	github := providers.GitHub(id, secret) // in code

	// by its name, from a file of yours
	staff, err := providers.ByName("keycloak", id, secret, "login.example.com", "staff")

	// every NAME_CLIENT_ID with its NAME_CLIENT_SECRET
	list, failed := providers.FromEnv()
	if err != nil || failed != nil {
		log.Fatal(err, failed)
	}
	fmt.Println(github.Name, staff.Name, len(list))
	// Output: github keycloak 0
}

// A preset is a value: any field can be changed before it is mounted.
func ExampleGitHub_changed() {
	work := providers.GitHub(id, secret)
	work.Name, work.DisplayName = "github-work", "GitHub (work)"
	work.Scopes = append(work.Scopes, "read:org")

	fmt.Println(mounted(work))
	// Output: https://app.example.com/login/github-work
}

// A self-hosted server may have another issuer than the preset assumes.
func ExampleKeycloak_changed() {
	staff := providers.Keycloak("login.example.com", "staff", id, secret)
	staff.Issuer = "https://login.example.com/auth/realms/staff" // exactly as in its metadata
	staff.ClaimPaths["groups"] = "resource_access.shop.roles"    // in place of the realm's roles
	staff.AuthParams = map[string]string{"acr_values": "gold"}   // and the ID token must have this acr

	fmt.Println(mounted(staff))
	// Output: https://app.example.com/login/keycloak
}

// Offline requests a refresh token in the way that the provider documents.
func ExampleOffline() {
	google := providers.Offline(providers.Google(id, secret))
	spotify := providers.Offline(providers.Spotify(id, secret)) // gives one with each sign-in

	x := providers.X(id, secret)
	x.Scopes = append(x.Scopes, "bookmark.read")
	x = providers.Offline(x)

	fmt.Println(google.AuthParams, spotify.Scopes, x.Scopes)
	// Output: map[access_type:offline prompt:consent] [user-read-email] [users.read tweet.read users.email bookmark.read offline.access]
}

// With OpenID Connect, a name and the issuer are enough.
func ExampleOIDC() {
	cilogon := providers.OIDC("cilogon", "https://cilogon.org", id, secret)
	cilogon.DisplayName = "My university"

	fmt.Println(mounted(cilogon))
	// Output: https://app.example.com/login/cilogon
}

// mounted returns the login URL of a provider.
func mounted(p ginauth.Provider) string {
	auth, err := ginauth.Mount(gin.New(), ginauth.Options{
		BaseURL: "https://app.example.com", Keys: []string{"a key for tests, which is 32 bytes and more"},
		Providers: []ginauth.Provider{p}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	return auth.LoginURL(p.Name, "")
}

// A plain OAuth 2.0 provider without a function in this package. The example signs in at a
// test provider that responds like Wikimedia.
func Example_ownProvider() {
	wikimedia := ginauth.Provider{
		Name: "wikimedia", DisplayName: "Wikimedia", ClientID: id, ClientSecret: secret, AuthMethod: "client_secret_post",
		AuthorizeURL: "https://meta.wikimedia.org/w/rest.php/oauth2/authorize",
		TokenURL:     "https://meta.wikimedia.org/w/rest.php/oauth2/access_token",
		UserinfoURL:  "https://meta.wikimedia.org/w/rest.php/oauth2/resource/profile",
		Namespace:    "https://meta.wikimedia.org", // never change it: stored ids begin with it
		ClaimPaths:   map[string]string{"preferred_username": "username", "email": "email", "email_verified": "confirmed_email"},
	}
	fmt.Println(mounted(wikimedia))

	idp, err := authtest.Start(authtest.Config{ClientID: id, ClientSecret: secret})
	if err != nil {
		log.Fatal(err)
	}
	defer idp.Close()
	idp.SignInAs(authtest.DemoPeople()[0].Subject)
	idp.Handle(authtest.Userinfo, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"sub": 60214076, "username": "Hollow Oak", "editcount": 12, "confirmed_email": true, "email": "petra@kvarnbygd.example"}`)
	})
	wikimedia.AuthorizeURL, wikimedia.TokenURL, wikimedia.UserinfoURL = idp.URL(authtest.Authorize), idp.URL(authtest.Token), idp.URL(authtest.Userinfo)
	fmt.Println(whoSignsIn(wikimedia))
	// Output:
	// https://app.example.com/login/wikimedia
	// https://meta.wikimedia.org#60214076 "Hollow Oak" petra@kvarnbygd.example true
}

// An OpenID provider that is configured by its endpoints alone: the userinfo endpoint
// identifies the user.
func Example_openIDWithoutAnIssuer() {
	intranet := ginauth.Provider{
		Name: "intranet", ClientID: id, ClientSecret: secret, Scopes: []string{"openid", "profile", "email"},
		AuthorizeURL: "https://login.intranet.example/authorize",
		TokenURL:     "https://login.intranet.example/token",
		UserinfoURL:  "https://login.intranet.example/userinfo",
		Namespace:    "https://login.intranet.example", // its issuer, to the letter
	}
	fmt.Println(mounted(intranet))

	idp, err := authtest.Start(authtest.Config{ClientID: id, ClientSecret: secret})
	if err != nil {
		log.Fatal(err)
	}
	defer idp.Close()
	idp.SignInAs(authtest.DemoPeople()[0].Subject)
	intranet.AuthorizeURL, intranet.TokenURL, intranet.UserinfoURL = idp.URL(authtest.Authorize), idp.URL(authtest.Token), idp.URL(authtest.Userinfo)
	fmt.Println(whoSignsIn(intranet))
	// Output:
	// https://app.example.com/login/intranet
	// https://login.intranet.example#ada "ada" ada@example.com true
}

// The user's repositories need a separate scope, for which the user is asked at the first
// call.
func ExampleGitHub_apis() {
	id, secret := "id", "secret"
	github := providers.GitHub(id, secret)
	github.APIs = []ginauth.API{
		{URL: "https://api.github.com/"},
		{URL: "https://api.github.com/user/repos/", Scopes: []string{"repo"}},
	}
	fmt.Println(len(github.APIs))
	// Output: 2
}

// whoSignsIn signs in with a browser.
func whoSignsIn(provider ginauth.Provider) string {
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL: "http://localhost:8080", Providers: []ginauth.Provider{provider}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		c.String(http.StatusOK, "%s %q %s %t", u.ID(), u.Username, u.Email, u.EmailVerified)
	})
	server, browser := httptest.NewServer(app), authtest.NewBrowser()
	defer server.Close()
	defer browser.Close()
	browser.Resolve("localhost", server.Listener.Addr().String())
	page, err := browser.Get("http://localhost:8080/")
	if err != nil {
		log.Fatal(err)
	}
	return string(page.Body)
}

// A configuration file names its providers.
func ExampleByName() {
	for _, name := range []string{"github", "gihtub"} {
		provider, err := providers.ByName(name, id, secret)
		if err != nil {
			fmt.Println("error:", errors.Is(err, ginauth.ErrInvalidOptions))
			continue
		}
		fmt.Println(provider.DisplayName)
	}
	// Output:
	// GitHub
	// error: true
}

// The environment names the providers: two variables for each, and further ones for presets
// with more arguments.
func ExampleFromEnv() {
	for name, value := range map[string]string{
		"GITHUB_CLIENT_ID": id, "GITHUB_CLIENT_SECRET": secret,
		"MICROSOFT_CLIENT_ID": id, "MICROSOFT_CLIENT_SECRET": secret, "MICROSOFT_TENANT": "consumers",
	} {
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}
	list, err := providers.FromEnv()
	if err != nil {
		log.Fatal(err)
	}
	for _, provider := range list {
		fmt.Println(provider.Name)
	}
	// Output:
	// github
	// microsoft
}

// Only accounts of one organization can sign in.
func ExampleGoogleWorkspace() {
	fmt.Println(mounted(providers.GoogleWorkspace("example.com", id, secret)))
	// Output: https://app.example.com/login/google-workspace
}

// Accounts of two organizations, by their directory IDs.
func ExampleMicrosoft() {
	microsoft := providers.Microsoft("organizations", id, secret,
		"8eaef023-2b34-4da1-9baa-8bc8c9d6a490", "b9419818-09af-49c2-b0c3-653adc1f376e")
	fmt.Println(mounted(microsoft))
	// Output: https://app.example.com/login/microsoft
}
