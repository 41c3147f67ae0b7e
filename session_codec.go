package ginauth

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	sessionVersion = 3
	// Records of the previous version are read too, so that sessions survive an upgrade. They
	// are written as version 3 when they are renewed, and expire after Lifetime: a later release
	// can drop the code that reads them.
	sessionVersion2 = 2
	sessionIDSize   = 16
	acrLimit        = 256 // bytes of an acr that is kept
)

// session is the stored state of a signed-in user.
type session struct {
	id          string        // 16 random bytes, new at every sign-in
	user        *User         // and the claims that are kept
	created     time.Time     // Lifetime counts from here
	lastSeen    time.Time     // IdleTimeout counts from here
	issued      time.Time     // iat of the ID token, by the provider's clock; else created
	until       time.Time     // the end of its own lifetime, or of the provider's session if that is sooner
	rechecked   time.Time     // when the provider was last asked about the person; zero if never since the sign-in
	idle        time.Duration // its own IdleTimeout
	mark        int64         // the person's watermark at its birth, as millis has it
	sid         string        // the provider's id of its own session, or ""
	actor       string        // User.ID of another user that acts as the user, or ""
	hint        string        // the ID token, of a record of version 2 alone: see idTokenHints
	authTime    bool          // the provider said when the person proved who they are, as AuthTime has it
	browserOnly bool          // its cookie ends with the browser
	tokens      *keptTokens   // where the provider's tokens are; nil if they were not kept at its beginning
}

// keptTokens says which tokens are those of a session.
type keptTokens struct {
	of     string       // id of the session from which it has taken them over, or "" for its own
	begins *tokenRecord // those, of a session that begins
}

// times are those that every record keeps, as a distance from created.
func (s *session) times() [4]*time.Time {
	return [...]*time.Time{&s.lastSeen, &s.issued, &s.until, &s.user.AuthTime}
}

// texts are those that every record has, and rare those that most have not: the
// flags say which are there.
func (u *User) texts() [5]*string {
	return [...]*string{&u.Subject, &u.Name, &u.Username, &u.Email, &u.Picture}
}

func (s *session) optionalTexts(claims *string) [5]*string {
	return [...]*string{&s.sid, &s.user.Locale, claims, &s.user.ACR, &s.actor}
}

// tokensID returns the id under which the session's tokens are stored.
func (s *session) tokensID() string {
	if s.tokens == nil {
		return s.id
	}
	return cmp.Or(s.tokens.of, s.id)
}

// rare2 is optionalTexts of version 2.
func (s *session) rare2(claims *string) [4]*string {
	return [...]*string{&s.sid, &s.hint, &s.user.Locale, claims}
}

// The flags of a record, in 16 bits. A record with one that is not known here
// is of a later version, and is not read.
const (
	hasVerifiedEmail = 1 << iota
	hasOwnIssuer     // the provider's own: the print stands for its text
	hasKept
	hasData
	hasAuthTime
	hasBrowserOnly
	hasRechecked
	hasMark
	hasRare    // and the bits above it, one for each
	hasTokens  = hasRare << len([5]*string{})
	tookTokens = hasTokens << 1
	knownFlags = tookTokens<<1 - 1

	hasRare2 = 1 << 4 // in the 8 bits of version 2, whose lower four are the same
)

// millis is a watermark as a record has it, in milliseconds of Unix time, or 0 if
// there is none. It is rounded up, as stores may round it, so that a mark does not
// rise by being read from another place.
func millis(mark time.Time) int64 {
	if mark.IsZero() {
		return 0
	}
	return mark.Add(time.Millisecond - 1).UnixMilli()
}

// issuers are the issuers of a provider's users.
type issuers struct {
	own    string   // the issuer, or the namespace of a plain OAuth 2.0 provider
	print  [8]byte  // of own, and of what Provider.VerifyClaims admits
	print2 [8]byte  // of own: what records of version 2 have
	more   bool     // Provider.TokenIssuer admits others
	list   []string // all of them; nil if they are not known
	openID bool     // it is not a plain OAuth 2.0 provider

	// verify is Provider.VerifyClaims where Admits says what it demands, else nil.
	verify func(map[string]any) error
}

func (p *Provider) issuers() *issuers {
	own := p.identity()
	i := &issuers{own: own, print: digest(own), print2: digest(own), more: p.TokenIssuer != nil, openID: p.Issuer != ""}
	if i.more {
		i.list = p.Admits
	} else if len(p.Admits) > 0 { // nothing else says which users were admitted when the session began
		i.print = digest(slices.Insert(slices.Sorted(slices.Values(p.Admits)), 0, own)...)
		i.verify = p.VerifyClaims
	}
	return i
}

// verified asks VerifyClaims about the user of a record of version 2, which does not
// say what was admitted when the session began. It takes all claims: of a user without,
// nothing is known, and the session lives on until it is renewed.
func (i *issuers) verified(u *User) bool {
	if i.verify == nil || u.claims() == "" || !slices.Contains(u.claimNames(), "*") {
		return true
	}
	claims, err := strictjson.Object(u.claims())
	return err == nil && contain.Do(func() error { return i.verify(claims) }) == nil
}

