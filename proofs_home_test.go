package ginauth_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
)

// oddStore is a store that counts its reads, and sees or answers them in its
// own way.
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

// inStore is a site whose sessions are in a store, without a provider to ask.
func inStore(t *testing.T, o *oddStore) *site {
	return remembering(t, func(opts *ginauth.Options) { opts.Sessions = o })
}

// send is visit that returns the answer's cookies too.
func (s *site) send(method, path, cookies string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, s.URL+path, nil)
	r.Header.Set("Cookie", cookies)
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, r)
	return w
}

// shown says whether these cookies are somebody's.
func (s *site) shown(cookies string) bool {
	s.t.Helper()
	return s.send("GET", "/show", cookies).Code == http.StatusOK
}

// A session in a store takes two cookies. Those of two people together are
// nobody's, and do not end the session whose id was taken along.
func TestAnIDAloneDeletesNothing(t *testing.T) {
	t.Parallel()
	s := inStore(t, newOddStore())
	hers, mine := s.mint(grace()), s.mint(&ginauth.User{Subject: "mallory"})
	id, _, _ := strings.Cut(hers, "; ")
	_, own, _ := strings.Cut(mine, "; ")
	if planted := id + "; " + own; s.shown(planted) || s.send("POST", "/out", planted).Code != http.StatusOK {
		t.Error("another's id and one's own binding are a session")
	}
	if !s.shown(hers) {
		t.Error("a session was ended by who had its id alone")
	}
}

// Every session has a secret of its own.
func TestBindingsDiffer(t *testing.T) {
	t.Parallel()
	s := inStore(t, newOddStore())
	secret := func() string {
		_, binding, _ := strings.Cut(s.mint(grace()), "; ")
		text, _, _ := strings.Cut(binding, ".")
		return text
	}
	if a, b := secret(), secret(); a == b || a == "" {
		t.Errorf("two sessions have the binding %q", a)
	}
}

// A store that takes the id of a new session from the request finds none there.
func TestANewSessionIsAskedForWithoutACookie(t *testing.T) {
	t.Parallel()
	o := newOddStore()
	s := inStore(t, o)
	o.saw = func(r *http.Request) {
		if len(r.Header) > 0 {
			t.Errorf("the store got %v", r.Header)
		}
	}
	s.mint(grace())
}

// What a store said is in the log, whatever else it returned.
func TestWhatAStoreReturnsBesideAnError(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		session *gorilla.Session
		err     error
		log     string
	}{
		"nothing, and why":                {nil, errors.New("connection refused"), "connection refused"},
		"nothing, since nothing is there": {nil, fs.ErrNotExist, fs.ErrNotExist.Error()},
		"nothing at all":                  {nil, nil, "the store returned no session"},
	} {
		o := newOddStore()
		s := inStore(t, o)
		cookies := s.mint(grace())
		o.say = func() (*gorilla.Session, error) { return tt.session, tt.err }
		if w := s.send("GET", "/show", cookies); w.Code != http.StatusServiceUnavailable || !strings.Contains(s.logs.String(), tt.log) || strings.Contains(s.logs.String(), "panic") {
			t.Errorf("%s: answered %d\n%s", name, w.Code, s.logs)
		}
	}
}

// A store with several keys that can read a cookie with none of them has no such
// session, and does not fail.
func TestAStoreOfSeveralKeysThatReadsNothing(t *testing.T) {
	t.Parallel()
	s := remembering(t, func(o *ginauth.Options) {
		o.Sessions = cookie.NewStore([]byte(storeSecret), []byte("0123456789abcdef"), []byte("its key before"), []byte("fedcba9876543210"))
	})
	id, binding, _ := strings.Cut(s.mint(grace()), "; ")
	if w := s.send("GET", "/show", id+"x; "+binding); w.Code != http.StatusUnauthorized {
		t.Errorf("answered %d\n%s", w.Code, s.logs)
	}
}

