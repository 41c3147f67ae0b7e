// Package contain calls functions that other people wrote, such as hooks, stores
// and transports, so that neither a panic nor a hang of theirs reaches the
// caller.
package contain

import (
	"context"
	"fmt"
)

// Panic is the error that a recovered panic becomes.
type Panic struct{ Value any }

// Error cuts the value's text, which may be of any size.
func (p *Panic) Error() string { return fmt.Sprintf("panic: %.500v", p.Value) }

// Call returns what f returns. If f panics, err is a *Panic.
func Call[T any](f func() (T, error)) (v T, err error) {
	defer Recover(func(p *Panic) { err = p })
	return f()
}

// Do is Call for a function that returns an error alone.
func Do(f func() error) (err error) {
	defer Recover(func(p *Panic) { err = p })
	return f()
}

// Recover passes a panic of the function that defers it on to handle:
//
//	defer contain.Recover(func(p *contain.Panic) { err = p })
//
// It recovers http.ErrAbortHandler too, since on a goroutine that no request
// owns that would end the process. A handler of requests panics with it again.
func Recover(handle func(p *Panic)) {
	if r := recover(); r != nil {
		handle(&Panic{r})
	}
}

// Wait is Do on a goroutine of its own, and stops waiting for f when ctx ends,
// whether f looks at its context or not. It then returns ctx's cause.
func Wait(ctx context.Context, f func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- Do(func() error { return f(ctx) }) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		select { // both may have come
		case err := <-done:
			return err
		default:
			return context.Cause(ctx)
		}
	}
}
