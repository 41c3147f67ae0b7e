package jwt_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/test/moving/apptest"
	"github.com/ginauth/ginauth/test/moving/jwt/after"
	"github.com/ginauth/ginauth/test/moving/jwt/before"
	"github.com/ginauth/ginauth/test/moving/jwt/board"
	"github.com/ginauth/ginauth/test/moving/jwt/own"
)

func TestMain(m *testing.M) { apptest.Main(m) }

type installed struct {
	*apptest.Site
	settings board.Settings
	db       *board.DB
	corp     *authtest.Provider
}

func install(t *testing.T) *installed {
	t.Helper()
	s := &installed{Site: apptest.New(t, "localhost"), db: &board.DB{}}
	s.corp = s.Provider(authtest.Config{PostLogoutRedirectURIs: []string{s.URL + "/logout/return"}}, "/callback")
	s.settings = board.Settings{BaseURL: s.URL, JWTSecret: "a secret of the tokens of before", SessionKeys: "a-key-of-32-bytes-or-more-for-the-sessions-of-after",
		Issuer: s.corp.Issuer, ClientID: s.corp.ClientID, ClientSecret: s.corp.ClientSecret}
	return s
}

func (s *installed) before() { s.Run(before.New(s.settings, s.db)) }
func (s *installed) after()  { s.Run(after.New(s.settings, s.db)) }
func (s *installed) own()    { s.Run(own.New(s.settings, s.db)) }

type version struct {
	name string
	run  func(*installed)
}

var afters = []version{{"after, with ginauth's sessions", (*installed).after}, {"after, with its own", (*installed).own}}

// each runs a test with each of these versions of the application.
func each(t *testing.T, versions []version, test func(t *testing.T, s *installed)) {
	for _, version := range versions {
		t.Run(version.name, func(t *testing.T) {
			s := install(t)
			version.run(s)
			test(t, s)
		})
	}
}

func everywhere(t *testing.T, test func(t *testing.T, s *installed)) {
	each(t, append([]version{{"before", (*installed).before}}, afters...), test)
}

func signIn(t *testing.T, v *apptest.Visitor, name string) {
	t.Helper()
	v.Opens("/")
	apptest.Has(t, v.Presses(name), "200 / ", "Hello, "+name+"!")
}

// made returns a member of the JSON on the page.
func made(t *testing.T, v *apptest.Visitor, path, member string) string {
	t.Helper()
	apptest.Has(t, v.Fetches("", "POST", path, ""), "201 ")
	var answer map[string]string
	if err := json.Unmarshal(v.Page.Body, &answer); err != nil || answer[member] == "" {
		t.Fatalf("%v in %s", err, v.Page.Body)
	}
	return answer[member]
}

func TestPeopleSignInAndOut(t *testing.T) {
	everywhere(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		apptest.Has(t, v.Fetches("", "GET", "/api/me", ""), "401 ", `"error":"unauthenticated"`)
		v.Opens("/?sort=new")
		apptest.Has(t, v.Presses("Ada Lovelace"), "200 /?sort=new ", "Hello, Ada Lovelace!")
		apptest.Has(t, v.Fetches("", "GET", "/api/me", ""), `{"id":"1","sub":"ada","name":"Ada Lovelace"}`)
		v.Opens("/")
		apptest.Hasnt(t, v.Presses("Sign out"), "Hello, ")
		apptest.Has(t, v.Fetches("", "GET", "/api/me", ""), "401 ")
		v.Opens("/login") // a link of the old version
		apptest.Has(t, v.Presses("Ada Lovelace"), "200 / ", "Hello, Ada Lovelace!")
	})
}

func TestPrograms(t *testing.T) {
	everywhere(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		signIn(t, v, "Ada Lovelace")
		key, token := made(t, v, "/api/keys", "key"), made(t, v, "/api/tokens", "token")
		for _, headers := range [][]string{{"X-API-Key", key}, {"Authorization", "Bearer " + token}} {
			apptest.Has(t, s.Asks("GET", "/api/me", headers...), "200 ", `"name":"Ada Lovelace"`)
			apptest.Has(t, s.Asks("POST", "/api/posts", headers...), "201 ")
		}
		claims := jwt.RegisteredClaims{Issuer: "board", Subject: "1", IssuedAt: jwt.NewNumericDate(time.Now()), ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}
		unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
		if err != nil {
			t.Fatal(err)
		}
		other := s.settings
		other.JWTSecret = "somebody else's"
		forged, _ := other.NewToken(board.Person{ID: "1"}, time.Hour)
		expired, _ := s.settings.NewToken(board.Person{ID: "1"}, -time.Hour)
		for _, headers := range [][]string{{}, {"X-API-Key", "no key"}, {"Authorization", "Bearer " + unsigned}, {"Authorization", "Bearer " + forged},
			{"Authorization", "Bearer " + expired}, {"Authorization", "Bearer "}, {"Authorization", "Bearer " + forged, "Cookie", "token=" + token},
			{"X-API-Key", "no key", "Cookie", "token=" + token}, {"Cookie", "token=" + unsigned}, {"Cookie", "token=" + forged}, {"Cookie", "token=" + expired}} {
			if got := s.Asks("GET", "/api/me", headers...); !strings.HasPrefix(got, "401 ") {
				t.Errorf("%q: %s", headers, got)
			}
		}
	})
}

