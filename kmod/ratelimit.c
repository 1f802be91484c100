// SPDX-License-Identifier: GPL-2.0
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/socket.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "ratelimit.h"

static void init_rate(struct tr_rate *rate, u32 per_second, u32 burst)
{
	rate->interval = NSEC_PER_SEC / per_second;
	rate->burst = rate->interval * burst;
}

void tr_bucket_init(struct tr_bucket *bucket, u32 per_second, u32 burst)
{
	init_rate(&bucket->rate, per_second, burst);
	atomic64_set(&bucket->full_at, 0);
}

void tr_ratelimit_init(struct tr_ratelimit *limit, u32 per_second, u32 burst)
{
	int i;

	get_random_bytes(&limit->key, sizeof(limit->key));
	init_rate(&limit->rate, per_second, burst);
	for (i = 0; i < TR_RATELIMIT_BUCKETS; i++)
		atomic64_set(&limit->full_at[i], 0);
}

static bool take(atomic64_t *full_at, const struct tr_rate *rate)
{
	u64 now = ktime_get_coarse_boottime_ns();
	s64 old = atomic64_read(full_at);
	u64 next;

	do {
		next = max_t(u64, old, now) + rate->interval;
		if (next > now + rate->burst)
			return false;
	} while (!atomic64_try_cmpxchg(full_at, &old, next));
	return true;
}

bool tr_bucket_take(struct tr_bucket *bucket)
{
	return take(&bucket->full_at, &bucket->rate);
}

bool tr_ratelimit_take_by(struct tr_ratelimit *limit, const void *who,
			  size_t len)
{
	u32 i = siphash(who, len, &limit->key) % TR_RATELIMIT_BUCKETS;

	return take(&limit->full_at[i], &limit->rate);
}

bool tr_ratelimit_take(struct tr_ratelimit *limit, u8 family,
		       const void *source)
{
	u64 prefix[2] = { 0, family };

	if (family == AF_INET)
		memcpy(prefix, source, 3);
	else
		memcpy(prefix, source, 8);
	return tr_ratelimit_take_by(limit, prefix, sizeof(prefix));
}
