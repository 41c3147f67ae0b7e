package urltest

import (
	"slices"
	"strings"
	"testing"
)

func sites(t *testing.T) []*Site {
	t.Helper()
	all, err := Sites()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// According to the results of Node in testdata, no admitted return path leads away. The test also
// fails if a path is written in a way that Node has not checked: then run node/main.go again.
func TestReturnPathsAreWhatNodeWasAskedAbout(t *testing.T) {
	list, err := Expectations()
	if err != nil {
		t.Fatal(err)
	}
	s := sites(t)[0]
	admitted, hostile := 0, 0
	for _, e := range list {
		w, err := s.Write(e.Raw)
		if err != nil {
			t.Errorf("%q: %v", e.Raw, err)
		}
		if e.Leads == away {
			hostile++
		}
		if w.Path != e.Path {
			t.Errorf("%q is admitted as %q, but testdata has %q", e.Raw, w.Path, e.Path)
		}
		if e.Path == "" {
			continue
		}
		admitted++
		for _, wrong := range s.strays(URL{Origin: s.Origin, Path: e.Ends}) {
			t.Errorf("%q: %s", e.Raw, wrong)
		}
		if w.Field != e.Path || !strings.HasPrefix(w.Link, s.Prefix+s.Mount+"/login/one?return_to=") {
			t.Errorf("%q: the form has %q, and the link is %q", e.Raw, w.Field, w.Link)
		}
	}
	if len(list) < 2500 || admitted < 300 || hostile < 300 {
		t.Errorf("of %d strings %d are admitted and %d lead away: too few to prove anything", len(list), admitted, hostile)
	}
}

func TestTheCorpusIsTheSameForASeed(t *testing.T) {
	first := Corpus(7, 1000)
	if !slices.Equal(first, Corpus(7, 1000)) || slices.Equal(first, Corpus(8, 1000)) {
		t.Error("the seed does not determine the corpus")
	}
}

// The comparison must find errors, so that finding none proves something.
func TestTheComparisonFindsWhatIsWrong(t *testing.T) {
	s := sites(t)[0]
	good := URL{Origin: s.Origin, Path: "/base/x%2Fy"}
	link := URL{Origin: s.Origin, Path: "/base/Desk/login/one", ReturnTo: "/x%2Fy"}
	plain := URL{Origin: s.Origin, Path: "/x%2Fy"}
	w := Written{Path: "/x%2Fy", Field: "/x%2Fy"}
	at := func(path string) URL { return URL{Origin: s.Origin, Path: path} }
	for _, tt := range []struct {
		name    string
		w       Written
		answers []URL
		say     string
	}{
		{"nothing is wrong", w, []URL{good, link, plain, plain}, ""},
		{"another site", w, []URL{{Origin: "https://evil.example", Path: "/"}, link, plain, plain}, "redirect.site"},
		{"nowhere", w, []URL{{}, link, plain, plain}, "redirect.site"},
		{"another port", w, []URL{{Origin: "https://app.example.com", Path: "/base/x"}, link, plain, plain}, "redirect.site"},
		{"beside the application", w, []URL{at("/basement"), link, plain, plain}, "redirect.outside"},
		{"a route of ginauth", w, []URL{at("/base/Desk/logout"), link, plain, plain}, "redirect.own"},
		{"one that Gin corrects the case of", w, []URL{at("/base/desk/LOGIN/one"), link, plain, plain}, "redirect.own"},
		{"one that Gin drops slashes of", w, []URL{at("/base//Desk//login/one"), link, plain, plain}, "redirect.own"},
		{"one that is decoded twice", w, []URL{at("/base/%2544esk/log%256Fut"), link, plain, plain}, "redirect.decoded"},
		{"two slashes that are decoded twice", w, []URL{at("/base/%252fevil.example"), link, plain, plain}, "redirect.decoded"},
		{"a link to another site", w, []URL{good, {Origin: "https://evil.example"}, plain, plain}, "link"},
		{"a link that returns elsewhere", w, []URL{good, {Origin: s.Origin, Path: "/base/Desk/login/one", ReturnTo: "/x/y"}, plain, plain}, "link"},
		{"a field that differs", Written{Path: "/x%2Fy", Field: "/x"}, []URL{good, link, plain, plain}, "field"},
		{"a path that leads away by itself", w, []URL{good, link, {Origin: "https://evil.example"}, plain}, "href"},
		{"a slash that was escaped", w, []URL{good, link, plain, at("/x/y")}, "meaning"},
		{"a query that was lost", w, []URL{good, link, plain, {Origin: s.Origin, Path: "/x%2Fy", Search: "?a"}}, "meaning"},
		{"a fragment that was lost", w, []URL{good, link, plain, {Origin: s.Origin, Path: "/x%2Fy", Hash: "#a"}}, "meaning"},
	} {
		got := s.check("/x%2Fy", tt.w, tt.answers)
		found := slices.ContainsFunc(got, func(wrong string) bool { return strings.HasPrefix(wrong, tt.say+": ") })
		if found != (tt.say != "") || !found && len(got) > 0 {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.say)
		}
	}
}
