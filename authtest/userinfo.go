package authtest

import (
	"net/http"
	"strings"
)

// serveUserinfo is the userinfo endpoint.
func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !allowed(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="userinfo"`)
		http.Error(w, "an access token is required", http.StatusUnauthorized)
		return
	}
	p.mu.Lock()
	g, ok := p.tokens[token]
	p.mu.Unlock()
	if !ok || p.now().After(g.expires) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="userinfo", error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	}
	claims := g.person.identity(g.scopes)
	claims["sub"] = g.person.Subject
	if edit := p.edited().userinfo; edit != nil {
		edit(claims)
	}
	writeJSON(w, http.StatusOK, claims)
}
