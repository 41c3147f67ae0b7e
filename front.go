package ginauth

import (
	"net/http"
	"strings"
)

// scheme is how a browser asked for a page, as far as this process can know.
type scheme byte

const (
	unsaid scheme = iota // no TLS here, and no proxy says whether there was some before it
	overHTTP
	overHTTPS
)

// schemeOf reads what a proxy says about the first hop. Anybody can write such
// headers: they decide nothing, and are for messages alone.
func schemeOf(r *http.Request) scheme {
	said, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	if said == "" {
		first, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Forwarded")), ",")
		_, said, _ = strings.Cut(first, "proto=")
		said, _, _ = strings.Cut(said, ";")
	}
	switch strings.ToLower(strings.Trim(said, ` "`)) {
	case "https":
		return overHTTPS
	case "http":
		return overHTTP
	}
	if r.TLS != nil {
		return overHTTPS
	}
	return unsaid
}

// mindScheme warns, once in the life of a process, that a sign-in begins over
// another scheme than BaseURL's. Once, since anybody can send the header.
func (a *Auth) mindScheme(r *http.Request) {
	came := schemeOf(r)
	if came == unsaid || (came == overHTTPS) == a.cfg.secure || !a.minded.CompareAndSwap(false, true) {
		return
	}
	if came == overHTTPS {
		a.cfg.Logger.Warn("ginauth: a sign-in began over https, but BaseURL is http: providers will be asked to send people back to http, and most refuse that;"+
			" set Options.BaseURL to the https address that browsers use", "base_url", a.cfg.BaseURL)
		return
	}
	a.cfg.Logger.Warn("ginauth: a sign-in began over http, as the proxy in front says, but BaseURL is https: a browser keeps no Secure cookie from http, and the sign-in will end with state_invalid;"+
		" have the proxy send people to https, or, if it does, have it write X-Forwarded-Proto as the browser asked", "base_url", a.cfg.BaseURL)
}
