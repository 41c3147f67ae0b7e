package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsBearer(t *testing.T) {
	runFaults(t, []fault{
		{"J1_no_credentials", j1NoCredentials},
		{"J2_malformed_headers", j2MalformedHeaders},
		{"J3_token_in_the_query", j3TokenInTheQuery},
		{"J4_scheme", j4Scheme},
		{"J5_id_token", j5IDToken},
		{"J6_typ", j6Typ},
		{"J7_audience", j7Audience},
		{"J8_jwt", j8JWT},
		{"J9_programs", j9Programs},
		{"J10_scopes", j10Scopes},
		{"J11_random_kids", j11RandomKids},
		{"J12_bad_signatures", j12BadSignatures},
		{"J13_cookie_and_bearer", j13CookieAndBearer},
		{"J14_introspection", j14Introspection},
		{"J15_introspection_is_remembered", j15IntrospectionIsRemembered},
		{"J15_one_question_for_all", j15OneQuestionForAll},
		{"J15_many_tokens", j15ManyTokens},
		{"J15_flood", j15Flood},
		{"J15_other_providers", j15OtherProviders},
		{"J15_token_at_which_the_provider_fails", j15TokenAtWhichTheProviderFails},
		{"J16_opaque_and_jwt", j16OpaqueAndJWT},
		{"J17_echo", j17Echo},
		{"J18_bound_tokens", j18BoundTokens},
		{"J19_bare_guard", j19BareGuard},
		{"J20_bad_token_and_good_cookie", j20BadTokenAndGoodCookie},
		{"J21_program_where_only_has_scope", j21ProgramWhereOnlyHasScope},
		{"J22_claims_of_an_id_token", j22ClaimsOfAnIDToken},
		{"J23_unknown_issuer", j23UnknownIssuer},
		{"J24_signed_out", j24SignedOut},
		{"J25_what_needs_a_session", j25WhatNeedsASession},
		{"J26_hooks_fail", j26HooksFail},
		{"J27_metadata", j27Metadata},
		{"J5_every_kind_of_token_at_every_guard", j5EveryKindAtEveryGuard},
	})
}

const theAPI = "https://api.example/"

// bearing is a site whose provider issues access tokens for it.
type bearing struct {
	*sitetest.Site
	arrived *atomic.Int64 // requests that reached the routes below
}

func newBearing(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) *bearing {
	t.Helper()
	b := &bearing{arrived: new(atomic.Int64), Site: sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Audience = theAPI
		if change != nil {
			change(s, o)
		}
	})}
	b.Engine.Use(func(*gin.Context) { b.arrived.Add(1) })
	show := func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		c.JSON(http.StatusOK, gin.H{"user": u})
	}
	for path, checks := range map[string][]ginauth.Check{
		"/read": {ginauth.HasScope("read")}, "/both": {ginauth.HasScope("read", "write")}, "/bare": nil, "/job": {ginauth.IsClient("robot")},
		"/either": {ginauth.AnyOf(ginauth.HasScope("read"), ginauth.IsClient("robot"))}, "/admins": {ginauth.HasGroup("admin")},
		"/admin-or-read": {ginauth.AnyOf(ginauth.HasGroup("admin"), ginauth.HasScope("read"))},
		"/own":           {func(u *ginauth.User) error { return ginauth.HasScope("read")(u) }},
		"/fresh":         {ginauth.HasScope("read"), ginauth.MaxAge(time.Minute), ginauth.ACR("mfa")},
	} {
		b.Engine.Any(path, b.Auth.RequireAuth(checks...), show)
	}
	b.Engine.GET("/load", b.Auth.LoadUser(), show)
	b.Engine.GET("/load-read", b.Auth.LoadUser(), b.Auth.RequireAuth(ginauth.HasScope("read")), show)
	return b
}

// answer is the response to a program.
type answer struct {
	status    int
	challenge string
	text      string
	cookies   []string
	user      *ginauth.User
}

// send sends a request with a token and additional header lines.
func (b *bearing) send(t *testing.T, method, path, token string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequest(method, b.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{resp.StatusCode, resp.Header.Get("WWW-Authenticate"), string(body), resp.Header["Set-Cookie"], nil}
	var said struct{ User *ginauth.User }
	if json.Unmarshal(body, &said) == nil {
		a.user = said.User
	}
	return a
}

func (b *bearing) get(t *testing.T, path, token string, header ...string) answer {
	t.Helper()
	return b.send(t, "GET", path, token, header...)
}

// token returns ada's token with these scopes.
func (b *bearing) token(scopes ...string) string {
	return b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: scopes})
}

// is checks an error response.
func (a answer) is(t *testing.T, status int, code ginauth.Code, challenge string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.text, fmt.Sprintf("%q", string(code))) || !strings.HasPrefix(a.challenge, challenge) || challenge == "" && a.challenge != "" {
		t.Errorf("%d %s, challenge %q; want %d %s and %q", a.status, a.text, a.challenge, status, code, challenge)
	}
	if len(a.cookies) > 0 {
		t.Errorf("cookies %q", a.cookies)
	}
}

func (a answer) invalid(t *testing.T) {
	t.Helper()
	a.is(t, http.StatusUnauthorized, ginauth.ErrInvalidToken, `Bearer error="invalid_token", resource_metadata="http`)
}

// admits checks that the user in a response is ada.
func (a answer) admits(t *testing.T) {
	t.Helper()
	if a.status != http.StatusOK || a.user == nil || a.user.Subject != "ada" {
		t.Errorf("%d %s, challenge %q", a.status, a.text, a.challenge)
	}
}

