package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
)

const (
	// FactSize is the size of the fact in a stamp, in bytes.
	FactSize = 8
	// StampSize is how many bytes a stamp has: a multiple of three, so that each
	// has one spelling in base64.
	StampSize = FactSize + 4
	// SubjectSize is the size of a fact's subject, in bytes.
	SubjectSize = 32

	keySize = sha256.Size
)

// Stamps authenticate a few bytes to holders of the secrets: a keyed SHA-256, cut to 32 bits,
// since a stamp stands in an address. That is enough for a message to be true unless an
// attacker invests considerable effort. Use it for messages only.
type Stamps struct{ keys [][keySize]byte }

// NewStamps returns the Stamps of one audience. The first secret makes them,
// all of them read them.
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

// Make returns the stamp of a fact about subject.
func (s *Stamps) Make(fact [FactSize]byte, subject [SubjectSize]byte) (stamp [StampSize]byte) {
	copy(stamp[:], fact[:])
	sum := tag(s.keys[0], fact, subject)
	copy(stamp[FactSize:], sum[:])
	return stamp
}

// Read returns the fact of a stamp that was made for subject under one of the
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

// tag hashes the key and the text in one go. It needs no HMAC, which takes six
// allocations: key, fact and subject are of one length each, and the sum is cut,
// so that nothing can be appended to a text whose sum is known.
func tag(key [keySize]byte, fact [FactSize]byte, subject [SubjectSize]byte) [StampSize - FactSize]byte {
	var text [keySize + FactSize + SubjectSize]byte
	copy(text[:], key[:])
	copy(text[keySize:], fact[:])
	copy(text[keySize+FactSize:], subject[:])
	sum := sha256.Sum256(text[:])
	return [StampSize - FactSize]byte(sum[:])
}
