// Package browser has no code of its own: its tests sign people in with real
// browsers, Chromium and Firefox, and look at what these show. See README.md.
package browser