func j1NoCredentials(t *testing.T) {
	b := newBearing(t, nil)
	for path, scope := range map[string]string{"/read": `scope="read", `, "/both": `scope="read write", `, "/bare": "", "/job": ""} {
		a := b.get(t, path, "")
		a.is(t, http.StatusUnauthorized, ginauth.ErrUnauthenticated, "Bearer "+scope+`resource_metadata="`+b.URL+`/.well-known/oauth-protected-resource"`)
		if strings.Contains(a.challenge, "error") {
			t.Errorf("the challenge is %q", a.challenge)
		}
	}
	page := b.get(t, "/read", "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
	if page.status != http.StatusSeeOther { // a page load
		t.Errorf("a page without a token: %d", page.status)
	}
}

func j2MalformedHeaders(t *testing.T) {
	b := newBearing(t, nil)
	good := b.token("read")
	for name, lines := range map[string][]string{
		"no token": {"Bearer"}, "no token, a space": {"Bearer "}, "two tokens": {"Bearer " + good + " " + good}, "a percent sign": {"Bearer %"}, "a tab": {"Bearer \t" + good},
		"not ASCII": {"Bearer ü"}, "a comma": {"Bearer a,b"}, "only =": {"Bearer =="}, "an = inside": {"Bearer a=b"}, "100 KB": {"Bearer " + strings.Repeat("a", 100<<10)},
		"twice": {"Bearer " + good, "Bearer " + good}, "beside Basic": {"Basic eDp5", "Bearer " + good}, "with parameters": {`Bearer token="` + good + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			for _, line := range lines {
				header = append(header, "Authorization", line)
			}
			a := b.get(t, "/read", "", header...)
			if a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized && a.status != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%d %s", a.status, a.text)
			}
			if a.status == http.StatusBadRequest && !strings.HasPrefix(a.challenge, `Bearer error="invalid_request"`) && !strings.Contains(a.text, "400 Bad Request") {
				t.Errorf("the challenge is %q", a.challenge)
			}
			if a.user != nil {
				t.Error("a user was admitted")
			}
		})
	}
}

func j3TokenInTheQuery(t *testing.T) {
	b := newBearing(t, nil)
	good := b.token("read")
	b.get(t, "/read?access_token="+good, good).is(t, http.StatusBadRequest, ginauth.ErrBadRequest, `Bearer error="invalid_request"`)
	if a := b.get(t, "/read?access_token="+good, ""); a.status != http.StatusBadRequest || a.user != nil {
		t.Errorf("%d %s", a.status, a.text)
	}
	if strings.Contains(b.Logs.String(), good) {
		t.Error("the token is in the log")
	}
	a := b.send(t, "POST", "/read", "", "Content-Type", "application/x-www-form-urlencoded")
	if a.status != http.StatusUnauthorized {
		t.Errorf("%d", a.status)
	}
	b.get(t, "/read?my_access_token=1", good).admits(t)
}

func j4Scheme(t *testing.T) {
	b := newBearing(t, nil)
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer  "} {
		b.get(t, "/read", "", "Authorization", scheme+b.token("read")).admits(t)
	}
	b.get(t, "/read", "", "Authorization", "Basic eDp5").is(t, http.StatusUnauthorized, ginauth.ErrUnauthenticated, `Bearer scope="read", resource_metadata=`)
	b.SignIn()
	if a := b.get(t, "/bare", "", "Authorization", "Basic eDp5", "Cookie", b.CookieHeader()); a.status != http.StatusOK {
		t.Errorf("Basic beside a cookie: %d", a.status)
	}
}

func j5IDToken(t *testing.T) {
	b := newBearing(t, nil)
	b.SignIn()
	var said struct {
		IDToken      string `json:"id_token"`
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(b.IDP.LastRequest(authtest.Token).Answer, &said); err != nil || said.IDToken == "" {
		t.Fatal(err)
	}
	for _, path := range []string{"/read", "/bare", "/job", "/either", "/admins", "/admin-or-read", "/own"} {
		for _, token := range []string{said.IDToken, said.AccessToken, b.IDP.Sign(sitetest.LogoutHeader, b.LogoutClaims(map[string]any{"sub": "ada", "aud": theAPI}))} {
			b.get(t, path, token).invalid(t)
		}
	}
}

func j6Typ(t *testing.T) {
	b := newBearing(t, nil)
	for typ, admitted := range map[string]bool{"at+jwt": true, "AT+JWT": true, "application/at+jwt": true, "JWT": true, "none": true, "logout+jwt": false, "dpop+jwt": false, "secevent+jwt": false, "x": false} {
		a := b.get(t, "/read", b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Typ: typ}))
		if admitted {
			a.admits(t)
		} else {
			a.invalid(t)
		}
	}
}

// edited returns ada's token with changed claims.
func (b *bearing) edited(edit func(header, claims map[string]any)) string {
	return b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Edit: edit})
}

// with returns ada's token with one claim changed, or omitted if the value is nil.
func (b *bearing) with(name string, value any) string {
	return b.edited(func(_, claims map[string]any) {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	})
}

func j7Audience(t *testing.T) {
	b := newBearing(t, nil)
	for _, aud := range []any{nil, "", "https://api.example", theAPI + "x", "other", []any{"other"}, []any{}, b.IDP.ClientID, []any{theAPI, 7}, map[string]any{theAPI: 1}, 7} {
		b.get(t, "/read", b.with("aud", aud)).invalid(t)
	}
	b.get(t, "/read", b.with("aud", []any{"other", theAPI})).admits(t)
	audienceOfCognito(t)
}

// audienceOfCognito: without aud, a scope of the resource server identifies the API of a token.
func audienceOfCognito(t *testing.T) {
	const api = "https://api.example"
	b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Audience = api })
	b.Engine.GET("/cognito", b.Auth.RequireAuth(ginauth.HasScope(api+"/read")), func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{"user": ginauth.CurrentUser(c)})
	})
	token := func(scope string, edit func(claims map[string]any)) string {
		return b.edited(func(header, claims map[string]any) {
			delete(header, "typ")
			delete(claims, "aud")
			claims["token_use"], claims["scope"] = "access", scope
			if edit != nil {
				edit(claims)
			}
		})
	}
	b.get(t, "/cognito", token("openid "+api+"/read", nil)).admits(t)
	b.get(t, "/cognito", token(api+"/write", nil)).is(t, http.StatusForbidden, ginauth.ErrInsufficientScope, `Bearer error="insufficient_scope"`)
	for _, scope := range []string{"", "openid", "aws.cognito.signin.user.admin", api, api + "/v2/read", api + "x/read", "/read", "read"} {
		b.get(t, "/cognito", token(scope, nil)).invalid(t)
	}
	for name, edit := range map[string]func(claims map[string]any){
		"another audience": func(claims map[string]any) { claims["aud"] = "other" },
		"an ID token":      func(claims map[string]any) { claims["token_use"] = "id" },
		"no token_use":     func(claims map[string]any) { delete(claims, "token_use") },
		"Hydra's":          func(claims map[string]any) { claims["token_use"] = "access_token" },
	} {
		t.Run(name, func(t *testing.T) { b.get(t, "/cognito", token(api+"/read", edit)).invalid(t) })
	}
}

