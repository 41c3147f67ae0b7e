package providers

import (
	"context"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/fetch"
)

// MailRu is "Log in with Mail", as plain OAuth 2.0, for applications that were
// registered before July 2025. Newer ones sign in Mail's people with VK ID.
//
// User.Subject is the account's number. Mail does not say whether an address is
// verified, so it never is.
func MailRu(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "mailru", Preset: "mailru", DisplayName: "Mail", Color: "#005ff9",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://id.vk.com/about/business/go/docs/ru/vkid/latest/oauth/oauth-mail/index
		// has PKCE. The secret in the form, and that token_type may be missing, are
		// seen in the ASP.NET Core providers of aspnet-contrib alone.
		AuthorizeURL: "https://oauth.mail.ru/login",
		TokenURL:     "https://oauth.mail.ru/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://oauth.mail.ru",
		Quirks:       ginauth.Quirks{NormalizeToken: addTokenType},

		Scopes:      []string{"userinfo"},
		LoginParams: []string{"prompt"},

		Profile:    mailRuProfile,
		ClaimPaths: map[string]string{"sub": "id", "given_name": "first_name", "family_name": "last_name", "picture": "image"},
		// Whatever a profile may say in time: nothing is documented to mean it.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

// mailRuProfile sends the access token in the address as well, which is where
// goth and aspnet-contrib put it.
func mailRuProfile(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error) {
	claims, _, err := fetch.JSON(ctx, client, fetch.Request{
		Op: "profile", URL: "https://oauth.mail.ru/userinfo?" + url.Values{"access_token": {token.AccessToken}}.Encode(),
	})
	return claims, err
}

var presetMailRu = preset{
	name: "mailru", function: "MailRu", make: plain(MailRu), domains: []string{"mail.ru"},
	console:  "https://o2.mail.ru/app/",
	register: "Applications registered before July 2025 continue to work. Newer ones only get access to the Mail API: use VK ID, which also offers Mail accounts.",
	user:     "Stable number, name, picture, locale, and the email address, which is never verified.",
	quirks:   []string{"`/login/mailru` forwards `prompt`."},

	// https://id.vk.com/about/business/go/docs/ru/vkid/latest/oauth/oauth-mail/index
	refresh: refreshTokens{always: true},
}
