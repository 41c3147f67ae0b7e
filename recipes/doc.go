// Package recipes has no code of its own: the programs below it show how
// ginauth works together with Prometheus and OpenTelemetry, beside accounts and API keys of
// the application's own, and for command line tools and MCP clients. See README.md.
package recipes
