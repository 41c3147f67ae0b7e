package sitetest

import (
	"net/http"
	"sync/atomic"
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
)

// Secrets of the stores, which are independent of Options.Keys.
var (
	StoreHashKey  = []byte("a store's own secret for signatures")
	StoreBlockKey = []byte("and one of 32 to encrypt with...")
)

// FileStore is gorilla's, with the method that gin-contrib/sessions requires.
type FileStore struct{ *gorilla.FilesystemStore }

// Options implements sessions.Store.
func (s FileStore) Options(o ginsessions.Options) { s.FilesystemStore.Options = o.ToGorillaOptions() }

// DeafStore is a store whose reads fail while Deaf is set: with an error, or as if there were no such
// session.
type DeafStore struct {
	ginsessions.Store
	Deaf  atomic.Bool
	Fails error // nil means that the session does not exist
}

// New implements sessions.Store.
func (d *DeafStore) New(r *http.Request, name string) (*gorilla.Session, error) {
	if !d.Deaf.Load() {
		return d.Store.New(r, name)
	}
	s := gorilla.NewSession(d, name)
	s.IsNew = true
	return s, d.Fails
}

// NewStore is NewFlow with sessions in a store. Its route /who responds with the subject.
func NewStore(t *testing.T, store ginsessions.Store) *Flow {
	t.Helper()
	f := NewFlow(t, func(_ *Site, o *ginauth.Options) { o.Sessions = store })
	f.Guard("/who", WriteSubject)
	return f
}
