// Package notebook has the unchanged parts of the application: its settings and its tables.
package notebook

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Settings are the program's environment.
type Settings struct {
	BaseURL       string
	SessionSecret string // for the old sessions
	SessionKeys   string // Options.Keys
	Clients       []Client
}

// Client is the application's registration at a provider.
type Client struct{ Name, Title, Issuer, ID, Secret string }

// Person is a row of the table of people.
type Person struct {
	ID                int
	Provider, Subject string // the old key: goth's Provider and UserID
	Login             string // the new key: User.ID
	Name, Email       string
	LastLogin         time.Time
}

// Note is a row of the table of notes.
type Note struct {
	ID, Person int
	Text       string
}

// DB stands in for a database. The zero value is empty.
type DB struct {
	mu     sync.Mutex
	people []Person
	notes  []Note
	last   int // id of the last note
}

// SignIn finds the person with a key, or creates one, and stores the provider's claims. Once a
// row has the new key, the new program looks it up only by that.
func (db *DB) SignIn(p Person) Person {
	db.mu.Lock()
	defer db.mu.Unlock()
	p.LastLogin = time.Now()
	for i, row := range db.people {
		byOld := row.Provider == p.Provider && row.Subject == p.Subject && (p.Login == "" || row.Login == "")
		if byOld || p.Login != "" && row.Login == p.Login {
			p.ID, p.Login = row.ID, cmp.Or(p.Login, row.Login)
			db.people[i] = p
			return p
		}
	}
	p.ID = len(db.people) + 1
	db.people = append(db.people, p)
	return p
}

// Person returns a row.
func (db *DB) Person(id int) (Person, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if id < 1 || id > len(db.people) {
		return Person{}, false
	}
	return db.people[id-1], true
}

// People returns the number of people.
func (db *DB) People() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return len(db.people)
}

// Notes of a person.
func (db *DB) Notes(person int) (list []Note) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, n := range db.notes {
		if n.Person == person {
			list = append(list, n)
		}
	}
	return list
}

// Add a note.
func (db *DB) Add(person int, text string) Note {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.last++
	n := Note{ID: db.last, Person: person, Text: text}
	db.notes = append(db.notes, n)
	return n
}

// Remove a note of a person.
func (db *DB) Remove(person int, id string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.notes = slices.DeleteFunc(db.notes, func(n Note) bool { return n.Person == person && strconv.Itoa(n.ID) == id })
}
