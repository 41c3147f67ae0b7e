package ginauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func d27AuthTime(t *testing.T) {
	asked := func(_ *site, o *ginauth.Options) { o.Providers[0].LoginParams = []string{"max_age"} }
	tokenCases(t, "/login/demo?max_age=600", asked, []tokenCase{
		claimCase("missing", "auth_time is missing", "auth_time", nil),
		timeCase("too old", "longer ago than max_age allows", "auth_time", -662*time.Second),
		timeCase("old enough with the leeway", "", "auth_time", -650*time.Second),
		timeCase("in the future", "auth_time is ahead", "auth_time", 63*time.Second),
		claimCase("a text", "id_token.auth_time", "auth_time", "1700000000"),
	})
	tokenCases(t, "/login/demo?max_age=0", asked, []tokenCase{
		timeCase("now", "", "auth_time", 0),
		timeCase("two minutes ago", "longer ago than max_age allows", "auth_time", -2*time.Minute),
	})
	configured := func(_ *site, o *ginauth.Options) { o.Providers[0].AuthParams = map[string]string{"max_age": "600"} }
	t.Run("asked for by the configuration", func(t *testing.T) {
		tokenCases(t, "/login/demo", configured, []tokenCase{
			claimCase("missing", "auth_time is missing", "auth_time", nil),
			timeCase("too old", "longer ago than max_age allows", "auth_time", -662*time.Second),
			timeCase("young enough", "", "auth_time", -time.Minute),
		})
	})
	t.Run("not asked for", func(t *testing.T) {
		tokenCases(t, "/login/demo", nil, []tokenCase{
			timeCase("a year ago", "", "auth_time", -365*24*time.Hour),
			timeCase("in the future", "auth_time is ahead", "auth_time", 63*time.Second),
		})
	})
}

func d28ACR(t *testing.T) {
	const reason = "acr is none of those asked for"
	cases := []tokenCase{
		claimCase("missing", reason, "acr", nil),
		claimCase("another", reason, "acr", "urn:one"),
		claimCase("empty", reason, "acr", ""),
		claimCase("both in one", reason, "acr", "urn:two urn:three"),
		claimCase("a list", reason, "acr", []string{"urn:two"}),
		claimCase("the first", "", "acr", "urn:two"),
		claimCase("the second", "", "acr", "urn:three"),
	}
	tokenCases(t, "/login/demo?acr_values=urn:two%20urn:three", func(_ *site, o *ginauth.Options) {
		o.Providers[0].LoginParams = []string{"acr_values"}
	}, cases)
	t.Run("asked for by the configuration", func(t *testing.T) {
		tokenCases(t, "/login/demo", func(_ *site, o *ginauth.Options) {
			o.Providers[0].AuthParams = map[string]string{"acr_values": "urn:two urn:three"}
		}, cases)
	})
}

func d29Duplicates(t *testing.T) {
	var cases []rawCase
	for name, members := range map[string]string{
		"sub": `"sub":"admin"`, "the same sub": `"sub":"ada"`, "an escaped sub": `"\u0073ub":"admin"`, "aud": `"aud":"demo-client"`,
		"exp": `"exp":9999999999`, "email": `"email":"root@example.com"`, "one that nobody knows": `"x":1,"x":2`,
		"within another": `"address":{"country":"a","country":"b"}`, "in events": `"events":{"a":{},"a":{}}`,
	} {
		cases = append(cases, payloadCase(name, oddClaims, adding(members)))
	}
	cases = append(cases, payloadCase("sub before", oddClaims, preceding(`"sub":"admin"`)), payloadCase("none", "", adding(`"x":1,"y":2`)))
	rawCases(t, cases)
}

func d30Case(t *testing.T) {
	var cases []rawCase
	for name, members := range map[string]string{
		"SUB": `"SUB":"admin"`, "Sub": `"Sub":"ada"`, "a long s in sub": `"ſub":"admin"`, "the same, escaped": `"\u017fub":"admin"`,
		"emaIl": `"emaIl":"root@example.com"`, "Email_Verified": `"Email_Verified":true`, "a Kelvin sign, which is no letter of ours": `"\u212a":1,"GROUPS":["admin"]`,
		"Nonce": `"Nonce":"x"`, "a long s in preferred_username": `"preferred_uſername":"root"`, "AZP": `"AZP":"x"`, "HD": `"HD":"corp.example"`, "Tid": `"Tid":"x"`,
	} {
		cases = append(cases, payloadCase(name, doubtClaims, adding(members)), payloadCase(name+", before", doubtClaims, preceding(members)))
	}
	cases = append(cases, payloadCase("two that are nobody's", "", adding(`"company":"a","Company":"b"`)))
	rawCases(t, cases)
	t.Run("a name that a path leads to", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(_ *site, o *ginauth.Options) {
			o.Providers[0].ClaimPaths = map[string]string{"preferred_username": "UserName", "groups": "Teams"}
		})
		s.idp.EditIDToken(func(_, c map[string]any) { c["UserName"], c["Teams"] = "ada7", []string{"a"} })
		if u := s.accepts(t, "/login/demo"); u.Username != "ada7" || u.Groups[0] != "a" {
			t.Errorf("got %+v", u)
		}
		for _, name := range []string{"username", "teamſ"} {
			s := newSite(t, func(_ *site, o *ginauth.Options) {
				o.Providers[0].ClaimPaths = map[string]string{"preferred_username": "UserName", "groups": "Teams"}
			})
			s.idp.EditIDToken(func(_, c map[string]any) { c["UserName"], c["Teams"], c[name] = "ada7", []string{"a"}, []string{"b"} })
			s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, doubtClaims, 1)
		}
	})
}

