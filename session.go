package ginauth

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	sessionVersion = 1
	sessionIDSize  = 16
)

// session is what is remembered of a signed-in user between requests.
type session struct {
	id      string    // 16 random bytes, new at every sign-in
	user    User      // and the claims that are kept
	created time.Time // Lifetime counts from here
	seen    time.Time // IdleTimeout counts from here
	issued  time.Time // iat of the ID token, by the provider's clock; else created
	sid     string    // the provider's id of its own session, or ""
}

// encode writes the record: versioned, since cookies outlive programs.
func (s *session) encode() []byte {
	u := &s.user
	b := append(make([]byte, 0, 512), sessionVersion)
	b = append(b, s.id...)
	b = wire.AppendTime(b, s.created)
	b = wire.AppendTime(b, s.seen)
	b = wire.AppendTime(b, s.issued)
	b = wire.AppendTime(b, u.AuthTime)
	verified := uint64(0)
	if u.EmailVerified {
		verified = 1
	}
	b = wire.AppendUint(b, verified)
	for _, text := range []string{s.sid, u.Provider, u.Issuer, u.Subject, u.Name, u.Username, u.Email, u.Picture, u.Locale, u.claims} {
		b = wire.AppendString(b, text)
	}
	b = wire.AppendStrings(b, u.kept)
	b = wire.AppendStrings(b, u.Groups)
	data := make([]string, 0, 2*len(u.Data))
	for _, name := range sortedKeys(u.Data) {
		data = append(data, name, u.Data[name])
	}
	return wire.AppendStrings(b, data)
}

// decode reads a record, and is false for one that this version did not write.
func (s *session) decode(record string) bool {
	r := wire.NewReader(record)
	if r.Bytes(1) != string(rune(sessionVersion)) {
		return false
	}
	u := &s.user
	s.id = r.Bytes(sessionIDSize)
	s.created, s.seen, s.issued, u.AuthTime = r.Time(), r.Time(), r.Time(), r.Time()
	u.EmailVerified = r.Uint() == 1
	for _, text := range [...]*string{&s.sid, &u.Provider, &u.Issuer, &u.Subject, &u.Name, &u.Username, &u.Email, &u.Picture, &u.Locale, &u.claims} {
		*text = r.String()
	}
	u.kept = r.Strings()
	if u.kept == nil {
		u.kept = []string{} // nil would mean all
	}
	u.Groups = r.Strings()
	data := r.Strings()
	if len(data)%2 != 0 {
		return false
	}
	for i := 0; i < len(data); i += 2 {
		if u.Data == nil {
			u.Data = make(map[string]string, len(data)/2)
		}
		u.Data[data[i]] = data[i+1]
	}
	return r.OK()
}

// keys are what a session is revoked by.
func (s *session) keys() [3]RevocationKey {
	keys := [3]RevocationKey{revocationKey('l', s.id), {}, revocationKey('u', s.user.Issuer, s.user.Subject)}
	if s.sid != "" {
		keys[1] = revocationKey('s', s.user.Issuer, s.sid)
	}
	return keys
}

// sessions makes, keeps and ends sessions.
type sessions struct {
	cfg     *config
	clients map[string]*client
	home    *cookieHome
}

// begin makes a new session for a user, under an id that nobody has seen, and
// ends the one that it replaces.
func (k *sessions) begin(w http.ResponseWriter, r *http.Request, u *User, issued time.Time, sid string) (*session, error) {
	now := k.cfg.Now()
	id := make([]byte, sessionIDSize)
	rand.Read(id)
	s := &session{id: string(id), user: *u.clone(), created: now, seen: now, issued: issued, sid: sid}
	if s.issued.IsZero() {
		s.issued = now
	}
	if err := s.keep(k.cfg.KeepClaims); err != nil {
		return nil, err
	}
	if before, _, err := k.find(w.Header(), r.Header); err == nil && before != nil {
		if err := k.revoke(r.Context(), before); err != nil {
			return nil, err
		}
	}
	return s, k.save(w, r, s)
}

// keep reduces the claims to those that stay.
func (s *session) keep(names []string) error {
	s.user.kept = append([]string{}, names...)
	if len(names) == 0 {
		s.user.claims = ""
		return nil
	}
	if slices.Contains(names, "*") {
		return nil
	}
	var all, some map[string]any
	all, err := strictjson.Object([]byte(s.user.claims))
	if s.user.claims == "" {
		return nil
	}
	if err != nil {
		return &Error{Code: SessionError, Op: "keep claims", Err: err}
	}
	for _, name := range names {
		if v, there := all[name]; there {
			if some == nil {
				some = map[string]any{}
			}
			some[name] = v
		}
	}
	return s.user.setClaims(some)
}

