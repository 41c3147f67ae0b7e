package fuzz

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// jwsSigners sign the input of a fuzzed token: with the provider's keys, with a foreign one,
// with public values, and not at all.
var jwsSigners = []func(input string) string{
	func(input string) string { return sitetest.Base64(ed25519.Sign(stageEd, []byte(input))) },
	func(input string) string { return sitetest.Base64(signES256(input)) },
	func(input string) string { return sitetest.Base64(ed25519.Sign(stageAlien, []byte(input))) },
	func(input string) string { return hmacOf(stageSecret, input) },
	func(input string) string { return hmacOf(string(stageEd.Public().(ed25519.PublicKey)), input) },
	func(string) string { return sitetest.Base64(make([]byte, 64)) },
	func(string) string { return "" },
}

func hmacOf(secret, input string) string {
	head, payload, _ := strings.Cut(input, ".")
	token := sitetest.SignHS256([]byte(secret), undone(head), undone(payload))
	return token[strings.LastIndexByte(token, '.')+1:]
}

func undone(segment string) string {
	text, _ := base64.RawURLEncoding.DecodeString(segment) // text that is not base64url is signed as something else
	return string(text)
}

// jwsHeaders are seeds: EVIL is replaced by a URL that must not be requested, JWK by a key that
// is not the provider's.
var jwsHeaders = []string{
	`{"alg":"EdDSA","kid":"ed"}`, `{"alg":"EdDSA","kid":"ed","typ":"JWT"}`, `{"alg":"EdDSA"}`, `{"alg":"ES256","kid":"ec"}`, `{"alg":"ES256"}`, `{"alg":"EdDSA","kid":"ec"}`,
	`{"alg":"ES256","kid":"ed"}`, `{"alg":"EdDSA","kid":"other"}`, `{"alg":"EdDSA","kid":""}`, `{"alg":"EdDSA","kid":1}`, `{"alg":"EdDSA","kid":null}`, `{"kid":"ed"}`, `{}`, `{"alg":"none"}`, `{"alg":"None","kid":"ed"}`,
	`{"alg":"","kid":"ed"}`, `{"alg":["EdDSA"],"kid":"ed"}`, `{"alg":"HS256","kid":"ed"}`, `{"alg":"HS256"}`, `{"alg":"RS256","kid":"ed"}`, `{"alg":"eddsa","kid":"ed"}`, `{"alg":"Ed25519","kid":"ed"}`,
	`{"alg":"EdDSA","alg":"none","kid":"ed"}`, `{"alg":"none","ALG":"EdDSA","kid":"ed"}`, `{"alg":"EdDSA","Kid":"ec","kid":"ed"}`, `{"\u0061lg":"EdDSA","kid":"ed"}`, `{"alg":"EdDSA","\u0061lg":"ES256","kid":"ed"}`,
	`{"alg":"EdDSA","kid":"ed","crit":["exp"],"exp":1}`, `{"alg":"EdDSA","kid":"ed","crit":[]}`, `{"alg":"EdDSA","kid":"ed","b64":false,"crit":["b64"]}`, `{"alg":"EdDSA","kid":"ed","b64":true}`, `{"alg":"EdDSA","kid":"ed","zip":"DEF"}`,
	`{"alg":"EdDSA","enc":"A256GCM","kid":"ed"}`, `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, `{"alg":"EdDSA","kid":"ed","typ":"application/jwt"}`, `{"alg":"EdDSA","kid":"ed","typ":"logout+jwt"}`, `{"alg":"EdDSA","kid":"ed","typ":1}`,
	`{"alg":"EdDSA","kid":"ed","typ":""}`, `{"alg":"EdDSA","kid":"ed","cty":"JWT"}`, `{"alg":"EdDSA","kid":"alien","jwk":JWK}`, `{"alg":"EdDSA","kid":"ed","jwk":JWK}`, `{"alg":"EdDSA","jwk":JWK}`, `{"alg":"EdDSA","jku":"EVIL","kid":"alien"}`,
	`{"alg":"EdDSA","x5u":"EVIL","kid":"alien"}`, `{"alg":"EdDSA","x5c":["AA=="],"kid":"ed"}`, ` {"alg":"EdDSA","kid":"ed"}`, `{"alg":"EdDSA","kid":"ed"}` + "\n", `{"alg":"EdDSA","kid":"ed"}x`, "\ufeff" + `{"alg":"EdDSA","kid":"ed"}`,
	`"EdDSA"`, `[]`, `null`, ``, `{"alg":"EdDSA","kid":"ed","x":"\ud800"}`, `{"alg":"EdDSA","kid":"ed","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, `{"alg":"EdDSA","kid":"ed\u0000"}`,
}

// jwsForms are seeds: how H, the header, P, the payload, and S, the signature,
// are put together.
var jwsForms = []string{
	"H.P.S", "H.P.", "H.P", "H..S", ".P.S", "..", "", "H.P.S.", "H.P.S.S", "H.P.S.P.H", " H.P.S", "H.P.S\n", "H.P .S", "H\n.P.S", "H=.P.S", "H.P=.S", "H.P.S=", "H.P.S==", "H.P.SA", "H.P.+S", "H.H.S", "P.P.S", "P.H.S",
	`{"protected":"H","payload":"P","signature":"S"}`, `{"payload":"P","signatures":[{"protected":"H","signature":"S"}]}`, "H.P.S\x00", "H.P.S,H.P.S", "Bearer H.P.S",
}

var compactForm = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

// goodJWS is the reference: a JWS in compact serialization (RFC 7515 7.1), with an unambiguous
// header, an algorithm of the metadata, and a signature by the key that it names, or by one of
// the provider's if it names none.
func goodJWS(token string) bool {
	if !compactForm.MatchString(token) || len(token) > 64<<10 {
		return false
	}
	parts := strings.Split(token, ".")
	strict := base64.RawURLEncoding.Strict()
	header, err := strict.DecodeString(parts[0])
	_, err2 := strict.DecodeString(parts[1])
	sig, err3 := strict.DecodeString(parts[2])
	if err != nil || err2 != nil || err3 != nil {
		return false
	}
	if _, err := strictjson.Object(header); err != nil { // which has a separate target
		return false
	}
	h, err := readClaims(string(header))
	if err != nil {
		return false
	}
	for name := range h {
		for _, known := range strings.Fields("alg typ kid crit b64 cty enc zip jwk jku x5u x5c") {
			if name != known && strings.EqualFold(name, known) {
				return false
			}
		}
		if strings.Contains(" crit b64 enc zip ", " "+name+" ") {
			return false
		}
	}
	if typ, there := h["typ"]; there {
		text, _ := typ.(string)
		if !regexp.MustCompile(`(?i)^(application/)?jwt$`).MatchString(text) {
			return false
		}
	}
	kid, isText := h["kid"].(string)
	if _, there := h["kid"]; there != isText {
		return false
	}
	input := parts[0] + "." + parts[1]
	switch h["alg"] {
	case "EdDSA":
		return (kid == "" || kid == "ed") && ed25519.Verify(stageEd.Public().(ed25519.PublicKey), []byte(input), sig)
	case "ES256":
		sum := sha256.Sum256([]byte(input))
		return (kid == "" || kid == "ec") && len(sig) == 64 &&
			ecdsa.Verify(&stageEC.PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	}
	return false
}

// readMembers are the header members that the library reads, whether needed or not, and rejects
// if they are malformed.
var readMembers = regexp.MustCompile(`"(jwk|x5c|x5t|x5t#S256|nonce|cty|jku|x5u|epk|apu|apv|iv|tag|p2c|p2s|url)"|\\`)

// FuzzCompactJWS writes the ID token in other ways: another header, other signers, other
// serializations, different bytes. It signs Ada in if and only if the reference accepts it as a
// JWS of the provider, and it still has the claims.
func FuzzCompactJWS(f *testing.F) {
	for i, header := range jwsHeaders {
		f.Add(header, uint8(0), "H.P.S", uint16(0), uint8(0))
		f.Add(header, uint8(1+i%(len(jwsSigners)-1)), "H.P.S", uint16(0), uint8(0))
	}
	for signer := range jwsSigners {
		for _, header := range []string{jwsHeaders[0], jwsHeaders[2], jwsHeaders[3], `{"alg":"none"}`, `{"alg":"HS256","kid":"ed"}`} {
			f.Add(header, uint8(signer), "H.P.S", uint16(0), uint8(0))
		}
	}
	for _, form := range jwsForms {
		f.Add(jwsHeaders[0], uint8(0), form, uint16(0), uint8(0))
		f.Add(jwsHeaders[3], uint8(1), form, uint16(0), uint8(0))
	}
	for at := uint16(0); at < 512; at += 24 {
		f.Add(jwsHeaders[0], uint8(0), "H.P.S", at, uint8(1)<<(at%7))
	}
	s := newStage(f, nil)
	f.Fuzz(func(t *testing.T, header string, signer uint8, form string, at uint16, mask uint8) {
		if len(form) > 1000 {
			return
		}
		s.fresh(t, len(header)*len(form))
		a := s.begin(t, "")
		payload := sitetest.JSON(s.goodClaims(a))
		header = strings.NewReplacer("EVIL", stageIDP+"/evil", "JWK", sitetest.JSON(edJWK("alien", stageAlien))).Replace(header)
		input := sitetest.Base64([]byte(header)) + "." + sitetest.Base64([]byte(payload))
		sig := jwsSigners[int(signer)%len(jwsSigners)](input)
		token := strings.NewReplacer("H", sitetest.Base64([]byte(header)), "P", sitetest.Base64([]byte(payload)), "S", sig).Replace(form)
		if mask != 0 && token != "" {
			changed := []byte(token)
			changed[int(at)%len(changed)] ^= mask
			token = string(changed)
		}
		s.tokenAnswer(token)
		w := s.ask("GET", "/authorize/demo", answerOf(a), a.cookie())
		good := goodJWS(token) && sameClaims(token, payload)
		u := s.who(t, jarOf(w))
		if good != (u != nil) && (u != nil || !readMembers.MatchString(header)) || s.count("/token") != 1 || s.count("/evil") != 0 {
			t.Fatalf("good is %t, and %+v is signed in; asked %d times for a token and %d times for a key\n%q\n%s\n%s", good, u, s.count("/token"), s.count("/evil"), token, header, &s.log)
		}
		if good {
			return
		}
		if w.Code != http.StatusForbidden && w.Code != http.StatusBadGateway {
			t.Errorf("the response is %d %s", w.Code, w.Body)
		}
		s.closes(t, w, a.state, a.value, a.nonce, sig)
	})
}

// sameClaims reports whether the token's payload still has the original claims.
func sameClaims(token, payload string) bool {
	var got, want map[string]any
	err := json.Unmarshal([]byte(undone(strings.Split(token, ".")[1])), &got)
	return err == nil && json.Unmarshal([]byte(payload), &want) == nil && sitetest.JSON(got) == sitetest.JSON(want)
}
