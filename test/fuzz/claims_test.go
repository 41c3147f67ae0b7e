package fuzz

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// forgedNames and forgedValues are the material for changes of claims: every name can get every
// value.
var forgedNames = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "azp", "at_hash", "c_hash", "s_hash", "auth_time", "acr", "amr", "sid", "typ", "jti", "events", "session_expiry",
	"name", "given_name", "family_name", "preferred_username", "email", "email_verified", "picture", "locale", "groups", "roles", "tid", "oid", "hd", "x", "nickname", "company",
	"SUB", "ſub", "Iss", "AUD", "aZp", "Exp", "IAT", "Nonce", "emaIl", "Email_Verified", "GROUPS", "Events", "ACR", "At_hash", "Company", "Session_Expiry",
}

// In forgedValues ISS, CID, NONCE, ATHASH, CHASH and SHASH are replaced by the right values, and
// T by the time.
var forgedValues = []string{
	`"ISS"`, `"ISS/"`, `"ISS#"`, `"https://evil.example"`, `"CID"`, `"CID2"`, `"cid"`, `["CID"]`, `["CID","x"]`, `["x","CID"]`, `["x"]`, `["CID",null]`, `[null]`, `["CID",1]`, `["CID","CID"]`,
	`[["CID"]]`, `{"CID":1}`, `"NONCE"`, `"NONCE "`, `["NONCE"]`, `"ATHASH"`, `"ATHASH="`, `"CHASH"`, `"SHASH"`, `"ada"`, `"\u0061da"`, `""`, `" "`, `"ada\n"`, `"ada\u0000"`, `"ad\u00e4"`, `"\u007f"`, `"LONG255"`, `"LONG256"`,
	`null`, `true`, `false`, `"true"`, `{}`, `[]`, `{"a":1,"a":2}`, `[{"a":1,"\u0061":2}]`, `{"a":{"b":[1]}}`, `0`, `1`, `-1`, `1e30`, `9e18`, `1e-3`, `253370764799`, `253370764800`, `253370764799.9`, `"T"`,
	`T`, `T.0`, `T.5`, `T+1`, `T+59`, `T+60`, `T+60.5`, `T+61`, `T+600`, `T+31536000`, `T-1`, `T-59`, `T-60`, `T-60.5`, `T-61`, `T-120`, `T-570`, `T-600`, `T-660`, `T-661`, `T-31536000`,
	`"urn:two"`, `"urn:two urn:three"`, `["urn:two"]`, `"urn:one"`, `"s1"`, `{"http://schemas.openid.net/event/backchannel-logout":{}}`, `"ada@example.com"`, `"JWT"`, `"https://example.com/a.png"`,
}

// The kinds of change, in a program of three bytes a change.
const (
	setClaim = iota
	dropClaim
	doubleClaim
	changes
)

func change(kind int, name, value string) []byte {
	n, v := slices.Index(forgedNames, name), slices.Index(forgedValues, value)
	if n < 0 || v < 0 {
		panic(name + " or " + value + " is not among what changes are made of")
	}
	return []byte{byte(kind), byte(n), byte(v)}
}

// entry is a member of an object, with its raw value.
type entry struct{ name, raw string }

