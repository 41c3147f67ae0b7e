package ginauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/strictjson"
)

const tokenAnswerLimit = 1 << 20 // bytes

// redeem turns a code into the claims of a verified person: RFC 6749 4.1.3,
// OpenID Connect Core 3.1.3 and 5.3.
func (c *client) redeem(ctx context.Context, a *attempt, code string, callback url.Values) (map[string]any, *oauth2.Token, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case a.print.theirs != m.print.theirs:
		return nil, nil, &Error{Code: ErrIssuerMismatch, Op: "redeem code", Provider: c.provider.Name,
			Reason: "the provider's issuer or token endpoint changed while this sign-in was under way", Fix: "start again"}
	case a.print.ours != m.print.ours:
		return nil, nil, stateInvalid("our client id or redirect URI changed while this sign-in was under way", "start again")
	}
	token, clock, err := c.exchange(ctx, m, a, code, callback)
	if err != nil {
		return nil, nil, err
	}
	var claims map[string]any
	if c.provider.Issuer == "" {
		claims, err = c.profile(ctx, m, token)
	} else {
		claims, err = c.identity(ctx, m, token, expected{attempt: a, code: code, accessToken: token.AccessToken, clock: clock})
	}
	if err == nil && c.provider.NameFromCallback != nil && fullName(c.mapped(claims)) == "" {
		c.addName(claims, callback)
	}
	if err == nil && c.provider.VerifyClaims != nil {
		if refused := c.provider.VerifyClaims(claims); refused != nil {
			err = &Error{Code: ErrIdentityRejected, Op: "verify claims", Provider: c.provider.Name, Reason: "Provider.VerifyClaims refused", Err: refused}
		}
	}
	return claims, token, err
}

// addName takes a name that nobody signed: the person, or whoever sent the
// form, may have written anything.
func (c *client) addName(claims map[string]any, callback url.Values) {
	name := strings.TrimSpace(c.provider.NameFromCallback(maps.Clone(callback)))
	if name != "" && len(name) <= 200 && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl) {
		claims[c.path("name")] = name
	}
}

// exchange sends the code to the token endpoint, once, and returns the token and
// what the clock there showed. It is not x/oauth2's Exchange, which takes duplicate
// members and any media type, and whose errors quote what was sent.
func (c *client) exchange(ctx context.Context, m *metadata, a *attempt, code string, callback url.Values) (*oauth2.Token, clockReading, error) {
	var clock clockReading
	req, err := c.tokenRequest(ctx, m, a, code, callback)
	if err != nil {
		return nil, clock, err
	}
	resp, err := c.http.Transport.RoundTrip(req) // follows no redirect, which would take the secret elsewhere
	if err != nil {
		return nil, clock, c.unreachable("redeem code", fetch.Classify("token endpoint", m.tokenURL, err))
	}
	body, err := fetch.Read(resp, "token endpoint", tokenAnswerLimit)
	if err != nil {
		return nil, clock, c.unreachable("redeem code", err)
	}
	clock = clockReading{resp.Header.Get("Date"), c.cfg.Now()}
	answer, err := c.tokenAnswer(resp.StatusCode, resp.Header, body)
	if err != nil {
		return nil, clock, err
	}
	return c.tokenOf(answer), clock, nil
}

