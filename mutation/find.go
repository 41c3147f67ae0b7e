package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// mutant is one change to one check.
type mutant struct {
	id       int
	pkg      *pkg
	file     string // "login_state.go"
	function string // "loginStates.take", or "var table"
	check    string // the code that is changed, with its context
	change   string // in words
	edit     edit

	tests   []*unit // that can distinguish it from the original
	caught  string  // the test that caught it
	outcome outcome
}

// key identifies a mutant by its code, not by its position, so that the key survives other changes
// and a move to another file.
func (m *mutant) key() string {
	return strings.Join([]string{m.pkg.ImportPath, m.function, m.check, m.change}, "\n")
}

// edit inserts text before and after a piece of a file.
type edit struct {
	source        *source
	from, to      int
	before, after string
}

// finder collects the mutants of a file.
type finder struct {
	pkg      *pkg
	source   *source
	function string
	found    []*mutant
	stack    []ast.Node // from the file to the current node
}

// find returns every mutant of the packages that is not ignored, numbered from 1.
func find(pkgs []*pkg, ignore []*ignored) (all []*mutant) {
	for _, p := range pkgs {
		for _, s := range p.files {
			f := &finder{pkg: p, source: s}
			ast.Inspect(s.File, f.visit)
			all = append(all, f.found...)
		}
	}
	all = slices.DeleteFunc(all, func(m *mutant) bool { return m.ignored(ignore) })
	same := map[string]int{}
	for i, m := range all {
		m.id = i + 1
		key := m.key()
		if same[key]++; same[key] > 1 {
			m.change += fmt.Sprintf(" (#%d)", same[key])
		}
	}
	return all
}

// visit implements ast.Inspect's function.
func (f *finder) visit(n ast.Node) bool {
	if n == nil {
		f.stack = f.stack[:len(f.stack)-1]
		return true
	}
	f.stack = append(f.stack, n)
	switch n := n.(type) {
	case *ast.FuncDecl:
		f.function = nameOf(n)
	case *ast.ExprStmt:
		f.effect(n)
	case *ast.IfStmt:
		f.ifs(n)
	case *ast.SwitchStmt:
		f.switches(n)
	case *ast.ReturnStmt:
		f.returns(n)
	case *ast.AssignStmt:
		for _, e := range n.Rhs {
			f.value(e, f.text(n))
		}
	case *ast.ValueSpec:
		if len(f.stack) == 3 {
			f.function = "var " + n.Names[0].Name
		}
		for _, e := range n.Values {
			f.value(e, f.text(n))
		}
	case *ast.KeyValueExpr:
		f.value(n.Value, f.text(n))
	case *ast.CallExpr:
		f.call(n)
	case *ast.CompositeLit:
		f.list(n)
	}
	return true
}

func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	return types.ExprString(t) + "." + fn.Name.Name
}

func (f *finder) text(n ast.Node) string { return f.source.excerpt(n.Pos(), n.End()) }

// add records a mutant that calls the function name of the runtime with an expression.
func (f *finder) add(e ast.Expr, name, argument, check, change string) {
	m := &mutant{pkg: f.pkg, file: f.source.name, function: f.function, check: check, change: change}
	m.edit = edit{source: f.source, from: f.source.offset(e.Pos()), to: f.source.offset(e.End()),
		before: runtimeName + "." + name + "(%d, " + argument, after: ")"}
	f.found = append(f.found, m)
}

// effect: a call for its effect: it expires a cookie, drops a header, aborts. Locks, writes and logs
// are not checks.
func (f *finder) effect(n *ast.ExprStmt) {
	call, ok := n.X.(*ast.CallExpr)
	if !ok {
		return
	}
	name := types.ExprString(call.Fun)
	name = name[strings.LastIndex(name, ".")+1:]
	for _, no := range []string{"panic", "copy", "close", "Lock", "Unlock", "RLock", "RUnlock", "log", "LogAttrs", "Warn", "Info", "Error"} {
		if name == no {
			return
		}
	}
	if strings.HasPrefix(name, "Write") || strings.HasPrefix(name, "Fprint") {
		return
	}
	f.add(call, "Call", "", f.text(n), "left out")
	e := &f.found[len(f.found)-1].edit
	e.before, e.after = "if "+runtimeName+".Call(%d) { ", " }"
}

// ifs: the condition of an if, unless its body only chooses the wording of an error.
func (f *finder) ifs(n *ast.IfStmt) {
	if wording(n.Body.List) && n.Else == nil {
		return
	}
	f.condition(n.Cond, "if "+f.source.excerpt(n.If+2, n.Body.Lbrace))
}

// switches: each case of a switch over conditions, and each value of a case in a switch over values.
func (f *finder) switches(n *ast.SwitchStmt) {
	for _, clause := range n.Body.List {
		clause := clause.(*ast.CaseClause)
		if wording(clause.Body) {
			continue
		}
		check := f.source.excerpt(clause.Case, clause.Colon)
		for _, e := range clause.List {
			switch {
			case n.Tag == nil && len(clause.List) == 1:
				f.condition(e, check)
			case n.Tag == nil:
				f.bool(e, false, check, "without "+f.text(e))
			default:
				f.constant(e, "switch "+f.text(n.Tag)+" { "+check+" }", "without "+f.text(e))
			}
		}
	}
}

