package ginauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	"github.com/gorilla/securecookie"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
)

// A guard lets the login routes pass, and those alone: not somebody else's
// handler that has the same address on another engine.
func TestGuardOnAnotherEngine(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	other := gin.New()
	other.Use(s.auth.RequireAuth())
	ran := false
	other.GET("/logout", func(c *gin.Context) { ran = true })
	w := httptest.NewRecorder()
	other.ServeHTTP(w, httptest.NewRequest("GET", "/logout", nil))
	if ran || w.Code != http.StatusUnauthorized {
		t.Errorf("answered %d; the handler behind the guard ran: %v", w.Code, ran)
	}
}

// What one Auth found is not what another one would have found.
func TestSessionOfAnotherAuth(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	second, err := ginauth.Mount(s.engine.Group("/second"), ginauth.Options{BaseURL: s.URL, Keys: []string{testKey}, Logger: s.logs.Logger(),
		Now: s.clock.Now, Providers: []ginauth.Provider{client("demo", s.idp)}})
	if err != nil {
		t.Fatal(err)
	}
	var first, other bool
	s.guarded("/sessions", func(c *gin.Context) {
		_, first = s.auth.Session(c)
		_, other = second.Session(c)
	})
	s.as("ada")
	if s.ask("GET", "/sessions"); !first || other {
		t.Errorf("the guard's own knows of a session: %v, the other one: %v", first, other)
	}
}

// panickyRevocations panics when it is asked.
type panickyRevocations struct{ ginauth.Revocations }

func (panickyRevocations) Watermarks(context.Context, [4]ginauth.RevocationKey) ([4]time.Time, error) {
	panic("a bug")
}

func TestRevocationsThatPanic(t *testing.T) {
	t.Parallel()
	s, _, _ := linkingSite(t)
	line := s.cookieLine()
	broken := s.replica(func(o *ginauth.Options) {
		o.Revocations = panickyRevocations{marks.NewRevocations[ginauth.RevocationKey](s.clock.Now, 1<<20)}
	})
	if p := broken.ask("GET", "/me", "Cookie", line); p.Status != http.StatusServiceUnavailable {
		t.Errorf("answered %d %s", p.Status, p.Text())
	}
}

func TestSpentStatesAreForgottenInTime(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 1<<20)
	first := func() bool {
		ok, err := m.Once(t.Context(), ginauth.RevocationKey{1}, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !first() || first() {
		t.Error("a state can be spent twice, or not once")
	}
	m.clock.Advance(20 * time.Second) // before anything is swept
	if !first() {
		t.Error("a state is remembered for longer than was asked for")
	}
}

// An OnLogin that answers by itself has not said that anybody may come in.
func TestOnLoginThatAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			c.String(http.StatusForbidden, "not you")
			return nil
		}
	})
	if p := s.get("/login/demo"); p.Status != http.StatusForbidden || s.user() != nil {
		t.Errorf("answered %d, and %v is signed in", p.Status, s.user())
	}
	if !strings.Contains(s.logs.String(), "OnLogin answered the request itself") {
		t.Errorf("the log: %s", s.logs)
	}
}

// A sign-in that OnLogin made and then refused has to be taken back; if that
// fails, it is what the answer says.
func TestRefusedSignInThatCannotBeTakenBack(t *testing.T) {
	t.Parallel()
	f := &faultyRevocations{}
	var s *site
	s = newSite(t, func(it *site, o *ginauth.Options) {
		f.Revocations = marks.NewRevocations[ginauth.RevocationKey](it.clock.Now, 1<<20)
		o.Revocations = f
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			if err := s.auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "eve"}); err != nil {
				return err
			}
			f.writeErr = errBroken
			return errors.New("not you")
		}
	})
	p := s.get("/login/demo")
	f.writeErr = nil
	if p.Status != http.StatusServiceUnavailable || s.user() != nil {
		t.Errorf("answered %d, and %v is signed in", p.Status, s.user())
	}
}

// Only what SignIn began in this request is taken back: who was signed in
// before stays so when another sign-in fails.
func TestAFailedSignInTakesNothingBack(t *testing.T) {
	t.Parallel()
	refuse := false
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error {
			if refuse {
				return errors.New("not you")
			}
			return nil
		}
	})
	s.signIn()
	refuse = true
	s.idp.SignInAs("eve")
	s.wantError(s.get("/login/demo"), ginauth.ErrIdentityRejected)
	if u := s.user(); u == nil || u.Subject != "ada" {
		t.Errorf("%v is signed in", u)
	}
}

func TestFrontChannelOfNobody(t *testing.T) {
	t.Parallel()
	s := plainSite(t, `{"id":7}`, nil)
	s.wantErrorStatus(s.must(s.browser.Frame(pageOf(s), s.URL+"/logout/nobody/frontchannel?iss=a&sid=b")), ginauth.ErrUnknownProvider, http.StatusNotFound)
	p := s.frame(s.browser, s.URL, "?iss=a&sid=b")
	if csp := p.Header.Get("Content-Security-Policy"); p.Status != http.StatusOK || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("a provider without an issuer: %d, %q", p.Status, csp)
	}
}

// A handler's wish to break off the connection is left to net/http.
func TestOnLoginThatBreaksOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { panic(http.ErrAbortHandler) }
	})
	callback := s.begin("/login/demo")
	r, err := http.NewRequest("GET", callback.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.browser.Cookies(s.URL) {
		r.AddCookie(c)
	}
	fresh := &http.Transport{} // on a connection that is used again net/http would ask twice
	defer fresh.CloseIdleConnections()
	if answer, err := fresh.RoundTrip(r); err == nil {
		t.Errorf("answered %d", answer.StatusCode)
		answer.Body.Close()
	}
}

// storeError is a store's way to say something in words alone.
type storeError string

func (e storeError) Error() string { return string(e) }

// Stores say in their own ways that there is no such session, which is nobody
// signed in. Everything else is a store that fails, and nobody can say who it
// is: 503.
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
			store := &deafStore{Store: memstore.NewStore([]byte("the store's secret")), fails: tt.err}
			f := storeSite(t, store)
			f.signIn()
			store.deaf.Store(true)
			p := f.must(f.browser.Fetch(authtest.At(f.URL+"/"), "GET", f.URL+"/me", nil, ""))
			if p.Status != tt.status {
				t.Errorf("%v: %d, want %d", tt.err, p.Status, tt.status)
			}
		})
	}
}

// A request without a path is not one for a login page that there is not.
func TestRefusedWithoutAPath(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.engine.NoRoute(s.auth.RequireAuth(), s.count)
	r, w := httptest.NewRequest("CONNECT", s.URL, nil), httptest.NewRecorder()
	r.URL.Path = ""
	s.engine.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized || s.ran.Load() != 0 {
		t.Errorf("answered %d: %s", w.Code, w.Body)
	}
}
