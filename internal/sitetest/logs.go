package sitetest

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Logs collects the log of an application. The zero Logs is ready for use.
type Logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String returns the log since the last Reset.
func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Lines returns the lines of a level ("WARN") that have an id, since the last Reset.
func (l *Logs) Lines(level, id string) (lines []string) {
	for line := range strings.Lines(l.String()) {
		words := strings.Fields(line)
		if slices.Contains(words, "level="+level) && slices.Contains(words, "id="+id) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Reset clears the log.
func (l *Logs) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// Logger returns a Logger that writes here, from level debug on.
func (l *Logs) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
