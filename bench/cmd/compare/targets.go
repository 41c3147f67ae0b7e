package main

import (
	"fmt"
	"math"
	"slices"
)

// quantity is a number that is made of what a round measured.
type quantity func(get func(name, unit string) float64) float64

// target is what a quantity is to be.
type target struct {
	name  string
	of    quantity
	most  float64 // 0: no such limit
	least float64
	unit  string

	// guard is the ratio that is compared with the baseline, where of is a time,
	// of one machine or disturbed by what else runs. Default: of.
	guard quantity
	count bool // it does not depend on the machine at all: no room for noise
}

// spent is the CPU time of a request; what waits for Redis is a time.
func spent(name string) quantity {
	return func(get func(string, string) float64) float64 { return get("Request/"+name, "cpu-ns/op") }
}

func wall(name string) quantity {
	return func(get func(string, string) float64) float64 { return get("Request/"+name, "ns/op") }
}

func of(name, unit string) quantity {
	return func(get func(string, string) float64) float64 { return get(name, unit) }
}

func ratio(over, under quantity) quantity {
	return func(get func(string, string) float64) float64 { return over(get) / under(get) }
}

func scaled(q quantity, by float64) quantity {
	return func(get func(string, string) float64) float64 { return q(get) * by }
}

// fastest is the least of several.
func fastest(all ...quantity) quantity {
	return func(get func(string, string) float64) float64 {
		least := math.Inf(1)
		for _, q := range all {
			least = min(least, q(get))
		}
		return least
	}
}

