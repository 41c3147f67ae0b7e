package ginauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// codes are the error codes that programs, dashboards and alerts use. Codes are added here, and
// never changed or removed.
var codes = map[ginauth.Code]struct {
	name   string
	status int
}{
	"invalid_options":        {"ErrInvalidOptions", 500},
	"unknown_provider":       {"ErrUnknownProvider", 404},
	"method_not_allowed":     {"ErrMethodNotAllowed", 405},
	"bad_request":            {"ErrBadRequest", 400},
	"state_invalid":          {"ErrStateInvalid", 400},
	"issuer_mismatch":        {"ErrIssuerMismatch", 400},
	"provider_denied":        {"ErrProviderDenied", 403},
	"provider_error":         {"ErrProviderError", 502},
	"code_rejected":          {"ErrCodeRejected", 400},
	"provider_misconfigured": {"ErrProviderMisconfigured", 502},
	"provider_unavailable":   {"ErrProviderUnavailable", 502},
	"provider_timeout":       {"ErrProviderTimeout", 504},
	"bad_token_response":     {"ErrBadTokenResponse", 502},
	"id_token_invalid":       {"ErrIDTokenInvalid", 403},
	"userinfo_invalid":       {"ErrUserinfoInvalid", 403},
	"identity_rejected":      {"ErrIdentityRejected", 403},
	"session_error":          {"ErrSessionError", 500},
	"store_unavailable":      {"ErrStoreUnavailable", 503},
	"login_loop":             {"ErrLoginLoop", 508},
	"unauthenticated":        {"ErrUnauthenticated", 401},
	"invalid_token":          {"ErrInvalidToken", 401},
	"forbidden":              {"ErrForbidden", 403},
	"insufficient_scope":     {"ErrInsufficientScope", 403},
	"step_up_required":       {"ErrStepUpRequired", 401},
	"cross_origin":           {"ErrCrossOrigin", 403},
	"logout_token_invalid":   {"ErrLogoutTokenInvalid", 400},
}

func TestCodesNeverChange(t *testing.T) {
	written := sitetest.Constants(t, "errors.go", "Code")
	for code, want := range codes {
		if written[want.name] != string(code) {
			t.Errorf("%s is spelled %q, and was %q", want.name, written[want.name], code)
		}
		delete(written, want.name)
	}
	for name, code := range written {
		t.Errorf("%s = %q is new: write it into the table, with its status", name, code)
	}
}

