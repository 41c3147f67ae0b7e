package ginauth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gorilla/securecookie"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/seal"
)

const (
	recordKey   = "ginauth" // the one value that we keep in a store's session
	bindingSize = 32        // bytes
)

// storeHome keeps sessions in a gin-contrib/sessions store, used through its
// interface alone. What the store holds is one sealed text that opens only
// together with the binding cookie, which the store never sees: a planted
// session id, a record copied under another id, and a dump of the store are
// worth nothing, whatever the store does about ids. The cookie also has our own
// id of the session, sealed: so a session can be revoked without the store,
// which may fail, and may take its failure for "no such session".
type storeHome struct {
	store  ginsessions.Store
	box    *seal.Box
	unseal func(text, rest, name string) *opened // what box opens
	jar    cookie.Jar
	name   string
}

func (h *storeHome) bindingName() string { return h.name + "-b" }

// bound is what a record is sealed for.
func (h *storeHome) bound(binding string) string { return h.name + " " + binding }

// binding is a binding cookie of a request.
type binding struct {
	text string // 32 random bytes, encoded
	id   string // of the session that it belongs to
	old  bool   // the id is sealed under an old key
}

// bindings are those of a request that are ours.
func (h *storeHome) bindings(r *http.Request) (list []binding) {
	for _, value := range cookie.Values(r.Header, h.bindingName(), copiesMost) {
		text, sealed, _ := strings.Cut(value, ".")
		id, old, _ := h.box.Open(sealed, h.bindingName()+" "+text)
		if len(id) == sessionIDSize {
			list = append(list, binding{text, id, old})
		}
	}
	return list
}

// ids implements home.
func (h *storeHome) ids(w http.ResponseWriter, r *http.Request) (ids []string, some bool) {
	r = cookie.Current(w, r, h.name, h.bindingName())
	for _, name := range []string{h.name, h.bindingName()} {
		some = some || len(cookie.Values(r.Header, name, 1)) > 0
	}
	for _, b := range h.bindings(r) {
		ids = append(ids, b.id)
	}
	return ids, some
}

