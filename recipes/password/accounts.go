package main

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/time/rate"
)

// account is a row of a table of yours. ID is User.Subject: it never changes and is never
// reassigned. Name, with which users sign in, may change.
type account struct {
	ID, Name, Hash string
}

// accounts stands in for that table.
type accounts struct {
	mu     sync.Mutex
	byName map[string]account
}

// unknownName is the hash to compare with if a name has no account, so that the response takes
// equally long.
var unknownName = mustHash("the password of no account")

func mustHash(password string) string {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	hash, err := argon2id.CreateHash(password, argon2id.DefaultParams)
	if err != nil {
		panic(err)
	}
	return hash
}

// hashing limits how many passwords are hashed concurrently: each takes 64 MB.
var hashing = make(chan struct{}, 4)

// check returns the account with a name, if the password matches.
func (a *accounts) check(name, password string) (account, bool) {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	a.mu.Lock()
	found, known := a.byName[strings.ToLower(name)]
	a.mu.Unlock()
	hash := unknownName
	if known {
		hash = found.Hash
	}
	match, err := argon2id.ComparePasswordAndHash(password, hash)
	return found, known && err == nil && match
}

// set changes the password of an account, or creates the account.
func (a *accounts) set(id, name, password string) {
	row := account{ID: id, Name: name, Hash: mustHash(password)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byName[strings.ToLower(name)] = row
}

// attempts limits password attempts, for each address and for each name, to a burst of five and
// then one every twelve seconds. Keys with the same slot share its limit, so that made-up names
// cannot fill the memory.
type attempts struct {
	mu     sync.Mutex
	seed   maphash.Seed
	places [4096]*rate.Limiter
	now    func() time.Time
}

func newAttempts(now func() time.Time) *attempts {
	return &attempts{seed: maphash.MakeSeed(), now: now}
}

func (a *attempts) allow(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	place := &a.places[maphash.String(a.seed, key)%uint64(len(a.places))]
	if *place == nil {
		*place = rate.NewLimiter(rate.Every(12*time.Second), 5)
	}
	return (*place).AllowN(a.now(), 1)
}
