#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Scenario 5: what headscale's policy lets in, and that a change of it takes
# effect on the connection to the control server that is already there.

. "$(dirname "$0")/lib.sh"

# Lets us reach everything, and the peer what the arguments say: a protocol
# ('' for the default ones) and ports of ours.
policy() { # [PROTOCOL PORTS]
	local rule=''
	[ $# -eq 0 ] || rule=", {\"action\": \"accept\", \"proto\": \"$1\",
		\"src\": [\"peer\"], \"dst\": [\"us:$2\"]}"
	cat <<-EOF
	{
		"hosts": {"us": "100.64.0.1/32", "peer": "100.64.0.2/32"},
		"acls": [{"action": "accept", "src": ["us"], "dst": ["peer:*"]}
			$rule]
	}
	EOF
}

listen() { # NAME
	node_exec "$1" sh -c "for port in 7001 7002; do
		socat TCP-LISTEN:\$port,reuseaddr,fork SYSTEM:'echo hello' &
	done </dev/null >/dev/null 2>&1
	socat UDP-RECVFROM:7003,fork SYSTEM:'echo hello' \
		</dev/null >/dev/null 2>&1 &"
}

tcp() { # FROM ADDRESS PORT
	node_exec "$1" sh -c "socat -T3 - TCP:$2:$3,connect-timeout=3 \
		</dev/null | grep hello"
}

udp() { # FROM ADDRESS PORT
	node_exec "$1" sh -c "echo x | socat -t3 -T3 - UDP:$2:$3 |
		grep -m1 hello"
}

# The control connections of our site, as the server sees them.
connections() {
	in_ns net ss -Htn state established '( sport = :8443 )' |
		grep -o '10\.0\.1\.2\S*\|\[2001:db8:1::2\]\S*' | sort
}

servers_up
policy | policy_set
node_new us us
node_new peer
node_start us
node_start peer
ok "we join" node_up us
ok "the peer joins" node_up peer
us=$(node_ip us)
peer=$(node_ip peer)
is "our address is the one in the policy" "$us" 100.64.0.1
listen us
listen peer
ok "we see the peer" within 15 node_online us peer
before=$(connections)

# The first policy we ever get lets nothing in.
ok "out: TCP" within 15 tcp us "$peer" 7001
ok "out: UDP" udp us "$peer" 7003
ok "out: ping" node_ping us "$peer"
ok "nothing allowed: no TCP" not tcp peer "$us" 7001
ok "nothing allowed: no UDP" not udp peer "$us" 7003
ok "nothing allowed: no ping" not node_ping peer "$us"
ok "nothing allowed: disco is not affected" node_cli peer ping --c 1 "$us"

policy tcp 7001 | policy_set
ok "TCP port allowed" within 15 tcp peer "$us" 7001
took "time for the policy to take effect"
ok "TCP port allowed: no other port" not tcp peer "$us" 7002
ok "TCP port allowed: no UDP" not udp peer "$us" 7003

policy udp 7003 | policy_set
ok "UDP port allowed" within 15 udp peer "$us" 7003
ok "UDP port allowed: no TCP" not tcp peer "$us" 7001

policy icmp '*' | policy_set
ok "ICMP allowed" within 15 node_ping peer "$us"
ok "ICMP allowed: no TCP" not tcp peer "$us" 7001
ok "ICMP allowed: no UDP" not udp peer "$us" 7003

policy '' '7001-7003' | policy_set
ok "a port range: TCP" within 15 tcp peer "$us" 7002
ok "a port range: UDP" udp peer "$us" 7003
ok "a port range: ping" node_ping peer "$us"

policy | policy_set
ok "nothing allowed again" within 15 not tcp peer "$us" 7001
is "the connection to the server stayed" "$(connections)" "$before"
