package ginauth_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-contrib/sessions"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/seal"
	"github.com/ginauth/ginauth/internal/sitetest"
	"github.com/ginauth/ginauth/internal/wire"
)

// A record with a time that cannot be decoded would be a session that ends with the request in
// which it began.
func TestTimesThatARecordCannotHold(t *testing.T) {
	far := time.Date(-5000, time.January, 1, 0, 0, 0, 0, time.UTC)
	s := remembering(t, nil)
	var failed error
	s.Engine.POST("/in", func(c *gin.Context) {
		failed = s.Auth.SignIn(c, &ginauth.User{Provider: sitetest.Nowhere.Name, Subject: "grace", AuthTime: far}, nil)
	})
	cookies := s.Mint(grace())
	visitWith(s, "POST", "/in", cookies)
	if !errors.Is(failed, ginauth.ErrSessionError) {
		t.Error(failed)
	}
	if status, _ := visitWith(s, "GET", "/show", cookies); status != http.StatusOK {
		t.Errorf("the session before is gone: %d", status)
	}
}

// goldenSession is a session that an earlier version created.
type goldenSession struct {
	Name    string         `json:"name"`
	Cookies string         `json:"cookies"` // of the request
	Stored  string         `json:"stored"`  // in the session store, if it is not in the cookies
	User    ginauth.User   `json:"user"`
	Claims  map[string]any `json:"claims,omitempty"`
	End     time.Time      `json:"end"`
	SID     string         `json:"sid"`
}

// goldenTime is the time at which they were created.
var goldenTime = time.Date(2026, time.January, 2, 3, 4, 5, 678901000, time.UTC)

// oneRecord is a session store that returns one record for any cookie.
type oneRecord struct {
	text    string
	deleted bool
}

func (o *oneRecord) Get(r *http.Request, name string) (*gorilla.Session, error) {
	return o.New(r, name)
}

func (o *oneRecord) New(_ *http.Request, name string) (*gorilla.Session, error) {
	s := gorilla.NewSession(o, name)
	s.Values["ginauth"] = o.text
	return s, nil
}

func (o *oneRecord) Save(_ *http.Request, w http.ResponseWriter, s *gorilla.Session) error {
	o.text, _ = s.Values["ginauth"].(string)
	o.deleted = s.Options.MaxAge < 0
	http.SetCookie(w, &http.Cookie{Name: s.Name(), Value: "gold", Path: "/"})
	return nil
}

func (*oneRecord) Options(sessions.Options) {}

// goldenApp is the application of the golden sessions, at a time.
type goldenApp struct {
	t       *testing.T
	now     time.Time
	cookies string
	engine  *gin.Engine
	auth    *ginauth.Auth
}

func newGoldenApp(t *testing.T, golden goldenSession, change ...func(*ginauth.Options)) *goldenApp {
	t.Helper()
	a := &goldenApp{t: t, now: goldenTime, cookies: golden.Cookies, engine: gin.New()}
	opts := ginauth.Options{
		BaseURL: "https://app.example.com", Keys: []string{sitetest.Key}, Logger: new(sitetest.Logs).Logger(), KeepClaims: []string{"department"},
		Now: func() time.Time { return a.now },
		Providers: []ginauth.Provider{
			{Name: "demo", Issuer: "https://idp.example", ClientID: "client", ClientSecret: "a secret of the client's",
				AuthorizeURL: "https://idp.example/a", TokenURL: "https://idp.example/t", JWKSURL: "https://idp.example/k",
				Logout: ginauth.ProviderLogout{EndSessionURL: "https://idp.example/out"}},
			{Name: "tenants", Issuer: "https://tenants.example", ClientID: "client", ClientSecret: "a secret of the client's", Admits: []string{"https://tenants.example/one"},
				TokenIssuer: func(claims map[string]any) (string, error) { return fmt.Sprint(claims["iss"]), nil }},
			{Name: "forum", Namespace: "https://forum.example", ClientID: "client", ClientSecret: "a secret of the client's",
				AuthorizeURL: "https://forum.example/a", TokenURL: "https://forum.example/t", UserinfoURL: "https://forum.example/u"},
		},
	}
	if golden.Stored != "" {
		opts.Sessions = &oneRecord{text: golden.Stored}
	}
	for _, change := range change {
		change(&opts)
	}
	auth, err := ginauth.Mount(a.engine, opts)
	if err != nil {
		t.Fatal(err)
	}
	a.auth = auth
	a.engine.GET("/me", auth.RequireAuth(), func(c *gin.Context) {
		var claims map[string]any
		if err := ginauth.CurrentUser(c).Claims(&claims); err != nil {
			t.Error(err)
		}
		info, _ := auth.Session(c)
		c.JSON(http.StatusOK, goldenSession{User: *ginauth.CurrentUser(c), Claims: claims, End: info.AbsoluteExpiry})
	})
	return a
}

