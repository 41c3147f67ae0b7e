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

// where a browser meets a text.
type where int

const (
	inAddress  where = iota // that it asks for
	inLocation              // that it is sent to, by Location or HX-Redirect
	inJSON                  // of an answer to a script
)

// allowed is all that may be seen of secrets by a browser, except for a cookie
// in Set-Cookie. part is a part of the address that was asked for.
var allowed = []struct {
	part   string
	where  where
	kinds  []string
	reason string
}{
	{"/login/", inLocation, []string{state, nonce}, "the authorization request goes through the browser (RFC 6749, 4.1.1)"},
	{"/start", inLocation, []string{state, nonce}, "the same, from a handler of the application that calls BeginLogin"},
	{"/authorize", inAddress, []string{state, nonce, code}, "the authorization request at the provider, and its answer to us (RFC 6749, 4.1.2)"},
	{"/authorize/", inLocation, []string{state}, "a form_post answer is carried over to a GET, which names its state alone"},
	{"/logout", inLocation, []string{logoutState, idToken, nonce}, "the sign-out at the provider goes through the browser, with id_token_hint, which has the nonce of a sign-in that is over"},
	{"/logout", inJSON, []string{logoutState}, "a script, which follows redirect_to itself, gets an address of ours that leads there, without the ID token"},
	{"/logout/redirect", inAddress, []string{logoutState}, "that address"},
	{"/end_session", inAddress, []string{logoutState, idToken, nonce}, "the sign-out at the provider"},
	{"/logout/return", inAddress, []string{logoutState}, "the way back from there"},
}

// sent is what the application itself may send to a provider, in the body or
// in Authorization.
var sent = map[authtest.Endpoint][]string{
	authtest.Token:    {code, verifier, clientSecret, refreshToken},
	authtest.Userinfo: {accessToken},
}

// may returns the kinds of secrets that may be at a place.
func (w *Watch) may(at where, u *url.URL) (kinds []string) {
	if w.callbacks[strings.TrimSuffix(u.Path, "/")] { // as /authorize/
		u = &url.URL{Path: "/authorize/"}
	}
	for _, a := range allowed {
		if a.where == at && within(u, a.part) {
			kinds = append(kinds, a.kinds...)
		}
	}
	return kinds
}

// within reports whether an address has a part in its path.
func within(u *url.URL, part string) bool { return strings.Contains(u.Path, part) }
