package ginauth_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
)

// Sessions of the version before do not say which users were admitted when they
// began: all live on. Once they are renewed they say it, and end with the next change.
func TestAdmitsKeepsSessionsOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/session_v2/sessions.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []goldenSession
	if err := json.Unmarshal(text, &list); err != nil || len(list) == 0 {
		t.Fatal(len(list), err)
	}
	for _, golden := range list {
		t.Run(golden.Name, func(t *testing.T) {
			t.Parallel()
			var store *oneRecord
			admits := func(text string) func(*ginauth.Options) {
				return func(o *ginauth.Options) {
					for i := range o.Providers {
						o.Providers[i].Admits = []string{text}
						if o.Providers[i].TokenIssuer != nil {
							o.Providers[i].Admits = []string{golden.User.Issuer, text}
						}
					}
					store, _ = o.Sessions.(*oneRecord)
				}
			}
			a := newGoldenApp(t, golden, admits("hd=example.com"))
			if a.me() == nil {
				t.Fatal("the upgrade signs out")
			}
			a.now = a.now.Add(3 * time.Hour)
			if a.me() == nil {
				t.Fatal("its renewal signs out")
			}
			renewed := golden
			renewed.Cookies = a.cookies
			if store != nil {
				renewed.Stored = store.text
			}
			later := func(change ...func(*ginauth.Options)) bool {
				b := newGoldenApp(t, renewed, change...)
				b.now = a.now
				return b.me() != nil
			}
			for text, lives := range map[string]bool{"hd=example.com": true, "hd=other.example": golden.User.Provider == "tenants"} {
				if later(admits(text)) != lives {
					t.Errorf("with %s, lives: want %v", text, lives)
				}
			}
			if later() != (golden.User.Provider == "tenants") {
				t.Error("it lives on without the list that it began under")
			}
			gone := func(o *ginauth.Options) {
				for i := range o.Providers {
					o.Providers[i].Admits = []string{"https://other.example"}
				}
			}
			if later(gone) {
				t.Error("it lives on though its users are not admitted")
			}
		})
	}
}

// The order in which Admits names what is admitted means nothing.
func TestAdmitsInAnyOrder(t *testing.T) {
	t.Parallel()
	before := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Admits = []string{"b", "a"} })
	for _, tt := range []struct {
		admits []string
		lives  bool
	}{{[]string{"a", "b"}, true}, {[]string{"b", "a"}, true}, {[]string{"ab"}, false}, {[]string{"a", "b", ""}, false}, {[]string{"a,b"}, false}, {[]string{"a"}, false}, {nil, false}} {
		cookie := before.mint(&ginauth.User{Subject: "ada"})
		after := newSite(t, func(_ *site, o *ginauth.Options) {
			o.BaseURL, o.Providers[0].Issuer = before.URL, before.idp.Issuer
			o.Providers[0].Admits = tt.admits
		})
		p := after.ask("GET", "/me", append([]string{"Cookie", cookie}, fetches...)...)
		if (p.Status == 200) != tt.lives {
			t.Errorf("%q: %d, lives: want %v", tt.admits, p.Status, tt.lives)
		}
	}
}
