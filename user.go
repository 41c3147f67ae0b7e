package ginauth

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// User is the person who signed in, in OpenID Connect's standard claim names
// (OpenID Connect Core 5.1), whatever the provider calls them. Every request
// gets a User of its own: changing it changes nothing else (see Auth.Update).
// Whoever keeps one for longer than the request keeps the request in memory too.
//
// What a provider sends is text that somebody typed: escape Name and the like
// as you would any input.
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

	Groups []string          `json:"groups,omitempty"` // from Provider.GroupsClaim; OnLogin may add to them
	Data   map[string]string `json:"data,omitempty"`   // the application's own, set in OnLogin or Auth.Update

	AuthTime time.Time `json:"auth_time,omitzero"` // when the person last proved to the provider who they are, else when they signed in here

	claims string   // JSON object
	kept   []string // which claims could be there; nil in OnLogin: all; "*" all
}

// ID returns Issuer + "#" + Subject: stable, and unambiguous since an issuer
// has no fragment. It is the only key worth storing: e-mail addresses and user
// names change hands (OpenID Connect Core 5.7).
func (u *User) ID() string { return u.Issuer + "#" + u.Subject }

// VerifiedEmail returns the e-mail address if the provider vouches for it.
func (u *User) VerifiedEmail() (string, bool) {
	if !u.EmailVerified || u.Email == "" {
		return "", false
	}
	return u.Email, true
}

// Claims decodes the claims, exactly as the provider sent them, into v as
// json.Unmarshal does: all of them in OnLogin, those of Options.KeepClaims
// afterwards.
func (u *User) Claims(v any) error {
	text := u.claims
	if text == "" {
		text = "{}"
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return &Error{Code: ErrSessionError, Op: "decode claims", Provider: u.Provider, Err: err}
	}
	return nil
}

// claim returns one claim, and whether claims of that name are kept at all.
func (u *User) claim(name string) (value any, kept bool) {
	if u.kept != nil && !slices.Contains(u.kept, name) && !slices.Contains(u.kept, "*") {
		return nil, false
	}
	all, _ := strictjson.Object(u.claims) // without claims, none
	return all[name], true
}

// sameAs puts back what identifies a verified user, whatever the application
// did to the rest.
func (u *User) sameAs(verified *User) {
	u.Provider, u.Issuer, u.Subject = verified.Provider, verified.Issuer, verified.Subject
	u.claims, u.kept = verified.claims, verified.kept
}

// setClaims replaces the claims.
func (u *User) setClaims(claims map[string]any) error {
	if len(claims) == 0 {
		u.claims = ""
		return nil
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		return &Error{Code: ErrSessionError, Op: "keep claims", Provider: u.Provider, Err: err}
	}
	u.claims = string(raw)
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
}

// Claims decodes the claims of the signed-in user into a T. It is an error if
// nobody is signed in. See User.Claims.
func Claims[T any](ctx context.Context) (T, error) {
	var claims T
	u := CurrentUser(ctx)
	if u == nil {
		return claims, &Error{Code: ErrUnauthenticated, Op: "decode claims", Reason: "nobody is signed in",
			Fix: "put RequireAuth in front of this handler"}
	}
	err := u.Claims(&claims)
	return claims, err
}

// newUser makes the User of verified claims. From here on nothing knows which
// kind of provider it was.
func newUser(c *client, sent map[string]any, now time.Time, pictureOverHTTP bool) (*User, error) {
	claims := c.mapped(sent)
	subject, err := validSubject(claims["sub"])
	if err != nil {
		return nil, &Error{Code: ErrIdentityRejected, Op: "read profile", Provider: c.provider.Name,
			Reason: "the profile has no usable subject: " + err.Error(),
			Fix:    `map "sub" in Provider.ClaimPaths to the profile's stable id, never to a user name`}
	}
	var raw []byte
	if c.cfg.Hooks.OnLogin != nil || len(c.cfg.KeepClaims) > 0 { // nobody else can read it
		if raw, err = json.Marshal(sent); err != nil {
			return nil, &Error{Code: ErrIdentityRejected, Op: "read profile", Provider: c.provider.Name, Err: err}
		}
	}
	u := &User{
		Provider: c.provider.Name, Issuer: c.namespace(claims), Subject: subject,
		Name: fullName(claims), Username: text(claims, "preferred_username"),
		Email: text(claims, "email"), Locale: text(claims, "locale"),
		Groups: groups(sent, c.provider.GroupsClaim), AuthTime: now, claims: string(raw),
	}
	u.EmailVerified = u.Email != "" && c.emailVerified(sent, claims)
	if p := text(claims, "picture"); strings.HasPrefix(p, "https://") || pictureOverHTTP && strings.HasPrefix(p, "http://") {
		u.Picture = p
	}
	if at, ok := authTime(claims, now); ok {
		u.AuthTime = at
	}
	return u, nil
}

// authTime is when the person proved to the provider who they are, if it says so.
func authTime(claims map[string]any, now time.Time) (at time.Time, ok bool) {
	at, ok = strictjson.NumericDate(claims["auth_time"])
	return at, ok && !at.After(now.Add(leeway))
}

// validSubject: OpenID Connect Core 2: "It MUST NOT exceed 255 ASCII
// characters in length." Plain OAuth 2.0 ids are held to the same, and may be
// numbers; the number 0 and "" are what broken profiles have, never a person.
func validSubject(v any) (string, error) {
	s, ok := strictjson.String(v)
	switch {
	case !ok || s == "" || v == json.Number("0"):
		return "", errors.New("sub is missing, empty, zero or no text")
	case len(s) > 255:
		return "", errors.New("sub is longer than 255 characters")
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return "", errors.New("sub has characters that are not printable ASCII")
		}
	}
	return s, nil
}

// text returns a claim that must be text to count; a number in plain OAuth 2.0
// profiles counts as its decimal form.
func text(claims map[string]any, name string) string {
	s, _ := strictjson.String(claims[name])
	return s
}

func fullName(claims map[string]any) string {
	if name := text(claims, "name"); name != "" {
		return name
	}
	return strings.TrimSpace(text(claims, "given_name") + " " + text(claims, "family_name"))
}

// groups reads the groups at path: a list of texts, or one text, which is one
// group. Anything else is no group, never a guess.
func groups(claims map[string]any, path string) []string {
	v, _ := strictjson.Lookup(claims, path)
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}
