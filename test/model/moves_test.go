package model

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// deliver opens a provider's response in a device: its own or another one; the first time, or
// again; unchanged, or altered.
func (w *world) deliver(a, b, c int) {
	if len(w.replies) == 0 {
		return
	}
	re := w.replies[len(w.replies)-1] // usually the newest
	if b%4 == 0 {
		re = w.replies[b/4%len(w.replies)]
	}
	i := re.device
	if a%4 == 0 {
		i = a / 4 % len(w.devices)
	}
	d, path, q := w.devices[i], re.attempt.at, maps.Clone(re.query)
	how := "as it came"
	switch c % 16 {
	case 0:
		path, how = w.pathOf(1-re.attempt.provider), "to the other provider's callback"
	case 1:
		other := w.replies[c/16%len(w.replies)]
		if other.code != "" && re.code != "" {
			q.Set("code", other.code)
			how = "with another answer's code"
		}
	case 2:
		state := []byte(q.Get("state"))
		if state[20]++; state[20] != 'B' {
			state[20] = 'A'
		}
		q.Set("state", string(state))
		how = "with another state"
	case 3:
		w.during = entered(a/4, b/4)
		how = fmt.Sprintf("as it came, and while the code is exchanged the providers are replaced by %v", w.during)
	}
	w.note("device %d opens the answer to %s… of device %d, %s", i, re.attempt.state[:8], re.device, how)
	w.compare(d, re, path, q)
}

// compare delivers a response, and compares the result with the model.
func (w *world) compare(d *device, re *reply, path string, q url.Values) {
	requests, hooks, before, live := w.requests, len(w.hooked), w.entries, w.live(d)
	got := w.send(d, opened("GET", path+"?"+q.Encode(), nil))
	w.during = nil
	want := w.expected(d, re, arriving(before, path), q) // after the request, since the provider has responded in the meantime
	w.expect(got, want.refusal, http.StatusSeeOther)
	if w.requests != requests+want.requests || len(w.hooked) != hooks+want.hooks {
		w.fail("%d requests for tokens and %d calls of OnLogin, want %d and %d", w.requests-requests, len(w.hooked)-hooks, want.requests, want.hooks)
	}
	if want.hooks > 0 && (w.previous != want.previous || w.data != re.attempt.note || w.renewal != want.renewal) {
		w.fail("OnLogin was told that %q was signed in before, and %q, renewal: %v; want %q, and %q, renewal: %v", w.previous, w.data, w.renewal, want.previous, re.attempt.note, want.renewal)
	}
	if wrote := got.Header().Get("X-Login"); (wrote != "") != (want.login != nil || want.own) {
		w.fail("the answer has %q of what OnLogin wrote", wrote)
	}
	for name := range d.attempts {
		if _, there := d.jar[name]; !there {
			delete(d.attempts, name)
		}
	}
	if to := got.Header().Get("Location"); want.refusal == "" && strings.HasSuffix(to, re.page+"#") != (want.login != nil || want.own) {
		w.fail("redirects to %s", to)
	}
	if l := want.login; l != nil {
		w.logins = append(w.logins, l)
		d.held = &held{login: l, record: &record{seen: seconds(w.now()), key: w.keys[0], note: want.note}, bind: w.keys[0]}
	}
	if want.again {
		w.again(d, slices.Index(w.devices, d), live, re, got.Header().Get("Location"))
	}
}

// signedFor returns the sign-in of the provider's ID token.
func (w *world) signedFor(re *reply) *login {
	said, p := w.signed[re.nonce], re.attempt.provider
	l := &login{provider: p, by: re.attempt.by, issuer: w.idps[p].Issuer, created: w.now(), until: seconds(w.now().Add(machineLifetime)), issued: seconds(w.now())}
	l.sub, _ = said["sub"].(string)
	l.sid, _ = said["sid"].(string)
	l.email, _ = said["email"].(string)
	l.acr, _ = said["acr"].(string)
	if at, told := said["auth_time"].(int64); told {
		l.authTime, l.told = time.Unix(at, 0), true
	} else {
		l.authTime = seconds(w.now())
	}
	if l.issuer != said["iss"] || l.sub != re.person || l.sid == "" || l.issued.Unix() != said["iat"] {
		w.fail("%s signed %v for %s", re.attempt.by, said, re.person)
	}
	l.mark = w.watermark(w.everywhere, l.issuer+"#"+l.sub)
	return l
}

