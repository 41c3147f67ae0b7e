#!/usr/bin/env bash
# The OpenID providers that the tests of this module sign in at: oidc-provider
# from npm, Keycloak and Spring Authorization Server from Maven Central, each on
# a free port of loopback, with its data in a temporary directory. What is
# downloaded and built is kept in ${XDG_CACHE_HOME:-~/.cache}/ginauth-interop.
#
#   ./servers.sh run go test -skip Spring ./...     with oidc-provider and Keycloak
#   ./servers.sh spring go test -run Spring ./...   with Spring Authorization Server
#   ./servers.sh all go test ./...                  with all three
#   ./servers.sh install                            gets those of "run"
#
# Inside of these, where the tests need it:
#
#   ./servers.sh up NAME      starts one of them on the port that it had
#   ./servers.sh down NAME    stops it
#   ./servers.sh sql COMMAND  changes Keycloak's database, while it is down
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

keycloak=26.7.3
keycloak_checksum=15c764765576eef267cf15cc5225a5826b5394a25a83d9bfa5b8544e4bbba690cb743c9d384200b93bb71ee4c4a328e1dd8c0a00f822fd3e6e154f14b1e47216
dependency_plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

cache=${XDG_CACHE_HOME:-$HOME/.cache}/ginauth-interop
keycloak_home=$cache/keycloak-$keycloak
oidcprovider_home=$cache/oidcprovider-$(cat oidcprovider/* | sha256sum | cut -c1-16)
spring_home=$cache/spring-$(find spring -type f -exec cat {} + | sha256sum | cut -c1-16)

# unless COMMAND PACKAGE… installs packages if there is no such command.
unless() {
	command -v "$1" >/dev/null || ../.ci/install "${@:2}"
}

maven() { mvn -q -B -C -Dstyle.color=never "$@"; }

# Each install_NAME fills its home anew, or leaves it as it is.

install_oidcprovider() {
	local tmp=$cache/tmp.$$
	[ ! -d "$oidcprovider_home" ] || return 0
	unless node nodejs
	unless npm npm
	mkdir -p "$tmp"
	cp oidcprovider/* "$tmp"
	(cd "$tmp" && npm ci --silent)
	mv "$tmp" "$oidcprovider_home"
}

# The tests start Redis themselves.
install_redis() { unless redis-server redis-server; }

install_spring() {
	local tmp=$cache/tmp.$$
	[ ! -d "$spring_home" ] || return 0
	unless java default-jdk-headless
	unless mvn maven
	maven -f spring package -Dtarget="$tmp"
	mv "$tmp" "$spring_home"
}

# Keycloak is built for its settings once, and its tables are made once: both
# take longer than everything after.
install_keycloak() {
	local zip=keycloak-quarkus-dist-$keycloak.zip tmp=$cache/tmp.$$
	[ ! -d "$keycloak_home/tables" ] || return 0
	unless java default-jdk-headless
	unless mvn maven
	unless unzip unzip
	rm -rf "$keycloak_home"
	mkdir -p "$tmp"
	maven "$dependency_plugin:copy" -Dartifact="org.keycloak:keycloak-quarkus-dist:$keycloak:zip" -DoutputDirectory="$tmp"
	printf '%s  %s\n' "$keycloak_checksum" "$tmp/$zip" | sha512sum --check --quiet
	unzip -q "$tmp/$zip" -d "$cache"
	"$keycloak_home/bin/kc.sh" build --db=dev-file
	mkdir "$tmp/tables"
	free_port >"$tmp/port"
	up keycloak "$tmp"
	down keycloak "$tmp"
	mv "$tmp"/*.mv.db "$tmp/tables"
	mv "$tmp/tables" "$keycloak_home"
	rm -rf "$tmp"
}

# Each run_NAME PORT DIRECTORY becomes the server.

run_oidcprovider() { NODE_ENV=production exec node "$oidcprovider_home/server.js" "$1"; }

run_spring() { exec java -Xmx256m -XX:TieredStopAtLevel=1 -jar "$spring_home/server.jar" --server.address=127.0.0.1 --server.port="$1"; }

run_keycloak() {
	[ -e "$2/keycloak.mv.db" ] || [ ! -d "$keycloak_home/tables" ] || cp "$keycloak_home/tables"/* "$2"
	export KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD=admin
	export JAVA_OPTS_KC_HEAP='-Xms128m -Xmx512m' JAVA_OPTS_APPEND=-XX:TieredStopAtLevel=1
	exec "$keycloak_home/bin/kc.sh" start --optimized --cache=local --hostname-strict=false \
		--http-enabled=true --http-host=127.0.0.1 --http-port="$1" \
		--db-url="$(database "$2");DB_CLOSE_ON_EXIT=FALSE"
}

database() { printf 'jdbc:h2:file:%s/keycloak;NON_KEYWORDS=VALUE' "$1"; }

sql() { java -cp "$(echo "$keycloak_home"/lib/lib/main/com.h2database.h2-*.jar)" org.h2.tools.Shell -url "$(database "$1")" -sql "$2"; }

# Where each answers 200 once it can be used.
ready_oidcprovider=/.well-known/openid-configuration
ready_spring=/.well-known/openid-configuration
ready_keycloak=/realms/master

# free_port prints a port that nobody listens on.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 12000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	printf '%s\n' "$port"
}

# answers PORT PATH succeeds if a GET of it gets 200.
answers() {
	local status
	exec 3<>"/dev/tcp/127.0.0.1/$1" || return
	printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1:%s\r\n\r\n' "$2" "$1" >&3
	read -r _ status _ <&3
	[ "$status" = 200 ]
}

# up NAME DIRECTORY starts a server and waits up to two minutes for it.
up() {
	local name=$1 dir=$2 port path=ready_$1 i
	port=$(cat "$dir/port")
	setsid ./servers.sh serve "$name" "$port" "$dir" >>"$dir/log" 2>&1 </dev/null &
	echo $! >"$dir/pid"
	for ((i = 0; i < 1200; i++)); do
		if (answers "$port" "${!path}") 2>/dev/null; then
			return
		fi
		kill -0 "$(cat "$dir/pid")" 2>/dev/null || break
		sleep 0.1
	done
	printf '%s did not start:\n' "$name" >&2
	tail -n 50 "$dir/log" >&2
	return 1
}

# down NAME DIRECTORY stops a server and waits for its end.
down() {
	local dir=$2 pid
	[ -s "$dir/pid" ] || return 0
	pid=$(cat "$dir/pid")
	rm "$dir/pid"
	kill -- "-$pid" 2>/dev/null || return 0
	while kill -0 -- "-$pid" 2>/dev/null; do sleep 0.1; done
}

# with NAMES COMMAND… runs the command with these servers.
with() {
	local names=$1 name
	shift
	for name in $names redis; do
		"install_$name" >&2
	done
	GINAUTH_INTEROP_DIR=$(mktemp -d)
	export GINAUTH_INTEROP_DIR
	trap stop EXIT
	for name in $names; do
		mkdir "$GINAUTH_INTEROP_DIR/$name"
		free_port >"$GINAUTH_INTEROP_DIR/$name/port"
		up "$name" "$GINAUTH_INTEROP_DIR/$name" >&2
	done
	"$@"
}

stop() {
	local dir
	for dir in "$GINAUTH_INTEROP_DIR"/*/; do
		down "$(basename "$dir")" "$dir"
	done
	rm -rf "$GINAUTH_INTEROP_DIR"
}

case ${1:-} in
install)
	install_oidcprovider
	install_keycloak
	install_redis
	;;
run) with "oidcprovider keycloak" "${@:2}" ;;
spring) with spring "${@:2}" ;;
all) with "oidcprovider keycloak spring" "${@:2}" ;;
up | down) "$1" "$2" "${GINAUTH_INTEROP_DIR:?is not set: nothing was started here}/$2" ;;
sql) sql "${GINAUTH_INTEROP_DIR:?is not set: nothing was started here}/keycloak" "$2" ;;
serve) "run_$2" "$3" "$4" ;;
*)
	sed -n '2,17p' servers.sh >&2
	exit 2
	;;
esac
