package ginauth_test

import (
	"errors"
	"fmt"
	"html"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// The zone of an IPv6 address is arbitrary text, which would end up in the
// Content-Security-Policy.
func TestMetadataDoesNotWriteThePolicy(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) {
		s.IDP.EditMetadata(func(m map[string]any) {
			m["end_session_endpoint"] = "https://[::1%25%20;%20script-src%20*;%20sandbox]/bye"
		})
	})
	s.SignIn()
	if policy := s.Get("/logout").Header.Get("Content-Security-Policy"); strings.Contains(policy, "script-src") || strings.Contains(policy, "sandbox") {
		t.Errorf("the policy is %s", policy)
	}
}

var (
	link = regexp.MustCompile(`<a [^>]*>(.*)</a>`)
	tag  = regexp.MustCompile(`<span class="icon[^>]*>.*?</span>|<[^>]*>`)
)

// twoProviders is a site with "demo" and "other".
func twoProviders(t testing.TB, change func(o *ginauth.Options)) *sitetest.Site {
	return sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		other := sitetest.Client("other", sitetest.StartProvider(t, authtest.Config{Now: s.Clock.Now}))
		other.DisplayName = "The Other <One>"
		o.Providers = append(o.Providers, other)
		if change != nil {
			change(o)
		}
	})
}

// inLanguage opens a page as a browser with that Accept-Language.
func inLanguage(s *sitetest.Site, path, header string) (status int, lang, body string) {
	s.T.Helper()
	r, err := http.NewRequest("GET", s.URL+path, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", header)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.T.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Content-Language"), string(text)
}

func TestPagesSpeakTheBrowsersLanguage(t *testing.T) {
	s := twoProviders(t, nil)
	for header, want := range map[string][3]string{
		"ko-KR,ko;q=0.9,en;q=0.8": {"ko", "demo 계정으로 로그인", "알 수 없는 로그인 서비스입니다."},
		"ja":                      {"ja", "demoでログイン", "不明なログインサービスです。"},
		"zh-CN":                   {"zh", "使用 demo 登录", "未知的登录服务。"},
		"de-DE,de":                {"de", "Mit demo anmelden", "Unbekannter Anmeldedienst."},
		"fr":                      {"fr", "Se connecter avec demo", "Service de connexion inconnu."},
		"es-MX":                   {"es", "Iniciar sesión con demo", "Servicio de inicio de sesión desconocido."},
		"en":                      {"en", "Sign in with demo", "Unknown sign-in provider."},
		"sv":                      {"en", "Sign in with demo", "Unknown sign-in provider."},
	} {
		for path, text := range map[string]string{"/login": want[1], "/login/nobody": want[2]} {
			_, lang, body := inLanguage(s, path, header)
			if lang != want[0] || !strings.Contains(body, `<html lang="`+want[0]+`">`) || !strings.Contains(body, text) {
				t.Errorf("%s for %s is in %q: %s; want %q", path, header, lang, body, text)
			}
		}
	}
}

func TestEveryCodeHasASentence(t *testing.T) {
	for code := range codes {
		if text := sitetest.Sentence(t, code); len(text) < 10 {
			t.Errorf("%s is %q", code, text)
		}
	}
}

func TestTheChooserKeepsTheReturnPathAndTheLastProvider(t *testing.T) {
	s := twoProviders(t, nil)
	labels := func() (list []string) {
		p := s.Get("/login?return_to=/page/x%3Fa%3D1")
		for _, m := range link.FindAllStringSubmatch(p.Text(), -1) {
			list = append(list, html.UnescapeString(tag.ReplaceAllString(m[1], "")))
		}
		return list
	}
	if got, want := labels(), []string{"Sign in with demo", "Sign in with The Other <One>"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the buttons are %q, want %q", got, want)
	}
	p := s.Must(s.Browser.ClickLink(s.Get("/login?return_to=/page/x%3Fa%3D1"), "Sign in with The Other <One>"))
	if p.URL.RequestURI() != "/page/x?a=1" || s.User().Provider != "other" {
		t.Errorf("the button led to %s", p.URL)
	}
	if got, want := labels(), []string{"Sign in with The Other <One> Last used", "Sign in with demo"}; !reflect.DeepEqual(got, want) {
		t.Errorf("after that the buttons are %q, want %q", got, want)
	}
	s.Must(s.Browser.SubmitForm(s.Get("/logout"), "Sign out", nil))
	if got := labels(); got[0] != "Sign in with The Other <One> Last used" {
		t.Errorf("signed out, the buttons are %q", got)
	}
	s.Get("/login/demo")
	if got := labels(); got[0] != "Sign in with demo Last used" {
		t.Errorf("after the other one, the buttons are %q", got)
	}
}

