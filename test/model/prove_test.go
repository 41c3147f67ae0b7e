package model

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// rule is a step-up check: either a MaxAge or some acr values.
type rule struct {
	age time.Duration
	acr []string
}

func (r rule) check() ginauth.Check {
	if r.acr != nil {
		return ginauth.ACR(r.acr...)
	}
	return ginauth.MaxAge(r.age)
}

// met reports whether a session satisfies the rule.
func (r rule) met(l *login, now time.Time) bool {
	if r.acr != nil {
		return slices.Contains(r.acr, l.acr)
	}
	return l.told && now.Sub(l.authTime) <= r.age+machineLeeway
}

// demandingPage is a page of the application with step-up checks: all rules, or any of them.
type demandingPage struct {
	path    string
	rules   []rule
	any     bool
	handler bool // the handler checks, and calls Fail
}

var demandingPages = []demandingPage{
	{path: "/payout", rules: []rule{{age: 5 * time.Minute}}},
	{path: "/keys", rules: []rule{{acr: []string{"mfa", "hwk"}}}},
	{path: "/both", rules: []rule{{age: time.Hour}, {acr: []string{"hwk", "mfa"}}, {age: 10 * time.Minute}, {acr: []string{"mfa", "sms"}}}},
	{path: "/any", rules: []rule{{acr: []string{"hwk"}}, {age: 5 * time.Minute}}, any: true},
	{path: "/transfer", rules: []rule{{age: time.Minute}}, handler: true},
}

// demand is the requirement of a page, and the URL to which it redirected a browser.
type demand struct {
	maxAge time.Duration
	acr    []string

	login           *login // the session that was rejected
	page, path, key string
	query           url.Values
	made            time.Time
}

// demands returns what a page requires of a session, or nil if it is admitted.
func (p *demandingPage) demands(l *login, now time.Time) *demand {
	var d *demand
	for _, r := range p.rules {
		switch met := r.met(l, now); {
		case met && p.any:
			return nil
		case met || d != nil && p.any:
			continue
		}
		if d == nil {
			d = &demand{login: l}
		}
		if r.age > 0 && (d.maxAge == 0 || r.age < d.maxAge) {
			d.maxAge = r.age
		}
		if d.acr == nil {
			d.acr = r.acr
		} else if r.acr != nil {
			d.acr = slices.DeleteFunc(slices.Clone(d.acr), func(v string) bool { return !slices.Contains(r.acr, v) })
		}
	}
	return d
}

// proof is an assertion of the provider or of SignIn about how and when a user authenticated.
type proof struct {
	acr string
	at  time.Time // zero: unknown
}

// demanding registers the pages. An admitted user must have the proof, from any source in the
// model.
func (w *world) demanding() {
	for _, p := range demandingPages {
		var checks []ginauth.Check
		for _, r := range p.rules {
			checks = append(checks, r.check())
		}
		if p.any {
			checks = []ginauth.Check{ginauth.AnyOf(checks...)}
		}
		admit := func(c *gin.Context) {
			u := ginauth.CurrentUser(c)
			proved := func(r rule) bool { // for /both, from two sign-ins
				return slices.ContainsFunc(w.proofs[u.ID()], func(said proof) bool {
					return r.met(&login{acr: said.acr, authTime: said.at, told: !said.at.IsZero()}, w.now())
				})
			}
			if n := len(slices.DeleteFunc(slices.Clone(p.rules), func(r rule) bool { return !proved(r) })); n < len(p.rules) && (n == 0 || !p.any) {
				w.fail("%s is admitted to %s with %d proofs of %d", u.Subject, p.path, n, len(p.rules))
			}
			w.ran++
			c.String(http.StatusOK, whoIs(u))
		}
		if !p.handler {
			w.engine.GET(p.path, w.auth.RequireAuth(checks...), admit)
			continue
		}
		w.engine.GET(p.path, w.auth.RequireAuth(), func(c *gin.Context) {
			if err := checks[0](ginauth.CurrentUser(c)); err != nil {
				w.auth.Fail(c, err)
				return
			}
			admit(c)
		})
	}
}

