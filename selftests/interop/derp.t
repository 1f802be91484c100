#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The DERP client and netcheck against a real derper, on the loopback.
# TAILRACE_MEGABYTES: how much the bulk test sends (20).

set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
derper=${TAILRACE_CACHE:-/var/cache/tailrace}/bin/derper
port=$((20000 + RANDOM % 10000))
stun=$((port + 10000))

if [ ! -x "$derper" ]; then
	[ -n "${CI:-}" ] && { echo "Bail out! no $derper"; exit 1; }
	echo "1..0 # SKIP no $derper (scripts/interop-peers.sh builds it)"
	exit 0
fi
make -s -C "$top" build/interop/derp || exit 1

tmp=$(mktemp -d)
"$derper" -a "127.0.0.1:$port" -http-port -1 -certmode manual \
	-certdir "$tmp" -hostname 127.0.0.1 -stun-port "$stun" \
	-c "$tmp/key.json" > "$tmp/log" 2>&1 &
pid=$!
trap 'kill $pid; wait $pid; rm -rf "$tmp"' EXIT

for _ in $(seq 100); do
	pin=$(grep -o 'sha256-raw:[0-9a-f]*' "$tmp/log") &&
		(: < "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
	sleep 0.1
done
if [ -z "$pin" ]; then
	sed 's/^/# /' "$tmp/log"
	echo "Bail out! derper does not start"
	exit 1
fi
env -u https_proxy -u HTTPS_PROXY "$top/build/interop/derp" 127.0.0.1 \
	"$port" "$stun" "$pin" "${TAILRACE_MEGABYTES:-20}"
