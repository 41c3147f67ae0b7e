package strictjson_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/strictjson"
)

func TestLookup(t *testing.T) {
	obj, err := strictjson.Object([]byte(`{
		"id": 7,
		"none": null,
		"kakao_account": {"profile": {"nickname": "ann"}},
		"items": [{"user_id": "u0"}, {"user_id": "u1"}],
		"matrix": [[1, 2], [3, 4]],
		"https://slack.com/user_id": "U1",
		"https://app.example/claims": {"roles": ["admin"]},
		"resource_access": {"my.client": {"roles": ["editor"]}, "my": {"client": {"roles": ["wrong"]}}},
		"a.b": "flat", "a": {"b": "deep", "c": "only deep", "0": "a name"},
		"x.y": 1, "x": {"y": {"z": 2}},
		"": {"": "empty"}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) any { return json.Number(s) }
	tests := []struct {
		name, path string
		want       any
		found      bool
	}{
		{"a member", "id", number("7"), true},
		{"a null is found", "none", nil, true},
		{"three levels", "kakao_account.profile.nickname", "ann", true},
		{"an index", "items.1.user_id", "u1", true},
		{"an index of an index", "matrix.1.0", number("3"), true},
		{"an index at the end", "matrix.0", []any{number("1"), number("2")}, true},
		{"a name with dots", "https://slack.com/user_id", "U1", true},
		{"a level below a name with dots", "https://app.example/claims.roles.0", "admin", true},
		{"the longest name that fits wins", "resource_access.my.client.roles.0", "editor", true},
		{"the whole path as a name wins", "a.b", "flat", true},
		{"splitting when no name fits whole", "a.c", "only deep", true},
		{"a number is a name in an object", "a.0", "a name", true},
		{"an empty segment is the empty name", ".", "empty", true},

		{"nothing at an empty path", "", nil, false},
		{"nothing at an unknown name", "nobody", nil, false},
		{"nothing in another case", "ID", nil, false},
		{"nothing below a string", "kakao_account.profile.nickname.x", nil, false},
		{"nothing below null", "none.x", nil, false},
		{"nothing below a member that wins but leads nowhere", "x.y.z", nil, false},
		{"nothing past the end of an array", "items.2.user_id", nil, false},
		{"nothing at a negative index", "items.-1", nil, false},
		{"nothing at a padded index", "items.01", nil, false},
		{"nothing at a signed index", "items.+1", nil, false},
		{"nothing at a name in an array", "items.user_id", nil, false},
		{"nothing after a trailing dot", "id.", nil, false},
		{"nothing at an index too large for an integer", "items.99999999999999999999", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, found := strictjson.Lookup(obj, tt.path)
			if found != tt.found || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %#v, %v; want %#v, %v", got, found, tt.want, tt.found)
			}
		})
	}
	if v, found := strictjson.Lookup(nil, "a"); found {
		t.Errorf("a nil object holds %v", v)
	}
}

func TestString(t *testing.T) {
	tests := []struct {
		name string
		v    any
		want string
		ok   bool
	}{
		{"a string is a string", "ann", "ann", true},
		{"an empty string is a string", "", "", true},
		{"an integer is its digits", json.Number("9007199254740993"), "9007199254740993", true},
		{"a negative integer is its digits", json.Number("-5"), "-5", true},
		{"zero is its digit", json.Number("0"), "0", true},
		{"a negative zero is not", json.Number("-0"), "", false},
		{"a fraction is not", json.Number("1.0"), "", false},
		{"an exponent is not", json.Number("1e3"), "", false},
		{"a number that is none is not", json.Number("x"), "", false},
		{"a padded number is not", json.Number("007"), "", false},
		{"a number with more after it is not", json.Number("7 "), "", false},
		{"a float is not", 1.5, "", false},
		{"true is not", true, "", false},
		{"null is not", nil, "", false},
		{"a list is not", []any{"a"}, "", false},
		{"an object is not", map[string]any{}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := strictjson.String(tt.v)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("got %q, %v; want %q, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestInt64(t *testing.T) {
	tests := []struct {
		name string
		v    any
		want int64
		ok   bool
	}{
		{"an integer", json.Number("3600"), 3600, true},
		{"a negative integer", json.Number("-5"), -5, true},
		{"the largest", json.Number("9223372036854775807"), 1<<63 - 1, true},
		{"one beyond the largest is refused", json.Number("9223372036854775808"), 0, false},
		{"a negative zero is refused", json.Number("-0"), 0, false},
		{"a padded number is refused", json.Number("007"), 0, false},
		{"a fraction is refused", json.Number("1.5"), 0, false},
		{"an exponent is refused", json.Number("1e2"), 0, false},
		{"a string is refused", "3600", 0, false},
		{"null is refused", nil, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := strictjson.Int64(tt.v)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("got %d, %v; want %d, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestNumericDate(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	tests := []struct {
		name string
		v    any
		want time.Time // zero: refused
	}{
		{"whole seconds", json.Number("1516239022"), at("2018-01-18T01:30:22Z")},
		{"a fraction", json.Number("1516239022.25"), at("2018-01-18T01:30:22.25Z")},
		{"a fraction that no float64 holds", json.Number("1516239022.123456789"), at("2018-01-18T01:30:22.123456789Z")},
		{"more digits than a nanosecond has are cut", json.Number("1.9999999999999"), at("1970-01-01T00:00:01.999999999Z")},
		{"an exponent", json.Number("1.516239022e9"), at("2018-01-18T01:30:22Z")},
		{"an exponent that is a whole number", json.Number("15E8"), at("2017-07-14T02:40:00Z")},
		{"a negative exponent", json.Number("15162390225e-1"), at("2018-01-18T01:30:22.5Z")},
		{"the beginning", json.Number("0"), at("1970-01-01T00:00:00Z")},
		{"the tiniest moment later", json.Number("1e-400"), at("1970-01-01T00:00:00Z")},
		{"the last second of 9998", json.Number("253370764799"), at("9998-12-31T23:59:59Z")},
		{"the last moment of 9998", json.Number("253370764799.999999999"), at("9998-12-31T23:59:59.999999999Z")},

		{"the first second of 9999 is refused", json.Number("253370764800"), time.Time{}},
		{"the first second of 9999 as a fraction is refused", json.Number("253370764800.0"), time.Time{}},
		{"before 1970 is refused", json.Number("-1"), time.Time{}},
		{"a moment before 1970 is refused", json.Number("-0.000000001"), time.Time{}},
		{"milliseconds for seconds are refused", json.Number("1516239022000"), time.Time{}},
		{"1e30 is refused", json.Number("1e30"), time.Time{}},
		{"9e18, which overflows as nanoseconds, is refused", json.Number("9e18"), time.Time{}},
		{"the largest int64 is refused", json.Number("9223372036854775807"), time.Time{}},
		{"one beyond the largest int64 is refused", json.Number("9223372036854775808"), time.Time{}},
		{"the largest exponent is refused", json.Number("1e400"), time.Time{}},
		{"an exponent beyond the bounds is refused", json.Number("0e999999999"), time.Time{}},
		{"a number that JSON does not know is refused", json.Number("0x10"), time.Time{}},
		{"a number of 101 characters is refused", json.Number("1." + strings.Repeat("0", 99)), time.Time{}},
		{"a ratio is refused", json.Number("1/2"), time.Time{}},
		{"an empty number is refused", json.Number(""), time.Time{}},
		{"a string is refused", "1516239022", time.Time{}},
		{"a float64 is refused", 1516239022.0, time.Time{}},
		{"null is refused", nil, time.Time{}},
		{"true is refused", true, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := strictjson.NumericDate(tt.v)
			if ok == tt.want.IsZero() || !got.Equal(tt.want) {
				t.Errorf("got %v, %v; want %v", got, ok, tt.want)
			}
			if ok && got.Location() != time.UTC {
				t.Errorf("in %v, not in UTC", got.Location())
			}
		})
	}
}

func TestStrings(t *testing.T) {
	for in, want := range map[string][]string{
		`{"v": ["a", "b"]}`: {"a", "b"}, `{"v": ["a", 1, null, ["b"]]}`: {"a"},
		`{"v": "a"}`: nil, `{"v": []}`: nil, `{}`: nil,
	} {
		obj, err := strictjson.Object(in)
		if got := strictjson.Strings(obj["v"]); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", in, got, err, want)
		}
	}
}