// wording reports whether statements only set the reason and the fix of an error.
func wording(list []ast.Stmt) bool {
	for _, statement := range list {
		assign, ok := statement.(*ast.AssignStmt)
		if !ok {
			return false
		}
		for _, left := range assign.Lhs {
			name := ""
			switch left := left.(type) {
			case *ast.SelectorExpr:
				name = left.Sel.Name
			case *ast.Ident:
				name = left.Name
			}
			if !strings.Contains(" Reason Fix Detail reason fix detail ", " "+name+" ") {
				return false
			}
		}
	}
	return len(list) > 0
}

// returns: a condition that is returned, and the error of a last check that is returned unchanged.
func (f *finder) returns(n *ast.ReturnStmt) {
	for _, e := range n.Results {
		f.value(e, f.text(n))
	}
	if len(n.Results) == 0 || !f.endsFunction() {
		return
	}
	last, ok := n.Results[len(n.Results)-1].(*ast.CallExpr)
	if ok && f.typeOf(last) == types.Universe.Lookup("error").Type() && !makesError(last) {
		f.add(last, "Err", "", f.text(n), "its error is dropped")
	}
}

// endsFunction reports whether the statement is at the top level of a function.
func (f *finder) endsFunction() bool {
	if len(f.stack) < 3 {
		return false
	}
	switch f.stack[len(f.stack)-3].(type) {
	case *ast.FuncDecl, *ast.FuncLit:
		return true
	}
	return false
}

func makesError(call *ast.CallExpr) bool {
	name := types.ExprString(call.Fun)
	return strings.HasPrefix(name, "errors.") || strings.HasPrefix(name, "fmt.")
}

// value: a condition that is stored, passed on or returned.
func (f *finder) value(e ast.Expr, check string) {
	switch ast.Unparen(e).(type) {
	case *ast.BinaryExpr, *ast.UnaryExpr:
		f.condition(e, check)
	case *ast.CallExpr:
		if _, ok := f.stack[len(f.stack)-1].(*ast.ReturnStmt); ok {
			f.condition(e, check)
		}
	}
}

// call: conditions that are passed as arguments, and the names of NewNames.
func (f *finder) call(n *ast.CallExpr) {
	for _, e := range n.Args {
		if _, ok := ast.Unparen(e).(*ast.BinaryExpr); ok {
			f.condition(e, f.text(n))
		}
	}
	if name := types.ExprString(n.Fun); strings.HasSuffix(name, "NewNames") && !n.Ellipsis.IsValid() {
		for _, e := range n.Args {
			f.constant(e, f.text(n), "without "+f.text(e))
		}
	}
}

// list: the members of a list of texts, and the rows of a table in a loop.
func (f *finder) list(n *ast.CompositeLit) {
	array, ok := n.Type.(*ast.ArrayType)
	if !ok {
		return
	}
	_, rows := array.Elt.(*ast.StructType)
	for _, e := range n.Elts {
		row, ok := e.(*ast.CompositeLit)
		if !rows || !ok {
			f.constant(e, f.text(n), "without "+f.text(e))
			continue
		}
		for _, field := range row.Elts {
			if f.constant(field, f.text(n), "without "+f.text(field)) {
				break
			}
		}
	}
}

// condition records the mutants of a condition: each operand left out, and the whole replaced by true
// and by false, unless that is equivalent to leaving out an operand.
func (f *finder) condition(e ast.Expr, check string) {
	t := f.typeOf(e)
	if t == nil || f.pkg.types.Types[e].Value != nil {
		return
	}
	if basic, ok := t.Underlying().(*types.Basic); !ok || basic.Info()&types.IsBoolean == 0 {
		return
	}
	top := operator(e)
	if top != token.LOR {
		f.bool(e, false, check, "never holds")
	}
	if top != token.LAND {
		f.bool(e, true, check, "always holds")
	}
	f.operands(e, check)
}

// operator returns the operator that joins a condition's operands, or ILLEGAL.
func operator(e ast.Expr) token.Token {
	if b, ok := ast.Unparen(e).(*ast.BinaryExpr); ok && (b.Op == token.LAND || b.Op == token.LOR) {
		return b.Op
	}
	return token.ILLEGAL
}

// operands records each operand left out, at any depth.
func (f *finder) operands(e ast.Expr, check string) {
	e = ast.Unparen(e)
	if not, ok := e.(*ast.UnaryExpr); ok && not.Op == token.NOT {
		f.operands(not.X, check)
		return
	}
	op := operator(e)
	if op == token.ILLEGAL {
		return
	}
	b := e.(*ast.BinaryExpr)
	for _, side := range []ast.Expr{b.X, b.Y} {
		if operator(side) != op {
			f.bool(side, op == token.LAND, check, "without "+f.text(side))
		}
		f.operands(side, check)
	}
}

func (f *finder) bool(e ast.Expr, forced bool, check, change string) {
	f.add(e, "Bool", fmt.Sprintf("%v, ", forced), check, change)
}

// constant records a text or number that is removed from a list.
func (f *finder) constant(e ast.Expr, check, change string) bool {
	t := f.typeOf(e)
	if t == nil || f.pkg.types.Types[e].Value == nil {
		return false
	}
	basic, ok := t.Underlying().(*types.Basic)
	if !ok || basic.Info()&(types.IsString|types.IsInteger) == 0 {
		return false
	}
	name := "Text"
	if basic.Info()&types.IsInteger != 0 {
		name = "Number"
	}
	kind := types.TypeString(types.Default(t), func(p *types.Package) string {
		if p.Path() == f.pkg.ImportPath {
			return ""
		}
		return p.Name()
	})
	f.add(e, name+"["+kind+"]", "", check, change)
	return true
}

func (f *finder) typeOf(e ast.Expr) types.Type { return f.pkg.types.Types[e].Type }
