package ginauth

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// where names a field of the provider in a message.
func (p *Provider) where(field string) string { return fmt.Sprintf("provider %q: %s", p.Name, field) }

// check reports every mistake that can be known without asking the provider.
// It mends one: an Issuer that is the address of the discovery document.
func (p *Provider) check(wrong *mistakes, devHost bool) {
	p.Issuer = strings.TrimSuffix(p.Issuer, "/.well-known/openid-configuration")
	add := func(field, reason, fix string) { wrong.add(p.where(field), reason, fix) }
	if !validName(p.Name) {
		add("Name", "cannot stand in a route", "use 1 to 32 of a-z, 0-9, _ and -")
	}
	p.checkClient(add)
	p.checkAddresses(add, devHost)
	p.checkKind(add)
	p.checkModes(add)
	for _, s := range p.Scopes {
		if s == "" || strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) >= 0 {
			add("Scopes", fmt.Sprintf("%q is not one scope", s), `write each as an element of its own: []string{"profile", "email"}`)
		}
	}
	for _, name := range append(sortedKeys(p.AuthParams), p.LoginParams...) {
		if slices.Contains(protocolParams, name) || name == "" {
			add("AuthParams", fmt.Sprintf("%q is the protocol's own parameter", name), "leave it out; see the other fields of Provider")
		}
	}
}

func validName(name string) bool {
	return len(name) >= 1 && len(name) <= 32 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

type addMistake = func(field, reason, fix string)

func (p *Provider) checkClient(add addMistake) {
	if p.ClientID == "" {
		add("ClientID", "is empty (is the environment variable set?)", "register the application at the provider and paste its client id")
	}
	if !slices.Contains([]string{"", "client_secret_basic", "client_secret_post", "none"}, p.AuthMethod) {
		add("AuthMethod", fmt.Sprintf("%q is not known", p.AuthMethod), `use "client_secret_basic", "client_secret_post" or "none"`)
	}
	switch {
	case p.AuthMethod == "none" && (p.ClientSecret != "" || p.ClientSecretFunc != nil):
		add("ClientSecret", `is set, but AuthMethod "none" sends no secret`, "drop one of the two")
	case p.AuthMethod == "none" && p.DisablePKCE:
		add("DisablePKCE", "leaves a public client without any protection of the code", "give the client a secret, or leave PKCE on")
	case p.AuthMethod != "none" && p.ClientSecret == "" && p.ClientSecretFunc == nil:
		add("ClientSecret", "is empty (is the environment variable set?)", `paste the client secret, or set AuthMethod "none" for a public client`)
	}
	for _, s := range []struct{ field, value string }{{"ClientID", p.ClientID}, {"ClientSecret", p.ClientSecret}} {
		if s.value != strings.TrimSpace(s.value) {
			add(s.field, "begins or ends with white space", "trim it: files and shells like to add a line break")
		} else if strings.Trim(s.value, `"'`) != s.value {
			add(s.field, "begins or ends with a quotation mark", "leave the quotes out: env files keep them as part of the value")
		}
	}
}

func (p *Provider) checkAddresses(add addMistake, devHost bool) {
	for _, a := range []struct{ field, value string }{
		{"Issuer", p.Issuer}, {"AuthorizeURL", p.AuthorizeURL}, {"TokenURL", p.TokenURL},
		{"UserinfoURL", p.UserinfoURL}, {"JWKSURL", p.JWKSURL}, {"EndSessionURL", p.EndSessionURL},
	} {
		if a.value == "" {
			continue
		}
		if strings.ContainsAny(a.value, "{}") {
			add(a.field, fmt.Sprintf("%q has a placeholder in it", a.value), "put your own tenant or domain in its place")
			continue
		}
		if why := unfitURL(a.value, devHost); why != "" {
			add(a.field, fmt.Sprintf("%q %s", a.value, why), "write an https address (http is for loopback, and for development with a loopback BaseURL)")
		} else if u, _ := url.Parse(a.value); a.field == "Issuer" && u.RawQuery != "" {
			add(a.field, fmt.Sprintf("%q has a query", a.value), "an issuer is scheme, host and path (OpenID Connect Discovery 1.0, section 3)")
		}
	}
}

// unfitURL says why an address is none to send people or secrets to, or "".
// httpOK allows http on hosts that are not loopback.
func unfitURL(address string, httpOK bool) string {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" || strings.TrimSpace(address) != address || strings.ContainsAny(address, "\\ "):
		return "is not an address"
	case u.User != nil:
		return "has a user name in it"
	case u.Fragment != "" || strings.HasSuffix(address, "#"):
		return "has a fragment"
	case u.Scheme == "https":
		return ""
	case u.Scheme == "http" && (httpOK || isLoopback(u.Hostname())):
		return ""
	}
	return "is not https"
}

