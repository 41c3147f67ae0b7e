package providers

import (
	"context"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/fetch"
)

// MailRu configures "Log in with Mail", as plain OAuth 2.0, for applications that were
// registered before July 2025. Newer ones sign in users of Mail with [VK].
//
// User.Subject is the numeric account id. Mail does not report whether the address is
// verified, so EmailVerified is always false.
func MailRu(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "mailru", Preset: "mailru", DisplayName: "Mail", Color: "#005ff9",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://id.vk.com/about/business/go/docs/ru/vkid/latest/oauth/oauth-mail/index
		// has PKCE. Only the ASP.NET Core providers of aspnet-contrib show that the secret is in
		// the form, and that token_type may be missing.
		AuthorizeURL: "https://oauth.mail.ru/login",
		TokenURL:     "https://oauth.mail.ru/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://oauth.mail.ru",
		Quirks:       ginauth.Quirks{NormalizeToken: addTokenType},

		Scopes:      []string{"userinfo"},
		LoginParams: []string{"prompt"},

		Profile:    mailRuProfile,
		ClaimPaths: map[string]string{"sub": "id", "given_name": "first_name", "family_name": "last_name", "picture": "image"},
		// No claim in the profile is documented to mean this, even if one is added later.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

// mailRuProfile sends the access token in the URL as well, as goth and aspnet-contrib do.
func mailRuProfile(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error) {
	claims, _, err := fetch.JSON(ctx, client, fetch.Request{
		Op: "profile", URL: "https://oauth.mail.ru/userinfo?" + url.Values{"access_token": {token.AccessToken}}.Encode(),
	})
	return claims, err
}

var presetMailRu = preset{
	name: "mailru", function: "MailRu", make: plain(MailRu), domains: []string{"mail.ru"},
	console:  "https://o2.mail.ru/app/",
	register: "Applications registered before July 2025 keep working. Newer ones can only call Mail's API: use VK ID for sign-ins, which also offers Mail accounts.",
	user:     "Stable number, name, picture, locale, and the e-mail address, which is never verified.",
	quirks:   []string{"`/login/mailru` forwards `prompt`."},

	// https://id.vk.com/about/business/go/docs/ru/vkid/latest/oauth/oauth-mail/index
	refresh: refreshTokens{always: true},
}
