package ginauth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gorilla/securecookie"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/seal"
)

const (
	recordKey   = "ginauth" // the only value in a store's session
	bindingSize = 32        // bytes
)

// storeBackend stores sessions in a gin-contrib/sessions store, through its interface only. A
// record is one sealed text that opens only with the binding cookie, which the store never
// sees: planted session ids, records copied under another id, and dumps of the store are
// useless, however the store handles ids. The cookie also has the session's own id, sealed, so
// that a session can be revoked even if the store fails, or reports a failure as a missing
// session.
type storeBackend struct {
	store  ginsessions.Store
	box    *seal.Box
	unseal func(text, rest, name string) *opened // opens what box sealed
	jar    cookie.Jar
	name   string
}

func (b *storeBackend) bindingName() string { return b.name + "-b" }

// bound returns the context that a record is sealed for.
func (b *storeBackend) bound(binding string) string { return b.name + " " + binding }

// binding is a binding cookie of a request.
type binding struct {
	text string // 32 random bytes, encoded
	id   string // of the session that it belongs to
	old  bool   // the id is sealed under an old key
}

// bindings returns the binding cookies of a request that can be opened.
func (b *storeBackend) bindings(r *http.Request) (list []binding) {
	for _, value := range cookie.Values(r.Header, b.bindingName(), maxCopies) {
		text, sealed, _ := strings.Cut(value, ".")
		id, old, _ := b.box.Open(sealed, b.bindingName()+" "+text)
		if len(id) == sessionIDSize {
			list = append(list, binding{text, id, old})
		}
	}
	return list
}

// ids implements sessionBackend.
func (b *storeBackend) ids(w http.ResponseWriter, r *http.Request) (ids []sessionID, found bool) {
	r = cookie.Current(w, r, b.name, b.bindingName())
	for _, name := range []string{b.name, b.bindingName()} {
		found = found || len(cookie.Values(r.Header, name, 1)) > 0
	}
	for _, binding := range b.bindings(r) {
		ids = append(ids, sessionID{id: binding.id})
	}
	return ids, found
}

