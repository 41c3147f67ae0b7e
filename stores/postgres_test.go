package stores_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/stores/postgres"
)

// postgresOf is a store behind a line of its own.
func postgresOf(t *testing.T) (*postgres.Store, *pgxpool.Pool, *line) {
	t.Helper()
	config := must[*pgxpool.Config](t)(pgxpool.ParseConfig(address(t, "GINAUTH_POSTGRES")))
	l := newLine(t, fmt.Sprintf("%s:%d", config.ConnConfig.Host, config.ConnConfig.Port))
	config.ConnConfig.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, l.addr())
	}
	pool := must[*pgxpool.Pool](t)(pgxpool.NewWithConfig(context.Background(), config))
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), postgres.Schema); err != nil {
		t.Fatal(err)
	}
	return postgres.New(pool), pool, l
}

// The marks of PostgreSQL are those of Redis: see revocations_test.go.
func TestPostgresKeepsMarks(t *testing.T) {
	s, _, _ := postgresOf(t)
	mark := func(key ginauth.RevocationKey) time.Time {
		t.Helper()
		marks := must[[4]time.Time](t)(s.Watermarks(t.Context(), [4]ginauth.RevocationKey{newKey(), newKey(), key, newKey()}))
		return marks[2]
	}
	revoke := func(key ginauth.RevocationKey, at time.Time, ttl time.Duration) {
		t.Helper()
		if err := s.Revoke(t.Context(), key, at, ttl); err != nil {
			t.Fatal(err)
		}
	}
	key, short := newKey(), newKey()
	for _, step := range []struct{ at, want time.Duration }{{0, 0}, {-time.Hour, 0}, {time.Second, time.Second}, {time.Second + 1, time.Second + time.Millisecond}} {
		revoke(key, base.Add(step.at), time.Hour)
		if at := mark(key); !at.Equal(base.Add(step.want)) {
			t.Errorf("after %v, the mark is %v", step.at, at.Sub(base))
		}
	}
	revoke(short, base.Add(time.Hour), time.Millisecond)
	await(t, "a mark expires", func() bool { return mark(short).IsZero() })
	if revoke(short, base, time.Hour); !mark(short).Equal(base) {
		t.Errorf("a mark made again after it had expired is %v", mark(short).Sub(base))
	}
	once := func(key ginauth.RevocationKey, ttl time.Duration) bool {
		return must[bool](t)(s.Once(t.Context(), key, ttl))
	}
	if !once(key, time.Hour) || once(key, time.Hour) {
		t.Error("a key is not spent once")
	}
	once(short, time.Millisecond)
	await(t, "a spent key expires", func() bool { return once(short, time.Millisecond) })
	if err := s.Clean(t.Context()); err != nil || mark(key).IsZero() {
		t.Errorf("cleaning: %v", err)
	}
}

func TestPostgresTellsMarksInOrder(t *testing.T) {
	s, pool, l := postgresOf(t)
	other := postgres.New(pool)
	h := follow(t, s)
	for n := range 50 {
		key := newKey()
		if err := other.Revoke(t.Context(), key, base, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := s.Beat(t.Context(), uint64(n)); err != nil {
			t.Fatal(err)
		}
		if got := <-h.beats; got != uint64(n) {
			t.Fatalf("beat %d is heard as %d", n, got)
		}
		if len(h.marks) != 1 || <-h.marks != key {
			t.Fatal("a mark is not heard before the beat after it")
		}
	}
	l.become(reset)
	h.end(t)
	l.become(fine)
	pool.Reset()
	for _, message := range []string{"hello", "00,1", "zz,1", "00000000000000000000000000000000,soon"} {
		h := follow(t, s)
		if _, err := pool.Exec(t.Context(), "SELECT pg_notify('ginauth', $1)", message); err != nil {
			t.Fatal(err)
		}
		h.end(t, strconv.Quote(message))
	}
}

// Two applications in this process, on one database.
func TestPostgresSharesSignOuts(t *testing.T) {
	one, _, _ := postgresOf(t)
	other, _, l := postgresOf(t)
	serve := func(store ginauth.Followed) *httptest.Server {
		engine, _ := application(ginauth.Cached(store))
		return httptest.NewServer(engine)
	}
	first, second := serve(one), serve(other)
	t.Cleanup(func() { first.Close(); second.Close() })
	here, there := &replica{t: t, url: first.URL}, &replica{t: t, url: second.URL}
	cookies := here.mustSignIn()
	if here.me(cookies) != http.StatusOK || there.me(cookies) != http.StatusOK {
		t.Fatal("the session is not admitted at both")
	}
	if !here.signOut(cookies) || here.me(cookies) != http.StatusUnauthorized {
		t.Error("the session is admitted where it was signed out")
	}
	is := func(status int) func() bool { return func() bool { return there.me(cookies) == status } }
	await(t, "the other one refuses the session", is(http.StatusUnauthorized))
	l.become(halfOpen)
	await(t, "without the database nobody is admitted", is(http.StatusServiceUnavailable))
	l.become(reset)
	l.become(fine)
	await(t, "with the database the session is still signed out", is(http.StatusUnauthorized))
}

// What takes no marks is not believed.
func TestPostgresIsFenced(t *testing.T) {
	s, pool, _ := postgresOf(t)
	config := pool.Config()
	config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on" // as a standby is
	standby := must[*pgxpool.Pool](t)(pgxpool.NewWithConfig(context.Background(), config))
	t.Cleanup(standby.Close)
	fenced := postgres.New(standby)
	if err := s.Beat(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if marks, err := fenced.Watermarks(t.Context(), [4]ginauth.RevocationKey{}); err == nil {
		t.Errorf("it was asked, and said %v", marks)
	}
	if fenced.Beat(t.Context(), 1) == nil {
		t.Error("it took a beat")
	}
}
