package main

import (
	"os"
	"testing"

	"github.com/ginauth/ginauth/bench/internal/report"
)

// The picture shows the numbers of the table.
func TestThePictureIsOfTheTable(t *testing.T) {
	t.Chdir("../..")
	table, err := report.Text(report.Readme, "costs")
	if err != nil {
		t.Fatal(err)
	}
	bars, err := readBars(table)
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if string(drawn) != draw(bars) {
		t.Error("docs/images/cost.svg shows other numbers than the README's table: go run ./cmd/plot")
	}
}
