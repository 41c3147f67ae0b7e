package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

// keycloak is a realm of a Keycloak server, which its administrator sets up
// through the server's admin API.
type keycloak struct {
	process
	realm string

	// edit changes the clients that are made from now on.
	edit func(client map[string]any)

	token    string // of the administrator, which lasts for a minute
	tokenEnd time.Time
}

// object is what the admin API takes and returns.
type object = map[string]any

func newKeycloak(t *testing.T) *keycloak {
	t.Helper()
	k := &keycloak{process: process{"keycloak"}, realm: newName()}
	k.admin(t, http.MethodPost, "/admin/realms", object{
		"realm": k.realm, "enabled": true,
		"groups": []object{{"name": "staff"}, {"name": "admins"}, {"name": "company", "subGroups": []object{{"name": "board"}}}},
	}, nil)
	for _, user := range []object{
		person(ada, "Ada", "Lovelace", "/staff", "/admins", "/company/board"),
		person(ben, "Ben", "Jonson", "/staff"),
	} {
		k.admin(t, http.MethodPost, k.path("/users"), user, nil)
	}
	return k
}

func person(username, first, last string, groups ...string) object {
	return object{
		"username": username, "firstName": first, "lastName": last, "groups": groups,
		"email": username + "@example.com", "emailVerified": true, "enabled": true,
		"credentials": []object{{"type": "password", "value": password}},
	}
}

// admin makes a request to the admin API, as the server's administrator.
func (k *keycloak) admin(t *testing.T, method, path string, in, out any) {
	t.Helper()
	if time.Now().After(k.tokenEnd) {
		k.token, k.tokenEnd = k.newToken(t), time.Now().Add(30*time.Second)
	}
	call(t, method, k.address(t)+path, http.Header{"Authorization": {"Bearer " + k.token}}, in, out)
}

