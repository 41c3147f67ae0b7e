package browser

import (
	"fmt"
	"strings"
	"testing"
)

// product is a person at the single-page application, whose scripts run.
type product struct {
	*tab
	base string
}

func (x product) password() {
	x.t.Helper()
	x.get(x.base + "/orders?step=2")
	x.at(x.base+"/signin", "Remember me", "Sign in", "Corp")
	x.run(`(document.querySelector("[name=name]").value = "admin")`, new(string))
	x.run(`(document.querySelector("[name=password]").value = "correct horse battery")`, new(string))
	x.point("Sign in")
	x.at(x.base+"/orders?step=2", "Hello, admin")
}

func (x product) provider() {
	x.t.Helper()
	x.get(x.base + "/orders?step=3")
	x.at(x.base+"/signin", "Corp")
	x.click("Corp")
	x.until(func(p page) bool { return strings.HasPrefix(p.Address, "http://127.0.0.1:") }, "the provider")
	x.click("Ada Lovelace")
	x.at(x.base+"/orders?step=3", "Hello, Ada Lovelace")
}

// out presses the button, and comes to the page to sign in on.
func (x product) out() {
	x.t.Helper()
	x.point("Sign out")
	x.at(x.base+"/signin", "Remember me", "Corp") // which its script fetches
	x.get(x.base + "/orders?step=4")
	x.at(x.base+"/signin", "Remember me", "Corp") // which its script fetches
}

// A product is changed from passwords and OAuth by hand to ginauth while people have it open:
// they do the same before and after, and stay signed in meanwhile.
func TestTheProductOfComingFrom(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		base, change := startProgram(t, "test/moving", "settings")
		x := product{b.open(t), base}
		x.password()
		x.out()
		x.provider()
		open := product{b.open(t), base} // somebody else
		open.password()
		if _, err := fmt.Fprintln(change); err != nil { // puts ginauth in its place
			t.Fatal(err)
		}
		x.until(func(page) bool { // the new program says more to programs
			var text string
			return x.evaluate(`fetch("/api/me", {credentials: "omit"}).then(r => r.text())`, &text) == nil && strings.Contains(text, "login_url")
		}, "the new program")
		x.get(base + "/orders?step=5")
		x.at(base+"/orders?step=5", "Hello, Ada Lovelace")
		open.out() // the script of before
		open.password()
		x.out()
		x.provider()
		x.out()
	})
}
