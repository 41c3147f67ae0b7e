package ginauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// A hook may return the same User for ever, and change it: no request sees another one's
// changes, nor one of the hook's after it was asked.
func TestTheUserOfAuthenticateIsCopied(t *testing.T) {
	t.Parallel()
	robot := &ginauth.User{Provider: "demo", Subject: "robot", Groups: []string{"machines"}, Data: map[string]string{"shift": "night"}}
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(*gin.Context) (*ginauth.User, error) { return robot, nil }
	})
	s.Engine.GET("/change", s.Auth.LoadUser(), func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		u.Groups[0], u.Data["shift"], u.Subject = "admin", "day", "root"
		robot.Groups[0], robot.Subject = "admin", "root" // as a hook that fills a cache anew
		defer func() { robot.Groups[0], robot.Subject = "machines", "robot" }()
		s.Auth.RequireAuth(ginauth.HasGroup("machines"))(c)
		if !c.IsAborted() {
			c.String(http.StatusOK, "still a machine")
		}
	})
	s.Guard("/who", func(c *gin.Context) { c.String(http.StatusOK, "%v", ginauth.CurrentUser(c)) })
	if p := s.Ask("GET", "/change"); p.Text() != "still a machine" {
		t.Errorf("a check looked at what the handler changed: %d %s", p.Status, p.Text())
	}
	if p := s.Ask("GET", "/who"); strings.Contains(p.Text(), "admin") || strings.Contains(p.Text(), "root") || strings.Contains(p.Text(), "day") {
		t.Errorf("the next request sees %s", p.Text())
	}
	if robot.Issuer != "" || robot.Data["shift"] != "night" {
		t.Errorf("the hook's own user is %+v now", robot)
	}
}

// The session of an older system becomes one of ginauth's: SignIn works behind
// Authenticate, and from the next request on the cookie counts.
func TestSignInAfterAuthenticate(t *testing.T) {
	t.Parallel()
	old := true
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
			if !old {
				return nil, nil
			}
			return &ginauth.User{Provider: "demo", Subject: "ada"}, nil
		}
	})
	signIn := func(c *gin.Context) {
		if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada", Name: "Ada"}, nil); err != nil {
			e, _ := errors.AsType[*ginauth.Error](err)
			c.String(e.Status(), e.ID)
			return
		}
		_, ok := s.Auth.Session(c)
		c.String(http.StatusOK, "%s %t", ginauth.CurrentUser(c).Name, ok)
	}
	s.Engine.GET("/carry", s.Auth.LoadUser(), signIn)
	s.Engine.GET("/bare", signIn)
	for _, path := range []string{"/carry", "/bare"} { // beside a bearer token no session counts
		if p := s.Ask("GET", path, "Authorization", "Bearer x"); p.Text() != "session.bearer" || len(p.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %s", path, p.Status, p.Text())
		}
	}
	if p := s.Open("/carry"); p.Text() != "Ada true" {
		t.Errorf("got %d %s", p.Status, p.Text())
	}
	old = false
	if u := s.User(); u == nil || u.Name != "Ada" {
		t.Errorf("the session is of %+v", u)
	}
}

// A hook, a check and a profile may return a code as it is, alone or wrapped.
func TestHooksReturnBareCodes(t *testing.T) {
	for name, refuse := range map[string]func(code ginauth.Code) error{
		"bare":    func(code ginauth.Code) error { return code },
		"wrapped": func(code ginauth.Code) error { return fmt.Errorf("account 7: %w", code) },
		"joined":  func(code ginauth.Code) error { return errors.Join(errors.New("account 7"), code) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code := ginauth.ErrForbidden
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { return refuse(code) }
			})
			s.WantError(s.Get("/login/demo"), ginauth.ErrForbidden)
			code = ginauth.ErrStoreUnavailable
			s.WantError(s.Get("/login/demo"), ginauth.ErrStoreUnavailable)
			code = ginauth.ErrUnauthenticated // would begin a new sign-in, for ever
			s.WantError(s.Get("/login/demo"), ginauth.ErrIdentityRejected)
			if s.User() != nil {
				t.Error("somebody is signed in")
			}
			s.Engine.GET("/checked", s.Auth.RequireAuth(func(*ginauth.User) error { return refuse(ginauth.ErrUnknownProvider) }), sitetest.Teapot)
			s.As("ada")
			s.WantError(s.Open("/checked"), ginauth.ErrUnknownProvider)

			plain := sitetest.NewPlain(t, "", func(_ *sitetest.Site, p *ginauth.Provider) {
				p.UserinfoURL, p.ClaimPaths = "", nil
				p.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
					return nil, refuse(ginauth.ErrIdentityRejected)
				}
			})
			plain.WantError(plain.Get("/login/demo"), ginauth.ErrIdentityRejected)
		})
	}
}
