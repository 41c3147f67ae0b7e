package ginauth

import "net/http"

// signOut ends the session of a request: the record, every copy of it, and
// the attempts under way. It returns the session that there was, or nil; that
// there was none is no failure.
func (a *Auth) signOut(w http.ResponseWriter, r *http.Request) (*session, error) {
	for _, name := range a.attempts.all(r) {
		a.attempts.jar.Expire(w.Header(), name)
	}
	s, _, err := a.sessions.find(w.Header(), r.Header)
	if err != nil {
		return nil, err
	}
	if s == nil { // or over: then nothing of it should stay behind either
		a.sessions.drop(w.Header(), r.Header)
		return nil, nil
	}
	if err := a.sessions.end(w, r, s); err != nil {
		return nil, err
	}
	return s, nil
}
