package ginauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// joseHeader checks the header of a JWT before anything looks further: it is one
// that two programs cannot read in two ways (RFC 8725), and of one of these
// types.
func joseHeader(data []byte, typs []string) (kid, alg string, err error) {
	header, err := strictjson.Object(data)
	if err != nil {
		return "", "", fmt.Errorf("the token's header is not strict JSON: %w", err)
	}
	if err := strictjson.CheckCase(header, "alg", "typ", "kid", "crit", "b64", "cty", "enc", "zip", "jwk", "jku", "x5u", "x5c"); err != nil {
		return "", "", fmt.Errorf("the token's header is ambiguous: %w", err)
	}
	for _, name := range []string{"crit", "b64", "enc", "zip"} {
		if _, there := header[name]; there {
			return "", "", fmt.Errorf("the token's header has %q, which is not supported", name)
		}
	}
	// RFC 8725 3.11: a token of another kind must not pass for this one.
	if t, there := header["typ"]; there {
		s, _ := t.(string)
		s = strings.TrimPrefix(strings.ToLower(s), "application/")
		if !slices.ContainsFunc(typs, func(typ string) bool { return strings.EqualFold(s, typ) }) {
			return "", "", fmt.Errorf("the token is of another kind: its typ is not one of %q", typs)
		}
	}
	if v, there := header["kid"]; there {
		if kid, there = v.(string); !there {
			return "", "", errors.New("the token's header has a kid that is no text")
		}
	}
	alg, _ = header["alg"].(string)
	return kid, alg, nil
}