func j8JWT(t *testing.T) {
	b := newBearing(t, nil)
	now := time.Now()
	for name, token := range map[string]string{
		"another issuer":  b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Fault: authtest.WrongIssuer}),
		"another key":     b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Fault: authtest.WrongSignature}),
		"expired":         b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Fault: authtest.Expired}),
		"no exp":          b.with("exp", nil),
		"exp as text":     b.with("exp", "4102444800"),
		"no iat":          b.with("iat", nil),
		"iat to come":     b.with("iat", now.Add(time.Hour).Unix()),
		"nbf to come":     b.with("nbf", now.Add(time.Hour).Unix()),
		"nbf as text":     b.with("nbf", "1"),
		"no iss":          b.with("iss", nil),
		"iss in a list":   b.with("iss", []any{b.IDP.Issuer}),
		"alg none":        b.edited(func(header, _ map[string]any) { header["alg"] = "none" }),
		"alg HS256":       b.edited(func(header, _ map[string]any) { header["alg"] = "HS256" }),
		"another alg":     b.edited(func(header, _ map[string]any) { header["alg"] = "PS256" }),
		"crit":            b.edited(func(header, _ map[string]any) { header["crit"] = []any{"exp"} }),
		"a kid as number": b.edited(func(header, _ map[string]any) { header["kid"] = 1 }),
		"ISS beside iss":  b.with("ISS", "https://evil.example"),
		"no signature":    strings.Join(strings.Split(b.token("read"), ".")[:2], ".") + ".",
		"a changed scope": changedPayload(t, b.token("read")),
		"sub as number":   b.with("sub", 7),
		"an empty sub and no client": b.edited(func(_, claims map[string]any) {
			claims["sub"] = ""
			delete(claims, "client_id")
		}),
	} {
		t.Run(name, func(t *testing.T) {
			a := b.get(t, "/read", token)
			if a.user != nil || a.status != http.StatusUnauthorized && a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
				t.Errorf("%d %s", a.status, a.text)
			}
		})
	}
	b.get(t, "/read", b.token("read")).admits(t)
}

func changedPayload(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	payload := strings.Replace(sitetest.JWTPart(token, 1), `"scope":"read"`, `"scope":"root"`, 1)
	return parts[0] + "." + sitetest.Base64([]byte(payload)) + "." + parts[2]
}

