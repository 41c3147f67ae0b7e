package bench_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

// childEnv gives this binary another role than running tests: a server or a provider, whose CPU time
// must not be counted with that of the client, or the list of all measurements.
const childEnv = "GINAUTH_BENCH_CHILD"

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	role, argument, _ := strings.Cut(os.Getenv(childEnv), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "list":
		for _, c := range catalogue() {
			fmt.Printf("%s\t%s\n", c.name, c.title)
		}
	case "provider":
		serveChild(newProvider(), "")
	case "server":
		a := find(argument).setup()
		if a.cookies == "" { // Gin alone gets the same request
			a.cookies = find("ours").setup().cookies
		}
		serveChild(a.handler, others+a.cookies)
	case "worker":
		workChild(find(argument).setup())
	default:
		fmt.Fprintln(os.Stderr, "unknown role:", role)
		os.Exit(2)
	}
}

// must is for setup, where an error ends the process.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// child is another process of this binary.
type child struct {
	url     string
	cookies string
	in      io.Writer
	out     *bufio.Reader
}

// spawn starts a child. It ends with this process, which closes its input.
func spawn(role string) *child {
	cmd := exec.Command(must(os.Executable()))
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	cmd.Stderr = os.Stderr
	c := &child{in: must(cmd.StdinPipe()), out: bufio.NewReader(must(cmd.StdoutPipe()))}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	c.url, c.cookies = c.line(), c.line()
	return c
}

func (c *child) line() string { return strings.TrimSuffix(must(c.out.ReadString('\n')), "\n") }

// cpu returns the CPU time that the child has used.
func (c *child) cpu() time.Duration {
	must(fmt.Fprintln(c.in))
	return time.Duration(must(strconv.ParseInt(c.line(), 10, 64)))
}

// cpu returns the CPU time that all threads of this process have used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
