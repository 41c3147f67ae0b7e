package ginauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/weburl"
)

// API describes an API that [Auth.Client] calls with the users' access tokens.
type API struct {
	// URL is the prefix of the API's URLs: scheme, host and path, with a trailing slash:
	// "https://graph.microsoft.com/v1.0/". The URL without that slash matches, too. Required.
	// It must be https, except on loopback, and in development with a loopback BaseURL. If
	// several match, the longest applies.
	URL string

	// Scopes are the scopes that a call requires. A user whose access token lacks them is
	// redirected to the provider for consent, and returns. With a refresh token, the API gets
	// a separate access token with exactly these scopes. Default: the access token of the
	// sign-in.
	Scopes []string

	// Resource is the resource indicator of the API (RFC 8707), for providers that issue a
	// separate access token for each API. It is sent with every sign-in. Default: none.
	Resource string
}

func cloneAPIs(list []API) []API {
	list = slices.Clone(list)
	for i := range list {
		list[i].Scopes = slices.Clone(list[i].Scopes)
	}
	return list
}

// resourcesOf returns the resource indicators of APIs.
func resourcesOf(list []API) (all []string) {
	for i := range list {
		if r := list[i].Resource; r != "" && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// Client returns an HTTP client that calls the APIs of the signed-in user's provider
// ([Provider.APIs]) with the user's access token. ctx is a *gin.Context behind
// [Auth.RequireAuth] or [Auth.LoadUser], or a context derived from c.Request.Context(). The
// client belongs to this user and works until the session ends.
//
// The token is refreshed before it expires, once for all requests, goroutines and replicas. If
// the API responds with 401, the token is refreshed and the request sent again, provided that
// its body can be sent again. A request to a URL that no API matches fails and is not sent. A
// redirect to such a URL is followed without the token, and so are further redirects.
//
// Errors of requests wrap an [*Error]: pass them to [Auth.Fail], which redirects the user to
// the provider where that helps ([ErrStepUpRequired]: the token has expired, or consent is
// missing). [ErrUnauthenticated] means that no user is signed in or the session has ended;
// [ErrBadRequest] that the user has no session (access token or [Hooks.Authenticate]);
// [ErrInvalidOptions] that no API of the provider has the URL; [ErrProviderDenied] that the
// provider did not grant the API's scopes; [ErrStoreUnavailable] that [Options.Tokens] failed;
// and [ErrProviderUnavailable], [ErrProviderTimeout] and other provider errors that a request
// to the API or the provider failed.
//
// Call Client before starting a goroutine, and give its requests a separate context: Gin
// reuses a *gin.Context for requests of other users as soon as the handler has returned. The
// client has no timeout other than that of its requests' contexts.
func (a *Auth) Client(ctx context.Context) *http.Client {
	return &http.Client{Transport: &apiTransport{auth: a, request: a.requestOf(ctx), base: a.apiTransport}}
}

// Token returns the access token that [Auth.Client] would send to a URL, for libraries that
// take a token rather than a client. It is valid for at least a minute, or a tenth of its
// lifetime if that is less. It has no refresh token. The errors are those of Client.
func (a *Auth) Token(ctx context.Context, address string) (*oauth2.Token, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, noAPI("", nil)
	}
	w, err := wantedBy(a.requestOf(ctx), u)
	if err != nil {
		return nil, err
	}
	t, err := a.tokens.token(requestContext(ctx), w)
	if err != nil {
		return nil, refusedByAPI(err, w)
	}
	return t.token(), nil
}

// requestContext returns the request's context for a *gin.Context: Gin reuses the latter for
// other requests, while a store that hangs may still use it.
func requestContext(ctx context.Context) context.Context {
	if c, ok := ctx.(*gin.Context); ok && c != nil && c.Request != nil {
		return c.Request.Context()
	}
	return ctx
}

// requestOf returns the request that a context belongs to, or nil if no user is signed in.
func (a *Auth) requestOf(ctx context.Context) *authRequest {
	if c, ok := ctx.(*gin.Context); ok && c != nil && c.Request != nil {
		return a.authenticated(c)
	} else if ctx == nil || ok {
		return nil
	}
	if ctx.Value(gin.ContextKey) != nil { // Gin reuses its contexts for other requests
		return nil
	}
	v, _ := ctx.Value(authRequestKey{a}).(*authRequest)
	return v
}

// wantedBy returns the token that a user's request to a URL needs.
func wantedBy(v *authRequest, u *url.URL) (wanted, error) {
	switch {
	case v == nil || v.state.Load() != identified:
		return wanted{}, &Error{Code: ErrUnauthenticated, ID: "session.unauthenticated", Op: "call API", Reason: "no user is signed in", Fix: "add RequireAuth to this route"}
	case !v.hasSession():
		return wanted{}, noSession("call API")
	}
	cl := v.registry.auth.providers.Load().clients[v.opened.user.Provider] // a client may be used for a long time
	if cl == nil {
		return wanted{}, sessionEnded()
	}
	api := cl.api(u)
	if api == nil {
		return wanted{}, noAPI(cl.provider.Name, u)
	}
	return wanted{v: v, cl: cl, api: api}, nil
}

// noAPI returns the error for a URL that no API matches. It omits the user and the query, which
// may be secrets. u is nil if the URL could not be parsed.
func noAPI(provider string, u *url.URL) *Error {
	e := &Error{Code: ErrInvalidOptions, ID: "api.address", Op: "call API", Provider: provider, Reason: "the URL is invalid, so it matches no API of the provider",
		Fix: "add it to Provider.APIs, or use another HTTP client"}
	if u == nil {
		return e
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	e.Reason = fmt.Sprintf("%q matches no API of the provider", printable.Clip(bare.String()))
	if goesUp(u.EscapedPath()) {
		e.Reason, e.Fix = fmt.Sprintf("%q contains .. or \\ in its path, which the server may resolve to another URL", printable.Clip(bare.String())), "remove them from the URL"
	}
	return e
}

// refusedByAPI returns the error for an API that rejects a fresh token, if there is no response
// of the API to return.
func refusedByAPI(err error, w wanted) error {
	if !errors.Is(err, errRefusedAgain) {
		return err
	}
	return &Error{Code: ErrProviderError, ID: "api.refuses_token", Op: "call API", Provider: w.cl.provider.Name, Reason: "the API rejected a fresh access token",
		Fix: "compare API.Resource and API.Scopes with the requirements of the API"}
}

// knownAPI is an API with its URL in parts.
type knownAPI struct {
	*API
	scheme, host, path string
}

func knownAPIs(list []API) []knownAPI {
	known := make([]knownAPI, len(list))
	for i := range list {
		known[i].API = &list[i]
		if u, err := url.Parse(list[i].URL); err == nil { // Mount has checked it
			known[i].scheme, known[i].host, known[i].path = u.Scheme, u.Host, u.EscapedPath()
		}
	}
	return known
}

// has reports whether a URL with that path belongs to the API.
func (a *knownAPI) has(u *url.URL, path string) bool {
	if u.Host != a.host || u.Scheme != a.scheme { // most have the same spelling
		if weburl.Origin(u) != a.scheme+"://"+a.host {
			return false
		}
	}
	return strings.HasPrefix(path, a.path) || path == strings.TrimSuffix(a.path, "/")
}

// api returns the API that a URL belongs to, or nil.
func (c *client) api(u *url.URL) *API {
	path := u.EscapedPath()
	if u.User != nil || u.Opaque != "" || goesUp(path) {
		return nil
	}
	if path == "" {
		path = "/"
	}
	var found *knownAPI
	for i := range c.apis {
		if api := &c.apis[i]; api.has(u, path) && (found == nil || len(api.URL) > len(found.URL)) {
			found = api
		}
	}
	if found == nil {
		return nil
	}
	return found.API
}

// apiAddress returns the normalized form of an API.URL.
func apiAddress(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return weburl.Origin(u) + path
}

// goesUp reports whether a path has dot segments, or might have them for a server that decodes
// it once more, treats backslashes as slashes, or removes the parameters of a segment (RFC 3986,
// 3.3).
func goesUp(path string) bool {
	if !strings.ContainsAny(path, "%;\\") && !strings.Contains(path, "/.") { // most
		return strings.ContainsFunc(path, unicode.IsControl)
	}
	for range 3 {
		decoded, err := url.PathUnescape(path)
		if err != nil {
			break
		}
		path = decoded
	}
	if strings.Contains(path, "\\") || strings.ContainsFunc(path, unicode.IsControl) {
		return true
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment, _, _ = strings.Cut(segment, ";"); segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// apiTransport adds access tokens to requests.
type apiTransport struct {
	auth    *Auth
	request *authRequest
	base    http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *apiTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL == nil {
		return nil, closed(r, noAPI("", nil))
	}
	w, err := wantedBy(t.request, r.URL)
	e, ok := errors.AsType[*Error](err)
	if foreign := ok && e.ID == "api.address"; r.Response != nil && (foreign || err == nil && w.left(r)) {
		return t.base.RoundTrip(r)
	}
	if err == nil && r.Host != "" && r.Host != r.URL.Host { // servers select the resource by Host
		err = noAPI(w.cl.provider.Name, &url.URL{Scheme: r.URL.Scheme, Host: r.Host, Path: r.URL.Path})
	}
	if err != nil {
		return nil, closed(r, err)
	}
	token, err := t.auth.tokens.token(requestContext(r.Context()), w)
	if err != nil {
		return nil, closed(r, refusedByAPI(err, w))
	}
	resp, err := t.base.RoundTrip(withToken(r, token, r.Body))
	if err != nil {
		return resp, w.unreachable(r, err)
	}
	if !refusesToken(resp) {
		return resp, nil
	}
	w.refused = token.value
	if token, err = t.auth.tokens.token(requestContext(r.Context()), w); errors.Is(err, errRefusedAgain) {
		return resp, nil
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	body := r.Body
	if body != nil && body != http.NoBody {
		if r.GetBody == nil {
			return resp, nil // the next request has the new token
		}
		if body, err = r.GetBody(); err != nil {
			return resp, nil
		}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
	_ = resp.Body.Close()
	if resp, err = t.base.RoundTrip(withToken(r, token, body)); err != nil {
		return resp, w.unreachable(r, err)
	}
	return resp, nil
}

// unreachable returns the error for an API that does not respond, so that a handler can pass it
// to Fail. If the caller's context has ended, err is returned unchanged.
func (w *wanted) unreachable(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return err
	}
	told := &Error{Code: ErrProviderUnavailable, ID: "api.unreachable", Op: "call API", Provider: w.cl.provider.Name, text: "api_unreachable", retryAfter: providerRest, Err: err,
		Reason: "the API does not respond", Fix: "see error= for the cause, such as a firewall, a wrong address or a certificate"}
	timeout, _ := err.(interface{ Timeout() bool })
	if timeout != nil && timeout.Timeout() {
		told.Code = ErrProviderTimeout
	}
	return &apiFailure{told, timeout}
}

// apiFailure is an [*Error] with a Timeout method.
type apiFailure struct {
	told    *Error
	timeout interface{ Timeout() bool }
}

// Error implements error.
func (f *apiFailure) Error() string { return f.told.Error() }

// Unwrap returns the *Error.
func (f *apiFailure) Unwrap() error { return f.told }

// Timeout reports whether the API did not respond in time, as http.Client expects it of an
// error of its Transport.
func (f *apiFailure) Timeout() bool { return f.timeout != nil && f.timeout.Timeout() }

// left reports whether a redirect by a server that no API matches led to a request. Such a
// server determines what is requested, so the request gets no token.
func (w *wanted) left(r *http.Request) bool {
	for r.Response != nil && r.Response.Request != nil {
		if r = r.Response.Request; w.cl.api(r.URL) == nil {
			return true
		}
	}
	return false
}

// closed closes the body of a request that is not sent.
func closed(r *http.Request, err error) error {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return err
}

// withToken returns the request with an access token (RFC 6750, 2.1).
func withToken(r *http.Request, token *accessToken, body io.ReadCloser) *http.Request {
	r = r.WithContext(r.Context()) // a shallow copy, whose header is replaced below
	r.Body = body
	if r.Header = maps.Clone(r.Header); r.Header == nil { // the values are shared, and not modified
		r.Header = http.Header{}
	}
	r.Header.Set("Authorization", "Bearer "+token.value)
	return r
}

// refusesToken reports whether an API rejected the access token: with 401 and invalid_token (RFC
// 6750, 3.1), or with 401 and no error code. Another error code is not about the token (RFC
// 9470: insufficient_user_authentication).
func refusesToken(resp *http.Response) bool {
	if resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	challenges := strings.Join(resp.Header.Values("WWW-Authenticate"), ", ")
	return !strings.Contains(challenges, "error=") || strings.Contains(challenges, "invalid_token")
}

// Refresh requests a new access token with the refresh token of old (RFC 6749, section 6), for
// jobs that run without the user and store tokens in a table of the application: the token of
// a sign-in is [Login.Token]. provider is the name of one of [Options.Providers].
// providers.Offline requests refresh tokens.
//
// Store the result before using it. Most providers replace the refresh token, and treat a
// second use of the old one as theft: they revoke all tokens of the user. So lock the row,
// read old, refresh and store. Callers in this process that pass the same refresh token share
// one request. A request in progress continues when ctx ends; it takes at most 10 seconds, and
// as long again if the provider's metadata or keys must be fetched first.
//
// If the ID token of the response cannot be verified because the provider's keys cannot be
// fetched, Refresh returns both an error and a token with only the new refresh token: store
// that, too.
//
// It fails with the cause of ctx if ctx has ended before; with [ErrUnknownProvider]; with
// [ErrStepUpRequired] if old has no refresh token or the provider rejects it: ask the user to
// sign in again and delete the token; with [ErrIDTokenInvalid] if the ID token in the response
// is invalid, and then nothing of the response is used; with [ErrSessionError] if a function
// of the Provider panics; and with [ErrProviderUnavailable], [ErrProviderTimeout],
// [ErrProviderError], [ErrProviderMisconfigured] or [ErrBadTokenResponse] if the request
// failed or the response was invalid: keep the token and retry later.
func (a *Auth) Refresh(ctx context.Context, provider string, old *oauth2.Token) (*oauth2.Token, error) {
	ctx = requestContext(ctx)
	cl, err := a.providers.Load().client(provider)
	if err != nil {
		return nil, err
	}
	if old == nil || old.RefreshToken == "" {
		return nil, &Error{Code: ErrStepUpRequired, ID: "refresh.no_token", Op: "refresh token", Provider: provider,
			Reason: "the refresh token is empty", Fix: "request refresh tokens with providers.Offline, and ask the user to sign in again"}
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	key := sha256.Sum256([]byte(provider + "\x00" + old.RefreshToken))
	// Not canceled when ctx ends: a refresh token that the provider has replaced would be lost
	// with the response.
	got, err, _ := a.refreshes.Do(string(key[:]), func() (any, error) {
		return contain.Call(func() (*oauth2.Token, error) { return cl.refresh(context.WithoutCancel(ctx), old.RefreshToken) })
	})
	if p, panicked := err.(*contain.Panic); panicked {
		err = hookPanicked("refresh token", p)
	}
	token, _ := got.(*oauth2.Token)
	if token == nil {
		return nil, err
	}
	own := *token // concurrent callers share token
	return &own, err
}
