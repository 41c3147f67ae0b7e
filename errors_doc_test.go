package ginauth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
)

// errorsPage is docs/errors.md by its headings of the second level, with every
// run of white space as one space.
func errorsPage(t *testing.T) map[string]string {
	t.Helper()
	page := map[string]string{}
	for section := range strings.SplitSeq(file(t, "docs/errors.md"), "\n## ") {
		heading, text, _ := strings.Cut(section, "\n")
		if _, twice := page[heading]; twice {
			t.Errorf("docs/errors.md has the heading %q twice", heading)
		}
		page[heading] = strings.Join(strings.Fields(text), " ")
	}
	return page
}

// Each code has a section, which says its status and the sentence that people
// read, to the letter, and a link from the table at the beginning.
func TestErrorsPageHasEveryCode(t *testing.T) {
	page := errorsPage(t)
	var sentences map[string]string
	if err := json.Unmarshal([]byte(file(t, "internal/page/texts/en.json")), &sentences); err != nil {
		t.Fatal(err)
	}
	for code, want := range codes {
		name := string(code)
		for _, text := range []string{fmt.Sprintf("**%d**", want.status), "*" + sentences[name] + "*"} {
			if !strings.Contains(page[name], text) {
				t.Errorf("docs/errors.md, section %s, does not have %s", name, text)
			}
		}
		if link := fmt.Sprintf("[%s](#%[1]s)", name); !strings.Contains(page["# Errors"], link) {
			t.Errorf("the table of docs/errors.md does not have %s", link)
		}
	}
	for heading := range page {
		if _, is := codes[ginauth.Code(heading)]; !is && heading != "# Errors" {
			t.Errorf("docs/errors.md has a section %q, which is no code", heading)
		}
	}
}

// On loopback, log and JSON lead to the section of a code; an application's own
// code has none. Pages, which people see, lead nowhere: they name it.
func TestLoopbackAnswersLeadToTheErrorsPage(t *testing.T) {
	t.Parallel()
	const page = "https://github.com/ginauth/ginauth/blob/main/docs/errors.md#"
	for _, public := range []bool{false, true} {
		f := newFlow(t, nil)
		if public {
			f = newPublicFlow(t, nil)
		}
		f.signIn()
		for path, code := range map[string]ginauth.Code{"/ours": ginauth.ErrForbidden, "/theirs": "closed_today"} {
			f.engine.GET(path, f.auth.RequireAuth(func(*ginauth.User) error { return &ginauth.Error{Code: code, Reason: "a reason"} }), teapot)
			link := ""
			if code == ginauth.ErrForbidden && !public {
				link = page + "forbidden"
			}
			f.logs.Reset()
			p := f.must(f.browser.Fetch(f.open("/"), "GET", f.URL+path, nil, ""))
			var body struct{ Docs string }
			if err := json.Unmarshal(p.Body, &body); err != nil || body.Docs != link {
				t.Errorf("public %v, %s: %v: docs is %q, want %q", public, code, err, body.Docs, link)
			}
			if log := f.logs.String(); strings.Contains(log, page) != (link != "") || !strings.Contains(log, link) {
				t.Errorf("public %v, the log of %s: %s", public, code, log)
			}
			if text := f.open(path).Text(); strings.Contains(text, page) || strings.Contains(text, "docs/errors.md#forbidden<") != (link != "") {
				t.Errorf("public %v, the page of %s: %s", public, code, text)
			}
		}
	}
}