func (k *keycloak) newToken(t *testing.T) string {
	t.Helper()
	answer, err := http.PostForm(k.address(t)+"/realms/master/protocol/openid-connect/token", url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {"admin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&token); err != nil || token.AccessToken == "" {
		t.Fatalf("the administrator's token: %s %v", answer.Status, err)
	}
	return token.AccessToken
}

func (k *keycloak) path(of string) string { return "/admin/realms/" + k.realm + of }

func (k *keycloak) register(t *testing.T, c client) ginauth.Provider {
	t.Helper()
	settings := object{
		"clientId": c.ID, "secret": c.Secret, "publicClient": c.AuthMethod == "none", "consentRequired": c.Consent,
		"redirectUris": []string{c.RedirectURI}, "frontchannelLogout": false,
		"attributes": object{
			"post.logout.redirect.uris":           c.PostLogoutURI,
			"backchannel.logout.url":              c.BackChannelURI,
			"backchannel.logout.session.required": "true",
		},
		"protocolMappers": []object{groupsMapper(false)},
	}
	if c.Tool {
		settings["serviceAccountsEnabled"] = true
	}
	if c.JWKS != nil {
		set, err := json.Marshal(c.JWKS)
		if err != nil {
			t.Fatal(err)
		}
		settings["clientAuthenticatorType"] = "client-jwt"
		attributes := settings["attributes"].(object)
		attributes["use.jwks.string"], attributes["jwks.string"] = "true", string(set)
	}
	if k.edit != nil {
		k.edit(settings)
	}
	k.admin(t, http.MethodPost, k.path("/clients"), settings, nil)
	return providers.OIDC("corp", k.address(t)+"/realms/"+k.realm, c.ID, c.Secret)
}

// addAPI makes the scopes of the API, which put it into aud.
func (k *keycloak) addAPI(t *testing.T) {
	t.Helper()
	for _, scope := range []string{"orders:read", "orders:write"} {
		id := k.realm + "-" + scope
		k.admin(t, http.MethodPost, k.path("/client-scopes"), object{
			"id": id, "name": scope, "protocol": "openid-connect", "attributes": object{"include.in.token.scope": "true"},
			"protocolMappers": []object{{
				"name": "the API", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
				"config": object{"included.custom.audience": theAPI, "access.token.claim": true, "introspection.token.claim": true},
			}},
		}, nil)
		k.admin(t, http.MethodPut, k.path("/default-optional-client-scopes/"+id), nil, nil)
	}
}

// groupsMapper puts the groups into the ID token.
func groupsMapper(fullPath bool) object {
	return object{
		"name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper",
		"config": object{"claim.name": "groups", "full.path": fullPath, "id.token.claim": true, "userinfo.token.claim": true},
	}
}

func (*keycloak) asks(p *authtest.Page) bool {
	return strings.Contains(p.URL.Path, "/realms/") && strings.Contains(p.Text(), `id="kc-form-login"`)
}

func (k *keycloak) logIn(b *authtest.Browser, form *authtest.Page, username, password string) (*authtest.Page, error) {
	p, err := b.SubmitForm(form, "Sign In", url.Values{"username": {username}, "password": {password}})
	if err != nil || !asksForConsent(p) {
		return p, err
	}
	return b.SubmitForm(p, "Yes", nil)
}

func asksForConsent(p *authtest.Page) bool {
	return strings.Contains(p.URL.Path, "/login-actions/") && strings.Contains(p.Text(), "Do you grant these access privileges?")
}

func (k *keycloak) refuse(b *authtest.Browser, form *authtest.Page) (*authtest.Page, error) {
	p, err := b.SubmitForm(form, "Sign In", url.Values{"username": {ada}, "password": {password}})
	if err != nil {
		return nil, err
	}
	return b.SubmitForm(p, "No", nil)
}

// rotate adds a key that goes before the others, which stay published.
func (k *keycloak) rotate(t *testing.T) {
	t.Helper()
	name := newName()
	k.admin(t, http.MethodPost, k.path("/components"), object{
		"name": name, "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
		"config": object{"priority": []string{"1" + strings.TrimPrefix(name, "n") + "00"}},
	}, nil)
}

func TestKeycloak(t *testing.T) {
	with := newKeycloak(t)
	everyServer(t, with)
	t.Run("form_post", func(t *testing.T) { tryFormPost(t, with) })
	t.Run("prompt=none", func(t *testing.T) { tryPromptNone(t, with) })
	t.Run("prompt=login", func(t *testing.T) { tryPromptLogin(t, with) })
	t.Run("signing out without a hint", func(t *testing.T) { trySigningOutWithoutAHint(t, with) })
	t.Run("assertions", func(t *testing.T) { tryAssertions(t, with, "RS256", "ES256", "EdDSA") })
	for _, rotates := range []bool{false, true} {
		t.Run(fmt.Sprintf("tokens, with Revoke Refresh Token %t", rotates), func(t *testing.T) {
			k := newKeycloak(t)
			k.admin(t, http.MethodPut, k.path(""), object{"revokeRefreshToken": rotates, "refreshTokenMaxReuse": 0}, nil)
			tryTokens(t, k, "revoke")
		})
	}
	t.Run("back-channel logout", func(t *testing.T) {
		tryBackChannelLogout(t, with, signOutAtTheServer("/protocol/openid-connect/logout"))
	})
}

// What docs/interop.md says of Keycloak.
func TestKeycloakFacts(t *testing.T) {
	k := newKeycloak(t)
	for _, tt := range []struct {
		name string
		try  func(*testing.T, *keycloak)
	}{
		{"groups come with their path, or without", keycloakGroupPaths},
		{"roles are in the ID token if a mapper puts them there", keycloakRoles},
		{"with front-channel logout it makes no back-channel call", keycloakFrontChannelSwitch},
		{"a logout token without sid ends every session of the person", keycloakWithoutSID},
		{"an administrator signs a person out", keycloakSignsOut},
		{"an administrator ends one session", keycloakEndsASession},
		{"logout-all makes no call", keycloakLogoutAll},
		{"a disabled person keeps the session", keycloakDisables},
		{"signing out needs no confirmation", keycloakNeedsNoConfirmation},
		{"an unregistered address after signing out", keycloakUnregisteredURI},
		{"answers without their issuer", keycloakWithoutIssuer},
		{"lightweight access tokens", keycloakLightweight},
		{"Diagnose leaves nothing in the event log", keycloakEvents},
		{"a deleted person keeps the session", keycloakDeletes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k.edit = nil
			tt.try(t, k)
		})
	}
}

