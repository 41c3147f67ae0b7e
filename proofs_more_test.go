package ginauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
)

// What has the name of the cookie of a sign-out and does not open is not ours
// to take back.
func TestForeignCookieAtTheReturnFromTheProvider(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.signIn()
	s.browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.idp.Issuer) }
	p := s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", nil))
	state, name := "", ""
	if to, err := url.Parse(p.Header.Get("Location")); err == nil {
		state = to.Query().Get("state")
	}
	for _, line := range p.Header.Values("Set-Cookie") {
		if cookie, value, _ := strings.Cut(line, "="); strings.HasSuffix(cookie, "-l") && !strings.HasPrefix(value, ";") {
			name = cookie
		}
	}
	if name == "" || state == "" {
		t.Fatalf("the sign-out has no state or cookie: %v", p.Header)
	}
	answer := s.withCookies("GET", s.URL+"/logout/return?state="+url.QueryEscape(state), name+"=somebody-elses")
	if got := answer.Header.Values("Set-Cookie"); len(got) > 0 || answer.StatusCode != http.StatusSeeOther {
		t.Errorf("answered %d and %q", answer.StatusCode, got)
	}
}

// fullStore is a store that does not take what it is given.
type fullStore struct {
	ginsessions.Store
	err error
}

func (f *fullStore) Save(*http.Request, http.ResponseWriter, *gorilla.Session) error { return f.err }

// Stores say in their own words that a record is too large: that is the
// application's to mend, and not an outage.
func TestWhatStoresSayOfRecordsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	for text, code := range map[string]ginauth.Code{
		"securecookie: the value is too long": ginauth.ErrSessionError, "SessionStore: the value to store is too big": ginauth.ErrSessionError,
		"SERVER_ERROR object too large for cache": ginauth.ErrSessionError, "i/o timeout": ginauth.ErrStoreUnavailable,
	} {
		s := newSite(t, func(_ *site, o *ginauth.Options) {
			o.Sessions = &fullStore{memstore.NewStore([]byte("the store's secret")), errors.New(text)}
		})
		s.wantError(s.get("/login/demo"), code)
	}
}

// A field of a form_post answer that is there twice is not carried over: which
// of the two is meant cannot be told.
func TestFieldsThatAreThereTwiceAreNotCarried(t *testing.T) {
	t.Parallel()
	got := make(chan url.Values, 1)
	f := newFlow(t, func(s *site, o *ginauth.Options) {
		formPost(s, o)
		o.Providers[0].Quirks.EditToken = func(_, answer url.Values) { got <- answer }
	})
	form := f.answerForm("/login/demo")
	form["user"], form["device_id"] = []string{"ada", "eve"}, []string{"one"}
	f.post(form)
	if answer := <-got; answer.Has("user") || answer.Get("device_id") != "one" {
		t.Errorf("carried over were %v", answer)
	}
}
