package rp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// A provider may accept the token request only as a query.
func TestTokenByGET(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	s := sitetest.NewPlain(t, `{"id":7}`, func(_ *sitetest.Site, p *ginauth.Provider) {
		p.Quirks.TokenMethod, p.AuthMethod = "GET", "client_secret_post"
		p.Quirks.EditToken = func(form, _ url.Values) { form.Set("secret", form.Get("client_secret")); form.Del("client_secret") }
	})
	s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Clone(r.Context())
		sitetest.AnswerWith(200, "application/json", `{"access_token":"a","token_type":"bearer"}`)(w, r)
	})
	s.AcceptsSignIn(t, "/login/demo")
	q := seen.URL.Query()
	if seen.Method != http.MethodGet || seen.ContentLength != 0 || q.Get("secret") != s.IDP.ClientSecret || q.Has("client_secret") ||
		q.Get("code_verifier") == "" || q.Get("grant_type") != "authorization_code" || seen.Header.Get("Content-Type") != "" {
		t.Errorf("%s %v %v", seen.Method, q, seen.Header)
	}
}

// Then the secret is in the URL, which no error may quote.
func TestTokenByGETFails(t *testing.T) {
	for _, fault := range []authtest.Fault{authtest.Resetting, authtest.Redirecting, authtest.Endless} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			s := sitetest.NewPlain(t, `{"id":7}`, func(_ *sitetest.Site, p *ginauth.Provider) {
				p.Quirks.TokenMethod, p.AuthMethod = "GET", "client_secret_post"
			})
			s.IDP.Fail(authtest.Token, fault)
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, "", 1)
		})
	}
}

func TestAuthorizeFragment(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, `{"id":7}`, func(_ *sitetest.Site, p *ginauth.Provider) { p.Quirks.AuthorizeFragment = "wechat_redirect" })
	if to := s.Open("/login/demo").Header.Get("Location"); !strings.HasSuffix(to, "#wechat_redirect") {
		t.Errorf("sent to %s", to)
	}
	s.AcceptsSignIn(t, "/login/demo")
}

func TestVerifyCallback(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].VerifyCallback = func(callback url.Values) error {
			if callback.Get("hmac") != "good" {
				return errors.New("hmac does not fit")
			}
			return nil
		}
	})
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderError, "response.verify_callback", 0)
	sitetest.WantNames(t, s.Logs.String(), "hmac does not fit")
	s.IDP.EditAnswer(func(answer url.Values) { answer.Set("hmac", "good") })
	s.AcceptsSignIn(t, "/login/demo")
}

// An unsigned name is used if the signed one is missing, and only as a name.
func TestNameFromCallback(t *testing.T) {
	for _, tt := range []struct{ name, sent, signed, want string }{
		{"where there is none", "Ada King", "", "Ada King"},
		{"beside a verified one", "Mallory", "Ada Lovelace", "Ada Lovelace"},
		{"with a line break", "Ada\nKing", "", ""},
		{"too long", strings.Repeat("a", 201), "", ""},
		{"no UTF-8", "Ada\xff", "", ""},
		{"of spaces", "   ", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].Userinfo = "never"
				o.Providers[0].NameFromCallback = func(url.Values) string { return tt.sent }
				o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
					all := sitetest.Claims{}
					if err := login.User.Claims(&all); err != nil {
						return err
					}
					if _, there := all["name"]; there != (tt.want != "") {
						t.Errorf("the claims have a name: %v", there)
					}
					return nil
				}
			})
			s.IDP.EditIDToken(func(_, c map[string]any) {
				delete(c, "given_name")
				delete(c, "family_name")
				sitetest.Put(c, "name", nil)
				if tt.signed != "" {
					c["name"] = tt.signed
				}
			})
			if u := s.AcceptsSignIn(t, "/login/demo"); u.Name != tt.want || u.Subject != "ada" || u.Email != "ada@example.com" {
				t.Errorf("got %+v", u)
			}
		})
	}
}

// Profile replaces the userinfo endpoint, and the same checks apply.
func TestProfileBesideAnIssuer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mode    string
		profile map[string]any
		err     error
		code    ginauth.Code // "" if the sign-in succeeds
		email   string
	}{
		{"adds what is missing", "missing", map[string]any{"sub": "ada", "email": "ada@kakao.example", "email_verified": true}, nil, "", "ada@kakao.example"},
		{"is about another person", "missing", map[string]any{"sub": "eve", "email": "eve@example.com"}, nil, ginauth.ErrUserinfoInvalid, ""},
		{"is about nobody", "always", map[string]any{"email": "eve@example.com"}, nil, ginauth.ErrUserinfoInvalid, ""},
		{"can be read in two ways", "missing", map[string]any{"sub": "ada", "Email": "eve@example.com"}, nil, ginauth.ErrIdentityRejected, ""},
		{"refuses", "missing", nil, &ginauth.Error{Code: ginauth.ErrIdentityRejected}, ginauth.ErrIdentityRejected, ""},
		{"is away, and nobody insists", "missing", nil, sitetest.ErrRefused, "", ""},
		{"is away, and is needed", "always", nil, sitetest.ErrRefused, ginauth.ErrProviderUnavailable, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].Userinfo = tt.mode
				o.Providers[0].Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) { return tt.profile, tt.err }
			})
			s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "email"); delete(c, "email_verified") })
			if tt.code != "" {
				s.RefusesSignIn(t, "/login/demo", tt.code, "", 1)
			} else if u := s.AcceptsSignIn(t, "/login/demo"); u.Email != tt.email || u.EmailVerified != (tt.email != "") || u.Name != "Ada Lovelace" {
				t.Errorf("got %+v", u)
			}
			if n := s.IDP.Count(authtest.Userinfo); n != 0 {
				t.Errorf("userinfo was called %d times", n)
			}
		})
	}
}
