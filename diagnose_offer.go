package ginauth

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/weburl"
)

// clockNoted is how far a clock may be off before somebody should know. From
// leeway on, ID tokens are refused.
const clockNoted = 10 * time.Second

func (x *exam) compareKeys() {
	if x.keys != nil && len(x.keys) == 0 && !x.client.provider.Quirks.HS256 {
		x.fail(x.client.misconfigured("signing keys", "none of the published keys fits an ID token that is signed with "+strings.Join(x.meta.algs, ", "),
			"see that the provider publishes its signing keys at jwks_uri, RSA ones with 2048 bits or more"))
	}
}

// compareClock: an ID token's times are held against ours. Plain OAuth 2.0 has none.
func (x *exam) compareClock() {
	off := x.ahead.Abs() - x.tolerance
	if x.tolerance == 0 || x.client.provider.Issuer == "" || off <= clockNoted {
		return
	}
	reason, fix := "the provider's clock is "+clockText(x.ahead, x.tolerance), "set this machine's clock (NTP)"
	if off > leeway {
		x.fail(x.client.misconfigured("clock", fmt.Sprintf("%s: ID tokens are refused from %s on", reason, printable.Duration(leeway)), fix))
	} else {
		x.warn("clock", reason, fix)
	}
}

// clockText says where the provider's clock is, seen from ours.
func clockText(ahead, tolerance time.Duration) string {
	give := ", give or take " + printable.Duration((tolerance + time.Second - 1).Truncate(time.Second))
	switch off := printable.Duration(ahead.Abs().Round(time.Second)); {
	case tolerance == 0:
		return "not known: no answer had a Date"
	case ahead.Abs() <= tolerance:
		return "the same as this machine's" + give
	case ahead > 0:
		return off + " ahead of this machine's" + give
	default:
		return off + " behind this machine's" + give
	}
}

// compareOffer holds what a sign-in uses against what the metadata says. A
// provider may take more than it says: these are warnings.
func (x *exam) compareOffer() {
	p := &x.client.provider
	lacks := func(name, value string) bool {
		offered := strictjson.Strings(x.doc[name])
		return len(offered) > 0 && !slices.Contains(offered, value)
	}
	for _, c := range []struct {
		is          bool
		reason, fix string
	}{
		{!p.Quirks.DisablePKCE && lacks("code_challenge_methods_supported", "S256"), "the provider does not offer PKCE with S256, which is sent all the same",
			"if sign-ins fail at the provider, set Quirks.DisablePKCE"},
		{p.Quirks.DisablePKCE && slices.Contains(strictjson.Strings(x.doc["code_challenge_methods_supported"]), "S256"), "the provider offers PKCE with S256, and Quirks.DisablePKCE leaves it out", "drop Quirks.DisablePKCE"},
		{p.AuthMethod != "" && lacks("token_endpoint_auth_methods_supported", p.AuthMethod), fmt.Sprintf("the provider does not offer the AuthMethod %q", p.AuthMethod),
			"drop AuthMethod: it is chosen from the metadata"},
		{lacks("response_modes_supported", p.ResponseMode), fmt.Sprintf("the provider does not offer the ResponseMode %q", p.ResponseMode), "set another ResponseMode"},
		{lacks("response_types_supported", "code"), "the provider does not offer the response type code, which is the one in use", "allow the authorization code flow for this client"},
	} {
		if c.is {
			x.warn("metadata", c.reason, c.fix)
		}
	}
	if x.meta != nil && !x.client.cfg.loopback && weburl.IsLoopback(x.meta.authorize.Hostname()) {
		x.warn("authorization endpoint", "is at "+x.meta.authorize.Hostname()+", which to people's browsers is their own machine", "write the address at which they reach the provider")
	}
	for _, scope := range p.Scopes {
		if lacks("scopes_supported", scope) {
			x.warn("metadata", fmt.Sprintf("the provider does not offer the scope %q", scope), "drop it from Scopes if the provider refuses it")
		}
	}
}

// offers are the members of the metadata that say what a provider can do.
var offers = []string{
	"response_types_supported", "response_modes_supported", "scopes_supported", "code_challenge_methods_supported",
	"id_token_signing_alg_values_supported", "token_endpoint_auth_methods_supported", "authorization_response_iss_parameter_supported",
	"backchannel_logout_supported", "backchannel_logout_session_supported", "frontchannel_logout_supported", "frontchannel_logout_session_supported",
}

// offered returns those that are there, as far as they can be printed.
func (x *exam) offered() map[string][]string {
	var all map[string][]string
	for _, name := range offers {
		var list []string
		for _, value := range strictjson.Strings(x.doc[name]) {
			if len(list) < 50 {
				list = append(list, printable.ASCII(value))
			}
		}
		if is, ok := x.doc[name].(bool); ok {
			list = []string{fmt.Sprint(is)}
		}
		if len(list) > 0 {
			if all == nil {
				all = map[string][]string{}
			}
			all[name] = list
		}
	}
	return all
}

// endpoints are those in use, by their names in the metadata. Their queries may
// have keys in them.
func (x *exam) endpoints() map[string]string {
	if x.meta == nil {
		return nil
	}
	all := map[string]string{}
	add := func(name, address string) {
		if u, err := url.Parse(address); err == nil && address != "" {
			all[name] = printable.ASCII((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String())
		}
	}
	add("authorization_endpoint", x.meta.authorize.String())
	add("token_endpoint", x.meta.tokenURL)
	add("userinfo_endpoint", x.meta.userinfoURL)
	add("end_session_endpoint", x.meta.endSession)
	if x.meta.keys != nil {
		add("jwks_uri", x.meta.keys.url)
	}
	return all
}

// addProviders says what came of the exams.
func (d *Diagnosis) addProviders(exams []*exam) {
	d.Providers = slices.Grow(d.Providers, len(exams))[:len(exams)]
	for i, x := range exams {
		c, p, m := x.client, &x.client.provider, x.meta
		to := &d.Providers[i]
		to.Name, to.Issuer, to.RedirectURI, to.ResponseMode = p.Name, p.Issuer, c.redirectURI, p.ResponseMode
		to.Reachable = !slices.ContainsFunc(x.problems, func(e *Error) bool { return e.Code == ErrProviderUnavailable || e.Code == ErrProviderTimeout })
		if c.comesBack(m) {
			to.PostLogoutRedirectURI = c.cfg.logoutReturn()
		}
		if p.Issuer != "" {
			to.BackChannelLogoutURI, to.FrontChannelLogoutURI = c.uri("/logout/", "/backchannel"), c.uri("/logout/", "/frontchannel")
		}
		if !p.Quirks.DisablePKCE {
			to.PKCE = "S256"
		}
		if to.AuthMethod = p.AuthMethod; m != nil {
			to.AuthMethod, to.RequiresIss = m.authMethod, m.issParam
		}
		if m != nil && p.Issuer != "" {
			to.Algorithms = slices.Clone(m.algs)
		}
		to.Scopes = slices.Clone(p.Scopes)
		to.Keys, to.Endpoints, to.Offered = x.keys, x.endpoints(), x.offered()
		to.ClockAhead, to.ClockTolerance = x.ahead, x.tolerance
	}
}

// comesBack says whether the provider's own sign-out has an address of ours to
// come back to. As long as nobody knows, it may.
func (c *client) comesBack(m *metadata) bool {
	p := &c.provider
	switch {
	case p.Logout.Local:
		return false
	case p.Logout.URL != "":
		return strings.Contains(p.Logout.URL, "{post_logout_redirect_uri}")
	case m == nil:
		return true
	}
	return m.endSession != ""
}
