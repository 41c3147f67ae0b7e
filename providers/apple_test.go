package providers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/ginauth/ginauth/providers"
)

// teamKey is the key of a team that exists in tests alone.
var teamKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// p8 is a key as Apple gives it away.
func p8(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestAppleClientSecret(t *testing.T) {
	s := newStandIn(t, "apple")
	a := s.app(s.provider())
	var before string
	for range 2 {
		a.get("/login/apple")
		secret := s.token.Get("client_secret")
		jws, err := jose.ParseSignedCompact(secret, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := jws.Verify(teamKey().Public())
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Iss, Sub, Aud string
			Iat, Exp      int64
		}
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		now := time.Now().Unix()
		if jws.Signatures[0].Header.KeyID != "K1L2M3N4P5" || claims.Iss != "A1B2C3D4E5" || claims.Sub != testClientID || claims.Aud != "https://appleid.apple.com" ||
			claims.Iat > now || claims.Iat < now-60 || claims.Exp != claims.Iat+300 {
			t.Errorf("the client secret says %+v", claims)
		}
		if secret == before {
			t.Error("the client secret was used twice")
		}
		before = secret
	}
}

// The name comes once, in a form that anybody could have written: it is a name
// and nothing else.
func TestAppleUserField(t *testing.T) {
	for _, tt := range []struct{ name, user, want string }{
		{"the first visit", `{"name":{"firstName":"Petra","middleName":null,"lastName":"Lindqvist"},"email":"victim@corp.example"}`, "Petra Lindqvist"},
		{"a first name alone", `{"name":{"firstName":"Petra"}}`, "Petra"},
		{"more than it should say", `{"sub":"000000.victim","email":"victim@corp.example","email_verified":true,"name":{"firstName":"Petra","lastName":"L"}}`, "Petra L"},
		{"no JSON", `Petra`, ""},
		{"two names", `{"name":{"firstName":"A"},"name":{"firstName":"B"}}`, ""},
		{"too much", `{"name":{"firstName":"` + strings.Repeat("a", 2000) + `"}}`, ""},
		{"a line break", `{"name":{"firstName":"Petra\nAdmin"}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t, "apple")
			s.form.Set("user", tt.user)
			u := s.app(s.provider()).signIn()
			if u.Name != tt.want || u.Subject != "001234.0123456789abcdef0123456789abcdef.0815" || u.Email != "x7k2m9@privaterelay.appleid.com" {
				t.Errorf("signed in as %+v", u)
			}
		})
	}
}

func TestAppleAddresses(t *testing.T) {
	for _, tt := range []struct {
		verified any
		want     bool
	}{{true, true}, {"true", true}, {false, false}, {"false", false}, {nil, false}, {"TRUE", false}, {1, false}} {
		s := newStandIn(t, "apple")
		s.claims["email_verified"] = tt.verified
		if u := s.app(s.provider()).signIn(); u.EmailVerified != tt.want {
			t.Errorf("email_verified %v: got %v", tt.verified, u.EmailVerified)
		}
	}
}

func TestAppleKeys(t *testing.T) {
	good := p8(teamKey())
	if err := mount(providers.Apple("A1B2C3D4E5", "K1L2M3N4P5", strings.ReplaceAll(good, "\n", `\n`), "app.example")); err != nil {
		t.Error(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ text, id string }{
		"nothing": {"", "empty"}, "its file's name": {"AuthKey_K1L2M3N4P5.p8", "not_pem"}, "half of it": {good[:len(good)/2], "not_pem"},
		"another curve": {p8(other), "not_p256"}, "an RSA key": {p8(small), "not_p256"},
		"something else": {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not_p256"},
	} {
		text := tt.text
		err := mount(providers.Apple("A1B2C3D4E5", "K1L2M3N4P5", text, "app.example"))
		if !slices.Equal(mistakes(err), []string{"provider.private_key." + tt.id}) || !strings.Contains(err.Error(), `provider "apple": privateKey: `) || text != "" && strings.Contains(err.Error(), text[:min(len(text), 40)]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
