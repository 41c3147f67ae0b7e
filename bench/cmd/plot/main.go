// Command plot draws the README's table of costs as its picture. Run it in the
// directory of this module, after compare has written the table:
//
//	go run ./cmd/plot
package main

import (
	"cmp"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ginauth/ginauth/bench/internal/report"
)

const picture = "../docs/images/cost.svg"

// bar is one column of the table.
type bar struct {
	label string
	time  float64 // µs of CPU
}

// labels say more than the heads of narrow columns can.
var labels = map[string]string{
	"a JWT cookie":         "a JWT in a cookie",
	"scs":                  "scs, in memory",
	"gin-contrib's cookie": "gin-contrib/sessions, in a cookie",
	"go-oidc":              "an ID token in a cookie, go-oidc",
}

func main() {
	table, err := report.Text(report.Readme, "costs")
	if err != nil {
		log.Fatal(err)
	}
	bars, err := readBars(table)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(picture, []byte(draw(bars)), 0o644); err != nil {
		log.Fatal(err)
	}
}

// readBars returns the columns of the table, the shortest time first.
func readBars(table string) ([]bar, error) {
	lines := strings.Split(table, "\n")
	if len(lines) < 3 {
		return nil, fmt.Errorf("no table: %q", table)
	}
	heads, times := strings.Split(lines[0], "|"), strings.Split(lines[2], "|")
	if len(heads) != len(times) || len(heads) < 4 || strings.TrimSpace(times[1]) != "µs of CPU" {
		return nil, fmt.Errorf("not the table of costs: %q", table)
	}
	var bars []bar
	for i := 2; i < len(heads)-1; i++ {
		head := strings.TrimSpace(strings.NewReplacer("`", "", "*", "").Replace(heads[i]))
		t, err := strconv.ParseFloat(strings.TrimSpace(times[i]), 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", head, err)
		}
		bars = append(bars, bar{cmp.Or(labels[head], head), t})
	}
	slices.SortStableFunc(bars, func(a, b bar) int { return cmp.Compare(a.time, b.time) })
	return bars, nil
}

// draw returns the picture. It has a background of its own, since the page around it may
// be dark.
func draw(bars []bar) string {
	const width, left, right, top, step, thick = 720, 250, 64, 44, 28, 18
	longest := 0.0
	for _, x := range bars {
		longest = max(longest, x.time)
	}
	height := top + step*len(bars) + 8
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="CPU time of a signed-in request" font-family="system-ui, sans-serif" font-size="13">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="16" y="26" fill="#1b1f27" font-weight="600">CPU time of a signed-in request, in µs (shorter is better)</text>`+"\n")
	for i, x := range bars {
		y, fill, weight := top+step*i, "#a4adbb", "400"
		if x.label == "ginauth" {
			fill, weight = "#1d4fd7", "700"
		}
		long := x.time / longest * (width - left - right)
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#1b1f27" text-anchor="end" font-weight="%s">%s</text>`, left-10, y+14, weight, x.label)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`, left, y, long, thick, fill)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="#1b1f27" font-weight="%s">%s</text>`+"\n", left+long+8, y+14, weight, report.Number(x.time))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
