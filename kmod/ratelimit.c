// SPDX-License-Identifier: GPL-2.0
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/socket.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "ratelimit.h"

void tr_ratelimit_init(struct tr_ratelimit *limit, u32 per_second, u32 burst)
{
	int i;

	get_random_bytes(&limit->key, sizeof(limit->key));
	limit->interval = NSEC_PER_SEC / per_second;
	limit->burst = limit->interval * burst;
	for (i = 0; i < TR_RATELIMIT_BUCKETS; i++)
		atomic64_set(&limit->full_at[i], 0);
}

static u32 bucket(const struct tr_ratelimit *limit, u8 family,
		  const void *source)
{
	u64 prefix = 0;

	if (family == AF_INET)
		memcpy(&prefix, source, 3);
	else
		memcpy(&prefix, source, 8);
	return siphash_2u64(prefix, family, &limit->key) % TR_RATELIMIT_BUCKETS;
}

bool tr_ratelimit_take(struct tr_ratelimit *limit, u8 family,
		       const void *source)
{
	atomic64_t *full_at = &limit->full_at[bucket(limit, family, source)];
	u64 now = ktime_get_coarse_boottime_ns();
	s64 old = atomic64_read(full_at);
	u64 next;

	do {
		next = max_t(u64, old, now) + limit->interval;
		if (next > now + limit->burst)
			return false;
	} while (!atomic64_try_cmpxchg(full_at, &old, next));
	return true;
}
