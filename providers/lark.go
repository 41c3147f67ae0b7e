package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// Lark configures "Log in with Lark", as plain OAuth 2.0. Users in China have accounts at
// [Feishu].
//
// User.Subject is the union_id, the same for all applications of one developer. The e-mail
// address is present only if the application requests it; according to Lark it is entered by
// an administrator, so EmailVerified is always false.
func Lark(clientID, clientSecret string) ginauth.Provider {
	return larkAt("lark", "Lark", "larksuite.com", clientID, clientSecret)
}

// Feishu configures Lark in China, which has separate accounts.
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

		// Names and picture need no scope. A scope that the application lacks in the console is
		// an error, so no other is requested.
		Scopes: nil,

		// https://open.feishu.cn/document/uAjLw4CM/ukTMukTMukTM/reference/authen-v1/user_info/get
		// All members are under data, next to an error code.
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
	about:   "It is valid for one refresh, which returns a new one.",
}

var presetLark = preset{
	name: "lark", function: "Lark", make: plain(Lark), domains: []string{"larksuite.com"},
	console:  "https://open.larksuite.com/app",
	register: "A custom app, for the users of your organization, or a store app. The redirect URI is under *Security Settings*.",
	user:     "ID of the user for all apps of one developer, name, picture.",
	quirks: []string{
		"For the e-mail address give the app the permission `contact:user.email:readonly`, and add that to `Scopes`. It is never verified.",
		"The claim `data` has the organization's `tenant_key`, the `open_id` and, with the permission for it, the `user_id`: keep it with `KeepClaims`.",
	},

	refresh: larkRefresh,
}

var presetFeishu = preset{
	name: "feishu", function: "Feishu", make: plain(Feishu),
	console:  "https://open.feishu.cn/app",
	register: "As for `lark`.",
	user:     "As for `lark`.",
	quirks:   []string{"`User.ID()` differs from that of `lark`: they are two services."},

	refresh: larkRefresh,
}
