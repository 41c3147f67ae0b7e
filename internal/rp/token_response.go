package rp

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// success reports whether a status says that the body is what was asked for. RFC
// 6749, 5.1, has 200; some providers answer 201. 206 announces a part of an answer (RFC
// 9110, 15.3.7), which nothing here asks for.
func success(status int) bool {
	return status >= 200 && status <= 299 && status != http.StatusNoContent && status != http.StatusPartialContent
}

// readTokenResponse reads and checks what the token endpoint answered (RFC 6749,
// sections 5.1 and 5.2).
func (c *Client) readTokenResponse(r tokenResponse, g grant) (map[string]any, error) {
	body := r.body
	// 5.1: the parameters come "using the "application/json" media type". A 200 of another
	// type is a login page, or a proxy: what looks like JSON in it is not an answer.
	if success(r.status) && c.cfg.Quirks.NormalizeToken != nil {
		normalized, err := c.cfg.Quirks.NormalizeToken(r.header, []byte(body))
		if err != nil {
			return nil, fault("token.normalize", "NormalizeToken failed on the token response", "check the provider's response and Quirks.NormalizeToken", err)
		}
		body = string(normalized)
	} else if media, _, _ := mime.ParseMediaType(r.header.Get("Content-Type")); success(r.status) && media != "application/json" {
		return nil, fault("token.media_type", fmt.Sprintf("the token response is %q, not JSON (%s)", printable.Clip(media), r.request.URL.Host),
			"check TokenURL, and whether a login page or a proxy responds instead", nil)
	}
	// 5.2: an error comes with "an HTTP 400 (Bad Request) status code (unless specified
	// otherwise)". GitHub answers 200, others 401 or 403: the member decides, before the
	// status does. Of two that are called error, none decides: the JSON is not strict.
	answer, err := strictjson.Object(body)
	if code, is := answer["error"].(string); is && (code != "" || answer["access_token"] == nil) {
		e := c.tokenRefusal(code, g)
		description, _ := answer["error_description"].(string)
		if !success(r.status) {
			e.Reason += r.at()
		}
		e.Cause = c.sentSecrets(r.request).describe(description)
		return nil, e
	}
	switch {
	case r.status >= http.StatusInternalServerError:
		return nil, c.unreachable(g.op, fetch.StatusError("token endpoint", r.request.URL.Host, r.status)).saying(c.wordsOf(r))
	case !success(r.status):
		return nil, fault("token.status", "the token endpoint responded"+r.at(), "check TokenURL and the provider's log", c.wordsOf(r))
	case err != nil:
		return nil, fault("token.json", "the token response is not strict JSON", "check the provider's response; Quirks.NormalizeToken can correct it", err)
	}
	return answer, checkTokenResponse(answer, g.idToken)
}

// at says with which status the token endpoint answered, and where it is.
func (r *tokenResponse) at() string {
	return fmt.Sprintf(" with status %d (%s)", r.status, r.request.URL.Host)
}

// wordsOf returns what the token endpoint says about a failure beside an error code, or
// nil.
func (c *Client) wordsOf(r tokenResponse) error {
	return c.sentSecrets(r.request).describeAnswer(r.header, r.body)
}

// tokenRefusal says what an error code of RFC 6749, section 5.2 means.
func (c *Client) tokenRefusal(code string, g grant) *Error {
	if g.refusal != nil {
		if e := g.refusal(code); e != nil {
			return e
		}
	}
	e := &Error{Code: ProviderError, ID: "token.error", Reason: "the token endpoint returned " + quotedErrorCode(code), Fix: "check the provider's log"}
	switch code {
	// 5.2: the code "is invalid, expired, revoked, does not match the redirection URI used
	// in the authorization request, or was issued to another client".
	case "invalid_grant", "bad_verification_code":
		e.Code, e.ID = CodeRejected, "token.invalid_grant"
		e.Fix = "start again if it happens occasionally: a code is valid once and for a short time; if it happens at every sign-in, check the provider's description or log (redirect URI mismatch, PKCE, ended session, disabled account)"
	// 5.2: "Client authentication failed (e.g., unknown client, no client authentication
	// included, or unsupported authentication method)."
	case "invalid_client", "unauthorized_client", "incorrect_client_credentials":
		e.Code, e.ID = ProviderMisconfigured, "token.invalid_client"
		e.Fix = "check ClientID, ClientSecret and their environment variables: the secret must be complete, unexpired, of this client, and the value, not its ID; then check AuthMethod"
	// The next are not in 5.2: GitHub and Google say redirect_uri_mismatch, and a token
	// endpoint that is down says what 4.1.2.1 has for the authorization endpoint.
	case "redirect_uri_mismatch":
		e.Code, e.ID, e.Fix = ProviderMisconfigured, "token.redirect_uri_mismatch", "register exactly this redirect URI at the provider: "+c.cfg.RedirectURI
	case "temporarily_unavailable", "server_error":
		e.Code, e.ID, e.RetryAfter, e.Fix = ProviderUnavailable, "token.unavailable", longestRetry, "try again later: the provider reports an internal problem"
	}
	return e
}

// quotedErrorCode returns an error code as a log may have it. 5.2 permits more: "Values
// for the "error" parameter MUST NOT include characters outside the set %x20-21 / %x23-5B
// / %x5D-7E." Here it has to be in small letters, as those of the standard are. Any other text could be the code or the secret,
// sent back; of those, one in a thousand has no digit.
func quotedErrorCode(code string) string {
	if code != "" && len(code) <= 60 && strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_-.") == "" {
		return strconv.Quote(code)
	}
	return "a non-standard error code"
}

