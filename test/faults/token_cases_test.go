package faults

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// tokenCase is a change of the ID token's header or claims, and the expected result.
type tokenCase struct {
	name string
	id   string // ID of the error; "" if the token is accepted
	edit func(s *sitetest.Site, header, c sitetest.Claims)
}

// claimCase is a tokenCase that sets one claim; nil removes it.
func claimCase(name, id, claim string, value any) tokenCase {
	return tokenCase{name, id, func(_ *sitetest.Site, _, c sitetest.Claims) { sitetest.Put(c, claim, value) }}
}

// tokenCases runs each case as a separate sign-in. change may adapt the Options; path is the
// address where the sign-ins begin.
func tokenCases(t *testing.T, path string, change func(s *sitetest.Site, o *ginauth.Options), cases []tokenCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, change)
			s.IDP.EditIDToken(func(header, c map[string]any) { tt.edit(s, header, c) })
			if tt.id == "" {
				s.AcceptsSignIn(t, path)
				return
			}
			s.RefusesSignIn(t, path, ginauth.ErrIDTokenInvalid, tt.id, 1)
		})
	}
}

// rawCase replaces the whole ID token. header and payload are the valid token's JSON; make
// returns another compact token.
type rawCase struct {
	name string
	id   string
	make func(s *sitetest.Site, compact, header, payload string) string
}

func rawCases(t *testing.T, cases []rawCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.IDP.ReplaceIDToken(func(compact string) string {
				header, payload := sitetest.JWTPart(compact, 0), sitetest.JWTPart(compact, 1)
				return tt.make(s, compact, header, payload)
			})
			if tt.id == "" {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, tt.id, 1)
		})
	}
}

// payloadCase signs a payload that was changed as text.
func payloadCase(name, id string, change func(payload string) string) rawCase {
	return rawCase{name, id, func(s *sitetest.Site, _, header, payload string) string {
		return s.IDP.SignRaw([]byte(header), []byte(change(payload)))
	}}
}

// preceding inserts members at its beginning.
func preceding(members string) func(string) string {
	return func(object string) string { return "{" + members + "," + strings.TrimPrefix(object, "{") }
}

// halfSHA256 returns at_hash, c_hash or s_hash for algorithms that end in 256.
func halfSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return sitetest.Base64(sum[:16])
}