func j9Programs(t *testing.T) {
	b := newBearing(t, nil)
	for name, edit := range map[string]func(claims map[string]any){
		"sub is the client": func(claims map[string]any) { claims["sub"] = "robot" },
		"no sub":            func(claims map[string]any) { delete(claims, "sub") },
		"azp": func(claims map[string]any) {
			delete(claims, "client_id")
			claims["azp"], claims["sub"] = "robot", "robot"
		},
		"cid": func(claims map[string]any) {
			delete(claims, "client_id")
			claims["cid"], claims["sub"] = "robot", "robot"
		},
		"idtyp of Microsoft": func(claims map[string]any) { claims["idtyp"], claims["sub"] = "app", "5f0c" },
		"gty of Auth0":       func(claims map[string]any) { claims["gty"], claims["sub"] = "client-credentials", "5f0c" },
		"sub of Auth0":       func(claims map[string]any) { claims["sub"] = "robot@clients" },
		"gty of RFC 6749":    func(claims map[string]any) { claims["gty"], claims["sub"] = "client_credentials", "5f0c" },
		"gty of Kinde": func(claims map[string]any) {
			claims["gty"], claims["sub"] = []any{"client_credentials"}, "5f0c"
		},
		"Keycloak, by the user name": func(claims map[string]any) {
			claims["typ"], claims["preferred_username"], claims["sub"] = "Bearer", "service-account-robot", "5f0c"
		},
		"Keycloak, by the address": func(claims map[string]any) {
			claims["typ"], claims["clientAddress"], claims["sub"] = "Bearer", "127.0.0.1", "5f0c"
		},
		"Keycloak, by the grant": func(claims map[string]any) {
			claims["typ"], claims["jti"], claims["sub"] = "Bearer", "trrtcc:32fdfc5d-63b5-024b-6f1e-0fef212d23a4", "5f0c"
		},
	} {
		t.Run(name, func(t *testing.T) {
			token := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, ClientID: "robot", Scopes: []string{"read"}, Edit: func(_, claims map[string]any) { edit(claims) }})
			for _, path := range []string{"/job", "/either"} {
				if a := b.get(t, path, token); a.status != http.StatusOK || a.user.Grant == nil || !a.user.Grant.Program || a.user.Grant.Client != "robot" {
					t.Errorf("%s: %d %s", path, a.status, a.text)
				}
			}
			for _, path := range []string{"/read", "/bare", "/admins", "/own"} {
				if a := b.get(t, path, token); a.status != http.StatusForbidden || a.user != nil {
					t.Errorf("%s: %d %s", path, a.status, a.text)
				}
			}
		})
	}
	// Keycloak's user names are in lower case, and its client ids are not.
	b.get(t, "/read", b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, ClientID: "Robot", Scopes: []string{"read"}, Typ: "JWT", Edit: func(_, claims map[string]any) {
		claims["typ"], claims["preferred_username"], claims["sub"] = "Bearer", "service-account-robot", "5f0c"
	}})).is(t, http.StatusForbidden, ginauth.ErrInsufficientScope, `Bearer error="insufficient_scope"`)
	for name, edit := range map[string]func(claims map[string]any){
		"a person who chose the user name":    func(claims map[string]any) { claims["preferred_username"] = "service-account-robot" },
		"a person's by Keycloak":              func(claims map[string]any) { claims["typ"], claims["jti"] = "Bearer", "onrtac:32fdfc5d" },
		"a jti that looks like Keycloak's":    func(claims map[string]any) { claims["jti"] = "trrtcc:32fdfc5d" },
		"an address that is not Keycloak's":   func(claims map[string]any) { claims["clientAddress"] = "127.0.0.1" },
		"idtyp of a person, of Microsoft":     func(claims map[string]any) { claims["idtyp"] = "user" },
		"a grant with a person, of Auth0":     func(claims map[string]any) { claims["gty"] = "password" },
		"grants with a person, of FusionAuth": func(claims map[string]any) { claims["gty"] = []any{"authorization_code", "refresh_token"} },
		"several grants":                      func(claims map[string]any) { claims["gty"] = []any{"authorization_code", "client_credentials"} },
		"uid of something that is not Okta":   func(claims map[string]any) { claims["uid"], claims["cid"] = "grace", "x" },
		"a kind of Cognito's access tokens":   func(claims map[string]any) { claims["token_use"] = "access" },
	} {
		t.Run(name, func(t *testing.T) {
			token := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, ClientID: "robot", Subject: "ada", Scopes: []string{"read"}, Edit: func(_, claims map[string]any) { edit(claims) }})
			b.get(t, "/read", token).admits(t)
			b.get(t, "/job", token).is(t, http.StatusForbidden, ginauth.ErrForbidden, "")
		})
	}
	// A token without a sub is a program's only if no claim indicates a user.
	for _, name := range []string{"typ", "sid", "auth_time", "acr", "amr", "username", "preferred_username", "email", "name"} {
		b.get(t, "/job", b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, ClientID: "robot", Typ: "JWT", Edit: func(_, claims map[string]any) {
			delete(claims, "sub")
			claims[name] = map[string]any{"typ": "Bearer", "auth_time": 1, "amr": []any{"pwd"}}[name]
			if claims[name] == nil {
				claims[name] = "x"
			}
		}})).invalid(t)
	}
	// Without a client id, a program's sub could be a user's: Spring.
	for _, client := range []any{nil, "", 7, []any{"robot"}} {
		token := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, ClientID: "robot", Scopes: []string{"read"}, Edit: func(_, claims map[string]any) { claims["client_id"] = client }})
		b.get(t, "/read", token).invalid(t)
		b.get(t, "/job", token).invalid(t)
	}
	for _, sub := range []any{"", 7, []any{"robot"}, map[string]any{}, false} {
		b.get(t, "/job", b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, ClientID: "robot", Edit: func(_, claims map[string]any) { claims["sub"] = sub }})).invalid(t)
	}
	subjectOfOkta(t, b)
	other := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, ClientID: "another", Scopes: []string{"read"}})
	b.get(t, "/job", other).is(t, http.StatusForbidden, ginauth.ErrForbidden, "")
	b.get(t, "/job", b.token("read")).is(t, http.StatusForbidden, ginauth.ErrForbidden, "") // a user's, although of that client
	b.SignIn()
	if a := b.get(t, "/job", "", "Cookie", b.CookieHeader()); a.status != http.StatusForbidden {
		t.Errorf("a session passes for a program: %d", a.status)
	}
}

// subjectOfOkta: the sub of Okta's access tokens is the user's login; that of their ID tokens is
// the uid.
func subjectOfOkta(t *testing.T, b *bearing) {
	token := b.edited(func(header, claims map[string]any) {
		delete(header, "typ")
		delete(claims, "client_id")
		claims["cid"], claims["uid"], claims["sub"], claims["jti"] = "robot", "ada", "ada@kvarnbygd.example", "AT.MNAoEQ"
	})
	b.get(t, "/read", token).admits(t)
}

func j10Scopes(t *testing.T) {
	b := newBearing(t, nil)
	for _, scope := range []any{nil, "", "readx", "rea d", "READ", "write", []any{"x read", "reads", 7}, []any{}, map[string]any{"read": true}, 7} {
		b.get(t, "/read", b.with("scope", scope)).is(t, http.StatusForbidden, ginauth.ErrInsufficientScope, `Bearer error="insufficient_scope", scope="read", resource_metadata="`)
	}
	b.get(t, "/both", b.token("read")).is(t, http.StatusForbidden, ginauth.ErrInsufficientScope, `Bearer error="insufficient_scope", scope="read write", `)
	for _, token := range []string{b.token("write", "read"), b.edited(func(_, c map[string]any) { delete(c, "scope"); c["scp"] = "read x" }), b.edited(func(_, c map[string]any) { delete(c, "scope"); c["scp"] = []any{"x", "read"} }), b.with("scope", []any{"x", "read"})} {
		for _, path := range []string{"/read", "/either", "/own", "/admin-or-read"} {
			b.get(t, path, token).admits(t)
		}
	}
	if a := b.get(t, "/read", b.token("read", "write")); a.user.Grant == nil || strings.Join(a.user.Grant.Scopes, " ") != "read write" || a.user.Grant.Client != b.IDP.ClientID || a.user.Grant.Program {
		t.Errorf("the grant is %+v", a.user.Grant)
	}
	b.SignIn() // a session, which scopes do not limit
	for _, path := range []string{"/read", "/both", "/either"} {
		if a := b.get(t, path, "", "Cookie", b.CookieHeader()); a.status != http.StatusOK || a.user.Grant != nil {
			t.Errorf("a session at %s: %d %s", path, a.status, a.text)
		}
	}
}

func j11RandomKids(t *testing.T) {
	b := newBearing(t, nil)
	b.get(t, "/read", b.token("read")).admits(t)
	before := b.IDP.Count(authtest.JWKS)
	for i := range 1000 {
		b.get(t, "/read", b.edited(func(header, _ map[string]any) { header["kid"] = fmt.Sprint("k", i) })).invalid(t)
	}
	if n := b.IDP.Count(authtest.JWKS) - before; n > 2 {
		t.Errorf("%d requests for keys", n)
	}
	b.get(t, "/read", b.token("read")).admits(t)
	b.Clock.Advance(time.Minute)
	b.IDP.RotateKey()
	b.get(t, "/read", b.token("read")).admits(t)
}

