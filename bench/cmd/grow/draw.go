package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ginauth/ginauth/bench/internal/growth"
	"github.com/ginauth/ginauth/bench/internal/plot"
	"github.com/ginauth/ginauth/bench/internal/report"
)

// pictures returns the SVG files, by name.
func (d *data) pictures() map[string]string {
	return map[string]string{
		"growth-users.svg":     d.subject(growth.Users, "signed-in users", false),
		"growth-marks.svg":     d.subject(growth.Marks, "revocations in memory", true),
		"growth-providers.svg": d.subject(growth.Providers, "providers", true),
		"growth-processes.svg": d.processes(),
	}
}

// subject draws cost and memory against sizes. Memory that grows with the size is drawn
// with logarithms, where that is a straight line.
func (d *data) subject(s growth.Subject, title string, grows bool) string {
	var x, cost, memory []float64
	for _, n := range s.Sizes {
		value := d.Values[fmt.Sprintf("%s/%d", s.Name, n)].Medians
		x, cost, memory = append(x, float64(n)), append(cost, value[growth.Floors]), append(memory, value[growth.Memory])
	}
	return plot.SVG("Cost of a guarded request, and memory, against "+title, []plot.Panel{
		{Title: "a guarded request, × Gin and one c.Set", X: title, Lines: []plot.Line{{Name: "ginauth", X: x, Y: cost}}},
		{Title: "memory, MB", X: title, LogY: grows, Lines: []plot.Line{{Name: "ginauth", X: x, Y: memory}}},
	})
}

func (d *data) processes() string {
	var rates []plot.Line
	for _, a := range growth.Applications {
		value := d.Values["processes/"+a[0]].Medians
		rates = append(rates, plot.Line{Name: a[1], X: []float64{1, 2}, Y: []float64{value[growth.Single], value[growth.Double]}})
	}
	return plot.SVG("Requests a second of CPU time, of one process and of two", []plot.Panel{{Title: "requests a second of CPU time", X: "processes", LogY: true, Lines: rates}})
}

// text is what docs/performance.md says above the pictures.
func (d *data) text() string {
	var rows [][]string
	for _, s := range []struct {
		growth.Subject
		title string
	}{{growth.Users, "signed-in users"}, {growth.Marks, "revocations"}, {growth.Providers, "providers"}} {
		first, last := s.Sizes[0], s.Sizes[len(s.Sizes)-1]
		row := []string{fmt.Sprintf("%s: %s, and %s", s.title, report.Number(float64(first)), report.Number(float64(last)))}
		for _, unit := range []string{growth.Floors, growth.Memory} {
			for _, n := range []int{first, last} {
				row = append(row, report.Number(d.Values[fmt.Sprintf("%s/%d", s.Name, n)].Medians[unit]))
			}
		}
		rows = append(rows, row)
	}
	factors := []string{}
	for _, a := range growth.Applications {
		factors = append(factors, fmt.Sprintf("%s %s ×", a[1], report.Number(d.Values["processes/"+a[0]].Medians[growth.Factors])))
	}
	return fmt.Sprintf("Measured on %s; rounds: %s; %s. Two processes against one: %s.\n\n%s", d.Machine, d.rounds(), d.Busy, strings.Join(factors, ", "),
		report.Table([]string{"a guarded request, floors; memory, MB", "floors", "then", "MB", "then"}, rows))
}

// rounds is how many rounds a number is of.
func (d *data) rounds() string {
	var all []int
	for _, v := range d.Values {
		all = append(all, v.Rounds)
	}
	if least, most := slices.Min(all), slices.Max(all); least != most {
		return fmt.Sprintf("%d to %d", least, most)
	}
	return fmt.Sprint(all[0])
}
