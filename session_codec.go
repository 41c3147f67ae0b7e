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
	acrLimit        = 256 // bytes of a stored acr
)

// session is the stored state of a signed-in user.
type session struct {
	id          string        // 16 random bytes, new at every sign-in
	user        *User         // with the kept claims
	created     time.Time     // the start of Lifetime
	lastSeen    time.Time     // the start of IdleTimeout
	issued      time.Time     // iat of the ID token, by the provider's clock; else created
	until       time.Time     // the end of its own lifetime, or of the provider's session if that is earlier
	rechecked   time.Time     // the last recheck; zero if there was none since the sign-in
	idle        time.Duration // its own IdleTimeout
	mark        int64         // the user's watermark at the start of the session, as returned by millis
	sid         string        // the provider's id of its own session, or ""
	actor       string        // User.ID of another user that acts as the user, or ""
	hint        string        // the ID token, only in records of version 2: see idTokenHints
	authTime    bool          // AuthTime is the provider's
	browserOnly bool          // its cookie ends with the browser
	tokens      *keptTokens   // where the provider's tokens are; nil if none were stored at the sign-in
}

// keptTokens identifies the tokens of a session.
type keptTokens struct {
	of     string       // id of the session from which they were taken over, or "" if they are its own
	begins *tokenRecord // the tokens of a session that is being started
}

// times returns the times that every record has, stored as differences from created.
func (s *session) times() [4]*time.Time {
	return [...]*time.Time{&s.lastSeen, &s.issued, &s.until, &s.user.AuthTime}
}

// texts returns the texts that every record has.
func (u *User) texts() [5]*string {
	return [...]*string{&u.Subject, &u.Name, &u.Username, &u.Email, &u.Picture}
}

// optionalTexts returns the texts that most records do not have; the flags record which are
// present.
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

// rare2 is optionalTexts for version 2.
func (s *session) rare2(claims *string) [4]*string {
	return [...]*string{&s.sid, &s.hint, &s.user.Locale, claims}
}

// The flags of a record, in 16 bits. A record with an unknown flag is of a later version and is
// not read.
const (
	hasVerifiedEmail = 1 << iota
	hasOwnIssuer     // the issuer is the provider's own, represented by the print
	hasKept
	hasData
	hasAuthTime
	hasBrowserOnly
	hasRechecked
	hasMark
	hasRare    // the first of the bits of optionalTexts
	hasTokens  = hasRare << len([5]*string{})
	tookTokens = hasTokens << 1
	knownFlags = tookTokens<<1 - 1

	hasRare2 = 1 << 4 // in version 2, whose 8 bits have the same lower four
)

// millis returns a watermark as it is stored in a record, in Unix milliseconds, or 0 without
// one. It is rounded up, as stores may round it, so that a watermark does not rise when it is
// read from another store.
func millis(mark time.Time) int64 {
	if mark.IsZero() {
		return 0
	}
	return mark.Add(time.Millisecond - 1).UnixMilli()
}

// issuers describes the issuers of a provider's users.
type issuers struct {
	own    string   // the issuer, or the namespace of a plain OAuth 2.0 provider
	print  [8]byte  // hash of own and, without TokenIssuer, of Admits
	print2 [8]byte  // hash of own, as in records of version 2
	more   bool     // Provider.TokenIssuer admits others
	list   []string // all of them; nil if they are not known
	openID bool     // it is not a plain OAuth 2.0 provider

	// verify is Provider.VerifyClaims if Admits describes its requirements, else nil.
	verify func(map[string]any) error
}

func (p *Provider) issuers() *issuers {
	own := p.identity()
	i := &issuers{own: own, print: digest(own), print2: digest(own), more: p.TokenIssuer != nil, openID: p.Issuer != ""}
	if i.more {
		i.list = p.Admits
	} else if len(p.Admits) > 0 { // records which users were admitted when the session began
		i.print = digest(slices.Insert(slices.Sorted(slices.Values(p.Admits)), 0, own)...)
		i.verify = p.VerifyClaims
	}
	return i
}

// verified calls VerifyClaims for the user of a record of version 2, which does not record what
// was admitted when the session began. VerifyClaims needs all claims: if the session does not
// have them, it is valid until it is renewed.
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

// encode encodes the record. It begins with a version, since cookies outlive programs.
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

// decode reads a record into s, whose user's Groups provide the room for those of the record. It
// returns false if the record was written by another version than this one or the previous one,
// or if its provider was removed or changed. s and its user share the record's memory.
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
	// The name may now belong to another provider, or to one that admits other users.
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
	// The record has no watermark of its start, so the clocks decide, as in version 2: any
	// watermark that is not older than the session revokes it. It has no IdleTimeout, either:
	// if IdleTimeout was longer at the sign-in, then shortened and later lengthened again, a
	// copy can outlive the watermark of its sign-out.
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
		s.sid = "" // a claim of the profile, which does not name a session at the provider
	}
	return r.OK() && from.admit(u.Issuer) && from.verified(u)
}

// identify returns the data needed to revoke the session of a record, even if the rest of the
// record cannot be read. A record of version 2 does not have the idle timeout of its session.
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

// decode reads the rest of a record: the user, and the optional texts, including claims, whose
// bits are set in there.
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
		u.kept = &keptClaims{*claims, append([]string{}, r.Strings(nil)...)} // not nil, which would mean all claims
	}
	if flags&hasData != 0 {
		u.Data = r.Map()
	}
}

// keepClaims reduces the claims to those of that name; "*" keeps all.
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
		delete(all, "nonce") // it does not describe the user, and would be on every page that shows the claims
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

// largest describes the largest parts of a session, for the error about its size.
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
