// Package recipes has no code of its own: the programs below it show how
// ginauth works together with Prometheus and OpenTelemetry, and beside accounts of the
// application's own. See README.md.
package recipes
