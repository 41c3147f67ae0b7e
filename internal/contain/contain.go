// Package contain calls functions of the application (hooks, checks, session stores,
// transports) and returns their panics as errors. On a goroutine that no request owns, a panic
// would end the process; inside a request, a sign-in would half-succeed.
package contain

import (
	"context"
	"fmt"
	"time"
)

// Panic is the error that stands for a panic. It does not unwrap: an error that
// a function panics with must not choose how the request is answered.
type Panic struct{ Value any }

// Text returns the value as text, cut to what a log line can bear.
func (p *Panic) Text() string { return fmt.Sprintf("%.500v", p.Value) }

// Error implements error.
func (p *Panic) Error() string { return "panic: " + p.Text() }

// Recover sets *err to a *Panic if the function that defers it panics. err is the named
// result of that function.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = &Panic{v}
	}
}

// Do calls f. If f panics, Do returns a *Panic.
func Do(f func() error) (err error) {
	defer Recover(&err)
	return f()
}

// Call calls f. If f panics, Call returns the zero T and a *Panic.
func Call[T any](f func() (T, error)) (v T, err error) {
	defer Recover(&err)
	return f()
}

// Within calls f and waits for it until limit has passed or ctx ends, whether f
// looks at its context or not; then it returns the cause. A panic is an error,
// as with Do. An f that never returns keeps its goroutine.
func Within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel() // not later: the parent may be reused when Within has returned
	done := make(chan error, 1)
	go func() { done <- Do(func() error { return f(ctx) }) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		select { // f may have returned at the same moment
		case err := <-done:
			return err
		default:
			return context.Cause(ctx)
		}
	}
}
