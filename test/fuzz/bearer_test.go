package fuzz

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

const (
	stageAPI = "https://api.example"
	apiPath  = "/api"
)

// newAPIStage is a stage whose provider's access tokens are accepted at apiPath.
func newAPIStage(t testing.TB) *stage {
	s := newStage(t, func(p *ginauth.Provider, _ *ginauth.Options) { p.Audience = stageAPI })
	s.engine.Any(apiPath, s.auth.RequireAuth(ginauth.HasScope("read")), func(c *gin.Context) {
		s.ran++
		c.String(http.StatusOK, ginauth.CurrentUser(c).Subject)
	})
	return s
}

// accessToken is a JWT signed with the provider's key "ed".
func accessToken(typ, payload string) string {
	header := map[string]any{}
	if typ != "" {
		header["typ"] = typ
	}
	return edToken(header, payload)
}

func accessClaims(now time.Time) []entry {
	return []entry{{"iss", sitetest.JSON(stageIDP)}, {"sub", `"ada"`}, {"aud", sitetest.JSON(stageAPI)}, {"azp", `"tool"`}, {"scope", `"read"`}, {"iat", fmt.Sprint(now.Unix())}, {"exp", fmt.Sprint(now.Unix() + 600)}}
}

var (
	oneToken  = regexp.MustCompile(`^(?i:bearer) +TOKEN$`)
	hasScheme = regexp.MustCompile("^\\s*(?i:bearer)([^!#$%&'*+.^_`|~0-9A-Za-z-]|$)")
)

// FuzzBearerHeader writes a valid access token into a request in other ways. Its user is
// admitted if and only if there is one Authorization line with Bearer and the token. A request
// with a bearer token gets no redirect and no cookie, and the token is not echoed.
func FuzzBearerHeader(f *testing.F) {
	for _, line := range []string{
		"Authorization: Bearer TOKEN", "authorization: bearer TOKEN", "Authorization: BEARER   TOKEN", "Authorization: Bearer\tTOKEN", "Authorization: Bearer TOKEN,", "Authorization: Bearer TOKEN=",
		"Authorization: Bearer TOKEN\nAuthorization: Bearer TOKEN", "Authorization: Basic eDp5\nAuthorization: Bearer TOKEN", "Authorization: Bearer", "Authorization: BearerTOKEN", "Authorization: Bearer-TOKEN", "Authorization: Bearer TOKEN TOKEN",
		"Authorization: Basic TOKEN", "Authorization: Bearer \"TOKEN\"", "Authorization: \u00a0Bearer TOKEN", "Authorization: Bearer\u2003TOKEN", "Authorization: DPoP TOKEN", "Authorization:", "Authorization: Bearer TOKEN\nAccept: text/html\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document",
		"Authorization: Bearer x.y.z", "Authorization: Bearer TOKEN\nCookie: __Host-ginauth=x", "Proxy-Authorization: Bearer TOKEN", "Authorization: Bearer TOKEN\nSec-Purpose: prefetch", "Authorization: Bearer TOKEN\nHX-Request: true", "Authorization: Bearer nonsense\nUpgrade: websocket",
	} {
		f.Add("GET", "", line)
		f.Add("POST", "access_token=TOKEN", line+"\nOrigin: https://evil.example\nSec-Fetch-Site: cross-site")
	}
	f.Add("GET", "access_token=TOKEN", "")
	f.Add("GET", "a=b&access%5ftoken=TOKEN", "Accept: text/html")
	s := newAPIStage(f)
	f.Fuzz(func(t *testing.T, method, query, lines string) {
		if method = strings.ToUpper(method); !slices.Contains([]string{"GET", "POST", "HEAD", "OPTIONS", "DELETE"}, method) {
			return
		}
		s.fresh(t, len(query)+len(lines))
		token := accessToken("at+jwt", object(accessClaims(s.now)))
		r, ok := fuzzedRequest(method, "/page/x?"+strings.ReplaceAll(query, "TOKEN", token), strings.ReplaceAll(lines, "TOKEN", token))
		if !ok {
			return
		}
		r.URL.Path, r.URL.RawPath = apiPath, ""
		all := r.Header["Authorization"]
		good := len(all) == 1 && oneToken.MatchString(strings.ReplaceAll(all[0], token, "TOKEN")) && !strings.Contains(all[0][len("Bearer"):], "TOKEN") && !r.URL.Query().Has("access_token")
		bears := slices.ContainsFunc(all, hasScheme.MatchString)
		w := httptest.NewRecorder()
		s.engine.ServeHTTP(w, r)
		if in := w.Code == http.StatusOK && s.ran == 1; in != good {
			t.Fatalf("the response is %d %s, and the handler ran %d times; the reference says %v\n%q %q", w.Code, w.Body, s.ran, good, all, r.URL.RawQuery)
		}
		if !bears {
			return
		}
		if w.Code >= 300 && w.Code < 400 || len(w.Header()["Set-Cookie"]) > 0 || w.Header().Get("Location") != "" {
			t.Errorf("a request with a bearer token got %d %v", w.Code, w.Header())
		}
		if w.Code == http.StatusUnauthorized && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer error=") {
			t.Errorf("the challenge is %q", w.Header().Get("WWW-Authenticate"))
		}
		if strings.Contains(fmt.Sprint(w.Body, w.Header(), &s.log), token[len(token)-40:]) {
			t.Errorf("the token is repeated: %s %v\n%s", w.Body, w.Header(), &s.log)
		}
	})
}

