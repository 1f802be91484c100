/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The packet filter of a device: a policy, and the flows that pass without
 * one. The semantics are those of Tailscale's filter.
 */
#ifndef _TR_FILTER_H
#define _TR_FILTER_H

#include <linux/rcupdate.h>
#include <linux/types.h>

#include "../uapi/tailrace.h"
#include "hits.h"

struct netlink_ext_ack;
struct tr_flow_table;
struct tr_packet;
struct tr_peer;
struct tr_peers;
struct tr_policy;

/**
 * struct tr_filter - the filter of one device
 * @policy: NULL until the first commit: everything is dropped
 * @flows: of peers that are not jailed, and cached verdicts; replaced by
 *	tr_filter_resize()
 * @jail: flows of jailed peers
 * @expired: the policy is too old to be trusted: everything is dropped
 * @strict: 0, or if TAILRACE_DEVICE_STRICT is set the how many-eth time it is
 * @periods: how often that was
 * @grace_end: see TR_STRICT_GRACE; by tr_flow_now()
 * @before: in force when the grace began, if no longer
 * @hits: of the rules of @policy
 * @generation: of @policy, 0 before the first; written by the committer
 */
struct tr_filter {
	struct tr_policy __rcu *policy;
	bool expired;
	u32 strict;
	struct tr_flow_table __rcu *flows;
	struct tr_flow_table *jail;
	u32 periods;
	u32 grace_end;
	struct tr_policy __rcu *before;
	struct tr_hits hits;
	u32 generation;
};

/* Bits of tr_result.flow. */
#define TR_RESULT_FLOW_HIT 0x1 /* a flow or a cached verdict decided */
#define TR_RESULT_FLOW_NEW 0x2 /* a flow or a verdict was entered */
#define TR_RESULT_FLOW_EVICTED 0x4 /* and another one had to go */

/**
 * struct tr_result - a verdict and how it came about
 * @accept: what the filter's functions return
 * @cause: what let the packet pass
 * @by_rule: @rule is the id of the rule that let the packet in
 * @flow: bits TR_RESULT_FLOW_*
 * @drop: why, unless @accept
 * @rule: see @by_rule
 * @slot: where to count packets that @rule lets in
 * @generation: of the policy, 0: none
 * @peer: by longest prefix: of the source inbound, of the destination
 *	outbound; NULL when unknown; valid in the caller's RCU section
 */
struct tr_result {
	bool accept;
	bool by_rule;
	u8 flow;
	enum tailrace_cause cause;
	enum tailrace_drop drop;
	u32 rule;
	u32 slot;
	u32 generation;
	struct tr_peer *peer;
};

/* Allocates the flow tables. Process context. Return: 0 or -ENOMEM. */
int tr_filter_init(struct tr_filter *filter);
/* No reader may be left. Process context. */
void tr_filter_uninit(struct tr_filter *filter);

/**
 * tr_filter_commit() - put a policy in force
 * @filter: filter
 * @policy: compiled; belongs to the filter from here on, but on error
 *
 * One commit at a time is the caller's business. Process context: waits for a
 * grace period, so that no packet is judged by the old policy afterwards.
 *
 * Return: the new generation, or 0 when there is no memory to count hits in.
 */
u32 tr_filter_commit(struct tr_filter *filter, struct tr_policy *policy);

/**
 * tr_filter_resize() - change the size of the flow table
 * @filter: filter
 * @flows: at most so many; rounded up to a power of two
 * @extack: text on error
 *
 * Living flows are carried over, as far as they find room. Process context;
 * one change or commit at a time is the caller's business.
 *
 * Return: 0, -E2BIG, or -ENOMEM, also for more than a quarter of the machine's
 * memory; on error nothing has changed.
 */
int tr_filter_resize(struct tr_filter *filter, u32 flows,
		     struct netlink_ext_ack *extack);

/*
 * Turns strictness (strict.h) on or off; nothing happens if it is so already.
 * Process context; one change or commit at a time is the caller's business.
 */
void tr_filter_set_strict(struct tr_filter *filter, bool strict);

/**
 * tr_filter_in() - judge a packet from a peer
 * @filter: filter
 * @peers: peers of the same device
 * @pkt: parsed, or a question
 * @res: filled in whole
 *
 * RCU read side, softirq. Neither allocates nor locks, but the lock of one
 * bucket when a verdict is entered.
 *
 * Return: @res->accept.
 */
bool tr_filter_in(struct tr_filter *filter, struct tr_peers *peers,
		  const struct tr_packet *pkt, struct tr_result *res);

/**
 * tr_filter_out() - judge a packet to a peer and learn its flow
 * @filter: filter
 * @peers: peers of the same device
 * @pkt: parsed, or a question
 * @res: filled in whole
 *
 * Also refuses TSMP; the module's own TSMP must not come here. RCU read side,
 * softirq or process context.
 *
 * Return: @res->accept.
 */
bool tr_filter_out(struct tr_filter *filter, struct tr_peers *peers,
		   const struct tr_packet *pkt, struct tr_result *res);

/*
 * Flows now and at most, without those of jailed peers. Process context, not
 * beside tr_filter_resize().
 */
u32 tr_filter_flows(struct tr_filter *filter);
u32 tr_filter_flows_max(const struct tr_filter *filter);

#endif
