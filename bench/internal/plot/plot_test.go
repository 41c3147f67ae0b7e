package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var panels = []Panel{
	{Title: "cost & more", X: "users", Lines: []Line{{"ours", []float64{100, 1e4, 1e6}, []float64{2.8, 3, 3.4}}}},
	{Title: "memory", X: "users", LogY: true, Lines: []Line{{"ours", []float64{1, 2}, []float64{.5, 30}}, {"theirs", []float64{1, 2}, []float64{7, 900}}}},
}

func TestAPictureIsXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(SVG("growth", panels)))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheLayoutIsTheSameEachTime(t *testing.T) {
	first := SVG("growth", panels)
	if again := SVG("growth", panels); again != first {
		t.Error("the second picture is another one")
	}
	for _, want := range []string{`d="M50 78L180 70L310 54"`, "cost &amp; more", ">1M</text>", ">1k</text>", `viewBox="0 0 660 230"`} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is missing:\n%s", want, first)
		}
	}
	for _, forbidden := range []string{"NaN", "Inf", "http://", "url(", "<style", "<script"} {
		if strings.Contains(strings.Replace(first, "http://www.w3.org/2000/svg", "", 1), forbidden) {
			t.Errorf("%q is in the picture", forbidden)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		least, most float64
		log         bool
		want        []float64
	}{
		{1, 3.4, false, []float64{0, 1, 2, 3, 4}},
		{0, 10, false, []float64{0, 2, 4, 6, 8, 10}},
		{0, 11, false, []float64{0, 5, 10, 15}},
		{0, 0.08, false, []float64{0, .02, .04, .06, .08}},
		{.5, 900, true, []float64{.1, 1, 10, 100, 1000}},
		{10, 10, true, []float64{10, 100}},
	} {
		a := axis{most: c.most, log: c.log}
		got := a.round(c.least)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("%v to %v: %v, want %v", c.least, c.most, got, c.want)
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", .5: "0.5", 12.34: "12.3", 999: "999", 1000: "1k", 12345: "12.3k", 1e6: "1M", 2.5e6: "2.5M"} {
		if got := Short(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}

// WCAG 2.2 wants a contrast of 3 of graphics (1.4.11). Text has 4 on both of GitHub's
// pages: no colour has the 4.5 of 1.4.3 on both.
func TestColoursAreLegibleOnLightAndDarkPages(t *testing.T) {
	for _, page := range []string{"#ffffff", "#0d1117"} {
		for _, colour := range append([]string{Ink}, Colours...) {
			if got := contrast(colour, page); got < 4 {
				t.Errorf("%s has a contrast of %.2f on %s", colour, got, page)
			}
		}
	}
}

func contrast(a, b string) float64 {
	light, dark := luminance(a), luminance(b)
	if light < dark {
		light, dark = dark, light
	}
	return (light + .05) / (dark + .05)
}

func luminance(colour string) (l float64) {
	for i, weight := range []float64{.2126, .7152, .0722} {
		n, _ := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		v := float64(n) / 255
		if v <= .04045 {
			l += weight * v / 12.92
		} else {
			l += weight * math.Pow((v+.055)/1.055, 2.4)
		}
	}
	return l
}
