package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	_ "modernc.org/sqlite"
)

const (
	keyPrefix  = "shop_" // identifies the application's keys, for users and for secret scanners
	shownChars = len(keyPrefix) + 8
	keyLength  = len(keyPrefix) + 43 // 32 bytes in base64
	keysEach   = 20
)

// A row is found by the hash of its key, which is not stored. A key is 256 random bits and
// cannot be guessed, so SHA-256 suffices. bcrypt and Argon2 are slow to protect passwords,
// which can be guessed; here they would cost every request a tenth of a second, and the salt
// of each row would make the lookup impossible.
const schema = `CREATE TABLE IF NOT EXISTS keys (
	hash      BLOB PRIMARY KEY,
	shown     TEXT NOT NULL UNIQUE, -- how the key begins
	name      TEXT NOT NULL,
	provider  TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, -- whose it is
	scopes    TEXT NOT NULL,
	created   INTEGER NOT NULL,
	expires   INTEGER NOT NULL,
	last_used INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID`

type keys struct {
	db  *sql.DB
	now func() time.Time
}

func openKeys(file string, now func() time.Time) (*keys, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	_, err = db.Exec(schema)
	return &keys{db, now}, err
}

type key struct {
	Shown, Name                string
	Scopes                     []string
	Created, Expires, LastUsed time.Time
}

func hash(raw string) []byte {
	sum := sha256.Sum256([]byte(raw))
	return sum[:]
}

var errTooMany = errors.New("there are too many keys: revoke one")

// create makes a key for a user. It returns the key, which cannot be recovered later.
func (k *keys) create(ctx context.Context, owner *ginauth.User, name string, scopes []string, life time.Duration) (string, error) {
	random := make([]byte, 32)
	rand.Read(random) // never fails
	raw, now := keyPrefix+base64.RawURLEncoding.EncodeToString(random), k.now()
	result, err := k.db.ExecContext(ctx, `INSERT INTO keys (hash, shown, name, provider, issuer, subject, scopes, created, expires)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM keys WHERE issuer = ? AND subject = ?) < ?`,
		hash(raw), raw[:shownChars], name, owner.Provider, owner.Issuer, owner.Subject, strings.Join(scopes, " "), now.Unix(), now.Add(life).Unix(),
		owner.Issuer, owner.Subject, keysEach)
	if err != nil {
		return "", err
	}
	if n, err := result.RowsAffected(); n == 0 {
		return "", errors.Join(err, errTooMany)
	}
	return raw, nil
}

// of lists the keys of a user, newest first.
func (k *keys) of(ctx context.Context, owner *ginauth.User) ([]key, error) {
	rows, err := k.db.QueryContext(ctx, `SELECT shown, name, scopes, created, expires, last_used FROM keys
		WHERE issuer = ? AND subject = ? ORDER BY created DESC, shown`, owner.Issuer, owner.Subject)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []key
	for rows.Next() {
		var one key
		var scopes string
		var created, expires, used int64
		if err := rows.Scan(&one.Shown, &one.Name, &scopes, &created, &expires, &used); err != nil {
			return nil, err
		}
		one.Scopes, one.Created, one.Expires = strings.Fields(scopes), time.Unix(created, 0), time.Unix(expires, 0)
		if used > 0 {
			one.LastUsed = time.Unix(used, 0)
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// revoke deletes a key, if it belongs to the user. The next request with it is rejected.
func (k *keys) revoke(ctx context.Context, owner *ginauth.User, shown string) error {
	_, err := k.db.ExecContext(ctx, `DELETE FROM keys WHERE shown = ? AND issuer = ? AND subject = ?`, shown, owner.Issuer, owner.Subject)
	return err
}

// authenticate is Hooks.Authenticate. Valid, expired and unknown keys take the same work, one
// hash and one index lookup, so that the response time reveals nothing about keys.
func (k *keys) authenticate(c *gin.Context) (*ginauth.User, error) {
	raw := bearer(c.Request)
	if !strings.HasPrefix(raw, keyPrefix) {
		return nil, nil // an access token of the provider, or a session
	}
	if len(raw) != keyLength {
		return nil, ginauth.ErrInvalidToken
	}
	ctx, sum, now := c.Request.Context(), hash(raw), k.now()
	var user ginauth.User
	var scopes string
	var expires, used int64
	err := k.db.QueryRowContext(ctx, `SELECT provider, issuer, subject, scopes, expires, last_used FROM keys WHERE hash = ?`, sum).
		Scan(&user.Provider, &user.Issuer, &user.Subject, &scopes, &expires, &used)
	if errors.Is(err, sql.ErrNoRows) || err == nil && expires <= now.Unix() {
		return nil, ginauth.ErrInvalidToken
	}
	if err != nil {
		return nil, err // 503: the key could not be checked
	}
	if now.Unix()-used >= 60 { // a write at each request would cost more than the request
		if _, err := k.db.ExecContext(ctx, `UPDATE keys SET last_used = ? WHERE hash = ?`, now.Unix(), sum); err != nil {
			log.Print("last use of ", raw[:shownChars], ": ", err)
		}
	}
	user.Grant = &ginauth.Grant{Client: raw[:shownChars], Scopes: strings.Fields(scopes)}
	return &user, nil
}

// bearer returns the bearer token of a request, or "".
func bearer(r *http.Request) string {
	lines := r.Header.Values("Authorization")
	if len(lines) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110, 11.1: case-insensitive
		return ""
	}
	return strings.TrimSpace(token)
}
