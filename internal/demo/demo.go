// Package demo has a constant shared by authtest.Demo and ginauth.
package demo

// ClientID is the client of the provider that authtest.Demo starts, which asks for no
// password: Mount rejects it unless BaseURL is on loopback.
const ClientID = "authtest.Demo"
