// Package storetest is the test suite for session stores: the sealed cookie, and stores of
// gin-contrib/sessions. Each test signs users in over HTTP, with a provider and a browser, and
// then treats the session as a thief, a slow request, a broken database or a second middleware
// would.
package storetest

import (
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
)

// Home is a place where sessions are kept, with its properties.
type Home struct {
	// Open returns a store for one test. If it is nil, sessions are kept in the sealed cookie.
	Open func(t testing.TB) Opened

	// TooLarge is the size in bytes of a claim that exceeds the capacity. Zero means that every
	// claim fits.
	TooLarge int

	// Limit must be in the error message for a session that is too large.
	Limit string
}

// Opened is a store without sessions of other tests.
type Opened struct {
	Store ginsessions.Store

	// Dump returns the raw contents of the database. It is nil if the data is only in cookies.
	Dump func() string

	// Spoil overwrites all records with a text, bypassing the store and its codecs. It is nil if
	// that is impossible.
	Spoil func(text string)

	// Break stops the database, and mend starts it again. It is nil without a database.
	Break func() (mend func())

	// Silent is set if the store reports no error when the database is down, and returns no
	// session.
	Silent bool
}

// Run runs the suite for a home.
func Run(t *testing.T, h Home) {
	always := []struct {
		name string
		run  func(t *testing.T, h Home)
	}{
		{"a session keeps what was put into it", keepsAll},
		{"a forged cookie is nobody", refusesForgeries},
		{"keys are rotated", rotatesKeys},
		{"a session ends when idle and when old", ends},
		{"a session that is too large is refused in words", refusesLarge},
		{"a planted session stays the attacker's", isNotFixed},
		{"nothing that is kept is legible", isIllegible},
		{"signed-out cookies are dead", diesAtLogout},
		{"a slow request revives nothing", staysDead},
		{"many requests at once slide", slidesInParallel},
		{"a provider that is gone takes its sessions along", needsItsProvider},
		{"the next user takes the place of the last", isReplaced},
		{"cookies have all attributes", setsAttributes},
		{"one browser with two sessions is nobody", refusesTwo},
	}
	for _, test := range always {
		t.Run(test.name, func(t *testing.T) { test.run(t, h) })
	}
	if h.Open == nil {
		return
	}
	t.Run("a copied record is nobody", func(t *testing.T) { refusesCopies(t, h) })
	t.Run("a damaged record is nobody", func(t *testing.T) { refusesDamage(t, h) })
	t.Run("a broken store lets nobody in", func(t *testing.T) { failsClosed(t, h) })
	t.Run("a database that is gone lets nobody in", func(t *testing.T) { outlastsDatabase(t, h) })
	t.Run("the application's own sessions are not disturbed", func(t *testing.T) { hasNeighbours(t, h) })
}
