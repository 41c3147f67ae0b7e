package budget

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// BenchmarkFloods measures the heap, not time: a client without an account can send any number
// of requests, and they must leave nothing in memory. -benchtime sets their number;
// docs/proof.md has the results.
func BenchmarkFloods(b *testing.B) {
	for _, flood := range []struct {
		name string
		of   func(b *testing.B, s *sitetest.Site) (send func(i int))
	}{
		{"logins", floodOfLogins},
		{"backchannel", floodOfLogoutTokens},
		{"frontchannel", floodOfFrames},
	} {
		b.Run(flood.name, func(b *testing.B) {
			s := sitetest.New(b, func(s *sitetest.Site, o *ginauth.Options) {
				s.Unheard, o.Logger = true, slog.New(slog.NewTextHandler(io.Discard, nil))
			})
			s.SignIn() // so that everything that the first sign-in loads is in memory
			send := flood.of(b, s)
			for i := range 5000 {
				send(i)
			}
			staysFlat(b, send)
		})
	}
}

// staysFlat sends b.N requests and measures the heap ten times on the way.
func staysFlat(b *testing.B, send func(i int)) {
	const limit = 256 << 10 // bytes, for any number of requests
	before := sitetest.Heap()
	most, last := before, before
	b.ResetTimer()
	for i := range b.N {
		send(5000 + i)
		if (i+1)%max(b.N/10, 1) == 0 {
			b.StopTimer()
			last = sitetest.Heap()
			most = max(most, last)
			b.StartTimer()
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(before)/1e6, "MB-before")
	b.ReportMetric(float64(most)/1e6, "MB-most")
	b.ReportMetric(float64(last)/1e6, "MB-after")
	if most-before > limit {
		b.Errorf("%d requests left %d bytes in memory", b.N, most-before)
	}
}

// flood sends a request from a separate client, and expects this response.
func flood(s *sitetest.Site, b *testing.B, i int, r *http.Request, status int) {
	r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:%d", i>>16&255, i>>8&255, i&255, 1024+i%60000)
	r.Header.Set("User-Agent", fmt.Sprint("client ", i))
	if w := s.Serve(r); w.Code != status {
		b.Fatalf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
	}
}

func floodOfLogins(b *testing.B, s *sitetest.Site) func(int) {
	return func(i int) {
		flood(s, b, i, sitetest.PageRequest(fmt.Sprint("/login/demo?return_to=/page/", i)), http.StatusSeeOther)
	}
}

// floodOfLogoutTokens sends forged logout tokens, each kind passing more checks than the
// previous one.
func floodOfLogoutTokens(b *testing.B, s *sitetest.Site) func(int) {
	return func(i int) {
		claims := map[string]any{"iss": s.IDP.Issuer, "aud": s.IDP.ClientID, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
			"jti": fmt.Sprint(i), "sid": fmt.Sprint("session ", i), "sub": fmt.Sprint("person ", i),
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
		token := fmt.Sprint("no token ", i)
		switch i % 5 {
		case 1:
			token = s.IDP.Sign(map[string]any{"alg": "none", "typ": "logout+jwt"}, claims)
		case 2:
			token = sitetest.SignHS256([]byte("a guess"), sitetest.JSON(map[string]any{"alg": "HS256", "typ": "logout+jwt"}), sitetest.JSON(claims))
		case 3:
			token = sitetest.SignJWT(sitetest.StrangerKey(), map[string]any{"alg": "RS256", "typ": "logout+jwt", "kid": fmt.Sprint("key ", i)}, sitetest.JSON(claims))
		case 4:
			token = sitetest.SignJWT(sitetest.StrangerKey(), map[string]any{"alg": "RS256", "typ": "logout+jwt", "kid": s.IDP.KeyID()}, sitetest.JSON(claims))
		}
		r := httptest.NewRequest("POST", "/logout/demo/backchannel", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		flood(s, b, i, r, http.StatusBadRequest)
	}
}

// floodOfFrames loads frames with the right issuer and a wrong sid, from browsers with and
// without a session.
func floodOfFrames(b *testing.B, s *sitetest.Site) func(int) {
	cookies := s.Browser.Cookies(s.URL)
	return func(i int) {
		r := sitetest.PageRequest("/logout/demo/frontchannel?" + url.Values{"iss": {s.IDP.Issuer}, "sid": {fmt.Sprint("session ", i)}}.Encode())
		for _, c := range cookies[:i%2*len(cookies)] {
			r.AddCookie(c)
		}
		flood(s, b, i, r, http.StatusOK)
	}
}