// Each code has a status and a sentence for users, on pages and in JSON.
func TestEveryCodeHasAStatusAndAText(t *testing.T) {
	s := sitetest.New(t, nil)
	s.SignIn()
	for code, want := range codes {
		e := &ginauth.Error{Code: code}
		if e.Status() != want.status {
			t.Errorf("%s has status %d, want %d", code, e.Status(), want.status)
		}
		path := "/code/" + string(code)
		s.Engine.GET(path, s.Auth.RequireAuth(func(u *ginauth.User) error {
			if code == ginauth.ErrStepUpRequired { // it contains the requirement
				return ginauth.ACR("gold")(u)
			}
			return e
		}), sitetest.Teapot)
		p := s.Must(s.Browser.Fetch(s.Open("/"), "GET", s.URL+path, nil, ""))
		var body struct{ Error, Message string }
		if err := json.Unmarshal(p.Body, &body); err != nil {
			t.Errorf("%s: %v: %s", code, err, p.Text())
		}
		outward := string(code)
		if code == "logout_token_invalid" { // its reader is a provider, which expects one error (Back-Channel Logout 1.0, section 2.8)
			outward = "invalid_request"
		}
		if p.Status != want.status || body.Error != outward || len(body.Message) < 20 || !strings.HasSuffix(body.Message, ".") {
			t.Errorf("%s results in %d %+v", code, p.Status, body)
		}
		if code == "unauthenticated" || code == "step_up_required" { // a page load is redirected to the login
			continue
		}
		if p := s.Open(path); p.Status != want.status || !strings.Contains(p.Text(), string(code)) || !strings.Contains(p.Text(), strings.SplitN(body.Message, "'", 2)[0]) {
			t.Errorf("the page of %s: %d %s", code, p.Status, p.Text())
		}
	}
	if n := s.Ran.Load(); n != 1 { // signIn's own
		t.Errorf("%d protected handlers ran", n)
	}
	if got := (&ginauth.Error{Code: "another"}).Status(); got != http.StatusInternalServerError {
		t.Errorf("a code that is none of ours has status %d", got)
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("connection refused")
	for _, c := range []struct {
		err  ginauth.Error
		want string
	}{
		{ginauth.Error{}, "ginauth: "},
		{ginauth.Error{Code: ginauth.ErrStateInvalid}, "ginauth: state_invalid"},
		{ginauth.Error{Code: ginauth.ErrStateInvalid, Op: "match state"}, "ginauth: match state: state_invalid"},
		{ginauth.Error{Code: ginauth.ErrStateInvalid, Reason: "this answer was used already"}, "ginauth: this answer was used already"},
		{ginauth.Error{Code: ginauth.ErrStateInvalid, Fix: "start again"}, "ginauth: state_invalid; start again"},
		{ginauth.Error{Code: ginauth.ErrProviderUnavailable, Err: cause}, "ginauth: provider_unavailable: connection refused"},
		{ginauth.Error{Code: ginauth.ErrProviderUnavailable, Op: "discovery", Provider: "corp", Reason: "the provider does not answer", Fix: "look at it", Err: cause},
			"ginauth: corp: discovery: the provider does not answer; look at it: connection refused"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	if got := ginauth.ErrStateInvalid.Error(); got != "state_invalid" {
		t.Errorf("the text of a Code is %q", got)
	}
}

func TestErrorsIsAndAs(t *testing.T) {
	cause := context.DeadlineExceeded
	err := error(&ginauth.Error{Code: ginauth.ErrProviderTimeout, Provider: "corp", Err: fmt.Errorf("dial: %w", cause)})
	for name, err := range map[string]error{
		"itself": err, "wrapped": fmt.Errorf("sign in: %w", err), "joined": errors.Join(errors.New("first"), err),
		"inside another": &ginauth.Error{Code: ginauth.ErrSessionError, Err: err},
	} {
		if !errors.Is(err, ginauth.ErrProviderTimeout) || errors.Is(err, ginauth.ErrProviderUnavailable) || !errors.Is(err, cause) {
			t.Errorf("%s: errors.Is does not know its codes and causes", name)
		}
		var e *ginauth.Error
		if !errors.As(err, &e) || e.Code == "" {
			t.Errorf("%s: errors.As finds %v", name, e)
		}
	}
	if errors.Is(&ginauth.Error{}, ginauth.Code("another")) || errors.Is(errors.New("state_invalid"), ginauth.ErrStateInvalid) {
		t.Error("errors.Is confuses two errors")
	}
	if errors.Unwrap(&ginauth.Error{}) != nil {
		t.Error("an error without a cause has one")
	}
}

// Hooks and Checks of the application may always return the same error value. No request
// modifies it, since others read it.
func TestTheApplicationsErrorsStayItsOwn(t *testing.T) {
	noStaff := &ginauth.Error{Code: ginauth.ErrIdentityRejected, Reason: "not of the staff", Fix: "ask the desk"}
	noAdmin := &ginauth.Error{Code: ginauth.ErrForbidden, Reason: "not an administrator"}
	var seen []ginauth.Error
	refuse := false
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error {
			if refuse {
				return fmt.Errorf("database: %w", noStaff)
			}
			return nil
		}
		o.Hooks.OnError = func(_ *gin.Context, e *ginauth.Error) { seen = append(seen, *e) }
	})
	s.Engine.GET("/staff", s.Auth.RequireAuth(func(*ginauth.User) error { return noAdmin }), sitetest.Teapot)
	s.SignIn()
	s.Open("/staff")
	refuse = true
	s.Get("/login/demo?return_to=/page/secret")
	if len(seen) != 2 || seen[0].Provider != "demo" || seen[0].Op != "check" || seen[1].Op != "OnLogin" || seen[1].Provider != "demo" {
		t.Errorf("OnError saw %+v", seen)
	}
	if *noStaff != (ginauth.Error{Code: ginauth.ErrIdentityRejected, Reason: "not of the staff", Fix: "ask the desk"}) ||
		*noAdmin != (ginauth.Error{Code: ginauth.ErrForbidden, Reason: "not an administrator"}) {
		t.Errorf("a request wrote into the application's errors: %+v, %+v", noStaff, noAdmin)
	}
}

var errorID = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)+$`)

// Every error has an id for its reason: the log contains it, and it stays the same when the
// sentence is improved. Two reasons do not share an id.
func TestEveryErrorHasAnID(t *testing.T) {
	reasons := map[string]string{} // by id
	check := func(at, id, reason string) {
		if !errorID.MatchString(id) {
			t.Errorf("%s: %q is not an id", at, id)
		}
		if other, there := reasons[id]; there && other != reason {
			t.Errorf("%s: %q is the id of two reasons: %s and %s", at, id, other, reason)
		}
		reasons[id] = reason
	}
	for _, f := range goFiles(t, raisesErrors) {
		ast.Inspect(f.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if kind, ok := n.Type.(*ast.Ident); !ok || kind.Name != "Error" {
					return true
				}
				field := map[string]ast.Expr{}
				for _, e := range n.Elts {
					pair := e.(*ast.KeyValueExpr)
					field[pair.Key.(*ast.Ident).Name] = pair.Value
				}
				reason := ""
				if field["Reason"] != nil {
					reason = firstText(field["Reason"])
				}
				switch id := field["ID"].(type) {
				case nil:
					t.Errorf("%s: an Error without an ID", f.at(n))
				case *ast.BasicLit: // others are computed
					check(f.at(n), firstText(id), reason)
				}
			case *ast.CallExpr: // helpers whose first argument is the id
				name, _ := n.Fun.(*ast.Ident)
				if name == nil || !slices.Contains([]string{"stateInvalid", "tooLarge", "refused"}, name.Name) {
					return true
				}
				check(f.at(n), firstText(n.Args[0]), firstText(n.Args[1]))
			}
			return true
		})
	}
	if len(reasons) < 70 {
		t.Errorf("%d ids found: the test looks at the wrong thing", len(reasons))
	}
}

// firstText returns the first string in an expression: its format, if it has one.
func firstText(expr ast.Expr) (text string) {
	ast.Inspect(expr, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && text == "" {
			text = strings.Trim(lit.Value, "`\"")
		}
		return true
	})
	return text
}

// Mistakes in Options have ids that contain the field's name.
func TestIDsOfMistakes(t *testing.T) {
	err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) {
		o.BaseURL, o.AfterLogin, o.Keys = "", "elsewhere", []string{"short"}
		o.Providers[0].ClientID = ""
		o.Providers[0].JWKSURL = "ftp://login.example.com/keys"
		o.Providers[0].Quirks.HS256 = true
		o.Providers[0].Quirks.ClientIDParam = "state"
	}))
	var ids []string
	for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
		ids = append(ids, err.(*ginauth.Error).ID)
	}
	want := []string{"options.base_url.empty", "options.keys.key_short", "options.after_login.not_a_path", "provider.client_id.empty",
		"provider.jwks_url.not_https", "provider.quirks.hs256.issuer", "provider.quirks.client_id_param.protocol_parameter"}
	if !slices.Equal(ids, want) {
		t.Errorf("the ids are %q, want %q", ids, want)
	}
}

// raisesErrors lists the packages whose errors are documented.
func raisesErrors(f *goFile) bool {
	dir := path.Dir(f.path)
	return !f.isTest() && (dir == "." || dir == "internal/rp")
}

// A rejection by a function of the application has a reason and a fix on loopback.
func TestDevelopersReadWhichFunctionOfTheirsRefused(t *testing.T) {
	t.Parallel()
	var refuse error
	change := func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { return refuse }
	}
	for _, public := range []bool{false, true} {
		f := sitetest.NewFlow(t, change)
		if public {
			f = sitetest.NewPublicFlow(t, change)
		}
		f.Engine.GET("/checked", f.Auth.RequireAuth(func(*ginauth.User) error { return refuse }), sitetest.Teapot)
		refuse = nil
		f.SignIn()
		for _, refuse = range []error{errors.New("no account yet"), ginauth.ErrForbidden} {
			for path, id := range map[string]string{"/checked": "check.refused", "/login/demo": "hook.on_login_refused"} {
				p := f.Get(path)
				if p.Status != http.StatusForbidden || strings.Contains(p.Text(), "docs/errors-requests.md#"+id) == public {
					t.Errorf("public %v: %v at %s: %d %s", public, refuse, path, p.Status, p.Text())
				}
				if strings.Contains(p.Text(), "no account yet") {
					t.Errorf("%s shows the cause", path)
				}
			}
			p := f.Must(f.Browser.Fetch(f.Open("/"), "GET", f.URL+"/checked", nil, ""))
			var body struct{ ID, Reason, Fix string }
			if err := json.Unmarshal(p.Body, &body); err != nil || (body.ID == "check.refused" && body.Reason != "" && body.Fix != "") == public {
				t.Errorf("public %v: %v is reported as %+v, %v", public, refuse, body, err)
			}
		}
	}
}

