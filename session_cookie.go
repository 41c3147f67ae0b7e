package ginauth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/seal"
)

const (
	partsMost = 2 // proxies take 8 KB of a header line
)

// The first character of the first cookie says whether another belongs to it,
// so that one left behind by a longer session is not taken for a part.
const (
	wholeMark = '1'
	partMark  = '2'
)

// cookieHome keeps sessions in the browser, sealed, in one cookie or two.
type cookieHome struct {
	box    *seal.Box
	unseal func(text, rest, name string) *opened // what box opens
	jar    cookie.Jar
	name   string
	second string // name of the other cookie
}

// save writes a record, and takes back a second cookie that the browser has
// and the record does not need.
func (h *cookieHome) save(w http.ResponseWriter, r *http.Request, record []byte, life time.Duration) error {
	out, size := w.Header(), seal.Size(len(record))
	room := (cookieLimit - len(h.second) - 1) &^ 3 // see OpenParts
	if size > partsMost*room {
		sealed := float64(size) / float64(len(record)) // bytes of text for one of the record
		return tooLarge("the session takes %.1f KB; two cookies hold %.1f KB", float64(len(record))/1000, float64(partsMost*room)/1000/sealed)
	}
	text := h.box.Seal(record, h.name)
	if size <= room {
		h.forgetSecond(w, r)
		h.jar.Set(out, h.name, string(wholeMark)+text, life)
		return nil
	}
	h.jar.Set(out, h.name, string(partMark)+text[:room], life)
	h.jar.Set(out, h.second, text[room:], life)
	return nil
}

// create implements home.
func (h *cookieHome) create(w http.ResponseWriter, r *http.Request, record []byte, life time.Duration) error {
	return h.save(w, r, record, life)
}

// update implements home.
func (h *cookieHome) update(w http.ResponseWriter, r *http.Request, record []byte, life time.Duration) error {
	return h.save(w, r, record, life)
}

// clear implements home.
func (h *cookieHome) clear(w http.ResponseWriter, r *http.Request) error {
	h.forget(w, r)
	return nil
}

// load returns the session of a request, or nil. Of several cookies of the name
// those count that open; if two sessions are among them, it cannot be told
// which is meant: neither counts, and both are cleared.
func (h *cookieHome) load(w http.ResponseWriter, r *http.Request) (found *opened, err error) {
	now := cookie.Current(w, r, h.name, h.second).Header
	if text := cookie.Only(now, h.name); text != "" && text[0] == wholeMark { // nearly always
		return h.unseal(text[1:], "", h.name), nil
	}
	two := false
	h.each(now, func(text, rest string) {
		if o := h.unseal(text, rest, h.name); o != nil {
			two = two || found != nil && found.id != o.id
			found = o
		}
	})
	if two {
		return nil, h.clear(w, r)
	}
	return found, nil
}

// ids implements home.
func (h *cookieHome) ids(w http.ResponseWriter, r *http.Request) (ids []string, some bool) {
	now := cookie.Current(w, r, h.name, h.second).Header
	for _, name := range []string{h.name, h.second} {
		some = some || len(cookie.Values(now, name, 1)) > 0
	}
	h.each(now, func(text, rest string) {
		if record, _, _ := h.box.OpenParts(text, rest, h.name); len(record) > sessionIDSize {
			ids = append(ids, record[1:1+sessionIDSize])
		}
	})
	return ids, some
}

// each calls do for what may be the sealed record of a request, in one cookie or
// in two.
func (h *cookieHome) each(in http.Header, do func(text, rest string)) {
	var first, second [maxCopies]string
	var n, m int
	cookie.Each(in, h.name, func(name, value string) {
		switch {
		case name == h.name && n < maxCopies && value != "":
			first[n] = value
			n++
		case name == h.second && m < maxCopies:
			second[m] = value
			m++
		}
	})
	for _, value := range first[:n] {
		switch value[0] {
		case wholeMark:
			do(value[1:], "")
		case partMark:
			for _, rest := range second[:m] {
				do(value[1:], rest)
			}
		}
	}
}

// forget tells the browser to drop the cookies that it has.
func (h *cookieHome) forget(w http.ResponseWriter, r *http.Request) {
	h.jar.Expire(w.Header(), h.name)
	h.forgetSecond(w, r)
}

// forgetSecond does so with the second one, if the browser has it or this very
// answer has set it.
func (h *cookieHome) forgetSecond(w http.ResponseWriter, r *http.Request) {
	out := w.Header()
	set := func(line string) bool { return strings.HasPrefix(line, h.second+"=") }
	if len(cookie.Values(r.Header, h.second, 1)) > 0 || slices.ContainsFunc(out["Set-Cookie"], set) {
		h.jar.Expire(out, h.second)
	}
}

// tooLarge is what a home says of a record that it has no room for.
func tooLarge(format string, args ...any) *Error {
	return &Error{Code: ErrSessionError, Reason: fmt.Sprintf(format, args...)}
}