func object(members []entry) string {
	var parts []string
	for _, m := range members {
		parts = append(parts, sitetest.JSON(m.name)+":"+m.raw)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// forge applies a program to an object: at most eight changes.
func forge(members []entry, program []byte, value func(template string) string) string {
	for ; len(program) >= 3; program = program[3:] {
		name, raw := forgedNames[int(program[1])%len(forgedNames)], value(forgedValues[int(program[2])%len(forgedValues)])
		at := slices.IndexFunc(members, func(m entry) bool { return m.name == name })
		switch kind := program[0] % changes; {
		case kind == dropClaim && at >= 0:
			members = slices.Delete(members, at, at+1)
		case kind == setClaim && at >= 0:
			members[at].raw = raw
		case kind != dropClaim:
			members = append(members, entry{name, raw})
		}
	}
	return object(members)
}

// moment writes T, T+60.5 and the like as a number.
func moment(template string, now time.Time) string {
	if template[0] != 'T' {
		return strings.Replace(template, `"T"`, `"`+fmt.Sprint(now.Unix())+`"`, 1)
	}
	offset, ok := new(big.Rat).SetString("0" + template[1:])
	if rest := template[1:]; rest != "" && rest[0] != '.' {
		offset, ok = new(big.Rat).SetString(rest)
	}
	if !ok {
		panic(template)
	}
	return strings.TrimSuffix(offset.Add(offset, new(big.Rat).SetInt64(now.Unix())).FloatString(1), ".0")
}

// expectation has what a sign-in requested, and what its ID token must match.
type expectation struct {
	now, begun  time.Time
	nonce       string
	hashes      map[string]string // at_hash, c_hash and s_hash
	maxAge      int64             // -1: not requested
	acr         []string
	logoutToken bool
}

// readOnce decodes an object with encoding/json, and rejects duplicate names, at any depth, and
// NULs.
func readOnce(dec *json.Decoder) (any, error) {
	token, err := dec.Token()
	if s, ok := token.(string); ok && strings.Contains(s, "\x00") {
		return nil, fmt.Errorf("a NUL")
	}
	if err != nil || token != json.Delim('{') && token != json.Delim('[') {
		return token, err
	}
	found, list := map[string]any{}, []any{}
	for dec.More() {
		v, err := readOnce(dec)
		if err == nil && token == json.Delim('{') {
			name := v.(string)
			if _, twice := found[name]; twice {
				return nil, fmt.Errorf("%q twice", name)
			}
			found[name], err = readOnce(dec)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if _, err := dec.Token(); err != nil || token == json.Delim('[') {
		return list, err
	}
	return found, nil
}

func readClaims(payload string) (map[string]any, error) {
	dec := json.NewDecoder(strings.NewReader(payload))
	dec.UseNumber()
	v, err := readOnce(dec)
	if _, end := dec.Token(); err == nil && end != io.EOF {
		err = fmt.Errorf("data behind the value")
	}
	c, _ := v.(map[string]any)
	return c, err
}

// reservedNames may not occur in another case.
var reservedNames = strings.Fields("iss sub aud exp iat nbf jti nonce azp at_hash c_hash s_hash auth_time acr amr sid typ events" +
	" name given_name family_name preferred_username email email_verified picture locale groups roles tid oid hd")

// seconds reads a NumericDate (RFC 7519, section 2) exactly.
func secondsIn(c map[string]any, name string) (at *big.Rat, there, ok bool) {
	v, there := c[name]
	n, isNumber := v.(json.Number)
	at, ok = new(big.Rat).SetString(string(n))
	return at, there, isNumber && ok && at.Sign() >= 0 && at.Cmp(big.NewRat(253370764800, 1)) < 0
}

// inRange reports whether from <= at - base <= to, in seconds.
func inRange(at *big.Rat, base time.Time, from, to int64) bool {
	offset := new(big.Rat).Sub(at, new(big.Rat).SetInt64(base.Unix()))
	return offset.Cmp(big.NewRat(from, 1)) >= 0 && offset.Cmp(big.NewRat(to, 1)) <= 0
}

const ever = 1 << 40 // seconds

// whyNot is the reference: OpenID Connect Core 3.1.3.7, and for logout tokens Back-Channel
// Logout 2.4 and 2.6, in their order. It was written from the standards, and shares no code with
// the package. "" is an accepted token.
func whyNot(payload string, want expectation) string {
	c, err := readClaims(payload)
	if err != nil {
		return "ambiguous: " + err.Error()
	}
	maps.DeleteFunc(c, func(name string, v any) bool { return v == nil && name != "nonce" && name != "events" }) // absent; nonce and events are forbidden
	for name := range c {
		for _, reserved := range reservedNames {
			if name != reserved && strings.EqualFold(name, reserved) {
				return "a variant: " + name
			}
		}
	}
	if c["iss"] != stageIDP { // (2)
		return "iss"
	}
	audiences, isList := c["aud"].([]any) // (3)
	if !isList {
		audiences = []any{c["aud"]}
	}
	ours := false
	for _, aud := range audiences {
		if _, isText := aud.(string); !isText {
			return "aud"
		}
		ours = ours || aud == stageClient
	}
	exp, hasExp, okExp := secondsIn(c, "exp") // (9)
	iat, _, okIat := secondsIn(c, "iat")      // (10)
	if !ours || !okIat || !inRange(iat, want.now, -ever, 60) {
		return "aud or iat"
	}
	if okExp && !inRange(exp, want.now, -60, ever) || !okExp && (hasExp || !want.logoutToken) { // Ory Hydra's logout tokens have no exp
		return "exp"
	}
	if nbf, there, ok := secondsIn(c, "nbf"); there && (!ok || !inRange(nbf, want.now, -ever, 60)) {
		return "nbf"
	}
	if _, isText := c["at_hash"].(string); !isText && c["at_hash"] != nil { // 3.1.3.6 defines it as a string
		return "at_hash"
	}
	if want.logoutToken {
		return whyNoLogout(c, iat, want)
	}
	if azp, there := c["azp"]; there && azp != stageClient || !there && len(audiences) > 1 { // (4), (5)
		return "azp"
	}
	if !inRange(iat, want.begun, -60, ever) || c["nonce"] != want.nonce { // (10), (11)
		return "iat or nonce"
	}
	for name, right := range want.hashes { // 3.1.3.6
		if v, there := c[name]; there && v != right {
			return name
		}
	}
	at, there, ok := secondsIn(c, "auth_time") // (13)
	if there && (!ok || !inRange(at, want.now, -ever, 60)) || want.maxAge >= 0 && (!there || !inRange(at, want.now, -want.maxAge-60, 60)) {
		return "auth_time"
	}
	if acr, _ := c["acr"].(string); want.acr != nil && !slices.Contains(want.acr, acr) { // (12)
		return "acr"
	}
	if end, there, ok := secondsIn(c, "session_expiry"); there && (!ok || inRange(end, want.now, -ever, 0)) { // IPSIE SL1
		return "session_expiry"
	}
	if _, there := c["events"]; there { // Back-Channel Logout 4.1: not to be confused
		return "events"
	}
	sub, _ := c["sub"].(string) // 2
	if sub == "" || len(sub) > 255 || strings.ContainsFunc(sub, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "sub"
	}
	return ""
}

// whyNoLogout is whyNot for the specific claims of a logout token.
func whyNoLogout(c map[string]any, iat *big.Rat, want expectation) string {
	events, _ := c["events"].(map[string]any)
	_, isLogout := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	_, hasNonce := c["nonce"]
	jti, _ := c["jti"].(string)
	if !isLogout || hasNonce || jti == "" || !inRange(iat, want.now, -300, 60) {
		return "events, nonce, jti or iat"
	}
	sub, hasSub := c["sub"]
	sid, hasSID := c["sid"]
	text, sidText := "", ""
	text, _ = sub.(string)
	sidText, _ = sid.(string)
	if !hasSub && !hasSID || hasSub && text == "" || hasSID && sidText == "" {
		return "sub or sid"
	}
	return ""
}

// asks are the ways to begin the fuzzed sign-ins.
var asks = []struct {
	query  string
	maxAge int64
	acr    []string
}{
	{"", -1, nil}, {"max_age=600", 600, nil}, {"max_age=0", 0, nil}, {"acr_values=urn:two%20urn:three", -1, []string{"urn:two", "urn:three"}},
}

// claimed signs in with an ID token that a program has changed, and compares the result with the
// reference.
func (s *stage) claimed(t *testing.T, program []byte, wait, how uint8) {
	ask, es := asks[int(how)%len(asks)], how&0x80 != 0
	a := s.begin(t, ask.query)
	want := expectation{begun: s.now, now: s.now.Add(2 * time.Duration(wait) * time.Second), nonce: a.nonce, maxAge: ask.maxAge, acr: ask.acr, hashes: map[string]string{}}
	s.now = want.now
	for name, of := range map[string]string{"at_hash": stageToken, "c_hash": stageCode, "s_hash": a.state} {
		long, short := sha512.Sum512([]byte(of)), sha256.Sum256([]byte(of))
		want.hashes[name] = sitetest.Base64(long[:32])
		if es {
			want.hashes[name] = sitetest.Base64(short[:16])
		}
	}
	values := strings.NewReplacer("ISS", stageIDP, "CID", stageClient, "NONCE", a.nonce, "ATHASH", want.hashes["at_hash"], "CHASH", want.hashes["c_hash"], "SHASH", want.hashes["s_hash"],
		"LONG255", strings.Repeat("x", 255), "LONG256", strings.Repeat("x", 256))
	payload := forge([]entry{{"iss", sitetest.JSON(stageIDP)}, {"sub", `"ada"`}, {"aud", sitetest.JSON(stageClient)}, {"iat", fmt.Sprint(s.now.Unix())}, {"exp", fmt.Sprint(s.now.Unix() + 600)},
		{"nonce", sitetest.JSON(a.nonce)}, {"auth_time", fmt.Sprint(s.now.Unix())}, {"acr", `"urn:two"`}}, program[:min(len(program), 24)],
		func(template string) string { return values.Replace(moment(template, s.now)) })
	token := edToken(nil, payload)
	if es {
		input := sitetest.Base64([]byte(`{"alg":"ES256","kid":"ec"}`)) + "." + sitetest.Base64([]byte(payload))
		token = input + "." + sitetest.Base64(signES256(input))
	}
	s.tokenAnswer(token)
	w := s.ask("GET", "/authorize/demo", answerOf(a), a.cookie())
	why, u := whyNot(payload, want), s.who(t, jarOf(w))
	if (why == "") != (u != nil) || s.count("/token") != 1 {
		t.Fatalf("the reference says %q, and %+v is signed in, after %d requests for a token\n%s\n%s", why, u, s.count("/token"), payload, &s.log)
	}
	if u == nil {
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"id_token_invalid"`) {
			t.Errorf("the response is %d %s\n%s", w.Code, w.Body, payload)
		}
		s.closes(t, w, a.state, a.value, token[len(token)-40:])
		return
	}
	var c struct {
		Sub, Email    string
		EmailVerified any `json:"email_verified"`
	}
	_ = json.Unmarshal([]byte(payload), &c) // a wrong type leaves the other members
	if u.Subject != c.Sub || u.Email != c.Email && c.Email != "" || u.EmailVerified != (c.EmailVerified == true && u.Email != "") || u.Issuer != stageIDP {
		t.Errorf("signed in as %+v\n%s", u, payload)
	}
}

func newClaimsStage(t testing.TB) *stage {
	return newStage(t, func(p *ginauth.Provider, _ *ginauth.Options) { p.LoginParams = []string{"max_age", "acr_values"} })
}

// oneByOne calls do with every change of a single claim: for claims of the protocol, which come
// first, with every value, for the others with some.
func oneByOne(do func(name string, program []byte)) {
	own := slices.Index(forgedNames, "name")
	for n, name := range forgedNames {
		for v := range forgedValues {
			if n < own || (n+v)%9 == 0 {
				do(name, []byte{setClaim, byte(n), byte(v)})
			}
		}
	}
}

// TestClaimsOneByOne makes every single change to a valid ID token, and also none.
func TestClaimsOneByOne(t *testing.T) {
	t.Parallel()
	s := newClaimsStage(t)
	for how, ask := range asks {
		s.forget()
		s.claimed(t, nil, 0, uint8(how))
		oneByOne(func(name string, program []byte) {
			if ask.query == "" || name == "auth_time" || name == "acr" { // the claims that it affects
				s.forget()
				s.claimed(t, program, 250, uint8(how))
			}
		})
	}
}

// FuzzIDTokenClaims makes several changes to the claims of an ID token, and signs it correctly.
// It is accepted if and only if the reference accepts it.
func FuzzIDTokenClaims(f *testing.F) {
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	for how := range uint8(len(asks)) {
		f.Add([]byte{}, uint8(0), how)
		f.Add([]byte{}, uint8(250), how|0x80)
	}
	for _, program := range [][]byte{
		change(dropClaim, "sub", "true"), change(doubleClaim, "sub", `"ada"`), change(doubleClaim, "SUB", `"ada"`), change(doubleClaim, "ſub", `"ada"`), change(setClaim, "emaIl", `"ada@example.com"`), change(setClaim, "GROUPS", `[]`),
		join(change(setClaim, "aud", `["CID","x"]`), change(setClaim, "azp", `"CID"`)), join(change(setClaim, "aud", `["CID",null]`), change(setClaim, "azp", `"CID"`)),
		join(change(setClaim, "aud", `["x"]`), change(setClaim, "AUD", `"CID"`)), join(change(setClaim, "iss", `"https://evil.example"`), change(setClaim, "Iss", `"ISS"`)),
		join(change(setClaim, "iat", `T-600`), change(setClaim, "exp", `T-60`)), join(change(setClaim, "exp", `T-60.5`), change(setClaim, "iat", `T-61`)),
		change(setClaim, "exp", `9e18`), change(setClaim, "exp", `253370764799.9`), change(setClaim, "exp", `"T"`), change(setClaim, "iat", `T+60.5`),
		change(setClaim, "nbf", `T+61`), change(setClaim, "nbf", `null`), change(setClaim, "nonce", `["NONCE"]`), change(dropClaim, "nonce", "true"),
		join(change(setClaim, "at_hash", `"ATHASH"`), change(setClaim, "c_hash", `"CHASH"`), change(setClaim, "s_hash", `"SHASH"`)), change(setClaim, "at_hash", `"CHASH"`),
		change(setClaim, "auth_time", `T-661`), change(setClaim, "auth_time", `T-660`), change(dropClaim, "auth_time", "true"), change(setClaim, "acr", `"urn:two urn:three"`),
		change(setClaim, "events", `{"http://schemas.openid.net/event/backchannel-logout":{}}`), change(setClaim, "session_expiry", `T`), change(setClaim, "session_expiry", `T+1`),
		change(setClaim, "sub", `"LONG256"`), change(setClaim, "sub", `"LONG255"`), change(setClaim, "sub", `"ada\u0000"`), change(setClaim, "x", `{"a":1,"a":2}`),
		join(change(setClaim, "email", `"ada@example.com"`), change(setClaim, "email_verified", `true`)), join(change(setClaim, "email", `"ada@example.com"`), change(setClaim, "email_verified", `"true"`)),
	} {
		f.Add(program, uint8(200), uint8(0))
		f.Add(program, uint8(10), uint8(0x81))
	}
	s := newClaimsStage(f)
	f.Fuzz(func(t *testing.T, program []byte, wait, how uint8) {
		s.fresh(t, len(program))
		s.claimed(t, program, wait, how)
	})
}
