package bench_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/gob"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	gorilla "github.com/gorilla/sessions"
	"github.com/markbates/goth"
	"github.com/markbates/goth/gothic"
	"github.com/markbates/goth/providers/openidConnect"
)

func otherRequests() []request {
	return []request{
		{"scs-gob", "alexedwards/scs, its memory store, struct", func() app { return scsApp(asStruct) }, false},
		{"scs-json", "alexedwards/scs, its memory store, JSON", func() app { return scsApp(asJSON) }, false},
		{"jwt", "a JWT in a cookie, HS256 (golang-jwt)", jwtApp, false},
		{"oidc-rs256", "the ID token in a cookie, go-oidc's Verify, RS256", func() app { return oidcApp(jwt.SigningMethodRS256, rsaKey()) }, false},
		{"oidc-es256", "the ID token in a cookie, go-oidc's Verify, ES256", func() app { return oidcApp(jwt.SigningMethodES256, ecKey()) }, false},
		{"gothic", "gothic, the tokens of its session", func() app { return gothicApp(false) }, false},
		{"gothic-user", "gothic, the user of its session's ID token", func() app { return gothicApp(true) }, false},
	}
}

func scsApp(f form) app {
	gob.Register(person{})
	manager := scs.New()
	manager.Store = memstore.NewWithCleanupInterval(0)
	guard := func(c *gin.Context) {
		p, ok := f.get(manager.Get(c.Request.Context(), userKey))
		admit(c, p, ok)
	}
	in := gin.New()
	in.POST("/in", func(c *gin.Context) { manager.Put(c.Request.Context(), userKey, f.put(ada())) })
	a := app{handler: manager.LoadAndSave(routes(gin.New(), greet, guard))}
	a.cookies, a.set = cookiesOf(manager.LoadAndSave(in), httptest.NewRequest("POST", "/in", nil))
	return a
}

const (
	issuer   = "https://login.example.com"
	clientID = "app"
)

// claims are the claims of a token with a user.
type claims struct {
	jwt.RegisteredClaims
	Name    string   `json:"name"`
	Email   string   `json:"email"`
	Picture string   `json:"picture"`
	Roles   []string `json:"groups"`
}

func adaClaims() *claims {
	u, now := ada(), time.Now()
	return &claims{
		Name: u.Name, Email: u.Email, Picture: u.Picture, Roles: u.Roles,
		RegisteredClaims: jwt.RegisteredClaims{Issuer: issuer, Subject: u.ID, Audience: jwt.ClaimStrings{clientID},
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(24 * time.Hour))},
	}
}

// person returns the user in the claims.
func (c *claims) person() *person {
	return &person{ID: c.Subject, Name: c.Name, Email: c.Email, Picture: c.Picture, Provider: "corp", Roles: c.Roles, Expires: c.ExpiresAt.Unix()}
}

// tokenApp keeps a token in a cookie.
func tokenApp(token string, read func(ctx context.Context, token string) (*person, error)) app {
	guard := func(c *gin.Context) {
		cookie, err := c.Request.Cookie("session")
		if err != nil {
			admit(c, nil, false)
			return
		}
		p, err := read(c.Request.Context(), cookie.Value)
		admit(c, p, err == nil)
	}
	a := app{handler: routes(gin.New(), greet, guard)}
	a.cookies, a.set = signIn(func(c *gin.Context) {
		http.SetCookie(c.Writer, &http.Cookie{Name: "session", Value: token, Path: "/", MaxAge: 86400, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	})
	return a
}

func jwtApp() app {
	token := must(jwt.NewWithClaims(jwt.SigningMethodHS256, adaClaims()).SignedString([]byte(key)))
	secret := func(*jwt.Token) (any, error) { return []byte(key), nil }
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}))
	return tokenApp(token, func(_ context.Context, token string) (*person, error) {
		c := new(claims)
		if _, err := parser.ParseWithClaims(token, c, secret); err != nil {
			return nil, err
		}
		return c.person(), nil
	})
}

func oidcApp(method jwt.SigningMethod, private crypto.Signer) app {
	token := must(jwt.NewWithClaims(method, adaClaims()).SignedString(private))
	keys := &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{private.Public()}}
	verifier := oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: clientID, SupportedSigningAlgs: []string{method.Alg()}})
	return tokenApp(token, func(ctx context.Context, token string) (*person, error) {
		verified, err := verifier.Verify(ctx, token)
		if err != nil {
			return nil, err
		}
		p := new(person)
		return p, verified.Claims(p)
	})
}

func rsaKey() *rsa.PrivateKey  { return must(rsa.GenerateKey(rand.Reader, 2048)) }
func ecKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// gothicApp reads the session of gothic at every request. Withuser also makes a user from its ID
// token, without verifying the signature.
func gothicApp(withUser bool) app {
	gothic.Store = gorilla.NewCookieStore([]byte(key), []byte(key))
	provider := must(openidConnect.NewCustomisedURL(clientID, "secret", "https://app.example.com/callback", issuer+"/authorize", issuer+"/token", issuer, issuer+"/userinfo", ""))
	provider.SkipUserInfoRequest = true
	provider.SetName("corp")
	goth.UseProviders(provider)
	token := must(jwt.NewWithClaims(jwt.SigningMethodES256, adaClaims()).SignedString(ecKey()))
	kept := openidConnect.Session{AuthURL: issuer + "/authorize?state=x", AccessToken: "ya29." + key + key + key, ExpiresAt: time.Now().Add(24 * time.Hour), IDToken: token}
	guard := func(c *gin.Context) {
		p, err := fromGothic(c.Request, provider, withUser)
		admit(c, p, err == nil)
	}
	handler := greet
	if !withUser {
		handler = func(c *gin.Context) { c.Status(http.StatusNoContent) }
	}
	a := app{handler: routes(gin.New(), handler, guard)}
	a.cookies, a.set = signIn(func(c *gin.Context) {
		if err := gothic.StoreInSession("corp", kept.Marshal(), c.Request, c.Writer); err != nil {
			panic(err)
		}
	})
	return a
}

func fromGothic(r *http.Request, provider *openidConnect.Provider, withUser bool) (*person, error) {
	text, err := gothic.GetFromSession("corp", r)
	if err != nil {
		return nil, err
	}
	session, err := provider.UnmarshalSession(text)
	if err != nil {
		return nil, err
	}
	if !withUser {
		return &person{Expires: session.(*openidConnect.Session).ExpiresAt.Unix()}, nil
	}
	user, err := provider.FetchUser(session)
	if err != nil {
		return nil, err
	}
	p := &person{ID: user.UserID, Name: user.Name, Email: user.Email, Picture: user.AvatarURL, Provider: user.Provider, Expires: user.ExpiresAt.Unix()}
	groups, _ := user.RawData["groups"].([]any)
	for _, group := range groups {
		name, _ := group.(string)
		p.Roles = append(p.Roles, name)
	}
	return p, nil
}
