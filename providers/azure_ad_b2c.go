package providers

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ginauth/ginauth"
)

// AzureADB2C configures a user flow or custom policy of an Azure AD B2C tenant: tenant is its
// name, "kvarnbygd" of kvarnbygd.onmicrosoft.com, tenantID its directory ID, and policy the
// flow's, "B2C_1_signin". With a custom domain, set Issuer and the endpoints.
//
// User.Subject is the account's object ID. All policies of a tenant have the same issuer, so a
// user has the same User.ID in all of them.
//
// A user flow does not report whether an address is verified: with an upstream provider, it is
// whatever that provider sent.
func AzureADB2C(tenant, tenantID, policy, clientID, clientSecret string) ginauth.Provider {
	server := "https://" + tenant + ".b2clogin.com/"
	flow := server + tenant + ".onmicrosoft.com/" + policy
	return ginauth.Provider{
		Name: "azure-ad-b2c", Preset: "azure-ad-b2c", DisplayName: "Azure AD B2C", Color: "#0078d4",
		ClientID: clientID, ClientSecret: clientSecret,
		Err: errors.Join(label("tenant", tenant), guid("tenantID", tenantID), segment("policy", policy)),

		// The metadata is that of a policy, but the issuer in it is that of the tenant, at
		// another URL, so the metadata cannot be discovered from the issuer.
		// https://learn.microsoft.com/en-us/azure/active-directory-b2c/openid-connect
		Issuer: server + tenantID + "/v2.0/",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		AuthorizeURL: flow + "/oauth2/v2.0/authorize",
		TokenURL:     flow + "/oauth2/v2.0/token",
		JWKSURL:      flow + "/discovery/v2.0/keys",
		AuthMethod:   "client_secret_post",

		// Without the client's own id as a scope, the response has no access token, which RFC
		// 6749 requires.
		// https://learn.microsoft.com/en-us/azure/active-directory-b2c/access-tokens#openid-connect-scopes
		Scopes: []string{"openid", clientID},

		// User flows send a list; custom policies that send email instead need
		// another ClaimPaths.
		// https://learn.microsoft.com/en-us/azure/active-directory-b2c/tokens-overview
		ClaimPaths: map[string]string{"email": "emails.0"},
		Userinfo:   "never",

		VerifyClaims: azurePolicy(policy),
		Admits:       []string{"policy=" + strings.ToLower(policy)},
		LoginParams:  []string{"prompt", "login_hint", "ui_locales", "domain_hint"},

		// "Require ID Token in logout requests" is a setting of the flow.
		// https://learn.microsoft.com/en-us/azure/active-directory-b2c/session-behavior
		Logout: ginauth.ProviderLogout{EndSessionURL: flow + "/oauth2/v2.0/logout"},
	}
}

// azurePolicy rejects tokens of another policy of the tenant, which has the same issuer and keys
// but may require less, such as no second factor. Older flows call tfp acr; a custom policy may
// omit both.
func azurePolicy(policy string) func(map[string]any) error {
	return func(claims map[string]any) error {
		for _, name := range []string{"tfp", "acr"} {
			if issued, there := claims[name]; there && !strings.EqualFold(fmt.Sprint(issued), policy) {
				return errors.New("not issued by the policy " + policy)
			}
		}
		return nil
	}
}

var presetAzureADB2C = preset{
	name: "azure-ad-b2c", function: "AzureADB2C",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return AzureADB2C(arg["tenant"], arg["tenantID"], arg["policy"], clientID, clientSecret)
	},
	args: []argument{
		{name: "tenant", env: "_TENANT", about: "the tenant's name, the part before `.onmicrosoft.com`", example: "kvarnbygd"},
		{name: "tenantID", env: "_TENANT_ID", about: "its directory (tenant) ID", example: "5c9d2b1e-8f40-4a37-b6d5-0e1f2a3b4c5d"},
		{name: "policy", env: "_POLICY", about: "the user flow or custom policy", example: "B2C_1_signin"},
	},
	domains:  []string{"b2clogin.com"},
	console:  "https://portal.azure.com/",
	register: "An app registration for *accounts in any identity provider*, of the platform *Web*, with a client secret; `BaseURL/logout/return` is another of its redirect URIs. Among the flow's *application claims* are *Display Name*, *Email Addresses* and *User's Object ID*; its *issuer (iss) claim* is the one without `tfp`.",
	user:     "The account's object ID, name, and an e-mail address that counts as unverified.",
	quirks: []string{
		"Tokens of another policy of the tenant are rejected. For two flows, use two Providers with different names.",
		"If a custom policy sends `email` instead of `emails`, set `ClaimPaths` to nil.",
		"Since May 2025 Microsoft no longer sells it to new customers.",
		"`/login/azure-ad-b2c` forwards `prompt`, `login_hint`, `ui_locales` and `domain_hint`.",
	},

	// https://learn.microsoft.com/en-us/azure/active-directory-b2c/configure-tokens
	refresh: refreshTokens{
		scope: "offline_access",
		about: "It is valid for 14 days, or as set in the user flow (1 to 90 days).",
	},

	// https://learn.microsoft.com/en-us/azure/active-directory-b2c/access-tokens
	// https://learn.microsoft.com/en-us/azure/active-directory-b2c/tokens-overview
	api: apiTokens{how: "register it as a separate application, with scopes: `Audience` is its application ID. The client requests `https://TENANT.onmicrosoft.com/API/SCOPE`; the short names are in `scp`."},
}
