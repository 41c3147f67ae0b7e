package ginauth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
)

func TestMistakesInIDTokenAlg(t *testing.T) {
	var all []mistake
	for _, name := range []string{"none", "HS256", "HS512", "rs256", "RS256 ", "RS1", "RSA-OAEP", "ES256K", "Ed25519", "*", "RS256,ES256"} {
		all = append(all, onProvider("registered for "+name, func(p *ginauth.Provider) { p.IDTokenAlg = name }, "IDTokenAlg: ", fmt.Sprintf("%q is not a signature algorithm", name), "RS256, "))
	}
	reports(t, append(all,
		onProvider("an algorithm and a shared secret", func(p *ginauth.Provider) {
			p.Issuer, p.ClientSecret, p.Quirks.HS256, p.IDTokenAlg = "https://access.line.me", strings.Repeat("s", 32), true, "ES256"
		}, "IDTokenAlg: ", "Quirks.HS256", "drop one"),
		onPlain("an algorithm", func(p *ginauth.Provider) { p.IDTokenAlg = "RS256" }, "IDTokenAlg: ", "has no Issuer", "drop it, or set Issuer"),
	))
}
