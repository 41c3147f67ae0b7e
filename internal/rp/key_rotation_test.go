package rp_test

import (
	"crypto/elliptic"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

// TestNewKeyUnderAnOldKid: a provider that starts anew, in development, makes a new
// key and calls it as before.
func TestNewKeyUnderAnOldKid(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	for _, s := range []*signer{otherRSA().as("rsa", "RS256"), newEC("rsa", "ES256", elliptic.P256()), rsaKey()} {
		p.signer = s
		p.mustSignIn(c)
	}
	if n := len(p.requests(pathKeys)); n != 4 {
		t.Errorf("the keys were fetched %d times, want 4", n)
	}
	// Logout tokens are opened by the same keys.
	p.signer = otherRSA().as("rsa", "RS256")
	if _, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, nil)); err != nil {
		t.Error(err)
	}
}

// TestWrongSignaturesAreNoFlood: anyone can send a token with a kid that is known.
func TestWrongSignaturesAreNoFlood(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	forged := otherRSA().as("rsa", "RS256")
	forge := func() error {
		_, err := c.VerifyLogoutToken(t.Context(), forged.sign(map[string]any{"alg": "RS256", "kid": "rsa"}, p.idClaims()))
		return err
	}
	for range 20 {
		wantError(t, forge(), rp.LogoutTokenInvalid, "jwt.signature")
	}
	if n := len(p.requests(pathKeys)); n != 2 {
		t.Errorf("the keys were fetched %d times, want 2", n)
	}
	p.clock.add(16 * time.Second)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _ = forge() })
	}
	all.Wait()
	if n := len(p.requests(pathKeys)); n != 3 {
		t.Errorf("the keys were fetched %d times, want 3", n)
	}
	p.mustSignIn(c)
}

// TestWrongSignatureOfTheFirstToken: keys that were fetched for this very token are
// not fetched again.
func TestWrongSignatureOfTheFirstToken(t *testing.T) {
	p := newProvider(t)
	p.keys = []any{otherRSA().as("rsa", "RS256").jwk()}
	_, err := p.signIn(p.client())
	wantError(t, err, rp.IDTokenInvalid, "jwt.signature")
	if n := len(p.requests(pathKeys)); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

// TestWrongSignatureInAnOutage: the keys that are known still say that it is wrong,
// and verify what is right.
func TestWrongSignatureInAnOutage(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.on(pathKeys, answering(http.StatusServiceUnavailable, "text/plain", "down"))
	p.signer = otherRSA().as("rsa", "RS256")
	_, err := p.signIn(c)
	wantError(t, err, rp.IDTokenInvalid, "jwt.signature")
	p.signer = rsaKey()
	p.mustSignIn(c)
}
