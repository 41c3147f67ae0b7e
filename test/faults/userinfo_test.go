package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsUserinfo(t *testing.T) {
	runFaults(t, []fault{
		{"E1_userinfo_about_somebody_else", e1UserinfoAboutSomebodyElse},
		{"E2_signed_userinfo", e2SignedUserinfo},
		{"E3_userinfo_that_fails", e3UserinfoThatFails},
		{"E4_id_token_wins", e4IdTokenWins},
		{"E5_access_token_in_the_header_alone", e5AccessTokenInTheHeaderAlone},
		{"S37_openid_without_an_issuer", s37OpenidWithoutAnIssuer},
	})
}

func e1UserinfoAboutSomebodyElse(t *testing.T) {
	for name, sub := range map[string]any{"missing": nil, "another": "eve", "empty": "", "in upper case": "ADA", "a number": 7, "null": json.RawMessage("null")} {
		for _, mode := range []string{"always", "missing"} {
			t.Run(name+", asked "+mode, func(t *testing.T) {
				t.Parallel()
				s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = mode })
				s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "email") })
				s.IDP.EditUserinfo(func(c map[string]any) { sitetest.Put(c, "sub", sub) })
				s.RefusesSignIn(t, "/login/demo", ginauth.ErrUserinfoInvalid, "userinfo.sub", 1)
			})
		}
	}
}

func e2SignedUserinfo(t *testing.T) {
	sign := func(s *sitetest.Site, header, change sitetest.Claims) string {
		c := sitetest.Claims{"iss": s.IDP.Issuer, "aud": s.IDP.ClientID, "sub": "ada", "nickname": "Countess"}
		for name, value := range change {
			sitetest.Put(c, name, value)
		}
		return s.IDP.Sign(header, c)
	}
	past := time.Now().Add(-time.Hour).Unix()
	for _, tt := range []struct {
		name  string
		id    string
		token func(s *sitetest.Site) string
	}{
		{"good", "", func(s *sitetest.Site) string { return sign(s, nil, nil) }},
		{"with an expiry", "", func(s *sitetest.Site) string {
			return sign(s, nil, sitetest.Claims{"exp": time.Now().Add(time.Hour).Unix()})
		}},
		{"another issuer", "jwt.issuer", func(s *sitetest.Site) string { return sign(s, nil, sitetest.Claims{"iss": "https://evil.example"}) }},
		{"no issuer", "jwt.issuer_missing", func(s *sitetest.Site) string { return sign(s, nil, sitetest.Claims{"iss": nil}) }},
		{"another audience", "jwt.audience", func(s *sitetest.Site) string { return sign(s, nil, sitetest.Claims{"aud": "other"}) }},
		{"no audience", "jwt.audience", func(s *sitetest.Site) string { return sign(s, nil, sitetest.Claims{"aud": nil}) }},
		{"expired", "jwt.expired", func(s *sitetest.Site) string { return sign(s, nil, sitetest.Claims{"exp": past}) }},
		{"an expiry that is a text", "jwt.exp", func(s *sitetest.Site) string {
			return sign(s, nil, sitetest.Claims{"exp": fmt.Sprint(time.Now().Add(time.Hour).Unix())})
		}},
		{"another subject", "userinfo.sub", func(s *sitetest.Site) string { return sign(s, nil, sitetest.Claims{"sub": "eve"}) }},
		{"no subject", "userinfo.sub", func(s *sitetest.Site) string { return sign(s, nil, sitetest.Claims{"sub": nil}) }},
		{"alg none", "jwt.malformed", func(s *sitetest.Site) string { return sign(s, sitetest.Claims{"alg": "none"}, nil) }},
		{"HS256 with the client secret", sitetest.WrongAlg, func(s *sitetest.Site) string { return sign(s, sitetest.Claims{"alg": "HS256"}, nil) }},
		{"another key", sitetest.WrongSig, func(s *sitetest.Site) string {
			return sitetest.SignJWT(sitetest.StrangerKey(), sitetest.Claims{"alg": "RS256", "kid": s.IDP.KeyID()}, sitetest.JWTPart(sign(s, nil, nil), 1))
		}},
		{"a kid that nobody published", "jwt.no_key", func(s *sitetest.Site) string { return sign(s, sitetest.Claims{"kid": "x"}, nil) }},
		{"a logout token", "jwt.typ", func(s *sitetest.Site) string { return sign(s, sitetest.Claims{"typ": "logout+jwt"}, nil) }},
		{"two sub", sitetest.OddClaims, func(s *sitetest.Site) string {
			return s.IDP.SignRaw([]byte(`{"alg":"RS256","kid":"`+s.IDP.KeyID()+`"}`), []byte(sitetest.Adding(`"sub":"eve"`)(sitetest.JWTPart(sign(s, nil, nil), 1))))
		}},
		{"no JWT at all", "jwt.malformed", func(*sitetest.Site) string { return `{"sub":"ada"}` }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				sitetest.UserinfoAlways(s, o)
				o.KeepClaims = []string{"nickname"}
			})
			s.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, r *http.Request) {
				sitetest.AnswerWith(200, "application/jwt", tt.token(s))(w, r)
			})
			if tt.name == "good" || tt.name == "with an expiry" {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrUserinfoInvalid, tt.id, 1)
		})
	}
}

