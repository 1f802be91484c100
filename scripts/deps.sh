#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs the Debian packages that building and testing tailrace takes, on
# Debian 12, as root or through sudo. Quick when all is there already.
#
#   scripts/deps.sh           install what is missing
#   scripts/deps.sh --arm64   and what emulates that processor
#   scripts/deps.sh --list    print the names only
set -euo pipefail

packages=(
	# building
	build-essential pkg-config
	libcap-dev libcurl4-openssl-dev libevent-dev libjson-c-dev libmnl-dev libnftables-dev
	libnghttp2-dev libnl-3-dev libnl-genl-3-dev libnl-route-3-dev
	libseccomp-dev libsodium-dev libsqlite3-dev libssl-dev libzstd-dev
	uthash-dev
	# unit tests and fuzzing
	clang-14 libclang-rt-14-dev llvm-14 perl python3 python3-yaml sqlite3
	# lint
	cppcheck shellcheck sparse
	# virtual machines: qemu-system-common brings virtiofsd
	cpio kmod mmdebstrap qemu-system-common qemu-system-x86
	# networks of namespaces on the host
	conntrack iperf3 iproute2 iputils-ping jq nftables procps socat tcpdump
	wireguard-tools
	# fetching peers
	ca-certificates curl git openssl util-linux xz-utils
)
[[ ${1:-} != --arm64 ]] || packages+=(qemu-system-arm)

if [[ ${1:-} == --list ]]; then
	printf '%s\n' "${packages[@]}"
	exit
fi

missing=()
for package in "${packages[@]}"; do
	# shellcheck disable=SC2016 # dpkg-query's own variables
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || :
	[[ $state == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

echo "# deps: installing ${missing[*]}"
sudo=()
if ((EUID)); then
	command -v sudo >/dev/null || {
		echo "deps.sh: neither root nor sudo" >&2
		exit 1
	}
	sudo=(sudo)
fi
install=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y
	--no-install-recommends install "${missing[@]}")
# Lists may be absent or old: try, refresh, try again.
"${sudo[@]}" "${install[@]}" >/dev/null 2>&1 && exit 0
"${sudo[@]}" apt-get -qq update
"${sudo[@]}" "${install[@]}" >/dev/null
