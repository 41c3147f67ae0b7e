package ginauth_test

import (
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/seal"
)

// recordOf opens a session's cookie, as nobody can without the key.
func recordOf(t testing.TB, box *seal.Box, line string) (name, record string) {
	t.Helper()
	name, value, _ := strings.Cut(line, "=")
	plain, _, err := box.Open(value[1:], name)
	if err != nil {
		t.Fatal(err)
	}
	return name, string(plain)
}

func sessionBox(t testing.TB, s *site) *seal.Box {
	t.Helper()
	box, err := seal.New([]string{testKey}, s.URL, "session")
	if err != nil {
		t.Fatal(err)
	}
	return box
}
