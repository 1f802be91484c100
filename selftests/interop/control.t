#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The control client against a real server, over TLS, without a kernel: every
# way in, what the server hears of us, what we hear of it, every way out.

. "$(dirname "$0")/lib.sh"

make -s -C "$top" build/interop/control || bail "the client does not build"
declare -A seen=()

client_start() { # TAG [AUTHKEY]
	rm -f "$tmp/$1.fifo"
	mkfifo "$tmp/$1.fifo"
	: > "$tmp/$1.log"
	CA=$tmp/headscale.test.crt spawn net "$1" "$top/build/interop/control" \
		"$url" "$tmp/$1.state" "$tmp/$1.fifo" "${@:2}"
	seen[$1]=0
}

# Its exit status.
client_stop() { # TAG
	say "$1" quit
	wait "$(cat "$tmp/$1.pid")"
}

# Gives a command; only what comes after it counts.
say() { # TAG COMMAND...
	seen[$1]=$(wc -l < "$tmp/$1.log")
	echo "${*:2}" > "$tmp/$1.fifo"
}

# From now on only what is new counts.
forget() { # TAG
	seen[$1]=$(wc -l < "$tmp/$1.log")
}

saw() { # TAG PATTERN
	tail -n +$((seen[$1] + 1)) "$tmp/$1.log" | grep -E "$2"
}

hears() { # SECONDS TAG PATTERN
	within "$1" saw "$2" "$3"
}

nodes() { # JQ-FILTER
	control_nodes | jq -re "$1"
}

servers_up

client_start a "$authkey"
ok "join with an auth key" hears 20 a '^state streaming'
ok "with a DERP map and rules" saw a '^netmap .*rules=1 regions=1'
say a endpoint 198.51.100.9:5555
say a hostname renamed
ok "a lite update reaches $control" \
	within 10 nodes '.[] | select(.name == "renamed")'
ok "and comes back as our own node" hears 10 a '^netmap .*name=renamed\.'

forget a
client_start b "$authkey"
ok "another client joins" hears 20 b '^state streaming'
ok "it is told of the first" saw b 'peer=renamed'
ok "and the first of it" hears 10 a 'peer=client\S* online=1'

forget a
policy_set <<-EOF
{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:22"]},
          {"action": "accept", "proto": "udp", "src": ["*"], "dst": ["*:53"]}]}
EOF
ok "a new policy arrives" hears 10 a '^netmap .*rules=2'

say b route 10.77.0.0/16
ok "a route is offered" within 10 nodes \
	'.[] | select(.available_routes // [] | index("10.77.0.0/16"))'
forget a
control_approve_routes 2 10.77.0.0/16 > /dev/null
ok "and, approved, given to peers" hears 10 a 'peer=client\S* online=1 routes=1'

say a link
ok "a changed link: reconnected" hears 10 a '^state streaming'
forget a
forget b
control_stop
ok "$control is gone, and we say so" hears 10 a '^state connecting .'
control_start
ok "$control is back, and so are we" hears 40 a '^state streaming'
took "time to notice"
ok "so is the other" hears 40 b '^state streaming'

forget a
say b quit
ok "a client that leaves is offline" hears 40 a 'peer=client\S* online=0'

forget a
control_expire 1 > /dev/null
ok "an expired key needs a login" hears 10 a '^state needs-login'
ok "with a new key" saw a '^key nodekey:'
ok "at a URL" hears 10 a '^url https://.*/register/'
id=$(saw a '^url https' | sed 's|.*/||')
forget a
control_approve "$id" > /dev/null
ok "the login is heard of at once" hears 10 a '^state streaming'
ok "for the same node" saw a '^netmap id=1 '

forget a
control_expire 1 > /dev/null
hears 10 a '^url https://.*/register/' > /dev/null
client_stop a
client_start a
ok "expired across a restart: still a URL" hears 10 a '^url https://'
say a login "$authkey"
ok "which an auth key makes superfluous" hears 20 a '^state streaming'
say a rotate "$authkey"
ok "a forced login changes the key" hears 10 a '^key nodekey:'
ok "and nothing else" hears 20 a '^netmap id=1 '

control_delete 1 > /dev/null
say a login "$authkey"
ok "a deleted node can join again" hears 20 a '^netmap id=3 '
say a logout
ok "logout" hears 12 a '^logged-out'
ok "forgets the key" saw a '^key none'
ok "also in $control" within 10 nodes \
	'.[] | select(.id == 3 and .expiry != null)'
ok "the client ends well" client_stop a

once=$(control_key)
client_start once "$once"
ok "a key for one use" hears 20 once '^state streaming'
client_start twice "$once"
ok "cannot be used twice" hears 10 twice '^state needs-login .*already used'
client_start wrong hskey-auth-wrong
ok "a wrong key is refused" hears 10 wrong '^state needs-login .*refused'
say wrong login "$authkey"
ok "the right one helps" hears 20 wrong '^state streaming'
client_start nobody
ok "no key at all: a URL" hears 10 nobody '^url https://.*/register/'
for tag in once twice wrong nobody; do
	ok "client $tag ends well" client_stop "$tag"
done
