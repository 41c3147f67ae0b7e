package ginauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	"github.com/gorilla/securecookie"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
	"github.com/ginauth/ginauth/internal/storetest"
)

// The suite for the session stores that need no server. Module stores tests those that do.
func TestSessionsInSealedCookies(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{TooLarge: 6500, Limit: "two cookies"})
}

func TestSessionsInSignedCookies(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: func(testing.TB) storetest.Opened {
		return storetest.Opened{Store: cookie.NewStore(sitetest.StoreHashKey)}
	}})
}

func TestSessionsInEncryptedCookies(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: func(testing.TB) storetest.Opened {
		return storetest.Opened{Store: cookie.NewStore(sitetest.StoreHashKey, sitetest.StoreBlockKey)}
	}})
}

// A store that sets cookies of any size, so that browsers drop those that are too large.
func TestSessionsInBoundlessCookies(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: func(testing.TB) storetest.Opened {
		store := gorilla.NewCookieStore(sitetest.StoreHashKey)
		for _, codec := range store.Codecs {
			codec.(*securecookie.SecureCookie).MaxLength(0)
		}
		return storetest.Opened{Store: cookieStore{store}}
	}})
}

type cookieStore struct{ *gorilla.CookieStore }

// Options implements sessions.Store.
func (s cookieStore) Options(o ginsessions.Options) { s.CookieStore.Options = o.ToGorillaOptions() }

func TestSessionsInMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{Open: func(testing.TB) storetest.Opened {
		store := memstore.NewStore(sitetest.StoreHashKey)
		return storetest.Opened{Store: store, Dump: func() string { return dumpMemory(store) }}
	}})
}

// dumpMemory prints the map in a memstore, which is unexported.
func dumpMemory(store any) string {
	v := reflect.ValueOf(store).Elem().FieldByName("MemStore").Elem().FieldByName("cache").Elem().FieldByName("data")
	return fmt.Sprint(v)
}

func TestSessionsInFiles(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: func(t testing.TB) storetest.Opened {
		dir := filepath.Join(t.TempDir(), "sessions")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return storetest.Opened{
			Store: sitetest.FileStore{FilesystemStore: gorilla.NewFilesystemStore(dir, sitetest.StoreHashKey)},
			Dump:  func() string { return dumpFiles(t, dir) },
			Spoil: func(text string) { spoilFiles(t, dir, text) },
			Break: func() func() {
				rename(t, dir, dir+"-away")
				return func() { rename(t, dir+"-away", dir) }
			},
			Silent: true,
		}
	}})
}

func filesIn(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) == 0 {
		t.Logf("%s has no files: %v", dir, err)
	}
	return names
}

func spoilFiles(t testing.TB, dir, text string) {
	t.Helper()
	for _, name := range filesIn(t, dir) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func dumpFiles(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range filesIn(t, dir) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n%s\n", filepath.Base(name), text)
	}
	return b.String()
}

// storeError is an error of a store that has only a text.
type storeError string

func (e storeError) Error() string { return string(e) }

// Stores report in different ways that a session does not exist, which means that no user is
// signed in. Any other error is a failure of the store: the user is unknown, and the response is
// 503.
func TestWhatStoresSayOfSessionsThatAreNotThere(t *testing.T) {
	t.Parallel()
	codec := securecookie.New([]byte(strings.Repeat("k", 32)), nil)
	undecoded := codec.Decode("name", "not base64!", new(string))
	unencoded := func() error { _, err := codec.Encode("name", make(chan int)); return err }()
	for name, tt := range map[string]struct {
		err    error
		status int
	}{
		"securecookie, decoding":         {undecoded, http.StatusUnauthorized},
		"securecookie, encoding":         {unencoded, http.StatusServiceUnavailable},
		"securecookie, several decoding": {securecookie.MultiError{undecoded, undecoded}, http.StatusUnauthorized},
		"securecookie, several encoding": {securecookie.MultiError{unencoded}, http.StatusServiceUnavailable},
		"broken JSON":                    {json.Unmarshal([]byte("{"), new(any)), http.StatusUnauthorized},
		"memcached's binary client":      {storeError("mc: not found"), http.StatusUnauthorized},
		"memcached's text client":        {storeError("memcache: cache miss"), http.StatusUnauthorized},
		"broken gob":                     {storeError("gob: bad data"), http.StatusUnauthorized},
		"another error":                  {storeError("i/o timeout"), http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &sitetest.DeafStore{Store: memstore.NewStore([]byte("the store's secret")), Fails: tt.err}
			f := sitetest.NewStore(t, store)
			f.SignIn()
			store.Deaf.Store(true)
			p := f.Must(f.Browser.Fetch(authtest.At(f.URL+"/"), "GET", f.URL+"/me", nil, ""))
			if p.Status != tt.status {
				t.Errorf("%v: %d, want %d", tt.err, p.Status, tt.status)
			}
		})
	}
}

