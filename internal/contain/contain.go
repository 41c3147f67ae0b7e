// Package contain calls functions of the application (hooks, checks, session stores,
// transports) and returns their panics as errors. On a goroutine outside of a request, a panic
// would end the process; inside a request, it could leave a sign-in half done.
package contain

import (
	"context"
	"fmt"
	"time"
)

// Panic is the error for a panic. It does not unwrap: if the value is an error, it must not
// determine the response.
type Panic struct{ Value any }

// Text returns the value as text, cut to a length that fits into a log line.
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

// Within calls f on a new goroutine and waits until f returns, limit has passed or ctx has ended,
// even if f ignores its context. Without a result of f it returns the cause of the context. If f
// panics, it returns a *Panic. If f never returns, its goroutine never ends.
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
