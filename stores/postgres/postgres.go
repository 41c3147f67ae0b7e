// Package postgres shares ginauth's revocations through PostgreSQL, for applications
// that have no Redis: see docs/replicas.md. It is a recipe to copy.
package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ginauth/ginauth"
)

// Schema is what Store needs, once in each database.
const Schema = `
CREATE TABLE IF NOT EXISTS ginauth_marks (key bytea PRIMARY KEY, at bigint NOT NULL, ends timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS ginauth_spent (key bytea PRIMARY KEY, ends timestamptz NOT NULL);
CREATE SEQUENCE IF NOT EXISTS ginauth_fence;
`

// Store implements ginauth.Followed.
type Store struct {
	pool  *pgxpool.Pool
	beats string // the channel of this Store's beats
}

var _ ginauth.Followed = (*Store)(nil)

// New returns a Store on a pool that leads to the primary, without a pooler of
// transactions such as PgBouncer in between: LISTEN needs a session.
func New(pool *pgxpool.Pool) *Store {
	return &Store{pool, "ginauth_" + strings.ToLower(rand.Text())}
}

// Revoke stores a mark and publishes it in one transaction: NOTIFY is delivered at the
// commit, in the order of commits.
func (s *Store) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	_, err := s.pool.Exec(ctx, `
		WITH mark AS (
			INSERT INTO ginauth_marks AS old VALUES ($1, $2, now() + $3)
			ON CONFLICT (key) DO UPDATE SET
				at = CASE WHEN old.ends > now() THEN greatest(old.at, excluded.at) ELSE excluded.at END,
				ends = greatest(old.ends, excluded.ends)
			RETURNING at)
		SELECT pg_notify('ginauth', encode($1, 'hex') || ',' || at) FROM mark`,
		key[:], at.Add(time.Millisecond-1).UnixMilli(), ttl)
	return err
}

// fence fails at a server that would take no mark: nextval at a standby and in a database
// that is read-only. The message has no reader; it is written to the database's log, so
// that a primary with a synchronous standby waits for that.
const fence = `nextval('ginauth_fence'), pg_logical_emit_message(true, 'ginauth', '')`

// Watermarks reads marks at a server that would take one.
func (s *Store) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) (marks [4]time.Time, err error) {
	rows, err := s.pool.Query(ctx, `
		WITH fence AS (SELECT `+fence+`)
		SELECT key, at FROM fence LEFT JOIN ginauth_marks ON key = ANY($1) AND ends > now()`,
		[][]byte{keys[0][:], keys[1][:], keys[2][:], keys[3][:]})
	if err != nil {
		return marks, err
	}
	var key []byte
	var at *int64
	_, err = pgx.ForEachRow(rows, []any{&key, &at}, func() error {
		for i := range keys {
			if at != nil && string(key) == string(keys[i][:]) {
				marks[i] = time.UnixMilli(*at)
			}
		}
		return nil
	})
	return marks, err
}

// Once spends a key.
func (s *Store) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	tag, err := s.pool.Exec(ctx, `
		INSERT INTO ginauth_spent AS old VALUES ($1, now() + $2)
		ON CONFLICT (key) DO UPDATE SET ends = excluded.ends WHERE old.ends < now()`, key[:], ttl)
	return err == nil && tag.RowsAffected() == 1, err
}

// Clean deletes what has expired. Call it once an hour.
func (s *Store) Clean(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `
		WITH marks AS (DELETE FROM ginauth_marks WHERE ends < now())
		DELETE FROM ginauth_spent WHERE ends < now()`)
	return err
}

// Beat notifies the channel of this Store, after all marks that were committed before.
func (s *Store) Beat(ctx context.Context, token uint64) error {
	_, err := s.pool.Exec(ctx, `SELECT `+fence+`, pg_notify($1, $2)`,
		s.beats, strconv.FormatUint(token, 10))
	return err
}

// Follow listens on a separate connection. PostgreSQL loses no notification while it
// lasts, and pgx does not reconnect automatically.
func (s *Store) Follow(ctx context.Context, to ginauth.Follower) error {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN ginauth; LISTEN "+s.beats); err != nil {
		return err
	}
	to.Live()
	for {
		heard, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if heard.Channel == s.beats {
			err = beat(heard.Payload, to)
		} else {
			err = mark(heard.Payload, to)
		}
		if err != nil {
			return fmt.Errorf("%q on channel %q is not ours: %w", heard.Payload, heard.Channel, err)
		}
	}
}

func beat(payload string, to ginauth.Follower) error {
	token, err := strconv.ParseUint(payload, 10, 64)
	if err == nil {
		to.Beat(token)
	}
	return err
}

func mark(payload string, to ginauth.Follower) error {
	key, at, _ := strings.Cut(payload, ",")
	b, err := hex.DecodeString(key)
	if err != nil {
		return err
	}
	if len(b) != len(ginauth.RevocationKey{}) {
		return errors.New("a key has 16 bytes")
	}
	n, err := strconv.ParseInt(at, 10, 64)
	if err == nil {
		to.Mark(ginauth.RevocationKey(b), time.UnixMilli(n))
	}
	return err
}
