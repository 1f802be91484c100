#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Builds the stock peers the interop tests talk to, and Litestream, which copies
# coord's database, each at a pinned version, into $TAILRACE_CACHE/bin. What is
# already there at that version stays.
#
# Debian packages and the Go module proxy are all it needs: any Go from 1.21
# on fetches the toolchain a module asks for, and Debian 12's 1.19 is still
# able to download a newer one as the module it is published as.

set -eu

# The newest release whose three programs build from the module proxy alone:
# 1.104 needs revisions of gvisor, gliderssh and setec that it does not serve.
tailscale=tailscale.com@v1.102.5
headscale=github.com/juanfont/headscale@v0.29.2
litestream=github.com/benbjohnson/litestream@v0.5.0
toolchain=golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64

cache=${TAILRACE_CACHE:-/var/cache/tailrace}
bin=$cache/bin
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$bin"

export GOBIN="$bin" CGO_ENABLED=0 GOTOOLCHAIN=auto
export GOFLAGS=-trimpath

# Prints the path of a Go that is at least 1.21.
find_go() {
	go=$(command -v go || echo /usr/lib/go/bin/go)
	if [ ! -x "$go" ]; then
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends golang-go >&2
		go=$(command -v go || echo /usr/lib/go/bin/go)
	fi
	minor=$("$go" version | sed -n 's/.* go1\.\([0-9]*\).*/\1/p')
	if [ "${minor:-0}" -lt 21 ]; then
		echo 'module toolchain' > "$tmp/go.mod"
		dir=$(cd "$tmp" && GOFLAGS= "$go" mod download -json $toolchain |
			sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
		# An old go unpacks every module without execute bits.
		chmod u+w "$dir" "$dir/bin" "$dir"/pkg/tool/* "$dir/bin"/* \
			"$dir"/pkg/tool/*/*
		chmod +x "$dir/bin"/* "$dir"/pkg/tool/*/*
		go=$dir/bin/go
	fi
	echo "$go"
}

# build MODULE@VERSION PROGRAM
#
# Requiring the exact version from a module of our own gives the program that
# `go install MODULE@VERSION` gives, without its look at the list of versions,
# which not every proxy has for headscale.
build() {
	[ -x "$bin/$2" ] && [ "$(cat "$bin/.$2" 2>/dev/null)" = "$1" ] && return
	[ "${go-}" ] || go=$(find_go)
	echo "$2: building $1"
	mkdir "$tmp/$2"
	(
		cd "$tmp/$2"
		"$go" mod init peers
		"$go" mod edit -require="$1"
		"$go" install -mod=mod -ldflags='-s -w' "${1%@*}/cmd/$2"
	)
	echo "$1" > "$bin/.$2"
}

for program in derper tailscaled tailscale; do
	build $tailscale $program
done
build $headscale headscale
build $litestream litestream
