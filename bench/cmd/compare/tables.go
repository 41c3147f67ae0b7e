package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ginauth/ginauth/bench/internal/report"
)

// write puts a run into the pages, and makes it the baseline. What it did not
// measure stays as it was.
func write(m *meter, all []round) error {
	machine := fmt.Sprintf("Measured on %s; rounds: %d; %s.", report.Machine(), len(all), m.busy)
	base := baseline{Values: map[string]float64{}, Judged: map[string]float64{}}
	targets, err := report.Text(report.Performance, "targets")
	if err != nil {
		return err
	}
	if !all[0].has(m.names) {
		before, err := report.Text(report.Performance, "machine")
		if err != nil {
			return err
		}
		if base, err = readBaseline(); err != nil {
			return err
		}
		machine = before + fmt.Sprintf("%s anew, on %s; rounds: %d; %s.", strings.Join(all[0].kinds(), ", "), report.Machine(), len(all), m.busy)
	}
	base.take(all)
	if err := base.complete(); err != nil { // a new target was not measured
		return err
	}
	texts := map[string]string{"machine": machine, "targets": targetTable(all, targets)}
	for _, table := range []struct {
		name, prefix string
		text         func(*meter, []round) string
	}{
		{"requests", "Request/", requestTable}, {"sockets", "Socket/", socketTable}, {"cores", "Parallel/", coreTable},
		{"sign-ins", "SignIn/", signInTable}, {"revocations", "Revocations", revocationText},
	} {
		if all[0].has(m.named(table.prefix)) {
			texts[table.name] = table.text(m, all)
		}
	}
	for name, text := range texts {
		if err := report.Replace(report.Performance, name, text); err != nil {
			return err
		}
	}
	if all[0].has(m.named("Request/")) {
		if err := report.Replace(report.Readme, "costs", readmeTable(all)); err != nil {
			return err
		}
	}
	return base.write()
}

