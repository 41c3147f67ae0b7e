package ginauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
)

// introspectionsRemembered is how many refused tokens are remembered.
const introspectionsRemembered = 4096

// introspections asks providers about opaque tokens: once a token and minute, however many
// requests come with it. What a provider said of good tokens is remembered with the opened
// sessions; here is what it refused, since anyone can send what it does not know.
type introspections struct {
	flight singleflight.Group
	mu     sync.Mutex
	no     map[[sha256.Size]byte]refusedToken
}

type refusedToken struct {
	err   error
	until time.Time
}

// ask asks the provider about a token.
func (i *introspections) ask(ctx context.Context, cl *client, raw string, now time.Time) (*rp.AccessToken, error) {
	id := sha256.Sum256([]byte(cl.provider.Name + "\x00" + raw))
	if err := i.refused(id, now); err != nil {
		return nil, err
	}
	done := i.flight.DoChan(string(id[:]), func() (any, error) {
		t, err := contain.Call(func() (*rp.AccessToken, error) {
			return cl.rp.Introspect(context.WithoutCancel(ctx), raw)
		})
		if p, panicked := err.(*contain.Panic); panicked {
			return nil, hookPanicked("introspect token", p)
		}
		if err = fromRP(err); err != nil {
			i.refuse(id, err, now)
		}
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

func (i *introspections) refused(id [sha256.Size]byte, now time.Time) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r, there := i.no[id]; there && now.Before(r.until) {
		return r.err
	}
	return nil
}

// refuse remembers a refused token for a minute, and a provider that could not be asked for
// a moment.
func (i *introspections) refuse(id [sha256.Size]byte, err error, now time.Time) {
	life := tokenBelief
	if !errors.Is(err, ErrInvalidToken) {
		life = providerRest
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.no) >= introspectionsRemembered {
		for other, r := range i.no {
			if !now.Before(r.until) {
				delete(i.no, other)
			}
		}
	}
	for other := range i.no { // any will do: a flood of them is an attack
		if len(i.no) < introspectionsRemembered {
			break
		}
		delete(i.no, other)
	}
	if i.no == nil {
		i.no = map[[sha256.Size]byte]refusedToken{}
	}
	i.no[id] = refusedToken{err, now.Add(life)}
}
