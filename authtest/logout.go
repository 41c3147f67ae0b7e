package authtest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// serveEndSession is the end-session endpoint: it ends the browser's session at the provider,
// and redirects to post_logout_redirect_uri if that is registered for the client.
func (p *Provider) serveEndSession(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	_ = r.ParseForm()
	p.signOut(w, r)
	client, target, hint := r.Form.Get("client_id"), r.Form.Get("post_logout_redirect_uri"), r.Form.Get("id_token_hint")
	if hint != "" {
		audience, ok := p.audienceOf(hint)
		if !ok || client != "" && client != audience {
			showProblem(w, "The id_token_hint is not a token of this provider for this client.")
			return
		}
		client = audience
	}
	if target == "" {
		showPage(w, http.StatusOK, "signed_out", nil)
		return
	}
	if !isWebURL(target) || client != p.ClientID || !registered(p.config.PostLogoutRedirectURIs, target) {
		showProblem(w, "You are signed out. The post_logout_redirect_uri is not registered for the client.")
		return
	}
	if r.Form.Has("state") {
		target = withQuery(target, url.Values{"state": {r.Form.Get("state")}})
	}
	redirect(w, target, http.StatusSeeOther)
}

func (p *Provider) signOut(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(p.cookieName)
	if err != nil {
		return
	}
	p.mu.Lock()
	delete(p.sessions, cookie.Value)
	p.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: p.cookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: p.config.TLS, SameSite: http.SameSiteLaxMode})
}

// audienceOf returns the client that an ID token of this provider was issued to. The token may
// have expired, or be signed with a key from before a rotation.
func (p *Provider) audienceOf(compact string) (string, bool) {
	signed := strings.LastIndexByte(compact, '.')
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	signature, err2 := base64.RawURLEncoding.DecodeString(parts[2])
	var claims struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
	}
	if err != nil || err2 != nil || json.Unmarshal(payload, &claims) != nil || claims.Issuer != p.Issuer {
		return "", false
	}
	p.mu.Lock()
	keys := slices.Clone(p.keys)
	p.mu.Unlock()
	ours := slices.ContainsFunc(keys, func(k key) bool { return k.verifies([]byte(compact[:signed]), signature) })
	return claims.Audience, ours
}
