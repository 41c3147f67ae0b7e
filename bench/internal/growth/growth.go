// Package growth names what is measured at several sizes: by the benchmarks, and by
// cmd/grow, which draws it.
package growth

// Subject is what grows.
type Subject struct {
	Name  string
	Sizes []int
}

// The subjects, which BenchmarkGrowth runs as NAME/SIZE. The processes are of as many
// applications as Applications has.
var (
	Users     = Subject{"users", []int{100, 1_000, 10_000, 100_000, 1_000_000}}
	Marks     = Subject{"marks", []int{1_000, 10_000, 100_000, 1_000_000}}
	Providers = Subject{"providers", []int{1, 10, 100, 1_000}}
)

// Applications are those of which one process and two are measured, as BenchmarkGrowth
// names them and as people do.
var Applications = [][2]string{{"floor", "Gin and one c.Set"}, {"ours", "ginauth"}, {"contrib-aes-json", "gin-contrib's cookie store"}}

// The units that the benchmarks report.
const (
	Floors  = "floors"         // the CPU time of a guarded request, against the floor's
	Memory  = "MB"             // what stays in the heap
	Single  = "requests/s-one" // of one process
	Double  = "requests/s-two" // of two, together
	Factors = "times"          // the second, against the first
)