// attribute sets one of the client's attributes.
func attribute(name, value string) func(object) {
	return func(client object) { client["attributes"].(object)[name] = value }
}

func keycloakGroupPaths(t *testing.T, k *keycloak) {
	for fullPath, want := range map[bool][]string{
		false: {"admins", "board", "staff"},
		true:  {"/admins", "/company/board", "/staff"},
	} {
		k.edit = func(client object) { client["protocolMappers"] = []object{groupsMapper(fullPath)} }
		wantGroups(t, newSite(t, k, config{}), want)
	}
}

func wantGroups(t *testing.T, s *site, want []string) {
	t.Helper()
	groups := slices.Sorted(slices.Values(s.signIn("/private", ada).User.Groups))
	if !slices.Equal(groups, want) {
		t.Errorf("the groups are %q, want %q", groups, want)
	}
}

func keycloakRoles(t *testing.T, k *keycloak) {
	conf := config{change: func(p *ginauth.Provider, _ *ginauth.Options) {
		preset := providers.Keycloak(k.address(t), k.realm, p.ClientID, p.ClientSecret)
		preset.Name = p.Name
		*p = preset
	}}
	wantGroups(t, newSite(t, k, conf), nil)
	k.edit = func(client object) {
		client["protocolMappers"] = []object{{
			"name": "roles", "protocol": "openid-connect", "protocolMapper": "oidc-usermodel-realm-role-mapper",
			"config": object{"claim.name": "realm_access.roles", "multivalued": true, "id.token.claim": true},
		}}
	}
	wantGroups(t, newSite(t, k, conf), []string{"default-roles-" + k.realm, "offline_access", "uma_authorization"})
}

func keycloakFrontChannelSwitch(t *testing.T, k *keycloak) {
	k.edit = func(client object) { client["frontchannelLogout"] = true }
	s := newSite(t, k, config{})
	s.signIn("/private", ada)
	signOutAtTheServer("/protocol/openid-connect/logout")(s)
	s.wantHome(s.browser, "home of Ada Lovelace")
	s.loginForm("/auth/login/corp")
}

// twoSessions signs Ada in twice, lets somebody end one of the sessions or both,
// and checks what is left of them.
func (k *keycloak) twoSessions(t *testing.T, sid string, end func(*site), wantHere, wantElsewhere string) {
	t.Helper()
	k.edit = attribute("backchannel.logout.session.required", sid)
	s := newSite(t, k, config{})
	elsewhere := s.newBrowser()
	if _, err := signInAs(s, elsewhere, ada); err != nil {
		t.Fatal(err)
	}
	s.signIn("/private", ada)
	end(s)
	s.wantHome(s.browser, wantHere)
	s.wantHome(elsewhere, wantElsewhere)
}

func keycloakWithoutSID(t *testing.T, k *keycloak) {
	there := signOutAtTheServer("/protocol/openid-connect/logout")
	k.twoSessions(t, "true", there, "home", "home of Ada Lovelace")
	k.twoSessions(t, "false", there, "home", "home")
}

func keycloakSignsOut(t *testing.T, k *keycloak) {
	signOut := func(*site) { k.admin(t, http.MethodPost, k.path("/users/"+k.id(t, ada)+"/logout"), nil, nil) }
	k.twoSessions(t, "false", signOut, "home", "home")
	k.twoSessions(t, "true", signOut, "home", "home")
}

func keycloakEndsASession(t *testing.T, k *keycloak) {
	k.twoSessions(t, "true", func(s *site) {
		claims := s.profileOn(s.get("/private")).Claims
		k.admin(t, http.MethodDelete, k.path("/sessions/"+claims["sid"].(string)), nil, nil)
	}, "home", "home of Ada Lovelace")
}

// id is the account's id in the realm, which is its subject, too.
func (k *keycloak) id(t *testing.T, username string) string {
	t.Helper()
	var found []struct{ ID string }
	k.admin(t, http.MethodGet, k.path("/users?exact=true&username="+username), nil, &found)
	if len(found) != 1 {
		t.Fatalf("there are %d of %s", len(found), username)
	}
	return found[0].ID
}

