package providers

import (
	"context"
	"net/http"
	"strings"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/fetch"
)

// Yandex configures "Sign in with Yandex ID", as plain OAuth 2.0.
//
// User.Subject is the numeric account id. Do not use User.Username, the login, as a key.
// Yandex does not report whether the address is verified, so EmailVerified is always false.
func Yandex(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "yandex", Preset: "yandex", DisplayName: "Yandex", Color: "#fc3f1d",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://yandex.com/dev/id/doc/en/codes/code-url
		// describes the endpoints, PKCE (S256) and the header.
		AuthorizeURL: "https://oauth.yandex.com/authorize",
		TokenURL:     "https://oauth.yandex.com/token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://oauth.yandex.com",

		// force_confirm=yes lets people choose the account.
		LoginParams: []string{"login_hint", "force_confirm"},

		Scopes:     []string{"login:info", "login:email", "login:avatar"},
		Profile:    yandexProfile,
		ClaimPaths: map[string]string{"sub": "id", "preferred_username": "login", "email": "default_email"},

		// No claim in the profile is documented to mean this.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

// yandexProfile sends the documented header, whose scheme is OAuth and not Bearer:
// https://yandex.com/dev/id/doc/en/user-information.
func yandexProfile(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error) {
	claims, _, err := fetch.JSON(ctx, client, fetch.Request{Op: "profile", URL: "https://login.yandex.ru/info?format=json",
		Header: http.Header{"Authorization": {"OAuth " + token.AccessToken}}})
	if err != nil {
		return nil, err
	}
	put(claims, "name", textAt(claims, "display_name", "real_name", "first_name"))
	put(claims, "picture", yandexAvatar(claims))
	return claims, nil
}

// yandexAvatar returns the URL of the picture. The profile has only its id: two numbers, or
// letters, separated by a slash.
func yandexAvatar(claims map[string]any) string {
	id := textAt(claims, "default_avatar_id")
	if id == "" || claims["is_avatar_empty"] != false || strings.Trim(strings.ToLower(id), alphanumeric+"-_/") != "" {
		return ""
	}
	return "https://avatars.yandex.net/get-yapic/" + id + "/islands-200"
}

var presetYandex = preset{
	name: "yandex", function: "Yandex", make: plain(Yandex),
	console:  "https://oauth.yandex.com/client/new",
	register: "An application for web services, with the access rights *Access to e-mail address*, *Access to username, first name and surname, gender* and *Access to profile picture*.",
	user:     "Stable number, display name, login, picture, the default e-mail address, which is never verified.",
	quirks:   []string{"`/login/yandex` forwards `login_hint` and `force_confirm`; `force_confirm=yes` lets the user choose another account."},

	// https://yandex.com/dev/id/doc/en/codes/code-url
	refresh: refreshTokens{always: true},
}