// prediction is the expected result of a response.
type prediction struct {
	refusal         ginauth.Code
	requests, hooks int    // token requests, and calls of OnLogin
	previous        string // Login.Previous
	login           *login // the new session, or nil
	own             bool   // the sign-in succeeds, and the application keeps the session
	again           bool   // the browser is redirected to the provider again
	renewal         bool   // Login.Renewal
	note            string // the note in the renewed session
}

// expected returns the prediction for a response, in the steps that doc.go describes, and
// updates the attempt, the code and the previous session.
func (w *world) expected(d *device, re *reply, at []entry, q url.Values) (want prediction) {
	refused := func(code ginauth.Code) prediction {
		want.refusal = code
		return want
	}
	if len(at) == 0 {
		return refused(ginauth.ErrUnknownProvider)
	}
	if code := w.take(d, re, at, q); code == ginauth.ErrStateInvalid && q.Get("error") == "" && w.load(d.held) == somebody {
		return want // the back button: a signed-in user is redirected home
	} else if code != "" {
		return refused(code)
	}
	p, asked := re.attempt.provider, under(at, re.attempt.by)
	switch {
	case asked.idp != p: // another provider has its name, and iss differs
		return refused(ginauth.ErrIssuerMismatch)
	case q.Get("error") != "":
		return refused(ginauth.ErrProviderDenied)
	case asked.at() != re.attempt.at: // its responses arrive elsewhere
		return refused(ginauth.ErrStateInvalid)
	}
	want.requests = 1
	c := w.codes[q.Get("code")]
	fresh := c.provider == p && !c.spent && !w.now().After(c.expires) && c.challenge == re.attempt.challenge
	if c.provider == p {
		c.spent = true
	}
	if !fresh {
		return refused(ginauth.ErrCodeRejected)
	}
	l := w.signedFor(re)
	insufficient, acr := w.insufficient(re.attempt, l)
	again := acr && re.attempt.round == 1
	if insufficient && !again {
		return refused(ginauth.ErrIDTokenInvalid)
	}
	switch now := under(w.entries, re.attempt.by); {
	case now == nil:
		return refused(ginauth.ErrUnknownProvider)
	case now.idp != p:
		return refused(ginauth.ErrIssuerMismatch)
	case now.at() != re.attempt.at:
		return refused(ginauth.ErrStateInvalid)
	}
	if again {
		if w.load(d.held) == unknowable {
			return refused(ginauth.ErrStoreUnavailable)
		}
		want.again = true
		return want
	}
	if re.attempt.linking != nil {
		who := w.load(d.held)
		if who == unknowable {
			return refused(ginauth.ErrStoreUnavailable)
		}
		if who == nobody || d.held.login != re.attempt.linking {
			return refused(ginauth.ErrStateInvalid)
		}
		want.previous = d.held.login.name
	}
	if re.attempt.round > 0 {
		who := w.load(d.held)
		if who == unknowable {
			return refused(ginauth.ErrStoreUnavailable)
		}
		if before := w.loginOf(d); who == somebody && before.by == l.by && before.issuer == l.issuer && before.sub == l.sub {
			want.renewal, want.note = true, d.held.record.note
			if !l.told && before.told {
				l.authTime, l.told = before.authTime, true
			}
		}
	}
	want.hooks = 1
	if len(w.hooked) > 0 {
		l.name = w.hooked[len(w.hooked)-1]
	}
	if w.banned[l.sub] {
		return refused(ginauth.ErrIdentityRejected)
	}
	before := d.held
	if re.attempt.own {
		before = nil
	}
	if code := w.starts(before, l); code != "" {
		return refused(code)
	}
	if want.own = re.attempt.own; want.own {
		return want
	}
	if d.held != nil {
		w.erased(d.held)
	}
	if w.home.stored && (w.store.failRead || w.store.failWrite) {
		return refused(ginauth.ErrStoreUnavailable)
	}
	want.login = l
	return want
}

