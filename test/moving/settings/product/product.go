// Package product has the unchanged parts of the application: its installation and its tables.
package product

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Install is the configuration of an installation of the product.
type Install struct {
	BaseURL     string       // an administrator's choice: https, or http in a private network
	SessionKeys string       // Options.Keys
	Client      *http.Client // trusts the installation's certificate authority
}

// Provider is a row of the settings page.
type Provider struct {
	Name         string `json:"name" binding:"required"`
	Title        string `json:"title"`
	AuthorizeURL string `json:"authorize_url" binding:"required"`
	TokenURL     string `json:"token_url" binding:"required"`
	UserinfoURL  string `json:"userinfo_url" binding:"required"`
	ClientID     string `json:"client_id" binding:"required"`
	ClientSecret string `json:"client_secret" binding:"required"`

	// New with ginauth, and empty in old rows.
	Issuer  string `json:"issuer"`
	OwnPath bool   `json:"own_path"` // the redirect URI has the provider's name
}

// Account is a row of the table of accounts.
type Account struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Admin bool   `json:"admin"`
	Hash  []byte `json:"-"` // of the password, or nil
}

// Session is a row of the table of old sessions.
type Session struct {
	Account  string
	Remember bool
	Created  time.Time
}

// Link links a user's account at a provider to an account of the product.
type Link struct{ Provider, Subject string }

// ErrTaken means that the provider's account is linked to another account.
var ErrTaken = errors.New("this is linked to another account")

// DB stands in for a database.
type DB struct {
	mu        sync.Mutex
	accounts  []Account
	links     map[Link]string
	providers []Provider
	sessions  map[string]Session // by the hash of the cookie
}

// NewDB returns a database with one account, an administrator's.
func NewDB(name, password string) *DB {
	db := &DB{links: map[Link]string{}, sessions: map[string]Session{}}
	db.Add(Account{Name: name, Admin: true}, password)
	return db
}

// Add creates an account. Without a password, it is for a user of a provider.
func (db *DB) Add(a Account, password string) Account {
	if password != "" {
		a.Hash, _ = bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	a.ID = strconv.Itoa(len(db.accounts) + 1)
	db.accounts = append(db.accounts, a)
	return a
}

// Account returns a row.
func (db *DB) Account(id string) (Account, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	i := slices.IndexFunc(db.accounts, func(a Account) bool { return a.ID == id })
	if i < 0 {
		return Account{}, false
	}
	return db.accounts[i], true
}

var noAccount, _ = bcrypt.GenerateFromPassword([]byte("the password of no account"), bcrypt.MinCost)

// Check returns the account with a name and a password.
func (db *DB) Check(name, password string) (Account, bool) {
	db.mu.Lock()
	i := slices.IndexFunc(db.accounts, func(a Account) bool { return a.Name == name && a.Hash != nil })
	found := Account{Hash: noAccount}
	if i >= 0 {
		found = db.accounts[i]
	}
	db.mu.Unlock()
	return found, bcrypt.CompareHashAndPassword(found.Hash, []byte(password)) == nil && i >= 0
}

// Linked returns the account of a provider's user. If there is none, the user is linked to
// the account with that id, or, if that is "", to a new one.
func (db *DB) Linked(l Link, name, id string) (string, error) {
	db.mu.Lock()
	account, known := db.links[l]
	db.mu.Unlock()
	switch {
	case known && id != "" && account != id:
		return "", ErrTaken
	case known:
		return account, nil
	case id == "":
		id = db.Add(Account{Name: name}, "").ID
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.links[l] = id
	return id, nil
}

// Providers of the settings page.
func (db *DB) Providers() []Provider {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Clone(db.providers)
}

// SetProviders stores the settings page.
func (db *DB) SetProviders(list []Provider) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.providers = list
}

// Session returns an old session.
func (db *DB) Session(hash string) (Session, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	s, ok := db.sessions[hash]
	return s, ok
}

// SetSession stores one.
func (db *DB) SetSession(hash string, s Session) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.sessions[hash] = s
}

// EndSession deletes one.
func (db *DB) EndSession(hash string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	delete(db.sessions, hash)
}
