package base64url_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/base64url"
)

// decoded asks encoding/base64, which is the reference, and which skips line
// breaks wherever they stand.
func decoded(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	want, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return want, err == nil
}

func compare(t *testing.T, text string) {
	t.Helper()
	want, ok := decoded(text)
	got := make([]byte, base64url.Size(len(text)))
	fine := base64url.DecodeInto(got, text)
	if fine != ok || ok && !bytes.Equal(got, want) {
		t.Errorf("%q: %x, %v, want %x, %v", text, got, fine, want, ok)
	}
}

// Every length, and every byte at every place of a text that fits.
func TestDecodeIsStrictBase64(t *testing.T) {
	for n := range 40 {
		raw := bytes.Repeat([]byte{0xfb, 0x1f, 0xe0}, n)[:n]
		text := base64.RawURLEncoding.EncodeToString(raw)
		compare(t, text)
		for i := range text {
			for c := range 256 {
				compare(t, text[:i]+string([]byte{byte(c)})+text[i+1:])
			}
		}
		compare(t, text+"A")
		compare(t, text+"=")
	}
}

// FuzzDecode compares DecodeInto with encoding/base64.
func FuzzDecode(f *testing.F) {
	f.Add("")
	f.Add("AA")
	f.Add("AB")
	f.Add("-_9")
	f.Add("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo\n")
	f.Fuzz(compare)
}
