package ginauth

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// identity verifies the ID token and adds from the userinfo what it lacks.
func (c *client) identity(ctx context.Context, m *metadata, token *oauth2.Token, want expected) (map[string]any, error) {
	raw, _ := token.Extra("id_token").(string)
	claims, err := c.verifyIDToken(ctx, m, raw, want)
	if err != nil {
		return nil, err
	}
	mode := c.provider.Userinfo
	nowhere := m.userinfoURL == "" && c.provider.Profile == nil
	if mode == "never" || mode == "missing" && (nowhere || !c.lacks(claims)) {
		return claims, nil
	}
	if nowhere {
		return nil, c.misconfigured("userinfo", `Userinfo is "always", and there is no userinfo endpoint`, "set UserinfoURL")
	}
	info, err := c.userinfo(ctx, m, token)
	if err != nil && mode == "missing" && !errors.Is(err, ErrUserinfoInvalid) && !errors.Is(err, ErrIdentityRejected) {
		c.cfg.Logger.Warn("ginauth: userinfo could not be read; the sign-in goes on with the ID token's claims", "provider", c.provider.Name, "error", err)
		return claims, nil
	}
	if err != nil {
		return nil, err
	}
	// 5.3.2: "The sub Claim in the UserInfo Response MUST be verified to
	// exactly match the sub Claim in the ID Token".
	if info["sub"] != claims["sub"] {
		return nil, c.badUserinfo("its sub is not the ID token's", nil)
	}
	c.merge(claims, info)
	return claims, nil
}

func (c *client) badUserinfo(reason string, err error) error {
	return &Error{Code: ErrUserinfoInvalid, Op: "userinfo", Provider: c.provider.Name, Reason: "the userinfo cannot be used: " + reason, Err: err}
}

// scopeClaims says which claims a scope asks for (OpenID Connect Core 5.4), of
// those that User has; scopeMore, the others.
var (
	scopeClaims = map[string][]string{
		"profile": {"name", "preferred_username", "picture", "locale"},
		"email":   {"email", "email_verified"},
	}
	scopeMore = map[string][]string{
		"profile": {"family_name", "given_name", "middle_name", "nickname", "profile", "website", "gender", "birthdate", "zoneinfo", "updated_at"},
		"address": {"address"},
		"phone":   {"phone_number", "phone_number_verified"},
	}
)

// lacks says whether a claim that the scopes asked for is missing from the ID
// token: one that User has, or one that the application keeps.
func (c *client) lacks(claims map[string]any) bool {
	missing := func(name string) bool { _, there := c.mapped(claims)[name]; return !there }
	if _, there := strictjson.Lookup(claims, c.provider.GroupsClaim); !there && c.provider.GroupsClaim != "groups" {
		return true
	}
	all := slices.Contains(c.cfg.KeepClaims, "*")
	for _, scope := range c.provider.Scopes {
		if slices.ContainsFunc(scopeClaims[scope], missing) || all && slices.ContainsFunc(scopeMore[scope], missing) {
			return true
		}
	}
	return slices.ContainsFunc(c.cfg.KeepClaims, func(name string) bool { return name != "*" && missing(name) })
}

// merge adds what userinfo knows beside the ID token, which is signed and wins.
// The protocol's claims are taken from it alone, and a verified flag of one
// address never goes to another: not under the standard names, and not where
// ClaimPaths finds the two.
func (c *client) merge(claims, info map[string]any) {
	for _, name := range []string{"email", "phone_number"} {
		flag := name + "_verified"
		pair(claims, info, name, flag)
		if _, mapped := c.provider.ClaimPaths[flag]; mapped {
			pair(claims, info, c.path(name), c.path(flag))
		}
	}
	for name, v := range info {
		if _, there := claims[name]; !there && !slices.Contains(protocolClaims, name) {
			claims[name] = v
		}
	}
}

// pair takes out of info what would part the flag from its address. What the
// ID token has goes as well: a path can be written in two ways.
func pair(claims, info map[string]any, address, flag string) {
	ours, there := strictjson.Lookup(claims, address)
	_, flagged := strictjson.Lookup(claims, flag)
	found, _ := strictjson.Lookup(info, address)
	theirs, ok := found.(string)
	if flagged || there && (!ok || ours != theirs) {
		drop(info, flag)
	}
	if flagged || there {
		drop(info, address)
	}
}

// drop deletes whatever a path could lead to, and lists on its way whole.
func drop(at map[string]any, path string) {
	for name, v := range at {
		rest, below := strings.CutPrefix(path, name+".")
		if inner, ok := v.(map[string]any); below && ok {
			drop(inner, rest)
		} else if below || name == path {
			delete(at, name)
		}
	}
}

// userinfo asks the userinfo endpoint (OpenID Connect Core 5.3), which answers
// with JSON or with a JWT that it signed.
func (c *client) userinfo(ctx context.Context, m *metadata, token *oauth2.Token) (map[string]any, error) {
	if c.provider.Profile != nil {
		return c.profile(ctx, m, token)
	}
	media, body, err := c.get(ctx, "userinfo", m.userinfoURL, token, "application/json, application/jwt")
	if err != nil {
		return nil, err
	}
	if media == "application/jwt" {
		return c.signedUserinfo(ctx, m, body)
	}
	return c.readProfile(media, body, ErrUserinfoInvalid)
}

