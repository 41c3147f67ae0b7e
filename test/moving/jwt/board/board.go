// Package board has the unchanged parts of the application: its settings, tables and JWTs.
package board

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
)

// Settings are the program's environment.
type Settings struct {
	BaseURL                        string
	JWTSecret                      string
	SessionKeys                    string // Options.Keys
	Issuer, ClientID, ClientSecret string
}

// Person is a row of the table of people. Subject is the provider's.
type Person struct {
	ID      string `json:"id"`
	Subject string `json:"sub"`
	Name    string `json:"name"`
}

// DB stands in for a database. The zero value is empty.
type DB struct {
	mu     sync.Mutex
	people []Person
	keys   map[[32]byte]string // of API keys, by their hash
	posts  []string
}

// SignIn finds the person with a subject, or creates one.
func (db *DB) SignIn(subject, name string) Person {
	db.mu.Lock()
	defer db.mu.Unlock()
	for i, p := range db.people {
		if p.Subject == subject {
			db.people[i].Name = name
			return db.people[i]
		}
	}
	p := Person{ID: strconv.Itoa(len(db.people) + 1), Subject: subject, Name: name}
	db.people = append(db.people, p)
	return p
}

// Person returns a row.
func (db *DB) Person(id string) (Person, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	n, err := strconv.Atoi(id)
	if err != nil || n < 1 || n > len(db.people) {
		return Person{}, false
	}
	return db.people[n-1], true
}

// NewKey creates an API key for a person. Only its hash is stored.
func (db *DB) NewKey(person string) string {
	key := rand.Text()
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.keys == nil {
		db.keys = map[[32]byte]string{}
	}
	db.keys[sha256.Sum256([]byte(key))] = person
	return key
}

// KeyOf returns the person of an API key.
func (db *DB) KeyOf(key string) (Person, bool) {
	db.mu.Lock()
	id := db.keys[sha256.Sum256([]byte(key))]
	db.mu.Unlock()
	return db.Person(id)
}

// Post puts a line on the board.
func (db *DB) Post(text string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.posts = append(db.posts, text)
}

// Posts are the lines of the board.
func (db *DB) Posts() []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return append([]string{}, db.posts...)
}

// NewToken creates a JWT for a person.
func (s Settings) NewToken(p Person, life time.Duration) (string, error) {
	now := time.Now()
	claims := jwt.RegisteredClaims{Issuer: "board", Subject: p.ID, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life))}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(s.JWTSecret))
}

// Token returns the person in a JWT, and its time of issue.
func (s Settings) Token(db *DB, token string) (Person, time.Time, bool) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return []byte(s.JWTSecret), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("board"), jwt.WithExpirationRequired())
	p, known := db.Person(claims.Subject)
	if err != nil || !known || claims.IssuedAt == nil {
		return Person{}, time.Time{}, false
	}
	return p, claims.IssuedAt.Time, true
}

// Talk greets the person at the other end of a socket, and echoes their messages. A socket
// outlives the session that opened it, so it ends after some minutes, and the page opens another.
func Talk(ctx context.Context, socket *websocket.Conn, p Person) {
	defer func() { _ = socket.CloseNow() }()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	err := socket.Write(ctx, websocket.MessageText, []byte("Hello, "+p.Name+"!"))
	for err == nil {
		var text []byte
		if _, text, err = socket.Read(ctx); err == nil {
			err = socket.Write(ctx, websocket.MessageText, text)
		}
	}
}
