#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Stock clients on our coordination server: they join in every way, see each
# other, obey the policy, follow a route from router to router, do not notice
# that the server is restarted or killed, and leave.

CONTROL=coord
TAILRACE_NODE=stock
. "$(dirname "$0")/lib.sh"

id_of() { # NAME
	control_nodes | jq -r --arg n "$1" '.[] | select(.name == $n).id'
}

coord_says() { # JQ-FILTER
	control_nodes | jq -e "$1"
}

# An echo request over TCP to a port of the other's.
answers() { # NAME ADDRESS PORT
	node_exec "$1" timeout 2 socat -u OPEN:/dev/null "TCP:$2:$3"
}

router_new() { # NAME
	node_new "$1"
	node_exec "$1" sysctl -qw net.ipv4.ip_forward=1
	node_exec "$1" ip addr add 10.99.0.1/24 dev lo
	node_start "$1"
	node_up "$1" --advertise-routes=10.99.0.0/24
}

has_route() { # NAME ROUTER
	[ "$(node_sees "$1" "$2" '.PrimaryRoutes // [] | join(" ")')" = \
		10.99.0.0/24 ]
}

pending() {
	coord nodes pending --json | jq -re '.[0].id'
}

servers_up
for name in us peer; do
	node_new $name
	node_start $name
done

ok "join with a pre-auth key" node_up us
node_cli peer up --login-server="$url" --hostname=peer --accept-dns=false \
	--accept-routes > "$tmp/up.log" 2>&1 &
up=$!
ok "without one there is a URL" within 15 grep -q "$url/register/" "$tmp/up.log"
id=$(grep -o 'register/.*' "$tmp/up.log" | sed 's|.*/||')
is "that the server lists" "$(pending)" "$id"
ok "and explains" in_ns net curl -sf --cacert "$tmp/headscale.test.crt" \
	--resolve headscale.test:8443:203.0.113.1 "$url/register/$id"
ok "approved" control_approve "$id"
ok "the waiting client is in" wait $up

ok "both see each other online" within 15 eval \
	'node_online us peer && node_online peer us'
ok "and ping, over IPv4" within 15 node_ping peer "$(node_ip us)"
ok "and IPv6" within 15 node_ping us "$(node_ip peer 6)"
ok "directly" within 30 node_direct us peer
is "their names are MagicDNS names" "$(node_sees us peer .DNSName)" \
	peer.tailrace.test.
ok "the server knows home DERP and endpoints of both" within 15 coord_says \
	'all(.[]; .home_derp == 900 and (.endpoints | length) > 0)'

# ── Policy ──

for port in 80 81; do
	spawn us "listen$port" socat "TCP-LISTEN:$port,reuseaddr,fork" /dev/null
done
ok "everything is allowed" within 10 answers peer "$(node_ip us)" 80
policy_set <<-EOF
{	// only one port
	"acls": [{"action": "accept", "src": ["tester@"],
		"dst": ["tester@:80"]}],
}
EOF
ok "a policy comes into force" within 10 not answers peer "$(node_ip us)" 81
ok "that allows one port" answers peer "$(node_ip us)" 80
echo '{"acls": [{"action": "accept", "src": ["nobody' | policy_set
ok "a bad policy is refused, with the place" within 10 \
	grep -q 'policy.json:1:' "$tmp/coord.log"
ok "and changes nothing" answers peer "$(node_ip us)" 80
policy_allow_all | policy_set
ok "all is well again" within 10 answers peer "$(node_ip us)" 81

# ── Routers ──

for name in first second; do
	router_new $name
	control_approve_routes "$(id_of $name)" 10.99.0.0/24 > /dev/null
done
ok "the first router is primary" within 15 has_route peer first
ok "and no other" not has_route peer second
ok "the route works" within 15 node_ping peer 10.99.0.1
node_kill first
ok "its daemon dies: the other takes over" within 40 has_route peer second
took "time to the other"
ok "and carries the route" within 10 node_ping peer 10.99.0.1
node_start first
ok "the first is back" within 30 node_online peer first
ok "but does not take it away" not has_route peer first
kill -STOP "$(cat "$tmp/second.pid")"
ok "a router that hangs answers no ping: the other takes over" within 40 \
	has_route peer first
took "time to the other"
kill -CONT "$(cat "$tmp/second.pid")"

# ── The server's own troubles ──

stream_start echo peer "$(node_ip us)" 0.1
control_stop
sleep 1
control_start
ok "the server restarts: all are back" within 40 coord_says \
	'length == 4 and all(.[]; .online)'
ok "with the same primary" has_route peer first
node_cli us set --hostname=changed
ok "and are heard" within 15 coord_says 'any(.[]; .name == "changed")'
ok "and told" within 15 node_online peer changed
node_cli us set --hostname=us
within 15 coord_says 'any(.[]; .name == "us")'
control_stop KILL
control_start
ok "killed, it forgets nothing" coord_says \
	'length == 4 and any(.[]; .name == "us") and
	all(.[] | select(.available_routes != []);
		.approved_routes == ["10.99.0.0/24"])'
ok "all are back again" within 40 coord_says 'all(.[]; .online)'
stream_stop echo
is "none of it cost a packet" "$(stream_result echo | cut -d' ' -f2)" 0

# ── Leaving ──

node_new guest
node_start guest
authkey=$(control_key --ephemeral)
ok "an ephemeral node joins" node_up guest
ok "and is seen" within 15 node_online peer guest
ok "it logs out" node_cli guest logout
ok "and is gone" within 10 coord_says 'all(.[]; .name != "guest")'
ok "for peers too" within 10 not node_online peer guest

node_new web
node_start web
authkey=$(control_key --tags=tag:web)
ok "a tagged key" node_up web
ok "makes a tagged node" coord_says \
	'any(.[]; .name == "web" and .tags == ["tag:web"])'
is "that peers know as such" "$(node_sees peer web '.Tags[0]')" tag:web

authkey=$(control_key)
ok "logout" node_cli us logout
ok "the server knows" within 10 coord_says \
	'any(.[]; .name == "us" and .expired)'
ok "the peer no longer lists us online" within 30 not node_online peer us
ok "and join again" node_up us
ok "as the same node" coord_says '[.[] | select(.name == "us")] | length == 1'

# ── Tags that a node asks for without a key ──

policy_set <<-EOF
{
	"tagOwners": {"tag:web": ["tester@"], "tag:db": []},
	"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}],
}
EOF
asks() { # TAG: "asks" wants to join with it; its id
	: > "$tmp/asks.log"
	node_cli asks up --login-server="$url" --hostname=asks --reset \
		--accept-dns=false --advertise-tags="$1" > "$tmp/asks.log" 2>&1 &
	asks=$!
	within 15 grep -q "$url/register/" "$tmp/asks.log"
	id=$(grep -o 'register/.*' "$tmp/asks.log" | sed 's|.*/||;q')
}
node_new asks
node_start asks
asks tag:db
ok "a tag that its user may not give is refused" not control_approve "$id"
ok "with why" grep -q 'asks for tag:db' "$tmp/coord-cli.log"
ok "and the node is not in" coord_says 'all(.[]; .name != "asks")'
kill $asks
asks tag:web
ok "one that he may give is not" control_approve "$id"
ok "the waiting client is in" wait $asks
ok "with its tag, for ever" coord_says \
	'any(.[]; .name == "asks" and .tags == ["tag:web"])'
