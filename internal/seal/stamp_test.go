package seal_test

import (
	"testing"

	"github.com/ginauth/ginauth/internal/seal"
)

func stamps(t *testing.T, audience string, secrets ...string) *seal.Stamps {
	t.Helper()
	s, err := seal.NewStamps(secrets, audience)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStamps(t *testing.T) {
	const first, second = "a secret of 32 bytes or more, really", "another secret of 32 bytes or more"
	fact, subject := [seal.FactSize]byte{1, 2, 3, 4, 5, 6, 7, 8}, [seal.SubjectSize]byte{9, 9}
	stamp := stamps(t, "app", first).Make(fact, subject)
	for name, s := range map[string]*seal.Stamps{"same": stamps(t, "app", first), "key in second place": stamps(t, "app", second, first)} {
		if got, ok := s.Read(stamp, subject); !ok || got != fact {
			t.Errorf("%s: %v %v", name, got, ok)
		}
	}
	for name, s := range map[string]*seal.Stamps{"another key": stamps(t, "app", second), "another audience": stamps(t, "app2", first)} {
		if _, ok := s.Read(stamp, subject); ok {
			t.Errorf("%s: the stamp is accepted", name)
		}
	}
	s := stamps(t, "app", first)
	if _, ok := s.Read(stamp, [seal.SubjectSize]byte{9, 8}); ok {
		t.Error("the stamp is accepted for another subject")
	}
	for i := range stamp {
		altered := stamp
		altered[i] ^= 1
		if _, ok := s.Read(altered, subject); ok {
			t.Errorf("the stamp is accepted with byte %d altered", i)
		}
	}
}
