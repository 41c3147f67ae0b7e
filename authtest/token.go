package authtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// grant is what a user has granted to the client, first for a code and then for an access token.
type grant struct {
	person      Person
	session     session
	scopes      []string
	resources   []string // of the authorization request (RFC 8707)
	audience    string   // the API that the access token is for, or ""
	redirectURI string
	challenge   string
	nonce       string
	withTime    bool // max_age was requested, so auth_time is required
	expires     time.Time
	redeemed    string // the access token that was issued for the code
	spent       bool
	refreshed   bool     // created by a refresh token
	family      string   // shared by its refresh tokens, or ""
	granted     []string // scopes of the family
}

// grant responds to an authorization request with a code.
func (p *Provider) grant(w http.ResponseWriter, params url.Values, person Person, s session) {
	how := p.howToAuthenticate()
	g := &grant{
		person: person, session: s, scopes: strings.Fields(params.Get("scope")), resources: params["resource"],
		redirectURI: params.Get("redirect_uri"), challenge: params.Get("code_challenge"),
		nonce: params.Get("nonce"), withTime: params.Has("max_age") && !how.ignores(MaxAge),
		expires: p.now().Add(codeLife),
	}
	code := randomString(24)
	p.mu.Lock()
	sweep(p.codes, p.now())
	p.codes[code] = g
	p.mu.Unlock()
	p.answer(w, params, url.Values{"code": {code}})
}

// sweep deletes grants that expired an hour ago; until then, the second use of a code is
// recognized.
func sweep(grants map[string]*grant, now time.Time) {
	for secret, g := range grants {
		if now.Sub(g.expires) > time.Hour {
			delete(grants, secret)
		}
	}
}

// serveToken is the token endpoint.
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	if !allowed(w, r, http.MethodPost) {
		return
	}
	form, ok := p.authenticatedForm(w, r)
	if !ok {
		return
	}
	take := p.redeem
	switch form.Get("grant_type") {
	case "authorization_code":
	case "refresh_token":
		take = p.refresh
	case "client_credentials":
		take = p.clientCredentials
	case deviceGrant:
		take = p.redeemDevice
	case "":
		tokenError(w, http.StatusBadRequest, "invalid_request", "grant_type is missing")
		return
	default:
		tokenError(w, http.StatusBadRequest, "unsupported_grant_type", "")
		return
	}
	g, accessToken, problem := take(form)
	if problem != nil {
		tokenError(w, http.StatusBadRequest, problem.code, problem.description)
		return
	}
	if g.audience != "" {
		accessToken = p.apiToken(g)
	}
	writeJSON(w, http.StatusOK, p.tokenAnswer(g, accessToken))
}

// authenticatedForm reads the form of an authenticated client. For any other it responds with an
// error, and ok is false.
func (p *Provider) authenticatedForm(w http.ResponseWriter, r *http.Request) (form url.Values, ok bool) {
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if err := r.ParseForm(); err != nil || !strings.EqualFold(strings.TrimSpace(contentType), "application/x-www-form-urlencoded") {
		tokenError(w, http.StatusBadRequest, "invalid_request", "the body is not a form")
		return nil, false
	}
	form = r.PostForm
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			tokenError(w, http.StatusBadRequest, "invalid_request", name+" is repeated")
			return nil, false
		}
	}
	if status, code, description := p.authenticate(w, r); code != "" {
		tokenError(w, status, code, description)
		return nil, false
	}
	return form, true
}

// serveRevoke is the revocation endpoint (RFC 7009): it revokes a refresh token and all tokens
// that followed from the same code, or an access token. An unknown token is not an error.
func (p *Provider) serveRevoke(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodPost) {
		return
	}
	form, ok := p.authenticatedForm(w, r)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.refreshes[form.Get("token")]; g != nil {
		p.revokeFamily(g)
	}
	delete(p.tokens, form.Get("token"))
	w.WriteHeader(http.StatusOK)
}

func tokenError(w http.ResponseWriter, status int, code, description string) {
	answer := map[string]any{"error": code}
	putString(answer, "error_description", description)
	writeJSON(w, status, answer)
}

