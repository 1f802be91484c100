#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Policy files that headscale takes or refuses, and we as well. Each file's
# first line says what is expected of both, and why where they differ on
# purpose. No server runs: both read the file, headscale with a database of its
# own.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
headscale=${TAILRACE_CACHE:-/var/cache/tailrace}/bin/headscale
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tests=0
failed=0

cat > "$tmp/headscale.yaml" <<EOF
server_url: http://127.0.0.1:9
listen_addr: 127.0.0.1:0
noise: {private_key_path: $tmp/noise.key}
prefixes: {v4: 100.64.0.0/10, v6: "fd7a:115c:a1e0::/48"}
derp: {urls: [], paths: [], server: {enabled: false}}
disable_check_updates: true
database: {type: sqlite, sqlite: {path: $tmp/headscale.db}}
policy: {mode: database}
dns: {magic_dns: false, override_local_dns: false, base_domain: x.test}
unix_socket: $tmp/headscale.sock
EOF

ours() {
	"$top/build/tailrace" coord policy check "$1" > "$tmp/ours" 2>&1
}

theirs() {
	"$headscale" -c "$tmp/headscale.yaml" --force policy check \
		--bypass-grpc-and-access-database-directly -f "$1" \
		> "$tmp/theirs" 2>&1
}

verdict() { # WHO FILE
	if "$1" "$2"; then echo accepted; else echo refused; fi
}

is() { # EXPECTED WHO FILE
	local have
	have=$(verdict "$2" "$3")
	tests=$((tests + 1))
	if [ "$have" = "$1" ]; then
		echo "ok $tests - $(basename "$3") $have by $2"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $(basename "$3") $have by $2, not $1"
	sed 's/^/# /' "$3" "$tmp/$2"
}

has_place() { # FILE: a line and a column in what we said of it last
	tests=$((tests + 1))
	if grep -Eq ":[1-9][0-9]*:[1-9][0-9]*: " "$tmp/ours"; then
		echo "ok $tests - $(head -n 1 "$tmp/ours" | sed 's|.*/||; s/#//g')"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $(basename "$1") is refused without a place"
}

echo '{}' > "$tmp/empty"
theirs "$tmp/empty" || {
	echo "Bail out! headscale takes no policy: $(tail -n 1 "$tmp/theirs")"
	exit 1
}

for file in "$top"/selftests/vectors/policy/*.hujson; do
	read -r _ first _ < "$file"
	first=${first%;}
	other=$first
	if head -n 1 "$file" | grep -q '; headscale'; then
		[ "$first" = accepted ] && other=refused || other=accepted
	fi
	is "$first" ours "$file"
	[ "$first" = accepted ] || has_place "$file"
	is "$other" theirs "$file"
done

says() { # DESCRIPTION STATUS PATTERN ARGUMENTS...: of the command itself
	local description=$1 status=$2 pattern=$3 have
	shift 3
	"$top/build/tailrace" coord policy check "$@" > "$tmp/out" 2>&1
	have=$?
	tests=$((tests + 1))
	if [ $have = "$status" ] && grep -q -- "$pattern" "$tmp/out"; then
		echo "ok $tests - $description"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $description"
	sed 's/^/# /' "$tmp/out"
}

samples=$top/selftests/vectors/policy
says "findings as JSON" 1 \
	'^{"valid":false,"messages":\[{"line":2,"column":11,"warning":false,' \
	--json "$samples/unknown-field.hujson"
says "a warning is no error" 0 ':2:2: warning: ssh has no effect' \
	--file="$samples/ssh.hujson"
says "no file" 1 'No such file' "$tmp/nothing"
says "no argument" 2 'one file is expected'
head -c 1100000 /dev/zero | tr '\0' ' ' > "$tmp/large"
says "too large a file" 1 'more than 1048576 bytes' -f "$tmp/large"
echo "1..$tests"
[ $failed = 0 ]
