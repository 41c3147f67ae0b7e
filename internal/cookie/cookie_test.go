package cookie_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/cookie"
)

func TestEach(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  []string
		total int
	}{
		{"no cookie", nil, nil, 0},
		{"one among others", []string{"a=1; app=2; b=3"}, []string{"app=2"}, 3},
		{"several lines, as HTTP/2 sends them", []string{"a=1", "app=2", "app-x=3"}, []string{"app=2", "app-x=3"}, 3},
		{"the same name twice keeps the order", []string{"app=1; app=2"}, []string{"app=1", "app=2"}, 2},
		{"names are case-sensitive", []string{"APP=1; App=2"}, nil, 2},
		{"an exotic space before the name does not make it ours", []string{"\u2000app=1; \vapp=2"}, nil, 2},
		{"a value may contain =", []string{"app=a=b"}, []string{"app=a=b"}, 1},
		{"no value", []string{"app; app="}, []string{"app="}, 2},
		{"blanks and empty pairs: a name keeps the blank that makes it another", []string{" ;; app = 1 ;\tapp=2\t;"}, []string{"app =1", "app=2"}, 2},
		{"the name inside another's value", []string{`x="; app=1"`}, []string{`app=1"`}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			total := cookie.Each(http.Header{"Cookie": tt.lines}, "app", func(name, value string) {
				got = append(got, name+"="+value)
			})
			if !slices.Equal(got, tt.want) || total != tt.total {
				t.Errorf("got %q of %d, want %q of %d", got, total, tt.want, tt.total)
			}
		})
	}
}

func TestValuesStopsAtLimit(t *testing.T) {
	h := http.Header{"Cookie": {strings.Repeat("app=x; apple=y; ", 50)}}
	if got := cookie.Values(h, "app", 4); !slices.Equal(got, []string{"x", "x", "x", "x"}) {
		t.Errorf("got %q", got)
	}
}

