package rp_test

import (
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

// A claims map edits the claims of an ID token.
type claims = map[string]any

// unix returns the time of the clock plus d as a NumericDate.
func (c *clock) unix(d time.Duration) int64 { return c.Now().Add(d).Unix() }

// idTokenCase is an ID token and the expected result.
type idTokenCase struct {
	name   string
	claims claims
	asked  func(*rp.Request) // changes the authorization request; may be nil
	id     string            // of the error; "" for an ID token that passes
}

// tryIDTokens signs in with each of the tokens.
func tryIDTokens(t *testing.T, p *provider, c *rp.Client, cases []idTokenCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			p.claims = test.claims
			var asked []func(*rp.Request)
			if test.asked != nil {
				asked = append(asked, test.asked)
			}
			id, err := p.signIn(c, asked...)
			if test.id == "" {
				if err != nil || id.Claims["sub"] == nil {
					t.Errorf("got %v, %v", id, err)
				}
				return
			}
			wantError(t, err, rp.IDTokenInvalid, test.id)
			if id != nil {
				t.Errorf("with the error came %+v", id)
			}
		})
	}
}

func maxAge(seconds int) func(*rp.Request) { return func(r *rp.Request) { r.MaxAge = seconds } }

func acrValues(values string) func(*rp.Request) {
	return func(r *rp.Request) { r.ACRValues = values }
}

// The checks of OpenID Connect Core 1.0, 3.1.3.7, beyond those of every JWT, with values on both
// sides of each limit.
func TestIDToken(t *testing.T) {
	p := newProvider(t)
	at := p.clock.unix
	const s = time.Second
	tryIDTokens(t, p, p.client(), []idTokenCase{
		{"azp is this client", claims{"azp": theClient}, nil, ""},
		{"azp is another client", claims{"azp": "another"}, nil, "id_token.azp"},
		{"azp is not text", claims{"azp": 1}, nil, "id_token.azp"},
		{"azp is null", claims{"azp": nil}, nil, ""},
		{"one audience in a list", claims{"aud": []string{theClient}}, nil, ""},
		{"two audiences and azp", claims{"aud": []string{"api", theClient}, "azp": theClient}, nil, ""},
		{"two audiences without azp", claims{"aud": []string{theClient, "api"}}, nil, "id_token.audiences"},
		{"a logout token", claims{"events": claims{"http://schemas.openid.net/event/backchannel-logout": claims{}}}, nil, "id_token.events"},
		{"events is null", claims{"events": nil}, nil, "id_token.events"},

		{"exp is text", claims{"exp": json.RawMessage(`"1800000000"`)}, nil, "id_token.exp"},
		{"exp is after the year 9998", claims{"exp": 253370764800}, nil, "id_token.exp"},
		{"iat is missing", claims{"iat": absent}, nil, "id_token.iat"},
		{"iat is text", claims{"iat": "1800000000"}, nil, "id_token.iat"},
		{"iat is null", claims{"iat": nil}, nil, "id_token.iat"},
		{"iat has a fraction", claims{"iat": json.Number("1772366400.5")}, nil, ""},
		{"iat is a minute ahead", claims{"iat": at(60 * s)}, nil, ""},
		{"iat is more than a minute ahead", claims{"iat": at(61 * s)}, nil, "id_token.iat_future"},
		{"iat is a minute before the sign-in", claims{"iat": at(-60 * s)}, nil, ""},
		{"iat is more than a minute before the sign-in", claims{"iat": at(-61 * s)}, nil, "id_token.iat_past"},
		{"the provider's session goes on", claims{"session_expiry": at(s)}, nil, ""},
		{"the provider's session ends now", claims{"session_expiry": at(0)}, nil, "id_token.session_expiry"},
		{"the provider's session has ended", claims{"session_expiry": at(-s)}, nil, "id_token.session_expiry"},
		{"session_expiry is text", claims{"session_expiry": "1800000000"}, nil, "id_token.session_expiry"},

		{"the nonce is missing", claims{"nonce": absent}, nil, "id_token.nonce"},
		{"the nonce is another sign-in's", claims{"nonce": "n0nce-of-another"}, nil, "id_token.nonce"},
		{"the nonce begins as it should", claims{"nonce": theNonce + "x"}, nil, "id_token.nonce"},
		{"the nonce is not text", claims{"nonce": []string{theNonce}}, nil, "jwt.claims_form"},
		{"no nonce was sent and none came", claims{"nonce": absent}, func(r *rp.Request) { r.Nonce = "" }, "id_token.nonce"},
		{"no nonce was sent and an empty one came", claims{"nonce": ""}, func(r *rp.Request) { r.Nonce = "" }, "id_token.nonce"},

		{"auth_time without max_age", claims{"auth_time": at(-999 * time.Hour)}, nil, ""},
		{"auth_time is text", claims{"auth_time": "1800000000"}, nil, "id_token.auth_time"},
		{"auth_time is null", claims{"auth_time": nil}, nil, ""},
		{"auth_time is a minute ahead", claims{"auth_time": at(60 * s)}, nil, ""},
		{"auth_time is more than a minute ahead", claims{"auth_time": at(61 * s)}, nil, "id_token.auth_time_future"},
		{"max_age without auth_time", nil, maxAge(300), "id_token.max_age_ignored"},
		{"max_age 0 without auth_time", nil, maxAge(0), "id_token.max_age_ignored"},
		{"as old as max_age allows", claims{"auth_time": at(-360 * s)}, maxAge(300), ""},
		{"older than max_age allows", claims{"auth_time": at(-361 * s)}, maxAge(300), "id_token.max_age"},
		{"max_age 0, just now", claims{"auth_time": at(-60 * s)}, maxAge(0), ""},
		{"max_age 0, long ago", claims{"auth_time": at(-61 * s)}, maxAge(0), "id_token.max_age"},
		{"acr is the second of two", claims{"acr": "mfa"}, acrValues("phr mfa"), ""},
		{"acr is missing", nil, acrValues("mfa"), "id_token.acr"},
		{"acr is another", claims{"acr": "pwd"}, acrValues("phr mfa"), "id_token.acr"},
		{"acr is both", claims{"acr": "phr mfa"}, acrValues("phr mfa"), "id_token.acr"},
		{"acr is empty", claims{"acr": ""}, acrValues("mfa"), "id_token.acr"},
		{"acr is not text", claims{"acr": []string{"mfa"}}, acrValues("mfa"), "id_token.acr"},
		{"acr was not asked for", claims{"acr": 1}, nil, ""},

		{"sub has 255 characters", claims{"sub": strings.Repeat("x", 255)}, nil, ""},
		{"sub is longer than 255", claims{"sub": strings.Repeat("x", 256)}, nil, "id_token.sub_too_long"},
		{"sub is missing", claims{"sub": absent}, nil, "id_token.sub"},
		{"sub is null", claims{"sub": nil}, nil, "id_token.sub"},
		{"sub is empty", claims{"sub": ""}, nil, "id_token.sub"},
		{"sub has a line break", claims{"sub": "ann\n"}, nil, "id_token.sub_characters"},
		{"sub has a DEL", claims{"sub": "ann\x7f"}, nil, "id_token.sub_characters"},
		{"sub is not ASCII", claims{"sub": "ánn"}, nil, "id_token.sub_characters"},
		{"sub is a space", claims{"sub": " ~"}, nil, ""},
	})
}

