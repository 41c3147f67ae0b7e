// Package errid makes the ids of errors in settings, for package ginauth and its presets.
package errid

import "strings"

// Of returns the id of a mistake in a field, in the form of all error ids: Of("Options.BaseURL",
// "empty") is "options.base_url.empty".
func Of(field, mistake string) string {
	field = strings.NewReplacer("JWKS", "Jwks", "APIs", "Apis").Replace(field) // otherwise JWKSURL would be one word
	// Fields are Go names in ASCII, without characters after z.
	lower := func(i int) bool { return i < len(field) && 'a' <= field[i] }
	var id strings.Builder
	for i := range len(field) {
		c := field[i]
		upper := 'A' <= c && c <= 'Z'
		if upper && i > 0 && field[i-1] != '.' && (lower(i-1) || lower(i+1)) { // BaseURL, ClientIDParam
			id.WriteByte('_')
		}
		if upper {
			c += 'a' - 'A'
		}
		id.WriteByte(c)
	}
	return id.String() + "." + mistake
}
