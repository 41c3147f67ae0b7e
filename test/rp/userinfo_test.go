package rp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// exact is a number that is encoded without rounding.
type exact float64

func (exact) MarshalJSON() ([]byte, error) { return []byte(`"1152921504606846976"`), nil }

// TestProfileFuncWithRoundedNumbers: encoding/json decodes numbers as float64, in which
// 9007199254740993 and 9007199254740992 would be the same user.
func TestProfileFuncWithRoundedNumbers(t *testing.T) {
	decoded := func(text string) map[string]any {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	type row struct{ ID, hidden float64 }
	self := &row{}
	type within struct{ row }
	type unwritten struct {
		ID float64 `json:"-"`
	}
	for _, tt := range []struct {
		name    string
		profile map[string]any
		subject string // "" if it is rejected
	}{
		{"an id above 2^53", decoded(`{"sub":9007199254740993}`), ""},
		{"an id of 2^53, which may have been another", decoded(`{"sub":9007199254740992}`), ""},
		{"an id below -2^53", decoded(`{"sub":-9007199254740993}`), ""},
		{"an id of 2^53-1", decoded(`{"sub":9007199254740991}`), "9007199254740991"},
		{"far within", decoded(`{"sub":7,"a":{"b":[{"c":1e300}]}}`), ""},
		{"a fraction", decoded(`{"sub":7,"a":0.25}`), "7"},
		{"half the digits", map[string]any{"sub": float32(16777217)}, ""},
		{"half the digits, few used", map[string]any{"sub": float32(16777215)}, "16777215"},
		{"a list of its own type", map[string]any{"sub": 7, "ids": []float64{1 << 60}}, ""},
		{"a map of its own type", map[string]any{"sub": 7, "ids": map[string]float64{"a": 1 << 60}}, ""},
		{"a struct", map[string]any{"sub": 7, "row": &row{ID: 1 << 60}}, ""},
		{"an array", map[string]any{"sub": 7, "ids": [1]float64{1 << 60}}, ""},
		{"a struct within a struct", map[string]any{"sub": 7, "row": within{row{ID: 1 << 60}}}, ""},
		{"a field that is tagged away", map[string]any{"sub": 7, "row": unwritten{1 << 60}}, "7"},
		{"a field that is not written", map[string]any{"sub": 7, "row": row{hidden: 1 << 60}}, "7"},
		{"nothing behind a pointer", map[string]any{"sub": 7, "row": (*row)(nil), "self": self, "none": nil}, "7"},
		{"an int64", map[string]any{"sub": int64(9007199254740993)}, "9007199254740993"},
		{"a json.Number", map[string]any{"sub": json.Number("9007199254740993")}, "9007199254740993"},
		{"a number that writes itself", map[string]any{"sub": 7, "ids": exact(1 << 60)}, "7"},
		{"a type that writes itself", map[string]any{"sub": 7, "at": time.Unix(1<<33, 0)}, "7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.NewPlain(t, "", func(_ *sitetest.Site, p *ginauth.Provider) {
				p.UserinfoURL, p.ClaimPaths = "", nil
				p.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) { return tt.profile, nil }
			})
			if tt.subject == "" {
				s.RefusesSignIn(t, "/login/demo", ginauth.ErrIdentityRejected, "profile.float", 1)
				return
			}
			if u := s.AcceptsSignIn(t, "/login/demo"); u.Subject != tt.subject {
				t.Errorf("got %q", u.Subject)
			}
		})
	}
}

// Unavailable keys are not reported as a fault of signed userinfo.
func TestSignedUserinfoAndKeysThatCannotBeHad(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, sitetest.UserinfoAlways)
	s.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, r *http.Request) {
		s.IDP.Fail(authtest.JWKS, authtest.Down)
		sitetest.AnswerWith(http.StatusOK, "application/jwt", sitetest.SignJWT(sitetest.StrangerKey(), sitetest.Claims{"alg": "RS256", "kid": "newer"}, `{"sub":"ada"}`))(w, r)
	})
	s.WantError(s.Get("/login/demo"), ginauth.ErrProviderUnavailable)
}

// The log has the response that a plain OAuth 2.0 provider sends instead of a profile.
func TestProfilesThatAreNone(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, "", nil)
	s.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(http.StatusInternalServerError, "application/json", `{"id":7}`))
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, "http.status", 1)

	s = sitetest.NewPlain(t, "", func(_ *sitetest.Site, p *ginauth.Provider) {
		p.UserinfoURL = ""
		p.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
			return map[string]any{"sub": "7", "at": make(chan int)}, nil
		}
	})
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrIdentityRejected, "profile.unwritable", 1)
}

