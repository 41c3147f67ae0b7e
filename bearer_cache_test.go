package ginauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// cachedTokens is an API that counts the tokens that were not cached: OnToken is called for them.
type cachedTokens struct {
	*gin.Engine
	t      *testing.T
	idp    *authtest.Provider
	data   string // of each user
	opened int
}

func newCachedTokens(t *testing.T) *cachedTokens {
	t.Helper()
	k := &cachedTokens{Engine: gin.New(), t: t, idp: sitetest.StartProvider(t, authtest.Config{SigningAlg: "ES256"})}
	auth, err := ginauth.Mount(k.Engine, ginauth.Options{
		BaseURL: "https://api.example", Logger: new(sitetest.Logs).Logger(), Providers: []ginauth.Provider{{Name: "corp", Issuer: k.idp.Issuer, Audience: apiAudience}},
		Hooks: ginauth.Hooks{OnToken: func(_ *gin.Context, u *ginauth.User) error {
			k.opened++
			u.Data = map[string]string{"k": k.data}
			return nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	k.GET("/", auth.RequireAuth(ginauth.HasScope("read")), func(c *gin.Context) { c.String(http.StatusOK, ginauth.CurrentUser(c).Subject) })
	return k
}

// token returns the Authorization header of a user.
func (k *cachedTokens) token(subject string) string {
	return authtest.Bearer(k.idp, apiAudience, subject, "read").Get("Authorization")
}

// hits sends a request with a token of the subject, and reports whether the token was cached.
func (k *cachedTokens) hits(token, subject string) bool {
	k.t.Helper()
	before := k.opened
	r := httptest.NewRequest("GET", "https://api.example/", nil)
	r.Header.Set("Authorization", token)
	w := httptest.NewRecorder()
	k.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Body.String() != subject {
		k.t.Fatalf("%d %s, want %s", w.Code, w.Body, subject)
	}
	return k.opened == before
}

// The memory of cached tokens is bounded by their size, not only by their number, and the last
// ones are kept: of users of 60 KB, a set of 64 KB holds one.
func TestCachedTokensAreBounded(t *testing.T) {
	const sets, n, last = 1024, 2000, 200
	k := newCachedTokens(t)
	k.data = strings.Repeat("x", 60<<10)
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = k.token(fmt.Sprint(i))
		if k.hits(tokens[i], fmt.Sprint(i)) {
			t.Fatalf("token %d was cached before it was sent", i)
		}
	}
	k.data = "" // what is read again takes no room
	var hits, lately int
	for i := n - 1; i >= 0; i-- {
		if k.hits(tokens[i], fmt.Sprint(i)) {
			if hits++; i >= n-last {
				lately++
			}
		}
	}
	// About 20 of the last 200 share a set with a later one. Without the bound, all 2,000 would be
	// cached: there is room for 8,192.
	if hits > sets || lately < last*3/4 {
		t.Errorf("%d of %d tokens are cached, want at most %d; of the last %d, %d", hits, n, sets, last, lately)
	}
}

// A token whose user is larger than a set's limit is cached all the same, until another is.
func TestATokenOfALargeUserIsCached(t *testing.T) {
	k := newCachedTokens(t)
	k.data = strings.Repeat("x", 200<<10)
	token := k.token("ada")
	if k.hits(token, "ada") || !k.hits(token, "ada") || !k.hits(token, "ada") {
		t.Errorf("opened %d times", k.opened)
	}
}
