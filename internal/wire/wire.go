// Package wire encodes and decodes the compact records that are sealed into cookies: numbers as
// varints, texts with their length before them. A record begins with a version, which its owner
// defines. Decoding never panics, and limits what it allocates by the length of the record.
package wire

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"
)

// AppendUint appends a number.
func AppendUint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendString appends a text.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendStrings appends a list of texts.
func AppendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = AppendString(b, s)
	}
	return b
}

// AppendMap appends the pairs of a map, sorted by name.
func AppendMap(b []byte, m map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		b = AppendString(AppendString(b, name), m[name])
	}
	return b
}

// AppendTime appends a time in seconds. The zero time stays zero.
func AppendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(max(t.Unix(), 1)))
}

// AppendMicros appends a time in microseconds. The zero time stays zero.
func AppendMicros(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(max(t.UnixMicro(), 1)))
}

// AppendSince appends a time as its distance from base in whole seconds. The zero time stays zero.
func AppendSince(b []byte, t, base time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	d := t.Unix() - base.Unix()
	return binary.AppendUvarint(b, uint64(d<<1^d>>63)+1) // zigzag: small for both signs
}

// farthest is the largest distance in seconds that Since accepts.
const farthest = (math.MaxInt32*64 - 1) / 2

// Reaches reports whether Since can read the record of t that AppendSince writes.
func Reaches(t, base time.Time) bool {
	d := t.Unix() - base.Unix()
	return t.IsZero() || -farthest-1 <= d && d <= farthest
}

// Reader reads a record in the order in which it was written. After the first invalid field, all
// results are zero and OK is false. Texts that it returns share the record's memory.
type Reader struct {
	rest string
	bad  bool
}

// NewReader returns a Reader of record.
func NewReader(record string) *Reader { return &Reader{rest: record} }

// Uint reads a number.
func (r *Reader) Uint() uint64 {
	var v uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		c := r.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return v
		}
	}
	return r.fail()
}

func (r *Reader) fail() uint64 {
	r.rest, r.bad = "", true
	return 0
}

// Bytes reads n bytes.
func (r *Reader) Bytes(n int) string {
	if n > len(r.rest) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// String reads a text.
func (r *Reader) String() string {
	n := r.Uint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	return r.Bytes(int(n))
}

// Strings reads a list of texts, into room if the list fits. An empty list is nil.
func (r *Reader) Strings(room []string) []string {
	n := r.Uint()
	if n == 0 || n > uint64(len(r.rest)) { // each text takes at least one byte
		if n > 0 {
			r.fail()
		}
		return nil
	}
	if uint64(len(room)) < n {
		room = make([]string, n)
	}
	list := room[:n:n]
	for i := range list {
		list[i] = r.String()
	}
	return list
}

// Map reads the pairs of a map. An empty map is nil.
func (r *Reader) Map() map[string]string {
	n := r.Uint()
	if n == 0 || n > uint64(len(r.rest)) {
		if n > 0 {
			r.fail()
		}
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		name := r.String()
		m[name] = r.String()
	}
	return m
}

// Time reads a time.
func (r *Reader) Time() time.Time {
	v := r.Uint()
	if v == 0 || v > math.MaxInt32*64 { // more than four thousand years after 1970
		if v > 0 {
			r.fail()
		}
		return time.Time{}
	}
	return time.Unix(int64(v), 0)
}

// Micros reads a time that AppendMicros wrote.
func (r *Reader) Micros() time.Time {
	v := r.Uint()
	if v == 0 || v > 1e6*math.MaxInt32*64 {
		if v > 0 {
			r.fail()
		}
		return time.Time{}
	}
	return time.UnixMicro(int64(v))
}

// Since reads a time that AppendSince wrote with the same base.
func (r *Reader) Since(base time.Time) time.Time {
	v := r.Uint()
	if v == 0 || v > math.MaxInt32*64 {
		if v > 0 {
			r.fail()
		}
		return time.Time{}
	}
	v--
	return time.Unix(base.Unix()+(int64(v>>1)^-int64(v&1)), 0)
}

// More reports whether the record has more to read. It is false after a failure.
func (r *Reader) More() bool { return r.rest != "" }

// OK reports whether all fields were valid and the whole record was read.
func (r *Reader) OK() bool { return !r.bad && r.rest == "" }
