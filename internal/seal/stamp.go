package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
)

const (
	// FactSize is the size of the fact in a stamp, in bytes.
	FactSize = 8
	// StampSize is the size of a stamp, in bytes: a multiple of three, so that each stamp has
	// one encoding in base64.
	StampSize = FactSize + 4
	// SubjectSize is the size of a fact's subject, in bytes.
	SubjectSize = 32

	keySize = sha256.Size
)

// Stamps authenticates a few bytes with a keyed SHA-256 that is truncated to 32 bits, since a
// stamp is part of a URL. An attacker can forge one with considerable effort: use it only for
// messages.
type Stamps struct{ keys [][keySize]byte }

// NewStamps returns the Stamps of one audience. It makes stamps with the first secret, and reads
// those of each secret.
func NewStamps(secrets []string, audience string) (*Stamps, error) {
	s := &Stamps{}
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, "ginauth stamp v1 "+audience, keySize)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, [keySize]byte(key))
	}
	return s, nil
}

// Make returns the stamp for a fact about subject.
func (s *Stamps) Make(fact [FactSize]byte, subject [SubjectSize]byte) (stamp [StampSize]byte) {
	copy(stamp[:], fact[:])
	sum := tag(s.keys[0], fact, subject)
	copy(stamp[FactSize:], sum[:])
	return stamp
}

// Read returns the fact of a stamp, and whether the stamp was made for subject under one of the
// secrets.
func (s *Stamps) Read(stamp [StampSize]byte, subject [SubjectSize]byte) (fact [FactSize]byte, ok bool) {
	fact = [FactSize]byte(stamp[:])
	for _, key := range s.keys {
		if sum := tag(key, fact, subject); subtle.ConstantTimeCompare(stamp[FactSize:], sum[:]) == 1 {
			return fact, true
		}
	}
	return fact, false
}

// tag returns the truncated SHA-256 of key, fact and subject. HMAC, which takes six allocations,
// is not needed against length extension: all three have a fixed length, and the sum is truncated.
func tag(key [keySize]byte, fact [FactSize]byte, subject [SubjectSize]byte) [StampSize - FactSize]byte {
	var text [keySize + FactSize + SubjectSize]byte
	copy(text[:], key[:])
	copy(text[keySize:], fact[:])
	copy(text[keySize+FactSize:], subject[:])
	sum := sha256.Sum256(text[:])
	return [StampSize - FactSize]byte(sum[:])
}
