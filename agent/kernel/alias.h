/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_ALIAS_H
#define KERNEL_ALIAS_H

#include "kernel/kernel.h"

/*
 * Which endpoints of the module's alias table are whose. An endpoint has one
 * peer: what two paths name belongs to the newer one (after a key rotation the
 * old peer's path still names the same sockets).
 */

struct alias {
	uint32_t peer;
	struct endpoint canonical;
	struct endpoint *seen; /* sorted, without the canonical one */
	size_t n_seen;
	uint64_t age; /* of a wanted one: when set, larger is newer */
};

struct alias_list {
	struct alias *a;
	size_t n;
};

bool alias_equal(const struct alias *a, const struct alias *b);

/* @path's aliases appended to @list. */
void alias_want(struct alias_list *list, const struct kernel_path *path,
		uint64_t age);
/* Leaves each endpoint to the newest; drops aliases without a canonical. */
void alias_settle(struct alias_list *want);

/* Sorts by peer, then each one's endpoints. */
void alias_sort(struct alias_list *list);
void alias_free(struct alias_list *list);

struct alias_op {
	bool del; /* only .peer counts */
	const struct alias *set; /* into want */
	uint32_t peer;
};

/*
 * From @have to @want (settled), as operations in order: first peers that hold
 * an endpoint which another one gets are deleted, then what differs is set.
 * @keep tells of a peer in @have without an alias in @want whether its aliases
 * stay unless they are in the way. The caller frees *ops.
 */
size_t alias_diff(struct alias_list *have, struct alias_list *want,
		  bool (*keep)(void *ctx, uint32_t peer), void *ctx,
		  struct alias_op **ops);

#endif
