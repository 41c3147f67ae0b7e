package strictjson_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// FuzzObject compares the decoder with encoding/json: an accepted text has the same meaning
// there, has no duplicate name at any depth, and survives being encoded and decoded again. With
// a duplicate member added it is refused. Names.Check refuses a name that differs only in case.
func FuzzObject(f *testing.F) {
	f.Add([]byte(idToken))
	for _, text := range []string{
		`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"a":{"b":1,"b":2}}`, `{"a":[{"b":1,"b":2}]}`, `{"":1,"":2}`, `{"a":{"a":{"a":1}}}`, `{"sub":"u","SUB":"admin"}`, `{"sub":"u","\u017fub":"admin"}`, `{"kid":1,"\u212aid":2}`,
		`{"a":"\ud83d\ude00","b":"\ud83d"}`, `{"a":"\u0000"}`, `{"a\u0000":1}`, `{"a":1e400,"b":1e401}`, `{"a":-0,"b":1.50,"c":1E+2}`, `{"a":01}`, `{"a":.5}`, `{"a":5.}`, `{"a":+1}`, `{"a":NaN}`, `{"a":tru}`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{'a':1}`,
		"\ufeff{}", "{}x", "{} {}", " \t\r\n{}\n", "{\"a\":\"\n\"}", "{\"a\":\"\x7f\xc2\x85\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\v}", `{"a":/**/1}`, `[]`, `"a"`, `null`, ``,
		strings.Repeat(`{"a":`, 31) + `{}` + strings.Repeat("}", 31), strings.Repeat(`{"a":`, 32) + `{}` + strings.Repeat("}", 32), `{"a":` + strings.Repeat("1", 100) + `}`, `{"a":` + strings.Repeat("1", 101) + `}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := strictjson.Object(data)
		if err != nil {
			if got != nil || strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 300 {
				t.Fatalf("refused with %#v and %q", got, err)
			}
			return
		}
		if want := standard(t, data); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v\nencoding/json %#v", got, want)
		}
		if name := twice(json.NewDecoder(bytes.NewReader(data))); name != "" {
			t.Fatalf("accepted, with %s", name)
		}
		names := slices.Sorted(maps.Keys(got))
		for _, name := range names[:min(len(names), 4)] {
			doubled := "{" + string(mustJSON(t, name)) + ":0," + strings.TrimLeft(string(data), " \t\r\n")[1:]
			if _, err := strictjson.Object([]byte(doubled)); err == nil {
				t.Fatalf("accepted with %q twice", name)
			}
			if err := strictjson.NewNames(name).Check(got); (err != nil) != alike(got, name) {
				t.Fatalf("Check says %v of %q", err, name)
			}
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := strictjson.Object(again); err != nil || !reflect.DeepEqual(got, twice) {
			t.Fatalf("got %#v\nthen %#v, %v", got, twice, err)
		}
		useValues(got)
	})
}

// twice finds a duplicate name in an object at any depth. It reads tokens, since the decoder of
// encoding/json hides duplicates.
func twice(dec *json.Decoder) string {
	var names []map[string]bool // the names of each open object; nil for an array
	key := false                // whether the next string is a name
	for {
		token, err := dec.Token()
		if err != nil {
			return ""
		}
		inObject := len(names) > 0 && names[len(names)-1] != nil
		switch {
		case inObject && key && token != json.Delim('}'):
			name := token.(string)
			if names[len(names)-1][name] {
				return name + " twice"
			}
			names[len(names)-1][name] = true
			key = false
			continue
		case token == json.Delim('{'):
			names, key = append(names, map[string]bool{}), true
			continue
		case token == json.Delim('['):
			names = append(names, nil)
			continue
		case token == json.Delim('}') || token == json.Delim(']'):
			names = names[:len(names)-1]
		}
		key = len(names) > 0 && names[len(names)-1] != nil
	}
}

// alike reports whether an object has a name that differs from name only in case.
func alike(obj map[string]any, name string) bool {
	for other := range obj {
		if other != name && strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func standard(t *testing.T, data []byte) map[string]any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var obj map[string]any
	if err := dec.Decode(&obj); err != nil {
		t.Fatalf("accepted, but encoding/json says %v", err)
	}
	return obj
}

// useValues passes every value to every function that reads values: they must not panic.
func useValues(obj map[string]any) {
	for name, v := range obj {
		strictjson.String(v)
		strictjson.NumericDate(v)
		strictjson.Lookup(obj, name+".0")
		if inner, ok := v.(map[string]any); ok {
			useValues(inner)
		}
	}
}

// FuzzNumericDate compares the exact result with that of float64.
func FuzzNumericDate(f *testing.F) {
	for _, s := range []string{"0", "1516239022.5", "-1", "1e30", "253370764799.9", "1e-400", "0x1p4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := strictjson.NumericDate(json.Number(s))
		if !ok {
			return
		}
		rounded, err := json.Number(s).Float64()
		if err != nil || !json.Valid([]byte(s)) {
			t.Fatalf("%q is accepted as %v", s, got)
		}
		// The precision of a float64 of this size is a few hundredths of a millisecond.
		exact := float64(got.Unix()) + float64(got.Nanosecond())/1e9
		if diff := rounded - exact; diff < -1e-4 || diff > 1e-4 {
			t.Fatalf("%q is read as %v, off by %v s", s, got, diff)
		}
	})
}

const idToken = `{"iss":"https://login.example.com/realms/staff","sub":"b7c9a0a4-7f0e-4f5e-9a53-0f5f6d2f9d10",` +
	`"aud":"web-portal","azp":"web-portal","exp":1767225600,"iat":1767222000,"auth_time":1767221990,` +
	`"nonce":"n-0S6_WzA2Mj7bq1d0Yw3F5kQ9","at_hash":"77QmUPtjPfzWtF2AnpK9RQ","sid":"08a5019c-17e1-4977-8f42-65a12843ea02",` +
	`"email":"ann.lee@example.com","email_verified":true,"name":"Ann Lee","preferred_username":"ann",` +
	`"picture":"https://cdn.example.com/u/ann.png","locale":"en","groups":["staff","editors"]}`

func BenchmarkObject(b *testing.B) {
	tests := []struct{ name, text string }{
		{"id token", idToken},
		{"megabyte of text", `{"a":"` + strings.Repeat("x", 1<<20) + `"}`},
		{"megabyte of escapes", `{"a":"` + strings.Repeat(`\n`, 1<<19) + `"}`},
		{"megabyte of nesting", strings.Repeat(`{"a":`, 1<<18)},
		{"10000 groups", `{"groups":[` + numbered(10_000, `"g%d"`) + `]}`},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			data := []byte(tt.text)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				strictjson.Object(data)
			}
		})
	}
}

func BenchmarkNames(b *testing.B) {
	obj, err := strictjson.Object([]byte(idToken))
	if err != nil {
		b.Fatal(err)
	}
	names := strictjson.NewNames(strings.Fields("iss sub aud azp exp iat nbf auth_time nonce at_hash c_hash acr amr sid events" +
		" name email email_verified preferred_username nickname picture locale groups")...)
	b.ReportAllocs()
	for b.Loop() {
		if err := names.Check(obj); err != nil {
			b.Fatal(err)
		}
	}
}
