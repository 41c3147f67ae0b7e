package doctest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// address is where the programs of the pages listen. Here each gets a different port.
const address = "localhost:8080"

// Built is a binary that contains several programs: linking each separately would take longer than
// everything else.
type Built struct {
	binary string
	ports  map[*Program]string
}

var (
	packageLine = regexp.MustCompile(`(?m)^package main$`)
	mainLine    = regexp.MustCompile(`(?m)^func main\(\) \{`)
)

// Build compiles programs of the root module.
func Build(t testing.TB, root string, programs []*Program) *Built {
	t.Helper()
	m := NewModule(t, root, "")
	b := &Built{binary: filepath.Join(m.dir, "programs.exe"), ports: map[*Program]string{}}
	var imports, cases strings.Builder
	for i, p := range programs {
		name := fmt.Sprintf("p%d", i)
		fmt.Fprintf(&imports, "import %s \"docs/%s\"\n", name, p.Name)
		fmt.Fprintf(&cases, "\tcase %q:\n\t\t%s.Main()\n", p.Name, name)
		b.ports[p] = freePort(t)
		for file, text := range p.Files {
			text = mainLine.ReplaceAllString(packageLine.ReplaceAllString(text, "package "+name), "func Main() {")
			m.write(p.Name+"/"+file, b.here(p, text))
		}
	}
	m.write("main.go", "package main\n\nimport \"os\"\n"+imports.String()+"\nfunc main() {\n\tswitch os.Getenv(\"DOCTEST_PROGRAM\") {\n"+cases.String()+"\t}\n}\n")
	if out, err := m.Go("build", "-o", b.binary, "."); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return b
}

// here replaces the page's address in a text with that of the running program; there does the
// reverse.
func (b *Built) here(p *Program, text string) string {
	return strings.ReplaceAll(text, address, "localhost:"+b.ports[p])
}

func (b *Built) there(p *Program, text string) string {
	return strings.ReplaceAll(text, "localhost:"+b.ports[p], address)
}

// freePort returns an unused port, below those that the system gives out, so that it is still
// unused when the program starts.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprint(20000 + rand.IntN(10000))
		if l, err := net.Listen("tcp", "localhost:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// Running is a running program.
type Running struct {
	URL   string // where it listens
	Out   func() string
	ended chan struct{}
	code  func() int
}

// Start starts a program with additional environment variables ("NAME=value"). It ends with the test.
func (b *Built) Start(t testing.TB, p *Program, variables ...string) *Running {
	t.Helper()
	out := &output{}
	cmd := exec.CommandContext(t.Context(), b.binary)
	cmd.Env = append(append(os.Environ(), "DOCTEST_PROGRAM="+p.Name, "GIN_MODE=", "PORT="), variables...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, filepath.Join(filepath.Dir(b.binary), p.Name)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &Running{URL: "http://localhost:" + b.ports[p], Out: func() string { return b.there(p, out.String()) }, ended: make(chan struct{}),
		code: func() int { return cmd.ProcessState.ExitCode() }}
	go func() {
		defer close(r.ended)
		_ = cmd.Wait() // ProcessState has the result
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-r.ended
	})
	return r
}

// Listens waits until the program listens.
func (r *Running) Listens() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for patience := time.After(time.Minute); ; {
		select {
		case <-r.ended:
			return fmt.Errorf("the program exited: %s", r.Out())
		case <-patience:
			return errors.New("the program does not listen after a minute")
		case <-tick.C:
			if c, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://")); err == nil {
				return c.Close()
			}
		}
	}
}

// output collects what a program prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
