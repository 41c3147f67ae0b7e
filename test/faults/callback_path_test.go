package faults

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/leaktest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsCallbackPath(t *testing.T) {
	runFaults(t, []fault{
		{"S1_path_of_the_application", s1CallbackPath},
		{"S1_path_with_form_post", s1FormPost},
		{"S1_path_under_a_prefix", s1Prefix},
		{"S1_path_behind_a_guard", s1Guard},
		{"S2_other_path", s2OtherPath},
		{"S3_unfit_paths", s3UnfitPaths},
		{"S3_admitted_paths_are_answered", s3AdmittedPaths},
		{"S3_routes_of_mount", s3RoutesOfMount},
		{"S3_routes_of_the_application", s3RoutesOfTheApplication},
		{"S4_iss_of_another", s4IssOfAnother},
		{"S4_mix_up", s4MixUp},
		{"S4_warnings", s4Warnings},
		{"S5_announced_iss_missing", s5AnnouncedIssMissing},
		{"S6_no_login_state", s6NoLoginState},
		{"S7_two_modes", s7TwoModes},
		{"S8_return_to_a_callback", s8ReturnToACallback},
		{"S20_no_route", s20NoRoute},
	})
}

// atCallback sets the callback path of the providers in Options.
func atCallback(o *ginauth.Options, path string) {
	for i := range o.Providers {
		o.Providers[i].CallbackPath = path
	}
}

// newShared is a flow with two providers that share /cb.
func newShared(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) (f *sitetest.Flow, other *authtest.Provider) {
	t.Helper()
	other = sitetest.StartProvider(t, authtest.Config{ClientID: "other-client"})
	other.SignInAs("grace")
	f = sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, sitetest.Client("other", other))
		atCallback(o, "/cb")
		if change != nil {
			change(s, o)
		}
	})
	return f, other
}

func s1CallbackPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		group, path string
		uri         string // without BaseURL
	}{
		{"", "/cb", "/cb"},
		{"", "/cb/", "/cb/"},
		{"/auth", "/cb", "/cb"},
		{"/auth", "/cb/", "/cb/"},
		{"/auth", "/auth/callback", "/auth/callback"},
		{"/a/b", "/api/v1/oauth2/callback", "/api/v1/oauth2/callback"},
		{"", "/auth/:provider/callback", "/auth/demo/callback"},
		{"/auth", "/auth/:provider/callback", "/auth/demo/callback"},
		{"/auth", "/login/demo/callback/", "/login/demo/callback/"},
		{"", "/callback.php", "/callback.php"},
		{"", "/~x/:provider", "/~x/demo"},
	} {
		t.Run(test.group+" "+test.path, func(t *testing.T) {
			t.Parallel()
			f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
				s.Group = test.group
				atCallback(o, test.path)
			})
			uri := f.URL + test.uri
			for _, end := range []string{"", "/"} {
				callback := f.Begin(test.group + "/login/demo?return_to=/page/s1")
				if got := f.IDP.LastRequest(authtest.Authorize).Form.Get("redirect_uri"); got != uri {
					t.Errorf("the authorization request has the redirect_uri %q, want %q", got, uri)
				}
				if want := strings.TrimPrefix(uri, f.URL); callback.Path != want {
					t.Errorf("the provider responds at %q, want %q", callback.Path, want)
				}
				callback = sitetest.AtPath(callback, strings.TrimSuffix(callback.Path, "/")+end)
				p := f.Lands(t, callback, "/page/s1")
				if n := len(p.Hops); n != 2 || p.Hops[0].Status != http.StatusSeeOther {
					t.Errorf("the way back has %d hops, and the first is a %d", n, p.Hops[0].Status)
				}
				if got := f.IDP.LastRequest(authtest.Token).Form.Get("redirect_uri"); got != uri {
					t.Errorf("the token request has the redirect_uri %q, want %q", got, uri)
				}
			}
			if d := f.Auth.Diagnose(t.Context()); d.Providers[0].RedirectURI != uri {
				t.Errorf("Diagnose reports %q", d.Providers[0].RedirectURI)
			}
			if line := "redirect_uri=" + uri + "\n"; !strings.Contains(f.Logs.String(), line) {
				t.Errorf("the log does not have %q:\n%s", line, f.Logs)
			}
			if p := f.Ask("PUT", test.uri); p.Status != http.StatusMethodNotAllowed || p.Header.Get("Allow") != "GET, POST" {
				t.Errorf("PUT gets %d, Allow: %q", p.Status, p.Header.Get("Allow"))
			}
		})
	}
}

