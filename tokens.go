package ginauth

import (
	"context"
	"crypto/sha256"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/contain"
)

// Refresh requests a new access token with the refresh token of old (RFC 6749, section 6),
// for jobs that run without the user and keep tokens in a table of the application's:
// [Login.Token] is what a sign-in gave. provider is the name of one of
// [Options.Providers]. Offline of package providers asks for refresh tokens.
//
// Store the result before it is used. Most providers replace the refresh token, and take
// one that comes a second time for stolen: they revoke all tokens of the person. So
// refresh under a lock on the row, and read old in it. Callers in this process that pass
// the same refresh token share one request. A request that has begun goes on when ctx
// ends; it takes 10 seconds at most, and as long again where the provider's metadata or
// keys have to be fetched first.
//
// It fails with the cause of ctx if ctx has ended before; with [ErrUnknownProvider]; with [ErrStepUpRequired] if old has no refresh token
// or the provider does not take it any more: have the user sign in again, and drop the
// row; with [ErrIDTokenInvalid] if the ID token in the response is not valid, and nothing of
// the response is used; with [ErrSessionError] if a function of the [Provider] panics; and
// with [ErrProviderUnavailable], [ErrProviderTimeout], [ErrProviderError],
// [ErrProviderMisconfigured] or [ErrBadTokenResponse] if the provider could not be asked, or
// answered as it should not: keep the row, and try again later.
func (a *Auth) Refresh(ctx context.Context, provider string, old *oauth2.Token) (*oauth2.Token, error) {
	cl, err := a.providers.Load().client(provider)
	if err != nil {
		return nil, err
	}
	if old == nil || old.RefreshToken == "" {
		return nil, &Error{Code: ErrStepUpRequired, ID: "refresh.no_token", Op: "refresh token", Provider: provider,
			Reason: "there is no refresh token", Fix: "ask the provider for one with providers.Offline, and have the person sign in again"}
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	key := sha256.Sum256([]byte(provider + "\x00" + old.RefreshToken))
	// Not given up when ctx ends: a refresh token that the provider has replaced would be
	// lost with the response.
	got, err, _ := a.refreshes.Do(string(key[:]), func() (any, error) {
		return contain.Call(func() (*oauth2.Token, error) { return cl.refresh(context.WithoutCancel(ctx), old.RefreshToken) })
	})
	if p, panicked := err.(*contain.Panic); panicked {
		err = hookPanicked("refresh token", p)
	}
	if err != nil {
		return nil, err
	}
	token := *got.(*oauth2.Token) // others have the same
	return &token, nil
}
