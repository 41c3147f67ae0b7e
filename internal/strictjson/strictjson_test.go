package strictjson_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/strictjson"
)

func nested(depth int) string {
	return `{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + "}"
}

func numbered(n int, format string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, ",")
}

func TestObjectAccepts(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]any
	}{
		{"an empty object", `{}`, map[string]any{}},
		{"space wherever it is allowed", " \t\r\n{ \"a\" :\n[ 1 , 2 ] , \"b\" : { } }\r\n ",
			map[string]any{"a": []any{json.Number("1"), json.Number("2")}, "b": map[string]any{}}},
		{"every kind of value", `{"s":"x","n":1,"t":true,"f":false,"z":null,"l":[],"o":{}}`,
			map[string]any{"s": "x", "n": json.Number("1"), "t": true, "f": false, "z": nil, "l": []any{}, "o": map[string]any{}}},
		{"an identifier too large for a float, exactly", `{"id":9007199254740993}`,
			map[string]any{"id": json.Number("9007199254740993")}},
		{"numbers as they are written", `{"a":[-0,1.50,1E+2,2e-400,0.0e400]}`,
			map[string]any{"a": []any{json.Number("-0"), json.Number("1.50"), json.Number("1E+2"), json.Number("2e-400"), json.Number("0.0e400")}}},
		{"a number of 100 characters", `{"n":` + strings.Repeat("9", 100) + `}`,
			map[string]any{"n": json.Number(strings.Repeat("9", 100))}},
		{"every escape", `{"s":"a\"\\\/\b\f\n\r\t\u0041\u00e9\uD83D\ude00z"}`,
			map[string]any{"s": "a\"\\/\b\f\n\r\tAé😀z"}},
		{"text beyond ASCII", `{"名":"김 😀 ` + "\ufffd\u2028\u007f" + `"}`, map[string]any{"名": "김 😀 \ufffd\u2028\u007f"}},
		{"a byte order mark inside a string", "{\"s\":\"\ufeffx\"}", map[string]any{"s": "\ufeffx"}},
		{"an empty name and an empty string", `{"":""}`, map[string]any{"": ""}},
		{"names that differ in case", `{"a":1,"A":2}`, map[string]any{"a": json.Number("1"), "A": json.Number("2")}},
		{"one name at two levels", `{"a":{"a":{"a":1}}}`,
			map[string]any{"a": map[string]any{"a": map[string]any{"a": json.Number("1")}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := strictjson.Object([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %#v\nwant %#v", got, tt.want)
			}
		})
	}
}

// wantError checks the ID of err, and that its text has what follows the ID in want.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	id, named, _ := strings.Cut(want, " ")
	if e, ok := err.(*strictjson.Error); !ok || e.ID != id || !strings.Contains(e.Error(), named) {
		t.Errorf("got %#v, want %s", err, want)
	}
}

func TestObjectRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", "", "empty"},
		{"only space", " \n\t", "empty"},
		{"a byte order mark", "\ufeff{}", "byte_order_mark"},
		{"another encoding", "\xff\xfe{\x00}\x00", "utf8"},
		{"invalid UTF-8 in a string", "{\"a\":\"\xc3\x28\"}", "utf8"},
		{"a surrogate encoded as UTF-8", "{\"a\":\"\xed\xa0\x80\"}", "utf8"},
		{"an overlong encoding", "{\"a\":\"\xc0\xaf\"}", "utf8"},
		{"an array", `[{"a":1}]`, "not_an_object"},
		{"a string", `"a"`, "not_an_object"},
		{"null", `null`, "not_an_object"},
		{"a page", `<!DOCTYPE html>`, "character byte 0"},
		{"a form", `access_token=x`, "character"},
		{"a second value", `{} {}`, "data_after"},
		{"garbage after the value", `{"a":1}x`, "data_after"},
		{"NUL after the value", "{}\x00", "data_after"},
		{"a number for a value, then a letter", `12x`, "data_after"},
		{"text cut after a brace", `{`, "member.name"},
		{"text cut in a name", `{"a`, "end"},
		{"text cut after a name", `{"a"`, "member.colon"},
		{"text cut after a colon", `{"a":`, "end"},
		{"text cut in a string", `{"a":"b`, "end"},
		{"text cut after a backslash", `{"a":"b\`, "string.escape"},
		{"text cut in an escape", `{"a":"\u12`, "string.escape"},
		{"text cut after an escape", `{"a":"\n`, "end"},
		{"text cut in a word", `{"a":tru`, "character"},
		{"text cut in an array", `{"a":[1`, "comma"},
		{"text cut after a comma", `{"a":[1,`, "end"},
		{"a comma before the end of an object", `{"a":1,}`, "member.name"},
		{"a comma before the end of an array", `{"a":[1,]}`, "character"},
		{"a comma alone", `{,}`, "member.name"},
		{"no comma", `{"a":1 "b":2}`, "comma"},
		{"no colon", `{"a" 1}`, "member.colon"},
		{"the wrong bracket", `{"a":[1}}`, "comma"},
		{"a bare name", `{a:1}`, "member.name"},
		{"single quotes", `{'a':1}`, "member.name"},
		{"a comment", `{/**/}`, "member.name"},
		{"a vertical tab for space", "{\v}", "member.name"},
		{"a no-break space for space", "{\u00a0}", "member.name"},
		{"words of JavaScript", `{"a":NaN}`, "character"},
		{"a capital word", `{"a":True}`, "character"},
		{"a word run together with more", `{"a":truex}`, "comma"},

		{"a name twice", `{"sub":"u","sub":"admin"}`, `member.duplicate "sub"`},
		{"a name twice, once escaped", `{"sub":"u","s\u0075b":"admin"}`, `member.duplicate "sub"`},
		{"a name twice, with the same value", `{"a":null,"a":null}`, `member.duplicate "a"`},
		{"a name twice further down", `{"events":[{"x":{"a":1,"a":1}}]}`, `member.duplicate "a"`},
		{"the empty name twice", `{"":1,"":1}`, `member.duplicate ""`},

		{"a NUL escape in a value", `{"a":"x\u0000"}`, "string.nul"},
		{"a NUL escape in a name", `{"a\u0000":1}`, "string.nul"},
		{"a NUL byte in a string", "{\"a\":\"\x00\"}", "string.control"},
		{"a line break in a string", "{\"a\":\"x\ny\"}", "string.control"},
		{"a tab after an escape in a string", "{\"a\":\"\\n\t\"}", "string.control"},
		{"a lone high surrogate", `{"a":"\ud83d"}`, "string.surrogate"},
		{"a lone low surrogate", `{"a":"\ude00"}`, "string.surrogate"},
		{"a high surrogate before a letter", `{"a":"\ud83dx"}`, "string.surrogate"},
		{"a high surrogate before another escape", `{"a":"\ud83d\n"}`, "string.surrogate"},
		{"two high surrogates", `{"a":"\ud83d\ud83d"}`, "string.surrogate"},
		{"surrogates in the wrong order", `{"a":"\ude00\ud83d"}`, "string.surrogate"},
		{"a lone surrogate in a name", `{"\ud83d":1}`, "string.surrogate"},
		{"an unknown escape", `{"a":"\x41"}`, "string.escape"},
		{"a capital escape", `{"a":"\U0041"}`, "string.escape"},
		{"an escape that is not hexadecimal", `{"a":"\u00g0"}`, "string.escape"},
		{"an escape with a sign", `{"a":"\u+041"}`, "string.escape"},

		{"a leading zero", `{"a":01}`, "number"},
		{"a leading zero after a sign", `{"a":-01}`, "number"},
		{"a plus sign", `{"a":+1}`, "character"},
		{"a sign alone", `{"a":-}`, "number"},
		{"a leading point", `{"a":.5}`, "character"},
		{"a trailing point", `{"a":1.}`, "number"},
		{"a point before an exponent", `{"a":1.e5}`, "number"},
		{"text cut in an exponent", `{"a":1e`, "number"},
		{"an exponent without digits", `{"a":1e+}`, "number"},
		{"an exponent of 401", `{"a":1e401}`, "number"},
		{"an exponent of -401", `{"a":1e-401}`, "number"},
		{"an exponent too large for an integer", `{"a":1e99999999999999999999}`, "number"},
		{"hexadecimal", `{"a":0x1}`, "comma"},
		{"a number of 101 characters", `{"a":` + strings.Repeat("9", 101) + `}`, "limit.number"},
		{"a number of 101 characters with a point", `{"a":` + strings.Repeat("9", 99) + `.9}`, "limit.number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := strictjson.Object([]byte(tt.text))
			if err == nil {
				t.Fatalf("accepted: %#v", got)
			}
			if got != nil {
				t.Errorf("got %v beside the error", got)
			}
			wantError(t, err, tt.want)
		})
	}
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"32 levels are fine", nested(32), ""},
		{"33 levels are refused", nested(33), "limit.depth"},
		{"33 levels of objects are refused", strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), "limit.depth"},
		{"200,000 levels are refused", strings.Repeat(`{"a":`, 200_000), "limit.depth"},
		{"many lists beside each other are no depth", `{"a":[` + numbered(1000, "[%d]") + `]}`, ""},
		{"2,000 members are fine", "{" + numbered(2000, `"m%d":1`) + "}", ""},
		{"2,001 members are refused", "{" + numbered(2001, `"m%d":1`) + "}", "limit.members"},
		{"a million members are refused", "{" + numbered(1_000_000, `"m%d":1`) + "}", "limit.members"},
		{"a person in 10,000 groups is fine", `{"groups":[` + numbered(10_000, `"g%d"`) + `]}`, ""},
		{"20,000 values are fine", `{"a":[` + numbered(19_998, "%d") + `]}`, ""},
		{"20,001 values are refused", `{"a":[` + numbered(19_999, "%d") + `]}`, "limit.values"},
		{"a million empty lists are refused", `{"a":[` + strings.Repeat("[],", 1_000_000) + `[]]}`, "limit.values"},
		{"a string of a megabyte is fine", `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, ""},
		{"a megabyte of escapes is fine", `{"a":"` + strings.Repeat(`\u00e9`, 1<<17) + `"}`, ""},
		{"a number of a megabyte is refused", `{"a":` + strings.Repeat("1", 1<<20) + `}`, "limit.number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := strictjson.Object([]byte(tt.text))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, tt.want)
		})
	}
}

func TestArray(t *testing.T) {
	got, err := strictjson.Array([]byte(` [{"email":"a@b.example"}, 2] `))
	want := []any{map[string]any{"email": "a@b.example"}, json.Number("2")}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v; want %#v", got, err, want)
	}
	for text, want := range map[string]string{
		"": "empty", "{}": "not_an_array", "[1": "comma", `[{"a":1,"a":1}]`: `member.duplicate "a"`, "[] []": "data_after",
	} {
		got, err := strictjson.Array([]byte(text))
		if got != nil {
			t.Errorf("%s: got %#v beside the error", text, got)
		}
		wantError(t, err, want)
	}
}

func TestErrorsKeepSecrets(t *testing.T) {
	const secret = "s3cr3t"
	tests := []struct{ name, text string }{
		{"a duplicate's value", `{"a":"s3cr3t","a":"s3cr3t"}`},
		{"a value without quotes", `{"a":s3cr3t}`},
		{"a value with a bad escape", `{"a":"s3cr3t\q"}`},
		{"a body that is no JSON", `s3cr3t`},
		{"what follows the value", `{}s3cr3t`},
		{"the end of a long name", `{"` + strings.Repeat("x", 40) + `s3cr3t":1,"` + strings.Repeat("x", 40) + `s3cr3t":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name+" is not in the error", func(t *testing.T) {
			_, err := strictjson.Object([]byte(tt.text))
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestErrorsFitOneLine(t *testing.T) {
	tests := []struct{ name, member, want string }{
		{"a line break in a name is escaped", `a\nb`, `member.duplicate "a\nb"`},
		{"a look-alike letter in a name shows", `ſub`, `member.duplicate "\u017fub"`},
		{"a long name is cut between letters", strings.Repeat("x", 39) + "éé", `member.duplicate "` + strings.Repeat("x", 39) + `\u2026"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := strictjson.Object([]byte(`{"` + tt.member + `":1,"` + tt.member + `":1}`))
			wantError(t, err, tt.want)
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q is not printable ASCII", err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	names := strictjson.NewNames("sub", "iss", "email_verified", "kid", "Name", "name", "größe", "Kind")
	tests := []struct {
		name, text, want string
	}{
		{"no member is fine", `{}`, ""},
		{"exact names are fine", `{"sub":"u","iss":"i"}`, ""},
		{"other names are fine", `{"subject":"u","SU":"u","sub_":1,"":1}`, ""},
		{"two exact names that resemble each other are fine", `{"Name":1,"name":2}`, ""},
		{"capitals are refused", `{"SUB":"admin"}`, `"SUB" "sub"`},
		{"capitals beside the real name are refused", `{"sub":"u","Sub":"admin"}`, `"Sub" "sub"`},
		{"a long s is refused", `{"ſub":"admin"}`, `"\u017fub" "sub"`},
		{"a long s that is escaped is refused", `{"i\u017fs":"x"}`, `"i\u017fs" "iss"`},
		{"a Kelvin sign is refused", `{"` + "\u212a" + `id":"x"}`, `"\u212aid" "kid"`},
		{"a variant of a long name is refused", `{"Email_Verified":true}`, `"Email_Verified" "email_verified"`},
		{"a variant of a name with a capital is refused", `{"naMe":1}`, `"naMe" "Name"`},
		{"the lower case of a name with a capital is refused", `{"kind":1}`, `"kind" "Kind"`},
		{"a variant of a name outside ASCII is refused", `{"GRÖSSE":1,"GRÖẞE":1}`, `"GR\u00d6\u1e9eE" "gr\u00f6\u00dfe"`},
		{"a variant of both of two names is refused", `{"NAME":1}`, `"NAME" `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			obj, err := strictjson.Object([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			err = names.Check(obj)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := err.(*strictjson.CaseError)
			if !ok {
				t.Fatalf("got %v (%T)", err, err)
			}
			if got := strconv.QuoteToASCII(e.Member) + " " + strconv.QuoteToASCII(e.Name); !strings.HasPrefix(got, tt.want) || !strings.Contains(e.Error(), strconv.QuoteToASCII(e.Member)) {
				t.Errorf("got %s, want %s: %v", got, tt.want, e)
			}
		})
	}
}
