// Package seal encrypts and authenticates short texts that a browser keeps:
// AES-256-GCM under keys derived from the application's secrets, one key a
// purpose, with rotation.
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

// What is wrong with a text that does not open.
var (
	// ErrKey says that the text was sealed under a key that is not among the
	// secrets: they changed, or differ between replicas.
	ErrKey = errors.New("sealed under another key")
	// ErrForged says that the text is not what a Box made: cut, altered, or
	// sealed for another name.
	ErrForged = errors.New("not a sealed text")
)

const (
	idSize    = 4  // which key: no trial decryption
	nonceSize = 12 // random: 2^32 seals a key keep the risk of a repeat below 2^-32
	tagSize   = 16
	headSize  = idSize + nonceSize
)

// encoding is how texts are written. They are read by package base64url, which
// refuses every second spelling of the same bytes.
var encoding = base64.RawURLEncoding

// Box seals and opens texts of one purpose. It is safe for concurrent use.
type Box struct{ keys []key }

type key struct {
	id   [idSize]byte
	aead cipher.AEAD
}

// New returns the Box of one purpose. The first secret seals, all of them
// open. Texts of another purpose or another audience do not open: their keys
// are other keys, derived by HKDF (RFC 5869).
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
	// Lengths stand before the parts, so that no two pairs share an info.
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

// Seal returns plain, sealed, as text that a cookie can carry. The same name
// must be given to Open.
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

// scratch holds what Seal and Open work in, so that what they return is all they
// allocate.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Open returns what Seal was given for that name. Old says that it was sealed
// under a secret that is not the first one, and should be sealed again.
func (b *Box) Open(text, name string) (plain string, old bool, err error) {
	return b.OpenParts(text, "", name)
}

// OpenParts is Open of a text that was cut in two, behind a multiple of four
// characters.
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

// Size returns how long the sealed text of n bytes is.
func Size(n int) int { return encoding.EncodedLen(headSize + n + tagSize) }
