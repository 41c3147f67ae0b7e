package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
)

// account is a row of a table of yours, with its passkeys.
type account struct {
	ID   []byte // 64 random bytes: the passkey's user handle, and in hexadecimal User.Subject
	Name string
	Keys []webauthn.Credential
}

// WebAuthnID, and the others, implement webauthn.User.
func (a *account) WebAuthnID() []byte                         { return a.ID }
func (a *account) WebAuthnName() string                       { return a.Name }
func (a *account) WebAuthnDisplayName() string                { return a.Name }
func (a *account) WebAuthnCredentials() []webauthn.Credential { return a.Keys }

func newAccount(name string) *account {
	id := make([]byte, 64)
	rand.Read(id)
	return &account{ID: id, Name: name}
}

// accounts stands in for that table.
type accounts struct {
	mu   sync.Mutex
	byID map[string]account
}

func (a *accounts) find(_, id []byte) (webauthn.User, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, known := a.byID[string(id)]
	if !known {
		return nil, errors.New("there is no such account")
	}
	return &found, nil
}

// keep adds a passkey, or saves its new state: the signature counter reveals copies.
func (a *accounts) keep(of *account, key *webauthn.Credential) {
	a.mu.Lock()
	defer a.mu.Unlock()
	row := account{ID: of.ID, Name: of.Name}
	for _, old := range of.Keys {
		if !bytes.Equal(old.ID, key.ID) {
			row.Keys = append(row.Keys, old)
		}
	}
	row.Keys = append(row.Keys, *key)
	a.byID[string(of.ID)] = row
}

// ceremony is a sign-in or a registration in progress: the challenge that was sent, and the
// account, if it is known.
type ceremony struct {
	data    webauthn.SessionData
	account *account // who registers; nil for a sign-in
	began   time.Time
}

// ceremonies stores the ceremonies at the server, so that each finishes only once: stored in
// the browser, a response could be replayed. With several replicas, store them in Redis.
type ceremonies struct {
	mu   sync.Mutex
	byID map[string]ceremony
}

const (
	ceremonyLife = 5 * time.Minute
	ceremonyMost = 10_000 // at a time
)

// begin stores a ceremony and returns its id, for a cookie.
func (k *ceremonies) begin(data *webauthn.SessionData, of *account) (id string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if len(k.byID) >= ceremonyMost {
		maps.DeleteFunc(k.byID, func(_ string, old ceremony) bool { return now.Sub(old.began) > ceremonyLife })
	}
	if len(k.byID) >= ceremonyMost {
		return "", errors.New("too many ceremonies have begun")
	}
	id = rand.Text()
	k.byID[id] = ceremony{*data, of, now}
	return id, nil
}

// take removes a ceremony and returns it.
func (k *ceremonies) take(id string) (ceremony, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, there := k.byID[id]
	delete(k.byID, id)
	return found, there && time.Since(found.began) <= ceremonyLife
}
