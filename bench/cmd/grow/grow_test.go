package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/bench/internal/growth"
	"github.com/ginauth/ginauth/bench/internal/report"
)

func TestMedians(t *testing.T) {
	got := medians([]report.Result{{growth.Floors: 3, "ns/op": 9}, {growth.Floors: 5}, {growth.Floors: 4}})
	if len(got) != 1 || got[growth.Floors] != 4 {
		t.Errorf("%v", got)
	}
}

// The pictures and the text of the page match growth.json: a change of the data, of a picture
// or of the drawing code alone fails.
func TestThePicturesShowTheData(t *testing.T) {
	t.Chdir("../..")
	d, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.complete(); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(report.Performance)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range d.pictures() {
		got, err := os.ReadFile(filepath.Join(pictures, name))
		if err != nil || string(got) != want {
			t.Errorf("%s is not what growth.json says: ./run.sh grow -draw (%v)", name, err)
		}
		if len(want) > 6000 || strings.Contains(want, "NaN") {
			t.Errorf("%s has %d bytes:\n%s", name, len(want), want)
		}
		if !strings.Contains(string(page), "(images/"+name+")") {
			t.Errorf("the page does not show %s", name)
		}
	}
	text, err := report.Text(report.Performance, "growth")
	if err != nil || text != d.text() {
		t.Errorf("the page does not say what growth.json does: %v\n%s", err, text)
	}
}