// load asks the store. Of several cookies of ours, those count that belong
// together and open; if two sessions are among them, it cannot be told which
// is meant: neither counts, and both are cleared.
func (h *storeHome) load(w http.ResponseWriter, r *http.Request) (found *opened, err error) {
	two := false
	err = h.each(w, r, func(s stored) error {
		if o := h.unseal(s.text, "", h.bound(s.binding.text)); o != nil && o.id == s.binding.id {
			two = two || found != nil && found.id != o.id
			if found = o; s.binding.old {
				found = o.sealedAnew()
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if two {
		return nil, h.clear(w, r)
	}
	return found, nil
}

// stored is what may be a session of a request: a text in the store, and a
// binding that it may open with.
type stored struct {
	request *http.Request // with the store's cookie of this session alone
	session *gorilla.Session
	text    string
	binding binding
}

// opens says whether it is one.
func (h *storeHome) opens(s stored) bool {
	record, _, _ := h.box.Open(s.text, h.bound(s.binding.text))
	return len(record) > sessionIDSize && record[1:1+sessionIDSize] == s.binding.id
}

// each calls do for what a request and the store have.
func (h *storeHome) each(w http.ResponseWriter, r *http.Request, do func(stored) error) error {
	r = cookie.Current(w, r, h.name, h.bindingName())
	bindings := h.bindings(r)
	if len(bindings) == 0 {
		return nil // and the store is not asked
	}
	for _, value := range cookie.Values(r.Header, h.name, copiesMost) {
		one := h.with(r, value)
		s, err := h.open(one)
		if err != nil {
			return err
		}
		text, _ := s.Values[recordKey].(string)
		for _, b := range bindings {
			if err := do(stored{one, s, text, b}); err != nil {
				return err
			}
		}
	}
	return nil
}

// with returns the request with that one cookie of the store's, or none: what
// the store reads is decided here, not by the order of a header.
func (h *storeHome) with(r *http.Request, value string) *http.Request {
	one := r.WithContext(r.Context()) // a shallow copy
	one.Header = http.Header{}
	if value != "" {
		one.Header["Cookie"] = []string{h.name + "=" + value}
	}
	return one
}

// open asks the store for the session of a request. A cookie that the store
// cannot read, or a record that it does not have, is a new session; only a
// store that fails is an error. It may panic, and must not crash the request.
func (h *storeHome) open(r *http.Request) (s *gorilla.Session, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = storeFailed("read session", fmt.Errorf("panic: %.500v", p))
		}
	}()
	s, err = h.store.New(r, h.name)
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

// absent says whether a store's error means that there is no such session, or
// none that can be read. Stores tell it in their own ways, memcached's clients
// and gob only in words. An unexpected EOF is none of them: gob says it of a
// record that was cut, but clients say it of a connection that was.
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
	return &Error{Code: ErrStoreUnavailable, Op: op, Err: err, retryAfter: retryAfter,
		Reason: "Options.Sessions failed", Fix: "look at the store behind it"}
}

// create writes a record into a new session of the store's, with a new id and
// a new binding. The store gets a request without its cookie, since some take
// the id from there whatever the session says; the old record is deleted.
func (h *storeHome) create(w http.ResponseWriter, r *http.Request, record []byte, life time.Duration) error {
	_ = h.erase(w, r) // it is revoked already; that it stays a while does no harm
	s, err := h.open(h.with(r, ""))
	if err != nil {
		return err
	}
	s.ID, s.IsNew = "", true
	raw := make([]byte, bindingSize)
	rand.Read(raw)
	return h.write(w, h.with(r, ""), s, base64.RawURLEncoding.EncodeToString(raw), record, life)
}

// update writes a record back into the session that it came from, which may
// have begun with this very answer. One that is gone was ended by another request meanwhile, and stays so: nothing is
// written, and no cookie takes the place of those of a later sign-in.
func (h *storeHome) update(w http.ResponseWriter, r *http.Request, record []byte, life time.Duration) error {
	return h.each(w, r, func(s stored) error {
		if !h.opens(s) {
			return nil
		}
		return h.write(w, s.request, s.session, s.binding.text, record, life)
	})
}

// write saves through the store, under our own cookie attributes: a store's
// defaults may be readable by scripts, or sent from other sites.
func (h *storeHome) write(w http.ResponseWriter, r *http.Request, s *gorilla.Session, binding string, record []byte, life time.Duration) error {
	s.Values = map[any]any{recordKey: h.box.Seal(record, h.bound(binding))}
	s.Options = h.options(max(int(life/time.Second), 1)) // stores delete at 0
	out := discard{}
	if err := h.save(r, out, s); err != nil {
		return err
	}
	for _, line := range out["Set-Cookie"] {
		if name, _, _ := strings.Cut(line, ";"); len(name) > browserLimit {
			return tooLarge("the store's cookie has %d bytes; browsers keep %d", len(name), browserLimit)
		}
	}
	for _, line := range out["Set-Cookie"] {
		cookie.Put(w.Header(), line)
	}
	id := h.box.Seal(record[1:1+sessionIDSize], h.bindingName()+" "+binding)
	h.jar.Set(w.Header(), h.bindingName(), binding+"."+id, life)
	return nil
}

func (h *storeHome) options(maxAge int) *gorilla.Options {
	return &gorilla.Options{Path: "/", MaxAge: maxAge, Secure: h.jar.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

func (h *storeHome) save(r *http.Request, out discard, s *gorilla.Session) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = storeFailed("write session", fmt.Errorf("panic: %.500v", p))
		}
	}()
	err = h.store.Save(r, out, s)
	if err == nil {
		return nil
	}
	if text, _ := s.Values[recordKey].(string); isTooLarge(err) {
		e := tooLarge("the session takes %.1f KB, sealed, and the store does not take it: most hold 4096 bytes after an encoding of their own, unless told otherwise (MaxLength, SetMaxLength)", float64(len(text))/1000)
		e.Err = err
		return e
	}
	return storeFailed("write session", err)
}

// isTooLarge recognizes what stores say of a record that is: securecookie,
// redistore, memcached, SQL databases.
func isTooLarge(err error) bool {
	text := err.Error()
	return strings.Contains(text, "too long") || strings.Contains(text, "too big") || strings.Contains(text, "too large")
}

// clear deletes the record and tells the browser to forget both cookies.
func (h *storeHome) clear(w http.ResponseWriter, r *http.Request) error {
	err := h.erase(w, r)
	h.forget(w, r)
	return err
}

// forget implements home.
func (h *storeHome) forget(w http.ResponseWriter, _ *http.Request) {
	h.jar.Expire(w.Header(), h.name)
	h.jar.Expire(w.Header(), h.bindingName())
}

// erase deletes the record of a request in the store, if the browser could
// open it: an id alone must not do, or planted ones would delete others'.
func (h *storeHome) erase(w http.ResponseWriter, r *http.Request) error {
	return h.each(w, r, func(s stored) error {
		if !h.opens(s) {
			return nil
		}
		s.session.Values = map[any]any{} // for stores that cannot delete
		s.session.Options = h.options(-1)
		return h.save(s.request, discard{}, s.session)
	})
}

// discard takes the headers that a store writes.
type discard http.Header

// Header implements http.ResponseWriter.
func (d discard) Header() http.Header { return http.Header(d) }

// Write implements http.ResponseWriter.
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (d discard) WriteHeader(int) {}