// raw is every number, for those who look at a few of them.
func raw(all []round, names []string) string {
	var b strings.Builder
	for _, name := range names {
		units := []string{}
		for unit := range all[0][name] {
			units = append(units, unit)
		}
		slices.Sort(units)
		fmt.Fprintf(&b, "%-34s", name)
		for _, unit := range units {
			fmt.Fprintf(&b, "  %s %s", report.Number(report.Median(over(all, of(name, unit)))), unit)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// number is the median of a quantity.
func number(all []round, q quantity) string { return report.Number(report.Median(over(all, q))) }

// times is the median of a ratio, taken in each round.
func times(all []round, dear, cheap quantity) string {
	return number(all, ratio(dear, cheap)) + " ×"
}

// targetTable takes what was not measured from the table before.
func targetTable(all []round, before string) string {
	old := map[string][]string{}
	for line := range strings.Lines(before) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		old[cells[0]] = cells
	}
	var rows [][]string
	for i, t := range targets {
		if !all[0].has(needs(targets[i : i+1])) {
			rows = append(rows, old[t.name])
			continue
		}
		values := over(all, t.of)
		v := report.Median(values)
		met := "yes"
		if !t.met(v) {
			met = "**no**"
		}
		spread := report.Number(slices.Min(values)) + " – " + report.Number(slices.Max(values))
		rows = append(rows, []string{t.name, t.wanted(), report.Number(v), spread, met})
	}
	return report.Table([]string{"what", "target", "median", "rounds", "met"}, rows)
}

// named are the names that begin with prefix, in the order of the benchmarks.
func (m *meter) named(prefix string) (names []string) {
	for _, name := range m.names {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

func requestTable(m *meter, all []round) string {
	var rows [][]string
	for _, name := range m.named("Request/") {
		short := strings.TrimPrefix(name, "Request/")
		set := "–"
		if _, there := all[0][name]["set-cookie-B"]; there {
			set = number(all, of(name, "set-cookie-B"))
		}
		cost := spent
		if strings.Contains(short, "redis") {
			cost = wall // CPU is the smaller part of it
		}
		rows = append(rows, []string{m.titles[name], number(all, of(name, "ns/op")), number(all, of(name, "B/op")), number(all, of(name, "allocs/op")),
			times(all, cost(short), cost("floor")), times(all, cost(short), cost("ours")), set})
	}
	return report.Table([]string{"an authenticated request", "ns", "bytes", "allocations", "floors", "ginauths", "`Set-Cookie`, bytes"}, rows)
}

func socketTable(m *meter, all []round) string {
	var rows [][]string
	for _, name := range m.named("Socket/") {
		short, ok := strings.CutSuffix(name, "-1c")
		if !ok {
			continue
		}
		row := []string{m.titles[name]}
		for _, connections := range []string{"-1c", "-8c"} {
			cost := of(short+connections, "server-cpu-ns/op")
			row = append(row, number(all, scaled(cost, 1e-3)), times(all, cost, of("Socket/bare"+connections, "server-cpu-ns/op")))
		}
		rows = append(rows, row)
	}
	return report.Table([]string{"CPU of the server, a request", "µs, one connection", "against Gin alone", "µs, eight connections", "against Gin alone"}, rows)
}

func coreTable(m *meter, all []round) string {
	var rows [][]string
	for _, name := range m.named("Parallel/") {
		short, ok := strings.CutSuffix(name, "@1")
		if !ok {
			continue
		}
		rows = append(rows, []string{m.titles[name], number(all, speedup(strings.TrimPrefix(short, "Parallel/"), "ns/op")) + " ×",
			number(all, of(short+"@2", "waits/Mop")), number(all, of(short+"@2", "mutex-ns/op"))})
	}
	return report.Table([]string{"two cores against one", "faster", "waits for a lock, a million requests", "ns waited for locks, a request"}, rows)
}

func signInTable(m *meter, all []round) string {
	var rows [][]string
	for _, name := range m.named("SignIn/") {
		short := strings.TrimPrefix(name, "SignIn/")
		bound := "limit-1"
		if strings.HasSuffix(short, "userinfo") || short == "limit-2" {
			bound = "limit-2"
		}
		begin := []string{"–", "–"}
		if !strings.HasPrefix(short, "limit") {
			begin = []string{number(all, scaled(of(name, "begin-cpu-ns"), 1e-3)), number(all, of(name, "begin-allocs"))}
		}
		rows = append(rows, append([]string{m.titles[name], begin[0], begin[1],
			number(all, scaled(of(name, "finish-cpu-ns"), 1e-3)), number(all, of(name, "finish-allocs")), number(all, scaled(of(name, "finish-B"), 1e-3))},
			times(all, of(name, "finish-cpu-ns"), of("SignIn/"+bound, "finish-cpu-ns")), number(all, of(name, "sign-ins/cpu-s"))))
	}
	return report.Table([]string{"a sign-in", "to the provider, µs", "allocations", "the callback, µs", "allocations", "KB", "limits", "sign-ins a second of CPU"}, rows)
}

func revocationText(_ *meter, all []round) string {
	return fmt.Sprintf(`A million sign-outs take %s bytes each. With them, a request of another user, one of 1,024, costs %s ns more than
with revocations that store nothing: four look-ups. When all million have expired, the call that removes most of them at once
takes %s µs of CPU, under a lock for no longer than that; of the concurrent requests in another goroutine, the slowest took
%s µs, including waits for a core.`,
		number(all, of("Revocations", "B/mark")), number(all, lookup), number(all, scaled(of("Revocations", "cleaning-ns"), 1e-3)),
		number(all, scaled(of("Revocations", "longest-request-ns"), 1e-3)))
}

func readmeTable(all []round) string {
	head, cost, against := []string{"a signed-in request"}, []string{"µs of CPU"}, []string{"against ginauth"}
	for _, column := range []struct{ title, name string }{
		{"Gin and one `c.Set`", "floor"}, {"**ginauth**", "ours"}, {"a JWT cookie", "jwt"}, {"scs", "scs-json"},
		{"gin-contrib's cookie", "contrib-aes-json"}, {"go-oidc", "oidc-rs256"}, {"gothic", "gothic"},
	} {
		head = append(head, column.title)
		cost = append(cost, number(all, scaled(spent(column.name), 1e-3)))
		against = append(against, times(all, spent(column.name), ourTime))
	}
	return report.Table(head, [][]string{cost, against})
}