// checkKind checks what an OpenID Connect and a plain OAuth 2.0 provider need.
func (p *Provider) checkKind(add addMistake) {
	if p.Issuer != "" {
		if p.Namespace != "" {
			add("Namespace", "is for plain OAuth 2.0, and this provider has an Issuer", "drop Namespace")
		}
		if p.Profile != nil {
			add("Profile", "is for plain OAuth 2.0, and this provider has an Issuer", "drop Profile, or drop Issuer and set Namespace to it")
		}
		for claim := range p.ClaimPaths {
			if slices.Contains(protocolClaims, claim) {
				add("ClaimPaths", fmt.Sprintf("%q is the ID token's own claim", claim), "drop it")
			}
		}
		return
	}
	if p.AuthorizeURL == "" && p.TokenURL == "" && p.UserinfoURL == "" {
		add("Issuer", "is empty, and so are the endpoints", "set Issuer (OpenID Connect), or AuthorizeURL, TokenURL and UserinfoURL (plain OAuth 2.0)")
		return
	}
	if p.AuthorizeURL == "" || p.TokenURL == "" {
		add("AuthorizeURL", "or TokenURL is empty, and without an Issuer they are not discovered", "set both")
	}
	if p.UserinfoURL == "" && p.Profile == nil {
		add("UserinfoURL", "is empty, so nothing says who signed in", "set it to the address of the profile")
	}
	if ns := p.Namespace; ns == "" {
		example := "https://provider.example"
		if u, err := url.Parse(p.AuthorizeURL); err == nil && u.Host != "" {
			example = originOf(u)
		}
		add("Namespace", "is empty: without an Issuer it is what makes User.ID unique", fmt.Sprintf("set it to the provider's address, such as %q, and keep it for ever", example))
	} else if strings.ContainsAny(ns, "# \t\r\n") || len(ns) > 255 {
		add("Namespace", fmt.Sprintf("%q has a # or a space, or is too long", ns), "write the provider's address")
	}
	if slices.Contains(p.Scopes, "openid") {
		add("Scopes", "ask for openid, but without an Issuer the ID token cannot be verified", "set Issuer, or drop openid")
	}
}

func (p *Provider) checkModes(add addMistake) {
	if !slices.Contains([]string{"", "query", "form_post"}, p.ResponseMode) {
		add("ResponseMode", fmt.Sprintf("%q is not known", p.ResponseMode), `use "query" or "form_post"`)
	}
	if !slices.Contains([]string{"", "provider", "local"}, p.Logout) {
		add("Logout", fmt.Sprintf("%q is not known", p.Logout), `use "provider" or "local"`)
	}
	if !slices.Contains([]string{"", "missing", "always", "never"}, p.Userinfo) {
		add("Userinfo", fmt.Sprintf("%q is not known", p.Userinfo), `use "missing", "always" or "never"`)
	}
	for name, value := range p.Header {
		if strings.ContainsAny(name+value, "\r\n") || name == "" {
			add("Header", fmt.Sprintf("%q is not a header", name), "names and values have one line")
		}
	}
}