func j12BadSignatures(t *testing.T) {
	b := newBearing(t, nil)
	b.get(t, "/read", b.token("read")).admits(t)
	before := b.IDP.Count(authtest.JWKS)
	for range 1000 {
		b.get(t, "/read", b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Fault: authtest.WrongSignature})).invalid(t)
	}
	if n := b.IDP.Count(authtest.JWKS) - before; n != 0 {
		t.Errorf("%d requests for keys", n)
	}
}

func j13CookieAndBearer(t *testing.T) {
	b := newBearing(t, nil)
	b.IDP.SignInAs("grace")
	b.SignIn()
	cookies := b.CookieHeader()
	a := b.get(t, "/read", b.token("read"), "Cookie", cookies)
	if a.admits(t); len(a.cookies) > 0 {
		t.Errorf("cookies %q", a.cookies)
	}
	for _, path := range []string{"/load", "/bare"} {
		if a := b.get(t, path, b.token("read"), "Cookie", cookies); a.user != nil {
			t.Errorf("%s: %s", path, a.text)
		}
	}
	b.get(t, "/load-read", b.token("read"), "Cookie", cookies).admits(t)
	// No ambient credential, no cross-origin rule.
	b.send(t, "POST", "/read", b.token("read"), "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Cookie", cookies).admits(t)
	if a := b.send(t, "POST", "/read", "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Cookie", cookies); a.status != http.StatusForbidden {
		t.Errorf("a cookie from another origin: %d", a.status)
	}
}

func introspecting(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Introspect = true }

// opaque returns a token that must be introspected.
func (b *bearing) opaque(edit func(claims map[string]any)) string {
	return b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Opaque: true, Edit: func(_, claims map[string]any) {
		if edit != nil {
			edit(claims)
		}
	}})
}

func j14Introspection(t *testing.T) {
	b := newBearing(t, introspecting)
	b.get(t, "/read", b.opaque(nil)).admits(t)
	b.get(t, "/read", b.opaque(func(c map[string]any) { c["token_use"] = "access_token" })).admits(t)
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	for name, edit := range map[string]func(map[string]any){
		"inactive": set("active", false), "active as text": set("active", "true"), "active as number": set("active", 1), "another audience": set("aud", "other"), "no audience": func(c map[string]any) { delete(c, "aud") },
		"another issuer": set("iss", "https://other.example"), "expired": set("exp", time.Now().Add(-time.Hour).Unix()), "no iat": func(c map[string]any) { delete(c, "iat") }, "a refresh token of Keycloak": set("typ", "Refresh"),
		"no sub, and a user name": func(c map[string]any) { delete(c, "sub"); c["username"] = "ada" }, "a sub that is a number": set("sub", 7), "no client": func(c map[string]any) { delete(c, "client_id") }, "a refresh token of Hydra": set("token_use", "refresh_token"), "a refresh token of WSO2": set("token_type", "Refresh"),
		"bound": set("cnf", map[string]any{"jkt": "x"}),
	} {
		t.Run(name, func(t *testing.T) { b.get(t, "/read", b.opaque(edit)).invalid(t) })
	}
	for _, fault := range []authtest.Fault{authtest.ServerError, authtest.Down, authtest.HTML, authtest.Redirecting, authtest.Oversized} {
		t.Run(string(fault), func(t *testing.T) {
			b := newBearing(t, introspecting)
			b.get(t, "/read", b.token("read")).admits(t) // a JWT needs no introspection
			b.IDP.Fail(authtest.Introspect, fault)
			a := b.get(t, "/read", b.opaque(nil))
			if a.status != http.StatusServiceUnavailable || a.user != nil {
				t.Errorf("%d %s", a.status, a.text)
			}
			b.IDP.Fail(authtest.Introspect, "")
		})
	}
	short := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Opaque: true, Life: 30 * time.Second})
	b.get(t, "/read", short).admits(t)
	b.Clock.Advance(31 * time.Second)
	b.get(t, "/read", short).invalid(t)
}

func j15IntrospectionIsRemembered(t *testing.T) {
	b := newBearing(t, introspecting)
	token := b.opaque(nil)
	for range 20 {
		b.get(t, "/read", token).admits(t)
	}
	if n := b.IDP.Count(authtest.Introspect); n != 1 {
		t.Errorf("%d questions", n)
	}
	b.IDP.RevokeAccessToken(token)
	b.Clock.Advance(61 * time.Second)
	for range 20 {
		b.get(t, "/read", token).invalid(t)
	}
	if n := b.IDP.Count(authtest.Introspect); n != 2 {
		t.Errorf("%d questions", n)
	}
}

// hold blocks the introspection endpoint until release is called. asked counts the waiting
// requests.
func (b *bearing) hold() (asked *atomic.Int64, release func()) {
	answer, held := b.IDP.Default(authtest.Introspect), make(chan struct{})
	asked = new(atomic.Int64)
	b.IDP.Handle(authtest.Introspect, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-held
		answer.ServeHTTP(w, r)
	})
	return asked, sync.OnceFunc(func() { close(held) })
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); runtime.Gosched() {
		if time.Since(start) > 30*time.Second {
			t.Fatal("it does not happen")
		}
	}
}

