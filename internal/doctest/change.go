package doctest

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Apply applies a diff to a program. The parts of the diff are separated by lines of @@.
func Apply(program, diff string) (string, error) {
	for part := range strings.SplitSeq(diff, "@@\n") {
		var before, after strings.Builder
		for line := range strings.Lines(part) {
			switch line[0] {
			case '-':
				before.WriteString(line[1:])
			case '+':
				after.WriteString(line[1:])
			default:
				before.WriteString(strings.TrimPrefix(line, " "))
				after.WriteString(strings.TrimPrefix(line, " "))
			}
		}
		if n := strings.Count(program, before.String()); n != 1 {
			return "", fmt.Errorf("%w, not %d times", errTimes, n)
		}
		program = strings.Replace(program, before.String(), after.String(), 1)
	}
	return program, nil
}

// Formatted returns an error unless gofmt would leave the program as it is: readers paste a
// change and run gofmt, which should not touch lines that the page did not show.
func Formatted(program string) error {
	neat, err := format.Source([]byte(program))
	if err == nil && string(neat) != program {
		err = errGofmt
	}
	return err
}

// known are the packages that a change may use without showing the import.
var known = packages("bytes", "context", "crypto/sha256", "crypto/subtle", "database/sql", "embed", "encoding/json", "errors", "fmt", "html", "html/template", "io", "log",
	"log/slog", "maps", "net/http", "net/http/httptest", "net/url", "os", "path", "slices", "strings", "sync", "testing", "time",
	"github.com/gin-gonic/gin", "github.com/ginauth/ginauth", "github.com/ginauth/ginauth/authtest", "github.com/ginauth/ginauth/providers",
	"github.com/ginauth/ginauth/redisstate", "github.com/redis/go-redis/v9", "golang.org/x/oauth2")

// packages maps the names of packages to their paths.
func packages(paths ...string) map[string]string {
	all := map[string]string{}
	for _, p := range paths {
		all[packageName(p)] = p
	}
	return all
}

var version = regexp.MustCompile(`^v[0-9]+$`)

// packageName returns the likely name of a package, by its path.
func packageName(p string) string {
	if version.MatchString(path.Base(p)) {
		p = path.Dir(p)
	}
	return strings.TrimPrefix(path.Base(p), "go-")
}

// Imports adds missing imports of known packages and removes unused imports, in gofmt's order.
func Imports(program string) (string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), "", program, 0)
	if err != nil {
		return "", err
	}
	open := map[string]bool{} // names that nothing in the file declares
	for _, ident := range f.Unresolved {
		open[ident.Name] = true
	}
	for _, spec := range f.Imports {
		name := importName(spec)
		if !open[name] && name != "_" && name != "." {
			program = strings.Replace(program, "\t"+program[spec.Pos()-1:spec.End()-1]+"\n", "", 1)
		}
		delete(open, name)
	}
	var missing []string
	for name := range open {
		if known[name] != "" {
			missing = append(missing, "\t"+strconv.Quote(known[name])+"\n")
		}
	}
	program = strings.Replace(program, "import (\n", "import (\n"+strings.Join(missing, ""), 1)
	neat, err := format.Source([]byte(program))
	return string(neat), err
}

func importName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	p, _ := strconv.Unquote(spec.Path.Value)
	return packageName(p)
}