func keycloakLogoutAll(t *testing.T, k *keycloak) {
	s := newSite(t, k, config{})
	s.signIn("/private", ada)
	k.admin(t, http.MethodPost, k.path("/logout-all"), nil, nil)
	s.wantHome(s.browser, "home of Ada Lovelace")
	s.loginForm("/auth/login/corp")
}

func keycloakDisables(t *testing.T, k *keycloak) {
	s := newSite(t, k, config{})
	s.signIn("/private", ben)
	k.admin(t, http.MethodPut, k.path("/users/"+k.id(t, ben)), object{"enabled": false}, nil)
	s.wantHome(s.browser, "home of Ben Jonson")
	s.loginForm("/auth/login/corp")
	s.browser = s.newBrowser()
	if p := s.logIn(s.loginForm("/private"), ben, password); !k.asks(p) || !strings.Contains(p.Text(), "Account is disabled") {
		t.Errorf("the server let a disabled person in: %s: %s", p.URL, p.Text())
	}
	k.admin(t, http.MethodPut, k.path("/users/"+k.id(t, ben)), object{"enabled": true}, nil)
}

func keycloakNeedsNoConfirmation(t *testing.T, k *keycloak) {
	s := newSite(t, k, config{})
	s.signIn("/private", ada)
	s.wantSignedOut(s.signOut())
}

func keycloakUnregisteredURI(t *testing.T, k *keycloak) {
	k.edit = attribute("post.logout.redirect.uris", "")
	s := newSite(t, k, config{})
	s.signIn("/private", ada)
	if p := s.signOut(); p.Status != http.StatusBadRequest || !strings.Contains(p.Text(), "Invalid redirect uri") {
		t.Errorf("got to %s with status %d: %s", p.URL, p.Status, p.Text())
	}
	s.wantHome(s.browser, "home")
}

func keycloakWithoutIssuer(t *testing.T, k *keycloak) {
	k.edit = attribute("exclude.issuer.from.auth.response", "true")
	s := newSite(t, k, config{})
	s.wantRefused(s.logIn(s.loginForm("/private"), ada, password), ginauth.ErrIssuerMismatch)
}

func keycloakLightweight(t *testing.T, k *keycloak) {
	k.edit = attribute("client.use.lightweight.access.token.enabled", "true")
	wantAda(t, newSite(t, k, config{}).signIn("/private", ada))
	s := newSite(t, k, config{change: func(p *ginauth.Provider, _ *ginauth.Options) { p.Userinfo = "always" }})
	s.wantRefused(s.logIn(s.loginForm("/private"), ada, password), ginauth.ErrProviderUnavailable)
}

// keycloakEvents: an authorization request without a client_id, be it a HEAD, is a
// LOGIN_ERROR.
func keycloakEvents(t *testing.T, k *keycloak) {
	k.admin(t, http.MethodPut, k.path(""), object{"eventsEnabled": true, "enabledEventTypes": []string{}}, nil)
	s := newSite(t, k, config{})
	if d := s.auth.Diagnose(t.Context()); len(d.Problems) != 0 {
		t.Errorf("%s", d)
	}
	var events []struct{ Type, Error string }
	k.admin(t, http.MethodGet, k.path("/events"), nil, &events)
	if len(events) != 0 {
		t.Errorf("the events are %v", events)
	}
	s.signIn("/private", ada)
	k.admin(t, http.MethodGet, k.path("/events"), nil, &events)
	if !slices.ContainsFunc(events, func(e struct{ Type, Error string }) bool { return e.Type == "LOGIN" }) {
		t.Errorf("a sign-in is no event: %v", events)
	}
}

func keycloakDeletes(t *testing.T, k *keycloak) {
	s := newSite(t, k, config{})
	s.signIn("/private", ben)
	k.admin(t, http.MethodDelete, k.path("/users/"+k.id(t, ben)), nil, nil)
	s.wantHome(s.browser, "home of Ben Jonson")
}

