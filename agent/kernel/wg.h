/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_WG_H
#define KERNEL_WG_H

#include "kernel/netlink.h"
#include "lib/addr.h"
#include "lib/key.h"

/*
 * WireGuard's generic netlink interface. One struct holds what the kernel has
 * and what it shall have; the difference is a pure function.
 */

struct wg_peer {
	struct key public_key;
	struct endpoint endpoint; /* none: unset, or don't care */
	struct prefix *allowed_ips; /* sorted */
	size_t n_allowed_ips;
	/* of a dump only */
	uint16_t keepalive; /* seconds */
	bool psk;
	uint64_t rx_bytes, tx_bytes;
	int64_t last_handshake; /* Unix seconds, 0 never */
};

struct wg_device {
	uint32_t link;
	struct key private_key;
	uint16_t port;
	uint32_t fwmark;
	struct wg_peer *peers; /* sorted by public key */
	size_t n_peers;
};

/* 0; -ENOENT without the kernel's WireGuard; -ENODEV; -EOPNOTSUPP. */
int wg_get(struct netlink *nl, uint32_t link, struct wg_device *out);
/* Frees the lists and wipes the key. */
void wg_free(struct wg_device *d);
struct wg_peer *wg_find(const struct wg_device *d, const struct key *k);
/* Brings the peers and their lists into order. */
void wg_sort(struct wg_device *d);

enum wg_field {
	WG_PRIVATE_KEY = 1 << 0,
	WG_PORT = 1 << 1,
	WG_FWMARK = 1 << 2,
};

/*
 * Which of the device's own fields differ. A zero port is "as it is".
 */
unsigned int wg_diff_device(const struct wg_device *have,
			    const struct wg_device *want);
int wg_set_device(struct netlink *nl, const struct wg_device *want,
		  unsigned int fields);

struct wg_change {
	struct key public_key;
	bool create;
	bool remove;
	bool reset; /* of keepalive and preshared key */
	struct endpoint endpoint; /* none: not touched */
	struct prefix *add;
	size_t n_add;
};

/*
 * In this order, so that no packet is lost: allowed IPs that are added or move
 * from one peer to another (WireGuard moves them in one step); then those that
 * must go are moved to a made-up peer that is removed at once, because kernels
 * before 6.16 can only replace all of a peer's; last, peers are removed.
 */
struct wg_plan {
	struct wg_change *changes;
	size_t n;
};

/*
 * Peers of @have against @want, both sorted. @pit is the key of the made-up
 * peer, nobody's key.
 */
void wg_diff_peers(const struct wg_device *have, const struct wg_device *want,
		   const struct key *pit, struct wg_plan *plan);
/* An empty change of one peer, to be filled in. */
struct wg_change *wg_plan_add(struct wg_plan *plan, const struct key *k);
void wg_plan_free(struct wg_plan *plan);

/* Sends the plan in as few messages as it takes. */
int wg_apply(struct netlink *nl, uint32_t link, const struct wg_plan *plan);

#endif
