package authtest

import (
	"net/http"
)

func (p *Provider) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	metadata := map[string]any{
		"issuer":                                p.Issuer,
		"authorization_endpoint":                p.URL(Authorize),
		"token_endpoint":                        p.URL(Token),
		"userinfo_endpoint":                     p.URL(Userinfo),
		"jwks_uri":                              p.URL(JWKS),
		"end_session_endpoint":                  p.URL(EndSession),
		"revocation_endpoint":                   p.URL(Revoke),
		"introspection_endpoint":                p.URL(Introspect),
		"device_authorization_endpoint":         p.URL(DeviceAuthorization),
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query", "form_post"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token", "client_credentials", deviceGrant},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{p.currentKey().alg},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "none"},
		"code_challenge_methods_supported":      []string{"S256"},
		"scopes_supported":                      p.scopesSupported(),
		"claims_supported": []string{"sub", "iss", "aud", "exp", "iat", "nonce", "at_hash", "sid", "auth_time", "acr", "amr",
			"name", "preferred_username", "picture", "locale", "email", "email_verified", "groups"},
		"authorization_response_iss_parameter_supported": true,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"claims_parameter_supported":                     false,
	}
	if p.config.ClientKey != nil {
		metadata["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt"}
		metadata["token_endpoint_auth_signing_alg_values_supported"] = assertionAlgs
	}
	if edit := p.edited().metadata; edit != nil {
		edit(metadata)
	}
	writeJSON(w, http.StatusOK, metadata)
}

func (p *Provider) serveJWKS(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	keys := []map[string]any{p.currentKey().jwk()}
	if edit := p.edited().jwks; edit != nil {
		keys = edit(keys)
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
}

// allowed answers 405 to other methods than those given.
func allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, method := range methods {
		if r.Method == method {
			return true
		}
		w.Header().Add("Allow", method)
	}
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(mustJSON(v)) // the client may have disconnected
}
