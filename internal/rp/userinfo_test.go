package rp_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/rp"
)

// incomplete makes a Client fetch userinfo.
func incomplete(cfg *rp.Config) { cfg.Complete = func(map[string]any) bool { return false } }

// always makes userinfo required.
func always(cfg *rp.Config) { cfg.Userinfo = "always" }

func TestWhenUserinfoIsAskedFor(t *testing.T) {
	for _, test := range []struct {
		mode     string
		complete bool
		want     int
	}{
		{"missing", true, 0}, {"missing", false, 1}, {"always", true, 1}, {"always", false, 1}, {"never", true, 0}, {"never", false, 0},
	} {
		p := newProvider(t)
		var seen map[string]any
		id := p.mustSignIn(p.client(func(cfg *rp.Config) {
			cfg.Userinfo = test.mode
			cfg.Complete = func(claims map[string]any) bool { seen = maps.Clone(claims); return test.complete }
		}))
		if n := len(p.requests(pathUserinfo)); n != test.want || (id.Claims["name"] != nil) != (n == 1) {
			t.Errorf("%s, complete %v: %d requests, claims %v", test.mode, test.complete, n, id.Claims)
		}
		if test.mode == "missing" && seen["sub"] != theSubject {
			t.Errorf("Complete saw %v", seen)
		}
	}
}

func TestProviderWithoutUserinfo(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"userinfo_endpoint": absent}
	p.mustSignIn(p.client(incomplete))
	_, err := p.signIn(p.client(always))
	wantError(t, err, rp.ProviderMisconfigured, "userinfo.no_endpoint")
	if n := len(p.warnings()); n != 0 {
		t.Errorf("%d warnings", n)
	}
	// Config.Profile replaces the endpoint.
	id := p.mustSignIn(p.client(always, func(cfg *rp.Config) {
		cfg.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
			return map[string]any{"sub": theSubject, "name": "Ann"}, nil
		}
	}))
	if id.Claims["name"] != "Ann" {
		t.Errorf("got %v", id.Claims)
	}
}

// OpenID Connect Core 1.0, 5.3.1, and RFC 6750: the access token is only in the header.
func TestUserinfoRequest(t *testing.T) {
	p := newProvider(t)
	p.mustSignIn(p.client(always))
	got := p.requests(pathUserinfo)[0]
	if got.method != http.MethodGet || got.authorization != "Bearer "+theAccess || got.query != "" || got.body != "" {
		t.Errorf("got %+v", got)
	}
	if accept := got.header.Get("Accept"); accept != "application/json, application/jwt" {
		t.Errorf("Accept is %q", accept)
	}
	p.mustSignIn(p.client(p.plain, func(cfg *rp.Config) { cfg.Quirks.Header = map[string]string{"X-Api-Version": "2"} }))
	got = p.requests(pathUserinfo)[1]
	if accept := got.header.Get("Accept"); accept != "application/json" || got.header.Get("X-Api-Version") != "2" {
		t.Errorf("the header is %v", got.header)
	}
}

// 5.3.2: "The sub Claim in the UserInfo Response MUST be verified to exactly match
// the sub Claim in the ID Token".
func TestSubjectOfTheUserinfo(t *testing.T) {
	for name, sub := range map[string]any{
		"another": "eve", "missing": absent, "null": nil, "empty": "", "in capitals": strings.ToUpper(theSubject), "in a list": []string{theSubject}, "a number": 1,
	} {
		for _, ask := range []func(*rp.Config){always, incomplete} { // even if userinfo is optional
			p := newProvider(t)
			p.info = map[string]any{"sub": sub}
			_, err := p.signIn(p.client(ask))
			if e := wantError(t, err, rp.UserinfoInvalid, "userinfo.sub"); e.Provider != "corp" || e.Op != "userinfo" {
				t.Errorf("%s: got %+v", name, e)
			}
		}
	}
}

