package model

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth/internal/sitetest"
)

// step is one event in a world. Its numbers are taken modulo the current choices, so that a
// sequence remains valid when steps are dropped.
type step struct{ deed, a, b, c int }

// deeds are the possible events, and their frequency.
var deeds = []struct {
	weight int
	do     func(w *world, a, b, c int)
}{
	{14, (*world).signIn}, {6, (*world).begin}, {3, (*world).replay}, {3, (*world).tabs}, {8, (*world).deliver},
	{4, (*world).visit}, {2, (*world).stay}, {4, (*world).update}, {9, (*world).tick}, {4, (*world).logout},
	{4, (*world).backChannel}, {4, (*world).frontChannel}, {2, (*world).signOutEverywhere},
	{2, (*world).rotate}, {2, (*world).rotateProvider}, {3, (*world).trouble}, {4, (*world).steal},
	{4, (*world).keepCopy}, {4, (*world).restore}, {1, (*world).ban}, {4, (*world).setProviders},
	{4, (*world).credential}, {14, (*world).prove}, {6, (*world).follows}, {6, (*world).mood}, {2, (*world).password},
}

const machineSteps = 20 // in a sequence, on average

// TestStateMachine runs random events in random order, and compares every response with a model:
// the user on each device, the number of token requests, and the remaining cookies.
//
// GINAUTH_SEQUENCES is the number of sequences, of about twenty steps each, and GINAUTH_SEED
// their seed. Both have a default, so that a failure is caused by a change, not by chance.
func TestStateMachine(t *testing.T) {
	seed, sequences := fromEnvironment(t, "GINAUTH_SEED", 1), fromEnvironment(t, "GINAUTH_SEQUENCES", 300)
	homes := machineHomes(t)
	t.Logf("GINAUTH_SEED=%d GINAUTH_SEQUENCES=%d", seed, sequences)
	for _, home := range homes {
		t.Run(home.name, func(t *testing.T) {
			t.Parallel()
			steps := 0
			for n := range sequences/len(homes) + 1 {
				sequence := newSequence(rand.New(rand.NewPCG(uint64(seed), uint64(n))))
				steps += len(sequence)
				if err, _ := run(home, sequence); err != "" {
					t.Errorf("sequence %d of GINAUTH_SEED=%d, in %s: %s", n, seed, home.name, err)
					report(t, home, seed, n, sequence)
					return
				}
			}
			t.Logf("%d sequences, %d steps", sequences/len(homes)+1, steps)
		})
	}
}

func fromEnvironment(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		t.Fatalf("%s is %q, want a positive number", name, text)
	}
	return n
}

// machineHomes are the session stores that need no server.
func machineHomes(t *testing.T) []*machineHome {
	dir := filepath.Join(t.TempDir(), "sessions")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return []*machineHome{
		{name: "sealed cookies"},
		{name: "gin-contrib cookies", stored: true, open: func() ginsessions.Store { return cookie.NewStore(sitetest.StoreHashKey, sitetest.StoreBlockKey) }},
		{name: "memory", stored: true, server: true, open: func() ginsessions.Store { return memstore.NewStore(sitetest.StoreHashKey) }},
		{name: "files", stored: true, server: true, open: func() ginsessions.Store {
			return sitetest.FileStore{FilesystemStore: gorilla.NewFilesystemStore(dir, sitetest.StoreHashKey)}
		}},
	}
}

func newSequence(random *rand.Rand) (steps []step) {
	total := 0
	for _, d := range deeds {
		total += d.weight
	}
	for range 2 { // to begin with signed-in users: neither links or cancels
		steps = append(steps, step{0, random.IntN(1 << 16), random.IntN(1 << 16), 15 + random.IntN(3)})
	}
	for range machineSteps/2 + random.IntN(machineSteps) {
		n, i := random.IntN(total), 0
		for n -= deeds[0].weight; n >= 0; n -= deeds[i].weight {
			i++
		}
		steps = append(steps, step{i, random.IntN(1 << 16), random.IntN(1 << 16), random.IntN(1 << 16)})
	}
	return steps
}

// run creates a world and runs the steps in it, and checks all devices after each step, and
// every kept copy at the end. It returns the failure, or "", and a log of the events.
func run(home *machineHome, steps []step) (wrong string, trace []string) {
	w := newWorld(home)
	defer func() {
		w.close()
		trace = w.trace
		if r := recover(); r != nil {
			wrong = fmt.Sprint(r)
		}
	}()
	for _, s := range steps {
		deeds[s.deed].do(w, s.a, s.b, s.c)
		for _, d := range w.devices {
			w.look(d, false)
		}
		w.spendOnce()
	}
	w.trouble(0, 0, 0)
	for n := range w.shelf {
		w.restore(0, n, 0)
		w.look(w.devices[0], false)
	}
	return "", nil
}

// spendOnce checks that each attempt causes at most one token request.
func (w *world) spendOnce() {
	for challenge, n := range w.asked {
		if n > 1 {
			w.fail("the token endpoint was asked %d times for the attempt with the challenge %s", n, challenge)
		}
	}
}

// report shortens a failing sequence as long as it fails, and prints how to repeat it.
func report(t *testing.T, home *machineHome, seed, n int, steps []step) {
	t.Helper()
	for size := len(steps) / 2; size > 0; size /= 2 {
		for i := 0; i+size <= len(steps); {
			fewer := slices.Delete(slices.Clone(steps), i, i+size)
			if wrong, _ := run(home, fewer); wrong != "" {
				steps = fewer
			} else {
				i += size
			}
		}
	}
	wrong, trace := run(home, steps)
	t.Errorf("sequence %d of GINAUTH_SEED=%d, in %s, comes down to\n\t%s\n%s", n, seed, home.name, strings.Join(trace, "\n\t"), wrong)
}
