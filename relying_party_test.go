package ginauth_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/rp"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// An *Error that a function of the application returns is the cause of a failure, and does not
// determine the response: errors.As would find it through any number of other errors.
func TestErrorsOfTheApplicationDoNotChooseTheAnswer(t *testing.T) {
	t.Parallel()
	own := &ginauth.Error{Code: ginauth.ErrStoreUnavailable, Op: "vault", Reason: "sealed"}
	for _, tc := range []struct {
		name   string
		code   ginauth.Code
		id     string
		change func(p *ginauth.Provider)
	}{
		{"ClientSecretFunc", ginauth.ErrProviderMisconfigured, "token.client_secret_func", func(p *ginauth.Provider) {
			p.ClientSecret = ""
			p.ClientSecretFunc = func(context.Context) (string, error) { return "", own }
		}},
		{"TokenIssuer", ginauth.ErrIDTokenInvalid, "jwt.issuer_not_admitted", func(p *ginauth.Provider) {
			p.TokenIssuer = func(map[string]any) (string, error) { return "", own }
		}},
		{"NormalizeToken", ginauth.ErrBadTokenResponse, "token.normalize", func(p *ginauth.Provider) {
			p.Quirks.NormalizeToken = func(http.Header, []byte) ([]byte, error) { return nil, own }
		}},
		{"VerifyClaims", ginauth.ErrIdentityRejected, "claims.rejected", func(p *ginauth.Provider) {
			p.VerifyClaims = func(map[string]any) error { return own }
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got *ginauth.Error
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				tc.change(&o.Providers[0])
				o.Hooks.OnError = func(_ *gin.Context, e *ginauth.Error) { got = e }
			})
			s.WantError(s.Get("/login/demo"), tc.code)
			if got == nil || got.Code != tc.code || got.ID != tc.id || !errors.Is(got, ginauth.ErrStoreUnavailable) {
				t.Errorf("got %+v, want %s with its cause", got, tc.id)
			}
		})
	}
}

// Profile interprets the provider's own error format: an *Error that it returns determines the
// response.
func TestAnErrorOfProfileIsTheAnswer(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, "", func(_ *sitetest.Site, p *ginauth.Provider) {
		p.UserinfoURL = ""
		p.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
			return nil, fmt.Errorf("profile: %w", &ginauth.Error{Code: ginauth.ErrIdentityRejected, ID: "shop.closed", Reason: "the shop is closed"})
		}
	})
	s.WantError(s.Get("/login/demo"), ginauth.ErrIdentityRejected)
	if log := s.Logs.String(); !strings.Contains(log, "id=shop.closed") {
		t.Errorf("the log does not have the id:\n%s", log)
	}
}

// Warm reports every problem of a provider, each as an *Error.
func TestWarmConvertsJoinedErrors(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) {
		s.IDP.EditMetadata(func(m map[string]any) {
			m["token_endpoint"], m["jwks_uri"] = "ftp://nowhere.example", 7
		})
	})
	err := s.Auth.Warm(t.Context())
	var list []*ginauth.Error
	var walk func(error)
	walk = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, err := range joined.Unwrap() {
				walk(err)
			}
		} else if e, ok := err.(*ginauth.Error); ok {
			list = append(list, e)
		} else {
			t.Errorf("%T is not an error of this package: %v", err, err)
		}
	}
	walk(err)
	ids := map[string]bool{}
	for _, e := range list {
		ids[e.ID] = true
	}
	if len(list) != 2 || !ids["discovery.endpoint_invalid"] || !ids["discovery.endpoint_missing"] {
		t.Errorf("got %v", err)
	}
}

// Every setting of a Provider must reach the relying party: a check that is
// configured and lost on the way (VerifyCallback, say) would pass everything.
func TestEverySettingReachesTheRelyingParty(t *testing.T) {
	var p ginauth.Provider
	fill(reflect.ValueOf(&p).Elem())
	got := reflect.ValueOf(ginauth.RelyingPartyConfig(p))
	for i := range got.NumField() {
		if got.Field(i).IsZero() {
			t.Errorf("rp.Config.%s is not set from a Provider that has every field set", got.Type().Field(i).Name)
		}
	}

	// Conversely, a field of Provider that the relying party lacks must be one that the root
	// package uses itself.
	ours := []string{"DisplayName", "Color", "Icon", "Logout", "LoginParams", "ClaimPaths", "EmailVerified", "NameFromCallback", "VerifyClaims", "Admits", "CallbackPath", "LoginPage", "APIs", "Recheck", "Preset", "Err"}
	for f := range reflect.TypeFor[ginauth.Provider]().Fields() {
		if _, there := got.Type().FieldByName(f.Name); !there && !slices.Contains(ours, f.Name) {
			t.Errorf("Provider.%s does not reach rp.Config; if the root uses it itself, say so here", f.Name)
		}
	}
}

// fill sets every exported field to something that is not its zero value.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int64:
			f.SetInt(1)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			if f.Type().Elem().Kind() == reflect.Struct {
				fill(f.Index(0))
			}
		case reflect.Map:
			m := reflect.MakeMap(f.Type())
			m.SetMapIndex(reflect.ValueOf("x"), reflect.Zero(f.Type().Elem()))
			f.Set(m)
		case reflect.Func:
			f.Set(reflect.MakeFunc(f.Type(), func([]reflect.Value) []reflect.Value { return nil }))
		case reflect.Interface:
			if f.Type() == reflect.TypeFor[crypto.Signer]() {
				f.Set(reflect.ValueOf(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))))
			}
		case reflect.Struct:
			fill(f)
		}
	}
}

// The codes of the relying party are codes of this package: an unknown code would result in 500.
func TestCodesOfTheRelyingPartyAreCodes(t *testing.T) {
	for _, code := range []rp.Code{
		rp.BadRequest, rp.IssuerMismatch, rp.StateInvalid, rp.ProviderDenied, rp.ProviderError, rp.CodeRejected, rp.ProviderMisconfigured,
		rp.ProviderUnavailable, rp.ProviderTimeout, rp.BadTokenResponse, rp.IDTokenInvalid, rp.UserinfoInvalid, rp.IdentityRejected, rp.LogoutTokenInvalid, rp.StepUpRequired,
	} {
		if (&ginauth.Error{Code: ginauth.Code(code)}).Status() == http.StatusInternalServerError {
			t.Errorf("%q is not a code of this package", code)
		}
	}
}
