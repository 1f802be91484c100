# SPDX-License-Identifier: GPL-2.0
#
# make agent, make kmod, make check, make demo. Everything built goes to
# build/, everything downloaded to $TAILRACE_CACHE (/var/cache/tailrace).
#
#   make check                     all there is, on a fresh Debian 12
#   make check-unit [SAN=1]        codecs and state machines [ASan, UBSan]
#   make check-fuzz                short libFuzzer runs
#   make check-kmod KERNEL=SUITE   the module in a VM: the suites of scripts/vm
#   make check-matrix              that on every kernel, Debian 11 to sid
#   make check-dkms                kernels that the module cannot serve
#   make fuzz-kmod                 a million netlink messages, ten million packets,
#                                  under KASAN
#   make random-kmod [POLICIES=N]  a thousand packets a policy, beside the oracle
#   make race-kmod [ROUNDS=N]      all comes and goes under traffic, 1,000 times;
#                                  KERNEL is one of scripts/vm's own: uml-smp,
#                                  uml, uml-fast, kcsan
#   make lint-kmod                 sparse, checkpatch, coccinelle, gcc, clang
#   make check-net                 networks of namespaces
#   make check-interop             against headscale, tailscaled and derper
#   make kmod KDIR=DIR             tailrace.ko for the kernel built in DIR
#   make install [DESTDIR=DIR]     as a package would; without DESTDIR also
#                                  the user, and the module by DKMS

PKGS := libevent libevent_openssl openssl libsodium libnghttp2 json-c \
	libzstd libmnl libnl-3.0 libnl-route-3.0 libnftables libseccomp libcap \
	libcurl sqlite3

# Sanitized builds live apart from the plain one.
ifdef FUZZ
B := build/fuzz
CC := clang-14
SANITIZE := -fsanitize=fuzzer-no-link,address,undefined
else ifdef SAN
B := build/san
SANITIZE := -fsanitize=address,undefined
else
B := build
endif

ifdef CROSS # with B, see kmod-programs-arm64
CC := $(CROSS)gcc
AR := $(CROSS)ar
endif
CC ?= gcc

