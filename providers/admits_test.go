package providers_test

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

// A session ends if the provider's list no longer admits its user, and no other one
// does.
func TestSessionsEndWithWhatIsAdmitted(t *testing.T) {
	workspace := func(domain string) ginauth.Provider {
		return providers.GoogleWorkspace(domain, testClientID, testClientSecret)
	}
	anyGoogle := providers.Google(testClientID, testClientSecret)
	anyGoogle.Name = "google-workspace"
	organizations := func(allowed ...string) ginauth.Provider {
		return providers.Microsoft("organizations", testClientID, testClientSecret, allowed...)
	}
	team := func(id string) ginauth.Provider {
		return providers.SlackWorkspace(id, testClientID, testClientSecret)
	}
	anyTeam := providers.Slack(testClientID, testClientSecret)
	anyTeam.Name = "slack-workspace"
	fusion := func(tenant string) ginauth.Provider {
		return providers.FusionAuth("login.kvarnbygd.example", tenant, testClientID, testClientSecret)
	}
	keys := []string{rand.Text() + rand.Text()}
	for _, tt := range []struct {
		name   string
		s      *standIn
		before ginauth.Provider
		after  ginauth.Provider
		lives  bool
	}{
		{"the same tenants", entraAt(t, "organizations", ourTenant), organizations(ourTenant, otherTenant), organizations(ourTenant, otherTenant), true},
		{"one tenant more", entraAt(t, "organizations", ourTenant), organizations(ourTenant), organizations(ourTenant, otherTenant), true},
		{"another tenant less", entraAt(t, "organizations", ourTenant), organizations(ourTenant, otherTenant), organizations(ourTenant), true},
		{"this tenant less", entraAt(t, "organizations", otherTenant), organizations(ourTenant, otherTenant), organizations(ourTenant), false},
		{"from any tenant to this", entraAt(t, "organizations", ourTenant), organizations(providers.AnyTenant), organizations(ourTenant), true},
		{"from any tenant to another", entraAt(t, "organizations", otherTenant), organizations(providers.AnyTenant), organizations(ourTenant), false},
		{"from this tenant to any", entraAt(t, "organizations", ourTenant), organizations(ourTenant), organizations(providers.AnyTenant), true},
		{"the same domain", newStandIn(t, "google-workspace"), workspace("kvarnbygd.example"), workspace("kvarnbygd.example"), true},
		{"another domain", newStandIn(t, "google-workspace"), workspace("kvarnbygd.example"), workspace("other.example"), false},
		{"from any account to a domain", newStandIn(t, "google-workspace"), anyGoogle, workspace("other.example"), false},
		{"the same workspace", newStandIn(t, "slack-workspace"), team("T01KVARNBY"), team("T01KVARNBY"), true},
		{"another workspace", newStandIn(t, "slack-workspace"), team("T01KVARNBY"), team("T02OTHER"), false},
		{"from any workspace to one", newStandIn(t, "slack-workspace"), anyTeam, team("T02OTHER"), false},
		{"the same FusionAuth tenant", newStandIn(t, "fusionauth"), fusion("7d2f0a41-93c5-4be8-8e17-a1b2c3d4e5f6"), fusion("7d2f0a41-93c5-4be8-8e17-a1b2c3d4e5f6"), true},
		{"another FusionAuth tenant", newStandIn(t, "fusionauth"), fusion("7d2f0a41-93c5-4be8-8e17-a1b2c3d4e5f6"), fusion("00000000-93c5-4be8-8e17-a1b2c3d4e5f6"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.s.lenient = true // towards requests for any account
			var engine atomic.Pointer[gin.Engine]
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { engine.Load().ServeHTTP(w, r) }))
			t.Cleanup(server.Close)
			base := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
			mount := func(p ginauth.Provider) {
				app := gin.New()
				auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: base, Keys: keys, Providers: []ginauth.Provider{p}, HTTPClient: tt.s.client(), Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				app.GET("/me", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, "in") })
				engine.Store(app)
			}
			browser := authtest.NewBrowser()
			t.Cleanup(browser.Close)
			tt.s.resolve(&app{browser: browser})
			mount(tt.before)
			if p, err := browser.Get(base + "/me"); err != nil || p.Text() != "in" {
				t.Fatalf("signing in: %v, %v", p, err)
			}
			mount(tt.after)
			p, err := browser.Open(base + "/me")
			if err != nil || (p.Status == http.StatusOK) != tt.lives {
				t.Errorf("afterwards: status %d, %v; lives: want %v", p.Status, err, tt.lives)
			}
		})
	}
}
