package providers

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ginauth/ginauth"
)

const (
	entra           = "https://login.microsoftonline.com/"
	personalAccount = "9188040d-6c67-4c5b-b112-36a304b66dad" // the tenant of personal accounts
)

// AnyTenant, in place of the list of tenants of [Microsoft], admits users of every
// organization with a tenant. Anyone can create a tenant for free.
const AnyTenant = "*"

// Microsoft configures "Sign in with Microsoft": Entra ID, formerly Azure AD. tenant decides
// who can sign in:
//
//   - a directory (tenant) ID: the accounts of that organization
//   - "organizations": those of the organizations in allowedTenants
//   - "common": the same, and personal accounts if consumers is among them
//   - "consumers": personal accounts (Outlook, Xbox)
//
// allowedTenants are directory IDs, or only AnyTenant; they are required for "organizations"
// and "common", and an error otherwise. The issuer of an ID token must be that of its own
// tenant: it is compared with the verified claim tid, which must be in the list. User.Issuer
// is that of the tenant, so users of two tenants never share a User.ID.
//
// User.Subject identifies the user within this application. Your applications with other
// client ids get another subject; the claim oid is the same in all of them.
//
// The e-mail address is entered by the organization's administrator and may be another
// person's. It counts as verified only if the optional claim xms_edov says that the
// organization owns the address's domain. The claim email_verified is ignored. Never look up
// users by this address (nOAuth).
func Microsoft(tenant, clientID, clientSecret string, allowedTenants ...string) ginauth.Provider {
	directory, several, err := entraTenants(tenant, allowedTenants)
	p := ginauth.Provider{
		Name: "microsoft", Preset: "microsoft", DisplayName: "Microsoft", Color: "#0078d4",
		ClientID: clientID, ClientSecret: clientSecret, Err: err,

		// https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc
		Issuer: entra + directory + "/v2.0",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		// The metadata names this, client_secret_basic and private_key_jwt; the
		// documentation shows this one.
		// https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow
		AuthMethod: "client_secret_post",

		// Userinfo (Microsoft Graph) adds to the ID token only a picture that requires an access
		// token, which browsers cannot load.
		// https://learn.microsoft.com/en-us/entra/identity-platform/userinfo
		Scopes:   []string{"openid", "profile", "email"},
		Userinfo: "never",

		LoginParams: []string{"prompt", "login_hint", "domain_hint"},

		// https://learn.microsoft.com/en-us/entra/identity-platform/optional-claims-reference
		EmailVerified: func(claims map[string]any) bool {
			switch fmt.Sprint(claims["xms_edov"]) { // a boolean, which arrives in several types
			case "true", "1":
				return true
			}
			return false
		},
	}
	if several {
		p.TokenIssuer = entraIssuer(slices.Clone(allowedTenants))
		for _, id := range allowedTenants {
			if id != AnyTenant {
				p.Admits = append(p.Admits, tenantIssuer(id))
			}
		}
	}
	return p
}

// entraTenants checks the tenants. directory is the segment of the issuer; several reports
// whether users of more than one tenant sign in through it.
func entraTenants(tenant string, allowed []string) (directory string, several bool, err error) {
	switch tenant {
	case "consumers":
		directory = personalAccount
	case "common", "organizations":
		directory, several = tenant, true
	default:
		// Microsoft also accepts a domain name, but it does not identify the tenant in tokens.
		directory = tenant
		if err := unless(isGUID(tenant), "not_a_guid", "tenant", tenant, "is not a directory ID", `use the directory (tenant) ID from the app's overview page, or "organizations", "common" or "consumers"`); err != nil {
			return directory, false, err
		}
	}
	const list = "allowedTenants"
	switch {
	case !several && len(allowed) > 0:
		return directory, several, wrongArgument(list, "unused", "are only for \"organizations\" and \"common\"; a single tenant admits itself", "remove them")
	case several && len(allowed) == 0:
		return directory, several, wrongArgument(list, "empty", "are missing: anyone can create a tenant with any users in it", "list the directory IDs of the tenants to admit, or use providers.AnyTenant (\"*\")")
	case slices.Equal(allowed, []string{AnyTenant}):
		return directory, several, nil
	}
	for _, id := range allowed {
		if err := guid(list, id); err != nil {
			return directory, several, err
		}
	}
	return directory, several, nil
}

// entraIssuer is TokenIssuer: it returns the issuer of the token's own tenant, if that tenant is
// admitted. The endpoints for several tenants name an issuer with {tenantid} in their metadata,
// and sign all tokens with the same keys.
// https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#validate-the-issuer
func entraIssuer(allowed []string) func(map[string]any) (string, error) {
	return func(claims map[string]any) (string, error) {
		tid, _ := claims["tid"].(string)
		if !isGUID(tid) {
			return "", errors.New("tid is not a tenant ID")
		}
		if !slices.Contains(allowed, tid) && !slices.Equal(allowed, []string{AnyTenant}) {
			return "", fmt.Errorf("tenant %s is not admitted", tid)
		}
		return tenantIssuer(tid), nil
	}
}

func tenantIssuer(tid string) string { return entra + tid + "/v2.0" }

var presetMicrosoft = preset{
	name: "microsoft", function: "Microsoft", domains: []string{"microsoftonline.com"},
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Microsoft(arg["tenant"], clientID, clientSecret, arg.list("allowedTenants")...)
	},
	args: []argument{
		{name: "tenant", env: "_TENANT", example: "8c2e1d0a-4b7f-4a55-9d3e-2f6b1c0e7a94", about: "the directory (tenant) ID of the users, or `organizations`, `common` or `consumers`"},
		{name: "allowedTenants", env: "_ALLOWED_TENANTS", optional: true, list: true, free: true, about: "for `organizations` and `common`: the directory IDs of the tenants to admit, separated by commas, or `*` for all"},
	},
	console:  "https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/ApplicationsListBlade",
	register: "A redirect URI of the platform *Web*, and a client secret: copy its *Value*, not its *Secret ID*. Under *Token configuration* add the optional claims `email` and `xms_edov`, and groups if you want them.",
	user:     "An ID for this user and application, within the tenant's issuer; name, user name, e-mail address, which is verified only if `xms_edov` says so. Groups, if configured for the application, are object IDs.",
	quirks: []string{
		"With several tenants, tokens are admitted by their verified `tid` only.",
		"The token of a user in very many groups has no groups, and the log reports it once: use app roles (`ClaimPaths[\"groups\"]` set to `roles`), emit only the groups that are assigned to the application, or ask Microsoft Graph in `OnLogin`, with `User.Read` among the scopes.",
		"Secrets expire after two years at most.",
	},

	// https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens
	refresh: refreshTokens{
		scope: "offline_access",
		about: "It is valid for 90 days. Each refresh returns a new one and leaves the old one valid.",
	},

	// https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens
	// https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference
	// https://learn.microsoft.com/en-us/entra/identity-platform/claims-validation
	api: apiTokens{how: "register it as a separate application, with scopes, and set `requestedAccessTokenVersion` to 2 in its manifest: tokens of version 1.0, the default, have another issuer. `Audience` is its application (client) ID. The client requests one of its scopes; the short names are in `scp`. For programs, add the optional claim `idtyp` to its access tokens: `IsClient` needs it. `User.Subject` differs from that of a sign-in, since Microsoft issues one for each application; the claim `oid` is the same."},
}