// A Profile can set another form of Authorization than the standard's.
func TestProfileWithItsOwnAuthorization(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	s := sitetest.NewPlain(t, "", func(s *sitetest.Site, p *ginauth.Provider) {
		p.UserinfoURL, p.ClaimPaths = "", nil
		p.Profile = func(ctx context.Context, client *http.Client, _ *oauth2.Token) (map[string]any, error) {
			r, err := http.NewRequestWithContext(ctx, "GET", s.IDP.URL(authtest.Userinfo), nil)
			if err != nil {
				return nil, err
			}
			r.Header.Set("Authorization", "token of-its-own")
			answer, err := client.Do(r)
			if err != nil {
				return nil, err
			}
			return map[string]any{"sub": "7"}, answer.Body.Close()
		}
	})
	s.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("Authorization") })
	s.SignIn()
	if got := <-seen; got != "token of-its-own" {
		t.Errorf("the provider saw %q", got)
	}
}

// If the ID token has all claims of the scopes, userinfo is not requested, even if all claims
// are kept.
func TestNoUserinfoForWhatIsThere(t *testing.T) {
	t.Parallel()
	all := strings.Fields("family_name given_name middle_name nickname profile website gender birthdate zoneinfo updated_at")
	for _, missing := range append(all, "") {
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"*"} })
		var asked atomic.Bool
		s.IDP.EditUserinfo(func(sitetest.Claims) { asked.Store(true) })
		s.IDP.EditIDToken(func(_, c sitetest.Claims) {
			for _, name := range append(all, "name", "preferred_username", "picture", "locale", "email") {
				c[name] = "https://example.com/" + name
			}
			c["email"], c["email_verified"] = "ada@example.com", true
			delete(c, missing)
		})
		s.AcceptsSignIn(t, "/login/demo")
		if asked.Load() != (missing != "") {
			t.Errorf("without %q, userinfo was requested: %v", missing, asked.Load())
		}
	}
}

// Invalid userinfo fails the sign-in, also if it was requested only for a missing claim.
func TestMissingClaimsAndUserinfoThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.IDP.EditIDToken(func(_, c sitetest.Claims) { delete(c, "name") })
	s.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(http.StatusOK, "application/json", `{"sub":`))
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrUserinfoInvalid, "profile.json", 1)
}

// Provider.Profile supplies userinfo, also if the provider has no userinfo endpoint.
func TestProfileInPlaceOfAnEndpoint(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		p := &o.Providers[0]
		p.AuthorizeURL, p.TokenURL, p.JWKSURL = s.IDP.Issuer+"/authorize", s.IDP.Issuer+"/token", s.IDP.Issuer+"/jwks"
		p.Userinfo = "always"
		p.Profile = func(_ context.Context, _ *http.Client, token *oauth2.Token) (map[string]any, error) {
			return map[string]any{"sub": "ada", "zoneinfo": "UTC"}, nil
		}
		o.KeepClaims = []string{"zoneinfo"}
	})
	s.Engine.GET("/zone", s.Auth.RequireAuth(ginauth.HasClaim("zoneinfo", "UTC")), func(c *gin.Context) { c.Status(http.StatusOK) })
	s.SignIn()
	if p := s.Ask("GET", "/zone", sitetest.Fetch...); p.Status != http.StatusOK {
		t.Errorf("the response is %d: %s", p.Status, p.Text())
	}
}

// TestWhenUserinfoIsAsked: the ID token of these sign-ins has the claims for all fields of User,
// except the one in lacking.
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
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				p := &o.Providers[0]
				p.Userinfo, p.Scopes, p.ClaimPaths, o.KeepClaims = tt.mode, tt.scopes, tt.paths, tt.keep
			})
			s.IDP.EditIDToken(func(_, c map[string]any) {
				c["extra"] = sitetest.Claims{"teams": []string{"a"}, "display": "Ada"}
				delete(c, tt.lacking)
			})
			s.AcceptsSignIn(t, "/login/demo")
			if got := s.IDP.Count(authtest.Userinfo); got != tt.asked {
				t.Errorf("called %d times, want %d", got, tt.asked)
			}
		})
	}
}

func TestNoUserinfoEndpoint(t *testing.T) {
	for mode, code := range map[string]ginauth.Code{"missing": "", "never": "", "always": ginauth.ErrProviderMisconfigured} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = mode })
			s.IDP.EditMetadata(func(m map[string]any) { delete(m, "userinfo_endpoint") })
			s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "name") })
			if code == "" {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", code, "userinfo.no_endpoint", 1)
		})
	}
}

func TestThinIDToken(t *testing.T) {
	t.Parallel()
	s := sitetest.NewWith(t, authtest.Config{ThinIDToken: true}, nil)
	u := s.AcceptsSignIn(t, "/login/demo")
	if u.Name != "Ada Lovelace" || u.Email != "ada@example.com" || !u.EmailVerified || u.Username != "ada" || u.Locale != "en-GB" || fmt.Sprint(u.Groups) != "[admin staff]" {
		t.Errorf("got %+v", u)
	}
}