// prove opens a page with step-up checks, and often follows its redirects until it is shown:
// there is no redirect loop.
func (w *world) prove(a, b, c int) {
	i, page := w.pick(a), &demandingPages[b%len(demandingPages)]
	dm := w.open(i, page)
	for trips := 0; dm != nil && c%8 > 0; trips++ {
		if trips == 3 && dm.login.provider != machinePage { // one of them as another user
			w.fail("%s of %s leads to the provider for the fourth time", page.path, dm.login.name)
		}
		if b, c := b/len(demandingPages), c/8; trips == 0 {
			w.follow(dm, i, b, c)
		} else {
			w.follow(dm, i, 9, 111) // unchanged, as the same user, who does not cancel
		}
		if w.loginOf(w.devices[i]) == dm.login || trips == 3 {
			return
		}
		dm = w.open(i, page)
	}
}

// open opens a page with step-up checks, and returns its requirement, if any.
func (w *world) open(i int, page *demandingPage) (want *demand) {
	d := w.devices[i]
	w.serial++
	address := fmt.Sprintf("%s?n=%d", page.path, w.serial)
	w.note("device %d opens %s", i, address)
	who, ran, jar := w.visited(d.held, true), w.ran, maps.Clone(d.jar)
	got := w.send(d, opened("GET", address, nil))
	to, err := url.Parse(got.Header().Get("Location"))
	switch {
	case err != nil:
		w.fail("redirects to %q", got.Header().Get("Location"))
	case who == unknowable:
		w.expect(got, ginauth.ErrStoreUnavailable, 0)
	case who == nobody:
		if w.expect(got, "", http.StatusSeeOther); to.Path != "/login" || to.Query().Get("return_to") != address || to.Query().Has("demand") {
			w.fail("redirects to %s", to)
		}
	default:
		l := d.held.login
		switch want = page.demands(l, w.now()); {
		case want == nil:
			if w.expect(got, "", http.StatusOK); got.Body.String() != w.whoIs(d.held) {
				w.fail("%q is signed in, want %q", got.Body, w.whoIs(d.held))
			}
			ran++
		case l.provider == machinePage && want.acr != nil:
			w.expect(got, ginauth.ErrForbidden, 0)
			want = nil
		default:
			w.expect(got, "", http.StatusSeeOther)
			if to.Path != "/login/"+l.by || to.Query().Get("return_to") != address || to.Query().Get("demand") == "" || len(to.Query()) != 2 {
				w.fail("redirects to %s", to)
			}
			want.page, want.path, want.query, want.key, want.made = address, to.Path, to.Query(), w.keys[0], seconds(w.now())
			w.demanded = append(w.demanded, want)
			for name := range d.jar {
				if _, there := jar[name]; !there {
					w.fail("the page sets the cookie %s", name)
				}
			}
		}
	}
	if w.ran != ran {
		w.fail("%d protected handlers ran, want %d", w.ran, ran)
	}
	return want
}

// follows opens a URL to which a page redirected earlier: from another tab, in another browser,
// a day later, or in an altered link.
func (w *world) follows(a, b, c int) {
	if len(w.demanded) == 0 {
		return
	}
	dm := w.demanded[len(w.demanded)-1] // mostly the newest
	if b%3 == 0 {
		dm = w.demanded[b/3%len(w.demanded)]
	}
	w.follow(dm, a%len(w.devices), b/3, c)
}

