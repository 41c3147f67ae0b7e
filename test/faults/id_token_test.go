package faults

import (
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsIDToken(t *testing.T) {
	runFaults(t, []fault{
		{"D14_iss", d14Iss},
		{"D14_google_without_scheme", d14GoogleWithoutScheme},
		{"D15_aud", d15Aud},
		{"D16_several_audiences", d16SeveralAudiences},
		{"D17_azp_of_another_client", d17AzpOfAnotherClient},
		{"D18_azp_does_not_stand_in_for_aud", d18AzpDoesNotStandInForAud},
		{"D19_exp", d19Exp},
		{"D20_exp_out_of_range", d20ExpOutOfRange},
		{"D21_iat", d21Iat},
		{"D22_nbf", d22Nbf},
		{"D23_nonce", d23Nonce},
		{"D24_nonce_supported_false", d24NonceSupportedFalse},
		{"D25_sub", d25Sub},
		{"D26_sub_no_text", d26SubNoText},
		{"D27_auth_time", d27AuthTime},
		{"D28_acr", d28Acr},
	})
}

func d27AuthTime(t *testing.T) {
	asked := func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].LoginParams = []string{"max_age"} }
	tokenCases(t, "/login/demo?max_age=600", asked, []tokenCase{
		claimCase("missing", "id_token.max_age_ignored", "auth_time", nil),
		timeCase("too old", "id_token.max_age", "auth_time", -662*time.Second),
		timeCase("old enough with the leeway", "", "auth_time", -650*time.Second),
		timeCase("in the future", "id_token.auth_time_future", "auth_time", 63*time.Second),
		claimCase("a text", "id_token.auth_time", "auth_time", "1700000000"),
	})
	tokenCases(t, "/login/demo?max_age=0", asked, []tokenCase{
		timeCase("now", "", "auth_time", 0),
		timeCase("two minutes ago", "id_token.max_age", "auth_time", -2*time.Minute),
	})
	configured := func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].AuthParams = map[string]string{"max_age": "600"}
	}
	t.Run("asked for by the configuration", func(t *testing.T) {
		tokenCases(t, "/login/demo", configured, []tokenCase{
			claimCase("missing", "id_token.max_age_ignored", "auth_time", nil),
			timeCase("too old", "id_token.max_age", "auth_time", -662*time.Second),
			timeCase("young enough", "", "auth_time", -time.Minute),
		})
	})
	t.Run("not asked for", func(t *testing.T) {
		tokenCases(t, "/login/demo", nil, []tokenCase{
			timeCase("a year ago", "", "auth_time", -365*24*time.Hour),
			timeCase("in the future", "id_token.auth_time_future", "auth_time", 63*time.Second),
		})
	})
}

func d28Acr(t *testing.T) {
	const id = "id_token.acr"
	cases := []tokenCase{
		claimCase("missing", id, "acr", nil),
		claimCase("another", id, "acr", "urn:one"),
		claimCase("empty", id, "acr", ""),
		claimCase("both in one", id, "acr", "urn:two urn:three"),
		claimCase("a list", id, "acr", []string{"urn:two"}),
		claimCase("the first", "", "acr", "urn:two"),
		claimCase("the second", "", "acr", "urn:three"),
	}
	tokenCases(t, "/login/demo?acr_values=urn:two%20urn:three", func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].LoginParams = []string{"acr_values"}
	}, cases)
	t.Run("asked for by the configuration", func(t *testing.T) {
		tokenCases(t, "/login/demo", func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].AuthParams = map[string]string{"acr_values": "urn:two urn:three"}
		}, cases)
	})
}

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func d14Iss(t *testing.T) {
	const id = "jwt.issuer"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", "jwt.issuer_missing", "iss", nil),
		claimCase("null", "jwt.issuer_missing", "iss", json.RawMessage("null")),
		claimCase("another", id, "iss", "https://another.example"),
		claimCase("a list", "jwt.claims_form", "iss", []string{"x"}),
		{"with a slash at the end", id, func(s *sitetest.Site, _, c sitetest.Claims) { c["iss"] = s.IDP.Issuer + "/" }},
		{"in upper case", id, func(s *sitetest.Site, _, c sitetest.Claims) { c["iss"] = strings.ToUpper(s.IDP.Issuer) }},
		{"with https", id, func(s *sitetest.Site, _, c sitetest.Claims) {
			c["iss"] = strings.Replace(s.IDP.Issuer, "http:", "https:", 1)
		}},
		{"with a space", id, func(s *sitetest.Site, _, c sitetest.Claims) { c["iss"] = s.IDP.Issuer + " " }},
		{"with a fragment", id, func(s *sitetest.Site, _, c sitetest.Claims) { c["iss"] = s.IDP.Issuer + "#ada" }},
	})
	t.Run("the fault of a provider", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.Fail(authtest.Token, authtest.WrongIssuer)
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, id, 1)
	})
}

