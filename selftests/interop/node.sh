# SPDX-License-Identifier: GPL-2.0
#
# Sourced by lib.sh: a node of the tailnet, whatever it is made of.
#
#   node_new NAME KIND   puts a node at site NAME; KIND is stock or tailrace
#   node_start NAME      starts its daemon, state kept
#   node_up NAME [ARG]   joins the tailnet
#   node_cli NAME ARG... its command line: tailscale or tailrace
#   node_exec NAME CMD   runs a command where its network stack is
#   node_stop NAME [SIG] ends its daemon
#
# "us" is of the kind $TAILRACE_NODE says.

declare -A node_kind=()
node_under_test=${TAILRACE_NODE:-tailrace}

node_new() {
	local name=$1 kind=${2:-stock}
	[ "$kind" = us ] && kind=$node_under_test
	node_kind[$name]=$kind
	site_add "$name"
	"${kind}_new" "$name"
	site_address "$name" | node_script "$name"
}

node_start() {
	"${node_kind[$1]}_start" "$1"
}

node_stop() {
	"${node_kind[$1]}_stop" "$@"
}

node_exec() {
	"${node_kind[$1]}_exec" "$@"
}

node_cli() {
	"${node_kind[$1]}_cli" "$@"
}

# Runs the shell commands on standard input where the node's stack is.
node_script() {
	node_exec "$1" sh -ec "$(cat)"
}

node_up() {
	local name=$1
	shift
	node_cli "$name" up --login-server="$url" --authkey="$authkey" \
		--hostname="$name" --timeout=60s --accept-dns=false "$@"
}

nodes_down() {
	local name
	for name in "${!node_kind[@]}"; do
		"${node_kind[$name]}_end" "$name"
	done
}

# ── What is the same for every kind ──────────────────────────────────────

node_status() {
	node_cli "$1" status --json
}

# The node's own address in the tailnet: 4 (default) or 6.
node_ip() { # NAME [4|6]
	node_cli "$1" ip "-${2:-4}" | head -n1
}

# One field of what a node says about another one, by jq.
node_sees() { # NAME PEER FIELD
	node_status "$1" | jq -r --arg peer "$2" \
		"first(.Peer[]? | select(.HostName == \$peer)) | $3"
}

node_online() { # NAME PEER
	[ "$(node_sees "$1" "$2" .Online)" = true ]
}

# Prints "direct ADDRESS" or "derp REGION".
node_path() { # NAME PEER
	node_sees "$1" "$2" 'if .CurAddr != "" then "direct " + .CurAddr
		else "derp " + .Relay end'
}

node_direct() { # NAME PEER [ADDRESS PREFIX]
	[[ $(node_path "$1" "$2") == "direct ${3-}"* ]]
}

node_derp() { # NAME PEER
	[[ $(node_path "$1" "$2") == derp\ * ]]
}

# One echo through the tunnel, from the ordinary ping of the node's host.
node_ping() { # NAME ADDRESS [OPTION...]
	local name=$1 to=$2
	shift 2
	node_exec "$name" ping -n -q -c 1 -W 1 "$@" "$to"
}

# ── stock: tailscaled in a namespace ─────────────────────────────────────

stock_new() {
	:
}

stock_exec() {
	in_ns "$@"
}

stock_start() {
	local name=$1
	spawn "$name" "$name" env TS_NO_LOGS_NO_SUPPORT=true \
		TS_DEBUG_FIREWALL_MODE=nftables "$bin/tailscaled" \
		--statedir="$tmp/$name.state" --socket="$tmp/$name.sock" \
		--port=41641 --tun=tailscale0 --no-logs-no-support
	within 10 test -S "$tmp/$name.sock" || bail "$name does not start"
}

stock_cli() {
	local name=$1
	shift
	"$bin/tailscale" --socket="$tmp/$name.sock" "$@"
}

stock_stop() {
	reap "$@"
	rm -f "$tmp/$1.sock"
}

stock_end() {
	reap "$1"
}