func d31CaseOfProtocol(t *testing.T) {
	rawCases(t, []rawCase{
		{"AUD has what aud should", doubtClaims, func(s *site, _, header, payload string) string {
			return s.idp.SignRaw([]byte(header), []byte(strings.Replace(payload, `"aud":"demo-client"`, `"aud":"other","AUD":"demo-client"`, 1)))
		}},
		{"ISS has what iss should", doubtClaims, func(s *site, _, header, payload string) string {
			good := `"iss":"` + s.idp.Issuer + `"`
			return s.idp.SignRaw([]byte(header), []byte(strings.Replace(payload, good, `"iss":"https://evil.example","ISS":"`+s.idp.Issuer+`"`, 1)))
		}},
		payloadCase("Exp beside exp", doubtClaims, adding(`"Exp":9999999999`)),
		payloadCase("AUD beside aud", doubtClaims, adding(`"AUD":"other"`)),
	})
}

func d32AccessTokenHash(t *testing.T) {
	const reason = "at_hash does not fit"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("of another token", reason, "at_hash", halfSHA256("another")),
		claimCase("empty", reason, "at_hash", ""),
		claimCase("a number", "wrong form", "at_hash", 1),
		claimCase("null", "", "at_hash", json.RawMessage("null")),
		{"in other case", reason, func(_ *site, _, c claims) { c["at_hash"] = swapCase(c["at_hash"].(string)) }},
		claimCase("absent", "", "at_hash", nil),
	})
}

func d33CodeHash(t *testing.T) {
	code := func(s *site) string { return s.idp.LastRequest(authtest.Token).Form.Get("code") }
	state := func(s *site) string { return s.idp.LastRequest(authtest.Authorize).Form.Get("state") }
	tokenCases(t, "/login/demo", nil, []tokenCase{
		{"c_hash of this code", "", func(s *site, _, c claims) { c["c_hash"] = halfSHA256(code(s)) }},
		{"c_hash of another", "c_hash does not fit", func(s *site, _, c claims) { c["c_hash"] = halfSHA256(code(s) + "x") }},
		claimCase("c_hash of no text", "c_hash does not fit", "c_hash", true),
		{"s_hash of this state", "", func(s *site, _, c claims) { c["s_hash"] = halfSHA256(state(s)) }},
		{"s_hash of another", "s_hash does not fit", func(s *site, _, c claims) { c["s_hash"] = halfSHA256(code(s)) }},
		claimCase("s_hash of no text", "s_hash does not fit", "s_hash", []string{}),
	})
}

func d34OtherKinds(t *testing.T) {
	const reason = "the token is of another kind"
	typ := func(name, reason string, value any) tokenCase {
		return tokenCase{name, reason, func(_ *site, header, _ claims) { put(header, "typ", value) }}
	}
	tokenCases(t, "/login/demo", nil, []tokenCase{
		typ("a logout token", reason, "logout+jwt"),
		typ("an access token", reason, "at+jwt"),
		typ("an access token with its media type", reason, "application/at+jwt"),
		typ("a security event", reason, "secevent+jwt"),
		typ("a key proof", reason, "dpop+jwt"),
		typ("a list", reason, []string{"JWT"}),
		typ("empty", reason, ""),
		typ("jwt", "", "jwt"),
		typ("the media type", "", "application/jwt"),
		typ("absent", "", nil),
		claimCase("events", "a logout token or a security event", "events", claims{"http://schemas.openid.net/event/backchannel-logout": claims{}}),
		claimCase("events that are empty", "a logout token or a security event", "events", claims{}),
	})
}

