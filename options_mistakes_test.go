package ginauth_test

import (
	"context"
	"net/http"

	"golang.org/x/oauth2"
)

func noProfile(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) { return nil, nil }
