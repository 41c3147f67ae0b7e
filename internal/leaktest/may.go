package leaktest

import (
	"net/url"
	"strings"

	"github.com/ginauth/ginauth/authtest"
)

// The kinds of secrets.
const (
	state        = "state"
	nonce        = "nonce"
	verifier     = "code_verifier"
	code         = "code"
	accessToken  = "access token"
	refreshToken = "refresh token"
	idToken      = "ID token"
	logoutState  = "state of a sign-out"
	cookie       = "cookie"
	clientSecret = "client secret"
)

// where is a place in a request of a browser or its response.
type where int

const (
	inAddress  where = iota // the requested URL
	inLocation              // the target of a redirect, by Location or HX-Redirect
	inJSON                  // the JSON response to a script
)

// allowed lists all places where a browser may see secrets, except for a cookie in Set-Cookie. part
// is a part of the path of the requested URL.
var allowed = []struct {
	part   string
	where  where
	kinds  []string
	reason string
}{
	{"/login/", inLocation, []string{state, nonce}, "the authorization request goes through the browser (RFC 6749, 4.1.1)"},
	{"/start", inLocation, []string{state, nonce}, "the same, from a handler of the application that calls BeginLogin"},
	{"/authorize", inAddress, []string{state, nonce, code}, "the authorization request at the provider, and the authorization response (RFC 6749, 4.1.2)"},
	{"/authorize/", inLocation, []string{state}, "a form_post response is continued by a GET, which has only its state"},
	{"/logout", inLocation, []string{logoutState, idToken, nonce}, "the sign-out at the provider goes through the browser, with id_token_hint, which has the nonce of a sign-in that is over"},
	{"/logout", inJSON, []string{logoutState}, "a script, which has to follow redirect_to, gets a URL of the application that redirects to the provider, without the ID token"},
	{"/logout/redirect", inAddress, []string{logoutState}, "that URL"},
	{"/end_session", inAddress, []string{logoutState, idToken, nonce}, "the sign-out at the provider"},
	{"/logout/return", inAddress, []string{logoutState}, "the redirect back from the provider"},
}

// sent lists the secrets that the application may send to a provider, in the body or in
// Authorization.
var sent = map[authtest.Endpoint][]string{
	authtest.Token:    {code, verifier, clientSecret, refreshToken},
	authtest.Userinfo: {accessToken},
}

// may returns the kinds of secrets that are allowed in a place.
func (w *Watch) may(at where, u *url.URL) (kinds []string) {
	if w.callbacks[strings.TrimSuffix(u.Path, "/")] { // the same as for /authorize/
		u = &url.URL{Path: "/authorize/"}
	}
	for _, a := range allowed {
		if a.where == at && within(u, a.part) {
			kinds = append(kinds, a.kinds...)
		}
	}
	return kinds
}

// within reports whether the path of a URL contains part.
func within(u *url.URL, part string) bool { return strings.Contains(u.Path, part) }
