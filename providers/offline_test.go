package providers_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

// added is what Offline adds to each preset: a scope, or parameters with a =. The
// presets of neither list stay as they are.
var added = map[string]string{
	"atlassian":        "offline_access",
	"auth0":            "offline_access",
	"authentik":        "offline_access",
	"azure-ad-b2c":     "offline_access",
	"coinbase":         "offline_access",
	"dropbox":          "token_access_type=offline",
	"duende":           "offline_access",
	"feishu":           "offline_access",
	"fusionauth":       "offline_access",
	"google":           "access_type=offline prompt=consent",
	"google-workspace": "access_type=offline prompt=consent",
	"keycloak":         "offline_access",
	"kinde":            "offline", // offline_access is ignored there
	"lark":             "offline_access",
	"logto":            "offline_access prompt=consent",
	"microsoft":        "offline_access",
	"oidc":             "offline_access prompt=consent",
	"okta":             "offline_access",
	"ory-hydra":        "offline_access",
	"pingone":          "offline_access",
	"reddit":           "duration=permanent",
	"salesforce":       "refresh_token",
	"vercel":           "offline_access",
	"workos":           "offline_access",
	"x":                "offline.access",
	"zitadel":          "offline_access",
}

// refused are the presets that Offline is an error for.
var refused = []string{
	"battlenet", "descope", // unknown
	"facebook", "huggingface", "instagram", "mailchimp", "mastodon", "shopify", "stackoverflow", // none
	"figma", "vk", "wechat", "wechat-official-account", // refreshed otherwise than RFC 6749 has it
}

func TestOfflineOfEachPreset(t *testing.T) {
	for _, p := range providers.Catalogue() {
		before := made(p)
		after := providers.Offline(before)
		if got := changes(before, after); got != added[p.Name] {
			t.Errorf("%s: Offline adds %q, want %q", p.Name, got, added[p.Name])
		}
		if (after.Err != nil) != slices.Contains(refused, p.Name) {
			t.Errorf("%s: %v", p.Name, after.Err)
		}
		if !same(after, providers.Offline(after)) {
			t.Errorf("%s: a second Offline changes %s", p.Name, changes(after, providers.Offline(after)))
		}
		if !same(before, made(p)) {
			t.Errorf("%s: Offline changes its argument", p.Name)
		}
		after.Scopes, after.AuthParams, after.Err = before.Scopes, before.AuthParams, before.Err
		if !same(before, after) {
			t.Errorf("%s: Offline changes more than Scopes, AuthParams and Err", p.Name)
		}
		if err := mount(providers.Offline(before)); (err != nil) != slices.Contains(refused, p.Name) || err != nil && !hasID(err, refusal(p.Name)) {
			t.Errorf("%s: mounting: %v", p.Name, err)
		}
	}
}

// refusal is the id of the mistake for a preset that Offline refuses.
func refusal(preset string) string {
	if preset == "battlenet" || preset == "descope" {
		return "provider.offline.not_documented"
	}
	return "provider.offline.none_given"
}

// Each preset has an entry, and its parts do not contradict each other.
func TestRefreshTokensOfEachPreset(t *testing.T) {
	for _, p := range providers.Catalogue() {
		r := p.Refresh
		ways := 0
		for _, way := range []bool{r.Scope != "" || r.Params != nil, r.Always, r.Unknown, r.Never != "", r.Console != "" && r.Scope == "" && r.Params == nil} {
			if way {
				ways++
			}
		}
		if ways != 1 || (r.Never != "") != (r.Fix != "") || (r.Unknown || r.Never != "") && r.About != "" {
			t.Errorf("%s: its entry for refresh tokens is missing or contradicts itself: %+v", p.Name, r)
		}
		for _, text := range []string{r.Console, r.About} {
			if text != "" && !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %q is not a sentence", p.Name, text)
			}
		}
	}
}

