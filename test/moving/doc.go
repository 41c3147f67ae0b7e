// Package moving has no code of its own: below it are three applications, each as it was
// before ginauth and after, and the tests that people notice nothing of the change.
// docs/coming-from.md is made of them. See README.md.
package moving
