package rp

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/strictjson"
)

const (
	jwtMedia       = "application/jwt"
	errorBodyLimit = 4 << 10 // bytes of a response with an error status
)

// addUserinfo adds the claims that an ID token lacks (OpenID Connect Core 1.0, section 5.3),
// according to Config.Userinfo.
func (c *Client) addUserinfo(ctx context.Context, m *metadata, id *Identity) error {
	nowhere := m.userinfoURL == "" && c.cfg.Profile == nil
	optional := c.cfg.Userinfo == "missing"
	if c.cfg.Userinfo == "never" || optional && (nowhere || c.cfg.Complete(id.Claims)) {
		return nil
	}
	if nowhere {
		return c.misconfigured("userinfo", "userinfo.no_endpoint", `Userinfo is "always", but the provider has no userinfo endpoint`, "set UserinfoURL")
	}
	// The ID token has proved who signed in. If userinfo is optional, an outage of its endpoint
	// does not fail the sign-in, but a response that contradicts the ID token does.
	info, err := c.userinfo(ctx, m, id.Token)
	if err != nil && optional && unavailable(err) {
		c.cfg.Warn("userinfo.skipped", "userinfo request failed; the sign-in continues with the claims of the ID token", err)
		return nil
	}
	if err != nil {
		return err
	}
	// 5.3.2: a claim that is not returned "SHOULD NOT be present with a null or empty
	// string value".
	dropNulls(info)
	// 5.3.2: "The sub Claim in the UserInfo Response MUST be verified to exactly
	// match the sub Claim in the ID Token; if they do not match, the UserInfo
	// Response values MUST NOT be used." A missing sub does not match either: "The sub (subject)
	// Claim MUST always be returned in the UserInfo Response."
	if info["sub"] != id.Claims["sub"] {
		return c.badUserinfo(fault("userinfo.sub", "its sub is not that of the ID token", "report this to the provider: it returned the data of another user", nil))
	}
	c.merge(id.Claims, info)
	return nil
}

// unavailable reports whether the userinfo could not be fetched. 5.3.3: "When an error condition
// occurs, the UserInfo Endpoint returns an Error Response as defined in Section 3 of OAuth 2.0
// Bearer Token Usage": such a status also says nothing about the user. The result is false for a
// response that contradicts the ID token, and for every *Error of Config.Profile, which may be
// there to reject the user.
func unavailable(err error) bool {
	e, ok := err.(*Error)
	return !ok || e.outage
}

func (c *Client) badUserinfo(err error) error {
	e := c.about(err, UserinfoInvalid, "userinfo")
	e.Reason = "the userinfo is invalid: " + e.Reason
	return e
}

// merge adds the claims of userinfo that the ID token lacks: the ID token is signed and takes
// precedence. Protocol claims are not added. A verified flag is never combined with an address
// from the other source.
func (c *Client) merge(claims, info map[string]any) {
	for _, p := range c.cfg.Pairs {
		dropUnpaired(claims, info, p[0], p[1])
	}
	for name, v := range info {
		if _, there := claims[name]; !there && !ProtocolClaim(name) {
			claims[name] = v
		}
	}
}

// dropUnpaired deletes an address or flag from info if merging would separate a flag from its
// address. It also deletes those that the ID token has: a path can be written in two ways.
func dropUnpaired(claims, info map[string]any, address, flag string) {
	// 5.1: email_verified true "means that the OP took affirmative steps to ensure that this
	// e-mail address was controlled by the End-User at the time the verification was
	// performed": the address in the same source. Otherwise an attacker who controls one of the
	// sources could combine another user's address from it with "verified" from the other.
	ours, there := strictjson.Lookup(claims, address)
	_, flagged := strictjson.Lookup(claims, flag)
	found, _ := strictjson.Lookup(info, address)
	theirs, ok := found.(string)
	if flagged || there && (!ok || ours != theirs) {
		deletePath(info, flag)
	}
	if flagged || there {
		deletePath(info, address)
	}
}

// deletePath deletes every value to which a path could lead. A list on the way is deleted whole.
func deletePath(at map[string]any, path string) {
	for name, v := range at {
		rest, below := strings.CutPrefix(path, name+".")
		if inner, ok := v.(map[string]any); below && ok {
			deletePath(inner, rest)
		} else if below || name == path {
			delete(at, name)
		}
	}
}

