// Package recipes has no code of its own: the programs below it show how
// ginauth works together with Prometheus and OpenTelemetry. See README.md.
package recipes
