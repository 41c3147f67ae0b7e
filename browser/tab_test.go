package browser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pagetexts "github.com/ginauth/ginauth/internal/page"
)

// tab is an open tab, and what a person does with it.
type tab struct {
	t       *testing.T
	b       *browser
	context string  // BiDi's word for a tab
	user    string  // the user context, which has the cookies
	pixels  float64 // for each of CSS

	loaded chan struct{} // a page has loaded

	mu       sync.Mutex
	problems []string // what the browser complained about
	hosts    []string // that were asked for anything
}

// open opens a tab of somebody whose browser is new. After the test the browser
// must not have complained about anything, nor asked a host that is not loopback.
func (b *browser) open(t *testing.T) *tab {
	t.Helper()
	var made struct{ UserContext string }
	if err := b.call("browser.createUserContext", nil, &made); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.call("browser.removeUserContext", args{"userContext": made.UserContext}, nil) })
	return b.careful(t, made.UserContext)
}

// another opens a second tab of the same browser.
func (x *tab) another() *tab {
	x.t.Helper()
	return x.b.careful(x.t, x.user)
}

func (b *browser) careful(t *testing.T, user string) *tab {
	t.Helper()
	x := b.tab(t, user)
	t.Cleanup(func() {
		for _, complaint := range x.complaints() {
			t.Errorf("%s: %s", b.name, complaint)
		}
	})
	return x
}

func (b *browser) tab(t *testing.T, user string) *tab {
	t.Helper()
	x := &tab{t: t, b: b, user: user, pixels: 1, loaded: make(chan struct{}, 1)}
	var made struct{ Context string }
	if err := b.call("browsingContext.create", args{"type": "tab", "userContext": user}, &made); err != nil {
		t.Fatal(err)
	}
	x.context = made.Context
	b.know(x.context, x)
	if b.chrome { // it tells what a page's policy forbids in its own protocol alone
		var own struct{ Session string }
		x.call("goog:cdp.getSession", args{}, &own)
		b.know(own.Session, x)
		x.must("goog:cdp.sendCommand", args{"method": "Log.enable", "params": args{}, "session": own.Session}, nil)
	}
	x.size(1280, 800)
	return x
}

// complaints are what went wrong unseen.
func (x *tab) complaints() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := slices.Clone(x.problems)
	for _, host := range x.hosts {
		if host != appHost && host != privateHost && host != "127.0.0.1" && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
			list = append(list, "asked "+host)
		}
	}
	return list
}

func (x *tab) call(method string, params args, result any) {
	x.t.Helper()
	params["context"] = x.context
	x.must(method, params, result)
}

func (x *tab) must(method string, params args, result any) {
	x.t.Helper()
	if err := x.b.call(method, params, result); err != nil {
		x.t.Fatalf("%v, at %s", err, x.address())
	}
}

func (x *tab) size(width, height int) {
	x.t.Helper()
	x.call("browsingContext.setViewport", args{"viewport": args{"width": width, "height": height}, "devicePixelRatio": x.pixels}, nil)
}

// get opens an address, as somebody who types it.
func (x *tab) get(address string) {
	x.t.Helper()
	x.call("browsingContext.navigate", args{"url": address, "wait": "complete"}, nil)
}

// evaluate runs a script in the page; its result has to be JSON.
func (x *tab) evaluate(script string, result any) error {
	var answer struct {
		Type             string
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	params := args{"expression": "Promise.resolve(" + script + ").then(JSON.stringify)", "target": args{"context": x.context}, "awaitPromise": true}
	if err := x.b.call("script.evaluate", params, &answer); err != nil {
		return err
	}
	if answer.Type != "success" {
		return fmt.Errorf("%.200s: %s", script, answer.ExceptionDetails.Text)
	}
	return json.Unmarshal([]byte(answer.Result.Value), result)
}

func (x *tab) run(script string, result any) {
	x.t.Helper()
	if err := x.evaluate(script, result); err != nil {
		x.t.Fatal(err)
	}
}

// page is what a tab shows.
type page struct {
	Address string
	Text    string
	Ready   string
}

func (x *tab) page() (p page, err error) {
	err = x.evaluate(`{Address: location.href, Text: document.body ? document.body.innerText : "", Ready: document.readyState}`, &p)
	p.Address = strings.TrimSuffix(p.Address, "#")
	return p, err
}

func (x *tab) address() string {
	p, err := x.page()
	if err != nil {
		return err.Error()
	}
	return p.Address
}

// at waits until the tab shows a page: at that address, up to the query if the
// address has none, and with those texts.
func (x *tab) at(address string, texts ...string) {
	x.t.Helper()
	x.until(func(p page) bool {
		shown := p.Address
		if !strings.Contains(address, "?") {
			shown, _, _ = strings.Cut(shown, "?")
		}
		return shown == address && !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(p.Text, text) })
	}, fmt.Sprintf("%s with %q", address, texts))
}

// words returns an English text of ginauth's pages.
func words(key string) string {
	texts, err := pagetexts.NewTexts(nil)
	if err != nil {
		panic(err)
	}
	return texts.Get("en", key)
}

