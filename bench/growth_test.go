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

// turn is how many requests are measured in one go: they take a millisecond or two.
const turn = 500

// guarded measures requests in turns with the floor's, and what is in the heap after them,
// beyond before. Choose makes the visitor of each of them beforehand.
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

// settled is heap, without what pools keep until the collection after the next.
func settled() float64 {
	heap()
	return heap()
}

// anybody is the handler behind a guard that lets many people in.
func anybody(c *gin.Context) {
	if ginauth.CurrentUser(c) != nil {
		c.Status(http.StatusNoContent)
	}
}

// growUsers lets n people sign in, and each make a request; then they make requests in
// random order. Their cookies are outside of the heap: they are the browsers', and would make
// the garbage collector run less often. A request's is looked at before its time is taken,
// as it would just have come from the network.
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
		visitors[i].writer = visitors[0].writer // 500 answers would be kept otherwise
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

// touched keeps the compiler from leaving sum out.
var touched int

func sum(b []byte) (n int) {
	for _, c := range b {
		n += int(c)
	}
	return n
}

// few are so few people that nearly all of their sessions are in the cache together.
const few = 100

// growMarks signs n others out, who are remembered.
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

// growProviders has n providers, the last of which has signed the user in.
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

// shift is for how long a process works at a time.
const shift = 200 * time.Millisecond

// growProcesses lets one process of an application answer requests, which it makes itself,
// and two at a time, each on one core. Seconds are those of CPU time, since other programs
// run too: what two processes take from each other is in them, waiting for a core is not.
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

// workChild works whenever a line comes in, and prints how many requests it made in a second
// of CPU time.
func workChild(a app) {
	runtime.GOMAXPROCS(1)
	v := newVisitor(a)
	fmt.Print("\n\n") // no address, and no cookies
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
