package sitetest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// Authorization returns the authorization request that a page redirects to, and
// asserts that no parameter is repeated.
func Authorization(t testing.TB, p *authtest.Page) (location string, params url.Values) {
	t.Helper()
	location = p.Header.Get("Location")
	u, err := url.Parse(location)
	if p.Status != http.StatusSeeOther || err != nil {
		t.Fatalf("the login route answered %d with Location %q: %.300s", p.Status, location, p.Text())
	}
	params, err = url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range params {
		if len(values) != 1 {
			t.Errorf("%s occurs %d times in %s", name, len(values), location)
		}
	}
	return location, params
}

// StateForm matches every state.
var StateForm = regexp.MustCompile(`^[A-Za-z0-9_-]{8}\.[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{16}$`)

// EditAnswer lets change edit the responses of an endpoint.
func EditAnswer(s *Site, e authtest.Endpoint, change func(a *Answer)) {
	s.IDP.Handle(e, func(w http.ResponseWriter, r *http.Request) {
		own := httptest.NewRecorder()
		s.IDP.Default(e).ServeHTTP(own, r)
		a := &Answer{Status: own.Code, Media: own.Header().Get("Content-Type"), Body: own.Body.String()}
		change(a)
		for name, values := range a.Header {
			w.Header()[name] = values
		}
		AnswerWith(a.Status, a.Media, a.Body)(w, r)
	})
}

// Answer is the response of an endpoint.
type Answer struct {
	Status      int
	Media, Body string
	Header      http.Header
}

// NewWithToken is New with an OnLogin that passes its token on. It also returns a function that waits
// for the next token.
func NewWithToken(t *testing.T) (*Site, func() *oauth2.Token) {
	t.Helper()
	kept := make(chan *oauth2.Token, 10)
	s := New(t, func(_ *Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			kept <- login.Token
			return nil
		}
	})
	return s, func() *oauth2.Token { return <-kept }
}

// UserinfoAlways makes every sign-in request userinfo.
func UserinfoAlways(_ *Site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" }

// Plain makes the provider a plain OAuth 2.0 one, with the userinfo as profile.
func Plain(s *Site, o *ginauth.Options) {
	o.Providers = []ginauth.Provider{{
		Name: "demo", Namespace: "https://idp.example", ClientID: s.IDP.ClientID, ClientSecret: s.IDP.ClientSecret, Scopes: []string{"profile", "email"},
		AuthorizeURL: s.IDP.URL(authtest.Authorize), TokenURL: s.IDP.URL(authtest.Token), UserinfoURL: s.IDP.URL(authtest.Userinfo),
		ClaimPaths: map[string]string{"sub": "id"},
	}}
}

// ErrRefused is the error of hooks that reject a sign-in.
var ErrRefused = errors.New("this one may not come in")

// RoundTripper is a function as http.RoundTripper.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// QuickClient returns a client with a shorter timeout than the ten seconds of
// the default.
func QuickClient(after time.Duration) *http.Client { return &http.Client{Timeout: after} }

// AnswerWith returns a handler that responds with a status, a media type ("" for none) and a body.
func AnswerWith(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if media != "" {
			w.Header().Set("Content-Type", media)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// Failing is a transport on which every request fails.
type Failing struct{}

// RoundTrip fails.
func (Failing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("this transport is not to be used")
}

// OutageTimeout is the timeout of NewOutage: shorter than the default, but long enough for a busy
// machine.
const OutageTimeout = 1500 * time.Millisecond

// BrokenEndpoints are the endpoints that an outage can affect.
var BrokenEndpoints = []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo}

// NewOutage is New for tests of outages: userinfo is always requested, the timeout is short, and a
// second provider, "other", keeps working.
func NewOutage(t *testing.T, change func(s *Site, o *ginauth.Options)) *Site {
	t.Helper()
	return New(t, func(s *Site, o *ginauth.Options) {
		o.HTTPClient = QuickClient(OutageTimeout)
		o.Providers[0].Userinfo = "always"
		other := Client("other", StartProvider(t, authtest.Config{Now: s.Clock.Now}))
		o.Providers = append(o.Providers, other)
		if change != nil {
			change(s, o)
		}
	})
}

// NewPlain is New with a plain OAuth 2.0 provider, whose profile is given as
// JSON ("" for the provider's own).
func NewPlain(t *testing.T, profile string, change func(s *Site, p *ginauth.Provider)) *Site {
	t.Helper()
	s := New(t, func(s *Site, o *ginauth.Options) {
		Plain(s, o)
		if change != nil {
			change(s, &o.Providers[0])
		}
	})
	if profile != "" {
		s.IDP.Handle(authtest.Userinfo, AnswerWith(200, "application/json", profile))
	}
	return s
}
