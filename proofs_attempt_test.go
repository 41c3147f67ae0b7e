package ginauth_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/seal"
)

// openAttempt returns the record of the attempt that a callback answers, the
// name of its cookie, and what seals such records.
func (s *site) openAttempt(callback *url.URL) (record, name string, box *seal.Box) {
	s.t.Helper()
	handle, _, _ := strings.Cut(callback.Query().Get("state"), ".")
	box, err := seal.New([]string{testKey}, s.URL, "attempt")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range s.browser.Cookies(s.URL) {
		if strings.HasSuffix(c.Name, handle) {
			plain, _, err := box.Open(c.Value, c.Name)
			if err != nil {
				s.t.Fatal(err)
			}
			return string(plain), c.Name, box
		}
	}
	s.t.Fatal("the browser has no cookie of the attempt")
	return "", "", nil
}

// withCookies sends a request from nowhere, with these cookies alone.
func (s *site) withCookies(method, address, cookies string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Cookie", cookies)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	answer.Body.Close()
	return answer
}

// An attempt that another version of this program sealed is none, even if the
// key is right: what is missing in it must not be taken for empty.
func TestAttemptOfAnotherForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	callback := s.begin("/login/demo")
	good, name, box := s.openAttempt(callback)
	come := func(record string) int {
		return s.withCookies("GET", callback.String(), name+"="+box.Seal([]byte(record), name)).StatusCode
	}
	for form, record := range map[string]string{
		"another version": string(good[0]+1) + good[1:], "cut": good[:len(good)-1], "longer": good + "\x00", "nothing": "",
	} {
		if status := come(record); status != http.StatusBadRequest {
			t.Errorf("%s: %d", form, status)
		}
	}
	if !strings.Contains(s.logs.String(), "id=state.other_version") {
		t.Errorf("the log does not say that the version is another one:\n%s", s.logs)
	}
	if status := come(good); status != http.StatusSeeOther {
		t.Errorf("the attempt itself, sealed again: %d", status)
	}
}

// Of many attempts in one request a few are opened: a header has room for more
// than anybody should have to decrypt.
func TestFewAttemptsAreOpened(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	record, name, box := s.openAttempt(s.begin("/login/demo"))
	var pairs []string
	for i := range 50 {
		other := fmt.Sprintf("%s%02d", name[:len(name)-2], i)
		pairs = append(pairs, other+"="+box.Seal([]byte(record), other))
	}
	answer := s.withCookies("POST", s.URL+"/logout", strings.Join(pairs, "; "))
	if n := len(answer.Header.Values("Set-Cookie")); n != 40 {
		t.Errorf("%d attempts were taken back, want 40", n)
	}
}

// wantReason opens the callback with that state and looks for what the log says.
func (s *site) wantReason(callback *url.URL, state, reason string) {
	s.t.Helper()
	s.logs.Reset()
	s.wantError(s.must(s.browser.Open(with(callback, "state", state).String())), ginauth.ErrStateInvalid)
	if got := s.logs.String(); !strings.Contains(got, reason) {
		s.t.Errorf("%s: the log does not say %q:\n%s", state, reason, got)
	}
}

// Of a state that only looks like ours, nothing is made of any part.
func TestStateOfAnotherForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	callback := s.begin("/login/demo")
	state := callback.Query().Get("state")
	for i, other := range map[int]string{0: "!", 8: "-", 9: "!", 51: ".", 52: "-", 53: "!", 68: "."} {
		s.wantReason(callback, state[:i]+other+state[i+1:], "the answer's state is not one of ours")
	}
}

// A secret has one spelling: another one was not made with our keys, even where
// it would be read as the same bytes.
func TestSecretInAnotherSpelling(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	callback := s.begin("/login/demo")
	state := callback.Query().Get("state")
	begun, err := base64.RawURLEncoding.DecodeString(state[53:])
	if err != nil {
		t.Fatal(err)
	}
	stamps, err := seal.NewStamps([]string{testKey}, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	stamp := stamps.Make([seal.FactSize]byte(begun), [seal.SubjectSize]byte{})
	s.browser = s.newBrowser()
	for last, reason := range map[string]string{"A": "the browser sent no cookie at all", "B": "was not made with our keys"} {
		s.wantReason(callback, state[:9]+strings.Repeat("A", 42)+last+"."+base64.RawURLEncoding.EncodeToString(stamp[:]), reason)
	}
}

// That one attempt has failed says nothing of another.
func TestAnotherAttemptHasFailed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	callback := s.begin("/login/demo")
	_, name, _ := s.openAttempt(callback)
	app, handle, _ := strings.Cut(name, "-a-")
	for failed, reason := range map[string]string{handle: "used already", "AAAAAAAA": "none of this sign-in"} {
		s.logs.Reset()
		s.withCookies("GET", callback.String(), app+"-u="+failed)
		if got := s.logs.String(); !strings.Contains(got, reason) {
			t.Errorf("the log does not say %q:\n%s", reason, got)
		}
	}
}
