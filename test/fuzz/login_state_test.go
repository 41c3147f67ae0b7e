package fuzz

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/seal"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// attemptCookies are seeds: NAME and VALUE are the cookie of the sign-in, OTHER and WORTH that
// of another sign-in in the same browser, SESSION is the name of the session cookie.
var attemptCookies = []string{
	"NAME=VALUE", "NAME=VALUE; OTHER=WORTH", "OTHER=WORTH; NAME=VALUE", "a=b;NAME=VALUE;c=d", "NAME=VALUE; NAME=x", "NAME=x; NAME=VALUE", "NAME=VALUE; NAME=VALUE", "NAME=x; NAME=x; NAME=x; NAME=VALUE", "NAME=x; NAME=x; NAME=x; NAME=x; NAME=VALUE",
	"NAME=VALUEx", "NAME=xVALUE", "NAME=VALUE=", "NAME=\"VALUE\"", "NAME=VALUE,NAME=VALUE", "NAME==VALUE", "NAME=", "NAME", "=VALUE", "", ";", "NAME=WORTH", "OTHER=VALUE", "OTHER=WORTH", "SESSION=VALUE", "SESSION=1VALUE", "SESSION-f0=VALUE", "SESSION-l=VALUE",
	"NAMEx=VALUE", "xNAME=VALUE", "\u2000NAME=VALUE", "$Version=1; NAME=VALUE", "$NAME=VALUE", " \tNAME=VALUE\t ", "NAME =VALUE", "NAME= VALUE", "NAME=VAL\x00UE", "NAME=VALUE\x0b", "a=NAME=VALUE", "NAME=VALUE ; x", strings.Repeat("SESSION-a-AAAAAAA=x; ", 50) + "NAME=VALUE",
	strings.Repeat("x=y; ", 500) + "NAME=VALUE", "NAME=" + strings.Repeat("A", 5000), "NAME=VALUE; SESSION=x; SESSION-2=y",
}

// FuzzAttemptCookie sends a valid response with modified cookies: a header made of parts of the
// attempts, with one byte of the sealed values changed if mask is not zero, and the state of
// either attempt, or none, or one that names the right cookie (HANDLE). The code is redeemed
// only with the whole cookie of that very state.
func FuzzAttemptCookie(f *testing.F) {
	for _, header := range attemptCookies {
		f.Add(header, "STATE", uint16(0), uint8(0))
	}
	for _, state := range []string{"", "OTHER", "STATEx", "xSTATE", "HANDLE" + sitetest.MadeUpState[8:], "HANDLE." + strings.Repeat("B", 43), "STATE.", "STATE=", "STATE\x00", sitetest.MadeUpState, ".", "AAAAAAAA.", strings.Repeat("A", 69)} {
		f.Add("NAME=VALUE", state, uint16(0), uint8(0))
		f.Add("NAME=VALUE; OTHER=WORTH", state, uint16(0), uint8(0))
	}
	for at := uint16(0); at < 400; at += 20 {
		f.Add("NAME=VALUE", "STATE", at, uint8(1)<<(at/20%8))
	}
	s := newStage(f, nil)
	f.Fuzz(func(t *testing.T, header, state string, at uint16, mask uint8) {
		if len(header) > 20_000 {
			return // a server would reject it
		}
		s.fresh(t, len(header)*10)
		own, other := s.begin(t, ""), s.begin(t, "")
		session, _, _ := strings.Cut(own.name, "-a-")
		value := []byte(own.value)
		value[int(at)%len(value)] ^= mask
		cookies := strings.NewReplacer("NAME", own.name, "VALUE", string(value), "OTHER", other.name, "WORTH", other.value, "SESSION", session).Replace(header)
		back := strings.NewReplacer("STATE", own.state, "OTHER", other.state, "HANDLE", own.state[:8]).Replace(state)
		mine := own
		if back == other.state {
			mine = other
		}
		s.tokenAnswer(edToken(nil, sitetest.JSON(s.goodClaims(mine))))
		s.asked = nil
		s.log.Reset()
		w := s.ask("GET", "/authorize/demo", answerOf(attempt{state: strings.NewReplacer("%", "%25", "&", "%26", "+", "%2B", ";", "%3B", "#", "%23").Replace(back)}), cookies)
		redeemed := s.count("/token") == 1
		whole := back == mine.state && strings.Contains(strings.NewReplacer(" ", "", "\t", "").Replace(cookies), mine.cookie())
		if redeemed && !whole || s.count("/token") > 1 || redeemed != (s.who(t, jarOf(w)) != nil) {
			t.Fatalf("redeemed: %t, with the state %q and %q\n%s", redeemed, state, header, &s.log)
		}
		if plain := slices.Index(attemptCookies[:4], header) >= 0 && state == "STATE" && mask == 0; plain && !redeemed {
			t.Errorf("%q is not taken for the sign-in's\n%s", header, &s.log)
		}
		if !redeemed && w.Code != http.StatusBadRequest {
			t.Errorf("the response is %d %s", w.Code, w.Body)
		}
		s.closes(t, w, own.nonce, other.nonce, own.value, other.value)
	})
}

// FuzzAttemptRecord seals arbitrary bytes as the attempt of a state, as another version could
// have done. The only possible effect is one sign-in with the provider that the record and the
// callback name.
func FuzzAttemptRecord(f *testing.F) {
	s := newStage(f, nil)
	box, err := seal.New([]string{sitetest.Key}, stageURL, "attempt")
	if err != nil {
		f.Fatal(err)
	}
	a := s.begin(f, "return_to="+whoPath)
	text, _, err := box.Open(a.value, a.name)
	if err != nil {
		f.Fatal(err)
	}
	good := []byte(text)
	f.Add(good)
	f.Add([]byte{})
	f.Add(good[:1])
	for cut := 8; cut < len(good); cut += 8 {
		f.Add(good[:cut])
	}
	for at := 0; at < len(good); at += 5 {
		changed := slices.Clone(good)
		changed[at] ^= 0xff
		f.Add(changed)
	}
	f.Add(append(slices.Clone(good), 0))
	f.Add(append(slices.Clone(good[:125]), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
	f.Fuzz(func(t *testing.T, record []byte) {
		if len(record) > 2000 {
			return // too large for a cookie
		}
		s.fresh(t, len(record))
		s.tokenAnswer(edToken(nil, sitetest.JSON(s.goodClaims(a))))
		cookies := a.name + "=" + box.Seal(record, a.name)
		w := s.ask("GET", "/authorize/demo", answerOf(a), cookies)
		redeemed := s.count("/token") == 1
		if redeemed && (record[0] != good[0] || !slices.Equal(record[1:33], good[1:33]) || !slices.Equal(record[97:109], good[97:109]) || !strings.Contains(string(record), "demo")) || s.count("/token") > 1 {
			t.Fatalf("redeemed: %q", record)
		}
		if u := s.who(t, jarOf(w)); u != nil && (!redeemed || u.Provider != "demo" || !slices.Equal(record[33:65], good[33:65])) {
			t.Errorf("%+v is signed in by %q", u, record)
		}
		if !slices.Contains([]int{303, 400, 403}, w.Code) || slices.Equal(record, good) && w.Code != http.StatusSeeOther {
			t.Errorf("the response is %d %s\n%s", w.Code, w.Body, &s.log)
		}
		s.closes(t, w, a.nonce)
		s.asked = nil
		if s.ask("GET", "/authorize/demo", answerOf(a), cookies); redeemed && s.count("/token") != 0 {
			t.Error("redeemed twice")
		}
	})
}