func e3UserinfoThatFails(t *testing.T) {
	for name, tt := range map[string]struct {
		id  string
		set func(idp *authtest.Provider)
	}{
		"401": {"http.status", func(idp *authtest.Provider) {
			idp.Handle(authtest.Userinfo, sitetest.AnswerWith(401, "application/json", `{"sub":"ada","email":"evil@example.com","error":"invalid_token"}`))
		}},
		"403": {"http.status", func(idp *authtest.Provider) {
			idp.Handle(authtest.Userinfo, sitetest.AnswerWith(403, "application/json", `{"sub":"ada","name":"Evil"}`))
		}},
		"201": {"http.status", func(idp *authtest.Provider) {
			idp.Handle(authtest.Userinfo, sitetest.AnswerWith(201, "application/json", `{"sub":"ada","name":"Evil"}`))
		}},
		"500":                {"http.status", func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.ServerError) }},
		"503":                {"http.status", func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.Down) }},
		"a redirect":         {"http.redirect", func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.Redirecting) }},
		"a page":             {"http.media_type", func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.HTML) }},
		"a reset":            {"http.network", func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.Resetting) }},
		"gzip that inflates": {"http.too_large", func(idp *authtest.Provider) { idp.Fail(authtest.Userinfo, authtest.Oversized) }},
		"JSON without a type": {"http.media_type", func(idp *authtest.Provider) {
			idp.Handle(authtest.Userinfo, sitetest.AnswerWith(200, "", `{"sub":"ada","name":"Evil"}`))
		}},
	} {
		for _, mode := range []string{"always", "missing"} {
			t.Run(name+", asked "+mode, func(t *testing.T) {
				t.Parallel()
				s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = mode })
				s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "name"); delete(c, "email") })
				tt.set(s.IDP)
				if mode == "always" {
					s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, tt.id, 1)
					sitetest.WantNames(t, s.Logs.String(), "op=userinfo")
				} else if u := s.AcceptsSignIn(t, "/login/demo"); u.Name != "" || u.Email != "" || u.Username != "ada" {
					t.Errorf("got %+v", u)
				} else if lines := s.Logs.Lines("WARN", "userinfo.skipped"); len(lines) == 0 || !strings.Contains(lines[0], " cause="+tt.id+" ") {
					t.Errorf("the log has no line about it:\n%s", s.Logs)
				}
				if n := s.IDP.EvilRequests(); n != 0 {
					t.Errorf("the redirect was followed %d times", n)
				}
			})
		}
	}
	for body, id := range map[string]string{
		"{}": "userinfo.sub", `{"error":"invalid_token"}`: "userinfo.sub", `{"sub":"ada","sub":"eve"}`: "profile.json",
		`{"sub":"ada","SUB":"eve"}`: "jwt.claims_ambiguous", "[]": "profile.json", "": "profile.json", "null": "profile.json",
	} {
		t.Run("200 with "+body, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, sitetest.UserinfoAlways)
			s.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(200, "application/json", body))
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrUserinfoInvalid, id, 1)
			sitetest.WantNames(t, s.Logs.String(), "op=userinfo")
		})
	}
}

func e4IdTokenWins(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.UserinfoAlways(s, o)
		o.KeepClaims = []string{"*"}
	})
	s.IDP.EditIDToken(func(_, c map[string]any) { c["email_verified"] = false; delete(c, "groups") })
	s.IDP.EditUserinfo(func(c map[string]any) {
		for name, value := range (sitetest.Claims{
			"iss": "https://evil.example", "aud": "other", "exp": 1, "iat": 1, "nonce": "x", "azp": "other", "auth_time": 1, "acr": "high", "amr": []string{"mfa"},
			"sid": "x", "email_verified": true, "name": "Evil", "email": "evil@example.com", "groups": []string{"from-userinfo"},
		}) {
			c[name] = value
		}
	})
	u := s.AcceptsSignIn(t, "/login/demo")
	if u.Issuer != s.IDP.Issuer || u.Name != "Ada Lovelace" || u.Email != "ada@example.com" || u.EmailVerified || u.AuthTime.Year() < 2000 {
		t.Errorf("got %+v", u)
	}
	if len(u.Groups) != 1 || u.Groups[0] != "from-userinfo" {
		t.Errorf("what the ID token lacks was not taken: %v", u.Groups)
	}
}

