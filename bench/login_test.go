package bench_test

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"
	"github.com/markbates/goth"
	"github.com/markbates/goth/gothic"
	"github.com/markbates/goth/providers/openidConnect"

	"github.com/ginauth/ginauth"
)

// flow is a way to sign in.
type flow struct {
	name, title string
	setup       func(provider string) site
}

// site is an application with the properties that a flow needs.
type site struct {
	handler       http.Handler
	begin, finish string // paths
	redirects     int    // status of the answer at begin
	finished      int    // status of the answer at finish
	page          string // a page for signed-in users; may be ""
}

func flows() []flow {
	return []flow{
		{"ours", "**ginauth**", signInWith("never", 1)},
		{"limit-1", "one RSA-2048 verification and one round trip: the limit", func(p string) site { return least(p, 1) }},
		{"ours-userinfo", "**ginauth**, with userinfo", signInWith("always", 1)},
		{"limit-2", "one RSA-2048 verification and two round trips: its limit", func(p string) site { return least(p, 2) }},
		{"ours-500", "**ginauth**, one of 500 providers", signInWith("never", 500)},
		{"goth", "goth's openidConnect", func(p string) site { return gothSite(p, false) }},
		{"goth-userinfo", "goth's openidConnect, with userinfo", func(p string) site { return gothSite(p, true) }},
	}
}

// signInWith returns an application with that many providers, one of which is used.
func signInWith(userinfo string, providers int) func(string) site {
	return func(provider string) site {
		list := []ginauth.Provider{{Name: "corp", Issuer: provider, ClientID: clientID, ClientSecret: "secret", Userinfo: userinfo}}
		for i := 1; i < providers; i++ {
			list = append(list, ginauth.Provider{Name: fmt.Sprint("p", i), Issuer: fmt.Sprintf("https://login%d.example.com", i), ClientID: clientID, ClientSecret: "secret"})
		}
		engine := gin.New()
		auth := must(ginauth.Mount(engine, ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{key}, Providers: list, Logger: quiet()}))
		return site{handler: routes(engine, welcome, auth.RequireAuth()), begin: "/login/corp", finish: "/authorize/corp",
			redirects: http.StatusSeeOther, finished: http.StatusSeeOther, page: page}
	}
}

// gothSite does what goth's examples do. It does not store the user, which would cost more.
func gothSite(provider string, userinfo bool) site {
	gothic.Store = gorilla.NewCookieStore([]byte(key), []byte(key))
	p := must(openidConnect.New(clientID, "secret", "https://app.example.com/callback/corp", provider+"/.well-known/openid-configuration", "profile", "email"))
	p.SkipUserInfoRequest = !userinfo
	p.SetName("corp")
	goth.UseProviders(p)
	engine := gin.New()
	engine.GET("/auth/:provider", func(c *gin.Context) {
		gothic.BeginAuthHandler(c.Writer, gothic.GetContextWithProvider(c.Request, c.Param("provider")))
	})
	engine.GET("/callback/:provider", func(c *gin.Context) {
		user, err := gothic.CompleteUserAuth(c.Writer, gothic.GetContextWithProvider(c.Request, c.Param("provider")))
		if groups, _ := user.RawData["groups"].([]any); err != nil || user.UserID != adaID || len(groups) != adaRoles {
			c.Status(http.StatusInternalServerError)
			return
		}
		c.Redirect(http.StatusSeeOther, "/")
	})
	return site{handler: engine, begin: "/auth/corp", finish: "/callback/corp", redirects: http.StatusTemporaryRedirect, finished: http.StatusSeeOther}
}

// least is the minimum for every client: at the callback it sends a token request and verifies a
// signature; with two round trips it requests userinfo too. No user is signed in.
func least(provider string, trips int) site {
	finish := redeemer(provider, trips)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			finish()
		} else {
			w.Header().Set("Location", provider)
		}
		w.WriteHeader(http.StatusSeeOther)
	})
	return site{handler: handler, begin: "/begin", finish: "/callback", redirects: http.StatusSeeOther, finished: http.StatusSeeOther}
}

// redeemer returns a function that sends a token request, with two round trips also a userinfo
// request, and verifies a signature.
func redeemer(provider string, trips int) func() {
	private := rsaKey()
	signed := sha256.Sum256([]byte("header.payload"))
	signature := must(rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, signed[:]))
	client := &http.Client{Transport: &http.Transport{}}
	body := url.Values{"grant_type": {"authorization_code"}, "code": {"code"}, "code_verifier": {key}, "redirect_uri": {"https://app.example.com/authorize/corp"}}.Encode()
	read := func(answer *http.Response, err error) {
		must(io.Copy(io.Discard, must(answer, err).Body))
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			panic(answer.Status)
		}
	}
	return func() {
		r := must(http.NewRequest("POST", provider+"/token", strings.NewReader(body)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(clientID, "secret")
		read(client.Do(r))
		if trips > 1 {
			read(client.Get(provider + "/userinfo"))
		}
		if err := rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, signed[:], signature); err != nil {
			panic(err)
		}
	}
}