// load implements sessionBackend. Of several cookies of one name, it uses those that belong
// together and can be opened. If they hold two sessions, the request is ambiguous: load returns
// neither, and ends both.
func (b *storeBackend) load(w http.ResponseWriter, r *http.Request) (found *opened, err error) {
	two := false
	err = b.each(w, r, func(s stored) error {
		if o := b.unseal(s.text, "", b.bound(s.binding.text)); o != nil && o.id == s.binding.id {
			two = two || found != nil && found.id != o.id
			if found = o; s.binding.old {
				found = o.withOldKey()
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if two {
		err := b.delete(w, r)
		b.expire(w, r)
		return nil, err
	}
	return found, nil
}

// stored is a candidate for a request's session: a text in the store and a binding.
type stored struct {
	request *http.Request // with only the store's cookie of this session
	session *gorilla.Session
	text    string
	binding binding
}

// opens reports whether a candidate is a session.
func (b *storeBackend) opens(s stored) bool {
	record, _, _ := b.box.Open(s.text, b.bound(s.binding.text))
	return len(record) > sessionIDSize && record[1:1+sessionIDSize] == s.binding.id
}

// each calls do for each candidate.
func (b *storeBackend) each(w http.ResponseWriter, r *http.Request, do func(stored) error) error {
	r = cookie.Current(w, r, b.name, b.bindingName())
	bindings := b.bindings(r)
	if len(bindings) == 0 {
		return nil // without a query to the store
	}
	for _, value := range cookie.Values(r.Header, b.name, maxCopies) {
		one := b.with(r, value)
		s, err := b.open(one)
		if err != nil {
			return err
		}
		text, _ := s.Values[recordKey].(string)
		for _, binding := range bindings {
			if err := do(stored{one, s, text, binding}); err != nil {
				return err
			}
		}
	}
	return nil
}

// with returns the request with one cookie of the store, or without any, so that the order of
// the Cookie header does not decide which one the store reads.
func (b *storeBackend) with(r *http.Request, value string) *http.Request {
	one := r.WithContext(r.Context()) // a shallow copy
	one.Header = http.Header{}
	if value != "" {
		one.Header["Cookie"] = []string{b.name + "=" + value}
	}
	return one
}

// open loads the session of a request from the store. An unreadable cookie or a missing record
// is a new session; only a failing store is an error. A panic of the store must not crash the
// request.
func (b *storeBackend) open(r *http.Request) (*gorilla.Session, error) {
	s, err := contain.Call(func() (*gorilla.Session, error) { return b.store.New(r, b.name) })
	if err == nil && s == nil {
		err = errors.New("the store returned no session")
	}
	if err == nil {
		return s, nil
	}
	if s == nil || !absent(err) {
		return nil, storeFailed("read session", err)
	}
	s.Values, s.IsNew = map[any]any{}, true
	return s, nil
}

// absent reports whether a store's error means that the session does not exist or cannot be
// decoded. It compares texts where the type would have to be imported or does not exist:
// "memcache: cache miss" (bradfitz/gomemcache of 2026-04), "mc: not found" (memcachier/mc
// v2.0.1, v3.0.3), "gob: …" (encoding/gob of Go 1.26). An unexpected EOF does not count: gob
// returns it for a truncated record, but clients return it for a broken connection.
func absent(err error) bool {
	if broken, ok := errors.AsType[securecookie.Error](err); ok && broken.IsDecode() { // MultiError is one, too
		return true
	}
	if _, broken := errors.AsType[*json.SyntaxError](err); broken {
		return true
	}
	text := err.Error()
	return errors.Is(err, fs.ErrNotExist) || strings.Contains(text, "cache miss") || strings.Contains(text, "mc: not found") || strings.HasPrefix(text, "gob: ")
}

func storeFailed(op string, err error) *Error {
	return &Error{Code: ErrStoreUnavailable, ID: "store.sessions_failed", Op: op, Err: err, retryAfter: retryAfter,
		Reason: "Options.Sessions failed", Fix: "check the store"}
}

// save implements sessionBackend.
func (b *storeBackend) save(w http.ResponseWriter, r *http.Request, record sessionRecord) error {
	if record.isNew {
		return b.create(w, r, record)
	}
	return b.each(w, r, func(s stored) error {
		if !b.opens(s) {
			return nil
		}
		return b.write(w, s.request, s.session, s.binding.text, record)
	})
}

// create writes a record into a new session of the store, with a new id and binding. The store
// receives a request without its cookie, since some stores prefer the id there to the
// session's; the old record is deleted.
func (b *storeBackend) create(w http.ResponseWriter, r *http.Request, record sessionRecord) error {
	_ = b.delete(w, r) // it is already revoked, so it may remain for a while
	s, err := b.open(b.with(r, ""))
	if err != nil {
		return err
	}
	s.ID, s.IsNew = "", true
	raw := make([]byte, bindingSize)
	rand.Read(raw)
	return b.write(w, b.with(r, ""), s, base64.RawURLEncoding.EncodeToString(raw), record)
}

// write saves through the store with ginauth's cookie attributes: a store's defaults may allow
// scripts to read the cookie, or other sites to send it.
func (b *storeBackend) write(w http.ResponseWriter, r *http.Request, s *gorilla.Session, binding string, record sessionRecord) error {
	s.Values = map[any]any{recordKey: b.box.Seal(record.data, b.bound(binding))}
	s.Options = b.options(max(int(record.life/time.Second), 1)) // stores delete at 0
	out := discard{}
	if err := b.saveTo(r, out, s); err != nil {
		return err
	}
	for _, line := range out["Set-Cookie"] {
		if name, _, _ := strings.Cut(line, ";"); len(name) > browserLimit {
			return tooLarge("session.store_cookie_too_large", "the store's cookie has %d bytes; browsers accept %d", len(name), browserLimit)
		}
	}
	for _, line := range out["Set-Cookie"] {
		if record.browserOnly { // stores use the life of the record for the cookie, too
			line = cookie.WithoutLife(line)
		}
		cookie.Put(w.Header(), line)
	}
	id := b.box.Seal(record.data[1:1+sessionIDSize], b.bindingName()+" "+binding)
	b.jar.Set(w.Header(), b.bindingName(), binding+"."+id, record.cookieLife())
	return nil
}

func (b *storeBackend) options(maxAge int) *gorilla.Options {
	return &gorilla.Options{Path: "/", MaxAge: maxAge, Secure: b.jar.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

func (b *storeBackend) saveTo(r *http.Request, out discard, s *gorilla.Session) error {
	err := contain.Do(func() error { return b.store.Save(r, out, s) })
	if err == nil {
		return nil
	}
	_, panicked := err.(*contain.Panic)
	if text, _ := s.Values[recordKey].(string); !panicked && isTooLarge(err) {
		e := tooLarge("session.too_large_for_store", "the sealed session has %.1f KB, which the store rejected: most stores hold 4096 encoded bytes by default (MaxLength, SetMaxLength)", float64(len(text))/1000)
		e.Err = err
		return e
	}
	return storeFailed("write session", err)
}

// isTooLarge recognizes the error of a store that cannot hold a record of that size. No store
// has a type for it: "the value is too long" (securecookie v1.1.2), "the value to store is too
// big" (redistore v1.4.1), "object too large for cache" (memcached), "value too long for type"
// (PostgreSQL), "Data too long for column" (MySQL), "string or blob too big" (SQLite).
func isTooLarge(err error) bool {
	text := err.Error()
	return strings.Contains(text, "too long") || strings.Contains(text, "too big") || strings.Contains(text, "too large")
}

// expire implements sessionBackend.
func (b *storeBackend) expire(w http.ResponseWriter, _ *http.Request) {
	b.jar.Expire(w.Header(), b.name)
	b.jar.Expire(w.Header(), b.bindingName())
}

// delete implements sessionBackend. It deletes only a record that the browser's cookie opens:
// if an id were enough, a planted id would delete another user's session.
func (b *storeBackend) delete(w http.ResponseWriter, r *http.Request) error {
	return b.each(w, r, func(s stored) error {
		if !b.opens(s) {
			return nil
		}
		s.session.Values = map[any]any{} // for stores that cannot delete
		s.session.Options = b.options(-1)
		return b.saveTo(s.request, discard{}, s.session)
	})
}

// discard collects the headers that a store writes.
type discard http.Header

// Header implements http.ResponseWriter.
func (d discard) Header() http.Header { return http.Header(d) }

// Write implements http.ResponseWriter.
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (d discard) WriteHeader(int) {}