func TestOnly(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		lines      []string
	}{
		{"none", "", []string{"a=1; apple=2; ap=3; app"}},
		{"one", "2", []string{"a=1;app=2; apple=3"}},
		{"one, in a line of its own", "2", []string{"a=1", "\t app=2 "}},
		{"two", "", []string{"app=1; b=2; app=2"}},
		{"two in two lines", "", []string{"app=1", "app=2"}},
		{"two, and the second has no value", "", []string{"app=1; app="}},
		{"two, and the first has no value", "", []string{"app=; app=1"}},
		{"blanks in the name", "", []string{"app =1; \vapp=1"}},
		{"blanks around the value", "1", []string{"app= \t1\t ;"}},
		{"= in the value", "a=b", []string{"app=a=b"}},
	} {
		if got := cookie.Only(http.Header{"Cookie": tt.lines}, "app"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// FuzzOnly compares Only with Values.
func FuzzOnly(f *testing.F) {
	f.Add("a=1; app=2", "app=3")
	f.Add("app = 1;; \tapp=\t2", "")
	f.Fuzz(func(t *testing.T, one, two string) {
		h := http.Header{"Cookie": {one, two}}
		want := ""
		if values := cookie.Values(h, "app", 2); len(values) == 1 {
			want = values[0]
		}
		if got := cookie.Only(h, "app"); got != want {
			t.Errorf("%q, %q: %q, want %q", one, two, got, want)
		}
	})
}

func TestSet(t *testing.T) {
	h := http.Header{"Set-Cookie": {"other=1", "app-2=1"}}
	jar := cookie.Jar{Secure: true}
	jar.Set(h, "app", "old", time.Hour)
	jar.Set(h, "app", "new", time.Hour)
	want := []string{"other=1", "app-2=1", "app=new; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"}
	if got := h["Set-Cookie"]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	jar.Expire(h, "app")
	want[2] = "app=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
	if got := h["Set-Cookie"]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSetNeverWritesADeletingLifetime(t *testing.T) {
	h := http.Header{}
	cookie.Jar{}.Set(h, "app", "v", 0)
	if got := h.Get("Set-Cookie"); got != "app=v; Path=/; Max-Age=1; HttpOnly; SameSite=Lax" {
		t.Errorf("got %q", got)
	}
}

func TestACookieUntilTheBrowserIsClosed(t *testing.T) {
	h := http.Header{}
	cookie.Jar{}.Set(h, "app", "v", cookie.UntilClosed)
	if got := h.Get("Set-Cookie"); got != "app=v; Path=/; HttpOnly; SameSite=Lax" {
		t.Errorf("got %q", got)
	}
	for line, want := range map[string]string{
		"app=v":                            "app=v",
		"app=v; Path=/; HttpOnly":          "app=v; Path=/; HttpOnly",
		"app=v; Path=/; Max-Age=9; Secure": "app=v; Path=/; Secure",
		"app=v; max-age = 9; EXPIRES=Thu, 01 Jan 2026 00:00:00 GMT;Secure;": "app=v;Secure",
		"app=Max-Age;Expires=soon": "app=Max-Age",
	} {
		if got := cookie.WithoutLife(line); got != want {
			t.Errorf("%q without its life is %q, want %q", line, got, want)
		}
	}
}

// FuzzEachAgainstNetHTTP checks that Each finds every cookie that Request.CookiesNamed finds. The
// exception are blanks, which no browser sends: Each trims them around a value, and regards a
// blank after a name as part of the name.
func FuzzEachAgainstNetHTTP(f *testing.F) {
	f.Add("app=1; b=2; app=3")
	f.Add("app=\"q\"; ;;app")
	f.Add("app= 1; app=\t2 ")
	f.Fuzz(func(t *testing.T, line string) {
		control := strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
		if control || strings.Contains(line, "app ") || strings.Contains(line, "app\t") {
			return // net/http refuses the request, or trims a name
		}
		req := &http.Request{Header: http.Header{"Cookie": {line}}}
		ours := cookie.Values(req.Header, "app", 1<<20)
		for _, c := range req.CookiesNamed("app") {
			value := strings.Trim(c.Value, " \t")
			if value != "" && !slices.Contains(ours, value) && !slices.Contains(ours, `"`+c.Value+`"`) {
				t.Errorf("net/http finds %q in %q, Each finds %q", c.Value, line, ours)
			}
		}
	})
}

func TestCurrent(t *testing.T) {
	for _, test := range []struct {
		name, request string
		answer        []string
		want          string // the Cookie header; "same" is the request itself
	}{
		{"an answer without cookies", "ours=1; other=2", nil, "same"},
		{"an answer about others' cookies", "ours=1; other=2", []string{"other=3; Path=/"}, "same"},
		{"a cookie whose name is longer, and one set", "ours=1; ours-c=2", []string{"ours-b=1; Path=/"}, "ours=1; ours-b=1"},
		{"a cookie set anew", "ours=1; ours-b=2; other=3", []string{"ours=4==; Path=/"}, "ours-b=2; ours=4=="},
		{"several of a name", "ours=1; ours=2", []string{"ours=3; Path=/"}, "ours=3"},
		{"a cookie whose name is longer", "ours=1; ours-b=2", []string{"ours-c=1; Path=/"}, "same"},
		{"a first cookie", "", []string{"ours=1; Path=/"}, "ours=1"},
		{"a cookie taken back", "ours=1; ours-b=2", []string{"ours=; Max-Age=0"}, "ours-b=2"},
		{"all taken back", "ours=1", []string{"ours=; Max-Age=0"}, ""},
	} {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header.Set("Cookie", test.request)
		w.Header()["Set-Cookie"] = test.answer
		now := cookie.Current(w, r, "ours", "ours-b")
		if got := now.Header.Get("Cookie"); (now == r) != (test.want == "same") || now != r && got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		if r.Header.Get("Cookie") != test.request {
			t.Errorf("%s: the request was changed", test.name)
		}
	}
}
