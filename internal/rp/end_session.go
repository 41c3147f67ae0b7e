package rp

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// endSessionWait is how long a sign-out waits for the provider's metadata.
const endSessionWait = 2 * time.Second

// EndSessionURL returns where a browser signs out at the provider and comes back
// to returnURI with state (OpenID Connect RP-Initiated Logout 1.0, section 2), or ""
// if there is no such place, or the provider does not say within two seconds. hint
// is the ID token, or "".
func (c *Client) EndSessionURL(ctx context.Context, hint, state, returnURI string) string {
	if c.cfg.LogoutLocal {
		return ""
	}
	if c.cfg.LogoutURL != "" {
		return strings.NewReplacer("{client_id}", url.QueryEscape(c.cfg.ClientID), "{state}", url.QueryEscape(state),
			"{post_logout_redirect_uri}", url.QueryEscape(returnURI)).Replace(c.cfg.LogoutURL)
	}
	ctx, cancel := context.WithTimeout(ctx, endSessionWait)
	defer cancel()
	m, err := c.metadata(ctx)
	if err != nil || m.endSession == "" {
		return ""
	}
	u, err := url.Parse(m.endSession)
	if err != nil {
		return ""
	}
	// Section 2: client_id is "to specify the Client Identifier when
	// post_logout_redirect_uri is used but id_token_hint is not"; state, "Opaque value used
	// by the RP to maintain state between the logout request and the callback"; the hint is
	// RECOMMENDED, and without it the provider "MUST ask the End-User" whether to sign out.
	q := u.Query()
	q.Set("client_id", c.cfg.ClientID)
	q.Set("post_logout_redirect_uri", returnURI)
	q.Set("state", state)
	if hint != "" {
		q.Set("id_token_hint", hint)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// EndsSessions reports whether the provider has an end-session endpoint, as far as
// its metadata is known.
func (c *Client) EndsSessions(ctx context.Context) bool {
	m, err := c.metadata(ctx)
	return err == nil && m.endSession != ""
}

// returns reports whether the provider's own sign-out has an address of ours to
// come back to. While the metadata m is unknown, it may.
func (c *Client) returns(m *metadata) bool {
	switch {
	case c.cfg.LogoutLocal:
		return false
	case c.cfg.LogoutURL != "":
		return strings.Contains(c.cfg.LogoutURL, "{post_logout_redirect_uri}")
	case m == nil:
		return true
	}
	return m.endSession != ""
}
