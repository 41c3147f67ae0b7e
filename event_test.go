package ginauth_test

import (
	"context"
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
	"github.com/ginauth/ginauth/internal/sitetest"
)

// Dashboards and alerts rely on these texts.
func TestTheTextsOfEventsNeverChange(t *testing.T) {
	for kind, want := range map[string]map[string]string{
		"EventName": {
			"SignInStarted": "sign_in_started", "SignInSucceeded": "sign_in_succeeded", "SignInFailed": "sign_in_failed",
			"SignInByApplication": "sign_in_by_application", "SignedOut": "signed_out", "SignOutFailed": "sign_out_failed",
			"SessionsRevoked": "revoked", "RequestRefused": "request_refused",
		},
		"EventBy": {"ByUser": "user", "ByApplication": "application", "ByProvider": "provider"},
	} {
		if got := sitetest.Constants(t, "event.go", kind); !maps.Equal(got, want) {
			t.Errorf("the constants of type %s are %q, want %q", kind, got, want)
		}
	}
}

// No event is built if the log drops it and the application has no OnEvent.
func TestNothingIsToldToNobody(t *testing.T) {
	t.Parallel()
	var keys []int
	for _, tt := range []struct {
		level slog.Level
		hook  bool
		want  []int // how many values the requests to /login, /authorize and /logout had; the last one keeps one itself
	}{
		{slog.LevelInfo, false, []int{0, 1, 2}}, {slog.LevelError, false, []int{0, 0, 1}}, {slog.LevelDebug, false, []int{1, 1, 2}}, {slog.LevelError, true, []int{1, 1, 2}},
	} {
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			s.Unheard = !tt.hook
			o.Logger = slog.New(slog.NewTextHandler(s.Logs, &slog.HandlerOptions{Level: tt.level}))
			s.Engine.Use(func(c *gin.Context) {
				c.Next()
				if strings.HasPrefix(c.Request.URL.Path, "/log") || strings.HasPrefix(c.Request.URL.Path, "/auth") {
					keys = append(keys, len(c.Keys)) // the request's id is stored there
				}
			})
		})
		keys = nil
		s.Get("/login/demo")
		s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/logout", nil, ""))
		if !slices.Equal(keys, tt.want) {
			t.Errorf("at level %v, with a hook: %v: the requests have %v values, want %v", tt.level, tt.hook, keys, tt.want)
		}
	}
}

type traceKey struct{}

// tracedEvent is an event with the trace that OnEvent found in its context.
type tracedEvent struct {
	ginauth.Event
	trace string
}

// eventSite is an application whose requests each have a trace, as from OpenTelemetry's
// middleware, and a revocation store that can fail. Its log is in JSON.
type eventSite struct {
	*sitetest.Site
	mu    sync.Mutex
	told  []tracedEvent
	store *sitetest.BrokenRevocations
	json  *sitetest.Logs
}

func newEventSite(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) *eventSite {
	t.Helper()
	w := &eventSite{store: &sitetest.BrokenRevocations{}, json: &sitetest.Logs{}}
	w.Site = sitetest.NewLogout(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP = sitetest.StartProvider(t, authtest.Config{Addr: "localhost:0", Now: s.Clock.Now}) // for its frames
		o.Providers[0] = sitetest.Client("demo", s.IDP)
		o.Revocations = w.store
		o.Logger = slog.New(slog.NewJSONHandler(w.json, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s.Engine.Use(func(c *gin.Context) {
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

// take returns the events since the last take.
func (w *eventSite) take() []tracedEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.told
	w.told = nil
	return list
}

// lines returns the log lines about events since the last call.
func (w *eventSite) lines() (lines []map[string]any) {
	w.T.Helper()
	text := w.json.String()
	w.json.Reset()
	for line := range strings.Lines(text) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			w.T.Fatalf("%v: %s", err, line)
		}
		if fields["event"] != nil {
			lines = append(lines, fields)
		}
	}
	return lines
}

// post sends a request as a script of the application's own page would.
func (w *eventSite) post(path string) *authtest.Page {
	w.T.Helper()
	return w.Must(w.Browser.Fetch(authtest.At(w.URL+"/"), "POST", w.URL+path, nil, ""))
}

// happening is an action that causes an event.
type happening struct {
	name  string
	do    func()
	want  ginauth.Event
	trace string
	level string // of the line in the log
}

// happenings has each kind of event; Ada is signed in before.
func happenings(w *eventSite) []happening {
	ada := sitetest.HashOf(w.IDP.Issuer + "#ada")
	logout := func(who map[string]any) func() {
		return func() { w.BackChannel(w.IDP.Sign(sitetest.LogoutHeader, w.LogoutClaims(who))) }
	}
	broken := func(do func()) func() {
		return func() {
			w.store.Broken.Store(true)
			defer w.store.Broken.Store(false)
			do()
		}
	}
	return []happening{
		{"a sign-in begins", func() { w.Open("/login/demo") },
			ginauth.Event{Name: ginauth.SignInStarted, Provider: "demo"}, "GET /login/:provider", "DEBUG"},
		{"the provider cannot be asked", func() { w.Open("/login/down") },
			ginauth.Event{Name: ginauth.SignInFailed, Provider: "down", Code: ginauth.ErrProviderUnavailable}, "GET /login/:provider", "ERROR"},
		{"nobody's sign-in", func() { w.Open("/login/nobody@example.com") },
			ginauth.Event{Name: ginauth.SignInFailed, Code: ginauth.ErrUnknownProvider}, "GET /login/:provider", "INFO"},
		{"a wrong method", func() { w.Must(w.Browser.Fetch(authtest.At(w.URL+"/"), "PUT", w.URL+"/authorize/demo/", nil, "")) },
			ginauth.Event{Name: ginauth.SignInFailed, Provider: "demo", Code: ginauth.ErrMethodNotAllowed}, "PUT /authorize/:provider/", "INFO"},
		{"an answer that nobody waits for", func() { w.Open("/authorize/demo?state=x&code=y") },
			ginauth.Event{Name: ginauth.SignInFailed, Provider: "demo", Code: ginauth.ErrStateInvalid}, "GET /authorize/:provider", "WARN"},
		{"a sign-out from elsewhere", func() { w.Must(w.Browser.Submit(authtest.At("http://evil.example/"), w.URL+"/logout", url.Values{})) },
			ginauth.Event{Name: ginauth.SignOutFailed, Code: ginauth.ErrCrossOrigin}, "POST /logout", "WARN"},
		{"a guard that says no", func() { w.Get("/others") },
			ginauth.Event{Name: ginauth.RequestRefused, Provider: "demo", Code: ginauth.ErrForbidden, User: ada}, "GET /others", "INFO"},
		{"a request from elsewhere", func() { w.Must(w.Browser.Submit(authtest.At("http://localhost:1/"), w.URL+"/cross", url.Values{})) },
			ginauth.Event{Name: ginauth.RequestRefused, Provider: "demo", Code: ginauth.ErrCrossOrigin, User: ada}, "POST /cross", "WARN"},
		{"a guard that cannot know", broken(func() { w.Get("/me") }),
			ginauth.Event{Name: ginauth.RequestRefused, Code: ginauth.ErrStoreUnavailable}, "GET /me", "ERROR"},
		{"a page that cannot know", broken(func() { w.Get("/") }),
			ginauth.Event{Name: ginauth.RequestRefused, Code: ginauth.ErrStoreUnavailable}, "GET /", "ERROR"},
		{"the application lets somebody in", func() { w.post("/become") },
			ginauth.Event{Name: ginauth.SignInByApplication, Provider: "demo", User: ada}, "POST /become", "INFO"},
		{"a button", func() { w.post("/logout") },
			ginauth.Event{Name: ginauth.SignedOut, Provider: "demo", User: ada, By: ginauth.ByUser}, "POST /logout", "INFO"},
		{"a handler", func() { w.post("/leave") },
			ginauth.Event{Name: ginauth.SignedOut, Provider: "demo", User: ada, By: ginauth.ByApplication}, "POST /leave", "INFO"},
		{"the provider's frame", func() {
			w.Frame(w.Browser, w.IDP.Issuer, "?iss="+url.QueryEscape(w.IDP.Issuer)+"&sid="+url.QueryEscape(w.SID()))
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
	w := newEventSite(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, ginauth.Provider{Name: "down", Issuer: "http://localhost:1", ClientID: "app", ClientSecret: "secret of nobody"})
	})
	w.Engine.POST("/cross", w.Auth.RequireAuth(), func(*gin.Context) { t.Error("a rejected request was admitted") })
	w.Engine.GET("/others", w.Auth.RequireAuth(ginauth.FromProvider("down")), func(*gin.Context) { t.Error("a rejected request was admitted") })
	w.Engine.POST("/become", func(c *gin.Context) { _ = w.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada"}, nil) })
	w.Engine.POST("/leave", func(c *gin.Context) { _ = w.Auth.Logout(c) })
	w.Engine.POST("/everywhere", func(c *gin.Context) { _ = w.Auth.LogoutEverywhere(c, w.IDP.Issuer+"#ada") })
	for _, tt := range happenings(w) {
		t.Run(tt.name, func(t *testing.T) {
			w.Browser = w.NewBrowser()
			w.SignIn()
			w.SID() // requests pages before they are counted
			w.take()
			w.lines()
			w.Clock.Advance(time.Second) // so that the next session is not revoked as well
			tt.do()
			got, lines := w.take(), w.lines()
			if len(got) != 1 || len(lines) != 1 {
				t.Fatalf("%d events, and %d lines: %+v\n%v", len(got), len(lines), got, lines)
			}
			e := got[0]
			if !sitetest.RequestIDPattern.MatchString(e.RequestID) || e.RequestID == "" || lines[0]["request_id"] != e.RequestID {
				t.Errorf("the event's request id is %q; the log has %v", e.RequestID, lines[0])
			}
			e.RequestID = ""
			if e.Event != tt.want || e.trace != tt.trace {
				t.Errorf("got %+v of %q\nwant %+v of %q", e.Event, e.trace, tt.want, tt.trace)
			}
			wantLine(t, lines[0], tt.want, tt.level)
			w.Clock.Advance(time.Second)
		})
	}
}

// wantLine compares a line of the log with the event.
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
	row, there := sitetest.DocumentedEvents(t)[e.Name]
	if !there || row.Level != strings.ToLower(level) && (row.Level != "by its code" || e.Code == "") {
		t.Errorf("docs/observability.md has for %s: %+v; its level is %s", e.Name, row, level)
	}
	for name := range line {
		if slices.Contains([]string{"provider", "user", "session", "by", "code", "duration"}, name) && !slices.Contains(row.With, name) {
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

// A complete sign-in, and one that OnLogin rejects: the event has the user, and how long the
// provider took.
func TestEventsOfASignIn(t *testing.T) {
	t.Parallel()
	var refuse error
	w := newEventSite(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			if refuse != nil {
				login.User.Subject = "somebody else"
			}
			return refuse
		}
	})
	ada := sitetest.HashOf(w.IDP.Issuer + "#ada")
	pause := 3 * time.Second
	w.IDP.Handle(authtest.Token, func(rw http.ResponseWriter, r *http.Request) {
		w.Clock.Advance(pause)
		w.IDP.Default(authtest.Token).ServeHTTP(rw, r)
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
			w.IDP.Fail(authtest.Token, tt.fault)
		}
		w.Browser = w.NewBrowser()
		w.Get("/login/demo")
		got := w.take()
		if len(got) != 2 || got[0].Name != "sign_in_started" || got[0].Duration != 0 {
			t.Errorf("%s: the events are %+v", tt.name, got)
			continue
		}
		e := got[1]
		if took := max(0, tt.pause); e.Duration < took || e.Duration > took+2*time.Second || tt.pause < 0 && e.Duration != 0 {
			t.Errorf("%s: the event's duration is %v", tt.name, e.Duration)
		}
		lines := w.lines()
		if logged, _ := lines[len(lines)-1]["duration"].(float64); time.Duration(logged) != e.Duration {
			t.Errorf("%s: the log has %v, the event %v", tt.name, time.Duration(logged), e.Duration)
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
	odd, _ := gin.CreateTestContext(nil) // without a request, too
	for _, tt := range []struct {
		ctx   context.Context
		trace string
	}{{ctx, "a job"}, {odd, ""}} {
		if err := w.Auth.LogoutEverywhere(tt.ctx, w.IDP.Issuer+"#ada"); err != nil {
			t.Fatal(err)
		}
		want := tracedEvent{ginauth.Event{Name: ginauth.SessionsRevoked, User: sitetest.HashOf(w.IDP.Issuer + "#ada"), By: ginauth.ByApplication}, tt.trace}
		if got := w.take(); len(got) != 1 || got[0] != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	w.store.Broken.Store(true)
	if err := w.Auth.LogoutEverywhere(ctx, w.IDP.Issuer+"#ada"); err == nil || len(w.take()) != 0 {
		t.Errorf("events that did not happen: %v", err)
	}
}

// A panic in OnEvent does not stop the sign-in, and is logged.
func TestOnEventPanics(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnEvent = func(context.Context, ginauth.Event) { panic("no such counter") }
	})
	f.SignIn()
	f.Must(f.Browser.Fetch(authtest.At(f.URL+"/"), "POST", f.URL+"/logout", nil, ""))
	f.WantError(f.Open("/authorize/demo?state=x"), ginauth.ErrStateInvalid)
	for _, name := range []string{"sign_in_started", "sign_in_succeeded", "signed_out", "sign_in_failed"} {
		lines := slices.DeleteFunc(f.Logs.Lines("ERROR", "hook.on_event_panicked"), func(line string) bool { return !strings.Contains(line, ` on=`+name+` panic="no such counter"`) })
		if n := len(lines); n != 1 {
			t.Errorf("%s: %d lines say that OnEvent panicked:\n%s", name, n, f.Logs)
		}
	}
}

// Without a panic in OnEvent, nothing is logged about it.
func TestOnEventThatReturns(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Hooks.OnEvent = func(context.Context, ginauth.Event) {} })
	f.SignIn()
	if log := f.Logs.String(); strings.Contains(log, "OnEvent") || strings.Contains(log, "id=hook.") {
		t.Error(f.Logs)
	}
}

// A request has one id in every line, event and response.
func TestOneRequestOneID(t *testing.T) {
	t.Parallel()
	w := newEventSite(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(*gin.Context, *ginauth.User) { panic("no database") }
	})
	w.Engine.Use(w.Auth.LoadUser())
	w.Engine.GET("/twice", w.Auth.RequireAuth(), func(*gin.Context) {})
	w.SignIn()
	fetch := func(method, path, id string) *authtest.Page {
		header := http.Header{}
		if id != "" {
			header.Set("X-Request-ID", id)
		}
		return w.Must(w.Browser.Fetch(authtest.At(w.URL+"/"), method, w.URL+path, header, ""))
	}
	for _, sent := range []string{"", "trace-1"} {
		for _, tt := range []struct{ method, path string }{{"GET", "/twice"}, {"POST", "/logout"}} {
			w.take()
			w.lines()
			w.store.Broken.Store(tt.path == "/twice")
			p := fetch(tt.method, tt.path, sent)
			w.store.Broken.Store(false)
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
			w.SignIn()
		}
	}
}
