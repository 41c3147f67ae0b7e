// Package plot draws lines as SVG: a few hundred bytes a panel, which a person can read and
// a diff can show. The colours stand out from a white page and from a dark one, so that a
// picture needs no second version, and no style that follows a page's setting: an image
// cannot see that. The layout depends on nothing but the numbers.
package plot

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Line is one of a panel. Its name stands at its end if there are others.
type Line struct {
	Name string
	X, Y []float64
}

// Panel is one diagram of a picture. Its x axis has a tick at each value, and is
// logarithmic if these span more than a factor of ten.
type Panel struct {
	Title, X string
	LogY     bool
	Lines    []Line
}

// Ink is the colour of text.
const Ink = "#737b85"

// Colours are the colours of lines.
var Colours = []string{"#2f7fe0", "#c2601a", "#278c4f", "#a35fc4"}

// The sizes of a panel, and of the margins around its diagram.
const (
	width, height            = 330, 230
	left, right, top, bottom = 50, 20, 30, 40
)

// SVG draws panels side by side. The description is for those who cannot see them.
func SVG(description string, panels []Panel) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" font-family="sans-serif" font-size="11" fill="%s">`+"\n",
		len(panels)*width, height, Ink)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(description))
	for i, p := range panels {
		p.draw(&b, i*width)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p *Panel) draw(b *strings.Builder, at int) {
	xs, ys := p.values()
	xAxis := axis{least: slices.Min(xs), most: slices.Max(xs), from: left, to: width - right}
	xAxis.log = xAxis.most > 10*xAxis.least
	yAxis := axis{most: slices.Max(ys), from: height - bottom, to: top, log: p.LogY}
	yTicks := yAxis.round(slices.Min(ys))
	fmt.Fprintf(b, `<g transform="translate(%d)">`+"\n", at)
	fmt.Fprintf(b, `<text x="%d" y="14" font-weight="bold">%s</text>`+"\n", left, html.EscapeString(p.Title))
	for _, y := range yTicks {
		fmt.Fprintf(b, `<path d="M%d %sH%d" stroke="%s" stroke-opacity=".3"/>`, left, place(yAxis.at(y)), width-right, Ink)
		fmt.Fprintf(b, `<text x="%d" y="%s" text-anchor="end">%s</text>`+"\n", left-6, place(yAxis.at(y)+4), Short(y))
	}
	for _, x := range xs {
		fmt.Fprintf(b, `<text x="%s" y="%d" text-anchor="middle">%s</text>`+"\n", place(xAxis.at(x)), height-bottom+15, Short(x))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-8, html.EscapeString(p.X))
	for i, l := range p.Lines {
		colour := Colours[i%len(Colours)]
		var d strings.Builder
		for k := range l.X {
			fmt.Fprintf(&d, "%c%s %s", "ML"[min(k, 1)], place(xAxis.at(l.X[k])), place(yAxis.at(l.Y[k])))
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`, d.String(), colour)
		for k := range l.X {
			fmt.Fprintf(b, `<circle cx="%s" cy="%s" r="3" fill="%s"/>`, place(xAxis.at(l.X[k])), place(yAxis.at(l.Y[k])), colour)
		}
		b.WriteString("\n")
		if len(p.Lines) == 1 { // the title says what it is
			break
		}
		end := len(l.X) - 1
		fmt.Fprintf(b, `<text x="%d" y="%s" text-anchor="end" fill="%s">%s</text>`+"\n", width-right, place(yAxis.at(l.Y[end])-8), colour, html.EscapeString(l.Name))
	}
	b.WriteString("</g>\n")
}

// values are those of x, each once and in order, and all of y.
func (p *Panel) values() (xs, ys []float64) {
	for _, l := range p.Lines {
		xs, ys = append(xs, l.X...), append(ys, l.Y...)
	}
	slices.Sort(xs)
	return slices.Compact(xs), ys
}

// axis maps values to places.
type axis struct {
	least, most float64
	from, to    int
	log         bool
}

func (a axis) at(v float64) float64 {
	part := (v - a.least) / (a.most - a.least)
	if a.log {
		part = math.Log(v/a.least) / math.Log(a.most/a.least)
	}
	return float64(a.from) + part*float64(a.to-a.from)
}

// round makes the axis end at ticks, which it returns: powers of ten, or else up to six
// steps from 0.
func (a *axis) round(least float64) (ticks []float64) {
	if a.log {
		first, last := math.Floor(math.Log10(least)), math.Ceil(math.Log10(a.most))
		for e := first; e <= max(last, first+1); e++ {
			ticks = append(ticks, math.Pow(10, e))
		}
	} else {
		step := math.Pow(10, math.Floor(math.Log10(a.most)))
		for _, part := range []float64{.2, .5, 1, 2} {
			if a.most <= 5*step*part {
				step *= part
				break
			}
		}
		for n := 0.0; n == 0 || ticks[len(ticks)-1] < a.most; n++ {
			ticks = append(ticks, n*step)
		}
	}
	a.least, a.most = ticks[0], ticks[len(ticks)-1]
	return ticks
}

// place is a coordinate, to a tenth.
func place(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// Short is a number in few characters.
func Short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return strconv.FormatFloat(v/unit.size, 'g', 3, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
