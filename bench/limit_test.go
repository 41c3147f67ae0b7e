package bench_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"unsafe"

	"github.com/gin-gonic/gin"
)

// bare is Gin with a handler that reads no user.
func bare() app {
	return app{handler: routes(gin.New(), func(c *gin.Context) { c.Status(http.StatusNoContent) })}
}

// floor does only what every guard does: it checks a user, the same for all requests, and puts the
// user into the context.
func floor() app {
	u := ada()
	return app{handler: routes(gin.New(), greet, func(c *gin.Context) { admit(c, &u, true) })}
}

// limit is the minimum for a guard with a sealed cookie: find the cookie, decode it, open it with
// AES-256-GCM and read a compact record. It has one key, one lifetime, no sign-out, and no useful
// errors.
func limit() app {
	block := must(aes.NewCipher([]byte(key)))
	box := must(cipher.NewGCM(block))
	u := ada()
	guard := func(c *gin.Context) {
		r := openRecord(box, scan(c.Request.Header["Cookie"], "session="))
		if r == nil {
			c.AbortWithStatus(http.StatusUnauthorized)
			return
		}
		admit(c, &r.user, true)
	}
	return app{handler: routes(gin.New(), greet, guard), cookies: "session=" + sealRecord(box, &u)}
}

// scan finds a cookie in the header without reading the others.
func scan(lines []string, prefix string) string {
	for _, line := range lines {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if pair = strings.TrimLeft(pair, " "); strings.HasPrefix(pair, prefix) {
				return pair[len(prefix):]
			}
		}
	}
	return ""
}

// record is a user with all its memory, in one allocation.
type record struct {
	user  person
	roles [8]string
	raw   [512]byte
}

const nonceSize = 12

// bound is the additional data of a sealed record.
var bound = []byte("session")

func sealRecord(box cipher.AEAD, u *person) string {
	b := binary.AppendUvarint(nil, uint64(u.Expires))
	for _, text := range append([]string{u.ID, u.Name, u.Email, u.Picture, u.Provider}, u.Roles...) {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(box.Seal(nonce, nonce, b, bound))
}

func openRecord(box cipher.AEAD, text string) *record {
	r := new(record)
	if len(text) > len(r.raw)*4/3 {
		return nil
	}
	n, ok := decode64(r.raw[:], text)
	if !ok || n < nonceSize {
		return nil
	}
	plain, err := box.Open(r.raw[nonceSize:nonceSize], r.raw[:nonceSize], r.raw[nonceSize:n], bound)
	if err != nil {
		return nil
	}
	expires, k := binary.Uvarint(plain)
	u, rest := &r.user, unsafe.String(unsafe.SliceData(plain), len(plain))[k:] // raw is no longer modified
	u.Expires = int64(expires)
	for _, field := range [...]*string{&u.ID, &u.Name, &u.Email, &u.Picture, &u.Provider} {
		*field, rest = next(rest)
	}
	i := 0
	for ; rest != "" && i < len(r.roles); i++ {
		r.roles[i], rest = next(rest)
	}
	u.Roles = r.roles[:i]
	return r
}

// next reads a text of at most 127 bytes, which is enough for all of these.
func next(rest string) (text, after string) {
	n := int(rest[0]) + 1
	return rest[1:n], rest[n:]
}

// bad marks bytes that are not in the alphabet.
const bad = 1 << 31

// sextets has the value of every character at each of four places.
var sextets = func() (t [4][256]uint32) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for place := range t {
		for c := range t[place] {
			t[place][c] = bad
		}
		for v, c := range []byte(alphabet) {
			t[place][c] = uint32(v) << (18 - 6*place)
		}
	}
	return t
}()

// decode64 decodes base64url without padding, four characters at a time.
func decode64(out []byte, text string) (n int, ok bool) {
	for ; len(text) >= 4; text = text[4:] {
		v := sextets[0][text[0]] | sextets[1][text[1]] | sextets[2][text[2]] | sextets[3][text[3]]
		if v >= bad || n+3 > len(out) {
			return 0, false
		}
		out[n], out[n+1], out[n+2] = byte(v>>16), byte(v>>8), byte(v)
		n += 3
	}
	if text != "" {
		k, err := base64.RawURLEncoding.Decode(out[n:], []byte(text))
		return n + k, err == nil
	}
	return n, true
}
