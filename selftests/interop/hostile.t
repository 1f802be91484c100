#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Scenario 8: bad keys, a control server that is not there or not itself, a
# broken control connection, a flood. Errors are said, nothing crashes, the
# tunnel goes on.

. "$(dirname "$0")/lib.sh"

through_proxy=https://headscale.test:8444

# A try to join that has to fail with some explanation.
refused() { # WHAT ARGUMENT...
	local what=$1
	shift
	ok "$what: up fails" not up_says "$@"
	ok "$what: an error is shown" grep -v '^$' "$tmp/says"
	diag "$(tail -n 1 "$tmp/says")"
	ok "$what: the agent lives" node_status us
}

up_says() { # ARGUMENT...
	node_cli us up --hostname=us --accept-dns=false --timeout=10s "$@" \
		> "$tmp/says" 2>&1
}

mode() { # MODE
	echo "$1" > "$tmp/mode"
}

connected() { # NAME
	control_nodes |
		jq -e ".[] | select(.name == \"$1\") | .online"
}

proxy_start() {
	spawn net proxy "$here/proxy.py" 8444 8443 "$tmp/headscale.test.crt" \
		"$tmp/headscale.test.key" "$tmp/mode"
	within 10 in_ns net socat -u OPEN:/dev/null TCP:127.0.0.1:8444 ||
		bail "the proxy does not start"
}

# Ends every connection through the proxy; the next one meets the mode.
cut_off() {
	reap proxy KILL
	proxy_start
}

servers_up
mode pass
proxy_start
node_new us us
node_new peer
node_start us
node_start peer
ok "the peer joins" node_up peer

# Joining what does not want us, or is not what it says.
refused "no server" --login-server=https://headscale.test:9 \
	--authkey="$authkey"
refused "wrong auth key" --login-server="$url" --force-reauth \
	--authkey="${authkey%?????}wrong"
for bad in junk refuse wrongkey; do
	mode $bad
	refused "server in mode $bad" --login-server=$through_proxy \
		--force-reauth --authkey="$authkey"
done

# Then the right key.
mode pass
ok "we join after all" node_cli us up --hostname=us --accept-dns=false \
	--login-server=$through_proxy --authkey="$authkey" --timeout=60s \
	--force-reauth
us=$(node_ip us)
stream_start warm peer "$us" 0.2
ok "the path is direct" within 40 node_direct peer us
stream_stop warm

# The control connection breaks again and again.
for bad in garble truncate junk wrongkey; do
	mode $bad
	stream_start pings peer "$us" 0.1
	cut_off
	sleep 8
	stream_stop pings
	read -r sent lost <<< "$(stream_result pings)"
	is "control in mode $bad: none of $sent packets is lost" "$lost" 0
done
mode pass
cut_off
ok "control is itself again: we are connected" within 60 connected us
took "time until we are connected"

# Garbage on WireGuard's port. An emulated machine loses packets when 50,000 of
# any kind arrive in a second, so a flood its kernel drops at once is the
# measure of that.
flood() { # PORT RATE
	stream_start pings peer "$us" 0.05
	diag "port $1: $(in_ns net "$here/flood.py" 10.0.1.2 "$1" "$2" 5)"
	stream_stop pings
	read -r sent lost <<< "$(stream_result pings)"
	diag "port $1: $lost of $sent packets are lost"
	percent=$((lost * 100 / sent))
}

node_script us <<-EOF
	nft add table ip flood
	nft 'add chain ip flood unwanted { type filter hook prerouting priority -400; }'
	nft add rule ip flood unwanted udp dport 9 drop
EOF
flood 41641 5000
ok "5,000 garbage packets a second do no harm" test "$percent" -lt 10
flood 9 50000
usual=$percent
flood 41641 50000
ok "50,000 do little more harm than the machine itself does" \
	test "$percent" -le $((usual + 25))
ok "after the flood: the agent lives" node_status us
ok "after the flood: packets arrive" within 10 node_ping peer "$us"
ok "after the flood: the path is direct" within 40 node_direct peer us