// ofPeople are claims that a program's token does not have.
var ofPeople = []string{"sid", "auth_time", "acr", "amr", "preferred_username", "email", "name", "typ"}

// whyNoAccess is the reference: RFC 9068, section 4, and the signs that a token without that typ
// is of another kind. "" is a user's token, "program" a program's.
func whyNoAccess(payload, typ string, now time.Time) string {
	c, err := readClaims(payload)
	if err != nil {
		return "ambiguous: " + err.Error()
	}
	maps.DeleteFunc(c, func(name string, v any) bool { return v == nil && name != "nonce" && name != "events" })
	for name := range c {
		for _, reserved := range reservedNames {
			if name != reserved && strings.EqualFold(name, reserved) {
				return "a variant: " + name
			}
		}
	}
	if c["iss"] != stageIDP {
		return "iss"
	}
	if typ != "at+jwt" {
		for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash", "events"} {
			if _, there := c[name]; there {
				return "another kind: " + name
			}
		}
		if v, there := c["typ"]; there {
			if kind, _ := v.(string); !strings.EqualFold(kind, "bearer") && !strings.EqualFold(kind, "at+jwt") {
				return "another kind: typ"
			}
		}
	}
	client, _ := c["azp"].(string)
	if client == "" {
		return "client"
	}
	audiences, isList := c["aud"].([]any)
	if !isList {
		audiences = []any{c["aud"]}
	}
	for _, aud := range audiences {
		if _, isText := aud.(string); !isText {
			return "aud"
		}
	}
	if !slices.Contains(audiences, any(stageAPI)) {
		return "aud"
	}
	if exp, _, ok := secondsIn(c, "exp"); !ok || !inRange(exp, now, -60, ever) {
		return "exp"
	}
	if nbf, there, ok := secondsIn(c, "nbf"); there && (!ok || !inRange(nbf, now, -ever, 60)) {
		return "nbf"
	}
	const lifetime = 7 * 24 * 60 * 60
	if iat, _, ok := secondsIn(c, "iat"); !ok || !inRange(iat, now, -lifetime, 60) {
		return "iat"
	}
	v, there := c["sub"]
	sub, _ := v.(string)
	if !there {
		for _, name := range ofPeople {
			if _, has := c[name]; has {
				return "sub"
			}
		}
		return "program"
	}
	if sub == "" || len(sub) > 255 || strings.ContainsFunc(sub, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "sub"
	}
	if sub == client {
		return "program"
	}
	return ""
}

// FuzzAccessTokenClaims makes several changes to the claims of an access token, signs it
// correctly, and compares the result with the reference.
func FuzzAccessTokenClaims(f *testing.F) {
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	for typ := range uint8(3) {
		for _, program := range [][]byte{
			{}, change(dropClaim, "sub", "true"), change(setClaim, "sub", `"ada\u0000"`), change(doubleClaim, "SUB", `"ada"`), change(dropClaim, "aud", "true"), change(setClaim, "aud", `["CID","x"]`), change(setClaim, "aud", `["CID",1]`),
			change(setClaim, "aud", `"cid"`), change(dropClaim, "azp", "true"), change(setClaim, "azp", `"ada"`), change(setClaim, "nonce", `"NONCE"`), change(setClaim, "nonce", `null`), change(setClaim, "at_hash", `"ATHASH"`), change(setClaim, "typ", `"JWT"`),
			change(setClaim, "events", `{"http://schemas.openid.net/event/backchannel-logout":{}}`), change(setClaim, "exp", `T-60`), change(setClaim, "exp", `T-61`), change(setClaim, "exp", `9e18`), change(setClaim, "iat", `T+60`), change(setClaim, "iat", `T+61`),
			change(setClaim, "iat", `T-31536000`), change(setClaim, "nbf", `T+61`), change(setClaim, "iss", `"ISS/"`), join(change(dropClaim, "sub", "true"), change(setClaim, "acr", `"urn:one"`)), change(setClaim, "auth_time", `T+600`), change(setClaim, "sid", `true`),
		} {
			f.Add(program, typ)
		}
	}
	s := newAPIStage(f)
	values := strings.NewReplacer("ISS", stageIDP, "CID", stageAPI, "LONG255", strings.Repeat("x", 255), "LONG256", strings.Repeat("x", 256))
	f.Fuzz(func(t *testing.T, program []byte, which uint8) {
		s.fresh(t, len(program))
		typ := []string{"at+jwt", "JWT", ""}[which%3]
		payload := forge(accessClaims(s.now), program[:min(len(program), 24)], func(template string) string { return values.Replace(moment(template, s.now)) })
		r := httptest.NewRequest("GET", stageURL+apiPath, nil)
		r.Header.Set("Authorization", "Bearer "+accessToken(typ, payload))
		w := httptest.NewRecorder()
		s.engine.ServeHTTP(w, r)
		want := http.StatusUnauthorized
		why := whyNoAccess(payload, typ, s.now)
		switch why {
		case "":
			want = http.StatusOK
		case "program":
			want = http.StatusForbidden
		}
		if w.Code != want {
			t.Fatalf("the response is %d %s; the reference says %q\n%s\n%s", w.Code, w.Body, why, payload, &s.log)
		}
		if c, _ := readClaims(payload); w.Code == http.StatusOK && w.Body.String() != c["sub"] {
			t.Errorf("the user is %s\n%s", w.Body, payload)
		}
	})
}