// An outage of the userinfo endpoint fails a sign-in only if userinfo is required. An invalid
// response always does.
func TestUserinfoThatCannotBeHad(t *testing.T) {
	for _, test := range []struct {
		name     string
		answer   http.HandlerFunc
		code     rp.Code
		id       string
		optional bool // the sign-in succeeds if userinfo is optional
	}{
		{"503", answering(503, "text/plain", ""), rp.ProviderUnavailable, "http.status", true},
		{"401", answering(401, "application/json", "{}"), rp.ProviderUnavailable, "http.status", true},
		{"404", answering(404, "text/html", ""), rp.ProviderUnavailable, "http.not_found", true},
		{"201", answering(201, "application/json", `{"sub":"`+theSubject+`"}`), rp.ProviderUnavailable, "http.status", true},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, rp.ProviderUnavailable, "http.redirect", true},
		{"nothing", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, rp.ProviderUnavailable, "http.network", true},
		{"a page", answering(200, "text/html", "<html>"), rp.ProviderUnavailable, "http.media_type", true},
		{"JSON that says it is text", answering(200, "text/plain", `{"sub":"`+theSubject+`"}`), rp.ProviderUnavailable, "http.media_type", true},
		{"no media type", answering(200, "", "{}"), rp.ProviderUnavailable, "http.media_type", true},
		{"over a megabyte", answering(200, "application/json", strings.Repeat(" ", 1<<20+1)), rp.ProviderUnavailable, "http.too_large", true},
		{"no JSON", answering(200, "application/json", "{"), rp.UserinfoInvalid, "profile.json", false},
		{"two subs", answering(200, "application/json", `{"sub":"`+theSubject+`","sub":"eve"}`), rp.UserinfoInvalid, "profile.json", false},
		{"SUB", answering(200, "application/json", `{"sub":"`+theSubject+`","SUB":"eve"}`), rp.UserinfoInvalid, "jwt.claims_ambiguous", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.on(pathUserinfo, test.answer)
			_, err := p.signIn(p.client(always))
			if e := wantError(t, err, test.code, test.id); e.Provider != "corp" || e.Op == "" {
				t.Errorf("got %+v", e)
			}
			id, err := p.signIn(p.client(incomplete))
			if !test.optional {
				wantError(t, err, test.code, test.id)
				return
			}
			if err != nil || id.Claims["sub"] != theSubject {
				t.Errorf("got %v, %v", id, err)
			}
			warned := p.warnings()
			if len(warned) != 1 || warned[0].id != "userinfo.skipped" || warned[0].msg == "" {
				t.Fatalf("got %v", warned)
			}
			wantError(t, warned[0].err, test.code, test.id)
			if n := len(p.requests("/elsewhere")); n != 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

// Without a description from the provider, the error does not announce one.
func TestRefusalWithoutWords(t *testing.T) {
	p := newProvider(t)
	c := p.client(always)
	cause := func(media, body string) string {
		t.Helper()
		p.on(pathUserinfo, answering(403, media, body))
		_, err := p.signIn(c)
		return wantError(t, err, rp.ProviderUnavailable, "http.status").Cause.Error()
	}
	silent := cause("text/plain", "")
	if strings.Contains(silent, "WWW-Authenticate") {
		t.Errorf("got %q", silent)
	}
	for _, body := range []string{"<html>", `{}`, `{"error":"","error_description":""}`, `{"error":1}`, `["error"]`} {
		if got := cause("application/json", body); got != silent {
			t.Errorf("%s: got %q, want %q", body, got, silent)
		}
	}
	if got := cause("application/json", `{"error":"insufficient_scope"}`); got == silent {
		t.Errorf("the provider's description is missing: %q", got)
	}
}

// The body of an error response is read, so that the connection is reused.
func TestConnectionOutlivesARefusal(t *testing.T) {
	p := newProvider(t)
	c := p.client(incomplete)
	p.on(pathUserinfo, answering(403, "text/html", strings.Repeat("no ", 1000)))
	p.mustSignIn(c)
	p.mustSignIn(c)
	if before, after := p.requests(pathUserinfo)[0].from, p.requests(pathToken)[1].from; before != after {
		t.Errorf("the connection was not reused: %s, then %s", before, after)
	}
}

func TestMediaTypesOfUserinfo(t *testing.T) {
	for _, media := range []string{"application/json", "application/json; charset=utf-8", "application/scim+json", "Application/JSON"} {
		p := newProvider(t)
		p.on(pathUserinfo, answering(200, media, `{"sub":"`+theSubject+`","name":"Ann"}`))
		if id := p.mustSignIn(p.client(always)); id.Claims["name"] != "Ann" {
			t.Errorf("%s: got %v", media, id.Claims)
		}
	}
}

// The ID token is signed and takes precedence. Protocol claims are read only from it.
func TestMergeOfUserinfo(t *testing.T) {
	p := newProvider(t)
	p.claims = claims{"email": "ann@example.com", "address": claims{"country": "DE"}, "groups": []any{}, "locale": ""}
	p.info = claims{
		"email": "eve@example.com", "address": claims{"country": "FR", "city": "Paris"}, "groups": []any{"admin"}, "locale": "fr", "picture": "https://example.com/p",
		"iss": "https://evil.example", "aud": "x", "exp": 1, "iat": 1, "nbf": 1, "jti": "x", "nonce": "x", "azp": "x", "at_hash": "x", "c_hash": "x", "s_hash": "x",
		"auth_time": 1, "acr": "mfa", "amr": []any{"mfa"}, "sid": "x", "typ": "x", "events": claims{},
	}
	id := p.mustSignIn(p.client(always))
	want := map[string]any{
		"email": "ann@example.com", "address": map[string]any{"country": "DE"}, "groups": []any{}, "locale": "", "picture": "https://example.com/p",
		"name": "Ann of the userinfo", "sub": theSubject, "iss": p.URL, "aud": theClient, "nonce": theNonce,
	}
	got := maps.Clone(id.Claims)
	delete(got, "iat")
	delete(got, "exp")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if id.SID != "" || id.Issuer != p.URL {
		t.Errorf("got %+v", id)
	}
}

// TestNullGivesWay: a claim that is null in the ID token is taken from userinfo. A claim that is null
// in userinfo is absent too.
func TestNullGivesWay(t *testing.T) {
	p := newProvider(t)
	p.claims, p.info = map[string]any{"name": nil, "locale": "en"}, map[string]any{"locale": nil, "picture": nil}
	id := p.mustSignIn(p.client(incomplete))
	if _, there := id.Claims["picture"]; there || id.Claims["name"] != "Ann of the userinfo" || id.Claims["locale"] != "en" {
		t.Errorf("the claims are %v", id.Claims)
	}
}

// A verified flag is merged only with the address in the same source.
func TestPairs(t *testing.T) {
	both := func(address string, flag any) claims { return claims{"email": address, "email_verified": flag} }
	const ann, eve = "ann@example.com", "eve@example.com"
	for _, test := range []struct {
		name        string
		token, info claims
		want        claims
	}{
		{"both from the userinfo", nil, both(ann, true), both(ann, true)},
		{"both from the token", both(ann, true), both(eve, false), both(ann, true)},
		{"the same address", claims{"email": ann}, both(ann, true), both(ann, true)},
		{"another address", claims{"email": ann}, both(eve, true), claims{"email": ann}},
		{"the address in another case", claims{"email": ann}, both("Ann@example.com", true), claims{"email": ann}},
		{"a flag alone from the userinfo", claims{"email": ann}, claims{"email_verified": true}, claims{"email": ann}},
		{"a flag of no text", claims{"email": ann}, claims{"email": 1, "email_verified": true}, claims{"email": ann}},
		{"a flag alone from the token", claims{"email_verified": true}, both(eve, true), claims{"email_verified": true}},
		{"a flag that says no", claims{"email_verified": false}, both(eve, true), claims{"email_verified": false}},
		{"an address that is not text", claims{"email": []any{ann}}, both(ann, true), claims{"email": []any{ann}}},
		{"an empty address", claims{"email": ""}, claims{"email_verified": true}, claims{"email": ""}},
		{"an address alone from the userinfo", nil, claims{"email": ann}, claims{"email": ann}},
		{"a flag alone, and no address", nil, claims{"email_verified": true}, claims{"email_verified": true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.claims, p.info = test.token, test.info
			id := p.mustSignIn(p.client(always, func(cfg *rp.Config) { cfg.Pairs = [][2]string{{"email", "email_verified"}} }))
			got := claims{}
			for _, name := range []string{"email", "email_verified"} {
				if v, there := id.Claims[name]; there {
					got[name] = v
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// A path may lead through objects and lists, and be written in two ways.
func TestPairsByPath(t *testing.T) {
	for _, test := range []struct {
		name          string
		address, flag string
		token, info   claims
		want          claims // that userinfo added
	}{
		{"in an object", "mail.value", "mail.ok", nil, claims{"mail": claims{"value": "a", "ok": true}}, claims{"mail": claims{"value": "a", "ok": true}}},
		{"another object's flag", "mail.value", "ok.mail", claims{"mail": claims{"value": "a"}}, claims{"mail": claims{"value": "b"}, "ok": claims{"mail": true, "phone": true}},
			claims{"ok": claims{"phone": true}}},
		{"the same address", "mail.value", "ok.mail", claims{"mail": claims{"value": "a"}}, claims{"mail": claims{"value": "a"}, "ok": claims{"mail": true}},
			claims{"ok": claims{"mail": true}}},
		{"a name with a dot", "mail.value", "mail.ok", claims{"mail": claims{"value": "a"}}, claims{"mail.value": "b", "mail.ok": true}, claims{}},
		{"a deeper name with a dot", "a.b.c", "a.ok", claims{"a.b": claims{"c": "x"}}, claims{"a": claims{"b.c": "y", "ok": true, "z": 1}}, claims{"a": claims{"z": json.Number("1")}}},
		{"a flag of the token by another path", "mail", "ok.mail", claims{"ok": claims{"mail": false}}, claims{"mail": "b", "ok.mail": true}, claims{}},
		{"in a list", "mails.0.value", "mails.0.ok", claims{"mails.0.value": "a"}, claims{"mails": []any{claims{"value": "b", "ok": true}}, "x": true}, claims{"x": true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.claims, p.info = test.token, test.info
			id := p.mustSignIn(p.client(always, func(cfg *rp.Config) { cfg.Pairs = [][2]string{{test.address, test.flag}} }))
			got := maps.Clone(id.Claims)
			maps.DeleteFunc(got, func(name string, _ any) bool {
				_, ours := test.token[name]
				return ours || rp.ProtocolClaim(name) || name == "name"
			})
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// 5.3.2: "If signed, the UserInfo Response MUST contain the Claims iss (issuer) and aud
// (audience) as members."
func TestSignedUserinfo(t *testing.T) {
	const s = time.Second
	for _, test := range []struct {
		name           string
		header, claims claims
		by             *signer
		id             string
	}{
		{"as it should be", nil, nil, rsaKey(), ""},
		{"by another of the keys", claims{"alg": "ES256", "kid": "ec"}, nil, ecKey(), ""},
		{"for several clients", nil, claims{"aud": []string{"another", theClient}}, rsaKey(), ""},
		{"expired a minute ago", nil, claims{"exp": -60}, rsaKey(), ""},
		{"typ JWT", claims{"typ": "JWT"}, nil, rsaKey(), ""},
		{"expired more than a minute ago", nil, claims{"exp": -61}, rsaKey(), "jwt.expired"},
		{"exp is text", nil, claims{"exp": "soon"}, rsaKey(), "jwt.claims_form"},
		{"exp is text of a number", nil, claims{"exp": json.RawMessage(`"1800000000"`)}, rsaKey(), "jwt.exp"},
		{"nbf is ahead", nil, claims{"nbf": 61}, rsaKey(), "jwt.nbf"},
		{"another issuer", nil, claims{"iss": "https://evil.example"}, rsaKey(), "jwt.issuer"},
		{"no issuer", nil, claims{"iss": absent}, rsaKey(), "jwt.issuer_missing"},
		{"another audience", nil, claims{"aud": "another"}, rsaKey(), "jwt.audience"},
		{"no audience", nil, claims{"aud": absent}, rsaKey(), "jwt.audience"},
		{"another person", nil, claims{"sub": "eve"}, rsaKey(), "userinfo.sub"},
		{"another key", nil, nil, otherRSA(), "jwt.signature"},
		{"typ of an access token", claims{"typ": "at+jwt"}, nil, rsaKey(), "jwt.typ"},
		{"with the secret", claims{"alg": "HS256"}, nil, &signer{"", "HS256", []byte(theSecret)}, "jwt.algorithm"},
		{"none", claims{"alg": "none"}, nil, rsaKey(), "jwt.algorithm"},
		{"SUB beside sub", nil, claims{"SUB": "eve"}, rsaKey(), "jwt.claims_ambiguous"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.keys = []any{rsaKey().jwk(), ecKey().jwk()}
			for _, name := range []string{"exp", "nbf"} {
				if n, ok := test.claims[name].(int); ok {
					test.claims[name] = p.clock.unix(time.Duration(n) * s)
				}
			}
			raw := test.by.sign(edit(claims{"alg": "RS256", "kid": "rsa"}, test.header),
				edit(claims{"iss": p.URL, "aud": theClient, "sub": theSubject, "name": "Ann"}, test.claims))
			p.on(pathUserinfo, answering(200, "application/jwt; charset=utf-8", "\n"+raw+" \r\n"))
			for _, ask := range []func(*rp.Config){always, incomplete} { // a forgery does not count as an outage
				id, err := p.signIn(p.client(ask, func(cfg *rp.Config) { cfg.Quirks.HS256 = true }))
				switch {
				case test.id != "":
					if e := wantError(t, err, rp.UserinfoInvalid, test.id); e.Op != "userinfo" || e.Provider != "corp" {
						t.Errorf("got %+v", e)
					}
				case err != nil || id.Claims["name"] != "Ann":
					t.Errorf("got %v, %v", id, err)
				}
			}
		})
	}
}

// IDTokenAlg does not apply to signed userinfo, whose algorithm is registered separately.
func TestAlgorithmOfSignedUserinfo(t *testing.T) {
	p := newProvider(t)
	p.keys = []any{rsaKey().jwk(), ecKey().jwk()}
	p.on(pathUserinfo, func(w http.ResponseWriter, r *http.Request) {
		raw := ecKey().sign(claims{"alg": "ES256", "kid": "ec"}, claims{"iss": p.URL, "aud": theClient, "sub": theSubject, "name": "Ann"})
		answering(200, "application/jwt", raw)(w, r)
	})
	p.mustSignIn(p.client(always, func(cfg *rp.Config) { cfg.IDTokenAlg = "RS256" }))
}

func TestKeysOfSignedUserinfoThatCannotBeFetched(t *testing.T) {
	p := newProvider(t)
	required, optional := p.client(always), p.client(incomplete)
	p.mustSignIn(required)
	p.mustSignIn(optional)
	raw := rsaKey().sign(claims{"alg": "RS256", "kid": "new"}, claims{"iss": p.URL, "aud": theClient, "sub": theSubject})
	p.on(pathUserinfo, answering(200, "application/jwt", raw))
	p.on(pathKeys, answering(503, "text/plain", ""))
	_, err := p.signIn(required)
	if e := wantError(t, err, rp.ProviderUnavailable, "http.status"); e.Op != "signing keys" {
		t.Errorf("got %+v", e)
	}
	p.mustSignIn(optional)
	if warned := p.warnings(); len(warned) != 1 {
		t.Errorf("got %v", warned)
	}
}

// Signed userinfo of a plain OAuth 2.0 provider would have no keys to be verified with.
func TestProfileOfPlainOAuth(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		code   rp.Code
		id     string
	}{
		{"a number as id", answering(200, "application/json", `{"id":9007199254740993}`), "", ""},
		{"no sub at all", answering(200, "application/json", `{}`), "", ""},
		{"a JWT", answering(200, "application/jwt", "x.y.z"), rp.ProviderUnavailable, "http.media_type"},
		{"503", answering(503, "application/json", `{}`), rp.ProviderUnavailable, "http.status"},
		{"a list", answering(200, "application/json", `[{"id":1}]`), rp.IdentityRejected, "profile.json"},
		{"two ids", answering(200, "application/json", `{"id":1,"id":2}`), rp.IdentityRejected, "profile.json"},
		{"ID beside id", answering(200, "application/json", `{"id":1,"ID":2}`), rp.IdentityRejected, "jwt.claims_ambiguous"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.on(pathUserinfo, test.answer)
			id, err := p.signIn(p.client(p.plain, func(cfg *rp.Config) { cfg.Names = []string{"id"} }))
			if test.id != "" {
				wantError(t, err, test.code, test.id)
			} else if err != nil || id.Claims == nil {
				t.Errorf("got %v, %v", id, err)
			}
		})
	}
	p := newProvider(t)
	p.on(pathUserinfo, answering(200, "application/json", `{"id":9007199254740993}`))
	if id := p.mustSignIn(p.client(p.plain)); id.Claims["id"] != json.Number("9007199254740993") {
		t.Errorf("got %#v", id.Claims["id"])
	}
}

// The caller validates Config, so that users never see this error.
func TestUserinfoURLThatIsNoAddress(t *testing.T) {
	p := newProvider(t)
	_, err := p.signIn(p.client(p.plain, func(cfg *rp.Config) { cfg.UserinfoURL = "http://[::1" }))
	wantError(t, err, rp.ProviderMisconfigured, "userinfo.endpoint")
}

// profile configures a Config.Profile.
func profile(f func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error)) func(*rp.Config) {
	return func(cfg *rp.Config) { cfg.Profile = f }
}

// returning is a Config.Profile that makes no request.
func returning(claims map[string]any, err error) func(*rp.Config) {
	return profile(func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) { return claims, err })
}

func TestProfile(t *testing.T) {
	p := newProvider(t)
	c := p.client(p.plain, func(cfg *rp.Config) { cfg.Quirks.Header = map[string]string{"X-Api-Version": "2"} },
		profile(func(ctx context.Context, h *http.Client, token *oauth2.Token) (map[string]any, error) {
			for _, authorization := range []string{"", "Token of another kind"} {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+pathUserinfo, nil)
				if err != nil {
					return nil, err
				}
				if authorization != "" {
					req.Header.Set("Authorization", authorization)
				}
				resp, err := h.Do(req)
				if err != nil {
					return nil, err
				}
				_ = resp.Body.Close()
				if req.Header.Get("X-Api-Version") != "" || req.Header.Get("Authorization") != authorization {
					t.Errorf("the request was changed: %v", req.Header)
				}
			}
			return map[string]any{"id": int64(9007199254740993), "token": token.AccessToken}, nil
		}))
	id := p.mustSignIn(c)
	if id.Claims["id"] != json.Number("9007199254740993") || id.Claims["token"] != theAccess {
		t.Errorf("got %v", id.Claims)
	}
	all := p.requests(pathUserinfo)
	if all[0].authorization != "Bearer "+theAccess || all[1].authorization != "Token of another kind" || all[0].header.Get("X-Api-Version") != "2" {
		t.Errorf("got %+v", all)
	}
}

func TestProfileInPlaceOfUserinfo(t *testing.T) {
	p := newProvider(t)
	if id := p.mustSignIn(p.client(always, returning(map[string]any{"sub": theSubject, "name": "Ann"}, nil))); id.Claims["name"] != "Ann" {
		t.Errorf("got %v", id.Claims)
	}
	_, err := p.signIn(p.client(always, returning(map[string]any{"sub": "eve"}, nil)))
	wantError(t, err, rp.UserinfoInvalid, "userinfo.sub")
	_, err = p.signIn(p.client(incomplete, returning(map[string]any{"sub": theSubject, "x": math.Inf(1)}, nil)))
	wantError(t, err, rp.IdentityRejected, "profile.unwritable")
	p.mustSignIn(p.client(incomplete, returning(nil, errors.New("down"))))
	if n := len(p.requests(pathUserinfo)); n != 0 || len(p.warnings()) != 1 {
		t.Errorf("%d requests for userinfo, %v", n, p.warnings())
	}
}

// An *Error that Config.Profile returns or wraps is returned. Any other error means that the provider
// is unavailable.
func TestProfileThatFails(t *testing.T) {
	p := newProvider(t)
	rejected := &rp.Error{Code: rp.IdentityRejected, ID: "profile.blocked", Reason: "the account is blocked", Fix: "nothing"}
	for _, test := range []struct {
		name string
		err  error
		code rp.Code
		id   string
	}{
		{"an error of its own", rejected, rp.IdentityRejected, "profile.blocked"},
		{"wrapped", errors.Join(errors.New("x"), rejected), rp.IdentityRejected, "profile.blocked"},
		{"without a code", &rp.Error{ID: "profile.odd", Reason: "odd", Fix: "nothing"}, rp.ProviderUnavailable, "profile.odd"},
		{"another error", errors.New("connection refused"), rp.ProviderUnavailable, "http.network"},
		{"too late", context.DeadlineExceeded, rp.ProviderTimeout, "http.timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := p.signIn(p.client(p.plain, returning(map[string]any{"id": "x"}, test.err)))
			if e := wantError(t, err, test.code, test.id); e.Provider != "corp" || e.Op != "profile" {
				t.Errorf("got %+v", e)
			}
		})
	}
	if rejected.Provider != "" || rejected.Op != "" {
		t.Errorf("the error was changed: %+v", rejected)
	}
}

// An *Error that Config.Profile returns is a decision of the application: whatever its code, it fails
// the sign-in even if userinfo is optional. An outage does not.
func TestProfileThatRefusesWhereUserinfoIsOptional(t *testing.T) {
	p := newProvider(t)
	for _, code := range []rp.Code{
		rp.BadRequest, rp.StateInvalid, rp.ProviderDenied, rp.ProviderError, rp.CodeRejected, rp.ProviderMisconfigured, rp.ProviderUnavailable,
		rp.ProviderTimeout, rp.IDTokenInvalid, rp.UserinfoInvalid, rp.IdentityRejected, "forbidden", "store_unavailable",
	} {
		refusal := &rp.Error{Code: code, ID: "profile.refused", Reason: "refused", Fix: "none"}
		for _, err := range []error{refusal, errors.Join(errors.New("x"), refusal)} {
			_, err := p.signIn(p.client(incomplete, returning(nil, err)))
			wantError(t, err, code, "profile.refused")
		}
	}
	_, err := p.signIn(p.client(incomplete, returning(nil, &rp.Error{ID: "profile.refused", Reason: "refused", Fix: "none"})))
	wantError(t, err, rp.ProviderUnavailable, "profile.refused")
	if warned := p.warnings(); len(warned) != 0 {
		t.Errorf("warnings: %v", warned)
	}
	down := profile(func(ctx context.Context, h *http.Client, _ *oauth2.Token) (map[string]any, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/elsewhere", nil)
		if err != nil {
			return nil, err
		}
		resp, err := h.Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		return nil, err
	})
	p.on("/elsewhere", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	p.mustSignIn(p.client(incomplete, down))
	if warned := p.warnings(); len(warned) != 1 {
		t.Errorf("warnings: %v", warned)
	}
}

func TestProfileThatCannotBeWritten(t *testing.T) {
	p := newProvider(t)
	cycle := map[string]any{}
	cycle["self"] = cycle
	for name, claims := range map[string]map[string]any{
		"a channel": {"x": make(chan int)}, "NaN": {"x": math.NaN()}, "a cycle": cycle, "a function": {"x": func() {}},
	} {
		_, err := p.signIn(p.client(p.plain, returning(claims, nil)))
		if e := wantError(t, err, rp.IdentityRejected, "profile.unwritable"); e.Cause == nil || e.Op != "profile" {
			t.Errorf("%s: got %+v", name, e)
		}
	}
	_, err := p.signIn(p.client(p.plain, returning(nil, nil)))
	wantError(t, err, rp.IdentityRejected, "profile.json")
	_, err = p.signIn(p.client(p.plain, returning(map[string]any{"a": map[json.Number]any{}, "x": json.RawMessage(`{"a":1,"a":2}`)}, nil)))
	wantError(t, err, rp.IdentityRejected, "profile.json")
	_, err = p.signIn(p.client(p.plain, returning(map[string]any{"id": "x", "Sub": "y"}, nil)))
	wantError(t, err, rp.IdentityRejected, "jwt.claims_ambiguous")
}

type (
	withFloat struct{ ID float64 }
	hidden    struct {
		id      float64
		Skipped float64 `json:"-"`
		Name    string
	}
	embedded struct{ withFloat }
	tagged   struct {
		ID float64 `json:"id,omitempty"`
	}
	marshals float64
)

// MarshalJSON implements json.Marshaler.
func (m marshals) MarshalJSON() ([]byte, error) { return []byte(`"text"`), nil }

// A float64 beyond 2⁵³ may stand for several ids: two users would become one.
func TestFloatsInAProfile(t *testing.T) {
	const large = 1 << 53
	p := newProvider(t)
	for _, test := range []struct {
		name  string
		value any
		ok    bool
	}{
		{"an integer", int64(large + 1), true},
		{"text", "9007199254740993", true},
		{"json.Number", json.Number("9007199254740993"), true},
		{"a small float", float64(large - 1), true},
		{"a fraction", 0.5, true},
		{"a negative float", float64(-large + 1), true},
		{"a small float32", float32(1<<24 - 1), true},
		{"nil", nil, true},
		{"a nil pointer", (*withFloat)(nil), true},
		{"a struct", struct{ ID int64 }{large}, true},
		{"what JSON does not see", hidden{id: large, Skipped: large}, true},
		{"what writes itself", marshals(large), true},
		{"small floats", []float64{1, 2}, true},
		{"a large float", float64(large), false},
		{"a large negative float", float64(-large), false},
		{"a large float32", float32(1 << 24), false},
		{"in a list", []any{1, []any{float64(large)}}, false},
		{"in an array", [2]float64{0, large}, false},
		{"in a map", map[string]any{"a": map[string]float64{"b": large}}, false},
		{"behind a pointer", &withFloat{large}, false},
		{"in a struct", withFloat{large}, false},
		{"in a struct with a tag", tagged{large}, false},
		{"in an embedded struct", embedded{withFloat{large}}, false},
		{"in structs in a list", []withFloat{{1}, {large}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := p.signIn(p.client(p.plain, returning(map[string]any{"id": "x", "value": test.value}, nil)))
			if !test.ok {
				wantError(t, err, rp.IdentityRejected, "profile.float")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
