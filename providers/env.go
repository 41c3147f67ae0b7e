package providers

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/ginauth/ginauth"
)

const (
	idSuffix     = "_CLIENT_ID"
	secretSuffix = "_CLIENT_SECRET"
)

// FromEnv returns a provider for each pair of NAME_CLIENT_ID and NAME_CLIENT_SECRET in the
// environment, where NAME is a preset's name in capitals, with _ for -: GITHUB_CLIENT_ID.
// Presets with more arguments read them from further variables: MICROSOFT_TENANT (see
// docs/providers.md). Any other NAME with a NAME_ISSUER is an OpenID provider of that name.
// The providers are sorted by name.
//
// An incomplete pair, an unknown name and a variable without effect are errors, which are
// joined and name the variable. except lists NAMEs that belong to something else:
// FromEnv("AZURE", "STRIPE"). Empty variables count as unset.
func FromEnv(except ...string) ([]ginauth.Provider, error) {
	env := environment{}
	prefixes := map[string]bool{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" {
			continue
		}
		env[name] = value
		for _, suffix := range []string{idSuffix, secretSuffix} {
			if prefix, ok := strings.CutSuffix(name, suffix); ok && prefix != "" && !slices.Contains(except, prefix) {
				prefixes[prefix] = true
			}
		}
	}
	var list []ginauth.Provider
	var mistakes []error
	for _, prefix := range slices.Sorted(maps.Keys(prefixes)) {
		p, err := env.provider(prefix)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		list = append(list, p)
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b ginauth.Provider) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// environment holds the variables that are set.
type environment map[string]string

func (env environment) provider(prefix string) (ginauth.Provider, error) {
	name := strings.ReplaceAll(strings.ToLower(prefix), "_", "-")
	p, ok := find(name)
	if !ok && env[prefix+"_ISSUER"] == "" {
		variable := prefix + idSuffix
		if env[variable] == "" {
			variable = prefix + secretSuffix
		}
		return ginauth.Provider{}, wrong("providers.env.preset_unknown", "providers.FromEnv", fmt.Sprintf("%s is set, but %.40q is not a preset", variable, name),
			fmt.Sprintf("set %s_ISSUER as well for an OpenID provider, or call FromEnv(%q) if it is for something else; the presets are %s", prefix, prefix, strings.Join(names(), ", ")))
	}
	if !ok {
		p = presetOIDC
	}
	given, err := env.arguments(prefix, p)
	if err != nil {
		return ginauth.Provider{}, err
	}
	made := p.make(env[prefix+idSuffix], env[prefix+secretSuffix], given)
	made.Name = name // for OIDC, the name of the preset is another one
	return made, nil
}

// arguments collects a preset's variables, and reports all that are missing or have no effect.
func (env environment) arguments(prefix string, p preset) (arguments, error) {
	var mistakes []error
	missing := func(id, variable, beside string) {
		mistakes = append(mistakes, wrong(id, "providers.FromEnv", fmt.Sprintf("%s is empty, but %s is set", variable, beside), "set both or neither"))
	}
	id, secret := prefix+idSuffix, prefix+secretSuffix
	switch {
	case p.noSecret && env[secret] != "":
		mistakes = append(mistakes, wrong("providers.env.client_secret_unused", "providers.FromEnv", fmt.Sprintf("%s is set, but %s takes no client secret", secret, p.name), "unset it"))
	case env[id] == "":
		missing("providers.env.client_id_missing", id, secret)
	case env[secret] == "" && !p.noSecret:
		missing("providers.env.client_secret_missing", secret, id)
	}
	given := arguments{}
	for _, a := range p.args {
		given[a.name] = env[prefix+a.env]
		if given[a.name] == "" && !a.optional {
			mistakes = append(mistakes, wrong("providers.env.argument_missing", "providers.FromEnv", fmt.Sprintf("%s is empty, but required by %s", prefix+a.env, p.name), "set it to "+a.hint()))
		}
	}
	for _, suffix := range suffixes() {
		if env[prefix+suffix] != "" && !slices.ContainsFunc(p.args, func(a argument) bool { return a.env == suffix }) {
			mistakes = append(mistakes, wrong("providers.env.argument_unused", "providers.FromEnv", fmt.Sprintf("%s is set, but not used by %s", prefix+suffix, p.name), "unset it"))
		}
	}
	return given, errors.Join(mistakes...)
}

// suffixes returns the suffixes of all arguments.
func suffixes() []string {
	var list []string
	for _, p := range catalogue {
		for _, a := range p.args {
			list = append(list, a.env)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