// Who signs out asks a store that fails once, not again to clear what could not
// be read.
func TestSignOutAsksAFailingStoreOnce(t *testing.T) {
	t.Parallel()
	o := newOddStore()
	s := inStore(t, o)
	cookies := s.mint(grace())
	o.say = func() (*gorilla.Session, error) { return nil, errors.New("connection refused") }
	before := o.reads.Load()
	s.send("POST", "/out", cookies)
	if n := o.reads.Load() - before; n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Who has nothing of ours is told to forget nothing.
func TestSignOutOfNobodySetsNothing(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*site{"a cookie": remembering(t, nil), "a store": inStore(t, newOddStore())} {
		if w := s.send("POST", "/out", "theme=dark"); len(w.Header()["Set-Cookie"]) > 0 {
			t.Errorf("%s: %q", name, w.Header()["Set-Cookie"])
		}
	}
}

// Two sessions in one request are both over when it signs out.
func TestSignOutOfTwoSessions(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*site{"cookies": remembering(t, nil), "a store": inStore(t, newOddStore())} {
		first, second := s.mint(grace()), s.mint(grace())
		s.send("POST", "/out", first+"; "+second)
		if s.shown(first) || s.shown(second) {
			t.Errorf("%s: one of two sessions is left", name)
		}
	}
}

// A browser that never got the cookie which goes with a record under the new key
// gets it with its next request, before the old key is taken away.
func TestABindingUnderAnOldKeyIsReplaced(t *testing.T) {
	t.Parallel()
	o, newKey := newOddStore(), "7c9e6679f4e1b3a85d20c7f8e9ab1432c56d78e09fa1b2c3d4e5f60718293a4b"
	old := inStore(t, o)
	cookies := old.mint(grace())
	both := remembering(t, func(opts *ginauth.Options) {
		opts.Sessions, opts.Keys = o, []string{newKey, testKey}
	})
	if lost := both.send("GET", "/show", cookies); lost.Code != http.StatusOK || len(lost.Header()["Set-Cookie"]) == 0 {
		t.Fatalf("with both keys: %d, %q", lost.Code, lost.Header()["Set-Cookie"])
	}
	again := both.send("GET", "/show", cookies)
	var pairs []string
	for _, line := range again.Header()["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}
	alone := remembering(t, func(opts *ginauth.Options) { opts.Sessions, opts.Keys = o, []string{newKey} })
	if again.Code != http.StatusOK || !alone.shown(strings.Join(pairs, "; ")) {
		t.Errorf("after the old key is gone, nobody is signed in with %q", pairs)
	}
}

// However the clock is put back, and the session written anew meanwhile: it does
// not count more than a minute before it began.
func TestASessionIsNoneBeforeItBegan(t *testing.T) {
	t.Parallel()
	s := remembering(t, nil)
	s.engine.POST("/update", s.auth.RequireAuth(), func(c *gin.Context) {
		if err := s.auth.Update(c, func(u *ginauth.User) { u.Name = "Grace" }); err != nil {
			t.Error(err)
		}
	})
	cookies := s.mint(grace())
	s.clock.Advance(-50 * time.Second)
	r := httptest.NewRequest("POST", s.URL+"/update", nil)
	r.Header.Set("Cookie", cookies)
	r.Header.Set("Origin", s.URL)
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, r)
	pair, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	if w.Code != http.StatusOK || !s.shown(pair) {
		t.Fatalf("the update was answered with %d, %q", w.Code, pair)
	}
	s.clock.Advance(-50 * time.Second)
	if s.shown(pair) {
		t.Error("the session counts 100 seconds before it began")
	}
}

// SignIn refuses a provider that is not ours.
func TestSignInOfAnUnknownProvider(t *testing.T) {
	t.Parallel()
	s := remembering(t, nil)
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest("GET", "/", nil)
	if err := s.auth.SignIn(c, &ginauth.User{Provider: "gone", Subject: "grace"}); !errors.Is(err, ginauth.ErrUnknownProvider) {
		t.Errorf("SignIn returned %v", err)
	}
}

// sureRevocations answer an outage as if everybody had been signed out for ever.
type sureRevocations struct{ ginauth.Revocations }

func (sureRevocations) Watermarks(context.Context, [4]ginauth.RevocationKey) (marks [4]time.Time, err error) {
	for i := range marks {
		marks[i] = time.Now().AddDate(100, 0, 0)
	}
	return marks, errBroken
}

// An outage is an outage, whatever is returned beside it.
func TestWhatRevocationsReturnBesideAnError(t *testing.T) {
	t.Parallel()
	s := remembering(t, func(o *ginauth.Options) { o.Revocations = sureRevocations{&revocationMap{}} })
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest("GET", "/", nil)
	if err := s.auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}); !errors.Is(err, ginauth.ErrStoreUnavailable) || !errors.Is(err, errBroken) {
		t.Errorf("SignIn returned %v", err)
	}
}

// Groups of nobody are none, and lists that are made of them are two.
func TestGroupsAreAppendedToTwice(t *testing.T) {
	t.Parallel()
	s := remembering(t, nil)
	s.engine.GET("/groups", s.auth.RequireAuth(), func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		one, two := append(u.Groups, "guest"), append(u.Groups, "admin")
		c.String(http.StatusOK, "%t %q %q", u.Groups == nil, one, two)
	})
	for want, groups := range map[string][]string{
		`true ["guest"] ["admin"]`:                                nil,
		`false ["navy" "staff" "guest"] ["navy" "staff" "admin"]`: {"navy", "staff"},
	} {
		if got := s.send("GET", "/groups", s.mint(&ginauth.User{Subject: "grace", Groups: groups})).Body.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
