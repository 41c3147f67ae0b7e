package ginauth

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	// Nothing but its own version is read: who has a session of another signs
	// in again.
	sessionVersion = 2
	sessionIDSize  = 16
)

// session is what is remembered of a signed-in user between requests.
type session struct {
	id      string    // 16 random bytes, new at every sign-in
	user    *User     // and the claims that are kept
	created time.Time // Lifetime counts from here
	seen    time.Time // IdleTimeout counts from here
	issued  time.Time // iat of the ID token, by the provider's clock; else created
	until   time.Time // when the provider wants it to be over; zero if it does not say
	sid     string    // the provider's id of its own session, or ""
	hint    string    // the ID token, if the provider wants it back at logout
}

// times are those that a record keeps as a distance from created.
func (s *session) times() [4]*time.Time {
	return [...]*time.Time{&s.seen, &s.issued, &s.until, &s.user.AuthTime}
}

// texts are those that every record has, and rare those that most have not: the
// flags say which are there.
func (u *User) texts() [5]*string {
	return [...]*string{&u.Subject, &u.Name, &u.Username, &u.Email, &u.Picture}
}

func (s *session) rare() [4]*string {
	return [...]*string{&s.sid, &s.hint, &s.user.Locale, &s.user.claims}
}

// The flags of a record.
const (
	hasVerifiedEmail = 1 << iota
	hasOwnIssuer     // the provider's own: its print is there in place of its text
	hasKept
	hasData
	hasRare // and the bits above it, one for each
)

// issuers are what users of a provider have as their Issuer.
type issuers struct {
	own   string  // the issuer, or the namespace of a plain OAuth 2.0 provider
	print [8]byte // of own
	more  bool    // Provider.TokenIssuer admits others
}

func (c *client) issuers() *issuers {
	own := c.namespace()
	return &issuers{own, digest(own), c.provider.TokenIssuer != nil}
}

func (i *issuers) admit(issuer string) bool { return i.more || issuer == i.own }

// encode writes the record: versioned, since cookies outlive programs.
func (k *sessions) encode(s *session) []byte {
	u, from := s.user, k.issuers[s.user.Provider]
	flags := byte(0)
	set := func(flag byte, on bool) {
		if on {
			flags |= flag
		}
	}
	set(hasVerifiedEmail, u.EmailVerified)
	set(hasOwnIssuer, u.Issuer == from.own)
	set(hasKept, len(u.kept) > 0)
	set(hasData, len(u.Data) > 0)
	for i, text := range s.rare() {
		set(hasRare<<i, *text != "")
	}
	b := append(make([]byte, 0, 512), sessionVersion)
	b = append(append(b, s.id...), flags)
	b = wire.AppendMicros(b, s.created) // a sign-in may follow a sign-out within the second
	for _, at := range s.times() {
		b = wire.AppendSince(b, *at, s.created)
	}
	b = wire.AppendString(b, u.Provider)
	if flags&hasOwnIssuer != 0 {
		b = append(b, from.print[:]...)
	} else {
		b = wire.AppendString(b, u.Issuer)
	}
	for _, text := range u.texts() {
		b = wire.AppendString(b, *text)
	}
	b = wire.AppendStrings(b, u.Groups)
	for i, text := range s.rare() {
		if flags&(hasRare<<i) != 0 {
			b = wire.AppendString(b, *text)
		}
	}
	if flags&hasKept != 0 {
		b = wire.AppendStrings(b, u.kept)
	}
	if flags&hasData != 0 {
		b = wire.AppendMap(b, u.Data)
	}
	return b
}

// decode reads a record into s, whose user's Groups are the room for those of
// the record. It is false for a record that this version did not write, and for
// one of a provider that is not ours any more, or not the same. What s and its
// user get shares the record's memory.
func (k *sessions) decode(record string, s *session) bool {
	r, u := wire.NewReader(record), s.user
	version := r.Bytes(1)
	s.id = r.Bytes(sessionIDSize)
	head := r.Bytes(1)
	if head == "" || version[0] != sessionVersion {
		return false
	}
	flags := head[0]
	u.EmailVerified = flags&hasVerifiedEmail != 0
	s.created = r.Micros()
	for _, at := range s.times() {
		*at = r.Since(s.created)
	}
	u.Provider = r.String()
	from := k.issuers[u.Provider]
	if from == nil {
		return false
	}
	if flags&hasOwnIssuer == 0 {
		u.Issuer = r.String()
	} else if u.Issuer = from.own; r.Bytes(len(from.print)) != string(from.print[:]) {
		return false
	}
	for _, text := range u.texts() {
		*text = r.String()
	}
	u.Groups = r.Strings(u.Groups)
	for i, text := range s.rare() {
		if flags&(hasRare<<i) != 0 {
			*text = r.String()
		}
	}
	u.kept = []string{} // nil would mean all
	if flags&hasKept != 0 {
		u.kept = append(u.kept, r.Strings(nil)...)
	}
	if flags&hasData != 0 {
		u.Data = r.Map()
	}
	return r.OK() && from.admit(u.Issuer)
}

// keep reduces the claims to those that stay.
func (s *session) keep(names []string) error {
	s.user.kept = append([]string{}, names...)
	if len(names) == 0 {
		s.user.claims = ""
		return nil
	}
	if s.user.claims == "" {
		return nil
	}
	var all, some map[string]any
	all, err := strictjson.Object(s.user.claims)
	if err != nil {
		return &Error{Code: ErrSessionError, Op: "keep claims", Err: err}
	}
	if slices.Contains(names, "*") {
		delete(all, "nonce") // says nothing of the person, and would be on every page that shows the claims
		return s.user.setClaims(all)
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

// largest names what takes the most room in a session, for the one who has to
// make it smaller.
func (s *session) largest() string {
	type field struct {
		name string
		size int
	}
	u := s.user
	fields := []field{
		{"name", len(u.Name)}, {"email", len(u.Email)}, {"picture", len(u.Picture)}, {"sub", len(u.Subject)},
		{"groups", len(strings.Join(u.Groups, "."))}, {"preferred_username", len(u.Username)}, {"ID token for logout", len(s.hint)},
	}
	for name, value := range u.Data {
		fields = append(fields, field{"data " + name, len(value)})
	}
	claims, _ := strictjson.Object(u.claims)
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

// digest is a short hash of texts, told apart by their lengths.
func digest(parts ...string) [8]byte {
	sum := sha256.Sum256(wire.AppendStrings(nil, parts))
	return [8]byte(sum[:8])
}
