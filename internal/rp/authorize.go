package rp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/wire"
)

// urlLimit is how many bytes of an authorization URL every server takes.
const urlLimit = 8 << 10

// Request holds what an authorization request sends and what its response must
// match. State, Nonce and Verifier are base64url text.
type Request struct {
	State, Nonce, Verifier string
	Started                time.Time
	MaxAge                 int    // seconds; -1 if not requested (0, which requests it, is the safe zero value)
	ACRValues              string // space-separated
	Fingerprint            Fingerprint
}

// Fingerprint identifies the provider and the client. It must be the same at both
// ends of a sign-in.
type Fingerprint struct {
	Theirs [8]byte // issuer or Namespace, and token endpoint: RFC 9700, section 4.4.2
	Ours   [8]byte // client ID and redirect URI
}

func (c *Client) fingerprint(tokenURL string) Fingerprint {
	return Fingerprint{Theirs: digest(c.cfg.Issuer, c.cfg.Namespace, tokenURL), Ours: digest(c.cfg.ClientID, c.cfg.RedirectURI)}
}

func digest(parts ...string) [8]byte {
	sum := sha256.Sum256(wire.AppendStrings(nil, parts))
	return [8]byte(sum[:8])
}

// AuthorizationURL returns the address of an authorization request (RFC 6749,
// section 4.1.1; OpenID Connect Core 1.0, section 3.1.2.1), and the Fingerprint
// that r needs when the response comes. params are those of this request alone.
func (c *Client) AuthorizationURL(ctx context.Context, r Request, params map[string]string) (string, Fingerprint, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return "", Fingerprint{}, err
	}
	prefix := m.prefix
	if len(params) > 0 || prefix == "" {
		prefix = c.authorizationPrefix(m.authorize, params)
	}
	b := c.appendRequest(append(make([]byte, 0, len(prefix)+256), prefix...), r)
	if c.cfg.Quirks.AuthorizeFragment != "" {
		b = append(append(b, '#'), c.cfg.Quirks.AuthorizeFragment...)
	}
	if len(b) > urlLimit {
		return "", Fingerprint{}, &Error{Code: BadRequest, ID: "authorize.too_long", Op: "authorization URL", Provider: c.cfg.Name,
			Reason: "the authorization URL is longer than 8 KB", Fix: "shorten Scopes, AuthParams or what is passed to /login"}
	}
	return string(b), m.fingerprint, nil
}

// appendRequest appends the parameters that are different in each request. None
// of them needs escaping.
func (c *Client) appendRequest(b []byte, r Request) []byte {
	b = append(append(b, "&state="...), r.State...)
	if c.sendsNonce() {
		b = append(append(b, "&nonce="...), r.Nonce...)
	}
	if !c.cfg.Quirks.DisablePKCE {
		// RFC 7636, 4.2: code_challenge = BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))
		var verifier [64]byte // a conversion to []byte would allocate
		sum := sha256.Sum256(append(verifier[:0], r.Verifier...))
		b = append(b, "&code_challenge_method=S256&code_challenge="...)
		b = base64.RawURLEncoding.AppendEncode(b, sum[:])
	}
	return b
}

// ProtocolParam reports whether a parameter of the authorization request is the
// protocol's own, which neither AuthParams nor a login link may set.
func ProtocolParam(name string) bool {
	switch name {
	case "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
		"code_challenge", "code_challenge_method", "request", "request_uri", "registration", "client_secret":
		return true
	}
	return false
}

// TokenParam reports whether a parameter belongs to the token request, beside
// those for which ProtocolParam is true.
func TokenParam(name string) bool {
	return name == "grant_type" || name == "code" || name == "code_verifier"
}

// authorizationPrefix is the part of the authorization URL that all requests with
// the same params share.
func (c *Client) authorizationPrefix(endpoint *url.URL, params map[string]string) string {
	q := endpoint.Query()
	for name, value := range params {
		q.Set(name, value)
	}
	for name, value := range c.cfg.AuthParams { // they win: a link must not ask for less
		q.Set(name, value)
	}
	for name := range q { // RFC 6749, 3.1: an endpoint may have a query; ours take its place
		if ProtocolParam(name) {
			q.Del(name)
		}
	}
	q.Set("response_type", "code")
	q.Set(c.cfg.Quirks.ClientIDParam, c.cfg.ClientID)
	if len(c.cfg.Scopes) > 0 {
		q.Set("scope", strings.Join(c.cfg.Scopes, c.cfg.Quirks.ScopeSeparator))
	}
	if c.cfg.ResponseMode == "form_post" {
		q.Set("response_mode", "form_post")
	}
	if c.cfg.Quirks.EditAuthorize != nil {
		c.cfg.Quirks.EditAuthorize(q)
	}
	q.Set("redirect_uri", c.cfg.RedirectURI)
	q.Del("state") // appendRequest writes these, whatever EditAuthorize did
	if c.sendsNonce() {
		q.Del("nonce")
	}
	if !c.cfg.Quirks.DisablePKCE {
		q.Del("code_challenge")
		q.Del("code_challenge_method")
	}
	u := *endpoint
	// %20, which every server reads as a space; Apple does not read +.
	u.RawQuery, u.Fragment = strings.ReplaceAll(q.Encode(), "+", "%20"), ""
	return u.String()
}
