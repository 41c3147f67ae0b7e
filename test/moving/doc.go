// Package moving is empty: its subdirectories have three applications, each before and after the
// move to ginauth, with tests that users do not notice the change. docs/coming-from.md shows
// their code. See README.md.
package moving
