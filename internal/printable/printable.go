// Package printable makes text from providers and browsers fit for a log line and a terminal.
package printable

import (
	"fmt"
	"strings"
	"time"
)

// clipLength is the longest text in a log line, in bytes.
const clipLength = 200

// Clip cuts s to 200 bytes and replaces invalid UTF-8. The result may contain line breaks: quote
// it.
func Clip(s string) string {
	if len(s) > clipLength {
		s = s[:clipLength]
	}
	return strings.ToValidUTF8(s, "?")
}

// ASCII clips s and replaces all characters that are not printable ASCII, which a terminal could
// interpret.
func ASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, Clip(s))
}

// Duration formats a duration without zero units: "365 days", "24h", "10m".
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	if d > day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if short := strings.TrimSuffix(text, zero); short != "" && strings.Contains("hm", short[len(short)-1:]) {
			text = short
		}
	}
	return text
}
