package mistakes

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// Most of these mistakes are impossible here. ginauth manages its own sessions: no middleware
// keeps them, and no store determines their cookies' attributes. For possible mistakes the tests
// check the message, and for the others they prove that they are impossible.
func mistakesWithSessions() []commonMistake {
	return []commonMistake{
		{"no session middleware", noSessionMiddleware},
		{"the retired sessions package", retiredPackage},
		{"SessionsMany", sessionsMany},
		{"no key", atMount(func(o *ginauth.Options) { o.Keys = nil }, "options.keys.empty", "openssl rand -hex 32")},
		{"a short key", atMount(func(o *ginauth.Options) { o.Keys = []string{"hunter2"} }, "options.keys.key_short", "key 1 has 7", "openssl rand -hex 32")},
		{"a placeholder for a key", atMount(func(o *ginauth.Options) { o.Keys = []string{"changeme"} }, "options.keys.key_placeholder", "key 1", "openssl rand -hex 32")},
		{"a key in quotes", atMount(func(o *ginauth.Options) { o.Keys = []string{"'" + sitetest.HexKey + "'"} }, "options.keys.key_quotes")},
		{"a random key", randomKey},
		{"a store with an empty key", storeKeys},
		{"a Secure cookie on http", secureOnHTTP},
		{"SameSite=Strict", cookiesAre("SameSite=Lax")},
		{"SameSite=None", cookiesAre("SameSite=Lax")},
		{"not HttpOnly", cookiesAre("HttpOnly")},
		{"an empty Path", cookiesAre("Path=/")},
		{"MaxAge 0", maxAgeZero},
		{"a memstore in production", memstoreElsewhere},
	}
}

func noSessionMiddleware(t *testing.T) {
	s := sitetest.New(t, nil) // its engine has no middleware at all
	s.SignIn()
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "nil *Auth") || !strings.Contains(text, "Mount") {
			t.Errorf("a guard without checks panics with %q", text)
		}
	}()
	var none *ginauth.Auth
	none.RequireAuth()
}

// The compiler distinguishes the two packages: a store of the retired one is not assignable to
// the option.
func retiredPackage(t *testing.T) {
	field, _ := reflect.TypeFor[ginauth.Options]().FieldByName("Sessions")
	if field.Type != reflect.TypeFor[ginsessions.Store]() {
		t.Errorf("Options.Sessions is a %v", field.Type)
	}
}

// The application's own sessions, of any kind, registered before ginauth's routes or after them,
// are not affected.
func sessionsMany(t *testing.T) {
	store := cookie.NewStore([]byte(sitetest.HexKey))
	for name, tt := range map[string]struct {
		sessions gin.HandlerFunc
		own      func(c *gin.Context) ginsessions.Session
		late     bool
	}{
		"several, before": {ginsessions.SessionsMany([]string{"a", "ginauth"}, store), func(c *gin.Context) ginsessions.Session { return ginsessions.DefaultMany(c, "a") }, false},
		"several, after":  {ginsessions.SessionsMany([]string{"a", "ginauth"}, store), func(c *gin.Context) ginsessions.Session { return ginsessions.DefaultMany(c, "a") }, true},
		"one, after":      {ginsessions.Sessions("ginauth", store), ginsessions.Default, true},
	} {
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			o.Sessions = store
			if !tt.late {
				s.Engine.Use(tt.sessions)
			}
		})
		if tt.late {
			s.Engine.Use(tt.sessions)
		}
		s.Engine.GET("/own", s.Auth.RequireAuth(), func(c *gin.Context) {
			own := tt.own(c)
			own.Set("theirs", "yes")
			if err := own.Save(); err != nil {
				t.Error(err)
			}
			c.String(http.StatusOK, ginauth.CurrentUser(c).Name)
		})
		s.SignIn()
		if p := s.Get("/own"); p.Text() != "Ada Lovelace" || s.User() == nil {
			t.Errorf("%s: beside sessions of its own the application has %q", name, p.Text())
		}
		s.SignIn()
	}
}

func randomKey(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Keys = nil })
	warns(s, t, "options.keys.generated", "Options.Keys", "random key", "openssl rand -hex 32")
	s.SignIn()
}

func storeKeys(t *testing.T) {
	var missing *sitetest.DeafStore
	for _, tt := range []struct {
		name  string
		store ginsessions.Store
		what  string // the last word of the error's ID; "" if the store is valid
	}{
		{"an empty key", cookie.NewStore([]byte("")), "key_empty"},
		{"nil for a key", cookie.NewStore(nil), "key_empty"},
		{"no key", cookie.NewStore(), "no_key"},
		{"an empty key in second place", cookie.NewStore([]byte(sitetest.HexKey), nil, []byte(""), nil), "key_empty"},
		{"an encryption key of any length", cookie.NewStore([]byte(sitetest.HexKey), []byte("short")), "key_length"},
		{"an empty key for a memstore", memstore.NewStore([]byte("")), "key_empty"},
		{"a good key", cookie.NewStore([]byte(sitetest.HexKey)), ""},
		{"two good keys", memstore.NewStore([]byte(sitetest.HexKey), []byte(sitetest.HexKey)[:32]), ""},
		{"a store that shows no keys", &sitetest.DeafStore{Store: memstore.NewStore([]byte(""))}, ""},
		{"keys of another kind", &otherCodecs{DeafStore: &sitetest.DeafStore{}}, ""},
		{"keys behind a nil pointer", &embedded{}, ""},
	} {
		err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Sessions = tt.store }))
		switch {
		case tt.what == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.what != "":
			sitetest.WantInvalid(t, err, "options.sessions."+tt.what)
			sitetest.WantNames(t, err.Error(), "openssl rand -hex 32")
		}
	}
	sitetest.WantInvalid(t, sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Sessions = missing })), "options.sessions.nil")
	t.Run("one that shows no keys", told{
		change: func(_ *sitetest.Site, o *ginauth.Options) {
			o.Sessions = &sitetest.DeafStore{Store: memstore.NewStore([]byte(""))}
		},
		make: comesBack, code: ginauth.ErrStoreUnavailable, level: "ERROR", id: "store.sessions_failed", names: []string{"Options.Sessions"},
	}.run)
}

