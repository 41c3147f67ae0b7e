// Package recipes is empty: the programs in its subdirectories combine ginauth with Prometheus,
// OpenTelemetry, local accounts and API keys, and show command line tools and MCP clients. See
// README.md.
package recipes