func j15OneQuestionForAll(t *testing.T) {
	b := newBearing(t, introspecting)
	asked, release := b.hold()
	defer release()
	token := b.opaque(nil)
	gone, leave := context.WithCancel(t.Context())
	first := make(chan struct{})
	go func() { // the first client disconnects, and the others get responses
		defer close(first)
		r, _ := http.NewRequestWithContext(gone, "GET", b.URL+"/read", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
			_ = resp.Body.Close()
		}
	}()
	until(t, func() bool { return asked.Load() == 1 })
	var others sync.WaitGroup
	for range 30 {
		others.Go(func() { b.get(t, "/read", token).admits(t) })
	}
	leave()
	<-first
	release()
	others.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// No token is introspected again because of other tokens in between.
func j15ManyTokens(t *testing.T) {
	b := newBearing(t, introspecting)
	var tokens []string
	for range 500 {
		tokens = append(tokens, b.opaque(nil))
	}
	for range 3 {
		for _, token := range tokens {
			b.get(t, "/read", token).admits(t)
		}
	}
	if n := b.IDP.Count(authtest.Introspect); n != len(tokens) {
		t.Errorf("%d questions about %d tokens", n, len(tokens))
	}
}

// A flood of invalid tokens causes at most 16 concurrent introspections, and no client waits for
// more than a few seconds.
func j15Flood(t *testing.T) {
	b := newBearing(t, introspecting)
	asked, release := b.hold()
	defer release()
	var flood sync.WaitGroup
	for i := range 16 {
		flood.Go(func() { b.get(t, "/read", fmt.Sprint("made-up-", i)).invalid(t) })
	}
	until(t, func() bool { return asked.Load() == 16 })
	a := b.get(t, "/read", "one-too-many")
	if a.status != http.StatusServiceUnavailable || len(b.Logs.Lines("ERROR", "introspection.busy")) != 1 {
		t.Errorf("%d %s\n%s", a.status, a.text, b.Logs)
	}
	release()
	flood.Wait()
	if n := asked.Load(); n != 16 {
		t.Errorf("%d questions", n)
	}
	b.get(t, "/read", b.opaque(nil)).admits(t)
}

// A token for which the provider fails does not affect other tokens; an outage affects only
// tokens that were not accepted before.
func j15TokenAtWhichTheProviderFails(t *testing.T) {
	for name, fail := range map[string]func(w http.ResponseWriter){
		"400":                   func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) },
		"500":                   func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"503":                   func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"the connection breaks": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearing(t, introspecting)
			answer := b.IDP.Default(authtest.Introspect)
			b.IDP.Handle(authtest.Introspect, func(w http.ResponseWriter, r *http.Request) {
				if r.ParseForm() == nil && r.PostForm.Get("token") == "poison" {
					fail(w)
					return
				}
				answer.ServeHTTP(w, r)
			})
			used := b.opaque(nil)
			b.get(t, "/read", used).admits(t)
			b.Clock.Advance(61 * time.Second)
			if a := b.get(t, "/read", "poison"); a.status != http.StatusServiceUnavailable {
				t.Errorf("%d %s", a.status, a.text)
			}
			asked := b.IDP.Count(authtest.Introspect)
			for range 5 {
				b.get(t, "/read", "poison")
			}
			if n := b.IDP.Count(authtest.Introspect) - asked; n != 0 {
				t.Errorf("%d more questions about it", n)
			}
			b.get(t, "/read", used).admits(t)
			a := b.get(t, "/read", b.opaque(nil))
			if outage := name == "503" || name == "the connection breaks"; outage != (a.status == http.StatusServiceUnavailable) {
				t.Errorf("a new token got %d %s", a.status, a.text)
			}
			b.Clock.Advance(6 * time.Second)
			b.get(t, "/read", b.opaque(nil)).admits(t)
		})
	}
}

// Results for one configuration do not apply to another.
func j15OtherProviders(t *testing.T) {
	b := newBearing(t, introspecting)
	opaque, jwt := b.opaque(nil), b.token("read")
	b.get(t, "/read", opaque).admits(t)
	b.get(t, "/read", jwt).admits(t)
	changed := b.IDP.Client("demo")
	changed.Audience, changed.Introspect = "https://other.example", true
	if err := b.Auth.SetProviders([]ginauth.Provider{changed}); err != nil {
		t.Fatal(err)
	}
	b.get(t, "/read", opaque).invalid(t)
	b.get(t, "/read", jwt).invalid(t)
	changed.Audience, changed.Introspect = "", false
	if err := b.Auth.SetProviders([]ginauth.Provider{changed}); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{opaque, jwt} { // no longer accepted, as if absent
		if a := b.get(t, "/read", token); a.status != http.StatusUnauthorized || a.user != nil {
			t.Errorf("%d %s", a.status, a.text)
		}
	}
}

// Other kinds of tokens that a provider issues are rejected as access tokens at every route.
func j5EveryKindAtEveryGuard(t *testing.T) {
	other := sitetest.StartProvider(t, authtest.Config{})
	response := map[string]string{}
	b := newBearing(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Introspect, o.Providers[0].Scopes = true, []string{"openid", "profile", "offline_access"}
		s.IDP.EditToken(func(answer map[string]any) {
			for _, name := range []string{"id_token", "access_token", "refresh_token"} {
				response[name], _ = answer[name].(string)
			}
		})
	})
	b.SignIn()
	now := b.Clock.Now().Unix()
	claims := func(more map[string]any) map[string]any {
		all := map[string]any{"iss": b.IDP.Issuer, "sub": "ada", "aud": []string{theAPI, b.IDP.ClientID}, "iat": now, "exp": now + 300, "scope": "read write", "client_id": "robot", "azp": b.IDP.ClientID}
		maps.Copy(all, more)
		return all
	}
	header := func(typ string) map[string]any {
		h := map[string]any{"alg": "RS256", "kid": b.IDP.KeyID()}
		if typ != "" {
			h["typ"] = typ
		}
		return h
	}
	for name, token := range map[string]string{
		"the ID token":           response["id_token"],
		"the access token":       response["access_token"],
		"the refresh token":      response["refresh_token"],
		"ID token for both":      b.IDP.Sign(header("JWT"), claims(map[string]any{"nonce": "n"})),
		"ID token with at_hash":  b.IDP.Sign(header(""), claims(map[string]any{"at_hash": "h"})),
		"logout token":           b.IDP.Sign(header("logout+jwt"), claims(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})),
		"untyped logout token":   b.IDP.Sign(header("JWT"), claims(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})),
		"security event":         b.IDP.Sign(header("secevent+jwt"), claims(nil)),
		"userinfo":               b.IDP.Sign(header("JWT"), map[string]any{"iss": b.IDP.Issuer, "sub": "ada", "aud": theAPI, "name": "Ada", "scope": "read"}),
		"introspection response": b.IDP.Sign(header("token-introspection+jwt"), claims(nil)),
		"authorization response": b.IDP.Sign(header("oauth-authz-resp+jwt"), claims(nil)),
		"client assertion":       b.IDP.Sign(header("client-authentication+jwt"), claims(nil)),
		"request object":         b.IDP.Sign(header("oauth-authz-req+jwt"), claims(nil)),
		"DPoP proof":             b.IDP.Sign(header("dpop+jwt"), claims(nil)),
		"Keycloak's ID token":    b.IDP.Sign(header("JWT"), claims(map[string]any{"typ": "ID"})),
		"Keycloak's offline":     b.IDP.Sign(header("JWT"), claims(map[string]any{"typ": "Offline"})),
		"another audience":       b.IDP.AccessToken(authtest.AccessToken{Audience: "https://other.example", Subject: "ada", Scopes: []string{"read", "write"}}),
		"the client as audience": b.IDP.AccessToken(authtest.AccessToken{Audience: b.IDP.ClientID, Subject: "ada", Scopes: []string{"read", "write"}}),
		"another provider's":     other.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read", "write"}}),
		"another's opaque one":   other.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read", "write"}, Opaque: true}),
		"another's, with our iss": other.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read", "write"}, Edit: func(_, c map[string]any) {
			c["iss"] = b.IDP.Issuer
		}}),
	} {
		t.Run(name, func(t *testing.T) {
			if token == "" {
				t.Fatal("the provider issued none")
			}
			for _, path := range []string{"/read", "/both", "/bare", "/job", "/either", "/admins", "/admin-or-read", "/own", "/fresh", "/load-read"} {
				b.get(t, path, token).invalid(t)
			}
			if a := b.get(t, "/load", token); a.user != nil {
				t.Errorf("LoadUser: %s", a.text)
			}
		})
	}
}

