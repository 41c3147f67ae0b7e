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
//   - when [Auth.SetProviders] has removed the user's provider, or has changed its issuer, Admits
//     or, for the user of an access token, Audience;
//   - when the request's context ends, from which it is derived: for most servers, when the
//     handler returns. A handler that passes the connection to a goroutine must wait for it.
//
// In the first three cases [context.Cause] is an [*Error]: [ErrUnauthenticated], or
// [ErrInvalidToken] for the user of an access token, whose context ends when the token expires
// or the user is signed out everywhere. It is [ErrStoreUnavailable] if [Options.Revocations] has
// failed for a minute; until then a failure ends no context. The context of a user of
// [Hooks.Authenticate] ends with the request. Without a user, because no [Auth.RequireAuth] or
// [Auth.LoadUser] is in front of the handler, or because no user is signed in, the returned
// context has already ended. Opaque access tokens are not introspected again, Check functions
// and [Provider.Recheck] do not run again, and deleting a record from the store of
// [Options.Sessions] does not end the context.
//
// The context ends within half a second, if [Options.Revocations] is the default or [Cached].
// With another store, this applies to all but revocations at another replica or by another
// Mount, which take up to ten seconds. Those take longer, also with Cached when it has lost its
// connection, if the store needs longer to answer one query for each open context. A query that
// hangs counts as a failure after three seconds (Cached: 450 ms), and delays everything by that
// time. One goroutine watches all contexts while there are any.
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
	now, o := time.Now(), v.opened
	w := &watched{opened: o, registry: v.registry, end: end, tried: now, askAt: now, notBefore: o.notBefore, expires: o.expires, keys: o.keys}
	a.watcher.add(w)
	context.AfterFunc(ctx, func() { a.watcher.remove(w) })
	return ctx
}

const (
	watchEvery    = 250 * time.Millisecond
	askEvery      = 10 * time.Second // if revocations are not in memory
	watchOutage   = time.Minute
	watchFailures = 32 // in a round, of a store that fails at once
)

// watched is a context of SessionContext.
type watched struct {
	opened             *opened
	registry           *registry // the registry that admits the user
	end                context.CancelCauseFunc
	tried              time.Time        // last attempt to read revocations; zero puts it first
	askAt              time.Time        // when they must be read next
	notBefore, expires int64            // copies of three fields of opened, so that a round need not access it, which halves its time
	keys               [4]RevocationKey // of the session
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
	watcher  *sessionWatcher
	all, due []*watched
	raised   map[RevocationKey]struct{}
}

// begin copies the contexts to check. It returns false if there are none.
func (r *round) begin() bool {
	s := r.watcher
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(r.all)
	clear(r.due)
	r.all, r.due = r.all[:0], r.due[:0]
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

// look ends the contexts whose sessions have ended. Checks that need no store come first, so that
// they do not wait for it.
func (r *round) look() {
	a := r.watcher.auth
	g, now, clock := a.providers.Load(), time.Now(), a.cfg.Now().UnixMicro()
	for _, w := range r.all {
		switch {
		case clock < w.notBefore || clock > w.expires:
			w.finish("session.expired", "the session has expired", "connect again if the session was renewed since, or else sign in again")
			continue
		case w.registry != g && !g.stillAdmits(w.opened, w.registry):
			w.finish("session.provider_removed", "SetProviders has removed the user's provider, or changed its issuer, Admits or Audience", "sign in again")
			continue
		}
		w.registry = g
		if r.isDue(w, now) {
			r.due = append(r.due, w)
		}
	}
	r.ask()
}

// stillAdmits reports whether the user of a session or an access token that was valid with the
// providers of before may come from these.
func (g *registry) stillAdmits(o *opened, before *registry) bool {
	was, is := before.clients[o.user.Provider], g.clients[o.user.Provider]
	return was != nil && is != nil && is.issuers.print == was.issuers.print && is.issuers.admit(o.user.Issuer) &&
		(o.id != "" || is.provider.Audience == was.provider.Audience)
}

// isDue reports whether revocations must be read for a context. After a revocation in this
// process the context remains due until they have been read.
func (r *round) isDue(w *watched, now time.Time) bool {
	if len(r.raised) > 0 && slices.ContainsFunc(w.keys[:], func(key RevocationKey) bool {
		_, is := r.raised[key]
		return is
	}) {
		w.tried = time.Time{}
		if w.askAt.After(now) {
			w.askAt = now
		}
	}
	return !now.Before(w.askAt)
}

// ask reads revocations for the contexts that are due, those that have waited longest first, and
// ends the revoked ones. It stops after watchEvery, so that a slow store does not delay expiry
// and sign-outs in this process, and after watchFailures, so that a failing store is not queried
// without a pause. The remaining contexts are first in the next round.
func (r *round) ask() {
	slices.SortFunc(r.due, func(v, w *watched) int { return v.tried.Compare(w.tried) })
	cfg, began, failures := r.watcher.auth.cfg, time.Now(), 0
	var failed error
	for _, w := range r.due {
		if failures < watchFailures && time.Since(began) < watchEvery {
			marks, err := cfg.watchedMarks(w.keys)
			if w.tried = began; err == nil {
				w.askAt = began.Add(cfg.askEvery())
				if marks != [4]time.Time{} && w.opened.revoked(marks) {
					w.finish("session.revoked", "the session was revoked: the user has signed out or signed in again", "sign in again")
				}
				continue
			}
			failed, failures = err, failures+1
		}
		if failed != nil && began.Sub(w.askAt) > watchOutage {
			w.end(failed)
		}
	}
}

// watchedMarks is watermarks with a deadline, since no request ends the wait for a store that
// hangs. Cached has its own deadline.
func (c *config) watchedMarks(keys [4]RevocationKey) ([4]time.Time, error) {
	if c.askEvery() == 0 {
		return c.watermarks(context.Background(), keys)
	}
	marks, err := within(context.Background(), c.Revocations, func(ctx context.Context) ([4]time.Time, error) { return c.watermarks(ctx, keys) })
	if err != nil {
		return marks, complete(err, *storeUnavailable("read revocations", err))
	}
	return marks, nil
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
