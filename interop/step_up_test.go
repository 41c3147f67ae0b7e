package interop

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// stepUpServer is a server that people authenticate at again, and how it does it.
type stepUpServer interface {
	server

	// signInAgo signs Ada in who authenticated that long ago, by the server's clock,
	// and asks for her auth_time.
	signInAgo(s *site, ago time.Duration)

	// proveMore fills in the form for a second factor.
	proveMore(s *site, form *authtest.Page) *authtest.Page

	// traits are what the servers differ in.
	traits() traits
}

type traits struct {
	low, high     string // acr of a sign-in that does not ask for one, and with a second factor; "" if there is none
	forgets       bool   // it keeps no sessions, and asks each time
	tellsAuthTime bool   // in every ID token, asked for or not
	asksForMore   bool   // of those who are signed in with less, in the first round
	hintsAt       string // text of its form that has the login_hint, or ""
}

// askForAuthTime is the address of a sign-in that asks for an auth_time.
const askForAuthTime = "/auth/login/corp?return_to=/private&max_age=3600"

// newStepUp is a site with pages that want more than a session, where people get a
// cart when they sign in.
func newStepUp(t *testing.T, with stepUpServer) *site {
	t.Helper()
	return newSite(t, with, config{
		change: func(p *ginauth.Provider, o *ginauth.Options) {
			p.LoginParams = []string{"max_age"}
			o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
				if !l.Renewal {
					l.User.Data["cart"] = newName()
				}
				return nil
			}
		},
		routes: func(router *gin.Engine, auth *ginauth.Auth) {
			high := with.traits().high
			if high == "" {
				high = "mfa"
			}
			for path, checks := range map[string][]ginauth.Check{
				"/payout": {ginauth.MaxAge(5 * time.Minute)},
				"/keys":   {ginauth.ACR(high)},
				"/both":   {ginauth.ACR(high), ginauth.MaxAge(5 * time.Minute)},
				"/gold":   {ginauth.ACR("gold")},
			} {
				router.GET(path, auth.RequireAuth(checks...), func(c *gin.Context) { c.String(http.StatusOK, "shown") })
			}
		},
	})
}

// everyStepUp has what is tried at every server.
func everyStepUp(t *testing.T, with stepUpServer) {
	for _, tt := range []struct {
		name string
		try  func(*testing.T, stepUpServer)
	}{
		{"MaxAge and an authentication that is recent", tryRecentEnough},
		{"MaxAge and one that is too old", tryTooOld},
		{"ACR", tryACR},
		{"an acr that the server does not have", tryUnknownACR},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.try(t, with) })
	}
}

// trips is how often do led to the server and back.
func (s *site) trips(do func()) int {
	count := func() (n int) {
		for _, hop := range s.browser.History() {
			if hop.URL.Path == "/auth/authorize/corp" {
				n++
			}
		}
		return n
	}
	before := count()
	do()
	return count() - before
}

// asked is the last authorization request.
func (s *site) asked() url.Values {
	s.t.Helper()
	var asked url.Values
	for _, hop := range s.browser.History() {
		if to, err := url.Parse(hop.Header.Get("Location")); err == nil && strings.HasPrefix(hop.URL.String(), s.URL+"/") && to.Query().Has("code_challenge") {
			asked = to.Query()
		}
	}
	return asked
}

// wantShown checks that a page that wants more was opened, and that the person
// is who they were, with the same cart.
func (s *site) wantShown(p *authtest.Page, path string, before *profile) *profile {
	s.t.Helper()
	if p.URL.Path != path || p.Text() != "shown" || !strings.HasPrefix(p.URL.String(), s.URL) {
		s.t.Fatalf("ended at %s with status %d: %s", p.URL, p.Status, p.Text())
	}
	return s.wantSame(before)
}

// wantSame checks that the person is signed in as before.
func (s *site) wantSame(before *profile) *profile {
	s.t.Helper()
	who := s.profileOn(s.get("/private"))
	if cart := who.User.Data["cart"]; who.ID != before.ID || cart == "" || cart != before.User.Data["cart"] {
		s.t.Errorf("signed in is %s with the cart %q, before it was %s with %q", who.ID, cart, before.ID, before.User.Data["cart"])
	}
	return who
}

