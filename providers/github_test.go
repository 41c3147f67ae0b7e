package providers_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

// gitHub speaks GitHub's dialect on loopback: its endpoints, its form-encoding
// unless JSON is asked for, its errors under status 200, its 403 without a
// User-Agent. The answers under testdata/github have the shapes that its
// documentation shows; the people in them are made up.
type gitHub struct {
	*httptest.Server
	t *testing.T

	token  string // file of the token endpoint's answer
	user   string // file of GET /user
	emails string // file of GET /user/emails
	status int    // of GET /user/emails
	iss    string // sent with the code, unless empty

	mu     sync.Mutex
	asked  []string // paths
	params url.Values
	codes  map[string]url.Values // the authorization request behind a code
}

const code = "f3b1c0d9e8a7"

func newGitHub(t *testing.T) *gitHub {
	g := &gitHub{
		t: t, token: "token.json", user: "user.json", emails: "emails.json", status: http.StatusOK,
		iss: "https://github.com/login/oauth", codes: map[string]url.Values{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/oauth/authorize", g.authorize)
	mux.HandleFunc("POST /login/oauth/access_token", g.accessToken)
	mux.HandleFunc("GET /api/v3/user", g.api(func() (string, int) { return g.user, http.StatusOK }))
	mux.HandleFunc("GET /api/v3/user/emails", g.api(func() (string, int) { return g.emails, g.status }))
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	return g
}

// provider is the preset with this server's addresses, as for a GitHub
// Enterprise Server. A preset is a plain value, so that is all it takes.
func (g *gitHub) provider() ginauth.Provider {
	p := providers.GitHub("Iv1.client", "a secret/with+signs")
	p.AuthorizeURL = g.URL + "/login/oauth/authorize"
	p.TokenURL = g.URL + "/login/oauth/access_token"
	p.Profile = providers.GitHubProfile(g.URL + "/api/v3")
	return p
}

func (g *gitHub) authorize(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	g.mu.Lock()
	g.params, g.codes[code] = params, params
	g.mu.Unlock()
	answer := url.Values{"code": {code}, "state": {params.Get("state")}}
	if g.iss != "" {
		answer.Set("iss", g.iss)
	}
	http.Redirect(w, r, params.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (g *gitHub) accessToken(w http.ResponseWriter, r *http.Request) {
	g.saw(r)
	_ = r.ParseForm()
	form := r.PostForm
	g.mu.Lock()
	request, known := g.codes[form.Get("code")]
	delete(g.codes, form.Get("code"))
	g.mu.Unlock()
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	answer := read(g.t, "github/"+g.token)
	switch {
	case form.Get("client_id") != "Iv1.client" || form.Get("client_secret") != "a secret/with+signs":
		answer = read(g.t, "github/incorrect_client_credentials.json")
	case !known || base64.RawURLEncoding.EncodeToString(sum[:]) != request.Get("code_challenge"):
		answer = read(g.t, "github/bad_verification_code.json")
	case form.Get("redirect_uri") != request.Get("redirect_uri"):
		answer = read(g.t, "github/redirect_uri_mismatch.json")
	}
	if r.Header.Get("Accept") == "application/json" {
		g.send(w, http.StatusOK, answer)
		return
	}
	var members map[string]string
	_ = json.Unmarshal(answer, &members)
	encoded := url.Values{}
	for name, value := range members {
		encoded.Set(name, value)
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = w.Write([]byte(encoded.Encode()))
}

func (g *gitHub) api(answer func() (file string, status int)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.saw(r)
		var token struct {
			AccessToken string `json:"access_token"`
		}
		_ = json.Unmarshal(read(g.t, "github/"+g.token), &token)
		switch file, status := answer(); {
		case !strings.HasPrefix(r.UserAgent(), "ginauth"):
			http.Error(w, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header", http.StatusForbidden)
		case r.Header.Get("Authorization") != "Bearer "+token.AccessToken:
			g.send(w, http.StatusUnauthorized, []byte(`{"message":"Bad credentials","status":"401"}`))
		default:
			g.send(w, status, read(g.t, "github/"+file))
		}
	}
}

func (g *gitHub) send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (g *gitHub) saw(r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r.URL.Path)
}

func (g *gitHub) wasAsked(path string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.asked, path)
}

// petra is who testdata/github/user.json is about.
func petra() ginauth.User {
	return ginauth.User{
		Provider: "github", Issuer: "https://github.com/login/oauth", Subject: "98765432",
		Name: "Petra Lindqvist", Username: "plindqvist", Email: "petra@kvarnbygd.example", EmailVerified: true,
		Picture: "https://avatars.githubusercontent.com/u/98765432?v=4",
	}
}

func TestGitHub(t *testing.T) {
	oak := ginauth.User{
		Provider: "github", Issuer: "https://github.com/login/oauth", Subject: "1203",
		Name: "hollow-oak", Username: "hollow-oak", Email: "oak@hollow.example", EmailVerified: true,
		Picture: "https://avatars.githubusercontent.com/u/1203?v=4",
	}
	with := func(change func(*ginauth.User)) ginauth.User {
		u := petra()
		change(&u)
		return u
	}
	public := with(func(u *ginauth.User) { u.Email, u.EmailVerified = "petra@public.example", false })
	for _, test := range []struct {
		name   string
		change func(*gitHub)
		want   ginauth.User
	}{
		{"the primary address counts, not the public one", nil, petra()},
		{"somebody with a private address and without a name has both", func(g *gitHub) { g.user, g.emails = "user_private.json", "emails_private.json" }, oak},
		{"a primary address that is not verified is not verified", func(g *gitHub) { g.emails = "emails_unverified.json" },
			with(func(u *ginauth.User) { u.Email, u.EmailVerified = "petra@new.example", false })},
		{"without the scope user:email the public address is not verified", func(g *gitHub) { g.emails, g.status = "not_found.json", http.StatusNotFound }, public},
		{"a GitHub App without the permission still signs in", func(g *gitHub) {
			g.token, g.emails, g.status = "token_app.json", "no_permission.json", http.StatusForbidden
		}, public},
		{"a GitHub App with the permission has no scopes, and reads the addresses", func(g *gitHub) { g.token = "token_app.json" }, petra()},
		{"a server that does not send iss is fine", func(g *gitHub) { g.iss = "" }, petra()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGitHub(t)
			if test.change != nil {
				test.change(g)
			}
			want(t, newApp(t, g.provider()).signIn(), test.want)
		})
	}
}

func TestGitHubRequest(t *testing.T) {
	g := newGitHub(t)
	newApp(t, g.provider()).signIn()
	for name, want := range map[string]string{
		"client_id": "Iv1.client", "scope": "user:email", "response_type": "code", "code_challenge_method": "S256",
	} {
		if got := g.params.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if g.params.Has("nonce") {
		t.Error("a nonce was sent, which nothing answers to")
	}
}

func TestGitHubPassesOnWhoShouldSignIn(t *testing.T) {
	g := newGitHub(t)
	newApp(t, g.provider()).get("/login/github?login=plindqvist&prompt=select_account&scope=repo")
	if got := g.params; got.Get("login") != "plindqvist" || got.Get("prompt") != "select_account" || got.Get("scope") != "user:email" {
		t.Errorf("GitHub was sent %v", got)
	}
}

func TestGitHubAccountKeepsItsIDWhenRenamed(t *testing.T) {
	g := newGitHub(t)
	a := newApp(t, g.provider())
	before := a.signIn()
	g.user = "user_renamed.json"
	a.get("/login/github")
	after := a.signIn()
	if before.ID() != after.ID() || before.ID() != "https://github.com/login/oauth#98765432" {
		t.Errorf("the ids are %q and %q", before.ID(), after.ID())
	}
	if before.Username != "plindqvist" || after.Username != "petra-kvarn" || after.Name != "Petra Kvarn" {
		t.Errorf("the names are %q, then %q and %q", before.Username, after.Username, after.Name)
	}
}

func TestGitHubWithoutAddresses(t *testing.T) {
	g := newGitHub(t)
	p := g.provider()
	p.Scopes = []string{"read:org"}
	g.token = "token_read_org.json"
	u := newApp(t, p).signIn()
	if u.EmailVerified || u.Email != "petra@public.example" {
		t.Errorf("got %q, verified %v", u.Email, u.EmailVerified)
	}
	if g.wasAsked("/api/v3/user/emails") {
		t.Error("the addresses were asked for without their scope")
	}
}

func TestGitHubErrorsUnderStatus200(t *testing.T) {
	for _, test := range []struct {
		file     string
		code     ginauth.Code
		id, part string
	}{
		{"bad_verification_code.json", ginauth.ErrCodeRejected, "token.invalid_grant", `\"bad_verification_code\"`},
		{"incorrect_client_credentials.json", ginauth.ErrProviderMisconfigured, "token.invalid_client", `\"incorrect_client_credentials\"`},
		{"redirect_uri_mismatch.json", ginauth.ErrProviderMisconfigured, "token.redirect_uri_mismatch", "redirect URI"},
		{"unverified_user_email.json", ginauth.ErrProviderError, "token.error", `\"unverified_user_email\"`},
	} {
		t.Run(test.file, func(t *testing.T) {
			t.Parallel()
			g := newGitHub(t)
			g.token = test.file
			newApp(t, g.provider()).refuses(test.code, test.id, test.part)
			if g.wasAsked("/api/v3/user") {
				t.Error("the profile was asked for without a token")
			}
		})
	}
}

func TestGitHubRefuses(t *testing.T) {
	for _, test := range []struct {
		name     string
		change   func(*gitHub, *ginauth.Provider)
		code     ginauth.Code
		id, part string
	}{
		{"an answer of another server", func(g *gitHub, _ *ginauth.Provider) { g.iss = "https://ghe.example/login/oauth" }, ginauth.ErrIssuerMismatch, "response.issuer", "ghe.example"},
		{"a wrong secret", func(_ *gitHub, p *ginauth.Provider) { p.ClientSecret = "another" }, ginauth.ErrProviderMisconfigured, "token.invalid_client", `\"incorrect_client_credentials\"`},
		{"a profile that is an error under status 200", func(g *gitHub, _ *ginauth.Provider) { g.user = "not_found.json" }, ginauth.ErrIdentityRejected, "claims.sub", ""},
		{"a list of addresses that fails for now", func(g *gitHub, _ *ginauth.Provider) { g.status = http.StatusBadGateway }, ginauth.ErrProviderUnavailable, "http.status", "502"},
		{"addresses that are not a list", func(g *gitHub, _ *ginauth.Provider) { g.emails = "user.json" }, ginauth.ErrProviderUnavailable, "http.unusable", ""},
		{"an API that is not there", func(g *gitHub, p *ginauth.Provider) { p.Profile = providers.GitHubProfile(g.URL) }, ginauth.ErrProviderUnavailable, "http.not_found", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGitHub(t)
			p := g.provider()
			test.change(g, &p)
			newApp(t, p).refuses(test.code, test.id, test.part)
		})
	}
}

// GitHub names the larger scope alone.
func TestGitHubScopes(t *testing.T) {
	for scope, want := range map[string][]string{
		"repo":      {"repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events", "notifications"},
		"user":      {"read:user", "user:email", "user:follow"},
		"project":   {"read:project"},
		"audit_log": {"read:audit_log"},
		"codespace": {"codespace:secrets"},
		"admin:org": {"write:org", "read:org"},
		"write:org": {"read:org"},
		"read:org":  nil,
		"read:user": nil,
		"gist":      nil,
	} {
		for _, p := range []ginauth.Provider{providers.GitHub("id", "secret"), providers.GitHubEnterprise("github.kvarnbygd.example", "id", "secret")} {
			if got := p.Quirks.IncludedScopes(scope); !slices.Equal(got, want) {
				t.Errorf("%s: %s includes %q, want %q", p.Name, scope, got, want)
			}
		}
	}
}
