package ginauth_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// faultsBChanges: codes of other people, and what changes while a sign-in is
// under way.
func faultsBChanges() []fault {
	return []fault{
		{"B30_injected_code", testInjectedCode},
		{"B38_browser_hangs_up", testHangUp},
		{"B38_browser_hangs_up_late", testHangUpLate},
		{"B42_provider_removed_or_client_changed", testClientChanged},
		{"B43_issuer_changed", testIssuerChanged},
	}
}

// testInjectedCode: the attacker puts a victim's code into an answer of their
// own (RFC 9700, 4.5). PKCE stops it at the provider, the nonce here.
func testInjectedCode(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		ignore bool
		code   ginauth.Code
	}{
		{"the provider checks PKCE", false, ginauth.ErrCodeRejected},
		{"the provider ignores PKCE", true, ginauth.ErrIDTokenInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFlow(t, nil)
			f.idp.IgnorePKCE(tc.ignore)
			stolen := f.begin("/login/demo").Query()
			f.browser = f.newBrowser()
			own := f.begin("/login/demo")
			f.refuses(t, with(own, "code", stolen.Get("code")), closed{code: tc.code, tokens: 1, hide: []string{own.Query().Get("code")}})
			if n := f.idp.Count(authtest.Userinfo); n != 0 {
				t.Error("the token was used")
			}
		})
	}
}

// testHangUp is not parallel: it looks for goroutines.
func testHangUp(t *testing.T) {
	ended := make(chan struct{}, 10)
	f := newFlow(t, func(s *site, _ *ginauth.Options) {
		s.engine.Use(func(c *gin.Context) {
			c.Next()
			if strings.HasPrefix(c.Request.URL.Path, "/authorize/") {
				ended <- struct{}{}
			}
		})
	})
	callback := f.begin("/login/demo")
	saved := f.attempt()
	asked, let := make(chan struct{}), make(chan struct{})
	f.idp.Handle(authtest.Token, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done() // the request to us is given up with the browser's
		close(let)
	})
	ctx, hangUp := context.WithCancel(context.Background())
	go func() {
		<-asked
		if relyingParties() == "" {
			t.Error("no goroutine talks to the provider: the check below looks for the wrong name")
		}
		hangUp()
	}()
	r, _ := http.NewRequestWithContext(ctx, "GET", callback.String(), nil)
	if _, err := f.browser.Do(r); !errors.Is(err, context.Canceled) {
		t.Fatalf("the request ended with %v", err)
	}
	<-ended
	<-let
	f.idp.Handle(authtest.Token, nil)
	if f.user() != nil || f.logins.Load() != 0 {
		t.Error("who hung up is signed in")
	}
	f.keep(saved)
	f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid, tokens: 1}) // used up all the same
	if stacks := relyingParties(); stacks != "" {
		t.Errorf("a goroutine is left:\n%s", stacks)
	}
}

// relyingParties returns the stacks of the goroutines that talk to a provider, or "".
func relyingParties() string {
	stacks := make([]byte, 1<<20)
	n := runtime.Stack(stacks, true)
	if !strings.Contains(string(stacks[:n]), "/internal/rp.(*Client)") {
		return ""
	}
	return string(stacks[:n])
}

// testHangUpLate: nobody is there any more when all is verified.
func testHangUpLate(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(context.Background())
	answers := make(chan http.Header, 10)
	f := newFlow(t, func(s *site, o *ginauth.Options) {
		s.engine.Use(func(c *gin.Context) {
			c.Next()
			if strings.HasPrefix(c.Request.URL.Path, "/authorize/") {
				answers <- c.Writer.Header()
			}
		})
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			hangUp()
			<-c.Request.Context().Done()
			return nil
		}
	})
	callback := f.begin("/login/demo")
	r, _ := http.NewRequestWithContext(ctx, "GET", callback.String(), nil)
	if _, err := f.browser.Do(r); !errors.Is(err, context.Canceled) {
		t.Fatalf("the request ended with %v", err)
	}
	for _, line := range (<-answers)["Set-Cookie"] {
		if name, _, _ := strings.Cut(line, "="); !strings.Contains(name, "-a-") && !strings.HasSuffix(name, "-u") {
			t.Errorf("a session was made for nobody: %s", line)
		}
	}
	if !strings.Contains(f.logs.String(), "the browser went away") {
		t.Errorf("the log does not say so:\n%s", f.logs)
	}
}

func testClientChanged(t *testing.T) {
	t.Parallel()
	t.Run("removed", func(t *testing.T) {
		f := newFlow(t, nil)
		callback := f.begin("/login/demo")
		f.redeploy(func(o *ginauth.Options) {
			p := client("renamed", f.idp)
			o.Providers = []ginauth.Provider{p}
		})
		f.refuses(t, callback, closed{code: ginauth.ErrUnknownProvider})
		f.refuses(t, at(callback, "/authorize/renamed"), closed{code: ginauth.ErrStateInvalid})
	})
	t.Run("another client id", func(t *testing.T) {
		f := newFlow(t, nil)
		callback := f.begin("/login/demo")
		f.redeploy(func(o *ginauth.Options) {
			p := client("demo", f.idp)
			p.ClientID = "another-client"
			o.Providers = []ginauth.Provider{p}
		})
		f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid})
		f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid})
	})
	t.Run("nothing of it", func(t *testing.T) {
		f := newFlow(t, nil)
		callback := f.begin("/login/demo?return_to=/page/b42")
		f.redeploy(func(o *ginauth.Options) { o.Providers = []ginauth.Provider{client("demo", f.idp)} })
		f.lands(t, callback, "/page/b42")
	})
}

func testIssuerChanged(t *testing.T) {
	t.Parallel()
	quiet := func(idp *authtest.Provider) { // answers without iss, which would tell by itself
		idp.EditMetadata(func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") })
	}
	t.Run("in the options", func(t *testing.T) {
		f := newFlow(t, func(s *site, _ *ginauth.Options) { quiet(s.idp) })
		other := startIDP(t, authtest.Config{})
		quiet(other)
		callback := without(f.begin("/login/demo"), "iss")
		f.redeploy(func(o *ginauth.Options) { o.Providers = []ginauth.Provider{client("demo", other)} })
		f.refuses(t, callback, closed{code: ginauth.ErrIssuerMismatch})
		if other.Count(authtest.Token) != 0 {
			t.Error("the other token endpoint got the code")
		}
	})
	t.Run("in the metadata", func(t *testing.T) {
		f := newFlow(t, nil)
		callback := f.begin("/login/demo")
		f.idp.EditMetadata(func(m map[string]any) { m["token_endpoint"] = f.idp.EvilURL() })
		f.redeploy(func(*ginauth.Options) {})
		f.refuses(t, callback, closed{code: ginauth.ErrIssuerMismatch})
		if f.idp.EvilRequests() != 0 {
			t.Error("the other token endpoint got the code")
		}
	})
}
