package fuzz

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// The browsers in which a fuzzed response arrives.
const (
	ownBrowser     = iota // the one that began the sign-in
	otherBrowser          // no cookies
	anotherAttempt        // one that began another sign-in
	signedInBefore        // one without a sign-in, and with a session
	browsers
)

// callbacks are seeds: responses in which STATE, CODE and ISS are replaced by the correct
// values.
var callbacks = []string{
	"code=CODE&state=STATE&iss=ISS", "state=STATE&iss=ISS&code=CODE", "code=CODE&state=STATE", "code=CODE&iss=ISS", "state=STATE&iss=ISS",
	"code=CODE&state=&iss=ISS", "code=CODE&state=OTHER&iss=ISS", "code=CODE&state=STATEx&iss=ISS", "code=CODE&state=STATE%00&iss=ISS",
	"code=CODE&state=STATE=&iss=ISS", "code=CODE&state=%53TATE&iss=ISS", "code=CODE&state=AAAAAAAA.BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB&iss=ISS",
	"code=CODE&state=HANDLE.BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB&iss=ISS",
	"code=CODE&code=CODE&state=STATE&iss=ISS", "code=CODE&state=STATE&state=STATE&iss=ISS", "code=CODE&state=OTHER&state=STATE&iss=ISS",
	"code=CODE&state=STATE&iss=ISS&iss=ISS", "error=a&error=b&state=STATE&iss=ISS", "code=CODE&state=STATE&iss=ISS/", "code=CODE&state=STATE&iss=",
	"code=CODE&state=STATE&iss=https://IDP.example", "code=CODE&state=STATE&iss=https://evil.example", "code=CODE&error=access_denied&state=STATE&iss=ISS",
	"error=access_denied&state=STATE&iss=ISS", "error=access_denied&state=OTHER&iss=ISS", "error=server_error&error_description=%3Cscript%3E&error_uri=javascript:1&state=STATE&iss=ISS",
	"error=&state=STATE&iss=ISS", "code=CODE&error=&state=STATE&iss=ISS", "code=CODE&error&&state=STATE&iss=ISS", "code=CODE&error=&error=&state=STATE&iss=ISS", "error=%3Csvg%3E%0d%0a&state=STATE&iss=ISS", "code=&state=STATE&iss=ISS", "code=a%20b&state=STATE&iss=ISS", "code=a+b&state=STATE&iss=ISS",
	"code=%c3%a9&state=STATE&iss=ISS", "code=%7f&state=STATE&iss=ISS", "code=CODE%0d%0a&state=STATE&iss=ISS", "code=CODE;state=STATE;iss=ISS", "code=CODE&state=STATE&iss=ISS&x=%zz",
	"code=CODE&state=STATE&iss=ISS&x=%2", "code=CODE&state[]=STATE&iss=ISS", "code=CODE&STATE=STATE&iss=ISS", "code=CODE&state=STATE&iss=ISS&Code=x", "code=CODE&state=STATE&iss=ISS&ſtate=x",
	"code=CODE&state=STATE&iss=ISS&error[x]=1", "code=CODE&state=STATE&iss=ISS&access_token=t&id_token=t", "code=CODE&state=STATE&iss=ISS&session_state=s&scope=openid", "", "&&&", "=", "=&=",
	"code=CODE&state=STATE&iss=ISS&", "%63ode=CODE&state=STATE&iss=ISS", "code=CODE&state=STATE&iss=ISS&carried=STATE", "carried=STATE", "code=CODE&state=STATE&iss=ISS&return_to=https://evil.example",
	"code=CODE&state=STATE&iss=ISS&user=%7B%22email%22%3A%22eve%40evil.example%22%7D",
}

// manyAndLong are seeds at the limits.
func manyAndLong() []string {
	const good = "code=CODE&state=STATE&iss=ISS"
	return []string{
		good + strings.Repeat("&a=b", 47), good + strings.Repeat("&a=b", 48), good + "&x=" + strings.Repeat("x", 16<<10), good + strings.Repeat("&", 50),
		"code=" + strings.Repeat("c", 4096) + "&state=STATE&iss=ISS", "code=" + strings.Repeat("c", 4097) + "&state=STATE&iss=ISS", "code=CODE&iss=ISS&state=" + strings.Repeat("s", 600),
	}
}

// answerText inserts an attempt's values into a seed. The fuzzer cannot guess them.
func answerText(text string, own, other attempt) string {
	return strings.NewReplacer("STATE", own.state, "OTHER", other.state, "HANDLE", own.state[:8], "CODE", stageCode, "ISS", stageIDP).Replace(text)
}

// plainPair unescapes one name or value of a form, as in the WHATWG URL standard, and rejects
// malformed ones.
func plainPair(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ';':
			return "", false
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] != '%':
			b.WriteByte(s[i])
		default:
			if i+2 >= len(s) {
				return "", false
			}
			c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil || strings.ContainsAny(s[i+1:i+3], "+-_") {
				return "", false
			}
			b.WriteByte(byte(c))
			i += 2
		}
	}
	return b.String(), true
}

