#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Scenario 6: peers come, go, change their key and their place; servers and
# peers restart. Traffic resumes every time.

. "$(dirname "$0")/lib.sh"

both_ways() { # WHAT
	ok "$1: the peer reaches us" within 40 node_ping peer "$us"
	took "time until the peer reaches us"
	ok "$1: we reach the peer" within 40 node_ping us "$peer"
}

node_key() {
	node_status us | jq -r \
		'first(.Peer[] | select(.HostName == "peer")) | .PublicKey'
}

is_gone() { # NAME
	[ -z "$(node_sees us "$1" .HostName)" ]
}

key_changed() { # KEY
	[ "$(node_key)" != "$1" ]
}

our_key() {
	node_status peer | jq -r \
		'first(.Peer[] | select(.HostName == "us")) | .PublicKey'
}

our_key_changed() { # KEY
	[ "$(our_key)" != "$1" ]
}

# Connected to the control server, as the server sees it.
connected() { # NAME
	control_nodes |
		jq -e ".[] | select(.name == \"$1\") | .online"
}

servers_up
node_new us us
node_new peer
node_start us
node_start peer
ok "we join" node_up us
ok "the peer joins" node_up peer
us=$(node_ip us)
peer=$(node_ip peer)
both_ways "start"

# A third node comes and goes.
node_new third
node_start third
ok "a third node joins" node_up third
third=$(node_ip third)
ok "we see it" within 15 node_online us third
ok "we reach it" within 15 node_ping us "$third"
took "time until we reach it"
ok "it reaches us" within 15 node_ping third "$us"
id=$(control_nodes | jq '.[] | select(.name == "third").id')
ok "the third node is deleted" control_delete "$id"
ok "we forget it" within 15 is_gone third
ok "it does not reach us" not node_ping third "$us"
node_stop third

# The peer gets a new node key.
before=$(node_key)
ok "the peer logs out" node_cli peer logout
ok "the peer logs in" node_up peer
ok "we get its new key" within 15 key_changed "$before"
both_ways "key rotated"

# And so do we.
before=$(our_key)
ok "we log out" node_cli us logout
ok "we log in" node_up us
ok "the peer gets our new key" within 15 our_key_changed "$before"
both_ways "our key rotated"

# Our host gets another address, as after a new DHCP lease.
stream_start pings peer "$us" 0.2
ok "before the move: direct" within 40 node_direct peer us
node_script us <<-EOF
	ip addr del 10.0.1.2/24 dev eth0
	ip addr add 10.0.1.9/24 dev eth0
	ip route replace default via 10.0.1.1
	ip -6 addr del 2001:db8:1::2/64 dev eth0
EOF
both_ways "our host moved"
ok "our host moved: direct" within 60 node_direct peer us 10.0.1.9
took "time to direct"
stream_stop pings
site_address us | node_script us

# Both sides behind a NAT, then each moves to another address.
nat_set us eim
nat_set peer eim
node_stop us
node_stop peer
node_start us
node_start peer
both_ways "behind NAT"
stream_start pings peer "$us" 0.2
ok "behind NAT: direct" within 40 node_direct us peer
site_roam peer
both_ways "the peer roamed"
ok "the peer roamed: direct" within 60 node_direct us peer 203.0.113.22
took "time to direct"
site_roam us
both_ways "we roamed"
ok "we roamed: direct" within 60 node_direct peer us 203.0.113.21
took "time to direct"
stream_stop pings

# Servers restart.
stream_start pings peer "$us" 0.2
control_stop
sleep 3
control_start
ok "control is back: we are connected" within 60 connected us
took "time until we are connected"
stream_stop pings
read -r sent lost <<< "$(stream_result pings)"
is "none of $sent packets is lost meanwhile" "$lost" 0

nat_set us noudp
both_ways "on the relay"
reap derper
sleep 1
derper_start
both_ways "derper is back"

nat_set us none
nat_set peer none
node_stop peer
node_start peer
both_ways "the peer is back"
