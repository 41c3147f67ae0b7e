// Node compares the return paths that ginauth admits with the URL parser of
// Node.js, over strings that an attacker might write:
//
//	go run ./internal/urltest/node [-n 120000] [-seed 1]
//
// It also checks that internal/urltest/testdata/whatwg.tsv agrees with Node; with -write it writes
// that file. Run it from the root of the repository.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/ginauth/ginauth/internal/urltest"
)

const expectations = "internal/urltest/testdata/whatwg.tsv"

func main() {
	n := flag.Int("n", 120_000, "how many strings to compare")
	seed := flag.Uint64("seed", 1, "seed of the strings")
	write := flag.Bool("write", false, "write "+expectations)
	flag.Parse()
	if err := run(*seed, *n, *write); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(seed uint64, n int, write bool) error {
	sites, err := urltest.Sites()
	if err != nil {
		return err
	}
	node, err := urltest.StartNode()
	if err != nil {
		return err
	}
	defer node.Close()
	fmt.Printf("comparing %d strings made from seed %d\n", n, seed)
	report, err := urltest.Compare(sites, node, urltest.Corpus(seed, n))
	if err != nil {
		return err
	}
	fmt.Printf("%d of them lead away from the application if unchanged; %d were admitted, with %d errors\n",
		report.Away, report.Admitted, len(report.Wrong))
	for _, wrong := range report.Wrong[:min(len(report.Wrong), 50)] {
		fmt.Println(wrong)
	}
	if len(report.Wrong) > 0 {
		return errors.New("invalid return paths are admitted")
	}
	return fresh(sites[0], node, write)
}

// fresh compares or writes the file of expectations.
func fresh(site *urltest.Site, node *urltest.Node, write bool) error {
	want, err := urltest.Expect(site, node)
	if err != nil {
		return err
	}
	if write {
		return os.WriteFile(expectations, want, 0o644)
	}
	have, err := os.ReadFile(expectations)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return errors.New(expectations + " differs from the results of Node: run this with -write, and review the diff")
	}
	fmt.Println(expectations + " agrees with Node")
	return nil
}
