// Package stores has no code of its own: its tests keep sessions in real
// databases, through the stores of gin-contrib/sessions, and run several
// replicas of one application on them. See README.md.
package stores
