package faults

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsClientKey(t *testing.T) {
	runFaults(t, []fault{
		{"C23_client_assertion", c23ClientAssertion},
		{"Q1_each_assertion_is_new", q1EachAssertionIsNew},
		{"Q2_one_key_for_two_providers", q2OneKeyForTwoProviders},
	})
}

func clientKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// claimsOf verifies the assertion of a token request, and returns its claims.
func claimsOf(t *testing.T, r authtest.Request, key crypto.Signer) (claims map[string]any) {
	t.Helper()
	token, err := jose.ParseSignedCompact(r.Form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := token.Verify(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func c23ClientAssertion(t *testing.T) {
	key := clientKey(t)
	s := sitetest.NewWith(t, authtest.Config{ClientKey: key}, nil)
	s.AcceptsSignIn(t, "/login/demo")
	r := s.IDP.LastRequest(authtest.Token)
	claims := claimsOf(t, r, key)
	now := float64(s.Clock.Now().Unix())
	if claims["aud"] != s.IDP.Issuer || claims["iss"] != s.IDP.ClientID || claims["sub"] != s.IDP.ClientID || claims["exp"] != now+60 {
		t.Errorf("the claims are %v", claims)
	}
	if r.Header.Get("Authorization") != "" || r.Form.Has("client_secret") {
		t.Errorf("the client authenticates in two ways: %v", r.Form)
	}
	if r.Form.Get("client_assertion") == "" || r.URL.RawQuery != "" {
		t.Errorf("the assertion stands in %s", r.URL)
	}
	if strings.Contains(s.Logs.String(), r.Form.Get("client_assertion")) {
		t.Error("the log has the assertion")
	}
	secret, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	number := new(big.Int).SetBytes(secret).String()
	for _, text := range []string{fmt.Sprintf("%v", s.IDP.Client("demo")), fmt.Sprintf("%+v", s.IDP.Client("demo")), fmt.Sprintf("%#v", s.IDP.Client("demo"))} {
		if strings.Contains(text, number) || strings.Contains(text, fmt.Sprintf("%x", secret)) || !strings.Contains(text, "[redacted]") {
			t.Errorf("the Provider prints as %s", text)
		}
	}

	t.Run("a key that is not registered", func(t *testing.T) {
		s := sitetest.NewWith(t, authtest.Config{ClientKey: key}, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].PrivateKey = clientKey(t) })
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderMisconfigured, "token.invalid_client", 1)
	})
	t.Run("a provider that says the assertion again", func(t *testing.T) {
		s := sitetest.NewWith(t, authtest.Config{ClientKey: key}, nil)
		said := ""
		s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
			said = r.PostFormValue("client_assertion")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": "bad assertion " + said})
		})
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderMisconfigured, "token.invalid_client", 1, said)
		if _, signature, _ := strings.Cut(said, "."); signature == "" || strings.Contains(s.Logs.String(), signature[:40]) {
			t.Error("the log has a part of the assertion")
		}
	})
	t.Run("a platform that has none", func(t *testing.T) {
		s := sitetest.NewWith(t, authtest.Config{ClientKey: key}, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].PrivateKey, o.Providers[0].AuthMethod = nil, "private_key_jwt"
			o.Providers[0].ClientSecretFunc = func(context.Context) (string, error) { return "", errors.New("no token is mounted") }
		})
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderMisconfigured, "token.client_secret_func", 0)
	})
	t.Run("a platform that has one", func(t *testing.T) {
		s := sitetest.NewWith(t, authtest.Config{ClientKey: key}, func(s *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].PrivateKey, o.Providers[0].AuthMethod = nil, "private_key_jwt"
			o.Providers[0].ClientSecretFunc = func(context.Context) (string, error) {
				signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: cryptosigner.Opaque(key)}, nil)
				if err != nil {
					return "", err
				}
				claims, err := json.Marshal(map[string]any{"iss": s.IDP.ClientID, "sub": s.IDP.ClientID, "aud": s.IDP.Issuer, "jti": rand.Text(), "exp": s.Clock.Now().Add(time.Minute).Unix()})
				if err != nil {
					return "", err
				}
				token, err := signer.Sign(claims)
				if err != nil {
					return "", err
				}
				return token.CompactSerialize()
			}
		})
		s.AcceptsSignIn(t, "/login/demo")
	})
}

func q1EachAssertionIsNew(t *testing.T) {
	key := clientKey(t)
	s := sitetest.NewWith(t, authtest.Config{ClientKey: key}, nil)
	seen := map[any]bool{}
	for i := range 5 {
		if i == 3 { // a failed request uses up its assertion, too
			s.IDP.Fail(authtest.Token, authtest.ServerError)
			s.Get("/login/demo")
			s.IDP.Fail(authtest.Token, "")
		} else {
			s.Browser = s.NewBrowser()
			s.AcceptsSignIn(t, "/login/demo")
		}
		jti := claimsOf(t, s.IDP.LastRequest(authtest.Token), key)["jti"]
		if id, _ := jti.(string); len(id) < 16 || seen[jti] {
			t.Errorf("jti %v", jti)
		}
		seen[jti] = true
	}
}

func q2OneKeyForTwoProviders(t *testing.T) {
	elliptic := clientKey(t)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"a pointer": elliptic, "a value": edwards, "a signer around it": struct{ crypto.Signer }{elliptic}} {
		t.Run(name, func(t *testing.T) {
			first := crypto.Signer(elliptic)
			if name == "a value" {
				first = edwards
			}
			sitetest.WantInvalid(t, sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) {
				o.Providers = []ginauth.Provider{keyedProvider("a", first), keyedProvider("b", key)}
			})), "provider.private_key.shared")
		})
	}
	s := sitetest.New(t, nil)
	before := s.IDP.Client("demo")
	err = s.Auth.SetProviders([]ginauth.Provider{before, keyedProvider("a", elliptic), keyedProvider("b", elliptic)})
	sitetest.WantInvalid(t, err, "provider.private_key.shared")
	s.AcceptsSignIn(t, "/login/demo")
}

func keyedProvider(name string, key crypto.Signer) ginauth.Provider {
	return ginauth.Provider{Name: name, Issuer: "https://" + name + ".example", ClientID: "web", PrivateKey: key}
}
