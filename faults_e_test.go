package ginauth_test

import (
	"errors"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// always asks the userinfo endpoint at every sign-in.
func always(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" }

// plain makes the provider a plain OAuth 2.0 one, whose profile is the userinfo.
func plain(s *site, o *ginauth.Options) {
	o.Providers = []ginauth.Provider{{
		Name: "demo", Namespace: "https://idp.example", ClientID: s.idp.ClientID, ClientSecret: s.idp.ClientSecret, Scopes: []string{"profile", "email"},
		AuthorizeURL: s.idp.URL(authtest.Authorize), TokenURL: s.idp.URL(authtest.Token), UserinfoURL: s.idp.URL(authtest.Userinfo),
		ClaimPaths: map[string]string{"sub": "id"},
	}}
}

var errRefused = errors.New("this one may not come in")
