package stores_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth/authtest"
)

// fleet is two processes of the example behind a proxy that gives each request
// to the next of them. They share a Redis, and the secrets in their
// environment.
type fleet struct {
	t       testing.TB
	program string
	URL     string
	idp     *authtest.Provider
	redis   *redisServer
	running [2]atomic.Pointer[process]
	next    atomic.Int64
	only    atomic.Int64 // 1 or 2: the proxy knows this one alone
}

type process struct {
	*exec.Cmd
	addr string
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, redis: newRedis(t), program: filepath.Join(t.TempDir(), "example.exe")}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", f.program, "./example")
	build.Dir = ".."
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	f.idp = must[*authtest.Provider](t)(authtest.Start(authtest.Config{}))
	t.Cleanup(f.idp.Close)
	f.idp.SignInAs("ada")
	front := httptest.NewServer(&httputil.ReverseProxy{
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: f.pick()})
			r.SetXForwarded()
		},
	})
	t.Cleanup(front.Close)
	f.URL = strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	for i := range f.running {
		f.start(i)
		t.Cleanup(func() { f.kill(i) })
	}
	return f
}

func (f *fleet) pick() string {
	if only := f.only.Load(); only > 0 {
		return f.running[only-1].Load().addr
	}
	for range f.running {
		if p := f.running[f.next.Add(1)%2].Load(); p != nil {
			return p.addr
		}
	}
	return ""
}

// start returns when the process says that it listens.
func (f *fleet) start(i int) {
	f.t.Helper()
	free := must[net.Listener](f.t)(net.Listen("tcp", "127.0.0.1:0"))
	p := &process{exec.Command(f.program), free.Addr().String()}
	free.Close()
	p.Env = append(os.Environ(), "ADDR="+p.addr, "BASE_URL="+f.URL, "SESSION_KEYS=the key that all replicas of the tests share",
		"REDIS_ADDR="+f.redis.Addr, "OIDC_ISSUER="+f.idp.Issuer, "OIDC_CLIENT_ID="+f.idp.ClientID, "OIDC_CLIENT_SECRET="+f.idp.ClientSecret,
		"GOOGLE_CLIENT_ID=", "GITHUB_CLIENT_ID=")
	out, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "open ") {
	}
	go func() {
		for lines.Scan() { // so that it never waits for a reader
		}
	}()
	f.running[i].Store(p)
}

func (f *fleet) kill(i int) {
	if p := f.running[i].Swap(nil); p != nil {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
}

func (f *fleet) newBrowser() *authtest.Browser {
	b := authtest.NewBrowser()
	f.t.Cleanup(b.Close)
	return b
}

func (f *fleet) signIn(b *authtest.Browser) {
	f.t.Helper()
	p, err := b.Get(f.URL + "/login/oidc?return_to=/profile")
	if err != nil || p.Status != http.StatusOK || !strings.Contains(p.Text(), "Ada Lovelace") {
		f.t.Fatalf("the sign-in ended with %v, %+v", err, p)
	}
}

// profile asks each replica for a page behind the guard, twice.
func (f *fleet) profile(b *authtest.Browser, want int, when string) {
	f.t.Helper()
	for i := range 4 {
		f.only.Store(int64(1 + i%2))
		p, err := b.Fetch(authtest.At(f.URL+"/"), "GET", f.URL+"/profile", nil, "")
		if err != nil || p.Status != want {
			f.t.Errorf("%s, replica %d: %v %d, want %d", when, 1+i%2, err, p.Status, want)
		}
	}
	f.only.Store(0)
}

// heals returns when each replica has found Redis again: its client looks once a
// second for it.
func (f *fleet) heals(b *authtest.Browser) {
	f.t.Helper()
	f.becomes(b, http.StatusOK)
}

// becomes returns when each replica answers the browser's request for the profile with a status.
func (f *fleet) becomes(b *authtest.Browser, status int) {
	f.t.Helper()
	defer f.only.Store(0)
	for i := range f.running {
		f.only.Store(int64(1 + i))
		for began := time.Now(); ; {
			p, err := b.Fetch(authtest.At(f.URL+"/"), "GET", f.URL+"/profile", nil, "")
			if err == nil && p.Status == status {
				break
			}
			if time.Since(began) > 20*time.Second {
				f.t.Fatalf("replica %d does not answer with %d: %v %+v", 1+i, status, err, p)
			}
		}
	}
}

func (f *fleet) signOut(b *authtest.Browser) int {
	f.t.Helper()
	p, err := b.Fetch(authtest.At(f.URL+"/"), "POST", f.URL+"/logout", nil, "")
	if err != nil {
		f.t.Fatal(err)
	}
	return p.Status
}

func (f *fleet) backChannel(sub string) {
	f.t.Helper()
	now := time.Now()
	token := f.idp.Sign(map[string]any{"typ": "logout+jwt"}, map[string]any{
		"iss": f.idp.Issuer, "aud": f.idp.ClientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": fmt.Sprint(now.UnixNano()), "sub": sub,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
	response := must[*http.Response](f.t)(http.PostForm(f.URL+"/logout/oidc/backchannel", url.Values{"logout_token": {token}}))
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		f.t.Errorf("the logout token got %s", response.Status)
	}
}

func TestReplicasOfTheExample(t *testing.T) {
	f := newFleet(t)
	b := f.newBrowser()
	f.only.Store(1)
	f.signIn(b)
	f.profile(b, http.StatusOK, "after a sign-in at replica 1")

	thief := b.Clone()
	f.only.Store(2)
	if status := f.signOut(b); status != http.StatusOK {
		t.Errorf("the sign-out got %d", status)
	}
	f.profile(b, http.StatusUnauthorized, "at once after a sign-out at replica 2")
	f.profile(thief, http.StatusUnauthorized, "with the cookies from before it")

	begun := f.newBrowser()
	begun.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), f.URL+"/authorize/") }
	f.only.Store(1)
	answer, err := begun.Get(f.URL + "/login/oidc?return_to=/profile")
	if err != nil {
		t.Fatal(err)
	}
	begun.StopAt = nil
	f.only.Store(0)
	f.kill(0)
	if p, err := begun.Follow(answer); err != nil || p.Status != http.StatusOK || !strings.Contains(p.Text(), "Ada Lovelace") {
		t.Errorf("finishing at the other replica ended with %v, %+v", err, p)
	}
	f.start(0)
	f.kill(1)
	f.start(1)
	f.profile(begun, http.StatusOK, "after both were killed and started again")
	f.profile(thief, http.StatusUnauthorized, "after both were killed, with the cookies from before a sign-out")

	f.redis.Stop()
	f.becomes(begun, http.StatusServiceUnavailable) // memory is believed for 250 ms
	f.profile(begun, http.StatusServiceUnavailable, "without Redis, somebody signed in")
	f.profile(thief, http.StatusServiceUnavailable, "without Redis, somebody signed out")
	f.profile(f.newBrowser(), http.StatusUnauthorized, "without Redis, somebody without a cookie")
	if p, err := f.newBrowser().Get(f.URL + "/login/oidc"); err != nil || p.Status != http.StatusServiceUnavailable {
		t.Errorf("without Redis, a sign-in ended with %v, %d", err, p.Status)
	}
	f.redis.Start()
	f.heals(begun)
	f.profile(begun, http.StatusOK, "with Redis back")
	f.profile(thief, http.StatusUnauthorized, "with Redis back, somebody signed out")

	f.only.Store(1)
	f.backChannel("ada")
	f.profile(begun, http.StatusUnauthorized, "after a back-channel logout at replica 1")
}
