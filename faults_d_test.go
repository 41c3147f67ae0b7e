package ginauth_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func faultsD() []fault {
	return []fault{
		{"D1_alg_none", d1AlgNone},
		{"D1_alg_none_or_hs256_is_all_that_is_offered", d1AlgsOffered},
		{"D2_hs256_with_the_public_key_or_the_secret", d2HS256},
		{"D3_alg_not_configured", d3OtherAlg},
		{"D4_key_in_the_header", d4KeyInHeader},
		{"D5_crit", d5Crit},
		{"D6_header_with_two_algs", d6TwoAlgs},
		{"D7_json_serialization", d7JSONSerialization},
		{"D8_white_space_around_the_token", d8WhiteSpace},
		{"D9_segments_and_padding", d9Segments},
		{"D10_wrong_signature", d10WrongSignature},
		{"D10_wrong_signature_ec_and_ed", d10WrongSignatureOtherKeys},
		{"D11_key_not_for_verifying", d11KeyUse},
		{"D12_rsa_1024", d12WeakRSA},
		{"D13_no_kid", d13NoKid},
		{"D13_at_most_ten_keys_are_tried", d13TenKeys},
		{"D14_iss", d14Issuer},
		{"D14_google_without_scheme", d14Google},
		{"D15_aud", d15Audience},
		{"D16_several_audiences", d16Audiences},
		{"D17_azp_of_another_client", d17Azp},
		{"D18_azp_does_not_stand_in_for_aud", d18AzpWithoutAud},
		{"D19_exp", d19Expiry},
		{"D20_exp_out_of_range", d20ExpiryRange},
		{"D21_iat", d21IssuedAt},
		{"D22_nbf", d22NotBefore},
		{"D23_nonce", d23Nonce},
		{"D24_nonce_supported_false", d24NonceSupported},
		{"D25_sub", d25Subject},
		{"D26_sub_no_text", d26SubjectType},
		{"D27_auth_time", d27AuthTime},
		{"D28_acr", d28ACR},
		{"D29_duplicate_claims", d29Duplicates},
		{"D30_claims_in_other_case", d30Case},
		{"D31_aud_and_iss_in_other_case", d31CaseOfProtocol},
		{"D32_at_hash", d32AccessTokenHash},
		{"D33_c_hash_and_s_hash", d33CodeHash},
		{"D34_other_kinds_of_jwt", d34OtherKinds},
		{"D35_odd_strings_and_depth", d35Strings},
		{"D36_token_of_another_sign_in", d36Replay},
		{"D37_tenants", d37Tenants},
		{"D38_hosted_domain", d38HostedDomain},
		{"D39_claim_sources", d39ClaimSources},
		{"D40_a_megabyte_of_groups", d40Groups},
		{"D41_key_rotated", d41Rotation},
		{"D42_keys_unreachable", d42KeysDown},
	}
}

func d14Issuer(t *testing.T) {
	const reason = "jwt.issuer"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", reason, "iss", nil),
		claimCase("null", reason, "iss", json.RawMessage("null")),
		claimCase("another", reason, "iss", "https://another.example"),
		claimCase("a list", "wrong form", "iss", []string{"x"}),
		{"with a slash at the end", reason, func(s *site, _, c claims) { c["iss"] = s.idp.Issuer + "/" }},
		{"in upper case", reason, func(s *site, _, c claims) { c["iss"] = strings.ToUpper(s.idp.Issuer) }},
		{"with https", reason, func(s *site, _, c claims) { c["iss"] = strings.Replace(s.idp.Issuer, "http:", "https:", 1) }},
		{"with a space", reason, func(s *site, _, c claims) { c["iss"] = s.idp.Issuer + " " }},
		{"with a fragment", reason, func(s *site, _, c claims) { c["iss"] = s.idp.Issuer + "#ada" }},
	})
	t.Run("the fault of a provider", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.Fail(authtest.Token, authtest.WrongIssuer)
		s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, reason, 1)
	})
}

// Google once sent its issuer without the scheme, and go-oidc lets that pass.
func d14Google(t *testing.T) {
	google := func(s *site, o *ginauth.Options) {
		p := client("demo", s.idp)
		p.Issuer, p.ResponseIssuer = "https://accounts.google.com", s.idp.Issuer
		p.AuthorizeURL, p.TokenURL, p.JWKSURL = s.idp.URL(authtest.Authorize), s.idp.URL(authtest.Token), s.idp.URL(authtest.JWKS)
		o.Providers = []ginauth.Provider{p}
	}
	tokenCases(t, "/login/demo", google, []tokenCase{
		claimCase("with it", "", "iss", "https://accounts.google.com"),
		claimCase("without", "jwt.issuer", "iss", "accounts.google.com"),
	})
}