func j16OpaqueAndJWT(t *testing.T) {
	b := newBearing(t, nil)
	b.get(t, "/read", b.opaque(nil)).invalid(t)
	if n := b.IDP.Count(authtest.Introspect) + b.IDP.Count(authtest.Discovery); n != 0 {
		t.Errorf("%d requests", n)
	}
	b = newBearing(t, introspecting)
	b.get(t, "/read", b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Fault: authtest.WrongIssuer})).invalid(t)
	if n := b.IDP.Count(authtest.Introspect) + b.IDP.Count(authtest.JWKS); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func j17Echo(t *testing.T) {
	b := newBearing(t, nil)
	token := b.with("iss", `https://"evil"\example`+"\r\nX: y")
	a := b.get(t, "/read", token)
	a.invalid(t)
	if strings.Contains(a.text, token) || strings.Contains(b.Logs.String(), token) || strings.Contains(a.challenge, "evil") || strings.Contains(a.text, "evil") {
		t.Errorf("%s, challenge %q", a.text, a.challenge)
	}
}

func j18BoundTokens(t *testing.T) {
	b := newBearing(t, nil)
	b.get(t, "/read", b.with("cnf", map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})).invalid(t)
	b.get(t, "/read", b.with("cnf", map[string]any{"x5t#S256": "x"})).invalid(t)
}

func j19BareGuard(t *testing.T) {
	b := newBearing(t, nil)
	for _, path := range []string{"/bare", "/admins"} {
		a := b.get(t, path, b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Edit: func(_, c map[string]any) { c["groups"] = []any{"admin"} }}))
		a.is(t, http.StatusForbidden, ginauth.ErrInsufficientScope, `Bearer error="insufficient_scope", resource_metadata="`)
	}
	for range b.Logs.Lines("WARN", "guard.bearer_unscoped") {
		return
	}
	t.Errorf("the log does not say why: %s", b.Logs)
}

func j20BadTokenAndGoodCookie(t *testing.T) {
	b := newBearing(t, nil)
	b.SignIn()
	cookies := b.CookieHeader()
	for _, path := range []string{"/read", "/bare", "/job"} {
		b.get(t, path, "nonsense", "Cookie", cookies).invalid(t)
		b.get(t, path, b.with("aud", "other"), "Cookie", cookies).invalid(t)
	}
	if b.User() == nil {
		t.Error("the session has ended")
	}
	// Never a redirect for a token.
	a := b.get(t, "/read", "nonsense", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
	a.invalid(t)
}

func j21ProgramWhereOnlyHasScope(t *testing.T) {
	b := newBearing(t, nil)
	token := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, ClientID: "robot", Scopes: []string{"read"}})
	b.get(t, "/read", token).is(t, http.StatusForbidden, ginauth.ErrInsufficientScope, `Bearer error="insufficient_scope"`)
}

func j22ClaimsOfAnIDToken(t *testing.T) {
	b := newBearing(t, nil)
	for name, value := range map[string]any{"nonce": "n", "at_hash": "x", "c_hash": "x", "s_hash": "x", "events": map[string]any{}, "typ": "ID"} {
		for _, typ := range []string{"JWT", "none"} {
			b.get(t, "/read", b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Typ: typ, Edit: func(_, c map[string]any) { c[name] = value }})).invalid(t)
		}
	}
	for _, use := range []any{"id", "refresh", 7, ""} {
		b.get(t, "/read", b.with("token_use", use)).invalid(t)
	}
	for _, typ := range []any{"Refresh", "Offline", "Logout", "ID", 7} {
		b.get(t, "/read", b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Typ: "JWT", Edit: func(_, c map[string]any) { c["typ"] = typ }})).invalid(t)
	}
	b.get(t, "/read", b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Typ: "JWT", Edit: func(_, c map[string]any) { c["typ"] = "Bearer" }})).admits(t)
}

