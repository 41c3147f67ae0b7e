package ginauth_test

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

type traceKey struct{}

// tracedEvent is an event with the trace that OnEvent found in its context.
type tracedEvent struct {
	ginauth.Event
	trace string
}

// eventSite is an application whose requests have a trace each, as
// OpenTelemetry's middleware gives them one, and a revocation store that can
// break. Its log is in JSON.
type eventSite struct {
	*site
	mu    sync.Mutex
	told  []tracedEvent
	store *brokenRevocations
	json  *logs
}

func newEventSite(t *testing.T, change func(s *site, o *ginauth.Options)) *eventSite {
	t.Helper()
	w := &eventSite{store: &brokenRevocations{}, json: &logs{}}
	w.site = newLogoutSite(t, func(s *site, o *ginauth.Options) {
		s.idp = startIDP(t, authtest.Config{Addr: "localhost:0", Now: s.clock.Now}) // for frames of it
		o.Providers[0] = client("demo", s.idp)
		o.Revocations = w.store
		o.Logger = slog.New(slog.NewJSONHandler(w.json, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s.engine.Use(func(c *gin.Context) {
			c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), traceKey{}, c.Request.Method+" "+c.FullPath()))
		})
		o.Hooks.OnEvent = func(ctx context.Context, e ginauth.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			trace, _ := ctx.Value(traceKey{}).(string)
			w.told = append(w.told, tracedEvent{e, trace})
		}
		if change != nil {
			change(s, o)
		}
	})
	return w
}

// take returns what happened since the last take.
func (w *eventSite) take() []tracedEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.told
	w.told = nil
	return list
}

// lines are the log's lines about events since the last call.
func (w *eventSite) lines() (lines []map[string]any) {
	w.t.Helper()
	text := w.json.String()
	w.json.Reset()
	for line := range strings.Lines(text) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			w.t.Fatalf("%v: %s", err, line)
		}
		if fields["event"] != nil {
			lines = append(lines, fields)
		}
	}
	return lines
}

// post sends what a script of the application's own page would.
func (w *eventSite) post(path string) *authtest.Page {
	w.t.Helper()
	return w.must(w.browser.Fetch(authtest.At(w.URL+"/"), "POST", w.URL+path, nil, ""))
}

