#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Our coordination server and a relay that asks it whom to let in (/verify), ours
# and derper: stock nodes learn of the relay from the server, talk over it while
# the server is down, and nobody else gets in.

TAILRACE_NODE=stock
CONTROL=coord
. "$(dirname "$0")/lib.sh"

make -s -C "$top" build/interop/stranger || bail "cannot build the stranger"

# The server knows no DERP map, only that there is a relay.
coord_spawn() {
	spawn net coord "$top/build/tailrace" coord serve \
		--state-dir="$tmp/coord" --listen=:8443 --server-url="$url" \
		--tls-cert="$tmp/headscale.test.crt" \
		--tls-key="$tmp/headscale.test.key" \
		--policy="$tmp/policy.json" \
		--relay=derp.test --relay-cert="$(derp_cert_name)" \
		--base-domain=tailrace.test --magic-dns=false
}

# Both trust the server's certificate and let nobody in without its word.
verify=(--verify-client-url="$url/verify" --verify-client-url-fail-open=false)

relay_start() {
	spawn net relay env SSL_CERT_FILE="$tmp/headscale.test.crt" \
		"$top/build/tailrace" relay --a=:443 --hostname=derp.test \
		--http-port=80 --certdir="$tmp" --c="$tmp/relay.json" \
		"${verify[@]}" --verbose
	within 10 in_ns net curl -sfko /dev/null \
		--resolve derp.test:443:203.0.113.1 \
		https://derp.test/derp/probe ||
		bail "the relay does not start"
}

# The same host, another program.
derper_verify_start() {
	spawn net derper env SSL_CERT_FILE="$tmp/headscale.test.crt" \
		"$bin/derper" -hostname derp.test -a :443 -http-port -1 \
		-stun -certmode manual -certdir "$tmp" \
		-c "$tmp/derper.json" "${verify[@]}"
	within 10 in_ns net curl -sfko /dev/null \
		--resolve derp.test:443:203.0.113.1 \
		https://derp.test/derp/probe ||
		bail "derper does not start"
}

stranger() {
	in_ns net "$top/build/interop/stranger" 203.0.113.1 443 derp.test \
		"$(derp_cert_name)"
}

relay_metric() {
	in_ns net curl -sfk --resolve derp.test:443:127.0.0.1 \
		https://derp.test/debug/varz | awk -v name="$1" '
		$1 == name { print $2; found = 1 } END { exit !found }'
}

relay_counts() { # METRIC: is it more than 0?
	[ "$(relay_metric "$1")" -gt 0 ]
}

certificate derp.test
certificate headscale.test
control_configure
[ -x "$top/build/tailrace" ] || bail "no build/tailrace: make agent"
control_start
control_user tester > /dev/null || bail "no user"
authkey=$(control_key --reusable)
relay_start
for name in a b; do
	node_new $name
	node_start $name
	ok "$name joins" node_up $name
done
a=$(node_ip a)
b=$(node_ip b)
nat_set a noudp
nat_set b noudp
ok "without UDP, b answers a" within 20 node_ping a "$b"
ok "over the relay that the server told of" node_derp a b
ok "which asked the server about both" \
	test "$(relay_metric derp_current_connections)" -ge 2
ok "a stranger is not let in" stranger
ok "and counted" test "$(relay_metric derp_clients_rejected)" -ge 1

stream_start pings a "$b" 0.1
control_stop KILL
sleep 3
ok "the server is down: b answers a" node_ping a "$b"
ok "nobody new is let in" stranger
control_start
stream_stop pings
read -r sent lost <<< "$(stream_result pings)"
is "none of $sent packets is lost" "$lost" 0

# A node that was deleted still has its key.
control_delete "$(control_nodes | jq -r '.[] | select(.name == "b").id')" \
	> /dev/null
reap relay
relay_start
ok "a deleted node is not let in again" \
	within 30 relay_counts derp_clients_rejected
ok "the other one is" within 30 relay_counts derp_current_connections
node_cli b logout > /dev/null 2>&1
ok "it joins again" node_up b
b=$(node_ip b)
ok "and answers" within 30 node_ping a "$b"

reap relay
derper_verify_start
ok "derper in its place: b answers a" within 60 node_ping a "$b"
ok "over derper" node_derp a b
ok "a stranger is not let in there either" stranger
