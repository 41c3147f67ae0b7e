package contain_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/contain"
)

var errOwn = errors.New("own error")

func TestDoReturnsWhatTheFunctionReturns(t *testing.T) {
	for _, want := range []error{nil, errOwn} {
		if err := contain.Do(func() error { return want }); err != want {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func TestAPanicIsAnErrorThatDoesNotUnwrap(t *testing.T) {
	for name, call := range map[string]func() error{
		"Do": func() error { return contain.Do(func() error { panic(errOwn) }) },
		"Call": func() error {
			v, err := contain.Call(func() (string, error) { panic(errOwn) })
			if v != "" {
				t.Errorf("Call returned %q with the panic", v)
			}
			return err
		},
		"Within": func() error {
			return contain.Within(t.Context(), time.Minute, func(context.Context) error { panic(errOwn) })
		},
	} {
		err := call()
		if p, ok := err.(*contain.Panic); !ok || p.Value != any(errOwn) || err.Error() != "panic: own error" {
			t.Errorf("%s: %v", name, err)
		}
		if errors.Is(err, errOwn) {
			t.Errorf("%s: the *Panic unwraps to its value", name)
		}
	}
}

func TestThePanicInALogIsCut(t *testing.T) {
	err := contain.Do(func() error { panic(strings.Repeat("long ", 1000)) })
	if n := len(err.Error()); n > 600 {
		t.Errorf("the text of the error has %d bytes", n)
	}
}

func TestCallReturnsTheValueBesideTheError(t *testing.T) {
	v, err := contain.Call(func() (int, error) { return 7, errOwn })
	if v != 7 || err != errOwn {
		t.Errorf("got %d, %v", v, err)
	}
}

func TestWithinStopsWaiting(t *testing.T) {
	never := func(context.Context) error { select {} }
	if err := contain.Within(t.Context(), time.Millisecond, never); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("at its limit: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOwn)
	if err := contain.Within(ctx, time.Minute, never); err != errOwn {
		t.Errorf("when the caller gives up: %v", err)
	}
}

func TestWithinEndsTheContextOfAFunctionThatReturned(t *testing.T) {
	var ended context.Context
	err := contain.Within(t.Context(), time.Minute, func(ctx context.Context) error {
		ended = ctx
		return errOwn
	})
	if err != errOwn {
		t.Errorf("got %v", err)
	}
	<-ended.Done()
}

// reused is a context that, like Gin's, may be reused as soon as Within has returned.
type reused struct {
	context.Context
	owner int
}

func (r *reused) Done() <-chan struct{} {
	_ = r.owner
	return r.Context.Done()
}

// The race detector reports a read of the parent after Within has returned.
func TestWithinLeavesItsParentAlone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 1000 {
		parent := &reused{Context: ctx}
		if err := contain.Within(parent, time.Minute, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		parent.owner = i
	}
}