// Google once sent its issuer without the scheme, and go-oidc accepts that.
func d14GoogleWithoutScheme(t *testing.T) {
	google := func(s *sitetest.Site, o *ginauth.Options) {
		p := sitetest.Client("demo", s.IDP)
		p.Issuer, p.ResponseIssuer = "https://accounts.google.com", s.IDP.Issuer
		p.AuthorizeURL, p.TokenURL, p.JWKSURL = s.IDP.URL(authtest.Authorize), s.IDP.URL(authtest.Token), s.IDP.URL(authtest.JWKS)
		o.Providers = []ginauth.Provider{p}
	}
	tokenCases(t, "/login/demo", google, []tokenCase{
		claimCase("with it", "", "iss", "https://accounts.google.com"),
		claimCase("without", "jwt.issuer", "iss", "accounts.google.com"),
	})
}

func d15Aud(t *testing.T) {
	const id, form = "jwt.audience", "jwt.claims_form"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", id, "aud", nil),
		claimCase("an empty list", id, "aud", []string{}),
		claimCase("empty", id, "aud", ""),
		claimCase("another", id, "aud", "other"),
		claimCase("a list of another", id, "aud", []string{"other"}),
		claimCase("ours with more behind it", id, "aud", "demo-client2"),
		claimCase("the beginning of ours", id, "aud", "demo-clien"),
		claimCase("ours in upper case", id, "aud", "DEMO-CLIENT"),
		claimCase("a number", form, "aud", 7),
		claimCase("an object", form, "aud", sitetest.Claims{"demo-client": true}),
		claimCase("ours and a null", form, "aud", []any{"demo-client", nil}),
		claimCase("a list of ours alone", "", "aud", []string{"demo-client"}),
	})
	// Each has its own fix: ClientID is right if a claim is malformed.
	const client, mapping, ntp = "jwt.audience", "jwt.claims_form", "jwt.nbf"
	names := map[string]string{client: "check ClientID", mapping: "claim mapping", ntp: "(NTP)"}
	for _, tt := range []struct {
		name, claim string
		value       any
		id          string
	}{
		{"another audience", "aud", "other", client},
		{"a malformed audience", "aud", 7, mapping},
		{"a malformed issuer", "iss", []string{"x"}, mapping},
		{"a malformed subject", "sub", 17, mapping},
		{"not valid for ten minutes", "nbf", func() int64 { return time.Now().Add(10 * time.Minute).Unix() }, ntp},
	} {
		t.Run(tt.name+" says what to do", func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.IDP.EditIDToken(func(_, c map[string]any) {
				if at, ok := tt.value.(func() int64); ok {
					c[tt.claim] = at()
				} else {
					c[tt.claim] = tt.value
				}
			})
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, tt.id, 1)
			for id, name := range names {
				if strings.Contains(s.Logs.String(), name) != (id == tt.id) {
					t.Errorf("%s: the log has %q:\n%s", tt.id, name, s.Logs)
				}
			}
		})
	}
}

func d16SeveralAudiences(t *testing.T) {
	const id = "id_token.audiences"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("without azp", id, "aud", []string{"demo-client", "other"}),
		{"with azp", "", func(_ *sitetest.Site, _, c sitetest.Claims) {
			c["aud"], c["azp"] = []string{"other", "demo-client"}, "demo-client"
		}},
		{"with another azp", "id_token.azp", func(_ *sitetest.Site, _, c sitetest.Claims) {
			c["aud"], c["azp"] = []string{"other", "demo-client"}, "other"
		}},
	})
}

func d17AzpOfAnotherClient(t *testing.T) {
	const id = "id_token.azp"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("another", id, "azp", "other"),
		claimCase("empty", id, "azp", ""),
		claimCase("a list", id, "azp", []string{"demo-client"}),
		claimCase("null", "", "azp", json.RawMessage("null")),
		claimCase("ours", "", "azp", "demo-client"),
	})
}

func d18AzpDoesNotStandInForAud(t *testing.T) {
	tokenCases(t, "/login/demo", nil, []tokenCase{{"another audience", "jwt.audience", func(_ *sitetest.Site, _, c sitetest.Claims) {
		c["aud"], c["azp"] = []string{"other"}, "demo-client"
	}}})
}

// timeCase sets a claim to a time relative to now, by the clock of both sides.
func timeCase(name, id, claim string, fromNow time.Duration) tokenCase {
	return tokenCase{name, id, func(s *sitetest.Site, _, c sitetest.Claims) { c[claim] = s.Clock.Now().Add(fromNow).Unix() }}
}

func d19Exp(t *testing.T) {
	const expired = "jwt.expired"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", "jwt.exp", "exp", nil),
		timeCase("an hour ago", expired, "exp", -time.Hour),
		timeCase("a minute and a moment ago", expired, "exp", -62*time.Second),
		timeCase("within the leeway", "", "exp", -50*time.Second),
	})
	t.Run("the log tells of a clock that is off", func(t *testing.T) {
		t.Parallel()
		var ahead sitetest.Clock
		ahead.Advance(3 * time.Hour)
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Now = ahead.Now })
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "jwt.expired", 1)
		sitetest.WantNames(t, s.Logs.String(), "ahead")
	})
}

