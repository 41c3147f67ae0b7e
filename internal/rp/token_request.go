package rp

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/ginauth/ginauth/internal/fetch"
)

const tokenResponseLimit = 1 << 20 // bytes

// tokenResponse is an unchecked response of the token endpoint.
type tokenResponse struct {
	request *http.Request
	status  int
	header  http.Header
	body    string
	clock   clockReading
}

// codeGrant is the grant of an authorization code (RFC 6749, section 4.1.3).
func (c *Client) codeGrant(r Request, response url.Values) grant {
	verifier := ""
	if !c.cfg.Quirks.DisablePKCE {
		// RFC 7636, 4.5: "Upon receipt of the Authorization Code, the client sends the Access
		// Token Request to the token endpoint", with the code_verifier. 4.6: if it does not match
		// the challenge, the server returns invalid_grant. So a stolen code is worthless without
		// the verifier.
		verifier = "&code_verifier=" + url.QueryEscape(r.Verifier)
	}
	// 4.1.3: grant_type: "Value MUST be set to "authorization_code"."; redirect_uri is in
	// both requests, "and their values MUST be identical". It shows the server that the code was
	// sent to us.
	//
	// A single concatenation, to allocate once.
	form := "grant_type=authorization_code&code=" + url.QueryEscape(response.Get("code")) + "&redirect_uri=" + url.QueryEscape(c.cfg.RedirectURI) + verifier
	return grant{op: "redeem code", form: form, callback: response, idToken: c.openID()}
}

// param returns an encoded parameter of a form. RFC 6749, appendix B:
// "application/x-www-form-urlencoded" of UTF-8.
func param(name, value string) string { return url.QueryEscape(name) + "=" + url.QueryEscape(value) }

// authentication is the client authentication of a request to the provider (RFC 6749, section 2.3).
type authentication struct {
	basic  bool
	secret string
	form   string // parameters to append to the form
}

// authenticate returns the client authentication: by secret (RFC 6749, 2.3.1), by assertion (RFC
// 7523, section 2.2), or only the client ID of a public client (3.2.1).
func (c *Client) authenticate(ctx context.Context, m *metadata) (authentication, error) {
	if c.cfg.PrivateKey != nil { // only with PrivateKeyJWT
		assertion, err := c.assertion(m)
		return c.asserting(assertion), err
	}
	secret, err := c.secret(ctx)
	if err != nil {
		return authentication{}, err
	}
	if m.authMethod == PrivateKeyJWT { // ClientSecretFunc returned an assertion, for example of a cloud platform
		return c.asserting(secret), nil
	}
	// 2.3: "The client MUST NOT use more than one authentication method in each request."
	// So with Basic the form has neither client ID nor secret. 5.2: invalid_request is the error
	// if the request "utilizes more than one mechanism for authenticating the client".
	//
	// 2.3.1: credentials in the form are "NOT RECOMMENDED and SHOULD be limited to clients
	// unable to directly utilize the HTTP Basic authentication scheme": only the metadata or the
	// configuration select it (see chooseAuthMethod).
	a := authentication{basic: m.authMethod == "client_secret_basic", secret: secret}
	if !a.basic {
		// 3.2.1: "an unauthenticated client MUST send its "client_id" to prevent itself from
		// inadvertently accepting a code intended for a client with a different "client_id"."
		a.form = "&" + param(c.cfg.Quirks.ClientIDParam, c.cfg.ClientID)
		if secret != "" {
			a.form += "&" + param("client_secret", secret)
		}
	}
	return a, nil
}

// asserting returns the authentication by an assertion. RFC 7521, 4.2: client_id is OPTIONAL with
// one, but some providers need it to look up the client.
func (c *Client) asserting(assertion string) authentication {
	return authentication{form: "&" + param(c.cfg.Quirks.ClientIDParam, c.cfg.ClientID) +
		"&" + param("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer") + "&" + param("client_assertion", assertion)}
}

// secret returns the client's secret. 3.2.1: "Confidential clients or other clients issued client
// credentials MUST authenticate with the authorization server": if ClientSecretFunc returns no
// secret, that is an error.
func (c *Client) secret(ctx context.Context) (string, error) {
	if c.cfg.ClientSecretFunc == nil {
		return c.cfg.ClientSecret, nil
	}
	secret, err := c.cfg.ClientSecretFunc(ctx)
	if err != nil || secret == "" {
		return "", &Error{Code: ProviderMisconfigured, ID: "token.client_secret_func", Op: "client secret", Provider: c.cfg.Name,
			Reason: "ClientSecretFunc returned no secret", Fix: "check its return value", Cause: err}
	}
	return secret, nil
}

