package providers

import "github.com/ginauth/ginauth"

// Kakao is "Log in with Kakao", by OpenID Connect, which has to be switched on
// in the console (Kakao Login, OpenID Connect). KakaoOAuth is for applications
// that have not. Both give one person the same User.ID.
//
// clientID is the REST API key. User.Subject is the person's number in this
// application, an int64 that is kept digit for digit. The e-mail address counts
// as verified if Kakao says that it is valid and verified: one that was is not
// valid any more when somebody else has taken it.
func Kakao(clientID, clientSecret string) ginauth.Provider {
	p := kakao(clientID, clientSecret)
	p.Name, p.Preset = "kakao", "kakao"

	// https://kauth.kakao.com/.well-known/openid-configuration
	p.Issuer = "https://kauth.kakao.com"
	p.IDTokenAlg = "RS256" // the only one in the metadata
	p.Scopes = append([]string{"openid"}, p.Scopes...)

	// The ID token does not say whether the address is verified. What the names of
	// the scopes ask for is not the standard's, so nothing else knows to ask.
	p.Userinfo = "always"
	return p
}

// KakaoOAuth is Kakao as plain OAuth 2.0, for applications that have not
// switched OpenID Connect on.
func KakaoOAuth(clientID, clientSecret string) ginauth.Provider {
	p := kakao(clientID, clientSecret)
	p.Name, p.Preset = "kakao-oauth", "kakao-oauth"
	p.AuthorizeURL = "https://kauth.kakao.com/oauth/authorize"
	p.TokenURL = "https://kauth.kakao.com/oauth/token"
	p.Namespace = "https://kauth.kakao.com" // the issuer of the other form: one person, one id
	return p
}

// kakao is what both forms have in common.
func kakao(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		DisplayName: "Kakao", Color: "#fee500",
		ClientID: clientID, ClientSecret: clientSecret,

		// The metadata names this one alone.
		AuthMethod: "client_secret_post",

		// https://developers.kakao.com/docs/latest/en/kakaologin/prerequisite#consent-item
		Scopes: []string{"profile_nickname", "profile_image", "account_email"},

		// prompt: login signs in anew, select_account chooses, create offers to sign up.
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

const kakaoRegister = "The REST API key is the client id; the secret is under *Kakao Login*, *Security*. Under *Consent items* switch on nickname, picture and, for business applications, email address. Register `BaseURL/logout/return` as logout redirect URI."

var kakaoQuirks = []string{
	"`account_email` needs a business application; without it, users see the error KOE205: remove it from `Scopes`.",
	"`prompt=login` asks users to sign in again, `prompt=select_account` to choose an account.",
}

// https://developers.kakao.com/docs/latest/en/kakaologin/rest-api#refresh-token
var kakaoRefresh = refreshTokens{
	always: true,
	about:  "It is valid for 60 days; a use returns a new one if less than a month is left.",
}

var presetKakao = preset{
	name: "kakao", function: "Kakao", make: plain(Kakao),
	console:  "https://developers.kakao.com/console/app",
	register: "Switch *Kakao Login* and *OpenID Connect* on. " + kakaoRegister,
	user:     "A number for this user and application, nickname, picture, email address, verified if Kakao calls it both valid and verified.",
	quirks:   kakaoQuirks,

	refresh: kakaoRefresh,
}

var presetKakaoOAuth = preset{
	name: "kakao-oauth", function: "KakaoOAuth", make: plain(KakaoOAuth),
	console:  "https://developers.kakao.com/console/app",
	register: "Switch *Kakao Login* on. " + kakaoRegister,
	user:     "As with `kakao`, with the same `User.ID()`.",
	quirks:   kakaoQuirks,

	refresh: kakaoRefresh,
}
