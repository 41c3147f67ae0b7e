package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/go-webauthn/webauthn/webauthn"
)

// TestPasskeys in ../../browser covers the steps that need a browser and an authenticator.

func TestACeremonyIsFinishedOnce(t *testing.T) {
	k := &ceremonies{byID: map[string]ceremony{}}
	id, err := k.begin(&webauthn.SessionData{Challenge: "c"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if found, ok := k.take(id); !ok || found.data.Challenge != "c" {
		t.Errorf("take returned %+v, %v", found, ok)
	}
	if _, ok := k.take(id); ok {
		t.Error("taken twice")
	}
	old, err := k.begin(&webauthn.SessionData{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	one := k.byID[old]
	one.began = one.began.Add(-2 * ceremonyLife)
	k.byID[old] = one
	if _, ok := k.take(old); ok {
		t.Error("an expired ceremony was taken")
	}
	for range ceremonyMost {
		if _, err := k.begin(&webauthn.SessionData{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.begin(&webauthn.SessionData{}, nil); err == nil {
		t.Error("the number of ceremonies is unlimited")
	}
}

func TestRequestsThatBeganNothing(t *testing.T) {
	gin.SetMode(gin.TestMode)
	app, err := application(ginauth.Options{BaseURL: "http://localhost:8080", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	post := func(path, body, cookies string) *http.Response {
		r := httptest.NewRequest("POST", "http://localhost:8080"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", cookies)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		return w.Result()
	}
	for _, try := range [][3]string{
		{"/passkey/sign-in/finish", "{}", ""}, {"/passkey/sign-in/finish", "{}", "ceremony=made-up"}, {"/passkey/register/finish", "{}", ""},
		{"/passkey/register", "name=", ""}, {"/passkey/register", "name=" + strings.Repeat("x", 65), ""},
	} {
		if answer := post(try[0], try[1], try[2]); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d", try, answer.StatusCode)
		}
	}
	// The challenge of a registration does not finish a sign-in.
	begun := post("/passkey/register", "name=Ada", "")
	if begun.StatusCode != http.StatusOK || len(begun.Cookies()) != 1 {
		t.Fatalf("a registration begins with %d, %v", begun.StatusCode, begun.Cookies())
	}
	c := begun.Cookies()[0]
	if c.SameSite != http.SameSiteStrictMode || !c.HttpOnly {
		t.Errorf("the cookie is %v", c)
	}
	if answer := post("/passkey/sign-in/finish", "{}", c.Name+"="+c.Value); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("a registration finished a sign-in: %d", answer.StatusCode)
	}
}
