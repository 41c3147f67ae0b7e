package ginauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestHasGroup(t *testing.T) {
	t.Parallel()
	u := &ginauth.User{Groups: []string{"staff", "Admin"}}
	for _, tt := range []struct {
		name   string
		groups []string
		admits bool
	}{
		{"a group of the user's", []string{"staff"}, true},
		{"one of several", []string{"nobody", "Admin"}, true},
		{"another group", []string{"guests"}, false},
		{"another case", []string{"admin"}, false},
		{"a part of a name", []string{"staf"}, false},
	} {
		if err := ginauth.HasGroup(tt.groups...)(u); (err == nil) != tt.admits {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	groups := []string{"guests"}
	check := ginauth.HasGroup(groups...)
	groups[0] = "staff"
	if check(u) == nil {
		t.Error("changing the arguments afterwards changed the check")
	}
}

func TestVerifiedEmailDomain(t *testing.T) {
	t.Parallel()
	check := ginauth.VerifiedEmailDomain("example.com", "-example.com", "[127.0.0.1]", "example.com.", "example-.com", "my-example.com", "90.example.com", "exаmple.com")
	for email, admits := range map[string]bool{
		"ada@example.com":                            true,
		"ADA@Example.COM":                            true,
		"ada.l+tag@example.com":                      true,
		"ada90@example.com":                          true,
		"ada@90.example.com":                         true,
		"ada@mail.example.com":                       false,
		"ada@evilexample.com":                        false,
		"ada@example.com.evil.net":                   false,
		"ada@evil.net@example.com":                   false,
		"ada@example.com@evil.net":                   false,
		`"ada@evil.net"@example.com`:                 false,
		"ada@example.com>":                           false,
		"<ada@example.com>":                          false,
		"Ada <ada@example.com>":                      false,
		"ada(comment)@example.com":                   false,
		"ada@evil.net,bob@example.com":               false,
		" ada@example.com":                           false,
		"ada@example.com ":                           false,
		"ada@example.com\n":                          false,
		"ada@example.com\x00":                        false,
		"ada\r\n@example.com":                        false,
		"@example.com":                               false,
		"ada@":                                       false,
		"ada":                                        false,
		"ada@example.com.":                           false,
		"ada@-example.com":                           false,
		"ada@example-.com":                           false,
		"ada@my-example.com":                         true,
		"ada@[127.0.0.1]":                            false,
		"ada@exаmple.com":                            false, // a Cyrillic a
		"аda@example.com":                            false,
		strings.Repeat("a", 254) + "@example.com":    false,
		"ada@example.com/@evil.net":                  false,
		"ada@example。com":                            false,
		"ada=example.com@evil.net":                   false,
		"ada%example.com@evil.net":                   false,
		"ada@example.com?x@evil.net":                 false,
		"ada@" + strings.Repeat("a.", 4) + "example": false,
	} {
		err := check(&ginauth.User{Email: email, EmailVerified: true})
		if (err == nil) != admits {
			t.Errorf("%q: %v", email, err)
		}
		if check(&ginauth.User{Email: email}) == nil {
			t.Errorf("%q is admitted unverified", email)
		}
	}
	if ginauth.VerifiedEmailDomain("example.org")(&ginauth.User{Email: "ada@example.com", EmailVerified: true}) == nil {
		t.Error("without domains a user is admitted")
	}
}

func TestFromProvider(t *testing.T) {
	t.Parallel()
	u := &ginauth.User{Provider: "work"}
	if ginauth.FromProvider("home", "work")(u) != nil || ginauth.FromProvider("home")(u) == nil ||
		ginauth.FromProvider("Work")(u) == nil {
		t.Error("FromProvider does not compare names exactly")
	}
}

func TestAnyOf(t *testing.T) {
	t.Parallel()
	yes := func(*ginauth.User) error { return nil }
	no := func(*ginauth.User) error { return errors.New("no") }
	for _, tt := range []struct {
		name   string
		checks []ginauth.Check
		admits bool
	}{
		{"one that admits", []ginauth.Check{yes}, true},
		{"the last one admits", []ginauth.Check{no, no, yes}, true},
		{"the first one admits", []ginauth.Check{yes, no}, true},
		{"none admits", []ginauth.Check{no, no}, false},
	} {
		if err := ginauth.AnyOf(tt.checks...)(&ginauth.User{}); (err == nil) != tt.admits {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	called := false
	if err := ginauth.AnyOf(yes, func(*ginauth.User) error { called = true; return nil })(&ginauth.User{}); err != nil || called {
		t.Errorf("a check after one that admits was called: %v", err)
	}
	outage := func(*ginauth.User) error { return &ginauth.Error{Code: ginauth.ErrStoreUnavailable} }
	last := errors.New("the last one")
	if err := ginauth.AnyOf(no, outage, func(*ginauth.User) error { return last })(&ginauth.User{}); err != last {
		t.Errorf("where none admits, and none asks for anything: %v", err)
	}
}

// hasClaimTests are about the claims of TestHasClaim's user.
var hasClaimTests = []struct {
	name   string
	values []string
	admits bool
}{
	{"text", nil, true}, {"text", []string{"red"}, true}, {"text", []string{"blue", "red"}, true},
	{"text", []string{"Red"}, false}, {"text", []string{"re"}, false}, {"text", []string{""}, false},
	{"number", nil, true}, {"number", []string{"3"}, true}, {"number", []string{"3.0"}, false}, {"number", []string{"03"}, false},
	{"big", []string{"9007199254740993"}, true}, {"big", []string{"9007199254740992"}, false},
	{"fraction", []string{"1.5"}, true}, {"fraction", []string{"1"}, false},
	{"yes", nil, true}, {"yes", []string{"true"}, true}, {"yes", []string{"false"}, false}, {"yes", []string{"1"}, false},
	{"no", nil, false}, {"no", []string{"false"}, true}, {"no", []string{"true"}, false},
	{"empty", nil, false}, {"empty", []string{"x"}, false},
	{"null", nil, false}, {"null", []string{"null"}, false}, {"null", []string{""}, false},
	{"list", nil, true}, {"list", []string{"b"}, true}, {"list", []string{"7"}, true}, {"list", []string{"a b"}, false},
	{"list", []string{"[a b]"}, false}, {"list", []string{"deep"}, false},
	{"nothings", nil, false}, {"falses", nil, true}, {"emptyObject", nil, false}, {"object", nil, true}, {"object", []string{"map[x:y]"}, false}, {"object", []string{"y"}, false},
	{"absent", nil, false}, {"absent", []string{""}, false},
}

func TestHasClaim(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.KeepClaims = []string{"text", "number", "big", "fraction", "yes", "no", "empty", "null", "list", "nothings", "falses", "object", "emptyObject", "absent"}
		s.IDP.EditIDToken(func(_, claims map[string]any) {
			for name, value := range map[string]any{
				"text": "red", "number": 3, "big": int64(9007199254740993), "fraction": 1.5, "yes": true, "no": false, "empty": "", "null": nil,
				"list": []any{"a", "b", 7, []any{"deep"}}, "nothings": []any{}, "falses": []any{false, ""}, "emptyObject": map[string]any{}, "object": map[string]any{"x": "y"}, "secret": "not kept",
			} {
				claims[name] = value
			}
		})
	})
	for i, tt := range hasClaimTests {
		s.Engine.GET(fmt.Sprint("/check/", i), s.Auth.RequireAuth(ginauth.HasClaim(tt.name, tt.values...)), s.Protected)
	}
	s.Engine.GET("/unkept", s.Auth.RequireAuth(ginauth.HasClaim("secret")), s.Protected)
	s.Logs.Reset() // discard the warning about that one
	s.SignIn()
	for i, tt := range hasClaimTests {
		ran := s.Ran.Load()
		p := s.Ask("GET", fmt.Sprint("/check/", i), sitetest.Fetch...)
		if tt.admits && (p.Status != http.StatusOK || s.Ran.Load() != ran+1) {
			t.Errorf("HasClaim(%q, %q): %d %s", tt.name, tt.values, p.Status, p.Text())
		}
		if !tt.admits && (p.Status != http.StatusForbidden || s.Ran.Load() != ran) {
			t.Errorf("HasClaim(%q, %q) is met: %d %s", tt.name, tt.values, p.Status, p.Text())
		}
	}
	for _, text := range []string{"id=check.claim_absent ", `claim \"empty\"`, "id=check.claim ", `claim \"number\"`} {
		if !strings.Contains(s.Logs.String(), text) {
			t.Errorf("the log does not say %s", text)
		}
	}
	if strings.Contains(s.Logs.String(), "KeepClaims") {
		t.Errorf("a claim that is kept, or would be, is called not kept: %s", s.Logs)
	}
	s.WantError(s.Ask("GET", "/unkept", sitetest.Fetch...), ginauth.ErrForbidden)
	if got := s.Logs.String(); !strings.Contains(got, "id=check.claim_not_kept ") || !strings.Contains(got, `HasClaim(\"secret\")`) || !strings.Contains(got, "Options.KeepClaims") {
		t.Errorf("the log does not say what to add: %s", got)
	}
}

func TestHasClaimWithoutKeepClaims(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Engine.GET("/claim", s.Auth.RequireAuth(ginauth.HasClaim("email")), s.Protected)
	s.SignIn()
	s.WantError(s.Ask("GET", "/claim", sitetest.Fetch...), ginauth.ErrForbidden)
	if got := s.Logs.String(); !strings.Contains(got, `add \"email\" to Options.KeepClaims`) {
		t.Errorf("the log does not say what to add: %s", got)
	}
}

// A failed Check results in 403, never in a redirect to the login, which would loop; and the
// browser does not learn the reason.
func TestChecksRefuse(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, sitetest.Client("other", sitetest.StartProvider(t, authtest.Config{})))
	})
	secret := errors.New("owes 100 florins")
	checks := map[string]ginauth.Check{
		"HasGroup":                 ginauth.HasGroup("admin"),
		"HasClaim":                 ginauth.HasClaim("level", "3"),
		"VerifiedEmailDomain":      ginauth.VerifiedEmailDomain("example.com"),
		"FromProvider":             ginauth.FromProvider("other"),
		"AnyOf":                    ginauth.AnyOf(ginauth.HasGroup("admin"), ginauth.FromProvider("other")),
		"an own function":          func(u *ginauth.User) error { return fmt.Errorf("%s: %w", u.Subject, secret) },
		"an own function in AnyOf": ginauth.AnyOf(func(*ginauth.User) error { return secret }),
		"a function that panics":   func(*ginauth.User) error { panic(secret) },
		"a panic with nothing":     func(*ginauth.User) error { panic(http.ErrAbortHandler) },
		"a panic inside AnyOf":     ginauth.AnyOf(func(*ginauth.User) error { panic(secret) }, func(*ginauth.User) error { return nil }),
		"an *Error without a code": func(*ginauth.User) error { return &ginauth.Error{Code: ginauth.ErrForbidden} },
		"an index out of range":    func(u *ginauth.User) error { return []error{nil}[len(u.Subject)] },
	}
	for name, check := range checks {
		path := "/" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "*", "")
		s.Engine.Any(path, s.Auth.RequireAuth(func(*ginauth.User) error { return nil }, check), s.Protected)
	}
	s.AsUser(&ginauth.User{Subject: "eve", Email: "eve@example.com", Groups: []string{"staff"}})
	for name := range checks {
		path := "/" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "*", "")
		for _, header := range [][]string{sitetest.Navigation, sitetest.Fetch, sitetest.Plus(sitetest.Fetch, "HX-Request", "true"), sitetest.Upgrade} {
			p := s.Ask("GET", path, header...)
			s.WantError(p, ginauth.ErrForbidden)
			if p.Header.Get("Location") != "" || p.Header.Get("HX-Redirect") != "" || strings.Contains(p.Text(), "florins") {
				t.Errorf("%s: %v %s", name, p.Header, p.Text())
			}
		}
	}
	if n := s.Ran.Load(); n != 0 {
		t.Errorf("%d protected handlers ran", n)
	}
	if !strings.Contains(s.Logs.String(), "florins") || !strings.Contains(s.Logs.String(), "panicked") {
		t.Errorf("the log does not say why: %s", s.Logs)
	}
	if s.User() == nil {
		t.Error("a refusal ended the session")
	}
}