// again opens a page that leads to the server. One that keeps no sessions shows its
// form, which is filled in.
func (s *site) again(with stepUpServer, path string) *authtest.Page {
	s.t.Helper()
	p := s.get(path)
	if with.traits().forgets {
		s.wantLoginForm(p)
		return s.logIn(p, ada, password)
	}
	return p
}

func tryRecentEnough(t *testing.T, with stepUpServer) {
	s := newStepUp(t, with)
	before := s.signIn("/private", ada)
	want := 1 // for the auth_time
	if with.traits().tellsAuthTime {
		want = 0
	}
	var p *authtest.Page
	if n := s.trips(func() {
		if want == 0 {
			p = s.get("/payout?id=7")
		} else {
			p = s.again(with, "/payout?id=7")
		}
	}); n != want {
		t.Errorf("%d trips to the server, want %d", n, want)
	}
	if s.wantShown(p, "/payout", before); p.URL.RawQuery != "id=7" {
		t.Errorf("came back to %s", p.URL)
	}
	if n := s.trips(func() { s.wantShown(s.get("/payout"), "/payout", before) }); n != 0 {
		t.Errorf("%d trips more", n)
	}
}

func tryTooOld(t *testing.T, with stepUpServer) {
	s := newStepUp(t, with)
	with.signInAgo(s, 10*time.Minute)
	before := s.profileOn(s.get("/private"))
	if age := time.Since(before.User.AuthTime); age < 9*time.Minute || age > 20*time.Minute {
		t.Fatalf("the person authenticated %v ago", age)
	}
	form := s.loginForm("/payout?id=7")
	if asked := s.asked(); asked.Get("max_age") != "300" || asked.Get("login_hint") != "ada@example.com" {
		t.Errorf("asked for %v", asked)
	}
	if hint := with.traits().hintsAt; !strings.Contains(form.Text(), hint) {
		t.Errorf("the form does not say %q: %s", hint, form.Text())
	}
	s.wantSame(before) // gave up
	var p *authtest.Page
	if n := s.trips(func() { p = s.logIn(s.loginForm("/payout?id=7"), ada, password) }); n != 1 || p.URL.RawQuery != "id=7" {
		t.Errorf("%d trips, which end at %s", n, p.URL)
	}
	after := s.wantShown(p, "/payout", before)
	if age := time.Since(after.User.AuthTime); age > time.Minute {
		t.Errorf("the person authenticated %v ago", age)
	}
	if n := s.trips(func() { s.wantShown(s.get("/payout"), "/payout", before) }); n != 0 {
		t.Errorf("%d trips more", n)
	}
}

func tryACR(t *testing.T, with stepUpServer) {
	is := with.traits()
	if is.high == "" {
		return // see tryUnknownACR
	}
	s := newStepUp(t, with)
	before := s.signIn("/private", ada)
	if before.User.ACR != is.low {
		t.Errorf("signed in with acr %q, want %q", before.User.ACR, is.low)
	}
	rounds := 2
	if is.asksForMore {
		rounds = 1
	}
	n := s.trips(func() {
		form := s.get("/keys?id=7")
		asked := s.asked()
		if asked.Get("acr_values") != is.high || asked.Get("login_hint") != "ada@example.com" || asked.Get("max_age") != map[int]string{1: "", 2: "0"}[rounds] {
			t.Errorf("asked for %v", asked)
		}
		s.wantSame(before)
		p := with.proveMore(s, form)
		if after := s.wantShown(p, "/keys", before); after.User.ACR != is.high || p.URL.RawQuery != "id=7" {
			t.Errorf("acr is %q at %s", after.User.ACR, p.URL)
		}
	})
	if n != rounds {
		t.Errorf("%d trips, want %d", n, rounds)
	}
	if n := s.trips(func() { s.wantShown(s.get("/keys"), "/keys", before) }); n != 0 {
		t.Errorf("%d trips more", n)
	}
	if n := s.trips(func() { s.wantShown(s.get("/both"), "/both", before) }); n != 0 {
		t.Errorf("%d trips more for both checks", n)
	}
}

