package wire_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/wire"
)

func TestRoundTrip(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	b := wire.AppendUint(nil, math.MaxUint64)
	b = wire.AppendUint(b, 0)
	b = wire.AppendString(b, "héllo")
	b = wire.AppendString(b, "")
	b = wire.AppendStrings(b, []string{"a", "", "c"})
	b = wire.AppendStrings(b, nil)
	b = wire.AppendTime(b, at)
	b = wire.AppendTime(b, time.Time{})
	b = wire.AppendMicros(b, at.Add(123456*time.Microsecond+789))
	b = wire.AppendMicros(b, time.Time{})
	b = append(b, "raw"...)

	r := wire.NewReader(string(b))
	if v := r.Uint(); v != math.MaxUint64 {
		t.Errorf("Uint = %d", v)
	}
	if v := r.Uint(); v != 0 {
		t.Errorf("Uint = %d", v)
	}
	if s := r.String(); s != "héllo" {
		t.Errorf("String = %q", s)
	}
	if s := r.String(); s != "" {
		t.Errorf("String = %q", s)
	}
	if l := r.Strings(); !slices.Equal(l, []string{"a", "", "c"}) {
		t.Errorf("Strings = %q", l)
	}
	if l := r.Strings(); l != nil {
		t.Errorf("Strings = %q, want nil", l)
	}
	if v := r.Time(); !v.Equal(at) {
		t.Errorf("Time = %v", v)
	}
	if v := r.Time(); !v.IsZero() {
		t.Errorf("Time = %v, want zero", v)
	}
	if v := r.Micros(); !v.Equal(at.Add(123456 * time.Microsecond)) {
		t.Errorf("Micros = %v", v)
	}
	if v := r.Micros(); !v.IsZero() {
		t.Errorf("Micros = %v, want zero", v)
	}
	if s := r.Bytes(3); s != "raw" || !r.OK() {
		t.Errorf("Bytes = %q, OK = %v", s, r.OK())
	}
}

func TestEveryCutRecordIsRefused(t *testing.T) {
	b := wire.AppendStrings(wire.AppendString(wire.AppendUint(nil, 300), "hello"), []string{"a", "b"})
	read := func(s string) bool {
		r := wire.NewReader(s)
		r.Uint()
		_ = r.String()
		r.Strings()
		return r.OK()
	}
	if !read(string(b)) {
		t.Fatal("the whole record is refused")
	}
	for i := range b {
		if read(string(b[:i])) {
			t.Errorf("the first %d bytes are accepted", i)
		}
	}
	if read(string(b) + "x") {
		t.Error("a record with more behind it is accepted")
	}
}

func TestHostileLengthsAllocateNothing(t *testing.T) {
	for _, record := range []string{
		string(wire.AppendUint(nil, math.MaxUint64)),
		string(wire.AppendUint(nil, math.MaxInt64)),
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"\x80",
	} {
		if n := testing.AllocsPerRun(10, func() {
			r := wire.NewReader(record)
			r.Strings()
			_ = r.String()
			r.Time()
			wire.NewReader(record).Micros()
			r.Bytes(9)
			if r.OK() {
				t.Error("accepted")
			}
		}); n > 1 {
			t.Errorf("%q: %v allocations", record, n)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(string(wire.AppendTime(wire.AppendStrings(wire.AppendString(nil, "a"), []string{"b"}), time.Unix(1, 0))))
	f.Add("")
	f.Fuzz(func(t *testing.T, record string) {
		r := wire.NewReader(record)
		s, l, at := r.String(), r.Strings(), r.Time()
		if !r.OK() {
			return
		}
		again := wire.NewReader(string(wire.AppendTime(wire.AppendStrings(wire.AppendString(nil, s), l), at)))
		if again.String() != s || !slices.Equal(again.Strings(), l) || !again.Time().Equal(at) || !again.OK() {
			t.Errorf("%q does not survive being written again", record)
		}
	})
}
