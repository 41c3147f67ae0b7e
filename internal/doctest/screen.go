package doctest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Play runs the commands in the console blocks of a program, and fails the test if their output
// differs.
func (b *Built) Play(t testing.TB, p *Program, variables ...string) {
	t.Helper()
	s := &screen{t: t, built: b, program: p, variables: variables}
	for _, block := range p.Screen {
		steps, err := commands(block.Text)
		if err != nil {
			t.Errorf("%s: the console at line %d: %v", p.Name, block.Line, err)
		}
		for _, step := range steps {
			if err := s.do(step); err != nil {
				t.Errorf("%s: the console at line %d: $ %s: %v", p.Name, block.Line, step.line, err)
			}
		}
	}
}

// command is a line typed into a console, and its output.
type command struct {
	line  string
	words []string
	want  []string
}

func commands(text string) ([]command, error) {
	var all []command
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if typed, ok := strings.CutPrefix(line, "$ "); ok {
			w, err := words(typed)
			if err != nil {
				return nil, err
			}
			all = append(all, command{line: typed, words: w})
		} else if len(all) == 0 {
			return nil, errors.New("it does not begin with a command: $ …")
		} else {
			all[len(all)-1].want = append(all[len(all)-1].want, line)
		}
	}
	return all, nil
}

var word = regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+|\s+`)

// words splits a command line as a shell does.
func words(line string) (all []string, err error) {
	current, open := "", false
	for _, piece := range word.FindAllString(line, -1) {
		switch {
		case strings.TrimSpace(piece) == "":
			if open {
				all = append(all, current)
			}
			current, open = "", false
			continue
		case piece[0] == '\'' || piece[0] == '"':
			piece = piece[1 : len(piece)-1]
		case strings.ContainsAny(piece, "|&;<>`$\\*?"):
			return nil, fmt.Errorf("%q has shell syntax that is not supported here: put it in quotes", piece)
		}
		current, open = current+piece, true
	}
	if open {
		all = append(all, current)
	}
	return all, nil
}

// screen is a terminal.
type screen struct {
	t         testing.TB
	built     *Built
	program   *Program
	variables []string
	running   *Running
}

func (s *screen) do(c command) error {
	variables, typed := slices.Clone(s.variables), c.words
	for len(typed) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(typed[0]) {
		variables, typed = append(variables, typed[0]), typed[1:]
	}
	switch {
	case slices.Equal(typed, []string{"go", "run", "."}):
		return s.run(c, variables)
	case len(typed) > 0 && typed[0] == "curl":
		return s.curl(c, typed[1:])
	}
	return errors.New("unsupported command")
}

// run starts the program. The page may omit lines of its output.
func (s *screen) run(c command, variables []string) error {
	s.running = s.built.Start(s.t, s.program, variables...)
	want := c.want
	if n := len(want); n > 0 && strings.HasPrefix(want[n-1], "exit status ") {
		<-s.running.ended
		if got := fmt.Sprintf("exit status %d", s.running.code()); got != want[n-1] {
			return errors.New(got)
		}
		want = want[:n-1]
	} else if err := s.running.Listens(); err != nil {
		return err
	}
	return Shows(s.running.Out(), want)
}

// Shows checks that a text has these lines, in this order; it may have others between them.
func Shows(text string, want []string) error {
	lines := strings.Split(text, "\n")
	for _, w := range want {
		at := slices.IndexFunc(lines, func(line string) bool { return like(w, line) })
		if at < 0 {
			rest := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.Contains(line, " --> ") }) // Gin's list of routes
			return fmt.Errorf("there is no line %q in\n%s", w, strings.Join(rest, "\n"))
		}
		lines = lines[at+1:]
	}
	return nil
}

// like reports whether a line matches that of a page, in which … matches anything.
func like(want, line string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want)), "…", ".*")
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(strings.TrimSpace(line))
}

// curl sends a request. With -i, the page may omit headers.
func (s *screen) curl(c command, args []string) error {
	if s.running == nil {
		if err := s.run(command{}, s.variables); err != nil {
			return err
		}
	}
	request, headers, err := curlRequest(s.built.here(s.program, strings.Join(args, "\x00")))
	if err != nil {
		return err
	}
	response, err := http.DefaultTransport.RoundTrip(request.WithContext(s.t.Context()))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	want, got := c.want, strings.Split(strings.TrimSuffix(s.built.there(s.program, string(body)), "\n"), "\n")
	if headers {
		head := []string{response.Proto + " " + response.Status}
		for _, name := range slices.Sorted(maps.Keys(response.Header)) {
			for _, value := range response.Header[name] {
				head = append(head, s.built.there(s.program, name+": "+value))
			}
		}
		if len(want) == 0 || !like(want[0], head[0]) {
			return errors.New(head[0])
		}
		for want = want[1:]; len(want) > 0 && want[0] != ""; want = want[1:] {
			if !slices.ContainsFunc(head, func(line string) bool { return like(want[0], line) }) {
				return fmt.Errorf("there is no header %q in\n%s", want[0], strings.Join(head, "\n"))
			}
		}
		if len(want) == 0 {
			return nil
		}
		want = want[1:]
	}
	if !slices.EqualFunc(want, got, like) {
		return fmt.Errorf("the response is\n%s", strings.Join(got, "\n"))
	}
	return nil
}

// curlRequest returns the request that curl would send.
func curlRequest(joined string) (r *http.Request, headers bool, err error) {
	var method, address, body string
	h := http.Header{"User-Agent": {"curl/8"}, "Accept": {"*/*"}}
	args := strings.Split(joined, "\x00")
	for len(args) > 0 {
		arg, value := args[0], ""
		args = args[1:]
		if slices.Contains([]string{"-X", "-H", "-d", "-b"}, arg) {
			if len(args) == 0 {
				return nil, false, fmt.Errorf("curl %s needs a value", arg)
			}
			value, args = args[0], args[1:]
		}
		switch {
		case arg == "-i":
			headers = true
		case arg == "-s":
		case arg == "-X":
			method = value
		case arg == "-H":
			name, v, _ := strings.Cut(value, ":")
			h.Set(name, strings.TrimSpace(v))
		case arg == "-b":
			h.Set("Cookie", value)
		case arg == "-d":
			body = value
			if h.Get("Content-Type") == "" {
				h.Set("Content-Type", "application/x-www-form-urlencoded")
			}
		case strings.HasPrefix(arg, "-") || address != "":
			return nil, false, fmt.Errorf("unsupported argument of curl: %s", arg)
		default:
			address = arg
		}
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	if method == "" && body != "" {
		method = http.MethodPost
	}
	r, err = http.NewRequest(method, address, strings.NewReader(body))
	if err == nil {
		r.Header = h
	}
	return r, headers, err
}
