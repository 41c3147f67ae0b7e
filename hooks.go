package ginauth

import (
	"context"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"
)

// Hooks are functions of the application that this package calls. All are optional.
// A hook that blocks, blocks its request; one that panics fails it, except for
// OnEvent.
type Hooks struct {
	// Authenticate identifies requests by a credential of the application: an API
	// key, a client certificate, a signed request, the session of an older system. It
	// is called once per request, before the session cookie is read, where a guard,
	// [Auth.Update] or [Auth.Logout] needs the user. A nil User with a nil error means
	// that there is no such credential: the session cookie counts, unless the request
	// has a bearer token, which is answered with 401 ([ErrInvalidToken]).
	//
	// A returned User is copied. Its Provider must be one of [Options.Providers], and
	// an empty Issuer becomes the provider's; anything else is 500
	// ([ErrSessionError]). It has no session: the cookie is not read, renewed or
	// cleared, [Auth.Session] reports none, and Update and Logout fail with
	// [ErrBadRequest]. Checks apply; for [MaxAge] and [ACR] its AuthTime and ACR count,
	// and where they do not suffice the request gets 403, since nobody can be sent to
	// sign in. [Options.Revocations] is not asked: end what the hook admits by the hook.
	//
	// [ErrInvalidToken] refuses the request with 401 and [ErrForbidden] with 403; any
	// other error, and a panic, means that the hook failed: 503
	// ([ErrStoreUnavailable]). None of these redirects, and for [Auth.LoadUser] the
	// request is unauthenticated then. A hook that writes the answer or aborts fails the
	// request with ErrSessionError. It must not call Next, a guard, Update or Logout.
	//
	// Unsafe requests from another origin are refused, whatever the credential:
	// browsers send certificates and Basic credentials by themselves, and proxies add
	// headers. Requests with one Authorization header that has a bearer token are
	// exempt, since a page cannot make a browser send one. So if there is one, decide
	// by it alone, and look at no certificate and no other header; and if a proxy in
	// front adds bearer tokens to requests of browsers, check Origin yourself.
	Authenticate func(c *gin.Context) (*User, error)

	// OnLogin is called when everything is verified and before the session is
	// written. It is the one hook that can refuse a sign-in: its error is logged and
	// answered with 403 ([ErrIdentityRejected]), an [*Error] or a [Code] such as
	// [ErrForbidden] with its own code. It may
	// change login.User, for example to add groups from a database, and
	// login.ReturnTo. It must not write a response: that refuses the sign-in too.
	OnLogin func(c *gin.Context, login *Login) error

	// OnLogout is called after a user has signed out.
	OnLogout func(c *gin.Context, user *User)

	// OnError answers a failed request in place of the built-in page or JSON. The
	// request is aborted already, and the failure is logged. err.Event says whether a
	// sign-in, a sign-out or a guarded request failed. If it writes nothing, the
	// built-in response follows.
	OnError func(c *gin.Context, err *Error)

	// OnEvent receives every [Event], for metrics, traces and alarms. The outcome is
	// settled by then, and the response not written yet. ctx is the request's, with
	// its trace; it ends with the request, even if something that OnEvent started
	// goes on. A panic is logged, and changes nothing. docs/observability.md has
	// code for OpenTelemetry and Prometheus.
	OnEvent func(ctx context.Context, e Event)
}

// Login is a verified sign-in that is about to become a session.
type Login struct {
	// User is the person who signs in. OnLogin may change it, except for Provider,
	// Issuer and Subject, which stay as verified. Its Data is not nil.
	User *User

	// Previous is the user that was signed in before and asks to link User's account
	// to theirs. It is nil unless the sign-in began as a same-origin POST to
	// /login/:provider with link=true: otherwise an attacker's link could tie the
	// attacker's account to the victim's.
	Previous *User

	// Renewal says that the person was signed in already, and that a [MaxAge] or [ACR]
	// check sent them to authenticate again. User.Data is that of the session before.
	Renewal bool

	// Token is the response of the provider's token endpoint; numbers in its Extra
	// are [json.Number]. It is not kept: use it now, or store it.
	Token *oauth2.Token

	// ReturnTo is the path of the application that the browser goes to next. OnLogin
	// may set another one; anything else than such a path becomes
	// [Options.AfterLogin].
	ReturnTo string
}
