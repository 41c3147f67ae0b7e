package ginauth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/seal"
)

const maxCookies = 2 // of a session: proxies accept header lines of 8 KB

// The first character of the first cookie records whether a second one belongs to it, so that a
// second cookie that a longer session left behind is not used.
const (
	wholeCookie = '1'
	splitCookie = '2'
)

// cookieBackend stores sessions in one or two sealed cookies.
type cookieBackend struct {
	box    *seal.Box
	unseal func(text, rest, name string) *opened // opens what box sealed
	jar    cookie.Jar
	name   string
	second string // name of the other cookie
}

// save implements sessionBackend. It expires a second cookie that the browser has and the record
// does not need.
func (b *cookieBackend) save(w http.ResponseWriter, r *http.Request, record sessionRecord) error {
	out, size := w.Header(), seal.Size(len(record.data))
	room := (cookieLimit - len(b.second) - 1) &^ 3 // see OpenParts
	if size > maxCookies*room {
		sealed := float64(size) / float64(len(record.data)) // bytes of text for one of the record
		return tooLarge("session.too_large", "the session has %.1f KB; two cookies hold %.1f KB", float64(len(record.data))/1000, float64(maxCookies*room)/1000/sealed)
	}
	text := b.box.Seal(record.data, b.name)
	if size <= room {
		b.expireSecond(w, r)
		b.jar.Set(out, b.name, string(wholeCookie)+text, record.cookieLife())
		return nil
	}
	b.jar.Set(out, b.name, string(splitCookie)+text[:room], record.cookieLife())
	b.jar.Set(out, b.second, text[room:], record.cookieLife())
	return nil
}

// delete implements sessionBackend: the cookie is the record.
func (b *cookieBackend) delete(http.ResponseWriter, *http.Request) error { return nil }

// load implements sessionBackend. Of several cookies of one name, it uses those that can be
// opened. If they hold two sessions, the request is ambiguous: load returns neither, and expires
// both.
func (b *cookieBackend) load(w http.ResponseWriter, r *http.Request) (found *opened, err error) {
	now := cookie.Current(w, r, b.name, b.second).Header
	if text := cookie.Only(now, b.name); text != "" && text[0] == wholeCookie { // nearly always
		return b.unseal(text[1:], "", b.name), nil
	}
	two := false
	b.each(now, func(text, rest string) {
		if o := b.unseal(text, rest, b.name); o != nil {
			two = two || found != nil && found.id != o.id
			found = o
		}
	})
	if two {
		b.expire(w, r)
		return nil, nil
	}
	return found, nil
}

// ids implements sessionBackend.
func (b *cookieBackend) ids(w http.ResponseWriter, r *http.Request) (ids []sessionID, found bool) {
	now := cookie.Current(w, r, b.name, b.second).Header
	for _, name := range []string{b.name, b.second} {
		found = found || len(cookie.Values(now, name, 1)) > 0
	}
	b.each(now, func(text, rest string) {
		if record, _, _ := b.box.OpenParts(text, rest, b.name); len(record) > sessionIDSize {
			ids = append(ids, identify(record))
		}
	})
	return ids, found
}

// each calls do for each possible sealed record of a request, in one cookie or in two.
func (b *cookieBackend) each(in http.Header, do func(text, rest string)) {
	var first, second [maxCopies]string
	var n, m int
	cookie.Each(in, b.name, func(name, value string) {
		switch {
		case name == b.name && n < maxCopies && value != "":
			first[n] = value
			n++
		case name == b.second && m < maxCopies:
			second[m] = value
			m++
		}
	})
	for _, value := range first[:n] {
		switch value[0] {
		case wholeCookie:
			do(value[1:], "")
		case splitCookie:
			for _, rest := range second[:m] {
				do(value[1:], rest)
			}
		}
	}
}

// expire implements sessionBackend.
func (b *cookieBackend) expire(w http.ResponseWriter, r *http.Request) {
	b.jar.Expire(w.Header(), b.name)
	b.expireSecond(w, r)
}

// expireSecond expires the second cookie if the request or this response has one.
func (b *cookieBackend) expireSecond(w http.ResponseWriter, r *http.Request) {
	out := w.Header()
	set := func(line string) bool { return strings.HasPrefix(line, b.second+"=") }
	if len(cookie.Values(r.Header, b.second, 1)) > 0 || slices.ContainsFunc(out["Set-Cookie"], set) {
		b.jar.Expire(out, b.second)
	}
}

// tooLarge is the error for a record that exceeds the backend's limit.
func tooLarge(id, format string, args ...any) *Error {
	return &Error{Code: ErrSessionError, ID: id, Reason: fmt.Sprintf(format, args...), Fix: keepLess}
}
