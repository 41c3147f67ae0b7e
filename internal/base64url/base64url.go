// Package base64url decodes base64url without padding (RFC 4648, section 5), and accepts only
// the canonical encoding: a cookie or a token with two encodings could be used twice.
package base64url

import (
	"encoding/base64"
	"encoding/binary"
)

// digits has, for each place in a group of four characters, the bits of each character in that
// place; invalid characters are marked bad.
var digits = func() (table [4][256]uint32) {
	for place := range table {
		for c := range table[place] {
			table[place][c] = bad
		}
		for v, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
			table[place][c] = uint32(v) << (18 - 6*place)
		}
	}
	return table
}()

const bad = 1 << 24 // above the 24 bits of a group

// Size returns the number of bytes that n characters encode.
func Size(n int) int { return base64.RawURLEncoding.DecodedLen(n) }

// DecodeInto decodes text into dst, whose length is Size(len(text)), like
// base64.RawURLEncoding.Strict, but rejects line breaks. It exists because the standard
// library's decoder takes most of the time of opening a cookie, and this one a third of that.
// FuzzDecode compares the two.
func DecodeInto(dst []byte, text string) bool {
	seen := uint32(0) // the bits of all groups, to check for bad ones once
	for len(text) >= 8 && len(dst) >= 8 {
		a := digits[0][text[0]] | digits[1][text[1]] | digits[2][text[2]] | digits[3][text[3]]
		b := digits[0][text[4]] | digits[1][text[5]] | digits[2][text[6]] | digits[3][text[7]]
		seen |= a | b
		binary.BigEndian.PutUint64(dst, uint64(a)<<40|uint64(b)<<16) // two more than the six bytes; the next write overwrites them
		dst, text = dst[6:], text[8:]
	}
	for len(text) > 0 {
		group := text[:min(4, len(text))]
		v := uint32(0)
		for place := range len(group) {
			v |= digits[place][group[place]]
		}
		seen |= v
		n := len(group) * 6 / 8
		if n == 0 || v<<(8*n)&(bad-1) != 0 { // unused bits are not zero: a second encoding
			return false
		}
		for i := range n {
			dst[i] = byte(v >> (16 - 8*i))
		}
		dst, text = dst[n:], text[len(group):]
	}
	return seen&bad == 0
}