// A Check may return a code: a database that is down is not the user's fault.
func TestChecksMayHaveACode(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	down := &ginauth.Error{Code: ginauth.ErrStoreUnavailable, Reason: "the staff list cannot be read"}
	s.Engine.GET("/staff", s.Auth.RequireAuth(func(*ginauth.User) error { return down }), s.Protected)
	s.As("ada")
	s.WantError(s.Ask("GET", "/staff", sitetest.Fetch...), ginauth.ErrStoreUnavailable)
	if down.Op != "" || down.Provider != "" {
		t.Errorf("the application's own error was changed: %+v", down)
	}
	if s.Ran.Load() != 0 {
		t.Error("the handler ran")
	}
}

func TestChecksRunInOrderAndAllMustAdmit(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	var asked []string
	check := func(name string, err error) ginauth.Check {
		return func(*ginauth.User) error { asked = append(asked, name); return err }
	}
	checks := []ginauth.Check{check("a", nil), check("b", errors.New("no")), check("c", nil)}
	s.Engine.GET("/abc", s.Auth.RequireAuth(checks...), s.Protected)
	checks[1] = check("another", nil) // too late
	s.As("ada")
	s.WantError(s.Ask("GET", "/abc", sitetest.Fetch...), ginauth.ErrForbidden)
	if got := strings.Join(asked, ""); got != "ab" {
		t.Errorf("called %q, want a and b", got)
	}
	asked = nil
	s.Browser = s.NewBrowser()
	if p := s.Ask("GET", "/abc", sitetest.Fetch...); p.Status != http.StatusUnauthorized || asked != nil {
		t.Errorf("checks were called without a user: %d %q", p.Status, asked)
	}
}

