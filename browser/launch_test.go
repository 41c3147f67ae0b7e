package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a browser gets for anything it does. Starting takes
// seconds, but on a busy machine Firefox waits for a quiet moment first.
const patience = 2 * time.Minute

// appHost is the name that an application on the internet has in these tests.
const appHost = "app.example.test"

// privateHost is the name of one in a private network, which browsers do not trust as
// they do loopback.
const privateHost = "app.internal"

// browser is a running browser. All tests of a run share it, each in a user
// context of its own: no cookie, no cache and no history is seen by two.
type browser struct {
	name   string
	remote *remote
	stop   []func() // the last one first
	chrome bool     // knows the commands of Chromium's own protocol

	mu   sync.Mutex
	tabs map[string]*tab // by what the browser calls them
}

var (
	chromium = sync.OnceValues(startChromium)
	firefox  = sync.OnceValues(startFirefox)
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, b := range started {
		b.close()
	}
	os.Exit(code)
}

// started are the browsers that TestMain has to end.
var started []*browser

// each runs a test in every browser.
func each(t *testing.T, test func(t *testing.T, b *browser)) {
	t.Run("chromium", func(t *testing.T) { test(t, running(t, chromium)) })
	t.Run("firefox", func(t *testing.T) { test(t, running(t, firefox)) })
}

func running(t *testing.T, start func() (*browser, error)) *browser {
	t.Helper()
	b, err := start()
	if err != nil {
		t.Fatalf("%v\nThese tests need Chromium, its driver and Firefox: ./browsers.sh run go test ./... installs them (Debian's packages chromium, chromium-driver and firefox-esr)", err)
	}
	return b
}

func program(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no program %q", names)
}

// startChromium goes through chromedriver, which speaks BiDi for it.
func startChromium() (*browser, error) {
	b := &browser{name: "chromium", chrome: true, tabs: map[string]*tab{}}
	chrome, err := program("chromium", "chromium-browser", "google-chrome")
	if err != nil {
		return nil, err
	}
	driver, err := program("chromedriver")
	if err != nil {
		return nil, err
	}
	dir, err := b.directory()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(driver, "--port=0")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir) // where it leaves a lot behind
	port, err := b.run(cmd, regexp.MustCompile(`started successfully on port (\d+)`))
	if err != nil {
		return nil, err
	}
	arguments := []string{"--headless=new", "--hide-scrollbars", "--disable-gpu", "--no-first-run",
		"--host-resolver-rules=MAP " + appHost + " 127.0.0.1, MAP " + privateHost + " 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"}
	if os.Getuid() == 0 {
		arguments = append(arguments, "--no-sandbox") // Chromium refuses to be root with it
	}
	socket, err := newSession("http://127.0.0.1:"+port, args{
		"browserName": "chrome", "acceptInsecureCerts": true, "webSocketUrl": true,
		"goog:chromeOptions": args{"binary": chrome, "args": arguments},
	})
	if err == nil {
		err = b.connect(socket)
	}
	if err == nil {
		err = b.subscribe()
	}
	if err != nil {
		b.close()
		return nil, err
	}
	started = append(started, b)
	return b, nil
}

// newSession asks a driver for a browser and returns where BiDi is spoken.
func newSession(driver string, want args) (socket string, err error) {
	body, err := json.Marshal(args{"capabilities": args{"alwaysMatch": want}})
	if err != nil {
		return "", err
	}
	client := &http.Client{Timeout: patience}
	response, err := client.Post(driver+"/session", "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Value struct {
			Message      string
			Capabilities struct{ WebSocketURL string }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", err
	}
	if answer.Value.Capabilities.WebSocketURL == "" {
		return "", errors.New("no session: " + answer.Value.Message)
	}
	return answer.Value.Capabilities.WebSocketURL, nil
}

// preferences of Firefox: nothing is asked for at its start, and the test's
// name leads to loopback.
const preferences = `
user_pref("network.dns.localDomains", "` + appHost + "," + privateHost + `");
user_pref("network.dns.native-is-localhost", true);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.normandy.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("messaging-system.rsexperimentloader.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.startup.page", 0);
`

func startFirefox() (*browser, error) {
	b := &browser{name: "firefox", tabs: map[string]*tab{}}
	fox, err := program("firefox-esr", "firefox")
	if err != nil {
		return nil, err
	}
	profile, err := b.directory()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(preferences), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(fox, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0")
	socket, err := b.run(cmd, regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)`))
	if err == nil {
		err = b.connect(socket + "/session")
	}
	if err == nil {
		err = b.call("session.new", args{"capabilities": args{"alwaysMatch": args{"acceptInsecureCerts": true}}}, nil)
	}
	if err == nil {
		err = b.subscribe()
	}
	if err != nil {
		b.close()
		return nil, err
	}
	started = append(started, b)
	return b, nil
}

// directory is for what the browser writes, and gone when it ends.
func (b *browser) directory() (string, error) {
	dir, err := os.MkdirTemp("", "ginauth-"+b.name)
	b.stop = append(b.stop, func() { _ = os.RemoveAll(dir) })
	return dir, err
}

// run starts a program, in a group of its own so that nothing of it is left
// behind, and waits for what it says about itself.
func (b *browser) run(cmd *exec.Cmd, says *regexp.Regexp) (string, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return "", err
	}
	cmd.Stdout, cmd.Stderr = in, in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		return "", err
	}
	b.stop = append(b.stop, func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		timer := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_ = cmd.Wait()
		timer.Stop()
	})
	found := make(chan string, 1)
	go func() {
		var text strings.Builder
		defer close(found)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			text.WriteString(lines.Text() + "\n")
			if match := says.FindStringSubmatch(lines.Text()); match != nil {
				found <- match[1]
				_, _ = io.Copy(io.Discard, out)
				return
			}
		}
		found <- ""
	}()
	select {
	case what := <-found:
		if what != "" {
			return what, nil
		}
	case <-time.After(patience):
	}
	b.close()
	return "", fmt.Errorf("%s did not start", cmd.Path)
}

func (b *browser) connect(socket string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b.remote, err = dial(ctx, socket, b.event)
	return err
}

func (b *browser) call(method string, params args, result any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return b.remote.call(ctx, method, params, result)
}

// close ends the browser, by asking it first: then it writes nothing any more.
func (b *browser) close() {
	if b.remote != nil {
		_ = b.call("browser.close", nil, nil)
		select {
		case <-b.remote.ended:
		case <-time.After(5 * time.Second):
		}
	}
	for len(b.stop) > 0 {
		last := b.stop[len(b.stop)-1]
		b.stop = b.stop[:len(b.stop)-1]
		last()
	}
}
