# SPDX-License-Identifier: GPL-2.0
#
# Sourced by lib.sh: a node of the tailnet, whatever it is made of.
#
#   node_new NAME KIND   puts a node at site NAME; KIND is stock or tailrace
#   node_start NAME      starts its daemon, state kept
#   node_up NAME [ARG]   joins the tailnet
#   node_cli NAME ARG... its command line: tailscale or tailrace
#   node_exec NAME CMD   runs a command where its network stack is
#   node_stop NAME       ends its daemon and its network device
#   node_kill NAME       kills its daemon and nothing else
#
# "us" is of the kind $TAILRACE_NODE says.

declare -A node_kind=() stream_node=() stream_interval=()
declare -A vm_pid=()
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
	"${node_kind[$1]}_stop" "$1"
}

node_kill() {
	"${node_kind[$1]}_kill" "$1"
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

node_running() { # NAME
	[ "$(node_status "$1" | jq -r .BackendState)" = Running ]
}

# One echo through the tunnel, from the ordinary ping of the node's host.
node_ping() { # NAME ADDRESS [OPTION...]
	local name=$1 to=$2
	shift 2
	node_exec "$name" ping -n -q -c 1 -W 1 "$@" "$to"
}

# Sends SIZE MiB of noise over TCP and compares checksums.
node_transfer() { # FROM TO MIB
	local from=$1 to=$2 address sent received listener
	address=$(node_ip "$to")
	node_exec "$to" sh -c "mkdir -p $tmp &&
		socat -u TCP-LISTEN:5001,reuseaddr,bind=$address - |
		sha256sum > $tmp/received" &
	listener=$!
	sent=$(node_exec "$from" sh -c "mkdir -p $tmp &&
		head -c $3M /dev/urandom > $tmp/sent && sha256sum < $tmp/sent")
	within 10 node_exec "$from" socat -u -T 60 "OPEN:$tmp/sent" \
		"TCP:$address:5001,connect-timeout=5"
	wait "$listener"
	received=$(node_exec "$to" cat "$tmp/received")
	[ "$sent" = "$received" ]
}

# A stream of small packets from the ordinary ping, in the background.
stream_start() { # TAG NAME ADDRESS INTERVAL
	stream_node[$1]=$2
	stream_interval[$1]=$4
	node_exec "$2" sh -c "mkdir -p $tmp; ping -n -i $4 $3 \
		> $tmp/$1 2>&1 < /dev/null & echo \$! > $tmp/$1.ping"
}

stream_stop() { # TAG
	node_exec "${stream_node[$1]}" sh -c "pid=\$(cat $tmp/$1.ping);
		kill -INT \$pid; while kill -0 \$pid; do sleep 0.1; done" \
		2>/dev/null
}

# Prints how many packets were sent and how many of them were not answered.
# What was sent in the last half second may still have been on its way.
stream_result() { # TAG
	node_exec "${stream_node[$1]}" cat "$tmp/$1" | awk -F '[= ]' \
		-v flight="$(awk -v i="${stream_interval[$1]}" \
			'BEGIN { print 0.5 / i }')" '
		/icmp_seq=/ { last = $6 > last ? $6 : last; answered++ }
		/packets transmitted/ { sent = $1 }
		END { print sent, (sent - last > flight ? sent : last) - answered }'
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
		SSL_CERT_FILE="$tmp/headscale.test.crt" \
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
	reap "$1"
	rm -f "$tmp/$1.sock"
}

stock_kill() {
	reap "$1" KILL
	rm -f "$tmp/$1.sock"
}

stock_end() {
	reap "$1"
}

# ── tailrace: tailraced and tailrace.ko in a VM ──────────────────────────
#
# The namespace of the site only passes frames on: its eth0 is bridged to the
# tap that is the guest's eth0. The guest's eth1 is a line for our commands;
# it sits in a namespace of its own there, where the agent does not see it.

tailrace_new() {
	local name=$1
	[ -x "$top/build/tailraced" ] || bail "no build/tailraced: make agent"
	in_ns "$name" sysctl -qw net.ipv6.conf.default.disable_ipv6=1 \
		net.ipv6.conf.eth0.disable_ipv6=1
	in_ns "$name" ip link add bridge type bridge
	in_ns "$name" ip link set bridge up
	in_ns "$name" ip tuntap add guest0 mode tap
	in_ns "$name" ip tuntap add guest1 mode tap
	in_ns "$name" ip link set guest0 master bridge up
	in_ns "$name" ip link set guest1 up
	in_ns "$name" ip link set eth0 master bridge
	in_ns "$name" ip addr add 192.0.2.1/24 dev guest1
	tailrace_boot "$name"
	tailrace_clock_right "$name" && return
	diag "the guest's clock is wrong, once more"
	tailrace_exec "$name" touch /run/stop
	wait "${vm_pid[$name]}"
	tailrace_boot "$name"
	tailrace_clock_right "$name" || bail "the guest's clock is wrong again"
}

tailrace_boot() {
	local name=$1
	ip netns exec "$ns-$name" "$top/scripts/vm" run --suite "$suite" \
		--kmod --tap guest0 --tap guest1 --share "$tmp" --smp 2 \
		--timeout 1200 --console "$tmp/$name-console.log" -- \
		/src/selftests/interop/guest "$tmp" \
		> "$tmp/$name-vm.log" 2>&1 &
	vm_pid[$name]=$!
	within 600 tailrace_exec "$name" true ||
		bail "the machine of $name does not start"
	took "time to boot $name"
}

# On a busy host an emulated machine may have measured its processor's clock
# wrong by a factor: every timeout in it is off then.
tailrace_clock_right() {
	local from to start
	start=$(now)
	from=$(tailrace_exec "$1" date +%s)
	sleep 3
	to=$(tailrace_exec "$1" date +%s)
	elapsed=$(since "$start")
	[ $((to - from)) -le $((${elapsed%.*} * 2 + 2)) ]
}

# The guest runs one shell command line per connection and answers with its
# output, a newline, the exit status, and after a byte 1 its error output.
tailrace_exec() {
	local name=$1 answer status
	shift
	answer=$(printf '%q ' "$@" | in_ns "$name" timeout 120 socat -t 120 - \
		TCP:192.0.2.2:1,connect-timeout=2 2>/dev/null)
	printf '%s' "${answer#*$'\1'}" >&2
	answer=${answer%%$'\1'*}
	status=${answer##*$'\n'}
	printf '%s' "${answer%$'\n'*}"
	return "${status:-255}"
}

tailrace_start() {
	local name=$1
	tailrace_exec "$name" sh -c "setsid /src/build/tailraced \
		--statedir=/var/lib/tailrace --socket=/run/tailraced.sock \
		--port=41641 --tun=tailrace0 \
		--ca-file=/etc/ssl/headscale.test.crt \
		</dev/null >>$tmp/$name.log 2>&1 & echo \$! >/run/tailraced.pid"
	within 20 tailrace_exec "$name" test -S /run/tailraced.sock ||
		bail "$name does not start"
}

tailrace_cli() {
	local name=$1
	shift
	tailrace_exec "$name" /src/build/tailrace --socket=/run/tailraced.sock \
		"$@"
}

# Ends the agent and waits until it is gone.
tailrace_signal() { # NAME SIGNAL
	tailrace_exec "$1" sh -c "pid=\$(cat /run/tailraced.pid) || exit 0
		kill -$2 \$pid; while kill -0 \$pid; do sleep 0.1; done
		rm -f /run/tailraced.sock" 2>/dev/null
}

tailrace_stop() {
	tailrace_signal "$1" TERM
	tailrace_exec "$1" ip link del tailrace0 2>/dev/null
}

tailrace_kill() {
	tailrace_signal "$1" KILL
}

# The machine's exit status says whether its kernel had anything to complain
# about.
tailrace_end() {
	local name=$1
	[ -n "${vm_pid[$name]-}" ] || return 0
	tailrace_exec "$name" touch /run/stop 2>/dev/null
	ok "the kernel under $name has nothing to complain about" \
		wait "${vm_pid[$name]}" || tail -n 60 "$tmp/$name-vm.log"
	unset "vm_pid[$name]"
}
