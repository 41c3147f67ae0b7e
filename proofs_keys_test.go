package ginauth_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// A member of the header that a program may read in another case is refused,
// whichever it is.
func TestHeadersInAnotherCase(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for i, name := range []string{"ALG", "TYP", "KID", "CRIT", "B64", "CTY", "ENC", "ZIP", "JWK", "JKU", "X5U", "X5C"} {
		s.idp.ReplaceIDToken(func(compact string) string {
			return s.idp.SignRaw([]byte(adding(`"`+name+`":"x"`)(decoded(compact, 0))), []byte(decoded(compact, 1)))
		})
		s.logs.Reset()
		s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, fmt.Sprintf(`member \"%s\" is a variant of`, name), i+1)
	}
}

// A header that is JSON as far as it can be decoded is still not base64url.
func TestHeaderWithHalfAByteMore(t *testing.T) {
	t.Parallel()
	rawCases(t, []rawCase{{"half a byte behind the header", "not in JWS compact serialization", func(_ *site, compact, header, _ string) string {
		for len(header)%3 != 0 {
			header += " "
		}
		_, rest, _ := strings.Cut(compact, ".")
		return b64([]byte(header)) + "A." + rest
	}}})
}

// Keys that cannot be had are not asked for by every sign-in.
func TestAnOutageOfKeysIsRemembered(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.idp.Fail(authtest.JWKS, authtest.Down)
	for range 5 {
		s.get("/login/demo")
	}
	if n := s.idp.Count(authtest.JWKS); n != 1 {
		t.Errorf("the keys were asked for %d times", n)
	}
	s.idp.Heal()
	s.clock.Advance(6 * time.Second)
	s.accepts(t, "/login/demo")
}

// A token that names its key is not taken for one of a key without a name,
// before the provider was asked whether it has that key meanwhile.
func TestAKeyGetsItsName(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.idp.EditJWKS(func(keys []map[string]any) []map[string]any { delete(keys[0], "kid"); return keys })
	s.accepts(t, "/login/demo")
	s.idp.EditJWKS(nil)
	s.idp.RotateKey()
	s.clock.Advance(time.Minute)
	s.accepts(t, "/login/demo")
}

// Metadata without an issuer is nobody's, even where TokenIssuer says which
// issuers there are.
func TestMetadataWithoutAnIssuer(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Providers[0].TokenIssuer = func(map[string]any) (string, error) { return s.idp.Issuer, nil }
		s.idp.EditMetadata(func(m map[string]any) { delete(m, "issuer") })
	})
	s.wantError(s.open("/login/demo"), ginauth.ErrProviderMisconfigured)
	if !strings.Contains(s.logs.String(), "the provider's metadata has no issuer") {
		t.Error(s.logs)
	}
}

// With two endpoints of three written down the third is discovered, whichever
// it is.
func TestEachEndpointIsDiscovered(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(p *ginauth.Provider){
		"authorize": func(p *ginauth.Provider) { p.AuthorizeURL = "" },
		"token":     func(p *ginauth.Provider) { p.TokenURL = "" },
		"keys":      func(p *ginauth.Provider) { p.JWKSURL = "" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(s *site, o *ginauth.Options) {
				byHand(&o.Providers[0], s.idp)
				forget(&o.Providers[0])
			})
			s.signIn()
			if n := s.idp.Count(authtest.Discovery); n != 1 {
				t.Errorf("discovery was asked %d times", n)
			}
		})
	}
}

// brokenBody is a transport whose answers panic when they are read.
type brokenBody struct{}

func (brokenBody) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: brokenBody{}}, nil
}
func (brokenBody) Read([]byte) (int, error) { panic("a bug") }
func (brokenBody) Close() error             { return nil }

// Discovery runs on a goroutine that no request owns: a panic there would end
// the process.
func TestABodyThatPanics(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.HTTPClient = &http.Client{Transport: brokenBody{}} })
	s.wantError(s.open("/login/demo"), ginauth.ErrProviderUnavailable)
}

// fixed answers everything with the same JSON.
type fixed string

func (f fixed) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(f)))}, nil
}

// A provider whose tokens are signed with the shared secret may offer nothing
// else; for any other that is a mistake.
func TestMetadataThatOffersTheSharedSecretAlone(t *testing.T) {
	t.Parallel()
	const issuer = "https://access.line.me"
	for _, shared := range []bool{true, false} {
		s := newSite(t, func(s *site, o *ginauth.Options) {
			o.HTTPClient = &http.Client{Transport: fixed(jsonOf(claims{
				"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token", "jwks_uri": issuer + "/keys",
				"id_token_signing_alg_values_supported": []string{"HS256"},
			}))}
			o.Providers[0].Issuer, o.Providers[0].Quirks.HS256 = issuer, shared
		})
		if err := s.auth.Warm(t.Context()); (err == nil) != shared {
			t.Errorf("with HS256 %v: %v", shared, err)
		}
	}
}
