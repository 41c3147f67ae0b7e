package ginauth

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// User is the authenticated user of a request, with the standard claim names of OpenID Connect
// (Core 1.0, section 5.1), whatever names the provider uses. Every request gets its own copy:
// changes are not stored (see [Auth.Update]). Holding a *User after the request ends also
// retains the request.
//
// A provider sends text that users typed: escape Name and the other fields like any input.
type User struct {
	Provider string `json:"provider"` // Provider.Name of the sign-in
	Issuer   string `json:"iss"`      // the issuer, or Provider.Namespace for plain OAuth 2.0 and LoginPage
	Subject  string `json:"sub"`      // the provider's id of the user, unique within Issuer

	Name          string `json:"name,omitempty"`
	Username      string `json:"preferred_username,omitempty"` // can be reassigned to another person: never use it as a key
	Email         string `json:"email,omitempty"`              // trust it only if EmailVerified is true
	EmailVerified bool   `json:"email_verified"`               // true only if the provider sent it as true
	Picture       string `json:"picture,omitempty"`            // an https URL, or ""
	Locale        string `json:"locale,omitempty"`

	Groups []string          `json:"groups,omitempty"` // the claim "groups", or its path in ClaimPaths; OnLogin, OnToken and OnRecheck may change them
	Data   map[string]string `json:"data,omitempty"`   // data of the application, set in OnLogin, OnToken or Auth.Update

	AuthTime time.Time `json:"auth_time,omitzero"` // the provider's auth_time; without one, when the user signed in here or the token was issued
	ACR      string    `json:"acr,omitempty"`      // authentication context class (OpenID Connect Core 1.0, section 2), or ""

	// Grant is what the user's access token permits: a guard admits a user with a Grant only
	// by a [HasScope] or [IsClient] check. It is nil for a session, and for a user of
	// [Hooks.Authenticate] that the hook returned without one: those have full access.
	Grant *Grant `json:"grant,omitempty"`

	kept    *keptClaims  // immutable and shared by copies; nil without claims
	request *authRequest // the request that this is the user of: see MaxAge; nil for other Users
}

// keptClaims holds the claims of a User.
type keptClaims struct {
	json  string   // a JSON object, or ""
	names []string // names of the kept claims; nil (in OnLogin) and "*" mean all
}

// noneKept is shared by sessions that keep no claims, as most do.
var noneKept = &keptClaims{names: []string{}}

// claims returns the kept claims as JSON, or "".
func (u *User) claims() string {
	if u.kept == nil {
		return ""
	}
	return u.kept.json
}

// claimNames returns the names of the kept claims; nil means all.
func (u *User) claimNames() []string {
	if u.kept == nil {
		return nil
	}
	return u.kept.names
}

// ID returns Issuer + "#" + Subject, which is stable, and unambiguous since an issuer has no
// fragment. It is the only key to store users by: e-mail addresses and user names can be
// reassigned (OpenID Connect Core 1.0, section 5.7).
func (u *User) ID() string { return u.Issuer + "#" + u.Subject }

// VerifiedEmail returns the e-mail address and true if the provider verified it, else "" and
// false.
func (u *User) VerifiedEmail() (string, bool) {
	if !u.EmailVerified || u.Email == "" {
		return "", false
	}
	return u.Email, true
}

// Claims decodes the claims into v, a pointer, as [json.Unmarshal] does: in [Hooks.OnLogin]
// and [Hooks.OnToken] all claims as the provider sent them, later those of
// [Options.KeepClaims]. Missing claims leave v unchanged. It fails with [ErrSessionError] if a
// claim does not fit into v.
func (u *User) Claims(v any) error {
	text := u.claims()
	if text == "" {
		text = "{}"
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return &Error{Code: ErrSessionError, ID: "claims.decode", Op: "decode claims", Provider: u.Provider, Err: err,
			Reason: "the claims do not match the target type", Fix: "change the type; error= names the claim"}
	}
	return nil
}

// claim returns one claim, and whether claims of that name are kept at all.
func (u *User) claim(name string) (value any, kept bool) {
	if names := u.claimNames(); names != nil && !slices.Contains(names, name) && !slices.Contains(names, "*") {
		return nil, false
	}
	all, _ := strictjson.Object(u.claims()) // nil without claims
	return all[name], true
}

// sameAs restores the fields of a verified user that the application must not change: the
// identity and the authentication.
func (u *User) sameAs(verified *User) {
	u.Provider, u.Issuer, u.Subject = verified.Provider, verified.Issuer, verified.Subject
	u.AuthTime, u.ACR, u.Grant = verified.AuthTime, verified.ACR, verified.Grant
	u.kept, u.request = verified.kept, verified.request
}

// setClaims replaces the claims; names are the names of the kept claims.
func (u *User) setClaims(claims map[string]any, names []string) error {
	if len(claims) == 0 && len(names) == 0 {
		u.kept = noneKept
		return nil
	}
	if len(claims) == 0 {
		u.kept = &keptClaims{names: names}
		return nil
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		return &Error{Code: ErrSessionError, ID: "claims.encode", Op: "keep claims", Provider: u.Provider, Err: err,
			Reason: "the claims cannot be encoded as JSON", Fix: "see error= for the value that cannot be encoded"}
	}
	u.kept = &keptClaims{json: string(raw), names: names}
	return nil
}

// writable makes Data a map that can be written to.
func (u *User) writable() {
	if u.Data == nil {
		u.Data = map[string]string{}
	}
}

// clone returns a copy that shares no mutable data with u.
func (u *User) clone() *User {
	c := new(User)
	u.copyTo(c, nil)
	return c
}

// copyTo is clone into an existing User, with room for its Groups.
func (u *User) copyTo(c *User, room []string) {
	*c = *u
	if c.Groups = nil; len(u.Groups) > 0 {
		c.Groups = slices.Clip(append(room, u.Groups...)) // so that append does not write to shared memory
	}
	c.Data = maps.Clone(u.Data)
	c.Grant = u.Grant.clone()
}

// Claims decodes the claims of the current user into a T: see [User.Claims]. It fails with
// [ErrUnauthenticated] if [CurrentUser] returns nil for ctx, and with [ErrSessionError] if a
// claim does not fit into a T.
func Claims[T any](ctx context.Context) (T, error) {
	var claims T
	u := CurrentUser(ctx)
	if u == nil {
		return claims, &Error{Code: ErrUnauthenticated, ID: "session.unauthenticated", Op: "decode claims", Reason: "no user is signed in",
			Fix: "add RequireAuth to this route"}
	}
	err := u.Claims(&claims)
	return claims, err
}