// dial opens a WebSocket, and returns its first message, or the status of the rejection.
func dial(t *testing.T, s *installed, headers ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	socket, response, err := websocket.Dial(ctx, s.URL+"/ws", &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		if response == nil {
			t.Fatal(err)
		}
		return response.Status
	}
	defer func() { _ = socket.CloseNow() }()
	_, hello, err := socket.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.Write(ctx, websocket.MessageText, []byte("ping")); err != nil {
		t.Fatal(err)
	}
	_, echo, err := socket.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(hello) + " " + string(echo)
}

func cookies(v *apptest.Visitor, address string) string {
	var pairs []string
	for _, c := range v.Cookies(address) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

func TestWebSockets(t *testing.T) {
	everywhere(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		signIn(t, v, "Ada Lovelace")
		key := made(t, v, "/api/keys", "key")
		session := cookies(v, s.URL)
		for _, headers := range [][]string{{"Cookie", session, "Origin", s.URL}, {"X-API-Key", key}} {
			if got := dial(t, s, headers...); got != "Hello, Ada Lovelace! ping" {
				t.Errorf("%q: %s", headers, got)
			}
		}
		for _, c := range []struct {
			want    string
			headers []string
		}{
			{"401 Unauthorized", nil},
			{"401 Unauthorized", []string{"X-API-Key", "no key"}},
			{"403 Forbidden", []string{"Cookie", session, "Origin", "https://evil.example"}},
			{"403 Forbidden", []string{"Cookie", session, "Origin", "http://localhost:1"}},
		} {
			if got := dial(t, s, c.headers...); got != c.want {
				t.Errorf("%q: %s, want %s", c.headers, got, c.want)
			}
		}
		v.Opens("/")
		v.Presses("Sign out")
		if got := dial(t, s, "Cookie", cookies(v, s.URL), "Origin", s.URL); got != "401 Unauthorized" {
			t.Errorf("after the sign-out: %s", got)
		}
	})
}

func TestPeopleAndProgramsNoticeNothing(t *testing.T) {
	each(t, afters, func(t *testing.T, s *installed) {
		after := s.Handler()
		s.before()
		v := s.Visitor()
		signIn(t, v, "Ada Lovelace")
		key, token := made(t, v, "/api/keys", "key"), made(t, v, "/api/tokens", "token")
		v.Opens("/")
		tab := v.Page
		s.corp.Reset()
		s.Run(after, nil)
		if got := dial(t, s, "Cookie", cookies(v, s.URL), "Origin", s.URL); got != "Hello, Ada Lovelace! ping" {
			t.Errorf("a socket of a page of before: %s", got)
		}
		apptest.Has(t, v.Fetches("", "GET", "/api/me", ""), `"id":"1"`)
		apptest.Has(t, v.Opens("/"), "Hello, Ada Lovelace!")
		apptest.Has(t, s.Asks("GET", "/api/me", "X-API-Key", key), `"id":"1"`)
		apptest.Has(t, s.Asks("GET", "/api/me", "Authorization", "Bearer "+token), `"id":"1"`)
		if n := s.corp.Count(authtest.Authorize); n != 0 {
			t.Errorf("%d trips to the provider", n)
		}
		v.Page = tab // the form of the old page
		v.Presses("Sign out")
		apptest.Has(t, v.Fetches("", "GET", "/api/me", ""), "401 ")
	})
}

// A sign-out in a tab of the old version, as the first request after the change.
func TestOldTabsSignOut(t *testing.T) {
	each(t, afters, func(t *testing.T, s *installed) {
		after := s.Handler()
		s.before()
		v := s.Visitor()
		signIn(t, v, "Ada Lovelace")
		s.Run(after, nil)
		v.Presses("Sign out")
		apptest.Has(t, v.Fetches("", "GET", "/api/me", ""), "401 ")
	})
}

// A sign-in as another person takes precedence over the old cookie.
func TestTheNewSessionWins(t *testing.T) {
	s := install(t)
	s.before()
	v := s.Visitor()
	signIn(t, v, "Ada Lovelace")
	old := v.Cookies(s.URL)
	s.after()
	v.Opens("/login")
	v.Presses("Grace Hopper")
	for _, c := range old {
		if err := v.SetCookie(s.URL, c); err != nil {
			t.Fatal(err)
		}
	}
	apptest.Has(t, v.Opens("/"), "Hello, Grace Hopper!")
}

// Credentials that browsers send automatically are rejected from other origins; tokens are not.
func TestOtherOrigins(t *testing.T) {
	each(t, afters, func(t *testing.T, s *installed) {
		v := s.Visitor()
		signIn(t, v, "Ada Lovelace")
		token := made(t, v, "/api/tokens", "token")
		for _, path := range []string{"/api/posts", "/logout"} {
			apptest.Has(t, v.Posts("http://localhost:1", path, "text", "spam"), "403 ")
		}
		apptest.Has(t, v.Fetches("", "GET", "/api/me", ""), "200 ")
		apptest.Has(t, s.Asks("POST", "/api/posts", "Authorization", "Bearer "+token, "Origin", "https://tool.example"), "201 ")
		if n := len(s.db.Posts()); n != 1 {
			t.Errorf("%d posts", n)
		}
	})
}

// A session that another service ended, or that has expired, redirects to the sign-in, and its
// old cookie does not interfere.
func TestAnExpiredSessionSignsInAgain(t *testing.T) {
	each(t, afters, func(t *testing.T, s *installed) {
		v := s.Visitor()
		s.db.SignIn("ada", "Ada Lovelace")
		expired, _ := s.settings.NewToken(board.Person{ID: "1"}, -time.Hour)
		if err := v.SetCookie(s.URL, &http.Cookie{Name: "token", Value: expired, Path: "/"}); err != nil {
			t.Fatal(err)
		}
		signIn(t, v, "Ada Lovelace")
	})
}
