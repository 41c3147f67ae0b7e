#!/usr/bin/env bash
# What the tests of this module need: Chromium with its driver and Firefox, as
# Debian has them, and axe-core from npm, which is kept in a cache directory.
#
#   ./browsers.sh run go test ./...   installs what is missing, runs the command
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
axe=4.14.1
checksum=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5

# unless COMMAND PACKAGE… installs packages if there is no such command.
unless() {
	command -v "$1" >/dev/null || "$here/../.ci/install" "${@:2}"
}

# get_axe prints where axe.min.js is.
get_axe() {
	local cache=${XDG_CACHE_HOME:-$HOME/.cache}/ginauth/axe-core-$axe tmp
	if [ ! -s "$cache/axe.min.js" ]; then
		unless npm npm >&2
		tmp=$(mktemp -d)
		(cd "$tmp" && npm pack --silent "axe-core@$axe" >&2)
		printf '%s  %s\n' "$checksum" "$tmp/axe-core-$axe.tgz" | sha512sum --check --quiet >&2
		tar -xzf "$tmp/axe-core-$axe.tgz" -C "$tmp" package/axe.min.js
		mkdir -p "$cache"
		mv "$tmp/package/axe.min.js" "$cache/axe.min.js"
		rm -rf "$tmp"
	fi
	printf '%s\n' "$cache/axe.min.js"
}

case ${1:-} in
run)
	shift
	# On Ubuntu these two are snaps, and its CI machines have google-chrome.
	command -v google-chrome >/dev/null || unless chromium chromium
	unless chromedriver chromium-driver
	command -v firefox >/dev/null || unless firefox-esr firefox-esr
	GINAUTH_AXE=$(get_axe)
	export GINAUTH_AXE
	"$@"
	;;
*)
	sed -n '2,5p' "$0" >&2
	exit 2
	;;
esac
