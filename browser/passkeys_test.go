package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// startProgram builds a program of another module and runs it; it says which address to
// open, and reads what is written to in.
func startProgram(t *testing.T, module, name string) (base string, in io.Writer) {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./"+name)
	build.Dir = filepath.Join("..", module)
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./%s: %v\n%s", name, err, text)
	}
	cmd := exec.Command(program)
	cmd.Env = []string{"ADDR=localhost:0", "PATH=" + os.Getenv("PATH"), "GIN_MODE=release"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	runner := &browser{}
	base, err = runner.run(cmd, regexp.MustCompile(`^open (http://\S+)`))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.close)
	return base, in
}

// authenticator is a virtual one, of a tab, which Chromium has in its own protocol
// alone. It keeps passkeys, and says that its user is there, and who they are.
type authenticator struct {
	x           *tab
	session, id string
}

func (x *tab) authenticator() *authenticator {
	x.t.Helper()
	var own struct{ Session string }
	x.call("goog:cdp.getSession", args{}, &own)
	a := &authenticator{x: x, session: own.Session}
	a.command("WebAuthn.enable", args{}, nil)
	var made struct{ AuthenticatorID string }
	a.command("WebAuthn.addVirtualAuthenticator", args{"options": args{
		"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
		"isUserVerified": true, "automaticPresenceSimulation": true,
	}}, &made)
	a.id = made.AuthenticatorID
	return a
}

func (a *authenticator) command(method string, params args, result any) {
	a.x.t.Helper()
	var answer struct{ Result json.RawMessage }
	a.x.must("goog:cdp.sendCommand", args{"method": method, "params": params, "session": a.session}, &answer)
	if result == nil {
		return
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		a.x.t.Fatalf("%s: %v", method, err)
	}
}

// verifies sets whether the authenticator knows its user.
func (a *authenticator) verifies(known bool) {
	a.x.t.Helper()
	a.command("WebAuthn.setUserVerified", args{"authenticatorId": a.id, "isUserVerified": known}, nil)
}

// count returns how many passkeys the authenticator has.
func (a *authenticator) count() int {
	a.x.t.Helper()
	var list struct{ Credentials []json.RawMessage }
	a.command("WebAuthn.getCredentials", args{"authenticatorId": a.id}, &list)
	return len(list.Credentials)
}

// The recipe for passkeys: make an account, sign out, sign in with the passkey, and
// come back to where the guard has sent one from.
func TestPasskeys(t *testing.T) {
	b := running(t, chromium)
	base, _ := startProgram(t, "recipes", "passkeys")
	x := b.open(t)
	keys := x.authenticator()
	x.get(base + "/?from=here")
	x.at(base+"/login", "Sign in with a passkey", "Sign in with demo")
	x.click("a passkey")
	x.at(base+"/passkey", "Make an account")

	x.point("Sign in with a passkey") // there is none yet
	x.at(base + "/passkey")
	x.until(func(p page) bool { return regexp.MustCompile(`not allowed|timed out|did not work`).MatchString(p.Text) }, "that there is no passkey")

	x.run(`(document.getElementById("name").value = "Ada")`, new(string))
	x.point("Make an account")
	x.at(base+"/?from=here", "Hello, Ada!", "Signed in with passkey")
	if n := keys.count(); n != 1 {
		t.Errorf("the authenticator has %d passkeys, want 1", n)
	}
	x.click("Sign out")
	x.get(base + "/login/passkey?return_to=%2F%3Fagain")
	x.at(base+"/passkey", "Sign in with a passkey")

	keys.verifies(false) // somebody else has the device
	x.point("Sign in with a passkey")
	x.until(func(p page) bool { return regexp.MustCompile(`not allowed|timed out`).MatchString(p.Text) }, "that the person is not verified")

	keys.verifies(true)
	x.point("Sign in with a passkey")
	x.at(base+"/?again", "Hello, Ada!")

	// An answer to a ceremony that is over, or never began, is refused.
	var status int
	x.run(fmt.Sprintf(`fetch(%q, {method: "POST", body: "{}"}).then(r => r.status)`, base+"/passkey/sign-in/finish"), &status)
	if status != 400 {
		t.Errorf("an answer to nothing is answered with %d", status)
	}
}