// slope is what a KB more in the session costs: through the sizes that fit into
// cookies, by least squares.
func slope(get func(string, string) float64) float64 {
	names := []string{"ours", "ours-1k", "ours-2k", "ours-3k", "ours-4k", "ours-5k"}
	var sx, sy, sxx, sxy float64
	for i, name := range names {
		x, y := float64(i), spent(name)(get)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	n := float64(len(names))
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

// speedup is how much more gets done on two cores than on one. Told by CPU time
// it does not see who waits for a lock, and is not disturbed by other programs.
func speedup(name, unit string) quantity {
	faster := ratio(of("Parallel/"+name+"@1", unit), of("Parallel/"+name+"@2", unit))
	if unit == "cpu-ns/op" {
		return scaled(faster, 2)
	}
	return faster
}

var (
	floorTime = spent("floor")
	ourTime   = spent("ours")
	finish    = of("SignIn/ours", "finish-cpu-ns")
	lookup    = of("Revocations", "look-up-ns")
)

// targets are what this package is held to. Times are shown and not judged:
// machines differ. What is judged are ratios inside one run, and counts.
var targets = []target{
	{name: "`RequireAuth`, against the floor", of: ratio(ourTime, floorTime), most: 3.2, unit: "×"},
	{name: "`RequireAuth`, against the limit", of: ratio(ourTime, spent("limit")), most: 1.2, unit: "×"},
	{name: "gin-contrib's cookie store, the fastest of four, against it", unit: "×", least: 18,
		of: ratio(fastest(spent("contrib-hmac-gob"), spent("contrib-hmac-json"), spent("contrib-aes-gob"), spent("contrib-aes-json")), ourTime)},
	{name: "scs, the faster of two, against it", of: ratio(fastest(spent("scs-gob"), spent("scs-json")), ourTime), least: 15, unit: "×"},
	{name: "a JWT cookie against it", of: ratio(spent("jwt"), ourTime), least: 9, unit: "×"},
	{name: "gothic, when it identifies the user, against it", of: ratio(spent("gothic-user"), ourTime), least: 50, unit: "×"},
	{name: "go-oidc at every request, RS256 or ES256, against it", of: ratio(fastest(spent("oidc-rs256"), spent("oidc-es256")), ourTime), least: 55, unit: "×"},
	{name: "over a socket, the server's CPU against Gin's alone", unit: "×", most: 1.15,
		of: ratio(of("Socket/ours-1c", "server-cpu-ns/op"), of("Socket/bare-1c", "server-cpu-ns/op"))},
	{name: "sessions in memstore, against gin-contrib's middleware", of: ratio(spent("ours-memstore"), spent("contrib-memstore-json")), most: 1, unit: "×"},
	{name: "sessions in Redis, against gin-contrib's middleware, in time", of: ratio(wall("ours-redis"), wall("contrib-redis-json")), most: 1, unit: "×",
		guard: ratio(spent("ours-redis"), spent("contrib-redis-json"))},
	{name: "a further KB in the session", of: scaled(slope, 1e-3), most: 0.5, unit: "µs", guard: ratio(slope, floorTime)},
	{name: "five sign-ins in progress, against none", of: of("Beside/attempts", "times"), most: 1.1, unit: "×"},
	{name: "an `Authenticate` that returns no user, against no hook", of: of("Beside/authenticate", "times"), most: 1.02, unit: "×"},
	{name: "`MaxAge` and `ACR`, against a guard without checks", of: of("Beside/step-up", "times"), most: 1.02, unit: "×"},
	{name: "revocations in Redis, against revocations in memory", of: of("Beside/shared", "times"), most: 1.5, unit: "×"},
	{name: "revocations in Redis beside sessions there, against sessions alone", unit: "×", most: 1.05,
		of: of("Beside/shared-stored", "times-waited"), guard: of("Beside/shared-stored", "times")},
	{name: "`Set-Cookie` of the user", of: of("Request/ours", "set-cookie-B"), most: 600, unit: "bytes", count: true},
	{name: "two cores against one", of: speedup("ours", "ns/op"), least: 1.75, unit: "×", guard: speedup("ours", "cpu-ns/op")},
	{name: "`/login/:provider`", of: scaled(of("SignIn/ours", "begin-cpu-ns"), 1e-3), most: 5, unit: "µs",
		guard: ratio(of("SignIn/ours", "begin-cpu-ns"), of("SignIn/limit-1", "finish-cpu-ns"))},
	{name: "`/login/:provider`, allocations", of: of("SignIn/ours", "begin-allocs"), most: 16, count: true},
	{name: "the callback, against its limit", of: ratio(finish, of("SignIn/limit-1", "finish-cpu-ns")), most: 1.7, unit: "×"},
	{name: "the callback with userinfo, against its limit", unit: "×", most: 1.7,
		of: ratio(of("SignIn/ours-userinfo", "finish-cpu-ns"), of("SignIn/limit-2", "finish-cpu-ns"))},
	{name: "the callback, allocations", of: of("SignIn/ours", "finish-allocs"), most: 280, count: true},
	{name: "one of 500 providers, against the only one", of: ratio(of("SignIn/ours-500", "finish-cpu-ns"), finish), most: 1.05, unit: "×"},
	{name: "sign-ins a second, against goth", of: ratio(of("SignIn/ours", "sign-ins/cpu-s"), of("SignIn/goth", "sign-ins/cpu-s")), least: 4, unit: "×"},
	{name: "sign-ins a second with userinfo, against goth", unit: "×", least: 3,
		of: ratio(of("SignIn/ours-userinfo", "sign-ins/cpu-s"), of("SignIn/goth-userinfo", "sign-ins/cpu-s"))},
	{name: "`Auth.Client` with a valid token, against a client with a header", of: of("Tokens/client", "times"), most: 1.05, unit: "×"},
	{name: "a refresh, against one verification and one round trip, in time", of: of("Tokens/refresh", "times-waited"), most: 1.4, unit: "×"},
	{name: "a refresh, against one verification and one round trip, in CPU of this process", of: of("Tokens/refresh", "times"), most: 2.2, unit: "×"},
	{name: "an access token seen before, against the cookie", of: of("Bearer/seen", "times"), most: 1.15, unit: "×"},
	{name: "an access token that comes first, against its signature, ES256", of: of("Bearer/first-es256", "times"), most: 1.3, unit: "×"},
	{name: "… EdDSA", of: of("Bearer/first-eddsa", "times"), most: 1.3, unit: "×"},
	{name: "… RS256, whose signature takes 20 µs", of: of("Bearer/first-rs256", "times"), most: 1.3, unit: "×"},
	{name: "a revocation in memory, of a million", of: of("Revocations", "B/mark"), most: 100, unit: "bytes", count: true},
	{name: "looking up one of a request's four, among a million", of: scaled(lookup, 1.0/4), most: 150, unit: "ns", guard: ratio(lookup, floorTime)},
	{name: "cleaning a million away, the slowest call", of: scaled(of("Revocations", "cleaning-ns"), 1e-6), most: 1, unit: "ms",
		guard: ratio(of("Revocations", "cleaning-ns"), floorTime)},
}

// judged is the number that a check looks at.
func (t *target) judged() quantity {
	if t.guard != nil {
		return t.guard
	}
	return t.of
}

// met says whether a value is as it should be.
func (t *target) met(v float64) bool {
	return (t.most == 0 || v <= t.most) && v >= t.least
}

// wanted is the target in words.
func (t *target) wanted() string {
	if t.most != 0 {
		return fmt.Sprintf("≤ %v %s", t.most, t.unit)
	}
	return fmt.Sprintf("≥ %v %s", t.least, t.unit)
}

// needs are the benchmarks that targets are made of, in the order in which
// they are named.
func needs(list []target) (names []string) {
	note := func(name, _ string) float64 {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		return 1
	}
	for _, t := range list {
		t.of(note)
		t.judged()(note)
	}
	return names
}