// request creates the POST request of a form to an endpoint, with client authentication and the
// headers of Quirks. edit may be nil.
//
// A code is sent once. net/http repeats a POST (with GetBody) only if the provider cannot have
// processed it: the connection was already closed, or accepts no more requests (HTTP/2's GOAWAY,
// which load balancers send). A GET, which only WeChat requires, may be repeated on a new
// connection.
func (c *Client) request(ctx context.Context, op, endpoint, form string, auth authentication, edit func(url.Values)) (*http.Request, error) {
	form += auth.form
	if edit != nil {
		values, _ := url.ParseQuery(form) // cannot fail: param has escaped it
		edit(values)
		form = values.Encode()
	}
	// 3.2: "The client MUST use the HTTP "POST" method when making access token requests."
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form))
	if err != nil {
		return nil, c.misconfigured(op, "token.endpoint", "TokenURL is not a valid URL", "set TokenURL to the token endpoint")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// 5.1 requires JSON anyway, but GitHub returns a form unless the request accepts JSON.
	req.Header.Set("Accept", "application/json")
	if auth.basic {
		// RFC 6749, 2.3.1: "The client identifier is encoded using the
		// "application/x-www-form-urlencoded" encoding algorithm", and so is the password, before
		// both are encoded in base64 (RFC 2617).
		req.SetBasicAuth(url.QueryEscape(c.cfg.ClientID), url.QueryEscape(auth.secret))
	}
	for name, value := range c.cfg.Quirks.Header {
		req.Header.Set(name, value)
	}
	return req, nil
}

// formToQuery turns a POST into a GET with the form in its query. RFC 6749, 2.3.1 forbids that
// (credentials "MUST NOT be included in the request URI"), but WeChat requires it: it is only used
// with Quirks.TokenMethod.
func formToQuery(req *http.Request) {
	form, _ := io.ReadAll(req.Body) // of a strings.Reader
	req.Method, req.Body, req.GetBody, req.ContentLength = http.MethodGet, nil, nil, 0
	req.Header.Del("Content-Type")
	req.URL.RawQuery = strings.TrimPrefix(req.URL.RawQuery+"&"+string(form), "&")
}

// send sends a request to the token endpoint, once. RFC 6749, 10.5: "Authorization codes MUST be
// short lived and single-use." It replaces Exchange of x/oauth2, which accepts duplicate members
// and any media type, and whose errors quote the response.
func (c *Client) send(req *http.Request) (tokenResponse, error) {
	// RoundTrip follows no redirect. RFC 9110, 15.4.8: on a 307 "the user agent MUST NOT
	// change the request method if it performs an automatic redirection": code and secret would be
	// sent to any address that the response names.
	resp, err := c.cfg.HTTP.Transport.RoundTrip(req)
	if err != nil {
		return tokenResponse{}, fetch.Classify("token endpoint", req.URL.Scheme+"://"+req.URL.Host, err)
	}
	// The status is checked later: 5.2 defines a JSON body with status 400 too.
	body, err := fetch.Read(resp, "token endpoint", tokenResponseLimit)
	if err != nil {
		return tokenResponse{}, err
	}
	// Our clock is read now, so that it can be compared with the provider's clock in the response.
	return tokenResponse{req, resp.StatusCode, resp.Header, body, clockReading{resp.Header.Get("Date"), c.cfg.Now()}}, nil
}

// grant is an authorization grant (RFC 6749, section 1.3) for a token request.
type grant struct {
	op       string                   // for errors
	form     string                   // without client authentication
	callback url.Values               // the authorization response, for Quirks.EditToken; nil for a refresh
	idToken  bool                     // the response must contain an ID token
	refusal  func(code string) *Error // returns the Error for an error code of this grant, or nil; may be nil
}

// exchange sends a grant to the token endpoint and reads the response.
func (c *Client) exchange(ctx context.Context, m *metadata, g grant) (map[string]any, clockReading, error) {
	// Authentication comes first: if it fails, the code is not spent.
	auth, err := c.authenticate(ctx, m)
	if err != nil {
		return nil, clockReading{}, err
	}
	// EditToken may read non-standard parameters of the authorization response. It gets a copy, so
	// that the code that is checked later is the one that was sent.
	var edit func(url.Values)
	if c.cfg.Quirks.EditToken != nil {
		callback := g.callback // the closure would move all of g to the heap
		edit = func(form url.Values) { c.cfg.Quirks.EditToken(form, copyOf(callback)) }
	}
	req, err := c.request(ctx, g.op, m.tokenURL, g.form, auth, edit)
	if err != nil {
		return nil, clockReading{}, err
	}
	if c.cfg.Quirks.TokenMethod == http.MethodGet {
		formToQuery(req)
	}
	got, err := c.send(req)
	if err != nil {
		return nil, clockReading{}, c.unreachable(g.op, err)
	}
	answer, err := c.readTokenResponse(got, g)
	if err != nil {
		return nil, clockReading{}, c.about(err, BadTokenResponse, g.op)
	}
	return answer, got.clock, nil
}
