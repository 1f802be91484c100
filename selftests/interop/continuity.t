#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Scenario 7: the agent is killed for ten seconds under a stream of 100
# packets a second and started again. On a direct path not one is lost.

. "$(dirname "$0")/lib.sh"

servers_up
node_new us us
node_new peer
node_start us
node_start peer
ok "we join" node_up us
ok "the peer joins" node_up peer
us=$(node_ip us)
ok "the peer reaches us" within 15 node_ping peer "$us"
stream_start warm peer "$us" 0.2
ok "the path is direct" within 40 node_direct us peer
ok "the peer's path is direct" within 40 node_direct peer us
stream_stop warm

stream_start pings peer "$us" 0.01
sleep 3
node_kill us
sleep 10
node_start us
ok "we run again" within 20 node_running us
ok "we see the peer again" within 20 node_online us peer
sleep 3
stream_stop pings
read -r sent lost <<< "$(stream_result pings)"
ok "the stream lasted" test "$sent" -gt 1000
beyond_stock "$lost of $sent packets are lost" test "$lost" -eq 0
ok "the path is direct still" within 10 node_direct us peer

# For the reader: what the agent takes.
if [ "$node_under_test" = tailrace ]; then
	node_exec us sh -c "ps -eo rss=,args= | grep '[t]ailraced'" |
		while read -r size command; do
			diag "resident: $size KiB, ${command%% *}"
		done
fi
