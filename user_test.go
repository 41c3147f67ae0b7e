package ginauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// Changes that a handler makes to its User are not shared: a request body decoded into it, for
// example, must reach neither the session nor the next guard.
func TestAUserThatAHandlerChanges(t *testing.T) {
	s := sitetest.New(t, nil)
	change := func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		u.Subject, u.Issuer, u.Groups = "root", "https://evil.example", append(u.Groups, "owner")
	}
	s.Engine.POST("/profile", s.Auth.RequireAuth(), change, func(c *gin.Context) {
		if err := s.Auth.Update(c, func(u *ginauth.User) { u.Name = "New Name" }); err != nil {
			t.Error(err)
		}
		if u := ginauth.CurrentUser(c); u.Name != "New Name" || u.Subject != "ada" || len(u.Groups) != 2 {
			t.Errorf("after Update the user is %+v", u)
		}
	})
	s.Engine.GET("/owner", s.Auth.RequireAuth(), change, s.Auth.RequireAuth(ginauth.HasGroup("owner")), func(c *gin.Context) { c.String(200, "in") })
	s.SignIn()
	s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/profile", nil, ""))
	if u := s.User(); u == nil || u.Name != "New Name" || u.Subject != "ada" || u.Issuer != s.IDP.Issuer || len(u.Groups) != 2 {
		t.Errorf("the session is of %+v", u)
	}
	if p := s.Get("/owner"); p.Status != http.StatusForbidden {
		t.Errorf("the guard trusted the handler's value: %d", p.Status)
	}
}

func TestUserID(t *testing.T) {
	t.Parallel()
	u := ginauth.User{Issuer: "https://id.example", Subject: "a#b"}
	if got := u.ID(); got != "https://id.example#a#b" {
		t.Errorf("ID is %q", got)
	}
}

func TestUserVerifiedEmail(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		user ginauth.User
		want string
	}{
		{ginauth.User{Email: "ada@example.com", EmailVerified: true}, "ada@example.com"},
		{ginauth.User{Email: "ada@example.com"}, ""},
		{ginauth.User{EmailVerified: true}, ""},
	} {
		if got, ok := tt.user.VerifiedEmail(); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%+v: %q, %v", tt.user, got, ok)
		}
	}
}

// The names are the standard's, so that a User can be handed to a front end.
func TestUserAsJSON(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(ginauth.User{Provider: "demo", Issuer: "i", Subject: "s", Name: "n", Username: "u", Email: "e", Picture: "p",
		Locale: "l", Groups: []string{"g"}, Data: map[string]string{"k": "v"}, AuthTime: time.Unix(1, 0).UTC()})
	want := `{"provider":"demo","iss":"i","sub":"s","name":"n","preferred_username":"u","email":"e","email_verified":false,"picture":"p",` +
		`"locale":"l","groups":["g"],"data":{"k":"v"},"auth_time":"1970-01-01T00:00:01Z"}`
	if err != nil || string(raw) != want {
		t.Errorf("got %s, %v\nwant %s", raw, err, want)
	}
}

type kept struct {
	Level   json.Number    `json:"level"`
	Address map[string]any `json:"address"`
	Secret  string         `json:"secret"`
}

// Claims are as the provider sent them: all of them in OnLogin, later those in KeepClaims.
func TestClaims(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		keep   []string
		level  json.Number
		street any
		secret string
	}{
		{"none are kept", nil, "", nil, ""},
		{"one is kept", []string{"level"}, "9007199254740993", nil, ""},
		{"two are kept, and one that is not there", []string{"address", "level", "absent"}, "9007199254740993", "<1 & 2>", ""},
		{"all are kept", []string{"*"}, "9007199254740993", "<1 & 2>", "s"},
		{"all, and one of them by name", []string{"level", "*"}, "9007199254740993", "<1 & 2>", "s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var atLogin kept
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				o.KeepClaims = tt.keep
				o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error { return login.User.Claims(&atLogin) }
				s.IDP.EditIDToken(func(_, claims map[string]any) {
					claims["level"], claims["secret"] = json.Number("9007199254740993"), "s"
					claims["address"] = map[string]any{"street": "<1 & 2>"}
				})
			})
			var got kept
			var err error
			s.Guard("/claims", func(c *gin.Context) { got, err = ginauth.Claims[kept](c.Request.Context()) })
			s.SignIn()
			s.Ask("GET", "/claims")
			if err != nil || got.Level != tt.level || got.Address["street"] != tt.street || got.Secret != tt.secret {
				t.Errorf("got %+v, %v", got, err)
			}
			if atLogin.Level != "9007199254740993" || atLogin.Secret != "s" || atLogin.Address["street"] != "<1 & 2>" {
				t.Errorf("OnLogin got %+v", atLogin)
			}
		})
	}
}

func TestClaimsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"sub"} })
	var wrong, nobody error
	s.Guard("/claims", func(c *gin.Context) {
		_, wrong = ginauth.Claims[struct {
			Sub int `json:"sub"`
		}](c)
		_, nobody = ginauth.Claims[kept](context.Background())
	})
	s.SignIn()
	s.Ask("GET", "/claims")
	if !errors.Is(wrong, ginauth.ErrSessionError) {
		t.Errorf("a claim of another type: %v", wrong)
	}
	if !errors.Is(nobody, ginauth.ErrUnauthenticated) {
		t.Errorf("without a user: %v", nobody)
	}
}