func d20ExpOutOfRange(t *testing.T) {
	const form, no = "jwt.claims_form", "id_token.exp"
	beyond, most := no, math.MaxFloat64
	if int64(most) < 0 { // go-oidc's conversion of a number beyond an int64 depends on the processor
		beyond = "jwt.expired"
	}
	raw := func(name, id, number string) tokenCase {
		return claimCase(name, id, "exp", json.RawMessage(number))
	}
	tokenCases(t, "/login/demo", nil, []tokenCase{
		raw("a text", no, `"`+sitetest.JSON(time.Now().Add(time.Hour).Unix())+`"`),
		raw("1e30", beyond, "1e30"),
		raw("9e18", no, "9e18"),
		raw("1e400", form, "1e400"),
		raw("the year 10000", no, "253402300800"),
		raw("negative", "jwt.expired", "-1"),
		raw("a list", form, "[1]"),
		raw("true", form, "true"),
		raw("the largest integer", beyond, sitetest.JSON(int64(math.MaxInt64))),
		raw("a fraction", "", sitetest.JSON(time.Now().Add(time.Hour).Unix())+".5"),
		timeCase("a hundred years from now", "", "exp", 100*365*24*time.Hour),
	})
}

func d21Iat(t *testing.T) {
	const no = "id_token.iat"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", no, "iat", nil),
		claimCase("a text", no, "iat", "1700000000"),
		timeCase("in a year", "id_token.iat_future", "iat", 365*24*time.Hour),
		timeCase("in a minute and a moment", "id_token.iat_future", "iat", 63*time.Second),
		timeCase("in less than a minute", "", "iat", 50*time.Second),
		timeCase("ten years ago", "id_token.iat_past", "iat", -10*365*24*time.Hour),
		timeCase("a minute and a moment before the sign-in", "id_token.iat_past", "iat", -63*time.Second),
		timeCase("just before the sign-in", "", "iat", -50*time.Second),
	})
}

func d22Nbf(t *testing.T) {
	const id = "jwt.nbf"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		timeCase("in a minute and a moment", id, "nbf", 63*time.Second),
		timeCase("in three minutes and a half", id, "nbf", 210*time.Second), // go-oidc allows five
		timeCase("in ten minutes", id, "nbf", 10*time.Minute),
		claimCase("a text", id, "nbf", "1700000000"),
		claimCase("null", "", "nbf", json.RawMessage("null")),
		timeCase("in less than a minute", "", "nbf", 50*time.Second),
		timeCase("an hour ago", "", "nbf", -time.Hour),
	})
}

func d23Nonce(t *testing.T) {
	const id = "id_token.nonce"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", id, "nonce", nil),
		claimCase("another", id, "nonce", strings.Repeat("A", 43)),
		claimCase("empty", id, "nonce", ""),
		{"in a list", "jwt.claims_form", func(_ *sitetest.Site, _, c sitetest.Claims) { c["nonce"] = []any{c["nonce"]} }},
		{"in other case", id, func(_ *sitetest.Site, _, c sitetest.Claims) { c["nonce"] = swapCase(c["nonce"].(string)) }},
		{"with more behind it", id, func(_ *sitetest.Site, _, c sitetest.Claims) { c["nonce"] = c["nonce"].(string) + "A" }},
		{"the state", id, func(s *sitetest.Site, _, c sitetest.Claims) {
			c["nonce"] = s.IDP.LastRequest(authtest.Authorize).Form.Get("state")
		}},
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

// Apple sends nonce_supported if it cannot echo a nonce. The claim is ignored.
func d24NonceSupportedFalse(t *testing.T) {
	tokenCases(t, "/login/demo", nil, []tokenCase{{"no nonce", "id_token.nonce", func(_ *sitetest.Site, _, c sitetest.Claims) {
		c["nonce_supported"] = false
		delete(c, "nonce")
	}}})
}

func d25Sub(t *testing.T) {
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("missing", "id_token.sub", "sub", nil),
		claimCase("empty", "id_token.sub", "sub", ""),
		claimCase("of 256 characters", "id_token.sub_too_long", "sub", strings.Repeat("a", 256)),
		claimCase("of 255 characters", "", "sub", strings.Repeat("a", 255)),
		claimCase("with a line break", "id_token.sub_characters", "sub", "ada\nadmin"),
		claimCase("with a delete", "id_token.sub_characters", "sub", "ada\x7f"),
		claimCase("not ASCII", "id_token.sub_characters", "sub", "adа"),
		claimCase("with punctuation", "", "sub", "auth0|1#2 3"),
	})
}

func d26SubNoText(t *testing.T) {
	const form = "jwt.claims_form"
	tokenCases(t, "/login/demo", nil, []tokenCase{
		claimCase("a number", form, "sub", 17),
		claimCase("true", form, "sub", true),
		claimCase("an object", form, "sub", sitetest.Claims{"id": "ada"}),
		claimCase("a list", form, "sub", []string{"ada"}),
		claimCase("null", "id_token.sub", "sub", json.RawMessage("null")),
	})
}
