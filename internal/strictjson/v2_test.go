//go:build goexperiment.jsonv2

package strictjson_test

import (
	"encoding/json"
	"encoding/json/jsontext"
	jsonv2 "encoding/json/v2"
	"reflect"
	"testing"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// FuzzObjectV2 compares the decoder with encoding/json/v2, which also rejects duplicates and
// invalid UTF-8. Run it with GOEXPERIMENT=jsonv2.
func FuzzObjectV2(f *testing.F) {
	f.Add([]byte(idToken))
	f.Add([]byte(`{"a":[-0,1.50,1E+2],"b":{"c":null,"s":"\ud83d\ude00"}}`))
	numbers := jsonv2.UnmarshalFromFunc(func(dec *jsontext.Decoder, v *any) error {
		if dec.PeekKind() != '0' {
			return jsonv2.SkipFunc
		}
		n, err := dec.ReadValue()
		*v = json.Number(n)
		return err
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := strictjson.Object(data)
		if err != nil {
			return
		}
		var want map[string]any
		if err := jsonv2.Unmarshal(data, &want, jsonv2.WithUnmarshalers(numbers)); err != nil {
			t.Fatalf("accepted, but encoding/json/v2 says %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v\nencoding/json/v2 %#v", got, want)
		}
	})
}