// TestNullWithSeveralAudiences: an azp that is null counts as missing.
func TestNullWithSeveralAudiences(t *testing.T) {
	p := newProvider(t)
	p.claims = map[string]any{"aud": []string{theClient, "another"}, "azp": nil}
	_, err := p.signIn(p.client())
	wantError(t, err, rp.IDTokenInvalid, "id_token.audiences")
}

// TestAuthTimeOfZero: an auth_time of 0 means unknown.
func TestAuthTimeOfZero(t *testing.T) {
	p := newProvider(t)
	p.claims = map[string]any{"auth_time": 0}
	p.mustSignIn(p.client())
	_, err := p.signIn(p.client(), func(r *rp.Request) { r.MaxAge = 3600 })
	wantError(t, err, rp.IDTokenInvalid, "id_token.max_age_ignored")
}

// go-oidc decodes sub into a string: it rejects a number before checkSubject.
func TestSubjectOfAnIDTokenIsText(t *testing.T) {
	p := newProvider(t)
	tryIDTokens(t, p, p.client(), []idTokenCase{
		{"sub is a number", claims{"sub": 1}, nil, "jwt.claims_form"},
		{"sub is true", claims{"sub": true}, nil, "jwt.claims_form"},
	})
}

func TestDisableNonceAcceptsAnyNonce(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(cfg *rp.Config) { cfg.Quirks.DisableNonce = true })
	tryIDTokens(t, p, c, []idTokenCase{
		{"none", claims{"nonce": absent}, nil, ""},
		{"another", claims{"nonce": "another"}, nil, ""},
	})
}

// 3.1.3.6: at_hash is the left half of the hash of the token's algorithm.
func TestHashes(t *testing.T) {
	hashes := map[string]func(string) []byte{
		"RS256": func(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[:16] },
		"ES384": func(s string) []byte { sum := sha512.Sum384([]byte(s)); return sum[:24] },
		"PS512": func(s string) []byte { sum := sha512.Sum512([]byte(s)); return sum[:32] },
		"EdDSA": func(s string) []byte { sum := sha512.Sum512([]byte(s)); return sum[:32] },
	}
	signers := []*signer{rsaKey(), newEC("p384", "ES384", elliptic.P384()), rsaKey().as("ps", "PS512"), edKey()}
	for _, s := range signers {
		t.Run(s.alg, func(t *testing.T) {
			p := newProvider(t)
			p.signer = s
			var cases []idTokenCase
			for name, of := range map[string]string{"at_hash": theAccess, "c_hash": theCode, "s_hash": theState} {
				id := "id_token." + name
				full := sha256.Sum256([]byte(of))
				cases = append(cases,
					idTokenCase{name + " fits", claims{name: b64(hashes[s.alg](of))}, nil, ""},
					idTokenCase{name + " is of something else", claims{name: b64(hashes[s.alg]("other"))}, nil, id},
					idTokenCase{name + " is the whole hash", claims{name: b64(full[:])}, nil, id},
					idTokenCase{name + " is empty", claims{name: ""}, nil, id},
					idTokenCase{name + " is not text", claims{name: 1}, nil, map[bool]string{true: "jwt.claims_form", false: id}[name == "at_hash"]},
					idTokenCase{name + " is null", claims{name: nil}, nil, ""},
				)
			}
			tryIDTokens(t, p, p.client(), cases)
		})
	}
}

