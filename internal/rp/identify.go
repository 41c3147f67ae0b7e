package rp

import (
	"context"
	"maps"
	"slices"

	"golang.org/x/oauth2"
)

// IdentifyRequest asks who a person is by now who signed in earlier.
type IdentifyRequest struct {
	Token     *oauth2.Token
	Refreshed bool           // Token came of a refresh just now
	Claims    map[string]any // of its ID token, verified by Refresh; nil without one
	Earlier   Earlier        // Issuer and Subject alone
}

// AsksProfile reports whether Identify has anywhere to ask for the profile.
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

// Identify returns who a person is by now, as Redeem does at a sign-in. A refresh that
// succeeded has said that the person may still be here: then an outage of the profile
// leaves the Identity incomplete, and fails nothing. Without one, the profile says it, and
// is asked in any case.
//
// An error whose Refused is set says that the person may not be here; IDTokenInvalid, that
// the answer is about another person.
func (c *Client) Identify(ctx context.Context, r IdentifyRequest) (*Identity, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	id := &Identity{Issuer: r.Earlier.Issuer, Token: r.Token, Claims: maps.Clone(r.Claims)}
	if r.Claims != nil {
		id.read()
	}
	// Core, 12.2, lets a refresh return no ID token: then the claims that userinfo lacks are
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

// refusals are the codes by which Config.Profile says no.
var refusals = []Code{IdentityRejected, ProviderDenied, "forbidden", "unauthenticated"}

// markRefused marks an error of the profile that says no. RFC 6750, 3.1: 401 with
// invalid_token, for a token that is "expired, revoked, malformed, or invalid for other
// reasons".
func markRefused(err error) error {
	e, ok := err.(*Error)
	if !ok || !e.unauthorized && !(e.said && slices.Contains(refusals, e.Code)) {
		return err
	}
	told := *e
	told.Refused = true
	return &told
}
