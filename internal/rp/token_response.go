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

// success reports whether a status is that of a successful response with a whole body. RFC 6749, 5.1,
// defines 200; some providers send 201. 206 is for a partial response (RFC 9110, 15.3.7), which is
// never requested here.
func success(status int) bool {
	return status >= 200 && status <= 299 && status != http.StatusNoContent && status != http.StatusPartialContent
}

// readTokenResponse reads and checks a response of the token endpoint (RFC 6749, sections 5.1 and
// 5.2).
func (c *Client) readTokenResponse(r tokenResponse, g grant) (map[string]any, error) {
	body := r.body
	// 5.1: the parameters come "using the "application/json" media type". A 200 with another type
	// is from a login page or a proxy, even if it contains JSON.
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
	// otherwise)". GitHub sends 200, others 401 or 403: so the member error is checked before the
	// status. If it is duplicated, the JSON is invalid and has no members.
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

// at returns the status and the host of the token endpoint as the end of a reason.
func (r *tokenResponse) at() string {
	return fmt.Sprintf(" with status %d (%s)", r.status, r.request.URL.Host)
}

// wordsOf returns the token endpoint's own description of a failure, or nil.
func (c *Client) wordsOf(r tokenResponse) error {
	return c.sentSecrets(r.request).describeAnswer(r.header, r.body)
}

// tokenRefusal returns the Error for an error code of RFC 6749, section 5.2.
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
	// The following are not in 5.2: GitHub and Google send redirect_uri_mismatch, and failing token
	// endpoints send the codes that 4.1.2.1 defines for the authorization endpoint.
	case "redirect_uri_mismatch":
		e.Code, e.ID, e.Fix = ProviderMisconfigured, "token.redirect_uri_mismatch", "register exactly this redirect URI at the provider: "+c.cfg.RedirectURI
	case "temporarily_unavailable", "server_error":
		e.Code, e.ID, e.RetryAfter, e.Fix = ProviderUnavailable, "token.unavailable", longestRetry, "try again later: the provider reports an internal problem"
	}
	return e
}

// quotedErrorCode returns an error code that is safe to log. 5.2 permits more: "Values for the
// "error" parameter MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E." Here
// it must be in lower case without digits, like the standard codes. Any other text could be the
// authorization code or the secret, sent back; only one in a thousand of those has no digit.
func quotedErrorCode(code string) string {
	if code != "" && len(code) <= 60 && strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_-.") == "" {
		return strconv.Quote(code)
	}
	return "a non-standard error code"
}

var tokenNames = strictjson.NewNames("access_token", "token_type", "expires_in", "refresh_token", "id_token", "scope", "error")

// checkTokenResponse checks the standard members and normalizes them. It ignores all others. RFC
// 6749, 5.1: "The client MUST ignore unrecognized value names in the response."
func checkTokenResponse(answer map[string]any, idToken bool) error {
	bad := func(id, reason string, cause error) error {
		return fault(id, reason, "check the provider's response; Quirks.NormalizeToken can correct it", cause)
	}
	if err := tokenNames.Check(answer); err != nil {
		return bad("token.ambiguous", "a member name is ambiguous: "+err.Error(), nil)
	}
	if e := answer["error"]; e != nil && e != "" {
		return bad("token.error_type", "error is not a string", nil)
	}
	// token_type is REQUIRED: it does not default to "bearer", as in many clients.
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
	// 5.1: refresh_token is OPTIONAL, and a sign-in does not need it: an unusable one is dropped.
	if token, ok := answer["refresh_token"].(string); !ok || len(token) > tokenLimit {
		delete(answer, "refresh_token")
	}
	// OpenID Connect Core, 3.1.3.3: id_token is a parameter that "MUST be included in the
	// response". Without it, only the access token would identify the user.
	if raw, _ := answer["id_token"].(string); raw == "" && idToken {
		return fault("token.no_id_token", "the token response has no id_token",
			"register the client for OpenID Connect with the scope openid at the provider; if the provider is plain OAuth 2.0, leave Issuer empty and set the endpoints", nil)
	}
	// 5.1: scope is "OPTIONAL, if identical to the scope requested by the client; otherwise,
	// REQUIRED". 3.3 defines text with spaces in between; Twitch sends a list.
	if list, ok := answer["scope"].([]any); ok {
		answer["scope"] = strings.Join(strictjson.Strings(list), " ")
	}
	if !normalizeExpiry(answer) {
		return bad("token.expires_in", "expires_in is not a number of seconds", nil)
	}
	return nil
}

// normalizeExpiry turns expires_in into a number, and reports whether that was possible. RFC 6749,
// 5.1: "Numerical values are included as JSON numbers", but some providers send text. expires_in
// is RECOMMENDED: if it is 0 or absent, the expiry is unknown.
func normalizeExpiry(answer map[string]any) bool {
	v := answer["expires_in"]
	if v == nil {
		return true
	}
	s, _ := strictjson.String(v)
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil // n is then the largest or the smallest int64
	}
	if err != nil || n < 0 || s[0] == '+' {
		return false
	}
	answer["expires_in"] = json.Number(strconv.FormatInt(min(n, math.MaxInt32), 10))
	return true
}

// validBearer reports whether a text can be an access token (RFC 6750, 2.1). It is sent in a
// header, where a line break would begin another header. RFC 6749, 5.1: "The client should avoid
// making assumptions about value sizes": the limit is about the size of headers that servers
// accept.
func validBearer(token string) bool {
	return token != "" && len(token) <= 16<<10 && visible(token)
}

// tokenOf returns the Token of a checked token response. 5.1: expires_in is "The lifetime in
// seconds of the access token", from "the time the response was generated". Expiry is by our
// clock, with which the application compares it.
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

const scopesMost = 1000 // scopes of a token that are read

// GrantedScopes returns the scopes in a token response, at most 1,000, and the scopes that these
// include. It is empty if the response has no scope. RFC 6749, 5.1: scope is "OPTIONAL, if
// identical to the scope requested by the client; otherwise, REQUIRED". Some providers separate
// them by commas.
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
