// Package seal encrypts and authenticates short texts that a browser keeps: AES-256-GCM under
// keys that are derived from the application's secrets, one for each purpose, with rotation.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/ginauth/ginauth/internal/base64url"
)

// The errors of Open.
var (
	// ErrKey means that the text was sealed under a key of another secret: the secrets
	// changed, or differ between replicas.
	ErrKey = errors.New("sealed under another key")
	// ErrForged means that no Box made this text for this name: it was truncated, altered, or
	// sealed for another name.
	ErrForged = errors.New("not a sealed text")
)

const (
	idSize    = 4  // identifies the key, to avoid trial decryption
	nonceSize = 12 // random: up to 2^32 seals per key, the risk of a repeat is below 2^-32
	tagSize   = 16
	headSize  = idSize + nonceSize
)

// encoding encodes sealed texts. Package base64url decodes them: it accepts only one encoding
// of the same bytes.
var encoding = base64.RawURLEncoding

// Box seals and opens texts of one purpose. It is safe for concurrent use.
type Box struct{ keys []key }

type key struct {
	id   [idSize]byte
	aead cipher.AEAD
}

// New returns the Box of one purpose. It seals with the first secret, and opens with each of
// them. The keys are derived with HKDF (RFC 5869) from secret, audience and purpose, so that
// texts of another purpose or audience do not open.
func New(secrets []string, audience, purpose string) (*Box, error) {
	b := &Box{}
	for _, secret := range secrets {
		k, err := derive(secret, audience, purpose)
		if err != nil {
			return nil, err
		}
		b.keys = append(b.keys, k)
	}
	return b, nil
}

func derive(secret, audience, purpose string) (k key, err error) {
	// Each part is preceded by its length, so that no two pairs have the same info.
	info := binary.AppendUvarint([]byte("ginauth seal v1"), uint64(len(audience)))
	info = append(info, audience...)
	info = binary.AppendUvarint(info, uint64(len(purpose)))
	info = append(info, purpose...)
	raw, err := hkdf.Key(sha256.New, []byte(secret), nil, string(info), 32+idSize)
	if err != nil {
		return k, err
	}
	block, err := aes.NewCipher(raw[:32])
	if err != nil {
		return k, err
	}
	copy(k.id[:], raw[32:])
	k.aead, err = cipher.NewGCM(block)
	return k, err
}

// Seal returns plain as sealed text that fits into a cookie. Open needs the same name.
func (b *Box) Seal(plain []byte, name string) string {
	k := b.keys[0]
	size := headSize + len(plain) + tagSize
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	*buf = slices.Grow((*buf)[:0], size+max(len(name), encoding.EncodedLen(size)))
	head, rest := (*buf)[:headSize], (*buf)[size:size]
	copy(head, k.id[:])
	rand.Read(head[idSize:]) // never fails: crypto/rand
	sealed := k.aead.Seal(head, head[idSize:], plain, append(rest, name...))
	return string(encoding.AppendEncode(rest, sealed))
}

// scratch holds the buffers of Seal and Open, so that they allocate only their results.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Open returns the text that was sealed for that name. If old is true, it was sealed under a
// secret other than the first, and should be sealed again.
func (b *Box) Open(text, name string) (plain string, old bool, err error) {
	return b.OpenParts(text, "", name)
}

// OpenParts is Open for a text that was split in two after a multiple of four characters.
func (b *Box) OpenParts(text, rest, name string) (plain string, old bool, err error) {
	cut := base64url.Size(len(text))
	size := cut + base64url.Size(len(rest))
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	*buf = slices.Grow((*buf)[:0], size+len(name))
	sealed := (*buf)[:size]
	if rest != "" && len(text)%4 != 0 || !base64url.DecodeInto(sealed[:cut], text) || !base64url.DecodeInto(sealed[cut:], rest) || size < headSize+tagSize {
		return "", false, ErrForged
	}
	data := append(sealed[size:], name...)
	for i := range b.keys {
		k := &b.keys[i]
		if [idSize]byte(sealed) != k.id {
			continue
		}
		raw, err := k.aead.Open(sealed[headSize:headSize], sealed[idSize:headSize], sealed[headSize:], data)
		if err != nil {
			return "", false, ErrForged
		}
		return string(raw), i > 0, nil
	}
	return "", false, ErrKey
}

// Size returns the length of the sealed text of n bytes.
func Size(n int) int { return encoding.EncodedLen(headSize + n + tagSize) }
