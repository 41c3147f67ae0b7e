package providers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

const (
	ourTenant   = "8c2e1d0a-4b7f-4a55-9d3e-2f6b1c0e7a94"
	otherTenant = "11111111-2222-3333-4444-555555555555"
	consumers   = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

func tenantIssuer(tid string) string { return "https://login.microsoftonline.com/" + tid + "/v2.0" }

// entraAt is a stand-in for an endpoint of several tenants, with a token of tid.
func entraAt(t *testing.T, endpoint, tid string) *standIn {
	t.Helper()
	s := newStandIn(t, "microsoft")
	s.discovery = nil
	decode(t, "microsoft/"+endpoint+".json", &s.discovery)
	s.Discovery = tenantIssuer(endpoint) + "/.well-known/openid-configuration"
	s.Authorize.URL = "https://login.microsoftonline.com/" + endpoint + "/oauth2/v2.0/authorize"
	s.Token.URL = "https://login.microsoftonline.com/" + endpoint + "/oauth2/v2.0/token"
	s.claims["iss"], s.claims["tid"] = tenantIssuer(tid), tid
	return s
}

func TestMicrosoftOfSeveralTenants(t *testing.T) {
	for _, tt := range []struct {
		endpoint, tid string
		allowed       []string
	}{
		{"organizations", ourTenant, []string{otherTenant, ourTenant}},
		{"organizations", otherTenant, []string{providers.AnyTenant}},
		{"common", consumers, []string{ourTenant, consumers}},
	} {
		s := entraAt(t, tt.endpoint, tt.tid)
		a := s.app(providers.Microsoft(tt.endpoint, testClientID, testClientSecret, tt.allowed...))
		if err := a.auth.Warm(t.Context()); err != nil {
			t.Error(err)
		}
		if u := a.signIn(); u.Issuer != tenantIssuer(tt.tid) {
			t.Errorf("%s: signed in as %s", tt.endpoint, u.ID())
		}
	}
}

// D37: a tenant that is not on the list, and a token that is not its tenant's.
func TestMicrosoftRefusesOtherTenants(t *testing.T) {
	for _, tt := range []struct {
		name     string
		iss, tid any
		id, part string
	}{
		{"another tenant", tenantIssuer(otherTenant), otherTenant, "jwt.issuer_not_admitted", otherTenant},
		{"personal accounts", tenantIssuer(consumers), consumers, "jwt.issuer_not_admitted", consumers},
		{"another tenant's issuer", tenantIssuer(otherTenant), ourTenant, "jwt.issuer", ""},
		{"our issuer, another tid", tenantIssuer(ourTenant), otherTenant, "jwt.issuer_not_admitted", otherTenant},
		{"no tid", tenantIssuer(ourTenant), nil, "jwt.issuer_not_admitted", "tid "},
		{"a tid that leads elsewhere", tenantIssuer("../evil"), "../evil", "jwt.issuer_not_admitted", "tid "},
		{"the template", tenantIssuer("{tenantid}"), "{tenantid}", "jwt.issuer_not_admitted", "tid "},
		{"the endpoint", tenantIssuer("organizations"), "organizations", "jwt.issuer_not_admitted", "tid "},
		{"capitals", tenantIssuer(strings.ToUpper(ourTenant)), strings.ToUpper(ourTenant), "jwt.issuer_not_admitted", "tid "},
		{"the old issuer", "https://sts.windows.net/" + ourTenant + "/", ourTenant, "jwt.issuer", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := entraAt(t, "organizations", ourTenant)
			s.claims["iss"], s.claims["tid"] = tt.iss, tt.tid
			s.app(providers.Microsoft("organizations", testClientID, testClientSecret, ourTenant)).refuses(ginauth.ErrIDTokenInvalid, tt.id, tt.part)
		})
	}
	s := newStandIn(t, "microsoft")
	s.claims["iss"], s.claims["tid"] = tenantIssuer(otherTenant), otherTenant
	s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "jwt.issuer")
}

// The nOAuth attack: an administrator writes any address into a tenant of their own.
func TestMicrosoftAddressIsNotVerified(t *testing.T) {
	for _, tt := range []struct {
		name, claim string
		value       any
		want        bool
	}{
		{"nothing", "xms_edov", nil, false},
		{"email_verified", "email_verified", true, false},
		{"not the domain's owner", "xms_edov", false, false},
		{"not the domain's owner, as a number", "xms_edov", 0, false},
		{"not the domain's owner, as text", "xms_edov", "false", false},
		{"the domain's owner", "xms_edov", true, true},
		{"the domain's owner, as a number", "xms_edov", 1, true},
		{"the domain's owner, as text", "xms_edov", "true", true},
	} {
		s := entraAt(t, "organizations", otherTenant)
		s.claims["email"], s.claims[tt.claim] = "victim@kvarnbygd.example", tt.value
		u := s.app(providers.Microsoft("organizations", testClientID, testClientSecret, providers.AnyTenant)).signIn()
		if _, ok := u.VerifiedEmail(); ok != tt.want || u.ID() != tenantIssuer(otherTenant)+"#AAAAAAAAAAAAAAAAAAAAAMadeUpForTests0123456" {
			t.Errorf("%s: signed in as %+v", tt.name, u)
		}
	}
}

func TestMicrosoftTenants(t *testing.T) {
	for _, tt := range []struct {
		tenant  string
		allowed []string
		id      string // "": fine
	}{
		{ourTenant, nil, ""},
		{"consumers", nil, ""},
		{"organizations", []string{ourTenant}, ""},
		{"common", []string{providers.AnyTenant}, ""},
		{"", nil, "provider.tenant.empty"},
		{"kvarnbygd.example", nil, "provider.tenant.not_a_guid"},
		{"Common", []string{ourTenant}, "provider.tenant.not_a_guid"},
		{"organizations", nil, "provider.allowed_tenants.empty"},
		{"common", nil, "provider.allowed_tenants.empty"},
		{"common", []string{"kvarnbygd.example"}, "provider.allowed_tenants.not_a_guid"},
		{"common", []string{ourTenant, "*"}, "provider.allowed_tenants.not_a_guid"},
		{"common", []string{ourTenant, "../evil"}, "provider.allowed_tenants.not_a_guid"},
		{"common", []string{""}, "provider.allowed_tenants.empty"},
		{ourTenant, []string{ourTenant}, "provider.allowed_tenants.unused"},
		{"consumers", []string{"*"}, "provider.allowed_tenants.unused"},
	} {
		err := mount(providers.Microsoft(tt.tenant, testClientID, testClientSecret, tt.allowed...))
		if tt.id == "" && err != nil || tt.id != "" && !slices.Equal(mistakes(err), []string{tt.id}) {
			t.Errorf("%s %q: got %v", tt.tenant, tt.allowed, err)
		}
	}
	if p := providers.Microsoft("consumers", "a", "b"); p.Issuer != tenantIssuer(consumers) || p.TokenIssuer != nil {
		t.Errorf("consumers is %v", p)
	}
}