// checkTokenResponse checks the members that mean something here, brings them into
// the standard's form, and leaves the others alone. RFC 6749, 5.1: "The client MUST
// ignore unrecognized value names in the response."
func checkTokenResponse(answer map[string]any, idToken bool) error {
	bad := func(id, reason string, cause error) error {
		return fault(id, reason, "check the provider's response; Quirks.NormalizeToken can correct it", cause)
	}
	if err := strictjson.CheckCase(answer, "access_token", "token_type", "expires_in", "refresh_token", "id_token", "scope", "error"); err != nil {
		return bad("token.ambiguous", "a member name is ambiguous: "+err.Error(), nil)
	}
	if e := answer["error"]; e != nil && e != "" {
		return bad("token.error_type", "error is not a string", nil)
	}
	// token_type is REQUIRED: what is missing is not "bearer", though many would take it so.
	// RFC 6749, 7.1: "The client MUST NOT use an access token if it does not
	// understand the token type." 5.1: "Value is case insensitive."
	if typ, _ := answer["token_type"].(string); !strings.EqualFold(typ, "bearer") {
		if typ == "" {
			return bad("token.type_missing", "token_type is missing or not a string", nil)
		}
		return bad("token.type", `token_type is not "Bearer"`, nil)
	}
	if token, _ := answer["access_token"].(string); !validBearer(token) {
		return bad("token.access_token", "access_token is missing, too long, or has invalid characters", nil)
	}
	// 5.1: refresh_token is OPTIONAL, and a sign-in does not need it: an unusable one is
	// dropped and fails no sign-in.
	if token, ok := answer["refresh_token"].(string); !ok || len(token) > tokenLimit {
		delete(answer, "refresh_token")
	}
	// OpenID Connect Core, 3.1.3.3: id_token is among what "MUST be included in the
	// response". Without it, the access token alone would say who signed in.
	if raw, _ := answer["id_token"].(string); raw == "" && idToken {
		return fault("token.no_id_token", "the token response has no id_token",
			"register the client for OpenID Connect with the scope openid at the provider; if the provider is plain OAuth 2.0, leave Issuer empty and set the endpoints", nil)
	}
	// 5.1: scope is "OPTIONAL, if identical to the scope requested by the client; otherwise,
	// REQUIRED": an application that needs them reads them from the token. 3.3 has text, with spaces in
	// between; Twitch sends a list.
	if list, ok := answer["scope"].([]any); ok {
		answer["scope"] = strings.Join(strictjson.Strings(list), " ")
	}
	if !normalizeExpiry(answer) {
		return bad("token.expires_in", "expires_in is not a number of seconds", nil)
	}
	return nil
}

// normalizeExpiry makes a number of expires_in, and reports whether that could be
// done. RFC 6749, 5.1: "Numerical values are included as JSON numbers", and some
// providers write text. expires_in is RECOMMENDED there: 0 and absence mean that it is
// unknown.
func normalizeExpiry(answer map[string]any) bool {
	v := answer["expires_in"]
	if v == nil {
		return true
	}
	s, _ := strictjson.String(v)
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil // n is the largest or smallest number then
	}
	if err != nil || n < 0 || s[0] == '+' {
		return false
	}
	answer["expires_in"] = json.Number(strconv.FormatInt(min(n, math.MaxInt32), 10))
	return true
}

// validBearer reports whether a text can be an access token (RFC 6750, 2.1). It goes into
// a header, where a line break would begin another one. RFC 6749, 5.1: "The client should
// avoid making assumptions about value sizes": the limit is what servers take in a header.
func validBearer(token string) bool {
	return token != "" && len(token) <= 16<<10 && visible(token)
}

// tokenOf makes a Token of a checked token response. 5.1: expires_in is "The lifetime in
// seconds of the access token", from "the time the response was generated": by our clock,
// so that the application compares like with like.
func (c *Client) tokenOf(answer map[string]any) *oauth2.Token {
	t := &oauth2.Token{}
	t.AccessToken, _ = answer["access_token"].(string)
	t.TokenType, _ = answer["token_type"].(string)
	t.RefreshToken, _ = answer["refresh_token"].(string)
	if t.ExpiresIn, _ = strictjson.Int64(answer["expires_in"]); t.ExpiresIn > 0 {
		t.Expiry = c.cfg.Now().Add(time.Duration(t.ExpiresIn) * time.Second)
	}
	return t.WithExtra(answer)
}

const scopesMost = 1000 // of a token

// GrantedScopes returns the scopes that a token response names, 1,000 at most, and those that they
// include; it is empty if the response names none. RFC 6749, 5.1: scope is "OPTIONAL, if identical
// to the scope requested by the client; otherwise, REQUIRED". Some providers separate them by
// commas.
func (c *Client) GrantedScopes(t *oauth2.Token) []string {
	named, _ := t.Extra("scope").(string)
	granted := strings.FieldsFunc(named, func(r rune) bool { return r == ' ' || r == ',' })
	granted = granted[:min(len(granted), scopesMost)]
	if c.cfg.Quirks.IncludedScopes == nil {
		return granted
	}
	for i := 0; i < len(granted) && i < scopesMost; i++ { // an included scope may include others
		for _, s := range c.cfg.Quirks.IncludedScopes(granted[i]) {
			if !slices.Contains(granted, s) {
				granted = append(granted, s)
			}
		}
	}
	return granted
}
