//go:build !race

// gormstore and pgstore write to their codecs in New, at every request: two
// requests at once are a data race, of theirs, which would end every test
// here under the race detector. See README.md.

package stores_test

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	gingorm "github.com/gin-contrib/sessions/gorm"
	ginpostgres "github.com/gin-contrib/sessions/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/ginauth/ginauth/internal/storetest"
)

func openGorm(t testing.TB) (*gorm.DB, *sql.DB) {
	t.Helper()
	// With more than one connection SQLite wants to be told to wait for its turn.
	file := "file:" + filepath.Join(t.TempDir(), "app.db") + "?_busy_timeout=10000&_journal_mode=WAL&_txlock=immediate"
	db := must[*gorm.DB](t)(gorm.Open(sqlite.Open(file), &gorm.Config{Logger: logger.Discard}))
	pool := must[*sql.DB](t)(db.DB())
	t.Cleanup(func() { pool.Close() })
	return db, pool
}

func TestSessionsInGorm(t *testing.T) {
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: func(t testing.TB) storetest.Opened {
		db, pool := openGorm(t)
		return storetest.Opened{
			Store: gingorm.NewStore(db, false, storeKey),
			Dump:  func() string { return dumpTable(t, pool, "sessions") },
			Spoil: func(text string) { run(t, pool, "UPDATE sessions SET data = $1", text) },
			Break: func() func() {
				run(t, pool, "ALTER TABLE sessions RENAME TO away")
				return func() { run(t, pool, "ALTER TABLE away RENAME TO sessions") }
			},
			Silent: true, // gormstore drops the error of its query
		}
	}})
}

// openPostgres is the database of the tests, and in it a schema for one: the
// name of pgstore's table is fixed.
func openPostgres(t testing.TB) (*sql.DB, *relay) {
	t.Helper()
	u, schema := must[*url.URL](t)(url.Parse(address(t, "GINAUTH_POSTGRES"))), "s"+strings.ToLower(rand.Text())
	first := must[*sql.DB](t)(sql.Open("postgres", u.String()))
	defer first.Close()
	run(t, first, "CREATE SCHEMA "+schema)
	relay := newRelay(t, u.Host)
	u.Host = relay.Addr
	db := must[*sql.DB](t)(sql.Open("postgres", u.String()+"&search_path="+schema))
	db.SetMaxOpenConns(20)
	t.Cleanup(func() { db.Close() })
	return db, relay
}

func TestSessionsInPostgres(t *testing.T) {
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: func(t testing.TB) storetest.Opened {
		db, relay := openPostgres(t)
		return storetest.Opened{
			Store: must[ginpostgres.Store](t)(ginpostgres.NewStore(db, storeKey)),
			Dump:  func() string { return dumpTable(t, db, "http_sessions") },
			Spoil: func(text string) { run(t, db, "UPDATE http_sessions SET data = $1", []byte(text)) },
			Break: relay.Break,
		}
	}})
}

func run(t testing.TB, db *sql.DB, statement string, arguments ...any) {
	t.Helper()
	must[sql.Result](t)(db.Exec(statement, arguments...))
}

// dumpTable prints a table as an administrator of the database sees it.
func dumpTable(t testing.TB, db *sql.DB, table string) string {
	t.Helper()
	rows := must[*sql.Rows](t)(db.Query("SELECT * FROM " + table))
	defer rows.Close()
	columns := must[[]string](t)(rows.Columns())
	var b strings.Builder
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new([]byte)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		for i, value := range values {
			fmt.Fprintf(&b, "%s=%s ", columns[i], *value.(*[]byte))
		}
		b.WriteString("\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
