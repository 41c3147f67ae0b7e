package ginauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

// wanted describes the access token that a request needs.
type wanted struct {
	v       *authRequest
	cl      *client
	api     *API
	refused string // rejected by the API: another token is needed
	asked   string // scopes requested by earlier redirects of the session, space-separated
}

// id returns the key of the session's tokens.
func (w *wanted) id() string { return w.v.opened.tokensID() }

// usable returns the token of a record if it is suitable.
func (w *wanted) usable(r *tokenRecord, now time.Time) *accessToken {
	if r == nil {
		return nil
	}
	t := r.find(w.api)
	if t == nil || t.value == w.refused || t.lacks(w.api.Scopes) || t.due(now, w.id()[0]) {
		return nil
	}
	return t
}

// stale returns the token of a record that is due for a refresh and still valid, or nil.
func (w *wanted) stale(r *tokenRecord, now time.Time) *accessToken {
	if r == nil {
		return nil
	}
	if t := r.find(w.api); t != nil && t.value != w.refused && !t.lacks(w.api.Scopes) && !t.expired(now) {
		return t
	}
	return nil
}

// staleOr returns a token that is still valid, or else the error.
func (w *wanted) staleOr(r *tokenRecord, now time.Time, err error) (*accessToken, error) {
	if t := w.stale(r, now); t != nil {
		return t, nil
	}
	return nil, err
}

// impossible returns why no refresh can produce the token, or nil.
func (w *wanted) impossible(last storedTokens, now time.Time) error {
	var t *accessToken
	r := last.tokenRecord
	if r != nil {
		t = r.find(w.api)
	}
	fresh := w.v.opened.created.Add(justNow).After(now)
	switch {
	case last.unreadable && fresh && w.v.opened.tokens != nil:
		return &Error{Code: ErrStoreUnavailable, ID: "store.tokens_lost", Op: "load tokens", Provider: w.cl.provider.Name,
			Reason: "the tokens are missing in Options.Tokens right after the sign-in", Fix: "check that all replicas share one store and the same Keys, and that the store does not evict entries"}
	case r == nil:
		return w.stepUp("refresh.lost", "the tokens of the session are no longer in Options.Tokens", passToFail+" for new tokens; an in-memory store loses them on restart")
	case t != nil && t.value == w.refused && t.obtained.Add(justNow).After(now):
		return errRefusedAgain
	case r.refreshToken != "" && !r.ended:
		return nil
	case fresh && t != nil && !t.lacks(w.api.Scopes):
		return &Error{Code: ErrProviderError, ID: "refresh.expires_at_once", Op: "refresh token", Provider: w.cl.provider.Name,
			Reason: "the access token expired right after the sign-in", Fix: "have the provider issue access tokens that last at least minutes, or request refresh tokens (providers.Offline)"}
	case w.backFromTrip(r, now):
		return w.denied()
	case r.ended:
		return w.stepUp("refresh.invalid_grant", "the provider rejected the refresh token", passToFail+" for new tokens")
	}
	if base := r.find(new(API)); base != nil && !base.expired(now) && !base.grants(w.api.Scopes) {
		return w.stepUp("refresh.scopes_missing", fmt.Sprintf("the access token of the sign-in lacks some of the scopes %q", w.api.Scopes), passToFail+" for consent; if every page needs these scopes, add them to Provider.Scopes as well")
	}
	return w.stepUp("refresh.no_token", "the access token has expired, and the provider issued no refresh token", passToFail+" for a new token; request refresh tokens with providers.Offline")
}

// errRefusedAgain means that an API rejected a fresh token.
var errRefusedAgain = errors.New("the API rejected a fresh token")

// passToFail is the fix of an error that only the user can resolve.
const passToFail = "pass the error to Auth.Fail, which redirects the user to the provider"

// stepUp returns the error that redirects the user to the provider for the token.
func (w *wanted) stepUp(id, reason, fix string) *Error {
	return &Error{Code: ErrStepUpRequired, ID: id, Op: "refresh token", Provider: w.cl.provider.Name, Reason: reason, Fix: fix, demand: w.demand()}
}

// backFromTrip reports whether the user has just returned from the provider with this token, so
// that another redirect would have the same result and a page would redirect forever. That is
// true until the access token of the sign-in expires; for an API that takes that token, only for
// a minute, since it may have been revoked later.
func (w *wanted) backFromTrip(r *tokenRecord, now time.Time) bool {
	if !now.Before(r.tripUntil) {
		return false
	}
	if w.api.key() == "" {
		return w.v.opened.created.Add(tripGrace).After(now)
	}
	asked := strings.Fields(r.asked) // as requested, not as the provider names granted scopes
	return !slices.ContainsFunc(w.api.Scopes, func(s string) bool {
		return !slices.Contains(asked, s) && !slices.Contains(w.cl.provider.Scopes, s)
	})
}

// demand returns the demand for a redirect that obtains the token. It includes the scopes of
// earlier redirects that an API still needs: otherwise a page that calls two APIs would lose the
// scopes of one by requesting those of the other.
func (w *wanted) demand() *demand {
	earlier := slices.DeleteFunc(strings.Fields(w.asked), func(s string) bool {
		return !slices.ContainsFunc(w.cl.provider.APIs, func(api API) bool { return slices.Contains(api.Scopes, s) })
	})
	return &demand{session: w.v.opened.id, scopes: union(earlier, w.api.Scopes)}
}

// denied returns the error if the provider was just asked for the scopes and did not grant them.
func (w *wanted) denied() *Error {
	return &Error{Code: ErrProviderDenied, ID: "refresh.scopes_denied", text: "consent_denied", Op: "refresh token", Provider: w.cl.provider.Name,
		Reason: "the provider did not grant the scopes of the API", Fix: "compare API.Scopes with the scopes allowed for the client at the provider, unless the user declined"}
}

// refreshRequest returns the request that refreshes the token, with the values that its ID token
// must match.
func (w *wanted) refreshRequest(last *tokenRecord) rp.RefreshRequest {
	user := &w.v.opened.user
	return rp.RefreshRequest{RefreshToken: last.refreshToken, Scopes: w.api.Scopes, Resource: w.api.Resource, Earlier: rp.Earlier{
		Issuer: user.Issuer, Subject: user.Subject, Nonce: last.nonce, AuthTime: last.authTime, IssuedAt: last.issued,
	}}
}
