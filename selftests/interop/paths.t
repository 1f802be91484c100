#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Scenarios 2 and 3: the relayed path where UDP is blocked, and the direct
# path through every kind of NAT that allows one.

. "$(dirname "$0")/lib.sh"

# Both nodes begin anew between these two routers.
between() { # OUR-NAT PEER-NAT
	node_stop us
	node_stop peer
	nat_set us "$1"
	nat_set peer "$2"
	node_start us
	node_start peer
	ok "us $1, peer $2: the peer is up" within 20 node_running peer
	ok "us $1, peer $2: we are up" within 20 node_running us
	ok "us $1, peer $2: a packet arrives" \
		within 20 node_ping peer "$our_ip"
	took "time to the first packet"
}

becomes_direct() { # WHAT [ADDRESS PREFIX]
	stream_start pings peer "$our_ip" 0.2
	ok "$1: we send directly" within 40 node_direct us peer "${2-}"
	took "time from the first packet to direct"
	ok "$1: the peer sends directly" within 40 node_direct peer us "${2-}"
	stream_stop pings
}

servers_up
node_new us us
node_new peer
node_start us
node_start peer
ok "we join" node_up us
ok "the peer joins" node_up peer
our_ip=$(node_ip us)
peer_ip=$(node_ip peer)

# Relayed: both routers drop every UDP packet.
between noudp noudp
ok "noudp: the peer reaches us" node_ping peer "$our_ip"
ok "noudp: we reach the peer" node_ping us "$peer_ip"
ok "noudp: 5 MB from us to the peer" node_transfer us peer 5
ok "noudp: 5 MB from the peer to us" node_transfer peer us 5
ok "noudp: our path is the relay" node_derp us peer
ok "noudp: the peer's path is the relay" node_derp peer us

# No NAT, then the kinds that let a direct path through.
between none none
becomes_direct "no NAT"
ok "no NAT: 5 MB from the peer to us" node_transfer peer us 5

between eim eim
becomes_direct "eim-eim" 203.0.113.
ok "eim-eim: 5 MB from us to the peer" node_transfer us peer 5

# A lossy link does not push us off the direct path.
loss_set peer 5
stream_start pings peer "$our_ip" 0.2
for try in 1 2 3 4 5 6; do
	sleep 2
	node_direct us peer || break
done
ok "5 % loss: our path stays direct" node_direct us peer
stream_stop pings
read -r sent lost <<< "$(stream_result pings)"
diag "5 % loss: $lost of $sent packets are lost"
ok "5 % loss: 5 MB from the peer to us" node_transfer peer us 5

between edm cone
becomes_direct "edm-cone"

between cone edm
becomes_direct "cone-edm"

# Nothing can be guessed: the relay carries the traffic for good.
between edm edm
stream_start pings peer "$our_ip" 0.2
sleep 12
stream_stop pings
ok "edm-edm: our path is the relay" node_derp us peer
ok "edm-edm: the peer's path is the relay" node_derp peer us
read -r sent lost <<< "$(stream_result pings)"
is "edm-edm: none of $sent packets is lost on the relay" "$lost" 0
ok "edm-edm: 5 MB from us to the peer" node_transfer us peer 5

# IPv6 only.
site_address us 6 | node_script us
site_address peer 6 | node_script peer
between none none
becomes_direct "IPv6 only" '[2001:db8:'