func d15Audience(t *testing.T) {
	const reason, form = "the token's audience is another client", "its claims have the wrong form"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", reason, "aud", nil),
		claimCase("an empty list", reason, "aud", []string{}),
		claimCase("empty", reason, "aud", ""),
		claimCase("another", reason, "aud", "other"),
		claimCase("a list of another", reason, "aud", []string{"other"}),
		claimCase("ours with more behind it", reason, "aud", "demo-client2"),
		claimCase("the beginning of ours", reason, "aud", "demo-clien"),
		claimCase("ours in upper case", reason, "aud", "DEMO-CLIENT"),
		claimCase("a number", form, "aud", 7),
		claimCase("an object", form, "aud", claims{"demo-client": true}),
		claimCase("ours and a null", form, "aud", []any{"demo-client", nil}),
		claimCase("a list of ours alone", "", "aud", []string{"demo-client"}),
	})
	// Each has a fix of its own: ClientID is right where a claim is malformed.
	const client, mapping, ntp = "check ClientID", "a claim mapping at the provider", "(NTP)"
	for _, tt := range []struct {
		name, claim string
		value       any
		fix         string
	}{
		{"another audience", "aud", "other", client},
		{"a malformed audience", "aud", 7, mapping},
		{"a malformed issuer", "iss", []string{"x"}, mapping},
		{"a malformed subject", "sub", 17, mapping},
		{"not valid for ten minutes", "nbf", func() int64 { return time.Now().Add(10 * time.Minute).Unix() }, ntp},
	} {
		t.Run(tt.name+" says what to do", func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.idp.EditIDToken(func(_, c map[string]any) {
				if at, ok := tt.value.(func() int64); ok {
					c[tt.claim] = at()
				} else {
					c[tt.claim] = tt.value
				}
			})
			s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, tt.fix, 1)
			for _, other := range []string{client, mapping, ntp} {
				if other != tt.fix && strings.Contains(s.logs.String(), other) {
					t.Errorf("the log says %q too:\n%s", other, s.logs)
				}
			}
		})
	}
}

func d16Audiences(t *testing.T) {
	const reason = "several audiences and no azp"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("without azp", reason, "aud", []string{"demo-client", "other"}),
		{"with azp", "", func(_ *site, _, c claims) {
			c["aud"], c["azp"] = []string{"other", "demo-client"}, "demo-client"
		}},
		{"with another azp", "azp is another client", func(_ *site, _, c claims) {
			c["aud"], c["azp"] = []string{"other", "demo-client"}, "other"
		}},
	})
}

func d17Azp(t *testing.T) {
	const reason = "azp is another client"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("another", reason, "azp", "other"),
		claimCase("empty", reason, "azp", ""),
		claimCase("a list", reason, "azp", []string{"demo-client"}),
		claimCase("null", "", "azp", json.RawMessage("null")),
		claimCase("ours", "", "azp", "demo-client"),
	})
}

func d18AzpWithoutAud(t *testing.T) {
	tokenCases(t, "/login/demo", nil, []tokenCase{{"another audience", "audience is another client", func(_ *site, _, c claims) {
		c["aud"], c["azp"] = []string{"other"}, "demo-client"
	}}})
}

// timeCase sets a claim to a time from now on, by the clock of both sides.
func timeCase(name, reason, claim string, fromNow time.Duration) tokenCase {
	return tokenCase{name, reason, func(s *site, _, c claims) { c[claim] = s.clock.Now().Add(fromNow).Unix() }}
}

func d19Expiry(t *testing.T) {
	const expired = "the token expired"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", "jwt.exp", "exp", nil),
		timeCase("an hour ago", expired, "exp", -time.Hour),
		timeCase("a minute and a moment ago", expired, "exp", -62*time.Second),
		timeCase("within the leeway", "", "exp", -50*time.Second),
	})
	t.Run("the log tells of a clock that is off", func(t *testing.T) {
		t.Parallel()
		var ahead clock
		ahead.Advance(3 * time.Hour)
		s := newSite(t, func(_ *site, o *ginauth.Options) { o.Now = ahead.Now })
		s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "ahead of the provider's", 1)
	})
}

