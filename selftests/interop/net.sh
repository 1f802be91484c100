# SPDX-License-Identifier: GPL-2.0
#
# Sourced by lib.sh: the network the scenarios run on.
#
#   ┌─────────────────────── $ns-net ───────────────────────┐
#   │ 203.0.113.1/24, 2001:db8::1/64                        │
#   │ headscale.test :8443    derp.test :443, STUN :3478    │
#   └──────┬──────────────────────┬─────────────────────────┘
#      203.0.113.11           203.0.113.12      2001:db8::1i
#   ┌── $ns-ra ──┐         ┌── $ns-rb ──┐
#   │ router, NAT│         │ router, NAT│       one per site
#   └──────┬─────┘         └──────┬─────┘
#      10.0.1.1               10.0.2.1          2001:db8:i::1
#          │                      │
#      10.0.1.2               10.0.2.2          2001:db8:i::2
#   ┌── $ns-a ───┐         ┌── $ns-b ───┐
#   │ stock node │         │ VM on a tap│
#   └────────────┘         └────────────┘
#
# Every packet stays inside these namespaces. Their names carry the pid of the
# test, so tests may run side by side.

declare -A site_index=()
ns=ti$$
tmp=$(mktemp -d "/tmp/$ns.XXXX")

in_ns() { # NAME COMMAND...
	local name=$1
	shift
	ip netns exec "$ns-$name" "$@"
}

# Starts a program in a namespace, in a mount namespace of its own where the
# names of the two servers resolve and /etc/resolv.conf is not the host's.
spawn() { # NAME TAG COMMAND...
	local name=$1 tag=$2
	shift 2
	ip netns exec "$ns-$name" unshare -m sh -c '
		mount --bind "$1/hosts" /etc/hosts &&
		mount --bind "$1/resolv.conf" /etc/resolv.conf &&
		shift && exec "$@"' sh "$tmp" "$@" >>"$tmp/$tag.log" 2>&1 &
	echo $! > "$tmp/$tag.pid"
}

# Ends what spawn started; the signal defaults to TERM.
reap() { # TAG [SIGNAL]
	local pid
	pid=$(cat "$tmp/$1.pid" 2>/dev/null) || return 0
	rm -f "$tmp/$1.pid"
	kill -"${2:-TERM}" "$pid" 2>/dev/null || return 0
	wait "$pid" 2>/dev/null
	return 0
}

net_up() {
	cat > "$tmp/hosts" <<-EOF
	127.0.0.1 localhost
	203.0.113.1 headscale.test derp.test
	2001:db8::1 headscale.test derp.test
	EOF
	: > "$tmp/resolv.conf"
	ip netns add "$ns-net"
	in_ns net sysctl -qw net.ipv4.ip_forward=1 \
		net.ipv6.conf.all.forwarding=1 \
		net.ipv4.conf.all.send_redirects=0 \
		net.ipv4.conf.default.send_redirects=0
	in_ns net ip link set lo up
	in_ns net ip link add inet type bridge
	in_ns net ip addr add 203.0.113.1/24 dev inet
	in_ns net ip addr add 2001:db8::1/64 dev inet nodad
	in_ns net ip link set inet up
}

