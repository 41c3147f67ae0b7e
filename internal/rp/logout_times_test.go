package rp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

func TestLogoutTokenTimes(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	at := func(d time.Duration) int64 { return p.clock.Now().Add(d).Unix() }
	for _, tt := range []struct {
		name   string
		claims map[string]any
		id     string // of the error; "" if the token is good
	}{
		{"a good one", nil, ""},
		{"without exp, as Ory Hydra sends them", map[string]any{"exp": absent}, ""},
		{"without exp, nearly 5 minutes old", map[string]any{"exp": absent, "iat": at(-290 * time.Second)}, ""},
		{"without exp, older than 5 minutes", map[string]any{"exp": absent, "iat": at(-310 * time.Second)}, "logout_token.iat_past"},
		{"without exp and iat", map[string]any{"exp": absent, "iat": absent}, "logout_token.iat"},
		{"without iat", map[string]any{"iat": absent}, "logout_token.iat"},
		{"iat in text", map[string]any{"iat": "1700000000"}, "logout_token.iat"},
		{"iat ahead", map[string]any{"iat": at(2 * time.Minute)}, "logout_token.iat_future"},
		{"expired", map[string]any{"exp": at(-2 * time.Minute)}, "jwt.expired"},
		{"expired less than the leeway ago", map[string]any{"exp": at(-30 * time.Second)}, ""},
		{"exp in the year 10000", map[string]any{"exp": 253402300800}, "jwt.exp"},
		{"exp in text", map[string]any{"exp": "1700000000"}, "jwt.exp"},
		{"exp of 0", map[string]any{"exp": 0}, "jwt.expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, tt.claims))
			if tt.id != "" {
				wantError(t, err, rp.LogoutTokenInvalid, tt.id)
				return
			}
			if err != nil || got.Subject != theSubject || got.IssuedAt.Before(p.clock.Now().Add(-5*time.Minute)) {
				t.Errorf("the token: %+v, %v", got, err)
			}
		})
	}
}

// TestAbsentTimes: how long ago an absent time was is not known, and the clock is
// not to blame.
func TestAbsentTimes(t *testing.T) {
	p := newProvider(t)
	for claim, id := range map[string]string{"exp": "jwt.exp", "iat": "id_token.iat"} {
		p.claims = map[string]any{claim: absent}
		_, err := p.signIn(p.client())
		if e := wantError(t, err, rp.IDTokenInvalid, id); strings.Contains(e.Fix, "clock") {
			t.Errorf("without %s, the clock is blamed: %v", claim, e)
		}
	}
}
