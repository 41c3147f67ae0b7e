package ginauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// madeUp is a state of the right form that nobody was given.
var madeUp = "AAAAAAAA." + strings.Repeat("B", 43) + "." + strings.Repeat("C", 16)

// faultsBState: the state must be that of an attempt of this browser.
func faultsBState() []fault {
	return []fault{
		{"B1_no_state", func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, nil)
			callback := f.begin("/login/demo?return_to=/page/b1")
			f.refuses(t, without(callback, "state"), closed{code: ginauth.ErrStateInvalid})
			f.lands(t, callback, "/page/b1")
		}},
		{"B2_empty_state", testEmptyState},
		{"B3_unknown_state", func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, nil)
			callback := f.begin("/login/demo?return_to=/page/b3")
			handle, rest, _ := strings.Cut(callback.Query().Get("state"), ".")
			secret, note, _ := strings.Cut(rest, ".")
			for _, state := range []string{
				madeUp, "AAAAAAAA." + rest, handle + "." + strings.Repeat("B", 43) + "." + note, handle + "." + secret + "." + strings.Repeat("B", 16),
				strings.Repeat("A", len(madeUp)), strings.Repeat(".", len(madeUp)), handle + "." + secret,
			} {
				f.refuses(t, with(callback, "state", state), closed{code: ginauth.ErrStateInvalid})
			}
			f.lands(t, callback, "/page/b3")
		}},
		{"B4_login_csrf", testLoginCSRF},
		{"B5_altered_state", testAlteredState},
		{"B6_provider_swap", testProviderSwap},
		{"B28_bad_state_reaches_no_network", testBadStateNoNetwork},
	}
}

func testEmptyState(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	bare, _ := url.Parse(f.URL + "/authorize/demo?state=&code=a-code-of-somebody-else")
	f.refuses(t, bare, closed{code: ginauth.ErrStateInvalid})
	f.signIn()
	f.refuses(t, bare, closed{code: ginauth.ErrStateInvalid, was: "ada", tokens: 1})
	f.refuses(t, without(bare, "state"), closed{code: ginauth.ErrStateInvalid, was: "ada", tokens: 1})
}

// testLoginCSRF: the attacker sends the victim his own answer, to have the
// victim work in the attacker's account.
func testLoginCSRF(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	victim, attacker := f.browser, f.newBrowser()
	f.browser = attacker
	attack := f.begin("/login/demo?return_to=/page/attacker")

	f.browser = victim
	f.refuses(t, attack, closed{code: ginauth.ErrStateInvalid})
	own := f.begin("/login/demo?return_to=/page/victim")
	f.refuses(t, attack, closed{code: ginauth.ErrStateInvalid})
	f.lands(t, own, "/page/victim")

	// Signed in, the victim stays who they are.
	f.idp.SignInAs("grace")
	f.browser = f.newBrowser()
	other := f.begin("/login/demo")
	f.browser = victim
	if p := f.finish(other); p.Status != http.StatusOK || f.user().Subject != "ada" || f.idp.Count(authtest.Token) != 1 {
		t.Errorf("the victim landed on %s as %s", p.URL, f.user().Subject)
	}

	f.browser = attacker
	f.lands(t, attack, "/page/attacker") // it was a good one, in the attacker's browser
}

func testAlteredState(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo?return_to=/page/b5")
	state := callback.Query().Get("state")
	variants := []string{
		state[:len(state)-1], state[1:], state[:len(state)/2], state + "=", state + "A", state + "\x00", "\x00" + state, " " + state,
		strings.ToLower(state), strings.ToUpper(state), strings.Replace(state, ".", "", 1), strings.Replace(state, ".", "..", 1),
		url.QueryEscape(state) + "%00", state + "." + state, strings.Replace(state, ".", "%2E", 1), state + "\u00e9",
	}
	for i := range state {
		changed := "A"
		if state[i] == 'A' {
			changed = "B"
		}
		variants = append(variants, state[:i]+changed+state[i+1:])
		if flipped := string(state[i] ^ 0x20); strings.ContainsAny(flipped, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			variants = append(variants, state[:i]+flipped+state[i+1:])
		}
	}
	for _, v := range variants {
		if v == state {
			continue
		}
		p := f.finish(with(callback, "state", v))
		f.wantError(p, ginauth.ErrStateInvalid)
	}
	f.refused(t, f.finish(with(callback, "state", state+"=")), callback, closed{code: ginauth.ErrStateInvalid})
	f.lands(t, callback, "/page/b5")
}

