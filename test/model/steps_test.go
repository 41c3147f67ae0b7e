package model

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

var machinePeople = []string{"ada", "grace", "zoe"}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// opened returns a browser's request for a page, or with a form of our own page.
func opened(method, path string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, machineURL+path, strings.NewReader(form.Encode()))
	h := r.Header
	h.Set("Accept", "text/html")
	h.Set("Sec-Fetch-Mode", "navigate")
	h.Set("Sec-Fetch-Dest", "document")
	h.Set("Sec-Fetch-Site", "none")
	if method == "POST" {
		h.Set("Sec-Fetch-Site", "same-origin")
		h.Set("Origin", machineURL)
		h.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// expect compares a response with the model.
func (w *world) expect(got *httptest.ResponseRecorder, want ginauth.Code, status int) {
	if want != "" {
		status = (&ginauth.Error{Code: want}).Status()
	}
	if got.Code != status || !strings.Contains(got.Body.String(), string(want)) {
		w.fail("the response is %d %s; want %d %s", got.Code, textOn(got.Body.String()), status, cmp.Or(string(want), "and no error"))
	}
}

// pick returns a device, usually one with a session, which tests more.
func (w *world) pick(n int) int {
	var some []int
	for i, d := range w.devices {
		if d.held != nil {
			some = append(some, i)
		}
	}
	if len(some) == 0 || n%4 == 0 {
		return n / 4 % len(w.devices)
	}
	return some[n/4%len(some)]
}

// signIn begins a sign-in and ends it, sometimes after an attempt to alter the response.
func (w *world) signIn(a, b, c int) {
	replies := len(w.replies)
	if w.begin(a, b, c); len(w.replies) == replies {
		return
	}
	switch c / 96 % 6 {
	case 1:
		w.deliver(1, 1, c/576%3)
	case 2: // while the providers are replaced
		w.deliver(1+4*(c/576), 1+4*(a/3), 3)
		return
	}
	w.deliver(1, 1, 15) // the newest, unchanged
}

// stay uses a device regularly for days, so that it does not expire by inactivity.
func (w *world) stay(a, b, _ int) {
	i := w.pick(a)
	for range 1 + b%12 {
		w.note("device %d is away for 20 hours, and visits", i)
		w.time.Add(int64(20 * time.Hour))
		w.look(w.devices[i], true)
	}
}

// textOn returns the text of a built-in page, without markup.
func textOn(page string) string {
	_, body, there := strings.Cut(page, "<body>")
	if !there {
		return page
	}
	return strings.Join(strings.Fields(regexp.MustCompile("<[^>]*>").ReplaceAllString(body, " ")), " ")
}

// replay is signIn, followed by the same response with a copy of the device's earlier cookies:
// in the same device, or in another one.
func (w *world) replay(a, b, c int) {
	replies := len(w.replies)
	if w.begin(a, b, c); len(w.replies) == replies {
		return
	}
	i := w.replies[replies].device
	before := w.clone(w.devices[i])
	w.deliver(1, 1, 15)
	if i = (i + b/2%2) % len(w.devices); b/4%2 == 0 {
		w.tick(c, 1, 0)
	}
	w.note("device %d gets the cookies of before that", i)
	w.devices[i], w.replies[replies].device = before, i
	w.deliver(1, 1, 15)
}

// tabs begins a sign-in in one tab, often to link an account, and signs in in another tab before
// the first is finished.
func (w *world) tabs(a, b, c int) {
	replies, i := len(w.replies), w.pick(a)
	if w.begin(i, b, c/12*12+c%3+3*(c/3%2)); len(w.replies) == replies {
		return
	}
	w.signIn(i, b/2, 15+c%3)
	re := w.replies[replies]
	w.note("device %d opens the answer to %s…", i, re.attempt.state[:8])
	w.compare(w.devices[i], re, re.attempt.at, maps.Clone(re.query))
}

// begin begins a sign-in, or requests to link an account, and lets the provider respond: person
// signs in there, or cancels. A handler may begin it, with data, for the application's own
// session, or for another site's request.
func (w *world) begin(a, b, c int) {
	i, p, person := a%len(w.devices), b%2, machinePeople[c%3]
	d, link, denies := w.devices[i], c/3%4 == 0, c/12%8 == 0
	w.serial++
	page := fmt.Sprint("/page/", w.serial)
	w.note("device %d begins to sign in with %s as %s; link: %v, refuses: %v", i, w.nameOf(p), person, link, denies)
	r := opened("GET", "/login/"+w.nameOf(p)+"?return_to="+page, nil)
	at := &pending{provider: p, by: w.nameOf(p), at: w.pathOf(p), created: w.now(), key: w.keys[0], maxAge: -1}
	if handler := b/2%3 == 0; handler {
		at.note, at.own = fmt.Sprint("note ", w.serial), b/6%4 == 0
		r = opened("POST", "/start?"+url.Values{"provider": {w.nameOf(p)}, "return_to": {page}, "note": {at.note},
			"link": {fmt.Sprint(link)}, "own": {map[bool]string{true: "yes"}[at.own]}}.Encode(), nil)
		w.note("  by a handler, with %s, for a session of its own: %v", at.note, at.own)
		if b/24%8 == 0 {
			w.note("  which another site asks")
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			w.expect(w.send(d, r), ginauth.ErrCrossOrigin, 0)
			return
		}
	} else if link {
		r = opened("POST", "/login/"+w.nameOf(p), url.Values{"link": {"true"}, "return_to": {page}})
	}
	if link {
		at.linking = w.loginOf(d)
		if who := w.load(d.held); who != somebody && w.entryOf(p) != nil {
			w.expect(w.send(d, r), map[outcome]ginauth.Code{nobody: ginauth.ErrUnauthenticated, unknowable: ginauth.ErrStoreUnavailable}[who], 0)
			return
		}
	}
	if w.entryOf(p) == nil {
		w.expect(w.send(d, r), ginauth.ErrUnknownProvider, 0)
		return
	}
	live := w.live(d)
	got := w.send(d, r)
	w.sent(d, i, live, got, &reply{attempt: at, person: person, page: page}, denies)
}

// sent handles a response that redirects a device to the provider: a sign-in is in progress, and
// the provider responds.
func (w *world) sent(d *device, i int, live []string, got *httptest.ResponseRecorder, re *reply, denies bool) {
	w.expect(got, "", http.StatusSeeOther)
	w.register(d, i, live, got.Header().Get("Location"), re, denies)
}

func (w *world) register(d *device, i int, live []string, location string, re *reply, denies bool) {
	at := re.attempt
	request, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(location, w.idps[at.provider].URL(authtest.Authorize)) {
		w.fail("redirects to %q: %v", location, err)
	}
	q := request.Query()
	w.asks(d, at, q)
	at.state, at.challenge = q.Get("state"), q.Get("code_challenge")
	d.attempts[w.attemptCookie(d, at.state)] = at
	for name := range d.attempts {
		if _, there := d.jar[name]; there {
			continue
		}
		if slices.Contains(live, name) && len(live) < 5 {
			w.fail("the attempt %s was dropped for another, of %d", name, len(live))
		}
		delete(d.attempts, name)
	}
	if live = w.live(d); len(live) > 5 || d.attempts[w.attemptCookie(d, at.state)] == nil {
		w.fail("the device has %d attempts", len(live))
	}
	re.device, re.nonce = i, q.Get("nonce")
	w.replies = append(w.replies, w.answer(d, i, request, re.person, denies, re))
}

// attemptCookie returns the name of the cookie with a state's handle.
func (w *world) attemptCookie(d *device, state string) string {
	handle, _, _ := strings.Cut(state, ".")
	for name := range d.jar {
		if strings.HasSuffix(name, "-a-"+handle) {
			return name
		}
	}
	return ""
}

// live returns the cookies of attempts that can still be used.
func (w *world) live(d *device) (names []string) {
	for name, at := range d.attempts {
		if w.opens(at.key) && !w.overAttempt(at) {
			names = append(names, name)
		}
	}
	return names
}

// answer returns the provider's response to an authorization request.
func (w *world) answer(d *device, i int, request *url.URL, person string, denies bool, re *reply) *reply {
	p := re.attempt.provider
	w.idps[p].SignInAs(person)
	w.idps[p].DenyConsent(denies)
	r := httptest.NewRequest("GET", request.String(), nil)
	carry(r, d.there[p])
	got := httptest.NewRecorder()
	w.idps[p].Default(authtest.Authorize).ServeHTTP(got, r)
	absorb(d.there[p], got)
	callback, err := url.Parse(got.Header().Get("Location"))
	if err != nil || got.Code != http.StatusSeeOther || !strings.HasPrefix(callback.String(), machineURL+re.attempt.at+"?") {
		w.fail("the provider responded %d, to %v: %v", got.Code, callback, err)
	}
	re.query = callback.Query()
	for _, c := range w.codes { // which the provider discards after an hour
		c.spent = c.spent || c.provider == p && w.now().Sub(c.expires) > time.Hour
	}
	if re.code = re.query.Get("code"); re.code != "" {
		w.codes[re.code] = &code{provider: p, challenge: re.attempt.challenge, expires: w.now().Add(time.Minute)}
	}
	return re
}

func (w *world) loginOf(d *device) *login {
	if d.held == nil {
		return nil
	}
	return d.held.login
}

// visit opens a guarded page, and keeps the cookies of the response.
func (w *world) visit(a, _, _ int) {
	i := w.pick(a)
	w.note("device %d visits", i)
	w.look(w.devices[i], true)
}

// look requests the signed-in user, and compares with the model: this tests lifetimes,
// revocation and the owner of the session.
func (w *world) look(d *device, keeps bool) {
	var who outcome
	jar := d.jar
	if !keeps {
		d.jar = maps.Clone(jar)
	}
	ran, want := w.ran, ""
	if who = w.visited(d.held, keeps); who == somebody {
		want = w.whoIs(d.held)
	}
	got := w.send(d, httptest.NewRequest("GET", machineURL+"/me", nil))
	d.jar = jar
	switch who {
	case somebody:
		if w.expect(got, "", http.StatusOK); got.Body.String() != want {
			w.fail("%q is signed in, want %q", got.Body, want)
		}
		ran++
	case nobody:
		w.expect(got, ginauth.ErrUnauthenticated, 0)
	case unknowable:
		w.expect(got, ginauth.ErrStoreUnavailable, 0)
	}
	if w.ran != ran {
		w.fail("%d protected handlers ran, want %d", w.ran, ran)
	}
}

// whoIs returns the result of the function with that name for the user of a session.
func (w *world) whoIs(h *held) string {
	l := h.login
	return strings.Join([]string{l.by, l.issuer, l.sub, l.email, l.name, h.record.note, l.acr, fmt.Sprint(l.authTime.Unix())}, " | ")
}

// update changes the session's data.
func (w *world) update(a, b, _ int) {
	i, note := w.pick(a), fmt.Sprint("note ", b)
	d := w.devices[i]
	w.note("device %d writes %s", i, note)
	ran, who := w.ran, w.load(d.held)
	if who == somebody && w.home.stored && w.store.failWrite {
		ran++ // it fails in Update
		if w.due(d.held) {
			ran-- // or earlier
		}
		who = unknowable
	} else if who == somebody {
		w.written(d.held)
		d.held.bind, d.held.record.note = w.keys[0], note
		ran++
	}
	got := w.send(d, opened("POST", "/note?note="+url.QueryEscape(note), nil))
	if want := []int{http.StatusUnauthorized, http.StatusOK, http.StatusServiceUnavailable}[who]; got.Code != want || w.ran != ran {
		w.fail("the response is %d %s after %d handlers, want %d after %d", got.Code, got.Body, w.ran, want, ran)
	}
}

// tick moves the clock, forward and back.
func (w *world) tick(a, b, _ int) {
	small := []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second, time.Minute}
	some := []time.Duration{61 * time.Second, 9 * time.Minute, 10*time.Minute + time.Second, time.Hour, machineIdle / 10, machineIdle / 2}
	large := []time.Duration{machineIdle, machineIdle + time.Second, 3 * machineIdle, machineLifetime, machineLifetime + time.Second, 2 * machineLifetime}
	steps := [][]time.Duration{small, small, small, some, some, large}[a%6]
	by := steps[a/6%len(steps)]
	if b%4 == 0 {
		by = -by
	}
	w.note("the clock moves by %v", by)
	w.time.Add(int64(by))
}

