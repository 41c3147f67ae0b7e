package mistakes

import (
	"encoding/json"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// commonMistake is a frequent mistake with login packages, or a proof that it is impossible with
// this one.
type commonMistake struct {
	name string
	run  func(t *testing.T)
}

// TestCommonMistakes: for each, the log and, with a loopback BaseURL, the page have the reason
// and the fix.
func TestCommonMistakes(t *testing.T) {
	for _, list := range [][]commonMistake{mistakesWithSessions(), mistakesInAddresses(), mistakesAtProviders(), mistakesInAnswers()} {
		for _, n := range list {
			t.Run(n.name, func(t *testing.T) {
				t.Parallel()
				n.run(t)
			})
		}
	}
}

// told is a mistake that fails a request.
type told struct {
	change func(s *sitetest.Site, o *ginauth.Options) // changes the options before Mount
	make   func(f *sitetest.Flow) (address string)    // called after Mount; opening the address fails
	code   ginauth.Code
	level  string   // of the line in the log
	id     string   // of the error, in the log
	names  []string // settings and values that reason or fix must name, with {issuer} and {url} for those of the provider and the application
}

// comesBack begins a sign-in that fails at the callback.
func comesBack(f *sitetest.Flow) string { return f.Begin("/login/demo?return_to=/page/x").String() }

// starts returns the address of a sign-in that fails at its start.
func starts(f *sitetest.Flow) string { return f.URL + "/login/demo" }

func (m told) run(t *testing.T) {
	for _, mode := range []struct {
		name, accept string
		start        func(testing.TB, func(*sitetest.Site, *ginauth.Options)) *sitetest.Flow
		developer    bool // whether the page shows the reason
	}{
		{"a page on loopback", "text/html", sitetest.NewFlow, true},
		{"JSON on loopback", "application/json", sitetest.NewFlow, true},
		{"a page elsewhere", "text/html", sitetest.NewPublicFlow, false},
		{"JSON elsewhere", "application/json", sitetest.NewPublicFlow, false},
	} {
		t.Run(mode.name, func(t *testing.T) {
			f := mode.start(t, func(s *sitetest.Site, o *ginauth.Options) {
				if m.change != nil {
					m.change(s, o)
				}
			})
			address := m.make(f)
			before := len(f.Logs.String())
			r, err := http.NewRequest("GET", address, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", mode.accept)
			p := f.Must(f.Browser.Do(r))
			log := strings.ReplaceAll(f.Logs.String()[before:], `\"`, `"`)
			for _, want := range []string{"level=" + m.level, "code=" + string(m.code)} {
				if !strings.Contains(log, want) {
					t.Errorf("the log lacks %q:\n%s", want, log)
				}
			}
			sitetest.WantID(t, log, m.id)
			wantTold(t, f, p.Status, p.Text(), m.code, log)
			// The log has reason and fix; on loopback the response has them, too.
			told := loggedReason.FindStringSubmatch(log)
			if told == nil {
				t.Fatalf("the log has no reason and fix:\n%s", log)
			}
			values := strings.NewReplacer("{issuer}", f.IDP.Issuer, "{url}", f.URL)
			for _, name := range m.names {
				sitetest.WantNames(t, told[1]+"; "+told[2], values.Replace(name))
			}
			for _, text := range told[1:] {
				if shown := strings.Contains(written(p.Text()), text); shown != mode.developer {
					t.Errorf("the response says %q: %v, want %v: %s", text, shown, mode.developer, p.Text())
				}
			}
			f.KeepsSecrets(t, p)
			if f.User() != nil {
				t.Error("a user is signed in")
			}
		})
	}
}

var (
	loggedID     = regexp.MustCompile(` request_id=(\S+)`)
	loggedReason = regexp.MustCompile(` reason="(.+)" fix="(.+?)"(?: \w+=|\n)`)
	loggedCause  = regexp.MustCompile(` error=(?:"(.*)"|(\S+))\n`)
)

// wantTold checks the public response: the status, a sentence, the code, and the request id,
// without the cause.
func wantTold(t *testing.T, f *sitetest.Flow, status int, body string, code ginauth.Code, log string) {
	t.Helper()
	if want := (&ginauth.Error{Code: code}).Status(); status != want {
		t.Errorf("the status is %d, want %d", status, want)
	}
	id := loggedID.FindStringSubmatch(log)
	if id == nil {
		t.Fatalf("the log has no request id:\n%s", log)
	}
	for _, want := range []string{string(code), id[1], sitetest.Sentence(t, code)} {
		if !strings.Contains(written(body), want) {
			t.Errorf("the response lacks %q: %s", want, body)
		}
	}
	for _, cause := range loggedCause.FindAllStringSubmatch(log, -1) {
		if text := cause[1] + cause[2]; strings.Contains(written(body), text) {
			t.Errorf("the response has the cause %q: %s", text, body)
		}
	}
}

// written returns the text of a page, or of JSON.
func written(body string) string {
	var fields map[string]string
	if json.Unmarshal([]byte(body), &fields) != nil {
		return html.UnescapeString(body)
	}
	text := ""
	for name, value := range fields {
		text += name + ": " + value + "\n"
	}
	return text
}

// atMount is a mistake that Mount reports, in a public application, with the ID of the error and
// the settings and values that it must name.
func atMount(change func(o *ginauth.Options), id string, names ...string) func(t *testing.T) {
	return func(t *testing.T) {
		err := sitetest.MountError(sitetest.GoodOptionsWith(change))
		sitetest.WantInvalid(t, err, id)
		sitetest.WantNames(t, err.Error(), names...)
	}
}

// warns asserts that the log has one warning with that id, and that it has the texts.
func warns(s *sitetest.Site, t *testing.T, id string, texts ...string) {
	t.Helper()
	lines := s.Logs.Lines("WARN", id)
	for _, line := range lines {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				t.Errorf("the warning lacks %q: %s", text, line)
			}
		}
	}
	if len(lines) != 1 {
		t.Errorf("the log warns %d times of %s:\n%s", len(lines), id, s.Logs)
	}
}
