// Command load puts the example under load, and the same pages without ginauth,
// and writes what came of it into docs/performance-tables.md. It needs wrk, and a Redis
// server: see run.sh.
//
//	./run.sh load             # 60 s for each application
//	./run.sh load -time 5s    # to try it; prints, and writes nothing
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/bench/internal/report"
	"github.com/ginauth/ginauth/bench/internal/visit"
)

const usual = time.Minute

// application is one of those that are put under load.
type application struct {
	title  string
	binary string
	env    []string
}

func main() {
	length := flag.Duration("time", usual, "how long each application is under load")
	keep := flag.Bool("write", false, "write what came of it into the page even if it was shorter than usual")
	flag.Parse()
	if err := run(*length, *keep || *length >= usual); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(length time.Duration, keep bool) error {
	redis := os.Getenv("GINAUTH_REDIS")
	if redis == "" {
		return fmt.Errorf("GINAUTH_REDIS is not set: there is no server; see run.sh")
	}
	dir, err := os.MkdirTemp("", "ginauth-load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	example, classic := filepath.Join(dir, "example"), filepath.Join(dir, "classic")
	if err := build("..", example, "./example"); err != nil {
		return err
	}
	if err := build(".", classic, "./cmd/load/classic"); err != nil {
		return err
	}
	busy := report.Busy()
	var rows [][]string
	wrong := 0
	for _, a := range []application{
		{"**ginauth**, sealed cookie", example, nil},
		{"**ginauth**, revocations in Redis", example, []string{"REDIS_ADDR=" + redis}},
		{"gin-contrib/sessions and gothic", classic, nil},
	} {
		r, err := a.load(dir, length)
		if err != nil {
			return fmt.Errorf("%s: %w", a.title, err)
		}
		rows = append(rows, append([]string{a.title}, r.cells()...))
		wrong += r.wrong()
	}
	text := fmt.Sprintf("%s for each, on %s; %s.\n\n%s", length, report.Machine(), busy, report.Table(head, rows))
	fmt.Print(text)
	if wrong > 0 {
		return fmt.Errorf("%d answers were wrong", wrong)
	}
	if !keep {
		return nil
	}
	return report.Replace(report.Load, "load", text)
}

// build makes a program, in the module that dir is in.
func build(dir, out, pkg string) error {
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// load starts the application, with a provider in this process, and measures.
func (a *application) load(dir string, length time.Duration) (*result, error) {
	provider, err := authtest.Start(authtest.Config{})
	if err != nil {
		return nil, err
	}
	defer provider.Close()
	provider.SignInAs("ada")
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(a.binary)
	cmd.Stderr = os.Stderr
	if strings.HasSuffix(a.binary, "example") {
		cmd.Stderr = nil // its log is part of what it does
	}
	pages, err := filepath.Abs("../example")
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), append(a.env, "ADDR="+addr, "PAGES="+pages, "SESSION_KEYS=a key of 32 bytes: for measuring.",
		"OIDC_ISSUER="+provider.Issuer, "OIDC_CLIENT_ID="+provider.ClientID, "OIDC_CLIENT_SECRET="+provider.ClientSecret)...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}()
	base := "http://" + addr
	if err := visit.Await(base); err != nil {
		return nil, err
	}
	r, err := measure(dir, base, length)
	if err != nil {
		return nil, err
	}
	r.peak, err = visit.Peak(cmd.Process.Pid)
	return r, err
}
