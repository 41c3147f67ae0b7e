package ginauth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
)

// A member of the header that a program may read in another case is refused,
// whichever it is.
func TestHeadersInAnotherCase(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for i, name := range []string{"ALG", "TYP", "KID", "CRIT", "B64", "CTY", "ENC", "ZIP", "JWK", "JKU", "X5U", "X5C"} {
		s.idp.ReplaceIDToken(func(compact string) string {
			return s.idp.SignRaw([]byte(adding(`"`+name+`":"x"`)(decoded(compact, 0))), []byte(decoded(compact, 1)))
		})
		s.logs.Reset()
		s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, fmt.Sprintf(`member \"%s\" is a variant of`, name), i+1)
	}
}

// A header that is JSON as far as it can be decoded is still not base64url.
func TestHeaderWithHalfAByteMore(t *testing.T) {
	t.Parallel()
	rawCases(t, []rawCase{{"half a byte behind the header", "not in JWS compact serialization", func(_ *site, compact, header, _ string) string {
		for len(header)%3 != 0 {
			header += " "
		}
		_, rest, _ := strings.Cut(compact, ".")
		return b64([]byte(header)) + "A." + rest
	}}})
}