// follow opens the URL of a demand in a device, and authenticates a user at the provider.
func (w *world) follow(dm *demand, i, b, c int) {
	d, path, q, how := w.devices[i], dm.path, maps.Clone(dm.query), "as it came"
	weaker, spoiled := false, false
	switch b % 10 {
	case 0:
		text := []byte(q.Get("demand"))
		if at := c % len(text); text[at] != 'A' {
			text[at] = 'A'
		} else {
			text[at] = 'B'
		}
		q.Set("demand", string(text))
		spoiled, how = true, "altered"
	case 1:
		path = map[string]string{"/login/one": "/login/two", "/login/two": "/login/house", "/login/house": "/login/one"}[path]
		spoiled, how = true, "for another provider"
	case 2:
		q.Set("max_age", "86400")
		q.Set("acr_values", "pwd")
		weaker, how = true, "with parameters that ask for less"
	}
	person := machinePeople[c%3]
	if c/3%4 > 0 {
		person = dm.login.sub
	}
	denies, name := c/12%8 == 0, strings.TrimPrefix(path, "/login/")
	w.note("device %d follows the demand of %s for %s, acr %v, max_age %v, %s, as %s; refuses: %v", i, dm.page, dm.login.name, dm.acr, dm.maxAge, how, person, denies)

	r, jar := opened("GET", path+"?"+q.Encode(), nil), maps.Clone(d.jar)
	e, age := under(w.entries, name), w.now().Sub(dm.made)
	want := ginauth.Code("")
	switch {
	case e == nil && name != "house":
		want = ginauth.ErrUnknownProvider
	case spoiled || !w.opens(dm.key):
		want = ginauth.ErrBadRequest
	case age > time.Hour || age < -machineLeeway || name == "house":
		leads := machineURL + dm.page + "#"
		if name == "house" && age <= time.Hour && age >= -machineLeeway {
			leads = machineURL + "/password?return_to=" + url.QueryEscape(dm.page) + "&prompt=login"
		}
		got := w.send(d, r)
		if w.expect(got, "", http.StatusSeeOther); got.Header().Get("Location") != leads {
			w.fail("leads to %s, want %s", got.Header().Get("Location"), leads)
		}
		w.unchanged(d, jar)
		if c/96%2 == 0 {
			w.password(i, c, b)
		}
		return
	case w.load(d.held) == unknowable:
		want = ginauth.ErrStoreUnavailable
	}
	if want != "" {
		w.expect(w.send(d, r), want, 0)
		w.unchanged(d, jar)
		return
	}
	at := &pending{provider: e.idp, by: name, at: e.at(), created: w.now(), key: w.keys[0], round: 1, renews: dm.login, maxAge: -1, acr: strings.Join(dm.acr, " ")}
	if dm.maxAge > 0 {
		at.maxAge = int(dm.maxAge / time.Second)
	}
	if weaker && at.acr == "" {
		at.acr = "pwd"
	}
	if weaker && at.maxAge < 0 {
		at.maxAge = 86400
	}
	w.sent(d, i, w.live(d), w.send(d, r), &reply{attempt: at, person: person, page: dm.page}, denies)
	if c/96%4 > 0 {
		w.deliver(1, 1, 15)
	}
}

// unchanged checks that a response changed no cookie.
func (w *world) unchanged(d *device, jar map[string]string) {
	if !maps.Equal(jar, d.jar) {
		w.fail("the cookies changed from %v to %v", jar, d.jar)
	}
}

// asks compares an authorization request with the demand.
func (w *world) asks(d *device, at *pending, q url.Values) {
	want := url.Values{}
	if at.acr != "" {
		want.Set("acr_values", at.acr)
	}
	if at.maxAge >= 0 {
		want.Set("max_age", fmt.Sprint(at.maxAge))
	}
	if at.round == 2 {
		want.Set("prompt", "login")
	}
	if at.renews != nil && w.load(d.held) == somebody && d.held.login == at.renews && at.renews.email != "" {
		want.Set("login_hint", at.renews.email)
	}
	for _, name := range []string{"acr_values", "max_age", "prompt", "login_hint"} {
		if !slices.Equal(q[name], want[name]) {
			w.fail("the provider is asked with %s %q, want %q", name, q[name], want[name])
		}
	}
}

// again is the second round of a demand: the browser is redirected to the provider again.
func (w *world) again(d *device, i int, live []string, first *reply, location string) {
	at := *first.attempt
	at.round, at.maxAge, at.spent, at.created, at.key = 2, 0, false, w.now(), w.keys[0]
	w.note("device %d is sent to %s once more", i, at.by)
	at.at = w.pathOf(at.provider)
	w.register(d, i, live, location, &reply{attempt: &at, person: first.person, page: first.page}, false)
	if w.serial%4 > 0 {
		w.deliver(1, 1, 15)
	}
}

