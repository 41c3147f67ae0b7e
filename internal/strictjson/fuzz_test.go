package strictjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// FuzzObject holds the decoder against encoding/json: what is accepted here
// means the same there, and survives being written out and read again.
func FuzzObject(f *testing.F) {
	f.Add([]byte(idToken))
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

// useValues gives every value to every reader of values; none may panic.
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

// FuzzNumericDate holds the exact reading against the rounded one.
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
		// A float64 of this size is a few hundredths of a millisecond coarse.
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

func BenchmarkCheckCase(b *testing.B) {
	obj, err := strictjson.Object([]byte(idToken))
	if err != nil {
		b.Fatal(err)
	}
	names := strings.Fields("iss sub aud azp exp iat nbf auth_time nonce at_hash c_hash acr amr sid events" +
		" name email email_verified preferred_username nickname picture locale groups")
	b.ReportAllocs()
	for b.Loop() {
		if err := strictjson.CheckCase(obj, names...); err != nil {
			b.Fatal(err)
		}
	}
}
