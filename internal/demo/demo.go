// Package demo has what authtest.Demo and ginauth agree on.
package demo

// ClientID is the client of the provider that authtest.Demo starts, which asks nobody
// for a password: Mount refuses it unless BaseURL is on loopback.
const ClientID = "authtest.Demo"
