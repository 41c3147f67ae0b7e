package providers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// WeChat configures "Log in with WeChat" for websites, in WeChat's own dialect of OAuth 2.0:
// users scan a code with their phone. [WeChatOfficialAccount] is for pages that are opened
// within WeChat.
//
// clientID is the AppID. User.Subject is the openid, which identifies the user within this
// application. The unionid is the same for all applications of one Open Platform account, and
// exists only with such an account: if yours had one from the start, you may set
// ClaimPaths["sub"] to "unionid". Do not use it as a fallback: users would get another User.ID
// on the day the unionid appears.
//
// There is no e-mail address and no PKCE. WeChat requires the secret in the URL of the token
// request, so it may appear in WeChat's logs.
func WeChat(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "wechat", Preset: "wechat", DisplayName: "WeChat", Color: "#07c160",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.weixin.qq.com/doc/oplatform/en/Website_App/WeChat_Login/Wechat_Login.html
		AuthorizeURL: "https://open.weixin.qq.com/connect/qrconnect",
		TokenURL:     "https://api.weixin.qq.com/sns/oauth2/access_token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://open.weixin.qq.com",

		Scopes: []string{"snsapi_login"},

		Quirks: ginauth.Quirks{
			// WeChat compares the URL with a pattern of exactly these parameters, in this order:
			// appid, redirect_uri, response_type, scope, state.
			// https://developers.weixin.qq.com/doc/offiaccount/en/OA_Web_Apps/Wechat_webpage_authorization.html
			DisablePKCE: true,

			ClientIDParam:     "appid",
			ScopeSeparator:    ",",
			AuthorizeFragment: "wechat_redirect",
			TokenMethod:       "GET",
			EditToken: func(form, _ url.Values) {
				form.Set("secret", form.Get("client_secret"))
				form.Del("client_secret")
			},
			NormalizeToken: wechatToken,

			// If the user declines, the response has only the state: same page, second step.
			SilentRefusal: true,
		},

		Profile:    wechatProfile,
		ClaimPaths: map[string]string{"sub": "openid", "name": "nickname", "picture": "headimgurl"},
	}
}

// WeChatOfficialAccount configures WeChat for pages of an official account, which users open
// within WeChat. The openid differs from that of [WeChat].
func WeChatOfficialAccount(clientID, clientSecret string) ginauth.Provider {
	p := WeChat(clientID, clientSecret)
	p.Name, p.Preset = "wechat-official-account", "wechat-official-account"
	p.AuthorizeURL = "https://open.weixin.qq.com/connect/oauth2/authorize"
	p.Scopes = []string{"snsapi_userinfo"}
	return p
}

// wechatErrors maps error numbers to the error codes of the standard.
// https://developers.weixin.qq.com/doc/oplatform/en/Return_codes/Return_code_descriptions_new.html
var wechatErrors = map[string]string{
	"-1":    "temporarily_unavailable",
	"40013": "invalid_client", // AppID
	"40029": "invalid_grant",  // code
	"40125": "invalid_client", // secret
	"40163": "invalid_grant",  // code was used
	"42003": "invalid_grant",  // code has expired
}

// wechatToken converts the response to the standard's form: it is text/plain, has no token_type,
// and reports errors with status 200.
func wechatToken(_ http.Header, body []byte) ([]byte, error) {
	answer, err := strictjson.Object(body)
	if err != nil {
		return nil, err
	}
	if code := wechatError(answer); code != "" {
		name := wechatErrors[code]
		if name == "" {
			name = "invalid_request"
		}
		return json.Marshal(map[string]string{"error": name})
	}
	answer["token_type"] = "Bearer"
	return json.Marshal(answer)
}

// wechatError returns the number of an error, or "". A value that is not a number is an error,
// too.
func wechatError(answer map[string]any) string {
	switch code := textAt(answer, "errcode"); {
	case answer["errcode"] == nil || code == "0":
		return ""
	case code == "":
		return "unknown"
	default:
		return code
	}
}

// wechatProfile sends the access token and the openid in the URL, as WeChat requires, and checks
// that the response has that openid.
func wechatProfile(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error) {
	openid, _ := token.Extra("openid").(string)
	q := url.Values{"access_token": {token.AccessToken}, "openid": {openid}, "lang": {"en"}}
	claims, _, err := fetch.JSON(ctx, client, fetch.Request{Op: "profile", URL: "https://api.weixin.qq.com/sns/userinfo?" + q.Encode(), Accept: []string{"text/plain"}})
	if err != nil {
		return nil, err
	}
	if wechatError(claims) != "" || claims["openid"] != openid {
		return nil, &ginauth.Error{Code: ginauth.ErrIdentityRejected, Reason: "WeChat's response is not the profile of the signed-in user", Fix: "start again; if it persists, look up WeChat's errcode", Err: errors.New("it has an errcode, or another openid")}
	}
	return claims, nil
}

// https://developers.weixin.qq.com/doc/oplatform/en/Website_App/WeChat_Login/Wechat_Login.html
var wechatRefresh = refreshTokens{
	never: "WeChat issues one at each sign-in, and refreshes it at a separate endpoint",
	fix:   "remove Offline, keep the refresh token in OnLogin and send it to https://api.weixin.qq.com/sns/oauth2/refresh_token",
}

var presetWeChat = preset{
	name: "wechat", function: "WeChat", make: plain(WeChat), domains: []string{"weixin.qq.com"},
	console:  "https://open.weixin.qq.com/",
	register: "A *website application* (网站应用). Its callback domain is only the host of the redirect URI.",
	user:     "An openid for this user and application, nickname, picture; the claim `unionid` if there is one. There is no e-mail address.",
	quirks: []string{
		"The subject is the openid. Read the documentation of `providers.WeChat` before you use the unionid.",
		"There is no PKCE, and WeChat requires the secret in the URL of the token request.",
	},

	refresh: wechatRefresh,
}

var presetWeChatOfficialAccount = preset{
	name: "wechat-official-account", function: "WeChatOfficialAccount", make: plain(WeChatOfficialAccount), domains: []string{"weixin.qq.com"},
	console:  "https://mp.weixin.qq.com/",
	register: "A verified service account, with the host as *web authorization domain* (网页授权域名).",
	user:     "As for `wechat`; the openid differs.",
	quirks:   []string{"The page opens only inside WeChat: elsewhere, use `wechat`."},

	refresh: wechatRefresh,
}
