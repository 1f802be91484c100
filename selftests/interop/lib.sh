# SPDX-License-Identifier: GPL-2.0
#
# Sourced by the interop tests: TAP, the servers (headscale or coord, derper),
# and the nodes, stock or ours, behind one set of functions.
#
# A test is written for two nodes: "us" is the node under test, a VM with
# tailrace.ko and tailraced, and "peer" is a stock tailscaled. With
# TAILRACE_NODE=stock "us" is a second stock tailscaled: that proves the
# harness, and shows what stock does where a test expects more.

set -u
shopt -s inherit_errexit 2>/dev/null

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${TAILRACE_CACHE:-/var/cache/tailrace}
bin=$cache/bin
suite=${KERNEL:-bookworm}
tests=0
failed=0

# ── TAP ──────────────────────────────────────────────────────────────────

diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

bail() {
	echo "Bail out! $*"
	exit 1
}

# ok DESCRIPTION COMMAND...: a test that passes when the command does.
ok() {
	local description=$1
	shift
	tests=$((tests + 1))
	if "$@" > "$tmp/ok.out" 2>&1; then
		echo "ok $tests - $description"
		return 0
	fi
	echo "not ok $tests - $description"
	diag "command: $*"
	sed 's/^/#   /' "$tmp/ok.out"
	failed=$((failed + 1))
	return 1
}

# A test that stock tailscaled is known to fail where we must not.
beyond_stock() { # DESCRIPTION COMMAND...
	local description=$1
	shift
	if [ "$node_under_test" = stock ] && ! "$@" > /dev/null; then
		tests=$((tests + 1))
		echo "not ok $tests - $description # TODO stock tailscaled"
	else
		ok "$description" "$@"
	fi
}

# is DESCRIPTION GOT WANTED
is() {
	ok "$1" test "$2" = "$3" && return
	diag "got '$2', wanted '$3'"
	return 1
}

not() {
	! "$@"
}

now() {
	date +%s.%N
}

# within SECONDS COMMAND...: repeats the command until it succeeds or the time
# is up. $elapsed says how long that took.
within() {
	local limit=$1 start
	shift
	start=$(now)
	while ! "$@" > "$tmp/within.out" 2>&1; do
		elapsed=$(since "$start")
		if [ "${elapsed%.*}" -ge "$limit" ]; then
			cat "$tmp/within.out"
			return 1
		fi
		sleep 0.1
	done
	elapsed=$(since "$start")
}

since() {
	awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'
}

# took WHAT: a figure for the reader.
took() {
	diag "$1: $elapsed s"
}

finish() {
	local status=$?
	trap - EXIT INT TERM
	if [ "$failed" -gt 0 ] || [ $status -ne 0 ]; then
		show_logs
	fi
	nodes_down
	net_down
	if [ -n "${KEEP-}" ]; then
		diag "logs are in $tmp"
	else
		rm -rf "$tmp"
	fi
	[ $status -eq 0 ] && echo "1..$tests"
	[ "$failed" -eq 0 ] || status=1
	exit $status
}

show_logs() {
	local log
	for log in "$tmp"/*.log; do
		[ -s "$log" ] || continue
		diag "── ${log##*/}, last lines"
		tail -n "${LOG_LINES:-25}" "$log" | cut -c1-300 | sed 's/^/#   /'
	done
}

. "$here/net.sh"
. "$here/node.sh"

# ── Servers ──────────────────────────────────────────────────────────────

url=https://headscale.test:8443

# DERP=derper (the default) or relay, which is ours; both at derp.test.
derp=${DERP:-derper}

relay_start() {
	spawn net derper "$top/build/tailrace" relay --a=:443 --http-port=-1 \
		--hostname=derp.test --certdir="$tmp" --c="$tmp/relay.json"
	within 10 in_ns net curl -sko /dev/null https://derp.test/derp/probe \
		--resolve derp.test:443:203.0.113.1 ||
		bail "the relay does not start"
}

derper_start() {
	spawn net derper "$bin/derper" -hostname derp.test -a :443 \
		-http-port -1 -stun -certmode manual -certdir "$tmp" \
		-c "$tmp/derper.json"
	within 10 in_ns net curl -sko /dev/null https://derp.test/ \
		--resolve derp.test:443:203.0.113.1 ||
		bail "derper does not start"
}

# NAME.key and NAME.crt, which no authority signed.
certificate() { # NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
		-nodes -keyout "$tmp/$1.key" -out "$tmp/$1.crt" -days 2 \
		-subj "/CN=$1" -addext "subjectAltName=DNS:$1" 2>/dev/null
}

. "$here/server.sh"

servers_up() {
	certificate derp.test
	certificate headscale.test
	control_configure
	"${derp}_start"
	control_start
	control_user tester > /dev/null ||
		bail "$control creates no user"
	authkey=$(control_key --reusable)
	[ "$authkey" ] || bail "$control gives no key"
}

# ── Preparation ──────────────────────────────────────────────────────────

if [ "$(id -u)" -ne 0 ]; then
	bail "the interop tests need root"
fi
trap finish EXIT
trap 'exit 130' INT TERM
if [ "${PEERS-stock}" != none ]; then
	"$top/scripts/interop-peers.sh" >"$tmp/peers.log" 2>&1 ||
		bail "the stock peers do not build"
fi
net_up
