package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/leaktest"
)

// TestTheExampleRuns does what a newcomer does: it starts the program as it is,
// opens the address that it prints, signs in as two people, and presses Ctrl-C.
func TestTheExampleRuns(t *testing.T) {
	base := runExample(t)
	b := authtest.NewBrowser()
	t.Cleanup(b.Close)
	leaktest.Of(t).Browser(b)
	page := must(t)

	home := page(b.Get(base))(http.StatusOK, "Nobody is signed in")
	people := page(b.ClickLink(home, "Sign in"))(http.StatusOK, "Ada Lovelace", "Grace Hopper")
	home = page(b.SubmitForm(people, "Ada Lovelace", nil))(http.StatusOK, "Hello, Ada Lovelace!")
	if got := home.URL.Scheme + "://" + home.URL.Host; got != base {
		t.Errorf("the sign-in ended at %s, not at %s", got, base)
	}
	profile := page(b.ClickLink(home, "Profile"))(http.StatusOK,
		"<h1>Ada Lovelace</h1>", "ada@example.com (verified)", "#ada</code>", // name, e-mail, key
		"&#34;email&#34;: &#34;ada@example.com&#34;", "&#34;sub&#34;: &#34;ada&#34;") // claims
	admin := page(b.ClickLink(profile, "Admin"))(http.StatusOK, "You see this page because")

	page(b.SubmitForm(admin, "Sign out", nil))(http.StatusOK, "Nobody is signed in")
	people = page(b.Get(base+"/profile"))(http.StatusOK, "Ada Lovelace", "Grace Hopper")
	profile = page(b.SubmitForm(people, "Grace Hopper", nil))(http.StatusOK, "<h1>Grace Hopper</h1>")
	if profile.URL.Path != "/profile" {
		t.Errorf("landed on %s, not on the page that was asked for", profile.URL)
	}
	page(b.ClickLink(profile, "Admin"))(http.StatusForbidden, "No access")
	page(b.ClickLink(profile, "Home"))(http.StatusOK, "Hello, Grace Hopper!")
}

// runExample builds and starts the example on a free port, and returns the
// address that it asks people to open. After the test it is interrupted, and
// has to end well.
func runExample(t *testing.T) string {
	t.Helper()
	watch := leaktest.Of(t)
	program := build(t)
	ctx, interrupt := context.WithCancel(context.Background())
	out := &output{base: make(chan string, 1)}
	watch.Log(out.String)
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "ADDR=localhost:0", "BASE_URL=", "SESSION_KEYS=",
		"GOOGLE_CLIENT_ID=", "GITHUB_CLIENT_ID=", "OIDC_ISSUER=")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second // then it is killed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // ProcessState tells
	}()
	t.Cleanup(func() {
		interrupt()
		<-ended
		if code := cmd.ProcessState.ExitCode(); code != 0 || t.Failed() {
			t.Errorf("the example ended with exit code %d and had printed:\n%s", code, out)
		}
	})
	select {
	case base := <-out.base:
		return base
	case <-ended:
		t.Fatal("the example ended by itself")
	case <-time.After(time.Minute):
		t.Fatal("the example did not say where it can be opened")
	}
	return ""
}

// build builds the example as it is.
func build(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "example.exe")
	if text, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return program
}

var opening = regexp.MustCompile(`(?m)^open (http://\S+)\n`)

// output collects what a program prints, and tells the address when it comes.
type output struct {
	base chan string

	mu   sync.Mutex
	text bytes.Buffer
	told bool
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if found := opening.FindSubmatch(o.text.Bytes()); found != nil && !o.told {
		o.told = true
		o.base <- string(found[1])
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