// tokenRequest is the request of RFC 6749, 4.1.3, as the Provider wants it.
//
// A code is sent once. net/http asks for the body of a POST again (GetBody) only
// where the provider cannot have seen the request: on a connection that it had
// closed, or takes no more requests on (HTTP/2's GOAWAY, which load balancers
// send). A GET, which WeChat alone wants, may be sent again on a new connection.
func (c *client) tokenRequest(ctx context.Context, m *metadata, a *attempt, code string, callback url.Values) (*http.Request, error) {
	p := &c.provider
	secret, err := c.secret(ctx)
	if err != nil {
		return nil, err
	}
	params := []string{"grant_type=authorization_code", param("code", code), param("redirect_uri", c.redirectURI)}
	if !p.Quirks.DisablePKCE {
		params = append(params, param("code_verifier", a.verifier()))
	}
	basic := m.authMethod == "client_secret_basic"
	if !basic {
		params = append(params, param(p.Quirks.ClientIDParam, p.ClientID))
	}
	if !basic && secret != "" {
		params = append(params, param("client_secret", secret))
	}
	form := strings.Join(params, "&")
	if p.Quirks.EditToken != nil {
		values, _ := url.ParseQuery(form) // it is ours
		p.Quirks.EditToken(values, maps.Clone(callback))
		form = values.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.tokenURL, strings.NewReader(form))
	if err != nil {
		return nil, c.misconfigured("redeem code", "TokenURL is not an address", "")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if basic { // RFC 6749 2.3.1: form-encoded, and then base64
		req.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(secret))
	}
	for name, value := range p.Quirks.Header {
		req.Header.Set(name, value)
	}
	if p.Quirks.TokenMethod == http.MethodGet {
		asQuery(req, form)
	}
	return req, nil
}

// param is a parameter of a form.
func param(name, value string) string { return url.QueryEscape(name) + "=" + url.QueryEscape(value) }

// asQuery moves the form of a request into its address.
func asQuery(req *http.Request, form string) {
	req.Method, req.Body, req.GetBody, req.ContentLength = http.MethodGet, nil, nil, 0
	req.Header.Del("Content-Type")
	req.URL.RawQuery = strings.TrimPrefix(req.URL.RawQuery+"&"+form, "&")
}

// secret is the client's.
func (c *client) secret(ctx context.Context) (string, error) {
	p := &c.provider
	if p.ClientSecretFunc == nil {
		return p.ClientSecret, nil
	}
	secret, err := p.ClientSecretFunc(ctx)
	if err != nil || secret == "" {
		return "", &Error{Code: ErrProviderMisconfigured, Op: "client secret", Provider: p.Name, Reason: "ClientSecretFunc gave no secret", Err: err}
	}
	return secret, nil
}

// tokenOf makes a Token of a token answer that was found good.
func (c *client) tokenOf(answer map[string]any) *oauth2.Token {
	t := &oauth2.Token{}
	t.AccessToken, _ = answer["access_token"].(string)
	t.TokenType, _ = answer["token_type"].(string)
	t.RefreshToken, _ = answer["refresh_token"].(string)
	if t.ExpiresIn, _ = strictjson.Int64(answer["expires_in"]); t.ExpiresIn > 0 {
		t.Expiry = c.cfg.Now().Add(time.Duration(t.ExpiresIn) * time.Second)
	}
	return t.WithExtra(answer)
}

// tokenAnswer reads and checks a token answer (RFC 6749, 5.1 and 5.2).
func (c *client) tokenAnswer(status int, header http.Header, body string) (map[string]any, error) {
	bad := func(reason string, err error) *Error {
		return &Error{Code: ErrBadTokenResponse, Op: "redeem code", Provider: c.provider.Name, Reason: reason, Err: err}
	}
	if status == http.StatusOK && c.provider.Quirks.NormalizeToken != nil {
		normalized, err := c.provider.Quirks.NormalizeToken(header, []byte(body))
		if err != nil {
			return nil, bad("NormalizeToken could not read the token answer", err)
		}
		body = string(normalized)
	} else if media, _, _ := mime.ParseMediaType(header.Get("Content-Type")); status == http.StatusOK && media != "application/json" {
		return nil, bad("the token answer is not JSON but "+strconv.Quote(printable.Clip(media)), nil)
	}
	answer, err := strictjson.Object(body)
	if code, ok := answer["error"].(string); ok {
		return nil, c.tokenRefusal(code)
	}
	switch {
	case status >= 500:
		return nil, c.unreachable("redeem code", &fetch.Error{Kind: fetch.Status, Op: "token endpoint", Status: status})
	case status != http.StatusOK:
		return nil, bad(fmt.Sprintf("the token endpoint answered with status %d", status), nil)
	case err != nil:
		return nil, bad("the token answer is not strict JSON", err)
	}
	if err := c.normalizeToken(answer); err != nil {
		reason, cause := inWords(err)
		e := bad(reason, cause)
		if reason == noIDToken {
			e.Fix = "register the client for OpenID Connect at the provider, with the scope openid; if the provider is plain OAuth 2.0, leave Issuer empty and set the endpoints"
		}
		return nil, e
	}
	return answer, nil
}