func hashOf(id string) string {
	key, _ := hkdf.Key(sha256.New, []byte(testKey), nil, "ginauth hash v1", 32)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// happening is what makes an event.
type happening struct {
	name  string
	do    func()
	want  ginauth.Event
	trace string
	level string // of the line in the log
}

// happenings has each kind of event; Ada is signed in before.
func happenings(w *eventSite) []happening {
	ada := hashOf(w.idp.Issuer + "#ada")
	logout := func(who map[string]any) func() {
		return func() { w.backChannel(w.idp.Sign(logoutTyp, w.claimsFor(who))) }
	}
	broken := func(do func()) func() {
		return func() {
			w.store.broken.Store(true)
			defer w.store.broken.Store(false)
			do()
		}
	}
	return []happening{
		{"a sign-in begins", func() { w.open("/login/demo") },
			ginauth.Event{Name: ginauth.SignInStarted, Provider: "demo"}, "GET /login/:provider", "DEBUG"},
		{"the provider cannot be asked", func() { w.open("/login/down") },
			ginauth.Event{Name: ginauth.SignInFailed, Provider: "down", Code: ginauth.ErrProviderUnavailable}, "GET /login/:provider", "ERROR"},
		{"nobody's sign-in", func() { w.open("/login/nobody@example.com") },
			ginauth.Event{Name: ginauth.SignInFailed, Code: ginauth.ErrUnknownProvider}, "GET /login/:provider", "INFO"},
		{"a wrong method", func() { w.must(w.browser.Fetch(authtest.At(w.URL+"/"), "PUT", w.URL+"/authorize/demo/", nil, "")) },
			ginauth.Event{Name: ginauth.SignInFailed, Provider: "demo", Code: ginauth.ErrMethodNotAllowed}, "PUT /authorize/:provider/", "INFO"},
		{"an answer that nobody waits for", func() { w.open("/authorize/demo?state=x&code=y") },
			ginauth.Event{Name: ginauth.SignInFailed, Provider: "demo", Code: ginauth.ErrStateInvalid}, "GET /authorize/:provider", "WARN"},
		{"a sign-out from elsewhere", func() { w.must(w.browser.Submit(authtest.At("http://evil.example/"), w.URL+"/logout", url.Values{})) },
			ginauth.Event{Name: ginauth.SignOutFailed, Code: ginauth.ErrCrossOrigin}, "POST /logout", "WARN"},
		{"a guard that says no", func() { w.get("/others") },
			ginauth.Event{Name: ginauth.RequestRefused, Provider: "demo", Code: ginauth.ErrForbidden, User: ada}, "GET /others", "INFO"},
		{"a request from elsewhere", func() { w.must(w.browser.Submit(authtest.At("http://localhost:1/"), w.URL+"/cross", url.Values{})) },
			ginauth.Event{Name: ginauth.RequestRefused, Provider: "demo", Code: ginauth.ErrCrossOrigin, User: ada}, "POST /cross", "WARN"},
		{"a guard that cannot know", broken(func() { w.get("/me") }),
			ginauth.Event{Name: ginauth.RequestRefused, Code: ginauth.ErrStoreUnavailable}, "GET /me", "ERROR"},
		{"a page that cannot know", broken(func() { w.get("/") }),
			ginauth.Event{Name: ginauth.RequestRefused, Code: ginauth.ErrStoreUnavailable}, "GET /", "ERROR"},
		{"the application lets somebody in", func() { w.post("/become") },
			ginauth.Event{Name: ginauth.SignInByApplication, Provider: "demo", User: ada}, "POST /become", "INFO"},
		{"a button", func() { w.post("/logout") },
			ginauth.Event{Name: ginauth.SignedOut, Provider: "demo", User: ada, By: ginauth.ByUser}, "POST /logout", "INFO"},
		{"a handler", func() { w.post("/leave") },
			ginauth.Event{Name: ginauth.SignedOut, Provider: "demo", User: ada, By: ginauth.ByApplication}, "POST /leave", "INFO"},
		{"the provider's frame", func() {
			w.frame(w.browser, w.idp.Issuer, "?iss="+url.QueryEscape(w.idp.Issuer)+"&sid="+url.QueryEscape(w.sid()))
		}, ginauth.Event{Name: ginauth.SignedOut, Provider: "demo", User: ada, By: ginauth.ByProvider}, "GET /logout/:provider/frontchannel", "INFO"},
		{"the provider's word about a person", logout(map[string]any{"sub": "ada"}),
			ginauth.Event{Name: ginauth.SessionsRevoked, Provider: "demo", User: ada, By: ginauth.ByProvider}, "POST /logout/:provider/backchannel", "INFO"},
		{"the provider's word about a session", logout(map[string]any{"sid": "a-session"}),
			ginauth.Event{Name: ginauth.SessionsRevoked, Provider: "demo", By: ginauth.ByProvider}, "POST /logout/:provider/backchannel", "INFO"},
		{"the provider's word about both", logout(map[string]any{"sid": "a-session", "sub": "ada"}),
			ginauth.Event{Name: ginauth.SessionsRevoked, Provider: "demo", User: ada, By: ginauth.ByProvider}, "POST /logout/:provider/backchannel", "INFO"},
		{"a lie", logout(map[string]any{"iss": "https://evil.example", "sub": "ada"}),
			ginauth.Event{Name: ginauth.SignOutFailed, Provider: "demo", Code: ginauth.ErrLogoutTokenInvalid}, "POST /logout/:provider/backchannel", "WARN"},
		{"the provider's word that cannot be kept", broken(logout(map[string]any{"sub": "ada"})),
			ginauth.Event{Name: ginauth.SignOutFailed, Provider: "demo", Code: ginauth.ErrStoreUnavailable}, "POST /logout/:provider/backchannel", "ERROR"},
		{"everywhere", func() { w.post("/everywhere") },
			ginauth.Event{Name: ginauth.SessionsRevoked, User: ada, By: ginauth.ByApplication}, "POST /everywhere", "INFO"},
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	w := newEventSite(t, func(s *site, o *ginauth.Options) {
		o.Providers = append(o.Providers, ginauth.Provider{Name: "down", Issuer: "http://localhost:1", ClientID: "app", ClientSecret: "secret of nobody"})
	})
	w.engine.POST("/cross", w.auth.RequireAuth(), func(*gin.Context) { t.Error("a refused request came through") })
	w.engine.GET("/others", w.auth.RequireAuth(ginauth.FromProvider("down")), func(*gin.Context) { t.Error("a refused request came through") })
	w.engine.POST("/become", func(c *gin.Context) { _ = w.auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada"}) })
	w.engine.POST("/leave", func(c *gin.Context) { _ = w.auth.Logout(c) })
	w.engine.POST("/everywhere", func(c *gin.Context) { _ = w.auth.LogoutEverywhere(c, w.idp.Issuer+"#ada") })
	for _, tt := range happenings(w) {
		t.Run(tt.name, func(t *testing.T) {
			w.browser = w.newBrowser()
			w.signIn()
			w.sid() // asks for pages before they are counted
			w.take()
			w.lines()
			w.clock.Advance(time.Second) // so that what is revoked now is not the next one
			tt.do()
			got, lines := w.take(), w.lines()
			if len(got) != 1 || len(lines) != 1 {
				t.Fatalf("%d events, and %d lines: %+v\n%v", len(got), len(lines), got, lines)
			}
			e := got[0]
			if !idPattern.MatchString(e.RequestID) || e.RequestID == "" || lines[0]["request_id"] != e.RequestID {
				t.Errorf("the event's request id is %q; the log has %v", e.RequestID, lines[0])
			}
			e.RequestID = ""
			if e.Event != tt.want || e.trace != tt.trace {
				t.Errorf("got %+v of %q\nwant %+v of %q", e.Event, e.trace, tt.want, tt.trace)
			}
			wantLine(t, lines[0], tt.want, tt.level)
			w.clock.Advance(time.Second)
		})
	}
}

// wantLine holds a line of the log against the event.
func wantLine(t *testing.T, line map[string]any, e ginauth.Event, level string) {
	t.Helper()
	want := map[string]any{"level": level, "event": string(e.Name)}
	for name, value := range map[string]string{"provider": e.Provider, "code": string(e.Code), "by": string(e.By), "user": e.User} {
		if value != "" {
			want[name] = value
		}
	}
	if line["client_ip"] != "127.0.0.1" && line["client_ip"] != "::1" || !strings.HasPrefix(line["msg"].(string), "ginauth: ") {
		t.Errorf("the line is %v", line)
	}
	row, there := documented(t)[e.Name]
	if !there || row.level != strings.ToLower(level) && (row.level != "by its code" || e.Code == "") {
		t.Errorf("docs/observability.md says of %s: %+v; its level is %s", e.Name, row, level)
	}
	for name := range line {
		if slices.Contains([]string{"provider", "user", "session", "by", "code", "duration"}, name) && !slices.Contains(row.with, name) {
			t.Errorf("docs/observability.md does not say that %s has %s", e.Name, name)
		}
	}
	ours := maps.Clone(line)
	for _, name := range []string{"time", "msg", "request_id", "client_ip", "session", "op", "id", "reason", "fix", "docs", "error"} {
		delete(ours, name)
	}
	if !maps.Equal(ours, want) {
		t.Errorf("the line has %v, want %v", ours, want)
	}
}

// A whole sign-in, and one that OnLogin refuses: who it was is known, and how
// long the provider took.
func TestEventsOfASignIn(t *testing.T) {
	t.Parallel()
	var refuse error
	w := newEventSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			if refuse != nil {
				login.User.Subject = "somebody else"
			}
			return refuse
		}
	})
	ada := hashOf(w.idp.Issuer + "#ada")
	pause := 3 * time.Second
	w.idp.Handle(authtest.Token, func(rw http.ResponseWriter, r *http.Request) {
		w.clock.Advance(pause)
		w.idp.Default(authtest.Token).ServeHTTP(rw, r)
	})
	for _, tt := range []struct {
		name   string
		refuse error
		pause  time.Duration
		fault  authtest.Fault
		want   ginauth.Event
	}{
		{"succeeds", nil, 3 * time.Second, "", ginauth.Event{Name: ginauth.SignInSucceeded, Provider: "demo", User: ada}},
		{"with a clock that is put back", nil, -3 * time.Second, "", ginauth.Event{Name: ginauth.SignInSucceeded, Provider: "demo", User: ada}},
		{"is refused", errors.New("not invited"), 3 * time.Second, "", ginauth.Event{Name: ginauth.SignInFailed, Provider: "demo", Code: ginauth.ErrIdentityRejected, User: ada}},
		{"is refused in the application's words", &ginauth.Error{Code: "not_invited", Provider: "ada@example.com"}, 3 * time.Second, "",
			ginauth.Event{Name: ginauth.SignInFailed, Provider: "demo", Code: "not_invited", User: ada}},
		{"brings a bad token", nil, 3 * time.Second, authtest.WrongNonce, ginauth.Event{Name: ginauth.SignInFailed, Provider: "demo", Code: ginauth.ErrIDTokenInvalid}},
	} {
		refuse, pause = tt.refuse, tt.pause
		if tt.fault != "" {
			w.idp.Fail(authtest.Token, tt.fault)
		}
		w.browser = w.newBrowser()
		w.get("/login/demo")
		got := w.take()
		if len(got) != 2 || got[0].Name != "sign_in_started" || got[0].Duration != 0 {
			t.Errorf("%s: the events are %+v", tt.name, got)
			continue
		}
		e := got[1]
		if took := max(0, tt.pause); e.Duration < took || e.Duration > took+2*time.Second || tt.pause < 0 && e.Duration != 0 {
			t.Errorf("%s: the provider took %v, it says", tt.name, e.Duration)
		}
		lines := w.lines()
		if logged, _ := lines[len(lines)-1]["duration"].(float64); time.Duration(logged) != e.Duration {
			t.Errorf("%s: the log says %v, the event %v", tt.name, time.Duration(logged), e.Duration)
		}
		e.RequestID, e.Duration = "", 0
		if e.Event != tt.want || e.trace != "GET /authorize/:provider" {
			t.Errorf("%s: got %+v of %q, want %+v", tt.name, e.Event, e.trace, tt.want)
		}
	}
}

// LogoutEverywhere may be called outside of any request.
func TestEventsOutsideOfARequest(t *testing.T) {
	t.Parallel()
	w := newEventSite(t, nil)
	ctx := context.WithValue(t.Context(), traceKey{}, "a job")
	odd, _ := gin.CreateTestContext(nil) // of no request either
	for _, tt := range []struct {
		ctx   context.Context
		trace string
	}{{ctx, "a job"}, {odd, ""}} {
		if err := w.auth.LogoutEverywhere(tt.ctx, w.idp.Issuer+"#ada"); err != nil {
			t.Fatal(err)
		}
		want := tracedEvent{ginauth.Event{Name: ginauth.SessionsRevoked, User: hashOf(w.idp.Issuer + "#ada"), By: ginauth.ByApplication}, tt.trace}
		if got := w.take(); len(got) != 1 || got[0] != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	w.store.broken.Store(true)
	if err := w.auth.LogoutEverywhere(ctx, w.idp.Issuer+"#ada"); err == nil || len(w.take()) != 0 {
		t.Errorf("what did not happen is told: %v", err)
	}
}

// What OnEvent breaks in is over: the sign-in goes on, and the log says so.
func TestOnEventPanics(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnEvent = func(context.Context, ginauth.Event) { panic("no such counter") }
	})
	f.signIn()
	f.must(f.browser.Fetch(authtest.At(f.URL+"/"), "POST", f.URL+"/logout", nil, ""))
	f.wantError(f.open("/authorize/demo?state=x"), ginauth.ErrStateInvalid)
	for _, name := range []string{"sign_in_started", "sign_in_succeeded", "signed_out", "sign_in_failed"} {
		if n := strings.Count(f.logs.String(), `level=ERROR msg="ginauth: Hooks.OnEvent panicked" on=`+name+` panic="no such counter"`); n != 1 {
			t.Errorf("%s: %d lines say that OnEvent panicked:\n%s", name, n, f.logs)
		}
	}
}

