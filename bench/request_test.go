package bench_test

import (
	"math/rand/v2"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// request is a way to have a signed-in user in a handler.
type request struct {
	name, title string
	setup       func() app
	open        bool // admits every request: for comparison, not a guard
}

// requests returns all of them: the minimum, the alternatives, and ginauth.
func requests() []request {
	return append([]request{
		{"bare", "Gin alone", bare, true},
		{"floor", "Gin and one `c.Set` of a user: the floor", floor, true},
		{"limit", "the floor, and a sealed cookie opened by hand: the limit", limit, false},
		{"ours", "**ginauth, `RequireAuth`**, sealed cookie", ours(setting{}), false},
		{"ours-hooks", "… with every hook set, and a log", ours(setting{hooks: true}), false},
		{"ours-authenticate", "… with an `Authenticate` that returns no user", ours(setting{keys: true}), false},
		{"ours-step-up", "… with `MaxAge` and `ACR`", ours(setting{acr: true, proves: true}), false},
		{"ours-first", "… a browser's first request, not in the cache", ours(setting{first: true}), false},
		{"ours-attempts", "… with five sign-ins in progress in the browser", ours(setting{attempts: 5}), false},
		{"ours-loaduser", "… `LoadUser` instead", ours(setting{loadUser: true}), false},
		{"ours-1k", "… 1 KB more in the session", ours(setting{more: 1}), false},
		{"ours-2k", "… 2 KB more", ours(setting{more: 2}), false},
		{"ours-3k", "… 3 KB more (two cookies)", ours(setting{more: 3}), false},
		{"ours-4k", "… 4 KB more (two cookies)", ours(setting{more: 4}), false},
		{"ours-5k", "… 5 KB more (two cookies, nearly full)", ours(setting{more: 5}), false},
		{"ours-revocations-redis", "… revocations in Redis, `Cached`", ours(setting{shared: true}), false},
		{"ours-revocations-asked", "… revocations in Redis, read at each request", ours(setting{asked: true}), false},
		{"ours-memstore", "**ginauth**, sessions in gin-contrib's memstore", ours(setting{store: memory}), false},
		{"ours-memstore-6k", "… 6 KB more in the session", ours(setting{store: memory, more: 6}), false},
		{"ours-redis", "**ginauth**, sessions in Redis", ours(setting{store: inRedis}), false},
	}, append(contribRequests(), otherRequests()...)...)
}

func find(name string) request {
	for _, r := range requests() {
		if r.name == name {
			return r
		}
	}
	panic("there is no " + name)
}

// entry is a measurement.
type entry struct{ name, title string }

// catalogue returns all measurements, by the names of their benchmarks.
func catalogue() []entry {
	var list []entry
	for _, r := range requests() {
		list = append(list, entry{"Request/" + r.name, r.title})
	}
	for _, pair := range besides {
		list = append(list, entry{"Beside/" + pair.name, pair.title})
	}
	for _, name := range parallel {
		list = append(list, entry{"Parallel/" + name, find(name).title})
	}
	for _, connections := range []int{1, 8} { // so that measurements to compare follow each other
		for _, name := range sockets {
			list = append(list, entry{"Socket/" + socketName(name, connections), find(name).title})
		}
	}
	for _, f := range flows() {
		list = append(list, entry{"SignIn/" + f.name, f.title})
	}
	for _, t := range tokens {
		list = append(list, entry{"Tokens/" + t.name, t.title})
	}
	list = append(list, entry{"Bearer/seen", "an access token that was seen before, beside the cookie"})
	for _, alg := range bearers {
		list = append(list, entry{"Bearer/first-" + alg.name, "an access token that comes first, beside the verification of its signature"})
	}
	return append(list, entry{"Revocations", "a million of them"})
}

// writer is a ResponseWriter that costs nothing.
type writer struct {
	header http.Header
	status int
}

func (w *writer) Header() http.Header         { return w.header }
func (w *writer) Write(p []byte) (int, error) { return len(p), nil }
func (w *writer) WriteHeader(status int)      { w.status = status }

// visitor repeats a request. Each time it is a new value: gorilla/sessions caches sessions in the
// request, and would find them there at the second request.
type visitor struct {
	app      http.Handler
	template *http.Request
	request  *http.Request
	writer   *writer
	turns    []string
	turn     int
}

func newVisitor(a app) *visitor {
	r := newRequest("https://app.example.com" + page)
	r.Header["Cookie"] = []string{others + a.cookies}
	return &visitor{app: a.handler, template: r, request: new(http.Request), writer: &writer{header: http.Header{}}, turns: a.turns}
}

// visit reports whether the handler got the right user.
func (v *visitor) visit() bool {
	*v.request = *v.template
	if len(v.turns) > 0 {
		v.template.Header["Cookie"][0] = v.turns[v.turn%len(v.turns)]
		v.turn++
	}
	clear(v.writer.header)
	v.writer.status = 0
	v.app.ServeHTTP(v.writer, v.request)
	return v.writer.status == http.StatusNoContent
}

// BenchmarkRequest measures an authenticated request. cpu-ns/op is nearly ns/op, unless other programs
// run or Redis is queried.
func BenchmarkRequest(b *testing.B) {
	for _, r := range requests() {
		b.Run(r.name, func(b *testing.B) {
			a := r.setup()
			v := newVisitor(a)
			b.ReportAllocs()
			start := cpu()
			for b.Loop() {
				if !v.visit() {
					b.Fatalf("answered with %d", v.writer.status)
				}
			}
			b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/op")
			if a.set > 0 {
				b.ReportMetric(float64(a.set), "set-cookie-B")
			}
		})
	}
}

// besides are settings that cost hardly more than another.
var besides = []struct {
	name, title string
	it, than    setting
}{
	{"authenticate", "an `Authenticate` that returns no user, beside no hook", setting{keys: true}, setting{}},
	{"step-up", "`MaxAge` and `ACR`, beside a guard without checks", setting{acr: true, proves: true}, setting{acr: true}},
	{"shared", "revocations in Redis, beside revocations in memory", setting{shared: true}, setting{}},
	{"shared-stored", "revocations in Redis too, beside sessions alone there", setting{shared: true, store: inRedis}, setting{store: inRedis}},
	{"attempts", "five sign-ins in progress, beside none", setting{attempts: 5}, setting{}},
}

// BenchmarkBeside measures each of these settings and the other in turns of a millisecond, in eight
// applications each: the addresses of one may be better than those of another for as long as the
// process lives. The garbage collector runs as in BenchmarkParallel: both settings leave the same to
// it, and its runs would be noise.
func BenchmarkBeside(b *testing.B) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	touchMemory()
	for _, pair := range besides {
		b.Run(pair.name, func(b *testing.B) {
			visiting := func(s setting) func() {
				var same [8]*visitor
				for i := range same {
					same[i] = newVisitor(ours(s)())
				}
				calls := 0
				return func() {
					v := same[calls/500%len(same)]
					calls++
					if !v.visit() {
						b.Fatalf("answered with %d", v.writer.status)
					}
				}
			}
			inTurns(b, 500, visiting(pair.than), visiting(pair.it))
		})
	}
}

