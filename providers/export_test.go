package providers

import "github.com/ginauth/ginauth"

// Preset is a preset as tests see it.
type Preset struct {
	Name, Function          string
	Console, Register, User string
	Quirks, Domains         []string
	NoSecret                bool
	Args                    []Argument
	Refresh                 RefreshTokens
	API, NoAPI              string // how the provider issues tokens for an API, or why it does not
	Make                    func(clientID, clientSecret string, args map[string]string) ginauth.Provider
}

// Argument is an argument as tests see it.
type Argument struct {
	Name, Env, About, Example string
	Optional, List, Free      bool
}

// RefreshTokens is what is known of a provider's refresh tokens, as tests see it.
type RefreshTokens struct {
	Scope, Console, Never, Fix, About string
	Params                            map[string]string
	Always, Unknown                   bool
}

// Catalogue returns all presets.
func Catalogue() (all []Preset) {
	for _, p := range catalogue {
		e := Preset{Name: p.name, Function: p.function, Console: p.console, Register: p.register, User: p.user, Quirks: p.quirks,
			Domains: p.domains, NoSecret: p.noSecret,
			Refresh: RefreshTokens{p.refresh.scope, p.refresh.console, p.refresh.never, p.refresh.fix, p.refresh.about,
				p.refresh.params, p.refresh.always, p.refresh.unknown},
			API: p.api.how, NoAPI: p.api.never,
			Make: func(id, secret string, args map[string]string) ginauth.Provider { return p.make(id, secret, args) }}
		for _, a := range p.args {
			e.Args = append(e.Args, Argument{a.name, a.env, a.about, a.example, a.optional, a.list, a.free})
		}
		all = append(all, e)
	}
	return all
}
