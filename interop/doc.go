// Package interop has no code of its own: its tests sign people in through an
// OpenID provider that other people wrote, github.com/zitadel/oidc. See
// README.md.
package interop