func d20ExpiryRange(t *testing.T) {
	const form, no = "its claims have the wrong form", "id_token.exp"
	raw := func(name, reason, number string) tokenCase {
		return claimCase(name, reason, "exp", json.RawMessage(number))
	}
	tokenCases(t, "/login/demo", nil, []tokenCase{
		raw("a text", no, `"`+jsonOf(time.Now().Add(time.Hour).Unix())+`"`),
		raw("1e30", "exp", "1e30"),
		raw("9e18", "exp", "9e18"),
		raw("1e400", form, "1e400"),
		raw("the year 10000", no, "253402300800"),
		raw("negative", "expired", "-1"),
		raw("a list", form, "[1]"),
		raw("true", form, "true"),
		raw("the largest integer", "exp", jsonOf(int64(math.MaxInt64))),
		raw("a fraction", "", jsonOf(time.Now().Add(time.Hour).Unix())+".5"),
		timeCase("a hundred years from now", "", "exp", 100*365*24*time.Hour),
	})
}

func d21IssuedAt(t *testing.T) {
	const no = "id_token.iat"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", no, "iat", nil),
		claimCase("a text", no, "iat", "1700000000"),
		timeCase("in a year", "ahead of this machine's clock", "iat", 365*24*time.Hour),
		timeCase("in a minute and a moment", "ahead of this machine's clock", "iat", 63*time.Second),
		timeCase("in less than a minute", "", "iat", 50*time.Second),
		timeCase("ten years ago", "before this sign-in began", "iat", -10*365*24*time.Hour),
		timeCase("a minute and a moment before the sign-in", "before this sign-in began", "iat", -63*time.Second),
		timeCase("just before the sign-in", "", "iat", -50*time.Second),
	})
}

func d22NotBefore(t *testing.T) {
	const reason = "jwt.nbf"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		timeCase("in a minute and a moment", reason, "nbf", 63*time.Second),
		timeCase("in three minutes and a half", reason, "nbf", 210*time.Second), // go-oidc allows five
		timeCase("in ten minutes", reason, "nbf", 10*time.Minute),
		claimCase("a text", reason, "nbf", "1700000000"),
		claimCase("null", "", "nbf", json.RawMessage("null")),
		timeCase("in less than a minute", "", "nbf", 50*time.Second),
		timeCase("an hour ago", "", "nbf", -time.Hour),
	})
}

func d23Nonce(t *testing.T) {
	const reason = "the nonce is not this sign-in's"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", reason, "nonce", nil),
		claimCase("another", reason, "nonce", strings.Repeat("A", 43)),
		claimCase("empty", reason, "nonce", ""),
		{"in a list", "wrong form", func(_ *site, _, c claims) { c["nonce"] = []any{c["nonce"]} }},
		{"in other case", reason, func(_ *site, _, c claims) { c["nonce"] = swapCase(c["nonce"].(string)) }},
		{"with more behind it", reason, func(_ *site, _, c claims) { c["nonce"] = c["nonce"].(string) + "A" }},
		{"the state", reason, func(s *site, _, c claims) { c["nonce"] = s.idp.LastRequest(authtest.Authorize).Form.Get("state") }},
	})
}

func swapCase(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}

// Apple says nonce_supported where it cannot echo one. Nobody is believed that.
func d24NonceSupported(t *testing.T) {
	tokenCases(t, "/login/demo", nil, []tokenCase{{"no nonce", "the nonce is not this sign-in's", func(_ *site, _, c claims) {
		c["nonce_supported"] = false
		delete(c, "nonce")
	}}})
}

func d25Subject(t *testing.T) {
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", "sub is missing", "sub", nil),
		claimCase("empty", "sub is missing", "sub", ""),
		claimCase("of 256 characters", "sub is longer", "sub", strings.Repeat("a", 256)),
		claimCase("of 255 characters", "", "sub", strings.Repeat("a", 255)),
		claimCase("with a line break", "not printable ASCII", "sub", "ada\nadmin"),
		claimCase("with a delete", "not printable ASCII", "sub", "ada\x7f"),
		claimCase("not ASCII", "not printable ASCII", "sub", "adа"),
		claimCase("with punctuation", "", "sub", "auth0|1#2 3"),
	})
}

func d26SubjectType(t *testing.T) {
	const form = "its claims have the wrong form"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("a number", form, "sub", 17),
		claimCase("true", form, "sub", true),
		claimCase("an object", form, "sub", claims{"id": "ada"}),
		claimCase("a list", form, "sub", []string{"ada"}),
		claimCase("null", "sub is missing", "sub", json.RawMessage("null")),
	})
}
