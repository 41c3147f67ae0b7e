package ginauth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/rp"
)

// String formats the Diagnosis for a terminal: first the problems, then what to register and
// the settings in use.
func (d *Diagnosis) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s\n", d.BaseURL, count(len(d.Problems), "problem"), count(len(d.Warnings), "warning"))
	if slices.ContainsFunc(d.Providers, func(p ProviderDiagnosis) bool { return p.RedirectURI != "" }) {
		b.WriteString("client ID, secret and redirect URI are verified only by a sign-in\n")
	}
	for _, e := range d.Problems {
		e.list(&b, "PROBLEM")
	}
	for _, e := range d.Warnings {
		e.list(&b, "warning")
	}
	for i := range d.Providers {
		d.listProvider(&b, &d.Providers[i])
	}
	if d.ResourceMetadata != "" {
		b.WriteString("\naccess tokens\n")
		row(&b, "metadata", d.ResourceMetadata)
	}
	for i, c := range d.Cookies {
		use := c.Use
		if i == 0 { // nearly all have the same attributes
			fmt.Fprintf(&b, "\ncookies (%s)\n", c.Attributes)
		} else if c.Attributes != d.Cookies[0].Attributes {
			use += " (" + c.Attributes + ")"
		}
		row(&b, c.Name, fmt.Sprintf("%s: %s", printable.Duration(c.Life), use))
	}
	return b.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// row writes a name and a text, unless the text is empty.
func row(b *strings.Builder, name, text string) {
	if text != "" {
		fmt.Fprintf(b, "  %-25s %s\n", name, text)
	}
}

// list writes an error in a few lines. Operators also get the cause, as in the log, without a
// URL, which may contain a secret.
func (e *Error) list(b *strings.Builder, kind string) {
	about := e.Op
	if e.Provider != "" && e.Op != "" {
		about = e.Provider + ": " + e.Op
	}
	fmt.Fprintf(b, "\n%s %s: %s\n", kind, cmp.Or(about, e.Provider), cmp.Or(e.Reason, string(e.Code)))
	row(b, "what to do", e.Fix)
	if e.Err != nil {
		row(b, "cause", printable.ASCII(fmt.Sprint(redactURL(e.Err))))
	}
}

// unreachable reports whether e means that a request to the provider failed.
func (e *Error) unreachable() bool {
	return e.Code == ErrProviderUnavailable || e.Code == ErrProviderTimeout
}

// unanswered reports whether the provider did not respond, or only a proxy in front of it did.
// A 404 is a response.
func (e *Error) unanswered() bool {
	f, ok := errors.AsType[*fetch.Error](e.Err)
	return e.unreachable() && (!ok || f.Status == 0 || f.Status == http.StatusBadGateway || f.Status == http.StatusServiceUnavailable || f.Status == http.StatusGatewayTimeout)
}

// listProvider writes the section of one provider.
func (d *Diagnosis) listProvider(b *strings.Builder, p *ProviderDiagnosis) {
	state, kind, wrong := "answers", "plain OAuth 2.0", 0
	for _, e := range d.Problems {
		if e.Provider != p.Name {
			continue
		}
		wrong++
		switch {
		case e.unanswered():
			state = "does not respond"
		case e.unreachable() && state == "answers":
			state = "sends invalid responses"
		}
	}
	if wrong > 0 {
		state += ", " + count(wrong, "problem")
	}
	if p.Issuer != "" {
		kind = "OpenID Connect, " + p.Issuer
	}
	if p.LoginPage != "" {
		fmt.Fprintf(b, "\nprovider %s: a page of the application, %s\n", p.Name, p.LoginPage)
		return
	}
	fmt.Fprintf(b, "\nprovider %s: %s (%s)\n", p.Name, state, kind)
	if p.RedirectURI == "" {
		d.listResourceServer(b, p)
		return
	}
	b.WriteString(" register at the provider\n")
	logout := func(address, name string) string {
		if address != "" && len(p.Offered) > 0 && !slices.Contains(p.Offered[name], "true") {
			address += " (not announced by the provider)"
		}
		return address
	}
	row(b, "redirect URI", p.RedirectURI)
	row(b, "post-logout redirect URI", p.PostLogoutRedirectURI)
	row(b, "back-channel logout URI", logout(p.BackChannelLogoutURI, "backchannel_logout_supported"))
	row(b, "front-channel logout URI", logout(p.FrontChannelLogoutURI, "frontchannel_logout_supported"))
	row(b, "JWK Set", string(p.JWKS))
	b.WriteString(" in use\n")
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint", "introspection_endpoint"} {
		row(b, name, p.Endpoints[name])
	}
	// otherwise describes an unused feature; "none" would read like the algorithm of that name.
	used := func(name, used, otherwise, offered string) {
		if list := p.Offered[offered]; len(list) > 0 {
			used = cmp.Or(used, otherwise) + " (offered: " + strings.Join(list, ", ") + ")"
		}
		row(b, name, used)
	}
	const unsettled = "unknown until the problems are fixed"
	used("PKCE", p.PKCE, "off", "code_challenge_methods_supported")
	used("scopes", strings.Join(p.Scopes, ", "), "not requested", "scopes_supported")
	used("response mode", p.ResponseMode, "", "response_modes_supported")
	row(b, "sign-out", p.SignOut)
	used("iss in responses", map[bool]string{true: "required"}[p.RequiresIss], "", "")
	used("client authentication", p.AuthMethod, unsettled, "token_endpoint_auth_methods_supported")
	used("ID token algorithms", strings.Join(p.Algorithms, ", "), unsettled, "id_token_signing_alg_values_supported")
	row(b, "access tokens for", p.Audience)
	row(b, "APIs", strings.Join(p.APIs, ", "))
	p.listKeys(b)
}

// listResourceServer writes the section of a provider that is for access tokens only.
func (d *Diagnosis) listResourceServer(b *strings.Builder, p *ProviderDiagnosis) {
	b.WriteString(" in use, for access tokens only\n")
	row(b, "access tokens for", p.Audience)
	row(b, "jwks_uri", p.Endpoints["jwks_uri"])
	p.listKeys(b)
}

// listKeys writes the signing keys and the difference of the clocks.
func (p *ProviderDiagnosis) listKeys(b *strings.Builder) {
	var keys []string
	for _, alg := range slices.Sorted(maps.Keys(p.Keys)) {
		keys = append(keys, fmt.Sprintf("%d for %s", p.Keys[alg], alg))
	}
	row(b, "signing keys", strings.Join(keys, ", "))
	row(b, "clock", rp.ClockText(p.ClockAhead, p.ClockTolerance))
}
