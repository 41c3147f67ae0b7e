package authtest

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ignorable is a parameter or claim about authentication that a provider may ignore or omit.
type Ignorable string

// The arguments of [Provider.Ignore].
const (
	MaxAge          Ignorable = "max_age"    // the parameter of the authorization request
	Prompt          Ignorable = "prompt"     // likewise
	ACRValues       Ignorable = "acr_values" // likewise
	ACRValuesSignOn Ignorable = "acr_values of a single sign-on"
	AuthTime        Ignorable = "auth_time" // the claim of ID tokens
	ACR             Ignorable = "acr"       // likewise
)

// authentication configures how users authenticate.
type authentication struct {
	singleSignOn bool
	ignored      []Ignorable
	acr          string
	amr          []string
}

// SingleSignOn makes the authorization endpoint respond without a page if the browser has a
// session at the provider, as most providers do, unless the request asks for more:
// prompt=login, a max_age that has passed, or acr_values that the session does not have.
// Default: false; users authenticate at each sign-in.
func (p *Provider) SingleSignOn(on bool) {
	p.authenticationIs(func(a *authentication) { a.singleSignOn = on })
}

// AuthenticateWith sets the acr and amr of later authentications; without it, ID tokens have
// neither. If a request has acr_values, the first of these is used instead of acr.
func (p *Provider) AuthenticateWith(acr string, amr ...string) {
	p.authenticationIs(func(a *authentication) { a.acr, a.amr = acr, slices.Clone(amr) })
}

// Ignore makes the provider ignore parameters or omit claims, as some providers do. It
// replaces earlier calls. ACRValuesSignOn honours acr_values when users authenticate, but
// continues a session with another acr.
func (p *Provider) Ignore(what ...Ignorable) {
	p.authenticationIs(func(a *authentication) { a.ignored = slices.Clone(what) })
}

func (p *Provider) authenticationIs(change func(*authentication)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.authentication)
}

func (p *Provider) howToAuthenticate() authentication {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.authentication
}

func (a *authentication) ignores(what Ignorable) bool { return slices.Contains(a.ignored, what) }

// acrValues returns the acr_values of a request, unless they are ignored.
func (a *authentication) acrValues(params url.Values) []string {
	if a.ignores(ACRValues) {
		return nil
	}
	return strings.Fields(params.Get("acr_values"))
}

// suffices reports whether a session meets a request (OpenID Connect Core 1.0, section 3.1.2.1),
// so that the user need not authenticate again.
func (a *authentication) suffices(s session, params url.Values, now time.Time) bool {
	if slices.Contains(strings.Fields(params.Get("prompt")), "login") && !a.ignores(Prompt) {
		return false
	}
	// 0 also prompts within the second in which the user authenticated.
	if age, err := strconv.Atoi(params.Get("max_age")); err == nil && !a.ignores(MaxAge) && (age == 0 || now.Sub(s.since) > time.Duration(age)*time.Second) {
		return false
	}
	values := a.acrValues(params)
	return len(values) == 0 || slices.Contains(values, s.acr) || a.ignores(ACRValuesSignOn)
}

// authenticated returns the session of a user that has just authenticated.
func (a *authentication) authenticated(s session, params url.Values, now time.Time) session {
	s.since, s.acr, s.amr = now, a.acr, a.amr
	if values := a.acrValues(params); len(values) > 0 {
		s.acr = values[0]
	}
	return s
}
