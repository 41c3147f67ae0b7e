package sitetest

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/leaktest"
)

// events collects what Hooks.OnEvent of a test's application is told.
type events struct {
	mu        sync.Mutex
	text      strings.Builder // for leaktest
	providers []string
	wrong     []string
}

// newEvents watches the events of a test to its end: whatever the test is
// about, no event has a secret in it, or what no event may have.
func newEvents(t testing.TB) *events {
	e := &events{}
	leaktest.Of(t).Log(func() string {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.text.String()
	})
	t.Cleanup(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, wrong := range e.wrong {
			t.Error(wrong)
		}
	})
	return e
}

// watch makes an application tell of its events, before its own OnEvent is told.
func (e *events) watch(o *ginauth.Options) {
	e.expect(o.Providers)
	next := o.Hooks.OnEvent
	o.Hooks.OnEvent = func(ctx context.Context, event ginauth.Event) {
		e.add(event)
		if next != nil {
			next(ctx, event)
		}
	}
}

// expect admits events about providers.
func (e *events) expect(list []ginauth.Provider) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range list {
		e.providers = append(e.providers, p.Name)
	}
}

func (e *events) add(event ginauth.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fmt.Fprintf(&e.text, "event %+v\n", event)
	if !e.proper(event) {
		e.wrong = append(e.wrong, fmt.Sprintf("an event is not as they are documented: %+v", event))
	}
}

// EventNames are the names of all events. The value says whether the event is a
// failure, and has a code.
var EventNames = map[ginauth.EventName]bool{
	ginauth.SignInStarted: false, ginauth.SignInSucceeded: false, ginauth.SignInByApplication: false, ginauth.SignedOut: false, ginauth.SessionsRevoked: false,
	ginauth.SignInFailed: true, ginauth.SignOutFailed: true, ginauth.RequestRefused: true,
}

// RequestIDPattern is what request ids look like in events.
var RequestIDPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{0,64}$`)

var (
	codePattern = regexp.MustCompile(`^[a-z_]+$`)
	hashPattern = regexp.MustCompile(`^([0-9a-f]{16})?$`)
)

// proper says whether an event has only what its documentation says.
func (e *events) proper(event ginauth.Event) bool {
	fails, known := EventNames[event.Name]
	ends := event.Name == ginauth.SignedOut || event.Name == ginauth.SessionsRevoked
	return known && fails == (event.Code != "") && (event.Code == "" || codePattern.MatchString(string(event.Code))) &&
		(event.Provider == "" || slices.Contains(e.providers, event.Provider)) &&
		ends == (event.By != "") && slices.Contains([]ginauth.EventBy{"", ginauth.ByUser, ginauth.ByApplication, ginauth.ByProvider}, event.By) &&
		hashPattern.MatchString(event.User) && RequestIDPattern.MatchString(event.RequestID) && event.Duration >= 0
}

// HashOf returns what events and the log say in place of a User.ID.
func HashOf(id string) string {
	key, _ := hkdf.Key(sha256.New, []byte(Key), nil, "ginauth hash v1", 32)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