# A router and a host behind it, both reachable from everywhere until nat_set.
site_add() { # NAME
	local r=r$1 i=$((${#site_index[@]} + 1))
	site_index[$1]=$i
	ip netns add "$ns-$r"
	ip netns add "$ns-$1"
	in_ns net ip link add "$r" type veth peer name wan netns "$ns-$r"
	in_ns net ip link set "$r" master inet up
	in_ns "$r" ip link add lan type veth peer name eth0 netns "$ns-$1"
	in_ns "$r" sysctl -qw net.ipv4.ip_forward=1 \
		net.ipv6.conf.all.forwarding=1
	in_ns "$r" ip link set lo up
	in_ns "$r" ip link set wan up
	in_ns "$r" ip link set lan up
	in_ns "$r" ip addr add "203.0.113.1$i/24" dev wan
	in_ns "$r" ip addr add "2001:db8::1$i/64" dev wan nodad
	in_ns "$r" ip addr add "10.0.$i.1/24" dev lan
	in_ns "$r" ip addr add "2001:db8:$i::1/64" dev lan nodad
	in_ns "$r" ip route add default via 203.0.113.1
	in_ns "$r" ip route add default via 2001:db8::1
	in_ns net ip route add "10.0.$i.0/24" via "203.0.113.1$i"
	in_ns net ip route add "2001:db8:$i::/64" via "2001:db8::1$i"
	in_ns "$1" ip link set lo up
	in_ns "$1" ip link set eth0 up
}

# The commands that give a host its addresses, wherever its stack lives.
site_address() { # NAME [4|6]
	local i=${site_index[$1]}
	echo "ip addr flush dev eth0"
	echo "ip link set eth0 up"
	if [ "${2-}" != 6 ]; then
		echo "ip addr add 10.0.$i.2/24 dev eth0"
		echo "ip route replace default via 10.0.$i.1"
	fi
	if [ "${2-}" != 4 ]; then
		echo "ip addr add 2001:db8:$i::2/64 dev eth0 nodad"
		echo "ip route replace default via 2001:db8:$i::1"
	fi
}

# What the router of a site does to the traffic between wan and lan:
#   none   forwards both ways, IPv4 and IPv6
#   eim    IPv4 only, masquerades, one outside port per inside port whatever
#          the destination; only who was sent to can answer
#   cone   the same, but anyone may send to the outside port
#   edm    like eim with a new random port for every destination
#   noudp  forwards TCP and ICMP, no UDP
nat_set() { # NAME MODE
	local nat='' map='' filter='' input=''
	case $2 in
	none)
		;;
	eim)
		nat='oifname "wan" masquerade'
		;;
	cone)
		nat='oifname "wan" masquerade'
		map='iifname "wan" meta nfproto ipv4 udp dport 41641'
		map+=" dnat ip to 10.0.${site_index[$1]}.2"
		;;
	edm)
		nat='oifname "wan" masquerade random,fully-random'
		;;
	noudp)
		filter='meta l4proto udp drop'
		;;
	*)
		bail "no NAT mode $2"
		;;
	esac
	if [ "$nat" ]; then
		filter='meta nfproto ipv6 drop
			iifname "wan" ct state new,invalid ct status ! dnat drop'
		# A stranger's packet must leave no trace: its conntrack entry
		# would take the outside port away from the one inside.
		input='iifname "wan" meta l4proto { tcp, udp } drop'
	fi
	in_ns "r$1" nft -f - <<-EOF || bail "nft refuses NAT mode $2"
	flush ruleset
	table inet nat {
		chain forward {
			type filter hook forward priority 0;
			$filter
		}
		chain input {
			type filter hook input priority 0;
			$input
		}
		chain prerouting {
			type nat hook prerouting priority -100;
			$map
		}
		chain postrouting {
			type nat hook postrouting priority 100;
			$nat
		}
	}
	EOF
	in_ns "r$1" conntrack -F 2>/dev/null
}

# Drops that many per cent of what the router of a site forwards.
loss_set() { # NAME PERCENT
	in_ns "r$1" nft -f - <<-EOF || bail "nft refuses the loss rule"
	table inet loss
	delete table inet loss
	table inet loss {
		chain forward {
			type filter hook forward priority -1;
			numgen random mod 100 < $2 drop
		}
	}
	EOF
}

# Moves a site to another address on the internet, as a laptop that roams.
site_roam() { # NAME
	local r=r$1 i=${site_index[$1]}
	in_ns "$r" ip addr del "203.0.113.1$i/24" dev wan
	in_ns "$r" ip addr add "203.0.113.2$i/24" dev wan
	in_ns "$r" ip route replace default via 203.0.113.1
	in_ns net ip route replace "10.0.$i.0/24" via "203.0.113.2$i"
	in_ns "$r" conntrack -F 2>/dev/null
}

net_down() {
	local name pid
	for pid in "$tmp"/*.pid; do
		[ -e "$pid" ] && reap "$(basename "$pid" .pid)" KILL
	done
	for name in $(ip netns list | sed -n "s/^\($ns-[a-z]*\).*/\1/p"); do
		ip netns pids "$name" | xargs -r kill -KILL 2>/dev/null
		ip netns del "$name"
	done
}