// inTurns measures two functions in turns of about n calls: a processor changes its speed by more than
// a few percent within seconds, so that two successive runs could not show the difference. The length
// of the turns is random: with a fixed one, the garbage collector may run in the turns of one function
// alone for seconds. times is the CPU time of the second divided by that of the first; times-waited is
// the same for elapsed time, which includes the work of other processes.
func inTurns(b *testing.B, n int, than, it func()) {
	both := [2]func(){than, it}
	for _, do := range both { // connections, keys
		do()
	}
	var spent, waited [2]time.Duration
	for b.Loop() {
		first, calls := rand.IntN(2), n/2+rand.IntN(n)
		for _, which := range [...]int{first, 1 - first, 1 - first, first} { // so that neither always comes second
			start, began := cpu(), time.Now()
			for range calls {
				both[which]()
			}
			spent[which] += cpu() - start
			waited[which] += time.Since(began)
		}
	}
	b.ReportMetric(float64(spent[1])/float64(spent[0]), "times")
	b.ReportMetric(float64(waited[1])/float64(waited[0]), "times-waited")
}

// touchMemory uses a gigabyte once. The kernel provides memory at its first use, which takes longer
// than a request; without the garbage collector, a run of a second would pay for nothing else.
func touchMemory() {
	used := make([]byte, 900<<20)
	for i := 0; i < len(used); i += 4096 {
		used[i] = 1
	}
	runtime.GC() // used is dead here; its pages stay
}

