#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Scenarios 1 and 4: both nodes join with an auth key, see each other, and
# answer every kind of ping.

. "$(dirname "$0")/lib.sh"

servers_up
node_new us us
node_new peer
node_start us
node_start peer

start=$(now)
ok "we join with an auth key" node_up us
elapsed=$(since "$start")
took "time to join"
ok "the peer joins" node_up peer

ok "the peer lists us online" within 15 node_online peer us
ok "we list the peer online" within 15 node_online us peer
is "our address is the one the peer sees" \
	"$(node_sees peer us '.TailscaleIPs[0]')" "$(node_ip us)"
is "and the reverse" \
	"$(node_sees us peer '.TailscaleIPs[0]')" "$(node_ip peer)"

ok "the peer reaches us over IPv4" within 15 node_ping peer "$(node_ip us)"
took "time to the first packet"
ok "we reach the peer over IPv6" within 15 node_ping us "$(node_ip peer 6)"
ok "the path becomes direct" within 30 node_direct us peer
took "time to direct"

# Our host must not answer TSMP, IP protocol 99, with an ICMP error.
spawn peer errors tcpdump -lni tailscale0 \
	"src host $(node_ip us) and icmp[0] == icmp-unreach"
within 5 grep -q listening "$tmp/errors.log"
ok "tailscale ping" node_cli peer ping --c 3 "$(node_ip us)"
ok "tailscale ping --tsmp" node_cli peer ping --tsmp --c 3 "$(node_ip us)"
ok "tailscale ping --icmp" node_cli peer ping --icmp --c 3 "$(node_ip us)"
ok "our ping" node_cli us ping --c 3 "$(node_ip peer)"
ok "our ping --tsmp" node_cli us ping --tsmp --c 3 "$(node_ip peer)"
ok "our ping --icmp" node_cli us ping --icmp --c 3 "$(node_ip peer)"
reap errors INT
beyond_stock "our host does not say unreachable" \
	not grep ' > ' "$tmp/errors.log"

diag "resident memory in KiB: $(node_exec us \
	ps -o comm=,rss= -C tailraced,tailraced-eng,tailscaled | xargs)"

ok "we leave with logout" node_cli us logout
ok "the peer no longer lists us online" within 30 not node_online peer us