func s1FormPost(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/cb", "/cb/", "/auth/:provider/callback"} {
		for _, end := range []string{"", "/"} {
			f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
				s.Group = "/group"
				atCallback(o, path)
				sitetest.FormPost(s, o)
			})
			form := f.AnswerForm("/group/login/demo?return_to=/page/s1")
			at := strings.TrimSuffix(strings.Replace(path, ":provider", "demo", 1), "/")
			f.Browser.StopAt = func(*url.URL) bool { return true }
			p := f.Must(f.Browser.Submit(authtest.At(f.IDP.Issuer+"/authorize"), f.URL+at+end, form))
			f.Browser.StopAt = nil
			carried := p.Header.Get("Location")
			if !strings.HasPrefix(carried, f.URL+strings.Replace(path, ":provider", "demo", 1)+"?carried=") {
				t.Errorf("%s%s: the form is carried to %q", path, end, carried)
			}
			next, err := url.Parse(carried)
			if err != nil {
				t.Fatal(err)
			}
			f.Lands(t, next, "/page/s1")
		}
	}
}

// s1Prefix: a proxy strips a prefix, which is in BaseURL and so in the redirect URI.
func s1Prefix(t *testing.T) {
	t.Parallel()
	opts := quiet(func(o *ginauth.Options) {
		o.BaseURL += "/shop"
		o.Providers = []ginauth.Provider{sitetest.Offline("demo")}
		atCallback(o, "/auth/:provider/callback")
	})
	engine := gin.New()
	if _, err := ginauth.Mount(engine.Group("/group"), opts); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequest("GET", "/group/login/demo", nil))
	if to, err := url.Parse(w.Header().Get("Location")); err != nil || to.Query().Get("redirect_uri") != "https://app.example.com/shop/auth/demo/callback" {
		t.Errorf("the browser is sent to %s", to)
	}
	w = httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequest("GET", "/auth/demo/callback?state=x&code=y", nil))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "state_invalid") {
		t.Errorf("the callback gets %d %s", w.Code, w.Body)
	}
}

// s1Guard: RequireAuth on the whole engine does not block a sign-in.
func s1Guard(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"", "/group"} {
		var guard gin.HandlerFunc
		f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
			s.Group = group
			s.Engine.Use(func(c *gin.Context) { guard(c) })
			atCallback(o, "/auth/:provider/callback")
			o.CallbackPaths = []string{"/late"}
		})
		guard = f.Auth.RequireAuth()
		if p := f.Open("/late"); p.Status != http.StatusNotFound {
			t.Errorf("a callback path without a provider gets %d", p.Status)
		}
		f.Lands(t, f.Begin("/page/s1"), "/page/s1")
	}
}

func s2OtherPath(t *testing.T) {
	t.Parallel()
	f, _ := sitetest.NewFlowWithTwo(t, func(o *ginauth.Options) {
		o.Providers[0].CallbackPath, o.Providers[1].CallbackPath = "/one", "/two/:provider"
		o.Providers = append(o.Providers, sitetest.Offline("third"))
	})
	for path, code := range map[string]ginauth.Code{
		"/authorize/demo": ginauth.ErrUnknownProvider, "/authorize/demo/": ginauth.ErrUnknownProvider, "/two/demo": ginauth.ErrUnknownProvider, "/two/nobody": ginauth.ErrUnknownProvider,
		"/two/other": ginauth.ErrStateInvalid, "/two/other/": ginauth.ErrStateInvalid, "/authorize/third": ginauth.ErrStateInvalid,
	} {
		callback := f.Begin("/login/demo?return_to=/page/s2")
		leaktest.Of(t).Callback(path)
		f.Refuses(t, sitetest.AtPath(callback, path), sitetest.Closed{Code: code})
		if code == ginauth.ErrStateInvalid { // the state is then used
			f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})
		}
	}
	if log := f.Logs.String(); !strings.Contains(log, "id=provider.other_path") || !strings.Contains(log, f.URL+"/one\"") {
		t.Errorf("the log does not say where responses arrive:\n%s", log)
	}
	callback := f.Begin("/login/demo?return_to=/page/s2")
	for _, path := range []string{"/One", "/one/x", "/two", "/two/other/x"} { // these paths belong to the application
		leaktest.Of(t).Callback(path)
		if p := f.Finish(sitetest.AtPath(callback, path)); p.Status != http.StatusNotFound || strings.Contains(p.Text(), "unknown_provider") {
			t.Errorf("%s gets %d %s", path, p.Status, p.Text())
		}
	}
	f.Lands(t, callback, "/page/s2")
}

