package rp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/wire"
)

// urlLimit is how many bytes of an authorization URL every server takes. RFC 9110,
// 4.1: "It is RECOMMENDED that all senders and recipients support, at a minimum,
// URIs with lengths of 8000 octets in protocol elements." Beyond that, a browser
// would show the person an error page of the provider's proxy.
const urlLimit = 8 << 10

// Request holds what an authorization request sends and what its response must
// match. State, Nonce and Verifier are base64url text.
//
// RFC 9700, 2.1.1: "the PKCE challenge or OpenID Connect nonce MUST be
// transaction-specific and securely bound to the client and the user agent in which
// the transaction was started." The caller sees to that: it makes them for each
// request and keeps them in this browser.
type Request struct {
	State, Nonce, Verifier string
	Started                time.Time
	MaxAge                 int               // seconds; -1 if not requested (0, which requests it, is the safe zero value)
	ACRValues              string            // space-separated
	Demanded               map[string]string // parameters that win over Config.AuthParams
	Scopes                 []string          // beside Config.Scopes
	Fingerprint            Fingerprint
}

// Fingerprint identifies the provider and the client. It must be the same at both
// ends of a sign-in.
//
// RFC 9700, 4.4.2: "clients MUST store, for each authorization request, the issuer
// they sent the authorization request to and bind this information to the user
// agent." The address of the authorization endpoint would not do: an attacker "might
// declare an uncompromised authorization server's authorization endpoint URL as
// "their" authorization server URL, but declare a token endpoint under their own
// control". So the token endpoint is part of it.
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

// AuthorizationURL returns the URL of an authorization request (RFC 6749, section 4.1.1;
// OpenID Connect Core 1.0, section 3.1.2.1), and the Fingerprint that r needs when the
// response comes. params are those of this request alone.
func (c *Client) AuthorizationURL(ctx context.Context, r Request, params map[string]string) (string, Fingerprint, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return "", Fingerprint{}, err
	}
	prefix := m.prefix
	if len(params) > 0 || len(r.Demanded) > 0 || len(r.Scopes) > 0 || prefix == "" {
		prefix = c.authorizationPrefix(m.authorize, params, r.Demanded, r.Scopes)
	}
	b := c.appendRequest(append(make([]byte, 0, len(prefix)+256), prefix...), r)
	if c.cfg.Quirks.AuthorizeFragment != "" {
		b = append(append(b, '#'), c.cfg.Quirks.AuthorizeFragment...)
	}
	if len(b) > urlLimit {
		return "", Fingerprint{}, &Error{Code: BadRequest, ID: "authorize.too_long", Op: "authorization URL", Provider: c.cfg.Name,
			Reason: "the authorization URL is longer than 8 KB", Fix: "shorten Scopes, AuthParams or the parameters of /login"}
	}
	return string(b), m.fingerprint, nil
}

// appendRequest appends the parameters that are different in each request. None
// of them needs escaping.
func (c *Client) appendRequest(b []byte, r Request) []byte {
	// RFC 6749, 4.1.1: state "SHOULD be used for preventing cross-site request
	// forgery". It is sent to every provider, also to one that has PKCE.
	b = append(append(b, "&state="...), r.State...)
	// OpenID Connect Core, 2: the nonce is "passed through unmodified from the
	// Authentication Request to the ID Token": checkNonce finds it there.
	if c.sendsNonce() {
		b = append(append(b, "&nonce="...), r.Nonce...)
	}
	if !c.cfg.Quirks.DisablePKCE {
		// RFC 9700, 2.1.1: "clients SHOULD use PKCE code challenge methods that do not
		// expose the PKCE verifier in the authorization request. […] Currently, S256 is
		// the only such method." plain is never used, whatever the metadata offers: a
		// server that knows no PKCE ignores both.
		//
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
func (c *Client) authorizationPrefix(endpoint *url.URL, params, demanded map[string]string, scopes []string) string {
	q := endpoint.Query()
	for _, some := range []map[string]string{params, c.cfg.AuthParams, demanded} { // a link must not ask for less
		for name, value := range some {
			q.Set(name, value)
		}
	}
	// RFC 6749, 3.1: the query of an endpoint "MUST be retained when adding additional
	// query parameters", but also: "Request and response parameters MUST NOT be included
	// more than once." Where both cannot be obeyed, the protocol's own parameters win.
	for name := range q {
		if ProtocolParam(name) {
			q.Del(name)
		}
	}
	// The code flow alone. RFC 9700, 2.1.2: "clients SHOULD NOT use the implicit grant
	// (response type "token") or other response types issuing access tokens in the
	// authorization response".
	q.Set("response_type", "code")
	q.Set(c.cfg.Quirks.ClientIDParam, c.cfg.ClientID)
	// RFC 6749, 3.3: scope is "a list of space-delimited, case-sensitive strings". Some
	// providers want commas.
	scopes = slices.Concat(c.cfg.Scopes, slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return slices.Contains(c.cfg.Scopes, s) }))
	if len(scopes) > 0 {
		q.Set("scope", strings.Join(scopes, c.cfg.Quirks.ScopeSeparator))
	}
	// RFC 8707, 2: "Multiple resource parameters MAY be used to indicate that the requested
	// token is intended to be used at multiple resources." Each is asked for by itself at the
	// token endpoint: a server refuses there what was not named here (invalid_target).
	for _, resource := range c.cfg.Resources {
		if !slices.Contains(q["resource"], resource) {
			q.Add("resource", resource)
		}
	}
	// query is the default of the code flow: not naming it suits the servers that do
	// not know response_mode.
	if c.cfg.ResponseMode == "form_post" {
		q.Set("response_mode", "form_post")
	}
	if c.cfg.Quirks.EditAuthorize != nil {
		c.cfg.Quirks.EditAuthorize(q)
	}
	// Last, past EditAuthorize. RFC 6749, 4.1.3: redirect_uri is in the token request
	// as well, "and their values MUST be identical". A code that went to another
	// address could not be redeemed, but it would be there.
	q.Set("redirect_uri", c.cfg.RedirectURI)
	q.Del("state") // appendRequest writes these, whatever EditAuthorize did
	if c.sendsNonce() {
		q.Del("nonce")
	}
	if !c.cfg.Quirks.DisablePKCE {
		q.Del("code_challenge")
		q.Del("code_challenge_method")
	}
	// RFC 6749, 3.1: "The endpoint URI MUST NOT include a fragment component."
	u := *endpoint
	// %20, which every server reads as a space; Apple does not read +.
	u.RawQuery, u.Fragment = strings.ReplaceAll(q.Encode(), "+", "%20"), ""
	return u.String()
}
