package ginauth

import (
	"context"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"
)

// Hooks are functions of the application's that a sign-in calls. All are
// optional. A hook that panics fails its request, except for OnEvent; one that
// blocks, blocks it.
type Hooks struct {
	// OnLogin is called after everything is verified and before the session
	// is written. It is the one hook that can refuse: what it returns is
	// logged and answered with 403 (identity_rejected; an *Error as its own
	// code), and nobody is signed in. It may change login.User, to add groups
	// from a database, say, and login.ReturnTo. It should not write an answer:
	// if it does, nobody is signed in either.
	OnLogin func(c *gin.Context, login *Login) error

	// OnLogout is called after a user has signed out, and told who it was.
	OnLogout func(c *gin.Context, user *User)

	// OnError answers a failed request in place of the built-in page or JSON.
	// The request is aborted already, and the failure logged. If it writes
	// nothing, the built-in answer follows.
	OnError func(c *gin.Context, err *Error)

	// OnEvent is told what happens: for metrics, traces, alarms. The outcome is
	// settled by then, and the answer not written yet. ctx is that of the
	// request, with its trace; the request may be over before what OnEvent
	// starts is. A panic is logged, and changes nothing. docs/observability.md
	// has what to write for OpenTelemetry and for Prometheus.
	OnEvent func(ctx context.Context, e Event)
}

// Login is a verified sign-in that is about to become a session.
type Login struct {
	// User is who signed in. OnLogin may change it, but not who it is:
	// Provider, Issuer and Subject stay as verified. Its Data is not nil.
	User *User

	// Previous is who was signed in before, and now asks to tie User's
	// account to theirs. It is nil except for an attempt that began as a
	// same-origin POST to /login/:provider with link=true: any other way, an
	// attacker's link would tie the attacker's account to the victim's.
	Previous *User

	// Token is what the provider's token endpoint gave; numbers in its Extra
	// are json.Number. It is not kept: use it now (to ask for groups, say), or
	// store it.
	Token *oauth2.Token

	// ReturnTo is the path of the application that the browser goes to next.
	// OnLogin may set another; one that leads elsewhere becomes
	// Options.AfterLogin.
	ReturnTo string
}
