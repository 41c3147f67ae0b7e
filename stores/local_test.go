package stores_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/redisstate"
)

// local is a replica of the application in this process.
type local struct {
	*gin.Engine
	store *counting
	live  chan context.Context // of requests of /live, which keep a connection open
}

func newLocal(store *counting) *local {
	engine, auth := application(ginauth.Cached(store))
	l := &local{engine, store, make(chan context.Context, 1)}
	engine.GET("/live", auth.RequireAuth(), func(c *gin.Context) { l.live <- auth.SessionContext(c) })
	return l
}

func (l *local) do(method, path, cookies string) (status int, set string) {
	r := httptest.NewRequest(method, "https://app.example.com"+path, nil)
	r.Header.Set("Cookie", cookies)
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	var pairs []string
	for _, c := range w.Result().Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return w.Code, strings.Join(pairs, "; ")
}

func (l *local) signIn(t *testing.T) (cookies string) {
	t.Helper()
	status, cookies := l.do("POST", "/in?as="+rand.Text(), "")
	if status != http.StatusNoContent {
		t.Fatalf("the sign-in got %d", status)
	}
	return cookies
}

func (l *local) me(cookies string) int { status, _ := l.do("GET", "/me", cookies); return status }

func (l *local) fromMemory(t *testing.T, cookies string) {
	t.Helper()
	await(t, "a replica answers from memory", func() bool {
		before := l.store.asked.Load()
		return l.me(cookies) == http.StatusOK && l.store.asked.Load() == before
	})
}

// Connections that are open at one replica end when their users sign out at the other.
func TestConnectionsEndWithASignOutAtAnotherReplica(t *testing.T) {
	c, prefix := client(t, newRedis(t).Addr), rand.Text()
	one, other := newLocal(&counting{Store: redisstate.New(c, prefix)}), newLocal(&counting{Store: redisstate.New(c, prefix)})
	warm := one.signIn(t)
	one.fromMemory(t, warm)
	other.fromMemory(t, warm)
	took := make([]time.Duration, 20)
	for i := range took {
		cookies := one.signIn(t)
		other.do("GET", "/live", cookies)
		live := <-other.live
		start := time.Now()
		if status, _ := one.do("POST", "/out", cookies); status != http.StatusNoContent {
			t.Fatalf("the sign-out got %d", status)
		}
		<-live.Done()
		took[i] = time.Since(start)
		var e *ginauth.Error
		if cause := context.Cause(live); !errors.As(cause, &e) || e.ID != "session.revoked" {
			t.Fatalf("the cause is %v", cause)
		}
	}
	slices.Sort(took)
	t.Logf("of %d sign-outs, the connection at the other replica ended after a median of %v, the worst %v", len(took), took[len(took)/2], took[len(took)-1])
}