// A button shows the provider's colour and icon, or its initial in a readable colour.
func TestTheButtonsOfProviders(t *testing.T) {
	for _, tt := range []struct{ color, icon, name, want string }{
		{"", "", "émile", `<span class="icon brand-1" aria-hidden="true">É</span><span class="label">Sign in with émile</span>`},
		{"#24292f", "", "x", ".brand-1 { --brand: #24292f; --ink: #ffffff }"},
		{"#FEE500", "", "x", ".brand-1 { --brand: #FEE500; --ink: #000000 }"},
		{"#4285f4", "", "x", "--ink: #ffffff }"},
		{"#949494", "", "x", "--ink: #ffffff }"}, // 3.03:1
		{"#969696", "", "x", "--ink: #000000 }"}, // 2.96:1
		{"#000000", "", "x", "--ink: #ffffff }"},
		{"#ffffff", "", "x", "--ink: #000000 }"},
		{"#ff0000", sitetest.Icon, "x", `<span class="icon drawn" aria-hidden="true">` + sitetest.Icon + `</span>`},
	} {
		s := twoProviders(t, func(o *ginauth.Options) {
			p := &o.Providers[1]
			p.Color, p.Icon, p.DisplayName = tt.color, tt.icon, tt.name
		})
		if p := s.Get("/login"); !strings.Contains(p.Text(), tt.want) {
			t.Errorf("%s of %q: the page lacks %q: %s", tt.name, tt.color, tt.want, p.Text())
		}
	}
}

func TestOneProviderIsNotRemembered(t *testing.T) {
	s := sitetest.New(t, nil)
	s.Get("/login")
	for _, c := range s.Browser.Cookies(s.URL) {
		if strings.HasSuffix(c.Name, "-p") {
			t.Errorf("with one provider the browser got %s", c.Name)
		}
	}
}

func TestAForgedLastProviderIsNone(t *testing.T) {
	s := twoProviders(t, nil)
	s.Get("/login/other")
	for _, c := range s.Browser.Cookies(s.URL) {
		if strings.HasSuffix(c.Name, "-p") {
			if err := s.Browser.SetCookie(s.URL, &http.Cookie{Name: c.Name, Value: "<b>nobody</b>", Path: "/"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p := s.Get("/login"); p.Status != http.StatusOK || strings.Contains(p.Text(), "Last used") || strings.Contains(p.Text(), "nobody") {
		t.Errorf("got %d %s", p.Status, p.Text())
	}
}

func TestTheSignedOutPage(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { o.AfterLogout = "/logout" })
	s.Get("/login/demo")
	p := s.Must(s.Browser.SubmitForm(s.Get("/logout"), "Sign out", nil))
	if p.URL.Path != "/logout" || !strings.Contains(p.Text(), sitetest.Sentence(t, "signed_out.title")) {
		t.Fatalf("signed out, the browser is at %s: %s", p.URL, p.Text())
	}
	sitetest.WantHeaders(t, p)
	if p = s.Must(s.Browser.ClickLink(p, "Sign in again")); s.User() == nil {
		t.Errorf("the button led to %s with %d", p.URL, p.Status)
	}
}

func TestTheNextStepOnErrorPages(t *testing.T) {
	banned := false
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].LoginParams = []string{"prompt"}
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			if banned && login.User.Subject == "grace" {
				return errors.New("not grace")
			}
			return nil
		}
	})
	s.IDP.SignInAs("grace") // no admin
	p := s.Must(s.Browser.ClickLink(s.Get("/admin"), "Use another account"))
	if p.URL.Path != "/logout" || !strings.Contains(p.Text(), "Sign out?") {
		t.Errorf("who may not see a page is led to %s: %s", p.URL, p.Text())
	}
	banned = true
	p = s.Get("/login/demo?return_to=/page/y")
	s.WantError(p, ginauth.ErrIdentityRejected)
	s.IDP.SignInAs("ada")
	p = s.Must(s.Browser.ClickLink(p, "Use another account"))
	asked := s.IDP.Requests(authtest.Authorize)
	if prompt := asked[len(asked)-1].Form.Get("prompt"); p.URL.Path != "/page/y" || prompt != "select_account" {
		t.Errorf("who may not sign in is led to %s, with prompt %q", p.URL, prompt)
	}
}

