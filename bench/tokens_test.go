package bench_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// apiUser is a signed-in user whose tokens are kept.
type apiUser struct {
	auth  *ginauth.Auth
	ctx   context.Context // of one of the user's requests
	api   string
	ahead atomic.Int64 // seconds that the application's clock is ahead of the provider's
}

// signInForAPI signs ada in at a provider with an API.
func signInForAPI(provider string) *apiUser {
	u := &apiUser{api: provider + "/api/"}
	engine := gin.New()
	u.auth = must(ginauth.Mount(engine, ginauth.Options{
		BaseURL: "https://app.example.com", Keys: []string{key}, Logger: quiet(),
		Now:       func() time.Time { return time.Now().Add(time.Duration(u.ahead.Load()) * time.Second) },
		Providers: []ginauth.Provider{{Name: "corp", Issuer: provider, ClientID: clientID, ClientSecret: "secret", Userinfo: "never", APIs: []ginauth.API{{URL: u.api}}}},
	}))
	engine.GET("/me", u.auth.RequireAuth(), func(c *gin.Context) { u.ctx = c.Request.Context() })
	visit := func(address, cookies string) http.Header {
		w, r := writer{header: http.Header{}}, newRequest("https://app.example.com"+address)
		r.Header["Cookie"] = []string{cookies}
		engine.ServeHTTP(&w, r)
		return w.header
	}
	sent := visit("/login/corp", "")
	query := must(url.Parse(sent.Get("Location"))).Query()
	back := url.Values{"state": {query.Get("state")}, "code": {"offline" + query.Get("nonce")}}
	visit("/me", cookiesIn(visit("/authorize/corp?"+back.Encode(), cookiesIn(sent))))
	if u.ctx == nil {
		panic("nobody is signed in")
	}
	return u
}

// refresh gets another access token: the previous one has expired.
func (u *apiUser) refresh(b *testing.B) {
	b.Helper()
	u.ahead.Add(1)
	if _, err := u.auth.Token(u.ctx, u.api); err != nil {
		b.Fatal(err)
	}
}

// get calls the API.
func get(b *testing.B, client *http.Client, address, token string) {
	b.Helper()
	r := must(http.NewRequest(http.MethodGet, address, nil))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	must(io.Copy(io.Discard, answer.Body))
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		b.Fatal(answer.Status)
	}
}

// tokens are compared with the minimum that would replace them.
var tokens = []struct {
	name, title string
	run         func(b *testing.B, provider string)
}{
	{"client", "`Auth.Client`, which has a valid token, beside a client with a header", func(b *testing.B, provider string) {
		u := signInForAPI(provider)
		token := must(u.auth.Token(u.ctx, u.api)).AccessToken
		ours, plain := u.auth.Client(u.ctx), &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()} // each with its own connection
		inTurns(b, 100, func() { get(b, plain, u.api, token) }, func() { get(b, ours, u.api, "") })
	}},
	{"refresh", "a refresh, beside one RSA-2048 verification and one round trip", func(b *testing.B, provider string) {
		u := signInForAPI(provider)
		inTurns(b, 20, redeemer(provider, 1), func() {
			if u.ahead.Load() > 3000 { // the provider's ID tokens last for an hour
				u = signInForAPI(provider)
			}
			u.refresh(b)
		})
	}},
}

// BenchmarkTokens counts only the CPU time of this process: the provider is another process.
func BenchmarkTokens(b *testing.B) {
	provider := spawn("provider")
	defer runtime.KeepAlive(provider) // which ends with it
	for _, t := range tokens {
		b.Run(t.name, func(b *testing.B) { t.run(b, provider.url) })
	}
}
