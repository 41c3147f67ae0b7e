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
	record  string // of the session, whatever a handler does to user
	user    User   // what handlers get: theirs to change
	request http.Request
	groups  [5]string // room for user.Groups: most people have no more
	vary    [1]string // room for two lines of the answer's header, which
	cache   [1]string // others may write to: so nobody shares them
	begun   bool      // in this very request
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

// read makes a visit of a session's record, which is not looked into any
// further. What is no record makes none.
func (a *Auth) read(record string) (*visit, session) {
	if record == "" {
		return nil, session{}
	}
	v := &visit{auth: a, record: record}
	v.user.Groups = v.groups[:]
	s := session{user: &v.user}
	if !a.sessions.decode(record, &s) {
		return nil, session{}
	}
	return v, s
}

// session reads the record once more: nothing of it was in a handler's hands.
func (v *visit) session() session {
	s := session{user: new(User)}
	v.auth.sessions.decode(v.record, &s) // as read did
	return s
}
