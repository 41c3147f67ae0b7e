// Package interop has no code of its own: its tests sign people in at OpenID
// providers that other people wrote. See README.md.
package interop