// The server is asked twice, the second time with max_age=0, and then it ends: the
// person is signed in as before.
func tryUnknownACR(t *testing.T, with stepUpServer) {
	s := newStepUp(t, with)
	before := s.signIn("/private", ada)
	n := s.trips(func() {
		p := s.again(with, "/gold")
		s.wantLoginForm(p)
		if asked := s.asked(); asked.Get("acr_values") != "gold" || asked.Get("max_age") != "0" || asked.Get("prompt") != "login" {
			t.Errorf("asked for %v", asked)
		}
		p = s.logIn(p, ada, password)
		if p.Status != http.StatusForbidden || !strings.Contains(p.Text(), string(ginauth.ErrIDTokenInvalid)) || !strings.HasPrefix(p.URL.String(), s.URL) {
			t.Errorf("ended at %s with status %d: %s", p.URL, p.Status, p.Text())
		}
	})
	if n != 2 {
		t.Errorf("%d trips, want 2", n)
	}
	s.wantSame(before)
}

func TestStepUpOIDCProvider(t *testing.T) {
	with := oidcProviderLevels{newOIDCProvider()}
	everyStepUp(t, with)
	t.Run("another person", func(t *testing.T) { tryAnotherPerson(t, with) })
	t.Run("pages that want different things", func(t *testing.T) { oidcProviderTwoPages(t, with) })
}

// The server says auth_time and acr only where they are asked for, each in another trip.
// Two pages do not send a person to and fro.
func oidcProviderTwoPages(t *testing.T, with oidcProviderLevels) {
	s := newStepUp(t, with)
	form := s.must(s.browser.SubmitForm(s.loginForm("/private"), "Sign in", url.Values{"username": {ada}, "password": {password}, "code": {"123456"}}))
	before := s.profileOn(s.must(s.browser.SubmitForm(form, "Allow", nil)))
	for i, visit := range []struct {
		path  string
		trips int
	}{{"/payout", 1}, {"/keys", 1}, {"/payout", 0}, {"/keys", 0}, {"/both", 0}} {
		if n := s.trips(func() { s.wantShown(s.get(visit.path), visit.path, before) }); n != visit.trips {
			t.Errorf("visit %d, of %s: %d trips, want %d", i, visit.path, n, visit.trips)
		}
	}
}

// oidcProviderLevels is oidc-provider, whose form of oidcprovider/server.js takes a code
// as second factor, and how long ago the person authenticated.
type oidcProviderLevels struct{ *oidcProvider }

func (oidcProviderLevels) traits() traits {
	return traits{high: "mfa", hintsAt: `value="ada@example.com"`}
}

func (o oidcProviderLevels) signInAgo(s *site, ago time.Duration) {
	s.t.Helper()
	p := s.must(s.browser.SubmitForm(s.loginForm(askForAuthTime), "Sign in", url.Values{
		"username": {ada}, "password": {password}, "ago": {strconv.Itoa(int(ago.Seconds()))},
	}))
	s.must(s.browser.SubmitForm(p, "Allow", nil))
}

func (oidcProviderLevels) proveMore(s *site, form *authtest.Page) *authtest.Page {
	s.t.Helper()
	s.wantLoginForm(form)
	return s.must(s.browser.SubmitForm(form, "Sign in", url.Values{"username": {ada}, "password": {password}, "code": {"123456"}}))
}

// Somebody else who authenticates at the server's form signs in here, without the cart.
func tryAnotherPerson(t *testing.T, with stepUpServer) {
	s := newStepUp(t, with)
	with.signInAgo(s, 10*time.Minute)
	before := s.profileOn(s.get("/private"))
	p := s.logIn(s.loginForm("/payout"), ben, password)
	if !strings.HasPrefix(p.URL.String(), s.URL) { // a script submits it in a browser that runs scripts
		p = s.must(s.browser.SubmitFormAt(p, 0, nil))
	}
	if with.asks(p) || strings.Contains(p.Text(), "Allow") {
		p = s.must(s.browser.SubmitForm(p, "Allow", nil))
	}
	who := s.profileOn(s.get("/private"))
	if p.Text() != "shown" || who.User.Username != ben || who.ID == before.ID || who.User.Data["cart"] == before.User.Data["cart"] {
		t.Errorf("%s shows %s; signed in is %+v", p.URL, p.Text(), who.User)
	}
}