func e5AccessTokenInTheHeaderAlone(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, sitetest.UserinfoAlways)
	s.AcceptsSignIn(t, "/login/demo")
	r := s.IDP.LastRequest(authtest.Userinfo)
	if r.Method != "GET" || r.URL.RawQuery != "" || len(r.Body) > 0 || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || len(r.Header["Authorization"]) != 1 {
		t.Errorf("requested with %s %s %v %q", r.Method, r.URL, r.Header, r.Body)
	}
	s.IDP.Fail(authtest.Userinfo, authtest.Redirecting307)
	s.Browser = s.NewBrowser()
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, "http.redirect", 2)
	if n := s.IDP.EvilRequests(); n != 0 {
		t.Errorf("the token was taken elsewhere %d times", n)
	}
}

// corpOnly admits users with verified addresses of one domain in OnLogin.
func corpOnly(_ *sitetest.Site, o *ginauth.Options) {
	check := ginauth.VerifiedEmailDomain("corp.com")
	o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error { return check(login.User) }
}

// withoutIssuer configures the provider so that userinfo identifies the user, although the scope
// openid is requested.
func withoutIssuer(s *sitetest.Site, o *ginauth.Options) {
	sitetest.Plain(s, o)
	o.Providers[0].Namespace, o.Providers[0].ClaimPaths = s.IDP.Issuer, nil
	o.Providers[0].Scopes = []string{"openid", "profile", "email"}
}

func s37OpenidWithoutAnIssuer(t *testing.T) {
	for name, edit := range map[string]func(s *sitetest.Site, a map[string]any){
		"as it is": func(*sitetest.Site, map[string]any) {},
		"absent":   func(_ *sitetest.Site, a map[string]any) { delete(a, "id_token") },
		"alg none": func(_ *sitetest.Site, a map[string]any) {
			a["id_token"] = sitetest.SignHS256(nil, `{"alg":"none"}`, `{"sub":"root","email":"root@example.com"}`)
		},
		"another sub": func(s *sitetest.Site, a map[string]any) {
			a["id_token"] = s.IDP.Sign(nil, sitetest.Claims{"iss": s.IDP.Issuer, "aud": s.IDP.ClientID, "sub": "eve", "email": "eve@example.com"})
		},
		"no token": func(_ *sitetest.Site, a map[string]any) { a["id_token"] = []any{1} },
	} {
		t.Run("the ID token is "+name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, withoutIssuer)
			s.IDP.EditToken(func(a map[string]any) { edit(s, a) })
			u := s.AcceptsSignIn(t, "/login/demo")
			if u.ID() != s.IDP.Issuer+"#ada" || u.Email != "ada@example.com" {
				t.Errorf("signed in as %+v", u)
			}
			if got := s.IDP.LastRequest(authtest.Authorize).Form; got.Get("scope") != "openid profile email" || got.Has("nonce") {
				t.Errorf("requested with %v", got)
			}
			if s.IDP.Count(authtest.Discovery)+s.IDP.Count(authtest.JWKS) != 0 {
				t.Error("something was discovered")
			}
		})
	}
	for name, sub := range map[string]any{"missing": nil, "empty": "", "null": json.RawMessage("null"), "an object": map[string]any{"id": 1}} {
		t.Run("the sub of the userinfo is "+name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, withoutIssuer)
			s.IDP.EditUserinfo(func(c map[string]any) { sitetest.Put(c, "sub", sub) })
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIdentityRejected, "claims.sub", 1)
		})
	}
	for _, name := range []string{"max_age", "acr_values"} {
		opts := sitetest.GoodOptions()
		opts.Providers = []ginauth.Provider{sitetest.PlainProvider()}
		opts.Providers[0].Scopes = []string{"openid"}
		opts.Providers[0].AuthParams = map[string]string{name: "0"}
		sitetest.WantInvalid(t, sitetest.MountError(opts), "provider.auth_params.unverified")
	}
}
