package rp

import (
	"context"
	"maps"
	"slices"

	"golang.org/x/oauth2"
)

// IdentifyRequest requests the current identity of a user who signed in earlier.
type IdentifyRequest struct {
	Token     *oauth2.Token
	Refreshed bool           // Token was just refreshed
	Claims    map[string]any // of its ID token, verified by Refresh; nil without one
	Earlier   Earlier        // only Issuer and Subject
}

// AsksProfile reports whether Identify can request the profile or userinfo.
func (c *Client) AsksProfile(ctx context.Context) (bool, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return false, err
	}
	return c.hasProfile(m), nil
}

func (c *Client) hasProfile(m *metadata) bool {
	return (m.userinfoURL != "" || c.cfg.Profile != nil) && c.cfg.Userinfo != "never"
}

// Identify returns the current identity of a user, as Redeem does at a sign-in. After a successful
// refresh the user is known to have access: then an outage of the profile is no error, and leaves
// the Identity incomplete. Otherwise the profile is always requested, and an outage is an error.
//
// An error with Refused set means that the provider or Config.Profile rejected the user. An error
// with the code IDTokenInvalid means that the userinfo belongs to another user.
func (c *Client) Identify(ctx context.Context, r IdentifyRequest) (*Identity, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	id := &Identity{Issuer: r.Earlier.Issuer, Token: r.Token, Claims: maps.Clone(r.Claims)}
	if r.Claims != nil {
		id.read()
	}
	// Core, 12.2: a refresh need not return an ID token. Then the claims that userinfo lacks are
	// unknown.
	id.Incomplete = c.openID() && r.Claims == nil
	if r.Refreshed && (!c.hasProfile(m) || r.Claims != nil && c.cfg.Userinfo == "missing" && c.cfg.Complete(r.Claims)) {
		return id, nil
	}
	read := c.profile
	if c.openID() {
		read = c.userinfo
	}
	info, err := read(ctx, m, r.Token)
	if err != nil && r.Refreshed && unavailable(err) {
		c.cfg.Warn("userinfo.skipped", "userinfo request failed; the user keeps the userinfo claims of the session", err)
		id.Incomplete = true
		return id, nil
	}
	if err != nil {
		return nil, markRefused(err)
	}
	if !c.openID() {
		id.Claims = info
		return id, nil
	}
	dropNulls(info)
	if info["sub"] != r.Earlier.Subject {
		return nil, c.about(fault("userinfo.another_person", "the userinfo belongs to a different user than the sign-in", "report this to the provider: it returned the data of another user", nil), IDTokenInvalid, "userinfo")
	}
	if id.Claims == nil {
		id.Claims = map[string]any{"sub": r.Earlier.Subject}
	}
	c.merge(id.Claims, info)
	return id, nil
}

// refusals are the codes with which Config.Profile rejects a user.
var refusals = []Code{IdentityRejected, ProviderDenied, "forbidden", "unauthenticated"}

// markRefused sets Refused in an error by which the provider or Config.Profile rejects the user.
// RFC 6750, 3.1: 401 with invalid_token, for a token that is "expired, revoked, malformed, or
// invalid for other reasons".
func markRefused(err error) error {
	e, ok := err.(*Error)
	if !ok || !e.unauthorized && !(e.said && slices.Contains(refusals, e.Code)) {
		return err
	}
	told := *e
	told.Refused = true
	return &told
}
