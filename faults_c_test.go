package ginauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// editAnswer lets change rewrite the answer of an endpoint.
func editAnswer(s *site, e authtest.Endpoint, change func(a *answer)) {
	s.idp.Handle(e, func(w http.ResponseWriter, r *http.Request) {
		own := httptest.NewRecorder()
		s.idp.Default(e).ServeHTTP(own, r)
		a := &answer{status: own.Code, media: own.Header().Get("Content-Type"), body: own.Body.String()}
		change(a)
		for name, values := range a.header {
			w.Header()[name] = values
		}
		answers(a.status, a.media, a.body)(w, r)
	})
}

type answer struct {
	status      int
	media, body string
	header      http.Header
}

// siteWithToken is a site whose OnLogin keeps the token that it was given.
func siteWithToken(t *testing.T) (*site, func() *oauth2.Token) {
	t.Helper()
	kept := make(chan *oauth2.Token, 10)
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			kept <- login.Token
			return nil
		}
	})
	return s, func() *oauth2.Token { return <-kept }
}
