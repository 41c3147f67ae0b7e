package authtest

import (
	"crypto/rand"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	devicePath  = "/device"
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
	deviceLife  = 10 * time.Minute

	// slowDown is added to the interval of a device that polls too often (RFC 8628, section
	// 3.5).
	slowDown = 5 * time.Second

	// userCodeLetters are those of RFC 8628, section 6.1: no vowels, so that a code is never a
	// word, and no letter that looks like another one.
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8
)

// device is a device that requests to act for a user (RFC 8628).
type device struct {
	userCode string
	expires  time.Time
	interval time.Duration
	polled   time.Time // time of its last token request
	asks     grant     // its scopes and resources
	allowed  bool
	denied   bool
}

// serveDeviceAuthorization is the device authorization endpoint (RFC 8628, section 3.1).
func (p *Provider) serveDeviceAuthorization(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !allowed(w, r, http.MethodPost) {
		return
	}
	form, ok := p.authenticatedForm(w, r)
	if !ok {
		return
	}
	now := p.now()
	d := &device{
		userCode: newUserCode(), expires: now.Add(deviceLife), interval: p.config.DeviceInterval,
		asks: grant{scopes: strings.Fields(form.Get("scope")), resources: form["resource"]},
	}
	switch {
	case !p.supports(d.asks.scopes):
		tokenError(w, http.StatusBadRequest, "invalid_scope", "the scope is unknown to the provider and its APIs")
		return
	case !p.knowsAll(d.asks.resources):
		tokenError(w, http.StatusBadRequest, "invalid_target", "resource is not an API of this provider")
		return
	}
	code := randomString(32)
	p.mu.Lock()
	for old, d := range p.devices { // until then the device gets expired_token
		if now.Sub(d.expires) > time.Hour {
			delete(p.devices, old)
		}
	}
	p.devices[code] = d
	p.mu.Unlock()
	page := p.Issuer + devicePath
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": d.userCode, "expires_in": int(deviceLife.Seconds()), "interval": int(d.interval.Seconds()),
		"verification_uri": page, "verification_uri_complete": page + "?" + url.Values{"user_code": {d.userCode}}.Encode(),
	})
}

// newUserCode returns a code for a user to type: BCDF-GHJK.
func newUserCode() string {
	letters := make([]byte, userCodeLength)
	for i := range letters {
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters)))) // never fails
		letters[i] = userCodeLetters[n.Int64()]
	}
	return string(letters[:userCodeLength/2]) + "-" + string(letters[userCodeLength/2:])
}

// typedUserCode normalizes a user code as a user may type it: in lower case, or without the
// hyphen (RFC 8628, section 6.1). It returns "" if it is malformed.
func typedUserCode(s string) string {
	s = strings.Map(func(r rune) rune {
		if !strings.ContainsRune(userCodeLetters, r) {
			return -1
		}
		return r
	}, strings.ToUpper(s))
	if len(s) != userCodeLength {
		return ""
	}
	return s[:userCodeLength/2] + "-" + s[userCodeLength/2:]
}

// waiting returns the device with this user code that waits for a user. The caller holds the
// lock.
func (p *Provider) waiting(userCode string) *device {
	for _, d := range p.devices {
		if d.userCode == userCode && !d.allowed && !d.denied && !p.now().After(d.expires) {
			return d
		}
	}
	return nil
}

// showDevice is the page to which a device directs its user. A code in the URL is shown, and the
// device is not allowed before the user has compared the code with that on the device: an
// attacker may have sent the link (RFC 8628, section 5.4).
func (p *Provider) showDevice(w http.ResponseWriter, r *http.Request) {
	p.deviceStep(w, r.URL.Query().Get("user_code"))
}

// deviceStep shows the next step for a typed code: the question whether the device may act for a
// user or, if the code is unknown, the field to type a code.
func (p *Provider) deviceStep(w http.ResponseWriter, typed string) {
	code := typedUserCode(typed)
	p.mu.Lock()
	d := p.waiting(code)
	p.mu.Unlock()
	if d == nil {
		showPage(w, http.StatusOK, "device", map[string]any{"Action": devicePath, "Unknown": typed != ""})
		return
	}
	showPage(w, http.StatusOK, "device", map[string]any{
		"Action": devicePath, "Client": p.config.ClientName, "Code": code, "Scopes": d.asks.scopes, "People": p.everyone(),
	})
}

// serveDevice handles what the user typed or chose on the page.
func (p *Provider) serveDevice(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	form := r.PostForm
	person, chosen := p.person(form.Get("person"))
	if !chosen && !form.Has("cancel") {
		p.deviceStep(w, form.Get("user_code"))
		return
	}
	var s session
	if chosen {
		s = p.signIn(w, r, nil, person)
	}
	p.mu.Lock()
	d := p.waiting(typedUserCode(form.Get("user_code")))
	if d != nil {
		d.denied = !chosen || p.deny
		d.allowed = !d.denied
		d.asks.person, d.asks.session = person, s
	}
	p.mu.Unlock()
	if d == nil {
		p.deviceStep(w, form.Get("user_code"))
		return
	}
	showPage(w, http.StatusOK, "device_done", map[string]any{"Client": p.config.ClientName, "Allowed": d.allowed})
}

// redeemDevice issues the token of a device, once (RFC 8628, sections 3.4 and 3.5).
func (p *Provider) redeemDevice(form url.Values) (*grant, string, *oauthError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, code := p.now(), form.Get("device_code")
	d := p.devices[code]
	switch {
	case d == nil:
		return nil, "", invalidGrant("the device_code is unknown or was already used")
	case now.After(d.expires):
		return nil, "", &oauthError{"expired_token", "the device code has expired"}
	}
	// The device's timer and the network may shorten the interval by a quarter.
	hasty := !d.polled.IsZero() && now.Sub(d.polled) < d.interval-d.interval/4
	if d.polled = now; hasty {
		d.interval += slowDown
		return nil, "", &oauthError{"slow_down", "the device polls before its interval is over"}
	}
	p.answerForPerson(d, now)
	switch {
	case d.denied:
		return nil, "", &oauthError{"access_denied", "the user did not allow the device"}
	case !d.allowed:
		return nil, "", &oauthError{"authorization_pending", "the user has not decided yet"}
	}
	g := d.asks
	var problem *oauthError
	if g.audience, problem = p.audience(form, &g); problem != nil {
		return nil, "", problem
	}
	delete(p.devices, code)
	g.begin()
	return &g, p.issue(&g), nil
}

// answerForPerson allows or denies a device if SignInAs or DenyConsent is set. The caller holds
// the lock.
func (p *Provider) answerForPerson(d *device, now time.Time) {
	if d.allowed || d.denied {
		return
	}
	d.denied = p.deny
	for _, person := range p.people {
		if !p.deny && person.Subject == p.signInAs {
			s := session{subject: person.Subject, sid: randomString(16)}
			d.allowed, d.asks.person, d.asks.session = true, person, p.authentication.authenticated(s, nil, now)
		}
	}
}