// tokenRefusal says what an error code of RFC 6749, 5.2 means.
func (c *client) tokenRefusal(code string) error {
	e := &Error{Code: ErrProviderError, Op: "redeem code", Provider: c.provider.Name, Reason: "the token endpoint answered " + errorCode(code)}
	switch code {
	case "invalid_grant", "bad_verification_code":
		e.Code, e.Fix = ErrCodeRejected, "the code was used twice or is too old, or redirect URI or PKCE verifier differ: start again"
	case "invalid_client", "unauthorized_client", "incorrect_client_credentials":
		e.Code, e.Fix = ErrProviderMisconfigured, "check ClientID and ClientSecret, and the environment variables that they come from: the secret's value (not its id), all of it, of this client, not expired; if they are right, AuthMethod"
	case "redirect_uri_mismatch":
		e.Code, e.Fix = ErrProviderMisconfigured, "register this redirect URI at the provider, exactly: "+c.redirectURI
	case "temporarily_unavailable", "server_error":
		e.Code, e.retryAfter = ErrProviderUnavailable, retryMost
	}
	return e
}

// errorCode returns an error code as a log may have it: in small letters, as
// those of the standard are. Any other text could be the code or the secret,
// sent back; one of those in a thousand has no digit.
func errorCode(code string) string {
	if code != "" && len(code) <= 60 && strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_-.") == "" {
		return strconv.Quote(code)
	}
	return "an error code that is none of the standard's"
}

const noIDToken = "there is no id_token in the token answer"

// normalizeToken checks the members that mean something here, and leaves the
// others alone.
func (c *client) normalizeToken(answer map[string]any) error {
	if err := strictjson.CheckCase(answer, "access_token", "token_type", "expires_in", "refresh_token", "id_token", "scope", "error"); err != nil {
		return fmt.Errorf("a member is almost called as the standard has it: %w", err)
	}
	if answer["error"] != nil {
		return errors.New("error is there, and no text")
	}
	if typ, _ := answer["token_type"].(string); !strings.EqualFold(typ, "bearer") {
		return errors.New(`token_type is not "Bearer"`)
	}
	if token, _ := answer["access_token"].(string); !validBearer(token) {
		return errors.New("access_token is missing, too long, or has characters that no token has")
	}
	if token, ok := answer["refresh_token"].(string); !ok || len(token) > tokenLimit {
		delete(answer, "refresh_token")
	}
	if raw, _ := answer["id_token"].(string); raw == "" && c.provider.Issuer != "" {
		return errors.New(noIDToken)
	}
	if list, ok := answer["scope"].([]any); ok { // Twitch
		answer["scope"] = strings.Join(strictjson.Strings(list), " ")
	}
	return normalizeExpiry(answer)
}

// normalizeExpiry: expires_in is a number of seconds, which some providers
// write as text. 0 and nothing mean that it is not known.
func normalizeExpiry(answer map[string]any) error {
	v := answer["expires_in"]
	if v == nil {
		return nil
	}
	s, _ := strictjson.String(v)
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil // and n is as far as it goes, either way
	}
	if err != nil || n < 0 || s[0] == '+' {
		return errors.New("expires_in is not a number of seconds")
	}
	answer["expires_in"] = json.Number(strconv.FormatInt(min(n, math.MaxInt32), 10))
	return nil
}

// validBearer: RFC 6749 A.12: VSCHAR; RFC 6750 2.1 has no space.
func validBearer(token string) bool {
	if token == "" || len(token) > 16<<10 {
		return false
	}
	return strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
