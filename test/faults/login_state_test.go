package faults

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsLoginState(t *testing.T) {
	runFaults(t, []fault{
		{"A14_largest_attempt_fits", a14LargestAttemptFits},
		{"A19_two_tabs", a19TwoTabs},
		{"A20_many_starts", a20ManyStarts},
		{"B1_no_state", func(t *testing.T) {
			t.Parallel()
			f := sitetest.NewFlow(t, nil)
			callback := f.Begin("/login/demo?return_to=/page/b1")
			f.Refuses(t, sitetest.Without(callback, "state"), sitetest.Closed{Code: ginauth.ErrStateInvalid})
			f.Lands(t, callback, "/page/b1")
		}},
		{"B2_empty_state", b2EmptyState},
		{"B3_unknown_state", func(t *testing.T) {
			t.Parallel()
			f := sitetest.NewFlow(t, nil)
			callback := f.Begin("/login/demo?return_to=/page/b3")
			handle, rest, _ := strings.Cut(callback.Query().Get("state"), ".")
			secret, note, _ := strings.Cut(rest, ".")
			for _, state := range []string{
				sitetest.MadeUpState, "AAAAAAAA." + rest, handle + "." + strings.Repeat("B", 43) + "." + note, handle + "." + secret + "." + strings.Repeat("B", 16),
				strings.Repeat("A", len(sitetest.MadeUpState)), strings.Repeat(".", len(sitetest.MadeUpState)), handle + "." + secret,
			} {
				f.Refuses(t, sitetest.With(callback, "state", state), sitetest.Closed{Code: ginauth.ErrStateInvalid})
			}
			f.Lands(t, callback, "/page/b3")
		}},
		{"B4_login_csrf", b4LoginCsrf},
		{"B5_altered_state", b5AlteredState},
		{"B6_provider_swap", b6ProviderSwap},
		{"B28_bad_state_reaches_no_network", b28BadStateReachesNoNetwork},
		{"B42_provider_removed_or_client_changed", b42ProviderRemovedOrClientChanged},
		{"B43_issuer_changed", b43IssuerChanged},
	})
}

// A14: an attempt that does not fit into a cookie would be an error instead of a redirect. No
// request can cause this: the largest attempt fits.
func a14LargestAttemptFits(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("n", 32)
	s := sitetest.NewTLS(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.CookieName = strings.Repeat("c", 32)
		o.Providers[0].Name, o.Providers[0].LoginParams = name, []string{"acr_values", "max_age"}
		s.IDP.EditIDToken(func(_, claims map[string]any) { claims["acr"] = "urn:a" })
	})
	returnTo := "/page/" + strings.Repeat("a", 2042)
	acr := "urn:a " + strings.Repeat("b", 250)
	if p := s.Get("/login/" + name); s.User() == nil { // linking adds the session's id
		t.Fatalf("the sign-in ended at %s with %d: %s", p.URL, p.Status, p.Text())
	}
	p := s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/login/"+name,
		url.Values{"return_to": {returnTo}, "acr_values": {acr}, "max_age": {"2147483647"}, "link": {"true"}}))
	if p.URL.Path != returnTo || p.Status != http.StatusOK {
		t.Errorf("the sign-in ended at %.60s with %d: %s\n%q", p.URL, p.Status, p.Text(), s.Browser.RefusedCookies())
	}
	for _, hop := range p.Hops {
		for _, line := range hop.Header["Set-Cookie"] {
			if len(line) > 4096 {
				t.Errorf("a cookie has %d bytes", len(line))
			}
		}
	}
}

func a19TwoTabs(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"as begun", "the other way round"} {
		s := sitetest.New(t, nil)
		first := s.Begin("/login/demo" + sitetest.ReturnTo("/page/1?x=1"))
		s.IDP.SignInAs("eve")
		second := s.Begin("/login/demo" + sitetest.ReturnTo("/page/2?x=2"))
		want := []string{"/page/1?x=1", "/page/2?x=2"}
		if order != "as begun" {
			first, second = second, first
			want[0], want[1] = want[1], want[0]
		}
		for i, callback := range []*url.URL{first, second} {
			if p := s.Finish(callback); p.Status != http.StatusOK || p.URL.String() != s.URL+want[i] {
				t.Errorf("%s: tab %d ended at %s with %d", order, i+1, p.URL, p.Status)
			}
		}
		last := map[string]string{"as begun": "eve", "the other way round": "ada"}[order]
		if u := s.User(); u == nil || u.Subject != last {
			t.Errorf("%s: %v is signed in, want %s", order, u, last)
		}
	}
}

func a20ManyStarts(t *testing.T) {
	t.Parallel()
	s := sitetest.NewTLS(t, nil)
	var callbacks []*url.URL
	for range 7 {
		callbacks = append(callbacks, s.Begin("/login/demo"+sitetest.ReturnTo("/page/"+strings.Repeat("x", 200))))
		s.Clock.Advance(time.Second)
	}
	for i, callback := range callbacks { // the oldest was displaced
		b := s.Browser.Clone()
		p := s.Must(b.Click(authtest.At(s.IDP.Issuer), callback.String()))
		if live := s.UserOf(b) != nil; live != (i >= 2) {
			t.Errorf("of 7 sign-ins, number %d ended at %s with %d", i+1, p.URL.Path, p.Status)
		}
	}
	tokens := s.IDP.Count(authtest.Token)
	for range 200 {
		s.Open("/login/demo")
		s.Clock.Advance(time.Second)
		line, attempts := 0, 0
		for _, c := range s.Browser.Cookies(s.URL) {
			line += len(c.Name) + len(c.Value) + 3
			if strings.Contains(c.Name, "-a-") {
				attempts++
			}
		}
		if attempts > 5 || line > 8<<10 {
			t.Fatalf("there are %d attempts, and %d bytes of cookies", attempts, line)
		}
	}
	newest := s.Begin("/login/demo" + sitetest.ReturnTo("/page/newest"))
	s.FailsClosed(t, s.Finish(callbacks[6]), sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: tokens})
	if p := s.Finish(newest); p.Status != http.StatusOK || p.URL.Path != "/page/newest" {
		t.Errorf("the newest sign-in ended at %s with %d: %s", p.URL, p.Status, p.Text())
	}
	if !strings.Contains(s.Logs.String(), "id=state.cookie_missing_others ") {
		t.Error("the log does not say why an old sign-in is over")
	}
}

func b42ProviderRemovedOrClientChanged(t *testing.T) {
	t.Parallel()
	t.Run("removed", func(t *testing.T) {
		f := sitetest.NewFlow(t, nil)
		callback := f.Begin("/login/demo")
		f.Redeploy(func(o *ginauth.Options) {
			p := sitetest.Client("renamed", f.IDP)
			o.Providers = []ginauth.Provider{p}
		})
		f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrUnknownProvider})
		f.Refuses(t, sitetest.AtPath(callback, "/authorize/renamed"), sitetest.Closed{Code: ginauth.ErrStateInvalid})
	})
	t.Run("another client id", func(t *testing.T) {
		f := sitetest.NewFlow(t, nil)
		callback := f.Begin("/login/demo")
		f.Redeploy(func(o *ginauth.Options) {
			p := sitetest.Client("demo", f.IDP)
			p.ClientID = "another-client"
			o.Providers = []ginauth.Provider{p}
		})
		f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})
		f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	})
	t.Run("nothing of it", func(t *testing.T) {
		f := sitetest.NewFlow(t, nil)
		callback := f.Begin("/login/demo?return_to=/page/b42")
		f.Redeploy(func(o *ginauth.Options) { o.Providers = []ginauth.Provider{sitetest.Client("demo", f.IDP)} })
		f.Lands(t, callback, "/page/b42")
	})
}

