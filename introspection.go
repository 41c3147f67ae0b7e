package ginauth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
)

const (
	introspectionsRemembered = 4096            // responses
	introspectionsAtOnce     = 16              // concurrent requests to the provider; the remaining connections are for sign-ins
	introspectionWait        = 5 * time.Second // how long further requests wait for their turn
	opaqueTokenLimit         = 4 << 10         // bytes
)

// introspections queries a provider about opaque tokens, at most once a minute for each token.
// Since anyone can send unknown tokens, rejections are cached too, at most sixteen queries run
// at a time, and queries pause while the provider is down, except about accepted tokens: a
// token at which the provider fails must not keep the others out.
type introspections struct {
	client  *client
	flight  singleflight.Group
	asking  chan struct{} // a semaphore for introspectionsAtOnce requests
	mu      sync.Mutex
	answers map[[sha256.Size]byte]introspected
	failed  introspected // an outage, which concerns all tokens that were not accepted before
}

// introspected is the provider's response about a token.
type introspected struct {
	token *rp.AccessToken
	err   error
	until time.Time
}

func newIntrospections(cl *client) *introspections {
	return &introspections{client: cl, asking: make(chan struct{}, introspectionsAtOnce), answers: map[[sha256.Size]byte]introspected{}}
}

// ask queries the provider about a token. It returns a copy of the response, and when it must
// be queried again. accepted says that the token was accepted before.
func (i *introspections) ask(ctx context.Context, raw string, accepted bool, now time.Time) (*rp.AccessToken, time.Time, error) {
	if len(raw) > opaqueTokenLimit {
		return nil, time.Time{}, &Error{Code: ErrInvalidToken, ID: "introspection.too_long", Op: "introspect token", Provider: i.client.provider.Name,
			Reason: "the token is not a JWT and longer than 4 KB", Fix: "send an access token of the provider"}
	}
	id := sha256.Sum256([]byte(raw))
	a, known := i.known(id, accepted, now)
	if !known {
		done := i.flight.DoChan(string(id[:]), func() (any, error) { return i.asked(context.WithoutCancel(ctx), id, raw, accepted), nil })
		select {
		case r := <-done:
			a = r.Val.(introspected)
		case <-ctx.Done():
			return nil, time.Time{}, context.Cause(ctx)
		}
	}
	if a.err != nil {
		return nil, time.Time{}, a.err
	}
	return a.token.Clone(), a.until, nil
}

// asked queries the provider, unless the previous flight has.
func (i *introspections) asked(ctx context.Context, id [sha256.Size]byte, raw string, accepted bool) introspected {
	if a, known := i.known(id, accepted, i.client.cfg.Now()); known {
		return a
	}
	wait := time.NewTimer(introspectionWait)
	defer wait.Stop()
	select {
	case i.asking <- struct{}{}:
		defer func() { <-i.asking }()
	case <-wait.C:
		return introspected{err: &Error{Code: ErrStoreUnavailable, ID: "introspection.busy", Op: "introspect token", Provider: i.client.provider.Name, retryAfter: retryAfter,
			Reason: fmt.Sprintf("the limit of %d concurrent introspections is reached", introspectionsAtOnce), Fix: "check for a client that sends many invalid tokens and for a slow provider; limit the request rate per address in front of the application"}}
	}
	if a, known := i.known(id, accepted, i.client.cfg.Now()); known { // the provider has failed meanwhile
		return a
	}
	t, err := contain.Call(func() (*rp.AccessToken, error) { return i.client.rp.Introspect(ctx, raw) })
	if p, panicked := err.(*contain.Panic); panicked {
		err = hookPanicked("introspect token", p)
	} else {
		err = fromRP(err)
	}
	return i.remember(id, introspected{token: t, err: err}, i.client.cfg.Now())
}

// known returns the cached response about a token, or the provider's recent outage.
func (i *introspections) known(id [sha256.Size]byte, accepted bool, now time.Time) (introspected, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if a, there := i.answers[id]; there && now.Before(a.until) {
		return a, true
	}
	return i.failed, !accepted && now.Before(i.failed.until)
}

// remember caches a response for a minute, and a failure for providerRest. A token that has
// just expired by this machine's clock but not by the provider's is queried again after
// providerRest, too.
func (i *introspections) remember(id [sha256.Size]byte, a introspected, now time.Time) introspected {
	i.mu.Lock()
	defer i.mu.Unlock()
	a.until = now.Add(tokenBelief)
	if e, ok := a.err.(*Error); ok && e.Code != ErrInvalidToken {
		if a.until = now.Add(providerRest); e.unanswered() {
			i.failed = a
		}
	}
	if a.err == nil {
		if a.until = earlier(a.until, a.token.Expiry); a.until.Before(now.Add(providerRest)) {
			a.until = now.Add(providerRest)
		}
	}
	i.makeRoom(now)
	i.answers[id] = a
	return a
}

// makeRoom drops expired responses among a few that it examines, and others if that is not
// enough: a flood of tokens is an attack.
func (i *introspections) makeRoom(now time.Time) {
	looked := 0
	for id, a := range i.answers {
		if looked++; looked > 16 {
			break
		}
		if !now.Before(a.until) {
			delete(i.answers, id)
		}
	}
	for id := range i.answers {
		if len(i.answers) < introspectionsRemembered {
			break
		}
		delete(i.answers, id)
	}
}
