package ginauth_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gorilla/securecookie"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth/internal/storetest"
)

// The stores' own secrets, which have nothing to do with Options.Keys.
var (
	storeHashKey  = []byte("a store's own secret for signatures")
	storeBlockKey = []byte("and one of 32 to encrypt with...")
)

// The suite of a session's homes that need no server. Module stores has those
// that do.
func TestSessionsInSealedCookies(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{TooLarge: 6500, Limit: "two cookies hold"})
}

func TestSessionsInSignedCookies(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: func(testing.TB) storetest.Opened {
		return storetest.Opened{Store: cookie.NewStore(storeHashKey)}
	}})
}

func TestSessionsInEncryptedCookies(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: func(testing.TB) storetest.Opened {
		return storetest.Opened{Store: cookie.NewStore(storeHashKey, storeBlockKey)}
	}})
}

// A store that sets whatever cookie it is asked to, and leaves it to browsers
// to drop those that are too large.
func TestSessionsInBoundlessCookies(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "browsers keep 4096", Open: func(testing.TB) storetest.Opened {
		store := gorilla.NewCookieStore(storeHashKey)
		for _, codec := range store.Codecs {
			codec.(*securecookie.SecureCookie).MaxLength(0)
		}
		return storetest.Opened{Store: cookieStore{store}}
	}})
}

type cookieStore struct{ *gorilla.CookieStore }

// Options implements sessions.Store.
func (s cookieStore) Options(o ginsessions.Options) { s.CookieStore.Options = o.ToGorillaOptions() }

func TestSessionsInMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{Open: func(testing.TB) storetest.Opened {
		store := memstore.NewStore(storeHashKey)
		return storetest.Opened{Store: store, Dump: func() string { return dumpMemory(store) }}
	}})
}

// dumpMemory prints the map in a memstore, which nothing exports.
func dumpMemory(store any) string {
	v := reflect.ValueOf(store).Elem().FieldByName("MemStore").Elem().FieldByName("cache").Elem().FieldByName("data")
	return fmt.Sprint(v)
}

func TestSessionsInFiles(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: func(t testing.TB) storetest.Opened {
		dir := filepath.Join(t.TempDir(), "sessions")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return storetest.Opened{
			Store: fileStore{gorilla.NewFilesystemStore(dir, storeHashKey)},
			Dump:  func() string { return dumpFiles(t, dir) },
			Spoil: func(text string) { spoilFiles(t, dir, text) },
			Break: func() func() {
				rename(t, dir, dir+"-away")
				return func() { rename(t, dir+"-away", dir) }
			},
			Silent: true,
		}
	}})
}

// fileStore is gorilla's, with the method that gin-contrib/sessions wants
// beside: all that it takes to use a store of gorilla's.
type fileStore struct{ *gorilla.FilesystemStore }

// Options implements sessions.Store.
func (s fileStore) Options(o ginsessions.Options) { s.FilesystemStore.Options = o.ToGorillaOptions() }

func filesIn(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) == 0 {
		t.Logf("%s has no files: %v", dir, err)
	}
	return names
}

func spoilFiles(t testing.TB, dir, text string) {
	t.Helper()
	for _, name := range filesIn(t, dir) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func dumpFiles(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range filesIn(t, dir) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n%s\n", filepath.Base(name), text)
	}
	return b.String()
}
