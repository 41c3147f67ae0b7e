package ginauth

import (
	"cmp"
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
	until   time.Time // when the provider wants it to be over; zero if it does not say
	sid     string    // the provider's id of its own session, or ""
	hint    string    // the ID token, if the provider wants it back at logout
}

// encode writes the record: versioned, since cookies outlive programs.
func (s *session) encode() []byte {
	u := &s.user
	b := append(make([]byte, 0, 512), sessionVersion)
	b = append(b, s.id...)
	b = wire.AppendMicros(b, s.created) // a sign-in may follow a sign-out within the second
	b = wire.AppendTime(b, s.seen)
	b = wire.AppendTime(b, s.issued)
	b = wire.AppendTime(b, s.until)
	b = wire.AppendTime(b, u.AuthTime)
	verified := uint64(0)
	if u.EmailVerified {
		verified = 1
	}
	b = wire.AppendUint(b, verified)
	for _, text := range []string{s.sid, s.hint, u.Provider, u.Issuer, u.Subject, u.Name, u.Username, u.Email, u.Picture, u.Locale, u.claims} {
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
	s.created = r.Micros()
	for _, at := range [...]*time.Time{&s.seen, &s.issued, &s.until, &u.AuthTime} {
		*at = r.Time()
	}
	u.EmailVerified = r.Uint() == 1
	for _, text := range [...]*string{&s.sid, &s.hint, &u.Provider, &u.Issuer, &u.Subject, &u.Name, &u.Username, &u.Email, &u.Picture, &u.Locale, &u.claims} {
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

// keys are what a session is revoked by: see Revocations.Watermarks.
func (s *session) keys() [4]RevocationKey {
	u := &s.user
	return [4]RevocationKey{
		revocationKey(oneSession, s.id), revocationKey(allOfUser, u.Issuer, u.Subject),
		s.providerKey(), revocationKey(providerUser, u.Issuer, u.Subject),
	}
}

// providerKey is what the provider ends this one session by: its sid. Without
// one it is the person, for tokens that name both.
func (s *session) providerKey() RevocationKey {
	if s.sid == "" {
		return revocationKey(providerNoSession, s.user.Issuer, s.user.Subject)
	}
	return revocationKey(providerSession, s.user.Issuer, s.sid)
}

// The kinds of RevocationKey.
const (
	oneSession        = 'l'
	allOfUser         = 'e'
	providerSession   = 's'
	providerNoSession = 'n' // a person's sessions whose ID token had no sid
	providerUser      = 'u'
	spentState        = 'a'
)

// revoked compares a session with the watermarks of its keys. Its own kills it
// whatever the time. The application's are compared by our clock, and the
// provider's with the ID token's iat, which has the provider's: so clocks that
// differ neither save an old session nor end a new one. A tie is dead.
func (s *session) revoked(marks [4]time.Time) bool {
	before := func(at, mark time.Time) bool { return !mark.IsZero() && !at.After(mark) }
	return !marks[0].IsZero() || before(s.created, marks[1]) || before(s.issued, marks[2]) || before(s.issued, marks[3])
}

// home is where the records of sessions are kept: a sealed cookie, or a
// gin-contrib/sessions store.
type home interface {
	// load returns the record of a request, or "". Old says that it is sealed
	// under an old key.
	load(w http.ResponseWriter, r *http.Request) (record string, old bool, err error)
	// create keeps the record of a new session.
	create(w http.ResponseWriter, r *http.Request, record []byte, life time.Duration) error
	// update keeps a newer record of the session that load returns.
	update(w http.ResponseWriter, r *http.Request, record []byte, life time.Duration) error
	// clear drops the record, and tells the browser to forget it.
	clear(w http.ResponseWriter, r *http.Request) error
	// ids are those of the sessions that a request has, as its cookies alone
	// tell. Some says that it has cookies of ours, even if they do not open.
	ids(w http.ResponseWriter, r *http.Request) (ids []string, some bool)
	// forget tells the browser to drop the cookies, and asks no store.
	forget(w http.ResponseWriter, r *http.Request)
}

// sessions makes, keeps and ends sessions.
type sessions struct {
	cfg     *config
	clients map[string]*client
	home    home
}

// begin makes a new session for a user, under an id that nobody has seen, and
// ends the one that it replaces.
func (k *sessions) begin(w http.ResponseWriter, r *http.Request, s *session) (*session, error) {
	now := k.cfg.Now()
	id := make([]byte, sessionIDSize)
	rand.Read(id)
	s.id, s.created, s.seen = string(id), now, now
	// Sealed, so that a longer Lifetime later on does not outlive the mark of
	// a sign-out, which is kept for today's.
	if end := now.Add(k.cfg.Lifetime); s.until.IsZero() || s.until.After(end) {
		s.until = end
	}
	if s.issued.IsZero() {
		s.issued = now
	}
	if err := s.keep(k.cfg.KeepClaims); err != nil {
		return nil, err
	}
	before, _ := k.home.ids(w, r)
	if err := k.revoke(r.Context(), before...); err != nil {
		return nil, err
	}
	if err := k.alive(r.Context(), s); err != nil {
		return nil, err
	}
	return s, k.saved(s, k.home.create(w, r, s.encode(), k.left(s)))
}

// alive refuses a session that would be dead from the start: the provider has
// signed the person out since it issued this ID token, or in the same second.
func (k *sessions) alive(ctx context.Context, s *session) error {
	marks, err := k.cfg.watermarks(ctx, s)
	if err != nil {
		return err
	}
	if s.revoked(marks) {
		return &Error{Code: IDTokenInvalid, Op: "begin session", Provider: s.user.Provider,
			Reason: "the provider signed this person out after it issued this ID token, or in the same second", Fix: "sign in again"}
	}
	return nil
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

// saved says what went wrong with saving a session; of one that is too large,
// what makes it so.
func (k *sessions) saved(s *session, err error) error {
	if err == nil {
		return nil
	}
	e := asError(err, SessionError).about("save session", s.user.Provider)
	if e.Code == SessionError {
		e.Reason += s.largest()
		e.Fix = "keep less: fewer KeepClaims, groups or data; or keep sessions in a store with more room (Options.Sessions)"
	}
	return e
}

// left is how long a session has to live.
func (k *sessions) left(s *session) time.Duration {
	left := min(k.cfg.Lifetime-s.seen.Sub(s.created), k.cfg.IdleTimeout)
	if !s.until.IsZero() {
		left = min(left, s.until.Sub(s.seen))
	}
	return left
}

// over says whether a session has ended by itself, or cannot have begun yet.
func (k *sessions) over(s *session, now time.Time) bool {
	return now.Sub(s.seen) > k.cfg.IdleTimeout || now.Sub(s.created) > k.cfg.Lifetime || !s.until.IsZero() && now.After(s.until) ||
		s.seen.Sub(now) > leeway || s.created.Sub(now) > leeway
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
		{"groups", len(strings.Join(u.Groups, "."))}, {"preferred_username", len(u.Username)}, {"ID token for logout", len(s.hint)},
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
	for i, f := range fields[:3] {
		if i == 0 || f.size >= 100 {
			text += fmt.Sprintf(" %.40s (%.1f KB)", f.name, float64(f.size)/1000)
		}
	}
	return text
}

// find reads the session of a request, alive by its own account: sealed by us,
// not over, of a provider that is still configured. No session is nil, and not
// an error: what does not open may be somebody else's. Renew says that it
// should be written again.
func (k *sessions) find(w http.ResponseWriter, r *http.Request) (s *session, renew bool, err error) {
	record, old, err := k.home.load(w, r)
	if err != nil || record == "" {
		return nil, false, err
	}
	s = new(session)
	if !s.decode(record) || !k.known(&s.user) {
		return nil, false, nil
	}
	now := k.cfg.Now()
	if k.over(s, now) {
		return nil, false, nil
	}
	return s, old || now.Sub(s.seen) >= k.cfg.IdleTimeout/10, nil
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
func (k *sessions) load(w http.ResponseWriter, r *http.Request) (*session, bool, error) {
	s, renew, err := k.find(w, r)
	if s == nil || err != nil {
		return nil, false, err
	}
	marks, err := k.cfg.watermarks(r.Context(), s)
	if err != nil {
		return nil, false, err
	}
	if s.revoked(marks) {
		return nil, false, nil
	}
	return s, renew, nil
}

func storeUnavailable(op string, err error) *Error {
	return &Error{Code: StoreUnavailable, Op: op, Err: err, retryAfter: retryMost,
		Reason: "Options.Revocations failed", Fix: "look at the store behind it"}
}

// renew writes a session again with the time of this request.
func (k *sessions) renew(w http.ResponseWriter, r *http.Request, s *session) error {
	s.seen = k.cfg.Now()
	return k.saved(s, k.home.update(w, r, s.encode(), k.left(s)))
}

// end ends a session for good: every copy of it first, then the record.
func (k *sessions) end(w http.ResponseWriter, r *http.Request, s *session) error {
	err := k.revoke(r.Context(), s.id)
	return cmp.Or(err, k.home.clear(w, r))
}

// leave ends all that a request has of sessions, and returns the one that find
// does. What their cookies name is revoked whether find returns it or not: it
// may be over, and its store may fail, and not even say so.
func (k *sessions) leave(w http.ResponseWriter, r *http.Request) (*session, error) {
	ids, some := k.home.ids(w, r)
	if !some {
		return nil, nil
	}
	err := k.revoke(r.Context(), ids...)
	s, _, failed := k.find(w, r)
	if failed == nil {
		failed = k.home.clear(w, r)
	} else {
		k.home.forget(w, r)
	}
	return s, cmp.Or(err, failed)
}

func (k *sessions) revoke(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		// Not on the request's context: who hangs up is signed out all the same.
		if err := k.cfg.revoke(context.WithoutCancel(ctx), revocationKey(oneSession, id), k.cfg.Now()); err != nil {
			return err
		}
	}
	return nil
}

// watermarks reads those of a session. A store that panics is one that fails.
func (c *config) watermarks(ctx context.Context, s *session) (marks [4]time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = storeUnavailable("read revocations", fmt.Errorf("panic: %.500v", p))
		}
	}()
	if marks, err = c.Revocations.Watermarks(ctx, s.keys()); err != nil {
		return marks, storeUnavailable("read revocations", err)
	}
	return marks, nil
}

// revoke raises a watermark for as long as a session that it covers can live.
func (c *config) revoke(ctx context.Context, key RevocationKey, at time.Time) error {
	if err := c.Revocations.Revoke(ctx, key, at, c.Lifetime+2*leeway); err != nil {
		return storeUnavailable("write revocation", err)
	}
	return nil
}
