package ginauth_test

import (
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// madeUp is a state of the right form that nobody was given.
var madeUp = "AAAAAAAA." + strings.Repeat("B", 43) + "." + strings.Repeat("C", 16)

// withTwo is a flow with a second provider, "other", on an address of its own.
func withTwo(t testing.TB, change func(o *ginauth.Options)) (f *flow, other *authtest.Provider) {
	other = startIDP(t, authtest.Config{ClientID: "other-client"})
	other.SignInAs("grace")
	f = newFlow(t, func(s *site, o *ginauth.Options) {
		o.Providers = append(o.Providers, client("other", other))
		if change != nil {
			change(o)
		}
	})
	return f, other
}
