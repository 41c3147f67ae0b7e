package providers

import "github.com/ginauth/ginauth"

// BattleNet configures "Log in with Battle.net", by OpenID Connect, for accounts of all
// regions but China.
//
// User.Subject is the numeric account id. Name is the BattleTag, which can be changed. There
// is no e-mail address and no picture.
func BattleNet(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "battlenet", Preset: "battlenet", DisplayName: "Battle.net", Color: "#148eff",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://oauth.battle.net/.well-known/openid-configuration. It does not say how the
		// client authenticates; the standard's default is the header (OpenID Connect Discovery
		// 1.0, section 3).
		Issuer: "https://oauth.battle.net",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		AuthMethod: "client_secret_basic",

		// The ID token has all available claims. The nonce comes back in it, as seen in
		// https://github.com/nextauthjs/next-auth/issues/12869.
		Scopes:     []string{"openid"},
		Userinfo:   "never",
		ClaimPaths: map[string]string{"name": "battle_tag"},

		// The documentation does not say where to register a post-logout redirect URI; without
		// one, a sign-out ends on a page of Battle.net.
		Logout: ginauth.ProviderLogout{Local: true},
	}
}

var presetBattleNet = preset{
	name: "battlenet", function: "BattleNet", make: plain(BattleNet), domains: []string{"battle.net"},
	console:  "https://develop.battle.net/access/clients",
	register: "A client with the redirect URI.",
	user:     "Stable number and BattleTag. There is no e-mail address and no picture.",
	quirks:   []string{"Signing out ends only ginauth's session, not the one at Battle.net."},

	// https://develop.battle.net/documentation/guides/using-oauth does not mention refresh
	// tokens, and the metadata has a revocation endpoint, but no grant types.
	refresh: refreshTokens{unknown: true},
}
