package authtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// grant is what a person allowed the client: first behind a code, then behind
// an access token.
type grant struct {
	person      Person
	session     session
	scopes      []string
	redirectURI string
	challenge   string
	nonce       string
	withTime    bool // max_age was asked, so auth_time is owed
	expires     time.Time
	redeemed    string // the access token that was given for the code
	spent       bool
}

// grant answers an authorization request with a code.
func (p *Provider) grant(w http.ResponseWriter, params url.Values, person Person, s session) {
	how := p.howToAuthenticate()
	g := &grant{
		person: person, session: s, scopes: strings.Fields(params.Get("scope")),
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

// sweep forgets what expired an hour ago; until then, a code's second use is
// still known for one.
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
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if err := r.ParseForm(); err != nil || !strings.EqualFold(strings.TrimSpace(contentType), "application/x-www-form-urlencoded") {
		tokenError(w, http.StatusBadRequest, "invalid_request", "the body is not a form")
		return
	}
	form := r.PostForm
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			tokenError(w, http.StatusBadRequest, "invalid_request", name+" is there more than once")
			return
		}
	}
	if status, code, description := p.authenticate(w, r); code != "" {
		tokenError(w, status, code, description)
		return
	}
	switch form.Get("grant_type") {
	case "authorization_code":
	case "":
		tokenError(w, http.StatusBadRequest, "invalid_request", "grant_type is missing")
		return
	default:
		tokenError(w, http.StatusBadRequest, "unsupported_grant_type", "")
		return
	}
	g, accessToken, problem := p.redeem(form)
	if problem != "" {
		tokenError(w, http.StatusBadRequest, "invalid_grant", problem)
		return
	}
	writeJSON(w, http.StatusOK, p.tokenAnswer(g, accessToken))
}

func tokenError(w http.ResponseWriter, status int, code, description string) {
	answer := map[string]any{"error": code}
	putString(answer, "error_description", description)
	writeJSON(w, status, answer)
}

// authenticate checks the client by the one method that it uses: the header
// (RFC 6749, 2.3.1: id and secret form-encoded first), the body, or none.
func (p *Provider) authenticate(w http.ResponseWriter, r *http.Request) (status int, code, description string) {
	form := r.PostForm
	id, secret, basic := r.BasicAuth()
	if r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="token endpoint"`)
	}
	switch {
	case r.Header.Get("Authorization") != "" && !basic:
		return http.StatusUnauthorized, "invalid_client", "the Authorization header is not Basic"
	case basic && form.Has("client_secret"):
		return http.StatusBadRequest, "invalid_request", "the client authenticates in two ways at once"
	case basic:
		var err, err2 error
		id, err = url.QueryUnescape(id)
		secret, err2 = url.QueryUnescape(secret)
		if err != nil || err2 != nil {
			return http.StatusUnauthorized, "invalid_client", "client id or secret are not form-encoded"
		}
		if form.Has("client_id") && form.Get("client_id") != id {
			return http.StatusBadRequest, "invalid_request", "the client_id in the body is another"
		}
	default:
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if !same(id, p.ClientID) || !same(secret, p.ClientSecret) {
		return http.StatusUnauthorized, "invalid_client", "client id or secret are wrong"
	}
	w.Header().Del("WWW-Authenticate")
	return 0, "", ""
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// redeem gives an access token for a code, once. Whatever is wrong, the code is
// spent afterwards; a second use takes the first one's token back.
func (p *Provider) redeem(form url.Values) (g *grant, accessToken, problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, ok := p.codes[form.Get("code")]
	if !ok {
		return nil, "", "there is no such code"
	}
	if g.spent {
		delete(p.tokens, g.redeemed)
		return nil, "", "the code was used before"
	}
	g.spent = true
	switch {
	case p.now().After(g.expires):
		return nil, "", "the code has expired"
	case form.Get("redirect_uri") != g.redirectURI:
		return nil, "", "redirect_uri is not the one of the authorization request"
	case !p.ignorePKCE && !g.proves(form):
		return nil, "", "code_verifier does not match code_challenge"
	}
	accessToken = randomString(32)
	g.redeemed = accessToken
	token := *g
	token.expires = p.now().Add(tokenLife)
	sweep(p.tokens, p.now())
	p.tokens[accessToken] = &token
	return g, accessToken, ""
}

// proves checks the verifier. One without a challenge is refused too, since an
// attacker may have taken the challenge out of the request (RFC 9700, 4.8.2).
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
	if slices.Contains(g.scopes, "openid") && p.fault(Token) != NoIDToken {
		answer["id_token"] = p.idToken(g, accessToken)
	}
	if edit := p.edited().token; edit != nil {
		edit(answer)
	}
	return answer
}
