package ginauth_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// The log tells a state that is none of ours from one whose sign-in is gone, or
// another's.
func TestStatesOfAnotherForm(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo")
	state := callback.Query().Get("state")
	handle, secret, _ := strings.Cut(state, ".")
	for name, forged := range map[string]string{
		"shorter": state[:len(state)-1], "longer": state + "A", "without a dot": strings.Replace(state, ".", "A", 1),
		"with the dot elsewhere": handle + secret[:1] + "." + secret[1:], "with another character": state[:len(state)-1] + "!",
	} {
		f.logs.Reset()
		f.refuses(t, with(callback, "state", forged), closed{code: ginauth.ErrStateInvalid})
		if !strings.Contains(f.logs.String(), "the answer's state is not one of ours") {
			t.Errorf("a state %s: %s", name, f.logs)
		}
	}
	f.lands(t, callback, "/")
}

// Answers of four sign-ins at once are in nobody's way.
func TestFormPostUsesAllSlots(t *testing.T) {
	t.Parallel()
	f := newFlow(t, formPost)
	for _, first := range "ABCD" {
		f.postOnly(url.Values{"state": {string(first) + strings.Repeat("A", 51)}, "code": {"x"}})
	}
	if n := len(f.ours("-f")); n != 4 {
		t.Errorf("%d cookies carry four answers", n)
	}
}

// What an answer lacks is told apart: a form that got lost on its way here is
// no answer without a code.
func TestAnswersThatSayNothing(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo")
	f.refuses(t, withRaw(callback, url.Values{"state": callback.Query()["state"], "iss": {f.idp.Issuer}}.Encode()), closed{code: ginauth.ErrBadRequest})
	callback = f.begin("/login/demo")
	f.idp.EditMetadata(nil)
	f.refuses(t, withRaw(callback, url.Values{"state": callback.Query()["state"]}.Encode()), closed{code: ginauth.ErrIssuerMismatch})
	if strings.Contains(f.logs.String(), "form did not come along") {
		t.Errorf("there was no form: %s", f.logs)
	}
	callback = f.begin("/login/demo")
	refusal := url.Values{"state": callback.Query()["state"], "iss": {f.idp.Issuer}, "error": {"access_denied"}}
	f.refuses(t, withRaw(callback, refusal.Encode()), closed{code: ginauth.ErrProviderDenied})
	if strings.Contains(f.logs.String(), "description") {
		t.Errorf("there was no description: %s", f.logs)
	}
}

// After a restart nothing is known of a provider that is down: its answer waits
// for a better moment, whatever is in it.
func TestAnswersAfterARestartDuringAnOutage(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo")
	f.redeploy(func(*ginauth.Options) {})
	f.idp.Fail(authtest.Discovery, authtest.Down)
	f.refuses(t, without(callback, "iss"), closed{code: ginauth.ErrProviderUnavailable})
}

// Only a page that is opened is put on BaseURL's host: a form is not, and what
// it is put there with is what it came with.
func TestVisitsOnAnotherLoopbackName(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, tt := range []struct{ method, path, location string }{
		{"GET", "/login/demo", "/login/demo?moved=1"},
		{"GET", "/login/demo?return_to=/x", "/login/demo?return_to=/x&moved=1"},
		{"POST", "/login/demo", ""},
	} {
		r, err := http.NewRequest(tt.method, s.URL+tt.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = strings.Replace(r.Host, "localhost", "127.0.0.1", 1)
		if tt.method == "POST" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		location := answer.Header.Get("Location")
		if tt.location != "" && location != s.URL+tt.location || tt.location == "" && strings.Contains(location, "moved") {
			t.Errorf("%s %s: %d to %s", tt.method, tt.path, answer.StatusCode, location)
		}
	}
}

// Who keeps sign-outs in memory in public hears what that means, and nobody else.
func TestWhoIsWarnedOfRevocationsInMemory(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		base   string
		shared ginauth.Revocations
		warned bool
	}{
		"memory, in public":       {"https://app.example.com", nil, true},
		"memory, on loopback":     {"http://localhost:8080", nil, false},
		"shared ones, in public":  {"https://app.example.com", &faultyRevocations{}, false},
		"shared ones, on this pc": {"http://localhost:8080", &faultyRevocations{}, false},
	} {
		l := &logs{}
		_, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: tt.base, Keys: []string{testKey}, Logger: slog.New(slog.NewTextHandler(l, nil)), Revocations: tt.shared,
			Providers: []ginauth.Provider{{Name: "demo", Issuer: "https://idp.example", ClientID: "c", ClientSecret: "s"}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(l.String(), "set Options.Revocations"); got != tt.warned {
			t.Errorf("%s: warned %v\n%s", name, got, l)
		}
	}
}