// idsOf returns the ids of joined errors.
func idsOf(err error) (ids []string) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			ids = append(ids, idsOf(err)...)
		}
	} else if e, ok := err.(*ginauth.Error); ok {
		ids = append(ids, e.ID)
	}
	return ids
}

// quiet is sitetest.GoodOptionsWith, without a log.
func quiet(change func(*ginauth.Options)) ginauth.Options {
	return sitetest.GoodOptionsWith(func(o *ginauth.Options) {
		o.Logger = slog.New(slog.DiscardHandler)
		change(o)
	})
}

func s3UnfitPaths(t *testing.T) {
	t.Parallel()
	for path, id := range map[string]string{
		"cb": "malformed", "/": "malformed", "//": "malformed", "//evil.example/cb": "malformed", "/a//b": "malformed", "/cb//": "malformed", "https://app.example.com/cb": "malformed",
		"/*": "malformed", "/*any": "malformed", "/cb/*any": "malformed", "/:id": "malformed", "/cb/:id": "malformed", "/cb-:provider": "malformed", "/:provider.html": "malformed",
		"/:provider": "malformed", "/:provider/": "malformed", "/:provider/:provider": "malformed", "/a/:provider/:provider": "malformed", "/:providers/cb": "malformed",
		"/c%62": "malformed", "/cb%2f": "malformed", "/./cb": "malformed", "/a/../cb": "malformed", "/cb/..": "malformed", "/cb?x=1": "malformed", "/cb#x": "malformed",
		"/c b": "malformed", "/cb\n": "malformed", "/caf\u00e9": "malformed", `/a\b`: "malformed", "/a;b": "malformed", "/a@b": "malformed", "/a+b": "malformed", " /cb": "malformed",
		"/" + strings.Repeat("a", 255): "too_long",
		"/home":                        "page", "/home/": "page", "/HOME": "page", "/bye": "page", "/choose": "page",
		"/login": "own_route", "/login/google": "own_route", "/login/:provider": "own_route", "/authorize/demo": "own_route", "/authorize/:provider": "own_route", "/logout": "own_route", "/logout/": "own_route",
		"/logout/return": "own_route", "/logout/redirect": "own_route", "/logout/x/backchannel": "own_route", "/logout/:provider/frontchannel": "own_route",
		"/" + strings.Repeat("a", 254): "", "/cb": "", "/login/google/callback": "", "/authorize": "", "/logout/callback": "", "/home/callback": "", "/...": "", "/:provider/cb": "",
	} {
		opts := sitetest.GoodOptionsWith(func(o *ginauth.Options) {
			o.AfterLogin, o.AfterLogout, o.LoginPage = "/home?x=1#y", "/bye", "/choose"
		})
		with := func(change func(*ginauth.Options)) (ids []string) {
			o := opts
			o.Providers = slices.Clone(o.Providers)
			change(&o)
			return idsOf(sitetest.MountError(o))
		}
		var provider, option []string
		if id != "" {
			provider, option = []string{"provider.callback_path." + id}, []string{"options.callback_paths." + id}
		}
		if got := with(func(o *ginauth.Options) { o.Providers[0].CallbackPath = path }); !slices.Equal(got, provider) {
			t.Errorf("Provider.CallbackPath %q: %q, want %q", path, got, provider)
		}
		if got := with(func(o *ginauth.Options) { o.CallbackPaths = []string{path} }); !slices.Equal(got, option) {
			t.Errorf("Options.CallbackPaths %q: %q, want %q", path, got, option)
		}
	}
	// Gin matches :provider with an empty segment.
	for id, change := range map[string]func(*ginauth.Options){
		"provider.callback_path.page": func(o *ginauth.Options) { o.AfterLogin = "/auth//callback" },
		"provider.name.malformed":     func(o *ginauth.Options) { o.Providers[0].Name = "" },
	} {
		err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) {
			atCallback(o, "/auth/:provider/callback")
			change(o)
		}))
		if got := idsOf(err); !slices.Equal(got, []string{id}) {
			t.Errorf("the mistakes are %q, want %q", got, id)
		}
	}
	err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) {
		o.Lifetime = 1
		o.CallbackPaths = []string{"", "/*"}
		o.Providers[0].CallbackPath = "/login"
		second := sitetest.PlainProvider()
		second.CallbackPath, second.ClientID = "/a/../b", ""
		o.Providers = append(o.Providers, second)
	}))
	want := []string{"options.lifetime.idle_timeout", "options.callback_paths.malformed", "options.callback_paths.malformed", "provider.callback_path.own_route", "provider.client_id.empty", "provider.callback_path.malformed"}
	if got := idsOf(err); !slices.Equal(got, want) {
		t.Errorf("the mistakes are %q, want %q", got, want)
	}
}

