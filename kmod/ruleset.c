// SPDX-License-Identifier: GPL-2.0
#include "ruleset.h"

#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "interval.h"

#define SETS_AT_FIRST 64

/* Members below a node: 512, 8192, 131072, 2097152. */
static u32 span(u32 level)
{
	return TR_SETS_LEAF_BITS << (4 * level);
}

static u32 hash_node(const union tr_set_node *node)
{
	return jhash2(node->child, TR_SETS_FANOUT, 0);
}

/* Double the room for nodes and rebuild the hash, kept at most half full. */
static int grow(struct tr_sets *sets)
{
	u32 max = sets->max ? sets->max * 2 : SETS_AT_FIRST;
	union tr_set_node *node;
	u32 i, slot, *hash;

	if (max > TR_SETS_MAX_NODES)
		return -E2BIG;
	node = kvmalloc_array(max, sizeof(*node), GFP_KERNEL_ACCOUNT);
	hash = kvcalloc(max * 2, sizeof(*hash), GFP_KERNEL_ACCOUNT);
	if (!node || !hash) {
		kvfree(node);
		kvfree(hash);
		return -ENOMEM;
	}
	if (sets->n)
		memcpy(node, sets->node, sets->n * sizeof(*node));
	kvfree(sets->node);
	kvfree(sets->hash);
	sets->node = node;
	sets->max = max;
	sets->hash = hash;
	sets->hash_mask = max * 2 - 1;
	for (i = 1; i < sets->n; i++) {
		slot = hash_node(&node[i]) & sets->hash_mask;
		while (hash[slot])
			slot = (slot + 1) & sets->hash_mask;
		hash[slot] = i;
	}
	return 0;
}

/*
 * The number of the node equal to @node, stored if it is new. Two nodes of
 * different levels may share one: only their bytes count.
 */
static int intern(struct tr_sets *sets, const union tr_set_node *node, u32 *id)
{
	u32 slot;
	int ret;

	if (!memchr_inv(node, 0, sizeof(*node))) {
		*id = 0;
		return 0;
	}
	if (sets->n == sets->max) {
		ret = grow(sets);
		if (ret)
			return ret;
	}
	slot = hash_node(node) & sets->hash_mask;
	while (sets->hash[slot]) {
		*id = sets->hash[slot];
		if (!memcmp(&sets->node[*id], node, sizeof(*node)))
			return 0;
		slot = (slot + 1) & sets->hash_mask;
	}
	*id = sets->n++;
	sets->node[*id] = *node;
	sets->hash[slot] = *id;
	return 0;
}

int tr_sets_init(struct tr_sets *sets, u32 members)
{
	union tr_set_node node;
	u32 i;
	int ret;

	*sets = (struct tr_sets){};
	while (sets->level < TR_SETS_MAX_LEVEL && span(sets->level) < members)
		sets->level++;
	ret = grow(sets);
	if (ret)
		return ret;
	memset(&sets->node[0], 0, sizeof(sets->node[0]));
	sets->n = 1;

	memset(&node, 0xff, sizeof(node));
	for (i = 0; i <= sets->level; i++) {
		u32 child;

		ret = intern(sets, &node, &sets->full[i]);
		if (ret) {
			tr_sets_free(sets);
			return ret;
		}
		for (child = 0; child < TR_SETS_FANOUT; child++)
			node.child[child] = sets->full[i];
	}
	return 0;
}

void tr_sets_seal(struct tr_sets *sets)
{
	union tr_set_node *node;

	kvfree(sets->hash);
	sets->hash = NULL;
	/* Give back the unused half; no harm when there is no room to. */
	node = kvmalloc_array(sets->n, sizeof(*node),
			      GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!node)
		return;
	memcpy(node, sets->node, sets->n * sizeof(*node));
	kvfree(sets->node);
	sets->node = node;
	sets->max = sets->n;
}

void tr_sets_free(struct tr_sets *sets)
{
	kvfree(sets->node);
	kvfree(sets->hash);
	*sets = (struct tr_sets){};
}

static void apply_leaf(union tr_set_node *node, u32 base,
		       const struct tr_event *event, u32 n)
{
	u32 i, w;

	for (i = 0; i < n; i++) {
		u32 first = event[i].first > base ? event[i].first - base : 0;
		u32 last = min_t(u32, event[i].last - base,
				 TR_SETS_LEAF_BITS - 1);

		for (w = first / 64; w <= last / 64; w++) {
			u64 mask = U64_MAX;

			if (w == first / 64)
				mask &= U64_MAX << (first % 64);
			if (w == last / 64)
				mask &= U64_MAX >> (63 - last % 64);
			if (event[i].add)
				node->bits[w] |= mask;
			else
				node->bits[w] &= ~mask;
		}
	}
}

/*
 * Apply to the subtree *@id, whose members start at @base, events that all
 * touch it. Recursion is bounded by TR_SETS_MAX_LEVEL.
 */
static int apply(struct tr_sets *sets, u32 *id, u32 level, u32 base,
		 const struct tr_event *event, u32 n)
{
	u32 last = base + span(level) - 1;
	union tr_set_node node;
	u32 c, i = 0;
	int ret;

	if (event[0].first <= base && event[0].last >= last) {
		*id = event[0].add ? sets->full[level] : 0;
		return 0;
	}
	node = sets->node[*id];
	if (!level) {
		apply_leaf(&node, base, event, n);
		return intern(sets, &node, id);
	}
	for (c = 0; c < TR_SETS_FANOUT; c++) {
		u32 low = base + c * span(level - 1);
		u32 high = low + span(level - 1) - 1;
		u32 touching = 0;

		while (i < n && event[i].last < low)
			i++;
		while (i + touching < n && event[i + touching].first <= high)
			touching++;
		if (!touching)
			continue;
		ret = apply(sets, &node.child[c], level - 1, low, event + i,
			    touching);
		if (ret)
			return ret;
	}
	return intern(sets, &node, id);
}

int tr_sets_apply(struct tr_sets *sets, u32 *root, const struct tr_event *event,
		  u32 n)
{
	return apply(sets, root, sets->level, 0, event, n);
}

static bool meet_leaf(const struct tr_sets *sets, const u32 *id, int n,
		      u32 *member)
{
	u32 w;
	int i;

	for (w = 0; w < TR_SETS_LEAF_BITS / 64; w++) {
		u64 bits = sets->node[id[0]].bits[w];

		for (i = 1; i < n; i++)
			bits &= sets->node[id[i]].bits[w];
		if (bits) {
			*member = w * 64 + __ffs64(bits);
			return true;
		}
	}
	return false;
}

static bool meet(const struct tr_sets *sets, const u32 *id, int n, u32 level,
		 u32 *member)
{
	u32 child[4];
	u32 c, all;
	int i;

	if (!level)
		return meet_leaf(sets, id, n, member);
	for (c = 0; c < TR_SETS_FANOUT; c++) {
		all = 1;
		for (i = 0; i < n; i++) {
			child[i] = sets->node[id[i]].child[c];
			all = all && child[i];
		}
		if (all && meet(sets, child, n, level - 1, member)) {
			*member += c * span(level - 1);
			return true;
		}
	}
	return false;
}

bool tr_sets_meet(const struct tr_sets *sets, const u32 *root, int n,
		  u32 *member)
{
	int i;

	for (i = 0; i < n; i++)
		if (!root[i])
			return false;
	return meet(sets, root, n, sets->level, member);
}