// oddStore is a store that counts its reads, and can observe or replace their results.
type oddStore struct {
	memstore.Store
	reads atomic.Int64
	saw   func(r *http.Request)
	say   func() (*gorilla.Session, error)
}

func newOddStore() *oddStore { return &oddStore{Store: memstore.NewStore([]byte(storeSecret))} }

// New implements sessions.Store.
func (o *oddStore) New(r *http.Request, name string) (*gorilla.Session, error) {
	o.reads.Add(1)
	if o.saw != nil {
		o.saw(r)
	}
	if o.say != nil {
		return o.say()
	}
	return o.Store.New(r, name)
}

const storeSecret = "the store's secret"

// inStore is a site whose sessions are in a store, without requests to a provider.
func inStore(t *testing.T, o *oddStore) *sitetest.Site {
	return remembering(t, func(opts *ginauth.Options) { opts.Sessions = o })
}

// send is visit, and also returns the cookies of the response.
func send(s *sitetest.Site, method, path, cookies string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, s.URL+path, nil)
	r.Header.Set("Cookie", cookies)
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, r)
	return w
}

// shown reports whether a user is signed in with these cookies.
func shown(s *sitetest.Site, cookies string) bool {
	s.T.Helper()
	return send(s, "GET", "/show", cookies).Code == http.StatusOK
}

// A session in a store has two cookies. A mix of two users' cookies is rejected, and does not
// end the session whose id is among them.
func TestAnIDAloneDeletesNothing(t *testing.T) {
	t.Parallel()
	s := inStore(t, newOddStore())
	hers, mine := s.Mint(grace()), s.Mint(&ginauth.User{Subject: "mallory"})
	id, _, _ := strings.Cut(hers, "; ")
	_, own, _ := strings.Cut(mine, "; ")
	if planted := id + "; " + own; shown(s, planted) || send(s, "POST", "/out", planted).Code != http.StatusOK {
		t.Error("another's id and one's own binding are a session")
	}
	if !shown(s, hers) {
		t.Error("a session was ended by who had its id alone")
	}
}

// Every session has a separate secret.
func TestBindingsDiffer(t *testing.T) {
	t.Parallel()
	s := inStore(t, newOddStore())
	secret := func() string {
		_, binding, _ := strings.Cut(s.Mint(grace()), "; ")
		text, _, _ := strings.Cut(binding, ".")
		return text
	}
	if a, b := secret(), secret(); a == b || a == "" {
		t.Errorf("two sessions have the binding %q", a)
	}
}

// A store that reads the id of a new session from the request finds none there.
func TestANewSessionIsAskedForWithoutACookie(t *testing.T) {
	t.Parallel()
	o := newOddStore()
	s := inStore(t, o)
	o.saw = func(r *http.Request) {
		if len(r.Header) > 0 {
			t.Errorf("the store got %v", r.Header)
		}
	}
	s.Mint(grace())
}

// The error of a store is in the log, regardless of what else the store returned.
func TestWhatAStoreReturnsBesideAnError(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		session *gorilla.Session
		err     error
		log     string // the cause in it
	}{
		"nothing, and why":                {nil, errors.New("connection refused"), "connection refused"},
		"nothing, since nothing is there": {nil, fs.ErrNotExist, fs.ErrNotExist.Error()},
		"nothing at all":                  {nil, nil, ""},
	} {
		o := newOddStore()
		s := inStore(t, o)
		cookies := s.Mint(grace())
		o.say = func() (*gorilla.Session, error) { return tt.session, tt.err }
		w := send(s, "GET", "/show", cookies)
		sitetest.WantID(t, s.Logs.String(), "store.sessions_failed")
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(s.Logs.String(), tt.log) || strings.Contains(s.Logs.String(), "panic") {
			t.Errorf("%s: the status is %d\n%s", name, w.Code, s.Logs)
		}
	}
}

// If a store with several keys cannot read a cookie with any of them, the session does not
// exist; this is not a failure.
func TestAStoreOfSeveralKeysThatReadsNothing(t *testing.T) {
	t.Parallel()
	s := remembering(t, func(o *ginauth.Options) {
		o.Sessions = cookie.NewStore([]byte(storeSecret), []byte("0123456789abcdef"), []byte("its key before"), []byte("fedcba9876543210"))
	})
	id, binding, _ := strings.Cut(s.Mint(grace()), "; ")
	if w := send(s, "GET", "/show", id+"x; "+binding); w.Code != http.StatusUnauthorized {
		t.Errorf("the status is %d\n%s", w.Code, s.Logs)
	}
}