// rotate changes Options.Keys: to a new key, with the others still accepted, or to only the
// newest.
func (w *world) rotate(a, b, _ int) {
	w.serial++
	if a%3 == 0 {
		w.keys = w.keys[:1]
	} else {
		w.keys = slices.Insert(w.keys, 0, fmt.Sprintf("key number %d of a machine, of 32 bytes and more", w.serial))
		w.keys = w.keys[:min(len(w.keys), 3)]
	}
	w.note("the application starts anew, with %d keys: %.14q", len(w.keys), w.keys)
	w.mount()
	if a%3 == 1 {
		w.visit(b, 0, 0) // which suffices to reseal the session
		w.rotate(0, 0, 0)
	}
}

func (w *world) rotateProvider(a, _, _ int) {
	w.note("the provider %s signs with a new key", w.idps[a%2].Issuer)
	w.idps[a%2].RotateKey()
}

// trouble makes the stores fail, or work again.
func (w *world) trouble(a, b, _ int) {
	bits := 0
	if b%2 == 0 {
		bits = 1 << (a % 5)
	}
	if b%8 == 0 {
		bits = a % 32
	}
	w.marks.failRead, w.marks.failWrite, w.marks.failOnce = bits&1 != 0, bits&2 != 0, bits&4 != 0
	w.note("revocations fail: read %v, write %v, once %v", w.marks.failRead, w.marks.failWrite, w.marks.failOnce)
	if w.store != nil {
		w.store.failRead, w.store.failWrite, w.store.panics = bits&8 != 0, bits&16 != 0, b%3 == 0
		w.note("  sessions fail: read %v, write %v, with a panic: %v", w.store.failRead, w.store.failWrite, w.store.panics)
	}
}

// steal copies the cookies of a device to another one.
func (w *world) steal(a, b, _ int) {
	from, to := w.pick(a), b%len(w.devices)
	w.note("device %d gets the cookies of device %d", to, from)
	w.devices[to] = w.clone(w.devices[from])
}

// keepCopy stores a copy of a device's cookies; restore writes one of them back into a browser.
func (w *world) keepCopy(a, _, _ int) {
	i := w.pick(a)
	w.note("somebody keeps a copy of device %d: %d", i, len(w.shelf))
	w.shelf = append(w.shelf, w.clone(w.devices[i]))
}

func (w *world) restore(a, b, _ int) {
	if len(w.shelf) == 0 {
		return
	}
	i, n := a%len(w.devices), b%len(w.shelf)
	w.note("device %d gets copy %d", i, n)
	w.devices[i] = w.clone(w.shelf[n])
}

// ban makes OnLogin reject a user, or admit them again.
func (w *world) ban(a, _, _ int) {
	person := machinePeople[a%3]
	w.banned[person] = !w.banned[person]
	w.note("OnLogin refuses %s: %v", person, w.banned[person])
}
