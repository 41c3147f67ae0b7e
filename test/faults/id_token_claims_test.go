package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsIDTokenClaims(t *testing.T) {
	runFaults(t, []fault{
		{"D29_duplicate_claims", d29DuplicateClaims},
		{"D30_claims_in_other_case", d30ClaimsInOtherCase},
		{"D31_aud_and_iss_in_other_case", d31AudAndIssInOtherCase},
		{"D32_at_hash", d32AtHash},
		{"D33_c_hash_and_s_hash", d33CHashAndSHash},
		{"D34_other_kinds_of_jwt", d34OtherKindsOfJwt},
		{"D35_odd_strings_and_depth", d35OddStringsAndDepth},
		{"D36_token_of_another_sign_in", d36TokenOfAnotherSignIn},
		{"D37_tenants", d37Tenants},
		{"D38_hosted_domain", d38HostedDomain},
		{"D39_claim_sources", d39ClaimSources},
		{"D40_a_megabyte_of_groups", d40AMegabyteOfGroups},
	})
}

func d29DuplicateClaims(t *testing.T) {
	var cases []rawCase
	for name, members := range map[string]string{
		"sub": `"sub":"admin"`, "the same sub": `"sub":"ada"`, "an escaped sub": `"\u0073ub":"admin"`, "aud": `"aud":"demo-client"`,
		"exp": `"exp":9999999999`, "email": `"email":"root@example.com"`, "one that nobody knows": `"x":1,"x":2`,
		"within another": `"address":{"country":"a","country":"b"}`, "in events": `"events":{"a":{},"a":{}}`,
	} {
		cases = append(cases, payloadCase(name, sitetest.OddClaims, sitetest.Adding(members)))
	}
	cases = append(cases, payloadCase("sub before", sitetest.OddClaims, preceding(`"sub":"admin"`)), payloadCase("none", "", sitetest.Adding(`"x":1,"y":2`)))
	rawCases(t, cases)
}

func d30ClaimsInOtherCase(t *testing.T) {
	var cases []rawCase
	for name, members := range map[string]string{
		"SUB": `"SUB":"admin"`, "Sub": `"Sub":"ada"`, "a long s in sub": `"ſub":"admin"`, "the same, escaped": `"\u017fub":"admin"`,
		"emaIl": `"emaIl":"root@example.com"`, "Email_Verified": `"Email_Verified":true`, "a Kelvin sign, which is no letter of ours": `"\u212a":1,"GROUPS":["admin"]`,
		"Nonce": `"Nonce":"x"`, "a long s in preferred_username": `"preferred_uſername":"root"`, "AZP": `"AZP":"x"`, "HD": `"HD":"corp.example"`, "Tid": `"Tid":"x"`,
	} {
		cases = append(cases, payloadCase(name, sitetest.DoubtClaims, sitetest.Adding(members)), payloadCase(name+", before", sitetest.DoubtClaims, preceding(members)))
	}
	cases = append(cases, payloadCase("two that are nobody's", "", sitetest.Adding(`"company":"a","Company":"b"`)))
	rawCases(t, cases)
	t.Run("a name that a path leads to", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].ClaimPaths = map[string]string{"preferred_username": "UserName", "groups": "Teams"}
		})
		s.IDP.EditIDToken(func(_, c map[string]any) { c["UserName"], c["Teams"] = "ada7", []string{"a"} })
		if u := s.AcceptsSignIn(t, "/login/demo"); u.Username != "ada7" || u.Groups[0] != "a" {
			t.Errorf("got %+v", u)
		}
		for _, name := range []string{"username", "teamſ"} {
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].ClaimPaths = map[string]string{"preferred_username": "UserName", "groups": "Teams"}
			})
			s.IDP.EditIDToken(func(_, c map[string]any) { c["UserName"], c["Teams"], c[name] = "ada7", []string{"a"}, []string{"b"} })
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.DoubtClaims, 1)
		}
	})
}

