package ginauth

import (
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/rp"
	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/wire"
)

const tokenRecordVersion = 1

// tokenRecord holds a provider's tokens of one session. It is immutable; a refresh creates a
// new one.
type tokenRecord struct {
	refreshToken string    // "" without one
	ended        bool      // the provider no longer accepts it
	nonce        [32]byte  // hash of the nonce of the sign-in that returned the refresh token
	authTime     time.Time // auth_time of that sign-in; zero if the provider did not say
	issued       time.Time // iat of the latest ID token; zero without one
	asked        string    // scopes that the sign-in requested in addition to the provider's, space-separated
	tripUntil    time.Time // until when another redirect to the provider would return the same scopes; zero if there was none
	tries        uint64    // part of the claim: see claimed
	session      string    // id of the session whose tokens these are
	ends         time.Time // when the store may delete the record
	owner        [32]byte  // the client that they belong to: see tokensOwner
	groups       []string  // that the provider sent last, before OnLogin or OnRecheck changed them
	renewed      *renewal  // the result of the last recheck; nil before the first
	rest         time.Time // until when rechecks are paused; zero if none has failed
	away         bool      // until rest, the user must return to the provider
	access       []accessToken

	// For a session that is being started, and not stored:
	before   *session // the previous session; nil if it has no tokens
	inherits bool     // the refresh token of before continues
}

// accessToken is an access token for one or more APIs of a provider.
type accessToken struct {
	key      string // which APIs: see API.key
	value    string
	typ      string
	expiry   time.Time // zero if unknown
	obtained time.Time
	scopes   string // granted according to the provider; "" if unknown
}

// key identifies the access token that an API takes; "" is that of the sign-in.
func (p *API) key() string {
	if len(p.Scopes) == 0 && p.Resource == "" {
		return ""
	}
	return strings.Join(slices.Sorted(slices.Values(p.Scopes)), " ") + "\n" + p.Resource
}

// newAccessToken returns the access token of a response to a request for these scopes. Its
// scopes are those of the response, and requested ones that the response has under another
// name. Microsoft answers "User.Read" to a request for "https://graph.microsoft.com/user.read",
// and does not name "/.default", which stands for all scopes of one API that the user has
// consented to.
func (c *client) newAccessToken(key string, token *oauth2.Token, requested []string, now time.Time) accessToken {
	scopes := c.rp.GrantedScopes(token)
	for _, s := range requested {
		named := strings.HasSuffix(s, "/.default") || slices.ContainsFunc(scopes, func(granted string) bool {
			return isAddress(s) && !isAddress(granted) && strings.EqualFold(lastSegment(s), granted)
		})
		if len(scopes) > 0 && named {
			scopes = append(scopes, s)
		}
	}
	return accessToken{key: key, value: token.AccessToken, typ: token.TokenType, expiry: token.Expiry, obtained: now, scopes: strings.Join(scopes, " ")}
}

// newTokenRecord returns the record of a sign-in. groups are those that the provider sent.
func newTokenRecord(c *client, state *loginState, id *rp.Identity, groups []string, now time.Time) *tokenRecord {
	asked := union(c.provider.Scopes, strings.Fields(state.scopes))
	access := c.newAccessToken("", id.Token, asked, now)
	if access.scopes == "" { // RFC 6749, 5.1: "OPTIONAL, if identical to the scope requested by the client"
		access.scopes = strings.Join(asked, " ")
	}
	r := &tokenRecord{
		refreshToken: id.Token.RefreshToken, nonce: state.nonceHash(), issued: id.IssuedAt, asked: state.scopes, groups: groups,
		owner: c.owner, access: []accessToken{access},
	}
	if id.AuthTime.Unix() > 0 { // 0 is unknown
		r.authTime = id.AuthTime
	}
	if state.renews != "" { // a check, or a call of an API, redirected the user to the provider
		r.tripUntil = now.Add(time.Hour)
		if !access.expiry.IsZero() {
			r.tripUntil = access.expiry
		}
		if soon := now.Add(tripGrace); r.tripUntil.Before(soon) {
			r.tripUntil = soon
		}
	}
	return r
}

// tokensOwner identifies the client that tokens belong to. A different provider of the same
// name, set by SetProviders, does not get them.
func tokensOwner(p *Provider) [32]byte {
	return sha256.Sum256([]byte(strings.Join([]string{p.Issuer, p.TokenURL, p.identity(), p.ClientID}, "\n")))
}