// save writes a session to its home.
func (k *sessions) save(w http.ResponseWriter, r *http.Request, s *session) error {
	record := s.encode()
	if err := k.home.save(w.Header(), r.Header, record, k.left(s)); err != nil {
		return &Error{Code: SessionError, Op: "save session", Provider: s.user.Provider, Reason: err.Error() + s.largest(),
			Fix: "keep less: fewer KeepClaims, groups or data"}
	}
	return nil
}

// left is how long a session has to live.
func (k *sessions) left(s *session) time.Duration {
	return min(k.cfg.Lifetime-s.seen.Sub(s.created), k.cfg.IdleTimeout)
}

// largest names what takes the most room in a session, for the one who has to
// make it smaller.
func (s *session) largest() string {
	type field struct {
		name string
		size int
	}
	u := &s.user
	fields := []field{
		{"name", len(u.Name)}, {"email", len(u.Email)}, {"picture", len(u.Picture)}, {"sub", len(u.Subject)},
		{"groups", len(strings.Join(u.Groups, "."))}, {"preferred_username", len(u.Username)},
	}
	for name, value := range u.Data {
		fields = append(fields, field{"data " + name, len(value)})
	}
	claims, _ := strictjson.Object([]byte(u.claims))
	for name, value := range claims {
		fields = append(fields, field{"claim " + name, len(fmt.Sprint(value))})
	}
	slices.SortFunc(fields, func(a, b field) int { return b.size - a.size })
	text := ": the largest are"
	for _, f := range fields[:3] {
		text += fmt.Sprintf(" %.40s (%.1f KB)", f.name, float64(f.size)/1000)
	}
	return text
}

// find reads the session of a request, alive by its own account: sealed by us,
// not over, of a provider that is still configured. No session is nil, and not
// an error: what does not open may be somebody else's. Renew says that it
// should be written again.
func (k *sessions) find(out, in http.Header) (s *session, renew bool, err error) {
	record, old, err := k.home.load(out, in)
	if err != nil || record == "" {
		return nil, false, err
	}
	s = new(session)
	if !s.decode(record) || !k.known(&s.user) {
		return nil, false, nil
	}
	now := k.cfg.Now()
	idle := now.Sub(s.seen)
	if idle > k.cfg.IdleTimeout || now.Sub(s.created) > k.cfg.Lifetime || s.seen.Sub(now) > leeway || s.created.Sub(now) > leeway {
		return nil, false, nil
	}
	return s, old || idle >= k.cfg.IdleTimeout/10, nil
}

// known says whether the provider that vouched for a user is still one of ours,
// and still the same.
func (k *sessions) known(u *User) bool {
	c := k.clients[u.Provider]
	if c == nil {
		return false
	}
	return c.provider.TokenIssuer != nil || u.Issuer == c.namespace(nil)
}

// load is find, and asks whether the session was revoked. If that cannot be
// known, nobody gets in.
func (k *sessions) load(ctx context.Context, out, in http.Header) (*session, bool, error) {
	s, renew, err := k.find(out, in)
	if s == nil || err != nil {
		return nil, false, err
	}
	marks, err := k.cfg.Revocations.Watermarks(ctx, s.keys())
	if err != nil {
		return nil, false, storeUnavailable("read revocations", err)
	}
	if !marks[0].IsZero() || s.before(marks[1]) && s.sid != "" || s.before(marks[2]) {
		return nil, false, nil
	}
	return s, renew, nil
}

// before says whether a watermark covers the session. A tie is dead.
func (s *session) before(mark time.Time) bool { return !mark.IsZero() && !s.issued.After(mark) }

func storeUnavailable(op string, err error) *Error {
	return &Error{Code: StoreUnavailable, Op: op, Err: err, retryAfter: retryMost,
		Reason: "Options.Revocations failed", Fix: "look at the store behind it"}
}

// renew writes a session again with the time of this request.
func (k *sessions) renew(w http.ResponseWriter, r *http.Request, s *session) error {
	s.seen = k.cfg.Now()
	return k.save(w, r, s)
}

// end ends a session for good: its cookie, and every copy of it.
func (k *sessions) end(w http.ResponseWriter, r *http.Request, s *session) error {
	k.home.clear(w.Header(), r.Header)
	return k.revoke(r.Context(), s)
}

// drop takes back the cookie of a session that opens, though it may be over.
func (k *sessions) drop(out, in http.Header) {
	if record, _, err := k.home.load(out, in); err == nil && record != "" {
		k.home.clear(out, in)
	}
}

func (k *sessions) revoke(ctx context.Context, s *session) error {
	// Not on the request's context: who hangs up is signed out all the same.
	// The later of the two clocks, so that a floor made of such marks (see
	// Revocations) covers this session too.
	at := k.cfg.Now()
	if s.issued.After(at) {
		at = s.issued
	}
	err := k.cfg.Revocations.Revoke(context.WithoutCancel(ctx), s.keys()[0], at, k.cfg.Lifetime+leeway)
	if err != nil {
		return storeUnavailable("write revocation", err)
	}
	return nil
}