// The application's own page replaces the built-in one, and still no handler runs.
func TestOnErrorAnswersRefusals(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnError = func(c *gin.Context, err *ginauth.Error) {
			if c.Query("own") != "" {
				c.String(err.Status(), "our own page for %s", err.Code)
			}
		}
	})
	s.Engine.NoRoute(s.Auth.RequireAuth(), s.Protected)
	for _, path := range []string{"/me", "/nowhere"} {
		p := s.Ask("GET", path, sitetest.Fetch...)
		s.WantError(p, ginauth.ErrUnauthenticated) // the hook wrote nothing: the built-in response
		p = s.Ask("GET", path+"?own=1", sitetest.Fetch...)
		if p.Status != http.StatusUnauthorized || p.Text() != "our own page for unauthenticated" {
			t.Errorf("%s: %d %q", path, p.Status, p.Text())
		}
	}
	if s.Ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
}

// HasClaim without values requires a value: an empty list does not count.
func TestHasClaimOfAnEmptyList(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"roles"} })
	s.Engine.GET("/roles", s.Auth.RequireAuth(ginauth.HasClaim("roles")), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	for status, roles := range map[int][]string{http.StatusForbidden: {}, http.StatusNoContent: {"a"}} {
		s.IDP.EditIDToken(func(_, claims map[string]any) { claims["roles"] = roles })
		s.Browser = s.NewBrowser()
		s.SignIn()
		if p := s.Ask("GET", "/roles"); p.Status != status {
			t.Errorf("with roles %q: %d, want %d", roles, p.Status, status)
		}
	}
}