// of returns the record if it belongs to this client, else nil.
func (r *tokenRecord) of(c *client) *tokenRecord {
	if r == nil || c == nil || r.owner != c.owner {
		return nil
	}
	return r
}

// keepTokens stores the tokens of a new session.
func (a *Auth) keepTokens(c *gin.Context, g *registry, cl *client, s *session, login *Login, r *tokenRecord) error {
	s.tokens = &keptTokens{begins: r}
	if err := a.takePlace(c, g, login, r); err != nil {
		return err
	}
	return cl.limitUnasked(c.Request.Context(), s, a.cfg.Now())
}

// takePlace records which session the new one replaces. If a check redirected the same user to
// the provider, and the response has no refresh token, that of the previous session continues:
// Google, for example, issues it only once.
func (a *Auth) takePlace(c *gin.Context, g *registry, login *Login, r *tokenRecord) error {
	wants := login.Renewal && r.refreshToken == ""
	before, err := g.sessions.load(c.Writer, c.Request, a.cfg.Now())
	if err != nil && wants {
		return err
	}
	if err != nil || before == nil || before.tokens == nil {
		return nil
	}
	r.before = before.copy()
	if !wants || before.user.Provider != login.User.Provider || before.user.ID() != login.User.ID() {
		return nil
	}
	last, err := a.tokens.current(c.Request.Context(), before.tokensID())
	if err != nil {
		return err
	}
	r.inherits = last.tokenRecord != nil && last.gives(r)
	return nil
}

// gives reports whether the record has a refresh token that the record of a new session can take
// over.
func (r *tokenRecord) gives(next *tokenRecord) bool {
	return r.refreshToken != "" && !r.ended && r.owner == next.owner
}

// claimed returns the text that a refresh claims: the refresh token and the number of tries.
// Without a refresh token it is the access token, with which a recheck reads the profile.
func (r *tokenRecord) claimed() string {
	token := r.refreshToken
	if token == "" && len(r.access) > 0 {
		token = r.access[0].value
	}
	return token + "\n" + strconv.FormatUint(r.tries, 10)
}

// checkScopes rejects a sign-in that requested scopes for an API and did not get them. The
// previous session continues.
func (c *client) checkScopes(state *loginState, id *rp.Identity) error {
	t := c.newAccessToken("", id.Token, strings.Fields(state.scopes), time.Time{})
	if state.scopes == "" || !t.lacks(strings.Fields(state.scopes)) {
		return nil
	}
	return (&wanted{cl: c}).denied()
}

// refreshed returns the record after a refresh for an API, and the token. It drops tokens of
// APIs that are no longer in Provider.APIs.
func (r *tokenRecord) refreshed(c *client, api *API, got *rp.Refreshed, now time.Time) (*tokenRecord, accessToken) {
	t := c.newAccessToken(api.key(), got.Token, api.Scopes, now)
	if before := r.find(api); t.scopes == "" && len(api.Scopes) > 0 {
		t.scopes = strings.Join(api.Scopes, " ")
	} else if t.scopes == "" && before != nil {
		t.scopes = before.scopes
	}
	next := *r
	next.refreshToken = got.Token.RefreshToken
	if issued, ok := strictjson.NumericDate(got.Claims["iat"]); ok {
		next.issued = issued
	}
	next.access = []accessToken{}
	for _, old := range r.access {
		if old.key != t.key && (old.key == "" || slices.ContainsFunc(c.provider.APIs, func(api API) bool { return api.key() == old.key })) {
			next.access = append(next.access, old)
		}
	}
	next.access = append(next.access, t)
	return &next, t
}

// find returns the access token that an API takes, or nil.
func (r *tokenRecord) find(api *API) *accessToken {
	key := api.key()
	for i := range r.access {
		if r.access[i].key == key {
			return &r.access[i]
		}
	}
	// Without a refresh token there is one access token for all APIs, as at GitHub. If a
	// sign-in requested the scopes, this token has them.
	if r.refreshToken != "" || api.Resource != "" || key == "" {
		return nil
	}
	if t := r.find(&API{}); t != nil && t.grants(api.Scopes) {
		return t
	}
	return nil
}

// grants reports whether a token has these scopes according to the provider.
func (t *accessToken) grants(scopes []string) bool {
	granted := strings.Fields(t.scopes)
	return !slices.ContainsFunc(scopes, func(needed string) bool {
		return !ofEveryAPI(needed) && !slices.ContainsFunc(granted, func(g string) bool { return sameScope(needed, g) })
	})
}

