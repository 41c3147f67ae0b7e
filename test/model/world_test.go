package model

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

const machineURL = "http://localhost:8080"

// machineHome is a place to store sessions.
type machineHome struct {
	name   string
	stored bool // in a gin-contrib store, with a binding cookie
	server bool // the store keeps the records itself
	open   func() ginsessions.Store
}

// world is an application, two providers and some devices, without a network: thousands of
// worlds must run in a minute. It is also the model with which every response is compared.
type world struct {
	home    *machineHome
	time    atomic.Int64 // a provider may be queried in the background
	idps    [2]*authtest.Provider
	entries []entry // the providers of the application
	during  []entry // entered during the next token request
	marks   *brittleMarks
	store   *brittleStore
	engine  *gin.Engine
	auth    *ginauth.Auth
	devices []*device
	shelf   []*device // copies of cookies
	trace   []string

	// The state of the model.
	keys       []string
	serial     int
	replies    []*reply
	logins     []*login
	everywhere map[string]watermark // by person
	subs, sids map[string]watermark
	banned     map[string]bool
	codes      map[string]*code
	demanded   []*demand
	proofs     map[string][]proof // by person

	// Observations.
	signed    map[string]sitetest.Claims // by nonce: the provider's claims
	asked     map[string]int             // token requests, by the attempt's challenge
	requests  int                        // token requests
	ran       int                        // protected handlers
	keysAsked int                        // calls of Authenticate
	hooked    []string                   // names of the sign-ins in OnLogin
	previous  string                     // Login.Previous in OnLogin
	data      string                     // Login.Data in OnLogin
	renewal   bool                       // Login.Renewal in OnLogin
}

// device is a browser that ignores the expiry of cookies: the server must enforce lifetimes.
type device struct {
	jar      map[string]string
	there    [2]map[string]string // cookies at the providers
	held     *held
	attempts map[string]*pending // by cookie
}

func newDevice() *device {
	return &device{jar: map[string]string{}, there: [2]map[string]string{{}, {}}, attempts: map[string]*pending{}}
}

func (w *world) clone(d *device) *device {
	twin := &device{jar: maps.Clone(d.jar), attempts: maps.Clone(d.attempts)}
	for i := range d.there {
		twin.there[i] = maps.Clone(d.there[i])
	}
	if d.held != nil {
		h := *d.held
		if !w.home.server {
			r := *h.record
			h.record = &r
		}
		twin.held = &h
	}
	return twin
}

// code is an authorization code.
type code struct {
	provider  int
	challenge string
	expires   time.Time
	spent     bool
}

// reply is a provider's response, whether delivered by a browser or not.
type reply struct {
	attempt *pending
	device  int
	person  string
	page    string // the final page
	nonce   string
	code    string // "" if the user canceled
	query   url.Values
}

// violation is the panic of a world that deviates from the model.
type violation string

func (w *world) fail(format string, args ...any) { panic(violation(fmt.Sprintf(format, args...))) }

func newWorld(home *machineHome) *world {
	w := &world{
		home: home, entries: []entry{{"one", 0, ""}, {"two", 1, ""}}, keys: []string{"the 1st key of a machine, of 32 bytes and more"}, serial: 1,
		everywhere: map[string]watermark{}, subs: map[string]watermark{}, sids: map[string]watermark{},
		banned: map[string]bool{}, codes: map[string]*code{}, proofs: map[string][]proof{}, signed: map[string]sitetest.Claims{}, asked: map[string]int{},
	}
	w.time.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	w.marks = &brittleMarks{Revocations: marks.NewRevocations[ginauth.RevocationKey](w.now, 1<<16)}
	if home.stored {
		w.store = &brittleStore{Store: home.open()}
	}
	for i := range w.idps {
		idp, err := authtest.Start(authtest.Config{SigningAlg: "ES256", Now: w.now})
		if err != nil {
			panic(err)
		}
		idp.EditIDToken(func(_, c map[string]any) {
			w.signed[fmt.Sprint(c["nonce"])] = maps.Clone(c)
			said := proof{}
			said.acr, _ = c["acr"].(string)
			if at, told := c["auth_time"].(int64); told {
				said.at = time.Unix(at, 0)
			}
			person := fmt.Sprint(c["iss"], "#", c["sub"])
			w.proofs[person] = append(w.proofs[person], said)
		})
		w.idps[i] = idp
	}
	for range 3 {
		w.devices = append(w.devices, newDevice())
	}
	w.mount()
	return w
}

func (w *world) close() {
	for _, idp := range w.idps {
		idp.Close()
	}
}

func (w *world) now() time.Time { return time.Unix(0, w.time.Load()).UTC() }

