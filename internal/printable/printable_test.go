package printable_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/printable"
)

func TestClipCutsLongTextAndReplacesWhatIsNotUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"plain":                        "plain",
		"\xff":                         "?",
		strings.Repeat("a", 201):       strings.Repeat("a", 200),
		strings.Repeat("a", 199) + "é": strings.Repeat("a", 199) + "?",
	} {
		if got := printable.Clip(in); got != want {
			t.Errorf("Clip(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestASCIILeavesNothingThatATerminalInterprets(t *testing.T) {
	if got := printable.ASCII("a\x1b[31m\r\n\u202eé~"); got != "a?[31m????~" {
		t.Errorf("got %q", got)
	}
}

func TestDurationLeavesOutUnitsThatAreZero(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", time.Hour: "1h",
		24 * time.Hour: "24h", 36 * time.Hour: "36h", 90 * time.Minute: "1h30m", 48 * time.Hour: "2 days", 365 * 24 * time.Hour: "365 days",
	} {
		if got := printable.Duration(d); got != want {
			t.Errorf("Duration(%v) is %q, want %q", d, got, want)
		}
	}
}