// admit reports whether a session may have users of that issuer.
func (i *issuers) admit(issuer string) bool {
	if i.more {
		return len(i.list) == 0 || slices.Contains(i.list, issuer)
	}
	return issuer == i.own
}

// encode encodes the record, with a version, since cookies outlive programs.
func (k *sessions) encode(s *session) []byte {
	u, from := s.user, k.issuers[s.user.Provider]
	claims, names := u.claims(), u.claimNames()
	flags := uint16(0)
	for _, f := range [...]struct {
		flag uint16
		on   bool
	}{
		{hasVerifiedEmail, u.EmailVerified}, {hasOwnIssuer, u.Issuer == from.own}, {hasKept, len(names) > 0}, {hasData, len(u.Data) > 0},
		{hasAuthTime, s.authTime}, {hasBrowserOnly, s.browserOnly}, {hasRechecked, !s.rechecked.IsZero()}, {hasMark, s.mark > 0}, {hasTokens, s.tokens != nil},
		{tookTokens, s.tokens != nil && s.tokens.of != ""},
	} {
		if f.on {
			flags |= f.flag
		}
	}
	rare := s.optionalTexts(&claims)
	for i, text := range rare {
		if *text != "" {
			flags |= hasRare << i
		}
	}
	b := append(make([]byte, 0, 512), sessionVersion)
	b = append(b, s.id...)
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = wire.AppendMicros(b, s.created) // a sign-in may follow a sign-out within the second
	for _, at := range s.times() {
		b = wire.AppendSince(b, *at, s.created)
	}
	b = wire.AppendUint(b, uint64(s.idle/time.Second))
	if flags&hasRechecked != 0 {
		b = wire.AppendSince(b, s.rechecked, s.created)
	}
	if flags&hasMark != 0 {
		b = wire.AppendUint(b, uint64(s.mark))
	}
	if flags&tookTokens != 0 {
		b = append(b, s.tokens.of...)
	}
	b = wire.AppendString(b, u.Provider)
	b = append(b, from.print[:]...)
	if flags&hasOwnIssuer == 0 {
		b = wire.AppendString(b, u.Issuer)
	}
	for _, text := range u.texts() {
		b = wire.AppendString(b, *text)
	}
	b = wire.AppendStrings(b, u.Groups)
	for i, text := range rare {
		if flags&(hasRare<<i) != 0 {
			b = wire.AppendString(b, *text)
		}
	}
	if flags&hasKept != 0 {
		b = wire.AppendStrings(b, names)
	}
	if flags&hasData != 0 {
		b = wire.AppendMap(b, u.Data)
	}
	return b
}

// decode reads a record into s, whose user's Groups are the room for those of
// the record. It is false for a record that neither this version nor the one
// before wrote, and for one of a provider that is not ours any more, or not the
// same. What s and its user get shares the record's memory.
func (k *sessions) decode(record string, s *session) bool {
	r := wire.NewReader(record)
	version := r.Bytes(1)
	s.id = r.Bytes(sessionIDSize)
	switch version {
	case string(rune(sessionVersion)):
		return k.decode3(r, s)
	case string(rune(sessionVersion2)):
		return k.decode2(r, s)
	}
	return false
}

func (k *sessions) decode3(r *wire.Reader, s *session) bool {
	head, u := r.Bytes(2), s.user
	if head == "" {
		return false
	}
	flags := int(head[0]) | int(head[1])<<8
	if flags&^knownFlags != 0 {
		return false
	}
	s.decodeTimes(r)
	s.idle = decodeIdle(r)
	if flags&hasRechecked != 0 {
		s.rechecked = r.Since(s.created)
	}
	if flags&hasMark != 0 {
		s.mark = int64(min(r.Uint(), math.MaxInt64))
	}
	s.authTime, s.browserOnly = flags&hasAuthTime != 0, flags&hasBrowserOnly != 0
	if flags&hasTokens != 0 {
		s.tokens = new(keptTokens)
	}
	if flags&tookTokens != 0 {
		s.tokens = &keptTokens{of: r.Bytes(sessionIDSize)}
	}
	u.Provider = r.String()
	from := k.issuers[u.Provider]
	// Under the old name there may be another provider now, or one that admits
	// others.
	if from == nil || r.Bytes(len(from.print)) != string(from.print[:]) {
		return false
	}
	if u.Issuer = from.own; flags&hasOwnIssuer == 0 {
		u.Issuer = r.String()
	}
	var claims string
	rare := s.optionalTexts(&claims)
	u.decode(r, flags, flags/hasRare, rare[:], &claims)
	return r.OK() && from.admit(u.Issuer)
}

