#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A kernel the module cannot serve is declined by dkms.conf, with a sentence,
# and installing that kernel goes on. The kernels are header trees with nothing
# in them but a configuration, so no machine is needed: it runs as root in the
# root of a suite (scripts/vm image), with the repository at /src there.
set -uo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$top/dkms.conf")
config='CONFIG_WIREGUARD=m
CONFIG_NETFILTER_INGRESS=y'
n=0

ok() # STATUS NAME
{
	n=$((n + 1))
	if (($1 == 0)); then
		echo "ok $n - $2"
		return
	fi
	echo "not ok $n - $2"
	sed 's/^/# /' "$log"
}

kernel() # RELEASE CONFIG
{
	local build=/lib/modules/$1/build
	mkdir -p "$build/include/config"
	echo "$2" >"$build/.config"
	echo "$1" >"$build/include/config/kernel.release"
	printf 'all clean modules:\n\t@echo it was built; false\n' \
		>"$build/Makefile"
}

# What the package of a kernel has done for it.
upgrade()
{
	/etc/kernel/postinst.d/dkms "$1" >"$log" 2>&1
}

log=$(mktemp)
dkms remove "tailrace/$version" --all >"$log" 2>&1
rm -rf "/usr/src/tailrace-$version"
mkdir -p "/usr/src/tailrace-$version"
cp -a "$top"/{Kbuild,dkms.conf,kmod,uapi} "/usr/src/tailrace-$version"
dkms add -m tailrace -v "$version" >"$log" 2>&1
ok $? 'added'

declined() # RELEASE CONFIG NAME
{
	kernel "$1" "$2"
	dkms build -m tailrace -v "$version" -k "$1" >"$log" 2>&1
	(($? == refused)) && tr '\n' ' ' <"$log" |
		grep -q 'BUILD_EXCLUSIVE.*should not be built'
	ok $? "$3: declined"
	upgrade "$1"
	ok $? "$3: the upgrade goes on"
	grep -q "tailrace.*\(no module for $1\|should not be built\)" <(tr '\n' ' ' <"$log")
	ok $? "$3: and says so"
	rm -rf "/lib/modules/$1"
}

# 9 was for everything once
refused=77 configs=1
case $(dkms --version | tr -dc 0-9.) in
2.*) refused=9 configs= ;;
esac

for release in 4.19.0-27-amd64 5.4.0-99-generic 5.9.16; do
	declined "$release" "$config" "$release"
done
# DKMS 2 does not look at configurations
if [[ $configs ]]; then
	for option in WIREGUARD NETFILTER_INGRESS; do
		declined "6.99.0-no-${option,,}" \
			"$(grep -v "$option" <<<"$config")" "without $option"
	done
fi
for release in 5.10.0-46-cloud-amd64 5.15.0 5.19.17-1 6.1.0-56-amd64 \
	7.3.4+deb13-amd64 10.0.0 12.10.1; do
	kernel "$release" "$config"
	dkms build -m tailrace -v "$version" -k "$release" >"$log" 2>&1
	grep -q 'it was built' "/var/lib/dkms/tailrace/$version/build/make.log"
	ok $? "$release: tried"
	rm -rf "/lib/modules/$release"
done
rm -f "$log"
echo "1..$n"