// What Offline adds is in the authorization request, and the provider's stand-in
// signs people in.
func TestOfflineSignsIn(t *testing.T) {
	for name := range added {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t, name)
			p := s.provider()
			s.Authorize.Params = maps.Clone(s.Authorize.Params)
			if s.Authorize.Params == nil {
				s.Authorize.Params = map[string]string{}
			}
			for _, add := range strings.Fields(added[name]) {
				param, value, isParam := strings.Cut(add, "=")
				if !isParam {
					param, value = "scope", strings.TrimSpace(s.Authorize.Params["scope"]+" "+add)
				}
				s.Authorize.Params[param] = value
				s.Authorize.Absent = slices.DeleteFunc(slices.Clone(s.Authorize.Absent), func(name string) bool { return name == param })
			}
			s.app(providers.Offline(p)).signIn()
		})
	}
}

func TestOfflineKeepsWhatIsThere(t *testing.T) {
	google := func(params map[string]string) ginauth.Provider {
		p := providers.Google(testClientID, testClientSecret)
		p.AuthParams = params
		return p
	}
	for _, tt := range []struct {
		name string
		p    ginauth.Provider
		want map[string]string // nil: an error
		id   string
	}{
		{"another parameter", google(map[string]string{"hd": "kvarnbygd.example"}), map[string]string{"hd": "kvarnbygd.example", "access_type": "offline", "prompt": "consent"}, ""},
		{"a prompt", google(map[string]string{"prompt": "select_account"}), map[string]string{"access_type": "offline", "prompt": "select_account consent"}, ""},
		{"both prompts", google(map[string]string{"prompt": "consent select_account"}), map[string]string{"access_type": "offline", "prompt": "consent select_account"}, ""},
		{"no prompt", google(map[string]string{"prompt": ""}), map[string]string{"access_type": "offline", "prompt": "consent"}, ""},
		{"prompt=none", google(map[string]string{"prompt": "none"}), nil, "provider.offline.prompt_none"},
		{"prompt=none beside another", google(map[string]string{"prompt": "consent none"}), nil, "provider.offline.prompt_none"},
		{"another access_type", google(map[string]string{"access_type": "online"}), nil, "provider.offline.contradicted"},
		{"the same access_type", google(map[string]string{"access_type": "offline"}), map[string]string{"access_type": "offline", "prompt": "consent"}, ""},
	} {
		before := maps.Clone(tt.p.AuthParams)
		got := providers.Offline(tt.p)
		switch {
		case tt.want == nil:
			if err := mount(got); !hasID(err, tt.id) {
				t.Errorf("%s: mounting: %v", tt.name, err)
			}
		case !maps.Equal(got.AuthParams, tt.want) || mount(got) != nil:
			t.Errorf("%s: AuthParams are %v, want %v (%v)", tt.name, got.AuthParams, tt.want, mount(got))
		}
		if !maps.Equal(tt.p.AuthParams, before) {
			t.Errorf("%s: the argument's map is changed to %v", tt.name, tt.p.AuthParams)
		}
	}

	scopes := append(make([]string, 0, 8), "openid", "offline_access", "email")
	p := providers.Keycloak("login.kvarnbygd.example", "staff", testClientID, testClientSecret)
	p.Scopes = scopes
	if got := providers.Offline(p).Scopes; !slices.Equal(got, scopes) {
		t.Errorf("a scope that is there is added again: %q", got)
	}
	p.Scopes = scopes[:1]
	if got := providers.Offline(p).Scopes; !slices.Equal(got, []string{"openid", "offline_access"}) {
		t.Errorf("scopes are %q", got)
	}
	if !slices.Equal(scopes, []string{"openid", "offline_access", "email"}) || scopes[:4][3] != "" {
		t.Errorf("Offline writes into the argument's array: %q", scopes[:4])
	}

	wrong := providers.Keycloak("login.kvarnbygd.example/", "staff", testClientID, testClientSecret)
	if got := providers.Offline(wrong); !same(got, wrong) || got.Err == nil {
		t.Errorf("a wrong argument is not what is reported: %v", got.Err)
	}
}