func TestPagesOfOnesOwn(t *testing.T) {
	t.Run("texts", func(t *testing.T) {
		s := twoProviders(t, func(o *ginauth.Options) {
			o.Pages.Texts = map[string]map[string]string{"en": {"choose.title": "Welcome to <Acme>"}, "nl": {"choose.button": "Inloggen met {name}"}}
		})
		if _, _, body := inLanguage(s, "/login", "en"); !strings.Contains(body, "<h1>Welcome to &lt;Acme&gt;</h1>") {
			t.Errorf("the title is not replaced: %s", body)
		}
		if _, lang, body := inLanguage(s, "/login", "nl-BE"); lang != "nl" || !strings.Contains(body, "Inloggen met demo") || !strings.Contains(body, sitetest.Sentence(t, "choose.text")) {
			t.Errorf("the language is %s: %s", lang, body)
		}
	})
	t.Run("a template", func(t *testing.T) {
		s := twoProviders(t, func(o *ginauth.Options) {
			o.Pages.Template = template.Must(template.New("").Parse(`<html lang="{{.Lang}}"><style nonce="{{.Nonce}}"></style>{{.Kind}}: {{.Title}}{{range .Actions}}<a href="{{.URL}}">{{.Label}}</a>{{end}}{{.Footer}}`))
		})
		p := s.Get("/login?return_to=/page/z")
		if !strings.Contains(p.Text(), "choose: Sign in") || !strings.Contains(p.Header.Get("Content-Security-Policy"), "style-src 'self' 'nonce-") {
			t.Errorf("got %s with %v", p.Text(), p.Header)
		}
		if p = s.Must(s.Browser.ClickLink(p, "Sign in with demo")); p.URL.Path != "/page/z" {
			t.Errorf("its button led to %s", p.URL)
		}
		s.IDP.SignInAs("grace") // no admin
		s.Browser = s.NewBrowser()
		if p = s.Get("/login/demo?return_to=/admin"); p.Status != http.StatusForbidden || !strings.Contains(p.Text(), "error: Access denied") || !strings.Contains(p.Text(), "forbidden · request ") {
			t.Errorf("an error shows %d %s", p.Status, p.Text())
		}
	})
	t.Run("the template of the documentation", func(t *testing.T) {
		_, rest, _ := strings.Cut(sitetest.File(t, "docs/pages.md"), "```html\n")
		source, _, found := strings.Cut(rest, "```")
		if !found {
			t.Fatal("docs/pages.md has no template")
		}
		s := twoProviders(t, func(o *ginauth.Options) { o.Pages.Template = template.Must(template.New("").Parse(source)) })
		if p := s.Get("/authorize/demo?code=abc"); !strings.Contains(p.Text(), "; fix: ") || !strings.Contains(p.Text(), "errors.md#state.missing") {
			t.Errorf("an error shows %s", p.Text())
		}
		s.Must(s.Browser.ClickLink(s.Get("/login"), "Sign in with demo"))
		if s.Must(s.Browser.SubmitForm(s.Get("/logout"), "Sign out", nil)); s.User() != nil {
			t.Error("its buttons sign in and not out")
		}
	})
	t.Run("a template that fails for some", func(t *testing.T) {
		s := twoProviders(t, func(o *ginauth.Options) {
			o.Pages.Template = template.Must(template.New("").Funcs(template.FuncMap{"fail": func(code ginauth.Code) (string, error) {
				if code == ginauth.ErrUnknownProvider {
					return "", fmt.Errorf("no")
				}
				return "", nil
			}}).Parse(`half of it {{fail .Code}}`))
		})
		if p := s.Get("/login/nobody"); p.Status != http.StatusNotFound || strings.Contains(p.Text(), "half of it") || !strings.Contains(p.Text(), sitetest.Sentence(t, ginauth.ErrUnknownProvider)) {
			t.Errorf("got %d %s", p.Status, p.Text())
		}
	})
}

func TestProvidersForAPageOfOnesOwn(t *testing.T) {
	s := twoProviders(t, func(o *ginauth.Options) { o.LoginPage = "/welcome" })
	list := s.Auth.Providers()
	if len(list) != 2 || list[0].Name != "demo" || list[0].DisplayName != "demo" || list[1].DisplayName != "The Other <One>" {
		t.Errorf("got %+v", list)
	}
	for _, p := range list {
		if p.ClientSecret != "" || p.ClientSecretFunc != nil {
			t.Errorf("%s is printed with its secret", p.Name)
		}
		if p := s.Get(strings.TrimPrefix(s.Auth.LoginURL(p.Name, "/page/own"), s.URL)); p.URL.Path != "/page/own" {
			t.Errorf("its LoginURL led to %s", p.URL)
		}
	}
	if p := s.Open("/login?return_to=/page/q"); p.Header.Get("Location") != "/welcome?return_to="+url.QueryEscape("/page/q") {
		t.Errorf("/login redirects to %s", p.Header.Get("Location"))
	}
}
