package interop

import (
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

// posts counts the requests that change something at a server, by the end of their
// paths, with their statuses.
type posts struct {
	mu  sync.Mutex
	got map[string]int
}

// RoundTrip implements http.RoundTripper.
func (p *posts) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && r.Method == http.MethodPost {
		p.mu.Lock()
		p.got[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]+" "+resp.Status[:3]]++
		p.mu.Unlock()
	}
	return resp, err
}

func (p *posts) count(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got[what]
}

// tryTokens calls the server's own API as the signed-in person, over three expiries of the
// access token, and signs out. revocation is the end of
// the revocation endpoint's path.
func tryTokens(t *testing.T, with server, revocation string) {
	requests := &posts{got: map[string]int{}}
	var ahead atomic.Int64
	var address atomic.Value
	s := newSite(t, with, config{
		change: func(p *ginauth.Provider, o *ginauth.Options) {
			*p = providers.Offline(*p)
			p.APIs = []ginauth.API{{URL: p.Issuer + "/"}}
			p.Quirks.NormalizeToken = func(_ http.Header, body []byte) ([]byte, error) { // so that no clock has to go far ahead
				return regexp.MustCompile(`"expires_in":\d+`).ReplaceAll(body, []byte(`"expires_in":1`)), nil
			}
			o.HTTPClient = &http.Client{Transport: requests}
			o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		},
		routes: func(r *gin.Engine, auth *ginauth.Auth) {
			r.GET("/api", auth.RequireAuth(), func(c *gin.Context) {
				resp, err := auth.Client(c).Get(address.Load().(string))
				if err != nil {
					auth.Fail(c, err)
					return
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				c.Data(resp.StatusCode, "application/json", body)
			})
		},
	})
	address.Store(s.auth.Diagnose(t.Context()).Providers[0].Endpoints["userinfo_endpoint"])
	who := s.signIn("/private", ada)
	called := func(b *authtest.Browser) {
		p, err := b.Get(s.URL + "/api")
		if err != nil {
			t.Error(err)
		} else if p.Status != http.StatusOK || !strings.Contains(p.Text(), who.User.Subject) {
			t.Errorf("status %d", p.Status)
		}
	}
	called(s.browser)
	for i := range 3 {
		ahead.Add(int64(2 * time.Second))
		var all sync.WaitGroup
		for range 20 {
			b := s.browser.Clone()
			all.Go(func() { called(b) })
		}
		all.Wait()
		if n := requests.count("token 200"); n != i+2 {
			t.Errorf("%d token requests after %d expiries, want %d", n, i+1, i+2)
		}
	}
	s.signOut()
	for start := time.Now(); requests.count(revocation+" 200") == 0; runtime.Gosched() {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("the refresh token is not revoked: %v", requests.got)
		}
	}
}
