package stores_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func (v *revoker) swap(old, next []byte, key [16]byte, ttl time.Duration) bool {
	v.t.Helper()
	done, err := v.Swap(context.Background(), key, old, next, ttl)
	if err != nil {
		v.t.Fatal(err)
	}
	return done
}

func (v *revoker) value(key [16]byte) []byte {
	v.t.Helper()
	value, err := v.Load(context.Background(), key)
	if err != nil {
		v.t.Fatal(err)
	}
	return value
}

func swapsWhatIsThere(t *testing.T, v *revoker) {
	key, one, two := newKey(), []byte("one\x00\xff"), bytes.Repeat([]byte("two "), 10_000)
	if got := v.value(key); got != nil {
		t.Errorf("a new key has %q", got)
	}
	for i, step := range []struct {
		old, next []byte
		done      bool
		after     []byte
	}{
		{one, two, false, nil},
		{nil, one, true, one},
		{nil, two, false, one},
		{two, nil, false, one},
		{one, two, true, two},
		{one, two, false, two},
		{two, two, true, two},
		{two, nil, true, nil},
		{two, nil, false, nil},
		{nil, nil, true, nil},
	} {
		if done := v.swap(step.old, step.next, key, time.Hour); done != step.done {
			t.Errorf("step %d: swapped: %t", i, done)
		}
		if got := v.value(key); !bytes.Equal(got, step.after) {
			t.Errorf("step %d: there is %.20q", i, got)
		}
		if left := v.left(key, "tokens"); step.after != nil && (left <= 59*time.Minute || left > time.Hour) {
			t.Errorf("step %d: it is kept for %v", i, left)
		}
	}
	if other := newKey(); v.value(other) != nil {
		t.Error("another key has the value")
	}
}

func swapInParallel(t *testing.T, v *revoker) {
	key := newKey()
	v.swap(nil, []byte("first"), key, time.Hour)
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			if done, err := v.Swap(context.Background(), key, []byte("first"), fmt.Appendf(nil, "by %d", i), time.Hour); err != nil {
				t.Error(err)
			} else if done {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have swapped", won.Load())
	}
}
