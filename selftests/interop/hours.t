#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The control server is down for two hours, or twelve with
# TAILRACE_HOURS_STEP=3600. In a machine whose clock leaps over what nobody waits
# for (scripts/vm, uml-time) they take a minute or two; what runs there is in
# hours.py.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d /tmp/hours.XXXXXX)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # the agent is another user there

# What the server is linked with and the machine's root has not got.
root=$("$top/scripts/vm" image trixie)/root
mkdir "$work/lib"
ldd "$top/build/tailrace" | sed -n 's/.* => \(.*\) .*/\1/p' |
	while read -r library; do
		[ -e "$root/usr/lib/x86_64-linux-gnu/${library##*/}" ] ||
			cp -L "$library" "$work/lib"
	done

"$top/scripts/vm" run --suite uml-time --kmod --timeout 3600 \
	--env "TAILRACE_HOURS_STEP=${TAILRACE_HOURS_STEP:-600}" \
	--share "$work=/hours" --console "$work/console" \
	-- /src/selftests/interop/hours.py /hours