type otherCodecs struct {
	*sitetest.DeafStore
	Codecs []string
}

// embedded has the stores' own field behind a nil pointer.
type embedded struct {
	sitetest.DeafStore
	*gorilla.CookieStore
}

func (*embedded) Get(*http.Request, string) (*gorilla.Session, error) { return nil, nil }

func (*embedded) New(*http.Request, string) (*gorilla.Session, error) { return nil, nil }

func (*embedded) Save(*http.Request, http.ResponseWriter, *gorilla.Session) error {
	return nil
}

func (*embedded) Options(ginsessions.Options) {}

// ginauth's cookies are Secure if BaseURL is https. A browser that uses http nevertheless keeps
// none.
func secureOnHTTP(t *testing.T) {
	http := sitetest.New(t, nil)
	http.SignIn()
	if refused := http.Browser.RefusedCookies(); len(refused) > 0 {
		t.Errorf("on http the browser rejected %q", refused)
	}
	https := sitetest.NewTLS(t, nil)
	for _, proto := range []string{"http", "https", "http"} {
		https.Ask("GET", "/login/demo", append([]string{"X-Forwarded-Proto", proto}, sitetest.Navigation...)...)
	}
	warns(https, t, "login.over_http", "BaseURL", "proxy", "base_url="+https.URL)
}

// careless is a store with other cookie attributes than ginauth's.
func careless(store ginsessions.Store) ginsessions.Store {
	store.Options(ginsessions.Options{SameSite: http.SameSiteNoneMode})
	return store
}

// cookiesAre asserts an attribute of every cookie of a sign-in, for any attributes of the store.
func cookiesAre(attribute string) func(t *testing.T) {
	return func(t *testing.T) {
		for name, store := range map[string]ginsessions.Store{
			"no store": nil, "a cookie store": careless(cookie.NewStore([]byte(sitetest.HexKey))), "a memstore": careless(memstore.NewStore([]byte(sitetest.HexKey))),
		} {
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Sessions = store })
			set := 0
			for _, hop := range s.SignIn().Hops {
				for _, line := range hop.Header["Set-Cookie"] {
					if !strings.HasPrefix(line, "ginauth-") {
						continue // the provider's cookies
					}
					if name, _, _ := strings.Cut(line, "="); strings.HasSuffix(name, "-h") {
						line = strings.Replace(line, "; Path=/logout;", "; Path=/;", 1) // the ID token, which no other request brings
					}
					if name, _, _ := strings.Cut(line, "="); strings.HasSuffix(name, "-h") {
						line = strings.Replace(line, "; Path=/logout;", "; Path=/;", 1) // the ID token, which no other request brings
					}
					if set++; !strings.Contains(line+";", "; "+attribute+";") {
						t.Errorf("with %s, %.30s… is not %s", name, line, attribute)
					}
				}
			}
			if set < 2 {
				t.Errorf("with %s, a sign-in sets %d cookies: the test checks nothing", name, set)
			}
		}
	}
}

// Redis and others delete records without a MaxAge.
func maxAgeZero(t *testing.T) {
	saved := &maxAges{Store: careless(memstore.NewStore([]byte(sitetest.HexKey)))}
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Sessions = saved })
	s.SignIn()
	if len(saved.seen) == 0 || saved.seen[len(saved.seen)-1] < 60 {
		t.Errorf("the session was saved with MaxAge %v", saved.seen)
	}
}

type maxAges struct {
	ginsessions.Store
	seen []int
}

func (m *maxAges) Save(r *http.Request, w http.ResponseWriter, s *gorilla.Session) error {
	m.seen = append(m.seen, s.Options.MaxAge)
	return m.Store.Save(r, w, s)
}

func memstoreElsewhere(t *testing.T) {
	const warning = "options.sessions.memstore"
	for base, store := range map[string]ginsessions.Store{
		"https://app.example.com": cookie.NewStore([]byte(sitetest.HexKey)), "https://intranet": nil, "http://localhost:8080": memstore.NewStore([]byte(sitetest.HexKey)),
	} {
		var l sitetest.Logs
		if err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.BaseURL, o.Sessions, o.Logger = base, store, l.Logger() })); err != nil || strings.Contains(l.String(), "id="+warning) {
			t.Errorf("%s with %T: %v\n%s", base, store, err, &l)
		}
	}
	s := &sitetest.Site{Logs: &sitetest.Logs{}}
	if err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) {
		o.Sessions, o.Logger = memstore.NewStore([]byte(sitetest.HexKey)), s.Logs.Logger()
	})); err != nil {
		t.Fatal(err)
	}
	warns(s, t, warning, "Options.Sessions", "sealed cookie")
}
