package browser

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// screens are what people have in front of them.
var screens = []struct {
	name          string
	width, height int
}{{"phone", 390, 844}, {"desktop", 1280, 800}}

// look checks how a page looks and reads, in every way that people may see it,
// and keeps a picture of each.
func (x *tab) look(name string) {
	x.t.Helper()
	schemes := []string{"light", "dark"}
	if !x.b.chrome {
		schemes = schemes[:1] // Firefox has no command for the other
	}
	for _, screen := range screens {
		x.size(screen.width, screen.height)
		x.fits(name, screen.width)
		for _, scheme := range schemes {
			x.scheme(scheme)
			x.keep(fmt.Sprintf("%s-%s-%s-%s.png", name, screen.name, scheme, x.b.name))
			if (screen.name == "phone") == (scheme == "dark") { // each of them once: it takes its time
				x.accessible(name + " on a " + screen.name + ", " + scheme)
			}
		}
	}
	x.size(320, 568) // WCAG 2.2, 1.4.10
	x.fits(name, 320)
	x.size(1280, 800)
	x.scheme("light")
	x.keys(name)
}

// scheme sets what the person prefers.
func (x *tab) scheme(name string) {
	x.t.Helper()
	if x.b.chrome {
		x.must("emulation.setMediaFeaturesOverride", args{"features": args{"prefers-color-scheme": name}, "contexts": []string{x.context}}, nil)
	}
}

// fits checks that nobody has to scroll sideways.
func (x *tab) fits(name string, width int) {
	x.t.Helper()
	var got int
	if x.run("document.documentElement.scrollWidth", &got); got > width {
		x.t.Errorf("%s is %d pixels wide on a screen of %d", name, got, width)
	}
}

// axe is the accessibility checker, a script that runs in the page.
var axe = sync.OnceValues(func() (string, error) {
	file := os.Getenv("GINAUTH_AXE")
	if file == "" {
		return "", fmt.Errorf("GINAUTH_AXE does not say where axe-core's axe.min.js is: ./browsers.sh run go test ./... gets it from npm")
	}
	raw, err := os.ReadFile(file)
	return string(raw), err
})

// accessible checks a page with all the rules of axe-core.
func (x *tab) accessible(name string) {
	x.t.Helper()
	source, err := axe()
	if err != nil {
		x.t.Fatal(err)
	}
	var have bool
	if x.run(`typeof axe == "object"`, &have); !have {
		if err := x.b.call("script.evaluate", args{"expression": source + "; null", "target": args{"context": x.context}, "awaitPromise": false}, nil); err != nil {
			x.t.Fatal(err)
		}
	}
	var found struct {
		Passes     int
		Violations []struct {
			ID, Help string
			Nodes    []struct{ HTML, FailureSummary string }
		}
	}
	x.run(`axe.run(document, {preload: false}).then(r => ({Passes: r.passes.length, Violations: r.violations}))`, &found)
	if found.Passes < 5 {
		x.t.Errorf("%s: only %d rules had anything to look at", name, found.Passes)
	}
	for _, v := range found.Violations {
		for _, node := range v.Nodes {
			x.t.Errorf("%s: %s (%s)\n%s\n%s", name, v.Help, v.ID, node.HTML, node.FailureSummary)
		}
	}
}

// keys goes through the page with the Tab key alone: everything that can be
// pressed comes once, in the order of reading, and shows that it has the focus.
func (x *tab) keys(name string) {
	x.t.Helper()
	var want, got []string
	x.run(`[...document.querySelectorAll("a[href], button, input:not([type=hidden])")].map(e => e.innerText || e.name)`, &want)
	for range want {
		x.press(tabKey)
		var at struct {
			Text, Style string
			Width       float64
		}
		x.run(`(() => {
			const e = document.activeElement, s = getComputedStyle(e)
			return {Text: e.innerText || e.name || e.tagName, Style: s.outlineStyle, Width: parseFloat(s.outlineWidth)}
		})()`, &at)
		got = append(got, at.Text)
		if at.Style == "none" || at.Width < 2 {
			x.t.Errorf("%s: nobody sees that %q has the focus: an outline of %g pixels, %s", name, at.Text, at.Width, at.Style)
		}
	}
	if !slices.Equal(got, want) {
		x.t.Errorf("%s: the Tab key goes to %q, want %q", name, got, want)
	}
}

// pictures is where they are kept: GINAUTH_SCREENSHOTS, or beside other
// temporary files.
var pictures = sync.OnceValues(func() (string, error) {
	dir := cmp.Or(os.Getenv("GINAUTH_SCREENSHOTS"), filepath.Join(os.TempDir(), "ginauth-screenshots"))
	fmt.Println("screenshots are in", dir)
	return dir, os.MkdirAll(dir, 0o755)
})

// keep keeps a picture of what the tab shows. A page that drew nothing fails.
func (x *tab) keep(name string) {
	x.t.Helper()
	dir, err := pictures()
	if err != nil {
		x.t.Fatal(err)
	}
	raw := x.picture()
	if len(raw) < 2000 || !bytes.HasPrefix(raw, []byte("\x89PNG")) {
		x.t.Errorf("%s is empty", name)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")), raw, 0o644); err != nil {
		x.t.Fatal(err)
	}
}

// speak makes the browser ask for pages in a language.
func (x *tab) speak(language string) {
	x.t.Helper()
	x.must("emulation.setLocaleOverride", args{"locale": language, "contexts": []string{x.context}}, nil)
}

func wantLanguage(t *testing.T, x *tab, want string) {
	t.Helper()
	var got string
	if x.run("document.documentElement.lang", &got); got != want {
		t.Errorf("the page is in %q, want %q", got, want)
	}
}
