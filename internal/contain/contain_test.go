package contain_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/contain"
)

func TestAPanicBecomesAnError(t *testing.T) {
	_, err := contain.Call(func() (int, error) { panic(strings.Repeat("x", 1000)) })
	p, ok := errors.AsType[*contain.Panic](err)
	if !ok || len(p.Error()) != len("panic: ")+500 {
		t.Errorf("got %v", err)
	}
	if err := contain.Do(func() error { panic(nil) }); err == nil {
		t.Error("a panic with nil is no error")
	}
}

func TestWhatReturnsIsReturned(t *testing.T) {
	failed := errors.New("failed")
	if v, err := contain.Call(func() (int, error) { return 7, failed }); v != 7 || err != failed {
		t.Errorf("got %d, %v", v, err)
	}
}

func TestAnAbortedHandlerIsRecoveredAndCanBeTold(t *testing.T) {
	err := contain.Do(func() error { panic(http.ErrAbortHandler) })
	if p, ok := errors.AsType[*contain.Panic](err); !ok || p.Value != http.ErrAbortHandler {
		t.Errorf("got %v", err)
	}
}

func TestWaitStopsWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	started := make(chan struct{})
	go func() { <-started; cancel() }()
	err := contain.Wait(ctx, func(context.Context) error { close(started); <-release; return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := contain.Wait(t.Context(), func(context.Context) error { panic("no") }); err == nil {
		t.Error("a panic is no error")
	}
}
