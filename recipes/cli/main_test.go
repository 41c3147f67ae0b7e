package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// setting is an API, its provider, and a signed-out tool.
type setting struct {
	tool    *tool
	idp     *authtest.Provider
	out     *bytes.Buffer
	instead atomic.Pointer[http.HandlerFunc] // responds in place of the API
}

// forward moves a provider's clock.
type forward struct {
	mu sync.Mutex
	by time.Duration
}

func (f *forward) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Add(f.by)
}

func (f *forward) move(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.by += d
}

func start(t *testing.T) *setting { return startAt(t, new(forward)) }

func startAt(t *testing.T, clock *forward) *setting {
	t.Helper()
	gin.SetMode(gin.TestMode)
	s := &setting{out: new(bytes.Buffer)}
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	idp, err := authtest.Start(authtest.Config{
		ClientID: "orders-tool", Public: true, DeviceInterval: time.Second, Now: clock.now,
		APIs: map[string][]string{base: {"orders:read"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	app := gin.New()
	auth, err := ginauth.Mount(app, ginauth.Options{
		BaseURL: base, Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: base}},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	app.GET("/orders", auth.RequireAuth(ginauth.HasScope("orders:read")), func(c *gin.Context) {
		c.String(http.StatusOK, "orders of "+ginauth.CurrentUser(c).Subject)
	})
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if instead := s.instead.Load(); instead != nil {
			(*instead)(w, r)
			return
		}
		app.ServeHTTP(w, r)
	})
	server.Start()
	t.Cleanup(server.Close)
	s.idp, s.tool = idp, &tool{
		api: base, clientID: idp.ClientID, scopes: []string{"orders:read", "offline_access"},
		file: filepath.Join(t.TempDir(), "orders", "token.json"), out: s.out, notes: io.Discard,
	}
	return s
}

func (s *setting) run(t *testing.T, command string) {
	t.Helper()
	if err := s.tool.run(t.Context(), strings.Fields(command)); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

// fails runs a command that must fail with the error want, or with one that has the name want.
func (s *setting) fails(t *testing.T, command string, want any) {
	t.Helper()
	err := s.tool.run(t.Context(), strings.Fields(command))
	if e, ok := want.(error); ok && !errors.Is(err, e) || !ok && (err == nil || !strings.Contains(err.Error(), want.(string))) {
		t.Errorf("%s: %v, want %v", command, err, want)
	}
}

// expires makes the tool treat every access token as about to expire.
func (s *setting) expires() {
	s.idp.EditToken(func(answer map[string]any) { answer["expires_in"] = 1 })
}

func (s *setting) saved(t *testing.T) saved {
	t.Helper()
	text, err := os.ReadFile(s.tool.file)
	if err != nil {
		t.Fatal(err)
	}
	var v saved
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A user enters the code on the provider's page, and the tool calls the API as that user.
func TestSigningInWithTheDeviceFlow(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.fails(t, "list", errSignIn)
	read, written := io.Pipe()
	s.tool.notes = written
	done := make(chan error, 1)
	go func() {
		err := s.tool.run(t.Context(), []string{"login"})
		written.CloseWithError(err)
		done <- err
	}()
	lines := bufio.NewReader(read)
	line, err := lines.ReadString('\n')
	said := regexp.MustCompile(`(https?://\S+) .* ([A-Z-]+)\n$`).FindStringSubmatch(line)
	if said == nil {
		t.Fatalf("%q: %v", line, err)
	}
	page, code := said[1], said[2]
	b := authtest.NewBrowser()
	p, err := b.Get(page)
	if err == nil {
		p, err = b.SubmitForm(p, "Continue", url.Values{"user_code": {strings.ToLower(code)}})
	}
	if err == nil {
		p, err = b.SubmitForm(p, "Allow as Ada Lovelace", nil)
	}
	if err != nil || !strings.Contains(p.Text(), `id="allowed"`) {
		t.Fatalf("%v: %s", err, p.Text())
	}
	go io.Copy(io.Discard, lines)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.run(t, "list")
	if s.out.String() != "orders of ada\n" {
		t.Errorf("the API responded %q", s.out)
	}
	for name, want := range map[string]os.FileMode{s.tool.file: 0o600, filepath.Dir(s.tool.file): 0o700 | os.ModeDir} {
		if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode() != want {
			t.Errorf("%s is %v, %v", name, info.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.tool.file), "token-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// Concurrent processes refresh an expired token one after another: using a replaced refresh
// token would make the provider end the sign-in.
func TestAnExpiredTokenIsRefreshed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.idp.SignInAs("grace")
	s.expires()
	s.run(t, "login")
	first, asked := s.saved(t), s.idp.Count(authtest.Token)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			other, out := *s.tool, new(bytes.Buffer)
			other.out = out
			if err := other.run(t.Context(), []string{"list"}); err != nil || out.String() != "orders of grace\n" {
				t.Errorf("%v, %q", err, out)
			}
		})
	}
	all.Wait()
	if now := s.saved(t); now.Token.RefreshToken == first.Token.RefreshToken || s.idp.Count(authtest.Token) != asked+5 {
		t.Errorf("%d requests, with a new refresh token: %t", s.idp.Count(authtest.Token)-asked, now.Token.RefreshToken != first.Token.RefreshToken)
	}
	s.idp.EditToken(nil)
	s.run(t, "list")
	asked = s.idp.Count(authtest.Token)
	s.run(t, "list")
	if s.idp.Count(authtest.Token) != asked {
		t.Error("a valid token was refreshed")
	}
}

func TestSignInsThatEnd(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.idp.SignInAs("ada")
	s.expires()
	s.run(t, "login")
	s.idp.RevokeRefreshTokens()
	s.fails(t, "list", errSignIn)
	s.tool.scopes = []string{"orders:read"} // no refresh token
	s.run(t, "login")
	s.fails(t, "list", errSignIn)
	s.idp.EditToken(nil)
	s.idp.Fail(authtest.Token, authtest.WrongSignature)
	s.run(t, "login")
	s.fails(t, "list", errSignIn)
}

func TestDeniedAndLate(t *testing.T) {
	t.Parallel()
	clock := new(forward)
	s := startAt(t, clock)
	s.idp.DenyConsent(true)
	s.fails(t, "login", errDenied)
	s.idp.DenyConsent(false)
	s.idp.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		clock.move(time.Hour)
		s.idp.Default(authtest.Token).ServeHTTP(w, r)
	})
	s.fails(t, "login", errLate)
	s.idp.Handle(authtest.Token, nil)
	s.tool.scopes = []string{"everything"}
	s.fails(t, "login", "invalid_scope")
	if _, err := os.Stat(s.tool.file); err == nil {
		t.Error("a token was saved")
	}
}

// A tool that accepted any metadata would send its user to an attacker's page.
func TestMetadataThatIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := s.tool.api
	for name, test := range map[string]struct {
		resource string
		servers  []string
		edit     func(map[string]any)
		want     any // an error, or a part of its text
	}{
		"of another API":           {"https://other.example", []string{s.idp.Issuer}, nil, errNoServer},
		"without a server":         {api, nil, nil, errNoServer},
		"a server without TLS":     {api, []string{"http://idp.example"}, nil, errNotHTTPS},
		"another issuer":           {api, []string{s.idp.Issuer + "/"}, nil, errIssuer},
		"no device flow":           {api, []string{s.idp.Issuer}, func(m map[string]any) { delete(m, "device_authorization_endpoint") }, errNoDeviceFlow},
		"an endpoint without TLS":  {api, []string{s.idp.Issuer}, func(m map[string]any) { m["token_endpoint"] = "http://idp.example/token" }, errNotHTTPS},
		"a malformed address":      {api, []string{"http://[::1"}, nil, "missing ']'"},
		"a server that is no more": {api, []string{s.idp.Issuer + "/gone"}, nil, "404"},
	} {
		metadata := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(map[string]any{"resource": test.resource, "authorization_servers": test.servers})
		})
		s.instead.Store(&metadata)
		s.idp.EditMetadata(test.edit)
		t.Run(name, func(t *testing.T) { s.fails(t, "login", test.want) })
	}
	if s.idp.Count(authtest.DeviceAuthorization) != 0 {
		t.Error("a sign-in was started")
	}
}

func TestTheTokenStaysWhereItBelongs(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.idp.SignInAs("ada")
	s.run(t, "login")
	elsewhere := http.HandlerFunc(http.RedirectHandler(s.idp.EvilURL(), http.StatusFound).ServeHTTP)
	s.instead.Store(&elsewhere)
	s.fails(t, "list", "302")
	if s.idp.EvilRequests() != 0 {
		t.Error("the token was sent to another server")
	}
	s.instead.Store(nil)
	other := *s.tool
	other.api = "http://localhost:1"
	if _, err := other.token(t.Context()); err != errSignIn {
		t.Errorf("for another API: %v", err)
	}
	if runtime.GOOS != "windows" {
		os.Chmod(s.tool.file, 0o640)
		s.fails(t, "list", errReadable)
	}
	os.Remove(s.tool.file)
	os.WriteFile(s.tool.file, []byte("{}"), 0o600)
	s.fails(t, "list", errMalformed)
}

func TestSigningOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.idp.SignInAs("ada")
	s.run(t, "login")
	old := s.saved(t)
	s.run(t, "logout")
	s.fails(t, "list", errSignIn)
	s.fails(t, "logout", errSignIn)
	response, err := client.PostForm(s.idp.URL(authtest.Token), url.Values{
		"grant_type": {"refresh_token"}, "client_id": {s.idp.ClientID}, "refresh_token": {old.Token.RefreshToken},
	})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("the refresh token still works: %s", response.Status)
	}
	s.run(t, "login")
	s.idp.Fail(authtest.Revoke, authtest.Down)
	s.fails(t, "logout", s.idp.URL(authtest.Revoke))
	s.fails(t, "list", errSignIn)
	s.fails(t, "anything", "orders login, orders list, orders logout")
}