// insufficient returns why an ID token does not satisfy an attempt: the acr is checked last.
func (w *world) insufficient(at *pending, l *login) (refused, acr bool) {
	switch age := w.now().Sub(l.authTime); {
	case l.told && age < -machineLeeway, at.maxAge >= 0 && !l.told, at.maxAge >= 0 && age > time.Duration(at.maxAge)*time.Second+machineLeeway:
		return true, false
	case at.acr != "" && !slices.Contains(strings.Fields(at.acr), l.acr):
		return true, true
	}
	return false, false
}

// mood changes how a provider authenticates users.
func (w *world) mood(a, b, c int) {
	all := []authtest.Ignorable{authtest.MaxAge, authtest.Prompt, authtest.ACRValues, authtest.ACRValuesSignOn, authtest.AuthTime, authtest.ACR}
	var ignored []authtest.Ignorable
	for n, what := range all {
		if b%3 > 0 && b/3>>(2*n)%4 == 0 {
			ignored = append(ignored, what)
		}
	}
	acr, idp, on := []string{"", "pwd", "mfa", "hwk", "gold"}[c%5], w.idps[a%2], a/2%4 > 0
	w.note("the provider %s has people authenticate with %q, single sign-on: %v, and ignores %v", idp.Issuer, acr, on, ignored)
	idp.SingleSignOn(on)
	idp.AuthenticateWith(acr)
	idp.Ignore(ignored...)
}

// machinePage is the provider of users that sign in on the application's own page.
const machinePage = 2

const houseIssuer = "https://house.example"

// password signs a user in on the application's own page, with a current or an earlier proof.
func (w *world) password(a, b, c int) {
	i := a % len(w.devices)
	d, l := w.devices[i], &login{name: fmt.Sprint("login ", w.serial+1), by: "house", provider: machinePage, issuer: houseIssuer, sub: machinePeople[b%3],
		created: w.now(), until: seconds(w.now().Add(machineLifetime)), issued: seconds(w.now()), told: true}
	w.serial++
	l.acr = []string{"", "", "mfa", "pwd"}[b/3%4]
	ago := []time.Duration{0, 0, 4 * time.Minute, time.Hour}[c%4]
	l.authTime = seconds(w.now().Add(-ago))
	l.mark = w.watermark(w.everywhere, l.issuer+"#"+l.sub)
	w.note("device %d signs in on the application's page as %s, with acr %q, %v ago", i, l.sub, l.acr, ago)
	want := w.starts(d.held, l)
	if w.proofs[l.issuer+"#"+l.sub] = append(w.proofs[l.issuer+"#"+l.sub], proof{l.acr, l.authTime}); want == "" && d.held != nil {
		w.erased(d.held)
	}
	if want == "" && w.home.stored && (w.store.failRead || w.store.failWrite) {
		want = ginauth.ErrStoreUnavailable
	}
	form := url.Values{"sub": {l.sub}, "login": {l.name}, "acr": {l.acr}, "ago": {ago.String()}}
	w.expect(w.send(d, opened("POST", "/password", form)), want, http.StatusOK)
	if want == "" {
		d.held = &held{login: l, record: &record{seen: seconds(w.now()), key: w.keys[0]}, bind: w.keys[0]}
	}
}

// passwordPage is the handler of that page.
func (w *world) passwordPage(c *gin.Context) {
	u := &ginauth.User{Provider: "house", Subject: c.PostForm("sub"), ACR: c.PostForm("acr"), Data: map[string]string{"login": c.PostForm("login")}}
	if ago, _ := time.ParseDuration(c.PostForm("ago")); ago > 0 {
		u.AuthTime = w.now().Add(-ago)
	}
	if err := w.auth.SignIn(c, u, nil); err != nil {
		w.answerError(c, err)
	}
}
