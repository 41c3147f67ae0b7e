package rp_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

// TestHintOfAWithdrawnKey: a provider refuses an ID token whose key it has deleted, so
// that it is not sent as a hint.
func TestHintOfAWithdrawnKey(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	hinted := func(hint string) bool {
		t.Helper()
		u, err := url.Parse(c.EndSessionURL(t.Context(), hint, "state", theRedirect))
		if err != nil || u.Query().Get("client_id") != theClient || u.Query().Get("post_logout_redirect_uri") != theRedirect {
			t.Fatalf("signing out at %v, %v", u, err)
		}
		return u.Query().Get("id_token_hint") == hint && hint != ""
	}
	p.mustSignIn(c)
	old := p.idToken()
	if n := len(p.requests(pathKeys)); !hinted(old) || len(p.requests(pathKeys)) != n {
		t.Error("the hint is left out, or the keys are fetched for it at once")
	}

	// A new key beside the old one, which stays published for a while.
	p.signer, p.keys = otherRSA(), []any{otherRSA().jwk(), rsaKey().jwk()}
	p.clock.add(time.Minute)
	if !hinted(old) || !hinted(p.idToken()) {
		t.Error("the hint of a key that is published is left out")
	}
	// Published, though not to verify with here.
	p.keys = []any{otherRSA().jwk(), edit(rsaKey().jwk(), map[string]any{"use": "enc"})}
	p.clock.add(time.Minute)
	if !hinted(old) {
		t.Error("the hint of a key that is published is left out")
	}
	p.keys = []any{otherRSA().jwk()}
	p.clock.add(time.Minute)
	if hinted(old) || !hinted(p.idToken()) {
		t.Error("the hint of the old key is sent, or that of the new one is not")
	}
	// Many sign-outs are no flood.
	n := len(p.requests(pathKeys))
	for range 20 {
		hinted(old)
	}
	if got := len(p.requests(pathKeys)); got != n {
		t.Errorf("the keys were fetched %d times more", got-n)
	}
	// And they do not keep the keys of the next sign-in from being fetched.
	p.signer, p.keys = ecKey(), []any{ecKey().jwk()}
	p.mustSignIn(c)
}

// TestHintThatCannotBeJudged is sent: the provider knows best.
func TestHintThatCannotBeJudged(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	for _, hint := range []string{
		"not a token", rsaKey().sign(map[string]any{"alg": "RS256"}, p.idClaims()), rsaKey().sign(map[string]any{"alg": "RS256", "kid": 7}, p.idClaims()),
		rsaKey().signText(`{"alg":`, "{}"),
	} {
		if u, _ := url.Parse(c.EndSessionURL(t.Context(), hint, "state", theRedirect)); u.Query().Get("id_token_hint") != hint {
			t.Errorf("%.40q is left out", hint)
		}
	}
	p.clock.add(time.Minute)
	p.on(pathKeys, answering(http.StatusInternalServerError, "text/plain", "no"))
	hint := otherRSA().sign(map[string]any{"alg": "RS256", "kid": "old"}, p.idClaims())
	if u, _ := url.Parse(c.EndSessionURL(t.Context(), hint, "state", theRedirect)); u.Query().Get("id_token_hint") != hint {
		t.Error("the hint is left out, though the keys could not be fetched")
	}
	plain := p.client(p.plain, func(cfg *rp.Config) { cfg.EndSessionURL = p.URL + pathEndSession })
	if u, _ := url.Parse(plain.EndSessionURL(t.Context(), hint, "state", theRedirect)); u.Query().Get("id_token_hint") != hint {
		t.Error("a provider without keys gets no hint")
	}
}
