package providers

import (
	"errors"
	"net/url"

	"github.com/ginauth/ginauth"
)

// Naver configures "Log in with NAVER" as plain OAuth 2.0, which every application supports.
//
// User.Subject is the id of the user within this application. Name is the name, or the
// nickname if the user consented only to that. NAVER does not report whether an address is
// verified (users can enter any address), so EmailVerified is always false.
func Naver(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "naver", Preset: "naver", DisplayName: "NAVER", Color: "#03c75a",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.naver.com/docs/login/api/api.md
		AuthorizeURL: "https://nid.naver.com/oauth2.0/authorize",
		TokenURL:     "https://nid.naver.com/oauth2.0/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://nid.naver.com",

		// The console selects what users consent to; there are no scopes.
		Scopes: nil,

		LoginParams: []string{"auth_type", "prompt"},

		Quirks: ginauth.Quirks{
			EditAuthorize: naverPrompt,
			// The token endpoint requires the state, too.
			EditToken: func(form, callback url.Values) { form.Set("state", callback.Get("state")) },
		},

		// https://developers.naver.com/docs/login/profile/profile.md All members are under
		// response, next to an error code.
		Profile: profileAt("https://openapi.naver.com/v1/nid/me", func(claims map[string]any) error {
			put(claims, "name", textAt(claims, "response.name", "response.nickname"))
			return nil
		}),
		ClaimPaths: map[string]string{"sub": "response.id", "email": "response.email", "picture": "response.profile_image"},
		VerifyClaims: func(claims map[string]any) error {
			if claims["resultcode"] != "00" {
				return errors.New("NAVER's response is not a profile: resultcode is not 00")
			}
			return nil
		},
		// No claim in the profile is documented to mean this, even if one is added later.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

// naverPrompt translates prompt to NAVER's auth_type: reauthenticate asks for the password,
// reprompt for the consent.
// https://developers.naver.com/docs/login/devguide/devguide.md
func naverPrompt(params url.Values) {
	switch params.Get("prompt") {
	case "login":
		params.Set("auth_type", "reauthenticate")
	case "consent":
		params.Set("auth_type", "reprompt")
	}
	params.Del("prompt")
}

// https://developers.naver.com/docs/login/api/api.md
var naverRefresh = refreshTokens{always: true}

var presetNaver = preset{
	name: "naver", function: "Naver", make: plain(Naver),
	console:  "https://developers.naver.com/apps/",
	register: "Under *Login API* (네이버 로그인) choose which of name, nickname, e-mail address and picture to request. The redirect URI is the callback URL.",
	user:     "An ID for this user and application, name or nickname, picture, e-mail address, which is never verified.",
	quirks: []string{
		"`/login/naver?prompt=login` asks for the password again, `prompt=consent` for the consent; ginauth sends NAVER's `auth_type` for it.",
	},

	refresh: naverRefresh,
}

// NaverOIDC configures "Log in with NAVER" by OpenID Connect, for applications that have it
// switched on: with PKCE, a nonce and a signed ID token, which has all claims. [Naver]
// provides more, since it fetches the profile.
//
// User.Subject is the ID token's sub. NAVER does not guarantee that it equals the id of Naver:
// choose one of the two functions and keep it.
func NaverOIDC(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "naver-oidc", Preset: "naver-oidc", DisplayName: "NAVER", Color: "#03c75a",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.naver.com/docs/login/devguide/devguide.md
		// These are set here, since discovery is not documented.
		Issuer:       "https://nid.naver.com",
		AuthorizeURL: "https://nid.naver.com/oauth2/authorize",
		TokenURL:     "https://nid.naver.com/oauth2/token",
		JWKSURL:      "https://nid.naver.com/oauth2/jwks",
		AuthMethod:   "client_secret_post",

		Scopes: []string{"openid", "profile"},

		// The profile's id may differ from the ID token's sub, so they cannot be compared.
		Userinfo: "never",

		LoginParams: []string{"auth_type", "prompt"},
		Quirks:      ginauth.Quirks{EditAuthorize: naverPrompt},

		// As for Naver, no claim is documented to mean this.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

var presetNaverOIDC = preset{
	name: "naver-oidc", function: "NaverOIDC", make: plain(NaverOIDC),
	console:  "https://developers.naver.com/apps/",
	register: "As for `naver`, with OpenID Connect.",
	user:     "The claims of the ID token: the subject, and name and picture if the user consented. An e-mail address is never verified.",
	quirks:   []string{"`User.ID()` may differ from that of `naver`."},

	refresh: naverRefresh,
}
