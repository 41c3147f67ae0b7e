// Package storetest is the suite that every home of a session has to pass: the
// sealed cookie and whatever gin-contrib/sessions store an application brings.
// Each test signs people in over HTTP, with a provider and a browser, and then
// does to the session what a thief, a slow request, a broken database or a
// second middleware would do to it.
package storetest

import (
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
)

// Home is where sessions are kept, and what the suite must know of the place.
type Home struct {
	// Open returns a store for one test. Nil means that there is none:
	// sessions stay in the sealed cookie.
	Open func(t testing.TB) Opened

	// TooLarge is the size of a claim, in bytes, that the home has no room
	// for. Zero means that it takes all that a provider may send.
	TooLarge int

	// Limit is what the message about a session that is too large must name.
	Limit string
}

// Opened is a store that holds nothing yet, or nothing that disturbs.
type Opened struct {
	Store ginsessions.Store

	// Dump returns everything in the store as a reader of its database sees
	// it. Nil means that there is nothing but the browser's cookies.
	Dump func() string

	// Spoil writes a text over the records in the store, past the store and
	// its codecs. Nil means that nobody could.
	Spoil func(text string)

	// Break takes the database away, and what it returns brings it back. Nil
	// means that there is none.
	Break func() (mend func())

	// Silent says that the store takes a database that is gone for one that
	// has no such session, and tells nobody.
	Silent bool
}

// Run runs the suite over a home.
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