// userinfo queries the userinfo endpoint, which returns JSON or a signed JWT (5.3.2). Config.Profile
// replaces it.
func (c *Client) userinfo(ctx context.Context, m *metadata, token *oauth2.Token) (map[string]any, error) {
	if c.cfg.Profile != nil {
		return c.profile(ctx, m, token)
	}
	// 5.3: "The UserInfo Endpoint is an OAuth 2.0 Protected Resource that returns Claims
	// about the authenticated End-User", to which the access token of this sign-in gives access.
	media, body, err := c.get(ctx, "userinfo", m.userinfoURL, token, true)
	if err != nil {
		return nil, err
	}
	// 5.3.2: "If the UserInfo Response is signed and/or encrypted, then the Claims are
	// returned in a JWT and the content-type MUST be application/jwt." That depends on the
	// client's registration at the provider.
	if media == jwtMedia {
		return c.signedUserinfo(ctx, m, body)
	}
	return c.readProfile(body, UserinfoInvalid)
}

// signedUserinfo: 5.3.2: "If signed, the UserInfo Response MUST contain the Claims
// iss (issuer) and aud (audience) as members. The iss value MUST be the OP's Issuer
// Identifier URL. The aud value MUST be or include the RP's Client ID value." They and the
// signature are checked as for an ID token. exp is optional, but checked if present.
func (c *Client) signedUserinfo(ctx context.Context, m *metadata, raw string) (map[string]any, error) {
	claims, _, err := c.openJWT(ctx, m, strings.TrimSpace(raw), expectedJWT{
		typs: []string{"JWT"}, audience: c.cfg.ClientID, algs: m.algs, noExpiry: true,
	})
	if err == nil {
		err = c.checkIssuer(claims)
	}
	if err != nil {
		return nil, c.badUserinfo(err) // keeps the code of an error in fetching the keys
	}
	return claims, nil
}

// profile returns the profile of a plain OAuth 2.0 provider, or the result of Config.Profile, which
// replaces the userinfo endpoint.
func (c *Client) profile(ctx context.Context, m *metadata, token *oauth2.Token) (map[string]any, error) {
	if c.cfg.Profile == nil {
		_, body, err := c.get(ctx, "profile", m.userinfoURL, token, false)
		if err != nil {
			return nil, err
		}
		return c.readProfile(body, IdentityRejected)
	}
	// The HTTP client for Config.Profile adds the access token, and has the limits of all other
	// requests: no redirects, ten seconds, one megabyte.
	client, sent := c.bearer(token)
	claims, err := c.cfg.Profile(ctx, client, token)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			told := c.about(e, ProviderUnavailable, "profile")
			told.outage, told.said = false, true
			return nil, told
		}
		e := c.unreachable("profile", fetch.Classify("profile", "", err))
		e.unauthorized = sent.unauthorized.Load()
		return nil, e
	}
	rejected := func(id, reason, fix string, err error) error {
		return &Error{Code: IdentityRejected, ID: id, Op: "profile", Provider: c.cfg.Name, Reason: reason, Fix: fix, Cause: err}
	}
	// Encoding and decoding normalizes the types: Config.Profile may use any types for numbers and
	// lists, but other code expects those of strictjson.
	body, err := json.Marshal(claims)
	if err != nil {
		return nil, rejected("profile.unwritable", "the return value of Provider.Profile cannot be encoded as JSON", "return maps, lists, strings and numbers", err)
	}
	if hasRoundedFloat(reflect.ValueOf(claims)) {
		return nil, rejected("profile.float", "Provider.Profile returned a float that may be rounded, so the ids of two users could collide",
			"decode ids with json.Decoder.UseNumber, or into int64", nil)
	}
	return c.readProfile(string(body), IdentityRejected)
}

// hasRoundedFloat reports whether v contains a float so large that it may stand for several
// integers. v has been encoded as JSON, so that it has no cycles.
//
// A float64 has a 53-bit significand: 9007199254740993 becomes 9007199254740992, and the id of one
// user becomes that of another. By default, encoding/json decodes every number in an any into a
// float64.
func hasRoundedFloat(v reflect.Value) bool {
	if !v.IsValid() || v.Type().Implements(jsonMarshaler) {
		return false
	}
	switch v.Kind() {
	case reflect.Float32:
		return math.Abs(v.Float()) >= 1<<24
	case reflect.Float64:
		return math.Abs(v.Float()) >= 1<<53
	case reflect.Interface, reflect.Pointer:
		return hasRoundedFloat(v.Elem())
	case reflect.Map:
		for _, value := range v.Seq2() {
			if hasRoundedFloat(value) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if hasRoundedFloat(v.Index(i)) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if (f.IsExported() || f.Anonymous) && f.Tag.Get("json") != "-" && hasRoundedFloat(v.Field(i)) {
				return true
			}
		}
	}
	return false
}

var jsonMarshaler = reflect.TypeFor[json.Marshaler]()

