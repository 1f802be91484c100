# SPDX-License-Identifier: GPL-2.0
#
# Sourced by the interop tests: TAP, the servers (headscale, derper), and the
# nodes, stock or ours, behind one set of functions.
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

# The relay's certificate is known to clients by its hash in the DERP map; the
# control server's is the only one they trust.
headscale_configure() {
	local hash
	certificate derp.test
	certificate headscale.test
	hash=$(openssl x509 -in "$tmp/derp.test.crt" -outform DER | sha256sum)
	cat > "$tmp/derpmap.yaml" <<-EOF
	regions:
	  900:
	    regionid: 900
	    regioncode: test
	    regionname: Test
	    nodes:
	      - name: 900a
	        regionid: 900
	        hostname: derp.test
	        certname: sha256-raw:${hash%% *}
	        ipv4: 203.0.113.1
	        ipv6: 2001:db8::1
	EOF
	cat > "$tmp/headscale.yaml" <<-EOF
	server_url: $url
	listen_addr: "[::]:8443"
	tls_cert_path: $tmp/headscale.test.crt
	tls_key_path: $tmp/headscale.test.key
	metrics_listen_addr: 127.0.0.1:9090
	grpc_listen_addr: 127.0.0.1:50443
	noise:
	  private_key_path: $tmp/headscale.key
	prefixes:
	  v4: 100.64.0.0/10
	  v6: fd7a:115c:a1e0::/48
	derp:
	  urls: []
	  paths: [$tmp/derpmap.yaml]
	  auto_update_enabled: false
	disable_check_updates: true
	database:
	  type: sqlite
	  sqlite:
	    path: $tmp/headscale.db
	policy:
	  mode: file
	  path: $tmp/policy.json
	dns:
	  magic_dns: false
	  override_local_dns: false
	  base_domain: tailrace.test
	unix_socket: $tmp/headscale.sock
	log:
	  level: info
	EOF
	policy_allow_all > "$tmp/policy.json"
}

policy_allow_all() {
	echo '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}'
}

# Puts the policy on standard input into force.
policy_set() {
	cat > "$tmp/policy.json"
	kill -HUP "$(cat "$tmp/headscale.pid")"
}

headscale() {
	"$bin/headscale" -c "$tmp/headscale.yaml" "$@" 2>>"$tmp/headscale-cli.log"
}

headscale_start() {
	spawn net headscale "$bin/headscale" -c "$tmp/headscale.yaml" serve
	within 30 in_ns net curl -sfo /dev/null "$url/health" \
		--cacert "$tmp/headscale.test.crt" \
		--resolve headscale.test:8443:203.0.113.1 ||
		bail "headscale does not start"
}

servers_up() {
	headscale_configure
	derper_start
	headscale_up
}

# headscale, with a user and a key to join by.
headscale_up() {
	headscale_start
	headscale users create tester >/dev/null ||
		bail "headscale creates no user"
	authkey=$(headscale preauthkeys create --user 1 --reusable -o json |
		jq -r .key)
	[ "$authkey" ] || bail "headscale gives no key"
}

# ── Preparation ──────────────────────────────────────────────────────────

if [ "$(id -u)" -ne 0 ]; then
	bail "the interop tests need root"
fi
trap finish EXIT
trap 'exit 130' INT TERM
"$top/scripts/interop-peers.sh" >"$tmp/peers.log" 2>&1 ||
	bail "the stock peers do not build"
net_up
