#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# `tailrace relay` between stock nodes: relayed where UDP is blocked, STUN,
# restart, a new certificate, and one region together with a real derper.

TAILRACE_NODE=stock
CONTROL=headscale
. "$(dirname "$0")/lib.sh"

relay_start() {
	spawn net relay env SSL_CERT_FILE="$tmp/derp2.test.crt" \
		"$top/build/tailrace" relay --a=:443 --hostname=derp.test \
		--http-port=80 --certdir="$tmp" --c="$tmp/relay.json" \
		--mesh-psk-file="$tmp/mesh.key" --mesh-with=derp2.test:8444 \
		--verbose
	within 10 in_ns net curl -sfko /dev/null \
		--resolve derp.test:443:203.0.113.1 \
		https://derp.test/derp/probe ||
		bail "the relay does not start"
}

# The other node of the region.
derper2_start() {
	spawn net derper2 env SSL_CERT_FILE="$tmp/derp.test.crt" \
		"$bin/derper" -hostname derp2.test -a :8444 -http-port -1 \
		-stun=false -certmode manual -certdir "$tmp" \
		-c "$tmp/derper2.json" -mesh-psk-file "$tmp/mesh.key" \
		-mesh-with derp.test
	within 10 in_ns net curl -sfko /dev/null \
		--resolve derp2.test:8444:203.0.113.1 \
		https://derp2.test:8444/derp/probe ||
		bail "derper does not start"
}

# One of the relay's figures.
relay_metric() {
	in_ns net curl -sfk --resolve derp.test:443:127.0.0.1 \
		https://derp.test/debug/varz | awk -v name="$1" '
		$1 == name { print $2; found = 1 } END { exit !found }'
}

relay_metric_is() {
	[ "$(relay_metric "$1")" = "$2" ]
}

hash_of() { # CERTIFICATE
	openssl x509 -in "$1" -outform DER | sha256sum | cut -d' ' -f1
}

# Does a new connection get that certificate?
certificate_is() {
	[ "$(in_ns net openssl s_client -connect 203.0.113.1:443 \
		-servername derp.test </dev/null 2>/dev/null |
		hash_of /dev/stdin)" = "$(hash_of "$1")" ]
}

# From that site the relay cannot be reached by TCP.
relay_block() { # SITE
	in_ns "r$1" nft -f - <<-EOF
	table inet block {
		chain forward {
			type filter hook forward priority -2;
			tcp dport 443 reject with tcp reset
		}
	}
	EOF
}

certificate derp.test
certificate derp2.test
certificate headscale.test
control_configure
echo '203.0.113.1 derp2.test' >> "$tmp/hosts"
(umask 077; openssl rand -hex 32 > "$tmp/mesh.key")
cat >> "$tmp/derpmap.yaml" <<-EOF
      - name: 900b
        regionid: 900
        hostname: derp2.test
        certname: sha256-raw:$(hash_of "$tmp/derp2.test.crt")
        ipv4: 203.0.113.1
        ipv6: none
        derpport: 8444
        stunport: -1
EOF
[ -x "$top/build/tailrace" ] || bail "no build/tailrace: make agent"
relay_start
control_start
control_user tester > /dev/null || bail "headscale creates no user"
authkey=$(control_key --reusable)
node_new a
node_new b
node_start a
node_start b
ok "a joins" node_up a
ok "b joins" node_up b
a=$(node_ip a)
b=$(node_ip b)

# It probes from where it runs.
in_ns a "$bin/tailscale" --socket="$tmp/a.sock" netcheck --format=json \
	> "$tmp/netcheck.json" 2>/dev/null
ok "STUN answers" jq -e '.UDP and .GlobalV4 != "" and .GlobalV6 != ""' \
	"$tmp/netcheck.json"
ok "the region has a latency" jq -e '.PreferredDERP == 900 and
	.RegionLatency["900"] > 0' "$tmp/netcheck.json"
is "generate_204" "$(in_ns a curl -so /dev/null -w '%{http_code}' \
	-H 'X-Tailscale-Challenge: a' http://203.0.113.1/generate_204)" 204

nat_set a noudp
nat_set b noudp
ok "without UDP, b answers a" within 20 node_ping a "$b"
took "time to the first packet"
ok "a answers b" node_ping b "$a"
ok "over the relay" node_derp a b
ok "tailscale ping" node_cli a ping --c 1 --until-direct=false "$b"
ok "2 MB from a to b" node_transfer a b 2
ok "2 MB from b to a" node_transfer b a 2

stream_start pings a "$b" 0.1
accepts=$(relay_metric derp_accepts)
cp "$tmp/derp.test.crt" "$tmp/first.crt"
cp "$tmp/derp.test.key" "$tmp/first.key"
certificate derp.test
kill -HUP "$(cat "$tmp/relay.pid")"
ok "SIGHUP: a new certificate is shown" \
	within 10 certificate_is "$tmp/derp.test.crt"
cp "$tmp/first.crt" "$tmp/derp.test.crt"
cp "$tmp/first.key" "$tmp/derp.test.key"
kill -HUP "$(cat "$tmp/relay.pid")"
ok "SIGHUP: and the old one again" within 10 certificate_is "$tmp/first.crt"
stream_stop pings
read -r sent lost <<< "$(stream_result pings)"
is "SIGHUP: none of $sent packets is lost" "$lost" 0
is "SIGHUP: nobody came back" "$(relay_metric derp_accepts)" "$accepts"

reap relay
relay_start
ok "a restart: b answers a" within 20 node_ping a "$b"
took "time to the first packet after it"
ok "a restart: a answers b" within 20 node_ping b "$a"

# b moves to the other node of the region.
derper2_start
relay_block b
ok "mesh: both relays are connected" \
	within 20 relay_metric_is derp_watchers 1
reap relay
relay_start
ok "mesh: b is on derper, behind us" \
	within 30 relay_metric_is derp_clients_remote 1
took "time until b has moved"
ok "mesh: b answers a" within 20 node_ping a "$b"
ok "mesh: a answers b" within 20 node_ping b "$a"
ok "mesh: 2 MB from a to b" node_transfer a b 2
ok "mesh: 2 MB from b to a" node_transfer b a 2
# derper's figures but for those of Go's runtime and of its own buffers.
vars() { # HOST PORT
	in_ns net curl -sfk --resolve "$1:$2:127.0.0.1" \
		"https://$1:$2/debug/vars" | jq -r '[.derp, .stun,
			.tls_listener, .derper_tls_request_version] |
		map(keys) | flatten | .[]' |
		grep -Ev 'buffered_write|mesh_update|memstats' | sort -u
}
vars derp.test 443 > "$tmp/vars"
vars derp2.test 8444 > "$tmp/vars2"
is "vars: all that derper has" \
	"$(comm -13 "$tmp/vars" "$tmp/vars2" | xargs)" ""
ok "vars: that is something" test "$(wc -l < "$tmp/vars2")" -gt 25
ok "check: the figures are right" in_ns net curl -sfk \
	--resolve derp.test:443:127.0.0.1 https://derp.test/debug/check
ok "mesh: packets went out and came in" \
	test "$(relay_metric derp_packets_forwarded_out)" -gt 1000 -a \
	"$(relay_metric derp_packets_forwarded_in)" -gt 1000
reap derper2
ok "mesh: derper gone, so are its clients" \
	within 10 relay_metric_is derp_clients_remote 0
