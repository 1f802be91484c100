// SPDX-License-Identifier: GPL-2.0
#include "stats.h"

struct tr_stats __percpu *tr_stats_alloc(void)
{
	struct tr_stats __percpu *stats = alloc_percpu(struct tr_stats);
	int cpu;

	if (!stats)
		return NULL;
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(stats, cpu)->sync);
	return stats;
}

static void read_one(const struct tr_stats *s, struct tr_stats_sum *one)
{
	unsigned int start;
	int i;

	do {
		start = u64_stats_fetch_begin(&s->sync);
		for (i = 0; i < ARRAY_SIZE(one->n); i++)
			one->n[i] = u64_stats_read(&s->n[i]);
		for (i = 0; i < ARRAY_SIZE(one->drop); i++)
			one->drop[i] = u64_stats_read(&s->drop[i]);
		for (i = 0; i < ARRAY_SIZE(one->path); i++) {
			one->path[i].rx_packets =
				u64_stats_read(&s->path[i].rx_packets);
			one->path[i].rx_bytes =
				u64_stats_read(&s->path[i].rx_bytes);
			one->path[i].tx_packets =
				u64_stats_read(&s->path[i].tx_packets);
			one->path[i].tx_bytes =
				u64_stats_read(&s->path[i].tx_bytes);
		}
	} while (u64_stats_fetch_retry(&s->sync, start));
}

void tr_stats_read(const struct tr_stats __percpu *stats,
		   struct tr_stats_sum *sum)
{
	struct tr_stats_sum one;
	int cpu, i;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		read_one(per_cpu_ptr(stats, cpu), &one);
		for (i = 0; i < ARRAY_SIZE(one.n); i++)
			sum->n[i] += one.n[i];
		for (i = 0; i < ARRAY_SIZE(one.drop); i++)
			sum->drop[i] += one.drop[i];
		for (i = 0; i < ARRAY_SIZE(one.path); i++) {
			sum->path[i].rx_packets += one.path[i].rx_packets;
			sum->path[i].rx_bytes += one.path[i].rx_bytes;
			sum->path[i].tx_packets += one.path[i].tx_packets;
			sum->path[i].tx_bytes += one.path[i].tx_bytes;
		}
	}
	/* Each has come by one of them. */
	for (i = 0; i < ARRAY_SIZE(sum->path); i++)
		sum->n[TAILRACE_A_STATS_WG_RX] += sum->path[i].rx_packets;
}
