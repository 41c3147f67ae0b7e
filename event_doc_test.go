package ginauth_test

import (
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// row is what docs/observability.md says of an event.
type row struct {
	level string
	with  []string
}

var eventRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z ]+) \\| .* \\| (.*) \\|$")

// documented is the table of that page.
func documented(t *testing.T) map[ginauth.EventName]row {
	t.Helper()
	rows := map[ginauth.EventName]row{}
	for _, m := range eventRow.FindAllStringSubmatch(file(t, "docs/observability.md"), -1) {
		rows[ginauth.EventName(m[1])] = row{m[2], strings.Split(strings.ReplaceAll(m[3], "`", ""), ", ")}
	}
	return rows
}

// Dashboards and alerts go by these texts.
func TestTheTextsOfEventsNeverChange(t *testing.T) {
	for kind, want := range map[string]map[string]string{
		"EventName": {
			"SignInStarted": "sign_in_started", "SignInSucceeded": "sign_in_succeeded", "SignInFailed": "sign_in_failed",
			"SignInByApplication": "sign_in_by_application", "SignedOut": "signed_out", "SignOutFailed": "sign_out_failed",
			"SessionsRevoked": "revoked", "RequestRefused": "request_refused",
		},
		"EventBy": {"ByUser": "user", "ByApplication": "application", "ByProvider": "provider"},
	} {
		if got := constants(t, "event.go", kind); !maps.Equal(got, want) {
			t.Errorf("the constants of type %s are %q, want %q", kind, got, want)
		}
	}
}

// Nothing is made for a log that is not interested, and an application that
// does not listen.
func TestNothingIsToldToNobody(t *testing.T) {
	t.Parallel()
	var keys []int
	for _, tt := range []struct {
		level slog.Level
		hook  bool
		want  []int // how many values the requests to /login, /authorize and /logout had, which keeps one of its own
	}{
		{slog.LevelInfo, false, []int{0, 1, 2}}, {slog.LevelError, false, []int{0, 0, 1}}, {slog.LevelDebug, false, []int{1, 1, 2}}, {slog.LevelError, true, []int{1, 1, 2}},
	} {
		s := newSite(t, func(s *site, o *ginauth.Options) {
			s.unheard = !tt.hook
			o.Logger = slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: tt.level}))
			s.engine.Use(func(c *gin.Context) {
				c.Next()
				if strings.HasPrefix(c.Request.URL.Path, "/log") || strings.HasPrefix(c.Request.URL.Path, "/auth") {
					keys = append(keys, len(c.Keys)) // where a request's id is kept
				}
			})
		})
		keys = nil
		s.get("/login/demo")
		s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/logout", nil, ""))
		if !slices.Equal(keys, tt.want) {
			t.Errorf("at level %v, with a hook: %v: the requests have %v values, want %v", tt.level, tt.hook, keys, tt.want)
		}
	}
}
