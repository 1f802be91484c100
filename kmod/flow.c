// SPDX-License-Identifier: GPL-2.0
#include "flow.h"

#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/in.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/prefetch.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/seqlock.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#define WAYS 8

/* The size may be the user's. */
#define GFP_TABLE (GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

/* Bits of flow.state besides TR_FLOW_TCP_*. */
#define BY_PEER 0x80 /* a reply flow that the peer began */
#define VOUCHED 0x40 /* see tr_flow_vouch() */

/*
 * @value is the era of a verdict, and of what else is remembered of a flow.
 * @epoch is that of strictness in TCP flows and fragments. @confirmed has no
 * lock: there was another packet.
 */
struct flow {
	struct tr_flow_key key;
	u64 value;
	u32 epoch;
	u32 rule;
	u32 peer;
	u8 kind;
	u8 state;
	u8 confirmed;
};

/*
 * A cache line that says which of the bucket's flows is worth reading, or that
 * none is. @tag is 0 for a free slot, else of the key's hash. @used is when the
 * flow was last found.
 */
struct bucket {
	spinlock_t lock; /* writers of tags and flows */
	seqcount_spinlock_t seq;
	u32 used[WAYS];
	u16 tag[WAYS];
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

/* Where a flow was found, or if nowhere, was looked for last. */
struct spot {
	struct bucket *bucket;
	struct flow *flow; /* of the bucket */
	int way;
};

struct tr_flow_table *tr_flow_new(u32 max)
{
	struct tr_flow_table *table;
	u32 i, n;