// authenticate checks the client by the one method that it uses: the header
// (RFC 6749, 2.3.1: id and secret form-encoded first), the body, an assertion, or none.
func (p *Provider) authenticate(w http.ResponseWriter, r *http.Request) (status int, code, description string) {
	form := r.PostForm
	id, secret, basic := r.BasicAuth()
	if r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="token endpoint"`)
	}
	switch {
	case p.config.ClientKey != nil:
		if r.Header.Get("Authorization") != "" || form.Has("client_secret") {
			return http.StatusBadRequest, "invalid_request", "the client uses two authentication methods"
		}
		if problem := p.asserts(form); problem != "" {
			return http.StatusUnauthorized, "invalid_client", problem
		}
		return 0, "", ""
	case r.Header.Get("Authorization") != "" && !basic:
		return http.StatusUnauthorized, "invalid_client", "the Authorization header is not Basic"
	case basic && form.Has("client_secret"):
		return http.StatusBadRequest, "invalid_request", "the client uses two authentication methods"
	case basic:
		var err, err2 error
		id, err = url.QueryUnescape(id)
		secret, err2 = url.QueryUnescape(secret)
		if err != nil || err2 != nil {
			return http.StatusUnauthorized, "invalid_client", "the client ID or secret is not form-encoded"
		}
		if form.Has("client_id") && form.Get("client_id") != id {
			return http.StatusBadRequest, "invalid_request", "the client_id in the body differs"
		}
	default:
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if !same(id, p.ClientID) || !same(secret, p.ClientSecret) {
		return http.StatusUnauthorized, "invalid_client", "the client ID or secret is wrong"
	}
	w.Header().Del("WWW-Authenticate")
	return 0, "", ""
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// redeem issues an access token for a code, once. The code is spent even if a check fails; a
// second use revokes the token of the first.
func (p *Provider) redeem(form url.Values) (g *grant, accessToken string, problem *oauthError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, ok := p.codes[form.Get("code")]
	if !ok {
		return nil, "", invalidGrant("the code is unknown")
	}
	if g.spent {
		delete(p.tokens, g.redeemed)
		p.revokeFamily(g)
		return nil, "", invalidGrant("the code was already used")
	}
	g.spent = true
	switch {
	case p.now().After(g.expires):
		return nil, "", invalidGrant("the code has expired")
	case form.Get("redirect_uri") != g.redirectURI:
		return nil, "", invalidGrant("redirect_uri differs from the authorization request")
	case !p.ignorePKCE && !g.proves(form):
		return nil, "", invalidGrant("code_verifier does not match code_challenge")
	}
	if g.audience, problem = p.audience(form, g); problem != nil {
		return nil, "", problem
	}
	g.begin()
	g.redeemed = p.issue(g)
	return g, g.redeemed, nil
}

// begin begins the family of a grant's refresh tokens. OpenID Connect Core 1.0, 11:
// offline_access requests one.
func (g *grant) begin() {
	if slices.Contains(g.scopes, "offline_access") {
		g.family, g.granted = randomString(24), g.scopes
	}
}

// issue issues an access token for the provider's own endpoints. It returns "" for an API: such
// a token is signed later without the lock, and is not valid at these endpoints. The caller
// holds the lock.
func (p *Provider) issue(g *grant) (accessToken string) {
	if g.audience != "" {
		return ""
	}
	accessToken = randomString(32)
	token := *g
	token.expires = p.now().Add(tokenLife)
	sweep(p.tokens, p.now())
	p.tokens[accessToken] = &token
	return accessToken
}

// refresh issues an access token for a refresh token, which is replaced (RFC 9700, 4.14.2). The
// second use of a refresh token means that it was stolen, so its whole family is revoked.
func (p *Provider) refresh(form url.Values) (g *grant, accessToken string, problem *oauthError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, ok := p.refreshes[form.Get("refresh_token")]
	switch {
	case !ok:
		return nil, "", invalidGrant("the refresh token is unknown")
	case old.spent:
		p.revokeFamily(old)
		return nil, "", invalidGrant("the refresh token was already used")
	}
	next := *old
	next.refreshed = true
	if asked := strings.Fields(form.Get("scope")); form.Has("scope") { // RFC 6749, 6: no more than was granted
		if slices.ContainsFunc(asked, func(scope string) bool { return !slices.Contains(old.granted, scope) }) {
			return nil, "", &oauthError{"invalid_scope", "a scope was not granted"} // 5.2
		}
		next.scopes = asked
	}
	if next.audience, problem = p.audience(form, &next); problem != nil {
		return nil, "", problem
	}
	if !p.keepRefreshTokens {
		old.spent = true
	}
	return &next, p.issue(&next), nil
}

// RotateRefreshTokens sets whether each use of a refresh token replaces it. Default: true. With
// false, a refresh token is valid until it is revoked, and responses to a refresh contain no new
// one.
func (p *Provider) RotateRefreshTokens(rotate bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keepRefreshTokens = !rotate
}

// RevokeRefreshTokens revokes all refresh tokens and the access tokens issued with them.
func (p *Provider) RevokeRefreshTokens() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.refreshes {
		p.revokeFamily(g)
	}
}

// revokeFamily revokes the refresh tokens that followed from one code, and their access tokens.
// The caller holds the lock.
func (p *Provider) revokeFamily(of *grant) {
	for _, tokens := range []map[string]*grant{p.refreshes, p.tokens} {
		maps.DeleteFunc(tokens, func(_ string, g *grant) bool { return g.family != "" && g.family == of.family })
	}
}

// refreshToken issues the next refresh token of a grant. RFC 6749, 6: its scope "MUST be
// identical to that of the refresh token included by the client in the request".
func (p *Provider) refreshToken(g *grant) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.family == "" || p.keepRefreshTokens && g.refreshed {
		return ""
	}
	secret, next := randomString(32), *g
	next.spent, next.scopes = false, g.granted
	p.refreshes[secret] = &next
	return secret
}

// proves checks the verifier. A verifier without a challenge is rejected, too, since an attacker
// may have removed the challenge from the request (RFC 9700, 4.8.2).
func (g *grant) proves(form url.Values) bool {
	verifier := form.Get("code_verifier")
	if g.challenge == "" {
		return !form.Has("code_verifier")
	}
	sum := sha256.Sum256([]byte(verifier))
	return len(verifier) >= 43 && len(verifier) <= 128 && same(encode(sum[:]), g.challenge)
}

func (p *Provider) tokenAnswer(g *grant, accessToken string) map[string]any {
	answer := map[string]any{
		"access_token": accessToken,
		"token_type":   "Bearer",
		"expires_in":   int(tokenLife.Seconds()),
		"scope":        strings.Join(g.scopes, " "),
	}
	if token := p.refreshToken(g); token != "" {
		answer["refresh_token"] = token
	}
	if slices.Contains(g.scopes, "openid") && p.fault(Token) != NoIDToken {
		answer["id_token"] = p.idToken(g, accessToken)
	}
	if edit := p.edited().token; edit != nil {
		edit(answer)
	}
	return answer
}
