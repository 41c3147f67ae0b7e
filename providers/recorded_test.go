package providers_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/providers"
)

// recorded is a preset with what its provider sends, which tests change before
// somebody signs in.
type recorded struct {
	*standIn
	preset  providers.Preset
	golden  ginauth.User
	signsIn *app
	parsed  map[string]any // the answers that are JSON, by file; "claims" for the ID token's
}

// everyPreset runs a test for each.
func everyPreset(t *testing.T, test func(t *testing.T, r *recorded)) {
	for _, p := range providers.Catalogue() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			r := newRecorded(t, p)
			r.change(func(_ string, v any) any { return v })
			if u := r.who(); u == nil || u.ID() != r.golden.ID() {
				t.Fatalf("with nothing changed, this test does not sign in: %+v", u)
			}
			r.answers = map[string][]byte{}
			test(t, r)
		})
	}
}

func newRecorded(t *testing.T, p providers.Preset) *recorded {
	t.Helper()
	r := &recorded{standIn: newStandIn(t, p.Name), preset: p, parsed: map[string]any{}}
	r.lenient = true // an id that is no id makes addresses that are none
	if err := json.Unmarshal(read(t, p.Name+"/user.golden.json"), &r.golden); err != nil {
		t.Fatal(err)
	}
	files := []string{"token.json"}
	for _, q := range r.Requests {
		files = append(files, q.Answer)
	}
	for _, file := range files {
		body := read(t, p.Name+"/"+file)
		if list, err := strictjson.Array(body); err == nil {
			r.parsed[file] = list
		} else if object, err := strictjson.Object(body); err == nil {
			r.parsed[file] = object
		}
	}
	if r.discovery != nil || len(r.claims) > 0 {
		r.parsed["claims"] = maps.Clone(r.claims)
	}
	return r
}

// gone takes the place of what is taken away.
var gone any = new(struct{ int })

// change makes the provider send what edit makes of each value in each answer.
func (r *recorded) change(edit func(name string, v any) any) {
	for file, value := range r.parsed {
		changed := edited("", value, edit)
		if file != "claims" {
			r.answers[file] = mustJSON(changed)
			continue
		}
		r.sign = func(claims map[string]any) string {
			for name := range r.claims {
				delete(claims, name)
			}
			maps.Copy(claims, changed.(map[string]any))
			return r.signed(claims)
		}
	}
}

// edited is a copy of v after edit, which sees what is inside a value first.
func edited(name string, v any, edit func(name string, v any) any) any {
	switch at := v.(type) {
	case map[string]any:
		object := map[string]any{}
		for key, value := range at {
			if value = edited(key, value, edit); value != gone {
				object[key] = value
			}
		}
		v = object
	case []any:
		list := []any{}
		for _, value := range at {
			if value = edited(name, value, edit); value != gone {
				list = append(list, value)
			}
		}
		v = list
	}
	return edit(name, v)
}

// texts are all texts and numbers that the provider sends, sorted.
func (r *recorded) texts() []string {
	var list []string
	for _, value := range r.parsed {
		edited("", value, func(_ string, v any) any {
			if s, ok := strictjson.String(v); ok {
				list = append(list, s)
			}
			return v
		})
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// who signs in, in a browser of their own: nil for nobody.
func (r *recorded) who() *ginauth.User {
	r.t.Helper()
	if r.signsIn == nil {
		r.signsIn = r.app(r.provider())
	}
	r.signsIn.browser = authtest.NewBrowser()
	defer r.signsIn.browser.Close()
	r.resolve(r.signsIn)
	p := r.signsIn.get("/me")
	u := new(ginauth.User)
	if p.URL.Path != "/me" || p.Status != http.StatusOK || json.Unmarshal(p.Body, u) != nil {
		return nil
	}
	return u
}
