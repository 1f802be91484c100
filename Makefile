# SPDX-License-Identifier: GPL-2.0
#
# make agent, make kmod, make check. Everything built goes to build/.

B := build
CC ?= gcc
PKGS := libevent libevent_openssl openssl libsodium libnghttp2 json-c \
	libzstd libmnl libnl-3.0 libnl-route-3.0 libnftables libseccomp libcap libcurl
CPPFLAGS += -D_GNU_SOURCE -Iagent -Iuapi
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	  -Wmissing-prototypes -Wno-unused-parameter -fstack-protector-strong
CFLAGS += $(shell pkg-config --cflags $(PKGS))
LDLIBS += $(shell pkg-config --libs $(PKGS))

# Every .c below agent/ belongs to the library but the two mains.
MAINS := agent/tailraced.c agent/tailrace.c
SRCS := $(filter-out $(MAINS),$(wildcard agent/*.c agent/*/*.c))
OBJS := $(SRCS:%.c=$B/%.o)
PROGRAMS := $(patsubst agent/%.c,$B/%,$(wildcard $(MAINS)))
UNIT_TESTS := $(patsubst selftests/unit/%.c,$B/unit/%,\
		$(wildcard selftests/unit/test-*.c))

all: agent

agent: $(PROGRAMS) $B/libtailrace.a

$B/libtailrace.a: $(OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

$B/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(PROGRAMS): $B/%: $B/agent/%.o $B/libtailrace.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/unit/%: selftests/unit/%.c $(wildcard selftests/unit/*.h) $B/libtailrace.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $B/libtailrace.a $(LDLIBS)

# The module's packet filter, compiled for a test program: shim.h stands in for
# the kernel's headers.
SHIM_HEADERS := $(patsubst %,$B/shim/%.h,net/ipv6 $(addprefix linux/,\
	bitmap bitops cache jhash jiffies list log2 mm mutex percpu rcupdate \
	rhashtable sched seqlock siphash skbuff slab sort spinlock \
	u64_stats_sync xarray))
SHIM_SRCS := $(addprefix kmod/,packet.c interval.c ruleset.c classify.c \
	policy.c flow.c peer.c filter.c) \
	selftests/kmod/shim.c selftests/kmod/oracle.c
SHIM_FLAGS := -std=gnu11 -g -Wall -Werror -I$B/shim \
	-include selftests/kmod/shim.h
SHIM_DEPS := selftests/kmod/shim.h selftests/kmod/oracle.h \
	$(wildcard kmod/*.h) uapi/tailrace.h
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

$(SHIM_HEADERS):
	@mkdir -p $(@D)
	@: >$@

$B/shim/%.o: %.c $(SHIM_DEPS) $(SHIM_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(SHIM_FLAGS) -O1 $(SANITIZE) -c -o $@ $<

$(filter $B/unit/test-filter%,$(UNIT_TESTS)): $B/unit/%: selftests/unit/%.c \
		selftests/unit/tap.h $(SHIM_SRCS:%.c=$B/shim/%.o)
	@mkdir -p $(@D)
	$(CC) $(SHIM_FLAGS) -O1 $(SANITIZE) -o $@ $< $(SHIM_SRCS:%.c=$B/shim/%.o)

$B/bench/filter: selftests/bench/filter.c $(SHIM_SRCS) $(SHIM_DEPS) \
		$(SHIM_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(SHIM_FLAGS) -O2 -o $@ $< $(SHIM_SRCS)

bench-filter: $B/bench/filter
	$<

check-unit: $(UNIT_TESTS)
	cd selftests && prove -e '' $(UNIT_TESTS:%=../%)

KDIR ?= /lib/modules/$(shell uname -r)/build
kmod:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

clean:
	rm -rf $B

-include $(OBJS:.o=.d)

.PHONY: all agent kmod check-unit bench-filter clean
.SECONDARY:
