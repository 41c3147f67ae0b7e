package ginauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// upload sends a form with a file that does not fit into the memory given to
// forms: ten megabytes more than Gin is told.
func upload(t *testing.T, address, cookies string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "file.bin")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write(make([]byte, 11<<20))
	_ = form.Close()
	r, err := http.NewRequest("POST", address, &body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("Cookie", cookies)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the upload was answered with %d", answer.StatusCode)
	}
}

// net/http removes the files of an upload that its own request knows of, and a
// guard hands on a copy.
func TestUploadsBehindAGuardAreRemoved(t *testing.T) {
	files := t.TempDir()
	t.Setenv("TMPDIR", files)
	s := remembering(t, nil)
	s.engine.MaxMultipartMemory = 1
	read := func(c *gin.Context) {
		_, err := c.FormFile("file")
		found, _ := filepath.Glob(filepath.Join(files, "multipart-*"))
		if err != nil || len(found) == 0 {
			c.String(http.StatusInternalServerError, "%v %q", err, found)
			return
		}
	}
	s.engine.POST("/guarded", s.auth.RequireAuth(), read)
	s.engine.POST("/loaded", s.auth.LoadUser(), read)
	s.engine.POST("/both", s.auth.LoadUser(), s.auth.RequireAuth(), read)
	// What was read before the guard stays known, whatever request a handler leaves.
	s.engine.POST("/replaced", read, s.auth.RequireAuth(), func(c *gin.Context) { c.Request = httptest.NewRequest("GET", "/", nil) })
	server := httptest.NewServer(s.engine)
	cookies := s.mint(grace())
	for _, path := range []string{"/guarded", "/loaded", "/both", "/replaced"} {
		upload(t, server.URL+path, cookies)
	}
	server.Close() // and wait until it has finished with the requests
	if left, _ := filepath.Glob(filepath.Join(files, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// What is made for nobody because of where a request comes from must not be
// given to somebody from a cache.
func TestAnonymousForItsOriginVariesWithCookies(t *testing.T) {
	s := remembering(t, nil)
	s.engine.GET("/open", s.auth.LoadUser(), func(c *gin.Context) { c.Header("Cache-Control", "public, max-age=60") })
	r := httptest.NewRequest("GET", "/open", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Upgrade", "x")
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, r)
	if got := w.Header()["Vary"]; !slices.Equal(got, []string{"Cookie"}) {
		t.Errorf("Vary is %q", got)
	}
}

// Middleware may give every request the same lines of a header.
func TestSharedVaryLines(t *testing.T) {
	lines := append(make([]string, 0, 4), "Origin", "Accept")
	s := remembering(t, nil)
	s.engine.GET("/open", func(c *gin.Context) { c.Writer.Header()["Vary"] = lines }, s.auth.LoadUser())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { s.visit("GET", "/open", "") })
	}
	all.Wait()
	if after := lines[:3]; after[2] != "" {
		t.Errorf("the lines that requests share became %q", after)
	}
}

// The zone of an IPv6 address is any text, which would stand in our policy.
func TestMetadataDoesNotWriteThePolicy(t *testing.T) {
	s := newSite(t, func(s *site, _ *ginauth.Options) {
		s.idp.EditMetadata(func(m map[string]any) {
			m["end_session_endpoint"] = "https://[::1%25%20;%20script-src%20*;%20sandbox]/bye"
		})
	})
	s.signIn()
	if policy := s.get("/logout").Header.Get("Content-Security-Policy"); strings.Contains(policy, "script-src") || strings.Contains(policy, "sandbox") {
		t.Errorf("the policy is %s", policy)
	}
}

// The state is for the provider to see. It may say that a sign-in was begun at
// another host name, and not which: internal names are guessed easily.
func TestTheStateDoesNotNameTheHost(t *testing.T) {
	idp := startIDP(t, authtest.Config{})
	engine := gin.New()
	if _, err := ginauth.Mount(engine, ginauth.Options{BaseURL: "http://localhost:8080", Keys: []string{testKey}, Logger: (&logs{}).Logger(), Providers: []ginauth.Provider{client("demo", idp)}}); err != nil {
		t.Fatal(err)
	}
	facts := map[string]bool{}
	for i := range 5 {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequest("GET", fmt.Sprintf("http://billing-%d.internal:8080/login/demo", i), nil))
		to, err := url.Parse(w.Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		state := to.Query().Get("state")
		note, err := base64.RawURLEncoding.DecodeString(state[len(state)-16:])
		if err != nil {
			t.Fatal(err)
		}
		facts[string(note[4:8])] = true // behind the time, and before what attests it
	}
	if len(facts) != 1 {
		t.Errorf("five host names make %d notes", len(facts))
	}
}

// An address may have a secret in its query.
func TestDiagnosisDropsTheAddressesOfErrors(t *testing.T) {
	idp := startIDP(t, authtest.Config{})
	p := client("demo", idp)
	p.ClientSecret = ""
	p.ClientSecretFunc = func(context.Context) (string, error) {
		return "", fmt.Errorf("vault: %w", &url.Error{Op: "Get", URL: "http://vault/v1?token=hvs.SECRET", Err: context.DeadlineExceeded})
	}
	auth, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: "http://localhost:8080", Keys: []string{testKey}, Logger: (&logs{}).Logger(), Providers: []ginauth.Provider{p}})
	if err != nil {
		t.Fatal(err)
	}
	if text := auth.Diagnose(t.Context()).String(); strings.Contains(text, "SECRET") || !strings.Contains(text, context.DeadlineExceeded.Error()) {
		t.Error(text)
	}
}

// A record with a time that cannot be read back would be a session that ends
// with the request in which it began.
func TestTimesThatARecordCannotHold(t *testing.T) {
	far := time.Date(5000, time.January, 1, 0, 0, 0, 0, time.UTC)
	s := remembering(t, nil)
	var failed error
	s.engine.POST("/in", func(c *gin.Context) {
		failed = s.auth.SignIn(c, &ginauth.User{Provider: nowhere.Name, Subject: "grace", AuthTime: far})
	})
	s.engine.POST("/update", s.auth.RequireAuth(), func(c *gin.Context) {
		failed = s.auth.Update(c, func(u *ginauth.User) { u.AuthTime = far })
	})
	cookies := s.mint(grace())
	for _, path := range []string{"/in", "/update"} {
		failed = nil
		s.visit("POST", path, cookies)
		if !errors.Is(failed, ginauth.ErrSessionError) {
			t.Errorf("%s: %v", path, failed)
		}
	}
	if status, _ := s.visit("GET", "/show", cookies); status != http.StatusOK {
		t.Errorf("the session before is gone: %d", status)
	}
}

// A plain profile's auth_time that is still to come is none.
func TestAuthTimeOfAProfileThatIsAhead(t *testing.T) {
	s := newSite(t, func(s *site, o *ginauth.Options) {
		p := client("demo", s.idp)
		p.Issuer, p.Namespace, p.Scopes = "", s.idp.Issuer, []string{"profile"}
		p.AuthorizeURL, p.TokenURL, p.UserinfoURL = s.idp.Issuer+"/authorize", s.idp.Issuer+"/token", s.idp.Issuer+"/userinfo"
		o.Providers[0] = p
		s.idp.EditUserinfo(func(claims map[string]any) { claims["auth_time"] = 253370764799 })
	})
	s.signIn()
	if at := s.user().AuthTime; time.Since(at).Abs() > time.Hour {
		t.Errorf("AuthTime is %v", at)
	}
}
