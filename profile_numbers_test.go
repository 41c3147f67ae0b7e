package ginauth_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
)

// exact is a number that is written without being rounded.
type exact float64

func (exact) MarshalJSON() ([]byte, error) { return []byte(`"1152921504606846976"`), nil }

// TestProfileFuncWithRoundedNumbers: encoding/json makes float64 of numbers,
// in which 9007199254740993 and 9007199254740992 are one and the same person.
func TestProfileFuncWithRoundedNumbers(t *testing.T) {
	decoded := func(text string) map[string]any {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	type row struct{ ID, hidden float64 }
	self := &row{}
	type within struct{ row }
	type unwritten struct {
		ID float64 `json:"-"`
	}
	for _, tt := range []struct {
		name    string
		profile map[string]any
		subject string // "" if it is refused
	}{
		{"an id above 2^53", decoded(`{"sub":9007199254740993}`), ""},
		{"an id of 2^53, which may have been another", decoded(`{"sub":9007199254740992}`), ""},
		{"an id below -2^53", decoded(`{"sub":-9007199254740993}`), ""},
		{"an id of 2^53-1", decoded(`{"sub":9007199254740991}`), "9007199254740991"},
		{"far within", decoded(`{"sub":7,"a":{"b":[{"c":1e300}]}}`), ""},
		{"a fraction", decoded(`{"sub":7,"a":0.25}`), "7"},
		{"half the digits", map[string]any{"sub": float32(16777217)}, ""},
		{"half the digits, few used", map[string]any{"sub": float32(16777215)}, "16777215"},
		{"a list of its own type", map[string]any{"sub": 7, "ids": []float64{1 << 60}}, ""},
		{"a map of its own type", map[string]any{"sub": 7, "ids": map[string]float64{"a": 1 << 60}}, ""},
		{"a struct", map[string]any{"sub": 7, "row": &row{ID: 1 << 60}}, ""},
		{"an array", map[string]any{"sub": 7, "ids": [1]float64{1 << 60}}, ""},
		{"a struct within a struct", map[string]any{"sub": 7, "row": within{row{ID: 1 << 60}}}, ""},
		{"a field that is tagged away", map[string]any{"sub": 7, "row": unwritten{1 << 60}}, "7"},
		{"a field that is not written", map[string]any{"sub": 7, "row": row{hidden: 1 << 60}}, "7"},
		{"nothing behind a pointer", map[string]any{"sub": 7, "row": (*row)(nil), "self": self, "none": nil}, "7"},
		{"an int64", map[string]any{"sub": int64(9007199254740993)}, "9007199254740993"},
		{"a json.Number", map[string]any{"sub": json.Number("9007199254740993")}, "9007199254740993"},
		{"a number that writes itself", map[string]any{"sub": 7, "ids": exact(1 << 60)}, "7"},
		{"a type that writes itself", map[string]any{"sub": 7, "at": time.Unix(1<<33, 0)}, "7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := plainSite(t, "", func(_ *site, p *ginauth.Provider) {
				p.UserinfoURL, p.ClaimPaths = "", nil
				p.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) { return tt.profile, nil }
			})
			if tt.subject == "" {
				s.refuses(t, "/login/demo", ginauth.ErrIdentityRejected, "decode with json.Decoder.UseNumber, or into int64", 1)
				return
			}
			if u := s.accepts(t, "/login/demo"); u.Subject != tt.subject {
				t.Errorf("got %q", u.Subject)
			}
		})
	}
}