// signedUserinfo: 5.3.2: "If signed, the UserInfo Response MUST contain the
// Claims iss and aud". Those, signature and expiry are checked as an ID
// token's are.
func (c *client) signedUserinfo(ctx context.Context, m *metadata, raw string) (map[string]any, error) {
	claims, _, err := c.openJWT(ctx, m, strings.TrimSpace(raw), jwtKind{typs: []string{"JWT"}, forever: true})
	if e, ok := errors.AsType[*Error](err); ok {
		return nil, e.about("userinfo", c.provider.Name)
	}
	if err != nil {
		reason, cause := inWords(err)
		return nil, c.badUserinfo("it is signed, and "+reason, cause)
	}
	if err := c.checkIssuer(claims); err != nil {
		return nil, c.badUserinfo(inWords(err))
	}
	if v, there := claims["exp"]; there {
		if exp, _ := strictjson.NumericDate(v); exp.Before(c.cfg.Now().Add(-leeway)) { // what is no date was long ago
			return nil, c.badUserinfo("it has expired", nil)
		}
	}
	return claims, nil
}

// profile reads who signed in at a plain OAuth 2.0 provider.
func (c *client) profile(ctx context.Context, m *metadata, token *oauth2.Token) (map[string]any, error) {
	if c.provider.Profile != nil {
		claims, err := c.provider.Profile(ctx, c.bearer(token), token)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); ok {
				return nil, e.about("profile", c.provider.Name)
			}
			return nil, c.unreachable("profile", fetch.Classify("profile", "", err))
		}
		// Its numbers and lists may be of any type; ours are those of strictjson.
		body, err := json.Marshal(claims)
		if err != nil {
			return nil, &Error{Code: ErrIdentityRejected, Op: "profile", Provider: c.provider.Name, Reason: "what Provider.Profile returned cannot be written as JSON", Err: err}
		}
		if rounded(reflect.ValueOf(claims)) {
			return nil, &Error{Code: ErrIdentityRejected, Op: "profile", Provider: c.provider.Name,
				Reason: "Provider.Profile returned a float that may have been rounded: two people's ids would become one",
				Fix:    "decode with json.Decoder.UseNumber, or into int64"}
		}
		return c.readProfile("application/json", string(body), ErrIdentityRejected)
	}
	media, body, err := c.get(ctx, "profile", m.userinfoURL, token, "application/json")
	if err != nil {
		return nil, err
	}
	return c.readProfile(media, body, ErrIdentityRejected)
}

// rounded says whether v holds a float too large for every integer up to it to
// have one of its own. v has been written as JSON: it has no cycles.
func rounded(v reflect.Value) bool {
	if !v.IsValid() || v.Type().Implements(jsonMarshaler) {
		return false
	}
	switch v.Kind() {
	case reflect.Float32:
		return math.Abs(v.Float()) >= 1<<24
	case reflect.Float64:
		return math.Abs(v.Float()) >= 1<<53
	case reflect.Interface, reflect.Pointer:
		return rounded(v.Elem())
	case reflect.Map:
		for _, value := range v.Seq2() {
			if rounded(value) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if rounded(v.Index(i)) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if (f.IsExported() || f.Anonymous) && f.Tag.Get("json") != "-" && rounded(v.Field(i)) {
				return true
			}
		}
	}
	return false
}

var jsonMarshaler = reflect.TypeFor[json.Marshaler]()

func (c *client) readProfile(media, body string, code Code) (map[string]any, error) {
	if media != "application/json" && !strings.HasSuffix(media, "+json") {
		return nil, c.unreachable("userinfo", &fetch.Error{Kind: fetch.ContentType, Op: "userinfo", Detail: printable.Clip(media)})
	}
	claims, err := strictjson.Object(body)
	if err == nil {
		err = c.checkNames(claims)
	}
	if err != nil {
		return nil, &Error{Code: code, Op: "userinfo", Provider: c.provider.Name, Reason: "the answer is not strict JSON", Err: err}
	}
	return claims, nil
}

// get asks with the access token, in the header alone (RFC 6750 2.1), and reads
// the answer with its media type.
func (c *client) get(ctx context.Context, op, address string, token *oauth2.Token, accept string) (media, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", "", c.misconfigured(op, "UserinfoURL is not an address", "")
	}
	req.Header.Set("Accept", accept)
	resp, err := c.bearer(token).Do(req)
	if err != nil {
		return "", "", c.unreachable(op, fetch.Classify(op, address, err))
	}
	if resp.StatusCode != http.StatusOK {
		drain(resp.Body)
		return "", "", c.unreachable(op, &fetch.Error{Kind: fetch.Status, Op: op, Status: resp.StatusCode})
	}
	if body, err = fetch.Read(resp, op, tokenAnswerLimit); err != nil {
		return "", "", c.unreachable(op, err)
	}
	media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return media, body, nil
}

// bearer returns a client that sends the access token and Provider.Header.
func (c *client) bearer(token *oauth2.Token) *http.Client {
	return &http.Client{Transport: bearerTransport{c, token.AccessToken}, CheckRedirect: c.http.CheckRedirect}
}

type bearerTransport struct {
	client *client
	token  string
}

// RoundTrip implements http.RoundTripper.
func (t bearerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.WithContext(req.Context()) // a shallow copy
	req.Header = maps.Clone(req.Header)
	if req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	for name, value := range t.client.provider.Quirks.Header {
		req.Header.Set(name, value)
	}
	return t.client.http.Transport.RoundTrip(req)
}
