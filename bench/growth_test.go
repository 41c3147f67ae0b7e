package bench_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/gin-gonic/gin"
	"golang.org/x/sys/unix"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/bench/internal/growth"
)

// BenchmarkGrowth measures how the cost of a guarded request, and memory, grow: see cmd/grow.
func BenchmarkGrowth(b *testing.B) {
	for _, s := range []struct {
		subject growth.Subject
		run     func(b *testing.B, n int)
	}{{growth.Users, growUsers}, {growth.Marks, growMarks}, {growth.Providers, growProviders}} {
		for _, n := range s.subject.Sizes {
			b.Run(fmt.Sprintf("%s/%d", s.subject.Name, n), func(b *testing.B) { s.run(b, n) })
		}
	}
	for _, a := range growth.Applications {
		b.Run("processes/"+a[0], func(b *testing.B) { growProcesses(b, a[0]) })
	}
}

// turn is the number of requests that are measured at a time: they take a millisecond or two.
const turn = 500

// guarded measures requests in turns with those of the floor, and how much the heap has grown after
// them, compared with before. choose returns the visitor of each request, outside of the measured
// time.
func guarded(b *testing.B, before float64, choose func() *visitor) {
	plain := newVisitor(floor())
	var visitors [2][turn]*visitor
	for i := range visitors[0] {
		visitors[0][i] = plain
	}
	var spent [2]time.Duration
	for b.Loop() {
		for _, which := range [...]int{0, 1, 1, 0} {
			if which == 1 {
				for i := range visitors[1] {
					visitors[1][i] = choose()
				}
			}
			start := cpu()
			for i, v := range visitors[which] {
				if v.visit(); v.writer.status != http.StatusNoContent {
					b.Fatalf("request %d was answered with %d", i, v.writer.status)
				}
			}
			spent[which] += cpu() - start
		}
	}
	b.ReportMetric(float64(spent[1])/float64(spent[0]), growth.Floors)
	b.ReportMetric(max(0, settled()-before)/1e6, growth.Memory)
	runtime.KeepAlive(choose)
}

// settled is heap after two garbage collections, which empty pools.
func settled() float64 {
	heap()
	return heap()
}

// anybody is the handler behind a guard with many users.
func anybody(c *gin.Context) {
	if ginauth.CurrentUser(c) != nil {
		c.Status(http.StatusNoContent)
	}
}

// growUsers lets n users sign in and make one request each; then they make requests in random order.
// Their cookies are kept outside of the heap: they belong to the browsers, and would make the garbage
// collector run less often. A request's cookie is read before its time is measured, since it would
// just have come from the network.
func growUsers(b *testing.B, n int) {
	engine := gin.New()
	opts := ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{key}, Providers: []ginauth.Provider{corp()}, Logger: quiet()}
	auth := must(ginauth.Mount(engine, opts))
	guarding := app{handler: routes(engine, anybody, auth.RequireAuth())}
	who := 0
	engine.POST("/in", func(c *gin.Context) {
		u := adaUser()
		u.Subject = fmt.Sprintf("%021d", who)
		if err := auth.SignIn(c, u, nil); err != nil {
			panic(err)
		}
	})
	template, w := newRequest("https://app.example.com/in"), writer{header: http.Header{}}
	template.Method = http.MethodPost
	visitors, next := [turn]*visitor{}, 0
	for i := range visitors {
		visitors[i] = newVisitor(guarding)
		visitors[i].writer = visitors[0].writer // otherwise 500 responses would be kept
	}
	var cookies []byte
	length := 0
	before := settled()
	for who = range n {
		clear(w.header)
		r := *template
		engine.ServeHTTP(&w, &r)
		header := others + cookiesIn(w.header)
		if who == 0 {
			length = len(header)
			cookies = must(unix.Mmap(-1, 0, n*length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE))
			defer func() { _ = unix.Munmap(cookies) }()
		}
		if copy(cookies[who*length:], header) != length {
			b.Fatal("a cookie is longer than the first one")
		}
	}
	of := func(i int) *visitor {
		v := visitors[next%turn]
		next++
		header := cookies[i*length : (i+1)*length]
		touched += sum(header)
		v.template.Header["Cookie"][0] = unsafe.String(&header[0], length)
		return v
	}
	for i := range n {
		if v := of(i); !v.visit() {
			b.Fatalf("user %d was answered with %d", i, v.writer.status)
		}
	}
	order := rand.New(rand.NewPCG(1, 2))
	guarded(b, before, func() *visitor { return of(order.IntN(n)) })
	runtime.KeepAlive(auth)
}