func TestOfflineKnowsThePreset(t *testing.T) {
	work := providers.GitLabSelfManaged("git.kvarnbygd.example", testClientID, testClientSecret)
	work.Name, work.Issuer = "work", "https://git.kvarnbygd.example/git" // offline_access is an error at GitLab
	staff := providers.Keycloak("login.kvarnbygd.example", "staff", testClientID, testClientSecret)
	staff.Name, staff.DisplayName, staff.Issuer = "staff", "Staff", "https://login.kvarnbygd.example/auth/realms/staff"
	openID := func(issuer string) ginauth.Provider {
		return ginauth.Provider{Name: "own", Issuer: issuer, ClientID: testClientID, ClientSecret: testClientSecret}
	}
	plain := func(host string) ginauth.Provider {
		return ginauth.Provider{
			Name: "own", ClientID: testClientID, ClientSecret: testClientSecret, Namespace: host,
			AuthorizeURL: host + "/login/oauth/authorize", TokenURL: host + "/login/oauth/access_token", UserinfoURL: host + "/user",
		}
	}
	odd := openID("https://login.kvarnbygd.example")
	odd.Preset = "kvarnbygd"
	scoped := openID("https://login.kvarnbygd.example")
	scoped.Scopes = []string{}
	for _, tt := range []struct {
		name, want string
		p          ginauth.Provider
	}{
		{"a preset with another name and issuer", "", work},
		{"a preset with another prompt", "offline_access", staff},
		{"OIDC", "offline_access prompt=consent", providers.OIDC("corp", "https://login.kvarnbygd.example", testClientID, testClientSecret)},
		{"OIDC at Google", "access_type=offline prompt=consent", providers.OIDC("company", "https://accounts.google.com", testClientID, testClientSecret)},
		{"an issuer", "offline_access prompt=consent", openID("https://login.kvarnbygd.example")},
		{"an issuer, and no scopes", "offline_access prompt=consent", scoped},
		{"an unknown preset", "offline_access prompt=consent", odd},
		{"the issuer of Apple", "", openID("https://appleid.apple.com")},
		{"plain OAuth 2.0 at GitHub", "", plain("https://github.com")},
		{"plain OAuth 2.0", "error", plain("https://login.kvarnbygd.example")},
		{"a login page", "error", ginauth.Provider{Name: "password", Namespace: "https://app.example.com", LoginPage: "/password"}},
		{"nothing", "error", ginauth.Provider{}},
	} {
		after := providers.Offline(tt.p)
		got := changes(tt.p, after)
		if after.Err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s: Offline adds %q, want %q (%v)", tt.name, got, tt.want, after.Err)
		}
		if err := mount(after); (err != nil) != (tt.want == "error") || err != nil && !hasID(err, "provider.offline.not_known") {
			t.Errorf("%s: mounting: %v", tt.name, err)
		}
	}
	if got := providers.Offline(openID("https://login.kvarnbygd.example")).Scopes; !slices.Equal(got, []string{"openid", "profile", "email", "offline_access"}) {
		t.Errorf("the scopes that are asked for by default are lost: %q", got)
	}

	// Presets that cannot be told apart by their addresses are asked in one way.
	byAddress := map[string]string{}
	for _, p := range providers.Catalogue() {
		q := made(p)
		address := q.Issuer + " " + q.AuthorizeURL
		if other, there := byAddress[address]; there && added[other] != added[p.Name] {
			t.Errorf("%s and %s have the same addresses, and Offline adds %q and %q", other, p.Name, added[other], added[p.Name])
		}
		if len(p.Args) == 0 {
			byAddress[address] = p.Name
		}
	}
}

// changes are the scopes and parameters that after has beside those of before.
func changes(before, after ginauth.Provider) string {
	var list []string
	had := before.Scopes
	if had == nil && before.Issuer != "" {
		had = []string{"openid", "profile", "email"}
	}
	for _, scope := range after.Scopes {
		if !slices.Contains(had, scope) {
			list = append(list, scope)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after.AuthParams)) {
		if value := after.AuthParams[name]; before.AuthParams[name] != value {
			list = append(list, name+"="+value)
		}
	}
	return strings.Join(list, " ")
}

// same compares two Providers; of functions, the code.
func same(a, b ginauth.Provider) bool {
	return sameValue(reflect.ValueOf(a), reflect.ValueOf(b))
}

func sameValue(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Func:
		return a.Pointer() == b.Pointer()
	case reflect.Struct:
		for i := range a.NumField() {
			if !sameValue(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// hasID reports whether an error, or one within it, has that ID.
func hasID(err error, id string) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(several.Unwrap(), func(err error) bool { return hasID(err, id) })
	}
	e, ok := errors.AsType[*ginauth.Error](err)
	return ok && e.ID == id
}
