//go:build unix

package budget

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// loginSite is an application, without a server in front of it, whose provider
// is another process.
type loginSite struct {
	engine *gin.Engine
	issuer string
	login  *http.Request
	w      *discard
}

func newLoginSite(t testing.TB, f remoteProvider, more int) *loginSite {
	t.Helper()
	s := &loginSite{engine: gin.New(), issuer: f.Issuer, w: &discard{header: http.Header{}}}
	opts := ginauth.Options{BaseURL: "http://localhost:8080", Keys: []string{sitetest.Key}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	opts.Providers = append(opts.Providers, f.provider())
	for i := range more {
		p := sitetest.Nowhere
		p.Name = fmt.Sprint("other", i)
		p.ClientID = p.Name
		opts.Providers = append(opts.Providers, p)
	}
	auth, err := ginauth.Mount(s.engine, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.Warm(t.Context()); more == 0 && err != nil {
		t.Fatal(err)
	}
	s.login = s.request(t, "/login/demo?return_to=%2Fsettings", "")
	s.signIn(t, s.begin(t)) // fetches the keys
	return s
}

func (s *loginSite) request(t testing.TB, path, cookie string) *http.Request {
	r, err := http.NewRequestWithContext(context.Background(), "GET", "http://localhost:8080"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	return r
}

// serve handles a request, and expects a redirect.
func (s *loginSite) serve(t testing.TB, r *http.Request) {
	one := *r
	clear(s.w.header)
	s.engine.ServeHTTP(s.w, &one)
	if s.w.status != http.StatusSeeOther {
		t.Fatalf("%s: status %d", r.URL.Path, s.w.status)
	}
}

// begin starts a sign-in, and returns the browser's request to the callback.
func (s *loginSite) begin(t testing.TB) *http.Request {
	s.serve(t, s.login)
	to, err := url.Parse(s.w.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, _ := strings.Cut(s.w.header.Get("Set-Cookie"), ";")
	q := url.Values{"code": {to.Query().Get("nonce")}, "state": {to.Query().Get("state")}, "iss": {s.issuer}}
	return s.request(t, "/authorize/demo?"+q.Encode(), cookie)
}

func (s *loginSite) signIn(t testing.TB, callback *http.Request) {
	s.serve(t, callback)
	if to := s.w.header.Get("Location"); !strings.HasSuffix(to, "/settings#") || len(s.w.header["Set-Cookie"]) < 2 {
		t.Fatalf("the sign-in ended at %s with %q", to, s.w.header["Set-Cookie"])
	}
}

// floor is the minimum cost of a sign-in: a signature and the requests to the provider, with
// net/http.
type floor struct {
	client            *http.Client
	token, userinfo   string // URLs; userinfo is "" if it is not requested
	body              string
	key               *rsa.PublicKey
	digest, signature []byte
}

func newFloor(t testing.TB, f remoteProvider, userinfo bool) *floor {
	t.Helper()
	l := &floor{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}, token: f.Issuer + "/token"}
	l.body = url.Values{"grant_type": {"authorization_code"}, "code": {strings.Repeat("c", 43)}, "redirect_uri": {"http://localhost:8080/authorize/demo"},
		"code_verifier": {strings.Repeat("v", 43)}}.Encode()
	if userinfo {
		l.userinfo = f.Issuer + "/userinfo"
	}
	var answer struct {
		IDToken string `json:"id_token"`
	}
	var set struct{ Keys []struct{ N string } }
	for _, e := range []struct {
		body []byte
		into any
	}{{l.post(t), &answer}, {l.do(t, l.get(t, f.Issuer+"/jwks")), &set}} {
		if err := json.Unmarshal(e.body, e.into); err != nil {
			t.Fatal(err)
		}
	}
	signed := answer.IDToken[:strings.LastIndexByte(answer.IDToken, '.')]
	sum := sha256.Sum256([]byte(signed))
	l.digest = sum[:]
	l.signature, _ = base64.RawURLEncoding.DecodeString(answer.IDToken[len(signed)+1:])
	n, err := base64.RawURLEncoding.DecodeString(set.Keys[0].N)
	if err != nil {
		t.Fatal(err)
	}
	l.key = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	return l
}

func (l *floor) get(t testing.TB, address string) *http.Request {
	r, err := http.NewRequest("GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (l *floor) post(t testing.TB) []byte {
	r, err := http.NewRequest("POST", l.token, strings.NewReader(l.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("client", "secret")
	return l.do(t, r)
}

func (l *floor) do(t testing.TB, r *http.Request) []byte {
	resp, err := l.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return body
}

func (l *floor) signIn(t testing.TB) {
	l.post(t)
	if l.userinfo != "" {
		l.do(t, l.get(t, l.userinfo))
	}
	if err := rsa.VerifyPKCS1v15(l.key, crypto.SHA256, l.digest, l.signature); err != nil {
		t.Fatal(err)
	}
}

// used returns the CPU time of a function, in all goroutines of this process.
type used struct {
	cpu           time.Duration
	allocs, bytes uint64
}

func measure(f func()) used {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	from := cpu()
	f()
	u := used{cpu: cpu() - from}
	runtime.ReadMemStats(&after)
	u.allocs, u.bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	return u
}

func cpu() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use) // never fails for the own process
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func (u *used) add(v used) {
	u.cpu, u.allocs, u.bytes = u.cpu+v.cpu, u.allocs+v.allocs, u.bytes+v.bytes
}

// BenchmarkBegin measures GET /login/demo: the attempt and its cookie, and the provider's URL.
func BenchmarkBegin(b *testing.B) {
	for _, providers := range []int{1, 500} {
		b.Run(fmt.Sprintf("providers=%d", providers), func(b *testing.B) {
			s := newLoginSite(b, startRemoteProvider(b, false), providers-1)
			b.ReportAllocs()
			for b.Loop() {
				s.serve(b, s.login)
			}
		})
	}
}

// BenchmarkCallback measures the callback up to the redirect to the application, with everything
// cached except the user. It alternates with the minimum cost.
func BenchmarkCallback(b *testing.B) {
	const turn = 50
	for _, userinfo := range []bool{false, true} {
		for _, providers := range []int{1, 500} {
			b.Run(fmt.Sprintf("userinfo=%v/providers=%d", userinfo, providers), func(b *testing.B) {
				f := startRemoteProvider(b, userinfo)
				s, least := newLoginSite(b, f, providers-1), newFloor(b, f, userinfo)
				var ours, theirs used
				callbacks := make([]*http.Request, turn)
				b.ReportAllocs()
				b.ResetTimer()
				n := 0
				for ; n < b.N; n += turn {
					for i := range callbacks {
						callbacks[i] = s.begin(b)
					}
					ours.add(measure(func() {
						for _, callback := range callbacks {
							s.signIn(b, callback)
						}
					}))
					theirs.add(measure(func() {
						for range turn {
							least.signIn(b)
						}
					}))
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(ours.cpu.Nanoseconds())/float64(n), "cpu-ns/op")
				b.ReportMetric(float64(ours.cpu)/float64(theirs.cpu), "x-least")
				b.ReportMetric(float64(theirs.cpu.Nanoseconds())/float64(n), "least-ns/op")
				b.ReportMetric(float64(ours.allocs)/float64(n), "allocs/op")
				b.ReportMetric(float64(ours.bytes)/float64(n), "B/op")
			})
		}
	}
}
