package authtest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// SignIn signs a user in to the application without the trip to a provider: b gets
// the cookies that a login would have set, in place of those of an earlier user. No
// network is used, and no hook is called. It returns the errors of
// [ginauth.Auth.SignIn], for a user.Provider that is not one of the application's
// providers, say, and an error for a cookie that b refuses.
//
// The cookies are those of BaseURL's host: open pages there, and let
// [Browser.Resolve] send that host to the test's server.
//
// It is for tests of what an application does once it knows its user. Tests of the
// login itself start a [Provider].
func SignIn(auth *ginauth.Auth, b *Browser, user *ginauth.User) error {
	u, err := resolveURL(nil, auth.LoginURL("", "/"))
	if err != nil {
		return err
	}
	recorder := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(recorder)
	c.Request = httptest.NewRequest(http.MethodGet, u.String(), nil)
	v := typedVisit(u)
	if line := b.cookieHeader(v); line != "" {
		c.Request.Header.Set("Cookie", line)
	}
	if err := auth.SignIn(c, user, nil); err != nil {
		return fmt.Errorf("authtest: %w", err)
	}
	lines := recorder.Header().Values("Set-Cookie")
	if len(lines) == 0 {
		return errors.New("authtest: the sign-in set no cookie")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range lines {
		c := parseSetCookie(line, b.now())
		if err := b.jar.set(c, v, b.now()); err != nil {
			return fmt.Errorf("authtest: cookie %q rejected: %w", c.name, err)
		}
	}
	return nil
}
