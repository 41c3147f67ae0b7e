// Package bench contains only benchmarks: they measure the cost of a request and of a sign-in with
// ginauth, and with the packages that one would use in its place. See README.md.
package bench
