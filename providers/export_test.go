package providers

import "github.com/ginauth/ginauth"

// Preset is a preset as tests see it.
type Preset struct {
	Name, Function          string
	Console, Register, User string
	Quirks, Domains         []string
	NoSecret                bool
	Args                    []Argument
	Make                    func(clientID, clientSecret string, args map[string]string) ginauth.Provider
}

// Argument is an argument as tests see it.
type Argument struct {
	Name, Env, About, Example string
	Optional, List, Free      bool
}

// Catalogue returns all presets.
func Catalogue() (all []Preset) {
	for _, p := range catalogue {
		e := Preset{Name: p.name, Function: p.function, Console: p.console, Register: p.register, User: p.user, Quirks: p.quirks,
			Domains: p.domains, NoSecret: p.noSecret,
			Make: func(id, secret string, args map[string]string) ginauth.Provider { return p.make(id, secret, args) }}
		for _, a := range p.args {
			e.Args = append(e.Args, Argument{a.name, a.env, a.about, a.example, a.optional, a.list, a.free})
		}
		all = append(all, e)
	}
	return all
}
