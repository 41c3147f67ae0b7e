package seal_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/seal"
)

var (
	first  = strings.Repeat("first secret ", 3)
	second = strings.Repeat("other secret ", 3)
)

func box(t testing.TB, secrets []string, audience, purpose string) *seal.Box {
	t.Helper()
	b, err := seal.New(secrets, audience, purpose)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	b := box(t, []string{first}, "app", "session")
	for _, plain := range []string{"", "x", strings.Repeat("long ", 999)} {
		text := b.Seal([]byte(plain), "name")
		if len(text) != seal.Size(len(plain)) {
			t.Errorf("Size(%d) = %d, sealed text has %d", len(plain), seal.Size(len(plain)), len(text))
		}
		got, old, err := b.Open(text, "name")
		if err != nil || old || string(got) != plain {
			t.Errorf("Open = %q, %v, %v; want %q", got, old, err, plain)
		}
	}
}

// A repeated nonce under one key reveals the sealed texts and the authentication key (NIST SP
// 800-38D, section 8).
func TestNoncesDiffer(t *testing.T) {
	b := box(t, []string{first}, "app", "session")
	seen := map[string]bool{}
	for range 100 {
		raw, err := base64.RawURLEncoding.DecodeString(b.Seal([]byte("hello"), "name"))
		if err != nil {
			t.Fatal(err)
		}
		seen[string(raw[4:16])] = true
	}
	if len(seen) != 100 {
		t.Errorf("100 texts have %d different nonces", len(seen))
	}
}

func TestOpenRefuses(t *testing.T) {
	b := box(t, []string{first}, "app", "session")
	text := b.Seal([]byte("hello"), "name")
	for _, tt := range []struct {
		name, text, sealedName string
		box                    *seal.Box
		want                   error
	}{
		{"a text sealed for another name", text, "other", b, seal.ErrForged},
		{"a text of another purpose", text, "name", box(t, []string{first}, "app", "attempt"), seal.ErrKey},
		{"a text of another application", text, "name", box(t, []string{first}, "ap", "psession"), seal.ErrKey},
		{"a text under another secret", text, "name", box(t, []string{second}, "app", "session"), seal.ErrKey},
		{"nothing", "", "name", b, seal.ErrForged},
		{"a short text", text[:20], "name", b, seal.ErrForged},
		{"a cut text", text[:len(text)-4], "name", b, seal.ErrForged},
		{"a text with more behind it", text + "AAAA", "name", b, seal.ErrForged},
		{"padding", text + "=", "name", b, seal.ErrForged},
		{"a line break inside", text[:40] + "\n" + text[40:], "name", b, seal.ErrForged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if plain, _, err := tt.box.Open(tt.text, tt.sealedName); !errors.Is(err, tt.want) || plain != "" {
				t.Errorf("Open = %q, %v; want %v", plain, err, tt.want)
			}
		})
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	b := box(t, []string{first, second}, "app", "session")
	text := b.Seal([]byte("hello"), "name")
	for i := range text {
		for _, c := range "AB-_z0" {
			if forged := text[:i] + string(c) + text[i+1:]; forged != text {
				if _, _, err := b.Open(forged, "name"); err == nil {
					t.Fatalf("opened with %q at %d", c, i)
				}
			}
		}
	}
}

// A text in two parts opens only if it was split where OpenParts expects it.
func TestOpenParts(t *testing.T) {
	b := box(t, []string{first}, "app", "session")
	text := b.Seal([]byte("hello"), "name")
	for cut := range text {
		plain, _, err := b.OpenParts(text[:cut], text[cut:], "name")
		if ok := cut%4 == 0; ok != (err == nil) || ok != (plain == "hello") {
			t.Errorf("cut at %d: %q, %v", cut, plain, err)
		}
	}
	for _, parts := range [][2]string{{text, "AAAA"}, {text[4:], text[:4]}, {text[:40], text[44:]}, {text[:40], text[40:] + "A"}, {text[:40], ""}, {"", ""}} {
		if _, _, err := b.OpenParts(parts[0], parts[1], "name"); !errors.Is(err, seal.ErrForged) {
			t.Errorf("%q: %v", parts, err)
		}
	}
}

// An invalid character must not be decoded as an A, in either part.
func TestOpenPartsWithAnOddCharacter(t *testing.T) {
	b := box(t, []string{first}, "app", "session")
	var text string
	for text == "" || !strings.Contains(text[:40], "A") || !strings.Contains(text[40:], "A") {
		text = b.Seal([]byte(strings.Repeat("long ", 99)), "name")
	}
	for _, parts := range [][2]string{
		{strings.Replace(text[:40], "A", "!", 1), text[40:]}, {text[:40], strings.Replace(text[40:], "A", "!", 1)},
	} {
		// The pooled buffer still has the bytes of the valid text.
		if _, _, err := b.OpenParts(text[:40], text[40:], "name"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.OpenParts(parts[0], parts[1], "name"); !errors.Is(err, seal.ErrForged) {
			t.Errorf("%q: %v", parts, err)
		}
	}
}

func TestRotation(t *testing.T) {
	text := box(t, []string{first}, "app", "session").Seal([]byte("hello"), "name")
	plain, old, err := box(t, []string{second, first}, "app", "session").Open(text, "name")
	if err != nil || !old || string(plain) != "hello" {
		t.Errorf("under the second of two secrets: %q, old %v, %v", plain, old, err)
	}
	if _, _, err := box(t, []string{second}, "app", "session").Open(text, "name"); !errors.Is(err, seal.ErrKey) {
		t.Errorf("after the secret was removed: %v, want ErrKey", err)
	}
}

// FuzzOpen replaces a part of a sealed text, or the whole text.
func FuzzOpen(f *testing.F) {
	b := box(f, []string{first}, "app", "session")
	good := b.Seal([]byte("hello"), "name") // differs between the processes that fuzz
	f.Add(0, len(good), "")
	f.Add(0, len(good), "AAAA")
	f.Add(30, len(good), "")
	f.Add(3, 4, "A")
	f.Fuzz(func(t *testing.T, from, to int, with string) {
		if from < 0 || from > to || to > len(good) {
			return
		}
		text := good[:from] + with + good[to:]
		if _, _, err := b.Open(text, "name"); err == nil && text != good {
			t.Errorf("opened a text that was never sealed: %q", text)
		}
	})
}
