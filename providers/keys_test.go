package providers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"sync"

	jose "github.com/go-jose/go-jose/v4"
)

var ecKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// signer is the key that a stand-in signs with.
func signer(alg string) crypto.Signer {
	if alg == "ES256" {
		return ecKey()
	}
	return signingKey()
}

// publicKeys are what it publishes of it.
func publicKeys(alg string) jose.JSONWebKeySet {
	key := jose.JSONWebKey{Key: signer(alg).Public(), KeyID: "test", Algorithm: "RS256", Use: "sig"}
	if alg == "ES256" {
		key.Algorithm = alg
	}
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}}
}