func d31AudAndIssInOtherCase(t *testing.T) {
	rawCases(t, []rawCase{
		{"AUD has what aud should", sitetest.DoubtClaims, func(s *sitetest.Site, _, header, payload string) string {
			return s.IDP.SignRaw([]byte(header), []byte(strings.Replace(payload, `"aud":"demo-client"`, `"aud":"other","AUD":"demo-client"`, 1)))
		}},
		{"ISS has what iss should", sitetest.DoubtClaims, func(s *sitetest.Site, _, header, payload string) string {
			good := `"iss":"` + s.IDP.Issuer + `"`
			return s.IDP.SignRaw([]byte(header), []byte(strings.Replace(payload, good, `"iss":"https://evil.example","ISS":"`+s.IDP.Issuer+`"`, 1)))
		}},
		payloadCase("Exp beside exp", sitetest.DoubtClaims, sitetest.Adding(`"Exp":9999999999`)),
		payloadCase("AUD beside aud", sitetest.DoubtClaims, sitetest.Adding(`"AUD":"other"`)),
	})
}

func d32AtHash(t *testing.T) {
	const id = "id_token.at_hash"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("of another token", id, "at_hash", halfSHA256("another")),
		claimCase("empty", id, "at_hash", ""),
		claimCase("a number", "jwt.claims_form", "at_hash", 1),
		claimCase("null", "", "at_hash", json.RawMessage("null")),
		{"in other case", id, func(_ *sitetest.Site, _, c sitetest.Claims) { c["at_hash"] = swapCase(c["at_hash"].(string)) }},
		claimCase("absent", "", "at_hash", nil),
	})
}

func d33CHashAndSHash(t *testing.T) {
	code := func(s *sitetest.Site) string { return s.IDP.LastRequest(authtest.Token).Form.Get("code") }
	state := func(s *sitetest.Site) string { return s.IDP.LastRequest(authtest.Authorize).Form.Get("state") }
	tokenCases(t, "/login/demo", nil, []tokenCase{
		{"c_hash of this code", "", func(s *sitetest.Site, _, c sitetest.Claims) { c["c_hash"] = halfSHA256(code(s)) }},
		{"c_hash of another", "id_token.c_hash", func(s *sitetest.Site, _, c sitetest.Claims) { c["c_hash"] = halfSHA256(code(s) + "x") }},
		claimCase("c_hash of no text", "id_token.c_hash", "c_hash", true),
		{"s_hash of this state", "", func(s *sitetest.Site, _, c sitetest.Claims) { c["s_hash"] = halfSHA256(state(s)) }},
		{"s_hash of another", "id_token.s_hash", func(s *sitetest.Site, _, c sitetest.Claims) { c["s_hash"] = halfSHA256(code(s)) }},
		claimCase("s_hash of no text", "id_token.s_hash", "s_hash", []string{}),
	})
}

func d34OtherKindsOfJwt(t *testing.T) {
	const id = "jwt.typ"
	typ := func(name, id string, value any) tokenCase {
		return tokenCase{name, id, func(_ *sitetest.Site, header, _ sitetest.Claims) { sitetest.Put(header, "typ", value) }}
	}
	tokenCases(t, "/login/demo", nil, []tokenCase{
		typ("a logout token", id, "logout+jwt"),
		typ("an access token", id, "at+jwt"),
		typ("an access token with its media type", id, "application/at+jwt"),
		typ("a security event", id, "secevent+jwt"),
		typ("a key proof", id, "dpop+jwt"),
		typ("a list", id, []string{"JWT"}),
		typ("empty", id, ""),
		typ("jwt", "", "jwt"),
		typ("the media type", "", "application/jwt"),
		typ("absent", "", nil),
		claimCase("events", "id_token.events", "events", sitetest.Claims{"http://schemas.openid.net/event/backchannel-logout": sitetest.Claims{}}),
		claimCase("events that are empty", "id_token.events", "events", sitetest.Claims{}),
	})
}