// me returns the signed-in user or nil, and stores the cookies of the response.
func (a *goldenApp) me() *goldenSession {
	a.t.Helper()
	w := a.get("/me")
	if w.Code != http.StatusOK {
		return nil
	}
	got := new(goldenSession)
	if err := json.Unmarshal(w.Body.Bytes(), got); err != nil {
		a.t.Fatal(err)
	}
	return got
}

func (a *goldenApp) get(path string) *httptest.ResponseRecorder { return a.send("GET", path) }

func (a *goldenApp) send(method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://app.example.com"+path, nil)
	r.Header.Set("Cookie", a.cookies)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	a.engine.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		pairs := []string{c.Name + "=" + c.Value}
		for _, pair := range strings.Split(a.cookies, "; ") {
			if !strings.HasPrefix(pair, c.Name+"=") {
				pairs = append(pairs, pair)
			}
		}
		a.cookies = strings.Join(pairs, "; ")
	}
	return w
}

// Sessions of the previous version are valid, with all their contents, also after they are
// renewed in the format of this version; they end when they would have ended. An upgrade signs
// no user out.
func TestSessionsOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	for _, golden := range goldenSessions(t) {
		t.Run(golden.Name, func(t *testing.T) {
			t.Parallel()
			want := goldenSession{User: golden.User, Claims: golden.Claims, End: golden.End.Truncate(time.Second)}
			want.User.AuthTime = want.User.AuthTime.Truncate(time.Second)
			check := func(when string, a *goldenApp) {
				t.Helper()
				got := a.me()
				if got == nil {
					t.Fatalf("%s, no user is signed in", when)
				}
				got.End = got.End.UTC()
				got.User.AuthTime = got.User.AuthTime.UTC()
				if fmt.Sprint(sitetest.JSON(got)) != fmt.Sprint(sitetest.JSON(want)) {
					t.Errorf("%s\ngot  %s\nwant %s", when, sitetest.JSON(got), sitetest.JSON(want))
				}
			}
			a := newGoldenApp(t, golden)
			check("after the upgrade", a)
			if a.cookies != golden.Cookies {
				t.Error("it was written at once, and not when it is renewed")
			}
			for range 2 {
				before := a.cookies
				a.now = a.now.Add(3 * time.Hour)
				check("when it is renewed", a)
				if a.cookies == before && golden.Stored == "" {
					t.Error("it was not renewed")
				}
			}
			for a.now.Add(20 * time.Hour).Before(golden.End) {
				a.now = a.now.Add(20 * time.Hour)
				check("until its end", a)
			}
			if a.now = golden.End.Add(2 * time.Second); a.me() != nil {
				t.Error("the session outlives its absolute expiry")
			}

			idle := newGoldenApp(t, golden)
			if idle.now = idle.now.Add(24*time.Hour + 2*time.Second); idle.me() != nil {
				t.Error("the session outlives the idle timeout")
			}

			a = newGoldenApp(t, golden)
			a.now = goldenTime.Add(-30 * time.Second) // a replica whose clock is behind
			user := golden.User
			if err := a.auth.LogoutEverywhere(t.Context(), user.ID()); err != nil {
				t.Fatal(err)
			}
			check("after a sign-out from before", a)
			a.now = goldenTime
			if err := a.auth.LogoutEverywhere(t.Context(), user.ID()); err != nil {
				t.Fatal(err)
			}
			if a.me() != nil {
				t.Error("it survives signing out everywhere")
			}

			a = newGoldenApp(t, golden)
			a.now = a.now.Add(3 * time.Hour)
			check("when it is renewed", a)
			a.now = goldenTime.Add(-30 * time.Second)
			if err := a.auth.LogoutEverywhere(t.Context(), user.ID()); err != nil {
				t.Fatal(err)
			}
			a.now = goldenTime.Add(3 * time.Hour)
			check("renewed, and after a sign-out from before it began", a)

			if golden.SID == "" {
				return
			}
			// These records contain an ID token for the sign-out at the provider.
			for _, renewed := range []bool{false, true} {
				a = newGoldenApp(t, golden)
				if renewed {
					a.now = a.now.Add(3 * time.Hour)
					check("when it is renewed", a)
				}
				out, err := url.Parse(a.send("POST", "/logout").Header().Get("Location"))
				if err != nil || out.Host != "idp.example" || out.Query().Get("id_token_hint") != "eyJhbGciOiJSUzI1NiJ9.e30.c2ln" {
					t.Errorf("renewed: %v: signing out leads to %s", renewed, out)
				}
			}
			a = newGoldenApp(t, golden)
			a.get("/logout/demo/frontchannel?" + url.Values{"iss": {golden.User.Issuer}, "sid": {"other"}}.Encode())
			check("after the sign-out of another session", a)
			a.get("/logout/demo/frontchannel?" + url.Values{"iss": {golden.User.Issuer}, "sid": {golden.SID}}.Encode())
			if a.me() != nil {
				t.Error("it survives the provider's sign-out")
			}
		})
	}
}