// s3AdmittedPaths: Gin can register every admitted path, and the redirect URI, as browsers parse
// it, reaches that route.
func s3AdmittedPaths(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"/", "/", "/", "a", "B", "9", ".", "..", "~", "-", "_", ":provider", ":provider", ":", "*", "%41", " ", "login", "logout", "\u00e9", "?"}
	admitted := 0
	for range 2000 {
		path := "/"
		for range random.IntN(8) {
			path += pieces[random.IntN(len(pieces))]
		}
		engine := gin.New()
		_, err := ginauth.Mount(engine.Group([]string{"", "/group", "/a/b"}[random.IntN(3)]), quiet(func(o *ginauth.Options) {
			o.Providers = []ginauth.Provider{sitetest.Offline("demo")}
			atCallback(o, path)
		}))
		if err != nil {
			if slices.Contains(idsOf(err), "mount.callback_exists") {
				t.Errorf("%q is admitted, and Gin does not take it: %v", path, err)
			}
			continue
		}
		admitted++
		for _, end := range []string{"", "/"} {
			at, err := url.Parse("https://app.example.com" + strings.TrimSuffix(strings.Replace(path, ":provider", "demo", 1), "/") + end)
			if err != nil || at.JoinPath().String() != at.String() || at.RawPath != "" {
				t.Fatalf("%q is no plain address: %v, %v", path, at, err)
			}
			w := httptest.NewRecorder()
			engine.ServeHTTP(w, httptest.NewRequest("GET", at.Path, nil))
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "state_invalid") {
				t.Errorf("%q gets %d %s at %s", path, w.Code, w.Body, at)
			}
		}
	}
	if admitted < 100 {
		t.Errorf("only %d paths were admitted: the test checks nothing", admitted)
	}
}

// s3RoutesOfMount: none of the routes that Mount registers can be a callback path.
func s3RoutesOfMount(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"", "/auth"} {
		engine := gin.New()
		if _, err := ginauth.Mount(engine.Group(group), quiet(func(*ginauth.Options) {})); err != nil {
			t.Fatal(err)
		}
		looked := 0
		for _, route := range engine.Routes() {
			if route.Method != "GET" {
				continue
			}
			looked++
			for _, path := range []string{route.Path, strings.Replace(route.Path, ":provider", "corp", 1)} {
				opts := quiet(func(o *ginauth.Options) { o.Providers[0].CallbackPath = path })
				_, err := ginauth.Mount(gin.New().Group(group), opts)
				if got := idsOf(err); !slices.Equal(got, []string{"provider.callback_path.own_route"}) {
					t.Errorf("%q: %q", path, got)
				}
			}
		}
		if looked < 9 {
			t.Errorf("%d routes: the test checks the wrong thing", looked)
		}
	}
	// On a separate path, the name of the provider decides.
	opts := sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Providers[0].Name, o.Providers[0].CallbackPath = "login", "/:provider/x" })
	if got := idsOf(sitetest.MountError(opts)); !slices.Equal(got, []string{"provider.callback_path.own_route"}) {
		t.Errorf("a provider called login: %q", got)
	}
}

