package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"
)

const hashSize = 8 // bytes of the truncated hash

// Hasher replaces ids with keyed hashes, which cannot be computed without the secret:
// HMAC-SHA256, truncated to 64 bits. A hash without a key would not suffice: ids are often small
// numbers, all of which can be tried within a second. It is safe for concurrent use.
type Hasher struct{ pool sync.Pool }

// hashing is a MAC with its buffers. They are pooled with it, since arguments of an interface
// method escape to the heap.
type hashing struct {
	mac     hash.Hash
	id, sum []byte
}

// NewHasher returns the Hasher of a secret.
func NewHasher(secret string) (*Hasher, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "ginauth hash v1", sha256.Size)
	if err != nil {
		return nil, err
	}
	return &Hasher{sync.Pool{New: func() any { return &hashing{mac: hmac.New(sha256.New, key)} }}}, nil
}

// Hash returns the hash of the concatenated parts of an id, in hexadecimal.
func (h *Hasher) Hash(id ...string) string {
	w := h.pool.Get().(*hashing)
	defer h.pool.Put(w)
	w.id = w.id[:0]
	for _, part := range id {
		w.id = append(w.id, part...)
	}
	w.mac.Reset()
	w.mac.Write(w.id) // never fails: package hash
	w.sum = w.mac.Sum(w.sum[:0])
	var text [2 * hashSize]byte
	hex.Encode(text[:], w.sum[:hashSize])
	return string(text[:])
}
