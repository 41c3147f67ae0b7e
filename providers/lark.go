package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// Lark is "Log in with Lark", as plain OAuth 2.0. Its people in China have
// Feishu.
//
// User.Subject is the union_id: the person, for all applications of one
// developer. There is no e-mail address, unless the application asks for it. Lark
// says that it is what an administrator entered, so it is never verified.
func Lark(clientID, clientSecret string) ginauth.Provider {
	return larkAt("lark", "Lark", "larksuite.com", clientID, clientSecret)
}

// Feishu is Lark in China, with other people.
func Feishu(clientID, clientSecret string) ginauth.Provider {
	return larkAt("feishu", "Feishu", "feishu.cn", clientID, clientSecret)
}

func larkAt(name, displayName, domain, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: name, Preset: name, DisplayName: displayName, Color: "#3370ff",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://open.feishu.cn/document/authentication-management/access-token/get-user-access-token
		// describes the token request as JSON, with PKCE, and recommends the standard's
		// clients; its example is golang.org/x/oauth2, which sends a form, as here.
		AuthorizeURL: "https://accounts." + domain + "/open-apis/authen/v1/authorize",
		TokenURL:     "https://open." + domain + "/open-apis/authen/v2/oauth/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://open." + domain,

		// Names and picture need none. What the application was not given in the
		// console ends in an error, so nothing else is asked for.
		Scopes: nil,

		// https://open.feishu.cn/document/uAjLw4CM/ukTMukTMukTM/reference/authen-v1/user_info/get
		// Everything is under data, beside a code of its own.
		UserinfoURL: "https://open." + domain + "/open-apis/authen/v1/user_info",
		ClaimPaths: map[string]string{
			"sub": "data.union_id", "name": "data.name", "picture": "data.avatar_url", "email": "data.email",
		},
		VerifyClaims: func(claims map[string]any) error {
			if textAt(claims, "code") != "0" {
				return errors.New("the response is not a profile: its code is not 0")
			}
			return nil
		},
	}
}

// https://open.feishu.cn/document/authentication-management/access-token/refresh-user-access-token
var larkRefresh = refreshTokens{
	scope:   "offline_access",
	console: "Give the application the permission `offline_access`.",
	about:   "It is valid for one use, which returns a new one.",
}

var presetLark = preset{
	name: "lark", function: "Lark", make: plain(Lark), domains: []string{"larksuite.com"},
	console:  "https://open.larksuite.com/app",
	register: "A custom app, for the people of your organization, or a store app. The redirect URI is under *Security Settings*.",
	user:     "The user's id for all apps of one developer, name, picture.",
	quirks: []string{
		"For the email address give the app the permission `contact:user.email:readonly`, and add that to `Scopes`. It is never verified.",
		"The claim `data` has the organization's `tenant_key`, the `open_id` and, with the permission for it, the `user_id`: keep it with `KeepClaims`.",
	},

	refresh: larkRefresh,
}

var presetFeishu = preset{
	name: "feishu", function: "Feishu", make: plain(Feishu),
	console:  "https://open.feishu.cn/app",
	register: "As for `lark`.",
	user:     "As with `lark`.",
	quirks:   []string{"`User.ID()` is not that of `lark`: they are two services."},

	refresh: larkRefresh,
}
