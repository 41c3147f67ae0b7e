package authtest

import (
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/demo"
)

// Client is what an application writes down about the provider, under a name of
// its choice. If the provider speaks https or has a name of its own below
// localhost, Options.HTTPClient has to be the provider's HTTPClient.
func (p *Provider) Client(name string) ginauth.Provider {
	client := ginauth.Provider{Name: name, Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: p.ClientSecret, PrivateKey: p.config.ClientKey}
	if p.config.Public {
		client.AuthMethod = "none"
	}
	return client
}

// Demo starts a provider for a first program, and returns it as an application
// configures it, under a name of its choice: one on 127.0.0.1 at which anybody signs in
// as one of [DemoPeople], without a password. It runs as long as the process does. If it
// cannot start, Err of the result says why, and ginauth.Mount returns it. Mount refuses it
// unless Options.BaseURL is on loopback: anybody on the machine can sign in as anyone.
// Tests, which end their providers, call [Start].
func Demo(name string) ginauth.Provider {
	idp, err := Start(Config{ClientID: demo.ClientID, ClientName: "your application"})
	if err != nil {
		return ginauth.Provider{Name: name, ClientID: demo.ClientID, AuthMethod: "none", Err: err}
	}
	return idp.Client(name)
}
