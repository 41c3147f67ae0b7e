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
	nonce        [32]byte  // hash of the nonce of the sign-in that gave the refresh token
	authTime     time.Time // auth_time of that sign-in; zero if the provider did not say
	issued       time.Time // iat of the latest ID token; zero without one
	asked        string    // scopes that the sign-in asked for beside the provider's, space-separated
	tripUntil    time.Time // until when another trip would bring no other scopes; zero if none was made
	tries        uint64    // of what can be claimed: see claimed
	session      string    // id of the session whose tokens these are
	ends         time.Time // when the store may forget the record
	owner        [32]byte  // whose they are: see tokensOwner
	groups       []string  // that the provider sent last, without what OnLogin or OnRecheck made of them
	renewed      *renewal  // what the last recheck found; nil before the first
	rest         time.Time // until when no recheck asks; zero if none has failed
	away         bool      // and until then the person has to come back to the provider
	access       []accessToken

	// Of a session that begins, and not stored:
	before   *session // whose place it takes; nil if that has no tokens
	inherits bool     // its refresh token continues
}

// accessToken is an access token for one or more APIs of a provider.
type accessToken struct {
	key      string // which APIs: see API.key
	value    string
	typ      string
	expiry   time.Time // zero if the provider does not say
	obtained time.Time
	scopes   string // that were granted, as the provider said; "" if it did not
}

// key says which access token an API takes: "" is that of the sign-in.
func (p *API) key() string {
	if len(p.Scopes) == 0 && p.Resource == "" {
		return ""
	}
	return strings.Join(slices.Sorted(slices.Values(p.Scopes)), " ") + "\n" + p.Resource
}

// newAccessToken returns the access token of a response to a request for these scopes. Its
// scopes are those of the response, and requested ones that the response has under another
// name. Microsoft answers "User.Read" to a request for "https://graph.microsoft.com/user.read",
// and does not name "/.default", which stands for all scopes of one API that the person has
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
	if state.renews != "" { // a check, or a call of an API, sent the person to the provider
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

// tokensOwner says whose the tokens of this provider are. Another one of the same name, which
// SetProviders has put in its place, gets none of them.
func tokensOwner(p *Provider) [32]byte {
	return sha256.Sum256([]byte(strings.Join([]string{p.Issuer, p.TokenURL, p.identity(), p.ClientID}, "\n")))
}

// of returns the record if it is this client's, else nil.
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

// takePlace notes whose place a session that begins takes. If a check sent the same person to
// the provider, and it gave no refresh token this time, that of the previous session
// continues: Google, for one, gives it once.
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

// gives reports whether there is a refresh token that the tokens of a session to come can
// have.
func (r *tokenRecord) gives(next *tokenRecord) bool {
	return r.refreshToken != "" && !r.ended && r.owner == next.owner
}

// claimed is what a refresh claims: the refresh token, for the n-th time. Without one it is
// the access token, with which a recheck reads the profile.
func (r *tokenRecord) claimed() string {
	token := r.refreshToken
	if token == "" && len(r.access) > 0 {
		token = r.access[0].value
	}
	return token + "\n" + strconv.FormatUint(r.tries, 10)
}

// checkScopes refuses a sign-in that was to bring scopes which the provider did not grant:
// the session from before stays.
func (c *client) checkScopes(state *loginState, id *rp.Identity) error {
	t := c.newAccessToken("", id.Token, strings.Fields(state.scopes), time.Time{})
	if state.scopes == "" || !t.lacks(strings.Fields(state.scopes)) {
		return nil
	}
	return (&wanted{cl: c}).denied()
}

// refreshed returns the record after a refresh for an API, and the token. Tokens of APIs that
// the provider has no more are dropped.
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
	// Without a refresh token there is one access token for all, as GitHub has it: a sign-in
	// that asked for the scopes gave it to the one that there is.
	if r.refreshToken != "" || api.Resource != "" || key == "" {
		return nil
	}
	if t := r.find(&API{}); t != nil && t.grants(api.Scopes) {
		return t
	}
	return nil
}

// grants reports whether the provider said that a token has these scopes.
func (t *accessToken) grants(scopes []string) bool {
	granted := strings.Fields(t.scopes)
	return !slices.ContainsFunc(scopes, func(needed string) bool {
		return !ofEveryAPI(needed) && !slices.ContainsFunc(granted, func(g string) bool { return sameScope(needed, g) })
	})
}

// ofEveryAPI reports whether a scope says nothing of an API: Microsoft leaves those of the
// sign-in out of its answers.
func ofEveryAPI(scope string) bool {
	return scope == "openid" || scope == "profile" || scope == "offline_access"
}

// sameScope reports whether a granted scope is the one that an API needs. RFC 6749, 3.3, has
// scopes case-sensitive; Microsoft's are not, and "Mail.Read" may be granted as
// "https://graph.microsoft.com/Mail.Read". A scope that the application writes as an address
// is granted under that address alone: another API may have one of the same name.
func sameScope(needed, granted string) bool {
	if isAddress(granted) && !isAddress(needed) {
		granted = lastSegment(granted)
	}
	return strings.EqualFold(needed, granted)
}

func isAddress(scope string) bool { return strings.Contains(scope, "://") }

func lastSegment(scope string) string { return scope[strings.LastIndexByte(scope, '/')+1:] }

// lacks reports whether the provider said that a token has not all of these scopes.
func (t *accessToken) lacks(scopes []string) bool { return t.scopes != "" && !t.grants(scopes) }

// expired reports whether a token has expired.
func (t *accessToken) expired(now time.Time) bool { return !t.expiry.IsZero() && !now.Before(t.expiry) }

// due reports whether it is time for another token: a minute before the end, or a tenth
// of its life if that is shorter. early spreads the sessions of a provider that was down
// over half a minute more: 0 to 255.
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
