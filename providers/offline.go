package providers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ginauth/ginauth"
)

// Offline returns a copy of p that requests a refresh token at each sign-in, as the provider
// documents it: by a scope, or by parameters of the authorization request. It adds nothing if
// every sign-in returns one, or if a setting in the provider's console decides.
// docs/providers.md lists what it adds for each preset, and what to set in the console.
//
//	providers.Offline(providers.Google(id, secret))
//
// It keeps the Scopes and AuthParams of p, and adds its prompt to theirs. While
// AuthParams have a prompt, links to /login/<Name> cannot set another. A second
// Offline changes nothing.
//
// Offline uses Provider.Preset. Without one, or with OIDC, it uses the preset with the same
// Issuer or, for plain OAuth 2.0, the same AuthorizeURL. For other OpenID providers it adds
// the scope offline_access and prompt=consent (OpenID Connect Core 1.0, section 11).
//
// Mount reports an error in the field Offline if the provider issues no refresh tokens, or
// none that a token request of RFC 6749, section 6, accepts; if its documentation does not say
// how to request one; if it is plain OAuth 2.0 and not a preset; and if AuthParams exclude
// one: prompt=none, access_type=online. If p.Err is set, Offline returns p unchanged.
func Offline(p ginauth.Provider) ginauth.Provider {
	if p.Err != nil {
		return p
	}
	var err *ginauth.Error
	switch made, known := presetOf(p); {
	case known:
		p, err = made.refresh.ask(p)
	case p.Issuer != "":
		p, err = presetOIDC.refresh.ask(p)
	default:
		err = wrongArgument("Offline", "not_known", "does not support this provider",
			"set the Scopes or AuthParams that its documentation requires, without Offline")
	}
	if err != nil {
		p.Err = err
	}
	return p
}

// presetOf returns the preset that created a Provider. For a Provider without Preset, or of
// OIDC, it is the preset with the same issuer or, without an issuer, the same authorization
// endpoint.
func presetOf(p ginauth.Provider) (preset, bool) {
	if made, ok := find(p.Preset); ok && p.Preset != presetOIDC.name {
		return made, true
	}
	i := slices.IndexFunc(catalogue, func(candidate preset) bool {
		q := candidate.make("", "", nil)
		if p.Issuer != "" {
			return p.Issuer == q.Issuer
		}
		return p.AuthorizeURL != "" && p.AuthorizeURL == q.AuthorizeURL
	})
	if i < 0 {
		return preset{}, false
	}
	return catalogue[i], true
}

// refreshTokens is what a provider documents about its refresh tokens. scope or params request
// one; otherwise one of always, console, never and unknown is set.
type refreshTokens struct {
	scope   string            // requests one
	params  map[string]string // request one, in AuthParams
	always  bool              // each sign-in returns one
	console string            // what to set in its console; Markdown
	never   string            // why it issues none, or none that RFC 6749 can refresh
	fix     string            // what to do about that
	unknown bool              // its documentation does not say
	about   string            // rotation, lifetime, revocation; Markdown
}

// withoutOne is the fix for a provider that issues no refresh tokens.
const withoutOne = "remove Offline, and start a new sign-in when the access token has expired"

// ask returns p with the scope or parameters that request a refresh token.
func (r refreshTokens) ask(p ginauth.Provider) (ginauth.Provider, *ginauth.Error) {
	switch {
	case r.unknown:
		return p, wrongArgument("Offline", "not_documented", "cannot request a refresh token: the provider's documentation does not describe how",
			"set the Scopes or AuthParams that the provider requires, without Offline")
	case r.never != "":
		return p, wrongArgument("Offline", "none_given", "has no effect: "+r.never, r.fix)
	}
	params := maps.Clone(p.AuthParams)
	for _, name := range slices.Sorted(maps.Keys(r.params)) {
		value, has := r.params[name], params[name]
		switch {
		case name == "prompt" && slices.Contains(strings.Fields(has), "none"):
			return p, wrongArgument("Offline", "prompt_none", "needs the user's consent, but AuthParams has prompt=none", "remove one of the two")
		case name == "prompt" && slices.Contains(strings.Fields(has), value):
			continue
		case name == "prompt":
			value = strings.TrimSpace(has + " " + value)
		case has != "" && has != value:
			return p, wrongArgument("Offline", "contradicted", fmt.Sprintf("needs %s=%s, but AuthParams has %s=%.60s", name, value, name, has), "remove one of the two")
		}
		if params == nil {
			params = map[string]string{}
		}
		params[name] = value
	}
	p.AuthParams = params
	if r.scope != "" && !slices.Contains(p.Scopes, r.scope) {
		if p.Scopes == nil && p.Issuer != "" {
			p.Scopes = []string{"openid", "profile", "email"} // the default of Scopes
		}
		p.Scopes = append(slices.Clone(p.Scopes), r.scope)
	}
	return p, nil
}