// until waits for a page, with a look at every one that has loaded.
func (x *tab) until(good func(page) bool, want string) {
	x.t.Helper()
	late := time.After(patience)
	again := time.NewTicker(50 * time.Millisecond) // a page that comes back from memory does not load
	defer again.Stop()
	for {
		p, err := x.page() // fails while the page changes
		if err == nil && p.Ready == "complete" && good(p) {
			return
		}
		select {
		case <-again.C:
		case <-x.loaded:
		case <-late:
			x.t.Fatalf("%s shows %s (%v), want %s:\n%s\n%q", x.b.name, p.Address, err, want, p.Text, x.problems)
		}
	}
}

// click presses the mouse on the link or button with that text, and waits for
// the page that it leads to.
func (x *tab) click(text string) {
	x.t.Helper()
	x.point(text)
	x.load()
}

// load waits until another page has loaded.
func (x *tab) load() {
	x.t.Helper()
	select {
	case <-x.loaded:
	case <-time.After(patience):
		x.t.Fatalf("%s stays at %s; it says %q", x.b.name, x.address(), x.problems)
	}
}

// spot is a place on the page.
type spot struct{ X, Y float64 }

func (x *tab) point(text string) {
	x.t.Helper()
	x.call("browsingContext.activate", args{}, nil)
	quoted, _ := json.Marshal(text)
	var at *spot
	x.run(`(() => {
		const found = [...document.querySelectorAll("a, button")].find(e => e.innerText.includes(`+string(quoted)+`))
		if (!found) return null
		found.scrollIntoView({block: "nearest"})
		const r = found.getClientRects()[0] // of a link that goes over two lines, the first
		return {X: r.x + r.width / 2, Y: r.y + r.height / 2}
	})()`, &at)
	if at == nil {
		p, _ := x.page()
		x.t.Fatalf("there is no %q on %s:\n%s", text, p.Address, p.Text)
	}
	x.unload()
	x.call("input.performActions", args{"actions": []args{{"type": "pointer", "id": "mouse", "actions": []args{
		{"type": "pointerMove", "x": int(at.X), "y": int(at.Y)}, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0},
	}}}}, nil)
}

// The keys that have no letter, as WebDriver writes them.
const (
	tabKey   = "\uE004"
	enterKey = "\uE007"
)

func (x *tab) press(key string) {
	x.t.Helper()
	x.unload()
	x.call("input.performActions", args{"actions": []args{{"type": "key", "id": "keyboard", "actions": []args{
		{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key},
	}}}}, nil)
}

// unload forgets that a page has loaded.
func (x *tab) unload() {
	select {
	case <-x.loaded:
	default:
	}
}

// back goes back in the tab's history.
func (x *tab) back() {
	x.t.Helper()
	x.call("browsingContext.traverseHistory", args{"delta": -1}, nil)
}

// picture returns what the tab shows, as a PNG.
func (x *tab) picture() []byte {
	x.t.Helper()
	var shot struct{ Data string }
	x.call("browsingContext.captureScreenshot", args{}, &shot)
	raw, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		x.t.Fatal(err)
	}
	return raw
}

// events that all tabs are told of.
func (b *browser) subscribe() error {
	events := []string{"browsingContext.load", "log.entryAdded", "network.beforeRequestSent"}
	if b.chrome {
		events = append(events, "goog:cdp.Log.entryAdded")
	}
	return b.call("session.subscribe", args{"events": events}, nil)
}

// event is called for everything that happens in the browser.
func (b *browser) event(m message) {
	var e struct {
		Context string // whose event it is, or else
		Session string // or
		Source  struct{ Context string }
		Level   string
		Text    string
		Request struct{ URL string }
		Params  struct {
			Entry struct{ Source, Level, Text, URL string }
		}
	}
	if json.Unmarshal(m.Params, &e) != nil {
		return
	}
	b.mu.Lock()
	x := b.tabs[e.Context+e.Session+e.Source.Context]
	b.mu.Unlock()
	if x == nil {
		return
	}
	switch m.Method {
	case "browsingContext.load":
		select {
		case x.loaded <- struct{}{}:
		default:
		}
	case "log.entryAdded":
		x.note(e.Level, e.Text)
	case "goog:cdp.Log.entryAdded":
		if entry := e.Params.Entry; !strings.HasPrefix(entry.Text, "Failed to load resource: the server responded") { // the page says so itself
			x.note(entry.Level, entry.Source+": "+entry.Text)
		}
	case "network.beforeRequestSent":
		x.asked(e.Request.URL)
	}
}

// know says which tab an event is for.
func (b *browser) know(id string, x *tab) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tabs[id] = x
}

func (x *tab) note(level, text string) {
	if level != "error" && level != "warn" && level != "warning" {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.problems = append(x.problems, text)
}

func (x *tab) asked(address string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hosts = append(x.hosts, u.Hostname())
}

// forgive forgets the complaints that have a text, and reports whether there were any.
func (x *tab) forgive(text string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := len(x.problems)
	x.problems = slices.DeleteFunc(x.problems, func(problem string) bool { return strings.Contains(problem, text) })
	return len(x.problems) < all
}
