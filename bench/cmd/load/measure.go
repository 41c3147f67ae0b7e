package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ginauth/ginauth/bench/internal/report"
	"github.com/ginauth/ginauth/bench/internal/visit"
)

// Of 64 connections, half load pages as a signed-in user, a tenth
// sign in, and the others look at pages without signing in.
const (
	signedIn  = 32
	signingIn = 6
	anonymous = 26
	people    = 64 // who are signed in
)

const (
	entrance = "/login/oidc?return_to=/profile"
	name     = "Ada Lovelace" // is on every page that the right person gets
)

// lane is what one group of connections did.
type lane struct {
	rate     float64 // a second
	p50, p99 time.Duration
	wrong    int
}

// result is what came of a load.
type result struct {
	pages, others, signIns lane
	peak                   float64 // MB
}

var head = []string{"64 connections", "signed-in pages/s", "p50", "p99", "other pages/s", "p50", "p99", "sign-ins/s", "p50", "p99", "requests/s", "errors", "peak memory"}

func (r *result) wrong() int { return r.pages.wrong + r.others.wrong + r.signIns.wrong }

func (r *result) cells() []string {
	var cells []string
	for _, l := range []lane{r.pages, r.others, r.signIns} {
		cells = append(cells, report.Number(l.rate), milliseconds(l.p50), milliseconds(l.p99))
	}
	// A sign-in is three requests to the application: there, back, and the page.
	total := r.pages.rate + r.others.rate + 3*r.signIns.rate
	return append(cells, report.Number(total), fmt.Sprint(r.wrong()), report.Number(r.peak)+" MB")
}

func milliseconds(d time.Duration) string {
	return report.Number(float64(d)/float64(time.Millisecond)) + " ms"
}

// measure lets everybody loose at once.
func measure(dir, base string, length time.Duration) (*result, error) {
	cookies, err := signInSome(base)
	if err != nil {
		return nil, err
	}
	var r result
	var failed [3]error
	var all sync.WaitGroup
	all.Go(func() { r.pages, failed[0] = wrk(dir, base, length, signedIn, []string{"/profile"}, cookies, name) })
	all.Go(func() { r.others, failed[1] = wrk(dir, base, length, anonymous, []string{"/", "/style.css"}, nil, "") })
	all.Go(func() { r.signIns, failed[2] = keepSigningIn(base, length) })
	all.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, err
		}
	}
	return &r, nil
}

// signInSome returns the Cookie headers of people who are signed in.
func signInSome(base string) ([]string, error) {
	seat := visit.NewSeat()
	defer seat.Close()
	var all []string
	for range people {
		b, err := seat.Browser(base)
		if err != nil {
			return nil, err
		}
		if _, err := b.SignIn(entrance, name); err != nil {
			return nil, err
		}
		all = append(all, b.Cookies())
	}
	return all, nil
}

// keepSigningIn makes whole sign-ins, one after the other at each seat.
func keepSigningIn(base string, length time.Duration) (l lane, failed error) {
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	end := time.Now().Add(length)
	for range signingIn {
		all.Go(func() {
			seat := visit.NewSeat()
			defer seat.Close()
			for time.Now().Before(end) {
				start := time.Now()
				b, err := seat.Browser(base)
				if err == nil {
					_, err = b.SignIn(entrance, name)
				}
				mu.Lock()
				if err != nil {
					fmt.Fprintln(os.Stderr, "load:", err)
					l.wrong++
				} else {
					took = append(took, time.Since(start))
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(took) == 0 {
		return l, fmt.Errorf("no user has signed in")
	}
	slices.Sort(took)
	l.rate = float64(len(took)) / length.Seconds()
	l.p50, l.p99 = took[len(took)/2], took[len(took)*99/100]
	return l, nil
}

// script makes wrk ask for pages in turn, as one person after the other, and
// look at what it gets.
const script = `
local paths, cookies, want = {%s}, {%s}, %q
local n, threads = 0, {}
wrong = 0 -- global, so that done can read it
setup = function(thread) table.insert(threads, thread) end
request = function()
  n = n + 1
  local headers = {["Accept"] = "text/html"}
  if #cookies > 0 then headers["Cookie"] = cookies[n %% #cookies + 1] end
  return wrk.format("GET", paths[n %% #paths + 1], headers)
end
response = function(status, headers, body)
  if status ~= 200 or not string.find(body, want, 1, true) then wrong = wrong + 1 end
end
done = function()
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + thread:get("wrong") end
  print("wrong answers: " .. sum)
end
`

// wrk asks for pages with that many connections.
func wrk(dir, base string, length time.Duration, connections int, paths, cookies []string, want string) (l lane, err error) {
	file := filepath.Join(dir, fmt.Sprintf("%d.lua", connections))
	text := fmt.Sprintf(script, quoted(paths), quoted(cookies), want)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return l, err
	}
	seconds := max(int(length/time.Second), 1)
	out, err := exec.Command("wrk", "-t1", "-c", strconv.Itoa(connections), "-d", fmt.Sprintf("%ds", seconds), "--timeout", "10s", "--latency", "-s", file, base).CombinedOutput()
	if err != nil {
		return l, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return parse(string(out))
}

func quoted(texts []string) string {
	var all []string
	for _, text := range texts {
		all = append(all, strconv.Quote(text))
	}
	return strings.Join(all, ", ")
}

var (
	rateLine    = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	middleLine  = regexp.MustCompile(`(?m)^\s+50%\s+([\d.]+[a-z]+)`)
	slowLine    = regexp.MustCompile(`(?m)^\s+99%\s+([\d.]+[a-z]+)`)
	wrongLine   = regexp.MustCompile(`wrong answers: (\d+)`)
	socketsLine = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

// parse reads what wrk prints.
func parse(out string) (l lane, err error) {
	one := func(line *regexp.Regexp) string {
		m := line.FindStringSubmatch(out)
		if m == nil {
			err = fmt.Errorf("wrk printed no %s:\n%s", line, out)
			return "0"
		}
		return m[1]
	}
	l.rate, _ = strconv.ParseFloat(one(rateLine), 64)
	l.p50, _ = time.ParseDuration(one(middleLine))
	l.p99, _ = time.ParseDuration(one(slowLine))
	l.wrong, _ = strconv.Atoi(one(wrongLine))
	if m := socketsLine.FindStringSubmatch(out); m != nil {
		for _, text := range m[1:] {
			n, _ := strconv.Atoi(text)
			l.wrong += n
		}
	}
	return l, err
}

// freeAddress returns an address that is not in use.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
