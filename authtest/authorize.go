package authtest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	choosePath = "/choose"
	codeLife   = time.Minute
	tokenLife  = time.Hour
)

// session is the session of a browser at the provider.
type session struct {
	subject string
	sid     string // the sid claim; the cookie's value is another secret
	since   time.Time
	acr     string
	amr     []string
}

// serveAuthorize is the authorization endpoint.
func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	_ = r.ParseForm() // parameters that cannot be parsed are missing below
	params := r.Form
	if !p.mayRedirect(w, params) {
		return
	}
	if code, description := p.refusal(params); code != "" {
		p.answerError(w, params, code, description)
		return
	}
	p.mu.Lock()
	deny, subject := p.deny, p.signInAs
	p.mu.Unlock()
	silent := slices.Contains(strings.Fields(params.Get("prompt")), "none")
	how, signedOn := p.howToAuthenticate(), p.session(r)
	switch person, ok := p.person(subject); {
	case deny:
		p.answerError(w, params, "access_denied", "the user did not consent")
	case how.singleSignOn && signedOn.subject != "" && (subject == "" || subject == signedOn.subject) && how.suffices(signedOn, params, p.now()):
		person, _ := p.person(signedOn.subject)
		p.grant(w, params, person, signedOn)
	case ok && !(how.singleSignOn && silent):
		p.grant(w, params, person, p.signIn(w, r, params, person))
	case silent:
		p.answerSilently(w, params, &how, signedOn)
	default:
		p.showPeople(w, params)
	}
}

// mayRedirect makes the checks that must pass before a redirect to the redirect URI, and shows a
// page if one fails (RFC 6749, 4.1.2.1).
func (p *Provider) mayRedirect(w http.ResponseWriter, params url.Values) bool {
	problem := ""
	switch {
	case len(params["client_id"]) != 1 || len(params["redirect_uri"]) != 1:
		problem = "The request must have one client_id and one redirect_uri."
	case params.Get("client_id") != p.ClientID:
		problem = "Unknown client_id."
	case !isWebURL(params.Get("redirect_uri")):
		problem = "The redirect_uri is not an absolute http or https URL without a fragment."
	case !registered(p.config.RedirectURIs, params.Get("redirect_uri")):
		problem = fmt.Sprintf("The redirect_uri is not registered for the client: the request has %q, the registered ones are %q.", params.Get("redirect_uri"), p.config.RedirectURIs)
	}
	if problem != "" {
		showProblem(w, problem)
	}
	return problem == ""
}

func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && !strings.Contains(s, "#")
}

// withQuery adds parameters to a URL without a fragment, and leaves the rest unchanged.
func withQuery(target string, params url.Values) string {
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	return target + separator + params.Encode()
}

func registered(uris []string, uri string) bool {
	return uris == nil || slices.Contains(uris, uri)
}

// refusal returns the error for a request from a known client, or "".
func (p *Provider) refusal(params url.Values) (code, description string) {
	for name, values := range params {
		if len(values) > 1 && name != "resource" {
			return "invalid_request", name + " is repeated"
		}
	}
	challenge := params.Get("code_challenge")
	switch {
	case params.Has("request"):
		return "request_not_supported", ""
	case params.Has("request_uri"):
		return "request_uri_not_supported", ""
	case !params.Has("response_type"):
		return "invalid_request", "response_type is missing"
	case params.Get("response_type") != "code":
		return "unsupported_response_type", "response_type is not code"
	case params.Has("response_mode") && params.Get("response_mode") != "query" && params.Get("response_mode") != "form_post":
		return "invalid_request", "response_mode is neither query nor form_post"
	case challenge != "" && params.Get("code_challenge_method") != "S256":
		return "invalid_request", "code_challenge_method is not S256"
	case challenge == "" && params.Has("code_challenge_method"):
		return "invalid_request", "code_challenge is missing"
	case challenge != "" && len(challenge) != 43:
		return "invalid_request", "code_challenge is not a SHA-256 hash"
	case !p.knowsAll(params["resource"]):
		return "invalid_target", "resource is not an API of this provider" // RFC 8707, 2
	case challenge == "" && p.config.Public:
		return "invalid_request", "a public client must use PKCE"
	}
	return "", ""
}

// answerSilently answers a request with prompt=none: with the user of the browser's session if
// that suffices, or with login_required.
func (p *Provider) answerSilently(w http.ResponseWriter, params url.Values, how *authentication, s session) {
	person, ok := p.person(s.subject)
	if !ok || !how.suffices(s, params, p.now()) {
		p.answerError(w, params, "login_required", "")
		return
	}
	p.grant(w, params, person, s)
}

// serveChoice handles the choice on the page of users.
func (p *Provider) serveChoice(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	form := r.PostForm
	params, _ := url.ParseQuery(form.Get("request"))
	if !p.mayRedirect(w, params) {
		return
	}
	if code, description := p.refusal(params); code != "" {
		p.answerError(w, params, code, description)
		return
	}
	person, ok := p.person(form.Get("person"))
	switch {
	case form.Has("cancel"):
		p.answerError(w, params, "access_denied", "the user did not consent")
		return
	case form.Has("typed"):
		person = typed(form.Get("name"), form.Get("email"), form.Has("verified"))
		ok = person.Name != "" || person.Email != ""
		if ok {
			p.AddPerson(person)
			person, _ = p.person(person.Subject)
		}
	}
	if !ok {
		p.showPeople(w, params)
		return
	}
	p.grant(w, params, person, p.signIn(w, r, params, person))
}

// signIn starts the browser's session at the provider, or continues its session of the same
// user.
func (p *Provider) signIn(w http.ResponseWriter, r *http.Request, params url.Values, person Person) session {
	s := p.session(r)
	if s.subject != person.Subject {
		s = session{subject: person.Subject, sid: randomString(16)}
	}
	how := p.howToAuthenticate()
	s = how.authenticated(s, params, p.now())
	id := randomString(32)
	p.mu.Lock()
	if old, err := r.Cookie(p.cookieName); err == nil {
		delete(p.sessions, old.Value)
	}
	p.sessions[id] = s
	p.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: p.cookieName, Value: id, Path: "/", HttpOnly: true, Secure: p.config.TLS, SameSite: http.SameSiteLaxMode})
	return s
}

func (p *Provider) session(r *http.Request) session {
	cookie, err := r.Cookie(p.cookieName)
	if err != nil {
		return session{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[cookie.Value]
}

// answerError redirects to the redirect URI with an error.
func (p *Provider) answerError(w http.ResponseWriter, params url.Values, code, description string) {
	answer := url.Values{"error": {code}}
	if description != "" {
		answer.Set("error_description", description)
	}
	p.answer(w, params, answer)
}

// answer redirects the browser to the redirect URI with the parameters of the response, in the
// response mode of the request.
func (p *Provider) answer(w http.ResponseWriter, params, answer url.Values) {
	if params.Has("state") {
		answer.Set("state", params.Get("state"))
	}
	answer.Set("iss", p.Issuer) // RFC 9207: also in error responses
	if edit := p.edited().answer; edit != nil {
		edit(answer)
	}
	w.Header().Set("Cache-Control", "no-store")
	target := params.Get("redirect_uri")
	if params.Get("response_mode") == "form_post" {
		showPage(w, http.StatusOK, "form_post", map[string]any{"Action": target, "Answer": answer})
		return
	}
	redirect(w, withQuery(target, answer), http.StatusSeeOther)
}