// decode2 reads a record of version 2.
func (k *sessions) decode2(r *wire.Reader, s *session) bool {
	head, u := r.Bytes(1), s.user
	if head == "" {
		return false
	}
	flags := int(head[0])
	s.decodeTimes(r)
	// Any mark that is not older than the session kills it: without one of its
	// birth, the clocks decide, as they did. Nor does it say which IdleTimeout it
	// began with: a copy can outlive the mark of its sign-out if that was longer, and is
	// made longer again.
	s.idle, s.mark = k.cfg.IdleTimeout, s.estimatedMark()
	u.Provider = r.String()
	from := k.issuers[u.Provider]
	if from == nil {
		return false
	}
	if flags&hasOwnIssuer == 0 {
		u.Issuer = r.String()
	} else if u.Issuer = from.own; r.Bytes(len(from.print2)) != string(from.print2[:]) {
		return false
	}
	var claims string
	rare := s.rare2(&claims)
	u.decode(r, flags, flags/hasRare2, rare[:], &claims)
	if !from.openID {
		s.sid = "" // of the profile: it names no session of the provider's
	}
	return r.OK() && from.admit(u.Issuer) && from.verified(u)
}

// identify returns what the session of a record is revoked by, whether or not the
// rest of the record can be read. A record of version 2 does not say how long its
// session lives.
func identify(record string) sessionID {
	r := wire.NewReader(record)
	version := r.Bytes(1)
	id := sessionID{id: r.Bytes(sessionIDSize)}
	if version != string(rune(sessionVersion)) {
		return id
	}
	r.Bytes(2) // the flags
	s := session{user: &User{}}
	s.decodeTimes(r)
	id.idle, id.seen = decodeIdle(r), s.lastSeen
	return id
}

func decodeIdle(r *wire.Reader) time.Duration {
	return time.Duration(min(r.Uint(), uint64(longestLifetime/time.Second))) * time.Second
}

func (s *session) decodeTimes(r *wire.Reader) {
	s.created = r.Micros()
	for _, at := range s.times() {
		*at = r.Since(s.created)
	}
}

// decode reads the rest of a record: the user, and those of the rare texts whose
// bits are set in there, claims among them.
func (u *User) decode(r *wire.Reader, flags, there int, rare []*string, claims *string) {
	u.EmailVerified = flags&hasVerifiedEmail != 0
	for _, text := range u.texts() {
		*text = r.String()
	}
	u.Groups = r.Strings(u.Groups)
	for i, text := range rare {
		if there&(1<<i) != 0 {
			*text = r.String()
		}
	}
	u.kept = noneKept
	if flags&hasKept != 0 {
		u.kept = &keptClaims{*claims, append([]string{}, r.Strings(nil)...)} // no nil, which would mean all
	}
	if flags&hasData != 0 {
		u.Data = r.Map()
	}
}

// keepClaims reduces the claims to those that stay.
func (s *session) keepClaims(names []string) error {
	names = append([]string{}, names...)
	sent := s.user.claims()
	if len(names) == 0 || sent == "" {
		return s.user.setClaims(nil, names)
	}
	var all, some map[string]any
	all, err := strictjson.Object(sent)
	if err != nil {
		return &Error{Code: ErrSessionError, ID: "claims.unreadable", Op: "keep claims", Err: err,
			Reason: "the claims to keep are not strict JSON", Fix: "see error= for the defect"}
	}
	if slices.Contains(names, "*") {
		delete(all, "nonce") // says nothing of the person, and would be on every page that shows the claims
		return s.user.setClaims(all, names)
	}
	for _, name := range names {
		if v, there := all[name]; there {
			if some == nil {
				some = map[string]any{}
			}
			some[name] = v
		}
	}
	return s.user.setClaims(some, names)
}

// largest names what takes the most room in a session, for an error that asks to
// make it smaller.
func (s *session) largest() string {
	type field struct {
		name string
		size int
	}
	u := s.user
	fields := []field{
		{"name", len(u.Name)}, {"email", len(u.Email)}, {"picture", len(u.Picture)}, {"sub", len(u.Subject)},
		{"groups", len(strings.Join(u.Groups, "."))}, {"preferred_username", len(u.Username)},
	}
	for name, value := range u.Data {
		fields = append(fields, field{"data " + name, len(value)})
	}
	claims, _ := strictjson.Object(u.claims())
	for name, value := range claims {
		fields = append(fields, field{"claim " + name, len(fmt.Sprint(value))})
	}
	slices.SortFunc(fields, func(a, b field) int { return b.size - a.size })
	text := ": the largest parts are"
	for i, f := range fields[:3] {
		if i == 0 || f.size >= 100 {
			text += fmt.Sprintf(" %.40s (%.1f KB)", f.name, float64(f.size)/1000)
		}
	}
	return text
}

// digest returns a short hash of texts with their lengths.
func digest(parts ...string) [8]byte {
	sum := sha256.Sum256(wire.AppendStrings(nil, parts))
	return [8]byte(sum[:8])
}
