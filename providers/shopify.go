package providers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// Shopify signs in the staff of one shop, kvarnbygd for kvarnbygd.myshopify.com, as plain
// OAuth 2.0. The first sign-in installs the application in the shop. Customers of the shop
// cannot sign in.
//
// User.Subject is the number of the staff member, and User.Issuer the shop. A token of the
// shop without a staff member is rejected. The claims account_owner and collaborator mark the
// owner and external collaborators.
//
// The secret is also in VerifyCallback: do not change ClientSecret afterwards; create another
// Provider.
func Shopify(shop, clientID, clientSecret string) ginauth.Provider {
	address := "https://" + shop + ".myshopify.com"
	return ginauth.Provider{
		Name: "shopify", Preset: "shopify", DisplayName: "Shopify", Color: "#5e8e3e",
		ClientID: clientID, ClientSecret: clientSecret,
		Err: label("shop", shop),

		// https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant
		AuthorizeURL: address + "/admin/oauth/authorize",
		TokenURL:     address + "/admin/oauth/access_token",
		AuthMethod:   "client_secret_post",
		Namespace:    address,

		// Identifying the user needs no scope; those of the API are separated by commas. The
		// user is in the token response.
		Quirks: ginauth.Quirks{ScopeSeparator: ",", NormalizeToken: shopifyToken, IncludedScopes: shopifyIncludes},

		// Without this, the token belongs to the shop, and does not identify a user.
		// https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/online-access-tokens
		AuthParams: map[string]string{"grant_options[]": "per-user"},

		VerifyCallback: func(callback url.Values) error {
			return shopifyAnswer(callback, shop+".myshopify.com", clientSecret)
		},

		Profile:    shopifyUser,
		ClaimPaths: map[string]string{"sub": "id", "given_name": "first_name", "family_name": "last_name"},
	}
}

// shopifyAnswer checks that the response is from Shopify and for this shop: hmac is an
// HMAC-SHA256 of all other parameters, sorted by name, under the secret. The documentation does
// not say whether they are form-encoded in it; in Shopify's own library (shopify-api-ruby,
// auth_query.rb) they are.
func shopifyAnswer(callback url.Values, shop, secret string) error {
	sent, err := hex.DecodeString(callback.Get("hmac"))
	callback.Del("hmac")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(callback.Encode()))
	if err != nil || !hmac.Equal(sent, mac.Sum(nil)) {
		return errors.New("its hmac does not match (is the client secret right?)")
	}
	if callback.Get("shop") != shop {
		return errors.New("it is from another shop")
	}
	return nil
}

// shopifyToken adds the token_type that Shopify omits, and converts the user's number to text,
// since x/oauth2 would decode it into a float.
func shopifyToken(_ http.Header, body []byte) ([]byte, error) {
	answer, err := strictjson.Object(body)
	if err != nil {
		return nil, err
	}
	if answer["token_type"] == nil {
		answer["token_type"] = "Bearer"
	}
	if user, ok := answer["associated_user"].(map[string]any); ok {
		put(user, "id", idAt(user, "id"))
	}
	return json.Marshal(answer)
}

func shopifyUser(_ context.Context, _ *http.Client, token *oauth2.Token) (map[string]any, error) {
	user, ok := token.Extra("associated_user").(map[string]any)
	if !ok {
		return nil, &ginauth.Error{Code: ginauth.ErrIdentityRejected, Op: "profile", Reason: "the token belongs to the shop, not to a user",
			Fix: `keep "grant_options[]": "per-user" in AuthParams`}
	}
	return user, nil
}

// shopifyIncludes returns the scope that a scope of Shopify includes and that its response
// omits.
// https://shopify.dev/docs/api/usage/access-scopes
func shopifyIncludes(scope string) []string {
	if of, writes := strings.CutPrefix(scope, "write_"); writes {
		return []string{"read_" + of}
	}
	return nil
}

var presetShopify = preset{
	name: "shopify", function: "Shopify", domains: []string{"myshopify.com"},
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Shopify(arg["shop"], clientID, clientSecret)
	},
	args:     []argument{{name: "shop", env: "_SHOP", about: "the shop: the part before `.myshopify.com`", example: "kvarnbygd"}},
	console:  "https://partners.shopify.com/",
	register: "An app that is not embedded in the admin; the redirect URI is an *Allowed redirection URL*.",
	user:     "The staff member's number within the shop, name, locale, e-mail address (verified if Shopify says so).",
	quirks: []string{
		"For the staff of one shop, not for its customers. The first sign-in installs the app.",
		"ginauth verifies the `hmac` of Shopify's responses.",
		"The Admin API expects the access token in the header `X-Shopify-Access-Token`.",
	},

	// https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/online-access-tokens
	refresh: refreshTokens{
		never: "Shopify issues them only with offline access tokens, which belong to a shop, while users sign in for online ones",
		fix:   withoutOne,
	},
}
