package ginauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
)

const (
	introspectionsRemembered = 4096            // answers
	introspectionsAtOnce     = 64              // requests to the provider: anyone can send tokens that it does not know
	introspectionWait        = 5 * time.Second // of those beyond
)

// introspections asks providers about opaque tokens: once a token and minute, however many
// requests come with it. The users of good tokens are in bearerCache; here is what was
// refused, since anyone can send what a provider does not know, and what was just found.
type introspections struct {
	flight  singleflight.Group
	asking  chan struct{} // has room for those that may be asked at once
	mu      sync.Mutex
	answers map[[sha256.Size]byte]introspected
}

func newIntrospections() *introspections {
	return &introspections{asking: make(chan struct{}, introspectionsAtOnce), answers: map[[sha256.Size]byte]introspected{}}
}

// introspected is what a provider said of a token.
type introspected struct {
	token *rp.AccessToken
	err   error
	until time.Time
}

// ask asks the provider about a token.
func (i *introspections) ask(ctx context.Context, cl *client, raw string, now time.Time) (*rp.AccessToken, error) {
	id := sha256.Sum256([]byte(cl.provider.Name + "\x00" + raw))
	if known, ok := i.known(id, now); ok {
		return known.token, known.err
	}
	done := i.flight.DoChan(string(id[:]), func() (any, error) {
		if known, ok := i.known(id, now); ok { // by the flight before
			return known.token, known.err
		}
		wait := time.NewTimer(introspectionWait)
		defer wait.Stop()
		select {
		case i.asking <- struct{}{}:
			defer func() { <-i.asking }()
		case <-wait.C:
			return nil, &Error{Code: ErrStoreUnavailable, ID: "introspection.busy", Op: "introspect token", Provider: cl.provider.Name, retryAfter: retryAfter,
				Reason: fmt.Sprintf("%d other tokens are being introspected", introspectionsAtOnce), Fix: "see whether somebody sends many tokens that do not exist, or the provider is slow; a limit of requests per address in front helps"}
		}
		t, err := contain.Call(func() (*rp.AccessToken, error) {
			return cl.rp.Introspect(context.WithoutCancel(ctx), raw)
		})
		if p, panicked := err.(*contain.Panic); panicked {
			return nil, hookPanicked("introspect token", p)
		}
		err = fromRP(err)
		i.remember(id, t, err, now)
		return t, err
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*rp.AccessToken), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (i *introspections) known(id [sha256.Size]byte, now time.Time) (introspected, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	a, there := i.answers[id]
	return a, there && now.Before(a.until)
}

// remember keeps an answer for a minute, and that a provider could not be asked for a moment.
func (i *introspections) remember(id [sha256.Size]byte, t *rp.AccessToken, err error, now time.Time) {
	until := now.Add(tokenBelief)
	if err == nil {
		until = earlier(t.Expiry, until)
	} else if !errors.Is(err, ErrInvalidToken) {
		until = now.Add(providerRest)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.answers) >= introspectionsRemembered {
		for other, a := range i.answers {
			if !now.Before(a.until) {
				delete(i.answers, other)
			}
		}
	}
	for other := range i.answers { // any will do: a flood of them is an attack
		if len(i.answers) < introspectionsRemembered {
			break
		}
		delete(i.answers, other)
	}
	i.answers[id] = introspected{t, err, until}
}