// HasClaim reads all claims if all are kept, and in OnLogin, where none has been dropped yet.
func TestHasClaimOfAllClaims(t *testing.T) {
	t.Parallel()
	var atLogin error
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.KeepClaims = []string{"*"}
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			atLogin = ginauth.HasClaim("department", "math")(l.User)
			return nil
		}
		s.IDP.EditIDToken(func(_, c sitetest.Claims) { c["department"] = "math" })
	})
	s.Engine.GET("/math", s.Auth.RequireAuth(ginauth.HasClaim("department", "math")), func(c *gin.Context) { c.Status(http.StatusOK) })
	s.SignIn()
	if p := s.Ask("GET", "/math", sitetest.Fetch...); p.Status != http.StatusOK || atLogin != nil {
		t.Errorf("the status is %d; in OnLogin: %v", p.Status, atLogin)
	}
}

// Without a Name in KeepClaims, HasClaim in OnLogin still finds it.
func TestHasClaimInOnLogin(t *testing.T) {
	t.Parallel()
	atLogin := ginauth.HasClaim("email", "ada@example.com")
	var err error
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			err = atLogin(l.User)
			return nil
		}
	})
	s.SignIn()
	if err != nil {
		t.Error(err)
	}
}

// A check that would reject every user is an error at the start, instead of a 403 for each user.
func TestChecksThatCouldAdmitNobody(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"department"} })
	for name, make := range map[string]func(){
		"no group": func() { ginauth.HasGroup() }, "no domain": func() { ginauth.VerifiedEmailDomain() }, "no provider": func() { ginauth.FromProvider() },
		"no check in AnyOf": func() { ginauth.AnyOf() }, "no claim": func() { ginauth.HasClaim("") }, "no claim, and a value": func() { ginauth.HasClaim("", "gold") },
		"an empty group": func() { ginauth.HasGroup("") }, "an empty group among others": func() { ginauth.HasGroup("admin", "") },
		"an empty domain": func() { ginauth.VerifiedEmailDomain("") }, "an empty provider": func() { ginauth.FromProvider("") },
		"nil": func() { s.Auth.RequireAuth(ginauth.HasGroup("admin"), nil) }, "nil in AnyOf": func() { ginauth.AnyOf(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: it does not panic", name)
				}
			}()
			make()
		}()
	}
	for _, w := range []struct {
		check ginauth.Check
		id    string
	}{
		{ginauth.HasClaim("level", "3"), "check.claim_not_kept"},
		{ginauth.HasClaim("department"), ""},
		{ginauth.FromProvider("Demo", "other"), "check.provider"},
		{ginauth.FromProvider("other", "demo"), ""},
		{ginauth.HasGroup("admin"), ""},
		{func(*ginauth.User) error { panic("an own check is asked at the start") }, ""},
	} {
		s.Logs.Reset()
		s.Auth.RequireAuth(w.check)
		for _, id := range []string{"check.claim_not_kept", "check.provider"} {
			if lines := s.Logs.Lines("WARN", id); (len(lines) == 1) != (id == w.id) {
				t.Errorf("want %q: %q", w.id, lines)
			}
		}
	}
}

// Without providers, RequireAuth does not warn about a FromProvider check: the provider may be
// added later.
func TestChecksBeforeThereAreProviders(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers = nil })
	check := ginauth.FromProvider("demo")
	s.Auth.RequireAuth(check)
	if lines := s.Logs.Lines("WARN", "check.provider"); len(lines) > 0 {
		t.Errorf("warned without providers: %q", lines)
	}
	s.SetProviders(sitetest.Offline("other"))
	s.Auth.RequireAuth(check)
	if lines := s.Logs.Lines("WARN", "check.provider"); len(lines) != 1 {
		t.Errorf("warned %d times where the provider is another one: %s", len(lines), s.Logs)
	}
}