// starts applies a new session's effect on the previous one, or returns why it does not begin.
func (w *world) starts(before *held, l *login) ginauth.Code {
	if w.marks.failRead {
		return ginauth.ErrStoreUnavailable
	}
	if w.revoked(l) {
		return ginauth.ErrIDTokenInvalid
	}
	if w.named(before) {
		if w.marks.failWrite {
			return ginauth.ErrStoreUnavailable
		}
		w.kill(before)
	}
	return ""
}

// take updates the attempt.
func (w *world) take(d *device, re *reply, arrives []entry, q url.Values) ginauth.Code {
	handle, _, _ := strings.Cut(q.Get("state"), ".")
	var at *pending
	for name, one := range d.attempts {
		if strings.HasSuffix(name, "-a-"+handle) {
			at = one
		}
	}
	if at == nil || !w.opens(at.key) || q.Get("state") != at.state {
		return ginauth.ErrStateInvalid
	}
	if w.marks.failOnce {
		return ginauth.ErrStoreUnavailable
	}
	spent := at.spent
	at.spent = true
	if spent || w.overAttempt(at) || under(arrives, at.by) == nil {
		return ginauth.ErrStateInvalid
	}
	return ""
}

// logout signs a device out with the button, or from another site.
func (w *world) logout(a, b, _ int) {
	i := w.pick(a)
	d, r := w.devices[i], opened("POST", "/logout", nil)
	if b%5 == 0 {
		w.note("another site sends device %d to sign out", i)
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w.expect(w.send(d, r), ginauth.ErrCrossOrigin, 0)
		return
	}
	w.note("device %d signs out", i)
	want := ginauth.Code("")
	if w.named(d.held) {
		if w.marks.failWrite {
			want = ginauth.ErrStoreUnavailable
		} else {
			w.kill(d.held)
		}
		if !w.erased(d.held) {
			want = ginauth.ErrStoreUnavailable
		}
	}
	d.held = nil
	for name, at := range d.attempts {
		if w.opens(at.key) {
			delete(d.attempts, name)
		}
	}
	w.expect(w.send(d, r), want, http.StatusSeeOther)
	for name := range d.jar {
		kept := strings.HasSuffix(name, "-l") || strings.HasSuffix(name, "-p") // the return address, and the last provider
		if d.attempts[name] == nil && !kept {
			w.fail("the cookie %s is still there", name)
		}
	}
}

// everywhere signs a user out of all devices.
func (w *world) signOutEverywhere(a, _, _ int) {
	if len(w.logins) == 0 {
		return
	}
	l := w.logins[a%len(w.logins)]
	person := l.issuer + "#" + l.sub
	w.note("%s of %s is signed out everywhere", l.sub, l.by)
	err := w.auth.LogoutEverywhere(context.Background(), person)
	if (err != nil) != (w.marks.failRead || w.marks.failWrite) {
		w.fail("LogoutEverywhere: %v", err)
	}
	if at := w.watermark(w.everywhere, person).Add(time.Millisecond); err == nil && at.After(w.now()) {
		w.raise(w.everywhere, person, at)
	} else if err == nil {
		w.raise(w.everywhere, person, w.now())
	}
}

