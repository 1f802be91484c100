/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Many sets over the numbers 0 .. n - 1, most of them alike. A set is a tree
 * of 16-way nodes over 512-bit leaves; equal subtrees are stored once, so that
 * a set that differs from another in a few members costs a few nodes, and
 * equal sets have equal roots. Root 0 is the empty set.
 */
#ifndef _TR_RULESET_H
#define _TR_RULESET_H

#include <linux/types.h>

struct tr_event;

#define TR_SETS_LEAF_BITS 512
#define TR_SETS_FANOUT 16
/* Enough for a clause per destination: 512 * 16^3 > 1048576. */
#define TR_SETS_MAX_LEVEL 3
/* 512 MiB. */
#define TR_SETS_MAX_NODES (8U << 20)

union tr_set_node {
	u64 bits[TR_SETS_LEAF_BITS / 64];
	u32 child[TR_SETS_FANOUT];
};

/**
 * struct tr_sets - sets that share their nodes
 * @node: @node[0] is the empty subtree at every level
 * @n: nodes in use
 * @max: nodes allocated
 * @level: of the roots; leaves are 0
 * @full: the subtree with all members, by level
 * @hash: while building: open-addressing table of node numbers
 * @hash_mask: its size less 1
 */
struct tr_sets {
	union tr_set_node *node;
	u32 n;
	u32 max;
	u32 level;
	u32 full[TR_SETS_MAX_LEVEL + 1];
	u32 *hash;
	u32 hash_mask;
};

/* For members below @members. Process context. Return: 0 or -ENOMEM. */
int tr_sets_init(struct tr_sets *sets, u32 members);
void tr_sets_free(struct tr_sets *sets);

/**
 * tr_sets_apply() - derive a set from another
 * @sets: where
 * @root: in: a set, out: the changed set; the old one stays
 * @event: changes, ascending and disjoint in their members
 * @n: number of changes
 *
 * Return: 0, -ENOMEM or -E2BIG past TR_SETS_MAX_NODES.
 */
int tr_sets_apply(struct tr_sets *sets, u32 *root, const struct tr_event *event,
		  u32 n);

/* No more sets will come: drop what only building needs. */
void tr_sets_seal(struct tr_sets *sets);

/**
 * tr_sets_meet() - the lowest common member of some sets
 * @sets: where
 * @root: the sets
 * @n: 1 .. 4
 * @member: the result
 *
 * Any context. Return: false when they have no member in common.
 */
bool tr_sets_meet(const struct tr_sets *sets, const u32 *root, int n,
		  u32 *member);

#endif
