package model

import (
	"slices"
	"strings"

	"github.com/ginauth/ginauth"
)

// entry is an element of Options.Providers, or of the argument of SetProviders.
type entry struct {
	name string
	idp  int    // the index of the provider
	path string // CallbackPath
}

// at returns the path at which its responses arrive.
func (e *entry) at() string {
	if e.path == "" {
		return "/authorize/" + e.name
	}
	return strings.Replace(e.path, ":provider", e.name, 1)
}

// entryPaths are the callback paths that are registered.
var entryPaths = []string{"", "/cb", "/auth/:provider/callback"}

// entered returns a list that an administrator may enter: both providers or one of them, under
// their names or each other's, at any callback path.
func entered(a, b int) (list []entry) {
	names := [2]string{"one", "two"}
	if a%4 == 0 {
		names = [2]string{"two", "one"}
	}
	for i, name := range names {
		list = append(list, entry{name, i, entryPaths[b/(1+2*i)%len(entryPaths)]})
	}
	switch a / 4 % 4 {
	case 0:
		return list[:1]
	case 1:
		return list[1:]
	case 2:
		slices.Reverse(list)
	}
	return list
}

// under returns the entry of that name, or nil.
func under(list []entry, name string) *entry {
	if i := slices.IndexFunc(list, func(e entry) bool { return e.name == name }); i >= 0 {
		return &list[i]
	}
	return nil
}

// arriving returns the entries whose responses arrive at a path.
func arriving(list []entry, path string) []entry {
	return slices.DeleteFunc(slices.Clone(list), func(e entry) bool { return e.at() != path })
}

// entryOf returns the entry of a provider, or nil if it was removed.
func (w *world) entryOf(idp int) *entry {
	if i := slices.IndexFunc(w.entries, func(e entry) bool { return e.idp == idp }); i >= 0 {
		return &w.entries[i]
	}
	return nil
}

// nameOf returns the name of a provider, or an unused name.
func (w *world) nameOf(idp int) string {
	if e := w.entryOf(idp); e != nil {
		return e.name
	}
	if under(w.entries, "one") == nil {
		return "one"
	}
	return "two"
}

// pathOf returns the path at which responses of a provider arrive, or an unused path.
func (w *world) pathOf(idp int) string {
	if e := w.entryOf(idp); e != nil {
		return e.at()
	}
	return "/authorize/" + w.nameOf(idp)
}

// clients returns the Options.Providers for entries.
func (w *world) clients(list []entry) (providers []ginauth.Provider) {
	for _, e := range list {
		p := w.idps[e.idp].Client(e.name)
		p.CallbackPath = e.path
		p.LoginParams = []string{"max_age", "acr_values"}
		providers = append(providers, p)
	}
	return append(providers, ginauth.Provider{Name: "house", LoginPage: "/password", Namespace: houseIssuer})
}

// replace calls SetProviders.
func (w *world) replace(list []entry) {
	if err := w.auth.SetProviders(w.clients(list)); err != nil {
		w.fail("SetProviders: %v", err)
	}
	w.entries = list
}

// setProviders lets the administrator enter other providers, or make a mistake.
func (w *world) setProviders(a, b, _ int) {
	list := entered(a, b)
	if a/16%4 == 0 {
		w.note("the administrator makes a mistake")
		list[0].path = "/has/no/route"
		if w.auth.SetProviders(w.clients(list)) == nil {
			w.fail("SetProviders: no error")
		}
		return
	}
	w.note("the providers are %v", list)
	w.replace(list)
}

// known reports whether the provider of a session is configured, under its name.
func (w *world) known(l *login) bool {
	e := under(w.entries, l.by)
	return l.provider == machinePage || e != nil && e.idp == l.provider
}
