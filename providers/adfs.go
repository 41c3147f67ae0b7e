package providers

import "github.com/ginauth/ginauth"

// ADFS configures Active Directory Federation Services on Windows Server 2016 or newer, by the
// farm's host: "sts.example.com". resource is the identifier of the web API whose issuance
// rules define the claims: name, e-mail address, groups. With "" there are only a subject and
// two names.
//
// User.Subject is a hash for this client of the claim that the directory's trust is anchored
// on. That is the Windows account name until an administrator changes it
// (Set-AdfsClaimsProviderTrust -AnchorClaimType): where account names are reassigned, anchor
// it on the SID before the first sign-in, since that changes every User.ID.
func ADFS(host, resource, clientID, clientSecret string) ginauth.Provider {
	p := ginauth.Provider{
		Name: "adfs", Preset: "adfs", DisplayName: "AD FS", Color: "#0078d4",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://learn.microsoft.com/en-us/windows-server/identity/ad-fs/development/ad-fs-openid-connect-oauth-concepts
		Issuer: serverAt(host) + "/adfs",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		Err: hostError(host),

		// The metadata names this, client_secret_basic and others; the documentation
		// shows this one.
		AuthMethod: "client_secret_post",

		// Userinfo never has more than sub.
		Scopes:   []string{"openid", "profile", "email"},
		Userinfo: "never",

		// Both are in every ID token; unique_name is the account name unless a rule sends
		// another *Name*. Like the e-mail address, upn comes from the directory, and is not
		// marked as verified.
		ClaimPaths: map[string]string{"name": "unique_name", "preferred_username": "upn", "groups": "group"},

		LoginParams: []string{"prompt", "login_hint", "domain_hint"},

		// Users return only if id_token_hint is sent, as it is by default:
		// https://learn.microsoft.com/en-us/windows-server/identity/ad-fs/development/ad-fs-logout-openid-connect
	}
	if resource != "" {
		// The ID token contains what the issuance rules send only with these three settings.
		// https://learn.microsoft.com/en-us/windows-server/identity/ad-fs/development/custom-id-tokens-in-ad-fs
		p.AuthParams = map[string]string{"resource": resource}
		p.Scopes = append(p.Scopes, "allatclaims")
		p.ResponseMode = "form_post"
	}
	return p
}

var presetADFS = preset{
	name: "adfs", function: "ADFS",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return ADFS(arg["host"], arg["resource"], clientID, clientSecret)
	},
	args: []argument{
		{name: "host", env: "_HOST", about: "the farm's federation service name", example: "sts.kvarnbygd.example"},
		{name: "resource", env: "_RESOURCE", optional: true, free: true, about: "the identifier of the web API with the issuance rules", example: "https://kvarnbygd.example/mill-app"},
	},
	register: "An application group *Server application accessing a web API*. The web API has its own identifier, which is `resource`, the permissions `openid`, `profile`, `email` and `allatclaims`, and issuance rules that send *Display-Name* as *Name*, *E-Mail-Addresses* as `email` and, for groups, *Token-Groups* as `group`. `BaseURL/logout/return` is another redirect URI of the server application.",
	user:     "A hash of the account for this client, name, user principal name, groups, and an e-mail address that counts as unverified.",
	quirks: []string{
		"The subject is made from the Windows account name unless the trust is anchored on another attribute: if names are reassigned, anchor it on the SID.",
		"On Windows Server 2016, custom claims need KB4019472, and signing out KB4038801.",
		"`/login/adfs` forwards `prompt`, `login_hint` and `domain_hint`.",
	},

	// https://learn.microsoft.com/en-us/windows-server/identity/ad-fs/development/ad-fs-openid-connect-oauth-concepts
	refresh: refreshTokens{always: true, about: "In the example of its documentation it is valid for 8 hours."},

	// https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-oidce/586de7dd-3385-47c7-93a2-935d9e90441c
	// https://github.com/aspnet/Security/issues/1852
	api: apiTokens{never: "their issuer is `access_token_issuer` of the metadata, not that of ID tokens. A second `Provider` without a `ClientID`, whose `TokenIssuer` returns that issuer, might work; it is untested"},
}