// A sign-out reads a failing store once, and does not try again to delete a record that could
// not be read.
func TestSignOutAsksAFailingStoreOnce(t *testing.T) {
	t.Parallel()
	o := newOddStore()
	s := inStore(t, o)
	cookies := s.Mint(grace())
	o.say = func() (*gorilla.Session, error) { return nil, errors.New("connection refused") }
	before := o.reads.Load()
	send(s, "POST", "/out", cookies)
	if n := o.reads.Load() - before; n != 1 {
		t.Errorf("called %d times", n)
	}
}

// A browser without ginauth's cookies gets no Set-Cookie header that would delete them.
func TestSignOutOfNobodySetsNothing(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*sitetest.Site{"a cookie": remembering(t, nil), "a store": inStore(t, newOddStore())} {
		if w := send(s, "POST", "/out", "theme=dark"); len(w.Header()["Set-Cookie"]) > 0 {
			t.Errorf("%s: %q", name, w.Header()["Set-Cookie"])
		}
	}
}

// If a request with two sessions signs out, both end.
func TestSignOutOfTwoSessions(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*sitetest.Site{"cookies": remembering(t, nil), "a store": inStore(t, newOddStore())} {
		first, second := s.Mint(grace()), s.Mint(grace())
		send(s, "POST", "/out", first+"; "+second)
		if shown(s, first) || shown(s, second) {
			t.Errorf("%s: one of two sessions remains", name)
		}
	}
}

// A browser that never received the cookie for a record under the new key receives it with its
// next request, before the old key is removed.
func TestABindingUnderAnOldKeyIsReplaced(t *testing.T) {
	t.Parallel()
	o, newKey := newOddStore(), "7c9e6679f4e1b3a85d20c7f8e9ab1432c56d78e09fa1b2c3d4e5f60718293a4b"
	old := inStore(t, o)
	cookies := old.Mint(grace())
	both := remembering(t, func(opts *ginauth.Options) {
		opts.Sessions, opts.Keys = o, []string{newKey, sitetest.Key}
	})
	if lost := send(both, "GET", "/show", cookies); lost.Code != http.StatusOK || len(lost.Header()["Set-Cookie"]) == 0 {
		t.Fatalf("with both keys: %d, %q", lost.Code, lost.Header()["Set-Cookie"])
	}
	again := send(both, "GET", "/show", cookies)
	var pairs []string
	for _, line := range again.Header()["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}
	alone := remembering(t, func(opts *ginauth.Options) { opts.Sessions, opts.Keys = o, []string{newKey} })
	if again.Code != http.StatusOK || !shown(alone, strings.Join(pairs, "; ")) {
		t.Errorf("after the old key was removed, no user is signed in with %q", pairs)
	}
}

// fullStore is a store that rejects records.
type fullStore struct {
	ginsessions.Store
	err error
}

func (f *fullStore) Save(*http.Request, http.ResponseWriter, *gorilla.Session) error { return f.err }

// Stores have different errors for a record that is too large: the application must fix this,
// and it is not an outage.
func TestWhatStoresSayOfRecordsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	for text, code := range map[string]ginauth.Code{
		"securecookie: the value is too long": ginauth.ErrSessionError, "SessionStore: the value to store is too big": ginauth.ErrSessionError,
		"SERVER_ERROR object too large for cache": ginauth.ErrSessionError, "i/o timeout": ginauth.ErrStoreUnavailable,
	} {
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Sessions = &fullStore{memstore.NewStore([]byte("the store's secret")), errors.New(text)}
		})
		s.WantError(s.Get("/login/demo"), code)
	}
}

// storeLine returns the Cookie header of the browser's session, as a thief would send it.
func storeLine(f *sitetest.Flow) string {
	f.T.Helper()
	var pairs []string
	for _, c := range append(f.OwnCookies(""), f.OwnCookies("-b")...) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	if len(pairs) != 2 {
		f.T.Fatalf("the browser has %d cookies of its session, want 2", len(pairs))
	}
	return strings.Join(pairs, "; ")
}

