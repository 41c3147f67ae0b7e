package docs

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
	"github.com/ginauth/ginauth/providers"
)

// errorsPages are the pages about errors, in reading order.
var errorsPages = []string{"docs/errors.md", "docs/errors-requests.md", "docs/errors-setup.md"}

// errorSection is a section of one of the pages about errors.
type errorSection struct{ page, text string }

// anchorsOf returns the anchors in a text.
func anchorsOf(text string) (ids []string) {
	for _, m := range regexp.MustCompile(`<a id="([^"]*)"></a>`).FindAllStringSubmatch(text, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// errorSections returns the sections of the pages about errors, by their second-level headings,
// with every run of white space as one space; the beginnings of the pages are under the pages'
// names. Sections of docs/errors.md that only link to another page are omitted.
func errorSections(t *testing.T) map[string]errorSection {
	t.Helper()
	all := map[string]errorSection{}
	for _, page := range slices.Backward(errorsPages) { // docs/errors.md last: its sections may link to the others
		start, rest, _ := strings.Cut(sitetest.File(t, page), "\n## ")
		all[page] = errorSection{page, start}
		for section := range strings.SplitSeq(rest, "\n## ") {
			heading, text, _ := strings.Cut(section, "\n")
			text = strings.Join(strings.Fields(text), " ")
			if other, there := all[heading]; !there {
				all[heading] = errorSection{page, text}
			} else if link := path.Base(other.page) + "#" + strings.ReplaceAll(strings.ToLower(heading), " ", "-"); page != errorsPages[0] || !strings.Contains(text, link) {
				t.Errorf("%s and %s have the heading %q, and the first does not link to %s", page, other.page, heading, link)
			} else if moved := anchorsOf(text); !slices.Equal(slices.Sorted(slices.Values(moved)), slices.Sorted(slices.Values(anchorsOf(other.text)))) {
				t.Errorf("%s, section %s, has the anchors %q, and %s has %q: old links lead to the first", page, heading, moved, other.page, anchorsOf(other.text))
			}
		}
	}
	return all
}

// Each code has a section with its status and the exact sentence for users, and a link in the
// table at the beginning.
func TestErrorsPageHasEveryCode(t *testing.T) {
	sections := errorSections(t)
	var sentences map[string]string
	if err := json.Unmarshal([]byte(sitetest.File(t, "internal/page/texts/en.json")), &sentences); err != nil {
		t.Fatal(err)
	}
	codes := sitetest.Constants(t, "errors.go", "Code")
	for _, name := range codes {
		for _, text := range []string{fmt.Sprintf("**%d**", (&ginauth.Error{Code: ginauth.Code(name)}).Status()), "*" + sentences[name] + "*"} {
			if !strings.Contains(sections[name].text, text) {
				t.Errorf("%s, section %s, does not have %s", sections[name].page, name, text)
			}
		}
		file := path.Base(sections[name].page)
		if sections[name].page == errorsPages[0] {
			file = ""
		}
		if link := fmt.Sprintf("[%s](%s#%[1]s)", name, file); !strings.Contains(sections[errorsPages[0]].text, link) {
			t.Errorf("the table of %s does not have %s", errorsPages[0], link)
		}
	}
	for heading, s := range sections {
		if !slices.Contains(slices.Collect(maps.Values(codes)), heading) && heading != s.page && heading != logLines {
			t.Errorf("%s has a section %q, which is not a code", s.page, heading)
		}
	}
}

// Each id that the source raises is an anchor of the page, once and in the section of its code,
// and the page has no other anchors. Ids of mistakes in Options contain the field's name: the
// page explains how.
func TestErrorsPageHasEveryID(t *testing.T) {
	raised := raisedIDs(t)
	anchored := map[string]string{} // code by id
	for code, section := range errorSections(t) {
		for _, m := range regexp.MustCompile("<a id=\"([^\"]*)\"></a>(?:`([^`]*)`)?").FindAllStringSubmatch(section.text, -1) {
			id := m[1]
			if _, twice := anchored[id]; twice {
				t.Errorf("%s has the anchor %s twice", section.page, id)
			}
			if anchored[id] = code; raised[id] == nil {
				t.Errorf("%s has the anchor %s, which no code raises", section.page, id)
			}
			if m[2] != id {
				t.Errorf("%s: the anchor %s is followed by %q", section.page, id, m[2])
			}
		}
	}
	for id, r := range raised {
		code, there := anchored[id]
		if !there {
			t.Errorf("%s: %q lack <a id=%q></a>: say there what causes it, and what to do", r.at, errorsPages, id)
		} else if len(r.codes) > 0 && !slices.Contains(r.codes, code) {
			t.Errorf("%s: %s is raised with %q, and is in section %s of %q", r.at, id, r.codes, code, errorsPages)
		}
	}
}

// logLines is the section of docs/errors-setup.md about log lines that report no failure.
const logLines = "Log lines"

// Every log line is an event or has an id. If it reports no failure, the section of log lines
// has the id's anchor, or a link to it, and a test identifies the line by its id. The section
// has no other ids.
func TestEveryLogLineHasAnID(t *testing.T) {
	section := errorSections(t)[logLines].text
	var tests strings.Builder
	for _, dir := range []string{".", "internal/rp", "test/faults", "test/mistakes", "test/rp"} {
		names, err := filepath.Glob(dir + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			tests.WriteString(sitetest.File(t, name))
		}
	}
	levels := []string{"Debug", "Info", "Warn", "Error", "DebugContext", "InfoContext", "WarnContext", "ErrorContext", "Log", "LogAttrs"}
	idOf := map[string]int{"log": 2, "warn": 0, "Warn": 0} // the position of the id in the arguments of functions that write a line
	found := map[string]bool{}
	for _, dir := range []string{".", "internal/rp", "providers", "redisstate"} {
		for _, f := range sitetest.GoFiles(t, dir) {
			within := ""
			ast.Inspect(f.File, func(n ast.Node) bool {
				if fn, is := n.(*ast.FuncDecl); is {
					within = fn.Name.Name
				}
				call, is := n.(*ast.CallExpr)
				if !is {
					return true
				}
				method, is := call.Fun.(*ast.SelectorExpr)
				if !is {
					return true
				}
				if lastName(method.X) == "Logger" && slices.Contains(levels, method.Sel.Name) && !(f.Path == "event.go" && (within == "emit" || within == "log")) {
					t.Errorf("%s: a line that is neither an event nor has an id: use config.log", f.At(call))
				}
				at, writes := idOf[method.Sel.Name]
				if !writes || lastName(method.X) == "x" { // Diagnose's own warnings are not logged
					return true
				}
				if lastName(call.Args[at]) == "ID" && f.Path == "internal/rp/response.go" || within == "warn" { // of the error, or passed on
					return true
				}
				id, is := textOf(call.Args[at])
				if !is {
					t.Errorf("%s: the id of a log line is not written there", f.At(call))
					return true
				}
				found[id] = true
				return true
			})
		}
	}
	found["diagnose.callback_shared"] = true // that of the error, in internal/rp/response.go
	for id := range found {
		if !strings.Contains(section, fmt.Sprintf("<a id=%q></a>`%[1]s`", id)) && !regexp.MustCompile(`\[`+regexp.QuoteMeta(id)+`\]\([a-z.-]*#`+regexp.QuoteMeta(id)+`\)`).MatchString(section) {
			t.Errorf("docs/errors-setup.md, section %s, lacks <a id=%q></a>: say there what causes it, and what to do", logLines, id)
		}
		if !strings.Contains(tests.String(), strconv.Quote(id)) {
			t.Errorf("no test identifies the log line %s by its id", id)
		}
	}
	for _, m := range regexp.MustCompile(`<a id="([^"]*)">`).FindAllStringSubmatch(section, -1) {
		if !found[m[1]] {
			t.Errorf("docs/errors-setup.md, section %s, has %s, which no code logs", logLines, m[1])
		}
	}
	if len(found) < 20 {
		t.Fatalf("%d log lines found: the test checks the wrong thing", len(found))
	}
}

// The section of invalid_options has the last word of each mistake's id.
func TestErrorsPageNamesEveryMistake(t *testing.T) {
	section := errorSections(t)["invalid_options"].text
	word := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	found := 0
	for _, f := range sitetest.GoFiles(t, ".") {
		ast.Inspect(f.File, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || lastName(call.Fun) != "add" {
				return true
			}
			for _, arg := range call.Args {
				if what, ok := textOf(arg); ok && word.MatchString(what) {
					if found++; !strings.Contains(section, "`"+what+"`") {
						t.Errorf("%s: docs/errors-setup.md, section invalid_options, does not have `%s`", f.At(call), what)
					}
				}
			}
			return true
		})
	}
	if found < 60 {
		t.Fatalf("%d mistakes found: the test checks the wrong thing", found)
	}
	found = 0
	for _, f := range sitetest.GoFiles(t, "providers") {
		ast.Inspect(f.File, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !slices.Contains([]string{"wrongArgument", "unless"}, lastName(call.Fun)) {
				return true
			}
			if what, ok := textOf(call.Args[1]); ok {
				if found++; !strings.Contains(section, "`"+what+"`") {
					t.Errorf("%s: docs/errors-setup.md, section invalid_options, does not have `%s`", f.At(call), what)
				}
			}
			return true
		})
	}
	if found < 10 {
		t.Fatalf("%d mistakes in arguments of presets found: the test checks the wrong thing", found)
	}
}