// batch is the number of browsers that are redirected to the provider before the first one returns:
// enough that the garbage of their callbacks is collected during the measurement, even in the case
// with the least garbage.
const batch = 512

// BenchmarkSignIn measures whole sign-ins in batches. The CPU time is only that of the client: the
// provider is another process.
func BenchmarkSignIn(b *testing.B) {
	provider := sync.OnceValue(func() *child { return spawn("provider") })
	for _, f := range flows() {
		b.Run(f.name, func(b *testing.B) {
			s := f.setup(provider().url)
			s.batch(b, new(tally)) // discovery, keys, connections
			begin, begun := s.begins(b)
			var finish tally
			n := 0
			for b.Loop() {
				s.batch(b, &finish)
				n += batch
			}
			begin.report(b, "begin", begun)
			finish.report(b, "finish", n)
			each := begin.cpu.Seconds()/float64(begun) + finish.cpu.Seconds()/float64(n)
			b.ReportMetric(1/each, "sign-ins/cpu-s")
		})
	}
}

// tally adds up costs.
type tally struct {
	cpu            time.Duration
	mallocs, bytes uint64
}

func (t *tally) add(do func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpu()
	do()
	t.cpu += cpu() - start
	runtime.ReadMemStats(&after)
	t.mallocs += after.Mallocs - before.Mallocs
	t.bytes += after.TotalAlloc - before.TotalAlloc
}

func (t *tally) report(b *testing.B, name string, n int) {
	b.ReportMetric(float64(t.cpu)/float64(n), name+"-cpu-ns")
	b.ReportMetric(float64(t.mallocs)/float64(n), name+"-allocs")
	b.ReportMetric(float64(t.bytes)/float64(n), name+"-B")
}

// trip is a browser during a sign-in.
type trip struct {
	there, back *http.Request
	writer      writer
}

// newRequest is httptest.NewRequest without its garbage of more than four kilobytes, which would be
// collected during a measurement.
func newRequest(address string) *http.Request {
	r := must(http.NewRequest("GET", address, nil))
	r.RemoteAddr, r.RequestURI, r.Body = "192.0.2.1:1234", r.URL.RequestURI(), http.NoBody
	return r
}

// begins measures only the requests that redirect to the provider, so that the garbage of callbacks is
// not counted.
func (s *site) begins(b *testing.B) (spent tally, n int) {
	for ; spent.cpu < 100*time.Millisecond && n < 48*batch; n += batch {
		s.leave(b, &spent)
	}
	return spent, n
}

// leave makes the requests that redirect a batch of browsers to the provider.
func (s *site) leave(b *testing.B, spent *tally) []trip {
	trips := make([]trip, batch)
	for i := range trips {
		trips[i].writer.header = http.Header{}
		trips[i].there = newRequest("https://app.example.com" + s.begin)
		trips[i].there.Header["Cookie"] = []string{others}
	}
	runtime.GC() // the garbage of creating the browsers is not measured
	spent.add(func() {
		for i := range trips {
			s.handler.ServeHTTP(&trips[i].writer, trips[i].there)
		}
	})
	for i := range trips {
		trips[i].turn(b, s)
	}
	return trips
}

// batch redirects browsers to the provider, and measures their callbacks. Only one of them visits a
// page: other benchmarks measure the cost of sessions.
func (s *site) batch(b *testing.B, finish *tally) {
	trips := s.leave(b, new(tally))
	runtime.GC() // earlier garbage is not measured
	finish.add(func() {
		for i := range trips {
			s.handler.ServeHTTP(&trips[i].writer, trips[i].back)
		}
	})
	for i := range trips {
		trips[i].arrive(b, s, i == 0)
	}
}

// turn is the provider's redirect back, with a code, which is the nonce here.
func (t *trip) turn(b *testing.B, s *site) {
	b.Helper()
	if t.writer.status != s.redirects {
		b.Fatalf("%s answered with %d", s.begin, t.writer.status)
	}
	query := must(url.Parse(t.writer.header.Get("Location"))).Query()
	back := url.Values{"state": {query.Get("state")}, "code": {cmp.Or(query.Get("nonce"), "code")}}
	t.back = newRequest("https://app.example.com" + s.finish + "?" + back.Encode())
	t.back.Header["Cookie"] = []string{others + cookiesIn(t.writer.header)}
	t.writer = writer{header: http.Header{}}
}

// arrive checks that the sign-in succeeded.
func (t *trip) arrive(b *testing.B, s *site, visits bool) {
	b.Helper()
	if t.writer.status != s.finished {
		b.Fatalf("%s answered with %d", s.finish, t.writer.status)
	}
	if s.page == "" || !visits {
		return
	}
	if v := newVisitor(app{handler: s.handler, cookies: cookiesIn(t.writer.header)}); !v.visit() {
		b.Fatalf("who has signed in got %d", v.writer.status)
	}
}

// cookiesIn returns the cookies that a response sets, without those that it deletes.
func cookiesIn(h http.Header) string {
	var pairs []string
	for _, line := range h["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		if _, value, _ := strings.Cut(pair, "="); value != "" {
			pairs = append(pairs, pair)
		}
	}
	return strings.Join(pairs, "; ")
}
