package doctest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

const server = `package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	if os.Getenv("SECRET") == "" {
		fmt.Println("SECRET is empty")
		os.Exit(3)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method)
		fmt.Fprintf(w, "%s asks http://localhost:8080 for %s with %s\n", r.UserAgent(), r.URL, r.FormValue("a"))
	})
	fmt.Println("first")
	fmt.Println("second, at localhost:8080")
	log.Fatal(http.ListenAndServe("localhost:8080", nil))
}
`

// failures is a test that may fail.
type failures struct {
	testing.TB
	said []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

func TestConsolesAreTried(t *testing.T) {
	text := strings.Join([]string{
		"$ go run .", "SECRET is empty", "exit status 3",
		"$ SECRET=1 go run .", "second, at localhost:8080",
		"$ curl http://localhost:8080/x -d 'a=1 2'", "curl/8 asks http://localhost:8080 … /x with 1 2",
		"$ curl -i localhost:8080/y", "HTTP/1.1 200 OK", "X-Method: GET", "Content-Type: text/…", "", "curl/8 asks … /y with ", "",
	}, "\n")
	p, err := page(t, block("go", server)+block("console", text))
	if err != nil {
		t.Fatal(err)
	}
	b := Build(t, "../..", p.Programs)
	b.Play(t, p.Programs[0])

	for from, to := range map[string]string{
		"SECRET is empty":   "SECRET is missing",
		"exit status 3":     "exit status 4",
		"second, at":        "third, at",
		"with 1 2":          "with 2 1",
		"HTTP/1.1 200 OK":   "HTTP/1.1 201 Created",
		"X-Method: GET":     "X-Method: POST",
		"… /y with ":        "… /z with ",
		"$ curl -i":         "$ wget -i",
		"$ curl http":       "$ curl -k http",
		"$ SECRET=1 go run": "$ SECRET=1 go build",
	} {
		p.Programs[0].Screen[0].Text = strings.Replace(text, from, to, 1)
		f := &failures{TB: t}
		b.Play(f, p.Programs[0])
		if len(f.said) == 0 {
			t.Errorf("%q in place of %q was not noticed", to, from)
		}
	}
}

func TestConsolesThatAreRefused(t *testing.T) {
	for _, text := range []string{"no dollar\n", "$ curl a | b\n", "$ echo $HOME\n"} {
		if _, err := commands(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestWords(t *testing.T) {
	got, err := words(`A=1 curl -H 'X: "y"' "a b"'c'`)
	if want := []string{"A=1", "curl", "-H", `X: "y"`, "a bc"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v, want %q", got, err, want)
	}
}

func TestCurl(t *testing.T) {
	r, headers, err := curlRequest(strings.Join([]string{"-i", "-s", "-H", "Accept: text/html", "-b", "a=b", "-X", "PUT", "-d", "x", "localhost/p"}, "\x00"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	got := fmt.Sprint(headers, r.Method, r.URL, r.Header.Get("Accept"), r.Header.Get("Cookie"), r.Header.Get("Content-Type"), string(body))
	if want := fmt.Sprint(true, "PUT", "http://localhost/p", "text/html", "a=b", "application/x-www-form-urlencoded", "x"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, args := range []string{"-X", "-L\x00localhost", "localhost\x00localhost"} {
		if _, _, err := curlRequest(args); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