// touched prevents the compiler from omitting sum.
var touched int

func sum(b []byte) (n int) {
	for _, c := range b {
		n += int(c)
	}
	return n
}

// few is a number of users whose sessions nearly all fit into the cache.
const few = 100

// growMarks signs out n other users, whose revocations are remembered.
func growMarks(b *testing.B, n int) {
	c := newCrowd(nil)
	for _, v := range c.visitors[:few] {
		v.visit()
	}
	before := settled()
	for i := range n {
		if err := c.auth.LogoutEverywhere(b.Context(), fmt.Sprint(issuer, "#user", i)); err != nil {
			b.Fatal(err)
		}
	}
	order := rand.New(rand.NewPCG(1, 2))
	guarded(b, before, func() *visitor { return c.visitors[order.IntN(few)] })
	runtime.KeepAlive(c)
}

// growProviders configures n providers, and signs the user in with the last one.
func growProviders(b *testing.B, n int) {
	before := settled()
	var list []ginauth.Provider
	for i := range n {
		list = append(list, ginauth.Provider{Name: fmt.Sprint("p", i), Issuer: fmt.Sprintf("https://login%d.example.com", i), ClientID: clientID, ClientSecret: "secret"})
	}
	engine := gin.New()
	auth := must(ginauth.Mount(engine, ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{key}, Providers: list, Logger: quiet()}))
	a := app{handler: routes(engine, anybody, auth.RequireAuth())}
	u := adaUser()
	u.Provider = list[n-1].Name
	a.cookies, _ = signInOurs(auth, u)
	v := newVisitor(a)
	guarded(b, before, func() *visitor { return v })
	runtime.KeepAlive(auth)
}

// shift is how long a process works at a time.
const shift = 200 * time.Millisecond

// growProcesses measures the request rates of one process of an application and of two concurrent
// processes, each on one core. Each process makes its requests itself. Rates are per second of CPU
// time, since other programs run too: that includes what the processes take from each other, but not
// waiting for a core.
func growProcesses(b *testing.B, name string) {
	workers := []*child{spawn("worker " + name), spawn("worker " + name)}
	var rates [3]float64 // by the number of processes
	rounds := 0.0
	for b.Loop() {
		for _, n := range [...]int{1, 2, 2, 1} {
			for _, w := range workers[:n] {
				must(fmt.Fprintln(w.in))
			}
			for _, w := range workers[:n] {
				rates[n] += must(strconv.ParseFloat(w.line(), 64))
			}
		}
		rounds += 2
	}
	b.ReportMetric(rates[1]/rounds, growth.Single)
	b.ReportMetric(rates[2]/rounds, growth.Double)
	b.ReportMetric(rates[2]/rates[1], growth.Factors)
}

// workChild makes requests whenever it reads a line, and prints their number per second of CPU time.
func workChild(a app) {
	runtime.GOMAXPROCS(1)
	v := newVisitor(a)
	fmt.Print("\n\n") // no URL and no cookies
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		start, n := cpu(), 0
		for ; cpu()-start < shift; n += turn {
			for range turn {
				if !v.visit() {
					panic(v.writer.status)
				}
			}
		}
		fmt.Println(float64(n) / (cpu() - start).Seconds())
	}
}
