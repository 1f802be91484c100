/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Token buckets: single ones, and sets of them by who sends, hashed with a
 * secret to a fixed number. Nothing is allocated or freed per sender.
 */
#ifndef _TR_RATELIMIT_H
#define _TR_RATELIMIT_H

#include <linux/atomic.h>
#include <linux/siphash.h>

#define TR_RATELIMIT_BUCKETS 1024

/**
 * struct tr_rate - how fast and how much at once
 * @interval: ns a packet costs
 * @burst: ns of credit
 */
struct tr_rate {
	u64 interval;
	u64 burst;
};

/**
 * struct tr_bucket - a bucket for all
 * @rate: of what comes out
 * @full_at: when it will have all its credit again, in ns
 */
struct tr_bucket {
	struct tr_rate rate;
	atomic64_t full_at;
};

/**
 * struct tr_ratelimit - a set of buckets
 * @key: the secret
 * @rate: of each
 * @full_at: of each, when it will have all its credit again, in ns
 */
struct tr_ratelimit {
	siphash_key_t key;
	struct tr_rate rate;
	atomic64_t full_at[TR_RATELIMIT_BUCKETS];
};

/* @per_second packets, and @burst more at once. */
void tr_bucket_init(struct tr_bucket *bucket, u32 per_second, u32 burst);
/* The same for each of a set. */
void tr_ratelimit_init(struct tr_ratelimit *limit, u32 per_second, u32 burst);

/* Account a packet. Any context, lock-free. Return: false without credit. */
bool tr_bucket_take(struct tr_bucket *bucket);

/**
 * tr_ratelimit_take() - account a packet by its source prefix
 * @limit: set
 * @family: AF_INET or AF_INET6
 * @source: 4 or 16 bytes, of which the /24 or /64 counts
 *
 * Whoever owns, or lends himself, many prefixes has many buckets.
 *
 * Any context, lock-free. Return: false when there is no credit.
 */
bool tr_ratelimit_take(struct tr_ratelimit *limit, u8 family,
		       const void *source);

/* The same by what else tells senders apart. */
bool tr_ratelimit_take_by(struct tr_ratelimit *limit, const void *who,
			  size_t len);

#endif
