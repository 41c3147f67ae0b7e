package ginauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// TestWhenUserinfoIsAsked: the ID token of these sign-ins has everything that
// User has a field for, unless lacking names a claim.
func TestWhenUserinfoIsAsked(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mode    string
		scopes  []string
		keep    []string
		paths   map[string]string
		lacking string
		asked   int
	}{
		{name: "nothing is missing"},
		{name: "the name is missing", lacking: "name", asked: 1},
		{name: "the picture is missing", lacking: "picture", asked: 1},
		{name: "the language is missing", lacking: "locale", asked: 1},
		{name: "the address is missing", lacking: "email", asked: 1},
		{name: "whether it is verified is missing", lacking: "email_verified", asked: 1},
		{name: "the address is missing and was not asked for", scopes: []string{"profile"}, lacking: "email"},
		{name: "the name is missing and was not asked for", scopes: []string{"email"}, lacking: "name"},
		{name: "nothing was asked for", scopes: []string{}, lacking: "name"},
		{name: "the usual groups are missing", lacking: "groups"},
		{name: "groups of another name are missing", paths: map[string]string{"groups": "roles"}, asked: 1},
		{name: "groups of another name are there", paths: map[string]string{"groups": "extra.teams"}},
		{name: "the usual groups are missing, by their usual path", paths: map[string]string{"groups": "groups"}, lacking: "groups", asked: 1},
		{name: "the usual groups are there, by their usual path", paths: map[string]string{"groups": "groups"}},
		{name: "the usual groups are missing and were asked for", scopes: []string{"groups"}, lacking: "groups", asked: 1},
		{name: "a claim that is kept is missing", keep: []string{"department"}, asked: 1},
		{name: "a claim that is kept is there", keep: []string{"extra"}},
		{name: "all are kept and the profile has more", keep: []string{"*"}, asked: 1},
		{name: "all are kept and little was asked for", keep: []string{"*"}, scopes: []string{"email"}},
		{name: "a claim is found under another name", paths: map[string]string{"name": "extra.display"}, lacking: "name"},
		{name: "a claim is not found under another name", paths: map[string]string{"name": "extra.nothing"}, asked: 1},
		{name: "always", mode: "always", asked: 1},
		{name: "always, though nothing was asked for", mode: "always", scopes: []string{}, asked: 1},
		{name: "never", mode: "never", lacking: "name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(_ *site, o *ginauth.Options) {
				p := &o.Providers[0]
				p.Userinfo, p.Scopes, p.ClaimPaths, o.KeepClaims = tt.mode, tt.scopes, tt.paths, tt.keep
			})
			s.idp.EditIDToken(func(_, c map[string]any) {
				c["extra"] = claims{"teams": []string{"a"}, "display": "Ada"}
				delete(c, tt.lacking)
			})
			s.accepts(t, "/login/demo")
			if got := s.idp.Count(authtest.Userinfo); got != tt.asked {
				t.Errorf("asked %d times, want %d", got, tt.asked)
			}
		})
	}
}

func TestNoUserinfoEndpoint(t *testing.T) {
	for mode, code := range map[string]ginauth.Code{"missing": "", "never": "", "always": ginauth.ErrProviderMisconfigured} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = mode })
			s.idp.EditMetadata(func(m map[string]any) { delete(m, "userinfo_endpoint") })
			s.idp.EditIDToken(func(_, c map[string]any) { delete(c, "name") })
			if code == "" {
				s.accepts(t, "/login/demo")
				return
			}
			s.refuses(t, "/login/demo", code, "there is no userinfo endpoint", 1)
		})
	}
}

func TestThinIDToken(t *testing.T) {
	t.Parallel()
	s := siteOf(t, authtest.Config{ThinIDToken: true}, nil)
	u := s.accepts(t, "/login/demo")
	if u.Name != "Ada Lovelace" || u.Email != "ada@example.com" || !u.EmailVerified || u.Username != "ada" || u.Locale != "en-GB" || fmt.Sprint(u.Groups) != "[admin staff]" {
		t.Errorf("got %+v", u)
	}
}