// ofEveryAPI reports whether a scope is for the sign-in and not for an API: Microsoft omits such
// scopes from its responses.
func ofEveryAPI(scope string) bool {
	return scope == "openid" || scope == "profile" || scope == "offline_access"
}

// sameScope reports whether a granted scope is the one that an API needs. Scopes are
// case-sensitive (RFC 6749, 3.3), except Microsoft's, and "Mail.Read" may be granted as
// "https://graph.microsoft.com/Mail.Read". If the application writes a scope as a URL, it must
// be granted as that URL: another API may have a scope of the same name.
func sameScope(needed, granted string) bool {
	if isAddress(granted) && !isAddress(needed) {
		granted = lastSegment(granted)
	}
	return strings.EqualFold(needed, granted)
}

func isAddress(scope string) bool { return strings.Contains(scope, "://") }

func lastSegment(scope string) string { return scope[strings.LastIndexByte(scope, '/')+1:] }

// lacks reports whether a token lacks any of these scopes according to the provider.
func (t *accessToken) lacks(scopes []string) bool { return t.scopes != "" && !t.grants(scopes) }

// expired reports whether a token has expired.
func (t *accessToken) expired(now time.Time) bool { return !t.expiry.IsZero() && !now.Before(t.expiry) }

// due reports whether a token should be refreshed: from a minute before its expiry, or a tenth of
// its lifetime if that is shorter. early, from 0 to 255, adds up to half a minute, so that the
// sessions of a provider that was down do not all refresh at once.
func (t *accessToken) due(now time.Time, early byte) bool {
	if t.expiry.IsZero() {
		return false
	}
	margin := time.Minute + time.Duration(early)*30*time.Second/255
	margin = min(margin, t.expiry.Sub(t.obtained)/10)
	return !now.Before(t.expiry.Add(-margin))
}

func (t *accessToken) token() *oauth2.Token {
	token := &oauth2.Token{AccessToken: t.value, TokenType: t.typ, Expiry: t.expiry}
	return token.WithExtra(map[string]any{"scope": t.scopes})
}

// encode encodes a record.
func (r *tokenRecord) encode() []byte {
	b := append(make([]byte, 0, 1024), tokenRecordVersion)
	b = wire.AppendString(b, r.refreshToken)
	b = wire.AppendString(wire.AppendUint(wire.AppendUint(b, boolUint(r.ended)), r.tries), r.session)
	b = wire.AppendTime(wire.AppendTime(b, r.tripUntil), r.ends)
	b = append(append(b, r.nonce[:]...), r.owner[:]...)
	b = wire.AppendString(wire.AppendTime(wire.AppendTime(b, r.authTime), r.issued), r.asked)
	b = wire.AppendStrings(b, r.groups)
	b = wire.AppendUint(wire.AppendTime(b, r.rest), boolUint(r.away))
	b = r.renewed.encode(b)
	for i := range r.access {
		t := &r.access[i]
		for _, s := range []string{t.key, t.value, t.typ, t.scopes} {
			b = wire.AppendString(b, s)
		}
		b = wire.AppendTime(wire.AppendTime(b, t.expiry), t.obtained)
	}
	return b
}

// readTokenRecord decodes the result of encode, or returns nil.
func readTokenRecord(plain string) *tokenRecord {
	r := wire.NewReader(plain)
	if r.Bytes(1) != string([]byte{tokenRecordVersion}) {
		return nil
	}
	rec := &tokenRecord{refreshToken: r.String(), ended: r.Uint() == 1, tries: r.Uint(), session: r.String(), tripUntil: r.Time(), ends: r.Time()}
	copy(rec.nonce[:], r.Bytes(len(rec.nonce)))
	copy(rec.owner[:], r.Bytes(len(rec.owner)))
	rec.authTime, rec.issued, rec.asked = r.Time(), r.Time(), r.String()
	rec.groups = r.Strings(nil)
	rec.rest, rec.away = r.Time(), r.Uint() == 1
	rec.renewed = readRenewal(r)
	for r.More() {
		var t accessToken
		for _, s := range []*string{&t.key, &t.value, &t.typ, &t.scopes} {
			*s = r.String()
		}
		t.expiry, t.obtained = r.Time(), r.Time()
		rec.access = append(rec.access, t)
	}
	if !r.OK() {
		return nil
	}
	return rec
}

func boolUint(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}
