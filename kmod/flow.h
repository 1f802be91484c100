/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A bounded table of flows: set-associative, all memory taken at creation.
 * Lookups take no lock; an insertion takes its bucket's. A full bucket loses
 * its least recently used flow.
 */
#ifndef _TR_FLOW_H
#define _TR_FLOW_H

#include <linux/in6.h>
#include <linux/types.h>

struct tr_flow_table;

#define TR_FLOW_MAX_DEFAULT 262144

/* An inbound packet's addresses and ports. Every byte counts: no padding. */
struct tr_flow_key {
	struct in6_addr src;
	struct in6_addr dst;
	u16 sport;
	u16 dport;
	u8 proto;
	u8 family;
	u16 zero;
};

enum tr_flow_kind {
	TR_FLOW_FREE,
	/* Replies to what we sent; outlives policies. */
	TR_FLOW_REPLY,
	/*
	 * A rule's verdict, valid for one stamp. Never takes the place of a
	 * reply flow, so no peer can push our own flows out.
	 */
	TR_FLOW_VERDICT,
};

/**
 * struct tr_flow_era - what is valid now
 * @epoch: of the whole table; a flow of another epoch does not exist
 * @verdict: a verdict found under another one does not exist
 */
struct tr_flow_era {
	u32 epoch;
	u64 verdict;
};

/**
 * tr_flow_new() - a table for up to @max flows
 * @max: rounded up to a power of two; 72 bytes of memory each
 *
 * Process context. Return: table or NULL.
 */
struct tr_flow_table *tr_flow_new(u32 max);
void tr_flow_free(struct tr_flow_table *table);

/**
 * tr_flow_find() - look up an inbound packet's flow and mark it used
 * @table: table
 * @key: of the packet
 * @era: now
 * @rule: slot (struct tr_hits) of the rule behind a verdict
 *
 * Lock-free; any context that tr_flow_add() may run in.
 *
 * Return: its kind, TR_FLOW_FREE when there is none.
 */
enum tr_flow_kind tr_flow_find(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era, u32 *rule);

/* As tr_flow_find(), but leaves the flow as little used as it is. */
enum tr_flow_kind tr_flow_peek(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era, u32 *rule);

/* What tr_flow_add() did. */
enum tr_flow_added {
	TR_FLOW_KNOWN, /* it was there */
	TR_FLOW_ADDED,
	TR_FLOW_EVICTED, /* added in the place of a living one */
	TR_FLOW_REFUSED, /* a verdict, and the bucket is full of replies */
};

/**
 * tr_flow_add() - insert a flow
 * @table: table
 * @key: of the inbound direction
 * @era: now
 * @kind: TR_FLOW_REPLY or TR_FLOW_VERDICT
 * @rule: slot (struct tr_hits) of the rule behind a verdict
 *
 * Softirq or process context. Does not allocate.
 */
enum tr_flow_added tr_flow_add(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era,
			       enum tr_flow_kind kind, u32 rule);

/**
 * tr_flow_succeed() - prepare a table to take another's place
 * @table: new, not yet used
 * @old: what it does not find it looks for there; gets no more flows once
 *	every user has turned to @table
 */
void tr_flow_succeed(struct tr_flow_table *table, struct tr_flow_table *old);

/**
 * tr_flow_take_over() - carry the flows over from the old table
 * @table: in use instead of the old one everywhere
 * @epoch: flows of others stay behind
 *
 * A grace period later the old table may be freed. Process context.
 */
void tr_flow_take_over(struct tr_flow_table *table, u32 epoch);

/* Flows that live in @epoch. Walks the table; process context. */
u32 tr_flow_count(struct tr_flow_table *table, u32 epoch);
u32 tr_flow_max(const struct tr_flow_table *table);

#endif
