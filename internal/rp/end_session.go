package rp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/jws"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// endSessionWait is how long a sign-out waits for the provider.
const endSessionWait = 2 * time.Second

// EndSessionURL returns the URL at which a browser signs out at the provider and returns to
// returnURI with state (OpenID Connect RP-Initiated Logout 1.0, section 2). It is "" if the
// provider has none, if its metadata cannot be fetched within two seconds, or if it does not
// respond, so that the browser is not stranded there. hint is the ID token, or "". It is
// omitted if the key that signed it is no longer published.
func (c *Client) EndSessionURL(ctx context.Context, hint, state, returnURI string) string {
	ctx, cancel := context.WithTimeout(ctx, endSessionWait)
	defer cancel()
	endpoint := c.EndSessionEndpoint(ctx)
	if endpoint == "" {
		return ""
	}
	if !c.takesHint(ctx, hint) {
		hint = ""
	}
	// After takesHint, whose request may be the first that shows an outage.
	if ctx.Err() != nil || c.silent.Load() && !c.answers(ctx) {
		return ""
	}
	if c.cfg.LogoutURL != "" {
		return FillLogoutURL(endpoint, c.cfg.ClientID, state, returnURI)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	// 2.1: end_session_endpoint "MAY contain port, path, and query parameter components": its
	// query is kept. Section 2: client_id is "to specify the Client Identifier when
	// post_logout_redirect_uri is used but id_token_hint is not"; state, "Opaque value used
	// by the RP to maintain state between the logout request and the callback"; the hint is
	// RECOMMENDED, and without it the provider "MUST ask the End-User" whether to sign out.
	//
	// The value of post_logout_redirect_uri "MUST have been previously registered with the
	// OP". If it is not, most providers end the session and show their own page.
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

// FillLogoutURL returns a Config.LogoutURL with its placeholders replaced.
func FillLogoutURL(template, clientID, state, returnURI string) string {
	return strings.NewReplacer("{client_id}", url.QueryEscape(clientID), "{state}", url.QueryEscape(state),
		"{post_logout_redirect_uri}", url.QueryEscape(returnURI)).Replace(template)
}

// EndSessionEndpoint returns the URL of EndSessionURL without the parameters of a sign-out, even
// while the provider does not respond.
func (c *Client) EndSessionEndpoint(ctx context.Context) string {
	if c.cfg.LogoutLocal {
		return ""
	}
	if c.cfg.LogoutURL != "" {
		return c.cfg.LogoutURL
	}
	ctx, cancel := context.WithTimeout(ctx, endSessionWait)
	defer cancel()
	m, err := c.metadata(ctx)
	if err != nil {
		return ""
	}
	return m.endSession
}

// takesHint reports whether the provider can still verify its ID token. Section 2: "When an
// id_token_hint parameter is present, the OP MUST validate that it was the issuer of the ID
// Token", for which it needs the key. The token may have expired: "The OP SHOULD accept ID Tokens
// when the RP identified by the ID Token's aud claim and/or sid claim has a current session or had
// a recent session at the OP, even when the exp time has passed."
//
// The result is false if the key that signed the token is no longer published. Keycloak rejects
// such a hint, and the user is stranded there; without a hint it asks for confirmation. If the
// keys are unknown, the result is true.
func (c *Client) takesHint(ctx context.Context, hint string) bool {
	m := c.meta.Load()
	token, err := jws.Split(hint)
	if err != nil || m == nil || m.keys == nil {
		return true
	}
	header, _ := strictjson.Object(token.Header)
	kid, _ := header["kid"].(string)
	// RFC 7515, 4.1.4: "Use of this Header Parameter is OPTIONAL." Any published key may have
	// signed a token without a kid.
	if kid == "" {
		return true
	}
	if !fresh(m.keys.held.Load().fetched, c.cfg.Now(), keysCooldown) {
		// The function always returns true: that the key is missing is a result too. A cool-down
		// would prevent the next sign-in from fetching its keys.
		if m.keys.refresh(ctx, fromProvider, func(*heldKeys) bool { return true }) != nil {
			return true
		}
	}
	return m.keys.held.Load().has(kid)
}

// answers checks whether a provider whose last request failed responds again, by a request to
// the token endpoint.
func (c *Client) answers(ctx context.Context) bool {
	m := c.meta.Load()
	if m == nil {
		return false
	}
	// All sign-outs during an outage wait for one request.
	done := c.flight.DoChan("answers", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endSessionWait)
		defer cancel()
		return c.knock(ctx, "token endpoint", http.MethodHead, m.tokenURL)
	})
	select {
	case r := <-done:
		return r.Err == nil
	case <-ctx.Done():
		return false
	}
}

// watcher is a transport that records whether the provider responds.
type watcher struct {
	http.RoundTripper
	silent *atomic.Bool
}

// unwatched is the context key of requests that are not recorded.
type unwatched struct{}

// RoundTrip implements http.RoundTripper.
func (w watcher) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.RoundTripper.RoundTrip(req)
	// A canceled request says nothing about the provider.
	if req.Context().Value(unwatched{}) != nil || errors.Is(err, context.Canceled) {
		return resp, err
	}
	down := false
	if err != nil {
		kind := fetch.Classify("", "", err).Kind()
		down = kind == fetch.Network || kind == fetch.Timeout || kind == fetch.TLS
	} else {
		down = unavailableStatus(resp.StatusCode)
	}
	w.silent.Store(down)
	return resp, err
}

// unavailableStatus reports whether a status is that of a proxy in front of a provider that is
// down. RFC 9110, 15.6.3: 502 is of a server "acting as a gateway or proxy"; 15.6.4: with 503 a
// server is "currently unable to handle the request". A 500 comes from the provider, which is up.
func unavailableStatus(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// EndsSessions reports whether the provider has an end-session endpoint, as far as
// its metadata is known.
func (c *Client) EndsSessions(ctx context.Context) bool {
	m, err := c.metadata(ctx)
	return err == nil && m.endSession != ""
}

// returns reports whether the provider may redirect back here after a sign-out. It is true while
// the metadata m is unknown.
func (c *Client) returns(m *metadata) bool {
	switch {
	case c.cfg.LogoutLocal:
		return false
	case c.cfg.LogoutURL != "":
		// A non-standard URL (Auth0's returnTo, Cognito's logout_uri): the provider redirects back
		// only if it is told where to.
		return strings.Contains(c.cfg.LogoutURL, "{post_logout_redirect_uri}")
	case m == nil:
		return true
	}
	return m.endSession != ""
}