// mount restarts the application: on the same stores, with the current keys.
func (w *world) mount() {
	opts := ginauth.Options{
		BaseURL: machineURL, Keys: slices.Clone(w.keys), Now: w.now, Logger: slog.New(slog.DiscardHandler), Revocations: w.marks,
		HTTPClient: &http.Client{Transport: sitetest.RoundTripper(w.provider)}, Hooks: ginauth.Hooks{OnLogin: w.onLogin, Authenticate: w.authenticate},
		Lifetime: machineLifetime, IdleTimeout: machineIdle, Providers: w.clients(w.entries), CallbackPaths: entryPaths[1:],
	}
	if w.store != nil {
		opts.Sessions = w.store
	}
	w.engine = gin.New()
	auth, err := ginauth.Mount(w.engine, opts)
	if err != nil {
		panic(err)
	}
	w.auth = auth
	w.engine.GET("/me", auth.RequireAuth(), func(c *gin.Context) {
		w.ran++
		c.String(http.StatusOK, whoIs(ginauth.CurrentUser(c)))
	})
	w.demanding()
	w.engine.POST("/password", w.passwordPage)
	w.engine.POST("/start", func(c *gin.Context) {
		start := ginauth.Start{Provider: c.Query("provider"), ReturnTo: c.Query("return_to"), Link: c.Query("link") == "true",
			Data: map[string]string{"note": c.Query("note"), "own": c.Query("own")}}
		location, err := auth.BeginLogin(c, start)
		if e, failed := errors.AsType[*ginauth.Error](err); failed {
			c.String(e.Status(), string(e.Code))
			return
		}
		c.Redirect(http.StatusSeeOther, location)
	})
	w.engine.POST("/note", auth.RequireAuth(), func(c *gin.Context) {
		w.ran++
		if err := auth.Update(c, func(u *ginauth.User) {
			u.Data["note"], u.AuthTime, u.ACR = c.Query("note"), w.now(), "mfa" // the last two have no effect
		}); err != nil {
			w.answerError(c, err)
		}
	})
	w.engine.POST("/leave", func(c *gin.Context) { // without a guard
		if err := auth.Logout(c); err != nil {
			w.answerError(c, err)
		}
	})
}

// answerError responds with an error that a method of Auth returned.
func (w *world) answerError(c *gin.Context, err error) {
	e, _ := errors.AsType[*ginauth.Error](err)
	c.String(e.Status(), "%s: %v", e.Code, e)
}

func (w *world) onLogin(c *gin.Context, l *ginauth.Login) error {
	w.serial++
	name := fmt.Sprint("login ", w.serial)
	w.hooked = append(w.hooked, name)
	w.previous, w.data, w.renewal = "", l.Data["note"], l.Renewal
	c.Header("X-Login", name)
	if l.Previous != nil {
		w.previous = l.Previous.Data["login"]
	}
	if w.banned[l.User.Subject] {
		return errors.New("banned")
	}
	l.User.Data["login"] = name
	l.User.AuthTime, l.User.ACR = w.now(), "mfa" // without effect
	l.NoSession = l.Data["own"] == "yes"
	return nil
}

func whoIs(u *ginauth.User) string {
	return strings.Join([]string{u.Provider, u.Issuer, u.Subject, u.Email, u.Data["login"], u.Data["note"], u.ACR, fmt.Sprint(u.AuthTime.Unix())}, " | ")
}

// provider handles the application's requests to the providers.
func (w *world) provider(r *http.Request) (*http.Response, error) {
	for _, idp := range w.idps {
		for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.JWKS, authtest.Token, authtest.Userinfo} {
			if r.URL.String() != idp.URL(e) {
				continue
			}
			if e == authtest.Token {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return nil, err
				}
				form, _ := url.ParseQuery(string(body))
				sum := sha256.Sum256([]byte(form.Get("code_verifier")))
				w.asked[sitetest.Base64(sum[:])]++
				w.requests++
				if w.during != nil {
					w.replace(w.during)
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			answer := httptest.NewRecorder()
			idp.Default(e).ServeHTTP(answer, r)
			return answer.Result(), nil
		}
	}
	return nil, fmt.Errorf("no handler responds at %s", r.URL)
}

// send sends a device's request to the application, and keeps the cookies of the response.
func (w *world) send(d *device, r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	r.Host = strings.TrimPrefix(machineURL, "http://")
	carry(r, d.jar)
	w.engine.ServeHTTP(answer, r)
	absorb(d.jar, answer)
	return answer
}

func carry(r *http.Request, jar map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(jar)) {
		r.AddCookie(&http.Cookie{Name: name, Value: jar[name]})
	}
}

// absorb keeps cookies as a browser does, except the count of sign-ins within ten seconds: users
// in this test sign in faster, and lose their sessions more often; TestALoopOfSignInsIsBroken
// tests that limit.
func absorb(jar map[string]string, answer *httptest.ResponseRecorder) {
	for _, c := range answer.Result().Cookies() {
		if strings.HasSuffix(c.Name, "-n") && !strings.Contains(c.Name, "-a-") {
			continue
		}
		if jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(jar, c.Name)
		}
	}
}

// brittleMarks are Revocations that fail on demand.
type brittleMarks struct {
	ginauth.Revocations
	failRead, failWrite, failOnce bool
}

func (m *brittleMarks) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	if m.failWrite {
		return sitetest.ErrBroken
	}
	return m.Revocations.Revoke(ctx, key, at, ttl)
}

func (m *brittleMarks) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) ([4]time.Time, error) {
	if m.failRead {
		return [4]time.Time{}, sitetest.ErrBroken
	}
	return m.Revocations.Watermarks(ctx, keys)
}

func (m *brittleMarks) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	if m.failOnce {
		return false, sitetest.ErrBroken
	}
	return m.Revocations.Once(ctx, key, ttl)
}

// brittleStore is a store that fails, or panics, on demand.
type brittleStore struct {
	ginsessions.Store
	failRead, failWrite, panics bool
}

func (s *brittleStore) broken() error {
	if s.panics {
		panic(sitetest.ErrBroken)
	}
	return sitetest.ErrBroken
}

func (s *brittleStore) New(r *http.Request, name string) (*gorilla.Session, error) {
	if s.failRead {
		return gorilla.NewSession(s, name), s.broken()
	}
	return s.Store.New(r, name)
}

func (s *brittleStore) Save(r *http.Request, rw http.ResponseWriter, session *gorilla.Session) error {
	if s.failWrite {
		return s.broken()
	}
	return s.Store.Save(r, rw, session)
}
