package providers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/fetch"
)

// X configures "Sign in with X", formerly Twitter, as plain OAuth 2.0.
//
// User.Subject is the numeric account id. User.Username, the handle, can be changed and then
// taken by another user. The address is the one that X confirmed, and present only if the
// application has permission to request it.
func X(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "x", Preset: "x", DisplayName: "X", Color: "#000000",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token
		// PKCE is required, and a client with a secret sends it in the header.
		AuthorizeURL: "https://x.com/i/oauth2/authorize",
		TokenURL:     "https://api.x.com/2/oauth2/token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://x.com",

		// The profile requires tweet.read in addition to users.read:
		// https://docs.x.com/fundamentals/authentication/guides/v2-authentication-mapping
		Scopes: []string{"users.read", "tweet.read", "users.email"},

		// All members are under data. confirmed_email is the address only if X confirmed it.
		// https://docs.x.com/x-api/users/get-my-user
		Profile: xProfile,
		ClaimPaths: map[string]string{
			"sub": "data.id", "name": "data.name", "preferred_username": "data.username",
			"picture": "data.profile_image_url", "email": "data.confirmed_email",
		},
		EmailVerified: func(claims map[string]any) bool { return textAt(claims, "data.confirmed_email") != "" },
	}
}

// xProfile requests the address if the scope was granted, and repeats the request without it if
// X rejects it, as it does until the application's settings allow it.
func xProfile(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error) {
	ask := func(fields string) (map[string]any, error) {
		claims, _, err := fetch.JSON(ctx, client, fetch.Request{Op: "profile", URL: "https://api.x.com/2/users/me?user.fields=" + fields})
		return claims, err
	}
	granted, _ := token.Extra("scope").(string)
	if granted != "" && !slices.Contains(strings.Fields(granted), "users.email") {
		return ask("profile_image_url")
	}
	claims, err := ask("profile_image_url,confirmed_email")
	if e, ok := errors.AsType[*fetch.Error](err); ok && e.Status == http.StatusForbidden {
		return ask("profile_image_url")
	}
	return claims, err
}

var presetX = preset{
	name: "x", function: "X", make: plain(X),
	console:  "https://developer.x.com/en/portal/dashboard",
	register: "Under *User authentication settings* an app of the type *Web App*, with *Request email from users* switched on. Client id and secret are those of OAuth 2.0, not the API key.",
	user:     "Stable number, name, handle, picture, and the e-mail address that X confirmed.",
	quirks: []string{
		"Without *Request email from users*, remove `users.email` from `Scopes`.",
		"A handle can be changed and then taken by another user: it is `Username`, and never the subject.",
	},

	// https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code
	refresh: refreshTokens{scope: "offline.access", about: "Revocation: `https://api.x.com/2/oauth2/revoke`."},
}
