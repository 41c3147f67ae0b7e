// Command soak lets people sign in and out of an application for ten minutes,
// on a clock that is twenty times as fast, so that every lifetime passes many
// times over, and watches its memory and its goroutines. What came of it goes
// into docs/performance-tables.md.
//
//	./run.sh soak                        # ten minutes
//	./run.sh soak -time 10s              # to try it; prints, and writes nothing
//	./run.sh soak -time 60s -speed 100   # as much time as in five minutes
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/bench/internal/report"
	"github.com/ginauth/ginauth/bench/internal/visit"
)

const (
	usual    = 10 * time.Minute
	visitors = 8 // at a time
	samples  = 40
)

func main() {
	if role := os.Getenv(roleEnv); role != "" {
		if err := serve(role); err != nil {
			fmt.Fprintln(os.Stderr, "soak: the application:", err)
			os.Exit(1)
		}
		return
	}
	length := flag.Duration("time", usual, "how long")
	speed := flag.Int("speed", 20, "how many seconds the clock goes in one")
	keep := flag.Bool("write", false, "write what came of it into the page even if it was shorter than usual")
	flag.Parse()
	if err := run(*length, *speed, *keep || *length >= usual); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// clock goes faster than others, in two processes alike.
type clock struct {
	began time.Time
	speed int
}

func (c clock) now() time.Time {
	return c.began.Add(time.Since(c.began) * time.Duration(c.speed))
}

func run(length time.Duration, speed int, keep bool) error {
	c := clock{time.Now().Round(0).Truncate(time.Second), speed}
	provider, err := authtest.Start(authtest.Config{Now: c.now})
	if err != nil {
		return err
	}
	defer provider.Close()
	provider.SignInAs("ada")
	base, stop, err := start(provider, c)
	if err != nil {
		return err
	}
	defer stop()
	busy := report.Busy()
	work := &work{base: base, provider: provider, clock: c, end: time.Now().Add(length)}
	var all sync.WaitGroup
	for i := range visitors {
		all.Go(func() { work.keepOn(i) })
	}
	watched, err := watch(base, length)
	all.Wait()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s on a clock that is %d times as fast; %s; %s.\n\n%s\n\n%s", length, speed, report.Machine(), busy, work, watched.table(length, speed))
	fmt.Print(text)
	if err := work.verdict(); err != nil {
		return err
	}
	if !keep {
		return nil
	}
	if err := watched.flat(); err != nil {
		return err
	}
	return report.Replace(report.Load, "soak", text)
}

// start starts the application, and returns where it is.
func start(provider *authtest.Provider, c clock) (base string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(self)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %d %d", roleEnv, provider.Issuer, provider.ClientID, provider.ClientSecret, c.began.UnixNano(), c.speed))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("the application did not start: %w", err)
	}
	base = strings.TrimSpace(line)
	return base, stop, visit.Await(base)
}
