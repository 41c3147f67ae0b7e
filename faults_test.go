package ginauth_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// fault is one thing that must be refused, under the number it has in the
// catalogue of faults that this package is held against: an area's letter, a
// number, and what it is.
type fault struct {
	name string // "B6_provider_swap"
	run  func(t *testing.T)
}

// areas are the catalogue's, with how many faults each has.
var areas = map[string]int{
	"A": 20, "B": 44, "C": 25, "D": 42, "E": 20, "F": 26, "G": 14, "H": 26,
	"I": 15, "J": 18, "K": 15, "L": 14, "M": 11, "N": 9, "O": 13,
}

func TestFaults(t *testing.T) {
	faults := slices.Concat(faultsA(), faultsB(), faultsC(), faultsD(), faultsE(), faultsF(), faultsG(),
		faultsH(), faultsHProvider(), faultsK(), faultsL(), faultsM(), faultsN(), faultsO())
	row := regexp.MustCompile(`^([A-O])([1-9][0-9]?)_[a-z0-9_]+$`)
	tested := map[string]bool{}
	for _, f := range faults {
		m := row.FindStringSubmatch(f.name)
		if m == nil {
			t.Fatalf("%q is not a row's number and name", f.name)
		}
		tested[m[1]+m[2]] = true
		t.Run(f.name, func(t *testing.T) {
			leavesNothing(t, f.name)
			f.run(t)
		})
	}
	rows, later := 0, 0
	for area, n := range areas {
		rows += n
		for i := 1; i <= n; i++ {
			switch id := fmt.Sprint(area, i); {
			case tested[id], elsewhere[id] != "", dropped[id] != "":
			case waiting[id] != "", waitingAreas[area] != "":
				later++
			default:
				t.Errorf("%s is neither tested nor waiting for a feature", id)
			}
		}
	}
	t.Logf("of %d rows %d are tested here, %d by the suite of session stores, %d wait for their feature, %d are dropped",
		rows, len(tested), len(elsewhere), later, len(dropped))
	for _, id := range slices.Sorted(maps.Keys(waiting)) {
		if tested[id] {
			t.Errorf("%s is tested, and listed as waiting", id)
		}
	}
}

// closed is what a refusal must look like.
type closed struct {
	code   ginauth.Code
	status int               // 0: the code's own
	tokens int               // requests to the token endpoint so far
	was    string            // subject who was signed in before, and still is
	hide   []string          // secrets that must not show, beside those that the provider saw
	quiet  map[string]string // headers that differ, by name
}

// failsClosed asserts that a refusal refused: the answer, its headers, that
// nobody was signed in and nothing of the application ran, that no secret is on
// the page or in the log, and that the code went to the token endpoint no more
// often than it may.
func (s *site) failsClosed(t testing.TB, p *authtest.Page, want closed) {
	t.Helper()
	ran := s.ran.Load()
	if want.status == 0 {
		want.status = (&ginauth.Error{Code: want.code}).Status()
	}
	if p.Status != want.status || !strings.Contains(p.Text(), string(want.code)) && len(p.Body) > 0 {
		t.Errorf("%s answered %d %.600s; want %d %s\n%s", p.URL.Path, p.Status, p.Text(), want.status, want.code, s.logs)
	}
	wantHeaders(t, p)
	referrer := "no-referrer"
	if v, there := want.quiet["Referrer-Policy"]; there {
		referrer = v
	}
	if got := p.Header.Get("Referrer-Policy"); got != referrer {
		t.Errorf("Referrer-Policy is %q, want %q", got, referrer)
	}
	if got := s.idp.Count(authtest.Token); got != want.tokens {
		t.Errorf("the token endpoint was asked %d times, want %d", got, want.tokens)
	}
	s.keepsSecrets(t, p, want.hide...)
	subject := ""
	if u := s.user(); u != nil {
		subject = u.Subject
	}
	if subject != want.was {
		t.Errorf("%q is signed in, want %q", subject, want.was)
	}
	if want.was == "" && s.ran.Load() != ran {
		t.Error("a protected handler ran")
	}
}

// keepsSecrets asserts that no secret of the sign-ins so far stands on the
// page, in its headers, or in the log: raw, percent-encoded, in base64, or in
// part.
func (s *site) keepsSecrets(t testing.TB, p *authtest.Page, more ...string) {
	t.Helper()
	secrets := append([]string{s.idp.ClientSecret, testKey}, more...)
	for _, e := range []authtest.Endpoint{authtest.Authorize, authtest.Token, authtest.Userinfo} {
		for _, r := range s.idp.Requests(e) {
			for _, name := range []string{"state", "nonce", "code", "code_verifier", "client_secret"} {
				secrets = append(secrets, r.Form[name]...)
			}
			secrets = append(secrets, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		}
	}
	header := ""
	for name, values := range p.Header {
		if name != "Set-Cookie" {
			header += name + ": " + strings.Join(values, " ") + "\n"
		}
	}
	for _, secret := range secrets {
		if len(secret) < 12 {
			continue
		}
		for _, form := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), secret[:min(len(secret), 16)]} {
			for where, text := range map[string]string{"the page": p.Text(), "its headers": header, "the log": s.logs.String()} {
				if strings.Contains(text, form) {
					t.Errorf("%s has the secret %.16q…", where, secret)
				}
			}
		}
	}
}

// hasCookie says whether the browser holds a cookie of ours whose name has
// part in it: "-a-" for attempts.
func (s *site) hasCookie(part string) bool {
	return slices.ContainsFunc(s.browser.Cookies(s.URL), func(c *http.Cookie) bool {
		return strings.Contains(c.Name, "ginauth-") && strings.Contains(c.Name, part)
	})
}

// waiting are the rows whose feature does not exist yet.
var waiting = map[string]string{
	"C23": "private_key_jwt",
	"K5":  "providers that are looked up at run time, which may be anybody's",
	"N2":  "several public hosts for one application",
	"N3":  "several public hosts for one application",
	"O13": "bearer tokens",
}

// waitingAreas are those of which no row has its feature yet.
var waitingAreas = map[string]string{"I": "refresh", "J": "bearer tokens"}

// elsewhere are rows about stores, which the suite of internal/storetest holds
// every home of a session against: TestSessionsIn… here, and in module stores.
var elsewhere = map[string]string{
	"F2":  "fixation, on gorm's store too",
	"F14": "a positive Max-Age, always",
	"F18": "a record copied under another id",
	"F19": "a dump that tells nothing",
	"F23": "an application's own sessions.Sessions and SessionsMany",
}

// dropped are rows that do not hold, with the reason.
var dropped = map[string]string{
	"L13": "rate limits belong in front of the application, which knows its clients",
}