# V=1 shows the commands.
ifeq ($(V),1)
say = @:
else
MAKEFLAGS += --silent
say = @printf '  %-7s %s\n'
endif
CPPFLAGS += -D_GNU_SOURCE -Iagent -Iuapi
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	  -Wmissing-prototypes -Wno-unused-parameter -fstack-protector-strong
ifdef SANITIZE
CFLAGS += $(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
# libraries come with scripts/deps.sh, which make itself may have to run first
CFLAGS += $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS += $(shell pkg-config --libs $(PKGS) 2>/dev/null)

# Every .c below agent/ belongs to the library but the two mains.
MAINS := agent/tailraced.c agent/tailrace.c
SRCS := $(filter-out $(MAINS),$(wildcard agent/*.c agent/*/*.c))
OBJS := $(SRCS:%.c=$B/%.o)
PROGRAMS := $(patsubst agent/%.c,$B/%,$(wildcard $(MAINS)))
UNIT_TESTS := $(patsubst selftests/unit/%.c,$B/unit/%,\
		$(wildcard selftests/unit/test-*.c))
FILTER_TESTS := $(filter $B/unit/test-filter%,$(UNIT_TESTS))
ifdef SAN # tests of the module's files are sanitized always
UNIT_TESTS := $(filter-out $(FILTER_TESTS) $B/unit/test-kmod%,$(UNIT_TESTS))
endif
FUZZERS := $(patsubst selftests/fuzz/%.c,build/fuzz/%,\
		$(wildcard selftests/fuzz/fuzz-*.c))

all: agent

agent: $(PROGRAMS) $B/libtailrace.a

$B/libtailrace.a: $(OBJS)
	@rm -f $@
	$(say) AR $@
	$(AR) rcs $@ $^

$B/%.o: %.c
	@mkdir -p $(@D)
	$(say) CC $@
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(PROGRAMS): $B/%: $B/agent/%.o $B/libtailrace.a
	$(say) LD $@
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/unit/%: selftests/unit/%.c $(wildcard selftests/unit/*.h) $B/libtailrace.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $B/libtailrace.a $(LDLIBS)

# Programs that interop tests run.
$B/interop/%: selftests/interop/%.c $(wildcard selftests/unit/*.h) \
		$B/libtailrace.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $B/libtailrace.a $(LDLIBS)

# The module's packet filter, compiled for a test program: shim.h stands in for
# the kernel's headers.
SHIM_HEADERS := $(patsubst %,$B/shim/%.h,net/ipv6 crypto/poly1305 \
	crypto/utils $(addprefix linux/,\
	bitmap bitops cache compiler jhash jiffies list log2 math64 mm mutex netlink percpu \
	prefetch rcupdate \
	rhashtable sched seqlock siphash skbuff slab sort spinlock \
	u64_stats_sync xarray))
SHIM_SRCS := $(addprefix kmod/,packet.c interval.c ruleset.c classify.c \
	policy.c hits.c flow.c peer.c filter.c strict.c) \
	selftests/kmod/shim.c selftests/kmod/oracle.c \
	selftests/kmod/oracle_strict.c selftests/kmod/world.c \
	selftests/bench/sizes.c
SHIM_FLAGS := -std=gnu11 -g -Wall -Werror -I$B/shim \
	-include selftests/kmod/shim.h
SHIM_DEPS := selftests/kmod/shim.h selftests/kmod/oracle.h \
	selftests/kmod/oracle_inside.h \
	selftests/kmod/world.h selftests/kmod/compile.h \
	selftests/bench/sizes.h $(wildcard kmod/*.h) uapi/tailrace.h
SHIM_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

$(SHIM_HEADERS):
	@mkdir -p $(@D)
	@: >$@

$B/shim/%.o: %.c $(SHIM_DEPS) $(SHIM_HEADERS)
	@mkdir -p $(@D)
	$(say) CC $@
	$(CC) $(SHIM_FLAGS) -O1 $(SHIM_SANITIZE) -c -o $@ $<

$(FILTER_TESTS): $B/unit/%: selftests/unit/%.c \
		$(addprefix selftests/unit/,packet.h tap.h) $(SHIM_SRCS:%.c=$B/shim/%.o)
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(SHIM_FLAGS) -O1 $(SHIM_SANITIZE) -o $@ $< $(SHIM_SRCS:%.c=$B/shim/%.o)

# The module's disco, against the agent's and libsodium.
DISCO_OBJS := $(patsubst %,$B/shim/%.o,kmod/box kmod/disco selftests/kmod/shim)
$B/unit/test-kmod-disco: selftests/unit/test-kmod-disco.c $(DISCO_OBJS) \
		$(wildcard selftests/unit/*.h) $B/libtailrace.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(SHIM_FLAGS) -Iagent -O1 $(SHIM_SANITIZE) -o $@ $< $(DISCO_OBJS) \
		$B/libtailrace.a $(LDLIBS)

$B/bench/filter: selftests/bench/filter.c $(SHIM_SRCS) $(SHIM_DEPS) \
		$(SHIM_HEADERS)
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(SHIM_FLAGS) -O2 -o $@ $< $(SHIM_SRCS)

# static: it runs in the machines of other suites
$B/scenario: $(addprefix selftests/kmod/,scenario.c world.c oracle.c \
		oracle_strict.c world.h oracle.h oracle_inside.h) uapi/tailrace.h
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) -std=gnu11 -O2 -Wall -Werror -static -o $@ $(filter %.c,$^)

$B/netfuzz: $(addprefix selftests/kmod/,netfuzz.c netfuzz_message.c \
		netfuzz_socket.c netfuzz_model.c netfuzz.h netfuzz-tables) \
		uapi/tailrace.yaml uapi/tailrace.h
	@mkdir -p $(@D)
	$(say) GEN $@-tables.h
	selftests/kmod/netfuzz-tables >$@-tables.h
	$(say) LD $@
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -Iuapi -I$B -static \
		-o $@ $(filter %.c,$^)

$B/flood: selftests/kmod/flood.c
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) -D_GNU_SOURCE -std=gnu11 -O2 -Wall -Wextra -Werror -static -o $@ $<

build/fuzz/fuzz-filter: selftests/fuzz/fuzz-filter.c $(SHIM_SRCS) $(SHIM_DEPS) \
		$(SHIM_HEADERS)
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(SHIM_FLAGS) -O1 -fsanitize=fuzzer $(SHIM_SANITIZE) -o $@ $< \
		$(SHIM_SRCS)

bench-filter: $B/bench/filter
	$<

$B/bench/relay: selftests/bench/relay.c $B/libtailrace.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $B/libtailrace.a $(LDLIBS)

# The relay beside derper: packets a CPU second, memory a client, overload.
bench-relay: agent $B/bench/relay
	selftests/bench/relay

# What the module costs, against bare WireGuard, in instructions.
bench-kmod: build/bench/echo
	scripts/vm run --suite $(KERNEL) --kmod --icount --timeout 3600 -- \
		selftests/bench/cost

# What a flood to WireGuard's port costs, bare and with the module.
bench-flood: build/bench/echo $B/flood
	scripts/vm run --suite uml-fast --kmod --timeout 3600 -- \
		selftests/bench/flood

# A packet in the filter by the size of the policy, beside nftables.
bench-lookup: build/bench/play
	scripts/vm run --suite uml-fast --kmod --timeout 3600 -- \
		selftests/bench/lookup

# static, as scenario is
build/bench/play: $(addprefix selftests/bench/,play.c sizes.c sizes.h) \
		selftests/kmod/oracle.h uapi/tailrace.h
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -static -o $@ $(filter %.c,$^)

build/bench/echo: selftests/bench/echo.c
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -o $@ $<

$B/bench/coord $B/bench/tailnet: $B/bench/%: selftests/bench/%.c \
		$(wildcard selftests/unit/*.h) $B/libtailrace.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $B/libtailrace.a $(LDLIBS)

# What a connected machine costs the coordination server, what a thousand do.
bench-coord: $B/bench/coord $B/bench/tailnet
	$B/bench/coord
	$B/bench/tailnet

# What a policy costs coord, by nodes and rules.
$B/bench/policy: selftests/bench/policy.c $B/libtailrace.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $^ $(LDLIBS)

bench-policy: $B/bench/policy
	$<

bench: bench-filter bench-lookup bench-policy bench-relay bench-coord bench-kmod \
	bench-flood

build/fuzz/fuzz-kmod-disco: selftests/fuzz/fuzz-kmod-disco.c kmod/box.c \
		kmod/disco.c $(SHIM_DEPS) $(SHIM_HEADERS)
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(SHIM_FLAGS) -O1 -fsanitize=fuzzer $(SHIM_SANITIZE) -o $@ $< \
		kmod/box.c kmod/disco.c selftests/kmod/shim.c -lsodium

build/fuzz/fuzz-%: selftests/fuzz/fuzz-%.c $B/libtailrace.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(CC) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer -MMD -MP -o $@ $< \
		$B/libtailrace.a $(LDLIBS)

unit-tests: $(UNIT_TESTS)
fuzzers: $(FUZZERS)

KDIR ?= /lib/modules/$(shell uname -r)/build
kmod:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

# ── tests ────────────────────────────────────────────────────────────────

SUDO := $(shell test $$(id -u) = 0 || echo sudo -E)
KERNEL ?= bookworm
SUITES := uml trixie bookworm
MATRIX := bullseye bookworm bookworm-backports trixie trixie-backports sid arm64
# What wants fault injection or the sanitizers to be worth its time, or modules of
# its own; or, full.t, a kernel that lets one process have all of its processors.
KMOD_DEBUG := $(addprefix selftests/kmod/,differ.t fault.t full.t netfuzz.t packets.t)
KMOD_TESTS := $(filter-out selftests/kmod/race.t \
	$(if $(filter uml uml-smp,$(KERNEL)),,$(KMOD_DEBUG)),\
	$(sort $(wildcard selftests/kmod/*.t)))
NET_TESTS := $(sort $(wildcard selftests/net/*.t))
INTEROP_TESTS := $(sort $(wildcard selftests/interop/*.t))

# prove that leaves the raw TAP of its tests in build/tap/$1
prove = $(SUDO) rm -rf build/tap/$1 && mkdir -p build/tap/$1 && \
	$2 env PERL_TEST_HARNESS_DUMP_TAP=build/tap/$1 prove --timer

deps:
	@scripts/deps.sh

# A second make: the first could not ask pkg-config before deps were there. All
# that two parts want is built before they run side by side.
check: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) agent unit-tests kmod-programs
	@scripts/check interop unit $(patsubst %,kmod:%,$(SUITES)) san fuzz net dkms

check-unit: $(UNIT_TESTS)
	@$(call prove,$(if $(SAN),san,unit)) -j4 -e selftests/unit/run $(UNIT_TESTS) \
		$(if $(SAN),,$(wildcard selftests/unit/*.t))

check-san:
	@$(MAKE) --no-print-directory -j$(shell nproc) SAN=1 unit-tests
	@$(MAKE) --no-print-directory SAN=1 check-unit

check-fuzz:
	@$(MAKE) --no-print-directory -j$(shell nproc) FUZZ=1 fuzzers
	@selftests/fuzz/seeds.py selftests/vectors build/fuzz/seeds
	@$(call prove,fuzz) -j$(shell nproc) -e selftests/fuzz/run $(FUZZERS)

# What takes the engine's place in tests of the kernel process.
$B/kernelctl: selftests/kmod/kernelctl.c $B/libtailrace.a
	$(say) LD $@
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< \
		$B/libtailrace.a $(LDLIBS)

# The loader and libraries of what runs in the machines of older suites.
$B/lib/ld.so: $B/kernelctl $B/tailrace
	@mkdir -p $(@D)
	cp -L -t $(@D) $$(ldd $^ | sed -n 's/.* => \(.*\) .*/\1/p' | sort -u)
	cp -L $$($(CC) -print-file-name=ld-linux-x86-64.so.2) $@

# What the tests run inside the machines.
kmod-programs: $(addprefix $B/,kernelctl tailrace scenario netfuzz flood) \
		$(if $(CROSS),,$B/lib/ld.so)

kmod-programs-arm64:
	scripts/vm cross make --no-print-directory -C /src -j$(shell nproc) \
		B=build/arm64 CROSS=aarch64-linux-gnu- kmod-programs

check-kmod: kmod-programs$(if $(filter arm64,$(KERNEL)),-arm64)
	@$(call prove,kmod-$(KERNEL),scripts/vm run --suite $(KERNEL) --kmod \
		--timeout 5400 --) \
		-e selftests/kmod/run $(KMOD_TESTS)

# What DKMS makes of kernels that the module cannot serve; each suite has another
# DKMS.
check-dkms: $(addprefix check-dkms-,bookworm trixie)
check-dkms-%:
	@$(call prove,dkms/$*,$(SUDO)) -e 'scripts/vm chroot $*' \
		selftests/dkms/decline.t

check-matrix: kmod-programs
	@scripts/deps.sh --arm64
	@$(SUDO) scripts/matrix $(MATRIX)

# What check-kmod does a little of.
fuzz-kmod: MESSAGES ?= 1000000
fuzz-kmod: PACKETS ?= 10000000
fuzz-kmod: build/netfuzz
	scripts/vm run --suite uml --kmod --timeout 14400 \
		--env TAILRACE_NETFUZZ=$(MESSAGES) \
		--env TAILRACE_PACKETS=$(PACKETS) -- \
		prove -v --timer -e selftests/kmod/run \
		selftests/kmod/packets.t selftests/kmod/netfuzz.t

random-kmod: POLICIES ?= 1040
random-kmod: build/scenario
	scripts/vm run --suite uml --kmod --timeout 14400 \
		--env TAILRACE_POLICIES=$(POLICIES) \
		$(if $(TEST_SEED),--env TEST_SEED=$(TEST_SEED)) -- \
		prove -v --timer -e selftests/kmod/run selftests/kmod/differ.t

race-kmod: ROUNDS ?= 1000
race-kmod:
	scripts/vm run --suite $(if $(filter uml% kcsan,$(KERNEL)),$(KERNEL),uml-smp) \
		--kmod --timeout 14400 --env TAILRACE_ROUNDS=$(ROUNDS) \
		-- prove -v --timer -e selftests/kmod/run selftests/kmod/race.t

check-net: agent
	@$(call prove,net,$(SUDO)) $(NET_TESTS)

check-interop: agent
	@scripts/interop-peers.sh
	@$(call prove,interop,$(SUDO)) $(INTEROP_TESTS)

demo: deps
	@$(MAKE) --no-print-directory agent
	@$(SUDO) scripts/demo

# libmnl's loops are macros that cppcheck would have to be told about by header
MNL_LOOPS := '-Dmnl_attr_for_each(a,b,c)=for(a=mnl_nlmsg_get_payload(b);a;)' \
	'-Dmnl_attr_for_each_nested(a,b)=for(a=mnl_attr_get_payload(b);a;)'

# SC2034, SC2154: the interop tests share variables with what they source
lint:
	shellcheck -x -e SC1007,SC1090,SC1091,SC2034,SC2154 \
		$$(grep -lE '^#!/bin/(ba)?sh' -r scripts selftests .ci)
	cppcheck -q --std=c11 --error-exitcode=1 --inline-suppr \
		--suppress=missingIncludeSystem \
		--suppress=preprocessorErrorDirective -D_GNU_SOURCE $(MNL_LOOPS) \
		-I agent -I uapi agent

lint-kmod:
	@scripts/lint-kmod $(LINT)

# ── installation ─────────────────────────────────────────────────────────

VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
SOURCE := $(DESTDIR)/usr/src/tailrace-$(VERSION)

install: agent
	install -D -m 755 build/tailraced $(DESTDIR)/usr/sbin/tailraced
	install -D -m 755 build/tailrace $(DESTDIR)/usr/bin/tailrace
	install -D -m 644 -t $(DESTDIR)/usr/lib/systemd/system \
		scripts/tailraced.service scripts/tailrace-coord.service \
		scripts/tailrace-relay.service
	install -D -m 644 README.md \
		$(DESTDIR)/usr/share/doc/tailrace/README.md
	install -D -m 644 scripts/tailrace.sysusers \
		$(DESTDIR)/usr/lib/sysusers.d/tailrace.conf
	install -D -m 644 scripts/tailrace.tmpfiles \
		$(DESTDIR)/usr/lib/tmpfiles.d/tailrace.conf
	rm -rf $(SOURCE)
	install -d $(SOURCE)
	cp -a Kbuild dkms.conf kmod uapi $(SOURCE)/
ifeq ($(DESTDIR),)
	systemd-sysusers tailrace.conf
	systemd-tmpfiles --create tailrace.conf
	! dkms status tailrace/$(VERSION) | grep -q . || \
		dkms remove tailrace/$(VERSION) --all
	dkms install tailrace/$(VERSION)
	! test -d /run/systemd/system || systemctl daemon-reload
endif

clean:
	rm -rf build

-include $(OBJS:.o=.d) $(MAINS:%.c=$B/%.d) $B/kernelctl.d $B/bench/relay.d $B/bench/coord.d $B/bench/tailnet.d \
	$B/bench/policy.d $(UNIT_TESTS:=.d) $(FUZZERS:=.d)

.PHONY: all agent bench bench-filter bench-lookup bench-policy bench-coord bench-kmod bench-flood bench-relay kmod kmod-programs \
	kmod-programs-arm64 unit-tests \
	fuzzers deps check check-unit check-san check-fuzz check-kmod \
	fuzz-kmod race-kmod random-kmod check-matrix check-dkms check-net check-interop demo lint lint-kmod install clean
.SECONDARY:
