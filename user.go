package ginauth

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// User is the person who signed in, in OpenID Connect's standard claim names
// (OpenID Connect Core 5.1), whatever the provider calls them. Every request gets a
// copy of its own: changing it changes nothing else (see [Auth.Update]). Holding a
// *User after the request ends also retains the request.
//
// What a provider sends is text that a person typed: escape Name and the other
// fields like any input.
type User struct {
	Provider string `json:"provider"` // Provider.Name of the sign-in
	Issuer   string `json:"iss"`      // the issuer, or the Namespace of a plain OAuth 2.0 provider
	Subject  string `json:"sub"`      // who it is, at that issuer

	Name          string `json:"name,omitempty"`
	Username      string `json:"preferred_username,omitempty"` // may be given to somebody else later: never a key
	Email         string `json:"email,omitempty"`              // trust it only if EmailVerified
	EmailVerified bool   `json:"email_verified"`               // true only if the provider says so; absent means false
	Picture       string `json:"picture,omitempty"`            // an https address, or empty
	Locale        string `json:"locale,omitempty"`

	Groups []string          `json:"groups,omitempty"` // from the claim "groups", or its ClaimPaths; OnLogin may add to them
	Data   map[string]string `json:"data,omitempty"`   // the application's own, set in OnLogin or Auth.Update

	AuthTime time.Time `json:"auth_time,omitzero"` // when the person last proved to the provider who they are, else when they signed in here
	ACR      string    `json:"acr,omitempty"`      // how they did, in the provider's words (OpenID Connect Core, section 2); or ""

	// Grant is what the user's bearer token permits; nil for a session, and for a user of
	// [Hooks.Authenticate] without one, who have full access.
	Grant *Grant `json:"grant,omitempty"`

	kept    *keptClaims  // immutable, and shared by copies; nil if there are none
	request *authRequest // whose user it is: see MaxAge; nil outside of one
}

// keptClaims are the claims of a User.
type keptClaims struct {
	json  string   // a JSON object, or ""
	names []string // which could be there; nil in OnLogin: all; "*" all
}

// noneKept is that of most sessions.
var noneKept = &keptClaims{names: []string{}}

// claims returns the claims as JSON, or "".
func (u *User) claims() string {
	if u.kept == nil {
		return ""
	}
	return u.kept.json
}

// claimNames returns which claims could be there, nil for all.
func (u *User) claimNames() []string {
	if u.kept == nil {
		return nil
	}
	return u.kept.names
}

// ID returns Issuer + "#" + Subject, which is stable, and unambiguous since an
// issuer has no fragment. It is the only key worth storing: e-mail addresses and
// user names change hands (OpenID Connect Core 5.7).
func (u *User) ID() string { return u.Issuer + "#" + u.Subject }

// VerifiedEmail returns the e-mail address if the provider verified it, else "" and
// false.
func (u *User) VerifiedEmail() (string, bool) {
	if !u.EmailVerified || u.Email == "" {
		return "", false
	}
	return u.Email, true
}

// Claims decodes the claims as the provider sent them into v, a pointer, as
// [json.Unmarshal] does: all claims in [Hooks.OnLogin], those of
// [Options.KeepClaims] afterwards. Claims that are not there leave v as it is. It
// fails with [ErrSessionError] if a claim does not fit into v.
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
	all, _ := strictjson.Object(u.claims()) // without claims, none
	return all[name], true
}

// sameAs puts back who a verified user is, and how they proved that, whatever the
// application did to the rest.
func (u *User) sameAs(verified *User) {
	u.Provider, u.Issuer, u.Subject = verified.Provider, verified.Issuer, verified.Subject
	u.AuthTime, u.ACR, u.Grant = verified.AuthTime, verified.ACR, verified.Grant
	u.kept, u.request = verified.kept, verified.request
}

// setClaims replaces the claims by those called names.
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

// writable makes a User whose Data can be written to without a thought.
func (u *User) writable() {
	if u.Data == nil {
		u.Data = map[string]string{}
	}
}

// clone returns a User that shares nothing with u that can be changed.
func (u *User) clone() *User {
	c := new(User)
	u.copyTo(c, nil)
	return c
}

// copyTo is clone into a User that is there already, with room for its Groups.
func (u *User) copyTo(c *User, room []string) {
	*c = *u
	if c.Groups = nil; len(u.Groups) > 0 {
		c.Groups = slices.Clip(append(room, u.Groups...)) // who appends to it twice gets two lists
	}
	c.Data = maps.Clone(u.Data)
	c.Grant = u.Grant.clone()
}

// Claims decodes the claims of the signed-in user into a T; see [User.Claims]. It
// fails with [ErrUnauthenticated] if [CurrentUser] returns nil for ctx, and with
// [ErrSessionError] if a claim does not fit into a T.
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