func TestStepUpZitadel(t *testing.T) {
	with := zitadelLevels{newZitadel(t, "", false)}
	everyStepUp(t, with)
	t.Run("another person", func(t *testing.T) { tryAnotherPerson(t, with) })
}

// zitadelLevels is zitadel's provider, whose example knows no acr.
type zitadelLevels struct{ *zitadel }

func (zitadelLevels) traits() traits { return traits{forgets: true, tellsAuthTime: true} }

func (z zitadelLevels) signInAgo(s *site, ago time.Duration) {
	s.t.Helper()
	z.setAgo(ago)
	defer z.setAgo(0)
	s.signIn(askForAuthTime, ada)
}

func (zitadelLevels) proveMore(*site, *authtest.Page) *authtest.Page {
	panic("it knows no second factor")
}

func TestStepUpKeycloak(t *testing.T) {
	with := newKeycloakLevels(t)
	everyStepUp(t, with)
	t.Run("a person without a second factor", func(t *testing.T) { keycloakNoSecondFactor(t, with) })
	t.Run("login_hint without a session there", func(t *testing.T) { keycloakLoginHint(t, with) })
	t.Run("an old password", func(t *testing.T) { keycloakOldPassword(t, with) })
}

// The server asks such a person to set one up. Somebody who does not is signed in as
// before.
func keycloakNoSecondFactor(t *testing.T, with keycloakLevels) {
	s := newStepUp(t, with)
	before := s.signIn("/private", ben)
	if p := s.get("/keys"); !strings.Contains(p.URL.Path, "/login-actions/required-action") || !strings.Contains(p.Text(), "Mobile Authenticator Setup") {
		t.Errorf("got to %s: %s", p.URL, p.Text())
	}
	s.wantSame(before)
}

func keycloakLoginHint(t *testing.T, with keycloakLevels) {
	with.edit = attribute("backchannel.logout.url", "")
	defer func() { with.edit = nil }()
	s := newStepUp(t, with)
	before := s.signIn("/private", ada)
	with.admin(t, http.MethodDelete, with.path("/sessions/"+before.Claims["sid"].(string)), nil, nil)
	form := s.loginForm("/keys")
	if !strings.Contains(form.Text(), `value="ada@example.com"`) {
		t.Errorf("the form does not have the address: %s", form.Text())
	}
	s.wantShown(with.proveMore(s, s.logIn(form, ada, password)), "/keys", before)
}

// Where the password is old and the second factor was never asked for, a page gets the
// one that it wants.
func keycloakOldPassword(t *testing.T, with keycloakLevels) {
	s := newStepUp(t, with)
	with.signInAgo(s, 10*time.Minute)
	before := s.profileOn(s.get("/private"))
	s.loginForm("/both")
	after := s.wantShown(with.proveMore(s, s.get("/keys")), "/keys", before)
	if age := time.Since(after.User.AuthTime); age > time.Minute {
		t.Errorf("a second factor alone is no authentication: the person authenticated %v ago", age)
	}
	if n := s.trips(func() { s.wantShown(s.get("/both"), "/both", before) }); n != 0 {
		t.Errorf("%d trips more", n)
	}
}

// keycloakLevels is a realm with a browser flow of two levels, as the chapter
// "Step-up authentication" of Keycloak's manual describes it: a password, then a
// one-time password, which Ada has.
type keycloakLevels struct{ *keycloak }

const otpSecret = "a secret of Ada's phone"