// redeemable is the reference: whether a response's code may be sent to the token endpoint. RFC
// 6749 3.1 (a parameter without a value is like one that is omitted) and 4.1.2, RFC 9207 2.4, and
// the documented limits. The browser is the one that began the sign-in.
func redeemable(text, state string, limit int) bool {
	if len(text) > limit || strings.Count(text, "&") >= 50 {
		return false
	}
	said := map[string][]string{}
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		decides := func(name string) bool {
			name = strings.ToLower(strings.TrimSpace(name))
			return slices.ContainsFunc([]string{"state", "code", "iss", "error"}, func(known string) bool { return name == known || strings.HasPrefix(name, known+"[") })
		}
		if pieces := strings.Split(pair, ";"); len(pieces) > 1 {
			for _, piece := range pieces {
				name, _, _ := strings.Cut(piece, "=")
				if name, ok := plainPair(name); ok && decides(name) {
					return false
				}
			}
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, ok := plainPair(name)
		value, ok2 := plainPair(value)
		if !ok { // with an unknown name
			continue
		}
		if !ok2 && decides(name) {
			return false
		}
		said[name] = append(said[name], value)
	}
	for name, values := range said {
		for _, known := range []string{"state", "code", "iss", "error"} {
			if name == known && len(values) > 1 || name != known && (strings.EqualFold(name, known) || strings.HasPrefix(strings.ToLower(name), known+"[")) {
				return false
			}
		}
	}
	one := func(name string) string { return strings.Join(said[name], "") }
	code := one("code")
	plain := !strings.ContainsFunc(code, func(r rune) bool { return r < '!' || r > '~' })
	return one("state") == state && one("iss") == stageIDP && one("error") == "" && code != "" && len(code) <= 4096 && plain
}

