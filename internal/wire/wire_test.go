package wire_test

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/wire"
)

var distances = []time.Duration{0, time.Second, -time.Second, 7 * 24 * time.Hour, -400 * 24 * time.Hour, 1500 * time.Millisecond}

// A list that fits is read into the room; otherwise it has separate memory.
func TestStringsInARoom(t *testing.T) {
	var room [2]string
	for _, tt := range []struct {
		list []string
		in   bool
	}{{[]string{"a"}, true}, {[]string{"a", "b"}, true}, {[]string{"a", "b", "c"}, false}} {
		got := wire.NewReader(string(wire.AppendStrings(nil, tt.list))).Strings(room[:])
		if !slices.Equal(got, tt.list) || (&got[0] == &room[0]) != tt.in || cap(got) != len(got) {
			t.Errorf("%q: %q, capacity %d", tt.list, got, cap(got))
		}
	}
	if got := wire.NewReader("\x00").Strings(room[:]); got != nil {
		t.Errorf("an empty list is %q", got)
	}
}

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
	for _, d := range distances {
		b = wire.AppendSince(b, at.Add(d), at.Add(999*time.Millisecond))
	}
	b = wire.AppendSince(b, time.Time{}, at)
	b = wire.AppendMap(b, map[string]string{"b": "2", "a": "", "": "0"})
	b = wire.AppendMap(b, nil)
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
	if l := r.Strings(nil); !slices.Equal(l, []string{"a", "", "c"}) {
		t.Errorf("Strings = %q", l)
	}
	if l := r.Strings(nil); l != nil {
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
	for _, d := range distances {
		if v := r.Since(at); !v.Equal(at.Add(d.Truncate(time.Second))) {
			t.Errorf("Since = %v, want %v", v, d)
		}
	}
	if v := r.Since(at); !v.IsZero() {
		t.Errorf("Since = %v, want zero", v)
	}
	if m := r.Map(); !maps.Equal(m, map[string]string{"b": "2", "a": "", "": "0"}) {
		t.Errorf("Map = %q", m)
	}
	if m := r.Map(); m != nil {
		t.Errorf("Map = %q, want nil", m)
	}
	if s := r.Bytes(3); s != "raw" || !r.OK() {
		t.Errorf("Bytes = %q, OK = %v", s, r.OK())
	}
}

func TestEveryCutRecordIsRefused(t *testing.T) {
	b := wire.AppendStrings(wire.AppendString(wire.AppendUint(nil, 300), "hello"), []string{"a", "b"})
	b = wire.AppendMap(b, map[string]string{"k": "v"})
	read := func(s string) bool {
		r := wire.NewReader(s)
		r.Uint()
		_ = r.String()
		r.Strings(nil)
		r.Map()
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
		t.Error("a record with trailing data is accepted")
	}
}

// Each method alone refuses an invalid field, and then OK is false.
func TestEveryReadRefuses(t *testing.T) {
	number := func(v uint64) string { return string(wire.AppendUint(nil, v)) }
	for _, tt := range []struct {
		name, record string
		read         func(r *wire.Reader) bool // reports whether the result is not zero
	}{
		{"a number beyond 64 bits", strings.Repeat("\xff", 9) + "\x02", func(r *wire.Reader) bool { return r.Uint() != 0 }},
		{"more bytes than there are", "", func(r *wire.Reader) bool { return r.Bytes(1) != "" }},
		{"a text longer than the record", "\x05", func(r *wire.Reader) bool { return r.String() != "" }},
		{"more texts than there are bytes", "\x05", func(r *wire.Reader) bool { return r.Strings(nil) != nil }},
		{"more pairs than there are bytes", "\x05", func(r *wire.Reader) bool { return r.Map() != nil }},
		{"a time beyond the years", number(math.MaxInt32*64 + 1), func(r *wire.Reader) bool { return !r.Time().IsZero() }},
		{"a time in microseconds beyond the years", number(1e6*math.MaxInt32*64 + 1), func(r *wire.Reader) bool { return !r.Micros().IsZero() }},
		{"a distance beyond the years", number(math.MaxInt32*64 + 1), func(r *wire.Reader) bool { return !r.Since(time.Unix(0, 0)).IsZero() }},
	} {
		if r := wire.NewReader(tt.record); tt.read(r) || r.OK() {
			t.Errorf("%s is accepted", tt.name)
		}
	}
}

// The zero time takes one byte, whatever the base is.
func TestZeroTimesAreShort(t *testing.T) {
	var zero time.Time
	for i, b := range [][]byte{wire.AppendTime(nil, zero), wire.AppendMicros(nil, zero), wire.AppendSince(nil, zero, time.Unix(1_800_000_000, 0))} {
		if len(b) != 1 {
			t.Errorf("%d: %x", i, b)
		}
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
			r.Strings(nil)
			_ = r.String()
			r.Time()
			wire.NewReader(record).Map()
			wire.NewReader(record).Since(time.Time{})
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
	base := time.Unix(1_800_000_000, 0)
	b := wire.AppendTime(wire.AppendStrings(wire.AppendString(nil, "a"), []string{"b"}), time.Unix(1, 0))
	f.Add(string(wire.AppendMap(wire.AppendSince(b, base, base), map[string]string{"k": "v"})))
	f.Add("")
	f.Fuzz(func(t *testing.T, record string) {
		r := wire.NewReader(record)
		s, l, at, since, m := r.String(), r.Strings(nil), r.Time(), r.Since(base), r.Map()
		if !r.OK() {
			return
		}
		b := wire.AppendTime(wire.AppendStrings(wire.AppendString(nil, s), l), at)
		again := wire.NewReader(string(wire.AppendMap(wire.AppendSince(b, since, base), m)))
		if again.String() != s || !slices.Equal(again.Strings(nil), l) || !again.Time().Equal(at) || !again.Since(base).Equal(since) || !maps.Equal(again.Map(), m) || !again.OK() {
			t.Errorf("%q is different after being decoded and encoded again", record)
		}
	})
}

// Reaches is true for exactly the times that Since can read.
func TestReaches(t *testing.T) {
	base := time.Unix(1_800_000_000, 0)
	for _, far := range []int64{0, 1, -1, 1 << 36, -1 << 36, 1<<36 - 33, -1<<36 + 33, 1<<36 - 32, -1<<36 + 32, 1 << 40, -1 << 40} {
		at := time.Unix(base.Unix()+far, 0)
		r := wire.NewReader(string(wire.AppendSince(nil, at, base)))
		read := r.Since(base).Equal(at) && r.OK()
		if got := wire.Reaches(at, base); got != read {
			t.Errorf("%d seconds: Reaches is %v, but whether Since reads the time is %v", far, got, read)
		}
	}
	for _, base := range []time.Time{base, base.AddDate(5000, 0, 0)} {
		if !wire.Reaches(time.Time{}, base) {
			t.Error("the zero time is not reached")
		}
	}
}
