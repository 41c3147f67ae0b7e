package ginauth_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// What a sign-in needs, all of it, whatever else holds.
const (
	goodState   = 1 << iota // the answer has the state that was sent
	goodCookie              // the browser has the attempt
	ownCallback             // the answer comes to the provider's own callback
	goodIss                 // its iss is the provider (RFC 9207)
	unspent                 // it is the first one to this attempt
	inTime                  // the attempt is no older than ten minutes
	goodPKCE                // the code was issued for the attempt's verifier
	goodSignature
	goodAudience
	goodNonce
	unexpired  // the ID token is
	everything = 1<<iota - 1
)

var conditions = []string{"state", "cookie", "provider", "iss", "unspent", "in time", "PKCE", "signature", "audience", "nonce", "unexpired"}

// TestASignInNeedsEverything tries every subset of the conditions: no check
// makes up for another one, and none hides behind another one's refusal.
func TestASignInNeedsEverything(t *testing.T) {
	const groups = 4
	for group := range groups {
		t.Run(fmt.Sprint("group ", group), func(t *testing.T) {
			t.Parallel()
			tr := newTrials(t)
			for holds := group; holds <= everything; holds += groups {
				t.Run(lacking(holds), func(t *testing.T) { tr.try(t, holds) })
			}
		})
	}
}

func lacking(holds int) string {
	var names []string
	for i, name := range conditions {
		if holds&(1<<i) == 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "with everything"
	}
	return "without " + strings.Join(names, ", ")
}

// trials are a site with two providers, of which people sign in with the first.
type trials struct {
	*flow
	other *authtest.Provider
}

func newTrials(t *testing.T) *trials {
	tr := &trials{}
	start := func(t testing.TB, change func(*site, *ginauth.Options)) *site {
		return siteOf(t, authtest.Config{SigningAlg: "ES256"}, change)
	}
	tr.flow = startFlow(t, start, func(s *site, o *ginauth.Options) {
		tr.other = startIDP(t, authtest.Config{SigningAlg: "ES256", Now: s.clock.Now})
		o.Providers = append(o.Providers, tr.other.Client("other"))
	})
	return tr
}

// try makes one attempt of which only some conditions hold.
func (tr *trials) try(t *testing.T, holds int) {
	has := func(condition int) bool { return holds&condition != 0 }
	tr.site.t, tr.browser = t, nil
	tr.idp.Reset()
	tr.other.Reset()
	tr.logs.Reset()
	tr.browser = tr.newBrowser()
	logins := tr.logins.Load()

	callback, attempt := tr.request(has(goodPKCE)), tr.attempt()
	attempt.Expires = time.Time{} // a browser that keeps it for ever
	tr.keep(attempt)
	tr.spoilToken(has)
	if !has(unspent) {
		denied := without(with(callback, "error", "access_denied"), "code")
		tr.wantError(tr.finish(denied), ginauth.ErrProviderDenied)
		tr.keep(attempt)
	}
	if !has(inTime) {
		tr.clock.Advance(10*time.Minute + time.Second)
		defer tr.clock.Advance(-10*time.Minute - time.Second)
	}
	if !has(goodCookie) {
		tr.browser.RemoveCookie(tr.URL, attempt.Name)
	}
	if got := len(tr.attempts()) == 1; got != has(goodCookie) {
		t.Fatalf("the browser has the attempt: %v", got)
	}
	p := tr.finish(tr.spoilAnswer(callback, has))

	if n := tr.other.Count(authtest.Token); n != 0 {
		t.Errorf("the other provider was asked for a token %d times", n)
	}
	if has(goodState) && has(goodCookie) && len(tr.attempts()) != 0 {
		t.Error("the attempt was used, and its cookie is still there")
	}
	if holds == everything {
		tr.landed(t, p, "/page/x")
		if u := tr.user(); u.Subject != "ada" || u.Issuer != tr.idp.Issuer || tr.idp.Count(authtest.Token) != 1 || tr.logins.Load() != logins+1 {
			t.Errorf("signed in: %+v, with %d requests for tokens and %d calls of OnLogin", u, tr.idp.Count(authtest.Token), tr.logins.Load()-logins)
		}
		return
	}
	want := refusalOf(holds)
	tr.refused(t, p, callback, want)
	if tr.logins.Load() != logins {
		t.Error("OnLogin was called")
	}
}

// refusalOf is what must come of an attempt: nothing before the redemption may
// reach the token endpoint.
func refusalOf(holds int) closed {
	lacks := func(some int) bool { return holds&some != some }
	switch {
	case lacks(goodState | goodCookie | ownCallback | unspent | inTime):
		return closed{code: ginauth.ErrStateInvalid}
	case lacks(goodIss):
		return closed{code: ginauth.ErrIssuerMismatch}
	case lacks(goodPKCE):
		return closed{code: ginauth.ErrCodeRejected, tokens: 1}
	}
	return closed{code: ginauth.ErrIDTokenInvalid, tokens: 1}
}

// request begins a sign-in and returns the provider's answer. Without PKCE, the
// code is issued for another verifier: an attacker's.
func (tr *trials) request(pkce bool) (callback *url.URL) {
	tr.site.t.Helper()
	authorize, err := url.Parse(tr.open("/login/demo?return_to=/page/x").Header.Get("Location"))
	if err != nil {
		tr.site.t.Fatal(err)
	}
	if !pkce {
		q := authorize.Query()
		sum := sha256.Sum256([]byte(rand.Text()))
		q.Set("code_challenge", b64(sum[:]))
		authorize.RawQuery = q.Encode()
	}
	tr.browser.StopAt = func(next *url.URL) bool {
		callback = next
		return true
	}
	defer func() { tr.browser.StopAt = nil }()
	p := tr.must(tr.browser.Click(authtest.At(tr.URL+"/"), authorize.String()))
	if callback == nil || callback.Query().Get("code") == "" {
		tr.site.t.Fatalf("the provider answered %d %s, and %v", p.Status, p.Text(), callback)
	}
	return callback
}

func (tr *trials) spoilToken(has func(int) bool) {
	tr.idp.Heal()
	if !has(goodSignature) {
		tr.idp.Fail(authtest.Token, authtest.WrongSignature)
	}
	tr.idp.EditIDToken(func(_, claims map[string]any) {
		if !has(goodAudience) {
			claims["aud"] = "another-client"
		}
		if !has(goodNonce) {
			claims["nonce"] = rand.Text()
		}
		if !has(unexpired) {
			claims["exp"] = tr.clock.Now().Add(-2 * time.Minute).Unix()
		}
	})
}

func (tr *trials) spoilAnswer(callback *url.URL, has func(int) bool) *url.URL {
	if !has(goodState) {
		state := []byte(callback.Query().Get("state"))
		if state[20]++; state[20] != 'B' {
			state[20] = 'A'
		}
		callback = with(callback, "state", string(state))
	}
	if !has(goodIss) {
		callback = with(callback, "iss", tr.other.Issuer)
	}
	if !has(ownCallback) {
		callback = at(callback, "/authorize/other")
	}
	return callback
}
