package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
)

const (
	// FactSize is how many bytes a stamp attests.
	FactSize = 8
	// StampSize is how many bytes a stamp has: a multiple of three, so that each
	// has one spelling in base64.
	StampSize = FactSize + 4
)

// Stamps attest a few bytes to whoever has the secrets: HMAC-SHA256, cut to 32
// bits, since a stamp stands in an address. That is enough for a message to
// be true unless somebody is at pains to make it false. Nothing else may depend
// on it.
type Stamps struct{ keys [][]byte }

// NewStamps returns the Stamps of one audience. The first secret makes them,
// all of them read them.
func NewStamps(secrets []string, audience string) (*Stamps, error) {
	s := &Stamps{}
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, "ginauth stamp v1 "+audience, sha256.Size)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// Make returns the stamp of a fact about subject.
func (s *Stamps) Make(fact [FactSize]byte, subject []byte) (stamp [StampSize]byte) {
	copy(stamp[:], fact[:])
	copy(stamp[FactSize:], tag(s.keys[0], fact, subject))
	return stamp
}

// Read returns the fact of a stamp that was made for subject under one of the
// secrets.
func (s *Stamps) Read(stamp [StampSize]byte, subject []byte) (fact [FactSize]byte, ok bool) {
	fact = [FactSize]byte(stamp[:])
	for _, key := range s.keys {
		if subtle.ConstantTimeCompare(stamp[FactSize:], tag(key, fact, subject)) == 1 {
			return fact, true
		}
	}
	return fact, false
}

func tag(key []byte, fact [FactSize]byte, subject []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(fact[:]) // of one length, so that no two pairs are one text
	mac.Write(subject)
	return mac.Sum(nil)[:StampSize-FactSize]
}