	BUILD_BUG_ON(sizeof(struct flow) != 64);
	n = roundup_pow_of_two(max_t(u32, max, WAYS)) / WAYS;
	table = kzalloc(sizeof(*table), GFP_TABLE);
	if (!table)
		return NULL;
	table->bucket = kvcalloc(n, sizeof(*table->bucket), GFP_TABLE);
	table->flow = kvcalloc(n, sizeof(*table->flow), GFP_TABLE);
	if (!table->bucket || !table->flow) {
		tr_flow_free(table);
		return NULL;
	}
	for (i = 0; i < n; i++) {
		spin_lock_init(&table->bucket[i].lock);
		seqcount_spinlock_init(&table->bucket[i].seq,
				       &table->bucket[i].lock);
		if (i % 4096 == 0)
			cond_resched();
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

u32 tr_flow_now(void)
{
	return div_u64(get_jiffies_64(), HZ);
}

/* IPv4 costs two thirds of IPv6. Keys of both may collide like others. */
static u32 hash_key(const struct tr_flow_table *table,
		    const struct tr_flow_key *key)
{
	BUILD_BUG_ON(sizeof(*key) != 40);
	if (key->family == AF_INET)
		return hsiphash_4u32(be32_to_cpu(key->src.s6_addr32[3]),
				     be32_to_cpu(key->dst.s6_addr32[3]),
				     (u32)key->sport << 16 | key->dport,
				     key->proto, &table->secret);
	return hsiphash(key, sizeof(*key), &table->secret);
}

static bool same_key(const struct tr_flow_key *a, const struct tr_flow_key *b)
{
	return !((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) |
		 (a->word[2] ^ b->word[2]) | (a->word[3] ^ b->word[3]) |
		 (a->word[4] ^ b->word[4]));
}

/* Mostly of other bits than those that choose the bucket, never 0. */
static u16 tag_of(u32 hash)
{
	return hash >> 16 | 1U << 15;
}

/* When not strict. */
static bool lives(const struct flow *flow, const struct tr_flow_era *era)
{
	if (flow->epoch != era->epoch)
		return false;
	return flow->kind == TR_FLOW_REPLY || flow->value == era->verdict;
}

static u32 tcp_idle_max(const struct flow *flow)
{
	const u8 fins = TR_FLOW_TCP_FIN_IN | TR_FLOW_TCP_FIN_OUT;
	u8 state = READ_ONCE(flow->state);

	if (state & TR_FLOW_TCP_RST)
		return TR_FLOW_TCP_RESET;
	if ((state & fins) == fins)
		return TR_FLOW_TCP_CLOSED;
	return READ_ONCE(flow->confirmed) ? TR_FLOW_TCP_IDLE :
					    TR_FLOW_TCP_OPENING;
}

/* What a flow that was used so many seconds ago is to the strict. */
static enum tr_flow_kind strict_kind(const struct flow *flow, u32 idle,
				     const struct tr_flow_era *era)
{
	bool stale = flow->kind == TR_FLOW_REPLY ?
			     flow->state & BY_PEER :
			     era->verdict && flow->value != era->verdict;

	if (flow->key.proto == IPPROTO_TCP) {
		if (flow->epoch != era->strict || idle > tcp_idle_max(flow))
			return TR_FLOW_FREE;
	} else if (flow->kind == TR_FLOW_FRAGMENT) {
		return flow->epoch == era->strict &&
				       idle <= TR_FLOW_FRAGMENT_IDLE ?
			       TR_FLOW_FRAGMENT :
			       TR_FLOW_FREE;
	} else if (stale) {
		return idle > TR_FLOW_KEPT ? TR_FLOW_FREE : TR_FLOW_STALE;
	} else if (flow->kind == TR_FLOW_REPLY && flow->epoch != era->epoch) {
		return TR_FLOW_FREE;
	}
	return stale ? TR_FLOW_STALE : flow->kind;
}

/* Whether a slot that has a flow may go to another at once. */
static bool is_dead(const struct flow *flow, u32 idle,
		    const struct tr_flow_era *era)
{
	if (era->strict)
		return strict_kind(flow, idle, era) == TR_FLOW_FREE;
	if (flow->key.proto == IPPROTO_TCP || flow->kind == TR_FLOW_FRAGMENT)
		return true;
	if (!era->verdict)
		return flow->epoch != era->epoch;
	return !lives(flow, era);
}

/* @strict is a constant of the caller, and the choice free. */
static __always_inline enum tr_flow_kind
look_up_here(struct tr_flow_table *table, const struct tr_flow_key *key,
	     const struct tr_flow_era *era, bool strict, u32 now,
	     struct tr_flow_found *found, struct spot *at)
{
	u32 hash = hash_key(table, key);
	struct bucket *b = &table->bucket[hash & table->mask];
	struct flow *flow = table->flow[hash & table->mask];
	u16 tag = tag_of(hash);
	enum tr_flow_kind kind;
	unsigned int seq;
	int i;

	do {
		kind = TR_FLOW_FREE;
		seq = read_seqcount_begin(&b->seq);
		for (i = 0; i < WAYS; i++) {
			if (READ_ONCE(b->tag[i]) != tag)
				continue;
			if (!same_key(&flow[i].key, key))
				continue;
			if (strict)
				kind = strict_kind(&flow[i],
						   now - READ_ONCE(b->used[i]),
						   era);
			else if (lives(&flow[i], era))
				kind = flow[i].kind;
			found->rule = flow[i].rule;
			found->value = flow[i].value;
			if (strict)
				break;
			found->peer = flow[i].peer;
			found->vouched = flow[i].kind == TR_FLOW_VERDICT ||
					 READ_ONCE(flow[i].state) & VOUCHED;
			break;
		}
	} while (read_seqcount_retry(&b->seq, seq));
	*at = (struct spot){ b, flow, i };
	return kind;
}

static __always_inline enum tr_flow_kind
look_up(struct tr_flow_table *table, const struct tr_flow_key *key,
	const struct tr_flow_era *era, bool strict, u32 now,
	struct tr_flow_found *found, struct spot *at)
{
	struct tr_flow_table *old;
	enum tr_flow_kind kind;

	kind = look_up_here(table, key, era, strict, now, found, at);
	if (kind != TR_FLOW_FREE)
		return kind;
	old = READ_ONCE(table->old);
	if (!old)
		return kind;
	return look_up_here(old, key, era, strict, now, found, at);
}

/*
 * Mostly a read, so that CPUs do not fight for the line. A new flow's time lies
 * in the past, so that its second packet confirms it here.
 */
static void touch(const struct spot *at, u32 now, bool confirm)
{
	u32 *used = &at->bucket->used[at->way];

	if (READ_ONCE(*used) == now)
		return;
	WRITE_ONCE(*used, now);
	if (confirm)
		WRITE_ONCE(at->flow[at->way].confirmed, 1);
}

/*
 * The slot that nobody uses or has used for the longest time. That one is mostly
 * dead in a table that has been in use for long: one flow read of eight.
 */
static int idlest_slot(const struct bucket *b, u32 now)
{
	u32 longest = 0;
	int i, slot = 0;

	for (i = 0; i < WAYS; i++) {
		u32 idle = now - READ_ONCE(b->used[i]);

		if (!b->tag[i])
			return i;
		if (idle > longest) {
			longest = idle;
			slot = i;
		}
	}
	return slot;
}

/* When not strict. */
static __always_inline enum tr_flow_kind
find_flow(struct tr_flow_table *table, const struct tr_flow_key *key,
	  const struct tr_flow_era *era, bool use, struct tr_flow_found *found)
{
	u32 now = tr_flow_now();
	enum tr_flow_kind kind;
	struct spot at;

	*found = (struct tr_flow_found){};
	kind = look_up(table, key, era, false, now, found, &at);
	found->peer_holds = kind != TR_FLOW_FREE && era->verdict &&
			    found->value == era->verdict;
	found->vouched &= found->peer_holds;
	if (kind != TR_FLOW_FREE && use)
		touch(&at, now, true);
	/* Who asks may want to enter it, having asked the rules meanwhile. */
	if (kind == TR_FLOW_FREE && use)
		prefetchw(&at.flow[idlest_slot(at.bucket, now)]);
	return kind;
}

enum tr_flow_kind tr_flow_find(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era,
			       struct tr_flow_found *found)
{
	return find_flow(table, key, era, true, found);
}

enum tr_flow_kind tr_flow_peek(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era,
			       struct tr_flow_found *found)
{
	return find_flow(table, key, era, false, found);
}

enum tr_flow_kind tr_flow_track(struct tr_flow_table *table,
				const struct tr_flow_key *key,
				const struct tr_flow_era *era,
				enum tr_flow_use use,
				struct tr_flow_found *found)
{
	u32 now = tr_flow_now();
	enum tr_flow_kind kind;
	struct spot at;

	kind = look_up(table, key, era, true, now, found, &at);
	if (kind != TR_FLOW_FREE && use != TR_FLOW_ASK)
		touch(&at, now, use == TR_FLOW_IN);
	return kind;
}

/* A flow that we began ourselves. */
static bool is_ours(const struct flow *flow)
{
	return flow->kind == TR_FLOW_REPLY && !(flow->state & BY_PEER);
}

/* Whether little is lost with a living flow. */
static bool is_cheap(const struct flow *flow, u32 idle,
		     const struct tr_flow_era *era)
{
	if (flow->kind == TR_FLOW_VERDICT && !era->strict)
		return true;
	if (!READ_ONCE(flow->confirmed))
		return true;
	return flow->key.proto != IPPROTO_TCP && idle > TR_FLOW_KEPT;
}

/*
 * How readily slot @i gives way to a flow of @peer, less being sooner; U64_MAX:
 * not at all. @mine: he has one in the bucket.
 */
static u64 price(const struct bucket *b, const struct flow *flow, int i,
		 const struct tr_flow_era *era, bool ours, u32 peer, bool mine,
		 u32 now)
{
	u32 idle = now - READ_ONCE(b->used[i]);
	int k, share = 0;
	u64 level;

	for (k = 0; k < WAYS; k++)
		share += flow[k].peer == flow[i].peer;
	if (is_ours(&flow[i]) && !ours)
		return U64_MAX;
	if (is_cheap(&flow[i], idle, era))
		level = is_ours(&flow[i]) ? 1 : 0;
	else if (flow[i].peer == peer)
		level = is_ours(&flow[i]) ? 3 : 2;
	else if (!mine && share >= WAYS / 2)
		level = 4;
	else if (ours)
		level = 5;
	else
		return U64_MAX;
	return level << 40 | (u64)(WAYS - share) << 32 | (u32)~idle;
}

/*
 * The slot for a new flow: a free one, the longest dead one, the cheapest. -1:
 * none. The hand goes round, so that of equals the newest goes last.
 */
static int choose_slot(struct bucket *b, const struct flow *flow,
		       const struct tr_flow_era *era, bool ours, u32 peer,
		       bool *evicted)
{
	u32 now = tr_flow_now(), longest = 0;
	int i, k, victim = -1;
	u64 least = U64_MAX;
	bool mine = false;

	*evicted = false;
	i = idlest_slot(b, now);
	if (!b->tag[i] || is_dead(&flow[i], now - READ_ONCE(b->used[i]), era))
		return i;
	for (i = 0; i < WAYS; i++) {
		u32 idle = now - READ_ONCE(b->used[i]);

		if (is_dead(&flow[i], idle, era) &&
		    (victim < 0 || idle > longest)) {
			victim = i;
			longest = idle;
		}
		mine |= flow[i].peer == peer;
	}
	if (victim >= 0)
		return victim;
	for (k = 0; k < WAYS; k++) {
		u64 p;

		i = (b->hand + k) % WAYS;
		p = price(b, flow, i, era, ours, peer, mine, now);
		if (p < least) {
			least = p;
			victim = i;
		}
	}
	if (victim < 0)
		return -1;
	b->hand = (victim + 1) % WAYS;
	*evicted = true;
	return victim;
}

/* The bucket's lock is held. */
static int slot_of(const struct bucket *b, const struct flow *flow, u16 tag,
		   const struct tr_flow_key *key)
{
	int i;

	for (i = 0; i < WAYS; i++)
		if (b->tag[i] == tag && same_key(&flow[i].key, key))
			return i;
	return -1;
}

/* Slot @i, or if negative one that is to be found, gets the flow @from. */
static enum tr_flow_added place(struct bucket *b, struct flow *flow, u16 tag,
				const struct tr_flow_era *era, int i,
				const struct flow *from, u32 used)
{
	bool evicted = false;

	if (i < 0)
		i = choose_slot(b, flow, era, is_ours(from), from->peer,
				&evicted);
	if (i < 0)
		return TR_FLOW_REFUSED;
	write_seqcount_begin(&b->seq);
	b->tag[i] = tag;
	WRITE_ONCE(b->used[i], used);
	flow[i] = *from;
	write_seqcount_end(&b->seq);
	return evicted ? TR_FLOW_EVICTED : TR_FLOW_ADDED;
}

/* Bring @from to the table, unless it is there. */
static void carry_over(struct tr_flow_table *table, const struct flow *from,
		       u32 used, const struct tr_flow_era *era)
{
	u32 hash = hash_key(table, &from->key);
	struct bucket *b = &table->bucket[hash & table->mask];
	struct flow *flow = table->flow[hash & table->mask];
	u16 tag = tag_of(hash);

	spin_lock_bh(&b->lock);
	if (slot_of(b, flow, tag, &from->key) < 0)
		place(b, flow, tag, era, -1, from, used);
	spin_unlock_bh(&b->lock);
}

/* What is known of a flow had better be here before it is changed. */
static void fetch(struct tr_flow_table *table, const struct tr_flow_key *key,
		  const struct tr_flow_era *era)
{
	struct tr_flow_table *old = READ_ONCE(table->old);
	struct flow *flow, copy;
	struct bucket *b;
	u32 hash, used;
	int i;

	if (!old)
		return;
	hash = hash_key(old, key);
	b = &old->bucket[hash & old->mask];
	flow = old->flow[hash & old->mask];
	spin_lock_bh(&b->lock);
	i = slot_of(b, flow, tag_of(hash), key);
	if (i >= 0) {
		copy = flow[i];
		used = READ_ONCE(b->used[i]);
	}
	spin_unlock_bh(&b->lock);
	if (i >= 0)
		carry_over(table, &copy, used, era);
}

enum tr_flow_added tr_flow_add(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era,
			       enum tr_flow_kind kind, u32 rule, u32 peer)
{
	u32 hash = hash_key(table, key);
	struct bucket *b = &table->bucket[hash & table->mask];
	struct flow *flow = table->flow[hash & table->mask];
	enum tr_flow_added ret = TR_FLOW_KNOWN;
	struct flow new = { .key = *key,
			    .value = era->verdict,
			    .epoch = era->epoch,
			    .rule = rule,
			    .peer = peer,
			    .kind = kind };
	u16 tag = tag_of(hash);
	int i;

	fetch(table, key, era);
	spin_lock_bh(&b->lock);
	i = slot_of(b, flow, tag, key);
	if (i >= 0 && lives(&flow[i], era) &&
	    (flow[i].kind == TR_FLOW_REPLY || flow[i].kind == kind))
		goto out;
	/* Nobody asks for that now, but strictness may be turned on. */
	if (i >= 0 && kind == TR_FLOW_REPLY && !is_ours(&flow[i]))
		new.state = BY_PEER;
	ret = place(b, flow, tag, era, i, &new, tr_flow_now() - 1);
out:
	spin_unlock_bh(&b->lock);
	return ret;
}

void tr_flow_vouch(struct tr_flow_table *table, const struct tr_flow_key *key,
		   const struct tr_flow_era *era, u32 peer, bool in)
{
	u32 hash = hash_key(table, key);
	struct bucket *b = &table->bucket[hash & table->mask];
	struct flow *flow = table->flow[hash & table->mask];
	int i;

	fetch(table, key, era);
	spin_lock_bh(&b->lock);
	i = slot_of(b, flow, tag_of(hash), key);
	if (i >= 0 && flow[i].kind == TR_FLOW_REPLY) {
		write_seqcount_begin(&b->seq);
		if (in)
			flow[i].state |= VOUCHED;
		else if (flow[i].value != era->verdict)
			flow[i].state &= ~VOUCHED;
		flow[i].value = era->verdict;
		flow[i].peer = peer;
		write_seqcount_end(&b->seq);
	}
	spin_unlock_bh(&b->lock);
}

enum tr_flow_added tr_flow_open(struct tr_flow_table *table,
				const struct tr_flow_key *key,
				const struct tr_flow_era *era,
				const struct tr_flow_opening *opening)
{
	u32 hash = hash_key(table, key), now = tr_flow_now();
	struct bucket *b = &table->bucket[hash & table->mask];
	struct flow *flow = table->flow[hash & table->mask];
	bool strict_epoch = key->proto == IPPROTO_TCP ||
			    opening->kind == TR_FLOW_FRAGMENT;
	struct flow new = {
		.key = *key,
		.value = opening->kind == TR_FLOW_FRAGMENT ? opening->value :
							     era->verdict,
		.epoch = strict_epoch ? era->strict : era->epoch,
		.rule = opening->rule,
		.peer = opening->peer,
		.kind = opening->kind,
		.state = opening->tcp & ~TR_FLOW_TCP_SYN,
		/* Else it has been open for long. */
		.confirmed = key->proto == IPPROTO_TCP &&
			     !(opening->tcp & TR_FLOW_TCP_SYN),
	};
	enum tr_flow_added ret;
	u16 tag = tag_of(hash);
	int i;

	fetch(table, key, era);
	spin_lock_bh(&b->lock);
	i = slot_of(b, flow, tag, key);
	if (i >= 0 && !(opening->tcp & TR_FLOW_TCP_SYN) &&
	    strict_kind(&flow[i], now - b->used[i], era) != TR_FLOW_FREE) {
		ret = TR_FLOW_KNOWN;
		if (is_ours(&flow[i]) || opening->kind == TR_FLOW_REPLY)
			goto out;
		new.confirmed |= READ_ONCE(flow[i].confirmed);
		new.state |= flow[i].state & ~BY_PEER;
		place(b, flow, tag, era, i, &new, now);
	} else {
		ret = place(b, flow, tag, era, i, &new, now - 1);
	}
out:
	spin_unlock_bh(&b->lock);
	return ret;
}

void tr_flow_close(struct tr_flow_table *table, const struct tr_flow_key *key,
		   const struct tr_flow_era *era, u8 tcp)
{
	u32 hash = hash_key(table, key);
	struct bucket *b = &table->bucket[hash & table->mask];
	struct flow *flow = table->flow[hash & table->mask];
	int i;

	fetch(table, key, era);
	spin_lock_bh(&b->lock);
	i = slot_of(b, flow, tag_of(hash), key);
	if (i >= 0)
		WRITE_ONCE(flow[i].state, flow[i].state | tcp);
	spin_unlock_bh(&b->lock);
}

void tr_flow_succeed(struct tr_flow_table *table, struct tr_flow_table *old)
{
	table->old = old;
	/* A bucket's flows then go to buckets that get no others'. */
	table->secret = old->secret;
}

void tr_flow_take_over(struct tr_flow_table *table,
		       const struct tr_flow_era *era)
{
	struct tr_flow_table *old = table->old;
	u32 i, used;
	int k;

	/* Nobody writes to the old table but when a flow was used. */
	for (i = 0; i <= old->mask; i++) {
		const struct bucket *b = &old->bucket[i];

		for (k = 0; k < WAYS; k++) {
			const struct flow *flow = &old->flow[i][k];

			used = READ_ONCE(b->used[k]);
			if (b->tag[k] &&
			    !is_dead(flow, tr_flow_now() - used, era))
				carry_over(table, flow, used, era);
		}
		cond_resched();
	}
}

void tr_flow_let_go(struct tr_flow_table *table)
{
	WRITE_ONCE(table->old, NULL);
}

u32 tr_flow_count(struct tr_flow_table *table, const struct tr_flow_era *era)
{
	u32 i, n = 0;
	int k;

	for (i = 0; i <= table->mask; i++) {
		struct bucket *b = &table->bucket[i];

		spin_lock_bh(&b->lock);
		for (k = 0; k < WAYS; k++)
			n += b->tag[k] &&
			     !is_dead(&table->flow[i][k],
				      tr_flow_now() - READ_ONCE(b->used[k]),
				      era);
		spin_unlock_bh(&b->lock);
		cond_resched();
	}
	return n;
}

u32 tr_flow_max(const struct tr_flow_table *table)
{
	return (table->mask + 1) * WAYS;
}
