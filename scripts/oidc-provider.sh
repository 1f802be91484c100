#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Installs the OpenID provider that interop/oidc.t logs in at, npm's
# oidc-provider (certified by the OpenID foundation), at a pinned version into
# $TAILRACE_CACHE/oidc-provider. The newest that Debian 12's node runs.

set -eu

version=8.8.1
dir=${TAILRACE_CACHE:-/var/cache/tailrace}/oidc-provider

[ "$(cat "$dir/.version" 2> /dev/null)" = $version ] && exit
if ! command -v npm > /dev/null; then
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
		--no-install-recommends nodejs npm >&2
fi
rm -rf "$dir"
mkdir -p "$dir"
cd "$dir"
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
	oidc-provider@$version >&2
echo $version > .version
