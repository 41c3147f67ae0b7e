package ginauth

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// mayHaveToken reports whether a request needs a closer look: most have no Authorization
// header and no token in the query.
func (g *registry) mayHaveToken(r *http.Request) bool {
	return r.Header["Authorization"] != nil || g.takesTokens() && hasTokenInQuery(r)
}

// hasTokenInQuery recognizes the method of RFC 6750, 2.3, which RFC 9700, 4.3.2, forbids,
// since URLs are logged.
func hasTokenInQuery(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, "access_token") && r.URL.Query().Has("access_token")
}

// hasToken reports whether a request has an access token, or something that may be meant as
// one.
func (g *registry) hasToken(r *http.Request) bool {
	return hasBearer(r) || g.takesTokens() && hasTokenInQuery(r)
}

// hasBearer reports whether any Authorization line of a request has the scheme Bearer.
func hasBearer(r *http.Request) bool {
	for _, line := range r.Header["Authorization"] {
		if _, is := afterBearer(line); is {
			return true
		}
	}
	return false
}

// afterBearer returns the rest of an Authorization line after the scheme Bearer, and whether
// it has that scheme, which is case-insensitive (RFC 9110, section 11.1).
func afterBearer(line string) (rest string, is bool) {
	if strings.HasPrefix(line, "Bearer ") { // as nearly all are written
		return line[len("Bearer"):], true
	}
	line = strings.TrimLeftFunc(line, unicode.IsSpace)
	if len(line) < len("Bearer") || !strings.EqualFold(line[:len("Bearer")], "Bearer") {
		return "", false
	}
	rest = line[len("Bearer"):]
	return rest, rest == "" || !strings.Contains(tokenChars, rest[:1])
}

// tokenChars are the characters of a scheme (RFC 9110, section 5.6.2).
const tokenChars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// bearerToken returns the text after Bearer in a request's Authorization header (RFC 6750,
// section 2.1). The caller validates its characters.
func bearerToken(r *http.Request) (string, error) {
	bad := func(id, reason, fix string) (string, error) { return "", badBearer(id, reason, fix) }
	switch lines := r.Header["Authorization"]; {
	case hasTokenInQuery(r):
		return bad("bearer.query", "the URL contains an access token, which exposes it in logs", "send tokens in the Authorization header, and revoke this one")
	case len(lines) > 1:
		return bad("bearer.several", "the request has several Authorization headers", "send one Authorization header, and check whether a proxy adds another")
	case len(lines[0]) > tokenHeaderLimit:
		return bad("bearer.too_long", "the Authorization header is longer than 64 KB", "send an access token")
	default:
		rest, _ := afterBearer(lines[0])
		token := strings.TrimLeft(rest, " ")
		if len(token) == len(rest) || len(rest)+len("Bearer") != len(lines[0]) {
			return "", malformedBearer()
		}
		return token, nil
	}
}

func badBearer(id, reason, fix string) error {
	return &Error{Code: ErrBadRequest, ID: id, Op: "read bearer token", Reason: reason, Fix: fix}
}

func malformedBearer() error {
	return badBearer("bearer.malformed", "the Authorization header is not \"Bearer\" followed by one token", "send \"Authorization: Bearer\", a space and the access token")
}

const tokenHeaderLimit = 64 << 10

// isToken68 reports whether a text has the form of a bearer token (b64token, RFC 6750, 2.1).
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		if !isToken68Byte[body[i]] {
			return false
		}
	}
	return body != ""
}

var isToken68Byte = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") {
		is[c] = true
	}
	return is
}()

// challenge returns the WWW-Authenticate header of an error, or "": scheme and errors as in
// RFC 6750, 3; step-up as in RFC 9470, 3; resource_metadata as in RFC 9728, 5.1.
func (a *Auth) challenge(r *http.Request, e *Error) string {
	g := a.providers.Load()
	var params []string
	param := func(name, value string) { params = append(params, name+`="`+value+`"`) }
	switch bearer := g.hasToken(r); {
	case e.Code == ErrInvalidToken && bearer:
		param("error", "invalid_token")
	case e.Code == ErrUnauthenticated && g.takesTokens(): // 3.1: no error code without a token
		if e.scope != "" {
			param("scope", e.scope)
		}
	case !bearer || !a.readsCredentials():
		return ""
	case e.Code == ErrInsufficientScope:
		param("error", "insufficient_scope")
		if e.scope != "" {
			param("scope", e.scope)
		}
	case e.Code == ErrBadRequest && strings.HasPrefix(e.ID, "bearer."):
		param("error", "invalid_request")
	case e.Code == ErrStepUpRequired && e.demand != nil:
		param("error", "insufficient_user_authentication")
		if e.demand.maxAge > 0 {
			param("max_age", strconv.Itoa(int(e.demand.maxAge/time.Second)))
		}
		if len(e.demand.acr) > 0 {
			param("acr_values", quotable(strings.Join(e.demand.acr, " ")))
		}
	default:
		return ""
	}
	if address := a.metadataURL(); g.takesTokens() && address != "" {
		param("resource_metadata", address)
	}
	if len(params) == 0 {
		return "Bearer"
	}
	return "Bearer " + strings.Join(params, ", ")
}

// quotable makes visible ASCII fit for a quoted-string (RFC 9110, 5.6.4) without escapes.
var quotable = strings.NewReplacer(`"`, "?", `\`, "?").Replace
