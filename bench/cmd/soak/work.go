package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/bench/internal/visit"
)

// work is what people do at the application, and what came of it.
type work struct {
	base     string
	provider *authtest.Provider
	clock    clock
	end      time.Time

	signIns, pages, signOuts, backChannels, left, wrong atomic.Int64
}

// keepOn is one visitor after the other.
func (w *work) keepOn(n int) {
	seat := visit.NewSeat()
	defer seat.Close()
	for i := n; time.Now().Before(w.end); i++ {
		if err := w.life(seat, i); err != nil && w.wrong.Add(1) <= 10 {
			fmt.Fprintln(os.Stderr, "soak:", err)
		}
	}
}

// life is one person's: in, about, and out in one of two ways, or never.
func (w *work) life(seat *visit.Seat, i int) error {
	b, err := seat.Browser(w.base)
	if err != nil {
		return err
	}
	text, err := b.SignIn("/login/corp?return_to=/me", "ada ")
	if err != nil {
		return err
	}
	w.signIns.Add(1)
	for range 3 {
		if status, _, err := b.Open("/me"); err != nil || status != http.StatusOK {
			return fmt.Errorf("a page of a signed-in user: %d, %w", status, err)
		}
		w.pages.Add(1)
	}
	cookies := b.Cookies()
	switch i % 3 {
	case 0:
		if _, _, err := b.Post("/logout", nil); err != nil {
			return err
		}
		w.signOuts.Add(1)
	case 1:
		_, sid, _ := strings.Cut(text, " ")
		if err := w.backChannel(seat, sid); err != nil {
			return err
		}
		w.backChannels.Add(1)
	default:
		w.left.Add(1) // who never signs out
		return nil
	}
	return w.out(cookies)
}

// backChannel is the provider, which says that a session of its own has ended.
func (w *work) backChannel(seat *visit.Seat, sid string) error {
	now := w.clock.now()
	token := w.provider.Sign(map[string]any{"typ": "logout+jwt"}, map[string]any{
		"iss": w.provider.Issuer, "aud": w.provider.ClientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"jti": fmt.Sprint(now.UnixNano()), "sid": sid,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
	b, err := seat.Browser(w.base)
	if err != nil {
		return err
	}
	if status, text, err := b.Post("/logout/corp/backchannel", url.Values{"logout_token": {token}}); err != nil || status != http.StatusOK {
		return fmt.Errorf("a back-channel logout: %d %.200s, %w", status, text, err)
	}
	return nil
}

// out makes sure that a copy of the session from before is worth nothing.
func (w *work) out(cookies string) error {
	r, err := http.NewRequest(http.MethodGet, w.base+"/me", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Cookie", cookies)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("a session that was signed out got %s", answer.Status)
	}
	return nil
}

// String says what was done.
func (w *work) String() string {
	return fmt.Sprintf("%d sign-ins, %d pages, %d sign-outs, %d back-channel logouts, %d sessions left alone; %d failed. "+
		"After each sign-out, a copy of the old session was tried and rejected.",
		w.signIns.Load(), w.pages.Load(), w.signOuts.Load(), w.backChannels.Load(), w.left.Load(), w.wrong.Load())
}

// verdict fails if anything did.
func (w *work) verdict() error {
	if n := w.wrong.Load(); n > 0 {
		return fmt.Errorf("%d of the visits went wrong", n)
	}
	if w.signOuts.Load() == 0 || w.backChannels.Load() == 0 {
		return fmt.Errorf("the time was too short for every way out")
	}
	return nil
}
