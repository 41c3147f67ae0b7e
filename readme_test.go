package ginauth_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// blocks are the README's code blocks in one language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	var found []string
	for _, m := range fence.FindAllStringSubmatch(file(t, "README.md"), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("the README has no %s block: this test looks at nothing", language)
	}
	return found
}

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What ExampleMount runs is what the README shows.
func TestReadmeProgramIsExampleMount(t *testing.T) {
	_, rest, _ := strings.Cut(file(t, "example_test.go"), "\t// README: func main() {\n")
	body, _, ok := strings.Cut(rest, "\t// README: }\n")
	if !ok {
		t.Fatal("ExampleMount does not say which part of it is the README's")
	}
	program := blocks(t, "go")[0]
	if want := "\nfunc main() {\n" + body + "\tlog.Fatal(app.Run(\"localhost:8080\"))\n}\n"; !strings.HasSuffix(program, want) {
		t.Errorf("the README's program is\n%s\nbut ExampleMount is\n%s", program, want)
	}
	if n := strings.Count(program, "\n"); n > 25 {
		t.Errorf("the README's program has %d lines, more than 25", n)
	}
}

// Other Go code in the README is part of an example.
func TestReadmeSnippetsAreExamples(t *testing.T) {
	examples := file(t, "example_test.go") + file(t, "example_more_test.go")
	for _, snippet := range blocks(t, "go")[1:] {
		inside := "\n\t" + strings.ReplaceAll(strings.TrimSuffix(snippet, "\n"), "\n", "\n\t") + "\n"
		if !strings.Contains(examples, inside) {
			t.Errorf("no example has\n%s", snippet)
		}
	}
}

// The program, and the program after each of the README's changes, compiles.
func TestReadmeProgramsCompile(t *testing.T) {
	first := blocks(t, "go")[0]
	programs := []string{first}
	for _, diff := range blocks(t, "diff") {
		changed, err := apply(first, diff)
		if err != nil {
			t.Errorf("%v: in\n%s", err, diff)
			continue
		}
		programs = append(programs, withImports(changed))
	}
	// The go command is shown the programs inside the module, where they can
	// import it, without a file being written there.
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	args := []string{"list", "-export", "-overlay", filepath.Join(dir, "overlay.json")} // compiles, and does not link
	for i, program := range programs {
		name := filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(name, []byte(program), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, "readme", fmt.Sprint(i), "main.go")] = name
		args = append(args, fmt.Sprintf("./readme/%d", i))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// apply makes the changes of a diff: its parts are divided by lines of @@.
func apply(program, diff string) (string, error) {
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
			return "", fmt.Errorf("the program has the lines to change %d times", n)
		}
		program = strings.Replace(program, before.String(), after.String(), 1)
	}
	return program, nil
}

// withImports makes the changes to the imports that the README leaves out.
func withImports(program string) string {
	if strings.Contains(program, "errors.") {
		program = strings.Replace(program, "import (\n", "import (\n\t\"errors\"\n", 1)
	}
	if !strings.Contains(program, "providers.") {
		program = strings.Replace(program, "\t\"github.com/ginauth/ginauth/providers\"\n", "", 1)
	}
	return program
}

func TestReadmeIsShort(t *testing.T) {
	for name, most := range map[string]int{"README.md": 250, "doc.go": 80, "example/main.go": 200} {
		if n := strings.Count(file(t, name), "\n"); n >= most {
			t.Errorf("%s has %d lines, want fewer than %d", name, n, most)
		}
	}
}