// backChannel sends a logout token, from the provider or from an attacker.
func (w *world) backChannel(a, b, c int) {
	if len(w.logins) == 0 {
		return
	}
	l := w.logins[a%len(w.logins)]
	at := seconds(w.now()).Add(-[]time.Duration{0, 0, 0, time.Second, 4 * time.Minute}[c%5])
	header := map[string]any{"typ": "logout+jwt"}
	claims := sitetest.Claims{"iss": l.issuer, "aud": w.idps[l.provider].ClientID, "iat": at.Unix(), "exp": at.Add(10 * time.Minute).Unix(), "jti": rand.Text(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	if b%4 != 0 {
		claims["sid"] = l.sid
	}
	if b%4 != 1 {
		claims["sub"] = l.sub
	}
	path, want, how := "/logout/"+w.nameOf(l.provider)+"/backchannel", ginauth.Code(""), ""
	switch b / 4 % 12 {
	case 0:
		header["alg"], want, how = "none", ginauth.ErrLogoutTokenInvalid, ", unsigned"
	case 1:
		claims["nonce"], want, how = "n", ginauth.ErrLogoutTokenInvalid, ", with a nonce"
	case 2:
		// The keys are requested once more. The clock advances below, since until then logout
		// tokens with a new key would be rejected.
		header["kid"] = w.idps[1-l.provider].KeyID()
		path, want, how = "/logout/"+w.nameOf(1-l.provider)+"/backchannel", ginauth.ErrLogoutTokenInvalid, ", at the other provider's address"
	}
	w.note("%s says that %s is signed out, sid: %v, sub: %v, as of %v%s", w.nameOf(l.provider), l.name, b%4 != 0, b%4 != 1, at.Format(time.TimeOnly), how)
	if want == "" && w.marks.failWrite {
		want = ginauth.ErrStoreUnavailable
	}
	if name := strings.Split(path, "/")[2]; under(w.entries, name) == nil {
		want = ginauth.ErrUnknownProvider
	}
	r := opened("POST", path, url.Values{"logout_token": {w.idps[l.provider].Sign(header, claims)}})
	r.Header = http.Header{"Content-Type": r.Header["Content-Type"]}
	got := w.send(newDevice(), r)
	if status := map[ginauth.Code]int{"": 200, ginauth.ErrLogoutTokenInvalid: 400, ginauth.ErrStoreUnavailable: 503, ginauth.ErrUnknownProvider: 404}[want]; got.Code != status {
		w.fail("the response is %d %s, want %d", got.Code, got.Body, status)
	}
	if header["kid"] != nil {
		w.time.Add(int64(keysCooldown))
	}
	switch {
	case want != "":
	case b%4 != 0:
		w.raise(w.sids, l.issuer+"#"+l.sid, at)
	default:
		w.raise(w.subs, l.issuer+"#"+l.sub, at)
	}
}

// frontChannel loads the provider's frame: on its own site, without cookies, or on ours.
func (w *world) frontChannel(a, b, c int) {
	if len(w.logins) == 0 {
		return
	}
	i := w.pick(a)
	d, l := w.devices[i], w.logins[b%len(w.logins)]
	if own := w.loginOf(d); own != nil && own.provider != machinePage && b%3 != 0 {
		l = own
	}
	r := opened("GET", "/logout/"+w.nameOf(l.provider)+"/frontchannel?"+url.Values{"iss": {l.issuer}, "sid": {l.sid}}.Encode(), nil)
	if w.entryOf(l.provider) == nil {
		w.note("a page frames the sign-out of %s, whose provider is not there any more, in device %d", l.name, i)
		w.expect(w.send(d, r), ginauth.ErrUnknownProvider, 0)
		return
	}
	if c%3 == 0 {
		w.note("the provider's page frames the sign-out of %s in device %d", l.name, i)
		w.expect(w.send(newDevice(), r), "", http.StatusOK)
		return
	}
	w.note("a page of ours frames the sign-out of %s in device %d", l.name, i)
	want, who := ginauth.Code(""), w.find(d.held)
	if who == unknowable {
		want = ginauth.ErrStoreUnavailable
	}
	if own := w.loginOf(d); who == somebody && own.provider == l.provider && own.sid == l.sid {
		if w.marks.failWrite {
			want = ginauth.ErrStoreUnavailable
		} else {
			w.kill(d.held)
		}
		if !w.erased(d.held) {
			want = ginauth.ErrStoreUnavailable
		}
		d.held = nil
	}
	w.expect(w.send(d, r), want, http.StatusOK)
}
