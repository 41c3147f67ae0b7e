package ginauth

import (
	"context"
	"net/http"
	"sync/atomic"
)

// visit is a signed-in request: its user, its context and itself in one, which
// is one allocation. It never changes: Update makes a new one.
type visit struct {
	context.Context
	auth    *Auth
	opened  *opened // the session, whatever a handler does to user
	user    User    // what handlers get: theirs to change
	request http.Request
	groups  [groupsRoom]string // room for user.Groups
	vary    [1]string          // room for two lines of the answer's header, which
	cache   [1]string          // others may write to: so nobody shares them
	begun   bool               // in this very request
	ended   atomic.Bool
}

type visitKey struct{}

// Value implements context.Context.
func (v *visit) Value(key any) any {
	switch key.(type) {
	case userKey:
		if v.ended.Load() {
			return (*User)(nil)
		}
		return &v.user
	case visitKey:
		return v
	}
	return v.Context.Value(key)
}

// visiting makes a visit of a session.
func (a *Auth) visiting(o *opened) *visit {
	v := &visit{auth: a, opened: o}
	o.user.copyTo(&v.user, v.groups[:0])
	return v
}

// session is a copy of the session: nothing of it was in a handler's hands.
func (v *visit) session() *session { return v.opened.copy() }
