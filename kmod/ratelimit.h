/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Token buckets by source prefix: IPv4 /24, IPv6 /64, hashed with a secret to
 * a fixed number of buckets. Nothing is allocated or freed per source.
 */
#ifndef _TR_RATELIMIT_H
#define _TR_RATELIMIT_H

#include <linux/siphash.h>

#define TR_RATELIMIT_BUCKETS 1024

/**
 * struct tr_ratelimit - a set of buckets
 * @key: the secret
 * @interval: ns a packet costs
 * @burst: ns of credit
 * @full_at: of each bucket, when it will have all its credit again, in ns
 */
struct tr_ratelimit {
	siphash_key_t key;
	u64 interval;
	u64 burst;
	atomic64_t full_at[TR_RATELIMIT_BUCKETS];
};

/* @per_second packets, and @burst more at once, for each bucket. */
void tr_ratelimit_init(struct tr_ratelimit *limit, u32 per_second, u32 burst);

/**
 * tr_ratelimit_take() - account a packet
 * @limit: set
 * @family: AF_INET or AF_INET6
 * @source: 4 or 16 bytes
 *
 * Any context, lock-free. Return: false when there is no credit.
 */
bool tr_ratelimit_take(struct tr_ratelimit *limit, u8 family,
		       const void *source);

#endif
