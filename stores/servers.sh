#!/usr/bin/env bash
# The servers that the tests of this module need: Redis, PostgreSQL and
# memcached, as Debian 12 has them, on free ports of loopback, with their data
# in a temporary directory.
#
#   ./servers.sh run go test ./...   starts them, runs the command, stops them
#   eval "$(./servers.sh start)"     starts them and says where they are
#   ./servers.sh stop                stops those of GINAUTH_STORES_DIR
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
packages=(redis-server postgresql memcached)

# As root, what must not be root is somebody else; other users are themselves.
as() {
	local user=$1
	shift
	if [ "$(id -u)" = 0 ]; then
		runuser -u "$user" -- "$@"
	else
		"$@"
	fi
}

pg() { find /usr/lib/postgresql -path "*/bin/$1" 2>/dev/null | sort -V | tail -n 1; }

have() { command -v redis-server >/dev/null && command -v memcached >/dev/null && [ -n "$(pg initdb)" ]; }

install_servers() {
	have && return
	"$here/../.ci/install" "${packages[@]}"
	have
}

# free_port prints a port that nobody listens on.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 12000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	printf '%s\n' "$port"
}

# await WHAT COMMAND… waits up to ten seconds until the command succeeds.
await() {
	local what=$1 i
	shift
	for ((i = 0; i < 100; i++)); do
		if "$@" >/dev/null 2>&1; then
			return
		fi
		sleep 0.1
	done
	printf '%s did not start\n' "$what" >&2
	return 1
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_redis() {
	mkdir "$1/redis"
	redis-server --bind 127.0.0.1 --port "$2" --dir "$1/redis" --save '' --appendonly no --daemonize yes \
		--pidfile "$1/redis/pid" --logfile "$1/redis/log"
	await Redis redis-cli -p "$2" ping
}

start_memcached() {
	mkdir "$1/memcached"
	[ "$(id -u)" != 0 ] || chown nobody "$1/memcached"
	as nobody memcached -l 127.0.0.1 -p "$2" -U 0 -m 64 -d -P "$1/memcached/pid"
	await memcached listens "$2"
}

start_postgres() {
	local data=$1/postgres
	mkdir "$data"
	[ "$(id -u)" != 0 ] || chown postgres "$data"
	as postgres "$(pg initdb)" -D "$data" -U ginauth --auth=trust --no-sync -E UTF8 --locale=C
	as postgres "$(pg pg_ctl)" -D "$data" -w -l "$data/log" -o \
		"-c listen_addresses=127.0.0.1 -c port=$2 -c unix_socket_directories= -c fsync=off" start
}

start() {
	local dir redis memcached postgres
	install_servers >&2
	dir=$(mktemp -d)
	chmod 755 "$dir" # for those who are not root
	redis=$(free_port)
	start_redis "$dir" "$redis" >&2
	memcached=$(free_port)
	start_memcached "$dir" "$memcached" >&2
	postgres=$(free_port)
	start_postgres "$dir" "$postgres" >&2
	cat <<-EOF
		export GINAUTH_STORES_DIR=$dir
		export GINAUTH_REDIS=127.0.0.1:$redis
		export GINAUTH_MEMCACHED=127.0.0.1:$memcached
		export GINAUTH_POSTGRES='postgres://ginauth@127.0.0.1:$postgres/postgres?sslmode=disable'
	EOF
}

stop() {
	local dir=${GINAUTH_STORES_DIR:?is not set: nothing was started here} name
	for name in redis memcached; do
		[ ! -s "$dir/$name/pid" ] || kill "$(cat "$dir/$name/pid")" || true
	done
	[ ! -d "$dir/postgres" ] || as postgres "$(pg pg_ctl)" -D "$dir/postgres" -m immediate stop >&2 || true
	rm -rf "$dir"
}

run() {
	local variables
	variables=$(start)
	eval "$variables"
	trap stop EXIT
	"$@"
}

case ${1:-} in
start) start ;;
stop) stop ;;
run)
	shift
	run "$@"
	;;
*)
	sed -n '2,9p' "$0" >&2
	exit 2
	;;
esac
