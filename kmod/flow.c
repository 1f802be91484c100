// SPDX-License-Identifier: GPL-2.0
#include "flow.h"

#include <linux/cache.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/seqlock.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#define WAYS 8

struct flow {
	struct tr_flow_key key;
	u64 verdict_era;
	u32 epoch;
	u32 rule;
	u8 kind;
};

/*
 * A cache line that says which of the bucket's flows is worth reading, or that
 * none is. @tag is 0 for a free slot, else the key's hash. @used is when the
 * flow was last found, in seconds; it wraps, which at worst keeps a dead flow
 * for another round.
 */
struct bucket {
	spinlock_t lock; /* writers of tags and flows */
	seqcount_spinlock_t seq;
	u32 tag[WAYS];
	u16 used[WAYS];
	u8 hand; /* where the search for a victim starts */
} ____cacheline_aligned;

/*
 * While it takes the place of another, @old is that one: what is not found here
 * may be there, not yet carried over. A flow that is in both counts here.
 */
struct tr_flow_table {
	u32 mask; /* of buckets */
	struct tr_flow_table *old;
	hsiphash_key_t secret;
	struct bucket *bucket;
	struct flow (*flow)[WAYS];
};

struct tr_flow_table *tr_flow_new(u32 max)
{
	struct tr_flow_table *table;
	u32 i, n;

	n = roundup_pow_of_two(max_t(u32, max, WAYS)) / WAYS;
	table = kzalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);
	if (!table)
		return NULL;
	table->bucket = kvcalloc(n, sizeof(*table->bucket), GFP_KERNEL_ACCOUNT);
	table->flow = kvcalloc(n, sizeof(*table->flow), GFP_KERNEL_ACCOUNT);
	if (!table->bucket || !table->flow) {
		tr_flow_free(table);
		return NULL;
	}
	for (i = 0; i < n; i++) {
		spin_lock_init(&table->bucket[i].lock);
		seqcount_spinlock_init(&table->bucket[i].seq,
				       &table->bucket[i].lock);
	}
	table->mask = n - 1;
	get_random_bytes(&table->secret, sizeof(table->secret));
	return table;
}

void tr_flow_free(struct tr_flow_table *table)
{
	if (!table)
		return;
	kvfree(table->bucket);
	kvfree(table->flow);
	kfree(table);
}

static u16 now_seconds(void)
{
	return (unsigned long)jiffies / HZ;
}

static u32 hash_key(const struct tr_flow_table *table,
		    const struct tr_flow_key *key)
{
	BUILD_BUG_ON(sizeof(*key) != 40);
	return hsiphash(key, sizeof(*key), &table->secret);
}

/* Distinct from the bits that choose the bucket, never 0. */
static u32 tag_of(u32 hash)
{
	return hash | 1U << 31;
}

static bool lives(const struct flow *flow, const struct tr_flow_era *era)
{
	if (flow->epoch != era->epoch)
		return false;
	return flow->kind == TR_FLOW_REPLY || flow->verdict_era == era->verdict;
}

static enum tr_flow_kind look_up_here(struct tr_flow_table *table,
				      const struct tr_flow_key *key,
				      const struct tr_flow_era *era, u32 *rule,
				      u16 **used)
{
	u32 hash = hash_key(table, key), tag = tag_of(hash);
	struct bucket *b = &table->bucket[hash & table->mask];
	const struct flow *flow = table->flow[hash & table->mask];
	enum tr_flow_kind kind;
	unsigned int seq;
	int i;

	do {
		kind = TR_FLOW_FREE;
		seq = read_seqcount_begin(&b->seq);
		for (i = 0; i < WAYS; i++) {
			if (READ_ONCE(b->tag[i]) != tag)
				continue;
			if (memcmp(&flow[i].key, key, sizeof(*key)))
				continue;
			if (lives(&flow[i], era)) {
				kind = flow[i].kind;
				*rule = flow[i].rule;
				*used = &b->used[i];
			}
			break;
		}
	} while (read_seqcount_retry(&b->seq, seq));
	return kind;
}

/* *@used is where it says when the flow was last found. */
static enum tr_flow_kind look_up(struct tr_flow_table *table,
				 const struct tr_flow_key *key,
				 const struct tr_flow_era *era, u32 *rule,
				 u16 **used)
{
	enum tr_flow_kind kind = look_up_here(table, key, era, rule, used);
	struct tr_flow_table *old;

	if (kind != TR_FLOW_FREE)
		return kind;
	old = READ_ONCE(table->old);
	return old ? look_up_here(old, key, era, rule, used) : kind;
}

enum tr_flow_kind tr_flow_find(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era, u32 *rule)
{
	u16 now = now_seconds(), *used;
	enum tr_flow_kind kind;

	kind = look_up(table, key, era, rule, &used);
	/* Mostly a read, so that CPUs do not fight for the line. */
	if (kind != TR_FLOW_FREE && READ_ONCE(*used) != now)
		WRITE_ONCE(*used, now);
	return kind;
}

enum tr_flow_kind tr_flow_peek(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era, u32 *rule)
{
	u16 *used;

	return look_up(table, key, era, rule, &used);
}

