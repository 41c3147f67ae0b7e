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
