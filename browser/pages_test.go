package browser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

// icon is a provider's logo, as an application may have one.
const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><circle cx="12" cy="12" r="10" fill="#1d4fd7"/><path d="M7 12l3.5 3.5L17 9" fill="none" stroke="#fff" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round"/></svg>`

// many gives people something to choose from.
func many(_ *site, o *ginauth.Options) {
	o.Providers[0].DisplayName, o.Providers[0].Icon = "Acme", icon
	o.Providers = append(o.Providers,
		providers.Google("id", "secret"), providers.GitHub("id", "secret"), providers.Microsoft("organizations", "id", "secret", providers.AnyTenant), providers.Kakao("id", "secret"),
		ginauth.Provider{Name: "long", DisplayName: "Staff of the Universitätsklinikum Schleswig-Holstein", Issuer: "https://login.example.org", ClientID: "id", ClientSecret: "secret"},
	)
}

func TestThePagesThatPeopleSee(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		for name, show := range map[string]func(x *tab, s *site){
			"choose": func(x *tab, s *site) {
				x.get(s.URL + "/login?return_to=/page/one")
				x.at(s.URL+"/login", "Sign in with Acme", "Sign in with Google")
			},
			"choose again": func(x *tab, s *site) {
				x.get(s.URL + "/login/demo?return_to=/page/one")
				s.choose(x)
				x.at(s.URL+"/page/one", "Ada")
				x.get(s.URL + "/login")
				x.at(s.URL+"/login", "Last used")
			},
			"failed": func(x *tab, s *site) {
				x.get(s.URL + "/authorize/demo?code=x&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
				x.until(func(p page) bool {
					return strings.Contains(p.Text, "Try again") && strings.Contains(p.Text, "state_invalid")
				}, "the error")
			},
			"cancelled": func(x *tab, s *site) {
				x.get(s.URL + "/login/demo")
				x.at(s.idp.Issuer+"/authorize", "Cancel")
				x.click("Cancel")
				x.at(s.URL+"/authorize/demo", "canceled", "provider_denied", "Try again")
			},
			"forbidden": func(x *tab, s *site) {
				x.get(s.URL + "/login/demo?return_to=/staff")
				s.choose(x)
				x.at(s.URL+"/staff", words("title.access"), words("other"))
			},
			"sign out": func(x *tab, s *site) {
				x.get(s.URL + "/login/demo")
				s.choose(x)
				x.at(s.URL+"/", "Home of Ada")
				x.get(s.URL + "/logout")
				x.at(s.URL+"/logout", words("sign_out.title"), words("sign_out.stay"))
			},
			"signed out": func(x *tab, s *site) {
				x.get(s.URL + "/logout")
				x.at(s.URL+"/logout", words("signed_out.title"))
			},
			"ended": func(x *tab, s *site) {
				x.get(s.URL + "/")
				x.at(s.URL+"/", "Home of nobody")
				x.click("Send")
				x.at(s.URL+"/page/form", words("ended.title"))
			},
			"provider": func(x *tab, s *site) {
				x.get(s.URL + "/login/demo")
				x.at(s.idp.Issuer+"/authorize", "Ada Lovelace", "Somebody else")
			},
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, places["https"], many)
				x := b.open(t)
				show(x, s)
				x.look(name)
			})
		}
	})
}

// The README shows the page that people choose a provider on, and an error as a developer sees it.
func TestThePicturesOfTheReadme(t *testing.T) {
	s := newSite(t, places["https"], func(s *site, o *ginauth.Options) {
		many(s, o)
		o.Providers = o.Providers[:4]
	})
	x := running(t, chromium).open(t)
	x.pixels = 2
	x.get(s.URL + "/login/demo")
	s.choose(x)
	x.at(s.URL+"/", "Home of Ada")
	x.get(s.URL + "/login")
	x.at(s.URL+"/login", "Last used")
	x.size(720, 520)
	x.keep("readme-light.png")
	x.size(390, 520)
	x.scheme("dark")
	x.keep("readme-dark.png")

	s = newSite(t, places["http"], func(_ *site, o *ginauth.Options) {
		o.Providers[0].ClientSecret = "another client's secret, by mistake"
	})
	x = running(t, chromium).open(t)
	x.pixels = 2
	x.get(s.URL + "/login/demo")
	s.choose(x)
	x.until(func(p page) bool { return strings.Contains(p.Text, "For developers") }, "the reason")
	x.size(640, 690)
	x.keep("readme-error.png")
}

// On a developer's machine an error says what is wrong, at length.
func TestAnErrorForDevelopers(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		s := newSite(t, places["http"], nil)
		x := b.open(t)
		x.get(s.URL + "/authorize/demo?code=x&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
		x.until(func(p page) bool { return strings.Contains(p.Text, "For developers") }, "the reason")
		x.look("failed here")
	})
}

// losing is a proxy that keeps the session's cookie to itself.
type losing struct{ http.ResponseWriter }

func (l losing) WriteHeader(status int) {
	lines := l.Header()["Set-Cookie"]
	l.Header().Del("Set-Cookie")
	for _, line := range lines {
		if name, _, _ := strings.Cut(line, "="); strings.Count(name[strings.Index(name, "ginauth"):], "-") > 1 {
			l.Header().Add("Set-Cookie", line)
		}
	}
	l.ResponseWriter.WriteHeader(status)
}

// A browser that keeps no session is sent to the provider, which knows who it
// is, and back, and there again. It has to see a page in the end.
func TestALoopEnds(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		s := newSite(t, places["https"], nil)
		s.through(func(w http.ResponseWriter) http.ResponseWriter { return losing{w} })
		s.idp.SignInAs("ada")
		x := b.open(t)
		x.get(s.URL + "/page/one")
		x.at(s.URL+"/login/demo", "Allow cookies", "login_loop")
		x.look("loop")
	})
}

// The script of a language needs its own fonts and line breaks.
func TestLanguages(t *testing.T) {
	for name, title := range map[string]string{"ko": "로그인", "ja": "ログイン", "zh": "登录", "de": "Anmelden"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, places["https"], many)
			x := running(t, chromium).open(t)
			x.speak(name)
			x.get(s.URL + "/login")
			x.at(s.URL+"/login", title)
			wantLanguage(t, x, name)
			x.look("choose " + name)
			x.get(s.URL + "/authorize/demo?code=x&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
			x.until(func(p page) bool { return strings.Contains(p.Text, "state_invalid") }, "the error")
			x.size(320, 568)
			x.fits("failed "+name, 320)
			x.keep("failed-" + name + "-chromium.png")
		})
	}
}
