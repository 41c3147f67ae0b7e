package providers

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ginauth/ginauth"
)

// Discord configures "Log in with Discord", as plain OAuth 2.0.
//
// User.Subject is the account's snowflake, which never changes; User.Username can change and
// then be taken by another user. Name is the display name or, without one, the user name.
func Discord(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "discord", Preset: "discord", DisplayName: "Discord", Color: "#5865f2",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://discord.com/developers/docs/topics/oauth2#shared-resources-oauth2-urls
		// The token endpoint takes the secret in the header, as its examples do.
		AuthorizeURL: "https://discord.com/oauth2/authorize",
		TokenURL:     "https://discord.com/api/oauth2/token",
		AuthMethod:   "client_secret_basic",

		// identify gives the profile, email the address and whether it is verified.
		// https://discord.com/developers/docs/topics/oauth2#shared-resources-oauth2-scopes
		Scopes: []string{"identify", "email"},

		// "none" skips the consent of those who gave it before, "consent" asks again.
		LoginParams: []string{"prompt"},

		// The iss of Discord's authorization responses (RFC 9207).
		ResponseIssuer: "https://discord.com",
		Namespace:      "https://discord.com",

		// https://discord.com/developers/docs/resources/user#user-object
		Profile: profileAt("https://discord.com/api/users/@me", func(claims map[string]any) error {
			put(claims, "name", textAt(claims, "global_name", "username"))
			put(claims, "picture", discordAvatar(claims))
			return nil
		}),
		ClaimPaths: map[string]string{"sub": "id", "preferred_username": "username", "email_verified": "verified"},
	}
}

// discordAvatar returns the URL of the picture, which the profile lacks:
// https://discord.com/developers/docs/reference#image-formatting. Hashes of animated pictures
// begin with a_. Users without a picture have one of Discord's, chosen by the id, or by the
// discriminator for accounts from before user names were unique.
func discordAvatar(claims map[string]any) string {
	const cdn = "https://cdn.discordapp.com/"
	id, err := strconv.ParseUint(textAt(claims, "id"), 10, 64)
	if err != nil {
		return ""
	}
	hash := textAt(claims, "avatar")
	if hash == "" {
		n := (id >> 22) % 6
		if old, err := strconv.ParseUint(textAt(claims, "discriminator"), 10, 16); err == nil && old != 0 {
			n = old % 5
		}
		return fmt.Sprintf("%sembed/avatars/%d.png", cdn, n)
	}
	if strings.Trim(hash, "0123456789abcdef_") != "" {
		return ""
	}
	format := "png"
	if strings.HasPrefix(hash, "a_") {
		format = "gif"
	}
	return fmt.Sprintf("%savatars/%d/%s.%s", cdn, id, hash, format)
}

var presetDiscord = preset{
	name: "discord", function: "Discord", make: plain(Discord), domains: []string{"discordapp.com"},
	console:  "https://discord.com/developers/applications",
	register: "Under *OAuth2*, add the redirect URI and copy client id and secret.",
	user:     "Snowflake, display name, user name, locale, picture, e-mail address (verified if Discord says so).",
	quirks:   []string{"`/login/discord` forwards `prompt` (`none` or `consent`)."},

	// https://discord.com/developers/docs/topics/oauth2#authorization-code-grant
	refresh: refreshTokens{
		always: true,
		about:  "Revocation: `https://discord.com/api/oauth2/token/revoke`, which revokes every token of the grant.",
	},
}