// withTwo is a flow with a second provider, "other", on an address of its own.
func withTwo(t testing.TB, change func(o *ginauth.Options)) (f *flow, other *authtest.Provider) {
	other = startIDP(t, authtest.Config{ClientID: "other-client"})
	other.SignInAs("grace")
	f = newFlow(t, func(s *site, o *ginauth.Options) {
		o.Providers = append(o.Providers, client("other", other))
		if change != nil {
			change(o)
		}
	})
	return f, other
}

// testProviderSwap: the mix-up attack (RFC 9700, 4.4), both ways round.
func testProviderSwap(t *testing.T) {
	t.Parallel()
	for _, way := range []struct{ from, to string }{{"demo", "other"}, {"other", "demo"}} {
		t.Run(way.from+" to "+way.to, func(t *testing.T) {
			f, other := withTwo(t, nil)
			f.get("/login/" + way.to) // so that metadata of both is known
			f.browser = f.newBrowser()
			f.idp.Reset()
			other.Reset()
			callback := f.begin("/login/" + way.from)
			f.refuses(t, at(callback, "/authorize/"+way.to), closed{code: ginauth.ErrStateInvalid})
			if !strings.Contains(f.logs.String(), "came to the callback of another") {
				t.Errorf("the log does not say what happened:\n%s", f.logs)
			}
			if f.attempts() != nil {
				t.Error("the attempt was not used up")
			}
			f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid}) // it is spent
			if other.Count(authtest.Token) != 0 {
				t.Error("the other token endpoint was asked")
			}
		})
	}
	t.Run("the other provider's answer with this one's state", func(t *testing.T) {
		f, other := withTwo(t, nil)
		stolen := f.begin("/login/other").Query()
		callback := f.begin("/login/demo")
		mixed := with(with(callback, "code", stolen.Get("code")), "iss", stolen.Get("iss"))
		f.refuses(t, mixed, closed{code: ginauth.ErrIssuerMismatch, hide: []string{stolen.Get("state")}})
		if other.Count(authtest.Token) != 0 {
			t.Error("the other token endpoint was asked")
		}
	})
}

func testBadStateNoNetwork(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo")
	f.redeploy(func(*ginauth.Options) {}) // nothing is known of the provider any more
	var asked atomic.Int64
	count := func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo} {
		f.idp.Handle(e, count)
	}
	state := callback.Query().Get("state")
	for _, bad := range []*url.URL{
		without(callback, "state"), with(callback, "state", ""), with(callback, "state", state[:len(state)-1]+"!"), with(callback, "state", "AAAAAAAA"+state[8:]),
		with(callback, "state", state[:9]+madeUp[9:]), with(with(callback, "state", "x"), "iss", "https://evil.example"),
	} {
		f.refuses(t, bad, closed{code: ginauth.ErrStateInvalid})
	}
	for _, query := range []string{callback.RawQuery + "&state=" + state, callback.RawQuery + "&iss=%zz", callback.RawQuery + "&STATE=x"} {
		f.refuses(t, withRaw(callback, query), closed{code: ginauth.ErrBadRequest})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo} {
		f.idp.Handle(e, nil)
	}
	if p := f.finish(callback); p.Status != http.StatusOK {
		t.Error(fmt.Errorf("the good answer got %d: %s", p.Status, p.Text()))
	}
}