/*
 * The slot for a new flow: a free or dead one, else the least recently used
 * verdict, else, for a reply, the least recently used reply. -1: none. The
 * hand goes round, so that of equals the newest goes last.
 */
static int choose_slot(struct bucket *b, const struct flow *flow,
		       const struct tr_flow_era *era, enum tr_flow_kind kind,
		       bool *evicted)
{
	int i, k, victim, verdict = -1, reply = -1;
	u16 now = now_seconds();

	*evicted = false;
	for (k = 0; k < WAYS; k++) {
		int *oldest;

		i = (b->hand + k) % WAYS;
		if (!b->tag[i] || !lives(&flow[i], era))
			return i;
		oldest = flow[i].kind == TR_FLOW_REPLY ? &reply : &verdict;
		if (*oldest < 0 || (u16)(now - b->used[i]) >
					   (u16)(now - b->used[*oldest]))
			*oldest = i;
	}
	victim = verdict;
	if (victim < 0 && kind == TR_FLOW_REPLY)
		victim = reply;
	if (victim < 0)
		return -1;
	b->hand = (victim + 1) % WAYS;
	*evicted = true;
	return victim;
}

static int slot_of(const struct bucket *b, const struct flow *flow, u32 tag,
		   const struct tr_flow_key *key)
{
	int i;

	for (i = 0; i < WAYS; i++)
		if (b->tag[i] == tag && !memcmp(&flow[i].key, key, sizeof(*key)))
			break;
	return i;
}

enum tr_flow_added tr_flow_add(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era,
			       enum tr_flow_kind kind, u32 rule)
{
	u32 hash = hash_key(table, key), tag = tag_of(hash);
	struct bucket *b = &table->bucket[hash & table->mask];
	struct flow *flow = table->flow[hash & table->mask];
	enum tr_flow_added ret = TR_FLOW_ADDED;
	bool evicted = false;
	int i;

	spin_lock_bh(&b->lock);
	i = slot_of(b, flow, tag, key);
	if (i == WAYS) {
		i = choose_slot(b, flow, era, kind, &evicted);
		if (i < 0) {
			ret = TR_FLOW_REFUSED;
			goto out;
		}
		if (evicted)
			ret = TR_FLOW_EVICTED;
	} else if (lives(&flow[i], era) &&
		   (flow[i].kind == TR_FLOW_REPLY || flow[i].kind == kind)) {
		ret = TR_FLOW_KNOWN;
		goto out;
	}
	write_seqcount_begin(&b->seq);
	b->tag[i] = tag;
	b->used[i] = now_seconds();
	flow[i] = (struct flow){ .key = *key,
				 .verdict_era = era->verdict,
				 .epoch = era->epoch,
				 .rule = rule,
				 .kind = kind };
	write_seqcount_end(&b->seq);
out:
	spin_unlock_bh(&b->lock);
	return ret;
}

void tr_flow_succeed(struct tr_flow_table *table, struct tr_flow_table *old)
{
	table->old = old;
}

/* Bring @from to the table, unless it is there. */
static void carry_over(struct tr_flow_table *table, const struct flow *from,
		       u16 used)
{
	const struct tr_flow_era era = { from->epoch, from->verdict_era };
	u32 hash = hash_key(table, &from->key), tag = tag_of(hash);
	struct bucket *b = &table->bucket[hash & table->mask];
	struct flow *flow = table->flow[hash & table->mask];
	bool evicted;
	int i;

	spin_lock_bh(&b->lock);
	if (slot_of(b, flow, tag, &from->key) < WAYS)
		goto out;
	i = choose_slot(b, flow, &era, from->kind, &evicted);
	if (i < 0)
		goto out;
	write_seqcount_begin(&b->seq);
	b->tag[i] = tag;
	b->used[i] = used;
	flow[i] = *from;
	write_seqcount_end(&b->seq);
out:
	spin_unlock_bh(&b->lock);
}

void tr_flow_take_over(struct tr_flow_table *table, u32 epoch)
{
	struct tr_flow_table *old = table->old;
	u32 i;
	int k;

	/* Nobody writes to the old table but for when a flow was used. */
	for (i = 0; i <= old->mask; i++) {
		const struct bucket *b = &old->bucket[i];

		for (k = 0; k < WAYS; k++)
			if (b->tag[k] && old->flow[i][k].epoch == epoch)
				carry_over(table, &old->flow[i][k],
					   READ_ONCE(b->used[k]));
		cond_resched();
	}
	WRITE_ONCE(table->old, NULL);
}

u32 tr_flow_count(struct tr_flow_table *table, u32 epoch)
{
	u32 i, n = 0;
	int k;

	for (i = 0; i <= table->mask; i++) {
		struct bucket *b = &table->bucket[i];

		spin_lock_bh(&b->lock);
		for (k = 0; k < WAYS; k++)
			n += b->tag[k] && table->flow[i][k].epoch == epoch;
		spin_unlock_bh(&b->lock);
		cond_resched();
	}
	return n;
}

u32 tr_flow_max(const struct tr_flow_table *table)
{
	return (table->mask + 1) * WAYS;
}
