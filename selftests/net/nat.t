#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The routers of the interop tests do what the names of their modes say.
#
#   $ns-a ── $ns-ra ── $ns-net: reflect.py

. "$(dirname "$0")/../interop/lib.sh"

# Sets first and second, the outside addresses seen by two ports, and filter.
probe() { # ADDRESS
	{
		read -r first
		read -r second
		read -r filter
	} < <(in_ns a "$here/../net/reflect.py" probe "$1" 2>&1)
	[ "$filter" ]
}

site_add a
site_address a | in_ns a sh -e
for address in 203.0.113.1 2001:db8::1; do
	spawn net "reflect-$address" "$here/../net/reflect.py" serve $address
done
ok "the reflector answers" within 10 probe 203.0.113.1

nat_set a none
ok "none: probe" probe 203.0.113.1
is "none: the inside address is seen" "$first" "10.0.1.2 41641"
is "none: anyone may send" "$filter" open
ok "none: IPv6 probe" probe 2001:db8::1
is "none: IPv6" "$first" "2001:db8:1::2 41641"

nat_set a eim
ok "eim: probe" probe 203.0.113.1
is "eim: the outside address is seen" "${first% *}" 203.0.113.11
is "eim: the mapping does not depend on the destination" "$second" "$first"
is "eim: strangers are kept out" "$filter" closed
ok "eim: IPv6 probe" probe 2001:db8::1
is "eim: no IPv6" "$first" None

nat_set a cone
ok "cone: probe" probe 203.0.113.1
is "cone: the mapping does not depend on the destination" "$second" "$first"
is "cone: anyone may send" "$filter" open

nat_set a edm
ok "edm: probe" probe 203.0.113.1
is "edm: the outside address is seen" "${first% *}" 203.0.113.11
ok "edm: the mapping depends on the destination" test "$second" != "$first"
is "edm: strangers are kept out" "$filter" closed

nat_set a noudp
ok "noudp: probe" probe 203.0.113.1
is "noudp: no answer" "$first" None
ok "noudp: ping" in_ns a ping -q -c 1 -W 2 203.0.113.1

nat_set a none
loss_set a 50
in_ns a ping -q -c 100 -i 0.01 -W 1 203.0.113.1 > "$tmp/loss"
lost=$(sed -n 's/.* \([0-9]*\)[.0-9]*% packet loss.*/\1/p' "$tmp/loss")
ok "loss: $lost % of echoes with 50 % each way" test "$lost" -gt 50 -a "$lost" -lt 95
loss_set a 0

site_roam a
nat_set a eim
ok "roamed: probe" probe 203.0.113.1
is "roamed: another outside address" "${first% *}" 203.0.113.21
