/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_STATS_H
#define _TR_STATS_H

#include <linux/percpu.h>
#include <linux/u64_stats_sync.h>

#include "../uapi/tailrace.h"
#include "path.h"

/**
 * struct tr_stats - one CPU's counters of a device
 * @n: indexed by the netlink attribute that shows it
 * @drop: indexed by enum tailrace_drop
 * @path: indexed by enum tailrace_path
 * @sync: readers
 */
struct tr_stats {
	u64_stats_t n[TAILRACE_A_STATS_MAX + 1];
	u64_stats_t drop[__TAILRACE_DROP_MAX];
	struct {
		u64_stats_t rx_packets;
		u64_stats_t rx_bytes;
		u64_stats_t tx_packets;
		u64_stats_t tx_bytes;
	} path[TR_PATHS];
	struct u64_stats_sync sync;
};

/**
 * struct tr_stats_sum - the counters of all CPUs
 * @n: as in struct tr_stats
 * @drop: as in struct tr_stats
 * @path: likewise
 */
struct tr_stats_sum {
	u64 n[TAILRACE_A_STATS_MAX + 1];
	u64 drop[__TAILRACE_DROP_MAX];
	struct tailrace_path_counters path[TR_PATHS];
};

/* Process context. Return: NULL without memory; free_percpu() ends it. */
struct tr_stats __percpu *tr_stats_alloc(void);

/* Any context. */
void tr_stats_read(const struct tr_stats __percpu *stats,
		   struct tr_stats_sum *sum);

/* @attr is one of TAILRACE_A_STATS_*. BH disabled. */
static inline void tr_stats_add(struct tr_stats __percpu *stats,
				unsigned int attr, unsigned int n)
{
	struct tr_stats *s = this_cpu_ptr(stats);

	u64_stats_update_begin(&s->sync);
	u64_stats_add(&s->n[attr], n);
	u64_stats_update_end(&s->sync);
}

static inline void tr_stats_inc(struct tr_stats __percpu *stats,
				unsigned int attr)
{
	tr_stats_add(stats, attr, 1);
}

/* WireGuard's packets; BH disabled. */
static inline void tr_stats_path_rx(struct tr_stats __percpu *stats,
				    unsigned int path, unsigned int packets,
				    unsigned int bytes)
{
	struct tr_stats *s = this_cpu_ptr(stats);

	u64_stats_update_begin(&s->sync);
	u64_stats_add(&s->path[path].rx_packets, packets);
	u64_stats_add(&s->path[path].rx_bytes, bytes);
	u64_stats_update_end(&s->sync);
}

/* @path may be TR_PATH_NONE. BH disabled. */
static inline void tr_stats_path_tx(struct tr_stats __percpu *stats,
				    unsigned int path, unsigned int packets,
				    unsigned int bytes)
{
	struct tr_stats *s = this_cpu_ptr(stats);

	u64_stats_update_begin(&s->sync);
	u64_stats_add(&s->path[path].tx_packets, packets);
	u64_stats_add(&s->path[path].tx_bytes, bytes);
	u64_stats_update_end(&s->sync);
}

/* BH disabled. */
static inline void tr_stats_drop(struct tr_stats __percpu *stats,
				 enum tailrace_drop reason,
				 unsigned int packets)
{
	struct tr_stats *s = this_cpu_ptr(stats);

	u64_stats_update_begin(&s->sync);
	u64_stats_add(&s->drop[reason], packets);
	u64_stats_update_end(&s->sync);
}

#endif
