#!/usr/bin/env bash
# Runs one of the commands of cmd, with a Redis server:
#
#   ./run.sh compare          measures everything, and writes the pages
#   ./run.sh compare -check   fails where it got worse: what CI runs
#   ./run.sh load             the example under load, and its like without ginauth
#   ./run.sh grow             how cost grows: growth.json, and the pictures
#   ./run.sh soak             ten minutes of signing in and out
#   ./run.sh test             the tests of this module
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

command=${1:-}
case $command in
compare | soak) ;;
grow) exec go run ./cmd/grow "${@:2}" ;; # needs no server
load) command -v wrk >/dev/null || ../.ci/install wrk ;;
test) exec ../stores/servers.sh run go test ./... ;;
*)
	sed -n '2,9p' "$0" >&2
	exit 2
	;;
esac
shift
exec ../stores/servers.sh run go run "./cmd/$command" "$@"
