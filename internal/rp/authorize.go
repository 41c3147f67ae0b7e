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

// urlLimit is the length of an authorization URL in bytes that servers accept. RFC 9110, 4.1: "It
// is RECOMMENDED that all senders and recipients support, at a minimum, URIs with lengths of 8000
// octets in protocol elements." With a longer URL, the user would see an error page of the
// provider's proxy.
const urlLimit = 8 << 10

// Request holds the values that an authorization request sends and its response must match. State,
// Nonce and Verifier are base64url text.
//
// RFC 9700, 2.1.1: "the PKCE challenge or OpenID Connect nonce MUST be
// transaction-specific and securely bound to the client and the user agent in which
// the transaction was started." The caller is responsible for that: it creates them for each
// request and stores them in this browser.
type Request struct {
	State, Nonce, Verifier string
	Started                time.Time
	MaxAge                 int               // seconds; -1 if not requested (0, which requests it, is the safe zero value)
	ACRValues              string            // space-separated
	Demanded               map[string]string // parameters that take precedence over Config.AuthParams
	Scopes                 []string          // in addition to Config.Scopes
	Fingerprint            Fingerprint
}

// Fingerprint identifies the provider and the client. It must be the same at the beginning and at
// the end of a sign-in.
//
// RFC 9700, 4.4.2: "clients MUST store, for each authorization request, the issuer
// they sent the authorization request to and bind this information to the user
// agent." The address of the authorization endpoint would not suffice: an attacker "might
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
// OpenID Connect Core 1.0, section 3.1.2.1), and the Fingerprint that r needs when the response
// arrives. params are additional parameters of this request.
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

// appendRequest appends the parameters that differ in each request. Their values need no escaping.
func (c *Client) appendRequest(b []byte, r Request) []byte {
	// RFC 6749, 4.1.1: state "SHOULD be used for preventing cross-site request forgery". It is
	// sent to every provider, even with PKCE.
	b = append(append(b, "&state="...), r.State...)
	// OpenID Connect Core, 2: the nonce is "passed through unmodified from the
	// Authentication Request to the ID Token", where checkNonce compares it.
	if c.sendsNonce() {
		b = append(append(b, "&nonce="...), r.Nonce...)
	}
	if !c.cfg.Quirks.DisablePKCE {
		// RFC 9700, 2.1.1: "clients SHOULD use PKCE code challenge methods that do not
		// expose the PKCE verifier in the authorization request. […] Currently, S256 is
		// the only such method." plain is never used, whatever the metadata lists: a server
		// without PKCE ignores both.
		//
		// RFC 7636, 4.2: code_challenge = BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))
		var verifier [64]byte // a conversion to []byte would allocate
		sum := sha256.Sum256(append(verifier[:0], r.Verifier...))
		b = append(b, "&code_challenge_method=S256&code_challenge="...)
		b = base64.RawURLEncoding.AppendEncode(b, sum[:])
	}
	return b
}

// ProtocolParam reports whether a parameter of the authorization request belongs to the protocol,
// so that neither AuthParams nor a login link may set it.
func ProtocolParam(name string) bool {
	switch name {
	case "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
		"code_challenge", "code_challenge_method", "request", "request_uri", "registration", "client_secret":
		return true
	}
	return false
}

// TokenParam reports whether a parameter of the token request belongs to the protocol, in addition
// to those of ProtocolParam.
func TokenParam(name string) bool {
	return name == "grant_type" || name == "code" || name == "code_verifier"
}

// authorizationPrefix returns the part of the authorization URL that is the same in all requests
// with the same parameters.
func (c *Client) authorizationPrefix(endpoint *url.URL, params, demanded map[string]string, scopes []string) string {
	q := endpoint.Query()
	for _, some := range []map[string]string{params, c.cfg.AuthParams, demanded} { // in this order: a link must not weaken AuthParams
		for name, value := range some {
			q.Set(name, value)
		}
	}
	// RFC 6749, 3.1: the query of an endpoint "MUST be retained when adding additional
	// query parameters", but also: "Request and response parameters MUST NOT be included
	// more than once." In a conflict, the protocol's own parameters win.
	for name := range q {
		if ProtocolParam(name) {
			q.Del(name)
		}
	}
	// Only the code flow. RFC 9700, 2.1.2: "clients SHOULD NOT use the implicit grant
	// (response type "token") or other response types issuing access tokens in the
	// authorization response".
	q.Set("response_type", "code")
	q.Set(c.cfg.Quirks.ClientIDParam, c.cfg.ClientID)
	// RFC 6749, 3.3: scope is "a list of space-delimited, case-sensitive strings". Some providers
	// require commas.
	scopes = slices.Concat(c.cfg.Scopes, slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return slices.Contains(c.cfg.Scopes, s) }))
	if len(scopes) > 0 {
		q.Set("scope", strings.Join(scopes, c.cfg.Quirks.ScopeSeparator))
	}
	// RFC 8707, 2: "Multiple resource parameters MAY be used to indicate that the requested
	// token is intended to be used at multiple resources." Token requests ask for one at a time: a
	// server refuses a resource there that was not named here (invalid_target).
	for _, resource := range c.cfg.Resources {
		if !slices.Contains(q["resource"], resource) {
			q.Add("resource", resource)
		}
	}
	// query is the default of the code flow. It is omitted, since some servers do not know
	// response_mode.
	if c.cfg.ResponseMode == "form_post" {
		q.Set("response_mode", "form_post")
	}
	if c.cfg.Quirks.EditAuthorize != nil {
		c.cfg.Quirks.EditAuthorize(q)
	}
	// After EditAuthorize, which must not change it. RFC 6749, 4.1.3: redirect_uri is in the token
	// request as well, "and their values MUST be identical". A code that was sent to another
	// address could not be redeemed, but it would have leaked.
	q.Set("redirect_uri", c.cfg.RedirectURI)
	q.Del("state") // appendRequest adds this and the following, whatever EditAuthorize did
	if c.sendsNonce() {
		q.Del("nonce")
	}
	if !c.cfg.Quirks.DisablePKCE {
		q.Del("code_challenge")
		q.Del("code_challenge_method")
	}
	// RFC 6749, 3.1: "The endpoint URI MUST NOT include a fragment component."
	u := *endpoint
	// A space as %20, which every server accepts; Apple does not accept +.
	u.RawQuery, u.Fragment = strings.ReplaceAll(q.Encode(), "+", "%20"), ""
	return u.String()
}
