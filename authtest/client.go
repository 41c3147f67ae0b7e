package authtest

import "github.com/ginauth/ginauth"

// Client is what an application writes down about the provider, under a name of
// its choice. If the provider speaks https or has a name of its own below
// localhost, Options.HTTPClient has to be the provider's HTTPClient.
func (p *Provider) Client(name string) ginauth.Provider {
	client := ginauth.Provider{Name: name, Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: p.ClientSecret}
	if p.config.Public {
		client.AuthMethod = "none"
	}
	return client
}