// parallel are the cases that are also measured on several cores.
var parallel = []string{"bare", "floor", "ours", "ours-memstore", "contrib-aes-json", "contrib-memstore-json", "scs-json"}

// BenchmarkParallel is BenchmarkRequest on all cores. It also measures waiting for locks: mutex-ns/op
// is the total time that goroutines waited, waits/Mop the number of waits in a million requests,
// without the runtime's own locks. The garbage collector does not run until a gigabyte is used: with
// the heap of a benchmark, a megabyte, it would run three hundred times a second, and starting and
// stopping it would cost more than the second core gains.
func BenchmarkParallel(b *testing.B) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	touchMemory()
	for _, name := range parallel {
		b.Run(name, func(b *testing.B) {
			a := find(name).setup()
			defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
			waited, waits, start := mutexWait(), mutexWaits(), cpu()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				own := a
				if a.another != nil {
					own.cookies = a.another()
				}
				v := newVisitor(own)
				for pb.Next() {
					if !v.visit() {
						b.Errorf("answered with %d", v.writer.status)
						return
					}
				}
			})
			b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/op")
			b.ReportMetric((mutexWait()-waited)*1e9/float64(b.N), "mutex-ns/op")
			b.ReportMetric(float64(mutexWaits()-waits)/float64(b.N)*1e6, "waits/Mop")
		})
	}
}

// mutexWait returns the time that goroutines have waited for locks, in seconds.
func mutexWait() float64 {
	sample := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64()
}

// mutexWaits returns the number of waits in handlers, without those of the runtime.
func mutexWaits() (n int64) {
	records := make([]runtime.BlockProfileRecord, pprof.Lookup("mutex").Count()+64)
	count, _ := runtime.MutexProfile(records)
	for _, r := range records[:min(count, len(records))] {
		frames := runtime.CallersFrames(r.Stack())
		for {
			frame, more := frames.Next()
			if strings.Contains(frame.Function, ".ServeHTTP") {
				n += r.Count
				break
			}
			if !more {
				break
			}
		}
	}
	return n
}

// TestGuards checks that the measured applications have a guard: requests without a cookie, or with an
// altered one, are rejected.
func TestGuards(t *testing.T) {
	for _, r := range requests() {
		t.Run(r.name, func(t *testing.T) {
			a := r.setup()
			if v := newVisitor(a); !v.visit() {
				t.Errorf("who is signed in got %d", v.writer.status)
			}
			if r.open {
				return
			}
			for what, cookies := range map[string]string{"no cookie": "", "a changed cookie": spoil(a.cookies)} {
				if v := newVisitor(app{handler: a.handler, cookies: cookies}); v.visit() || v.writer.status != http.StatusUnauthorized {
					t.Errorf("%s got %d", what, v.writer.status)
				}
			}
		})
	}
}

// spoil changes a character in the middle of every cookie.
func spoil(cookies string) string {
	pairs := strings.Split(cookies, "; ")
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		c := byte('A')
		if value[len(value)/2] == c {
			c = 'B'
		}
		pairs[i] = name + "=" + value[:len(value)/2] + string(c) + value[len(value)/2+1:]
	}
	return strings.Join(pairs, "; ")
}