// absent is an error type of an application whose method panics on a nil pointer.
type absent struct{ text string }

func (a *absent) Error() string { return a.text }

// A function with the result *Error, or another pointer type, returns nil as a non-nil error.
// This counts as a failure: it admits no user, and does not crash the process.
func TestErrorsThatAreNilPointers(t *testing.T) {
	t.Parallel()
	for name, none := range map[string]error{"*Error": (*ginauth.Error)(nil), "a pointer of the application's": (*absent)(nil), "wrapped": fmt.Errorf("no: %w", (*ginauth.Error)(nil))} {
		for where, tt := range map[string]struct {
			code   ginauth.Code
			change func(s *sitetest.Site, o *ginauth.Options)
		}{
			"OnLogin": {ginauth.ErrIdentityRejected, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { return none }
			}},
			"VerifyClaims": {ginauth.ErrIdentityRejected, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].VerifyClaims = func(map[string]any) error { return none }
			}},
			"TokenIssuer": {ginauth.ErrIDTokenInvalid, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].TokenIssuer = func(map[string]any) (string, error) { return "", none }
			}},
			"Profile": {ginauth.ErrProviderUnavailable, func(s *sitetest.Site, o *ginauth.Options) {
				sitetest.Plain(s, o)
				o.Providers[0].UserinfoURL = ""
				o.Providers[0].Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) { return nil, none }
			}},
			"ClientSecretFunc": {ginauth.ErrProviderMisconfigured, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].ClientSecret = ""
				o.Providers[0].ClientSecretFunc = func(context.Context) (string, error) { return "", none }
			}},
		} {
			s := sitetest.New(t, tt.change)
			if p := s.Get("/login/demo"); p.Status != (&ginauth.Error{Code: tt.code}).Status() || !strings.Contains(p.Text(), string(tt.code)) || s.User() != nil {
				t.Errorf("%s from %s: %d %s, %v is signed in", name, where, p.Status, p.Text(), s.User())
			}
		}
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
				if c.FullPath() == "/key" {
					return nil, none
				}
				return nil, nil
			}
		})
		refuse := func(*ginauth.User) error { return none }
		s.Engine.GET("/key", s.Auth.RequireAuth(), s.Protected)
		s.Engine.GET("/check", s.Auth.RequireAuth(refuse), s.Protected)
		s.Engine.GET("/any", s.Auth.RequireAuth(ginauth.AnyOf(refuse)), s.Protected)
		s.Engine.GET("/fail", func(c *gin.Context) { s.Auth.Fail(c, none) })
		s.As("ada")
		for path, code := range map[string]ginauth.Code{"/key": ginauth.ErrStoreUnavailable, "/check": ginauth.ErrForbidden, "/any": ginauth.ErrForbidden, "/fail": ginauth.ErrSessionError} {
			s.WantError(s.Ask("GET", path, sitetest.Fetch...), code)
		}
		if s.Ran.Load() != 0 || strings.Contains(s.Logs.String(), "panicked") {
			t.Errorf("%s: %d protected handlers ran; the log: %s", name, s.Ran.Load(), s.Logs)
		}
		sitetest.WantInvalid(t, sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Providers[0].Err = none })), "provider.err.invalid")
	}
	var none *ginauth.Error
	if errors.Is(none, ginauth.ErrForbidden) || errors.Unwrap(none) != nil || none.Error() == "" {
		t.Error("an *Error that is nil is something")
	}
}
