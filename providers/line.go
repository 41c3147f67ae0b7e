package providers

import "github.com/ginauth/ginauth"

// LINE configures LINE Login v2.1, by OpenID Connect. Client id and secret are the channel's
// id and secret.
//
// User.Subject is the user's id at the channel's provider (LINE's term for the company): it is
// the same for all channels of one provider. The address is present if the channel has the
// permission for e-mail and the user consented; LINE does not report whether it is verified,
// so EmailVerified is always false.
func LINE(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "line", Preset: "line", DisplayName: "LINE", Color: "#06c755",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://access.line.me/.well-known/openid-configuration
		Issuer: "https://access.line.me",

		// ID tokens of web logins are signed with HS256 and the channel secret; the
		// metadata names ES256, which LINE uses for native applications.
		// https://developers.line.biz/en/docs/line-login/verify-id-token/#signature
		Quirks:     ginauth.Quirks{HS256: true},
		IDTokenAlg: "HS256",

		// https://developers.line.biz/en/reference/line-login/#issue-access-token
		// has id and secret in the form; the metadata names no method.
		AuthMethod: "client_secret_post",

		// The ID token has the claims of these scopes: name, picture, email. Userinfo has no
		// more, and no address.
		// https://developers.line.biz/en/docs/line-login/integrate-line-login/#scopes
		Scopes:   []string{"openid", "profile", "email"},
		Userinfo: "never",
		// No claim of the ID token is documented to mean this, even if one is added later.
		EmailVerified: func(map[string]any) bool { return false },

		// https://developers.line.biz/en/docs/line-login/integrate-line-login/#making-an-authorization-request
		// prompt=login and max_age make users sign in again.
		LoginParams: []string{"prompt", "max_age", "ui_locales", "bot_prompt"},
	}
}

var presetLINE = preset{
	name: "line", function: "LINE", make: plain(LINE),
	console:  "https://developers.line.biz/console/",
	register: "A *LINE Login* channel of the type *Web app*; the redirect URI is its callback URL. For e-mail addresses apply for the permission under *Basic settings*, *OpenID Connect*. Publish the channel.",
	user:     "An id that is the same for all channels of one LINE provider, name, picture, and the e-mail address, which is never verified.",
	quirks: []string{
		"ID tokens are signed with the channel secret (HS256). No other preset accepts such tokens.",
		"`/login/line` forwards `prompt`, `max_age`, `ui_locales` and `bot_prompt`.",
	},

	// https://developers.line.biz/en/docs/line-login/managing-access-tokens/
	refresh: refreshTokens{
		always: true,
		about:  "It is valid for 90 days after its access token was issued. Revocation: in the metadata.",
	},
}
