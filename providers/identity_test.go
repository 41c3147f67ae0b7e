package providers_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// subjectParts are the texts that the subject of the golden file is made of.
func (r *recorded) subjectParts() []string {
	texts := r.texts()
	if slices.Contains(texts, r.golden.Subject) {
		return []string{r.golden.Subject}
	}
	return slices.DeleteFunc(texts, func(s string) bool { return len(s) < 3 || !strings.Contains(r.golden.Subject, s) })
}

// A profile without an id is refused: all users without one would share an account.
func TestPresetsRefuseSubjectsThatAreNone(t *testing.T) {
	everyPreset(t, func(t *testing.T, r *recorded) {
		parts := r.subjectParts()
		if len(parts) == 0 {
			t.Fatalf("the subject %q is nowhere in testdata/%s", r.golden.Subject, r.name)
		}
		none := []any{gone, nil, "", json.Number("0"), true, json.Number("1.5"), map[string]any{"id": "1"}, []any{"1"}}
		for _, part := range parts {
			for _, value := range none {
				r.change(func(_ string, v any) any {
					if s, ok := strictjson.String(v); ok && s == part {
						return value
					}
					return v
				})
				if u := r.who(); u != nil {
					t.Errorf("with %#v in the place of the id %s, %s signs in", value, part, u.ID())
				}
			}
		}
	})
}

// Numbers above 2^53 are two people's as a float.
func TestPresetsKeepNumbersExact(t *testing.T) {
	everyPreset(t, func(t *testing.T, r *recorded) {
		const big = "9007199254740993"
		numbers := 0
		r.change(func(_ string, v any) any {
			switch s, _ := strictjson.String(v); v.(type) {
			case json.Number:
				if s == r.golden.Subject {
					numbers++
					return json.Number(big)
				}
			case string:
				if s == r.golden.Subject {
					return big
				}
			}
			return v
		})
		if numbers == 0 {
			return
		}
		if u := r.who(); u == nil || u.Subject != big {
			t.Errorf("the id %s became %+v", big, u)
		}
	})
}

var flagName = regexp.MustCompile(`(?i)verif|confirm|valid|edov`)

// isFlag says whether a value is a provider's word on something.
func isFlag(name string, v any) bool {
	return flagName.MatchString(name) && (v == true || v == false || v == "true" || v == "false" || v == json.Number("1") || v == json.Number("0"))
}

// oddFlags are the values beside true that mean it, as that provider documents.
var oddFlags = map[string][]any{
	"apple": {"true"}, "cognito": {"true"}, "linkedin": {"true"}, "webex": {"true"},
	"microsoft": {"true", "1", json.Number("1")}, "zoom": {json.Number("1")},
}

// An address is verified if the provider says so in the way that it documents,
// and in no other.
func TestPresetsTakeNothingElseForVerified(t *testing.T) {
	values := []any{gone, nil, false, "false", "true", "TRUE", "yes", "1", json.Number("1"), []any{true}, map[string]any{"verified": true}}
	everyPreset(t, func(t *testing.T, r *recorded) {
		for _, value := range values {
			if slices.ContainsFunc(oddFlags[r.name], func(odd any) bool { return odd == value && value != gone }) {
				continue
			}
			flags := 0
			r.change(func(name string, v any) any {
				if isFlag(name, v) {
					flags++
					return value
				}
				return v
			})
			if flags == 0 && r.golden.EmailVerified && r.name != "x" { // whose confirmed_email says it by being there
				t.Fatal("an address is verified, and nothing in the answers says so")
			}
			if flags == 0 {
				return
			}
			if u := r.who(); u != nil && u.EmailVerified {
				t.Errorf("with %#v for an answer, the address is verified", value)
			}
		}
	})
}

// Where the documentation says that no address is ever verified, none is,
// whatever a profile may say one day: nobody has read what it would mean.
func TestPresetsKeepToNeverVerified(t *testing.T) {
	everyPreset(t, func(t *testing.T, r *recorded) {
		if !strings.Contains(r.preset.User, "never verified") {
			return
		}
		r.change(func(_ string, v any) any {
			if object, ok := v.(map[string]any); ok {
				for _, name := range []string{"email_verified", "verified", "verified_email", "is_verified", "is_email_verified", "confirmed"} {
					object[name] = true
				}
			}
			return v
		})
		if u := r.who(); u != nil && u.EmailVerified {
			t.Errorf("%s is verified", u.Email)
		}
	})
}

// A malformed response signs in no user, and verifies no address that the provider did
// not name.
func TestPresetsRefuseAnswersThatAreNone(t *testing.T) {
	everyPreset(t, func(t *testing.T, r *recorded) {
		for _, q := range r.Requests {
			for _, body := range []string{"", "{}", "null", "<!doctype html>", `{"error":"access_denied"}`, `{"errors":[{"message":"no"}],"data":null}`, `{"data":[{}]}`} {
				r.answers[q.Answer] = []byte(body)
				u := r.who()
				if u == nil {
					continue
				}
				if u.ID() != r.golden.ID() || u.EmailVerified && (!r.golden.EmailVerified || u.Email != r.golden.Email) {
					t.Errorf("with %s for %s, %s signs in as %+v", body, q.Answer, u.ID(), u)
				}
			}
			delete(r.answers, q.Answer)
		}
	})
}

// A token answer with an error is one, whatever else it has.
func TestPresetsRefuseErrorsBesideTokens(t *testing.T) {
	everyPreset(t, func(t *testing.T, r *recorded) {
		answer, ok := r.parsed["token.json"].(map[string]any)
		if !ok {
			r.answers["token.json"] = []byte(r.fill(string(read(t, r.name+"/token.json"))) + "&error=access_denied")
		} else {
			with := map[string]any{"error": "access_denied", "error_description": "no"}
			for name, value := range answer {
				with[name] = value
			}
			r.answers["token.json"] = mustJSON(with)
		}
		if u := r.who(); u != nil {
			t.Errorf("%s signs in", u.ID())
		}
	})
}

// What goes wrong is written down without what must stay secret, whatever the
// request had it in: a header, the body, or the address.
func TestPresetsKeepSecretsOutOfLogs(t *testing.T) {
	everyPreset(t, func(t *testing.T, r *recorded) {
		secrets := []string{testClientSecret, "s3cret", testToken, testCode, "code%2Fof%2Btests"}
		check := func(what string) {
			r.who()
			for _, secret := range secrets {
				if strings.Contains(r.signsIn.logs.String(), secret) {
					t.Fatalf("%s: the log has %s: %s", what, secret, &r.signsIn.logs)
				}
			}
		}
		for _, q := range append(slices.Clone(r.Requests), request{Answer: "token.json"}) {
			for _, status := range []int{302, 500} {
				r.status[q.Answer] = status
				check(fmt.Sprintf("%s under status %d", q.Answer, status))
			}
			delete(r.status, q.Answer)
			r.answers[q.Answer] = []byte("{")
			check(q.Answer + " is no JSON")
			delete(r.answers, q.Answer)
		}
	})
}