// Access tokens for an API, which a mapper puts into aud.
func TestBearerKeycloak(t *testing.T) {
	with := newKeycloak(t)
	with.addAPI(t)
	for name, conf := range map[string]bearerConfig{
		"JWTs": {}, "JWTs, at an application without a client": {change: withoutClient},
		"JWTs, at an application that introspects": {change: introspects},
	} {
		t.Run(name, func(t *testing.T) { tryBearer(t, with, conf) })
		t.Run(name+", of a program", func(t *testing.T) { tryBearerProgram(t, with, conf) })
	}
	for name, try := range map[string]func(*testing.T, *keycloak){
		"what is in the tokens":                        keycloakAccessTokens,
		"without a mapper":                             keycloakWithoutAMapper,
		"a program is told by any of three claims":     keycloakPrograms,
		"a person without the scope basic":             keycloakWithoutBasic,
		"lightweight access tokens":                    keycloakLightweightBearer,
		"the server is not asked about its JWTs":       keycloakIsNotAsked,
		"signing out of the tool ends its tokens here": keycloakSignsOutTheTool,
	} {
		t.Run(name, func(t *testing.T) {
			with.edit = nil
			try(t, with)
		})
	}
}

func keycloakAccessTokens(t *testing.T, k *keycloak) {
	b := newBearerSite(t, k, bearerConfig{})
	got := b.person(ada, "openid offline_access orders:read")
	header, claims := claimsOf(t, got.Access)
	wantClaims(t, header, map[string]any{"typ": "JWT"})
	wantClaims(t, claims, map[string]any{
		"typ": "Bearer", "aud": []any{theAPI, "account"}, "azp": b.tool.ID, "client_id": nil,
		"preferred_username": ada, "acr": "1", "at_hash": nil, "groups": nil,
	})
	_, id := claimsOf(t, got.ID)
	wantClaims(t, id, map[string]any{"typ": "ID", "aud": b.tool.ID, "sub": claims["sub"], "sid": claims["sid"]})
	if _, refresh := claimsOf(t, got.Refresh); refresh["typ"] != "Offline" {
		t.Errorf("the refresh token is %v", refresh)
	}
	_, claims = claimsOf(t, b.program("orders:read").Access)
	wantClaims(t, claims, map[string]any{
		"azp": b.tool.ID, "client_id": b.tool.ID, "clientAddress": "127.0.0.1", "preferred_username": "service-account-" + strings.ToLower(b.tool.ID), "sid": nil,
	})
}

func keycloakWithoutAMapper(t *testing.T, k *keycloak) {
	b := newBearerSite(t, k, bearerConfig{})
	token := b.person(ada, "openid profile").Access
	_, claims := claimsOf(t, token)
	wantClaims(t, claims, map[string]any{"aud": "account"})
	b.invalid(token)
	for _, want := range []string{"id=access_token.audience", `the audience [\"account\"]`, "Keycloak"} {
		if !b.logs.has(want) {
			t.Errorf("the log does not have %s", want)
		}
	}
}

// keycloakPrograms: what shows that a token is a service account's depends on the client's
// scopes. Its user name is in lower case, and the client's id is not.
func keycloakPrograms(t *testing.T, k *keycloak) {
	for name, tt := range map[string]struct {
		scopes []string
		shown  []string
	}{
		"all scopes":      {[]string{"basic", "profile", "service_account"}, []string{"clientAddress", "preferred_username"}},
		"profile":         {[]string{"basic", "profile"}, []string{"preferred_username"}},
		"service_account": {[]string{"basic", "service_account"}, []string{"clientAddress"}},
		"basic":           {[]string{"basic"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			k.edit = defaultScopes(tt.scopes...)
			b := newBearerSite(t, k, bearerConfig{})
			if !slices.Contains(tt.scopes, "service_account") {
				k.dropScope(t, b.tool.ID, "service_account")
			}
			token := b.program("orders:read").Access
			_, claims := claimsOf(t, token)
			for _, claim := range []string{"clientAddress", "preferred_username"} {
				if (claims[claim] != nil) != slices.Contains(tt.shown, claim) {
					t.Errorf("%s is %v", claim, claims[claim])
				}
			}
			if jti, _ := claims["jti"].(string); !strings.HasPrefix(jti, "trrtcc:") {
				t.Errorf("jti is %s", jti)
			}
			if u := b.admitted("/job", token); !u.Grant.Program {
				t.Errorf("the program is %+v", u)
			}
			b.refused("/orders", token, http.StatusForbidden, ginauth.ErrInsufficientScope)
		})
	}
}

