/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_STATS_H
#define KERNEL_STATS_H

#include "kernel/netlink.h"
#include "kernel/wire.h"

struct json_object;

/* WireGuard's counters of each peer into @out->peers, the caller's to free. */
void stats_peers(struct netlink *nl, uint32_t link,
		 const struct kernel_state *state, struct wire_stats *out);

/*
 * State and counters of one of tailrace.ko's devices, for people. An empty
 * object on errors; the caller's.
 */
struct json_object *stats_json(struct netlink *nl, uint16_t family,
			       uint32_t link);

#endif