// TestVerifiedFlagStaysWithItsAddress: email_verified of one source does not apply to the
// address of the other.
func TestVerifiedFlagStaysWithItsAddress(t *testing.T) {
	for _, tt := range []struct {
		name          string
		token, info   sitetest.Claims // email and email_verified of each source
		email         string
		verified      bool
		phoneVerified any // the same for phone_number
	}{
		{"the same address", sitetest.Claims{"email": "a@x"}, sitetest.Claims{"email": "a@x", "email_verified": true}, "a@x", true, true},
		{"another address", sitetest.Claims{"email": "a@x"}, sitetest.Claims{"email": "b@x", "email_verified": true}, "a@x", false, nil},
		{"the same in other case", sitetest.Claims{"email": "a@x"}, sitetest.Claims{"email": "A@x", "email_verified": true}, "a@x", false, nil},
		{"a flag without an address", sitetest.Claims{"email": "a@x"}, sitetest.Claims{"email_verified": true}, "a@x", false, nil},
		{"the token's own flag", sitetest.Claims{"email": "a@x", "email_verified": false}, sitetest.Claims{"email": "a@x", "email_verified": true}, "a@x", false, false},
		{"the token's flag without an address", sitetest.Claims{"email_verified": true}, sitetest.Claims{"email": "b@x"}, "", false, true},
		{"the token's flag, and another one", sitetest.Claims{"email_verified": true}, sitetest.Claims{"email": "b@x", "email_verified": false}, "", false, true},
		{"the userinfo alone", sitetest.Claims{}, sitetest.Claims{"email": "b@x", "email_verified": true}, "b@x", true, true},
		{"the userinfo alone, not verified", sitetest.Claims{}, sitetest.Claims{"email": "b@x", "email_verified": false}, "b@x", false, false},
		{"the token alone", sitetest.Claims{"email": "a@x", "email_verified": true}, sitetest.Claims{}, "a@x", true, true},
		{"lists", sitetest.Claims{"email": []string{"a@x"}}, sitetest.Claims{"email": []string{"a@x"}, "email_verified": true}, "", false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan sitetest.Claims, 1)
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				sitetest.UserinfoAlways(s, o)
				o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
					var c sitetest.Claims
					err := login.User.Claims(&c)
					got <- c
					return err
				}
			})
			lay := func(over, own sitetest.Claims) {
				delete(over, "email")
				delete(over, "email_verified")
				for name, value := range own {
					over[name] = value
					over[strings.Replace(name, "email", "phone_number", 1)] = value
				}
			}
			s.IDP.EditIDToken(func(_, c map[string]any) { lay(c, tt.token) })
			s.IDP.EditUserinfo(func(c map[string]any) { lay(c, tt.info) })
			u := s.AcceptsSignIn(t, "/login/demo")
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
			s := sitetest.NewWith(t, authtest.Config{SigningAlg: alg, ThinIDToken: true}, nil)
			s.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, r *http.Request) {
				token := s.IDP.Sign(nil, sitetest.Claims{"iss": s.IDP.Issuer, "aud": []string{s.IDP.ClientID}, "sub": "ada", "name": "Countess", "email": "c@example.com", "email_verified": true})
				sitetest.AnswerWith(200, "application/jwt; charset=utf-8", token+"\n")(w, r)
			})
			u := s.AcceptsSignIn(t, "/login/demo")
			if u.Name != "Countess" || u.Email != "c@example.com" || !u.EmailVerified {
				t.Errorf("got %+v", u)
			}
			if accept := s.IDP.LastRequest(authtest.Userinfo).Header.Get("Accept"); !strings.Contains(accept, "application/jwt") {
				t.Errorf("requested %q", accept)
			}
		})
	}
}

// TestClaimsOfBoth: OnLogin and KeepClaims receive the merged claims of both sources.
func TestClaimsOfBoth(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.UserinfoAlways(s, o)
		o.KeepClaims = []string{"department", "badge", "address"}
		o.Providers[0].VerifyClaims = func(c map[string]any) error {
			if c["department"] != "engines" || c["iss"] != s.IDP.Issuer {
				return sitetest.ErrRefused
			}
			return nil
		}
	})
	s.IDP.EditIDToken(func(_, c map[string]any) { c["badge"] = 9007199254740993 })
	s.IDP.EditUserinfo(func(c map[string]any) { c["department"], c["address"] = "engines", sitetest.Claims{"country": "UK"} })
	s.Engine.GET("/kept", s.Auth.RequireAuth(ginauth.HasClaim("department", "engines"), ginauth.HasClaim("badge", "9007199254740993")), func(c *gin.Context) {
		kept, err := ginauth.Claims[struct {
			Badge   int64
			Address struct{ Country string }
			Name    string
		}](c)
		c.String(http.StatusOK, "%v %v", kept, err)
	})
	s.AcceptsSignIn(t, "/login/demo")
	if got := s.Get("/kept").Text(); got != "{9007199254740993 {UK} } <nil>" {
		t.Errorf("kept %s", got)
	}
}