// readProfile decodes the claims of a profile. code is the error code if the profile is invalid.
func (c *Client) readProfile(body string, code Code) (map[string]any, error) {
	claims, err := strictjson.Object(body)
	if err != nil {
		err = fault("profile.json", "the response is not strict JSON", "check the provider's response; Provider.Profile can parse it instead", err)
	} else {
		err = c.checkNames(claims)
	}
	if err != nil {
		return nil, c.about(err, code, "userinfo")
	}
	return claims, nil
}

// get sends a GET request with the access token, and returns the media type and the body of the
// response: JSON or, if signed is true, a JWT. OpenID Connect Core, 5.3.1: "It is RECOMMENDED that
// the request use the HTTP GET method and the Access Token be sent using the Authorization header
// field." RFC 6750, 5.3: "Bearer tokens SHOULD NOT be passed in page URLs".
func (c *Client) get(ctx context.Context, op, address string, token *oauth2.Token, signed bool) (media, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", "", c.misconfigured(op, "userinfo.endpoint", "UserinfoURL is not a valid URL", "set UserinfoURL to the userinfo endpoint")
	}
	// 5.3.2: "The UserInfo Claims MUST be returned as the members of a JSON object unless a
	// signed or encrypted response was requested during Client Registration."
	req.Header.Set("Accept", "application/json")
	if signed {
		req.Header.Set("Accept", "application/json, "+jwtMedia)
	}
	client, _ := c.bearer(token)
	resp, err := client.Do(req)
	if err != nil {
		return "", "", c.unreachable(op, fetch.Classify(op, address, err))
	}
	// 5.3.2: the claims come with status 200 only.
	if resp.StatusCode != http.StatusOK {
		return "", "", c.refusedUserinfo(op, resp, req.URL.Host, token)
	}
	if body, err = fetch.Read(resp, op, tokenResponseLimit); err != nil {
		return "", "", c.unreachable(op, err)
	}
	media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	// An HTML page with status 200 is from a login form or a proxy: JSON in it could come from
	// anyone.
	if media != "application/json" && !strings.HasSuffix(media, "+json") && !(signed && media == jwtMedia) {
		return "", "", c.unreachable(op, fetch.MediaError(op, req.URL.Host, resp.StatusCode, media))
	}
	return media, body, nil
}

// refusedUserinfo returns the Error for a response with an error status, with the provider's own
// description: RFC 6750, 3.1, defines invalid_token and insufficient_scope.
func (c *Client) refusedUserinfo(op string, resp *http.Response, host string, token *oauth2.Token) error {
	e := c.unreachable(op, fetch.StatusError(op, host, resp.StatusCode))
	// RFC 6750, 3.1: with 401, the token "is expired, revoked, malformed, or invalid for other
	// reasons"; with 403, the request "requires higher privileges than provided by the access
	// token".
	e.unauthorized = resp.StatusCode == http.StatusUnauthorized
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		e.Fix = "check the provider's error: usually a scope is missing, or the client's access tokens are not valid for userinfo (Keycloak: lightweight access tokens); if the ID token has all claims, set Userinfo to \"never\""
	}
	// RFC 6750, 5.3: "Client implementations MUST ensure that bearer tokens are not leaked to
	// unintended parties", such as readers of the log.
	sent := secrets{token.AccessToken}
	for _, value := range c.cfg.Quirks.Header {
		sent = append(sent, value)
	}
	body, _ := fetch.Read(resp, op, errorBodyLimit) // "" if it is longer
	return e.saying(sent.describeAnswer(resp.Header, body))
}

// bearer returns an HTTP client that sends the access token and Quirks.Header. RFC 6750,
// 2.1: "Clients SHOULD make authenticated requests with a bearer token using the
// "Authorization" request header field with the "Bearer" HTTP authorization scheme."
func (c *Client) bearer(token *oauth2.Token) (*http.Client, *bearerTransport) {
	t := &bearerTransport{client: c, token: token.AccessToken}
	return &http.Client{Transport: t, CheckRedirect: c.cfg.HTTP.CheckRedirect}, t
}

type bearerTransport struct {
	client       *Client
	token        string
	unauthorized atomic.Bool // the last response was a 401, which Config.Profile need not report
}

// RoundTrip implements http.RoundTripper.
func (t *bearerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.WithContext(req.Context()) // a shallow copy
	req.Header = maps.Clone(req.Header)
	// A header that Config.Profile has set stays: some APIs have another scheme. RFC 6750, 2:
	// "Clients MUST NOT use more than one method to transmit the token in each request."
	if req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	for name, value := range t.client.cfg.Quirks.Header {
		req.Header.Set(name, value)
	}
	resp, err := t.client.cfg.HTTP.Transport.RoundTrip(req)
	t.unauthorized.Store(err == nil && resp.StatusCode == http.StatusUnauthorized)
	return resp, err
}