// fixOf has the position of the fix in the arguments of functions that create errors.
var fixOf = map[string]int{"fault": 2, "misconfigured": 3, "stateInvalid": 2, "refused": 1}

// Each error with a reason has a fix, even if no action is needed.
func TestEveryReasonHasAFix(t *testing.T) {
	found := 0
	for _, dir := range []string{".", "internal/rp", "providers"} {
		for _, f := range sitetest.GoFiles(t, dir) {
			ast.Inspect(f.File, func(n ast.Node) bool {
				var fix ast.Expr
				switch n := n.(type) {
				case *ast.CompositeLit:
					fields := map[string]ast.Expr{}
					for _, e := range n.Elts {
						if field, ok := e.(*ast.KeyValueExpr); ok {
							fields[lastName(field.Key)] = field.Value
						}
					}
					if n.Type == nil || lastName(n.Type) != "Error" || fields["Reason"] == nil {
						return true
					}
					fix = fields["Fix"]
				case *ast.CallExpr:
					at, makes := fixOf[lastName(n.Fun)]
					if !makes || len(n.Args) <= at {
						return true
					}
					fix = n.Args[at]
				default:
					return true
				}
				found++
				if text, is := textOf(fix); fix == nil || is && text == "" {
					t.Errorf("%s: an error with a reason has no fix", f.At(n))
				}
				return true
			})
		}
	}
	if found < 150 {
		t.Fatalf("%d errors found: the test checks the wrong thing", found)
	}
}

