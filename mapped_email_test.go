package ginauth_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

// TestVerifiedFlagSpeaksOfTheAddressSent: email_verified is about email. An
// address that ClaimPaths takes from elsewhere has it only if it is the same.
func TestVerifiedFlagSpeaksOfTheAddressSent(t *testing.T) {
	elsewhere := map[string]string{"email": "upn"}
	own := map[string]string{"email": "upn", "email_verified": "upn_verified"}
	for _, tt := range []struct {
		name     string
		paths    map[string]string
		sent     claims
		rule     func(map[string]any) bool
		email    string
		verified bool
	}{
		{"another address", elsewhere, claims{"upn": "boss@corp.example", "email": "eve@mail.example", "email_verified": true}, nil, "boss@corp.example", false},
		{"the same address", elsewhere, claims{"upn": "ada@corp.example", "email": "ada@corp.example", "email_verified": true}, nil, "ada@corp.example", true},
		{"the same in other case", elsewhere, claims{"upn": "Ada@corp.example", "email": "ada@corp.example", "email_verified": true}, nil, "Ada@corp.example", false},
		{"no address beside it", elsewhere, claims{"upn": "boss@corp.example", "email_verified": true}, nil, "boss@corp.example", false},
		{"a list beside it", elsewhere, claims{"upn": "boss@corp.example", "email": []string{"boss@corp.example"}, "email_verified": true}, nil, "boss@corp.example", false},
		{"no mapped address", elsewhere, claims{"email": "eve@mail.example", "email_verified": true}, nil, "", false},
		{"a flag of its own", own, claims{"upn": "boss@corp.example", "upn_verified": true, "email": "eve@mail.example"}, nil, "boss@corp.example", true},
		{"a flag of its own that says no", own, claims{"upn": "boss@corp.example", "upn_verified": false, "email_verified": true}, nil, "boss@corp.example", false},
		{"the flag alone is mapped", map[string]string{"email_verified": "ok"}, claims{"email": "ada@corp.example", "ok": true}, nil, "ada@corp.example", true},
		{"the provider's rule", elsewhere, claims{"upn": "boss@corp.example"}, func(map[string]any) bool { return true }, "boss@corp.example", true},
	} {
		check := func(t *testing.T, s *site) {
			t.Helper()
			if u := s.accepts(t, "/login/demo"); u.Email != tt.email || u.EmailVerified != tt.verified {
				t.Errorf("got %q, verified %t", u.Email, u.EmailVerified)
			}
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(_ *site, o *ginauth.Options) {
				p := &o.Providers[0]
				p.ClaimPaths, p.EmailVerified, p.Userinfo = tt.paths, tt.rule, "never"
			})
			s.idp.EditIDToken(func(_, c map[string]any) { layEmail(c, tt.sent) })
			check(t, s)
		})
		t.Run(tt.name+", plain OAuth 2.0", func(t *testing.T) {
			t.Parallel()
			profile := claims{"sub": "7"}
			layEmail(profile, tt.sent)
			check(t, plainSite(t, jsonOf(profile), func(_ *site, p *ginauth.Provider) { p.ClaimPaths, p.EmailVerified = tt.paths, tt.rule }))
		})
	}
}

// layEmail puts claims in the place of what the provider says of the address.
func layEmail(over, own claims) {
	delete(over, "email")
	delete(over, "email_verified")
	for name, value := range own {
		over[name] = value
	}
}

// TestVerifiedFlagStaysWithItsMappedAddress is for two sources what
// TestVerifiedFlagStaysWithItsAddress is, under the names that ClaimPaths gives.
func TestVerifiedFlagStaysWithItsMappedAddress(t *testing.T) {
	flat := map[string]string{"email": "mail", "email_verified": "mail_verified"}
	deep := map[string]string{"email": "contact.mail", "email_verified": "flags.mail.ok"}
	apart := map[string]string{"email": "mail"}
	flag := claims{"mail": claims{"ok": true}, "phone": true}
	for _, tt := range []struct {
		name        string
		paths       map[string]string
		token, info claims
		email       string
		verified    bool
	}{
		{"another address", flat, claims{"mail": "a@x"}, claims{"mail": "b@x", "mail_verified": true}, "a@x", false},
		{"the same address", flat, claims{"mail": "a@x"}, claims{"mail": "a@x", "mail_verified": true}, "a@x", true},
		{"a flag without an address", flat, claims{"mail": "a@x"}, claims{"mail_verified": true}, "a@x", false},
		{"the token's own flag", flat, claims{"mail": "a@x", "mail_verified": false}, claims{"mail": "a@x", "mail_verified": true}, "a@x", false},
		{"the token's flag without an address", flat, claims{"mail_verified": true}, claims{"mail": "b@x"}, "", false},
		{"the userinfo alone", flat, claims{}, claims{"mail": "b@x", "mail_verified": true}, "b@x", true},
		{"another address within", deep, claims{"contact": claims{"mail": "a@x"}}, claims{"contact": claims{"mail": "b@x"}, "flags": flag}, "a@x", false},
		{"the same address within", deep, claims{"contact": claims{"mail": "a@x"}}, claims{"contact": claims{"mail": "a@x"}, "flags": flag}, "a@x", true},
		{"the userinfo alone within", deep, claims{}, claims{"contact": claims{"mail": "b@x"}, "flags": flag}, "b@x", true},
		{"a flag in a list", map[string]string{"email": "mail", "email_verified": "flags.0.ok"},
			claims{"mail": "a@x"}, claims{"mail": "b@x", "flags": []claims{{"ok": true}}}, "a@x", false},
		{"a second address under the same path", deep, claims{"contact": claims{"mail": "a@x"}, "flags": flag}, claims{"contact.mail": "b@x"}, "a@x", true},
		{"a second address under the same path, and no flags", deep, claims{"contact": claims{"mail": "a@x"}}, claims{"contact.mail": "b@x"}, "a@x", false},
		{"a second flag under the same path", deep, claims{"contact": claims{"mail": "a@x"}, "flags": claims{"mail": claims{"ok": false}}},
			claims{"contact": claims{"mail": "a@x"}, "flags.mail.ok": true}, "a@x", false},
		{"the address alone is mapped", apart, claims{"mail": "a@x"}, claims{"email": "b@x", "email_verified": true}, "a@x", false},
		{"the address alone is mapped, and is the same", apart, claims{"mail": "a@x"}, claims{"email": "a@x", "email_verified": true}, "a@x", true},
		{"the flag alone is mapped", map[string]string{"email_verified": "ok"}, claims{"email": "a@x"}, claims{"email": "b@x", "ok": true}, "a@x", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site, o *ginauth.Options) {
				always(s, o)
				o.Providers[0].ClaimPaths = tt.paths
			})
			s.idp.EditIDToken(func(_, c map[string]any) { layEmail(c, tt.token) })
			s.idp.EditUserinfo(func(c map[string]any) { layEmail(c, tt.info) })
			if u := s.accepts(t, "/login/demo"); u.Email != tt.email || u.EmailVerified != tt.verified {
				t.Errorf("got %q, verified %t", u.Email, u.EmailVerified)
			}
		})
	}
}
