package ginauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

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