// errorSources are the packages that raise errors with an ID, and the minimum number of ids of
// each: fewer mean that the search is wrong.
var errorSources = map[string]int{".": 80, "internal/rp": 90, "providers": 10}

// raisedID is an id in the source, with the codes with which it is raised, as far as known.
type raisedID struct {
	at    string
	codes []string
}

// raisedIDs reads the ids from the source: each string in the form of an id, except imports and
// the names of texts.
func raisedIDs(t *testing.T) map[string]*raisedID {
	t.Helper()
	var texts map[string]string
	if err := json.Unmarshal([]byte(sitetest.File(t, "internal/page/texts/en.json")), &texts); err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)+$`)
	raised, found := map[string]*raisedID{}, map[string]int{}
	constants := sitetest.Constants(t, "errors.go", "Code")
	var files []*sitetest.GoFile
	for dir := range errorSources {
		files = append(files, sitetest.GoFiles(t, dir)...)
	}
	for _, f := range files {
		codes := codesOfIDs(f.File, constants)
		ast.Inspect(f.File, func(n ast.Node) bool {
			if _, is := n.(*ast.ImportSpec); is {
				return false
			}
			id, ok := textOf(n)
			if !ok || !form.MatchString(id) || texts[id] != "" || path.Dir(f.Path) == "providers" && !strings.HasPrefix(id, "providers.") { // the others are hosts
				return true
			}
			if raised[id] == nil {
				raised[id] = &raisedID{at: f.At(n)}
				found[path.Dir(f.Path)]++
			}
			if code := codes[n.Pos()]; code != "" {
				raised[id].codes = append(raised[id].codes, code)
			}
			return true
		})
	}
	known := 0
	for id, r := range raised {
		if area, _, _ := strings.Cut(id, "."); len(r.codes) == 0 && codeOfArea[area] != "" {
			r.codes = []string{codeOfArea[area]}
		}
		if len(r.codes) > 0 {
			known++
		}
	}
	for dir, least := range errorSources {
		if found[dir] < least {
			t.Fatalf("%s has %d ids, want %d or more: the test checks the wrong thing", dir, found[dir], least)
		}
	}
	if known < 150 {
		t.Fatalf("the codes of %d ids are known: the test checks the wrong thing", known)
	}
	return raised
}

// codeOfArea has the codes of ids that are raised without one, by their first words:
// the callers add the code.
var codeOfArea = map[string]string{
	"check": "forbidden", "http": "provider_unavailable", "id_token": "id_token_invalid", "jwt": "id_token_invalid",
	"login": "login_loop", "logout_token": "logout_token_invalid", "token": "bad_token_response",
}

// codeOfHelper has the codes of the functions that take an id, or the section of the page
// for those of log lines.
var codeOfHelper = map[string]string{"stateInvalid": "state_invalid", "tooLarge": "session_error", "refused": "forbidden",
	"misconfigured": "provider_misconfigured", "warn": "provider_misconfigured", "log": logLines, "Warn": logLines, "wrong": "invalid_options", "missing": "invalid_options"}

// codesOfIDs finds the codes beside ids, by the positions of the ids: in Error{Code: …, ID: …},
// in e.Code, e.ID = …, and in calls of helpers.
func codesOfIDs(f *ast.File, constants map[string]string) map[token.Pos]string {
	codes := map[token.Pos]string{}
	pair := func(names, values []ast.Expr) {
		var code string
		var at token.Pos
		for i, name := range names {
			switch lastName(name) {
			case "Code":
				code = codeNamed(constants, lastName(values[i]))
			case "ID":
				at = values[i].Pos()
			}
		}
		codes[at] = code
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if lastName(n.Type) != "Error" {
				return true
			}
			var names, values []ast.Expr
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					names, values = append(names, kv.Key), append(values, kv.Value)
				}
			}
			pair(names, values)
		case *ast.AssignStmt:
			if len(n.Lhs) == len(n.Rhs) {
				pair(n.Lhs, n.Rhs)
			}
		case *ast.CallExpr:
			for _, arg := range n.Args {
				codes[arg.Pos()] = codeOfHelper[lastName(n.Fun)]
			}
		}
		return true
	})
	return codes
}

// codeNamed returns the code of a constant, of this package (ErrStateInvalid) or of
// internal/rp (StateInvalid).
func codeNamed(constants map[string]string, constant string) string {
	for name, code := range constants {
		if strings.TrimPrefix(name, "Err") == strings.TrimPrefix(constant, "Err") {
			return code
		}
	}
	return ""
}

// lastName returns the last name of an identifier or a selector.
func lastName(n ast.Expr) string {
	switch n := n.(type) {
	case *ast.Ident:
		return n.Name
	case *ast.SelectorExpr:
		return n.Sel.Name
	}
	return ""
}

func textOf(n ast.Node) (string, bool) {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// On loopback, log, JSON and page link to the error: to its id, or to the code if the id is the
// application's; an application's own code has no link. In production there are no links.
func TestLoopbackAnswersLeadToTheErrorsPage(t *testing.T) {
	t.Parallel()
	const page = "https://github.com/ginauth/ginauth/blob/main/docs/errors-requests.md#"
	refuse := func(code ginauth.Code, id string) ginauth.Check {
		return func(*ginauth.User) error { return &ginauth.Error{Code: code, ID: id, Reason: "a reason"} }
	}
	for _, public := range []bool{false, true} {
		f := sitetest.NewFlow(t, nil)
		if public {
			f = sitetest.NewPublicFlow(t, nil)
		}
		f.SignIn()
		for path, c := range map[string]struct {
			check      ginauth.Check
			id, anchor string
		}{
			"/group":     {ginauth.HasGroup("nobody"), "check.group", "check.group"},
			"/ours":      {refuse(ginauth.ErrForbidden, ""), "check.refused", "check.refused"},
			"/theirid":   {refuse(ginauth.ErrForbidden, "shop.closed"), "shop.closed", "forbidden"},
			"/theirs":    {refuse("closed_today", ""), "check.refused", ""},
			"/alltheirs": {refuse("closed_today", "shop.closed"), "shop.closed", ""},
		} {
			f.Engine.GET(path, f.Auth.RequireAuth(c.check), sitetest.Teapot)
			link, section, id := "", "docs/errors-requests.md#", ""
			if !public {
				id = c.id
			}
			if c.anchor != "" && !public {
				link, section = page+c.anchor, section+c.anchor+"<"
			}
			f.Logs.Reset()
			p := f.Must(f.Browser.Fetch(f.Open("/"), "GET", f.URL+path, nil, ""))
			var body struct{ ID, Docs string }
			if err := json.Unmarshal(p.Body, &body); err != nil || body.Docs != link || body.ID != id {
				t.Errorf("public %v, %s: %v: id and docs are %+v, want %q and %q", public, path, err, body, id, link)
			}
			log := f.Logs.String()
			if want := "docs=" + link; strings.Contains(log, "docs=") != (link != "") || link != "" && !slices.Contains(strings.Fields(log), want) {
				t.Errorf("public %v, the log of %s: %s", public, path, log)
			}
			if !strings.Contains(log, "id="+c.id+" ") {
				t.Errorf("public %v, the log of %s does not have its id: %s", public, path, log)
			}
			if text := f.Open(path).Text(); strings.Contains(text, section) != (link != "") {
				t.Errorf("public %v, the page of %s: %s", public, path, text)
			}
		}
	}
}

// Every id of the package links to its anchor, and so does every code.
func TestEveryIDHasALink(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	var code ginauth.Code
	var id string
	f.Engine.GET("/refused", f.Auth.RequireAuth(func(*ginauth.User) error {
		return &ginauth.Error{Code: code, ID: id, Reason: "a reason"}
	}), sitetest.Teapot)
	f.SignIn()
	start := f.Open("/")
	check := func(want string) {
		t.Helper()
		p := f.Must(f.Browser.Fetch(start, "GET", f.URL+"/refused", nil, ""))
		var body struct{ Docs string }
		if err := json.Unmarshal(p.Body, &body); err != nil || !strings.HasSuffix(body.Docs, "/"+want) {
			t.Errorf("%v: the link of %s %s is %q, want %s: see errorPages", err, code, id, body.Docs, want)
		}
	}
	tried := 0
	for heading, section := range errorSections(t) {
		if code, id = ginauth.Code(heading), "shop.closed"; heading != section.page && heading != logLines && code != ginauth.ErrStepUpRequired && code != ginauth.ErrUnauthenticated { // which have answers of their own
			check(section.page + "#" + heading)
		}
		if heading == logLines { // most of them belong to no error
			continue
		}
		code = ginauth.ErrForbidden
		for _, id = range anchorsOf(section.text) {
			check(section.page + "#" + id)
			tried++
		}
	}
	if tried < 200 {
		t.Fatalf("%d ids tried: the test checks the wrong thing", tried)
	}
}

// The ids of mistakes in settings have no anchors: an error of SetProviders links to their
// common section, and an error of ByName to its id.
func TestMistakesInSettingsLeadToTheErrorsPage(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	f.Engine.GET("/replaced", func(c *gin.Context) {
		f.Auth.Fail(c, f.Auth.SetProviders([]ginauth.Provider{{Name: "corp"}}))
	})
	f.Engine.GET("/by-name", func(c *gin.Context) {
		_, err := providers.ByName("nonsense", "", "")
		f.Auth.Fail(c, err)
	})
	start := f.Open("/")
	for path, want := range map[string]string{"/replaced": "invalid_options", "/by-name": "providers.by_name.preset_unknown"} {
		p := f.Must(f.Browser.Fetch(start, "GET", f.URL+path, nil, ""))
		var body struct{ Docs string }
		if err := json.Unmarshal(p.Body, &body); err != nil || !strings.HasSuffix(body.Docs, "/docs/errors-setup.md#"+want) {
			t.Errorf("%v: %s leads to %q, want %q", err, path, body.Docs, want)
		}
	}
}