func j23UnknownIssuer(t *testing.T) {
	b := newBearing(t, nil)
	other := sitetest.StartProvider(t, authtest.Config{})
	b.get(t, "/read", other.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}})).invalid(t)
	if n := other.Count(authtest.Discovery) + other.Count(authtest.JWKS) + b.IDP.Count(authtest.JWKS) + b.IDP.Count(authtest.Discovery); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func j24SignedOut(t *testing.T) {
	b := newBearing(t, nil)
	token := b.token("read")
	a := b.get(t, "/read", token)
	a.admits(t)
	b.Clock.Advance(time.Second)
	if err := b.Auth.LogoutEverywhere(t.Context(), a.user.ID()); err != nil {
		t.Fatal(err)
	}
	b.get(t, "/read", token).invalid(t)
	b.Clock.Advance(61 * time.Second) // the provider's clock may be a minute ahead
	later := b.IDP.AccessToken(authtest.AccessToken{Audience: theAPI, Subject: "ada", Scopes: []string{"read"}, Edit: func(_, c map[string]any) { c["iat"] = b.Clock.Now().Unix() }})
	b.get(t, "/read", later).admits(t)

	b = newBearing(t, nil)
	withSID := b.with("sid", "the-session")
	b.get(t, "/read", withSID).admits(t)
	if p := b.BackChannel(b.IDP.Sign(sitetest.LogoutHeader, b.LogoutClaims(map[string]any{"sid": "the-session"}))); p.Status != http.StatusOK {
		t.Fatalf("%d %s", p.Status, p.Text())
	}
	b.get(t, "/read", withSID).invalid(t)
	b.get(t, "/read", b.with("sid", "another")).admits(t)
}

func j25WhatNeedsASession(t *testing.T) {
	b := newBearing(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].APIs = []ginauth.API{{URL: s.IDP.Issuer + "/"}}
	})
	b.SignIn()
	cookies := b.CookieHeader()
	var got error
	for name, do := range map[string]func(c *gin.Context) error{
		"update": func(c *gin.Context) error {
			return b.Auth.Update(c, func(u *ginauth.User) { u.Name = "x" })
		},
		"logout": func(c *gin.Context) error { return b.Auth.Logout(c) },
		"signin": func(c *gin.Context) error {
			return b.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}, nil)
		},
		"client":  func(c *gin.Context) error { _, err := b.Auth.Token(c, b.IDP.Issuer+"/x"); return err },
		"recheck": func(c *gin.Context) error { return b.Auth.Recheck(c) },
	} {
		b.Engine.POST("/do-"+name, b.Auth.RequireAuth(ginauth.HasScope("read")), func(c *gin.Context) {
			got = do(c)
			c.Status(http.StatusNoContent)
		})
		a := b.send(t, "POST", "/do-"+name, b.token("read"), "Cookie", cookies)
		if a.status != http.StatusNoContent || !errors.Is(got, ginauth.ErrBadRequest) || len(a.cookies) > 0 {
			t.Errorf("%s: %d, %v, cookies %q", name, a.status, got, a.cookies)
		}
	}
	if a := b.send(t, "POST", "/logout", b.token("read"), "Cookie", cookies); a.status != http.StatusBadRequest || len(a.cookies) > 0 {
		t.Errorf("/logout: %d %s", a.status, a.text)
	}
	if u := b.User(); u == nil || u.Name == "x" {
		t.Errorf("the session is of %+v", u)
	}
}

func j26HooksFail(t *testing.T) {
	for name, tt := range map[string]struct {
		hook      func(*gin.Context, *ginauth.User) error
		status    int
		code      ginauth.Code
		challenge string
	}{
		"fails":             {func(*gin.Context, *ginauth.User) error { return errors.New("down") }, 503, ginauth.ErrStoreUnavailable, ""},
		"panics":            {func(*gin.Context, *ginauth.User) error { panic("x") }, 503, ginauth.ErrStoreUnavailable, ""},
		"refuses the user":  {func(*gin.Context, *ginauth.User) error { return ginauth.ErrForbidden }, 403, ginauth.ErrForbidden, ""},
		"refuses the token": {func(*gin.Context, *ginauth.User) error { return ginauth.ErrInvalidToken }, 401, ginauth.ErrInvalidToken, `Bearer error="invalid_token"`},
		"wants a sign-in":   {func(*gin.Context, *ginauth.User) error { return ginauth.ErrUnauthenticated }, 503, ginauth.ErrStoreUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Hooks.OnToken = tt.hook })
			b.get(t, "/read", b.token("read")).is(t, tt.status, tt.code, tt.challenge)
		})
	}
	t.Run("adds", func(t *testing.T) {
		asked := 0
		b := newBearing(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Hooks.OnToken = func(_ *gin.Context, u *ginauth.User) error {
				asked++
				u.Groups, u.Data["plan"] = append(u.Groups, "admin"), "gold"
				u.Subject, u.Grant = "grace", nil // which is ignored
				return nil
			}
		})
		token := b.token("read")
		for range 3 {
			a := b.get(t, "/read", token)
			if a.admits(t); a.user.Data["plan"] != "gold" || len(a.user.Groups) != 1 || a.user.Grant == nil {
				t.Errorf("the user is %+v", a.user)
			}
		}
		if asked != 1 {
			t.Errorf("called %d times", asked)
		}
		b.Clock.Advance(61 * time.Second)
		b.get(t, "/read", token).admits(t)
		if asked != 2 {
			t.Errorf("called %d times", asked)
		}
	})
}

func j27Metadata(t *testing.T) {
	b := newBearing(t, nil)
	a := b.get(t, "/.well-known/oauth-protected-resource", "", "Host", "evil.example", "X-Forwarded-Host", "evil.example")
	var said struct {
		Resource string
		Servers  []string `json:"authorization_servers"`
		Methods  []string `json:"bearer_methods_supported"`
	}
	if err := json.Unmarshal([]byte(a.text), &said); err != nil || a.status != http.StatusOK || said.Resource != b.URL || len(said.Servers) != 1 || said.Servers[0] != b.IDP.Issuer || len(said.Methods) != 1 || said.Methods[0] != "header" {
		t.Errorf("%d %s", a.status, a.text)
	}
	without := sitetest.New(t, nil)
	if p := without.Get("/.well-known/oauth-protected-resource"); p.Status != http.StatusNotFound {
		t.Errorf("without an audience: %d", p.Status)
	}
}