// dropScope takes one of its default scopes from a client: this one comes with a service
// account, whatever was asked for.
func (k *keycloak) dropScope(t *testing.T, clientID, scope string) {
	t.Helper()
	var clients, scopes []struct{ ID, Name string }
	k.admin(t, http.MethodGet, k.path("/clients?clientId="+clientID), nil, &clients)
	if len(clients) != 1 {
		t.Fatalf("there are %d clients %s", len(clients), clientID)
	}
	client := k.path("/clients/" + clients[0].ID + "/default-client-scopes")
	k.admin(t, http.MethodGet, client, nil, &scopes)
	for _, s := range scopes {
		if s.Name == scope {
			k.admin(t, http.MethodDelete, client+"/"+s.ID, nil, nil)
		}
	}
}

// defaultScopes replaces the default scopes of a tool.
func defaultScopes(names ...string) func(object) {
	return func(client object) {
		if client["serviceAccountsEnabled"] == true {
			client["defaultClientScopes"], client["optionalClientScopes"] = names, []string{"orders:read", "orders:write"}
		}
	}
}

// keycloakWithoutBasic: the token has no sub, as if it were a program's.
func keycloakWithoutBasic(t *testing.T, k *keycloak) {
	k.edit = defaultScopes()
	b := newBearerSite(t, k, bearerConfig{})
	token := b.person(ada, "openid orders:read").Access
	_, claims := claimsOf(t, token)
	wantClaims(t, claims, map[string]any{"sub": nil, "typ": "Bearer"})
	b.refused("/job", token, http.StatusUnauthorized, ginauth.ErrInvalidToken)
	if !b.logs.has("id=access_token.sub") {
		t.Error("the log does not say that sub is missing")
	}
}

func keycloakLightweightBearer(t *testing.T, k *keycloak) {
	k.edit = attribute("client.use.lightweight.access.token.enabled", "true")
	b := newBearerSite(t, k, bearerConfig{})
	token := b.person(ada, "openid orders:read").Access
	_, claims := claimsOf(t, token)
	wantClaims(t, claims, map[string]any{"aud": nil, "sub": nil})
	b.invalid(token)
}

// keycloakIsNotAsked: with Introspect, a JWT is verified as ever.
func keycloakIsNotAsked(t *testing.T, k *keycloak) {
	requests := &posts{got: map[string]int{}}
	b := newBearerSite(t, k, bearerConfig{change: func(p *ginauth.Provider, o *ginauth.Options) {
		p.Introspect, o.HTTPClient = true, &http.Client{Transport: requests}
	}})
	b.admitted("/orders", b.person(ada, "openid orders:read").Access)
	b.invalid(b.person(ada, "openid profile").Access)
	if n := requests.count("introspect 200"); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
	b.invalid("an-opaque-text")
	if n := requests.count("introspect 200"); n != 1 {
		t.Errorf("the server was asked %d times about a text that is no JWT", n)
	}
}

// keycloakSignsOutTheTool: a session at the server ends, which has a token of the tool and a
// session of the application: back-channel logout ends both.
func keycloakSignsOutTheTool(t *testing.T, k *keycloak) {
	b := newBearerSite(t, k, bearerConfig{})
	b.signIn("/private", ada)
	token := b.personIn(b.browser, "openid orders:read").Access
	other := b.person(ada, "openid orders:read").Access
	b.admitted("/orders", token)
	b.admitted("/orders", other)
	_, claims := claimsOf(t, token)
	k.admin(t, http.MethodDelete, k.path("/sessions/"+claims["sid"].(string)), nil, nil)
	b.wantHome(b.browser, "home")
	b.invalid(token)
	b.admitted("/orders", other)
}
