package ginauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/memstore"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// What the token endpoint's error codes mean, and that the log names them, is
// the same for those that only some providers have.
func TestErrorCodesOfTokenEndpoints(t *testing.T) {
	t.Parallel()
	for said, tt := range map[string]struct {
		code   ginauth.Code
		reason string
	}{
		"invalid_grant":                {ginauth.ErrCodeRejected, `answered \"invalid_grant\"`},
		"bad_verification_code":        {ginauth.ErrCodeRejected, `answered \"bad_verification_code\"`},
		"invalid_client":               {ginauth.ErrProviderMisconfigured, `answered \"invalid_client\"`},
		"unauthorized_client":          {ginauth.ErrProviderMisconfigured, `answered \"unauthorized_client\"`},
		"incorrect_client_credentials": {ginauth.ErrProviderMisconfigured, `answered \"incorrect_client_credentials\"`},
		"redirect_uri_mismatch":        {ginauth.ErrProviderMisconfigured, `answered \"redirect_uri_mismatch\"`},
		"temporarily_unavailable":      {ginauth.ErrProviderUnavailable, `answered \"temporarily_unavailable\"`},
		"server_error":                 {ginauth.ErrProviderUnavailable, `answered \"server_error\"`},
		"another":                      {ginauth.ErrProviderError, `answered \"another\"`},
		"":                             {ginauth.ErrProviderError, "none of the standard's"},
		"a code, sent back":            {ginauth.ErrProviderError, "none of the standard's"},
	} {
		s := newSite(t, nil)
		s.idp.Handle(authtest.Token, answers(http.StatusBadRequest, "application/json", jsonOf(claims{"error": said})))
		s.refuses(t, "/login/demo", tt.code, tt.reason, 1)
	}
}

// A NormalizeToken that fails is what the log names.
func TestNormalizeTokenThatFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].Quirks.NormalizeToken = func(http.Header, []byte) ([]byte, error) { return nil, errors.New("odd") }
	})
	s.refuses(t, "/login/demo", ginauth.ErrBadTokenResponse, "NormalizeToken could not read the token answer", 1)
}

// A token request may be a GET without being changed otherwise.
func TestTokenByGETAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Quirks.TokenMethod = http.MethodGet })
	method := ""
	s.idp.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		method = r.Method + " " + r.URL.Query().Get("grant_type")
		http.Error(w, "", http.StatusTeapot)
	})
	s.wantError(s.get("/login/demo"), ginauth.ErrBadTokenResponse)
	if method != "GET authorization_code" {
		t.Errorf("asked with %q", method)
	}
}

// EditToken sees the client id only where it is sent in the form.
func TestEditTokenSeesWhatIsSent(t *testing.T) {
	t.Parallel()
	var seen url.Values
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].AuthMethod = "client_secret_basic"
		o.Providers[0].Quirks.EditToken = func(form, _ url.Values) { seen = form }
	})
	s.accepts(t, "/login/demo")
	if seen.Has("client_id") || !seen.Has("code") {
		t.Errorf("saw %v", seen)
	}
}

// A provider that does not say what time it has is not said to be off.
func TestTokenAnswersWithoutADate(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.idp.EditIDToken(func(_, c claims) { c["exp"] = s.clock.Now().Add(-time.Hour).Unix() })
	s.idp.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		s.idp.Default(authtest.Token).ServeHTTP(w, r)
	})
	s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "exp", 1)
	if strings.Contains(s.logs.String(), "the provider's") {
		t.Error(s.logs)
	}
}

// A store that fails is no loop: the sign-in goes on, and says itself what is
// wrong.
func TestAStoreThatFailsIsNoLoop(t *testing.T) {
	t.Parallel()
	store := &deafStore{Store: memstore.NewStore([]byte("the store's secret")), fails: errors.New("connection refused")}
	f := storeSite(t, store)
	for range 3 {
		f.signIn()
	}
	store.deaf.Store(true)
	if p := f.open("/login/demo"); p.Status != http.StatusSeeOther || !strings.HasPrefix(p.Header.Get("Location"), f.idp.Issuer) {
		t.Errorf("answered %d: %s", p.Status, p.Text())
	}
}
