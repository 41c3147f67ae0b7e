package ginauth

import (
	"fmt"
	"slices"
	"strings"
)

// Grant describes what an access token permits: see [User.Grant]. A user with a Grant is
// admitted only by guards in which a [HasScope] or [IsClient] check admits the token.
type Grant struct {
	Client  string   `json:"client,omitempty"`  // client_id of the token (or azp, cid, appid)
	Scopes  []string `json:"scopes,omitempty"`  // the claim scope, or scp
	Program bool     `json:"program,omitempty"` // issued to the client itself, without a user (client credentials, RFC 6749, section 4.4)

	admitted *bool // whether a check of the running guard has admitted the token; nil outside a guard
}

// clone returns a copy, whose admitted mark belongs to one guard.
func (g *Grant) clone() *Grant {
	if g == nil {
		return nil
	}
	return &Grant{Client: g.Client, Scopes: slices.Clone(g.Scopes), Program: g.Program}
}

// admit marks the token as admitted by the running guard.
func (g *Grant) admit() {
	if g.admitted != nil {
		*g.admitted = true
	}
}

// takeBack undoes admit.
func (g *Grant) takeBack() {
	if g != nil && g.admitted != nil {
		*g.admitted = false
	}
}

// undecided reports whether a guard is running in which no check has admitted the token yet.
func (g *Grant) undecided() bool { return g != nil && g.admitted != nil && !*g.admitted }

// HasScope admits a user whose access token has all of scopes, and every user without a
// [User.Grant], such as one with a session, to whom scopes do not apply. Scopes are compared
// exactly (RFC 6749, section 3.3). A token without one of them gets 403
// ([ErrInsufficientScope]) with the required scopes in WWW-Authenticate (RFC 6750, section
// 3.1). A token that was issued to a client itself ([Grant.Program]) also needs [IsClient].
// HasScope panics without scopes, and if one is empty or contains a space or another character
// that a scope cannot have.
//
// A guard without a HasScope or IsClient check admits no access token. If a check of the
// application calls HasScope itself and HasScope returns nil, the token is admitted by that
// call; to reject the user afterwards, the check must return an error.
//
//go:noinline
func HasScope(scopes ...string) Check {
	mustHave("HasScope", scopes)
	if i := slices.IndexFunc(scopes, badScope); i >= 0 {
		panic(fmt.Sprintf("ginauth: HasScope(%q): %q is not a single scope; pass each scope as a separate argument", scopes, scopes[i]))
	}
	scopes = slices.Clone(scopes)
	return func(u *User) error {
		if u.Grant == nil {
			return nil
		}
		for _, s := range scopes {
			if !slices.Contains(u.Grant.Scopes, s) {
				return &Error{Code: ErrInsufficientScope, ID: "check.scope", Op: "check", Provider: u.Provider, scope: strings.Join(scopes, " "),
					Reason: fmt.Sprintf("the token has the scopes %q, which do not include all of %q", u.Grant.Scopes, scopes), Fix: "have the client request the missing scopes"}
			}
		}
		if !u.Grant.Program {
			u.Grant.admit()
		}
		return nil
	}
}

// IsClient admits only clients with one of these ids that present a token issued to the client
// itself, without a user (client credentials grant, RFC 6749, section 4.4). It rejects users,
// with a session or a token; to admit both, write AnyOf(HasScope("read"),
// IsClient("nightly-report")). IsClient does not check scopes. Ids are compared exactly.
// IsClient panics without ids, and if one is empty.
//
//go:noinline
func IsClient(ids ...string) Check {
	mustHave("IsClient", ids)
	ids = slices.Clone(ids)
	return func(u *User) error {
		if u.Grant == nil || !u.Grant.Program {
			return refused("check.no_program", notAdmitted, "the token belongs to a user, not to a client acting on its own behalf")
		}
		if !slices.Contains(ids, u.Grant.Client) {
			return refused("check.client", notAdmitted, "client %q is not one of %q", u.Grant.Client, ids)
		}
		u.Grant.admit()
		return nil
	}
}

// decide sets the variable in which the checks of a guard mark the token as admitted; nil ends
// that.
func (g *Grant) decide(admitted *bool) {
	if g != nil {
		g.admitted = admitted
	}
}

// judged returns the error of a guard's checks. A token that no check has admitted gets that
// error before a demand to authenticate again.
func (g *Grant) judged(admitted bool, err error, u *User) error {
	if g == nil || admitted {
		return err
	}
	if e, ok := err.(*Error); err == nil || ok && e.demand != nil {
		return unscoped(u)
	}
	return err
}

// unscoped returns the error for a token that no check of the guard has admitted.
func unscoped(u *User) *Error {
	reason := "the guard has no HasScope or IsClient check, so it accepts no bearer tokens"
	if u.Grant.Program {
		reason = "the token was issued to a client acting on its own behalf, and no IsClient check of the guard admits it"
	}
	return &Error{Code: ErrInsufficientScope, ID: "guard.bearer_unscoped", Op: "guard", Provider: u.Provider, Reason: reason,
		Fix: `state what a token needs: RequireAuth(ginauth.HasScope("…")) for tokens of users, ginauth.IsClient("…") for tokens of programs`}
}
