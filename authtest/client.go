package authtest

import (
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/demo"
)

// Client returns the ginauth.Provider with which an application uses the provider, under the
// given Name. If the provider uses https or a name below localhost,
// [ginauth.Options.HTTPClient] must be [Provider.HTTPClient].
func (p *Provider) Client(name string) ginauth.Provider {
	client := ginauth.Provider{Name: name, Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: p.ClientSecret, PrivateKey: p.config.ClientKey}
	if p.config.Public {
		client.AuthMethod = "none"
	}
	return client
}

// Demo starts a provider for a first program on 127.0.0.1 and returns its configuration under
// the given Name. Users sign in as one of [DemoPeople] without a password. The provider runs
// until the process ends. If it cannot start, Err of the result is set, and ginauth.Mount
// returns it. Mount rejects the result unless Options.BaseURL is on loopback, since anyone can
// sign in as any user. In tests, use [Start].
func Demo(name string) ginauth.Provider {
	idp, err := Start(Config{ClientID: demo.ClientID, ClientName: "your application"})
	if err != nil {
		return ginauth.Provider{Name: name, ClientID: demo.ClientID, AuthMethod: "none", Err: err}
	}
	return idp.Client(name)
}