// hiddenIn returns the secrets that no page and no log may show, without those that the input
// itself puts into a wrong place.
func hiddenIn(text string, own attempt) []string {
	secrets := []string{own.nonce, own.value, stageToken}
	said, _ := url.ParseQuery(text)
	for name, secret := range map[string]string{"state": own.state, "code": stageCode} {
		if strings.Count(text, secret[:16]) == 1 && strings.HasPrefix(said.Get(name), secret[:16]) {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}

// arrival is a browser at the callback: its cookies, the state of the sign-in that it began, if
// any, and the user that is already signed in.
type arrival struct{ cookies, state, was string }

// visits begins two sign-ins, and makes the provider sign Ada in to the one that the browser
// began.
func (s *stage) visits(t *testing.T, browser uint8) (v arrival, own, other attempt) {
	own, other = s.begin(t, "return_to="+whoPath), s.begin(t, "return_to="+whoPath)
	mine := own
	switch browser % browsers {
	case ownBrowser:
		v = arrival{cookies: own.cookie(), state: own.state}
	case anotherAttempt:
		mine = other
		v = arrival{cookies: other.cookie(), state: other.state}
	case signedInBefore:
		v = arrival{cookies: (&sitetest.Site{T: t, Auth: s.auth}).Mint(&ginauth.User{Subject: "grace"}), was: "grace"}
	}
	s.tokenAnswer(edToken(nil, sitetest.JSON(s.goodClaims(mine))))
	s.asked = nil
	s.log.Reset()
	return v, own, other
}

// settled checks the result of a callback: Ada is signed in after one token request, or nothing
// has changed. It reports whether the token endpoint was called.
func (s *stage) settled(t *testing.T, w *httptest.ResponseRecorder, was string, good bool) {
	t.Helper()
	if n := s.count("/token"); n != 0 && !good || n != 1 && good {
		t.Errorf("the token endpoint was called %d times, and good is %t\n%s", n, good, &s.log)
	}
	u := s.who(t, jarOf(w))
	if good != (u != nil) || u != nil && (u.Subject != "ada" || u.Issuer != stageIDP) {
		t.Errorf("%+v is signed in, and good is %t\n%s", u, good, &s.log)
	}
	if was == "" {
		if good && (w.Code != http.StatusSeeOther || w.Header().Get("Location") != stageURL+whoPath+"#") {
			t.Errorf("the response is %d to %q", w.Code, w.Header().Get("Location"))
		}
		return
	}
	for _, line := range w.Header()["Set-Cookie"] {
		if !strings.Contains(line, "-a-") && !strings.Contains(line, "-f") {
			t.Errorf("who was signed in before gets %q", line)
		}
	}
}

var callbackMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}

// FuzzCallbackQuery: for any parameters with which a provider, or anyone pretending to be it,
// redirects a browser to the callback, the code is redeemed if and only if the reference accepts
// them and the browser is the one that began this sign-in.
func FuzzCallbackQuery(f *testing.F) {
	for _, text := range slices.Concat(callbacks, manyAndLong()) {
		f.Add(uint8(0), uint8(ownBrowser), text)
	}
	for browser := range uint8(browsers) {
		for method := range callbackMethods {
			f.Add(uint8(method), browser, callbacks[0])
		}
		f.Add(uint8(0), browser, "code=CODE&state=OTHER&iss=ISS")
		f.Add(uint8(0), browser, "error=access_denied&state=STATE&iss=ISS")
	}
	s := newStage(f, nil)
	f.Fuzz(func(t *testing.T, way, browser uint8, text string) {
		s.fresh(t, len(text))
		v, own, other := s.visits(t, browser)
		query := answerText(text, own, other)
		method := callbackMethods[int(way)%len(callbackMethods)]
		w := s.ask(method, "/authorize/demo", query, v.cookies)
		good := method == "GET" && v.state != "" && redeemable(query, v.state, 16<<10)
		s.settled(t, w, v.was, good)
		s.closes(t, w, hiddenIn(query, own)...)
		may := []int{400, 413}
		switch {
		case method != "GET":
			if may = []int{405}; !strings.HasPrefix(w.Header().Get("Allow"), "GET") {
				t.Errorf("Allow is %q", w.Header().Get("Allow"))
			}
		case good, v.was != "": // a signed-in user that reloads is redirected home
			may = append(may, 303)
		case v.state != "":
			may = append(may, 403, 502) // the provider's own errors
		}
		if !slices.Contains(may, w.Code) {
			t.Errorf("the response is %d, not one of %d", w.Code, may)
		}
	})
}

// FuzzCallbackForm is the same for a provider with form_post: the POST, which has no cookies,
// and the GET to which it redirects.
func FuzzCallbackForm(f *testing.F) {
	for _, text := range slices.Concat(callbacks, manyAndLong()) {
		f.Add(sitetest.FormType, text, "", uint8(ownBrowser))
	}
	for browser := range uint8(browsers) {
		f.Add(sitetest.FormType, callbacks[0], "", browser)
	}
	for _, media := range []string{sitetest.FormType + "; charset=utf-8", "application/json", "multipart/form-data; boundary=x", "text/plain", "", sitetest.FormType + ";", sitetest.FormType + "; charset", "APPLICATION/X-WWW-FORM-URLENCODED"} {
		f.Add(media, callbacks[0], "", uint8(ownBrowser))
	}
	f.Add(sitetest.FormType, callbacks[0], "state=STATE", uint8(ownBrowser))
	f.Add(sitetest.FormType, "", callbacks[0], uint8(ownBrowser))
	f.Add(sitetest.FormType, "code="+strings.Repeat("c", 3500)+"&state=STATE&iss=ISS", "", uint8(ownBrowser))
	f.Add(sitetest.FormType, callbacks[0]+"&x="+strings.Repeat("x", 64<<10), "", uint8(ownBrowser))
	s := newStage(f, func(p *ginauth.Provider, _ *ginauth.Options) { p.ResponseMode = "form_post" })
	f.Fuzz(func(t *testing.T, media, text, query string, browser uint8) {
		s.fresh(t, len(text))
		v, own, other := s.visits(t, browser)
		body := answerText(text, own, other)
		r := httptest.NewRequest("POST", stageURL+"/authorize/demo", strings.NewReader(body))
		r.URL.RawQuery = answerText(query, own, other)
		r.Header.Set("Content-Type", media)
		w := s.send(r)
		s.closes(t, w, hiddenIn(body, own)...)
		if s.count("/token") != 0 || s.who(t, jarOf(w)) != nil {
			t.Error("a POST from elsewhere did more than carry")
		}
		good := v.state != "" && redeemable(body, v.state, 64<<10)
		if w.Code != http.StatusSeeOther {
			readable := good && query == "" && (media == sitetest.FormType || media == sitetest.FormType+"; charset=utf-8")
			if !slices.Contains([]int{400, 413, 415}, w.Code) || len(w.Header()["Set-Cookie"]) != 0 || readable && (w.Code != 413 || len(body) < 3000) {
				t.Errorf("the response is %d %s", w.Code, w.Body)
			}
			return
		}
		carried, ok := strings.CutPrefix(w.Header().Get("Location"), stageURL+"/authorize/demo?carried=")
		if !ok || query != "" || len(w.Header()["Set-Cookie"]) != 1 && !strings.Contains(carried, "&response=") {
			t.Errorf("carried to %q with %q", w.Header().Get("Location"), w.Header()["Set-Cookie"])
		}
		w = s.ask("GET", "/authorize/demo", "carried="+strings.TrimSuffix(carried, "#"), strings.Trim(v.cookies+"; "+jarOf(w), "; "))
		s.settled(t, w, v.was, good)
		s.closes(t, w, hiddenIn(body, own)...)
		if !slices.Contains([]int{303, 400, 403, 502}, w.Code) || w.Code == 303 && !good && v.was == "" {
			t.Errorf("the GET responded %d %s", w.Code, w.Body)
		}
	})
}
