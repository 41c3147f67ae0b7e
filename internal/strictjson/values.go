package strictjson

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Lookup returns the value at a dotted path such as "kakao_account.profile.nickname" or
// "items.0.user_id", where a number is an index into an array. Names may contain dots, as in
// "https://slack.com/user_id": at each level the longest matching name wins, even if the rest of
// the path does not exist below it, so that a path never has two meanings in one object. An
// empty path finds nothing.
func Lookup(obj map[string]any, path string) (any, bool) {
	if path == "" {
		return nil, false
	}
	var at any = obj
	for {
		v, rest, ok := step(at, path)
		if rest == "" {
			return v, ok
		}
		at, path = v, rest[1:]
	}
}

// step goes one level down. A rest that is not empty begins with the dot. If nothing is found,
// rest is empty.
func step(at any, path string) (v any, rest string, ok bool) {
	switch at := at.(type) {
	case map[string]any:
		for end := len(path); end >= 0; end = strings.LastIndexByte(path[:end], '.') {
			if v, ok = at[path[:end]]; ok {
				return v, path[end:], true
			}
		}
	case []any:
		head, _, _ := strings.Cut(path, ".")
		if i, ok := index(head, len(at)); ok {
			return at[i], path[len(head):], true
		}
	}
	return nil, "", false
}

func index(s string, length int) (int, bool) {
	i, _ := strconv.Atoi(s) // Itoa of an invalid or overflowing integer differs
	return i, 0 <= i && i < length && strconv.Itoa(i) == s
}

// String returns a string unchanged, and an integer as the digits that were sent, since some
// providers number their users. It returns false for anything else, including the numbers 1e3,
// 1.0 and -0.
func String(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return string(v), isInteger(string(v))
	}
	return "", false
}

// Int64 returns a number that is written as an integer and fits into an int64.
func Int64(v any) (int64, bool) {
	n, _ := v.(json.Number) // "" for other types, which is not an integer
	if !isInteger(string(n)) {
		return 0, false
	}
	i, err := strconv.ParseInt(string(n), 10, 64)
	return i, err == nil
}

func isInteger(s string) bool {
	whole := strings.TrimPrefix(s, "-")
	return whole != "" && digits(whole) == len(whole) && (whole[0] != '0' || s == "0")
}

// maxDate is the first second after the year 9998. The spare year keeps the year at four digits
// when a leeway is added, and in other time zones.
const maxDate = 253_370_764_800

// NumericDate returns the time of a NumericDate (RFC 7519, section 2): seconds since 1970, with
// fractions, truncated to nanoseconds. It rejects strings, and times outside the years 1970 to
// 9998. It uses no floats: the conversion of a float64 that is too large for an int64 depends on
// the processor.
func NumericDate(v any) (time.Time, bool) {
	n, _ := v.(json.Number) // "" for other types, which is not a number
	sec, nanos, ok := seconds(string(n))
	if !ok || sec < 0 || sec >= maxDate {
		return time.Time{}, false
	}
	return time.Unix(sec, nanos).UTC(), true
}

func seconds(s string) (sec, nanos int64, ok bool) {
	if sec, ok = Int64(json.Number(s)); ok {
		return sec, 0, true
	}
	// scanNumber limits the exponent: otherwise big.Rat would compute 10 to the billionth power.
	if n, ok := scanNumber(s); !ok || n != len(s) || n > maxNumber {
		return 0, 0, false
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || r.Sign() < 0 || r.Cmp(big.NewRat(maxDate, 1)) >= 0 {
		return 0, 0, false
	}
	second := big.NewInt(int64(time.Second))
	r.Mul(r, new(big.Rat).SetInt(second))
	whole, rest := new(big.Int).Quo(r.Num(), r.Denom()), new(big.Int)
	whole.QuoRem(whole, second, rest)
	return whole.Int64(), rest.Int64(), true
}

// Strings returns the strings in a list, without elements of other types. It returns nil for
// anything but a list.
func Strings(v any) (list []string) {
	items, _ := v.([]any)
	for _, item := range items {
		if s, ok := item.(string); ok {
			if list == nil {
				list = make([]string, 0, len(items))
			}
			list = append(list, s)
		}
	}
	return list
}
