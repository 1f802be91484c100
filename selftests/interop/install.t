#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What `make install` leaves, under systemd on a Debian machine: the unit runs
# with the rights it needs and no more, comes back after a crash of either
# process, and finds what it left.
#
# Outside it builds the machine; inside (TAILRACE_VM is set) it is the test.

# shellcheck disable=SC2317 # functions reached by ok() and within()
set -u
cd "$(dirname "$0")/../.." || exit 1

if [ ! "${TAILRACE_VM-}" ]; then
	stage=$(mktemp -d)
	trap 'rm -rf "$stage"' EXIT
	make -s install DESTDIR="$stage" || {
		echo "Bail out! make install fails"
		exit 1
	}
	scripts/vm run --suite trixie --kmod --share "$stage=/stage" \
		-- /src/selftests/interop/install.t
	exit
fi

# systemd is process 1 of its own, and we join it.
if [ ! "${container-}" ]; then
	cp -a /stage/* /
	export container=tailrace-test
	unshare --mount --pid --fork --mount-proc /lib/systemd/systemd \
		--unit=basic.target --log-target=null &
	until init=$(pgrep -P $!); do
		sleep 0.2
	done
	exec nsenter -t "$init" --mount --pid "$0"
fi

tests=0
failed=0

ok() { # DESCRIPTION COMMAND...
	local description=$1 out
	shift
	tests=$((tests + 1))
	if out=$("$@" 2>&1); then
		echo "ok $tests - $description"
		return
	fi
	echo "not ok $tests - $description"
	printf '%s\n' "command: $*" "$out" | sed 's/^/#   /'
	failed=$((failed + 1))
}

within() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.5
	done
}

property() { # PROPERTY
	systemctl show -P "$1" tailraced
}

# The daemon's processes: the kernel process, which is the unit's main one, or
# the engine.
pid_of() { # kernel|engine
	local main
	main=$(property MainPID)
	if [ "$1" = kernel ]; then
		echo "$main"
	else
		pgrep -P "$main"
	fi
}

# Its user and its effective, permitted, inheritable and ambient capabilities.
rights() { # kernel|engine
	awk '/^Uid:/ { system("id -un " $3) }
		/^Cap(Eff|Prm|Inh|Amb):/ { print $2 }' "/proc/$(pid_of "$1")/status" |
		xargs
}

is() { # DESCRIPTION GOT WANTED
	ok "$1" test "$2" = "$3" || echo "#   got '$2', wanted '$3'"
}

answers() {
	[[ $(tailrace status 2>&1) == "Logged out"* ]]
}

restarted() { # TIMES
	[ "$(property NRestarts)" = "$1" ] && answers
}

ok "systemd is up" within 120 systemctl --quiet is-active basic.target
ok "the units are well-formed" systemd-analyze verify --man=no \
	/usr/lib/systemd/system/tailrace{d,-coord,-relay}.service
ok "its user is made" systemd-sysusers tailrace.conf
ok "and its directory" systemd-tmpfiles --create tailrace.conf
ok "it starts" systemctl start tailraced
ok "and answers" within 60 answers
ps -o user,pid,rss,args -C tailraced,tailraced-eng | sed 's/^/# /'
none=0000000000000000
is "the kernel process may administer the network, nothing else" \
	"$(rights kernel)" "tailrace $none 0000000000001000 0000000000001000 $none"
is "the engine may nothing" "$(rights engine)" "tailrace $none $none $none $none"
is "state is the engine's alone" "$(stat -c '%U %a' /var/lib/tailrace)" \
	"tailrace 700"
ok "the module loads when its netlink family is asked for" python3 -c "
import sys
sys.path.insert(0, '/src/selftests/kmod')
sys.dont_write_bytecode = True
import tailrace
tailrace.Netlink()"
ok "and is there" grep -w ^tailrace /proc/modules

key=$(sha256sum /run/tailrace/tailrace0/disco.key)
kill -KILL "$(pid_of kernel)"
ok "killed, it comes back" within 60 restarted 1
kill -KILL "$(pid_of engine)"
ok "and when the engine is" within 60 restarted 2
ok "restart" systemctl restart tailraced
ok "is no trouble" within 60 answers
is "the disco key stayed the same" \
	"$(sha256sum /run/tailrace/tailrace0/disco.key)" "$key"
ok "stop" systemctl stop tailraced
is "is no failure" "$(property ActiveState) $(property Result)" \
	"inactive success"
ok "nothing is left running" sh -c "! pgrep -x tailraced"

# The servers.
coord_key() {
	tailrace coord users create site && tailrace coord keys create --user=site
}

echo 'FLAGS=--server-url=http://coord.test:8080' > /etc/default/tailrace-coord
ok "the coordination server starts" systemctl start tailrace-coord
ok "and makes a key" within 20 coord_key
ok "reload" systemctl reload tailrace-coord
ok "restart" systemctl restart tailrace-coord
ok "finds its users" within 20 sh -c \
	"tailrace coord users list | grep -w site"
ok "stop" systemctl stop tailrace-coord
echo 'FLAGS=--hostname=relay.test' > /etc/default/tailrace-relay
ok "the relay starts" systemctl start tailrace-relay
ok "and answers" within 20 curl -sfk --resolve relay.test:443:127.0.0.1 \
	https://relay.test/derp/probe
key=$(sha256sum /var/lib/tailrace-relay/relay.key)
ok "restart" systemctl restart tailrace-relay
ok "and answers" within 20 curl -sfk --resolve relay.test:443:127.0.0.1 \
	https://relay.test/derp/probe
is "its key stayed the same" "$(sha256sum /var/lib/tailrace-relay/relay.key)" \
	"$key"
ok "stop" systemctl stop tailrace-relay
for unit in tailrace-coord tailrace-relay; do
	is "stop of $unit is no failure" \
		"$(systemctl show -P Result "$unit")" success
done
echo "1..$tests"
exit $((failed > 0))