func s3RoutesOfTheApplication(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		routes []string
		paths  []string
		want   []string
	}{
		"the same":          {[]string{"/cb"}, []string{"/cb"}, []string{"mount.callback_exists"}},
		"with a slash":      {[]string{"/cb/"}, []string{"/cb"}, []string{"mount.callback_exists"}},
		"another parameter": {[]string{"/auth/:name/callback"}, []string{"/auth/:provider/callback"}, []string{"mount.callback_exists"}},
		"a catch-all":       {[]string{"/auth/*any"}, []string{"/auth/cb"}, []string{"mount.callback_exists"}},
		"several, and one of ours": {[]string{"/one", "/two", "/logout"}, []string{"/one", "/two", "/three"},
			[]string{"mount.callback_exists", "mount.callback_exists", "mount.route_exists"}},
		"a sibling":     {[]string{"/auth/:provider/other", "/auth/x"}, []string{"/auth/:provider/callback", "/auth/google"}, nil},
		"below a param": {[]string{"/auth/:provider/callback"}, []string{"/auth/google/callback"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			engine := gin.New()
			for _, path := range test.routes {
				engine.GET(path, sitetest.Teapot)
			}
			opts := quiet(func(o *ginauth.Options) { o.CallbackPaths = test.paths })
			_, err := ginauth.Mount(engine, opts)
			if got := idsOf(err); !slices.Equal(got, test.want) || test.want != nil && !errors.Is(err, ginauth.ErrInvalidOptions) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if test.want == nil {
				return
			}
			for _, path := range append(test.paths, "/login") { // the paths registered before
				w := httptest.NewRecorder()
				engine.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				if w.Code != http.StatusNotFound && w.Code != http.StatusTeapot {
					t.Errorf("%s gets %d", path, w.Code)
				}
			}
		})
	}
}

func s4IssOfAnother(t *testing.T) {
	t.Parallel()
	plain := func(s *sitetest.Site, o *ginauth.Options) {
		var alone ginauth.Options
		sitetest.Plain(s, &alone)
		o.Providers[0] = alone.Providers[0]
		o.Providers[0].ClaimPaths, o.Providers[0].CallbackPath = nil, "/cb"
	}
	for name, test := range map[string]struct {
		change   func(s *sitetest.Site, o *ginauth.Options)
		accepted string // iss of the provider's own responses: "own", or "" for none
	}{
		"with an issuer": {nil, "own"},
		"with ResponseIssuer": {func(s *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].ResponseIssuer = "https://front.example"
		}, "https://front.example"},
		"plain": {plain, ""},
		"plain, with ResponseIssuer": {func(s *sitetest.Site, o *ginauth.Options) {
			plain(s, o)
			o.Providers[0].ResponseIssuer = s.IDP.Issuer
		}, "own"},
		"with TokenIssuer": {func(s *sitetest.Site, o *ginauth.Options) {
			s.IDP.EditMetadata(func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") })
			issuer := s.IDP.Issuer
			o.Providers[0].TokenIssuer = func(map[string]any) (string, error) { return issuer, nil }
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, other := newShared(t, test.change)
			wrong := []string{other.Issuer, "https://evil.example", ""}
			if test.accepted == "" {
				wrong = append(wrong, f.IDP.Issuer) // there is nothing to compare it with
			}
			for _, iss := range wrong {
				for _, denied := range []bool{false, true} {
					genuine := f.Begin("/login/demo?return_to=/page/s4")
					callback := sitetest.With(genuine, "iss", iss)
					if denied {
						callback = sitetest.With(sitetest.Without(callback, "code"), "error", "access_denied")
					}
					f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
					f.Refuses(t, genuine, sitetest.Closed{Code: ginauth.ErrStateInvalid}) // the state is used
				}
			}
			if n := other.Count(authtest.Token); n != 0 {
				t.Errorf("%d requests to the other token endpoint", n)
			}
			callback := f.Begin("/login/demo?return_to=/page/s4")
			switch test.accepted {
			case "own":
			case "":
				callback = sitetest.Without(callback, "iss")
			default:
				callback = sitetest.With(callback, "iss", test.accepted)
			}
			f.Lands(t, callback, "/page/s4")
		})
	}
}

// s4MixUp: a dishonest provider redirects users to an honest one, with its own state and
// challenge and the honest one's client id. The honest one's code must not be sent to it.
func s4MixUp(t *testing.T) {
	t.Parallel()
	var f *sitetest.Flow
	var stolen []string
	dishonest := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/authorize" {
			body := r.FormValue("code") + r.FormValue("code_verifier")
			stolen = append(stolen, r.URL.Path+" "+body)
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		q := r.URL.Query()
		q.Set("client_id", f.IDP.ClientID)
		q.Set("scope", "openid")
		http.Redirect(w, r, f.IDP.URL(authtest.Authorize)+"?"+q.Encode(), http.StatusFound)
	}))
	t.Cleanup(dishonest.Close)
	f = sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, ginauth.Provider{
			Name: "evil", ClientID: "x", ClientSecret: "a client's secret", Namespace: "https://evil.example",
			AuthorizeURL: dishonest.URL + "/authorize", TokenURL: dishonest.URL + "/token", UserinfoURL: dishonest.URL + "/me",
		})
		atCallback(o, "/cb")
	})
	callback := f.Begin("/login/evil")
	if callback.Query().Get("iss") != f.IDP.Issuer || callback.Query().Get("code") == "" {
		t.Fatalf("no code of the honest provider arrives: %s", callback)
	}
	f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
	if len(stolen) > 0 {
		t.Errorf("the dishonest provider was sent %q", stolen)
	}
	f.Lands(t, f.Begin("/login/demo?return_to=/page/s4"), "/page/s4")
}

// s4Warnings: a provider that does not announce iss causes a warning as soon as that is known.
func s4Warnings(t *testing.T) {
	t.Parallel()
	f, other := newShared(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP.EditMetadata(func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") })
		plain := sitetest.PlainProvider()
		plain.CallbackPath = "/cb"
		alone := sitetest.Offline("alone")
		alone.CallbackPath = "/alone"
		o.Providers = append(o.Providers, plain, alone)
	})
	warned := func() (names []string) {
		for _, line := range f.Logs.Lines("WARN", "diagnose.callback_shared") {
			_, rest, _ := strings.Cut(line, " provider=")
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
		return names
	}
	if got := warned(); !slices.Equal(got, []string{"plain"}) {
		t.Errorf("warned at the start of %q", got)
	}
	if err := f.Auth.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := warned(); !slices.Equal(got, []string{"plain", "demo"}) {
		t.Errorf("warned of %q", got)
	}
	var found []string
	for _, e := range f.Auth.Diagnose(t.Context()).Warnings {
		if e.ID == "diagnose.callback_shared" {
			found = append(found, e.Provider)
		}
	}
	if !slices.Equal(found, []string{"demo", "plain"}) {
		t.Errorf("Diagnose warns of %q", found)
	}
	// The warning is also logged when a path becomes shared later.
	f.Logs.Reset()
	demo, second := sitetest.Client("demo", f.IDP), sitetest.Client("other", other)
	f.SetProviders(demo, second)
	if got := warned(); len(got) != 0 {
		t.Errorf("warned about %q, which share no path", got)
	}
	demo.CallbackPath, second.CallbackPath = "/cb", "/cb/"
	f.SetProviders(demo, second)
	if got := warned(); !slices.Equal(got, []string{"demo"}) {
		t.Errorf("warned of %q once they share a path", got)
	}
}

func s5AnnouncedIssMissing(t *testing.T) {
	t.Parallel()
	f, other := newShared(t, nil)
	for _, name := range []string{"demo", "other"} {
		genuine := f.Begin("/login/" + name)
		f.Refuses(t, sitetest.Without(genuine, "iss"), sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
		f.Refuses(t, genuine, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	}
	if n := other.Count(authtest.Token); n != 0 {
		t.Errorf("%d requests to the other token endpoint", n)
	}
	f.Lands(t, f.Begin("/login/other?return_to=/page/s5"), "/page/s5")
	if u := f.User(); u.Provider != "other" || u.Subject != "grace" {
		t.Errorf("%s of %s is signed in", u.Subject, u.Provider)
	}
}

func s6NoLoginState(t *testing.T) {
	t.Parallel()
	f, other := newShared(t, nil)
	refused := func(callback *url.URL) {
		t.Helper()
		f.Logs.Reset()
		p := f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: f.IDP.Count(authtest.Token)})
		if !strings.Contains(p.Text(), `href="`+f.URL+`/login"`) && !strings.Contains(p.Text(), `href="`+f.URL+`/login?return_to=`) {
			t.Errorf("the page does not lead to the choice of providers: %s", p.Text())
		}
		if log := f.Logs.String(); !strings.Contains(log, "event=sign_in_failed") || strings.Contains(log, "provider=") {
			t.Errorf("the event is not without a provider:\n%s", log)
		}
	}
	for _, name := range []string{"demo", "other"} {
		callback := f.Begin("/login/" + name + "?return_to=/page/s6")
		refused(sitetest.With(callback, "state", sitetest.MadeUpState))
		refused(sitetest.Without(callback, "state"))
		saved := f.LoginState()
		own := f.Browser
		f.Browser = f.NewBrowser()
		refused(callback) // begun in another browser
		f.Browser = own
		f.Lands(t, callback, "/page/s6")
		f.Browser = f.NewBrowser()
		f.KeepCookie(saved) // a copy of it
		refused(callback)
	}
	if f.IDP.Count(authtest.Token) != 1 || other.Count(authtest.Token) != 1 {
		t.Error("a code was sent twice")
	}
}

func s7TwoModes(t *testing.T) {
	t.Parallel()
	f, other := newShared(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[1].ResponseMode = "form_post" })
	post := func(form url.Values) *authtest.Page {
		return f.Must(f.Browser.Submit(authtest.At(other.Issuer+"/authorize"), f.URL+"/cb", form))
	}
	form := f.AnswerForm("/login/other?return_to=/page/s7")
	callback, _ := url.Parse(f.URL + "/cb?" + form.Encode())
	if p := f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrMethodNotAllowed}); p.Header.Get("Allow") != "POST" {
		t.Errorf("Allow is %q", p.Header.Get("Allow"))
	}
	f.WantRefused(t, post(form), callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})

	callback = f.Begin("/login/demo?return_to=/page/s7")
	p := post(callback.Query())
	f.WantRefused(t, p, callback, sitetest.Closed{Code: ginauth.ErrMethodNotAllowed})
	if p.Header.Get("Allow") != "GET" {
		t.Errorf("Allow is %q", p.Header.Get("Allow"))
	}
	f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	if n := other.Count(authtest.Token); n != 0 {
		t.Errorf("%d requests to the other token endpoint", n)
	}

	f.Lands(t, f.Begin("/login/demo?return_to=/page/query"), "/page/query")
	f.WantLanded(t, post(f.AnswerForm("/login/other?return_to=/page/form")), "/page/form")
	if u := f.User(); u.Provider != "other" {
		t.Errorf("%s is signed in", u.Provider)
	}
}

