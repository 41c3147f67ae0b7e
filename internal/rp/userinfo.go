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
	errorBodyLimit = 4 << 10 // bytes of an answer with a status of failure
)

// addUserinfo adds to the claims of an ID token those that it lacks (OpenID Connect
// Core 1.0, section 5.3), as Config.Userinfo has it.
func (c *Client) addUserinfo(ctx context.Context, m *metadata, id *Identity) error {
	nowhere := m.userinfoURL == "" && c.cfg.Profile == nil
	optional := c.cfg.Userinfo == "missing"
	if c.cfg.Userinfo == "never" || optional && (nowhere || c.cfg.Complete(id.Claims)) {
		return nil
	}
	if nowhere {
		return c.misconfigured("userinfo", "userinfo.no_endpoint", `Userinfo is "always", but the provider has no userinfo endpoint`, "set UserinfoURL")
	}
	// The ID token has proved who signed in: where the userinfo only adds to it, an outage
	// of that endpoint does not fail the sign-in. An answer that contradicts it does.
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
	// Response values MUST NOT be used." One that is missing does not match, either: "The sub
	// (subject) Claim MUST always be returned in the UserInfo Response."
	if info["sub"] != id.Claims["sub"] {
		return c.badUserinfo(fault("userinfo.sub", "its sub is not that of the ID token", "report this to the provider: it returned the data of another user", nil))
	}
	c.merge(id.Claims, info)
	return nil
}

// unavailable reports whether the userinfo could not be had. 5.3.3: "When an error
// condition occurs, the UserInfo Endpoint returns an Error Response as defined in Section 3
// of OAuth 2.0 Bearer Token Usage": such a status says nothing about the person, either.
// An answer that contradicts the ID token is another matter, and so is an *Error that
// Config.Profile returned, whatever its code: it may say that this person must not get in.
func unavailable(err error) bool {
	e, ok := err.(*Error)
	return !ok || e.outage
}

func (c *Client) badUserinfo(err error) error {
	e := c.about(err, UserinfoInvalid, "userinfo")
	e.Reason = "the userinfo is invalid: " + e.Reason
	return e
}

// merge adds what the userinfo knows beside the ID token, which is signed and wins.
// Protocol claims are read from the token alone. A verified flag never goes to
// another address than the one beside it.
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

// dropUnpaired deletes from info what would part a flag from its address. What the
// ID token has is deleted as well: a path can be written in two ways.
func dropUnpaired(claims, info map[string]any, address, flag string) {
	// 5.1: email_verified true "means that the OP took affirmative steps to ensure that this
	// e-mail address was controlled by the End-User at the time the verification was
	// performed": this address, the one beside it. An attacker who may write one of the two
	// sources would combine an address that is not theirs from the one with "verified" from
	// the other.
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

// deletePath deletes everything that a path could lead to, and lists on its way
// whole.
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

// userinfo asks the userinfo endpoint, which answers with JSON or with a signed
// JWT (5.3.2). Config.Profile takes its place.
func (c *Client) userinfo(ctx context.Context, m *metadata, token *oauth2.Token) (map[string]any, error) {
	if c.cfg.Profile != nil {
		return c.profile(ctx, m, token)
	}
	// 5.3: "The UserInfo Endpoint is an OAuth 2.0 Protected Resource that returns Claims
	// about the authenticated End-User", asked with the access token of this sign-in.
	media, body, err := c.get(ctx, "userinfo", m.userinfoURL, token, true)
	if err != nil {
		return nil, err
	}
	// 5.3.2: "If the UserInfo Response is signed and/or encrypted, then the Claims are
	// returned in a JWT and the content-type MUST be application/jwt." A provider that is
	// asked for no such thing may still be registered to send it.
	if media == jwtMedia {
		return c.signedUserinfo(ctx, m, body)
	}
	return c.readProfile(body, UserinfoInvalid)
}

// signedUserinfo: 5.3.2: "If signed, the UserInfo Response MUST contain the Claims
// iss (issuer) and aud (audience) as members. The iss value MUST be the OP's Issuer
// Identifier URL. The aud value MUST be or include the RP's Client ID value." They and
// the signature are checked as those of an ID token are. exp is not required here; one
// that is there counts.
func (c *Client) signedUserinfo(ctx context.Context, m *metadata, raw string) (map[string]any, error) {
	claims, _, err := c.openJWT(ctx, m, strings.TrimSpace(raw), expectedJWT{
		typs: []string{"JWT"}, audience: c.cfg.ClientID, algs: m.algs, noExpiry: true,
	})
	if err == nil {
		err = c.checkIssuer(claims)
	}
	if err != nil {
		return nil, c.badUserinfo(err) // which keeps the code of keys that could not be fetched
	}
	return claims, nil
}

// profile reads who signed in at a plain OAuth 2.0 provider, or what Config.Profile
// says in place of the userinfo endpoint.
func (c *Client) profile(ctx context.Context, m *metadata, token *oauth2.Token) (map[string]any, error) {
	if c.cfg.Profile == nil {
		_, body, err := c.get(ctx, "profile", m.userinfoURL, token, false)
		if err != nil {
			return nil, err
		}
		return c.readProfile(body, IdentityRejected)
	}
	// Its HTTP client sends the access token, and has the limits of all other requests: no
	// redirects, ten seconds, a megabyte.
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
	// Its numbers and lists may be of any type; ours are those of strictjson.
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

// hasRoundedFloat reports whether v holds a float so large that it may stand for
// several integers. v has been written as JSON: it has no cycles.
//
// A float64 has 53 bits for the digits: 9007199254740993 becomes 9007199254740992, and
// with it one person's id another's. encoding/json decodes every number into one unless
// it is told otherwise.
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

// readProfile decodes the claims of a profile. code is that of an answer that
// cannot be trusted.
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

// get asks with the access token, and reads the answer with its media type: JSON, or
// if signed says so a JWT. OpenID
// Connect Core, 5.3.1: "It is RECOMMENDED that the request use the HTTP GET method and
// the Access Token be sent using the Authorization header field." RFC 6750, 5.3: "Bearer
// tokens SHOULD NOT be passed in page URLs".
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
	// 5.3.2 has the claims in a 200 alone. What another status brings is not about a person.
	if resp.StatusCode != http.StatusOK {
		return "", "", c.refusedUserinfo(op, resp, req.URL.Host, token)
	}
	if body, err = fetch.Read(resp, op, tokenResponseLimit); err != nil {
		return "", "", c.unreachable(op, err)
	}
	media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	// A page with status 200 is a login form or a proxy: what looks like JSON in it may be
	// anyone's.
	if media != "application/json" && !strings.HasSuffix(media, "+json") && !(signed && media == jwtMedia) {
		return "", "", c.unreachable(op, fetch.MediaError(op, req.URL.Host, resp.StatusCode, media))
	}
	return media, body, nil
}

// refusedUserinfo says what an answer with a status of failure means, in the
// provider's own words: RFC 6750, 3.1, has invalid_token and insufficient_scope.
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
	// unintended parties": who reads the log is one.
	sent := secrets{token.AccessToken}
	for _, value := range c.cfg.Quirks.Header {
		sent = append(sent, value)
	}
	body, _ := fetch.Read(resp, op, errorBodyLimit) // one that is longer says nothing
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
	unauthorized atomic.Bool // the last answer was a 401: Config.Profile need not say so
}

// RoundTrip implements http.RoundTripper.
func (t *bearerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.WithContext(req.Context()) // a shallow copy
	req.Header = maps.Clone(req.Header)
	// What Config.Profile has set stays: some APIs have a scheme of their own. RFC 6750, 2:
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
