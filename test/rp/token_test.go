package rp

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// OnLogin receives a refresh token only if it is a string of acceptable length.
func TestOddRefreshTokens(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"a number": 7, "a list": []string{"a"}, "too long": strings.Repeat("r", 64<<10+1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, token := sitetest.NewWithToken(t)
			s.IDP.EditToken(func(a map[string]any) { a["refresh_token"] = value })
			s.AcceptsSignIn(t, "/login/demo")
			if got := token(); got.RefreshToken != "" || got.Extra("refresh_token") != nil {
				t.Errorf("OnLogin got %.20q, %.20v", got.RefreshToken, got.Extra("refresh_token"))
			}
		})
	}
}

// Twitch's scopes are a list; OnLogin receives them in standard form.
func TestScopesAsAList(t *testing.T) {
	t.Parallel()
	s, token := sitetest.NewWithToken(t)
	s.IDP.EditToken(func(a map[string]any) { a["scope"] = []string{"openid", "email"} })
	s.AcceptsSignIn(t, "/login/demo")
	if got := token().Extra("scope"); got != "openid email" {
		t.Errorf("OnLogin got %v", got)
	}
}

// An error code that the standard does not define may echo the authorization code or the secret:
// it is not repeated.
func TestLongErrorCodesAreNotRepeated(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	long := strings.Repeat("abc", 21)
	s.IDP.Handle(authtest.Token, sitetest.AnswerWith(400, "application/json", `{"error":"`+long+`"}`))
	s.Get("/login/demo")
	if text := s.Logs.String(); strings.Contains(text, long) || !strings.Contains(text, "id=token.error ") {
		t.Errorf("the log is\n%s", text)
	}
}

// The meaning of the token endpoint's error codes, including those of single providers; the log
// names each.
func TestErrorCodesOfTokenEndpoints(t *testing.T) {
	t.Parallel()
	for said, tt := range map[string]struct {
		code ginauth.Code
		id   string
	}{
		"invalid_grant":                {ginauth.ErrCodeRejected, "token.invalid_grant"},
		"bad_verification_code":        {ginauth.ErrCodeRejected, "token.invalid_grant"},
		"invalid_client":               {ginauth.ErrProviderMisconfigured, "token.invalid_client"},
		"unauthorized_client":          {ginauth.ErrProviderMisconfigured, "token.invalid_client"},
		"incorrect_client_credentials": {ginauth.ErrProviderMisconfigured, "token.invalid_client"},
		"redirect_uri_mismatch":        {ginauth.ErrProviderMisconfigured, "token.redirect_uri_mismatch"},
		"temporarily_unavailable":      {ginauth.ErrProviderUnavailable, "token.unavailable"},
		"server_error":                 {ginauth.ErrProviderUnavailable, "token.unavailable"},
		"another":                      {ginauth.ErrProviderError, "token.error"},
		"":                             {ginauth.ErrProviderError, "token.error"},
		"a code, sent back":            {ginauth.ErrProviderError, "token.error"},
	} {
		s := sitetest.New(t, nil)
		s.IDP.Handle(authtest.Token, sitetest.AnswerWith(http.StatusBadRequest, "application/json", sitetest.JSON(sitetest.Claims{"error": said})))
		s.RefusesSignIn(t, "/login/demo", tt.code, tt.id, 1)
		standard := said != "" && !strings.Contains(said, ",")
		if named := strings.Contains(s.Logs.String(), `returned \"`+said+`\"`); named != standard {
			t.Errorf("the log names %q: %v\n%s", said, named, s.Logs)
		}
	}
}

// The log names a failing NormalizeToken.
func TestNormalizeTokenThatFails(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Quirks.NormalizeToken = func(http.Header, []byte) ([]byte, error) { return nil, errors.New("odd") }
	})
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrBadTokenResponse, "token.normalize", 1)
}

// A token request may be a GET without other changes.
func TestTokenByGETAlone(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Quirks.TokenMethod = http.MethodGet })
	method := ""
	s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		method = r.Method + " " + r.URL.Query().Get("grant_type")
		http.Error(w, "", http.StatusTeapot)
	})
	s.WantError(s.Get("/login/demo"), ginauth.ErrBadTokenResponse)
	if method != "GET authorization_code" {
		t.Errorf("requested with %q", method)
	}
}

// EditToken receives the client id only if it is sent in the form.
func TestEditTokenSeesWhatIsSent(t *testing.T) {
	t.Parallel()
	var seen url.Values
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].AuthMethod = "client_secret_basic"
		o.Providers[0].Quirks.EditToken = func(form, _ url.Values) { seen = form }
	})
	s.AcceptsSignIn(t, "/login/demo")
	if seen.Has("client_id") || !seen.Has("code") {
		t.Errorf("saw %v", seen)
	}
}

// Without a Date header, no error claims that the provider's clock differs.
func TestTokenAnswersWithoutADate(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.IDP.EditIDToken(func(_, c sitetest.Claims) { c["exp"] = s.Clock.Now().Add(-time.Hour).Unix() })
	s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		s.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "jwt.expired", 1)
	if strings.Contains(s.Logs.String(), "the provider's") {
		t.Error(s.Logs)
	}
}
