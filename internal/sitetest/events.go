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

// events collects the events of a test's application.
type events struct {
	mu        sync.Mutex
	text      strings.Builder // for leaktest
	providers []string
	wrong     []string
}

// newEvents watches the events of a test until its end: no event may contain a secret or have
// undocumented contents.
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

// watch makes an application report its events, before it calls its own OnEvent.
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

// expect permits events about these providers.
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

// EventNames are the names of all events. The value is true if the event is a failure, which has a
// code.
var EventNames = map[ginauth.EventName]bool{
	ginauth.SignInStarted: false, ginauth.SignInSucceeded: false, ginauth.SignInByApplication: false, ginauth.SignedOut: false, ginauth.SessionsRevoked: false,
	ginauth.SignInFailed: true, ginauth.SignOutFailed: true, ginauth.RequestRefused: true,
}

// RequestIDPattern matches the request ids in events.
var RequestIDPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{0,64}$`)

var (
	codePattern = regexp.MustCompile(`^[a-z_]+$`)
	hashPattern = regexp.MustCompile(`^([0-9a-f]{16})?$`)
)

// proper checks that an event is as documented.
func (e *events) proper(event ginauth.Event) bool {
	fails, known := EventNames[event.Name]
	ends := event.Name == ginauth.SignedOut || event.Name == ginauth.SessionsRevoked
	return known && fails == (event.Code != "") && (event.Code == "" || codePattern.MatchString(string(event.Code))) &&
		(event.Provider == "" || slices.Contains(e.providers, event.Provider)) &&
		ends == (event.By != "") && slices.Contains([]ginauth.EventBy{"", ginauth.ByUser, ginauth.ByApplication, ginauth.ByProvider}, event.By) &&
		hashPattern.MatchString(event.User) && RequestIDPattern.MatchString(event.RequestID) && event.Duration >= 0
}

// HashOf returns the hash that events and the log have in place of a User.ID.
func HashOf(id string) string {
	key, _ := hkdf.Key(sha256.New, []byte(Key), nil, "ginauth hash v1", 32)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