func newKeycloakLevels(t *testing.T) keycloakLevels {
	t.Helper()
	k := keycloakLevels{newKeycloak(t)}
	k.admin(t, http.MethodPut, k.path("/users/"+k.id(t, ada)), object{"credentials": []object{
		{"type": "password", "value": password},
		{"type": "otp", "secretData": `{"value": "` + otpSecret + `"}`, "credentialData": `{"subType": "totp", "digits": 6, "period": 30, "algorithm": "HmacSHA1"}`},
	}}, nil)
	k.admin(t, http.MethodPost, k.path("/authentication/flows"), object{"alias": "levels", "providerId": "basic-flow", "topLevel": true}, nil)
	k.step(t, "levels", "auth-cookie", "ALTERNATIVE")
	k.flow(t, "levels", "each level", "ALTERNATIVE")
	for i, form := range []string{"auth-username-password-form", "auth-otp-form"} {
		level := fmt.Sprint(i + 1)
		flow := "level " + level
		k.flow(t, "each level", flow, "CONDITIONAL")
		condition := k.step(t, flow, "conditional-level-of-authentication", "REQUIRED")
		k.admin(t, http.MethodPost, k.path("/authentication/executions/"+condition+"/config"), object{
			"alias": flow, "config": object{"loa-condition-level": level, "loa-max-age": "36000"},
		}, nil)
		k.step(t, flow, form, "REQUIRED")
	}
	k.admin(t, http.MethodPut, k.path(""), object{
		"browserFlow": "levels", "attributes": object{"acr.loa.map": `{"pwd": 1, "otp": 2}`},
		"otpPolicyType": "totp", "otpPolicyAlgorithm": "HmacSHA1", "otpPolicyDigits": 6, "otpPolicyPeriod": 30, "otpPolicyLookAheadWindow": 1,
		"otpPolicyCodeReusable": true, // the tests are faster than the codes change
	}, nil)
	var realm object
	if k.admin(t, http.MethodGet, k.path(""), nil, &realm); realm["otpPolicyCodeReusable"] != true {
		t.Fatal("codes cannot be used twice")
	}
	return k
}

// step adds a step to a flow, and flow a flow inside of it. They return its id.
func (k keycloakLevels) step(t *testing.T, flow, provider, requirement string) string {
	t.Helper()
	return k.execution(t, flow, "execution", object{"provider": provider}, requirement)
}

func (k keycloakLevels) flow(t *testing.T, flow, alias, requirement string) string {
	t.Helper()
	return k.execution(t, flow, "flow", object{"alias": alias, "type": "basic-flow"}, requirement)
}

func (k keycloakLevels) execution(t *testing.T, flow, kind string, what object, requirement string) string {
	t.Helper()
	path := k.path("/authentication/flows/" + url.PathEscape(flow) + "/executions")
	k.admin(t, http.MethodPost, path+"/"+kind, what, nil)
	var all []object
	k.admin(t, http.MethodGet, path, nil, &all)
	var last object
	for _, execution := range all {
		if execution["level"] == 0.0 {
			last = execution
		}
	}
	last["requirement"] = requirement
	k.admin(t, http.MethodPut, path, last, nil)
	return last["id"].(string)
}

func (keycloakLevels) traits() traits {
	return traits{low: "pwd", high: "otp", tellsAuthTime: true, asksForMore: true, hintsAt: "ada"}
}

// signInAgo makes the authentication older in the server's database, which is the one
// place for it, and has the server tell the application.
func (k keycloakLevels) signInAgo(s *site, ago time.Duration) {
	s.t.Helper()
	s.signIn("/private", ada)
	k.down(s.t)
	k.servers(s.t, "sql", fmt.Sprintf(`update OFFLINE_USER_SESSION set DATA = regexp_replace(DATA, '"AUTH_TIME":"[0-9]+"', '"AUTH_TIME":"%d"')
		where REALM_ID = (select ID from REALM where NAME = '%s')`, time.Now().Add(-ago).Unix(), k.realm))
	k.up(s.t)
	s.profileOn(s.get(askForAuthTime))
}

// proveMore fills in the form for the one-time password, which is the only one.
func (keycloakLevels) proveMore(s *site, form *authtest.Page) *authtest.Page {
	s.t.Helper()
	if !strings.Contains(form.Text(), `id="kc-otp-login-form"`) || strings.Contains(form.Text(), `name="password"`) {
		s.t.Fatalf("got to %s instead of a form for a one-time password: %s", form.URL, form.Text())
	}
	return s.must(s.browser.SubmitForm(form, "Sign In", url.Values{"otp": {oneTimePassword(time.Now())}}))
}

// oneTimePassword is Ada's at some time (RFC 6238).
func oneTimePassword(at time.Time) string {
	mac := hmac.New(sha1.New, []byte(otpSecret))
	_ = binary.Write(mac, binary.BigEndian, at.Unix()/30)
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 15 // RFC 4226, 5.3
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1e6)
}