// Gin reuses its context for the next request, possibly of another user: a context derived from
// it must have no user.
func TestCurrentUser(t *testing.T) {
	t.Parallel()
	for _, fallback := range []bool{false, true} {
		s := sitetest.New(t, nil)
		s.Engine.ContextWithFallback = fallback
		type other struct{}
		got := map[string]*ginauth.User{}
		s.Engine.GET("/contexts", func(c *gin.Context) { got["before the guard"] = ginauth.CurrentUser(c) }, s.Auth.RequireAuth(), func(c *gin.Context) {
			request := c.Request.Context()
			timeout, cancel := context.WithTimeout(request, time.Hour)
			defer cancel()
			for name, ctx := range map[string]context.Context{
				"gin": c, "a copy": c.Copy(), "the request": request, "below the request": timeout,
				"further below": context.WithValue(context.WithoutCancel(timeout), other{}, 1),
				"below gin":     context.WithValue(c, other{}, 1), "below a copy": context.WithValue(c.Copy(), other{}, 1),
				"elsewhere": context.Background(), "a name": context.WithValue(context.Background(), other{}, c.MustGet(ginauth.UserKey)),
			} {
				got[name] = ginauth.CurrentUser(ctx)
			}
			got["MustGet"] = c.MustGet(ginauth.UserKey).(*ginauth.User)
			got["Value"] = request.Value(ginauth.UserKey).(*ginauth.User)
		})
		s.As("ada")
		s.Ask("GET", "/contexts")
		for _, name := range []string{"gin", "a copy", "the request", "below the request", "further below", "MustGet", "Value"} {
			if got[name] == nil || got[name] != got["gin"] || got[name].Subject != "ada" {
				t.Errorf("%s (fallback %v): %+v", name, fallback, got[name])
			}
		}
		for _, name := range []string{"before the guard", "below gin", "below a copy", "elsewhere", "a name"} {
			if got[name] != nil {
				t.Errorf("%s (fallback %v): %+v, want no user", name, fallback, got[name])
			}
		}
	}
}

// Every request has a separate User, including its maps and slices.
func TestUsersAreNotShared(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"*"} })
	s.Guard("/spoil", func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		clean := u.Name == "Ada" && slices.Equal(u.Groups, []string{"staff", "editors"}) && u.Data["plan"] == "free" && len(u.Data) == 1
		u.Name, u.Groups[0], u.Data["plan"], u.Subject = "Mallory", "admin", "gold", "root"
		u.Groups = append(u.Groups, "admin")
		if !clean {
			c.Status(http.StatusConflict)
		}
	})
	s.AsUser(&ginauth.User{Subject: "ada", Name: "Ada", Groups: []string{"staff", "editors"}, Data: map[string]string{"plan": "free"}})
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 4 {
				if p, err := s.Browser.Fetch(sitetest.HomePage(s), "GET", s.URL+"/spoil", nil, ""); err != nil || p.Status != http.StatusOK {
					t.Errorf("a request saw what another one did to its User: %v %v", p, err)
				}
			}
		})
	}
	wait.Wait()
	if u := s.User(); u == nil || u.Name != "Ada" || u.Groups[0] != "staff" || u.Data["plan"] != "free" {
		t.Errorf("the session changed: %+v", u)
	}
}

// SignIn does not keep the caller's User.
func TestSignInCopiesTheUser(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	u := &ginauth.User{Provider: "demo", Subject: "ada", Groups: []string{"staff"}, Data: map[string]string{"k": "v"}}
	s.Engine.GET("/in", func(c *gin.Context) {
		if err := s.Auth.SignIn(c, u, nil); err != nil {
			t.Error(err)
		}
		mine := ginauth.CurrentUser(c)
		mine.Groups[0], mine.Data["k"], mine.Name = "admin", "x", "Mallory"
	})
	s.Get("/in")
	if u.Groups[0] != "staff" || u.Data["k"] != "v" || u.Name != "" || u.Issuer != "" {
		t.Errorf("SignIn or CurrentUser changed the caller's user: %+v", u)
	}
}

// OnLogin may add to a User, but not change its identity.
func TestOnLoginChangesTheUser(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.KeepClaims = []string{"email"}
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			login.User = &ginauth.User{Provider: "x", Issuer: "https://x.example", Subject: "root", Name: "The Countess",
				Groups: []string{"poets"}, Data: map[string]string{"id": "42"}}
			return nil
		}
	})
	s.SignIn()
	u := s.User()
	if u.Provider != "demo" || u.Issuer != s.IDP.Issuer || u.Subject != "ada" {
		t.Errorf("OnLogin made it %+v", u)
	}
	if u.Name != "The Countess" || !slices.Equal(u.Groups, []string{"poets"}) || u.Data["id"] != "42" {
		t.Errorf("what OnLogin set is lost: %+v", u)
	}
	if strings.Contains(s.Logs.String(), "Countess") {
		t.Error("the log has the user's name")
	}
}
