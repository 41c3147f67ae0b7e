package ginauth_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
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

// Every reason that the source can give stands in the section of its code: each
// text between two of its verbs, to the letter.
func TestErrorsPageHasEveryReason(t *testing.T) {
	page := errorsPage(t)
	whole := ""
	for _, text := range page {
		whole += text + "\n"
	}
	for _, r := range reasons(t) {
		text, where := page[r.code], "section "+r.code
		if r.code == "" {
			text, where = whole, "any section"
		}
		for _, part := range r.parts {
			if !strings.Contains(text, part) {
				t.Errorf("%s: docs/errors.md, %s, does not have %q: say there what causes it, and what to do", r.at, where, part)
			}
		}
	}
}

// reason is what the source says of a failure: Error.Reason, cut at the verbs
// of its format, or a status of its own.
type reason struct {
	at, code string // the code is "" where it is the caller's
	parts    []string
}

// makers are the functions that make an Error of a reason: which argument it
// is, and the code. One that is "" goes by the file.
var makers = map[string]struct {
	argument int
	code     string
}{
	"stateInvalid": {0, "state_invalid"}, "misconfigured": {1, "provider_misconfigured"}, "badUserinfo": {0, "userinfo_invalid"},
	"tooLarge": {0, "session_error"}, "refused": {0, "forbidden"}, "bad": {0, "bad_token_response"}, "refuse": {0, ""},
	"New": {0, ""}, "Errorf": {0, ""},
}

var (
	// byFile are the codes of what the checks in a file return as plain errors.
	byFile = map[string]string{"verify.go": "id_token_invalid", "jose.go": "id_token_invalid", "logout.go": "logout_token_invalid",
		"redeem.go": "bad_token_response", "user.go": "identity_rejected"}
	// byFunction are those of what a function returns as text, or puts into an
	// Error that is there.
	byFunction = map[string]string{"unreachable": "provider_unavailable", "wrongIssuer": "provider_misconfigured", "looping": "login_loop",
		"weakKey": "invalid_options", "pasted": "invalid_options", "unfitURL": "invalid_options"}
	// ownStatus are the statuses of single Errors.
	ownStatus = map[string]string{"StatusRequestEntityTooLarge": "413", "StatusUnsupportedMediaType": "415"}
)

// reasons reads them from the source.
func reasons(t *testing.T) (list []reason) {
	t.Helper()
	for _, f := range goFiles(t, root) {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			source := source{path: f.path, function: fn.Name.Name, found: func(code string, n ast.Node, parts ...string) {
				list = append(list, reason{f.at(n), code, parts})
			}}
			ast.Inspect(fn, source.read)
		}
	}
	if len(list) < 200 {
		t.Fatalf("%d reasons found: the test looks at the wrong thing", len(list))
	}
	return list
}

// source is a function of the package.
type source struct {
	path, function string
	found          func(code string, n ast.Node, parts ...string)
}

func (s *source) read(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CompositeLit:
		s.literal(n)
	case *ast.AssignStmt:
		s.assignment(n)
	case *ast.CallExpr:
		s.call(n)
	case *ast.ReturnStmt:
		if code := byFunction[s.function]; code != "" && len(n.Results) > 0 {
			s.texts(code, n.Results[0])
		}
	}
	return true
}

// literal: Error{Code: …, Reason: …, status: …}.
func (s *source) literal(n *ast.CompositeLit) {
	if kind, ok := n.Type.(*ast.Ident); !ok || kind.Name != "Error" {
		return
	}
	field := map[string]ast.Expr{}
	for _, e := range n.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			field[pair.Key.(*ast.Ident).Name] = pair.Value
		}
	}
	code := codeOf(field["Code"])
	if field["Reason"] != nil {
		s.texts(code, field["Reason"])
	}
	if status, ok := field["status"].(*ast.SelectorExpr); ok {
		number := ownStatus[status.Sel.Name]
		if number == "" {
			number = status.Sel.Name + " is not in ownStatus"
		}
		s.found(code, status, number)
	}
}

// assignment: e.Reason = …, and e.Code, e.Reason = …
func (s *source) assignment(n *ast.AssignStmt) {
	code := byFunction[s.function]
	for i, left := range n.Lhs {
		field, isField := left.(*ast.SelectorExpr)
		local, isLocal := left.(*ast.Ident)
		switch {
		case i >= len(n.Rhs):
		case isField && field.Sel.Name == "Code":
			code = codeOf(n.Rhs[i])
		case isField && field.Sel.Name == "Reason", isLocal && local.Name == "why" && code != "":
			s.texts(code, n.Rhs[i])
		}
	}
}

// call: one of makers, or what collects the mistakes in Options.
func (s *source) call(n *ast.CallExpr) {
	name := ""
	switch fn := n.Fun.(type) {
	case *ast.Ident:
		name = fn.Name
	case *ast.SelectorExpr:
		name = fn.Sel.Name
	}
	if name == "add" && (strings.HasSuffix(s.path, "_validate.go") || s.path == "store_check.go" || s.path == "provider_brand.go" || s.path == "pages.go") {
		s.texts("invalid_options", n.Args[len(n.Args)/3]) // (where, reason, fix), (reason, fix) or (reason)
	}
	m, ok := makers[name]
	if m.code == "" {
		m.code = byFile[s.path]
	}
	if ok && m.code != "" && len(n.Args) > m.argument {
		s.texts(m.code, n.Args[m.argument])
	}
}

var verb = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]`)

// texts are those in an expression, from verb to verb. Single words are not
// looked for: they would be found anywhere.
func (s *source) texts(code string, expr ast.Expr) {
	ast.Inspect(expr, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			return true
		}
		var parts []string
		for _, part := range verb.Split(text, -1) {
			if part = strings.Trim(part, ` :;,.()"`); strings.Contains(part, " ") {
				parts = append(parts, part)
			}
		}
		s.found(code, lit, parts...)
		return true
	})
}

// codeOf is the code that a constant of type Code stands for, or "".
func codeOf(expr ast.Expr) string {
	constant, ok := expr.(*ast.Ident)
	for code, c := range codes {
		if ok && c.name == constant.Name {
			return string(code)
		}
	}
	return ""
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
