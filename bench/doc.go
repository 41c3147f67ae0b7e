// Package bench has no code of its own: its benchmarks measure what a request
// and a sign-in cost with ginauth, beside what people would use in its place.
// See README.md.
package bench