func TestSignOutNeedsNoStore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		fails  error
		status int // of /me in the meantime
		out    int // of the sign-out
	}{
		{"a store that takes its failure for no such session", nil, 401, 204},
		{"a connection that ends within an answer", io.ErrUnexpectedEOF, 503, 503},
		{"a store that is gone", errors.New("connection refused"), 503, 503},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &sitetest.DeafStore{Store: memstore.NewStore([]byte("the store's secret")), Fails: test.fails}
			f := sitetest.NewStore(t, store)
			f.SignIn()
			before := storeLine(f)
			if got := f.Stolen(before); got != "ada" {
				t.Fatalf("before the sign-out, the cookies are those of %q", got)
			}
			store.Deaf.Store(true)
			if p := f.Ask("GET", "/who", sitetest.Fetch...); p.Status != test.status {
				t.Errorf("while the store is deaf, a request gets %d, want %d", p.Status, test.status)
			}
			p := f.Ask("POST", "/logout", sitetest.Fetch...)
			if ok := p.Status < 400; ok != (test.out < 400) || !ok && p.Status != test.out {
				t.Errorf("the sign-out gets %d, want %d: %s", p.Status, test.out, p.Text())
			}
			if left := append(f.OwnCookies(""), f.OwnCookies("-b")...); len(left) > 0 {
				t.Errorf("after the sign-out, the browser has %v", left)
			}
			store.Deaf.Store(false)
			if got := f.Stolen(before); got != "" {
				t.Errorf("after the sign-out, the cookies from before are those of %q", got)
			}
		})
	}
}

// A sign-in ends the session that it replaces, also if the store does not find it at that
// moment.
func TestSignInReplacesWhatTheStoreDoesNotFind(t *testing.T) {
	t.Parallel()
	store := &sitetest.DeafStore{Store: memstore.NewStore([]byte("the store's secret"))}
	f := sitetest.NewStore(t, store)
	f.SignIn()
	before := storeLine(f)
	store.Deaf.Store(true)
	f.IDP.SignInAs("grace")
	f.Must(f.Browser.Get(f.URL + "/login/demo"))
	store.Deaf.Store(false)
	if got := f.Stolen(before); got != "" {
		t.Errorf("after the next sign-in, the cookies from before are those of %q", got)
	}
	if got := f.Stolen(storeLine(f)); got != "grace" {
		t.Errorf("the cookies of the sign-in are those of %q", got)
	}
}

// A sign-out deletes cookies with our names, even if they cannot be opened.
func TestSignOutDropsWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]ginsessions.Store{"a store": memstore.NewStore([]byte("the store's secret")), "sealed cookies": nil} {
		t.Run(name, func(t *testing.T) {
			f := sitetest.NewStore(t, store)
			f.SignIn()
			all := append(f.OwnCookies(""), f.OwnCookies("-b")...)
			for _, c := range all {
				c.Value, c.Path = "forged", "/"
				f.KeepCookie(c)
			}
			if p := f.Ask("POST", "/logout", sitetest.Fetch...); p.Status >= 400 {
				t.Errorf("the sign-out gets %d: %s", p.Status, p.Text())
			}
			if left := append(f.OwnCookies(""), f.OwnCookies("-b")...); len(left) > 0 {
				t.Errorf("after the sign-out, the browser has %v", left)
			}
		})
	}
}

// Calls after SignIn apply to the session that it began, although the request does not have its
// cookies yet.
func TestAfterSignInInTheSameRequest(t *testing.T) {
	t.Parallel()
	ada := &ginauth.User{Provider: "demo", Subject: "ada"}
	note := func(u *ginauth.User) { u.Data = map[string]string{"note": "kept"} }
	for name, store := range map[string]ginsessions.Store{"a store": memstore.NewStore([]byte("the store's secret")), "sealed cookies": nil} {
		t.Run(name, func(t *testing.T) {
			f := sitetest.NewStore(t, store)
			var err error
			f.Engine.POST("/begin", func(c *gin.Context) {
				err = errors.Join(f.Auth.SignIn(c, ada, nil), f.Auth.Update(c, note))
			})
			f.Engine.POST("/twice", func(c *gin.Context) {
				grace := &ginauth.User{Provider: "demo", Subject: "grace"}
				err = errors.Join(f.Auth.SignIn(c, grace, nil), f.Auth.SignIn(c, ada, nil), f.Auth.Update(c, note))
			})
			f.Engine.POST("/brief", func(c *gin.Context) {
				err = errors.Join(f.Auth.SignIn(c, ada, nil), f.Auth.Logout(c))
			})
			for _, path := range []string{"/begin", "/begin", "/twice"} { // the second with a session already
				f.Must(f.Browser.Fetch(authtest.At(f.URL+"/"), "POST", f.URL+path, nil, ""))
				if u := f.User(); err != nil || u == nil || u.Subject != "ada" || u.Data["note"] != "kept" {
					t.Errorf("after SignIn and Update at %s, the user is %+v: %v", path, u, err)
				}
			}
			f.Must(f.Browser.Fetch(authtest.At(f.URL+"/"), "POST", f.URL+"/brief", nil, ""))
			if u := f.User(); err != nil || u != nil {
				t.Errorf("after SignIn and Logout, the user is %+v: %v", u, err)
			}
		})
	}
}