func d35Strings(t *testing.T) {
	nested := func(depth int) string { return `"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	rawCases(t, []rawCase{
		payloadCase("invalid UTF-8", oddClaims, adding(`"name":"`+"\xff"+`"`)),
		payloadCase("a NUL", oddClaims, adding(`"nick":"a\u0000b"`)),
		payloadCase("a NUL in a name", oddClaims, adding(`"a\u0000":1`)),
		payloadCase("a lone surrogate", oddClaims, adding(`"nick":"\ud800"`)),
		payloadCase("nested 33 levels deep", oddClaims, adding(nested(32))),
		payloadCase("nested 20,000 levels deep", "jwt.claims_json", adding(nested(20_000))),
		payloadCase("nested 200,000 levels deep", "longer than 64 KB", adding(nested(200_000))),
		payloadCase("a byte order mark", "jwt.claims_json", func(p string) string { return "\ufeff" + p }),
		payloadCase("something behind it", "jwt.claims_json", func(p string) string { return p + "{}" }),
		payloadCase("a list", "jwt.claims_json", func(p string) string { return "[" + p + "]" }),
		payloadCase("a pair of surrogates", "", adding(`"nick":"\ud83d\ude00"`)),
	})
}

func d36Replay(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	var first string
	s.idp.ReplaceIDToken(func(compact string) string {
		if first == "" {
			first = compact
		}
		return first
	})
	s.idp.EditIDToken(func(_, c map[string]any) { delete(c, "at_hash") })
	s.signIn()
	s.browser = s.newBrowser()
	s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "the nonce is not this sign-in's", 2)
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// d37Tenants is a provider with many issuers under one set of keys. Its rule is
// what a preset would have: the issuer of this token's own tenant, if that is
// one of those admitted.
func d37Tenants(t *testing.T) {
	const ours, other = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
	issuer := func(tid string) string { return "https://login.example/" + tid + "/v2.0" }
	tenants := func(_ *site, o *ginauth.Options) {
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
	tenant := func(name, reason, iss string, tid any) tokenCase {
		return tokenCase{name, reason, func(_ *site, _, c claims) { c["iss"] = iss; put(c, "tid", tid) }}
	}
	keyOf := func(name, reason, keyIssuer string) tokenCase {
		return tokenCase{name, reason, func(s *site, _, c claims) {
			c["iss"], c["tid"] = issuer(ours), ours
			s.idp.EditJWKS(func(keys []map[string]any) []map[string]any {
				for _, key := range keys {
					key["issuer"] = keyIssuer
				}
				return keys
			})
		}}
	}
	tokenCases(t, "/login/demo", tenants, []tokenCase{
		tenant("ours", "", issuer(ours), ours),
		keyOf("a key of ours", "", issuer(ours)),
		keyOf("a key of all tenants", "", issuer("{tenantid}")),
		keyOf("a key of another tenant", "a key of another issuer", issuer(other)),
		keyOf("a key of somewhere else", "a key of another issuer", "https://evil.example/{tenantid}/v2.0"),
		tenant("another in iss", "jwt.issuer", issuer(other), ours),
		tenant("another", "may not sign in", issuer(other), other),
		tenant("the template itself", "tid is no tenant", "https://login.example/{tenantid}/v2.0", "{tenantid}"),
		tenant("a tid that leads elsewhere", "tid is no tenant", issuer("../evil"), "../evil"),
		tenant("no tid", "tid is no tenant", issuer(ours), nil),
		tenant("a tid that is a number", "tid is no tenant", issuer(ours), 7),
		{"the metadata's issuer", "jwt.issuer", func(_ *site, _, c claims) { c["tid"] = ours }},
	})
	t.Run("the user's id has the tenant's issuer", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, tenants)
		s.idp.EditMetadata(func(m map[string]any) { m["issuer"] = "https://login.example/{tenantid}/v2.0" })
		s.idp.EditIDToken(func(_, c map[string]any) { c["iss"], c["tid"] = issuer(ours), ours })
		if u := s.accepts(t, "/login/demo"); u.ID() != issuer(ours)+"#ada" {
			t.Errorf("the id is %q", u.ID())
		}
	})
	t.Run("it is asked after the signature", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(s *site, o *ginauth.Options) {
			o.Providers[0].TokenIssuer = func(map[string]any) (string, error) {
				t.Error("TokenIssuer saw claims that nobody signed")
				return s.idp.Issuer, nil
			}
		})
		s.idp.Fail(authtest.Token, authtest.WrongSignature)
		s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, wrongSig, 1)
	})
	t.Run("an issuer with a fragment", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(_ *site, o *ginauth.Options) {
			o.Providers[0].TokenIssuer = func(c map[string]any) (string, error) { return c["iss"].(string), nil }
		})
		s.idp.EditIDToken(func(_, c map[string]any) { c["iss"] = "https://a.example#b" })
		s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "jwt.issuer", 1)
	})
}

// d38HostedDomain: the rule is VerifyClaims; what the request says in hd is
// advice to the provider's page.
func d38HostedDomain(t *testing.T) {
	for name, hd := range map[string]any{
		"missing": nil, "another": "evil.example", "in upper case": "CORP.EXAMPLE", "with more behind it": "corp.example.evil.example",
		"with more before it": "evilcorp.example", "a list": []string{"corp.example"}, "ours": "corp.example",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(_ *site, o *ginauth.Options) {
				o.Providers[0].AuthParams = map[string]string{"hd": "corp.example"}
				o.Providers[0].VerifyClaims = func(c map[string]any) error {
					if c["hd"] != "corp.example" {
						return errors.New("another domain's account")
					}
					return nil
				}
			})
			s.idp.EditIDToken(func(_, c map[string]any) { put(c, "hd", hd) })
			if name == "ours" {
				s.accepts(t, "/login/demo")
				return
			}
			s.refuses(t, "/login/demo", ginauth.ErrIdentityRejected, "another domain's account", 1)
		})
	}
}

func d39ClaimSources(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.KeepClaims = []string{"*"} })
	s.idp.EditIDToken(func(_, c map[string]any) {
		c["_claim_names"] = claims{"groups": "src1", "email": "src1"}
		c["_claim_sources"] = claims{"src1": claims{"endpoint": s.idp.EvilURL(), "access_token": "for-the-source"}}
	})
	if u := s.accepts(t, "/login/demo"); u.Email != "ada@example.com" {
		t.Errorf("got %+v", u)
	}
	if n := s.idp.EvilRequests(); n != 0 {
		t.Errorf("the claims' source was asked %d times", n)
	}
}

// d40Groups: a session is refused rather than cut; claims that are not kept do
// not count.
func d40Groups(t *testing.T) {
	groups := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("group-%06d-%x", i, i*2654435761))
		}
		return list
	}
	t.Run("in the ID token", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.EditIDToken(func(_, c map[string]any) { c["groups"] = groups(20_000) })
		s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "longer than 64 KB", 1)
	})
	t.Run("in the userinfo", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
		s.idp.EditIDToken(func(_, c map[string]any) { delete(c, "groups") })
		s.idp.EditUserinfo(func(c map[string]any) { c["groups"] = groups(15_000) })
		s.refuses(t, "/login/demo", ginauth.ErrSessionError, "", 1)
	})
	t.Run("under a name that is not kept", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.EditIDToken(func(_, c map[string]any) { c["memberships"] = groups(1_000) })
		s.accepts(t, "/login/demo")
	})
	t.Run("kept", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(_ *site, o *ginauth.Options) { o.KeepClaims = []string{"memberships"} })
		s.idp.EditIDToken(func(_, c map[string]any) { c["memberships"] = groups(1_000) })
		s.refuses(t, "/login/demo", ginauth.ErrSessionError, "", 1)
	})
}

func d41Rotation(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.signIn()
	s.idp.RotateKey()
	s.signIn()
	if n := s.idp.Count(authtest.JWKS); n != 2 {
		t.Errorf("the keys were asked for %d times, want 2", n)
	}
	s.signIn()
	if n := s.idp.Count(authtest.JWKS); n != 2 {
		t.Errorf("the keys were asked for %d times after a third sign-in, want 2", n)
	}
}

func d42KeysDown(t *testing.T) {
	for _, f := range []authtest.Fault{authtest.Down, authtest.HTML, authtest.Resetting, authtest.Redirecting, authtest.Endless} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.signIn()
			s.idp.Fail(authtest.JWKS, f)
			s.signIn()
			s.clock.Advance(3 * time.Hour) // the keys are old now, and still all there is
			s.signIn()
			s.browser = s.newBrowser()
			s.idp.RotateKey()
			for range 2 { // the second time without another request for keys
				p := s.refuses(t, "/login/demo", ginauth.ErrProviderUnavailable, "signing keys", s.idp.Count(authtest.Token)+1)
				if p.Header.Get("Retry-After") == "" {
					t.Error("there is no Retry-After")
				}
			}
			s.idp.Heal()
			s.clock.Advance(6 * time.Second)
			s.accepts(t, "/login/demo")
			if n := s.idp.EvilRequests(); n != 0 {
				t.Errorf("a redirect was followed %d times", n)
			}
		})
	}
	t.Run("from the beginning", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.Handle(authtest.JWKS, http.NotFound)
		s.refuses(t, "/login/demo", ginauth.ErrProviderUnavailable, "signing keys", 1)
	})
}
