package report

import "testing"

func TestReplaced(t *testing.T) {
	const page = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
	got, err := replaced(page, "x", "new\n\n")
	if want := "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n"; err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	for _, broken := range []string{"", "<!-- begin x -->\n", "<!-- end x -->\n<!-- begin x -->\n"} {
		if _, err := replaced(broken, "x", "new"); err == nil {
			t.Errorf("%q has no place, and no error", broken)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 13: "13", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234.5: "1,235", 1234567: "1,234,567"} {
		if got := Number(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	s, err := Parse("goos: linux\nBenchmarkRequest/ours-2   \t 100\t 1234 ns/op\t 519.5 set-cookie-B\t 3 allocs/op\nPASS\n")
	if err != nil || s["ns/op"] != 1234 || s["set-cookie-B"] != 519.5 || s["allocs/op"] != 3 || len(s) != 3 {
		t.Errorf("%v, %v", s, err)
	}
	for _, broken := range []string{"PASS\n", "BenchmarkX 1 many ns/op\n"} {
		if _, err := Parse(broken); err == nil {
			t.Errorf("%q is a result", broken)
		}
	}
}

func TestMedian(t *testing.T) {
	if got := Median([]float64{9, 1, 5}); got != 5 {
		t.Error(got)
	}
	if got := Median([]float64{4, 1, 2, 9}); got != 3 {
		t.Error(got)
	}
}
