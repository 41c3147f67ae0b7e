package browser

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// built is the example as a program.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ginauth-example")
	if err != nil {
		return "", err
	}
	started = append(started, &browser{stop: []func(){func() { _ = os.RemoveAll(dir) }}})
	program := filepath.Join(dir, "example")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./example")
	build.Dir = ".."
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./example: %w\n%s", err, text)
	}
	return program, nil
})

// startExample runs the example as a newcomer does, with nothing set but the
// environment given, and returns the address that it asks people to open.
func startExample(t *testing.T, env ...string) string {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(env, "ADDR=localhost:0", "PATH="+os.Getenv("PATH"))
	runner := &browser{}
	base, err := runner.run(cmd, regexp.MustCompile(`^open (http://\S+)`))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.close)
	return base
}

// provider waits for the page of the example's provider, and returns its
// address: another site than that of the example.
func (x *tab) provider() {
	x.t.Helper()
	x.until(func(p page) bool {
		return strings.HasPrefix(p.Address, "http://127.0.0.1:") && strings.Contains(p.Text, "Sign in to the ginauth example")
	}, "the example's provider")
}

// What `go run ./example` and the README promise.
func TestTheExample(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		base := startExample(t)
		x := b.open(t)
		x.get(base)
		x.at(base+"/", "Nobody is signed in")
		x.look("example home")
		x.click("page that only admins may see")
		x.provider()
		x.look("example provider")
		x.click("Grace Hopper")
		x.at(base+"/admin", "No access", "Grace Hopper is")
		x.look("example no access")
		x.click("Sign out")
		x.at(base+"/", "Nobody is signed in")

		x.get(base + "/admin")
		x.provider()
		x.click("Ada Lovelace")
		x.at(base+"/admin", "For admins")
		x.look("example admin")
		x.click("Profile")
		x.at(base+"/profile", "ada@example.com (verified)")
		var drawn bool
		if x.run(`document.images.length == 1 && document.images[0].naturalWidth > 0`, &drawn); !drawn {
			t.Error("Ada's picture is not there")
		}
		x.look("example profile")
		x.click("Home")
		x.at(base+"/", "Hello, Ada Lovelace!")
		x.look("example signed in")
		x.click("Sign out")
		x.at(base+"/", "Nobody is signed in")
	})
}

// With providers in the environment, the example has something to choose from.
func TestTheExampleWithSeveralProviders(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		base := startExample(t, "GOOGLE_CLIENT_ID=id", "GOOGLE_CLIENT_SECRET=secret", "GITHUB_CLIENT_ID=id", "GITHUB_CLIENT_SECRET=secret")
		x := b.open(t)
		x.get(base + "/profile")
		x.at(base+"/login", "Sign in with Google", "Sign in with GitHub")
		x.look("example choose")
		x.click("Demo provider")
		x.provider()
		x.click("Zoë Ångström")
		x.at(base+"/profile", "Zoë Ångström", "none")
	})
}
