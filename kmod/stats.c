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

void tr_stats_read(const struct tr_stats __percpu *stats,
		   struct tr_stats_sum *sum)
{
	int cpu, i;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const struct tr_stats *s = per_cpu_ptr(stats, cpu);
		struct tr_stats_sum one;
		unsigned int start;

		do {
			start = u64_stats_fetch_begin(&s->sync);
			for (i = 0; i < ARRAY_SIZE(one.n); i++)
				one.n[i] = u64_stats_read(&s->n[i]);
			for (i = 0; i < ARRAY_SIZE(one.drop); i++)
				one.drop[i] = u64_stats_read(&s->drop[i]);
		} while (u64_stats_fetch_retry(&s->sync, start));

		for (i = 0; i < ARRAY_SIZE(one.n); i++)
			sum->n[i] += one.n[i];
		for (i = 0; i < ARRAY_SIZE(one.drop); i++)
			sum->drop[i] += one.drop[i];
	}
}