func s8ReturnToACallback(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		atCallback(o, "/cb")
		o.CallbackPaths = []string{"/auth/:provider/callback", "/late/"}
		o.AfterLogin = "/page/home"
	})
	for _, path := range []string{
		"/cb", "/cb/", "/cb//", "/CB", "/%63b", "/%2563b", "/cb?code=x&state=y", "/cb#x", "//cb", "/./cb",
		"/auth/demo/callback", "/auth/nobody/callback", "/Auth/x/Callback/", "/late", "/late/", "/LATE/?x",
	} {
		f.Lands(t, f.Begin("/login/demo?return_to="+url.QueryEscape(path)), "/page/home")
		if got := f.Auth.LoginURL("demo", path); !strings.Contains(got, "return_to=") {
			t.Errorf("LoginURL: %q", got)
		}
	}
	for _, path := range []string{"/page/cb", "/page/auth/x/callback"} {
		f.Lands(t, f.Begin("/login/demo?return_to="+path), path)
	}
	for _, path := range []string{"/cb/below", "/cbx", "/auth/callback", "/auth/x/y/callback"} { // these paths belong to the application
		if p := f.Open("/logout?return_to=" + path); !strings.Contains(p.Text(), fmt.Sprintf("value=%q", path)) {
			t.Errorf("%s is not returned to: %s", path, p.Text())
		}
	}
}

func s20NoRoute(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		atCallback(o, "/cb")
		o.CallbackPaths = []string{"/auth/:provider/callback", "/late"}
	})
	demo := sitetest.Client("demo", f.IDP)
	for path, routed := range map[string]bool{
		"": true, "/cb": true, "/cb/": true, "/late": true, "/late/": true, "/auth/demo/callback": true, "/auth/:provider/callback": true, "/auth/other/callback/": true,
		"/other": false, "/Late": false, "/auth/:provider": false, "/auth/demo/x/callback": false, "/:provider/demo/callback": false, "/late/:provider": false,
	} {
		demo.CallbackPath = path
		err := f.Auth.SetProviders([]ginauth.Provider{demo})
		if !routed {
			sitetest.WantInvalid(t, err, "provider.callback_path.no_route")
			if e, _ := errors.AsType[*ginauth.Error](err); e != nil && !strings.Contains(e.Fix, "Options.CallbackPaths") {
				t.Errorf("%q: the fix does not name the option: %v", path, e)
			}
		} else if err != nil {
			t.Errorf("%q: %v", path, err)
		} else {
			f.Lands(t, f.Begin("/login/demo?return_to=/page/s20"), "/page/s20")
		}
	}
}
