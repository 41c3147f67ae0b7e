package ginauth

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	b64 "github.com/ginauth/ginauth/internal/base64url"
	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/weburl"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	idTokenHintVersion = 1

	// answerRoom is the maximum size in bytes of the Set-Cookie lines of a response that
	// stores an ID token. Proxies accept 4 KB for all headers of a response (nginx's
	// proxy_buffer_size), and answer 502 if there are more.
	answerRoom = 3400
)

// idTokenHints keeps the ID token of a session for its sign-out at the provider, as
// id_token_hint (OpenID Connect RP-Initiated Logout 1.0, section 2). It is in a separate
// cookie, which browsers send only to the logout routes, so that neither other requests nor
// session records grow. It opens only for its session.
type idTokenHints struct {
	sealedCookie
	name string
}

// idTokenHintName returns the name of the cookie. It cannot have the prefix __Host-, which
// requires the path /.
func (c *config) idTokenHintName() string {
	name, host := strings.CutPrefix(c.cookieName(), "__Host-")
	if host {
		name = "__Secure-" + name
	}
	return name + "-h"
}

// save stores the ID token of a session for as long as the session's cookie may last. It
// returns false if the response has no room for it.
func (k *idTokenHints) save(out http.Header, s *session, idToken string) bool {
	b := append(make([]byte, 0, len(idToken)+64), k.version)
	b = appendJWT(append(wire.AppendTime(b, k.now()), s.id...), idToken)
	if k.size(k.name, b)+sizeOfCookies(out) > answerRoom {
		return false
	}
	life := s.until.Sub(s.lastSeen)
	if s.browserOnly {
		life = cookie.UntilClosed
	}
	k.jar.Set(out, k.name, k.box.Seal(b, k.name), life)
	return true
}

// find returns the ID token of a session, or "".
func (k *idTokenHints) find(in http.Header, sessionID string) string {
	var parts []string
	for _, value := range cookie.Values(in, k.name, maxCopies) {
		if k.accepts(k.name, value, func(r *wire.Reader) bool {
			is := r.Bytes(sessionIDSize) == sessionID
			parts = r.Strings(nil)
			return is
		}) {
			return joinJWT(parts)
		}
	}
	return ""
}

// appendJWT appends the parts of a verified JWT, decoded, which saves a quarter of the cookie.
// Encoding them again restores the JWT exactly, since package jws accepts only that encoding.
func appendJWT(b []byte, raw string) []byte {
	b = wire.AppendUint(b, uint64(strings.Count(raw, ".")+1))
	for part := range strings.SplitSeq(raw, ".") {
		n := b64.Size(len(part))
		b = slices.Grow(wire.AppendUint(b, uint64(n)), n)
		b = b[:len(b)+n]
		b64.DecodeInto(b[len(b)-n:], part)
	}
	return b
}

// joinJWT is the inverse of appendJWT.
func joinJWT(parts []string) string {
	for i, part := range parts {
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(part))
	}
	return strings.Join(parts, ".")
}

// expire expires the cookie if the request has it, as requests to logout routes do.
func (k *idTokenHints) expire(w http.ResponseWriter, r *http.Request) {
	if len(cookie.Values(r.Header, k.name, 1)) > 0 {
		k.jar.Expire(w.Header(), k.name)
	}
}

// mayHint reports whether the configuration lets sign-outs at the provider send id_token_hint.
func (c *client) mayHint() bool {
	p := &c.provider
	return p.Issuer != "" && !p.Logout.NoIDTokenHint && !p.Logout.Local && p.Logout.URL == ""
}

// keepIDToken stores the ID token of a new session for its sign-out at the provider. It is
// optional: if it does not fit, the hint is omitted.
func (a *Auth) keepIDToken(c *gin.Context, g *registry, cl *client, s *session, token *oauth2.Token) {
	out := c.Writer.Header()
	raw, _ := token.Extra("id_token").(string)
	if cl.mayHint() && raw != "" && cl.rp.EndsSessions(c.Request.Context()) {
		if a.idTokenHints.save(out, s, raw) {
			return
		}
		cl.warnAboutHint(len(raw))
	}
	if len(g.order) > 1 { // the browser may have that of a previous session at another provider
		a.dropIDToken(out, g)
	}
}

// dropIDToken expires the cookie of the ID token, in a response to a request that does not show
// whether the browser has that cookie.
func (a *Auth) dropIDToken(out http.Header, g *registry) {
	for _, cl := range g.clients {
		if cl.mayHint() {
			a.idTokenHints.jar.Expire(out, a.idTokenHints.name)
			return
		}
	}
}

// sizeOfCookies returns the size of the Set-Cookie lines of a response in bytes.
func sizeOfCookies(out http.Header) (size int) {
	for _, line := range out["Set-Cookie"] {
		size += len("Set-Cookie: \r\n") + len(line)
	}
	return size
}

// warnAboutHint warns, once for each provider, that sign-outs omit the ID token.
func (c *client) warnAboutHint(size int) {
	if c.hintWarned.CompareAndSwap(false, true) {
		c.cfg.log(context.Background(), slog.LevelWarn, "logout.hint_too_large", "an ID token is too large to keep for the sign-out at the provider, which is sent without id_token_hint: most providers then ask the user to confirm, some refuse;"+
			" reduce the claims in the ID token or the data in the session, or set Logout.NoIDTokenHint or Logout.Local", slog.String("provider", c.provider.Name), slog.Int("bytes", size))
	}
}

// endSessionOrigin returns the origin of the provider's end-session endpoint, or "".
func (c *client) endSessionOrigin(ctx context.Context) string {
	if c.isPage() {
		return ""
	}
	return weburl.OriginOf(c.rp.EndSessionEndpoint(ctx))
}

// endSessionURL returns the URL at which the browser signs out at the provider, or "" if there
// is none. It omits the ID token if the URL would be too long for servers.
func (c *client) endSessionURL(ctx context.Context, hint, state string) string {
	if c.isPage() {
		return ""
	}
	back := c.cfg.logoutReturn()
	address := c.rp.EndSessionURL(ctx, hint, state, back)
	if hint != "" && len(address) > maxAddress {
		c.warnAboutHint(len(hint))
		return c.rp.EndSessionURL(ctx, "", state, back)
	}
	return address
}