func d35OddStringsAndDepth(t *testing.T) {
	nested := func(depth int) string { return `"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	rawCases(t, []rawCase{
		payloadCase("invalid UTF-8", sitetest.OddClaims, sitetest.Adding(`"name":"`+"\xff"+`"`)),
		payloadCase("a NUL", sitetest.OddClaims, sitetest.Adding(`"nick":"a\u0000b"`)),
		payloadCase("a NUL in a name", sitetest.OddClaims, sitetest.Adding(`"a\u0000":1`)),
		payloadCase("a lone surrogate", sitetest.OddClaims, sitetest.Adding(`"nick":"\ud800"`)),
		payloadCase("nested 33 levels deep", sitetest.OddClaims, sitetest.Adding(nested(32))),
		payloadCase("nested 20,000 levels deep", "jwt.claims_json", sitetest.Adding(nested(20_000))),
		payloadCase("nested 200,000 levels deep", "jwt.too_long", sitetest.Adding(nested(200_000))),
		payloadCase("a byte order mark", "jwt.claims_json", func(p string) string { return "\ufeff" + p }),
		payloadCase("something behind it", "jwt.claims_json", func(p string) string { return p + "{}" }),
		payloadCase("a list", "jwt.claims_json", func(p string) string { return "[" + p + "]" }),
		payloadCase("a pair of surrogates", "", sitetest.Adding(`"nick":"\ud83d\ude00"`)),
	})
}

func d36TokenOfAnotherSignIn(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	var first string
	s.IDP.ReplaceIDToken(func(compact string) string {
		if first == "" {
			first = compact
		}
		return first
	})
	s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "at_hash") })
	s.SignIn()
	s.Browser = s.NewBrowser()
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "id_token.nonce", 2)
}

// d37Tenants is a provider with many issuers under one set of keys. Its rule is that of a
// preset: the issuer of the token's own tenant, if that is admitted.
func d37Tenants(t *testing.T) {
	const ours, other = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
	issuer := func(tid string) string { return "https://login.example/" + tid + "/v2.0" }
	tenants := func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].TokenIssuer = func(c map[string]any) (string, error) {
			tid, _ := c["tid"].(string)
			if !guid.MatchString(tid) {
				return "", errors.New("tid is no tenant")
			}
			if tid != ours {
				return "", errors.New("this tenant may not sign in")
			}
			return issuer(tid), nil
		}
	}
	tenant := func(name, id, cause, iss string, tid any) tokenCase {
		return tokenCase{name, id, func(s *sitetest.Site, _, c sitetest.Claims) {
			c["iss"] = iss
			sitetest.Put(c, "tid", tid)
			s.T.Cleanup(func() { sitetest.WantNames(s.T, s.Logs.String(), cause) }) // the error of TokenIssuer
		}}
	}
	keyOf := func(name, id, keyIssuer string) tokenCase {
		return tokenCase{name, id, func(s *sitetest.Site, _, c sitetest.Claims) {
			c["iss"], c["tid"] = issuer(ours), ours
			s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any {
				for _, key := range keys {
					key["issuer"] = keyIssuer
				}
				return keys
			})
		}}
	}
	tokenCases(t, "/login/demo", tenants, []tokenCase{
		tenant("ours", "", "", issuer(ours), ours),
		keyOf("a key of ours", "", issuer(ours)),
		keyOf("a key of all tenants", "", issuer("{tenantid}")),
		keyOf("a key of another tenant", "jwt.key_issuer", issuer(other)),
		keyOf("a key of somewhere else", "jwt.key_issuer", "https://evil.example/{tenantid}/v2.0"),
		tenant("another in iss", "jwt.issuer", "", issuer(other), ours),
		tenant("another", "jwt.issuer_not_admitted", "may not sign in", issuer(other), other),
		tenant("the template itself", "jwt.issuer_not_admitted", "tid is no tenant", "https://login.example/{tenantid}/v2.0", "{tenantid}"),
		tenant("a tid that leads elsewhere", "jwt.issuer_not_admitted", "tid is no tenant", issuer("../evil"), "../evil"),
		tenant("no tid", "jwt.issuer_not_admitted", "tid is no tenant", issuer(ours), nil),
		tenant("a tid that is a number", "jwt.issuer_not_admitted", "tid is no tenant", issuer(ours), 7),
		{"the metadata's issuer", "jwt.issuer", func(_ *sitetest.Site, _, c sitetest.Claims) { c["tid"] = ours }},
	})
	t.Run("the user's id has the tenant's issuer", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, tenants)
		s.IDP.EditMetadata(func(m map[string]any) { m["issuer"] = "https://login.example/{tenantid}/v2.0" })
		s.IDP.EditIDToken(func(_, c map[string]any) { c["iss"], c["tid"] = issuer(ours), ours })
		if u := s.AcceptsSignIn(t, "/login/demo"); u.ID() != issuer(ours)+"#ada" {
			t.Errorf("the id is %q", u.ID())
		}
	})
	t.Run("it is asked after the signature", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].TokenIssuer = func(map[string]any) (string, error) {
				t.Error("TokenIssuer got unsigned claims")
				return s.IDP.Issuer, nil
			}
		})
		s.IDP.Fail(authtest.Token, authtest.WrongSignature)
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.WrongSig, 1)
	})
	t.Run("an issuer with a fragment", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].TokenIssuer = func(c map[string]any) (string, error) { return c["iss"].(string), nil }
		})
		s.IDP.EditIDToken(func(_, c map[string]any) { c["iss"] = "https://a.example#b" })
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "jwt.issuer", 1)
	})
}

// d38HostedDomain: VerifyClaims is the rule; hd in the request is only a hint for the provider's
// page.
func d38HostedDomain(t *testing.T) {
	for name, hd := range map[string]any{
		"missing": nil, "another": "evil.example", "in upper case": "CORP.EXAMPLE", "with more behind it": "corp.example.evil.example",
		"with more before it": "evilcorp.example", "a list": []string{"corp.example"}, "ours": "corp.example",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].AuthParams = map[string]string{"hd": "corp.example"}
				o.Providers[0].VerifyClaims = func(c map[string]any) error {
					if c["hd"] != "corp.example" {
						return errors.New("another domain's account")
					}
					return nil
				}
			})
			s.IDP.EditIDToken(func(_, c map[string]any) { sitetest.Put(c, "hd", hd) })
			if name == "ours" {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIdentityRejected, "claims.rejected", 1)
			sitetest.WantNames(t, s.Logs.String(), "another domain's account") // the error of the function
		})
	}
}

func d39ClaimSources(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"*"} })
	s.IDP.EditIDToken(func(_, c map[string]any) {
		c["_claim_names"] = sitetest.Claims{"groups": "src1", "email": "src1"}
		c["_claim_sources"] = sitetest.Claims{"src1": sitetest.Claims{"endpoint": s.IDP.EvilURL(), "access_token": "for-the-source"}}
	})
	if u := s.AcceptsSignIn(t, "/login/demo"); u.Email != "ada@example.com" {
		t.Errorf("got %+v", u)
	}
	if n := s.IDP.EvilRequests(); n != 0 {
		t.Errorf("the claims' source was called %d times", n)
	}
}

// d40Groups: a session that is too large is rejected instead of truncated; claims that are not
// kept do not count.
func d40AMegabyteOfGroups(t *testing.T) {
	groups := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("group-%06d-%x", i, i*2654435761))
		}
		return list
	}
	t.Run("in the ID token", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditIDToken(func(_, c map[string]any) { c["groups"] = groups(20_000) })
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "jwt.too_long", 1)
	})
	t.Run("in the userinfo", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
		s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "groups") })
		s.IDP.EditUserinfo(func(c map[string]any) { c["groups"] = groups(15_000) })
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrSessionError, "", 1)
	})
	t.Run("under a name that is not kept", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditIDToken(func(_, c map[string]any) { c["memberships"] = groups(1_000) })
		s.AcceptsSignIn(t, "/login/demo")
	})
	t.Run("kept", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"memberships"} })
		s.IDP.EditIDToken(func(_, c map[string]any) { c["memberships"] = groups(1_000) })
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrSessionError, "", 1)
	})
}
