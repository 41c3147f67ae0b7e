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
	// OnLogin is called when everything is verified and before the session is
	// written. It is the one hook that can refuse a sign-in: its error is logged and
	// answered with 403 ([ErrIdentityRejected]), an [*Error] with its own code. It may
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

	// Token is the response of the provider's token endpoint; numbers in its Extra
	// are [json.Number]. It is not kept: use it now, or store it.
	Token *oauth2.Token

	// ReturnTo is the path of the application that the browser goes to next. OnLogin
	// may set another one; anything else than such a path becomes
	// [Options.AfterLogin].
	ReturnTo string
}
