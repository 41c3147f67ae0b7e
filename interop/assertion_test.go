package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/ginauth/ginauth"
)

// newClientKey makes a key that signs with one of these algorithms.
func newClientKey(t *testing.T, alg string) (key crypto.Signer) {
	t.Helper()
	var err error
	switch alg {
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// tryAssertions signs in with a key in place of the client's secret, and with one that the
// server does not know.
func tryAssertions(t *testing.T, with server, algs ...string) {
	for _, alg := range algs {
		t.Run(alg, func(t *testing.T) {
			s := newSite(t, with, config{authMethod: "private_key_jwt", key: newClientKey(t, alg)})
			for range 2 { // each assertion is new
				s.browser = s.newBrowser()
				wantAda(t, s.profileOn(s.logIn(s.loginForm("/private"), ada, password)))
			}
			for _, e := range s.auth.Diagnose(t.Context()).Problems {
				t.Error(e)
			}
		})
	}
	t.Run("a key that is not registered", func(t *testing.T) {
		s := newSite(t, with, config{authMethod: "private_key_jwt", key: newClientKey(t, algs[0]), change: func(p *ginauth.Provider, _ *ginauth.Options) {
			p.PrivateKey = newClientKey(t, algs[0])
		}})
		s.wantRefused(s.logIn(s.loginForm("/private"), ada, password), ginauth.ErrProviderMisconfigured)
	})
}
