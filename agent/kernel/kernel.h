/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/key.h"
#include "tailrace.h"

/*
 * The engine's view of the kernel process: it publishes a desired state and
 * hears events. The kernel process (kernel/process.h) holds CAP_NET_ADMIN,
 * dumps what is there, sends the difference, and parses nothing but these
 * typed messages.
 */

struct event_base;
struct kernel;

#define FWMARK_BYPASS 0x80000u
#define FWMARK_SUBNET 0x40000u
#define FWMARK_MASK 0xff0000u
#define ROUTE_TABLE 52
#define RULE_BASE 5210

/*
 * A relayed peer's virtual endpoint is 127.a.b.c (the 24 bits of its id),
 * RELAY_PORT: WireGuard transmits to loopback, where the engine listens.
 */
#define RELAY_PORT 41642

struct kernel_peer {
	uint32_t id; /* 1..0xffffff, stable while the node key is the same */
	struct key public_key;
	uint32_t flags; /* enum tailrace_peer_flags */
	struct prefix *addrs; /* the peer's own addresses */
	size_t n_addrs;
	struct prefix *allowed_ips;
	size_t n_allowed_ips;
	uint32_t *caps; /* interned capability names */
	size_t n_caps;
	/*
	 * With these the module answers the peer's disco pings while there is
	 * no engine. Zero: it does not.
	 */
	struct key disco; /* the peer's public key */
	struct key disco_shared; /* box key, a secret */
};

struct kernel_rule {
	uint32_t id;
	const uint8_t *protos; /* NULL: default */
	size_t n_protos;
	const struct tailrace_addr *src;
	size_t n_src;
	const uint32_t *src_caps;
	size_t n_src_caps;
	const struct tailrace_dst *dst;
	size_t n_dst;
	uint64_t hits; /* packets let in; of a dump */
};

/* The sizes that the module's flow table can have, and has by itself. */
#define KERNEL_FLOWS_MIN 4096
#define KERNEL_FLOWS_MAX 16777216
#define KERNEL_FLOWS_DEFAULT 262144

/* How the module is to treat the device, apart from its policy. */
struct kernel_settings {
	uint32_t flags; /* enum tailrace_device_flags */
	uint32_t flows_max; /* rounded up to a power of two; 0: the default */
	uint32_t max_stale; /* seconds without an agent until it closes, 0: never */
	uint32_t records; /* seconds between a flow's records, 0: none */
};

/* Everything but paths. Sorted or not, order means nothing. */
struct kernel_state {
	bool up; /* false: device, routes and rules are removed */
	char ifname[16];
	struct key private_key;
	struct key disco; /* our public key, to which all disco_shared belong */
	uint16_t port; /* WireGuard's UDP port, 0: keep or choose */
	uint32_t mtu; /* 0: 1280 */
	struct prefix *addrs;
	size_t n_addrs;
	struct prefix *routes; /* into table 52, dev ifname */
	size_t n_routes;
	struct kernel_peer *peers;
	size_t n_peers;
	uint32_t policy_flags;
	struct tailrace_addr *local; /* the filter's local set */
	size_t n_local;
	struct kernel_rule *rules;
	size_t n_rules;
	bool have_policy; /* false: attach and stay closed */
	struct kernel_settings settings;
};

/* Where WireGuard should send for a peer, and what else it may hear from. */
struct kernel_path {
	uint32_t peer;
	struct endpoint canonical;
	struct endpoint seen[TAILRACE_MAX_ALIASES];
	size_t n_seen;
};

struct kernel_peer_stats {
	uint32_t peer;
	uint64_t rx_bytes, tx_bytes; /* WireGuard's, outer */
	int64_t last_handshake; /* Unix seconds, 0 never */
	struct endpoint endpoint;
};

struct kernel_ops {
	/*
	 * A state was applied; @error is "" or one line that says what could
	 * not be done and what to do next. @port is WireGuard's port, 0 while
	 * a steer socket does not share it; @link is the interface's index,
	 * 0 without one.
	 */
	void (*applied)(void *ctx, int link, uint16_t port, const char *error);
	void (*peer_active)(void *ctx, uint32_t peer);
	void (*peer_idle)(void *ctx, uint32_t peer);
	/* WireGuard roamed @peer to an endpoint that the engine didn't set. */
	void (*roamed)(void *ctx, uint32_t peer, const struct endpoint *e);
	void (*tsmp)(void *ctx, const struct ip_addr *src,
		     const struct ip_addr *dst, const uint8_t *data, size_t n);
	/* A link, address or default route changed; coalesced (250 ms). */
	void (*link_changed)(void *ctx);
	/* The kernel process is gone: the engine must exit. */
	void (*lost)(void *ctx);
};

/*
 * @stream and @broker are the engine's ends of the two socket pairs made
 * before the fork. Takes ownership of both.
 */
struct kernel *kernel_new(struct event_base *base, int stream, int broker,
			  const struct kernel_ops *ops, void *ctx);
/* Not from within an op or a callback. */
void kernel_free(struct kernel *k);

/* Copies. The kernel process applies the newest state only. */
void kernel_publish(struct kernel *k, const struct kernel_state *state);
/* Desired endpoint and aliases of one peer; kept across kernel_publish. */
void kernel_set_path(struct kernel *k, const struct kernel_path *path);
void kernel_send_tsmp(struct kernel *k, const struct ip_addr *src,
		      const struct ip_addr *dst, const uint8_t *data, size_t n);

typedef void (*kernel_stats_cb)(void *ctx, const struct kernel_peer_stats *s,
				size_t n, const char *device_json);
/*
 * Asks for WireGuard's and the module's counters; @device_json is the module's
 * device state and counters for people ("{}" without a module). The callback
 * runs once, not after kernel_free. @rules: with the hits of rules, too.
 */
void kernel_get_stats(struct kernel *k, bool rules, kernel_stats_cb cb,
		      void *ctx);

/*
 * Sockets that the unprivileged engine cannot make by itself, over the broker
 * pair, synchronous (the kernel process answers between two reconciles; at
 * most 5 s). Non-blocking, close-on-exec, owned by the caller; negative errno.
 *
 * tcp: carries the bypass mark. steer: a UDP socket, marked, with 7 MiB
 * buffers, that the kernel process binds to the module again whenever the
 * device is (re)attached.
 */
int kernel_socket_tcp(struct kernel *k, int family);
int kernel_socket_udp(struct kernel *k, int family);
int kernel_socket_steer(struct kernel *k, int family);

#endif