// They record neither when nor how the user authenticated, so a check requires authentication:
// their AuthTime may be the time of the sign-in here.
func TestSessionsOfTheVersionBeforeProveNothing(t *testing.T) {
	t.Parallel()
	for _, golden := range goldenSessions(t) {
		a := newGoldenApp(t, golden)
		page := func(c *gin.Context) { c.String(http.StatusOK, "shown") }
		a.engine.GET("/payout", a.auth.RequireAuth(ginauth.MaxAge(240*time.Hour)), page)
		a.engine.GET("/keys", a.auth.RequireAuth(ginauth.ACR("mfa")), page)
		want := http.StatusSeeOther
		if golden.User.Provider == "forum" { // plain OAuth 2.0
			want = http.StatusForbidden
		}
		for _, path := range []string{"/payout", "/keys"} {
			w := a.get(path)
			if asks := strings.Contains(w.Header().Get("Location"), "demand="); w.Code != want || asks != (want == http.StatusSeeOther) {
				t.Errorf("%s, %s: %d to %q", golden.Name, path, w.Code, w.Header().Get("Location"))
			}
		}
	}
}

// goldenSessions returns the sessions of the previous version.
func goldenSessions(t *testing.T) (list []goldenSession) {
	t.Helper()
	text, err := os.ReadFile("testdata/session_v2/sessions.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &list); err != nil || len(list) < 7 {
		t.Fatal(len(list), err)
	}
	return list
}

// goldenOf returns the session with that name.
func goldenOf(t *testing.T, name string) goldenSession {
	t.Helper()
	list := goldenSessions(t)
	at := slices.IndexFunc(list, func(s goldenSession) bool { return s.Name == name })
	if at < 0 {
		t.Fatalf("there is no session %q", name)
	}
	return list[at]
}

// A session of the previous version does not record what was admitted when it began. If it has
// all claims, VerifyClaims is called with them; once renewed, it is like any other.
func TestSessionsOfTheVersionBeforeEndWithWhatTheProviderAdmits(t *testing.T) {
	t.Parallel()
	admit := func(department string) func(o *ginauth.Options) {
		return func(o *ginauth.Options) {
			o.Providers[0].Admits = []string{"department=" + department}
			o.Providers[0].VerifyClaims = func(claims map[string]any) error {
				if claims["department"].(string) != department { // it panics for a user without the claim
					return errors.New("another department")
				}
				return nil
			}
		}
	}
	for _, tt := range []struct {
		session, admits string
		lives           bool
	}{{"all claims", "engines", true}, {"all claims", "sails", false}, {"all", "sails", true}, {"least", "sails", true}} {
		a := newGoldenApp(t, goldenOf(t, tt.session), admit(tt.admits))
		if lives := a.me() != nil; lives != tt.lives {
			t.Errorf("the session %q, now that %q is admitted: %v", tt.session, tt.admits, lives)
		}
		if a.now = a.now.Add(3 * time.Hour); (a.me() != nil) != tt.lives {
			t.Errorf("the session %q, renewed: not %v", tt.session, tt.lives)
		}
		cookies := a.cookies
		a = newGoldenApp(t, goldenSession{Cookies: cookies}, admit("another tenant"))
		if a.now = a.now.Add(3 * time.Hour); tt.lives && a.me() != nil {
			t.Errorf("the session %q, renewed, is valid although its user is not admitted", tt.session)
		}
	}
}

// A user that the application signed in has no claims to verify, even if all are kept.
func TestASignInOfTheApplicationInTheVersionBefore(t *testing.T) {
	t.Parallel()
	const ownIssuer, kept = 1 << 1, 1 << 2
	print := sha256.Sum256(wire.AppendStrings(nil, []string{"https://idp.example"}))
	b := append([]byte{2}, "0123456789abcdef"...)
	b = wire.AppendMicros(append(b, ownIssuer|kept), goldenTime)
	for _, at := range []time.Time{goldenTime, goldenTime, goldenTime.Add(time.Hour), goldenTime} {
		b = wire.AppendSince(b, at, goldenTime)
	}
	b = append(wire.AppendString(b, "demo"), print[:8]...)
	for _, text := range []string{"ada", "", "", "", ""} {
		b = wire.AppendString(b, text)
	}
	b = wire.AppendStrings(wire.AppendStrings(b, nil), []string{"*"})
	box, err := seal.New([]string{sitetest.Key}, "https://app.example.com", "session")
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(goldenOf(t, "least").Cookies, "=")
	a := newGoldenApp(t, goldenSession{Cookies: name + "=1" + box.Seal(b, name)}, func(o *ginauth.Options) {
		o.Providers[0].Admits, o.Providers[0].VerifyClaims = []string{"hd=idp.example"}, func(map[string]any) error { return errors.New("no hd") }
	})
	if a.me() == nil {
		t.Error("no user is signed in")
	}
}

// The sid of a plain OAuth 2.0 profile, which the previous version kept, does not identify a
// session that the provider could end.
func TestSIDOfAPlainProfileOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	golden := goldenOf(t, "all")
	a := newGoldenApp(t, golden, func(o *ginauth.Options) {
		o.Providers[0] = ginauth.Provider{Name: "demo", Namespace: golden.User.Issuer, ClientID: "client", ClientSecret: "a secret of the client's",
			AuthorizeURL: "https://idp.example/a", TokenURL: "https://idp.example/t", UserinfoURL: "https://idp.example/u"}
	})
	for _, when := range []string{"at once", "renewed"} {
		a.get("/logout/demo/frontchannel?" + url.Values{"iss": {golden.User.Issuer}, "sid": {golden.SID}}.Encode())
		if a.me() == nil {
			t.Fatalf("%s, it ends the session", when)
		}
		a.now = a.now.Add(3 * time.Hour)
		a.me()
	}
}

// wholeRecord is a record of version 3 with every field, built from the specification of the
// format, not by the program.
type wholeRecord struct {
	ID                                      string
	Flags                                   uint16
	Created                                 time.Time
	Seen, Issued, Until, AuthTime           time.Time
	Idle                                    uint64
	Rechecked                               time.Time
	Mark                                    uint64
	Provider, Print                         string
	Subject, Name, Username, Email, Picture string
	Groups                                  []string
	SID, Locale, Claims, ACR, Actor         string
	Kept                                    []string
	Data                                    map[string]string
}

func (w *wholeRecord) encode() []byte {
	b := append([]byte{3}, w.ID...)
	b = binary.LittleEndian.AppendUint16(b, w.Flags)
	b = wire.AppendMicros(b, w.Created)
	for _, at := range []time.Time{w.Seen, w.Issued, w.Until, w.AuthTime} {
		b = wire.AppendSince(b, at, w.Created)
	}
	b = wire.AppendUint(b, w.Idle)
	b = wire.AppendSince(b, w.Rechecked, w.Created)
	b = wire.AppendUint(b, w.Mark)
	b = append(wire.AppendString(b, w.Provider), w.Print...)
	for _, text := range []string{w.Subject, w.Name, w.Username, w.Email, w.Picture} {
		b = wire.AppendString(b, text)
	}
	b = wire.AppendStrings(b, w.Groups)
	for _, text := range []string{w.SID, w.Locale, w.Claims, w.ACR, w.Actor} {
		b = wire.AppendString(b, text)
	}
	return wire.AppendMap(wire.AppendStrings(b, w.Kept), w.Data)
}

// decodeWhole is the inverse of encode, for a record with every field.
func decodeWhole(t *testing.T, record string) (w wholeRecord) {
	t.Helper()
	r := wire.NewReader(record)
	if version := r.Bytes(1); version != "\x03" {
		t.Fatalf("the record is of version %q", version)
	}
	w.ID = r.Bytes(16)
	flags := r.Bytes(2)
	w.Flags = binary.LittleEndian.Uint16([]byte(flags))
	w.Created = r.Micros()
	for _, at := range []*time.Time{&w.Seen, &w.Issued, &w.Until, &w.AuthTime} {
		*at = r.Since(w.Created)
	}
	w.Idle = r.Uint()
	w.Rechecked = r.Since(w.Created)
	w.Mark = r.Uint()
	w.Provider, w.Print = r.String(), r.Bytes(8)
	for _, text := range []*string{&w.Subject, &w.Name, &w.Username, &w.Email, &w.Picture} {
		*text = r.String()
	}
	w.Groups = r.Strings(nil)
	for _, text := range []*string{&w.SID, &w.Locale, &w.Claims, &w.ACR, &w.Actor} {
		*text = r.String()
	}
	w.Kept, w.Data = r.Strings(nil), r.Map()
	if !r.OK() {
		t.Fatalf("the record does not fit: %+v of %q", w, record)
	}
	return w
}

// A renewed record keeps all its fields, also those that this version does not use yet.
func TestARenewedRecordKeepsEverything(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	box := sitetest.SessionBox(t, s)
	name, minted := sitetest.RecordOf(t, box, s.Mint(&ginauth.User{Subject: "ada"}))
	at := strings.Index(minted, "demo") + len("demo")
	now := s.Clock.Now().Truncate(time.Microsecond)
	second := func(d time.Duration) time.Time { return time.Unix(now.Add(d).Unix(), 0) }
	whole := wholeRecord{
		ID: "sixteen bytes id", Flags: 1<<13 - 1, Created: now, Seen: second(0), Issued: second(-2 * time.Second), Until: second(40 * time.Hour),
		AuthTime: second(-time.Hour), Idle: 5 * 3600, Rechecked: second(-time.Minute), Mark: uint64(now.UnixMilli() + 1), Provider: "demo", Print: minted[at : at+8],
		Subject: "ada", Name: "Ada", Username: "countess", Email: "ada@example.com", Picture: "https://pictures.example/ada.png", Groups: []string{"admin", "dev"},
		SID: "a session", Locale: "en", Claims: `{"department":"engines"}`, ACR: "urn:example:gold", Actor: "https://idp.example#root",
		Kept: []string{"department"}, Data: map[string]string{"cart": "42"},
	}
	line := name + "=1" + box.Seal(whole.encode(), name)
	renewed := func() (*wholeRecord, string) {
		p := s.AskAs(s.NewBrowser(), "GET", "/who", append([]string{"Cookie", line}, sitetest.Fetch...)...)
		for _, c := range p.Header.Values("Set-Cookie") {
			pair, _, _ := strings.Cut(c, ";")
			_, record := sitetest.RecordOf(t, box, pair)
			w := decodeWhole(t, record)
			return &w, p.Text()
		}
		return nil, p.Text()
	}
	if got, who := renewed(); got != nil || who != "ada" {
		t.Fatalf("at first %q is signed in, and the record is %+v", who, got)
	}
	s.Clock.Advance(40 * time.Minute) // a tenth of its idle timeout is 30 minutes
	got, who := renewed()
	if got == nil || who != "ada" {
		t.Fatalf("%q is signed in, and the record is %+v", who, got)
	}
	if seen := got.Seen.Sub(whole.Seen); seen < 39*time.Minute || seen > 41*time.Minute {
		t.Errorf("it was seen %v later", seen)
	}
	if got.Seen = whole.Seen; !reflect.DeepEqual(*got, whole) {
		t.Errorf("got  %+v\nwant %+v", *got, whole)
	}
	s.Clock.Advance(4*time.Hour + 22*time.Minute)
	if _, who := renewed(); strings.Contains(who, "ada") {
		t.Error("the session outlives its own idle timeout")
	}
}

// A sign-in records the ID token's claims about the authentication.
func TestARecordHasWhatTheIDTokenSays(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	box := sitetest.SessionBox(t, s)
	const hasAuthTime = 1 << 4
	flagsOf := func(record string) uint16 { return binary.LittleEndian.Uint16([]byte(record[17:19])) }
	record := func(claims map[string]any) string {
		t.Helper()
		s.IDP.EditIDToken(func(_, all map[string]any) {
			delete(all, "auth_time")
			delete(all, "acr")
			maps.Copy(all, claims)
		})
		s.Browser = s.NewBrowser()
		s.SignIn()
		_, text := sitetest.RecordOf(t, box, s.CookieHeader())
		return text
	}
	now := s.Clock.Now().Unix()
	if got := record(map[string]any{"acr": "urn:example:gold", "auth_time": now - 10}); !strings.Contains(got, "urn:example:gold") || flagsOf(got)&hasAuthTime == 0 {
		t.Errorf("the record is %q", got)
	}
	for what, claims := range map[string]map[string]any{
		"nothing": nil, "no text": {"acr": []string{"gold"}},
		"more than anybody needs": {"acr": strings.Repeat("gold", 100)},
	} {
		if got := record(claims); strings.Contains(got, "gold") || flagsOf(got)&hasAuthTime != 0 {
			t.Errorf("%s: the record is %q", what, got)
		}
	}
}