// An OnEvent that does not panic is not said to.
func TestOnEventThatReturns(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(_ *site, o *ginauth.Options) { o.Hooks.OnEvent = func(context.Context, ginauth.Event) {} })
	f.signIn()
	if strings.Contains(f.logs.String(), "OnEvent") {
		t.Error(f.logs)
	}
}

// One request has one id: in every line, event and answer.
func TestOneRequestOneID(t *testing.T) {
	t.Parallel()
	w := newEventSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(*gin.Context, *ginauth.User) { panic("no database") }
	})
	w.engine.Use(w.auth.LoadUser())
	w.engine.GET("/twice", w.auth.RequireAuth(), func(*gin.Context) {})
	w.signIn()
	fetch := func(method, path, id string) *authtest.Page {
		header := http.Header{}
		if id != "" {
			header.Set("X-Request-ID", id)
		}
		return w.must(w.browser.Fetch(authtest.At(w.URL+"/"), method, w.URL+path, header, ""))
	}
	for _, sent := range []string{"", "trace-1"} {
		for _, tt := range []struct{ method, path string }{{"GET", "/twice"}, {"POST", "/logout"}} {
			w.take()
			w.lines()
			w.store.broken.Store(tt.path == "/twice")
			p := fetch(tt.method, tt.path, sent)
			w.store.broken.Store(false)
			var answer struct {
				RequestID string `json:"request_id"`
			}
			_ = json.Unmarshal(p.Body, &answer)
			got, lines := w.take(), w.lines()
			ids := []string{answer.RequestID}
			for i := range got {
				ids = append(ids, got[i].RequestID, fmt.Sprint(lines[i]["request_id"]))
			}
			if len(ids) != 5 || len(slices.Compact(ids)) != 1 || ids[0] == "" || sent != "" && ids[0] != sent {
				t.Errorf("%s with id %q: the ids are %q", tt.path, sent, ids)
			}
			w.signIn()
		}
	}
}
