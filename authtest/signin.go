package authtest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// SignIn gives b a session of the application without contacting a provider: b receives the
// cookies that a sign-in would have set, in place of those of a previous user. It uses no
// network and calls no hooks. It returns the errors of [ginauth.Auth.SignIn], for example if
// user.Provider is not one of the application's providers, and an error if b rejects a cookie.
//
// The cookies are for BaseURL's host: open pages there, and map that host to the test server
// with [Browser.Resolve].
//
// Use it to test what an application does for a signed-in user. To test the sign-in itself,
// start a [Provider].
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