// Provider.Admits is part of the checks of a session: with several issuers, the session's must
// be among them; with one, Admits must be the same as when the session began.
func TestSessionsEndWithWhatTheProviderAdmits(t *testing.T) {
	t.Parallel()
	one, two := sitetest.Nowhere, sitetest.Nowhere
	two.Name, two.ClientID = "tenants", "c0ffee2"
	two.TokenIssuer = func(claims map[string]any) (string, error) { return fmt.Sprint(claims["iss"]), nil }
	app := func(admits []string) *sitetest.Site {
		s := &sitetest.Site{T: t, URL: "https://app.example.com", Engine: gin.New(), Clock: &sitetest.Clock{}, Logs: &sitetest.Logs{}}
		one, two := one, two
		one.Admits, two.Admits = admits, admits
		three := sitetest.Nowhere
		three.Name, three.ClientID = "others", "c0ffee3"
		auth, err := ginauth.Mount(s.Engine, ginauth.Options{BaseURL: s.URL, Keys: []string{sitetest.Key}, Logger: s.Logs.Logger(),
			Providers: []ginauth.Provider{one, two, three}})
		if err != nil {
			t.Fatal(err)
		}
		s.Auth = auth
		s.Guard("/who", sitetest.WriteSubject)
		return s
	}
	alive := func(s *sitetest.Site, line string) bool {
		r := httptest.NewRequest("GET", s.URL+"/who", nil)
		r.Header.Set("Cookie", line)
		w := httptest.NewRecorder()
		s.Engine.ServeHTTP(w, r)
		return w.Code == http.StatusOK
	}
	people := map[string]*ginauth.User{
		"of the issuer":   {Provider: one.Name, Subject: "ada"},
		"of a tenant":     {Provider: two.Name, Subject: "ada", Issuer: "https://id.example.com/one"},
		"of its own":      {Provider: two.Name, Subject: "ada"},
		"of another name": {Provider: "others", Subject: "ada"},
	}
	lists := [][]string{nil, {"https://id.example.com/one"}, {"https://id.example.com/one", sitetest.Nowhere.Issuer}}
	for _, before := range lists {
		for name, user := range people {
			issuer := cmp.Or(user.Issuer, sitetest.Nowhere.Issuer)
			if user.Provider == two.Name && len(before) > 0 && !slices.Contains(before, issuer) {
				continue // cannot sign in
			}
			line := app(before).Mint(user)
			for _, now := range lists {
				want := slices.Equal(now, before)
				switch user.Provider {
				case two.Name:
					want = len(now) == 0 || slices.Contains(now, issuer)
				case "others":
					want = true
				}
				if alive(app(now), line) != want {
					t.Errorf("%s: a session from when %q was admitted, now that %q is: %v, want %v", name, before, now, !want, want)
				}
			}
		}
	}
}

// Two replicas whose clocks differ: signing out everywhere at one ends the sessions that began
// at the other, and a later sign-in stays valid, whichever clock is ahead.
func TestLogoutEverywhereByTwoClocks(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"the other clock is ahead": 50 * time.Second, "the other clock is behind": -50 * time.Second, "the clocks agree": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared := &sitetest.RevocationMap{}
			replica := func(ahead time.Duration) *sitetest.Site {
				s := &sitetest.Site{T: t, URL: "https://app.example.com", Engine: gin.New(), Clock: &sitetest.Clock{}, Logs: &sitetest.Logs{}}
				s.Clock.Advance(ahead)
				auth, err := ginauth.Mount(s.Engine, ginauth.Options{BaseURL: s.URL, Keys: []string{sitetest.Key}, Logger: s.Logs.Logger(), Now: s.Clock.Now,
					Providers: []ginauth.Provider{sitetest.Nowhere}, Revocations: shared})
				if err != nil {
					t.Fatal(err)
				}
				s.Auth = auth
				s.Guard("/who", sitetest.WriteSubject)
				return s
			}
			one, other := replica(0), replica(ahead)
			ada := &ginauth.User{Provider: sitetest.Nowhere.Name, Issuer: sitetest.Nowhere.Issuer, Subject: "ada"}
			alive := func(line string) string {
				var in []string
				for _, s := range []*sitetest.Site{one, other} {
					r := httptest.NewRequest("GET", s.URL+"/who", nil)
					r.Header.Set("Cookie", line)
					w := httptest.NewRecorder()
					s.Engine.ServeHTTP(w, r)
					in = append(in, fmt.Sprint(w.Code))
				}
				return strings.Join(in, " ")
			}
			const both, none = "200 200", "401 401"
			for round := range 3 { // the second mark is written where the first may be in the future
				lines := []string{one.Mint(ada), other.Mint(ada)}
				for i, line := range lines {
					if got := alive(line); got != both {
						t.Fatalf("round %d: session %d gets %s", round, i, got)
					}
				}
				for _, s := range []*sitetest.Site{one, other} {
					if err := s.Auth.LogoutEverywhere(t.Context(), ada.ID()); err != nil {
						t.Fatal(err)
					}
					for i, line := range lines {
						if got := alive(line); got != none {
							t.Errorf("round %d: session %d outlives a sign-out: %s", round, i, got)
						}
					}
					lines = []string{one.Mint(ada), other.Mint(ada)}
				}
			}
			if got := alive(one.Mint(&ginauth.User{Provider: ada.Provider, Issuer: ada.Issuer, Subject: "grace"})); got != both {
				t.Errorf("another user gets %s", got)
			}
		})
	}
}

