package providers

import "github.com/ginauth/ginauth"

// Kakao configures "Log in with Kakao", by OpenID Connect, which has to be switched on in the
// console (Kakao Login, OpenID Connect). KakaoOAuth is for applications without it. A user has
// the same User.ID with both.
//
// clientID is the REST API key. User.Subject is the user's number in this application, an
// int64 that is kept digit for digit. The e-mail address counts as verified if Kakao reports
// it as both valid and verified: a verified address is no longer valid after another user has
// taken it.
func Kakao(clientID, clientSecret string) ginauth.Provider {
	p := kakao(clientID, clientSecret)
	p.Name, p.Preset = "kakao", "kakao"

	// https://kauth.kakao.com/.well-known/openid-configuration
	p.Issuer = "https://kauth.kakao.com"
	p.IDTokenAlg = "RS256" // the only one in the metadata
	p.Scopes = append([]string{"openid"}, p.Scopes...)

	// The ID token does not say whether the address is verified. The scopes do not have the
	// standard's names, so "missing" would not detect missing claims.
	p.Userinfo = "always"
	return p
}

// KakaoOAuth configures Kakao as plain OAuth 2.0, for applications that have not switched
// OpenID Connect on.
func KakaoOAuth(clientID, clientSecret string) ginauth.Provider {
	p := kakao(clientID, clientSecret)
	p.Name, p.Preset = "kakao-oauth", "kakao-oauth"
	p.AuthorizeURL = "https://kauth.kakao.com/oauth/authorize"
	p.TokenURL = "https://kauth.kakao.com/oauth/token"
	p.Namespace = "https://kauth.kakao.com" // the issuer in Kakao, so that a user has one id
	return p
}

// kakao returns the settings that both functions share.
func kakao(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		DisplayName: "Kakao", Color: "#fee500",
		ClientID: clientID, ClientSecret: clientSecret,

		// The only one in the metadata.
		AuthMethod: "client_secret_post",

		// https://developers.kakao.com/docs/latest/en/kakaologin/prerequisite#consent-item
		Scopes: []string{"profile_nickname", "profile_image", "account_email"},

		// prompt: login makes the user sign in again, select_account shows the accounts, create
		// offers to sign up.
		// https://developers.kakao.com/docs/latest/en/kakaologin/rest-api#request-code
		LoginParams: []string{"prompt", "login_hint"},

		// https://developers.kakao.com/docs/latest/en/kakaologin/rest-api#logout-of-service-and-kakaoaccount
		Logout: ginauth.ProviderLogout{URL: "https://kauth.kakao.com/oauth/logout?client_id={client_id}&logout_redirect_uri={post_logout_redirect_uri}&state={state}"},

		// https://developers.kakao.com/docs/latest/en/kakaologin/rest-api#req-user-info
		Profile: profileAt("https://kapi.kakao.com/v2/user/me", func(claims map[string]any) error {
			put(claims, "sub", idAt(claims, "id"))
			put(claims, "name", textAt(claims, "kakao_account.profile.nickname", "kakao_account.name"))
			put(claims, "picture", textAt(claims, "kakao_account.profile.profile_image_url"))
			put(claims, "email", textAt(claims, "kakao_account.email"))
			claims["email_verified"] = flagAt(claims, "kakao_account.is_email_valid") && flagAt(claims, "kakao_account.is_email_verified")
			return nil
		}),
	}
}

const kakaoRegister = "The REST API key is the client id; the secret is under *Kakao Login*, *Security*. Under *Consent items* switch on nickname, picture and, for business applications, e-mail address. Register `BaseURL/logout/return` as logout redirect URI."

var kakaoQuirks = []string{
	"`account_email` needs a business application; without one, users see the error KOE205: remove it from `Scopes`.",
	"`prompt=login` asks the user to sign in again, `prompt=select_account` to choose an account.",
}

// https://developers.kakao.com/docs/latest/en/kakaologin/rest-api#refresh-token
var kakaoRefresh = refreshTokens{
	always: true,
	about:  "It is valid for 60 days; a refresh returns a new one in the last month.",
}

var presetKakao = preset{
	name: "kakao", function: "Kakao", make: plain(Kakao),
	console:  "https://developers.kakao.com/console/app",
	register: "Switch *Kakao Login* and *OpenID Connect* on. " + kakaoRegister,
	user:     "A number for this user and application, nickname, picture, e-mail address, verified if Kakao reports it as valid and verified.",
	quirks:   kakaoQuirks,

	refresh: kakaoRefresh,
}

var presetKakaoOAuth = preset{
	name: "kakao-oauth", function: "KakaoOAuth", make: plain(KakaoOAuth),
	console:  "https://developers.kakao.com/console/app",
	register: "Switch *Kakao Login* on. " + kakaoRegister,
	user:     "As for `kakao`, with the same `User.ID()`.",
	quirks:   kakaoQuirks,

	refresh: kakaoRefresh,
}
