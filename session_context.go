package ginauth

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
)

// SessionContext returns a context that ends with the session of the request, for handlers that
// keep a connection open, such as WebSockets and event streams: a guard checks the session only
// when the request begins. The context ends
//
//   - when the session is revoked, in this process or at another replica: by a sign-out, by
//     [Auth.LogoutEverywhere], by the provider (back-channel logout), or because a later sign-in
//     in the same browser has replaced it;
//   - when it expires. An open connection does not count as a request, and later requests of the
//     session are not taken into account: with an IdleTimeout of two hours the context ends
//     within two hours, and the client has to connect again;
//   - when [Auth.SetProviders] has removed the user's provider;
//   - when the request's context ends, from which it is derived: for most servers, when the
//     handler returns. A handler that passes the connection to a goroutine must wait for it.
//
// In the first three cases [context.Cause] is an [*Error]: [ErrUnauthenticated], or
// [ErrInvalidToken] for the user of an access token, whose context ends when the token expires
// or the user is signed out everywhere. It is [ErrStoreUnavailable] if [Options.Revocations] has
// failed for a minute; until then a failure ends no context. The context of a user of
// [Hooks.Authenticate] ends with the request. Without a user, because no [Auth.RequireAuth] or
// [Auth.LoadUser] is in front of the handler, or because no user is signed in, the returned
// context has already ended. Opaque access tokens are not introspected again, and Check
// functions and [Provider.Recheck] do not run again.
//
// The context ends within half a second, if [Options.Revocations] is the default or [Cached].
// With another store, this applies to sign-outs in this process; those at other replicas take up
// to ten seconds, and longer if the store needs more time for one query for each open context.
// One goroutine watches all contexts while there are any.
func (a *Auth) SessionContext(c *gin.Context) context.Context {
	request := c.Request.Context()
	v := a.authenticated(c)
	if v == nil {
		ctx, end := context.WithCancelCause(request)
		end(&Error{Code: ErrUnauthenticated, ID: "session.unauthenticated", Op: "watch session", Reason: "no user is signed in", Fix: "add RequireAuth to this route"})
		return ctx
	}
	if v.opened.expires == 0 { // a user of Hooks.Authenticate
		return request
	}
	ctx, end := context.WithCancelCause(request)
	w := &watched{opened: v.opened, registry: v.registry, end: end, valid: time.Now(), expires: v.opened.expires, keys: v.opened.keys}
	a.watcher.add(w)
	context.AfterFunc(ctx, func() { a.watcher.remove(w) })
	return ctx
}

const (
	watchEvery  = 250 * time.Millisecond
	askEvery    = 10 * time.Second // if revocations are not in memory
	watchOutage = time.Minute
)

// watched is a context of SessionContext.
type watched struct {
	opened   *opened
	registry *registry // the registry that admits the user
	end      context.CancelCauseFunc
	valid    time.Time // when the session was last known not to be revoked
	askAt    time.Time
	expires  int64            // copies of two fields of opened, so that a round need not access it, which halves its time
	keys     [4]RevocationKey // of the session
}

func (w *watched) finish(id, reason, fix string) {
	e := &Error{Code: ErrUnauthenticated, ID: id, Op: "watch session", Provider: w.opened.user.Provider, Reason: reason, Fix: fix}
	if w.opened.id == "" {
		e.Code = ErrInvalidToken
	}
	w.end(e)
}

// sessionWatcher ends contexts of SessionContext. Polling bounds the delay even if the store
// fails: a revocation that is not received is read.
type sessionWatcher struct {
	auth *Auth

	open   atomic.Int64 // len(all)
	mu     sync.Mutex
	all    map[*watched]struct{}      // nil if the goroutine is not running
	raised map[RevocationKey]struct{} // since the last round
}

func (s *sessionWatcher) add(w *watched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*watched]struct{}{}
		go s.run()
	}
	s.all[w] = struct{}{}
	s.open.Store(int64(len(s.all)))
}

func (s *sessionWatcher) remove(w *watched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, w)
	s.open.Store(int64(len(s.all)))
}

// revoked notes a revocation in this process, so that the next round checks the sessions with
// that key.
func (s *sessionWatcher) revoked(key RevocationKey) {
	if s.open.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raised == nil {
		s.raised = map[RevocationKey]struct{}{}
	}
	s.raised[key] = struct{}{}
}

// run checks all contexts every watchEvery, until there are none.
func (s *sessionWatcher) run() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	r := round{watcher: s}
	for range tick.C {
		if !r.begin() {
			return
		}
		r.look()
	}
}

// round is one check of all contexts. Its memory is reused.
type round struct {
	watcher *sessionWatcher
	all     []*watched
	raised  map[RevocationKey]struct{}
}

// begin copies the contexts to check. It returns false if there are none.
func (r *round) begin() bool {
	s := r.watcher
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(r.all)
	r.all = r.all[:0]
	if len(s.all) == 0 {
		s.all = nil
		return false
	}
	for w := range s.all {
		r.all = append(r.all, w)
	}
	r.raised, s.raised = s.raised, nil
	return true
}

// look ends the contexts whose sessions have ended. After Options.Revocations has failed once,
// it is not queried again in this round: each query may take as long as the store's timeout.
func (r *round) look() {
	a := r.watcher.auth
	g, now, clock := a.providers.Load(), time.Now(), a.cfg.Now().UnixMicro()
	var failed error
	for _, w := range r.all {
		switch {
		case clock > w.expires:
			w.finish("session.expired", "the session has expired", "connect again if the session was renewed since, or else sign in again")
			continue
		case w.registry != g && !g.admits(w.opened):
			w.finish("session.provider_removed", "SetProviders has removed the user's provider or its issuer", "sign in with another provider")
			continue
		}
		w.registry = g
		if failed == nil && r.isDue(w, now) {
			marks, err := a.cfg.watermarks(context.Background(), w.keys)
			if err == nil && marks != [4]time.Time{} && w.opened.revoked(marks) {
				w.finish("session.revoked", "the session was revoked: the user has signed out or signed in again", "sign in again")
				continue
			}
			if failed = err; err == nil {
				w.valid, w.askAt = now, now.Add(a.cfg.askEvery())
			}
		}
		if failed != nil && now.Sub(w.valid) > askEvery+watchOutage {
			w.end(failed)
		}
	}
}

// admits reports whether these providers admit the user of a session or an access token.
func (g *registry) admits(o *opened) bool {
	cl := g.clients[o.user.Provider]
	return cl != nil && cl.issuers.admit(o.user.Issuer) && (o.id != "" || cl.provider.Audience != "")
}

// isDue reports whether revocations must be read for a context.
func (r *round) isDue(w *watched, now time.Time) bool {
	return !now.Before(w.askAt) || len(r.raised) > 0 && slices.ContainsFunc(w.keys[:], func(key RevocationKey) bool {
		_, is := r.raised[key]
		return is
	})
}

// askEvery returns how often revocations are read for a context: at every round if they are in
// memory.
func (c *config) askEvery() time.Duration {
	switch c.Revocations.(type) {
	case *memoryRevocations, *cachedRevocations:
		return 0
	}
	return askEvery
}
