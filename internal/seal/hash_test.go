package seal_test

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"testing"

	"github.com/ginauth/ginauth/internal/seal"
)

func hasher(t testing.TB, secret string) *seal.Hasher {
	t.Helper()
	h, err := seal.NewHasher(secret)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The hash is the one that docs/observability.md documents, so that other programs can compute it.
func TestHash(t *testing.T) {
	t.Parallel()
	key, err := hkdf.Key(sha256.New, []byte(first), nil, "ginauth hash v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	h := hasher(t, first)
	var wait sync.WaitGroup
	for _, id := range []string{"", "https://github.com#583231", "https://github.com#583232"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id))
		want := hex.EncodeToString(mac.Sum(nil)[:8])
		for range 4 {
			wait.Go(func() {
				if got := h.Hash(id[:len(id)/2], id[len(id)/2:]); got != want {
					t.Errorf("%q is %s, want %s", id, got, want)
				}
			})
		}
	}
	wait.Wait()
	if hasher(t, second).Hash("x") == h.Hash("x") {
		t.Error("two secrets make the same hash")
	}
}