// TestVerifiedFlagStaysWithItsAddress: what one source vouches for is not what
// the other one named.
func TestVerifiedFlagStaysWithItsAddress(t *testing.T) {
	for _, tt := range []struct {
		name          string
		token, info   claims // email and email_verified of each
		email         string
		verified      bool
		phoneVerified any // of the same with phone_number
	}{
		{"the same address", claims{"email": "a@x"}, claims{"email": "a@x", "email_verified": true}, "a@x", true, true},
		{"another address", claims{"email": "a@x"}, claims{"email": "b@x", "email_verified": true}, "a@x", false, nil},
		{"the same in other case", claims{"email": "a@x"}, claims{"email": "A@x", "email_verified": true}, "a@x", false, nil},
		{"a flag without an address", claims{"email": "a@x"}, claims{"email_verified": true}, "a@x", false, nil},
		{"the token's own flag", claims{"email": "a@x", "email_verified": false}, claims{"email": "a@x", "email_verified": true}, "a@x", false, false},
		{"the token's flag without an address", claims{"email_verified": true}, claims{"email": "b@x"}, "", false, true},
		{"the token's flag, and another one", claims{"email_verified": true}, claims{"email": "b@x", "email_verified": false}, "", false, true},
		{"the userinfo alone", claims{}, claims{"email": "b@x", "email_verified": true}, "b@x", true, true},
		{"the userinfo alone, not verified", claims{}, claims{"email": "b@x", "email_verified": false}, "b@x", false, false},
		{"the token alone", claims{"email": "a@x", "email_verified": true}, claims{}, "a@x", true, true},
		{"lists", claims{"email": []string{"a@x"}}, claims{"email": []string{"a@x"}, "email_verified": true}, "", false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan claims, 1)
			s := newSite(t, func(s *site, o *ginauth.Options) {
				always(s, o)
				o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
					var c claims
					err := login.User.Claims(&c)
					got <- c
					return err
				}
			})
			lay := func(over, own claims) {
				delete(over, "email")
				delete(over, "email_verified")
				for name, value := range own {
					over[name] = value
					over[strings.Replace(name, "email", "phone_number", 1)] = value
				}
			}
			s.idp.EditIDToken(func(_, c map[string]any) { lay(c, tt.token) })
			s.idp.EditUserinfo(func(c map[string]any) { lay(c, tt.info) })
			u := s.accepts(t, "/login/demo")
			if u.Email != tt.email || u.EmailVerified != tt.verified {
				t.Errorf("got %q, verified %t", u.Email, u.EmailVerified)
			}
			if c := <-got; c["phone_number_verified"] != tt.phoneVerified {
				t.Errorf("phone_number_verified is %v", c["phone_number_verified"])
			}
		})
	}
}

func TestSignedUserinfo(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := siteOf(t, authtest.Config{SigningAlg: alg, ThinIDToken: true}, nil)
			s.idp.Handle(authtest.Userinfo, func(w http.ResponseWriter, r *http.Request) {
				token := s.idp.Sign(nil, claims{"iss": s.idp.Issuer, "aud": []string{s.idp.ClientID}, "sub": "ada", "name": "Countess", "email": "c@example.com", "email_verified": true})
				answers(200, "application/jwt; charset=utf-8", token+"\n")(w, r)
			})
			u := s.accepts(t, "/login/demo")
			if u.Name != "Countess" || u.Email != "c@example.com" || !u.EmailVerified {
				t.Errorf("got %+v", u)
			}
			if accept := s.idp.LastRequest(authtest.Userinfo).Header.Get("Accept"); !strings.Contains(accept, "application/jwt") {
				t.Errorf("asked for %q", accept)
			}
		})
	}
}

// TestClaimsOfBoth: OnLogin and KeepClaims see the two sources as one.
func TestClaimsOfBoth(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		always(s, o)
		o.KeepClaims = []string{"department", "badge", "address"}
		o.Providers[0].VerifyClaims = func(c map[string]any) error {
			if c["department"] != "engines" || c["iss"] != s.idp.Issuer {
				return errRefused
			}
			return nil
		}
	})
	s.idp.EditIDToken(func(_, c map[string]any) { c["badge"] = 9007199254740993 })
	s.idp.EditUserinfo(func(c map[string]any) { c["department"], c["address"] = "engines", claims{"country": "UK"} })
	s.engine.GET("/kept", s.auth.RequireAuth(ginauth.HasClaim("department", "engines"), ginauth.HasClaim("badge", "9007199254740993")), func(c *gin.Context) {
		kept, err := ginauth.Claims[struct {
			Badge   int64
			Address struct{ Country string }
			Name    string
		}](c)
		c.String(http.StatusOK, "%v %v", kept, err)
	})
	s.accepts(t, "/login/demo")
	if got := s.get("/kept").Text(); got != "{9007199254740993 {UK} } <nil>" {
		t.Errorf("kept %s", got)
	}
}