func b43IssuerChanged(t *testing.T) {
	t.Parallel()
	quiet := func(idp *authtest.Provider) { // responses without iss, which would be sufficient alone
		idp.EditMetadata(func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") })
	}
	t.Run("in the options", func(t *testing.T) {
		f := sitetest.NewFlow(t, func(s *sitetest.Site, _ *ginauth.Options) { quiet(s.IDP) })
		other := sitetest.StartProvider(t, authtest.Config{})
		quiet(other)
		callback := sitetest.Without(f.Begin("/login/demo"), "iss")
		f.Redeploy(func(o *ginauth.Options) { o.Providers = []ginauth.Provider{sitetest.Client("demo", other)} })
		f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
		if other.Count(authtest.Token) != 0 {
			t.Error("the other token endpoint got the code")
		}
	})
	t.Run("in the metadata", func(t *testing.T) {
		f := sitetest.NewFlow(t, nil)
		callback := f.Begin("/login/demo")
		f.IDP.EditMetadata(func(m map[string]any) { m["token_endpoint"] = f.IDP.EvilURL() })
		f.Redeploy(func(*ginauth.Options) {})
		f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
		if f.IDP.EvilRequests() != 0 {
			t.Error("the other token endpoint got the code")
		}
	})
}

// beginsSession reports whether a Set-Cookie line is a session's: its value begins with a
// marker. So may that of the hint about a failed sign-in.
func beginsSession(line string) bool {
	name, value, _ := strings.Cut(line, "=")
	return strings.HasPrefix(value, "1") && !strings.HasSuffix(name, "-u")
}

func b2EmptyState(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	bare, _ := url.Parse(f.URL + "/authorize/demo?state=&code=a-code-of-somebody-else")
	f.Refuses(t, bare, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	f.SignIn()
	f.Refuses(t, bare, sitetest.Closed{Code: ginauth.ErrStateInvalid, Was: "ada", Tokens: 1})
	f.Refuses(t, sitetest.Without(bare, "state"), sitetest.Closed{Code: ginauth.ErrStateInvalid, Was: "ada", Tokens: 1})
}

// The attacker sends the victim the response to the attacker's own sign-in, so that the victim
// works in the attacker's account.
func b4LoginCsrf(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	victim, attacker := f.Browser, f.NewBrowser()
	f.Browser = attacker
	attack := f.Begin("/login/demo?return_to=/page/attacker")

	f.Browser = victim
	f.Refuses(t, attack, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	own := f.Begin("/login/demo?return_to=/page/victim")
	f.Refuses(t, attack, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	f.Lands(t, own, "/page/victim")

	// A signed-in victim stays signed in as themselves.
	f.IDP.SignInAs("grace")
	f.Browser = f.NewBrowser()
	other := f.Begin("/login/demo")
	f.Browser = victim
	if p := f.Finish(other); p.Status != http.StatusOK || f.User().Subject != "ada" || f.IDP.Count(authtest.Token) != 1 {
		t.Errorf("the victim landed on %s as %s", p.URL, f.User().Subject)
	}

	f.Browser = attacker
	f.Lands(t, attack, "/page/attacker") // the response was valid, in the attacker's browser
}

func b5AlteredState(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo?return_to=/page/b5")
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
		p := f.Finish(sitetest.With(callback, "state", v))
		f.WantError(p, ginauth.ErrStateInvalid)
	}
	f.WantRefused(t, f.Finish(sitetest.With(callback, "state", state+"=")), callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	f.Lands(t, callback, "/page/b5")
}

// The mix-up attack (RFC 9700, 4.4), in both directions.
func b6ProviderSwap(t *testing.T) {
	t.Parallel()
	for _, way := range []struct{ from, to string }{{"demo", "other"}, {"other", "demo"}} {
		t.Run(way.from+" to "+way.to, func(t *testing.T) {
			f, other := sitetest.NewFlowWithTwo(t, nil)
			f.Get("/login/" + way.to) // so that metadata of both is known
			f.Browser = f.NewBrowser()
			f.IDP.Reset()
			other.Reset()
			callback := f.Begin("/login/" + way.from)
			f.Refuses(t, sitetest.AtPath(callback, "/authorize/"+way.to), sitetest.Closed{Code: ginauth.ErrStateInvalid})
			if !strings.Contains(f.Logs.String(), "id=state.other_provider ") {
				t.Errorf("the log does not say what happened:\n%s", f.Logs)
			}
			if f.LoginStates() != nil {
				t.Error("the attempt was not used up")
			}
			f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid}) // it is spent
			if other.Count(authtest.Token) != 0 {
				t.Error("the other token endpoint was called")
			}
		})
	}
	t.Run("the other provider's answer with this one's state", func(t *testing.T) {
		f, other := sitetest.NewFlowWithTwo(t, nil)
		stolen := f.Begin("/login/other").Query()
		callback := f.Begin("/login/demo")
		mixed := sitetest.With(sitetest.With(callback, "code", stolen.Get("code")), "iss", stolen.Get("iss"))
		f.Refuses(t, mixed, sitetest.Closed{Code: ginauth.ErrIssuerMismatch, Hide: []string{stolen.Get("state")}})
		if other.Count(authtest.Token) != 0 {
			t.Error("the other token endpoint was called")
		}
	})
}

func b28BadStateReachesNoNetwork(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo")
	f.Redeploy(func(*ginauth.Options) {}) // the provider's metadata is no longer cached
	var asked atomic.Int64
	count := func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo} {
		f.IDP.Handle(e, count)
	}
	state := callback.Query().Get("state")
	for _, bad := range []*url.URL{
		sitetest.Without(callback, "state"), sitetest.With(callback, "state", ""), sitetest.With(callback, "state", state[:len(state)-1]+"!"), sitetest.With(callback, "state", "AAAAAAAA"+state[8:]),
		sitetest.With(callback, "state", state[:9]+sitetest.MadeUpState[9:]), sitetest.With(sitetest.With(callback, "state", "x"), "iss", "https://evil.example"),
	} {
		f.Refuses(t, bad, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	}
	for _, query := range []string{callback.RawQuery + "&state=" + state, callback.RawQuery + "&iss=%zz", callback.RawQuery + "&STATE=x"} {
		f.Refuses(t, sitetest.WithQuery(callback, query), sitetest.Closed{Code: ginauth.ErrBadRequest})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo} {
		f.IDP.Handle(e, nil)
	}
	if p := f.Finish(callback); p.Status != http.StatusOK {
		t.Error(fmt.Errorf("the good response got %d: %s", p.Status, p.Text()))
	}
}

// carrying opens a URL with only these cookies, even if a browser would not send them.
func carrying(f *sitetest.Flow, address string, cookies ...*http.Cookie) *authtest.Page {
	f.T.Helper()
	r, err := http.NewRequest("GET", address, nil)
	if err != nil {
		f.T.Fatal(err)
	}
	for _, c := range cookies {
		r.Header.Set("Cookie", strings.TrimPrefix(r.Header.Get("Cookie")+"; "+c.Name+"="+c.Value, "; "))
	}
	r.Header.Set("Accept", "text/html")
	return f.Must(f.NewBrowser().Do(r))
}