// The Date of the token response shows which clock is wrong. The comparison is added only to the
// reasons that a wrong clock can cause.
func TestReasonsOfTimesCompareTheClocks(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	reason := func(ahead time.Duration, edits claims) string {
		t.Helper()
		p.ahead, p.claims = ahead, edits
		_, err := p.signIn(c, func(r *rp.Request) { r.MaxAge = 7200 })
		e, ok := err.(*rp.Error)
		if !ok {
			t.Fatalf("got %v", err)
		}
		return e.Reason
	}
	for name, edits := range map[string]claims{
		"iat":       {"iat": p.clock.unix(time.Hour)},
		"iat past":  {"iat": p.clock.unix(-time.Hour)},
		"exp":       {"exp": p.clock.unix(-time.Hour)},
		"nbf":       {"nbf": p.clock.unix(time.Hour)},
		"auth_time": {"auth_time": p.clock.unix(time.Hour)},
		"max_age":   {"auth_time": p.clock.unix(-3 * time.Hour)},
		"session":   {"session_expiry": p.clock.unix(-time.Hour)},
	} {
		same, slightly := reason(0, edits), reason(time.Minute, edits)
		ahead, behind := reason(2*time.Hour, edits), reason(-2*time.Hour, edits)
		if same != slightly {
			t.Errorf("%s: within the leeway the reason is %q, with the same clock %q", name, slightly, same)
		}
		if !strings.HasPrefix(ahead, same+", ") || !strings.HasPrefix(behind, same+", ") || ahead == behind {
			t.Errorf("%s: the provider's clock ahead: %q; behind: %q", name, ahead, behind)
		}
	}
	if edits := (claims{"nonce": "another"}); reason(0, edits) != reason(2*time.Hour, edits) {
		t.Error("the clocks are compared in a reason that no clock can cause")
	}
	edits := claims{"iat": p.clock.unix(time.Hour)}
	same := reason(0, edits)
	p.on(pathToken, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		writeJSON(w, p.tokenResponse())
	})
	if without := reason(2*time.Hour, edits); without != same {
		t.Errorf("without a Date the reason is %q, with the same clock %q", without, same)
	}
}

// TestAbsentTimes: the reason for a missing time does not blame the clock.
func TestAbsentTimes(t *testing.T) {
	p := newProvider(t)
	for claim, id := range map[string]string{"exp": "jwt.exp", "iat": "id_token.iat"} {
		p.claims = map[string]any{claim: absent}
		_, err := p.signIn(p.client())
		if e := wantError(t, err, rp.IDTokenInvalid, id); strings.Contains(e.Fix, "clock") {
			t.Errorf("without %s, the clock is blamed: %v", claim, e)
		}
	}
}

func TestValidSubject(t *testing.T) {
	for _, test := range []struct {
		in   any
		want string // "" if it is invalid
	}{
		{"ann", "ann"}, {"0", "0"}, {" ", " "}, {"~", "~"}, {strings.Repeat("x", 255), strings.Repeat("x", 255)},
		{json.Number("7"), "7"}, {json.Number("-7"), "-7"}, {json.Number("9007199254740993"), "9007199254740993"},
		{"", ""}, {nil, ""}, {true, ""}, {json.Number("0"), ""}, {json.Number("1.0"), ""}, {json.Number("1e3"), ""},
		{7, ""}, {[]any{"ann"}, ""}, {map[string]any{}, ""}, {strings.Repeat("x", 256), ""},
		{"a\x00", ""}, {"a\x1f", ""}, {"a\x7f", ""}, {"ä", ""},
	} {
		got, err := rp.ValidSubject(test.in)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("ValidSubject(%#v) is %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func TestProtocolClaim(t *testing.T) {
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "azp", "at_hash", "c_hash", "s_hash",
		"auth_time", "acr", "amr", "sid", "typ", "events"} {
		if !rp.ProtocolClaim(name) {
			t.Errorf("%s is a protocol claim", name)
		}
	}
	for _, name := range []string{"email", "email_verified", "name", "Sub", ""} {
		if rp.ProtocolClaim(name) {
			t.Errorf("%q is not a protocol claim", name)
		}
	}
}
