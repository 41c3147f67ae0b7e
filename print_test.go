package ginauth_test

import (
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// A field that is added to Options is hidden from JSON, or somebody decides
// here that it may be read by whoever reads the log.
func TestJSONHasOnlyWhatIsPlainInOptions(t *testing.T) {
	plain := []string{"BaseURL", "Providers", "CookieName", "Lifetime", "IdleTimeout", "AfterLogin", "AfterLogout", "LoginPage", "Pages",
		"Texts", "KeepClaims", "TrustedOrigins"}
	for _, of := range []reflect.Type{reflect.TypeFor[ginauth.Options](), reflect.TypeFor[ginauth.Pages]()} {
		for i := range of.NumField() {
			field := of.Field(i)
			if hidden := field.Tag.Get("json") == "-"; hidden == slices.Contains(plain, field.Name) {
				t.Errorf("%s.%s: hidden is %v", of.Name(), field.Name, hidden)
			}
		}
	}
}

// JSON cannot write functions: with one set, there would be no text at all.
func TestJSONOfOptionsWithEverythingSet(t *testing.T) {
	o := goodOptions()
	o.Sessions = memstore.NewStore([]byte("store-s3cr3t"))
	o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { return nil }
	o.HTTPClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	o.Logger, o.Now, o.Pages.Template = slog.Default(), (&clock{}).Now, template.New("t")
	o.Providers[0].VerifyClaims = func(map[string]any) error { return nil }
	o.Providers[0].Quirks.Header = map[string]string{"X-Api-Key": "header-s3cr3t"}
	text, err := json.Marshal(o)
	if err != nil || !json.Valid(text) {
		t.Fatalf("%v: %s", err, text)
	}
	if strings.Contains(string(text), "s3cr3t") || strings.Contains(string(text), hexKey) || !strings.Contains(string(text), o.BaseURL) {
		t.Errorf("JSON: %s", text)
	}
}

// An Auth has no Format of its own: the secrets are two pointers away, and fmt
// follows one.
func TestAnAuthPrintsNoSecretsWhereverItIs(t *testing.T) {
	o := goodOptions()
	o.Logger = slog.New(slog.DiscardHandler)
	auth, err := ginauth.Mount(gin.New(), o)
	if err != nil {
		t.Fatal(err)
	}
	value := reflect.ValueOf(auth)
	for name, v := range map[string]any{
		"pointer": auth, "field": struct{ Auth *ginauth.Auth }{auth}, "hidden field": struct{ auth *ginauth.Auth }{auth}, "any": struct{ Auth any }{auth},
		"hidden any": struct{ auth any }{auth}, "list": []*ginauth.Auth{auth}, "map": map[string]*ginauth.Auth{"a": auth},
		"reflect": value, "what it points to": value.Elem(), "copy": value.Elem().Interface(), "copies": []any{value.Elem().Interface()},
		"hidden copy": struct{ auth any }{value.Elem().Interface()},
	} {
		text := ""
		for _, verb := range "vsqdxt" {
			for _, flag := range []string{"", "+", "#"} {
				text += fmt.Sprintf("%"+flag+string(verb)+"\n", v)
			}
		}
		for _, secret := range []string{o.Keys[0], o.Providers[0].ClientSecret} {
			for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]")} {
				if strings.Contains(text, form) {
					t.Errorf("%s prints %q", name, form)
				}
			}
		}
	}
}