// A session has the idle timeout of its sign-in: a longer one in the options applies to later
// sessions, a shorter one immediately.
func TestIdleTimeoutIsSealed(t *testing.T) {
	t.Parallel()
	var c sitetest.Clock
	app := func(idle time.Duration) *sitetest.Site {
		s := &sitetest.Site{T: t, URL: "https://app.example.com", Engine: gin.New(), Clock: &c, Logs: &sitetest.Logs{}}
		auth, err := ginauth.Mount(s.Engine, ginauth.Options{BaseURL: s.URL, Keys: []string{sitetest.Key}, Logger: s.Logs.Logger(), Now: c.Now,
			Providers: []ginauth.Provider{sitetest.Nowhere}, IdleTimeout: idle})
		if err != nil {
			t.Fatal(err)
		}
		s.Auth = auth
		s.Guard("/who", sitetest.WriteSubject)
		return s
	}
	ask := func(s *sitetest.Site, line string) int {
		r := httptest.NewRequest("GET", s.URL+"/who", nil)
		r.Header.Set("Cookie", line)
		w := httptest.NewRecorder()
		s.Engine.ServeHTTP(w, r)
		return w.Code
	}
	before, longer, shorter := app(2*time.Hour), app(20*time.Hour), app(time.Hour)
	line := before.Mint(&ginauth.User{Provider: sitetest.Nowhere.Name, Subject: "ada"})
	c.Advance(110 * time.Minute)
	if got := ask(longer, line); got != http.StatusOK {
		t.Errorf("before its idle timeout it gets %d", got)
	}
	if got := ask(shorter, line); got != http.StatusUnauthorized {
		t.Errorf("with a shorter one it gets %d", got)
	}
	c.Advance(11 * time.Minute)
	if got := ask(longer, line); got != http.StatusUnauthorized {
		t.Errorf("after its idle timeout it gets %d", got)
	}
}

// Update does not renew a session: a handler that was running during a sign-out may call it
// hours later, and the session that it writes must have expired when the mark of the sign-out
// expires.
func TestUpdateDoesNotProlong(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, func(_ *sitetest.Site, o *ginauth.Options) { o.IdleTimeout = time.Hour })
	reached, goOn := make(chan bool), make(chan bool)
	s.Guard("/slow", func(c *gin.Context) {
		close(reached)
		<-goOn
		if err := s.Auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"k": "v"} }); err != nil {
			t.Error(err)
		}
	})
	s.As("ada")
	slow := s.Browser.Clone()
	done := make(chan *authtest.Page)
	go func() {
		p, _ := slow.Fetch(sitetest.HomePage(s), "GET", s.URL+"/slow", nil, "")
		done <- p
	}()
	<-reached
	s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	s.Clock.Advance(50 * time.Minute)
	close(goOn)
	saved, _, _ := strings.Cut((<-done).Header.Get("Set-Cookie"), ";")
	if _, record := sitetest.RecordOf(t, sitetest.SessionBox(t, s), saved); !strings.Contains(record, "\x01k\x01v") {
		t.Fatal("the slow request saved nothing")
	}
	s.Clock.Advance(13 * time.Minute) // the mark of the sign-out has expired
	s.As("grace")
	if who := s.Stolen(saved); who != "" {
		t.Errorf("%q is signed in again", who)
	}
}
